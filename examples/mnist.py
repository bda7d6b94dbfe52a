"""The paper's Figure 1 on MNIST: test loss against the pruning ratio, before and after fine-tuning.

    python examples/mnist.py --jobs 2          # all networks and seeds; can be interrupted and continued
    python examples/mnist.py --quick           # under a minute
    python examples/mnist.py --report          # figures and tables from the rows that are there

The line of rows is drawn from what compensations.py has written into the same folder, where it has.
MNIST's four files are taken from --mnist DIR, the variable ECPRUNE_MNIST, or ../shared/data/mnist beside
this project.
"""

from __future__ import annotations

import argparse
import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import command
import experiment
import figures
import tables
from rows import Case, Results, Row, Settings, rows_in

from ecprune_np.data import Dataset, load_digits, load_mnist

ARCHITECTURES = {"784-100-10": "small", "784-300-100-10": "medium", "784-100-100-100-100-10": "deep"}
ACTIVATIONS = ("relu", "tanh")
SEEDS = (0, 1, 2)
ROWS = "ec-iterative+row"  # drawn from the rows of compensations.py, in fewer bites: with these settings they take long
SENTENCES = {  # what to see
    "pruned": "Right after pruning: rows (in ten bites) lose least from 0.8 on, then iterative EC; "
    "relu: one-shot shifts do harm",
    "fine-tuned": "After one more epoch: rows (in ten bites) are the best from 0.9 on, then iterative EC; "
    "both are far below dense networks of that size",
}
BESIDE = Path(__file__).parents[2] / "shared" / "data" / "mnist"

FULL = Settings(
    loss="cross_entropy",
    dtype="float32",
    n_train=60000,
    n_test=10000,
    batch_size=256,
    epochs=10,
    learning_rate=4e-3,
    fine_tune_optimizer="adam",
    fine_tune_epochs=1,
    fine_tune_learning_rate=2e-3,
    n_scored=12000,
    steps=20,
    methods=(
        "random",
        "magnitude",
        "magnitude+shift",
        "gradient-magnitude",
        "obd",
        "wanda",
        "ec-unshifted",
        "ec",
        "ec-fisher",
        "ec-iterative",
        "ec-fisher-iterative",
        "small-dense",
    ),
    sparsities=(0.1, 0.3, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99),
)
QUICK = replace(
    FULL, n_train=3000, n_test=1500, epochs=8, n_scored=500, steps=3, batch_size=64, sparsities=(0.5, 0.8, 0.95)
)


def load(folder: str | None, settings: Settings) -> Dataset:
    """MNIST as float32, cut to the settings' sizes; without a folder, the embedded 14×14 digits."""
    data = load_digits() if folder is None else load_mnist(folder)
    return Dataset(
        data.x_train[: settings.n_train].astype(settings.dtype),
        data.y_train[: settings.n_train],
        data.x_test[: settings.n_test].astype(settings.dtype),
        data.y_test[: settings.n_test],
    )


def work(case: Case, settings: Settings, file: Path, folder: str | None) -> None:
    """One network, in a process of its own."""
    experiment.run_case(case, load(folder, settings), settings, Results(file))


def add_folder(parser: argparse.ArgumentParser) -> None:
    """The option that says where MNIST is."""
    parser.add_argument("--mnist", metavar="DIR", help="folder with the four IDX files (or ECPRUNE_MNIST)")


def mnist_folder(given: str | None) -> str | None:
    """--mnist, else ECPRUNE_MNIST, else the folder beside this project, else None."""
    return given or os.environ.get("ECPRUNE_MNIST") or (str(BESIDE) if BESIDE.is_dir() else None)


def check_mnist(folder: str | None) -> None:
    """Raise ValueError that says what is missing, before anything is written."""
    try:
        load_mnist(folder)
    except ValueError as error:
        raise ValueError(f"--mnist (or ECPRUNE_MNIST): {str(error).removeprefix('folder: ')}") from None


def source(options: argparse.Namespace) -> str | None:
    """MNIST's folder, checked before anything is written; None where --quick does without, or --report needs none."""
    if options.report:
        return None
    folder = mnist_folder(options.mnist)
    if folder is None and options.quick:
        print("mnist: no MNIST found, so --quick takes the embedded 14×14 digits", file=sys.stderr)
    else:
        check_mnist(folder)
    return folder


def cases(quick: bool, n_inputs: int, seeds: list[int] | None) -> list[Case]:
    """The networks to train: seed by seed, so that what is there after a part of the time covers all of them."""
    if quick:
        return [Case(f"{n_inputs}-32-16-10", a, s) for s in seeds or SEEDS[:1] for a in ACTIVATIONS]
    return [Case(net, a, s) for s in seeds or SEEDS for net in ARCHITECTURES for a in ACTIVATIONS]


def run(options: argparse.Namespace, file: Path) -> None:
    """Compute what is missing, then draw and print."""
    settings, folder = QUICK if options.quick else FULL, source(options)
    wanted = cases(options.quick, 196 if folder is None else 784, options.seed)
    rows = command.completed_rows(options, file, work, wanted, settings, folder)
    if not options.no_figures:
        beside = rows_in(file.with_name(f"compensations_{file.name}"))
        drawn = rows + [row for row in beside if row.method == ROWS]
        for stage in SENTENCES:
            figures.save_figure(figure(drawn, settings, stage), file.with_name(f"{file.stem}_{stage}"))
    title = "MNIST: pruning without and with fine-tuning"
    print(tables.write_report(file, rows, settings, settings.sparsities, title))


def figure(rows: list[Row], settings: Settings, stage: str) -> Any:
    """A row of panels for each activation, a column for each architecture."""
    grid = [
        [
            figures.panel(f"{net}, {activation}", architecture=net, activation=activation, stage=stage)
            for net in dict.fromkeys(row.architecture for row in rows)
        ]
        for activation in sorted({row.activation for row in rows})
    ]
    return figures.ratio_figure(rows, grid, (*settings.methods, ROWS), "test loss (cross-entropy)", SENTENCES[stage])


def main(arguments: list[str] | None = None) -> int:
    parser = command.parser(__doc__)
    add_folder(parser)
    return command.main("mnist", parser.parse_args(arguments), run)


if __name__ == "__main__":
    sys.exit(main())
