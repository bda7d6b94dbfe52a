"""The ten activations: each one's value and its derivative, side by side (EC-10).

Both act elementwise, keep the dtype, and overflow nowhere that the result does not.  The values
also take complex arguments and are analytic on either side of Re z = 0, which is all that the
complex-step oracle needs; a kink is decided by the real part.
"""

# NumPy declares what its ufuncs return as Any
# mypy: disable-error-code="no-any-return"

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from . import _checks
from ._types import ActivationName, Array

LEAKY_SLOPE = 0.01


@dataclass(frozen=True)
class Activation:
    """An elementwise activation σ and its derivative σ', as functions of the preactivation z.

    Attributes
    ----------
    name : str
        As `MLP` takes it.
    value : callable
        σ(z), of any shape and of the dtype of z; z may be complex.
    derivative : callable
        σ'(z), for real z.

    Examples
    --------
    >>> relu = ec.ACTIVATIONS["relu"]
    >>> z = np.array([-1.0, 0.0, 2.0])
    >>> relu.value(z), relu.derivative(z)
    (array([0., 0., 2.]), array([0., 0., 1.]))
    """

    name: ActivationName
    value: Callable[[Array], Array]
    derivative: Callable[[Array], Array]


def identity(z: Array) -> Array:
    """σ(z) = z (EC-10.1)."""
    return z.copy()


def identity_derivative(z: Array) -> Array:
    """σ'(z) = 1 (EC-10.1)."""
    return np.ones_like(z)


def relu(z: Array) -> Array:
    """σ(z) = max(z, 0) (EC-10.2)."""
    if np.iscomplexobj(z):
        return np.where(z.real > 0, z, 0)
    return np.maximum(z, 0)


def relu_derivative(z: Array) -> Array:
    """σ'(z) = [z > 0], so σ'(0) = 0 (EC-10.2)."""
    return (z > 0).astype(z.dtype)


def leaky_relu(z: Array) -> Array:
    """σ(z) = z for z > 0, else 0.01 z (EC-10.3)."""
    return np.where(z.real > 0, z, LEAKY_SLOPE * z)


def leaky_relu_derivative(z: Array) -> Array:
    """σ'(z) = 1 for z > 0, else 0.01 (EC-10.3)."""
    return np.where(z > 0, z.dtype.type(1), z.dtype.type(LEAKY_SLOPE))


def elu(z: Array) -> Array:
    """σ(z) = z for z > 0, else e^z − 1 (EC-10.4)."""
    return np.where(z.real > 0, z, np.expm1(_below_zero(z)))


def elu_derivative(z: Array) -> Array:
    """σ'(z) = 1 for z > 0, else e^z (EC-10.4)."""
    return np.exp(_below_zero(z))


def sigmoid(z: Array) -> Array:
    """σ(z) = 1 / (1 + e^−z) (EC-10.5)."""
    e = _decay(z)
    return np.where(z.real > 0, 1, e) / (1 + e)


def sigmoid_derivative(z: Array) -> Array:
    """σ'(z) = e^−|z| / (1 + e^−|z|)², without the cancellation in σ (1 − σ) (EC-10.5)."""
    e = _decay(z)
    return e / (1 + e) ** 2


def tanh(z: Array) -> Array:
    """σ(z) = tanh z (EC-10.6)."""
    return np.tanh(z)


def tanh_derivative(z: Array) -> Array:
    """σ'(z) = 4 e^−2|z| / (1 + e^−2|z|)², without the cancellation in 1 − σ² (EC-10.6)."""
    with _checks.overflow_raised_later():  # twice the largest numbers, which decay to 0
        e = _decay(2 * z)
    return 4 * e / (1 + e) ** 2


def softplus(z: Array) -> Array:
    """σ(z) = log(1 + e^z) = max(z, 0) + log(1 + e^−|z|) (EC-10.7)."""
    return np.where(z.real > 0, z, 0) + _log1p(_decay(z))


def softplus_derivative(z: Array) -> Array:
    """σ'(z) = 1 / (1 + e^−z) (EC-10.7)."""
    return sigmoid(z)


def sin(z: Array) -> Array:
    """σ(z) = sin z (EC-10.8)."""
    return np.sin(z)


def sin_derivative(z: Array) -> Array:
    """σ'(z) = cos z (EC-10.8)."""
    return np.cos(z)


def silu(z: Array) -> Array:
    """σ(z) = z s(z) with the logistic function s (EC-10.9)."""
    return z * sigmoid(z)


def silu_derivative(z: Array) -> Array:
    """σ'(z) = s(z) + z s'(z) (EC-10.9)."""
    return sigmoid(z) + z * sigmoid_derivative(z)


def gelu(z: Array) -> Array:
    """σ(z) = z Φ(z) with the normal distribution Φ(z) = erfc(−z/√2)/2 (EC-10.10)."""
    return z * _normal_distribution(z)


def gelu_derivative(z: Array) -> Array:
    """σ'(z) = Φ(z) + z φ(z) with the normal density φ(z) = e^(−z²/2)/√2π (EC-10.10)."""
    root_two_pi = np.sqrt(2 * _pi(z))
    scaled = z / np.sqrt(z.dtype.type(2))
    with _checks.overflow_raised_later():  # a square that overflows has the density 0
        return _normal_distribution(z) + z * (np.exp(-(scaled**2)) / root_two_pi)


ACTIVATIONS: dict[ActivationName, Activation] = {
    a.name: a
    for a in (
        Activation("identity", identity, identity_derivative),
        Activation("relu", relu, relu_derivative),
        Activation("leaky_relu", leaky_relu, leaky_relu_derivative),
        Activation("elu", elu, elu_derivative),
        Activation("sigmoid", sigmoid, sigmoid_derivative),
        Activation("tanh", tanh, tanh_derivative),
        Activation("softplus", softplus, softplus_derivative),
        Activation("sin", sin, sin_derivative),
        Activation("silu", silu, silu_derivative),
        Activation("gelu", gelu, gelu_derivative),
    )
}


def layer_names(
    activation: ActivationName | tuple[ActivationName, ...], output_activation: ActivationName, n_layers: int
) -> tuple[ActivationName, ...]:
    """The name of each layer's activation, the last one's included."""
    hidden = (activation,) * (n_layers - 1) if isinstance(activation, str) else activation
    return (*hidden, output_activation)


def hidden_names(given: Any, n_hidden: int) -> ActivationName | tuple[ActivationName, ...]:
    """One name for all hidden layers, or one for each; those that are all the same are one."""
    if not isinstance(given, (list, tuple)):
        return _checks.one_of("activation", given, ACTIVATIONS)
    names = tuple(_checks.one_of(f"activation[{l}]", name, ACTIVATIONS) for l, name in enumerate(given))
    if len(names) != n_hidden:
        raise ValueError(f"activation: expected one name, or one per hidden layer ({n_hidden}), got {len(names)}")
    return names[0] if len(set(names)) == 1 else names


def _below_zero(z: Array) -> Array:
    """z where Re z ≤ 0, else 0: the argument of an exponential that must not overflow."""
    return np.where(z.real > 0, 0, z)


def _decay(z: Array) -> Array:
    """e^−|z| for real z, and its analytic continuation on either side of Re z = 0."""
    if np.iscomplexobj(z):
        return np.exp(np.where(z.real > 0, -z, z))
    return np.exp(-np.abs(z))


def _log1p(z: Array) -> Array:
    """log(1 + z), also for complex z, where NumPy's own loses the small real parts."""
    if not np.iscomplexobj(z):
        return np.log1p(z)
    x, y = z.real, z.imag
    return np.log1p(x * (2 + x) + y * y) / 2 + 1j * np.arctan2(y, 1 + x)


def _pi(z: Array) -> Any:
    """π in the precision of z, which Python's float does not have for longdouble."""
    return 4 * np.arctan(z.real.dtype.type(1))


def _normal_distribution(z: Array) -> Array:
    """Φ(z) = erfc(−z/√2)/2 of the standard normal distribution."""
    x = -z / np.sqrt(z.real.dtype.type(2))
    if x.real.dtype == np.longdouble:
        return _erfc_longdouble(x) / 2
    from scipy.special import erfc  # here, not above: scipy is slower to import than NumPy

    return erfc(x) / 2


def _erfc_longdouble(x: Array) -> Array:
    """erfc in extended precision, which scipy does not have, for real or nearly real x (EC-10.11).

    Near zero the series erf x = 2/√π e^(−x²) Σ_k 2^k x^(2k+1) / (2k+1)!!, whose terms do not
    cancel; beyond Re x = 0.5 the continued fraction, which keeps the relative precision of the tail.
    """
    x = np.asarray(x)
    scale = 1 / np.sqrt(_pi(x))
    in_tail, is_two = x.real > 0.5, x.real < -8
    result = np.full_like(x, 2)
    is_near = ~(in_tail | is_two)
    near = x[is_near]
    term = series = near
    for k in range(1, 250):
        term = term * (2 * near**2 / (2 * k + 1))
        shorter, series = series, series + term
        if np.array_equal(series, shorter):  # and so it stays: a term that grows is no small part of the series
            break
    result[is_near] = 1 - 2 * scale * np.exp(-(near**2)) * series
    if in_tail.any():
        far = np.where(x.real > 120, 120, x)[in_tail]  # erfc(120) underflows
        nearest = np.min(np.where(in_tail, x.real, 2))
        fraction = far
        for level in range(100 + int(2 * (12 / nearest) ** 2), 0, -1):  # the error is about e^(−4x √(n/2))
            fraction = far + level / (2 * fraction)
        result[in_tail] = scale * np.exp(-(far**2)) / fraction
    return result
