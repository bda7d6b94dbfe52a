"""σ' from σ's value a = σ(z), by the differential equation that an activation solves, where it does (EC-10).

The fast path's derivatives are others, on purpose.  Far in a tail these cancel, to an absolute error of a rounding of
σ's value: enough for the direction of a search, whose values do not depend on it.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from .._types import ActivationName, Array


def _mean_slope(z: Array, a: Array) -> Array:
    """a/z of an activation that is z times a distribution function, whose value at 0 is 1/2."""
    ratio: Array = np.divide(a, z, out=np.full_like(z, 0.5), where=z != 0)
    return ratio


def _gelu(z: Array, a: Array) -> Array:
    density = np.exp(-(z**2) / 2) / np.sqrt(8 * np.arctan(z.dtype.type(1)))
    slope: Array = _mean_slope(z, a) + z * density
    return slope


SLOPES: dict[ActivationName, Callable[[Array, Array], Array]] = {
    "identity": lambda z, a: np.ones_like(z),
    "relu": lambda z, a: (z > 0).astype(z.dtype),
    "leaky_relu": lambda z, a: np.where(z > 0, z.dtype.type(1), z.dtype.type(0.01)),
    "elu": lambda z, a: np.where(z > 0, 1, a + 1),
    "sigmoid": lambda z, a: a * (1 - a),
    "tanh": lambda z, a: 1 - a**2,
    "softplus": lambda z, a: -np.expm1(-a),
    "sin": lambda z, a: np.cos(z),
    "silu": lambda z, a: _mean_slope(z, a) + a * (1 - _mean_slope(z, a)),
    "gelu": _gelu,
}
