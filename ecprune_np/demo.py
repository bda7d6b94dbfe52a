"""The main job, whole: train on real digits, score, check against the oracles, prune, compare."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np

from . import _checks, criteria, oracle
from ._files import save_json
from ._types import Array, LossName, MetricName
from .activations import ACTIVATIONS
from .batch import Batch
from .data import Dataset, load_dataset, load_digits
from .error_analysis.comparison import digits, scales, worst_error
from .evaluation import accuracy
from .losses import check_loss, mean_loss, targets
from .mlp import MLP
from .moments import Moments
from .pruning import Pruned, prune, prune_iteratively
from .scores import Scores, elimination_compensation
from .streaming.collect import collect_moments
from .training import train

Item = TypeVar("Item")

N_CHECKED = 32  # samples of the batch on which the oracles run
N_STEPS = 20  # of iterative pruning
EXPECTED_DIGITS = {"float32": 3, "float64": 9}


@dataclass(frozen=True)
class Agreement:
    """Correct digits of the worst entry against one oracle, and the digits that the oracle vouches for."""

    oracle: str
    importance: float
    bias_shift: float
    estimate: float | None = None


@dataclass(frozen=True)
class Row:
    """Test loss and accuracy of one method at one sparsity, without and with the bias shifts."""

    sparsity: float
    method: str
    loss_before: float
    accuracy_before: float | None
    loss_after: float
    accuracy_after: float | None


def add_arguments(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command `demo`."""
    parser = commands.add_parser(
        "demo",
        help="train, score, check and prune a network on real digits",
        description="Trains a small network on real digits (or takes yours), scores its weights, checks the scores "
        "against independent oracles, prunes at several sparsities with several methods, and prints what is lost.",
    )
    parser.add_argument("--seed", type=int, default=0, help="of the initial weights, the batches and random pruning")
    names = ", ".join(ACTIVATIONS)
    parser.add_argument("--activation", metavar="NAME", help=f"of the hidden layers: {names} (default: relu)")
    parser.add_argument("--hidden", metavar="N,N,...", help="widths of the hidden layers (default: 64,32)")
    parser.add_argument("--sparsities", metavar="S,S,...", default="0.5,0.7,0.8,0.9,0.95", help="default: %(default)s")
    parser.add_argument("--model", type=Path, metavar="FILE.npz", help="prune this network, as saved by MLP.save")
    parser.add_argument(
        "--data", type=Path, metavar="FILE.npz", help="arrays x_train, y_train, x_test, y_test (default: digits)"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the numbers as JSON too")
    parser.add_argument("--out", type=Path, metavar="FILE.npz", help="save the network that EC iterative pruned")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """The demo; returns the exit code: 1 where the scores do not agree with an oracle."""
    sparsities = _sparsities(options.sparsities)
    data = load_digits() if options.data is None else load_dataset(options.data)
    data, loss = _with_loss(data)
    mlp = _trained(options, data, loss) if options.model is None else _loaded(options, data, loss)
    print(f"{'network':<8} {mlp}, {mlp.n_weights:,} weights")
    print(f"{'data':<8} {len(data.x_train):,} training and {len(data.x_test):,} test samples")
    agreements = check_against_oracles(mlp, data.x_train[:N_CHECKED])
    print(f"\n{agreement_table(mlp, agreements)}")
    print(f"{certified_digits(mlp, data.x_train[:N_CHECKED])}\n")
    dense, rows, iterative = compare(mlp, data, loss, sparsities, options.seed)
    print(result_table(dense, rows))
    if options.json is not None:
        record = {"network": str(mlp), "seed": options.seed, "loss": loss, "dense": asdict(dense)}
        record |= {"agreement": [asdict(a) for a in agreements], "rows": [asdict(r) for r in rows]}
        save_json(options.json, record)
        print(f"\nwrote {options.json}")
    if options.out is not None:
        chosen = best_to_save(dense, rows)
        iterative[chosen].mlp.save(options.out)
        print(f"\nwrote {options.out}: pruned to sparsity {chosen:g} by EC iterative")
    failed = [a.oracle for a in agreements if not trusted(mlp, a)]
    if failed:
        print(f"\nthe scores do NOT agree with: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


def check_against_oracles(mlp: MLP, x: Array) -> list[Agreement]:
    """The agreement of the EC scores with each oracle, on the scales of EC-7.6."""
    moments = collect_moments(mlp, x)
    scores = elimination_compensation(mlp, moments)
    agreements = []
    for name in progress("checking", ("loops", "complex_step", "finite_differences")):
        reference = getattr(oracle, name)(mlp, x)
        error, shift_error = worst_error(scores, reference, mlp, moments)
        estimate = _estimated_digits(reference, mlp, moments) if name == "finite_differences" else None
        agreements.append(Agreement(name.replace("_", " "), digits(error), digits(shift_error), estimate))
    return agreements


def trusted(mlp: MLP, agreement: Agreement) -> bool:
    """Whether the scores agree as far as the dtype lets them, or as far as the oracle vouches for itself."""
    expected = float(EXPECTED_DIGITS.get(str(mlp.dtype), 9))
    if agreement.estimate is not None:
        expected = min(expected, np.floor(agreement.estimate))
    return min(agreement.importance, agreement.bias_shift) >= expected


def certified_digits(mlp: MLP, x: Array) -> str:
    """How many weights have digits enough to be trusted, from the same formulas in a wider format (EC-9.5)."""
    if oracle.wider_format(mlp.dtype) is None:
        return f"no format here is wider than {mlp.dtype}, so its digits are not certified"
    return f"certified: {oracle.certify(mlp, x)}"


def compare(
    mlp: MLP, data: Dataset, loss: LossName, sparsities: list[float], seed: int
) -> tuple[Row, list[Row], dict[float, Pruned]]:
    """The dense network's row, one row a sparsity and method, and what EC iterative made of each sparsity.

    Before: weights removed, biases as they were.  After: biases shifted by EC's δ*, whatever the ranking.
    """
    x, y = data.x_train, data.y_train
    ec_scores = elimination_compensation(mlp, x)
    rankings = {"EC one-shot": ec_scores}
    if loss == "cross_entropy":
        rankings["EC Fisher one-shot"] = elimination_compensation(mlp, x, metric="fisher")
    rivals = {
        "magnitude": criteria.magnitude(mlp),
        "gradient magnitude": criteria.gradient_magnitude(mlp, x, y, loss),
        "random": criteria.random(mlp, seed),
    }
    metrics: dict[str, MetricName] = {"EC iterative": "output"}
    if loss == "cross_entropy":
        metrics["EC Fisher iterative"] = "fisher"
    iterative: dict[float, Pruned] = {}
    rows = []

    def row(sparsity: float, method: str, before: MLP, after: MLP) -> Row:
        return Row(sparsity, method, *_test(before, data, loss), *_test(after, data, loss))

    for sparsity in progress("pruning", sparsities):
        for method, scores in rankings.items():
            before = prune(mlp, scores, sparsity, compensation=None)
            rows.append(row(sparsity, method, before.mlp, prune(mlp, scores, sparsity).mlp))
        for method, metric in metrics.items():
            pruned = prune_iteratively(mlp, x, sparsity, steps=N_STEPS, metric=metric)
            before_mlp = mlp.replace([w * m for w, m in zip(mlp.weights, pruned.masks)], mlp.biases)
            rows.append(row(sparsity, method, before_mlp, pruned.mlp))
            if method == "EC iterative":
                iterative[sparsity] = pruned
        for method, scores in rivals.items():
            before = prune(mlp, scores, sparsity)
            shifted = prune(mlp, Scores(scores.importance, ec_scores.bias_shift), sparsity)
            rows.append(row(sparsity, method, before.mlp, shifted.mlp))
    return row(0.0, "dense", mlp, mlp), rows, iterative


def best_to_save(dense: Row, rows: list[Row]) -> float:
    """The highest sparsity at which EC iterative loses at most one point of accuracy, or a tenth of the loss.

    The lowest sparsity where none does.
    """
    candidates = [r for r in rows if r.method == "EC iterative"]
    good = [r.sparsity for r in candidates if _nearly_as_good(r, dense)]
    return max(good) if good else min(r.sparsity for r in candidates)


def agreement_table(mlp: MLP, agreements: list[Agreement]) -> str:
    """The agreements, for people."""
    lines = [f"correct digits of the worst of {mlp.n_weights:,} weights, on {N_CHECKED} samples at most"]
    lines.append(f"  {'oracle':<20} {'importance':>10} {'bias shift':>11}")
    for a in agreements:
        note = "" if a.estimate is None else f"   (vouches for {a.estimate:.1f})"
        mark = "" if trusted(mlp, a) else "   DISAGREES"
        lines.append(f"  {a.oracle:<20} {a.importance:>10.1f} {a.bias_shift:>11.1f}{note}{mark}")
    return "\n".join(lines)


def result_table(dense: Row, rows: list[Row]) -> str:
    """The rows, aligned, for people, grouped by sparsity; before and after compensation."""
    lines = [
        f"{'':<30}  {'before compensation':>21}  {'after compensation':>21}",
        f"{'sparsity':<8}  {'method':<20}" + 2 * f"  {'test loss':>11} {'accuracy':>9}",
    ]
    sparsity = -1.0
    for r in [dense, *rows]:
        label = "" if r.sparsity == sparsity else f"{r.sparsity:g}"
        if label:
            lines.append("")
        sparsity = r.sparsity
        before = f"{_short(r.loss_before):>11} {_percent(r.accuracy_before):>9}"
        after = f"{_short(r.loss_after):>11} {_percent(r.accuracy_after):>9}"
        lines.append(f"{label:>8}  {r.method:<20}  {before}  {'' if r is dense else after}".rstrip())
    return "\n".join(lines)


def progress(label: str, items: Iterable[Item]) -> Iterator[Item]:
    """The items, with a line on standard error that counts them if that is a terminal."""
    todo = list(items)
    show = sys.stderr.isatty()
    for k, item in enumerate(todo):
        if show:
            print(f"\r\033[K{label} {k + 1}/{len(todo)}", end="", file=sys.stderr, flush=True)
        yield item
    if show:
        print("\r\033[K", end="", file=sys.stderr, flush=True)


def epoch_progress(epochs: int) -> Callable[[int, float], None]:
    """A callback for `train` that shows the epoch and its loss on standard error if that is a terminal."""

    def report(epoch: int, loss: float) -> None:
        if sys.stderr.isatty():
            end = "\r\033[K" if epoch == epochs else ""
            print(f"\r\033[Ktraining {epoch}/{epochs}, loss {loss:.4f}{end}", end="", file=sys.stderr, flush=True)

    return report


def _with_loss(data: Dataset) -> tuple[Dataset, LossName]:
    """The loss that the targets are for, and these as labels (N,) or one-hot (N, K), or as values (N, K)."""
    classes = _are_classes(data.y_train)

    def shaped(y: Array) -> Array:
        if classes:
            return y[:, 0] if y.shape[1:] == (1,) else y
        return y[:, np.newaxis] if y.ndim == 1 else y

    shaped_data = Dataset(data.x_train, shaped(data.y_train), data.x_test, shaped(data.y_test))
    return shaped_data, "cross_entropy" if classes else "mse"


def _are_classes(y: Array) -> bool:
    """Whether these are integer labels (N,), or integers 0 and 1: a column of labels, or one-hot rows."""
    if y.dtype.kind not in "iu" or y.ndim > 2:
        return False
    one_hot = np.isin(y, (0, 1)).all() and (y.shape[-1] == 1 or (y.sum(axis=-1) == 1).all())
    return y.ndim == 1 or bool(one_hot)


def _trained(options: argparse.Namespace, data: Dataset, loss: LossName) -> MLP:
    hidden = _integers("--hidden", options.hidden or "64,32")
    n_outputs = data.y_train.shape[1] if data.y_train.ndim == 2 else max(int(data.y_train.max()) + 1, 2)
    sizes = [data.x_train.shape[1], *hidden, n_outputs]
    mlp = MLP.initialize(sizes, options.activation or "relu", seed=_checks.integer("--seed", options.seed, 0))
    epochs, rate = 20, 5e-3
    return train(
        mlp,
        data.x_train,
        data.y_train,
        loss,
        epochs=epochs,
        learning_rate=rate,
        seed=options.seed,
        callback=epoch_progress(epochs),
    )


def _loaded(options: argparse.Namespace, data: Dataset, loss: LossName) -> MLP:
    if options.hidden is not None:
        raise ValueError("--hidden: expected without --model, whose widths are given")
    mlp = MLP.load(options.model, options.activation)
    for name in ("x_train", "x_test"):
        x = getattr(data, name)
        if x.ndim != 2 or x.shape[1] != mlp.sizes[0]:
            raise ValueError(f"--data: expected {name} of shape (N, {mlp.sizes[0]}) for this network, got {x.shape}")
    check_loss(mlp, loss)
    for x, y in ((data.x_train, data.y_train), (data.x_test, data.y_test)):
        targets(y, loss, len(x), mlp.sizes[-1], mlp.dtype)
    return mlp


def _test(mlp: MLP, data: Dataset, loss: LossName) -> tuple[float, float | None]:
    hits = accuracy(mlp, Batch(data.x_test, y=data.y_test)) if loss == "cross_entropy" else None
    return mean_loss(mlp, data.x_test, data.y_test, loss), hits


def _estimated_digits(scores: oracle.EstimatedScores, mlp: MLP, moments: Moments) -> float:
    """The digits that the finite differences vouch for, at the worst entry."""
    worst = 0.0
    for errors, scale in zip((scores.importance_error, scores.bias_shift_error), scales(mlp, moments)):
        for e, s in zip(errors, scale):
            worst = max(worst, float(np.divide(e, s, out=np.zeros_like(e), where=s > 0).max()))
    return digits(worst)


def _nearly_as_good(r: Row, dense: Row) -> bool:
    if r.accuracy_after is not None and dense.accuracy_after is not None:
        return r.accuracy_after >= dense.accuracy_after - 0.01
    return r.loss_after <= 1.1 * dense.loss_after


def _short(loss: float) -> str:
    return f"{loss:.4f}" if 1e-2 <= loss < 1e4 else f"{loss:.3e}"


def _percent(fraction: float | None) -> str:
    return "" if fraction is None else f"{100 * fraction:.1f} %"


def _integers(name: str, text: str) -> list[int]:
    try:
        return [_checks.integer(name, int(part), 1) for part in text.split(",")]
    except ValueError:
        raise ValueError(f"{name}: expected positive integers such as 64,32, got {text!r}") from None


def _sparsities(text: str) -> list[float]:
    try:
        return sorted({_checks.number("--sparsities", float(part), 0, 1) for part in text.split(",")})
    except ValueError:
        raise ValueError(f"--sparsities: expected numbers from 0 to 1 such as 0.5,0.9, got {text!r}") from None
