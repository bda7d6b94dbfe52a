"""The network, its derivatives and the metrics, as they are defined, in numbers without rounding (EC-9.8)."""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

import numpy as np

from .. import _checks
from .._types import Array, Metric
from ..batch import Samples
from ..mlp import MLP
from ._common import Problem, given_batch, linear_metric
from ._exact_activations import ACTIVATIONS, PIECEWISE_LINEAR
from ._exact_arithmetic import Arithmetic, each


class Pass(NamedTuple):
    """p_n (N,), which sum to 1; W, a (N, n_{l-1}) and c_rᵀ J (N, R, n_l) per layer; m_r (N, R); f and y (N, K).

    The metric is M = Σ_r m_r c_r c_rᵀ: with the factors m_r, no root of a probability is needed.
    """

    probability: Array
    weights: list[Array]
    inputs: list[Array]
    derivatives: list[Array]
    factors: Array
    outputs: Array
    y: Array | None

    def sensitivity(self, l: int) -> Array:
        """p_n s_i, s_i = Σ_r m_r (c_rᵀ J_i)², shape (N, n_l) (EC-3.2)."""
        s: Array = (self.factors[:, :, np.newaxis] * self.derivatives[l] ** 2).sum(axis=1)
        return self.probability[:, np.newaxis] * s


def as_given(mlp: MLP, x: Samples, metric: Metric) -> Problem:
    """The checked arguments in the network's dtype, all batches as one; the weights are not normalised."""
    batch = given_batch(mlp, x, metric)
    y = None if batch.y is None else batch.y[:, -mlp.sizes[-1] :].astype(mlp.dtype)
    return Problem(mlp, batch.x, batch.sample_weight, metric, y)


def first_digits(mlp: MLP, metric: Metric, digits: int) -> int | None:
    """None, where all is rational in the parameters and samples; else the digits that intervals begin with."""
    _checks.integer("digits", digits, 1)
    linear = all(mlp.layer_activation(l).name in PIECEWISE_LINEAR for l in range(mlp.n_layers))
    return None if linear and (callable(metric) or metric in ("output", "mse")) else digits


def passed(R: Arithmetic, given: Problem) -> Pass:
    """Forward and back: z = W a + b, a = σ(z); g^L = c σ'(z^L), g^{l−1} = (g^l W^l) σ'(z^{l−1}) (EC-1, EC-2)."""
    mlp = given.mlp
    weights = [R.numbers(w) for w in mlp.weights]
    inputs, slopes = [R.numbers(given.x)], []
    for l in range(mlp.n_layers):
        z = inputs[l] @ weights[l].T + R.numbers(mlp.biases[l])
        pairs = each(partial(ACTIVATIONS[mlp.layer_activation(l).name], R), z)
        inputs.append(each(lambda pair: pair[0], pairs))
        slopes.append(each(lambda pair: pair[1], pairs))
    outputs = inputs.pop()
    y = None if given.y is None else R.numbers(given.y)
    factors, g = cotangents(R, given, outputs, y)
    derivatives: list[Array] = []
    for l in reversed(range(mlp.n_layers)):
        g = g * slopes[l][:, np.newaxis]
        derivatives.insert(0, g)
        g = g @ weights[l]
    weight = R.numbers(given.weight)
    return Pass(weight / weight.sum(), weights, inputs, derivatives, factors, outputs, y)


def cotangents(R: Any, given: Problem, f: Array, y: Array | None) -> tuple[Array, Array]:
    """m_r (N, R) and c_r (N, R, K), M = Σ_r m_r c_r c_rᵀ (EC-4.1 to EC-4.3, EC-4.7, EC-2.7).

    softmax has m_r = p_r², fisher m_r = p_r, both c_r = e_r − p; the others m_r = 1.
    """
    N, K = f.shape
    if given.metric == "output":
        unit = np.broadcast_to(np.eye(K), (N, K, K))
        return R.numbers(np.ones((N, K))), R.numbers(unit)
    if given.metric == "mse":
        c = (f - y) * 2 / R.number(K)
    elif given.metric in ("softmax", "fisher"):
        p = probabilities(R, f)
        unit = np.eye(p.shape[1], dtype=bool)
        c = np.where(unit, others(R, p)[:, :, np.newaxis], -p[:, np.newaxis])
        return p**2 if given.metric == "softmax" else p, c[..., -K:]
    elif given.metric == "cross_entropy":
        p, target = probabilities(R, f), classes(y)
        c = (p * others(R, target) - target * others(R, p))[:, -K:]
    else:
        c_r = linear_metric(given, R.rounded(f, given.dtype))
        assert c_r is not None
        return R.numbers(np.ones((N, len(c_r)))), R.numbers(c_r.transpose(1, 0, 2))
    return R.numbers(np.ones((N, 1))), c[:, np.newaxis]


def probabilities(R: Any, f: Array) -> Array:
    """p_k = e^{f_k} / Σ_m e^{f_m} of all classes."""
    e = each(R.exp, logits(f))
    p: Array = e / e.sum(axis=1, keepdims=True)
    return p


def others(R: Arithmetic, p: Array) -> Array:
    """Σ_{m≠k} p_m, which is 1 − p_k also where no digits tell p_k from 1."""
    rest: Array = p @ R.numbers(1 - np.eye(p.shape[1]))
    return rest


def logits(f: Array) -> Array:
    """Those of all classes, (0, z) for one logit z (EC-2.7)."""
    return f if f.shape[1] > 1 else np.concatenate([f * 0, f], axis=1)


def classes(y: Any) -> Array:
    """The target probabilities of all classes, (1 − y, y) for one logit (EC-2.7)."""
    target: Array = y if y.shape[1] > 1 else np.concatenate([1 - y, y], axis=1)
    return target
