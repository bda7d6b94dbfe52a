"""The command `prune`: a smaller network, and what it has cost."""

from __future__ import annotations

import argparse
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, get_args

import numpy as np

from .. import _checks
from .._files import save_json, save_text
from .._outputs import check_outputs, check_suffix, counted, show, write
from .._types import LossName, Scope
from ..evaluation import Performance, yardstick
from ..fine_tuning import training
from ..interop import to_safetensors
from ..methods import COMPENSATIONS, GRAMMAR, RANKINGS, Method, method, pruner
from ..pruning import Pruned
from ..pruning.summary import Summary, performances
from ..scores import elimination_compensation
from ._inputs import Inputs, add_inputs, check_change, check_gone, check_targets_for, read_inputs, told
from ._page import Point, Report, page
from ._score import add_metric

STEPS = 20
USUAL = "ec-iterative+row"  # what lost least in our experiments
TRAINED = {True: "ec-fisher-iterative+none", False: "ec-iterative+none"}  # of classes or not: on many targets


@dataclass(frozen=True)
class Outcome:
    """A pruned network, what it was after each bite, and what came before and after fine-tuning."""

    pruned: Pruned
    bites: tuple[Point, ...]
    performances: dict[str, Performance]


def add_arguments(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command `prune`."""
    parser = commands.add_parser(
        "prune",
        help="a smaller network, and what it has cost",
        description="Removes the weights that cost least, in many bites, and lets what is left answer for them. Prints "
        "what is left, and loss, accuracy and change of the outputs before and after, on samples that were not used.",
        epilog="As in: prune network.npz --data data.npz --sparsity 0.9 --out pruned.npz --html report.html",
    )
    add_inputs(parser)
    parser.add_argument(
        "--sparsity", metavar="S", type=float, required=True, help="the fraction of all weights to be removed, as 0.9"
    )
    parser.add_argument(
        "--out",
        metavar="FILE",
        type=Path,
        required=True,
        help="the pruned network, .npz with its masks, or .safetensors",
    )
    parser.add_argument(
        "--method",
        metavar="NAME",
        help=f"{GRAMMAR} as `compare` shows them, a ranking being one of {', '.join(RANKINGS)} "
        f"(default: {USUAL}; where --fine-tune has targets of as many samples as there are weights {TRAINED[True]} for "
        f"classes, {TRAINED[False]} for anything else)",
    )
    add_metric(parser)
    parser.add_argument(
        "--steps", metavar="N", type=int, help=f"in how many bites (default: {STEPS} where the method iterates)"
    )
    parser.add_argument(
        "--compensation",
        metavar="NAME",
        choices=list(COMPENSATIONS),
        help="what answers for the removed weights: nothing (none); the biases, each alone (shift, independent), where "
        "it does no harm (guarded), or all together (joint); every neuron's remaining weights and its bias (row); the "
        "best biases that are found (refit); default: as the method says",
    )
    parser.add_argument(
        "--scope",
        choices=get_args(Scope),
        default="global",
        help="whether all weights are ranked together, or those of each layer (default: global)",
    )
    parser.add_argument(
        "--fine-tune",
        metavar="STEPS",
        type=int,
        help="train after every bite, so many steps of L-BFGS on all training samples: on their targets, or "
        "where there are none towards the dense network's outputs",
    )
    parser.add_argument(
        "--aim",
        metavar="NETWORK",
        type=Path,
        help="the dense network that NETWORK was pruned from: what repairs aim at, and changes are counted against "
        "(default: NETWORK as it is)",
    )
    parser.add_argument("--html", metavar="FILE", type=Path, help="write a page with pictures")
    parser.add_argument("--json", metavar="FILE", type=Path, help="write the numbers as JSON too")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Prune, print, write; returns 0."""
    check_suffix("--out", options.out, ".npz", ".safetensors")
    files = [options.network, options.data, *([options.aim] if options.aim else [])]
    check_outputs({"--out": options.out, "--html": options.html, "--json": options.json}, files)
    sparsity = _checks.number("--sparsity", options.sparsity, 0, 1)
    if options.fine_tune is not None:
        _checks.integer("--fine-tune", options.fine_tune, 0)
    inputs = read_inputs(options, options.aim)
    as_npz, dtype = options.out.suffix.lower() == ".npz", inputs.network.mlp.dtype
    if not as_npz and dtype not in (np.float32, np.float64):
        raise ValueError(f"--out: expected a file that ends in .npz, for others hold no {dtype}, got {options.out}")
    check_gone("--sparsity", sparsity, inputs, options.scope)
    check_change(inputs)
    way = chosen_method(options, inputs)
    steps = (options.steps or STEPS) if way.iterative else 1
    print(f"{inputs}\n{told('method', description(way, steps, options.fine_tune, inputs))}\n", flush=True)
    outcome = pruned_in_bites(inputs, way, sparsity, steps, options.scope, options.fine_tune)
    result = inputs.as_given(outcome.pruned)
    summary = result.summary()
    text = f"{summary}\n\n{performances(outcome.performances)}"
    print(f"{text}\n")
    write(options.out, result.save if as_npz else lambda file: to_safetensors(result, file))
    write(options.html, lambda file: save_text(file, page(report(inputs, way, outcome, text, options))))
    record = {"method": str(way), "steps": steps, "scope": options.scope, "fine_tune": options.fine_tune}
    write(options.json, lambda file: save_json(file, inputs.to_dict() | record | to_dict(outcome, summary)))
    return 0


def report(inputs: Inputs, way: Method, outcome: Outcome, text: str, options: argparse.Namespace) -> Report:
    """What the page shows."""
    return Report(
        title=f"{inputs.name}, {100 * outcome.pruned.sparsity:.4g} % removed",
        command=options.command_line,
        measured_on=inputs.measured_on,
        dense=point("dense", 0.0, outcome.performances["dense"]),
        points=outcome.bites,
        table=text,
        before=inputs.network.mlp,
        pruned=outcome.pruned,
        scores=elimination_compensation(inputs.network.mlp, inputs.scored, way.metric or "output"),
    )


def chosen_method(options: argparse.Namespace, inputs: Inputs) -> Method:
    """What `--method` names, or what is usual, with what the other options say beside it."""
    trained = options.fine_tune is not None
    way = method(options.method or usual_method(inputs, trained))
    said = f"beside --method {options.method}, which says another"
    if options.method and way.metric not in (None, options.metric):
        _checks.without_effect(**{"--metric": (options.metric, said)})
    if "+" in (options.method or "") and way.compensation != COMPENSATIONS.get(options.compensation):
        _checks.without_effect(**{"--compensation": (options.compensation, said)})
    if options.metric is not None:
        way = replace(way, metric=None if options.metric == "output" else options.metric)
    if options.compensation is not None:
        way = replace(way, compensation=COMPENSATIONS[options.compensation])
    if options.steps is not None:
        way = replace(way, iterative=_checks.integer("--steps", options.steps, 1) > 1)
    way = method(str(way))  # raises where the parts do not go together
    check_targets(way, inputs)
    return way


def usual_method(inputs: Inputs, trained: bool = False) -> str:
    """What is done where nothing is said.

    Trained on targets, rows would lead back to the dense network; without them few samples are learnt by heart.
    """
    many = inputs.train.y is not None and len(inputs.train.x) >= inputs.network.mlp.n_weights
    return TRAINED[inputs.is_classifier] if trained and many else USUAL


def check_targets(way: Method, inputs: Inputs) -> None:
    """Raise where a method needs targets of the samples for scores, and there are none, or others."""
    if way.needs_targets:
        check_targets_for(str(way), way.metric, inputs)


def description(way: Method, steps: int, fine_tune: int | None, inputs: Inputs) -> str:
    """What is done, in a line."""
    bites = f"{way}, in {steps} bites" if steps > 1 else f"{way}, at once"
    if fine_tune is None:
        return bites
    aim = "the dense network's outputs" if inputs.train.y is None else "their targets"
    return f"{bites}, {fine_tune} steps of L-BFGS after each, on all training samples and {aim}"


def pruned_in_bites(
    inputs: Inputs, way: Method, sparsity: float, steps: int, scope: Scope, fine_tune: int | None
) -> Outcome:
    """The network pruned, and what it did on the test samples after each bite."""
    measured = yardstick(inputs.dense, inputs.test)
    bites: list[Point] = []
    untrained: list[Pruned] = []
    then = None

    def after_bite(step: int, pruned: Pruned) -> None:
        show(f"pruning {counted(min(step + 1, steps), steps)}")
        bites.append(point(str(way), pruned.sparsity, measured(pruned.mlp)))

    if fine_tune is not None:
        train = training(inputs.train, inputs.dense, training_loss(inputs, way), fine_tune)

        def then(pruned: Pruned) -> Pruned:
            untrained[:] = [pruned]
            return train(pruned)

    show(f"pruning {counted(1, steps)}")
    try:
        prune = pruner(way, inputs.network, inputs.for_rankings, steps=steps, scope=scope, target=inputs.dense)
        pruned = prune(sparsity, then=then, callback=after_bite)
    finally:
        show("")
    networks = {"dense": inputs.dense}
    if inputs.network.mlp is not inputs.dense:
        networks["as given"] = inputs.network.mlp
    networks |= {"last bite": untrained[0].mlp, "fine-tuned": pruned.mlp} if untrained else {"pruned": pruned.mlp}
    return Outcome(pruned, tuple(bites), {name: measured(mlp) for name, mlp in networks.items()})


def training_loss(inputs: Inputs, way: Method) -> LossName:
    """What fine-tuning makes small: the targets' loss; without any, that of classes where the metric is theirs."""
    if inputs.train.y is not None and inputs.loss is not None:
        return inputs.loss
    return "cross_entropy" if inputs.is_classifier or way.metric in ("softmax", "fisher") else "mse"


def point(name: str, sparsity: float, performance: Performance) -> Point:
    """A network in a picture."""
    return Point(name, sparsity, performance.loss, performance.accuracy, performance.change)


def to_dict(outcome: Outcome, summary: Summary) -> dict[str, Any]:
    """What became of the network, for a machine."""
    values = {field.name: getattr(summary, field.name) for field in fields(summary)}
    counts = {name: value.tolist() for name, value in values.items() if isinstance(value, np.ndarray)}
    return {
        "sparsity": outcome.pruned.sparsity,
        "performances": {name: asdict(p) for name, p in outcome.performances.items()},
        "bites": [asdict(bite) for bite in outcome.bites],
        "summary": {**counts, "file_bytes": summary.file_bytes, "dense_bytes": summary.dense_bytes},
    }
