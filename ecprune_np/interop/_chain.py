"""What was read, step by step: folded into a network, and compared with the original's own forward pass."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from .. import _checks
from .._files import naming
from .._types import Array
from ..activations import ACTIVATIONS, sigmoid
from ..mlp import MLP

ROUNDING = {  # relative, and of the smallest numbers
    "float64": (2.0**-52, 2.0**-1022),
    "float32": (2.0**-23, 2.0**-126),
    "float16": (2.0**-10, 2.0**-24),
    "bfloat16": (2.0**-7, 2.0**-126),
}
SAMPLES = 32
DRAWS = 3  # of rounding errors
MARGIN = 16  # times the largest of these: what is read wrongly differs by far more


@dataclass(frozen=True)
class Linear:
    """W a + b."""

    name: str
    weight: Array
    bias: Array

    def __call__(self, a: Array) -> tuple[Array, Array]:
        return a @ self.weight.T + self.bias, np.abs(a) @ np.abs(self.weight).T + np.abs(self.bias)


@dataclass(frozen=True)
class Scale:
    """s a + t, neuron by neuron: a normalisation with fixed statistics, or a bias on its own."""

    name: str
    factor: Array
    shift: Array

    def __call__(self, a: Array) -> tuple[Array, Array]:
        return a * self.factor + self.shift, np.abs(a * self.factor) + np.abs(self.shift)


@dataclass(frozen=True)
class Nonlinear:
    """σ(z)."""

    name: str
    activation: str

    def __call__(self, a: Array) -> tuple[Array, Array]:
        value = ACTIVATIONS[self.activation].value(a)  # type: ignore[index]  # one of the ten names
        return value, np.abs(value) + np.abs(a) + (self.activation == "elu")  # some compute e^z − 1 as it stands


@dataclass(frozen=True)
class LeftOut:
    """What turns the last layer's logits into probabilities, which the network does not have."""

    name: str
    kind: str

    def __call__(self, a: Array) -> tuple[Array, Array]:
        if self.kind == "sigmoid":
            value = sigmoid(a)
        else:
            shifted = a - a.max(axis=1, keepdims=True)
            value = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
            value = np.exp(value) if self.kind == "softmax" else value
        return value, np.abs(value) + np.abs(a)


Step: TypeAlias = Linear | Scale | Nonlinear | LeftOut


def folded(argument: str, steps: Sequence[Step]) -> MLP:
    """The network that computes what the steps compute, what is left out at the end aside.

    A `Scale` goes into the `Linear` before it, or behind an activation into the one after it.
    """
    weights: list[Array] = []
    biases: list[Array] = []
    names: list[str | None] = []  # of the activation after each Linear
    waiting: list[Scale] = []
    for number, step in enumerate(steps):
        if isinstance(step, Linear):
            w, b = _wide(step.weight), _wide(step.bias)
            for scale in reversed(waiting):
                factor, shift = _per_neuron(argument, scale, w.shape[1])
                w, b = w * factor, b + w @ shift
            weights.append(w.astype(step.weight.dtype))
            biases.append(b.astype(step.weight.dtype))
            names.append(None)
            waiting = []
        elif isinstance(step, Scale):
            if not names or names[-1] is not None or waiting:
                waiting.append(step)
            else:
                w, (factor, shift) = weights[-1], _per_neuron(argument, step, len(weights[-1]))
                weights[-1] = (factor[:, None] * w).astype(w.dtype)
                biases[-1] = (factor * biases[-1] + shift).astype(w.dtype)
        elif isinstance(step, Nonlinear):
            if not names or names[-1] is not None or waiting:
                expected = "expected one activation after each Linear"
                raise ValueError(f"{argument}: layer {step.name} is {step.activation}; {expected}")
            names[-1] = step.activation
        elif number < len(steps) - 1:
            raise ValueError(f"{argument}: layer {step.name} is {step.kind}; supported at the end only")
        elif step.kind != "sigmoid" and weights and len(weights[-1]) == 1:
            constant = f"the {step.kind} of one output, which is the same whatever that is"
            raise ValueError(f"{argument}: layer {step.name} is {constant}; expected a sigmoid, or none")
    if not names:
        raise ValueError(f"{argument}: expected at least one layer with weights, got none")
    if waiting:
        raise ValueError(f"{argument}: layer {waiting[0].name} scales what an activation gives; expected a Linear next")
    *hidden, last = [name or "identity" for name in names]
    with naming(argument):
        return MLP(weights, biases, hidden or "identity", last)  # type: ignore[arg-type]  # names of ours


def say_what_is_left_out(argument: str, steps: Sequence[Step]) -> None:
    """Warn the caller of a door, two calls up, that the network's outputs are not those of what was handed in."""
    for step in steps:
        if isinstance(step, LeftOut):
            what = f"the {step.kind} at its end (layer {step.name})"
            warnings.warn(f"{argument}: {what} is left out; the network's outputs are the logits", stacklevel=3)


def agree(argument: str, steps: Sequence[Step], mlp: MLP, run: Callable[[Array], Array], dtype: str) -> None:
    """Raise unless the network's outputs are those of the original, which `run` gives for samples, up to rounding.

    How far rounding in `dtype` carries is measured: the steps are run with an error of that size in each of them.
    """
    rng = np.random.default_rng(0)
    of_network = [*as_steps(mlp), *(step for step in steps if isinstance(step, LeftOut))]
    for spread in (1, 32):
        x = spread * np.round(16 * rng.standard_normal((SAMPLES, mlp.sizes[0]))) / 16  # exact in every dtype
        with np.errstate(all="ignore"):
            expected, exact = outputs(of_network, x), outputs(steps, x)
            errors = [np.abs(outputs(steps, x, dtype, rng) - exact).max() for _ in range(DRAWS)]
            tolerance = MARGIN * (max(errors) + ROUNDING[dtype][0] * np.abs(exact).max())
        got = own_outputs(argument, run, x)
        if got.shape != expected.shape:
            raise ValueError(
                f"{argument}: for samples of shape {x.shape} its own outputs have shape {got.shape}, "
                f"those of the layers that were read {expected.shape}; expected a network from rows to rows"
            )
        difference = np.abs(got - expected)
        if spread > 1:
            difference = difference[np.isfinite(difference)]  # half precision may overflow there
        if not (difference <= tolerance).all():
            raise ValueError(
                f"{argument}: its own outputs are {difference.max():.2g} away from those of the layers that were read, "
                f"where rounding explains {tolerance:.2g}; something else takes part: a forward hook, a forward pass "
                "of a class's own; remove it, or hand over what it computes: from_layers([(W, b), ...])"
            )


def outputs(steps: Sequence[Step], x: Array, dtype: str | None = None, rng: np.random.Generator | None = None) -> Array:
    """What the steps make of x, in float64; with `dtype` and `rng` each has an error as rounding in `dtype` has."""
    a = x
    for step in steps:
        a, magnitude = step(a)
        if dtype is not None and rng is not None:
            relative, smallest = ROUNDING[dtype]
            a = a + rng.uniform(-1, 1, a.shape) * (relative * magnitude + smallest)
    return a


def as_steps(mlp: MLP) -> list[Step]:
    """A network as steps, in float64."""
    steps: list[Step] = []
    for l, (w, b) in enumerate(zip(mlp.weights, mlp.biases)):
        steps.append(Linear(str(l), w.astype(np.float64), b.astype(np.float64)))
        steps.append(Nonlinear(str(l), mlp.layer_activation(l).name))
    return steps


def own_outputs(argument: str, run: Callable[[Array], Array], x: Array) -> Array:
    """The original's outputs for samples; raises ValueError that says why there are none."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return np.asarray(run(x), np.float64)
    except Exception as error:
        why = _checks.one_line(error)
        raise ValueError(f"{argument}: its own forward pass fails on samples of shape {x.shape}: {why}") from error


def _per_neuron(argument: str, scale: Scale, n: int) -> tuple[Array, Array]:
    """Factor and shift, each of which may be one number, for n neurons."""
    if {np.size(scale.factor), np.size(scale.shift)} - {1, n}:
        shapes = f"{np.shape(scale.factor)} and {np.shape(scale.shift)}"
        raise ValueError(
            f"{argument}: layer {scale.name} scales and shifts by {shapes}; expected ({n},), next to a Linear"
        )
    return np.broadcast_to(scale.factor, n), np.broadcast_to(scale.shift, n)


def _wide(array: Array) -> Array:
    return array.astype(np.result_type(array, np.float64), copy=False)
