"""Importances, shifts and moments from the definition, without rounding: the court of last resort (EC-9.8)."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

from .. import _checks
from .._types import Array, Metric
from ..batch import Samples
from ..mlp import MLP
from ..scores import Scores
from ._exact_arithmetic import Arithmetic, decided, each
from ._exact_network import Pass, as_given, first_digits, passed


@dataclass(frozen=True, eq=False, repr=False)
class ExactScores(Scores):
    """Scores and moments as the definitions have them, each the nearest number of the network's dtype.

    Attributes
    ----------
    importance : tuple of L arrays (n_l, n_{l-1})
        I_ij = w_ij² v_ij.
    bias_shift : tuple of L arrays (n_l, n_{l-1})
        δ*_ij = w_ij μ_ij.
    uncompensated : tuple of L arrays (n_l, n_{l-1})
        R_ij = w_ij² E[s_i a_j²].
    sensitivity : tuple of L arrays (n_l,)
        S_i = E[s_i].
    mean : tuple of L arrays (n_l, n_{l-1})
        μ_ij = E[s_i a_j]/S_i, and 0 where S_i = 0.
    variance : tuple of L arrays (n_l, n_{l-1})
        v_ij = E[s_i (a_j − μ_ij)²].

    Examples
    --------
    >>> ec.oracle.exact(ec.MLP([[[2.0, 1.0]]], [[0.0]]), [[1.0, 5.0], [3.0, 5.0]])
    ExactScores(1 layers, 2 weights)
    """

    uncompensated: tuple[Array, ...]
    sensitivity: tuple[Array, ...]
    mean: tuple[Array, ...]
    variance: tuple[Array, ...]


def exact(mlp: MLP, x: Samples, metric: Metric = "output", *, digits: int = 50) -> ExactScores:
    """The definition in arithmetic without rounding; what is returned is rounded once (EC-9.8, EC-3.4, EC-3.5, EC-3.6).

    Parameters, samples, their weights and targets are the numbers that they are in the network's dtype; leaky_relu's
    slope is Python's 0.01 in every dtype; a callable metric is called with the outputs rounded to the dtype, and its
    cotangents count as exact.

    With identity, relu and leaky_relu, and a metric that is polynomial ("output", "mse", a callable), all is done in
    rationals.  All else is done in intervals of `digits` digits, then of twice as many, until both ends of each result
    round alike.  What is not told from 0 with eight times `digits` counts as 0: a sensitivity, a preactivation at a
    kink, an importance.  A sensitivity that is positive, but underflows in the dtype, still has its mean and shift.

    O(N · R · parameters) operations of a few microseconds each: for small networks and batches.

    Parameters
    ----------
    mlp : MLP
        The network.
    x : array (N, n_0), ec.Batch, or an iterator of them
        The samples; in a batch with their weights, and with targets where the metric is a loss.
    metric : str or callable, default "output"
        "output", "softmax", "fisher", "mse", "cross_entropy", or a callable, as for `collect_moments`.
    digits : int, default 50
        How many decimal digits intervals begin with.

    Returns
    -------
    ExactScores
        Importances and shifts, R and the moments.

    Raises
    ------
    TypeError, ValueError
        For a wrong argument, and for an overflow of the dtype.
    BatchError
        For a batch that is wrong or does not come.
    ImportError
        Where intervals are needed, and mpmath (the extra `exact`) is not there.

    Examples
    --------
    >>> mlp = ec.MLP([[[2.0, 1.0]]], [[0.0]])
    >>> scores = ec.oracle.exact(mlp, [[1.0, 5.0], [3.0, 5.0]])
    >>> scores.importance[0], scores.bias_shift[0], scores.uncompensated[0]
    (array([[4., 0.]]), array([[4., 5.]]), array([[20., 25.]]))
    """
    given = as_given(mlp, x, metric)

    def rounded(R: Arithmetic) -> list[list[Array]]:
        p = passed(R, given)
        return [[R.rounded(values, mlp.dtype) for values in layer_values(R, p, l)] for l in range(mlp.n_layers)]

    layers = tuple(zip(*decided(rounded, first_digits(mlp, metric, digits))))
    for field, values in zip(fields(ExactScores), layers):
        _checks.no_overflow(field.name, values)
    return ExactScores(*layers)


def layer_values(R: Arithmetic, p: Pass, l: int) -> tuple[Array, ...]:
    """I, δ*, R, S, μ and v of a layer, as they read (EC-3.4, EC-3.5, EC-3.6, EC-3.2)."""
    w, a, s = p.weights[l], p.inputs[l], p.sensitivity(l)  # s_i holds the samples' weights
    S = s.sum(axis=0)
    mu = np.full(w.shape, R.number(0))
    alive = each(R.is_positive, S).astype(bool)
    mu[alive] = (s.T @ a)[alive] / S[alive, np.newaxis]
    v = (s[:, :, np.newaxis] * (a[:, np.newaxis] - mu) ** 2).sum(axis=0)
    return w**2 * v, w * mu, w**2 * (s.T @ a**2), S, mu, v
