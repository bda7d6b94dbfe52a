"""A pruned network in compressed sparse rows: the same outputs from the weights that are left."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from . import _checks
from ._files import count_layers, load_object, naming, save_object
from ._frozen import Frozen
from ._types import ActivationName, Array, File, Mask, Masks
from .activations import ACTIVATIONS, layer_names
from .mlp import MLP


@dataclass(frozen=True, eq=False, repr=False)
class SparseMLP(Frozen):
    """z^l = W^l a^{l-1} + b^l, a^l = σ(z^l) with W^l in `scipy.sparse.csr_array` (EC-1).

    Made by `SparseMLP.from_dense` or `Pruned.to_sparse`; the weights that are exactly zero are not stored.

    Attributes
    ----------
    values : tuple of L arrays
        The weights that are stored, row after row.
    columns : tuple of L int arrays
        The column of each.
    row_ends : tuple of L int arrays (n_l + 1,)
        Row i of a layer's values is `values[row_ends[i] : row_ends[i + 1]]`.
    n_inputs : int
        n_0.
    biases : tuple of L arrays (n_l,)
        b^l.
    activation : str or tuple of str
        As that of `MLP`.
    output_activation : str
        As that of `MLP`.

    Examples
    --------
    >>> sparse = ec.SparseMLP.from_dense(ec.MLP([[[0.0, 2.0], [0.0, 0.0]]], [[0.0, 1.0]]))
    >>> sparse
    SparseMLP(2-2, 1 weights)
    >>> sparse([[1, 3]])
    array([[6., 1.]])
    """

    values: tuple[Array, ...]
    columns: tuple[Array, ...]
    row_ends: tuple[Array, ...]
    n_inputs: int
    biases: tuple[Array, ...]
    activation: ActivationName | tuple[ActivationName, ...]
    output_activation: ActivationName

    def __repr__(self) -> str:
        sizes = "-".join(str(n) for n in (self.n_inputs, *(len(b) for b in self.biases)))
        return f"SparseMLP({sizes}, {sum(len(v) for v in self.values):,} weights)"

    @classmethod
    def from_dense(cls, mlp: MLP) -> SparseMLP:
        """The network without its zeros.

        Raises
        ------
        TypeError
            For longdouble, which scipy.sparse does not multiply.
        """
        from scipy.sparse import csr_array  # here, not above: scipy is slower to import than NumPy

        _checks.instance("mlp", mlp, MLP)
        if mlp.dtype not in (np.float32, np.float64):
            raise TypeError(f"mlp: expected float32 or float64 for sparse layers, got {mlp.dtype}")
        layers = [csr_array(w) for w in mlp.weights]
        values = tuple(layer.data for layer in layers)
        columns, row_ends = tuple(layer.indices for layer in layers), tuple(layer.indptr for layer in layers)
        return cls(values, columns, row_ends, mlp.sizes[0], mlp.biases, mlp.activation, mlp.output_activation)

    @property
    def weights(self) -> tuple[Any, ...]:
        """W^l as `scipy.sparse.csr_array`, which share the network's memory."""
        from scipy.sparse import csr_array

        widths = [self.n_inputs, *(len(b) for b in self.biases)]
        layers = zip(self.values, self.columns, self.row_ends, pairwise(widths))
        return tuple(csr_array((data, j, ends), shape=(n, m)) for data, j, ends, (m, n) in layers)

    def to_dense(self) -> MLP:
        """The same network with its zeros."""
        return MLP([w.toarray() for w in self.weights], self.biases, self.activation, self.output_activation)

    def __call__(self, x: npt.ArrayLike) -> Array:
        """The outputs (N, K) for samples x (N, n_0); errors as `forward`."""
        a = _checks.samples("x", x, self.n_inputs, self.biases[0].dtype)
        names = layer_names(self.activation, self.output_activation, len(self.biases))
        with _checks.overflow_raised_later():
            for weights, biases, name in zip(self.weights, self.biases, names):
                a = ACTIVATIONS[name].value((weights @ a.T).T + biases)
        _checks.no_overflow("forward", [a])
        return a

    def save(self, file: File) -> str:
        """Write the network to an .npz file, whole or not at all; returns its size beside the dense one's, for people.

        Raises
        ------
        TypeError
            Where `file` is not the path of a file.
        """
        dense = self.to_dense()
        save_object(file, "SparseMLP", packed(dense.weights, [w != 0 for w in dense.weights]) | dense.other_arrays())
        return size_beside_dense(file, dense)

    @classmethod
    def load(cls, file: File) -> SparseMLP:
        """Read a network from a file that `save` wrote; nothing is ever unpickled.

        Raises
        ------
        TypeError, ValueError
            Where the file is missing or damaged, or an array is missing or wrong; names the file and the array.
        """
        network, _ = load_packed(file, "SparseMLP")
        return cls.from_dense(network)


def packed(weights: Sequence[Array], masks: Sequence[Mask]) -> dict[str, Array]:
    """Each layer as its shape, the bits of its mask and the kept values in order: smaller than CSR's indices."""
    arrays: dict[str, Array] = {}
    for l, (w, mask) in enumerate(zip(weights, masks)):
        arrays |= {f"shape_{l}": np.array(w.shape), f"mask_{l}": np.packbits(mask), f"kept_{l}": w[mask]}
    return arrays


def load_packed(file: File, *kinds: str) -> tuple[MLP, Masks]:
    """The network and the masks of a file with packed layers."""
    arrays, _ = load_object(file, *kinds)
    n_layers = count_layers(file, arrays, ("shape", "mask", "kept", "biases"), ("activation", "output_activation"))
    weights, masks = [], []
    with naming(file):
        for l in range(n_layers):
            shape, bits, kept = (arrays[f"{kind}_{l}"] for kind in ("shape", "mask", "kept"))
            is_shape = shape.shape == (2,) and shape.dtype.kind == "i" and bool((shape > 0).all())
            size = math.prod(shape.tolist()) if is_shape else 0
            if not is_shape or bits.dtype != np.uint8 or bits.shape != (-(-size // 8),):
                raise ValueError(f"expected shape_{l} and the bits of that many weights in mask_{l}")
            mask = np.unpackbits(bits, count=size).astype(bool)
            if kept.shape != (mask.sum(),):
                raise ValueError(f"expected {mask.sum()} values in kept_{l}, got shape {kept.shape}")
            w = np.zeros(size, kept.dtype)
            w[mask] = kept
            weights.append(w.reshape(shape))
            masks.append(mask.reshape(shape))
        biases = [arrays[f"biases_{l}"] for l in range(n_layers)]
        activation, output_activation = (arrays[name].tolist() for name in ("activation", "output_activation"))
        return MLP(weights, biases, activation, output_activation), tuple(masks)


def size_beside_dense(file: File, dense: MLP) -> str:
    """A file's size beside that of the network's arrays, for people."""
    size = Path(file).stat().st_size
    dense_size = sum(a.nbytes for a in (*dense.weights, *dense.biases))
    return f"{size:,} bytes, {100 * size / dense_size:.1f} % of the {dense_size:,} of the dense arrays"
