"""What goes wrong in the backward pass: derivatives left out, taken elsewhere, or those of something else."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from ..._types import Array
from ...activations import ACTIVATIONS
from ._mistake import Mistake
from ._parts import EQUATION, Parts, again, squares, with_s
from .forward import of_the_value

Function = Callable[[Array], Array]


def other_slope(name: str, derivative: Function) -> Callable[[Parts], Parts]:
    """σ' of one activation replaced."""
    return lambda p: again(p, slope=derivative) if p.activation.name == name else p


def _next_layer_only(p: Parts) -> list[Array]:
    """σ'(z)² Σ_k W_ki² with the next layer's weights, as if the next layer were the output."""
    return [*(p.slope(z) ** 2 * (w**2).sum(axis=0) for z, w in zip(p.z, p.w[1:])), p.s[-1]]


def _squares_propagated(p: Parts) -> list[Array]:
    """s^{l-1} = σ'² Σ_k W_k² s^l_k: no cross terms between the neurons of a layer."""
    s = [p.s[-1]]
    for l in reversed(range(1, len(p.w))):
        s.insert(0, p.slope(p.z[l - 1]) ** 2 * (s[0] @ p.w[l] ** 2))
    return s


def _own(p: Parts, power: float) -> Parts:
    """The derivative of a neuron's own layer to another power than 1."""
    J = [j * p.slope(z) for j, z in zip(p.J, p.z[:-1])] if power == 2 else [j @ w for j, w in zip(p.J[1:], p.w[1:])]
    J = [*J, p.J[-1]]
    return replace(p, J=tuple(J), s=tuple(map(squares, J)))


def _once(p: Parts) -> list[Array]:
    """One neuron's own σ' alone, where the chain has one a layer."""
    J = [p.J[-1]]
    for w in reversed(p.w[1:]):
        J.insert(0, J[0] @ w)
    return [*(squares(j * p.slope(z)) for j, z in zip(J, p.z[:-1])), p.s[-1]]


def _last_left_out(p: Parts) -> list[Array]:
    """The last hidden layer's σ' is missing from the chain."""
    J = [p.J[-1]]
    for l in reversed(range(1, len(p.w))):
        J.insert(0, (J[0] @ p.w[l]) * (p.slope(p.z[l - 1]) if l < len(p.w) - 1 else 1.0))
    return [squares(j) for j in J]


def _transposed_where_square(p: Parts) -> Parts:
    """W in place of Wᵀ in the backward pass, which only square layers allow."""
    J = [p.J[-1]]
    for l in reversed(range(1, len(p.w))):
        w = p.w[l].T if p.w[l].shape[0] == p.w[l].shape[1] else p.w[l]
        J.insert(0, (J[0] @ w) * p.slope(p.z[l - 1]))
    return replace(p, J=tuple(J), s=tuple(map(squares, J)))


def _absolute(p: Parts) -> list[Array]:
    """|J| = |J| |W| |σ'|: absolute values are propagated."""
    J = [p.J[-1]]
    for l in reversed(range(1, len(p.w))):
        J.insert(0, (J[0] @ np.abs(p.w[l])) * np.abs(p.slope(p.z[l - 1])))
    return [squares(j) for j in J]


sigmoid, tanh, gelu = (ACTIVATIONS[name].value for name in ("sigmoid", "tanh", "gelu"))
# (activation, id, what its derivative is, the wrong derivative)
SLOPES: tuple[tuple[str, str, str, Function], ...] = (
    ("relu", "relu-slope-one-at-zero", "relu'(0) is 1; it is 0.", lambda z: (z >= 0).astype(float)),
    ("relu", "relu-slope-half-at-zero", "relu'(0) is 1/2; it is 0.", lambda z: np.heaviside(z, 0.5)),
    ("leaky_relu", "leaky-slope-not-passed", "The derivative of leaky_relu is that of relu.", lambda z: (z > 0) * 1.0),
    ("elu", "elu-slope-without-plus-one", "The derivative of elu below zero is elu itself, without the +1.",
     lambda z: np.where(z > 0, 1, np.expm1(np.minimum(z, 0)))),
    ("elu", "elu-slope-everywhere-exp", "The derivative of elu is exp(z) also above zero.", np.exp),
    ("sigmoid", "sigmoid-slope-of-the-square", "The derivative of sigmoid is taken for σ², not σ (1 − σ).",
     lambda z: sigmoid(z) ** 2),
    ("sigmoid", "sigmoid-slope-one-minus", "The derivative of sigmoid is taken for 1 − σ, not σ (1 − σ).",
     lambda z: 1 - sigmoid(z)),
    ("sigmoid", "sigmoid-slope-z", "The derivative of sigmoid is taken for z (1 − z), as if z were the value.",
     lambda z: z * (1 - z)),
    ("tanh", "tanh-slope-without-square", "The derivative of tanh is taken for 1 − tanh z, without the square.",
     lambda z: 1 - tanh(z)),
    ("tanh", "tanh-slope-z", "The derivative of tanh is taken for 1 − z², as if z were the value.", lambda z: 1 - z**2),
    ("tanh", "tanh-slope-plus", "The derivative of tanh is taken for 1 + tanh² z.", lambda z: 1 + tanh(z) ** 2),
    ("tanh", "tanh-slope-a-one-minus-a", "The derivative of tanh is taken for a (1 − a), which is sigmoid's.",
     lambda z: tanh(z) * (1 - tanh(z))),
    ("softplus", "softplus-slope-second", "The derivative of softplus is taken for its second one, σ (1 − σ).",
     lambda z: sigmoid(z) * (1 - sigmoid(z))),
    ("softplus", "softplus-slope-sign", "The derivative of softplus is taken for sigmoid(−z).", lambda z: sigmoid(-z)),
    ("sin", "sin-slope-minus-sin", "The derivative of sin is taken for sin.", np.sin),
    ("silu", "silu-slope-sigmoid", "The derivative of silu is taken for sigmoid(z): its z σ'(z) is missing.", sigmoid),
    ("silu", "silu-slope-second-term", "The derivative of silu is taken for z σ'(z): its sigmoid(z) is missing.",
     lambda z: z * sigmoid(z) * (1 - sigmoid(z))),
    ("silu", "silu-slope-of-the-value", "The derivative of silu lacks a factor: σ + a (1 − σ) with σ for a.",
     lambda z: sigmoid(z) + sigmoid(z) * (1 - sigmoid(z))),
    ("gelu", "gelu-slope-first-term", "The derivative of gelu is taken for Φ(z): its z φ(z) is missing.",
     lambda z: ACTIVATIONS["gelu"].derivative(z) - z * np.exp(-(z**2) / 2) / np.sqrt(2 * np.pi)),
    ("gelu", "gelu-slope-itself", "The derivative of gelu is taken for gelu itself.", gelu),
    ("gelu", "gelu-slope-by-sigmoid", "The derivative of gelu is that of z sigmoid(1.702 z).",
     lambda z: sigmoid(1.702 * z) + 1.702 * z * sigmoid(1.702 * z) * sigmoid(-1.702 * z)),
    ("gelu", "gelu-slope-without-root", "The derivative of gelu has z φ(z) without 1/√(2π).",
     lambda z: ACTIVATIONS["gelu"].derivative(z) + z * np.exp(-(z**2) / 2) * (1 - 1 / np.sqrt(2 * np.pi))),
)  # fmt: skip

DERIVATIVE: tuple[Mistake, ...] = (
    Mistake(
        "next-layer-only",
        "The sensitivity stops at the next layer, as if that were the output: the later layers are missing.",
        "EC-2.2",
        with_s(_next_layer_only),
    ),
    Mistake(
        "squares-propagated",
        "Squared sensitivities are propagated through squared weights: the cross terms between neurons are lost.",
        "EC-2.2",
        with_s(_squares_propagated),
    ),
    Mistake(
        "absolutes-propagated",
        "Absolute values are propagated through absolute weights: the signs in the chain rule are lost.",
        "EC-2.2",
        with_s(_absolute),
    ),
    Mistake(
        "derivative-left-out",
        "The derivative is taken with respect to the activation a_i, not the preactivation z_i: σ'(z_i) is missing.",
        "EC-2.2",
        lambda p: _own(p, 0),
    ),
    Mistake(
        "derivative-twice",
        "The derivative σ'(z_i) of a neuron's own layer is there twice.",
        "EC-2.2",
        lambda p: _own(p, 2),
    ),
    Mistake(
        "derivative-of-own-layer-only",
        "Only a neuron's own σ'(z_i) is there: the derivatives of the layers after it are missing from the chain.",
        "EC-2.2",
        with_s(_once),
    ),
    Mistake(
        "derivative-of-last-layer-left-out",
        "The derivative σ' of the last hidden layer is missing from the chain.",
        "EC-2.2",
        with_s(_last_left_out),
    ),
    Mistake(
        "derivatives-all-left-out",
        "No derivative σ' at all in the backward pass: it takes the network for a linear one.",
        "EC-2.2",
        lambda p: again(p, slope=np.ones_like),
    ),
    Mistake(
        "derivative-at-the-activation",
        "The derivative σ' is evaluated at the activation a = σ(z), not at the preactivation z.",
        "EC-2.2",
        lambda p: again(p, slope=of_the_value(p)),
    ),
    Mistake(
        "derivative-is-the-value",
        "The backward pass has σ(z) where σ'(z) belongs.",
        "EC-2.2",
        lambda p: again(p, slope=p.activation.value),
    ),
    Mistake(
        "derivative-at-the-mean",
        "The Jacobian is that at the mean sample, the same for all samples.",
        "EC-3.2",
        with_s(lambda p: [np.broadcast_to(s, t.shape) for s, t in zip(again(p, x=p.x.mean(0, keepdims=True)).s, p.s)]),
    ),
    Mistake(
        "weights-not-transposed",
        "The backward pass takes W where Wᵀ belongs: it shows in square layers only.",
        "EC-2.2",
        _transposed_where_square,
    ),
    *(
        Mistake(id, sentence, EQUATION[name], other_slope(name, slope), activation=name)
        for name, id, sentence, slope in SLOPES
    ),
    *(
        Mistake(
            f"{name}-derivative-at-the-activation",
            f"The derivative of {name} is evaluated at the activation a = σ(z), not at the preactivation z.",
            EQUATION[name],
            other_slope(name, lambda z, name=name: ACTIVATIONS[name].derivative(ACTIVATIONS[name].value(z))),  # type: ignore[misc]
            activation=name,
        )
        for name in ACTIVATIONS
        if name not in ("identity", "relu", "leaky_relu")
    ),
    *(
        Mistake(
            f"{name}-has-the-derivative-of-{taken}",
            f"The derivative of {name} is that of {taken}; the forward pass is right.",
            EQUATION[name],
            other_slope(name, ACTIVATIONS[taken].derivative),
            activation=name,
        )
        for name in ACTIVATIONS
        for taken in ACTIVATIONS
        if taken != name and (name, taken) != ("leaky_relu", "relu")
    ),
)
