"""The cases as JSON files that any language reads, and the answers as JSON files that it writes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, get_args

import numpy as np

from .. import _checks
from .._checks import overflow_raised_later
from .._files import save_text
from .._types import File
from ._case import Case, Layers
from ._cases import INDEX, SCHEMA, VECTORS, WITH_OPTIONS, all_cases, files_of_cases
from ._kinds import OF_METRIC, KindName
from ._outcome import Outcome, Result
from ._report import Report
from ._verdict import judge

ENDING = ".out.json"
IN_FILES: tuple[KindName, ...] = tuple(kind for kind in get_args(KindName) if kind != "pruner")
DTYPES = {"float64": np.float64, "float32": np.float32}


def write_vectors(folder: File) -> int:
    """Copy `<case>.json` of every case, their index and the JSON schema; numbers are read back exactly.

    Cases that use options come into a folder `options`.

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
    >>> ec.conformance.write_vectors("vectors") > len(ec.conformance.cases())
    True
    """
    directory = Path(folder)
    directory.mkdir(parents=True, exist_ok=True)
    (directory / WITH_OPTIONS).mkdir(exist_ok=True)
    names = list(files_of_cases())
    for name in (SCHEMA, INDEX, f"{WITH_OPTIONS}/{INDEX}", *names):
        save_text(directory / name, (VECTORS / name).read_text(encoding="utf-8"))
    return len(names)


def check_vectors(folder: File, kind: KindName = "ec") -> Report:
    """Judge `<case>.out.json` for every case: {"importance": [...], "bias_shift": [...]}, a nested list a layer.

    A result may state `"dtype": "float32"`, or `"skipped": "why"` in place of values, or lack one of the quantities.
    A truncated or malformed file, or one whose `<case>.json` is not this version's, is that case's failure; so is one
    that is missing, but for those of the folder `options`, which are skipped.  Files that belong to no case are noted.

    Parameters
    ----------
    folder : path
        Where the results are; the cases may lie beside them.
    kind : str, default "ec"
        What they are, as for `check`, but no pruner; other kinds have their own quantities.

    Returns
    -------
    Report
        With one result a case.

    Raises
    ------
    ValueError
        Where there is no such folder, and for an unknown kind.

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
    _checks.one_of("kind", kind, IN_FILES)
    chosen = {_place(case): case for case in all_cases(kind)}
    known = {f"{_place(case)}{ENDING}" for kind in IN_FILES for case in all_cases(kind)}
    found = (path.relative_to(directory).as_posix() for path in sorted(directory.rglob(f"*{ENDING}")))
    notes = tuple(f"{name} belongs to no case" for name in found if name not in known)
    results = tuple(_result(directory / place, case) for place, case in chosen.items())
    return Report(str(directory), results, notes)


def _place(case: Case) -> str:
    """Where a case is in a folder of vectors, without the ending."""
    return f"{WITH_OPTIONS}/{case.name}" if options_of(case) else case.name


def options_of(case: Case) -> dict[str, Any]:
    """The options that stand in a case's file, whatever its kind."""
    values = {name: getattr(case, name) for name in OF_METRIC if case.uses(name)}
    return {name: value if isinstance(value, str) else value.tolist() for name, value in values.items()}


def _inputs(case: Case) -> dict[str, Any]:
    inputs = {
        "name": case.name,
        "activation": case.activation,
        "weights": _lists(case.weights),
        "biases": _lists(case.biases),
        "x": case.x.tolist(),
    }
    return inputs | {"options": options_of(case)} if options_of(case) else inputs


def _lists(layers: Layers) -> list[Any]:
    return [layer.tolist() for layer in layers]


def _result(place: Path, case: Case) -> Result:
    file = place.with_name(f"{case.name}{ENDING}")
    try:
        _check_inputs(place.with_name(f"{case.name}.json"), case)
        if case.names_of_options and not file.exists():
            outcome = Outcome(skipped="no file")
        else:
            outcome = _outcome(file, case.quantities)
    except _Unusable as error:
        outcome = Outcome(problem=str(error))
    return judge(case, outcome)


class _Unusable(Exception):
    """A file that cannot be used, with its name and the reason."""


def _check_inputs(path: Path, case: Case) -> None:
    """Raise where the inputs are not those of this version; results alone, without the inputs, are fine."""
    if not path.exists() or _bytes(path) == (VECTORS / f"{_place(case)}.json").read_bytes():
        return
    given = _read(path)  # only the inputs are compared: what is computed from them differs in the last bit
    if not isinstance(given, dict) or any(given.get(name) != value for name, value in _inputs(case).items()):
        raise _Unusable(f"{path.name}: not this version's case; write the vectors anew and compute it again")


def _read(path: Path) -> Any:
    try:
        return json.loads(_bytes(path).decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise _Unusable(f"{path.name}: not a JSON file ({error})") from error


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise _Unusable(f"{path.name}: no such file") from None
    except OSError as error:
        raise _Unusable(f"{path.name}: not a JSON file ({error})") from error


def _outcome(path: Path, quantities: tuple[str, ...]) -> Outcome:
    data = _read(path)
    if not isinstance(data, dict):
        raise _Unusable(f"{path.name}: expected an object, got {type(data).__name__}")
    if "skipped" in data:
        return Outcome(skipped=str(data["skipped"]) or "skipped")
    dtype = data.get("dtype", "float64")
    if not isinstance(dtype, str) or dtype not in DTYPES:
        raise _Unusable(f"{path.name}: dtype: expected one of {', '.join(DTYPES)}, got {dtype!r}")
    given: dict[str, Any] = {name: _layers(path, data, name, DTYPES[dtype]) for name in quantities if name in data}
    if not given:
        raise _Unusable(f"{path.name}: {quantities[0]} is missing")
    return Outcome(**given, not_given=tuple(name for name in quantities if name not in given))


def _layers(path: Path, data: dict[str, Any], name: str, dtype: Any) -> Layers:
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
