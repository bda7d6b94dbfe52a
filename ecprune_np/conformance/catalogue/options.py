"""What goes wrong with the options: metrics, targets, the samples' weights, the output's activation, one logit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from ..._types import Array
from ...activations import ACTIVATIONS, Activation
from ...losses import class_logits, softmax
from ...metrics import output_cotangents
from ._mistake import Mistake, changed
from ._parts import Pairs, Parts, about, again, mean, squares

Cotangents = Callable[[Array, Array], Array]  # of the outputs f (N, K) and the right ones c (R, N, K)
CLASSES, LOSSES = ("softmax", "fisher"), ("mse", "cross_entropy")


def _other(metrics: tuple[str, ...], function: Cotangents) -> Callable[[Parts], Parts]:
    """Other cotangents in the place of the right ones of some metrics."""
    return lambda p: again(p, cotangents=lambda f: function(f, p.cotangents(f))) if p.metric in metrics else p


def _of_one_logit(function: Cotangents) -> Cotangents:
    return lambda f, c: function(f, c) if f.shape[1] == 1 else c


def _probabilities(f: Array) -> Array:
    p: Array = softmax(class_logits(f))
    return p


def _classes(f: Array, power: float, centred: bool = True) -> Array:
    """p_r^power (e_r − p), or without the − p."""
    p = _probabilities(f)
    unit = np.eye(p.shape[1])[:, np.newaxis]
    c: Array = (p.T**power)[:, :, np.newaxis] * (unit - p if centred else unit + 0 * p)
    return c[..., -f.shape[1] :]


def _likeliest(f: Array) -> Array:
    """p − e of the likeliest class."""
    p = _probabilities(f)
    c: Array = (p - np.eye(p.shape[1])[p.argmax(axis=1)])[np.newaxis, :, -f.shape[1] :]
    return c


METRICS: tuple[tuple[str, str, str, tuple[str, ...], Cotangents], ...] = (
    ("metric-ignored", "EC-4.1", "The option `metric` is taken and ignored: the change of the outputs themselves.",
     (*CLASSES, *LOSSES), lambda f, c: output_cotangents(f)),
    ("softmax-not-centred", "EC-4.2", "The derivative of softmax lacks its − p: p_r e_r in place of p_r (e_r − p).",
     ("softmax",), lambda f, c: _classes(f, 1, centred=False)),
    ("fisher-is-diagonal", "EC-4.3", "The Fisher metric is taken for diag p: its − p pᵀ is missing.",
     ("fisher",), lambda f, c: _classes(f, 0.5, centred=False)),
    ("softmax-for-fisher", "EC-4.3", "The metric is that of the class probabilities (softmax), not their divergence "
     "(Fisher).", ("fisher",), lambda f, c: _classes(f, 1)),
    ("fisher-for-softmax", "EC-4.2", "The metric is the divergence of the class probabilities (Fisher), not their "
     "squared change (softmax).", ("softmax",), lambda f, c: _classes(f, 0.5)),
    ("log-softmax-metric", "EC-4.2", "The metric is that of log-softmax: e_r − p, without the probability's factor.",
     CLASSES, lambda f, c: _classes(f, 0)),
    ("likeliest-class-only", "EC-4.3", "The metric is the gradient of the cross-entropy with the likeliest class: the "
     "empirical Fisher of predictions, where the mean over all classes belongs.",
     ("fisher",), lambda f, c: _likeliest(f)),
    ("loss-twice-as-large", "EC-2.4", "The loss is twice the right one: its gradient has a factor 2 too much.",
     LOSSES, lambda f, c: 2 * c),
    ("loss-half-as-large", "EC-2.4", "The squared error is halved, ½ (f − y)²: its gradient lacks the factor 2.",
     ("mse",), lambda f, c: c / 2),
    ("loss-summed-over-outputs", "EC-2.4", "The squared error is summed over the outputs, where it is averaged.",
     ("mse",), lambda f, c: c * f.shape[1]),
    ("loss-half-summed-over-outputs", "EC-2.4", "The loss is ½ Σ_k (f_k − y_k)², where it is the mean over k of "
     "(f_k − y_k)².", ("mse",), lambda f, c: c * f.shape[1] / 2),
    ("loss-averaged-over-classes", "EC-2.5", "The cross-entropy is divided by the number of classes.",
     ("cross_entropy",), lambda f, c: c / max(f.shape[1], 2)),
    ("targets-ignored", "EC-4.7", "The targets are ignored: the squared error is that with y = 0.",
     ("mse",), lambda f, c: 2 * f[np.newaxis] / f.shape[1]),
    ("probabilities-without-targets", "EC-2.5", "The gradient of the cross-entropy is p, where it is p − y.",
     ("cross_entropy",), lambda f, c: _probabilities(f)[np.newaxis, :, -f.shape[1]:]),
    ("softmax-of-one-logit", "EC-2.7", "One logit goes through a softmax of its own, which is 1 whatever it is: "
     "nothing counts. It stands for the two logits (0, z).",
     (*CLASSES, "cross_entropy"), _of_one_logit(lambda f, c: 0 * c)),
    ("one-class-of-one-logit", "EC-2.7", "Of one logit only the second class counts: the first one's probability "
     "changes as much.", CLASSES, _of_one_logit(lambda f, c: c[1:])),
    ("labels-of-one-logit-exchanged", "EC-2.7", "The two classes of one logit are exchanged: z is that of class 1.",
     ("cross_entropy",), _of_one_logit(lambda f, c: 2 * _probabilities(f)[np.newaxis, :, 1:] - c - 1)),
)  # fmt: skip


def _weights(function: Callable[[Array], Array]) -> Callable[[Parts], Parts]:
    return lambda p: p if (p.weight == 1).all() else again(p, weight=function(p.weight))


def _unweighted_derivatives(p: Parts) -> Parts:
    """J without the samples' weights, which s keeps."""
    return replace(p, J=again(p, weight=np.ones_like(p.weight)).J)


def _weighted_mean_only(p: Parts) -> Pairs:
    """The samples' weights in μ, and not in v."""
    centres = [mean(s, a) for s, a in zip(p.s, p.a)]
    return [(w**2 * about(squares(J), a, centre), w * centre) for w, J, a, centre in zip(p.w, p.J, p.a, centres)]


def _scaled(p: Parts, factor: float) -> float:
    return factor if (p.weight != 1).any() else 1.0


def _without_slope(p: Parts) -> Parts:
    output = Activation(p.output.name, p.output.value, np.ones_like)
    return again(p, output=output)


OPTIONS: tuple[Mistake, ...] = (
    *(Mistake(id, sentence, label, _other(metrics, function)) for id, label, sentence, metrics, function in METRICS),
    Mistake(
        "sample-weights-ignored",
        "The option `sample_weight` is taken and ignored.",
        "EC-1.3",
        _weights(np.ones_like),
    ),
    Mistake(
        "sample-weights-squared",
        "The samples' weights are squared.",
        "EC-1.3",
        _weights(lambda v: v**2 / (v**2).mean()),
    ),
    Mistake(
        "sample-weights-squared-not-normalised",
        "The samples' weights, whose mean is 1, multiply gradients, which are squared then.",
        "EC-1.3",
        _weights(lambda v: v**2),
    ),
    Mistake(
        "sample-weights-rooted",
        "The roots of the samples' weights take their place.",
        "EC-1.3",
        _weights(lambda v: np.sqrt(v) / np.sqrt(v).mean()),
    ),
    Mistake(
        "sample-weights-not-normalised",
        "Weighted sums are divided by N, not by the sum of the weights.",
        "EC-1.3",
        after=changed(lambda I, p: I * _scaled(p, p.total_weight / p.n_samples)),
    ),
    Mistake(
        "sample-weights-summed",
        "Weighted sums are not divided by the sum of the weights.",
        "EC-1.3",
        after=changed(lambda I, p: I * _scaled(p, p.total_weight)),
    ),
    Mistake(
        "sample-weights-in-the-mean-only",
        "The samples' weights enter the mean μ, not the variance v.",
        "EC-3.5",
        passes=_unweighted_derivatives,
        formula=_weighted_mean_only,
    ),
    Mistake(
        "zero-weights-counted",
        "Samples of weight 0 count in N.",
        "EC-1.3",
        after=changed(lambda I, p: I * np.mean(p.weight > 0)),
    ),
    Mistake(
        "output-activation-ignored",
        "The option `output_activation` is taken and ignored.",
        "EC-1.2",
        lambda p: again(p, output=ACTIVATIONS["identity"]),
    ),
    Mistake(
        "output-derivative-left-out",
        "The derivative of the output's activation is missing from the backward pass.",
        "EC-2.2",
        _without_slope,
    ),
    Mistake(
        "output-activation-of-hidden-layers",
        "The last layer has the hidden layers' activation, whatever `output_activation` says.",
        "EC-1.2",
        lambda p: p if p.output.name == "identity" else again(p, output=p.activation),
    ),
    Mistake(
        "output-activation-everywhere",
        "Hidden layers have the output's activation too.",
        "EC-1.2",
        lambda p: p if p.output.name == "identity" else again(p, activation=p.output),
    ),
)
