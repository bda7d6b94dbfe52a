"""The command `demo`: a network trained on real digits, its scores checked against the oracles, and `compare`."""

from __future__ import annotations

import argparse
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from .. import _checks, oracle
from .._outputs import check_outputs, check_suffix, epoch_progress, progress, write
from .._types import Array
from ..activations import ACTIVATIONS
from ..data import Dataset, load_digits
from ..error_analysis.comparison import digits, scales, worst_error
from ..mlp import MLP
from ..moments import Moments
from ..pruning import Pruned
from ..scores import elimination_compensation
from ..streaming.collect import collect_moments
from ..training import train
from ._compare import add_choices, checked_names, choices, files, finish
from ._inputs import PARTS, add_seed, inputs_of

N_CHECKED = 32  # samples of the batch on which the oracles run
EPOCHS = 20
EXPECTED_DIGITS = {"float32": 3, "float64": 9}


@dataclass(frozen=True)
class Agreement:
    """Correct digits of the worst entry against one oracle, and the digits that the oracle vouches for."""

    oracle: str
    importance: float
    bias_shift: float
    estimate: float | None = None


def add_arguments(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command `demo`."""
    parser = commands.add_parser(
        "demo",
        help="train, score, check and prune a network on real digits",
        description="Trains a small network on the digits that are built in, checks its scores against independent "
        "oracles, and compares methods as `compare` does on a network of your own.",
    )
    names = ", ".join(ACTIVATIONS)
    parser.add_argument(
        "--activation", metavar="NAME", default="relu", help=f"of the hidden layers: {names} (default: relu)"
    )
    parser.add_argument(
        "--hidden", metavar="N,N,...", default="64,32", help="widths of the hidden layers (default: 64,32)"
    )
    add_seed(parser)
    add_choices(parser)
    parser.add_argument(
        "--out",
        type=Path,
        metavar="FILE.npz",
        help="save the network, to score, prune and compare it with --data digits",
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """The demo; returns the exit code: 1 where the scores do not agree with an oracle."""
    check_suffix("--out", options.out, ".npz")
    check_outputs({**files(options), "--out": options.out}, [])
    sparsities, names = choices(options)
    data = load_digits()
    mlp = _trained(options, data)
    parts = {name: getattr(data, name) for name in PARTS[2:]}
    inputs = inputs_of("the demo's network", Pruned.from_zeros(mlp), mlp, "digits", parts, None, options.seed)
    names = checked_names(names, sparsities, inputs)
    print(inputs)
    agreements = check_against_oracles(mlp, data.x_train[:N_CHECKED])
    print(f"\n{agreement_table(mlp, agreements)}\n{certified_digits(mlp, data.x_train[:N_CHECKED])}\n", flush=True)
    code = finish(inputs, sparsities, names, options, agreement=[asdict(a) for a in agreements])
    write(options.out, mlp.save)
    failed = [a.oracle for a in agreements if not trusted(mlp, a)]
    if failed:
        print(f"\nthe scores do NOT agree with: {', '.join(failed)}", file=sys.stderr)
    return code or int(bool(failed))


def check_against_oracles(mlp: MLP, x: Array) -> list[Agreement]:
    """The agreement of the EC scores with each oracle, on the scales of EC-7.9."""
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
    """How many weights have digits enough to be trusted, from the same formulas in a wider format (EC-9.9)."""
    if oracle.wider_format(mlp.dtype) is None:
        return f"no format here is wider than {mlp.dtype}, so its digits are not certified"
    return f"certified: {oracle.certify(mlp, x)}"


def agreement_table(mlp: MLP, agreements: list[Agreement]) -> str:
    """The agreements, for people."""
    lines = [f"correct digits of the worst of {mlp.n_weights:,} weights, on {N_CHECKED} samples at most"]
    lines.append(f"  {'oracle':<20} {'importance':>10} {'bias shift':>11}")
    for a in agreements:
        note = "" if a.estimate is None else f"   (vouches for {a.estimate:.1f})"
        mark = "" if trusted(mlp, a) else "   DISAGREES"
        lines.append(f"  {a.oracle:<20} {a.importance:>10.1f} {a.bias_shift:>11.1f}{note}{mark}")
    return "\n".join(lines)


def _trained(options: argparse.Namespace, data: Dataset) -> MLP:
    sizes = [data.x_train.shape[1], *_integers("--hidden", options.hidden), 10]
    mlp = MLP.initialize(sizes, options.activation, seed=_checks.integer("--seed", options.seed, 0))
    return train(
        mlp,
        data.x_train,
        data.y_train,
        "cross_entropy",
        epochs=EPOCHS,
        learning_rate=5e-3,
        seed=options.seed,
        callback=epoch_progress(EPOCHS),
    )


def _estimated_digits(scores: oracle.EstimatedScores, mlp: MLP, moments: Moments) -> float:
    """The digits that the finite differences vouch for, at the worst entry."""
    worst = 0.0
    for errors, scale in zip((scores.importance_error, scores.bias_shift_error), scales(mlp, moments)):
        for e, s in zip(errors, scale):
            worst = max(worst, float(np.divide(e, s, out=np.zeros_like(e), where=s > 0).max()))
    return digits(worst)


def _integers(name: str, text: str) -> list[int]:
    try:
        return [_checks.integer(name, int(part), 1) for part in text.split(",")]
    except ValueError:
        raise ValueError(f"{name}: expected positive integers such as 64,32, got {text!r}") from None
