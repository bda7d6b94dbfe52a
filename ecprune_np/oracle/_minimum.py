"""The least Φ_true of all weights of some neurons, and where it is (EC-9.5)."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from .._types import Array, Mask
from ._bends import STRAIGHT
from ._bracket import Bracket, bracket
from ._descent import Points
from ._exclusion import not_excluded, tails
from ._expansion import Norms
from ._guess import guess
from ._intervals import SETTLED
from ._removal import Indices, Removal, tie
from ._search import Found, Task, downhill, search
from ._straight import least

FLAT = 1e-6  # of Φ_true, by which it still varies where its limit is reached
BISECTIONS = 40


class Minimum(NamedTuple):
    """What `NonlinearScores` has, of some neurons of a layer: (I, J), but (I, 2) the bracket."""

    importance: Array
    bias_shift: Array
    converged: Mask
    uncompensated: Array
    first_order: Array
    certified: Mask
    at_infinity: Mask
    gap: Array
    resolution: Array
    bracket: Array


def least_change(removal: Removal, size: Norms, max_steps: int, max_intervals: int) -> Minimum:
    """On the pieces of a piecewise linear network, else by a search; from the better of δ = 0 and δ* (EC-9.5).

    Where even these overflow, they are returned: that is an error, which the caller raises.
    """
    everyone, shift, noise = np.arange(len(removal.weights)), removal.first_order_shift(), removal.output_rounding()
    at_zero, first_order = removal.value(everyone, np.zeros_like(shift)), removal.value(everyone, shift)
    start, value = np.where(first_order < at_zero, shift, 0), np.minimum(first_order, at_zero)
    where, straight = bracket(removal), all(a.name in STRAIGHT for a in removal.activation[removal.l :])
    nothing = np.zeros_like(value)
    infinite = nothing > 0
    if not np.isfinite(at_zero + first_order).all():
        found = Found(Points(start, value, nothing, nothing), infinite, nothing, nothing)
    elif straight:
        found = _straight(removal, start, value, noise)
    else:
        found, infinite = _smooth(removal, size, where, start, value, noise, max_steps, max_intervals)
    best, ties = found.best, tie(found.best.value, noise)
    unshifted = at_zero <= best.value + ties
    infinite = infinite & ~unshifted
    shift = np.where(unshifted, 0, best.shift)
    k = np.flatnonzero(infinite)
    shift[k] = _nearest(removal, k, shift[k], best.value[k] + ties[k])
    importance = np.minimum(best.value, value)  # the start is lower by rounding, if at all
    gap = nothing if straight else np.maximum(importance - found.floor, SETTLED * importance)
    endless = np.repeat(where.endless.any(axis=0) & (not straight), removal.shape[1])
    return Minimum(
        importance.reshape(removal.shape),
        shift.reshape(removal.shape),
        (found.converged | unshifted | infinite).reshape(removal.shape),
        at_zero.reshape(removal.shape),
        first_order.reshape(removal.shape),
        (np.isinf(found.floor) & ~endless).reshape(removal.shape),
        infinite.reshape(removal.shape),
        gap.reshape(removal.shape),
        found.finest.reshape(removal.shape),
        np.stack([where.low, where.high], axis=1),
    )


def _straight(removal: Removal, start: Array, value: Array, noise: Any) -> Found:
    I, J = removal.shape
    rows = (slice(x * J, (x + 1) * J) for x in range(I))
    minima = [least(removal, x, start[row], value[row], noise) for x, row in enumerate(rows)]
    shift, lowest = (np.concatenate(arrays) for arrays in zip(*minima))
    nothing = np.zeros_like(shift)
    return Found(Points(shift, lowest, nothing, nothing), nothing == 0, nothing + np.inf, nothing)


def _smooth(
    removal: Removal, size: Norms, where: Bracket, start: Array, value: Array, noise: Any, max_steps: int, most: int
) -> tuple[Found, Mask]:
    """The search, and where the minimum is at infinity: a constant tail is as low, and all about it as flat."""
    outside = tails(removal, size, where, noise)
    for shift, lowest in zip(outside.shift, outside.value):
        below = np.flatnonzero(lowest < value - tie(value, noise))
        true = removal.value(below, shift[below])
        lower = true < value[below]
        start[below[lower]], value[below[lower]] = shift[below[lower]], true[lower]
    task = Task(removal, size, noise, where.periodic, max_steps, most)
    best, converged = downhill(task, (start, value), guess(removal, start))
    found = search(task, best, converged, *not_excluded(removal, size, value, best, where, noise))
    best = found.best
    limit = np.where(outside.constant, outside.value, np.inf).min(axis=0)
    flat = best.square * best.shift**2 <= FLAT * best.value + (1e3 * noise) ** 2
    return found, (limit <= best.value + tie(best.value, noise)) & flat


def _nearest(removal: Removal, k: Indices, shift: Array, enough: Array) -> Array:
    """On the way from 0 to a limit, where Φ_true begins to be as low as that but for rounding."""
    near, far = np.zeros_like(shift), shift
    for _ in range(BISECTIONS if len(k) else 0):
        middle = (near + far) / 2
        reached = removal.value(k, middle) <= enough
        near, far = np.where(reached, near, middle), np.where(reached, middle, far)
    return far
