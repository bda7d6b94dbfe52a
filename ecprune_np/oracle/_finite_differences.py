"""Derivatives from network evaluations alone, extrapolated, with an estimate of their error (EC-9.2)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from .._types import Array, Metric
from ..batch import Samples
from ..mlp import MLP
from ..scores import Scores
from ._common import (
    Problem,
    embedding,
    evaluate_from,
    inputs_and_preactivations,
    linear_metric,
    problem,
    scores_from_sensitivities,
    two_pass_moments,
)

FIRST_STEP = 2.0**-4
N_STEPS = 16
SHRINK = 2.0


@dataclass(frozen=True, eq=False, repr=False)
class EstimatedScores(Scores):
    """Scores with an estimate of the absolute error of each.

    Attributes
    ----------
    importance : tuple of L arrays (n_l, n_{l-1})
        I_ij.
    bias_shift : tuple of L arrays (n_l, n_{l-1})
        δ*_ij.
    importance_error : tuple of L arrays (n_l, n_{l-1})
        How far I_ij may be off.
    bias_shift_error : tuple of L arrays (n_l, n_{l-1})
        How far δ*_ij may be off.

    Examples
    --------
    >>> ec.oracle.finite_differences(ec.MLP([[[2.0, 1.0]]], [[0.0]]), [[1.0, 5.0], [3.0, 5.0]])
    EstimatedScores(1 layers, 2 weights)
    """

    importance_error: tuple[Array, ...]
    bias_shift_error: tuple[Array, ...]


def finite_differences(
    mlp: MLP,
    x: Samples,
    metric: Metric = "output",
) -> EstimatedScores:
    """EC scores from central differences in each bias, extrapolated to step zero (EC-9.2; Ridders, 1982).

    The errors come from the spread of the extrapolation, plus the jump between the one-sided
    derivatives: at a kink there is no derivative, and the error says so.  float32 is computed in
    float64.

    Parameters
    ----------
    mlp : MLP
        The network.
    x : array (N, n_0), ec.Batch, or an iterator of them
        The samples; in a batch with their weights, and with targets where the metric is a loss.
    metric : str or callable, default "output"
        "output", "softmax", "fisher", "mse", "cross_entropy", or a callable, as for `collect_moments`.

    Returns
    -------
    EstimatedScores
        `importance` and `bias_shift`, each shaped as the weights, and the estimated errors of both.

    Raises
    ------
    TypeError, ValueError
        For a wrong argument, and for an overflow.
    BatchError
        For a batch that is wrong or does not come.

    Examples
    --------
    >>> mlp = ec.MLP([[[2.0, 1.0]]], [[0.0]])
    >>> scores = ec.oracle.finite_differences(mlp, [[1.0, 5.0], [3.0, 5.0]])
    >>> scores.importance[0].round(9), scores.bias_shift[0].round(9)
    (array([[4., 0.]]), array([[4., 5.]]))
    >>> bool((scores.importance_error[0] < 1e-9).all())
    True
    """
    p = problem(mlp, x, metric)
    inputs, preactivations = inputs_and_preactivations(p.mlp, p.x)
    c = linear_metric(p, evaluate_from(p.mlp, 0, preactivations[0]))
    sensitivities, sensitivity_errors = [], []
    for l, z in enumerate(preactivations):
        s, error = np.zeros_like(z), np.zeros_like(z)
        for i in range(z.shape[1]):
            slope, slope_error = extrapolated_derivative(_output_after(p, c, l, z, i))
            s[:, i] = np.sum(slope**2, axis=-1)
            error[:, i] = np.sum((2 * np.abs(slope) + slope_error) * slope_error, axis=-1)
        sensitivities.append(s)
        sensitivity_errors.append(error)
    scores = scores_from_sensitivities(p, inputs, sensitivities)
    importance_error = [np.zeros_like(w) for w in p.mlp.weights]
    bias_shift_error = [np.zeros_like(w) for w in p.mlp.weights]
    for l, weights in enumerate(p.mlp.weights):
        for i in range(weights.shape[0]):
            for j in range(weights.shape[1]):
                s, ds, a = sensitivities[l][:, i], sensitivity_errors[l][:, i], inputs[l][:, j]
                mean, _ = two_pass_moments(p.weight, s, a)
                total = (p.weight * s).sum()
                # dv = E[ds (a − μ)²] and dμ = E[ds (a − μ)]/S, to first order in ds (EC-9.3)
                importance_error[l][i, j] = weights[i, j] ** 2 * (p.weight * ds * (a - mean) ** 2).sum()
                spread = (p.weight * ds * np.abs(a - mean)).sum()
                bias_shift_error[l][i, j] = np.abs(weights[i, j]) * (spread / total if total > 0 else 0)
    return EstimatedScores(scores.importance, scores.bias_shift, tuple(importance_error), tuple(bias_shift_error))


def _output_after(p: Problem, c: Array | None, layer: int, z: Array, i: int) -> Callable[[float], Array]:
    """The function step → φ(f), shape (N, R), with z_i of a layer moved by the step."""

    def output_after(step: float) -> Array:
        moved = z.copy()
        moved[:, i] += step
        outputs = evaluate_from(p.mlp, layer, moved)
        return embedding(p, outputs) if c is None else np.einsum("rnk,nk->nr", c, outputs)

    return output_after


def extrapolated_derivative(function: Callable[[float], Array]) -> tuple[Array, Array]:
    """d/dt function(t) at t = 0 and its error: Ridders' table of central differences, entry by entry."""
    unchanged = function(0.0)
    previous: list[Array] = []
    best = np.zeros_like(unchanged)
    best_error = np.full(unchanged.shape, np.inf)
    jumps: list[Array] = []
    step = FIRST_STEP
    for _ in range(N_STEPS):
        above, below = function(step), function(-step)
        row = [(above - below) / (2 * step)]
        rounding = 2.0**-52 * np.maximum(np.abs(above), np.abs(below)) / step
        for k, coarser in enumerate(previous, start=1):
            factor = SHRINK ** (2 * k)
            row.append((factor * row[k - 1] - coarser) / (factor - 1))
            error = np.maximum(np.abs(row[k] - row[k - 1]), np.abs(row[k] - coarser)) + rounding
            better = error < best_error
            best, best_error = np.where(better, row[k], best), np.where(better, error, best_error)
        jumps.append((above - 2 * unchanged + below) / step)
        previous = row
        step /= SHRINK
    # h f'' halves with the step, a kink's jump stays
    jump = np.min([np.abs(SHRINK * fine - coarse) for coarse, fine in pairwise(jumps)], axis=0)
    return best, best_error + jump
