"""What goes wrong in the pruning step: how many weights go, which, and what the biases make of it (EC-5.1)."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from ..._types import Array
from .._pruned_cases import kept_masks
from ._mistake import Mistake
from ._parts import Pairs, Parts, again, scores, uncompensated

Masks = Sequence[Array]
LABEL = "EC-5.1"


def _importances(p: Parts) -> tuple[Array, ...]:
    return tuple(I for I, _ in scores(p))


def _lowest(importance: Sequence[Array], count: Callable[[int], float], scope: str, last_first: bool = False) -> Masks:
    """True = kept, where count(n) weights of lowest importance go in each group."""
    masks = [np.ones(I.shape, bool) for I in importance]
    flat = [m.reshape(-1) for m in masks]
    groups = [list(range(len(masks)))] if scope == "global" else [[l] for l in range(len(masks))]
    for layers in groups:
        values = np.concatenate([importance[l].ravel() for l in layers])
        order = np.argsort(values, kind="stable")
        if last_first:
            order = np.lexsort((-np.arange(len(values)), values))
        kept = np.ones(len(values), bool)
        kept[order[: max(0, int(count(len(values))))]] = False
        for l, part in zip(layers, np.split(kept, np.cumsum([flat[l].size for l in layers])[:-1])):
            flat[l][:] = part
    return masks


def _right_masks(p: Parts) -> Masks:
    return kept_masks(_importances(p), p.sparsity, p.scope)


def _right_shifts(p: Parts, masks: Masks) -> list[Array]:
    return [b + np.where(mask, 0, d).sum(axis=1) for b, mask, (_, d) in zip(p.b, masks, scores(p))]


def _with_masks(choose: Callable[[Parts], Masks]) -> Callable[[Parts], Pairs]:
    """Other masks, and the shifts that go with them."""

    def formula(p: Parts) -> Pairs:
        masks = choose(p)
        return [(np.where(m, w, 0), b) for m, w, b in zip(masks, p.w, _right_shifts(p, masks))]

    return formula


def _with_biases(biases: Callable[[Parts, Masks], Sequence[Array]]) -> Callable[[Parts], Pairs]:
    """Other biases beside the right masks."""

    def formula(p: Parts) -> Pairs:
        masks = _right_masks(p)
        return [(np.where(m, w, 0), b) for m, w, b in zip(masks, p.w, biases(p, masks))]

    return formula


def _counted(count: Callable[[float, int], float]) -> Callable[[Parts], Masks]:
    """Another number of weights, as a function of the sparsity and n."""
    return lambda p: _lowest(_importances(p), lambda n: count(p.sparsity, n), p.scope)


def _ranked(importance: Callable[[Parts], Sequence[Array]]) -> Callable[[Parts], Masks]:
    """The right number of weights by another importance."""
    return lambda p: _lowest(importance(p), lambda n: round(p.sparsity * n), p.scope)


def _scope(wrong: str) -> Callable[[Parts], Masks]:
    return lambda p: kept_masks(_importances(p), p.sparsity, wrong)


def _by_row(p: Parts) -> Masks:
    rows = [[kept_masks((row[np.newaxis],), p.sparsity, "global")[0][0] for row in I] for I in _importances(p)]
    return [np.array(mask) for mask in rows]


def _threshold(strict: bool) -> Callable[[Parts], Masks]:
    """All that are below the importance of the last one that is to go, or not above it."""

    def choose(p: Parts) -> Masks:
        importance, masks = _importances(p), []
        together = np.sort(np.concatenate([I.ravel() for I in importance]))
        for I in importance:
            values = together if p.scope == "global" else np.sort(I, axis=None)
            n = round(p.sparsity * len(values))
            cut = values[n - 1] if n else -1.0
            masks.append(cut <= I if strict else cut < I)
        return masks

    return choose


def _zeros_not_counted(p: Parts) -> Masks:
    shifted = [np.where(w == 0, np.inf, I) for I, w in zip(_importances(p), p.w)]
    masks = _lowest(shifted, lambda n: round(p.sparsity * n), p.scope)
    return [mask & (w != 0) for mask, w in zip(masks, p.w)]


def _layer_by_layer(p: Parts) -> Pairs:
    """In scope "layer", each layer's scores on the network whose earlier layers are pruned already."""
    if p.scope == "global":
        return _with_masks(_right_masks)(p)
    now = p
    for l in range(len(p.w)):
        I, d = scores(now)[l]
        (mask,) = kept_masks((I,), p.sparsity, "global")
        w = [*now.w[:l], np.where(mask, p.w[l], 0), *now.w[l + 1 :]]
        b = [*now.b[:l], p.b[l] + np.where(mask, 0, d).sum(axis=1), *now.b[l + 1 :]]
        now = again(now, w=tuple(w), b=tuple(b))
    return list(zip(now.w, now.b))


def _inverted(p: Parts) -> Masks:
    return [~mask for mask in _right_masks(p)]


def _ranked_with_biases(p: Parts) -> Pairs:
    """Biases are ranked with the weights, by b², and go too."""
    together = tuple(np.column_stack([I, b**2]) for I, b in zip(_importances(p), p.b))
    masks = kept_masks(together, p.sparsity, p.scope)
    shifts = _right_shifts(p, [m[:, :-1] for m in masks])
    kept = [np.where(m[:, -1], b, b - own) for m, b, own in zip(masks, shifts, p.b)]
    return [(np.where(m[:, :-1], w, 0), b) for m, w, b in zip(masks, p.w, kept)]


def _last_shift(p: Parts, masks: Masks) -> list[Array]:
    """Only the shift of the last removed weight of each row: each overwrites the one before."""
    biases = []
    for b, mask, (_, d) in zip(p.b, masks, scores(p)):
        last = [row[~kept][-1] if (~kept).any() else 0.0 for row, kept in zip(d, mask)]
        biases.append(b + last)
    return biases


def _shifts(function: Callable[[Array, Array, Array], Array]) -> Callable[[Parts, Masks], list[Array]]:
    """Biases as a function of (b, δ*, mask)."""
    return lambda p, masks: [function(b, d, mask) for b, mask, (_, d) in zip(p.b, masks, scores(p))]


def _sum(d: Array, chosen: Array) -> Array:
    total: Array = np.where(chosen, d, 0).sum(axis=1)
    return total


def _plain_means(p: Parts, masks: Masks) -> list[Array]:
    return [b + _sum(w * a.mean(axis=0), ~mask) for b, w, a, mask in zip(p.b, p.w, p.a, masks)]


def _other_rows(p: Parts, masks: Masks) -> list[Array]:
    return [b + np.roll(_sum(d, ~mask), 1) for b, mask, (_, d) in zip(p.b, masks, scores(p))]


def _zeroed_rows(b: Array, d: Array, mask: Array) -> Array:
    return np.where(mask.any(axis=1), b + _sum(d, ~mask), 0)


MASKS: tuple[tuple[str, str, Callable[[Parts], Masks]], ...] = (
    ("one-too-many", "One weight too many goes, where some stay: round(s n) + 1 (off by one).",
     _counted(lambda s, n: round(s * n) + (0 < s < 1))),
    ("one-too-few", "One weight too few goes: round(s n) − 1 (off by one).", _counted(lambda s, n: round(s * n) - 1)),
    ("rounded-down", "The number of weights is rounded down, ⌊s n⌋: it is round(s n).",
     _counted(lambda s, n: math.floor(s * n))),
    ("rounded-up", "The number of weights is rounded up, ⌈s n⌉: it is round(s n).",
     _counted(lambda s, n: math.ceil(s * n))),
    ("sparsity-is-kept", "The fraction s is kept, where it is to be removed.",
     _counted(lambda s, n: n - round(s * n))),
    ("layer-scope-always", "The weights are compared within each layer, whatever the scope.", _scope("layer")),
    ("global-scope-always", "All weights are compared with each other, whatever the scope.", _scope("global")),
    ("rows-compared", "The weights are compared within each neuron's row.", _by_row),
    ("most-important-removed", "The weights of highest importance go, in place of the lowest.",
     _ranked(lambda p: [-I for I in _importances(p)])),
    ("masks-inverted", "Masks are taken the wrong way round: what is to stay goes.", _inverted),
    ("ties-all-removed", "All weights that tie with the last one go: a threshold (≤) removes more than round(s n).",
     _threshold(strict=False)),
    ("ties-all-kept", "All weights that tie with the last one stay: a threshold (<) removes fewer than round(s n).",
     _threshold(strict=True)),
    ("ties-from-the-end", "Of weights that tie the last one goes first; ties go by (layer, row, column).",
     lambda p: _lowest(_importances(p), lambda n: round(p.sparsity * n), p.scope, last_first=True)),
    ("zeros-not-counted", "Weights that are zero already do not count: round(s n) others go beside them.",
     _zeros_not_counted),
    ("magnitudes-compared", "The weights are ranked by their magnitude |w|, not by importance.",
     _ranked(lambda p: [np.abs(w) for w in p.w])),
    ("uncompensated-compared", "The weights are ranked by R = w² E[s a²], yet biases are shifted.",
     _ranked(lambda p: [uncompensated(*layer) for layer in zip(p.w, p.s, p.a)])),
    ("normalised-by-layer", "Importances are divided by their layer's sum before all are compared.",
     _ranked(lambda p: [I / max(I.sum(), np.finfo(float).tiny) for I in _importances(p)])),
)  # fmt: skip

BIASES: tuple[tuple[str, str, Callable[[Parts, Masks], Sequence[Array]]], ...] = (
    ("shift-sign", "The shifts are subtracted: b + Σ δ* is right.", _shifts(lambda b, d, m: b - _sum(d, ~m))),
    ("no-shift", "The biases are not shifted (or δ* is found after the weights are zero).", _shifts(lambda b, d, m: b)),
    ("shift-of-the-kept", "The shifts of the weights that stay are added, in place of those that go.",
     _shifts(lambda b, d, m: b + _sum(d, m))),
    ("shift-before-the-masks", "The shifts of all weights are added, before the masks.",
     _shifts(lambda b, d, m: b + d.sum(axis=1))),
    ("shift-averaged", "The shifts of a row are averaged: they add up.",
     _shifts(lambda b, d, m: b + _sum(d, ~m) / np.maximum((~m).sum(axis=1), 1))),
    ("shift-averaged-over-the-row", "The shifts of a row are averaged over all its weights: they add up.",
     _shifts(lambda b, d, m: b + _sum(d, ~m) / m.shape[1])),
    ("shift-half", "Half the shift is added.", _shifts(lambda b, d, m: b + _sum(d, ~m) / 2)),
    ("shift-twice", "The shifts are added twice.", _shifts(lambda b, d, m: b + 2 * _sum(d, ~m))),
    ("last-shift-only", "Only one weight's shift of each row is added: each overwrites the one before.", _last_shift),
    ("shift-of-plain-means", "The shifts are w E[a] with the plain mean: it is to be weighted by the sensitivity.",
     _plain_means),
    ("shift-in-the-next-row", "Each neuron's shift is added to the next neuron's bias.", _other_rows),
    ("biases-replaced", "The biases are the shifts alone: b is missing.", _shifts(lambda b, d, m: _sum(d, ~m))),
    ("biases-zeroed", "The biases are zero: biases are never pruned.", _shifts(lambda b, d, m: 0 * b)),
    ("biases-of-empty-rows-zeroed", "Biases of neurons that lose all weights are zero: biases are never pruned.",
     _shifts(_zeroed_rows)),
)  # fmt: skip

PRUNING: tuple[Mistake, ...] = (
    *(Mistake(id, sentence, LABEL, formula=_with_masks(choose)) for id, sentence, choose in MASKS),
    *(Mistake(id, sentence, LABEL, formula=_with_biases(function)) for id, sentence, function in BIASES),
    Mistake("layer-after-layer", "In scope \"layer\", importances and shifts are found anew after each layer, on the "
            "network that is left.", LABEL, formula=_layer_by_layer),
    Mistake("biases-pruned", "Biases are ranked with the weights, by b², and go too: biases are never pruned.", LABEL,
            formula=_ranked_with_biases),
    Mistake("weights-not-removed", "No weight is zero, though the biases are shifted.", LABEL,
            formula=lambda p: list(zip(p.w, _right_shifts(p, _right_masks(p))))),
    Mistake("weights-rescaled", "The weights that stay are scaled by 1/(1 − s), as dropout does.", LABEL,
            formula=lambda p: [(np.where(m, w, 0) / max(1 - p.sparsity, 1e-9), b) for m, w, b in
                               zip(_right_masks(p), p.w, _right_shifts(p, _right_masks(p)))]),
    Mistake("nothing-done", "Weights and biases are as they were.", LABEL, formula=lambda p: list(zip(p.w, p.b))),
)  # fmt: skip
