"""The cases of a pruning step: networks of the suite, a sparsity and a scope that leave no doubt which weights go.

The importances on both sides of the cut are clearly apart; or they tie where every order of summation gives the same
number: 0 of a weight that is 0, an input that is always 0 or a dead neuron, or numbers of which all sums are exact.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import product
from math import fsum

import numpy as np

from .._types import Array
from ._case import Case, Layers, Reference

NETWORKS = (
    "relu-3-layers", "tanh-2-layers", "gelu-3-layers", "depth-1", "depth-5", "square-deep", "correlated-softplus",
    "layers-of-unlike-size", "positive-inputs", "dead-relu", "zero-input", "pruned-weights",
)  # fmt: skip
SPARSITIES = (0.3, 0.55, 0.8, 1.0, 0.0)  # what removes something first: a pruner may keep its masks
SCOPES = ("global", "layer")
APART = 1e-4  # of the scales: what float32 does not bridge
HALF = 0.05  # how far from a half the number of weights is, before it is rounded


def pruning_cases(networks: Sequence[Case]) -> tuple[Case, ...]:
    """Those of the suite's networks, then the ones with ties."""
    known = {case.name: case for case in networks}
    plain = [_pruned(known[name], s, scope) for name, s, scope in product(NETWORKS, SPARSITIES, SCOPES)]
    tied = [_pruned(case, s, scope) for case, s, scope in product(_with_ties(), (0.25, 0.5, 0.75), SCOPES)]
    return tuple(case for case in (*plain, *tied) if case is not None)


def kept_masks(importance: Layers, sparsity: float, scope: str) -> tuple[Array, ...]:
    """True = kept: all but the round(s · n) of lowest importance, ties by (layer, row, column) (EC-5.1)."""
    masks = tuple(np.ones(I.shape, bool) for I in importance)
    for group in _groups(importance, scope):
        for l, *place in group[: round(sparsity * len(group))]:
            masks[l][tuple(place)] = False
    return masks


def _groups(importance: Layers, scope: str) -> list[list[tuple[int, ...]]]:
    """The places of weights that are compared with each other, in the order in which they go."""
    places = [(l, *place) for l, I in enumerate(importance) for place in np.ndindex(I.shape)]
    groups = [places] if scope == "global" else [[p for p in places if p[0] == l] for l in range(len(importance))]
    return [sorted(group, key=lambda p: (importance[p[0]][p[1:]], p)) for group in groups]


def _pruned(case: Case, sparsity: float, scope: str) -> Case | None:
    """The pruning of a network; None where it is in doubt which weights go."""
    importance, R = case.reference.of("importance")
    shift, scale = case.reference.of("bias_shift")
    ties = False
    for group in _groups(importance, scope):
        share, n = sparsity * len(group), round(sparsity * len(group))
        if abs(share % 1 - 0.5) < HALF:
            return None
        if 0 < n < len(group):
            below, above = (
                (importance[l][place], R[l][place]) for l, *p in group[n - 1 : n + 1] for place in [tuple(p)]
            )
            tie = below[0] == above[0] and all(_is_exact(case, p) for p in group[n - 1 : n + 1])
            if not tie and above[0] - below[0] <= APART * (above[1] + below[1]):
                return None
            ties |= tie
    masks = kept_masks(importance, sparsity, scope)
    reference = Reference(
        weights=tuple(np.where(mask, w, 0.0) for mask, w in zip(masks, case.weights)),
        weights_scale=tuple(np.where(mask, np.abs(w), 0.0) for mask, w in zip(masks, case.weights)),
        biases=tuple(_summed(b, d, mask) for b, d, mask in zip(case.biases, shift, masks)),
        biases_scale=tuple(_summed(np.abs(b), s, mask) for b, s, mask in zip(case.biases, scale, masks)),
    )
    return replace(
        case,
        name=f"{case.name}-{scope}-{sparsity:g}",
        flags=("ties" if ties else f"{scope} scope", f"{scope} scope", f"sparsity {sparsity:g}", *case.flags[1:]),
        note=f"{case.note}; {100 * sparsity:g} % are removed, scope {scope!r}",
        reference=reference,
        kind="pruner",
        sparsity=sparsity,
        scope=scope,
    )


def _is_exact(case: Case, place: tuple[int, ...]) -> bool:
    """Whether a weight's importance is the same number in every order of summation."""
    l, i, j = place
    dead = not case.reference.importance_scale[l][i].any() and case.weights[l][i].any()
    silent = not case.reference.importance_scale[l][:, j].any() and case.weights[l][:, j].any()
    return bool(case.group == "ties" or case.weights[l][i, j] == 0 or dead or silent)


def _summed(b: Array, d: Array, mask: Array) -> Array:
    """b_i + Σ_{j removed} d_ij, rounded once (EC-5.1)."""
    return np.array([fsum([own, *row[~kept]]) for own, row, kept in zip(b.tolist(), d, mask)])


def _with_ties() -> Iterator[Case]:
    """Linear networks of small integers on four samples: every sum and mean is exact, whatever its order."""
    x = np.array([[2, 2, 3, 2], [0, 2, -1, 0], [2, 0, -1, 0], [0, 0, 3, 2]], np.float64)
    one = [[[1, -2, 1, 2], [2, 1, -1, 1], [1, 1, 0.5, -2]]]
    two = [[[1, -1, 1, 1], [-1, 1, 0.5, 1], [1, 1, 1, -1]], [[1, 1, -1], [1, -1, 1]]]
    for name, weights in (("ties", one), ("ties-two-layers", two)):
        w = tuple(np.array(layer, np.float64) for layer in weights)
        b = tuple(np.arange(len(layer)) - 0.5 for layer in w)
        note = "importances tie: first goes the first in the order (layer, row, column)"
        yield Case(name, ("ties",), note, w, b, "identity", x, _linear_reference(w, b, x))


def _linear_reference(w: Layers, b: Layers, x: Array) -> Reference:
    """What is right for a linear network, whose sensitivities are the same for all samples (EC-3.4, EC-3.5, EC-3.6)."""
    inputs = [x]
    for weight, bias in zip(w[:-1], b[:-1]):
        inputs.append(inputs[-1] @ weight.T + bias)
    J = [np.eye(len(b[-1]))]
    for weight in w[:0:-1]:
        J.insert(0, J[0] @ weight)
    s = [(j**2).sum(axis=0)[:, np.newaxis] for j in J]
    mean, square = [a.mean(axis=0) for a in inputs], [(a**2).mean(axis=0) for a in inputs]
    return Reference(
        importance=tuple(v**2 * S * ((a - m) ** 2).mean(axis=0) for v, S, a, m in zip(w, s, inputs, mean)),
        bias_shift=tuple(v * m for v, m in zip(w, mean)),
        importance_scale=tuple(v**2 * S * q for v, S, q in zip(w, s, square)),
        bias_shift_scale=tuple(np.abs(v) * np.sqrt(q) for v, q in zip(w, square)),
    )
