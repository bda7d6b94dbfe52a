"""Optimal Brain Surgeon with the Gauss-Newton Hessian of the output, whole and row by row (EC-6.1, EC-6.3)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import partial

import numpy as np

from .. import _checks
from .._types import Array, Mask, Metric
from ..batch import Samples
from ..mlp import MLP
from ..pruning.pruned import Pruned
from ..scores import DEAD, UNDERFLOW, Scores, warn_where_all_are_0
from ..streaming.rows import Rows, least_squares, streamed_qr, weighted_rows

NULL_COMPONENT = 1e-8  # of a unit vector in a null space: smaller ones are rounding


def obs(
    mlp: MLP,
    x: Samples,
    metric: Metric = "output",
    *,
    batch_size: int | None = None,
) -> Scores:
    """w_q² / [H⁻¹]_qq with H = E[Gᵀ M G] over all weights and biases, G = ∂f/∂θ (EC-6.1; Hassibi and Stork, 1993).

    The first-order change of the output after the best change of *all* other parameters, on the scale of EC's
    importances: without the surgeon's factor 1/2.  Where H is singular it is the minimum nevertheless, 0 for
    a weight that others can replace.

    For small networks: memory O(P²) and time O(N R P² + P³) for P parameters, in float64 whatever the dtype.

    Parameters
    ----------
    mlp : MLP
        The network.
    x : array (N, n_0), ec.Batch, or an iterator of them
        The samples; in a batch with their weights, and with targets where the metric is a loss.
    metric : str or callable, default "output"
        "output", "softmax", "fisher", "mse", "cross_entropy", or a callable, as for `collect_moments`.
    batch_size : int, optional
        Samples at a time; the result depends on it by rounding only.

    Returns
    -------
    Scores
        Without shifts: the compensation moves weights too, see `obs_update`.

    Raises
    ------
    TypeError, ValueError
        For a wrong argument, and for an overflow.
    BatchError
        For a batch that is wrong or does not come.

    Examples
    --------
    The second input is twice the first, so that either weight can replace the other:

    >>> mlp = ec.MLP([[[2.0, 1.0]]], [[0.0]])
    >>> ec.criteria.obs(mlp, [[1.0, 2.0], [3.0, 6.0], [5.0, 10.0]]).importance[0]
    array([[0., 0.]])
    """
    weights: list[float] = []
    factor = streamed_qr(_gradient_rows(weighted_rows(mlp, x, metric, batch_size), weights))
    squares = np.split(_squared_distances(factor) / sum(weights), _ends(mlp))[::2]
    shaped = [square.reshape(w.shape) for square, w in zip(squares, mlp.weights)]
    scores = _scores(mlp, shaped)
    heard = [bool(column.any()) for column in np.split(factor.T, _ends(mlp))[1::2]]  # of the biases
    warn_where_all_are_0(mlp, scores.importance, partial(_why_all_are_0, mlp, shaped, heard))
    return scores


def obc(
    mlp: MLP,
    x: Samples,
    metric: Metric = "output",
    *,
    batch_size: int | None = None,
) -> Scores:
    """w_ij² / [H_i⁻¹]_jj with H_i = E[s_i ã ãᵀ], ã = (a, 1): a row and its bias compensate (EC-6.3).

    `obs` with the Hessian's blocks of one neuron each; Frantar and Alistarh (2022) take s_i = 1 and no bias.
    Memory O(n_in²), time O(N R n_out n_in²), in float64 whatever the dtype.

    Parameters
    ----------
    mlp : MLP
        The network.
    x : array (N, n_0), ec.Batch, or an iterator of them
        The samples; in a batch with their weights, and with targets where the metric is a loss.
    metric : str or callable, default "output"
        "output", "softmax", "fisher", "mse", "cross_entropy", or a callable, as for `collect_moments`.
    batch_size : int, optional
        Samples at a time; the result depends on it by rounding only.

    Returns
    -------
    Scores
        Without shifts: the compensation moves weights too, see `obc_update`.

    Raises
    ------
    TypeError, ValueError
        For a wrong argument, and for an overflow.
    BatchError
        For a batch that is wrong or does not come.

    Examples
    --------
    The third input is constant, so that the bias can replace its weight:

    >>> mlp = ec.MLP([[[2.0, 1.0, 3.0]]], [[0.0]])
    >>> ec.criteria.obc(mlp, [[1.0, 0.0, 5.0], [1.0, 2.0, 5.0], [3.0, 1.0, 5.0]]).importance[0].round(3)
    array([[3.556, 0.667, 0.   ]])
    """
    rows = list(weighted_rows(mlp, x, metric, batch_size))
    total = sum(batch.weight.sum() for batch in rows)
    squares = [np.zeros(w.shape) for w in mlp.weights]
    for l, w in enumerate(mlp.weights):
        for i in range(len(w)):
            squares[l][i] = _squared_distances(streamed_qr(_row_rows(rows, l, i)))[:-1] / total
    scores = _scores(mlp, squares)
    heard = [any(batch.derivatives[l].any() for batch in rows) for l in range(mlp.n_layers)]
    warn_where_all_are_0(mlp, scores.importance, partial(_why_all_are_0, mlp, squares, heard))
    return scores


def obs_update(
    mlp: MLP,
    x: Samples,
    masks: Sequence[Mask],
    metric: Metric = "output",
    *,
    batch_size: int | None = None,
) -> Pruned:
    """The network without the weights that `masks` remove, all other parameters updated for it (EC-6.1).

    θ + argmin E‖G Δθ‖²_M subject to Δw_q = −w_q for the removed, the shortest such Δθ.
    Memory O(P²) for P parameters, in float64 whatever the dtype.

    Parameters
    ----------
    mlp : MLP
        The network.
    x : array (N, n_0), ec.Batch, or an iterator of them
        The samples; in a batch with their weights, and with targets where the metric is a loss.
    masks : sequence of L bool arrays (n_l, n_{l-1})
        True = kept.
    metric : str or callable, default "output"
        "output", "softmax", "fisher", "mse", "cross_entropy", or a callable, as for `collect_moments`.
    batch_size : int, optional
        Samples at a time; the result depends on it by rounding only.

    Returns
    -------
    Pruned
        The updated network, and the masks.

    Raises
    ------
    TypeError, ValueError
        For a wrong argument, and for an overflow.
    BatchError
        For a batch that is wrong or does not come.

    Examples
    --------
    The second input is twice the first, whose weight takes over:

    >>> mlp = ec.MLP([[[2.0, 1.0]]], [[0.0]])
    >>> x = [[1.0, 2.0], [3.0, 6.0], [5.0, 10.0]]
    >>> ec.obs_update(mlp, x, [np.array([[True, False]])]).mlp.weights[0].round(3)
    array([[4., 0.]])
    """
    _checks.instance("mlp", mlp, MLP)
    masks = _checks.boolean_masks(masks, mlp.shapes)
    factor = streamed_qr(_gradient_rows(weighted_rows(mlp, x, metric, batch_size), []))
    kept = _interleaved(masks, [np.ones(b.shape, bool) for b in mlp.biases])
    theta = _interleaved(mlp.weights, mlp.biases).astype(np.float64)
    updated = _updated(factor, theta, kept)
    parts = np.split(updated, _ends(mlp))
    weights = [part.reshape(w.shape).astype(mlp.dtype) for part, w in zip(parts[::2], mlp.weights)]
    return Pruned(mlp.replace(weights, [part.astype(mlp.dtype) for part in parts[1::2]]), masks)


def obc_update(
    mlp: MLP,
    x: Samples,
    masks: Sequence[Mask],
    metric: Metric = "output",
    *,
    batch_size: int | None = None,
) -> Pruned:
    """`obs_update` within each row: what a neuron loses, its own other weights and its bias make up for (EC-6.3).

    Memory O(n_in²) beside the samples, in float64 whatever the dtype.

    Parameters
    ----------
    mlp : MLP
        The network.
    x : array (N, n_0), ec.Batch, or an iterator of them
        The samples; in a batch with their weights, and with targets where the metric is a loss.
    masks : sequence of L bool arrays (n_l, n_{l-1})
        True = kept.
    metric : str or callable, default "output"
        "output", "softmax", "fisher", "mse", "cross_entropy", or a callable, as for `collect_moments`.
    batch_size : int, optional
        Samples at a time; the result depends on it by rounding only.

    Returns
    -------
    Pruned
        The updated network, and the masks.

    Raises
    ------
    TypeError, ValueError
        For a wrong argument, and for an overflow.
    BatchError
        For a batch that is wrong or does not come.

    Examples
    --------
    The second input is constant, and the bias takes over:

    >>> mlp = ec.MLP([[[2.0, 1.0]]], [[0.0]])
    >>> pruned = ec.obc_update(mlp, [[1.0, 5.0], [3.0, 5.0]], [np.array([[True, False]])])
    >>> pruned.mlp.weights[0].round(3), pruned.mlp.biases[0].round(3)
    (array([[2., 0.]]), array([5.]))
    """
    _checks.instance("mlp", mlp, MLP)
    masks = _checks.boolean_masks(masks, mlp.shapes)
    rows = list(weighted_rows(mlp, x, metric, batch_size))
    weights, biases = [w.copy() for w in mlp.weights], [b.copy() for b in mlp.biases]
    for l, mask in enumerate(masks):
        for i in np.flatnonzero(~mask.all(axis=1)).tolist():
            theta = np.append(weights[l][i], biases[l][i]).astype(np.float64)
            updated = _updated(streamed_qr(_row_rows(rows, l, i)), theta, np.append(mask[i], True))
            weights[l][i], biases[l][i] = updated[:-1], updated[-1]
    return Pruned(mlp.replace(weights, biases), masks)


def _gradient_rows(rows: Iterable[Rows], weights: list[float]) -> Iterator[Array]:
    """√weight_n c_rᵀ ∂f/∂θ, a row for each cotangent and sample, θ as (W^1, b^1, W^2, ...); the weights' sums."""
    for trace, derivatives, weight in rows:
        weights.append(float(weight.sum()))
        for r in range(len(derivatives[0])):
            blocks: list[Array] = []
            for g, a in zip(derivatives, trace.inputs):
                blocks += [np.einsum("ni,nj->nij", g[r], a).reshape(len(a), -1), g[r]]
            yield np.concatenate(blocks, axis=1)


def _row_rows(rows: Sequence[Rows], l: int, i: int) -> Iterator[Array]:
    """√(weight_n s_i) (a, 1) of one neuron: the squares of its rows sum to E[s_i ã ãᵀ]."""
    for trace, derivatives, _ in rows:
        a = trace.inputs[l]
        root = np.sqrt(np.sum(derivatives[l][..., i] ** 2, axis=0))[:, np.newaxis]
        yield np.concatenate([root * a, root], axis=1)


def _squared_distances(factor: Array) -> Array:
    """1/[H⁻¹]_qq, H = RᵀR: the squared distance of each column of R from the span of all others.

    With R = U S Vᵀ it is 1/Σ_k (V_qk/s_k)², and 0 where a null vector of R has a component q: the others can
    replace that column.  The columns are scaled to unit length first, so that units do not matter.
    """
    length = np.linalg.norm(factor, axis=0)
    unit = factor / np.where(length > 0, length, 1)
    _, s, Vt = np.linalg.svd(unit)
    s = np.append(s, np.zeros(len(Vt) - len(s)))
    alive = s > len(Vt) * np.finfo(np.float64).eps * s[0]
    in_null_space = np.linalg.norm(Vt[~alive], axis=0) > NULL_COMPONENT
    inverse = np.sum((Vt[alive] / s[alive, np.newaxis]) ** 2, axis=0)
    squares: Array = np.divide(length**2, inverse, out=np.zeros(len(length)), where=~in_null_space & (inverse > 0))
    return squares


def _updated(factor: Array, theta: Array, kept: Array) -> Array:
    """θ with zeros where not kept, and the rest moved by argmin ‖R Δθ‖."""
    updated = np.where(kept, theta, 0)
    updated[kept] += least_squares(factor[:, kept], factor[:, ~kept] @ theta[~kept])
    return updated


def _scores(mlp: MLP, squares: Sequence[Array]) -> Scores:
    with _checks.overflow_raised_later():
        importance = [w * (w * square.astype(mlp.dtype)) for w, square in zip(mlp.weights, squares)]
    _checks.no_overflow("importance", importance)
    return Scores(importance)


def _why_all_are_0(mlp: MLP, squares: Sequence[Array], heard: Sequence[bool], l: int) -> str | None:
    """Why a layer's importances are 0, unless that is right: of weights that others can replace."""
    if not heard[l]:
        return DEAD
    return UNDERFLOW if ((mlp.weights[l] != 0) & (squares[l] > 0)).any() else None


def _interleaved(weights: Sequence[Array], biases: Sequence[Array]) -> Array:
    """(W^1, b^1, W^2, ...) as one vector."""
    return np.concatenate([a.ravel() for pair in zip(weights, biases) for a in pair])


def _ends(mlp: MLP) -> list[int]:
    """Where that vector is split into its parts."""
    sizes = [a.size for pair in zip(mlp.weights, mlp.biases) for a in pair]
    return [int(end) for end in np.cumsum(sizes)[:-1]]
