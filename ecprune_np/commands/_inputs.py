"""What a command is given: a network from any file, samples for scores and others to be judged on."""

from __future__ import annotations

import argparse
import csv
import dataclasses
import textwrap
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import is_zipfile

import numpy as np

from .. import _checks
from .._files import Contents, kind_of, load_array, load_arrays, naming
from .._text import WIDTH
from .._types import ActivationName, Array, LossName, MetricName, Scope
from ..activations import ACTIVATIONS
from ..batch import Batch
from ..data import load_digits
from ..evaluation import meant, yardstick
from ..interop import from_keras, from_onnx, from_safetensors
from ..interop._common import framework
from ..losses import check_loss, targets
from ..methods import Data
from ..mlp import MLP
from ..pruning import Pruned
from ..pruning.iterative import gone_already
from ..pruning.pruned import same_architecture

PICKLES = (".pt", ".pth", ".pkl", ".pickle", ".bin", ".ckpt", ".joblib")
MANY = 10_000  # samples, which scores do with where no other number is given
SPARSITIES = ("0.5", "0.8", "0.9", "0.95")
PARTS = ("x", "y", "x_train", "y_train", "x_test", "y_test")
NETWORK = "a network: .npz (of this program), .safetensors, .onnx or .keras"
DATA = ".npz with x and y, or x_train, y_train, x_test and y_test; .npy or .csv; or `digits`, which are built in"


@dataclass(frozen=True)
class Inputs:
    """A network, and the samples of a command: to train on, to score on (some of these), and to test with."""

    name: str  # of the network's file
    network: Pruned
    dense: MLP  # what changes are counted against: the network, or that which it came of
    data: str
    train: Batch
    scored: Batch
    test: Batch
    loss: LossName | None  # of the test samples
    held_out: bool
    seed: int
    ends_in: ActivationName  # what the network's file says; of a class's probability its logit is taken

    def as_given(self, pruned: Pruned) -> Pruned:
        """A network that ends as that which was given."""
        return Pruned(dataclasses.replace(pruned.mlp, output_activation=self.ends_in), pruned.masks)

    @property
    def is_classifier(self) -> bool:
        """Whether the targets are classes."""
        return self.loss == "cross_entropy"

    @property
    def for_rankings(self) -> Data:
        """What methods rank the weights by."""
        return Data(self.scored, None if self.scored.y is None else self.loss, self.seed)

    @property
    def measured_on(self) -> str:
        """What the samples are that losses are of, in a few words."""
        how = f", held out at random (seed {self.seed})" if self.held_out else ""
        return f"{len(self.test.x):,} test samples of {self.data}{how}"

    def __str__(self) -> str:
        """The lines that every command begins with."""
        gone = self.network.sparsity
        notes = f"; {100 * gone:.1f} % are removed already" if gone > 0 else ""
        if self.ends_in != self.network.mlp.output_activation:
            notes += f"; taken without its {self.ends_in} at the end"
        drawn = f", drawn with seed {self.seed}" if len(self.scored.x) < len(self.train.x) else ""
        measures = {
            "cross_entropy": "cross-entropy and accuracy",
            "mse": "mean squared error",
            None: "no loss: no targets",
        }
        lines = {
            "network": f"{self.network.mlp}, {self.network.mlp.n_weights:,} weights{notes}",
            "data": f"{self.data}, {len(self.train.x):,} training samples, {len(self.scored.x):,} for scores{drawn}",
            "measured": f"{measures[self.loss]}, on {self.measured_on}",
        }
        return "\n".join(told(name, text) for name, text in lines.items())

    def to_dict(self) -> dict[str, Any]:
        """The same for a machine."""
        return {
            "network": str(self.network.mlp),
            "data": self.data,
            "n_train": len(self.train.x),
            "n_scored": len(self.scored.x),
            "measured_on": self.measured_on,
            "loss": self.loss,
            "seed": self.seed,
        }


def add_files(parser: argparse.ArgumentParser) -> None:
    """The network and the data, and what says how they are to be read."""
    parser.add_argument("network", metavar="NETWORK", type=Path, help=NETWORK)
    parser.add_argument("--data", metavar="DATA", type=Path, required=True, help=DATA)
    parser.add_argument(
        "--target", choices=["last"], help="the last column of a .csv or .npy is the target, not an input"
    )
    names = ", ".join(ACTIVATIONS)
    parser.add_argument(
        "--activation",
        metavar="NAME",
        help=f"of the hidden layers, where the file names none, or one a layer, with commas: {names}",
    )


def add_inputs(parser: argparse.ArgumentParser) -> None:
    """The arguments of every command on a network of one's own."""
    add_files(parser)
    parser.add_argument(
        "--samples",
        metavar="N",
        type=int,
        help=f"how many training samples scores and repairs take, drawn at random (default: {MANY:,} at most)",
    )
    add_seed(parser)


def add_seed(parser: argparse.ArgumentParser) -> None:
    """The option `--seed`."""
    parser.add_argument("--seed", metavar="N", type=int, default=0, help="of everything that is drawn (default: 0)")


def add_sparsities(parser: argparse.ArgumentParser) -> None:
    """The option `--sparsities`."""
    parser.add_argument(
        "--sparsities",
        metavar="S",
        nargs="+",
        default=SPARSITIES,
        help=f"fractions of the weights to be removed (default: {' '.join(SPARSITIES)})",
    )


def checked_sparsities(given: Sequence[str]) -> list[float]:
    """Fractions as they are asked for, in order, each once."""
    try:
        return sorted({_checks.number("--sparsities", float(s), 0, 1) for s in listed(given) or [""]})
    except ValueError:
        text = " ".join(given)
        raise ValueError(f"--sparsities: expected numbers from 0 to 1 such as 0.5 0.9, got {text!r}") from None


def listed(values: Iterable[str]) -> list[str]:
    """What is given apart or with commas, each once."""
    return list(dict.fromkeys(part for value in values for part in value.split(",") if part))


def read_inputs(options: argparse.Namespace, aim: Path | None = None) -> Inputs:
    """The network and the samples that the options name; `aim` is the file of the dense network that it came of."""
    _checks.integer("--seed", options.seed, 0)
    if options.samples is not None:
        _checks.integer("--samples", options.samples, 1)
    network = read_network(options.network, options.activation)
    parts = read_data(options.data, network.mlp.sizes[0], options.target)
    dense = network.mlp if aim is None else _dense(aim, network.mlp)
    with naming(options.data):
        return inputs_of(options.network.name, network, dense, options.data.name, parts, options.samples, options.seed)


def all_samples(mlp: MLP, parts: dict[str, Array]) -> Batch:
    """Every sample of x, or of x_train, with its targets: none is drawn, none held out."""
    batch, _ = _batch(mlp, parts, "_train" if "x_train" in parts else "")
    return batch


def inputs_of(
    name: str, network: Pruned, dense: MLP, data: str, parts: dict[str, Array], samples: int | None, seed: int
) -> Inputs:
    """What arrays x and y, or x_train and so on, are to a command; `name` and `data` are what the files are called."""
    rng, most = np.random.default_rng(seed), MANY if samples is None else samples
    held_out = "x_test" not in parts
    train, loss = _batch(network.mlp, parts, "_train" if "x_train" in parts else "")
    if held_out:
        train, test = _divided(train, rng)
    else:
        test, loss_of_test = _batch(network.mlp, parts, "_test")
        if train.y is not None and loss != loss_of_test:
            raise ValueError(f"y_test: expected targets for {loss} as in y_train, got some for {loss_of_test}")
        loss = loss_of_test
    ends_in = network.mlp.output_activation
    if loss == "cross_entropy" and ends_in == "sigmoid" and network.mlp.sizes[-1] == 1:
        given, network = network.mlp, Pruned(_logits(network.mlp), network.masks)
        dense = network.mlp if dense is given else _logits(dense)
    if loss is not None:
        check_loss(network.mlp, loss)
    scored = train
    if most < len(train.x):
        scored = _rows(train, np.sort(rng.choice(len(train.x), most, replace=False)))
    return Inputs(name, network, dense, data, train, scored, test, loss, held_out, seed, ends_in)


def check_targets_for(said: str, metric: MetricName | None, inputs: Inputs) -> None:
    """Raise where the samples for scores have no targets, or where a metric that is a loss takes others."""
    y = inputs.scored.y
    if y is None:
        raise ValueError(f"{said}: needs targets of training samples, and {inputs.data} has none")
    if metric == "mse" or metric == "cross_entropy":
        mlp = inputs.network.mlp
        check_loss(mlp, metric)
        with naming(f"{said}: {inputs.data}"):
            targets(y, metric, len(y), mlp.sizes[-1], mlp.dtype)


def check_change(inputs: Inputs) -> None:
    """Raise where nothing can be measured: there are no targets, and the outputs do not vary."""
    if inputs.loss is None and yardstick(inputs.dense, inputs.test)(inputs.dense).change is None:
        raise ValueError(
            f"{inputs.data}: expected targets, or test samples on which the outputs differ, "
            f"got no targets and the same outputs on {len(inputs.test.x):,}"
        )


def check_gone(option: str, sparsity: float, inputs: Inputs, scope: Scope = "global") -> None:
    """Raise where more is removed already."""
    gone = gone_already(inputs.network, sparsity, scope)
    if gone > sparsity:
        where = " of a layer" if scope == "layer" else ""
        raise ValueError(
            f"{option}: expected at least the {gone:.6g}{where} that is gone already in {inputs.name}, got {sparsity}"
        )


def _logits(mlp: MLP) -> MLP:
    """The network without its sigmoid at the end."""
    return dataclasses.replace(mlp, output_activation="identity")


def _batch(mlp: MLP, parts: dict[str, Array], part: str) -> tuple[Batch, LossName | None]:
    """The samples and targets of a part in the network's dtype, and the loss that these are for."""
    x, y = parts[f"x{part}"], parts.get(f"y{part}")
    if x.ndim > 2 or (x.ndim == 1 and mlp.sizes[0] == 1):
        x = x.reshape(len(x), -1)  # images, say, row by row
    x = _checks.samples(f"x{part}", x, mlp.sizes[0], mlp.dtype)
    if y is None:
        return Batch(x), None
    y, loss = meant(y, mlp.sizes[-1])
    try:
        targets(y, loss, len(x), mlp.sizes[-1], mlp.dtype)
    except ValueError as error:
        if "expected labels" not in str(error):
            raise
        raise ValueError(f"{error}; integers are classes, and targets that are values are to be floats") from None
    return Batch(x, y=y), loss


def _divided(batch: Batch, rng: np.random.Generator) -> tuple[Batch, Batch]:
    """All but a tenth of the samples, and these: at random, for files are often sorted, or in turn."""
    n_samples = len(batch.x)
    if n_samples < 2:
        raise ValueError(f"x: expected two samples or more, for one is held out to test with, got {n_samples}")
    chosen = np.zeros(n_samples, bool)
    chosen[rng.permutation(n_samples)[: max(1, round(n_samples / 10))]] = True
    return _rows(batch, ~chosen), _rows(batch, chosen)


def _rows(batch: Batch, rows: Array) -> Batch:
    return Batch(batch.x[rows], y=None if batch.y is None else batch.y[rows])


def read_data(file: Path, n_inputs: int, target: str | None) -> dict[str, Array]:
    """Arrays x and, where there are targets, y, or x_train and so on; raises ValueError that names the file."""
    if str(file) == "digits":
        _checks.without_effect(**{"--target": (target, "beside digits, whose targets have a name")})
        digits = load_digits()
        return {name: getattr(digits, name) for name in PARTS[2:]}
    kind = file.suffix.lower()
    if kind == ".npz":
        _checks.without_effect(**{"--target": (target, "beside an .npz file, where targets have a name")})
        return _named(file, load_arrays(file))
    if kind not in (".npy", ".csv"):
        raise ValueError(f"{file}: expected samples in an .npz, .npy or .csv file, or `digits`")
    columns = load_array(file) if kind == ".npy" else _csv(file)
    if columns.dtype.kind in "iu":
        columns = columns.astype(np.float64)  # as the same numbers in a .csv
    if columns.dtype.kind not in "iufb" or columns.ndim == 0:
        raise ValueError(f"{file}: expected numbers, got {columns.dtype} of shape {columns.shape}")
    if target is None:
        if columns.ndim == 2 and columns.shape[1] == n_inputs + 1:
            hint = "if the last one is the target, say --target last"
            raise ValueError(f"{file}: expected {n_inputs} columns, got {n_inputs + 1}; {hint}")
        return {"x": columns}
    if columns.ndim != 2 or columns.shape[1] < 2:
        raise ValueError(f"{file}: expected two columns or more, the last one the target, got shape {columns.shape}")
    y = columns[:, -1]
    return {"x": columns[:, :-1], "y": y.astype(np.int64) if np.isin(y, (0, 1)).all() else y}


def _named(file: Path, arrays: dict[str, Array]) -> dict[str, Array]:
    """The arrays of an .npz, if they are those that samples and targets go by."""
    unknown = [name for name in arrays if name not in PARTS]
    one, two = ("x" in arrays or "y" in arrays), any(name in arrays for name in PARTS[2:])
    missing = [x for x, y in zip(PARTS[::2], PARTS[1::2]) if y in arrays and x not in arrays]
    if not missing and not one and "x_train" not in arrays:
        missing = ["x or x_train"]
    if not missing and "y_train" in arrays and "x_test" in arrays and "y_test" not in arrays:
        missing = ["y_test"]
    if unknown or missing or (one and two):
        wrong = (
            f"{unknown[0]} is not understood"
            if unknown
            else f"{missing[0]} is missing"
            if missing
            else "there are both"
        )
        raise ValueError(f"{file}: expected arrays x and y, or x_train, y_train, x_test and y_test, but {wrong}")
    for name, array in arrays.items():
        if array.dtype.kind not in "iufb" or array.ndim == 0:
            raise ValueError(f"{file}: expected {name} to hold numbers, got {array.dtype} of shape {array.shape}")
    return arrays


def _csv(file: Path) -> Array:
    """The numbers of a .csv, (N, columns); a first line in which no cell is a number is a header."""
    try:
        text = file.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise ValueError(f"{file}: no such file") from None
    except UnicodeDecodeError as error:
        raise ValueError(f"{file}: expected text in UTF-8 ({error.reason} at byte {error.start})") from None
    first = text.partition("\n")[0]
    separator = max(",;\t", key=first.count)
    try:
        rows = list(csv.reader(text.splitlines(), delimiter=separator))
    except csv.Error as error:
        raise ValueError(f"{file}: expected lines of numbers ({error})") from None
    lines = [(number, cells) for number, cells in enumerate(rows, 1) if cells]
    if lines and not any(map(_is_number, lines[0][1])):
        lines = lines[1:]
    if not lines:
        raise ValueError(f"{file}: expected lines of numbers, got none")
    width = len(lines[0][1])
    for number, cells in lines:
        if len(cells) != width:
            raise ValueError(f"{file}, line {number}: expected {width} columns as in the first, got {len(cells)}")
    try:
        return np.array([cells for _, cells in lines], dtype=np.float64)
    except ValueError:
        number, column, cell = next(
            (number, column, cell)
            for number, cells in lines
            for column, cell in enumerate(cells, 1)
            if not _is_number(cell)
        )
        raise ValueError(f"{file}, line {number}, column {column}: expected a number, got {cell!r}") from None


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def read_network(file: Path, activation: str | None = None) -> Pruned:
    """The network of a file, what it lacks taken as removed; raises ValueError that names the file."""
    kind = file.suffix.lower()
    if kind in PICKLES:
        raise ValueError(
            f"{file}: is a pickle, which can run any code when it is read, and is never read; in PyTorch, "
            f'safetensors.torch.save_file(model.state_dict(), "{file.with_suffix(".safetensors").name}") makes a file '
            "that is"
        )
    if kind not in READERS:
        raise ValueError(f"{file}: expected {NETWORK}")
    names = None if activation is None else activation.split(",")
    try:
        network = READERS[kind](file, names[0] if names and len(names) == 1 else names)
    except ValueError as error:
        if not str(error).startswith("activation:"):
            raise
        raise ValueError(f"--{error}") from None
    return network if isinstance(network, Pruned) else Pruned.from_zeros(network)


def _npz(file: Path, activation: Any) -> MLP | Pruned:
    arrays = load_arrays(file)
    if "activation" in arrays:
        _without_activation(file, activation)
    contents: Any = Contents(file, arrays)  # in the place of its path
    return Pruned.load(contents) if kind_of(arrays) in ("Pruned", "SparseMLP") else MLP.load(contents, activation)


def _onnx(file: Path, activation: Any) -> MLP:
    _without_activation(file, activation)
    _there(file)
    return from_onnx(file)


def _keras(file: Path, activation: Any) -> MLP:
    _without_activation(file, activation)
    _there(file)
    if not is_zipfile(file):  # of which Keras would say that it is not there
        raise ValueError(f"{file}: expected a .keras file: it is damaged, or of another kind")
    try:
        model = framework("keras.saving").load_model(file, compile=False)
    except ImportError as error:
        raise ValueError(
            f"{file}: to read it, the package keras and one that it computes with must be installed ({error})"
        ) from error
    except Exception as error:  # Keras has many ways to say that a file is damaged
        raise ValueError(f"{file}: expected a .keras file: {' '.join(str(error).split())[:200]}") from error
    with naming(file):
        return from_keras(model)


def _there(file: Path) -> None:
    if not file.is_file():
        raise ValueError(f"{file}: no such file")


def _without_activation(file: Path, activation: Any) -> None:
    _checks.without_effect(**{"--activation": (activation, f"beside {file}, which names its own")})


READERS: dict[str, Callable[[Path, Any], MLP | Pruned]] = {
    ".npz": _npz,
    ".safetensors": from_safetensors,
    ".onnx": _onnx,
    ".keras": _keras,
}


def _dense(file: Path, mlp: MLP) -> MLP:
    """The network of a file, of the sizes and activations of `mlp`; it has these where the file names none."""
    try:
        dense = read_network(file).mlp
    except ValueError as error:
        if not str(error).startswith("--activation:"):
            raise
        names = mlp.activation if isinstance(mlp.activation, str) else ",".join(mlp.activation)
        dense = read_network(file, names).mlp
    same_architecture("--aim", dense, mlp)
    return dense


def told(name: str, text: str) -> str:
    """A line that begins with its name; what does not fit goes below."""
    return textwrap.fill(text, WIDTH, initial_indent=f"{name:<10}", subsequent_indent=" " * 10, break_on_hyphens=False)
