"""What implementations of EC are made of: activations, passes, formulas, and ways to spoil them.

Nothing here is taken from the package: activations, forward pass, Jacobians and moments are written once
more, in the textbook form of an automatic differentiation's result (σ' from the activation's value).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import erf

Candidate = Callable[..., Any]


def logistic(z):
    return 1 / (1 + np.exp(-z))


SIGMA = {
    "identity": lambda z: z,
    "relu": lambda z: np.maximum(z, 0),
    "leaky_relu": lambda z: np.where(z > 0, z, z * z.dtype.type(0.01)),
    "elu": lambda z: np.where(z > 0, z, np.exp(np.minimum(z, 0)) - 1),
    "sigmoid": logistic,
    "tanh": np.tanh,
    "softplus": lambda z: np.logaddexp(z, 0),
    "sin": np.sin,
    "silu": lambda z: z * logistic(z),
    "gelu": lambda z: z * (1 + erf(z / z.dtype.type(2**0.5))) / 2,
}
SLOPE = {
    "identity": lambda z: np.ones_like(z),
    "relu": lambda z: (z > 0).astype(z.dtype),
    "leaky_relu": lambda z: np.where(z > 0, z.dtype.type(1), z.dtype.type(0.01)),
    "elu": lambda z: np.where(z > 0, 1, SIGMA["elu"](z) + 1),
    "sigmoid": lambda z: logistic(z) * (1 - logistic(z)),
    "tanh": lambda z: 1 - np.tanh(z) ** 2,
    "softplus": logistic,
    "sin": np.cos,
    "silu": lambda z: logistic(z) + z * logistic(z) * (1 - logistic(z)),
    "gelu": lambda z: (
        (1 + erf(z / z.dtype.type(2**0.5))) / 2 + z * np.exp(-(z**2) / 2) / z.dtype.type((2 * np.pi) ** 0.5)
    ),
}


@dataclass
class Pass:
    """A forward and a backward pass: layer inputs a (N, m), preactivations z (N, n), Jacobians J (K, N, n), outputs."""

    weights: list
    a: list
    z: list
    J: list
    f: np.ndarray

    @property
    def N(self):
        return len(self.f)

    @property
    def layers(self):
        return range(len(self.weights))


def run(weights, biases, activation, x, sigma=None, slope=None, last=None) -> Pass:
    """One pass; `sigma` and `slope` (of z) replace the activation, `last` is the output's activation."""
    sigma, slope = sigma or SIGMA[activation], slope or SLOPE[activation]
    L = len(weights)
    a, z = [x], []
    for l in range(L):
        z.append(a[l] @ weights[l].T + biases[l])
        a.append(sigma(z[l]) if l < L - 1 or last else z[l])
    N, K = a[-1].shape
    g = np.repeat(np.eye(K, dtype=x.dtype)[:, None], N, axis=1)
    if last:
        g = g * slope(z[-1])
    J = [g]
    for l in range(L - 1, 0, -1):
        g = (g @ weights[l]) * slope(z[l - 1])
        J.insert(0, g)
    return Pass(weights, a[:-1], z, J, a[-1])


def squared(J):
    return (J**2).sum(axis=0)


def weighted(w, s, a):
    """The right formulas: two passes, weights s (N, n) with mean over the samples."""
    S = s.mean(axis=0)[:, None]
    mean = np.where(S > 0, (s.T @ a / len(a)) / np.where(S > 0, S, 1), 0)
    centred = a[:, None, :] - mean  # (N, n, m)
    return w**2 * np.mean(s[:, :, None] * centred**2, axis=0), w * mean


def lists(pairs):
    importance, shift = zip(*pairs)
    return list(importance), list(shift)


def numpy_float64(weights, biases, activation, x):
    p = run(weights, biases, activation, x)
    return lists(weighted(p.weights[l], squared(p.J[l]), p.a[l]) for l in p.layers)


def with_s(sensitivity: Callable[[Pass], list], **changes: Any) -> Candidate:
    """The right moments of a wrong sensitivity."""

    def candidate(weights, biases, activation, x):
        p = run(weights, biases, activation, x, **changes)
        return lists(weighted(w, s, a) for w, s, a in zip(weights, sensitivity(p), p.a))

    return candidate


def with_moments(formula: Callable[..., Any]) -> Candidate:
    """A wrong formula of (w, s, a) in every layer."""

    def candidate(weights, biases, activation, x):
        p = run(weights, biases, activation, x)
        return lists(formula(w, squared(J), a) for w, J, a in zip(weights, p.J, p.a))

    return candidate


def after(change: Callable[..., Any]) -> Candidate:
    """Something done to the right answer: change(importance, shift, weights, x) -> (importance, shift)."""

    def candidate(weights, biases, activation, x):
        importance, shift = numpy_float64(weights, biases, activation, x)
        return change(importance, shift, weights, x)

    return candidate


def each(function: Callable[[np.ndarray], np.ndarray]) -> Candidate:
    """A function of each layer's importance, on top of the right answer."""
    return after(lambda I, d, w, x: ([function(v) for v in I], d))


@dataclass(frozen=True)
class Wrong:
    """A wrong candidate, and what its first finding must be: an id, or what its text must say (a pattern)."""

    name: str
    candidate: Candidate
    first: str | None = None
    says: str = ""
    state: bool = False

    def __str__(self):
        return self.name

    def says_it(self, report) -> bool:
        """Whether the report's first finding says what it must."""
        if not report.diagnosis:
            return False
        first = report.diagnosis[0]
        if self.first is not None and first.id != self.first:
            return False
        return re.search(self.says, f"{first.id}: {first.sentence}", re.IGNORECASE | re.DOTALL) is not None
