"""What rows of weights are fitted from: sums over samples, which merge as moments do (EC-5.10, EC-5.11)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from .. import _checks
from .._frozen import Frozen
from .._types import Array, Mask
from ..streaming.rows import least_squares, streamed_qr

ROUNDINGS = 64  # of an input, below which its distance from the reference is none
CONDITION = 1e12  # of a Gram matrix: where it is worse, the rows themselves are reduced


@dataclass(frozen=True, eq=False, repr=False)
class RowSums(Frozen):
    """Gram matrices of some neurons of a layer, with ã = (a' − r, 1) and y_i what z_i lacks (EC-5.10).

    Attributes
    ----------
    kept : bool array (m, n_{l-1})
        The inputs that each of m neurons keeps.
    reference : array (n_{l-1},)
        r, near the inputs' mean, so that they are nearly orthogonal to the bias's 1.
    gram, right : arrays (n_{l-1} + 1, n_{l-1} + 1) and (n_{l-1} + 1, m)
        Σ ã ãᵀ and Σ ã y, weighted by the samples' weights alone.
    grams, rights : tuples of m arrays (k_i + 1, k_i + 1) and (k_i + 1,)
        Σ s_i ã ãᵀ and Σ s_i ã y_i over the k_i inputs that the neuron keeps, and the bias.
    """

    kept: Mask
    reference: Array
    gram: Array
    right: Array
    grams: tuple[Array, ...]
    rights: tuple[Array, ...]

    def __repr__(self) -> str:
        return f"RowSums({self.kept.shape[1]} inputs, {len(self.kept)} neurons)"

    def merge(self, other: RowSums) -> RowSums:
        """G + T G' Tᵀ, where T ã' = ã: the sums over both sets of samples together (EC-5.11)."""
        _check_same(self, other)
        d = centred(other.reference, self.reference)
        whole, steps = _extended(d, 0), [_extended(d[kept], 0) for kept in self.kept]
        return replace(
            self,
            gram=self.gram + _moved(_moved(other.gram, whole).T, whole).T,
            right=self.right + _moved(other.right, whole),
            grams=tuple(a + _moved(_moved(b, step).T, step).T for a, b, step in zip(self.grams, other.grams, steps)),
            rights=tuple(a + _moved(b, step) for a, b, step in zip(self.rights, other.rights, steps)),
        )

    def of(self, neurons: Sequence[int]) -> RowSums:
        """The sums of some of the neurons."""
        grams, rights = zip(*((self.grams[k], self.rights[k]) for k in neurons))
        return replace(self, kept=self.kept[neurons], right=self.right[:, neurons], grams=grams, rights=rights)

    def shares(self, k: int, epsilon: float) -> tuple[float, float]:
        """ε / Σ 1, and what to divide Σ s_i by for the k-th neuron: 1 where no output listens, for then it is 0."""
        return epsilon / self.gram[-1, -1], self.grams[k][-1, -1] or 1.0

    def change(self, k: int, epsilon: float, ridge: float) -> Array | None:
        """The changes of w and b of the k-th neuron by Cholesky, or None where the matrix is too ill-conditioned."""
        from scipy.linalg.lapack import dpotrs  # here, not above: scipy is slower to import than NumPy

        columns = _extended(np.flatnonzero(self.kept[k]), self.kept.shape[1])
        plain, sensitivity = self.shares(k, epsilon)
        gram = self.gram.take(columns, axis=0).take(columns, axis=1)
        gram *= plain
        gram += self.grams[k] / sensitivity
        right = plain * self.right[columns, k] + self.rights[k] / sensitivity
        n = len(right) - 1
        gram[range(n), range(n)] += ridge * mean_variance(gram)
        if not (gram.diagonal() > 0).all():
            return None
        scale = 1 / np.sqrt(gram.diagonal())
        gram *= scale
        gram *= scale[:, np.newaxis]
        try:
            factor = np.linalg.cholesky(gram)
        except np.linalg.LinAlgError:
            return None
        if factor.diagonal().min() ** 2 * CONDITION < 1:  # the condition is at least the ratio of the pivots' squares
            return None
        with _checks.overflow_raised_later():  # by whoever moves the weights
            change, _ = dpotrs(factor.T, scale * right)
            return uncentred(scale * change, self.reference[self.kept[k]])


@dataclass(frozen=True, eq=False, repr=False)
class RowFactors(Frozen):
    """Triangular factors of the rows √ω_i (ã, y_i) themselves, for neurons whose Gram matrix would not do (EC-5.10).

    Attributes
    ----------
    kept, reference
        As of `RowSums`.
    factors : tuple of m arrays (at most k_i + 2, k_i + 2)
        R of Q R.
    """

    kept: Mask
    reference: Array
    factors: tuple[Array, ...]

    def __repr__(self) -> str:
        return f"RowFactors({self.kept.shape[1]} inputs, {len(self.kept)} neurons)"

    def merge(self, other: RowFactors) -> RowFactors:
        """The factors of both sets of rows together, which have the same reference."""
        _check_same(self, other)
        return replace(self, factors=tuple(map(streamed_qr, zip(self.factors, other.factors))))

    def change(self, k: int, ridge: float) -> Array:
        """The changes of w and b of the k-th neuron; the shortest of w where many are as good."""
        factor = self.factors[k]
        n = factor.shape[1] - 2
        ones = factor[:, n]  # whose share is taken out, so that the change of the weights alone is the shortest
        on_ones = factor.T @ ones / (ones @ ones or 1)
        rest = factor - np.outer(ones, on_ones)
        penalty = np.sqrt(ridge * mean_variance(factor[:, :-1].T @ factor[:, :-1])) * np.eye(n, n + 2)
        rows = np.concatenate([rest, penalty])
        w = least_squares(rows[:, :n], rows[:, -1])
        return uncentred(np.append(w, on_ones[-1] - on_ones[:n] @ w), self.reference[self.kept[k]])


def _check_same(ours: RowSums | RowFactors, other: RowSums | RowFactors) -> None:
    """Raise unless the other one is of the same kind and of the same inputs."""
    _checks.instance("other", other, type(ours))
    if not np.array_equal(other.kept, ours.kept):
        raise ValueError("other: expected sums of the same neurons' inputs, got those of others")


def centred(a: Array, reference: Array) -> Array:
    """a − r, where what is no more than rounding of r is 0: a constant input has nothing to say."""
    difference: Array = a - reference
    difference[np.abs(difference) <= ROUNDINGS * np.finfo(np.float64).eps * np.abs(reference)] = 0
    return difference


def uncentred(change: Array, reference: Array) -> Array:
    """The changes of w and b for inputs that are not centred."""
    return _extended(change[:-1], change[-1] - change[:-1] @ reference)


def mean_variance(gram: Array) -> float:
    """The mean variance of the inputs, of whose Gram matrix the last row and column are the bias's."""
    n = len(gram) - 1
    if n == 0 or gram[n, n] == 0:
        return 0.0
    return max(0.0, float(np.mean(gram.diagonal()[:n] - gram[:n, n] ** 2 / gram[n, n])))


def _moved(sums: Array, step: Array) -> Array:
    """T Σ: what sums over ã are for a reference that lies d below, where `step` is (d, 0)."""
    return np.asarray(sums + np.multiply.outer(step, sums[-1]))


def _extended(a: Sequence[float] | Array, last: float) -> Array:
    """An entry for the bias after those of the inputs."""
    return np.append(a, last)
