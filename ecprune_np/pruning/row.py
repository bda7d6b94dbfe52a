"""Each neuron's surviving weights and bias, against the dense network: layer-wise least squares (EC-5.9)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from .._types import Array, Mask, Masks, Metric
from ..batch import Samples, numbered
from ..metrics import cotangents
from ..mlp import MLP, forward, pullback
from ..streaming.batches import Checked, batches_of
from ..streaming.rows import least_squares, samples_at_a_time, streamed_qr

EPSILON = 0.03  # what a sample counts on which no output listens to the neuron, beside a mean of 1
RIDGE = 1e-6  # on the change of the weights, in units of their inputs' mean variance
GRAM_BYTES = 2**28  # of the Gram matrices that are added up in one reading of the samples
ROUNDINGS = 64  # of an input, below which its distance from the mean is none
CONDITION = 1e12  # of a Gram matrix: where it is worse, the rows themselves are reduced


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
    """argmin over w, b of E[(s_i/S_i + ε)(w·a' + b − z_i)²] + ρ ‖w − w_i‖², layer by layer (EC-5.9).

    w are the weights of neuron i that `masks` keep, z_i its preactivation in `target`, a' what it receives in the
    network as pruned and repaired so far, s_i its sensitivity in `mlp`, before the weights went; ρ is `ridge` times
    the mean variance of the a' that it keeps, weighted alike.  The samples are read anew for each layer.
    """
    before, dense = mlp.astype(np.float64), target.astype(np.float64)
    repaired = before.replace([np.where(mask, w, 0) for w, mask in zip(before.weights, masks)], before.biases)
    for l, mask in enumerate(masks):
        weights, biases = [w.copy() for w in repaired.weights], [b.copy() for b in repaired.biases]
        layer = _Layer(before, repaired, dense, x, metric, l)
        for neurons in _groups(mask):
            sums = _Sums.of(layer, mask, neurons)
            for i in neurons:
                change = sums.solution(i, epsilon, ridge)
                if change is None:
                    change = _solution_of_rows(layer, mask[i], i, sums, epsilon, ridge)
                weights[l][i, mask[i]] += change[:-1]
                biases[l][i] += change[-1]
        repaired = before.replace(weights, biases)
    return repaired.astype(mlp.dtype)


@dataclass(frozen=True, eq=False)
class _Layer:
    """Layer l of three networks: before the weights went, repaired below it, and the target."""

    before: MLP
    repaired: MLP
    target: MLP
    x: Samples
    metric: Metric
    l: int

    def batches(self) -> Iterator[tuple[Array, Array, Array, Array]]:
        """a' (N, n_{l-1}), what z lacks (N, n_l), s (N, n_l) and the samples' weights (N,), batch by batch."""
        batches = batches_of(self.before, self.x, self.metric, samples_at_a_time(self.before))
        return numbered(map(self._read, batches))

    def _read(self, batch: Checked) -> tuple[Array, Array, Array, Array]:
        l = self.l
        trace, repaired = forward(self.before, batch.x), forward(self.repaired, batch.x)
        g = pullback(self.before, trace, cotangents(self.metric, trace.outputs, batch.y))[l]
        lacking = forward(self.target, batch.x).preactivations[l] - repaired.preactivations[l]
        return repaired.inputs[l], lacking, np.einsum("rni,rni->ni", g, g), batch.weight


@dataclass(frozen=True, eq=False)
class _Sums:
    """Sums over the samples, ã = (a' − r, 1), y what z lacks: Σ s_i ã ãᵀ and Σ s_i ã y of each neuron, and Σ ã ãᵀ."""

    reference: Array
    grams: dict[int, Array]  # of the survivors alone, the last row and column the bias's
    rights: dict[int, Array]
    columns: dict[int, Array]
    total_s: Array
    gram: Array
    right: Array
    total: float

    @classmethod
    def of(cls, layer: _Layer, mask: Mask, neurons: Sequence[int]) -> _Sums:
        """One reading of the samples; r is the mean of the first batch, nearly orthogonal to the bias's column."""
        n_in = mask.shape[1]
        columns = {i: np.append(np.flatnonzero(mask[i]), n_in) for i in neurons}
        grams = {i: np.zeros((len(j), len(j))) for i, j in columns.items()}
        rights = {i: np.zeros(len(j)) for i, j in columns.items()}
        gram, right = np.zeros((n_in + 1, n_in + 1)), np.zeros((n_in + 1, mask.shape[0]))
        total_s, total, reference = np.zeros(mask.shape[0]), 0.0, None
        for a, lacking, s, weight in layer.batches():
            reference = a.mean(axis=0) if reference is None else reference
            extended = np.concatenate([_centred(a, reference), np.ones((len(a), 1))], axis=1)
            weighted = weight[:, np.newaxis] * extended
            gram += weighted.T @ extended
            right += weighted.T @ lacking
            total += float(weight.sum())
            total_s += weight @ s
            for i in neurons:
                share = weight * s[:, i]
                seen = np.flatnonzero(share)  # a rectifier that is off adds nothing
                root = np.sqrt(share[seen])
                rows = extended[np.ix_(seen, columns[i])]
                rows *= root[:, np.newaxis]
                grams[i] += rows.T @ rows
                rights[i] += rows.T @ (root * lacking[seen, i])
        assert reference is not None  # there is at least one batch
        return cls(reference, grams, rights, columns, total_s, gram, right, total)

    def solution(self, i: int, epsilon: float, ridge: float) -> Array | None:
        """The changes of w and b, or None where the Gram matrix is too ill-conditioned to tell them."""
        gram, right = self._weighted(i, epsilon)
        n = len(right) - 1
        gram[range(n), range(n)] += ridge * _mean_variance(gram)
        diagonal = np.sqrt(gram.diagonal())
        if not (diagonal > 0).all():
            return None
        gram /= diagonal
        gram /= diagonal[:, np.newaxis]
        try:
            pivots = np.linalg.cholesky(gram).diagonal()
        except np.linalg.LinAlgError:
            return None
        if pivots.min() ** 2 * CONDITION < 1:  # the condition is at least the ratio of the pivots' squares
            return None
        return self.uncentred(i, np.linalg.solve(gram, right / diagonal) / diagonal)

    def _weighted(self, i: int, epsilon: float) -> tuple[Array, Array]:
        """E[(s_i/S_i + ε) ã ãᵀ] and E[(s_i/S_i + ε) ã y] over the survivors and the bias."""
        j = self.columns[i]
        gram, right = epsilon / self.total * self.gram[np.ix_(j, j)], epsilon / self.total * self.right[j, i]
        if self.total_s[i] > 0:
            gram, right = gram + self.grams[i] / self.total_s[i], right + self.rights[i] / self.total_s[i]
        return gram, right

    def uncentred(self, i: int, change: Array) -> Array:
        """The change of b for inputs that are not centred."""
        change[-1] -= change[:-1] @ self.reference[self.columns[i][:-1]]
        return change


def _solution_of_rows(layer: _Layer, kept: Mask, i: int, sums: _Sums, epsilon: float, ridge: float) -> Array:
    """The changes of w and b from the rows √(s_i/S_i + ε) ã themselves, by QR; the shortest of w where many do."""

    def rows() -> Iterator[Array]:
        for a, lacking, s, weight in layer.batches():
            share = epsilon / sums.total + np.divide(s[:, i], sums.total_s[i] or 1)
            root = np.sqrt(weight * share)[:, np.newaxis]
            inputs = _centred(a, sums.reference)[:, kept]
            yield root * np.concatenate([inputs, np.ones((len(a), 1)), lacking[:, [i]]], axis=1)

    factor = streamed_qr(rows())
    n = int(kept.sum())
    ones = factor[:, n]  # whose share is taken out, so that the change of the weights alone is the shortest
    size = ones @ ones
    on_ones = factor.T @ ones / (size or 1)
    centred = factor - np.outer(ones, on_ones)
    penalty = np.sqrt(ridge * _mean_variance(factor[:, :-1].T @ factor[:, :-1])) * np.eye(n, n + 2)
    rest = np.concatenate([centred, penalty])
    w = least_squares(rest[:, :n], rest[:, -1])
    return sums.uncentred(i, np.append(w, on_ones[-1] - on_ones[:n] @ w))


def _centred(a: Array, reference: Array) -> Array:
    """a' − r, where what is no more than rounding of r is 0: a constant input has nothing to say."""
    centred: Array = a - reference
    centred[np.abs(centred) <= ROUNDINGS * np.finfo(np.float64).eps * np.abs(reference)] = 0
    return centred


def _mean_variance(gram: Array) -> float:
    """The mean variance of the inputs, of whose Gram matrix the last row and column are the bias's."""
    n = len(gram) - 1
    if n == 0 or gram[n, n] == 0:
        return 0.0
    return max(0.0, float(np.mean(gram.diagonal()[:n] - gram[:n, n] ** 2 / gram[n, n])))


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
