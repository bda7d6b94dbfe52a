"""Moments of any number of samples take the same memory, at most 200 MB beyond the data.

784-300-100-10 in float64: an array of 12,000 samples, a file of them that is mapped into memory, and generators that
make their samples a batch at a time, the last as long as `--gigabytes` says.  What NumPy allocates is traced.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from in_turn import network_and_samples

import ecprune_np as ec

BATCH = 2000
BYTES_PER_SAMPLE = 784 * 8


def generated(n_samples: int) -> Iterator[np.ndarray]:
    """Samples that exist a batch at a time: a new random image each, so that nothing could be kept."""
    rng = np.random.default_rng(0)
    for start in range(0, n_samples, BATCH):
        yield rng.random((min(BATCH, n_samples - start), 784))


def peak(function: Callable[[], object]) -> float:
    """What the function allocated at most at a time, in MB."""
    tracemalloc.start()
    function()
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return most / 1e6


def main(n_samples: int = 12_000, gigabytes: float = 0.3) -> list[float]:
    mlp, x = network_and_samples(n_samples)
    n_long = round(gigabytes * 1e9 / BYTES_PER_SAMPLE)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "x.bin"
        x.tofile(file)
        mapped = np.memmap(file, np.float64, "r", shape=x.shape)
        sources = {
            "array": (x, n_samples),
            "memmap": (mapped, n_samples),
            "generator": (generated(n_samples), n_samples),
            "long generator": (generated(n_long), n_long),
        }
        peaks = []
        for name, (source, n) in sources.items():
            start = time.perf_counter()
            peaks.append(peak(lambda source=source, n=n: ec.collect_moments(mlp, source, n_samples=n)))
            size, seconds = n * BYTES_PER_SAMPLE / 1e9, time.perf_counter() - start
            print(f"{name:<15} {n:9,} samples, {size:6.2f} GB in {seconds:5.1f} s: {peaks[-1]:6.1f} MB at most")
        del sources, source, mapped
    return peaks


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--gigabytes", type=float, default=0.3, help="size of the longest stream (default: %(default)s)"
    )
    peaks = main(gigabytes=parser.parse_args().gigabytes)
    sys.exit(max(peaks) > 200 or abs(peaks[3] / peaks[2] - 1) > 0.05)
