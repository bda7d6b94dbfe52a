"""The page of a report: every picture is of the numbers that it says, and whatever is reported, the page is sound."""

from __future__ import annotations

import base64
import math
import re
import zlib
from collections.abc import Iterator
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from networks import networks
from profiles import draws
from reports import DENSE, REPORTS, of_network

import ecprune_np as ec
from ecprune_np import _html, _svg
from ecprune_np.commands import _distributions, _masks, _pixels
from ecprune_np.commands._curves import QUANTITIES
from ecprune_np.commands._page import Point, Report, page

NOTHING = Report("title", "command", "samples", DENSE, (), "table", None, None, None)
VOID = {"meta", "img"}
TAGS = VOID | {
    "html",
    "head",
    "title",
    "style",
    "body",
    "header",
    "main",
    "section",
    "h1",
    "h2",
    "h3",
    "p",
    "code",
    "pre",
}
TAGS |= {"span", "dl", "dt", "dd", "div", "figure", "figcaption", "details", "summary"}
TAGS |= {"table", "caption", "thead", "tbody", "tr", "th", "td"}
TAGS |= {
    "svg",
    "desc",
    "path",
    "circle",
    "rect",
    "text",
    "lineargradient",
    "stop",
}  # no script, nor anything that is fetched

each_report = pytest.mark.parametrize("report", REPORTS.values(), ids=REPORTS)


class Reader(HTMLParser):
    """Reads a page: its text, the attributes of all elements, and whether every element that opens is closed."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.text, self.attributes, self.tags, self._open = "", [], [], []
        self.feed(source)
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.tags.append(tag)
        self.attributes += [value for _, value in attrs]
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def drawings(text: str, title: str = "") -> list[ElementTree.Element]:
    """The drawings of a page whose title begins so."""
    found = [ElementTree.fromstring(svg) for svg in re.findall(r"<svg .*?</svg>", text, re.DOTALL)]
    return [svg for svg in found if (svg.find("title").text or "").startswith(title)]


def images(text: str, said: str) -> list[tuple[np.ndarray, list[tuple[int, ...]]]]:
    """Of every image whose description contains this, the numbers of its palette, and the palette."""
    found = re.findall(r"<img [^>]*?alt='([^']*)'[^>]*?base64,([^']*)'", text)
    return [decoded(base64.b64decode(data)) for alt, data in found if said in alt]


def decoded(png: bytes) -> tuple[np.ndarray, list[tuple[int, ...]]]:
    assert png[:8] == b"\x89PNG\r\n\x1a\n"
    chunks, at = {}, 8
    while at < len(png):
        length, kind = int.from_bytes(png[at : at + 4], "big"), png[at + 4 : at + 8]
        body = png[at + 8 : at + 8 + length]
        assert int.from_bytes(png[at + 8 + length : at + 12 + length], "big") == zlib.crc32(kind + body)
        chunks[kind], at = body, at + 12 + length
    width, height = (int.from_bytes(chunks[b"IHDR"][k : k + 4], "big") for k in (0, 4))
    assert chunks[b"IHDR"][8:] == bytes([8, 3, 0, 0, 0])  # eight bits, a palette
    rows = np.frombuffer(zlib.decompress(chunks[b"IDAT"]), np.uint8).reshape(height, 1 + width)
    assert not rows[:, 0].any()
    colours = np.frombuffer(chunks[b"PLTE"], np.uint8).reshape(-1, 3)
    return rows[:, 1:], [(*map(int, colour), alpha) for colour, alpha in zip(colours, chunks[b"tRNS"])]


def marks(svg: ElementTree.Element) -> dict[str, tuple[float, float]]:
    """Where the marks are that say what they are of."""
    found = {}
    for element in svg:
        said = element.find("title")
        if said is not None and element.tag == "circle":
            found[said.text] = float(element.attrib["cx"]), float(element.attrib["cy"])
        elif said is not None and element.tag == "path":
            x, y = re.match(r"M([-\d.]+) ([-\d.]+)", element.attrib["d"]).groups()
            found[said.text] = float(x), float(y)
    return found


def paths(svg: ElementTree.Element, kind: str) -> list[str]:
    return [element.attrib["d"] for element in svg.iter("path") if element.attrib["class"] == kind]


def words(svg: ElementTree.Element) -> list[str]:
    return [element.text or "" for element in svg.iter("text")]


# whatever is reported

number = st.none() | st.floats() | st.floats(0, 1)
names = st.text(st.characters(codec="utf-8", categories=("L", "N", "P", "S", "Zs")), min_size=1, max_size=40)
points = st.builds(Point, names, st.floats(0, 1) | st.sampled_from([0.5, 0.9, 1.0]), number, number, number)


@st.composite
def reports(draw: st.DrawFn) -> Report:
    """Any points and words; often with a network, pruned by any masks and with any importances, also all zero."""
    report = Report(*(draw(names) for _ in range(3)), draw(points), tuple(draw(st.lists(points))), "", None, None, None)
    if draw(st.booleans()):
        return report
    mlp = draw(networks(max_width=9)).mlp
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    masks = [rng.random(shape) < draw(st.sampled_from([0, 0.3, 1])) for shape in mlp.shapes]
    power = draw(st.sampled_from([1, 30, 300]))
    importance = [rng.random(shape) ** power * (rng.random(shape) < draw(st.floats(0, 1))) for shape in mlp.shapes]
    after = mlp.replace([w * m for w, m in zip(mlp.weights, masks)], [b + draw(st.floats(-9, 9)) for b in mlp.biases])
    given = draw(st.tuples(st.booleans(), st.booleans(), st.booleans()))
    before, pruned, scores = mlp, ec.Pruned(after, masks), ec.Scores(importance)
    parts = [part if use else None for part, use in zip((before, pruned, scores), given)]
    return replace(report, before=parts[0], pruned=parts[1], scores=parts[2])


def check_soundness(report: Report) -> None:
    text = page(report)
    reader = Reader(text)
    assert set(reader.tags) <= TAGS
    assert "http" not in re.sub(r"base64,[^']*", "", text) or "http" in repr(report)
    assert text.count("<h1>") == 1 and all(shown in reader.text for shown in (report.title, report.command))
    assert all(point.method in reader.text for point in report.points)
    for svg in drawings(text):
        assert svg.find("title").text and svg.find("desc") is not None
        for element in svg.iter():
            for name, value in element.attrib.items():
                assert not re.search("nan|inf", value.lower()), (name, value)
    assert reader.text.count(report.title) >= 2  # of the window, and of the page


@each_report
def test_the_page_is_sound(report):
    check_soundness(report)


@given(reports())
@draws(60)
def test_the_page_of_any_report_is_sound(report):
    check_soundness(report)


def test_a_report_of_nothing_is_a_page_with_the_table():
    reader = Reader(page(replace(NOTHING, table="one <two> & three")))
    assert "one <two> & three" in reader.text and not {"svg", "img"} & set(reader.tags)


def test_the_page_of_a_large_network_is_small():
    mlp = ec.MLP.initialize([784, 300, 100, 10], "relu", seed=0)
    scores = ec.criteria.magnitude(mlp)
    text = page(replace(NOTHING, before=mlp, pruned=ec.prune(mlp, scores, 0.5), scores=scores))
    assert len(text.encode()) < 500_000
    assert "mean over 1 by 2 of them" in text and "Of 300 neurons the 36 with the most weights left" in text


def test_of_a_deep_network_the_first_layers_are_drawn_and_all_are_in_the_table():
    text = page(REPORTS["deep"])
    n_layers = REPORTS["deep"].pruned.mlp.n_layers
    assert n_layers == 17 and len(images(text, "Mask of layer")) == 12
    assert "The first 12 of 17 layers; the table has them all." in text
    assert len(re.findall(r"<tr><td>\d+</td><td>[\d,]+ → [\d,]+</td>", text)) == n_layers


# what it costs


def with_points(*points: Point, dense: Point = DENSE) -> str:
    return page(replace(NOTHING, points=points, dense=dense))


def test_on_the_axis_of_sparsities_equal_steps_are_equal_ratios_of_what_is_kept():
    (svg,) = drawings(with_points(*(Point("m", s, 1.0, None, None) for s in (0.9, 0.99, 0.999, 0.9999))), "Loss")
    xs = [x for x, _ in marks(svg).values()]
    assert np.ptp(np.diff(xs)) <= 0.2 and len(xs) == 4, xs
    assert {"0.9", "0.99", "0.999", "0.9999"} <= set(words(svg))


def test_sparsity_1_lies_at_the_right_edge_and_this_is_said():
    text = with_points(*(Point("m", s, 0.3, None, None) for s in (0.5, 0.9, 1.0)))
    (svg,) = drawings(text, "Loss")
    xs = [x for x, _ in marks(svg).values()]
    line = next(re.fullmatch(r"M[\d.]+ [\d.]+H([\d.]+)", d) for d in paths(svg, "axis") if "H" in d)
    assert xs == sorted(xs) and xs[-1] == float(line.group(1))
    assert "Sparsity 1 lies infinitely far out on this scale" in text and "1" in words(svg)
    assert "infinitely" not in with_points(*(Point("m", s, 1.0, None, None) for s in (0.5, 0.9)))


@given(st.lists(points, min_size=1, max_size=12, unique_by=lambda p: (p.method, f"{p.sparsity:.4g}")), points)
@draws(80)
def test_higher_points_are_larger_and_points_to_the_right_are_sparser(chosen, dense):
    """Each number that can be drawn is drawn once, and neither axis is ever turned round."""
    text = with_points(*chosen, dense=dense)
    for quantity in QUANTITIES:
        known = [p for p in chosen if (v := quantity.of(p)) is not None and abs(v) < 1e300]
        svgs = drawings(text, quantity.title)
        assert len(svgs) == bool(known)
        if len({round(-math.log10(max(1 - p.sparsity, 1e-300)), 3) for p in known}) < 2:
            continue  # rows, below
        (svg,) = svgs
        found = marks(svg)
        placed = [
            (p, *found[f"{p.method} at {_svg.short(p.sparsity, 4)}: {quantity.shown(quantity.of(p))}"]) for p in known
        ]
        for (p, x, y), (q, u, v) in [(a, b) for a in placed for b in placed]:
            assert x <= u or p.sparsity >= q.sparsity - 1e-9, (p, q)
            assert y <= v or quantity.of(p) <= quantity.of(q), (p, q)


def test_values_that_are_not_finite_are_counted_and_stand_in_the_table():
    nan, inf = float("nan"), float("inf")
    text = with_points(*(Point("m", s, v, None, None) for s, v in ((0.5, nan), (0.8, inf), (0.9, 0.3), (0.95, 0.4))))
    (svg,) = drawings(text, "Loss")
    assert len(marks(svg)) == 2 and "Not drawn, being not finite or too large: 2." in text
    assert {"nan", "inf"} <= set(re.findall(r"<td class='number'>([^<]*)</td>", text))


def test_at_one_sparsity_each_network_has_a_row():
    text = page(REPORTS["one sparsity"])
    (svg,) = drawings(text, "Loss")
    shown = [element.attrib["class"] for element in svg.iter() if "mark" in element.attrib.get("class", "")]
    assert shown.count("mark s1") == 1 and shown.count("mark s0") == 8  # the dense one, and the methods
    assert "At sparsity 0.9." in text and {"dense", "ec", "wanda"} <= set(words(svg))


def test_the_best_at_each_sparsity_are_in_a_table_in_words_and_by_accuracy_the_highest():
    chosen = [
        Point(m, s, None, a, None) for m, s, a in (("a", 0.5, 0.9), ("b", 0.5, 0.8), ("a", 0.9, 0.1), ("b", 0.9, 0.2))
    ]
    text = with_points(*chosen, Point("never measured", 0.99, None, None, None))
    table = re.search(r"the best by accuracy</caption>.*?</table>", text, re.DOTALL).group()
    rows = re.findall(r"<td>([^<]*)</td><td>([^<]*)</td>.*?<td class='number'>([^<]*)</td></tr>", table)
    assert rows == [("0", "dense", "93.2 %"), ("0.5", "a", "90.0 %"), ("0.9", "b", "20.0 %")]
    (svg,) = drawings(text, "Accuracy")
    assert svg.find("desc").text == ("Dense: 93.2 %. Best at sparsity 0.5: a, 90.0 %. Best at sparsity 0.9: b, 20.0 %.")


def test_points_without_a_number_make_no_picture():
    text = with_points(Point("a", 0.5, None, None, None), Point("b", 0.5, None, None, None))
    assert drawings(text) == [] and "All points of the curves" in text


def test_a_network_beside_another_one_shows_how_far_it_is_from_it():
    points = [Point("m", s, None, None, s) for s in (0.5, 0.9)]
    assert "dense 0.25" in with_points(*points, dense=replace(DENSE, change=0.25))
    assert "dense 0" not in with_points(*points, dense=DENSE)


@given(st.lists(st.floats(0, 300), min_size=1, max_size=20))
def test_names_are_apart_in_order_and_where_they_belong_if_there_is_room(wanted):
    places = _svg.spread(wanted, 0, 300)
    order = sorted(range(len(wanted)), key=lambda k: wanted[k])
    assert all(b - a >= _svg.LINE - 1e-9 for a, b in pairwise(places[k] for k in order)) and max(places) <= 300
    if all(b - a >= _svg.LINE for a, b in pairwise(sorted(wanted))):
        assert places == wanted
    assert min(places) >= 0 or _svg.LINE * (len(wanted) - 1) > 300


@given(st.floats(-1e200, 1e200), st.floats(-1e200, 1e200))
@example(5e-324, 5e-324)  # the smallest number has no half
def test_ticks_of_a_linear_axis_are_inside_few_and_named_after_their_values(low, high):
    axis = _svg.linear_axis(min(low, high), max(low, high))
    rounding = 1e-8 * (axis.high - axis.low)
    assert 2 <= len(axis.ticks) <= 12 and len({name for _, name in axis.ticks}) == len(axis.ticks)
    for value, name in axis.ticks:
        assert axis.low - rounding <= value <= axis.high + rounding
        assert math.isclose(float(name), value, rel_tol=5e-3, abs_tol=rounding)


@given(st.lists(st.floats(-4950, 4932) | st.floats(-3, 3), max_size=5))
@example([0.0, 6.0])
def test_ticks_of_a_logarithmic_axis_are_inside_few_and_named_after_their_values(exponents):
    axis = _svg.log_axis(exponents)
    assert 1 <= len(axis.ticks) <= 12, axis
    for value, name in axis.ticks:
        assert axis.low <= value <= axis.high
        mantissa, _, e = name.partition("e")
        assert abs(math.log10(float(mantissa)) + int(e or 0) - value) < 1e-2
    assert all(axis.place(e) > 0 for e in exponents if e > max(exponents) - _svg.DECADES)
    assert axis.place(-math.inf) == 0


# what is left


@given(st.integers(1, 12), st.integers(1, 12), st.integers(0, 999))
def test_a_picture_is_read_back(height, width, seed):
    rng = np.random.default_rng(seed)
    levels, palette = rng.integers(0, 5, (height, width)), [tuple(map(int, rng.integers(0, 256, 4))) for _ in range(5)]
    found, colours = decoded(_pixels.png(levels, palette))
    assert (found == levels).all() and colours == palette


@pytest.mark.parametrize("shape", [(1, 1), (5, 3), (6, 5), (11, 23), (1, 40), (30, 2)])
def test_blocks_are_means_and_no_side_is_longer_than_the_limit(shape, monkeypatch):
    monkeypatch.setattr(_pixels, "LIMIT", 5)
    mask = np.random.default_rng(0).random(shape) < 0.4
    means, (rows, columns) = _pixels.in_blocks(mask)
    assert max(means.shape) <= 5
    for i, j in np.ndindex(means.shape):
        block = mask[i * rows : (i + 1) * rows, j * columns : (j + 1) * columns]
        assert means[i, j] == pytest.approx(block.mean(), rel=1e-15), (i, j)


@pytest.mark.parametrize("name", ["image", "iterated", "regression"])
def test_masks_are_drawn_a_pixel_a_weight(name):
    pruned = REPORTS[name].pruned
    for l, mask in enumerate(pruned.masks):
        ((levels, palette),) = images(page(REPORTS[name]), f"Mask of layer {l}")
        assert levels.shape == mask.shape and (np.array(palette)[levels, 3] == np.where(mask, 255, 0)).all()


@pytest.mark.parametrize("name", ["image", "iterated"])
def test_the_image_of_the_inputs_is_stronger_where_more_weights_are_left(name):
    pruned = REPORTS[name].pruned
    kept = pruned.masks[0].sum(axis=0)
    side = math.isqrt(kept.size)
    ((levels, palette),) = images(page(REPORTS[name]), f"{side} by {side} inputs")
    levels = levels.ravel()
    assert ((levels == 0) == (kept == 0)).all() and (kept == 0).any()
    order = np.argsort(kept, kind="stable")
    assert (np.diff(levels[order].astype(int)) >= 0).all() and levels[kept.argmax()] == len(palette) - 1
    opacities = [colour[3] for colour in palette[1:]]
    assert opacities == sorted(opacities) and opacities[0] > palette[0][3]


@pytest.mark.parametrize("name", ["image", "iterated"])
def test_the_images_of_the_neurons_show_sign_and_size_of_what_is_left(name):
    pruned = REPORTS[name].pruned
    weights, mask = pruned.mlp.weights[0], pruned.masks[0]
    side, across = math.isqrt(mask.shape[1]), math.ceil(math.sqrt(len(mask)))
    ((sheet, palette),) = images(page(REPORTS[name]), "neurons of the first layer")
    for i, (w, m) in enumerate(zip(weights, mask)):
        y, x = (side + 1) * (i // across), (side + 1) * (i % across)
        colours = np.array(palette)[sheet[y : y + side, x : x + side].ravel()]
        assert (colours[~m] == _masks.TILE).all()
        assert (colours[m & (w > 0), :3] == _pixels.BLUE).all() and (colours[m & (w < 0), :3] == _pixels.ORANGE).all()
        order = np.argsort(np.abs(w[m]), kind="stable")
        assert (np.diff(colours[m][order, 3].astype(int)) >= 0).all()
    assert "neurons the" not in page(REPORTS[name]).split("Neurons of the first layer")[1]  # for all of them are here
    n_pixels = len(mask) * side**2
    assert (np.array(palette)[sheet, 3] > 0).sum() == n_pixels  # and nothing lies between them


def test_of_blocks_of_an_image_the_strongest_weight_is_shown():
    values = np.array([[0.1, -0.5, 0.3], [0.2, 0.4, 0.0], [-0.1, 0.0, -0.9]])
    assert (_masks._strongest(values, 2) == [[-0.5, 0.3], [-0.1, -0.9]]).all()
    mlp = ec.MLP.initialize([100**2, 3, 1], seed=0)
    text = page(replace(NOTHING, pruned=ec.prune(mlp, ec.criteria.magnitude(mlp), 0.9)))
    assert "A pixel is the largest of 2 by 2 weights." in text and "mean over 1 by 20 of them" in text
    mlp = ec.MLP.initialize([100**2, 17, 1], seed=0)
    text = page(replace(NOTHING, pruned=ec.prune(mlp, ec.criteria.magnitude(mlp), 0.9)))
    assert "Of 17 neurons the 9 with the most weights left." in text


def test_a_neuron_whose_weights_are_zero_and_kept_is_drawn():
    pruned = ec.Pruned(ec.MLP([np.zeros((1, 16))], [[0.0]]), [np.arange(16).reshape(1, 16) < 5])
    ((sheet, _),) = images(page(replace(NOTHING, pruned=pruned)), "neurons of the first layer")
    assert (sheet > 1).sum() == 5


def test_bars_are_as_long_as_what_is_left():
    pruned = REPORTS["image"].pruned
    (svg,) = drawings(page(REPORTS["image"]), "Weights left in each layer")
    lengths = [float(re.match(r"M0 \d+h([\d.]+)v", d).group(1)) for d in paths(svg, "fill s0")]
    np.testing.assert_allclose(lengths, [_svg.WIDTH * m.mean() for m in pruned.masks], atol=0.05)
    assert f"{pruned.masks[0].sum():,} of {pruned.masks[0].size:,}, " in " ".join(words(svg))


@pytest.mark.parametrize("name", ["image", "iterated", "deep"])
def test_neurons_and_inputs_that_have_lost_every_weight_are_told(name):
    text = page(REPORTS[name])
    for what, axis in (("Neurons", 1), ("Inputs", 0)):
        counts = [(int((~m.any(axis=axis)).sum()), m.shape[1 - axis]) for m in REPORTS[name].pruned.masks[:12]]
        told = [f"{n} of {total} in layer {l}" for l, (n, total) in enumerate(counts) if n]
        expected = f"{what} without a weight: {', '.join(told)}." if told else f"All {what.lower()} have a weight left."
        assert expected in text


# importances and biases


def columns(svg: ElementTree.Element, kind: str) -> list[tuple[float, float, float]]:
    """Left edge, lower and upper end of the columns of a colour."""
    found = re.findall(r"M([\d.]+) ([\d.]+)V([\d.]+)h[\d.]+V[\d.]+z", " ".join(paths(svg, kind)))
    return [(float(x), float(low), float(high)) for x, low, high in found]


def histograms(report: Report) -> Iterator[tuple[ElementTree.Element, np.ndarray, np.ndarray]]:
    """The histograms, each with the importances and the mask that it is of."""
    of_layers = list(zip(report.scores.importance, report.pruned.masks))
    whole = tuple(np.concatenate([pair[k].ravel() for pair in of_layers]) for k in (0, 1))
    svgs = drawings(page(report), "Importances: ")
    assert len(svgs) == 1 + len(of_layers)
    for svg, (importance, mask) in zip(svgs, [whole, *of_layers]):
        yield svg, importance.ravel(), mask.ravel()


@pytest.mark.parametrize("name", ["image", "iterated", "regression"])
def test_columns_hold_what_is_kept_and_what_is_removed(name):
    for svg, importance, mask in histograms(REPORTS[name]):
        kept, removed = (columns(svg, f"fill s{series}") for series in (0, 1))
        of_zeros = min(x for x, *_ in [*kept, *removed]) if (importance == 0).any() else -1
        heights = [sum(low - high for x, low, high in found if x != of_zeros) for found in (kept, removed)]
        expected = [(importance[m] > 0).sum() for m in (mask, ~mask)]
        rounding = 0.1 * (len(kept) + len(removed)) / max(sum(heights), 1)
        assert heights[0] / sum(heights) == pytest.approx(expected[0] / sum(expected), abs=rounding)
        assert {f"{mask.sum():,} kept", f"{(~mask).sum():,} removed"} <= set(words(svg))
        assert f"of which {(importance == 0).sum():,} have importance 0" in svg.find("desc").text
        assert (of_zeros == -1) or f"{(importance == 0).sum():,}" in words(svg)
        tops = {x: high for x, _, high in kept}
        assert all(low == pytest.approx(tops[x], abs=0.1) for x, low, _ in removed if x in tops)


def test_a_column_of_zeros_that_is_higher_than_the_others_is_broken():
    mlp = ec.MLP([[[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]]], [[0.0]])
    for n_zeros, broken in ((1, False), (4, True)):
        scores = ec.Scores([np.array([[0.0] * n_zeros + [1.0] * (6 - n_zeros)])])
        (svg,) = drawings(page(replace(NOTHING, pruned=ec.prune(mlp, scores, 0.5), scores=scores)), "Importances: ")
        assert len(paths(svg, "break")) == broken and f"{n_zeros}" in words(svg)
        zeros = [column for kind in ("fill s0", "fill s1") for column in columns(svg, kind) if column[0] < 60]
        assert sum(low - high for _, low, high in zeros) <= 170
        if broken:  # three of the four are removed
            assert (zeros[1][1] - zeros[1][2]) / (zeros[0][1] - zeros[0][2]) == pytest.approx(3, rel=0.01)


@pytest.mark.parametrize("name", ["image", "iterated", "regression"])
def test_the_cut_is_the_largest_importance_removed_and_clean_only_where_nothing_lies_above_what_is_kept(name):
    clean = []
    for svg, importance, mask in histograms(REPORTS[name]):
        (said,) = [word for word in words(svg) if word.startswith("dearest removed ")]
        assert float(said.split()[-1]) == pytest.approx(importance[~mask].max(), rel=5e-3)
        overlap = (importance[~mask] > importance[mask].min(initial=np.inf)).sum()
        clean.append(not overlap)
        told = svg.find("desc").text
        assert ("A clean cut." in told) == clean[-1]
        assert clean[-1] or f"{overlap:,} of the removed lie above the cheapest of the kept" in told
        assert len(paths(svg, "reference")) == 1
    assert all(clean) == (name != "iterated")


def test_the_cut_parts_the_columns_of_one_shot():
    for svg, _, _ in histograms(REPORTS["image"]):
        (cut,) = [float(re.match(r"M([\d.]+)", d).group(1)) for d in paths(svg, "reference")]
        width = 3 + (_svg.WIDTH - 12 - 80) / 48
        assert all(x <= cut + 1 for x, *_ in columns(svg, "fill s1"))
        assert all(x >= cut - width for x, *_ in columns(svg, "fill s0"))


def test_where_only_what_costs_nothing_is_removed_there_is_no_cut():
    scores = ec.Scores([[[0.0, 0.0, 2.0, 3.0]]])
    mlp = ec.MLP([[[1.0, 2.0, 3.0, 4.0]]], [[0.0]])
    text = page(replace(NOTHING, pruned=ec.prune(mlp, scores, 0.5), scores=scores))
    assert "Whatever is removed has importance 0." in text and "dearest" not in text
    text = page(replace(NOTHING, pruned=ec.prune(mlp, scores, 0.0), scores=scores))
    assert "0 removed" in text and "Whatever is removed" not in text and "dearest" not in text


def test_kept_weights_that_cost_nothing_lie_below_all_that_is_removed():
    pruned = ec.Pruned(ec.MLP([[[1.0, 0.0, 0.0]]], [[0.0]]), [np.array([[True, False, False]])])
    text = page(replace(NOTHING, pruned=pruned, scores=ec.Scores([[[0.0, 0.5, 0.7]]])))
    assert "2 of the removed lie above the cheapest of the kept, 0." in text and "dearest removed 0.7" in text


def test_scores_without_a_pruned_network_are_drawn_in_one_colour():
    text = page(replace(REPORTS["image"], pruned=None))
    for svg in drawings(text, "Importances: "):
        assert columns(svg, "fill s1") == [] and columns(svg, "fill s0") and paths(svg, "reference") == []
        assert not re.search("kept|removed", " ".join([*words(svg), svg.find("desc").text]))


def test_importances_of_more_decades_than_are_drawn_are_counted():
    mlp = ec.MLP([[[1.0, 2.0, 3.0, 4.0]]], [[0.0]])
    scores = ec.Scores([[[1e-300, 1e-20, 1e-3, 1.0]]])
    text = page(replace(NOTHING, pruned=ec.prune(mlp, scores, 0.25), scores=scores))
    assert "2 that are smaller still are in the first column." in text and "dearest removed 1e-300" in text


@pytest.mark.skipif(np.finfo(np.longdouble).minexp > -2000, reason="longdouble has no wider range here")
def test_importances_that_no_double_holds_have_their_place():
    mlp = ec.MLP([np.array([[1.0, 2.0]], np.longdouble)], [np.zeros(1, np.longdouble)])
    scores = ec.Scores([np.array([[1, 2]], np.longdouble) * np.longdouble(10) ** -4000])
    text = page(replace(NOTHING, pruned=ec.prune(mlp, scores, 0.5), scores=scores))
    assert "dearest removed 1e-4000" in text and "have importance 0" in text and "of which 0 have" in text


@pytest.mark.parametrize("name", ["image", "iterated", "regression"])
def test_biases_are_drawn_before_and_after(name):
    report = REPORTS[name]
    svgs = drawings(page(report), "Biases: ")
    for svg, old, new in zip(svgs, report.before.biases, report.pruned.mlp.biases, strict=True):
        stems = re.findall(r"M([\d.]+) ([\d.]+)V([\d.]+)", paths(svg, "stem s1")[0])
        placed = np.array(stems, float)
        order = np.argsort(old, kind="stable")
        assert len(placed) == len(old) and (np.diff(placed[:, 0]) >= 0).all()
        for drawn, values in ((placed[:, 1], old[order]), (placed[:, 2], new[order])):
            rising = np.argsort(values, kind="stable")
            assert (np.diff(drawn[rising]) <= 0).all()
        moved = np.abs(new - old)
        assert not moved.any() or f"of neuron {moved.argmax()}." in svg.find("desc").text


def test_of_a_wide_layer_those_biases_are_drawn_that_moved_most():
    mlp = ec.MLP([np.ones((500, 1))], [np.zeros(500)])
    moved = mlp.replace(mlp.weights, [np.arange(500.0)])
    text = page(replace(NOTHING, before=mlp, pruned=ec.Pruned.from_zeros(moved)))
    (svg,) = drawings(text, "Biases: ")
    assert paths(svg, "stem s1")[0].count("M") == 400
    assert "The 400 of 500 whose biases moved most. The largest shift: 499, of neuron 499." in text


@pytest.mark.parametrize("dtype", [np.float32, np.longdouble])
def test_biases_of_any_precision_are_drawn_alike(dtype):
    """Without a warning, also where the bound of what is drawn is no float32."""
    before, after = ([np.array(b, dtype)] for b in ([0.5, -1.0], [0.25, 2.0]))
    mlp = ec.MLP([np.ones((2, 1), dtype)], before)
    drawn = page(replace(NOTHING, before=mlp, pruned=ec.Pruned.from_zeros(mlp.replace(mlp.weights, after))))
    double = mlp.astype(np.float64)
    pruned = ec.Pruned.from_zeros(double.replace(double.weights, after))
    assert drawn == page(replace(NOTHING, before=double, pruned=pruned))
    huge = mlp.replace(mlp.weights, [np.array([0, np.finfo(dtype).max / 2], dtype)])
    assert "inf" not in page(replace(NOTHING, before=mlp, pruned=ec.Pruned.from_zeros(huge)))


def test_biases_that_did_not_move_are_told():
    report = of_network([2, 3, 1], 0.0)
    assert page(replace(report, before=report.pruned.mlp)).count("None has moved.") == 4  # in words too


# colours


def linear(colour: str) -> np.ndarray:
    """Red, green and blue as amounts of light."""
    digits = colour.lstrip("#")
    digits = "".join(2 * d for d in digits) if len(digits) == 3 else digits
    c = np.array([int(digits[k : k + 2], 16) for k in (0, 2, 4)]) / 255
    return np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4)


def contrast(a: str, b: str) -> float:
    dark, light = sorted(float(linear(c) @ [0.2126, 0.7152, 0.0722]) for c in (a, b))
    return (light + 0.05) / (dark + 0.05)


def oklab(light: np.ndarray) -> np.ndarray:
    """Coordinates whose distances are those that are seen (Ottosson, 2020)."""
    to_lms = [[0.4122214708, 0.5363325363, 0.0514459929], [0.2119034982, 0.6806995451, 0.1073969566]]
    to_lms.append([0.0883024619, 0.2817188376, 0.6299787005])
    to_lab = [[0.2104542553, 0.7936177850, -0.0040720468], [1.9779984951, -2.4285922050, 0.4505937099]]
    to_lab.append([0.0259040371, 0.7827717662, -0.8086757660])
    return np.array(to_lab) @ np.cbrt(np.array(to_lms) @ np.clip(light, 0, 1))


SIGHT = {  # what the eye makes of light (Machado, Oliveira and Fernandes, 2009)
    "all cones": np.eye(3),
    "no red": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "no green": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
}


@pytest.mark.parametrize("sight", SIGHT)
@pytest.mark.parametrize("colours", [_html.LIGHT, _html.DARK], ids=["light", "dark"])
def test_colours_are_told_apart_by_the_colour_blind(colours, sight):
    seen = [oklab(np.array(SIGHT[sight]) @ linear(c)) for c in colours]
    nearest = min((np.linalg.norm(a - b), i, j) for j, b in enumerate(seen) for i, a in enumerate(seen[:j]))
    assert nearest[0] > 0.05, nearest  # 0.02 is just noticed
    assert np.linalg.norm(seen[0] - seen[1]) > 0.2  # kept and removed, before and after


def test_the_pictures_colours_are_seen_on_white_and_on_black():
    grounds = re.findall(r"--panel: (#\w+);", _html.STYLE)
    assert len(grounds) == 2
    for colour in (_pixels.BLUE, _pixels.ORANGE):
        assert min(contrast("#{:02x}{:02x}{:02x}".format(*colour), ground) for ground in grounds) >= 3


def test_series_beyond_the_colours_differ_in_shape_and_in_dashes():
    looks = set()
    for k in range(24):
        mark = re.sub(r"M0 0|cx='0' cy='0'", "", _svg.mark(k, 0, 0))
        looks.add((mark, re.sub(r" d='.*?'", "", _svg.line(k, [(0, 0)]))))
    assert len(looks) == 24
    assert len({re.sub(r"class='.*?'", "", _svg.mark(k, 0, 0)) for k in range(8)}) == 8


@given(st.floats(-4950, 4932))
def test_a_number_is_named_by_its_exponent(exponent):
    name = _distributions._named(exponent)
    factor, _, power = name.partition("e")
    assert 1 <= float(factor) < 10 or -3 <= exponent < 4
    assert abs(math.log10(float(factor)) + int(power or 0) - exponent) < 2.2e-3  # half a unit of the third digit


def test_names_of_ticks_do_not_reach_beyond_the_edge():
    svg = ElementTree.fromstring(_svg.Plot(_svg.Axis(0, 1, ((1, "1e-12345"),)), _svg.Axis(0, 1)).draw("", "", []))
    (name,) = svg.iter("text")
    assert float(name.attrib["x"]) + _svg.extent("1e-12345") / 2 == pytest.approx(_svg.WIDTH, abs=0.05)


@given(st.text(), st.floats(20, 200))
def test_what_is_shortened_fits_and_begins_and_ends_as_before(words, width):
    shown = _svg.shortened(words, width)
    assert _svg.extent(shown) <= width
    if shown != words:
        begin, _, end = shown.partition("…") if "…" not in words else ("", "", "")
        assert words.startswith(begin) and words.endswith(end) and _svg.extent(words) > width


def test_a_length_that_is_no_number_is_refused():
    with pytest.raises(ValueError, match="length: expected a finite number, got nan"):
        _svg.px(float("nan"))
