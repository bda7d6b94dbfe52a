"""Moments of any number of samples, batch by batch: read, join, pass through in blocks, merge (EC-7)."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from .. import _checks
from .._types import Metric
from ..batch import BatchError, Samples
from ..metrics import metric_name
from ..mlp import MLP
from ..moments import Moments, fingerprint
from .batches import Checked, batches_of, joined, known_length
from .blocks import BLOCKS, moments_of_batch, samples_per_batch, samples_per_block
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
    side, while BLAS has one thread.

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
    size = samples_per_batch(mlp, batch_size)
    batches = batches_of(mlp, x, metric, size)
    expected = known_length(x) if n_samples is None else _checks.integer("n_samples", n_samples, 1)
    return moments_of_batches(mlp, batches, metric, size, expected)


def moments_of_batches(
    mlp: MLP, batches: Iterator[Checked], metric: Metric, size: int, n_samples: int | None = None
) -> Moments:
    """`collect_moments` of checked batches; raises a `BatchError` as it does."""
    moments: Moments | None = None
    number = seen = 0  # batches that are done, and their samples
    most = min(size, n_samples or size)  # samples at a time
    per_block = min(most, samples_per_block(mlp))
    several = most > per_block  # else a block has BLAS's threads for itself
    scratch = Scratch(3 * sum(mlp.sizes) * per_block, mlp.dtype)  # all but the activations
    with side_by_side(BLOCKS if several and not callable(metric) else 1) as map_blocks:  # it may not be thread-safe

        def of_all(moments: Moments) -> Moments:
            """The moments with the samples of no weight counted, and with what they are of."""
            origin = metric_name(metric), fingerprint(mlp)
            return Moments(moments.layers, seen, moments.total_weight, *origin)

        of_batch = partial(moments_of_batch, mlp, metric, map_blocks, scratch, size)
        try:
            for whole, rows_of_batches in joined(batches, size, n_samples):
                try:
                    moments = _merged(moments, of_batch(whole))
                    number, seen = number + len(rows_of_batches), seen + len(whole)
                except Exception:
                    if len(rows_of_batches) == 1:
                        raise
                    for rows in rows_of_batches:  # one after the other, so that the first that fails is named
                        moments = _merged(moments, of_batch(whole.rows(rows)))
                        number, seen = number + 1, seen + len(whole.rows(rows))
                del whole  # before the next ones come
            if moments is not None and n_samples not in (None, seen):
                raise ValueError(f"x: expected {n_samples}, got {seen} in all before the iterator ended")
            with _checks.overflow_raised_later():  # of a mean too large to be squared
                _checks.no_overflow("moments", () if moments is None else moments.second_moment)
        except Exception as error:
            done = None if moments is None else of_all(moments)
            raise BatchError.of(error, number, done) from error
    if moments is None:  # and there is no batch whose number would help
        raise ValueError(f"x: expected {n_samples or 'samples'}, got 0 in all before the iterator ended")
    return of_all(moments)


def _merged(moments: Moments | None, more: Moments | None) -> Moments | None:
    """Both, where None is of samples whose weights are all zero."""
    return more if moments is None else moments if more is None else moments.merge(more)
