"""How far an activation is from its tangent near z (EC-9.6), and its slopes far from 0 (EC-9.5).

Bounds and limits only: no derivative stands here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .. import _checks
from .._types import ActivationName, Array

STRAIGHT: tuple[ActivationName, ...] = ("identity", "relu", "leaky_relu")  # their own asymptotes, from 0 on
JUMPS: dict[ActivationName, float] = {"relu": 1.0, "leaky_relu": 0.99}  # of σ' at 0
STEEPEST: dict[ActivationName, float] = {"sigmoid": 0.25, "silu": 1.1, "gelu": 1.13}  # at least |σ'|, where not 1

# σ' far on the left and far on the right; a sine has no asymptotes
ASYMPTOTES: dict[ActivationName, tuple[float, float]] = {
    "identity": (1, 1),
    "relu": (0, 1),
    "leaky_relu": (0.01, 1),
    "elu": (0, 1),
    "sigmoid": (0, 0),
    "tanh": (0, 0),
    "softplus": (0, 1),
    "silu": (0, 1),
    "gelu": (0, 1),
}


def _gaussian(d: Array) -> Array:
    """|φ''| ≤ (2 + d²) φ; 0.4 is more than 1/√2π, and the square is cut off before it overflows."""
    square = np.clip(d, 0, 100) ** 2
    bound: Array = 0.4 * (2 + square) * np.exp(-square / 2)
    return bound


# at least |σ''| anywhere; and at least |σ''| for |z| ≥ d, a bound that falls, and for d ≤ 0 is no less than the first
_CURVATURES: dict[ActivationName, tuple[float, Callable[[Array], Array]]] = {
    "identity": (0, np.zeros_like),
    "relu": (0, np.zeros_like),
    "leaky_relu": (0, np.zeros_like),
    "elu": (1, lambda d: np.exp(-d)),
    "sigmoid": (0.1, lambda d: np.exp(-d)),
    "tanh": (0.77, lambda d: 8 * np.exp(-2 * d)),
    "softplus": (0.25, lambda d: np.exp(-d)),
    "sin": (1, np.ones_like),
    "silu": (0.5, lambda d: (2 + np.abs(d)) * np.exp(-d)),
    "gelu": (0.8, _gaussian),
}


def curvature(name: ActivationName, z: Array, reach: Array) -> Array:
    """At least |σ''| within reach of z, kinks aside."""
    largest, decay = _CURVATURES[name]
    nearest = np.abs(z)
    nearest -= reach  # to 0 that an argument comes
    with _checks.overflow_raised_later():  # far below 0, where the first bound holds
        return np.minimum(decay(nearest), largest, out=nearest)


def kink(name: ActivationName, z: Array, reach: Array) -> Any:
    """The largest |σ(z + τ) − σ(z) − σ'(z) τ|/|τ| within reach that a kink at 0 makes; 0 where there is none."""
    if name not in JUMPS:
        return 0.0
    return JUMPS[name] * np.maximum(reach - np.abs(z), 0) / np.maximum(reach, np.finfo(z.dtype).tiny)
