"""Relations that need no catalogue: a constant factor, arrays in another order, an earlier case's answer."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from .._case import Case, Layers
from .._kinds import KINDS
from ..catalogue._mistake import wrong_numbers
from ..catalogue.shape import SHAPES, Arrange
from ._answers import MATCH, Answer, apart, ratio, right_of
from ._explanations import PLAUSIBLE, Explanation
from ._finding import Finding

SMALL = 1e-6  # of the largest weight: what was meant to be 0
LABELS = {"bias_shift": "EC-3.4"}  # of importances, the kind's
Relation = Callable[[Sequence[Answer], Sequence[Answer]], Explanation | None]


def constant_factor(quantity: str) -> Relation:
    """All values are the same multiple of the right ones."""

    def relation(right: Sequence[Answer], wrong: Sequence[Answer]) -> Explanation | None:
        ours = [a for a in wrong if a.quantity == quantity and a.comparable]
        ratios = [r for a in ours if (r := ratio(a.entries, a.right, a.scales)) is not None]
        if not ratios:
            return None
        factor = float(np.median(ratios))
        if abs(factor - 1) <= MATCH * max(a.tolerance for a in ours):
            return None

        def far(a: Answer) -> bool:
            return a.quantity == quantity and apart(factor * a.right, a.right, a.scales) > MATCH * a.tolerance

        explained = [a for a in ours if apart(a.entries, factor * a.right, a.scales) <= MATCH * a.tolerance]
        if any(map(far, right)) or len(explained) < len(ours) / 2:
            return None
        finding = _factor_finding(quantity, factor, ours[0].tolerance, KINDS[ours[0].case.kind].equation)
        return Explanation(finding, frozenset(explained), frozenset(a for a in ours if a not in explained and far(a)))

    return relation


def _factor_finding(quantity: str, factor: float, tolerance: float, kind_label: str) -> Finding:
    equation, ranking = LABELS.get(quantity, kind_label), ""
    if quantity == "importance":
        ranking = "network" if factor > 0 else "lost"
    name = quantity.replace("_", " ")
    if factor == 0:
        return Finding(f"{quantity}-zero", f"Every {name} is zero.", equation, ranking, exact=True)
    if abs(factor + 1) < MATCH * tolerance:
        return Finding(f"{quantity}-sign", f"Every {name} has the wrong sign.", equation, ranking, exact=True)
    sentence = f"Every {name} is {factor:.7g} times the right one."
    return Finding(f"{quantity}-constant-factor", sentence, equation, ranking, exact=True)


def rearranged(id: str, sentence: str, arrange: Arrange) -> Relation:
    """The answer is a rearrangement of the right one: `arrange` brings both into the same order."""

    def is_so(a: Answer) -> bool:
        with wrong_numbers():
            values, reference = arrange(a.values, a.reference)
        if not _near(values, reference, a.scale, a.tolerance):
            return False
        return not (a.comparable and _near(a.values, a.reference, a.scale, a.tolerance))  # as it is

    def relation(right: Sequence[Answer], wrong: Sequence[Answer]) -> Explanation | None:
        explained = frozenset(a for a in wrong if a.values and a.reference[0].ndim == 2 and is_so(a))
        if len(explained) < PLAUSIBLE * len(wrong):
            return None
        return Explanation(Finding(id, sentence, "EC-1.1", "lost", exact=True), explained)

    return relation


def exchanged(right: Sequence[Answer], wrong: Sequence[Answer]) -> Explanation | None:
    """Each quantity is the other one."""
    explained = set()
    for a in wrong:
        if a.case.kind != "ec":
            return None
        reference, scale = a.case.reference.of("bias_shift" if a.quantity == "importance" else "importance")
        if a.values and _near(a.values, reference, scale, a.tolerance):
            explained.add(a)
    if len(explained) < PLAUSIBLE * len(wrong):
        return None
    sentence = "Importance and bias shift are exchanged (swapped): the importance comes first."
    return Explanation(Finding("exchanged", sentence, "EC-1.1", "lost", exact=True), frozenset(explained))


def remembered(right: Sequence[Answer], wrong: Sequence[Answer]) -> Explanation | None:
    """The right answer of another case, with arrays of the same shape: asked before, and kept."""
    known: dict[tuple[str, tuple[tuple[int, ...], ...]], list[Answer]] = {}
    for a in (*right, *wrong):
        known.setdefault((a.quantity, tuple(v.shape for v in a.reference)), []).append(a)
    explained = set()
    for a in wrong:
        if a.comparable and a.case.kind != "pruner":
            near = (o for o in known[a.quantity, tuple(v.shape for v in a.values)] if o is not a and np.any(o.right))
            if any(_is(a, o.case) for o in near):
                explained.add(a)
    if len(explained) < PLAUSIBLE * len(wrong) or not explained:
        return None
    sentence = (
        "The first answer is given again: these are the right numbers of an earlier case whose arrays have the same "
        "shapes. A result is kept (memoised) by less than what it depends on."
    )
    return Explanation(Finding("memoised", sentence, "EC-3.5", "lost", exact=True), frozenset(explained))


def masks_re_used(right: Sequence[Answer], wrong: Sequence[Answer]) -> Explanation | None:
    """The right weights of the same network at another sparsity or in the other scope, and perhaps its biases."""
    cases = {a.case: None for a in (*right, *wrong) if a.case.kind == "pruner" and 0 < a.case.sparsity < 1}
    others: dict[Case, Case] = {}
    for a in wrong:
        if a.quantity == "weights" and a.comparable:
            network = _network(a.case)
            same = [c for c in cases if c is not a.case and _network(c) == network and _is(a, c)]
            others |= {a.case: same[0]} if same else {}
    explained = frozenset(a for a in wrong if a.comparable and a.case in others and _is(a, others[a.case]))
    if not others or len(explained) < PLAUSIBLE * len(wrong):
        return None
    sentence = "Masks are re-used: these are the right weights of another sparsity or scope."
    return Explanation(Finding("masks-re-used", sentence, "EC-5.1", exact=True), explained)


def nearly_zero(right: Sequence[Answer], wrong: Sequence[Answer]) -> Explanation | None:
    """Weights that go are small, and not 0."""

    def is_so(a: Answer) -> bool:
        gone = a.right == 0
        small = np.abs(a.entries[gone]) < SMALL * max(float(np.abs(w).max()) for w in a.case.weights)
        return bool(small.all()) and apart(np.where(gone, 0, a.entries), a.right, a.scales) <= MATCH * a.tolerance

    explained = frozenset(a for a in wrong if a.quantity == "weights" and a.comparable and is_so(a))
    if not explained:
        return None
    sentence = "Weights that are to go are small numbers, where they are to be exactly 0."
    return Explanation(Finding("not-exactly-zero", sentence, "EC-5.1", exact=True), explained)


def _network(case: Case) -> str:
    """The name of the network that is pruned."""
    return case.name.removesuffix(f"-{case.scope}-{case.sparsity:g}")


def _is(a: Answer, other: Case) -> bool:
    """Whether an answer is the right one of another case, with arrays of the same shapes."""
    return apart(a.entries, *right_of(other, a.quantity)) <= MATCH * a.tolerance


def _near(values: Layers, reference: Layers, scale: Layers, tolerance: float) -> bool:
    """Whether there is something of the same shapes, and near; on one scale for all, for entries may be anywhere."""
    if not values or [v.shape for v in values] != [r.shape for r in reference]:
        return False
    largest = max(float(s.max()) for s in scale)
    return all(apart(v, r, largest) <= MATCH * tolerance for v, r in zip(values, reference))


RELATIONS: tuple[Relation, ...] = (
    *map(constant_factor, ("importance", "bias_shift", "weight_gradient", "bias_gradient")),
    exchanged,
    *(rearranged(*shape) for shape in SHAPES),
    remembered,
    masks_re_used,
    nearly_zero,
)
