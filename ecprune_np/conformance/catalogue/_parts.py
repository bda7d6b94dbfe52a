"""What the formulas are made of, and the right ones: a mistake replaces what it gets wrong."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np

from ..._types import Array
from ...activations import ACTIVATIONS, Activation
from ...metrics import cotangents, metric_targets
from .._case import Case, Layers

AT_ONCE = 2_000_000  # numbers that are held for a variance as it is defined
Pair = tuple[Array, Array]
Pairs = list[Pair]
Formula = Callable[[Array, Array, Array], Pair]

EQUATION: dict[str, str] = {name: f"EC-10.{number}" for number, name in enumerate(ACTIVATIONS, 1)}


@dataclass(frozen=True, eq=False)
class Parts:
    """Per layer weights, biases, inputs a (N, m), preactivations z (N, n), J (R, N, n), sensitivities s (N, n).

    J_r = √ω c_rᵀ ∂f/∂z and s = Σ_r J_r², where c_r are the metric's `cotangents` at the outputs f (N, K), or e_k, and
    ω the samples' weights (N,), whose mean is 1; `slope` is the σ' of the backward pass, `output` the output's
    activation.
    """

    w: Layers
    b: Layers
    activation: Activation
    x: Array
    slope: Callable[[Array], Array]
    output: Activation
    a: Layers
    z: Layers
    J: Layers
    s: Layers
    f: Array
    weight: Array
    total_weight: float
    metric: str
    cotangents: Callable[[Array], Array]
    sparsity: float
    scope: str

    @property
    def n_samples(self) -> int:
        return len(self.f)


@cache
def parts_of(case: Case) -> Parts:
    """Forward pass, Jacobians and sensitivities of a case (EC-1, EC-2)."""
    activation = ACTIVATIONS[case.activation]
    targets, y = metric_targets(case.mlp, case.metric), None
    if targets is not None:
        y = targets(case.y, len(case.x))
    given = np.ones(len(case.x)) if case.sample_weight is None else case.sample_weight
    return passes(
        case.weights,
        case.biases,
        activation,
        case.x,
        activation.derivative,
        ACTIVATIONS[case.output_activation],
        given / given.mean(),
        float(given.sum()),
        case.metric,
        lambda f: cotangents(case.metric, f, y),
        case.sparsity,
        case.scope,
    )


def passes(
    w: Layers,
    b: Layers,
    activation: Activation,
    x: Array,
    slope: Callable[[Array], Array],
    output: Activation,
    weight: Array,
    total_weight: float,
    metric: str,
    cotangents: Callable[[Array], Array],
    sparsity: float = 0.0,
    scope: str = "global",
) -> Parts:
    """A forward and a backward pass (EC-1.2, EC-2.2)."""
    a, z = [x], []
    for l in range(len(w)):
        z.append(a[l] @ w[l].T + b[l])
        a.append((activation if l < len(w) - 1 else output).value(z[l]))
    J = [cotangents(a[-1]) * np.sqrt(weight)[:, np.newaxis] * output.derivative(z[-1])]
    for l in reversed(range(1, len(w))):
        J.insert(0, (J[0] @ w[l]) * slope(z[l - 1]))
    s = tuple(squares(j) for j in J)
    kept = weight, total_weight, metric, cotangents, sparsity, scope
    return Parts(w, b, activation, x, slope, output, tuple(a[:-1]), tuple(z), tuple(J), s, a[-1], *kept)


def again(p: Parts, **changes: Any) -> Parts:
    """The passes once more, with something else in them; another activation brings its own derivative."""
    names = (
        "w",
        "b",
        "activation",
        "x",
        "slope",
        "output",
        "weight",
        "total_weight",
        "metric",
        "cotangents",
        "sparsity",
        "scope",
    )
    given = {name: getattr(p, name) for name in names}
    if "activation" in changes:
        given["slope"] = changes["activation"].derivative
    if "x" in changes:
        given["weight"] = np.ones(len(changes["x"]))
    return passes(**{**given, **changes})


def with_s(sensitivity: Callable[[Parts], Any]) -> Callable[[Parts], Parts]:
    """A wrong sensitivity of right Jacobians."""
    return lambda p: replace(p, s=tuple(sensitivity(p)))


def squares(J: Array) -> Array:
    """Σ_r c_r² (EC-3.2)."""
    total: Array = np.einsum("rni,rni->ni", J, J)
    return total


def quotient(numerator: Array, denominator: Any) -> Array:
    """A quotient that is 0 where the denominator is."""
    zeros = np.zeros(np.broadcast(numerator, denominator).shape)
    result: Array = np.divide(numerator, denominator, out=zeros, where=np.not_equal(denominator, 0))
    return result


def mean(s: Array, a: Array) -> Array:
    """μ_ij = E[s_i a_j] / S_i (EC-3.4)."""
    return quotient(s.T @ a, s.sum(axis=0)[:, np.newaxis])


def about(s: Array, a: Array, centre: Array) -> Array:
    """E[s_i (a_j − c_ij)²]; of many samples and weights about the plain mean, and moved from there."""
    if centre.size * len(a) <= AT_ONCE:
        moment: Array = np.einsum("ni,nij->ij", s, (a[:, np.newaxis] - centre) ** 2) / len(a)
        return moment
    plain = a.mean(axis=0)
    a, centre = a - plain, centre - plain
    S, first, second = s.sum(axis=0)[:, np.newaxis], s.T @ a, s.T @ a**2
    return np.asarray(np.maximum(second - 2 * centre * first + centre**2 * S, 0)) / len(a)


def right(w: Array, s: Array, a: Array) -> Pair:
    """I = w² v and δ* = w μ (EC-3.4, EC-3.5)."""
    centre = mean(s, a)
    return w**2 * about(s, a, centre), w * centre


def uncompensated(w: Array, s: Array, a: Array) -> Array:
    """R = w² E[s a²] (EC-3.6)."""
    importance: Array = w**2 * (s.T @ a**2) / len(a)
    return importance


def scores(p: Parts) -> Pairs:
    """The right formulas on parts that may be wrong."""
    return [right(w, s, a) for w, s, a in zip(p.w, p.s, p.a)]


def per_layer(formula: Formula) -> Callable[[Parts], Pairs]:
    """A wrong formula of (w, s, a), the same in every layer."""
    return lambda p: [formula(w, s, a) for w, s, a in zip(p.w, p.s, p.a)]
