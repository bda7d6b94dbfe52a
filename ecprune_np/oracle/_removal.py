"""Removing a weight for good: what the network after it makes of that, without linearisation (EC-8.3).

The forward pass and its derivative stand here once more, as changes and forwards: on purpose, an oracle shares no
arithmetic with the fast path.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from .._types import Array
from ._common import STEP, Problem, embedding, evaluate_from, inputs_and_preactivations, linear_metric
from ._slopes import SLOPES

Indices = npt.NDArray[np.intp]

ROUNDINGS = 16  # roundings of the output, below which a change of it has no direction
MEMORY = 2**21  # stays in a core's cache, and products this small are not split among threads at a loss


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
        if slope is not None:
            slope = SLOPES[activation.name](z, a) * slope
        a -= self.activations[m][neurons, np.newaxis, samples]
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
            value[J] += squares(self.changes(t, n)) @ self.p.weight[n]
        return np.where(np.isfinite(value), value, np.inf)

    def value_and_slope(self, j: Indices, shift: Array) -> tuple[Array, Array, Array]:
        """Φ_true(δ), half its derivative E[rᵀ g], and E[gᵀ g], with the change r of the output and g = ∂r/∂δ."""
        value, slope, square = np.zeros_like(shift), np.zeros_like(shift), np.zeros_like(shift)
        for J, n, t in self._blocks(j, shift):
            r, g = self.changes_and_slopes(t, n)
            value[J] += squares(r) @ self.p.weight[n]
            slope[J] += np.einsum("rjn,rjn->jn", r, g) @ self.p.weight[n]
            square[J] += squares(g) @ self.p.weight[n]
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
        s = self.p.weight * squares(g)[0]
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


def squares(a: Array) -> Array:
    """Σ_r a_r², (R, J, N) to (J, N)."""
    squares: Array = np.einsum("rjn,rjn->jn", a, a)
    return squares
