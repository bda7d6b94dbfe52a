"""Networks from and to PyTorch, scikit-learn and Keras; no framework is imported here.

Modules and estimators are recognised by the names of their classes, and their arrays by NumPy's own protocol.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from . import _checks
from .activations import ACTIVATIONS
from .mlp import MLP
from .pruning import Pruned

Array = npt.NDArray[Any]

TORCH_ACTIVATIONS = {
    "Identity": "identity",
    "ReLU": "relu",
    "LeakyReLU": "leaky_relu",
    "ELU": "elu",
    "Sigmoid": "sigmoid",
    "Tanh": "tanh",
    "Softplus": "softplus",
    "SiLU": "silu",
    "GELU": "gelu",
}
TORCH_PARAMETERS: dict[str, dict[str, Any]] = {  # with which these are our activations
    "LeakyReLU": {"negative_slope": 0.01},
    "ELU": {"alpha": 1.0},
    "Softplus": {"beta": 1.0},  # its `threshold` changes no value by more than e^−20
    "GELU": {"approximate": "none"},
}
SKLEARN_ACTIVATIONS = {"identity": "identity", "logistic": "sigmoid", "tanh": "tanh", "relu": "relu"}
KERAS_ACTIVATIONS = {
    "linear": "identity",
    **{name: name for name in ("relu", "elu", "sigmoid", "tanh", "softplus", "silu", "gelu")},
    "swish": "silu",
}


def from_torch(module: Any, activation: str | None = None, output_activation: str = "identity") -> MLP:
    """The network of a `torch.nn.Sequential` of Linear and known activations, or of a state dict.

    A state dict ("0.weight", "0.bias", ... in the order of the layers; masked by `torch.nn.utils.prune` or not)
    holds no activation: `activation` and `output_activation` name them.  Dropout counts as in evaluation, and
    Flatten as nothing.  Raises ValueError that names a layer that is not supported, or activations that differ.
    """
    if isinstance(module, Mapping):
        if activation is None:
            raise ValueError(f"activation: a state dict does not name one; expected one of {', '.join(ACTIVATIONS)}")
        return _from_state_dict(module, activation, output_activation)
    weights: list[Array] = []
    biases: list[Array] = []
    activations: list[str | None] = []  # after each Linear
    for name, layer in _torch_layers(module):
        kind = type(layer).__name__
        if kind == "Linear":
            masked = hasattr(layer, "weight_mask")  # `weight` itself is then as old as the last forward pass
            weights.append(_array(layer.weight_orig) * _array(layer.weight_mask) if masked else _array(layer.weight))
            biases.append(np.zeros_like(weights[-1][:, 0]) if layer.bias is None else _array(layer.bias))
            activations.append(None)
        elif kind in TORCH_ACTIVATIONS:
            different = {p: v for p, v in TORCH_PARAMETERS.get(kind, {}).items() if getattr(layer, p) != v}
            if different or not activations or activations[-1] is not None:
                expected = f"{different} for it" if different else "one activation after each Linear"
                raise ValueError(f"module: layer {name} is {layer}; expected {expected}")
            activations[-1] = TORCH_ACTIVATIONS[kind]
        elif kind not in ("Dropout", "Flatten"):
            supported = ", ".join(["Linear", *TORCH_ACTIVATIONS, "Dropout", "Flatten"])
            raise ValueError(f"module: layer {name} is {layer}; supported are {supported}")
    return _network("module", weights, biases, [a or "identity" for a in activations])


def from_sklearn(estimator: Any) -> MLP:
    """The network of a fitted `MLPClassifier` or `MLPRegressor`; a classifier's outputs are its logits.

    Raises ValueError for an estimator of another class or one that is not fitted.
    """
    kind = type(estimator).__name__
    if kind not in ("MLPClassifier", "MLPRegressor"):
        raise ValueError(f"estimator: supported are MLPClassifier and MLPRegressor, got {kind}")
    if not hasattr(estimator, "coefs_"):
        raise ValueError(f"estimator: expected a fitted {kind}, got one without coefs_")
    if kind == "MLPRegressor" and estimator.out_activation_ != "identity":
        raise ValueError(f"estimator: expected the output activation identity, got {estimator.out_activation_}")
    return MLP(
        [np.asarray(w).T for w in estimator.coefs_],
        [np.asarray(b) for b in estimator.intercepts_],
        SKLEARN_ACTIVATIONS[estimator.activation],
    )


def from_keras(model: Any) -> MLP:
    """The network of a Keras `Sequential` of Dense and Activation layers; a softmax at the end is left out: logits.

    Read through `layers`, `get_weights()` and `get_config()["activation"]`.
    Raises ValueError that names a layer or an activation that is not supported.
    """
    layers: list[Any] = []
    activations: list[str] = []
    for layer in model.layers:
        kind = type(layer).__name__
        if kind == "Dense":
            layers.append(layer)
            activations.append(layer.get_config()["activation"])
        elif kind == "Activation" and activations and activations[-1] == "linear":
            activations[-1] = layer.get_config()["activation"]
        elif kind not in ("InputLayer", "Dropout", "Flatten"):
            supported = "Dense, Activation behind a Dense without one, InputLayer, Dropout, Flatten"
            raise ValueError(f"model: layer {layer.name} is {kind}; supported are {supported}")
    if activations and activations[-1] == "softmax":
        activations[-1] = "linear"
    weights, biases = [], []
    for layer, activation in zip(layers, activations):
        if activation not in KERAS_ACTIVATIONS:
            supported = ", ".join([*KERAS_ACTIVATIONS, "softmax at the end"])
            raise ValueError(f"model: layer {layer.name} has the activation {activation}; supported are {supported}")
        kernel, *bias = layer.get_weights()
        weights.append(np.asarray(kernel).T)
        biases.append(np.asarray(bias[0]) if bias else np.zeros_like(weights[-1][:, 0]))
    return _network("model", weights, biases, [KERAS_ACTIVATIONS[activation] for activation in activations])


def to_torch(network: Pruned | MLP, module: Any, masks: bool = False) -> Any:
    """A copy of `module` with the network's weights and biases, in the dtype and on the device of the module.

    With `masks=True` it also returns the masks, per Linear an array of zeros and ones as
    `torch.nn.utils.prune.custom_from_mask(linear, "weight", torch.from_numpy(mask))` takes it.
    Raises ValueError where the module's Linear layers have other shapes, or lack a bias that is not zero.
    """
    mlp, kept = _parts(network)
    copied = copy.deepcopy(module)
    linears = [(name, layer) for name, layer in _torch_layers(copied) if type(layer).__name__ == "Linear"]
    _same_shapes("module", [tuple(layer.weight.shape) for _, layer in linears], mlp.shapes)
    for (name, layer), w, b in zip(linears, mlp.weights, mlp.biases):
        layer.weight.data = layer.weight.data.new_tensor(w)
        if layer.bias is not None:
            layer.bias.data = layer.bias.data.new_tensor(b)
        elif b.any():
            raise ValueError(f"module: layer {name} is {layer}; expected a bias, for the network's is not zero")
    if not masks:
        return copied
    return copied, [mask.astype(mlp.dtype) for mask in kept]


def to_sklearn(network: Pruned | MLP, estimator: Any) -> Any:
    """A copy of a fitted estimator with `coefs_` and `intercepts_` replaced by the network's.

    Raises ValueError where the estimator is not one of `from_sklearn` or has other shapes.
    """
    mlp, _ = _parts(network)
    _same_shapes("estimator", from_sklearn(estimator).shapes, mlp.shapes)
    copied = copy.deepcopy(estimator)
    copied.coefs_ = [np.array(w.T, old.dtype) for w, old in zip(mlp.weights, estimator.coefs_)]
    copied.intercepts_ = [np.array(b, old.dtype) for b, old in zip(mlp.biases, estimator.intercepts_)]
    return copied


def _from_state_dict(state: Mapping[str, Any], activation: str, output_activation: str) -> MLP:
    weights, biases = [], []
    for key, value in state.items():
        prefix, _, name = key.rpartition("weight")
        if name not in ("", "_orig") or not key.endswith(f"weight{name}"):
            continue
        w = _array(value)
        if name == "_orig":
            w = w * _array(state[f"{prefix}weight_mask"])
        if w.ndim != 2:
            raise ValueError(f"module: {key} has shape {w.shape}; supported are matrices of Linear layers")
        weights.append(w)
        biases.append(_array(state[f"{prefix}bias"]) if f"{prefix}bias" in state else np.zeros_like(w[:, 0]))
    return MLP(weights, biases, activation, output_activation)


def _torch_layers(module: Any) -> list[tuple[str, Any]]:
    """The layers of nested Sequentials, in order, each with its name."""
    if type(module).__name__ != "Sequential":
        raise ValueError(f"module: expected a Sequential or a state dict, got {type(module).__name__}")
    layers: list[tuple[str, Any]] = []
    for name, child in module._modules.items():  # not named_children(), which leaves out repetitions
        inner = _torch_layers(child) if type(child).__name__ == "Sequential" else [("", child)]
        layers += [(f"{name}.{rest}".rstrip("."), layer) for rest, layer in inner]
    return layers


def _array(tensor: Any) -> Array:
    """A tensor of any device as an array of its own."""
    return np.array(tensor.detach().cpu().numpy() if hasattr(tensor, "detach") else tensor)


def _network(what: str, weights: list[Array], biases: list[Array], activations: list[str]) -> MLP:
    """The MLP, which has one activation for all layers but the last."""
    if not weights:
        raise ValueError(f"{what}: expected at least one layer with weights, got none")
    *hidden, output_activation = activations
    if len(set(hidden)) > 1:
        raise ValueError(f"{what}: expected the same activation in all hidden layers, got {', '.join(hidden)}")
    return MLP(weights, biases, hidden[0] if hidden else "identity", output_activation)


def _parts(network: Pruned | MLP) -> tuple[MLP, Sequence[Array]]:
    if isinstance(network, Pruned):
        return network.mlp, network.masks
    _checks.instance("network", network, MLP)
    return network, [np.ones(shape, bool) for shape in network.shapes]


def _same_shapes(what: str, got: Sequence[tuple[int, ...]], expected: Sequence[tuple[int, ...]]) -> None:
    if list(got) != list(expected):
        raise ValueError(f"{what}: expected layers of shapes {list(expected)} as in the network, got {list(got)}")
