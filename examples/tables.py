"""Medians over the seeds, as Markdown."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rows import STAGES, Row, Settings, environments

from ecprune_np._files import save_text


def median_over_seeds(rows: Iterable[Row], column: str = "test_loss") -> dict[tuple[Any, ...], float]:
    """(architecture, activation, noise, method, sparsity, stage) to the median of a column."""
    groups: dict[tuple[Any, ...], list[float]] = {}
    for row in rows:
        value = getattr(row, column)
        if value is not None:
            key = (row.architecture, row.activation, row.noise, row.method, row.sparsity, row.stage)
            groups.setdefault(key, []).append(value)
    return {key: statistics.median(values) for key, values in groups.items()}


def settings_table(settings: Any, made_with: Sequence[str]) -> str:
    """Markdown: what decides the numbers, a line each."""
    table = {**asdict(settings), "made with": "; ".join(made_with)}
    return "| setting | value |\n|---|---|\n" + "\n".join(
        f"| {name} | {_cell(value)} |" for name, value in table.items()
    )


def report(rows: list[Row], settings: Settings, sparsities: Sequence[float], made_with: Sequence[str] = ()) -> str:
    """Markdown: the settings, and for each network the medians over the seeds, a line a method."""
    loss = median_over_seeds(rows)
    hits = median_over_seeds(rows, "test_accuracy")
    parts = [settings_table(settings, made_with)]
    for network in dict.fromkeys((row.architecture, row.activation, row.noise) for row in rows):
        seeds = sorted({row.seed for row in rows if (row.architecture, row.activation, row.noise) == network})
        title = f"{network[0]}, {network[1]}" + (f", noise {network[2]:g}" if network[2] else "")
        for measured, values, number in (("test loss", loss, short), ("test accuracy", hits, _percent)):
            if any(key[:3] == network for key in values):
                parts.append(f"### {title}: {measured}, median of seeds {', '.join(map(str, seeds))}")
                parts.append(_table(values, network, settings.methods, sparsities, number))
    return "\n\n".join(parts) + "\n"


def _table(
    values: dict[tuple[Any, ...], float],
    network: tuple[Any, ...],
    methods: Sequence[str],
    sparsities: Sequence[float],
    number: Callable[[float], str],
) -> str:
    """Each cell is `after pruning → after fine-tuning`; a cell without rows stays empty."""

    def losses(method: str, sparsity: float) -> str:
        found = [values.get((*network, method, sparsity, stage)) for stage in STAGES]
        return " → ".join(number(v) for v in found if v is not None)

    lines = ["| method | " + " | ".join(f"{s:g}" for s in sparsities) + " |", "|---" * (1 + len(sparsities)) + "|"]
    lines.append(f"| dense | {losses('dense', 0.0)} |" + " |" * (len(sparsities) - 1))
    lines += [f"| {m} | " + " | ".join(losses(m, s) for s in sparsities) + " |" for m in methods]
    return "\n".join(lines)


def _cell(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, (tuple, list)) else str(value)


def short(loss: float) -> str:
    """A loss to three digits or two."""
    return f"{loss:.3f}" if 0.01 <= loss < 100 else f"{loss:.1e}"


def _percent(fraction: float) -> str:
    return f"{100 * fraction:.1f} %"


def markdown(lines: Sequence[Sequence[str]]) -> str:
    """A table, its first line the head."""
    head, *rest = (f"| {' | '.join(line)} |" for line in lines)
    return "\n".join([head, "|---" * len(lines[0]) + "|", *rest])


def write_page(file: Path, title: str, text: str) -> str:
    """Markdown under a title, written beside the rows of a file."""
    page = f"# {title}\n\n{text}"
    save_text(file.with_suffix(".md"), page)
    return page


def write_report(file: Path, rows: list[Row], settings: Settings, sparsities: Sequence[float], title: str) -> str:
    """The report of the rows, written beside them as Markdown."""
    return write_page(file, title, report(rows, settings, sparsities, environments(file)))
