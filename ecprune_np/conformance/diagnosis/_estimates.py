"""Mistakes whose one number is estimated from the answers: guards, floors, powers, roundings, steps of differences."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from ..._types import Array
from ..catalogue import arithmetic
from ..catalogue._mistake import Mistake, wrong_numbers
from ..catalogue._parts import parts_of
from ._answers import Answer

SIGNIFICANT = 1e-4  # an estimate is rounded to the few digits that a person would have written, where it is so near
DECIMALS = range(1, 13)
REPEATED = 3  # entries that are the same number make it a floor


def estimated(answers: Sequence[Answer]) -> Iterator[Mistake]:
    """Mistakes with the numbers that the answers suggest; whether they hold is for others to find out."""
    importances = [a for a in answers if a.quantity == "importance" and a.comparable]
    shifts = [a for a in answers if a.quantity == "bias_shift" and a.comparable]
    with wrong_numbers():
        if importances:
            yield from _of_importances(importances)
        if shifts:
            yield from _guards(shifts)
        for ours in filter(None, (importances, shifts)):
            yield from _roundings(ours)


def of_values(a: Answer) -> Iterator[Mistake]:
    """Those that can be read off one answer by itself: floors, powers, logarithms, roundings."""
    if not np.isfinite(a.entries).all():
        return
    with wrong_numbers():
        if a.quantity == "importance":
            yield from _of_importances([a])
        yield from _roundings([a])


def _of_importances(answers: Sequence[Answer]) -> Iterator[Mistake]:
    came, right = (np.concatenate([getattr(a, name) for a in answers]) for name in ("entries", "right"))
    if np.isnan(came).all():
        return
    for extreme, mistake, beyond in (
        (np.nanmin, arithmetic.floored, right < came),
        (np.nanmax, arithmetic.capped, right > came),
    ):
        value = float(extreme(came))
        if value and (came == value).sum() >= REPEATED and beyond[came == value].any() and np.isfinite(value):
            yield mistake(tidy(value))
    change = _middle((came - right)[right != 0])
    if change:
        yield arithmetic.raised(tidy(change))
    zeros = right[(came == 0) & (right > 0)]
    if len(zeros) >= REPEATED and (came[right > zeros.max()] > 0).any():
        kept = right[(came != 0) & (right > 0)]
        yield arithmetic.zeroed(_between(zeros.max(), kept[kept > zeros.max()].min(initial=np.inf)))
    usable = (came > 0) & (right > 0) & (np.abs(np.log(right)) > 1)
    power = _middle(np.log(came[usable]) / np.log(right[usable]))
    if power and power != 1:
        yield arithmetic.powered(tidy(power))
    added = _middle((np.exp(came) - right)[right > 0])
    if added and added > 0:
        yield arithmetic.logarithm_of_sum(tidy(added))
    smallest = float(came[np.isfinite(came)].min(initial=np.inf))
    if smallest < 0:
        yield arithmetic.logarithm_of_sum(tidy(float(np.exp(smallest))))


def _guards(answers: Sequence[Answer]) -> Iterator[Mistake]:
    """d = w μ S/(S + ε) gives ε; d = w μ S/ε does so for the clamped ones."""
    sums: dict[bool, list[Array]] = {False: [], True: []}
    clamps: dict[bool, list[Array]] = {False: [], True: []}
    for a in answers:
        s = [
            np.repeat(s.sum(axis=0)[:, np.newaxis], w.shape[1], axis=1)
            for s, w in zip(parts_of(a.case).s, a.case.weights)
        ]
        total = np.concatenate([v.ravel() for v in s])
        share = a.right / a.entries
        moved = np.isfinite(share) & (share > 1 + 1e-7)
        for of_sum in sums:
            S = total if of_sum else total / len(a.case.x)
            sums[of_sum].append((S * (share - 1))[moved])
            clamps[of_sum].append((S * share)[moved])
    for found, mistake in ((sums, arithmetic.plus), (clamps, arithmetic.at_least)):
        for of_sum, values in found.items():
            epsilon = _middle(np.concatenate(values))
            if epsilon and epsilon > 0:
                yield mistake(tidy(epsilon), of_sum)


def _roundings(answers: Sequence[Answer]) -> Iterator[Mistake]:
    """To the smallest number of decimals, and of significant digits, that all values of a quantity have."""
    values, quantity = np.concatenate([a.entries for a in answers]), answers[0].quantity
    values = values[np.isfinite(values) & (values != 0)]
    small = values[np.abs(values) < 1e3]
    for mistake, told, cut in (
        (arithmetic.decimals, small, np.round),
        (arithmetic.digits, values, arithmetic.cut_to_digits),
    ):
        fits = (d for d in DECIMALS if np.allclose(cut(told, d), told, rtol=1e-12, atol=0))
        yield from (mistake(d, quantity) for d in list(fits)[:1] if len(told))


def tidy(value: float) -> float:
    """The number of one or two digits that is meant, where there is one so near."""
    for digits in ("1", "2", "3"):
        short = float(f"{value:.{int(digits) - 1}e}")
        if abs(short - value) <= SIGNIFICANT * abs(value):
            return short
    for power in range(-60, 11):  # 2⁻²³ is float32's rounding, 2⁻⁵² float64's
        if abs(2.0**power - value) <= SIGNIFICANT * abs(value):
            return 2.0**power
    return value


def _between(low: float, high: float) -> float:
    """A round number between two, the larger where there is none."""
    exponent = 10.0 ** np.floor(np.log10(min(high, low * 1e3)))
    return float(exponent if low < exponent <= high else high)


def _middle(values: Array) -> float | None:
    """The number that most values are near; None where they are few, or scattered."""
    values = values[np.isfinite(values) & (values != 0)]
    if len(values) < REPEATED:
        return None
    middle = float(np.median(values))
    near = np.abs(values - middle) <= 1e-2 * abs(middle)
    return float(np.median(values[near])) if near.sum() > len(values) / 4 else None


# Steps of numerical derivatives


def step_of(a: Answer, mistake: Callable[[float, bool], Mistake], central: bool) -> tuple[float, float]:
    """The step whose differences would be as far from the right answer as this one, and the misfit (0: none)."""
    deviation, order, step = a.entries - a.right, 2 if central else 1, 1e-4
    for _ in range(4):
        expected = a.predicted(mistake(step, central)) - a.right
        size = float(expected @ expected)
        factor = float(deviation @ expected) / size if size > 0 else 0.0
        if factor <= 0:
            return step, np.inf
        step = float(np.clip(step * factor ** (1 / order), 1e-9, 1.0))
    expected = a.predicted(mistake(tidy(step), central)) - a.right
    misfit = float(np.linalg.norm(deviation - expected) / (np.linalg.norm(deviation) or 1.0))
    return step, misfit
