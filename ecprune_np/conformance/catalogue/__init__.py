"""A catalogue of what goes wrong when the formulas become automatic differentiation, split by what goes wrong.

Every mistake spoils one stage: the passes, the formulas, or what is done to the results in the end.  Where two explain
as much as each other, the earlier one is named.
"""

from ._mistake import Mistake
from .arithmetic import ARITHMETIC
from .criteria import mistakes_of
from .derivative import DERIVATIVE
from .formula import FORMULA
from .forward import FORWARD
from .importance import IMPORTANCE
from .options import OPTIONS
from .outputs import OUTPUTS
from .pruning import PRUNING
from .samples import SAMPLES
from .shift import SHIFT

__all__ = ["MISTAKES", "Mistake", "catalogue_of"]

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
WITH_OPTIONS: tuple[Mistake, ...] = (*OPTIONS, *OUTPUTS, *FORMULA, *IMPORTANCE)


def catalogue_of(kind: str, with_options: bool = False) -> tuple[Mistake, ...]:
    """The mistakes that are tried on a kind of answers; on cases with options those of EC are others."""
    if kind == "pruner":
        return PRUNING
    if kind != "ec":
        return mistakes_of(kind)
    return WITH_OPTIONS if with_options else MISTAKES
