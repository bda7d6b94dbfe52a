"""How right a pruned network's parameters are, and how far its biases are from a minimum (EC-7.14, EC-7.15)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, TypeAlias, get_args

import numpy as np

from .. import _checks
from .._frozen import Frozen
from .._types import Array, Metric
from ..batch import Samples, gathered
from ..metrics import metric_targets
from ..mlp import MLP
from ..pruning.pruned import Pruned, same_architecture
from ..pruning.row import EPSILON, RIDGE
from ._balls import Ball, joined
from ._bounded import BoundedPass, bounded_forward, bounded_moments, same, slope, value
from ._certify import bounded_digits, bounded_scores, widely_passed
from ._least_squares import minimum, shortest

Certified: TypeAlias = Literal["independent", "joint", "row"]
LOGITS = ("softmax", "fisher", "cross_entropy")  # under which a shift that all outputs share counts for nothing


@dataclass(frozen=True, eq=False, repr=False)
class PrunedCertificate(Frozen):
    """Correct decimal digits, from 0 to 17, that each parameter of a pruned network has at least.

    Attributes
    ----------
    weight_bound : tuple of L arrays (n_l, n_{l-1})
        Of the weights; what is removed is right.
    bias_bound : tuple of L arrays (n_l,)
        Of the biases.
    shift_bound : tuple of L arrays (n_l,)
        Of what the biases have moved by, which rounding a larger bias costs digits.

    Examples
    --------
    >>> mlp, x = ec.MLP([[[2.0, 1.0]]], [[0.0]]).astype(np.float32), [[1.0, 5.0], [3.0, 5.0]]
    >>> pruned = ec.prune(mlp, ec.elimination_compensation(mlp, x), 0.5)
    >>> ec.oracle.certify_pruned(pruned, mlp, x, "independent")
    PrunedCertificate(1 layers, 15.5 digits at least)
    """

    weight_bound: tuple[Array, ...]
    bias_bound: tuple[Array, ...]
    shift_bound: tuple[Array, ...]

    def __repr__(self) -> str:
        least = min(float(digits.min()) for digits in (*self.weight_bound, *self.bias_bound))
        return f"PrunedCertificate({len(self.bias_bound)} layers, {least:.1f} digits at least)"


def certify_pruned(
    pruned: Pruned,
    mlp: MLP,
    x: Samples,
    compensation: Certified,
    metric: Metric = "output",
    *,
    target: MLP | None = None,
) -> PrunedCertificate:
    """The correct digits of what a compensation has made of biases and weights (EC-7.14).

    Certified is the solution that the equations define, whoever computed `pruned`: the sums of the optimal shifts
    (EC-5.1), the shortest of the shifts that are optimal together (EC-5.4), or each row's least squares, layer by
    layer, with the inputs that a network without rounding would have (EC-5.10).  Where rounding does not tell whether a
    problem has one solution, there are no digits.  Of "joint" that is so where shifts make up for each other for
    another reason than that a neuron is dead, that its slope is the same on all samples, or that probabilities sum
    to 1; and where a sample lies at a kink.

    Parameters
    ----------
    pruned : Pruned
        The pruned network, as `prune` with this compensation returns it.
    mlp : MLP
        The network before.
    x : array (N, n_0), ec.Batch, or an iterator of them
        The samples; in a batch with their weights, and with targets where the metric is a loss.
    compensation : {"independent", "joint", "row"}
        What the biases, or the rows, should be.
    metric : str or callable, default "output"
        "output", "softmax", "fisher", "mse", "cross_entropy", or a callable, as for `collect_moments`.
    target : MLP, optional
        The network that "row" aims at; `mlp` by default.

    Returns
    -------
    PrunedCertificate
        The digits.

    Raises
    ------
    TypeError, ValueError
        For a wrong argument or one without effect, networks that differ in shape or activation, and for an overflow.
    BatchError
        For a batch that is wrong or does not come.

    Examples
    --------
    >>> mlp, x = ec.MLP([[[2.0, 1.0]]], [[0.0]]), [[1.0, 5.0], [3.0, 5.0]]
    >>> pruned = ec.prune(mlp, ec.elimination_compensation(mlp, x), 0.5, compensation="joint", x=x)
    >>> bool(ec.oracle.certify_pruned(pruned, mlp, x, "joint").shift_bound[0] > 15)
    True
    """
    _checks.instance("pruned", pruned, Pruned)
    _checks.instance("mlp", mlp, MLP)
    same_architecture("pruned", pruned.mlp, mlp)
    _checks.one_of("compensation", compensation, get_args(Certified))
    if compensation != "row":
        _checks.without_effect(target=(target, f"with compensation {compensation!r}"))
    if target is not None:
        same_architecture("target", target, mlp)
    batch = gathered(x, mlp.sizes[0], mlp.dtype, metric_targets(mlp, metric))
    with _checks.overflow_raised_later():
        p, raised = widely_passed(mlp, batch, metric)
        claim = pruned.mlp.astype(raised.dtype)
        aim = raised if target is None else target.astype(raised.dtype)
        problem = _Problem(p, raised, claim, aim, pruned, metric)
        weights, biases = SOLUTIONS[compensation](problem)
        return PrunedCertificate(
            tuple(map(bounded_digits, claim.weights, weights)),
            tuple(map(bounded_digits, claim.biases, biases)),
            tuple(map(_digits_of_shift, claim.biases, biases, raised.biases)),
        )


@dataclass(frozen=True, eq=False)
class _Problem:
    """The network before, all that it does with the samples, and the one that is claimed, in a wider format."""

    p: BoundedPass
    mlp: MLP
    claim: MLP
    target: MLP
    pruned: Pruned
    metric: Metric

    @property
    def lost(self) -> list[Array]:
        """The weights that are gone, and 0 for the others."""
        return [np.where(mask, 0, w) for mask, w in zip(self.pruned.masks, self.mlp.weights)]

    @property
    def kept(self) -> list[Ball]:
        """The weights that stay, as they were."""
        return [Ball.exact(np.where(mask, w, 0)) for mask, w in zip(self.pruned.masks, self.mlp.weights)]


Solution: TypeAlias = tuple[list[Ball], list[Ball]]  # weights and biases


def _independent(problem: _Problem) -> Solution:
    """b_i + Σ_{j removed} δ*_ij (EC-5.1)."""
    shifts = [bounded_scores(problem.p, l, lost)[1].sum(axis=1) for l, lost in enumerate(problem.lost)]
    return problem.kept, [shift + b for shift, b in zip(shifts, problem.mlp.biases)]


def _joint(problem: _Problem) -> Solution:
    """b + d, d the shortest argmin E‖Σ_i J_i (d_i − ζ_i)‖²_M, ζ_i = Σ_{j removed} w_ij a_j (EC-5.4)."""
    p, biases = problem.p, np.concatenate(problem.mlp.biases)
    claim = np.concatenate(problem.claim.biases) - biases
    root = p.probability.root()[:, np.newaxis]
    columns = joined([g * root for g in p.derivatives], axis=2)
    u = joined([a @ lost.T for a, lost in zip(p.inputs, problem.lost)], axis=1)
    change = (columns * u).sum(axis=2)
    alive = ~columns.is_zero().all(axis=(0, 1))
    A, null = columns[..., alive], _null_vectors(problem)[:, alive]
    nothing = Ball.exact(np.zeros(len(null), claim.dtype))
    d = minimum(joined([_flat(A), null], axis=0), joined([_flat(change), nothing], axis=0), claim[alive]).x
    if not np.isfinite(d.error).all():
        rows = _independent_rows(problem, A)
        d = shortest(A[rows], change[rows])
    value, error = np.zeros_like(claim), np.zeros_like(claim)  # a dead neuron's bias stays
    value[alive], error[alive] = d.value, d.error
    ends = [0, *np.cumsum(problem.mlp.sizes[1:])]
    return problem.kept, [(Ball(value, error) + biases)[slice(*part)] for part in pairwise(ends)]


def _null_vectors(problem: _Problem) -> Ball:
    """Changes of all biases that change nothing by the network's form, in rows: what the shortest solution has none of.

    A hidden neuron whose slope is the same on all samples passes a shift of its own on as one of the next layer's; and
    a shift that all logits share moves no probability.
    """
    mlp, p = problem.mlp, problem.p
    ends = np.cumsum([0, *mlp.sizes[1:]])
    rows = [Ball.exact(np.zeros((0, ends[-1]), mlp.dtype))]
    for l in range(mlp.n_layers - 1):
        slopes = slope(mlp.layer_activation(l).name, p.preactivations[l])
        for i in np.flatnonzero(p.constant[l + 1] | same(slopes)):
            passed_on = slopes[0, i] * mlp.weights[l + 1][:, i]
            row = Ball.exact(np.zeros(ends[-1], mlp.dtype))
            row.value[ends[l] + i] = -1
            row.value[ends[l + 1] : ends[l + 2]], row.error[ends[l + 1] : ends[l + 2]] = (
                passed_on.value,
                passed_on.error,
            )
            rows.append(row[np.newaxis])
    if problem.metric in LOGITS and mlp.output_activation == "identity" and mlp.sizes[-1] > 1:
        rows.append(Ball.exact(np.repeat([0, 1], [ends[-2], mlp.sizes[-1]]).astype(mlp.dtype)[np.newaxis]))
    return joined(rows, axis=0)


def _independent_rows(problem: _Problem, A: Ball) -> tuple[Array, Array]:
    """Where, by cotangent and sample, rows are that repeat no others: of each different sample, without zeros.

    The probabilities' changes sum to 0, so that one of them follows from the others.
    """
    c = problem.p.cotangents.value
    parts = [problem.p.inputs[0].value, c.transpose(1, 0, 2).reshape(c.shape[1], -1)]
    _, first = np.unique(np.concatenate(parts, axis=1), axis=0, return_index=True)
    wanted = np.zeros(A.shape[:2], bool)
    wanted[: len(wanted) - (problem.metric in ("softmax", "fisher")), first] = True
    rows, samples = np.nonzero(wanted & ~A.is_zero().all(axis=2))
    return rows, samples


def _flat(balls: Ball) -> Ball:
    """One row for each cotangent and sample."""
    return Ball(*(part.reshape(part.shape[0] * part.shape[1], *part.shape[2:]) for part in (balls.value, balls.error)))


def _row(problem: _Problem) -> Solution:
    """argmin E[(s_i/S_i + ε)(w·a' + b − z*_i)²] + λ ‖w − w_i‖², layer by layer (EC-5.10)."""
    mlp, target = problem.mlp, problem.target
    _, aims, _ = bounded_forward(target, problem.p.inputs[0].value)
    weights: list[Ball] = []
    biases: list[Ball] = []
    a, constant = problem.p.inputs[0], problem.p.constant[0]
    for l, mask in enumerate(problem.pruned.masks):
        rows = [_row_of(problem, l, i, a, constant, aims[l][:, i]) for i in range(len(mask))]
        weights.append(joined([w[np.newaxis] for w, _, _ in rows], axis=0))
        biases.append(joined([b for _, b, _ in rows], axis=0))
        a = value(mlp.layer_activation(l).name, joined([z[:, np.newaxis] for _, _, z in rows], axis=1))
        constant = (~mask | constant).all(axis=1) | same(a)
    return weights, biases


def _row_of(problem: _Problem, l: int, i: int, a: Ball, constant: Array, aim: Ball) -> tuple[Ball, Ball, Ball]:
    """Neuron i's weights, its bias as an array of one, and z_i from its inputs a; `aim` is its z*.

    The weight of a constant input stays as it is: the bias does as much, and has no ridge.
    """
    p, kept, dtype = problem.p.probability, problem.pruned.masks[l][i], a.value.dtype
    s, share = problem.p.sensitivity(l)[:, i], p * dtype.type(EPSILON)
    if not s.is_zero().all():
        share = share + s / s.sum(axis=0, keepdims=True)
    _, spread = bounded_moments(share, a[:, kept], constant[kept])
    free = kept & ~constant
    before, near = problem.kept[l].value[i], problem.claim.weights[l][i, free]
    unmoved, a = a @ np.where(free, 0, before), a[:, free]
    middle = a.value.mean(axis=0)  # of which the bias takes care, so that columns are nearly orthogonal
    extended = joined([a - middle, Ball.exact(np.ones((len(a.value), 1), dtype))], axis=1)
    ridge = (spread.sum(axis=0, keepdims=True) * dtype.type(RIDGE) / np.full(1, max(kept.sum(), 1), dtype)).root()
    root, diagonal = share.root(), np.eye(len(near), len(near) + 1, dtype=dtype)
    found = minimum(
        joined([root[:, np.newaxis] * extended, ridge * diagonal], axis=0),
        joined([root * (aim - unmoved), ridge * before[free]], axis=0),
        np.append(near, problem.claim.biases[l][i] + middle @ near),
    )
    weights = Ball.exact(before)
    weights.value[free], weights.error[free] = found.x.value[:-1], found.x.error[:-1]
    bias = found.seen_by(Ball.exact(np.append(-middle, dtype.type(1))[np.newaxis]))
    return weights, bias, found.seen_by(extended) + unmoved


SOLUTIONS: dict[Certified, Callable[[_Problem], Solution]] = {
    "independent": _independent,
    "joint": _joint,
    "row": _row,
}


def _digits_of_shift(claim: Array, bias: Ball, before: Array) -> Array:
    return bounded_digits(claim - before, bias - before)
