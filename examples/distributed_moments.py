"""Moments on Dask: each partition of the samples is mapped to its moments, and a tree of merges reduces them.

Any map-reduce does, for moments are small, picklable and mergeable:

    parts = [pool.submit(ec.collect_moments, mlp, x) for x in partitions]  # map
    while len(parts) > 1:                                                  # reduce
        pairs = zip(parts[::2], parts[1::2])
        parts = [pool.submit(ec.Moments.merge, a, b) for a, b in pairs] + parts[len(parts) & ~1 :]
    moments = parts[0].result()

    python examples/distributed_moments.py [--scheduler tcp://HOST:8786] [--partitions 16]
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from copy import deepcopy
from typing import Any

import numpy as np
from dask.distributed import Client, Future, LocalCluster

import ecprune_np as ec
from ecprune_np.error_analysis.comparison import worst_error

Load = Callable[[int], np.ndarray]


def partition_moments(mlp: ec.MLP, load: Load, k: int, metric: Any) -> ec.Moments:
    """The moments of partition k, which is loaded where it is needed: samples never travel."""
    try:
        return ec.collect_moments(mlp, load(k), metric)
    except Exception as error:
        raise RuntimeError(f"partition {k}: {type(error).__name__}: {error}") from None


def submit_tree(client: Client, parts: Sequence[Future]) -> Future:
    """The merge of all parts, in pairs, pairs of pairs and so on."""
    while len(parts) > 1:
        pairs = zip(parts[::2], parts[1::2])
        merged = [client.submit(ec.Moments.merge, a, b, pure=False) for a, b in pairs]
        parts = [*merged, *parts[len(parts) & ~1 :]]
    return parts[0]


def distributed_moments(
    client: Client, mlp: ec.MLP, load: Load, n_partitions: int, metric: Any = "output", retries: int = 3
) -> ec.Moments:
    """The moments of all partitions; one that fails, or whose worker dies, is tried `retries` times more.

    Raises RuntimeError that names the first partition that fails for good.
    """
    network = client.submit(deepcopy, mlp, pure=False)  # a task is run again; scattered data die with their worker
    parts = [
        client.submit(partition_moments, network, load, k, metric, retries=retries, pure=False, key=f"partition-{k}")
        for k in range(n_partitions)
    ]
    total = submit_tree(client, parts)
    total_error = total.exception()
    if total_error is not None:
        failed = [k for k, part in enumerate(parts) if part.status == "error"]
        raise RuntimeError(f"moments: {len(failed)} of {n_partitions} partitions failed for good: {total_error}")
    moments: ec.Moments = total.result()
    return moments


def random_partition(k: int) -> np.ndarray:
    """2,000 samples; a real one reads its file here."""
    return np.random.default_rng(k).standard_normal((2000, 50))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scheduler", metavar="ADDRESS", help="of a running cluster; by default one is started here")
    parser.add_argument("--partitions", type=int, default=16)
    arguments = parser.parse_args()
    mlp = ec.MLP.initialize([50, 40, 10], activation="tanh", seed=0)
    cluster = arguments.scheduler or LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None)
    with Client(cluster) as client:
        moments = distributed_moments(client, mlp, random_partition, arguments.partitions)
    if not arguments.scheduler:
        cluster.close()
    alone = ec.collect_moments(mlp, map(random_partition, range(arguments.partitions)))
    error = max(worst_error(*(ec.elimination_compensation(mlp, m) for m in (moments, alone)), mlp, alone))
    print(f"{moments.n_samples:,} samples in {arguments.partitions} partitions; from one process alone: {error:.1e}")


if __name__ == "__main__":
    main()
