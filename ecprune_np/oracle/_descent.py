"""Downhill to a minimum of Φ_true over δ, many weights at a time (EC-9.5)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from .. import _checks
from .._types import Array, Mask
from ._removal import Indices, Removal

TOLERANCE = 1e-6  # the cosine between the change of the output and its derivative, as MINPACK's gtol


@dataclass(frozen=True, eq=False)
class Points:
    """A δ for each of some weights, with Φ_true there, half its derivative, and E[gᵀ g]."""

    shift: Array
    value: Array
    slope: Array
    square: Array

    @classmethod
    def evaluate(cls, removal: Removal, k: Indices, shift: Array) -> Points:
        return cls(shift, *removal.value_and_slope(k, shift))

    def __getitem__(self, index: Any) -> Points:
        return Points(self.shift[index], self.value[index], self.slope[index], self.square[index])

    def where(self, chosen: Array, others: Points) -> Points:
        return Points(*(np.where(chosen, a, b) for a, b in zip(self._fields(), others._fields())))

    def put(self, index: Indices, points: Points) -> Points:
        fields = [a.copy() for a in self._fields()]
        for field, new in zip(fields, points._fields()):
            field[index] = new
        return Points(*fields)

    def _fields(self) -> tuple[Array, ...]:
        return self.shift, self.value, self.slope, self.square


def descend(removal: Removal, k: Indices, start: Points, max_steps: int) -> tuple[Points, Mask]:
    """A local minimum for each weight k, downhill from its start, and whether the search ended there by itself.

    Every search holds its best point, from which Φ_true falls towards `other`; once `bracketed`, Φ_true
    does not fall further at `other`, so that a minimum lies between the two.  A trial inside is either no better,
    and replaces `other`, or the new best.  So the value never rises but by rounding, and the bracket holds by itself.
    """
    best = other = last = start
    bracketed = np.zeros(len(k), bool)
    step, slow = np.zeros_like(start.shift), np.zeros(len(k), bool)
    rounding = removal.output_rounding()
    for _ in range(max_steps):
        active = np.flatnonzero(~_converged(best, other, bracketed, rounding))
        if len(active) == 0:
            break
        now, far, before = best[active], other[active], last[active]
        trial = _trial(now, far, before, bracketed[active], step[active], slow[active])
        new = Points.evaluate(removal, k[active], trial)
        noise = 2 * rounding * np.sqrt(now.value)  # values that are closer are told apart by their slopes
        flatter = (new.value <= now.value + noise) & (np.abs(new.slope) < np.abs(now.slope))
        better = (new.value < now.value - noise) | flatter
        rises = new.slope * (trial - now.shift) > 0
        turned = better & (rises | (new.slope == 0))
        # a better point keeps the far end, unless the minimum is behind it
        next_best = new.where(better, now)
        next_other = now.where(turned, far.where(better, new))
        was_bracketed = bracketed[active]
        bracketed[active] |= ~better | turned
        width = np.abs(far.shift - now.shift)
        shrunk = ~was_bracketed | (np.abs(next_other.shift - next_best.shift) <= width / 2)
        slow[active] = ~(shrunk | (np.abs(next_best.slope) <= np.abs(now.slope) / 2))
        step[active] = trial - now.shift
        best, other = best.put(active, next_best), other.put(active, next_other)
        last = last.put(active, now.where(better, new))
    return best, _converged(best, other, bracketed, rounding)


def _converged(best: Points, other: Points, bracketed: Array, rounding: Any) -> Mask:
    negligible = TOLERANCE**2 * best.value
    length = TOLERANCE * np.sqrt(best.value) + rounding
    with _checks.overflow_raised_later():
        orthogonal = np.abs(best.slope) <= length * np.sqrt(best.square)
        flat = 2 * np.abs(best.slope) * np.abs(best.shift) <= negligible
        # at a kink the derivative jumps from one sign to the other
        width = np.abs(other.shift - best.shift)
        kink = (
            bracketed
            & (best.slope * other.slope <= 0)
            & (
                (2 * np.abs(best.slope) * width <= negligible)
                | (width <= 2 * np.spacing(np.maximum(np.abs(best.shift), np.abs(other.shift))))
            )
        )
    result: Mask = orthogonal | (flat & (best.shift != 0)) | kink
    return result


def _trial(now: Points, far: Points, before: Points, bracketed: Array, step: Array, slow: Array) -> Array:
    """The next δ: a secant step inside the bracket, else its middle; without one, ever larger steps downhill."""
    with np.errstate(all="ignore"):  # what is not finite is not inside the bracket
        gauss_newton = now.shift - now.slope / now.square
        secant = now.shift - now.slope * (now.shift - before.shift) / (now.slope - before.slope)
        middle = (now.shift + far.shift) / 2
        inside = ((secant - now.shift) * (secant - far.shift) < 0) & ~slow
        reach = np.maximum(np.abs(gauss_newton - now.shift), 2 * np.abs(step))
        downhill = now.shift - np.sign(now.slope) * reach
    return np.where(bracketed, np.where(inside, secant, middle), downhill)
