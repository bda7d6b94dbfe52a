"""A pruned network in compressed sparse rows: the same outputs from the weights that are left."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from . import _checks
from ._files import load_arrays, save_arrays
from .activations import ACTIVATIONS
from .mlp import MLP

Array = npt.NDArray[Any]


@dataclass(frozen=True, eq=False)
class SparseMLP:
    """z^l = W^l a^{l-1} + b^l, a^l = σ(z^l) with W^l in `scipy.sparse.csr_array` (EC-1).

    Shapes, dtypes and names are those of `MLP`; the weights that are exactly zero are not stored.
    """

    weights: tuple[Any, ...]
    biases: tuple[Array, ...]
    activation: str
    output_activation: str

    @classmethod
    def from_dense(cls, mlp: MLP) -> SparseMLP:
        """The network without its zeros; raises TypeError for longdouble, which scipy.sparse does not multiply."""
        from scipy.sparse import csr_array  # here, not above: scipy is slower to import than NumPy

        _checks.instance("mlp", mlp, MLP)
        if mlp.dtype not in (np.float32, np.float64):
            raise TypeError(f"mlp: expected float32 or float64 for sparse layers, got {mlp.dtype}")
        return cls(tuple(csr_array(w) for w in mlp.weights), mlp.biases, mlp.activation, mlp.output_activation)

    def to_dense(self) -> MLP:
        """The same network with its zeros."""
        return MLP([w.toarray() for w in self.weights], self.biases, self.activation, self.output_activation)

    def __call__(self, x: npt.ArrayLike) -> Array:
        """The outputs (N, K) for samples x (N, n_0); errors as `forward`."""
        a = _checks.samples("x", x, self.weights[0].shape[1], self.weights[0].dtype)
        with np.errstate(over="ignore", invalid="ignore", under="ignore"):  # overflow is raised below
            for l, (weights, biases) in enumerate(zip(self.weights, self.biases)):
                last = l == len(self.weights) - 1
                a = ACTIVATIONS[self.output_activation if last else self.activation].value((weights @ a.T).T + biases)
        _checks.no_overflow("forward", [a])
        return a

    def save(self, file: str | os.PathLike[str]) -> str:
        """Write the network to an .npz file, whole or not at all; returns its size beside the dense one's, for people.

        A layer is stored as the bits of its mask and the kept values in order, which is smaller than CSR's indices.
        """
        dense = self.to_dense()
        arrays = {k: v for k, v in dense.to_arrays().items() if not k.startswith("weights_")}
        for l, w in enumerate(dense.weights):
            arrays |= {f"shape_{l}": np.array(w.shape), f"mask_{l}": np.packbits(w != 0), f"kept_{l}": w[w != 0]}
        save_arrays(file, arrays)
        size = Path(file).stat().st_size
        dense_size = sum(a.nbytes for a in (*dense.weights, *dense.biases))
        return f"{size:,} bytes, {100 * size / dense_size:.1f} % of the {dense_size:,} of the dense arrays"

    @classmethod
    def load(cls, file: str | os.PathLike[str]) -> SparseMLP:
        """Read a network from a file that `save` wrote; nothing is ever unpickled.

        Raises ValueError that names the file and the array that is missing or wrong.
        """
        path = Path(file)
        arrays = load_arrays(path)
        n_layers = max(1, sum(name.startswith("kept_") for name in arrays))
        names = [f"{kind}_{l}" for l in range(n_layers) for kind in ("shape", "mask", "kept", "biases")]
        missing = [name for name in [*names, "activation", "output_activation"] if name not in arrays]
        if missing:
            raise ValueError(f"{path}: expected a sparse network, {missing[0]} is missing")
        weights = []
        for l in range(n_layers):
            shape, packed, kept = (arrays[f"{kind}_{l}"] for kind in ("shape", "mask", "kept"))
            size = int(np.prod(shape)) if shape.shape == (2,) and shape.dtype.kind == "i" else -1
            if packed.dtype != np.uint8 or packed.size != -(-size // 8):
                raise ValueError(f"{path}: expected shape_{l} and the bits of that many weights in mask_{l}")
            mask = np.unpackbits(packed, count=size).astype(bool)
            if kept.shape != (mask.sum(),):
                raise ValueError(f"{path}: expected {mask.sum()} values in kept_{l}, got shape {kept.shape}")
            w = np.zeros(size, kept.dtype)
            w[mask] = kept
            weights.append(w.reshape(shape))
        biases = [arrays[f"biases_{l}"] for l in range(n_layers)]
        return cls.from_dense(MLP(weights, biases, str(arrays["activation"]), str(arrays["output_activation"])))
