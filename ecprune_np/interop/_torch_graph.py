"""PyTorch modules, read as a chain of steps from the graph that `torch.fx` traces of a copy."""

from __future__ import annotations

import builtins
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .. import _checks
from ._chain import LeftOut, Linear, Nonlinear, Scale, Step
from ._common import by_value, computes_as, framework

ACTIVATION_LAYERS = {
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
FUNCTIONS = {  # of torch, torch.nn.functional and tensors; an underscore at their end aside
    **{name: name for name in ("relu", "leaky_relu", "elu", "sigmoid", "tanh", "softplus", "silu", "gelu", "sin")},
    "contiguous": "identity",
    "float": "identity",
    "flatten": "identity",
    "reshape": "identity",
    "view": "identity",
}
PARAMETERS: dict[str, dict[str, Any]] = {  # with which these are our activations, in the order of the arguments
    "leaky_relu": {"negative_slope": 0.01},
    "elu": {"alpha": 1.0},
    "softplus": {"beta": 1.0, "threshold": 20.0},  # or more
    "gelu": {"approximate": "none"},
}
THRESHOLD = 40.0  # of a softplus in double precision, which sees that z + e^−z, beyond 20, is not z
DROPOUTS = ("Dropout", "Dropout1d", "Dropout2d", "Dropout3d", "AlphaDropout", "FeatureAlphaDropout")
SUPPORTED = ", ".join(
    ["Linear", *ACTIVATION_LAYERS, "sin", "BatchNorm1d", "Dropout", "Flatten", "Softmax and LogSoftmax at the end"]
)


@dataclass
class Reading:
    """What a module computes, and where it has it from."""

    steps: list[Step] = field(default_factory=list)
    weights: list[str] = field(default_factory=list)  # the path of each Linear's weight, and of its bias
    biases: list[str | None] = field(default_factory=list)
    normalisations: list[str] = field(default_factory=list)
    drops: bool = False  # by a function, which no mode of a layer stops


def traced(module: Any) -> list[Any]:
    """The nodes from a module's input to its output; raises ValueError that names what is no chain."""
    fx, nn = framework("torch.fx"), framework("torch.nn")

    class Around(nn.Module):  # type: ignore[misc, name-defined]  # so that optional arguments keep their defaults
        def __init__(self) -> None:
            super().__init__()
            self.module = module

        def forward(self, x: Any) -> Any:
            return self.module(x)

    class Tracer(fx.Tracer):  # type: ignore[misc, name-defined]
        def is_leaf_module(self, layer: Any, name: str) -> bool:
            known = computes_as(layer, nn.Linear, "forward") or super().is_leaf_module(layer, name)
            return bool(known and "forward" not in vars(layer))

    around = Around().train(module.training)
    hooks = [(inner, inner._forward_hooks, inner._forward_pre_hooks) for inner in module.modules()]
    for inner, _, _ in hooks:  # they run when outputs are compared; here they would become nodes
        inner._forward_hooks, inner._forward_pre_hooks = OrderedDict(), OrderedDict()
    try:
        graph = Tracer().trace(around)
    except Exception as error:
        raise ValueError(
            f"module: its forward pass is no chain that torch.fx can follow ({_checks.one_line(error)}); "
            "hand over its state_dict() and its activation"
        ) from error
    finally:
        for inner, forward_hooks, forward_pre_hooks in hooks:
            inner._forward_hooks, inner._forward_pre_hooks = forward_hooks, forward_pre_hooks
    return _chain(graph, fx.Node)


def reading_of(module: Any, nodes: Sequence[Any]) -> Reading:
    """The steps that the nodes of a module are, with the values that it has now."""
    reading = Reading()
    for node in nodes:
        if node.op == "call_module":
            path = _path(node.target)
            _read_layer(reading, path, module.get_submodule(path))
        elif _name(node) == "linear":
            _read_linear(reading, module, node)
        else:
            _read_call(reading, node)
    if not reading.weights:
        raise ValueError("module: expected at least one Linear layer, got none")
    return reading


def place(module: Any, path: str) -> tuple[Any, str, Any]:
    """The submodule that has what a path leads to, its name there, and what it is."""
    parent, _, name = path.rpartition(".")
    owner = module.get_submodule(parent)
    return owner, name, getattr(owner, name)


def _chain(graph: Any, kind: Any) -> list[Any]:
    *_, output = graph.nodes
    node: Any = output.args[0]
    chain: list[Any] = []
    while isinstance(node, kind) and node.op != "placeholder":
        chain.insert(0, node)
        node = node.args[0] if node.args else node.kwargs.get("input")
    if not isinstance(node, kind):
        what = (
            f"{_shown(chain[0])} takes no output of a layer before it"
            if chain
            else f"it returns a {type(node).__name__}"
        )
        raise ValueError(f"module: {what}; expected one chain from the samples to the outputs")
    asides: set[Any] = set()  # sizes, which a view or a reshape asks for, and what has to do with parameters alone
    for other in graph.nodes:
        if other.op.startswith("call") and other not in chain:
            asks = _name(other) in ("size", "dim") or (_name(other) == "getattr" and other.args[1] in ("shape", "ndim"))
            inputs = [node for node in other.all_input_nodes if node.op != "get_attr"]
            if not asks and not asides.issuperset(inputs):
                raise ValueError(
                    f"module: {_shown(other)} is beside the chain from the samples to the outputs; expected "
                    "each layer to take the outputs of the one before it, and nothing else"
                )
            asides.add(other)
    return chain


def _read_layer(reading: Reading, path: str, layer: Any) -> None:
    nn = framework("torch.nn")

    def is_(kind: str) -> bool:
        return computes_as(layer, getattr(nn, kind), "forward")

    name = next((name for kind, name in ACTIVATION_LAYERS.items() if is_(kind)), None)
    shown = f"{f'layer {path}' if path else 'it'} is {str(layer).splitlines()[0].removesuffix('(')}"
    if is_("Linear"):
        prefix = f"{path}." if path else ""
        _add_linear(reading, path, layer.weight, layer.bias)
        reading.weights.append(f"{prefix}weight")
        reading.biases.append(f"{prefix}bias")
    elif name is not None:
        _add_activation(reading, shown, path, name, {p: getattr(layer, p) for p in PARAMETERS.get(name, {})})
    elif is_("Softmax") or is_("LogSoftmax"):
        _add_softmax(reading, shown, path, "softmax" if is_("Softmax") else "log_softmax", layer.dim)
    elif is_("BatchNorm1d"):
        if layer.running_mean is None:
            raise ValueError(f"module: {shown}, which keeps no statistics; expected track_running_stats=True")
        mean, variance = (by_value(path, v).astype(np.float64) for v in (layer.running_mean, layer.running_var))
        gamma, beta = (1.0, 0.0) if layer.weight is None else (by_value(path, v) for v in (layer.weight, layer.bias))
        factor = gamma / np.sqrt(variance + layer.eps)
        reading.steps.append(Scale(path, factor, beta - mean * factor))
        reading.normalisations.append(path)
    elif not any(is_(kind) for kind in (*DROPOUTS, "Flatten")):
        raise ValueError(f"module: {shown}; supported are {SUPPORTED}")


def _read_linear(reading: Reading, module: Any, node: Any) -> None:
    """A call of `torch.nn.functional.linear`."""
    given = dict(zip(("weight", "bias"), node.args[1:])) | {k: v for k, v in node.kwargs.items() if k != "input"}
    paths = {}
    for name, value in given.items():
        if value is not None:
            if value.op != "get_attr":
                raise ValueError(
                    f"module: the {name} of {node.name} is computed, by {value.name}; expected a parameter, "
                    "or hand over its value: from_layers([(W, b), ...])"
                )
            paths[name] = _path(value.target)
    values = {name: place(module, path)[-1] for name, path in paths.items()}
    _add_linear(reading, node.name, values["weight"], values.get("bias"))
    reading.weights.append(paths["weight"])
    parent, _, _ = paths["weight"].rpartition(".")
    without = getattr(module.get_submodule(parent), "bias", 0) is None  # one that could be there
    reading.biases.append(paths.get("bias", f"{parent}.bias".lstrip(".") if without else None))


def _read_call(reading: Reading, node: Any) -> None:
    """A call of a function or a method, or anything else that stands in the chain."""
    shown, name = _shown(node), _name(node)
    others = {key: value for key, value in node.kwargs.items() if key != "input"}
    if name in FUNCTIONS:
        positions = dict(zip(PARAMETERS.get(name, {}), node.args[1:]))
        given = {key: value for key, value in (positions | others).items() if key in PARAMETERS.get(name, {})}
        _add_activation(reading, shown, node.name, FUNCTIONS[name], PARAMETERS.get(name, {}) | given)
    elif name in ("softmax", "log_softmax"):
        _add_softmax(reading, shown, node.name, name, [*node.args[1:2], others.get("dim")][0])
    elif name is not None and "dropout" in name:
        if (dict(zip(("p", "training"), node.args[1:])) | others).get("training", True):
            raise ValueError(f"module: {shown} drops in evaluation too; expected training=self.training")
        reading.drops = True
    else:
        raise ValueError(f"module: {shown} is neither a layer nor an activation; supported are {SUPPORTED}")


def _add_linear(reading: Reading, path: str, weight: Any, bias: Any) -> None:
    w = by_value(f"module: weight of {path or 'itself'}", weight)
    b = np.zeros_like(w[:, 0]) if bias is None else by_value(f"module: bias of {path or 'itself'}", bias)
    reading.steps.append(Linear(path, w, b))


def _add_activation(reading: Reading, shown: str, path: str, name: str, given: dict[str, Any]) -> None:
    expected = dict(PARAMETERS.get(name, {}))
    linear = next((step for step in reversed(reading.steps) if isinstance(step, Linear)), None)
    if name == "softplus" and linear is not None and linear.weight.dtype == np.float64:
        expected["threshold"] = THRESHOLD
    differs = {p: v for p, v in expected.items() if given[p] != v and not (p == "threshold" and given[p] > v)}
    if differs:
        raise ValueError(f"module: {shown}; expected {differs} for it")
    if name != "identity":
        reading.steps.append(Nonlinear(path, name))


def _add_softmax(reading: Reading, shown: str, path: str, kind: str, dim: int | None) -> None:
    if dim not in (1, -1, None):
        raise ValueError(f"module: {shown}; expected dim=1, over the outputs")
    reading.steps.append(LeftOut(path, kind))


def _path(target: str) -> str:
    """The path in the module, without `Around`'s name for it."""
    return target.removeprefix("module").removeprefix(".")


def _name(node: Any) -> str | None:
    """The name of what a node calls, if it is torch's or Python's own, without the mark of what works in place."""
    if node.op == "call_method":
        return str(node.target).removesuffix("_")
    if node.op != "call_function":
        return None
    name = getattr(node.target, "__name__", "")
    torch = framework("torch")
    known = any(getattr(place, name, None) is node.target for place in (torch, torch.nn.functional, builtins))
    return name.removesuffix("_") if known else None


def _shown(node: Any) -> str:
    return f"node {node.name}" if node.op != "call_module" else f"layer {_path(node.target)}"
