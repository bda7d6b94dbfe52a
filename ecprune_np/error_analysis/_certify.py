"""How many digits of each importance and shift are right: measured, and bounded from below (EC-7.13, EC-9.9)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from .. import _checks
from .._frozen import Frozen
from .._types import Array, Masks, Metric
from ..batch import Batch, Samples, gathered
from ..metrics import cotangents, metric_targets
from ..mlp import MLP
from ..scores import Scores, compensated
from ..streaming.collect import collect_moments
from ._balls import Ball, joined
from ._bounded import BoundedPass, bounded_moments, bounded_pass

MAX_DIGITS = 17.0
TRUSTED_DIGITS = 6.0
SLACK = 1 + 1e-6  # for the rounding of the bounds themselves


@dataclass(frozen=True, eq=False, repr=False)
class Certificate(Frozen):
    """Correct decimal digits, from 0 to 17, of every importance and bias shift, shaped as the weights.

    Attributes
    ----------
    importance_digits : tuple of L arrays (n_l, n_{l-1})
        Measured: −log10 of the relative difference from the same formulas in a wider format; the bound, where none is.
    bias_shift_digits : tuple of L arrays (n_l, n_{l-1})
        The same of the shifts.
    importance_bound : tuple of L arrays (n_l, n_{l-1})
        With what rounding may have done there at worst: no more than the true digits.
    bias_shift_bound : tuple of L arrays (n_l, n_{l-1})
        The same of the shifts.

    Examples
    --------
    >>> mlp = ec.MLP([[[2.0, 1.0]]], [[0.0]]).astype(np.float32)
    >>> ec.oracle.certify(mlp, [[1.0, 5.0], [3.0, 5.0]])
    Certificate(1 layers, 17.0 digits at least)
    """

    importance_digits: tuple[Array, ...]
    bias_shift_digits: tuple[Array, ...]
    importance_bound: tuple[Array, ...]
    bias_shift_bound: tuple[Array, ...]

    def trusted(self, digits: float = TRUSTED_DIGITS) -> Masks:
        """True where both the importance and the shift have at least so many measured digits."""
        pairs = zip(self.importance_digits, self.bias_shift_digits)
        return tuple((i >= digits) & (s >= digits) for i, s in pairs)

    def guaranteed(self, digits: float = TRUSTED_DIGITS) -> Masks:
        """True where the bound alone guarantees so many digits of both."""
        pairs = zip(self.importance_bound, self.bias_shift_bound)
        return tuple((i >= digits) & (s >= digits) for i, s in pairs)

    def __repr__(self) -> str:
        least = min(float(m.min()) for m in (*self.importance_digits, *self.bias_shift_digits))
        return f"Certificate({len(self.importance_digits)} layers, {least:.1f} digits at least)"

    def __str__(self) -> str:
        n_trusted, n = sum(int(m.sum()) for m in self.trusted()), sum(m.size for m in self.importance_digits)
        least = min(float(m.min()) for m in (*self.importance_digits, *self.bias_shift_digits))
        return f"{n_trusted} of {n} weights have {TRUSTED_DIGITS:g} digits or more; the worst value has {least:.1f}"


def certify(mlp: MLP, x: Samples, metric: Metric = "output", *, scores: Scores | None = None) -> Certificate:
    """The correct digits of importances and shifts, entry by entry (EC-7.13, EC-9.9).

    The definition is computed in a wider format, and every number on the way there with a bound of what rounding may
    have done to it at worst (EC-7.11).  A value is as far from the truth as it is from that result, which is measured,
    and as that is from the truth, which is bounded.  Each digit is relative to the value itself, so an importance that
    is 0 but for rounding has none.  A callable metric is called once, with the network's own outputs, and its
    cotangents count as exact.

    x is seen as one batch: memory O(N · R · neurons), time O(N · parameters) in a format that may have no fast
    products.

    Parameters
    ----------
    mlp : MLP
        The network.  Without a wider format (longdouble, or float64 on some platforms) all is done in its own.
    x : array (N, n_0), ec.Batch, or an iterator of them
        The samples; in a batch with their weights, and with targets where the metric is a loss.
    metric : str or callable, default "output"
        "output", "softmax", "fisher", "mse", "cross_entropy", or a callable, as for `collect_moments`.
    scores : Scores, optional
        What is certified, whoever computed it; by default what `elimination_compensation` makes of x in one batch.

    Returns
    -------
    Certificate
        The digits, measured and bounded.

    Raises
    ------
    TypeError, ValueError
        For a wrong argument, and for an overflow.
    BatchError
        For a batch that is wrong or does not come.

    Examples
    --------
    >>> mlp = ec.MLP([[[2.0, 1.0]]], [[0.0]])
    >>> x = [[1.0, 5.0], [3.0, 5.0]]
    >>> print(ec.oracle.certify(mlp.astype(np.float32), x))
    2 of 2 weights have 6 digits or more; the worst value has 17.0
    >>> ec.oracle.certify(mlp, x, scores=ec.Scores([[[4.0, 0.0]]], [[[4.001, 5.0]]])).bias_shift_bound[0].round(1)
    array([[ 3.6, 17. ]])
    """
    _checks.instance("mlp", mlp, MLP)
    batch = gathered(x, mlp.sizes[0], mlp.dtype, metric_targets(mlp, metric))
    if scores is None:
        scores = compensated(mlp, collect_moments(mlp, batch, metric, batch_size=len(batch.x)))
    _checks.instance("scores", scores, Scores)
    claims = [
        _checks.per_layer(f"scores.{name}", getattr(scores, name), mlp.shapes) for name in ("importance", "bias_shift")
    ]
    with _checks.overflow_raised_later():
        p, raised = widely_passed(mlp, batch, metric)
        truths = zip(*(bounded_scores(p, l, w) for l, w in enumerate(raised.weights)))
        measure = bounded_digits if raised.dtype == mlp.dtype else measured_digits  # where nothing is wider
        pairs = [list(zip(*both)) for both in zip(claims, truths)]
        digits = [tuple(way(*pair) for pair in layers) for way in (measure, bounded_digits) for layers in pairs]
    return Certificate(*digits)


def widely_passed(mlp: MLP, batch: Batch, metric: Metric) -> tuple[BoundedPass, MLP]:
    """The network in a wider format, if there is one, and all that it does with the samples."""
    wide = wider_format(mlp.dtype) or mlp.dtype
    raised = mlp.astype(wide)
    weight = np.ones(len(batch.x)) if batch.sample_weight is None else batch.sample_weight
    seen = weight > 0
    y = None if batch.y is None else batch.y[seen].astype(wide)
    c = cotangents(metric, mlp(batch.x))[:, seen].astype(wide) if callable(metric) else None
    return bounded_pass(raised, batch.x[seen].astype(wide), weight[seen].astype(wide), metric, y, c), raised


def bounded_scores(p: BoundedPass, l: int, w: Array) -> tuple[Ball, Ball]:
    """I_ij = w_ij² v_ij and δ*_ij = w_ij μ_ij of a layer (EC-3.4, EC-3.5)."""
    s = p.sensitivity(l)
    moments = [bounded_moments(s[:, i], p.inputs[l], p.constant[l]) for i in range(len(w))]
    mean, variance = (joined([moment[k][np.newaxis] for moment in moments], axis=0) for k in range(2))
    return w * (w * variance), w * mean


def measured_digits(claim: Array, truth: Ball) -> Array:
    """−log10 of the relative difference from what stands for the truth."""
    return digits_of(np.abs(claim - truth.value), np.abs(truth.value))


def bounded_digits(claim: Array, truth: Ball) -> Array:
    """−log10 of the relative difference from the truth at most (EC-7.13)."""
    error = SLACK * truth.error
    return digits_of(np.abs(claim - truth.value) + error, np.maximum(np.abs(truth.value) - error, 0))


def wider_format(dtype: np.dtype[Any]) -> Any:
    """The dtype in which digits of another are certified.

    Parameters
    ----------
    dtype : numpy.dtype
        Of a network.

    Returns
    -------
    type or None
        float64 for float32, longdouble for float64 where this platform's is wider, and else None.

    Raises
    ------
    TypeError
        For another dtype.

    Examples
    --------
    >>> ec.oracle.wider_format(np.dtype(np.float32)) is np.float64
    True
    """
    dtype = _checks.float_type("dtype", dtype)
    if dtype == np.float32:
        return np.float64
    if dtype == np.float64 and np.finfo(np.longdouble).eps < np.finfo(np.float64).eps:
        return np.longdouble
    return None


def digits_of(error: Array, size: Array) -> Array:
    """−log10(error/size) from 0 to 17: 17 without an error, 0 where there is nothing but error (EC-9.9)."""
    relative = np.divide(error, size, out=np.ones_like(error), where=size > 0)
    relative = np.where(error == 0, 0, np.clip(relative, 0, 1))
    digits = -np.log10(np.maximum(relative, 10.0**-MAX_DIGITS))
    positive: Array = np.abs(digits.astype(np.float64))  # of which 0 may be −0
    return positive
