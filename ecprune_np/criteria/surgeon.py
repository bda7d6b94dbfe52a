"""Optimal Brain Surgeon with the Gauss-Newton Hessian of the output, whole and row by row (EC-6.1, EC-6.3)."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import cache, partial
from typing import Any

import numpy as np

from .. import _checks
from .._types import Array, Mask, Metric
from ..batch import Samples, numbered
from ..mlp import MLP
from ..pruning.pruned import Pruned
from ..scores import DEAD, UNDERFLOW, Scores, warn_where_all_are_0
from ..streaming.batches import Checked
from ..streaming.blocks import mean_of
from ..streaming.rows import (
    Rows,
    batches_with_rows,
    least_squares,
    rows_of,
    streamed_qr,
    summed_rows_of,
    weighted_rows,
)
from ._distances import squared_distances


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

    For small networks: memory O(P²) beside the samples, time O(N R P² + P³) for P parameters; in float64 whatever the
    dtype, and once more in longdouble, some fifty times slower, where columns of G are nearly dependent.

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
    samples = _samples(mlp, x, metric, batch_size)

    def gradients(dtype: Any) -> Iterator[Array]:
        return _gradient_rows(_centred(rows_of(mlp.astype(dtype), samples, metric)))

    squares = squared_distances(gradients) / _total_weight(samples)
    parts = np.split(squares, _ends(mlp))[::2]
    shaped = [part.reshape(w.shape) for part, w in zip(parts, mlp.weights)]
    scores = _scores(mlp, shaped)
    rows = partial(rows_of, mlp.astype(np.float64), samples, metric)
    warn_where_all_are_0(mlp, scores.importance, partial(_why_all_are_0, mlp, shaped, rows))
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
    Memory O(n_in²) beside the samples, time O(N R n_out n_in²); in float64 whatever the dtype, and once more in
    longdouble where inputs are nearly dependent.

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
    samples = _samples(mlp, x, metric, batch_size)

    @cache  # of all neurons
    def rows(dtype: Any) -> list[Rows]:
        return list(_centred(summed_rows_of(mlp.astype(dtype), samples, metric)))

    def of_neuron(l: int, i: int, dtype: Any) -> Iterator[Array]:
        return _row_rows(rows(dtype), l, i)

    squares = [np.zeros(w.shape, np.longdouble) for w in mlp.weights]
    for l, w in enumerate(mlp.weights):
        for i in range(len(w)):
            squares[l][i] = squared_distances(partial(of_neuron, l, i))[:-1] / _total_weight(samples)
    scores = _scores(mlp, squares)
    all_rows = partial(rows_of, mlp.astype(np.float64), samples, metric)
    warn_where_all_are_0(mlp, scores.importance, partial(_why_all_are_0, mlp, squares, all_rows))
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
    factor = streamed_qr(_gradient_rows(weighted_rows(mlp, x, metric, batch_size)))
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
    batches = batches_with_rows(mlp, x, metric, batch_size)
    rows = list(summed_rows_of(mlp.astype(np.float64), batches, metric))
    weights, biases = [w.copy() for w in mlp.weights], [b.copy() for b in mlp.biases]
    for l, mask in enumerate(masks):
        for i in np.flatnonzero(~mask.all(axis=1)).tolist():
            theta = np.append(weights[l][i], biases[l][i]).astype(np.float64)
            updated = _updated(streamed_qr(_row_rows(rows, l, i)), theta, np.append(mask[i], True))
            weights[l][i], biases[l][i] = updated[:-1], updated[-1]
    return Pruned(mlp.replace(weights, biases), masks)


def _samples(mlp: MLP, x: Samples, metric: Metric, batch_size: int | None) -> list[Checked]:
    """All batches, which may have to be read twice; copies, for a stream may reuse its memory."""
    return [copy.deepcopy(batch) for batch in numbered(batches_with_rows(mlp, x, metric, batch_size))]


def _total_weight(samples: list[Checked]) -> float:
    return sum(float(batch.weight.sum(dtype=np.float64)) for batch in samples)


def _centred(rows: Iterable[Rows]) -> Iterator[Rows]:
    """The same, with what each layer receives less its mean over the first batch.

    Beside its bias a weight is as far from what the other parameters do: J_i (a_j − r) for J_i a_j has changed by
    a multiple of J_i.
    """
    references: list[Array] = []
    for trace, derivatives, weight in rows:
        references = references or [mean_of(a) for a in trace.inputs]
        inputs = tuple(a - reference for a, reference in zip(trace.inputs, references))
        yield Rows(replace(trace, inputs=inputs), derivatives, weight)


def _gradient_rows(rows: Iterable[Rows]) -> Iterator[Array]:
    """√weight_n c_rᵀ ∂f/∂θ, a row for each cotangent and sample, θ as (W^1, b^1, W^2, ...)."""
    for trace, derivatives, _ in rows:
        for r in range(len(derivatives[0])):
            blocks: list[Array] = []
            for g, a in zip(derivatives, trace.inputs):
                blocks += [np.einsum("ni,nj->nij", g[r], a).reshape(len(a), -1), g[r]]
            yield np.concatenate(blocks, axis=1)


def _row_rows(rows: Sequence[Rows], l: int, i: int) -> Iterator[Array]:
    """√(weight_n s_i) (a, 1) of one neuron: the squares of its rows sum to E[s_i ã ãᵀ]."""
    for trace, derivatives, _ in rows:
        a = trace.inputs[l]
        root = derivatives[l][0, :, i, np.newaxis]
        yield np.concatenate([root * a, root], axis=1)


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


def _why_all_are_0(mlp: MLP, squares: Sequence[Array], rows: Callable[[], Iterable[Rows]], l: int) -> str | None:
    """Why a layer's importances are 0, unless that is right: of weights that others can replace."""
    if not any(batch.derivatives[l].any() for batch in rows()):
        return DEAD
    return UNDERFLOW if ((mlp.weights[l] != 0) & (squares[l] > 0)).any() else None


def _interleaved(weights: Sequence[Array], biases: Sequence[Array]) -> Array:
    """(W^1, b^1, W^2, ...) as one vector."""
    return np.concatenate([a.ravel() for pair in zip(weights, biases) for a in pair])


def _ends(mlp: MLP) -> list[int]:
    """Where that vector is split into its parts."""
    sizes = [a.size for pair in zip(mlp.weights, mlp.biases) for a in pair]
    return [int(end) for end in np.cumsum(sizes)[:-1]]
