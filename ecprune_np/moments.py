"""Sensitivity-weighted moments of every neuron's inputs: centred, streamed, mergeable (EC-3, EC-7)."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields
from functools import reduce
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from . import _checks
from ._files import load_arrays, save_arrays
from .batches import Batch, BatchError, Samples, batches_of, joined
from .metrics import Metric, cotangents
from .mlp import MLP, Trace, unchecked_forward

Array = npt.NDArray[Any]

BATCH_BYTES = 2**27  # what a batch may take where no batch size is given
OFFSET_STDS = 4  # a column is centred where its mean is this many standard deviations from zero
CACHED_BYTES = 2**22  # what the pullback to one layer may take at a time, so that it stays in a core's cache
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
        variance += (1 - share) * self.variance
        variance += share * other.variance
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
    default a batch takes about 128 MB, or as much as the network if that is more.

    Raises ValueError for bad input and for an overflow.  From a batch on it is a `BatchError`, which has the number
    of the batch and the `moments` of those before it: save them, and merge them with those of the rest.
    """
    _checks.instance("mlp", mlp, MLP)
    size = samples_per_batch(mlp, batch_size)
    batches = batches_of(mlp, x, metric, sample_weight, y, loss, size)
    return moments_of_batches(mlp, batches, metric, loss, size, n_samples)


def moments_of_batches(
    mlp: MLP, batches: Iterator[Samples], metric: Metric, loss: str, size: int, n_samples: int | None = None
) -> Moments:
    """`collect_moments` of checked batches; raises a `BatchError` as it does."""
    moments: Moments | None = None
    number = seen = 0  # batches that are done, and their samples
    try:
        for part, n_batches, n in _parts(mlp, batches, metric, loss, size):
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
    """`batch_size`, or as many samples as BATCH_BYTES or the network's own size hold.

    A sample takes four arrays a layer, and the cotangents.  A merge costs a few passes over the parameters, so a
    batch is to be at least as large as they are.
    """
    if batch_size is not None:
        return _checks.integer("batch_size", batch_size, 1)
    per_sample = 4 * (sum(mlp.sizes) + mlp.sizes[-1] ** 2) * mlp.dtype.itemsize
    return max(1, max(BATCH_BYTES, mlp.n_weights * mlp.dtype.itemsize) // per_sample)


def _parts(
    mlp: MLP, batches: Iterator[Samples], metric: Metric, loss: str, size: int
) -> Iterator[tuple[Moments | None, int, int]]:
    """The moments of batches, how many batches they are of, and samples; None where all weights are zero."""
    for samples, group in joined(batches, size):
        try:
            whole = _moments_of(mlp, samples, metric, loss, size)
        except Exception:
            if len(group) == 1:
                raise
            for batch in group:  # one after the other, so that the first that fails is named
                yield _moments_of(mlp, batch, metric, loss, size), 1, len(batch)
        else:
            yield whole, len(group), len(samples)


def _moments_of(mlp: MLP, samples: Samples, metric: Metric, loss: str, size: int) -> Moments | None:
    """The moments of a batch, `size` samples at a time, or None where all weights are zero."""
    parts = [samples.rows(slice(start, start + size)) for start in range(0, len(samples), size)]
    moments = [_moments_at_once(mlp, part, metric, loss) for part in parts if part.weight.any()]
    return reduce(Moments.merge, moments) if moments else None


def _moments_at_once(mlp: MLP, samples: Samples, metric: Metric, loss: str) -> Moments:
    trace = unchecked_forward(mlp, samples.x)
    c = cotangents(metric, trace.outputs, samples.y, loss)
    with np.errstate(over="ignore"):
        total_weight = samples.weight.sum()
    if not total_weight < np.inf:  # of batches that were joined; each one's has been checked
        raise ValueError(f"sample_weight: expected a finite sum, got {total_weight}")
    share = (samples.weight / total_weight)[:, np.newaxis]
    with np.errstate(over="ignore", invalid="ignore", under="ignore"):  # overflow is raised below
        layers = tuple(_layer_moments(s, a) for s, a in zip(_sensitivities(mlp, trace, c, share), trace.inputs))
        _checks.no_overflow("moments", [m.variance for m in layers])
    return Moments(layers, len(samples), float(total_weight))


def _sensitivities(mlp: MLP, trace: Trace, cotangents: Array, share: Array) -> list[Array]:
    """share · s_i, s_i = Σ_r (c_rᵀ J_i)², per layer (N, n_l): the squares of the pullback, summed up (EC-3.9)."""
    sums = [np.empty_like(z) for z in trace.preactivations]
    if mlp.output_activation == "identity" and cotangents.strides[1] == 0:
        cotangents = cotangents[:, :1]  # the same for all samples: one row stands for them until the first σ' below
    n_cotangents, n_samples = len(cotangents), len(share)
    size = max(1, CACHED_BYTES // (n_cotangents * max(mlp.sizes[1:]) * mlp.dtype.itemsize))
    buffers = [np.empty(n_cotangents * min(size, n_samples) * n, mlp.dtype) for n in mlp.sizes[1:]]
    for start in range(0, n_samples, size):
        rows = slice(start, start + size)
        g = cotangents if cotangents.shape[1] == 1 else cotangents[:, rows]
        for l in reversed(range(mlp.n_layers)):
            slopes = mlp.layer_activation(l).derivative(trace.preactivations[l][rows])
            s = np.einsum("rni,rni->ni", g, g, out=sums[l][rows])
            for factor in (slopes, slopes, share[rows]):  # one after the other: the square of a slope may underflow
                s *= factor
            if l > 0:
                g = np.multiply(g, slopes, out=_part(buffers[l], n_cotangents, *s.shape))
                below = _part(buffers[l - 1], n_cotangents * len(s), mlp.sizes[l])
                np.matmul(g.reshape(len(below), -1), mlp.weights[l], out=below)
                g = below.reshape(n_cotangents, len(s), -1)
    return sums


def _part(buffer: Array, *shape: int) -> Array:
    """The beginning of a flat buffer as an array of that shape."""
    return buffer[: math.prod(shape)].reshape(shape)


def _layer_moments(s: Array, a: Array) -> LayerMoments:
    """S_i = Σ_n s_ni, and the mean and variance of the columns of a under the weights s_ni / S_i (EC-7.3)."""
    centred, square = a, a**2
    reference = _reference(a, square)
    if reference.any():
        centred = a - reference
        square = centred**2
    sensitivity = s.sum(axis=0)
    offset = s.T @ centred
    offset /= np.where(sensitivity > 0, sensitivity, 1)[:, np.newaxis]
    second = s.T @ square
    variance = offset**2
    variance *= -sensitivity[:, np.newaxis]
    variance += second
    cancelled = variance < CANCELLATION * second
    for i in np.flatnonzero(cancelled.any(axis=1)):
        offset[i, cancelled[i]], variance[i, cancelled[i]] = _two_pass(s[:, i], centred, cancelled[i])
    return LayerMoments(sensitivity, reference, offset, variance)


def _reference(a: Array, square: Array) -> Array:
    """What to subtract from each column: its mean where that is far from zero, else nothing (EC-7.2).

    A constant column is its own mean exactly.  A column near zero stays as it is, so that the zeros of
    a rectifier stay zeros and the error is relative to E[s a²].  `square` is a².
    """
    share = np.full(len(a), 1 / len(a), a.dtype)
    mean, mean_square = share @ a, share @ square
    far = (1 + OFFSET_STDS**2) * mean**2 > OFFSET_STDS**2 * mean_square  # the variance is mean_square − mean²
    reference: Array = np.zeros_like(a[0])
    reference[far] = a[0, far] + (a[:, far] - a[0, far]).mean(axis=0)
    return reference


def _two_pass(s: Array, a: Array, columns: Array) -> tuple[Array, Array]:
    """The mean of some columns of a weighted by s, and their variance about it, in two passes (EC-3.3, EC-3.4)."""
    seen = s > 0
    s, a = s[seen], a[np.ix_(seen, columns)]
    first = a[0]
    mean = first + (s @ (a - first)) / s.sum()
    return mean, s @ (a - mean) ** 2
