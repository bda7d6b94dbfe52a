"""What can be handed in as samples: an array or a memory map, a `Batch`, or an iterator of either."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt

from . import _checks
from ._frozen import Frozen
from ._types import Array

Item = TypeVar("Item")
Samples: TypeAlias = "npt.ArrayLike | Batch | Iterable[npt.ArrayLike | Batch]"

EXPECTED = "an array (N, n_0), an ec.Batch, or an iterator or list of these"


@dataclass(frozen=True, eq=False, repr=False)
class Batch(Frozen):
    """Samples with, where needed, their weights and targets: what every function of samples takes as x.

    x may also be an array, or an iterator or a list of arrays and batches, where a data loader's pair (x, y) counts
    as a batch with targets.  A batch is checked by what it is handed to.

    Parameters
    ----------
    x : array (N, n_0)
        The samples, in rows; of a memory map only a part is read at a time.
    sample_weight : array (N,), optional
        How much each sample counts in a mean: not negative, the sum not zero.
    y : array (N,) or (N, K), optional
        Integer labels, or targets.  What needs none leaves them alone.

    Examples
    --------
    >>> ec.Batch(np.zeros((3, 2)), sample_weight=[1, 1, 2])
    Batch(3 samples, sample_weight)
    """

    x: Any
    sample_weight: Any = None
    y: Any = None

    def __repr__(self) -> str:
        given = [name for name in ("sample_weight", "y") if getattr(self, name) is not None]
        n_samples = len(self.x) if isinstance(self.x, (list, tuple)) else next(iter(getattr(self.x, "shape", ())), None)
        samples = type(self.x).__name__ if n_samples is None else f"{n_samples:,} samples"
        return f"Batch({', '.join([samples, *given])})"


class BatchError(ValueError):
    """A batch was bad or did not come: a ValueError that knows which one.

    Attributes
    ----------
    batch : int
        Its number, from 0.
    moments : Moments or None
        From `collect_moments`, those of all batches before it: save them, and merge them with those of the rest.

    Examples
    --------
    >>> mlp = ec.MLP([[[2.0, 1.0]]], [[0.0]])
    >>> x = np.array([[1.0, 5.0], [3.0, 5.0]])
    >>> try:
    ...     ec.collect_moments(mlp, [x, x + np.nan])
    ... except ec.BatchError as error:
    ...     print(error)
    ...     print(error.batch, error.moments)
    x: not finite at [0, 0] (nan), in batch 1
    1 Moments(1 layers, 2 samples)
    """

    def __init__(self, message: str, batch: int, moments: Any) -> None:
        super().__init__(message)
        self.batch = batch
        self.moments = moments

    def __reduce__(self) -> tuple[Any, ...]:
        return BatchError, (str(self), self.batch, self.moments)

    @classmethod
    def of(cls, error: Exception, batch: int, moments: Any = None) -> BatchError:
        """What went wrong in a batch, in its own words.

        Parameters
        ----------
        error : Exception
            What was raised; an error that is no TypeError or ValueError is told by its class.
        batch : int
            The batch's number, from 0.
        moments : Moments or None, default None
            Those of the batches before it.

        Returns
        -------
        BatchError
            To be raised.
        """
        kind = "" if isinstance(error, (TypeError, ValueError)) else f"{type(error).__name__}: "
        return cls(f"{kind}{error}, in batch {batch}", batch, moments)


class NoWeight(ValueError):
    """All samples of a stream have the weight 0, which is no single batch's fault."""

    def __init__(self) -> None:
        super().__init__("sample_weight: expected a positive, finite sum, got 0.0")


def is_stream(x: Any) -> bool:
    """Whether x is several batches, one after the other; raises TypeError where it can be no samples at all."""
    if isinstance(x, Batch) or hasattr(x, "__array__") or hasattr(x, "shape"):
        return False
    if isinstance(x, (list, tuple)):
        several = any(isinstance(item, Batch) or _holds_samples(item) or getattr(item, "ndim", 1) > 1 for item in x)
        if several and isinstance(x, tuple):
            raise TypeError("x: expected " + EXPECTED + ", got a tuple; samples with targets are ec.Batch(x, y=y)")
        return several
    if isinstance(x, (str, bytes, Mapping)) or not isinstance(x, Iterable):
        raise TypeError(f"x: expected {EXPECTED}, got {type(x).__name__}")
    return True


def each_batch(x: Any) -> Iterator[Batch]:
    """The batches that x is, as they come; a pair (x, y), as data loaders give, is a batch with targets."""
    if not is_stream(x):
        return iter([as_batch(x)])
    return (_item(item) for item in x)


def _item(item: Any) -> Batch:
    """What an iterator gives as a batch: samples, alone or in a list as some loaders give them, or a pair (x, y)."""
    if not _holds_samples(item):
        return as_batch(item)
    if len(item) > 2:
        raise TypeError(f"x: expected samples, an ec.Batch or a pair (x, y), got {type(item).__name__} of {len(item)}")
    return as_batch(item[0]) if len(item) == 1 else Batch(item[0], y=item[1])


def _holds_samples(item: Any) -> bool:
    """Whether this is a list or tuple that begins with samples, as what data loaders give."""
    return isinstance(item, (list, tuple)) and len(item) > 0 and getattr(item[0], "ndim", 0) > 1


def as_batch(x: Any) -> Batch:
    """Samples at hand as a `Batch`."""
    return x if isinstance(x, Batch) else Batch(x)


def repeatable(x: Samples) -> Samples:
    """x, if it can be read more than once; raises TypeError for an iterator, which is used up after one reading."""
    if isinstance(x, Iterator):
        kind = type(x).__name__
        raise TypeError(
            f"x: expected what can be read again and again (an array, an ec.Batch, a list of batches, a data loader), "
            f"got {kind}, an iterator that one reading uses up"
        )
    return x


def numbered(items: Iterable[Item]) -> Iterator[Item]:
    """What is made of each batch; where one fails, a `BatchError` says which."""
    number = 0
    try:
        for item in items:
            yield item
            number += 1
    except NoWeight:
        raise
    except Exception as error:
        raise BatchError.of(error, number) from error
    if number == 0:
        raise ValueError("x: expected samples, got 0 in all before the iterator ended")


def gathered(x: Samples, n_inputs: int, dtype: Any, targets: Callable[[Any, int], Array] | None) -> Batch:
    """All samples as one batch in memory: x (N, n_0), weights (N,), and `targets` of each batch's y and length.

    What is wrong in a batch of a stream is a `BatchError`.
    """

    def checked(batch: Batch, zeros: bool) -> Batch:
        samples = _checks.samples("x", batch.x, n_inputs, dtype)
        y = None if targets is None else targets(batch.y, len(samples))
        weight = batch.sample_weight
        return Batch(samples, None if weight is None else batch_weights(weight, len(samples), dtype, zeros), y)

    if not is_stream(x):
        return checked(as_batch(x), zeros=False)
    batches = list(numbered(checked(batch, zeros=True) for batch in each_batch(x)))
    weights = [np.ones(len(b.x), dtype) if b.sample_weight is None else b.sample_weight for b in batches]
    weight = batch_weights(np.concatenate(weights), sum(len(b.x) for b in batches), dtype, zeros=False)
    y = None if targets is None else np.concatenate([batch.y for batch in batches])
    return Batch(np.concatenate([batch.x for batch in batches]), weight, y)


def gathered_as_given(x: Samples, n_inputs: int, dtype: Any) -> Batch:
    """`gathered` with the targets as they are, which all batches have, or none."""
    batches = list(numbered(each_batch(x))) if is_stream(x) else [as_batch(x)]
    n_with_targets = sum(batch.y is not None for batch in batches)
    if 0 < n_with_targets < len(batches):
        raise ValueError(
            f"y: expected targets in all batches or in none, got them in {n_with_targets} of {len(batches)}"
        )
    as_given = (lambda y, _: _checks.as_array("y", y)) if n_with_targets else None
    return gathered(batches if is_stream(x) else x, n_inputs, dtype, as_given)


def batch_weights(value: Any, n_samples: int, dtype: Any, zeros: bool) -> Array:
    """`sample_weight` of a batch, (N,); with `zeros`, all of them may be 0, where other batches follow."""
    weight = _checks.real_array("sample_weight", value, dtype)
    if zeros and weight.shape == (n_samples,) and not weight.any():
        return weight
    return _checks.sample_weights(weight, n_samples, dtype)
