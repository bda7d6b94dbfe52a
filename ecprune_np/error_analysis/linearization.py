"""How far first order is from the truth, weight by weight (EC-8)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from .. import _checks
from .._frozen import Frozen
from .._types import Array, Metric
from ..batch import Samples, gathered
from ..metrics import cotangents, metric_targets
from ..mlp import MLP, Trace, forward, pullback
from ..scores import Scores
from ..streaming.batches import batches_of

Weight = tuple[int, int, int]

FRACTIONS = 0.5 ** np.arange(1, 13)  # of a weight that is removed
RATE_POINTS = 4  # how many of the smallest remainders the rate is fitted to
ROUNDING = 1600  # a remainder this many roundings of the output large has a rate that can be read


@dataclass(frozen=True, eq=False, repr=False)
class LinearizationError(Frozen):
    """How far first order can be trusted, for each of n chosen weights.

    Attributes
    ----------
    indices : int array (n, 3)
        (layer, row, column).
    predicted : array (n,)
        The importances.
    true : array (n,)
        The true changes at their shifts.
    ratio : array (n,)
        true/predicted: near 1 where first order can be trusted, 1 where both are 0, infinite where only the
        prediction is 0.
    fractions : array (F,)
        The fractions ε of a weight that are removed, with ε δ* as the shift.
    remainder : array (n, F)
        √E‖f(ε) − f − ε J (δ* − w a)‖²_M.
    rate : array (n,)
        The remainder falls as ε^rate: 2 for a smooth network.  Infinite where it vanishes, or is rounding: there first
        order is exact near the network.

    Examples
    --------
    >>> mlp, x = ec.MLP([[[2.0, 1.0]]], [[0.0]]), [[1.0, 5.0], [3.0, 5.0]]
    >>> ec.linearization_error(mlp, x, ec.elimination_compensation(mlp, x))
    LinearizationError(2 weights, median ratio 1)
    """

    indices: npt.NDArray[np.intp]
    predicted: Array
    true: Array
    ratio: Array
    fractions: Array
    remainder: Array
    rate: Array

    def __repr__(self) -> str:
        return f"LinearizationError({len(self.ratio)} weights, median ratio {np.median(self.ratio):.3g})"

    def __str__(self) -> str:
        low, median, high = np.quantile(self.ratio, [0.05, 0.5, 0.95], method="nearest")
        return (
            f"{len(self.ratio)} weights: true change / predicted importance {median:.3g} in the median, "
            f"{low:.3g} to {high:.3g} in 9 of 10; remainder of order {np.median(self.rate):.2f}"
        )


def linearization_error(
    mlp: MLP,
    x: Samples,
    scores: Scores,
    weights: Sequence[Weight] | None = None,
    *,
    n_weights: int | None = None,
    seed: int | None = None,
    metric: Metric = "output",
) -> LinearizationError:
    """The true change E‖f(w_ij = 0, b_i + δ_ij) − f‖²_M beside the importance in `scores` (EC-8.2, EC-8.4).

    M is taken at the unpruned outputs.  float32 is computed in float64.

    Parameters
    ----------
    mlp : MLP
        The network.
    x : array (N, n_0), ec.Batch, or an iterator of them
        The samples; in a batch with their weights, and with targets where the metric is a loss.
    scores : Scores
        Of the same samples and metric.
    weights : sequence of (layer, row, column), optional
        The weights to look at.
    n_weights : int, optional
        How many are drawn where none are listed: 100, or all where there are no more.
    seed : int, optional
        Of that draw, 0.
    metric : str or callable, default "output"
        "output", "softmax", "fisher", "mse", "cross_entropy", or a callable, as for `collect_moments`.

    Returns
    -------
    LinearizationError
        For each of the weights, prediction and truth.

    Raises
    ------
    TypeError, ValueError
        For a wrong argument or one without effect, a weight that does not exist, and for an overflow.
    BatchError
        For a batch that is wrong or does not come.

    Examples
    --------
    >>> mlp = ec.MLP.initialize([2, 3, 1], seed=0)
    >>> x = np.random.default_rng(0).standard_normal((50, 2))
    >>> error = ec.linearization_error(mlp, x, ec.elimination_compensation(mlp, x), [(0, 1, 0)])
    >>> error.ratio.round(2), error.rate.round(2)
    (array([1.62]), array([2.]))
    """
    _checks.instance("mlp", mlp, MLP)
    _checks.instance("scores", scores, Scores)
    _checks.per_layer("scores.importance", scores.importance, mlp.shapes)
    if weights is None:
        indices = _drawn(mlp, 100 if n_weights is None else n_weights, 0 if seed is None else seed)
    else:
        why = "beside weights that are listed"
        _checks.without_effect(n_weights=(n_weights, why), seed=(seed, why))
        indices = _checked(mlp, weights)
    network = _Network.of(mlp, x, metric)
    predicted, true = np.zeros(len(indices), network.dtype), np.zeros(len(indices), network.dtype)
    remainder = np.zeros((len(indices), len(FRACTIONS)), network.dtype)
    rate = np.zeros(len(indices))
    with _checks.overflow_raised_later():
        for k, (l, i, j) in enumerate(indices.tolist()):
            predicted[k] = scores.importance[l][i, j]
            t = scores.bias_shift[l][i, j].astype(network.dtype) - network.removed(l, i, j)
            fractions = FRACTIONS.astype(network.dtype)[:, np.newaxis] * t
            changes = network.changes(l, i, np.concatenate([t[np.newaxis], fractions]))
            true[k] = network.square(changes[:, 0])
            # √E‖f(ε) − f − ε J (δ − w a)‖²_M for every fraction ε (EC-8.1)
            left = changes[:, 1:] - fractions * network.derivatives[l][:, np.newaxis, :, i]
            remainder[k] = np.sqrt(network.square(left))
            rate[k] = _rate(remainder[k], float(network.output_rounding()))
    _checks.no_overflow("the true change", [true, remainder])
    fractions = FRACTIONS.astype(network.dtype)
    return LinearizationError(indices, predicted, true, _ratio(true, predicted), fractions, remainder, rate)


@dataclass(frozen=True, eq=False)
class _Network:
    """The unpruned network on all samples: its trace, cotangents c (R, N, K) and their derivatives (R, N, n_l)."""

    mlp: MLP
    trace: Trace
    weight: Array
    c: Array
    derivatives: list[Array]

    @classmethod
    def of(cls, mlp: MLP, x: Samples, metric: Metric) -> _Network:
        batch = gathered(x, mlp.sizes[0], mlp.dtype, metric_targets(mlp, metric))
        if mlp.dtype == np.float32:
            mlp = mlp.astype(np.float64)
        (samples,) = batches_of(mlp, batch, metric, len(batch.x))
        trace = forward(mlp, samples.x)
        c = cotangents(metric, trace.outputs, samples.y)
        return cls(mlp, trace, samples.weight / samples.weight.sum(), c, pullback(mlp, trace, c))

    @property
    def dtype(self) -> np.dtype[Any]:
        """In which everything is computed."""
        return self.mlp.dtype

    def removed(self, l: int, i: int, j: int) -> Array:
        """w_ij a_j, shape (N,): what z_i loses."""
        lost: Array = self.mlp.weights[l][i, j] * self.trace.inputs[l][:, j]
        return lost

    def changes(self, l: int, i: int, t: Array) -> Array:
        """c_rᵀ (f(z_i + t) − f) for t of shape (J, N), as (R, J, N): changes alone pass, so that little cancels."""
        change = np.zeros((*t.shape, len(self.mlp.biases[l])), self.dtype)
        change[..., i] = t
        activations = [*self.trace.inputs[1:], self.trace.outputs]
        for m in range(l, self.mlp.n_layers):
            if m > l:
                change = change @ self.mlp.weights[m].T
            activation = self.mlp.layer_activation(m)
            if activation.name != "identity":  # which rounds nothing
                change = activation.value(self.trace.preactivations[m] + change) - activations[m]
        measured: Array = np.einsum("rnk,jnk->rjn", self.c, change)
        return measured

    def square(self, change: Array) -> Array:
        """E Σ_r of the square of changes (R, ..., N)."""
        mean: Array = np.sum(change**2, axis=0) @ self.weight
        return mean

    def output_rounding(self) -> Any:
        """√E‖c (ε f)‖²: a change of the output that is no larger is made of rounding."""
        size = np.einsum("rnk,nk->rn", np.abs(self.c), np.abs(self.trace.outputs))
        return np.finfo(self.dtype).eps * np.sqrt(self.square(size))


def _rate(remainder: Array, rounding: float) -> float:
    """The slope of log remainder against log ε, over the smallest that are not rounding (EC-8.2)."""
    seen = np.flatnonzero(remainder > ROUNDING * rounding)[-RATE_POINTS:]
    if len(seen) < 2:
        return float(np.inf)
    slope = np.polyfit(np.log(FRACTIONS[seen]), np.log(remainder[seen].astype(np.float64)), 1)[0]
    return float(slope)


def _ratio(true: Array, predicted: Array) -> Array:
    with _checks.overflow_raised_later():
        ratio = np.divide(true, predicted, out=np.full_like(true, np.inf), where=predicted > 0)
    return np.where((true == 0) & (predicted == 0), 1, ratio)


def _drawn(mlp: MLP, n_weights: int, seed: int) -> npt.NDArray[np.intp]:
    """Different weights, each as likely as any other, in the order of layer, row and column."""
    n_weights = min(_checks.integer("n_weights", n_weights, 1), mlp.n_weights)
    rng = np.random.default_rng(_checks.integer("seed", seed, 0))
    flat = np.sort(rng.choice(mlp.n_weights, n_weights, replace=False))
    every = [(l, i, j) for l, (n, m) in enumerate(mlp.shapes) for i in range(n) for j in range(m)]
    return np.array([every[k] for k in flat], dtype=np.intp)


def _checked(mlp: MLP, weights: Sequence[Weight]) -> npt.NDArray[np.intp]:
    indices = _checks.as_array("weights", weights)
    if indices.ndim != 2 or indices.shape[1] != 3 or len(indices) == 0 or indices.dtype.kind not in "iu":
        got = f"{indices.dtype} of shape {indices.shape}"
        raise ValueError(f"weights: expected integers (layer, row, column), shape (n, 3), got {got}")
    for k, (l, i, j) in enumerate(indices.tolist()):
        if not (0 <= l < mlp.n_layers and 0 <= i < mlp.shapes[l][0] and 0 <= j < mlp.shapes[l][1]):
            raise ValueError(f"weights[{k}]: expected (layer, row, column) of {mlp.shapes}, got {(l, i, j)}")
    return indices.astype(np.intp)
