"""Rival criteria, each as `Scores`, so that `prune` takes any of them (EC-6)."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from . import _checks
from .losses import loss_gradient
from .mlp import MLP, forward
from .scores import Scores, elimination_compensation
from .scores import uncompensated as obd
from .surgeon import obc, obs

__all__ = ["elimination_compensation", "gradient_magnitude", "magnitude", "obc", "obd", "obs", "random", "wanda"]

Array = npt.NDArray[Any]


def magnitude(mlp: MLP) -> Scores:
    """|w_ij| (EC-6.5; Han et al., 2015)."""
    _checks.instance("mlp", mlp, MLP)
    return Scores([np.abs(w) for w in mlp.weights])


def gradient_magnitude(mlp: MLP, x: npt.ArrayLike, y: npt.ArrayLike, loss: str = "mse") -> Scores:
    """|w_ij ∂loss/∂w_ij|, the first-order change of the loss (EC-6.6; Molchanov et al., 2017).

    Arguments and errors as `loss_gradient`.
    """
    _, gradient = loss_gradient(mlp, x, y, loss)
    return Scores([np.abs(w * g) for w, g in zip(mlp.weights, gradient.weights)])


def random(mlp: MLP, seed: int = 0) -> Scores:
    """Independent uniform numbers in [0, 1): the baseline that any criterion must beat."""
    _checks.instance("mlp", mlp, MLP)
    rng = np.random.default_rng(_checks.integer("seed", seed, 0))
    return Scores([rng.random(w.shape).astype(mlp.dtype) for w in mlp.weights])


def wanda(mlp: MLP, x: npt.ArrayLike) -> Scores:
    """|w_ij| √E[a_j²] (EC-6.7; Sun et al., 2024), x of shape (N, n_0).

    The authors compare within a neuron's row; here the scores are compared as `prune` is told to.
    Raises ValueError for bad input and for an overflow.
    """
    trace = forward(mlp, x)
    with np.errstate(over="ignore"):
        norms = [np.sqrt(np.mean(a**2, axis=0)) for a in trace.inputs]
        importance = [np.abs(w) * norm for w, norm in zip(mlp.weights, norms)]
    _checks.no_overflow("importance", importance)
    return Scores(importance)
