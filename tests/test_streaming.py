"""Moments of streams: any batches are the whole, what fails says where, and what was done is kept."""

from __future__ import annotations

import pickle
import tracemalloc
import warnings
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from networks import METRICS, Drawn, batch, make, networks

import ecprune_np as ec
from ecprune_np import Batch, BatchError
from ecprune_np.error_analysis.comparison import worst_error
from ecprune_np.losses import targets
from ecprune_np.metrics import cotangents
from ecprune_np.streaming.batches import Checked, joined
from ecprune_np.streaming.scratch import Scratch
from ecprune_np.streaming.sensitivities import weighted_sensitivities

D = make([3, 4, 2], n_samples=20)


def distance(a: ec.Moments, b: ec.Moments, mlp: ec.MLP) -> float:
    """The worst relative error between the scores that two moments give."""
    return max(worst_error(ec.elimination_compensation(mlp, a), ec.elimination_compensation(mlp, b), mlp, b))


def batches_of(d: Drawn, size: int, metric: str = "cross_entropy") -> Iterator[Batch]:
    y = d.targets(metric)
    for start in range(0, len(d.x), size):
        part = slice(start, start + size)
        yield Batch(d.x[part], d.sample_weight[part], None if y is None else y[part])


def broken_after(n: int) -> Iterator[np.ndarray]:
    for start in range(n):
        yield D.x[5 * start : 5 * start + 5]
    raise OSError("disk gone")


@given(networks(logits=True), st.sampled_from(METRICS), st.integers(1, 25), st.integers(1, 25))
def test_a_stream_of_batches_is_the_whole(d: Drawn, metric: str, size: int, batch_size: int) -> None:
    """EC-7.5: for any batches, with weights and targets, cut smaller or not."""
    whole = ec.collect_moments(d.mlp, batch(d, metric), metric, batch_size=1000)
    batches = batches_of(d, size, metric)
    streamed = ec.collect_moments(d.mlp, batches, metric, batch_size=batch_size, n_samples=len(d.x))
    assert distance(streamed, whole, d.mlp) < 1e-12
    assert streamed.n_samples == len(d.x)
    assert streamed.total_weight == pytest.approx(d.sample_weight.sum())


@given(networks(logits=True), st.sampled_from(METRICS), st.integers(1, 10))
def test_sensitivities_are_squares_of_the_pullback(d: Drawn, metric: str, rows: int) -> None:
    """EC-3.2: the fast sum over cotangents, so many samples at a time, against the readable pullback."""
    trace = ec.forward(d.mlp, d.x)
    y = d.targets(metric)
    if y is not None:
        y = targets(y, metric, len(d.x), d.mlp.sizes[-1], d.mlp.dtype)
    c = cotangents(metric, trace.outputs, y)
    with pytest.MonkeyPatch.context() as patch:
        row_bytes = len(c) * max(d.mlp.sizes[1:]) * d.mlp.dtype.itemsize
        patch.setattr("ecprune_np.streaming.sensitivities.SLAB_BYTES", rows * row_bytes)
        sensitivities = [np.empty_like(z) for z in trace.preactivations]
        weighted_sensitivities(d.mlp, trace, c, d.sample_weight, Scratch(0, d.mlp.dtype), sensitivities)
    for s, g in zip(sensitivities, ec.pullback(d.mlp, trace, c)):
        expected = d.sample_weight[:, np.newaxis] * (g**2).sum(axis=0)
        np.testing.assert_allclose(s, expected, rtol=1e-12, atol=1e-300)


def test_a_plain_array_is_a_batch_and_a_reader_may_reuse_its_buffer() -> None:
    def reader() -> Iterator[np.ndarray]:
        buffer = np.empty((5, 3))
        for start in range(0, 20, 5):
            buffer[:] = D.x[start : start + 5] + 100
            yield buffer

    assert distance(ec.collect_moments(D.mlp, reader()), ec.collect_moments(D.mlp, D.x + 100), D.mlp) < 1e-12


def test_what_is_done_is_let_go_before_the_next_batch_comes() -> None:
    batch = np.random.default_rng(0).random((200, 1000))
    in_use = []

    def reader() -> Iterator[np.ndarray]:
        for _ in range(6):
            in_use.append(tracemalloc.get_traced_memory()[0])
            yield batch + 1

    tracemalloc.start()
    try:
        ec.collect_moments(ec.MLP.initialize([1000, 4, 2]), reader(), batch_size=800)  # joined in pairs
    finally:
        tracemalloc.stop()
    for number in (2, 4):
        kept = (in_use[number] - in_use[0]) / batch.nbytes
        assert kept < 1.5, f"{kept} batches are kept when batch {number} is read"  # the reader's last one is


def test_the_length_of_a_stream_is_that_of_its_batches() -> None:
    class Loader:
        """As the loaders of other frameworks are: `len` counts batches."""

        def __len__(self) -> int:
            return 4

        def __iter__(self) -> Iterator[np.ndarray]:
            return (D.x[k : k + 5] for k in range(0, 20, 5))

    assert distance(ec.collect_moments(D.mlp, Loader()), ec.collect_moments(D.mlp, D.x), D.mlp) < 1e-12


@pytest.mark.parametrize(("length", "n_joined"), [(1, 4), (2, 4), (3, 4), (5, 4), (10, 2), (20, 2)])
def test_small_batches_are_joined(length: int, n_joined: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """To at least half a batch, in which a merge costs little."""
    seen: list[int] = []

    def spied(mlp: ec.MLP, trace: ec.Trace, c: np.ndarray, share: np.ndarray, *rest: Any) -> None:
        seen.append(len(share))
        weighted_sensitivities(mlp, trace, c, share, *rest)

    monkeypatch.setattr("ecprune_np.streaming.reduction.weighted_sensitivities", spied)
    moments = ec.collect_moments(D.mlp, batches_of(D, length), batch_size=10)
    whole = ec.collect_moments(D.mlp, batch(D), batch_size=100)
    assert distance(moments, whole, D.mlp) < 1e-12
    assert len(seen) - 1 == n_joined, seen


@pytest.mark.parametrize(("length", "size"), [(20, 100), (8, 10)])
def test_the_last_batch_of_so_many_samples_is_not_copied(length: int, size: int) -> None:
    batches = [Checked(x, np.ones(len(x)), None) for x in (D.x[k : k + length] for k in range(0, 20, length))]
    for n_expected, shared in ((20, True), (None, False)):
        *_, (last, _) = joined(iter(batches), size, n_expected)
        assert len(last) < size / 2 and np.shares_memory(last.x, D.x) == shared


def test_batches_that_fail_together_are_done_one_by_one() -> None:
    def small_only(outputs: np.ndarray) -> np.ndarray:
        if len(outputs) > 5:
            raise MemoryError
        return np.repeat(np.eye(2)[:, np.newaxis], len(outputs), axis=1)

    moments = ec.collect_moments(D.mlp, (D.x[k : k + 5] for k in range(0, 20, 5)), small_only)
    assert distance(moments, ec.collect_moments(D.mlp, D.x), D.mlp) < 1e-12
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        with pytest.raises(BatchError, match=r"finite sum of weights.*, in batch 1") as caught:
            ec.collect_moments(D.mlp, iter([Batch(D.x[:1], [1e308]), Batch(D.x[1:2], [1e308])]))
    assert said == [], [str(warning.message) for warning in said]
    assert caught.value.moments is not None and caught.value.moments.total_weight == 1e308


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.uint8])
def test_a_memmap_is_read_batch_by_batch(tmp_path: Path, dtype: type, monkeypatch: pytest.MonkeyPatch) -> None:
    data = (100 * np.abs(D.x)).astype(dtype)
    data.tofile(tmp_path / "x.bin")
    x = np.memmap(tmp_path / "x.bin", dtype, "r", shape=data.shape)
    read: list[int] = []
    original = np.memmap.__getitem__

    def getitem(array: np.memmap, index: Any) -> Any:
        rows = original(array, index)
        read.append(len(rows))
        return rows

    monkeypatch.setattr(np.memmap, "__getitem__", getitem)
    streamed = ec.collect_moments(D.mlp, x, batch_size=6)
    assert max(read) == 6
    assert distance(streamed, ec.collect_moments(D.mlp, data.astype(np.float64)), D.mlp) < 1e-12


def test_scores_come_from_streams_too() -> None:
    scores = ec.elimination_compensation(D.mlp, batches_of(D, 7), "fisher")
    moments = ec.collect_moments(D.mlp, batch(D), "fisher")
    assert max(worst_error(scores, ec.elimination_compensation(D.mlp, moments), D.mlp, moments)) < 1e-12


def test_a_batch_of_zero_weights_counts_nothing() -> None:
    batches = [Batch(D.x[:5], np.zeros(5)), Batch(D.x[5:], np.ones(15))]
    moments = ec.collect_moments(D.mlp, iter(batches))
    assert distance(moments, ec.collect_moments(D.mlp, D.x[5:]), D.mlp) < 1e-13
    assert moments.n_samples == 20


NAN = np.where(np.arange(15).reshape(5, 3) == 7, np.nan, D.x[:5])
GOOD = [D.x[:5], D.x[5:10]]


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (D.x[:5, :2], r"x: expected shape \(N, 3\), got \(5, 2\), in batch 2"),
        (D.x[0], r"x: expected shape \(N, 3\), got \(3,\), in batch 2"),
        (D.x[:0], r"x: expected at least one sample, got shape \(0, 3\), in batch 2"),
        (NAN, r"x: not finite at \[2, 1\] \(nan\), in batch 2"),
        (D.x[:5].astype(complex), "x: expected float32, float64, longdouble or integers, got complex128, in batch 2"),
        (Batch(D.x[:5], np.ones(4)), r"sample_weight: expected shape \(5,\), got \(4,\), in batch 2"),
        (Batch(D.x[:5], np.zeros(4)), r"sample_weight: expected shape \(5,\), got \(4,\), in batch 2"),
        (Batch(D.x[:5], -np.ones(5)), "sample_weight: expected no negative weight, got -1.0 at .0., in batch 2"),
        (Batch(D.x[:5], y=D.x[:5]), r"y: expected shape \(5, 2\), got \(5, 3\), in batch 2"),
        (D.x[:5], r'y: metric "mse" needs targets, got None; hand over ec.Batch\(x, y=y\), in batch 2'),
        (Batch(1e308 * np.sign(D.x[:5])), "overflow in layer 0 .*, in batch 2"),
    ],
)
def test_a_bad_batch_is_named_and_the_others_are_kept(tmp_path: Path, bad: Any, message: str) -> None:
    large = D.mlp.replace([1e10 * D.mlp.weights[0], D.mlp.weights[1]], D.mlp.biases)
    mlp = large if "overflow" in message else D.mlp
    metric = "mse" if message.startswith("y:") else "output"
    first, second, last = batches = [Batch(x, y=x[:, :2]) for x in (*GOOD, D.x[10:])]
    with pytest.raises(BatchError, match=message) as caught:
        ec.collect_moments(mlp, iter([first, second, bad, last]), metric)
    assert caught.value.batch == 2 and caught.value.moments is not None
    caught.value.moments.save(tmp_path / "done.npz")
    done = ec.Moments.load(tmp_path / "done.npz")
    assert done.n_samples == 10
    resumed = done.merge(ec.collect_moments(mlp, last, metric))
    assert distance(resumed, ec.collect_moments(mlp, batches, metric), mlp) < 1e-12


def test_an_iterator_that_fails_says_where_and_can_be_resumed() -> None:
    with pytest.raises(BatchError, match="OSError: disk gone, in batch 3") as caught:
        ec.collect_moments(D.mlp, broken_after(3))
    again = pickle.loads(pickle.dumps(caught.value))  # as it comes back from another process
    assert (str(again), again.batch) == (str(caught.value), 3)
    rest = islice((D.x[k : k + 5] for k in range(0, 20, 5)), again.batch, None)
    assert distance(again.moments.merge(ec.collect_moments(D.mlp, rest)), ec.collect_moments(D.mlp, D.x), D.mlp) < 1e-12


def test_an_iterator_that_ends_early_is_named() -> None:
    for n_samples, words in ((None, "samples"), (20, "20")):
        with pytest.raises(ValueError, match=f"x: expected {words}, got 0 in all before the iterator ended$"):
            ec.collect_moments(D.mlp, iter([]), n_samples=n_samples)
    with pytest.raises(
        BatchError, match="x: expected 20, got 10 in all before the iterator ended, in batch 2"
    ) as caught:
        ec.collect_moments(D.mlp, iter(GOOD), n_samples=20)
    assert caught.value.moments.n_samples == 10
    with pytest.raises(BatchError, match="OSError: disk gone, in batch 0") as caught:
        ec.collect_moments(D.mlp, broken_after(0))
    assert caught.value.moments is None


def test_what_a_stream_lacks_is_named() -> None:
    for argument in ("sample_weight", "y"):  # they belong to a batch
        with pytest.raises(TypeError, match=argument):
            ec.collect_moments(D.mlp, iter(GOOD), **{argument: D.labels})
    for metric in ("mse", "cross_entropy"):
        with pytest.raises(BatchError, match=f'y: metric "{metric}" needs targets, got None; .*, in batch 0'):
            ec.collect_moments(D.mlp, iter(GOOD), metric)
    with pytest.raises(ValueError, match=r"sample_weight: expected a positive, finite sum, got 0\.0"):
        ec.collect_moments(D.mlp, iter([Batch(D.x, np.zeros(20))]))
    with pytest.raises(ValueError, match="other: expected a finite sum of weights"):
        ec.collect_moments(D.mlp, iter([Batch(D.x[:1], [1e308]), Batch(D.x[:1], [1e308])]))


def test_a_memmap_of_the_wrong_dtype_or_with_damage_is_named(tmp_path: Path) -> None:
    D.x.tofile(tmp_path / "x.bin")
    with pytest.raises(TypeError, match="x: expected float32, float64, longdouble or integers, got complex64"):
        ec.collect_moments(D.mlp, np.memmap(tmp_path / "x.bin", np.complex64, "r", shape=(20, 3)))
    with pytest.raises(ValueError, match=r"x: expected shape \(N, 3\), got \(15, 4\)"):
        ec.collect_moments(D.mlp, np.memmap(tmp_path / "x.bin", np.float64, "r", shape=(15, 4)))
    damaged = np.memmap(tmp_path / "x.bin", np.float64, "r+", shape=(20, 3))
    damaged[13, 2] = np.inf
    with pytest.raises(BatchError, match=r"x: not finite at \[13, 2\] \(inf\), in batch 2") as caught:
        ec.collect_moments(D.mlp, damaged, batch_size=6)
    assert caught.value.moments.n_samples == 12
    damaged[13, 2] = 1e300
    with pytest.raises(BatchError, match=r"x: not finite at \[13, 2\] \(1e\+300 as float32\), in batch 2"):
        ec.collect_moments(D.mlp.astype(np.float32), damaged, batch_size=6)


@given(d=networks())
def test_moments_survive_a_file(tmp_path_factory: pytest.TempPathFactory, d: Drawn) -> None:
    file = tmp_path_factory.getbasetemp() / "moments.npz"
    moments = ec.collect_moments(d.mlp, batch(d))
    moments.save(file)
    again = ec.Moments.load(file)
    assert (again.n_samples, again.total_weight) == (moments.n_samples, moments.total_weight)
    for a, b in zip(again.layers, moments.layers):
        for name in ("sensitivity", "reference", "offset", "variance"):
            assert (getattr(a, name) == getattr(b, name)).all()


def test_a_file_that_holds_no_moments_is_named(tmp_path: Path) -> None:
    file = tmp_path / "m.npz"
    D.mlp.save(file)
    with pytest.raises(ValueError, match=r"m\.npz: expected a file of Moments, got MLP: read it with ec\.load"):
        ec.Moments.load(file)
    ec.collect_moments(D.mlp, D.x).save(file)
    arrays = dict(np.load(file))
    changes: list[tuple[dict[str, Any], str]] = [
        ({"variance_1": arrays["variance_0"]}, "layer 1 has other shapes or a negative variance"),
        ({"variance_0": -arrays["variance_0"]}, "layer 0 has other shapes or a negative variance"),
        ({"variance_0": np.ones(3)}, "layer 0 has other shapes"),
        ({"offset_0": np.full((4, 3), np.nan)}, r"m\.npz: offset_0: not finite at \[0, 0\]"),
    ]
    for change, message in changes:
        np.savez(file, **(arrays | change))
        with pytest.raises(ValueError, match=message):
            ec.Moments.load(file)
    file.write_bytes(pickle.dumps(arrays))
    with pytest.raises(ValueError, match=r"expected an \.npz file of plain arrays"):
        ec.Moments.load(file)
