"""What is really lost: for every weight, the true minimum over δ, without linearisation (EC-8.3, EC-9.4)."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np

from .. import _checks
from .._types import Array, Mask, Masks, Metric
from ..batch import Samples
from ..mlp import MLP
from ..scores import Scores
from ._common import problem
from ._removal import MEMORY, Indices, Removal, removals, squares

TOLERANCE = 1e-6  # the cosine between the change of the output and its derivative, as MINPACK's gtol
DEGREE = 18  # of the polynomials that the first guess minimises; on smooth networks few searches need more
NEWTON_STEPS = 2


@dataclass(frozen=True, eq=False, repr=False)
class NonlinearScores(Scores):
    """The true minimum over δ of what removing each weight changes, and what there is beside it.

    Attributes
    ----------
    importance : tuple of L arrays (n_l, n_{l-1})
        The minimum.
    bias_shift : tuple of L arrays (n_l, n_{l-1})
        The δ where it is.
    converged : tuple of L bool arrays (n_l, n_{l-1})
        Whether the search ended there by itself.
    uncompensated : tuple of L arrays (n_l, n_{l-1})
        The true change at δ = 0, at least `importance`.
    first_order : tuple of L arrays (n_l, n_{l-1})
        The true change at δ*, at least `importance`.

    Examples
    --------
    >>> ec.oracle.nonlinear(ec.MLP([[[2.0, 1.0]]], [[0.0]]), [[1.0, 5.0], [3.0, 5.0]])
    NonlinearScores(1 layers, 2 weights)
    """

    converged: Masks
    uncompensated: tuple[Array, ...]
    first_order: tuple[Array, ...]


def nonlinear(
    mlp: MLP,
    x: Samples,
    metric: Metric = "output",
    *,
    max_steps: int = 200,
    memory: int = MEMORY,
    progress: Callable[[int, int], None] | None = None,
) -> NonlinearScores:
    """min over δ of Φ_true(δ) = E‖f(w_ij = 0, b_i + δ) − f‖²_M, weight by weight (EC-9.4).

    M is taken at the unpruned outputs.  The search starts at the better of δ = 0 and δ*, so its result is
    above neither, and goes downhill: a local minimum where there are several.  Where the better start lies on a
    plateau, because the neuron is dead there, it goes downhill from the other one.  It has converged where the
    change of the output and its derivative in δ are orthogonal to a cosine of 1e-6; or, at a kink, where the
    derivative changes sign within an interval that can hold no more than 1e-12 of the value; or where moving δ
    by its own size changes the value by no more than that, because the minimum is at infinity.  float32 is computed
    in float64.

    Parameters
    ----------
    mlp : MLP
        The network.
    x : array (N, n_0), ec.Batch, or an iterator of them
        The samples; in a batch with their weights, and with targets where the metric is a loss.
    metric : str or callable, default "output"
        "output", "softmax", "fisher", "mse", "cross_entropy", or a callable, as for `collect_moments`.
    max_steps : int, default 200
        Evaluations of a search; what has not converged after them is marked in `converged`.
    memory : int, default 2**21
        Bytes, about, for each of the neurons that are searched at a time, one a core.
    progress : callable, optional
        Called with the neurons that are done and those in all, after each.

    Returns
    -------
    NonlinearScores
        The minimum as `importance` and its place as `bias_shift`, each shaped as the weights, and more.

    Raises
    ------
    TypeError, ValueError
        For a wrong argument, and for an overflow.
    BatchError
        For a batch that is wrong or does not come.

    Examples
    --------
    >>> mlp = ec.MLP([[[2.0, 1.0]]], [[0.0]])
    >>> scores = ec.oracle.nonlinear(mlp, [[1.0, 5.0], [3.0, 5.0]])
    >>> scores.importance[0].round(6), scores.bias_shift[0].round(6)
    (array([[4., 0.]]), array([[4., 5.]]))
    """
    p = problem(mlp, x, metric)
    _checks.integer("max_steps", max_steps, 1)
    _checks.integer("memory", memory, 1)
    _checks.function("progress", progress)
    removal = removals(p, memory)
    importance, bias_shift, uncompensated, first_order = ([np.zeros_like(w) for w in p.mlp.weights] for _ in range(4))
    converged = [np.zeros(w.shape, bool) for w in p.mlp.weights]

    def search(neuron: tuple[int, int]) -> tuple[Array, Array, Array, Array, Array]:
        with _checks.overflow_raised_later():  # what overflows is not a minimum
            return _search(removal(*neuron), max_steps)

    neurons = [(l, i) for l, weights in enumerate(p.mlp.weights) for i in range(len(weights))]
    with ThreadPoolExecutor(os.cpu_count()) as pool:  # NumPy computes outside of the interpreter's lock
        searches = pool.map(search, neurons)
        for done, ((l, i), found) in enumerate(zip(neurons, searches), start=1):
            importance[l][i], bias_shift[l][i], converged[l][i], uncompensated[l][i], first_order[l][i] = found
            if progress is not None:
                progress(done, len(neurons))
    _checks.no_overflow("importance", importance)
    _checks.no_overflow("the change without compensation", uncompensated)
    _checks.no_overflow("the change at first order's shift", first_order)
    found_all = (importance, bias_shift, converged, uncompensated, first_order)
    return NonlinearScores(*(tuple(arrays) for arrays in found_all))


def _search(removal: Removal, max_steps: int) -> tuple[Array, Array, Array, Array, Array]:
    """A local minimum for each weight of a neuron: value, δ, converged; and the values at 0 and at δ*.

    Every search holds its best point, from which Φ_true falls towards `other`; once `bracketed`, Φ_true
    does not fall further at `other`, so that a minimum lies between the two.  A trial inside is either no better,
    and replaces `other`, or the new best.  So the value never rises but by rounding, and the bracket holds by itself.
    """
    everyone = np.arange(len(removal.weights))
    zero, first_order = np.zeros_like(removal.weights), removal.first_order_shift()
    at_zero, at_first_order = removal.value(everyone, zero), removal.value(everyone, first_order)
    best = _Points.evaluate(removal, everyone, _shift_of_polynomials(removal, first_order))
    worse = np.flatnonzero(best.value > np.minimum(at_zero, at_first_order))
    start = np.where(at_first_order <= at_zero, first_order, zero)
    best = best.put(worse, _Points.evaluate(removal, worse, start[worse]))
    stuck = np.flatnonzero(best.square == 0)  # on a plateau, where the neuron is dead: look from the other start too
    plateau, elsewhere = best, np.where(best.shift == 0, first_order, zero)
    best = best.put(stuck, _Points.evaluate(removal, stuck, elsewhere[stuck]))
    other = last = best
    bracketed = np.zeros(len(zero), bool)
    step, slow = zero.copy(), np.zeros(len(zero), bool)
    rounding = removal.output_rounding()
    for _ in range(max_steps):
        active = np.flatnonzero(~_converged(best, other, bracketed, rounding))
        if len(active) == 0:
            break
        now, far, before = best[active], other[active], last[active]
        trial = _trial(now, far, before, bracketed[active], step[active], slow[active])
        new = _Points.evaluate(removal, active, trial)
        noise = 2 * rounding * np.sqrt(now.value)  # values that are closer are told apart by their slopes
        flatter = (new.value <= now.value + noise) & (np.abs(new.slope) < np.abs(now.slope))
        better = (new.value < now.value - noise) | flatter
        rises = new.slope * (trial - now.shift) > 0
        turned = better & (rises | (new.slope == 0))
        # a better point keeps the far end, unless the minimum is behind it
        next_best = new.where(better, now)
        next_other = now.where(turned, far.where(better, new))
        was_bracketed = bracketed[active]
        bracketed[active] |= ~better | turned
        width = np.abs(far.shift - now.shift)
        shrunk = ~was_bracketed | (np.abs(next_other.shift - next_best.shift) <= width / 2)
        slow[active] = ~(shrunk | (np.abs(next_best.slope) <= np.abs(now.slope) / 2))
        step[active] = trial - now.shift
        best, other = best.put(active, next_best), other.put(active, next_other)
        last = last.put(active, now.where(better, new))
    best = plateau.where(plateau.value < best.value, best) if len(stuck) else best
    value = np.minimum(np.minimum(best.value, at_first_order), at_zero)  # the starts are lower by rounding, if at all
    return value, best.shift, _converged(best, other, bracketed, rounding), at_zero, at_first_order


def _shift_of_polynomials(removal: Removal, start: Array) -> Array:
    """A guess of each δ: Newton's method on polynomials through ‖c (f(z_i + t) − f)‖², one for each sample.

    All weights of a neuron see the same functions of t, so that few points of them serve for all.
    """
    a, w = removal.inputs, removal.weights[:, np.newaxis]
    removed = w * a.T
    reach = max(float(np.max(np.abs(removed))), float(np.max(np.abs(start[:, np.newaxis] - removed))))
    if reach == 0:
        return start
    dtype = removal.p.dtype
    nodes = np.cos(np.pi * (np.arange(DEGREE + 1) + 0.5) / (DEGREE + 1))
    t = np.repeat((reach * nodes).astype(dtype)[:, np.newaxis], removal.p.n_samples, axis=1)
    with np.errstate(all="ignore"):  # a guess that is not finite is not made
        polynomials = np.linalg.solve(np.vander(nodes), squares(removal.changes(t)).astype(np.float64)).astype(dtype)
        shift = start
        for _ in range(NEWTON_STEPS):
            u = (shift[:, np.newaxis] - removed) / reach
            value, slope, curvature = polynomials[0] + 0 * u, np.zeros_like(u), np.zeros_like(u)
            for coefficient in polynomials[1:]:
                curvature = curvature * u + slope
                slope = slope * u + value
                value = value * u + coefficient
            step = reach * (slope @ removal.p.weight) / (2 * curvature @ removal.p.weight)
            shift = shift - step
    outside = ~(np.abs(shift - start) <= reach)
    return np.where(outside, start, shift)


@dataclass(frozen=True, eq=False)
class _Points:
    """A δ for each of some weights, with Φ_true there, half its derivative, and E[gᵀ g]."""

    shift: Array
    value: Array
    slope: Array
    square: Array

    @classmethod
    def evaluate(cls, removal: Removal, j: Indices, shift: Array) -> _Points:
        return cls(shift, *removal.value_and_slope(j, shift))

    def __getitem__(self, index: Indices) -> _Points:
        return _Points(self.shift[index], self.value[index], self.slope[index], self.square[index])

    def where(self, chosen: Array, others: _Points) -> _Points:
        return _Points(*(np.where(chosen, a, b) for a, b in zip(self._fields(), others._fields())))

    def put(self, index: Indices, points: _Points) -> _Points:
        fields = [a.copy() for a in self._fields()]
        for field, new in zip(fields, points._fields()):
            field[index] = new
        return _Points(*fields)

    def _fields(self) -> tuple[Array, ...]:
        return self.shift, self.value, self.slope, self.square


def _converged(best: _Points, other: _Points, bracketed: Array, rounding: Any) -> Mask:
    negligible = TOLERANCE**2 * best.value
    length = TOLERANCE * np.sqrt(best.value) + rounding
    with _checks.overflow_raised_later():
        orthogonal = np.abs(best.slope) <= length * np.sqrt(best.square)
        flat = 2 * np.abs(best.slope) * np.abs(best.shift) <= negligible
        # at a kink the derivative jumps from one sign to the other
        width = np.abs(other.shift - best.shift)
        kink = (
            bracketed
            & (best.slope * other.slope <= 0)
            & (
                (2 * np.abs(best.slope) * width <= negligible)
                | (width <= 2 * np.spacing(np.maximum(np.abs(best.shift), np.abs(other.shift))))
            )
        )
    result: Mask = orthogonal | (flat & (best.shift != 0)) | kink
    return result


def _trial(now: _Points, far: _Points, before: _Points, bracketed: Array, step: Array, slow: Array) -> Array:
    """The next δ: a secant step inside the bracket, else its middle; without one, ever larger steps downhill."""
    with np.errstate(all="ignore"):  # what is not finite is not inside the bracket
        gauss_newton = now.shift - now.slope / now.square
        secant = now.shift - now.slope * (now.shift - before.shift) / (now.slope - before.slope)
        middle = (now.shift + far.shift) / 2
        inside = ((secant - now.shift) * (secant - far.shift) < 0) & ~slow
        reach = np.maximum(np.abs(gauss_newton - now.shift), 2 * np.abs(step))
        downhill = now.shift - np.sign(now.slope) * reach
    return np.where(bracketed, np.where(inside, secant, middle), downhill)
