"""The command `compare-scores`: is what another implementation found on your network right?"""

from __future__ import annotations

import argparse
import re
from pathlib import Path
from typing import Any, get_args

from .._files import load_arrays
from .._outputs import check_outputs, progress
from .._types import Array, MetricName
from ..batch import Batch
from ..conformance._cli import add_outputs, finish
from ..conformance._compare import compared
from ..losses import LOSSES
from ._inputs import add_files, all_samples, read_data, read_network

NAMES = re.compile(r"(importance|bias_shift)_(\d+)")


def add_arguments(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command `compare-scores`."""
    parser = commands.add_parser(
        "compare-scores",
        help="verify the importances that another implementation found on your network",
        description="Judges importances, and bias shifts where they are there, against the right ones on the same "
        "network and samples, and says what is wrong with them, as `verify` does. The samples are all of x, or of "
        "x_train. Exit code 0: conforms; 1: does not conform; 2: a file cannot be read or written.",
        epilog="As in: compare-scores network.safetensors --activation relu --data samples.npz result.npz",
    )
    add_files(parser)
    parser.add_argument(
        "result",
        metavar="RESULT.npz",
        type=Path,
        help="importance_0, importance_1, ..., and bias_shift_0, ... if there are, shaped as the weights",
    )
    parser.add_argument(
        "--metric",
        metavar="NAME",
        choices=get_args(MetricName),
        default="output",
        help="that the importances are in: output (the default), softmax, fisher, or a loss (mse, cross_entropy)",
    )
    parser.set_defaults(run=run)
    add_outputs(parser)


def run(options: argparse.Namespace) -> int:
    """Read, judge, print, write; returns 0 where the scores conform, else 1."""
    files = {"--json": options.json, "--html": options.html}
    check_outputs(files, [options.network, options.data, options.result])
    mlp = read_network(options.network, options.activation).mlp
    batch = all_samples(mlp, read_data(options.data, mlp.sizes[0], options.target))
    found = read_scores(options.result)
    batch = Batch(batch.x, y=batch.y if options.metric in LOSSES else None)
    report = compared(options.result.name, mlp, batch, *found, options.metric, lambda items: progress("mistake", items))
    return finish(report, options)


def read_scores(file: Path) -> tuple[list[Array], list[Array] | None]:
    """Importances and, where there are some, bias shifts of a file, whatever they are; raises ValueError."""
    found: dict[str, dict[int, Array]] = {"importance": {}, "bias_shift": {}}
    for name, array in load_arrays(file).items():
        match = NAMES.fullmatch(name)
        if match:
            found[match[1]][int(match[2])] = array
    if not found["importance"]:
        raise ValueError(f"{file}: expected arrays importance_0, importance_1, ..., got none")
    layers: Any = {}
    for name, arrays in found.items():
        missing = sorted(set(range(len(arrays))) - set(arrays))
        if missing:
            raise ValueError(f"{file}: expected arrays {name}_0, {name}_1, ..., but {name}_{missing[0]} is missing")
        layers[name] = [arrays[l] for l in range(len(arrays))]
    return layers["importance"], layers["bias_shift"] or None
