"""Networks and samples that the tests draw: one list of strategies, used by all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import strategies as st

import ecprune_np as ec

ACTIVATIONS = sorted(ec.ACTIVATIONS)
METRICS = ["output", "softmax", "fisher", "mse", "cross_entropy"]


@dataclass(frozen=True)
class Drawn:
    """A network with samples, sample weights, labels (for cross-entropy) and the seed that made them."""

    mlp: ec.MLP
    x: np.ndarray
    sample_weight: np.ndarray
    labels: np.ndarray
    seed: int

    def __repr__(self) -> str:
        return f"Drawn({self.mlp}, N={len(self.x)}, seed={self.seed})"

    def targets(self, metric: Any) -> np.ndarray | None:
        """What the metric needs beside the samples: labels, targets (N, K) for "mse", or nothing."""
        if metric == "cross_entropy":
            return self.labels
        if metric == "mse":
            shape = len(self.x), self.mlp.sizes[-1]
            return np.random.default_rng([self.seed, 1]).standard_normal(shape).astype(self.x.dtype)
        return None

    def target_rows(self, metric: Any) -> np.ndarray | None:
        """The same as (N, K), labels as probabilities; one logit has that of class 1 alone."""
        y, K = self.targets(metric), self.mlp.sizes[-1]
        return np.eye(max(K, 2))[y][:, -K:] if metric == "cross_entropy" else y


def batch(drawn: Drawn, metric: Any = None, weighted: bool = True) -> ec.Batch:
    """All samples of a drawn network, with their weights and the targets that the metric needs."""
    return ec.Batch(drawn.x, drawn.sample_weight if weighted else None, drawn.targets(metric))


def samples_per_block(patch: pytest.MonkeyPatch, size: int) -> None:
    """Let the fast path take blocks of so many samples."""
    for module in ("blocks", "collect"):  # which both know the function by its name
        patch.setattr(f"ecprune_np.streaming.{module}.samples_per_block", lambda mlp, metric: size)


def make(
    sizes: list[int],
    activation: str | Sequence[str] = "tanh",
    output_activation: str = "identity",
    n_samples: int = 20,
    seed: int = 0,
    dtype: Any = np.float64,
) -> Drawn:
    """A network with normal weights and biases, normal samples, and whole and fractional sample weights."""
    rng = np.random.default_rng(seed)
    weights = [rng.standard_normal((n, m)).astype(dtype) / np.sqrt(m) for m, n in pairwise(sizes)]
    biases = [0.5 * rng.standard_normal(n).astype(dtype) for n in sizes[1:]]
    mlp = ec.MLP([w.astype(dtype) for w in weights], [b.astype(dtype) for b in biases], activation, output_activation)
    x = rng.standard_normal((n_samples, sizes[0])).astype(dtype)
    return Drawn(mlp, x, rng.uniform(0.1, 3, n_samples), rng.integers(0, max(sizes[-1], 2), n_samples), seed)


@st.composite
def networks(
    draw: st.DrawFn,
    activations: list[str] = ACTIVATIONS,
    output_activations: list[str] = ACTIVATIONS,
    max_layers: int = 4,
    max_width: int = 6,
    max_samples: int = 20,
    logits: bool = False,
) -> Drawn:
    """Any architecture: 1 to `max_layers` layers, widths from 1, activations also mixed, any number of samples.

    With `logits` the outputs are some, which every metric takes: the network does not end in a sigmoid.
    """
    name = st.sampled_from(activations)  # of all hidden layers, or of each
    n_layers = draw(st.integers(1, max_layers), label="layers")
    widths = st.integers(1, max_width)
    hidden = draw(st.lists(widths, min_size=n_layers, max_size=n_layers), label="widths")
    outputs = draw(widths, label="outputs")
    return make(
        [*hidden, outputs],
        draw(name | st.lists(name, min_size=n_layers - 1, max_size=n_layers - 1), label="activation"),
        draw(st.sampled_from([name for name in output_activations if not (logits and name == "sigmoid")])),
        draw(st.integers(1, max_samples), label="samples"),
        draw(st.integers(0, 2**32 - 1), label="seed"),
    )
