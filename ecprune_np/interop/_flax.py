"""Parameter trees of Flax, from and to; no framework is needed for them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from .. import _checks
from .._types import ActivationName, Array
from ..mlp import MLP
from ..pruning import Pruned
from ._common import ending, is_a, like, named, parameter, parts, same_shapes
from ._order import in_order

REFUSED = {  # what leaves that are no kernel and bias belong to
    "scale": "a normalisation; supported are Dense layers",
    "mean": "a normalisation; supported are Dense layers",
    "embedding": "an Embed; supported are Dense layers",
    **dict.fromkeys("wb", "a layer of Haiku or the like; hand over its layers: from_layers([(w.T, b), ...])"),
    "weight": "a layer of PyTorch or the like; hand it over to from_torch",
    "key": "a random state; hand over nnx.state(model, nnx.Param)",
    "count": "a random state; hand over nnx.state(model, nnx.Param)",
}


def from_flax(
    params: Mapping[Any, Any],
    activation: ActivationName | Sequence[ActivationName] | None = None,
    output_activation: ActivationName = "identity",
) -> MLP:
    """The network of a tree of Flax parameters: Dense layers, each with its kernel of shape (n_in, n_out) and bias.

    It is what `init` returns, with or without "params" around it, or `nnx.state(model, nnx.Param)`.  Layers follow one
    another by the numbers in their names, or by their shapes where that leaves one order.  The tree says neither which
    activations are between them, nor how they are called: what looks like a chain of Dense layers is read as one.

    Parameters
    ----------
    params : mapping
        Of names to mappings, and in the end to arrays.
    activation : str or sequence of str, optional
        The activation of the hidden layers, or one for each; the tree names none, so where there are any it is needed.
    output_activation : str, default "identity"
        The activation of the outputs.

    Returns
    -------
    MLP

    Raises
    ------
    ValueError
        Where there is something else than Dense layers, which is named, or their order is not known.
    TypeError
        Where `params` is no mapping.

    Examples
    --------
    >>> tree = {"Dense_0": {"kernel": np.ones((4, 3)), "bias": np.zeros(3)}, "Dense_1": {"kernel": np.ones((3, 2))}}
    >>> ec.interop.from_flax({"params": tree}, "relu")
    MLP(4-3-2, 'relu', 'identity', float64)
    """
    layers = _layers(params)
    weights = [parameter(f"params: {_joined(path, 'kernel')}", layer["kernel"]).T for path, layer in layers.items()]
    biases = [
        parameter(f"params: {_joined(path, 'bias')}", layer["bias"]) if "bias" in layer else np.zeros_like(w[:, 0])
        for (path, layer), w in zip(layers.items(), weights)
    ]
    return MLP(weights, biases, named("a tree of parameters", activation, len(weights)), ending(output_activation))


def to_flax(network: Pruned | MLP, params: Mapping[Any, Any] | None = None, masks: bool = False) -> Any:
    """The network as a tree of Flax parameters, such as `apply` takes.

    Training moves what was removed, unless its gradients or updates are multiplied by the masks.

    Parameters
    ----------
    network : Pruned or MLP
        What to write.
    params : mapping, optional
        A tree, as `from_flax` reads it, whose names, kinds of mappings and arrays, and dtypes the new one gets.
        Without it the layers are Dense_0, Dense_1, ..., of NumPy arrays.
    masks : bool, default False
        Whether to return the masks too.

    Returns
    -------
    mapping
        With `masks`, a tuple of it and of a tree of the same structure: ones for what is kept, zeros for what is not.

    Raises
    ------
    ValueError
        Where the tree is none that `from_flax` reads, has other shapes, or lacks a bias that is not zero.
    TypeError
        Where `network` is no network, or `params` no mapping.

    Examples
    --------
    >>> ec.interop.to_flax(ec.MLP([[[2.0, 0.0]]], [[1.0]]))
    {'params': {'Dense_0': {'kernel': array([[2.],
           [0.]]), 'bias': array([1.])}}}
    """
    mlp, kept = parts(network)
    _checks.instance("masks", masks, bool)
    if params is None:
        layers = {f"Dense_{l}": {"kernel": w.T, "bias": b} for l, (w, b) in enumerate(zip(mlp.weights, mlp.biases))}
        params = {"params": layers}
    found = _layers(params)
    same_shapes("params", [np.shape(layer["kernel"])[::-1] for layer in found.values()], mlp)
    values: dict[str, Array] = {}
    kept_values: dict[str, Array] = {}
    for path, w, b, mask in zip(found, mlp.weights, mlp.biases, kept):
        if "bias" not in found[path] and b.any():
            raise ValueError(f"params: {path!r} has no bias; expected one, for the network's is not zero")
        kernel, bias = (_joined("params" if "params" in params else "", path, name) for name in ("kernel", "bias"))
        values |= {kernel: w.T, bias: b}
        kept_values |= {kernel: mask.T, bias: np.ones(b.shape)}
    written = _replaced(params, values)
    return (written, _replaced(params, kept_values)) if masks else written


def _layers(params: Any) -> dict[str, dict[str, Any]]:
    """The Dense layers by path, in order, each with its kernel and perhaps its bias."""
    if not isinstance(params, Mapping):
        kind = type(params).__name__
        where = "its .params" if hasattr(params, "params") else "variables['params'], or nnx.state(model, nnx.Param)"
        raise TypeError(f"params: expected a mapping of names to parameters, got {kind}; hand over {where}")
    if "params" in params and len(params) > 1:
        others = ", ".join(repr(name) for name in params if name != "params")
        raise ValueError(f"params: there is {others} beside 'params', as of a normalisation; expected 'params' alone")
    layers: dict[str, dict[str, Any]] = {}
    inside = params.get("params")
    for path, leaf in _leaves(inside if isinstance(inside, Mapping) else params, ""):
        parent, _, name = path.rpartition(".")
        if name not in ("kernel", "bias"):
            raise ValueError(f"params: {path!r} belongs to {REFUSED.get(name, 'something else than a Dense layer')}")
        layers.setdefault(parent, {})[name] = leaf
    shapes = {}
    for path, layer in layers.items():
        if "kernel" not in layer:
            raise ValueError(f"params: {path!r} has a bias and no kernel; expected both, or a kernel alone")
        shape = np.shape(layer["kernel"])
        if len(shape) != 2:
            raise ValueError(
                f"params: the kernel of {path!r} has shape {shape}, as of a convolution; supported are Dense"
            )
        shapes[path] = shape[::-1]
    if not shapes:
        raise ValueError("params: expected the parameters of at least one Dense layer, got none")
    return {path: layers[path] for path in in_order("params", shapes)}


def _leaves(tree: Mapping[Any, Any], path: str) -> Iterator[tuple[str, Any]]:
    for name, value in tree.items():
        if isinstance(name, tuple) or str(name).endswith(("/kernel", "/bias")):
            unflatten = "flax.traverse_util.unflatten_dict makes one"
            raise ValueError(f"params: {name!r} is a whole path; expected a tree of mappings, as {unflatten}")
        here = _joined(path, str(name))
        if isinstance(value, Mapping):
            yield from _leaves(value, here)
        else:
            yield here, value


def _joined(*names: str) -> str:
    return ".".join(filter(None, names))


def _replaced(tree: Any, values: Mapping[str, Array], path: str = "") -> Any:
    """The same tree with other values, by path."""
    if isinstance(tree, Mapping):
        inside = {name: _replaced(value, values, _joined(path, str(name))) for name, value in tree.items()}
        return inside if type(tree) is dict else type(tree)(inside)  # type: ignore[call-arg]  # a FrozenDict or State
    if is_a(tree, "flax.nnx", "Variable"):
        return tree.replace(like(path, tree.get_value(), values[path]))
    return like(path, tree, values[path])
