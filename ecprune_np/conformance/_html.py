"""The report as one HTML page that needs nothing else: reference against candidate, a picture per failing case."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape

import numpy as np

from .._html import card, cards, document, section, table
from .._svg import WIDTH, Plot, colour, exponent, log_axis, mark, path, px, text
from .._types import Array
from ._cases import VERSION
from ._outcome import CONFORMS, FAILED, INACCURATE, LOW_ACCURACY, PASSED, SKIPPED, TOLERANCES, Result
from ._report import Report
from ._text import groups, least_digits, not_offered_text
from .diagnosis import Finding
from .diagnosis._finding import plural

DRAWN = 4000  # weights of a case, some of them where there are more
LINKED = 12  # cases to which a finding links

STYLE = """
.verdict { display: inline-block; padding: .1rem .6rem; border-radius: .3rem; color: #fff; background: #b3261e }
.verdict.good { background: #1b6e3c } .verdict.weak { background: #8a5a00 }
a { color: var(--s0) }
.cross { stroke: var(--series); stroke-width: 1.6; fill: none }
"""


def page(report: Report) -> str:
    """The whole page: verdict, diagnosis, case groups, and a card for every case that does not pass."""
    kind = {CONFORMS: "good", LOW_ACCURACY: "weak"}.get(report.verdict, "bad")
    bad = report.with_status(FAILED, INACCURATE)
    passed = len(report.with_status(PASSED))
    offered = not_offered_text(report.not_offered, report.takes)
    told = f"; tried: {report.limits}" if report.limits else ""
    parts = [
        f"<h1><code>{escape(report.candidate)}</code> <span class='verdict {kind}'>{report.verdict}</span></h1>",
        f"<p>{passed} of {len(report.results)} cases pass{told}.</p>",
        f"<p class='quiet'>{escape(_made(report))}</p>",
        *(f"<p>Note: {escape(note)}</p>" for note in report.notes),
        *([f"<p>Not offered: {escape(offered)}.</p>"] if report.not_offered else []),
        *_diagnosis(report.diagnosis, {r.case.name for r in bad}),
        _groups(report),
    ]
    if bad:
        told = (
            "<p>Each mark is a weight: the right number along the horizontal axis, the candidate's along the vertical "
            f"one, both logarithmic{_order(bad[0])}. Right ones lie on the diagonal; a constant factor is a parallel "
            "to it, a floor is a horizontal line. Zeros lie on the axes; a cross is a number of the wrong sign, at its "
            "magnitude.</p>"
        )
        parts.append(section("Cases that do not pass", told, cards(map(_card, bad))))
    return document(f"{report.candidate}: {report.verdict}", parts, STYLE)


def _order(result: Result) -> str:
    """Which picture is of what, where there are two."""
    names = [plural(quantity) for quantity in result.case.quantities]
    return f", {names[0]} first, {names[1]} below" if len(names) > 1 else ""


def _made(report: Report) -> str:
    """Of which version, when, in which precision, how exact it had to be."""
    tolerances = ", ".join(f"{error:g} in {dtype}" for dtype, error in TOLERANCES.items())
    answered = " and ".join(report.dtypes) or "nothing"
    made = f"ecprune_np {report.version}, vectors {VERSION}, {report.date}"
    return f"{made}. The candidate answers in {answered}; errors up to {tolerances} are allowed."


def _diagnosis(findings: list[Finding], drawn: set[str]) -> Iterator[str]:
    items = []
    for finding in findings:
        shown = "; ".join(escape(d) for d in finding.details if d)
        links = ", ".join(f"<a href='#{name}'>{name}</a>" for name in finding.cases[:LINKED] if name in drawn)
        more = f" and {len(finding.cases) - LINKED} more" if len(finding.cases) > LINKED else ""
        where = f"<br><small>{links}{more}</small>" if links else ""
        items.append(
            f"<li><b>{escape(finding.id)}</b>: {escape(finding.sentence)}<br><small>{shown}</small>{where}</li>"
        )
    if items:
        yield section("Diagnosis", "<ol>", *items, "</ol>")


def _groups(report: Report) -> str:
    rows = []
    for group, results in groups(report.results).items():
        count = {status: sum(r.status == status for r in results) for status in (PASSED, INACCURATE, FAILED, SKIPPED)}
        remarks = ", ".join(f"{count[s]} {s}" for s in (FAILED, INACCURATE, SKIPPED) if count[s])
        least = least_digits(results)
        rows.append((group, remarks, f"{count[PASSED]} of {len(results)}", "" if least is None else f"{least:.1f}"))
    head = ("group", "remarks", "pass", "digits at least")
    return section("Case groups", table("Cases by what they catch", head, rows, n_words=2))


def _card(result: Result) -> str:
    case, outcome = result.case, result.outcome
    pictures = [f"<span id='{case.name}'></span>"]
    for quantity in case.quantities:
        values, right = getattr(outcome, quantity), getattr(case.reference, quantity)
        name = quantity.replace("_", " ")
        comparable = [v.shape for v in values] == [r.shape for r in right]
        pictures.append(_picture(values, right, name) if comparable else f"<p>No {plural(quantity)} to compare.</p>")
    trace = f"<pre>{escape(outcome.traceback)}</pre>" if outcome.traceback else ""
    return card(case.name, "".join(pictures) + trace, ", ".join(case.flags), case.note, result.message)


def _picture(values: tuple[Array, ...], references: tuple[Array, ...], name: str = "importance") -> str:
    """Reference against candidate, log-log, a mark of its own for each layer."""
    finite = [np.where(np.isfinite(v), v, 0).astype(np.float64) for v in values]
    axis = log_axis(exponent(float(m)) for a in (*finite, *references) for m in np.abs(a).ravel())
    top = 30 + 14 * -(-len(values) // 6)  # pixels for the legend, six layers a line
    plot = Plot(axis, axis, f"reference {name}", top=top, height=WIDTH + top - 20)
    marks = [path("reference", f"M{px(plot.left)} {px(plot.bottom)}L{px(plot.edge)} {px(plot.top)}")]
    step = -(-sum(v.size for v in values) // DRAWN)
    for l, (value, given, reference) in enumerate(zip(finite, values, references)):
        for v, g, r in list(zip(value.ravel().tolist(), given.ravel(), reference.ravel().tolist()))[::step]:
            if np.isfinite(g):
                marks.append(_mark(l, plot.across(exponent(abs(r))), plot.up(exponent(abs(v))), (v < 0) != (r < 0)))
        x, y = 12 + 60 * (l % 6), 8 + 14 * (l // 6)
        marks += [mark(l, x, y), text(x + 8, y + 4, f"layer {l}")]
    marks.append(text(0, top - 8, f"candidate {name}"))
    n_lost = sum(int((~np.isfinite(v)).sum()) for v in values)
    said = ", ".join([*([f"{n_lost} not finite"] * (n_lost > 0)), *([f"1 of {step} drawn"] * (step > 1))])
    marks.append(text(plot.left + 6, top + 14, said))
    return plot.draw(f"Reference {name} against candidate {name}", said, marks)


def _mark(l: int, x: float, y: float, other_sign: bool) -> str:
    if other_sign:
        return path(f"cross {colour(l)}", f"M{px(x - 4)} {px(y - 4)}l8 8m0-8l-8 8")
    return mark(l, x, y)
