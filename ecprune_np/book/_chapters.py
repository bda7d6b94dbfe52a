"""Markdown to HTML: the derivations as pairs of prose and what stands beside it, with every formula typeset."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from html import escape
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

from markdown_it import MarkdownIt
from markdown_it.token import Token
from mdit_py_plugins.dollarmath import dollarmath_plugin

from ..equations import Equation
from ._mathml import SCRIPTS, mathml
from ._sources import example_html

COMMENT = re.compile(r"<!-- (EC-\d+\.\d+) ")
TAG = re.compile(r"\\tag\{(EC-\d+\.\d+)\}")
RELATIONS = tuple("=≤≥<>≠≈→⟺⟹,≪∈")


@dataclass(frozen=True)
class Symbol:
    """A letter, whether it has a subscript, and what its row of the table of symbols says."""

    letter: str
    subscript: bool
    row: str


@dataclass(frozen=True)
class Pair:
    """Prose, and beside it the equation that is derived there and the examples that follow."""

    label: str
    prose: str
    examples: tuple[str, ...]


class Reader:
    """Typesets a page, whose letters mean what the table of symbols says."""

    def __init__(self, symbols: Sequence[Symbol]) -> None:
        self._symbols = {s.letter: s for s in symbols}
        self._markdown = MarkdownIt("commonmark", {"html": True}).enable("table")
        self._markdown.use(dollarmath_plugin, allow_labels=False, double_inline=True)
        for kind in ("math_inline", "math_inline_double", "math_block"):  # rules are bound to the library's renderer
            self._markdown.add_render_rule(kind, lambda _, tokens, k, *rest: self._formula_of(tokens[k]))
        self._markdown.add_render_rule("table_open", lambda *_: "<div class='scroll' tabindex='0'><table>")
        self._markdown.add_render_rule("table_close", lambda *_: "</table></div>")

    def html(self, text: str) -> str:
        """Everything, one after the other."""
        return "".join(shown for _, shown in self._blocks(text))

    def pairs(self, text: str, equations: Mapping[str, Equation]) -> Iterator[Pair]:
        """A page from top to bottom; `equations` by their labels."""
        label, prose, examples = "", "", list[str]()
        for kind, shown in self._blocks(text):
            begins = kind == "heading" or (kind == "equation" and label) or (kind != "example" and examples)
            if prose and begins:
                yield Pair(label, prose, tuple(examples))
                label, prose, examples = "", "", []
            if kind == "example":
                examples.append(shown)
            elif kind == "equation":
                label = shown[: shown.index(" ")]
                formula = shown[len(label) + 1 :]
                if label not in equations:
                    raise ValueError(f"there is no {label} in equations.json: run python derivations/update.py")
                prose += f"<div class='equation' id='{label}'>{name_html(equations[label])}{formula}</div>"
            else:
                prose += shown
        yield Pair(label, prose, tuple(examples))

    def _blocks(self, text: str) -> Iterator[tuple[str, str]]:
        """Kind and HTML of each block: heading, equation (its label before it), example, or anything else."""
        tokens = self._markdown.parse(text)
        for token in tokens:
            for part in token.children or []:
                if part.type == "text" and "$" in part.content:
                    raise ValueError(f"formula: not typeset in {part.content!r}")
        start, depth, exercises = 0, 0, False
        for k, token in enumerate(tokens):
            depth += token.nesting
            if depth:
                continue
            group, start = tokens[start : k + 1], k + 1
            if token.type == "html_block" and token.content.startswith("<!--"):
                continue  # for the machine: an equation's statement, or where a table begins
            shown = self._markdown.renderer.render(group, self._markdown.options, {})
            shown = re.sub(r"(</math>(?:</span>)?)(?=[.,;:)\]'?’])", "\\1\u2060", shown)  # no line begins with these
            if token.type == "math_block" and (tag := TAG.search(token.content)):
                yield "equation", f"{tag[1]} {shown}"
            elif token.type == "fence" and token.content.startswith(">>>"):
                yield ("block" if exercises else "example"), example_html(token.content)
            else:
                yield ("heading" if token.type == "heading_close" else "block"), shown
            if token.type == "heading_close":  # below it, examples stand in the text: they fold with their answers
                exercises = tokens[k - 1].content == "Exercises"

    def _formula_of(self, token: Token) -> str:
        if token.type == "math_block":
            return f"<div class='scroll display' tabindex='0'>{self.formula(token.content, True)}</div>"
        return self.formula(token.content, token.type == "math_inline_double")

    def formula(self, latex: str, display: bool) -> str:
        """A formula; its letters say what they mean when they are pointed at."""
        root = deepcopy(mathml(latex.strip(), display))
        said = dict.fromkeys(symbol.row for symbol in self._marked(root, False))
        title = escape("\n".join(said), quote=True)
        typeset = "<wbr>".join(ElementTree.tostring(part, encoding="unicode") for part in _parts(root, display))
        return f"<span class='math' title='{title}'>{typeset}</span>" if said else typeset

    def _marked(self, element: Element, scripted: bool) -> Iterator[Symbol]:
        """Mark each letter that stands in the table of symbols, and yield its row."""
        letter = letter_of(element)
        if element.tag in ("mi", "mover") and letter in self._symbols:
            symbol = self._symbols[letter]
            if scripted or not symbol.subscript:
                element.set("class", "symbol")
                element.set("data-letter", letter)
                yield symbol
        elif element.tag != "mover":  # an accent makes another quantity of it
            scripts = element.tag in ("msub", "msubsup")
            for child in element[:1] if element.tag in SCRIPTS else element:
                yield from self._marked(child, scripts or (scripted and element.tag in SCRIPTS))


def _parts(root: Element, display: bool) -> list[Element]:
    """A formula in parts, between which a line may end: behind relations, commas, and signs outside brackets.

    One that stands by itself is broken outside brackets alone, at wide spaces and not at commas.
    """
    attributes = {"displaystyle": "true"} if display else root.attrib
    parts, depth, broken = [Element("math", attributes)], 0, False
    for child in root[0]:
        text = child.text if child.tag == "mo" else ""
        base = child[0] if child.tag in SCRIPTS else child  # a bracket may have an exponent
        form = base.get("form") if base.get("fence") else ""
        depth += base.text in ("(", "[", "{") or form == "prefix"
        depth -= base.text in (")", "]", "}") or form == "postfix"
        wide = display and child.get("width") in ("1em", "2em")
        if broken and not wide:  # a space ends the line before
            parts.append(Element("math", attributes))
        parts[-1].append(child)
        broken = text in RELATIONS or (text in ("+", "−") and len(parts[-1]) > 1 and not depth)
        if display:
            broken = (broken and text != "," and not depth) or wide
        if text and broken:
            child.set("form", "infix")
    return parts


def name_html(equation: Equation, page: str = "") -> str:
    """What stands above an equation: its name, its kind, and its label, a link to where it is derived on `page`."""
    kind = f"<a class='kind' href='equations.html#kinds'>{equation.kind}</a>"
    tag = f"<a class='tag' href='{page}#{equation.label}'>{equation.label}</a>"
    return f"<p class='name'><span>{escape(equation.name)}</span> {kind} {tag}</p>"


def letter_of(element: Element) -> str:
    """What a symbol is known by: its letter, with the accent above it."""
    if element.tag in SCRIPTS and element.tag != "mover":
        return letter_of(element[0])
    return "".join(element.itertext())


def symbols(readme: str) -> Iterator[Symbol]:
    """The rows of the table of symbols, one letter each."""
    table = readme.split("## Notation\n")[1].split("\n## ")[0]
    for row in re.findall(r"^\| \$(.+?)\$ \|(.*?)\|.*\|(.*?)\|$", table, re.MULTILINE):
        said = plain(": ".join(filter(None, [row[0], row[2].strip(), row[1].strip()])))
        first = next(e for e in mathml(row[0]).iter() if e.tag in ("mi", "mover", *SCRIPTS))
        yield Symbol(letter_of(first), first.tag in ("msub", "msubsup"), said)


def plain(text: str) -> str:
    """LaTeX in a text as far as letters show it: μ_ij for \\mu_{ij}."""
    text = (
        text.replace("$", "")
        .replace("`", "")
        .replace("^\\top", "ᵀ")
        .replace("^\\ast", "*")
        .replace("\\tilde\\mu", "μ\u0303")
    )
    text = re.sub(r"\\[A-Za-z]+", lambda command: "".join(mathml(command[0]).itertext()), text)
    return text.replace("{", "").replace("}", "")
