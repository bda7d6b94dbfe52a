"""The least Φ_true over δ, weight by weight: an interval is settled, or halved (EC-9.6)."""

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
    """What is searched for each weight k, up to so many intervals at a time."""

    removal: Removal
    size: Norms
    noise: Any
    periodic: bool
    max_steps: int
    max_intervals: int

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


def downhill(task: Task, start: tuple[Array, Array], guess: Array) -> tuple[Points, Mask]:
    """Downhill from the better of a start (δ, Φ_true) and a guess for each weight."""
    everyone = np.arange(len(guess))
    points = Points.evaluate(task.removal, everyone, guess)
    worse = np.flatnonzero(~(points.value <= start[1]))
    return task.descend(everyone, points.put(worse, Points.evaluate(task.removal, worse, start[0][worse])))


def search(task: Task, best: Points, converged: Mask, remaining: Remaining, finished: Mask) -> Found:
    """The least Φ_true, given the best that is known, where a lower one may be, and which are finished (EC-9.6).

    In most networks all are.  Else an interval around the best δ, its home, that covers all between the ends is
    narrowed, and what lies beside it halved.  Where a centre is lower, a descent from it finds a better δ, and all
    begins anew around that.
    """
    everyone, ends = np.arange(len(finished)), (remaining.low, remaining.high)
    homes = around(everyone, best.shift, ends)
    floor, finest = np.full_like(best.shift, np.inf), 2 * homes.half
    intervals = homes[~finished]
    lines = looked_at(task.removal, task.size, intervals)
    moved = np.zeros_like(finished)
    others = [(everyone[:0], best.shift[:0])]  # δ from which a descent may lead as low, or lower
    level = 0
    while len(intervals.k) > 0:
        level += 1
        stay = np.flatnonzero(~moved[intervals.k])
        intervals, lines = intervals[stay], lines[stay]
        value = best.value[intervals.k]
        settled = lines.settled(intervals.half, value, task.noise)
        others.append(_ties(best, intervals, lines, settled, task.noise))
        left = np.flatnonzero(~settled)
        too_many = np.bincount(intervals.k[left], minlength=len(everyone)) > task.max_intervals
        given_up = too_many[intervals.k[left]] | (level >= LEVELS)
        others.append(_most_promising(intervals[left[given_up]], lines[left[given_up]]))
        for_good, left = left[given_up], left[~given_up]
        np.minimum.at(floor, intervals.k[for_good], lines[for_good].bound(intervals.half[for_good]))
        again = np.flatnonzero(moved)
        intervals = joined(_inside(intervals[left].halved(), ends), around(again, best.shift[again], ends))
        np.minimum.at(finest, intervals.k, 2 * intervals.half)
        lines = looked_at(task.removal, task.size, intervals)
        rows, begin = _lower(best, lines.at, intervals.k, task.noise)
        found, converged[rows] = task.descend(rows, begin)
        best, moved = best.put(rows, found), np.isin(everyone, rows)
    return Found(_of_all(task, best, others), converged, floor, finest)


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
