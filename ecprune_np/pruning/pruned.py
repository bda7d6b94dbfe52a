"""A pruned network and its masks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .. import _checks
from .._files import save_object
from .._frozen import Frozen
from .._types import File, Mask, Masks
from ..mlp import MLP
from ..sparse import SparseMLP, load_packed, packed, size_beside_dense


@dataclass(frozen=True, eq=False, repr=False)
class Pruned(Frozen):
    """A pruned network and what is left of it.

    Parameters
    ----------
    mlp : MLP
        The network, zero where weights are removed.
    masks : sequence of L bool arrays (n_l, n_{l-1})
        True = kept.

    Raises
    ------
    TypeError, ValueError
        For masks that are not boolean or not shaped as the weights, or where a removed weight is not 0.

    Examples
    --------
    >>> pruned = ec.Pruned(ec.MLP([[[2.0, 0.0]]], [[5.0]]), [np.array([[True, False]])])
    >>> pruned
    Pruned(2-1, 50.0 % removed)
    """

    mlp: MLP
    masks: Masks

    def __init__(self, mlp: MLP, masks: Sequence[Mask]) -> None:
        _checks.instance("mlp", mlp, MLP)
        object.__setattr__(self, "mlp", mlp)
        checked = _checks.boolean_masks(masks, mlp.shapes)
        for l, (w, mask) in enumerate(zip(mlp.weights, checked)):
            if w[~mask].any():
                i, j = np.argwhere((w != 0) & ~mask)[0]
                raise ValueError(f"masks[{l}]: expected the removed weights to be 0, got {w[i, j]} at [{i}, {j}]")
        object.__setattr__(self, "masks", tuple(_checks.frozen(mask) for mask in checked))

    def __repr__(self) -> str:
        sizes = "-".join(str(n) for n in self.mlp.sizes)
        return f"Pruned({sizes}, {100 * self.sparsity:.1f} % removed)"

    @property
    def sparsity(self) -> float:
        """The fraction of the weights that are removed."""
        kept = sum(int(m.sum()) for m in self.masks)
        return 1 - kept / self.mlp.n_weights

    def to_sparse(self) -> SparseMLP:
        """The network in compressed sparse rows, with a forward pass of its own.

        Raises
        ------
        TypeError
            For longdouble, which scipy.sparse does not multiply.
        """
        return SparseMLP.from_dense(self.mlp)

    def save(self, file: File) -> str:
        """Write the network and its masks to a compressed file; returns its size beside the dense one's, for people.

        Raises
        ------
        TypeError
            Where `file` is not the path of a file.
        """
        save_object(file, "Pruned", packed(self.mlp.weights, self.masks) | self.mlp.other_arrays())
        return size_beside_dense(file, self.mlp)

    @classmethod
    def load(cls, file: File) -> Pruned:
        """Read a pruned network with its masks from a file that `save` wrote; nothing is ever unpickled.

        Raises
        ------
        TypeError, ValueError
            Where the file is missing or damaged, or an array is missing or wrong; names the file and the array.
        """
        return cls(*load_packed(file, "Pruned", "SparseMLP"))  # version 0.1 did not tell the two apart

    @classmethod
    def from_zeros(cls, mlp: MLP) -> Pruned:
        """A network whose weights that are exactly zero are taken as removed.

        Raises
        ------
        TypeError
            Where `mlp` is no MLP.
        """
        _checks.instance("mlp", mlp, MLP)
        return cls(mlp, [w != 0 for w in mlp.weights])


def all_kept(mlp: MLP) -> Masks:
    """Masks of a network that has lost nothing."""
    return tuple(np.ones(shape, bool) for shape in mlp.shapes)
