"""The change of the outputs as a linear function of z_i, and how far it is from one (EC-9.6)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from .. import _checks
from .._types import Array
from ._bends import STEEPEST, curvature, kink
from ._removal import ALL, Indices, Removal, squares
from ._slopes import SLOPES


@dataclass(frozen=True, eq=False)
class Expansion:
    """h(t + τ) = h + h' τ + e with ‖e‖ ≤ λ|τ| + κ τ²/2: ‖h‖², hᵀh', ‖h'‖², λ and κ, each (J, N)."""

    value: Array
    slope: Array
    square: Array
    kink: Array
    curvature: Array


@dataclass(frozen=True, eq=False)
class Norms:
    """Largest singular values, of each layer's weights and of each sample's cotangents; and the lengths of W's rows."""

    weights: list[float]
    rows: list[Array]
    cotangents: Array


def norms(removal: Removal) -> Norms:
    """In float64, which is all that NumPy decomposes in.  Nothing is behind the first layer's weights."""
    weights = [w.astype(np.float64) for w in removal.p.mlp.weights]
    with _checks.overflow_raised_later():
        rows = [np.linalg.norm(w, axis=1)[:, np.newaxis, np.newaxis] for w in weights]
    c = np.ones((1, removal.p.n_samples, 1)) if removal.c is None else removal.c.astype(np.float64)
    more = 1 + 1e-12  # than the decomposition rounds
    of_samples: Array = more * np.linalg.norm(c.transpose(1, 0, 2), 2, axis=(1, 2))
    return Norms([0.0, *(more * float(np.linalg.norm(w, 2)) for w in weights[1:])], rows, of_samples)


def expansion(removal: Removal, size: Norms, i: Indices, t: Array, reach: Array, n: slice = ALL) -> Expansion:
    """`Expansion` of h(t) = c_rᵀ (f(z_i + t) − f) for |τ| ≤ reach, t and reach (J, N) or (J, 1) (EC-9.6).

    Behind neuron i all is a function of its activation a alone: `slope`, λ and κ are in a until the last lines,
    the latter two as norms over a layer.
    """
    l, n_layers = removal.l, removal.p.mlp.n_layers
    change, own, own_kink, own_curvature = _own(removal, i, t, reach, n)
    steepest = np.minimum(np.abs(own) + own_kink + own_curvature * reach, _steepest(removal, l))
    reach = steepest * reach  # of a
    slope: Any = np.ones_like(change)
    kinks: Any = 0.0
    curved: Any = 0.0
    for m in range(l + 1, n_layers):
        w = removal.p.mlp.weights[m]
        z = removal.next(m, i, change)
        slope = w.take(i, axis=1)[..., np.newaxis] if m == l + 1 else removal.next(m, i, slope)
        activation, norm = removal.activation[m], size.weights[m]
        if activation.name == "identity":
            change, kinks, curved = z, norm * kinks, norm * curved
            continue
        z += removal.preactivations[m][:, np.newaxis, n]
        change = activation.value(z)
        derivative = SLOPES[activation.name](z, change)
        change -= removal.activations[m][:, np.newaxis, n]
        steep = np.abs(slope)  # at least |∂z/∂a|, within reach
        if m > l + 1:
            steep = steep + size.rows[m] * (kinks + curved * reach)
        far = steep * reach
        bend, jump = curvature(activation.name, z, far), kink(activation.name, z, far)
        if m > l + 1:
            most = np.minimum(np.abs(derivative) + jump + bend * far, _steepest(removal, m)).max(axis=0)
            kinks, curved = most * norm * kinks, most * norm * curved
        if np.ndim(jump):
            kinks = kinks + np.sqrt(squares(jump * steep))
        bend *= steep**2
        curved = curved + np.sqrt(squares(bend))
        slope = np.multiply(derivative, slope, out=derivative)
    if l == n_layers - 1:
        r, g = removal.measured_alone(change, i, n), removal.measured_alone(slope, i, n)
    else:
        r, g = removal.measured(change, n), removal.measured(np.broadcast_to(slope, change.shape), n)
    kinks, curved = size.cotangents[n] * kinks, size.cotangents[n] * curved
    square = squares(g)
    longest = np.sqrt(square) + kinks + curved * reach  # at least ‖∂h/∂a‖
    return Expansion(
        squares(r),
        own * np.einsum("rjn,rjn->jn", r, g),
        own**2 * square,
        longest * own_kink + kinks * steepest,
        longest * own_curvature + curved * steepest**2,
    )


def _own(removal: Removal, i: Indices, t: Array, reach: Array, n: slice) -> tuple[Array, Array, Any, Array]:
    """Neuron i itself: Δa, its derivative in t, λ and κ."""
    activation = removal.activation[removal.l]
    z = removal.preactivations[removal.l][i, n] + t
    if activation.name == "identity":
        return np.broadcast_to(t, z.shape), np.ones_like(z), 0.0, np.zeros_like(z)
    a = activation.value(z)
    slope, bend = SLOPES[activation.name](z, a), curvature(activation.name, z, reach)
    return a - removal.activations[removal.l][i, n], slope, kink(activation.name, z, reach), bend


def _steepest(removal: Removal, m: int) -> float:
    return STEEPEST.get(removal.activation[m].name, 1.0)
