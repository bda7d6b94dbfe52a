"""What goes wrong in the forward pass: biases, inputs, activations and their constants."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from ..._types import Array
from ...activations import ACTIVATIONS, Activation, _normal_distribution, sigmoid
from ._mistake import Mistake
from ._parts import EQUATION, Parts, again

Function = Callable[[Array], Array]


def other(name: str, value: Function, derivative: Function) -> Callable[[Parts], Parts]:
    """Another activation in place of one."""
    activation = Activation(name, value, derivative)  # type: ignore[arg-type]
    return lambda p: again(p, activation=activation) if p.activation.name == name else p


def of_the_value(p: Parts) -> Function:
    """σ' where σ(z) takes the place of z."""
    return lambda z: p.activation.derivative(p.activation.value(z))


def _without_biases(*layers: int) -> Callable[[Parts], Parts]:
    """No biases in some layers, or in all."""

    def passes(p: Parts) -> Parts:
        none = {l % len(p.b) for l in layers or range(len(p.b)) if -len(p.b) <= l < len(p.b)}
        return again(p, b=tuple(0 * b if l in none else b for l, b in enumerate(p.b)))

    return passes


def _leaky(slope: float) -> tuple[Function, Function]:
    return lambda z: np.where(z > 0, z, slope * z), lambda z: np.where(z > 0, 1.0, slope)


def _elu(alpha: float, scale: float = 1.0) -> tuple[Function, Function]:
    return (
        lambda z: scale * np.where(z > 0, z, alpha * np.expm1(np.minimum(z, 0))),
        lambda z: scale * np.where(z > 0, 1.0, alpha * np.exp(np.minimum(z, 0))),
    )


def _softplus(beta: float) -> tuple[Function, Function]:
    return lambda z: np.logaddexp(0, beta * z) / beta, lambda z: sigmoid(beta * z)


def _swish(beta: float) -> tuple[Function, Function]:
    return (
        lambda z: z * sigmoid(beta * z),
        lambda z: sigmoid(beta * z) + beta * z * sigmoid(beta * z) * sigmoid(-beta * z),
    )


def _scaled(function: Activation, inner: float, outer: float = 1.0) -> tuple[Function, Function]:
    return lambda z: outer * function.value(inner * z), lambda z: outer * inner * function.derivative(inner * z)


def _clipped(slope: float, offset: float, low: float, high: float) -> tuple[Function, Function]:
    return (
        lambda z: np.clip(slope * z + offset, low, high),
        lambda z: slope * ((slope * z + offset > low) & (slope * z + offset < high)),
    )


def _gelu_inner(z: Array) -> Array:
    tanh: Array = np.tanh(np.sqrt(2 / np.pi) * (z + 0.044715 * z**3))
    return tanh


def _gelu_by_tanh(z: Array) -> Array:
    return np.asarray(z * (1 + _gelu_inner(z)) / 2)


def _gelu_by_tanh_slope(z: Array) -> Array:
    inner = 1 - _gelu_inner(z) ** 2
    return np.asarray((1 + _gelu_inner(z)) / 2 + z * inner * np.sqrt(2 / np.pi) * (1 + 3 * 0.044715 * z**2) / 2)


SELU = 1.6732632423543772, 1.0507009873554805
# (activation, id, what is done, value, derivative)
CONSTANTS: tuple[tuple[str, str, str, Function, Function], ...] = (
    ("gelu", "gelu-by-tanh", "gelu is its tanh approximation, not z Φ(z) with erf.", _gelu_by_tanh,
     _gelu_by_tanh_slope),
    ("gelu", "gelu-by-sigmoid", "gelu is z sigmoid(1.702 z), not z Φ(z) with erf.", *_swish(1.702)),
    ("gelu", "gelu-without-root", "gelu has erf(z), not erf(z/√2).", lambda z: z * _normal_distribution(np.sqrt(2) * z),
     lambda z: _normal_distribution(np.sqrt(2) * z) + z * np.exp(-(z**2)) / np.sqrt(np.pi)),
    ("gelu", "gelu-without-its-z", "gelu is Φ(z), without the factor z.", _normal_distribution,
     lambda z: np.exp(-(z**2) / 2) / np.sqrt(2 * np.pi)),
    ("gelu", "gelu-without-half", "gelu lacks its factor 1/2.", *_scaled(ACTIVATIONS["gelu"], 1.0, 2.0)),
    *(
        ("leaky_relu", f"leaky-slope-{c:.3g}", f"leaky_relu has the slope {c} below zero, not 0.01.", *_leaky(c))
        for c in (0.001, 0.02, 0.05, 0.1, 1 / 5.5, 0.2, 0.25, 0.3, -0.01)
    ),
    *(
        ("elu", f"elu-alpha-{c:.3g}", f"elu has α = {c} below zero, not 1.", *_elu(c))
        for c in (0.1, 0.2, 0.3, 0.5, 1.5, 2.0, SELU[0])
    ),
    ("elu", "elu-is-selu", "elu is selu, with its two constants.", *_elu(*SELU)),
    ("elu", "elu-without-minus-one", "elu is exp(z) below zero, without the −1.",
     lambda z: np.where(z > 0, z, np.exp(np.minimum(z, 0))), ACTIVATIONS["elu"].derivative),
    *(
        ("softplus", f"softplus-beta-{c:.3g}", f"softplus has β = {c:.3g}, not 1: log(1 + exp(β z))/β.", *_softplus(c))
        for c in (0.5, 2.0, 5.0, 10.0, 20.0, 100.0)
    ),
    *(
        ("silu", f"silu-beta-{c:.3g}", f"silu is z sigmoid({c} z), not z sigmoid(z).", *_swish(c))
        for c in (0.5, 1.702, 2.0)
    ),
    ("silu", "silu-without-its-z", "silu is sigmoid(z), without the factor z.", *_scaled(ACTIVATIONS["sigmoid"], 1.0)),
    ("silu", "silu-is-hard", "silu is the hard swish z clip(z/6 + 1/2, 0, 1).",
     lambda z: z * np.clip(z / 6 + 0.5, 0, 1),
     lambda z: np.where(z < -3, 0, np.where(z > 3, 1, z / 3 + 0.5))),
    ("sigmoid", "sigmoid-is-hard", "sigmoid is clip(0.2 z + 0.5, 0, 1).", *_clipped(0.2, 0.5, 0, 1)),
    ("sigmoid", "sigmoid-is-hard-6", "sigmoid is clip(z/6 + 0.5, 0, 1).", *_clipped(1 / 6, 0.5, 0, 1)),
    ("sigmoid", "sigmoid-sign", "sigmoid is that of −z: exp(z) where exp(−z) is meant.",
     *_scaled(ACTIVATIONS["sigmoid"], -1.0)),
    ("tanh", "tanh-is-hard", "tanh is clip(z, −1, 1).", *_clipped(1.0, 0, -1, 1)),
    ("tanh", "tanh-scaled", "tanh is 1.7159 tanh(2 z/3).", *_scaled(ACTIVATIONS["tanh"], 2 / 3, 1.7159)),
    ("relu", "relu-6", "relu is cut off at 6.", *_clipped(1.0, 0, 0, 6)),
    ("relu", "relu-squared", "relu is squared.", lambda z: np.maximum(z, 0) ** 2, lambda z: 2 * np.maximum(z, 0)),
    ("sin", "sin-in-degrees", "sin takes its argument in degrees.", *_scaled(ACTIVATIONS["sin"], np.pi / 180)),
    ("sin", "sin-30", "sin is sin(30 z).", *_scaled(ACTIVATIONS["sin"], 30.0)),
    ("sin", "sin-2-pi", "sin is sin(2π z).", *_scaled(ACTIVATIONS["sin"], 2 * np.pi)),
)  # fmt: skip

FORWARD: tuple[Mistake, ...] = (
    Mistake(
        "output-activated",
        "The activation is applied to the output layer too, which has none.",
        "EC-1.2",
        lambda p: again(p, output=p.activation),
    ),
    Mistake(
        "output-activated-forward",
        "The outputs are activated, and their derivative is taken at the output, not before it.",
        "EC-1.2",
        lambda p: again(p, output=replace(p.activation, derivative=of_the_value(p))),
    ),
    Mistake("biases-left-out", "The forward pass leaves out the biases.", "EC-1.1", _without_biases()),
    *(
        Mistake(
            f"biases-left-out-{where.replace(' ', '-')}",
            f"The forward pass leaves out the biases of the {where}.",
            "EC-1.1",
            _without_biases(*layers),
        )
        for where, layers in (("first layer", (0,)), ("last hidden layer", (-2,)), ("second layer", (1,)))
    ),
    Mistake(
        "biases-subtracted",
        "The biases are subtracted, not added.",
        "EC-1.1",
        lambda p: again(p, b=tuple(-b for b in p.b)),
    ),
    Mistake(
        "preactivations-for-inputs",
        "A layer's inputs are the preactivations of the layer before, not its activations.",
        "EC-1.2",
        lambda p: replace(p, a=(p.x, *p.z[:-1])),
    ),
    Mistake(
        "no-activation",
        "No activation at all, in neither pass: the network is taken for a linear one.",
        "EC-1.2",
        lambda p: again(p, activation=ACTIVATIONS["identity"]),
    ),
    Mistake(
        "inputs-centred",
        "The samples are centred before they enter the network.",
        "EC-1.1",
        lambda p: again(p, x=p.x - p.x.mean(axis=0)),
    ),
    Mistake(
        "inputs-standardised",
        "The samples are standardised before they enter the network.",
        "EC-1.1",
        lambda p: again(p, x=(p.x - p.x.mean(axis=0)) / np.where(p.x.std(axis=0) > 0, p.x.std(axis=0), 1)),
    ),
    *(
        Mistake(id, sentence, EQUATION[name], other(name, value, slope), activation=name)
        for name, id, sentence, value, slope in CONSTANTS
    ),
    *(
        Mistake(
            f"{name}-is-{taken}",
            f"{name} is computed as {taken}, value and derivative.",
            EQUATION[name],
            other(name, ACTIVATIONS[taken].value, ACTIVATIONS[taken].derivative),
            activation=name,
        )
        for name in ACTIVATIONS
        for taken in ACTIVATIONS
        if taken != name
    ),
    *(
        Mistake(
            f"always-{taken}",
            f"Every network is computed with {taken}, whatever the argument `activation` says.",
            "EC-1.2",
            lambda p, taken=taken: again(p, activation=ACTIVATIONS[taken]),  # type: ignore[misc]
        )
        for taken in ("relu", "tanh", "sigmoid")
    ),
    *(
        Mistake(
            f"{id}-forward",
            f"In the forward pass, {sentence[0].lower()}{sentence[1:-1]}; the derivative is right.",
            EQUATION[name],
            lambda p, name=name, value=value: (  # type: ignore[misc]
                again(p, activation=Activation(name, value, ACTIVATIONS[name].derivative))
                if p.activation.name == name
                else p
            ),
            activation=name,
        )
        for name, id, sentence, value, _ in CONSTANTS
    ),
)
