"""Independent ways to the same numbers; they share nothing with the fast path but σ's values (EC-9)."""

from ._certify import Certificate, certify, wider_format
from ._complex_step import complex_step
from ._finite_differences import EstimatedScores, finite_differences
from ._loops import loops
from ._nonlinear import NonlinearScores, nonlinear
from ._refit import refit_biases, true_change

__all__ = [
    "Certificate",
    "EstimatedScores",
    "NonlinearScores",
    "certify",
    "complex_step",
    "finite_differences",
    "loops",
    "nonlinear",
    "refit_biases",
    "true_change",
    "wider_format",
]
