"""The report of a command as one HTML page that needs nothing else."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from html import escape

from .._html import cards, details, document, scrolling, section
from ..mlp import MLP
from ..pruning import Pruned
from ..scores import Scores
from ._curves import QUANTITIES, Point, best, numbers, percent, trade_offs
from ._distributions import biases, histograms
from ._masks import bars, counts, pictures

__all__ = ["Point", "Report", "page"]

STYLE = """
header code { background: var(--panel); padding: .1rem .35rem; box-decoration-break: clone }
.option { white-space: nowrap }
.tiles { display: flex; flex-wrap: wrap; gap: .5rem 2.4rem; margin: 1.2rem 0 0 }
.tiles div { display: flex; flex-direction: column }
.tiles dt, .tiles .was { color: var(--quiet); font-size: .87rem }
.tiles dd { margin: 0 }
.tiles .value { font-size: 1.6rem; line-height: 1.2; font-variant-numeric: tabular-nums }
.track { fill: var(--panel); stroke: var(--rule); stroke-width: .6 }
.break { stroke: var(--ground); stroke-width: 3 }
.stem { stroke: var(--series); opacity: .55 }
.before { stroke: var(--quiet); stroke-width: 1.6 }
.after { stroke: var(--series); stroke-linecap: round }
.pixels { display: block; max-width: 100%; background: var(--panel); outline: 1px solid var(--rule); margin: .4rem 0 }
.sharp { image-rendering: pixelated }
"""


@dataclass(frozen=True)
class Report:
    """What a command found out, for its page.

    `measured_on` says in a few words what the numbers of the points are of.  Where there is a pruned network, the
    last of `points` is of it, `before` is the network that it was made of, and `scores` are those that this one had.
    `table` is what the command printed.
    """

    title: str
    command: str
    measured_on: str
    dense: Point
    points: tuple[Point, ...]
    table: str
    before: MLP | None
    pruned: Pruned | None
    scores: Scores | None


def page(report: Report) -> str:
    """The whole page: what it cost at the top, then what is left, then why that and not the rest."""
    if report.dense.change == 0:  # as it is by its definition, but for a network that is beside another one
        report = replace(report, dense=replace(report.dense, change=None))
    return document(report.title, [*_head(report), *_costs(report), *_remains(report), *_reasons(report)], STYLE)


def _head(report: Report) -> Iterator[str]:
    yield f"<header><h1>{escape(report.title)}</h1>"
    options_whole = re.sub(r"(?<!\S)--[a-z-]+", r"<span class='option'>\g<0></span>", escape(report.command))
    yield f"<p><code>{options_whole}</code></p>"
    yield f"<p class='quiet'>Measured on {escape(report.measured_on.rstrip('.'))}.</p>"
    if report.pruned is not None:
        yield _tiles(report, report.pruned)
    yield "</header><main>"


def _tiles(report: Report, pruned: Pruned) -> str:
    """The few numbers for which one prunes, large."""
    kept = sum(int(mask.sum()) for mask in pruned.masks)
    tiles = [("Removed", percent(pruned.sparsity), f"{kept:,} of {pruned.mlp.n_weights:,} weights left")]
    for quantity in QUANTITIES if report.points else ():
        if quantity.of(report.points[-1]) is not None:
            dense = quantity.cell(report.dense)
            tiles.append((quantity.title, quantity.cell(report.points[-1]), dense and f"{report.dense.method} {dense}"))
    return "".join(
        [
            "<dl class='tiles'>",
            *(
                f"<div><dt>{name}</dt><dd class='value'>{value}</dd><dd class='was'>{escape(was)}</dd></div>"
                for name, value, was in tiles
            ),
            "</dl>",
        ]
    )


def _costs(report: Report) -> Iterator[str]:
    if report.points:
        every = numbers(report.dense, report.points)
        several = len({point.method for point in report.points}) > 1
        yield section(
            "What it costs",
            cards(trade_offs(report.dense, report.points)),
            best(report.dense, report.points) + details("All numbers", every) if several else every,
        )
    yield details("As the command printed it", scrolling("Table", f"<pre>{escape(report.table)}</pre>"))


def _remains(report: Report) -> Iterator[str]:
    if report.pruned is not None:
        drawn = cards([bars(report.pruned), *pictures(report.pruned)])
        yield section("What is left", drawn, details("In numbers", counts(report.pruned)))


def _reasons(report: Report) -> Iterator[str]:
    if report.scores is not None:
        told = "Each weight counts once, at what removing it costs the network that was given."
        if report.pruned is not None:
            told += (
                " Removed weights lie above kept ones where each layer lost its own share, where another score "
                "decided, and where scores were measured anew after each bite."
            )
        drawn = cards(histograms(report.scores, report.pruned))
        yield section("Importances", f"<p class='quiet'>{told}</p>", drawn)
    if report.before is not None and report.pruned is not None:
        yield section("Biases", cards(biases(report.before, report.pruned.mlp)))
    yield "</main>"
