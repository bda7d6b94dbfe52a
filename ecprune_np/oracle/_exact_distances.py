"""Least squares without rounding: how far each column is from the span of the others (EC-6.1)."""

from __future__ import annotations

from typing import Any

import numpy as np

from .._types import Array
from ._exact_arithmetic import Arithmetic, each


def squared_distances(R: Any, A: Array, weight: Array) -> Array:
    """min over d with d_q = 1 of Σ_n weight_n (A d)_n², for every column q (EC-6.1).

    It is 0 where the other columns can replace column q, that is, where a d with A d = 0 has d_q ≠ 0.  Else it is
    1/[(BᵀDB)⁻¹]_qq with any basis B of the columns and D = diag(weight): whatever depends on B does not depend on q.
    """
    counted = each(R.is_positive, weight).astype(bool)
    A, weight = A[counted], weight[counted]
    distance = np.full(A.shape[1], R.number(0))
    if len(A) > 0:
        basis, replaceable = dependencies(R, A if len(A) < A.shape[1] else A.T @ (weight[:, np.newaxis] * A))
        if len(basis) > len(replaceable):
            B = A[:, basis]
            variance = inverse(R, B.T @ (weight[:, np.newaxis] * B)).diagonal()
            kept = [k for k, q in enumerate(basis) if q not in replaceable]
            distance[[basis[k] for k in kept]] = 1 / variance[kept]
    return distance


def dependencies(R: Arithmetic, rows: Array) -> tuple[list[int], set[int]]:
    """A basis of the columns, and those of it that the columns outside depend on.

    Elimination over the integers: every division leaves no remainder (Bareiss, 1968), so a 0 is a 0.
    """
    rows = R.integers(rows)
    left, pivots = list(range(len(rows))), []
    previous: Any = 1
    while left and (place := R.largest(rows[left])) is not None:
        i, j = left[place[0]], place[1]
        others = [k for k in range(len(rows)) if k != i]
        rows[others] = R.eliminated(rows[others], rows[i], j, previous)
        previous = rows[i, j]
        rows[others, j] = previous * 0  # in intervals it only contains 0
        left.remove(i)
        pivots.append((i, j))
    basis = [j for _, j in pivots]
    outside = [j for j in range(rows.shape[1]) if j not in basis]
    return basis, {j for i, j in pivots if R.largest(rows[[i]][:, outside]) is not None}


def inverse(R: Arithmetic, H: Array) -> Array:
    """H⁻¹ of a positive definite H, by sweeping one row and column after the other."""
    H = H.copy()
    for k in range(len(H)):
        pivot, row, column = H[k, k], H[k] / H[k, k], H[:, k].copy()
        H = H - np.outer(column, row)
        H[k], H[:, k], H[k, k] = row, -column / pivot, 1 / pivot
    return H
