"""What the pages of this package share: one file that needs nothing else, in light, in the dark, and on paper."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

# series 0, 1, ... in light and in the dark: told apart by the colour-blind too, and read as text on the background
LIGHT = ("#1746c8", "#b3560a", "#117a7a", "#a045e6", "#5a3a06", "#2a3038", "#3778ab", "#a02a50")
DARK = ("#6d93ff", "#e08a2e", "#7fe8b0", "#c48ad6", "#d6cf3a", "#d5d9df", "#56c4f0", "#f58f98")

SCREEN = """
* { box-sizing: border-box }
body { font: .94rem/1.5 system-ui, sans-serif; max-width: 72rem; margin: 0 auto; padding: 1.5rem 1rem 3rem }
body { color: var(--ink); background: var(--ground); overflow-wrap: anywhere }
h1 { font-size: 1.5rem; line-height: 1.25; margin: 0 0 .5rem }
h2 { font-size: 1.15rem; margin: 2.2rem 0 .3rem }
h3 { font-size: 1rem; margin: 0 }
p { margin: .3rem 0; max-width: 46rem }
code { font-size: .92em }
pre { font-size: .87rem; line-height: 1.35; margin: .5rem 0 }
.quiet, figcaption, caption { color: var(--quiet); font-size: .87rem }
figcaption p { margin: .2rem 0 }
.cards { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 20.5rem), 1fr)); align-items: start }
.cards { gap: 1.6rem 1.8rem; margin-top: .9rem }
.card { margin: 0; min-width: 0; break-inside: avoid }
.scroll { overflow-x: auto; max-width: 100% }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; margin: .5rem 0 }
caption { text-align: left }
th, td { padding: .15rem 1rem .15rem 0; text-align: left; vertical-align: top; white-space: nowrap }
th { font-weight: 600 }
tbody tr { border-top: 1px solid var(--rule) }
td.number, th.number { text-align: right }
details { margin: .6rem 0 }
summary { cursor: pointer }
:focus-visible { outline: 2px solid var(--s0); outline-offset: 2px }
svg { display: block; width: 100%; max-width: 30rem; height: auto }
svg text { font: 11px system-ui, sans-serif; fill: var(--quiet); font-variant-numeric: tabular-nums }
svg .ink { fill: var(--ink) }
svg .plain { --series: var(--quiet) }
svg .label { fill: var(--series) }
svg .halo { paint-order: stroke; stroke: var(--ground); stroke-width: 3px; stroke-linejoin: round }
.axis, .grid { stroke: var(--rule); fill: none }
.line { stroke: var(--series); stroke-width: 1.8; stroke-linejoin: round; fill: none }
.leader { stroke: var(--series); stroke-width: .7; opacity: .7; fill: none }
.reference { stroke: var(--quiet); stroke-dasharray: 5 3; fill: none }
.mark { fill: var(--series); stroke: var(--ground); stroke-width: .8 }
.fill { fill: var(--series) }
"""
PAPER = """
@page { margin: 14mm }
@media print {
  html { font-size: 11px }
  body { padding: 0; max-width: none }
  h2, h3, caption { break-after: avoid }
  .cards { grid-template-columns: repeat(auto-fill, minmax(280px, 1fr)) }
  table, img { break-inside: avoid }
  pre, code { font-size: 8px; white-space: pre-wrap }
  th, td { white-space: normal }
  .scroll { overflow: visible }
  summary { list-style: none; font-weight: 600 }
  details::details-content { content-visibility: visible; display: block }
}
"""


def _colours(ground: str, panel: str, ink: str, quiet: str, rule: str, series: Sequence[str]) -> str:
    """A set of colours, as CSS variables."""
    named = {"ground": ground, "panel": panel, "ink": ink, "quiet": quiet, "rule": rule}
    named |= {f"s{k}": colour for k, colour in enumerate(series)}
    return " ".join(f"--{name}: {colour};" for name, colour in named.items())


STYLE = f"""
:root {{ color-scheme: light dark; {_colours("#fff", "#f5f6f8", "#1b1f24", "#59616b", "#d3d8de", LIGHT)} }}
@media screen and (prefers-color-scheme: dark) {{
  :root {{ {_colours("#14171c", "#1c2027", "#e6e9ed", "#a3abb5", "#3a414b", DARK)} }}
}}
{" ".join(f".s{k} {{ --series: var(--s{k}) }}" for k in range(len(LIGHT)))}
{SCREEN}{PAPER}"""


def document(title: str, body: Iterable[str], style: str = "") -> str:
    """A whole page; `title` is plain text, `body` and `style` are as they stand."""
    return "\n".join(
        [
            "<!DOCTYPE html>",
            '<html lang="en"><head><meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{escape(title)}</title><style>{STYLE}{style}</style></head><body>",
            *body,
            "</body></html>",
            "",
        ]
    )


def section(title: str, *parts: str) -> str:
    """A heading, and what stands under it."""
    return "\n".join([f"<section><h2>{escape(title)}</h2>", *parts, "</section>"])


def cards(drawn: Iterable[str]) -> str:
    """Cards side by side where there is room, else one below the other."""
    return "\n".join(["<div class='cards'>", *drawn, "</div>"])


def card(title: str, drawn: str, *notes: str) -> str:
    """A picture under its title and over what has to be said of it, a note a paragraph."""
    said = "".join(f"<p>{escape(note)}</p>" for note in notes if note)
    caption = f"<figcaption>{said}</figcaption>" if said else ""
    return f"<figure class='card'><h3>{escape(title)}</h3>{drawn}{caption}</figure>"


def sentences(*said: str) -> str:
    """Those that are not empty, as one note."""
    return " ".join(filter(None, said))


def table(caption: str, head: Sequence[str], rows: Iterable[Sequence[str]], n_words: int = 1) -> str:
    """Cells of plain text; those behind the first `n_words` columns are numbers, and stand to the right."""
    kinds = ["" if k < n_words else " class='number'" for k in range(len(head))]
    top = "".join(f"<th scope='col'{kind}>{escape(cell)}</th>" for cell, kind in zip(head, kinds))
    lines = ["".join(f"<td{kind}>{escape(cell)}</td>" for cell, kind in zip(row, kinds)) for row in rows]
    body = "\n".join(f"<tr>{line}</tr>" for line in lines)
    return scrolling(
        caption,
        f"<table><caption>{escape(caption)}</caption><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table>",
    )


def scrolling(name: str, content: str) -> str:
    """What is wider than the page scrolls by itself, with the keyboard too."""
    return f"<div class='scroll' role='region' tabindex='0' aria-label='{escape(name)}'>{content}</div>"


def details(summary: str, content: str) -> str:
    """What opens when its summary is chosen, and is open on paper."""
    return f"<details><summary>{escape(summary)}</summary>{content}</details>"
