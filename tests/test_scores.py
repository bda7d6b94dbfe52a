"""EC-3: the scores against every oracle, and the properties that follow from the formula."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from networks import ACTIVATIONS, METRICS, Drawn, batch, make, networks

import ecprune_np as ec
from ecprune_np.error_analysis.comparison import digits, relative_error, scales, worst_error

SMOOTH = [a for a in ACTIVATIONS if a not in ("relu", "leaky_relu", "elu")]


def disagreement(oracle: Any, mlp: ec.MLP, x: Any, metric: Any = "output") -> float:
    """The worst error of the fast path against an oracle, on the comparison scale (EC-7.9)."""
    moments = ec.collect_moments(mlp, x, metric)
    return max(worst_error(ec.elimination_compensation(mlp, moments), oracle(mlp, x, metric), mlp, moments))


@given(networks(logits=True), st.sampled_from(METRICS))
def test_scores_agree_with_loops(d: Drawn, metric: str) -> None:
    """EC-9.1, EC-3.4, EC-3.5, EC-4.1 to EC-4.3, EC-4.7: to 1e-12 on every drawn network."""
    error = disagreement(ec.oracle.loops, d.mlp, batch(d, metric), metric)
    assert error < 1e-12, error


@given(networks(logits=True), st.sampled_from(METRICS))
def test_scores_agree_with_the_complex_step(d: Drawn, metric: str) -> None:
    """EC-9.4, EC-4.8: to 1e-11 on every drawn network."""
    error = disagreement(ec.oracle.complex_step, d.mlp, batch(d, metric), metric)
    assert error < 1e-11, error


@given(networks(max_layers=3, max_samples=10))
def test_one_output_and_no_weights_agree_too(d: Drawn) -> None:
    assert disagreement(ec.oracle.loops, d.mlp, d.x) < 1e-12
    assert disagreement(ec.oracle.complex_step, d.mlp, d.x) < 1e-11


@given(networks(SMOOTH, SMOOTH, max_layers=3, max_width=4, max_samples=10, logits=True), st.sampled_from(METRICS))
def test_scores_agree_with_finite_differences(d: Drawn, metric: str) -> None:
    """EC-9.2: to 1e-6 on every drawn network."""
    error = disagreement(ec.oracle.finite_differences, d.mlp, batch(d, metric), metric)
    assert error < 1e-6, error


@given(networks(["relu", "leaky_relu", "elu"], ["identity"], max_layers=3, max_width=4, max_samples=10))
def test_finite_differences_agree_away_from_kinks(d: Drawn) -> None:
    """EC-9.2: central differences need both sides of the kink to be one piece."""
    assume(min(np.abs(z).min() for z in ec.forward(d.mlp, d.x).preactivations) > 1e-3)
    error = disagreement(ec.oracle.finite_differences, d.mlp, d.x)
    assert error < 1e-6, error


def test_finite_differences_say_so_at_a_kink() -> None:
    """EC-9.2: at z = 0 the quotient is 1/2 for every step; the error estimate covers the truth, 0."""
    mlp = ec.MLP([[[1.0]], [[1.0]]], [[0.0], [0.0]], "relu")
    estimate = ec.oracle.finite_differences(mlp, [[0.0], [1.0], [2.0]])
    exact = ec.oracle.loops(mlp, [[0.0], [1.0], [2.0]])
    error = abs(estimate.importance[0][0, 0] - exact.importance[0][0, 0])
    assert 1e-3 < error <= estimate.importance_error[0][0, 0]
    shift_error = abs(estimate.bias_shift[0][0, 0] - exact.bias_shift[0][0, 0])
    assert 1e-3 < shift_error <= estimate.bias_shift_error[0][0, 0]


@given(networks(SMOOTH, ["identity"], max_layers=3, max_width=3, max_samples=6))
def test_the_estimated_error_covers_the_true_error(d: Drawn) -> None:
    """EC-9.2: with a floor at the rounding of the comparison itself."""
    estimate = ec.oracle.finite_differences(d.mlp, d.x)
    exact = ec.oracle.complex_step(d.mlp, d.x)
    for l in range(d.mlp.n_layers):
        floor = 1e-14 * (np.abs(exact.importance[l]) + d.mlp.weights[l] ** 2)
        assert (np.abs(estimate.importance[l] - exact.importance[l]) <= 4 * estimate.importance_error[l] + floor).all()


@pytest.mark.parametrize("activation", ["tanh", "gelu"])
def test_float32_and_longdouble_agree_with_loops(activation: str) -> None:
    for dtype, tolerance in ((np.float32, 1e-4), (np.longdouble, 1e-12)):
        d = make([4, 5, 3], activation, dtype=dtype)
        assert disagreement(ec.oracle.loops, d.mlp, d.x) < tolerance
        assert disagreement(ec.oracle.complex_step, d.mlp, d.x) < tolerance


def test_longdouble_has_more_digits_than_float64() -> None:
    """EC-7.6: longdouble end to end agrees with longdouble loops far below the rounding of float64."""
    if np.finfo(np.longdouble).eps == np.finfo(np.float64).eps:
        pytest.skip("longdouble is float64 on this platform")
    for activation in ("tanh", "gelu", "softplus"):
        d = make([4, 5, 3], activation, dtype=np.longdouble)
        assert disagreement(ec.oracle.loops, d.mlp, d.x) < 1e-16


@given(networks(logits=True), st.sampled_from(["mse", "cross_entropy"]))
def test_the_loss_metric_agrees_for_both_losses(d: Drawn, loss: str) -> None:
    """EC-4.7."""
    y = np.random.default_rng(d.seed).dirichlet(np.ones(d.mlp.sizes[-1]), len(d.x))
    for oracle in (ec.oracle.loops, ec.oracle.complex_step):
        assert disagreement(oracle, d.mlp, ec.Batch(d.x, y=y), loss) < 1e-11


@given(networks())
def test_a_callable_metric_agrees(d: Drawn) -> None:
    """EC-4: any set of cotangents."""

    def metric(outputs: np.ndarray) -> np.ndarray:
        return np.stack([outputs, np.ones_like(outputs), outputs**2])

    for oracle in (ec.oracle.loops, ec.oracle.complex_step):
        assert disagreement(oracle, d.mlp, d.x, metric) < 1e-11
    d = make([2, 3, 2])
    assert disagreement(ec.oracle.finite_differences, d.mlp, d.x, metric) < 1e-6


@pytest.mark.parametrize("metric", METRICS)
def test_every_oracle_takes_one_activation_per_layer(metric: str) -> None:
    """EC-9.1, EC-9.2, EC-9.4, EC-9.5, EC-9.9: loops, complex steps, differences, digits; the last layer is exact."""
    d = make([3, 4, 5, 3], ["gelu", "sin"], seed=3)
    x = batch(d, metric)
    assert disagreement(ec.oracle.loops, d.mlp, x, metric) < 1e-12
    assert disagreement(ec.oracle.complex_step, d.mlp, x, metric) < 1e-11
    assert disagreement(ec.oracle.finite_differences, d.mlp, x, metric) < 1e-6
    scores, certificate = ec.elimination_compensation(d.mlp, x, metric), ec.oracle.certify(d.mlp, x, metric)
    assert min(float(m.min()) for m in (*certificate.importance_digits, *certificate.bias_shift_digits)) > 10
    true = ec.linearization_error(d.mlp, x, scores, [(2, 1, 0)], metric=metric).true[0]
    assert true == pytest.approx(scores.importance[2][1, 0], rel=1e-9)
    np.testing.assert_allclose(ec.oracle.nonlinear(d.mlp, x, metric).importance[2], scores.importance[2], rtol=1e-9)


def test_confident_probabilities_keep_their_digits() -> None:
    """EC-4.2, EC-4.3: with p = 1 − 1e-17 the difference 1 − p would be zero."""
    d = make([3, 4, 3], seed=2)
    mlp = d.mlp.replace(d.mlp.weights, [d.mlp.biases[0], np.array([40.0, 0, -5])])
    confident = Drawn(mlp, d.x, d.sample_weight, d.labels, d.seed)
    for metric in ("softmax", "fisher", "cross_entropy"):
        assert disagreement(ec.oracle.loops, confident.mlp, batch(confident, metric), metric) < 1e-12
        assert disagreement(ec.oracle.complex_step, confident.mlp, batch(confident, metric), metric) < 1e-11


@given(networks())
def test_scores_do_not_depend_on_the_order_of_samples(d: Drawn) -> None:
    order = np.random.default_rng(d.seed).permutation(len(d.x))
    moments = ec.collect_moments(d.mlp, d.x)
    shuffled = ec.elimination_compensation(d.mlp, d.x[order])
    assert max(worst_error(shuffled, ec.elimination_compensation(d.mlp, moments), d.mlp, moments)) < 1e-12


@given(networks())
def test_permuting_hidden_neurons_permutes_the_scores(d: Drawn) -> None:
    """EC-5.6."""
    assume(d.mlp.n_layers > 1)
    order = np.random.default_rng(d.seed).permutation(d.mlp.sizes[1])
    weights, biases = list(d.mlp.weights), list(d.mlp.biases)
    weights[0], biases[0], weights[1] = weights[0][order], biases[0][order], weights[1][:, order]
    moments = ec.collect_moments(d.mlp, d.x)
    scores = ec.elimination_compensation(d.mlp, moments)
    permuted = ec.elimination_compensation(d.mlp.replace(weights, biases), d.x)
    importance, shift = list(permuted.importance), list(permuted.bias_shift)
    back = np.argsort(order)
    importance[0], shift[0] = importance[0][back], shift[0][back]
    importance[1], shift[1] = importance[1][:, back], shift[1][:, back]
    assert max(worst_error(ec.Scores(importance, shift), scores, d.mlp, moments)) < 1e-12


@given(networks(["relu"]), st.floats(0.01, 100))
def test_rescaling_a_relu_neuron_leaves_importances_alone(d: Drawn, factor: float) -> None:
    """EC-5.6: incoming weights and bias times c, outgoing over c: the same function, the same importances."""
    assume(d.mlp.n_layers > 1)
    weights, biases = [w.copy() for w in d.mlp.weights], [b.copy() for b in d.mlp.biases]
    weights[0][0] *= factor
    biases[0][0] *= factor
    weights[1][:, 0] /= factor
    moments = ec.collect_moments(d.mlp, d.x)
    scores = ec.elimination_compensation(d.mlp, moments)
    rescaled = ec.elimination_compensation(d.mlp.replace(weights, biases), d.x)
    shift = [b.copy() for b in rescaled.bias_shift]
    shift[0][0] /= factor
    assert max(worst_error(ec.Scores(rescaled.importance, shift), scores, d.mlp, moments)) < 1e-11


@given(networks(), st.floats(-100, 100).filter(lambda value: value == 0 or value**2 > 0))  # else it has no digits left
def test_a_constant_input_is_free(d: Drawn, value: float) -> None:
    """EC-3.5: its weights have importance exactly 0, and the shift w · value."""
    x = d.x.copy()
    x[:, 0] = value
    w = d.mlp.weights[0] / (1 + np.abs(value))
    mlp = d.mlp.replace([w, *d.mlp.weights[1:]], d.mlp.biases)
    scores = ec.elimination_compensation(mlp, x)
    assert (scores.importance[0][:, 0] == 0).all()
    alive = ec.collect_moments(mlp, x).sensitivity[0] > 0
    np.testing.assert_allclose(scores.bias_shift[0][alive, 0], value * w[alive, 0], rtol=1e-14, atol=0)


def test_a_dead_neuron_is_free_and_gets_no_shift() -> None:
    """EC-3.8: S = 0 gives μ = 0, so δ* = 0 and I = 0."""
    d = make([3, 4, 2], "relu")
    biases = [b.copy() for b in d.mlp.biases]
    biases[0][2] = -100
    scores = ec.elimination_compensation(d.mlp.replace(d.mlp.weights, biases), d.x)
    assert (scores.importance[0][2] == 0).all() and (scores.bias_shift[0][2] == 0).all()
    assert (scores.importance[0][[0, 1, 3]] > 0).any()
    differences = ec.oracle.finite_differences(d.mlp.replace(d.mlp.weights, biases), d.x)
    for values in (differences.importance, differences.bias_shift):
        assert (values[0][2] == 0).all()
    assert (differences.bias_shift_error[0][2] == 0).all(), differences.bias_shift_error[0][2]


@given(networks())
def test_compensation_saves_exactly_the_gain(d: Drawn) -> None:
    """EC-3.6, EC-3.7: 0 ≤ I ≤ R, and R − I = w² S μ²."""
    moments = ec.collect_moments(d.mlp, d.x)
    importance = ec.elimination_compensation(d.mlp, moments).importance
    uncompensated = ec.criteria.obd(d.mlp, moments).importance
    for w, i, r, s, mu in zip(d.mlp.weights, importance, uncompensated, moments.sensitivity, moments.mean):
        assert (i >= 0).all()
        assert (i <= r * (1 + 1e-14)).all()
        np.testing.assert_allclose(r - i, w**2 * s[:, np.newaxis] * mu**2, rtol=1e-9, atol=1e-13 * max(r.max(), 1e-300))


@given(networks(max_layers=3, max_width=4), st.floats(-2, 2))
def test_the_shift_minimises_the_parabola(d: Drawn, change: float) -> None:
    """EC-3.1, EC-3.3, EC-3.4: Φ(δ* + t) = I + S t², from the change J (δ − w a) of the output itself."""
    moments = ec.collect_moments(d.mlp, d.x)
    scores = ec.elimination_compensation(d.mlp, moments)
    trace = ec.forward(d.mlp, d.x)
    unit = np.repeat(np.eye(d.mlp.sizes[-1])[:, np.newaxis], len(d.x), axis=1)
    for l, jacobian in enumerate(ec.pullback(d.mlp, trace, unit)):
        w, a = d.mlp.weights[l][0, 0], trace.inputs[l][:, 0]
        shift = scores.bias_shift[l][0, 0] + change
        phi = np.mean(np.sum((jacobian[:, :, 0] * (shift - w * a)) ** 2, axis=0))
        expected = scores.importance[l][0, 0] + moments.sensitivity[l][0] * change**2
        assert phi == pytest.approx(expected, rel=1e-9, abs=1e-13 * (1 + phi))
        rounding = 1e-14 * moments.sensitivity[l][0] * (shift**2 + np.max((w * a) ** 2))
        assert phi >= scores.importance[l][0, 0] - rounding


@given(networks(output_activations=["identity"]))
def test_the_last_layer_is_exact(d: Drawn) -> None:
    """EC-3.9: the importance is the real mean squared change of the output, not its first order."""
    scores = ec.elimination_compensation(d.mlp, d.x)
    l = d.mlp.n_layers - 1
    weights, biases = [w.copy() for w in d.mlp.weights], [b.copy() for b in d.mlp.biases]
    weights[l][0, 0] = 0
    biases[l][0] += scores.bias_shift[l][0, 0]
    change = np.mean(np.sum((d.mlp.replace(weights, biases)(d.x) - d.mlp(d.x)) ** 2, axis=1))
    scale = d.mlp.weights[l][0, 0] ** 2 * np.mean(ec.forward(d.mlp, d.x).inputs[l][:, 0] ** 2)
    assert change == pytest.approx(scores.importance[l][0, 0], rel=1e-9, abs=1e-12 * scale + 1e-30)


@given(networks(["identity"], ["identity"]))
def test_an_affine_network_is_exact_in_every_layer(d: Drawn) -> None:
    """EC-3.9."""
    scores = ec.elimination_compensation(d.mlp, d.x)
    for l in range(d.mlp.n_layers):
        weights, biases = [w.copy() for w in d.mlp.weights], [b.copy() for b in d.mlp.biases]
        weights[l][0, 0] = 0
        biases[l][0] += scores.bias_shift[l][0, 0]
        change = np.mean(np.sum((d.mlp.replace(weights, biases)(d.x) - d.mlp(d.x)) ** 2, axis=1))
        assert change == pytest.approx(scores.importance[l][0, 0], rel=1e-8, abs=1e-11)


def test_fisher_is_twice_the_divergence_to_second_order() -> None:
    """EC-4.4: KL(p ‖ p') of a small removal tends to Φ/2, with an error of first order in its size."""
    d = make([3, 4, 3], seed=5)
    ratios = []
    for size in (1e-1, 1e-2, 1e-3):
        weights = [d.mlp.weights[0].copy(), d.mlp.weights[1]]
        weights[0][1, 2] = size
        mlp = d.mlp.replace(weights, d.mlp.biases)
        scores = ec.elimination_compensation(mlp, d.x, "fisher")
        weights = [w.copy() for w in weights]
        biases = [b.copy() for b in mlp.biases]
        weights[0][1, 2] = 0
        biases[0][1] += scores.bias_shift[0][1, 2]
        p, q = (
            np.exp(f - np.log(np.exp(f).sum(axis=1, keepdims=True)))
            for f in (mlp(d.x), mlp.replace(weights, biases)(d.x))
        )
        divergence = np.mean(np.sum(p * np.log(p / q), axis=1))
        ratios.append(abs(divergence / (scores.importance[0][1, 2] / 2) - 1))
    order = np.log10(ratios[0] / ratios[2]) / 2
    assert ratios[2] < 1e-2 and order > 0.8, (ratios, order)


def test_a_ranking_can_carry_other_shifts() -> None:
    d = make([3, 4, 2])
    ecs, magnitude = ec.elimination_compensation(d.mlp, d.x), ec.criteria.magnitude(d.mlp)
    combined = ec.Scores(magnitude.importance, ecs.bias_shift)
    assert all((a == b).all() for a, b in zip(combined.bias_shift, ecs.bias_shift))
    assert all((b == 0).all() for b in magnitude.bias_shift)


def test_comparison_scales_and_digits() -> None:
    """EC-7.9."""
    d = make([2, 3, 2])
    moments = ec.collect_moments(d.mlp, d.x)
    importance_scale, shift_scale = scales(d.mlp, moments)
    for l, w in enumerate(d.mlp.weights):
        np.testing.assert_allclose(importance_scale[l], ec.criteria.obd(d.mlp, moments).importance[l], rtol=1e-14)
        s = moments.sensitivity[l][:, np.newaxis]
        np.testing.assert_allclose(shift_scale[l], np.abs(w) * np.sqrt(moments.second_moment[l] / s), rtol=1e-14)
    error = relative_error(np.array([1.0, 2.0, 3.0]), np.array([1.0, 2.1, 4.0]), np.array([0.0, 1.0, 0.0]))
    np.testing.assert_allclose(error, [0, 0.1, np.inf])
    assert digits(0) == 17 and digits(np.inf) == 0 and digits(1e-6) == pytest.approx(6)
