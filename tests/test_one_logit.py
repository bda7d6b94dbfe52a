"""One logit z is the two logits (0, z): in losses, gradients, accuracy, metrics, oracles; and a sigmoid is none."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from networks import ACTIVATIONS, Drawn, batch, make, networks
from numpy.testing import assert_allclose
from taylor import observed_order

import ecprune_np as ec
from ecprune_np.error_analysis.comparison import worst_error

OF_LOGITS = ["softmax", "fisher", "cross_entropy"]
ZERO_AT_ZERO = [a for a in ACTIVATIONS if a not in ("sigmoid", "softplus")]  # after which a row of zeros is a logit 0
SMOOTH = ["gelu", "identity", "silu", "sin", "tanh"]


def one_logit(d: Drawn) -> Drawn:
    """The drawn network with the first of its outputs, its labels 0 and 1."""
    mlp = d.mlp.replace(
        [*d.mlp.weights[:-1], d.mlp.weights[-1][:1]],
        [*d.mlp.biases[:-1], d.mlp.biases[-1][:1]],
    )
    return replace(d, mlp=mlp, labels=d.labels % 2)


def classifiers(**options: Any) -> st.SearchStrategy[Drawn]:
    """Networks of any architecture with one logit."""
    return networks(output_activations=ZERO_AT_ZERO, **options).map(one_logit)


def two_logits(mlp: ec.MLP) -> ec.MLP:
    """The network with the logits (0, z): a first row of zeros."""
    weights, biases = mlp.weights[-1], mlp.biases[-1]
    return mlp.replace(
        [*mlp.weights[:-1], np.concatenate([np.zeros_like(weights), weights])],
        [*mlp.biases[:-1], np.concatenate([np.zeros_like(biases), biases])],
    )


def shared(layers: Sequence[np.ndarray]) -> list[np.ndarray]:
    """What is of the network with one logit: in the last layer, the second row."""
    return [*layers[:-1], layers[-1][1:]]


def probabilities(d: Drawn) -> np.ndarray:
    """Of class 1, shape (N, 1), with both ends."""
    p = np.random.default_rng([d.seed, 2]).random((len(d.x), 1))
    p[0], p[-1] = 0, 1
    return p


@given(classifiers(), st.booleans())
def test_losses_and_gradients_are_those_of_two_logits(d: Drawn, labelled: bool) -> None:
    """EC-2.7, EC-2.5, EC-2.6."""
    p = probabilities(d)
    y, y_two = (d.labels, d.labels) if labelled else (p, np.concatenate([1 - p, p], axis=1))
    value, gradient = ec.loss_gradient(d.mlp, d.x, y, "cross_entropy")
    expected, expected_gradient = ec.loss_gradient(two_logits(d.mlp), d.x, y_two, "cross_entropy")
    assert value == pytest.approx(expected, rel=1e-14, abs=1e-15)
    assert ec.mean_loss(d.mlp, d.x, y, "cross_entropy") == value
    for got, wanted in (
        *zip(gradient.weights, shared(expected_gradient.weights)),
        *zip(gradient.biases, shared(expected_gradient.biases)),
    ):
        assert_allclose(got, wanted, rtol=1e-10, atol=1e-13 * (1 + np.abs(wanted).max()))


@given(classifiers())
def test_the_loss_is_as_it_is_written(d: Drawn) -> None:
    """EC-2.7: log(1 + e^z) − y z, ∂ℓ/∂z = p − y."""
    z, p = d.mlp(d.x), probabilities(d)
    for y, target in ((d.labels, d.labels[:, np.newaxis]), (p, p)):
        written = np.mean(np.logaddexp(0, z) - target * z)
        scale = 1 + np.abs(z).max()
        assert ec.mean_loss(d.mlp, d.x, y, "cross_entropy") == pytest.approx(written, rel=1e-12, abs=1e-15 * scale)
        neuron, logits = ec.MLP([[[1.0]]], [[0.0]]), z[:1]
        _, gradient = ec.loss_gradient(neuron, logits, y[:1], "cross_entropy")
        slope = 1 / (1 + np.exp(-logits)) - target[:1]
        assert_allclose(gradient.biases[0], slope[0], rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("activation", SMOOTH)
@pytest.mark.parametrize("labelled", [True, False])
def test_the_gradient_leaves_a_remainder_of_second_order(activation: str, labelled: bool) -> None:
    """EC-2.7."""
    d = one_logit(make([4, 5, 2], activation, seed=2))
    y = d.labels if labelled else probabilities(d)
    _, gradient = ec.loss_gradient(d.mlp, d.x, y, "cross_entropy")
    rng = np.random.default_rng(0)
    moves = [rng.standard_normal(a.shape) / 4 for a in (*d.mlp.weights, *d.mlp.biases)]

    def loss(h: float) -> np.ndarray:
        moved = [a + h * move for a, move in zip((*d.mlp.weights, *d.mlp.biases), moves)]
        return np.array(ec.mean_loss(d.mlp.replace(moved[:2], moved[2:]), d.x, y, "cross_entropy"))

    slope = np.array(sum(np.sum(g * move) for g, move in zip((*gradient.weights, *gradient.biases), moves)))
    order = observed_order(loss, slope)
    assert 1.9 < order < 2.2, order


@pytest.mark.parametrize("z", [-40.0, -2.0, 0.0, 0.5, 40.0])
def test_ec_4_5_and_ec_4_6_hold_for_any_logit(z: float) -> None:
    """2 p² (1 − p)², p (1 − p), and EC-2.7's p − y: with all digits where p is 1 but for 4e-18."""
    neuron, p, q = ec.MLP([[[1.0]]], [[0.0]]), 1 / (1 + np.exp(-z)), 1 / (1 + np.exp(z))
    for metric, y, expected in (
        ("softmax", None, 2 * (p * q) ** 2),
        ("fisher", None, p * q),
        ("cross_entropy", [1], q**2),
        ("cross_entropy", [0], p**2),
    ):
        sensitivity = ec.collect_moments(neuron, ec.Batch([[z]], y=y), metric).sensitivity[0][0]
        assert sensitivity == pytest.approx(expected, rel=1e-13, abs=0), (metric, y)


def test_fisher_is_twice_the_divergence_of_the_coin_to_second_order() -> None:
    """EC-4.6, EC-4.4: KL(p(z) ‖ p(z + η)) − p (1 − p) η²/2 is of third order, and at most η³/(36 √3)."""
    z, p = 0.7, 1 / (1 + np.exp(-0.7))
    neuron = ec.MLP([[[1.0]]], [[0.0]])
    fisher = ec.collect_moments(neuron, [[z]], "fisher").sensitivity[0][0]
    remainders = []
    for eta in (0.1, 0.05, 0.025):
        divergence = ec.mean_loss(neuron, [[z + eta]], [[p]], "cross_entropy")
        divergence -= ec.mean_loss(neuron, [[z]], [[p]], "cross_entropy")
        remainders.append(abs(divergence - fisher * eta**2 / 2))
        assert remainders[-1] <= eta**3 / 36 / 3**0.5
    orders = np.log2(np.divide(remainders[:-1], remainders[1:]))
    assert (orders > 2.8).all(), orders


@given(classifiers(), st.sampled_from(OF_LOGITS))
def test_importances_and_shifts_are_those_of_two_logits(d: Drawn, metric: Any) -> None:
    """EC-2.7, EC-4.5, EC-4.6."""
    moments = ec.collect_moments(d.mlp, batch(d, metric), metric)
    two = ec.elimination_compensation(two_logits(d.mlp), batch(d, metric), metric)
    expected = ec.Scores(shared(two.importance), shared(two.bias_shift))
    error = max(worst_error(ec.elimination_compensation(d.mlp, moments), expected, d.mlp, moments))
    assert error < 1e-12, error


@given(classifiers(max_layers=3), st.sampled_from(OF_LOGITS))
def test_oracles_agree_with_the_scores(d: Drawn, metric: Any) -> None:
    """EC-9.1, EC-9.4, EC-4.5, EC-4.6."""
    x = batch(d, metric)
    moments = ec.collect_moments(d.mlp, x, metric)
    scores = ec.elimination_compensation(d.mlp, moments)
    for oracle, most in ((ec.oracle.loops, 1e-12), (ec.oracle.complex_step, 1e-11)):
        error = max(worst_error(scores, oracle(d.mlp, x, metric), d.mlp, moments))
        assert error < most, (oracle.__name__, error)


@given(classifiers(activations=SMOOTH, max_layers=3, max_width=4, max_samples=10), st.sampled_from(OF_LOGITS))
def test_finite_differences_agree_with_the_scores(d: Drawn, metric: Any) -> None:
    """EC-9.2."""
    d = replace(d, mlp=replace(d.mlp, output_activation="identity"))
    moments = ec.collect_moments(d.mlp, batch(d, metric), metric)
    estimate = ec.oracle.finite_differences(d.mlp, batch(d, metric), metric)
    error = max(worst_error(ec.elimination_compensation(d.mlp, moments), estimate, d.mlp, moments))
    assert error < 1e-6, error


@pytest.mark.parametrize("metric", OF_LOGITS)
def test_what_is_removed_costs_what_two_logits_lose(metric: Any) -> None:
    """EC-9.5: the loss of what is really computed, without linearisation, is that of the two logits too."""
    d = one_logit(make([3, 4, 2], seed=4))
    one, two = (ec.oracle.nonlinear(mlp, batch(d, metric), metric) for mlp in (d.mlp, two_logits(d.mlp)))
    for got, wanted in (
        *zip(one.importance, shared(two.importance)),
        *zip(one.bias_shift, shared(two.bias_shift)),
    ):
        assert_allclose(got, wanted, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("metric", OF_LOGITS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_certified_digits_are_there(metric: Any, dtype: Any) -> None:
    """EC-9.9: float32 has more than three digits, float64 more than ten; and no more is claimed than is measured."""
    d = one_logit(make([4, 5, 2], dtype=dtype, seed=1))
    if ec.oracle.wider_format(d.mlp.dtype) is None:
        pytest.skip("longdouble is float64 on this platform")
    found = ec.oracle.certify(d.mlp, batch(d, metric), metric)
    for measured, bound in (
        *zip(found.importance_digits, found.importance_bound),
        *zip(found.bias_shift_digits, found.bias_shift_bound),
    ):
        assert measured.min() > (3 if dtype == np.float32 else 10)
        assert (bound <= measured + 1e-6).all() and bound.min() > (1 if dtype == np.float32 else 8)


@given(classifiers())
def test_accuracy_is_by_the_sign_and_that_of_two_logits(d: Drawn) -> None:
    right = (d.mlp(d.x)[:, 0] > 0) == d.labels
    for samples, expected in (
        (ec.Batch(d.x, y=d.labels), np.mean(right)),
        (ec.Batch(d.x, d.sample_weight, d.labels), np.average(right, weights=d.sample_weight)),
    ):
        assert ec.accuracy(d.mlp, samples) == pytest.approx(expected, abs=1e-14)
        assert ec.accuracy(two_logits(d.mlp), samples) == ec.accuracy(d.mlp, samples)


def test_a_logit_of_zero_is_class_0_as_of_two_equal_logits() -> None:
    x = ec.Batch([[0.0], [0.0], [0.0]], y=[0, 0, 1])
    neuron = ec.MLP([[[1.0]]], [[0.0]])
    assert ec.accuracy(neuron, x) == ec.accuracy(two_logits(neuron), x) == pytest.approx(2 / 3)


def test_one_logit_learns_what_a_line_tells() -> None:
    """EC-2.7, EC-2.6: the gradient leads both optimizers to the line between the classes."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((200, 2))
    y = (x[:, 0] + 2 * x[:, 1] > 0).astype(int)
    start = ec.MLP.initialize([2, 1], seed=0)
    for options in ({"optimizer": "lbfgs"}, {"learning_rate": 0.05}):
        trained = ec.train(start, x, y, "cross_entropy", epochs=50, **options)
        assert ec.accuracy(trained, ec.Batch(x, y=y)) > 0.98, options
        w = trained.weights[0][0]
        assert w[1] / w[0] == pytest.approx(2, rel=0.1), options


@pytest.mark.parametrize("metric", OF_LOGITS)
def test_a_pruned_classifier_still_classifies(metric: Any) -> None:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((300, 4))
    y = (x[:, 0] > 0).astype(int)
    start = ec.MLP.initialize([4, 8, 1], "tanh", seed=0)
    trained = ec.train(start, x, y, "cross_entropy", epochs=30, learning_rate=0.02)
    pruned = ec.prune_iteratively(trained, ec.Batch(x, y=y), 0.5, steps=5, metric=metric)
    assert ec.accuracy(trained, ec.Batch(x, y=y)) > 0.97
    assert ec.accuracy(pruned.mlp, ec.Batch(x, y=y)) > 0.95


SIGMOID = make([4, 3, 1], "tanh", "sigmoid")
KEPT = [np.ones((3, 4), bool), np.ones((1, 3), bool)]
CALLS: dict[str, Callable[[ec.MLP, ec.Batch, Any], Any]] = {
    "collect_moments": ec.collect_moments,
    "elimination_compensation": ec.elimination_compensation,
    "prune_iteratively": lambda mlp, b, metric: ec.prune_iteratively(mlp, b, 0.5, steps=2, metric=metric),
    "obd": ec.criteria.obd,
    "obs": ec.criteria.obs,
    "obc": ec.criteria.obc,
    "loops": ec.oracle.loops,
    "complex_step": ec.oracle.complex_step,
    "finite_differences": ec.oracle.finite_differences,
    "exact": ec.oracle.exact,
    "nonlinear": ec.oracle.nonlinear,
    "certify": ec.oracle.certify,
    "refit_biases": lambda mlp, b, metric: ec.oracle.refit_biases(ec.Pruned(mlp, KEPT), mlp, b, metric),
    "true_change": lambda mlp, b, metric: ec.oracle.true_change(mlp, mlp, b, metric),
    "joint": lambda mlp, b, metric: ec.prune(
        mlp, ec.criteria.magnitude(mlp), 0.5, compensation="joint", x=b, metric=metric
    ),
}
OF_THE_LOSS: dict[str, Callable[[ec.MLP, ec.Batch], Any]] = {
    "accuracy": ec.accuracy,
    "mean_loss": lambda mlp, b: ec.mean_loss(mlp, b.x, b.y, "cross_entropy"),
    "loss_gradient": lambda mlp, b: ec.loss_gradient(mlp, b.x, b.y, "cross_entropy"),
    "train": lambda mlp, b: ec.train(mlp, b.x, b.y, "cross_entropy", epochs=1),
    "gradient_magnitude": lambda mlp, b: ec.criteria.gradient_magnitude(mlp, b.x, b.y, "cross_entropy"),
}
REFUSED = re.escape(
    "expected a network that ends in logits, got one that ends in sigmoid; "
    'dataclasses.replace(mlp, output_activation="identity") has its logits'
)
LOGITS = dataclasses.replace(SIGMOID.mlp, output_activation="identity")


@pytest.mark.parametrize("metric", OF_LOGITS)
@pytest.mark.parametrize("name", CALLS)
def test_metrics_of_logits_refuse_a_final_sigmoid_and_the_remedy_works(name: str, metric: Any) -> None:
    if name == "exact":
        pytest.importorskip("mpmath", reason="needs mpmath (extra `exact`)")
    samples = batch(SIGMOID, metric)
    with pytest.raises(ValueError, match=f'^metric "{metric}": {REFUSED}'):
        CALLS[name](SIGMOID.mlp, samples, metric)
    CALLS[name](LOGITS, samples, metric)


@pytest.mark.parametrize("name", OF_THE_LOSS)
def test_cross_entropy_and_accuracy_refuse_a_final_sigmoid_and_the_remedy_works(name: str) -> None:
    samples = ec.Batch(SIGMOID.x, y=SIGMOID.labels)
    with pytest.raises(ValueError, match=f'^(accuracy|loss "cross_entropy"): {REFUSED}$'):
        OF_THE_LOSS[name](SIGMOID.mlp, samples)
    OF_THE_LOSS[name](LOGITS, samples)


def test_the_logits_of_a_sigmoid_network_have_its_probabilities() -> None:
    """Its own outputs as targets leave no gradient: they are the probabilities of class 1."""
    p = SIGMOID.mlp(SIGMOID.x)
    _, gradient = ec.loss_gradient(LOGITS, SIGMOID.x, p, "cross_entropy")
    assert max(float(np.abs(g).max()) for g in (*gradient.weights, *gradient.biases)) < 1e-15
    labels = (p[:, 0] > 0.5).astype(int)
    assert ec.accuracy(LOGITS, ec.Batch(SIGMOID.x, y=labels)) == 1
    assert 0 < labels.sum() < len(labels)


@given(networks(output_activations=["sigmoid"], max_layers=3), st.sampled_from(["output", "mse"]))
def test_a_final_sigmoid_stays_what_it_is(d: Drawn, metric: Any) -> None:
    """EC-4.1, EC-4.7: as the last activation, for the metrics of outputs."""
    moments = ec.collect_moments(d.mlp, batch(d, metric), metric)
    loops = ec.oracle.loops(d.mlp, batch(d, metric), metric)
    error = max(worst_error(ec.elimination_compensation(d.mlp, moments), loops, d.mlp, moments))
    assert error < 1e-11, error


def test_an_accuracy_of_samples_that_count_nothing_is_none() -> None:
    nothing = ec.Batch(SIGMOID.x, np.zeros(len(SIGMOID.x)), SIGMOID.labels)
    with pytest.raises(ValueError, match=r"^sample_weight: expected a positive, finite sum, got 0\.0"):
        ec.accuracy(LOGITS, [nothing])
