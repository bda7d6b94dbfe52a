"""The pages of the book: chapters beside the code that computes them, the code beside what is said of it, the tests.

All pages are made in memory, and their links followed, before the first is written.
"""

from __future__ import annotations

import contextlib
import doctest
import io
import json
import re
import shutil
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator
from functools import cache, cached_property
from html import escape
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from .._html import STYLE
from ..equations import KINDS, Equation, labels, numbered_equations
from ._chapters import Pair, Reader, name_html, symbols
from ._sources import Definition, Source

PACKAGE = Path(__file__).parent.parent.name
STREET = ("activations", "mlp", "losses", "metrics", "moments", "scores")
TITLE = "Elimination-compensation pruning, the book"
LABEL = re.compile(r"EC-(\d+)(\.\d+)?")
QUOTED = re.compile(r"<code>([\w.]+)</code>")
TAGS = re.compile(r"(<[^>]*>)")
FOLDED = re.compile(r"<details>.*?</details>", re.DOTALL)  # an answer: what it cites would give it away
HERE = Path(__file__).parent


class Place(NamedTuple):
    """A function or a class, and the file where it stands."""

    source: Source
    definition: Definition

    @property
    def link(self) -> str:
        return f"{self.source.page}#{self.definition.name}"


class Book:
    """What a clone at `root` has to show."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.equations = {e.label: e for e in numbered_equations()}
        readme = root / "derivations" / "README.md"
        self.readme = readme.read_text(encoding="utf-8")
        self.symbols = tuple(symbols(self.readme))
        self.chapters = sorted((root / "derivations").glob("[0-9][0-9]-*.md"))
        self.wrong: list[str] = []
        self.left_out: list[str] = []

    @cached_property
    def sources(self) -> dict[str, Source]:
        """The files on the street, then every other one that implements an equation, by the module's name."""
        places = [place for e in self.equations.values() for place in e.implemented]
        modules = dict.fromkeys([*STREET, *sorted(filter(None, map(self._module, places)))])
        return {m: self._source(f"{PACKAGE}/{m.replace('.', '/')}.py", f"source-{m}.html") for m in modules}

    @cached_property
    def tests(self) -> dict[str, Source]:
        """Every file with a test that cites an equation."""
        files = sorted({test.split("::")[0] for e in self.equations.values() for test in e.tested})
        return {file: self._source(file, f"{Path(file).stem}.html") for file in files}

    def _source(self, path: str, page: str) -> Source:
        return Source(self.root / path, path, page)

    def _module(self, place: str) -> str:
        """The module of a dotted name, without the package's."""
        parts = place.split(".")[1:]
        for n in range(len(parts), 0, -1):
            if self.root.joinpath(PACKAGE, *parts[:n]).with_suffix(".py").is_file():
                return ".".join(parts[:n])
        self.wrong.append(f"{place}: there is no such module")
        return ""

    @cached_property
    def places(self) -> dict[str, Place]:
        """Every definition that has a page: functions by their dotted name, tests as `file::name`."""
        named = {
            f"{PACKAGE}.{m}.{name}": Place(s, d) for m, s in self.sources.items() for name, d in s.definitions.items()
        }
        tests = {f"{f}::{name}": Place(s, d) for f, s in self.tests.items() for name, d in s.definitions.items()}
        return named | tests

    @cached_property
    def cited_by(self) -> dict[str, list[Equation]]:
        """Place → the equations that it implements or tests."""
        found: dict[str, list[Equation]] = {}
        for e in self.equations.values():
            for place in (*e.implemented, *e.tested):
                if place not in self.places:
                    self.wrong.append(f"{e.label}: there is no {place}")
                else:
                    found.setdefault(place, []).append(e)
        return found

    @cached_property
    def by_name(self) -> dict[str, str]:
        """The links of the functions that prose may name: as in the code, as a caller writes it, and bare."""
        found: dict[str, list[str]] = {}
        for name, place in self.places.items():
            parts = [] if "::" in name or "._" in name else name.split(".")[1:]
            for tail in {".".join(parts[k:]) for k in range(len(parts))}:
                found.setdefault(tail, []).append(place.link)
                found.setdefault(f"ec.{tail}", []).append(place.link)
        # a bare word is more often an argument than a function
        return {name: links[0] for name, links in found.items() if len(links) == 1 and re.search(r"[._]", name)}

    def chapter_of(self, label: str) -> str:
        """The page of EC-n."""
        number = f"{int(label.split('-')[1].split('.')[0]):02}-"
        return next((f"{c.stem}.html" for c in self.chapters if c.name.startswith(number)), "")

    def linked(self, html: str, where: str) -> str:
        """The labels that are cited become links, and so do functions that are named; a wrong label is noted."""
        parts = TAGS.split(QUOTED.sub(self._name_linked, html))
        depth = 0
        for k, part in enumerate(parts):
            if k % 2:
                depth += part.startswith(("<a ", "<math")) - part.startswith(("</a>", "</math"))
            elif not depth:
                parts[k] = LABEL.sub(lambda match: self._label_linked(match, where), part)
        return "".join(parts)

    def _name_linked(self, match: re.Match[str]) -> str:
        link = self.by_name.get(match[1])
        return f"<a href='{link}'>{match[0]}</a>" if link else match[0]

    def _label_linked(self, match: re.Match[str], where: str) -> str:
        page = self.chapter_of(match[0])
        if match[2]:
            if match[0] not in self.equations:
                self.wrong.append(f"{where}: there is no {match[0]}")
                return match[0]
            e = self.equations[match[0]]
            title = escape(f"{e.name}: {e.statement}", quote=True)
            return f"<a class='label' href='{page}#{e.label}' title='{title}'>{e.label}</a>"
        if not page:
            self.wrong.append(f"{where}: there is no {match[0]}")
        return f"<a class='label' href='{page}'>{match[0]}</a>"

    # pages

    def pages(self) -> dict[str, str]:
        """Every file of the book by its name; `wrong` says afterwards what does not hold."""
        files = {"index.html": self.contents(), "equations.html": self.index(), "symbols.html": self.symbol_page()}
        for k, chapter in enumerate(self.chapters):
            files[f"{chapter.stem}.html"] = self.chapter(k)
        for source in (*self.sources.values(), *self.tests.values()):
            files[source.page] = self.annotated(source)
        for figure in sorted((self.root / "derivations" / "figures").glob("*.svg")):
            files[f"figures/{figure.name}"] = figure.read_text(encoding="utf-8")
        self.wrong += dead_links(files)
        return files

    def document(self, title: str, body: Iterable[str], kind: str = "") -> str:
        """A whole page, with what all pages have: the way back, the table of symbols, style and script."""
        style = STYLE + (HERE / "book.css").read_text(encoding="utf-8")
        script = (HERE / "book.js").read_text(encoding="utf-8")
        links = [("index.html", "Contents"), ("equations.html", "Equations"), ("symbols.html", "Symbols")]
        links += [(f"source-{m}.html", f"{m}.py") for m in STREET]
        shown = "".join(f"<a href='{to}'{' class=file' if '-' in to else ''}>{name}</a>" for to, name in links)
        table = f"<details class='symbols'><summary>Symbols</summary>{self.symbol_table}</details>"
        foot = table * (kind != "symbols")
        return "\n".join(
            [
                "<!DOCTYPE html>",
                f"<html lang='en'><head><meta charset='utf-8'><title>{escape(title)}</title>",
                "<meta name='viewport' content='width=device-width, initial-scale=1'>",
                f"<style>{style}</style></head><body class='{kind}'>",
                f"<a class='skip' href='#main'>To the text</a><nav class='top' aria-label='book'>{shown}</nav>",
                "<main id='main'>",
                *body,
                f"</main><footer>{foot}</footer><script>{script}</script></body></html>\n",
            ]
        )

    @cached_property
    def symbol_table(self) -> str:
        table = self.readme.split("## Notation\n")[1].split("\n## ")[0]
        return self.linked(Reader(self.symbols).html(table), "derivations/README.md")

    def symbol_page(self) -> str:
        return self.document("Symbols", ["<h1>Symbols</h1>", self.symbol_table], "symbols")

    def contents(self) -> str:
        """The first page: the street of files, and the chapters."""
        before, rest = self.readme.split("## Reading order\n")
        chapters = rest.split("## Notation\n")[0]
        intro, order = (self._prose(text, "README.md") for text in (before, f"## Chapters\n{chapters}"))
        intro = intro.replace("<h1>Derivations</h1>", f"<h1>{TITLE}</h1>")
        street = "".join(self._house(m) for m in STREET)
        wings = "".join(
            f"<li><a href='{s.page}'><code>{m}</code></a> {_chips(self, m)}</li>"
            for m, s in self.sources.items()
            if m not in STREET
        )
        tests = "".join(f"<li><a href='{s.page}'><code>{Path(f).stem}</code></a></li>" for f, s in self.tests.items())
        body = [
            intro,
            "<h2>The street</h2><p>Six files hold the mathematics; each rests on those before it. Comments and "
            "docstrings stand beside the lines.</p>",
            f"<ol class='street'>{street}</ol>",
            order,
            f"<h2>The wings</h2><p>What else computes an equation.</p><ul class='files'>{wings}</ul>",
            f"<h2>Tests</h2><p>What holds them.</p><ul class='files'>{tests}</ul>",
        ]
        return self.document(TITLE, body, "contents")

    def _house(self, module: str) -> str:
        """A file on the street: what it says first, and the equations that it computes."""
        source = self.sources[module]
        said = re.search(r'"""(.*?)(?:"""|\n\n)', source.text, re.DOTALL)
        text = escape(" ".join(said[1].split())) if said else ""
        return (
            f"<li><h3><a href='{source.page}'>{module}.py</a></h3>"
            f"<p>{self.linked(text, source.path)}</p><p class='labels'>{_chips(self, module)}</p></li>"
        )

    def index(self) -> str:
        """All equations, with their places."""
        rows, reader = [], Reader(self.symbols)
        for e in self.equations.values():
            places = "".join(f"<li>{self._place(place)}</li>" for place in e.implemented)
            tests = "".join(f"<li>{self._place(test)}</li>" for test in e.tested)
            label = f"<a href='{self.chapter_of(e.label)}#{e.label}'>{e.label}</a>"
            formula = f"<div class='scroll display' tabindex='0'>{reader.formula(e.latex, True)}</div>"
            held = f"<details><summary>{_tests(len(e.tested))}</summary><ul>{tests}</ul></details>"
            where = f"<div class='where'><ul class='places'>{places}</ul>{held}</div>"
            head = f"<h2>{label} {escape(e.name)} <span class='kind'>{e.kind}</span></h2>"
            rows.append(f"<section class='entry' id='{e.label}'>{head}{formula}{where}</section>")
        count = Counter(e.kind for e in self.equations.values())
        counted = ", ".join(f"{count[kind]} {kind}" for kind in KINDS)
        said = f"{len(rows)} equations, each with what computes and what tests it, by kind: {counted}."
        kinds = self._prose(self.readme.split("## Kinds of equations\n")[1].split("\n## ")[0], "README.md")
        kinds = f"<details id='kinds'><summary>Kinds</summary>{kinds}</details>"
        head = f"<h1>All equations</h1><p id='search'>{said}</p>{kinds}"
        return self.document("All equations", [head, *rows], "index")

    def _place(self, place: str) -> str:
        """A function or a test as a link."""
        if place not in self.places:
            return ""  # which `cited_by` has noted
        name = place.removeprefix(f"{PACKAGE}.")
        shown = f"<code>{name}</code>"
        if "::" in name:
            file, test = name.split("::", 1)
            shown = f"{_words(test)} <span class='quiet'>{Path(file).stem}</span>"
        return f"<a href='{self.places[place].link}'>{shown}</a>"

    def _prose(self, text: str, where: str) -> str:
        return self._relative(self.linked(Reader(self.symbols).html(text), where))

    @staticmethod
    def _relative(html: str) -> str:
        """Links between Markdown files become links between pages."""
        html = html.replace('href="README.md', 'href="index.html')
        return re.sub(r'href="(\d\d-[\w-]+)\.md', r'href="\1.html', html)

    def chapter(self, k: int) -> str:
        """A derivation on the left, and on the right what computes and tests the equation that stands there."""
        chapter = self.chapters[k]
        text = chapter.read_text(encoding="utf-8")
        here = [e for e in self.equations.values() if e.page == f"derivations/{chapter.name}"]
        listed = "".join(f"<li><a href='#{e.label}'>{e.label}</a> {escape(e.name)}</li>" for e in here)
        beside = [f"<nav class='here' aria-label='equations of this page'><ul>{listed}</ul></nav>" * bool(here)]
        shown: set[str] = set()
        body: list[str] = []
        reader = Reader(self.symbols)
        try:
            if missing := absent(text):
                self.left_out.append(f"{chapter.name}: its examples are not executed, without {', '.join(missing)}")
            else:
                self.wrong += failing_examples(text, chapter.name)
            for pair in reader.pairs(re.sub(r"\nPrevious: .*\s*$", "\n", text), self.equations):
                if not here:  # a page that proves nothing shows beside its numbers what it cites
                    beside += map(self._recalled, labels(TAGS.sub("", FOLDED.sub("", pair.prose))))
                beside += self._beside(pair, shown)
                prose = self._relative(self.linked(pair.prose, chapter.name))
                side = f"<aside>{''.join(beside)}</aside>"
                body.append(f"<section class='pair'><div class='prose'>{prose}</div>{side}</section>")
                beside = []
        except ValueError as error:
            self.wrong.append(f"{chapter.name}: {error}")
        title = text.split("\n")[0].lstrip("# ")
        return self.document(title, [*body, self._turn(k)], "chapter")

    def _recalled(self, label: str) -> str:
        """An equation of another page, as a reminder."""
        if label not in self.equations:
            return ""  # a whole page, or a wrong label, which `linked` notes
        e = self.equations[label]
        formula = Reader(self.symbols).formula(e.latex, True)
        shown = f"<div class='scroll display' tabindex='0'>{formula}</div>"
        return f"<div class='equation'>{name_html(e, self.chapter_of(label))}{shown}</div>"

    def _turn(self, k: int) -> str:
        """To the chapters before and after."""
        links = []
        for n, rel, arrow in ((k - 1, "prev", "← {}"), (k + 1, "next", "{} →")):
            if 0 <= n < len(self.chapters):
                to = self.chapters[n]
                title = escape(to.read_text(encoding="utf-8").split("\n")[0].lstrip("# "))
                links.append(f"<a rel='{rel}' href='{to.stem}.html'>{arrow.format(title)}</a>")
        return f"<nav class='turn' aria-label='chapters'>{''.join(links)}</nav>"

    def _beside(self, pair: Pair, shown: set[str]) -> Iterator[str]:
        """The functions that cite the equation, each opened where it comes first on its page; tests; examples."""
        if pair.label:
            e = self.equations[pair.label]
            places = [place for place in e.implemented if place in self.places]
            places.sort(key=lambda place: (self._module(place) not in STREET, self._module(place).startswith("oracle")))
            first = next((place for place in places if place not in shown), "")
            shown.add(first)
            yield "".join(self._listing(place, " open") for place in places if place == first)
            rest = [self._listing(place, "") for place in places if place != first]
            count = f"{len(rest)} {'more' if first else 'function'}{'s' * (not first and len(rest) > 1)}"
            yield f"<details class='more'><summary>{count}</summary>{''.join(rest)}</details>" * bool(rest)
            tests = "".join(f"<li>{self._place(test)}</li>" for test in e.tested)
            opened = " open" if len(e.tested) < 5 else ""
            summary = f"<summary>held by {_tests(len(e.tested))}</summary>"
            yield f"<details class='tests'{opened}>{summary}<ul>{tests}</ul></details>"
        yield from pair.examples

    def _listing(self, place: str, opened: str) -> str:
        """The code of a function, under its name and what its docstring says first."""
        source, definition = self.places[place]
        said = self.linked(escape(definition.summary), source.path)
        where = f"{source.path.removeprefix(f'{PACKAGE}/')}:{definition.first}"
        return (
            f"<details class='code'{opened}><summary><code>{place.removeprefix(f'{PACKAGE}.')}</code></summary>"
            f"<p>{said} <a class='where-it-is' href='{self.places[place].link}'>{where}</a></p>"
            f"{self.linked(source.listing(definition), source.path)}</details>"
        )

    def annotated(self, source: Source) -> str:
        """A file from top to bottom: what is said on the left, the lines on the right."""
        module = source.path.removesuffix(".py").replace("/", ".")
        prefix = f"{source.path}::" if source.path in self.tests else f"{module}."
        body = [f"<h1><code>{source.path}</code></h1>"]
        n = 1
        for definitions, prose, lines in source.rows():
            after = lines[-1] + 1 if lines else n
            silent = "".join(f"<span id='L{k}'></span>" for k in range(n, after) if k not in lines)
            n = after
            heads = "".join(self._head(d, prefix + d.name) for d in definitions)
            said = f"{heads}{self.linked(prose, source.path)}"
            code = self.linked(source.code(lines, anchored=True), source.path) if lines else ""
            body.append(f"<section class='pair'><div class='prose'>{silent}{said}</div><aside>{code}</aside></section>")
        return self.document(source.path, body, "source")

    def _head(self, definition: Definition, place: str) -> str:
        """A definition's name where it begins, with the equations that it computes or tests, and the tests of those."""
        cited = self.cited_by.get(place, [])
        name = _words(definition.name) if "::" in place else definition.name
        chips = "".join(self.linked(f"<li>{e.label}</li>", place) for e in cited)
        other = {p: None for e in cited for p in (e.implemented if "::" in place else e.tested)}
        listed = "".join(f"<li>{self._place(p)}</li>" for p in other)
        what = "what it holds" if "::" in place else "what holds it"
        more = f"<details><summary>{what}</summary><ul>{listed}</ul></details>" if other else ""
        chips = f"<ul class='chips'>{chips}</ul>" if chips else ""
        return f"<h2 id='{definition.name}'><code>{name}</code></h2>{chips}{more}"


def _chips(book: Book, module: str) -> str:
    """The labels that a module's functions cite, as links."""
    cited = [e.label for e in book.equations.values() if any(book._module(p) == module for p in e.implemented)]
    return book.linked(" ".join(cited), module)


def _tests(n: int) -> str:
    return f"{n} test{'s' * (n != 1)}"


def _words(name: str) -> str:
    """A test's name as the sentence that it is."""
    words = name.split("::")[-1].removeprefix("test_").replace("_", " ")
    return re.sub(r"\bec (\d+) (\d+)\b", r"EC-\1.\2", words)


NEEDED = re.compile(r'^>>> (?:import |.*importorskip\("|.*(which)\(")(\w+)', re.MULTILINE)


def absent(text: str) -> list[str]:
    """The packages and programs that a page's examples need, and that are not here."""
    return [name for which, name in NEEDED.findall(text) if not (shutil.which if which else find_spec)(name)]


@cache
def failing_examples(text: str, name: str) -> tuple[str, ...]:
    """What of a page's examples does not print what stands below it."""
    test = doctest.DocTestParser().get_doctest(text, {}, name, name, 0)
    heard = io.StringIO()
    runner = doctest.DocTestRunner(verbose=False)
    with contextlib.redirect_stdout(heard), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the pages say where a network is dead
        failed = runner.run(test, out=heard.write).failed
    return (f"{name}: {failed} examples print something else\n{heard.getvalue()}",) if failed else ()


SILENT = re.compile(r"<(style|script)>.*?</\1>", re.DOTALL)
ANCHOR = re.compile(r"<[^>]*\sid=['\"]([^'\"]*)")
TARGET = re.compile(r"<[^>]*\s(?:href|src)=['\"]([^'\"]*)")


def dead_links(files: dict[str, str]) -> list[str]:
    """Every link that leads nowhere, and every anchor that stands twice on its page."""
    pages = {name: SILENT.sub("", html) for name, html in files.items() if name.endswith(".html")}
    anchors = {name: ANCHOR.findall(html) for name, html in pages.items()}
    known = {name: set(found) for name, found in anchors.items()}
    wrong = []
    for name, html in pages.items():
        twice = sorted(anchor for anchor, n in Counter(anchors[name]).items() if n > 1)
        wrong += [f"{name}: the anchor {anchor} stands twice" for anchor in twice]
        for target in dict.fromkeys(TARGET.findall(html)):
            to, _, anchor = target.partition("#")
            if target.startswith("https://"):
                continue
            if (to or name) not in files or (anchor and anchor not in known[to or name]):
                wrong.append(f"{name}: dead link {target}")
    return wrong


def untested(root: Path) -> list[str]:
    """Equations without a test, and, where `coverage json` has left its file, lines that no test executes."""
    found = [f"{e.label} {e.name}: no test cites it" for e in numbered_equations() if not e.tested]
    file = root / "coverage.json"
    measured = json.loads(file.read_text(encoding="utf-8"))["files"] if file.is_file() else {}
    for path, seen in sorted(measured.items()):
        if seen["missing_lines"]:
            found.append(f"{path}: no test executes the lines {', '.join(map(str, seen['missing_lines']))}")
    return found
