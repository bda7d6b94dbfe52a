"""The bias shifts that are optimal together, to first order: one least-squares problem in all biases (EC-5.4)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import get_args

import numpy as np

from .. import _checks
from .._types import Array, FreeBiases, Mask, Metric
from ..batch import Samples
from ..mlp import MLP
from ..streaming.rows import least_squares, streamed_qr, weighted_rows


def joint_shifts(
    mlp: MLP,
    x: Samples,
    masks: Sequence[Mask],
    metric: Metric = "output",
    *,
    biases: FreeBiases = "all",
    batch_size: int | None = None,
) -> tuple[Array, ...]:
    """d = argmin E‖Σ_i J_i (d_i − Σ_{j removed} w_ij a_j)‖²_M over all biases (EC-5.4).

    The shortest such d, where there are several.  The rows of the problem are reduced by QR, batch by batch, never
    squared: memory O(B² + batch · B) for B biases, time O(N R B²).  Directions below rounding (of the largest singular
    value) count as singular and get no shift.  float32 is computed in float64, and so is longdouble, for which there
    is no QR.

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
    biases : {"all", "touched"}, default "all"
        Which move: all, or those of neurons that lose a weight; where that is one neuron alone, its shift is
        Σ_j δ*_ij (EC-5.1).
    batch_size : int, optional
        Samples at a time; the result depends on it by rounding only.

    Returns
    -------
    tuple of L arrays (n_l,)
        d_i, in the network's dtype.

    Raises
    ------
    TypeError, ValueError
        For a wrong argument, and for an overflow.
    BatchError
        For a batch that is wrong or does not come.

    Examples
    --------
    >>> mlp = ec.MLP([[[2.0, 1.0]]], [[0.0]])
    >>> (d,) = ec.joint_shifts(mlp, [[1.0, 5.0], [3.0, 5.0]], [np.array([[True, False]])])
    >>> d.round(3)
    array([5.])
    """
    _checks.instance("mlp", mlp, MLP)
    masks = _checks.boolean_masks(masks, mlp.shapes)
    _checks.one_of("biases", biases, get_args(FreeBiases))
    rows = weighted_rows(mlp, x, metric, batch_size)
    lost = [np.where(mask, 0, w).astype(np.float64) for w, mask in zip(mlp.weights, masks)]
    free = np.concatenate([np.ones(len(m), bool) if biases == "all" else ~m.all(axis=1) for m in masks])

    def problems() -> Iterator[Array]:
        for trace, derivatives, _ in rows:
            terms = zip(derivatives, lost, trace.inputs)
            change = sum((np.einsum("rni,ni->rn", g, a @ w.T) for g, w, a in terms), np.zeros(1))
            columns = np.concatenate([g.reshape(-1, g.shape[-1]) for g in derivatives], axis=1)
            yield np.column_stack([columns[:, free], change.ravel()])

    factor = streamed_qr(problems())
    d = np.zeros(len(free))
    d[free] = least_squares(factor[:, :-1], factor[:, -1])
    ends = np.cumsum(mlp.sizes[1:])
    return tuple(shift.astype(mlp.dtype) for shift in np.split(d, ends[:-1]))
