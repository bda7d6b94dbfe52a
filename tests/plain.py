"""Networks, Jacobians and scores in plain steps: what the sentences of the conformance catalogue are said of.

One weight at a time, forward-mode derivatives, activations written out: nothing of the package is in it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from scipy.special import erfc

Array = np.ndarray
Function = Callable[[Array], Array]
Entry = Callable[..., tuple[float, float]]  # of E, w_ij, s_i (N,) and a_j (N,): importance and shift


def logistic(z: Array) -> Array:
    return 1 / (1 + np.exp(-z))


def normal(z: Array) -> Array:
    """Φ(z)."""
    return erfc(-z / np.sqrt(2)) / 2


def density(z: Array) -> Array:
    """φ(z)."""
    return np.exp(-(z**2) / 2) / np.sqrt(2 * np.pi)


def if_above(z: Array, above: Any, below: Any) -> Array:
    """One thing where z > 0, another where it is not."""
    return np.where(z > 0, above, below)


VALUES: dict[str, Function] = {
    "identity": lambda z: z,
    "relu": lambda z: if_above(z, z, 0.0),
    "leaky_relu": lambda z: if_above(z, z, z / 100),
    "elu": lambda z: if_above(z, z, np.exp(z) - 1),
    "sigmoid": logistic,
    "tanh": lambda z: (np.exp(z) - np.exp(-z)) / (np.exp(z) + np.exp(-z)),
    "softplus": lambda z: np.log(1 + np.exp(z)),
    "sin": np.sin,
    "silu": lambda z: z * logistic(z),
    "gelu": lambda z: z * normal(z),
}
SLOPES: dict[str, Function] = {
    "identity": lambda z: 1.0 + 0 * z,
    "relu": lambda z: if_above(z, 1.0, 0.0),
    "leaky_relu": lambda z: if_above(z, 1.0, 0.01),
    "elu": lambda z: if_above(z, 1.0, np.exp(z)),
    "sigmoid": lambda z: logistic(z) * logistic(-z),
    "tanh": lambda z: (2 / (np.exp(z) + np.exp(-z))) ** 2,
    "softplus": logistic,
    "sin": np.cos,
    "silu": lambda z: logistic(z) + z * SLOPES["sigmoid"](z),
    "gelu": lambda z: normal(z) + z * density(z),
}


def slope_of(value: Function, step: float = 1e-150) -> Function:
    """The derivative of a function, by a complex step: exact to rounding, on either side of a kink."""
    return lambda z: np.imag(value(z + 1j * step)) / step


@dataclass(frozen=True, eq=False)
class Plain:
    """A network with samples x (N, m), their weights ω (N,) and targets: σ of hidden layers and its derivative,
    those of the output, and the metric's cotangents (R, N, K) of outputs (N, K)."""

    w: Sequence[Array]
    b: Sequence[Array]
    x: Array
    value: Function
    slope: Function
    end: Function
    end_slope: Function
    omega: Array
    cotangents: Function
    metric: str = "output"
    y: Any = None
    sparsity: float = 0.0
    scope: str = "global"

    def but(self, **changes: Any) -> Plain:
        """The network with something else in it."""
        return replace(self, **changes)

    @cached_property
    def z(self) -> list[Array]:
        z: list[Array] = []
        for w, b in zip(self.w, self.b):
            a = self.value(z[-1]) if z else self.x
            z.append(np.array([w @ sample + b for sample in a]))
        return z

    @cached_property
    def a(self) -> list[Array]:
        """What each layer receives."""
        return [self.x, *map(self.value, self.z[:-1])]

    @cached_property
    def f(self) -> Array:
        return self.end(self.z[-1])

    @property
    def n(self) -> int:
        """The number of samples."""
        return len(self.x)

    @property
    def k(self) -> int:
        """The number of outputs."""
        return self.f.shape[1]

    def jacobians(
        self,
        factor: Callable[[int, int, Array], Array] = lambda l, k, slopes: slopes,
        weights: Function = lambda w: w,
        ends: Function = lambda c: c,
    ) -> list[Array]:
        """c_rᵀ ∂f/∂z (R, N, n) of each layer l, carried forwards from it through the hidden layers k after it."""
        last = ends(self.cotangents(self.f) * self.end_slope(self.z[-1]))
        found = []
        for l, b in enumerate(self.b):
            forward = np.repeat(np.eye(len(b))[np.newaxis], self.n, axis=0)
            for k in range(l, len(self.b) - 1):
                passed = factor(l, k, self.slope(self.z[k]))[:, :, np.newaxis] * forward
                forward = np.einsum("ij,njm->nim", weights(self.w[k + 1]), passed)
            found.append(np.einsum("rnk,nki->rni", last, forward))
        return found

    @cached_property
    def J(self) -> list[Array]:
        return self.jacobians()

    @cached_property
    def s(self) -> list[Array]:
        return [(J**2).sum(axis=0) for J in self.J]

    @cached_property
    def total(self) -> float:
        return float(self.omega.sum())

    def E(self, values: Array) -> Any:
        """The mean over the samples, by their weights."""
        return self.omega @ values / self.total

    def of(self, chosen: Any) -> Plain:
        """Some of the samples."""
        y = self.y if self.y is None else self.y[chosen]
        return self.but(x=self.x[chosen], omega=self.omega[chosen], y=y)

    def entries(self, entry: Entry, s: Sequence[Array] | None = None, a: Sequence[Array] | None = None) -> Any:
        """Importances and shifts, one weight after the other."""
        pairs = []
        for w, of_neurons, of_inputs in zip(self.w, s or self.s, a or self.a):
            both = [
                [entry(self.E, w[i, j], of_neurons[:, i], of_inputs[:, j]) for j in range(w.shape[1])]
                for i in range(len(w))
            ]
            pairs.append((np.array(both, float)[..., 0], np.array(both, float)[..., 1]))
        return pairs

    @cached_property
    def right(self) -> Any:
        """Importances and shifts as they are."""
        return self.entries(right)

    @cached_property
    def scales(self) -> Any:
        """R = w² E[s a²], and |w| √E[a²]: what rounding is measured on."""
        return self.entries(lambda E, w, s, a: (w**2 * E(s * a * a), abs(w) * np.sqrt(E(a * a))))

    def scores(self, s: Sequence[Array] | None = None, a: Sequence[Array] | None = None) -> Any:
        """The right formulas, of right or other sensitivities and inputs."""
        return self.right if s is None and a is None else self.entries(right, s, a)


def mu(E: Any, s: Array, a: Array) -> float:
    """E[s a]/S, 0 of a dead neuron; the mean of equal numbers is that number."""
    if not s.any():
        return 0.0
    return float(a[0]) if (a == a[0]).all() else float(E(s * a) / E(s))


def right(E: Any, w: float, s: Array, a: Array) -> tuple[float, float]:
    """I = w² E[s (a − μ)²] and δ* = w μ (EC-3.4, EC-3.5)."""
    centre = mu(E, s, a)
    return w**2 * E(s * (a - centre) ** 2), w * centre


def probabilities(f: Array) -> Array:
    """softmax of logits (N, K), of which one stands for (0, z)."""
    logits = np.column_stack([0 * f, f]) if f.shape[1] == 1 else f
    return np.array([np.exp(row) / np.exp(row).sum() for row in logits])


def unit(f: Array) -> Array:
    """e_r for each output (K, N, K)."""
    return np.array([[e] * len(f) for e in np.eye(f.shape[1])])


def of_classes(f: Array, row: Callable[[float, Array, Array], Array]) -> Array:
    """A cotangent for each class r, of p_r, e_r and p; what one logit stands for has its second entry."""
    p = probabilities(f)
    c = np.array([[row(mine[r], np.eye(p.shape[1])[r], mine) for mine in p] for r in range(p.shape[1])])
    return c[..., -f.shape[1] :]


def cotangents_of(metric: str, y: Array | None) -> Function:
    """Those of each metric, as EC-4 has them; labels of one logit are 0 and 1."""
    if metric == "softmax":
        return lambda f: of_classes(f, lambda p, e, all_of: p * (e - all_of))
    if metric == "fisher":
        return lambda f: of_classes(f, lambda p, e, all_of: np.sqrt(p) * (e - all_of))
    if metric == "mse":
        return lambda f: np.array([2 * (f - y) / f.shape[1]])
    if metric == "cross_entropy":
        return lambda f: np.array([(probabilities(f) - np.eye(max(f.shape[1], 2))[y])[:, -f.shape[1] :]])
    return unit
