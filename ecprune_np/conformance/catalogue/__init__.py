"""A catalogue of what goes wrong when the formulas become automatic differentiation, split by what goes wrong.

Every mistake spoils one stage: the passes, the formulas, or what is done to the results in the end.  Where two explain
as much as each other, the earlier one is named.
"""

from ._mistake import Mistake
from .arithmetic import ARITHMETIC
from .derivative import DERIVATIVE
from .formula import FORMULA
from .forward import FORWARD
from .importance import IMPORTANCE
from .outputs import OUTPUTS
from .samples import SAMPLES
from .shift import SHIFT

__all__ = ["MISTAKES", "Mistake"]

MISTAKES: tuple[Mistake, ...] = (
    *OUTPUTS,
    *FORMULA,
    *SHIFT,
    *IMPORTANCE,
    *DERIVATIVE,
    *FORWARD,
    *SAMPLES,
    *ARITHMETIC,
)
