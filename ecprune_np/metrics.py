"""Output metrics M(x) = Σ_r c_r c_rᵀ as sets of cotangents c_r (EC-4)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from . import _checks
from .losses import LOSSES, softmax, sum_of_others

Array = npt.NDArray[Any]
Metric = str | Callable[[Array], npt.ArrayLike]

METRICS = ("output", "softmax", "fisher", "loss")


def output_cotangents(outputs: Array) -> Array:
    """c_r = e_r, so that M is the identity (EC-4.1)."""
    n_samples, n_outputs = outputs.shape
    unit = np.eye(n_outputs, dtype=outputs.dtype)[:, np.newaxis, :]
    return np.broadcast_to(unit, (n_outputs, n_samples, n_outputs))


def softmax_cotangents(outputs: Array) -> Array:
    """c_r = p_r (e_r − p): the squared change of the class probabilities (EC-4.2)."""
    p = softmax(outputs)
    return p.T[:, :, np.newaxis] * _unit_minus(p)


def fisher_cotangents(outputs: Array) -> Array:
    """c_r = √p_r (e_r − p), so that M = diag p − p pᵀ: twice the second-order KL divergence (EC-4.3, EC-4.6)."""
    p = softmax(outputs)
    return np.sqrt(p).T[:, :, np.newaxis] * _unit_minus(p)


def loss_cotangents(outputs: Array, y: Array, loss: str) -> Array:
    """c = ∂ℓ/∂f, a single cotangent: the squared first-order change of the loss (EC-4.4)."""
    return LOSSES[loss].derivative(outputs, y)[np.newaxis]


def cotangents(metric: Metric, outputs: Array, y: Array | None = None, loss: str = "mse") -> Array:
    """The cotangents c_r, shape (R, N, K), of a metric at the given outputs (N, K).

    `metric` is one of "output", "softmax", "fisher", "loss" (which needs `y` as targets), or a
    callable from outputs to cotangents.  Raises ValueError for a wrong shape or a value not finite.
    """
    if callable(metric):
        c = _checks.real_array("metric(outputs)", metric(outputs.copy()), outputs.dtype)
        if c.ndim != 3 or c.shape[1:] != outputs.shape:
            n_samples, n_outputs = outputs.shape
            raise ValueError(f"metric(outputs): expected shape (R, {n_samples}, {n_outputs}), got {c.shape}")
        return c
    check_metric(metric, outputs.shape[1], y is not None)
    if metric == "softmax":
        return softmax_cotangents(outputs)
    if metric == "fisher":
        return fisher_cotangents(outputs)
    if metric == "loss" and y is not None:
        return loss_cotangents(outputs, y, loss)
    return output_cotangents(outputs)


def _unit_minus(p: Array) -> Array:
    """e_r − p, shape (K, N, K), the diagonal 1 − p_r without cancellation."""
    difference = np.repeat(-p[np.newaxis], p.shape[1], axis=0)
    r = np.arange(p.shape[1])
    difference[r, :, r] = sum_of_others(p).T
    return difference


def check_metric(metric: Metric, n_outputs: int, has_targets: bool) -> None:
    """Raise where the metric is unknown, or lacks what it needs: targets, or a second class."""
    if callable(metric):
        return
    _checks.one_of("metric", metric, METRICS)
    if metric == "loss" and not has_targets:
        raise ValueError('y: metric "loss" needs targets, got None')
    if metric in ("softmax", "fisher") and n_outputs < 2:
        raise ValueError(f'metric: "{metric}" needs at least 2 outputs (one class has probability 1), got {n_outputs}')
