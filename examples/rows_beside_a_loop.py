"""Rows against the dense network beside a plain loop over neurons: ten bites of 784-300-100-10 to 90 % sparsity.

    python examples/rows_beside_a_loop.py [--quick]

The loop takes, for each neuron, the weighted rows of its survivors, their Gram matrix, and `np.linalg.solve`; scores,
masks and forward passes are the same.  Both sides in turn, in one process; the aim is half the time.
"""

from __future__ import annotations

import argparse
import sys
import time

import numpy as np

import ecprune_np as ec
from ecprune_np.pruning.row import EPSILON, RIDGE, refit_rows


def rows_by_loop(mlp: ec.MLP, masks, target: ec.MLP, x: np.ndarray) -> ec.MLP:
    """The same as `refit_rows` for unweighted samples and the output metric, as one would write it first."""
    trace = ec.forward(mlp, x)
    unit = np.broadcast_to(np.eye(mlp.sizes[-1])[:, None], (mlp.sizes[-1], len(x), mlp.sizes[-1]))
    sensitivity = [np.sum(g**2, axis=0) for g in ec.pullback(mlp, trace, unit)]
    dense = ec.forward(target, x).preactivations
    repaired = mlp.replace([np.where(m, w, 0) for w, m in zip(mlp.weights, masks)], mlp.biases)
    for l, mask in enumerate(masks):
        weights, biases = [w.copy() for w in repaired.weights], [b.copy() for b in repaired.biases]
        inputs = np.column_stack([ec.forward(repaired, x).inputs[l], np.ones(len(x))])
        for i, kept in enumerate(mask):
            S = sensitivity[l][:, i].mean()
            omega = EPSILON + (sensitivity[l][:, i] / S if S > 0 else np.zeros(len(x)))
            rows = np.sqrt(omega / len(x))[:, np.newaxis] * inputs[:, np.append(kept, True)]
            lacking = dense[l][:, i] - inputs[:, :-1] @ weights[l][i] - biases[l][i]
            gram = rows.T @ rows
            n = len(gram) - 1
            variance = np.mean(gram.diagonal()[:n] - gram[:n, n] ** 2 / gram[n, n]) if n else 0.0
            gram[range(n), range(n)] += RIDGE * max(variance, 1e-12)
            change = np.linalg.solve(gram, rows.T @ (np.sqrt(omega / len(x)) * lacking))
            weights[l][i, kept] += change[:-1]
            biases[l][i] += change[-1]
        repaired = mlp.replace(weights, biases)
    return repaired


def bites(mlp: ec.MLP, x: np.ndarray, refit, steps: int) -> tuple[ec.MLP, float]:
    """The pruned network, and the seconds that the rows took."""
    pruned, seconds = ec.Pruned(mlp, [np.ones(shape, bool) for shape in mlp.shapes]), 0.0
    for sparsity in ec.sparsity_schedule(0.9, steps):
        scores = ec.elimination_compensation(pruned.mlp, x)
        masks = ec.prune(pruned.mlp, scores, sparsity, masks=pruned.masks, compensation=None).masks
        start = time.perf_counter()
        pruned = ec.Pruned(refit(pruned.mlp, masks, mlp, x), masks)
        seconds += time.perf_counter() - start
    return pruned.mlp, seconds


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a small network")
    quick = parser.parse_args().quick
    sizes, n_samples, steps = ([30, 20, 10, 5], 200, 3) if quick else ([784, 300, 100, 10], 5000, 10)
    rng = np.random.default_rng(0)
    x = np.maximum(rng.standard_normal((n_samples, sizes[0])), 0)
    mlp = ec.MLP.initialize(sizes, "relu", seed=0)
    ours, seconds = bites(mlp, x, refit_rows, steps)
    theirs, loop_seconds = bites(mlp, x, rows_by_loop, steps)
    change, loop_change = (ec.oracle.true_change(network, mlp, x) for network in (ours, theirs))
    print(f"{'-'.join(map(str, sizes))}, {n_samples:,} samples, {steps} bites to 0.9")
    print(f"rows   {seconds:7.2f} s   change of the output {change:.6g}")
    print(f"loop   {loop_seconds:7.2f} s   change of the output {loop_change:.6g}")
    print(f"ratio  {seconds / loop_seconds:7.2f}   (aim: 0.5)")
    return 0 if quick or seconds <= 0.5 * loop_seconds else 1


if __name__ == "__main__":
    sys.exit(main())
