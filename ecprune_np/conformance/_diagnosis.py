"""Which mistake it is: wrong answers are compared with the catalogue, and with relations that need none."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np

from .._types import Array
from ..error_analysis.comparison import digits
from ._cases import Case, Layers
from ._mistakes import MISTAKES, Mistake, wrong_numbers, wrong_values
from ._verdict import FAILED, INACCURATE, QUANTITIES, SKIPPED, TOLERANCES, Result

DOUBLE, SINGLE = TOLERANCES[np.dtype(np.float64)], TOLERANCES[np.dtype(np.float32)]
MATCH = 3  # tolerances within which an answer is a mistake's, and beyond which a mistake contradicts a right answer
PLAUSIBLE = 0.05  # a finding that explains a smaller share of the wrong answers is a coincidence, unless it fits well
INFORMATIVE = 1e-6  # importances that are all smaller, relative to R, say nothing about a factor
TIE = 1e-5  # importances that are closer, relative to R, have no order

SURVIVES = {
    "network": "the ranking of the weights survives",
    "layer": "the ranking survives within each layer, not across layers",
    "lost": "the ranking is lost",
    "": "",
}


@dataclass(frozen=True, repr=False)
class Finding:
    """What is wrong, in a sentence, and how much it explains.

    Attributes
    ----------
    id : str
        Its name.
    sentence : str
        What is wrong.
    equation : str
        The label of the equation that is violated.
    ranking : str
        "network" where the order of all weights survives, "layer" where only that within each layer does, "lost", or ""
        where it does not apply.
    explained : int
        How many of the wrong answers (an importance or a shift of one case each) are as this finding predicts.
    wrong : int
        How many answers are wrong.
    cases : tuple of str
        The names of those that it explains.

    Examples
    --------
    >>> print(ec.conformance.Finding("twice", "importances are doubled", "EC-3.4", "network"))
    importances are doubled [EC-3.4; the ranking of the weights survives]
    """

    id: str
    sentence: str
    equation: str = ""
    ranking: str = ""
    explained: int = 0
    wrong: int = 0
    cases: tuple[str, ...] = ()

    def __repr__(self) -> str:
        explained = f", explains {self.explained} of {self.wrong} wrong answers" if self.wrong else ""
        return f"Finding({self.id}{explained})"

    def __str__(self) -> str:
        details = [self.equation, SURVIVES[self.ranking]]
        if self.wrong:
            details.append(f"explains {self.explained} of {self.wrong} wrong answers")
        return f"{self.sentence} [{'; '.join(d for d in details if d)}]" if any(details) else self.sentence


@dataclass(frozen=True, eq=False)
class Answer:
    """One quantity of one case: what came (values empty where nothing did), what is right, and whether it was."""

    result: Result
    quantity: str
    values: Layers
    reference: Layers
    scale: Layers
    wrong: bool
    tolerance: float

    @property
    def case(self) -> Case:
        return self.result.case

    @property
    def comparable(self) -> bool:
        """Whether the values have the right shapes."""
        return [v.shape for v in self.values] == [r.shape for r in self.reference]


Explanation = tuple[Finding, set[Answer]]
Relation = Callable[[Sequence[Answer], Sequence[Answer]], Explanation | None]


def diagnose(results: Sequence[Result]) -> list[Finding]:
    """The likeliest findings first; each one explains wrong answers that those before it do not.

    Mistakes and exact relations that contradict a right answer are dropped; only where they leave
    something open come looser relations.
    """
    answers = answers_of(results)
    right, wrong = [a for a in answers if not a.wrong], [a for a in answers if a.wrong]
    pool = [_by_mistake(mistake, right, wrong) for mistake in MISTAKES if wrong]
    pool += [relation(right, wrong) for relation in EXACT if wrong]
    found, left = _cover([entry for entry in pool if entry is not None], set(wrong))
    still = [a for a in wrong if a in left]
    alternatives = LOOSE if len(still) >= PLAUSIBLE * len(wrong) else LOOSE[:2]
    for relations in alternatives if still else ():
        explanations = [explanation for explanation in (r(right, still) for r in relations) if explanation is not None]
        found += explanations[:1]
    findings = [_counted(finding, explained, wrong) for finding, explained in found]
    findings.sort(key=lambda finding: -finding.explained)
    open_ones = set(wrong).difference(*(explained for _, explained in found))
    if wrong and len(open_ones) >= PLAUSIBLE * len(wrong):
        which = "the other" if findings else "the"
        findings.append(Finding("unknown", f"No known mistake explains {which} {len(open_ones)} wrong answers."))
    return findings + _remarks(results)


def answers_of(results: Iterable[Result]) -> list[Answer]:
    """Every importance and bias shift that was not skipped, as an answer."""
    results = [r for r in results if r.status != SKIPPED]
    given = [v for r in results for v in (*r.outcome.importance, *r.outcome.bias_shift)]
    tolerance = SINGLE if given and all(_is_single(v) for v in given) else DOUBLE
    answers = []
    for r in results:
        reference = r.case.reference
        excess = {entry.quantity: entry.excess for entry in r.worst}
        for quantity, right, scale in (
            ("importance", reference.importance, reference.importance_scale),
            ("bias_shift", reference.bias_shift, reference.shift_scale),
        ):
            values = getattr(r.outcome, quantity)
            own = SINGLE if any(v.dtype == np.float32 for v in values) else tolerance
            answers.append(Answer(r, quantity, values, right, scale, excess.get(quantity, np.inf) > 1, own))
    return answers


def ranking_of(pairs: Iterable[tuple[Case, Layers]]) -> str:
    """Whether the order of all weights of a network is right ("network"), that in each layer ("layer"), or "lost"."""
    survives = "network"
    for case, importance in pairs:
        reference = case.reference
        layers = list(zip(importance, reference.importance, reference.importance_scale))
        if any(_inverted(*layer) for layer in layers):
            return "lost"
        if _inverted(*(np.concatenate([a.ravel() for a in arrays]) for arrays in zip(*layers))):
            survives = "layer"
    return survives


# The catalogue


def _by_mistake(mistake: Mistake, right: Sequence[Answer], wrong: Sequence[Answer]) -> Explanation | None:
    """The wrong answers that are this mistake's, or None where a right answer contradicts it."""

    def distance(a: Answer) -> float:
        return _distances(mistake, a.case)[QUANTITIES.index(a.quantity)]

    def values(a: Answer) -> Layers:
        return wrong_values(mistake, a.case)[QUANTITIES.index(a.quantity)]

    explained = _explained(values, distance, right, wrong)
    expected = sum(distance(a) > a.tolerance for a in wrong) if explained else 0
    if not explained or (len(explained) < PLAUSIBLE * len(wrong) and len(explained) < expected / 2):
        return None
    if all(a.quantity == "bias_shift" for a in explained):
        return Finding(mistake.id, mistake.sentence, mistake.equation), explained
    among = dict.fromkeys(a.case for a in [*right, *wrong])
    ranking = ranking_of((case, wrong_values(mistake, case)[0]) for case in among)
    return Finding(mistake.id, mistake.sentence, mistake.equation, ranking), explained


@cache
def _distances(mistake: Mistake, case: Case) -> tuple[float, float]:
    """How far a mistake's importances and shifts are from the right ones."""
    reference = case.reference
    importance, shift = wrong_values(mistake, case)
    return (
        _apart(importance, reference.importance, reference.importance_scale),
        _apart(shift, reference.bias_shift, reference.shift_scale),
    )


def _explained(
    predicted: Callable[[Answer], Layers],
    distance: Callable[[Answer], float],
    right: Sequence[Answer],
    wrong: Sequence[Answer],
) -> set[Answer]:
    """The wrong answers that are as predicted; none at all where a right answer is not.

    `distance` is how far the prediction is from the right answer.
    """
    if any(distance(a) > MATCH * a.tolerance for a in right):
        return set()
    candidates = [a for a in wrong if a.comparable and distance(a) > a.tolerance]
    return {a for a in candidates if _apart(a.values, predicted(a), a.scale) <= MATCH * a.tolerance}


def _cover(pool: list[Explanation], left: set[Answer]) -> tuple[list[Explanation], set[Answer]]:
    """Greedily the findings that explain the most of what is left; ties go to the earlier one."""
    chosen: list[Explanation] = []
    while pool and left:
        best = max(pool, key=lambda entry: len(entry[1] & left))
        if not best[1] & left:
            break
        chosen.append(best)
        left = left - best[1]
    return chosen, left


# Relations that hold exactly


def _constant_factor(quantity: str) -> Relation:
    def relation(right: Sequence[Answer], wrong: Sequence[Answer]) -> Explanation | None:
        ours = [a for a in wrong if a.quantity == quantity and a.comparable]
        ratios = [ratio for ratio in (_ratio(a.values, a.reference, a.scale) for a in ours) if ratio is not None]
        if not ratios:
            return None
        factor = float(np.median(ratios))

        def scaled(answer: Answer) -> Layers:
            return tuple(factor * v for v in answer.reference) if answer.quantity == quantity else answer.reference

        def distance(answer: Answer) -> float:
            return _apart(scaled(answer), answer.reference, answer.scale)

        explained = _explained(scaled, distance, right, ours)
        if len(explained) < len(ours) / 2:
            return None
        return _factor_finding(quantity, factor, ours[0].tolerance), explained

    return relation


def _factor_finding(quantity: str, factor: float, tolerance: float) -> Finding:
    equation, ranking = ("EC-3.4", "network" if factor > 0 else "lost") if quantity == "importance" else ("EC-3.3", "")
    name = _name(quantity)
    if factor == 0:
        return Finding(f"{quantity}-zero", f"Every {name} is zero.", equation, ranking)
    if abs(factor + 1) < MATCH * tolerance:
        return Finding(f"{quantity}-sign", f"Every {name} has the wrong sign.", equation, ranking)
    return Finding(
        f"{quantity}-constant-factor", f"Every {name} is {factor:.7g} times the right one.", equation, ranking
    )


def _rearranged(id: str, sentence: str, arrange: Callable[[Answer], tuple[Layers, Layers, Layers]]) -> Relation:
    """The answer is a rearrangement of the right one: `arrange` brings both into the same order, with the scale."""

    def rearranged(a: Answer) -> bool:
        values, reference, scale = arrange(a)
        if [v.shape for v in values] != [r.shape for r in reference]:
            return False
        largest = tuple(s.max(keepdims=True) for s in scale)
        tolerance = MATCH * a.tolerance
        as_it_is = a.comparable and _apart(a.values, a.reference, largest) <= tolerance
        return not as_it_is and _apart(values, reference, largest) <= tolerance

    def relation(right: Sequence[Answer], wrong: Sequence[Answer]) -> Explanation | None:
        explained = {a for a in wrong if a.values and rearranged(a)}
        if len(explained) < PLAUSIBLE * len(wrong):
            return None
        return Finding(id, sentence, "EC-1.1", "lost"), explained

    return relation


def _transposed(a: Answer) -> tuple[Layers, Layers, Layers]:
    return tuple(v.T for v in a.values), a.reference, a.scale


def _reversed(a: Answer) -> tuple[Layers, Layers, Layers]:
    return a.values[::-1], a.reference, a.scale


def _exchanged(a: Answer) -> tuple[Layers, Layers, Layers]:
    reference = a.case.reference
    if a.quantity == "importance":
        return a.values, reference.bias_shift, reference.shift_scale
    return a.values, reference.importance, reference.importance_scale


def _by_rows(a: Answer) -> tuple[Layers, Layers, Layers]:
    return _sorted_rows(a.values), _sorted_rows(a.reference), a.scale


def _by_columns(a: Answer) -> tuple[Layers, Layers, Layers]:
    columns, reference = tuple(v.T for v in a.values), tuple(v.T for v in a.reference)
    return _sorted_rows(columns), _sorted_rows(reference), a.scale


def _by_entries(a: Answer) -> tuple[Layers, Layers, Layers]:
    return tuple(np.sort(v, axis=None) for v in a.values), tuple(np.sort(v, axis=None) for v in a.reference), a.scale


def _sorted_rows(layers: Layers) -> Layers:
    """The rows in the order of a weighted sum of their entries, which rounding hardly changes."""
    return tuple(v[np.argsort((v * np.arange(1, v.shape[1] + 1)).sum(axis=1))] if v.ndim == 2 else v for v in layers)


def _single_precision(right: Sequence[Answer], wrong: Sequence[Answer]) -> Explanation | None:
    """float64 arrays with the errors of float32 arithmetic: small, and nearly everywhere."""
    ours = [a for a in wrong if a.comparable and all(v.dtype == np.float64 for v in a.values)]
    errors = [_apart(a.values, a.reference, a.scale) for a in ours]
    if not ours or max(errors) > SINGLE or len(ours) < len(right):
        return None
    exactly = all(_is_single(v) for a in ours for v in a.values)
    evidence = "all are exact float32 numbers" if exactly else "the errors are of its size"
    sentence = f"float32 arithmetic reported as float64: {evidence}. Return float32, or compute in float64."
    return Finding("float32-as-float64", sentence, "EC-7.6", "network"), set(ours)


EXACT: tuple[Relation, ...] = (
    _constant_factor("importance"),
    _constant_factor("bias_shift"),
    _rearranged(
        "transposed", "The arrays are transposed: row i belongs to neuron i, column j to its input.", _transposed
    ),
    _rearranged("layers-reversed", "The layers come in reverse order, the last one first.", _reversed),
    _rearranged("exchanged", "Importance and bias shift are exchanged: the importance comes first.", _exchanged),
    _rearranged("rows-permuted", "The rows of a layer are permuted: row i belongs to neuron i.", _by_rows),
    _rearranged("columns-permuted", "The columns of a layer are permuted: column j belongs to input j.", _by_columns),
    _rearranged(
        "entries-permuted", "The entries of a layer are all there, in another order (a reshape?).", _by_entries
    ),
    _single_precision,
)


# Looser relations


def _not_finite(right: Sequence[Answer], left: Sequence[Answer]) -> Explanation | None:
    explained = {a for a in left if any(not np.isfinite(v).all() for v in a.values)}
    if not explained:
        return None
    count = len({a.case.name for a in explained})
    return Finding(
        "not-finite", f"NaN or inf in {_cases(count)}: an importance is never NaN.", "EC-3.7", "lost"
    ), explained


def _factor_per_case(right: Sequence[Answer], left: Sequence[Answer]) -> Explanation | None:
    """Each case's importances are right up to a factor that differs from case to case."""
    ours = [a for a in left if a.quantity == "importance" and a.comparable and _informative(a)]
    if not ours or not all(_right_up_to_factor(a.values, a.reference, a.scale, a.tolerance) for a in ours):
        return None
    sentence = "In every case the importances are right up to a factor, which differs from case to case."
    return Finding("factor-per-case", sentence, "EC-3.4", "network"), set(ours)


def _factor_per_layer(right: Sequence[Answer], left: Sequence[Answer]) -> Explanation | None:
    """Each layer's importances are right up to a factor that differs from layer to layer."""
    ours = [a for a in left if a.quantity == "importance" and a.comparable and _informative(a)]
    layers = [(v, r, s, a.tolerance) for a in ours for v, r, s in zip(a.values, a.reference, a.scale)]
    if not ours or not all(_right_up_to_factor((v,), (r,), (s,), tolerance) for v, r, s, tolerance in layers):
        return None
    ranking = ranking_of((a.case, a.values) for a in ours)
    sentence = "In every layer the importances are right up to a factor, which differs from layer to layer."
    return Finding("factor-per-layer", sentence, "EC-3.4", ranking), set(ours)


def _monotone(right: Sequence[Answer], left: Sequence[Answer]) -> Explanation | None:
    ours = [a for a in left if a.quantity == "importance" and a.comparable and _informative(a)]
    ranking = ranking_of((a.case, a.values) for a in ours)
    if not ours or ranking == "lost":
        return None
    sentence = "The importances are wrong, yet they are a monotone function of the right ones."
    return Finding("monotone", sentence, "EC-3.4", ranking), set(ours)


def _few_digits(right: Sequence[Answer], left: Sequence[Answer]) -> Explanation | None:
    """Every answer is nearly right."""
    if not all(a.comparable for a in left):
        return None
    worst = max(_apart(a.values, a.reference, a.scale) for a in left)
    if worst > SINGLE:
        return None
    sentence = (
        f"The values are right to {digits(worst):.0f} digits: a numerical derivative, or single precision in a part?"
    )
    return Finding("few-digits", sentence, "EC-7.6"), set(left)


def _one_layer(right: Sequence[Answer], left: Sequence[Answer]) -> Explanation | None:
    """All wrong entries are in the first layer, or the last, or in none but these."""
    places = [(_wrong_layers(a), len(a.values) - 1) for a in left if a.comparable]
    if all(last == 0 for _, last in places):
        return None
    for id, sentence, holds in (
        ("first-layer-only", "Only the first layer is wrong.", lambda layers, last: layers == {0}),
        ("last-layer-only", "Only the last layer is wrong.", lambda layers, last: layers == {last}),
        (
            "hidden-layers-only",
            "The last layer is right, layers before it are wrong: look at the backward pass.",
            lambda layers, last: last not in layers,
        ),
        (
            "first-layer-right",
            "The first layer is right, layers after it are wrong: look at the layers' inputs.",
            lambda layers, last: 0 not in layers,
        ),
    ):
        if all(holds(*place) for place in places):
            return Finding(id, sentence, "EC-2.2"), {a for a in left if a.comparable}
    return None


def _common_flag(right: Sequence[Answer], left: Sequence[Answer]) -> Explanation | None:
    """Flags (an activation among them) that every wrong case has, and no right one."""
    bad = {a.case for a in left}
    good = {a.case for a in right} - bad
    shared = set.intersection(*(set(case.flags) for case in bad))
    telling = [
        flag for flag in next(iter(bad)).flags if flag in shared and not any(flag in case.flags for case in good)
    ]
    if not telling or not good:
        return None
    names = " and ".join(f'"{flag}"' for flag in telling)
    return Finding("flag-only", f"All wrong cases are flagged {names}, and no right case is.", ""), set(left)


def _one_activation(right: Sequence[Answer], left: Sequence[Answer]) -> Explanation | None:
    """Where there are hidden layers, only the networks with one activation are right."""
    bad = {a.case for a in left}
    good = {a.case.activation for a in right if len(a.reference) > 1 and a.case not in bad}
    if len(good) != 1 or good & {case.activation for case in bad} or len({case.activation for case in bad}) == 1:
        return None
    sentence = f'Only the activation "{good.pop()}" is right: is the argument `activation` used?'
    return Finding("one-activation-right", sentence, "EC-1.2"), set(left)


def _no_answer(right: Sequence[Answer], left: Sequence[Answer]) -> Explanation | None:
    """Exceptions and wrong shapes, by the most frequent message."""
    silent = {a for a in left if not a.comparable}
    if not silent:
        return None
    messages = Counter({r.case: r.message for r in (a.result for a in left if a in silent)}.values())
    message, _ = messages.most_common(1)[0]
    text = f"No usable answer in {_cases(sum(messages.values()))}; most often: {message[:200]}"
    return Finding("no-answer", text), silent


LOOSE: tuple[tuple[Relation, ...], ...] = (
    (_no_answer,),
    (_not_finite,),
    (_few_digits, _factor_per_case, _factor_per_layer, _monotone),
    (_one_layer,),
    (_common_flag, _one_activation),
)


def _remarks(results: Sequence[Result]) -> list[Finding]:
    """What is no wrong answer, but worth a sentence: cancellation, overwritten arguments."""
    remarks = []
    inaccurate = [r.case.name for r in results if r.status == INACCURATE]
    if inaccurate and not any(r.status == FAILED for r in results):
        sentence = (
            "The formula is right, but the variance cancels at large offsets, as E[s a²] − E[s a]²/S does: "
            "subtract the mean before squaring."
        )
        remarks.append(
            Finding("cancellation", sentence, "EC-7.1", "", len(inaccurate), len(inaccurate), tuple(inaccurate))
        )
    overwritten = [r for r in results if r.outcome.overwrote]
    if overwritten:
        names = ", ".join(sorted({name for r in overwritten for name in r.outcome.overwrote}))
        sentence = (
            f"The candidate overwrites its arguments ({names}) in {_cases(len(overwritten))}; it was given copies."
        )
        remarks.append(Finding("overwrites-arguments", sentence, cases=tuple(r.case.name for r in overwritten)))
    return remarks


# Comparisons


def _apart(values: Layers, others: Layers, scales: Layers) -> float:
    """The largest |value − other| / max(scale, |other|); NaN in the same places is the same."""
    worst = 0.0
    for value, other, scale in zip(values, others, scales):
        with wrong_numbers():
            same = (value == other) | (np.isnan(value) & np.isnan(other))
            error = np.where(same, 0, np.abs(value - other) / np.maximum(scale, np.abs(other)))
        worst = max(worst, float(np.where(np.isnan(error), np.inf, error).max()))
    return worst


def _inverted(value: Array, reference: Array, scale: Array) -> bool:
    """Whether some pair that is clearly ordered in the reference is tied, or ordered otherwise."""
    v, r, s = value.ravel(), reference.ravel(), scale.ravel()
    if not np.isfinite(v).all():
        return True
    above = r[:, np.newaxis] - r > TIE * (s[:, np.newaxis] + s)
    return bool((above & (v[:, np.newaxis] <= v)).any())


def _ratio(values: Layers, reference: Layers, scale: Layers) -> float | None:
    """value / reference where the reference is the largest beside its scale; None where it is nowhere large."""
    r, s = _flat(reference), _flat(scale)
    share = np.divide(np.abs(r), s, out=np.zeros_like(r), where=s > 0)
    e = int(np.argmax(share))
    v = float(_flat(values)[e])
    return v / float(r[e]) if share[e] > INFORMATIVE and np.isfinite(v) else None


def _right_up_to_factor(values: Layers, reference: Layers, scale: Layers, tolerance: float) -> bool:
    factor = _ratio(values, reference, scale)
    if factor is None or factor <= 0:
        return False
    scaled = tuple(factor * r for r in reference)
    return _apart(values, scaled, tuple(factor * s for s in scale)) <= MATCH * tolerance


def _wrong_layers(a: Answer) -> set[int]:
    layers = zip(a.values, a.reference, a.scale)
    return {l for l, (v, r, s) in enumerate(layers) if _apart((v,), (r,), (s,)) > a.tolerance}


def _flat(layers: Layers) -> Array:
    return np.concatenate([np.asarray(v, np.float64).ravel() for v in layers])


def _informative(a: Answer) -> bool:
    """Whether a factor and a ranking mean anything: several weights, and importances that are not all free."""
    return len(_flat(a.values)) > 1 and _ratio(a.reference, a.reference, a.scale) is not None


def _is_single(value: Array) -> bool:
    with wrong_numbers():
        return bool(np.array_equal(value, value.astype(np.float32), equal_nan=True))


def _counted(finding: Finding, explained: set[Answer], wrong: Sequence[Answer]) -> Finding:
    names = tuple(dict.fromkeys(a.case.name for a in wrong if a in explained))
    return Finding(finding.id, finding.sentence, finding.equation, finding.ranking, len(explained), len(wrong), names)


def _name(quantity: str) -> str:
    return quantity.replace("_", " ")


def _cases(count: int) -> str:
    return f"{count} case{'s' * (count != 1)}"
