"""A floor below the true change that a removed weight makes, over all shifts (EC-7.17)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from .._types import Array
from ._balls import Ball, gamma
from ._removals import Removals

ENOUGH = 1e-10  # of the least change that is known: a floor so close below it is not raised further
STRETCHES = 24  # of δ in powers of 4, to where the change is known to rise, or is not known
BOXES = 512  # of a weight at a time


@dataclass(frozen=True, eq=False)
class Quadratic:
    """√Φ_true(δ + s) ≥ √(A + 2 B s + C s²) − E_0 − E_1 ∣s∣ (EC-7.17); one entry a box."""

    A: Array
    B: Array
    C: Array
    E_0: Array
    E_1: Array
    rounded: Any  # what of such a mean may be rounding

    @classmethod
    def of(cls, h: Ball, d: Ball, p: Ball) -> Quadratic:
        """A = E‖h‖², B = E[hᵀ d], C = E‖d‖², and E_0, E_1 of their errors; of h and its derivative d, (R, B, N)."""

        def mean(x: Array) -> Array:
            total: Array = x.sum(axis=0) @ p.value
            return total

        E_0, E_1 = (np.sqrt(mean(x.error**2)) for x in (h, d))
        rounded = 4 * gamma(h.shape[0] + h.shape[2] + 16, h.value)
        return cls(mean(h.value**2), mean(h.value * d.value), mean(d.value**2), E_0, E_1, rounded)

    @property
    def at_most(self) -> Array:
        """Φ_true(δ) itself, from above."""
        change: Array = (1 + self.rounded) * (np.sqrt(self.A) + self.E_0) ** 2
        return change

    def floor_within(self, half: Array) -> Array:
        """Below Φ_true(δ + s) for all ∣s∣ ≤ half."""
        s = np.clip(np.divide(-self.B, self.C, out=np.zeros_like(self.B), where=self.C > 0), -half, half)
        square = self.A + 2 * self.B * s + self.C * s**2
        rounding = self.rounded * (self.A + 2 * np.abs(self.B * s) + self.C * s**2)
        return self._squared(np.sqrt(np.maximum(square - rounding, 0)) - (1 + self.rounded) * self.E_1 * half)

    def floor_beyond(self, sign: int) -> Array:
        """Below Φ_true(δ + sign s) for all s ≥ 0.

        With P = A − B²/C and x = s + B/C it is √(C x² + P) − E_1 x, up to a constant: convex, and least where
        x² = E_1² P / (C (C − E_1²)), if that is not before s = 0.
        """
        B, C = sign * self.B, np.where(self.C > 0, self.C, 1)
        slack = np.maximum(1 - (1 + self.rounded) * self.E_1**2 / C, 0)
        P = np.maximum(self.A - B**2 / C - self.rounded * self.A, 0)
        rises = (B > 0) & (B**2 * slack >= (1 + self.rounded) * self.E_1**2 * P)
        least = np.sqrt(P * slack) + np.minimum(self.E_1 * B / C, 0) * (1 + self.rounded)
        at_once = (1 - self.rounded) * np.sqrt(self.A)
        flat = (self.C == 0) & (self.E_1 == 0)
        known = (self.C > 0) & (slack > 0)
        return self._squared(np.where(flat | (rises & known), at_once, np.where(known, least, 0)))

    def _squared(self, root: Array) -> Array:
        floor: Array = (1 - self.rounded) * np.maximum(root - (1 + self.rounded) * self.E_0, 0) ** 2
        return floor


def floor(removals: Removals, shift: Array) -> tuple[Array, Array, Array]:
    """For each weight of a neuron: what its true change is at least, at most at the best δ, and how far that was shown.

    `shift` are the δ (m,) to begin with.  Boxes of δ are halved until no change in any is lower than the least that is
    known, but for ENOUGH of it.
    """
    everyone = np.arange(len(shift))
    most = _near(removals, everyone, shift, np.zeros_like(shift)).at_most
    if removals.mlp.layer_activation(removals.l).name == "sin":  # whatever is behind, its period is 2π
        ends, least, reach = [np.full_like(shift, sign * 3.1416) for sign in (-1, 1)], most, np.full_like(shift, np.inf)
    else:
        left, right = (_end(removals, sign, most) for sign in (-1, 1))
        ends, most = [-left.distance, right.distance], np.minimum(left.most, right.most)
        least = np.minimum(np.minimum(left.floor, right.floor), most)
        reach = np.minimum(left.reach, right.reach)
    return (*_halved(removals, most, least, ends), reach)


class _End(NamedTuple):
    """∣δ∣ at an end, the floor beyond, how far that is shown, and the least change that is known."""

    distance: Array
    floor: Array
    reach: Array
    most: Array


def _near(removals: Removals, j: Array, centre: Array, half: Array) -> Quadratic:
    """Around δ = centre, for weights j."""
    return Quadratic.of(*removals.near(removals.moved(j, centre), half), removals.p)


def _end(removals: Removals, sign: int, most: Array) -> _End:
    """Beyond which no change is lower than the least, but for ENOUGH of it; if none is known, not so far."""
    w, z = removals.mlp.weights[removals.l][removals.i], removals.preactivations[0].value
    start = 4 * (1 + np.abs(z).max() + np.abs(w * removals.inputs.value).max(axis=0))
    distance, most, beyond, reach = start.copy(), most.copy(), np.full_like(most, np.inf), np.full_like(most, np.inf)
    left = np.arange(len(most))
    for _ in range(STRETCHES):
        u, d, ray = removals.beyond(removals.moved(left, sign * distance[left]), sign)
        line = Quadratic.of(u, d, removals.p)
        by_range = (1 - line.rounded) * ((ray.least() ** 2).sum(axis=0) @ removals.p.value)
        here = np.maximum(line.floor_beyond(sign), by_range)
        most[left] = np.minimum(most[left], line.at_most)
        shown = here >= (1 - ENOUGH) * most[left]
        beyond[left[shown]] = here[shown]
        left = left[~shown]
        if len(left) == 0:
            break
        distance[left] *= 4
    distance[left] = reach[left] = start[left]
    return _End(distance, beyond, reach, most)


def _halved(removals: Removals, most: Array, least: Array, ends: list[Array]) -> tuple[Array, Array]:
    """The least floor of all boxes between the ends, and the least change that was seen at a centre."""
    most, least = most.copy(), least.copy()
    j, low, high = _boxes(ends)
    while len(j) > 0:
        half = (high - low) / 2
        centre = low + half
        half = half + 4 * np.spacing(np.maximum(np.abs(low), np.abs(high)))
        around = _near(removals, j, centre, half)
        here = around.floor_within(half)
        np.minimum.at(most, j, around.at_most)
        crowded = np.bincount(j, minlength=len(most))[j] > BOXES
        # where rounding is what keeps the floor down, or floats are
        hopeless = (around.E_1 * half <= around.E_0) | (half <= 16 * np.spacing(1 + np.abs(centre)))
        open_ = ~(here >= (1 - ENOUGH) * most[j]) & ~crowded & ~hopeless
        np.minimum.at(least, j[~open_], here[~open_])
        j, low, centre, high = (array[open_] for array in (j, low, centre, high))
        j, low, high = np.tile(j, 2), np.concatenate([low, centre]), np.concatenate([centre, high])
    return np.minimum(least, most), most


def _boxes(ends: list[Array]) -> tuple[Array, Array, Array]:
    """Weights, and the ends of boxes that cover all between the ends, in powers of 2 about 0."""
    powers = 2.0 ** -np.arange(2 * STRETCHES + 8, dtype=ends[0].dtype)
    left, right = (end * powers[:, np.newaxis] for end in ends)
    edges = np.concatenate([left, np.zeros_like(left[:1]), right[::-1]])
    j = np.broadcast_to(np.arange(edges.shape[1]), edges[1:].shape)
    return j.ravel(), edges[:-1].ravel(), edges[1:].ravel()
