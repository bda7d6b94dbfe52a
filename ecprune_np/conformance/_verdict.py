"""What a candidate answers to a case, and whether that is right."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from .._frozen import Frozen
from .._types import Array
from ..error_analysis.comparison import conditioned_error, digits, relative_error
from ._around import last_lines, sheltered
from ._cases import Case, Layers

Candidate = Callable[[list[Array], list[Array], str, Array], Any]

PASSED, INACCURATE, FAILED, SKIPPED = "passed", "inaccurate", "failed", "skipped"
QUANTITIES = ("importance", "bias_shift")
IN_A_ROW, LATER = "in a row", "later"  # when an answer was another one
TOLERANCES = {np.dtype(np.float64): 1e-9, np.dtype(np.float32): 1e-3}


@dataclass(frozen=True, eq=False, repr=False)
class Outcome(Frozen):
    """What a candidate answered to a case, or why there is no answer.

    Attributes
    ----------
    importance : tuple of arrays
        One a layer, of any shape.
    bias_shift : tuple of arrays
        One a layer, of any shape.
    problem : str
        What was wrong with the answer, or "".
    skipped : str
        Why the candidate does not do the case, or "".
    overwrote : tuple of str
        Which of its arguments it changed.
    disturbed : tuple of str
        What else it left changed, such as np.seterr; it was put back.
    traceback : str
        Where it raised: the last lines of its own, or "".
    varies : str
        "in a row" where it gave another answer when asked twice at once, "later" where only after other cases, or "".

    Examples
    --------
    >>> ec.conformance.Outcome(skipped="no gelu")
    Outcome(skipped='no gelu')
    """

    importance: Layers = ()
    bias_shift: Layers = ()
    problem: str = ""
    skipped: str = ""
    overwrote: tuple[str, ...] = ()
    disturbed: tuple[str, ...] = ()
    traceback: str = ""
    varies: str = ""

    def __repr__(self) -> str:
        reasons = [f"{name}={getattr(self, name)!r}" for name in ("problem", "skipped") if getattr(self, name)]
        dtypes = dict.fromkeys(str(v.dtype) for v in (*self.importance, *self.bias_shift))
        return f"Outcome({', '.join(reasons or [f'{len(self.importance)} layers', *dtypes])})"


@dataclass(frozen=True, repr=False)
class Entry:
    """One entry of an answer beside what it should be.

    Attributes
    ----------
    quantity : str
        "importance" or "bias_shift".
    layer : int
        l.
    row : int
        i.
    column : int
        j.
    value : float
        What the candidate answered.
    reference : float
        What is right.
    error : float
        Their distance on the comparison's scale.
    tolerance : float
        The error that is allowed.

    Examples
    --------
    >>> entry = ec.conformance.Entry("importance", 0, 2, 1, 1.001, 1.0, 1e-3, 1e-9)
    >>> print(entry)
    importance[0][2, 1] is 1.001, expected 1 (3.0 correct digits)
    """

    quantity: str
    layer: int
    row: int
    column: int
    value: float
    reference: float
    error: float
    tolerance: float

    @property
    def excess(self) -> float:
        """The error in units of the tolerance: the answer is wrong above 1; inf where it is not a number."""
        return self.error / self.tolerance if np.isfinite(self.value) else np.inf

    def __repr__(self) -> str:
        return f"Entry({self})"

    def __str__(self) -> str:
        correct = f"{digits(self.error):.1f} correct digits" if np.isfinite(self.value) else "not a number"
        place = f"{self.quantity}[{self.layer}][{self.row}, {self.column}]"
        return f"{place} is {self.value:.9g}, expected {self.reference:.9g} ({correct})"


@dataclass(frozen=True, eq=False, repr=False)
class Result(Frozen):
    """A case's verdict, with the message, the worst entry and the answer.

    Attributes
    ----------
    case : Case
        The case.
    status : str
        "passed", "inaccurate", "failed" or "skipped".
    message : str
        What is wrong, or why it was skipped.
    outcome : Outcome
        The answer.
    worst : tuple of Entry
        The worst entry of each quantity that can be compared at all, on the scales R and |w| √(E[s a²]/S) (EC-7.6).
    accuracy : Entry or None
        The worst importance of an ill-conditioned case, against I itself.

    Examples
    --------
    >>> case = ec.conformance.cases()[0]
    >>> report = ec.conformance.check(lambda weights, biases, activation, x: (weights, biases), [case])
    >>> report.results[0].status
    'failed'
    """

    case: Case
    status: str
    message: str
    outcome: Outcome
    worst: tuple[Entry, ...] = ()
    accuracy: Entry | None = None

    def __repr__(self) -> str:
        return f"Result({self.case}: {self.status})"

    @property
    def worst_entry(self) -> Entry | None:
        """The entry that is the furthest beyond its tolerance."""
        entries = [*self.worst, *([self.accuracy] if self.accuracy else [])]
        return max(entries, key=lambda entry: entry.excess, default=None)


def run(candidate: Candidate, case: Case) -> Outcome:
    """The candidate's answer to fresh copies of the case's arrays; nothing that it raises or changes gets out."""
    inputs = case.inputs()
    with sheltered() as disturbed:
        outcome = _answer(candidate, inputs)
    return replace(outcome, overwrote=_overwritten(case, inputs), disturbed=tuple(disturbed))


def _answer(candidate: Candidate, inputs: tuple[list[Array], list[Array], str, Array]) -> Outcome:
    try:
        importance, bias_shift = _layers_of(candidate(*inputs))
    except NotImplementedError as error:
        return Outcome(skipped=str(error) or "not implemented")
    except _Malformed as error:
        return Outcome(problem=" ".join(str(error).split()))
    except (Exception, SystemExit) as error:
        text = " ".join(str(error).split())
        return Outcome(problem=f"{type(error).__name__}: {text}", traceback=last_lines(error))
    return Outcome(importance, bias_shift)


def judge(case: Case, outcome: Outcome) -> Result:
    """Compare an answer with the reference (EC-7.6): float64 needs 1e-9, float32 1e-3, by the dtype returned."""
    if outcome.skipped:
        return Result(case, SKIPPED, outcome.skipped, outcome)
    if outcome.problem:
        return Result(case, FAILED, outcome.problem, outcome)
    problems, worst = [], []
    reference = case.reference
    for quantity, right, scale in (
        ("importance", reference.importance, reference.importance_scale),
        ("bias_shift", reference.bias_shift, reference.shift_scale),
    ):
        values = getattr(outcome, quantity)
        problem = _misshapen(quantity, values, right)
        if problem:
            problems.append(problem)
        else:
            worst.append(worst_of(quantity, values, right, [relative_error(*v) for v in zip(values, right, scale)]))
    message = "; ".join([*problems, *(str(entry) for entry in worst if entry.excess > 1)])
    if message:
        return Result(case, FAILED, message, outcome, tuple(worst))
    if not case.ill_conditioned:
        return Result(case, PASSED, "", outcome, tuple(worst))
    answers = zip(outcome.importance, reference.importance, reference.importance_scale)
    accuracy = worst_of(
        "importance", outcome.importance, reference.importance, [conditioned_error(*v) for v in answers]
    )
    if accuracy.excess > 1:
        return Result(case, INACCURATE, str(accuracy), outcome, tuple(worst), accuracy)
    return Result(case, PASSED, "", outcome, tuple(worst), accuracy)


def worst_of(quantity: str, values: Layers, references: Layers, errors: list[Array]) -> Entry:
    """The entry with the largest error in units of its layer's tolerance; NaN and inf come first."""
    entries = []
    for l, (value, reference, error) in enumerate(zip(values, references, errors)):
        row, column = np.unravel_index(np.argmax(np.where(np.isfinite(value), error, np.inf)), value.shape)
        at = (row, column)
        numbers = float(value[at]), float(reference[at]), float(error[at])
        entries.append(Entry(quantity, l, int(row), int(column), *numbers, TOLERANCES[value.dtype]))
    return max(entries, key=lambda entry: entry.excess)


class _Malformed(Exception):
    """An answer that is not two lists of float arrays."""


def _layers_of(answer: Any) -> tuple[Layers, Layers]:
    """The answer as copied arrays, or _Malformed with what is wrong with it."""
    if not isinstance(answer, (tuple, list)) or len(answer) != 2:
        size = f" of {len(answer)}" if isinstance(answer, (tuple, list)) else ""
        raise _Malformed(f"expected (importance, bias_shift), got {type(answer).__name__}{size}")
    return _arrays("importance", answer[0]), _arrays("bias_shift", answer[1])


def _arrays(name: str, value: Any) -> Layers:
    if not isinstance(value, (tuple, list)):
        raise _Malformed(f"{name}: expected a list with one array a layer, got {type(value).__name__}")
    arrays = []
    for l, entry in enumerate(value):
        try:
            array = np.array(entry)
        except Exception as error:
            raise _Malformed(f"{name}[{l}]: expected an array, got {type(entry).__name__} ({error})") from error
        if array.dtype not in TOLERANCES:
            kind = "None" if entry is None else f"{type(entry).__name__} of {array.dtype}"
            raise _Malformed(f"{name}[{l}]: expected float32 or float64, got {kind}")
        arrays.append(array)
    return tuple(arrays)


def _misshapen(name: str, values: Layers, references: Layers) -> str:
    if len(values) != len(references):
        return f"{name}: expected {len(references)} arrays, one a layer, got {len(values)}"
    for l, (value, reference) in enumerate(zip(values, references)):
        if value.shape != reference.shape:
            return f"{name}[{l}]: expected shape {reference.shape} as weights[{l}], got {value.shape}"
    return ""


def _overwritten(case: Case, inputs: tuple[list[Array], list[Array], str, Array]) -> tuple[str, ...]:
    """The names of the arguments that are not what they were."""
    weights, biases, _, x = inputs
    pairs = (("weights", weights, case.weights), ("biases", biases, case.biases), ("x", [x], (case.x,)))
    return tuple(name for name, now, before in pairs if not _equal(now, before))


def _equal(now: list[Array], before: Layers) -> bool:
    return len(now) == len(before) and all(np.array_equal(a, b) for a, b in zip(now, before))
