"""Rival criteria, the gradient of a loss, and masks, without rounding (EC-9.8)."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Literal, get_args

import numpy as np

from .. import _checks
from .._types import Array, LossName, Masks, Metric, Scope
from ..batch import Samples
from ..mlp import MLP
from ..scores import Scores
from ._common import LOSSES
from ._exact_arithmetic import Arithmetic, decided, each
from ._exact_distances import squared_distances
from ._exact_network import Pass, as_given, classes, first_digits, logits, passed

CriterionName = Literal["wanda", "gradient_magnitude", "obc", "obs"]


def exact_criterion(
    name: CriterionName, mlp: MLP, x: Samples, metric: Metric | None = None, *, digits: int = 50
) -> Scores:
    """A rival criterion without rounding, as `exact` has EC's (EC-9.8, EC-6.1, EC-6.3, EC-6.8, EC-6.7).

    "obc" and "obs" are 0 where other columns of the least-squares problem can replace a weight's.  Where all is
    rational, elimination over the integers decides that; elsewhere a pivot that is not told from 0 with eight times
    `digits` counts as 0.  R, the criterion "obd", is in the scores of `exact`.

    Parameters
    ----------
    name : {"wanda", "gradient_magnitude", "obc", "obs"}
        The criterion, as in `criteria`.
    mlp : MLP
        The network.
    x : array (N, n_0), ec.Batch, or an iterator of them
        The samples; in a batch with their weights, and with targets where the metric is a loss.
    metric : str or callable, optional
        For "obc" and "obs" as for `exact`, by default "output"; for "gradient_magnitude" the loss, by default "mse".
    digits : int, default 50
        How many decimal digits intervals begin with.

    Returns
    -------
    Scores
        Without shifts.

    Raises
    ------
    TypeError, ValueError
        For a wrong argument or one without effect, and for an overflow of the dtype.
    BatchError
        For a batch that is wrong or does not come.
    ImportError
        Where intervals are needed, and mpmath (the extra `exact`) is not there.

    Examples
    --------
    The second input is twice the first, so that either weight can replace the other:

    >>> mlp = ec.MLP([[[2.0, 1.0]]], [[0.0]])
    >>> x = [[1.0, 2.0], [3.0, 6.0], [5.0, 10.0]]
    >>> ec.oracle.exact_criterion("obs", mlp, x).importance[0]
    array([[0., 0.]])
    >>> ec.oracle.exact_criterion("wanda", mlp, x).importance[0]
    array([[6.83130051, 6.83130051]])
    """
    _checks.one_of("name", name, CRITERIA)
    if name == "wanda":
        _checks.without_effect(metric=(metric, 'on criterion "wanda"'))
    if name == "gradient_magnitude":
        metric = _loss("mse" if metric is None else metric)
    metric = "output" if metric is None else metric
    given = as_given(mlp, x, metric)

    def rounded(R: Arithmetic) -> list[Array]:
        return [R.rounded(values, mlp.dtype) for values in CRITERIA[name](R, passed(R, given))]

    importance = decided(rounded, first_digits(mlp, metric, digits))
    _checks.no_overflow("importance", importance)
    return Scores(importance)


def exact_gradient(
    mlp: MLP, x: Samples, metric: LossName = "mse", *, digits: int = 50
) -> tuple[Any, tuple[Array, ...], tuple[Array, ...]]:
    """E[ℓ] and its derivatives, computed without rounding and rounded once (EC-9.8, EC-2.4, EC-2.5, EC-2.6).

    Parameters
    ----------
    mlp : MLP
        The network.
    x : ec.Batch, or an iterator of them
        The samples with their targets, and with their weights, which the mean counts.
    metric : {"mse", "cross_entropy"}, default "mse"
        The loss.
    digits : int, default 50
        How many decimal digits intervals begin with.

    Returns
    -------
    scalar
        E[ℓ], a number of the network's dtype.
    tuple of L arrays (n_l, n_{l-1})
        ∂E[ℓ]/∂W^l.
    tuple of L arrays (n_l,)
        ∂E[ℓ]/∂b^l.

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
    >>> mlp = ec.MLP([[[2.0]]], [[0.0]])
    >>> value, weights, biases = ec.oracle.exact_gradient(mlp, ec.Batch([[1.0], [2.0]], y=[[3.0], [3.0]]))
    >>> float(value), weights[0], biases[0]
    (1.0, array([[1.]]), array([0.]))
    """
    given = as_given(mlp, x, _loss(metric))

    def rounded(R: Arithmetic) -> tuple[Array, list[Array], list[Array]]:
        p = passed(R, given)
        value = np.array([p.probability @ LOSS_VALUES[metric](R, p)])
        weights, biases = gradient(p)
        round_all = partial(map, partial(R.rounded, dtype=mlp.dtype))
        return R.rounded(value, mlp.dtype), list(round_all(weights)), list(round_all(biases))

    value, weights, biases = decided(rounded, first_digits(mlp, metric, digits))
    _checks.no_overflow("loss_gradient", [value, *weights, *biases])
    return value[0], tuple(weights), tuple(biases)


def exact_masks(scores: Scores, sparsity: float, scope: Scope = "global") -> Masks:
    """Which weights are kept: all but the round(s · n) of lowest importance, ties by (layer, row, column) (EC-5.1).

    Importances are compared as the numbers that they are.

    Parameters
    ----------
    scores : Scores
        Of any criterion.
    sparsity : float
        From 0 to 1: the fraction of the weights that go.
    scope : {"global", "layer"}, default "global"
        Whether all weights are compared, or those of each layer.

    Returns
    -------
    tuple of L bool arrays (n_l, n_{l-1})
        True = kept.

    Raises
    ------
    TypeError, ValueError
        For a wrong argument.

    Examples
    --------
    >>> ec.oracle.exact_masks(ec.Scores([[[2.0, 1.0, 1.0]]]), 0.3)
    (array([[ True, False,  True]]),)
    """
    _checks.instance("scores", scores, Scores)
    _checks.number("sparsity", sparsity, 0, 1)
    _checks.one_of("scope", scope, get_args(Scope))
    masks = tuple(np.ones(values.shape, bool) for values in scores.importance)
    places = [(l, *place) for l, mask in enumerate(masks) for place in np.ndindex(mask.shape)]
    groups = [places] if scope == "global" else [[p for p in places if p[0] == l] for l in range(len(masks))]
    for group in groups:
        group.sort(key=lambda place: (scores.importance[place[0]][place[1:]], place))
        for l, *place in group[: round(sparsity * len(group))]:
            masks[l][tuple(place)] = False
    return masks


def wanda(R: Any, p: Pass) -> list[Array]:
    """|w_ij| √E[a_j²] (EC-6.7)."""
    return [each(R.root, w**2 * (p.probability @ a**2)) for w, a in zip(p.weights, p.inputs)]


def gradient_magnitude(R: Any, p: Pass) -> list[Array]:
    """|w_ij ∂E[ℓ]/∂w_ij| (EC-6.8)."""
    return [abs(w * derivative) for w, derivative in zip(p.weights, gradient(p)[0])]


def obc(R: Any, p: Pass) -> list[Array]:
    """w_ij² times the squared distance of a_j from the span of the other inputs and 1, weighted by s_i (EC-6.3)."""
    importance = []
    for l, (w, a) in enumerate(zip(p.weights, p.inputs)):
        columns = np.concatenate([a, R.numbers(np.ones((len(a), 1)))], axis=1)
        squares = [squared_distances(R, columns, s)[:-1] for s in p.sensitivity(l).T]
        importance.append(w**2 * np.array(squares, object))
    return importance


def obs(R: Any, p: Pass) -> list[Array]:
    """w_q² times the squared distance of c_rᵀ ∂f/∂w_q from the span of all other derivatives (EC-6.1)."""
    blocks: list[Array] = []
    for g, a in zip(p.derivatives, p.inputs):
        of_weights = g[:, :, :, np.newaxis] * a[:, np.newaxis, np.newaxis]
        blocks += [of_weights.reshape(g.shape[0] * g.shape[1], -1), g.reshape(-1, g.shape[2])]
    factors = p.probability[:, np.newaxis] * p.factors
    squares = squared_distances(R, np.concatenate(blocks, axis=1), factors.ravel())
    ends = np.cumsum([block.shape[1] for block in blocks])
    parts = np.split(squares, ends)[::2]
    return [w**2 * part.reshape(w.shape) for w, part in zip(p.weights, parts)]


CRITERIA: dict[CriterionName, Callable[[Any, Pass], list[Array]]] = {
    "wanda": wanda,
    "gradient_magnitude": gradient_magnitude,
    "obc": obc,
    "obs": obs,
}


def gradient(p: Pass) -> tuple[list[Array], list[Array]]:
    """E[g_i a_j] and E[g_i] of the loss that the metric is (EC-2.6)."""
    weighted = [p.probability[:, np.newaxis] * g[:, 0] for g in p.derivatives]
    return [g.T @ a for g, a in zip(weighted, p.inputs)], [g.sum(axis=0) for g in weighted]


def mse(R: Any, p: Pass) -> Array:
    """(1/K) Σ_k (f_k − y_k)² (EC-2.4)."""
    value: Array = ((p.outputs - p.y) ** 2).sum(axis=1) / R.number(p.outputs.shape[1])
    return value


def cross_entropy(R: Any, p: Pass) -> Array:
    """Σ_k y_k (log Σ_m e^{f_m} − f_k) (EC-2.5)."""
    f = logits(p.outputs)
    log_sum = each(R.log, each(R.exp, f).sum(axis=1, keepdims=True))
    value: Array = (classes(p.y) * (log_sum - f)).sum(axis=1)
    return value


LOSS_VALUES: dict[LossName, Callable[[Any, Pass], Array]] = {"mse": mse, "cross_entropy": cross_entropy}


def _loss(metric: Any) -> LossName:
    return _checks.one_of("metric", metric, LOSSES)
