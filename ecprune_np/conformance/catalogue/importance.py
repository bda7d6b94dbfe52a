"""What is done wrong to right importances in the end: factors, powers, sums, scales of their own, ranks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..._types import Array
from ._mistake import Mistake, changed
from ._parts import Pairs, Parts, quotient, uncompensated

ROUNDING = 1e-13

IMPORTANCES: tuple[tuple[str, str, str, Callable[[Array, Parts], Array]], ...] = (
    ("half", "The importance has a factor 1/2, as the saliency of Optimal Brain Damage has.", "EC-3.5",
     lambda I, p: I / 2),
    ("double", "The importance has a factor 2, as a second derivative of a square has.", "EC-3.5", lambda I, p: 2 * I),
    ("sum-over-samples", "The importance is summed over the samples: a factor N, where E is the mean.", "EC-1.3",
     lambda I, p: I * p.n_samples),
    ("divided-by-samples-again",
     "The importance is divided by N once too often, as where gradients of a mean are squared and summed.", "EC-1.3",
     lambda I, p: I / p.n_samples),
    ("gradient-of-the-sample-mean", "Gradients of the mean over the samples are squared and averaged: a factor 1/N².",
     "EC-1.3", lambda I, p: I / p.n_samples**2),
    ("times-outputs", "The importance is K times the right one.", "EC-4.1", lambda I, p: I * p.f.shape[1]),
    ("divided-by-outputs-squared", "The importance is divided by K², as the gradient of a mean over outputs is.",
     "EC-4.1", lambda I, p: I / p.f.shape[1] ** 2),
    ("divided-by-samples-and-outputs-squared",
     "The importance is divided by (N K)², as where the gradient is that of a mean over samples and outputs.",
     "EC-1.3", lambda I, p: I / p.f.size**2),
    ("divided-by-samples-and-outputs", "The importance is divided by N K once too often.", "EC-1.3",
     lambda I, p: I / p.f.size),
    ("unbiased-variance", "The variance is divided by N − 1: E is the mean over the samples.", "EC-1.3",
     lambda I, p: np.asarray(I * p.n_samples) / (p.n_samples - 1)),
    ("unbiased-variance-guarded", "The variance is divided by max(N − 1, 1): E is the mean over the samples.", "EC-1.3",
     lambda I, p: I * p.n_samples / max(p.n_samples - 1, 1)),
    ("divided-by-N-plus-one", "The variance is divided by N + 1: E is the mean over the samples.", "EC-1.3",
     lambda I, p: I * p.n_samples / (p.n_samples + 1)),
    ("divided-by-layer-size", "Each layer's importances are divided by its number of weights.", "EC-3.5",
     lambda I, p: I / I.size),
    ("times-layer-size", "Each layer's importances are multiplied by its number of weights.", "EC-3.5",
     lambda I, p: I * I.size),
    ("root-of-importance", "The importance is the root of the right one, |w| √v.", "EC-3.5", lambda I, p: np.sqrt(I)),
    ("square-of-importance", "The importance is squared.", "EC-3.5", lambda I, p: I**2),
    ("reciprocal-of-importance", "The importance is 1/I: small where it should be large.", "EC-3.5",
     lambda I, p: 1 / I),
    ("importance-sign", "The importance has the wrong sign.", "EC-3.5", lambda I, p: -I),
    ("logarithm", "The importance is the logarithm of the right one.", "EC-3.5", lambda I, p: np.log(I)),
    ("logarithm-of-one-plus", "The importance is the logarithm log(1 + I) of the right one.", "EC-3.5",
     lambda I, p: np.log1p(I)),
    ("logarithm-to-ten", "The importance is the logarithm log10(I) of the right one.", "EC-3.5",
     lambda I, p: np.log10(I)),
    ("row-summed", "Every entry of a row has the row's total importance: a neuron's score, not a weight's.", "EC-3.5",
     lambda I, p: np.broadcast_to(I.sum(axis=1, keepdims=True), I.shape)),
    ("row-averaged", "Every entry of a row has the row's mean importance: a neuron's score, not a weight's.", "EC-3.5",
     lambda I, p: np.broadcast_to(I.mean(axis=1, keepdims=True), I.shape)),
    ("column-summed", "Every entry of a column has the column's total importance: an input's score, not a weight's.",
     "EC-3.5", lambda I, p: np.broadcast_to(I.sum(axis=0, keepdims=True), I.shape)),
)  # fmt: skip


def _layer(what: str, function: Callable[[Array], Array]) -> tuple[str, Callable[[Pairs, Parts], Pairs]]:
    """Importances of a layer on a scale of their own; rounding errors are not put on it."""

    def after(pairs: Pairs, p: Parts) -> Pairs:
        clean = [np.where(ROUNDING * uncompensated(*part) > I, 0, I) for (I, _), *part in zip(pairs, p.w, p.s, p.a)]
        return [(function(I), d) for I, (_, d) in zip(clean, pairs)]

    return what, after


def _network(what: str, function: Callable[[Array], Array]) -> tuple[str, Callable[[Pairs, Parts], Pairs]]:
    """Importances of the whole network on a scale of their own."""

    def after(pairs: Pairs, p: Parts) -> Pairs:
        together = function(np.concatenate([I.ravel() for I, _ in pairs]))
        ends = np.cumsum([I.size for I, _ in pairs])[:-1]
        return [(part.reshape(I.shape), d) for part, (I, d) in zip(np.split(together, ends), pairs)]

    return what, after


def ranks(I: Array) -> Array:
    """0 for the least important entry, then 1, 2, ..., ties in their order."""
    order = np.argsort(I, axis=None, kind="stable")
    rank = np.empty(I.size)
    rank[order] = np.arange(I.size)
    return rank.reshape(I.shape)


def _range(I: Array) -> Array:
    return quotient(I - I.min(), np.ptp(I))


def _deviations(I: Array) -> Array:
    return quotient(I - I.mean(), I.std())


def _shares(I: Array) -> Array:
    e: Array = np.exp(I - I.max())
    return np.asarray(e / e.sum())


def _norm(norm: Callable[..., Any], **along: Any) -> Callable[[Array], Array]:
    return lambda I: quotient(I, np.asarray(norm(I, **along)))


SCALES: tuple[tuple[str, tuple[str, Callable[[Pairs, Parts], Pairs]]], ...] = (
    ("layer-sum-normalised", _layer("Each layer's importances are divided by their sum.", _norm(np.sum))),
    ("layer-max-normalised", _layer("Each layer's importances are divided by their maximum.", _norm(np.max))),
    ("layer-mean-normalised", _layer("Each layer's importances are divided by their mean.", _norm(np.mean))),
    ("layer-norm-normalised", _layer("Each layer's importances are divided by their Euclidean norm.",
                                     _norm(np.linalg.norm))),
    ("layer-range-normalised", _layer("Each layer's importances are normalised to the range from 0 to 1.", _range)),
    ("layer-deviation-normalised", _layer("Each layer's importances are normalised to mean 0 and deviation 1.",
                                          _deviations)),
    ("row-sum-normalised", _layer("Each neuron's importances are divided by their sum.",
                                  _norm(np.sum, axis=1, keepdims=True))),
    ("row-max-normalised", _layer("Each neuron's importances are divided by their maximum.",
                                  _norm(np.max, axis=1, keepdims=True))),
    ("layer-softmax", _layer("Each layer's importances go through a softmax.", _shares)),
    ("layer-ranks", _layer("The importances are replaced by their ranks within the layer.", ranks)),
    ("network-sum-normalised", _network("The importances are divided by their sum over the network.", _norm(np.sum))),
    ("network-max-normalised", _network("The importances are divided by their maximum in the network.", _norm(np.max))),
    ("network-mean-normalised", _network("The importances are divided by their mean in the network.", _norm(np.mean))),
    ("network-norm-normalised", _network("The importances are divided by their norm in the network.",
                                         _norm(np.linalg.norm))),
    ("network-range-normalised", _network("The importances are normalised to the range from 0 to 1.", _range)),
    ("network-ranks", _network("The importances are replaced by their ranks within the network.", ranks)),
)  # fmt: skip


def _left_out(layer: int) -> Callable[[Pairs, Parts], Pairs]:
    def after(pairs: Pairs, p: Parts) -> Pairs:
        zeros = (np.zeros_like(p.w[layer]), np.zeros_like(p.w[layer]))
        return [zeros if l == layer % len(pairs) else pair for l, pair in enumerate(pairs)]

    return after


IMPORTANCE: tuple[Mistake, ...] = (
    *(Mistake(id, sentence, label, after=changed(function)) for id, sentence, label, function in IMPORTANCES),
    *(Mistake(id, sentence, "EC-3.5", after=after) for id, (sentence, after) in SCALES),
    Mistake(
        "last-layer-left-out", "The last layer has no scores: its entries are zero.", "EC-2.1", after=_left_out(-1)
    ),
    Mistake(
        "first-layer-left-out", "The first layer has no scores: its entries are zero.", "EC-2.2", after=_left_out(0)
    ),
)
