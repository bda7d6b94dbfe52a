"""What is done wrong to the shifts alone: signs, weights, other means, sums over the row."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ..._types import Array
from ._mistake import Mistake, changed, with_shift
from ._parts import Pairs, Parts, mean, quotient

SHIFTS: tuple[tuple[str, str, Callable[[Array, Array, Array], Array]], ...] = (
    ("plain-mean-shift", "The bias shift is w E[a], with the plain mean; the importance is right.",
     lambda w, s, a: w * a.mean(axis=0)),
    ("shift-not-normalised", "The bias shift is w E[s a], without the division by S = E[s]; the importance is right.",
     lambda w, s, a: w * (s.T @ a / len(a))),
    ("shift-summed-over-samples", "The bias shift is w Σ_n s a, summed and without the division by S.",
     lambda w, s, a: w * (s.T @ a)),
    ("shift-divided-by-sum", "The bias shift is w E[s a]/Σ_n s: it is divided by N once too often.",
     lambda w, s, a: w * mean(s, a) / len(a)),
    ("shift-divided-by-N-squared", "The bias shift is divided by N twice too often.",
     lambda w, s, a: w * mean(s, a) / len(a) ** 2),
    ("shift-times-N", "The bias shift is N times the right one: its mean is a sum over the samples.",
     lambda w, s, a: w * mean(s, a) * len(a)),
    ("shift-weighted-by-root", "The mean in the bias shift is weighted with √s, where the weights are s.",
     lambda w, s, a: w * mean(np.sqrt(s), a)),
    ("shift-weighted-by-square", "The mean in the bias shift is weighted with s², where the weights are s.",
     lambda w, s, a: w * mean(s**2, a)),
    ("shift-times-sensitivity-twice", "The bias shift is w μ S²: S multiplies it twice.",
     lambda w, s, a: w * mean(s, a) * s.mean(axis=0)[:, np.newaxis] ** 2),
    ("shift-per-sensitivity", "The bias shift is w μ/S: it is divided by the sensitivity once too often.",
     lambda w, s, a: quotient(w * mean(s, a), s.mean(axis=0)[:, np.newaxis])),
    ("shift-without-weight", "The bias shift is μ, without the weight w.", lambda w, s, a: mean(s, a)),
    ("shift-absolute", "The bias shift is |w| μ: the weight's sign is lost.", lambda w, s, a: np.abs(w) * mean(s, a)),
    ("shift-of-absolute-mean", "The bias shift is w |μ|: the mean's sign is lost.",
     lambda w, s, a: w * np.abs(mean(s, a))),
    ("shift-of-absolute-inputs", "The bias shift is w E[s |a|]/S: the inputs are taken absolutely.",
     lambda w, s, a: w * mean(s, np.abs(a))),
    ("shift-of-squares", "The bias shift is w E[s a²]/S: the inputs are squared.", lambda w, s, a: w * mean(s, a**2)),
    ("shift-of-root-of-squares", "The bias shift is w √(E[s a²]/S), the root mean square in place of the mean.",
     lambda w, s, a: w * np.sqrt(mean(s, a**2))),
    ("shift-of-first-sample", "The bias shift is w a of the first sample, not of the mean.",
     lambda w, s, a: np.broadcast_to(w * a[0], w.shape)),
    ("shift-of-last-sample", "The bias shift is w a of the last sample, not of the mean.",
     lambda w, s, a: np.broadcast_to(w * a[-1], w.shape)),
    ("shift-of-median", "The bias shift is w times the median of the inputs.",
     lambda w, s, a: w * np.median(a, axis=0)),
    ("shift-has-squared-weight", "The bias shift is w² μ: the weight is squared.", lambda w, s, a: w**2 * mean(s, a)),
    ("shift-per-weight", "The bias shift is μ/w: it is divided by the weight.",
     lambda w, s, a: quotient(mean(s, a), w)),
    ("shift-of-weight-alone", "The bias shift is w, without the mean μ.", lambda w, s, a: w),
    ("shift-of-row-mean", "Each neuron's inputs have one mean, over all of them: the bias shift is w times that.",
     lambda w, s, a: w * mean(s, a).mean(axis=1, keepdims=True)),
)  # fmt: skip

SHIFTED: tuple[tuple[str, str, Callable[[Array, Parts], Array]], ...] = (
    ("shift-sign", "The bias shift has the wrong sign: removing w needs δ* = +w μ.", lambda d, p: -d),
    ("shift-zero", "The bias shift is zero; the importance is right.", lambda d, p: np.zeros_like(d)),
    ("shift-of-the-row", "Every entry of a row has the row's total shift Σ_j w_j μ_j, not its own.",
     lambda d, p: np.broadcast_to(d.sum(axis=1, keepdims=True), d.shape)),
    ("shift-averaged-over-the-row", "Every entry of a row has the mean shift of the row, not its own.",
     lambda d, p: np.broadcast_to(d.mean(axis=1, keepdims=True), d.shape)),
    ("shift-of-the-column", "Every entry of a column has the column's total shift, not its own.",
     lambda d, p: np.broadcast_to(d.sum(axis=0, keepdims=True), d.shape)),
    ("shift-of-the-others", "Every entry has the shift of the row's other weights, the row's total without its own.",
     lambda d, p: d.sum(axis=1, keepdims=True) - d),
    ("shift-accumulated", "The shifts are accumulated along the row.", lambda d, p: d.cumsum(axis=1)),
    ("shift-absolute-value", "The bias shift is |w μ|: its sign is lost.", lambda d, p: np.abs(d)),
    ("shift-half", "The bias shift has a factor 1/2.", lambda d, p: d / 2),
    ("shift-double", "The bias shift has a factor 2.", lambda d, p: 2 * d),
    ("shift-squared", "The bias shift is squared.", lambda d, p: d**2),
    ("shift-per-output", "The bias shift is divided by the number of outputs K.", lambda d, p: d / p.f.shape[1]),
    ("shift-per-input", "The bias shift is divided by the number of the layer's inputs.", lambda d, p: d / d.shape[1]),
    ("shift-positive-part", "Negative bias shifts are set to zero.", lambda d, p: np.maximum(d, 0)),
)  # fmt: skip


def _with_bias(pairs: Pairs, p: Parts) -> Pairs:
    return [(I, d + b[:, np.newaxis]) for (I, d), b in zip(pairs, p.b)]


def _next_layers(pairs: Pairs, p: Parts) -> Pairs:
    """The shifts of the next layer, as far as they fit, and the first one's at the end."""
    shifts = [d for _, d in pairs]
    return [(I, np.resize(d, I.shape)) for (I, _), d in zip(pairs, [*shifts[1:], shifts[0]])]


SHIFT: tuple[Mistake, ...] = (
    *(Mistake(id, sentence, "EC-3.4", after=with_shift(function)) for id, sentence, function in SHIFTS),
    *(Mistake(id, sentence, "EC-3.4", after=changed(shift=function)) for id, sentence, function in SHIFTED),
    Mistake(
        "shift-is-the-new-bias", "The bias shift is b + δ*, the new bias, not its change.", "EC-3.4", after=_with_bias
    ),
    Mistake("shift-of-next-layer", "Each layer has the next layer's bias shifts.", "EC-3.4", after=_next_layers),
)
