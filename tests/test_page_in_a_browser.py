"""What readers see of a page, in a real browser: on a telephone and on a desk, in light, in the dark, and on paper."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from browser import NAMES, Browser, browser
from reports import REPORTS

import ecprune_np as ec
from ecprune_np._html import document
from ecprune_np.commands._page import page
from ecprune_np.conformance import _html as conformance

WRONG = ec.conformance.check(
    lambda weights, biases, activation, x: ([-(w**2) for w in weights], [0 * w for w in weights]),
    ec.conformance.cases()[:6],
)
NINE = tuple(np.full((2, 2), 10.0**l) for l in range(9))
PAGES = {name: page(report) for name, report in REPORTS.items()}
PAGES |= {"conformance": conformance.page(WRONG), "nine layers": document("", [conformance._picture(NINE, NINE)])}

each_page = pytest.mark.parametrize("name", PAGES)

# Everything below is asked of the page from outside: its own scripts, if it had any, are off.
SEEN = """[...document.querySelectorAll('body *')].filter(element => element.getClientRects().length
    && !element.closest('title, desc') && [...element.childNodes].some(n => n.nodeType == 3 && n.data.trim()))"""
TOO_WIDE = """[...document.querySelectorAll('body *')].filter(element => !element.closest('.scroll *')
    && element.getBoundingClientRect().right > document.documentElement.clientWidth + 0.5)
    .map(element => element.outerHTML.slice(0, 200))"""
CUT_OFF = """[...document.querySelectorAll('svg text')].filter(text => {
    const inner = text.getBoundingClientRect(), outer = text.ownerSVGElement.getBoundingClientRect();
    return inner.width && (inner.left < outer.left - 0.5 || inner.right > outer.right + 0.5
        || inner.top < outer.top - 3 || inner.bottom > outer.bottom + 3)}).map(text => text.textContent)"""
OVERLAPPING = """[...document.querySelectorAll('svg')].flatMap(svg => {
    const texts = [...svg.querySelectorAll('text')].filter(text => text.textContent);
    const boxes = texts.map(text => text.getBoundingClientRect()), found = [];
    boxes.forEach((a, i) => boxes.slice(0, i).forEach((b, j) => {
        if (Math.min(a.right, b.right) - Math.max(a.left, b.left) > 1
            && Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top) > 3)
            found.push(texts[i].textContent + ' / ' + texts[j].textContent)}));
    return found})"""
FAINT = f"""{SEEN}.map(element => {{
    const light = colour => {{
        const c = colour.match(/[\\d.]+/g).slice(0, 3).map(v => v / 255)
            .map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
        return 0.2126 * c[0] + 0.7152 * c[1] + 0.0722 * c[2]}};
    let behind = element;
    while (behind.parentElement && getComputedStyle(behind).backgroundColor == 'rgba(0, 0, 0, 0)')
        behind = behind.parentElement;
    const style = getComputedStyle(element);
    const [a, b] = [light(element.closest('svg') ? style.fill : style.color),
        light(getComputedStyle(behind).backgroundColor)];
    return [element.textContent.slice(0, 40), (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05)]}})
    .filter(([words, contrast]) => !(contrast >= 4.5))"""
LOST_IMAGES = "[...document.images].filter(image => !image.naturalWidth || !image.alt).map(image => image.alt)"
FOLDED = "[...document.querySelectorAll('details > div')].filter(element => !element.checkVisibility()).length"
GROUND = "getComputedStyle(document.body).backgroundColor"


@pytest.fixture(scope="module")
def window(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with browser(tmp_path_factory.mktemp("browser")) as opened:
        yield opened


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("pages")
    written = {name: folder / f"{name}.html" for name in PAGES}
    for name, file in written.items():
        file.write_text(PAGES[name], encoding="utf-8")
    return written


@each_page
@pytest.mark.parametrize(("width", "dark"), [(390, True), (1200, False)], ids=["telephone, dark", "desk, light"])
def test_all_of_it_is_seen(window, files, name, width, dark):
    window.open(files[name], width, dark=dark)
    assert window.evaluate("[innerWidth, document.documentElement.scrollWidth]") == [width, width]
    assert window.evaluate(TOO_WIDE) == []
    assert window.evaluate(CUT_OFF) == []
    assert window.evaluate(OVERLAPPING) == []
    assert window.evaluate(FAINT) == []
    assert window.evaluate(LOST_IMAGES) == []
    assert window.evaluate(GROUND) == ("rgb(20, 23, 28)" if dark else "rgb(255, 255, 255)")
    assert window.messages == []
    assert [address for address in window.requests if not address.startswith("data:")] == [files[name].as_uri()]


@each_page
def test_on_paper_it_is_white_and_nothing_is_folded_away(window, files, name):
    window.open(files[name], 690, dark=True, media="print")
    assert window.evaluate("document.documentElement.scrollWidth") == 690
    assert window.evaluate(TOO_WIDE) == [] and window.evaluate(FAINT) == []
    assert window.evaluate(GROUND) == "rgb(255, 255, 255)"
    assert window.evaluate(FOLDED) == 0
    window.open(files[name], 690)
    assert (window.evaluate(FOLDED) > 0) == (name in REPORTS)


def test_on_a_desk_there_are_several_pictures_side_by_side_and_on_a_telephone_one(window, files):
    for width, n_columns in ((1200, 3), (390, 1)):
        window.open(files["image"], width)
        lefts = {round(box["left"]) for box in window.boxes(".card")}
        assert len(lefts) == n_columns, (width, lefts)


def test_an_option_of_the_command_is_in_one_line(window, files):
    """A line that ends in the first of its two hyphens is no command."""
    ends = set()
    for width in range(320, 700, 25):
        window.open(files["image"], width)
        lines = "[...document.querySelectorAll('header code span')].map(option => option.getClientRects().length)"
        assert window.evaluate(lines) == [1, 1, 1]
        ends |= {round(box["right"]) for box in window.boxes("header code span")}
    assert len(ends) > 6  # the lines have broken in several places


def test_on_a_telephone_letters_are_large_enough(window, files):
    window.open(files["compare"], 390)
    sizes = window.evaluate(
        "[...document.querySelectorAll('svg')].map(svg => 11 * svg.getBoundingClientRect().width / 360)"
    )
    assert min(sizes) > 10.5, sizes


def test_the_picture_of_a_page_is_of_all_of_it(window, files, tmp_path):
    window.open(files["image"], 390)
    height = window.evaluate("document.documentElement.scrollHeight")
    header = window.screenshot(tmp_path / "page.png").read_bytes()[:24]
    assert [int.from_bytes(header[k : k + 4], "big") for k in (16, 20)] == [390, height] and height > 2000
    assert window.pdf(tmp_path / "page.pdf").read_bytes().startswith(b"%PDF-")


def test_a_mask_has_its_colours_where_it_says(window, files, tmp_path):
    """The picture is a PNG for the browser too, not for the tests alone."""
    mask = REPORTS["image"].pruned.masks[1]
    window.open(files["image"], 1200)
    seen = window.evaluate(
        "(() => { const image = [...document.images].find(i => i.alt.startsWith('Mask of layer 1'));"
        "const canvas = document.createElement('canvas');"
        "[canvas.width, canvas.height] = [image.naturalWidth, image.naturalHeight];"
        "const context = canvas.getContext('2d'); context.drawImage(image, 0, 0);"
        "return [...context.getImageData(0, 0, canvas.width, canvas.height).data].filter((_, k) => k % 4 == 3) })()"
    )
    np.testing.assert_array_equal(np.array(seen).reshape(mask.shape), np.where(mask, 255, 0))


def test_the_checks_see_what_is_wrong(window, tmp_path):
    """So that none of the above passes because it measures nothing."""
    wrong = tmp_path / "wrong.html"
    wrong.write_text(
        "<!DOCTYPE html><meta name='viewport' content='width=device-width'><style>body { background: #fff }</style>"
        "<p style='width: 500px; color: #bbb'>faint and wide</p><script>document.body.innerHTML = ''</script>"
        "<svg width='100' height='40'><text x='10' y='20'>one</text><text x='15' y='22'>other</text>"
        "<text x='80' y='35'>cut off</text></svg><img src='missing.png' alt='lost'>"
    )
    window.open(wrong, 390)
    assert "faint and wide" in window.evaluate(TOO_WIDE)[0]
    assert window.evaluate("document.documentElement.scrollWidth") > 390
    assert window.evaluate(CUT_OFF) == ["cut off"]
    assert window.evaluate(OVERLAPPING) == ["other / one"]
    assert [words for words, _ in window.evaluate(FAINT)] == ["faint and wide"]
    assert window.evaluate(LOST_IMAGES) == ["lost"]
    assert "ERR_FILE_NOT_FOUND" in window.messages[0]
    assert window.requests == [wrong.as_uri(), (tmp_path / "missing.png").as_uri()]
    with pytest.raises(ValueError, match="ReferenceError: nothing is not defined"):
        window.evaluate("nothing")
    with pytest.raises(ValueError, match=r"Page\.navigate"):
        window._send("Page.navigate")


def test_without_a_browser_the_tests_are_skipped_with_the_reason(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(pytest.skip.Exception, match=f"none of {', '.join(NAMES)} is installed"), browser(tmp_path):
        pass
    (tmp_path / "chromium").write_text("#!/bin/sh\necho no display\n")
    (tmp_path / "chromium").chmod(0o755)
    with pytest.raises(pytest.skip.Exception, match=r"does not start.*no display"), browser(tmp_path):
        pass
