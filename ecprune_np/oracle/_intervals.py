"""Intervals of δ, and what an expansion at the centre says of all of one (EC-9.6)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from .. import _checks
from .._types import Array, Mask
from ._descent import Points
from ._expansion import Norms, expansion
from ._removal import Indices, Removal, tie

SETTLED = 1e-11  # of a value, by which none that counts as lower is lower


@dataclass(frozen=True, eq=False)
class Intervals:
    """|δ − centre| ≤ half, for weights k; at `home` the centre is the best δ that is known."""

    k: Indices
    centre: Array
    half: Array
    home: Mask

    def __getitem__(self, index: Any) -> Intervals:
        return Intervals(self.k[index], self.centre[index], self.half[index], self.home[index])

    def halved(self) -> Intervals:
        """Two halves each; at home the inner half, and what is left on both sides."""
        k, centre, half, home = self.k, self.centre, self.half, self.home
        away, size = np.where(home, 0.75, 0.5) * half, np.where(home, 0.25, 0.5) * half
        sides = [Intervals(k, centre + sign * away, size, np.zeros_like(home)) for sign in (-1, 1)]
        return joined(*sides, Intervals(k[home], centre[home], half[home] / 2, home[home]))


def joined(*parts: Intervals) -> Intervals:
    """All of them."""
    fields = ((part.k, part.centre, part.half, part.home) for part in parts)
    return Intervals(*(np.concatenate(field) for field in zip(*fields)))


def around(k: Indices, centre: Array, ends: tuple[Array, Array]) -> Intervals:
    """For each weight k the interval around a centre, its home, that covers all between its ends."""
    half = np.maximum(np.maximum(centre - ends[0][k], ends[1][k] - centre), 0)
    return Intervals(k, centre, half, np.ones(len(k), bool))


@dataclass(frozen=True, eq=False)
class Lines:
    """What the outputs' change is near the centres: Φ_true, and in norm λ and κ (EC-9.6)."""

    at: Points
    kink: Array
    curvature: Array

    def __getitem__(self, index: Any) -> Lines:
        return Lines(self.at[index], self.kink[index], self.curvature[index])

    def vertex(self, half: Array) -> tuple[Array, Array]:
        """Where the root of Φ_true would be least within an interval if κ and λ were 0, and its square there."""
        b, c = self.at.slope, self.at.square
        with np.errstate(all="ignore"):
            s = np.clip(np.where(c > 0, -b / c, 0), -half, half)
        return s, np.maximum(self.at.value + (2 * b + c * s) * s, 0)

    def bound(self, half: Array) -> Array:
        """What Φ_true is at least, within half of the centre."""
        root = np.sqrt(self.vertex(half)[1]) - (self.kink + self.curvature * half / 2) * half
        bound: Array = np.maximum(root, 0) ** 2
        return bound

    def settled(self, half: Array, value: Array, noise: Any) -> Mask:
        """Whether Φ_true is nowhere below a value within half of the centre.

        With e = λ + κ half/2 and v the value, Φ_true(δ + s) − v ≥ (a − v) + 2 (b s − √v λ|s|) + (c − √v κ − e²) s².
        """
        root = np.sqrt(value)
        rise = self.at.value - value
        c = self.at.square - root * self.curvature - (self.kink + self.curvature * half / 2) ** 2
        sides = [_least(rise, sign * self.at.slope - root * self.kink, c, half) for sign in (-1, 1)]
        settled: Mask = np.minimum(*sides) >= -SETTLED * value - tie(value, noise)
        return settled


def _least(a: Array, b: Array, c: Array, half: Array) -> Array:
    """The least of a + 2 b s + c s² for 0 ≤ s ≤ half."""
    with np.errstate(all="ignore"):
        s = np.clip(np.where(c > 0, -b / c, half), 0, half)
    least: Array = np.minimum(a, a + (2 * b + c * s) * s)
    return least


def looked_at(removal: Removal, size: Norms, intervals: Intervals) -> Lines:
    """An expansion at the centre of each, that holds in all of it."""
    sums = np.zeros((5, len(intervals.k)), removal.p.dtype)
    for J, n, i, t in removal.blocks(intervals.k, intervals.centre, 10):
        e = expansion(removal, size, i, t, intervals.half[J, np.newaxis], n)
        for total, term in zip(sums, (e.value, e.slope, e.square, e.kink**2, e.curvature**2)):
            total[J] += term @ removal.p.weight[n]
    with _checks.overflow_raised_later():
        return Lines(Points(intervals.centre, *sums[:3]), np.sqrt(sums[3]), np.sqrt(sums[4]))
