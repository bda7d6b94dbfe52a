"""What is lost at each sparsity, a line a method, against log(1 − sparsity)."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from .._html import card, sentences, table
from .._svg import (
    LINE,
    WIDTH,
    Axis,
    Plot,
    colour,
    exponent,
    extent,
    line,
    linear_axis,
    log_axis,
    mark,
    path,
    px,
    short,
    shortened,
    spread,
    text,
)

NAME = 150  # pixels of a method's name
ROW = 22  # pixels from one row to the next, where there is no line
BOUND = 1e300  # of a value that is drawn


@dataclass(frozen=True)
class Point:
    """One network: what made it, the share of its weights that is removed, and what that cost.

    `change` is that of the output, E‖f_pruned − f‖² / E‖f − E f‖², where f is the dense network's.
    """

    method: str
    sparsity: float
    loss: float | None
    accuracy: float | None
    change: float | None


def percent(fraction: float) -> str:
    """A fraction for people."""
    return f"{100 * fraction:.1f} %"


@dataclass(frozen=True)
class Quantity:
    """One of the numbers of a point: how it is called, shown and judged."""

    title: str
    note: str
    of: Callable[[Point], float | None]
    shown: Callable[[float], str]
    tick: Callable[[float, int], str] = short
    upwards: bool = False

    def drawn(self, point: Point) -> bool:
        """Whether the point has the number, and there is a place for it."""
        value = self.of(point)
        return value is not None and abs(value) < BOUND

    def value(self, point: Point) -> float:
        """The number of a point that has one."""
        return float(self.of(point) or 0)

    def cell(self, point: Point) -> str:
        """The number in a table, whatever it is."""
        value = self.of(point)
        return "" if value is None else self.shown(value) if math.isfinite(value) else str(value)

    def best(self, points: Sequence[Point]) -> Point:
        """The point that does best; of equal ones the first."""
        return min(points, key=lambda p: -self.value(p) if self.upwards else self.value(p))


QUANTITIES = (
    Quantity("Loss", "Lower is better.", lambda p: p.loss, lambda v: short(v, 4)),
    Quantity(
        "Accuracy",
        "Higher is better.",
        lambda p: p.accuracy,
        percent,
        lambda v, n: f"{short(100 * v, n)} %",
        upwards=True,
    ),
    Quantity(
        "Change of the output",
        "E‖f_pruned − f‖² / E‖f − E f‖², where f is the dense network: 0 is none, 1 is as bad as a constant output.",
        lambda p: p.change,
        short,
    ),
)


def trade_offs(dense: Point, points: Sequence[Point]) -> Iterator[str]:
    """A card for each quantity that is known of any point."""
    for quantity in QUANTITIES:
        known = [p for p in points if quantity.drawn(p)]
        if known:
            lost = sum(quantity.of(p) is not None for p in points) - len(known)
            missing = f"Not drawn, being not finite or too large: {lost}." if lost else ""
            draw = _curves if len({_place(p) for p in known}) > 1 else _rows
            yield draw(quantity, dense, known, missing)


def numbers(dense: Point, points: Sequence[Point]) -> str:
    """The points as a table."""
    return _table("All points of the curves", [dense, *points])


def best(dense: Point, points: Sequence[Point]) -> str:
    """A table: at each sparsity, the point that loses least."""
    quantity = next((q for q in QUANTITIES if any(map(q.drawn, points))), None)
    if quantity is None:
        return ""
    chosen = [quantity.best(there) for there in _at_each_sparsity(quantity, points)]
    return _table(f"At each sparsity the best by {quantity.title.lower()}", [dense, *chosen])


def _at_each_sparsity(quantity: Quantity, points: Sequence[Point]) -> Iterator[list[Point]]:
    known = [p for p in points if quantity.drawn(p)]
    for sparsity in sorted({p.sparsity for p in known}):
        yield [p for p in known if p.sparsity == sparsity]


def _table(caption: str, points: Sequence[Point]) -> str:
    """The points, with the quantities that are known of any."""
    known = [q for q in QUANTITIES if any(q.of(p) is not None for p in points)]
    head = ["sparsity", "method", *(q.title.lower() for q in known)]
    return table(caption, head, ([short(p.sparsity, 4), p.method, *(q.cell(p) for q in known)] for p in points), 2)


def _place(point: Point) -> float:
    """−log₁₀(1 − sparsity), to a width that no eye sees; inf for 1."""
    return round(-exponent(1 - point.sparsity), 3)


def _sparsity_axis(points: Sequence[Point]) -> Axis:
    """Over all sparsities; 1, which lies infinitely far out, at the edge."""
    places = [_place(p) for p in points]
    finite = [place for place in places if math.isfinite(place)]
    low, high = min(finite), max(finite)
    factors = (1.0, 0.5, 0.2) if high - low < 1.7 else (1.0, 0.5) if high - low < 2.1 else (1.0,)
    ticks = [(e - math.log10(f), short(1 - f * 10.0**-e, 12)) for e in range(12) for f in factors]
    ticks = [tick for tick in ticks if low - 1e-3 <= tick[0] <= high + 1e-3]
    if len(ticks) < 2:
        ticks = sorted({(_place(p), short(p.sparsity, 4)) for p in points if math.isfinite(_place(p))})
    if len(finite) < len(places):
        high += 0.15 * max(high - low, 0.5)
        ticks.append((high, "1"))
    return Axis(low, high, tuple(ticks))


def _value_axis(quantity: Quantity, values: Sequence[float]) -> tuple[Axis, Callable[[float], float], str]:
    """The axis of a quantity, how values are put on it, and what to say of it."""
    low, high = min(values), max(values)
    positive = [v for v in values if v > 0]
    if not quantity.upwards and low >= 0 and positive and high > 6 * min(positive):
        said = "Logarithmic scale, zero on its floor." if low == 0 else "Logarithmic scale."
        return log_axis(map(exponent, values)), exponent, said
    margin = (high - low) / 20
    return linear_axis(low - margin, high + margin, quantity.tick), lambda v: v, ""


def _curves(quantity: Quantity, dense: Point, points: Sequence[Point], missing: str) -> str:
    """A line a method, named at its end; the dense network as a line across."""
    methods = list(dict.fromkeys(p.method for p in points))
    names = [shortened(method, NAME) for method in methods]
    values = [quantity.value(p) for p in points]
    if quantity.drawn(dense):
        names.append(shortened(f"{dense.method} {quantity.cell(dense)}", NAME))
        values.append(quantity.value(dense))
    y, on_axis, scale = _value_axis(quantity, values)
    room = 24 + max(map(extent, names))
    title = "sparsity s, on the scale of log(1 − s)"
    plot = Plot(_sparsity_axis(points), y, title, right=room, height=max(240, 60 + LINE * len(names)))
    lines, marks, ends = [], [], []
    for k, method in enumerate(methods):
        own = sorted((p for p in points if p.method == method), key=lambda p: p.sparsity)
        places = [(plot.across(_place(p)), plot.up(on_axis(quantity.value(p)))) for p in own]
        said = [f"{method} at {short(p.sparsity, 4)}: {quantity.cell(p)}" for p in own]
        lines.append(line(k, places))
        marks += [mark(k, x, y, words) for (x, y), words in zip(places, said)]
        ends.append(places[-1])
    if quantity.drawn(dense):
        ends.append((plot.edge, plot.up(on_axis(quantity.value(dense)))))
        lines.append(path("reference", f"M{px(plot.left)} {px(ends[-1][1])}H{px(plot.edge)}"))
    far = any(math.isinf(_place(p)) for p in points)
    edge = "Sparsity 1 lies infinitely far out on this scale, and is drawn at the right edge." if far else ""
    parts = [*lines, *_named(plot, names, ends, len(methods)), *marks]
    drawn = plot.draw(quantity.title, _in_words(quantity, dense, points), parts)
    return card(quantity.title, drawn, sentences(quantity.note, scale, edge, missing))


def _named(plot: Plot, names: Sequence[str], ends: Sequence[tuple[float, float]], n_methods: int) -> Iterator[str]:
    """The names of the lines to the right of their ends, one below the other; behind the methods is the dense one."""
    places = spread([y for _, y in ends], plot.top, plot.bottom)
    for k, (name, (x, y_end), y) in enumerate(zip(names, ends, places)):
        series = colour(k) if k < n_methods else "plain"
        yield path(f"leader {series}", f"M{px(x + 4)} {px(y_end)}L{px(plot.edge + 8)} {px(y)}h4")
        yield text(plot.edge + 22, y + 4, name, kind=f"label {series}")
        if k < n_methods:
            yield mark(k, plot.edge + 15, y)


def _rows(quantity: Quantity, dense: Point, points: Sequence[Point], missing: str) -> str:
    """One sparsity alone: a row a network, its value along a line."""
    shown = [p for p in (dense, *points) if quantity.drawn(p)]
    names = [shortened(p.method, NAME) for p in shown]
    x, on_axis, scale = _value_axis(quantity, [quantity.value(p) for p in shown])
    rows = Axis(len(shown) - 0.3, -0.7, tuple(enumerate(names)))  # downwards
    room = 8 + max(extent(quantity.cell(p)) for p in shown)
    plot = Plot(x, rows, right=room, height=32 + ROW * len(shown))
    parts = []
    for k, p in enumerate(shown):
        parts.append(mark(1 if p is dense else 0, plot.across(on_axis(quantity.value(p))), plot.up(k)))
        parts.append(text(WIDTH, plot.up(k) + 4, quantity.cell(p), anchor="end", kind="ink"))
    there = f"At sparsity {short(points[0].sparsity, 4)}."
    drawn = plot.draw(quantity.title, _in_words(quantity, dense, points), parts)
    return card(quantity.title, drawn, sentences(there, quantity.note, scale, missing))


def _in_words(quantity: Quantity, dense: Point, points: Sequence[Point]) -> str:
    """What a chart shows, for those who do not see it."""
    said = [f"Dense: {quantity.cell(dense)}."] if quantity.drawn(dense) else []
    for there in _at_each_sparsity(quantity, points):
        chosen = quantity.best(there)
        said.append(f"Best at sparsity {short(chosen.sparsity, 4)}: {chosen.method}, {quantity.cell(chosen)}.")
    return " ".join(said)
