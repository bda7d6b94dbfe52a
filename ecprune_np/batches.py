"""Samples as checked batches: slices of an array or a memory map, or what an iterator gives, small ones joined."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from . import _checks
from .losses import targets
from .metrics import Metric, check_metric
from .mlp import MLP

if TYPE_CHECKING:
    from .moments import Moments

Array = npt.NDArray[Any]


class Batch(NamedTuple):
    """A batch of a stream: samples x of shape (N, n_0), where needed their weights (N,) and targets y."""

    x: npt.ArrayLike
    sample_weight: npt.ArrayLike | None = None
    y: npt.ArrayLike | None = None


class BatchError(ValueError):
    """A batch was bad or did not come: `batch` is its number, `moments` those of all batches before it, or None."""

    def __init__(self, message: str, batch: int, moments: Moments | None) -> None:
        super().__init__(message)
        self.batch = batch
        self.moments = moments

    def __reduce__(self) -> tuple[Any, ...]:
        return BatchError, (str(self), self.batch, self.moments)


@dataclass(frozen=True, eq=False)
class Samples:
    """A batch that has been checked: x (N, n_0), weights (N,), targets (N, K) or None, in the network's dtype."""

    x: Array
    weight: Array
    y: Array | None

    def __len__(self) -> int:
        return len(self.x)

    def rows(self, rows: slice) -> Samples:
        """Some of the samples."""
        return Samples(self.x[rows], self.weight[rows], None if self.y is None else self.y[rows])


def batches_of(
    mlp: MLP,
    x: Any,
    metric: Metric,
    sample_weight: npt.ArrayLike | None,
    y: npt.ArrayLike | None,
    loss: str,
    size: int,
) -> Iterator[Samples]:
    """The batches of a stream, or the slices of an array with the weights and targets that belong to them.

    Arguments and errors are those of `collect_moments`; what concerns a single batch is raised when its turn comes.
    """
    n_inputs, n_outputs = mlp.sizes[0], mlp.sizes[-1]
    if _is_stream(x):
        check_metric(metric, n_outputs, has_targets=True)  # a batch that has none says so
        for name, value in (("sample_weight", sample_weight), ("y", y)):
            if value is not None:
                raise ValueError(f"{name}: expected None beside an iterator, whose batches carry their own (Batch)")
        return (_checked(mlp, batch if isinstance(batch, Batch) else Batch(batch), metric, loss) for batch in x)
    if not hasattr(x, "shape") or not hasattr(x, "dtype"):
        x = np.asarray(x)
    if len(x.shape) != 2 or x.shape[1] != n_inputs or len(x) == 0:
        _checks.samples("x", x, n_inputs, mlp.dtype)  # raises
    _checks.real_array("x", x[:0], mlp.dtype)
    check_metric(metric, n_outputs, y is not None)
    y = None if y is None else targets(y, loss, len(x), n_outputs, mlp.dtype)
    if sample_weight is not None:
        sample_weight = _checks.sample_weights(sample_weight, len(x), mlp.dtype)
    return _slices(x, mlp.dtype, sample_weight, y, size)


def known_length(x: Any) -> int | None:
    """How many samples x has, or None where it is a stream of batches."""
    if _is_stream(x):
        return None
    return len(x) if isinstance(x, Sequence) else int(np.shape(x)[0])  # a list is not made an array for this


def joined(batches: Iterator[Samples], size: int, n_expected: int | None) -> Iterator[tuple[Samples, list[slice]]]:
    """Consecutive batches as one of at least half of `size` samples, and the rows of each of them in it.

    Merging moments costs some passes over all weights, for a small batch more than the batch itself.  The last one,
    which may be smaller, is known by the number of samples in all.  Where a batch fails to come, those before it
    come first.
    """
    group: list[Samples] = []
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


def _is_stream(x: Any) -> bool:
    return isinstance(x, Iterable) and not isinstance(x, (Sequence, Mapping)) and not hasattr(x, "__array__")


def _checked(mlp: MLP, batch: Batch, metric: Metric, loss: str) -> Samples:
    x = _checks.samples("x", batch.x, mlp.sizes[0], mlp.dtype)
    check_metric(metric, mlp.sizes[-1], batch.y is not None)
    y = None if batch.y is None else targets(batch.y, loss, len(x), mlp.sizes[-1], mlp.dtype)
    weight = np.ones(len(x), mlp.dtype)
    if batch.sample_weight is not None:
        weight = _checks.real_array("sample_weight", batch.sample_weight, mlp.dtype)
        if weight.shape != (len(x),) or weight.any():  # zeros alone are allowed here
            weight = _checks.sample_weights(weight, len(x), mlp.dtype)
    return Samples(x, weight, y)


def _slices(x: Array, dtype: Any, weight: Array | None, y: Array | None, size: int) -> Iterator[Samples]:
    for start in range(0, len(x), size):
        part = slice(start, start + size)
        given = np.asarray(x[part])
        with np.errstate(over="ignore"):  # reported just below
            rows = given.astype(dtype, copy=False)
        _checks.all_finite("x", given, rows, first_row=start)
        ones = np.ones(len(rows), dtype)
        yield Samples(rows, ones if weight is None else weight[part], None if y is None else y[part])


def _copy(batch: Samples) -> Samples:
    return Samples(batch.x.copy(), batch.weight.copy(), None if batch.y is None else batch.y.copy())


def _concatenated(group: list[Samples]) -> tuple[Samples, list[slice]]:
    if len(group) == 1:
        return group[0], [slice(None)]
    ys = [batch.y for batch in group if batch.y is not None]
    y = np.concatenate(ys) if len(ys) == len(group) else None  # a metric that needs targets has had all checked
    whole = Samples(np.concatenate([b.x for b in group]), np.concatenate([b.weight for b in group]), y)
    ends = [0, *accumulate(len(batch) for batch in group)]
    return whole, [slice(*rows) for rows in pairwise(ends)]
