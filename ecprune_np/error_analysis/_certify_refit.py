"""How much of the gradient a search for the best biases has left (EC-7.15)."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from .. import _checks
from .._frozen import Frozen
from .._types import Array, Metric
from ..batch import Samples, gathered
from ..metrics import metric_targets
from ..mlp import MLP
from ..pruning.pruned import Pruned, same_architecture
from ._balls import Ball, joined
from ._bounded import bounded_forward, bounded_pullback
from ._certify import SLACK, widely_passed


@dataclass(frozen=True, eq=False, repr=False)
class RefitCertificate(Frozen):
    """The gradient of E‖f_P − f‖²_M in the biases of a pruned network, 0 at a minimum: the largest that it may be.

    Attributes
    ----------
    gradient : tuple of L arrays (n_l,)
        ∣∂/∂b_i E‖f_P − f‖²_M∣ at most.
    cosine : tuple of L arrays (n_l,)
        The same over 2 √(E‖f_P − f‖²_M E‖∂f_P/∂b_i‖²_M), from 0 to 1: free of units.
    change : float
        E‖f_P − f‖²_M itself.

    Examples
    --------
    >>> mlp, x = ec.MLP([[[2.0, 1.0]]], [[0.0]]), [[1.0, 5.0], [3.0, 5.0]]
    >>> bare = ec.Pruned(ec.MLP([[[0.0, 1.0]]], [[0.0]]), [np.array([[False, True]])])
    >>> ec.oracle.certify_refit(bare, mlp, x)
    RefitCertificate(1 layers, cosine 9e-01 at most)
    """

    gradient: tuple[Array, ...]
    cosine: tuple[Array, ...]
    change: float

    def __repr__(self) -> str:
        largest = max(float(cosine.max()) for cosine in self.cosine)
        return f"RefitCertificate({len(self.gradient)} layers, cosine {largest:.0e} at most)"


def certify_refit(pruned: Pruned, mlp: MLP, x: Samples, metric: Metric = "output") -> RefitCertificate:
    """How far the biases of a pruned network are from where the true change is stationary (EC-7.15).

    2 E[Σ_r c_rᵀ(f_P − f) c_rᵀ ∂f_P/∂b_i], computed in a wider format with a bound of every rounding error.  A search
    finds a local minimum, which no gradient tells from the global one.  A sample at a kink has a slope on either side,
    which both count.

    Parameters
    ----------
    pruned : Pruned
        The pruned network with refitted biases, by "refit" or `refit_biases`.
    mlp : MLP
        The dense network that it aims at.
    x : array (N, n_0), ec.Batch, or an iterator of them
        The samples; in a batch with their weights, and with targets where the metric is a loss.
    metric : str or callable, default "output"
        "output", "softmax", "fisher", "mse", "cross_entropy", or a callable, as for `collect_moments`.

    Returns
    -------
    RefitCertificate
        The gradient, and the change that it is of.

    Raises
    ------
    TypeError, ValueError
        For a wrong argument, networks that differ in shape or activation, and for an overflow.
    BatchError
        For a batch that is wrong or does not come.

    Examples
    --------
    >>> mlp, x = ec.MLP([[[2.0, 1.0]]], [[0.0]]), [[1.0, 5.0], [3.0, 5.0]]
    >>> bare = ec.Pruned(ec.MLP([[[0.0, 1.0]]], [[0.0]]), [np.array([[False, True]])])
    >>> ec.oracle.certify_refit(bare, mlp, x).gradient[0].round(3)
    array([8.])
    >>> best = ec.oracle.refit_biases(bare, mlp, x)
    >>> bool(ec.oracle.certify_refit(best, mlp, x).gradient[0] < 1e-12)
    True
    """
    _checks.instance("pruned", pruned, Pruned)
    _checks.instance("mlp", mlp, MLP)
    same_architecture("pruned", pruned.mlp, mlp)
    batch = gathered(x, mlp.sizes[0], mlp.dtype, metric_targets(mlp, metric))
    with _checks.overflow_raised_later():
        p, _ = widely_passed(mlp, batch, metric)
        claim = pruned.mlp.astype(p.probability.value.dtype)
        a, z, _ = bounded_forward(claim, p.inputs[0].value)
        change = (p.cotangents * (a[-1] - p.outputs)).sum(axis=2)
        g = joined(bounded_pullback(claim, z, p.cotangents), axis=2)
        value = _mean(change.squared().sum(axis=0), p.probability)
        gradient = 2 * _mean((change[..., np.newaxis] * g).sum(axis=0), p.probability).size()
        length = _mean(g.squared().sum(axis=0), p.probability)
        largest = 2 * np.sqrt(value.least() * length.least())
        cosine = np.divide(SLACK * gradient, largest, out=np.ones_like(gradient), where=largest > 0)
    cosine = np.where(gradient == 0, 0, np.minimum(cosine, 1))
    parts = [slice(*ends) for ends in pairwise([0, *np.cumsum(mlp.sizes[1:])])]
    return RefitCertificate(
        tuple((SLACK * gradient[part]).astype(np.float64) for part in parts),
        tuple(cosine[part].astype(np.float64) for part in parts),
        float(value.value),
    )


def _mean(a: Ball, probability: Ball) -> Ball:
    """E, over the first axis."""
    return (a.T * probability).T.sum(axis=0)
