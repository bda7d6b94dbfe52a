"""A pruned network and its masks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .. import _checks
from .._files import object_bytes, save_object
from .._frozen import Frozen
from .._types import Array, File, Mask, Masks
from ..batch import Samples
from ..evaluation import yardstick
from ..mlp import MLP
from ..sparse import SparseMLP, load_packed, packed, size_beside_dense
from .summary import Summary, counted


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
        save_object(file, "Pruned", self._arrays())
        return size_beside_dense(file, self.mlp)

    def _arrays(self) -> dict[str, Array]:
        """What its file holds, by name."""
        return packed(self.mlp.weights, self.masks) | self.mlp.other_arrays()

    def summary(self, dense: MLP | None = None, x: Samples | None = None) -> Summary:
        """What is left, layer by layer, and, with the dense network and samples, what it has cost.

        Parameters
        ----------
        dense : MLP, optional
            The network before.
        x : array (N, n_0), ec.Batch, or an iterator of them, optional
            The samples, in a batch with their weights; with targets y that are classes loss is the cross-entropy, with
            values the squared error, and without any there is the change of the output alone.

        Returns
        -------
        Summary
            Printed as a table of 80 columns.

        Raises
        ------
        TypeError, ValueError
            For a wrong argument, and where one of the two is given without the other.
        BatchError
            For a batch that is wrong or does not come.

        Examples
        --------
        >>> mlp, x = ec.MLP([[[2.0, 1.0]]], [[0.0]]), [[1.0, 5.0], [3.0, 5.0]]
        >>> pruned = ec.prune(mlp, ec.elimination_compensation(mlp, x), 0.5)
        >>> summary = pruned.summary(mlp, ec.Batch(x, y=[7.0, 11.0]))
        >>> summary.before.loss, summary.after.loss, summary.after.change
        (0.0, 0.0, 0.0)
        """
        if (dense is None) != (x is None):
            missing, there = ("dense", "x") if dense is None else ("x", "dense")
            raise ValueError(f"{missing}: expected it beside {there}: losses are of a network on samples; got None")
        n_bytes = object_bytes("Pruned", self._arrays())
        if dense is None or x is None:
            return counted(self.mlp, self.masks, n_bytes, None, None)
        same_architecture("dense", dense, self.mlp)
        measured = yardstick(dense, x)
        return counted(self.mlp, self.masks, n_bytes, measured(dense), measured(self.mlp))

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


def same_architecture(name: str, network: MLP, mlp: MLP) -> None:
    """Raise unless a network has the sizes and activations of mlp."""
    _checks.instance(name, network, MLP)
    given = (network.sizes, network.activation, network.output_activation)
    expected = (mlp.sizes, mlp.activation, mlp.output_activation)
    if given != expected:
        raise ValueError(f"{name}: expected a network with sizes and activations {expected} as mlp, got {given}")
