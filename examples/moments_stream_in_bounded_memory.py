"""Moments of any number of samples take the same memory, at most 200 MB beyond the data.

784-300-100-10 in float64: an array of 12,000 samples, then generators of 12,000 and 48,000 that exist a batch at a
time, then a file that is mapped into memory.  What NumPy allocates is traced.
"""

from __future__ import annotations

import sys
import tempfile
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from in_turn import network_and_samples

import ecprune_np as ec

BATCH = 1000


def generated(n_samples: int) -> Iterator[np.ndarray]:
    for k in range(n_samples // BATCH):
        yield np.random.default_rng(k).random((BATCH, 784))


def peak(function: Callable[[], object]) -> float:
    """What the function allocated at most at a time, in MB."""
    tracemalloc.start()
    function()
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return most / 1e6


def main(n_samples: int = 12_000) -> list[float]:
    mlp, x = network_and_samples(n_samples)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "x.bin"
        x.tofile(file)
        mapped = np.memmap(file, np.float64, "r", shape=x.shape)
        sources = {
            f"array of {n_samples:,}": x,
            f"generator of {n_samples:,}": generated(n_samples),
            f"generator of {4 * n_samples:,}": generated(4 * n_samples),
            f"memmap of {n_samples:,}": mapped,
        }
        peaks = []
        for name, source in sources.items():
            peaks.append(peak(lambda source=source: ec.collect_moments(mlp, source)))
            print(f"{name:<22} {peaks[-1]:6.1f} MB")
        del sources, source, mapped
    return peaks


if __name__ == "__main__":
    peaks = main()
    sys.exit(max(peaks) > 200 or abs(peaks[2] / peaks[1] - 1) > 0.05)
