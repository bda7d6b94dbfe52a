"""What all doors share: frameworks are looked up, never imported first; arrays of any kind are taken by value."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np

from .. import _checks
from .._types import Array, Masks
from ..activations import ACTIVATIONS
from ..mlp import MLP
from ..pruning import Pruned


def framework(name: str) -> Any:
    """A module of a framework of which an object was handed in."""
    return importlib.import_module(name)


def is_a(value: Any, module: str, name: str) -> bool:
    """Whether `value` is an instance of a framework's class; where its module was not imported, it is not."""
    return module in sys.modules and isinstance(value, getattr(sys.modules[module], name))


def computes_as(layer: Any, kind: type, method: str) -> bool:
    """Whether `layer` is of a framework's class and computes by the class's own method: a name is no proof."""
    return (
        isinstance(layer, kind)
        and getattr(type(layer), method) is getattr(kind, method)
        and method not in getattr(layer, "__dict__", {})
    )


def by_value(name: str, value: Any, kinds: str = "fiu") -> Array:
    """An array, a tensor, a sparse matrix or a table of any library as an array that a network can be made of.

    float16 and smaller become float32, which holds each of their values, and the byte order this machine's.
    """
    if is_a(value, "torch", "Tensor"):
        value = _of_tensor(name, value)
    if np.ma.is_masked(value):
        raise ValueError(f"{name}: has masked entries; say what they count as, as .filled(0) does")
    if hasattr(value, "toarray"):
        value = value.toarray()
    try:
        array = np.asarray(value)
    except Exception as error:  # that of a library whose array has no values
        kind = type(value).__name__
        raise ValueError(f"{name}: expected an array with values, got {kind} ({_checks.one_line(error)})") from error
    if array.dtype.name.startswith(("float16", "bfloat16", "float8")):
        return array.astype(np.float32)
    if array.dtype.kind not in kinds:
        came = type(value).__name__ if array.dtype == object or array.ndim == 0 else f"an array of {array.dtype}"
        raise TypeError(f"{name}: expected an array of real numbers, got {came}")
    return array.astype(array.dtype.newbyteorder("="), copy=False)


def parameter(name: str, value: Any, kinds: str = "fiu") -> Array:
    """A weight or a bias, of finite numbers, by value."""
    array = by_value(name, value, kinds)
    _checks.all_finite(name, array, array)
    return array


def like(name: str, old: Any, array: Array) -> Any:
    """`array` as what `old` is: a tensor or an array of its library, dtype and device."""
    with _checks.overflow_raised_later():
        if is_a(old, "torch", "Tensor"):
            new = old.detach().new_tensor(array)
        elif is_a(old, "jax", "Array"):
            new = framework("jax.numpy").asarray(array, old.dtype)
        else:
            new = np.array(array, np.asarray(old).dtype)
    if not np.isfinite(by_value(name, new, "fiub")).all():
        raise ValueError(f"{name}: the network's values are too large for {new.dtype}; expected a wider dtype there")
    return new


def parts(network: Any) -> tuple[MLP, Masks]:
    """The network and its masks; one that is not pruned keeps all."""
    if isinstance(network, Pruned):
        return network.mlp, network.masks
    if not isinstance(network, MLP):
        raise TypeError(f"network: expected Pruned or MLP, got {type(network).__name__}")
    return network, tuple(np.ones(shape, bool) for shape in network.shapes)


def same_shapes(argument: str, got: Sequence[tuple[int, ...]], mlp: MLP) -> None:
    """Raise unless the layers that are to be written have the network's shapes."""
    if list(got) != list(mlp.shapes):
        raise ValueError(f"{argument}: expected layers of shapes {list(mlp.shapes)} as in the network, got {list(got)}")


def same_network(argument: str, read: MLP, mlp: MLP) -> None:
    """Raise unless what was read has the network's shapes and activations: what is written into it is then the same."""
    same_shapes(argument, read.shapes, mlp)
    got, expected = ([network.layer_activation(l).name for l in range(mlp.n_layers)] for network in (read, mlp))
    if got != expected:
        raise ValueError(f"{argument}: expected the network's activations {expected}, layer by layer, got {got}")


def named(what: str, activation: Any, n_layers: int) -> Any:
    """The activation that was given beside weights, which name none; without hidden layers none is needed."""
    if activation is not None:
        return activation
    if n_layers > 1:
        raise ValueError(f"activation: {what} does not name one; expected one of {', '.join(ACTIVATIONS)}")
    return "identity"


def ending(output_activation: Any) -> Any:
    """The output activation that was given beside weights; says what to do about a softmax, which is none of ours."""
    if isinstance(output_activation, str) and output_activation in ("softmax", "log_softmax"):
        raise ValueError(
            f"output_activation: the {output_activation} is left out here, for outputs are the logits; "
            'expected "identity"'
        )
    return output_activation


def _of_tensor(name: str, tensor: Any) -> Array:
    torch = framework("torch")
    if tensor.is_quantized:
        raise ValueError(f"{name}: is quantised; hand over the network as it was before")
    if tensor.layout != torch.strided:
        raise ValueError(f"{name}: is a sparse tensor; hand over its .to_dense()")
    if type(tensor) not in (torch.Tensor, torch.nn.Parameter) or tensor.is_meta:
        kind = "on the device meta" if tensor.is_meta else f"a {type(tensor).__name__}"
        raise ValueError(f"{name}: is {kind}, whose values cannot be read; expected a plain tensor with values")
    if tensor.dtype.is_floating_point and tensor.element_size() < 4:
        tensor = tensor.float()
    return np.array(tensor.detach().cpu().resolve_conj().resolve_neg().numpy())
