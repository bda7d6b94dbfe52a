"""Whether what a candidate answered to a case is right."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from .._types import Array
from ..error_analysis.comparison import conditioned_error, relative_error
from ._case import Case, Layers
from ._outcome import FAILED, INACCURATE, PASSED, SKIPPED, TOLERANCES, Entry, Outcome, Result


def judge(case: Case, outcome: Outcome) -> Result:
    """Compare an answer with the reference (EC-7.9): float64 needs 1e-9, float32 1e-3, by the dtype returned."""
    if outcome.skipped:
        return Result(case, SKIPPED, outcome.skipped, outcome)
    if outcome.problem:
        return Result(case, FAILED, outcome.problem, outcome)
    problems, worst = [], []
    reference = case.reference
    for quantity in case.quantities:
        if quantity in outcome.not_given:
            continue
        values, (right, scale) = getattr(outcome, quantity), reference.of(quantity)
        problem = _misshapen(quantity, values, right)
        if problem:
            problems.append(problem)
        else:
            worst.append(worst_of(quantity, values, right, [relative_error(*v) for v in zip(values, right, scale)]))
    if case.kind == "pruner":
        problems += _of_pruner(case, outcome)
    message = "; ".join([*problems, *(str(entry) for entry in worst if entry.excess > 1)])
    if message:
        return Result(case, FAILED, message, outcome, tuple(worst))
    if not case.ill_conditioned or "importance" in outcome.not_given:
        return Result(case, PASSED, "", outcome, tuple(worst))
    answers = zip(outcome.importance, reference.importance, reference.importance_scale)
    accuracy = worst_of(
        "importance", outcome.importance, reference.importance, [conditioned_error(*v) for v in answers]
    )
    if accuracy.excess > 1:
        return Result(case, INACCURATE, str(accuracy), outcome, tuple(worst), accuracy)
    return Result(case, PASSED, "", outcome, tuple(worst), accuracy)


def _of_pruner(case: Case, outcome: Outcome) -> Iterator[str]:
    """How many weights are zero, where it is not the right number, and the arguments that were changed."""
    if [v.shape for v in outcome.weights] == [w.shape for w in case.weights]:
        zeros, right = (
            sum(int((v == 0).sum()) for v in layers) for layers in (outcome.weights, case.reference.weights)
        )
        if zeros != right:
            yield f"{zeros} weights are zero, expected {right}"
    if outcome.overwrote:
        yield f"it changes its arguments ({', '.join(outcome.overwrote)})"


def worst_of(quantity: str, values: Layers, references: Layers, errors: list[Array]) -> Entry:
    """The entry with the largest error in units of its layer's tolerance; NaN and inf come first."""
    entries = []
    for l, (value, reference, error) in enumerate(zip(values, references, errors)):
        at = np.unravel_index(np.argmax(np.where(np.isfinite(value), error, np.inf)), value.shape)
        numbers = float(value[at]), float(reference[at]), float(error[at])
        row, column = int(at[0]), int(at[1]) if value.ndim == 2 else None
        entries.append(Entry(quantity, l, row, column, *numbers, TOLERANCES[value.dtype]))
    return max(entries, key=lambda entry: entry.excess)


def _misshapen(name: str, values: Layers, references: Layers) -> str:
    if len(values) != len(references):
        return f"{name}: expected {len(references)} arrays, one a layer, got {len(values)}"
    for l, (value, reference) in enumerate(zip(values, references)):
        if value.shape != reference.shape:
            like = "weights" if reference.ndim == 2 else "biases"
            return f"{name}[{l}]: expected shape {reference.shape} as {like}[{l}], got {value.shape}"
    return ""
