"""What is really lost: for every weight, the true minimum over δ, without linearisation (EC-8.3, EC-9.4)."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from .. import _checks
from ..metrics import Metric
from ..mlp import MLP
from ..scores import Scores
from ._common import Problem, embedding, evaluate_from, inputs_and_preactivations, linear_metric, problem

Array = npt.NDArray[Any]
Indices = npt.NDArray[np.intp]

TOLERANCE = 1e-6  # the cosine between the change of the output and its derivative, as MINPACK's gtol
ROUNDINGS = 16  # roundings of the output, below which a change of it has no direction
MEMORY = 2**21  # stays in a core's cache, and products this small are not split among threads at a loss
STEP = 1e-200
DEGREE = 18  # of the polynomials that the first guess minimises; on smooth networks few searches need more
NEWTON_STEPS = 2


@dataclass(frozen=True, eq=False)
class NonlinearScores(Scores):
    """The true minimum as `importance`, its place as `bias_shift`, and whether each search `converged`.

    `uncompensated` is the true change at δ = 0 and `first_order` the true change at δ*, both at least
    `importance`.  All are shaped as the weights.
    """

    converged: tuple[npt.NDArray[np.bool_], ...]
    uncompensated: tuple[Array, ...]
    first_order: tuple[Array, ...]

    def __init__(
        self,
        scores: Scores,
        converged: list[npt.NDArray[np.bool_]],
        uncompensated: list[Array],
        first_order: list[Array],
    ) -> None:
        super().__init__(scores.importance, scores.bias_shift)
        object.__setattr__(self, "converged", tuple(_checks.frozen(a) for a in converged))
        object.__setattr__(self, "uncompensated", tuple(_checks.frozen(a) for a in uncompensated))
        object.__setattr__(self, "first_order", tuple(_checks.frozen(a) for a in first_order))


def nonlinear(
    mlp: MLP,
    x: npt.ArrayLike,
    metric: Metric = "output",
    *,
    sample_weight: npt.ArrayLike | None = None,
    y: npt.ArrayLike | None = None,
    loss: str = "mse",
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
    by its own size changes the value by no more than that, because the minimum is at infinity.  What has not
    converged after `max_steps` evaluations is marked in `converged`.

    Each core searches for a neuron, on about `memory` bytes; `progress(done, total)` is called after each neuron.
    float32 is computed in float64.  The other arguments and the errors are those of `collect_moments`.
    """
    p = problem(mlp, x, metric, sample_weight, y, loss)
    _checks.integer("max_steps", max_steps, 1)
    _checks.integer("memory", memory, 1)
    removal = removals(p, memory)
    importance, bias_shift, uncompensated, first_order = ([np.zeros_like(w) for w in p.mlp.weights] for _ in range(4))
    converged = [np.zeros(w.shape, bool) for w in p.mlp.weights]

    def search(neuron: tuple[int, int]) -> tuple[Array, Array, Array, Array, Array]:
        with np.errstate(over="ignore", invalid="ignore", under="ignore"):  # what overflows is not a minimum
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
    return NonlinearScores(Scores(importance, bias_shift), converged, uncompensated, first_order)


@dataclass(frozen=True, eq=False)
class Removal:
    """Removing one weight of neuron i in layer l: what the network after it makes of that.

    `inputs` of layer l, and all `preactivations` and `activations`, (n, N) with the samples last for speed, are those
    of the unpruned network; `c` are its cotangents (R, N, K), or None for the output metric.
    """

    p: Problem
    l: int
    i: int
    inputs: Array
    preactivations: list[Array]
    activations: list[Array]
    c: Array | None
    memory: int

    @property
    def weights(self) -> Array:
        """w_ij over j, shape (n_{l-1},)."""
        row: Array = self.p.mlp.weights[self.l][self.i]
        return row

    def changes(self, t: Array, samples: slice = slice(None)) -> Array:
        """c_rᵀ (f(z_i + t) − f) for t of shape (J, N), as (R, J, N).

        Only what is downstream of neuron i is evaluated, as changes Δa and Δz, so that nothing cancels
        but in σ(z + Δz) − σ(z); neuron i's change enters the next layer with rank one.
        """
        change, _ = self._activated(self.l, t, None, samples, self.i)
        if self.l == self.p.mlp.n_layers - 1:
            return self._measured_alone(change, samples)
        for m in range(self.l + 1, self.p.mlp.n_layers):
            change, _ = self._activated(m, self._next(m, change), None, samples)
        return self._measured(change, samples)

    def changes_and_slopes(self, t: Array, samples: slice = slice(None)) -> tuple[Array, Array]:
        """`changes` and their derivative in t: both are pushed forwards side by side."""
        change, slope = self._activated(self.l, t, np.ones_like(t), samples, self.i)
        if self.l == self.p.mlp.n_layers - 1:
            return self._measured_alone(change, samples), self._measured_alone(slope, samples)
        for m in range(self.l + 1, self.p.mlp.n_layers):
            change, slope = self._activated(m, self._next(m, change), self._next(m, slope), samples)
        return self._measured(change, samples), self._measured(slope, samples)

    def _next(self, m: int, change: Array) -> Array:
        """W^m Δa, (n, J, N), of rank one where only neuron i of the layer before has changed, by (J, N)."""
        weights: Array = self.p.mlp.weights[m]
        if m == self.l + 1:
            return weights[:, self.i, np.newaxis, np.newaxis] * change
        product = weights @ change.reshape(len(change), -1)  # one product of matrices, not J of them
        return product.reshape(-1, *change.shape[1:])

    def _activated(
        self, m: int, change: Array, slope: Array | None, samples: slice, i: int | None = None
    ) -> tuple[Array, Any]:
        """Δa = σ(z + Δz) − σ(z), and the slope of z + Δz times σ'(z + Δz), in all of layer m or in neuron i."""
        activation = self.p.mlp.layer_activation(m)
        if activation.name == "identity":  # which rounds nothing
            return change, slope
        neurons = slice(None) if i is None else slice(i, i + 1)
        z = self.preactivations[m][neurons, np.newaxis, samples] + change
        a = activation.value(z)
        a -= self.activations[m][neurons, np.newaxis, samples]
        if slope is not None:
            slope = activation.derivative(z) * slope
        return (a, slope) if i is None else (a[0], None if slope is None else slope[0])

    def _measured(self, change: Array, samples: slice) -> Array:
        """c_rᵀ Δf, (K, J, N) to (R, J, N)."""
        if self.c is None:
            return change
        c = self.c[:, samples].transpose(1, 2, 0)
        product: Array = np.matmul(change.transpose(2, 1, 0), c).transpose(2, 1, 0)
        return product

    def _measured_alone(self, change: Array, samples: slice) -> Array:
        """c_rᵀ Δf where output i alone has changed, (J, N) to (R, J, N)."""
        return change[np.newaxis] if self.c is None else self.c[:, np.newaxis, samples, self.i] * change

    def value(self, j: Indices, shift: Array) -> Array:
        """Φ_true(δ) for removing each w_ij with its own δ, shape (J,); infinite where it overflows."""
        value = np.zeros_like(shift)
        for J, n, t in self._blocks(j, shift):
            value[J] += _squares(self.changes(t, n)) @ self.p.weight[n]
        return np.where(np.isfinite(value), value, np.inf)

    def value_and_slope(self, j: Indices, shift: Array) -> tuple[Array, Array, Array]:
        """Φ_true(δ), half its derivative E[rᵀ g], and E[gᵀ g], with the change r of the output and g = ∂r/∂δ."""
        value, slope, square = np.zeros_like(shift), np.zeros_like(shift), np.zeros_like(shift)
        for J, n, t in self._blocks(j, shift):
            r, g = self.changes_and_slopes(t, n)
            value[J] += _squares(r) @ self.p.weight[n]
            slope[J] += np.einsum("rjn,rjn->jn", r, g) @ self.p.weight[n]
            square[J] += _squares(g) @ self.p.weight[n]
        return np.where(np.isfinite(value), value, np.inf), slope, square

    def _blocks(self, j: Indices, shift: Array) -> Iterator[tuple[slice, slice, Array]]:
        """Blocks of weights and of samples that `memory` holds, each with its t = δ − w_ij a_j."""
        mlp, N = self.p.mlp, self.p.n_samples
        floats = 6 * max([1 if self.c is None else len(self.c), *mlp.sizes[self.l + 2 :]])
        n_pairs = max(1, self.memory // (floats * mlp.dtype.itemsize))
        n_block = min(N, n_pairs)
        j_block = max(1, n_pairs // n_block)
        for J in (slice(k, k + j_block) for k in range(0, len(j), j_block)):
            for n in (slice(k, k + n_block) for k in range(0, N, n_block)):
                yield J, n, shift[J, np.newaxis] - self.weights[j[J], np.newaxis] * self.inputs[n, j[J]].T

    def first_order_shift(self) -> Array:
        """δ*_ij = w_ij E[s_i a_j]/E[s_i] over j, 0 for a dead neuron (EC-3.3)."""
        _, g = self.changes_and_slopes(np.zeros((1, self.p.n_samples), self.p.dtype))
        s = self.p.weight * _squares(g)[0]
        total = s.sum()
        if total == 0:
            return np.zeros_like(self.weights)
        a = self.inputs
        mean = s @ a / total
        shift: Array = self.weights * (mean + s @ (a - mean) / total)
        return shift

    def output_rounding(self) -> Any:
        """√E‖c (ε f)‖²: a change of the output that is no larger is made of rounding."""
        eps = np.finfo(self.p.dtype).eps
        f = np.abs(self.activations[-1])
        size = f if self.c is None else np.einsum("rnk,kn->rn", np.abs(self.c), f)
        return ROUNDINGS * eps * np.sqrt(np.sum(size**2, axis=0) @ self.p.weight)


def removals(p: Problem, memory: int = MEMORY) -> Callable[[int, int], Removal]:
    """`Removal` of the weights of neuron i in layer l, within so many bytes, with one forward pass for all."""
    inputs, preactivations = inputs_and_preactivations(p.mlp, p.x)
    outputs = evaluate_from(p.mlp, p.mlp.n_layers - 1, preactivations[-1])
    c = fixed_cotangents(p, outputs)
    activations = [np.ascontiguousarray(a.T) for a in (*inputs[1:], outputs)]
    rows = [np.ascontiguousarray(z.T) for z in preactivations]
    return lambda l, i: Removal(p, l, i, inputs[l], rows, activations, c, memory)


def fixed_cotangents(p: Problem, outputs: Array) -> Array | None:
    """c_r at the unpruned outputs, (R, N, K): the embedding's derivative by complex step; None for the identity."""
    if callable(p.metric):
        return linear_metric(p, outputs)
    if p.metric == "output":
        return None
    columns = []
    for k in range(outputs.shape[1]):
        stepped = outputs.astype(np.result_type(outputs, 1j))
        stepped[:, k] += 1j * STEP
        columns.append(embedding(p, stepped).imag.T / p.dtype.type(STEP))
    return np.stack(columns, axis=-1)


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
        polynomials = np.linalg.solve(np.vander(nodes), _squares(removal.changes(t)).astype(np.float64)).astype(dtype)
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


def _converged(best: _Points, other: _Points, bracketed: Array, rounding: Any) -> npt.NDArray[np.bool_]:
    negligible = TOLERANCE**2 * best.value
    length = TOLERANCE * np.sqrt(best.value) + rounding
    with np.errstate(over="ignore", invalid="ignore", under="ignore"):
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
    result: npt.NDArray[np.bool_] = orthogonal | (flat & (best.shift != 0)) | kink
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


def _squares(a: Array) -> Array:
    """Σ_r a_r², (R, J, N) to (J, N)."""
    squares: Array = np.einsum("rjn,rjn->jn", a, a)
    return squares
