"""The report as one HTML page that needs nothing else: reference against candidate, a picture per failing case."""

from __future__ import annotations

from html import escape

import numpy as np

from .._types import Array
from ._diagnosis import SURVIVES, Finding
from ._report import CONFORMS, LOW_ACCURACY, Report, groups, least_digits
from ._verdict import FAILED, INACCURATE, PASSED, SKIPPED, Result

SIDE = 240  # of a picture's axes, in pixels
MARGIN = 34
DECADES = 12  # at most shown; what is smaller lies on the floor
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#8c6d00")  # of the layers, told apart also by the colour-blind

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem }
body { color: #1a1a1a; background: #fff }
h1 { font-size: 1.4rem } h2 { font-size: 1.1rem; margin-top: 2rem } code { font-size: .92em }
.verdict { display: inline-block; padding: .1rem .6rem; border-radius: .3rem; color: #fff; background: #b3261e }
.verdict.good { background: #1b6e3c } .verdict.weak { background: #8a5a00 }
table { border-collapse: collapse } td, th { padding: .15rem .8rem .15rem 0; text-align: left; vertical-align: top }
.cards { display: grid; grid-template-columns: repeat(auto-fill, minmax(300px, 1fr)); gap: 1rem }
.card { border: 1px solid #ccc; border-radius: .4rem; padding: .6rem; overflow-wrap: anywhere; font-size: .87rem }
.card h3 { margin: 0; font-size: 1rem } .card p { margin: .3rem 0 } .flags { color: #595959 }
svg { max-width: 100% } svg text { font: 10px system-ui, sans-serif; fill: #444 }
"""


def page(report: Report) -> str:
    """The whole page: verdict, diagnosis, case groups, and a card for every case that does not pass."""
    colour = {CONFORMS: "good", LOW_ACCURACY: "weak"}.get(report.verdict, "bad")
    bad = report.with_status(FAILED, INACCURATE)
    passed = len(report.with_status(PASSED))
    parts = [
        "<!DOCTYPE html>",
        '<html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{escape(report.candidate)}: {report.verdict}</title><style>{STYLE}</style></head><body>",
        f"<h1><code>{escape(report.candidate)}</code> <span class='verdict {colour}'>{report.verdict}</span></h1>",
        f"<p>{passed} of {len(report.results)} cases pass.</p>",
        *(f"<p>Note: {escape(note)}</p>" for note in report.notes),
        *_diagnosis(report.diagnosis),
        *_groups(report),
    ]
    if bad:
        parts.append("<h2>Cases that do not pass</h2>")
        parts.append(
            "<p>Each dot is a weight: its right importance along the horizontal axis, the candidate's along the "
            "vertical one, both logarithmic. Right ones lie on the diagonal; a constant factor is a parallel to it, "
            "a floor is a horizontal line. Zeros lie on the axes, negative values are drawn as crosses at their "
            "magnitude.</p>"
        )
        parts += ["<div class='cards'>", *map(_card, bad), "</div>"]
    return "\n".join([*parts, "</body></html>", ""])


def _diagnosis(findings: list[Finding]) -> list[str]:
    if not findings:
        return []
    items = []
    for finding in findings:
        details = [finding.equation, SURVIVES[finding.ranking]]
        if finding.wrong:
            details.append(f"explains {finding.explained} of {finding.wrong} wrong answers")
        shown = "; ".join(escape(d) for d in details if d)
        items.append(f"<li><b>{escape(finding.id)}</b>: {escape(finding.sentence)}<br><small>{shown}</small></li>")
    return ["<h2>Diagnosis</h2>", "<ol>", *items, "</ol>"]


def _groups(report: Report) -> list[str]:
    rows = ["<h2>Case groups</h2>", "<table><tr><th>group</th><th>pass</th><th>digits at least</th><th></th></tr>"]
    for group, results in groups(report.results).items():
        count = {status: sum(r.status == status for r in results) for status in (PASSED, INACCURATE, FAILED, SKIPPED)}
        remarks = ", ".join(f"{count[s]} {s}" for s in (FAILED, INACCURATE, SKIPPED) if count[s])
        least = least_digits(results)
        digits = "" if least is None else f"{least:.1f}"
        rows.append(
            f"<tr><td>{group}</td><td>{count[PASSED]} of {len(results)}</td><td>{digits}</td><td>{remarks}</td></tr>"
        )
    return [*rows, "</table>"]


def _card(result: Result) -> str:
    case = result.case
    values = result.outcome.importance
    comparable = [v.shape for v in values] == [r.shape for r in case.reference.importance]
    picture = _picture(values, case.reference.importance) if comparable else "<p>No importances to compare.</p>"
    return (
        f"<div class='card'><h3>{escape(case.name)}</h3><p class='flags'>{escape(', '.join(case.flags))}</p>"
        f"<p>{escape(case.note)}</p>{picture}<p>{escape(result.message)}</p></div>"
    )


def _picture(values: tuple[Array, ...], references: tuple[Array, ...]) -> str:
    """Reference against candidate, log-log, a colour for each layer."""
    finite = [np.where(np.isfinite(v), v.astype(np.float64), 0) for v in values]
    magnitudes = np.abs(np.concatenate([a.ravel() for a in (*finite, *references)]))
    low, high = _range(magnitudes[magnitudes > 0])
    marks, n_lost = [], sum(int((~np.isfinite(v)).sum()) for v in values)
    for l, (value, given, reference) in enumerate(zip(finite, values, references)):
        colour = COLOURS[l % len(COLOURS)]
        for v, g, r in zip(value.ravel(), given.ravel(), reference.ravel()):
            if np.isfinite(g):
                x, y = _place(float(r), low, high), SIDE + MARGIN - (_place(abs(float(v)), low, high) - MARGIN)
                marks.append(_mark(x, y, colour, negative=v < 0))
    ticks = [*_ticks(low, high)]
    lost = f"<text x='{MARGIN + 6}' y='{MARGIN + 14}'>{n_lost} not finite</text>" if n_lost else ""
    legend = "".join(
        f"<circle cx='{MARGIN + 10 + 52 * l}' cy='12' r='4' fill='{COLOURS[l % len(COLOURS)]}'/>"
        f"<text x='{MARGIN + 17 + 52 * l}' y='16'>layer {l}</text>"
        for l in range(len(values))
    )
    size = SIDE + MARGIN
    return (
        f"<svg viewBox='0 0 {size + 16} {size + MARGIN}' width='{size + 16}' role='img' "
        "aria-label='reference importance against candidate importance'>"
        f"<rect x='{MARGIN}' y='{MARGIN}' width='{SIDE}' height='{SIDE}' fill='none' stroke='#999'/>"
        f"<line x1='{MARGIN}' y1='{size}' x2='{size}' y2='{MARGIN}' stroke='#999' stroke-dasharray='4 3'/>"
        f"{''.join(ticks)}{''.join(marks)}{legend}{lost}"
        f"<text x='{MARGIN + SIDE / 2}' y='{size + 28}' text-anchor='middle'>reference importance</text>"
        f"<text transform='translate(9 {MARGIN + SIDE / 2}) rotate(-90)' text-anchor='middle'>"
        "candidate importance</text></svg>"
    )


def _range(positive: Array) -> tuple[float, float]:
    """The decades shown, as exponents: all that occur, but at most DECADES below the largest."""
    if not positive.size:
        return -1.0, 1.0
    high = float(np.ceil(np.log10(positive.max()))) + 0.2
    low = float(np.floor(np.log10(positive.min()))) - 0.5
    return max(low, high - DECADES), high


def _place(magnitude: float, low: float, high: float) -> float:
    """Where a magnitude lies on an axis, in pixels from the margin; zeros and the very small on the floor."""
    exponent = np.log10(magnitude) if magnitude > 0 else low
    return MARGIN + SIDE * float(np.clip((exponent - low) / (high - low), 0, 1))


def _mark(x: float, y: float, colour: str, negative: bool) -> str:
    if negative:
        return f"<path d='M{x - 4:.1f} {y - 4:.1f}l8 8m0 -8l-8 8' stroke='{colour}' fill='none'/>"
    return f"<circle cx='{x:.1f}' cy='{y:.1f}' r='3.5' fill='{colour}' fill-opacity='.7'/>"


def _ticks(low: float, high: float) -> list[str]:
    """Powers of ten on both axes, five or so."""
    step = max(1, round((high - low) / 5))
    ticks = []
    for exponent in range(int(np.ceil(low)), int(np.floor(high)) + 1, step):
        x = _place(10.0**exponent, low, high)
        y = SIDE + 2 * MARGIN - x
        ticks.append(f"<line x1='{x:.1f}' y1='{SIDE + MARGIN}' x2='{x:.1f}' y2='{SIDE + MARGIN + 4}' stroke='#999'/>")
        ticks.append(f"<text x='{x:.1f}' y='{SIDE + MARGIN + 15}' text-anchor='middle'>1e{exponent}</text>")
        ticks.append(f"<line x1='{MARGIN - 4}' y1='{y:.1f}' x2='{MARGIN}' y2='{y:.1f}' stroke='#999'/>")
        ticks.append(f"<text x='{MARGIN + 4}' y='{y - 2:.1f}'>1e{exponent}</text>")
    return ticks
