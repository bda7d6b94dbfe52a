"""Moments of any number of samples, batch by batch: read, join, pass through in blocks, merge (EC-7)."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial, reduce
from itertools import zip_longest

from .. import _checks
from .._types import Metric
from ..batch import BatchError, NoWeight, Samples
from ..metrics import metric_name
from ..mlp import MLP
from ..moments import Moments, fingerprint
from .batches import Checked, batches_of, joined, known_length
from .blocks import BLOCKS, moments_of_batch, samples_per_batch, samples_per_block
from .reduction import reduction_of
from .scratch import Scratch
from .threads import side_by_side


def collect_moments(
    mlp: MLP,
    x: Samples,
    metric: Metric = "output",
    *,
    batch_size: int | None = None,
    n_samples: int | None = None,
) -> Moments:
    """S_i, μ_ij and v_ij over the samples, batch by batch (EC-3, EC-7).

    In memory is one batch at a time.  With threadpoolctl and two or four threads of BLAS, its blocks are done side by
    side, while BLAS has one thread.  Where outputs are many, fewer rows stand for them, with the same digits (EC-7.18).

    Parameters
    ----------
    mlp : MLP
        The network.
    x : array (N, n_0), ec.Batch, or an iterator of them
        The samples; in a batch with their weights, and with targets where the metric is a loss.
    metric : str or callable, default "output"
        The change of "output", the probabilities ("softmax"), their divergence ("fisher"), the loss "mse" or
        "cross_entropy"; or a callable from outputs (N, K) to cotangents (R, N, K).
    batch_size : int, optional
        Samples at a time; the result depends on it by rounding only.  By default eight blocks of about 28 MB each, or
        of the network's size if that is more.
    n_samples : int, optional
        How many samples are expected, if that is known.

    Returns
    -------
    Moments
        In the network's dtype.

    Raises
    ------
    TypeError, ValueError
        For a wrong argument.
    BatchError
        For a batch that is wrong or does not come, and for an overflow; it has the moments of the batches before.

    Examples
    --------
    >>> mlp = ec.MLP([[[2.0, 1.0]]], [[0.0]])
    >>> moments = ec.collect_moments(mlp, ec.Batch([[1.0, 5.0], [3.0, 5.0]], sample_weight=[3, 1]))
    >>> moments.mean[0], moments.variance[0]
    (array([[1.5, 5. ]]), array([[0.75, 0.  ]]))
    """
    _checks.instance("mlp", mlp, MLP)
    size = samples_per_batch(mlp, batch_size, metric)
    batches = batches_of(mlp, x, metric, size)
    expected = known_length(x) if n_samples is None else _checks.integer("n_samples", n_samples, 1)
    (moments,) = moments_of_batches(mlp, batches, metric, size, expected)
    return moments


def moments_of_batches(
    mlp: MLP, batches: Iterator[Checked], metric: Metric, size: int, n_samples: int | None = None, groups: int = 1
) -> list[Moments]:
    """`collect_moments` of checked batches; raises a `BatchError` as it does.

    With several groups, those of each: the samples that have a weight are dealt out to them in turn (EC-7.10).
    """
    moments: list[Moments | None] = []
    number = seen = 0  # batches that are done, and their samples
    most = min(size, n_samples or size)  # samples at a time
    per_block = min(most, samples_per_block(mlp, metric))
    several = most > groups * per_block  # else a block has BLAS's threads for itself
    scratch = Scratch(3 * sum(mlp.sizes) * per_block, mlp.dtype)  # all but the activations
    with side_by_side(BLOCKS if several and not callable(metric) else 1) as map_blocks:  # it may not be thread-safe

        def of_all(moments: Moments, n_samples: int) -> Moments:
            """The moments with what they are of: so many samples, a metric and a network."""
            return Moments(moments.layers, n_samples, moments.total_weight, metric_name(metric), name)

        def with_more(more: Checked) -> list[Moments | None]:
            """The moments of each group, its samples among these included."""
            dealt = sum(m.n_samples for m in moments if m is not None)
            hands = [more] if groups == 1 else more.dealt(groups, dealt)
            return [_merged(m, of_batch(hand)) for m, hand in zip_longest(moments, hands)]

        of_batch = partial(moments_of_batch, mlp, metric, reduction_of(mlp, metric), map_blocks, scratch, size)
        name = fingerprint(mlp)

        try:
            for whole, rows_of_batches in joined(batches, size, n_samples):
                try:
                    moments = with_more(whole)
                    number, seen = number + len(rows_of_batches), seen + len(whole)
                except Exception:
                    if len(rows_of_batches) == 1:
                        raise
                    for rows in rows_of_batches:  # one after the other, so that the first that fails is named
                        moments = with_more(whole.rows(rows))
                        number, seen = number + 1, seen + len(whole.rows(rows))
                del whole  # before the next ones come
            if seen > 0 and n_samples not in (None, seen):
                raise ValueError(f"x: expected {n_samples}, got {seen} in all before the iterator ended")
            with _checks.overflow_raised_later():  # of a mean too large to be squared
                for m in moments:
                    _checks.no_overflow("moments", () if m is None else m.second_moment)
        except NoWeight:
            raise
        except Exception as error:
            with _checks.overflow_raised_later():  # by this error
                done = reduce(_merged, moments, None)
            raise BatchError.of(error, number, None if done is None else of_all(done, seen)) from error
    if seen == 0:  # and there is no batch whose number would help
        raise ValueError(f"x: expected {n_samples or 'samples'}, got 0 in all before the iterator ended")
    found = [m for m in moments if m is not None]
    if len(found) < groups:
        raise ValueError(f"x: expected at least {groups} samples with a weight, one a group, got {len(found)}")
    return [of_all(m, seen if groups == 1 else m.n_samples) for m in found]


def _merged(moments: Moments | None, more: Moments | None) -> Moments | None:
    """Both, where None is of samples whose weights are all zero."""
    return more if moments is None else moments if more is None else moments.merge(more)
