"""Removing the least important weights and shifting the biases beside them (EC-5)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from . import _checks
from .metrics import Metric
from .mlp import MLP
from .scores import Scores, elimination_compensation

Array = npt.NDArray[Any]
Masks = tuple[npt.NDArray[np.bool_], ...]


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


def prune(
    mlp: MLP,
    scores: Scores,
    sparsity: float,
    scope: str = "global",
    *,
    masks: Sequence[npt.NDArray[np.bool_]] | None = None,
    compensation: str | None = "independent",
) -> Pruned:
    """Remove the round(sparsity · n) weights of lowest importance and shift the biases (EC-5.1).

    b_i gets Σ_{j removed} δ*_ij, or nothing with `compensation=None`.  Ties go by (layer, row, column).
    `scope` is "global", or "layer" for the same sparsity in each.  `masks` (True = kept) are the masks of
    a network that is pruned already: what they removed stays removed and counts.

    Raises ValueError where the scores or masks have other shapes, or more is removed already.
    """
    _checks.instance("mlp", mlp, MLP)
    _checks.instance("scores", scores, Scores)
    _checks.number("sparsity", sparsity, 0, 1)
    _checks.one_of("scope", scope, ("global", "layer"))
    if compensation is not None:
        _checks.one_of("compensation", compensation, ("independent",))
    _checks.per_layer("scores.importance", scores.importance, mlp.shapes)
    kept = _all_kept(mlp) if masks is None else _checks.boolean_masks(masks, mlp.shapes)
    if scope == "global":
        new_masks = _keep_most_important(scores.importance, kept, sparsity)
    else:
        new_masks = tuple(_keep_most_important([i], [k], sparsity)[0] for i, k in zip(scores.importance, kept))
    return Pruned(_remove(mlp, scores, kept, new_masks, compensation), new_masks)


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

    x has shape (N, n_0); `callback(step, pruned)` sees every step, from 1.  The other arguments and
    the errors are those of `collect_moments` and `prune`.
    """
    _checks.instance("mlp", mlp, MLP)
    pruned = Pruned(mlp, _all_kept(mlp))
    for step, target in enumerate(sparsity_schedule(sparsity, steps), start=1):
        scores = elimination_compensation(
            pruned.mlp, x, metric, sample_weight=sample_weight, batch_size=batch_size, y=y, loss=loss
        )
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


def _remove(mlp: MLP, scores: Scores, before: Masks, after: Masks, compensation: str | None) -> MLP:
    """W_ij = 0 where removed, and b_i + Σ_{j newly removed} δ*_ij (EC-5.1)."""
    weights = [np.where(mask, w, 0) for w, mask in zip(mlp.weights, after)]
    biases = list(mlp.biases)
    if compensation is not None:
        newly = [b & ~a for b, a in zip(before, after)]
        biases = [
            b + np.where(gone, shift, 0).sum(axis=1).astype(mlp.dtype)
            for b, gone, shift in zip(biases, newly, scores.bias_shift)
        ]
    return mlp.replace(weights, biases)
