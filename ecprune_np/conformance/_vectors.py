"""The cases as JSON files that any language reads, and the answers as JSON files that it writes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from .._checks import overflow_raised_later
from .._files import save_text
from .._types import File
from ._cases import INDEX, SCHEMA, VECTORS, Case, Layers, cases
from ._report import Report
from ._verdict import Outcome, Result, judge

ENDING = ".out.json"
DTYPES = {"float64": np.float64, "float32": np.float32}


def write_vectors(folder: File) -> int:
    """Copy `<case>.json` of every case, their index and the JSON schema; numbers are read back exactly.

    Parameters
    ----------
    folder : path
        Where to; it is made where there is none.

    Returns
    -------
    int
        The number of cases.

    Raises
    ------
    OSError
        Where the folder cannot be written.

    Examples
    --------
    >>> ec.conformance.write_vectors("vectors") == len(ec.conformance.cases())
    True
    """
    directory = Path(folder)
    directory.mkdir(parents=True, exist_ok=True)
    for name in (SCHEMA, INDEX, *(f"{case.name}.json" for case in cases())):
        save_text(directory / name, (VECTORS / name).read_text(encoding="utf-8"))
    return len(cases())


def check_vectors(folder: File) -> Report:
    """Judge `<case>.out.json` for every case: {"importance": [...], "bias_shift": [...]}, a nested list a layer.

    A result may state `"dtype": "float32"`, or `"skipped": "why"` in place of values.  A missing, truncated
    or malformed file, or one whose `<case>.json` is not this version's, is that case's failure; files
    that belong to no case are noted.

    Parameters
    ----------
    folder : path
        Where the results are; the cases may lie beside them.

    Returns
    -------
    Report
        With one result a case.

    Raises
    ------
    ValueError
        Where there is no such folder.

    Examples
    --------
    >>> from pathlib import Path
    >>> Path("answers").mkdir()
    >>> ec.conformance.check_vectors("answers").verdict
    'does not conform'
    """
    directory = Path(folder)
    if not directory.is_dir():
        raise ValueError(f"{directory}: expected a folder with results <case>{ENDING}")
    known = {f"{case.name}{ENDING}" for case in cases()}
    extra = sorted(path.name for path in directory.glob(f"*{ENDING}") if path.name not in known)
    notes = tuple(f"{name} belongs to no case" for name in extra)
    return Report(str(directory), tuple(_result(directory, case) for case in cases()), notes)


def _inputs(case: Case) -> dict[str, Any]:
    return {
        "name": case.name,
        "activation": case.activation,
        "weights": _lists(case.weights),
        "biases": _lists(case.biases),
        "x": case.x.tolist(),
    }


def _lists(layers: Layers) -> list[Any]:
    return [layer.tolist() for layer in layers]


def _result(directory: Path, case: Case) -> Result:
    try:
        _check_inputs(directory / f"{case.name}.json", case)
        outcome = _outcome(directory / f"{case.name}{ENDING}")
    except _Unusable as error:
        outcome = Outcome(problem=str(error))
    return judge(case, outcome)


class _Unusable(Exception):
    """A file that cannot be used, with its name and the reason."""


def _check_inputs(path: Path, case: Case) -> None:
    """Raise where the inputs are not those of this version; results alone, without the inputs, are fine."""
    if not path.exists():
        return
    given = _read(path)  # only the inputs are compared: what is computed from them differs in the last bit
    if not isinstance(given, dict) or any(given.get(name) != value for name, value in _inputs(case).items()):
        raise _Unusable(f"{path.name}: not this version's case; write the vectors anew and compute it again")


def _read(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise _Unusable(f"{path.name}: no such file") from None
    except (OSError, ValueError, RecursionError) as error:
        raise _Unusable(f"{path.name}: not a JSON file ({error})") from error


def _outcome(path: Path) -> Outcome:
    data = _read(path)
    if not isinstance(data, dict):
        raise _Unusable(f"{path.name}: expected an object, got {type(data).__name__}")
    if "skipped" in data:
        return Outcome(skipped=str(data["skipped"]) or "skipped")
    dtype = data.get("dtype", "float64")
    if not isinstance(dtype, str) or dtype not in DTYPES:
        raise _Unusable(f"{path.name}: dtype: expected one of {', '.join(DTYPES)}, got {dtype!r}")
    importance, bias_shift = (_layers(path, data, name, DTYPES[dtype]) for name in ("importance", "bias_shift"))
    return Outcome(importance, bias_shift)


def _layers(path: Path, data: dict[str, Any], name: str, dtype: Any) -> Layers:
    if name not in data:
        raise _Unusable(f"{path.name}: {name} is missing")
    if not isinstance(data[name], list):
        raise _Unusable(f"{path.name}: {name}: expected a list with one array a layer, got {type(data[name]).__name__}")
    layers = []
    for l, rows in enumerate(data[name]):
        try:
            array = np.array(rows)
        except ValueError as error:
            raise _Unusable(f"{path.name}: {name}[{l}]: expected a list of rows of one length") from error
        if array.dtype.kind not in "iuf":
            raise _Unusable(f"{path.name}: {name}[{l}]: expected numbers, got {array.dtype}")
        with overflow_raised_later():  # by the comparison
            layers.append(array.astype(dtype))
    return tuple(layers)
