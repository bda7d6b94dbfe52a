"""Pruning steps as people write them, a right one and wrong ones with what is said of them."""

from __future__ import annotations

import numpy as np

from .passes import Wrong, numpy_float64


def cut(scores, n):
    """A mask of what stays, n entries of a flat array being removed."""
    kept = np.ones(scores.size, bool)
    kept[np.argsort(scores, kind="stable")[:n]] = False
    return kept


def pruner(
    rank=lambda I, w: I,
    number=lambda s, n: round(s * n),
    scope_of=lambda scope: scope,
    choose=cut,
    shift=lambda d, gone: (d * gone).sum(axis=1),
    finish=lambda W, b, masks: (W, b),
):
    """A pruner with parts that can be spoilt: ranking, number, scope, choice, shifts, and what is done in the end."""

    def candidate(weights, biases, activation, x, sparsity, scope):
        importance, shifts = numpy_float64(weights, biases, activation, x)
        flat = [rank(I, w).ravel() for I, w in zip(importance, weights)]
        if scope_of(scope) == "global":
            together = np.concatenate(flat)
            kept = np.split(choose(together, number(sparsity, together.size)), np.cumsum([v.size for v in flat])[:-1])
        else:
            kept = [choose(v, number(sparsity, v.size)) for v in flat]
        masks = [k.reshape(w.shape) for k, w in zip(kept, weights)]
        pruned = [w * mask for w, mask in zip(weights, masks)]
        return finish(pruned, [b + shift(d, ~mask) for b, d, mask in zip(biases, shifts, masks)], masks)

    return candidate


right = pruner()


def at_threshold(scores, n):
    return scores > np.sort(scores)[n - 1] if n else np.ones(scores.size, bool)


def below_threshold(scores, n):
    return scores >= np.sort(scores)[n - 1] if n else np.ones(scores.size, bool)


def percentile(scores, n):
    """np.quantile interpolates."""
    return scores > np.quantile(scores, n / scores.size) if n else np.ones(scores.size, bool)


def partition(scores, n):
    """argpartition leaves ties in any order."""
    kept = np.ones(scores.size, bool)
    kept[np.lexsort((-np.arange(scores.size), scores))[:n]] = False
    return kept


def remembering(weights, biases, activation, x, sparsity, scope, kept={}):  # noqa: B006
    """Masks are kept by the network's shape and never made anew."""
    pruned = right(weights, biases, activation, x, sparsity, scope)
    key = (activation, len(x), *(w.tobytes() for w in weights))
    kept.setdefault(key, pruned)
    return kept[key]


def in_place(weights, biases, activation, x, sparsity, scope):
    pruned, new = right(weights, biases, activation, x, sparsity, scope)
    for w, p in zip(weights, pruned):
        w[...] = p
    return weights, new


def on_the_pruned(weights, biases, activation, x, sparsity, scope):
    """The shifts are found after the weights are gone."""
    pruned, _ = right(weights, biases, activation, x, sparsity, scope)
    _, shifts = numpy_float64(pruned, biases, activation, x)
    return pruned, [b + (d * (p == 0)).sum(axis=1) for b, d, p in zip(biases, shifts, pruned)]


def with_biases_pruned(weights, biases, activation, x, sparsity, scope):
    importance, shifts = numpy_float64(weights, biases, activation, x)
    both = [np.column_stack([I, b**2]) for I, b in zip(importance, biases)]
    flat = [v.ravel() for v in both]
    if scope == "global":
        together = np.concatenate(flat)
        kept = np.split(cut(together, round(sparsity * together.size)), np.cumsum([v.size for v in flat])[:-1])
    else:
        kept = [cut(v, round(sparsity * v.size)) for v in flat]
    masks = [k.reshape(v.shape) for k, v in zip(kept, both)]
    new = [b * m[:, -1] + (d * ~m[:, :-1]).sum(axis=1) for b, d, m in zip(biases, shifts, masks)]
    return [w * m[:, :-1] for w, m in zip(weights, masks)], new


PRUNERS = [
    Wrong("n + 1", pruner(number=lambda s, n: min(n, round(s * n) + 1) if s else 0), "one-too-many"),
    Wrong("n - 1", pruner(number=lambda s, n: max(0, round(s * n) - 1)), "one-too-few"),
    Wrong("int", pruner(number=lambda s, n: int(s * n)), "rounded-down"),
    Wrong("density", pruner(number=lambda s, n: n - round(s * n)), "sparsity-is-kept"),
    Wrong("always by layer", pruner(scope_of=lambda scope: "layer"), "layer-scope-always"),
    Wrong("always global", pruner(scope_of=lambda scope: "global"), "global-scope-always"),
    Wrong("descending", pruner(choose=lambda v, n: cut(-v, n)), "most-important-removed"),
    Wrong("magnitude", pruner(rank=lambda I, w: abs(w)), "magnitudes-compared"),
    Wrong("normalised", pruner(rank=lambda I, w: I / (I.sum() or 1)), "normalised-by-layer"),
    Wrong("threshold", pruner(choose=at_threshold), "ties-all-removed"),
    Wrong("strict threshold", pruner(choose=below_threshold), "ties-all-kept"),
    Wrong("last first", pruner(choose=partition), "ties-from-the-end"),
    Wrong("minus", pruner(shift=lambda d, gone: -(d * gone).sum(axis=1)), "shift-sign"),
    Wrong("kept", pruner(shift=lambda d, gone: (d * ~gone).sum(axis=1)), "shift-of-the-kept"),
    Wrong("all", pruner(shift=lambda d, gone: d.sum(axis=1)), "shift-before-the-masks"),
    Wrong("mean", pruner(shift=lambda d, gone: np.mean(d * gone, axis=1)), "shift-averaged-over-the-row"),
    Wrong("masks again", remembering, "masks-re-used"),
    Wrong("shifts of zeros", on_the_pruned, "no-shift"),
    Wrong("biases too", with_biases_pruned, "biases-pruned"),
    Wrong("no biases", pruner(finish=lambda W, b, m: (W, [0 * v for v in b])), "biases-zeroed"),
    Wrong(
        "tiny", pruner(finish=lambda W, b, m: ([np.where(k, w, 1e-12) for w, k in zip(W, m)], b)), "not-exactly-zero"
    ),
    Wrong("dropout", pruner(finish=lambda W, b, m: ([w / max(k.mean(), 1e-9) for w, k in zip(W, m)], b)), "unknown"),
]
