"""What a candidate answered to a case, beside what it should have: data only."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .._frozen import Frozen
from .._types import Array
from ..error_analysis.comparison import digits
from ._case import Case, Layers

PASSED, INACCURATE, FAILED, SKIPPED = "passed", "inaccurate", "failed", "skipped"
CONFORMS, LOW_ACCURACY, DOES_NOT = "conforms", "conforms with low accuracy", "does not conform"
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
    not_given : tuple of str
        The quantities in whose place None came.
    weight_gradient : tuple of arrays
        One a layer, where the kind is "loss_gradient".
    bias_gradient : tuple of arrays
        One a layer, likewise.
    weights : tuple of arrays
        One a layer, where the kind is "pruner".
    biases : tuple of arrays
        One a layer, likewise.

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
    not_given: tuple[str, ...] = ()
    weight_gradient: Layers = ()
    bias_gradient: Layers = ()
    weights: Layers = ()
    biases: Layers = ()

    @property
    def arrays(self) -> tuple[Array, ...]:
        """All that came."""
        gradients = (*self.weight_gradient, *self.bias_gradient)
        return (*self.importance, *self.bias_shift, *gradients, *self.weights, *self.biases)

    def __repr__(self) -> str:
        reasons = [f"{name}={getattr(self, name)!r}" for name in ("problem", "skipped") if getattr(self, name)]
        dtypes = dict.fromkeys(str(v.dtype) for v in self.arrays)
        n_layers = len(self.importance or self.weight_gradient or self.weights or self.bias_shift)
        return f"Outcome({', '.join(reasons or [f'{n_layers} layers', *dtypes])})"


@dataclass(frozen=True, repr=False)
class Entry:
    """One entry of an answer beside what it should be.

    Attributes
    ----------
    quantity : str
        "importance", "bias_shift", or another of the kind's.
    layer : int
        l.
    row : int
        i.
    column : int or None
        j; None of a bias.
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
    column: int | None
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
        at = f"{self.row}" if self.column is None else f"{self.row}, {self.column}"
        return f"{self.quantity}[{self.layer}][{at}] is {self.value:.9g}, expected {self.reference:.9g} ({correct})"


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
        The worst entry of each quantity that can be compared at all, on the scales R and |w| √(E[s a²]/S) (EC-7.9).
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
