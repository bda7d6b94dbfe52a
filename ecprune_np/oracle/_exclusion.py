"""Which δ cannot be the best, told for all weights of a neuron at once (EC-9.4, EC-9.8)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from .._types import Array, Mask
from ._bracket import Bracket
from ._expansion import Norms
from ._parabolas import parabolas
from ._removal import Removal

CELLS = 16  # of a bracket, to begin with
MOST_CELLS = 512


@dataclass(frozen=True, eq=False)
class Tails:
    """What is best below and above a bracket, (2, K): δ, Φ_true there, and whether that is constant, to rounding."""

    shift: Array
    value: Array
    constant: Mask


def tails(removal: Removal, size: Norms, where: Bracket, noise: Any) -> Tails:
    """Where every activation is its asymptote, Φ_true is one parabola (EC-9.4); it is infinite where none ever is."""
    ends = np.array([where.low.min(), where.high.max()])
    outside = parabolas(removal, size, ends, 0)
    s, least = outside.vertex(np.array([-np.inf, 0]), np.array([0, np.inf]))
    constant = np.broadcast_to(outside.c * (ends[1] - ends[0]) ** 2 <= noise**2, s.shape)
    shift, value = np.where(constant, 0, s) + ends, np.where(constant, outside.a, least)
    value[where.endless | where.periodic] = np.inf
    return Tails(*(array.reshape(-1, 2).T for array in (shift, value, constant & np.isfinite(value))))


@dataclass(frozen=True, eq=False)
class Remaining:
    """Between which ends, (K,), Φ_true may be lower, from ∞ to −∞ if nowhere; and in norm λ and κ all over there."""

    low: Array
    high: Array
    kink: Array
    curvature: Array


def not_excluded(removal: Removal, size: Norms, value: Array, where: Bracket, noise: Any) -> Remaining:
    """The least interval for each weight outside of which nothing in the bracket is below `value` (EC-9.8).

    The cells of the bracket are halved as long as that serves more weights than it costs expansions.
    """
    I, J = removal.shape
    enough = np.sqrt(value).reshape(I, J, 1) * (1 - 1e-12) - noise
    low, high = where.low.min(), where.high.max()
    half = (high - low) / (2 * CELLS)
    centres = low + half * (2 * np.arange(CELLS) + 1)
    while True:
        cells = parabolas(removal, size, centres, half)
        _, least = cells.vertex(-half, half)
        possible = ~(np.sqrt(np.maximum(least - cells.rounding, 0)) - cells.error >= enough)
        left = possible.any(axis=(0, 1))
        served, n_left = np.count_nonzero(possible & cells.helps), np.count_nonzero(left)
        if served <= 4 * I * n_left or 2 * n_left > MOST_CELLS:
            break
        half = half / 2
        centres = (centres[left, np.newaxis] + np.array([-half, half])).ravel()
    low = np.where(possible, centres - half, np.inf).min(axis=2, keepdims=True)
    high = np.where(possible, centres + half, -np.inf).max(axis=2, keepdims=True)
    between = (centres > low) & (centres < high)
    whole = between.sum(axis=2) * 2 * half >= (1 - 1e-9) * (high - low)[..., 0]  # with no hole of earlier cells
    kinks, curved = (
        np.where(whole, np.where(between, bound, 0).max(axis=2), np.inf) for bound in (cells.kink, cells.curvature)
    )
    return Remaining(low.ravel(), high.ravel(), kinks.ravel(), curved.ravel())
