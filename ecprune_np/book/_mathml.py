"""LaTeX to MathML: what `latex2mathml` does not know of the pages' LaTeX, or typesets wrong, put right.

A formula that is not understood to its last command is an error: nothing untypeset reaches a page.
"""

from __future__ import annotations

import re
import unicodedata
from functools import cache
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

from latex2mathml.converter import convert

FENCES = {"vert": "|", "Vert": "‖", "brace": "{}", "angle": "⟨⟩"}  # with \l and \r before them
SIZES = {"big": "1.2em", "Big": "1.623em", "bigg": "2.047em", "Bigg": "2.47em"}
SCRIPTS = {"msub", "msup", "msubsup", "munder", "mover", "munderover"}
LIMITS = {"max", "min", "sup", "inf"}
PARTS = {"mfrac": 2, "msub": 2, "msup": 2, "msubsup": 3, "munder": 2, "mover": 2, "munderover": 3}
MARKS = 0xE000  # characters that no formula has, each for a fence of which the library says too little
FENCE = re.compile(
    r"(?:\\(bigg?|Bigg?)[lr]\s*)?\\([lr])(vert|Vert|brace|angle)(?![A-Za-z])|\\(bigg?|Bigg?)([lr])\s*([()\[\]])"
)


@cache
def mathml(latex: str, display: bool = False) -> Element:
    """The element `math` of a formula; ValueError where a part of it is not understood."""
    text, fences = _with_marks(_in_words_of_the_library(latex))
    try:
        root = ElementTree.fromstring(convert(text, display="block" if display else "inline"))
    except Exception as error:  # of many kinds: IndexError, and those of the library
        raise ValueError(f"formula: {latex!r} is not understood ({type(error).__name__})") from error
    for element in root.iter():
        element.tag = element.tag.split("}")[-1]
    _tidy(root, fences, display)
    unknown = sorted({c for e in root.iter() for c in e.text or "" if c in "\\&$" or 0xE000 <= ord(c) < 0xF900})
    whole = all(len(e) == PARTS.get(e.tag, len(e)) for e in root.iter()) and latex.count("{") == latex.count("}")
    if unknown or not whole or not "".join(root.itertext()).strip():
        raise ValueError(f"formula: {latex!r} is not typeset: {' '.join(unknown) or 'something is missing'}")
    return root


def _in_words_of_the_library(latex: str) -> str:
    text = re.sub(r"\\tag\{.*?\}", "", latex)
    text = re.sub(r"\\cr\b", r"\\\\", text).replace("{aligned}", "{align*}")
    text = re.sub(r"\\mathop\{\\mathrm\{(\w+)\}\}", r"\\operatorname{\1}", text)
    text = re.sub(r"\\setminus\b", "∖", text)  # whose character of the library's few fonts have
    return re.sub(r"\\arg\b", r"\\operatorname{arg}", text)


def _with_marks(latex: str) -> tuple[str, list[dict[str, str]]]:
    """The formula with a mark for each fence that says left or right, and what each mark stands for."""
    fences: list[dict[str, str]] = []

    def mark(match: re.Match[str]) -> str:
        size, side = match[1] or match[4], match[2] or match[5]
        text = match[6] or FENCES[match[3]][-1 if side == "r" else 0]
        fence = {"text": text, "form": "prefix" if side == "l" else "postfix", "fence": "true", "stretchy": "false"}
        if size:
            fence |= {"stretchy": "true", "symmetric": "true", "minsize": SIZES[size], "maxsize": SIZES[size]}
        fences.append(fence)
        return f" {chr(MARKS + len(fences) - 1)} "

    return FENCE.sub(mark, latex), fences


def _tidy(parent: Element, fences: list[dict[str, str]], display: bool) -> None:
    for child in parent:
        _tidy(child, fences, display)
    children = list(parent)
    for k, child in enumerate(children):
        text = child.text or ""
        if child.tag in ("mi", "mo") and len(text) == 1 and MARKS <= ord(text) < MARKS + len(fences):
            child.tag, child.text = "mo", fences[ord(text) - MARKS]["text"]
            child.attrib = {key: value for key, value in fences[ord(text) - MARKS].items() if key != "text"}
        elif child.tag == "mi" and len(text) == 1 and text not in "∞∂" and unicodedata.category(text)[0] in "SP":
            child.tag = "mo"  # relations and arrows, which have room about them
        elif child.tag == "mrow" and len(child) > 1 and all(e.get("mathvariant") == "normal" for e in child):
            child.tag, child.text = "mi", "".join(child.itertext())  # a word is upright, and one
            child[:] = []
        if child.text == "∂":
            child.tag = "mi"  # a letter, with no room about it
        if child.text in ("/", "′", "″", "‴"):
            child.tag, child.attrib = "mo", {"lspace": "0", "rspace": "0"}
        if child.tag == "msub" and display and child[0].text in LIMITS:
            child.tag = "munder"
        if child.tag == "mover" and child[1].text in ("~", "^"):
            child[1].text = {"~": "˜", "^": "ˆ"}[child[1].text]
            child[1].set("stretchy", "false")
            child.set("accent", "true")
        word = child[0] if child.tag in SCRIPTS else child
        if len(word.text or "") > 1 and word.tag in ("mi", "mo") and parent.tag not in SCRIPTS:
            _word(word, children[k - 1] if k else None, children[k + 1] if k + 1 < len(children) else None)


def _word(word: Element, before: Element | None, after: Element | None) -> None:
    """The name of a function: a thin space before what it is applied to, and behind a factor."""
    close = after is None or after.text == "(" or after.tag == "mo"
    apart = before is not None and before.tag != "mo"
    word.tag = "mo"
    word.attrib = {"form": "prefix", "lspace": "0.17em" if apart else "0", "rspace": "0" if close else "0.17em"}
