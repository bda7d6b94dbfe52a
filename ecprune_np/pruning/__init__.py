"""From scores to a pruned network: at once or in bites, and how the biases answer (EC-5).

pruned       a network and its masks
summary      what is left of it, and what it has cost
one_shot     the least important weights go, and what the biases get for it
iterative    the same in many bites, the survivors scored anew before each
joint        the bias shifts that are optimal together, to first order
refit        the best biases that a search finds
"""

from .iterative import prune_iteratively, sparsity_schedule
from .joint import joint_shifts
from .one_shot import prune
from .pruned import Pruned
from .refit import refit_biases, true_change
from .summary import Summary

__all__ = [
    "Pruned",
    "Summary",
    "joint_shifts",
    "prune",
    "prune_iteratively",
    "refit_biases",
    "sparsity_schedule",
    "true_change",
]


def __dir__() -> list[str]:
    return sorted(__all__)
