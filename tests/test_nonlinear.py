"""The nonlinear search: never above its starts, stationary, equal to EC where EC is exact (EC-8.3, EC-9.4)."""

from __future__ import annotations

import networks
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import ecprune_np as ec
from ecprune_np.error_analysis import comparison
from ecprune_np.metrics import cotangents
from ecprune_np.oracle import nonlinear
from ecprune_np.oracle._slopes import SLOPES

SMOOTH = ["elu", "gelu", "identity", "sigmoid", "silu", "sin", "softplus", "tanh"]
few = settings(max_examples=25, deadline=None, derandomize=True)


def embedded(outputs, metric, at, y):
    """φ with φ(f') − φ(f) = c_rᵀ (f' − f), the cotangents c_r taken at the unpruned outputs."""
    if metric == "output":
        return outputs
    c = cotangents(metric, at, np.eye(at.shape[1])[y] if metric == "cross_entropy" else y)
    return np.einsum("rnk,nk->nr", c, outputs)


def true_value(drawn, metric, sample_weight, index, shift):
    """Φ_true(δ) from two full forward passes, sharing nothing with the search (EC-8.3)."""
    l, i, j = index
    weights, biases = [w.copy() for w in drawn.mlp.weights], [b.copy() for b in drawn.mlp.biases]
    weights[l][i, j] = 0
    biases[l][i] += shift
    before, after = drawn.mlp(drawn.x), drawn.mlp.replace(weights, biases)(drawn.x)
    y = drawn.targets(metric)
    change = embedded(after, metric, before, y) - embedded(before, metric, before, y)
    return float(np.average(np.sum(change**2, axis=1), weights=sample_weight))


def every_weight(mlp):
    return [(l, i, j) for l, (n, m) in enumerate(mlp.shapes) for i in range(n) for j in range(m)]


def check_everything(drawn, metric, sample_weight=None):
    x = ec.Batch(drawn.x, sample_weight, drawn.targets(metric))
    found = nonlinear(drawn.mlp, x, metric)
    first_order = ec.elimination_compensation(drawn.mlp, x, metric)
    size = 1 + float(np.mean(np.sum(drawn.mlp(drawn.x) ** 2, axis=1)))  # preactivations are of order 1
    for index in every_weight(drawn.mlp):
        l, i, j = index
        value, shift = float(found.importance[l][i, j]), float(found.bias_shift[l][i, j])

        def at(delta, index=index):
            return true_value(drawn, metric, sample_weight, index, delta)

        rounding = 1e-9 * value + 1e-29 * size + 1e-14 * np.sqrt(value * size)
        assert found.converged[l][i, j], (index, value)
        assert abs(value - at(shift)) <= rounding, (index, value, at(shift))
        assert value <= found.uncompensated[l][i, j], (index, value, found.uncompensated[l][i, j])
        assert value <= found.first_order[l][i, j], (index, value, found.first_order[l][i, j])
        assert value <= at(0.0) + rounding, (index, value, at(0.0))
        first = float(first_order.bias_shift[l][i, j])
        assert value <= at(first) + rounding, (index, value, at(first))
        scale = abs(shift) + abs(float(drawn.mlp.weights[l][i, j]))
        for h in (1e-3, 1e-4, 1e-5):
            for sign in (1, -1):
                moved = at(shift + sign * h * scale)
                assert moved >= value - rounding, (index, sign * h, value, moved)


@given(networks.networks(output_activations=["identity", "tanh", "relu"], max_width=4, max_samples=12))
@few
def test_never_above_zero_and_first_order_and_no_perturbed_shift_is_better(drawn):
    check_everything(drawn, "output", drawn.sample_weight)


@pytest.mark.parametrize("activation", ["tanh", "relu", "gelu", "sin", "softplus"])
@pytest.mark.parametrize("sizes", [[4, 3], [4, 3, 2], [3, 4, 3, 2], [3, 3, 4, 3, 2]])
def test_guarantees_hold_for_every_weight(activation, sizes):
    check_everything(networks.make(sizes, activation, n_samples=15, seed=len(sizes)), "output")


@pytest.mark.parametrize("metric", [*networks.METRICS[1:], lambda f: np.stack([f, np.cos(f), np.ones_like(f)])])
@pytest.mark.parametrize("output_activation", ["identity", "tanh"])
def test_other_metrics_are_taken_at_the_unpruned_outputs(metric, output_activation):
    check_everything(networks.make([3, 4, 3], "tanh", output_activation, seed=4), metric)


@given(networks.networks(activations=["identity"], output_activations=["identity"]), st.sampled_from(networks.METRICS))
@few
def test_equals_ec_in_identity_networks(drawn, metric):
    if metric in ("softmax", "fisher") and drawn.mlp.sizes[-1] < 2:
        metric = "output"
    assert_scores_equal(drawn.mlp, networks.batch(drawn, metric, weighted=False), metric, range(drawn.mlp.n_layers))


@given(networks.networks(output_activations=["identity"]))
@few
def test_equals_ec_in_the_last_layer(drawn):
    assert_scores_equal(drawn.mlp, networks.batch(drawn), "output", [drawn.mlp.n_layers - 1])


def assert_scores_equal(mlp, x, metric, layers):
    found, moments = nonlinear(mlp, x, metric), ec.collect_moments(mlp, x, metric)
    expected = ec.elimination_compensation(mlp, moments)
    importance_scale, shift_scale = comparison.scales(mlp, moments)
    for l in layers:
        assert found.converged[l].all()
        error = comparison.relative_error(found.importance[l], expected.importance[l], importance_scale[l]).max()
        assert error < 1e-10, error
        at_minimum = found.importance[l] > 1e-12 * importance_scale[l]
        error = comparison.relative_error(found.bias_shift[l], expected.bias_shift[l], shift_scale[l])
        assert error[at_minimum].max(initial=0) < 1e-5, error


@pytest.mark.parametrize("activation", ["tanh", "gelu", "sin"])
def test_agrees_with_a_general_minimiser(activation):
    from scipy.optimize import minimize_scalar

    drawn = networks.make([3, 4, 2], activation, n_samples=20, seed=1)
    found = nonlinear(drawn.mlp, drawn.x)
    for index in every_weight(drawn.mlp):
        l, i, j = index
        shift = float(found.bias_shift[l][i, j])
        reference = minimize_scalar(
            lambda delta, index=index: true_value(drawn, "output", None, index, delta),
            bracket=(shift - 0.01, shift + 0.01),
            tol=1e-10,
        )
        assert abs(reference.fun - found.importance[l][i, j]) <= 1e-9 * reference.fun, (index, reference.fun)


@pytest.mark.parametrize("memory", [1, 3000])
def test_the_blocks_that_fit_the_memory_change_rounding_only(memory):
    drawn = networks.make([4, 5, 3], "tanh", n_samples=12, seed=2)
    whole, blocks = nonlinear(drawn.mlp, drawn.x), nonlinear(drawn.mlp, drawn.x, memory=memory)
    for a, b in zip(whole.importance, blocks.importance):
        np.testing.assert_allclose(a, b, rtol=1e-11)


def test_a_search_that_is_cut_short_says_so():
    drawn = networks.make([4, 5, 3], "relu", n_samples=30, seed=2)
    short, whole = nonlinear(drawn.mlp, drawn.x, max_steps=1), nonlinear(drawn.mlp, drawn.x)
    assert not all(c.all() for c in short.converged)
    assert all(c.all() for c in whole.converged)
    for l in range(2):
        assert (short.importance[l] <= short.first_order[l]).all()
        assert (short.importance[l] <= short.uncompensated[l]).all()


def test_a_minimum_at_infinity_counts_as_found():
    # the dense neuron is saturated; without its weight only δ → ∞ restores the output
    mlp = ec.MLP([[[100.0]], [[1.0]]], [[0.0], [0.0]], "tanh")
    found = nonlinear(mlp, [[1.0], [2.0]])
    assert found.converged[0].all()
    assert found.importance[0][0, 0] < 1e-20
    assert found.bias_shift[0][0, 0] > 15


def test_constant_inputs_and_dead_neurons_cost_nothing():
    mlp = ec.MLP([[[2.0, 1.0], [1.0, 1.0]], [[1.0, 1.0]]], [[0.0, -100.0], [0.0]], "relu")
    found = nonlinear(mlp, [[1.0, 0.5], [1.0, 0.7], [1.0, 0.9]])
    assert found.importance[0][0, 0] < 1e-30
    assert (found.importance[0][1] == 0).all()
    assert all(c.all() for c in found.converged)
    zero = nonlinear(mlp, [[0.0, 0.0]])
    assert all((v == 0).all() for v in zero.importance)


def test_dtypes_and_purity():
    drawn = networks.make([3, 4, 2], "gelu", n_samples=8, seed=3)
    in_double = nonlinear(drawn.mlp, drawn.x)
    in_longdouble = nonlinear(drawn.mlp.astype(np.longdouble), drawn.x)
    in_single = nonlinear(drawn.mlp.astype(np.float32), drawn.x.astype(np.float32))
    assert in_longdouble.importance[0].dtype == np.longdouble
    assert in_single.importance[0].dtype == np.float64
    for a, b, c in zip(in_double.importance, in_longdouble.importance, in_single.importance):
        np.testing.assert_allclose(a, b.astype(np.float64), rtol=1e-9)
        np.testing.assert_allclose(a, c, rtol=1e-4)


def test_progress_counts_neurons():
    drawn = networks.make([2, 3, 2], seed=3)
    seen = []
    nonlinear(drawn.mlp, drawn.x, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(k, 5) for k in range(1, 6)]


def test_bad_input_is_named():
    drawn = networks.make([2, 3, 2], seed=3)
    with pytest.raises(ValueError, match="x: expected shape"):
        nonlinear(drawn.mlp, drawn.x[:, :1])
    with pytest.raises(ValueError, match="max_steps: expected at least 1"):
        nonlinear(drawn.mlp, drawn.x, max_steps=0)
    with pytest.raises(ValueError, match="memory: expected at least 1"):
        nonlinear(drawn.mlp, drawn.x, memory=0)
    with pytest.raises(ValueError, match="metric: expected one of"):
        nonlinear(drawn.mlp, drawn.x, "l2")
    for metric in ("mse", "cross_entropy"):
        with pytest.raises(ValueError, match=f'y: metric "{metric}" needs targets'):
            nonlinear(drawn.mlp, drawn.x, metric)


@pytest.mark.parametrize("dtype", [np.float64, np.longdouble])
@pytest.mark.parametrize("activation", networks.ACTIVATIONS)
def test_slopes_from_values_are_the_derivatives_up_to_two_roundings(activation, dtype):
    """EC-10: an absolute error, which is relative to σ's value where that value's own rounding is in the slope."""
    far = np.geomspace(1e-300, 1e300, 6001)
    z = np.concatenate([np.linspace(-50, 50, 20001), far, -far, [0.0, -0.0]]).astype(dtype)
    with np.errstate(over="ignore"):  # a square, in gelu's density
        a = ec.ACTIVATIONS[activation].value(z)
        slope, derivative = SLOPES[activation](z, a), ec.ACTIVATIONS[activation].derivative(z)
    # silu's slope is s + a (1 − s), s = a/z, until s is rounded to 1
    size = np.maximum(1, np.where(np.abs(z) < 50, np.abs(a), 0)) if activation == "silu" else 1
    assert slope.dtype == dtype
    error = np.abs(slope - derivative) / size
    assert error.max() <= 2 * np.finfo(dtype).eps, (z[error.argmax()], error.max())


def test_every_activation_has_a_slope():
    assert sorted(SLOPES) == networks.ACTIVATIONS


def test_an_overflow_is_an_error_not_a_number():
    huge = ec.MLP([[[1e200]], [[1e200]]], [[0.0], [0.0]], "identity")
    with pytest.raises(ValueError, match="overflow"):
        nonlinear(huge, [[1.0], [2.0]])
    large = ec.MLP([[[1e160]]], [[0.0]], "identity")
    with pytest.raises(ValueError, match="overflow"):
        nonlinear(large, [[1.0], [2.0]])


def test_a_plateau_is_left_where_the_other_start_leads_lower():
    """EC-9.4: at δ = 0 the neuron is dead and Φ_true flat at 1; from δ* = 3 the search finds 3/4 at δ = 3/2."""
    mlp = ec.MLP([[[1]]], [[-1]], output_activation="relu")
    found = ec.oracle.nonlinear(mlp, [[0], [0], [0], [3]])
    assert found.first_order[0][0, 0] == 3 and found.uncompensated[0][0, 0] == 1
    assert found.importance[0][0, 0] == pytest.approx(0.75, rel=1e-12)
    assert found.bias_shift[0][0, 0] == pytest.approx(1.5, rel=1e-6)
    assert found.converged[0][0, 0]
    rare = ec.oracle.nonlinear(mlp, [[0]] * 30 + [[3]])
    assert rare.importance[0][0, 0] == pytest.approx(4 * 30 / 31**2, rel=1e-12)
    assert rare.uncompensated[0][0, 0] == pytest.approx(4 / 31)
