"""Moments on a cluster: what one process computes, also where a worker is killed on the way."""

from __future__ import annotations

import importlib
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from networks import make

import ecprune_np as ec
from ecprune_np.error_analysis.comparison import worst_error

pytest.importorskip("dask.distributed", reason="Dask is in the extra `peers`")
sys.path.insert(0, str(Path(__file__).parents[1] / "examples"))
example: Any = importlib.import_module("distributed_moments")

D = make([6, 8, 3], "tanh")
PARTITIONS = 7
pytestmark = [  # of Dask and its event loop, when workers are started, killed and closed
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning:distributed"),
]


def load(k: int) -> np.ndarray:
    return np.random.default_rng(k).standard_normal((100 + k, 6)) + 10


def difference_from_one_process(moments: ec.Moments) -> float:
    alone = ec.collect_moments(D.mlp, np.concatenate([load(k) for k in range(PARTITIONS)]))
    assert moments.n_samples == alone.n_samples
    scores, expected = (ec.elimination_compensation(D.mlp, m) for m in (moments, alone))
    return max(worst_error(scores, expected, D.mlp, alone))


@pytest.fixture
def client() -> Iterator[Any]:
    from dask.distributed import Client, LocalCluster

    with (
        LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None) as cluster,
        Client(cluster) as client,
    ):
        yield client


def test_the_cluster_agrees_with_one_process(client: Any) -> None:
    """EC-7.5: a tree of merges over partitions of different sizes, their number odd."""
    error = difference_from_one_process(example.distributed_moments(client, D.mlp, load, PARTITIONS))
    assert error < 1e-12, error


def test_rows_on_the_cluster_agree_with_one_process(client: Any) -> None:
    """EC-5.11: each partition has a mean of its own, and the sums of all of them are one."""
    x = [load(k) for k in range(PARTITIONS)]
    scores = ec.elimination_compensation(D.mlp, x)
    pruned = example.distributed_rows(client, D.mlp, scores, 0.5, load, PARTITIONS)
    alone = ec.prune(D.mlp, scores, 0.5, compensation="row", x=x)
    for got, expected in zip((*pruned.mlp.weights, *pruned.mlp.biases), (*alone.mlp.weights, *alone.mlp.biases)):
        np.testing.assert_allclose(got, expected, rtol=1e-9, atol=1e-9 * np.abs(expected).max())


def test_a_worker_that_is_killed_half_way_costs_nothing(client: Any, tmp_path: Path) -> None:
    marker = tmp_path / "killed"

    def load_and_die_once(k: int) -> np.ndarray:
        if k == 3 and not marker.exists():
            marker.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return np.random.default_rng(k).standard_normal((100 + k, 6)) + 10

    error = difference_from_one_process(example.distributed_moments(client, D.mlp, load_and_die_once, PARTITIONS))
    assert marker.exists()
    assert error < 1e-12, error


def test_a_partition_that_fails_for_good_is_named(client: Any) -> None:
    def damaged(k: int) -> np.ndarray:
        x = np.random.default_rng(k).standard_normal((100, 6))
        x[4, 2] = np.nan if k == 5 else 0
        return x

    message = r"^1 of 7 partitions failed for good: partition 5: BatchError: x: not finite at \[4, 2\]"
    with pytest.raises(RuntimeError, match=message):
        example.distributed_moments(client, D.mlp, damaged, PARTITIONS, retries=1)


def test_a_partition_that_kills_every_worker_is_named(client: Any) -> None:
    def poison(k: int) -> np.ndarray:
        if k == 2:
            os.kill(os.getpid(), signal.SIGKILL)
        return np.random.default_rng(k).standard_normal((100, 6))

    # a partition that waited on the same worker each time may be named in its place
    with pytest.raises(RuntimeError, match=r"of 7 partitions failed for good: .*partition-\d"):
        example.distributed_moments(client, D.mlp, poison, PARTITIONS, retries=1)
