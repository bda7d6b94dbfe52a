"""Bring the list in README.md and ecprune_np/equations.json in step with the pages, the code and the tests.

    python derivations/update.py

An equation is a display `$$ ... \\tag{EC-n.m} $$` under a comment `<!-- EC-n.m kind, name: statement -->`; README.md
says which kinds there are.  It is implemented by the functions whose docstring cites its label, and by those named at
the comment's end (`| in module.function`), which is where properties say of what they are properties.  It is tested by
the tests that cite it in their name (`ec_n_m`), docstring or decorators.
"""

from __future__ import annotations

import ast
import json
import re
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))  # the package is the one beside this folder

from ecprune_np._files import save_text  # noqa: E402
from ecprune_np.equations import KINDS, citing, labels  # noqa: E402

PACKAGE = "ecprune_np"
# wrong formulas on purpose, and prose about equations: they cite, and implement nothing
NOT_IMPLEMENTATIONS = ("commands/", "conformance/", "equations.py", "__main__.py")
WIDTH = 120
BEGIN, END = "<!-- equations: written by update.py -->", "<!-- end of equations -->"

EQUATION = re.compile(
    r"<!-- (?P<label>EC-[\d.]+) (?P<head>[^:\n]+): (?P<statement>(?:(?!-->)[^|])+?)"
    r"(?:\s\|\sin\s(?P<places>(?:(?!-->).)+?))?\s-->\n"
    r"\$\$\n(?P<latex>(?:(?!\$\$).)*?)\n?\\tag\{(?P<tag>EC-[\d.]+)\}\n\$\$\n",
    re.DOTALL,
)


def pages() -> list[Path]:
    """The pages, in reading order."""
    return sorted((ROOT / "derivations").glob("[0-9][0-9]-*.md"))


def defined() -> Iterator[dict[str, Any]]:
    """Every equation as the pages define it, in reading order."""
    for page in pages():
        yield from defined_in(page.read_text(encoding="utf-8"), page.relative_to(ROOT).as_posix())


def defined_in(text: str, page: str) -> Iterator[dict[str, Any]]:
    """The equations of one page; raises ValueError where one does not say of which kind it is."""
    for match in EQUATION.finditer(text):
        kind, _, name = match["head"].partition(", ")
        if kind not in KINDS or not name:
            wanted = "kind, name, the kind one of " + ", ".join(map(repr, KINDS))
            raise ValueError(f"{page}: {match['label']}: expected {wanted}, got {match['head']!r}")
        statement = " ".join(match["statement"].split())  # a long comment has several lines
        yield {**match.groupdict(), "kind": kind, "name": name, "statement": statement, "page": page}


def definitions(file: Path) -> Iterator[tuple[str, ast.AST, str]]:
    """Every module, class and function of a Python file: dotted name, node and docstring."""

    def walk(node: Any, name: str) -> Iterator[tuple[str, ast.AST, str]]:
        yield name, node, ast.get_docstring(node) or ""
        for child in node.body:
            if isinstance(child, ast.ClassDef | ast.FunctionDef):
                yield from walk(child, f"{name}.{child.name}".lstrip("."))

    yield from walk(ast.parse(file.read_text(encoding="utf-8")), "")


def implementations() -> dict[str, list[str]]:
    """Label → the functions and classes of the package whose docstring cites it."""
    found: dict[str, list[str]] = {}
    for file in sorted((ROOT / PACKAGE).rglob("*.py")):
        path = file.relative_to(ROOT / PACKAGE).as_posix()
        if path.startswith(NOT_IMPLEMENTATIONS):
            continue
        module = path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
        for name, node, docstring in definitions(file):
            if not isinstance(node, ast.Module):
                for label in labels(docstring):
                    found.setdefault(label, []).append(f"{module}.{name}")
    return found


def tests() -> dict[str, list[str]]:
    """Label → the tests that cite it in their name, docstring or decorators."""
    found: dict[str, list[str]] = {}
    for file in sorted((ROOT / "tests").rglob("test_*.py")):
        if file.name == "test_derivations.py":
            continue
        for name, text in citing(file).items():
            if name.split("::")[-1].startswith("test_"):
                for label in labels(text):
                    found.setdefault(label, []).append(f"{file.relative_to(ROOT).as_posix()}::{name}")
    return found


def citations() -> dict[str, list[str]]:
    """Label → the files that mention it anywhere: package, tests, examples, pages, README."""
    found: dict[str, list[str]] = {}
    files = [ROOT / "README.md"]
    for folder in (PACKAGE, "tests", "examples", "derivations"):
        files += [f for f in sorted((ROOT / folder).rglob("*")) if f.suffix in (".py", ".md", ".json")]
    for file in files:
        if file.exists() and file.name != "test_derivations.py":
            for label in labels(file.read_text(encoding="utf-8")):
                found.setdefault(label, []).append(file.relative_to(ROOT).as_posix())
    return found


def equations() -> list[dict[str, Any]]:
    """What ecprune_np/equations.json has to hold."""
    implemented, tested = implementations(), tests()
    in_order = sorted(defined(), key=lambda e: [int(part) for part in e["label"].removeprefix("EC-").split(".")])
    return [
        {
            "label": e["label"],
            "kind": e["kind"],
            "name": e["name"],
            "statement": e["statement"],
            "latex": e["latex"],
            "page": e["page"],
            "implemented": [
                f"{PACKAGE}.{place}"
                for place in dict.fromkeys(implemented.get(e["label"], []) + re.findall(r"[\w.]+", e["places"] or ""))
            ],
            "tested": tested.get(e["label"], []),
        }
        for e in in_order
    ]


def json_text(entries: list[dict[str, Any]]) -> str:
    return json.dumps(entries, indent=1, ensure_ascii=False) + "\n"


def names_of(places: list[str]) -> str:
    """The first three names, and how many more the command line lists."""
    more = [f"and {len(places) - 3} more"] if len(places) > 3 else []
    return ", ".join([*(f"`{name}`" for name in places[:3]), *more])


def item(text: str, mark: str) -> str:
    """An item of a list, in lines of the pages' width, none of which Markdown takes for another item."""
    text = re.sub(r" (?=[-+=*#>])", "\xa0", text)
    indent = " " * len(mark)
    lines = textwrap.wrap(
        text, WIDTH, initial_indent=mark, subsequent_indent=indent, break_on_hyphens=False, break_long_words=False
    )
    return "\n".join(lines).replace("\xa0", " ")


def index(entries: list[dict[str, Any]]) -> str:
    """The README's list: of each equation its kind, what it says, the functions and the tests."""
    lines = []
    for e in entries:
        page = e["page"].removeprefix("derivations/")
        says = re.sub(r"([*_<\[\]])", r"\\\1", f"{e['name']}: {e['statement']}")
        lines.append(item(f"[{e['label']}]({page}), {e['kind']}, {says}", "- "))
        lines.append(item(names_of([f.removeprefix(f"{PACKAGE}.") for f in e["implemented"]]), "  - "))
        tests = [test.removeprefix("tests/").replace(".py::", "::") for test in e["tested"]]
        lines.append(item(names_of(tests), "  - "))
    return "\n".join([BEGIN, *lines, END])


def readme_text(entries: list[dict[str, Any]]) -> str:
    """README.md with its list replaced."""
    text = (ROOT / "derivations" / "README.md").read_text(encoding="utf-8")
    before, rest = text.split(BEGIN)
    return before + index(entries) + rest.split(END)[1]


if __name__ == "__main__":
    found = equations()
    readme = readme_text(found)
    save_text(ROOT / PACKAGE / "equations.json", json_text(found))
    save_text(ROOT / "derivations" / "README.md", readme)
    for e in found:
        for key in ("implemented", "tested"):
            if not e[key]:
                print(f"{e['label']} {e['name']}: not {key}")
    print(f"{len(found)} equations")
