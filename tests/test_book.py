"""The book: built from the clone as it is; what is wrong in a clone fails the build; each page in a real browser."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import browser
import pytest
from profiles import every

from ecprune_np import book, equations
from ecprune_np.__main__ import main

ROOT = Path(__file__).resolve().parent.parent
ALL = equations.numbered_equations()
NO = "EC-"  # before the number of a label that there is not, so that no search for labels finds it here


@pytest.fixture(scope="module")
def site():
    pytest.importorskip("latex2mathml", reason="formulas are typeset by the extra `book`")
    pytest.importorskip("mdit_py_plugins", reason="Markdown is read by the extra `book`")
    pytest.importorskip("pygments", reason="code is coloured by the extra `book`")
    from ecprune_np.book import _site

    return _site


@pytest.fixture(scope="module")
def files(site) -> dict[str, str]:
    """The pages, whose examples are tests of their own (`derivations/*.md`)."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(site, "failing_examples", lambda text, name: ())
        made = site.Book(ROOT)
        pages = made.pages()
    assert made.wrong == []
    return pages


def chapter(label: str) -> str:
    return next(e.page for e in ALL if e.label == label).split("/")[1].replace(".md", ".html")


# what is on the pages


def test_every_equation_function_and_test_leads_to_the_others(files, site) -> None:
    places = site.Book(ROOT).places
    for e in ALL:
        page, index = files[chapter(e.label)], files["equations.html"]
        start = page.index(f"id='{e.label}'")
        pair = page[start : page.find("<section class='pair'>", start)]
        assert f"href='{chapter(e.label)}#{e.label}'" in index
        for place in (*e.implemented, *e.tested):
            link = f"href='{places[place].link}'"
            assert link in pair and link in index, (e.label, place)
            source, anchor = places[place].link.split("#")
            start = files[source].index(f"<h2 id='{anchor}'>")
            head = files[source][start : files[source].index("</section>", start)]
            assert f"href='{chapter(e.label)}#{e.label}'" in head, (e.label, place)
            for other in e.tested if place in e.implemented else e.implemented:
                assert f"href='{places[other].link}'" in head, (e.label, place, other)


def test_functions_are_shown_by_their_names_and_tests_in_words(files, site) -> None:
    places = site.Book(ROOT).places
    shown = {
        "ecprune_np.moments.Moments.merge": "<code>moments.Moments.merge</code>",
        "tests/test_moments.py::test_moments_are_their_definitions": "moments are their definitions "
        "<span class='quiet'>test_moments</span>",
    }
    for place, words in shown.items():
        assert f"<a href='{places[place].link}'>{words}</a>" in files["equations.html"], place
    for page, place, words in (
        ("source-moments.html", "moments_by_definition", "moments_by_definition"),
        ("test_moments.html", "test_blocks_do_not_matter", "blocks do not matter"),
    ):
        assert f"<h2 id='{place}'><code>{words}</code></h2>" in files[page]


def test_every_equation_says_of_which_kind_it_is_beside_its_name_and_in_the_index(files) -> None:
    index = files["equations.html"]
    assert all(f"<td>{kind}</td>" in index[: index.index("class='entry'")] for kind in equations.KINDS)
    for e in ALL:
        page = files[chapter(e.label)]
        head = page[page.index(f"<div class='equation' id='{e.label}'>") :].split("</p>")[0]
        assert f"<a class='kind' href='equations.html#kinds'>{e.kind}</a>" in head, e.label
        entry = index[index.index(f"<section class='entry' id='{e.label}'>") :].split("</h2>")[0]
        assert f"<span class='kind'>{e.kind}</span>" in entry, e.label


def test_a_listing_has_every_line_of_its_function_but_the_docstring(files, site) -> None:
    source, definition = site.Book(ROOT).places["ecprune_np.moments.moments_by_definition"]
    listing = source.listing(definition)
    shown = [int(n) for n in re.findall(r"data-n='(\d+)'", listing)]
    first, last = definition.prose
    assert shown == [n for n in range(definition.first, definition.last + 1) if not first <= n <= last]
    plain = re.sub(r"<[^>]+>", "", listing).replace("&quot;", '"').replace("&gt;", ">").splitlines()
    text = source.text.split("\n")
    assert plain == [text[n - 1] for n in shown]


def test_annotated_pages_have_every_line_once_as_code_or_as_prose(files, site) -> None:
    made = site.Book(ROOT)
    for source in (*made.sources.values(), *made.tests.values()):
        code = [n for _, _, lines in source.rows() for n in lines]
        assert code == sorted(set(code)), source.path
        hidden = {n for d in source.definitions.values() if d.docstring for n in range(d.prose[0], d.prose[1] + 1)}
        module = re.match(r'"""(?:.|\n)*?"""\n', source.text)
        hidden |= set(range(1, module[0].count("\n") + 1)) if module else set()
        for n, line in enumerate(source.text.split("\n"), 1):
            if line.strip() and not line.lstrip().startswith("#"):
                assert (n in code) != (n in hidden), f"{source.path}:{n}"


def test_of_a_file_without_a_docstring_every_line_is_code(site, tmp_path: Path) -> None:
    file = tmp_path / "plain.py"
    file.write_text("import os\n\nprint(os.name)\n")
    assert [lines for _, _, lines in site.Source(file, "plain.py", "source-plain.html").rows()] == [[1, 2, 3]]


def test_the_table_of_symbols_is_on_every_page_and_letters_say_what_they_mean(files) -> None:
    for name, html in files.items():
        if name.endswith(".html"):
            assert "Gauss-Newton matrix" in html and "quadratic form of a set" in html, name
    importance = re.findall(r"id='EC-3.5'>.*?<span class='math' title='([^']*)'", files[chapter("EC-3.5")])
    assert {"s_i: J_iᵀ M J_i", "v_ij: E[s_i (a_j - μ_ij)^2]: variance"} <= set(importance[0].splitlines())
    remainder = re.findall(r"id='EC-8.5'>.*?</math>", files[chapter("EC-8.5")], re.DOTALL)[0]
    assert "remainder beyond first order" in remainder


def test_a_row_of_the_table_has_one_letter_and_a_letter_one_row(site) -> None:
    letters = [(s.letter, s.row.split(":")[0]) for s in site.Book(ROOT).symbols]
    assert len({letter for letter, _ in letters}) == len(letters)
    assert [row for _, row in letters if ", " in row] == []


@pytest.mark.parametrize(
    ("letter", "pages"),
    [("ρ", "08"), ("κ", "08 09"), ("Q", "05"), ("H", "05 06 14"), ("u", "07 09 11 12"), ("ω", "01")],
)
def test_a_letter_of_the_table_stands_for_nothing_else(files, letter: str, pages: str) -> None:
    """These are letters that other quantities would like to have."""
    mark = f'data-letter="{letter}"'
    # the table of symbols stands at the end of each page
    found = [name[:2] for name, html in sorted(files.items()) if mark in html.split("<details class='symbols'>")[0]]
    assert [name for name in found if name.isdigit()] == pages.split()


def test_every_marked_letter_says_which_it_is_and_nothing_is_empty(files) -> None:
    for name, page in files.items():
        marked = re.findall(r"<(mi|mover)([^>]* class=\"symbol\"[^>]*)>", page)
        assert all('data-letter="' in attributes for _, attributes in marked), name
        assert not re.search(r"<(p|ul|li|pre|section)>\s*</\1>", page), name
    assert len(re.findall('class="symbol"', files["03-elimination-and-compensation.html"])) > 100


def test_the_first_page_has_the_title_of_the_book(site, files) -> None:
    assert re.findall("<h1>(.*?)</h1>", files["index.html"]) == [site.TITLE]


def test_each_file_on_the_first_page_has_the_labels_of_what_it_computes(files) -> None:
    page = files["index.html"]
    page = page[page.index("<h2>The street</h2>") :]
    seen: dict[str, list[str]] = {}
    for item in re.findall(r"<li>(?:<h3>)?<a href='source-.*?</li>", page, re.DOTALL):
        module = re.match(r".*?href='source-([\w.]+)\.html'", item)[1]
        seen[module] = re.findall(r">(EC-[\d.]+)</a>", item.partition("class='labels'")[2] or item)
    assert "scores" in seen and "oracle._loops" in seen
    for module, labels in seen.items():
        name = f"ecprune_np.{module}."
        expected = [e.label for e in ALL if any(place.startswith(name) for place in e.implemented)]
        assert labels == expected, module


def test_each_chapter_leads_to_the_one_before_and_the_one_after(files) -> None:
    for before, page, after in zip(["", *CHAPTERS], CHAPTERS, [*CHAPTERS[1:], ""]):
        turn = re.findall(r"<a rel='(prev|next)' href='([^']*)'>", files[f"{page}.html"])
        assert turn == [(rel, f"{to}.html") for rel, to in (("prev", before), ("next", after)) if to], page


def test_a_function_that_prose_names_is_a_link_to_its_code(site, files) -> None:
    page = files[chapter("EC-3.5")]
    assert "<a href='source-streaming.collect.html#collect_moments'><code>collect_moments</code></a>" in page
    names = site.Book(ROOT).by_name
    assert names["ec.prune"] == "source-pruning.one_shot.html#prune" and "prune" not in names  # a word of every day
    assert names["mlp.forward"] == names["ec.mlp.forward"] == names["ec.forward"] == "source-mlp.html#forward"
    assert not [name for name in names if name.startswith("test_") or "._" in name]


def test_examples_stand_with_their_output(files) -> None:
    page = re.sub(r"<[^>]+>", "", files[chapter("EC-3.5")])
    assert (
        "&gt;&gt;&gt; scores.importance[0].tolist(), scores.bias_shift[0].tolist()\n([[8.0, 0.0]], [[4.0, -3.0]])"
        in page
    )


EXERCISE = re.compile(r"<strong>\d\. (?:What changes if|Find the mistake)\.?</strong>")
CHAPTERS = sorted(page.stem for page in (ROOT / "derivations").glob("[0-9][0-9]-*.md"))


@pytest.mark.parametrize("page", CHAPTERS)
def test_each_chapter_ends_in_exercises_whose_answers_are_executed_and_fold(files, page: str) -> None:
    _, exercises = files[f"{page}.html"].split("<h2>Exercises</h2>")
    exercises = exercises[: exercises.index("</div><aside>")]
    _, *answers = exercises.split("<details><summary>Answer</summary>")
    assert len(answers) == len(EXERCISE.findall(exercises)) >= 2
    for n, answer in enumerate(answers, 1):
        answer, between = answer.split("</details>")
        assert len(EXERCISE.findall(between)) == (n < len(answers)), "a question without an answer, or two answers"
        assert "<a class='label'" in answer, f"answer {n} names no equation"
        assert 'class="go"' in answer, f"answer {n} prints nothing"


def test_a_page_that_proves_nothing_shows_what_it_cites(files) -> None:
    aside = re.findall(r"<aside><div class='equation'>(.*?)</aside>", files["00-one-neuron.html"], re.DOTALL)
    assert [re.findall(r"<a class='tag' href='([^']*)'", cited) for cited in aside][:2] == [
        [f"{chapter('EC-1.1')}#EC-1.1"],
        [f"{chapter('EC-3.6')}#EC-3.6"],
    ]


# formulas


@pytest.mark.parametrize(
    ("latex", "elements"),
    [
        (r"\lVert x \rVert", ["mo:‖", "mi:x", "mo:‖"]),
        (r"\Bigl\lvert x \Bigr\rvert", ["mo:|", "mi:x", "mo:|"]),
        (r"\bigl( x \bigr]", ["mo:(", "mi:x", "mo:]"]),
        (r"\lbrace x \rbrace", ["mo:{", "mi:x", "mo:}"]),
        (r"p \iff q", ["mi:p", "mo:⟺", "mi:q"]),
        (r"\mathrm{KL}", ["mo:KL"]),
        (r"\mathop{\mathrm{erfc}} x", ["mo:erfc", "mi:x"]),
        (r"\arg\min x", ["mo:arg", "mo:min", "mi:x"]),
        (r"A \setminus B", ["mi:A", "mo:∖", "mi:B"]),
        (r"\tilde a", ["mi:a", "mo:˜"]),
        (r"\sigma'", ["mi:σ", "mo:′"]),
        (r"\begin{aligned} a &= b \cr c &= d \end{aligned}", ["mi:a", "mo:=", "mi:b", "mi:c", "mo:=", "mi:d"]),
        (r"x = 1 \tag{1}", ["mi:x", "mo:=", "mn:1"]),
    ],
)
def test_what_the_library_gets_wrong_is_put_right(site, latex: str, elements: list[str]) -> None:
    from ecprune_np.book._mathml import mathml

    leaves = [e for e in mathml(latex).iter() if e.tag in ("mi", "mo", "mn", "mtext") and e.text]
    assert [f"{e.tag}:{e.text}" for e in leaves] == elements


def test_rows_are_rows_and_sums_have_their_limits_below(site) -> None:
    from ecprune_np.book._mathml import mathml

    tags = [e.tag for e in mathml(r"\begin{aligned} a &= b \cr c &= d \end{aligned}", True).iter()]
    assert (tags.count("mtr"), tags.count("mtd")) == (2, 4)
    assert [e.tag for e in mathml(r"\sum_j \max_k a", True).iter() if e.tag.startswith("mun")] == ["munder"] * 2
    assert [e.tag for e in mathml(r"\sum_j \max_k a").iter() if e.tag.startswith("mun")] == []
    assert [e.tag for e in mathml(r"\partial f / \partial z").iter() if e.text == "∂"] == ["mi", "mi"]
    assert [e.get("lspace") for e in mathml("a / b").iter() if e.text == "/"] == ["0"]
    plain, sized = (mathml(latex)[0][0].attrib for latex in (r"\lvert x \rvert", r"\Bigl\lvert x \Bigr\rvert"))
    assert (plain["form"], plain["stretchy"]) == ("prefix", "false")
    assert (sized["form"], sized["stretchy"], sized["minsize"]) == ("prefix", "true", "1.623em")
    spaces = [e.attrib for e in mathml(r"2 \log p + \log(q)").iter() if e.text == "log"]
    assert [(a["lspace"], a["rspace"]) for a in spaces] == [("0.17em", "0.17em"), ("0", "0")]


@pytest.mark.parametrize("latex", [r"\unheardof x", r"x & y", r"\frac{1}", r"{x", " ", r"x \left( y"])
def test_what_is_not_understood_is_an_error(site, latex: str) -> None:
    from ecprune_np.book._mathml import mathml

    with pytest.raises(ValueError, match=r"^formula: "):
        mathml(latex)


def test_text_stands_with_the_equation_before_it_up_to_a_heading_or_the_next(site) -> None:
    book = site.Book(ROOT)
    first, second = ALL[0].label, ALL[1].label
    one, two = (f"$$\nx\n\\tag{{{label}}}\n$$" for label in (first, second))
    text = "\n\n".join(["# A", "b", one, "c", "d", "```\n>>> 1 + 1\n2\n```", "e", "# F", two])
    pairs = list(site.Reader(book.symbols).pairs(text, book.equations))
    shown = [(pair.label, re.findall(r"<(?:p|h1)>(.)", pair.prose), len(pair.examples)) for pair in pairs]
    assert shown == [(first, ["A", "b", "c", "d"], 1), ("", ["e"], 0), (second, ["F"], 0)]


def test_a_formula_in_a_line_may_be_broken_behind_its_relations(site) -> None:
    reader = site.Reader(site.Book(ROOT).symbols)
    html = reader.html("where $a = b \\le c$.")
    assert [re.sub(r"<[^>]+>", "", part) for part in html.split("<wbr>")] == ["where a=", "b≤", "c\u2060.\n"]
    assert reader.html("$-a + (b + c) =$").count("<math") == 2
    for latex, parts in {
        "(a - b)^2 + c": ["(a−b)2+", "c"],  # the bracket is closed by what has the exponent
        r"\lVert a - b \rVert - c": ["‖a−b‖−", "c"],
        r"a, b = [c = d], \qquad e \le f": ["a,b=", "[c=d],", "e≤", "f"],
    }.items():
        html = reader.html(f"$$\n{latex}\n$$\n")
        assert [re.sub(r"<[^>]+>|\n", "", part) for part in html.split("<wbr>")] == parts
    for part in re.findall(r"<math.*?</math>", html):
        ElementTree.fromstring(part)


# what fails the build


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A clone whose pages may be changed."""
    shutil.copytree(ROOT / "derivations", tmp_path / "derivations")
    for folder in ("ecprune_np", "tests"):
        (tmp_path / folder).symlink_to(ROOT / folder)
    return tmp_path


@pytest.mark.skipif(sys.platform == "win32", reason="symbolic links need a privilege there")
def test_every_kind_of_mistake_is_found(site, clone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def change(page: str, old: str, new: str) -> None:
        (file,) = (clone / "derivations").glob(page)
        text = file.read_text(encoding="utf-8")
        assert old in text
        file.write_text(text.replace(old, new, 1), encoding="utf-8")

    change("01-*.md", "Only ratios", f"By {NO}3.99, {NO}77 and [elsewhere](nowhere.md), only ratios")
    change("03-*.md", "([[8.0, 0.0]], [[4.0, -3.0]])", "([[8.0, 0.0]], [[4.0, 3.0]])")
    change("04-*.md", "## ", "With $\\unheardof{x}$.\n\n## ")
    change("08-*.md", "## ", "With $x.\n\n## ")
    change("09-*.md", r"\tag{EC-9.1}", r"\tag{" + f"{NO}9.77" + "}")
    change("11-*.md", "Among the", f"By {NO}12.1, among the")
    lost = replace(
        ALL[0],
        implemented=("ecprune_np.mlp.unheard_of", "ecprune_np.unheard_of.f"),
        tested=("tests/test_scores.py::test_nothing",),
    )
    monkeypatch.setattr(site, "numbered_equations", lambda: (lost, *ALL[1:]))
    failing = site.failing_examples
    monkeypatch.setattr(site, "failing_examples", lambda text, name: failing(text, name) if name[:2] == "03" else ())
    made = site.Book(clone)
    made.pages()
    for wanted in (
        f"01-network.md: there is no {NO}3.99",
        f"01-network.md: there is no {NO}77",
        "01-network.html: dead link nowhere.md",
        "03-elimination-and-compensation.md: 1 examples print something else",
        "([[8.0, 0.0]], [[4.0, -3.0]])",
        r"04-output-metrics.md: formula: '\\unheardof{x}' is not typeset",
        "08-beyond-first-order.md: formula: not typeset in 'With $x.'",
        f"09-oracles.md: there is no {NO}9.77 in equations.json",
        "equations.html: dead link 09-oracles.html#EC-9.1",
        f"11-one-number.md: there is no {NO}12.1",
        "EC-1.1: there is no ecprune_np.mlp.unheard_of",
        "ecprune_np.unheard_of.f: there is no such module",
        "EC-1.1: there is no tests/test_scores.py::test_nothing",
    ):
        assert any(wanted in wrong for wrong in made.wrong), wanted


def test_examples_that_need_what_is_not_here_are_left_out_and_said(site, monkeypatch: pytest.MonkeyPatch) -> None:
    text = (
        '>>> import re\n>>> a = pytest.importorskip("no_such_package")\n>>> b = shutil.which("no_such_program") or 0\n'
    )
    assert site.absent(text) == ["no_such_package", "no_such_program"]
    assert site.absent(text.replace("no_such_package", "numpy").replace("no_such_program", "ls")) == []
    page = next(k for k, c in enumerate(site.Book(ROOT).chapters) if c.name.startswith("13"))
    needed = site.NEEDED.findall((ROOT / "derivations" / "13-port-it.md").read_text(encoding="utf-8"))
    assert {name for _, name in needed} >= {"pytest", "torch", "jax", "cc"}
    monkeypatch.setattr(site, "absent", lambda _: ["torch", "cc"])
    monkeypatch.setattr(site, "failing_examples", None)
    book = site.Book(ROOT)
    book.chapter(page)
    assert book.left_out == ["13-port-it.md: its examples are not executed, without torch, cc"] and book.wrong == []


def test_links_are_followed_and_anchors_stand_once(site) -> None:
    pages = {
        "a.html": "<p id='x'></p><p id='x'></p><a href='b.html#y'></a><a href='#x'></a>",
        "b.html": "<img src='c.svg'>",
    }
    pages["a.html"] += "<a href='https://elsewhere.org/x'></a>"
    wanted = ["a.html: the anchor x stands twice", "a.html: dead link b.html#y", "b.html: dead link c.svg"]
    assert site.dead_links(pages) == wanted


def test_what_no_test_executes_is_listed(site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert site.untested(tmp_path) == []
    monkeypatch.setattr(site, "numbered_equations", lambda: (replace(ALL[0], tested=()), *ALL[1:]))
    measured = {"a.py": {"missing_lines": []}, "b.py": {"missing_lines": [3, 5]}}
    (tmp_path / "coverage.json").write_text(json.dumps({"files": measured}), encoding="utf-8")
    assert site.untested(tmp_path) == [
        "EC-1.1 preactivation: no test cites it",
        "b.py: no test executes the lines 3, 5",
    ]


# the command


def test_the_command_writes_what_was_made_and_shows_it(site, files, tmp_path, monkeypatch, capsys) -> None:
    shown: list[str] = []
    monkeypatch.setattr(site.Book, "pages", lambda self: files)
    monkeypatch.setattr(site, "untested", lambda root: ["EC-1.1 preactivation: no test cites it"])
    monkeypatch.setattr("webbrowser.open", shown.append)
    assert main(["book", "--out", str(tmp_path / "out")]) == 0 and shown == []
    assert main(["book", "--out", str(tmp_path / "out"), "--open"]) == 0
    assert shown == [(tmp_path / "out" / "index.html").as_uri()]
    pages = sum(name.endswith(".html") for name in files)
    line = f"{pages} pages: {tmp_path / 'out' / 'index.html'}"
    assert capsys.readouterr().out.splitlines() == ["EC-1.1 preactivation: no test cites it", line] * 2
    written = {f.relative_to(tmp_path / "out").as_posix() for f in (tmp_path / "out").rglob("*") if f.is_file()}
    assert written == set(files)


def test_nothing_is_written_where_something_is_wrong(site, tmp_path, monkeypatch, capsys) -> None:
    def pages(self):
        self.wrong += [f"a.md: there is no {NO}3.99"] * 2
        return {"index.html": ""}

    monkeypatch.setattr(site.Book, "pages", pages)
    assert main(["book", "--out", str(tmp_path / "out")]) == 1
    assert capsys.readouterr() == ("", f"a.md: there is no {NO}3.99\n")
    assert not (tmp_path / "out").exists()


def test_one_line_says_what_is_missing(tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.setitem(sys.modules, "ecprune_np.book._site", None)
    assert main(["book", "--out", str(tmp_path / "out")]) == 2
    said = capsys.readouterr().err
    assert said.startswith("book: needs the extra `book`: pip install") and said.count("\n") == 1
    monkeypatch.setattr(book, "SOURCE", tmp_path)
    assert main(["book", "--out", str(tmp_path / "out")]) == 2
    said = capsys.readouterr().err
    assert said.startswith("book: needs a clone") and said.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_importing_the_package_imports_nothing_of_it() -> None:
    code = "import sys, ecprune_np.__main__; print([m for m in sys.modules if m.split('.')[0] in sys.argv[1:]])"
    libraries = ["latex2mathml", "markdown_it", "mdit_py_plugins", "pygments"]
    run = subprocess.run([sys.executable, "-c", code, *libraries], capture_output=True, text=True, check=True)
    assert run.stdout == "[]\n"


# in a browser


@pytest.fixture(scope="module")
def window(tmp_path_factory: pytest.TempPathFactory) -> Iterator[browser.Browser]:
    with browser.browser(tmp_path_factory.mktemp("browser")) as running:
        yield running


@pytest.fixture(scope="module")
def folder(files, tmp_path_factory: pytest.TempPathFactory) -> Path:
    to = tmp_path_factory.mktemp("book")
    (to / "figures").mkdir()
    for name, text in files.items():
        (to / name).write_text(text, encoding="utf-8")
    return to


LOOK = """(() => {
  document.querySelectorAll("details").forEach((element) => (element.open = true));
  const flat = [...document.querySelectorAll("math, img")].filter((element) => {
    const box = element.getBoundingClientRect();
    return !(box.width > 2 && box.height > 2);
  });
  const links = [...document.querySelectorAll("a[href]")].map((a) => a.getAttribute("href"));
  const wide = document.documentElement.scrollWidth - document.documentElement.clientWidth;
  return { flat: flat.map((e) => e.outerHTML), links: [...new Set(links)], wide };
})()"""


def test_every_page_in_a_browser(window: browser.Browser, folder: Path, files) -> None:
    """No error in the console, nothing from the network, each formula has a size, links end, all fit the width.

    Of the pages of tests, which are listings all, some are opened, to be done in time.
    """
    anchors = {name: set(re.findall(r"\bid='([^']*)'", html)) for name, html in files.items()}
    names = sorted(name for name in files if name.endswith(".html"))
    listings = [name for name in names if name.startswith("test_")]
    skipped = set(listings) - set(listings[every(2)])
    for n, name in enumerate(name for name in names if name not in skipped):
        window.open(folder / name, (1440, 390)[n % 2], dark=n % 3 == 0, scripts=True)
        seen = window.evaluate(LOOK)
        assert (window.messages, seen["flat"]) == ([], []), name
        assert seen["wide"] <= 0, f"{name} is {seen['wide']} px too wide"
        assert all(address.startswith(folder.as_uri()) for address in window.requests), window.requests
        for link in seen["links"]:
            to, _, anchor = link.partition("#")
            assert link.startswith("https://") or (to or name) in files, (name, link)
            assert not anchor or anchor in anchors[to or name], (name, link)


def test_no_formula_is_wider_than_its_column(window, folder) -> None:
    wide = """[...document.querySelectorAll(".display")]
      .filter((element) => element.scrollWidth > element.clientWidth).map((element) => element.textContent)"""
    for page in CHAPTERS:
        window.open(folder / f"{page}.html", 1280)
        assert window.evaluate(wide) == [], page


def test_prose_and_code_are_side_by_side_and_one_below_the_other_on_a_telephone(window, folder) -> None:
    page = folder / chapter("EC-3.5")
    window.open(page, 1440)
    prose, aside = window.boxes(".pair > .prose")[3], window.boxes(".pair > aside")[3]
    assert prose["right"] < aside["left"] and abs(prose["top"] - aside["top"]) < 2
    window.open(page, 390)
    prose, aside = window.boxes(".pair > .prose")[3], window.boxes(".pair > aside")[3]
    assert prose["bottom"] <= aside["top"] and aside["right"] <= 390


def test_it_is_read_without_a_script_and_pointed_at_with_one(window, folder) -> None:
    page = folder / chapter("EC-3.5")
    window.open(page, 1440)
    title = "document.querySelector('.equation .math').title"
    assert "z^l: W^l a^l-1 + b^l: preactivations[l]" in window.evaluate(title).split("\n")
    window.open(page, 1440, scripts=True)
    point = """(() => { const symbol = document.querySelector('[id="EC-3.5"] .symbol[data-letter="v"]');
      symbol.dispatchEvent(new PointerEvent("pointermove", { bubbles: true }));
      return document.querySelector("#meaning").textContent })()"""
    assert window.evaluate(point) == "v_ij: E[s_i (a_j - μ_ij)^2]: variance"


def test_the_keys_and_the_search(window, folder) -> None:
    press = "document.body.dispatchEvent(new KeyboardEvent('keydown', {key: %r, bubbles: true}))"
    window.open(folder / chapter("EC-3.5"), 1440, scripts=True)
    window.evaluate(press % "j")
    top = "Math.round(document.querySelector('[id=\"EC-3.1\"]').getBoundingClientRect().top)"
    assert 0 < window.evaluate(top) < 100
    window.open(folder / "equations.html", 1440, scripts=True)
    window.evaluate(press % "/")
    search = """(() => { const field = document.activeElement; field.value = "surgeon obs_update";
      field.dispatchEvent(new Event("input"));
      return [...document.querySelectorAll(".entry:not([hidden])")].map((entry) => entry.id) })()"""
    assert window.evaluate(search) == ["EC-6.1"]


def test_on_paper_everything_that_opens_is_open(window, folder) -> None:
    window.open(folder / chapter("EC-3.5"), 760, media="print")
    assert all(box["bottom"] - box["top"] > 10 for box in window.boxes(".pair pre.code"))
    answers = window.boxes(".prose > details pre.example")
    assert answers and all(box["bottom"] - box["top"] > 10 for box in answers)
    assert window.evaluate("getComputedStyle(document.querySelector('.top')).display") == "none"
