"""Asking a candidate: with fresh copies, and whatever it raises, leaves behind or returns taken as an answer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from ._around import last_lines, sheltered
from ._case import Case, Layers
from ._kinds import KINDS, USUAL, taken_by
from ._outcome import TOLERANCES, Outcome

Candidate = Callable[..., Any]


def run(candidate: Candidate, case: Case) -> Outcome:
    """The candidate's answer to fresh copies of the case's arrays; nothing that it raises or changes gets out."""
    inputs, options = case.inputs(), case.options()
    must = [name for name, needed in taken_by(candidate).items() if needed and name not in KINDS[case.kind].given]
    keywords = {name: USUAL[name] for name in must} | options
    with sheltered() as disturbed:
        outcome = _answer(lambda: candidate(*inputs, **keywords), case.quantities)
    return replace(outcome, overwrote=_overwritten(case, inputs, options), disturbed=tuple(disturbed))


def _answer(ask: Callable[[], Any], quantities: tuple[str, ...]) -> Outcome:
    try:
        return outcome_of(ask(), quantities)
    except NotImplementedError as error:
        return Outcome(skipped=str(error) or "not implemented")
    except Malformed as error:
        return Outcome(problem=" ".join(str(error).split()))
    except (Exception, SystemExit) as error:
        text = " ".join(str(error).split())
        return Outcome(problem=f"{type(error).__name__}: {text}", traceback=last_lines(error))


class Malformed(Exception):
    """An answer that is not lists of float arrays."""


def outcome_of(answer: Any, quantities: tuple[str, ...]) -> Outcome:
    """The answer as copied arrays, None in the place of one that is not given; Malformed with what is wrong with it."""
    if len(quantities) == 1:
        only: dict[str, Any] = {quantities[0]: _arrays(quantities[0], answer)}
        return Outcome(**only)
    if not isinstance(answer, (tuple, list)) or len(answer) != len(quantities):
        size = f" of {len(answer)}" if isinstance(answer, (tuple, list)) else ""
        raise Malformed(f"expected ({', '.join(quantities)}), got {type(answer).__name__}{size}")
    given: dict[str, Any] = {
        name: _arrays(name, values) for name, values in zip(quantities, answer) if values is not None
    }
    if not given:
        raise Malformed(f"expected ({', '.join(quantities)}), got None for each")
    return Outcome(**given, not_given=tuple(name for name in quantities if name not in given))


def _arrays(name: str, value: Any) -> Layers:
    if not isinstance(value, (tuple, list)):
        raise Malformed(f"{name}: expected a list with one array a layer, got {type(value).__name__}")
    arrays = []
    for l, entry in enumerate(value):
        try:
            array = np.array(entry)
        except Exception as error:
            raise Malformed(f"{name}[{l}]: expected an array, got {type(entry).__name__} ({error})") from error
        if array.dtype not in TOLERANCES:
            kind = "None" if entry is None else f"{type(entry).__name__} of {array.dtype}"
            raise Malformed(f"{name}[{l}]: expected float32 or float64, got {kind}")
        arrays.append(array)
    return tuple(arrays)


def _overwritten(case: Case, inputs: tuple[Any, ...], options: dict[str, Any]) -> tuple[str, ...]:
    """The names of the arguments that are not what they were."""
    now = dict(zip(("weights", "biases", "activation", "x", *KINDS[case.kind].given), inputs)) | options
    return tuple(name for name, value in now.items() if not _equal(value, before_of(case, name)))


def before_of(case: Case, name: str) -> Any:
    """An argument as it was."""
    return getattr(case, "metric" if name == "loss" else name)


def _equal(now: Any, before: Any) -> bool:
    if isinstance(before, tuple):
        return len(now) == len(before) and all(np.array_equal(a, b) for a, b in zip(now, before))
    return np.array_equal(now, before) if isinstance(before, np.ndarray) else bool(now == before)
