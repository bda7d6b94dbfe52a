"""The command `compare`: what is lost, by method and sparsity."""

from __future__ import annotations

import argparse
import csv
import io
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from .. import _checks
from .._files import save_json, save_text
from .._outputs import check_outputs, progress, write
from .._text import WIDTH, percent, short, table
from ..evaluation import yardstick
from ..methods import COMPENSATIONS, GRAMMAR, RANKINGS, method, pruner
from ._inputs import (
    Inputs,
    add_inputs,
    add_sparsities,
    check_change,
    check_gone,
    checked_sparsities,
    listed,
    read_inputs,
)
from ._page import Point, Report, page
from ._prune import STEPS, check_targets, point, usual_method

FOR_ALL = ("random", "magnitude", "wanda", "obd", "ec", "ec-iterative")
WITH_TARGETS = ("gradient-magnitude",)
FOR_CLASSES = ("ec-fisher", "ec-fisher-iterative", "ec-fisher-iterative+row")
COLUMN = 11  # characters, at most, of a number, its mark and the space before it


@dataclass(frozen=True)
class Measure:
    """A number of each point, and how it is shown."""

    name: str
    title: str
    shown: Callable[[float | None], str]
    best: Callable[[Iterable[float]], float]


MEASURES = (
    Measure("loss", "test loss", short, min),
    Measure("accuracy", "test accuracy", percent, max),
    Measure("change", "change of the output", short, min),
)


@dataclass(frozen=True)
class Comparison:
    """The dense network, and what each method made of it at each sparsity, as far as it came."""

    dense: Point
    points: tuple[Point, ...]


def add_arguments(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command `compare`."""
    parser = commands.add_parser(
        "compare",
        help="what is lost, by method and sparsity",
        description="Prunes a network by several methods to several sparsities, and prints what is lost on samples "
        "that were not used. Ctrl-C leaves the rows that are done, in the files too.",
        epilog="As in: compare network.npz --data data.npz --methods magnitude wanda ec-fisher+row --html page.html",
    )
    add_inputs(parser)
    add_choices(parser)
    parser.set_defaults(run=run)


def add_choices(parser: argparse.ArgumentParser) -> None:
    """What is compared, and what is written of it."""
    add_sparsities(parser)
    parser.add_argument(
        "--methods",
        metavar="NAME",
        nargs="+",
        help=f"{GRAMMAR}, a ranking being one of {', '.join(RANKINGS)}, a metric as for `score`, a compensation one of "
        f"{', '.join(COMPENSATIONS)} (default: {' '.join((*FOR_ALL, *WITH_TARGETS))}; for classes also "
        f"{' '.join(FOR_CLASSES)}; and what `prune` does)",
    )
    parser.add_argument(
        "--steps", metavar="N", type=int, default=STEPS, help="bites of those that iterate (default: %(default)s)"
    )
    parser.add_argument("--csv", metavar="FILE", type=Path, help="write the rows as CSV, anew after each")
    parser.add_argument("--json", metavar="FILE", type=Path, help="write them as JSON, anew after each")
    parser.add_argument("--html", metavar="FILE", type=Path, help="write a page with pictures")


def run(options: argparse.Namespace) -> int:
    """Compare, print, write; returns 0, or 130 where it was interrupted."""
    check_outputs(files(options), [options.network, options.data])
    sparsities, names = choices(options)
    inputs = read_inputs(options)
    names = checked_names(names, sparsities, inputs)
    print(f"{inputs}\n", flush=True)
    return finish(inputs, sparsities, names, options)


def files(options: argparse.Namespace) -> dict[str, Path | None]:
    """What is written."""
    return {"--csv": options.csv, "--json": options.json, "--html": options.html}


def choices(options: argparse.Namespace) -> tuple[list[float], list[str]]:
    """Sparsities and methods as they are asked for, each once; they may also be separated by commas."""
    names = listed(options.methods or [])
    for name in names:
        method(name)
    _checks.integer("--steps", options.steps, 1)
    return checked_sparsities(options.sparsities), names


def checked_names(names: Sequence[str], sparsities: Sequence[float], inputs: Inputs) -> list[str]:
    """What is compared, if the network and the samples allow all of it."""
    check_gone("--sparsities", min(sparsities), inputs)
    check_change(inputs)
    chosen = [*names] or usual(inputs)
    for name in chosen:
        check_targets(method(name), inputs)
    return chosen


def finish(
    inputs: Inputs, sparsities: Sequence[float], names: Sequence[str], options: argparse.Namespace, **more: Any
) -> int:
    """The comparison, printed and written; `more` goes into the JSON file."""

    def rows(comparison: Comparison) -> list[tuple[Path | None, Callable[[Path], None]]]:
        """What is written anew after each row."""
        record = {**inputs.to_dict(), "steps": options.steps, **more, "dense": asdict(comparison.dense)}
        record["rows"] = [asdict(p) for p in comparison.points]
        as_text = as_csv(comparison)
        return [(options.csv, lambda f: save_text(f, as_text)), (options.json, lambda f: save_json(f, record))]

    def save(comparison: Comparison) -> None:
        for file, save_rows in rows(comparison):
            if file is not None:
                save_rows(file)

    comparison = compared(inputs, names, sparsities, options.steps, save)
    text = tables(comparison)
    print(text, end="\n\n" if comparison.points and any(files(options).values()) else "\n")
    if comparison.points:
        for file, save_rows in rows(comparison):
            write(file, save_rows)
        write(options.html, lambda file: save_text(file, page(report(inputs, comparison, text, options))))
    if len(comparison.points) == len(names) * len(sparsities):
        return 0
    print(f"interrupted: {len(comparison.points)} of {len(names) * len(sparsities)} rows are done", file=sys.stderr)
    return 130


def usual(inputs: Inputs) -> list[str]:
    """What is compared where nothing is said: what the data allow, and last what `prune` does."""
    names = [*FOR_ALL]
    if inputs.scored.y is not None:
        names += WITH_TARGETS
    if inputs.is_classifier:
        names += FOR_CLASSES
    return [*names, usual_method(inputs)]


def compared(
    inputs: Inputs, names: Sequence[str], sparsities: Sequence[float], steps: int, save: Callable[[Comparison], None]
) -> Comparison:
    """A point a method and sparsity; `save` has them after each, and an interruption leaves those that are done."""
    measured = yardstick(inputs.dense, inputs.test)
    label = "as given" if inputs.network.sparsity > 0 else "dense"
    comparison = Comparison(point(label, inputs.network.sparsity, measured(inputs.dense)), ())
    pairs = [(name, sparsity) for name in names for sparsity in sparsities]
    try:
        for name, sparsity in progress("pruning", pairs):
            if sparsity == sparsities[0]:
                prune = pruner(name, inputs.network, inputs.for_rankings, steps=steps)
            done = point(name, sparsity, measured(prune(sparsity).mlp))
            comparison = Comparison(comparison.dense, (*comparison.points, done))
            save(comparison)
    except KeyboardInterrupt:
        pass  # what is done is done
    return comparison


def tables(comparison: Comparison) -> str:
    """A table a measure, methods by sparsities, the best of each column marked; in blocks of 80 columns."""
    sparsities = list(dict.fromkeys(p.sparsity for p in comparison.points))
    per_block = max(1, (WIDTH - max([0, *(len(p.method) for p in comparison.points)])) // COLUMN)
    blocks = [sparsities[k : k + per_block] for k in range(0, len(sparsities), per_block)]
    measured = [m for m in MEASURES if getattr(comparison.dense, m.name) is not None]
    parts = [_block(comparison, measure, block) for measure in measured for block in blocks]
    return "\n\n".join([*parts, "* the best of its column"] if parts else ["no row is done"])


def _block(comparison: Comparison, measure: Measure, sparsities: Sequence[float]) -> str:
    columns = [{p.method: getattr(p, measure.name) for p in comparison.points if p.sparsity == s} for s in sparsities]
    best = [measure.best(column.values()) for column in columns]
    rows = []
    for name in dict.fromkeys(p.method for p in comparison.points):
        values = [column.get(name) for column in columns]
        rows.append([name, *(measure.shown(v) + ("*" if v == b else " ") for v, b in zip(values, best))])
    dense = getattr(comparison.dense, measure.name)
    title = f"{measure.title} ({comparison.dense.method}: {measure.shown(dense)})" if dense else measure.title
    return f"{title}\n{table(['', *(f'{s:g} ' for s in sparsities)], rows)}"


def as_csv(comparison: Comparison) -> str:
    """The rows as CSV, the dense network's first; floats to the last digit."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(["method", "sparsity", "test_loss", "test_accuracy", "change"])
    for p in (comparison.dense, *comparison.points):
        writer.writerow([p.method, p.sparsity, *("" if v is None else v for v in (p.loss, p.accuracy, p.change))])
    return stream.getvalue()


def report(inputs: Inputs, comparison: Comparison, text: str, options: argparse.Namespace) -> Report:
    """What the page shows."""
    return Report(
        title=f"{inputs.name} pruned by several methods",
        command=options.command_line,
        measured_on=inputs.measured_on,
        dense=comparison.dense,
        points=comparison.points,
        table=text,
        before=None,
        pruned=None,
        scores=None,
    )
