"""Derivatives that are exact to rounding without any rule of differentiation: Im f(z + ih)/h (EC-9.3)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ..metrics import Metric
from ..mlp import MLP
from ..scores import Scores
from ._common import (
    embedding,
    evaluate_from,
    inputs_and_preactivations,
    linear_metric,
    problem,
    scores_from_sensitivities,
)

STEP = 1e-200


def complex_step(
    mlp: MLP,
    x: npt.ArrayLike,
    metric: Metric = "output",
    *,
    sample_weight: npt.ArrayLike | None = None,
    y: npt.ArrayLike | None = None,
    loss: str = "mse",
) -> Scores:
    """EC scores with ∂φ/∂z_i = Im φ(z_i + ih)/h, h = 1e-200 (EC-9.3; Squire and Trapp, 1998).

    One evaluation of the downstream network a neuron; no subtraction, so no cancellation.  float32 is
    computed in float64.  Arguments and errors as `collect_moments`.
    """
    p = problem(mlp, x, metric, sample_weight, y, loss)
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
