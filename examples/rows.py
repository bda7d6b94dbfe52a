"""Rows in a CSV file that survives interruption, and the settings beside them."""

from __future__ import annotations

import csv
import io
import json
import os
import platform
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, astuple, dataclass
from pathlib import Path
from typing import Any, get_type_hints

import numpy as np

from ecprune_np._files import save_json

try:
    import fcntl
except ImportError:  # not on Windows, where a single write in append mode must do
    fcntl = None

STAGES = ("pruned", "fine-tuned")
RESULTS = Path(__file__).with_name("results")


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


READ: dict[Any, Callable[[str], Any]] = {
    str: str,
    int: int,
    float: float,
    float | None: lambda text: float(text) if text else None,
}


class Results:
    """Rows in a CSV file that survives interruption: each `append` is written at once, under a lock."""

    def __init__(self, file: Path, kind: type = Row) -> None:
        """Open `file`, or make it; a last line that was cut short is dropped, so that it is computed again.

        `kind` is a dataclass as `Row`, whose `key` are its first columns, and what was measured the others.
        Raises ValueError where the file holds something else, OSError where it cannot be written.
        """
        self.file, self._kind = file, kind
        self._columns = {name: READ[type_] for name, type_ in get_type_hints(kind).items()}
        file.parent.mkdir(parents=True, exist_ok=True)
        with self._locked() as (stream, text):
            if not text:
                stream.write(_csv_lines([list(self._columns)]))
        self.rows()

    def rows(self) -> list[Any]:
        """All rows that are whole; raises ValueError that names the line that is not a row."""
        text = self.file.read_text(encoding="utf-8")
        return self._parsed(text[: text.rfind("\n") + 1])

    def append(self, rows: Iterable[Any]) -> None:
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

    def _parsed(self, text: str) -> list[Any]:
        lines = list(csv.reader(io.StringIO(text)))
        if not lines or lines[0] != list(self._columns):
            got = ",".join(lines[0]) if lines else "nothing"
            raise ValueError(f"{self.file}: expected the columns {','.join(self._columns)}, got {got}")
        return [self._row(number, line) for number, line in enumerate(lines[1:], start=2)]

    def _row(self, number: int, line: list[str]) -> Any:
        try:
            if len(line) != len(self._columns):
                raise ValueError(f"got {len(line)} of {len(self._columns)} values")
            return self._kind(*(read(value) for read, value in zip(self._columns.values(), line)))
        except ValueError as error:
            raise ValueError(f"{self.file}, line {number}: expected {','.join(self._columns)} ({error})") from None


def _csv_lines(lines: Iterable[Sequence[str]]) -> bytes:
    stream = io.StringIO()
    csv.writer(stream, lineterminator="\n").writerows(lines)
    return stream.getvalue().encode()


def _formatted(row: Any) -> list[str]:
    measured = astuple(row)[len(row.key) :]
    return [*map(str, row.key), *("" if value is None else f"{value:.6g}" for value in measured)]


def check_settings(file: Path, settings: Any, kind: type = Row) -> None:
    """Write the settings next to the rows, and what they are made with; where rows of others are there: ValueError.

    Methods and sparsities may be others than before, for each row names its own; the present ones are written.
    """
    wanted = json.loads(json.dumps(asdict(settings)))
    found = _beside(file)
    made_before = found.pop("made_with", [])
    if found:
        differing = sorted(name for name in wanted.keys() | found.keys() if wanted.get(name) != found.get(name))
        if not set(differing) <= {"methods", "sparsities"}:
            raise ValueError(
                f"{file}: its rows were made with other settings ({', '.join(differing)}, see "
                f"{file.with_suffix('.json').name}); move both files away, or give another folder with --out"
            )
    elif len(Results(file, kind).rows()) > 0:
        raise ValueError(f"{file}: expected {file.stem}.json with the settings of its rows beside it; move it away")
    made = [*made_before, *({made_with()} - set(made_before))]
    save_json(file.with_suffix(".json"), {**wanted, "made_with": made})


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


def environments(file: Path) -> list[str]:
    """What the rows of a file were made with, one after the other."""
    return _beside(file).get("made_with", [])


def _beside(file: Path) -> dict[str, Any]:
    """What is written beside the rows, or nothing."""
    beside = file.with_suffix(".json")
    if not beside.exists():
        return {}
    try:
        return dict(json.loads(beside.read_text(encoding="utf-8")))
    except (ValueError, TypeError) as error:
        raise ValueError(f"{beside}: expected JSON ({error})") from None


def rows_in(file: Path, kind: type = Row) -> list[Any]:
    """The rows of a file, none where there is no file."""
    return Results(file, kind).rows() if file.exists() else []


def existing_rows(file: Path, kind: type = Row) -> list[Any]:
    """The rows to draw; raises ValueError where there are none."""
    rows = rows_in(file, kind)
    if not rows:
        raise ValueError(f"{file}: no rows yet; run this without --report first")
    return rows


def smallest_first(row: Row) -> tuple[Any, ...]:
    """What sorts rows by their networks, for processes append in any order."""
    widths = Case(row.architecture, row.activation, row.seed).sizes
    return len(widths), widths, row.activation, row.noise
