"""Samples as checked batches: slices of an array or a memory map, or what an iterator gives, small ones joined."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Any

import numpy as np

from .. import _checks
from .._types import Array, Metric
from ..batch import Batch, NoWeight, as_batch, batch_weights, each_batch, is_stream
from ..metrics import check_metric, metric_targets
from ..mlp import MLP


@dataclass(frozen=True, eq=False)
class Checked:
    """A batch that has been checked: x (N, n_0), weights (N,), targets (N, K) or None, in the network's dtype."""

    x: Array
    weight: Array
    y: Array | None

    def __len__(self) -> int:
        return len(self.x)

    def rows(self, rows: slice | Array) -> Checked:
        """Some of the samples."""
        return Checked(self.x[rows], self.weight[rows], None if self.y is None else self.y[rows])

    def dealt(self, groups: int, before: int) -> Iterator[Checked]:
        """The samples with a weight, one after the other to the next group, after the `before` of earlier batches.

        Groups that have had none yet are left out.
        """
        counted = np.flatnonzero(self.weight)
        for group in range(min(groups, before + len(counted))):
            yield self.rows(counted[(group - before) % groups :: groups])


def batches_of(mlp: MLP, x: Any, metric: Metric, size: int) -> Iterator[Checked]:
    """The batches of a stream, or slices of an array with the weights and targets that belong to them.

    Targets are left out where the metric needs none.  What is wrong with x as a whole is raised at once, what
    concerns a single batch when its turn comes.
    """
    check_metric(metric, mlp)
    if is_stream(x):
        return _stream(mlp, x, metric)
    batch = as_batch(x)
    _checks.dense("x", batch.x)
    sliced = hasattr(batch.x, "shape") and hasattr(batch.x, "dtype")  # a memory map, say, of which a batch is read
    samples = batch.x if sliced else _checks.as_array("x", batch.x)
    if len(samples.shape) != 2 or samples.shape[1] != mlp.sizes[0] or len(samples) == 0:
        _checks.samples("x", samples, mlp.sizes[0], mlp.dtype)  # raises
    _checks.real_array("x", samples[:0], mlp.dtype)
    y = _targets(mlp, metric, batch, len(samples))
    weight = batch.sample_weight
    if weight is not None:
        weight = _checks.sample_weights(weight, len(samples), mlp.dtype)
    return _slices(samples, mlp.dtype, weight, y, size)


def slice_size(x: Any, batch_size: int | None, default: int) -> int:
    """How many samples of an array to take at a time; a stream's batches are taken as they come."""
    if batch_size is None:
        return default
    if is_stream(x):
        _checks.without_effect(batch_size=(batch_size, "beside an iterator, whose batches are taken as they come"))
    return _checks.integer("batch_size", batch_size, 1)


def known_length(x: Any) -> int | None:
    """How many samples x has, or None where it is a stream of batches."""
    if is_stream(x):
        return None
    samples = as_batch(x).x
    return len(samples) if isinstance(samples, Sequence) else int(np.shape(samples)[0])  # a list stays a list


def joined(batches: Iterator[Checked], size: int, n_expected: int | None) -> Iterator[tuple[Checked, list[slice]]]:
    """Consecutive batches as one of at least half of `size` samples, and the rows of each of them in it.

    Merging moments costs some passes over all weights, for a small batch more than the batch itself.  The last one,
    which may be smaller, is known by the number of samples in all.  Where a batch fails to come, those before it
    come first.
    """
    group: list[Checked] = []
    n_samples = n_all = 0  # in the group; in all
    failure: Exception | None = None
    try:
        for batch in batches:
            n_samples, n_all = n_samples + len(batch), n_all + len(batch)
            enough = 2 * n_samples >= size or n_all == n_expected
            group.append(batch if enough else _copy(batch))  # the reader may reuse its buffer for the next one
            if enough:
                whole, group, n_samples = _concatenated(group), [], 0
                yield whole
                del whole  # before the next ones come
    except Exception as error:
        failure = error
    if group:
        yield _concatenated(group)
    if failure is not None:
        raise failure


def _stream(mlp: MLP, x: Any, metric: Metric) -> Iterator[Checked]:
    counts = None
    for batch in each_batch(x):
        checked = _checked(mlp, batch, metric)
        counts = counts or bool(checked.weight.any())
        yield checked
    if counts is False:
        raise NoWeight


def _checked(mlp: MLP, batch: Batch, metric: Metric) -> Checked:
    x = _checks.samples("x", batch.x, mlp.sizes[0], mlp.dtype)
    y = _targets(mlp, metric, batch, len(x))
    weight = np.ones(len(x), mlp.dtype)
    if batch.sample_weight is not None:
        weight = batch_weights(batch.sample_weight, len(x), mlp.dtype, zeros=True)
    return Checked(x, weight, y)


def _targets(mlp: MLP, metric: Metric, batch: Batch, n_samples: int) -> Array | None:
    """A batch's targets (N, K), if the metric is a loss."""
    of_y = metric_targets(mlp, metric)
    return None if of_y is None else of_y(batch.y, n_samples)


def _slices(x: Array, dtype: Any, weight: Array | None, y: Array | None, size: int) -> Iterator[Checked]:
    for start in range(0, len(x), size):
        part = slice(start, start + size)
        given = _checks.as_array("x", x[part])
        with _checks.overflow_raised_later():
            rows = given.astype(dtype, copy=False)
        _checks.all_finite("x", given, rows, first_row=start)
        ones = np.ones(len(rows), dtype)
        yield Checked(rows, ones if weight is None else weight[part], None if y is None else y[part])


def _copy(batch: Checked) -> Checked:
    return Checked(batch.x.copy(), batch.weight.copy(), None if batch.y is None else batch.y.copy())


def _concatenated(group: list[Checked]) -> tuple[Checked, list[slice]]:
    if len(group) == 1:
        return group[0], [slice(None)]
    ys = [batch.y for batch in group if batch.y is not None]  # of all of them, or of none
    whole = Checked(
        np.concatenate([batch.x for batch in group]),
        np.concatenate([batch.weight for batch in group]),
        np.concatenate(ys) if ys else None,
    )
    ends = [0, *accumulate(len(batch) for batch in group)]
    return whole, [slice(*rows) for rows in pairwise(ends)]
