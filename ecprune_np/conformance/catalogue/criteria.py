"""The other kinds of answers: the right formula of each on passes, and what people get wrong in it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache

import numpy as np

from ..._types import Array
from .._kinds import KINDS
from ._mistake import Mistake
from ._parts import Pairs, Parts, mean, right, scores, uncompensated
from .derivative import DERIVATIVE
from .forward import FORWARD
from .importance import IMPORTANCE
from .options import OPTIONS
from .outputs import OUTPUTS
from .samples import SAMPLES
from .surgeons import OBC, OBS, Importances, Rows, by_layer, obc, obs


def _alone(function: Importances) -> Callable[[Parts], Pairs]:
    """Importances, without shifts."""
    return lambda p: [(I, np.zeros_like(I)) for I in function(p)]


# The right formulas


def _wanda(p: Parts) -> list[Array]:
    """|w| √E[a²] (EC-6.7)."""
    return [np.abs(w) * np.sqrt(_mean(p, a**2)) for w, a in zip(p.w, p.a)]


def _mean(p: Parts, values: Array) -> Array:
    """E over the samples (EC-1.3)."""
    return np.asarray(np.average(values, axis=0, weights=p.weight))


def _gradients(p: Parts) -> list[Array]:
    """∂E[ℓ]/∂W (EC-2.6)."""
    return [J.sum(axis=0).T @ a / len(a) for J, a in zip(p.J, p.a)]


def _gradient(p: Parts) -> Pairs:
    """∂E[ℓ]/∂W and ∂E[ℓ]/∂b (EC-2.6)."""
    return list(zip(_gradients(p), [J.sum(axis=0).mean(axis=0) for J in p.J]))


RIGHT: dict[str, Callable[[Parts], Pairs]] = {
    "ec": scores,
    "uncompensated": _alone(lambda p: [uncompensated(*layer) for layer in zip(p.w, p.s, p.a)]),
    "wanda": _alone(_wanda),
    "gradient_magnitude": _alone(lambda p: [np.abs(w * g) for w, g in zip(p.w, _gradients(p))]),
    "obc": _alone(obc),
    "obs": _alone(obs),
    "loss_gradient": _gradient,
}

# The mistakes of each kind: id, what is done wrong, the wrong importances


def _absolute(p: Parts) -> list[Array]:
    return [np.abs(w) * (np.abs(J.sum(axis=0)).T @ np.abs(a)) / len(a) for w, J, a in zip(p.w, p.J, p.a)]


CRITERIA: dict[str, Rows] = {
    "uncompensated": (
        ("weight-missing", "The importance is E[s a²], without w².", by_layer(lambda w, s, a: s.T @ a**2 / len(a))),
        ("weight-not-squared", "The importance is |w| E[s a²]: the weight is not squared.",
         by_layer(lambda w, s, a: np.abs(w) * (s.T @ a**2) / len(a))),
        ("compensated", "The importance is I = w² v, EC's, with the best shift of the bias: nothing is to compensate.",
         by_layer(lambda w, s, a: right(w, s, a)[0])),
        ("activation-not-squared", "The importance is w² E[s |a|]: the activation is not squared.",
         by_layer(lambda w, s, a: w**2 * (s.T @ np.abs(a)) / len(a))),
        ("mean-squared", "The importance is w² S μ²: the square of the mean in place of the mean of the squares.",
         by_layer(lambda w, s, a: w**2 * s.mean(axis=0)[:, np.newaxis] * mean(s, a) ** 2)),
        ("expectations-multiplied", "Sensitivity and activation are averaged separately, E[s] E[a²].",
         by_layer(lambda w, s, a: w**2 * s.mean(axis=0)[:, np.newaxis] * (a**2).mean(axis=0))),
        ("mean-before-square", "The mean is taken before the square: Σ_k E[J_k a]² w².",
         lambda p: [w**2 * ((np.einsum("kni,nj->kij", J, a) / len(a)) ** 2).sum(axis=0)
                    for w, J, a in zip(p.w, p.J, p.a)]),
    ),
    "wanda": (
        ("without-root", "The importance is |w| E[a²]: the root is missing.",
         lambda p: [np.abs(w) * _mean(p, a**2) for w, a in zip(p.w, p.a)]),
        ("norm-not-mean", "The importance is |w| √(Σ_n a²), the norm of the inputs: E is the mean over the samples.",
         lambda p: [np.abs(w) * np.sqrt((a**2).sum(axis=0)) for w, a in zip(p.w, p.a)]),
        ("norm-without-root", "The importance is |w| Σ_n a²: the root is missing, and E is the mean over the samples.",
         lambda p: [np.abs(w) * (a**2).sum(axis=0) for w, a in zip(p.w, p.a)]),
        ("squared", "The importance is w² E[a²], the square of the right one.", lambda p: [I**2 for I in _wanda(p)]),
        ("mean-magnitude", "The importance is |w| E|a|: the mean magnitude in place of the root of the mean square.",
         lambda p: [np.abs(w) * _mean(p, np.abs(a)) for w, a in zip(p.w, p.a)]),
        ("deviation", "The importance is |w| times the standard deviation of the inputs: no mean is to be subtracted.",
         lambda p: [np.abs(w) * np.sqrt(_mean(p, (a - _mean(p, a)) ** 2)) for w, a in zip(p.w, p.a)]),
        ("largest-input", "The importance is |w| max_n |a|.",
         lambda p: [np.abs(w) * np.abs(a).max(axis=0) for w, a in zip(p.w, p.a)]),
        ("weight-signed", "The importance is w √E[a²], with the weight's sign.",
         lambda p: [np.sign(w) * I for w, I in zip(p.w, _wanda(p))]),
        ("weight-missing", "The importance is √E[a²], without |w|.",
         lambda p: [np.broadcast_to(np.sqrt(_mean(p, a**2)), w.shape) for w, a in zip(p.w, p.a)]),
        ("magnitude-alone", "The importance is |w|, without the inputs.", lambda p: [np.abs(w) for w in p.w]),
        ("first-layers-input", "Every layer is taken to receive preactivations: its activation is missing.",
         lambda p: [np.abs(w) * np.sqrt(_mean(p, a**2)) for w, a in zip(p.w, (p.x, *p.z[:-1]))]),
    ),
    "gradient_magnitude": (
        ("gradient-alone", "The importance is |∂E[ℓ]/∂w|, without the weight.",
         lambda p: [np.abs(g) for g in _gradients(p)]),
        ("gradient-signed", "The importance is w ∂E[ℓ]/∂w, with its sign.",
         lambda p: [w * g for w, g in zip(p.w, _gradients(p))]),
        ("gradient-squared", "The importance is (w ∂E[ℓ]/∂w)²: it is squared.",
         lambda p: [(w * g) ** 2 for w, g in zip(p.w, _gradients(p))]),
        ("absolute-before-mean", "Absolute values are taken before the mean: |w| E|∂ℓ/∂w|.", _absolute),
        ("squares-before-mean", "The importance is w² E[(∂ℓ/∂w)²], the empirical Fisher's.",
         by_layer(uncompensated)),
        ("gradient-summed", "The gradient is summed over the samples, where it is averaged: a factor N.",
         lambda p: [len(a) * np.abs(w * g) for w, g, a in zip(p.w, _gradients(p), p.a)]),
    ),
    "obc": OBC,
    "obs": OBS,
}  # fmt: skip

LOSS: tuple[tuple[str, str, Callable[[Array, Array, Parts], tuple[Array, Array]]], ...] = (
    ("gradient-summed", "The gradient is summed over the samples, where it is averaged: a factor N.",
     lambda g, b, p: (g * p.n_samples, b * p.n_samples)),
    ("gradient-sign", "The gradient has the wrong sign: it is the step of a descent.", lambda g, b, p: (-g, -b)),
    ("gradient-of-biases-summed", "The gradient by the biases is summed over the samples, where it is averaged.",
     lambda g, b, p: (g, b * p.n_samples)),
    ("gradient-of-biases-averaged-again", "The gradient by the biases is divided by N twice.",
     lambda g, b, p: (g, b / p.n_samples)),
    ("gradient-of-weights-summed", "The gradient by the weights is summed over the samples, where it is averaged.",
     lambda g, b, p: (g * p.n_samples, b)),
    ("gradient-of-biases-zero", "The gradient by the biases is zero.", lambda g, b, p: (g, 0 * b)),
    ("gradient-averaged-over-samples-and-outputs", "The gradient is divided by the number of outputs once too often.",
     lambda g, b, p: (g / p.f.shape[1], b / p.f.shape[1])),
)  # fmt: skip

EVERYWHERE = (*DERIVATIVE, *FORWARD, *SAMPLES)
SHARED: dict[str, tuple[Mistake, ...]] = {  # what goes wrong in the passes, or to importances in the end
    "uncompensated": (*OPTIONS, *OUTPUTS, *IMPORTANCE, *EVERYWHERE),
    "wanda": (*OPTIONS, *IMPORTANCE, *FORWARD, *SAMPLES),
    "gradient_magnitude": (*OPTIONS, *IMPORTANCE, *EVERYWHERE),
    "obc": (*OPTIONS, *OUTPUTS, *IMPORTANCE),
    "obs": (*OPTIONS, *IMPORTANCE),
    "loss_gradient": (*OPTIONS, *EVERYWHERE),
}


def _own(kind: str) -> Iterator[Mistake]:
    for id, sentence, function in CRITERIA.get(kind, ()):
        yield Mistake(id, sentence, KINDS[kind].equation, formula=_alone(function))
    if kind == "loss_gradient":
        for id, sentence, change in LOSS:
            yield Mistake(id, sentence, KINDS[kind].equation, formula=_gradient, after=_each(change))


def _each(change: Callable[[Array, Array, Parts], tuple[Array, Array]]) -> Callable[[Pairs, Parts], Pairs]:
    return lambda pairs, p: [change(g, b, p) for g, b in pairs]


@cache
def mistakes_of(kind: str) -> tuple[Mistake, ...]:
    """The mistakes in a kind's own formula, then what goes wrong in the passes before it, and after it."""
    shared = (m for m in SHARED[kind] if m.formula is scores)
    return tuple(_own(kind)) + tuple(replace(m, formula=RIGHT[kind]) for m in shared)
