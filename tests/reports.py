"""Reports whose pages the tests look at."""

from __future__ import annotations

import numpy as np

import ecprune_np as ec
from ecprune_np.commands._page import Point, Report

NAMES = ["ec", "ec-fisher", "ec-fisher+row", "magnitude", "magnitude+row", "obd", "wanda", "gradient-magnitude"]
DENSE = Point("dense", 0.0, 0.2231, 0.932, 0.0)


def of_network(
    sizes: list[int], sparsity: float, activation: str = "relu", *, steps: int = 0, accuracy: float | None = None
) -> Report:
    """A network with drawn weights, whose first inputs are constant, pruned in one shot or in steps."""
    mlp = ec.MLP.initialize(sizes, activation, seed=len(sizes))
    x = np.abs(np.random.default_rng(0).standard_normal((60, sizes[0])))
    x[:, : sizes[0] // 4] = 0
    scores = ec.elimination_compensation(mlp, x)
    pruned = ec.prune_iteratively(mlp, x, sparsity, steps=steps) if steps else ec.prune(mlp, scores, sparsity)
    points = [Point("ec", s, 0.25 / (1 - s), accuracy and accuracy - s / 4, s**4) for s in (0.5, 0.8, sparsity)]
    dense = Point("dense", 0.0, 0.2231, accuracy, 0.0)
    title = f"{'-'.join(map(str, sizes))} {activation}, pruned to {sparsity}"
    command = f"python -m ecprune_np prune network.npz --data data.npz --sparsity {sparsity} --html report.html"
    table = "\n".join(f"{p.sparsity:10g} {p.loss:10.4f} {p.change:10.4f}" for p in points)
    return Report(title, command, "1,500 test samples", dense, tuple(points), table, mlp, pruned, scores)


def of_methods(n_methods: int, sparsities: list[float]) -> Report:
    """Methods by sparsities, better and worse, some of the same loss."""
    rng = np.random.default_rng(1)
    slopes = rng.uniform(0.05, 1, n_methods).round(1)
    names = [NAMES[k % len(NAMES)] + f"-{k // len(NAMES)}" * (k >= len(NAMES)) for k in range(n_methods)]
    points = tuple(
        Point(name, s, 0.2231 + slope * s**3, 0.932 - slope * s**3, slope * s**3)
        for name, slope in zip(names, slopes)
        for s in sparsities
    )
    table = "\n".join(f"{p.sparsity:8g} {p.method:<24} {p.loss:10.4f} {p.change:12.4e} {'.' * 60}" for p in points)
    title = f"{n_methods} methods"
    return Report(title, "python -m ecprune_np compare", "a tenth of them", DENSE, points, table, None, None, None)


def nasty() -> Report:
    """Markup where a name is expected, words that never end, numbers that are none, and every sparsity there is."""
    nan, inf = float("nan"), float("inf")
    losses, accuracies, changes = [nan, inf, 1e-320, 2.0, 0.0, 1e305], [0.1, nan, 1.0], [0.0, 1e-9, 3.0]
    points = tuple(
        Point(f"<b>{k}</b> & iterative-wWmM+row", s, losses[(k + n) % 6], accuracies[k % 3], changes[(k + n) % 3])
        for k in range(20)
        for n, s in enumerate((0, 0.5, 0.9, 0.9999, 1.0))
    )
    words = "<script>alert(1)</script> & " + "x" * 150
    return Report(words, words, words, Point("dense", 0, 0.0, 1.0, 0.0), points, f"{words}\n" * 3, None, None, None)


REPORTS = {
    "image": of_network([196, 20, 12, 10], 0.9, accuracy=0.932),
    "iterated": of_network([25, 30, 10], 0.9, steps=4, accuracy=0.5),
    "regression": of_network([2, 12, 12, 1], 0.75),
    "deep": of_network([3, *[4] * 16, 2], 0.3, "tanh"),
    "compare": of_methods(8, [0.5, 0.7, 0.8, 0.9, 0.95, 0.98]),
    "many methods": of_methods(30, [0.5, 0.9]),
    "one sparsity": of_methods(8, [0.9]),
    "one point": of_methods(1, [0.9]),
    "nasty": nasty(),
}
