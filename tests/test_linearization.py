"""The true change beside the prediction, and the rate at which first order is approached (EC-8)."""

from __future__ import annotations

import networks
import numpy as np
import pytest
from hypothesis import given
from profiles import draws

import ecprune_np as ec
from ecprune_np.error_analysis.linearization import FRACTIONS, _rate, linearization_error

SMOOTH = ["elu", "gelu", "sigmoid", "silu", "sin", "softplus", "tanh"]
few = draws(30)


@given(networks.networks(max_width=4, logits=True))
@few
def test_ec_8_4_the_true_change_is_that_of_the_pruned_network(drawn):
    x = networks.batch(drawn)
    scores = ec.elimination_compensation(drawn.mlp, x)
    error = linearization_error(drawn.mlp, x, scores, n_weights=5)
    for k, (l, i, j) in enumerate(error.indices):
        weights, biases = [w.copy() for w in drawn.mlp.weights], [b.copy() for b in drawn.mlp.biases]
        weights[l][i, j] = 0
        biases[l][i] += scores.bias_shift[l][i, j]
        pruned = drawn.mlp.replace(weights, biases)
        expected = ec.oracle.true_change(pruned, drawn.mlp, x)
        assert error.true[k] == pytest.approx(expected, rel=1e-7, abs=1e-28)
        assert error.predicted[k] == scores.importance[l][i, j]
        assert np.isfinite(error.remainder[k]).all() and not np.isnan(error.rate[k])


@pytest.mark.parametrize("activation", SMOOTH)
@pytest.mark.parametrize("metric", networks.METRICS)
def test_ec_8_2_the_remainder_is_of_second_order(activation, metric):
    drawn = networks.make([3, 4, 4, 3], activation, n_samples=30, seed=1)
    x = networks.batch(drawn, metric, weighted=False)
    scores = ec.elimination_compensation(drawn.mlp, x, metric)
    error = linearization_error(drawn.mlp, x, scores, n_weights=10**6, metric=metric)
    hidden = error.indices[:, 0] < 2
    if activation == "elu":  # whose second derivative jumps at 0: steps that cross it are of second order, not smooth
        assert (np.abs(error.rate[hidden] - 2) < 0.2).all(), error.rate[hidden]
    else:
        assert (np.abs(error.rate[hidden] - 2) < 0.03).all(), error.rate[hidden]
    assert np.isinf(error.rate[~hidden]).all()  # the last layer is exact
    np.testing.assert_allclose(error.ratio[~hidden], 1, rtol=1e-9)


@pytest.mark.parametrize("activation", ["tanh", "relu", "gelu"])
def test_ec_8_1_the_remainder_is_what_first_order_misses_of_a_partial_removal(activation):
    drawn = networks.make([3, 4, 2], activation, n_samples=30, seed=1)
    scores = ec.elimination_compensation(drawn.mlp, drawn.x)
    error = linearization_error(drawn.mlp, drawn.x, scores, n_weights=8)
    trace = ec.forward(drawn.mlp, drawn.x)
    unit = np.repeat(np.eye(2)[:, np.newaxis], 30, axis=1)
    jacobians = ec.pullback(drawn.mlp, trace, unit)
    for k, (l, i, j) in enumerate(error.indices):
        w, shift = drawn.mlp.weights[l][i, j], scores.bias_shift[l][i, j]
        for epsilon, remainder in zip(error.fractions[:4], error.remainder[k]):
            weights, biases = [a.copy() for a in drawn.mlp.weights], [b.copy() for b in drawn.mlp.biases]
            weights[l][i, j] = (1 - epsilon) * w
            biases[l][i] += epsilon * shift
            linear = epsilon * jacobians[l][:, :, i].T * (shift - w * trace.inputs[l][:, [j]])
            missed = drawn.mlp.replace(weights, biases)(drawn.x) - trace.outputs - linear
            assert remainder == pytest.approx(np.sqrt(np.mean(np.sum(missed**2, axis=1))), rel=1e-9, abs=1e-14)


def test_a_wrong_shift_or_slope_shows():
    """The remainder of a *wrong* derivative would fall with order 1: the rate tells them apart."""
    drawn = networks.make([3, 4, 2], "tanh", n_samples=30, seed=1)
    scores = ec.elimination_compensation(drawn.mlp, drawn.x)
    largest = [(0, *np.unravel_index(np.abs(scores.bias_shift[0]).argmax(), (4, 3)))]
    right = linearization_error(drawn.mlp, drawn.x, scores, largest)
    wrong = linearization_error(drawn.mlp, drawn.x, ec.Scores(scores.importance), largest)
    assert wrong.true[0] > right.true[0]
    assert _rate(FRACTIONS * 0.1, 1e-16) == pytest.approx(1)
    assert _rate(FRACTIONS**3, 1e-30) == pytest.approx(3)
    assert _rate(0 * FRACTIONS, 1e-16) == np.inf


def test_relu_is_exact_near_the_network_and_falls_faster_than_linearly_elsewhere():
    drawn = networks.make([3, 4, 2], "relu", n_samples=10, seed=1)
    error = linearization_error(drawn.mlp, drawn.x, ec.elimination_compensation(drawn.mlp, drawn.x))
    assert (error.rate > 1).all() and np.isinf(error.rate).any(), error.rate


def test_the_ratio_of_nothing_to_nothing_is_one():
    dead = ec.MLP([[[1.0]], [[1.0]]], [[-9.0], [0.0]], "relu")
    scores = ec.elimination_compensation(dead, [[1.0], [2.0]])
    assert linearization_error(dead, [[1.0], [2.0]], scores).ratio.tolist() == [1, 1]
    free = ec.Scores([[[0.0]], [[0.0]]])  # a prediction of nothing for what costs something
    alive = ec.MLP([[[1.0]], [[1.0]]], [[0.0], [0.0]], "relu")
    assert linearization_error(alive, [[1.0], [2.0]], free).ratio.tolist() == [np.inf, np.inf]


def test_weights_are_drawn_without_repetition_and_by_seed():
    drawn = networks.make([5, 6, 3], seed=1)
    scores = ec.elimination_compensation(drawn.mlp, drawn.x)
    one, same, other = (linearization_error(drawn.mlp, drawn.x, scores, n_weights=9, seed=s) for s in (0, 0, 1))
    assert len(set(map(tuple, one.indices.tolist()))) == 9
    assert (one.indices == same.indices).all() and (one.indices != other.indices).any()
    assert "9 weights: true change / predicted importance" in str(one)
    single = linearization_error(drawn.mlp.astype(np.float32), drawn.x.astype(np.float32), scores, [(1, 2, 5)])
    assert single.indices.tolist() == [[1, 2, 5]] and single.true.dtype == np.float64


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ([(2, 0, 0)], r"weights\[0\]: expected \(layer, row, column\)"),
        ([(0, 0, 0), (1, 3, 0)], r"weights\[1\]: expected"),
        ([(0, 0, -1)], r"weights\[0\]: expected"),
        ([(0, 0)], "weights: expected integers"),
        ([], "weights: expected integers"),
        ([(0.5, 0, 0)], "weights: expected integers"),
    ],
)
def test_weights_that_do_not_exist_are_named(weights, message):
    drawn = networks.make([5, 6, 3], seed=1)
    scores = ec.elimination_compensation(drawn.mlp, drawn.x)
    with pytest.raises(ValueError, match=message):
        linearization_error(drawn.mlp, drawn.x, scores, weights)


def test_bad_input_is_named():
    drawn, other = networks.make([5, 6, 3], seed=1), networks.make([5, 3], seed=1)
    scores = ec.elimination_compensation(drawn.mlp, drawn.x)
    with pytest.raises(ValueError, match=r"scores\.importance: expected 2 layers, got 1"):
        linearization_error(drawn.mlp, drawn.x, ec.criteria.magnitude(other.mlp))
    with pytest.raises(TypeError, match="scores: expected Scores"):
        linearization_error(drawn.mlp, drawn.x, [1])
    with pytest.raises(ValueError, match="n_weights: expected at least 1"):
        linearization_error(drawn.mlp, drawn.x, scores, n_weights=0)
    for argument in ("n_weights", "seed"):
        with pytest.raises(ValueError, match=f"{argument}: expected none, for it has no effect beside weights"):
            linearization_error(drawn.mlp, drawn.x, scores, [(0, 0, 0)], **{argument: 1})
    huge = ec.MLP([[[1e160]]], [[0.0]])
    with pytest.raises(ValueError, match="the true change: overflow"):
        linearization_error(huge, [[1.0], [2.0]], ec.Scores([[[1.0]]]))
