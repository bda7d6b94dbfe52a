"""Moments on Dask: each partition of the samples is mapped to its moments, and a tree of merges reduces them.

Any map-reduce does, for moments are small, picklable and mergeable:

    parts = [pool.submit(ec.collect_moments, mlp, x) for x in partitions]  # map
    while len(parts) > 1:                                                  # reduce
        pairs = zip(parts[::2], parts[1::2])
        parts = [pool.submit(ec.Moments.merge, a, b) for a, b in pairs] + parts[len(parts) & ~1 :]
    moments = parts[0].result()

So are the sums from which the surviving weights are fitted (the compensation "row"), one layer after the other.

    python examples/distributed_moments.py [--scheduler tcp://HOST:8786] [--partitions 16]
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from copy import deepcopy
from functools import partial
from typing import Any
from uuid import uuid4

import numpy as np
from dask.distributed import Client, Future, LocalCluster

import ecprune_np as ec
from ecprune_np.error_analysis.comparison import worst_error
from ecprune_np.pruning.row import refit_rows_over

Load = Callable[[int], np.ndarray]
Collect = Callable[[Any], Any]  # from samples to what has a `merge`


def of_partition(collect: Collect, load: Load, k: int) -> Any:
    """What is collected of partition k, which is loaded where it is needed: samples never travel."""
    try:
        return collect(load(k))
    except Exception as error:
        raise RuntimeError(f"partition {k}: {type(error).__name__}: {error}") from None


def merged(a: Any, b: Any) -> Any:
    """Both, by a function that can be sent."""
    return a.merge(b)


def submit_tree(client: Client, parts: Sequence[Future]) -> Future:
    """The merge of all parts, in pairs, pairs of pairs and so on."""
    while len(parts) > 1:
        pairs = zip(parts[::2], parts[1::2])
        merges = [client.submit(merged, a, b, pure=False) for a, b in pairs]
        parts = [*merges, *parts[len(parts) & ~1 :]]
    return parts[0]


def distributed(client: Client, collect: Collect, load: Load, n_partitions: int, retries: int = 3) -> Any:
    """What is collected of all partitions; one that fails, or whose worker dies, is tried `retries` times more.

    Raises RuntimeError that names the first partition that fails for good.
    """
    sent = client.submit(deepcopy, collect, pure=False)  # a task is run again; scattered data die with their worker
    run = uuid4().hex
    parts = [
        client.submit(of_partition, sent, load, k, retries=retries, pure=False, key=f"partition-{k}-{run}")
        for k in range(n_partitions)
    ]
    total = submit_tree(client, parts)
    total_error = total.exception()
    if total_error is not None:
        failed = [k for k, part in enumerate(parts) if part.status == "error"]
        raise RuntimeError(f"{len(failed)} of {n_partitions} partitions failed for good: {total_error}")
    return total.result()


def distributed_moments(client: Client, mlp: ec.MLP, load: Load, n_partitions: int, **options: Any) -> ec.Moments:
    """The moments of all partitions."""
    moments: ec.Moments = distributed(client, partial(ec.collect_moments, mlp), load, n_partitions, **options)
    return moments


def distributed_rows(
    client: Client, mlp: ec.MLP, scores: ec.Scores, sparsity: float, load: Load, n_partitions: int
) -> ec.Pruned:
    """`ec.prune(..., compensation="row")` on all partitions: a map-reduce a layer."""
    masks = ec.prune(mlp, scores, sparsity, compensation=None).masks
    return ec.Pruned(refit_rows_over(lambda f: distributed(client, f, load, n_partitions), mlp, masks, mlp), masks)


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
        scores = ec.elimination_compensation(mlp, moments)
        pruned = distributed_rows(client, mlp, scores, 0.8, random_partition, arguments.partitions)
    if not arguments.scheduler:
        cluster.close()
    x = [random_partition(k) for k in range(arguments.partitions)]
    alone = ec.collect_moments(mlp, x)
    error = max(worst_error(scores, ec.elimination_compensation(mlp, alone), mlp, alone))
    rows = ec.prune(mlp, scores, 0.8, compensation="row", x=x).mlp
    difference = max(np.abs(a - b).max() for a, b in zip(pruned.mlp.weights, rows.weights))
    print(f"{moments.n_samples:,} samples in {arguments.partitions} partitions; from one process alone: {error:.1e}")
    print(f"rows of the network pruned at 0.8; from one process alone: {difference:.1e}")


if __name__ == "__main__":
    main()
