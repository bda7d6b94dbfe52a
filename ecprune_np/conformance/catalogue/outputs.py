"""What goes wrong where several outputs become one sensitivity: sums before squares, one output, other gradients."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from ..._types import Array
from ...losses import softmax
from ._mistake import Mistake
from ._parts import Parts, squares, with_s


def _of(function: Callable[[Array, Parts], Array]) -> Callable[[Parts], Parts]:
    """s as a function of J (K, N, n)."""
    return with_s(lambda p: [function(J, p) for J in p.J])


def _along(p: Parts, cotangents: Array) -> list[Array]:
    """The sensitivities under another metric than that of the outputs; cotangents (R, N, K)."""
    if p.metric != "output":
        return [squares(J) for J in p.J]
    return [squares(np.einsum("rnk,kni->rni", cotangents, J)) for J in p.J]


def _softmax_cotangents(f: Array, power: float) -> Array:
    p = softmax(f)
    return (p.T**power)[:, :, np.newaxis] * (np.eye(f.shape[1])[:, np.newaxis] - p)


def _accumulated(order: str) -> Callable[[Array, Parts], Array]:
    """Gradients that are added to those before: over the outputs of a sample, over the samples, or over both."""

    def function(J: Array, p: Parts) -> Array:
        K, N, n = J.shape
        if order == "outputs":
            return squares(J.cumsum(axis=0))
        if order == "samples":
            return squares(J.cumsum(axis=1))
        if order == "samples, then outputs":
            return squares(J.transpose(1, 0, 2).reshape(N * K, n).cumsum(axis=0).reshape(N, K, n).transpose(1, 0, 2))
        return squares(J.reshape(K * N, n).cumsum(axis=0).reshape(K, N, n))

    return function


def _chosen(choose: Callable[[Array], Array]) -> Callable[[Array, Parts], Array]:
    """The output of each sample that a function of f (N, K) names, where J are those of the outputs."""
    return lambda J, p: J[choose(p.f), np.arange(J.shape[1])] ** 2 if p.metric == "output" else squares(J)


def _activated(p: Parts, scale: Any) -> list[Array]:
    return _along(p, scale * p.f[np.newaxis])


GRADIENTS: tuple[tuple[str, str, Callable[[Parts], Any]], ...] = (
    ("loss-for-output", "The gradient is that of a loss ½ Σ_k f_k², not of the outputs: s = (Σ_k f_k J_k)².",
     lambda p: _activated(p, 1)),
    ("squared-error-for-output",
     "The gradient is that of the squared error Σ_k f_k² with zero targets: s = (Σ_k 2 f_k J_k)².",
     lambda p: _activated(p, 2)),
    ("mean-squared-error-for-output",
     "The gradient is that of the mean squared error Σ_k f_k²/K with zero targets: s = (Σ_k 2 f_k J_k / K)².",
     lambda p: _activated(p, 2 / p.f.shape[1])),
    ("mean-squared-error-of-all-for-output",
     "The gradient is that of the squared error's mean over samples and outputs: s = (Σ_k 2 f_k J_k / (N K))².",
     lambda p: _activated(p, 2 / p.f.size)),
    ("norm-for-output", "The gradient is that of the outputs' norm ‖f‖: s = (Σ_k f_k J_k)²/‖f‖².",
     lambda p: _activated(p, 1 / np.maximum(np.linalg.norm(p.f, axis=1, keepdims=True), np.finfo(float).tiny))),
    ("softmax-for-output", "The sensitivity is that of the softmax of the outputs, not of the outputs themselves.",
     lambda p: _along(p, _softmax_cotangents(p.f, 1))),
    ("fisher-for-output", "The sensitivity is the Fisher information of class probabilities, not the squared output "
     "Jacobian.", lambda p: _along(p, _softmax_cotangents(p.f, 0.5))),
    ("log-softmax-for-output", "The sensitivity is that of the log-softmax of the outputs, not of the outputs.",
     lambda p: _along(p, np.eye(p.f.shape[1])[:, np.newaxis] - softmax(p.f))),
    ("cross-entropy-for-output",
     "The gradient is that of the cross-entropy with the largest output as the class, not of the outputs.",
     lambda p: _along(p, (softmax(p.f) - np.eye(p.f.shape[1])[p.f.argmax(axis=1)])[np.newaxis])),
)  # fmt: skip

COMBINATIONS: tuple[tuple[str, str, Callable[[Array, Parts], Array]], ...] = (
    ("gradient-of-the-sum",
     "The gradient of the sum of the outputs is squared, (Σ_k J_k)², where the squares are to be summed, Σ_k J_k².",
     lambda J, p: J.sum(axis=0) ** 2),
    ("gradient-of-the-mean",
     "The gradient of the mean of the outputs is squared, (Σ_k J_k / K)², in place of Σ_k J_k².",
     lambda J, p: J.mean(axis=0) ** 2),
    ("gradients-accumulated-over-outputs",
     "Gradients are accumulated over the outputs: each backward pass adds to those before it (.grad is not reset).",
     _accumulated("outputs")),
    ("gradients-accumulated-over-samples",
     "Gradients are accumulated over the samples: each backward pass adds to those before it (.grad is not reset).",
     _accumulated("samples")),
    ("gradients-accumulated",
     "Gradients are accumulated over samples and their outputs: each backward pass adds to all before it (.grad is "
     "never reset).", _accumulated("samples, then outputs")),
    ("gradients-accumulated-by-output",
     "Gradients are accumulated over outputs and their samples: each backward pass adds to all before it (.grad is "
     "never reset).", _accumulated("outputs, then samples")),
    ("squares-accumulated", "Squared gradients are accumulated over the outputs: the first output counts K times.",
     lambda J, p: (J**2).cumsum(axis=0).sum(axis=0)),
    ("gradient-of-absolute-sum", "The absolute Jacobian is summed over the outputs before it is squared, (Σ_k |J_k|)².",
     lambda J, p: np.abs(J).sum(axis=0) ** 2),
    ("jacobian-not-squared", "The sensitivity is Σ_k |J_k|: the Jacobian is not squared.",
     lambda J, p: np.abs(J).sum(axis=0)),
    ("jacobian-signed", "The sensitivity is Σ_k J_k: the Jacobian is neither squared nor taken absolutely.",
     lambda J, p: J.sum(axis=0)),
    ("jacobian-norm", "The sensitivity is the norm of the Jacobian, √Σ_k J_k², not its square.",
     lambda J, p: np.sqrt(squares(J))),
    ("jacobian-fourth-power", "The sensitivity is (Σ_k J_k²)²: it is squared twice.", lambda J, p: squares(J) ** 2),
    ("first-output-only", "Only the first output counts: s = J_1² in place of Σ_k J_k².", lambda J, p: J[0] ** 2),
    ("last-output-only",
     "Only the last output counts: s = J_K² in place of Σ_k J_k² (each backward pass overwrites the one before?).",
     lambda J, p: J[-1] ** 2),
    ("first-two-outputs-only", "Only the first two outputs count.", lambda J, p: squares(J[:2])),
    ("last-output-left-out", "The last output is left out.", lambda J, p: squares(J[:-1])),
    ("first-output-left-out", "The first output is left out.", lambda J, p: squares(J[1:])),
    ("largest-output-only", "Only the largest output of each sample counts, argmax_k f_k, where all are to be summed.",
     _chosen(lambda f: f.argmax(axis=1))),
    ("smallest-output-only", "Only the smallest output of each sample counts, argmin_k f_k.",
     _chosen(lambda f: f.argmin(axis=1))),
    ("largest-absolute-output-only", "Only the output of each sample that is the largest absolutely counts.",
     _chosen(lambda f: np.abs(f).argmax(axis=1))),
    ("largest-mean-output-only", "Only the output counts that is the largest in the mean.",
     _chosen(lambda f: np.full(len(f), f.mean(axis=0).argmax()))),
    ("largest-jacobian-only", "The largest squared Jacobian of all outputs, max_k J_k², takes the place of their sum.",
     lambda J, p: (J**2).max(axis=0)),
    ("smallest-jacobian-only",
     "The smallest squared Jacobian of all outputs, min_k J_k², takes the place of their sum.",
     lambda J, p: (J**2).min(axis=0)),
    ("output-differences", "The sensitivity is the variance of the Jacobian over the outputs: its mean is subtracted.",
     lambda J, p: J.var(axis=0)),
    ("sensitivity-averaged-over-the-layer", "All neurons of a layer have the same sensitivity, their mean.",
     lambda J, p: np.broadcast_to(squares(J).mean(axis=1, keepdims=True), J[0].shape)),
    ("no-sensitivity", "The sensitivity is missing: w² Var[a] and w E[a] with plain moments (s = 1).",
     lambda J, p: np.ones_like(J[0])),
    ("gradient-averaged-over-samples",
     "The gradient is averaged over the samples before it is squared, E[J]², so that s is the same for all.",
     lambda J, p: np.broadcast_to((J.mean(axis=1) ** 2).sum(axis=0), J[0].shape)),
    ("gradient-summed-over-samples-and-outputs",
     "The gradient of the sum over samples and outputs is squared, so that s is the same for all samples.",
     lambda J, p: np.broadcast_to(J.sum(axis=(0, 1)) ** 2, J[0].shape)),
    ("gradient-averaged-over-samples-and-outputs",
     "The gradient of the mean over samples and outputs is squared, so that s is the same for all samples.",
     lambda J, p: np.broadcast_to(J.mean(axis=(0, 1)) ** 2, J[0].shape)),
)  # fmt: skip

OUTPUTS: tuple[Mistake, ...] = (
    *(Mistake(id, sentence, "EC-3.2", _of(function)) for id, sentence, function in COMBINATIONS),
    *(Mistake(id, sentence, "EC-4.1", with_s(function)) for id, sentence, function in GRADIENTS),
    Mistake(
        "mean-over-outputs",
        "The squares are averaged over the outputs: a factor 1/K, where they are to be summed.",
        "EC-4.1",
        lambda p: replace(p, s=tuple(s / p.f.shape[1] for s in p.s)),
    ),
)
