"""The δ beyond which every activation is its asymptote to rounding (EC-9.5)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .. import _checks
from .._types import Array, Mask
from ._bends import ASYMPTOTES, STRAIGHT
from ._removal import Removal

FARTHEST = 2.0**60  # as far as anything that moves more slowly is followed


@dataclass(frozen=True, eq=False)
class Bracket:
    """From `low` to `high` for all weights of each neuron, (I,).

    `endless` (2, I) says where no asymptotes are beyond, below and above; `periodic` that the bracket is a period.
    """

    low: Array
    high: Array
    endless: Mask
    periodic: bool


def bracket(removal: Removal) -> Bracket:
    """For the neurons of `removal`; where they are sines, a period, whatever is behind them (EC-9.5)."""
    I, J = removal.shape
    if removal.activation[removal.l].name == "sin":
        pi = np.full(I, 4 * np.arctan(removal.p.dtype.type(1)))
        return Bracket(-pi, pi, np.zeros((2, I), bool), True)
    (left, right), endless = zip(*(_beyond(removal, sign) for sign in (-1, 1)))
    w = removal.weights.reshape(I, J)
    ends = w * removal.inputs.min(axis=1), w * removal.inputs.max(axis=1)
    low, high = np.minimum(*ends).min(axis=1) - left, np.maximum(*ends).max(axis=1) + right
    return Bracket(low, high, np.array(endless), False)


def _beyond(removal: Removal, sign: int) -> tuple[Array, Mask]:
    """The |t| beyond which neurons i and all behind them are asymptotes in every sample; and which never are."""
    distance = np.zeros(len(removal.neurons), removal.p.dtype)
    rest = np.ones_like(distance)
    endless = np.zeros(len(distance), bool)
    for _ in range(2 * removal.p.mlp.n_layers):  # a layer a time, and once more where rounding asks for it
        with _checks.overflow_raised_later():
            rest, endless = _rest(removal, distance, sign)
        if not rest.any():
            break
        distance = np.minimum((1 + 1e-9) * (distance + rest), FARTHEST)
    return distance, endless | (rest > 0)


def _rest(removal: Removal, distance: Array, sign: int) -> tuple[Array, Mask]:
    """How much farther the first layer has to go that is not at its asymptotes, those before it being there.

    There the slopes of all neurons are the same in all samples, (n, I), and a neuron goes to one side for good.
    """
    p, l, i = removal.p, removal.l, removal.neurons
    rounding = np.finfo(p.dtype).eps
    rest, endless = np.zeros(len(i), p.dtype), np.zeros(len(i), bool)
    change, slope = (sign * distance)[np.newaxis, :, np.newaxis], np.full((1, len(i)), sign, p.dtype)
    for m in range(l, p.mlp.n_layers):
        activation = removal.activation[m]
        z, a = removal.preactivations[m], removal.activations[m]
        z, a = (z[np.newaxis, i], a[np.newaxis, i]) if m == l else (z[:, np.newaxis], a[:, np.newaxis])
        z = z + change
        if activation.name == "sin":
            return rest, (rest == 0) & (slope != 0).any(axis=0)
        if activation.name != "identity":
            far = 0 if activation.name in STRAIGHT else -1.25 * np.log(rounding)
            left = np.maximum(far - (z * np.sign(slope)[..., np.newaxis]).min(axis=2), 0)
            left = np.divide(left, np.abs(slope), out=np.zeros_like(left), where=slope != 0).max(axis=0)
            rest = np.where(rest > 0, rest, left)
        if m < p.mlp.n_layers - 1:
            change = activation.value(z) - a
            change = removal.next(m + 1, i, change[0] if m == l else change)
            to_the_left, to_the_right = ASYMPTOTES[activation.name]
            slope = slope * np.where(slope < 0, to_the_left, to_the_right)
            w = p.mlp.weights[m + 1]
            terms = w[:, i, np.newaxis] * slope.T if m == l else w[:, np.newaxis] * slope.T
            slope = terms.sum(axis=2)
            slope[np.abs(slope) <= 16 * rounding * np.abs(terms).sum(axis=2)] = 0  # which cancels
    return rest, endless
