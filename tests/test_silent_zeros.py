"""Importances that are all 0, though inputs vary, are said: once, with the layers and the reason."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import networks
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import ecprune_np as ec

DEAD = "no output listens to any of its neurons (dead or saturated on these samples, or too weak for {})"
UNDERFLOW = "they underflow in {} (rescale the inputs, or use a wider dtype)"
WITHOUT_TAILS = ["elu", "identity", "leaky_relu", "relu", "sin", "tanh"]  # whose values no bias makes all but 0
SMOOTH = ["gelu", "sigmoid", "silu", "sin", "softplus", "tanh"]


def said(call: Callable[[], Any], of_own_line: bool = True) -> list[str]:
    """What a call warns of, as a warning of the line that calls."""
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        call()
    assert all(warning.category is UserWarning for warning in seen)
    assert not of_own_line or {warning.filename for warning in seen} <= {__file__}
    return [str(warning.message) for warning in seen]


def said_of_scores(mlp: ec.MLP, x: Any, metric: Any = "output") -> list[str]:
    """What the scores warn of: the same of samples, as of moments, whose collection says nothing."""
    of_samples = said(lambda: ec.elimination_compensation(mlp, x, metric))
    moments: list[ec.Moments] = []
    assert said(lambda: moments.append(ec.collect_moments(mlp, x, metric))) == []
    assert said(lambda: ec.elimination_compensation(mlp, moments[0])) == of_samples
    return of_samples


def warning(**layers: str) -> str:
    """layer_0="...": the text of the one warning."""
    return "all importances are 0 in " + "; ".join(f"{l.replace('_', ' ')}: {reason}" for l, reason in layers.items())


def with_biases(mlp: ec.MLP, l: int, value: Any) -> ec.MLP:
    biases = [*mlp.biases]
    biases[l] = np.full_like(biases[l], value)
    return mlp.replace(mlp.weights, biases)


def test_inputs_too_small_for_float32() -> None:
    d = networks.make([4, 3], dtype=np.float32)
    tiny = np.float32(1e-30) * d.x
    assert said_of_scores(d.mlp, tiny) == [warning(layer_0=UNDERFLOW.format("float32"))]
    assert said_of_scores(d.mlp.astype(np.float64), tiny) == []
    assert said_of_scores(d.mlp, tiny * np.float32(1e30)) == []


def test_inputs_too_small_for_float64() -> None:
    d = networks.make([4, 3])
    assert said_of_scores(d.mlp, 1e-200 * d.x) == [warning(layer_0=UNDERFLOW.format("float64"))]


def test_weights_too_small_for_float32() -> None:
    """w² v is 0, where neither w nor v is."""
    d = networks.make([4, 3], dtype=np.float32)
    mlp = d.mlp.replace([np.float32(1e-30) * d.mlp.weights[0]], d.mlp.biases)
    assert said_of_scores(mlp, d.x) == [warning(layer_0=UNDERFLOW.format("float32"))]


def test_outputs_too_weak_for_float32() -> None:
    """Derivatives of 1e-30, whose squares are 0, are no dead neurons; the message says so."""
    d = networks.make([4, 3, 2], dtype=np.float32)
    mlp = d.mlp.replace([d.mlp.weights[0], np.float32(1e-30) * d.mlp.weights[1]], d.mlp.biases)
    expected = warning(layer_0=DEAD.format("float32"), layer_1=UNDERFLOW.format("float32"))
    assert said_of_scores(mlp, d.x) == [expected]


def test_a_dead_layer_and_those_below_it_in_one_warning() -> None:
    """Above it the inputs are constant: all of it is free, and that is right."""
    d = networks.make([4, 3, 3, 2], "relu")
    dead = DEAD.format("float64")
    assert said_of_scores(with_biases(d.mlp, 1, -1e3), d.x) == [warning(layer_0=dead, layer_1=dead)]
    assert said_of_scores(with_biases(with_biases(d.mlp, 0, -1e3), 1, 1), d.x) == [warning(layer_0=dead)]


def test_dead_outputs() -> None:
    d = networks.make([4, 3, 2], "tanh", "relu")
    dead = DEAD.format("float64")
    assert said_of_scores(with_biases(d.mlp, 1, -1e3), d.x) == [warning(layer_0=dead, layer_1=dead)]


def test_saturated_neurons() -> None:
    d = networks.make([4, 3, 2], "tanh")
    assert said_of_scores(with_biases(d.mlp, 0, 1e4), d.x) == [warning(layer_0=DEAD.format("float64"))]


@pytest.mark.parametrize("metric", ["softmax", "fisher", "cross_entropy"])
@pytest.mark.parametrize("n_outputs", [1, 3])
def test_saturated_probabilities(metric: Any, n_outputs: int) -> None:
    """All samples are of the last class, with a probability that is 1."""
    d = networks.make([4, 3, n_outputs], "tanh")
    sure = d.mlp.replace(d.mlp.weights, [d.mlp.biases[0], [*np.zeros(n_outputs - 1), 1e4]])
    x = ec.Batch(d.x, y=np.full(len(d.x), max(n_outputs, 2) - 1))
    dead = DEAD.format("float64")
    assert said_of_scores(sure, x, metric) == [warning(layer_0=dead, layer_1=dead)]
    assert said_of_scores(sure, x, "output") == []


def test_targets_that_are_fitted_exactly() -> None:
    """Then no loss has a slope."""
    d = networks.make([4, 3, 2], "tanh")
    dead = DEAD.format("float64")
    assert said_of_scores(d.mlp, ec.Batch(d.x, y=d.mlp(d.x)), "mse") == [warning(layer_0=dead, layer_1=dead)]


def test_optimal_brain_damage_says_it_too() -> None:
    d = networks.make([4, 3, 2], "tanh", dtype=np.float32)
    tiny = np.float32(1e-30) * d.x
    assert said(lambda: ec.criteria.obd(d.mlp, tiny)) == [warning(layer_0=UNDERFLOW.format("float32"))]
    saturated = with_biases(d.mlp, 0, 1e4)
    assert said(lambda: ec.criteria.obd(saturated, d.x)) == [warning(layer_0=DEAD.format("float32"))]
    assert said(lambda: ec.criteria.obd(d.mlp, d.x)) == []
    assert said(lambda: ec.criteria.obd(d.mlp, np.ones_like(d.x))) == []  # what is constant costs without a shift


@pytest.mark.parametrize("criterion", [ec.elimination_compensation, ec.criteria.obd, ec.criteria.wanda])
def test_constant_inputs_too_small_for_float32_are_told_from_varying_ones(criterion: Any) -> None:
    """A shift answers to a constant, so that 0 is right; without one nothing does, and it is lost."""
    d = networks.make([4, 3], dtype=np.float32, n_samples=100)
    lost = [warning(layer_0=UNDERFLOW.format("float32"))]
    constant = np.full_like(d.x, 1e-30)
    varying = np.float32(1e-30) * d.x
    symmetric = np.where(np.arange(100)[:, np.newaxis] % 2 == 0, constant, -constant)
    half = np.where(np.arange(100)[:, np.newaxis] < 50, constant, -3 * constant)
    right = [] if criterion is ec.elimination_compensation else lost
    for x in (constant, [constant[:50], constant[50:]], constant[:1]):
        assert said(lambda x=x: criterion(d.mlp, x)) == right
    for x in (varying, symmetric, half, [half[:50], half[50:]], [varying[:1], varying[1:]]):
        assert said(lambda x=x: criterion(d.mlp, x)) == lost
    assert said(lambda: criterion(d.mlp, 0 * constant)) == []


def test_wanda_says_of_which_inputs_the_squares_are_nothing() -> None:
    d = networks.make([4, 3, 2], "tanh", dtype=np.float32)
    tiny = np.float32(1e-30) * d.x
    assert said(lambda: ec.criteria.wanda(d.mlp, tiny)) == [warning(layer_0=UNDERFLOW.format("float32"))]
    assert said(lambda: ec.criteria.wanda(d.mlp, [tiny, d.x])) == []
    weighted = ec.Batch(np.concatenate([0 * tiny, tiny]), [1] * len(tiny) + [0] * len(tiny))
    assert said(lambda: ec.criteria.wanda(d.mlp, weighted)) == []  # those that are seen are 0
    dead = with_biases(networks.make([4, 3, 2], "relu").mlp, 0, -1e3)
    assert said(lambda: ec.criteria.wanda(dead, d.x)) == []


def test_gradient_magnitude_says_where_the_loss_has_no_slope() -> None:
    slope = "the loss has no slope there (dead, saturated or fitted exactly on these samples, or too weak for {})"
    d = networks.make([4, 3, 2], "tanh", dtype=np.float32)
    y = d.targets("mse")

    def of(mlp: ec.MLP, x: Any, y: Any) -> list[str]:
        return said(lambda: ec.criteria.gradient_magnitude(mlp, x, y))

    assert of(d.mlp, d.x, y) == []
    assert of(with_biases(d.mlp, 0, 1e4), d.x, y) == [warning(layer_0=slope.format("float32"))]
    both = slope.format("float32")
    assert of(d.mlp, d.x, d.mlp(d.x)) == [warning(layer_0=both, layer_1=both)]
    assert of(d.mlp, 0 * d.x, y) == []  # which is right: inputs that are 0 do nothing
    small = d.mlp.replace([np.float32(1e-30) * d.mlp.weights[0], d.mlp.weights[1]], d.mlp.biases)
    assert of(small, np.float32(1e-20) * d.x, y) == [warning(layer_0=UNDERFLOW.format("float32"))]


@pytest.mark.parametrize("criterion", [ec.criteria.obs, ec.criteria.obc])
def test_surgeons_say_it_too(criterion: Any) -> None:
    d = networks.make([4, 2, 3], "tanh", dtype=np.float32, n_samples=60)  # no neuron can replace another
    tiny = np.float32(1e-30) * d.x
    assert said(lambda: criterion(d.mlp, d.x)) == []
    assert said(lambda: criterion(d.mlp, tiny)) == [warning(layer_0=UNDERFLOW.format("float32"))]
    assert said(lambda: criterion(with_biases(d.mlp, 0, 1e4), d.x)) == [warning(layer_0=DEAD.format("float32"))]
    assert said(lambda: criterion(d.mlp, np.ones_like(d.x))) == []  # a bias can replace each weight


def test_certificates_and_oracles_do_not_repeat_it() -> None:
    d = networks.make([4, 3, 2], "tanh", dtype=np.float32)
    saturated = with_biases(d.mlp, 0, 1e4)
    for call in (ec.oracle.certify, ec.oracle.loops, ec.oracle.complex_step):
        assert said(lambda call=call: call(saturated, d.x)) == []


@pytest.mark.parametrize("steps", [1, 5])
def test_iterative_pruning_says_it_once(steps: int) -> None:
    d = networks.make([4, 6, 2], "tanh")
    saturated = with_biases(d.mlp, 0, 1e4)
    expected = [warning(layer_0=DEAD.format("float64"))]
    assert said(lambda: ec.prune_iteratively(saturated, d.x, 0.6, steps=steps), of_own_line=False) == expected
    assert said(lambda: ec.prune_iteratively(d.mlp, d.x, 0.9, steps=steps)) == []


@pytest.mark.parametrize("value", [0, 1, -1e3])
def test_constant_inputs_are_silent(value: float) -> None:
    """EC-3.5: an importance of 0 is right."""
    d = networks.make([4, 3, 2], "tanh")
    x = np.full_like(d.x, value)
    mlp = d.mlp.replace([d.mlp.weights[0] / (1 + abs(value)), d.mlp.weights[1]], d.mlp.biases)
    assert said_of_scores(mlp, x) == []
    assert not any(i.any() for i in ec.elimination_compensation(mlp, x).importance)


def test_one_sample_is_silent() -> None:
    d = networks.make([4, 3, 2], "tanh", n_samples=1)
    assert said_of_scores(d.mlp, d.x) == []


def test_weights_that_are_all_0_are_silent() -> None:
    """No weight is left of which anything could be said."""
    d = networks.make([4, 3, 2], "tanh")
    assert said_of_scores(d.mlp.replace([0 * w for w in d.mlp.weights], d.mlp.biases), d.x) == []


@given(networks.networks(SMOOTH, SMOOTH, logits=True), st.sampled_from(["output", "softmax", "fisher"]))
def test_healthy_networks_are_silent(d: networks.Drawn, metric: Any) -> None:
    assert said_of_scores(d.mlp, d.x, metric) == []


@given(networks.networks(WITHOUT_TAILS), st.sampled_from([1.0, 30.0]))
def test_the_layers_are_those_that_no_output_listens_to(d: networks.Drawn, scale: float) -> None:
    """The layers without any sensitivity are named, and no other: constant layers above them are not."""
    mlp = d.mlp.replace(d.mlp.weights, [scale * b for b in d.mlp.biases])
    deaf = [l for l, s in enumerate(ec.collect_moments(mlp, d.x).sensitivity) if not s.any()]
    expected = warning(**{f"layer_{l}": DEAD.format("float64") for l in deaf})
    assert said_of_scores(mlp, d.x) == ([expected] if deaf else [])
