"""Charts as SVG, as wide as a telephone shows them in their own size; labels stand at the lines."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import KW_ONLY, dataclass
from functools import cached_property
from html import escape

from ._html import LIGHT

WIDTH = 360
LINE = 13  # pixels from one label to the next
NARROW = frozenset("ijlftr.,:;'|!()[]-/ ")
DECADES = 12  # at most, on a logarithmic axis; what is smaller lies on the floor
FACTORS = {1: (1, 2, 3, 5, 7), 2: (1, 2, 5), 5: (1, 3), math.inf: (1,)}  # decades below which ticks are at these
SHAPES = (  # of the marks, from their middle: circle, square, triangle, diamond, plus, triangle, cross, star
    "",
    "m-3.4-3.4h6.8v6.8h-6.8z",
    "m0-4.6l4.4 7.8h-8.8z",
    "m0-4.9l4.9 4.9l-4.9 4.9l-4.9-4.9z",
    "m-1.5-4.5h3v3h3v3h-3v3h-3v-3h-3v-3h3z",
    "m0 4.6l4.4-7.8h-8.8z",
    "m0-2.2l2.4-2.4l2.2 2.2l-2.4 2.4l2.4 2.4l-2.2 2.2l-2.4-2.4l-2.4 2.4l-2.2-2.2l2.4-2.4l-2.4-2.4l2.2-2.2z",
    "m0-5l1.5 3.3 3.6.4-2.7 2.4.8 3.6-3.2-1.8-3.2 1.8.8-3.6-2.7-2.4 3.6-.4z",
)
DASHES = ("", "7 3", "2 3")


@dataclass(frozen=True)
class Axis:
    """From low to high; `ticks` are values and their names."""

    low: float
    high: float
    ticks: tuple[tuple[float, str], ...] = ()

    def place(self, value: float) -> float:
        """Where from 0 to 1 a value lies; what is beyond an end lies at it."""
        return min(max((value - self.low) / (self.high - self.low), 0), 1)


@dataclass(frozen=True)
class Plot:
    """A rectangle between two axes, with room around it; lengths are in pixels.

    The names of the vertical axis have the room that they take, and stand a `gutter` away from the rectangle.
    """

    x: Axis
    y: Axis
    x_title: str = ""
    _: KW_ONLY
    gutter: float = 0
    right: float = 12
    top: float = 10
    height: float = 230

    @cached_property
    def left(self) -> float:
        """Where the rectangle begins."""
        return max((extent(name) for _, name in self.y.ticks), default=0) + 6 + self.gutter

    @property
    def bottom(self) -> float:
        """Where the horizontal axis lies."""
        return self.height - (36 if self.x_title else 22)

    @property
    def edge(self) -> float:
        """Where the rectangle ends to the right."""
        return WIDTH - self.right

    def across(self, x: float) -> float:
        """Where a value lies along the horizontal axis."""
        return self.left + self.x.place(x) * (self.edge - self.left)

    def up(self, y: float) -> float:
        """Where a value lies along the vertical axis, from the top."""
        return self.bottom - self.y.place(y) * (self.bottom - self.top)

    def draw(self, title: str, description: str, marks: Iterable[str]) -> str:
        """The chart: grid, names of the ticks, and the marks."""
        parts, end = [], -math.inf
        for value, name in self.y.ticks:
            parts.append(path("grid", f"M{px(self.left)} {px(self.up(value))}H{px(self.edge)}"))
            parts.append(text(self.left - self.gutter - 5, self.up(value) + 4, name, anchor="end"))
        for value, name in self.x.ticks:
            middle = within(self.across(value), name)
            parts.append(path("axis", f"M{px(self.across(value))} {px(self.bottom)}v4"))
            if middle - extent(name) / 2 > end:  # else there is no room for the name
                parts.append(text(middle, self.bottom + 16, name, anchor="middle"))
                end = middle + extent(name) / 2 + 4
        parts.append(path("axis", f"M{px(self.left)} {px(self.bottom)}H{px(self.edge)}"))
        if self.x_title:
            middle = within((self.left + self.edge) / 2, self.x_title)
            parts.append(text(middle, self.height - 6, self.x_title, anchor="middle"))
        return drawing(title, description, self.height, [*parts, *marks])


def drawing(title: str, description: str, height: float, parts: Iterable[str]) -> str:
    """An SVG with its name and, for those who do not see it, its description."""
    return (
        f"<svg viewBox='0 0 {WIDTH} {px(height)}' role='img'><title>{escape(title)}</title>"
        f"<desc>{escape(description)}</desc>{''.join(parts)}</svg>"
    )


def px(value: float) -> str:
    """A length for an attribute; raises ValueError for NaN and inf, which no attribute takes."""
    if not math.isfinite(value):
        raise ValueError(f"length: expected a finite number, got {value}")
    return f"{value:.1f}".removesuffix(".0")


def path(kind: str, steps: str, more: str = "") -> str:
    """A path of a class of the style."""
    return f"<path class='{kind}' d='{steps}'{more}/>"


def text(x: float, y: float, words: str, anchor: str = "start", kind: str = "") -> str:
    """A line of text, escaped."""
    shown = f" class='{kind}'" if kind else ""
    return f"<text x='{px(x)}' y='{px(y)}' text-anchor='{anchor}'{shown}>{escape(words)}</text>"


def mark(series: int, x: float, y: float, said: str = "") -> str:
    """The mark of a series, each of another shape; `said` is shown where the pointer rests on it."""
    shape = SHAPES[(series + series // len(LIGHT)) % len(SHAPES)]
    inside = f"<title>{escape(said)}</title>" if said else ""
    if not shape:
        return f"<circle class='mark {colour(series)}' cx='{px(x)}' cy='{px(y)}' r='3.7'>{inside}</circle>"
    return f"<path class='mark {colour(series)}' d='M{px(x)} {px(y)}{shape}'>{inside}</path>"


def line(series: int, points: Iterable[tuple[float, float]]) -> str:
    """The line of a series; those beyond the colours are dashed."""
    dash = DASHES[series // len(LIGHT) % len(DASHES)]
    steps = "M" + "L".join(f"{px(x)} {px(y)}" for x, y in points)
    return path(f"line {colour(series)}", steps, f" stroke-dasharray='{dash}'" if dash else "")


def colour(series: int) -> str:
    """The class of a series' colour."""
    return f"s{series % len(LIGHT)}"


def spread(wanted: Sequence[float], low: float, high: float, gap: float = LINE) -> list[float]:
    """Places at least `gap` apart and not above `high`, in the order of those that are wanted and near them."""
    order = sorted(range(len(wanted)), key=lambda k: wanted[k])
    places, least, most = [0.0] * len(wanted), low, high
    for k in order:
        places[k] = max(wanted[k], least)
        least = places[k] + gap
    for k in reversed(order):
        places[k] = min(places[k], most)
        most = places[k] - gap
    return places


def extent(words: str) -> float:
    """How wide a line of text is at most, in the widest of the fonts that browsers take."""
    return sum(4.6 if c in NARROW else 7.1 if c not in "mw" and (c.islower() or c.isdigit()) else 11 for c in words)


def within(middle: float, words: str, low: float = 0) -> float:
    """The middle of a line of text, or the nearest from which it does not reach beyond an edge."""
    half = extent(words) / 2
    return min(max(middle, low + half), WIDTH - half)


def shortened(words: str, width: float) -> str:
    """The words, or as much of their beginning and of their end as is not wider than this."""
    shown, n_letters = words, len(words)
    while extent(shown) > width:
        n_letters -= 1
        shown = f"{words[: n_letters - n_letters // 2]}…{words[len(words) - n_letters // 2 :]}"
    return shown


def short(value: float, digits: int = 3) -> str:
    """A number for people."""
    return f"{value:.{digits}g}".replace("e-0", "e-").replace("e+0", "e").replace("e+", "e")


def linear_axis(low: float, high: float, name: Callable[[float, int], str] = short) -> Axis:
    """From low to high, with ticks at round numbers; `name` makes a name of a number and so many digits."""
    largest = max(abs(low), abs(high))
    if not high - low > 1e-6 * max(largest, 1e-280):  # all values are one
        half = (largest if largest > 1e-280 else 1) / 2
        low, high = low - half, high + half
    power = 10.0 ** math.floor(math.log10((high - low) / 5))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= (high - low) / 5 * (1 - 1e-9))
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    digits = max(3, len(str(max(abs(first), abs(last)))))
    return Axis(low, high, tuple((step * k, name(step * k, digits)) for k in range(first, last + 1)))


def exponent(value: float) -> float:
    """log₁₀ of a value for a logarithmic axis; -inf, which is its floor, for zero."""
    return math.log10(value) if value > 0 else -math.inf


def log_axis(exponents: Iterable[float]) -> Axis:
    """Over all of these exponents of ten that are finite, DECADES below the highest at most, with ticks in decades."""
    finite = [e for e in exponents if math.isfinite(e)] or [0.0]
    high = max(finite)
    low = max(min(finite), high - DECADES)
    margin = max(0.04 * (high - low), (0.5 - (high - low)) / 2)
    low, high = low - margin, high + margin
    every = max(1, round((high - low) / 5))
    factors = next(factors for span, factors in FACTORS.items() if high - low < span)
    decades = [e for e in range(math.floor(low), math.ceil(high) + 1) if e % every == 0]
    ticks = [(e + math.log10(factor), in_decimals(factor, e)) for e in decades for factor in factors]
    return Axis(low, high, tuple(tick for tick in ticks if low <= tick[0] <= high))


def in_decimals(factor: float, e: int) -> str:
    """A factor from 1 to 10 times a power of ten, for people, also where no float is so small."""
    return short(factor * 10.0**e) if abs(e) <= 3 else f"{short(factor)}e{e}"
