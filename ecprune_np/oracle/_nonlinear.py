"""What is really lost: for every weight, the true minimum over δ, without linearisation (EC-8.3, EC-9.5)."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from .. import _checks
from .._types import Array, Masks, Metric
from ..batch import Samples
from ..mlp import MLP
from ..scores import Scores
from ._common import problem
from ._expansion import norms
from ._minimum import Minimum, least_change
from ._removal import MEMORY, Indices, removals


@dataclass(frozen=True, eq=False, repr=False)
class NonlinearScores(Scores):
    """The true minimum over δ of what removing each weight changes, and what there is beside it.

    Attributes
    ----------
    importance : tuple of L arrays (n_l, n_{l-1})
        The minimum.
    bias_shift : tuple of L arrays (n_l, n_{l-1})
        The δ where it is; of those that tie, the smallest |δ|.
    converged : tuple of L bool arrays (n_l, n_{l-1})
        Whether the descent to it ended by itself.
    uncompensated : tuple of L arrays (n_l, n_{l-1})
        The true change at δ = 0, at least `importance`.
    first_order : tuple of L arrays (n_l, n_{l-1})
        The true change at δ*, at least `importance`.
    certified : tuple of L bool arrays (n_l, n_{l-1})
        Whether no δ has a lower value, but for rounding.
    at_infinity : tuple of L bool arrays (n_l, n_{l-1})
        Whether the minimum is a limit; the δ is one from which on that is reached to rounding.
    gap : tuple of L arrays (n_l, n_{l-1})
        How far below `importance` the minimum over the bracket can be: 0 where it is certified.
    resolution : tuple of L arrays (n_l, n_{l-1})
        The width of the finest interval of δ that was looked at; 0 for a piecewise linear network.
    bracket : tuple of L arrays (n_l, 2)
        From which δ to which each neuron was searched.

    Examples
    --------
    >>> ec.oracle.nonlinear(ec.MLP([[[2.0, 1.0]]], [[0.0]]), [[1.0, 5.0], [3.0, 5.0]])
    NonlinearScores(1 layers, 2 weights)
    """

    converged: Masks
    uncompensated: tuple[Array, ...]
    first_order: tuple[Array, ...]
    certified: Masks
    at_infinity: Masks
    gap: tuple[Array, ...]
    resolution: tuple[Array, ...]
    bracket: tuple[Array, ...]


def nonlinear(
    mlp: MLP,
    x: Samples,
    metric: Metric = "output",
    *,
    max_steps: int = 200,
    max_intervals: int = 2**12,
    memory: int = MEMORY,
    progress: Callable[[int, int], None] | None = None,
) -> NonlinearScores:
    """min over δ of Φ_true(δ) = E‖f(w_ij = 0, b_i + δ) − f‖²_M, weight by weight (EC-9.5, EC-9.6, EC-9.7).

    M is taken at the unpruned outputs.  It is the minimum over all δ, not one near 0, and of several that tie the one
    with the smallest |δ|.  Where the network from neuron i on is piecewise linear, it is found on the pieces, exactly.
    Else it is searched for in a bracket beyond which every activation is its asymptote to rounding; constant tails
    are compared too.  An interval of δ is settled by a bound on how far the outputs are from linear in it, or halved,
    until Φ_true can be lower in none.  Of a neuron that is a sine one period is all; where a sine lies behind one
    without bounds, no bracket holds all, and nothing is certified.

    A descent to a minimum has converged where the change of the output and its derivative in δ are orthogonal to a
    cosine of 1e-6; or, at a kink, where the derivative changes sign within an interval that can hold no more than
    1e-12 of the value; or where moving δ by its own size changes the value by no more than that.  float32 is computed
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
        Evaluations of a descent; what has not converged after them is marked in `converged`.
    max_intervals : int, default 4096
        Of a weight at a time; where there would be more, they are left as they are, and `gap` says what they hide.
    memory : int, default 2**22
        Bytes, about, for each of the groups of neurons that are searched at a time, one a core.
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
    _checks.integer("max_intervals", max_intervals, 1)
    _checks.integer("memory", memory, 1)
    _checks.function("progress", progress)
    removal = removals(p, memory)
    size = norms(removal(0, np.arange(1)))
    groups = [group for l, shape in enumerate(p.mlp.shapes) for group in _groups(l, shape, p.n_samples, memory)]

    def minimum(group: tuple[int, Indices]) -> Minimum:
        with _checks.overflow_raised_later():  # what overflows is not a minimum
            return least_change(removal(*group), size, max_steps, max_intervals)

    found: list[list[Minimum]] = [[] for _ in p.mlp.weights]
    done = 0
    with ThreadPoolExecutor(os.cpu_count()) as pool:  # NumPy computes outside of the interpreter's lock
        for (l, neurons), minima in zip(groups, pool.map(minimum, groups)):
            found[l].append(minima)
            for _ in neurons:
                done += 1
                if progress is not None:
                    progress(done, sum(p.mlp.sizes[1:]))
    layers = [[np.concatenate(arrays) for arrays in zip(*minima)] for minima in found]
    scores = NonlinearScores(*zip(*layers))
    _checks.no_overflow("importance", scores.importance)
    _checks.no_overflow("the change without compensation", scores.uncompensated)
    _checks.no_overflow("the change at first order's shift", scores.first_order)
    return scores


def _groups(l: int, shape: tuple[int, ...], n_samples: int, memory: int) -> list[tuple[int, Indices]]:
    """Neurons of a layer that are searched together: as many as keep the arrays of their weights and samples small."""
    size = max(1, min(shape[0], memory // (64 * shape[1] * n_samples)))
    return [(l, np.arange(first, min(first + size, shape[0]))) for first in range(0, shape[0], size)]
