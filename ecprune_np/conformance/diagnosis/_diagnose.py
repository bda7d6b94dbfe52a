"""The likeliest findings: from the catalogue, from relations that need none, and from the pattern of wrong cases."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from .._outcome import FAILED, INACCURATE, Result
from ..catalogue import catalogue_of
from . import _kinds as kinds
from ._answers import Answer, answers_of
from ._estimates import estimated
from ._explanations import PLAUSIBLE, Explanation, cover, explained_by
from ._finding import Finding
from ._pairs import pair_of
from ._relations import RELATIONS
from ._state import not_a_function
from ._unknown import unknown
from ._where import located

ROUNDS = 4
KINDS = (
    (kinds.no_answer,),
    (kinds.not_finite,),
    (kinds.few_digits, kinds.factor_per_case, kinds.factor_per_layer, kinds.monotone),
)


def diagnose(results: Sequence[Result]) -> list[Finding]:
    """The likeliest findings first; each one explains wrong answers that those before it do not.

    Mistakes and exact relations that contradict a right answer are dropped; only where they leave
    something open come pairs of mistakes, then the kind of the errors, then where they are.
    """
    basic = [r for r in results if not r.case.names_of_options]
    wrong_basic = any(r.status == FAILED for r in basic)
    answers = answers_of(basic if wrong_basic else results)
    right, wrong = [a for a in answers if not a.wrong], [a for a in answers if a.wrong]
    found, left = _predicted(right, wrong)
    loose = _loose(right, [a for a in wrong if a in left], len(wrong))
    explanations = [*found, *loose]
    findings = sorted((_counted(e, wrong) for e in explanations), key=_order)
    open_ones = set(wrong).difference(*(e.explained for e in explanations))
    if wrong and len(open_ones) >= PLAUSIBLE * len(wrong):
        open_finding = unknown(right, [a for a in wrong if a in open_ones], wrong)
        little = not findings or findings[0].explained < 4 * PLAUSIBLE * findings[0].wrong
        findings.insert(0 if little and len(open_ones) > len(wrong) / 2 else len(findings), open_finding)
    more = _options_too(results) if wrong_basic else []
    return [*not_a_function(results), *findings, *more, *_remarks(results)]


def _predicted(right: Sequence[Answer], wrong: Sequence[Answer]) -> tuple[list[Explanation], frozenset[Answer]]:
    """What the catalogue, estimates, relations and pairs explain, and what they leave."""
    found: list[Explanation] = []
    left = frozenset(wrong)
    with_options = any(a.case.names_of_options for a in wrong)
    of_ec = bool(wrong) and wrong[0].case.kind == "ec" and not with_options
    catalogue = catalogue_of(wrong[0].case.kind, with_options) if wrong else ()
    pool = [e for relation in RELATIONS if wrong and (e := relation(right, wrong)) is not None]
    for _ in range(ROUNDS):
        still = [a for a in wrong if a in left]
        if not still:
            break
        pool = [*explained_by([*catalogue, *(estimated(still) if of_ec else ())], right, wrong, still), *pool]
        chosen, after = cover(pool, left)
        found, pool = [*found, *chosen], []
        if after == left:
            break
        left = after
    for kind in (kinds.differences, kinds.precision) if of_ec else (kinds.precision,):
        still = [a for a in wrong if a in left]
        e = kind(right, still) if len(still) >= PLAUSIBLE * len(wrong) else None
        if e is not None and kinds.plausible(e, wrong):
            return [*found, e], left - e.explained
    if of_ec and len(left) >= PLAUSIBLE * len(wrong):
        known = [e.mistake for e in found if e.mistake is not None][:2]
        pair = pair_of(right, wrong, left, known)
        if pair is not None:
            found, left = [*found, pair], left - pair.explained
    return found, left


def _loose(right: Sequence[Answer], left: list[Answer], n_wrong: int) -> list[Explanation]:
    """The kind of the errors, and where they are."""
    found: list[Explanation] = []
    if not left:
        return found
    for alternatives in KINDS if len(left) >= PLAUSIBLE * n_wrong else KINDS[:2]:
        found += [e for kind in alternatives if (e := kind(right, left)) is not None][:1]
    if len(left) >= PLAUSIBLE * n_wrong:
        rest = [a for a in left if not any(a in e.explained for e in found)]
        if not any(e.finding.id == "few-digits" for e in found):
            found += located(right, rest or left)
    return found


def _order(finding: Finding) -> tuple[bool, float]:
    """What explains the most cases comes first; what predicts most of them exactly before what does not."""
    much = finding.explained / max(1, finding.wrong)
    return not (finding.exact and much > 0.5), -much


def _counted(e: Explanation, wrong: Sequence[Answer]) -> Finding:
    against = tuple(dict.fromkeys(a.case.name for a in wrong if a in e.contradicted))
    names = tuple(dict.fromkeys(a.case.name for a in wrong if a in e.explained and a.case.name not in against))
    failing = len({a.case.name for a in wrong})
    return replace(e.finding, explained=len(names), wrong=failing, cases=names, contradicted=against)


def _options_too(results: Sequence[Result]) -> list[Finding]:
    """Cases with options are not looked into where the basic ones fail: what is wrong there is wrong in them too."""
    names = tuple(r.case.name for r in results if r.status == FAILED and r.case.names_of_options)
    if not names:
        return []
    sentence = f"{kinds.cases(len(names))} with options fail too: the basic ones come first."
    return [Finding("options-too", sentence, cases=names)]


def _remarks(results: Sequence[Result]) -> list[Finding]:
    """What is no wrong answer, but worth a sentence: cancellation, and what the candidate leaves behind."""
    remarks = []
    inaccurate = [r.case.name for r in results if r.status == INACCURATE]
    if inaccurate and not any(r.status == FAILED for r in results):
        sentence = (
            "The formula is right, but the variance cancels at large offsets, as E[s a²] − E[s a]²/S does: "
            "subtract the mean before squaring."
        )
        counts = len(inaccurate), len(inaccurate), tuple(inaccurate)
        remarks.append(Finding("cancellation", sentence, "EC-7.1", "", *counts))
    overwritten = [r for r in results if r.outcome.overwrote]
    if overwritten:
        names = ", ".join(sorted({name for r in overwritten for name in r.outcome.overwrote}))
        sentence = (
            f"The candidate overwrites its arguments ({names}) in {kinds.cases(len(overwritten))}; it was given copies."
        )
        remarks.append(Finding("overwrites-arguments", sentence, cases=tuple(r.case.name for r in overwritten)))
    disturbed = [r for r in results if r.outcome.disturbed]
    if disturbed:
        names = ", ".join(sorted({name for r in disturbed for name in r.outcome.disturbed}))
        sentence = f"The candidate leaves {names} changed in {kinds.cases(len(disturbed))}; it was put back each time."
        remarks.append(Finding("leaves-things-changed", sentence, cases=tuple(r.case.name for r in disturbed)))
    return remarks
