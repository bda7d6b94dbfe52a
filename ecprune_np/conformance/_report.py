"""The report: the verdict as data first, as text second."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from datetime import datetime, timezone
from functools import cached_property
from typing import Any

from .._frozen import Frozen
from .._text import WIDTH
from ._case import Case
from ._cases import VERSION
from ._kinds import KindName
from ._outcome import (
    CONFORMS,
    DOES_NOT,
    FAILED,
    INACCURATE,
    LOW_ACCURACY,
    PASSED,
    SKIPPED,
    TOLERANCES,
    Entry,
    Result,
)
from ._plain import finding_dict, result_dict
from ._text import coloured, group_line, groups, more, not_offered_text, where_to_begin, worst_of_all, wrapped
from .diagnosis import Finding, diagnose

LISTED = 16  # failing cases that the text names


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
    takes : tuple of str
        The keywords that the candidate takes beside.
    not_offered : tuple of Case
        The cases that use others.
    found : tuple of Finding or None
        The diagnosis where it was made already; None where it is made of the results when it is asked for.

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
    takes: tuple[str, ...] = ()
    not_offered: tuple[Case, ...] = ()
    found: tuple[Finding, ...] | None = None

    @property
    def kind(self) -> KindName:
        """What was verified: "ec", or another criterion."""
        return self.results[0].case.kind if self.results else "ec"

    @property
    def version(self) -> str:
        """Of the package."""
        return str(sys.modules[__package__.partition(".")[0]].__version__)

    @property
    def dtypes(self) -> list[str]:
        """In which the candidate answered."""
        return sorted({str(v.dtype) for r in self.results for v in r.outcome.arrays})

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
        return tuple(diagnose(self.results)) if self.found is None else self.found

    def with_status(self, *statuses: str) -> list[Result]:
        """The results with one of these statuses."""
        return [r for r in self.results if r.status in statuses]

    @property
    def tried(self) -> list[Result]:
        """Those that were not skipped."""
        return [r for r in self.results if r.status != SKIPPED]

    @property
    def limits(self) -> str:
        """What a verdict rests on, where cases were skipped or a quantity was not given; else ""."""
        parts = [f"{len(self.tried)} of {len(self.results)} cases"]
        for name in dict.fromkeys(name for r in self.tried for name in r.outcome.not_given):
            have = [r for r in self.tried if name not in r.outcome.not_given]
            others = " and ".join(q.replace("_", " ") for q in self.tried[0].case.quantities if q != name)
            parts.append(f"{name.replace('_', ' ')} in {len(have)} of them" if have else f"{others} only")
        return ", ".join(parts) if len(parts) > 1 or len(self.tried) < len(self.results) else ""

    @property
    def worst(self) -> Entry | None:
        """The entry that is the furthest beyond its tolerance, of all cases."""
        located = worst_of_all(self.results)
        return located[1] if located else None

    def to_dict(self) -> dict[str, Any]:
        """The report as plain data for JSON: numbers that are not finite become their names."""
        return {
            "candidate": self.candidate,
            "kind": self.kind,
            "version": self.version,
            "vectors": VERSION,
            "date": self.date,
            "dtypes": self.dtypes,
            "tolerances": {str(dtype): tolerance for dtype, tolerance in TOLERANCES.items()},
            "verdict": self.verdict,
            "ok": self.ok,
            "limits": self.limits,
            "takes": list(self.takes),
            "not_offered": [case.name for case in self.not_offered],
            "counts": {status: len(self.with_status(status)) for status in (PASSED, INACCURATE, FAILED, SKIPPED)},
            "diagnosis": [finding_dict(finding) for finding in self.diagnosis],
            "results": [result_dict(r) for r in self.results],
            "notes": list(self.notes),
        }

    @property
    def headline(self) -> str:
        """The verdict, and what it rests on."""
        if self.ok and self.limits:
            return f"{self.verdict}, as far as tried: {self.limits}"
        passed, skipped = len(self.with_status(PASSED)), len(self.with_status(SKIPPED))
        only = self.limits.partition(", ")[2]
        remarks = [f"{passed} of {len(self.results)} cases pass", f"{skipped} skipped" if skipped else "", only]
        return f"{self.verdict} ({', '.join(filter(None, remarks))})"

    def __repr__(self) -> str:
        return f"Report({self.candidate}: {self.headline})"

    def __str__(self) -> str:
        return self.text()

    def text(self, colour: bool = False) -> str:
        """The report in 80 columns; `colour` adds the escape codes of a terminal."""
        lines = wrapped(f"{self.candidate}: ", self.headline)
        lines[0] = lines[0].replace(self.verdict, coloured(self.verdict, self.verdict, colour), 1)
        lines.append("")
        width = max([16, *(len(r.case.group) for r in self.results)])
        lines += [group_line(group, results, colour, width) for group, results in groups(self.results).items()]
        located = worst_of_all(self.with_status(FAILED)) or worst_of_all(self.with_status(INACCURATE))
        if located:
            lines += ["", *wrapped("worst entry: ", f"{located[0]}: {located[1]}")]
        silent = [r for r in self.with_status(FAILED) if not r.worst or r.outcome.problem]
        if silent:
            lines += [
                "",
                *wrapped("no comparison: ", f"{silent[0].case}: {silent[0].message}" + more(len(silent) - 1)),
            ]
            lines += [f"    {line[: WIDTH - 4]}" for line in silent[0].outcome.traceback.splitlines()]
        if self.diagnosis:
            lines += ["", "diagnosis"]
            for number, finding in enumerate(self.diagnosis, 1):
                lines += wrapped(f"{number:3d}. ", f"{finding.id}: {finding}")
            lines += where_to_begin(self.diagnosis, self.with_status(FAILED), self.candidate)
        failed = [str(r.case) for r in self.with_status(FAILED, INACCURATE)]
        if failed:
            lines += ["", *wrapped("failing cases: ", ", ".join(failed[:LISTED]) + more(len(failed) - LISTED))]
        skipped = self.with_status(SKIPPED)
        if skipped:
            reasons = dict.fromkeys(r.message for r in skipped)
            names = ", ".join(str(r.case) for r in skipped[:LISTED]) + more(len(skipped) - LISTED)
            lines += ["", *wrapped("skipped: ", f"{names} ({'; '.join(reasons)})")]
        if self.not_offered:
            lines += ["", *wrapped("not offered: ", not_offered_text(self.not_offered, self.takes))]
        for note in self.notes:
            lines += ["", *wrapped("note: ", note)]
        return "\n".join(lines)
