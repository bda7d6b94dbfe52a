"""The lines of the report."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

import numpy as np

from .._text import WIDTH
from ..error_analysis.comparison import digits
from ._case import Case
from ._cases import all_cases
from ._outcome import CONFORMS, DOES_NOT, FAILED, INACCURATE, LOW_ACCURACY, PASSED, SKIPPED, Entry, Result
from .diagnosis import Finding
from .diagnosis._unknown import reproduction, simplest_of

COLOURS = {CONFORMS: "32", LOW_ACCURACY: "33", DOES_NOT: "31", "ok": "32", "fail": "31", "weak": "33"}


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


def worst_of_all(results: Sequence[Result]) -> tuple[Case, Entry] | None:
    """The entry that is the furthest beyond its tolerance, with its case."""
    located = [(r.case, entry) for r in results if (entry := r.worst_entry) is not None]
    return max(located, key=lambda pair: pair[1].excess, default=None)


def where_to_begin(findings: Sequence[Finding], failed: Sequence[Result], candidate: str) -> list[str]:
    """The simplest failing case, as lines that print its numbers, where no finding predicts the values."""
    open_ones = {name for f in findings if f.id == "unknown" for name in f.cases}
    if not findings[0].exact and not open_ones:
        open_ones = set(findings[0].cases)
    answered = [r.case for r in failed if r.case.name in open_ones and r.worst]
    if not answered or answered[0].name not in {c.name for c in all_cases(answered[0].kind)}:
        return []
    case = simplest_of(answered)
    title = wrapped("", f"where to begin: {case}, the simplest of them, step by step:")
    return ["", *title, *(f"    {line}" for line in reproduction(case, candidate).splitlines())]


def not_offered_text(cases: Sequence[Case], takes: Sequence[str]) -> str:
    """The groups of cases that use keywords which the candidate does not take."""
    parts = []
    for group in dict.fromkeys(case.group for case in cases):
        ours = [case for case in cases if case.group == group]
        missing = dict.fromkeys(name for case in ours for name in case.names_of_options if name not in takes)
        parts.append(f"{len(ours)} of {group} ({', '.join(missing)})")
    return f"cases with options that the candidate does not take: {'; '.join(parts)}"


def group_line(group: str, results: list[Result], colour: bool, width: int = 16) -> str:
    """How a group of cases came out."""
    count = {status: sum(r.status == status for r in results) for status in (PASSED, INACCURATE, FAILED, SKIPPED)}
    status = "fail" if count[FAILED] else "weak" if count[INACCURATE] else "ok" if count[PASSED] else "skip"
    least = least_digits(results)
    shown = "" if least is None else f"{least:4.1f} digits at least"
    remarks = [f"{count[s]} {s}" for s in (FAILED, INACCURATE, SKIPPED) if count[s]]
    word = coloured(f"{status:4s}", status, colour)
    return (
        f"  {word}  {group:{width}s} {count[PASSED]:3d} of {len(results):2d}  {shown:21s} {', '.join(remarks)}".rstrip()
    )


def more(count: int) -> str:
    """What a list leaves out."""
    return f" (and {count} more)" if count > 0 else ""


def coloured(text: str, kind: str, colour: bool) -> str:
    """With a terminal's escape codes where asked."""
    return f"\033[{COLOURS[kind]}m{text}\033[0m" if colour and kind in COLOURS else text


def wrapped(prefix: str, text: str) -> list[str]:
    """Lines of 80 columns, indented under a number."""
    indent = " " * (len(prefix) if prefix.lstrip()[:1].isdigit() else 2)
    return textwrap.wrap(prefix + text, WIDTH, subsequent_indent=indent, break_long_words=True, break_on_hyphens=False)
