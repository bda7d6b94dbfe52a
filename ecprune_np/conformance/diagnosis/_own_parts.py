"""The parts of a few rows of each layer of a large network, from passes in batches of samples."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from ..._types import Array
from ...activations import ACTIVATIONS
from ...metrics import cotangents, metric_targets
from ...mlp import forward, pullback
from .._case import Case
from ..catalogue._parts import Parts

AT_ONCE = 5_000_000  # derivatives of samples that are passed together: R · N · neurons
Rows = list[Array]


def few(batches: Iterable[Parts], rows: Rows, change: Callable[[Parts], Parts]) -> Parts:
    """The parts of a few rows of each layer, from passes that are changed, in batches of samples."""
    parts = [_on_rows(change(batch), rows) for batch in batches]
    joined: dict[str, Any] = {name: np.concatenate([getattr(p, name) for p in parts]) for name in ("x", "f", "weight")}
    for name in ("a", "z", "s", "J"):
        layers = zip(*(getattr(p, name) for p in parts))
        joined[name] = tuple(np.concatenate(layer, axis=int(name == "J")) for layer in layers)
    return replace(parts[0], **joined)


def _on_rows(p: Parts, rows: Rows) -> Parts:
    some: dict[str, Any] = {name: tuple(v[r] for v, r in zip(getattr(p, name), rows)) for name in ("w", "b")}
    some |= {name: tuple(v[..., r] for v, r in zip(getattr(p, name), rows)) for name in ("z", "s", "J")}
    return replace(p, **some)


def at_once(case: Case) -> int:
    """How many samples are passed together."""
    y = None if case.y is None else case.y[:1]
    targets = metric_targets(case.mlp, case.metric)
    R = len(cotangents(case.metric, case.mlp(case.x[:1]), None if targets is None else targets(y, 1)))
    return max(1, AT_ONCE // (R * sum(case.mlp.sizes[1:])))


def batches(case: Case) -> Iterator[Parts]:
    """The right parts of the whole network, for some samples at a time (EC-1.2, EC-2.2)."""
    mlp, N = case.mlp, len(case.x)
    names: Any = case.activation if isinstance(case.activation, str) else case.activation[0]
    activation = ACTIVATIONS[names]
    weight = np.ones(N) if case.sample_weight is None else case.sample_weight
    targets = metric_targets(mlp, case.metric)
    y = None if targets is None else targets(case.y, N)
    size = at_once(case)
    for start in range(0, N, size):
        part = slice(start, start + size)
        own = None if y is None else y[part]
        trace = forward(mlp, case.x[part])
        of_metric = _cotangents(case, own)
        omega = weight[part] / weight.mean()
        J = pullback(mlp, trace, of_metric(trace.outputs) * np.sqrt(omega)[:, np.newaxis])
        yield Parts(
            w=case.weights,
            b=case.biases,
            activation=activation,
            x=case.x[part],
            slope=activation.derivative,
            output=ACTIVATIONS[case.output_activation],
            a=tuple(trace.inputs),
            z=tuple(trace.preactivations),
            J=tuple(J),
            s=tuple((j**2).sum(axis=0) for j in J),
            f=trace.outputs,
            weight=omega,
            total_weight=float(weight.sum()),
            metric=case.metric,
            cotangents=of_metric,
            sparsity=0.0,
            scope="global",
        )


def _cotangents(case: Case, y: Array | None) -> Callable[[Array], Array]:
    return lambda f: cotangents(case.metric, f, y)


def bare(few: Parts, case: Case) -> Parts:
    """The whole network's parameters; nothing but these, the numbers of samples and outputs is asked of it."""
    some = tuple(np.zeros((1, len(w))) for w in case.weights), tuple(np.zeros((1, w.shape[1])) for w in case.weights)
    return replace(few, w=case.weights, b=case.biases, s=some[0], a=some[1])
