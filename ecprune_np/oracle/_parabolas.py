"""Φ_true of all weights of a neuron at once, as parabolas, from one expansion of the neuron for each (EC-9.6)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from .._types import Array, Mask
from ._expansion import Norms, expansion
from ._removal import Removal, multiplied

SHARED = 3  # smaller cells help where their part of the error is more than so many times that of the samples


@dataclass(frozen=True, eq=False)
class Parabolas:
    """√Φ_true(δ + s) is within `error` of the root of a + 2 b s + c s² for |s| ≤ half, in Q cells around δ: (I, J, Q).

    a is known within `rounding`; `helps` says where smaller cells would have a smaller error.  c, and λ and κ, the
    norms of what holds anywhere in a cell, are the same for all weights of a neuron: (I, 1, Q).
    """

    a: Array
    b: Array
    c: Array
    error: Array
    rounding: Array
    helps: Mask
    kink: Array
    curvature: Array

    def vertex(self, low: Any, high: Any) -> tuple[Array, Array]:
        """The s from low to high where a parabola is least, and what it is there."""
        with np.errstate(all="ignore"):
            s = np.clip(np.where(self.c > 0, -self.b / self.c, 0), low, high)
            return s, np.maximum(self.a + (2 * self.b + self.c * s) * s, 0)


def parabolas(removal: Removal, size: Norms, centres: Array, half: Array) -> Parabolas:
    """Around t = δ in all samples, so that τ = s − w_ij a_j; products of matrices give them for all j (EC-9.6)."""
    (I, J), p = removal.shape, removal.p
    w = removal.weights.reshape(I, J, 1)
    a, b, k4, removed_l2, scale = np.zeros((5, I, J, len(centres)), p.dtype)
    c, k2, l2 = np.zeros((3, I, 1, len(centres)), p.dtype)
    for n, q in _blocks(removal, len(centres)):
        Q = len(centres[q])
        i, (t, reach) = np.repeat(removal.neurons, Q), np.tile([centres[q], half[q]], I)[..., np.newaxis]
        e = expansion(removal, size, i, t, reach + np.repeat(removal.farthest[:, n], Q, axis=0), n)
        A, B, C, K, L = (term * p.weight[n] for term in (e.value, e.slope, e.square, e.curvature**2, e.kink**2))
        inputs = removal.inputs[:, n]
        squared = inputs * inputs
        quadratic = w**2 * _summed(squared, C, I)
        a[..., q] += _total(A, I) - 2 * w * _summed(inputs, B, I) + quadratic
        b[..., q] += _total(B, I) - w * _summed(inputs, C, I)
        c[..., q] += _total(C, I)
        k2[..., q] += _total(K, I)
        k4[..., q] += w**4 * _summed(squared * squared, K, I)
        scale[..., q] += _total(A, I) + quadratic
        if L.any():
            l2[..., q] += _total(L, I)
            removed_l2[..., q] += w**2 * _summed(squared, L, I)
    kink, curvature = np.sqrt(l2), np.sqrt(k2)
    cells, samples = half * np.sqrt(curvature), k4**0.25  # of √κ (|s| + |w a|), in the norm of fourth powers
    error = half * kink + np.sqrt(removed_l2) + (cells + samples) ** 2 / 2
    rounding = 16 * np.sqrt(p.n_samples) * np.finfo(p.dtype).eps * (scale + c * half**2)
    return Parabolas(a, b, c, error, rounding, cells > SHARED * samples, kink, curvature)


def _blocks(removal: Removal, n_centres: int) -> Iterator[tuple[slice, slice]]:
    """Blocks of samples and of centres that `memory` holds."""
    N, pairs = removal.p.n_samples, max(1, removal.pairs(6) // removal.shape[0])
    n_block = min(N, pairs)
    q_block = max(1, pairs // n_block)
    for n in (slice(first, first + n_block) for first in range(0, N, n_block)):
        for q in (slice(first, first + q_block) for first in range(0, n_centres, q_block)):
            yield n, q


def _summed(inputs: Array, terms: Array, I: int) -> Array:
    """Σ_n a_jn times a term of a neuron and a centre, (J, N) and (I Q, N) to (I, J, Q)."""
    product: Array = multiplied(inputs, terms.T).reshape(len(inputs), I, -1).transpose(1, 0, 2)
    return product


def _total(terms: Array, I: int) -> Array:
    """Σ_n of a term, the same for all weights: (I Q, N) to (I, 1, Q)."""
    total: Array = terms.sum(axis=1).reshape(I, 1, -1)
    return total
