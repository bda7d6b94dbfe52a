"""Sensitivity-weighted moments of every neuron's inputs: centred, streamed, mergeable (EC-3, EC-7)."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, fields, replace
from functools import partial, reduce
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from . import _checks
from ._files import load_arrays, save_arrays
from .batches import Batch, BatchError, Samples, batches_of, joined, known_length
from .metrics import Metric, cotangents
from .mlp import MLP, unchecked_forward
from .scratch import Scratch
from .sensitivities import weighted_sensitivities
from .threads import Map, side_by_side

Array = npt.NDArray[Any]

BLOCK_BYTES = 28 * 2**20  # what a block of samples takes at a time, so that most of it stays in the cache
BLOCKS = 8  # in a batch, where no batch size is given
REFERENCE_SAMPLES = 64  # how many of a batch say where a column lies
OFFSET_STDS = 4  # a column is centred where its mean is this many standard deviations from zero
CANCELLATION = 1e-6  # where the one-pass variance keeps less of the square, two passes replace it


@dataclass(frozen=True, eq=False)
class LayerMoments:
    """One layer's moments, the mean stored as `reference` + `offset` so that no digit is lost (EC-7).

    `sensitivity` S_i (n_l,), `reference` (n_{l-1},) near the inputs' mean, `offset` μ_ij − reference_j
    and `variance` v_ij = E[s_i (a_j − μ_ij)²], both (n_l, n_{l-1}).
    """

    sensitivity: Array
    reference: Array
    offset: Array
    variance: Array

    @property
    def mean(self) -> Array:
        """μ_ij = E[s_i a_j] / S_i, and 0 for a dead neuron (EC-3.3)."""
        return np.where(self.sensitivity[:, np.newaxis] > 0, self.reference + self.offset, 0)

    def merge(self, other: LayerMoments, share: float) -> LayerMoments:
        """Chan's update, where `other` has the share of the total weight (EC-7.4)."""
        ours, theirs = (1 - share) * self.sensitivity, share * other.sensitivity
        sensitivity = ours + theirs
        ratio = np.divide(theirs, sensitivity, out=np.zeros_like(theirs), where=sensitivity > 0)[:, np.newaxis]
        step = other.offset - self.offset
        step += other.reference - self.reference
        offset = ratio * step
        variance = ours[:, np.newaxis] * offset
        variance *= step
        variance += np.multiply(self.variance, 1 - share, out=step)
        variance += np.multiply(other.variance, share, out=step)
        offset += self.offset
        return LayerMoments(sensitivity, self.reference, offset, variance)


@dataclass(frozen=True, eq=False)
class Moments:
    """E[s_i], E[s_i a_j]/S_i and E[s_i (a_j − μ_ij)²] of every layer over some samples (EC-3).

    `total_weight` is the sum of the sample weights (`n_samples` where none were given).
    Moments of two sets of samples are merged exactly; the object can be pickled.
    """

    layers: tuple[LayerMoments, ...]
    n_samples: int
    total_weight: float

    @property
    def sensitivity(self) -> tuple[Array, ...]:
        """S_i = E[s_i], per layer (n_l,)."""
        return tuple(layer.sensitivity for layer in self.layers)

    @property
    def mean(self) -> tuple[Array, ...]:
        """μ_ij = E[s_i a_j] / S_i, per layer (n_l, n_{l-1}); 0 where S_i = 0."""
        return tuple(layer.mean for layer in self.layers)

    @property
    def variance(self) -> tuple[Array, ...]:
        """v_ij = E[s_i (a_j − μ_ij)²], per layer (n_l, n_{l-1})."""
        return tuple(layer.variance for layer in self.layers)

    @property
    def second_moment(self) -> tuple[Array, ...]:
        """E[s_i a_j²] = v_ij + S_i μ_ij², per layer (n_l, n_{l-1})."""
        return tuple(m.variance + m.sensitivity[:, np.newaxis] * m.mean**2 for m in self.layers)

    def merge(self, other: Moments) -> Moments:
        """The moments of both sets of samples together (EC-7.4).

        Raises ValueError where the two belong to networks of different shape or dtype.
        """
        _checks.instance("other", other, Moments)
        ours, theirs = _checks.formats(self.variance), _checks.formats(other.variance)
        if ours != theirs:
            raise ValueError(f"other: expected moments with layers {ours}, got {theirs}")
        total = self.total_weight + other.total_weight
        if not total < np.inf:
            raise ValueError(f"other: expected a finite sum of weights, got {self.total_weight} + {other.total_weight}")
        share = other.total_weight / total
        layers = tuple(a.merge(b, share) for a, b in zip(self.layers, other.layers))
        return Moments(layers, self.n_samples + other.n_samples, total)

    def save(self, file: str | os.PathLike[str]) -> None:
        """Write `sensitivity_0, reference_0, ..., n_samples, total_weight` to an .npz file, whole or not at all."""
        arrays = {f"{name}_{l}": getattr(m, name) for l, m in enumerate(self.layers) for name in _FIELDS}
        counts = {"n_samples": np.array(self.n_samples), "total_weight": np.array(self.total_weight)}
        save_arrays(file, arrays | counts)

    @classmethod
    def load(cls, file: str | os.PathLike[str]) -> Moments:
        """Read moments from an .npz file as `save` writes it; nothing is ever unpickled.

        Raises ValueError that names the file and the array that is missing or wrong.
        """
        arrays = load_arrays(file)
        n_layers = max(1, sum(name.startswith("variance_") for name in arrays))
        names = [f"{name}_{l}" for l in range(n_layers) for name in _FIELDS]
        for name in [*names, "n_samples", "total_weight"]:
            if name not in arrays:
                raise ValueError(f"{Path(file)}: expected moments, {name} is missing")
            _checks.real_array(f"{Path(file)}: {name}", arrays[name])
        layers = [LayerMoments(*(arrays[f"{name}_{l}"] for name in _FIELDS)) for l in range(n_layers)]
        for l, m in enumerate(layers):
            n_out, n_in = m.variance.shape if m.variance.ndim == 2 else (-1, -1)
            shapes = (m.sensitivity.shape, m.reference.shape, m.offset.shape)
            if shapes != ((n_out,), (n_in,), (n_out, n_in)) or (m.variance < 0).any() or (m.sensitivity < 0).any():
                raise ValueError(f"{Path(file)}: expected moments, layer {l} has other shapes or a negative variance")
        return cls(tuple(layers), int(arrays["n_samples"]), float(arrays["total_weight"]))


_FIELDS = tuple(field.name for field in fields(LayerMoments))


def collect_moments(
    mlp: MLP,
    x: npt.ArrayLike | Iterable[npt.ArrayLike | Batch],
    metric: Metric = "output",
    *,
    sample_weight: npt.ArrayLike | None = None,
    batch_size: int | None = None,
    y: npt.ArrayLike | None = None,
    loss: str = "mse",
    n_samples: int | None = None,
) -> Moments:
    """S_i, μ_ij and v_ij over the samples, batch by batch (EC-3, EC-7).

    x has shape (N, n_0), `sample_weight` shape (N,); x may be a `numpy.memmap`, only one batch of it is in memory.
    Or x is an iterator of batches, each an array or a `Batch`, which carries its own weights and targets: a list of
    arrays is passed as `iter(list)`.  `n_samples` is how many samples are expected, if that is known.
    `metric` is "output", "softmax", "fisher", "loss" (the first-order change of `loss` at targets `y`) or a
    callable from outputs (N, K) to cotangents (R, N, K).  The result depends on `batch_size` by rounding only; by
    default it is eight blocks of about 28 MB each, or of the network's size if that is more.  With threadpoolctl and
    two or four threads of BLAS, its blocks are done side by side, while BLAS has one thread.

    Raises ValueError for bad input and for an overflow.  From a batch on it is a `BatchError`, which has the number
    of the batch and the `moments` of those before it: save them, and merge them with those of the rest.
    """
    _checks.instance("mlp", mlp, MLP)
    size = samples_per_batch(mlp, batch_size)
    batches = batches_of(mlp, x, metric, sample_weight, y, loss, size)
    return moments_of_batches(mlp, batches, metric, loss, size, known_length(x) if n_samples is None else n_samples)


def moments_of_batches(
    mlp: MLP, batches: Iterator[Samples], metric: Metric, loss: str, size: int, n_samples: int | None = None
) -> Moments:
    """`collect_moments` of checked batches; raises a `BatchError` as it does."""
    moments: Moments | None = None
    number = seen = 0  # batches that are done, and their samples
    most = min(size, n_samples or size)  # samples at a time
    per_block = min(most, _samples_per_block(mlp))
    several = most > per_block  # else a block has BLAS's threads for itself
    scratch = Scratch(3 * sum(mlp.sizes) * per_block, mlp.dtype)  # all but the activations
    with side_by_side(BLOCKS if several and not callable(metric) else 1) as map_blocks:  # it may not be thread-safe
        at_once = partial(_moments_at_once, mlp, metric, loss, map_blocks, scratch)
        try:
            for part, n_batches, n in _parts(at_once, batches, size, n_samples):
                moments = part if moments is None else moments if part is None else moments.merge(part)
                number, seen = number + n_batches, seen + n
            if seen == 0 or n_samples not in (None, seen):
                raise ValueError(f"x: expected {n_samples or 'samples'}, got {seen} in all before the iterator ended")
            if moments is None:
                raise ValueError("sample_weight: expected a positive, finite sum, got 0.0")
            with np.errstate(over="ignore"):
                _checks.no_overflow("moments", moments.second_moment)  # of a mean too large to be squared
        except Exception as error:
            kind = "" if isinstance(error, (TypeError, ValueError)) else f"{type(error).__name__}: "
            done = None if moments is None else Moments(moments.layers, seen, moments.total_weight)
            raise BatchError(f"{kind}{error}, in batch {number}", number, done) from error
    return Moments(moments.layers, seen, moments.total_weight)


def samples_per_batch(mlp: MLP, batch_size: int | None) -> int:
    """`batch_size`, or as many samples as a few blocks hold: a merge is dearer than adding up the sums of a block."""
    if batch_size is not None:
        return _checks.integer("batch_size", batch_size, 1)
    return BLOCKS * _samples_per_block(mlp)


def _samples_per_block(mlp: MLP) -> int:
    """As many samples as BLOCK_BYTES hold, or as much as the network takes if that is more.

    A sample takes four arrays a layer, and the cotangents.  To add up the sums of a block takes some passes over all
    weights, which its samples are to be worth.
    """
    per_sample = 4 * sum(mlp.sizes) + mlp.sizes[-1] ** 2
    return max(1, max(BLOCK_BYTES // mlp.dtype.itemsize, mlp.n_weights) // per_sample)


def _parts(
    at_once: Callable[[Samples], Moments], batches: Iterator[Samples], size: int, n_samples: int | None
) -> Iterator[tuple[Moments | None, int, int]]:
    """The moments of batches, how many batches they are of, and samples; None where all weights are zero."""
    for samples, rows_of_batches in joined(batches, size, n_samples):
        try:
            whole = _moments_of(at_once, samples, size)
        except Exception:
            if len(rows_of_batches) == 1:
                raise
            for rows in rows_of_batches:  # one after the other, so that the first that fails is named
                batch = samples.rows(rows)
                yield _moments_of(at_once, batch, size), 1, len(batch)
        else:
            yield whole, len(rows_of_batches), len(samples)
        del samples  # before the next ones come


def _moments_of(at_once: Callable[[Samples], Moments], samples: Samples, size: int) -> Moments | None:
    """The moments of a batch, `size` samples at a time, or None where all weights are zero."""
    parts = [samples.rows(slice(start, start + size)) for start in range(0, len(samples), size)]
    moments = [at_once(part) for part in parts if part.weight.any()]
    return reduce(Moments.merge, moments) if moments else None


def _moments_at_once(
    mlp: MLP, metric: Metric, loss: str, map_blocks: Map, scratch: Scratch, samples: Samples
) -> Moments:
    """The moments of samples that pass through the network in blocks of about the same size, their sums added up."""
    with np.errstate(over="ignore", under="ignore"):
        total_weight = samples.weight.sum()
        shares = replace(samples, weight=samples.weight / total_weight)
    if not total_weight < np.inf:  # of batches that were joined; each one's has been checked
        raise ValueError(f"sample_weight: expected a finite sum, got {total_weight}")
    some = samples.x[:: -(-len(samples) // REFERENCE_SAMPLES)]
    references = [_reference(a) for a in unchecked_forward(mlp, some).inputs]
    s = [scratch.array(f"sensitivities {l}", len(samples), n) for l, n in enumerate(mlp.sizes[1:])]
    blocks = _blocks(len(samples), _samples_per_block(mlp))
    s_of_blocks = [[layer[rows] for layer in s] for rows in blocks]
    sums_of_block = partial(_sums_of_block, mlp, metric, loss, references, scratch)
    sums = reduce(_added, map_blocks(sums_of_block, map(shares.rows, blocks), s_of_blocks))
    with np.errstate(over="ignore", invalid="ignore", under="ignore"):  # overflow is raised below
        layers = tuple(_layer_moments(mlp, l, samples.x, sums[l], s[l]) for l in range(mlp.n_layers))
    _checks.no_overflow("moments", [m.variance for m in layers])
    return Moments(layers, len(samples), float(total_weight))


def _blocks(n_samples: int, most: int) -> list[slice]:
    """The rows of blocks that have at most so many samples: one, or an even number, for two threads."""
    n_blocks = 1 if n_samples <= most else 2 * -(-n_samples // (2 * most))
    ends = [n_samples * k // n_blocks for k in range(n_blocks + 1)]
    return [slice(*rows) for rows in pairwise(ends)]


def _sums_of_block(
    mlp: MLP, metric: Metric, loss: str, references: list[Array], scratch: Scratch, block: Samples, s: list[Array]
) -> list[_Sums]:
    """A block's sums layer by layer, and its weighted sensitivities into s; its weights are shares of the total."""
    trace = unchecked_forward(mlp, block.x, scratch)
    c = cotangents(metric, trace.outputs, block.y, loss)
    with np.errstate(over="ignore", invalid="ignore", under="ignore"):  # the moments are checked for overflow
        weighted_sensitivities(mlp, trace, c, block.weight, scratch, s)
        return [_Sums.of(*layer, scratch) for layer in zip(s, trace.inputs, references)]


def _layer_moments(mlp: MLP, l: int, x: Array, sums: _Sums, sensitivities: Array) -> LayerMoments:
    """Layer l's moments from its sums, and from the samples x once more where their difference cancels (EC-7.3)."""
    offset, variance = sums.mean_and_variance()
    cancelled = variance < CANCELLATION * sums.second
    neurons = np.flatnonzero(cancelled.any(axis=1))
    if len(neurons) > 0:
        s = sensitivities[:, neurons]
        seen = s.any(axis=1)  # mostly few: such a neuron is silent but on some samples
        centred = unchecked_forward(mlp, x[seen]).inputs[l] - sums.reference
        for i, s_i in zip(neurons, s[seen].T):
            columns = cancelled[i]
            offset[i, columns], variance[i, columns] = _two_pass(s_i, centred[:, columns])
    return LayerMoments(sums.sensitivity, sums.reference, offset, variance)


def _added(sums: list[_Sums], more: list[_Sums]) -> list[_Sums]:
    """The sums with those over more samples added to them, layer by layer."""
    with np.errstate(over="ignore", invalid="ignore", under="ignore"):  # the moments are checked for overflow
        for layer, part in zip(sums, more):
            layer.add(part)
    return sums


@dataclass
class _Sums:
    """S_i, E[s_i ã_j] and E[s_i ã_j²] of one layer, ã_j = a_j − r_j, to be added up block by block (EC-7.2, EC-7.3)."""

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
        """μ̃_ij = E[s_i ã_j] / S_i and v_ij = E[s_i ã_j²] − S_i μ̃_ij² (EC-7.3)."""
        offset = self.first / np.where(self.sensitivity > 0, self.sensitivity, 1)[:, np.newaxis]
        return offset, self.second - self.first * offset


def _reference(a: Array) -> Array:
    """What to subtract from each column: its mean over these samples if that is far from zero, else nothing (EC-7.2).

    A constant column is its own mean exactly.  A column near zero stays as it is, so that the zeros of
    a rectifier stay zeros and the error is relative to E[s a²].
    """
    with np.errstate(over="ignore", invalid="ignore", under="ignore"):  # what overflows here does so in the moments
        mean = a[0] + (a - a[0]).mean(axis=0)
        variance = np.square(a - mean).mean(axis=0)
        return np.where(mean**2 > OFFSET_STDS**2 * variance, mean, 0)


def _two_pass(s: Array, a: Array) -> tuple[Array, Array]:
    """The mean of the columns of a weighted by s, and their variance about it, in two passes (EC-3.3, EC-3.4)."""
    seen = s > 0
    s, a = s[seen], a[seen]
    first = a[0]
    mean = first + (s @ (a - first)) / s.sum()
    return mean, s @ (a - mean) ** 2
