"""Numbers with bounds of their errors, carried through every operation (EC-7.11)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .._types import Array

EXP_ROUNDINGS = 8  # half units in the last place that an exponential may be off


@dataclass(frozen=True, eq=False)
class Ball:
    """Arrays of computed values, and of how far each may be from what it stands for; inf where nothing is known.

    Every operation adds to the errors of what it takes what its own rounding may do, u ∣value∣ at most, and where
    numbers may underflow the smallest one.  What is exactly 0 stays exactly 0.  The errors themselves are sums of
    products of numbers that are not negative: their own rounding is a few hundred u of them, which SLACK covers.
    """

    value: Array
    error: Array
    __array_ufunc__ = None  # so that an array on the left leaves the operation to the ball

    @classmethod
    def exact(cls, value: Array) -> Ball:
        """Numbers that are what they stand for."""
        return cls(value, np.zeros_like(value))

    @property
    def shape(self) -> tuple[int, ...]:
        return self.value.shape

    def __len__(self) -> int:
        return len(self.value)

    def __getitem__(self, index: Any) -> Ball:
        return Ball(self.value[index], self.error[index])

    @property
    def T(self) -> Ball:
        """The transpose."""
        return Ball(self.value.T, self.error.T)

    def __neg__(self) -> Ball:
        return Ball(-self.value, self.error)

    def __add__(self, other: Ball | Array | int) -> Ball:
        other = ball(other)
        value = self.value + other.value  # where a sum underflows it is exact, as is one with 0
        rounding = np.where(self.is_zero() | other.is_zero(), 0, _u(value) * np.abs(value))
        return _known(value, self.error + other.error + rounding)

    def __sub__(self, other: Ball | Array | int) -> Ball:
        return self + -ball(other)

    def __rsub__(self, other: Array | int) -> Ball:
        return -self + other

    def __mul__(self, other: Ball | Array | int) -> Ball:
        other = ball(other)
        value = self.value * other.value
        error = np.abs(self.value) * other.error + self.error * (np.abs(other.value) + other.error)
        error += _u(value) * np.abs(value) + _tiny(value)
        return _known(value, np.where(self.is_zero() | other.is_zero(), 0, error))

    def __rmul__(self, other: Array | int) -> Ball:
        return self * other

    def __truediv__(self, other: Ball | Array | int) -> Ball:
        """|A/B − a/b| ≤ (|ΔA| + |a/b| |ΔB|) / |B|."""
        other = ball(other)
        least = other.least()
        value = _quotient(self.value, other.value)
        error = _quotient(self.error + np.abs(value) * other.error, least) + _u(value) * np.abs(value) + _tiny(value)
        return _known(value, np.where(self.is_zero(), 0, np.where(least > 0, error, np.inf)))

    def __matmul__(self, other: Ball | Array | int) -> Ball:
        """|fl(A B) − A B| ≤ γ_n |A| |B| for products with n terms."""
        other = ball(other)
        value = self.value @ other.value
        a, b = np.abs(self.value), np.abs(other.value)
        relative = gamma(self.shape[-1] + 1, value)
        if not other.error.any():
            error = (relative * a + self.error) @ b
        elif not self.error.any():
            error = a @ (relative * b + other.error)
        else:
            error = a @ other.error + (relative * a + self.error) @ (b + other.error)
        return _known(value, error + 4 * _lost(self, other))

    def __rmatmul__(self, other: Array | int) -> Ball:
        return ball(other) @ self

    def squared(self) -> Ball:
        """The squares."""
        value = self.value**2
        error = (2 * np.abs(self.value) + self.error) * self.error + _u(value) * value + _tiny(value)
        return _known(value, np.where(self.is_zero(), 0, error))

    def sum(self, axis: int, keepdims: bool = False) -> Ball:
        """The sum along an axis."""
        value = self.value.sum(axis=axis, keepdims=keepdims)
        size = np.abs(self.value).sum(axis=axis, keepdims=keepdims)
        return _known(value, self.error.sum(axis=axis, keepdims=keepdims) + gamma(self.shape[axis], value) * size)

    def root(self) -> Ball:
        """√x of what is not negative."""
        value, low = np.sqrt(self.value), self.least()
        down = _quotient(self.value - low, value + np.sqrt(low))
        up = _quotient(self.error, value + np.sqrt(self.size()))
        return _known(value, np.maximum(down, up) + _u(value) * value)

    def exp(self) -> Ball:
        """e^x."""
        value = np.exp(self.value)
        error = value * (np.expm1(self.error) + EXP_ROUNDINGS * _u(value) * np.exp(self.error)) + _tiny(value)
        return _known(value, error)

    def within(self, low: float, high: float) -> Ball:
        """The same, where it stands for what lies between: the error is at most the way to the farther end."""
        value = np.clip(self.value, low, high)
        return Ball(value, np.minimum(self.error, np.maximum(value - low, high - value)))

    def is_zero(self) -> Any:
        """Where it stands for 0 and nothing else."""
        return (self.value == 0) & (self.error == 0)

    def size(self) -> Array:
        """The largest that it may stand for, in absolute value."""
        largest: Array = np.abs(self.value) + self.error
        return largest

    def least(self) -> Array:
        """The smallest that it may stand for, in absolute value."""
        smallest: Array = np.maximum(np.abs(self.value) - self.error, 0)
        return smallest


def ball(x: Ball | Array | int) -> Ball:
    """An array as exact numbers."""
    return x if isinstance(x, Ball) else Ball.exact(np.asarray(x))


def joined(balls: Sequence[Ball], axis: int) -> Ball:
    """Several as one, along an axis that there is."""
    return Ball(*(np.concatenate([getattr(b, part) for b in balls], axis=axis) for part in ("value", "error")))


def gamma(n: int, like: Array) -> Any:
    """γ_n = n u / (1 − n u), the error of n roundings in the dtype of an array (Higham, 2002)."""
    u = n * _u(like)
    return u / (1 - u)


def _u(like: Array) -> Any:
    """The unit roundoff."""
    return np.finfo(like.dtype).eps / 2


def _tiny(like: Array) -> Any:
    """What a product may lose that underflows."""
    return np.finfo(like.dtype).smallest_subnormal


def _known(value: Array, error: Array) -> Ball:
    """What is no number stands for anything."""
    known = np.isfinite(value) & ~np.isnan(error)
    return Ball(np.where(known, value, 0), np.where(known, error, np.inf))


def _quotient(a: Array, b: Array) -> Array:
    """a / b, and 0 where b is."""
    a, b = np.broadcast_arrays(a, b)
    quotient: Array = np.divide(a, b, out=np.zeros_like(a), where=b != 0)
    return quotient


def _lost(a: Ball, b: Ball) -> Any:
    """What a product of matrices, or one of their errors, may lose to underflow: nothing, mostly."""
    parts = (a.value, a.error, b.value, b.error)
    smallest = [np.min(np.abs(part), where=part != 0, initial=np.inf) for part in parts]
    info = np.finfo(a.value.dtype)
    if min(smallest[:2]) * min(smallest[2:]) * info.eps >= info.tiny:
        return 0
    return (~a.is_zero()).astype(info.dtype) @ (~b.is_zero()).astype(info.dtype) * info.smallest_subnormal
