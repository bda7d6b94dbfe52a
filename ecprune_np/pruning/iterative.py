"""Pruning in many bites, the weights that are left scored anew before each (EC-5.7, EC-5.9)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from typing import Any, TypeAlias, get_args

import numpy as np

from .. import _checks
from .._types import Compensation, Mask, Metric, Scope
from ..batch import Samples, repeatable
from ..mlp import MLP
from ..scores import Scores, compensated, elimination_compensation
from ..streaming.batches import batches_of, known_length
from ..streaming.blocks import samples_per_batch
from ..streaming.collect import moments_of_batches
from .one_shot import AIM_AT_TARGET, NEED_SAMPLES, check_compensation, prune
from .pruned import Pruned, all_kept

Criterion: TypeAlias = Callable[[MLP, Any], Scores]  # of the network as it is before a bite, and of x


def prune_iteratively(
    mlp: MLP | Pruned,
    x: Samples,
    sparsity: float,
    *,
    steps: int = 10,
    metric: Metric | None = None,
    criterion: Criterion | None = None,
    scope: Scope = "global",
    compensation: Compensation | None = "independent",
    target: MLP | None = None,
    then: Callable[[Pruned], Pruned] | None = None,
    batch_size: int | None = None,
    callback: Callable[[int, Pruned], None] | None = None,
) -> Pruned:
    """Prune in `steps` bites, scoring the surviving weights anew before each (EC-5.7, EC-5.8).

    Inputs and neurons that no longer reach an output cost nothing from then on (EC-5.9).

    Parameters
    ----------
    mlp : MLP or Pruned
        The network; of a pruned one, what is removed stays removed and counts.
    x : array (N, n_0), ec.Batch, or a list of them
        The samples, or whatever else can be read more than once, as a data loader; no one-shot iterator.
    sparsity : float
        From 0 to 1: the fraction of the weights that are zero in the end.
    steps : int, default 10
        How many bites, by `sparsity_schedule`.
    metric : str or callable, optional
        "output" (the default), "softmax", "fisher", "mse", "cross_entropy", or a callable, as for `collect_moments`:
        what ranking and compensation measure a change with.
    criterion : callable, optional
        What ranks the weights in place of EC: from the network before a bite and x to `Scores`, as `ec.criteria.wanda`.
    scope : {"global", "layer"}, default "global"
        As for `prune`.
    compensation : {"independent", "guarded", "joint", "row", "refit"} or None, default "independent"
        How the network answers after each bite, as for `prune`.
    target : MLP, optional
        What "guarded", "row" and "refit" aim at in every bite; the network given, before any of them.
    then : callable, optional
        What is done after each bite, as training: from the `Pruned` that it left to that which goes on.
    batch_size : int, optional
        Samples at a time, as for `collect_moments`.
    callback : callable, optional
        Called with each step, from 1, and its `Pruned`.

    Returns
    -------
    Pruned
        The pruned network and its masks.

    Raises
    ------
    TypeError, ValueError
        For a wrong argument, a one-shot iterator, and for an overflow.
    BatchError
        For a batch that is wrong or does not come.

    Examples
    --------
    >>> mlp = ec.MLP.initialize([4, 8, 2], seed=0)
    >>> x = np.random.default_rng(0).standard_normal((100, 4))
    >>> ec.prune_iteratively(mlp, x, 0.75, steps=3, callback=lambda step, pruned: print(step, pruned))
    1 Pruned(4-8-2, 52.1 % removed)
    2 Pruned(4-8-2, 72.9 % removed)
    3 Pruned(4-8-2, 75.0 % removed)
    Pruned(4-8-2, 75.0 % removed)
    """
    if isinstance(mlp, Pruned):
        pruned = mlp
    else:
        _checks.instance("mlp", mlp, MLP)
        pruned = Pruned(mlp, all_kept(mlp))
    _checks.one_of("scope", scope, get_args(Scope))
    check_compensation(compensation)
    _checks.function("callback", callback)
    repeatable(x)
    start = gone_already(pruned, _checks.number("sparsity", sparsity, 0, 1), scope)
    options: dict[str, Any] = {"compensation": compensation}
    if compensation in NEED_SAMPLES:
        options |= {"x": x, "metric": metric}
    elif criterion is not None:
        _checks.without_effect(metric=(metric, f"beside a criterion, with compensation {compensation!r}"))
    if compensation in AIM_AT_TARGET:
        options["target"] = pruned.mlp if target is None else target
    else:
        _checks.without_effect(target=(target, f"with compensation {compensation!r}"))
    if criterion is not None:
        _checks.function("criterion", criterion)
        _checks.without_effect(batch_size=(batch_size, "beside a criterion, which reads the samples itself"))
    if then is not None:
        _checks.function("then", then)
    for step, removed in enumerate(sparsity_schedule(sparsity, steps, start), start=1):
        if criterion is None:
            scores = _scored_anew(pruned, x, "output" if metric is None else metric, batch_size)
        else:
            scores = criterion(pruned.mlp, x)
        pruned = prune(pruned.mlp, scores, removed, scope, masks=pruned.masks, **options)
        if then is not None:
            pruned = then(pruned)
            _checks.instance("then(pruned)", pruned, Pruned)
        if callback is not None:
            callback(step, pruned)
    return pruned


def gone_already(pruned: Pruned, sparsity: float, scope: Scope) -> float:
    """The fraction that is gone, in all or in the layer that lost most; `sparsity`, if that rounds to as many."""
    counts = [(int((~mask).sum()), mask.size) for mask in pruned.masks]
    if scope == "global":
        counts = [(sum(gone for gone, _ in counts), pruned.mlp.n_weights)]
    start = max(gone / n for gone, n in counts)
    return min(start, sparsity) if all(gone <= round(sparsity * n) for gone, n in counts) else start


def sparsity_schedule(sparsity: float, steps: int, start: float = 0.0) -> list[float]:
    """Z_t = Z_0 + (Z − Z_0) (1 − (1 − t/T)³) for t = 1, ..., T: ever smaller bites (EC-5.7; Zhu and Gupta, 2018).

    Parameters
    ----------
    sparsity : float
        s, from 0 to 1.
    steps : int
        T.
    start : float, default 0
        Z_0, what is gone already.

    Returns
    -------
    list of T floats
        s_1, ..., s_T = s.

    Raises
    ------
    TypeError, ValueError
        For a wrong argument.

    Examples
    --------
    >>> [round(s, 3) for s in ec.sparsity_schedule(0.9, 3)]
    [0.633, 0.867, 0.9]
    """
    _checks.number("sparsity", sparsity, 0, 1)
    _checks.integer("steps", steps, 1)
    _checks.number("start", start, 0, 1)
    if sparsity < start:
        raise ValueError(f"sparsity: expected at least the {start:.6g} that is gone already, got {sparsity}")
    return [start + (sparsity - start) * (1 - (1 - t / steps) ** 3) for t in range(1, steps + 1)]


def _scored_anew(pruned: Pruned, x: Samples, metric: Metric, batch_size: int | None) -> Scores:
    """EC, of the survivors alone where something is gone."""
    whole = all(mask.all() for mask in pruned.masks)
    score = elimination_compensation if whole else scores_of_survivors
    return score(pruned.mlp, x, metric, batch_size=batch_size)


def scores_of_survivors(mlp: MLP, x: Samples, metric: Metric = "output", *, batch_size: int | None = None) -> Scores:
    """`elimination_compensation`, where weights on no path to an output get their 0 without any computing (EC-5.9).

    The other weights' values are the same up to rounding.  Arguments and errors as `elimination_compensation`.
    """
    reaching = reaching_outputs(mlp)
    blocks = [np.ix_(above, below) for below, above in pairwise(reaching)]
    weights = [w[block] for w, block in zip(mlp.weights, blocks)]
    survivors = mlp.replace(weights, [b[above] for b, above in zip(mlp.biases, reaching[1:])])
    size = samples_per_batch(survivors, batch_size, metric)
    batches = batches_of(mlp, x, metric, size)
    left = (replace(batch, x=batch.x.compress(reaching[0], axis=1)) for batch in batches)  # row by row, as x is
    (moments,) = moments_of_batches(survivors, left, metric, size, known_length(x))
    scores = compensated(survivors, moments)
    importance, bias_shift = [np.zeros_like(w) for w in mlp.weights], [np.zeros_like(w) for w in mlp.weights]
    for l, block in enumerate(blocks):
        importance[l][block], bias_shift[l][block] = scores.importance[l], scores.bias_shift[l]
    return Scores(importance, bias_shift)


def reaching_outputs(mlp: MLP) -> list[Mask]:
    """Which inputs and which neurons, layer by layer, a path of weights that are not zero joins to an output.

    Where none of a layer does, its first is named: no layer of a network is empty.
    """
    reaching = [np.ones(mlp.sizes[-1], bool)]
    for w in reversed(mlp.weights):
        below = (w[reaching[0]] != 0).any(axis=0)
        below[0] |= not below.any()
        reaching.insert(0, below)
    return reaching
