"""When one-shot compensation hurts, and what iterating repairs: the tables of 08-beyond-first-order.md.

    python derivations/high_sparsity.py

Networks (x, t) → u of a moving front, trained on 500 samples; medians over five seeds of the mean squared change of
the output on those samples.  About 20 s.
"""

from __future__ import annotations

import numpy as np

import ecprune_np as ec

SEEDS = range(5)
SPARSITIES = (0.1, 0.3, 0.5, 0.6, 0.7, 0.8, 0.9)
NETWORKS = ((("tanh", [2, 20, 20, 20, 20, 1], 1000)), ("relu", [2, 100, 100, 1], 300))
HEADER = ["sparsity", "magnitude", "EC mask, no shifts", "EC, first order", "EC", "EC hurts", "EC iterative"]


def trained(activation, sizes, iterations, seed):
    rng = np.random.default_rng(seed)
    x = rng.uniform(0, 1, (500, 2))
    y = 1 / (1 + np.exp(8 * (x[:, :1] - np.sqrt(x[:, 1:]))))
    x = 2 * x - 1
    mlp = ec.MLP.initialize(sizes, activation, seed=seed)
    return ec.train(mlp, x, y, optimizer="lbfgs", epochs=iterations), x


def first_order_change(mlp, pruned, x):
    """E[(Σ_i J_i Δz_i)²] of a network with one output."""
    trace = ec.forward(mlp, x)
    change = np.zeros(len(x))
    for l, g in enumerate(ec.pullback(mlp, trace, np.ones((1, len(x), 1)))):
        dW, db = pruned.weights[l] - mlp.weights[l], pruned.biases[l] - mlp.biases[l]
        change += (g[0] * (trace.inputs[l] @ dW.T + db)).sum(axis=1)
    return np.mean(change**2)


def changes(mlp, x, sparsity):
    """The mean squared change of the output, by each way of reaching the sparsity."""
    scores = ec.elimination_compensation(mlp, x)
    shifted = ec.prune(mlp, scores, sparsity).mlp
    networks = [
        ec.prune(mlp, ec.criteria.magnitude(mlp), sparsity).mlp,
        ec.prune(mlp, scores, sparsity, compensation=None).mlp,
        shifted,
        ec.prune_iteratively(mlp, x, sparsity, steps=20).mlp,
    ]
    magnitude, unshifted, ec_change, iterative = (np.mean((p(x) - mlp(x)) ** 2) for p in networks)
    hurts = ec_change > unshifted * (1 + 1e-9)
    return magnitude, unshifted, first_order_change(mlp, shifted, x), ec_change, hurts, iterative


def dead_and_woken(mlp, x, sparsity):
    """How many hidden neurons are dead on x, and how many of them fire after iterative pruning."""
    pruned = ec.prune_iteratively(mlp, x, sparsity, steps=20).mlp
    dead = [S == 0 for S in ec.collect_moments(mlp, x).sensitivity[:-1]]
    fires = [(z > 0).any(axis=0) for z in ec.forward(pruned, x).preactivations[:-1]]
    return sum(int(d.sum()) for d in dead), sum(int((d & f).sum()) for d, f in zip(dead, fires))


def main():
    for activation, sizes, iterations in NETWORKS:
        cases = [trained(activation, sizes, iterations, seed) for seed in SEEDS]
        print(f"{activation}, {'-'.join(map(str, sizes))}\n\n| {' | '.join(HEADER)} |\n|{'---|' * len(HEADER)}")
        for sparsity in SPARSITIES:
            rows = np.array([changes(mlp, x, sparsity) for mlp, x in cases])
            cells = [f"{m:.1e}" for m in np.median(rows, axis=0)]
            cells[4] = f"{int(rows[:, 4].sum())} of {len(cases)}"
            print(f"| {sparsity} | {' | '.join(cells)} |")
        print()
        if activation == "relu":
            counts = [dead_and_woken(mlp, x, 0.1) for mlp, x in cases]
            text = ", ".join(f"{woken} of {dead}" for dead, woken in counts)
            print(f"Dead neurons that wake when iterating to 0.1: {text}")


if __name__ == "__main__":
    main()
