"""How well a network does: its accuracy."""

from __future__ import annotations

import numpy as np

from . import _checks
from ._types import Array, Mask
from .batch import Batch, NoWeight, Samples, batch_weights, each_batch, is_stream, numbered
from .losses import check_logits, class_logits, targets, two_classes
from .mlp import MLP, forward


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
    hits: Mask = class_logits(outputs).argmax(axis=1) == two_classes(1 - y, y).argmax(axis=1)
    weight = np.ones(len(outputs))
    if batch.sample_weight is not None:
        weight = batch_weights(batch.sample_weight, len(outputs), np.float64, zeros=True)
    return hits, weight
