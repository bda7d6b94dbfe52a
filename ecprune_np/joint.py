"""The bias shifts that are optimal together, to first order: one least-squares problem in all biases (EC-5.3)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from . import _checks
from .losses import targets
from .metrics import Metric, check_metric, cotangents
from .mlp import MLP, Trace, forward, pullback

Array = npt.NDArray[Any]

BATCH_BYTES = 2**26


def joint_shifts(
    mlp: MLP,
    x: npt.ArrayLike,
    masks: Sequence[npt.NDArray[np.bool_]],
    metric: Metric = "output",
    *,
    biases: str = "all",
    sample_weight: npt.ArrayLike | None = None,
    batch_size: int | None = None,
    y: npt.ArrayLike | None = None,
    loss: str = "mse",
) -> tuple[Array, ...]:
    """d = argmin E‖Σ_i J_i (d_i − Σ_{j removed} w_ij a_j)‖²_M over all biases, per layer (n_l,) (EC-5.3).

    The shortest such d, where there are several.
    `masks` are True where a weight is kept.  `biases="touched"` moves only the biases of neurons that lose a
    weight; where that is one neuron alone, its shift is Σ_j δ*_ij (EC-5.1).

    The rows of the problem are reduced by QR, batch by batch, never squared: memory O(B² + batch · B) for B
    biases, time O(N R B²).  Directions below rounding (of the largest singular value) count as singular and get
    no shift.  float32 is computed in float64, and so is longdouble, for which there is no QR.
    The other arguments and the errors are those of `collect_moments`.
    """
    _checks.instance("mlp", mlp, MLP)
    masks = _checks.boolean_masks(masks, mlp.shapes)
    _checks.one_of("biases", biases, ("all", "touched"))
    rows = weighted_rows(mlp, x, metric, sample_weight, batch_size, y, loss)
    lost = [np.where(mask, 0, w).astype(np.float64) for w, mask in zip(mlp.weights, masks)]
    free = np.concatenate([np.ones(len(m), bool) if biases == "all" else ~m.all(axis=1) for m in masks])

    def problems() -> Iterator[Array]:
        for trace, derivatives in rows:
            terms = zip(derivatives, lost, trace.inputs)
            change = sum((np.einsum("rni,ni->rn", g, a @ w.T) for g, w, a in terms), np.zeros(1))
            columns = np.concatenate([g.reshape(-1, g.shape[-1]) for g in derivatives], axis=1)
            yield np.column_stack([columns[:, free], change.ravel()])

    factor = streamed_qr(problems())
    d = np.zeros(len(free))
    d[free] = least_squares(factor[:, :-1], factor[:, -1])
    ends = np.cumsum(mlp.sizes[1:])
    return tuple(shift.astype(mlp.dtype) for shift in np.split(d, ends[:-1]))


def weighted_rows(
    mlp: MLP,
    x: npt.ArrayLike,
    metric: Metric,
    sample_weight: npt.ArrayLike | None,
    batch_size: int | None,
    y: npt.ArrayLike | None,
    loss: str,
) -> Iterator[tuple[Trace, list[Array]]]:
    """Batches of traces with √weight_n · c_rᵀ J, per layer (R, N, n_l), in float64; their squares sum to E[s_i]."""
    _checks.instance("mlp", mlp, MLP)
    x = _checks.samples("x", x, mlp.sizes[0], mlp.dtype)
    check_metric(metric, mlp.sizes[-1], y is not None)
    y = None if y is None else targets(y, loss, len(x), mlp.sizes[-1], np.float64)
    weight = np.ones(len(x)) if sample_weight is None else _checks.sample_weights(sample_weight, len(x), np.float64)
    root = np.sqrt(weight / weight.sum())
    per_sample = 8 * mlp.sizes[-1] * sum(mlp.sizes[1:])
    size = max(1, BATCH_BYTES // per_sample) if batch_size is None else _checks.integer("batch_size", batch_size, 1)
    return _batches(mlp.astype(np.float64), x, metric, y, loss, root, size)


def _batches(
    mlp: MLP, x: Array, metric: Metric, y: Array | None, loss: str, root: Array, size: int
) -> Iterator[tuple[Trace, list[Array]]]:
    for start in range(0, len(x), size):
        batch = slice(start, start + size)
        trace = forward(mlp, x[batch])
        c = cotangents(metric, trace.outputs, None if y is None else y[batch], loss)
        yield trace, pullback(mlp, trace, c * root[batch, np.newaxis])


def streamed_qr(blocks: Iterable[Array]) -> Array:
    """The triangular factor of all rows together, (at most n, n), one block in memory at a time."""
    factor: Array | None = None
    for block in blocks:
        rows = block if factor is None else np.concatenate([factor, block])
        factor = np.asarray(np.linalg.qr(rows, mode="r"))
    assert factor is not None  # there is at least one sample
    return factor


def least_squares(a: Array, b: Array) -> Array:
    """The shortest x that minimises ‖a x − b‖."""
    if 0 in a.shape:
        return np.zeros(a.shape[1])
    solution: Array = np.linalg.lstsq(a, b, rcond=max(a.shape) * float(np.finfo(np.float64).eps))[0]
    return solution
