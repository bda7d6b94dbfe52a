"""Python files as the book shows them: lines in colour with their numbers, and comments and docstrings as prose."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from html import escape
from pathlib import Path

from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import PythonConsoleLexer, PythonLexer

DEFINITIONS = (ast.ClassDef, ast.FunctionDef)
UNDERLINE = re.compile(r"^(\w[\w ]*)\n-+$", re.MULTILINE)


@dataclass(frozen=True)
class Definition:
    """A function or a class: its lines, from its decorators on, and those of its docstring, (0, 0) without one."""

    name: str
    first: int
    last: int
    docstring: str
    prose: tuple[int, int]

    @property
    def summary(self) -> str:
        """What the docstring says first."""
        return " ".join(self.docstring.split("\n\n")[0].split())


@dataclass(frozen=True)
class Source:
    """A Python file, by the name of the page that shows it."""

    file: Path
    path: str
    page: str

    @cached_property
    def text(self) -> str:
        return self.file.read_text(encoding="utf-8")

    @cached_property
    def lines(self) -> list[str]:
        """Each line in colour; the first is number 1, so number 0 is empty."""
        return ["", *_coloured(self.text, console=False).split("\n")]

    @cached_property
    def definitions(self) -> dict[str, Definition]:
        """Every function and class by its name in the file, `Class.method` or `Class::method` in a file of tests."""
        return {d.name: d for d in _walk(ast.parse(self.text), "", "::" if self.page.startswith("test") else ".")}

    def listing(self, definition: Definition) -> str:
        """The code of a definition without its docstring; each number leads to the line where it stands."""
        silent = range(definition.prose[0], definition.prose[1] + 1)  # line 0 is none
        numbers = [n for n in range(definition.first, definition.last + 1) if n not in silent]
        return self.code(numbers, anchored=False)

    def code(self, numbers: list[int], anchored: bool) -> str:
        """Lines with their numbers, which are links to the lines, and where the lines can be found if `anchored`."""
        shown = []
        for n in numbers:
            anchor = f" id='L{n}'" if anchored else ""
            number = f"<a{anchor} href='{self.page}#L{n}' data-n='{n}' tabindex='-1' aria-hidden='true'></a>"
            shown.append(f"{number}{self.lines[n]}\n")
        return f"<pre class='code' tabindex='0'>{''.join(shown)}</pre>"

    def rows(self) -> Iterator[tuple[list[Definition], str, list[int]]]:
        """The file from top to bottom: the definitions that begin here, prose as HTML, the lines of code beside it."""
        starts = {d.first: d for d in self.definitions.values()}
        tree = ast.parse(self.text)
        docstrings = {d.prose[0]: d for d in self.definitions.values() if d.docstring}
        plain = self.text.split("\n")
        tokens = tokenize.generate_tokens(io.StringIO(self.text).readline)
        comments = {t.start[0] for t in tokens if t.type == tokenize.COMMENT and t.line.lstrip().startswith("#")}
        here: list[Definition] = []
        module, code = ast.get_docstring(tree) or "", list[int]()
        prose, n = docstring_html(module), _lines_of(tree.body[0])[1] + 1 if module else 1
        while n <= len(plain):
            if n in starts or n in comments:
                yield here, prose, _trimmed(code, plain)
                here, prose, code = [], "", []
                if n in comments:
                    said = []
                    while n in comments:
                        said.append(plain[n - 1].strip().lstrip("# "))
                        n += 1
                    prose = f"<p>{prose_html(' '.join(said))}</p>"
                    if n not in starts:
                        continue
            if n in starts:
                here.append(starts[n])
            if n in docstrings:
                prose += docstring_html(docstrings[n].docstring)
                n = docstrings[n].prose[1] + 1
                continue
            code.append(n)
            n += 1
        yield here, prose, _trimmed(code, plain)


def _trimmed(numbers: list[int], plain: list[str]) -> list[int]:
    """Without the blank lines at either end."""
    full = [n for n in numbers if plain[n - 1].strip()]
    return [n for n in numbers if full[0] <= n <= full[-1]] if full else []


def _lines_of(node: ast.stmt) -> tuple[int, int]:
    return node.lineno, node.end_lineno or node.lineno


def _walk(node: ast.AST, prefix: str, dot: str) -> Iterator[Definition]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, DEFINITIONS):
            docstring = ast.get_docstring(child)
            first = min([child.lineno, *(d.lineno for d in child.decorator_list)])
            prose = _lines_of(child.body[0]) if docstring is not None else (0, 0)
            yield Definition(prefix + child.name, first, _lines_of(child)[1], docstring or "", prose)
            if isinstance(child, ast.ClassDef):
                yield from _walk(child, f"{prefix}{child.name}{dot}", dot)


@cache
def _coloured(text: str, console: bool) -> str:
    lexer = PythonConsoleLexer() if console else PythonLexer(stripnl=False, ensurenl=False)
    return str(highlight(text, lexer, HtmlFormatter(nowrap=True))).removesuffix("\n")


def example_html(text: str) -> str:
    """An executed example in colour: what is typed, and the output below it."""
    return f"<pre class='example' tabindex='0'>{_coloured(text.rstrip(), console=True)}</pre>"


def prose_html(text: str) -> str:
    """A line of a docstring or a comment: what stands in back-quotes is code."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(text))


def docstring_html(text: str) -> str:
    """A docstring as prose, its numpydoc sections under their names, its examples in colour."""
    title, body, shown = "", "", ""
    parts = UNDERLINE.split(text)
    for title, body in zip(["", *parts[1::2]], parts[::2]):
        blocks = [block for block in re.split(r"\n\s*\n", body.strip("\n")) if block.strip()]
        inner = "".join(map(_fields if title not in ("", "Examples", "Notes") else _block, blocks))
        opened = f"<details><summary>{title}</summary>{inner}</details>"
        shown += opened if title in ("Parameters", "Returns", "Raises", "Attributes") else inner
    return shown


def _block(block: str) -> str:
    """A paragraph, an example, or lines that stand as they are because they are indented."""
    if block.lstrip().startswith(">>>"):
        return example_html(block)
    if all(line.startswith("    ") for line in block.splitlines()):
        return f"<pre>{escape(block)}</pre>"
    items = re.split(r"(?:^|\n)- ", block)
    listed = "".join(f"<li>{prose_html(' '.join(item.split()))}</li>" for item in items[1:])
    said = prose_html(" ".join(items[0].split()))
    return (f"<p>{said}</p>" if said else "") + (f"<ul>{listed}</ul>" if listed else "")


def _fields(block: str) -> str:
    """Numpydoc's "name : type" with what is said of it below."""
    lines = block.splitlines()
    html = ""
    for line in lines:
        inside = line.startswith("    ")
        html += f"<dd>{prose_html(line.strip())}</dd>" if inside else f"<dt><code>{escape(line)}</code></dt>"
    return f"<dl>{html.replace('</dd><dd>', ' ')}</dl>"
