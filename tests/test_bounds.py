"""The inequalities of the derivations: drawn examples look for a counterexample, and each is reached where it is tight.

Others are held where what they bound is: EC-5.3 and EC-6.5 in test_equations.py, EC-5.12 in test_guarded.py, EC-5.8 in
test_pruning.py, EC-7.17 in test_certify_nonlinear.py, EC-9.6 in test_nonlinear_bounds.py.
"""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import networks
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from profiles import draws

import ecprune_np as ec
from ecprune_np.error_analysis._balls import Ball
from ecprune_np.error_analysis._bounded import value
from ecprune_np.error_analysis._certify import bounded_digits
from ecprune_np.streaming.blocks import REFERENCE_SAMPLES
from ecprune_np.streaming.reduction import CANCELLED, _squares_by_gram, triangular_factor

SEEDS = st.integers(0, 2**32 - 1)
few = draws(16)  # of what takes a few milliseconds each
small = networks.networks(max_layers=3, max_width=3, max_samples=8)
U = 2.0**-53
has_longdouble = pytest.mark.skipif(
    np.finfo(np.longdouble).eps == np.finfo(float).eps, reason="longdouble is no wider than float64 here"
)


def norm(x) -> float:
    return float(np.linalg.norm(x))


# changes of the output


def unexplained(p, eta) -> float:
    """The remainder of EC-4.4 over its bound, from the divergence's terms in an order that does not cancel."""
    mean = p @ eta
    divergence = np.log1p(p @ np.expm1(eta - mean))  # log Σ p e^(η − mean): KL, as Σ p (η − mean) = 0
    return abs(divergence - p @ (eta - mean) ** 2 / 2) / (np.ptp(eta) ** 3 / 36 / np.sqrt(3))


@given(SEEDS, st.integers(2, 6), st.sampled_from([0.01, 0.1, 1, 10, 100]))
def test_the_divergence_is_half_of_fisher_up_to_its_bound(seed, classes, size):
    """EC-4.4: |r| ≤ ν³/(36 √3)."""
    rng = np.random.default_rng(seed)
    p = rng.dirichlet(np.full(classes, 10.0 ** rng.uniform(-1, 1)))
    assert unexplained(p, rng.choice([rng.standard_normal(classes), np.eye(classes)[0]]) * size) <= 1 + 1e-5


def test_no_two_classes_pass_the_bound_of_the_divergence_and_one_pair_reaches_it():
    """EC-4.4: of all pairs, those of the largest third moment."""
    m = np.linspace(0.005, 0.995, 199)
    used = [max(unexplained(np.array([p, 1 - p]), np.array([eta, 0])) for eta in (-0.01, 0.01)) for p in m]
    assert 0.99 < max(used) <= 1 and min(abs(m[np.argmax(used)] - (0.5 + s / 12**0.5)) for s in (-1, 1)) < 0.01
    third = [p * (1 - p) * (1 - 2 * p) for p in m]
    assert 0.999 < max(third) * 6 * np.sqrt(3) <= 1


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0.01, 1)), min_size=2, max_size=5))
@example([(0, 0.5 + 1 / 12**0.5), (1, 0.5 - 1 / 12**0.5)])
def test_a_third_central_moment_within_a_range_is_at_most_its_largest(numbers):
    """EC-4.4: |E(X − m)³| ≤ 1/(6 √3) for 0 ≤ X ≤ 1, the proof's lemma."""
    x, p = np.array(numbers).T
    p /= p.sum()
    m, third = p @ x, p @ (x - p @ x) ** 3
    assert abs(third) <= 1 / 6 / np.sqrt(3) + 1e-15
    assert third <= (m * (1 - m) * (1 - 2 * m) if m <= 1 / 3 else (1 - m) ** 3 / 4) + 1e-15  # its two halves


@given(st.lists(st.floats(-30, 30), min_size=2, max_size=6))
def test_roots_of_probabilities_lie_on_a_sphere_of_radius_two(logits):
    """EC-4.8."""
    p = np.exp(logits) / np.exp(logits).sum()
    assert norm(2 * np.sqrt(p)) == pytest.approx(2, rel=1e-12)


@given(SEEDS, st.floats(0.0, 0.95), st.booleans())
def test_all_sensitivities_wrong_alike_move_importances_as_far_as_they_may(seed, eta, larger):
    """EC-7.8 is an equality there."""
    drawn = networks.make([3, 4, 2], "tanh", seed=seed)
    factor = 1 + eta if larger else 1 - eta
    unit = np.sqrt(factor) * np.eye(2)[:, np.newaxis]
    wrong = ec.elimination_compensation(drawn.mlp, drawn.x, lambda outputs: np.broadcast_to(unit, (2, *outputs.shape)))
    for right, moved in zip(ec.elimination_compensation(drawn.mlp, drawn.x).importance, wrong.importance):
        np.testing.assert_allclose(moved, factor * right, rtol=1e-11, atol=1e-300)


@given(SEEDS, st.integers(1, 6), st.floats(0, 1), st.booleans())
def test_errors_of_the_activation_move_scores_on_the_scales_of_comparison(seed, n, eta, extreme):
    """EC-7.9: |√Î − √I| ≤ η √R, so |Î − I| ≤ (2 + η) η R; |δ̂* − δ*| ≤ η |w| √(E[s a²]/S)."""
    rng = np.random.default_rng(seed)
    a, weight, w = rng.standard_normal((n, 1)), rng.random(n) + 0.01, rng.uniform(-2, 2)
    neuron = ec.MLP([[[w]]], [[0.0]])
    signs = rng.uniform(-1, 1, (n, 1))
    if extreme:  # all of √I that there is, and all of it moved
        a, weight, signs = np.resize([1.0, -1.0], (n, 1)), np.ones(n), np.ones((n, 1))
    wrong = a * (1 + eta * signs)
    right, moved = (ec.elimination_compensation(neuron, ec.Batch(x, weight)) for x in (a, wrong))
    R = ec.criteria.obd(neuron, ec.Batch(a, weight)).importance[0].item()
    i, i_wrong = right.importance[0].item(), moved.importance[0].item()
    rounding = 1e-7 * np.sqrt(R)  # of √I, where I is nothing but rounding
    assert abs(np.sqrt(i_wrong) - np.sqrt(i)) <= eta * np.sqrt(R) + rounding
    assert abs(i_wrong - i) <= (2 + eta) * eta * R + 1e-12 * R
    shifts = abs(moved.bias_shift[0].item() - right.bias_shift[0].item())
    assert shifts <= eta * np.sqrt(R) * (1 + 1e-9) + 1e-14  # R = w² E[a²], S = 1


@pytest.mark.parametrize(("a", "signs"), [([1, 1], [1, 1]), ([1, -1], [1, -1]), ([1, -1], [1, 1])])
def test_the_scales_of_comparison_are_reached(a, signs):
    """EC-7.9: a constant input with one relative error, ±1 with errors of opposite signs and of one sign."""
    neuron, eta = ec.MLP([[[1.0]]], [[0.0]]), 0.25
    x = np.array(a, float)[:, np.newaxis]
    right, moved = (ec.elimination_compensation(neuron, v) for v in (x, x * (1 + eta * np.array(signs)[:, np.newaxis])))
    root = abs(np.sqrt(moved.importance[0].item()) - np.sqrt(right.importance[0].item()))
    shift = abs(moved.bias_shift[0].item() - right.bias_shift[0].item())
    assert max(root, shift) == pytest.approx(eta, rel=1e-12)


# rounding


def error_of_the_variance(a) -> float:
    """|v̂ − v| in units of u Q, in rational arithmetic (EC-7.6)."""
    moments = ec.collect_moments(ec.MLP([[[1]]], [[0]]), a[:, np.newaxis]).layers[0]
    numbers = [Fraction(v) for v in a]
    mean = sum(numbers) / len(a)
    v = sum((x - mean) ** 2 for x in numbers)
    q = sum((x - Fraction(moments.reference[0])) ** 2 for x in numbers)
    return float(abs(len(a) * Fraction(moments.variance[0, 0]) - v) / q) / U if q else 0.0


@pytest.mark.parametrize("n", [2, 4, 8])
def test_a_search_for_large_errors_of_the_variance_stays_below_the_bound(n):
    """EC-7.6: it climbs, and finds a tenth of 4n + 7 or more, as no bound by n/3 would allow."""
    worst = 0.0
    for seed in range(3):
        rng = np.random.default_rng(seed)
        a, step = rng.uniform(1, 2, n), 0.1
        best = error_of_the_variance(a)
        for k in range(1, 121):
            b = a + step * rng.standard_normal(n)
            if (found := error_of_the_variance(b)) > best:
                a, best = b, found
            step /= 1 + (k % 20 == 0)
        worst = max(worst, best)
    assert 1 < worst <= 4 * n + 7, worst


@given(st.floats(-1e6, 1e6), st.floats(-1e6, 1e6), st.floats(0.5, 2))
def test_subtracting_a_reference_errs_beside_what_is_left(a, r, ratio):
    """EC-7.2: by u |a − r|, and by nothing where they are within a factor of two (Sterbenz)."""
    exact = Fraction(a) - Fraction(r)
    assert abs(Fraction(a - r) - exact) <= Fraction(U) * abs(exact)
    near = ratio * a
    if a / 2 <= near <= 2 * a:
        assert Fraction(a - near) == Fraction(a) - Fraction(near)


@given(SEEDS, st.integers(1, 300), st.floats(-3, 3), st.floats(0, 2))
def test_no_samples_that_choose_a_reference_are_farther_from_all_than_they_may_be(seed, n, step, spread):
    """EC-7.3: those that choose at the border of r = 0, the others moved away from them."""
    stride = -(-n // REFERENCE_SAMPLES)
    chosen = np.arange(n) % stride == 0
    assert chosen.sum() <= REFERENCE_SAMPLES
    a = np.where(chosen, 4 + np.cumsum(chosen) % 2 * 2.0 - 1, 4 + step)
    a += spread * ~chosen * np.random.default_rng(seed).standard_normal(n)
    reference = ec.collect_moments(ec.MLP([[[1]]], [[0]]), a[:, np.newaxis]).layers[0].reference[0]
    p = chosen.mean()
    assert abs(a.mean() - reference) <= np.sqrt((17 - p) / p) * a.std() * (1 + 1e-12) + 1e-14


@pytest.mark.parametrize("stride", [2, 3, 10])
def test_the_distance_of_a_reference_is_reached(stride):
    """EC-7.3: 3 and 5 choose 0, all others are 4.25."""
    a = np.full(stride * REFERENCE_SAMPLES, 4.25)
    a[:: 2 * stride], a[stride :: 2 * stride] = 3, 5
    reference = ec.collect_moments(ec.MLP([[[1]]], [[0]]), a[:, np.newaxis]).layers[0].reference[0]
    p = 1 / stride
    assert reference == 0 and a.mean() / a.std() == pytest.approx(np.sqrt((17 - p) / p), rel=1e-13)


@given(SEEDS, st.integers(1, 100), st.floats(0.01, 0.99))
def test_an_error_of_the_step_moves_the_merged_variance_no_more_than_it_may(seed, n, p):
    """EC-7.7: of e as large as roundings allow it; all of it where nothing varies and the means are far in balance."""
    rng = np.random.default_rng(seed)

    def sides(S, mu, v, delta):
        weights = np.array([1 - p, p]) * S
        e = (2 * n + 3) * np.sqrt((v + S * mu**2) / S).sum() + 2 * abs(delta)
        merged = np.array([1 - p, p]) @ v + np.prod(weights) / weights.sum() * delta**2
        squares = np.array([1 - p, p]) @ (v + S * mu**2)
        moved = 2 * np.prod(weights) / weights.sum() * abs(delta) * e
        return moved, 2 * (2 * n + 3) * np.sqrt(merged * squares) + 4 * merged

    S, mu, v = rng.random((3, 2)) ** 4 + 1e-3
    moved, bound = sides(S, mu, v * rng.integers(0, 2), rng.standard_normal())
    assert moved <= bound * (1 + 1e-12), (moved, bound)
    moved, bound = sides(S, 1 / (np.array([1 - p, p]) * S), np.zeros(2), rng.standard_normal())
    assert moved == pytest.approx(bound, rel=1e-12)


def climbed(error, start, size: float, steps: int, rng) -> float:
    """The largest error that a walk uphill finds, from a start on and with steps that shrink."""
    best = error(start)
    for k in range(1, steps + 1):
        moved = start + size * rng.standard_normal(start.shape)
        if (found := error(moved)) > best:
            start, best = moved, found
        size /= 1 + (k % 30 == 0)
    return best


def error_of_the_step(a) -> float:
    """|Δ̂ − Δ| of two sets of samples over what EC-7.7 grants it, in rational arithmetic."""
    n, neuron = a.shape[1], ec.MLP([[[1]]], [[0]])
    ours, theirs = (ec.collect_moments(neuron, samples[:, np.newaxis]).layers[0] for samples in a)
    computed = Fraction(((theirs.offset - ours.offset) + (theirs.reference - ours.reference)).item())
    exact = [[Fraction(v) for v in samples] for samples in a]
    delta = (sum(exact[1]) - sum(exact[0])) / n
    squares = [sum((v - Fraction(m.reference[0])) ** 2 for v in part) / n for part, m in zip(exact, (ours, theirs))]
    bound = (2 * n + 3) * np.sqrt(np.array(squares, float)).sum() + 2 * abs(float(delta))
    return float(abs(computed - delta)) / U / bound


@pytest.mark.parametrize(("n", "share"), [(1, 1 / 2), (2, 1 / 6)])
def test_a_search_for_large_errors_of_the_step_between_two_means(n, share):
    """EC-7.7: it climbs, and finds half and a sixth of what the roundings may add up to."""
    rngs = map(np.random.default_rng, range(3))
    found = [climbed(error_of_the_step, rng.uniform(-2, 2, (2, n)), 0.1, 60, rng) for rng in rngs]
    assert 0.6 * share < max(found) <= 1, max(found)


@given(SEEDS, st.integers(1, 500), st.floats(-3, 3))
def test_the_second_moment_about_a_reference_is_that_far_from_the_variance(seed, n, threshold):
    """EC-7.3, EC-7.6: ṽ ≤ v + S (∣μ − E[a]∣ + √((17 − p)/p) std)², which is (1 + (10 + √(17/p))²) v at ten of them."""
    rng = np.random.default_rng(seed)
    a = np.column_stack([rng.standard_normal(n), rng.standard_normal(n) + rng.choice([0, 3, 5, 30])])
    neuron = ec.MLP([[[1, 0]]], [[-threshold]], output_activation="relu")  # hears some samples only
    layer = ec.collect_moments(neuron, a).layers[0]
    seen = a[a[:, 0] > threshold, 1]
    stride = -(-n // REFERENCE_SAMPLES)
    p = len(range(0, n, stride)) / n
    if len(seen):
        far = abs(seen.mean() - a[:, 1].mean()) + np.sqrt((17 - p) / p) * a[:, 1].std()
        second = np.sum((seen - layer.reference[1]) ** 2) / n
        v = np.sum((seen - seen.mean()) ** 2) / n
        assert second <= (v + len(seen) / n * far**2) * (1 + 1e-12) + 1e-12


@pytest.mark.parametrize(("distance", "units"), [(999, (1e6, 23e6)), (1001, (0, 8))])
def test_one_pass_costs_six_digits_at_most_beside_the_variance(distance, units):
    """EC-7.4, EC-7.6: 10⁶ (4n + 7) u v, where one pass just passes; a few u v where two follow."""
    worst = 0.0
    for seed in range(100):
        deviation = np.random.default_rng(seed).uniform(0.9999, 1.0009, 2) * [1, -1]
        a = np.append(distance + deviation, [-1e-3, -2e-3])[:, np.newaxis]  # of which the neuron hears two
        moments = ec.collect_moments(ec.MLP([[[1.0]]], [[0.0]], output_activation="relu"), a).layers[0]
        x = [Fraction(v) for v in a[:2, 0]]
        v, second = (x[0] - x[1]) ** 2 / 8, (x[0] ** 2 + x[1] ** 2) / 4
        worst = max(worst, float(abs(Fraction(moments.variance.item()) / v - 1)))
        assert (v >= second / 10**6) == (distance < 1000) and moments.reference == 0
    assert units[0] < worst / U <= units[1], worst / U


BALLS = st.tuples(st.floats(-4, 4), st.floats(0, 4))


@given(BALLS, BALLS, st.floats(-1, 1), st.floats(-1, 1))
def test_a_product_of_balls_holds_every_product_and_reaches_one(a, b, s, t):
    """EC-7.11."""
    x, y = (Ball(np.array(v), np.array(e)) for v, e in (a, b))
    product = x * y
    centre, radius = Fraction(product.value.item()), Fraction(product.error.item()) * Fraction(1000001, 1000000)
    # anywhere within, and at the corner that is farthest
    for p, q in ((s, t), (np.copysign(1, a[0]), np.copysign(1, b[0]))):
        true = (Fraction(a[0]) + Fraction(p) * Fraction(a[1])) * (Fraction(b[0]) + Fraction(q) * Fraction(b[1]))
        assert abs(true - centre) <= radius
    assert radius <= abs(true - centre) * Fraction(1000002, 1000000) + Fraction(1, 10**14)


@given(st.floats(-30, -2), st.floats(0, 1))
def test_the_bound_by_the_slopes_logarithm_is_reached(z, error):
    """EC-7.11: κ = 1 is all of (log σ')' for elu below 0, and the ball of its value ends where elu is."""
    ball = value("elu", Ball(np.array([z]), np.array([error])))
    true = np.exp(z) * np.expm1(error)
    assert true <= ball.error[0] * (1 + 1e-12) and ball.error[0] <= true * (1 + 1e-5) + 64 * U


@pytest.mark.parametrize(("name", "kappa"), [("elu", 1), ("sigmoid", 1), ("softplus", 1), ("tanh", 2)])
def test_slopes_change_by_no_more_than_their_logarithm_may(name, kappa):
    """EC-7.11: |(log σ')'| ≤ κ, which the tails reach."""
    z = np.linspace(-40, 40, 8001)
    change = np.abs(np.diff(np.log(ec.ACTIVATIONS[name].derivative(z))) / np.diff(z))
    assert 0.999 * kappa < change.max() <= kappa * (1 + 1e-9)


@given(st.floats(0.5, 2), st.floats(0, 0.4), st.floats(-3, 3), st.floats(-1, 1))
def test_a_certificate_claims_what_is_true_at_the_farthest_truth(centre, error, claim, where):
    """EC-7.13: of any truth within the ball no more digits, and of the farthest no fewer but for a smaller scale."""
    ball = Ball(np.array([centre]), np.array([error]))
    claimed = bounded_digits(np.array([claim]), ball)[0]
    for truth in (centre + where * error, centre - error, centre + error):
        distance = abs(claim - truth) / abs(truth)
        assert claimed <= np.clip(-np.log10(max(distance, 1e-17)), 0, 17) + 1e-9
    farthest = abs(claim - centre) + error
    assert claimed >= min(-np.log10(max(farthest / (centre - error), 1e-17)), 16) - 1e-5


@given(SEEDS, st.integers(1, 5), st.floats(0.01, 0.95))
def test_what_is_left_of_the_inverse_is_bounded(seed, n, size):
    """EC-7.14: ‖(I − D)⁻¹ t − t − D t‖ ≤ ε²/(1 − ε) ‖t‖, with equality for D = ε times a permutation and t = 1."""
    rng = np.random.default_rng(seed)
    D = rng.standard_normal((n, n))
    D *= size / np.abs(D).sum(axis=1).max()
    for matrix, t in ((D, rng.standard_normal(n)), (size * np.eye(n)[rng.permutation(n)], np.ones(n))):
        left = np.abs(np.linalg.solve(np.eye(n) - matrix, t) - t - matrix @ t).max()
        bound = size**2 / (1 - size) * np.abs(t).max()
        assert left <= bound * (1 + 1e-9) + 1e-14
    assert left >= bound * (1 - 1e-9) - 1e-14


@given(SEEDS, st.integers(1, 5), st.integers(1, 5))
def test_the_bound_by_columns_lies_beside_that_by_rows(seed, n_rows, n):
    """EC-7.20: t ≤ ‖|A| |w|‖ ≤ √n t; the left is reached by a diagonal matrix, the right by a single row."""
    rng = np.random.default_rng(seed)

    def sizes(A, w):
        columns = np.linalg.norm(A, axis=0) @ np.abs(w) / np.sqrt(len(w))
        return columns, norm(np.abs(A) @ np.abs(w)), np.sqrt(len(w)) * columns

    for A in (rng.standard_normal((n_rows, n)), rng.standard_normal((n_rows, n)) ** 9):
        w = rng.standard_normal(n)
        low, middle, high = sizes(A, w)
        assert low <= middle * (1 + 1e-12) and middle <= high * (1 + 1e-12)
        assert low <= norm(w * np.linalg.norm(A, axis=0)) * (1 + 1e-12)  # EC-7.21: nothing cancels but by chance
    low, middle, _ = sizes(np.eye(n), np.ones(n))
    assert low == pytest.approx(middle, rel=1e-13)
    _, middle, high = sizes(rng.standard_normal((1, n)), rng.standard_normal(n))
    assert middle == pytest.approx(high, rel=1e-13)


@given(SEEDS, st.integers(1, 4), st.lists(st.integers(1, 5), min_size=1, max_size=3))
def test_columns_that_err_by_a_share_move_lengths_no_more_than_it_allows(seed, n_rows, widths):
    """EC-7.19: through several layers; one positive row whose columns err alike moves by all of it."""
    rng, share = np.random.default_rng(seed), 2.0**-10

    def moved(A, E, ws):
        t, below = np.linalg.norm(A, axis=0), A + E
        for w in ws:
            A, below, t = A @ w, below @ w, t @ np.abs(w) / np.sqrt(len(w))
        ends = abs(np.linalg.norm(below, axis=0) - np.linalg.norm(A, axis=0))
        return ends, share * np.sqrt(np.prod([len(w) for w in ws])) * t

    ws = [rng.standard_normal(shape) for shape in zip(widths, [*widths[1:], 2])]
    A, E = rng.standard_normal((2, n_rows, widths[0]))
    E *= share * np.linalg.norm(A, axis=0) / np.linalg.norm(E, axis=0)
    for errors in (E, share * A, -share * A):
        found, bound = moved(A, errors, ws)
        assert (found <= bound * (1 + 1e-9)).all()
    found, bound = moved(np.abs(A[:1]), share * np.abs(A[:1]), [np.abs(w) for w in ws])
    np.testing.assert_allclose(found, bound, rtol=1e-9)


def error_of_a_factor(a, w) -> float:
    """What ε of EC-7.19 has to be for a QR of `a`, in units of u."""
    wide = np.longdouble
    exact = np.linalg.norm(a.astype(wide) @ w.astype(wide))
    t = np.linalg.norm(a, axis=0) @ np.abs(w) / np.sqrt(len(w))
    error = abs(np.linalg.norm(triangular_factor(a).astype(wide) @ w.astype(wide)) - exact)
    return float(error / (U * np.sqrt(len(w)) * t))


@has_longdouble
def test_a_factors_columns_err_by_some_units():
    """EC-7.19: ε is some u."""
    rng, worst = np.random.default_rng(0), 0.0
    for _ in range(1000):
        n_rows, n = rng.integers(1, 13), rng.integers(1, 7)
        spread = rng.choice([0, 8])
        rows, columns, weights = (10 ** rng.uniform(-spread, spread, shape) for shape in ((n_rows, 1), n, n))
        a = rows * rng.standard_normal((n_rows, n)) * columns
        worst = max(worst, error_of_a_factor(a, rng.standard_normal(n) * weights))
    assert 3 < worst < 16, worst


@has_longdouble
@pytest.mark.parametrize(("n_rows", "n"), [(1, 1), (3, 2), (24, 5)])
def test_a_search_for_large_errors_of_a_gram_matrix_stays_below_the_bound(n_rows, n):
    """EC-7.22: of R + 2 n_l units, of which one row and column have nearly all."""
    rng, wide, worst = np.random.default_rng(1), np.longdouble, 0.0
    for k in range(500):
        a, w = rng.standard_normal((n_rows, n)), rng.standard_normal((n, 1))
        if n == 1:
            a, w = 1 + rng.integers(2**26, 2**27, (2, 1, 1)) * 2.0**-52
            if k == 0:
                a[:], w[:] = 1 + 125530707 * 2.0**-52, 1 + 116423229 * 2.0**-52
        t = np.linalg.norm(a, axis=0) @ np.abs(w) / np.sqrt(n)
        exact = np.linalg.norm(a.astype(wide) @ w.astype(wide)) ** 2
        error = abs(_squares_by_gram(a[:, np.newaxis], w).item() - exact)
        worst = max(worst, float(error / (U * n * t.item() ** 2)))
    assert (2.95 if n == 1 else 1.5) < worst <= n_rows + 2 * n, worst


@given(SEEDS, st.integers(1, 5), st.floats(-9, 0))
def test_what_passes_a_factor_has_lost_six_bits_at_most(seed, n, log_share):
    """EC-7.21: h ≥ t/64 leaves s a relative error of 2 · 64 ε √n, which one row that just passes has."""
    rng, share = np.random.default_rng(seed), 2.0**-30
    A, E = rng.standard_normal((2, 4, n))
    w = rng.standard_normal(n)
    A -= np.outer(A @ w, w) / (w @ w) * (1 - 2**log_share)  # cancels but for a share
    E *= share * np.linalg.norm(A, axis=0) / np.linalg.norm(E, axis=0)
    c = CANCELLED / np.sqrt(2)
    row = np.array([[1, -(1 - c) / (1 + c)]])  # cancels to all that has to be left
    for a, e, v in ((A, E, w), (row, share * np.abs(row), np.ones(2))):
        length, t = norm((a + e) @ v), np.linalg.norm(a, axis=0) @ np.abs(v) / np.sqrt(len(v))
        error, bound = abs(length**2 / norm(a @ v) ** 2 - 1), 2 * 64 * share * np.sqrt(len(v))
        assert length < CANCELLED * t or error <= bound * (1 + 1e-5)
    assert length >= CANCELLED * t and error == pytest.approx(bound, rel=1e-5)


# beyond first order


@given(st.floats(-4, 4), st.floats(-3, 3))
def test_the_remainder_is_at_most_what_the_largest_curvature_on_the_way_allows(z, step):
    """EC-8.1: of tanh, by the largest |tanh''| between z and z + Δz; a short way uses all of it."""

    def bend(at):
        return 2 * np.tanh(at) * (1 - np.tanh(at) ** 2)

    def used(step):
        # the curvature is largest at an end, or where tanh² = 1/3, if that lies between
        peaks = [p for p in (-np.arctanh(3**-0.5), np.arctanh(3**-0.5)) if min(z, z + step) < p < max(z, z + step)]
        largest = np.abs(bend(np.array([z, z + step, *peaks]))).max()
        tangent = np.tanh(z) + step * (1 - np.tanh(z) ** 2)
        return abs(np.tanh(z + step) - tangent), step**2 / 2 * largest

    remainder, bound = used(step)
    assert remainder <= bound * (1 + 1e-9) + 1e-15
    if 0.1 < abs(z) < 3:
        remainder, bound = used(1e-3)
        assert remainder >= bound * 0.97


def test_the_linearization_error_is_all_of_the_remainder_where_first_order_expects_nothing():
    """EC-8.4 is an equality for the sparse relu: Φ = 0, Φ_true = E‖ρ‖² = 3."""
    neuron, x = ec.MLP([[[1]]], [[-1]], output_activation="relu"), np.array([[0], [0], [0], [3]])
    change = neuron.replace([[[0]]], [[2]])(x) - neuron(x)
    slope = ec.pullback(neuron, ec.forward(neuron, x), np.ones((1, 4, 1)))[0][0]
    remainder = change - slope * (3 - x)
    assert ec.elimination_compensation(neuron, x).importance[0] == 0
    assert norm(change) ** 2 / 4 == pytest.approx(3) == norm(remainder) ** 2 / 4


@given(SEEDS, st.integers(1, 6))
def test_remainders_of_bites_are_bounded_by_their_squares(seed, bites):
    """EC-8.5: f = tanh(w a + b), ‖f''‖ ≤ 4/(3 √3) ‖(a, 1)‖², along any polygon; f = w_2 w_1 reaches it."""
    rng = np.random.default_rng(seed)
    a = rng.uniform(-2, 2)
    path = rng.standard_normal((bites + 1, 2)) * rng.choice([0.1, 1, 3])
    z, w = path @ [a, 1], np.linspace(1, 0, bites + 1)
    remainders = np.diff(np.tanh(z)) - (1 - np.tanh(z[:-1]) ** 2) * np.diff(z)
    of_a_chain = np.diff(w**2) - 2 * w[:-1] * np.diff(w)  # w_1 = w_2 = w, along which ‖f''‖ is 1
    for left, kappa, theta in (
        (remainders, 4 / (3 * np.sqrt(3)) * (a**2 + 1), path),
        (of_a_chain, 1, np.stack([w, w], axis=1)),
    ):
        bound = kappa / 2 * np.sum(np.diff(theta, axis=0) ** 2)
        assert abs(left.sum()) <= bound * (1 + 1e-12) + 1e-14
    assert bound == pytest.approx(1 / bites, rel=1e-12) == left.sum()


@given(SEEDS, st.integers(1, 6), st.floats(-1, 1))
def test_a_parabola_misses_the_truth_by_no_more_than_curvature_and_kinks_say(seed, n, s):
    """EC-9.6: of h = c₀ + c₁ t + κ t²/2 + λ max(t, 0) in each sample; reached where all of it is one direction."""
    rng = np.random.default_rng(seed)

    def miss(c, kappa, jump):
        h = c[0] + c[1] * s + kappa * s**2 / 2 + jump * max(s, 0)
        truth, line = np.sqrt(np.mean(h**2)), np.sqrt(np.mean((c[0] + c[1] * s) ** 2))
        return abs(truth - line), np.sqrt(np.mean(jump**2)) * abs(s) + np.sqrt(np.mean(kappa**2)) * s**2 / 2

    distance, bound = miss(rng.standard_normal((2, n)), rng.standard_normal(n), rng.standard_normal(n))
    assert distance <= bound * (1 + 1e-12) + 1e-14
    distance, bound = miss(np.ones((2, 1)), np.ones(1), np.full(1, float(s > 0)))
    assert distance == pytest.approx(bound, rel=1e-9, abs=1e-14)


# what the pages say in words


@given(small)
def test_compensation_never_costs_to_first_order_and_nothing_is_below_nothing(drawn):
    """EC-3.7: 0 ≤ I ≤ R, on any network."""
    R = ec.criteria.obd(drawn.mlp, drawn.x).importance
    for i, r in zip(ec.elimination_compensation(drawn.mlp, drawn.x).importance, R):
        assert (i >= 0).all() and (i <= r * (1 + 1e-12)).all()


@given(small)
def test_the_matrix_of_the_joint_shifts_has_at_most_as_many_ranks_as_rows(drawn):
    """EC-5.4: rank H ≤ N R, so that more biases than that leave it singular."""
    outputs = drawn.mlp(drawn.x)
    unit = np.broadcast_to(np.eye(outputs.shape[1])[:, np.newaxis], (outputs.shape[1], *outputs.shape))
    J = np.concatenate(ec.pullback(drawn.mlp, ec.forward(drawn.mlp, drawn.x), unit), axis=2)
    rows = J.reshape(-1, J.shape[2])
    values = np.linalg.eigvalsh(rows.T @ rows)[::-1]
    assert (np.abs(values[len(rows) :]) <= 1e-12 * values[0]).all()


@given(SEEDS)
def test_the_gradients_cosine_is_at_most_one(seed):
    """EC-7.15: by Cauchy and Schwarz, with equality for one sample."""
    rng = np.random.default_rng(seed)
    change, slope = rng.standard_normal((2, 5))
    for n in (1, 5):
        c, d = change[:n], slope[:n]
        cosine = 2 * np.mean(c * d) / (2 * np.sqrt(np.mean(c**2) * np.mean(d**2)))
        assert abs(cosine) <= 1 + 1e-12 and (n > 1 or abs(cosine) == pytest.approx(1))


@given(st.floats(-5, 5), st.floats(0, 5), st.floats(-1, 1))
def test_an_error_of_a_slope_moves_its_square_no_more_than_it_may(slope, error, share):
    """EC-9.3: |Δs| ≤ (2 |c_rᵀ J_i| + e_r) e_r, as the oracle has it; all of it where the error has the slope's sign."""
    bound = (2 * abs(slope) + error) * error
    assert abs((slope + share * error) ** 2 - slope**2) <= bound * (1 + 1e-12) + 1e-12
    assert (slope + np.copysign(error, slope)) ** 2 - slope**2 == pytest.approx(bound, rel=1e-9, abs=1e-12)


@given(SEEDS, st.booleans())
@few
def test_the_errors_of_differences_hold_the_truth_at_kinks_too(seed, kink):
    """EC-9.3, EC-9.2: importances lie within their error, where a slope is the mean of two as well."""
    rng = np.random.default_rng(seed)
    w, x = rng.uniform(0.5, 2), np.append(0.0 if kink else 1.0, rng.uniform(-2, 2, 3))[:, np.newaxis]
    relu = ec.MLP([[[w]]], [[0.0]], output_activation="relu")
    found = ec.oracle.finite_differences(relu, x)
    right = ec.elimination_compensation(relu, x)  # which takes relu'(0) = 0
    assert (abs(found.importance[0] - right.importance[0]) <= found.importance_error[0] + 1e-9).all()


@given(SEEDS, st.integers(1, 6))
@few
def test_what_is_nothing_by_cancellation_costs_its_rounding_squared(seed, n):
    """EC-3.8, EC-7.9: two ways to the output that cancel leave a shift within the inputs, and u² of the importance."""
    rng = np.random.default_rng(seed)
    w, there, back = rng.uniform(0.1, 2, 3)
    x = rng.standard_normal((n, 1))
    ways = ec.MLP([[[w]], [[there], [back]], [[back, -there]]], [[0.0], [0.0, 0.0], [0.0]], "identity")
    scores = ec.elimination_compensation(ways, x)
    R = (w * there * back) ** 2 * np.mean(x**2)
    assert scores.importance[0].item() <= (4 * U) ** 2 * R
    mean = scores.bias_shift[0].item() / w
    assert mean == 0 or x.min() - 1e-12 <= mean <= x.max() + 1e-12


@pytest.mark.parametrize("name", [name for name in ec.ACTIVATIONS if name != "sin"])
def test_beyond_45_an_activation_is_its_asymptote(name):
    """EC-9.5: to rounding, beside what it is or 1."""
    z, sigma = np.linspace(1.25 * np.log(2.0**52), 700, 1001), ec.ACTIVATIONS[name]
    for side in (z, -z):
        value, slope = sigma.value(side), sigma.derivative(side)
        line = slope[-1] * side + (value[-1] - slope[-1] * side[-1])
        assert (abs(value - line) <= 2 * U * np.maximum(1, abs(side))).all()


def tables(page: str) -> list[dict[float, list[float]]]:
    """The tables of numbers of a page, by their first column; "2 of 5" is 2."""
    text = (Path(__file__).parent.parent / "derivations" / page).read_text(encoding="utf-8")
    found: list[dict[float, list[float]]] = []
    for before, line in pairwise(text.splitlines()):
        if before.startswith("|---"):
            found.append({})
        if found and line.startswith("| 0."):
            first, *rest = (float(cell.split()[0]) for cell in line.strip("| ").split("|"))
            found[-1][first] = rest
    return [table for table in found if table]


def test_what_is_read_off_the_tables_at_high_sparsity_is_in_them():
    """Page 8: each sentence below the two tables, of what was measured."""
    tanh, relu = tables("08-beyond-first-order.md")
    magnitude, unshifted, first_order, shifted, hurts, iterative = range(6)
    assert all(10 < t[s][magnitude] / t[s][shifted] < 100 for t in (tanh, relu) for s in (0.1, 0.3, 0.5))
    assert all(0.9 < tanh[s][shifted] / tanh[s][first_order] < 1.1 for s in (0.1, 0.3, 0.5))
    assert all(1.7 < tanh[s][shifted] / tanh[s][first_order] < 4 for s in (0.6, 0.7, 0.8, 0.9))
    assert all(row[hurts] == 0 and row[shifted] < row[unshifted] for row in tanh.values())
    assert all(2.5 < relu[s][shifted] / relu[s][first_order] < 13 for s in (0.3, 0.5, 0.6, 0.7, 0.8, 0.9))
    assert {relu[s][hurts] for s in relu if s < 0.9} == {1, 2} and relu[0.9][hurts] == 3
    assert round(relu[0.9][shifted] / relu[0.9][unshifted], 1) == 1.7 and relu[0.9][shifted] > relu[0.9][magnitude]
    gains = [round(t[s][shifted] / t[s][iterative]) for t in (tanh, relu) for s in (0.8, 0.9)]
    assert gains == [8, 6, 3, 3]
    assert 45 < relu[0.1][iterative] / relu[0.1][shifted] < 55 and relu[0.1][first_order] < 1e-38
    assert round(relu[0.1][shifted], 5) == 2e-5
