"""The numbered equations of `derivations/`: what each says, where it is derived, implemented and tested."""

from __future__ import annotations

import argparse
import ast
import json
import pkgutil
import re
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

SOURCE = Path(__file__).resolve().parent.parent  # a clone or an unpacked source distribution, or else site-packages
WIDTH = 80

KINDS = ("definition", "exact", "first order", "bound", "estimate")  # derivations/README.md says what each means
LABEL = re.compile(r"EC-\d+(?:\.\d+)?")
RANGE = re.compile(r"EC-(\d+)\.(\d+) to EC-\1\.(\d+)")
LABEL_IN_NAME = re.compile(r"(?:^|_)ec_(\d+)_(\d+)(?=_|$)")


@dataclass(frozen=True)
class Equation:
    """One equation: `label`, `kind` of KINDS, `name`, plain `statement`, `latex`, `page`, and what cites it."""

    label: str
    kind: str
    name: str
    statement: str
    latex: str
    page: str
    implemented: tuple[str, ...]
    tested: tuple[str, ...]

    def __str__(self) -> str:
        lines = [f"{self.label}  {self.name} ({self.kind})", *_wrapped(self.statement), ""]
        for title, places in (("derived", (self.page,)), ("implemented", self.implemented), ("tested", self.tested)):
            lines += [title, *(line for place in places for line in _wrapped_place(place))]
        return "\n".join([*lines, "", *(part for line in self.latex.splitlines() for part in _wrapped(line))])


def numbered_equations() -> tuple[Equation, ...]:
    """All equations, in the order of the derivations."""
    text = resources.files(__package__).joinpath("equations.json").read_text(encoding="utf-8")
    return tuple(
        Equation(**{**entry, "implemented": tuple(entry["implemented"]), "tested": tuple(entry["tested"])})
        for entry in json.loads(text)
    )


def find(label: str) -> tuple[Equation, ...]:
    """The equation EC-n.m, or all equations of the page EC-n; upper or lower case, with or without "EC-".

    Raises ValueError where there is none.
    """
    wanted = "EC-" + label.upper().removeprefix("EC-")
    known = numbered_equations()
    found = tuple(e for e in known if wanted in (e.label, e.label.split(".")[0]))
    if not found:
        raise ValueError(f"label: expected EC-n or EC-n.m from {known[0].label} to {known[-1].label}, got {label!r}")
    return found


def table(chosen: tuple[Equation, ...]) -> str:
    """Label, name, kind and statement of each, under a line for each page."""
    lines: list[str] = []
    page = None
    for e in chosen:
        if e.page != page:
            lines += [*([""] if lines else []), e.page]
            page = e.page
        lines += [f"  {e.label}  {e.name} ({e.kind})", *_wrapped(e.statement, "    ")]
    return "\n".join(lines)


def labels(text: str) -> list[str]:
    """The labels that a text cites, each once, ranges "EC-n.a to EC-n.b" spelt out."""
    cited = LABEL.findall(text)
    for page, first, last in RANGE.findall(text):
        cited += [f"EC-{page}.{m}" for m in range(int(first), int(last) + 1)]
    return list(dict.fromkeys(cited))


def check(chosen: tuple[Equation, ...], source: Path = SOURCE) -> tuple[str, list[str]]:
    """How many places cite these equations, and everything that does not hold of what is said about them.

    Each has functions that implement it: their docstrings cite it, or the comment above it names them, as it does for a
    property.  Each has tests: they cite it in their name, docstring or decorators.  Pages and tests are looked at
    only where they are there, below `source`.
    """
    functions = [(e, place) for e in chosen for place in e.implemented]
    failed = [f"{e.label}: nothing implements it" for e in chosen if not e.implemented]
    failed += [f"{e.label}: nothing tests it" for e in chosen if not e.tested]
    docstrings = {place: _docstring(place) for _, place in functions}
    failed += [f"{e.label}: there is no {place}" for e, place in functions if docstrings[place] is None]
    uncited = [(e, place) for e, place in functions if e.label not in labels(docstrings[place] or e.label)]
    cited = f"{len(chosen)} equations: docstrings cite them {len(functions) - len(uncited)} times"
    if not all((source / e.page).is_file() for e in chosen):
        return f"{cited}\nnot installed, so not looked at: tests, and pages, which name {len(uncited)} more", failed
    for e, place in uncited:
        if place not in _named(source / e.page, e.label):
            failed.append(f"{e.label}: neither cited by the docstring of {place} nor does {e.page} name it")
    tests = [(e, test) for e in chosen for test in e.tested]
    texts = {file: citing(source / file) for file in {test.split("::")[0] for _, test in tests}}
    for e, test in tests:
        file, name = test.split("::", 1)
        if name not in texts[file]:
            failed.append(f"{e.label}: there is no {name} in {file}")
        elif e.label not in labels(texts[file][name]):
            failed.append(f"{e.label}: not cited by {name} in {file}")
    return f"{cited}, tests {len(tests)} times, pages {len(uncited)}", failed


def _docstring(place: str) -> str | None:
    """The docstring of a function, class or property by its dotted name; None where there is no such thing."""
    try:
        return pkgutil.resolve_name(place).__doc__ or ""
    except (ImportError, AttributeError):
        return None


def _named(page: Path, label: str) -> list[str]:
    """The functions that the comment above an equation names, <!-- EC-n.m kind, name: statement | in a.b, c.d -->."""
    comment = re.search(rf"<!-- {re.escape(label)} (.*?)-->", page.read_text(encoding="utf-8"), re.DOTALL)
    places = re.split(r"\|\sin\s", comment[1])[1:] if comment else []
    return [f"{__package__}.{place}" for place in re.findall(r"[\w.]+", "".join(places))]


def citing(file: Path) -> dict[str, str]:
    """Of each function in a file of tests what may cite a label: its name (ec_n_m), docstring and decorators."""

    def walk(body: list[ast.stmt], prefix: str) -> Iterator[tuple[str, str]]:
        for node in body:
            if isinstance(node, ast.ClassDef):
                yield from walk(node.body, f"{prefix}{node.name}::")
            elif isinstance(node, ast.FunctionDef):
                in_name = [f"EC-{n}.{m}" for n, m in LABEL_IN_NAME.findall(node.name)]
                decorators = map(ast.unparse, node.decorator_list)
                yield prefix + node.name, " ".join([*in_name, ast.get_docstring(node) or "", *decorators])

    return dict(walk(ast.parse(file.read_text(encoding="utf-8")).body, "")) if file.is_file() else {}


def _wrapped(text: str, first: str = "  ") -> list[str]:
    """Lines of at most WIDTH columns, as far as `first` indents."""
    return textwrap.wrap(text, WIDTH, initial_indent=first, subsequent_indent=" " * len(first), break_on_hyphens=False)


def _wrapped_place(place: str) -> list[str]:
    """A place on one line, a test that is too long for it below its file."""
    parts = re.split("(?<=::)", place) if len(place) > WIDTH - 2 else [place]
    return [line for part in parts for line in _wrapped(part)]


def add_arguments(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command `equations [EC-n[.m]] [--check]`."""
    text = "print the numbered equations; or one, with the functions that implement it and the tests that check it"
    parser = commands.add_parser("equations", help=text, description=f"{text[0].upper()}{text[1:]}.")
    parser.add_argument("label", nargs="?", metavar="EC-n[.m]", help="a page of equations, as EC-3, or one, as EC-3.5")
    parser.add_argument(
        "--check",
        action="store_true",
        help="instead verify that none is without: the functions' docstrings cite it, or its page names them, and the "
        "tests cite it; exit code 1 if not",
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Print what was asked for; returns 0, or 1 where a check fails."""
    chosen = numbered_equations() if options.label is None else find(options.label)
    if options.check:
        summary, failed = check(chosen)
        print("\n".join(line for failure in failed for line in _wrapped(failure, "")) or summary)
        return int(bool(failed))
    print(chosen[0] if len(chosen) == 1 else table(chosen))
    return 0
