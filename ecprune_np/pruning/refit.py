"""The ceiling of bias compensation: all biases of a pruned network refitted to the dense outputs (EC-5.5)."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from .. import _checks
from .._types import Array, Metric
from ..batch import Samples, is_stream, numbered, repeatable
from ..metrics import cotangents
from ..mlp import MLP, Trace, forward, pullback
from ..streaming.batches import Checked, batches_of
from ..streaming.rows import samples_at_a_time, streamed_qr
from .pruned import Pruned, same_architecture

MAX_STEPS = 200
STATIONARY = 1e-14  # of the value may lie along the Jacobian: a cosine of 1e-7 between it and the residual
PROGRESS = 1e-10  # of the value, relative: a step that gains less is the last


def refit_biases(pruned: Pruned, mlp: MLP, x: Samples, metric: Metric = "output") -> Pruned:
    """min over all biases b of E‖f_{P,b} − f‖²_M, with M at the outputs f of the dense `mlp` (EC-5.5).

    The Levenberg-Marquardt method from the biases that `pruned` has, with the Jacobian from the pullback: a
    local minimum, never worse than the start.  The samples are read anew in each step, a batch at a time: memory
    O(B² + batch · B) for B biases.  float32 and longdouble are computed in float64.

    Parameters
    ----------
    pruned : Pruned
        The pruned network, whose weights and masks stay.
    mlp : MLP
        The dense network, of the same sizes and activations.
    x : array (N, n_0), ec.Batch, or a list of them
        The samples, or whatever else can be read more than once, as a data loader; no one-shot iterator.
    metric : str or callable, default "output"
        "output", "softmax", "fisher", "mse", "cross_entropy", or a callable, as for `collect_moments`.

    Returns
    -------
    Pruned
        With the best biases that were found.

    Raises
    ------
    TypeError, ValueError
        For a wrong argument, a one-shot iterator, and networks that differ in shape or activation.
    BatchError
        For a batch that is wrong or does not come.

    Examples
    --------
    >>> mlp = ec.MLP([[[2.0, 1.0]]], [[0.0]])
    >>> pruned = ec.Pruned(ec.MLP([[[2.0, 0.0]]], [[0.0]]), [np.array([[True, False]])])
    >>> ec.oracle.refit_biases(pruned, mlp, [[1.0, 5.0], [3.0, 5.0]]).mlp.biases[0].round(3)
    array([5.])
    """
    _checks.instance("pruned", pruned, Pruned)
    _checks.instance("mlp", mlp, MLP)
    same_architecture("pruned", pruned.mlp, mlp)
    change = _Change(mlp, repeatable(x), metric)
    start = pruned.mlp.astype(np.float64)
    with _checks.overflow_raised_later():  # a step that overflows is not taken
        biases = pruned.mlp.replace(pruned.mlp.weights, _minimize(change, start).biases).astype(pruned.mlp.dtype)
    better = change.value(biases.astype(np.float64)) <= change.value(start)
    return Pruned(biases if better else pruned.mlp, pruned.masks)


def true_change(pruned_mlp: MLP, mlp: MLP, x: Samples, metric: Metric = "output") -> float:
    """E‖f_pruned − f‖²_M with M at the outputs f of the dense `mlp`: what a pruning has really changed (EC-8.3).

    Parameters
    ----------
    pruned_mlp : MLP
        The pruned network.
    mlp : MLP
        The dense network.
    x : array (N, n_0), ec.Batch, or an iterator of them
        The samples; in a batch with their weights, and with targets where the metric is a loss.
    metric : str or callable, default "output"
        "output", "softmax", "fisher", "mse", "cross_entropy", or a callable, as for `collect_moments`.

    Returns
    -------
    float
        The mean squared change, computed in float64.

    Raises
    ------
    TypeError, ValueError
        For a wrong argument, and for an overflow.
    BatchError
        For a batch that is wrong or does not come.

    Examples
    --------
    >>> mlp = ec.MLP([[[2.0, 1.0]]], [[0.0]])
    >>> ec.oracle.true_change(ec.MLP([[[2.0, 0.0]]], [[4.0]]), mlp, [[1.0, 5.0], [3.0, 5.0]])
    1.0
    """
    _checks.instance("pruned_mlp", pruned_mlp, MLP)
    return _Change(mlp, x, metric).value(pruned_mlp.astype(np.float64))


class _Change:
    """E‖f_{P,b} − f‖²_M as a sum of squares: the residuals √weight_n c_rᵀ (f_{P,b} − f), a batch at a time."""

    def __init__(self, mlp: MLP, x: Samples, metric: Metric) -> None:
        _checks.instance("mlp", mlp, MLP)
        is_stream(x)  # raises where x can be no samples, before any batch is read
        self.mlp, self.x, self.metric = mlp.astype(np.float64), x, metric

    def residuals(self, mlp: MLP) -> Iterator[tuple[Array, Trace, Array, float]]:
        """Of each batch: the residuals, the trace of `mlp`, √weight c (R, N, K), and the sum of the weights."""

        def of(batch: Checked) -> tuple[Array, Trace, Array, float]:
            dense = self.mlp(batch.x)
            root = np.sqrt(batch.weight)[:, np.newaxis]
            c = cotangents(self.metric, dense, batch.y) * root
            trace = forward(mlp, batch.x)
            return np.einsum("rnk,nk->rn", c, trace.outputs - dense).ravel(), trace, c, float(batch.weight.sum())

        return map(of, batches_of(self.mlp, self.x, self.metric, samples_at_a_time(self.mlp)))

    def value(self, mlp: MLP) -> float:
        """E‖f_{P,b} − f‖²_M."""
        total = weight = 0.0
        for r, _, _, batch_weight in numbered(self.residuals(mlp)):
            total, weight = total + float(r @ r), weight + batch_weight
        return total / weight

    def factor(self, mlp: MLP) -> tuple[Array, int]:
        """The triangular factor of [J r], with the Jacobian J of the residuals r in all biases; and how many r."""

        def rows() -> Iterator[Array]:
            for r, trace, c, batch_weight in self.residuals(mlp):
                derivatives = pullback(mlp, trace, c)
                weights.append(batch_weight)
                lengths.append(len(r))
                yield np.column_stack([*(g.reshape(-1, g.shape[-1]) for g in derivatives), r])

        weights: list[float] = []
        lengths: list[int] = []
        factor = streamed_qr(numbered(rows()))
        return factor / np.sqrt(sum(weights)), sum(lengths)

    def moved(self, mlp: MLP, d: Array) -> tuple[MLP, float]:
        """The network with its biases moved by d, and its value: infinite where so long a step overflows."""
        ends = np.cumsum(mlp.sizes[1:])
        try:
            moved = mlp.replace(mlp.weights, [b + s for b, s in zip(mlp.biases, np.split(d, ends[:-1]))])
            return moved, self.value(moved)
        except ValueError:
            return mlp, np.inf


def _minimize(change: _Change, mlp: MLP) -> MLP:
    """d = −(JᵀJ + λ σ₁²)⁻¹ Jᵀ r through the singular values σ of J, with λ from how the last step did."""
    value = change.value(mlp)
    damping = 0.0  # a linear problem is solved by the first step
    for _ in range(MAX_STEPS):
        factor, n_residuals = change.factor(mlp)
        U, singular, Vt = np.linalg.svd(factor[:, :-1], full_matrices=False)
        largest = singular[0]
        alive = singular > max(n_residuals, Vt.shape[1]) * np.finfo(np.float64).eps * largest
        U, relative, Vt = U[:, alive], singular[alive] / largest, Vt[alive]
        projected = U.T @ factor[:, -1]
        if projected @ projected <= STATIONARY * value:
            return mlp
        while True:
            d = -Vt.T @ (relative / (relative**2 + damping) * projected / largest)
            trial, new = change.moved(mlp, d)
            if new < value:
                break
            damping = max(10 * damping, 1e-8)
            if damping > 1e16:  # no step down is left that rounding does not swallow
                return mlp
        gained, mlp, value = value - new, trial, new
        damping = damping / 10 if damping > 1e-12 else 0.0
        if gained <= PROGRESS * (value + gained):
            return mlp
    return mlp
