"""Products with C = diag(α) (𝟙 − 1 pᵀ) without its K² entries a sample, for "softmax" and "fisher" (EC-7.23)."""

# NumPy declares what its ufuncs return as Any
# mypy: disable-error-code="no-any-return"

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .._types import Array, MetricName
from ..losses import softmax


@dataclass(frozen=True, eq=False)
class Centred:
    """The cotangents c_r = α_r (e_r − p) of N samples, for two outputs or more (EC-7.23).

    Attributes
    ----------
    p, alpha : array (N, K)
        The class probabilities; they themselves for "softmax", their roots for "fisher".
    largest : int array (N,)
        The class with the largest p, which alone may be near 1.
    """

    p: Array
    alpha: Array
    largest: Array

    @classmethod
    def of(cls, metric: MetricName, outputs: Array) -> Centred | None:
        """None for the metric "output", where C is the identity."""
        if metric == "output":
            return None
        p = softmax(outputs)
        return cls(p, p if metric == "softmax" else np.sqrt(p), p.argmax(axis=1))

    def squared_columns(self) -> Array:
        """M_ii = Σ_r c_ri² = α_i² (Σ_{r≠i} p_r)² + p_i² Σ_{r≠i} α_r², shape (N, K)."""
        squares = self.alpha * self.alpha
        return squares * self._sum_of_others(self.p) ** 2 + self.p**2 * self._sum_of_others(squares)

    def times(self, v: Array, slopes: Array | None, out: Array) -> Array:
        """C diag(slopes) V for v (K, n) and slopes (N, K), shape (K, N, n): α_r (d_r − pᵀd), d_r = v_r − v_largest."""
        scaled_rows(v, slopes, out)
        out -= out[self.largest, np.arange(len(self.p))]  # which is a copy
        out -= np.matmul(self.p[:, np.newaxis], out.transpose(1, 0, 2))[:, 0]
        out *= self.alpha.T[:, :, np.newaxis]
        return out

    def _sum_of_others(self, a: Array) -> Array:
        """Σ_{r≠k} a_r for a that is largest where p is: any other is half of the sum at most, and cancels nothing."""
        n = np.arange(len(a))
        others: Array = a.sum(axis=1, keepdims=True) - a
        small = a.copy()
        small[n, self.largest] = 0
        others[n, self.largest] = small.sum(axis=1)
        return others


def scaled_rows(v: Array, slopes: Array | None, out: Array) -> Array:
    """diag(slopes) V of each sample, shape (K, N, n), for v (K, n) and slopes (N, K)."""
    if slopes is None:
        out[:] = v[:, np.newaxis]
        return out
    return np.multiply(slopes.T[:, :, np.newaxis], v[:, np.newaxis], out=out)
