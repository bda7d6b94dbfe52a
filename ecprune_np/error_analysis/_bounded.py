"""A network's forward pass, metric and pullback in balls: every number with a bound of its error (EC-7.11)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np

from .._types import ActivationName, Array, Metric
from ..activations import ACTIVATIONS
from ..metrics import cotangents
from ..mlp import MLP
from ._balls import Ball, ball, joined

ROUNDINGS = 16  # half units in the last place that an activation's value, or its slope, may be off
LOG_SLOPE: dict[ActivationName, float] = {
    "elu": 1.0,
    "sigmoid": 1.0,
    "tanh": 2.0,
    "softplus": 1.0,
}  # the largest |(log σ')'|
LARGEST_SLOPE: dict[ActivationName, float] = {name: 1.0 for name in ACTIVATIONS} | {
    "sigmoid": 0.25,
    "silu": 1.1,
    "gelu": 1.13,
}
LINEAR_ABOVE = ("leaky_relu", "elu")  # 0, where nothing is rounded
BELOW_KINK: dict[ActivationName, float] = {"relu": 0.0, "leaky_relu": 0.01}  # the slope there; above it is 1


@dataclass(frozen=True, eq=False)
class BoundedPass:
    """p_n (N,), which sum to 1; a (N, n_{l-1}), z (N, n_l) and c_rᵀ J (R, N, n_l) per layer; f (N, K), c (R, N, K).

    `constant` says of each layer's inputs, and of f, which are the same number on all samples, whatever it is.
    """

    probability: Ball
    inputs: list[Ball]
    preactivations: list[Ball]
    outputs: Ball
    cotangents: Ball
    derivatives: list[Ball]
    constant: list[Array]

    def sensitivity(self, l: int) -> Ball:
        """p_n s_i, (N, n_l) (EC-3.2)."""
        return self.derivatives[l].squared().sum(axis=0) * self.probability[:, np.newaxis]


def bounded_forward(mlp: MLP, x: Array) -> tuple[list[Ball], list[Ball], list[Array]]:
    """a of every layer and f; z; and which columns of the former are constant (EC-1.1, EC-1.2)."""
    inputs, preactivations = [Ball.exact(x)], []
    constant = [same(inputs[0])]
    for l, (w, b) in enumerate(zip(mlp.weights, mlp.biases)):
        a = inputs[l]
        preactivations.append(_decided(a @ w.T + b, a, w, b))
        inputs.append(value(mlp.layer_activation(l).name, preactivations[l]))
        constant.append(((w == 0) | constant[l]).all(axis=1) | same(inputs[l + 1]))
    return inputs, preactivations, constant


def same(a: Ball) -> Array:
    """Which columns stand for one number on all samples."""
    columns: Array = ((a.value == a.value[0]) & (a.error == 0)).all(axis=0)
    return columns


def _decided(z: Ball, a: Ball, w: Array, b: Array) -> Ball:
    """z, computed as a fraction where the terms are exact and the sum may have either sign: kinks lie at 0."""
    value, error = z.value.copy(), z.error.copy()
    exact = (a.error == 0).all(axis=1)[:, np.newaxis]
    for n, i in np.argwhere((np.abs(value) <= error) & (error > 0) & exact):
        total = sum((_fraction(a_j) * _fraction(w_j) for a_j, w_j in zip(a.value[n], w[i])), _fraction(b[i]))
        value[n, i] = float(total)
        error[n, i] = float(abs(total - Fraction(float(total))))
    return Ball(value, error)


def _fraction(x: Any) -> Fraction:
    return Fraction(*x.as_integer_ratio())


def bounded_pass(mlp: MLP, x: Array, weight: Array, metric: Metric, y: Array | None, c: Array | None) -> BoundedPass:
    """Everything of a network in its dtype; c are the cotangents of a metric that is a callable."""
    inputs, preactivations, constant = bounded_forward(mlp, x)
    outputs = inputs.pop()
    bounded = bounded_cotangents(metric, outputs, y, c)
    derivatives = bounded_pullback(mlp, preactivations, bounded)
    probability = Ball.exact(weight) / Ball.exact(weight).sum(axis=0, keepdims=True)
    return BoundedPass(probability, inputs, preactivations, outputs, bounded, derivatives, constant)


def bounded_pullback(mlp: MLP, preactivations: Sequence[Ball], g: Ball) -> list[Ball]:
    """g^L = c σ'(z^L), g^{l−1} = (g^l W^l) σ'(z^{l−1}) (EC-2.1, EC-2.2)."""
    derivatives: list[Ball] = []
    for l in reversed(range(mlp.n_layers)):
        g = g * slope(mlp.layer_activation(l).name, preactivations[l])
        derivatives.insert(0, g)
        g = g @ mlp.weights[l]
    return derivatives


def bounded_cotangents(metric: Metric, f: Ball, y: Array | None, c: Array | None) -> Ball:
    """c_r (R, N, K) (EC-4.1 to EC-4.3, EC-4.7)."""
    if c is not None:
        return Ball.exact(c)
    if metric == "output":
        return Ball.exact(np.ascontiguousarray(cotangents(metric, f.value)))
    n_outputs = f.shape[1]
    if metric == "mse":
        assert y is not None
        return (2 * (f - y) / np.full(1, n_outputs, f.value.dtype))[np.newaxis]
    p = probabilities(f)
    if metric == "cross_entropy":
        assert y is not None
        target = _classes(1 - ball(y), ball(y))
        return (p * others(target) - others(p) * target)[np.newaxis, :, -n_outputs:]
    K = p.shape[1]
    rest, lead = others(p), p if metric == "softmax" else p.root()
    unit = np.eye(K, dtype=bool)[:, np.newaxis]
    e_minus_p = Ball(np.where(unit, rest.value, -p.value), np.where(unit, rest.error, p.error))
    return (lead.T[:, :, np.newaxis] * e_minus_p)[..., -n_outputs:]


def probabilities(f: Ball) -> Ball:
    """p_k = e^{f_k} / Σ_m e^{f_m} of all classes; none is above 1 (EC-2.5, EC-2.7)."""
    logits = _classes(Ball.exact(np.zeros_like(f.value)), f)
    e = (logits - logits.value.max(axis=1, keepdims=True)).exp()
    p: Ball = (e / e.sum(axis=1, keepdims=True)).within(0, 1)
    return p


def _classes(first: Ball, second: Ball) -> Ball:
    """Both as the columns of two classes, where `second` is of one logit (EC-2.7)."""
    return joined([first, second], axis=1) if second.shape[1] == 1 else second


def others(p: Ball) -> Ball:
    """Σ_{m≠k} p_m."""
    rest: Ball = p @ (1 - np.eye(p.shape[1], dtype=p.value.dtype))
    return rest


def value(name: ActivationName, z: Ball) -> Ball:
    """σ(z), and how far it may be from σ of what z stands for (EC-10)."""
    if name == "identity":
        return z
    e, v, steep = z.error, ACTIVATIONS[name].value(z.value), np.abs(ACTIVATIONS[name].derivative(z.value))
    if name in BELOW_KINK:
        moved = e * np.where(z.value + e > 0, 1, z.value.dtype.type(BELOW_KINK[name]))
    elif name in LOG_SLOPE:
        moved = steep * np.expm1(LOG_SLOPE[name] * e) / LOG_SLOPE[name]
    else:
        moved = steep * e + BENT[name](z).curvature_near / 2 * e**2
    error = np.fmin(moved, LARGEST_SLOPE[name] * e) + _rounding(name, z, np.abs(v))
    return Ball(v, np.where(z.is_zero() & (v == 0), 0, error))


def slope(name: ActivationName, z: Ball) -> Ball:
    """σ'(z), the whole jump in doubt where z may stand for either side of a kink."""
    e, steep = z.error, ACTIVATIONS[name].derivative(z.value)
    if name == "identity":
        return Ball.exact(steep)
    if name in BELOW_KINK:
        in_doubt = (np.abs(z.value) <= e) & (e > 0)
        return Ball(steep, np.where(in_doubt, 1 - z.value.dtype.type(BELOW_KINK[name]), 0))
    if name in LOG_SLOPE:
        moved, size = steep * np.expm1(LOG_SLOPE[name] * e), steep
        moved = np.where((name == "elu") & (z.value > e), 0, moved)
    else:
        bent, size = BENT[name](z), BENT[name](z).size
        moved = np.fmin(np.abs(bent.curvature) * e + bent.third_near / 2 * e**2, bent.curvature_near * e)
    return Ball(steep, np.fmin(moved, 2 * LARGEST_SLOPE[name]) + _rounding(name, z, size))


class Bent(NamedTuple):
    """σ'', the largest ∣σ''∣ and ∣σ'''∣ in a ball, and the size of the terms that σ' is the sum of."""

    curvature: Array
    curvature_near: Array
    third_near: Array
    size: Array


def _sin(z: Ball) -> Bent:
    one = np.ones_like(z.value)
    return Bent(-np.sin(z.value), one, one, np.abs(np.cos(z.value)))


def _silu(z: Ball) -> Bent:
    """σ'' = s' (2 + z (1 − 2s)), and ∣s''∣ ≤ s'."""
    s, ds = (function(z.value) for function in (ACTIVATIONS["sigmoid"].value, ACTIVATIONS["sigmoid"].derivative))
    near, far = ds * np.exp(z.error), z.size()
    return Bent(ds * (2 + z.value * (1 - 2 * s)), near * (2 + far), near * (3 + 2 * far), s + np.abs(z.value) * ds)


def _gelu(z: Ball) -> Bent:
    """σ'' = φ (2 − z²), σ''' = φ (z³ − 4z)."""
    density, near = (np.exp(-(t**2) / 2) / np.sqrt(2 * t.dtype.type(np.pi)) for t in (z.value, z.least()))
    far, size = z.size(), np.abs(ACTIVATIONS["gelu"].derivative(z.value)) + 2 * np.abs(z.value) * density
    return Bent(density * (2 - z.value**2), near * (2 + far**2), near * (far**3 + 4 * far), size)


BENT: dict[ActivationName, Callable[[Ball], Bent]] = {
    "sin": _sin,
    "silu": _silu,
    "gelu": _gelu,
}  # whose slope changes sign


def _rounding(name: ActivationName, z: Ball, size: Array) -> Array:
    """What the evaluation itself may be off; gelu's tail is as sensitive to the rounding of its argument as z² says."""
    info = np.finfo(z.value.dtype)
    if name == "relu":
        return np.zeros_like(size)
    amplified = ROUNDINGS * (1 + z.value**2 if name == "gelu" else 1)
    rounding: Array = info.eps / 2 * amplified * size + 4 * info.smallest_subnormal * (1 + np.abs(z.value))
    return np.where((name in LINEAR_ABOVE) & (z.value > 0), 0, rounding)


def bounded_moments(s: Ball, a: Ball, constant: Array) -> tuple[Ball, Ball]:
    """μ and v of one neuron's inputs a (N, m), s (N,) with the samples' shares (EC-7.12).

    With d = a − m, m near μ: μ = m + E[s d]/S, and v = E[s d²] − S (μ − m)² is not above E[s d²].
    """
    seen = ~s.is_zero()
    s, a = s[seen], a[seen]
    if len(s) == 0:
        return (Ball.exact(np.zeros_like(a.value.sum(axis=0))),) * 2
    constant = constant | (len(s) == 1)
    start = a.value[np.argmax(s.value)]
    S = s.sum(axis=0, keepdims=True)
    shift = s.value @ (a.value - start)
    m = start + np.divide(shift, S.value, where=S.value > 0, out=np.zeros_like(shift))
    m = np.where(constant, start, m)
    d = a - m
    d = Ball(np.where(constant, 0, d.value), np.where(constant, 0, d.error))  # one number: let m be that
    first, second = s @ d, s @ d.squared()
    offset = first / S
    mean = offset + m
    error = np.where(constant, a.error[np.argmax(s.value)], 0) + (mean.error if S.least() > 0 else np.inf)
    excess = S.size() * offset.size() ** 2
    return Ball(mean.value, error), Ball(second.value, np.fmin(second.error + excess, second.size()))
