"""The numbered equations of `derivations/`: what each says, and where it is derived, implemented and tested."""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass
from importlib import resources
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    Commands = argparse._SubParsersAction[argparse.ArgumentParser]


@dataclass(frozen=True)
class Equation:
    """One equation: `label` EC-n.m, `name`, plain `statement`, `latex` source, `page`, and the places that cite it."""

    label: str
    name: str
    statement: str
    latex: str
    page: str
    implemented: tuple[str, ...]
    tested: tuple[str, ...]

    def __str__(self) -> str:
        places = [("derived", (self.page,)), ("implemented", self.implemented), ("tested", self.tested)]
        lines = [f"{self.label}  {self.name}", f"  {self.statement}", ""]
        for title, names in places:
            lines += [f"  {title if k == 0 else '':12} {name}" for k, name in enumerate(names)]
        return "\n".join([*lines, "", *(f"  {line}" for line in self.latex.splitlines())])


def equations() -> tuple[Equation, ...]:
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
    found = tuple(e for e in equations() if wanted in (e.label, e.label.split(".")[0]))
    if not found:
        labels = [e.label for e in equations()]
        raise ValueError(f"label: expected EC-n or EC-n.m from {labels[0]} to {labels[-1]}, got {label!r}")
    return found


def table(chosen: tuple[Equation, ...]) -> str:
    """One line an equation, under a line for each page."""
    label = max(len(e.label) for e in chosen)
    name = max(len(e.name) for e in chosen)
    lines: list[str] = []
    page = None
    for e in chosen:
        if e.page != page:
            lines += [*([""] if lines else []), e.page]
            page = e.page
        lines.append(f"  {e.label:{label}}  {e.name:{name}}  {e.statement}")
    return "\n".join(lines)


def add_arguments(commands: Commands) -> None:
    """Add the command `equations [EC-n[.m]]`."""
    text = "print the numbered equations; or one, with the functions that implement it and the tests that check it"
    parser = commands.add_parser("equations", help=text, description=f"{text[0].upper()}{text[1:]}.")
    parser.add_argument("label", nargs="?", metavar="EC-n[.m]", help="a page of equations, as EC-3, or one, as EC-3.4")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Print what was asked for; returns 0."""
    chosen = equations() if options.label is None else find(options.label)
    print(chosen[0] if len(chosen) == 1 else table(chosen))
    return 0
