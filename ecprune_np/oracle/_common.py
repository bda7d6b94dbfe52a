"""What the oracles share among themselves, and with nobody else: arguments, evaluation, moments.

That the arithmetic of the fast path stands here once more, in other words, is on purpose.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any, get_args

import numpy as np

from .. import _checks
from .._types import Array, LossName, Metric, MetricName
from ..batch import Batch, Samples, gathered
from ..mlp import MLP
from ..scores import Scores

LOSSES = get_args(LossName)
STEP = 1e-200  # of the imaginary part: a product of two such vanishes


@dataclass(frozen=True, eq=False)
class Problem:
    """The network, samples, weights (summing to 1), metric and targets, in double precision or better."""

    mlp: MLP
    x: Array
    weight: Array
    metric: Metric
    y: Array | None

    @property
    def n_samples(self) -> int:
        return len(self.x)

    @property
    def dtype(self) -> np.dtype[Any]:
        return self.mlp.dtype


def problem(mlp: MLP, x: Samples, metric: Metric) -> Problem:
    """The checked arguments of an oracle, all batches as one; float32 is raised to float64."""
    batch = given_batch(mlp, x, metric)
    if mlp.dtype == np.float32:
        mlp = mlp.astype(np.float64)
    weight = batch.sample_weight.astype(mlp.dtype)
    y = None if batch.y is None else batch.y.astype(mlp.dtype)
    return Problem(mlp, batch.x.astype(mlp.dtype), weight / weight.sum(), metric, y)


def given_batch(mlp: MLP, x: Samples, metric: Metric) -> Batch:
    """The samples, weights and targets that an oracle is given, checked, all batches as one."""
    _checks.instance("mlp", mlp, MLP)
    if not callable(metric):
        _checks.one_of("metric", metric, get_args(MetricName))
    if metric in ("softmax", "fisher", "cross_entropy") and mlp.output_activation == "sigmoid":
        raise ValueError(
            f'metric "{metric}": expected a network that ends in logits, got one that ends in sigmoid; '
            'dataclasses.replace(mlp, output_activation="identity") has its logits'
        )
    batch = gathered(x, mlp.sizes[0], mlp.dtype, partial(_targets, mlp, metric) if metric in LOSSES else None)
    weight = np.ones(len(batch.x)) if batch.sample_weight is None else batch.sample_weight
    return Batch(batch.x, weight, batch.y)


def _targets(mlp: MLP, metric: Metric, y: Any, n_samples: int) -> Array:
    if y is None:
        raise ValueError(f'y: metric "{metric}" needs targets, got None; hand over ec.Batch(x, y=y)')
    n_outputs = mlp.sizes[-1]
    array, dtype = _checks.as_array("y", y), np.promote_types(mlp.dtype, np.float64)
    if metric == "cross_entropy" and array.ndim == 1 and array.dtype.kind in "iub":
        n_classes = max(n_outputs, 2)  # one logit is of two classes
        if len(array) != n_samples:
            raise ValueError(f"y: expected shape ({n_samples},), got {array.shape}")
        for n, label in enumerate(array):
            if not 0 <= label < n_classes:
                raise ValueError(f"y: expected labels from 0 to {n_classes - 1}, got {label} at [{n}]")
        return np.array([[float(k == label) for k in range(n_classes)] for label in array], dtype)
    if array.shape != (n_samples, n_outputs):
        raise ValueError(f"y: expected shape ({n_samples}, {n_outputs}), got {array.shape}")
    array = _checks.real_array("y", array, dtype)
    if metric == "cross_entropy":
        for n, row in enumerate(array):
            if min(row) < 0 or max(row) > 1 + 1e-5 or (n_outputs > 1 and abs(sum(row) - 1) > 1e-5):
                raise ValueError(f"y: expected probabilities of classes that sum to 1, got {row.tolist()} in row {n}")
        if n_outputs == 1:  # the probability of class 1
            array = np.array([[1 - p, p] for (p,) in array], dtype)
    return array


def evaluate_from(mlp: MLP, layer: int, z: Array) -> Array:
    """The outputs, given the preactivations z of a layer; z may be complex."""
    for l in range(layer, mlp.n_layers):
        a = mlp.layer_activation(l).value(z)
        if l + 1 < mlp.n_layers:
            z = a @ mlp.weights[l + 1].T + mlp.biases[l + 1]
    return a


def inputs_and_preactivations(mlp: MLP, x: Array) -> tuple[list[Array], list[Array]]:
    """What each layer receives, and what it makes of it before its activation."""
    inputs, preactivations = [x], []
    with _checks.overflow_raised_later():
        for l in range(mlp.n_layers):
            preactivations.append(inputs[l] @ mlp.weights[l].T + mlp.biases[l])
            inputs.append(mlp.layer_activation(l).value(preactivations[l]))
    _checks.no_overflow("forward", [*preactivations, inputs[-1]])
    return inputs[:-1], preactivations


def embedding(p: Problem, outputs: Array) -> Array:
    """φ(f) whose squared Euclidean change is the metric to first order, shape (..., R) (EC-4.8, EC-4.5, EC-4.6).

    f itself; the probabilities p; 2√p, whose squared change is Σ (Δp)²/p; the loss of a sample.
    Analytic in the outputs, for the complex step.
    """
    if p.metric == "softmax":
        return _probabilities(all_logits(outputs))
    if p.metric == "fisher":
        return 2 * np.sqrt(_probabilities(all_logits(outputs)))
    if p.metric == "mse":
        assert p.y is not None
        squared: Array = ((outputs - p.y) ** 2).mean(axis=-1, keepdims=True)
        return squared
    if p.metric == "cross_entropy":
        assert p.y is not None
        logits = all_logits(outputs)
        shifted = logits - logits.real.max(axis=-1, keepdims=True)
        log_sum = np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
        entropy: Array = (p.y * (log_sum - shifted)).sum(axis=-1, keepdims=True)
        return entropy
    return outputs


def linear_metric(p: Problem, outputs: Array) -> Array | None:
    """The cotangents of a metric given as a callable, (R, N, K), which φ_r = c_rᵀ f embeds; else None."""
    if not callable(p.metric):
        return None
    c = _checks.real_array("metric(outputs)", p.metric(outputs.copy()), p.dtype)
    if c.ndim != 3 or c.shape[1:] != outputs.shape or len(c) == 0:
        n_samples, n_outputs = outputs.shape
        raise ValueError(f"metric(outputs): expected shape (R, {n_samples}, {n_outputs}), got {c.shape}")
    return c


def all_logits(outputs: Array) -> Array:
    """(0, z) for one logit z, else the outputs; in the last axis."""
    return outputs if outputs.shape[-1] > 1 else np.concatenate([0 * outputs, outputs], axis=-1)


def _probabilities(outputs: Array) -> Array:
    """p_r = 1 / Σ_m e^(f_m − f_r), scaled against overflow; its derivative cancels nowhere, even at p_r ≈ 1."""
    difference = outputs[..., np.newaxis, :] - outputs[..., :, np.newaxis]
    largest = difference.real.max(axis=-1)
    own = np.exp(-largest)
    e = np.exp(difference - largest[..., np.newaxis])
    r = np.arange(outputs.shape[-1])
    e[..., r, r] = own  # e^(f_r − f_r), a constant: no imaginary part enters
    probabilities: Array = own / e.sum(axis=-1)
    return probabilities


def two_pass_moments(weight: Array, s: Array, a: Array) -> tuple[Any, Any]:
    """μ = E[s a]/E[s] and v = E[s (a − μ)²] of one neuron i and one input j (EC-3.4, EC-3.5)."""
    total = (weight * s).sum()
    if total == 0:
        return total, total
    mean = (weight * s * a).sum() / total
    mean = mean + (weight * s * (a - mean)).sum() / total  # the rounding of the first mean
    return mean, (weight * s * (a - mean) ** 2).sum()


def scores_from_sensitivities(p: Problem, inputs: list[Array], sensitivities: list[Array]) -> Scores:
    """δ* = w μ and I = w² v, weight by weight, from s of shape (N, n_l) per layer (EC-3.4, EC-3.5)."""
    importance = [np.zeros_like(w) for w in p.mlp.weights]
    bias_shift = [np.zeros_like(w) for w in p.mlp.weights]
    for l, weights in enumerate(p.mlp.weights):
        for i in range(weights.shape[0]):
            for j in range(weights.shape[1]):
                mean, variance = two_pass_moments(p.weight, sensitivities[l][:, i], inputs[l][:, j])
                importance[l][i, j] = weights[i, j] ** 2 * variance
                bias_shift[l][i, j] = weights[i, j] * mean
    _checks.no_overflow("importance", importance)
    return Scores(importance, bias_shift)
