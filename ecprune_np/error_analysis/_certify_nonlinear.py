"""How far what a search for the true minimum has found may be from it (EC-7.16, EC-7.17)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .. import _checks
from .._frozen import Frozen
from .._types import Array, Metric
from ..batch import Samples, gathered
from ..metrics import metric_targets
from ..mlp import MLP
from ..scores import Scores
from ._certify import SLACK, bounded_digits, digits_of, widely_passed
from ._floor import floor
from ._removals import Removals


@dataclass(frozen=True, eq=False, repr=False)
class NonlinearCertificate(Frozen):
    """How right the results of `nonlinear` are, weight by weight: digits from 0 to 17.

    Attributes
    ----------
    change_bound : tuple of L arrays (n_l, n_{l-1})
        The digits that `importance` has at least, as the true change at `bias_shift`.
    importance_bound : tuple of L arrays (n_l, n_{l-1})
        The digits that it has at least, as the minimum over all δ; within `reach`, where that is finite.
    floor : tuple of L arrays (n_l, n_{l-1})
        What that minimum is at least.
    reach : tuple of L arrays (n_l, n_{l-1})
        The largest ∣δ∣ up to which this was shown; infinite, where of all δ.

    Examples
    --------
    >>> mlp, x = ec.MLP([[[2.0, 1.0]]], [[0.0]]), [[1.0, 5.0], [3.0, 5.0]]
    >>> found = ec.oracle.certify_nonlinear(ec.oracle.nonlinear(mlp, x), mlp, x)
    >>> found.floor[0].round(6), found.reach[0]
    (array([[4., 0.]]), array([[inf, inf]]))
    """

    change_bound: tuple[Array, ...]
    importance_bound: tuple[Array, ...]
    floor: tuple[Array, ...]
    reach: tuple[Array, ...]

    def __repr__(self) -> str:
        least = min(float(digits.min()) for digits in self.importance_bound)
        return f"NonlinearCertificate({len(self.importance_bound)} layers, {least:.1f} digits at least)"


def certify_nonlinear(scores: Scores, mlp: MLP, x: Samples, metric: Metric = "output") -> NonlinearCertificate:
    """The correct digits of true changes, and of their being the minimum over all δ (EC-7.16, EC-7.17).

    Nothing is taken from the search but what it has found: its value is compared with the true change at its δ, which
    is computed in a wider format with a bound of every rounding error; and boxes that cover all δ are halved until
    in none of them the change can be lower, but for 1e-10 of it.  So there are 10 digits, where the minimum has been
    found; fewer, where rounding or the number of boxes is what keeps the floor down, or where a lower change is
    elsewhere.  Of a neuron that is a sine one period is all; where one lies behind a neuron without bounds, no bracket
    holds all, and `reach` says how far the floor was shown.

    Time O(N · parameters) for each box, some hundred of each weight: for small networks.

    Parameters
    ----------
    scores : Scores
        What `nonlinear` returned; or importances and shifts of anybody.
    mlp : MLP
        The network.
    x : array (N, n_0), ec.Batch, or an iterator of them
        The samples; in a batch with their weights, and with targets where the metric is a loss.
    metric : str or callable, default "output"
        "output", "softmax", "fisher", "mse", "cross_entropy", or a callable, as for `collect_moments`.

    Returns
    -------
    NonlinearCertificate
        The digits, and the floor that they are from.

    Raises
    ------
    TypeError, ValueError
        For a wrong argument, and for an overflow.
    BatchError
        For a batch that is wrong or does not come.

    Examples
    --------
    What first order suggests changes the output of a tanh by 0.716; no shift by less than 0.607:

    >>> mlp, x = ec.MLP([[[2]], [[1]]], [[1], [0]], "tanh"), [[-1.0], [0.0], [1.0]]
    >>> first = ec.Scores([[[0.7162]], [[0.0]]], ec.elimination_compensation(mlp, x).bias_shift)
    >>> found = ec.oracle.certify_nonlinear(first, mlp, x)
    >>> found.change_bound[0].round(1), found.floor[0].round(4), found.importance_bound[0].round(1)
    (array([[4.6]]), array([[0.6067]]), array([[0.7]]))
    """
    _checks.instance("scores", scores, Scores)
    _checks.instance("mlp", mlp, MLP)
    importance = _checks.per_layer("scores.importance", scores.importance, mlp.shapes)
    shifts = _checks.per_layer("scores.bias_shift", scores.bias_shift, mlp.shapes)
    batch = gathered(x, mlp.sizes[0], mlp.dtype, metric_targets(mlp, metric))
    fields: list[list[list[Array]]] = [[[] for _ in mlp.weights] for _ in range(4)]
    with _checks.overflow_raised_later():
        p, raised = widely_passed(mlp, batch, metric)
        for l, (value, shift) in enumerate(zip(importance, shifts)):
            for i in range(len(value)):
                wide, narrow = (Removals.of(p, raised, l, i, dtype) for dtype in (raised.dtype, np.float64))
                for field, part in zip(fields, _row(wide, narrow, value[i], shift[i])):
                    field[l].append(part)
    return NonlinearCertificate(*(tuple(np.array(rows, np.float64) for rows in field) for field in fields))


def _row(wide: Removals, narrow: Removals, value: Array, shift: Array) -> tuple[Array, Array, Array, Array]:
    """The fields of one neuron's weights."""
    there = wide.near(wide.moved(np.arange(len(shift)), shift), np.zeros_like(shift))
    change = (there[0].squared().sum(axis=0) * wide.p).sum(axis=1)
    least, most, reach = floor(narrow, shift.astype(np.float64))
    most = np.minimum(most, change.value + SLACK * change.error)
    least = np.minimum(least, most)
    error = np.maximum(np.maximum(value - least, most - value), 0)
    return bounded_digits(value, change), digits_of(error, np.asarray(least)), least, reach
