"""From as many outputs as the last hidden layer has neurons on, time grows by the last layer's own share alone.

784-128-32-128-K with the metric "output", in float64 and float32.  The last layer's own share is what forward pass and
moments of that layer alone take, 128-K, with its inputs given, in blocks of as many samples.  Beyond K = 128, from
where on a factor stands for the last weights and its bound is checked, the network's time is to grow by no more than
that, but for the factor itself, once for all samples.  The exit status is 1 where it grows by more than 1.1 times as
much.
"""

from __future__ import annotations

import sys
from functools import partial
from unittest import mock

import numpy as np
from in_turn import fastest

import ecprune_np as ec
from ecprune_np.streaming.blocks import samples_per_block
from ecprune_np.streaming.reduction import Reduction

BODY = (784, 128, 32, 128)
OUTPUTS = (128, 256, 512, 1024, 2048)


def last_layer(mlp: ec.MLP, a: np.ndarray) -> ec.Moments:
    """The moments of the last layer alone."""
    last, size = ec.MLP(mlp.weights[-1:], mlp.biases[-1:]), samples_per_block(mlp, "output")
    with (
        mock.patch("ecprune_np.streaming.collect.reduction_of", lambda mlp, metric: Reduction.of(mlp, metric, ())),
        mock.patch("ecprune_np.streaming.collect.samples_per_block", lambda mlp, metric: size),
        mock.patch("ecprune_np.streaming.blocks.samples_per_block", lambda mlp, metric: size),
    ):
        return ec.collect_moments(last, a)


def growth(dtype: type, repeats: int, n_samples: int) -> float:
    """By how many times the last layer's own share the time grows, from where there is a factor to the most outputs."""
    rng = np.random.default_rng(0)
    x, a = rng.standard_normal((n_samples, BODY[0])).astype(dtype), rng.random((n_samples, BODY[-1])).astype(dtype)
    functions = {}
    for K in OUTPUTS:
        mlp = ec.MLP.initialize([*BODY, K], "relu", seed=0, dtype=dtype)
        functions |= {f"{K}": partial(ec.collect_moments, mlp, x), f"{K} last": partial(last_layer, mlp, a)}
    times = fastest(functions, repeats)
    name = np.dtype(dtype)
    for K in OUTPUTS:
        (wall, cpu), (last_wall, last_cpu) = times[f"{K}"], times[f"{K} last"]
        print(f"{name} {K:5} outputs {wall:7.3f} s ({cpu:.3f}), the last layer {last_wall:7.3f} s ({last_cpu:.3f})")
    for fewest in OUTPUTS[:2]:
        grown, last_grown = (np.subtract(times[f"{OUTPUTS[-1]}{of}"], times[f"{fewest}{of}"]) for of in ("", " last"))
        wall, cpu = grown / last_grown
        print(f"{name} from {fewest} outputs on it grows {wall:.2f} ({cpu:.2f}) times as much as the last layer")
    return float(wall)


def main(repeats: int = 5, n_samples: int = 12_000) -> list[float]:
    return [growth(dtype, repeats, n_samples) for dtype in (np.float64, np.float32)]


if __name__ == "__main__":
    sys.exit(max(main()) > 1.1)
