"""The command `score`: what each weight costs."""

from __future__ import annotations

import argparse
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, get_args

import numpy as np

from .._files import naming, save_json
from .._outputs import check_outputs, check_suffix, write
from .._text import WIDTH, percent, short, table
from .._types import Array, Masks, MetricName
from ..batch import Batch
from ..error_analysis import RemovedSet, StandardErrors, standard_errors
from ..evaluation import centred
from ..losses import LOSSES
from ..metrics import cotangents
from ..mlp import MLP, forward
from ..moments import Moments
from ..pruning.iterative import gone_already
from ..scores import Scores, elimination_compensation
from ..streaming.batches import batches_of
from ..streaming.collect import collect_moments
from ..streaming.rows import samples_at_a_time
from ._inputs import Inputs, add_inputs, add_sparsities, check_targets_for, checked_sparsities, read_inputs

FREE = 1e-6  # of the output's variance: what costs less is as good as free
PERCENTILES = (10, 50, 90, 99)
LEGEND = """dead      neurons that no output listens to, on these samples
constant  inputs that are the same on all of them
free      weights that cost less than a millionth of the output's variance"""
N_SHOWN = 10
GROUPS = 10  # of samples, from which standard errors come


@dataclass(frozen=True)
class LayerCosts:
    """What the weights of a layer that are left cost, in units of the output's variance."""

    weights: int
    dead_neurons: int
    constant_inputs: int
    free: float
    percentiles: dict[str, float]
    largest: float
    largest_shift: float


@dataclass(frozen=True)
class WeightCost:
    """A weight, and what it costs, in units of the output's variance."""

    layer: int
    neuron: int
    input: int
    weight: float
    cost: float
    bias_shift: float


@dataclass(frozen=True)
class Costs:
    """What the weights of a network cost, and how sure that is."""

    mlp: MLP
    metric: MetricName
    unit: float  # the output's variance
    layers: tuple[LayerCosts, ...]
    cheapest: tuple[WeightCost, ...]
    dearest: tuple[WeightCost, ...]
    errors: StandardErrors
    removed: dict[float, RemovedSet]

    def __str__(self) -> str:
        sure = [
            *str(self.errors).splitlines(),
            *(f"at {sparsity:g}: {found}" for sparsity, found in self.removed.items()),
        ]
        parts = [
            layer_table(self.mlp, self.layers),
            percentile_table(self.layers, self.metric, self.unit),
            weight_table("the cheapest weights", self.cheapest),
            weight_table("the dearest weights", self.dearest),
            "\n".join(textwrap.fill(line, WIDTH, subsequent_indent="  ") for line in sure),
        ]
        return "\n\n".join(parts)

    def to_dict(self) -> dict[str, Any]:
        """The same for a machine."""
        return {
            "metric": self.metric,
            "output_variance": self.unit,
            "layers": [asdict(layer) for layer in self.layers],
            "cheapest": [asdict(weight) for weight in self.cheapest],
            "dearest": [asdict(weight) for weight in self.dearest],
            "standard_errors": {
                "median": self.errors.median,
                "on_few": self.errors.on_few,
                "groups": len(self.errors.without),
            },
            "removed": [
                {
                    "sparsity": sparsity,
                    "n_removed": found.n_removed,
                    "changed": found.changed,
                    "on_few": found.on_few,
                    "samples_for_1_percent": found.samples_for(0.01),
                }
                for sparsity, found in self.removed.items()
            ],
        }


def add_arguments(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command `score`."""
    parser = commands.add_parser(
        "score",
        help="what each weight of your network costs",
        description="Scores every weight of a network: what removing it changes in the outputs, after the best shift "
        "of the bias beside it. Prints a table a layer, the cheapest and dearest weights, and how sure all this is.",
        epilog="As in: score network.safetensors --activation relu --data samples.csv --target last",
    )
    add_inputs(parser)
    add_metric(parser)
    add_sparsities(parser)
    parser.add_argument("--out", metavar="FILE.npz", type=Path, help="save importance and bias shift of every weight")
    parser.add_argument("--json", metavar="FILE", type=Path, help="write the numbers as JSON too")
    parser.set_defaults(run=run)


def add_metric(parser: argparse.ArgumentParser) -> None:
    """The option `--metric`."""
    parser.add_argument(
        "--metric",
        metavar="NAME",
        choices=get_args(MetricName),
        help="what counts as a change of the outputs: of themselves (output), of the probabilities of classes "
        "(softmax), their divergence (fisher), or of a loss, which needs targets (mse, cross_entropy); default: fisher "
        "for classes, output for anything else",
    )


def run(options: argparse.Namespace) -> int:
    """Score, print, write; returns 0."""
    files = {"--out": options.out, "--json": options.json}
    check_suffix("--out", options.out, ".npz")
    check_outputs(files, [options.network, options.data])
    sparsities = checked_sparsities(options.sparsities)
    inputs = read_inputs(options)
    metric = checked_metric(options.metric, inputs)
    with naming(options.data):
        unit = output_variance(inputs.network.mlp, inputs.scored, metric)
    moments = collect_moments(inputs.network.mlp, inputs.scored, metric)
    scores = elimination_compensation(inputs.network.mlp, moments)
    costs = costs_of(inputs, metric, unit, moments, scores, sparsities)
    print(f"{inputs}\n\n{costs}", end="\n\n" if any(files.values()) else "\n")
    write(options.out, scores.save)
    write(options.json, lambda file: save_json(file, inputs.to_dict() | costs.to_dict()))
    return 0


def costs_of(
    inputs: Inputs, metric: MetricName, unit: float, moments: Moments, scores: Scores, sparsities: Sequence[float]
) -> Costs:
    """What the weights cost, and how sure that is."""
    mlp, masks = inputs.network.mlp, inputs.network.masks
    errors = standard_errors(mlp, inputs.scored, metric, min(GROUPS, len(inputs.scored.x)))
    return Costs(
        mlp,
        metric,
        unit,
        tuple(costs_by_layer(mlp, masks, inputs.scored.x, moments, scores, unit)),
        *extremes(mlp, masks, scores, unit),
        errors,
        {s: errors.removed(max(s, gone_already(inputs.network, s, "global")), masks=masks) for s in sparsities},
    )


def checked_metric(metric: MetricName | None, inputs: Inputs) -> MetricName:
    """What counts as a change: where nothing is said, of classes their divergence."""
    if metric is None:
        return "fisher" if inputs.is_classifier else "output"
    if metric in LOSSES:
        check_targets_for(f"--metric {metric}", metric, inputs)
    return metric


def output_variance(mlp: MLP, batch: Batch, metric: MetricName) -> float:
    """E‖f − E f‖²_M, what all outputs vary by; raises ValueError where they do not."""
    f = mlp(batch.x)
    size, varying = samples_at_a_time(mlp), centred(f)
    total = 0.0
    for k, part in enumerate(batches_of(mlp, batch, metric, size)):
        rows = slice(k * size, (k + 1) * size)
        total += float(np.sum(np.einsum("rnk,nk->rn", cotangents(metric, f[rows], part.y), varying[rows]) ** 2))
    variance = total / len(f)
    if not variance > 0:
        raise ValueError(f"x: expected samples on which the outputs differ, they are the same on all {len(f)}")
    return variance


def costs_by_layer(
    mlp: MLP, masks: Masks, x: Array, moments: Moments, scores: Scores, unit: float
) -> Iterator[LayerCosts]:
    """Each layer's."""
    inputs = forward(mlp, x).inputs
    for l, mask in enumerate(masks):
        cost = scores.importance[l][mask] / unit if mask.any() else np.zeros(1)
        yield LayerCosts(
            weights=int(mask.sum()),
            dead_neurons=int((moments.sensitivity[l] == 0).sum()),
            constant_inputs=int((np.ptp(inputs[l], axis=0) == 0).sum()),
            free=float((cost < FREE).mean()),
            percentiles={f"{q}": float(np.percentile(cost, q)) for q in PERCENTILES},
            largest=float(cost.max()),
            largest_shift=float(np.abs(scores.bias_shift[l]).max()),
        )


def extremes(
    mlp: MLP, masks: Masks, scores: Scores, unit: float
) -> tuple[tuple[WeightCost, ...], tuple[WeightCost, ...]]:
    """The weights that cost least, from the cheapest on, and most, from the dearest on; of those that are left."""
    importance = np.concatenate([i.ravel() for i in scores.importance])
    kept = np.flatnonzero(np.concatenate([mask.ravel() for mask in masks]))
    order = kept[np.argsort(importance[kept], kind="stable")]
    starts = np.cumsum([0, *(mask.size for mask in masks)])

    def named(k: int) -> WeightCost:
        l = int(np.searchsorted(starts, k, side="right")) - 1
        i, j = divmod(k - int(starts[l]), mlp.sizes[l])
        values = mlp.weights[l][i, j], scores.importance[l][i, j] / unit, scores.bias_shift[l][i, j]
        return WeightCost(l, i, j, *map(float, values))

    return tuple(map(named, order[:N_SHOWN].tolist())), tuple(map(named, order[: -N_SHOWN - 1 : -1].tolist()))


def layer_table(mlp: MLP, layers: Sequence[LayerCosts]) -> str:
    """What each layer has, and what that means."""
    header = ["layer", "sizes", "weights", "dead", "constant", "free", "largest shift"]
    rows = [
        [
            str(l),
            f"{mlp.sizes[l]}-{mlp.sizes[l + 1]}",
            f"{layer.weights:,}",
            str(layer.dead_neurons),
            str(layer.constant_inputs),
            percent(layer.free),
            short(layer.largest_shift),
        ]
        for l, layer in enumerate(layers)
    ]
    return f"{table(header, rows)}\n{LEGEND}"


def percentile_table(layers: Sequence[LayerCosts], metric: str, unit: float) -> str:
    """How the costs are spread in each layer."""
    title = f"cost = importance / {short(unit)}, the output's variance (metric {metric})"
    header = ["layer", *(f"{q} % below" for q in PERCENTILES), "largest"]
    rows = [
        [str(l), *(_power(layer.percentiles[f"{q}"]) for q in PERCENTILES), _power(layer.largest)]
        for l, layer in enumerate(layers)
    ]
    return f"{title}\n{table(header, rows)}"


def weight_table(title: str, weights: Sequence[WeightCost]) -> str:
    """Some weights, a line each."""
    rows = [
        [str(w.layer), str(w.neuron), str(w.input), short(w.weight), _power(w.cost), short(w.bias_shift)]
        for w in weights
    ]
    return f"{title}\n{table(['layer', 'neuron', 'input', 'weight', 'cost', 'bias shift'], rows)}"


def _power(value: float) -> str:
    return "0" if value == 0 else f"{value:.1e}"
