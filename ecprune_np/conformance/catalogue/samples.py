"""What goes wrong with the samples: some left out, counted twice or shuffled, batches that are not merged."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from ..._types import Array
from ._mistake import Mistake
from ._parts import Pairs, Parts, scores

BATCH_SIZES = (8, 10, 16, 20, 32, 50, 64, 100, 128, 256)


def rows(p: Parts, chosen: Any) -> Parts:
    """The parts of some samples: a slice, or their indices."""
    return replace(
        p,
        x=p.x[chosen],
        f=p.f[chosen],
        a=tuple(a[chosen] for a in p.a),
        z=tuple(z[chosen] for z in p.z),
        s=tuple(s[chosen] for s in p.s),
        J=tuple(J[:, chosen] for J in p.J),
        weight=p.weight[chosen],
    )


def _some(choose: Callable[[int], Any]) -> Callable[[Parts], Parts]:
    """Only some samples, by a function of N; all where none would be left."""
    return lambda p: rows(p, kept if len(kept := np.arange(p.n_samples)[choose(p.n_samples)]) else slice(None))


def _batches(p: Parts, size: int) -> list[Parts]:
    return [rows(p, slice(start, start + size)) for start in range(0, p.n_samples, size)]


def _batch_means(size: int) -> Callable[[Parts], Pairs]:
    """The plain mean of the batches' importances and shifts."""

    def formula(p: Parts) -> Pairs:
        parts = [scores(batch) for batch in _batches(p, size)]
        return [(np.mean([I for I, _ in l], axis=0), np.mean([d for _, d in l], axis=0)) for l in zip(*parts)]

    return formula


def _batch_sums(size: int) -> Callable[[Parts], Pairs]:
    """The sum of the batches' importances, the mean of their shifts."""

    def formula(p: Parts) -> Pairs:
        parts = [scores(batch) for batch in _batches(p, size)]
        return [(np.sum([I for I, _ in l], axis=0), np.mean([d for _, d in l], axis=0)) for l in zip(*parts)]

    return formula


def _weighted_batch_means(size: int) -> Callable[[Parts], Pairs]:
    """The batches' importances and shifts, weighted by their sizes: right but for the differences of their means."""

    def formula(p: Parts) -> Pairs:
        batches = _batches(p, size)
        share = [batch.n_samples / p.n_samples for batch in batches]
        parts = [scores(batch) for batch in batches]
        return [
            (sum(c * I for c, (I, _) in zip(share, l)) + 0.0, sum(c * d for c, (_, d) in zip(share, l)) + 0.0)
            for l in zip(*parts)
        ]

    return formula


def _batch_averages(size: int) -> Callable[[Parts], Parts]:
    """E as the plain mean of the batches' means, so that a short last batch counts as a whole one."""

    def passes(p: Parts) -> Parts:
        starts = range(0, p.n_samples, size)
        lengths = np.concatenate([np.full(n, n) for n in (min(size, p.n_samples - start) for start in starts)])
        return _reweighted(p, p.n_samples / (len(starts) * lengths))

    return passes


def _reweighted(p: Parts, weight: Array) -> Parts:
    return replace(p, s=tuple(s * weight[:, np.newaxis] for s in p.s))


SUBSETS: tuple[tuple[str, str, Callable[[int], Any]], ...] = (
    ("first-sample-only", "Only the first sample counts.", lambda N: slice(0, 1)),
    ("last-sample-only", "Only the last sample counts.", lambda N: slice(N - 1, N)),
    ("first-sample-left-out", "The first sample is left out.", lambda N: slice(1, N)),
    ("last-sample-left-out", "The last sample is left out.", lambda N: slice(0, N - 1)),
    ("first-and-last-sample-left-out", "The first and the last sample are left out.", lambda N: slice(1, N - 1)),
    ("first-half-only", "Only a subset of the samples counts, their first half.", lambda N: slice(0, N // 2)),
    ("last-half-only", "Only a subset of the samples counts, their last half.", lambda N: slice(N // 2, N)),
    ("every-second-sample", "Only a subset of the samples counts, every second sample.", lambda N: slice(0, N, 2)),
    ("every-other-second-sample", "Only a subset of the samples counts, every second sample from the second on.",
     lambda N: slice(1, N, 2)),
    ("first-sample-twice", "The first sample counts twice.", lambda N: np.r_[0, 0:N]),
    ("last-sample-twice", "The last sample counts twice.", lambda N: np.r_[0:N, N - 1]),
    *(
        (f"first-{n}-samples-only", f"Only a subset of the samples counts, the first {n} (the first batch?).",
         lambda N, n=n: slice(0, n))
        for n in (2, 3, 4, 5, *BATCH_SIZES)
    ),
    *(
        (f"last-{n}-samples-only", f"Only a subset of the samples counts, the last {n}.",
         lambda N, n=n: slice(max(N - n, 0), N))
        for n in (2, 10, 16, 32, 64, 100)
    ),
    *(
        (f"last-batch-only-{n}", f"Only the last batch of {n} counts: what came before is overwritten, not added to.",
         lambda N, n=n: slice((N - 1) // n * n, N))
        for n in BATCH_SIZES
    ),
    *(
        (f"incomplete-batch-dropped-{n}", f"The incomplete last batch of {n} is dropped.",
         lambda N, n=n: slice(0, N // n * n or N))
        for n in BATCH_SIZES
    ),
)  # fmt: skip

SAMPLES: tuple[Mistake, ...] = (
    *(Mistake(id, sentence, "EC-1.3", _some(choose)) for id, sentence, choose in SUBSETS),
    Mistake(
        "samples-mismatched",
        "Sensitivities and activations are of different samples: one of them comes in reverse order.",
        "EC-3.5",
        lambda p: replace(p, s=tuple(s[::-1] for s in p.s)),
    ),
    Mistake(
        "samples-shifted",
        "Sensitivities and activations are of different samples: each is beside those of the next sample.",
        "EC-3.5",
        lambda p: replace(p, s=tuple(np.roll(s, 1, axis=0) for s in p.s)),
    ),
    *(
        mistake
        for size in BATCH_SIZES
        for mistake in (
            Mistake(
                f"batch-importances-averaged-{size}",
                f"Importances and shifts of batches of {size} are averaged: their means differ, and must be merged.",
                "EC-7.5",
                formula=_batch_means(size),
            ),
            Mistake(
                f"batch-importances-averaged-by-size-{size}",
                f"Importances and shifts of batches of {size} are averaged by size: "
                "their means differ, and must be merged.",
                "EC-7.5",
                formula=_weighted_batch_means(size),
            ),
            Mistake(
                f"batch-importances-added-{size}",
                f"Importances of batches of {size} are added, their shifts averaged: their moments must be merged.",
                "EC-7.5",
                formula=_batch_sums(size),
            ),
            Mistake(
                f"batches-weighted-equally-{size}",
                f"Batches of {size} count equally: an incomplete last one must count by its size.",
                "EC-7.5",
                _batch_averages(size),
            ),
        )
    ),
)
