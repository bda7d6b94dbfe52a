"""How far first order is from the truth, weight by weight (EC-8)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from . import _checks
from .metrics import Metric
from .mlp import MLP
from .oracle._common import problem
from .oracle._nonlinear import Removal, removals
from .scores import Scores

Array = npt.NDArray[Any]
Weight = tuple[int, int, int]

FRACTIONS = 0.5 ** np.arange(1, 13)  # of a weight that is removed
RATE_POINTS = 4  # how many of the smallest remainders the rate is fitted to
ROUNDING = 100  # a remainder this many roundings large has a rate that can be read


@dataclass(frozen=True, eq=False)
class LinearizationError:
    """For each chosen weight (layer, row, column): the `predicted` importance and the `true` change at its shift.

    `ratio` is true/predicted: near 1 where first order can be trusted, 1 where both are 0, infinite where only the
    prediction is 0.  `remainder` (n, fractions) is √E‖f(ε) − f − ε J (δ* − w a)‖²_M where the fraction ε of the
    weight is removed and ε δ* shifted; it falls as ε^`rate`, 2 for a smooth network.  The rate is infinite where
    the remainder vanishes, or is rounding: there first order is exact near the network.
    """

    indices: npt.NDArray[np.intp]
    predicted: Array
    true: Array
    ratio: Array
    fractions: Array
    remainder: Array
    rate: Array

    def __str__(self) -> str:
        low, median, high = np.quantile(self.ratio, [0.05, 0.5, 0.95], method="nearest")
        return (
            f"{len(self.ratio)} weights: true change / predicted importance {median:.3g} in the median, "
            f"{low:.3g} to {high:.3g} in 9 of 10; remainder of order {np.median(self.rate):.2f}"
        )


def linearization_error(
    mlp: MLP,
    x: npt.ArrayLike,
    scores: Scores,
    weights: Sequence[Weight] | None = None,
    *,
    n_weights: int = 100,
    seed: int = 0,
    metric: Metric = "output",
    sample_weight: npt.ArrayLike | None = None,
    y: npt.ArrayLike | None = None,
    loss: str = "mse",
) -> LinearizationError:
    """The true change E‖f(w_ij = 0, b_i + δ_ij) − f‖²_M beside the importance in `scores` (EC-8.2, EC-8.4).

    `scores` are those of the same x and metric, which is taken at the unpruned outputs.  `weights` lists
    (layer, row, column); without it `n_weights` are drawn, or all where there are no more.
    float32 is computed in float64.  Raises ValueError for an index that does not exist, and as `collect_moments`.
    """
    p = problem(mlp, x, metric, sample_weight, y, loss)
    _checks.instance("scores", scores, Scores)
    _checks.per_layer("scores.importance", scores.importance, mlp.shapes)
    indices = _drawn(mlp, n_weights, seed) if weights is None else _checked(mlp, weights)
    removal = removals(p)
    predicted, true = np.zeros(len(indices), p.dtype), np.zeros(len(indices), p.dtype)
    remainder = np.zeros((len(indices), len(FRACTIONS)), p.dtype)
    rate = np.zeros(len(indices))
    for k, (l, i, j) in enumerate(indices.tolist()):
        alone, shift = removal(l, i), scores.bias_shift[l][i, j].astype(p.dtype)
        predicted[k] = scores.importance[l][i, j]
        with np.errstate(over="ignore", invalid="ignore", under="ignore"):  # overflow is raised below
            true[k] = alone.value(np.array([j]), np.array([shift]))[0]
            remainder[k] = _remainders(alone, j, shift)
            rate[k] = _rate(remainder[k], float(alone.output_rounding()))
    _checks.no_overflow("the true change", [true, remainder])
    return LinearizationError(
        indices, predicted, true, _ratio(true, predicted), FRACTIONS.astype(p.dtype), remainder, rate
    )


def _remainders(removal: Removal, j: int, shift: Any) -> Array:
    """√E‖f(ε) − f − ε J (δ − w a)‖²_M for every fraction ε (EC-8.1)."""
    weight = removal.p.weight
    t = shift - removal.weights[j] * removal.inputs[:, j]
    _, slope = removal.changes_and_slopes(np.zeros_like(t)[np.newaxis])
    scaled = FRACTIONS.astype(t.dtype)[:, np.newaxis] * t
    remainder = removal.changes(scaled) - scaled * slope
    root: Array = np.sqrt(np.sum(remainder**2, axis=0) @ weight)
    return root


def _rate(remainder: Array, rounding: float) -> float:
    """The slope of log remainder against log ε, over the smallest that are not rounding (EC-8.2)."""
    seen = np.flatnonzero(remainder > ROUNDING * rounding)[-RATE_POINTS:]
    if len(seen) < 2:
        return float(np.inf)
    slope = np.polyfit(np.log(FRACTIONS[seen]), np.log(remainder[seen].astype(np.float64)), 1)[0]
    return float(slope)


def _ratio(true: Array, predicted: Array) -> Array:
    with np.errstate(over="ignore"):
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
    indices = np.asarray(weights)
    if indices.ndim != 2 or indices.shape[1] != 3 or len(indices) == 0 or indices.dtype.kind not in "iu":
        got = f"{indices.dtype} of shape {indices.shape}"
        raise ValueError(f"weights: expected integers (layer, row, column), shape (n, 3), got {got}")
    for k, (l, i, j) in enumerate(indices.tolist()):
        if not (0 <= l < mlp.n_layers and 0 <= i < mlp.shapes[l][0] and 0 <= j < mlp.shapes[l][1]):
            raise ValueError(f"weights[{k}]: expected (layer, row, column) of {mlp.shapes}, got {(l, i, j)}")
    return indices.astype(np.intp)
