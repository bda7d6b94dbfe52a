"""What goes wrong in the formulas of importance and shift: means, variances, guards, other criteria."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ..._types import Array
from ._mistake import Mistake
from ._parts import Formula, Pair, Pairs, Parts, about, mean, per_layer, quotient, right, squares, uncompensated


def _plain_mean(w: Array, s: Array, a: Array) -> Pair:
    centre = np.broadcast_to(a.mean(axis=0), w.shape)
    return w**2 * about(s, a, centre), w * centre


def _independent(w: Array, s: Array, a: Array) -> Pair:
    """E[s] Var[a]: the expectation of a product taken for the product of the expectations."""
    return w**2 * s.mean(axis=0)[:, np.newaxis] * a.var(axis=0), w * a.mean(axis=0)


def _median(w: Array, s: Array, a: Array) -> Pair:
    centre = np.broadcast_to(np.median(a, axis=0), w.shape)
    return w**2 * about(s, a, centre), w * centre


def _per_sensitivity(w: Array, s: Array, a: Array) -> Pair:
    importance, shift = right(w, s, a)
    return quotient(importance, s.mean(axis=0)[:, np.newaxis]), shift


def _times_sensitivity(w: Array, s: Array, a: Array) -> Pair:
    importance, shift = right(w, s, a)
    return importance * s.mean(axis=0)[:, np.newaxis], shift


def _not_normalised(w: Array, s: Array, a: Array) -> Pair:
    centre = s.T @ a / len(a)
    return w**2 * about(s, a, centre), w * centre


def _root_weighted(w: Array, s: Array, a: Array) -> Pair:
    centre = mean(np.sqrt(s), a)
    return w**2 * about(s, a, centre), w * centre


def _square_weighted(w: Array, s: Array, a: Array) -> Pair:
    centre = mean(s**2, a)
    return w**2 * about(s, a, centre), w * centre


def _dead_mean(w: Array, s: Array, a: Array) -> Pair:
    importance, shift = right(w, s, a)
    return importance, np.where(s.sum(axis=0)[:, np.newaxis] > 0, shift, w * a.mean(axis=0))


def _unguarded(w: Array, s: Array, a: Array) -> Pair:
    centre = (s.T @ a) / s.sum(axis=0)[:, np.newaxis]
    return w**2 * about(s, a, centre), w * centre


def _uncompensated(w: Array, s: Array, a: Array) -> Pair:
    return uncompensated(w, s, a), np.zeros_like(w)


def _deviation(w: Array, s: Array, a: Array) -> Pair:
    """E[s |a − μ|]: the mean absolute deviation."""
    centre = mean(s, a)
    deviation = np.array([own @ np.abs(a - row) for own, row in zip(s.T, centre)])
    return w**2 * deviation / len(a), w * centre


def _square_of_mean(p: Parts) -> Pairs:
    """Σ_k E[J_k (a − μ)]² w²: the mean taken before the square."""
    pairs = []
    for w, s, a, J in zip(p.w, p.s, p.a, p.J):
        centre = mean(s, a)
        change = (np.einsum("kni,nj->kij", J, a) - J.sum(axis=1)[:, :, np.newaxis] * centre) / len(a)
        pairs.append((w**2 * (change**2).sum(axis=0), w * centre))
    return pairs


def _by_row(with_bias: bool) -> Callable[[Parts], Pairs]:
    """w²/[H⁻¹]_jj with the row's H = E[s a aᵀ]: the row's other weights compensate too (EC-6)."""

    def formula(p: Parts) -> Pairs:
        pairs = []
        for w, s, a in zip(p.w, p.s, p.a):
            wide = np.column_stack([a, np.ones(len(a))]) if with_bias else a
            H = np.einsum("ni,nj,nk->ijk", s, wide, wide) / len(a)
            inverse = np.linalg.pinv(H, hermitian=True)
            there = np.einsum("ijj->ij", H) > 0  # not so a dead input, of which only rounding is inverted
            diagonal = np.where(there, np.einsum("ijj->ij", inverse), 0)[:, : w.shape[1]]
            pairs.append((quotient(w**2, diagonal), np.zeros_like(w)))
        return pairs

    return formula


def _all_biases(p: Parts) -> Pairs:
    """What is left where every bias of the network answers, not the neuron's own alone (EC-5)."""
    J = np.concatenate(p.J, axis=2)
    R, N, _ = J.shape
    answer = np.linalg.pinv(J.reshape(R * N, -1)).reshape(-1, R, N)
    pairs, start = [], 0
    for w, s, a, mine in zip(p.w, p.s, p.a, p.J):
        best = np.einsum("bkn,kni,nj->ijb", answer, mine, a)
        saved = np.einsum("ijb,kni,nj,knb->ij", best, mine, a, J, optimize=True) / N
        shift = w * best[np.arange(len(w)), :, start + np.arange(len(w))]
        pairs.append((np.maximum(uncompensated(w, s, a) - w**2 * saved, 0), shift))
        start += len(w)
    return pairs


def _of_weights(importance: Callable[[Array, Array, Array], Array]) -> Callable[[Parts], Pairs]:
    """Another criterion of (w, E-th part of the gradient J (K, N, n), a), which shifts no bias."""
    return lambda p: [(importance(w, J, a), np.zeros_like(w)) for w, J, a in zip(p.w, p.J, p.a)]


def _gradient(J: Array, a: Array) -> Array:
    gradient: Array = J.sum(axis=0).T @ a / len(a)
    return gradient


CRITERIA: tuple[tuple[str, str, str, Callable[[Array, Array, Array], Array]], ...] = (
    ("magnitude-criterion", "EC-6.6",
     "The importance is the magnitude |w|: another criterion, with no samples in it.",
     lambda w, J, a: np.abs(w)),
    ("squared-magnitude-criterion", "EC-6.6",
     "The importance is w²: magnitude, another criterion, with no samples in it.",
     lambda w, J, a: w**2),
    ("wanda-criterion", "EC-6.7",
     "The importance is |w| √(Σ_n a²), Wanda's: the norm of the inputs, no sensitivity and no mean.",
     lambda w, J, a: np.abs(w) * np.sqrt((a**2).sum(axis=0))),
    ("wanda-mean-criterion", "EC-6.7",
     "The importance is |w| √(E[a²]), Wanda's with the mean: no sensitivity and no mean.",
     lambda w, J, a: np.abs(w) * np.sqrt((a**2).mean(axis=0))),
    ("squared-wanda-criterion", "EC-6.7",
     "The importance is w² E[a²]: Wanda's squared, no sensitivity and no mean subtracted.",
     lambda w, J, a: w**2 * (a**2).mean(axis=0)),
    ("fluctuation-criterion", "EC-6.7",
     "The importance is w² Var[a]: no sensitivity, and no shift.",
     lambda w, J, a: w**2 * a.var(axis=0)),
    ("gradient-magnitude-criterion", "EC-6.8",
     "The importance is |w ∂Σf/∂w|, gradient times weight: another criterion.",
     lambda w, J, a: np.abs(w * _gradient(J, a))),
    ("gradient-criterion", "EC-6.8",
     "The importance is |∂Σf/∂w|, the gradient alone: another criterion.",
     lambda w, J, a: np.abs(_gradient(J, a))),
    ("squared-gradient-criterion", "EC-6.8",
     "The importance is (w ∂Σf/∂w)², gradient times weight squared: another criterion.",
     lambda w, J, a: (w * _gradient(J, a)) ** 2),
    ("fisher-criterion", "EC-6.8",
     "The importance is w² E[(∂Σf/∂w)²], the empirical Fisher's of the summed outputs.",
     lambda w, J, a: w**2 * ((J.sum(axis=0) ** 2).T @ a**2) / len(a)),
    ("half-uncompensated-criterion", "EC-3.6",
     "The importance is ½ w² E[s a²], Optimal Brain Damage's: no bias compensates.",
     lambda w, J, a: uncompensated(w, squares(J), a) / 2),
)  # fmt: skip

LAYERWISE: tuple[tuple[str, str, str, Formula], ...] = (
    ("plain-mean", "The activations' plain mean E[a] takes the place of the sensitivity-weighted mean μ = E[s a]/S.",
     "EC-3.4", _plain_mean),
    ("plain-mean-importance", "The variance is taken about the plain mean, E[s (a − E[a])²]; the shift is right.",
     "EC-3.5", lambda w, s, a: (_plain_mean(w, s, a)[0], right(w, s, a)[1])),
    ("expectations-multiplied", "Sensitivity and activation are averaged separately, E[s] Var[a], as if they were "
     "independent.", "EC-3.5", _independent),
    ("expectations-multiplied-importance", "Sensitivity and activation are averaged separately, E[s] Var[a], as if "
     "they were independent; the shift is right.", "EC-3.5",
     lambda w, s, a: (_independent(w, s, a)[0], right(w, s, a)[1])),
    ("median", "The median of the activations takes the place of their weighted mean μ.", "EC-3.4", _median),
    ("variance-per-sensitivity", "The weighted variance is divided by S = E[s]: v is E[s (a − μ)²], not normalised.",
     "EC-3.5", _per_sensitivity),
    ("variance-times-sensitivity", "The weighted variance is multiplied by S = E[s], which v has in it already.",
     "EC-3.5", _times_sensitivity),
    ("mean-not-normalised", "The mean is E[s a], without the division by S = E[s].", "EC-3.4", _not_normalised),
    ("no-compensation", "The importance is that without compensation, R = w² E[s a²], and the shift is zero: Optimal "
     "Brain Damage.", "EC-3.6", _uncompensated),
    ("importance-without-compensation", "The importance is that without compensation, R = w² E[s a²]; the shift is "
     "right but not accounted for.", "EC-3.6", lambda w, s, a: (uncompensated(w, s, a), right(w, s, a)[1])),
    ("gain-for-importance", "The importance is what compensation saves, R − I = w² S μ², not what is lost after it.",
     "EC-3.7", lambda w, s, a: (uncompensated(w, s, a) - right(w, s, a)[0], right(w, s, a)[1])),
    ("weight-not-squared", "The importance is |w| v: the weight is not squared.", "EC-3.5",
     lambda w, s, a: (np.abs(w) * about(s, a, mean(s, a)), right(w, s, a)[1])),
    ("weight-signed", "The importance is w v: the weight is not squared, and its sign is in it.", "EC-3.5",
     lambda w, s, a: (w * about(s, a, mean(s, a)), right(w, s, a)[1])),
    ("weight-missing", "The importance is v, without w².", "EC-3.5",
     lambda w, s, a: (about(s, a, mean(s, a)), right(w, s, a)[1])),
    ("absolute-deviation", "The importance has E[s |a − μ|]: the deviation is not squared.", "EC-3.5", _deviation),
    ("mean-weighted-by-root", "The mean is weighted with √s, where the weights are s.", "EC-3.4", _root_weighted),
    ("mean-weighted-by-square", "The mean is weighted with s², where the weights are s.", "EC-3.4", _square_weighted),
    ("nan-at-dead-neurons", "0/0 at dead neurons: where S = 0, I and δ* are 0.", "EC-3.8", _unguarded),
    ("nan-shift-at-dead-neurons", "0/0 in the shift of dead neurons: where S = 0, δ* is 0.", "EC-3.8",
     lambda w, s, a: (right(w, s, a)[0], _unguarded(w, s, a)[1])),
    ("plain-mean-at-dead-neurons", "A dead neuron's shift is w E[a]: where S = 0, it is 0.", "EC-3.8", _dead_mean),
)  # fmt: skip

FORMULA: tuple[Mistake, ...] = (
    *(Mistake(id, sentence, label, formula=per_layer(formula)) for id, sentence, label, formula in LAYERWISE),
    Mistake(
        "mean-before-square",
        "The mean is taken before the square: E[J (a − μ)]² in place of E[J² (a − μ)²].",
        "EC-3.3",
        formula=_square_of_mean,
    ),
    *(Mistake(id, sentence, label, formula=_of_weights(function)) for id, label, sentence, function in CRITERIA),
    Mistake(
        "row-compensates",
        "The row's other weights compensate, not the bias: w²/[H⁻¹]_jj, as Optimal Brain Compression (OBC) has it.",
        "EC-6.3",
        formula=_by_row(False),
    ),
    Mistake(
        "row-and-bias-compensate",
        "The row's other weights compensate beside the bias: Optimal Brain Compression (OBC) with a bias.",
        "EC-6.3",
        formula=_by_row(True),
    ),
    Mistake(
        "all-biases-compensate",
        "All biases of the network compensate jointly, not the neuron's own alone.",
        "EC-5.4",
        formula=_all_biases,
    ),
)
