"""Independent ways to the same numbers; they share nothing with the fast path but σ's values (EC-9)."""

from ._complex_step import complex_step
from ._finite_differences import EstimatedScores, finite_differences
from ._loops import loops

__all__ = ["EstimatedScores", "complex_step", "finite_differences", "loops"]
