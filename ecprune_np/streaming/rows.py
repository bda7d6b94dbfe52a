"""Rows of least-squares problems, a batch at a time, reduced by QR: for what needs more than moments (EC-5.4, EC-6)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial
from typing import NamedTuple

import numpy as np

from .. import _checks
from .._types import Array, Metric
from ..batch import Samples, numbered
from ..metrics import cotangents
from ..mlp import MLP, Trace, forward, pullback
from .batches import Checked, batches_of, slice_size
from .reduction import reduced_sensitivities, reduction_of
from .scratch import Scratch

BATCH_BYTES = 2**26


class Rows(NamedTuple):
    """A batch's trace, √weight_n · c_rᵀ J per layer (R, N, n_l), and its weights (N,), all in one dtype."""

    trace: Trace
    derivatives: list[Array]
    weight: Array


def weighted_rows(mlp: MLP, x: Samples, metric: Metric, batch_size: int | None) -> Iterator[Rows]:
    """The rows of every batch: their squares sum to E[s_i] times the weights' sum."""
    batches = batches_with_rows(mlp, x, metric, batch_size)
    return rows_of(mlp.astype(np.float64), batches, metric)


def batches_with_rows(mlp: MLP, x: Samples, metric: Metric, batch_size: int | None) -> Iterator[Checked]:
    """The checked batches of x, of no more samples than have BATCH_BYTES of rows."""
    _checks.instance("mlp", mlp, MLP)
    return batches_of(mlp, x, metric, slice_size(x, batch_size, samples_at_a_time(mlp)))


def rows_of(mlp: MLP, batches: Iterable[Checked], metric: Metric) -> Iterator[Rows]:
    """The rows of checked batches in the dtype of `mlp`; a callable metric sees the outputs in float64."""
    return numbered(map(partial(_rows_of_batch, mlp, metric), batches))


def summed_rows_of(mlp: MLP, batches: Iterable[Checked], metric: Metric) -> Iterator[Rows]:
    """√(weight_n s_i) for the rows of a sample, where no more is asked than their squares' sum (EC-7.18)."""
    reduction = reduction_of(mlp, metric)

    def of(batch: Checked) -> Rows:
        if reduction is None:
            trace, derivatives, weight = _rows_of_batch(mlp, metric, batch)
            with _checks.overflow_raised_later():
                s = [np.sum(g**2, axis=0) for g in derivatives]
        else:
            trace, weight = forward(mlp, batch.x), batch.weight.astype(mlp.dtype)
            s = [np.empty_like(z) for z in trace.preactivations]
            with _checks.overflow_raised_later():
                reduced_sensitivities(mlp, trace, reduction, weight, Scratch(0, mlp.dtype), s)
        _checks.no_overflow("pullback", s)
        return Rows(trace, [np.sqrt(layer)[np.newaxis] for layer in s], weight)

    return numbered(map(of, batches))


def _rows_of_batch(mlp: MLP, metric: Metric, batch: Checked) -> Rows:
    trace = forward(mlp, batch.x)
    y = None if batch.y is None else batch.y.astype(mlp.dtype)
    outputs = trace.outputs.astype(np.float64) if callable(metric) else trace.outputs
    weight = batch.weight.astype(mlp.dtype)
    c = cotangents(metric, outputs, y) * np.sqrt(weight)[:, np.newaxis]
    return Rows(trace, pullback(mlp, trace, c), weight)


def samples_at_a_time(mlp: MLP) -> int:
    """As many samples as have BATCH_BYTES of rows in all biases."""
    return max(1, BATCH_BYTES // (8 * mlp.sizes[-1] * sum(mlp.sizes[1:])))


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
