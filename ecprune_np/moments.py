"""Sensitivity-weighted moments of every neuron's inputs: centred, streamed, mergeable (EC-3, EC-7)."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import reduce
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from . import _checks
from ._files import load_arrays, save_arrays
from .losses import targets
from .metrics import Metric, check_metric, cotangents
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


class Batch(NamedTuple):
    """A batch of a stream: samples x of shape (N, n_0), where needed their weights (N,) and targets y."""

    x: npt.ArrayLike
    sample_weight: npt.ArrayLike | None = None
    y: npt.ArrayLike | None = None


class BatchError(ValueError):
    """A batch was bad or did not come: `batch` is its number, `moments` those of all batches before it, or None."""

    def __init__(self, message: str, batch: int, moments: Moments | None) -> None:
        super().__init__(message)
        self.batch = batch
        self.moments = moments

    def __reduce__(self) -> tuple[Any, ...]:
        return BatchError, (str(self), self.batch, self.moments)


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
    size = default_batch_size(mlp) if batch_size is None else _checks.integer("batch_size", batch_size, 1)
    batches = _batches(mlp, x, metric, sample_weight, y, loss, size)
    moments: Moments | None = None
    number = seen = 0  # batches that are done, and their samples
    try:
        for batch in batches:
            part, n = _batch_moments(mlp, batch, metric, loss, size)
            moments = part if moments is None else moments if part is None else moments.merge(part)
            number, seen = number + 1, seen + n
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


def default_batch_size(mlp: MLP) -> int:
    """As many samples as BATCH_BYTES, or the network's own size, hold: four arrays a layer, and the cotangents.

    A merge costs a few passes over the parameters, so a batch is to be at least as large as they are.
    """
    per_sample = 4 * (sum(mlp.sizes) + mlp.sizes[-1] ** 2) * mlp.dtype.itemsize
    return max(1, max(BATCH_BYTES, mlp.n_weights * mlp.dtype.itemsize) // per_sample)


def _batches(
    mlp: MLP,
    x: Any,
    metric: Metric,
    sample_weight: npt.ArrayLike | None,
    y: npt.ArrayLike | None,
    loss: str,
    size: int,
) -> Iterator[Batch]:
    """The batches of a stream, or the slices of an array with the weights and targets that belong to them."""
    if isinstance(x, Iterable) and not isinstance(x, (Sequence, Mapping)) and not hasattr(x, "__array__"):
        check_metric(metric, mlp.sizes[-1], has_targets=True)  # a batch that has none says so
        for name, value in (("sample_weight", sample_weight), ("y", y)):
            if value is not None:
                raise ValueError(f"{name}: expected None beside an iterator, whose batches carry their own (Batch)")
        return (_checked_batch(mlp, batch if isinstance(batch, Batch) else Batch(batch)) for batch in x)
    if not hasattr(x, "shape") or not hasattr(x, "dtype"):
        x = np.asarray(x)
    if len(x.shape) != 2 or x.shape[1] != mlp.sizes[0] or len(x) == 0:
        _checks.samples("x", x, mlp.sizes[0], mlp.dtype)  # raises
    _checks.real_array("x", x[:0], mlp.dtype)
    check_metric(metric, mlp.sizes[-1], y is not None)
    y = None if y is None else targets(y, loss, len(x), mlp.sizes[-1], mlp.dtype)
    if sample_weight is not None:
        sample_weight = _checks.sample_weights(sample_weight, len(x), mlp.dtype)
    return _slices(x, mlp.dtype, sample_weight, y, size)


def _checked_batch(mlp: MLP, batch: Batch) -> Batch:
    return batch._replace(x=_checks.samples("x", batch.x, mlp.sizes[0], mlp.dtype))


def _slices(x: Array, dtype: Any, weight: Array | None, y: Array | None, size: int) -> Iterator[Batch]:
    for start in range(0, len(x), size):
        part = slice(start, start + size)
        given = np.asarray(x[part])
        with np.errstate(over="ignore"):  # reported just below
            rows = given.astype(dtype, copy=False)
        _checks.all_finite("x", given, rows, first_row=start)
        yield Batch(rows, None if weight is None else weight[part], None if y is None else y[part])


def _batch_moments(mlp: MLP, batch: Batch, metric: Metric, loss: str, size: int) -> tuple[Moments | None, int]:
    """The moments of a batch, `size` samples at a time, or None where all weights are zero; and its length."""
    x = np.asarray(batch.x)
    y = None if batch.y is None else targets(batch.y, loss, len(x), mlp.sizes[-1], mlp.dtype)
    weight = np.ones(len(x), mlp.dtype)
    if batch.sample_weight is not None:
        weight = _checks.real_array("sample_weight", batch.sample_weight, mlp.dtype)
        if weight.shape != (len(x),) or weight.any():  # zeros alone are allowed here
            weight = _checks.sample_weights(weight, len(x), mlp.dtype)
    parts = [slice(start, start + size) for start in range(0, len(x), size)]
    moments = [
        _moments_at_once(mlp, x[part], weight[part], metric, None if y is None else y[part], loss)
        for part in parts
        if weight[part].any()
    ]
    return (reduce(Moments.merge, moments) if moments else None), len(x)


def _moments_at_once(mlp: MLP, x: Array, weight: Array, metric: Metric, y: Array | None, loss: str) -> Moments:
    trace = unchecked_forward(mlp, x)
    c = cotangents(metric, trace.outputs, y, loss)
    share = (weight / weight.sum())[:, np.newaxis]
    with np.errstate(over="ignore", invalid="ignore", under="ignore"):  # overflow is raised below
        layers = tuple(_layer_moments(s, a) for s, a in zip(_sensitivities(mlp, trace, c, share), trace.inputs))
        _checks.no_overflow("moments", [m.variance for m in layers])
    return Moments(layers, len(x), float(weight.sum()))


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
