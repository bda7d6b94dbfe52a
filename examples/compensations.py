"""What compensations are worth in iterative pruning, before and after fine-tuning: MNIST, and the equation.

    python examples/compensations.py --jobs 2  # everything; can be interrupted and continued
    python examples/compensations.py --quick   # under a minute
    python examples/compensations.py --report  # figures and tables from the rows that are there

MNIST is looked for where mnist.py does.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import command
import diffusion_sorption as pde
import figures
import mnist
import tables
from experiment import GRADUAL
from rows import Case, Settings

METHODS = ("ec-iterative", "ec-iterative+guarded", "ec-iterative+joint", "ec-iterative+row")
OF_CLASSES = ("ec-iterative", "ec-iterative+row", "ec-fisher-iterative", "ec-fisher-iterative+row")
MEDIUM = "784-300-100-10"
SENTENCE = "Rows against the dense network keep what shifts of biases cannot, without labels and before any training"
MNIST = replace(
    mnist.FULL, n_scored=5000, steps=10, methods=(*OF_CLASSES, GRADUAL), sparsities=(0.5, 0.8, 0.9, 0.95, 0.98, 0.99)
)
EQUATION = replace(pde.FULL, methods=(*METHODS, GRADUAL), sparsities=(0.8, 0.9, 0.95))


def run_mnist(options: argparse.Namespace, file: Path) -> None:
    """The networks of Figure 1, which shows them too; the picture here is of the medium one."""
    folder = mnist.source(options)
    settings = replace(mnist.QUICK, methods=MNIST.methods) if options.quick else MNIST
    cases = mnist.cases(options.quick, 196 if folder is None else 784, options.seed)
    _run(options, file, cases, settings, mnist.work, folder, "test loss (cross-entropy)")


def run_equation(options: argparse.Namespace, file: Path) -> None:
    """2-20-20-20-20-1 at the paper's noise."""
    settings = replace(pde.QUICK, methods=EQUATION.methods) if options.quick else EQUATION
    cases = [Case("2-20-20-20-20-1", "tanh", s, 0.005) for s in options.seed or pde.SEEDS]
    if options.quick:
        cases = pde.cases(True, options.seed)[:1]
    _run(options, file, cases, settings, pde.work, None, "test loss (mean squared error)")


def _run(
    options: argparse.Namespace,
    file: Path,
    cases: list[Case],
    settings: Settings,
    work: Callable[..., None],
    source: str | None,
    loss_name: str,
) -> None:
    """Compute what is missing, then draw and print."""
    rows = command.completed_rows(options, file, work, cases, settings, source)
    if not options.no_figures:
        networks = dict.fromkeys((row.architecture, row.activation) for row in rows)
        shown = [network for network in networks if network[0] == MEDIUM] or networks
        grid = figures.by_stage([(f"{net}, {a}", {"architecture": net, "activation": a}) for net, a in shown])
        drawn = [method for method in settings.methods if method != GRADUAL]  # what pruning alone keeps
        figures.save_figure(figures.ratio_figure(rows, grid, drawn, loss_name, SENTENCE), file)
    title = "Compensations in iterative pruning, without and with fine-tuning"
    print(tables.write_report(file, rows, settings, settings.sparsities, title))


def main(arguments: list[str] | None = None) -> int:
    parser = command.parser(__doc__)
    mnist.add_folder(parser)
    options = parser.parse_args(arguments)
    return command.main("compensations_equation", options, run_equation) or command.main(
        "compensations_mnist", options, run_mnist
    )


if __name__ == "__main__":
    sys.exit(main())
