"""Removing the least important weights and shifting the biases beside them (EC-5)."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from . import _checks
from .joint import joint_shifts
from .metrics import Metric
from .mlp import MLP
from .scores import Scores, elimination_compensation
from .survivors import scores_of_survivors

if TYPE_CHECKING:
    from .sparse import SparseMLP

Array = npt.NDArray[Any]
Masks = tuple[npt.NDArray[np.bool_], ...]

COMPENSATIONS = ("independent", "joint", "refit")


@dataclass(frozen=True, eq=False)
class Pruned:
    """A pruned network `mlp` and its `masks`, shaped as its weights, True = kept."""

    mlp: MLP
    masks: Masks

    @property
    def sparsity(self) -> float:
        """The fraction of the weights that are removed."""
        kept = sum(int(m.sum()) for m in self.masks)
        return 1 - kept / self.mlp.n_weights

    def to_sparse(self) -> SparseMLP:
        """The network in compressed sparse rows, with a forward pass of its own."""
        from .sparse import SparseMLP  # here, not above: scipy is slow to import

        return SparseMLP.from_dense(self.mlp)

    def save(self, file: str | os.PathLike[str]) -> str:
        """Write the network to a compressed file; returns its size beside the dense one's."""
        return self.to_sparse().save(file)


def prune(
    mlp: MLP,
    scores: Scores,
    sparsity: float,
    scope: str = "global",
    *,
    masks: Sequence[npt.NDArray[np.bool_]] | None = None,
    compensation: str | None = "independent",
    x: npt.ArrayLike | None = None,
    metric: Metric = "output",
    sample_weight: npt.ArrayLike | None = None,
    y: npt.ArrayLike | None = None,
    loss: str = "mse",
) -> Pruned:
    """Remove the round(sparsity · n) weights of lowest importance and shift the biases (EC-5.1).

    `compensation` is "independent": b_i gets Σ_{j removed} δ*_ij; "joint": all biases get the shifts that are
    optimal together to first order (EC-5.3); "refit": the best of these and of no shift, and from there the best
    biases that a search finds (EC-5.4); or None.  "joint" and "refit" need samples x, and take the arguments of
    `collect_moments`.  Ties go by (layer, row, column).
    `scope` is "global", or "layer" for the same sparsity in each.  `masks` (True = kept) are the masks of
    a network that is pruned already: what they removed stays removed and counts.

    Raises ValueError where the scores or masks have other shapes, or more is removed already.
    """
    _checks.instance("mlp", mlp, MLP)
    _checks.instance("scores", scores, Scores)
    _checks.number("sparsity", sparsity, 0, 1)
    _checks.one_of("scope", scope, ("global", "layer"))
    if compensation is not None:
        _checks.one_of("compensation", compensation, COMPENSATIONS)
        if compensation != "independent" and x is None:
            raise ValueError(f'x: compensation "{compensation}" needs samples, got None')
    _checks.per_layer("scores.importance", scores.importance, mlp.shapes)
    kept = _all_kept(mlp) if masks is None else _checks.boolean_masks(masks, mlp.shapes)
    if scope == "global":
        new_masks = _keep_most_important(scores.importance, kept, sparsity)
    else:
        new_masks = tuple(_keep_most_important([i], [k], sparsity)[0] for i, k in zip(scores.importance, kept))
    removed = tuple(k & ~m for k, m in zip(kept, new_masks))
    nothing = [np.zeros_like(b) for b in mlp.biases]
    if compensation is None:
        return _without(mlp, new_masks, nothing)
    independent = [np.where(gone, d, 0).sum(axis=1) for gone, d in zip(removed, scores.bias_shift)]
    if compensation == "independent" or x is None:
        return _without(mlp, new_masks, independent)
    joint = joint_shifts(mlp, x, [~gone for gone in removed], metric, sample_weight=sample_weight, y=y, loss=loss)
    if compensation == "joint":
        return _without(mlp, new_masks, joint)
    from .oracle import refit_biases, true_change  # here, not above: the oracles use this module

    starts = [_without(mlp, new_masks, shifts) for shifts in (independent, joint, nothing)]
    changes = [true_change(s.mlp, mlp, x, metric, sample_weight=sample_weight, y=y, loss=loss) for s in starts]
    best = starts[int(np.argmin(changes))]
    return refit_biases(best, mlp, x, metric, sample_weight=sample_weight, y=y, loss=loss)


def prune_iteratively(
    mlp: MLP,
    x: npt.ArrayLike,
    sparsity: float,
    *,
    steps: int = 10,
    metric: Metric = "output",
    scope: str = "global",
    sample_weight: npt.ArrayLike | None = None,
    batch_size: int | None = None,
    y: npt.ArrayLike | None = None,
    loss: str = "mse",
    callback: Callable[[int, Pruned], None] | None = None,
) -> Pruned:
    """Prune in `steps` bites, scoring the surviving weights anew before each (EC-5.6).

    Inputs and neurons that no longer reach an output cost nothing from then on (EC-5.8).
    x has shape (N, n_0); `callback(step, pruned)` sees every step, from 1.  The other arguments and
    the errors are those of `collect_moments` and `prune`.
    """
    _checks.instance("mlp", mlp, MLP)
    if isinstance(x, Iterator):
        raise TypeError(f"x: expected an array or a memory map, which each step reads anew, got {type(x).__name__}")
    pruned = Pruned(mlp, _all_kept(mlp))
    for step, target in enumerate(sparsity_schedule(sparsity, steps), start=1):
        score = elimination_compensation if step == 1 else scores_of_survivors  # the first looks at the whole network
        scores = score(pruned.mlp, x, metric, sample_weight=sample_weight, batch_size=batch_size, y=y, loss=loss)
        pruned = prune(pruned.mlp, scores, target, scope, masks=pruned.masks)
        if callback is not None:
            callback(step, pruned)
    return pruned


def sparsity_schedule(sparsity: float, steps: int) -> list[float]:
    """s_t = s (1 − (1 − t/T)³) for t = 1, ..., T: ever smaller bites (EC-5.6; Zhu and Gupta, 2018)."""
    _checks.number("sparsity", sparsity, 0, 1)
    _checks.integer("steps", steps, 1)
    return [sparsity * (1 - (1 - t / steps) ** 3) for t in range(1, steps + 1)]


def _all_kept(mlp: MLP) -> Masks:
    return tuple(np.ones(w.shape, bool) for w in mlp.weights)


def _keep_most_important(importance: Sequence[Array], kept: Sequence[npt.NDArray[np.bool_]], sparsity: float) -> Masks:
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


def _without(mlp: MLP, masks: Masks, shifts: Sequence[Array]) -> Pruned:
    """W_ij = 0 where removed, and b_i + δ_i (EC-5.1)."""
    weights = [np.where(mask, w, 0) for w, mask in zip(mlp.weights, masks)]
    return Pruned(mlp.replace(weights, [b + d.astype(mlp.dtype) for b, d in zip(mlp.biases, shifts)]), masks)
