"""How many digits of each importance and shift are right: measured, and bounded from below (EC-7.5, EC-9.5)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from .. import _checks
from .._frozen import Frozen
from .._types import Array, Masks, Metric
from ..batch import Batch, Samples, gathered
from ..losses import class_logits, softmax, two_classes
from ..metrics import cotangents, metric_targets
from ..mlp import MLP, Trace, forward, pullback
from ..moments import LayerMoments, Moments
from ..scores import Scores, compensated
from ..streaming.batches import batches_of
from ..streaming.blocks import CANCELLATION
from ..streaming.collect import collect_moments

MAX_DIGITS = 17.0
TRUSTED_DIGITS = 6.0
SIGMA_ROUNDINGS = 8  # of an activation's value, its slope, and their argument
# the largest |σ'| and |σ''|; a kink's slope jumps, which `_slope_error` adds
LIPSCHITZ = {
    "identity": (1.0, 0.0),
    "relu": (1.0, 0.0),
    "leaky_relu": (1.0, 0.0),
    "elu": (1.0, 1.0),
    "sigmoid": (0.25, 0.1),
    "tanh": (1.0, 0.77),
    "softplus": (1.0, 0.25),
    "sin": (1.0, 1.0),
    "silu": (1.1, 0.5),
    "gelu": (1.13, 0.8),
}
KINKS = {"relu": 1.0, "leaky_relu": 0.99}


@dataclass(frozen=True, eq=False, repr=False)
class Certificate(Frozen):
    """Correct decimal digits, from 0 to 17, of every importance and bias shift, shaped as the weights.

    Attributes
    ----------
    importance_digits : tuple of L arrays (n_l, n_{l-1})
        Measured: −log10 of the relative difference from the same formulas in a wider format.
    bias_shift_digits : tuple of L arrays (n_l, n_{l-1})
        The same of the shifts.
    importance_bound : tuple of L arrays (n_l, n_{l-1})
        Bounded by the rounding errors that the dtype may make at worst: no more than the true digits.
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


def certify(mlp: MLP, x: Samples, metric: Metric = "output") -> Certificate:
    """The correct digits of `elimination_compensation` in the network's dtype (EC-7.5, EC-9.5).

    Measured against the same arithmetic in a wider format; each digit is relative to the value itself, so an
    importance that is 0 but for rounding has none.  The bound carries every rounding error through the network at
    its largest: |Δz| ≤ γ (|W||a| + |b|) + |W||Δa|, |Δa| ≤ max|σ'| |Δz| + 8u (|σ| + max|σ'| |z|), and likewise for the
    pullback.  With the errors Δa of the activations and Δs of the sensitivities,
    |ΔI| ≤ w² (2 √v η + η² + E[|Δs| (a − μ)²] + γ V), η = √E[s Δa²], because √v is a seminorm of a; V is what the
    one-pass formula subtracts from, at most 1e6 v.  A callable metric's cotangents count as exact.

    x is seen as one batch: memory O(N · R · neurons).

    Parameters
    ----------
    mlp : MLP
        The network, float32; or float64, where this platform's longdouble is wider.
    x : array (N, n_0), ec.Batch, or an iterator of them
        The samples; in a batch with their weights, and with targets where the metric is a loss.
    metric : str or callable, default "output"
        "output", "softmax", "fisher", "mse", "cross_entropy", or a callable, as for `collect_moments`.

    Returns
    -------
    Certificate
        The digits, measured and bounded.

    Raises
    ------
    TypeError, ValueError
        For a wrong argument, for an overflow, and for a dtype without a wider one: a digit can only be certified from
        above.
    BatchError
        For a batch that is wrong or does not come.

    Examples
    --------
    >>> mlp = ec.MLP([[[2.0, 1.0]]], [[0.0]]).astype(np.float32)
    >>> print(ec.oracle.certify(mlp, [[1.0, 5.0], [3.0, 5.0]]))
    2 of 2 weights have 6 digits or more; the worst value has 17.0
    """
    _checks.instance("mlp", mlp, MLP)
    wider = wider_format(mlp.dtype)
    if wider is None:
        raise ValueError(f"mlp: expected a dtype that this platform has a wider one for, got {mlp.dtype}")
    batch = gathered(x, mlp.sizes[0], mlp.dtype, metric_targets(mlp, metric))
    moments = collect_moments(mlp, batch, metric, batch_size=len(batch.x))
    scores, raised = compensated(mlp, moments), mlp.astype(wider)
    reference = compensated(raised, collect_moments(raised, batch, metric, batch_size=len(batch.x)))
    measured = [
        [_digits(np.abs(value - truth), np.abs(truth)) for value, truth in zip(values, truths)]
        for values, truths in (
            (scores.importance, reference.importance),
            (scores.bias_shift, reference.bias_shift),
        )
    ]
    errors = _error_bounds(mlp, batch, moments, scores, metric)
    bounds = [
        # the truth is at least the value less its error
        [_digits(error, np.maximum(np.abs(value) - error, 0)) for value, error in zip(values, bound)]
        for values, bound in zip((scores.importance, scores.bias_shift), errors)
    ]
    return Certificate(*(tuple(arrays) for arrays in (*measured, *bounds)))


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


def _digits(error: Array, size: Array) -> Array:
    """−log10(error/size) from 0 to 17: 17 without an error, 0 where there is nothing but error."""
    with _checks.overflow_raised_later():
        relative = np.divide(error, size, out=np.ones_like(error), where=size > 0)
    relative = np.where(error == 0, 0, np.clip(relative, 0, 1))
    digits = -np.log10(np.maximum(relative, 10.0**-MAX_DIGITS))
    positive: Array = np.abs(digits.astype(np.float64))  # of which 0 may be −0
    return positive


def _error_bounds(
    mlp: MLP, batch: Batch, moments: Moments, scores: Scores, metric: Metric
) -> tuple[list[Array], list[Array]]:
    """Bounds of |ΔI| and |Δδ*|, per layer, for arithmetic with the unit roundoff u of the network's dtype."""
    u = float(np.finfo(mlp.dtype).eps) / 2
    raised = mlp if mlp.dtype == np.float64 else mlp.astype(np.float64)
    (known,) = batches_of(raised, batch, metric, len(batch.x))
    x = known.x
    trace = forward(raised, x)
    input_errors, z_errors, output_error = _forward_errors(raised, trace, u)
    c, c_error = _cotangent_errors(trace.outputs, output_error, metric, known.y, u)
    derivatives = pullback(raised, trace, c)
    derivative_errors = _pullback_errors(raised, trace, derivatives, c, c_error, z_errors, u)
    weight = known.weight / known.weight.sum()
    importance_errors, shift_errors = [], []
    for l, w in enumerate(raised.weights):
        g, dg = derivatives[l], derivative_errors[l]
        s = np.sum(g**2, axis=0) * weight[:, np.newaxis]
        s_error = np.sum((2 * np.abs(g) + dg) * dg, axis=0) * weight[:, np.newaxis]
        s_error += _gamma(len(g) + len(x) + 4, u) * s  # summing over r, and normalising the weights
        v_error, mean_error = _moment_errors(moments.layers[l], trace.inputs[l], input_errors[l], s, s_error, u)
        importance = scores.importance[l].astype(np.float64)
        importance_errors.append(w**2 * v_error + 4 * u * importance)
        shift_errors.append(np.abs(w) * mean_error + 2 * u * np.abs(scores.bias_shift[l].astype(np.float64)))
    return importance_errors, shift_errors


def _forward_errors(mlp: MLP, trace: Trace, u: float) -> tuple[list[Array], list[Array], Array]:
    """|Δa| of what each layer receives, |Δz|, and |Δf|."""
    error = np.zeros_like(trace.inputs[0])
    input_errors, z_errors = [], []
    following = [*trace.inputs[1:], trace.outputs]
    for l, (w, b) in enumerate(zip(mlp.weights, mlp.biases)):
        gamma = _gamma(w.shape[1] + 1, u)
        input_errors.append(error)
        size = np.abs(trace.inputs[l]) @ np.abs(w).T + np.abs(b)
        z_errors.append(gamma * size + (1 + gamma) * (error @ np.abs(w).T))
        activation = mlp.layer_activation(l).name
        slope, _ = LIPSCHITZ[activation]
        error = slope * z_errors[l]
        if activation != "identity":
            rounded = np.abs(following[l]) + slope * np.abs(trace.preactivations[l])
            error = error + SIGMA_ROUNDINGS * u * rounded
    return input_errors, z_errors, error


def _cotangent_errors(outputs: Array, error: Array, metric: Metric, y: Array | None, u: float) -> tuple[Array, Array]:
    """c_r and |Δc_r|; every factor of a probability moves relatively by at most twice the largest |Δf|.

    Where that is much, it may be any probability, of which no cotangent has an entry above 1.
    """
    n_outputs = outputs.shape[1]
    c = cotangents(metric, outputs, y)
    if callable(metric) or metric == "output":
        return c, np.zeros_like(c)
    moved = 4 * error.max(axis=1, keepdims=True)
    relative = np.expm1(np.minimum(moved, 1)) + (4 * n_outputs + 40) * u
    logits = class_logits(outputs)
    relative = relative + 8 * u * np.ptp(logits, axis=1, keepdims=True)  # of the exponents
    if y is None:  # a metric that is no loss
        return c, np.where(moved > 1, 2, np.abs(c) * relative)
    if metric == "mse":
        return c, (2 * error[np.newaxis] / n_outputs + 4 * u * np.abs(c))
    p, y = softmax(logits), two_classes(1 - y, y)
    others = 1 - np.eye(p.shape[1])
    size = p * (np.abs(y) @ others) + np.abs(y) * (p @ others)
    return c, np.where(moved > 1, 2, size * relative)[np.newaxis, :, -n_outputs:]


def _pullback_errors(
    mlp: MLP, trace: Trace, derivatives: list[Array], c: Array, c_error: Array, z_errors: list[Array], u: float
) -> list[Array]:
    """|Δg| of every layer, (R, N, n_l)."""
    errors: list[Array] = []
    incoming, error = np.abs(c), c_error
    for l in reversed(range(mlp.n_layers)):
        z = trace.preactivations[l]
        slope = np.abs(mlp.layer_activation(l).derivative(z))
        slope_error = _slope_error(mlp.layer_activation(l).name, z, z_errors[l], slope, u)
        error = error * (slope + slope_error) + incoming * slope_error + 2 * u * incoming * (slope + slope_error)
        errors.insert(0, error)
        if l > 0:
            w = np.abs(mlp.weights[l])
            gamma = _gamma(len(w) + 1, u)
            incoming = np.abs(derivatives[l] @ mlp.weights[l])
            error = gamma * (np.abs(derivatives[l]) @ w) + (1 + gamma) * (error @ w)
    return errors


def _slope_error(activation: str, z: Array, z_error: Array, slope: Array, u: float) -> Array:
    """|Δσ'(z)|, the whole jump where rounding can carry z across a kink."""
    if activation == "identity":
        return np.zeros_like(z)
    if activation in KINKS:
        return np.where(np.abs(z) <= z_error, KINKS[activation], u * slope)
    _, curvature = LIPSCHITZ[activation]
    return curvature * z_error + SIGMA_ROUNDINGS * u * (slope + curvature * np.abs(z))


def _moment_errors(
    m: LayerMoments, a: Array, a_error: Array, s: Array, s_error: Array, u: float
) -> tuple[Array, Array]:
    """|Δv| and |Δμ|; s holds the samples' weights."""
    S = m.sensitivity.astype(np.float64)[:, np.newaxis]
    v = m.variance.astype(np.float64)
    offset, reference = m.offset.astype(np.float64), m.reference.astype(np.float64)
    mean = m.mean.astype(np.float64)
    eta = np.sqrt((s + s_error).T @ a_error**2)
    centred = a - reference
    spread = s_error.T @ centred**2 - 2 * offset * (s_error.T @ centred)
    spread = np.maximum(spread + offset**2 * s_error.sum(axis=0)[:, np.newaxis], 0)  # E[|Δs| (a − μ)²]
    gamma = _gamma(len(a) + 8, u)
    square = np.minimum(v + S * offset**2, np.maximum(v, 0) / CANCELLATION)
    rounding = 4 * gamma * square + u**2 * (s.T @ a**2)
    v_error = 2 * np.sqrt(v) * eta + eta**2 + spread + rounding
    total = np.sqrt(S * (v + S * offset**2))
    moved = np.sqrt(S) * eta + np.sqrt(s_error.sum(axis=0)[:, np.newaxis] * (spread + v_error)) + 4 * gamma * total
    least = S - s_error.sum(axis=0)[:, np.newaxis]  # what S may be in truth; where it may be 0, the mean may be any
    anything = np.abs(mean) + (np.abs(a) + a_error).max(axis=0)
    mean_error = np.divide(moved, least, out=anything, where=least > 0) + 2 * u * (np.abs(mean) + np.abs(reference))
    return v_error, mean_error


def _gamma(n: int, u: float) -> float:
    """γ_n = n u / (1 − n u), the error of n roundings (Higham, 2002)."""
    return n * u / (1 - n * u)
