"""What a piecewise linear network makes of z_i + t, piece by piece (EC-9.7)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .._types import Array
from ._removal import Indices, Removal

SLOPES_BELOW = {"relu": 0.0, "leaky_relu": 0.01}  # the activations with a break at 0; above it their slope is 1


@dataclass(frozen=True, eq=False)
class Pieces:
    """h(t) = h + h' (t − anchor) for low ≤ t ≤ high in sample n: hᵀh' and ‖h'‖² of each piece, ordered by n and t."""

    n: Indices
    low: Array
    anchor: Array
    slope: Array
    square: Array


def pieces(removal: Removal, i: int) -> Pieces:
    """Of neuron i, for all t from −∞ to ∞."""
    N, widths = removal.p.n_samples, removal.p.mlp.sizes[removal.l + 1 :]
    block = max(1, removal.memory // (8 * removal.p.dtype.itemsize * max(widths) * (1 + sum(widths))))
    parts = [_of_samples(removal, i, np.arange(n, min(n + block, N))) for n in range(0, N, block)]
    fields = ((part.n, part.low, part.anchor, part.slope, part.square) for part in parts)
    return Pieces(*(np.concatenate(field) for field in zip(*fields)))


@dataclass(frozen=True, eq=False)
class _Lines:
    """Δ of the neurons of a layer at the anchors, and their slopes, (units, P), over P pieces from low to high."""

    n: Indices
    low: Array
    high: Array
    anchor: Array
    change: Array
    slope: Array


def _of_samples(removal: Removal, i: int, n: Indices) -> Pieces:
    """A layer after the other: its activations break the pieces where a preactivation is 0."""
    p, l = removal.p, removal.l
    zero = np.zeros(len(n), p.dtype)
    lines = _Lines(n, zero - np.inf, zero + np.inf, zero, zero[np.newaxis], zero[np.newaxis] + 1)
    for m in range(l, p.mlp.n_layers):
        name, units = removal.activation[m].name, slice(i, i + 1) if m == l else slice(None)
        if m > l:
            w = p.mlp.weights[m][:, i : i + 1] if m == l + 1 else p.mlp.weights[m]
            lines = _Lines(lines.n, lines.low, lines.high, lines.anchor, w @ lines.change, w @ lines.slope)
        if name != "identity":
            lines = _activated(
                lines, removal.preactivations[m][units], removal.activations[m][units], SLOPES_BELOW[name]
            )
    h, g = lines.change, lines.slope
    if removal.c is not None:
        c = removal.c[:, lines.n, i : i + 1] if l == p.mlp.n_layers - 1 else removal.c[:, lines.n]
        h, g = np.einsum("rpk,kp->rp", c, h), np.einsum("rpk,kp->rp", c, g)
    return Pieces(lines.n, lines.low, lines.anchor, np.einsum("rp,rp->p", h, g), np.einsum("rp,rp->p", g, g))


def _activated(lines: _Lines, z: Array, a: Array, below: float) -> _Lines:
    """Broken where z + Δz = 0 in a neuron, and then through its activation; z and a of all samples, (units, N)."""
    with np.errstate(all="ignore"):
        breaks = lines.anchor - (z[:, lines.n] + lines.change) / lines.slope
        within = (lines.low < breaks) & (breaks < lines.high)
    t, parent = breaks[within], np.nonzero(within)[1]
    order = np.lexsort((t, parent))
    parents = np.repeat(np.arange(len(lines.n)), 1 + np.bincount(parent, minlength=len(lines.n)))
    first = np.diff(parents, prepend=-1) > 0
    last = np.roll(first, -1)
    low, high = np.empty(len(parents), t.dtype), np.empty(len(parents), t.dtype)
    low[first], low[~first] = lines.low, t[order]
    high[last], high[~last] = lines.high, t[order]
    anchor = np.clip(0, low, high)  # where z is known best
    slope = lines.slope[:, parents]
    z = z[:, lines.n[parents]] + lines.change[:, parents] + slope * (anchor - lines.anchor[parents])
    above = z + slope * (_inside(low, high) - anchor) > 0
    change = np.where(above, z, below * z) - a[:, lines.n[parents]]
    return _Lines(lines.n[parents], low, high, anchor, change, np.where(above, slope, below * slope))


def _inside(low: Array, high: Array) -> Array:
    """A t between the ends, which may be infinite."""
    low, high = np.maximum(low, np.minimum(2 * high, 0) - 1), np.minimum(high, np.maximum(2 * low, 0) + 1)
    return (low + high) / 2
