"""Importances and bias shifts: what removing each weight costs, and how to compensate it (EC-3)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from . import _checks
from .metrics import Metric
from .mlp import MLP
from .moments import Moments, collect_moments

Array = npt.NDArray[Any]


@dataclass(frozen=True, eq=False)
class Scores:
    """For each weight its `importance` I_ij ≥ 0 and its `bias_shift` δ*_ij, each shaped as `weights[l]`.

    The shifts of a criterion that does not compensate are zero.  A ranking is combined with another
    method's shifts by `Scores(magnitude.importance, ec.bias_shift)`.

    Raises ValueError where shapes differ, a value is not finite or an importance is negative.
    """

    importance: tuple[Array, ...]
    bias_shift: tuple[Array, ...]

    def __init__(self, importance: Sequence[npt.ArrayLike], bias_shift: Sequence[npt.ArrayLike] | None = None) -> None:
        given = _checks.sequence("importance", importance)
        values = _checks.per_layer("importance", given, [np.shape(a) for a in given])
        for l, value in enumerate(values):
            if (value < 0).any():
                index = [int(i) for i in np.argwhere(value < 0)[0]]
                raise ValueError(f"importance[{l}]: expected no negative value, got {value[tuple(index)]} at {index}")
        shifts = [np.zeros_like(v) for v in values] if bias_shift is None else bias_shift
        checked = _checks.per_layer("bias_shift", shifts, [v.shape for v in values])
        object.__setattr__(self, "importance", tuple(_checks.frozen(v) for v in values))
        object.__setattr__(self, "bias_shift", tuple(_checks.frozen(v) for v in checked))


def elimination_compensation(
    mlp: MLP,
    x_or_moments: npt.ArrayLike | Moments,
    metric: Metric = "output",
    *,
    sample_weight: npt.ArrayLike | None = None,
    batch_size: int | None = None,
    y: npt.ArrayLike | None = None,
    loss: str = "mse",
) -> Scores:
    """I_ij = w_ij² v_ij with the optimal shift δ*_ij = w_ij μ_ij (EC-3.2, EC-3.3, EC-3.4, EC-3.8, EC-6.2).

    Takes samples x of shape (N, n_0), with the arguments of `collect_moments`, or moments that were
    collected before.  Raises ValueError where the moments belong to another network, or on overflow.
    """
    moments = _moments_of(mlp, x_or_moments, metric, sample_weight, batch_size, y, loss)
    return _finite_scores(
        [_square_times(w, v) for w, v in zip(mlp.weights, moments.variance)],
        [w * mu for w, mu in zip(mlp.weights, moments.mean)],
    )


def uncompensated(
    mlp: MLP,
    x_or_moments: npt.ArrayLike | Moments,
    metric: Metric = "output",
    *,
    sample_weight: npt.ArrayLike | None = None,
    batch_size: int | None = None,
    y: npt.ArrayLike | None = None,
    loss: str = "mse",
) -> Scores:
    """R_ij = w_ij² E[s_i a_j²], what is lost without a shift: Optimal Brain Damage (EC-3.5, EC-3.6, EC-6.4).

    Arguments and errors as `elimination_compensation`.
    """
    moments = _moments_of(mlp, x_or_moments, metric, sample_weight, batch_size, y, loss)
    importance = [_square_times(w, m) for w, m in zip(mlp.weights, moments.second_moment)]
    return _finite_scores(importance, [np.zeros_like(w) for w in mlp.weights])


def _moments_of(
    mlp: MLP,
    x_or_moments: npt.ArrayLike | Moments,
    metric: Metric,
    sample_weight: npt.ArrayLike | None,
    batch_size: int | None,
    y: npt.ArrayLike | None,
    loss: str,
) -> Moments:
    _checks.instance("mlp", mlp, MLP)
    if not isinstance(x_or_moments, Moments):
        return collect_moments(
            mlp, x_or_moments, metric, sample_weight=sample_weight, batch_size=batch_size, y=y, loss=loss
        )
    expected, got = _checks.formats(mlp.weights), _checks.formats(x_or_moments.variance)
    if got != expected:
        raise ValueError(f"moments: expected layers {expected} as in the network, got {got}")
    return x_or_moments


def _square_times(w: Array, v: Array) -> Array:
    """w² v, in the order that neither underflows nor overflows where the product does not."""
    with np.errstate(over="ignore", under="ignore"):
        product: Array = w * (w * v)
    return product


def _finite_scores(importance: list[Array], bias_shift: list[Array]) -> Scores:
    _checks.no_overflow("importance", importance)
    _checks.no_overflow("bias_shift", bias_shift)
    return Scores(importance, bias_shift)
