"""The multilayer perceptron, its forward pass and its pullback, by hand (EC-1, EC-2)."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from . import _checks
from ._files import load_arrays, save_arrays
from .activations import ACTIVATIONS, Activation
from .scratch import Scratch

Array = npt.NDArray[Any]


@dataclass(frozen=True, eq=False)
class MLP:
    """A fully connected network: z^l = W^l a^{l-1} + b^l, a^l = σ(z^l) (EC-1).

    `weights[l]` has shape (n_l, n_{l-1}) and `biases[l]` shape (n_l,), row i is neuron i.  Every
    layer but the last has `activation`, the last has `output_activation`.  All arrays get one dtype:
    the widest given, float64 for integers.  The arrays are copied and cannot be written to.

    Raises ValueError or TypeError that names the argument that is wrong.
    """

    weights: tuple[Array, ...]
    biases: tuple[Array, ...]
    activation: str = "tanh"
    output_activation: str = "identity"

    def __init__(
        self,
        weights: Sequence[npt.ArrayLike],
        biases: Sequence[npt.ArrayLike],
        activation: str = "tanh",
        output_activation: str = "identity",
    ) -> None:
        ws = [_checks.real_array(f"weights[{l}]", w) for l, w in enumerate(_checks.sequence("weights", weights))]
        bs = [_checks.real_array(f"biases[{l}]", b) for l, b in enumerate(_checks.sequence("biases", biases))]
        _check_shapes(ws, bs)
        _checks.one_of("activation", activation, ACTIVATIONS)
        _checks.one_of("output_activation", output_activation, ACTIVATIONS)
        dtype = np.result_type(*ws, *bs)
        object.__setattr__(self, "weights", tuple(_checks.frozen(w.astype(dtype, copy=False)) for w in ws))
        object.__setattr__(self, "biases", tuple(_checks.frozen(b.astype(dtype, copy=False)) for b in bs))
        object.__setattr__(self, "activation", activation)
        object.__setattr__(self, "output_activation", output_activation)

    @classmethod
    def initialize(
        cls,
        sizes: Sequence[int],
        activation: str = "tanh",
        output_activation: str = "identity",
        *,
        seed: int = 0,
        dtype: npt.DTypeLike = np.float64,
    ) -> MLP:
        """A random network with layer widths `sizes`, inputs first.

        Weights are normal with the variance 2/n_in for the one-sided activations (He et al., 2015)
        and 1/n_in for the others (LeCun et al., 1998); biases are zero.

        Raises ValueError for fewer than two sizes, TypeError for sizes that are not integers.
        """
        widths = [_checks.integer(f"sizes[{l}]", n, 1) for l, n in enumerate(_checks.sequence("sizes", sizes))]
        if len(widths) < 2:
            raise ValueError(f"sizes: expected at least two widths, inputs first, got {len(widths)}")
        rng = np.random.default_rng(_checks.integer("seed", seed, 0))
        gain = 2 if activation in ("relu", "leaky_relu", "elu", "silu", "gelu", "softplus") else 1
        pairs = list(pairwise(widths))
        weights = [(rng.standard_normal((n, m)) * np.sqrt(gain / m)).astype(dtype) for m, n in pairs]
        biases = [np.zeros(n, dtype) for _, n in pairs]
        return cls(weights, biases, activation, output_activation)

    def __call__(self, x: npt.ArrayLike) -> Array:
        """The outputs f(x), shape (N, K), for x of shape (N, n_0)."""
        return forward(self, x).outputs

    def __repr__(self) -> str:
        sizes = "-".join(str(n) for n in self.sizes)
        return f"MLP({sizes}, {self.activation!r}, {self.output_activation!r}, {self.dtype})"

    @property
    def n_layers(self) -> int:
        """L, the number of weight matrices."""
        return len(self.weights)

    @property
    def sizes(self) -> tuple[int, ...]:
        """The widths n_0, ..., n_L."""
        return (self.weights[0].shape[1], *(len(w) for w in self.weights))

    @property
    def n_weights(self) -> int:
        """The number of weights, biases not counted."""
        return sum(w.size for w in self.weights)

    @property
    def dtype(self) -> np.dtype[Any]:
        """The dtype of every array, in which everything about this network is computed."""
        return self.weights[0].dtype

    @property
    def shapes(self) -> tuple[tuple[int, ...], ...]:
        """The shapes of the weight matrices."""
        return tuple(w.shape for w in self.weights)

    def layer_activation(self, l: int) -> Activation:
        """The activation of layer l: `output_activation` for the last, `activation` for the others."""
        return ACTIVATIONS[self.output_activation if l == self.n_layers - 1 else self.activation]

    def replace(self, weights: Sequence[npt.ArrayLike], biases: Sequence[npt.ArrayLike]) -> MLP:
        """The same network with other weights and biases."""
        return MLP(weights, biases, self.activation, self.output_activation)

    def astype(self, dtype: npt.DTypeLike) -> MLP:
        """The same network in another dtype."""
        return self.replace([w.astype(dtype) for w in self.weights], [b.astype(dtype) for b in self.biases])

    def save(self, file: str | os.PathLike[str]) -> None:
        """Write `weights_0, biases_0, ..., activation, output_activation` to an .npz file, whole or not at all."""
        save_arrays(file, self.to_arrays())

    def to_arrays(self) -> dict[str, Array]:
        """The arrays that `save` writes, by name."""
        arrays = {f"weights_{l}": w for l, w in enumerate(self.weights)}
        arrays |= {f"biases_{l}": b for l, b in enumerate(self.biases)}
        return arrays | {
            "activation": np.array(self.activation),
            "output_activation": np.array(self.output_activation),
        }

    @classmethod
    def load(
        cls,
        file: str | os.PathLike[str],
        activation: str | None = None,
        output_activation: str | None = None,
    ) -> MLP:
        """Read a network from an .npz file as `save` writes it; nothing is ever unpickled.

        The activations may be missing from the file and are then taken from the arguments.
        Raises ValueError that names the file and the array that is missing or wrong.
        """
        path = Path(file)
        arrays = load_arrays(path)
        n_layers = sum(name.startswith("weights_") for name in arrays)
        names = [f"{kind}_{l}" for l in range(max(n_layers, 1)) for kind in ("weights", "biases")]
        missing = [name for name in names if name not in arrays]
        if missing:
            raise ValueError(f"{path}: expected arrays {', '.join(names)}, {missing[0]} is missing")
        if activation is None and "activation" not in arrays:
            raise ValueError(f"activation: {path} does not name one; expected one of {', '.join(ACTIVATIONS)}")
        stored_output = str(arrays.get("output_activation", "identity"))
        return cls(
            [arrays[f"weights_{l}"] for l in range(n_layers)],
            [arrays[f"biases_{l}"] for l in range(n_layers)],
            str(arrays["activation"]) if activation is None else activation,
            stored_output if output_activation is None else output_activation,
        )


@dataclass(frozen=True, eq=False)
class Trace:
    """What a forward pass saw, code index l = 0, ..., L−1 (EC-1).

    `inputs[l]` is what layer l receives, (N, n_{l-1}); `preactivations[l]` its z, (N, n_l); `outputs` f, (N, K).
    """

    inputs: tuple[Array, ...]
    preactivations: tuple[Array, ...]
    outputs: Array


def forward(mlp: MLP, x: npt.ArrayLike) -> Trace:
    """The forward pass z^l = W^l a^{l-1} + b^l, a^l = σ(z^l) (EC-1).

    x has shape (N, n_0) and is cast to the network's dtype.
    Raises ValueError where x has another shape or is not finite, or a preactivation overflows.
    """
    _checks.instance("mlp", mlp, MLP)
    return unchecked_forward(mlp, _checks.samples("x", x, mlp.sizes[0], mlp.dtype))


def unchecked_forward(mlp: MLP, a: Array, scratch: Scratch | None = None) -> Trace:
    """`forward` of samples that have been checked; with scratch, its preactivations are there."""
    inputs, preactivations = [], []
    with np.errstate(over="ignore", invalid="ignore", under="ignore"):  # overflow is raised below
        for l, (weights, biases) in enumerate(zip(mlp.weights, mlp.biases)):
            out = None if scratch is None else scratch.array(f"preactivations {l}", len(a), len(weights))
            z = np.matmul(a, weights.T, out=out)
            z += biases
            inputs.append(a)
            preactivations.append(z)
            a = mlp.layer_activation(l).value(z)
    _checks.no_overflow("forward", [*preactivations, a])
    return Trace(tuple(inputs), tuple(preactivations), a)


def pullback(mlp: MLP, trace: Trace, cotangents: npt.ArrayLike) -> list[Array]:
    """The derivatives ∂(c_rᵀ f)/∂z^l of R cotangents at once, per layer (R, N, n_l) (EC-2).

    g^L = c σ'(z^L), then g^{l-1} = (g^l W^l) σ'(z^{l-1}); `cotangents` has shape (R, N, K).
    Raises ValueError where the cotangents have another shape or are not finite.
    """
    _checks.instance("mlp", mlp, MLP)
    _checks.instance("trace", trace, Trace)
    g = _checks.real_array("cotangents", cotangents, mlp.dtype)
    if g.ndim != 3 or g.shape[1:] != trace.outputs.shape:
        n_samples, n_outputs = trace.outputs.shape
        raise ValueError(f"cotangents: expected shape (R, {n_samples}, {n_outputs}), got {g.shape}")
    derivatives: list[Array] = []
    with np.errstate(over="ignore", invalid="ignore", under="ignore"):  # overflow is raised below
        for l in reversed(range(mlp.n_layers)):
            g = g * mlp.layer_activation(l).derivative(trace.preactivations[l])
            derivatives.insert(0, g)
            if l > 0:
                g = g @ mlp.weights[l]
    _checks.no_overflow("pullback", derivatives)
    return derivatives


def _check_shapes(weights: Sequence[Array], biases: Sequence[Array]) -> None:
    if len(weights) == 0:
        raise ValueError("weights: expected at least one layer, got none")
    if len(biases) != len(weights):
        raise ValueError(f"biases: expected {len(weights)} layers as in weights, got {len(biases)}")
    for l, (w, b) in enumerate(zip(weights, biases)):
        if w.ndim != 2 or 0 in w.shape:
            raise ValueError(f"weights[{l}]: expected shape (n_out, n_in) with no zero, got {w.shape}")
        if l > 0 and w.shape[1] != len(weights[l - 1]):
            raise ValueError(f"weights[{l}]: expected {len(weights[l - 1])} columns, got {w.shape[1]}")
        if b.shape != (len(w),):
            raise ValueError(f"biases[{l}]: expected shape ({len(w)},), got {b.shape}")
