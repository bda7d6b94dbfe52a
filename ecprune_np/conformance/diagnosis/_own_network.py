"""The diagnosis on a network of one's own, which may be large: mistakes are tried on a few rows of each layer.

What is done to the results, the formulas, the outputs and the samples needs no more than the right passes of these
rows; what goes wrong within the passes costs a pass over the samples each.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace

import numpy as np

from ..._types import Array
from .._case import Case, Layers
from .._outcome import Result
from ..catalogue import MISTAKES
from ..catalogue._mistake import Mistake, unchanged, wrong_numbers
from ..catalogue._parts import Pairs, scores
from ..catalogue.derivative import DERIVATIVE
from ..catalogue.forward import FORWARD
from ..catalogue.importance import SCALES
from ..catalogue.options import OPTIONS
from . import _kinds as kinds
from ._answers import MATCH, SINGLE, Answer, answers_of, apart, is_single, ranking_of
from ._estimates import of_values
from ._explanations import Explanation, cover
from ._finding import Finding
from ._own_parts import Rows, at_once, bare, batches, few
from ._relations import RELATIONS
from ._unknown import unknown
from ._where import located

SIZE, MANY_BATCHES = re.compile(r"^batch.*-(\d+)$"), 50  # batches that are merged wrongly are tried where so few
WRONG_ROWS, RIGHT_ROWS = 4, 2  # of each layer
NOTHING = 1e-12  # of the largest scale: what products leave where all is 0
WIDE = 100  # inputs beyond which no Hessian of a row is made
HESSIANS = {"row-compensates", "row-and-bias-compensate", "all-biases-compensate"}
OF_WHOLE_LAYERS = {id for id, _ in SCALES} | {
    "column-summed", "divided-by-layer-size", "times-layer-size", "shift-of-the-column", "shift-of-next-layer",
}  # fmt: skip
ALL_NEURONS, ALL_SAMPLES = "sensitivity-averaged-over-the-layer", "derivative-at-the-mean"  # what these need
UNIT = "wrong quantities"
Progress = Callable[[Iterable[Mistake]], Iterable[Mistake]]


def diagnose_own(result: Result, progress: Progress = lambda mistakes: mistakes) -> list[Finding]:
    """The likeliest findings on the only case: as `diagnose`, of which it is the short form."""
    answers = answers_of([result])
    right, wrong = [a for a in answers if not a.wrong], [a for a in answers if a.wrong]
    if not wrong:
        return []
    if all(map(_in_single_precision, wrong)) and (e := kinds.precision(right, wrong)) is not None:
        found = [e]
    else:
        found = _explained(answers, right, wrong, progress)
    open_ones = [a for a in wrong if not any(a in e.explained for e in found)]
    findings = [replace(e.finding, explained=len(e.explained), wrong=len(wrong), unit=UNIT) for e in found]
    return [*findings, *([unknown(right, open_ones, wrong)] if open_ones else [])]


def _in_single_precision(a: Answer) -> bool:
    """Whether these are float32's numbers, and right ones but for that."""
    single = a.comparable and all(v.dtype == np.float64 and is_single(v) for v in a.values)
    return single and apart(a.entries, a.right, a.scales) <= SINGLE


def _explained(
    answers: Sequence[Answer], right: Sequence[Answer], wrong: Sequence[Answer], progress: Progress
) -> list[Explanation]:
    """The catalogue's mistakes and exact relations, then the kind of the errors."""
    relations = [e for relation in RELATIONS if (e := relation(right, wrong)) is not None]
    comparable = [a for a in answers if a.comparable]
    tried = _tried(comparable, relations, progress) if any(a.wrong for a in comparable) else []
    found, left = cover([*tried, *relations], frozenset(wrong))
    rest = [a for a in wrong if a in left]
    return [*found, *(_loose(right, rest) if rest else [])]


def _loose(right: Sequence[Answer], left: list[Answer]) -> list[Explanation]:
    """The kind of the errors, and where they are."""
    for kind in (kinds.no_answer, kinds.not_finite, kinds.precision, kinds.few_digits, kinds.factor_per_layer):
        e = kind(right, left)
        if e is not None:
            return [e]
    e = kinds.monotone(right, left, few=1)
    where = located(right, left)
    first = [e for e in where if e.finding.id.endswith("-layer-only")] or where
    return [*([e] if e is not None else []), *first[:1]]


def _tried(answers: Sequence[Answer], relations: list[Explanation], progress: Progress) -> list[Explanation]:
    """The mistakes that explain something, the cheap ones first, up to one that explains all."""
    case, wrong = answers[0].case, {a for a in answers if a.wrong}
    rows = [_telling_rows(answers, l) for l in range(len(case.weights))]
    pairs = list(zip(case.reference.importance, case.reference.bias_shift))
    kept = list(batches(case)) if at_once(case) >= len(case.x) else None
    right = few(kept or batches(case), rows, lambda p: p)

    by_row = _by_row(case)
    ends = [m for m in by_row if m.passes is unchanged and m.formula is scores]
    estimated = [m for a in answers if a.wrong for m in of_values(a)]

    def cheap(mistakes: Iterable[Mistake]) -> Iterator[tuple[Mistake, Pairs]]:
        for m in mistakes:
            if m.id in OF_WHOLE_LAYERS:
                yield m, [(I[r], d[r]) for (I, d), r in zip(m.after(pairs, bare(right, case)), rows)]
            else:
                yield m, m.values(right)

    def dear(mistakes: Iterable[Mistake]) -> Iterator[tuple[Mistake, Pairs]]:
        for m in mistakes:
            yield m, m.after(m.formula(p := few(kept or batches(case), rows, m.passes)), p)

    found: list[Explanation] = []
    exact = not wrong.difference(*(e.explained for e in relations))
    for hypotheses in (
        cheap([*ends, *estimated]),
        cheap(m for m in by_row if m not in ends),
        dear(_of_options(case)),
        dear(progress([] if exact else _of_passes(case, together=kept is not None))),
    ):
        with wrong_numbers():
            for mistake, values in hypotheses:
                e = _explanation(mistake, values, rows, answers)
                found += [e] if e is not None else []
                if e is not None and e.explained >= wrong:
                    return found
    return found


def _by_row(case: Case) -> list[Mistake]:
    """What can be told from the right passes of a few rows."""
    passes = {m.passes for m in (*DERIVATIVE, *FORWARD)} - {unchanged}
    wide = max(w.shape[1] for w in case.weights) > WIDE
    skipped = {ALL_NEURONS} | (HESSIANS if wide else set())
    skipped |= {m.id for m in MISTAKES if (size := SIZE.search(m.id)) and int(size[1]) * MANY_BATCHES < len(case.x)}
    mistakes = (*(m for m in OPTIONS if m.passes is unchanged), *MISTAKES) if case.options() else MISTAKES
    return [m for m in mistakes if m.passes not in passes and m.id not in skipped]


def _of_options(case: Case) -> list[Mistake]:
    """The mistakes in options, which change the passes."""
    return [m for m in OPTIONS if m.passes is not unchanged] if case.options() else []


def _of_passes(case: Case, together: bool) -> list[Mistake]:
    """What is wrong within the passes: of all activations where there is one, those of the output else."""
    names = {case.activation} if isinstance(case.activation, str) else set(case.activation)
    any_activation = [m for m in MISTAKES if m.id == ALL_NEURONS]
    if len(case.weights) == 1 or len(names) > 1:
        return any_activation
    same = [m for m in (*DERIVATIVE, *FORWARD) if m.activation in ("", *names) and m.passes is not unchanged]
    return [*any_activation, *(m for m in same if together or m.id != ALL_SAMPLES)]


def _telling_rows(answers: Sequence[Answer], l: int) -> Array:
    """Some rows of a layer with wrong entries, and some that are right, those with the largest scale."""
    wrong = np.zeros(len(answers[0].reference[l]), bool)
    for a in answers:
        with wrong_numbers():
            error = np.abs(a.values[l] - a.reference[l]) / np.maximum(a.scale[l], np.finfo(float).tiny)
        wrong |= ~(error <= a.tolerance).all(axis=1)
    order = np.argsort(-answers[0].scale[l].max(axis=1), kind="stable")
    return np.concatenate([order[wrong[order]][:WRONG_ROWS], order[~wrong[order]][:RIGHT_ROWS]])


def _explanation(mistake: Mistake, values: Pairs, rows: Rows, answers: Sequence[Answer]) -> Explanation | None:
    """Which answers are this mistake's on the rows; None where a right one contradicts it."""
    explained = []
    for a in answers:
        which = a.which
        predicted = np.concatenate([pair[which].ravel() for pair in values])
        came, right, scale = (_on(layers, rows) for layers in (a.values, a.reference, a.scale))
        scale = np.maximum(scale, NOTHING * scale.max())
        shows = apart(predicted, right, scale)
        if not a.wrong and shows > MATCH * a.tolerance:
            return None
        if a.wrong and shows > a.tolerance and apart(came, predicted, scale) <= MATCH * a.tolerance:
            explained.append(a)
    if not explained:
        return None
    of_importance = [a for a in explained if a.quantity == "importance"]
    ranking = ranking_of((a.case, a.values) for a in of_importance) if of_importance else ""
    return Explanation(
        Finding(mistake.id, mistake.sentence, mistake.equation, ranking, exact=True),
        frozenset(explained),
        mistake=mistake,
    )


def _on(layers: Layers, rows: Rows) -> Array:
    return np.concatenate([np.asarray(v[r], np.float64).ravel() for v, r in zip(layers, rows)])
