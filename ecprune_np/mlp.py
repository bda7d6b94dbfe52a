"""The multilayer perceptron, its forward pass and its pullback, by hand (EC-1, EC-2)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from . import _checks
from ._files import count_layers, load_object, naming, save_object
from ._frozen import Frozen
from ._types import ActivationName, Array, File
from .activations import ACTIVATIONS, Activation, hidden_names, layer_names


@dataclass(frozen=True, eq=False, repr=False)
class MLP(Frozen):
    """A fully connected network: z^l = W^l a^{l-1} + b^l, a^l = σ(z^l) (EC-1).

    Everything about it is computed in the dtype of its arrays, which are copies that cannot be written to.

    Parameters
    ----------
    weights : sequence of L arrays (n_l, n_{l-1})
        W^l, a row a neuron, as in `torch.nn.Linear`.  float32, float64 or longdouble, the widest that is there;
        integers become float64.
    biases : sequence of L arrays (n_l,)
        b^l.
    activation : str or sequence of str, default "tanh"
        One name of `ACTIVATIONS` for all hidden layers, or one for each.
    output_activation : str, default "identity"
        The name of the last layer's.

    Raises
    ------
    TypeError, ValueError
        For arrays of another dtype or not finite, layers that do not fit together, or an unknown activation.

    Examples
    --------
    >>> mlp = ec.MLP([[[1, 2], [0, 3]], [[1, -1]]], [[0, 0], [0.5]], "relu")
    >>> mlp
    MLP(2-2-1, 'relu', 'identity', float64)
    >>> mlp([[1, 1]])
    array([[0.5]])
    """

    weights: tuple[Array, ...]
    biases: tuple[Array, ...]
    activation: ActivationName | tuple[ActivationName, ...] = "tanh"
    output_activation: ActivationName = "identity"

    def __init__(
        self,
        weights: Sequence[npt.ArrayLike],
        biases: Sequence[npt.ArrayLike],
        activation: ActivationName | Sequence[ActivationName] = "tanh",
        output_activation: ActivationName = "identity",
    ) -> None:
        ws = [_checks.real_array(f"weights[{l}]", w) for l, w in enumerate(_checks.sequence("weights", weights))]
        bs = [_checks.real_array(f"biases[{l}]", b) for l, b in enumerate(_checks.sequence("biases", biases))]
        _checks.layer_shapes(ws, bs)
        dtype = np.result_type(*ws, *bs)
        object.__setattr__(self, "weights", tuple(_checks.frozen(w.astype(dtype, copy=False)) for w in ws))
        object.__setattr__(self, "biases", tuple(_checks.frozen(b.astype(dtype, copy=False)) for b in bs))
        object.__setattr__(self, "activation", hidden_names(activation, len(ws) - 1))
        _checks.one_of("output_activation", output_activation, ACTIVATIONS)
        object.__setattr__(self, "output_activation", output_activation)

    @classmethod
    def initialize(
        cls,
        sizes: Sequence[int],
        activation: ActivationName | Sequence[ActivationName] = "tanh",
        output_activation: ActivationName = "identity",
        *,
        seed: int = 0,
        dtype: npt.DTypeLike = np.float64,
    ) -> MLP:
        """A random network with layer widths `sizes`, inputs first.

        Weights are normal with the variance 2/n_in for the one-sided activations (He et al., 2015)
        and 1/n_in for the others (LeCun et al., 1998); biases are zero.

        Parameters
        ----------
        sizes : sequence of int
            The widths n_0, ..., n_L, at least two.
        activation : str or sequence of str, default "tanh"
            Of the hidden layers: one name, or one for each.
        output_activation : str, default "identity"
            Of the last layer.
        seed : int, default 0
            The same seed makes the same network.
        dtype : dtype, default float64
            float32, float64 or longdouble.

        Returns
        -------
        MLP
            The network.

        Raises
        ------
        TypeError, ValueError
            For fewer than two sizes, sizes that are not positive integers, or an unknown activation.

        Examples
        --------
        >>> ec.MLP.initialize([784, 300, 100, 10], "relu", seed=1)
        MLP(784-300-100-10, 'relu', 'identity', float64)
        """
        widths = [_checks.integer(f"sizes[{l}]", n, 1) for l, n in enumerate(_checks.sequence("sizes", sizes))]
        if len(widths) < 2:
            raise ValueError(f"sizes: expected at least two widths, inputs first, got {len(widths)}")
        hidden = hidden_names(activation, len(widths) - 2)
        names = [hidden] * (len(widths) - 1) if isinstance(hidden, str) else [*hidden, output_activation]
        rng = np.random.default_rng(_checks.integer("seed", seed, 0))
        dtype = _checks.float_type("dtype", dtype)
        weights = []
        for (m, n), name in zip(pairwise(widths), names):
            gain = 2 if name in ("relu", "leaky_relu", "elu", "silu", "gelu", "softplus") else 1
            weights.append((rng.standard_normal((n, m)) * np.sqrt(gain / m)).astype(dtype))
        return cls(weights, [np.zeros(len(w), dtype) for w in weights], hidden, output_activation)

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
    def shapes(self) -> tuple[tuple[int, ...], ...]:
        """The shape (n_l, n_{l-1}) of each weight matrix."""
        return tuple(w.shape for w in self.weights)

    @property
    def n_weights(self) -> int:
        """The number of weights, biases not counted."""
        return sum(w.size for w in self.weights)

    @property
    def dtype(self) -> np.dtype[Any]:
        """The dtype of every array, in which everything about this network is computed."""
        return self.weights[0].dtype

    def layer_activation(self, l: int) -> Activation:
        """The activation of layer l: `output_activation` for the last, `activation` for the others."""
        return ACTIVATIONS[layer_names(self.activation, self.output_activation, self.n_layers)[l]]

    def replace(self, weights: Sequence[npt.ArrayLike], biases: Sequence[npt.ArrayLike]) -> MLP:
        """The same network with other weights and biases.

        Parameters
        ----------
        weights : sequence of L arrays (n_l, n_{l-1})
            W^l.
        biases : sequence of L arrays (n_l,)
            b^l.

        Returns
        -------
        MLP
            With the activations of this one.

        Raises
        ------
        TypeError, ValueError
            As for `MLP`.
        """
        return MLP(weights, biases, self.activation, self.output_activation)

    def astype(self, dtype: npt.DTypeLike) -> MLP:
        """The same network in another dtype: float32, float64 or longdouble.

        Raises
        ------
        TypeError, ValueError
            For another dtype, and for a value that it cannot hold.
        """
        dtype = _checks.float_type("dtype", dtype)
        with _checks.overflow_raised_later():
            weights, biases = [w.astype(dtype) for w in self.weights], [b.astype(dtype) for b in self.biases]
        return self.replace(weights, biases)

    def save(self, file: File) -> None:
        """Write `weights_0, biases_0, ..., activation, output_activation` to an .npz file, whole or not at all.

        Raises
        ------
        TypeError
            Where `file` is not the path of a file.
        """
        save_object(file, "MLP", {f"weights_{l}": w for l, w in enumerate(self.weights)} | self.other_arrays())

    def other_arrays(self) -> dict[str, Array]:
        """What a file holds beside the weights, by name."""
        biases = {f"biases_{l}": b for l, b in enumerate(self.biases)}
        names = {"activation": self.activation, "output_activation": self.output_activation}
        return biases | {key: np.array(name, dtype=np.str_) for key, name in names.items()}

    @classmethod
    def load(
        cls,
        file: File,
        activation: ActivationName | Sequence[ActivationName] | None = None,
        output_activation: ActivationName | None = None,
    ) -> MLP:
        """Read a network from an .npz file as `save` writes it; nothing is ever unpickled.

        Parameters
        ----------
        file : path
            The file.
        activation : str or sequence of str, optional
            Of the hidden layers, in place of what the file says; needed where it says nothing.
        output_activation : str, optional
            Of the last layer, in place of what the file says, or of "identity" where it says nothing.

        Returns
        -------
        MLP
            The network.

        Raises
        ------
        TypeError, ValueError
            Where the file is missing or damaged, or an array is missing or wrong; names the file and the array.
        """
        arrays, version = load_object(file, "MLP")
        names = ("activation", "output_activation")  # which another program may leave out, and `save` does not
        needed, optional = (names, ()) if version > 1 else ((), names)
        n_layers = count_layers(file, arrays, ("weights", "biases"), needed, optional)
        if activation is None and "activation" not in arrays:
            raise ValueError(f"activation: {file} does not name one; expected one of {', '.join(ACTIVATIONS)}")
        stored_output = arrays.get("output_activation", np.array("identity"))
        weights, biases = ([arrays[f"{name}_{l}"] for l in range(n_layers)] for name in ("weights", "biases"))
        hidden = arrays["activation"].tolist() if activation is None else activation
        output = stored_output.tolist() if output_activation is None else output_activation
        with naming(file):
            return cls(weights, biases, hidden, output)


@dataclass(frozen=True, eq=False, repr=False)
class Trace(Frozen):
    """What a forward pass saw, code index l = 0, ..., L−1 (EC-1).

    Attributes
    ----------
    inputs : tuple of L arrays (N, n_{l-1})
        a^{l-1}, what each layer receives; the first is x.
    preactivations : tuple of L arrays (N, n_l)
        z^l.
    outputs : array (N, K)
        f, after the output activation.

    Examples
    --------
    >>> mlp = ec.MLP([[[1, 2], [0, 3]], [[1, -1]]], [[0, 0], [0.5]], "relu")
    >>> trace = ec.forward(mlp, [[1, -1]])
    >>> trace
    Trace(2-2-1, 1 samples)
    >>> trace.preactivations[0], trace.inputs[1]
    (array([[-1., -3.]]), array([[0., 0.]]))
    """

    inputs: tuple[Array, ...]
    preactivations: tuple[Array, ...]
    outputs: Array

    def __repr__(self) -> str:
        sizes = "-".join(str(a.shape[1]) for a in (*self.inputs, self.outputs))
        return f"Trace({sizes}, {len(self.outputs):,} samples)"


def forward(mlp: MLP, x: npt.ArrayLike) -> Trace:
    """The forward pass z^l = W^l a^{l-1} + b^l, a^l = σ(z^l) (EC-1).

    Parameters
    ----------
    mlp : MLP
        The network.
    x : array (N, n_0)
        The samples, cast to the network's dtype.

    Returns
    -------
    Trace
        What each layer received and computed, and the outputs (N, K).

    Raises
    ------
    TypeError, ValueError
        For samples of another shape or not finite, and for an overflow.

    Examples
    --------
    >>> mlp = ec.MLP([[[1, 2], [0, 3]], [[1, -1]]], [[0, 0], [0.5]], "relu")
    >>> ec.forward(mlp, [[1, 1], [1, 0]]).outputs
    array([[0.5],
           [1.5]])
    """
    _checks.instance("mlp", mlp, MLP)
    a = _checks.samples("x", x, mlp.sizes[0], mlp.dtype)
    inputs, preactivations = [], []
    with _checks.overflow_raised_later():
        for l in range(mlp.n_layers):
            z = a @ mlp.weights[l].T + mlp.biases[l]
            inputs.append(a)
            preactivations.append(z)
            a = mlp.layer_activation(l).value(z)
    _checks.no_overflow("forward", [*preactivations, a])
    return Trace(tuple(inputs), tuple(preactivations), a)


def pullback(mlp: MLP, trace: Trace, cotangents: npt.ArrayLike) -> list[Array]:
    """The derivatives ∂(c_rᵀ f)/∂z^l of R cotangents: g^L = c σ'(z^L), g^{l-1} = (g^l W^l) σ'(z^{l-1}) (EC-2).

    Parameters
    ----------
    mlp : MLP
        The network.
    trace : Trace
        Its forward pass.
    cotangents : array (R, N, K)
        c_r at every sample.

    Returns
    -------
    list of L arrays (R, N, n_l)
        g^l.

    Raises
    ------
    TypeError, ValueError
        For cotangents of another shape or not finite, and for an overflow.

    Examples
    --------
    >>> mlp = ec.MLP([[[1, 2], [0, 3]], [[1, -1]]], [[0, 0], [0.5]], "relu")
    >>> ec.pullback(mlp, ec.forward(mlp, [[1, 1]]), [[[1]]])
    [array([[[ 1., -1.]]]), array([[[1.]]])]
    """
    _checks.instance("mlp", mlp, MLP)
    _checks.instance("trace", trace, Trace)
    g = _checks.real_array("cotangents", cotangents, mlp.dtype)
    if g.ndim != 3 or g.shape[1:] != trace.outputs.shape:
        n_samples, n_outputs = trace.outputs.shape
        raise ValueError(f"cotangents: expected shape (R, {n_samples}, {n_outputs}), got {g.shape}")
    derivatives: list[Array] = []
    with _checks.overflow_raised_later():
        for l in reversed(range(mlp.n_layers)):
            g = g * mlp.layer_activation(l).derivative(trace.preactivations[l])
            derivatives.insert(0, g)
            if l > 0:
                g = g @ mlp.weights[l]
    _checks.no_overflow("pullback", derivatives)
    return derivatives
