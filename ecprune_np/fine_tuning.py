"""Pruning and training in turn: after each bite the weights that are left are trained (EC-5.7)."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from . import _checks
from ._types import Array, Compensation, LossName, Metric, Scope
from .batch import Batch, Samples, gathered_as_given, repeatable
from .losses import check_loss, class_logits, softmax, targets
from .mlp import MLP
from .pruning import Pruned, prune_iteratively
from .pruning.iterative import Criterion
from .pruning.one_shot import AIM_AT_TARGET, check_compensation
from .pruning.pruned import same_architecture
from .training import train


def prune_and_train(
    mlp: MLP | Pruned,
    x: Samples,
    sparsity: float,
    loss: LossName = "mse",
    *,
    steps: int = 10,
    epochs: int = 20,
    metric: Metric | None = None,
    criterion: Criterion | None = None,
    scope: Scope = "global",
    compensation: Compensation | None = None,
    target: MLP | None = None,
    callback: Callable[[int, Pruned], None] | None = None,
) -> Pruned:
    """`prune_iteratively`, the weights that are left trained after every bite; what is gone stays gone (EC-5.7).

    Parameters
    ----------
    mlp : MLP or Pruned
        The network; of a pruned one, what is removed stays removed and counts.
    x : ec.Batch, or a list of them
        The samples with their targets y, or anything else that can be read more than once; without targets the network
        is trained towards the outputs of `target`: their values with "mse", their probabilities with "cross_entropy".
    sparsity : float
        From 0 to 1: the fraction of the weights that are zero in the end.
    loss : {"mse", "cross_entropy"}, default "mse"
        What training makes small.
    steps : int, default 10
        How many bites, by `sparsity_schedule`.
    epochs : int, default 20
        Iterations of L-BFGS at most after each bite, all samples at once.
    metric : str or callable, optional
        As for `prune_iteratively`.
    criterion : callable, optional
        As for `prune_iteratively`.
    scope : {"global", "layer"}, default "global"
        As for `prune`.
    compensation : {"independent", "guarded", "joint", "row", "refit"} or None, default None
        How the network answers after each bite, before it is trained; as for `prune`.  On the targets of more samples
        than there are weights None is best, for rows lead back to `target`; on those of fewer, or without any, "row".
    target : MLP, optional
        What compensations aim at, and training without targets; the network given, by default.
    callback : callable, optional
        Called with each step, from 1, and its trained `Pruned`.

    Returns
    -------
    Pruned
        The pruned network and its masks.

    Raises
    ------
    TypeError, ValueError
        For a wrong argument or one without effect, samples with weights, which training does not know, a one-shot
        iterator, and for an overflow.
    BatchError
        For a batch that is wrong or does not come.

    Examples
    --------
    >>> x = np.random.default_rng(0).standard_normal((100, 4))
    >>> mlp = ec.MLP.initialize([4, 8, 2], seed=0)
    >>> pruned = ec.prune_and_train(mlp, x, 0.5, steps=3)
    >>> untrained = ec.prune_iteratively(mlp, x, 0.5, steps=3)
    >>> pruned.summary(mlp, x).after.change < untrained.summary(mlp, x).after.change
    True
    """
    given = mlp.mlp if isinstance(mlp, Pruned) else mlp
    _checks.instance("mlp", given, MLP)
    if target is not None:
        same_architecture("target", target, given)
    batch = gathered_as_given(repeatable(x), given.sizes[0], given.dtype)
    check_compensation(compensation)
    aimed_at = compensation in AIM_AT_TARGET
    if not aimed_at and batch.y is not None:
        _checks.without_effect(target=(target, f"beside targets y, with compensation {compensation!r}"))
    return prune_iteratively(
        mlp,
        x,
        sparsity,
        steps=steps,
        metric=metric,
        criterion=criterion,
        scope=scope,
        compensation=compensation,
        target=target if aimed_at else None,
        then=training(batch, given if target is None else target, loss, epochs),
        callback=callback,
    )


def training(batch: Batch, dense: MLP, loss: LossName, epochs: int) -> Callable[[Pruned], Pruned]:
    """What trains a pruned network by L-BFGS: on the targets y, or without any towards what `dense` makes of x."""
    _checks.integer("epochs", epochs, 0)
    check_loss(dense, loss)
    if batch.sample_weight is not None and np.ptp(batch.sample_weight) > 0:
        raise ValueError("sample_weight: expected none, for training counts all samples alike")
    y = outputs_as_targets(dense, batch.x, loss) if batch.y is None else batch.y
    targets(y, loss, len(batch.x), dense.sizes[-1], dense.dtype)  # raises before any pruning where they do not fit
    return lambda pruned: train(pruned, batch.x, y, loss, optimizer="lbfgs", epochs=epochs)


def outputs_as_targets(dense: MLP, x: Array, loss: LossName) -> Array:
    """f for "mse", softmax(f) for "cross_entropy", of one logit the probability of class 1 (EC-2.4, EC-2.5, EC-2.7)."""
    f = dense(x)
    return softmax(class_logits(f))[:, -f.shape[1] :] if loss == "cross_entropy" else f
