"""From Equinox."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from .._types import Array
from ..mlp import MLP
from ._chain import Linear, Nonlinear, Step, agree, folded
from ._common import by_value, framework, is_a, parameter

FUNCTIONS = {  # by where they are, for a name alone is not enough
    ("jax.nn", "relu"): "relu",
    ("jax.nn", "leaky_relu"): "leaky_relu",
    ("jax.nn", "elu"): "elu",
    ("jax.nn", "sigmoid"): "sigmoid",
    ("jax.nn", "softplus"): "softplus",
    ("jax.nn", "silu"): "silu",
    ("jax.nn", "tanh"): "tanh",
    ("jax.numpy", "tanh"): "tanh",
    ("jax.numpy", "sin"): "sin",
    ("jax.lax", "tanh"): "tanh",
    ("jax.lax", "sin"): "sin",
    ("jax.nn", "identity"): "identity",
    ("equinox.nn._mlp", "_identity"): "identity",  # what `eqx.nn.MLP` has by default
}


def from_equinox(model: Any) -> MLP:
    """The network of an `equinox.nn.MLP`.

    Its activations are known by the functions that they are: those of `jax.nn` and `jax.numpy`, and
    `functools.partial(jax.nn.gelu, approximate=False)`.  What was read is compared with the model's own outputs for a
    few random samples.

    Parameters
    ----------
    model : equinox.nn.MLP
        Of vectors, not of scalars.

    Returns
    -------
    MLP

    Raises
    ------
    ValueError
        Where an activation is none of ours, or the model's own outputs are others than those of what was read.
    TypeError
        Where `model` is no `equinox.nn.MLP`.

    Examples
    --------
    >>> ec.interop.from_equinox(eqx.nn.MLP(4, 2, 5, 1, key=jax.random.key(0)))  # doctest: +SKIP
    MLP(4-5-2, 'relu', 'identity', float32)
    """
    if not is_a(model, "equinox.nn", "MLP"):
        kind = type(model).__name__
        raise TypeError(f"model: expected an equinox.nn.MLP, got {kind}; of others hand over the layers: from_layers")
    if model.scan or "scalar" in (model.in_size, model.out_size):
        what = "scan=True" if model.scan else "'scalar' inputs or outputs"
        raise ValueError(f"model: it has {what}; expected layers one by one, from vectors to vectors")
    steps: list[Step] = []
    for l, layer in enumerate(model.layers):
        w = parameter(f"layers[{l}].weight", layer.weight)
        b = np.zeros_like(w[:, 0]) if layer.bias is None else parameter(f"layers[{l}].bias", layer.bias)
        steps.append(Linear(f"layers[{l}]", w, b))
        which = "activation" if l < len(model.layers) - 1 else "final_activation"
        name = _name(which, getattr(model, which))
        if name != "identity" and model.depth > 0:  # a single layer is called alone, whatever the final activation
            steps.append(Nonlinear(which, name))
    mlp = folded("model", steps)
    dtype = model.layers[0].weight.dtype

    def run(x: Array) -> Array:
        outputs = framework("jax").vmap(model)(framework("jax.numpy").asarray(x, dtype))
        return by_value("outputs", outputs).astype(np.float64)

    agree("model", steps, mlp, run, str(dtype))
    return mlp


def _name(which: str, activation: Any) -> str:
    for (module, name), ours in FUNCTIONS.items():
        if activation is getattr(framework(module), name, None):
            return ours
    gelu = framework("jax.nn").gelu
    given = [getattr(activation, name, None) for name in ("func", "args", "keywords")]
    if isinstance(activation, functools.partial) and given == [gelu, (), {"approximate": False}]:
        return "gelu"
    approximate = "; its tanh form is not ours: functools.partial(jax.nn.gelu, approximate=False)"
    names = ", ".join(f"{module}.{name}" for module, name in FUNCTIONS if not name.startswith("_"))
    raise ValueError(
        f"model: its {which} is {activation!r}{approximate if activation is gelu else ''}; supported are {names}"
    )
