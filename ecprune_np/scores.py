"""Importances and bias shifts: what removing each weight costs, and how to compensate it (EC-3)."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt

from . import _checks
from ._files import count_layers, load_object, naming, save_object
from ._frozen import Frozen
from ._types import Array, File, Metric
from .batch import Samples
from .metrics import metric_name
from .mlp import MLP
from .moments import Moments, fingerprint
from .streaming.collect import collect_moments


@dataclass(frozen=True, eq=False, repr=False)
class Scores(Frozen):
    """For each weight its importance I_ij ≥ 0 and its bias shift δ*_ij.

    Parameters
    ----------
    importance : sequence of L arrays (n_l, n_{l-1})
        What removing the weight costs.
    bias_shift : sequence of L arrays (n_l, n_{l-1}), optional
        What its neuron's bias gets for it: zeros, unless the criterion compensates.

    Raises
    ------
    TypeError, ValueError
        Where shapes differ, a value is not finite or an importance is negative.

    Examples
    --------
    A ranking is combined with another method's shifts:

    >>> mlp = ec.MLP([[[2.0, 1.0]]], [[0.0]])
    >>> shifts = ec.elimination_compensation(mlp, [[1.0, 5.0], [3.0, 5.0]]).bias_shift
    >>> ec.Scores(ec.criteria.magnitude(mlp).importance, shifts)
    Scores(1 layers, 2 weights)
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

    def __repr__(self) -> str:
        n_weights = sum(i.size for i in self.importance)
        return f"{type(self).__name__}({len(self.importance)} layers, {n_weights:,} weights)"

    def save(self, file: File) -> None:
        """Write `importance_0, bias_shift_0, ...` to an .npz file, whole or not at all.

        Raises
        ------
        TypeError
            Where `file` is not the path of a file.
        """
        pairs = enumerate(zip(self.importance, self.bias_shift))
        save_object(file, "Scores", {f"{n}_{l}": a for l, pair in pairs for n, a in zip(_FIELDS, pair)})

    @classmethod
    def load(cls, file: File) -> Scores:
        """Read scores from an .npz file as `save` writes it; nothing is ever unpickled.

        Raises
        ------
        TypeError, ValueError
            Where the file is missing or damaged, or an array is missing or wrong; names the file and the array.
        """
        arrays, _ = load_object(file, "Scores")
        n_layers = count_layers(file, arrays, _FIELDS, ())
        with naming(file):
            return Scores(*([arrays[f"{name}_{l}"] for l in range(n_layers)] for name in _FIELDS))


_FIELDS = ("importance", "bias_shift")


def elimination_compensation(
    mlp: MLP,
    x_or_moments: Samples | Moments,
    metric: Metric | None = None,
    *,
    batch_size: int | None = None,
) -> Scores:
    """I_ij = w_ij² v_ij with the optimal shift δ*_ij = w_ij μ_ij (EC-3.3, EC-3.4, EC-3.5, EC-3.9, EC-6.2).

    What removing a weight costs after the best shift of its neuron's bias, to first order: the sensitivity-weighted
    variance of its input, times the squared weight.

    Parameters
    ----------
    mlp : MLP
        The network.
    x_or_moments : array (N, n_0), ec.Batch, an iterator of them, or Moments
        The samples, or what `collect_moments` made of them.
    metric : str or callable, optional
        "output" (the default), "softmax", "fisher", "mse", "cross_entropy", or a callable, as for `collect_moments`;
        that of the moments, where they are given.
    batch_size : int, optional
        Samples at a time, as for `collect_moments`; moments are collected already.

    Returns
    -------
    Scores
        `importance` and `bias_shift`, each shaped as the weights.

    Raises
    ------
    TypeError, ValueError
        For a wrong argument or one without effect, moments of another network or metric, and for an overflow.
    BatchError
        For a batch that is wrong or does not come.

    Examples
    --------
    An input that does not vary costs nothing: the bias takes over.

    >>> mlp = ec.MLP([[[2.0, 1.0]]], [[0.0]])
    >>> scores = ec.elimination_compensation(mlp, [[1.0, 5.0], [3.0, 5.0]])
    >>> scores.importance[0], scores.bias_shift[0]
    (array([[4., 0.]]), array([[4., 5.]]))
    """
    moments = _moments_of(mlp, x_or_moments, metric, batch_size)
    scores = compensated(mlp, moments)
    warn_where_all_are_0(mlp, scores.importance, partial(_why_all_are_0, mlp, moments, True))
    return scores


def compensated(mlp: MLP, moments: Moments) -> Scores:
    """I_ij = w_ij² v_ij and δ*_ij = w_ij μ_ij from the moments of this network (EC-3.4, EC-3.5)."""
    return _finite_scores(
        [_square_times(w, v) for w, v in zip(mlp.weights, moments.variance)],
        [w * mu for w, mu in zip(mlp.weights, moments.mean)],
    )


def uncompensated(
    mlp: MLP,
    x_or_moments: Samples | Moments,
    metric: Metric | None = None,
    *,
    batch_size: int | None = None,
) -> Scores:
    """R_ij = w_ij² E[s_i a_j²], what is lost without a shift: Optimal Brain Damage (EC-3.6, EC-3.7, EC-6.4).

    Parameters
    ----------
    mlp : MLP
        The network.
    x_or_moments : array (N, n_0), ec.Batch, an iterator of them, or Moments
        The samples, or what `collect_moments` made of them.
    metric : str or callable, optional
        "output" (the default), "softmax", "fisher", "mse", "cross_entropy", or a callable, as for `collect_moments`;
        that of the moments, where they are given.
    batch_size : int, optional
        Samples at a time, as for `collect_moments`; moments are collected already.

    Returns
    -------
    Scores
        Without shifts.

    Raises
    ------
    TypeError, ValueError
        For a wrong argument or one without effect, moments of another network or metric, and for an overflow.
    BatchError
        For a batch that is wrong or does not come.

    Examples
    --------
    >>> mlp = ec.MLP([[[2.0, 1.0]]], [[0.0]])
    >>> ec.criteria.obd(mlp, [[1.0, 5.0], [3.0, 5.0]]).importance[0]
    array([[20., 25.]])
    """
    moments = _moments_of(mlp, x_or_moments, metric, batch_size)
    importance = [_square_times(w, m) for w, m in zip(mlp.weights, moments.second_moment)]
    scores = _finite_scores(importance, [np.zeros_like(w) for w in mlp.weights])
    warn_where_all_are_0(mlp, scores.importance, partial(_why_all_are_0, mlp, moments, False))
    return scores


def _moments_of(mlp: MLP, x_or_moments: Samples | Moments, metric: Metric | None, batch_size: int | None) -> Moments:
    _checks.instance("mlp", mlp, MLP)
    if not isinstance(x_or_moments, Moments):
        return collect_moments(mlp, x_or_moments, "output" if metric is None else metric, batch_size=batch_size)
    moments = x_or_moments
    _checks.without_effect(batch_size=(batch_size, "beside moments, which are collected"))
    expected, got = _checks.formats(mlp.weights), _checks.formats(moments.variance)
    if got != expected:
        raise ValueError(f"moments: expected layers {expected} as in the network, got {got}")
    if moments.fingerprint not in (None, fingerprint(mlp)):
        raise ValueError("moments: expected those of this network, got those of another with the same layers")
    if metric is not None and moments.metric not in (None, metric_name(metric)):
        raise ValueError(f"metric: expected {moments.metric!r}, of which the moments are, got {metric_name(metric)!r}")
    return moments


def warn_where_all_are_0(mlp: MLP, importance: Sequence[Array], reason: Callable[[int], str | None]) -> None:
    """Warn, once for all layers and two calls up, of those whose importances are all 0, where there is a reason."""
    layers = [l for l, (w, values) in enumerate(zip(mlp.weights, importance)) if w.any() and not values.any()]
    reasons = [f"layer {l}: {why.format(mlp.dtype)}" for l in layers if (why := reason(l))]
    if reasons:
        warnings.warn("all importances are 0 in " + "; ".join(reasons), stacklevel=3)


DEAD = "no output listens to any of its neurons (dead or saturated on these samples, or too weak for {})"
UNDERFLOW = "they underflow in {} (rescale the inputs, or use a wider dtype)"


def _why_all_are_0(mlp: MLP, moments: Moments, shifted: bool, l: int) -> str | None:
    """Why a layer's importances are 0, unless that is right: of constant inputs, to which a shift answers."""
    m, w = moments.layers[l], mlp.weights[l]
    if not m.sensitivity.any():
        return DEAD
    differs = m.offset if shifted else m.mean  # from one value of the input, or from 0
    lost = (differs != 0) & (m.sensitivity[:, np.newaxis] * differs**2 == 0 if shifted else True)
    return UNDERFLOW if ((w != 0) & ((m.variance > 0) | lost)).any() else None


def _square_times(w: Array, v: Array) -> Array:
    """w² v, in the order that neither underflows nor overflows where the product does not."""
    with _checks.overflow_raised_later():
        product: Array = w * (w * v)
    return product


def _finite_scores(importance: list[Array], bias_shift: list[Array]) -> Scores:
    _checks.no_overflow("importance", importance)
    _checks.no_overflow("bias_shift", bias_shift)
    return Scores(importance, bias_shift)
