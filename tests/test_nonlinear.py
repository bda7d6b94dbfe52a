"""The nonlinear minimum: below every other δ, stationary, equal to EC where EC is exact (EC-8.3, EC-9.5)."""

from __future__ import annotations

from dataclasses import replace

import networks
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from profiles import draws

import ecprune_np as ec
from ecprune_np.error_analysis import comparison
from ecprune_np.metrics import cotangents
from ecprune_np.oracle import nonlinear
from ecprune_np.oracle._slopes import SLOPES

SMOOTH = ["elu", "gelu", "identity", "sigmoid", "silu", "sin", "softplus", "tanh"]
few = draws(25)


def change_of(drawn, metric, after):
    """φ(f') − φ(f) = c_rᵀ (f' − f), the cotangents c_r taken at the unpruned outputs; f' of shape (D, N, K)."""
    before, y = drawn.mlp(drawn.x), drawn.targets(metric)
    if metric == "output":
        return after - before
    c = cotangents(metric, before, np.eye(before.shape[1])[y] if metric == "cross_entropy" else y)
    return np.einsum("rnk,dnk->dnr", c, after - before)


def scanned(drawn, metric, sample_weight, index, shifts):
    """Φ_true at each of some δ, from forward passes that share nothing with the search (EC-8.3)."""
    l, i, j = index
    mlp, a = drawn.mlp, drawn.x
    for m in range(l):
        a = mlp.layer_activation(m).value(a @ mlp.weights[m].T + mlp.biases[m])
    w = mlp.weights[l].copy()
    w[i, j] = 0
    z = np.repeat((a @ w.T + mlp.biases[l])[np.newaxis], len(shifts), axis=0)
    z[..., i] += shifts[:, np.newaxis]
    for m in range(l, mlp.n_layers):
        z = z if m == l else a @ mlp.weights[m].T + mlp.biases[m]
        a = mlp.layer_activation(m).value(z)
    return np.average(np.sum(change_of(drawn, metric, a) ** 2, axis=2), axis=1, weights=sample_weight)


def true_value(drawn, metric, sample_weight, index, shift):
    return float(scanned(drawn, metric, sample_weight, index, np.array([shift]))[0])


def rounding_of(drawn, value):
    """Preactivations are of order 1."""
    size = 1 + float(np.mean(np.sum(drawn.mlp(drawn.x) ** 2, axis=1)))
    return 1e-11 * value + 1e-29 * size + 1e-14 * np.sqrt(value * size)


def every_weight(mlp):
    return [(l, i, j) for l, (n, m) in enumerate(mlp.shapes) for i in range(n) for j in range(m)]


def check_everything(drawn, metric, sample_weight=None):
    x = ec.Batch(drawn.x, sample_weight, drawn.targets(metric))
    found = nonlinear(drawn.mlp, x, metric)
    first_order = ec.elimination_compensation(drawn.mlp, x, metric)
    for index in every_weight(drawn.mlp):
        l, i, j = index
        value, shift = float(found.importance[l][i, j]), float(found.bias_shift[l][i, j])

        def at(delta, index=index):
            return true_value(drawn, metric, sample_weight, index, delta)

        rounding = rounding_of(drawn, value)
        assert found.converged[l][i, j], (index, value)
        assert abs(value - at(shift)) <= rounding, (index, value, at(shift))
        assert value <= found.uncompensated[l][i, j], (index, value, found.uncompensated[l][i, j])
        assert value <= found.first_order[l][i, j], (index, value, found.first_order[l][i, j])
        assert value <= at(0.0) + rounding, (index, value, at(0.0))
        first = float(first_order.bias_shift[l][i, j])
        assert value <= at(first) + rounding, (index, value, at(first))
        scale = abs(shift) + abs(float(drawn.mlp.weights[l][i, j]))
        beside = shift + scale * np.array([s * h for h in (1e-3, 1e-4, 1e-5) for s in (1, -1)])
        assert (scanned(drawn, metric, sample_weight, index, beside) >= value - rounding).all(), (index, value)


@given(networks.networks(output_activations=["identity", "tanh", "relu"], max_width=4, max_samples=12))
@draws(25, more=False)  # 1 in some 300 ends at a kink that is not marked, or far out, where a sine rounds more
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
    drawn = networks.make([4, 5, 3], "elu", n_samples=30, seed=2)
    short, whole = nonlinear(drawn.mlp, drawn.x, max_steps=1), nonlinear(drawn.mlp, drawn.x)
    assert not all(c.all() for c in short.converged)
    assert all(c.all() for c in whole.converged)
    for l in range(2):
        assert (short.importance[l] <= short.first_order[l]).all()
        assert (short.importance[l] <= short.uncompensated[l]).all()


def test_a_minimum_at_infinity_is_marked():
    """EC-9.5: the dense neuron is saturated, so that without its weight only δ → ∞ restores the output."""
    mlp = ec.MLP([[[100.0]], [[1.0]]], [[0.0], [0.0]], "tanh")
    found = nonlinear(mlp, [[1.0], [2.0]])
    assert found.at_infinity[0].all() and not found.at_infinity[1].any()
    assert found.converged[0].all() and found.certified[0].all()
    assert found.importance[0][0, 0] < 1e-28
    assert 15 < found.bias_shift[0][0, 0] < 20  # where tanh is 1 to rounding, and no farther
    two = ec.MLP([[[3.0]], [[1.0]]], [[0.0], [0.0]], "sigmoid")  # z = ±3: the limits 0 and 1 are worse than 1/2
    assert not nonlinear(two, [[1.0], [-1.0]]).at_infinity[0].any()


def test_a_limit_on_one_side_is_marked_though_on_the_other_a_sine_has_none():
    """EC-9.5: gelu's left tail is 0 to rounding; on the right it grows for ever, and a sine behind it with it."""
    mlp = ec.MLP([[[-0.24, -0.34], [0.23, 0.13]], [[-0.16, -0.06]]], [[-0.39, -0.18], [0.46]], "gelu", "sin")
    x = np.array([[-1.81, -0.72], [0.72, -1.75]])
    found = nonlinear(mlp, ec.Batch(x, [0.28, 2.39]))
    assert found.at_infinity[0][0, 0] and not found.certified[0][0, 0]
    shift = found.bias_shift[0][0, 0]
    assert -10 < shift < -7, shift
    drawn = replace(networks.make([2, 2, 1], "gelu", "sin", 2, 0), mlp=mlp, x=x)
    shifts = np.array([shift, shift + 0.5, -100.0])
    at, nearer, limit = scanned(drawn, "output", np.array([0.28, 2.39]), (0, 0, 0), shifts)
    assert at <= limit * (1 + 1e-12) < nearer, (at, limit, nearer)


@pytest.mark.parametrize("activation", ["elu", "gelu", "sigmoid", "silu", "softplus", "tanh"])
def test_a_constant_tail_is_reached_from_afar(activation):
    """EC-9.5: dense, the neuron is dead in all samples; in two, a weight is all that keeps it so."""
    mlp = ec.MLP([[[1.0, 1.0]], [[1.0]]], [[0.0], [3.0]], activation)
    found = nonlinear(mlp, [[-60.0, 0.0], [-80.0, 20.0], [-90.0, 25.0]])
    assert found.uncompensated[0][0, 0] > 0.1
    assert found.at_infinity[0][0, 0] and found.certified[0][0, 0] and found.converged[0][0, 0]
    assert found.importance[0][0, 0] <= 1e-28
    assert -65 < found.bias_shift[0][0, 0] < -25 - 3
    assert not found.at_infinity[0][0, 1] and found.bias_shift[0][0, 1] == 0  # without the other, it is dead still


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
    fewer = 1 if dtype == np.float64 else 10  # in extended precision gelu is slow
    far = np.geomspace(1e-300, 1e300, 6000 // fewer + 1)
    z = np.concatenate([np.linspace(-50, 50, 20000 // fewer + 1), far, -far, [0.0, -0.0]]).astype(dtype)
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


def test_the_sparse_relu_has_its_minimum_far_from_both_starts():
    """EC-9.5, EC-9.7: at δ = 0 the neuron is dead and Φ_true flat at 1; at δ* = 3 it is 3; at 3/2 it is 3/4."""
    mlp = ec.MLP([[[1]]], [[-1]], output_activation="relu")
    found = ec.oracle.nonlinear(mlp, [[0], [0], [0], [3]])
    assert found.first_order[0][0, 0] == 3 and found.uncompensated[0][0, 0] == 1
    assert found.importance[0][0, 0] == 0.75 and found.bias_shift[0][0, 0] == 1.5
    assert found.certified[0][0, 0] and found.gap[0][0, 0] == 0 and found.resolution[0][0, 0] == 0
    rare = ec.oracle.nonlinear(mlp, [[0]] * 30 + [[3]])
    assert rare.importance[0][0, 0] == pytest.approx(4 * 30 / 31**2, rel=1e-12)
    assert rare.uncompensated[0][0, 0] == pytest.approx(4 / 31)


def check_scan(drawn, metric="output", sample_weight=None, n_points=2000):
    """No δ of a scan of the bracket is lower, but for rounding, whatever is certified."""
    x = ec.Batch(drawn.x, sample_weight, drawn.targets(metric))
    found = nonlinear(drawn.mlp, x, metric)
    for index in every_weight(drawn.mlp):
        l, i, j = index
        value = float(found.importance[l][i, j])
        low, high = found.bracket[l][i]
        shifts = np.concatenate([np.linspace(low, high, n_points), np.linspace(-8, 8, n_points // 4)])
        values = scanned(drawn, metric, sample_weight, index, shifts)
        best = int(np.argmin(values))
        assert values[best] >= value - rounding_of(drawn, value), (index, value, shifts[best], values[best])
        ties = values <= value + rounding_of(drawn, value) / 100
        nearest = np.abs(shifts[ties]).min(initial=np.inf)
        shift = float(found.bias_shift[l][i, j])
        assert abs(shift) <= nearest + 1e-5 * (1 + nearest), (index, shift, nearest)
    return found


@pytest.mark.parametrize("activation", networks.ACTIVATIONS)
@pytest.mark.parametrize("output_activation", ["identity", "same"])
def test_no_point_of_a_scan_is_lower(activation, output_activation):
    """EC-9.5, EC-9.6, EC-9.7: 2,000 values over the bracket, and as fine again near 0."""
    drawn = networks.make([3, 4, 3, 2], activation, activation if output_activation == "same" else "identity", 9, 5)
    found = check_scan(drawn, sample_weight=drawn.sample_weight)
    if activation != "sin":
        assert all(c.all() for c in found.certified)


@given(networks.networks(max_width=4, max_samples=10), st.sampled_from([0.5, 1, 3]))
@draws(25, more=False)  # not every network can be certified in 4,096 intervals
def test_no_point_of_a_scan_is_lower_in_drawn_networks(drawn, scale):
    """EC-9.5: any activations in any order, small weights and large."""
    mlp = drawn.mlp.replace([scale * w for w in drawn.mlp.weights], drawn.mlp.biases)
    found = check_scan(replace(drawn, mlp=mlp), sample_weight=drawn.sample_weight, n_points=500)
    for l in range(mlp.n_layers):
        behind = [mlp.layer_activation(m).name for m in range(l, mlp.n_layers)]
        if "sin" not in behind[1:]:
            assert found.certified[l].all(), found.gap[l] / found.importance[l]


@pytest.mark.parametrize("metric", [*networks.METRICS[1:], lambda f: np.stack([f, np.cos(f)])])
def test_no_point_of_a_scan_is_lower_in_any_metric(metric):
    """EC-9.5."""
    for activation in ("tanh", "gelu", "relu"):
        check_scan(networks.make([3, 4, 3], activation, n_samples=9, seed=6), metric, n_points=500)


@pytest.mark.parametrize("activation", ["relu", "leaky_relu", "gelu", "silu"])
def test_a_local_minimum_is_left_for_a_lower_one(activation):
    """EC-9.5: downhill from the better of δ = 0 and δ* ends above the minimum, for several weights by a half."""
    drawn = networks.make([3, 4, 3, 2], activation, n_samples=12, seed=4)
    found, first_order = nonlinear(drawn.mlp, drawn.x), ec.elimination_compensation(drawn.mlp, drawn.x)
    ratios = []
    for index in every_weight(drawn.mlp):
        l, i, j = index
        better = found.first_order[l][i, j] < found.uncompensated[l][i, j]
        shifts = np.linspace(-15, 15, 6001)
        values = scanned(drawn, "output", None, index, shifts)
        downhill = int(np.argmin(np.abs(shifts - (first_order.bias_shift[l][i, j] if better else 0))))
        while min(values[downhill - 1], values[downhill + 1]) < values[downhill]:
            downhill += 1 if values[downhill + 1] < values[downhill - 1] else -1
        ratios.append((found.importance[l][i, j] + 1e-30) / (values[downhill] + 1e-30))
    assert sum(ratio < 0.99 for ratio in ratios) >= 3 and min(ratios) < 0.5, sorted(ratios)[:5]
    assert max(ratios) < 1 + 1e-9


def test_a_sine_is_searched_over_one_period():
    """EC-9.5: f = sin z is the same at δ and at δ + 2π; of the δ in between, π − 2 z + w a is nearer to 0 than w a."""
    mlp = ec.MLP([[[1.0]]], [[1.0]], output_activation="sin")
    found = nonlinear(mlp, [[1.0]])
    assert found.importance[0][0, 0] < 1e-30 and found.certified[0][0, 0]
    assert found.bias_shift[0][0, 0] == pytest.approx(np.pi - 3, rel=1e-9)
    np.testing.assert_allclose(found.bracket[0], [[-np.pi, np.pi]])
    drawn = networks.make([3, 4, 2], "sin", n_samples=9, seed=8)
    deep = nonlinear(drawn.mlp, drawn.x)
    assert deep.certified[0].all() and all((np.abs(b) <= np.pi + 1e-12).all() for b in deep.bias_shift[:1])
    for index in every_weight(drawn.mlp):
        if index[0] == 0:
            far = scanned(drawn, "output", None, index, np.linspace(-9, 9, 3000))
            value = float(deep.importance[index[0]][index[1:]])
            assert far.min() >= value - rounding_of(drawn, value)


def test_a_sine_behind_a_neuron_without_bounds_is_not_certified():
    """EC-9.5: what is searched is said in `bracket`; behind a bounded one all is."""
    for activation, certified in (("softplus", False), ("relu", False), ("tanh", True), ("sigmoid", True)):
        drawn = networks.make([2, 3, 3, 2], [activation, "sin"], n_samples=7, seed=1)
        found = nonlinear(drawn.mlp, drawn.x)
        assert found.certified[0].all() == certified and found.certified[0].any() == certified, activation
        assert np.isfinite(found.bracket[0]).all() and found.certified[1].all()


def test_of_minima_that_tie_the_nearer_is_taken():
    """EC-9.5: a neuron that is dead from some δ on, exactly; and one that is even in δ."""
    dead = ec.MLP([[[1.0, 1.0]]], [[0.0]], output_activation="relu")  # z = −1 of −3 and 2
    found = nonlinear(dead, [[-3.0, 2.0], [-4.0, 2.0]])
    assert found.importance[0][0, 0] == 0 and found.bias_shift[0][0, 0] == -2
    assert found.bias_shift[0][0, 1] == 0
    even = ec.MLP([[[1.0]], [[1.0]]], [[0.5], [0.0]], ["tanh"], "sin")
    shift = float(nonlinear(even, [[1.0]]).bias_shift[0][0, 0])
    assert shift == pytest.approx(1)
    plateau = ec.MLP([[[0.5]], [[1.0], [-1.0]], [[1.0, 1.0]]], [[0.0], [-1.0, -1.0], [0.0]], ["identity", "relu"])
    flat = nonlinear(plateau, [[1.0], [-1.0]])  # nothing is active as long as |a| ≤ 1
    assert flat.importance[0][0, 0] == 0 and flat.bias_shift[0][0, 0] == 0


@given(networks.networks(max_layers=3, max_width=4, max_samples=12), st.sampled_from([1, 2, 5]))
@few
def test_what_is_not_settled_is_in_the_gap(drawn, max_intervals):
    """EC-9.6: with too few intervals, the true minimum lies no more than `gap` lower."""
    cut = nonlinear(drawn.mlp, drawn.x, max_intervals=max_intervals)
    whole = nonlinear(drawn.mlp, drawn.x)
    for l in range(drawn.mlp.n_layers):
        assert (cut.gap[l] <= cut.importance[l]).all() and (cut.gap[l] >= 0).all()
        assert (cut.gap[l][cut.certified[l]] <= 1.1e-11 * cut.importance[l][cut.certified[l]]).all()
        excess = cut.importance[l] - cut.gap[l] - whole.importance[l]
        rounding = [rounding_of(drawn, float(v)) for v in whole.importance[l].ravel()]
        assert (excess.ravel() <= rounding).all(), excess.max()


def test_a_limit_on_the_intervals_leaves_a_gap():
    drawn = networks.make([4, 6, 6, 2], "tanh", n_samples=20, seed=2)
    mlp = drawn.mlp.replace([4 * w for w in drawn.mlp.weights], drawn.mlp.biases)
    cut = nonlinear(mlp, drawn.x, max_intervals=1)
    left = ~cut.certified[0]
    assert left.any() and (cut.gap[0][left] > 1e-6 * cut.importance[0][left]).any()
    whole = nonlinear(mlp, drawn.x)
    assert all(c.all() for c in whole.certified)
    assert (whole.resolution[0] <= cut.resolution[0]).all() and (whole.resolution[0] > 0).all()
