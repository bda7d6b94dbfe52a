"""The ten activations and their slopes once more, as EC-10 defines them, in numbers without rounding (EC-9.8)."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any

from .._types import ActivationName

LEAKY_SLOPE = Fraction(0.01)  # the number that Python makes of 0.01, whatever the network's dtype
PIECEWISE_LINEAR = ("identity", "relu", "leaky_relu")  # which need no more than rationals


def _identity(R: Any, z: Any) -> tuple[Any, Any]:
    return z, R.number(1)


def _relu(R: Any, z: Any) -> tuple[Any, Any]:
    return (z, R.number(1)) if R.is_positive(z) else (R.number(0), R.number(0))


def _leaky_relu(R: Any, z: Any) -> tuple[Any, Any]:
    slope = R.number(1 if R.is_positive(z) else LEAKY_SLOPE)
    return slope * z, slope


def _elu(R: Any, z: Any) -> tuple[Any, Any]:
    return (z, R.number(1)) if R.is_positive(z) else (R.exp(z) - 1, R.exp(z))


def _sigmoid(R: Any, z: Any) -> tuple[Any, Any]:
    return 1 / (1 + R.exp(-z)), 1 / ((1 + R.exp(-z)) * (1 + R.exp(z)))


def _tanh(R: Any, z: Any) -> tuple[Any, Any]:
    cosh, sinh = (R.exp(z) + R.exp(-z)) / 2, (R.exp(z) - R.exp(-z)) / 2
    return sinh / cosh, 1 / cosh**2


def _softplus(R: Any, z: Any) -> tuple[Any, Any]:
    return R.log(1 + R.exp(z)), 1 / (1 + R.exp(-z))


def _sin(R: Any, z: Any) -> tuple[Any, Any]:
    return R.sin(z), R.cos(z)


def _silu(R: Any, z: Any) -> tuple[Any, Any]:
    s, slope = _sigmoid(R, z)
    return z * s, s + z * slope


def _gelu(R: Any, z: Any) -> tuple[Any, Any]:
    distribution = R.erfc(-z / R.root(R.number(2))) / 2
    density = R.exp(-(z**2) / 2) / R.root(2 * R.context.pi)
    return z * distribution, distribution + z * density


# of an arithmetic R and z: σ(z) and σ'(z)
ACTIVATIONS: dict[ActivationName, Callable[[Any, Any], tuple[Any, Any]]] = {
    "identity": _identity,
    "relu": _relu,
    "leaky_relu": _leaky_relu,
    "elu": _elu,
    "sigmoid": _sigmoid,
    "tanh": _tanh,
    "softplus": _softplus,
    "sin": _sin,
    "silu": _silu,
    "gelu": _gelu,
}
