"""A catalogue of what goes wrong when the formulas become automatic differentiation: each a few lines that do it.

Every mistake is a function from a case's `Parts` to the *wrong* importances and bias shifts.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np

from .._types import Array
from ..activations import ACTIVATIONS, Activation
from ..losses import softmax
from ._cases import Case, Layers

Pairs = list[tuple[Array, Array]]

BATCH_SIZES = (8, 10, 16, 32, 50, 64, 100, 128)
ROUNDING = 1e-13
EPSILONS = (1e-3, 1e-4, 1e-5, 1e-6, 2.0**-23, 1e-8, 1e-9, 1e-10, 1e-12, 1e-15, 2.0**-52, 1e-16, 1e-20, 1e-30)


@dataclass(frozen=True, eq=False)
class Parts:
    """What the formulas are made of: per layer weights, inputs a (N, m), preactivations z (N, n), J (K, N, n).

    `s` is the sensitivity Σ_k J_k² (N, n); mistakes replace what they get wrong.
    """

    w: Layers
    b: Layers
    activation: Activation
    x: Array
    a: Layers
    z: Layers
    J: Layers
    s: Layers
    f: Array


@dataclass(frozen=True, eq=False, repr=False)
class Mistake:
    """One mistake that implementations make.

    Attributes
    ----------
    id : str
        Its name.
    sentence : str
        What is done wrong.
    equation : str
        The label of the equation that it violates.
    values : callable
        The wrong importances and shifts, a pair a layer, from what the formulas are made of.

    Examples
    --------
    >>> len({mistake.id for mistake in ec.conformance.MISTAKES}) == len(ec.conformance.MISTAKES)
    True
    """

    id: str
    sentence: str
    equation: str
    values: Callable[[Parts], Pairs]

    def __repr__(self) -> str:
        return f"Mistake({self.id}, {self.equation})"


@cache
def wrong_values(mistake: Mistake, case: Case) -> tuple[Layers, Layers]:
    """The importances and bias shifts that an implementation with this mistake returns."""
    with wrong_numbers():
        pairs = mistake.values(parts_of(case))
    return tuple(importance for importance, _ in pairs), tuple(shift for _, shift in pairs)


def wrong_numbers() -> np.errstate:
    """A context without warnings: wrong answers divide by zero and overflow, and that is what shows them."""
    return np.errstate(all="ignore")


@cache
def parts_of(case: Case) -> Parts:
    """Forward pass, Jacobians and sensitivities of a case (EC-1, EC-2)."""
    return _parts(case.weights, case.biases, ACTIVATIONS[case.activation], case.x)


def _parts(
    w: Layers,
    b: Layers,
    activation: Activation,
    x: Array,
    slope: Callable[[Array], Array] | None = None,
    output: Activation = ACTIVATIONS["identity"],
) -> Parts:
    slope = activation.derivative if slope is None else slope
    a, z = [x], []
    for l in range(len(w)):
        z.append(a[l] @ w[l].T + b[l])
        a.append((activation if l < len(w) - 1 else output).value(z[l]))
    K = len(b[-1])
    J = [np.repeat(np.eye(K)[:, np.newaxis], len(x), axis=1) * output.derivative(z[-1])]
    for l in reversed(range(1, len(w))):
        J.insert(0, (J[0] @ w[l]) * slope(z[l - 1]))
    return Parts(w, b, activation, x, tuple(a[:-1]), tuple(z), tuple(J), tuple(_squares(j) for j in J), a[-1])


def _again(p: Parts, **changes: Any) -> Parts:
    """The passes once more, with something else in them."""
    return _parts(**{"w": p.w, "b": p.b, "activation": p.activation, "x": p.x, **changes})


def _squares(J: Array) -> Array:
    squares: Array = np.einsum("rni,rni->ni", J, J)
    return squares


def _quotient(numerator: Array, denominator: Array) -> Array:
    """A quotient that is 0 where the denominator is."""
    shape = np.broadcast_shapes(numerator.shape, denominator.shape)
    return np.divide(numerator, denominator, out=np.zeros(shape), where=np.broadcast_to(denominator != 0, shape))


def _mean(s: Array, a: Array) -> Array:
    """μ_ij = E[s_i a_j] / S_i (EC-3.3)."""
    return _quotient(s.T @ a, s.sum(axis=0)[:, np.newaxis])


def _about(s: Array, a: Array, centre: Array) -> Array:
    """E[s_i (a_j − c_ij)²]."""
    moment: Array = np.einsum("ni,nij->ij", s, (a[:, np.newaxis] - centre) ** 2) / len(a)
    return moment


def _right(w: Array, s: Array, a: Array) -> tuple[Array, Array]:
    """I = w² v and δ* = w μ (EC-3.3, EC-3.4)."""
    mean = _mean(s, a)
    return w**2 * _about(s, a, mean), w * mean


def _scores(p: Parts) -> Pairs:
    """The right formulas on parts that may be wrong."""
    return [_right(w, s, a) for w, s, a in zip(p.w, p.s, p.a)]


def _with_s(sensitivity: Callable[[Parts], Sequence[Array]]) -> Callable[[Parts], Pairs]:
    """The right formulas with a wrong sensitivity."""
    return lambda p: _scores(replace(p, s=tuple(sensitivity(p))))


def _per_layer(formula: Callable[[Array, Array, Array], tuple[Array, Array]]) -> Callable[[Parts], Pairs]:
    """A wrong formula of (w, s, a), the same in every layer."""
    return lambda p: [formula(w, s, a) for w, s, a in zip(p.w, p.s, p.a)]


def _changed(
    importance: Callable[[Array, Parts], Array] = lambda I, p: I,
    shift: Callable[[Array, Parts], Array] = lambda d, p: d,
) -> Callable[[Parts], Pairs]:
    """The right result with something done to it."""
    return lambda p: [(importance(I, p), shift(d, p)) for I, d in _scores(p)]


# Sensitivities


def _next_layer_only(p: Parts) -> list[Array]:
    """σ'(z)² Σ_k W_ki² with the next layer's weights, as if the next layer were the output."""
    hidden = [p.activation.derivative(z) ** 2 * (w**2).sum(axis=0) for z, w in zip(p.z, p.w[1:])]
    return [*hidden, p.s[-1]]


def _squares_propagated(p: Parts) -> list[Array]:
    """s^{l-1} = σ'² Σ_k W_k² s^l_k: no cross terms between the neurons of a layer."""
    s = [p.s[-1]]
    for l in reversed(range(1, len(p.w))):
        s.insert(0, p.activation.derivative(p.z[l - 1]) ** 2 * (s[0] @ p.w[l] ** 2))
    return s


def _without_own_slope(p: Parts) -> list[Array]:
    """∂f/∂a_i in place of ∂f/∂z_i."""
    return [*(_squares(J @ w) for J, w in zip(p.J[1:], p.w[1:])), p.s[-1]]


def _slope_of_value(p: Parts) -> Callable[[Array], Array]:
    return lambda z: p.activation.derivative(p.activation.value(z))


def _metric(p: Parts, cotangents: Array) -> list[Array]:
    """The sensitivities under another output metric; cotangents (R, N, K)."""
    return [np.einsum("rnk,kni->rni", cotangents, J) for J in p.J]


def _softmax_cotangents(f: Array, power: float) -> Array:
    p = softmax(f)
    return (p.T**power)[:, :, np.newaxis] * (np.eye(f.shape[1])[:, np.newaxis] - p)


def _normed(p: Parts) -> list[Array]:
    return [s / p.f.shape[1] for s in p.s]


# Moments


def _plain_mean(w: Array, s: Array, a: Array) -> tuple[Array, Array]:
    mean = np.broadcast_to(a.mean(axis=0), w.shape)
    return w**2 * _about(s, a, mean), w * mean


def _independent(w: Array, s: Array, a: Array) -> tuple[Array, Array]:
    """E[s] Var[a]: the expectation of a product taken for the product of the expectations."""
    return w**2 * s.mean(axis=0)[:, np.newaxis] * a.var(axis=0), w * a.mean(axis=0)


def _dead_mean(w: Array, s: Array, a: Array) -> tuple[Array, Array]:
    importance, shift = _right(w, s, a)
    return importance, np.where(s.sum(axis=0)[:, np.newaxis] > 0, shift, w * a.mean(axis=0))


def _guarded_by(epsilon: float, guard: Any) -> Callable[[Array, Array, Array], tuple[Array, Array]]:
    def formula(w: Array, s: Array, a: Array) -> tuple[Array, Array]:
        mean = (s.T @ a / len(a)) / guard(s.mean(axis=0)[:, np.newaxis], epsilon)
        return w**2 * _about(s, a, mean), w * mean

    return formula


def _unguarded(w: Array, s: Array, a: Array) -> tuple[Array, Array]:
    mean = (s.T @ a) / s.sum(axis=0)[:, np.newaxis]
    return w**2 * _about(s, a, mean), w * mean


def _unguarded_shift(w: Array, s: Array, a: Array) -> tuple[Array, Array]:
    return _right(w, s, a)[0], _unguarded(w, s, a)[1]


def _uncompensated(w: Array, s: Array, a: Array) -> Array:
    importance: Array = w**2 * (s.T @ a**2) / len(a)
    return importance


def _square_of_mean(p: Parts) -> Pairs:
    """Σ_k E[J_k (a − μ)]² w²: the mean taken before the square."""
    pairs = []
    for w, s, a, J in zip(p.w, p.s, p.a, p.J):
        mean = _mean(s, a)
        change = np.einsum("kni,nij->kij", J, a[:, np.newaxis] - mean) / len(a)
        pairs.append((w**2 * (change**2).sum(axis=0), w * mean))
    return pairs


def _root_weighted(w: Array, s: Array, a: Array) -> tuple[Array, Array]:
    mean = _mean(np.sqrt(s), a)
    return w**2 * _about(s, a, mean), w * mean


def _rows(p: Parts, start: int, stop: int) -> Parts:
    return replace(
        p,
        x=p.x[start:stop],
        a=tuple(a[start:stop] for a in p.a),
        s=tuple(s[start:stop] for s in p.s),
        J=tuple(J[:, start:stop] for J in p.J),
    )


def _batch_means(size: int) -> Callable[[Parts], Pairs]:
    """The plain mean of the batches' importances and shifts."""

    def values(p: Parts) -> Pairs:
        parts = [_scores(_rows(p, start, start + size)) for start in range(0, len(p.x), size)]
        return [
            (np.mean([I for I, _ in layer], axis=0), np.mean([d for _, d in layer], axis=0)) for layer in zip(*parts)
        ]

    return values


def _batch_averages(size: int) -> Callable[[Parts], Pairs]:
    """E as the plain mean of the batches' means, so that a short last batch counts as a whole one."""

    def values(p: Parts) -> Pairs:
        starts = range(0, len(p.x), size)
        lengths = np.concatenate([np.full(n, n) for n in (min(size, len(p.x) - start) for start in starts)])
        weight = len(p.x) / (len(starts) * lengths)
        return _scores(replace(p, s=tuple(s * weight[:, np.newaxis] for s in p.s)))

    return values


def _whole_batches(size: int) -> Callable[[Parts], Pairs]:
    """The last, incomplete batch is dropped."""
    return lambda p: _scores(_rows(p, 0, len(p.x) // size * size or len(p.x)))


# Layers and networks


def _left_out(layer: int) -> Callable[[Parts], Pairs]:
    def values(p: Parts) -> Pairs:
        pairs = _scores(p)
        pairs[layer] = (np.zeros_like(p.w[layer]), np.zeros_like(p.w[layer]))
        return pairs

    return values


def _normalised(norm: Callable[[Array], Any]) -> Callable[[Parts], Pairs]:
    def formula(w: Array, s: Array, a: Array) -> tuple[Array, Array]:
        importance, shift = _right(w, s, a)
        importance[importance < ROUNDING * _uncompensated(w, s, a)] = 0  # or rounding errors would be normalised
        return _quotient(importance, np.asarray(norm(importance))), shift

    return _per_layer(formula)


def _other_slope(name: str, derivative: Callable[[Array], Array]) -> Callable[[Parts], Pairs]:
    """σ' of one activation replaced."""
    return lambda p: _scores(_again(p, slope=derivative) if p.activation.name == name else p)


def _other_activation(name: str, activation: Activation) -> Callable[[Parts], Pairs]:
    return lambda p: _scores(_again(p, activation=activation) if p.activation.name == name else p)


def _leaky(slope: float) -> Activation:
    return Activation("leaky_relu", lambda z: np.where(z > 0, z, slope * z), lambda z: np.where(z > 0, 1.0, slope))


def _gelu_inner(z: Array) -> Array:
    tanh: Array = np.tanh(np.sqrt(2 / np.pi) * (z + 0.044715 * z**3))
    return tanh


TANH_GELU = Activation(
    "gelu",
    lambda z: z * (1 + _gelu_inner(z)) / 2,
    lambda z: (
        (1 + _gelu_inner(z)) / 2 + z * (1 - _gelu_inner(z) ** 2) * np.sqrt(2 / np.pi) * (1 + 3 * 0.044715 * z**2) / 2
    ),
)


def _zeros(p: Parts) -> Pairs:
    return [(_uncompensated(w, s, a), np.zeros_like(w)) for w, s, a in zip(p.w, p.s, p.a)]


MISTAKES: tuple[Mistake, ...] = (
    Mistake(
        "gradient-of-the-sum",
        "The gradient of the sum of the outputs is squared, (Σ_k J_k)², where the squares are to be summed, Σ_k J_k².",
        "EC-3.9",
        _with_s(lambda p: [J.sum(axis=0) ** 2 for J in p.J]),
    ),
    Mistake(
        "gradient-of-the-mean",
        "The gradient of the mean of the outputs is squared, (Σ_k J_k / K)², in place of Σ_k J_k².",
        "EC-3.9",
        _with_s(lambda p: [J.mean(axis=0) ** 2 for J in p.J]),
    ),
    Mistake(
        "plain-mean",
        "The activations' plain mean E[a] takes the place of the sensitivity-weighted mean μ = E[s a]/S.",
        "EC-3.3",
        _per_layer(_plain_mean),
    ),
    Mistake(
        "plain-mean-shift",
        "The bias shift is w E[a], with the plain mean; the importance is right.",
        "EC-3.3",
        _per_layer(lambda w, s, a: (_right(w, s, a)[0], w * a.mean(axis=0))),
    ),
    Mistake(
        "expectations-multiplied",
        "Sensitivity and activation are averaged separately, E[s] Var[a], as if they were independent.",
        "EC-3.4",
        _per_layer(_independent),
    ),
    Mistake(
        "no-sensitivity",
        "The sensitivity is missing: w² Var[a] and w E[a] with plain moments (s = 1).",
        "EC-3.4",
        _with_s(lambda p: [np.ones_like(s) for s in p.s]),
    ),
    Mistake(
        "variance-per-sensitivity",
        "The weighted variance is divided by S = E[s]: v is E[s (a − μ)²], not normalised.",
        "EC-3.4",
        _per_layer(lambda w, s, a: (_quotient(_right(w, s, a)[0], s.mean(axis=0)[:, np.newaxis]), _right(w, s, a)[1])),
    ),
    Mistake(
        "mean-not-normalised",
        "The mean is E[s a], without the division by S = E[s].",
        "EC-3.3",
        _per_layer(lambda w, s, a: (w**2 * _about(s, a, s.T @ a / len(a)), w * (s.T @ a / len(a)))),
    ),
    Mistake(
        "shift-not-normalised",
        "The bias shift is w E[s a], without the division by S = E[s]; the importance is right.",
        "EC-3.3",
        _per_layer(lambda w, s, a: (_right(w, s, a)[0], w * (s.T @ a / len(a)))),
    ),
    Mistake(
        "no-compensation",
        "The importance is that without compensation, R = w² E[s a²], and the shift is zero: Optimal Brain Damage.",
        "EC-3.5",
        _zeros,
    ),
    Mistake(
        "importance-without-compensation",
        "The importance is that without compensation, R = w² E[s a²]; the shift is right but not accounted for.",
        "EC-3.5",
        _per_layer(lambda w, s, a: (_uncompensated(w, s, a), _right(w, s, a)[1])),
    ),
    Mistake(
        "gain-for-importance",
        "The importance is what compensation saves, R − I = w² S μ², not what is lost after it.",
        "EC-3.6",
        _per_layer(lambda w, s, a: (_uncompensated(w, s, a) - _right(w, s, a)[0], _right(w, s, a)[1])),
    ),
    Mistake(
        "shift-sign",
        "The bias shift has the wrong sign: removing w needs δ* = +w μ.",
        "EC-3.3",
        _changed(shift=lambda d, p: -d),
    ),
    Mistake(
        "shift-zero",
        "The bias shift is zero; the importance is right.",
        "EC-3.3",
        _changed(shift=lambda d, p: np.zeros_like(d)),
    ),
    Mistake(
        "shift-without-weight",
        "The bias shift is μ, without the weight.",
        "EC-3.3",
        _per_layer(lambda w, s, a: (_right(w, s, a)[0], _mean(s, a))),
    ),
    Mistake(
        "shift-absolute",
        "The bias shift is |w| μ: the weight's sign is lost.",
        "EC-3.3",
        _per_layer(lambda w, s, a: (_right(w, s, a)[0], np.abs(w) * _mean(s, a))),
    ),
    Mistake(
        "shift-of-the-row",
        "Every entry of a row has the row's total shift Σ_j w_j μ_j, not its own.",
        "EC-3.3",
        _changed(shift=lambda d, p: np.broadcast_to(d.sum(axis=1, keepdims=True), d.shape)),
    ),
    Mistake(
        "weight-not-squared",
        "The importance is |w| v: the weight is not squared.",
        "EC-3.4",
        _per_layer(lambda w, s, a: (np.abs(w) * _about(s, a, _mean(s, a)), _right(w, s, a)[1])),
    ),
    Mistake(
        "weight-missing",
        "The importance is v, without w².",
        "EC-3.4",
        _per_layer(lambda w, s, a: (_about(s, a, _mean(s, a)), _right(w, s, a)[1])),
    ),
    Mistake(
        "root-of-importance",
        "The importance is the root of the right one, |w| √v.",
        "EC-3.4",
        _changed(lambda I, p: np.sqrt(I)),
    ),
    Mistake(
        "mean-before-square",
        "The mean is taken before the square: E[J (a − μ)]² in place of E[J² (a − μ)²].",
        "EC-3.2",
        _square_of_mean,
    ),
    Mistake(
        "gradient-averaged-over-samples",
        "The gradient is averaged over the samples before it is squared, E[J]², so that s is the same for all.",
        "EC-3.9",
        _with_s(lambda p: [np.broadcast_to((J.mean(axis=1) ** 2).sum(axis=0), s.shape) for J, s in zip(p.J, p.s)]),
    ),
    Mistake(
        "jacobian-not-squared",
        "The sensitivity is Σ_k |J_k|: the Jacobian is not squared.",
        "EC-3.9",
        _with_s(lambda p: [np.abs(J).sum(axis=0) for J in p.J]),
    ),
    Mistake(
        "jacobian-norm",
        "The sensitivity is the norm of the Jacobian, √Σ_k J_k², not its square.",
        "EC-3.9",
        _with_s(lambda p: [np.sqrt(s) for s in p.s]),
    ),
    Mistake(
        "mean-weighted-by-root",
        "The mean is weighted with √s, where the weights are s.",
        "EC-3.3",
        _per_layer(_root_weighted),
    ),
    Mistake(
        "first-output-only",
        "Only the first output counts: s = J_1² in place of Σ_k J_k².",
        "EC-3.9",
        _with_s(lambda p: [J[0] ** 2 for J in p.J]),
    ),
    Mistake(
        "next-layer-only",
        "The sensitivity stops at the next layer, as if that were the output: the later layers are missing.",
        "EC-2.2",
        _with_s(_next_layer_only),
    ),
    Mistake(
        "squares-propagated",
        "Squared sensitivities are propagated through squared weights: the cross terms between neurons are lost.",
        "EC-2.2",
        _with_s(_squares_propagated),
    ),
    Mistake(
        "derivative-left-out",
        "The derivative is taken with respect to the activation a_i, not the preactivation z_i: σ'(z_i) is missing.",
        "EC-2.2",
        _with_s(_without_own_slope),
    ),
    Mistake(
        "derivatives-all-left-out",
        "No σ' at all in the backward pass: the network is taken for a linear one.",
        "EC-2.2",
        lambda p: _scores(_again(p, slope=np.ones_like)),
    ),
    Mistake(
        "derivative-at-the-activation",
        "σ' is evaluated at the activation a = σ(z), not at the preactivation z.",
        "EC-2.2",
        lambda p: _scores(_again(p, slope=_slope_of_value(p))),
    ),
    Mistake(
        "derivative-at-the-mean",
        "The Jacobian is that at the mean sample, the same for all samples.",
        "EC-3.9",
        _with_s(
            lambda p: [np.broadcast_to(s, t.shape) for s, t in zip(_again(p, x=p.x.mean(0, keepdims=True)).s, p.s)]
        ),
    ),
    Mistake(
        "loss-for-output",
        "The gradient is that of a loss ½ Σ_k f_k², not of the outputs: s = (Σ_k f_k J_k)².",
        "EC-4.1",
        _with_s(lambda p: [_squares(g) for g in _metric(p, p.f[np.newaxis])]),
    ),
    Mistake(
        "squared-error-for-output",
        "The gradient is that of the squared error Σ_k f_k² with zero targets: s = (Σ_k 2 f_k J_k)².",
        "EC-4.1",
        _with_s(lambda p: [_squares(g) for g in _metric(p, 2 * p.f[np.newaxis])]),
    ),
    Mistake(
        "mean-squared-error-for-output",
        "The gradient is that of the mean squared error Σ_k f_k²/K with zero targets: s = (Σ_k 2 f_k J_k / K)².",
        "EC-4.1",
        _with_s(lambda p: [_squares(g) for g in _metric(p, 2 * p.f[np.newaxis] / p.f.shape[1])]),
    ),
    Mistake(
        "softmax-for-output",
        "The sensitivity is that of the softmax of the outputs, not of the outputs themselves.",
        "EC-4.2",
        _with_s(lambda p: [_squares(g) for g in _metric(p, _softmax_cotangents(p.f, 1))]),
    ),
    Mistake(
        "fisher-for-output",
        "The sensitivity is the Fisher information of class probabilities, not the squared output Jacobian.",
        "EC-4.3",
        _with_s(lambda p: [_squares(g) for g in _metric(p, _softmax_cotangents(p.f, 0.5))]),
    ),
    Mistake(
        "mean-over-outputs",
        "The squares are averaged over the outputs: a factor 1/K, where they are to be summed.",
        "EC-4.1",
        _with_s(_normed),
    ),
    Mistake(
        "half",
        "The importance has a factor 1/2, as the saliency of Optimal Brain Damage has.",
        "EC-3.4",
        _changed(lambda I, p: I / 2),
    ),
    Mistake(
        "double",
        "The importance has a factor 2, as a second derivative of a square has.",
        "EC-3.4",
        _changed(lambda I, p: 2 * I),
    ),
    Mistake(
        "sum-over-samples",
        "The importance is summed over the samples: a factor N, where E is the mean.",
        "EC-1.3",
        _changed(lambda I, p: I * len(p.x)),
    ),
    Mistake(
        "divided-by-samples-again",
        "The importance is divided by N once too often, as where gradients of a mean are squared and summed.",
        "EC-1.3",
        _changed(lambda I, p: I / len(p.x)),
    ),
    Mistake(
        "gradient-of-the-sample-mean",
        "Gradients of the mean over the samples are squared and averaged: a factor 1/N².",
        "EC-1.3",
        _changed(lambda I, p: I / len(p.x) ** 2),
    ),
    Mistake(
        "unbiased-variance",
        "The variance is divided by N − 1: E is the mean over the samples.",
        "EC-1.3",
        _changed(lambda I, p: np.asarray(I * len(p.x)) / (len(p.x) - 1)),
    ),
    Mistake(
        "unbiased-variance-guarded",
        "The variance is divided by max(N − 1, 1): E is the mean over the samples.",
        "EC-1.3",
        _changed(lambda I, p: I * len(p.x) / max(len(p.x) - 1, 1)),
    ),
    *(
        mistake
        for size in BATCH_SIZES
        for mistake in (
            Mistake(
                f"batch-importances-averaged-{size}",
                f"The importances of batches of {size} are averaged: their means differ, and must be merged.",
                "EC-7.4",
                _batch_means(size),
            ),
            Mistake(
                f"batches-weighted-equally-{size}",
                f"Batches of {size} count equally: an incomplete last one must count by its size.",
                "EC-7.4",
                _batch_averages(size),
            ),
            Mistake(
                f"incomplete-batch-dropped-{size}",
                f"The incomplete last batch of {size} is dropped.",
                "EC-1.3",
                _whole_batches(size),
            ),
        )
    ),
    Mistake("last-layer-left-out", "The last layer has no scores: its entries are zero.", "EC-2.1", _left_out(-1)),
    Mistake("first-layer-left-out", "The first layer has no scores: its entries are zero.", "EC-2.2", _left_out(0)),
    Mistake(
        "output-activated",
        "The activation is applied to the output layer too, which has none.",
        "EC-1.2",
        lambda p: _scores(_again(p, output=p.activation)),
    ),
    Mistake(
        "biases-left-out",
        "The forward pass leaves out the biases.",
        "EC-1.1",
        lambda p: _scores(_again(p, b=tuple(np.zeros_like(b) for b in p.b))),
    ),
    Mistake(
        "preactivations-for-inputs",
        "A layer's inputs are the preactivations of the layer before, not its activations.",
        "EC-1.2",
        lambda p: _scores(replace(p, a=(p.x, *p.z[:-1]))),
    ),
    Mistake(
        "layer-sum-normalised", "Each layer's importances are divided by their sum.", "EC-3.4", _normalised(np.sum)
    ),
    Mistake(
        "layer-max-normalised", "Each layer's importances are divided by their maximum.", "EC-3.4", _normalised(np.max)
    ),
    Mistake(
        "layer-mean-normalised", "Each layer's importances are divided by their mean.", "EC-3.4", _normalised(np.mean)
    ),
    Mistake(
        "layer-norm-normalised",
        "Each layer's importances are divided by their Euclidean norm.",
        "EC-3.4",
        _normalised(np.linalg.norm),
    ),
    Mistake(
        "row-sum-normalised",
        "Each neuron's importances are divided by their sum.",
        "EC-3.4",
        _normalised(lambda I: I.sum(axis=1, keepdims=True)),
    ),
    Mistake(
        "sensitivity-averaged-over-the-layer",
        "All neurons of a layer have the same sensitivity, their mean.",
        "EC-3.9",
        _with_s(lambda p: [np.broadcast_to(s.mean(axis=1, keepdims=True), s.shape) for s in p.s]),
    ),
    Mistake(
        "nan-at-dead-neurons", "0/0 at dead neurons: where S = 0, I and δ* are 0.", "EC-3.7", _per_layer(_unguarded)
    ),
    Mistake(
        "nan-shift-at-dead-neurons",
        "0/0 in the shift of dead neurons: where S = 0, δ* is 0.",
        "EC-3.7",
        _per_layer(_unguarded_shift),
    ),
    Mistake(
        "plain-mean-at-dead-neurons",
        "A dead neuron's shift is w E[a]: where S = 0, it is 0.",
        "EC-3.7",
        _per_layer(_dead_mean),
    ),
    *(
        Mistake(
            f"sensitivity-plus-{epsilon:.3g}",
            f"{epsilon:.3g} is added to S against a division by zero: it is not small beside small sensitivities.",
            "EC-3.7",
            _per_layer(_guarded_by(epsilon, np.add)),
        )
        for epsilon in EPSILONS
    ),
    *(
        Mistake(
            f"sensitivity-at-least-{epsilon:.3g}",
            f"S is clamped to {epsilon:.3g} from below against a division by zero: small sensitivities are below it.",
            "EC-3.7",
            _per_layer(_guarded_by(epsilon, np.maximum)),
        )
        for epsilon in EPSILONS
    ),
    Mistake(
        "relu-slope-one-at-zero",
        "relu'(0) is 1; it is 0.",
        "EC-10.2",
        _other_slope("relu", lambda z: (z >= 0).astype(float)),
    ),
    Mistake(
        "relu-slope-half-at-zero",
        "relu'(0) is 1/2; it is 0.",
        "EC-10.2",
        _other_slope("relu", lambda z: np.heaviside(z, 0.5)),
    ),
    Mistake(
        "leaky-slope-0.2",
        "leaky_relu has the slope 0.2 below zero, not 0.01.",
        "EC-10.3",
        _other_activation("leaky_relu", _leaky(0.2)),
    ),
    Mistake(
        "leaky-slope-0.3",
        "leaky_relu has the slope 0.3 below zero, not 0.01.",
        "EC-10.3",
        _other_activation("leaky_relu", _leaky(0.3)),
    ),
    Mistake(
        "gelu-by-tanh",
        "gelu is its tanh approximation, not z Φ(z) with erf.",
        "EC-10.10",
        _other_activation("gelu", TANH_GELU),
    ),
)
