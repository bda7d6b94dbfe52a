"""How sure importances and shifts are, and what other samples of the same number would change (EC-7.10, EC-5.13)."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import reduce
from itertools import accumulate
from typing import get_args

import numpy as np

from .. import _checks
from .._frozen import Frozen
from .._types import Array, Mask, Masks, Metric, Scope
from ..batch import Samples
from ..mlp import MLP
from ..moments import Moments
from ..pruning.one_shot import least_important_removed
from ..scores import Scores, compensated, elimination_compensation
from ..streaming.batches import batches_of, known_length
from ..streaming.blocks import samples_per_batch
from ..streaming.collect import moments_of_batches

FEW = 10  # samples that an importance rests on, or that are in a group: with fewer, its standard error is a guess
SHARE = 0.01  # of a removed set, from which on it counts as sure


@dataclass(frozen=True, eq=False, repr=False)
class RemovedSet(Frozen):
    """How sure the weights are that a sparsity removes (EC-5.13).

    Attributes
    ----------
    unsure : tuple of L bool arrays (n_l, n_{l-1})
        Which of them the scores without one of the groups would keep.
    n_removed : int
        How many are removed; of a network that is pruned already, how many more.
    changed : float
        The share of them that other samples, as many as these, would keep.
    on_few : float
        The share of the unsure ones whose importance rests on fewer than ten samples; where these are most, `changed`
        can be as little as half of the truth.
    n_samples : int
        N, those of weight 0 not counted.

    Examples
    --------
    >>> mlp = ec.MLP.initialize([40, 20, 2], seed=0)
    >>> removed = ec.standard_errors(mlp, np.random.default_rng(0).standard_normal((200, 40))).removed(0.5)
    >>> print(removed)
    other 200 samples would keep 2.3 % of the 420 removed weights; about 1,100 would bring that to 1 %
    >>> removed.samples_for(0.02)
    270
    """

    unsure: Masks
    n_removed: int
    changed: float
    on_few: float
    n_samples: int

    def __repr__(self) -> str:
        return f"RemovedSet({self.n_removed:,} weights, {_percent(self.changed)} change with the samples)"

    def __str__(self) -> str:
        if self.n_removed == 0:
            return "no further weight is removed"
        n, needed = self.n_samples, self.samples_for(SHARE)
        line = f"other {n:,} samples would keep {_percent(self.changed)} of the {self.n_removed:,} removed weights"
        if self.n_removed * SHARE < 1:
            return f"{line}; {_percent(SHARE)} is less than one weight"
        if self.on_few > 0.5:
            return f"{line}, or up to twice as many, for most of these rest on fewer than {FEW} samples"
        about = f"about {float(f'{needed:.2g}'):,.0f} would bring that to"
        return f"{line}; {'these are enough for' if needed == n else about} {_percent(SHARE)}"

    def samples_for(self, share: float = SHARE) -> int:
        """How many samples bring `changed` down to a share, if it falls as 1/√N; N where it is there (EC-5.13).

        Raises
        ------
        TypeError, ValueError
            For a share that is not above 0, or above 1.
        """
        _checks.number("share", share, float(np.finfo(float).eps), 1)
        return math.ceil(self.n_samples * max(1.0, self.changed / share) ** 2)


@dataclass(frozen=True, eq=False, repr=False)
class StandardErrors(Frozen):
    """How far scores of these samples are from those of endlessly many, as standard errors (EC-7.10).

    Two of them each way hold the value of endlessly many samples in about 92 % of all cases (10 groups), in fewer where
    an importance rests on few samples.  Of what no sample shows they do not know: those of a silent neuron are 0.

    Attributes
    ----------
    importance : tuple of L arrays (n_l, n_{l-1})
        The standard errors of the importances.
    bias_shift : tuple of L arrays (n_l, n_{l-1})
        Those of the bias shifts.
    scores : Scores
        What they are the errors of: importances and shifts over all samples.
    without : tuple of G Scores
        The same without each of the groups.
    n_samples : int
        N, those of weight 0 not counted.

    Examples
    --------
    >>> mlp = ec.MLP.initialize([40, 20, 2], seed=0)
    >>> errors = ec.standard_errors(mlp, np.random.default_rng(0).standard_normal((1000, 40)))
    >>> errors
    StandardErrors(2 layers, 840 weights, 1,000 samples in 10 groups)
    >>> print(errors)
    standard error of an importance: 5.8 % of it in the median, with 1,000 samples
    """

    importance: tuple[Array, ...]
    bias_shift: tuple[Array, ...]
    scores: Scores
    without: tuple[Scores, ...]
    n_samples: int

    def __repr__(self) -> str:
        n_weights = sum(i.size for i in self.importance)
        of = f"{len(self.importance)} layers, {n_weights:,} weights"
        return f"StandardErrors({of}, {self.n_samples:,} samples in {len(self.without)} groups)"

    def __str__(self) -> str:
        n, groups = self.n_samples, len(self.without)
        lines = [f"standard error of an importance: {_percent(self.median)} of it in the median, with {n:,} samples"]
        if self.on_few > SHARE:
            few = f"{_percent(self.on_few)} of the importances rest on fewer than {FEW} samples"
            lines += [f"{few}: their standard errors are guesses, and mostly too small"]
        if n < FEW * groups:
            lines += [f"fewer than {FEW} samples in each of {groups} groups: all of this is a guess"]
        return "\n".join(lines)

    @property
    def relative(self) -> Array:
        """The importances' standard errors as fractions of them, layer by layer, where they are not 0."""
        pairs = zip(self.importance, self.scores.importance)
        return np.concatenate([error[value > 0] / value[value > 0] for error, value in pairs])

    @property
    def median(self) -> float:
        """The median of `relative`, 0 where there are none."""
        return float(np.median(self.relative)) if self.relative.size else 0.0

    @property
    def on_few(self) -> float:
        """The share of the importances, 0 left aside, that rest on under ten samples, (I/error)² < 10 (EC-7.10)."""
        return float(np.mean(self.relative >= FEW**-0.5)) if self.relative.size else 0.0

    def removed(self, sparsity: float, scope: Scope = "global", *, masks: Sequence[Mask] | None = None) -> RemovedSet:
        """How sure the set is that a sparsity removes: what other samples would keep of it (EC-5.13).

        Parameters
        ----------
        sparsity : float
            From 0 to 1: the fraction of the weights that are removed.
        scope : {"global", "layer"}, default "global"
            As for `prune`.
        masks : sequence of L bool arrays (n_l, n_{l-1}), optional
            True = kept, of a network that is pruned already: what they removed counts for the sparsity, and is sure.

        Returns
        -------
        RemovedSet
            `changed`, the share that other samples would keep, √(2(G−1)) times the one that G − 1 groups keep;
            `samples_for(0.01)`, how many samples bring it down to 1 %.

        Raises
        ------
        TypeError, ValueError
            For a wrong argument, and where `masks` have removed more already.
        """
        _checks.number("sparsity", sparsity, 0, 1)
        _checks.one_of("scope", scope, get_args(Scope))
        shapes = [i.shape for i in self.importance]
        before = _checks.boolean_masks([np.ones(n, bool) for n in shapes] if masks is None else masks, shapes)
        every = (self.scores, *self.without)
        whole, *others = (least_important_removed(scores, before, sparsity, scope) for scores in every)
        kept = [[~mask & other for other in layer] for mask, *layer in zip(whole, *others)]
        unsure = tuple(np.any(layer, axis=0) for layer in kept)
        n_removed = sum(int((left & ~mask).sum()) for left, mask in zip(before, whole))
        share = sum(int(np.sum(layer)) for layer in kept) / len(others) / max(1, n_removed)
        changed = min(1.0, math.sqrt(2 * (len(others) - 1)) * share)
        triples = zip(unsure, self.importance, self.scores.importance)
        few = np.concatenate([error[which] >= FEW**-0.5 * value[which] for which, error, value in triples])  # 0 on none
        return RemovedSet(unsure, n_removed, changed, float(few.mean()) if few.size else 0.0, self.n_samples)


def standard_errors(
    mlp: MLP, x: Samples, metric: Metric = "output", groups: int = 10, *, batch_size: int | None = None
) -> StandardErrors:
    """√((G−1)/G Σ_g (θ_(g) − θ̄)²), where θ_(g) is a score without the samples of group g: the jackknife (EC-7.10).

    Every G-th sample is in the same group, those of weight 0 not counted.  The samples are read once.

    Parameters
    ----------
    mlp : MLP
        The network.
    x : array (N, n_0), ec.Batch, or an iterator of them
        The samples, one for each group at least; in a batch with their weights, and with targets where the metric is a
        loss.
    metric : str or callable, default "output"
        "output", "softmax", "fisher", "mse", "cross_entropy", or a callable, as for `collect_moments`.
    groups : int, default 10
        G, at least 2.  About 4 G numbers a weight are in memory, 2 (G + 2) in the result.
    batch_size : int, optional
        Samples at a time, as for `collect_moments`.

    Returns
    -------
    StandardErrors
        `importance` and `bias_shift`, each shaped as the weights.

    Raises
    ------
    TypeError, ValueError
        For a wrong argument, fewer samples than groups, and for an overflow.
    BatchError
        For a batch that is wrong or does not come.

    Examples
    --------
    The mean of (1, 2, 3, 6) has the standard error √(14/12):

    >>> errors = ec.standard_errors(ec.MLP([[[1.0]]], [[0.0]]), [[1.0], [2.0], [3.0], [6.0]], groups=4)
    >>> errors.bias_shift[0].round(4)
    array([[1.0801]])
    """
    _checks.instance("mlp", mlp, MLP)
    _checks.integer("groups", groups, 2)
    size = samples_per_batch(mlp, batch_size, metric)
    batches = batches_of(mlp, x, metric, size)
    left = whole_and_without_each(moments_of_batches(mlp, batches, metric, size, known_length(x), groups))
    whole = next(left)
    scores = elimination_compensation(mlp, whole)
    without = tuple(compensated(mlp, moments) for moments in left)
    with _checks.overflow_raised_later():
        importance = [_jackknife(values) for values in zip(*(s.importance for s in without))]
        bias_shift = [_jackknife(values) for values in zip(*(s.bias_shift for s in without))]
    _checks.no_overflow("standard errors of importances", importance)
    _checks.no_overflow("standard errors of bias shifts", bias_shift)
    return StandardErrors(tuple(importance), tuple(bias_shift), scores, without, whole.n_samples)


def whole_and_without_each(groups: list[Moments]) -> Iterator[Moments]:
    """The moments of all groups, then those without each: merged from both ends, in 3 G − 5 merges (EC-7.5, EC-7.10).

    `groups` is used up, so that what is done is let go.
    """
    after = list(accumulate(reversed(groups), Moments.merge))  # of the last group, of the last two, ...
    yield after.pop()
    before = groups.pop(0)
    yield after.pop()
    while after:
        yield before.merge(after.pop())
        before = before.merge(groups.pop(0))
    yield before


def _jackknife(values: Sequence[Array]) -> Array:
    """√((G−1)/G Σ_g (θ_(g) − θ̄)²), 0 where all are the same, whose mean would be rounded (EC-7.10)."""
    G = len(values)
    mean = values[0] + sum(value - values[0] for value in values) / G
    root = reduce(np.hypot, (value - mean for value in values))  # of the sum of squares, which may underflow
    error: Array = root * np.sqrt((G - 1) / root.dtype.type(G))
    return error


def _percent(share: float) -> str:
    return f"{float(f'{100 * share:.2g}'):g} %"
