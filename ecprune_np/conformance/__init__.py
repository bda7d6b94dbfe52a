"""Verify any implementation of EC, and say what is wrong with it (EC-3).

A candidate is a callable `candidate(weights, biases, activation, x) -> (importance, bias_shift)`.
"""

from ._case import Case, Reference
from ._cases import cases
from ._check import check, check_case, check_pruner
from ._compare import compare
from ._outcome import Entry, Outcome, Result
from ._report import Report
from ._vectors import check_vectors, write_vectors
from .catalogue import MISTAKES, Mistake
from .diagnosis import Finding

__all__ = [
    "MISTAKES",
    "Case",
    "Entry",
    "Finding",
    "Mistake",
    "Outcome",
    "Reference",
    "Report",
    "Result",
    "cases",
    "check",
    "check_case",
    "check_pruner",
    "check_vectors",
    "compare",
    "write_vectors",
]


def __dir__() -> list[str]:
    return sorted(__all__)
