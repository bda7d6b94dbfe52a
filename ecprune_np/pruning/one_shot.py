"""Removing the least important weights and shifting the biases beside them (EC-5)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import get_args

import numpy as np

from .. import _checks
from .._types import Array, Compensation, Mask, Masks, Metric, Scope
from ..batch import Samples, repeatable
from ..mlp import MLP
from ..scores import Scores
from .guarded import guarded_biases
from .joint import joint_shifts
from .pruned import Pruned, all_kept, same_architecture
from .refit import refit_biases, true_change
from .row import refit_rows


def prune(
    mlp: MLP,
    scores: Scores,
    sparsity: float,
    scope: Scope = "global",
    *,
    masks: Sequence[Mask] | None = None,
    compensation: Compensation | None = "independent",
    x: Samples | None = None,
    metric: Metric | None = None,
    target: MLP | None = None,
) -> Pruned:
    """Remove the round(sparsity · n) weights of lowest importance and shift the biases (EC-5.1).

    Ties go by (layer, row, column).

    Parameters
    ----------
    mlp : MLP
        The network.
    scores : Scores
        Of any criterion.
    sparsity : float
        From 0 to 1: the fraction of the weights that are zero in the result.
    scope : {"global", "layer"}, default "global"
        Whether all weights are compared, or those of each layer, which then have the same sparsity.
    masks : sequence of L bool arrays (n_l, n_{l-1}), optional
        True = kept, of a network that is pruned already: what they removed stays removed and counts.
    compensation : {"independent", "guarded", "joint", "row", "refit"} or None, default "independent"
        What answers: each bias by Σ_{j removed} δ*_ij; the same held back where it does harm, so that the true change
        is never above that of no shift (EC-5.12); all biases, optimal together to first order (EC-5.4); each neuron's
        surviving weights and bias, by least squares (EC-5.10); the best biases that a search finds (EC-5.5); nothing.
    x : array (N, n_0), ec.Batch, or an iterator of them, optional
        The samples that all but "independent" and None need; all but "joint" read them more than once.
    metric : str or callable, optional
        What these measure a change with, as `collect_moments`; "output" by default.
    target : MLP, optional
        The network that "guarded", "row" and "refit" aim at; `mlp` by default.

    Returns
    -------
    Pruned
        The pruned network and its masks.

    Raises
    ------
    TypeError, ValueError
        For a wrong argument or one without effect, and where `masks` have removed more already.
    BatchError
        For a batch that is wrong or does not come.

    Examples
    --------
    >>> mlp = ec.MLP([[[2.0, 1.0]]], [[0.0]])
    >>> pruned = ec.prune(mlp, ec.elimination_compensation(mlp, [[1.0, 5.0], [3.0, 5.0]]), 0.5)
    >>> pruned
    Pruned(2-1, 50.0 % removed)
    >>> pruned.mlp.weights[0], pruned.mlp.biases[0]
    (array([[2., 0.]]), array([5.]))
    """
    _checks.instance("mlp", mlp, MLP)
    _checks.instance("scores", scores, Scores)
    _checks.number("sparsity", sparsity, 0, 1)
    _checks.one_of("scope", scope, get_args(Scope))
    check_compensation(compensation)
    _check_samples(compensation, x, metric, target)
    if target is not None:
        same_architecture("target", target, mlp)
    _checks.per_layer("scores.importance", scores.importance, mlp.shapes)
    before = all_kept(mlp) if masks is None else _checks.boolean_masks(masks, mlp.shapes)
    after = least_important_removed(scores, before, sparsity, scope)
    removed = tuple(kept & ~still for kept, still in zip(before, after))
    aim = mlp if target is None else target
    removal = Removal(mlp, scores, after, removed, x, "output" if metric is None else metric, aim)
    return Pruned(COMPENSATIONS[compensation](removal), after)


def least_important_removed(scores: Scores, masks: Masks, sparsity: float, scope: Scope) -> Masks:
    """Masks that remove the weights of lowest importance, in all or in each layer, besides those that are gone."""
    if scope == "global":
        return _keep_most_important(scores.importance, masks, sparsity)
    return tuple(_keep_most_important([i], [m], sparsity)[0] for i, m in zip(scores.importance, masks))


def _keep_most_important(importance: Sequence[Array], kept: Sequence[Mask], sparsity: float) -> Masks:
    """Masks that remove exactly round(sparsity · n) weights, those already removed among them."""
    already = ~np.concatenate([k.ravel() for k in kept])
    n_removed = round(sparsity * already.size)
    if already.sum() > n_removed:
        raise ValueError(f"sparsity: expected at least the {already.mean():.6g} that masks removed, got {sparsity}")
    flat = np.concatenate([i.ravel() for i in importance])
    order = np.lexsort((flat, ~already))  # removed ones first, then by importance; stable, so ties go in order
    mask = np.ones(already.size, bool)
    mask[order[:n_removed]] = False
    ends = np.cumsum([k.size for k in kept])
    return tuple(m.reshape(k.shape) for m, k in zip(np.split(mask, ends[:-1]), kept))


@dataclass(frozen=True, eq=False)
class Removal:
    """What a compensation answers for: `removed` weights of `mlp`, which leave `masks`, and on which samples."""

    mlp: MLP
    scores: Scores
    masks: Masks
    removed: Masks
    x: Samples | None
    metric: Metric
    target: MLP

    @property
    def samples(self) -> Samples:
        """x of a compensation that needs them, which `prune` has checked."""
        assert self.x is not None
        return self.x

    @property
    def shifts(self) -> list[Array]:
        """δ_i = Σ_{j removed} δ*_ij, per layer (n_l,) (EC-5.1)."""
        return [np.where(gone, d, 0).sum(axis=1) for gone, d in zip(self.removed, self.scores.bias_shift)]

    def with_shifts(self, shifts: Sequence[Array]) -> MLP:
        """W_ij = 0 where removed, and b_i + δ_i (EC-5.1)."""
        weights = [np.where(mask, w, 0) for w, mask in zip(self.mlp.weights, self.masks)]
        return self.mlp.replace(weights, [b + d.astype(self.mlp.dtype) for b, d in zip(self.mlp.biases, shifts)])


def uncompensated_removal(removal: Removal) -> MLP:
    """Nothing answers: δ = 0."""
    return removal.with_shifts([np.zeros_like(b) for b in removal.mlp.biases])


def independent(removal: Removal) -> MLP:
    """The paper's: δ_i = Σ_{j removed} δ*_ij (EC-5.1)."""
    return removal.with_shifts(removal.shifts)


def guarded(removal: Removal) -> MLP:
    """The paper's, held back where they do harm (EC-5.12)."""
    bare = uncompensated_removal(removal)
    biases = guarded_biases(bare, removal.shifts, removal.target, removal.samples, removal.metric)
    return bare.replace(bare.weights, biases)


def joint(removal: Removal) -> MLP:
    """All biases, optimal together to first order (EC-5.4)."""
    kept = [~gone for gone in removal.removed]
    return removal.with_shifts(joint_shifts(removal.mlp, removal.samples, kept, removal.metric))


def refit(removal: Removal) -> MLP:
    """The best of the others, and from there the best biases that a search finds (EC-5.5)."""
    x, metric = removal.samples, removal.metric
    starts = [start(removal) for start in (independent, joint, uncompensated_removal)]
    changes = [true_change(start, removal.target, x, metric) for start in starts]
    best = starts[int(np.argmin(changes))]
    return refit_biases(Pruned(best, removal.masks), removal.target, x, metric).mlp


def row(removal: Removal) -> MLP:
    """Each neuron's own surviving weights and its bias, against the target (EC-5.10)."""
    return refit_rows(removal.mlp, removal.masks, removal.target, removal.samples, removal.metric)


COMPENSATIONS: dict[Compensation | None, Callable[[Removal], MLP]] = {
    None: uncompensated_removal,
    "independent": independent,
    "guarded": guarded,
    "joint": joint,
    "row": row,
    "refit": refit,
}
NEED_SAMPLES = ("guarded", "joint", "row", "refit")
AIM_AT_TARGET = ("guarded", "row", "refit")  # they read the samples more than once


def check_compensation(compensation: Compensation | None) -> None:
    """Raise unless it is None or the name of one."""
    if compensation is not None:
        _checks.one_of("compensation", compensation, get_args(Compensation))


def _check_samples(
    compensation: Compensation | None, x: Samples | None, metric: Metric | None, target: MLP | None
) -> None:
    """Raise where samples are missing, are used up before the end, or nothing would come of an argument."""
    why = f"with compensation {compensation!r}"
    if compensation not in AIM_AT_TARGET:
        _checks.without_effect(target=(target, why))
    if compensation not in NEED_SAMPLES:
        _checks.without_effect(x=(x, why), metric=(metric, why))
    elif x is None:
        raise ValueError(f'x: compensation "{compensation}" needs samples, got None')
    elif compensation in AIM_AT_TARGET:
        repeatable(x)
