"""Hypotheses that predict values: each is evaluated on all cases, and dropped where a right answer contradicts it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from ..catalogue._mistake import Mistake, wrong_values
from ._answers import MATCH, Answer, ranking_of
from ._finding import Finding

PROBES = 8  # wrong answers on which a mistake is tried first: one that explains none of them is dropped
FEW = 50  # wrong answers that are all tried
PLAUSIBLE = 0.05  # a finding that explains a smaller share of the wrong answers is a coincidence, unless it fits well


class Explanation(NamedTuple):
    """A finding, and the wrong answers that it explains."""

    finding: Finding
    explained: frozenset[Answer]
    contradicted: frozenset[Answer] = frozenset()
    mistake: Mistake | None = None


def explained_by(
    mistakes: Iterable[Mistake], right: Sequence[Answer], wrong: Sequence[Answer], left: Sequence[Answer]
) -> list[Explanation]:
    """The mistakes that explain something of what is left."""
    comparable = [a for a in left if a.comparable]
    probes = comparable if len(comparable) <= FEW else _spread(comparable)
    found = []
    for mistake in mistakes:
        theirs = probes if not mistake.activation else _spread(_with_activation(comparable, mistake.activation))
        if any(a.agrees_with(mistake) for a in theirs):
            found.append(explanation_of(mistake, right, wrong))
    return [e for e in found if e is not None]


def _with_activation(answers: Sequence[Answer], activation: str) -> list[Answer]:
    return [a for a in answers if a.case.activation == activation and len(a.case.weights) > 1]


def _spread(answers: Sequence[Answer]) -> Sequence[Answer]:
    """A few answers, from all over the list."""
    step = max(1, len(answers) // PROBES)
    return answers[:: step | 1]  # an odd step, for importances and shifts take turns


def explanation_of(mistake: Mistake, right: Sequence[Answer], wrong: Sequence[Answer]) -> Explanation | None:
    """The wrong answers that are this mistake's; None where a right answer contradicts it, or they are too few."""
    if any(a.shows(mistake, MATCH) for a in right):
        return None
    explained = frozenset(a for a in wrong if a.comparable and a.agrees_with(mistake))
    against = frozenset(a for a in wrong if a not in explained and a.comparable and a.shows(mistake))
    if not explained or (len(explained) < PLAUSIBLE * len(wrong) and len(explained) < len(against)):
        return None
    ranking = ""
    if any(a.quantity == "importance" for a in explained):
        cases = dict.fromkeys(a.case for a in [*right, *wrong])
        ranking = ranking_of((case, wrong_values(mistake, case)[0]) for case in cases)
    finding = Finding(mistake.id, mistake.sentence, mistake.equation, ranking, exact=True)
    return Explanation(finding, explained, against, mistake)


def cover(pool: list[Explanation], left: frozenset[Answer]) -> tuple[list[Explanation], frozenset[Answer]]:
    """Greedily the findings that explain the most of what is left; ties go to what contradicts less, then the first."""
    chosen: list[Explanation] = []
    while pool and left:
        best = max(pool, key=lambda e: (len(e.explained & left), -len(e.contradicted)))
        if not best.explained & left:
            break
        chosen.append(best)
        left = left - best.explained
    return chosen, left
