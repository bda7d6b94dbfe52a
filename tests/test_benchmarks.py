"""The benchmarks run, and what they compare gives the same results; no time is asserted."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "examples"))


def test_memory_does_not_depend_on_the_number_of_samples() -> None:
    benchmark = importlib.import_module("moments_stream_in_bounded_memory")
    peaks = benchmark.main(n_samples=12_000, gigabytes=0.2)  # three batches, so that there are merged moments
    assert max(peaks) < 200, peaks
    assert peaks[3] == pytest.approx(peaks[2], rel=0.05), peaks


def test_moments_equal_those_of_pytorch() -> None:
    pytest.importorskip("torch", reason="PyTorch is in the extra `peers`")
    benchmark = importlib.import_module("moments_beside_pytorch")
    assert benchmark.main(repeats=1, n_samples=200) > 0  # raises where the numbers differ


def test_moments_equal_those_of_others_who_pay_for_every_output(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("torch", reason="PyTorch is in the extra `peers`")
    benchmark = importlib.import_module("others_pay_for_every_output")
    monkeypatch.setattr("in_turn.PAUSE", 0)
    for metric in ("output", "fisher"):
        for dtype in (np.float64, np.float32):
            benchmark.compare(20, 5, metric, dtype, repeats=1)  # raises where the numbers differ


def test_moments_by_fewer_rows_equal_those_by_a_row_an_output(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("in_turn.PAUSE", 0)
    benchmark = importlib.import_module("fewer_rows_are_five_times_faster")
    for metric in ("output", "fisher"):
        assert benchmark.compare((6, 40, 3, 40, 200), metric, np.float64, 20, repeats=1) > 0
    growing = importlib.import_module("moments_do_not_grow_with_the_outputs")
    assert np.isfinite(growing.growth(np.float64, repeats=1, n_samples=20))


def test_the_other_benchmarks_measure_something(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("in_turn.PAUSE", 0)
    products = importlib.import_module("moments_beside_their_matrix_products")
    assert min(products.main(repeats=1, n_samples=100).values()) > 0
    linear = importlib.import_module("moments_are_linear_in_samples_and_outputs")
    assert np.isfinite(linear.main(repeats=1, samples=(50, 100), n_samples=50)).all()
    iterating = importlib.import_module("prune_iteratively_takes_seconds")
    assert iterating.main(repeats=1, n_samples=50, steps=2) > 0
