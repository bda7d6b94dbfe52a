"""Which δ cannot be the best, told for all weights of a neuron at once (EC-9.5, EC-9.6)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from .._types import Array, Mask
from ._bracket import Bracket
from ._descent import Points
from ._expansion import Norms
from ._intervals import Lines, around
from ._parabolas import parabolas
from ._removal import Removal

CELLS = 13  # on either side of 0, to begin with
MOST_CELLS = 512
SERVED = 1  # weights of a neuron, by a cell that is worth its halving


@dataclass(frozen=True, eq=False)
class Tails:
    """What is best below and above a bracket, (2, K): δ, Φ_true there, and whether that is constant, to rounding."""

    shift: Array
    value: Array
    constant: Mask


def tails(removal: Removal, size: Norms, where: Bracket, noise: Any) -> Tails:
    """Where every activation is its asymptote, Φ_true is one parabola (EC-9.5); it is infinite where none ever is."""
    ends = np.array([where.low.min(), where.high.max()])
    outside = parabolas(removal, size, ends, np.zeros_like(ends))
    s, least = outside.vertex(np.array([-np.inf, 0]), np.array([0, np.inf]))
    constant = np.broadcast_to(outside.c * (ends[1] - ends[0]) ** 2 <= noise**2, s.shape)
    shift, value = np.where(constant, 0, s) + ends, np.where(constant, outside.a, least)
    value = np.where(where.endless.T[:, np.newaxis] | where.periodic, np.inf, value)
    return Tails(*(array.reshape(-1, 2).T for array in (shift, value, constant & np.isfinite(value))))


@dataclass(frozen=True, eq=False)
class Remaining:
    """Between which ends, (K,), Φ_true may be lower, from ∞ to −∞ if nowhere; and in norm λ and κ all over there."""

    low: Array
    high: Array
    kink: Array
    curvature: Array

    def settled(self, best: Points, noise: Any) -> Mask:
        """Whether these bounds show that nothing is lower there either, if the best δ is there too.

        κ bounds h'' from any point to any other; λ is of the cells' centres, so that there must be no kink.
        """
        homes = around(np.arange(len(self.low)), best.shift, (self.low, self.high))
        there = (self.low <= best.shift) & (best.shift <= self.high) & (self.kink == 0)
        lines = Lines(best, self.kink, self.curvature)
        settled: Mask = (there | (homes.half == 0)) & lines.settled(homes.half, best.value, noise)
        return settled


@dataclass(frozen=True, eq=False)
class _Cells:
    """Q of them, which cover the bracket: where a lower value is possible, (I, J, Q), and where halving helps."""

    centre: Array
    half: Array
    possible: Mask
    helps: Mask
    kink: Array
    curvature: Array

    def halved(self, chosen: Mask) -> tuple[Array, Array]:
        """The centres of the halves, and half their widths."""
        half = np.repeat(self.half[chosen] / 2, 2)
        return np.repeat(self.centre[chosen], 2) + half * np.resize([-1, 1], len(half)), half

    def replaced(self, chosen: Mask, others: _Cells) -> _Cells:
        """With others instead of the chosen ones."""
        pairs = zip(vars(self).values(), vars(others).values())
        return _Cells(*(np.concatenate([old[..., ~chosen], new], axis=-1) for old, new in pairs))

    def remaining(self) -> Remaining:
        """From the first to the last where a lower value is possible."""
        low = np.where(self.possible, self.centre - self.half, np.inf).min(axis=2, keepdims=True)
        high = np.where(self.possible, self.centre + self.half, -np.inf).max(axis=2, keepdims=True)
        between = (low < self.centre) & (self.centre < high)
        kink, curvature = (np.where(between, bound, 0).max(axis=2) for bound in (self.kink, self.curvature))
        return Remaining(low.ravel(), high.ravel(), kink.ravel(), curvature.ravel())


def not_excluded(
    removal: Removal, size: Norms, value: Array, best: Points, where: Bracket, noise: Any
) -> tuple[Remaining, Mask]:
    """The least interval for each weight outside of which nothing in the bracket is below `value` (EC-9.6).

    And whether it is settled that nothing in it is below the best that is known.  The widest cells of the bracket are
    halved, as long as that serves more of the weights that are not settled than it costs expansions.
    """
    I, J = removal.shape
    enough = np.sqrt(value).reshape(I, J, 1) * (1 - 1e-12) - noise

    def looked_at(centre: Array, half: Array) -> _Cells:
        cells = parabolas(removal, size, centre, half)
        _, least = cells.vertex(-half, half)
        possible = ~(np.sqrt(np.maximum(least - cells.rounding, 0)) - cells.error >= enough)
        return _Cells(centre, half, possible, cells.helps, cells.kink, cells.curvature)

    cells = looked_at(*_first(where))
    while True:
        remaining = cells.remaining()
        settled = remaining.settled(best, noise)
        served = np.count_nonzero(cells.possible & cells.helps & ~settled.reshape(I, J, 1), axis=(0, 1))
        worth = served > SERVED * I
        if not worth.any() or len(worth) > MOST_CELLS:
            return remaining, settled
        widest = worth & (cells.half > cells.half[worth].max() / 2)
        cells = cells.replaced(widest, looked_at(*cells.halved(widest)))


def _first(where: Bracket) -> tuple[Array, Array]:
    """What covers the bracket, ever wider away from 0, where most minima are: the centres, and half the widths."""
    shares = 1.5 ** -np.arange(CELLS)
    low, high = np.minimum(where.low.min(), 0), np.maximum(where.high.max(), 0)
    ends = np.concatenate([low * shares, [0 * low], high * shares[::-1]])
    return (ends[1:] + ends[:-1]) / 2, np.diff(ends) / 2
