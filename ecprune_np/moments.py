"""Sensitivity-weighted moments of every neuron's inputs: centred, streamed, mergeable (EC-3, EC-7)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from . import _checks
from .losses import targets
from .metrics import Metric, check_metric, cotangents
from .mlp import MLP, forward, pullback

Array = npt.NDArray[Any]

BATCH_BYTES = 2**26  # what a batch's pullback may take where no batch size is given
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
        step = (other.reference - self.reference) + (other.offset - self.offset)
        return LayerMoments(
            sensitivity,
            self.reference,
            self.offset + ratio * step,
            (1 - share) * self.variance + share * other.variance + ours[:, np.newaxis] * ratio * step**2,
        )


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
        ours = [(m.variance.shape, str(m.variance.dtype)) for m in self.layers]
        theirs = [(m.variance.shape, str(m.variance.dtype)) for m in other.layers]
        if ours != theirs:
            raise ValueError(f"other: expected moments with layers {ours}, got {theirs}")
        total = self.total_weight + other.total_weight
        share = other.total_weight / total
        layers = tuple(a.merge(b, share) for a, b in zip(self.layers, other.layers))
        return Moments(layers, self.n_samples + other.n_samples, total)


def collect_moments(
    mlp: MLP,
    x: npt.ArrayLike,
    metric: Metric = "output",
    *,
    sample_weight: npt.ArrayLike | None = None,
    batch_size: int | None = None,
    y: npt.ArrayLike | None = None,
    loss: str = "mse",
) -> Moments:
    """S_i, μ_ij and v_ij over the samples, batch by batch (EC-3, EC-7).

    x has shape (N, n_0), `sample_weight` shape (N,).  `metric` is "output", "softmax", "fisher",
    "loss" (the first-order change of `loss` at targets `y`) or a callable from outputs (N, K) to
    cotangents (R, N, K).  The result depends on `batch_size` by rounding only; by default a batch
    takes about 64 MB.  Raises ValueError for bad input and for an overflow.
    """
    _checks.instance("mlp", mlp, MLP)
    x = _checks.samples("x", x, mlp.sizes[0], mlp.dtype)
    check_metric(metric, mlp.sizes[-1], y is not None)
    y = None if y is None else targets(y, loss, len(x), mlp.sizes[-1], mlp.dtype)
    weight = np.ones(len(x), mlp.dtype)
    if sample_weight is not None:
        weight = _checks.sample_weights(sample_weight, len(x), mlp.dtype)
    size = _default_batch_size(mlp) if batch_size is None else _checks.integer("batch_size", batch_size, 1)
    moments: Moments | None = None
    for start in range(0, len(x), size):
        batch = slice(start, start + size)
        if weight[batch].any():
            part = _batch_moments(mlp, x[batch], weight[batch], metric, None if y is None else y[batch], loss)
            moments = part if moments is None else moments.merge(part)
    assert moments is not None  # some weight is positive
    return Moments(moments.layers, len(x), moments.total_weight)


def _default_batch_size(mlp: MLP) -> int:
    """As many samples as BATCH_BYTES hold of the pullback's derivatives, with one cotangent an output."""
    per_sample = mlp.sizes[-1] * sum(mlp.sizes[1:]) * mlp.dtype.itemsize
    return max(1, BATCH_BYTES // per_sample)


def _batch_moments(mlp: MLP, x: Array, weight: Array, metric: Metric, y: Array | None, loss: str) -> Moments:
    trace = forward(mlp, x)
    derivatives = pullback(mlp, trace, cotangents(metric, trace.outputs, y, loss))
    total = float(weight.sum())
    with np.errstate(over="ignore", invalid="ignore", under="ignore"):  # overflow is raised below
        sensitivities = [np.einsum("rni,rni->ni", g, g) * (weight / weight.sum())[:, np.newaxis] for g in derivatives]
        layers = tuple(_layer_moments(s, a) for s, a in zip(sensitivities, trace.inputs))
        _checks.no_overflow("moments", [m.variance + m.sensitivity[:, np.newaxis] * m.mean**2 for m in layers])
    return Moments(layers, len(x), total)


def _layer_moments(s: Array, a: Array) -> LayerMoments:
    """S_i = Σ_n s_ni, and the mean and variance of the columns of a under the weights s_ni / S_i (EC-7.3)."""
    reference = _reference(a)
    centred = a - reference
    sensitivity = s.sum(axis=0)
    alive = sensitivity[:, np.newaxis] > 0
    offset = np.zeros((s.shape[1], a.shape[1]), s.dtype)
    np.divide(s.T @ centred, sensitivity[:, np.newaxis], out=offset, where=alive)
    square = s.T @ centred**2
    variance = square - sensitivity[:, np.newaxis] * offset**2
    cancelled = variance < CANCELLATION * square
    for i in np.flatnonzero(cancelled.any(axis=1)):
        offset[i, cancelled[i]], variance[i, cancelled[i]] = _two_pass(s[:, i], centred[:, cancelled[i]])
    return LayerMoments(sensitivity, reference, offset, variance)


def _reference(a: Array) -> Array:
    """What to subtract from each column: its mean where that is far from zero, else nothing (EC-7.2).

    A constant column is its own mean exactly.  A column near zero stays as it is, so that the zeros of
    a rectifier stay zeros and the error is relative to E[s a²].
    """
    first = a[0]
    shifted = a - first
    mean = shifted.mean(axis=0)
    std = (shifted - mean).std(axis=0)
    mean += first
    return np.where(np.abs(mean) > OFFSET_STDS * std, mean, 0)


def _two_pass(s: Array, a: Array) -> tuple[Array, Array]:
    """The mean of a's columns weighted by s, and their variance about it, in two passes (EC-3.3, EC-3.4)."""
    seen = s > 0
    s, a = s[seen], a[seen]
    first = a[0]
    mean = first + (s @ (a - first)) / s.sum()
    return mean, s @ (a - mean) ** 2
