"""Training, pruning, training (the paper's Remark 2.1): does pruning midway make a better network than none?

    python examples/train_prune_train.py --jobs 2  # everything; can be interrupted and continued
    python examples/train_prune_train.py --quick   # under a minute
    python examples/train_prune_train.py --report  # figures and tables from the rows that are there

All networks see as many epochs in all.  `dense` is trained in one go, `dense-restarted` with the learning rate of the
pruned ones, which starts anew midway; `small-dense` has as few parameters as the pruned networks, from the start.
The others are pruned midway, or (`-gradual`) in bites during the second half.  MNIST is looked for where mnist.py does.
"""

from __future__ import annotations

import argparse
import math
import statistics
import sys
from dataclasses import astuple, replace
from pathlib import Path
from typing import Any

import command
import diffusion_sorption as pde
import experiment
import figures
import mnist
import tables
from rows import Case, Results, Row, Settings, environments

import ecprune_np as ec
from ecprune_np.data import Dataset

MIDWAY = ("magnitude", "ec-iterative", "ec-iterative+row")
GRADUAL = {"magnitude-gradual": "magnitude", "ec-gradual": "ec"}
WHOLE = ("dense", "dense-restarted")  # of which nothing is removed
SENTENCES = {  # what to see
    "mnist": "Pruned midway by EC, networks become better than the dense one (grey), up to 0.9 with relu and 0.8 with "
    "tanh; small dense ones are worse",
    "equation": "Pruned midway by EC, a network becomes as good as the dense one (grey) up to 0.8; "
    "at 0.95 a small dense one is better",
}
SEEDS = (0, 1, 2, 3, 4)
STAGE = "fine-tuned"
METHODS = ("small-dense", *MIDWAY, *GRADUAL)
MNIST = replace(
    mnist.FULL,
    epochs=6,
    fine_tune_epochs=6,
    n_scored=5000,
    steps=10,
    methods=METHODS,
    sparsities=(0.5, 0.7, 0.8, 0.9, 0.95, 0.98),
)
EQUATION = replace(
    pde.FULL,
    epochs=200,
    fine_tune_optimizer="adam",
    fine_tune_epochs=200,
    fine_tune_learning_rate=1e-2,
    steps=10,
    methods=METHODS,
    sparsities=(0.3, 0.5, 0.7, 0.8, 0.9, 0.95),
)


QUICK_MNIST = replace(mnist.QUICK, epochs=4, fine_tune_epochs=4, methods=METHODS)
QUICK_EQUATION = replace(EQUATION, n_train=1000, n_test=2000, epochs=10, fine_tune_epochs=10, sparsities=(0.5, 0.8))


def trained(way: str, half: ec.MLP, case: Case, data: Dataset, settings: Settings, sparsity: float) -> ec.MLP:
    """The network of a way after all epochs; `half` is the dense one after the first half of them."""
    whole = replace(settings, epochs=settings.epochs + settings.fine_tune_epochs)
    if way == "dense":
        return experiment.train(case, data, whole)
    if way == "small-dense":
        return experiment.train(experiment.as_small_as(case, sparsity), data, whole)
    if way == "dense-restarted":
        return experiment.fine_tune(experiment.unpruned(half), case, data, settings).mlp
    if way in GRADUAL:
        return gradually(GRADUAL[way], half, case, data, settings, sparsity)
    return experiment.fine_tune(experiment.pruner(way, half, case, data, settings)(sparsity), case, data, settings).mlp


def gradually(method: str, half: ec.MLP, case: Case, data: Dataset, settings: Settings, sparsity: float) -> ec.MLP:
    """Pruned in bites while it is trained, in the first half of the epochs that are left.

    After each bite the learning rate starts anew, from where a half cosine over all those epochs would be.
    """
    left = settings.fine_tune_epochs
    bites = min(settings.steps, left // 2)
    after_a_bite = left // (2 * bites)
    done = 0

    def train_on(pruned: ec.Pruned) -> ec.Pruned:
        nonlocal done
        epochs = after_a_bite if done < after_a_bite * (bites - 1) else left - done
        rate = settings.fine_tune_learning_rate * (1 + math.cos(math.pi * done / left)) / 2
        chunk = replace(settings, fine_tune_epochs=epochs, fine_tune_learning_rate=rate)
        done += epochs
        return experiment.fine_tune(pruned, case, data, chunk)

    prune = experiment.pruner(f"{method}-iterative", half, case, data, replace(settings, steps=bites))
    return prune(sparsity, then=train_on).mlp


def keys(case: Case, settings: Settings) -> list[tuple[Any, ...]]:
    """The keys of all rows of a case."""
    pairs = [*((way, 0.0) for way in WHOLE), *((way, s) for way in settings.methods for s in settings.sparsities)]
    return [(*astuple(case), *pair, STAGE) for pair in pairs]


def work(case: Case, settings: Settings, file: Path, folder: str | None) -> None:
    """All ways for one network, in a process of its own."""
    results = Results(file)
    done = {row.key for row in results.rows()}
    missing = [key for key in keys(case, settings) if key not in done]
    if not missing:
        return
    data = mnist.load(folder, settings) if settings.loss == "cross_entropy" else pde.load(case, settings)
    half = experiment.train(case, data, settings)
    for key in missing:
        mlp = trained(key[4], half, case, data, settings, key[5])
        results.append([Row(*key, *experiment.test(mlp, data, settings.loss))])


def report(rows: list[Row], settings: Settings) -> str:
    """Markdown: a table a network; a cell is the median, the range, and how many seeds beat their own dense network."""
    parts = []
    for network in dict.fromkeys((row.architecture, row.activation) for row in rows):
        losses: dict[tuple[str, float], dict[int, float]] = {}
        for row in rows:
            if (row.architecture, row.activation) == network:
                losses.setdefault((row.method, row.sparsity), {})[row.seed] = row.test_loss
        dense = losses.get(("dense", 0.0), {})
        parts.append(f"### {network[0]}, {network[1]}: test loss, seeds {', '.join(map(str, sorted(dense)))}")
        parts.append("\n".join(f"- {way}: {_cell(losses.get((way, 0.0), {}), dense)}" for way in WHOLE))
        head = ["way", *(f"{s:g}" for s in settings.sparsities)]
        lines = [head]
        for way in settings.methods:
            lines.append([way, *(_cell(losses.get((way, s), {}), dense) for s in settings.sparsities)])
        parts.append(tables.markdown(lines))
    return "\n\n".join(parts) + "\n"


def _cell(losses: dict[int, float], dense: dict[int, float]) -> str:
    """By seeds: median (lowest to highest), and how many are below the dense network of the same seed."""
    if not losses:
        return ""
    low, middle, high = min(losses.values()), statistics.median(losses.values()), max(losses.values())
    text = f"{tables.short(middle)} ({tables.short(low)} to {tables.short(high)})"
    better = sum(loss < dense.get(seed, -math.inf) for seed, loss in losses.items())
    return text if losses == dense else f"{text}, {better} of {len(losses)}"


def run_mnist(options: argparse.Namespace, file: Path) -> None:
    """784-300-100-10 with each activation."""
    folder = mnist.source(options)
    settings = QUICK_MNIST if options.quick else MNIST
    cases = [Case("784-300-100-10", a, s) for a in ("tanh", "relu") for s in options.seed or SEEDS]
    if options.quick:
        cases = mnist.cases(True, 196 if folder is None else 784, options.seed)
    _run(options, file, cases, settings, folder, SENTENCES["mnist"])


def run_equation(options: argparse.Namespace, file: Path) -> None:
    """2-20-20-20-20-1 at the paper's noise."""
    settings = QUICK_EQUATION if options.quick else EQUATION
    cases = [Case("2-20-20-20-20-1", "tanh", s, 0.005) for s in options.seed or SEEDS]
    if options.quick:
        cases = pde.cases(True, options.seed)[:1]
    _run(options, file, cases, settings, None, SENTENCES["equation"])


def _run(
    options: argparse.Namespace, file: Path, cases: list[Case], settings: Settings, folder: str | None, sentence: str
) -> None:
    """Compute what is missing, then draw and print."""
    rows = command.completed_rows(options, file, work, cases, settings, folder, keys)
    if not options.no_figures:
        networks = dict.fromkeys((row.architecture, row.activation) for row in rows)
        grid = [[figures.panel(f"{net}, {a}", architecture=net, activation=a) for net, a in networks]]
        loss_name = f"test loss ({'cross-entropy' if settings.loss == 'cross_entropy' else 'mean squared error'})"
        figures.save_figure(figures.ratio_figure(rows, grid, settings.methods, loss_name, sentence), file)
    title = "Training, pruning, training: test loss after as many epochs in all"
    text = f"{tables.settings_table(settings, environments(file))}\n\n{report(rows, settings)}"
    print(tables.write_page(file, title, text))


def main(arguments: list[str] | None = None) -> int:
    parser = command.parser(__doc__)
    mnist.add_folder(parser)
    options = parser.parse_args(arguments)
    return command.main("train_prune_train_equation", options, run_equation) or command.main(
        "train_prune_train_mnist", options, run_mnist
    )


if __name__ == "__main__":
    sys.exit(main())
