"""The time of moments grows in proportion to the samples, and linearly in the outputs, to within 10 %.

784-300-100-K in float64.  Samples: the slope of log time over log N is 1.  Outputs: one line fits the times.
"""

from __future__ import annotations

import sys

import numpy as np
from in_turn import medians, network_and_samples

import ecprune_np as ec

SAMPLES = (3000, 6000, 12_000, 24_000)
OUTPUTS = (10, 20, 40, 80)


def main(repeats: int = 7, samples: tuple[int, ...] = SAMPLES, n_samples: int = 3000) -> tuple[float, float]:
    mlp, x = network_and_samples(max(samples))
    times = list(medians({str(n): lambda n=n: ec.collect_moments(mlp, x[:n]) for n in samples}, repeats).values())
    slope = np.polyfit(np.log(samples), np.log(times), 1)[0]
    for n, seconds in zip(samples, times):
        print(f"{n:7,} samples {seconds:7.3f} s")
    print(f"slope of log time over log N: {slope:.2f}")
    networks = [network_and_samples(1, k)[0] for k in OUTPUTS]
    x = x[:n_samples]
    times = list(medians({str(m.sizes): lambda m=m: ec.collect_moments(m, x) for m in networks}, repeats).values())
    line = np.polyval(np.polyfit(OUTPUTS, times, 1), OUTPUTS)
    departure = float(np.abs(times / line - 1).max())
    for k, seconds in zip(OUTPUTS, times):
        print(f"{k:7} outputs {seconds:7.3f} s")
    print(f"largest departure from a line: {100 * departure:.0f} %")
    return float(slope), departure


if __name__ == "__main__":
    slope, departure = main()
    sys.exit(abs(slope - 1) > 0.1 or departure > 0.1)
