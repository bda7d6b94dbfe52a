"""Sensitivity-weighted moments of every neuron's inputs, as they are defined, and how they merge (EC-3, EC-7).

The letters of every einsum, here and in the rest of the package:

    n  sample     i  neuron     j  its input     k  output of the network     r  cotangent
"""

from __future__ import annotations

import hashlib
import warnings
from dataclasses import dataclass, fields

import numpy as np

from . import _checks
from ._files import count_layers, load_object, naming, save_object, text
from ._frozen import Frozen
from ._types import Array, File
from .mlp import MLP, Trace, pullback


def moments_by_definition(mlp: MLP, trace: Trace, cotangents: Array, weight: Array) -> Moments:
    """S_i = E[s_i], μ_ij = E[s_i a_j]/S_i, v_ij = E[s_i (a_j − μ_ij)²], as they read (EC-3.4, EC-3.5, EC-3.2).

    In two passes over the samples, and O(N n_l n_{l-1}) memory: what `collect_moments` has to agree with.
    `cotangents` has shape (R, N, K), `weight` (N,).
    """
    p = weight / weight.sum()
    layers = []
    for g, a in zip(pullback(mlp, trace, cotangents), trace.inputs):
        s = np.einsum("rni,rni->ni", g, g)  # s_i = Σ_r (c_rᵀ J_i)²
        S = np.einsum("n,ni->i", p, s)
        first = np.einsum("n,ni,nj->ij", p, s, a)
        mu = np.divide(first, S[:, np.newaxis], out=np.zeros_like(first), where=S[:, np.newaxis] > 0)
        v = np.einsum("n,ni,nij->ij", p, s, (a[:, np.newaxis, :] - mu) ** 2)
        layers.append(LayerMoments(S, np.zeros_like(a[0]), mu, v))
    return Moments(tuple(layers), len(weight), float(weight.sum()), None, fingerprint(mlp))


@dataclass(frozen=True, eq=False, repr=False)
class LayerMoments(Frozen):
    """One layer's moments, the mean stored as `reference` + `offset` so that no digit is lost (EC-7).

    `sensitivity` S_i (n_l,), `reference` (n_{l-1},) near the inputs' mean, `offset` μ_ij − reference_j
    and `variance` v_ij = E[s_i (a_j − μ_ij)²], both (n_l, n_{l-1}).
    """

    sensitivity: Array
    reference: Array
    offset: Array
    variance: Array

    def __repr__(self) -> str:
        n_out, n_in = self.variance.shape
        return f"LayerMoments({n_in} inputs, {n_out} neurons)"

    @property
    def mean(self) -> Array:
        """μ_ij = E[s_i a_j] / S_i, and 0 for a dead neuron (EC-3.4)."""
        return np.where(self.sensitivity[:, np.newaxis] > 0, self.reference + self.offset, 0)

    def merge(self, other: LayerMoments, share: float) -> LayerMoments:
        """Chan's update, where `other` has the share of the total weight (EC-7.5)."""
        ours, theirs = (1 - share) * self.sensitivity, share * other.sensitivity
        sensitivity = ours + theirs
        ratio = np.divide(theirs, sensitivity, out=np.zeros_like(theirs), where=sensitivity > 0)[:, np.newaxis]
        step = other.offset - self.offset
        step += other.reference - self.reference
        offset = ratio * step
        variance = ours[:, np.newaxis] * offset
        variance *= step
        variance += np.multiply(self.variance, 1 - share, out=step)
        variance += np.multiply(other.variance, share, out=step)
        offset += self.offset
        return LayerMoments(sensitivity, self.reference, offset, variance)


@dataclass(frozen=True, eq=False, repr=False)
class Moments(Frozen):
    """E[s_i], E[s_i a_j]/S_i and E[s_i (a_j − μ_ij)²] of every layer over some samples (EC-3).

    Moments of two sets of samples are merged exactly; the object can be pickled.

    Attributes
    ----------
    layers : tuple of L LayerMoments
        The moments as they are stored; `sensitivity`, `mean`, `variance` and `second_moment` are those to read.
    n_samples : int
        N.
    total_weight : float
        The sum of the sample weights, N where none were given.
    metric : str or None
        What they were collected for: a metric's name, or that of the callable; None where a file does not say so.  Of
        lambdas and inner functions it has file and line, of `functools.partial` the arguments; what a function closes
        over is not in it: metrics that differ need names that do.
    fingerprint : str or None
        What tells the network from others; None where a file does not say so.

    Examples
    --------
    >>> mlp = ec.MLP([[[2.0, 1.0]]], [[0.0]])
    >>> x = np.array([[1.0, 5.0], [3.0, 5.0]])
    >>> moments = ec.collect_moments(mlp, x)
    >>> moments
    Moments(1 layers, 2 samples)
    >>> moments.sensitivity[0], moments.mean[0], moments.variance[0]
    (array([1.]), array([[2., 5.]]), array([[1., 0.]]))
    """

    layers: tuple[LayerMoments, ...]
    n_samples: int
    total_weight: float
    metric: str | None = None
    fingerprint: str | None = None

    def __repr__(self) -> str:
        return f"Moments({len(self.layers)} layers, {self.n_samples:,} samples)"

    @property
    def sensitivity(self) -> tuple[Array, ...]:
        """S_i = E[s_i], per layer (n_l,)."""
        return tuple(layer.sensitivity for layer in self.layers)

    @property
    def mean(self) -> tuple[Array, ...]:
        """μ_ij = E[s_i a_j] / S_i, per layer (n_l, n_{l-1}); 0 where S_i = 0."""
        return tuple(layer.mean for layer in self.layers)

    @property
    def variance(self) -> tuple[Array, ...]:
        """v_ij = E[s_i (a_j − μ_ij)²], per layer (n_l, n_{l-1})."""
        return tuple(layer.variance for layer in self.layers)

    @property
    def second_moment(self) -> tuple[Array, ...]:
        """E[s_i a_j²] = v_ij + S_i μ_ij², per layer (n_l, n_{l-1})."""
        return tuple(m.variance + m.sensitivity[:, np.newaxis] * m.mean**2 for m in self.layers)

    def merge(self, other: Moments) -> Moments:
        """The moments of both sets of samples together, in any order the same up to rounding (EC-7.5).

        Raises
        ------
        TypeError, ValueError
            Where the two belong to different networks or metrics, or the sum of the weights overflows.

        Examples
        --------
        >>> mlp = ec.MLP([[[2.0, 1.0]]], [[0.0]])
        >>> ec.collect_moments(mlp, [[1.0, 5.0]]).merge(ec.collect_moments(mlp, [[3.0, 5.0]])).variance[0]
        array([[1., 0.]])
        """
        _checks.instance("other", other, Moments)
        ours, theirs = _checks.formats(self.variance), _checks.formats(other.variance)
        if ours != theirs:
            raise ValueError(f"other: expected moments with layers {ours}, got {theirs}")
        for what in ("metric", "fingerprint"):
            own, came = getattr(self, what), getattr(other, what)
            if own is not None and came is not None and own != came:
                names = f"{own!r}, got {came!r}" if what == "metric" else "the same network, got another's"
                raise ValueError(f"other: expected moments of {names}")
        total = self.total_weight + other.total_weight
        if not total < np.inf:
            raise ValueError(f"other: expected a finite sum of weights, got {self.total_weight} + {other.total_weight}")
        share = other.total_weight / total
        layers = tuple(a.merge(b, share) for a, b in zip(self.layers, other.layers))
        n_samples, metric = self.n_samples + other.n_samples, self.metric or other.metric
        return Moments(layers, n_samples, total, metric, self.fingerprint or other.fingerprint)

    def save(self, file: File) -> None:
        """Write `sensitivity_0, reference_0, ..., n_samples, total_weight` to an .npz file, whole or not at all.

        Raises
        ------
        TypeError
            Where `file` is not the path of a file.
        """
        arrays = {f"{name}_{l}": getattr(m, name) for l, m in enumerate(self.layers) for name in _FIELDS}
        counts = {"n_samples": np.array(self.n_samples), "total_weight": np.array(self.total_weight)}
        known = {name: np.array(value) for name in _ORIGIN if (value := getattr(self, name)) is not None}
        save_object(file, "Moments", arrays | counts | known)

    @classmethod
    def load(cls, file: File) -> Moments:
        """Read moments from an .npz file as `save` writes it; nothing is ever unpickled.

        Warns where the file, as those of version 0.1, does not say of which network or metric the moments are.

        Raises
        ------
        TypeError, ValueError
            Where the file is missing or damaged, or an array is missing or wrong; names the file and the array.
        """
        arrays, _ = load_object(file, "Moments")
        n_layers = count_layers(file, arrays, _FIELDS, ("n_samples", "total_weight"), _ORIGIN)
        with naming(file):
            metric, fingerprint = (text(name, arrays.pop(name)) if name in arrays else None for name in _ORIGIN)
            n_samples = _checks.integer("n_samples", arrays.pop("n_samples").tolist(), 1)
            positive = np.finfo(np.float64)
            weight = arrays.pop("total_weight").tolist()
            weight = _checks.number("total_weight", weight, float(positive.smallest_subnormal), float(positive.max))
            arrays = {name: _checks.real_array(name, array) for name, array in arrays.items()}
            layers = [LayerMoments(*(arrays[f"{name}_{l}"] for name in _FIELDS)) for l in range(n_layers)]
            for l, m in enumerate(layers):
                n_out, n_in = m.variance.shape if m.variance.ndim == 2 else (-1, -1)
                shapes = (m.sensitivity.shape, m.reference.shape, m.offset.shape)
                if shapes != ((n_out,), (n_in,), (n_out, n_in)) or (m.variance < 0).any() or (m.sensitivity < 0).any():
                    raise ValueError(f"expected moments, layer {l} has other shapes or a negative variance")
        unknown = [what for what, value in (("network", fingerprint), ("metric", metric)) if value is None]
        if unknown:
            of_which = f"of which {' and '.join(unknown)} they are"
            warnings.warn(f"{file}: moments that do not say {of_which}: not checked", stacklevel=2)
        return cls(tuple(layers), n_samples, weight, metric, fingerprint)


_FIELDS = tuple(field.name for field in fields(LayerMoments))
_ORIGIN = ("metric", "fingerprint")


def fingerprint(mlp: MLP) -> str:
    """What tells a network from others of its shape: a hash of its parameters, activations and dtype."""
    named = (mlp.shapes, mlp.activation, mlp.output_activation, str(mlp.dtype))
    digest = hashlib.blake2b(repr(named).encode(), digest_size=16)
    for a in (*mlp.weights, *mlp.biases):
        double = a.astype(np.float64, copy=False)
        digest.update(double.tobytes())
        if a.dtype == np.longdouble:  # whose unused bytes are arbitrary
            digest.update((a - double).astype(np.float64).tobytes())
    return digest.hexdigest()
