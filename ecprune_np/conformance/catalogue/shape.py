"""What goes wrong with the arrays themselves: each brings an answer and the right one into the same order."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from .._case import Layers

Arrange = Callable[[Layers, Layers], tuple[Layers, Layers]]  # values, right ones -> both in one order


def _sorted_rows(layers: Layers) -> Layers:
    """The rows in the order of a weighted sum of their entries, which rounding hardly changes."""
    return tuple(v[np.argsort((v * np.arange(1, v.shape[1] + 1)).sum(axis=1))] if v.ndim == 2 else v for v in layers)


def _turned(layers: Layers) -> Layers:
    return tuple(v.T for v in layers)


def _flat(layers: Layers) -> Layers:
    return tuple(v.ravel() for v in layers)


def _row_sums(layers: Layers) -> Layers:
    return tuple(v.sum(axis=1) for v in layers)


def _joined(layers: Layers) -> Layers:
    return (np.concatenate([v.ravel() for v in layers]),)


def _entries(layers: Layers) -> Layers:
    return tuple(np.sort(v, axis=None) for v in layers)


def _without_column(column: int) -> Arrange:
    def arrange(values: Layers, right: Layers) -> tuple[Layers, Layers]:
        wide = all(v.ndim == 2 and v.shape == (r.shape[0], r.shape[1] + 1) for v, r in zip(values, right))
        return (tuple(np.delete(v, column, axis=1) for v in values) if wide else ()), right

    return arrange


def _every_second(values: Layers, right: Layers) -> tuple[Layers, Layers]:
    """A list of weights and biases in turn, as parameters() gives them."""
    return values[::2] if len(values) == 2 * len(right) else (), right


def _squeezed(values: Layers, right: Layers) -> tuple[Layers, Layers]:
    return values, tuple(np.squeeze(r) for r in right)


SHAPES: tuple[tuple[str, str, Arrange], ...] = (
    ("transposed", "The arrays are transposed: row i belongs to neuron i, column j to its input.",
     lambda v, r: (_turned(v), r)),
    ("layers-reversed", "The layers come in reverse order, the last one first.", lambda v, r: (v[::-1], r)),
    ("layers-reversed-and-transposed", "The layers come in reverse order, and are transposed.",
     lambda v, r: (_turned(v[::-1]), r)),
    ("flattened", "The arrays are flattened: they are to be shaped as the weights.", lambda v, r: (v, _flat(r))),
    ("flattened-by-columns", "The arrays are flattened, column by column: they are to be shaped as the weights.",
     lambda v, r: (v, _flat(_turned(r)))),
    ("all-in-one", "All layers are in one flat array: a list with one array a layer is expected.",
     lambda v, r: (v, _joined(r))),
    ("squeezed", "Axes of length one are squeezed away: the arrays are to be shaped as the weights.", _squeezed),
    ("summed-over-rows", "The arrays are summed over each row: one number a weight is expected, not one a neuron.",
     lambda v, r: (v, _row_sums(r))),
    ("averaged-over-rows", "The arrays are averaged over each row: one number a weight is expected, not one a neuron.",
     lambda v, r: (v, tuple(m.mean(axis=1) for m in r))),
    ("biases-included", "The biases are included as a last column: biases are never pruned.", _without_column(-1)),
    ("biases-included-first", "The biases are included as a first column: biases are never pruned.",
     _without_column(0)),
    ("biases-between", "The biases have arrays of their own between the layers': biases are never pruned.",
     _every_second),
    ("first-layer-missing", "The first layer is missing: one array a layer is expected.",
     lambda v, r: (v, r[1:])),
    ("last-layer-missing", "The last layer is missing: one array a layer is expected.",
     lambda v, r: (v, r[:-1])),
    ("rows-permuted", "The rows of a layer are permuted: row i belongs to neuron i.",
     lambda v, r: (_sorted_rows(v), _sorted_rows(r))),
    ("columns-permuted", "The columns of a layer are permuted: column j belongs to input j.",
     lambda v, r: (_sorted_rows(_turned(v)), _sorted_rows(_turned(r)))),
    ("entries-permuted", "The entries of a layer are all there, in another order (a reshape?).",
     lambda v, r: (_entries(v), _entries(r))),
)  # fmt: skip
