"""How importances are distributed, with the cut; and what became of the biases."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np

from .._html import card, sentences
from .._svg import Axis, Plot, in_decimals, linear_axis, log_axis, path, px, short, text, within
from .._types import Array, Mask
from ..mlp import MLP
from ..pruning import Pruned
from ..scores import Scores

BINS = 48
LAYERS = 12  # drawn, of a deep network
NEURONS = 400  # drawn, of a wide layer
BOUND = 1e300  # of a bias that is drawn
ZEROS = 34  # pixels for the column of the zeros


def histograms(scores: Scores, pruned: Pruned | None) -> Iterator[str]:
    """The importances of all weights, then of each layer, of those that are kept and those that are removed."""
    masks = [np.ones(i.shape, bool) for i in scores.importance] if pruned is None else pruned.masks
    exponents = [_exponents(i) for i in scores.importance]
    if len(masks) > 1:
        yield _histogram("All weights", exponents, masks, pruned is not None)
    for l, (e, mask) in enumerate(zip(exponents[:LAYERS], masks)):
        yield _histogram(f"Layer {l}", [e], [mask], pruned is not None)


def _exponents(importance: Array) -> Array:
    """log₁₀ of each, -inf for zero."""
    with np.errstate(divide="ignore"):
        return np.log10(importance).astype(np.float64)


def _histogram(title: str, exponents: Sequence[Array], masks: Sequence[Mask], told: bool) -> str:
    """Counts over log₁₀ of the importance, the kept below the removed; zeros stand apart to the left."""
    kept, removed = (np.concatenate([e[m == which] for e, m in zip(exponents, masks)]) for which in (True, False))
    positive = [e[e > -np.inf] for e in (kept, removed)]
    ends = [end for e in positive if e.size for end in (float(e.min()), float(e.max()))]
    x = log_axis(ends)
    bins = [np.histogram(np.clip(e, x.low, x.high), BINS, (x.low, x.high))[0] for e in positive]
    zeros = [e.size - p.size for e, p in zip((kept, removed), positive)]
    most = max(int((bins[0] + bins[1]).max()), 1)
    plot = Plot(x, _count_axis(most), "importance", gutter=ZEROS, top=30)
    parts = [*_columns(plot, bins), *_zeros(plot, zeros, most)]
    notes = []
    if told:
        marks, note = _cut(plot, float(removed.max(initial=-np.inf)), kept, removed)
        parts += [*marks, text(plot.left, 11, f"{removed.size:,} removed", kind="label s1")]
        parts += [text(plot.edge, 11, f"{kept.size:,} kept", anchor="end", kind="label s0")]
        notes.append(note)
    if ends and min(ends) < x.low:
        n = sum(int((p < x.low).sum()) for p in positive)
        notes.append(f"{n:,} that are smaller still are in the first column.")
    weights = f"{kept.size:,} kept and {removed.size:,} removed weights" if told else f"{kept.size:,} weights"
    said = f"{weights}, of which {sum(zeros):,} have importance 0."
    return card(title, plot.draw(f"Importances: {title}", sentences(said, *notes), parts), sentences(*notes))


def _count_axis(most: int) -> Axis:
    """From 0, with ticks at whole numbers."""
    axis = linear_axis(0, most * 1.04, lambda v, _: f"{v:,.0f}")
    return Axis(0, axis.high, tuple(tick for tick in axis.ticks if abs(tick[0] - round(tick[0])) < 1e-6))


def _columns(plot: Plot, bins: Sequence[Array]) -> Iterator[str]:
    """The kept from the axis upwards, the removed on top of them."""
    width = (plot.edge - plot.left) / BINS
    below = np.zeros(BINS, int)
    for series, counts in enumerate(bins):
        yield _boxes(
            series,
            width - 0.6,
            [
                (plot.left + k * width, plot.up(int(below[k])), plot.up(int(below[k] + counts[k])))
                for k in np.flatnonzero(counts)
            ],
        )
        below = below + counts


def _zeros(plot: Plot, zeros: Sequence[int], most: int) -> Iterator[str]:
    """Weights of importance 0, which have no place on a logarithmic axis; a column that is too high is broken."""
    left, width, below, total = plot.left - ZEROS + 4, 16, 0, sum(zeros)
    shrunk = min(1, most / total) if total else 1
    yield path("axis", f"M{px(left)} {px(plot.bottom)}h{width}")
    yield text(left + width / 2, plot.bottom + 16, "0", anchor="middle")
    for series, count in enumerate(zeros):
        box = (left, plot.up(below * shrunk), plot.up((below + count) * shrunk))
        yield _boxes(series, width, [box] if count else [])
        below += count
    if shrunk < 1:
        yield path("break", f"M{px(left - 2)} {px(plot.up(0.8 * most) + 4)}l{width + 4}-8")
    if total:
        yield text(plot.left - 6, plot.up(total * shrunk) - 5, f"{total:,}", anchor="end", kind="ink halo")


def _boxes(series: int, width: float, boxes: Sequence[tuple[float, float, float]]) -> str:
    """Columns of one colour, each from its left edge, its lower and its upper end."""
    steps = [f"M{px(x)} {px(low)}V{px(high)}h{px(width)}V{px(low)}z" for x, low, high in boxes]
    return path(f"fill s{series}", "".join(steps)) if steps else ""


def _cut(plot: Plot, dearest: float, kept: Array, removed: Array) -> tuple[list[str], str]:
    """The largest importance that was removed, and how many removed ones lie above the smallest of the kept."""
    if not math.isfinite(dearest):
        return [], "Whatever is removed has importance 0." if removed.size else ""
    name = f"dearest removed {_named(dearest)}"
    at = plot.across(dearest)
    marks = [
        path("reference", f"M{px(at)} {px(plot.top)}V{px(plot.bottom)}"),
        text(within(at, name, plot.left), plot.top - 5, name, anchor="middle", kind="ink halo"),
    ]
    cheapest = float(kept.min(initial=np.inf))
    overlap = int((removed > cheapest).sum())
    if not overlap:
        return marks, "A clean cut."
    return marks, f"{overlap:,} of the removed lie above the cheapest of the kept, {_named(cheapest)}."


def _named(exponent: float) -> str:
    """A number by its log₁₀, also where no float is so small."""
    if not math.isfinite(exponent):
        return "0"
    whole = math.floor(exponent)
    factor = round(10.0 ** (exponent - whole), 2)
    return in_decimals(factor, whole) if factor < 10 else in_decimals(1, whole + 1)


def biases(before: MLP, after: MLP) -> Iterator[str]:
    """For each layer its biases before and after, neuron beside neuron, in the order of what they were before."""
    for l, (old, new) in enumerate(zip(before.biases[:LAYERS], after.biases)):
        in_double = (np.clip(b.astype(np.result_type(b, np.float64)), -BOUND, BOUND) for b in (old, new))
        yield _biases(f"Layer {l}", *(b.astype(np.float64) for b in in_double))


def _biases(title: str, old: Array, new: Array) -> str:
    moved = new - old
    chosen = np.argsort(-np.abs(moved), kind="stable")[:NEURONS]
    most = int(chosen[0])
    chosen = chosen[np.lexsort((chosen, old[chosen]))]
    low, high = float(min(old.min(), new.min())), float(max(old.max(), new.max()))
    margin = (high - low) / 20
    neurons = Axis(-0.7, len(chosen) - 0.3)
    plot = Plot(neurons, linear_axis(low - margin, high + margin), "neurons, by their bias before", top=24)
    room = (plot.edge - plot.left) / (neurons.high - neurons.low)
    width, thick = min(room * 0.7, 12), min(max(room * 0.8, 2.2), 7)
    places = [(plot.across(k), plot.up(float(old[i])), plot.up(float(new[i]))) for k, i in enumerate(chosen)]
    parts = [
        path("stem s1", "".join(f"M{px(x)} {px(y)}V{px(z)}" for x, y, z in places)),
        path("before", "".join(f"M{px(x - width / 2)} {px(y)}h{px(width)}" for x, y, _ in places)),
        path("after s1", "".join(f"M{px(x)} {px(z)}h0" for x, _, z in places), f" stroke-width='{px(thick)}'"),
        path("before", f"M{px(plot.left)} 7h12"),
        text(plot.left + 17, 11, "before"),
        path("after s1", f"M{px(plot.left + 76)} 7h0", " stroke-width='6'"),
        text(plot.left + 84, 11, "after", kind="label s1"),
    ]
    few = f"The {NEURONS} of {len(old):,} whose biases moved most." if len(chosen) < len(old) else ""
    note = f"The largest shift: {short(float(moved[most]))}, of neuron {most}." if moved.any() else "None has moved."
    ends = [short(float(end)) for b in (old, new) for end in (b.min(), b.max())]
    said = "{:,} biases, from {} to {} before and from {} to {} after. {}".format(len(old), *ends, note)
    return card(title, plot.draw(f"Biases: {title}", said, parts), sentences(few, note))
