"""The network that published pruning papers share, 784-40-20-10 on MNIST: test accuracy against sparsity.

    python examples/mlpnet.py --checkpoint FILE --jobs 2   # everything; can be interrupted and continued
    python examples/mlpnet.py --quick                      # under a minute, on a network trained on embedded digits
    python examples/mlpnet.py --report                     # figure and tables from the rows that are there

FILE is the network of the WoodFisher, CBS and CHITA papers as `MLP.save` writes it (or the variable ECPRUNE_MLPNET).
It states no licence and is not a part of this project.  MNIST is looked for where mnist.py does.
"""

from __future__ import annotations

import argparse
import functools
import os
import statistics
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import astuple, dataclass, replace
from pathlib import Path
from typing import Any

import command
import experiment
import figures
import mnist
import numpy as np
import tables
from rows import Case, Results, check_settings, environments, existing_rows

import ecprune_np as ec
from ecprune_np.data import Dataset
from ecprune_np.fine_tuning import training
from ecprune_np.methods import Data, method, pruner

MEAN, DEVIATION = 0.1307, 0.3081  # of the pixels, as the network was trained: (byte / 255 − mean) / deviation


@dataclass(frozen=True)
class Way:
    """A way to prune: its method's name, and what it is allowed to look at and to do."""

    method: str
    labels: bool = False
    training: bool = False

    @property
    def group(self) -> str:
        """Groups are never mixed."""
        return f"{'labels' if self.labels else 'no labels'}, {'training' if self.training else 'no training'}"


@dataclass(frozen=True)
class Row:
    """One pruned network: a line of the CSV file."""

    method: str
    labels: str
    training: str
    sparsity: float
    seed: int
    test_accuracy: float
    seconds: float

    @property
    def key(self) -> tuple[Any, ...]:
        """What identifies the row."""
        return astuple(self)[:5]

    @property
    def way(self) -> Way:
        """How it was pruned."""
        return Way(self.method, self.labels == "yes", self.training == "yes")


@dataclass(frozen=True)
class Settings:
    """What decides the numbers."""

    network: str
    n_samples: int  # drawn by the seed, for scores, repairs and training without labels
    n_refitted: int  # as many for "refit", which goes through all of them hundreds of times
    n_train: int  # for training on labels
    n_test: int
    steps: int  # bites
    epochs: int  # of L-BFGS after each of those
    last_epochs: int  # of L-BFGS in the end, towards the dense network's outputs
    sparsities: tuple[float, ...]
    crossed_at: tuple[float, ...]


WAYS = (
    *map(Way, ("magnitude", "wanda", "obd", "obd-fisher", "ec-unshifted", "ec", "ec-fisher", "ec-fisher-iterative")),
    *map(Way, ("ec-iterative+row", "ec-fisher-iterative+row")),
    *(Way(m, training=True) for m in ("ec-fisher-iterative+none", "ec-fisher-iterative+row")),
    *(Way(m, labels=True) for m in ("ec-cross_entropy", "ec-cross_entropy-iterative+row")),
    Way("ec-fisher-iterative+none", labels=True, training=True),
)
RANKINGS = ("magnitude", "wanda", "obd-fisher", "ec", "ec-fisher")
COMPENSATIONS = ("none", "shift", "guarded", "joint", "row", "refit")

# Test accuracy in per cent, as the papers report it, not run again here
PUBLISHED_AT = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98)
PUBLISHED = {
    ("no labels, no training", "magnitude, as reported"): (93.93, 93.78, 93.62, 92.89, 90.30, 83.64, 32.25),
    ("labels, no training", "WoodFisher, as reported"): (94.02, 93.82, 93.77, 93.57, 91.69, 85.54, 38.26),
    ("labels, no training", "CBS, as reported"): (93.96, 93.96, 93.98, 93.90, 93.14, 88.92, 55.45),
    ("labels, no training", "CHITA, as reported"): (93.97, 93.94, 93.80, 93.59, 92.46, 88.09, 46.25),
    ("labels, training", "CHITA++, as reported"): (95.97, 95.93, 95.89, 95.80, 95.55, 94.70, 90.73),
}
REPORTED = {  # colour, marker, line
    "magnitude, as reported": ("#777777", "s", ":"),
    "WoodFisher, as reported": ("#777777", "^", ":"),
    "CBS, as reported": ("#777777", "v", ":"),
    "CHITA, as reported": ("#777777", "x", ":"),
    "CHITA++, as reported": ("#777777", "x", "--"),
}
GROUPS = ("no labels, no training", "no labels, training", "labels, no training", "labels, training")
SENTENCE = "Without labels and without training, EC with rows is above every published method but CHITA++ from 0.8 on"
ERRORS = (3, 5, 7, 10, 20, 30, 50, 80)  # where the axis has ticks
SEEDS = (0, 1, 2)
FULL = Settings(
    network="784-40-20-10, as published",
    n_samples=10000,
    n_refitted=1000,
    n_train=60000,
    n_test=10000,
    steps=20,
    epochs=20,
    last_epochs=100,
    sparsities=(0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99),
    crossed_at=(0.9, 0.95, 0.98),
)
QUICK = replace(
    FULL,
    network="196-20-20-10, trained here on the embedded digits",
    n_samples=500,
    n_refitted=200,
    n_train=2000,
    n_test=1500,
    steps=3,
    epochs=5,
    last_epochs=5,
    sparsities=(0.5, 0.8, 0.9),
    crossed_at=(0.8,),
)


def wanted_keys(settings: Settings, seeds: Sequence[int]) -> list[tuple[Any, ...]]:
    """The keys of all rows: the ways, a seed after the other, then every ranking with every compensation likewise."""
    ways = [(way, s) for way in WAYS for s in settings.sparsities]
    grid = [(crossed(r, c), s) for r in RANKINGS for c in COMPENSATIONS for s in settings.crossed_at]
    rows = [(*pair, seed) for pairs in (ways, grid) for seed in seeds for pair in pairs]
    return [(w.method, _yes(w.labels), _yes(w.training), s, seed) for w, s, seed in dict.fromkeys(rows)]


def crossed(ranking: str, compensation: str) -> Way:
    """A ranking with a compensation, in bites; compensations of rankings without a metric have Fisher's."""
    metric = "-fisher" if ranking in ("magnitude", "wanda") and compensation != "none" else ""
    return Way(str(method(f"{ranking}{metric}-iterative+{compensation}")))


def _yes(value: bool) -> str:
    return "yes" if value else "no"


@functools.cache
def load(checkpoint: str | None, folder: str | None, settings: Settings) -> tuple[ec.MLP, Dataset]:
    """The network and MNIST in its units; without a checkpoint, a small network trained on the embedded digits."""
    if checkpoint is None:
        data = mnist.load(None, replace(mnist.QUICK, n_train=settings.n_train, n_test=settings.n_test))
        case = Case("196-20-20-10", "relu", 0)
        return experiment.train(case, data, mnist.QUICK), data
    data = mnist.load(folder, replace(mnist.FULL, n_train=settings.n_train, n_test=settings.n_test))
    x_train, x_test = ((x - np.float32(MEAN)) / np.float32(DEVIATION) for x in (data.x_train, data.x_test))
    return ec.MLP.load(checkpoint), Dataset(x_train, data.y_train, x_test, data.y_test)


def work(key: tuple[Any, ...], settings: Settings, file: Path, checkpoint: str | None, folder: str | None) -> None:
    """One network, in a process of its own."""
    results = Results(file, Row)
    if key in {row.key for row in results.rows()}:
        return
    name, labels, trained, sparsity, seed = key
    mlp, data = load(checkpoint, folder, settings)
    start = time.process_time()
    pruned = prune(mlp, data, Way(name, labels == "yes", trained == "yes"), sparsity, seed, settings)
    seconds = time.process_time() - start  # of one thread, whatever runs beside
    results.append([Row(*key, ec.accuracy(pruned.mlp, ec.Batch(data.x_test, y=data.y_test)), seconds)])


def prune(mlp: ec.MLP, data: Dataset, way: Way, sparsity: float, seed: int, settings: Settings) -> ec.Pruned:
    """The network as a way prunes it; what it must not look at it does not get."""
    n_samples = settings.n_refitted if way.method.endswith("+refit") else settings.n_samples
    chosen = np.random.default_rng(seed).permutation(len(data.x_train))[:n_samples]
    x, y = data.x_train[chosen], data.y_train[chosen]
    batch = ec.Batch(x, y=y) if way.labels else ec.Batch(x)
    prune_to = pruner(way.method, mlp, Data(batch, "cross_entropy", seed), steps=settings.steps)
    if not way.training:
        return prune_to(sparsity)
    if way.labels:  # no more than after each bite: beyond that the images are learnt by heart
        labelled = ec.Batch(data.x_train, y=data.y_train)
        return prune_to(sparsity, then=training(labelled, mlp, "cross_entropy", settings.epochs))
    between, last = (training(batch, mlp, "cross_entropy", n) for n in (settings.epochs, settings.last_epochs))
    return last(prune_to(sparsity, then=between))


def medians(rows: Iterable[Row]) -> dict[tuple[Way, float], float]:
    """(way, sparsity) to the median of the test accuracy over the seeds, in per cent."""
    groups: dict[tuple[Way, float], list[float]] = {}
    for row in rows:
        groups.setdefault((row.way, row.sparsity), []).append(100 * row.test_accuracy)
    return {key: statistics.median(values) for key, values in groups.items()}


def report(rows: list[Row], settings: Settings, made_with: Sequence[str]) -> str:
    """Markdown: the settings, a table a group, and for some sparsities every ranking with every compensation."""
    found = medians(rows)
    parts = [tables.settings_table(settings, made_with)]
    for group in GROUPS:
        lines = {way.method: [found.get((way, s)) for s in settings.sparsities] for way in WAYS if way.group == group}
        reported = published(group, settings.network)
        lines |= {name: [values.get(s) for s in settings.sparsities] for name, values in reported.items()}
        times = {
            way.method: statistics.median(row.seconds for row in rows if row.way == way)
            for way in WAYS
            if way.group == group and any(row.way == way for row in rows)
        }
        parts += [f"### {group.capitalize()}", _table("method", settings.sparsities, lines, times)]
    parts.append("### Every ranking with every compensation, in bites, no labels, no training")
    for s in settings.crossed_at:
        lines = {c: [found.get((crossed(r, c), s)) for r in RANKINGS] for c in COMPENSATIONS}
        parts.append(_table(f"at {s:g}", RANKINGS, lines))
    return "\n\n".join(parts) + "\n"


def published(group: str, network: str = FULL.network) -> dict[str, dict[float, float]]:
    """Name to sparsity to accuracy, of a group; nothing is published of another network."""
    if network != FULL.network:
        return {}
    return {name: dict(zip(PUBLISHED_AT, values)) for (of, name), values in PUBLISHED.items() if of == group}


def _table(
    corner: str, columns: Sequence[Any], lines: dict[str, list[float | None]], seconds: dict[str, float] | None = None
) -> str:
    """The largest number of each column in bold; the seconds behind."""
    best = [max((value for value in column if value is not None), default=None) for column in zip(*lines.values())]
    header = [corner, *map(str, columns), *(["seconds"] if seconds else [])]
    text = [header]
    for name, values in lines.items():
        numbers = ["" if v is None else f"**{v:.2f}**" if v == top else f"{v:.2f}" for v, top in zip(values, best)]
        took = [f"{seconds[name]:.1f}" if name in seconds else ""] if seconds else []
        text.append([name, *numbers, *took])
    return tables.markdown(text)


def figure(rows: list[Row], settings: Settings) -> Any:
    """Test error against sparsity, both axes logarithmic: a panel a group, what is published in grey."""
    from matplotlib.figure import Figure

    drawn = Figure(figsize=(13, 7.4), layout="constrained")
    drawn.suptitle(SENTENCE if settings.network == FULL.network else settings.network, fontsize=11)
    axes = drawn.subplots(2, 2, sharex=True, sharey=True)
    for group, ax in zip(GROUPS, axes.flat):
        figures.ratio_axis(ax, sorted({row.sparsity for row in rows}))
        for way in (way for way in WAYS if way.group == group):
            errors: dict[float, list[float]] = {}
            for row in rows:
                if row.way == way:
                    errors.setdefault(row.sparsity, []).append(100 * (1 - row.test_accuracy))
            figures.line(ax, errors, way.method, figures.STYLES[way.method])
        for name, values in published(group, settings.network).items():
            figures.line(ax, {s: [100 - v] for s, v in values.items()}, name, REPORTED[name])
        ax.set_title(group, fontsize=10)
    for ax in axes.flat:
        ax.set_yticks(ERRORS, [f"{e:g}" for e in ERRORS], minor=False)
        ax.set_yticks([], minor=True)
        figures.label_lines(ax)
    for ax in axes[:, 0]:
        ax.set_ylabel("test error, per cent")
    for ax in axes[-1]:
        ax.set_xlabel("pruning ratio")
    return drawn


def add_files(parser: argparse.ArgumentParser) -> None:
    """The options that say where the network and MNIST are."""
    parser.add_argument("--checkpoint", metavar="FILE", help="the published network, .npz (or ECPRUNE_MLPNET)")
    mnist.add_folder(parser)


def checkpoint_of(options: argparse.Namespace) -> str:
    """--checkpoint, or ECPRUNE_MLPNET; raises ValueError where there is none, or another network."""
    file = options.checkpoint or os.environ.get("ECPRUNE_MLPNET")
    if file is None:
        raise ValueError(
            "--checkpoint (or ECPRUNE_MLPNET): expected a file with the published 784-40-20-10 network, "
            "which is no part of this project; --quick does without"
        )
    mlp = ec.MLP.load(file)
    if mlp.sizes != (784, 40, 20, 10):
        raise ValueError(f"--checkpoint: expected a network 784-40-20-10, got {'-'.join(map(str, mlp.sizes))}")
    return str(file)


def run(options: argparse.Namespace, file: Path) -> None:
    """Compute what is missing, then draw and print."""
    settings, seeds = (QUICK, SEEDS[:1]) if options.quick else (FULL, SEEDS)
    if not options.report:
        checkpoint, folder = (None, None) if options.quick else (checkpoint_of(options), mnist.source(options))
        file.parent.mkdir(parents=True, exist_ok=True)
        check_settings(file, settings, Row)
        keys = wanted_keys(settings, options.seed or seeds)
        tasks = [(key, settings, file, checkpoint, folder) for key in keys]
        command.run_all(work, tasks, set(keys), Results(file, Row), options.jobs)
    rows = existing_rows(file, Row)
    if not options.no_figures:
        figures.save_figure(figure(rows, settings), file)
    title = f"{settings.network}: test accuracy in per cent, medians of the seeds"
    print(tables.write_page(file, title, report(rows, settings, environments(file))))


def main(arguments: list[str] | None = None) -> int:
    parser = command.parser(__doc__)
    add_files(parser)
    return command.main("mlpnet", parser.parse_args(arguments), run)


if __name__ == "__main__":
    sys.exit(main())
