"""The conformance cases: small networks, each made to tell right implementations from wrong ones.

Inputs and what is right for them are files, made by `examples/make_vectors.py` with exact arithmetic: nothing of what
they judge has a part in them.  A version that was published never changes.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from functools import cache
from pathlib import Path
from typing import Any, get_args

import numpy as np

from .. import _checks
from .._checks import frozen
from ._case import ILL_CONDITIONED, Case, Layers, Reference
from ._kinds import KINDS, KindName
from ._pruned_cases import pruning_cases

VERSION = 1
VECTORS = Path(__file__).with_name("vectors") / str(VERSION)
INDEX, SCHEMA = "index.json", "vectors.schema.json"
WITH_OPTIONS = "options"  # the folder of the cases that use one


def cases(kind: KindName = "ec", options: Collection[str] = ()) -> tuple[Case, ...]:
    """The conformance cases of a kind, in the order of their groups; names are unique.

    Parameters
    ----------
    kind : str, default "ec"
        "ec", "uncompensated", "wanda", "gradient_magnitude", "obc", "obs", "loss_gradient" or "pruner".
    options : collection of str, default ()
        Keywords that a candidate takes ("metric", "y", "sample_weight", "output_activation", "loss"): the cases that
        use no others come too.

    Returns
    -------
    tuple of Case
        The same objects at each call.

    Raises
    ------
    ValueError
        For an unknown kind.

    Examples
    --------
    >>> cases = ec.conformance.cases()
    >>> len({case.name for case in cases}) == len(cases)
    True
    >>> len(ec.conformance.cases(options=["metric", "y"])) > len(cases)
    True
    """
    _checks.one_of("kind", kind, get_args(KindName))
    return _with(kind, frozenset(options))


@cache
def _with(kind: KindName, options: frozenset[str]) -> tuple[Case, ...]:
    return tuple(case for case in all_cases(kind) if options.issuperset(case.names_of_options))


@cache
def all_cases(kind: KindName) -> tuple[Case, ...]:
    """Those that use options too."""
    if kind == "pruner":
        return pruning_cases(all_cases("ec"))
    return tuple(case for vector in _vectors() if (case := _read(vector, kind)) is not None)


@cache
def _vectors() -> tuple[dict[str, Any], ...]:
    return tuple(json.loads((VECTORS / file).read_text(encoding="utf-8")) for file in files_of_cases())


def files_of_cases() -> Iterator[str]:
    """The files of all cases below the version's folder, those with options last."""
    for folder in ("", f"{WITH_OPTIONS}/"):
        for name in json.loads((VECTORS / folder / INDEX).read_text(encoding="utf-8")):
            yield f"{folder}{name}.json"


def _read(vector: dict[str, Any], kind: KindName) -> Case | None:
    """The case of a kind that a file holds, if it does."""
    values = vector if kind == "ec" else _uncompensated(vector) if kind == "uncompensated" else _other(vector, kind)
    if values is None:
        return None
    right = {name: _arrays(values["expected"][name]) for name in KINDS[kind].quantities}
    scale = {f"{name}_scale": _arrays(values["scale"][name]) for name in right}
    options = vector.get("options", {})
    options = {name: frozen(np.array(v)) if isinstance(v, list) else v for name, v in options.items()}
    return Case(
        vector["name"],
        tuple(f for f in vector["flags"] if kind == "ec" or f != ILL_CONDITIONED),
        vector["note"],
        _arrays(vector["weights"]),
        _arrays(vector["biases"]),
        vector["activation"],
        frozen(np.array(vector["x"], np.float64)),
        Reference(**right, **scale),
        kind,
        **options,
    )


def _uncompensated(vector: dict[str, Any]) -> dict[str, Any]:
    """R, which every file has as the scale of the importances."""
    return {name: {"importance": vector["scale"]["importance"]} for name in ("expected", "scale")}


def _other(vector: dict[str, Any], kind: str) -> dict[str, Any] | None:
    values: dict[str, Any] | None = vector.get("kinds", {}).get(kind)
    return values


def _arrays(layers: list[Any]) -> Layers:
    return tuple(frozen(np.array(layer, np.float64)) for layer in layers)
