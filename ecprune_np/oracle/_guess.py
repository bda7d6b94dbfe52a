"""Where a minimum of Φ_true is likely to be: Newton's method on polynomials (EC-9.5)."""

from __future__ import annotations

import numpy as np

from .._types import Array
from ._removal import Removal, squares

DEGREE = 18  # of the polynomials; on smooth networks few searches need more
NEWTON_STEPS = 2


def guess(removal: Removal, start: Array) -> Array:
    """A δ for each weight, by polynomials through ‖c (f(z_i + t) − f)‖², one for each sample.

    All weights of a neuron see the same functions of t, so that few points of them serve for all.
    """
    shape = removal.shape
    pairs = zip(removal.weights.reshape(shape), start.reshape(shape), removal.neurons)
    return np.concatenate([_of_neuron(removal, i, w, shift) for w, shift, i in pairs])


def _of_neuron(removal: Removal, i: int, w: Array, start: Array) -> Array:
    removed = w[:, np.newaxis] * removal.inputs
    reach = max(float(np.max(np.abs(removed))), float(np.max(np.abs(start[:, np.newaxis] - removed))))
    if reach == 0:
        return start
    p = removal.p
    nodes = np.cos(np.pi * (np.arange(DEGREE + 1) + 0.5) / (DEGREE + 1))
    t = np.repeat((reach * nodes).astype(p.dtype)[:, np.newaxis], p.n_samples, axis=1)
    with np.errstate(all="ignore"):  # a guess that is not finite is not made
        values = squares(removal.changes(np.full(len(nodes), i), t)).astype(np.float64)
        powers = np.arange(DEGREE, 0, -1)[:, np.newaxis]
        slopes = (np.linalg.solve(np.vander(nodes), values)[:-1] * powers).astype(p.dtype)
        removed /= reach
        shift = start
        for _ in range(NEWTON_STEPS):
            u = shift[:, np.newaxis] / reach - removed
            slope, curvature = slopes[0] + 0 * u, np.zeros_like(u)
            for coefficient in slopes[1:]:
                curvature *= u
                curvature += slope
                slope *= u
                slope += coefficient
            shift = shift - reach * (slope @ p.weight) / (curvature @ p.weight)
    outside = ~(np.abs(shift - start) <= reach)
    return np.where(outside, start, shift)
