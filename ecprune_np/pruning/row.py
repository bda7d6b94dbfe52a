"""Each neuron's surviving weights and bias, against the dense network: layer-wise least squares (EC-5.10)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeAlias

import numpy as np

from .. import _checks
from .._types import Array, Mask, Masks, Metric
from ..activations import layer_names
from ..batch import Samples, numbered
from ..mlp import MLP, Trace, forward
from ..streaming.batches import Checked, batches_of
from ..streaming.blocks import REFERENCE_SAMPLES, mean_of, samples_per_block
from ..streaming.reduction import Reduction, reduction_of, sensitivities_of
from ..streaming.rows import streamed_qr
from ..streaming.scratch import Scratch
from ..streaming.threads import Map, side_by_side
from .row_sums import RowFactors, RowSums, centred

EPSILON = 0.03  # what a sample counts on which no output listens to the neuron, beside a mean of 1
RIDGE = 1e-4  # on the change of the weights, in units of their inputs' mean variance
GRAM_BYTES = 2**28  # of the Gram matrices that are added up in one reading of the samples
EVENLY = 4  # many more neurons than threads are always shared out evenly enough

Over = Callable[[Callable[[Samples], Any]], Any]  # applies it to the samples, or to their parts, and merges the results
_Read: TypeAlias = tuple[Array, Array, Array, Array]


def refit_rows(
    mlp: MLP,
    masks: Masks,
    target: MLP,
    x: Samples,
    metric: Metric = "output",
    *,
    epsilon: float = EPSILON,
    ridge: float = RIDGE,
) -> MLP:
    """argmin over w, b of E[(s_i/S_i + ε)(w·a' + b − z_i)²] + λ ‖w − w_i‖², layer by layer (EC-5.10).

    w are the weights of neuron i that `masks` keep, z_i its preactivation in `target`, a' what it receives in the
    network as pruned and repaired so far, s_i its sensitivity in `mlp`, before the weights went; λ is `ridge` times
    the mean variance of the a' that it keeps, weighted alike.  The samples are read anew for each layer.
    """
    return refit_rows_over(lambda collect: collect(x), mlp, masks, target, metric, epsilon=epsilon, ridge=ridge)


def refit_rows_over(
    over: Over,
    mlp: MLP,
    masks: Masks,
    target: MLP,
    metric: Metric = "output",
    *,
    epsilon: float = EPSILON,
    ridge: float = RIDGE,
) -> MLP:
    """`refit_rows` on samples that lie in several places (EC-5.10, EC-5.11).

    `over(collect)` is to return `collect(x)`, or to merge what `collect` returns for the parts of x.
    """
    before, dense = mlp.astype(np.float64), target.astype(np.float64)
    repaired = before.replace([np.where(mask, w, 0) for w, mask in zip(before.weights, masks)], before.biases)
    for l, mask in enumerate(masks):
        weights, biases = [w.copy() for w in repaired.weights], [b.copy() for b in repaired.biases]
        rows_of = partial(_Rows.of, before, repaired, dense, metric, l, mask)
        for neurons in _groups(mask):
            for i, change in zip(neurons, _changes(over, rows_of, neurons, epsilon, ridge)):
                weights[l][i, mask[i]] += change[:-1]
                biases[l][i] += change[-1]
        _checks.no_overflow("rows", [np.column_stack(of_layer) for of_layer in zip(weights, biases)])
        repaired = before.replace(weights, biases)
    return repaired.astype(mlp.dtype)


def _changes(
    over: Over, rows_of: Callable[[list[int]], _Rows], neurons: list[int], epsilon: float, ridge: float
) -> list[Array]:
    """The changes of w and b of each neuron: by Cholesky, or by QR where that would not be accurate."""
    sums: RowSums = over(rows_of(neurons).sums)
    with side_by_side(EVENLY) as in_threads:
        changes = list(in_threads(partial(sums.change, epsilon=epsilon, ridge=ridge), range(len(neurons))))
    left = [k for k, change in enumerate(changes) if change is None]
    if left:
        rows = rows_of([neurons[k] for k in left])
        factors: RowFactors = over(partial(rows.factors, sums.of(left), epsilon))
        for m, k in enumerate(left):
            changes[k] = factors.change(m, ridge)
    return changes


@dataclass(frozen=True, eq=False)
class _Rows:
    """Some neurons of a layer, in three networks.

    `before` the weights went, and its layers from this one `onwards`; the `repaired` one and the `target`, which end
    with these neurons' preactivations.
    """

    before: MLP
    onwards: MLP
    repaired: MLP
    target: MLP
    metric: Metric
    reduction: Reduction | None
    neurons: list[int]
    kept: Mask

    @classmethod
    def of(
        cls, before: MLP, repaired: MLP, target: MLP, metric: Metric, l: int, mask: Mask, neurons: list[int]
    ) -> _Rows:
        """Those of layer l, whose mask is given."""
        names = layer_names(before.activation, before.output_activation, before.n_layers)
        onwards = MLP(before.weights[l:], before.biases[l:], names[l:-1], names[-1])

        def ending(mlp: MLP) -> MLP:
            weights, biases = [*mlp.weights[:l], mlp.weights[l][neurons]], [*mlp.biases[:l], mlp.biases[l][neurons]]
            return MLP(weights, biases, names[:l])

        reduction = reduction_of(onwards, metric)
        return cls(before, onwards, ending(repaired), ending(target), metric, reduction, neurons, mask[neurons])

    def sums(self, x: Samples) -> RowSums:
        """The sums over all samples; two blocks are read side by side, and then neurons' sums are added to."""
        n_in = self.kept.shape[1]
        columns = [np.append(np.flatnonzero(inputs), n_in) for inputs in (np.ones(n_in, bool), *self.kept)]
        grams = [np.zeros((len(j), len(j))) for j in columns]
        rights = [np.zeros((n_in + 1, len(self.kept))), *(np.zeros(len(j)) for j in columns[1:])]
        references: list[Array] = []

        def add(batch: Checked) -> None:
            if not references:
                references.append(self._reference(batch))
            for inputs, lacking, s, weight in self._blocks(batch, references[0], in_threads):
                of_inputs = partial(_add, inputs)
                list(in_threads(of_inputs, columns, grams, rights, [weight, *s.T], [lacking, *lacking.T]))

        with side_by_side(EVENLY) as in_threads:
            self._each(add, x)
        squares = np.concatenate([gram.diagonal() for gram in grams])
        _checks.no_overflow("rows", [*self.repaired.biases[:-1], squares])
        return RowSums(self.kept, references[0], grams[0], rights[0], tuple(grams[1:]), tuple(rights[1:]))

    def factors(self, sums: RowSums, epsilon: float, x: Samples) -> RowFactors:
        """The factors of all samples' rows, whose sums are these."""
        factors: list[Array] = [np.zeros((0, n + 2)) for n in self.kept.sum(axis=1)]

        def add(batch: Checked) -> None:
            for inputs, lacking, s, weight in self._blocks(batch, sums.reference, map):
                for k, columns in enumerate(self.kept):
                    plain, sensitivity = sums.shares(k, epsilon)
                    root = np.sqrt(plain * weight + s[:, k] / sensitivity)[:, np.newaxis]
                    rows = np.column_stack([inputs[:, np.append(columns, True)], lacking[:, k]])
                    factors[k] = streamed_qr([factors[k], root * rows])

        self._each(add, x)
        return RowFactors(self.kept, sums.reference, tuple(factors))

    def _each(self, add: Callable[[Checked], None], x: Samples) -> None:
        """Add each batch; one that fails is named."""
        batches = batches_of(self.before, x, self.metric, 2 * samples_per_block(self.before))
        for _ in numbered(map(add, batches)):
            pass

    def _reference(self, batch: Checked) -> Array:
        """The mean of the inputs over some samples, exactly where they are constant."""
        return mean_of(forward(self.repaired, batch.x[:: -(-len(batch) // REFERENCE_SAMPLES)]).inputs[-1])

    def _blocks(self, batch: Checked, reference: Array, in_threads: Map) -> Iterator[_Read]:
        """A batch in blocks, two at a time."""
        size = samples_per_block(self.before)
        for start in range(0, len(batch), 2 * size):
            pair = batch.rows(slice(start, start + 2 * size))
            halves = [half for half in (pair.rows(slice(size)), pair.rows(slice(size, None))) if len(half) > 0]
            read = map if callable(self.metric) else in_threads  # it may not be thread-safe
            yield from read(partial(self._read, reference), halves)

    def _read(self, reference: Array, block: Checked) -> _Read:
        """ã (N, n_{l-1} + 1), what z lacks (N, m), the samples' weights (N,) times s (N, m), and these weights."""
        trace, repaired = forward(self.before, block.x), forward(self.repaired, block.x)
        l = self.repaired.n_layers - 1
        s = [np.empty(z.shape) for z in trace.preactivations[l:]]
        upper = Trace(trace.inputs[l:], trace.preactivations[l:], trace.outputs)
        sensitivities = sensitivities_of(self.onwards, upper, self.metric, block.y, self.reduction)
        sensitivities(block.weight, Scratch(0, np.float64), s)
        inputs = np.column_stack([centred(repaired.inputs[-1], reference), np.ones(len(block))])
        lacking = forward(self.target, block.x).outputs - repaired.outputs
        return inputs, lacking, s[0][:, self.neurons], block.weight


def _add(inputs: Array, columns: Array, gram: Array, right: Array, share: Array, lacking: Array) -> None:
    """Add Σ share ã ãᵀ and Σ share ã y of a block to a Gram matrix and its right side."""
    seen = np.flatnonzero(share)  # a rectifier that is off adds nothing
    root = np.sqrt(share[seen])
    rows = inputs.take(columns, axis=1).take(seen, axis=0)
    with _checks.overflow_raised_later():  # in this thread
        rows *= root[:, np.newaxis]
        gram += rows.T @ rows
        right += rows.T @ (root * lacking[seen].T).T


def _groups(mask: Mask) -> Iterator[list[int]]:
    """Neurons whose Gram matrices fit into GRAM_BYTES together."""
    group: list[int] = []
    used = 0
    for i, kept in enumerate(mask.sum(axis=1).tolist()):
        needed = 8 * (kept + 1) ** 2
        if group and used + needed > GRAM_BYTES:
            yield group
            group, used = [], 0
        group.append(i)
        used += needed
    yield group
