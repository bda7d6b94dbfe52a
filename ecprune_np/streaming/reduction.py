"""Fewer rows with the same sensitivities: s_i depends on the rows C J through their Gram matrix alone (EC-7.18).

A row an output goes down through the whole network, though C J passes through matrices of lower rank.  Here as many
rows as a layer is wide take their place, or their Gram matrix, where that needs fewer operations.  Samples that could
lose digits by it are found, and go down with a row an output.
"""

# NumPy declares what its ufuncs return as Any
# mypy: disable-error-code="no-any-return"

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Literal, NamedTuple

import numpy as np

from .. import _checks
from .._types import Array, Metric, MetricName
from ..metrics import METRICS, cotangents
from ..mlp import MLP, Trace
from .scratch import Scratch
from .sensitivities import SLAB_BYTES, block_size, samples_per_slab, weighted_sensitivities
from .structured import Centred, scaled_rows

Step = Literal["rows", "factor", "gram"]  # what a layer's rows become before the product with its weights
Way = tuple[int, tuple[Step, ...]]  # operations, and the steps that take them

FACTOR_COST = 32  # bytes: by its dtype's, how many times as long one sample's QR takes as a product, measured
ENTRY_COST = 8  # the same of an entry that no product makes: of C, or of scaled weights
LEAST_SAVING = 2**15  # operations a sample: a microsecond or two, what passing through here costs by itself
LEAST_SHARE = 0.2  # of all operations, moments included
CANCELLED = 2.0**-6  # where a sum has cancelled to less of its parts, digits may have gone with it
CANCELLED_IN_GRAM = 2.0**-3  # the same of squares


class Arrived(NamedTuple):
    """The rows C ∂f/∂a that have arrived at a hidden layer, (R, N, n), or (R, 1, n) where all samples share them.

    `squares` (N, n) are the sums over R of their squares, and `least` (N, n) what their roots are to be at least, where
    a reduction has been before, None where not (EC-7.21).  Below a Gram matrix there are no rows, and no layer more.
    """

    rows: Array
    squares: Array
    least: Array | None


@dataclass(frozen=True, eq=False)
class Reduction:
    """What becomes of the rows, and what is the same for all samples.

    Attributes
    ----------
    metric : str
        "output", "softmax" or "fisher".
    steps : tuple of str
        What the rows at each hidden layer become, the first layer first.
    top : Arrived or None
        Those at the last hidden layer, or None where each sample has its own.
    parts : tuple of L - 1 arrays (n_l, n_{l-1})
        |W^l| / √n_l.
    unreduced : Reduction or None
        The same with a row an output all the way, for samples that need it; None where it is that already.
    """

    metric: MetricName
    steps: tuple[Step, ...]
    top: Arrived | None
    parts: tuple[Array, ...]
    unreduced: Reduction | None

    @classmethod
    def of(cls, mlp: MLP, metric: MetricName, steps: tuple[Step, ...]) -> Reduction:
        """The reduction that takes these steps."""
        top = all_rows = None
        with _checks.overflow_raised_later():  # of squares, which the moments have too
            if _is_shared(mlp, metric) and mlp.n_layers > 1:
                w = mlp.weights[-1][:, np.newaxis]
                top = all_rows = Arrived(w, _squares(w), None)
                if len(w) > w.shape[-1]:
                    factor = triangular_factor(mlp.weights[-1])[:, np.newaxis]
                    top = Arrived(factor, _squares(factor), CANCELLED * _lengths(factor))
            parts = tuple(np.abs(w) / np.sqrt(len(w), dtype=w.dtype) for w in mlp.weights[:-1])
        unreduced = cls(metric, tuple("rows" for _ in steps), all_rows, parts, None)
        return cls(metric, steps, top, parts, unreduced)


def reduction_of(mlp: MLP, metric: Metric) -> Reduction | None:
    """The reduction that takes the fewest operations, or None where a row an output is about as good."""
    steps = worthwhile_steps(mlp, metric)
    return None if steps is None or callable(metric) else Reduction.of(mlp, metric, steps)


def worthwhile_steps(mlp: MLP, metric: Metric | None) -> tuple[Step, ...] | None:
    """The steps that take the fewest operations, or None where they save little, and where there are none (EC-7.24).

    A loss and a single output have one row, of a callable nothing is known, and LAPACK, whose QR it is, has no
    longdouble.
    """
    if not isinstance(metric, str) or metric not in METRICS or mlp.sizes[-1] == 1 or mlp.dtype == np.longdouble:
        return None
    plain, reduced, steps = operations(mlp, metric)
    return steps if plain - reduced > max(LEAST_SAVING, LEAST_SHARE * plain) else None


def operations(mlp: MLP, metric: MetricName) -> tuple[int, int, tuple[Step, ...]]:
    """How many a sample takes by a row an output, how many by fewer rows, and the steps of these (EC-7.24).

    One is a product and its addition.  Forward pass and moments take 3 n_l n_{l-1} a layer either way, and to add up
    the sums of a block a share of 2 entries a weight.  By a row an output all of C comes first, and its product with
    the last weights; a slab of samples may share both.
    """
    hidden, n_outputs, shared = mlp.sizes[1:-1], mlp.sizes[-1], _is_shared(mlp, metric)
    last = sum(hidden[-1:])  # 0 where the first layer is the last
    dense = n_outputs**2 * (last + ENTRY_COST)
    top = dense // samples_per_slab(mlp, n_outputs) if shared else dense
    scaled = 0 if shared else ENTRY_COST * n_outputs * last
    below, steps = cheapest_steps(hidden, _n_rows(mlp, metric), FACTOR_COST // mlp.dtype.itemsize)
    moments, sums = 3 * mlp.n_weights, 2 * ENTRY_COST * mlp.n_weights
    plain = moments + sums // block_size(mlp, reduced=False) + top + n_outputs * sum(n * m for n, m in pairwise(hidden))
    reduced = moments + sums // block_size(mlp, reduced=True) + scaled + below
    return plain, reduced, steps


def cheapest_steps(widths: tuple[int, ...], n_rows: int, factor_cost: int) -> Way:
    """The fewest operations that take so many rows down through hidden layers, and the steps (EC-7.24).

    `widths` are n_1, ..., n_{L-1}.  From a layer of width n to one of width m, R rows take R n m operations; n rows in
    their place take n n m, and their factor R n², `factor_cost` times.  A Gram matrix takes R n² and n n m as well, and
    is the end: only the layer above the lowest has it.  From the lowest layer up, for every R that there can be.
    """
    best: dict[int, Way] = {R: (0, ()) for R in (n_rows, *widths)}
    for l, n in enumerate(widths):
        m = widths[l - 1] if l > 0 else 0  # from the lowest layer no row goes on
        above: dict[int, Way] = {}
        for R, (operations, steps) in best.items():
            ways: list[Way] = [(R * n * m + operations, (*steps, "rows"))]
            if n < R and l > 0:
                ways.append((factor_cost * R * n**2 + n**2 * m + best[n][0], (*best[n][1], "factor")))
            if n < R and l == 1:
                ways.append((R * n**2 + n**2 * m, (*steps, "gram")))
            above[R] = min(ways)
        best = above
    return best[n_rows]


def triangular_factor(weights: Array) -> Array:
    """R of W = Q R, by Householder's reflections: RᵀR = WᵀW, to rounding beside the columns' norms (EC-7.18).

    NumPy does it in double precision, so that float32 loses nothing but the rounding of R itself.
    """
    factor: Array = np.asarray(np.linalg.qr(weights, mode="r"))
    return factor


def sensitivities_of(
    mlp: MLP, trace: Trace, metric: Metric, y: Array | None, reduction: Reduction | None
) -> Callable[[Array, Scratch, list[Array]], None]:
    """What puts share · s_i into arrays: the reduction, or where there is none a row an output."""
    if reduction is None:
        return partial(weighted_sensitivities, mlp, trace, cotangents(metric, trace.outputs, y))
    return partial(reduced_sensitivities, mlp, trace, reduction)


def reduced_sensitivities(
    mlp: MLP, trace: Trace, reduction: Reduction, share: Array, scratch: Scratch, out: list[Array]
) -> None:
    """share · s_i with s_i = ‖C J_i‖², per layer (N, n_l), into `out`, by fewer rows (EC-7.18).

    What `weighted_sensitivities` gives, to rounding.  A slab of samples at a time, used up before the next one comes.
    """
    size = _samples_per_slab(mlp, reduction)
    for start in range(0, len(share), size):
        rows = slice(start, start + size)
        lost = _Slab.of(mlp, trace, reduction, rows, scratch).sensitivities(share[rows], [s[rows] for s in out])
        if reduction.unreduced is not None and lost.any():
            again = start + np.flatnonzero(lost)
            some = Trace((), tuple(z[again] for z in trace.preactivations), trace.outputs[again])
            anew = [s[again] for s in out]
            reduced_sensitivities(mlp, some, reduction.unreduced, share[again], scratch, anew)
            for s, s_anew in zip(out, anew):
                s[again] = s_anew


@dataclass(frozen=True, eq=False)
class _Slab:
    """Some samples on their way down: C, and each layer's slopes (N, n_l), None where they are 1."""

    mlp: MLP
    reduction: Reduction
    centred: Centred | None
    slopes: tuple[Array | None, ...]
    scratch: Scratch

    @classmethod
    def of(cls, mlp: MLP, trace: Trace, reduction: Reduction, rows: slice, scratch: Scratch) -> _Slab:
        """Those samples of the trace."""
        layers = [(mlp.layer_activation(l), z[rows]) for l, z in enumerate(trace.preactivations)]
        slopes = tuple(None if sigma.name == "identity" else sigma.derivative(z) for sigma, z in layers)
        return cls(mlp, reduction, Centred.of(reduction.metric, trace.outputs[rows]), slopes, scratch)

    def sensitivities(self, share: Array, out: list[Array]) -> Array:
        """share · s_i into `out`, and where digits may have been lost by a reduction, (N,)."""
        lost = np.zeros(len(share), np.bool_)
        self._weigh(-1, np.ones(1) if self.centred is None else self.centred.squared_columns(), share, out)
        for came, l in zip(self._way_down(len(share)), reversed(range(len(out) - 1))):
            self._weigh(l, came.squares, share, out)
            if came.least is not None:
                lost |= self._falls_short(l, came.squares, came.least)
        return lost

    def _way_down(self, n_samples: int) -> Iterator[Arrived]:
        """The rows at every hidden layer, the last one first."""
        if self.mlp.n_layers > 1:
            yield (came := self._at_top(n_samples))
            for l in reversed(range(1, self.mlp.n_layers - 1)):
                yield (came := self._below(l, came))

    def _weigh(self, l: int, squares: Array, share: Array, out: list[Array]) -> None:
        """The weighted sensitivities of layer l, share · squares · σ'²."""
        s = np.multiply(squares, share[:, np.newaxis], out=out[l])
        slopes = self.slopes[l]
        if slopes is not None:
            s *= slopes
            s *= slopes  # not by the square of a slope, which may underflow

    def _falls_short(self, l: int, squares: Array, least: Array) -> Array:
        """Where a neuron of layer l that is not shut has less than the least, (N,) or (1,) (EC-7.21)."""
        short: Array = np.sqrt(squares) < least
        if not short.any():  # nearly always
            return np.zeros(1, np.bool_)
        slopes = self.slopes[l]
        return np.asarray(np.any(short if slopes is None else short & (slopes != 0), axis=1))

    def _at_top(self, n_samples: int) -> Arrived:
        """C diag(σ') W^L, or what all samples share in its place."""
        if self.reduction.top is not None:
            return self.reduction.top
        w, slopes = self.mlp.weights[-1], self.slopes[-1]
        rows = self.scratch.array(f"rows {len(self.slopes) - 1}", len(w), n_samples, w.shape[1])
        if self.centred is None:
            scaled_rows(w, slopes, rows)
        else:
            self.centred.times(w, slopes, rows)
        return Arrived(rows, _squares(rows), None)

    def _below(self, l: int, came: Arrived) -> Arrived:
        """The rows one layer down, where layer l's step has replaced them before the product with its weights."""
        rows, squares, least = came
        step, slopes, w = self.reduction.steps[l], self.slopes[l], self.mlp.weights[l]
        if step == "rows":
            least = least if least is None or slopes is None else least * np.abs(slopes)
        else:
            least = _least(CANCELLED if step == "factor" else CANCELLED_IN_GRAM, squares, least, slopes)
        if step == "gram":
            squares = _squares_by_gram(self._scaled(rows, slopes), w)
        else:
            if step == "factor":
                rows, slopes = _factors(self._scaled(rows, slopes)), None
            rows = self._product(l, rows, slopes)
            squares = _squares(rows)
        return Arrived(rows, squares, None if least is None else least @ self.reduction.parts[l])

    def _product(self, l: int, rows: Array, slopes: Array | None) -> Array:
        """rows · diag(slopes) W, sample by sample, of what is smaller: the rows or the weights, scaled."""
        w = self.mlp.weights[l]
        n, m = w.shape
        if slopes is not None and rows.shape[1] == 1 and m < len(rows):
            scaled = scaled_rows(w, slopes, self.scratch.array("scaled", n, len(slopes), m))
            out = self.scratch.array(f"rows {l}", len(rows), len(slopes) * m)
            return np.matmul(rows[:, 0], scaled.reshape(n, -1), out=out).reshape(len(rows), -1, m)
        rows = self._scaled(rows, slopes)
        out = self.scratch.array(f"rows {l}", rows.shape[0] * rows.shape[1], m)
        return np.matmul(rows.reshape(-1, n), w, out=out).reshape(*rows.shape[:2], m)

    def _scaled(self, rows: Array, slopes: Array | None) -> Array:
        """rows · diag(slopes), sample by sample."""
        if slopes is None:
            return rows
        return np.multiply(rows, slopes, out=self.scratch.array("scaled", len(rows), *slopes.shape))


def _is_shared(mlp: MLP, metric: Metric) -> bool:
    """Whether C diag(σ') W^L is the same for all samples: the last weights themselves."""
    return metric == "output" and mlp.output_activation == "identity"


def _n_rows(mlp: MLP, metric: Metric) -> int:
    """How many rows there are at the last hidden layer."""
    return min(mlp.sizes[-2:]) if _is_shared(mlp, metric) else mlp.sizes[-1]


def _samples_per_slab(mlp: MLP, reduction: Reduction) -> int:
    """As many samples as have SLAB_BYTES of rows where these are most."""
    n_rows, most = _n_rows(mlp, reduction.metric), 1
    for l in reversed(range(mlp.n_layers - 1)):
        n = mlp.sizes[l + 1]
        most = max(most, n_rows * n)
        n_rows = n_rows if reduction.steps[l] == "rows" else n
    return max(1, SLAB_BYTES // (most * mlp.dtype.itemsize))


def _squares(rows: Array) -> Array:
    """Σ_r of the squares, (N, n)."""
    return np.einsum("rni,rni->ni", rows, rows)


def _lengths(rows: Array) -> Array:
    """The norms of the columns, (N, n), without squares that underflow."""
    largest = np.abs(rows).max(axis=0)
    return largest * np.sqrt(_squares(rows / np.where(largest > 0, largest, 1)))


def _least(share: float, squares: Array, least: Array | None, slopes: Array | None) -> Array:
    """That share of each scaled column's norm, or what it is to be at least already; 0 for one that is 0 (EC-7.21).

    What may have underflowed, squared, counts as what does not.
    """
    scale = 1 if slopes is None else np.abs(slopes)
    lengths = np.maximum(np.sqrt(squares) * scale, np.sqrt(np.finfo(squares.dtype).tiny)) * (scale > 0)
    here: Array = share * lengths
    return here if least is None else np.where(least > 0, np.maximum(here, least * scale), 0)


def _factors(rows: Array) -> Array:
    """The triangular factor of each sample's rows, (n, N, n) for (R, N, n) with R ≥ n (EC-7.18)."""
    factors: Array = np.asarray(np.linalg.qr(rows.transpose(1, 0, 2), mode="r"))
    return np.ascontiguousarray(factors.transpose(1, 0, 2))


def _squares_by_gram(rows: Array, w: Array) -> Array:
    """w_iᵀ A w_i for each column of w (n, m), A = Σ_r rows_r rows_rᵀ of each sample, (N, m) (EC-7.22)."""
    gram = np.matmul(rows.transpose(1, 2, 0), rows.transpose(1, 0, 2))
    images = (gram.reshape(-1, len(w)) @ w).reshape(len(gram), len(w), -1)
    return np.maximum(np.einsum("njm,jm->nm", images, w), 0)
