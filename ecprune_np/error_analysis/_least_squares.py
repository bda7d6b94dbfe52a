"""The true solution of a least-squares problem, enclosed (EC-7.14)."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from .._types import Array
from ._balls import Ball


class Minimum(NamedTuple):
    """x* = near + X y: y is known well even where x* is not, in the directions that A hardly sees (EC-7.14)."""

    near: Array
    X: Array
    y: Ball

    @property
    def x(self) -> Ball:
        """x*."""
        solution: Ball = self.X @ self.y + self.near
        return solution

    def seen_by(self, rows: Ball) -> Ball:
        """The product of rows with x*."""
        return rows @ self.near + (rows @ self.X) @ self.y


def minimum(A: Ball, right: Ball, near: Array) -> Minimum:
    """x* = argmin ‖A x − right‖, from an x near it; unknown where columns of A may depend on each other (EC-7.14).

    With any X that makes B = A X nearly orthonormal, x* − near = X (BᵀB)⁻¹ Bᵀ (right − A near), and BᵀB = I − D with
    a small D proves on the way that no column of A depends on others.
    """
    X = _inverse_factor(A.value)
    if X is None:
        return Minimum(near, np.eye(len(near), dtype=near.dtype), _unknown(near))
    B = A @ X
    return Minimum(near, X, _solved(B.T @ B, B.T @ (right - A @ near)))


def shortest(A: Ball, right: Ball) -> Ball:
    """The shortest x with A x = right; unknown where rows of A may depend on each other (EC-7.14)."""
    X = _inverse_factor(A.value.T)
    if X is None:
        return _unknown(A.value[0] if len(A) else A.value.sum(axis=0))
    C = X.T @ A
    solution: Ball = C.T @ _solved(C @ C.T, X.T @ right)
    return solution


def _unknown(like: Array) -> Ball:
    return Ball(np.zeros_like(like), np.full_like(like, np.inf))


def _inverse_factor(A: Array) -> Array | None:
    """X with A X nearly orthonormal, from a QR decomposition in float64; None where that finds none."""
    length = np.sqrt(np.einsum("nq,nq->q", A, A))
    if A.shape[0] < A.shape[1] or not (np.isfinite(length) & (length > 0)).all():
        return None
    R = np.linalg.qr((A / length).astype(np.float64), mode="r")
    try:
        inverse = np.linalg.inv(R)
    except np.linalg.LinAlgError:
        return None
    X: Array = inverse.astype(A.dtype) / length[:, np.newaxis]
    return X


def _solved(G: Ball, t: Ball) -> Ball:
    """G⁻¹ t = t + D t + D² (I − D)⁻¹ t for G = I − D; the last term is at most ε²/(1 − ε) ‖t‖, ε = ‖D‖, in maxima."""
    D = np.eye(len(G), dtype=G.value.dtype) - G
    epsilon: Any = D.size().sum(axis=1).max(initial=0)
    y = t + D @ t
    rest = epsilon**2 / (1 - epsilon) * t.size().max(initial=0) if epsilon < 1 else np.inf
    return Ball(y.value, y.error + rest)
