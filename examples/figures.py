"""Loss against the pruning ratio, the axis in log(1 − ratio): a panel a network, a line a method."""

from __future__ import annotations

import statistics
import textwrap
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rows import STAGES, Row

from ecprune_np._files import replacing

# Okabe and Ito's colours, which the colour-blind tell apart; a ranking or what answers for it has one, in all figures
STYLES = {  # method: colour, marker, line
    "random": ("#999999", "x", ":"),
    "magnitude": ("#000000", "s", "--"),
    "magnitude+shift": ("#000000", "s", "-"),
    "gradient-magnitude": ("#999999", "v", "--"),
    "obd": ("#cc79a7", "^", "--"),
    "wanda": ("#009e73", "P", "--"),
    "nonlinear": ("#56b4e9", "d", "-"),
    "ec-unshifted": ("#e69f00", "o", ":"),
    "ec": ("#e69f00", "o", "-"),
    "ec-fisher": ("#e69f00", "D", "--"),
    "ec-iterative": ("#d55e00", "o", "-"),
    "ec-fisher-iterative": ("#d55e00", "D", "--"),
    "ec-iterative+guarded": ("#009e73", "v", "-"),
    "ec-iterative+joint": ("#56b4e9", "^", "-"),
    "small-dense": ("#117733", "*", "-"),
    "magnitude-gradual": ("#000000", "v", ":"),
    "ec-gradual": ("#d55e00", "v", ":"),
    "obd-fisher": ("#cc79a7", "v", ":"),
    "ec-cross_entropy": ("#e69f00", "^", "--"),
    "ec-fisher-iterative+none": ("#d55e00", "D", ":"),
    "ec-cross_entropy-iterative+row": ("#0072b2", "^", "--"),
    "ec-iterative+row": ("#0072b2", "o", "-"),
    "ec-fisher-iterative+row": ("#0072b2", "D", "--"),
}
AFTER = {"pruned": "after pruning", "fine-tuned": "after fine-tuning"}
TICKS = (0.1, 0.5, 0.8, 0.9, 0.95, 0.98, 0.99)
LABEL_HEIGHT = 0.042  # of a panel, between the labels of two lines

Panel = tuple[str, Callable[[Row], bool]]  # a title, and which rows are in it


def panel(title: str, **fields: Any) -> Panel:
    """The panel of the rows that have these values, as architecture="784-300-100-10", stage="pruned"."""
    return title, lambda row: all(getattr(row, name) == value for name, value in fields.items())


def by_stage(networks: Sequence[tuple[str, dict[str, Any]]]) -> list[list[Panel]]:
    """A row of panels for each stage, a column for each network: its title, and the values that its rows have."""
    return [
        [panel(f"{title}, {AFTER[stage]}", stage=stage, **fields) for title, fields in networks] for stage in STAGES
    ]


def ratio_figure(
    rows: list[Row], grid: Sequence[Sequence[Panel]], methods: Sequence[str], loss_name: str, sentence: str
) -> Any:
    """Test loss against the pruning ratio, in rows and columns of panels under a sentence that says what to see.

    Lines are medians over the seeds, bands their range, grey lines are networks of which nothing is removed.
    Panels of a row have one scale; the lines of its last one are labelled.
    """
    from matplotlib.figure import Figure

    n_rows, n_columns = len(grid), max(map(len, grid))
    figure = Figure(figsize=(3.4 * n_columns + 2.6, 1.1 + 3.0 * n_rows), layout="constrained")
    figure.suptitle(textwrap.fill(sentence, 60 * n_columns), fontsize=11)
    axes = figure.subplots(n_rows, n_columns, sharex=True, sharey="row", squeeze=False)
    for panels, row_of_axes in zip(grid, axes):
        for (title, chosen), ax in zip(panels, row_of_axes):
            ratio_axis(ax, [row.sparsity for row in rows])
            here = [row for row in rows if chosen(row)]
            for name, dashes in (("dense", "-"), ("dense-restarted", ":")):
                whole = [row.test_loss for row in here if row.method == name]
                if whole:
                    level = {"color": "#999999", "linestyle": dashes, "linewidth": 3, "alpha": 0.5, "zorder": 0}
                    ax.axhline(statistics.median(whole), label=name, **level)
            for method in methods:
                values: dict[float, list[float]] = {}
                for row in here:
                    if row.method == method:
                        values.setdefault(row.sparsity, []).append(row.test_loss)
                line(ax, values, method, STYLES[method])
            ax.set_title(title, fontsize=10)
        row_of_axes[0].set_ylabel(loss_name)
    for ax in axes[-1]:
        ax.set_xlabel("pruning ratio")
    for row_of_axes in axes:
        label_lines(row_of_axes[-1])
    handles, labels = axes[0, -1].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3 * min(n_columns, 2), fontsize=9, frameon=False)
    return figure


def ratio_axis(ax: Any, sparsities: Collection[float]) -> None:
    """The pruning ratio in log(1 − ratio) against a logarithm, ticks where there are rows."""
    ax.set_xscale("function", functions=(_decades, lambda u: 1 - 10.0**-u))
    ax.set_yscale("log")
    shown = [s for s in TICKS if s in sparsities]
    ax.set_xticks(shown, [f"{s:g}" for s in shown], minor=False)
    ax.set_xticks([], minor=True)
    ax.grid(True, which="major", alpha=0.3)


def _decades(sparsity: Any) -> Any:
    """−log10(1 − s)."""
    return -np.log10(np.maximum(1 - np.asarray(sparsity, float), 1e-9))


def line(ax: Any, values: Mapping[float, Sequence[float]], label: str, style: tuple[str, str, str]) -> None:
    """Medians of the values at each ratio, in a band of their range."""
    if not values:
        return
    x = sorted(values)
    color, marker, dashes = style
    middle = [statistics.median(values[s]) for s in x]
    ax.plot(x, middle, color=color, marker=marker, linestyle=dashes, markersize=4, linewidth=1.4, label=label)
    ax.fill_between(x, [min(values[s]) for s in x], [max(values[s]) for s in x], color=color, alpha=0.1)


def label_lines(ax: Any) -> None:
    """Each line's name beside its right end, in its colour, moved no further than room for the others asks for."""
    from scipy.optimize import isotonic_regression

    lines = ax.get_lines()
    ax.get_xlim(), ax.get_ylim()  # from here on they stay as they are
    to_axes = ax.transAxes.inverted()
    ends = np.array([to_axes.transform(line.get_transform().transform(line.get_xydata()[-1])) for line in lines])
    order, room = np.argsort(ends[:, 1], kind="stable"), LABEL_HEIGHT * np.arange(len(lines))
    places = np.minimum(isotonic_regression(ends[order, 1] - room).x, 1 - room[-1]) + room
    for k, place in zip(order, places):
        color = lines[k].get_color()
        ax.annotate(
            lines[k].get_label(),
            xy=ends[k],
            xytext=(1.06, place),
            xycoords="axes fraction",
            textcoords="axes fraction",
            color=color,
            fontsize=8,
            va="center",
            arrowprops={
                "arrowstyle": "-",
                "color": color,
                "linewidth": 0.6,
                "shrinkA": 0,
                "shrinkB": 0,
                "relpos": (0, 0.5),
            },
        )


def save_figure(figure: Any, file: Path) -> None:
    """Write a figure as PNG and SVG, the same bytes for the same rows."""
    import matplotlib

    with matplotlib.rc_context({"svg.hashsalt": "ecprune_np", "svg.fonttype": "path"}):
        for kind, metadata in (("png", {"Software": None}), ("svg", {"Date": None, "Creator": None})):
            with replacing(file.with_suffix(f".{kind}")) as stream:
                figure.savefig(stream, format=kind, dpi=130, metadata=metadata)
