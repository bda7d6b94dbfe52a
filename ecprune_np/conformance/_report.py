"""The report: the verdict as data first, as text second."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from functools import cached_property
from typing import Any

import numpy as np

from .._frozen import Frozen
from ..error_analysis.comparison import digits
from ._cases import VERSION, Case, cases
from ._suite import run_suite
from ._verdict import FAILED, INACCURATE, PASSED, SKIPPED, TOLERANCES, Candidate, Entry, Result, judge, run
from .diagnosis import Finding, diagnose
from .diagnosis._unknown import reproduction, simplest_of

CONFORMS, LOW_ACCURACY, DOES_NOT = "conforms", "conforms with low accuracy", "does not conform"
WIDTH = 80
LISTED = 16  # failing cases that the text names
COLOURS = {CONFORMS: "32", LOW_ACCURACY: "33", DOES_NOT: "31", "ok": "32", "fail": "31", "weak": "33"}


@dataclass(frozen=True, eq=False, repr=False)
class Report(Frozen):
    """What the suite found out about a candidate; `str(report)` is its text.

    Attributes
    ----------
    candidate : str
        Its name.
    results : tuple of Result
        One a case.
    notes : tuple of str
        Remarks about what surrounds the answers, such as files that belong to no case.
    date : str
        When it was made, to the second, in UTC.

    Examples
    --------
    >>> def without_derivatives(weights, biases, activation, x):
    ...     return [w**2 for w in weights], [0 * w for w in weights]
    >>> report = ec.conformance.check(without_derivatives, ec.conformance.cases()[:3])
    >>> report.verdict, report.ok
    ('does not conform', False)
    """

    candidate: str
    results: tuple[Result, ...]
    notes: tuple[str, ...] = ()
    date: str = field(default_factory=lambda: datetime.now(timezone.utc).isoformat(timespec="seconds"))

    @property
    def version(self) -> str:
        """Of the package."""
        return str(sys.modules[__package__.partition(".")[0]].__version__)

    @property
    def dtypes(self) -> list[str]:
        """In which the candidate answered."""
        return sorted({str(v.dtype) for r in self.results for v in (*r.outcome.importance, *r.outcome.bias_shift)})

    @property
    def verdict(self) -> str:
        """ "conforms", "conforms with low accuracy" or "does not conform"; the latter also where all was skipped."""
        statuses = {r.status for r in self.results}
        if FAILED in statuses or not statuses & {PASSED, INACCURATE}:
            return DOES_NOT
        return LOW_ACCURACY if INACCURATE in statuses else CONFORMS

    @property
    def ok(self) -> bool:
        """Whether the formulas are right: any verdict but "does not conform"."""
        return self.verdict != DOES_NOT

    @property
    def diagnosis(self) -> list[Finding]:
        """What is wrong, the likeliest first; empty where nothing is."""
        return list(self._findings)

    @cached_property
    def _findings(self) -> tuple[Finding, ...]:
        return tuple(diagnose(self.results))

    def with_status(self, *statuses: str) -> list[Result]:
        """The results with one of these statuses."""
        return [r for r in self.results if r.status in statuses]

    @property
    def worst(self) -> Entry | None:
        """The entry that is the furthest beyond its tolerance, of all cases."""
        located = _worst_of(self.results)
        return located[1] if located else None

    def to_dict(self) -> dict[str, Any]:
        """The report as plain data for JSON: numbers that are not finite become their names."""
        return {
            "candidate": self.candidate,
            "version": self.version,
            "vectors": VERSION,
            "date": self.date,
            "dtypes": self.dtypes,
            "tolerances": {str(dtype): tolerance for dtype, tolerance in TOLERANCES.items()},
            "verdict": self.verdict,
            "ok": self.ok,
            "counts": {status: len(self.with_status(status)) for status in (PASSED, INACCURATE, FAILED, SKIPPED)},
            "diagnosis": [_finding_dict(finding) for finding in self.diagnosis],
            "results": [_result_dict(r) for r in self.results],
            "notes": list(self.notes),
        }

    def __repr__(self) -> str:
        return f"Report({self.candidate}: {self.verdict}{_counts(self)})"

    def __str__(self) -> str:
        return self.text()

    def text(self, colour: bool = False) -> str:
        """The report in 80 columns; `colour` adds the escape codes of a terminal."""
        lines = _wrapped(f"{self.candidate}: ", self.verdict + _counts(self))
        lines[0] = lines[0].replace(self.verdict, _coloured(self.verdict, self.verdict, colour), 1)
        lines.append("")
        lines += [_group_line(group, results, colour) for group, results in groups(self.results).items()]
        located = _worst_of(self.with_status(FAILED)) or _worst_of(self.with_status(INACCURATE))
        if located:
            lines += ["", *_wrapped("worst entry: ", f"{located[0]}: {located[1]}")]
        silent = [r for r in self.with_status(FAILED) if not r.worst or r.outcome.problem]
        if silent:
            lines += [
                "",
                *_wrapped("no comparison: ", f"{silent[0].case}: {silent[0].message}" + _more(len(silent) - 1)),
            ]
            lines += [f"    {line[: WIDTH - 4]}" for line in silent[0].outcome.traceback.splitlines()]
        if self.diagnosis:
            lines += ["", "diagnosis"]
            for number, finding in enumerate(self.diagnosis, 1):
                lines += _wrapped(f"{number:3d}. ", f"{finding.id}: {finding}")
            lines += _where_to_begin(self)
        failed = [str(r.case) for r in self.with_status(FAILED, INACCURATE)]
        if failed:
            lines += ["", *_wrapped("failing cases: ", ", ".join(failed[:LISTED]) + _more(len(failed) - LISTED))]
        skipped = self.with_status(SKIPPED)
        if skipped:
            reasons = dict.fromkeys(r.message for r in skipped)
            lines += ["", *_wrapped("skipped: ", f"{', '.join(str(r.case) for r in skipped)} ({'; '.join(reasons)})")]
        for note in self.notes:
            lines += ["", *_wrapped("note: ", note)]
        return "\n".join(lines)


def check(candidate: Candidate, among: Sequence[Case] | None = None) -> Report:
    """Run the candidate on every case and judge its answers.

    It runs in this process, so that a candidate which hangs, hangs: `python -m ecprune_np verify` has a time limit.

    Parameters
    ----------
    candidate : callable
        `candidate(weights, biases, activation, x)`, called with fresh copies, returns `(importance, bias_shift)`, two
        lists of float32 or float64 arrays shaped as the weights.  Whatever it raises is that case's failure;
        NotImplementedError skips the case.
    among : sequence of Case, optional
        In place of all cases.

    Returns
    -------
    Report
        With one result a case.

    Raises
    ------
    TypeError
        Where the candidate cannot be called.

    Examples
    --------
    >>> def candidate(weights, biases, activation, x):
    ...     scores = ec.elimination_compensation(ec.MLP(weights, biases, activation), x)
    ...     return scores.importance, scores.bias_shift
    >>> ec.conformance.check(candidate, ec.conformance.cases()[:3]).verdict
    'conforms'
    """
    _check_callable(candidate)
    chosen = cases() if among is None else tuple(among)
    return Report(name_of(candidate), run_suite(lambda case: run(candidate, case), chosen))


def check_case(candidate: Candidate, case: Case, strict: bool = False) -> None:
    """Assert that the candidate is right on one case: for `pytest.mark.parametrize("case", cases(), ids=str)`.

    Parameters
    ----------
    candidate : callable
        As for `check`.
    case : Case
        The case.
    strict : bool, default False
        Whether the accuracy of ill-conditioned cases is asserted too.

    Raises
    ------
    TypeError
        Where the candidate cannot be called.
    AssertionError
        Where it is wrong, with the worst entry and the likely mistakes.
    unittest.SkipTest
        Where it raises NotImplementedError; pytest counts the test as skipped.

    Examples
    --------
    >>> def candidate(weights, biases, activation, x):
    ...     scores = ec.elimination_compensation(ec.MLP(weights, biases, activation), x)
    ...     return scores.importance, scores.bias_shift
    >>> ec.conformance.check_case(candidate, ec.conformance.cases()[0])
    """
    _check_callable(candidate)
    result = judge(case, run(candidate, case))
    if result.status == SKIPPED:
        from unittest import SkipTest  # here, not above: unittest is slow to import

        raise SkipTest(result.message)
    if result.status == FAILED or (strict and result.status == INACCURATE):
        likely = [f"  judging by this case alone: {f.id}: {f.sentence}" for f in diagnose([result])[:3]]
        raise AssertionError("\n".join([f"{case}: {result.message}", f"  the case: {case.note}", *likely]))


def name_of(candidate: Candidate) -> str:
    """module:function, as the command line takes it, as far as the candidate has them."""
    name = getattr(candidate, "__qualname__", type(candidate).__qualname__)
    return f"{getattr(candidate, '__module__', '')}:{name}".lstrip(":")


def groups(results: Sequence[Result]) -> dict[str, list[Result]]:
    """The results by the group of their case."""
    found: dict[str, list[Result]] = {}
    for r in results:
        found.setdefault(r.case.group, []).append(r)
    return found


def least_digits(results: Sequence[Result]) -> float | None:
    """The correct digits of the worst entry, on the scale that decided; None where nothing could be compared."""
    entries = [entry for r in results for entry in (*r.worst, *([r.accuracy] if r.status == INACCURATE else []))]
    return min((digits(e.error if np.isfinite(e.value) else np.inf) for e in entries if e), default=None)


def _where_to_begin(report: Report) -> list[str]:
    """The simplest failing case, as lines that print its numbers, where no finding predicts the values."""
    open_ones = {name for f in report.diagnosis if f.id == "unknown" for name in f.cases}
    if not report.diagnosis[0].exact and not open_ones:
        open_ones = set(report.diagnosis[0].cases)
    answered = [r.case for r in report.with_status(FAILED) if r.case.name in open_ones and r.worst]
    if not answered:
        return []
    case = simplest_of(answered)
    title = _wrapped("", f"where to begin: {case}, the simplest of them, step by step:")
    return ["", *title, *(f"    {line}" for line in reproduction(case, report.candidate).splitlines())]


def _check_callable(candidate: Any) -> None:
    if not callable(candidate):
        expected = "a callable (weights, biases, activation, x) -> (importance, bias_shift)"
        raise TypeError(f"candidate: expected {expected}, got {type(candidate).__name__}")


def _worst_of(results: Sequence[Result]) -> tuple[Case, Entry] | None:
    located = [(r.case, entry) for r in results if (entry := r.worst_entry) is not None]
    return max(located, key=lambda pair: pair[1].excess, default=None)


def _group_line(group: str, results: list[Result], colour: bool) -> str:
    count = {status: sum(r.status == status for r in results) for status in (PASSED, INACCURATE, FAILED, SKIPPED)}
    status = "fail" if count[FAILED] else "weak" if count[INACCURATE] else "ok" if count[PASSED] else "skip"
    least = least_digits(results)
    shown = "" if least is None else f"{least:4.1f} digits at least"
    remarks = [f"{count[s]} {s}" for s in (FAILED, INACCURATE, SKIPPED) if count[s]]
    word = _coloured(f"{status:4s}", status, colour)
    return f"  {word}  {group:16s} {count[PASSED]:3d} of {len(results):2d}  {shown:21s} {', '.join(remarks)}".rstrip()


def _counts(report: Report) -> str:
    passed, total = len(report.with_status(PASSED)), len(report.results)
    skipped = len(report.with_status(SKIPPED))
    return f" ({passed} of {total} cases pass{f', {skipped} skipped' if skipped else ''})"


def _more(count: int) -> str:
    return f" (and {count} more)" if count > 0 else ""


def _coloured(text: str, kind: str, colour: bool) -> str:
    return f"\033[{COLOURS[kind]}m{text}\033[0m" if colour and kind in COLOURS else text


def _wrapped(prefix: str, text: str) -> list[str]:
    indent = " " * (len(prefix) if prefix.lstrip()[:1].isdigit() else 2)
    return textwrap.wrap(prefix + text, WIDTH, subsequent_indent=indent, break_long_words=True, break_on_hyphens=False)


def _finding_dict(finding: Finding) -> dict[str, Any]:
    return {
        "id": finding.id,
        "sentence": finding.sentence,
        "equation": finding.equation,
        "ranking": finding.ranking,
        "explained": finding.explained,
        "wrong": finding.wrong,
        "exact": finding.exact,
        "cases": list(finding.cases),
        "contradicted": list(finding.contradicted),
    }


def _result_dict(result: Result) -> dict[str, Any]:
    entry = result.worst_entry
    return {
        "case": result.case.name,
        "flags": list(result.case.flags),
        "status": result.status,
        "message": result.message,
        "overwrote": list(result.outcome.overwrote),
        "disturbed": list(result.outcome.disturbed),
        "traceback": result.outcome.traceback,
        "varies": result.outcome.varies,
        "worst": None if entry is None else _entry_dict(entry),
    }


def _entry_dict(entry: Entry) -> dict[str, Any]:
    return {
        "quantity": entry.quantity,
        "layer": entry.layer,
        "row": entry.row,
        "column": entry.column,
        "value": _plain(entry.value),
        "reference": entry.reference,
        "error": _plain(entry.error),
        "tolerance": entry.tolerance,
        "digits": digits(entry.error) if np.isfinite(entry.value) else 0.0,
    }


def _plain(number: float) -> float | str:
    """JSON has no NaN and no infinity."""
    return number if np.isfinite(number) else str(number)
