"""What the search for the nonlinear minimum rests on: bounds, brackets, intervals (EC-9.5, EC-9.6)."""

from __future__ import annotations

from itertools import pairwise

import networks
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from profiles import draws

import ecprune_np as ec
from ecprune_np.oracle._bends import _CURVATURES, ASYMPTOTES, JUMPS, STEEPEST, STRAIGHT, curvature, kink
from ecprune_np.oracle._bracket import FARTHEST, bracket
from ecprune_np.oracle._common import problem
from ecprune_np.oracle._descent import Points
from ecprune_np.oracle._exclusion import Remaining, not_excluded, tails
from ecprune_np.oracle._expansion import expansion, norms
from ecprune_np.oracle._guess import guess
from ecprune_np.oracle._intervals import Intervals, Lines, around, looked_at
from ecprune_np.oracle._parabolas import parabolas
from ecprune_np.oracle._removal import UNSPLIT, multiplied, removals, tie

few = draws(40)
DENSE = np.linspace(-20, 20, 8001)


def removal_of(drawn, l, metric="output", memory=2**20):
    x = ec.Batch(drawn.x, drawn.sample_weight, drawn.targets(metric))
    return removals(problem(drawn.mlp, x, metric), memory)(l, np.arange(drawn.mlp.sizes[l + 1]))


@pytest.mark.parametrize("name", networks.ACTIVATIONS)
@pytest.mark.parametrize("reach", [0.0, 0.1, 1.0, 6.0])
def test_an_activation_is_no_farther_from_its_tangent_than_its_bounds_say(name, reach):
    """EC-9.6: ∣σ(z + τ) − σ(z) − σ'(z) τ∣ ≤ γ∣τ∣ + κ τ²/2 for ∣τ∣ ≤ reach, and ∣σ'∣ is no more than the steepest."""
    sigma, z = ec.ACTIVATIONS[name], np.linspace(-12, 12, 401)
    bend, jump = curvature(name, z, np.array([reach])), kink(name, z, np.array([reach]))
    assert (np.abs(sigma.derivative(DENSE)) <= STEEPEST.get(name, 1)).all()
    for u in reach * np.linspace(-1, 1, 41):
        error = np.abs(sigma.value(z + u) - sigma.value(z) - sigma.derivative(z) * u)
        bound = jump * abs(u) + bend * u**2 / 2
        assert (error <= bound + 1e-14 * (1 + np.abs(z) + abs(u))).all(), (z[np.argmax(error - bound)], u)


@pytest.mark.parametrize("name", sorted(_CURVATURES))
def test_bounds_of_curvatures_fall_from_one_that_holds_anywhere(name):
    """EC-9.6: what holds at a distance from 0 holds beyond it; and no bound is twice what is needed anywhere near 0."""
    largest, decay = _CURVATURES[name]
    d = np.linspace(-3, 30, 3301)
    bounds = np.minimum(decay(d.copy()), largest)
    assert (np.diff(bounds) <= 0).all() and (bounds[d <= 0] == largest).all()
    if name not in JUMPS:
        needed = np.abs(np.diff(ec.ACTIVATIONS[name].derivative(DENSE)) / np.diff(DENSE)).max()
        assert needed <= largest + 1e-9 and largest <= 1.05 * needed + 1e-9
    assert set(_CURVATURES) == set(networks.ACTIVATIONS)


@pytest.mark.parametrize("name", sorted(ASYMPTOTES))
def test_far_from_0_an_activation_is_its_asymptote(name):
    """EC-9.5: from 45 on to rounding; a piecewise linear one from 0 on."""
    far = np.array([1e-3, 1.0, 45, 60]) if name in STRAIGHT else np.array([45.0, 50, 60])
    for sign, slope in zip((-1, 1), ASYMPTOTES[name]):
        values = ec.ACTIVATIONS[name].value(sign * far)
        line = values[-1] + slope * sign * (far - far[-1])
        np.testing.assert_allclose(values, line, rtol=1e-15, atol=1e-14)
    assert set(ASYMPTOTES) == set(networks.ACTIVATIONS) - {"sin"}


@given(
    networks.networks(), st.sampled_from(["output", "mse", "softmax"]), st.floats(-3, 1.5), st.integers(0, 2**32 - 1)
)
@few
def test_the_outputs_are_as_near_to_linear_as_bounded(drawn, metric, log_reach, seed):
    """EC-9.6: ‖h(t + τ) − h(t) − h'(t) τ‖ ≤ λ∣τ∣ + κ τ²/2, and where λ = 0, ‖h'(t + τ) − h'(t)‖ ≤ κ∣τ∣."""
    if drawn.mlp.output_activation == "sigmoid" and metric == "softmax":
        metric = "output"
    rng = np.random.default_rng(seed)
    for l in range(drawn.mlp.n_layers):
        removal = removal_of(drawn, l, metric)
        i, N = removal.neurons, removal.p.n_samples
        t, reach = 3 * rng.standard_normal((len(i), N)), np.full((len(i), 1), 10**log_reach)
        e = expansion(removal, norms(removal), i, t, reach)
        h, slope = removal.changes_and_slopes(i, t.copy())
        np.testing.assert_allclose(e.value, np.sum(h**2, axis=0), rtol=1e-9, atol=1e-25)
        np.testing.assert_allclose(e.square, np.sum(slope**2, axis=0), rtol=1e-9, atol=1e-25)
        np.testing.assert_allclose(e.slope, np.sum(h * slope, axis=0), rtol=1e-9, atol=1e-15)
        smooth = e.kink == 0
        for u in reach * np.append(rng.uniform(-1, 1, 18), [-1, 1])[:, np.newaxis, np.newaxis]:
            other, other_slope = removal.changes_and_slopes(i, t + u)
            rounding = 1e-13 * (1 + np.abs(other).max())
            error = np.linalg.norm(other - h - slope * u, axis=0)
            assert (error <= e.kink * np.abs(u) + e.curvature * u**2 / 2 + rounding).all(), (l, u)
            for inwards in (1, 1e-2):  # h'' is bounded all over, not on average alone
                _, near = removal.changes_and_slopes(i, t + (1 - inwards) * u)
                turned = np.linalg.norm(other_slope - near, axis=0)
                rounding = 1e-13 * (1 + np.abs(slope).max() + np.abs(near).max()) * (1 + np.abs(t).max())
                assert (turned <= e.curvature * inwards * np.abs(u) + rounding)[smooth].all(), (l, u)


def test_the_bounds_are_no_more_than_a_few_times_too_large():
    """EC-9.6: else the search would be slow."""
    for name, most in (("tanh", 3), ("sigmoid", 3), ("softplus", 3), ("sin", 8)):
        drawn = networks.make([4, 6, 5, 3], name, n_samples=12, seed=3)
        removal = removal_of(drawn, 0)
        t, u = np.zeros((6, 12)), 1e-3
        e = expansion(removal, norms(removal), removal.neurons, t, np.full((6, 1), u))
        _, before = removal.changes_and_slopes(removal.neurons, t - u)
        _, after = removal.changes_and_slopes(removal.neurons, t + u)
        curved = np.linalg.norm(after - before, axis=0) / (2 * u)
        ratio = np.sqrt(np.mean(e.curvature**2) / np.mean(curved**2))
        assert 1 <= ratio < most, (name, ratio)


@given(networks.networks(max_samples=8, max_width=4), st.floats(-2, 1), st.sampled_from([1, 2**12, 2**20]))
@few
def test_parabolas_of_all_weights_are_within_their_error(drawn, log_half, memory):
    """EC-9.6: ∣√Φ_true(δ + s) − √(A + 2 B s + C s²)∣ ≤ error, with one expansion for all weights of a neuron."""
    half = 10**log_half
    for l in range(drawn.mlp.n_layers):
        removal = removal_of(drawn, l, memory=memory)
        everyone, centres = np.arange(len(removal.weights)), np.array([-1.7, 0.0, 0.4])
        cells = parabolas(removal, norms(removal), centres, np.full(3, half))
        for s in half * np.linspace(-1, 1, 5):
            for q, centre in enumerate(centres):
                true = removal.value(everyone, np.full(len(everyone), centre + s)).reshape(removal.shape)
                a, b, c, rounding = (x[..., q] for x in (cells.a, cells.b, cells.c, cells.rounding))
                value = a + 2 * b * s + c * s**2
                high, low = np.sqrt(np.maximum(value + rounding, 0)), np.sqrt(np.maximum(value - rounding, 0))
                slack = 1e-12 * (1 + np.sqrt(true)) + cells.error[..., q]
                assert (np.sqrt(true) <= high + slack).all() and (np.sqrt(true) >= low - slack).all()


@given(networks.networks(max_samples=8), st.floats(-2, 1), st.floats(-3, 3), st.floats(0, 1.5))
@few
def test_a_settled_interval_has_no_lower_value(drawn, log_half, centre, share):
    """EC-9.6: the test by a parabola, and the bound where it fails, hold at every δ of the interval."""
    half = 10**log_half
    for l in range(drawn.mlp.n_layers):
        removal = removal_of(drawn, l)
        k = np.arange(len(removal.weights))
        intervals = Intervals(k, np.full(len(k), centre), np.full(len(k), half), k < 0)
        lines, noise = looked_at(removal, norms(removal), intervals), removal.output_rounding()
        value = share * lines.at.value
        settled, bound = lines.settled(intervals.half, value, noise), lines.bound(intervals.half)
        least = np.min([removal.value(k, centre + s + 0 * value) for s in half * np.linspace(-1, 1, 41)], axis=0)
        rounding = 1e-10 * value + 4 * tie(value, noise) + 1e-29
        assert (least[settled] >= (value - rounding)[settled]).all()
        assert (least >= bound * (1 - 1e-9) - 1e-24).all()


def test_intervals_that_are_halved_cover_what_they_were():
    """EC-9.6: two halves; of a home its inner half, around the same centre, and a quarter on either side."""
    whole = Intervals(np.array([0, 1]), np.array([1.0, 5.0]), np.array([0.5, 2.0]), np.array([False, True]))
    parts = whole.halved()
    for k, low, high in ((0, 0.5, 1.5), (1, 3.0, 7.0)):
        own = np.flatnonzero(parts.k == k)
        ends = sorted(zip(parts.centre[own] - parts.half[own], parts.centre[own] + parts.half[own]))
        assert ends[0][0] == low and ends[-1][1] == high
        assert all(a[1] == b[0] for a, b in pairwise(ends))
    assert parts.centre[parts.home].tolist() == [5.0] and parts.half[parts.home].tolist() == [1.0]
    homes = around(np.array([1]), np.array([2.0]), (np.array([9.0, -1.0]), np.array([9.0, 3.0])))
    assert homes.half.tolist() == [3.0] and homes.home.all()
    nowhere = around(np.array([0]), np.array([2.0]), (np.array([np.inf]), np.array([-np.inf])))
    assert nowhere.half.tolist() == [0.0]


def test_a_line_that_is_no_number_settles_nothing():
    lines = Lines(Points(*np.array([[0.0], [1.0], [0.0], [1.0]])), np.array([np.nan]), np.array([np.inf]))
    assert not lines.settled(np.array([1.0]), np.array([0.5]), 0.0).any()


@given(networks.networks(max_samples=8))
@few
def test_beyond_the_bracket_the_outputs_are_linear(drawn):
    """EC-9.5: to rounding, on both sides, unless a sine goes on for ever; a sine's own bracket is a period."""
    for l in range(drawn.mlp.n_layers):
        removal = removal_of(drawn, l)
        where, everyone = bracket(removal), np.arange(len(removal.weights))
        if drawn.mlp.layer_activation(l).name == "sin":
            assert where.periodic and (where.high == np.pi).all() and (where.low == -np.pi).all()
            continue
        assert (where.low < where.high).all() or {a.name for a in removal.activation[l:]} <= {"identity"}
        J = removal.shape[1]
        for end, sign in ((where.low, -1), (where.high, 1)):
            shift = np.repeat(end, J)
            i, J_N = np.repeat(removal.neurons, J), removal.weights[:, np.newaxis] * removal.inputs[everyone % J]
            step = 1 + np.abs(shift[:, np.newaxis])
            h = [removal.changes(i, shift[:, np.newaxis] + sign * q * step - J_N) for q in (0, 1, 2)]
            size = 1 + np.abs(h[0]) + np.abs(h[2])
            bent = np.abs(h[0] - 2 * h[1] + h[2]) / size
            good = ~np.repeat(where.endless[(sign + 1) // 2], J) & (np.abs(shift) < FARTHEST)
            assert (bent[:, good] <= 1e-10).all(), (l, sign, bent.max())


def test_neurons_that_move_slowly_are_followed_far():
    """EC-9.5: a weight of 1e-6 takes its neuron to saturation at 4.5e7; one that no float can tell from 0, nowhere."""
    drawn = networks.make([1, 1, 1], ["softplus"], "tanh", 3, 2)
    for w, least in ((1e-6, 4e7), (1e-300, 2.0**59)):
        mlp = drawn.mlp.replace([drawn.mlp.weights[0], [[w]]], [drawn.mlp.biases[0], [0.0]])
        removal = removals(problem(mlp, drawn.x, "output"))(0, np.arange(1))
        where = bracket(removal)
        assert where.high[0] > least and where.endless[1, 0] == (w == 1e-300)
        found = ec.oracle.nonlinear(mlp, drawn.x)
        assert found.certified[0].all() == (w == 1e-6) and np.isfinite(found.bias_shift[0]).all()
    cancels = ec.MLP(
        [[[1.0]], [[0.1], [0.2]], [[2.0, -1.0]]], [[0.0], [0.0, 0.0], [0.0]], ["softplus", "identity"], "tanh"
    )
    assert bracket(removals(problem(cancels, [[1.0]], "output"))(0, np.arange(1))).high[0] < 100


@given(networks.networks(max_samples=8))
@few
def test_what_is_excluded_for_all_weights_is_not_lower(drawn):
    """EC-9.6: outside of the ends, in the bracket, no δ has a value below the one that is given."""
    for l in range(drawn.mlp.n_layers):
        removal = removal_of(drawn, l)
        k, noise, where = np.arange(len(removal.weights)), removal.output_rounding(), bracket(removal)
        best = Points.evaluate(removal, k, np.zeros(len(k)))
        value = best.value
        left, settled = not_excluded(removal, norms(removal), value, best, where, noise)
        for shift in (where.low.min(), *np.linspace(-9, 9, 61), where.high.max()):
            out = (shift < left.low - 1e-9) | (shift > left.high + 1e-9)
            there = removal.value(k, np.full(len(k), float(shift)))
            out |= settled
            inside = where.low.min() <= shift <= where.high.max()
            assert not inside or (there >= value - 1e-10 * value - 4 * tie(value, noise) - 1e-29)[out].all(), (l, shift)


@given(networks.networks(max_samples=8), st.integers(0, 2**32 - 1))
@few
def test_bounds_hold_in_all_that_is_not_excluded(drawn, seed):
    """EC-9.6: where λ = 0 between the ends, √E‖h'(δ) − h'(δ')‖² ≤ κ∣δ − δ'∣ there."""
    share = np.random.default_rng(seed).random(2)
    for l in range(drawn.mlp.n_layers):
        removal = removal_of(drawn, l)
        (_, J), k = removal.shape, np.arange(len(removal.weights))
        best = Points.evaluate(removal, k, np.zeros(len(k)))
        left, _ = not_excluded(removal, norms(removal), best.value, best, bracket(removal), removal.output_rounding())
        held = np.flatnonzero((left.low < left.high) & np.isfinite(left.curvature) & (left.kink == 0))
        if len(held) == 0:
            continue
        shifts = [left.low[held] + s * (left.high - left.low)[held] for s in share]
        removed = removal.weights[held, np.newaxis] * removal.inputs[held % J]
        slopes = [removal.changes_and_slopes(held // J, shift[:, np.newaxis] - removed)[1] for shift in shifts]
        turned = np.sqrt(np.sum((slopes[0] - slopes[1]) ** 2, axis=0) @ removal.p.weight)
        size = 1 + np.sqrt(np.sum(slopes[0] ** 2, axis=0) @ removal.p.weight)
        assert (turned <= left.curvature[held] * np.abs(shifts[0] - shifts[1]) + 1e-12 * size).all(), l


def test_what_is_excluded_between_the_ends_counts_in_their_bounds():
    """EC-9.6: f = tanh(z + 2) − tanh(z − 2) is even, so that z = −4 is nearly restored by δ = w and by δ = 8 + w."""
    rng = np.random.default_rng(0)
    ends = [[[1.0], [1.0]], [[1.0, -1.0]]], [[2.0, -2.0], [0.0]]
    mlp = ec.MLP([0.01 * rng.uniform(1, 2, (1, 30)), *ends[0]], [[-4.5], *ends[1]], ["identity", "tanh"])
    x = 1 + 1e-3 * rng.standard_normal((6, 30))
    removal = removals(problem(mlp, x, "output"))(0, np.arange(1))
    best = Points.evaluate(removal, np.arange(30), removal.first_order_shift())
    left, settled = not_excluded(removal, norms(removal), 2 * best.value, best, bracket(removal), 0.0)
    assert (left.low < 0.02).all() and (left.high > 8).all() and not settled.any()
    t = np.full((1, 6), 4.0) + np.array([[-2.7], [-2.5]])  # where tanh(z + 2) bends most
    _, slopes = removal.changes_and_slopes(np.zeros(2, int), t)
    assert (left.curvature >= np.abs(np.diff(slopes[0], axis=0)).max() / 0.2).all(), left.curvature
    found = ec.oracle.nonlinear(mlp, x)
    assert found.certified[0].all() and (np.abs(found.bias_shift[0]) < 0.03).all()


def test_bounds_between_the_ends_settle_nothing_from_outside():
    """EC-9.6: nor where a kink is between them; where no value is lower, there is nothing to be settled."""
    best = Points(*np.array([[1.5, 0.0, 1.5, 0.0], [1.0] * 4, [0.0] * 4, [1.0] * 4]))
    kink = np.array([0.0, 0.0, 1e-3, 0.0])
    remaining = Remaining(np.array([1.0, 1.0, 1.0, np.inf]), np.array([2.0, 2.0, 2.0, -np.inf]), kink, 0 * kink)
    assert remaining.settled(best, 0.0).tolist() == [True, False, False, True]


@pytest.mark.parametrize("width", [UNSPLIT // 16, UNSPLIT])
def test_a_product_by_columns_has_all_of_them(width):
    a, b = np.ones((4, width)), np.arange(11) * np.ones((width, 1))
    assert (multiplied(a, b) == width * np.arange(11)).all()


def test_tails_are_the_parabolas_beyond():
    """EC-9.5: softplus on the right goes on with slope 1, on the left it is constant, with a sine behind it too."""
    drawn = networks.make([2, 2, 1], "softplus", n_samples=5, seed=1)
    removal = removal_of(drawn, 0)
    k, where = np.arange(len(removal.weights)), bracket(removal)
    outside = tails(removal, norms(removal), where, removal.output_rounding())
    assert outside.constant[0].all() and not outside.constant[1].any()
    for shift, value in zip(outside.shift, outside.value):
        np.testing.assert_allclose(removal.value(k, shift), value, rtol=1e-9)
    endless = removal_of(networks.make([2, 2, 2, 1], ["softplus", "sin"], n_samples=5, seed=1), 0)
    below, above = tails(endless, norms(endless), bracket(endless), endless.output_rounding()).value
    assert np.isfinite(below).all() and np.isinf(above).all()
    np.testing.assert_allclose(endless.value(np.arange(4), np.full(4, -100.0)), below, rtol=1e-9)


def test_a_guess_is_good_on_smooth_networks_and_harmless_elsewhere():
    """EC-9.5."""
    drawn = networks.make([5, 6, 4], "tanh", n_samples=30, seed=1)
    removal = removal_of(drawn, 0)
    start = removal.first_order_shift()
    guessed = guess(removal, start)
    best = ec.oracle.nonlinear(drawn.mlp, ec.Batch(drawn.x, drawn.sample_weight)).bias_shift[0].ravel()
    assert np.median(np.abs(guessed - best)) < 1e-5 < np.median(np.abs(start - best))
    nothing = removals(problem(drawn.mlp, 0 * drawn.x, "output"))(0, np.arange(2))
    assert (guess(nothing, np.zeros(10)) == 0).all()
