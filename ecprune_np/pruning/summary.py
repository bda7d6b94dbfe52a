"""What is left of a pruned network, and what it has cost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .._frozen import Frozen
from .._text import percent, short, table
from .._types import Array, Mask, Masks
from ..evaluation import Performance
from ..mlp import MLP


@dataclass(frozen=True, eq=False, repr=False)
class Summary(Frozen):
    """What is left of a pruned network, and what it has cost; printed as a table of 80 columns.

    A neuron is in use where a path of weights that are not zero leads from an input through it to an output, an input
    where one leads from it to an output: whatever the others hand on, the outputs are the same, or a bias does it.

    Attributes
    ----------
    n_weights : int array (L,)
        The weights of each layer.
    n_kept : int array (L,)
        Those that are left.
    sizes : int array (L + 1,)
        The widths n_0, ..., n_L.
    in_use : int array (L + 1,)
        How many inputs, and neurons of each layer, are in use; the last layer's all are, as they are the outputs.
    multiply_adds : int array (L,)
        For one sample, of weights that join what is in use.
    file_bytes : int
        What `Pruned.save` writes.
    dense_bytes : int
        The arrays of the dense network.
    before : Performance or None
        Of the dense network: loss, accuracy where targets are classes, change of the output (0).
    after : Performance or None
        Of the pruned one.

    Examples
    --------
    >>> mlp = ec.MLP([[[2.0, 1.0], [0.0, 3.0]], [[1.0, 0.1]]], [[0.0, 0.0], [0.0]])
    >>> summary = ec.prune(mlp, ec.criteria.magnitude(mlp), 0.5).summary()
    >>> summary
    Summary(2-2-1, 3 of 6 weights)
    >>> summary.n_kept, summary.in_use
    (array([2, 1]), array([1, 1, 1]))
    """

    n_weights: Array
    n_kept: Array
    sizes: Array
    in_use: Array
    multiply_adds: Array
    file_bytes: int
    dense_bytes: int
    before: Performance | None = None
    after: Performance | None = None

    def __repr__(self) -> str:
        kept, n_weights = int(self.n_kept.sum()), int(self.n_weights.sum())
        return f"Summary({'-'.join(map(str, self.sizes))}, {kept:,} of {n_weights:,} weights)"

    def __str__(self) -> str:
        share = self.file_bytes / self.dense_bytes
        parts = [
            self._layers(),
            f"inputs in use: {self.in_use[0]:,} of {self.sizes[0]:,}",
            f".npz file: {self.file_bytes:,} bytes, {percent(share)} of the {self.dense_bytes:,} of the dense arrays",
        ]
        if self.before is not None and self.after is not None:
            parts += ["", performances({"dense": self.before, "pruned": self.after})]
        return "\n".join(parts)

    def _layers(self) -> str:
        rows = [self._row(str(l), slice(l, l + 1), f"{m}-{n}") for l, (m, n) in enumerate(self._shapes)]
        rows.append(self._row("all", slice(None), ""))
        return table(["layer", "sizes", "weights", "left", "", "neurons in use", "multiply-adds"], rows)

    @property
    def _shapes(self) -> list[tuple[int, int]]:
        return list(zip(self.sizes[:-1].tolist(), self.sizes[1:].tolist()))

    def _row(self, name: str, layers: slice, sizes: str) -> list[str]:
        weights, kept = int(self.n_weights[layers].sum()), int(self.n_kept[layers].sum())
        neurons, used = int(self.sizes[1:][layers].sum()), int(self.in_use[1:][layers].sum())
        in_use, multiply_adds = f"{used:,} of {neurons:,}", int(self.multiply_adds[layers].sum())
        return [name, sizes, f"{weights:,}", f"{kept:,}", percent(kept / weights), in_use, f"{multiply_adds:,}"]


def performances(named: dict[str, Performance]) -> str:
    """Loss, accuracy and change of the output, a line a network, without the columns that nothing stands in."""
    columns = {
        "loss": [short(p.loss) for p in named.values()],
        "accuracy": [percent(p.accuracy) for p in named.values()],
        "change of the output": [short(p.change) for p in named.values()],
    }
    filled = {name: cells for name, cells in columns.items() if any(cells)}
    return table(["", *filled], [[name, *cells] for name, *cells in zip(named, *filled.values())])


def counted(mlp: MLP, masks: Masks, file_bytes: int, before: Performance | None, after: Performance | None) -> Summary:
    """The summary of a network that has lost what `masks` removed."""
    used = in_use(mlp.weights)
    joined = [(w[above][:, below] != 0).sum() for w, below, above in zip(mlp.weights, used, used[1:])]
    return Summary(
        np.array([mask.size for mask in masks]),
        np.array([mask.sum() for mask in masks]),
        np.array(mlp.sizes),
        np.array([mask.sum() for mask in used]),
        np.array(joined),
        file_bytes,
        sum(a.nbytes for a in (*mlp.weights, *mlp.biases)),
        before,
        after,
    )


def in_use(weights: Sequence[Array]) -> list[Mask]:
    """Which inputs, and which neurons of each layer, lie on a path of weights that are not zero; outputs always do."""
    reaching, reached = [np.ones(len(weights[-1]), bool)], [np.ones(weights[0].shape[1], bool)]
    for w in reversed(weights):
        reaching.insert(0, (w[reaching[0]] != 0).any(axis=0))
    for w in weights:
        reached.append((w[:, reached[-1]] != 0).any(axis=1))
    return [*(a & b for a, b in zip(reaching[:-1], reached)), reaching[-1]]
