"""How well a network does: its loss, its accuracy, and how far its outputs are from another's."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from . import _checks
from ._types import Array, LossName, Mask
from .batch import Batch, NoWeight, Samples, batch_weights, each_batch, gathered_as_given, is_stream, numbered
from .losses import LOSSES, check_logits, check_loss, class_logits, targets, two_classes
from .mlp import MLP, forward
from .streaming.blocks import samples_per_batch


def accuracy(mlp: MLP, x: Samples) -> float:
    """The fraction of samples whose largest output is at the label's place; one logit z is the outputs (0, z) (EC-2.7).

    Parameters
    ----------
    mlp : MLP
        The network.
    x : ec.Batch, or an iterator of them
        The samples (N, n_0), with labels (N,) or one-hot rows (N, K) as `y`; those that have weights count by them.

    Returns
    -------
    float
        From 0 to 1.

    Raises
    ------
    TypeError, ValueError
        For a wrong argument.
    BatchError
        For a batch that is wrong or does not come, or whose labels are missing or no classes.

    Examples
    --------
    >>> mlp = ec.MLP([np.eye(2)], [[0.0, 0.0]])
    >>> ec.accuracy(mlp, ec.Batch([[2, 0], [0, 1], [3, 1], [1, 2]], y=[0, 1, 1, 1]))
    0.75
    """
    _checks.instance("mlp", mlp, MLP)
    check_logits("accuracy", mlp)
    right = total = 0.0
    of_batches = (_hits(mlp, batch) for batch in each_batch(x))
    for hits, weight in numbered(of_batches) if is_stream(x) else of_batches:
        right, total = right + float(weight[hits].sum()), total + float(weight.sum())
    if total == 0:
        raise NoWeight
    return right / total


def _hits(mlp: MLP, batch: Batch) -> tuple[Mask, Array]:
    """Which samples have their largest output at the label's place, and the weights."""
    outputs = forward(mlp, batch.x).outputs
    if batch.y is None:
        raise ValueError("y: accuracy needs labels, got None; hand over ec.Batch(x, y=labels)")
    y = targets(batch.y, "cross_entropy", len(outputs), mlp.sizes[-1], mlp.dtype)
    weight = np.ones(len(outputs))
    if batch.sample_weight is not None:
        weight = batch_weights(batch.sample_weight, len(outputs), np.float64, zeros=True)
    return right_classes(outputs, y), weight


def right_classes(outputs: Array, y: Array) -> Mask:
    """Which outputs (N, K) are the largest where the target probabilities are, (N,)."""
    hits: Mask = class_logits(outputs).argmax(axis=1) == two_classes(1 - y, y).argmax(axis=1)
    return hits


@dataclass(frozen=True)
class Performance:
    """What a network does on some samples.

    Attributes
    ----------
    loss : float or None
        E[ℓ], where there are targets.
    accuracy : float or None
        The fraction of samples that are classed rightly, where the targets are classes.
    change : float or None
        E‖f − f_dense‖² / E‖f_dense − E f_dense‖² with the outputs of the dense network, unless these do not vary.
    """

    loss: float | None
    accuracy: float | None
    change: float | None


def yardstick(dense: MLP, x: Samples) -> Callable[[MLP], Performance]:
    """What measures networks of `dense`'s inputs and outputs on samples that it has read: how much each has lost.

    With targets y that are classes the loss is the cross-entropy, with values the squared error (`meant`).
    """
    batch = gathered_as_given(x, dense.sizes[0], dense.dtype)
    samples, n_samples = batch.x, len(batch.x)
    weight = np.ones(n_samples) if batch.sample_weight is None else batch.sample_weight.astype(np.float64)
    weight = weight / weight.sum()
    loss: LossName | None = None
    if batch.y is not None:
        given, loss = meant(batch.y, dense.sizes[-1])
        check_loss(dense, loss)
        y = targets(given, loss, n_samples, dense.sizes[-1], dense.dtype)
    size = samples_per_batch(dense, None)

    def outputs(mlp: MLP) -> Array:
        parts = [forward(mlp, samples[start : start + size]).outputs for start in range(0, n_samples, size)]
        return np.concatenate(parts)

    def mean_square(difference: Array) -> float:
        return float(weight @ np.sum(difference.astype(np.float64) ** 2, axis=1))

    f = outputs(dense)
    variance = mean_square(centred(f, weight))

    def measured(mlp: MLP) -> Performance:
        f_here = outputs(mlp)
        change = mean_square(f_here - f) / variance if variance > 0 else None
        if loss is None:
            return Performance(None, None, change)
        hits = float(weight[right_classes(f_here, y)].sum()) if loss == "cross_entropy" else None
        return Performance(float(weight @ LOSSES[loss].value(f_here, y)), hits, change)

    return measured


def centred(f: Array, weight: Array | None = None) -> Array:
    """f − E f in double precision at least; exactly 0 where f does not vary, whose mean would be rounded."""
    from_first = (f - f[0]).astype(np.result_type(f, np.float64))
    mean = from_first.mean(axis=0) if weight is None else weight @ from_first
    varying: Array = from_first - mean
    return varying


def meant(y: Array, n_outputs: int) -> tuple[Array, LossName]:
    """Targets as labels (N,) or one-hot rows (N, K), or as values (N, K), and the loss that they are for.

    Integers are classes where they can be: labels, also in a column, or rows with a single 1.  Beside several outputs
    a single number can only be a label.  Anything else is values.
    """
    if y.dtype.kind not in "iubf" or y.ndim == 0:
        raise TypeError(f"y: expected labels or targets that are numbers, got {y.dtype} of shape {y.shape}")
    single = y.ndim == 1 or y.shape[1:] == (1,)
    whole = y.dtype.kind in "iub" or (single and n_outputs > 1 and bool((y == np.round(y)).all()))
    if single and whole:
        labels = y.reshape(len(y)).astype(np.int64)
        if y.ndim == 1 or n_outputs > 1 or np.isin(labels, (0, 1)).all():
            return labels, "cross_entropy"
    elif whole and y.ndim == 2 and np.isin(y, (0, 1)).all() and (y.sum(axis=1) == 1).all():
        return y.astype(np.int64), "cross_entropy"
    return (y[:, np.newaxis] if y.ndim == 1 else y), "mse"
