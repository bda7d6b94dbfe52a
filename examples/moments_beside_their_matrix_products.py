"""Moments beside their bare matrix products, float32 beside float64; the aims are 1.25 and 0.6 times.

784-300-100-10, 12,000 samples.  The products are those of the same shapes: one a layer forwards, one a layer and
output backwards, two a layer for the moments, and nothing else.  What is beyond them is bound by the memory, so the
first ratio depends on how fast a processor multiplies beside how fast it reads.  With two or four threads of BLAS, and
threadpoolctl to set them, blocks of samples go side by side; in turn they take longer, as what is beside the products
stays on one thread, and so they do side by side with all of BLAS's threads at the products of each.  The exit status is
1 where an aim is missed.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import pairwise
from unittest import mock

import numpy as np
from in_turn import medians, network_and_samples

import ecprune_np as ec

BATCH = 1500


def bare_products(mlp: ec.MLP, x: np.ndarray) -> None:
    for start in range(0, len(x), BATCH):
        layers = [x[start : start + BATCH]]
        for w in mlp.weights:
            layers.append(layers[-1] @ w.T)
        for _ in range(mlp.sizes[-1]):
            g = layers[-1]
            for w in mlp.weights[:0:-1]:
                g = g @ w
        for a, s in pairwise(layers):
            s.T @ a
            s.T @ a


@contextmanager
def two_with_all_threads(n_items: int) -> Iterator[Callable[..., object]]:
    """Blocks side by side, where nothing tells BLAS to use one thread for each."""
    with ThreadPoolExecutor(2) as pool:
        yield pool.map


def moments_with_all_threads(mlp: ec.MLP, x: np.ndarray) -> ec.Moments:
    with mock.patch("ecprune_np.streaming.collect.side_by_side", two_with_all_threads):
        return ec.collect_moments(mlp, x)


def moments_in_turn(mlp: ec.MLP, x: np.ndarray) -> ec.Moments:
    with mock.patch("ecprune_np.streaming.threads._blas", lambda: None):
        return ec.collect_moments(mlp, x)


def main(repeats: int = 7, n_samples: int = 12_000) -> dict[str, float]:
    mlp, x = network_and_samples(n_samples)
    mlp32, x32 = mlp.astype(np.float32), x.astype(np.float32)
    times = medians(
        {
            "bare products": lambda: bare_products(mlp, x),
            "moments": lambda: ec.collect_moments(mlp, x),
            "moments in turn": lambda: moments_in_turn(mlp, x),
            "with all threads": lambda: moments_with_all_threads(mlp, x),
            "moments in float32": lambda: ec.collect_moments(mlp32, x32),
        },
        repeats,
    )
    for name, seconds in times.items():
        print(f"{name:<20} {seconds:7.3f} s")
    ratios = {
        "moments / bare products": times["moments"] / times["bare products"],
        "the same in turn": times["moments in turn"] / times["bare products"],
        "with all threads each": times["with all threads"] / times["bare products"],
        "float32 / float64": times["moments in float32"] / times["moments"],
    }
    for name, ratio in ratios.items():
        print(f"{name:<24} {ratio:.2f}")
    return ratios


if __name__ == "__main__":
    ratios = main()
    sys.exit(ratios["moments / bare products"] > 1.25 or ratios["float32 / float64"] > 0.6)
