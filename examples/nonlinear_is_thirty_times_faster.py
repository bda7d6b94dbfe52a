"""The nonlinear oracle is more than thirty times faster than a loop of one-dimensional searches.

Both minimise E‖f(w_ij = 0, b_i + δ) − f‖² over δ for the weights of a tanh network.  The loop is what one would
write first: `scipy.optimize.minimize_scalar` around a full forward pass of the network without the weight.
It runs over a sample of the weights, and its time is scaled to all of them.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
from scipy.optimize import minimize_scalar

import ecprune_np as ec


def plain_search(mlp: ec.MLP, x: np.ndarray, outputs: np.ndarray, weight: tuple[int, int, int]) -> float:
    """The minimum over δ for one weight (layer, row, column)."""
    l, i, j = weight

    def change(delta: float) -> float:
        weights, biases = [w.copy() for w in mlp.weights], [b.copy() for b in mlp.biases]
        weights[l][i, j] = 0
        biases[l][i] += delta
        return float(np.mean(np.sum((mlp.replace(weights, biases)(x) - outputs) ** 2, axis=1)))

    return float(minimize_scalar(change).fun)


def seconds(function, *arguments):
    """The result and the wall time of a call."""
    start = time.perf_counter()
    result = function(*arguments)
    return result, time.perf_counter() - start


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="sample 50 weights instead of 500 for the plain loop")
    parser.add_argument("--seed", type=int, default=0, help="of the network, the samples and the weights (default 0)")
    options = parser.parse_args(argv)
    rng = np.random.default_rng(options.seed)
    mlp = ec.MLP.initialize([100, 40, 20, 10], "tanh", seed=options.seed)
    x = rng.standard_normal((128, 100))
    every = [(l, i, j) for l, (n, m) in enumerate(mlp.shapes) for i in range(n) for j in range(m)]
    chosen = [every[k] for k in rng.choice(len(every), 50 if options.quick else 500, replace=False)]
    outputs = mlp(x)
    ec.oracle.nonlinear(mlp, x[:2])  # what is only slow the first time is not timed
    runs = [seconds(ec.oracle.nonlinear, mlp, x) for _ in range(3)]
    scores, fast = min(runs, key=lambda run: run[1])
    plain, slow = seconds(lambda: [plain_search(mlp, x, outputs, weight) for weight in chosen])
    slow *= len(every) / len(chosen)
    found = np.array([scores.importance[l][i, j] for l, i, j in chosen])
    print(f"{mlp}, {len(x)} samples, {len(every)} weights, all converged: {all(c.all() for c in scores.converged)}")
    print(f"nonlinear                {fast:8.2f} s")
    print(f"loop of minimize_scalar  {slow:8.2f} s (from {len(chosen)} weights)")
    print(f"ratio                    {slow / fast:8.1f}")
    print(f"largest excess over the loop's minimum: {np.max(found / np.array(plain) - 1):.1e} relative")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
