"""Blocks side by side: the same numbers, BLAS's threads as they were, and nothing where it would not pay."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from networks import METRICS, Drawn, batch, make, networks, samples_per_block

import ecprune_np as ec
from ecprune_np.streaming import blocks, threads
from ecprune_np.streaming.sensitivities import weighted_sensitivities
from ecprune_np.streaming.threads import side_by_side

D = make([3, 4, 2], n_samples=20)
SAMPLES_PER_BLOCK = blocks.samples_per_block(D.mlp)


class Blas:
    """What threadpoolctl says of a BLAS and does to it, without a BLAS."""

    def __init__(self, n_threads: int) -> None:
        self.n_threads = n_threads
        self.limited = 0

    def info(self) -> list[dict[str, Any]]:
        return [{"num_threads": self.n_threads}]

    @contextmanager
    def limit(self, limits: int) -> Iterator[None]:
        before, self.n_threads = self.n_threads, limits
        self.limited += 1
        try:
            yield
        finally:
            self.n_threads = before


@contextmanager
def blas(n_threads: int, size: int = 2) -> Iterator[Blas]:
    """A BLAS of so many threads, and blocks so small that a batch has several."""
    stand_in = Blas(n_threads)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(threads, "_blas", lambda: stand_in)
        samples_per_block(patch, size)
        yield stand_in


def moments_are_equal(a: ec.Moments, b: ec.Moments) -> bool:
    pairs = zip((*a.sensitivity, *a.mean, *a.variance), (*b.sensitivity, *b.mean, *b.variance), strict=True)
    return all((p == q).all() for p, q in pairs)


@given(networks(logits=True), st.sampled_from(METRICS), st.sampled_from([2, 4]))
def test_moments_are_the_same_to_the_last_bit(d: Drawn, metric: str, n_threads: int) -> None:
    with blas(1):
        in_turn = ec.collect_moments(d.mlp, batch(d, metric), metric)
    with blas(n_threads) as stand_in:
        assert moments_are_equal(ec.collect_moments(d.mlp, batch(d, metric), metric), in_turn)
    assert stand_in.limited == (len(d.x) > 2)


def test_items_are_done_at_the_same_time_and_come_in_order() -> None:
    together = threading.Barrier(2, timeout=60)

    def task(item: int) -> int:
        together.wait()  # for another one
        return item

    with blas(2) as stand_in, side_by_side(4) as apply:
        assert stand_in.n_threads == 1
        assert list(apply(task, range(4))) == [0, 1, 2, 3]


def test_an_error_comes_when_nothing_is_at_work_any_more() -> None:
    """What is tried next may use the same memory."""
    together, done = threading.Barrier(2, timeout=60), []

    def task(item: int) -> None:
        if item < 2:
            together.wait()
        if item == 0:
            raise MemoryError
        done.append(sum(range(2_000_000)) if item == 1 else 0)

    with blas(2), side_by_side(4) as apply:
        with pytest.raises(MemoryError):
            list(apply(task, range(4)))
        n_done = len(done)
        assert 1 <= n_done <= 3
    assert len(done) == n_done, "some went on after the error"


@pytest.mark.parametrize(("n_threads", "n_items"), [(1, 4), (3, 4), (8, 4), (2, 1)])
def test_blas_is_left_alone_where_items_cannot_be_dealt_out_evenly(n_threads: int, n_items: int) -> None:
    with blas(n_threads) as stand_in, side_by_side(n_items) as apply:
        assert apply is map and stand_in.n_threads == n_threads


def test_one_at_a_time_sets_the_threads_of_blas() -> None:
    with blas(2) as stand_in, side_by_side(4) as first, side_by_side(4) as second:
        assert first is not map and second is map
        assert stand_in.limited == 1


def test_blas_gets_its_threads_back_after_a_failure() -> None:
    good, bad = D.x, np.where(np.arange(60).reshape(20, 3) == 40, 1e300, D.x)
    mlp = D.mlp.replace([1e10 * D.mlp.weights[0], D.mlp.weights[1]], D.mlp.biases)
    with blas(2) as stand_in:
        for _ in range(2):
            with pytest.raises(ec.BatchError, match=r"overflow in layer 0 .*, in batch 1") as caught:
                ec.collect_moments(mlp, iter([good, bad]))
            assert caught.value.moments is not None and caught.value.moments.n_samples == 20
            assert moments_are_equal(caught.value.moments, ec.collect_moments(mlp, iter([good])))
            assert stand_in.n_threads == 2
        assert stand_in.limited == 4


def test_without_threadpoolctl_blocks_are_done_in_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "threadpoolctl", None)
    threads._blas.cache_clear()
    try:
        with side_by_side(4) as apply:
            assert apply is map
    finally:
        threads._blas.cache_clear()


def test_a_callable_metric_stays_in_its_thread() -> None:
    seen = set()

    def metric(outputs: np.ndarray) -> np.ndarray:
        seen.add(threading.get_ident())
        return outputs[np.newaxis]

    with blas(2) as stand_in:
        ec.collect_moments(D.mlp, D.x, metric)
    assert seen == {threading.get_ident()} and stand_in.limited == 0


@pytest.mark.parametrize("batch_size", [None, 2])
def test_a_single_block_has_the_threads_of_blas_for_itself(batch_size: int | None) -> None:
    with blas(2) as stand_in:
        ec.collect_moments(D.mlp, D.x[: 20 if batch_size else 2], batch_size=batch_size)
        assert stand_in.limited == 0
        ec.collect_moments(D.mlp, iter([D.x]))
        assert stand_in.limited == 1  # of a stream nobody knows


def test_a_real_blas_has_one_thread_meanwhile() -> None:
    threadpoolctl = pytest.importorskip("threadpoolctl", reason="needs the extra `threads`")

    def n_threads() -> list[int]:
        return [info["num_threads"] for info in threadpoolctl.threadpool_info() if info["user_api"] == "blas"]

    before = n_threads()
    if max(before, default=1) not in (2, 4):
        pytest.skip(f"BLAS has {before} threads here, and blocks go side by side on 2 or 4")
    with side_by_side(4) as apply:
        assert apply is not map and set(n_threads()) == {1}
    assert n_threads() == before
    n_samples = 8 * SAMPLES_PER_BLOCK // 7
    x = np.random.default_rng(0).standard_normal((n_samples, 3))
    moments = ec.collect_moments(D.mlp, x)
    with blas(1, SAMPLES_PER_BLOCK):
        assert moments_are_equal(ec.collect_moments(D.mlp, x), moments)
    assert n_threads() == before


def test_an_overflow_in_a_thread_is_named_and_does_not_warn() -> None:
    with blas(2), pytest.raises(ValueError, match="moments: overflow in layer 0"):
        ec.collect_moments(D.mlp, 1e200 * D.x)


def test_an_overflow_of_the_sum_over_blocks_is_named_and_does_not_warn() -> None:
    mlp = ec.MLP([[[1.0]], [[2.0]]], [[0.0], [0.0]], "identity")
    with blas(1, size=1), pytest.raises(ValueError, match="moments: overflow in layer 0"):
        ec.collect_moments(mlp, [[7e153], [-7e153]])  # each of them has 0.5 · 2² · 7e153², about 1e308


@pytest.mark.parametrize(("size", "n_blocks"), [(30, 1), (20, 1), (19, 2), (10, 2), (9, 4), (6, 4), (4, 6)])
def test_blocks_come_in_pairs_and_are_no_larger_than_they_may(size: int, n_blocks: int) -> None:
    sizes = []

    def spied(mlp: ec.MLP, trace: ec.Trace, c: np.ndarray, share: np.ndarray, *rest: Any) -> None:
        sizes.append(len(share))
        weighted_sensitivities(mlp, trace, c, share, *rest)

    with pytest.MonkeyPatch.context() as patch, blas(1, size):
        patch.setattr("ecprune_np.streaming.reduction.weighted_sensitivities", spied)
        ec.collect_moments(D.mlp, D.x, batch_size=20)
    assert len(sizes) == n_blocks and sum(sizes) == 20
    assert max(sizes) <= size and max(sizes) - min(sizes) <= 1, sizes
