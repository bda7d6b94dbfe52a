"""Removing a weight for good: what the network after it makes of that, without linearisation (EC-8.3).

The forward pass and its derivative stand here once more, as changes and forwards: on purpose, an oracle shares no
arithmetic with the fast path.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from .._types import Array
from ._common import STEP, Problem, embedding, evaluate_from, inputs_and_preactivations, linear_metric
from ._slopes import SLOPES

Indices = npt.NDArray[np.intp]

ROUNDINGS = 16  # roundings of the output, below which a change of it has no direction
MEMORY = 2**22  # stays in the caches
UNSPLIT = 2**18  # multiplications in a product, which BLAS does not split among its own threads
KEPT = 2**23
ALL = slice(None)


@dataclass(frozen=True, eq=False)
class Removal:
    """Removing one weight of some neurons of layer l: what the network after it makes of that.

    `inputs` of layer l, and all `preactivations` and `activations`, (n, N) with the samples last for speed, are those
    of the unpruned network; `c` are its cotangents (R, N, K), or None for the output metric.  The weights w_ij of the
    `neurons` are counted in one row after the other, by k.
    """

    p: Problem
    activation: list[Any]
    l: int
    neurons: Indices
    inputs: Array
    preactivations: list[Array]
    activations: list[Array]
    c: Array | None
    memory: int

    @property
    def weights(self) -> Array:
        """w_ij over k."""
        rows: Array = self.p.mlp.weights[self.l][self.neurons].ravel()
        return rows

    @property
    def shape(self) -> tuple[int, int]:
        """The numbers of neurons and of their inputs."""
        return len(self.neurons), len(self.inputs)

    @cached_property
    def farthest(self) -> Array:
        """The largest |w_ij a_j| of all j, (I, N)."""
        rows = np.abs(self.weights.reshape(*self.shape, 1))
        return np.stack([(w * np.abs(self.inputs)).max(axis=0) for w in rows])

    def changes(self, i: Indices, t: Array, n: slice = ALL) -> Array:
        """c_rᵀ (f(z_i + t) − f) for neurons i of shape (J,) and t of shape (J, N), as (R, J, N).

        Only what is downstream of neuron i is evaluated, as changes Δa and Δz, so that nothing cancels
        but in σ(z + Δz) − σ(z); neuron i's change enters the next layer with rank one.
        """
        change, _ = self._own(i, t, None, n)
        if self.l == self.p.mlp.n_layers - 1:
            return self.measured_alone(change, i, n)
        for m in range(self.l + 1, self.p.mlp.n_layers):
            change, _ = self._activated(m, self.next(m, i, change), None, n)
        return self.measured(change, n)

    def changes_and_slopes(self, i: Indices, t: Array, n: slice = ALL) -> tuple[Array, Array]:
        """`changes` and their derivative in t: both are pushed forwards side by side."""
        change, slope = self._own(i, t, np.ones_like(t), n)
        if self.l == self.p.mlp.n_layers - 1:
            return self.measured_alone(change, i, n), self.measured_alone(slope, i, n)
        for m in range(self.l + 1, self.p.mlp.n_layers):
            change, slope = self._activated(m, self.next(m, i, change), self.next(m, i, slope), n)
        return self.measured(change, n), self.measured(slope, n)

    def next(self, m: int, i: Indices, change: Array) -> Array:
        """W^m Δa, (n, J, N), of rank one where only neuron i of the layer before has changed, by (J, N)."""
        weights: Array = self.p.mlp.weights[m]
        if m == self.l + 1:
            return weights.take(i, axis=1)[..., np.newaxis] * change
        product = multiplied(weights, change.reshape(len(change), -1))  # one product of matrices, not J of them
        return product.reshape(-1, *change.shape[1:])

    def _own(self, i: Indices, t: Array, slope: Array | None, n: slice) -> tuple[Array, Any]:
        """`_activated` in neuron i of layer l alone."""
        activation = self.activation[self.l]
        if activation.name == "identity":
            return t, slope
        z = self.preactivations[self.l][i, n] + t
        a = activation.value(z)
        if slope is not None:
            slope = SLOPES[activation.name](z, a)
        a -= self.activations[self.l][i, n]
        return a, slope

    def _activated(self, m: int, change: Array, slope: Array | None, n: slice) -> tuple[Array, Any]:
        """Δa = σ(z + Δz) − σ(z), and the slope of z + Δz times σ'(z + Δz), in all of layer m; overwrites Δz."""
        activation = self.activation[m]
        if activation.name == "identity":  # which rounds nothing
            return change, slope
        change += self.preactivations[m][:, np.newaxis, n]
        a = activation.value(change)
        if slope is not None:
            slope *= SLOPES[activation.name](change, a)
        a -= self.activations[m][:, np.newaxis, n]
        return a, slope

    def measured(self, change: Array, n: slice) -> Array:
        """c_rᵀ Δf, (K, J, N) to (R, J, N)."""
        if self.c is None:
            return change
        c = self.c[:, n].transpose(1, 2, 0)
        product: Array = np.matmul(change.transpose(2, 1, 0), c).transpose(2, 1, 0)
        return product

    def measured_alone(self, change: Array, i: Indices, n: slice) -> Array:
        """c_rᵀ Δf where output i alone has changed, (J, N) to (R, J, N)."""
        return change[np.newaxis] if self.c is None else self.c[:, n, i].transpose(0, 2, 1) * change

    def value(self, k: Indices, shift: Array) -> Array:
        """Φ_true(δ) for removing each weight k with its own δ, shape (J,); infinite where it overflows."""
        value = np.zeros_like(shift)
        for J, n, i, t in self.blocks(k, shift, 4):
            value[J] += squares(self.changes(i, t, n)) @ self.p.weight[n]
        return np.where(np.isfinite(value), value, np.inf)

    def value_and_slope(self, k: Indices, shift: Array) -> tuple[Array, Array, Array]:
        """Φ_true(δ), half its derivative E[rᵀ g], and E[gᵀ g], with the change r of the output and g = ∂r/∂δ."""
        value, slope, square = np.zeros_like(shift), np.zeros_like(shift), np.zeros_like(shift)
        for J, n, i, t in self.blocks(k, shift, 6):
            r, g = self.changes_and_slopes(i, t, n)
            value[J] += squares(r) @ self.p.weight[n]
            slope[J] += np.einsum("rjn,rjn->jn", r, g) @ self.p.weight[n]
            square[J] += squares(g) @ self.p.weight[n]
        return np.where(np.isfinite(value), value, np.inf), slope, square

    def pairs(self, arrays: int) -> int:
        """Of how many weights or neurons times samples `memory` holds so many arrays."""
        widths = [1 if self.c is None else len(self.c), *self.p.mlp.sizes[self.l + 2 :]]
        return max(1, self.memory // (arrays * max(widths) * self.p.dtype.itemsize))

    def blocks(self, k: Indices, shift: Array, arrays: int) -> Iterator[tuple[slice, slice, Indices, Array]]:
        """Blocks of weights and of samples, so many arrays of which `memory` holds: slices, i, and t = δ − w_ij a_j."""
        N, pairs = self.p.n_samples, self.pairs(arrays)
        n_block = min(N, pairs)
        j_block = max(1, pairs // n_block)
        i, j, w = self.neurons[k // self.shape[1]], k % self.shape[1], self.weights[k]
        for J in (slice(first, first + j_block) for first in range(0, len(k), j_block)):
            for n in (slice(first, first + n_block) for first in range(0, N, n_block)):
                yield J, n, i[J], shift[J, np.newaxis] - w[J, np.newaxis] * self.inputs[j[J], n]

    def first_order_shift(self) -> Array:
        """δ*_ij = w_ij E[s_i a_j]/E[s_i] over k, 0 for a dead neuron (EC-3.4)."""
        _, g = self.changes_and_slopes(self.neurons, np.zeros((len(self.neurons), self.p.n_samples), self.p.dtype))
        s = self.p.weight * squares(g)
        total = s.sum(axis=1, keepdims=True)
        s = np.divide(s, total, out=np.zeros_like(s), where=total > 0)
        a, mean = self.inputs, s @ self.inputs.T
        mean = np.stack([m + (a - m[:, np.newaxis]) @ s_i for s_i, m in zip(s, mean)])  # the rounding of the first mean
        shift: Array = self.weights * np.where(total > 0, mean, 0).ravel()
        return shift

    def output_rounding(self) -> Any:
        """√E‖c (ε f)‖²: a change of the output that is no larger is made of rounding."""
        eps = np.finfo(self.p.dtype).eps
        f = np.abs(self.activations[-1])
        size = f if self.c is None else np.einsum("rnk,kn->rn", np.abs(self.c), f)
        return ROUNDINGS * eps * np.sqrt(np.sum(size**2, axis=0) @ self.p.weight)


def removals(p: Problem, memory: int = MEMORY) -> Callable[[int, Indices], Removal]:
    """`Removal` of the weights of some neurons in layer l, within so many bytes, with one forward pass for all."""
    np.empty(KEPT, np.uint8)  # as large as no array to come: what these free, glibc then keeps, rather than ask anew
    inputs, preactivations = inputs_and_preactivations(p.mlp, p.x)
    outputs = evaluate_from(p.mlp, p.mlp.n_layers - 1, preactivations[-1])
    c = fixed_cotangents(p, outputs)
    columns = [np.ascontiguousarray(a.T) for a in inputs]
    activations = [np.ascontiguousarray(a.T) for a in (*inputs[1:], outputs)]
    rows = [np.ascontiguousarray(z.T) for z in preactivations]
    activation = [p.mlp.layer_activation(m) for m in range(p.mlp.n_layers)]
    return lambda l, neurons: Removal(p, activation, l, neurons, columns[l], rows, activations, c, memory)


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


def multiplied(a: Array, b: Array) -> Array:
    """a b, by as many columns of b as BLAS leaves to one thread: side by side are groups of neurons, which it slows."""
    product = np.empty((len(a), b.shape[1]), b.dtype)
    step = max(1, UNSPLIT // a.size)
    for columns in (slice(first, first + step) for first in range(0, b.shape[1], step)):
        np.matmul(a, b[:, columns], out=product[:, columns])
    return product


def squares(a: Array) -> Array:
    """Σ_r a_r², (R, J, N) to (J, N)."""
    squares: Array = np.einsum("rjn,rjn->jn", a, a)
    return squares


def tie(value: Array, noise: Any) -> Array:
    """Values that are no farther from this one are told apart by rounding alone; noise is `output_rounding`."""
    farthest: Array = (2 * np.sqrt(value) + noise) * noise + 1e-13 * value
    return farthest
