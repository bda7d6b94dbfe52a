"""Output metrics M(x) = Σ_r c_r c_rᵀ as sets of cotangents c_r (EC-4)."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from . import _checks
from ._types import Array, LossName, Metric, MetricName
from .losses import LOSSES, check_logits, class_logits, softmax, sum_of_others, targets
from .mlp import MLP


def output_cotangents(outputs: Array) -> Array:
    """c_r = e_r, so that M is the identity (EC-4.1)."""
    n_samples, n_outputs = outputs.shape
    unit = np.eye(n_outputs, dtype=outputs.dtype)[:, np.newaxis, :]
    return np.broadcast_to(unit, (n_outputs, n_samples, n_outputs))


def softmax_cotangents(outputs: Array) -> Array:
    """c_r = p_r (e_r − p): the squared change of the class probabilities (EC-4.2, EC-4.5)."""
    p = softmax(class_logits(outputs))
    return (p.T[:, :, np.newaxis] * _unit_minus(p))[..., -outputs.shape[1] :]


def fisher_cotangents(outputs: Array) -> Array:
    """c_r = √p_r (e_r − p): M = diag p − p pᵀ, twice the second-order KL divergence (EC-4.3, EC-4.4, EC-4.6)."""
    p = softmax(class_logits(outputs))
    return (np.sqrt(p).T[:, :, np.newaxis] * _unit_minus(p))[..., -outputs.shape[1] :]


def loss_cotangents(outputs: Array, y: Array, loss: LossName) -> Array:
    """c = ∂ℓ/∂f, a single cotangent: the squared first-order change of the loss (EC-4.7)."""
    return LOSSES[loss].derivative(outputs, y)[np.newaxis]


METRICS: dict[str, Callable[[Array], Array]] = {  # beside these, every loss is a metric by its own name
    "output": output_cotangents,
    "softmax": softmax_cotangents,
    "fisher": fisher_cotangents,
}


def cotangents(metric: Metric, outputs: Array, y: Array | None = None) -> Array:
    """The cotangents c_r, shape (R, N, K), of a metric at the given outputs (N, K).

    `metric` is one of "output", "softmax", "fisher", a loss by its name (which needs `y` as targets), or a
    callable from outputs to cotangents.  Raises ValueError for a wrong shape or a value not finite.
    """
    if callable(metric):
        c = _checks.real_array("metric(outputs)", metric(outputs.copy()), outputs.dtype)
        if c.ndim != 3 or c.shape[1:] != outputs.shape or len(c) == 0:
            n_samples, n_outputs = outputs.shape
            raise ValueError(f"metric(outputs): expected shape (R, {n_samples}, {n_outputs}), got {c.shape}")
        return c
    loss = _loss_of(metric)
    if loss is None:
        return METRICS[metric](outputs)
    return loss_cotangents(outputs, _given(y, loss), loss)


def metric_targets(mlp: MLP, metric: Metric) -> Callable[[Any, int], Array] | None:
    """What makes targets (N, K) of a batch's y and its number of samples, if the metric is a loss, which needs them."""
    loss = check_metric(metric, mlp)
    if loss is None:
        return None

    def of_y(y: Any, n_samples: int) -> Array:
        return targets(_given(y, loss), loss, n_samples, mlp.sizes[-1], mlp.dtype)

    return of_y


def _given(y: Any, loss: LossName) -> Any:
    """Targets that are there; raises where they are not."""
    if y is None:
        raise ValueError(f'y: metric "{loss}" needs targets, got None; hand over ec.Batch(x, y=y)')
    return y


def metric_name(metric: Metric) -> str:
    """The metric's name, for a callable the one that it was defined with.

    That of a lambda, or of a function in another, has its file and line too, and a `functools.partial` its arguments.
    What a function closes over, or an instance holds, is not told.
    """
    if isinstance(metric, str):
        return metric
    if isinstance(metric, partial):
        arguments = repr((metric.args, sorted(metric.keywords.items())))
        told = re.sub(" at 0x[0-9A-Fa-f]+", "", arguments)  # another one in every process
        digest = hashlib.blake2b(told.encode(), digest_size=8).hexdigest()
        return f"{metric_name(metric.func)}(..., {digest})"
    module = getattr(metric, "__module__", type(metric).__module__)
    name = f"{module}.{getattr(metric, '__qualname__', type(metric).__qualname__)}"
    code = getattr(metric, "__code__", None)
    return name if code is None or "<" not in name else f"{name}:{Path(code.co_filename).name}:{code.co_firstlineno}"


def check_metric(metric: Metric, mlp: MLP) -> LossName | None:
    """The loss that the metric is, if it is one; raises where it is unknown, or takes logits that mlp does not have."""
    if callable(metric):
        return None
    loss = _loss_of(metric)
    if metric in ("softmax", "fisher", "cross_entropy"):
        check_logits(f'metric "{metric}"', mlp)
    return loss


def _loss_of(metric: MetricName) -> LossName | None:
    _checks.one_of("metric", metric, (*METRICS, *LOSSES))
    return next((loss for loss in LOSSES if loss == metric), None)


def _unit_minus(p: Array) -> Array:
    """e_r − p, shape (K, N, K), the diagonal 1 − p_r without cancellation."""
    difference = np.repeat(-p[np.newaxis], p.shape[1], axis=0)
    r = np.arange(p.shape[1])
    difference[r, :, r] = sum_of_others(p).T
    return difference
