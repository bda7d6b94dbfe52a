"""The least Φ_true over δ, weight by weight: an interval is settled, or halved (EC-9.8)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from .._types import Array, Mask
from ._descent import Points, descend
from ._exclusion import Remaining
from ._expansion import Norms
from ._intervals import Intervals, Lines, around, joined, looked_at
from ._removal import Indices, Removal, tie

LEVELS = 100  # of halving, which leave nothing but rounding
TIE = 1e-9  # relative, of what is looked at again
PROMISING = 16  # of the intervals of a weight that are too many to be halved


@dataclass(frozen=True, eq=False)
class Task:
    """What is searched for each weight k: δ between the ends that remain, up to so many intervals at a time."""

    removal: Removal
    size: Norms
    remaining: Remaining
    noise: Any
    periodic: bool
    max_steps: int
    max_intervals: int

    @property
    def ends(self) -> tuple[Array, Array]:
        """The lower and the upper ones."""
        return self.remaining.low, self.remaining.high

    def descend(self, k: Indices, begin: Points) -> tuple[Points, Mask]:
        """Within the period, where there is one: nearer to 0."""
        found, ended = descend(self.removal, k, begin, self.max_steps)
        if not self.periodic:
            return found, ended
        period = 8 * np.arctan(self.removal.p.dtype.type(1))
        return replace(found, shift=found.shift - period * np.round(found.shift / period)), ended


@dataclass(frozen=True, eq=False)
class Found:
    """For each weight the best point, and whether a descent ended there by itself.

    `floor` is what Φ_true is at least where nothing was settled, ∞ if all is; `finest` the least width of an interval.
    """

    best: Points
    converged: Mask
    floor: Array
    finest: Array


def search(task: Task, start: tuple[Array, Array], guess: Array) -> Found:
    """The least Φ_true, given a start (δ, Φ_true) for each weight, and a guess (EC-9.8).

    The interval around the best δ that is known, its home, covers all between the ends, and in most networks that
    is settled at once: nothing there is lower.  Else the home is narrowed, and what lies beside it halved.  Where a
    centre is lower, a descent from it finds a better δ, and all begins anew around that.
    """
    everyone = np.arange(len(guess))
    begin = Points.evaluate(task.removal, everyone, guess)
    worse = np.flatnonzero(~(begin.value <= start[1]))
    begin = begin.put(worse, Points.evaluate(task.removal, worse, start[0][worse]))
    best, converged = task.descend(everyone, begin)
    homes = around(everyone, best.shift, task.ends)
    left = np.flatnonzero(~_settled_at_once(task, best, homes))
    floor, finest = np.full_like(guess, np.inf), 2 * homes.half
    intervals = homes[left]
    lines = looked_at(task.removal, task.size, intervals)
    moved = np.zeros(len(guess), bool)
    others: list[tuple[Indices, Array]] = [(left[:0], guess[:0])]  # δ from which a descent may lead as low, or lower
    level = 0
    while len(intervals.k) > 0:
        level += 1
        stay = np.flatnonzero(~moved[intervals.k])
        intervals, lines = intervals[stay], lines[stay]
        value = best.value[intervals.k]
        settled = lines.settled(intervals.half, value, task.noise)
        others.append(_ties(best, intervals, lines, settled, task.noise))
        left = np.flatnonzero(~settled)
        too_many = np.bincount(intervals.k[left], minlength=len(guess)) > task.max_intervals
        given_up = too_many[intervals.k[left]] | (level >= LEVELS)
        others.append(_most_promising(intervals[left[given_up]], lines[left[given_up]]))
        for_good, left = left[given_up], left[~given_up]
        np.minimum.at(floor, intervals.k[for_good], lines[for_good].bound(intervals.half[for_good]))
        again = np.flatnonzero(moved)
        intervals = joined(_inside(intervals[left].halved(), task.ends), around(again, best.shift[again], task.ends))
        np.minimum.at(finest, intervals.k, 2 * intervals.half)
        lines = looked_at(task.removal, task.size, intervals)
        rows, begin = _lower(best, lines.at, intervals.k, task.noise)
        found, converged[rows] = task.descend(rows, begin)
        best, moved = best.put(rows, found), np.isin(everyone, rows)
    return Found(_of_all(task, best, others), converged, floor, finest)


def _settled_at_once(task: Task, best: Points, homes: Intervals) -> Mask:
    """Those homes that the bounds settle which hold in all that remains, if the best δ is there too.

    κ bounds h'' from any point to any other; λ is of the cells' centres, so that there must be no kink.
    """
    remaining = task.remaining
    there = (remaining.low <= best.shift) & (best.shift <= remaining.high) & (remaining.kink == 0)
    lines = Lines(best, remaining.kink, remaining.curvature)
    settled: Mask = (there | (homes.half == 0)) & lines.settled(homes.half, best.value, task.noise)
    return settled


def _inside(intervals: Intervals, ends: tuple[Array, Array]) -> Intervals:
    """Without those that lie beyond the ends, where nothing is lower."""
    k, centre, half = intervals.k, intervals.centre, intervals.half
    return intervals[(centre - half < ends[1][k]) & (centre + half > ends[0][k])]


def _lower(best: Points, at: Points, k: Indices, noise: Any) -> tuple[Indices, Points]:
    """The weights that have a point below their best, and the lowest for each."""
    below = np.flatnonzero(at.value < best.value[k] - tie(best.value[k], noise))
    rows, first = _first(k[below], at.value[below])
    return rows, at[below[first]]


def _ties(best: Points, intervals: Intervals, lines: Lines, settled: Mask, noise: Any) -> tuple[Indices, Array]:
    """The smallest |δ| for each weight where a settled interval is as low as the best, as far as it can be told."""
    s, least = lines.vertex(intervals.half)
    value, shift = best.value[intervals.k], intervals.centre + s
    as_low = settled & ~intervals.home & (least <= (1 + TIE) * value + tie(value, noise))
    ties = np.flatnonzero(as_low & (np.abs(shift) < np.abs(best.shift[intervals.k])))
    rows, first = _first(intervals.k[ties], np.abs(shift[ties]))
    return rows, shift[ties[first]]


def _most_promising(intervals: Intervals, lines: Lines) -> tuple[Indices, Array]:
    """Of each weight's intervals those whose parabolas reach lowest."""
    s, least = lines.vertex(intervals.half)
    order = np.lexsort((least, intervals.k))
    k = intervals.k[order]
    rank = np.arange(len(k)) - np.searchsorted(k, k)
    return k[rank < PROMISING], (intervals.centre + s)[order[rank < PROMISING]]


def _of_all(task: Task, best: Points, others: list[tuple[Indices, Array]]) -> Points:
    """The best of what is known and of descents from elsewhere; of those that tie, the smallest |δ|."""
    k, shift = (np.concatenate(parts) for parts in zip(*others))
    found, _ = task.descend(k, Points.evaluate(task.removal, k, shift))
    rows, lowest = _lower(best, found, k, task.noise)
    best = best.put(rows, lowest)
    ties = np.flatnonzero(found.value <= best.value[k] + tie(best.value[k], task.noise))
    rows, first = _first(k[ties], np.abs(found.shift[ties]))
    nearest = found[ties[first]]
    return best.put(rows, nearest.where(np.abs(nearest.shift) < np.abs(best.shift[rows]), best[rows]))


def _first(k: Indices, key: Array) -> tuple[Indices, Indices]:
    """Each of the k once, and where its key is least."""
    order = np.lexsort((key, k))
    rows, first = np.unique(k[order], return_index=True)
    return rows, order[first]
