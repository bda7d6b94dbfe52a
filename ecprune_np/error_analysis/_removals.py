"""What removing a weight and shifting the bias beside it do to the output, in balls (EC-7.16)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from .._types import ActivationName, Array
from ..mlp import MLP
from ._balls import Ball, ball
from ._bounded import LARGEST_SLOPE, BoundedPass, slope, value

# of σ: from which ∣z∣ on σ and σ' run monotonically to their limits, on either side; and the limits of both
BEYOND: dict[ActivationName, tuple[float, tuple[float, float], tuple[float, float]]] = {
    "identity": (-np.inf, (-np.inf, np.inf), (1.0, 1.0)),
    "relu": (-np.inf, (0.0, np.inf), (0.0, 1.0)),
    "leaky_relu": (-np.inf, (-np.inf, np.inf), (0.01, 1.0)),
    "elu": (-np.inf, (-1.0, np.inf), (0.0, 1.0)),
    "sigmoid": (0.0, (0.0, 1.0), (0.0, 0.0)),
    "tanh": (0.0, (-1.0, 1.0), (0.0, 0.0)),
    "softplus": (-np.inf, (0.0, np.inf), (0.0, 1.0)),
    "sin": (np.inf, (-1.0, 1.0), (0.0, 0.0)),
    "silu": (2.4, (0.0, np.inf), (0.0, 1.0)),
    "gelu": (1.42, (0.0, np.inf), (0.0, 1.0)),
}


@dataclass(frozen=True, eq=False)
class Removals:
    """Neuron i of layer l, its inputs a (N, m), and all behind it: z_m (N, n_m), of layer l that of neuron i alone.

    p_n and c_r are those of `BoundedPass`, c_r of the outputs that neuron i moves.
    """

    mlp: MLP
    l: int
    i: int
    p: Ball
    inputs: Ball
    preactivations: list[Ball]
    cotangents: Ball

    @classmethod
    def of(cls, passed: BoundedPass, mlp: MLP, l: int, i: int, dtype: Any) -> Removals:
        """In a dtype that may be narrower than that of the pass."""
        first, *rest = passed.preactivations[l:]
        c = passed.cotangents if rest else passed.cotangents[..., [i]]
        z = [_as_dtype(z_m, dtype) for z_m in (first[:, [i]], *rest)]
        p, a, c = (_as_dtype(part, dtype) for part in (passed.probability, passed.inputs[l], c))
        return cls(mlp.astype(dtype), l, i, p, a, z, c)

    def moved(self, j: Array, shift: Array) -> Ball:
        """t_n = δ − w_ij a_j, by which z_i moves: (B, N)."""
        w = self.mlp.weights[self.l][self.i, j]
        t: Ball = shift[:, np.newaxis] - w[:, np.newaxis] * self.inputs.T[j]
        return t

    def near(self, t: Ball, half: Array) -> tuple[Ball, Ball]:
        """h = c_rᵀ (f − f_0) where z_i moves by t (B, N), and h' anywhere within `half` (B,) of t: (R, B, N)."""
        z, d, half = t[..., np.newaxis], ball(np.ones((*t.shape, 1), t.value.dtype)), half[:, np.newaxis, np.newaxis]
        for m, before in enumerate(self.preactivations):
            name, here = self.mlp.layer_activation(self.l + m).name, before + z
            d = slope(name, Ball(here.value, here.error + half * d.size())) * d
            z, d = self._passed_on(m, difference(name, before, z)), self._passed_on(m, d)
        return self._measured(z), self._measured(d)

    def beyond(self, t: Ball, sign: int) -> tuple[Ball, Ball, Ball]:
        """h where z_i moves by t, h' anywhere beyond, and h anywhere beyond."""
        z, d = t[..., np.newaxis], ball(np.ones((*t.shape, 1), t.value.dtype))
        ray = Ball(z.value, np.full_like(z.value, np.inf))
        for m, before in enumerate(self.preactivations):
            name, here, there = self.mlp.layer_activation(self.l + m).name, before + z, before + ray
            toward = np.where(d.is_zero(), 0, np.where(d.least() > 0, sign * np.sign(d.value), np.nan))
            values, slopes = beyond(name, here, toward)
            values, slopes = _nearer(values, value(name, there)), _nearer(slopes, slope(name, there))
            ray, d = self._passed_on(m, values - value(name, before)), self._passed_on(m, slopes * d)
            z = self._passed_on(m, difference(name, before, z))
        return self._measured(z), self._measured(d), self._measured(ray)

    def _passed_on(self, m: int, a: Ball) -> Ball:
        """What it makes of the next layer's preactivations, if there is one."""
        if m + 1 == len(self.preactivations):
            return a
        w = self.mlp.weights[self.l + m + 1]
        return a @ (w[:, [self.i]] if m == 0 else w).T

    def _measured(self, f: Ball) -> Ball:
        """c_rᵀ f of f (B, N, K): (R, B, N)."""
        return (self.cotangents[:, np.newaxis] * f).sum(axis=3)


def difference(name: ActivationName, z: Ball, dz: Ball) -> Ball:
    """σ(z + dz) − σ(z): a difference of values, or a slope on the way times dz, whichever is known better."""
    if name == "identity":
        return dz
    by_slope = slope(name, Ball(z.value + dz.value / 2, z.error + dz.size())) * dz
    return _nearer(value(name, z + dz) - value(name, z), by_slope)


def beyond(name: ActivationName, z: Ball, toward: Array) -> tuple[Ball, Ball]:
    """What σ and σ' may be from z on, towards ∞, −∞, or nowhere (0); or anywhere (NaN)."""
    start, values, slopes = BEYOND[name]
    here = value(name, z), slope(name, z)
    settled = (toward * z.value - z.error >= start) & ~np.isnan(toward)
    anywhere = _hull(Ball.exact(np.full_like(z.value, values[0])), np.full_like(z.value, values[1]))
    steep = Ball(np.zeros_like(z.value), np.full_like(z.value, LARGEST_SLOPE[name]))
    to_limits = (_hull(at, np.where(toward > 0, ends[1], ends[0])) for at, ends in zip(here, (values, slopes)))
    return tuple(  # type: ignore[return-value]  # two of them
        _where(toward == 0, at, _where(settled, to_limit, unknown))
        for at, to_limit, unknown in zip(here, to_limits, (anywhere, steep))
    )


def _hull(a: Ball, end: Array) -> Ball:
    """All between what a may be and a number; anything, where that is infinite."""
    low, high = np.minimum(a.value - a.error, end), np.maximum(a.value + a.error, end)
    known = np.isfinite(low) & np.isfinite(high)
    middle = np.where(known, (low + high) / 2, 0)
    return Ball(middle, np.where(known, (1 + 4 * np.finfo(middle.dtype).eps) * (high - low) / 2, np.inf))


def _where(chosen: Array, a: Ball, b: Ball) -> Ball:
    return Ball(np.where(chosen, a.value, b.value), np.where(chosen, a.error, b.error))


def _nearer(a: Ball, b: Ball) -> Ball:
    """Of two enclosures the smaller."""
    return _where(a.error <= b.error, a, b)


def _as_dtype(a: Ball, dtype: Any) -> Ball:
    """In a dtype that may be narrower: what is cut off is an error more."""
    cut = a.value.astype(dtype)
    error = (1 + 4 * np.finfo(dtype).eps) * (a.error + np.abs(a.value - cut))
    return Ball(cut, error.astype(dtype) + np.where(error > 0, np.finfo(dtype).tiny, 0))
