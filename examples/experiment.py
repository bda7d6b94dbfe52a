"""What both experiments share: the methods, resumable rows in a CSV file, figures and tables."""

from __future__ import annotations

import argparse
import csv
import importlib.util
import io
import json
import multiprocessing
import os
import platform
import signal
import statistics
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import asdict, astuple, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

import ecprune_np as ec
from ecprune_np._files import replacing, save_json, save_text
from ecprune_np.data import Dataset
from ecprune_np.methods import Data
from ecprune_np.methods import pruner as pruner_of

try:
    import fcntl
except ImportError:  # not on Windows, where a single write in append mode must do
    fcntl = None

STAGES = ("pruned", "fine-tuned")
RESULTS = Path(__file__).with_name("results")
INSTALL = "install it with: pip install -e '.[examples]'"

STYLES = {  # method: colour, marker, line
    "random": ("#bbbbbb", "x", ":"),
    "magnitude": ("#7f7f7f", "s", "--"),
    "magnitude+shift": ("#444444", "s", "-"),
    "gradient-magnitude": ("#c49c94", "v", "--"),
    "obd": ("#9467bd", "^", "--"),
    "wanda": ("#2ca02c", "P", "--"),
    "nonlinear": ("#17becf", "d", "-."),
    "ec-unshifted": ("#e6ab02", "o", ":"),
    "ec": ("#ff7f0e", "o", "-"),
    "ec-fisher": ("#e7298a", "D", "-"),
    "ec-iterative": ("#d62728", "o", "-."),
    "ec-fisher-iterative": ("#1f4ed8", "D", "-."),
    "ec-iterative+guarded": ("#8c564b", "v", "--"),
    "ec-iterative+joint": ("#66a61e", "^", "--"),
    "ec-iterative+row": ("#000000", "o", "-"),
    "ec-fisher-iterative+joint": ("#17a2b8", "^", "-"),
    "ec-fisher-iterative+row": ("#5e3c99", "D", "-"),
}


@dataclass(frozen=True)
class Row:
    """One network at one stage: a line of the CSV file."""

    architecture: str
    activation: str
    seed: int
    noise: float
    method: str
    sparsity: float
    stage: str
    test_loss: float
    test_accuracy: float | None

    @property
    def key(self) -> tuple[Any, ...]:
        """What identifies the row: everything but what was measured."""
        return astuple(self)[:7]


COLUMNS = tuple(f.name for f in fields(Row))
Panel = tuple[str, Callable[[Row], bool]]  # a title, and which rows are in it


@dataclass(frozen=True)
class Case:
    """One network to train: layer widths such as "784-300-100-10", activation, seed, and the data's noise."""

    architecture: str
    activation: str
    seed: int
    noise: float = 0.0

    @property
    def sizes(self) -> list[int]:
        """The layer widths, inputs first."""
        return [int(n) for n in self.architecture.split("-")]


@dataclass(frozen=True)
class Settings:
    """Everything that decides the numbers, written next to them as JSON."""

    loss: str
    dtype: str
    n_train: int
    n_test: int
    batch_size: int
    epochs: int
    learning_rate: float
    fine_tune_optimizer: str
    fine_tune_epochs: int
    fine_tune_learning_rate: float
    n_scored: int
    steps: int
    methods: tuple[str, ...]
    sparsities: tuple[float, ...]


class Results:
    """Rows in a CSV file that survives interruption: each `append` is written at once, under a lock."""

    def __init__(self, file: Path) -> None:
        """Open `file`, or make it; a last line that was cut short is dropped, so that it is computed again.

        Raises ValueError where the file holds something else, OSError where it cannot be written.
        """
        self.file = file
        file.parent.mkdir(parents=True, exist_ok=True)
        with self._locked() as (stream, text):
            if not text:
                stream.write(_csv_lines([COLUMNS]))
        self.rows()

    def rows(self) -> list[Row]:
        """All rows that are whole; raises ValueError that names the line that is not a row."""
        text = self.file.read_text(encoding="utf-8")
        return self._parsed(text[: text.rfind("\n") + 1])

    def append(self, rows: Iterable[Row]) -> None:
        """Write these rows in one piece, to 6 digits, but for those that another process has written before."""
        with self._locked() as (stream, text):
            done = {row.key for row in self._parsed(text)}
            stream.write(_csv_lines(_formatted(row) for row in rows if row.key not in done))
            stream.flush()
            os.fsync(stream.fileno())

    @contextmanager
    def _locked(self) -> Iterator[tuple[Any, str]]:
        """The file to append to, and its text; a half line that a killed process left is dropped."""
        with open(self.file, "ab+") as stream:
            if fcntl is not None:
                fcntl.flock(stream, fcntl.LOCK_EX)  # released when the file is closed
            stream.seek(0)
            content = stream.read()
            whole = content[: content.rfind(b"\n") + 1]
            if whole != content:
                stream.truncate(len(whole))
            yield stream, whole.decode()

    def _parsed(self, text: str) -> list[Row]:
        lines = list(csv.reader(io.StringIO(text)))
        if not lines or tuple(lines[0]) != COLUMNS:
            got = ",".join(lines[0]) if lines else "nothing"
            raise ValueError(f"{self.file}: expected the columns {','.join(COLUMNS)}, got {got}")
        return [self._row(number, line) for number, line in enumerate(lines[1:], start=2)]

    def _row(self, number: int, line: list[str]) -> Row:
        try:
            architecture, activation, seed, noise, method, sparsity, stage, loss, hits = line
            accuracy = float(hits) if hits else None
            return Row(
                architecture, activation, int(seed), float(noise), method, float(sparsity), stage, float(loss), accuracy
            )
        except ValueError as error:
            raise ValueError(f"{self.file}, line {number}: expected {','.join(COLUMNS)} ({error})") from None


def _csv_lines(lines: Iterable[Sequence[str]]) -> bytes:
    stream = io.StringIO()
    csv.writer(stream, lineterminator="\n").writerows(lines)
    return stream.getvalue().encode()


def _formatted(row: Row) -> list[str]:
    accuracy = "" if row.test_accuracy is None else f"{row.test_accuracy:.6g}"
    return [*(str(value) for value in row.key), f"{row.test_loss:.6g}", accuracy]


def train(case: Case, data: Dataset, settings: Settings) -> ec.MLP:
    """The dense network of a case, trained by Adam; its seed decides the initial weights and the batches."""
    mlp = ec.MLP.initialize(case.sizes, case.activation, seed=case.seed, dtype=np.dtype(settings.dtype))
    return ec.train(
        mlp,
        data.x_train,
        data.y_train,
        settings.loss,
        epochs=settings.epochs,
        batch_size=settings.batch_size,
        learning_rate=settings.learning_rate,
        seed=case.seed,
    )


def fine_tune(pruned: ec.Pruned, case: Case, data: Dataset, settings: Settings) -> ec.MLP:
    """The pruned network after training again; what is removed stays removed."""
    adam = {"batch_size": settings.batch_size, "learning_rate": settings.fine_tune_learning_rate, "seed": case.seed}
    return ec.train(
        pruned.mlp,
        data.x_train,
        data.y_train,
        settings.loss,
        optimizer=settings.fine_tune_optimizer,
        epochs=settings.fine_tune_epochs,
        masks=pruned.masks,
        **(adam if settings.fine_tune_optimizer == "adam" else {}),  # L-BFGS takes all samples, and its own steps
    )


def pruner(method: str, mlp: ec.MLP, case: Case, data: Dataset, settings: Settings) -> Callable[[float], ec.Pruned]:
    """What takes a sparsity to the network that the method prunes; one-shot methods score the weights once."""
    x, y = data.x_train[: settings.n_scored], data.y_train[: settings.n_scored]
    return pruner_of(method, mlp, Data(ec.Batch(x, y=y), settings.loss, case.seed), steps=settings.steps)


def run_case(case: Case, data: Dataset, settings: Settings, results: Results) -> None:
    """Train, prune and fine-tune one network, and append each row that the file does not have yet.

    `dense` has rows too; its second stage is as much training again as the pruned networks get.
    """
    done = {row.key for row in results.rows()}
    missing = [key for key in keys(case, settings) if key not in done]
    if not missing:
        return
    mlp = train(case, data, settings)
    unpruned = ec.prune(mlp, ec.criteria.magnitude(mlp), 0.0)
    for method in dict.fromkeys(key[4] for key in missing):
        prune = (lambda _: unpruned) if method == "dense" else pruner(method, mlp, case, data, settings)
        for sparsity in dict.fromkeys(key[5] for key in missing if key[4] == method):
            wanted = [key for key in missing if key[4:6] == (method, sparsity)]
            pruned = prune(sparsity)
            networks = {"pruned": pruned.mlp}
            if any(key[6] == "fine-tuned" for key in wanted):
                networks["fine-tuned"] = fine_tune(pruned, case, data, settings)
            results.append(Row(*key, *test(networks[key[6]], data, settings.loss)) for key in wanted)


def keys(case: Case, settings: Settings) -> list[tuple[Any, ...]]:
    """The keys of all rows of a case."""
    pairs = [("dense", 0.0), *((m, s) for m in settings.methods for s in settings.sparsities)]
    return [(*astuple(case), *pair, stage) for pair in pairs for stage in STAGES]


def test(mlp: ec.MLP, data: Dataset, loss: str) -> tuple[float, float | None]:
    """Test loss, and the accuracy where there are classes."""
    hits = ec.accuracy(mlp, ec.Batch(data.x_test, y=data.y_test)) if loss == "cross_entropy" else None
    return ec.mean_loss(mlp, data.x_test, data.y_test, loss), hits


def check_settings(file: Path, settings: Settings) -> None:
    """Write the settings next to the rows, or raise ValueError where rows of other settings are there."""
    beside = file.with_suffix(".json")
    wanted = json.loads(json.dumps(asdict(settings)))
    if beside.exists():
        try:
            found = json.loads(beside.read_text(encoding="utf-8"))
        except ValueError as error:
            raise ValueError(f"{beside}: expected JSON ({error})") from None
        differing = sorted(name for name in wanted.keys() | found.keys() if wanted.get(name) != found.get(name))
        if differing:
            raise ValueError(
                f"{file}: its rows were made with other settings ({', '.join(differing)}, see {beside.name}); "
                "move both files away, or give another folder with --out"
            )
        return
    if len(Results(file).rows()) > 0:
        raise ValueError(f"{file}: expected {beside.name} with the settings of its rows beside it; move it away")
    save_json(beside, wanted)


def run_all(
    work: Callable[[Case, Settings, Path, Any], None],
    cases: list[Case],
    settings: Settings,
    file: Path,
    jobs: int,
    source: Any = None,
) -> None:
    """`work` on every case, in `jobs` processes of one thread each, with a bar that counts the rows in the file."""
    from tqdm import tqdm

    results = Results(file)
    wanted = {key for case in cases for key in keys(case, settings)}

    def n_done() -> int:
        return len(wanted & {row.key for row in results.rows()})

    for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[variable] = "1"  # read by the new processes; one order of summation, one core each
    context = multiprocessing.get_context("spawn")
    with tqdm(total=len(wanted), initial=n_done(), unit="row", desc=file.stem, disable=None) as bar:
        pool = ProcessPoolExecutor(jobs, context, initializer=_die_when_interrupted)
        try:
            pending: set[Future[None]] = {pool.submit(work, case, settings, file, source) for case in cases}
            while pending:
                finished, pending = wait(pending, timeout=1, return_when=FIRST_COMPLETED)
                for future in finished:
                    future.result()
                bar.update(n_done() - bar.n)
        except BaseException:
            for process in multiprocessing.active_children():
                process.terminate()
            raise
        finally:
            pool.shutdown(cancel_futures=True)


def _die_when_interrupted() -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # without a traceback from each process


def parser(description: str) -> argparse.ArgumentParser:
    """The options that both experiments have."""
    p = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--seed", type=int, action="append", metavar="N", help="run this seed; repeatable (default: 0 1 2)")
    p.add_argument("--quick", action="store_true", help="a tiny run, under a minute, into OUT/quick")
    p.add_argument("--jobs", type=int, default=1, metavar="N", help="processes of one thread each (default: 1)")
    p.add_argument("--out", type=Path, default=RESULTS, metavar="DIR", help="rows and figures (default: %(default)s)")
    p.add_argument("--no-figures", action="store_true", help="rows only; matplotlib is not needed")
    p.add_argument("--report", action="store_true", help="draw and print what the rows say, without running anything")
    return p


def main(name: str, options: argparse.Namespace, body: Callable[[argparse.Namespace, Path], None]) -> int:
    """Run `body` and say what goes wrong in one line: 1 for a failure, 130 for an interruption.

    The rows that are finished stay in the file in every case.
    """
    folder = options.out / "quick" if options.quick else options.out
    file = folder / f"{name}.csv"
    needed = ["tqdm"] * (not options.report) + ["matplotlib"] * (not options.no_figures)
    missing = [module for module in needed if importlib.util.find_spec(module) is None]
    if missing:
        also = " (or leave the figures out with --no-figures)" if missing == ["matplotlib"] else ""
        print(f"{name}: {missing[0]} is missing; {INSTALL}{also}", file=sys.stderr)
        return 1
    start = time.perf_counter()
    try:
        _check_options(options)
        body(options, file)
    except (ValueError, OSError, BrokenProcessPool) as error:
        print(f"{name}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"\n{name}: interrupted; finished rows are in {file}, the same command continues", file=sys.stderr)
        return 130
    print(f"{name}: {time.perf_counter() - start:.0f} s, {file}", file=sys.stderr)
    return 0


def _check_options(options: argparse.Namespace) -> None:
    if options.jobs < 1:
        raise ValueError(f"--jobs: expected at least 1, got {options.jobs}")
    if options.seed is not None and min(options.seed) < 0:
        raise ValueError(f"--seed: expected no negative number, got {min(options.seed)}")


def median_over_seeds(rows: Iterable[Row], column: str = "test_loss") -> dict[tuple[Any, ...], float]:
    """(architecture, activation, noise, method, sparsity, stage) to the median of a column."""
    groups: dict[tuple[Any, ...], list[float]] = {}
    for row in rows:
        value = getattr(row, column)
        if value is not None:
            key = (row.architecture, row.activation, row.noise, row.method, row.sparsity, row.stage)
            groups.setdefault(key, []).append(value)
    return {key: statistics.median(values) for key, values in groups.items()}


def existing_rows(file: Path) -> list[Row]:
    """The rows to draw, the smallest network first; raises ValueError where there are none."""
    rows = Results(file).rows() if file.exists() else []
    if not rows:
        raise ValueError(f"{file}: no rows yet; run this without --report first")

    def network(row: Row) -> tuple[Any, ...]:
        widths = Case(row.architecture, row.activation, row.seed).sizes
        return len(widths), widths, row.activation, row.noise

    return sorted(rows, key=network)  # processes append in any order


def ratio_figure(rows: list[Row], panels: list[Panel], methods: Sequence[str], loss_name: str) -> Any:
    """Test loss against the pruning ratio: left right after pruning, right after fine-tuning, a panel a row.

    Lines are medians over the seeds, bands their range, the black line is the dense network.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 0.9 + 2.7 * len(panels)), layout="constrained")
    axes = figure.subplots(len(panels), 2, sharex=True, sharey="row", squeeze=False)
    for (title, chosen), pair in zip(panels, axes):
        for ax, stage in zip(pair, STAGES):
            here = [row for row in rows if row.stage == stage and chosen(row)]
            dense = [row.test_loss for row in here if row.method == "dense"]
            if dense:
                ax.axhline(statistics.median(dense), color="black", linewidth=1, label="dense")
            for method in methods:
                _line(ax, [row for row in here if row.method == method], method)
            ax.set_yscale("log")
            ax.grid(True, which="major", alpha=0.3)
            ax.set_title(f"{title}, {'after pruning' if stage == 'pruned' else 'after fine-tuning'}", fontsize=10)
        pair[0].set_ylabel(loss_name)
    for ax in axes[-1]:
        ax.set_xlabel("pruning ratio")
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=6, fontsize=9, frameon=False)
    return figure


def _line(ax: Any, rows: list[Row], method: str) -> None:
    by_sparsity: dict[float, list[float]] = {}
    for row in rows:
        by_sparsity.setdefault(row.sparsity, []).append(row.test_loss)
    x = sorted(by_sparsity)
    color, marker, line = STYLES[method]
    middle = [statistics.median(by_sparsity[s]) for s in x]
    ax.plot(x, middle, color=color, marker=marker, linestyle=line, markersize=4, linewidth=1.4, label=method)
    ax.fill_between(x, [min(by_sparsity[s]) for s in x], [max(by_sparsity[s]) for s in x], color=color, alpha=0.08)


def save_figure(figure: Any, file: Path) -> None:
    """Write a figure as PNG and SVG, the same bytes for the same rows."""
    import matplotlib

    with matplotlib.rc_context({"svg.hashsalt": "ecprune_np", "svg.fonttype": "path"}):
        for kind, metadata in (("png", {"Software": None}), ("svg", {"Date": None, "Creator": None})):
            with replacing(file.with_suffix(f".{kind}")) as stream:
                figure.savefig(stream, format=kind, dpi=130, metadata=metadata)


def report(rows: list[Row], settings: Settings, sparsities: Sequence[float]) -> str:
    """Markdown: the settings, and for each network the medians over the seeds, a line a method."""
    loss = median_over_seeds(rows)
    hits = median_over_seeds(rows, "test_accuracy")
    table = {**asdict(settings), "made with": made_with()}
    parts = ["| setting | value |\n|---|---|\n" + "\n".join(f"| {k} | {_cell(v)} |" for k, v in table.items())]
    for network in dict.fromkeys((row.architecture, row.activation, row.noise) for row in rows):
        seeds = sorted({row.seed for row in rows if (row.architecture, row.activation, row.noise) == network})
        title = f"{network[0]}, {network[1]}" + (f", noise {network[2]:g}" if network[2] else "")
        for measured, values, number in (("test loss", loss, _short), ("test accuracy", hits, _percent)):
            if any(key[:3] == network for key in values):
                parts.append(f"### {title}: {measured}, median of seeds {', '.join(map(str, seeds))}")
                parts.append(_table(values, network, settings.methods, sparsities, number))
    return "\n\n".join(parts) + "\n"


def made_with() -> str:
    """What the last digits depend on, beside the code: NumPy, its BLAS, the processor's vector instructions.

    OpenBLAS takes the kernels for another processor where OPENBLAS_CORETYPE says so.
    """
    config: Any = np.show_config(mode="dicts")
    blas, simd = config["Build Dependencies"]["blas"], config["SIMD Extensions"]
    widest = [*simd.get("baseline", []), *simd.get("found", [])][-1:]
    forced = os.environ.get("OPENBLAS_CORETYPE")
    kernels = [f"with OPENBLAS_CORETYPE={forced}"] if forced else []
    numpy_and_blas = f"NumPy {np.__version__}, {blas['name']} {blas['version']}, {platform.machine()}"
    return " ".join([numpy_and_blas, *widest, *kernels])


def _table(
    values: dict[tuple[Any, ...], float],
    network: tuple[Any, ...],
    methods: Sequence[str],
    sparsities: Sequence[float],
    number: Callable[[float], str],
) -> str:
    """Each cell is `after pruning → after fine-tuning`; a cell without rows stays empty."""

    def cell(method: str, sparsity: float) -> str:
        found = [values.get((*network, method, sparsity, stage)) for stage in STAGES]
        return " → ".join(number(v) for v in found if v is not None)

    lines = ["| method | " + " | ".join(f"{s:g}" for s in sparsities) + " |", "|---" * (1 + len(sparsities)) + "|"]
    lines.append(f"| dense | {cell('dense', 0.0)} |" + " |" * (len(sparsities) - 1))
    lines += [f"| {m} | " + " | ".join(cell(m, s) for s in sparsities) + " |" for m in methods]
    return "\n".join(lines)


def _cell(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, (tuple, list)) else str(value)


def _short(loss: float) -> str:
    return f"{loss:.3f}" if 0.01 <= loss < 100 else f"{loss:.1e}"


def _percent(fraction: float) -> str:
    return f"{100 * fraction:.1f} %"


def write_report(file: Path, rows: list[Row], settings: Settings, sparsities: Sequence[float], title: str) -> str:
    """The report of the rows, written beside them as Markdown."""
    text = f"# {title}\n\n{report(rows, settings, sparsities)}"
    save_text(file.with_suffix(".md"), text)
    return text
