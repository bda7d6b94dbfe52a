"""Rivals that look at each weight by itself: magnitude, gradient magnitude, Wanda, and chance (EC-6)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from .. import _checks
from .._types import LossName
from ..batch import Samples, numbered
from ..losses import loss_gradient
from ..mlp import MLP, forward
from ..scores import UNDERFLOW, Scores, warn_where_all_are_0
from ..streaming.batches import batches_of, slice_size
from ..streaming.blocks import samples_per_batch

NO_SLOPE = "the loss has no slope there (dead, saturated or fitted exactly on these samples, or too weak for {})"


def magnitude(mlp: MLP) -> Scores:
    """|w_ij| (EC-6.6; Han et al., 2015).

    Parameters
    ----------
    mlp : MLP
        The network.

    Returns
    -------
    Scores
        Without shifts.

    Raises
    ------
    TypeError
        Where `mlp` is no MLP.

    Examples
    --------
    >>> mlp = ec.MLP([[[2.0, -1.0]]], [[0.0]])
    >>> ec.criteria.magnitude(mlp).importance[0]
    array([[2., 1.]])
    """
    _checks.instance("mlp", mlp, MLP)
    return Scores([np.abs(w) for w in mlp.weights])


def gradient_magnitude(mlp: MLP, x: npt.ArrayLike, y: npt.ArrayLike, loss: LossName = "mse") -> Scores:
    """|w_ij ∂loss/∂w_ij|, the first-order change of the loss (EC-6.8; Molchanov et al., 2017).

    Parameters
    ----------
    mlp : MLP
        The network.
    x : array (N, n_0)
        The samples.
    y : array (N, K) or (N,)
        Targets; for "cross_entropy" class probabilities, or integer labels (N,).
    loss : {"mse", "cross_entropy"}, default "mse"
        The squared error, or the cross-entropy of outputs that are logits.

    Returns
    -------
    Scores
        Without shifts.

    Raises
    ------
    TypeError, ValueError
        For a wrong argument, and for an overflow.

    Examples
    --------
    >>> mlp = ec.MLP([[[2.0]]], [[0.0]])
    >>> ec.criteria.gradient_magnitude(mlp, [[1.0], [2.0]], [[3.0], [3.0]]).importance[0]
    array([[2.]])
    """
    _, gradient = loss_gradient(mlp, x, y, loss)
    scores = Scores([np.abs(w * g) for w, g in zip(mlp.weights, gradient.weights)])

    def reason(l: int) -> str | None:
        if (mlp.weights[l] * (gradient.weights[l] != 0)).any():
            return UNDERFLOW
        return None if gradient.biases[l].any() else NO_SLOPE

    warn_where_all_are_0(mlp, scores.importance, reason)
    return scores


def random(mlp: MLP, seed: int = 0) -> Scores:
    """Independent uniform numbers in [0, 1): the baseline that any criterion must beat.

    Parameters
    ----------
    mlp : MLP
        The network.
    seed : int, default 0
        The same seed gives the same numbers.

    Returns
    -------
    Scores
        Without shifts.

    Raises
    ------
    TypeError, ValueError
        For a wrong argument.

    Examples
    --------
    >>> mlp = ec.MLP([[[2.0, -1.0]]], [[0.0]])
    >>> ec.criteria.random(mlp, seed=1).importance[0].round(3)
    array([[0.512, 0.95 ]])
    """
    _checks.instance("mlp", mlp, MLP)
    rng = np.random.default_rng(_checks.integer("seed", seed, 0))
    return Scores([rng.random(w.shape).astype(mlp.dtype) for w in mlp.weights])


def wanda(mlp: MLP, x: Samples, *, batch_size: int | None = None) -> Scores:
    """|w_ij| √E[a_j²] (EC-6.7; Sun et al., 2024).

    The authors compare within a neuron's row; here the scores are compared as `prune` is told to.

    Parameters
    ----------
    mlp : MLP
        The network.
    x : array (N, n_0), ec.Batch, or an iterator of them
        The samples, in a batch with their weights.
    batch_size : int, optional
        Samples at a time; the result depends on it by rounding only.

    Returns
    -------
    Scores
        Without shifts.

    Raises
    ------
    TypeError, ValueError
        For a wrong argument, and for an overflow.
    BatchError
        For a batch that is wrong or does not come.

    Examples
    --------
    >>> mlp = ec.MLP([[[2.0, 1.0]]], [[0.0]])
    >>> ec.criteria.wanda(mlp, [[1.0, 5.0], [3.0, 5.0]]).importance[0].round(3)
    array([[4.472, 5.   ]])
    """
    _checks.instance("mlp", mlp, MLP)
    batches = batches_of(mlp, x, "output", slice_size(x, batch_size, samples_per_batch(mlp, None)))
    squares, total = [np.zeros(w.shape[1], mlp.dtype) for w in mlp.weights], mlp.dtype.type(0)
    seen = [np.zeros(w.shape[1], bool) for w in mlp.weights]  # inputs that are not 0, though all squares are
    with _checks.overflow_raised_later():
        for inputs, weight in numbered((forward(mlp, batch.x).inputs, batch.weight) for batch in batches):
            squares = [sums + np.sum(weight[:, np.newaxis] * a**2, axis=0) for sums, a in zip(squares, inputs)]
            total += weight.sum()
            for l, a in enumerate(inputs):
                if not squares[l].any():
                    seen[l] |= (a[weight > 0] != 0).any(axis=0)
        importance = [np.abs(w) * np.sqrt(sums / total) for w, sums in zip(mlp.weights, squares)]
    _checks.no_overflow("importance", importance)
    warn_where_all_are_0(mlp, importance, lambda l: UNDERFLOW if (mlp.weights[l] * seen[l]).any() else None)
    return Scores(importance)
