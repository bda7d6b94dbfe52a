"""Times of functions that are run in turn, so that whatever else the machine does meets them all alike."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from unittest import mock

import numpy as np

import ecprune_np as ec

PAUSE = 0.2  # seconds before each run: threads that one leaves spinning are not to take the next one's processor


def medians(functions: Mapping[str, Callable[[], object]], repeats: int = 7) -> dict[str, float]:
    """The median wall time of each function in seconds, after one run that is not timed."""
    runs = _runs(functions, repeats + 1)
    return {name: float(np.median([wall for wall, _ in times[1:]])) for name, times in runs.items()}


def fastest(functions: Mapping[str, Callable[[], object]], repeats: int = 5) -> dict[str, tuple[float, float]]:
    """The least wall time of each function and the least time of the processors, in seconds.

    Beside others at work the second says more; alone, with more than one thread, the first.
    """
    runs = _runs(functions, repeats)
    return {name: (min(wall for wall, _ in t), min(cpu for _, cpu in t)) for name, t in runs.items()}


def _runs(functions: Mapping[str, Callable[[], object]], repeats: int) -> dict[str, list[tuple[float, float]]]:
    """Wall time and the processors' time of every run."""
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in functions}
    for _ in range(repeats):
        for name, function in functions.items():
            time.sleep(PAUSE)
            start, processors = time.perf_counter(), time.process_time()
            function()
            times[name].append((time.perf_counter() - start, time.process_time() - processors))
    return times


@contextmanager
def a_row_an_output() -> Iterator[None]:
    """Moments as they are where no rows are reduced."""
    with (
        mock.patch("ecprune_np.streaming.collect.reduction_of", lambda mlp, metric: None),
        mock.patch("ecprune_np.streaming.blocks.worthwhile_steps", lambda mlp, metric: None),
    ):
        yield


def network_and_samples(n_samples: int, n_outputs: int = 10) -> tuple[ec.MLP, np.ndarray]:
    """784-300-100-K with relu in float64, and samples that are, as images of digits are, four fifths zeros."""
    rng = np.random.default_rng(0)
    mlp = ec.MLP.initialize([784, 300, 100, n_outputs], activation="relu", seed=0)
    return mlp, rng.random((n_samples, 784)) * (rng.random((n_samples, 784)) < 0.2)
