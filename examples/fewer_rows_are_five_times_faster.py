"""Moments by fewer rows than outputs, beside a row an output: five times faster where a network narrows.

784-128-32-128-784 is to be five times as fast, 512-512-512-1000 1.6 times with every metric, and 784-300-100-10, whose
rows are left as they are, no slower.  Both sides in turn, in float64 and float32.  Beside the ratio of the times stands
that of the operations counted, in brackets the ratio of the processors' times; and for the first network the time that
it takes beside the same with 32 outputs, whose rows are no more than it is narrow.  The exit status is 1 where an aim
is missed.
"""

from __future__ import annotations

import sys
from functools import partial

import numpy as np
from in_turn import a_row_an_output, fastest

import ecprune_np as ec
from ecprune_np.streaming.reduction import operations

CASES = [  # widths, metrics, samples, how many times as fast
    ((784, 128, 32, 128, 784), ("output",), 400, 5.0),
    ((512, 512, 512, 1000), ("output", "softmax", "fisher"), 60, 1.6),
    ((784, 300, 100, 10), ("output",), 12_000, 0.98),
]
NARROW = (784, 128, 32, 128, 32)


def moments_by_a_row_an_output(mlp: ec.MLP, x: np.ndarray, metric: str) -> ec.Moments:
    with a_row_an_output():
        return ec.collect_moments(mlp, x, metric)


def compare(sizes: tuple[int, ...], metric: str, dtype: type, n_samples: int, repeats: int) -> float:
    """How many times as fast it is, printed with what else is told by the docstring."""
    mlp = ec.MLP.initialize(sizes, "relu", seed=0, dtype=dtype)
    x = np.random.default_rng(0).standard_normal((n_samples, sizes[0])).astype(dtype)
    sides = {
        "fewer": partial(ec.collect_moments, mlp, x, metric),
        "all": partial(moments_by_a_row_an_output, mlp, x, metric),
    }
    a, b = (side() for side in sides.values())
    for first, second in zip((*a.sensitivity, *a.second_moment), (*b.sensitivity, *b.second_moment)):
        scale = 1e4 * np.finfo(dtype).eps * second.max()  # of sums, among others of activations near a kink
        assert np.abs(first - second).max() <= scale
    times = fastest(sides, repeats)
    wall, cpu = (times["all"][k] / times["fewer"][k] for k in (0, 1))
    plain, reduced, steps = operations(mlp, metric)
    unchanged = (a.sensitivity[0] == b.sensitivity[0]).all()
    counted = "the same" if unchanged else f"{plain / reduced:.1f} in operations, {', '.join(steps)}"
    print(f"{'-'.join(map(str, sizes))} {metric} {np.dtype(dtype)}: {wall:.2f} times as fast ({cpu:.2f}), {counted}")
    return wall


def beside_few_outputs(dtype: type, repeats: int, n_samples: int = 4000) -> None:
    """The first network beside the same with as many outputs as it is narrow."""
    networks = [ec.MLP.initialize(sizes, "relu", seed=0, dtype=dtype) for sizes in (CASES[0][0], NARROW)]
    x = np.random.default_rng(0).standard_normal((n_samples, 784)).astype(dtype)
    times = fastest({str(m.sizes[-1]): partial(ec.collect_moments, m, x) for m in networks}, repeats)
    wide, narrow = times.values()
    counted = operations(networks[0], "output")[1] / operations(networks[1], "output")[0]
    print(f"784 outputs beside 32, {np.dtype(dtype)}: {wide[0] / narrow[0]:.2f} times the time", end=" ")
    print(f"({wide[1] / narrow[1]:.2f}), {counted:.2f} times the operations")


def factor_cost(dtype: type, repeats: int) -> None:
    """How many times as long an operation of one sample's QR takes as one of a large product."""
    rng = np.random.default_rng(0)
    for n_rows, n in ((128, 32), (512, 128)):
        rows, w = rng.standard_normal((64, n_rows, n)).astype(dtype), rng.standard_normal((n, n)).astype(dtype)
        sides = {"qr": lambda rows=rows: np.linalg.qr(rows, mode="r"), "product": lambda rows=rows, w=w: rows @ w}
        (_, qr), (_, product) = fastest(sides, repeats).values()
        print(f"QR of {n_rows} x {n}, {np.dtype(dtype)}: {qr / product:.1f} times a product of as many operations")


def main(repeats: int = 5) -> bool:
    """Whether every aim is met."""
    met = True
    for dtype in (np.float64, np.float32):
        for sizes, metrics, n_samples, aim in CASES:
            for metric in metrics:
                met &= compare(sizes, metric, dtype, n_samples, repeats) >= aim
        beside_few_outputs(dtype, repeats)
        factor_cost(dtype, repeats)
    return met


if __name__ == "__main__":
    sys.exit(not main())
