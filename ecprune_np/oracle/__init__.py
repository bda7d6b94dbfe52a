"""Independent ways to the same numbers; they share nothing with the fast path but σ's values (EC-9).

    exact                 the definition without rounding: ExactScores, the court of last resort
    exact_criterion       Wanda, gradient magnitude, OBC and OBS likewise
    exact_gradient        a loss and its gradient
    exact_masks           which weights go
    loops                 the equations as they read
    complex_step          derivatives without rules of differentiation
    finite_differences    derivatives from evaluations alone: EstimatedScores, with their errors
    nonlinear             what is really lost, without linearisation: NonlinearScores

Beside them, with the fast path's own arithmetic:

    certify               how many digits of the scores are right: a Certificate, from a wider_format
    certify_pruned        of a compensation's biases and weights: a PrunedCertificate
    certify_nonlinear     of the true minimum: a NonlinearCertificate, with a floor of its own
    certify_refit         what gradient a search for biases has left: a RefitCertificate
    refit_biases          the best biases for given masks
    true_change           what a pruning has really changed
"""

from ..error_analysis._certify import Certificate, certify, wider_format
from ..error_analysis._certify_nonlinear import NonlinearCertificate, certify_nonlinear
from ..error_analysis._certify_pruned import PrunedCertificate, certify_pruned
from ..error_analysis._certify_refit import RefitCertificate, certify_refit
from ..pruning.refit import refit_biases, true_change
from ._complex_step import complex_step
from ._exact import ExactScores, exact
from ._exact_criteria import exact_criterion, exact_gradient, exact_masks
from ._finite_differences import EstimatedScores, finite_differences
from ._loops import loops
from ._nonlinear import NonlinearScores, nonlinear

__all__ = [
    "Certificate",
    "EstimatedScores",
    "ExactScores",
    "NonlinearCertificate",
    "NonlinearScores",
    "PrunedCertificate",
    "RefitCertificate",
    "certify",
    "certify_nonlinear",
    "certify_pruned",
    "certify_refit",
    "complex_step",
    "exact",
    "exact_criterion",
    "exact_gradient",
    "exact_masks",
    "finite_differences",
    "loops",
    "nonlinear",
    "refit_biases",
    "true_change",
    "wider_format",
]


def __dir__() -> list[str]:
    return sorted(__all__)
