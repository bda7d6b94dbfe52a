"""Makes the conformance vectors that the package embeds: each case's inputs, and what is right for it.

    python examples/make_vectors.py [--check] [--out DIR]

What is right comes from exact arithmetic (`ec.oracle.exact`, with the extra `exact`), from the definition and rounded
once, and from nowhere else.  `--check` makes everything again and says what has moved; a version that was published
never does.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

import ecprune_np as ec
from ecprune_np._files import save_text
from ecprune_np._types import ActivationName, Array
from ecprune_np.activations import ACTIVATIONS
from ecprune_np.conformance._case import ILL_CONDITIONED
from ecprune_np.conformance._cases import INDEX, SCHEMA, VECTORS, VERSION, WITH_OPTIONS
from ecprune_np.conformance._outcome import TOLERANCES
from ecprune_np.error_analysis.comparison import ROUNDINGS

CONSTANT = 1e-12  # a column is constant where it varies less, relative to its size


@dataclass(frozen=True)
class Inputs:
    """A case before it is known what is right for it."""

    name: str
    group: str
    note: str
    weights: list[Array]
    biases: list[Array]
    activation: ActivationName
    x: Array
    ill_conditioned: bool = False
    options: dict[str, Any] = field(default_factory=dict)  # metric, y, sample_weight, output_activation


# The cases for which other kinds of answers are known too: of gradients all that have targets
WANDA = ("activations", "width", "samples", "constant inputs", "weights", "sample weights")  # groups
OBC = ("relu-2-layers", "leaky_relu-2-layers", "elu-2-layers", "sigmoid-2-layers", "tanh-2-layers", "softplus-2-layers",
       "sin-2-layers", "silu-2-layers", "gelu-2-layers", "depth-1", "depth-3", "one-input", "square", "two-samples",
       "sorted-33", "dead-relu", "zero-input", "constant-input", "correlated-relu", "pruned-weights", "nine-outputs",
       "fisher", "weighted-samples", "sigmoid-output", "fisher-one-logit")  # fmt: skip
OBS = ("depth-1", "width-one", "uncorrelated", "dead-relu", "correlated-relu", "correlated-sin",
       "zero-input", "weighted-samples", "sigmoid-output")  # fmt: skip


def all_cases() -> list[Inputs]:
    """All cases, in the order of their groups."""
    return [
        *_activations(),
        *_outputs(),
        *_depths(),
        *_widths(),
        *_samples(),
        *_batches(),
        *_dead_neurons(),
        *_constant_inputs(),
        *_correlations(),
        *_weight_sizes(),
        *_saturation(),
        *_biases(),
        *_offsets(),
    ]


def cases_with_options() -> list[Inputs]:
    """Those that need a keyword, in the order of their groups."""
    return [*_metrics(), *_sample_weights(), *_output_activations(), *_one_logit()]


def vector(case: Inputs) -> dict[str, Any]:
    """What the case's file holds: inputs, expected values and the scales of the comparison (EC-7.9), flags, note."""
    mlp = ec.MLP(case.weights, case.biases, case.activation, case.options.get("output_activation", "identity"))
    batch = ec.Batch(case.x, case.options.get("sample_weight"), case.options.get("y"))
    metric = case.options.get("metric", "output")
    right = ec.oracle.exact(mlp, batch, metric)
    options = {name: value if isinstance(value, str) else value.tolist() for name, value in case.options.items()}
    kinds = other_kinds(case, mlp, batch, metric, right)
    flags = _flags(mlp, case, right.sensitivity)
    shift_scale = [
        np.sqrt(np.divide(R, S[:, np.newaxis], out=np.zeros_like(R), where=S[:, np.newaxis] > 0))
        for R, S in zip(right.uncompensated, right.sensitivity)
    ]
    return {
        "name": case.name,
        "version": VERSION,
        "flags": flags,
        "note": case.note,
        "activation": case.activation,
        "weights": _lists(mlp.weights),
        "biases": _lists(mlp.biases),
        "x": case.x.tolist(),
        "expected": {"importance": _lists(right.importance), "bias_shift": _lists(right.bias_shift)},
        "scale": {"importance": _lists(right.uncompensated), "bias_shift": _lists(shift_scale)},
        "tolerance": {str(dtype): tolerance for dtype, tolerance in TOLERANCES.items()},
        "ill_conditioned": case.ill_conditioned,
        "roundings": ROUNDINGS,
        **({"options": options} if options else {}),
        **({"kinds": kinds} if kinds else {}),
    }


def other_kinds(
    case: Inputs, mlp: ec.MLP, batch: ec.Batch, metric: Any, right: ec.oracle.ExactScores
) -> dict[str, Any]:
    """What is right for other kinds of answers than EC's, and its scales, by the name of the kind."""
    found: dict[str, Any] = {}
    R = _lists(right.uncompensated)
    if case.group in WANDA:
        values = _lists(ec.oracle.exact_criterion("wanda", mlp, batch).importance)
        found["wanda"] = {"expected": {"importance": values}, "scale": {"importance": values}}
    if "y" in case.options:
        values = _lists(ec.oracle.exact_criterion("gradient_magnitude", mlp, batch, metric).importance)
        root = _lists([np.sqrt(r) for r in right.uncompensated])
        found["gradient_magnitude"] = {"expected": {"importance": values}, "scale": {"importance": root}}
        _, *gradients = ec.oracle.exact_gradient(mlp, batch, metric)
        names = ("weight_gradient", "bias_gradient")
        slopes = [np.sqrt(r) / np.abs(w) for r, w in zip(right.uncompensated, mlp.weights)]
        scales = slopes, [np.sqrt(S) for S in right.sensitivity]
        found["loss_gradient"] = {
            "expected": {name: _lists(layers) for name, layers in zip(names, gradients)},
            "scale": {name: _lists(layers) for name, layers in zip(names, scales)},
        }
    for kind, names_of_cases in (("obc", OBC), ("obs", OBS)):
        if case.name in names_of_cases:
            values = _lists(ec.oracle.exact_criterion(kind, mlp, batch, metric).importance)
            found[kind] = {"expected": {"importance": values}, "scale": {"importance": R}}
    return found


def text_of(vector: dict[str, Any]) -> str:
    """JSON with a row of numbers a line, which are read back exactly."""

    def on_one_line(row: re.Match[str]) -> str:
        return f"[{' '.join(row[1].split())}]"

    text = json.dumps(vector, indent=1, allow_nan=False, ensure_ascii=False)
    return re.sub(r"\[([^][{}]+)\]", on_one_line, text) + "\n"


def files() -> dict[str, str]:
    """The text of every case's file, and of the index of their names, by the file's name."""
    made: dict[str, str] = {}
    for folder, cases in (("", all_cases()), (f"{WITH_OPTIONS}/", cases_with_options())):
        made[folder + INDEX] = json.dumps([case.name for case in cases], indent=1) + "\n"
        made |= {f"{folder}{case.name}.json": text_of(vector(case)) for case in cases}
    return made


def moved(folder: Path, made: dict[str, str]) -> list[str]:
    """The files of a folder that are not as they are made now, those that are missing or too many among them."""
    found = {file.relative_to(folder).as_posix(): file for file in folder.rglob("*.json") if file.name != SCHEMA}
    there = {name: file.read_text(encoding="utf-8") for name, file in found.items()}
    return sorted(name for name in made.keys() | there.keys() if made.get(name) != there.get(name))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing; exit code 1 where something has moved")
    parser.add_argument("--out", type=Path, default=VECTORS, metavar="DIR", help="default: the package's own")
    options = parser.parse_args()
    made = files()
    if options.check:
        names = moved(options.out, made)
        print("\n".join(f"moved: {name}" for name in names) or f"{len(made)} files, nothing has moved")
        return int(bool(names))
    (options.out / WITH_OPTIONS).mkdir(parents=True, exist_ok=True)
    for name, text in made.items():
        save_text(options.out / name, text)
    print(f"wrote {len(made)} files")
    return 0


def _lists(layers: Sequence[Array]) -> list[Any]:
    return [layer.tolist() for layer in layers]


def _case(
    name: str, group: str, note: str, weights: Sequence[Any], biases: Sequence[Any], activation: ActivationName, x: Any
) -> Inputs:
    ws = [np.array(w, np.float64) for w in weights]
    bs = [np.array(b, np.float64) for b in biases]
    return Inputs(name, group, note, ws, bs, activation, np.array(x, np.float64))


def _flags(mlp: ec.MLP, case: Inputs, sensitivity: Sequence[Array]) -> list[str]:
    """What is special about a case, found by looking at it, its group first."""
    shapes, x = mlp.shapes, case.x
    columns = [a for a in ec.forward(mlp, x).inputs if len(x) > 1]
    found = {
        case.activation: mlp.n_layers > 1,
        f"{mlp.n_layers} layer{'s' * (mlp.n_layers > 1)}": True,
        "hidden layers": mlp.n_layers > 1,
        "3 or more layers": mlp.n_layers > 2,
        "several outputs": mlp.sizes[-1] > 1,
        "one output": mlp.sizes[-1] == 1,
        "one sample": len(x) == 1,
        "more than 32 samples": len(x) > 32,
        "one neuron wide": 1 in mlp.sizes[1:-1],
        "square layer": any(n == m > 1 for n, m in shapes),
        "dead neuron": any((S == 0).any() for S in sensitivity),
        "zero input": any((a == 0).all(axis=0).any() for a in columns),
        "constant input": any(
            ((np.ptp(a, axis=0) <= CONSTANT * np.abs(a).max(axis=0)) & a.any(axis=0)).any() for a in columns
        ),
        "zero weight": any((w == 0).any() for w in mlp.weights),
    }
    first = [case.group, *([ILL_CONDITIONED] if case.ill_conditioned else [])]
    first += [str(value) if isinstance(value, str) else name for name, value in case.options.items()]
    return [*first, *(flag for flag, holds in found.items() if holds)]


def _random(
    sizes: Sequence[int], seed: int, n_samples: int = 20, bias: float = 0.5
) -> tuple[list[Array], list[Array], Array]:
    """Normal weights of variance 1/n_in, normal biases and samples, rounded so that float32 holds them exactly."""
    rng = np.random.default_rng(seed)
    weights = [_float32(rng.standard_normal((n, m)) / np.sqrt(m)) for m, n in pairwise(sizes)]
    biases = [_float32(bias * rng.standard_normal(n)) for n in sizes[1:]]
    return weights, biases, _float32(rng.standard_normal((n_samples, sizes[0])))


def _float32(array: Array) -> Array:
    """Rounded to float32: an implementation in float32 then starts from the same numbers."""
    return array.astype(np.float32).astype(np.float64)


def _activations() -> list[Inputs]:
    notes = {
        "identity": "a linear network: s is the same for every sample",
        "relu": "σ' is a step: [z > 0]",
        "leaky_relu": "the slope below zero is 0.01",
        "elu": "σ' = e^z below zero, 1 above",
        "sigmoid": "σ' = s (1 − s) at the preactivation",
        "tanh": "σ' = 1 − tanh² at the preactivation",
        "softplus": "σ' is the logistic function",
        "sin": "σ' = cos z changes its sign",
        "silu": "σ' = s + z s (1 − s)",
        "gelu": "the exact one, with erf: the tanh approximation is 1e-3 away",
    }
    made: list[Inputs] = []
    for name in ACTIVATIONS:
        for sizes, seed in (((4, 5, 2), 11), ((3, 4, 5, 3), 13)):
            weights, biases, x = _random(sizes, seed, 12)
            made.append(
                _case(f"{name}-{len(sizes) - 1}-layers", "activations", notes[name], weights, biases, name, 1.5 * x)
            )
    weights, biases, x = _random([3, 4, 2], 14, 12)
    biases[0] = _float32(0.25 * biases[0] - 3)
    note = "preactivations around −3, where the tanh approximation is 10 % away: it shows in float32 too"
    made.append(_case("gelu-tail", "activations", note, [0.25 * weights[0], weights[1]], biases, "gelu", x))
    return made


def _outputs() -> list[Inputs]:
    w, b, x = _random([4, 5, 1], 21)
    one = _case(
        "one-output", "outputs", "sums over the outputs have one term: only other mistakes show", w, b, "tanh", x
    )
    w, b, x = _random([4, 5, 2], 22)
    w[1][1], b[1][1] = -w[1][0], -b[1][0]
    opposite = _case(
        "opposite-outputs", "outputs", "f_2 = −f_1: a gradient of the sum of the outputs is zero", w, b, "tanh", x
    )
    w[1][1], b[1][1] = w[1][0], b[1][0]
    equal = _case(
        "equal-outputs",
        "outputs",
        "f_2 = f_1: a gradient of the sum counts twice, a sum of squares once each",
        w,
        b,
        "tanh",
        x,
    )
    w, b, x = _random([3, 4, 9], 23)
    many = _case(
        "nine-outputs", "outputs", "s_i sums J_k² over the outputs: no mean, no sum of J_k", w, b, "sigmoid", x
    )
    w, b, x = _random([4, 5, 3], 24)
    w[1][0] *= 100
    unequal = _case("unequal-outputs", "outputs", "one output is 100 times larger than the others", w, b, "softplus", x)
    return [one, opposite, equal, many, unequal]


def _depths() -> list[Inputs]:
    made: list[Inputs] = []
    for depth, sizes in enumerate(([5, 3], [4, 6, 3], [3, 5, 4, 2], [4, 3, 5, 4, 3], [3, 4, 5, 4, 3, 2]), 1):
        note = "exact: the output is linear in every weight" if depth == 1 else "the pullback passes every later layer"
        w, b, x = _random(sizes, 30 + depth)
        made.append(_case(f"depth-{depth}", "depth", note, w, b, "tanh", x))
    w, b, x = _random([3, 6, 6, 5, 2], 37, bias=1.0)
    made.append(_case("deep-relu", "depth", "dead samples differ from layer to layer", w, b, "relu", x))
    w, b, x = _random([3, 4, 5, 4, 2], 38)
    made.append(_case("deep-identity", "depth", "no σ' at all: s is a product of matrices", w, b, "identity", x))
    w, b, x = _random([4, 5, 6, 4, 2], 39)
    made.append(
        _case(
            "deep-mixed-signs",
            "depth",
            "cross terms of J cancel: squares cannot be propagated layer by layer",
            w,
            b,
            "sin",
            x,
        )
    )
    return made


def _widths() -> list[Inputs]:
    made: list[Inputs] = []
    for name, sizes, note in (
        ("width-one", [1, 1, 1], "every array has one entry: sums and axes cannot hide"),
        ("width-one-deep", [1, 1, 1, 1, 1], "a chain of single neurons"),
        ("bottleneck", [4, 3, 1, 3, 2], "a layer of one neuron between wider ones"),
        ("one-input", [1, 6, 2], "each neuron of the first layer has one weight"),
        ("square", [4, 4, 4], "a transposed result has the right shape"),
        ("square-deep", [3, 3, 3, 3], "a transposed weight matrix raises no error"),
        ("wide", [2, 16, 2], "more neurons than samples' directions"),
    ):
        w, b, x = _random(sizes, 40 + len(made), 15)
        made.append(_case(name, "width", note, w, b, "tanh", x))
    return made


def _samples() -> list[Inputs]:
    made: list[Inputs] = []
    for name, n_samples, note in (
        ("one-sample", 1, "nothing varies: I = 0, and δ* = w a; N − 1 divides by zero"),
        ("two-samples", 2, "N − 1 in place of N doubles the importance"),
        ("seven-samples", 7, "fewer samples than weights"),
    ):
        w, b, x = _random([4, 5, 3], 50 + n_samples, n_samples)
        made.append(_case(name, "samples", note, w, b, "tanh", x))
    w, b, x = _random([3, 4, 2], 58, 5)
    made.append(
        _case(
            "repeated-samples",
            "samples",
            "each sample three times: the same values as once",
            w,
            b,
            "tanh",
            np.repeat(x, 3, axis=0),
        )
    )
    made.append(
        _case(
            "equal-samples",
            "samples",
            "the same sample 20 times: every weight is free",
            w,
            b,
            "tanh",
            np.repeat(x[:1], 20, axis=0),
        )
    )
    w, b, x = _random([3, 4, 2], 59, 16)
    x[1:] *= 0.125
    made.append(
        _case("outlier-sample", "samples", "one sample is 8 times larger: E[s]² is not E[s²]", w, b, "softplus", x)
    )
    return made


def _batches() -> list[Inputs]:
    made: list[Inputs] = []
    sorted_ones: list[tuple[int, ActivationName, str]] = [
        (33, "tanh", "one more than a batch of 32: batches must be weighted by their size"),
        (65, "softplus", "two batches of 32 and one of a single sample"),
        (129, "relu", "one more than a batch of 128"),
        (200, "sigmoid", "not a multiple of any power of two above 8"),
    ]
    for n_samples, activation, note in sorted_ones:
        w, b, x = _random([3, 4, 2], 60 + n_samples, n_samples)
        order = np.argsort(x[:, 0])
        x[:, 0] = _float32(2 * x[:, 0])
        made.append(
            _case(
                f"sorted-{n_samples}", "batches", f"{note}; sorted, so their means differ", w, b, activation, x[order]
            )
        )
    w, b, x = _random([3, 4, 2], 69, 257)
    x[256] *= 16
    made.append(
        _case(
            "last-257",
            "batches",
            "the last of 257 samples is the largest: a dropped incomplete batch shows",
            w,
            b,
            "elu",
            x,
        )
    )
    return made


def _dead_neurons() -> list[Inputs]:
    made: list[Inputs] = []
    w, b, x = _random([3, 4, 2], 70)
    b[0][1] = -20
    made.append(_case("dead-relu", "dead neurons", "S_i = 0: I and δ* are 0, not 0/0", w, b, "relu", x))
    w, b, x = _random([3, 4, 5, 2], 71)
    w[1][:, 2] = 0
    made.append(
        _case(
            "disconnected-neuron",
            "dead neurons",
            "zero outgoing weights: S_i = 0 with a live activation",
            w,
            b,
            "tanh",
            x,
        )
    )
    w, b, x = _random([3, 4, 3, 2], 72)
    b[1][:] = -20
    made.append(_case("dead-layer", "dead neurons", "a whole layer is dead, and so is all before it", w, b, "relu", x))
    w, b, x = _random([2, 3, 2], 73, 6)
    w[0][0], b[0][0], x[:, 0] = (1, 0), 0, (2, -1, -2, -1, -3, -1)
    made.append(
        _case(
            "one-live-sample",
            "dead neurons",
            "a neuron lives for one sample: v = 0, while the plain variance is large",
            w,
            b,
            "relu",
            x,
        )
    )
    weights = [[[1, 0], [1, -1], [0, 2]], [[1, 2, -1], [1, -1, 3]]]
    samples = [[0, 1], [2, 2], [1, -1], [-1, -1], [0, 0], [3, 0]]
    made.append(
        _case(
            "kink-relu",
            "dead neurons",
            "preactivations that are exactly 0: relu'(0) = 0",
            weights,
            [[0, 0, 0], [0, 1]],
            "relu",
            samples,
        )
    )
    weights = [[[1, 1]], [[1], [2]]]
    samples = [[1, -1], [2, -2], [-1, 1]]
    made.append(
        _case(
            "always-at-kink",
            "dead neurons",
            "a neuron whose preactivation is always 0 is dead",
            weights,
            [[0], [0, 1]],
            "relu",
            samples,
        )
    )
    return made


def _constant_inputs() -> list[Inputs]:
    made: list[Inputs] = []
    w, b, x = _random([4, 3, 2], 80)
    x[:, 1] = 3
    w[0][:, 1] = (5, -0.25, 2)
    b[0] -= 1.5 * w[0][:, 1]
    made.append(
        _case(
            "constant-input",
            "constant inputs",
            "the bias can replace the weight: I = 0, δ* = w a",
            w,
            b,
            "tanh",
            0.5 * x,
        )
    )
    w, b, x = _random([4, 3, 2], 81)
    x[:, 2] = 0
    made.append(_case("zero-input", "constant inputs", "I = 0 and δ* = 0 exactly", w, b, "tanh", x))
    w, b, x = _random([3, 4, 3, 2], 82)
    w[0][1] = 0
    made.append(
        _case(
            "constant-hidden", "constant inputs", "a hidden neuron with zero weights passes σ(b) on", w, b, "sigmoid", x
        )
    )
    w, b, _ = _random([3, 4, 2], 83)
    made.append(
        _case(
            "all-constant",
            "constant inputs",
            "every input is constant: every weight is free",
            w,
            b,
            "softplus",
            np.tile([1.0, -2.0, 0.5], (9, 1)),
        )
    )
    return made


def _correlations() -> list[Inputs]:
    """Inputs that are large exactly where the neuron is sensitive, or insensitive."""
    made: list[Inputs] = []
    correlated: list[tuple[str, ActivationName, int, str]] = [
        ("correlated-relu", "relu", 1, "the neuron is live where its input is large: weighted and plain mean differ"),
        ("anticorrelated-relu", "relu", -1, "the neuron is live where its input is small"),
        ("correlated-softplus", "softplus", 1, "s grows with the input: the weighted mean is larger"),
        ("correlated-elu", "elu", -1, "s falls with the input"),
        ("symmetric-tanh", "tanh", 1, "s falls with the input's square: the means agree, the variances do not"),
        ("correlated-sin", "sin", 1, "s rises and falls with the input"),
    ]
    for name, activation, sign, note in correlated:
        w, b, x = _random([3, 4, 2], 90 + len(made), 24)
        w[0][:, 0] = sign * (1 + np.arange(4)) / 2
        x[:, 0] *= 1.5
        if name == "symmetric-tanh":
            x, b[0] = np.vstack([x[:12], -x[:12]]), np.zeros(4)
        made.append(_case(name, "correlation", note, w, b, activation, x))
    w, b, x = _random([4, 2], 97, 24)
    made.append(
        _case("uncorrelated", "correlation", "one layer, s = 1: weighted and plain mean agree", w, b, "tanh", x + 1)
    )
    return made


def _weight_sizes() -> list[Inputs]:
    made: list[Inputs] = []
    w, b, x = _random([8, 4], 100)
    exponents = np.linspace(-8, 8, 32).reshape(4, 8)
    rng = np.random.default_rng(100)
    wide = _float32(rng.permuted(10**exponents) * np.sign(w[0]))
    made.append(
        _case("weights-1e-8-to-1e8", "weights", "importances from 1e-16 to 1e16 in one layer", [wide], b, "identity", x)
    )
    for exponent in (-8, 8):
        w, b, x = _random([3, 4, 2], 101)
        scale = _float32(np.array(10.0**exponent))
        note = "S_i far below any ε that is added to a denominator" if exponent < 0 else "s and I far above 1"
        made.append(
            _case(
                f"weights-1e{exponent}",
                "weights",
                note,
                [_float32(scale * v) for v in w],
                [scale * v for v in b],
                "relu",
                x,
            )
        )
    w, b, x = _random([3, 4, 2], 102)
    w[1] = _float32(1e-15 * w[1])
    note = "S_i near 1e-30 in the first layer, with ordinary activations: no ε is small beside it"
    made.append(_case("tiny-sensitivity", "weights", note, w, b, "tanh", x))
    w, b, x = _random([3, 4, 3, 2], 103)
    w[1] = _float32(w[1] * 1e-4)
    w[2] = _float32(w[2] * 1e4)
    made.append(
        _case(
            "layers-of-unlike-size", "weights", "a normalisation per layer changes the global ranking", w, b, "tanh", x
        )
    )
    w, b, x = _random([4, 5, 3], 104)
    w[0][::2, 1::2] = 0
    w[1][1] = 0
    made.append(_case("pruned-weights", "weights", "weights that are zero already are free", w, b, "tanh", x))
    w, b, x = _random([4, 3, 2], 105)
    made.append(
        _case(
            "negative-weights",
            "weights",
            "the shift carries the weight's sign",
            [-np.abs(v) for v in w],
            b,
            "softplus",
            np.abs(x),
        )
    )
    return made


def _saturation() -> list[Inputs]:
    made: list[Inputs] = []
    gains: dict[ActivationName, float] = {"tanh": 4.0, "sigmoid": 8.0, "elu": 4.0}
    for activation, gain in gains.items():
        w, b, x = _random([3, 4, 3, 2], 112)
        w[0] *= gain
        note = "most samples are saturated: s spans orders of magnitude"
        made.append(_case(f"saturated-{activation}", "saturation", note, w, b, activation, x))
    return made


def _biases() -> list[Inputs]:
    made: list[Inputs] = []
    w, b, x = _random([4, 5, 3], 120, bias=0)
    made.append(_case("zero-biases", "biases", "no bias to hide behind: every shift is w μ", w, b, "tanh", x))
    w, b, x = _random([4, 5, 3], 121, bias=2)
    made.append(_case("large-biases", "biases", "the forward pass needs its biases", w, b, "softplus", x))
    w, b, x = _random([4, 5, 3], 122)
    made.append(
        _case(
            "positive-inputs",
            "biases",
            "means that are far from zero: most is gained by compensation",
            w,
            b,
            "tanh",
            np.abs(x) + 1,
        )
    )
    return made


def _offsets() -> list[Inputs]:
    """Common offsets of the inputs, in standard deviations; the inputs are multiples of 2⁻³, exact also in float32."""
    made: list[Inputs] = []
    for exponent in (3, 6, 8):
        w, b, x = _random([4, 3], 130 + exponent, 24)
        samples = np.round(8 * x) / 8 + 2.0 ** round(exponent * np.log2(10)) * np.array([1, -1, 1, 0])
        note = f"inputs 1e{exponent} standard deviations from zero: E[s a²] − E[s a]²/S cancels"
        made.append(_ill_conditioned(_case(f"offset-1e{exponent}", "conditioning", note, w, b, "identity", samples)))
    for exponent in (2, 3):
        w, b, x = _random([4, 3, 2], 140 + exponent, 24)
        offset = 2.0 ** round(exponent * np.log2(10))
        samples = np.round(8 * x) / 8 + offset * np.array([1, 0, 0, 0])
        w[0][:, 0] = np.round(16 * w[0][:, 0]) / 16
        b[0] = _float32(b[0] - offset * w[0][:, 0])
        note = f"an input 1e{exponent} standard deviations from zero, absorbed by the bias, with s that varies"
        made.append(
            _ill_conditioned(_case(f"offset-1e{exponent}-two-layers", "conditioning", note, w, b, "tanh", samples))
        )
    w, b, x = _random([3, 4, 2], 150, 24)
    b[0] += 1024
    note = "hidden activations 1e3 standard deviations from zero"
    made.append(_ill_conditioned(_case("offset-hidden", "conditioning", note, w, b, "softplus", x)))
    w, b, x = _random([3, 4, 2], 151, 24)
    x[:, 1] = 3
    note = "a constant input: I = 0, and the textbook form leaves ε R"
    made.append(_ill_conditioned(_case("constant-exactly", "conditioning", note, w, b, "tanh", x)))
    return made


def _with(case: Inputs, **options: Any) -> Inputs:
    return replace(case, options=options)


def _metrics() -> list[Inputs]:
    made: list[Inputs] = []

    def add(
        name: str,
        note: str,
        sizes: Sequence[int],
        activation: ActivationName,
        metric: str,
        gain: float = 1.0,
        **more: Any,
    ) -> None:
        w, b, x = _random(sizes, 160 + len(made), 18)
        rng = np.random.default_rng(160 + len(made))
        if metric == "mse":
            more["y"] = _float32(rng.standard_normal((len(x), sizes[-1])))
        if metric == "cross_entropy" and "y" not in more:
            more["y"] = rng.integers(0, sizes[-1], len(x))
        w[-1] *= gain
        made.append(_with(_case(name, "metrics", note, w, b, activation, x), metric=metric, **more))

    add("softmax", "the squared change of the probabilities: c_r = p_r (e_r − p)", [3, 4, 3], "tanh", "softmax")
    add("softmax-relu", "three layers", [3, 4, 4, 3], "relu", "softmax")
    add(
        "softmax-confident",
        "large logits: 1 − p must not cancel, nor e^f overflow",
        [3, 4, 3],
        "softplus",
        "softmax",
        16.0,
    )
    w, b, x = _random([3, 4, 3], 158, 18)
    note = "all logits are above 1000: e^f overflows where no maximum is subtracted"
    made.append(_with(_case("softmax-offset", "metrics", note, w, [b[0], b[1] + 1024], "sigmoid", x), metric="softmax"))
    add("fisher", "M = diag p − p pᵀ", [3, 4, 3], "tanh", "fisher")
    add("fisher-relu", "three layers", [3, 4, 4, 3], "relu", "fisher")
    add("fisher-nine-classes", "K probabilities that are far from equal", [3, 4, 9], "gelu", "fisher", 3.0)
    add("mse", "c = 2 (f − y)/K", [3, 4, 3], "tanh", "mse")
    add("mse-relu", "three layers", [3, 4, 4, 2], "relu", "mse")
    add("mse-gelu", "one output: K = 1", [3, 4, 1], "gelu", "mse")
    add("mse-elu", "two outputs, an activation with a kink", [3, 5, 2], "elu", "mse")
    add("mse-silu", "three layers, an activation that is not monotone", [3, 4, 3, 2], "silu", "mse")
    add("cross-entropy", "c = p − y; y are labels (N,)", [3, 4, 3], "tanh", "cross_entropy")
    add("cross-entropy-relu", "three layers", [3, 4, 4, 3], "relu", "cross_entropy")
    soft = np.array([[0.5, 0.25, 0.25], [0.125, 0.125, 0.75], [0.0, 1.0, 0.0]] * 6)
    note = "y are probabilities of the classes (N, K)"
    add("cross-entropy-probabilities", note, [3, 4, 3], "sigmoid", "cross_entropy", y=soft)
    return made


def _sample_weights() -> list[Inputs]:
    def weights(seed: int, n: int = 18) -> Array:
        return _float32(np.random.default_rng(seed).uniform(0.25, 4, n))

    w, b, x = _random([3, 4, 2], 180, 18)
    weighted = _case("weighted-samples", "sample weights", "E is Σ ω · / Σ ω; ω do not sum to N", w, b, "tanh", x)
    w, b, x = _random([3, 4, 2], 181, 18)
    note = "samples of weight 0 do not count, though they are large"
    x[::3] *= 8
    zero = _case("zero-weights", "sample weights", note, w, b, "softplus", x)
    some = weights(181)
    some[::3] = 0
    w, b, x = _random([3, 4, 3], 182, 18)
    both = _case("weighted-fisher", "sample weights", "a metric and weights", w, b, "relu", x)
    return [
        _with(weighted, sample_weight=weights(180)),
        _with(zero, sample_weight=some),
        _with(both, metric="fisher", sample_weight=weights(182)),
    ]


def _output_activations() -> list[Inputs]:
    made: list[Inputs] = []
    ends: list[tuple[str, ActivationName, ActivationName, str, Sequence[int]]] = [
        ("sigmoid-output", "tanh", "sigmoid", "J ends with σ' at the output's preactivation", [3, 4, 2]),
        ("tanh-output-one-layer", "tanh", "tanh", "a single layer, whose sensitivity varies nevertheless", [4, 3]),
        (
            "softplus-output",
            "relu",
            "softplus",
            "the output's activation is not that of the hidden layers",
            [3, 4, 3, 2],
        ),
    ]
    for name, activation, output, note, sizes in ends:
        w, b, x = _random(sizes, 190 + len(made), 18)
        case = _case(name, "output activations", note, w, b, activation, x)
        made.append(_with(case, output_activation=output))
    w, b, x = _random([3, 4, 2], 194, 18)
    y = (np.random.default_rng(194).uniform(size=(18, 2)) > 0.5) * 1.0
    case = _case("mse-sigmoid-output", "output activations", "a loss of outputs in (0, 1)", w, b, "tanh", x)
    return [*made, _with(case, metric="mse", y=y, output_activation="sigmoid")]


def _one_logit() -> list[Inputs]:
    made: list[Inputs] = []
    labels = np.random.default_rng(200).integers(0, 2, 18)
    told: list[tuple[str, str, dict[str, Any]]] = [
        ("softmax-one-logit", "two probabilities, p and 1 − p, of the logits (0, z)", {"metric": "softmax"}),
        ("fisher-one-logit", "M = p (1 − p)", {"metric": "fisher"}),
        ("cross-entropy-one-logit", "c = p − y, labels 0 and 1", {"metric": "cross_entropy", "y": labels}),
    ]
    for name, note, options in told:
        w, b, x = _random([3, 4, 1], 200 + len(made), 18)
        made.append(_with(_case(name, "one logit", note, w, b, "tanh", x), **options))
    return made


def _ill_conditioned(case: Inputs) -> Inputs:
    return replace(case, ill_conditioned=True)


if __name__ == "__main__":
    sys.exit(main())
