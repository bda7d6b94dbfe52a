"""How far each column of a least-squares problem is from the span of the others, in floating point (EC-6.1)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

import numpy as np

from .._types import Array
from ..streaming.rows import streamed_qr

ROUNDINGS = 16  # per column: what is left of a column of unit length below so many is rounding
INDEPENDENT = 1e-6  # of a column's length: where less is left, but not nothing, float64 does not tell how much

Blocks: TypeAlias = Callable[[Any], Iterator[Array]]  # of a dtype: the problem's rows, block by block


def squared_distances(blocks: Blocks) -> Array:
    """min over d with d_q = 1 of ‖A d‖² for every column q of A; 0 where the others can replace it (EC-6.1).

    In float64, and where that leaves columns nearly dependent, once more in longdouble.
    """
    squares, left = _distances(streamed_qr(blocks(np.float64)))
    if left < INDEPENDENT:
        factor = np.empty((0, len(squares)), np.longdouble)
        for block in blocks(np.longdouble):
            factor, _, _ = projections(np.concatenate([factor, block]))
        squares, _ = _distances(factor)
    return squares


def _distances(A: Array) -> tuple[Array, Any]:
    """The squared distances, and the least part that any column of the basis had left, of its length.

    With the basis' columns R₁₁ and the others R₁₂, column q is replaceable where R₁₁⁻¹ R₁₂ has an entry in row q, and
    else at the distance 1/‖row q of R₁₁⁻¹‖.  Columns are scaled to unit length, so that units do not matter.
    """
    length = np.sqrt(np.einsum("nq,nq->q", A, A))
    unit = A / np.where(length > 0, length, 1)
    rounding = ROUNDINGS * len(length) * np.finfo(A.dtype).eps
    rows, basis, left = projections(unit, rounding)
    others = np.setdiff1d(np.arange(len(length)), basis)
    R, rest = rows[:, basis], rows[:, others]
    inverse, combination = _solved(R, np.eye(len(basis), dtype=A.dtype)), _solved(R, rest)
    distance = 1 / np.sqrt(np.sum(inverse**2, axis=1))
    # what a combination's entry changes is told from the rounding of the columns that it combines, and of the sum
    negligible = rounding * (1 + np.abs(combination).sum(axis=0))
    kept = (np.abs(combination) * distance[:, np.newaxis] <= negligible).all(axis=1)
    squares = np.zeros_like(length)
    squares[basis[kept]] = (length[basis[kept]] * distance[kept]) ** 2
    return squares, left


def projections(A: Array, rounding: Any = 0) -> tuple[Array, Array, Any]:
    """R with RᵀR = AᵀA: one column after the other, the longest first, is taken out of all (Gram and Schmidt).

    R is upper triangular in the columns of the basis, in their order; they are returned, with the least length that
    one of them had left when its turn came.  What is no longer than `rounding` is left out.
    """
    columns = A.T.copy()
    basis: list[int] = []
    rows: list[Array] = []
    lengths = np.sqrt(np.einsum("qn,qn->q", columns, columns))
    least = lengths.max(initial=0)
    while len(basis) < min(A.shape) and lengths.max() > rounding:
        q = int(np.argmax(lengths))
        least = lengths[q]
        direction = columns[q] / least
        row = columns @ direction
        columns -= np.outer(row, direction)
        row[q], columns[q] = least, 0
        basis.append(q)
        rows.append(row)
        lengths = np.sqrt(np.einsum("qn,qn->q", columns, columns))
    return np.array(rows, A.dtype).reshape(len(rows), A.shape[1]), np.array(basis, int), least


def _solved(R: Array, right: Array) -> Array:
    """R⁻¹ times the right sides, R upper triangular."""
    solution = right.copy()
    for k in reversed(range(len(R))):
        solution[k] = (solution[k] - R[k, k + 1 :] @ solution[k + 1 :]) / R[k, k]
    return solution
