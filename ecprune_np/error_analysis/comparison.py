"""How far two sets of scores are apart, on the scale of what their formulas cannot avoid (EC-7.9)."""

from __future__ import annotations

import numpy as np

from .. import _checks
from .._types import Array
from ..mlp import MLP
from ..moments import Moments
from ..scores import Scores

ROUNDINGS = 16  # roundings of an input that a stable variance may cost


def scales(mlp: MLP, moments: Moments) -> tuple[tuple[Array, ...], tuple[Array, ...]]:
    """R_ij = w² E[s a²] for importances and |w| √(E[s a²]/S) for shifts, 0 for dead neurons (EC-7.9)."""
    importance_scale, shift_scale = [], []
    for w, square, sensitivity in zip(mlp.weights, moments.second_moment, moments.sensitivity):
        S = np.broadcast_to(sensitivity[:, np.newaxis], w.shape)
        root = np.sqrt(np.divide(square, S, out=np.zeros_like(w), where=S > 0))
        importance_scale.append(w * (w * square))
        shift_scale.append(np.abs(w) * root)
    return tuple(importance_scale), tuple(shift_scale)


def relative_error(value: Array, reference: Array, scale: Array) -> Array:
    """|value − reference| / scale entry by entry; 0 where they are equal, inf where the scale is 0 and they are not."""
    return _per_scale(np.abs(value - reference), scale)


def conditioned_error(value: Array, reference: Array, scale: Array) -> Array:
    """|ΔI| / I, less what rounding the activations to the value's dtype costs any algorithm (EC-7.6).

    A relative change ε of the activations moves I by up to 2ε √(R I) + ε² R, with R the `scale`; stable
    algorithms stay within a few such roundings, the textbook form E[s a²] − E[s a]²/S loses ε R.
    """
    epsilon = ROUNDINGS * float(np.finfo(value.dtype).eps)
    unavoidable = 2 * epsilon * np.sqrt(scale * reference) + epsilon**2 * scale
    return _per_scale(np.maximum(np.abs(value - reference) - unavoidable, 0), reference)


def worst_error(scores: Scores, reference: Scores, mlp: MLP, moments: Moments) -> tuple[float, float]:
    """The largest relative error of an importance and of a bias shift, on the scales of `scales` (EC-7.9).

    Raises ValueError where the scores are not shaped as the network.
    """
    errors = []
    names = ("importance", "bias_shift")
    for name, scale in zip(names, scales(mlp, moments)):
        values = _checks.per_layer(f"scores.{name}", getattr(scores, name), mlp.shapes)
        references = _checks.per_layer(f"reference.{name}", getattr(reference, name), mlp.shapes)
        errors.append(max(float(relative_error(*entry).max()) for entry in zip(values, references, scale)))
    return errors[0], errors[1]


def digits(error: float) -> float:
    """Correct decimal digits −log10(error) of a relative error, from 0 to 17."""
    return float(np.clip(-np.log10(max(error, 1e-17)), 0, 17)) + 0.0  # never −0.0


def _per_scale(difference: Array, scale: Array) -> Array:
    with _checks.overflow_raised_later():
        error = np.divide(difference, scale, out=np.full_like(difference, np.inf), where=scale > 0)
    return np.where(difference == 0, 0, error)
