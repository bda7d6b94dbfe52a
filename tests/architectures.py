"""What the tests of `ec.interop` draw and compare: architectures for any framework, and outputs up to rounding."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from hypothesis import strategies as st

import ecprune_np as ec


@dataclass(frozen=True)
class Layer:
    """A layer to build: its weights, what is around it, and its activation."""

    weight: np.ndarray
    bias: np.ndarray | None
    activation: str
    extras: tuple[str, ...]  # of those that the test offers

    @property
    def mlp_bias(self) -> np.ndarray:
        return np.zeros(len(self.weight)) if self.bias is None else self.bias


@st.composite
def architectures(
    draw: st.DrawFn, activations: Sequence[str], extras: Sequence[str] = (), one_activation: bool = False
) -> list[Layer]:
    """One to four layers with normal weights, with or without bias, each with its activation and some extras."""
    sizes = draw(st.lists(st.integers(1, 6), min_size=2, max_size=5), label="sizes")
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1), label="seed"))
    names = [draw(st.sampled_from(activations)) for _ in sizes[1:]]
    layers = []
    for (m, n), name in zip(pairwise(sizes), names):
        bias = 0.5 * rng.standard_normal(n) if draw(st.booleans(), label="bias") else None
        chosen = draw(st.sets(st.sampled_from(extras)), label="extras") if extras else set()
        activation = names[0] if one_activation else name
        layers.append(Layer(rng.standard_normal((n, m)) / np.sqrt(m), bias, activation, tuple(sorted(chosen))))
    return layers


def mlp_of(layers: list[Layer]) -> ec.MLP:
    """The network of layers without extras."""
    *hidden, last = [layer.activation for layer in layers]
    return ec.MLP([layer.weight for layer in layers], [layer.mlp_bias for layer in layers], hidden or "tanh", last)


def samples(mlp: ec.MLP, n: int = 10, seed: int = 0) -> np.ndarray:
    """Normal samples in the network's dtype; whole sixteenths, so that they are the same in half precision."""
    x = np.random.default_rng(seed).standard_normal((n, mlp.sizes[0]))
    return (np.round(16 * x) / 16).astype(mlp.dtype)


def pruned_of(mlp: ec.MLP, sparsity: float = 0.5) -> ec.Pruned:
    """Half of the weights removed, and every bias shifted."""
    pruned = ec.prune(mlp, ec.criteria.random(mlp, 0), sparsity)
    biases = [b + mlp.dtype.type(0.25) for b in mlp.biases]
    return ec.Pruned(pruned.mlp.replace(pruned.mlp.weights, biases), pruned.masks)


def assert_zero_where_removed(mlp: ec.MLP, pruned: ec.Pruned) -> None:
    for w, kept in zip(mlp.weights, pruned.masks):
        assert not w[~kept].any()


def read_and_said(read: Callable[[Any], ec.MLP], original: Any, end: str) -> ec.MLP:
    """What a door reads; it warns, of the line that calls it, where and only where it leaves a softmax out."""
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always", UserWarning)
        mlp = read(original)
    said = [str(warning.message) for warning in seen if "left out" in str(warning.message)]
    assert len(said) == bool(end) and all(f"the {end} at its end" in text for text in said), said
    assert {warning.filename for warning in seen if "left out" in str(warning.message)} <= {__file__}
    return mlp


def softmax(logits: np.ndarray) -> np.ndarray:
    return np.exp(log_softmax(logits))


def log_softmax(logits: np.ndarray) -> np.ndarray:
    shifted = logits - logits.max(axis=1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))


def of_one_logit(logits: np.ndarray) -> np.ndarray:
    return softmax(np.hstack([np.zeros_like(logits), logits]))


ENDS: dict[str, Any] = {"": np.asarray, "softmax": softmax, "log_softmax": log_softmax, "one logit": of_one_logit}
ROUNDING = {"float64": 1e-13, "float32": 1e-5, "float16": 1e-2, "bfloat16": 1e-1}


def assert_computes(outputs: Any, mlp: ec.MLP, x: np.ndarray, dtype: str, end: str = "") -> None:
    """`outputs` are the network's, with what was left out at the end, up to rounding in `dtype`.

    It is relative to the largest number on the way.
    """
    trace = ec.forward(mlp, x)
    largest = 1 + max(np.abs(a).max() for a in (*trace.preactivations, *trace.inputs))
    expected = np.asarray(ENDS[end](trace.outputs), np.float64)
    np.testing.assert_allclose(np.asarray(outputs, np.float64), expected, rtol=0, atol=largest * ROUNDING[dtype])
