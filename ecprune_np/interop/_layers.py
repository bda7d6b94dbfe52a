"""From a list of weights and biases."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from .. import _checks
from .._types import ActivationName
from ..mlp import MLP
from ._common import ending, named, parameter


def from_layers(
    layers: Sequence[tuple[Any, Any]],
    activation: ActivationName | Sequence[ActivationName] | None = None,
    output_activation: ActivationName = "identity",
) -> MLP:
    """The network of a list of pairs (W, b), from inputs to outputs.

    Parameters
    ----------
    layers : sequence of pairs
        W of shape (n_out, n_in), a row a neuron, and b of shape (n_out,), or None for zeros: arrays or tensors of any
        library, in any byte order; what is smaller than float32 becomes that.
    activation : str or sequence of str, optional
        The activation of the hidden layers, or one for each; where there are any, it is needed.
    output_activation : str, default "identity"
        The activation of the outputs.

    Returns
    -------
    MLP

    Raises
    ------
    ValueError
        Where the shapes do not fit, as of kernels (n_in, n_out), or an array has masked entries.
    TypeError
        Where something is no list of pairs, or no array of real numbers.

    Examples
    --------
    >>> ec.interop.from_layers([([[1.0, 2.0], [3.0, 4.0]], [0.0, 1.0]), ([[1.0, -1.0]], None)], "tanh")
    MLP(2-2-1, 'tanh', 'identity', float64)
    """
    weights, biases = [], []
    for l, pair in enumerate(_checks.sequence("layers", layers)):
        if not isinstance(pair, (list, tuple)) or len(pair) != 2:
            raise TypeError(f"layers[{l}]: expected a pair (W, b), got {type(pair).__name__}")
        w = parameter(f"layers[{l}]: W", pair[0])
        if w.ndim != 2:
            raise ValueError(f"layers[{l}]: expected W of shape (n_out, n_in), got {w.shape}")
        weights.append(w)
        biases.append(np.zeros_like(w[:, 0]) if pair[1] is None else parameter(f"layers[{l}]: b", pair[1]))
    fitting = [
        all(b.shape == (n_out,) for b, (n_out, _) in zip(biases, shapes))
        and all(second[1] == first[0] for first, second in pairwise(shapes))
        for shapes in ([w.shape for w in weights], [w.shape[::-1] for w in weights])
    ]
    if fitting == [False, True]:
        raise ValueError(
            "layers: expected W of shape (n_out, n_in), a row a neuron; these fit as (n_in, n_out): hand over W.T"
        )
    return MLP(weights, biases, named("a list of layers", activation, len(weights)), ending(output_activation))
