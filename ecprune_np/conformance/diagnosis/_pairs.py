"""Two mistakes at once, where none alone explains: pairs from the catalogue, the cheapest to try first."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import islice

import numpy as np

from ..._types import Array
from .._case import Case
from ..catalogue import MISTAKES
from ..catalogue._mistake import Mistake, both, joined, unchanged, untouched, wrong_numbers
from ..catalogue._parts import Pairs, Parts, parts_of, scores
from ._answers import MATCH, Answer
from ._explanations import Explanation, explanation_of

TRIALS = 20_000  # pairs that are tried at most: a second or so, and the same ones on every machine
FITTING = 12  # pairs that fit the one case and are then evaluated on all
ENOUGH = 0.9  # a pair that explains so much of what is left ends the search


def pair_of(
    right: Sequence[Answer], wrong: Sequence[Answer], left: frozenset[Answer], known: Sequence[Mistake]
) -> Explanation | None:
    """The pair of mistakes that explains the most of what is left; those with a mistake that was found come first."""
    target = _telling(left)
    if target is None:
        return None
    best: Explanation | None = None
    any_two = not _of_one_activation(target, right, left)
    for pair in islice(_fitting(target, known, any_two), FITTING):
        found = explanation_of(pair, right, wrong)
        if found and (best is None or len(found.explained & left) > len(best.explained & left)):
            best = found
            if len(found.explained & left) >= ENOUGH * len(left):
                break
    return best


def _telling(left: frozenset[Answer]) -> Answer | None:
    """The wrong answer on which pairs are tried: of a small network with hidden layers, several outputs and samples."""

    def order(a: Answer) -> tuple[bool, ...] | tuple[bool | int | str, ...]:
        case = a.case
        plain = len(case.biases[-1]) > 1 and len(case.x) > 10 and not case.ill_conditioned
        told_apart = len(case.biases[-1]) > 2  # where a factor 2 is not K
        usual = told_apart and case.group in ("activations", "depth", "correlation")
        return (
            not plain,
            len(case.weights) == 1,
            not usual,
            len(case.weights) != 3,
            a.quantity != "importance",
            case.name,
        )

    return min((a for a in left if a.comparable and np.isfinite(a.entries).all()), key=order, default=None)


def _of_one_activation(target: Answer, right: Sequence[Answer], left: frozenset[Answer]) -> bool:
    """Whether other activations' networks have it right: what goes wrong with one alone is no two mistakes of all."""
    name, quantity = target.case.activation, target.quantity
    with_others = any(a.case.activation != name and a.quantity == quantity and len(a.case.weights) > 1 for a in right)
    return with_others and all(a.case.activation == name for a in left)


def _fitting(target: Answer, known: Sequence[Mistake], any_two: bool) -> Iterator[Mistake]:
    """The pairs that give what came on the target, first those with a mistake that was found already."""
    others = [m for m in MISTAKES if m.activation in ("", target.case.activation)]
    for first in known:
        for one, two in (pair for second in others for pair in ((first, second), (second, first))):
            pair = both(one, two)
            if pair is not None and target.agrees_with(pair):
                yield pair
    if not any_two:
        return
    pairs, entries = _table(target.case, target.which)
    with wrong_numbers():
        scales = np.maximum(target.scales, np.abs(entries))
        errors = np.where(entries == target.entries, 0, np.abs(entries - target.entries) / scales)
        fits = (errors <= MATCH * target.tolerance).all(axis=1)
    for first, second in (pairs[n] for n in np.flatnonzero(fits)):
        pair = both(first, second)
        if pair is not None:
            yield pair


@lru_cache(maxsize=4)
def _table(case: Case, which: int) -> tuple[list[tuple[Mistake, Mistake]], Array]:
    """Pairs, and the values of each on a case, one below the other."""
    with wrong_numbers():
        trials = [(pair, joined(values)[which]) for pair, values in islice(_trials(parts_of(case), which), TRIALS)]
    return [pair for pair, _ in trials], np.array([entries for _, entries in trials])


def _trials(parts: Parts, which: int) -> Iterator[tuple[tuple[Mistake, Mistake], Pairs]]:
    """Every pair, with its values: results twice, formulas, passes, the cheapest first."""
    usable = [m for m in MISTAKES if not m.activation]
    distinct = _distinct({m: m.passes(parts) for m in usable if m.passes is not unchanged})
    formulas = [m for m in usable if m.formula is not scores]
    plain = scores(parts)
    ends = [m for m in usable if m.after is not untouched and _moves(m, plain, parts, which)]
    for first in ends:
        once = first.after(plain, parts)
        yield from (((first, second), second.after(once, parts)) for second in ends)
    for formula in formulas:
        once = formula.formula(parts)
        yield from (((formula, end), end.after(once, parts)) for end in ends)
    for first, p in distinct.items():
        once = scores(p)
        yield from (((first, end), end.after(once, p)) for end in ends)
        yield from (((first, formula), formula.formula(p)) for formula in formulas)
    for first, p in distinct.items():
        yield from (((first, second), scores(second.passes(p))) for second in distinct)


def _distinct(spoilt: dict[Mistake, Parts]) -> dict[Mistake, Parts]:
    """One mistake for each result, for many do the same to a small case."""
    seen: dict[bytes, Mistake] = {}
    for mistake, p in spoilt.items():
        seen.setdefault(b"".join(v.tobytes() for v in (*p.s, *p.a)), mistake)
    return {mistake: spoilt[mistake] for mistake in seen.values()}


def _moves(mistake: Mistake, plain: Pairs, parts: Parts, which: int) -> bool:
    """Whether what is done in the end changes this quantity."""
    return not np.array_equal(joined(mistake.after(plain, parts))[which], joined(plain)[which])
