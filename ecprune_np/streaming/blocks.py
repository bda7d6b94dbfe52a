"""One batch of samples: through the network in blocks that stay in the cache, their sums added up (EC-7)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial, reduce
from itertools import pairwise

import numpy as np

from .. import _checks
from .._types import Array, Metric
from ..mlp import MLP, Trace, forward
from ..moments import LayerMoments, Moments
from .batches import Checked
from .reduction import Reduction, sensitivities_of, worthwhile_steps
from .scratch import Scratch
from .sensitivities import block_size
from .threads import Map

BLOCKS = 8  # in a batch, where no batch size is given
REFERENCE_SAMPLES = 64  # how many of a batch say where a column lies
OFFSET_STDS = 4  # a column is centred where its mean is this many standard deviations from zero
CANCELLATION = 1e-6  # where the one-pass variance keeps less of the square, two passes replace it


def samples_per_batch(mlp: MLP, batch_size: int | None, metric: Metric | None = None) -> int:
    """`batch_size`, or as many samples as a few blocks hold: a merge is dearer than adding up the sums of a block."""
    if batch_size is not None:
        return _checks.integer("batch_size", batch_size, 1)
    return BLOCKS * samples_per_block(mlp, metric)


def samples_per_block(mlp: MLP, metric: Metric | None = None) -> int:
    """How many samples go through the network at a time: more of them where a metric's cotangents are reduced."""
    return block_size(mlp, reduced=worthwhile_steps(mlp, metric) is not None)


def moments_of_batch(
    mlp: MLP,
    metric: Metric,
    reduction: Reduction | None,
    map_blocks: Map,
    scratch: Scratch,
    size: int,
    samples: Checked,
) -> Moments | None:
    """The moments of a batch, `size` samples at a time, or None where all weights are zero."""
    parts = [samples.rows(slice(start, start + size)) for start in range(0, len(samples), size)]
    at_once = partial(_moments_at_once, mlp, metric, reduction, map_blocks, scratch)
    moments = [at_once(part) for part in parts if part.weight.any()]
    return reduce(Moments.merge, moments) if moments else None


def _moments_at_once(
    mlp: MLP, metric: Metric, reduction: Reduction | None, map_blocks: Map, scratch: Scratch, samples: Checked
) -> Moments:
    """The moments of samples that pass through the network in blocks of about the same size, their sums added up."""
    with _checks.overflow_raised_later():
        total_weight = samples.weight.sum()
        shares = replace(samples, weight=samples.weight / total_weight)
    if not total_weight < np.inf:  # of batches that were joined; each one's has been checked
        raise ValueError(f"sample_weight: expected a finite sum, got {total_weight}")
    some = samples.x[:: -(-len(samples) // REFERENCE_SAMPLES)]
    references = [_reference(a) for a in forward(mlp, some).inputs]
    s = [scratch.array(f"sensitivities {l}", len(samples), n) for l, n in enumerate(mlp.sizes[1:])]
    blocks = _blocks(len(samples), samples_per_block(mlp, metric))
    s_of_blocks = [[layer[rows] for layer in s] for rows in blocks]
    sums_of_block = partial(_sums_of_block, mlp, metric, reduction, references, scratch)
    sums = reduce(_added, map_blocks(sums_of_block, map(shares.rows, blocks), s_of_blocks))
    with _checks.overflow_raised_later():
        layers = tuple(_layer_moments(mlp, l, samples.x, sums[l], s[l]) for l in range(mlp.n_layers))
    _checks.no_overflow("moments", [m.variance for m in layers])
    return Moments(layers, len(samples), float(total_weight))


def _blocks(n_samples: int, most: int) -> list[slice]:
    """The rows of blocks that have at most so many samples: one, or an even number, for two threads."""
    n_blocks = 1 if n_samples <= most else 2 * -(-n_samples // (2 * most))
    ends = [n_samples * k // n_blocks for k in range(n_blocks + 1)]
    return [slice(*rows) for rows in pairwise(ends)]


def _sums_of_block(
    mlp: MLP,
    metric: Metric,
    reduction: Reduction | None,
    references: list[Array],
    scratch: Scratch,
    block: Checked,
    s: list[Array],
) -> list[_Sums]:
    """A block's sums layer by layer, and its weighted sensitivities into s; its weights are shares of the total."""
    trace = _forward(mlp, block.x, scratch)
    sensitivities = sensitivities_of(mlp, trace, metric, block.y, reduction)
    with _checks.overflow_raised_later():
        sensitivities(block.weight, scratch, s)
        return [_Sums.of(*layer, scratch) for layer in zip(s, trace.inputs, references)]


def _forward(mlp: MLP, a: Array, scratch: Scratch) -> Trace:
    """`forward` of samples that have been checked, its preactivations in scratch memory."""
    inputs, preactivations = [], []
    with _checks.overflow_raised_later():
        for l, (weights, biases) in enumerate(zip(mlp.weights, mlp.biases)):
            z = np.matmul(a, weights.T, out=scratch.array(f"preactivations {l}", len(a), len(weights)))
            z += biases
            inputs.append(a)
            preactivations.append(z)
            a = mlp.layer_activation(l).value(z)
    _checks.no_overflow("forward", [*preactivations, a])
    return Trace(tuple(inputs), tuple(preactivations), a)


def _layer_moments(mlp: MLP, l: int, x: Array, sums: _Sums, sensitivities: Array) -> LayerMoments:
    """Layer l's moments from its sums, and from the samples x once more where their difference cancels (EC-7.4)."""
    offset, variance = sums.mean_and_variance()
    cancelled = variance < CANCELLATION * sums.second
    neurons = np.flatnonzero(cancelled.any(axis=1))
    if len(neurons) > 0:
        s = sensitivities[:, neurons]
        seen = s.any(axis=1)  # mostly few: such a neuron is silent but on some samples
        centred = forward(mlp, x[seen]).inputs[l] - sums.reference
        for i, s_i in zip(neurons, s[seen].T):
            columns = cancelled[i]
            offset[i, columns], variance[i, columns] = _two_pass(s_i, centred[:, columns])
    return LayerMoments(sums.sensitivity, sums.reference, offset, variance)


def _added(sums: list[_Sums], more: list[_Sums]) -> list[_Sums]:
    """The sums with those over more samples added to them, layer by layer."""
    with _checks.overflow_raised_later():
        for layer, part in zip(sums, more):
            layer.add(part)
    return sums


@dataclass
class _Sums:
    """S_i, E[s_i ã_j] and E[s_i ã_j²] of one layer, ã_j = a_j − r_j, to be added up block by block (EC-7.2, EC-7.4)."""

    reference: Array
    sensitivity: Array
    first: Array
    second: Array

    @classmethod
    def of(cls, s: Array, a: Array, reference: Array, scratch: Scratch) -> _Sums:
        """The sums over samples with the weighted sensitivities s (N, n_l) and the inputs a (N, n_{l-1})."""
        centred = a - reference if reference.any() else a
        squares = np.square(centred, out=scratch.array("squares", *a.shape))
        return cls(reference, np.ones(len(s), s.dtype) @ s, s.T @ centred, s.T @ squares)

    def add(self, other: _Sums) -> None:
        """Add the sums over more samples."""
        self.sensitivity += other.sensitivity
        self.first += other.first
        self.second += other.second

    def mean_and_variance(self) -> tuple[Array, Array]:
        """μ̃_ij = E[s_i ã_j] / S_i and v_ij = E[s_i ã_j²] − S_i μ̃_ij² (EC-7.4)."""
        offset = self.first / np.where(self.sensitivity > 0, self.sensitivity, 1)[:, np.newaxis]
        return offset, self.second - self.first * offset


def _reference(a: Array) -> Array:
    """What to subtract from each column: its mean over these samples if that is far from zero, else nothing (EC-7.2).

    A constant column is its own mean exactly.  A column near zero stays as it is, so that the zeros of
    a rectifier stay zeros and the error is relative to E[s a²].  One whose variance underflows is told from a constant
    by its distance from its first sample.
    """
    with _checks.overflow_raised_later():  # what overflows here does so in the moments
        mean = mean_of(a)
        variance = np.square(a - mean).mean(axis=0)
        return np.where(variance == 0, a[0], np.where(mean**2 > OFFSET_STDS**2 * variance, mean, 0))


def mean_of(a: Array) -> Array:
    """The mean of each column, exactly where it is constant."""
    mean: Array = a[0] + (a - a[0]).mean(axis=0)
    return mean


def _two_pass(s: Array, a: Array) -> tuple[Array, Array]:
    """The mean of the columns of a weighted by s, and their variance about it, in two passes (EC-3.4, EC-3.5)."""
    seen = s > 0
    s, a = s[seen], a[seen]
    first = a[0]
    mean = first + (s @ (a - first)) / s.sum()
    return mean, s @ (a - mean) ** 2
