"""The least Φ_true of all weights of a neuron, exactly, where the network behind it is piecewise linear (EC-9.7)."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import _checks
from .._types import Array, Mask
from ._descent import Points
from ._pieces import Pieces, pieces
from ._removal import Indices, Removal, tie

ROUNDS = 5
LOWER = 1e-3  # a minimum that much lower than where it was seen from is looked at again, from there
CARRIED = 1e-13  # of the value at the centre, by which others have been rounded


def least(removal: Removal, x: int, start: Array, value: Array, noise: Any) -> tuple[Array, Array]:
    """The best δ and its Φ_true for all weights of neuron number x, seen from a start (EC-9.7).

    What has been found as a sum over pieces is evaluated again by the network.  As the sums are rounded by what the
    start is worth, a minimum that is much lower, or may tie with a nearer one, becomes the start of another round.
    """
    parts = pieces(removal, int(removal.neurons[x]))
    k = x * removal.shape[1] + np.arange(removal.shape[1])
    shift, value = start.copy(), value.copy()
    left = np.arange(len(k))
    block = max(1, removal.memory // (32 * removal.p.dtype.itemsize * (1 + len(parts.n))))
    rounds = 0
    while len(left) > 0 and rounds < ROUNDS:
        rounds += 1
        blocks = [left[first : first + block] for first in range(0, len(left), block)]
        minima = [_least(parts, removal, k[b], shift[b], value[b], noise) for b in blocks]
        seen, doubtful = (np.concatenate(arrays) for arrays in zip(*minima))
        at = Points.evaluate(removal, k[left], seen)
        with np.errstate(all="ignore"):
            vertex = np.where(at.square > 0, seen - at.slope / at.square, seen)
        again = removal.value(k[left], vertex)
        best, place = np.where(again < at.value, again, at.value), np.where(again < at.value, vertex, seen)
        ties, before = tie(value[left], noise), value[left]
        nearer = (best <= before + ties) & (np.abs(place) < np.abs(shift[left]))
        better = (best < before - ties) | nearer
        value[left[better]], shift[left[better]] = best[better], place[better]
        left = left[((best < LOWER * before) & (np.sqrt(best) > noise)) | doubtful]
    return shift, value


def _least(parts: Pieces, removal: Removal, k: Indices, centre: Array, value: Array, noise: Any) -> tuple[Array, Mask]:
    """The δ where the sum of all samples' pieces is least; from a centre, where it has this value, to both sides.

    And whether a smaller |δ| may be as good, which rounding hides.
    """
    N, weight = removal.p.n_samples, removal.p.weight
    removed = removal.weights[k, np.newaxis] * removal.inputs[k % removal.shape[1]]
    first = np.diff(parts.n, prepend=-1) > 0
    after = np.flatnonzero(~first)  # behind each break
    t, n = parts.low[after], parts.n[after]
    x = t + removed[:, n] - centre[:, np.newaxis]
    bend = weight[n] * (parts.square[after] - parts.square[after - 1])
    jump = weight[n] * (_slope(parts, after, t) - _slope(parts, after - 1, t))
    # the piece of each sample at the centre
    passed = np.cumsum(np.pad(x <= 0, ((0, 0), (1, 0))), axis=1)
    ends = np.searchsorted(n, np.arange(N + 1))
    now = np.flatnonzero(first) + passed[:, ends[1:]] - passed[:, ends[:-1]]
    slope = _slope(parts, now, centre[:, np.newaxis] - removed) @ weight
    curvature = parts.square[now] @ weight
    order = np.argsort(x, axis=1)
    x, bend, jump = np.take_along_axis(x, order, axis=1), bend[order], jump[order]
    right = _side(np.maximum(x, 0), np.where(x > 0, bend, 0), np.where(x > 0, jump, 0), value, slope, curvature)
    x, bend, jump = -x[:, ::-1], -bend[:, ::-1], jump[:, ::-1]
    left = _side(np.maximum(x, 0), np.where(x >= 0, bend, 0), np.where(x >= 0, jump, 0), value, -slope, curvature)
    values, places = np.hstack([right[0], left[0]]), np.hstack([right[1], -left[1]]) + centre[:, np.newaxis]
    lowest = values.min(axis=1, keepdims=True)
    ties = lowest + tie(np.maximum(lowest, 0), noise)
    nearest = np.argmin(np.where(values <= ties, np.abs(places), np.inf), axis=1)
    place: Array = places[np.arange(len(k)), nearest]
    hidden = values <= ties + CARRIED * value[:, np.newaxis]
    return place, np.where(hidden, np.abs(places), np.inf).min(axis=1) < (1 - 1e-6) * np.abs(place)


def _side(x: Array, bend: Array, jump: Array, value: Array, slope: Array, curvature: Array) -> tuple[Array, Array]:
    """At all breaks x ≥ 0, and where each piece is least: the value and the place, (J, 2 + 2 B).

    From break to break the curvature, half the slope and the value are carried on, each the sum of what the one
    before adds, so that nothing large cancels.
    """
    with _checks.overflow_raised_later():
        start = np.hstack([np.zeros_like(value)[:, np.newaxis], x])
        length = np.diff(start)
        c = np.maximum(_carried(curvature, bend), 0)
        s = _carried(slope, c[:, :-1] * length + jump)
        v = _carried(value, (2 * s[:, :-1] + c[:, :-1] * length) * length)
        with np.errstate(all="ignore"):
            step = np.where((c > 0) & (s < 0), -s / c, 0)
        step[:, :-1] = np.minimum(step[:, :-1], length)
        return np.hstack([v, v + (2 * s + c * step) * step]), np.hstack([start, start + step])


def _carried(begin: Array, added: Array) -> Array:
    total: Array = np.cumsum(np.hstack([begin[:, np.newaxis], added]), axis=1)
    return total


def _slope(parts: Pieces, index: Indices, t: Array) -> Array:
    slope: Array = parts.slope[index] + parts.square[index] * (t - parts.anchor[index])
    return slope
