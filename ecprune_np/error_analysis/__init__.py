"""How right the numbers are: compared, certified, and beside what first order leaves out (EC-7, EC-8).

comparison       how far two sets of scores are apart, on the scale of what their formulas cannot avoid
certify          how many digits are right, of scores, in `_certify`; of compensations, in `_certify_pruned`; and what
                 gradient a search has left, in `_certify_refit`; of the true minimum, in `_certify_nonlinear`: public
                 functions of `ecprune_np.oracle` (`_balls`: numbers with bounds of their errors; `_bounded`: a
                 network's passes in them; `_least_squares`: solutions enclosed; `_removals`: what a removal changes;
                 `_floor`: what no shift falls below)
linearization    the true change beside the predicted one
jackknife        what other samples would change
"""

from .jackknife import RemovedSet, StandardErrors, standard_errors
from .linearization import LinearizationError, linearization_error

__all__ = ["LinearizationError", "RemovedSet", "StandardErrors", "linearization_error", "standard_errors"]


def __dir__() -> list[str]:
    return sorted(__all__)
