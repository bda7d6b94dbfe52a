"""The equations as they read: forward-mode derivatives, sample by sample and neuron by neuron (EC-9.1)."""

from __future__ import annotations

from typing import Any

import numpy as np

from .._types import Array, Metric
from ..batch import Samples
from ..mlp import MLP
from ..scores import Scores
from ._common import (
    LOSSES,
    STEP,
    Problem,
    all_logits,
    inputs_and_preactivations,
    linear_metric,
    problem,
    scores_from_sensitivities,
)


def loops(
    mlp: MLP,
    x: Samples,
    metric: Metric = "output",
) -> Scores:
    """EC scores by plain loops: J_i forwards from each neuron, s_i = Σ_r (c_rᵀ J_i)², two-pass moments (EC-9.1).

    Time O(N · neurons · parameters): for small networks and batches.  float32 is computed in float64.

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
    >>> scores = ec.oracle.loops(mlp, [[1.0, 5.0], [3.0, 5.0]])
    >>> scores.importance[0], scores.bias_shift[0]
    (array([[4., 0.]]), array([[4., 5.]]))
    """
    p = problem(mlp, x, metric)
    inputs, preactivations = inputs_and_preactivations(p.mlp, p.x)
    slopes = [slope(p.mlp, l, z) for l, z in enumerate(preactivations)]
    outputs = p.mlp.layer_activation(p.mlp.n_layers - 1).value(preactivations[-1])
    c = linear_metric(p, outputs)
    sensitivities = [np.zeros_like(z) for z in preactivations]
    for n in range(p.n_samples):
        for l in range(p.mlp.n_layers):
            for i in range(len(p.mlp.biases[l])):
                jacobian = output_derivative(p.mlp, [d[n] for d in slopes], l, i)
                sensitivities[l][n, i] = sensitivity(p, n, outputs[n], None if c is None else c[:, n], jacobian)
    return scores_from_sensitivities(p, inputs, sensitivities)


def slope(mlp: MLP, layer: int, z: Array) -> Array:
    """σ'(z) from σ's values alone: Im σ(z + ih)/h."""
    derivative: Array = mlp.layer_activation(layer).value(z + 1j * STEP).imag / z.dtype.type(STEP)
    return derivative


def output_derivative(mlp: MLP, slopes: list[Array], layer: int, i: int) -> Array:
    """J_i = ∂f/∂z_i of one sample: a unit change of z_i, pushed forwards through every later layer."""
    change = np.zeros(len(mlp.biases[layer]), mlp.dtype)
    change[i] = slopes[layer][i]
    for l in range(layer + 1, mlp.n_layers):
        change = slopes[l] * (mlp.weights[l] @ change)
    return change


def sensitivity(p: Problem, n: int, outputs: Array, c: Array | None, jacobian: Array) -> Any:
    """s_i = Jᵀ M J of sample n, as the sum of squares Σ_r (c_rᵀ J)² that it is (EC-3.2)."""
    if c is not None:
        return sum((c_r @ jacobian) ** 2 for c_r in c)
    if p.metric == "output":
        return sum(J_k**2 for J_k in jacobian)
    if p.metric in LOSSES:
        return (_loss_derivative(p, n, outputs) @ jacobian) ** 2
    probability, J = _probabilities(all_logits(outputs)), all_logits(jacobian)
    # (e_r − p)ᵀ J, the change of log p_r; where one logit stands for two classes, the first one's does not move
    change = [sum(p_m * (J_r - J_m) for p_m, J_m in zip(probability, J)) for J_r in J]
    if p.metric == "softmax":
        return sum((p_r * change_r) ** 2 for p_r, change_r in zip(probability, change))
    return sum(p_r * change_r**2 for p_r, change_r in zip(probability, change))


def _loss_derivative(p: Problem, n: int, outputs: Array) -> Array:
    """∂ℓ/∂f of sample n: 2 (f − y)/K, or Σ_m y_m (p_k − [k = m])."""
    assert p.y is not None
    y, K = p.y[n], len(outputs)
    if p.metric == "mse":
        return np.array([2 * (outputs[k] - y[k]) / K for k in range(K)])
    probability = _probabilities(all_logits(outputs))
    return np.array([_others(y, k) * probability[k] - y[k] * _others(probability, k) for k in range(len(y))])[-K:]


def _probabilities(outputs: Array) -> Array:
    e = [np.exp(f - max(outputs)) for f in outputs]
    return np.array([e_k / sum(e) for e_k in e])


def _others(values: Array, k: int) -> Any:
    """Σ_{m≠k} values_m."""
    return sum(value for m, value in enumerate(values) if m != k)
