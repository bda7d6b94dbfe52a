"""Derivatives that are exact to rounding without any rule of differentiation: Im f(z + ih)/h (EC-9.4)."""

from __future__ import annotations

import numpy as np

from .._types import Metric
from ..batch import Samples
from ..mlp import MLP
from ..scores import Scores
from ._common import (
    STEP,
    embedding,
    evaluate_from,
    inputs_and_preactivations,
    linear_metric,
    problem,
    scores_from_sensitivities,
)


def complex_step(
    mlp: MLP,
    x: Samples,
    metric: Metric = "output",
) -> Scores:
    """EC scores with ∂φ/∂z_i = Im φ(z_i + ih)/h, h = 1e-200 (EC-9.4; Squire and Trapp, 1998).

    One evaluation of the downstream network a neuron; no subtraction, so no cancellation.  float32 is
    computed in float64.

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
    Scores
        `importance` and `bias_shift`, each shaped as the weights.

    Raises
    ------
    TypeError, ValueError
        For a wrong argument, and for an overflow.
    BatchError
        For a batch that is wrong or does not come.

    Examples
    --------
    >>> mlp = ec.MLP([[[2.0, 1.0]]], [[0.0]])
    >>> scores = ec.oracle.complex_step(mlp, [[1.0, 5.0], [3.0, 5.0]])
    >>> scores.importance[0].round(9), scores.bias_shift[0].round(9)
    (array([[4., 0.]]), array([[4., 5.]]))
    """
    p = problem(mlp, x, metric)
    inputs, preactivations = inputs_and_preactivations(p.mlp, p.x)
    c = linear_metric(p, evaluate_from(p.mlp, 0, preactivations[0]))
    sensitivities = []
    for l, z in enumerate(preactivations):
        sensitivity = np.zeros_like(z)
        for i in range(z.shape[1]):
            stepped = z.astype(np.result_type(z, 1j))
            stepped[:, i] += 1j * STEP
            outputs = evaluate_from(p.mlp, l, stepped)
            change = embedding(p, outputs).imag if c is None else np.einsum("rnk,nk->nr", c, outputs.imag)
            sensitivity[:, i] = np.sum((change / p.dtype.type(STEP)) ** 2, axis=-1)
        sensitivities.append(sensitivity)
    return scores_from_sensitivities(p, inputs, sensitivities)
