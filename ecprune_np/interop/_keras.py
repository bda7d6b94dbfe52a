"""From Keras 3."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .._types import Array
from ..mlp import MLP
from ._chain import ROUNDING, LeftOut, Linear, Nonlinear, Scale, Step, agree, folded, say_what_is_left_out
from ._common import by_value, computes_as, framework, is_a

ACTIVATIONS = {  # by the names that Keras's own functions have; a function of that name alone is not enough
    "linear": "identity",
    **{name: name for name in ("relu", "elu", "sigmoid", "tanh", "softplus", "silu", "gelu", "softmax", "log_softmax")},
}
OPERATIONS = ("relu", "elu", "sigmoid", "tanh", "softplus", "silu", "sin")  # of keras.ops, with our parameters
LAYERS: dict[str, tuple[str, dict[str, Any]]] = {  # with which parameters they are our activations
    "ReLU": ("relu", {"max_value": None, "negative_slope": 0.0, "threshold": 0.0}),
    "LeakyReLU": ("leaky_relu", {"negative_slope": 0.01}),
    "ELU": ("elu", {"alpha": 1.0}),
    "Softmax": ("softmax", {"axis": -1}),
}
IDLE = (  # in evaluation
    "InputLayer", "Identity", "Flatten", "Dropout", "AlphaDropout", "GaussianDropout", "GaussianNoise",
    "ActivityRegularization",
)  # fmt: skip
SUPPORTED = ", ".join(["Dense", "Activation", *LAYERS, "BatchNormalization", *IDLE, "nested models"])


@dataclass
class Reading:
    """What a model computes, and the layers in their order, those of nested models too."""

    steps: list[Step] = field(default_factory=list)
    layers: list[Any] = field(default_factory=list)


def from_keras(model: Any) -> MLP:
    """The network of a Keras 3 model, Sequential or Functional, as it computes in evaluation.

    Layers may be Dense, Activation, ReLU, LeakyReLU, ELU, BatchNormalization (folded into the Dense before or after
    it), all kinds of Dropout, GaussianNoise, Flatten, and models of these, in a chain.  A softmax at the end is left
    out, with a warning: the network's outputs are the logits.  What was read is compared with the model's own outputs
    for a few random samples.

    Parameters
    ----------
    model : keras.Model
        Built, Sequential or Functional.

    Returns
    -------
    MLP

    Raises
    ------
    ValueError
        Where there is something that no `MLP` computes, which is named: an activation that only bears the name of one,
        a branch, LoRA, a quantised or a custom layer; where the model is not built; where its own outputs are others
        than those of what was read.
    TypeError
        Where `model` is no model of Keras 3.

    Examples
    --------
    >>> layers = [keras.Input((4,)), keras.layers.Dense(5, "relu"), keras.layers.Dense(2)]  # doctest: +SKIP
    >>> ec.interop.from_keras(keras.Sequential(layers))  # doctest: +SKIP
    MLP(4-5-2, 'relu', 'identity', float32)
    """
    reading, mlp = read(model)
    say_what_is_left_out("model", reading.steps)
    return mlp


def read(model: Any) -> tuple[Reading, MLP]:
    """What a model computes in evaluation, as it was read and as a network.

    Raises ValueError that names the layer which is none of a chain of ours, or says how the model's outputs differ.
    """
    if not is_a(model, "keras", "Model"):
        raise TypeError(f"model: expected a Keras 3 model, Sequential or Functional, got {type(model).__name__}")
    reading = Reading()
    _read_model(reading, model)
    mlp = folded("model", reading.steps)
    agree("model", reading.steps, mlp, runner(model), coarsest(reading))
    return reading, mlp


def runner(model: Any) -> Callable[[Array], Array]:
    """The model as a function of samples in rows, which get the shape that it asks for."""
    shape = model.input_shape[1:]

    def run(x: Array) -> Array:
        if None in shape or math.prod(shape) != x.shape[1]:
            raise ValueError(f"it takes inputs of shape {shape}, its first Dense {x.shape[1]} numbers; add a Flatten")
        outputs = model(x.reshape(len(x), *shape).astype(np.float32), training=False)  # cast to what it computes in
        return _values("outputs", outputs).astype(np.float64)

    return run


def coarsest(reading: Reading) -> str:
    """The dtype, of those that the layers compute in, that rounds most; not every backend has float64 products."""
    result_type = framework("keras.backend").result_type
    dtypes = [str(layer.compute_dtype) for layer in reading.layers]
    return max((str(result_type(dtype, dtype)) for dtype in dtypes), key=lambda dtype: ROUNDING[dtype][0])


def _values(name: str, tensor: Any) -> Array:
    return by_value(name, framework("keras.ops").convert_to_numpy(tensor))


def _read_model(reading: Reading, model: Any) -> None:
    keras = framework("keras")
    if not model.built:
        raise ValueError(f"model: {model.name} is not built; call it once, or model.build((None, n_inputs))")
    if computes_as(model, keras.Sequential, "call"):
        calls = [(layer, False) for layer in model.layers]
    elif computes_as(model, framework("keras.src.models.functional").Functional, "call"):
        calls = _calls(model)
    else:
        raise ValueError(
            f"model: {model.name} is {type(model).__name__}, with a call of its own; expected a Sequential or "
            "Functional model, or hand over its layers: from_layers([(W, b), ...])"
        )
    for layer, always_trains in calls:
        if always_trains:
            raise ValueError(f"model: layer {layer.name} is called with training=True, in evaluation too; leave it out")
        if isinstance(layer, keras.Model):
            _read_model(reading, layer)
        else:
            _read_layer(reading, layer)
            reading.layers.append(layer)


def _calls(model: Any) -> list[tuple[Any, bool]]:
    """The layers of a Functional model from inputs to outputs, and whether each is called as if training."""
    if len(model.inputs) != 1 or len(model.outputs) != 1:
        n_in, n_out = len(model.inputs), len(model.outputs)
        raise ValueError(f"model: {model.name} has {n_in} inputs and {n_out} outputs; expected one of each")
    calls: list[tuple[Any, bool]] = []
    tensor = model.outputs[0]
    while tensor is not model.inputs[0]:
        layer, number, _ = tensor._keras_history
        node = layer._inbound_nodes[number]
        if len(node.input_tensors) != 1:
            kind, n = type(layer).__name__, len(node.input_tensors)
            raise ValueError(f"model: layer {layer.name} is {kind} and takes {n} tensors; expected one chain of layers")
        calls.insert(0, (layer, node.arguments.kwargs.get("training") is True))
        tensor = node.input_tensors[0]
    return calls


def _read_layer(reading: Reading, layer: Any) -> None:
    layers = framework("keras.layers")

    def is_(kind: str) -> bool:
        return computes_as(layer, getattr(layers, kind), "call")

    name = layer.name
    if is_("Dense"):
        if layer.lora_enabled or layer.quantization_mode is not None:
            what = "LoRA switched on; merge it into the kernel" if layer.lora_enabled else "a quantised kernel"
            raise ValueError(f"model: layer {name} has {what}; expected a Dense with its kernel alone")
        w = _values(f"{name}.kernel", layer.kernel).T
        b = np.zeros_like(w[:, 0]) if layer.bias is None else _values(f"{name}.bias", layer.bias)
        reading.steps.append(Linear(name, w, b))
        _add_activation(reading, name, layer.activation)
    elif any(is_(kind) for kind in ("Activation", *LAYERS)):
        _add_activation(reading, name, layer)
    elif is_("BatchNormalization") and layer.axis in (-1, 1):
        mean, variance = (_values(name, v).astype(np.float64) for v in (layer.moving_mean, layer.moving_variance))
        gamma, beta = (0.0 if v is None else _values(name, v) for v in (layer.gamma, layer.beta))
        factor = (1.0 if layer.gamma is None else gamma) / np.sqrt(variance + layer.epsilon)
        reading.steps.append(Scale(name, factor, beta - mean * factor))
    elif not any(is_(kind) for kind in IDLE):
        kind = f"{type(layer).__module__}.{type(layer).__qualname__}"  # one of one's own may be called Dense
        raise ValueError(f"model: layer {name} is {kind}; supported are {SUPPORTED}")


def _add_activation(reading: Reading, name: str, activation: Any) -> None:
    """What an activation is: a function of Keras's own, known by itself and not by its name, or a layer."""
    activations, operations, layers = (framework(f"keras.{place}") for place in ("activations", "ops", "layers"))
    if computes_as(activation, layers.Activation, "call"):
        activation = activation.activation
    kind = next((ours for theirs, ours in ACTIVATIONS.items() if activation is getattr(activations, theirs)), None)
    kind = kind or next((theirs for theirs in OPERATIONS if activation is getattr(operations, theirs)), None)
    for layer, (ours, expected) in LAYERS.items():
        if computes_as(activation, getattr(layers, layer), "call"):
            differs = {p: v for p, v in expected.items() if getattr(activation, p) != v}
            if differs:
                raise ValueError(f"model: layer {name} is a {layer} with other parameters; expected {differs} for it")
            kind = ours
    if kind is None:
        shown = getattr(activation, "__name__", type(activation).__name__)
        names = ", ".join([*ACTIVATIONS, *LAYERS, "sin"])
        raise ValueError(
            f"model: layer {name} has the activation {shown} ({activation!r}), none of Keras's own {names}"
        )
    if kind in ("softmax", "log_softmax"):
        reading.steps.append(LeftOut(name, kind))
    elif kind != "identity":
        reading.steps.append(Nonlinear(name, kind))
