"""Equations of the derivations as properties, each written from the page and not from the code that implements it."""

from __future__ import annotations

import math
from fractions import Fraction

import networks
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from taylor import observed_order

import ecprune_np as ec
from ecprune_np.error_analysis.comparison import digits
from ecprune_np.oracle._common import two_pass_moments
from ecprune_np.streaming.blocks import REFERENCE_SAMPLES

SMOOTH = ["gelu", "identity", "sigmoid", "silu", "sin", "softplus", "tanh"]
SEEDS = st.integers(0, 2**32 - 1)
small = networks.networks(max_layers=3, max_width=3, max_samples=8)
smooth = networks.networks(activations=SMOOTH, output_activations=SMOOTH, max_layers=3, max_width=3, max_samples=8)


def output_derivatives(mlp, x):
    """J_i of every neuron of every layer: a list of arrays (N, K, n_l)."""
    outputs = mlp(x)
    unit = np.broadcast_to(np.eye(outputs.shape[1])[:, np.newaxis], (outputs.shape[1], *outputs.shape))
    return [g.transpose(1, 0, 2) for g in ec.pullback(mlp, ec.forward(mlp, x), unit)]


def gauss_newton_root(mlp, x):
    """G with H = GᵀG over all weights and biases, and the place of each column: (l, i, j) and (l, i)."""
    columns, names = [], []
    for l, (J, a) in enumerate(zip(output_derivatives(mlp, x), ec.forward(mlp, x).inputs)):
        for i in range(J.shape[2]):
            for j in range(a.shape[1]):
                columns.append(J[:, :, i] * a[:, [j]])
                names.append((l, i, j))
            columns.append(J[:, :, i])
            names.append((l, i))
    return np.stack([c.ravel() for c in columns], axis=-1) / np.sqrt(len(x)), names


def surgeon(G, names, l, i, j, free):
    """w⁻² times the smallest ‖GΔ‖² with Δ_q = −w, the free parameters moving, and their moves over w."""
    q = names.index((l, i, j))
    R = [names.index(name) for name in names if name in free and name != (l, i, j)]
    move = np.linalg.lstsq(G[:, R], G[:, q], rcond=1e-13)[0] if R else np.zeros(0)
    return np.sum((G[:, q] - G[:, R] @ move) ** 2), dict(zip([names[r] for r in R], move))


def weights_of(mlp):
    return [(l, i, j) for l, w in enumerate(mlp.weights) for i in range(w.shape[0]) for j in range(w.shape[1])]


def with_removed(mlp, l, i, j, shift, fraction=1.0):
    """w_ij → (1 − fraction) w_ij and b_i → b_i + fraction · shift."""
    weights, biases = [w.copy() for w in mlp.weights], [b.copy() for b in mlp.biases]
    weights[l][i, j] *= 1 - fraction
    biases[l][i] += fraction * shift
    return mlp.replace(weights, biases)


@given(small, st.floats(0, 1))
def test_a_strictly_increasing_function_of_the_importance_prunes_the_same_weights(drawn, sparsity):
    """EC-3.10."""
    scores = ec.elimination_compensation(drawn.mlp, drawn.x)
    values = np.unique(np.concatenate([i.ravel() for i in scores.importance]))
    ranks = ec.Scores([np.searchsorted(values, i).astype(float) for i in scores.importance], scores.bias_shift)
    one, other = ec.prune(drawn.mlp, scores, sparsity), ec.prune(drawn.mlp, ranks, sparsity)
    for a, b in zip((*one.mlp.weights, *one.mlp.biases), (*other.mlp.weights, *other.mlp.biases)):
        np.testing.assert_array_equal(a, b)


@given(small, st.data())
def test_shifts_of_a_row_add_up_to_the_least_squares_optimum(drawn, data):
    """EC-5.1: against the weighted least squares fit of Σ w_j a_j by a constant."""
    mlp, x = drawn.mlp, drawn.x
    scores, sensitivity = ec.elimination_compensation(mlp, x), ec.collect_moments(mlp, x).sensitivity
    l = data.draw(st.integers(0, mlp.n_layers - 1))
    i = data.draw(st.integers(0, len(mlp.weights[l]) - 1))
    P = data.draw(st.sets(st.integers(0, mlp.weights[l].shape[1] - 1), min_size=1))
    s = np.sum(output_derivatives(mlp, x)[l][:, :, i] ** 2, axis=1)
    u = sum(mlp.weights[l][i, j] * ec.forward(mlp, x).inputs[l][:, j] for j in P)
    best = np.linalg.lstsq(np.sqrt(s)[:, np.newaxis], np.sqrt(s) * u, rcond=None)[0][0] if sensitivity[l][i] > 0 else 0
    importance = [np.full(w.shape, 2.0) for w in mlp.weights]
    importance[l][i, sorted(P)] = 1
    pruned = ec.prune(mlp, ec.Scores(importance, scores.bias_shift), len(P) / mlp.n_weights).mlp
    assert_allclose(pruned.biases[l][i] - mlp.biases[l][i], best, rtol=1e-9, atol=1e-9 * (1 + np.abs(u).max()))


def fluctuations(mlp, x):
    """w_ij J_i (μ_ij − a_j) of every weight, one row a weight, samples and outputs along it."""
    moments, trace = ec.collect_moments(mlp, x), ec.forward(mlp, x)
    J = output_derivatives(mlp, x)
    rows = [
        mlp.weights[l][i, j] * J[l][:, :, i] * (moments.mean[l][i, j] - trace.inputs[l][:, [j]])
        for l, i, j in weights_of(mlp)
    ]
    return np.stack([r.ravel() for r in rows]) / np.sqrt(len(x))


@given(small)
def test_a_set_costs_its_quadratic_form(drawn):
    """EC-5.2: the diagonal is I, and the change linearised over the whole set is Σ_qq' Q_qq'."""
    rows = fluctuations(drawn.mlp, drawn.x)
    Q = rows @ rows.T
    scores = ec.elimination_compensation(drawn.mlp, drawn.x)
    importance = np.concatenate([i.ravel() for i in scores.importance])
    R = np.concatenate([r.ravel() for r in ec.criteria.obd(drawn.mlp, drawn.x).importance])
    assert_allclose(np.diag(Q), importance, rtol=1e-9, atol=1e-12 * R.max())
    P = np.random.default_rng(drawn.seed).random(len(Q)) < 0.5
    J, trace = output_derivatives(drawn.mlp, drawn.x), ec.forward(drawn.mlp, drawn.x)
    change = np.zeros_like(trace.outputs)
    for (l, i, j), removed in zip(weights_of(drawn.mlp), P):
        step = scores.bias_shift[l][i, j] - drawn.mlp.weights[l][i, j] * trace.inputs[l][:, [j]]
        change += removed * J[l][:, :, i] * step
    assert_allclose(np.mean(np.sum(change**2, axis=1)), Q[np.ix_(P, P)].sum(), rtol=1e-9, atol=1e-12 * R.sum())


@given(small)
def test_a_set_costs_at_most_the_square_of_the_sum_of_roots(drawn):
    """EC-5.3."""
    rows = fluctuations(drawn.mlp, drawn.x)
    P = np.random.default_rng(drawn.seed).random(len(rows)) < 0.5
    root = np.linalg.norm(rows[P].sum(axis=0))
    assert root <= np.linalg.norm(rows[P], axis=1).sum() * (1 + 1e-12)


@given(small)
def test_joint_shifts_solve_the_linear_system(drawn):
    """EC-5.4: H δ = h is solvable, its solution beats the independent shifts, and by (δ* − δ)ᵀ H (δ* − δ)."""
    mlp, x = drawn.mlp, drawn.x
    scores, trace = ec.elimination_compensation(mlp, x), ec.forward(mlp, x)
    J = np.concatenate(output_derivatives(mlp, x), axis=2)
    rng = np.random.default_rng(drawn.seed)
    gone = [rng.random(w.shape) < 0.5 for w in mlp.weights]
    u = np.concatenate([a @ (w * g).T for a, w, g in zip(trace.inputs, mlp.weights, gone)], axis=1)
    independent = np.concatenate([(d * g).sum(axis=1) for d, g in zip(scores.bias_shift, gone)])
    root = J.reshape(-1, J.shape[2]) / np.sqrt(len(x))
    change = np.einsum("nki,ni->nk", J, u).ravel() / np.sqrt(len(x))
    joint = np.linalg.lstsq(root, change, rcond=1e-13)[0]
    H, h = root.T @ root, root.T @ change
    assert_allclose(H @ joint, h, atol=1e-10 * np.linalg.norm(root) * np.linalg.norm(change))
    before, after = np.sum((root @ independent - change) ** 2), np.sum((root @ joint - change) ** 2)
    gap = np.sum((root @ (independent - joint)) ** 2)
    assert_allclose(before - after, gap, rtol=1e-9, atol=1e-9 * (before + np.sum(change**2)))


@given(SEEDS)
def test_no_shift_does_better_than_the_ceiling(seed):
    """EC-5.5: for one linear layer the best biases are known, b + E[u], and their value is below any other's."""
    rng = np.random.default_rng(seed)
    drawn = networks.make([4, 3], "identity", seed=seed)
    mask = rng.random((3, 4)) < 0.5
    masked = drawn.mlp.replace([np.where(mask, drawn.mlp.weights[0], 0)], drawn.mlp.biases)
    best = masked.biases[0] + np.mean(drawn.mlp(drawn.x) - masked(drawn.x), axis=0)

    def change(b):
        return np.mean(np.sum((masked.replace(masked.weights, [b])(drawn.x) - drawn.mlp(drawn.x)) ** 2, axis=1))

    assert change(best) <= change(best + rng.standard_normal(3)) + 1e-12
    scores = ec.Scores([mask.astype(float)], ec.elimination_compensation(drawn.mlp, drawn.x).bias_shift)
    pruned = ec.prune(drawn.mlp, scores, float(np.mean(~mask)))
    assert_allclose(pruned.mlp.biases[0], best, atol=1e-12)


@given(st.floats(0, 1), st.integers(1, 50))
def test_the_schedule_ends_at_the_sparsity_in_ever_smaller_bites(sparsity, steps):
    """EC-5.7: the bites are ∫ 3 s (1 − τ)² dτ."""
    bites = np.diff([0, *ec.sparsity_schedule(sparsity, steps)])
    assert_allclose(bites.sum(), sparsity, atol=1e-14)
    assert (np.diff(bites) <= 1e-15).all()
    kept, h = 1 - np.arange(steps) / steps, 1 / steps
    assert_allclose(bites, sparsity * (3 * kept**2 * h - 3 * kept * h**2 + h**3), atol=1e-14)


@given(SEEDS, st.integers(1, 5), st.integers(1, 6))
def test_surgeon_minimises_the_quadratic_form(seed, rank, size):
    """EC-6.1: for singular and regular H, against any other move; and by the inverse where there is one."""
    rng = np.random.default_rng(seed)
    G = rng.standard_normal((rank, size))
    H = G.T @ G
    names = [(0, 0, k) for k in range(size)]
    value, move = surgeon(G, names, 0, 0, 0, names)
    step = np.array([-1.0, *move.values()])
    assert_allclose(step @ H @ step, value, atol=1e-9 * np.trace(H))
    other = step + np.concatenate([[0], rng.standard_normal(size - 1)])
    assert value <= other @ H @ other + 1e-9 * np.trace(H)
    schur = H[0, 0] - H[0, 1:] @ np.linalg.pinv(H[1:, 1:], rcond=1e-10, hermitian=True) @ H[1:, 0]
    assert_allclose(value, schur, atol=1e-7 * np.trace(H))
    if rank >= size and np.linalg.cond(H) < 1e6:
        assert_allclose(value, 1 / np.linalg.inv(H)[0, 0], rtol=1e-6)


@given(small)
def test_elimination_compensation_is_the_surgeon_on_a_weight_and_its_bias(drawn):
    """EC-6.2: importance and shift from the 2×2 block of H."""
    G, names = gauss_newton_root(drawn.mlp, drawn.x)
    scores = ec.elimination_compensation(drawn.mlp, drawn.x)
    R = ec.criteria.obd(drawn.mlp, drawn.x).importance
    for l, i, j in weights_of(drawn.mlp):
        w, S = drawn.mlp.weights[l][i, j], np.sum(G[:, names.index((l, i))] ** 2)
        value, move = surgeon(G, names, l, i, j, [(l, i)])
        assert_allclose(scores.importance[l][i, j], w**2 * value, rtol=1e-9, atol=1e-12 * R[l][i, j])
        if S > 1e-100:
            assert_allclose(scores.bias_shift[l][i, j], w * move[l, i], rtol=1e-9, atol=1e-12 * abs(w))


@given(SEEDS)
def test_a_row_with_its_bias_is_the_surgeon_on_the_weighted_covariance(seed):
    """EC-6.3: 1/[(C^i)⁻¹]_jj, without the bias, is 1/[H⁻¹]_jj with it."""
    drawn = networks.make([4, 3, 2], "tanh", n_samples=40, seed=seed)
    G, names = gauss_newton_root(drawn.mlp, drawn.x)
    i, s = 1, np.sum(output_derivatives(drawn.mlp, drawn.x)[0][:, :, 1] ** 2, axis=1)
    mean = s @ drawn.x / s.sum()
    C = (drawn.x - mean).T @ (s[:, np.newaxis] * (drawn.x - mean)) / len(s)
    for j in range(4):
        value, _ = surgeon(G, names, 0, i, j, [(0, i), *((0, i, k) for k in range(4))])
        assert_allclose(value, 1 / np.linalg.inv(C)[j, j], rtol=1e-7)
    moments = ec.collect_moments(drawn.mlp, drawn.x)
    assert_allclose(np.diag(C), moments.variance[0][i], rtol=1e-10)


@given(small)
def test_optimal_brain_damage_is_the_diagonal(drawn):
    """EC-6.4: R_ij = w² H_qq."""
    G, names = gauss_newton_root(drawn.mlp, drawn.x)
    obd = ec.criteria.obd(drawn.mlp, drawn.x)
    for l, i, j in weights_of(drawn.mlp):
        q = names.index((l, i, j))
        diagonal = np.sum(G[:, q] ** 2)
        assert_allclose(obd.importance[l][i, j], drawn.mlp.weights[l][i, j] ** 2 * diagonal, rtol=1e-9, atol=1e-300)


@given(small)
def test_what_may_move_further_loses_less(drawn):
    """EC-6.5: OBS ≤ row ≤ EC ≤ OBD."""
    G, names = gauss_newton_root(drawn.mlp, drawn.x)
    for l, i, j in weights_of(drawn.mlp):
        row = [name for name in names if name[:2] == (l, i)]
        values = [surgeon(G, names, l, i, j, free)[0] for free in (names, row, [(l, i)], [])]
        assert (np.diff(values) >= -1e-9 * values[-1]).all(), values


def test_magnitude_is_the_surgeon_of_equal_second_moments():
    """EC-6.6: inputs ±1 in one linear layer, where E[s a²] = 1 for every weight."""
    drawn = networks.make([4, 3], "identity", seed=5)
    x = np.sign(drawn.x)
    obd = ec.criteria.obd(drawn.mlp, x).importance[0]
    assert_allclose(ec.criteria.magnitude(drawn.mlp).importance[0], np.sqrt(obd), rtol=1e-14)


@given(small)
def test_gradient_magnitude_is_below_the_root_of_the_loss_metric(drawn):
    """EC-6.8: |w E[g a]| ≤ √R with the loss metric."""
    y = np.random.default_rng(drawn.seed).standard_normal((len(drawn.x), drawn.mlp.sizes[-1]))
    moments = ec.collect_moments(drawn.mlp, ec.Batch(drawn.x, y=y), "mse")
    gradient = ec.criteria.gradient_magnitude(drawn.mlp, drawn.x, y)
    trace = ec.forward(drawn.mlp, drawn.x)
    g = ec.pullback(drawn.mlp, trace, (2 * (trace.outputs - y) / y.shape[1])[np.newaxis])
    R = ec.criteria.obd(drawn.mlp, moments).importance
    for l, i, j in weights_of(drawn.mlp):
        first_order = abs(drawn.mlp.weights[l][i, j] * np.mean(g[l][0][:, i] * trace.inputs[l][:, j]))
        assert_allclose(gradient.importance[l][i, j], first_order, rtol=1e-9, atol=1e-13 * np.sqrt(R[l][i, j]))
        assert first_order <= np.sqrt(R[l][i, j]) * (1 + 1e-9) + 1e-150


@given(SEEDS)
def test_wanda_is_the_root_of_brain_damage_for_the_neurons_own_preactivation(seed):
    """EC-6.7: R with s = 1, which is the last layer with identity output."""
    drawn = networks.make([5, 4, 3], "tanh", seed=seed)
    wanda, obd = ec.criteria.wanda(drawn.mlp, drawn.x), ec.criteria.obd(drawn.mlp, drawn.x)
    assert_allclose(wanda.importance[-1], np.sqrt(obd.importance[-1]), rtol=1e-12)


@given(SEEDS, st.integers(1, 30), st.sampled_from([0.0, 1.0, 3.0, 1e3, 1e6, 1e8]))
def test_the_error_of_the_variance_is_within_its_bound(seed, n, offset):
    """EC-7.6: (4n + 7) u Q, against exact rational arithmetic, also where two passes replaced one."""
    rng = np.random.default_rng(seed)
    a, weight = rng.standard_normal((n, 2)) + offset, rng.random(n) ** 4
    neuron = ec.MLP([[[1, 1]]], [[0]])  # s = 1, so what counts is the sample's share alone
    computed = ec.collect_moments(neuron, ec.Batch(a, weight)).layers[0]
    for j in range(2):
        S = [Fraction(v) for v in weight / weight.sum()]
        A = [Fraction(v) for v in a[:, j]]
        mean = sum(p * q for p, q in zip(S, A)) / sum(S)
        exact = sum(p * (q - mean) ** 2 for p, q in zip(S, A))
        Q = sum(p * (q - Fraction(computed.reference[j])) ** 2 for p, q in zip(S, A))
        error = abs(Fraction(computed.variance[0, j]) - exact)
        bound = (4 * n + 7) * Fraction(1, 2**53) * Q * Fraction(101, 100)  # the last factor for O(u²)
        assert error <= bound, (float(error), float(bound))


@given(SEEDS, st.integers(1, 4), st.sampled_from([0.0, 1.0, 1e4, 1e8]), st.sampled_from([0.0, 1e-6, 1.0, 1e6]))
def test_the_error_of_a_merge_is_within_its_bound(seed, n, offset, apart):
    """EC-7.7, EC-7.5, EC-7.6: the parts' own errors, that of Δ, and four roundings of each term."""
    rng = np.random.default_rng(seed)
    neuron = ec.MLP([[[1]]], [[0]])  # s = 1
    a = [offset + k * apart + rng.standard_normal((n, 1)) for k in (0, 1)]
    parts = [ec.collect_moments(neuron, samples) for samples in a]
    merged = parts[0].merge(parts[1]).layers[0]
    samples = [[Fraction(v) for v in part[:, 0]] for part in a]
    mean = sum(map(sum, samples)) / (2 * n)
    exact = sum(sum((v - mean) ** 2 for v in part) for part in samples) / (2 * n)
    Q = [sum((v - Fraction(m.layers[0].reference[0])) ** 2 for v in part) / (2 * n) for part, m in zip(samples, parts)]
    u, one_and_a_bit = Fraction(1, 2**53), Fraction(101, 100)  # for O(u²)
    root = Fraction(float(np.sqrt(float(exact * sum(Q)))))
    own = (4 * n + 7) * sum(Q)
    bound = u * one_and_a_bit * (own + 2 * (2 * n + 3) * root + 4 * exact + 4 * exact)
    error = abs(Fraction(merged.variance[0, 0]) - exact)
    assert error <= bound, (float(error), float(bound))


@given(SEEDS, st.integers(1, 500), st.sampled_from([0.0, 1.0, 5.0, 30.0, 1e8]), st.floats(0, 1), st.booleans())
def test_some_samples_choose_a_reference_for_all(seed, n, offset, share, in_order):
    """EC-7.3: √((17 − p)/p) std, also where those that choose are unlike the others."""
    rng = np.random.default_rng(seed)
    a = rng.standard_normal((n, 1)) + np.where(rng.random((n, 1)) < share, offset, 0)
    a = np.sort(a, axis=0) if in_order else a
    reference = ec.collect_moments(ec.MLP([[[1]]], [[0]]), a).layers[0].reference[0]
    p = len(range(0, n, -(-n // REFERENCE_SAMPLES))) / n
    distance = abs(a.mean() - reference) - 1e-15 * np.abs(a).max()  # the means' own rounding
    assert distance <= np.sqrt((17 - p) / p) * a.std(), (distance, a.std(), p)


@given(small, st.floats(0, 0.9))
def test_an_error_of_the_sensitivity_is_not_enlarged(drawn, eta):
    """EC-7.8: ŝ within (1 ± η) s leaves Î within (1 ± η) I."""
    factor = 1 + eta * np.random.default_rng(drawn.seed).uniform(-1, 1, len(drawn.x))

    def perturbed(outputs):
        unit = np.eye(outputs.shape[1])[:, np.newaxis]
        return np.sqrt(factor)[np.newaxis, :, np.newaxis] * np.broadcast_to(unit, (len(unit), *outputs.shape))

    exact = ec.elimination_compensation(drawn.mlp, drawn.x)
    wrong = ec.elimination_compensation(drawn.mlp, drawn.x, perturbed)
    for I, I_wrong, R in zip(exact.importance, wrong.importance, ec.criteria.obd(drawn.mlp, drawn.x).importance):
        assert (I_wrong <= (1 + eta) * I + 1e-12 * R).all() and (I_wrong >= (1 - eta) * I - 1e-12 * R).all()


@given(SEEDS)
def test_the_remainder_is_the_integral_of_the_second_derivative(seed):
    """EC-8.1: for one tanh neuron, by Gauss-Legendre quadrature, and below its bound."""
    rng = np.random.default_rng(seed)
    w, b, a, delta = rng.uniform(-1, 1, 4)
    neuron = ec.MLP([[[w]]], [[b]], output_activation="tanh")
    slope = ec.pullback(neuron, ec.forward(neuron, [[a]]), [[[1.0]]])[0].item()
    step = delta - w * a
    remainder = with_removed(neuron, 0, 0, 0, delta)([[a]]).item() - neuron([[a]]).item() - slope * step
    t, q = np.polynomial.legendre.leggauss(30)
    t, q = (t + 1) / 2, q / 2
    tanh = np.tanh(w * a + b + t * step)
    second = -2 * tanh * (1 - tanh**2)
    assert_allclose(remainder, step**2 * np.sum(q * (1 - t) * second), atol=1e-14)
    assert abs(remainder) <= step**2 / 2 * 4 / (3 * np.sqrt(3)) + 1e-15


@given(smooth, st.data())
def test_the_remainder_of_a_scaled_removal_is_of_second_order(drawn, data):
    """EC-8.2: the derivative of the output along the removal is J_i (δ* − w a)."""
    l, i, j = data.draw(st.sampled_from(weights_of(drawn.mlp)))
    shift = ec.elimination_compensation(drawn.mlp, drawn.x).bias_shift[l][i, j]
    step = shift - drawn.mlp.weights[l][i, j] * ec.forward(drawn.mlp, drawn.x).inputs[l][:, [j]]
    derivative = output_derivatives(drawn.mlp, drawn.x)[l][:, :, i] * step
    order = observed_order(lambda e: with_removed(drawn.mlp, l, i, j, shift, e)(drawn.x), derivative)
    assert order > 1.8, order


def test_the_true_change_of_a_sparse_relu():
    """EC-8.3: Φ_true(3) = 3 at the first-order optimum, 1 without a shift, 3/4 at the true optimum 3/2."""
    neuron, x = ec.MLP([[[1]]], [[-1]], output_activation="relu"), np.array([[0], [0], [0], [3]])
    scores = ec.elimination_compensation(neuron, x)
    assert (scores.importance[0].item(), scores.bias_shift[0].item()) == (0, 3)
    changes = [np.mean((with_removed(neuron, 0, 0, 0, d)(x) - neuron(x)) ** 2) for d in (3, 0, 1.5)]
    assert changes == [3, 1, 0.75]


@given(small, st.data())
def test_the_true_change_differs_from_the_first_order_by_at_most_the_remainder(drawn, data):
    """EC-8.4: |√Φ_true − √Φ| ≤ √E‖ρ‖², for any weight and shift."""
    l, i, j = data.draw(st.sampled_from(weights_of(drawn.mlp)))
    shift = data.draw(st.floats(-3, 3))
    step = shift - drawn.mlp.weights[l][i, j] * ec.forward(drawn.mlp, drawn.x).inputs[l][:, [j]]
    linear = output_derivatives(drawn.mlp, drawn.x)[l][:, :, i] * step
    change = with_removed(drawn.mlp, l, i, j, shift)(drawn.x) - drawn.mlp(drawn.x)
    norm = np.linalg.norm
    assert abs(norm(change) - norm(linear)) <= norm(change - linear) * (1 + 1e-9) + 1e-12


def test_the_remainders_of_equal_bites_fall_with_their_number():
    """EC-8.5: re-linearised T times along a straight path, the remainders' sum falls as 1/T."""
    drawn = networks.make([3, 5, 2], "tanh", seed=2)
    l, i, j, shift = 0, 1, 2, 0.7

    def remainder(T):
        total = 0.0
        for t in range(T):
            here = with_removed(drawn.mlp, l, i, j, shift, t / T)
            there = with_removed(drawn.mlp, l, i, j, shift, (t + 1) / T)
            step = (shift - drawn.mlp.weights[l][i, j] * drawn.x[:, [j]]) / T
            total += there(drawn.x) - here(drawn.x) - output_derivatives(here, drawn.x)[l][:, :, i] * step
        return np.linalg.norm(total)

    T = np.array([16, 32, 64, 128])
    slope = np.polyfit(np.log(T), np.log([remainder(t) for t in T]), 1)[0]
    assert abs(slope + 1) < 0.05, slope


@given(smooth, st.data())
def test_the_derivative_of_the_true_change_is_that_of_the_pruned_network(drawn, data):
    """EC-9.5: dΦ_true/dδ = 2 E[Δfᵀ J̃_i], J̃_i in the pruned and shifted network."""
    l, i, j = data.draw(st.sampled_from(weights_of(drawn.mlp)))
    shift = data.draw(st.floats(-1, 1))

    def change(t):
        return with_removed(drawn.mlp, l, i, j, shift + t)(drawn.x) - drawn.mlp(drawn.x)

    J = output_derivatives(with_removed(drawn.mlp, l, i, j, shift), drawn.x)[l][:, :, i]
    derivative = 2 * np.mean(np.sum(change(0) * J, axis=1))
    h = 1e-5
    above, below = (np.mean(np.sum(change(t) ** 2, axis=1)) for t in (h, -h))
    scale = np.sqrt(np.mean(change(0) ** 2) * np.mean(J**2)) + np.mean(J**2)
    assert_allclose((above - below) / (2 * h), derivative, rtol=1e-6, atol=1e-6 * scale + 1e-10)


def test_digits_are_the_negative_logarithm_of_the_relative_error():
    """EC-9.9."""
    for error, expected in ((1e-3, 3), (2e-9, 9 - math.log10(2)), (0, 17), (1e-30, 17), (1, 0), (1e5, 0)):
        assert abs(digits(error) - expected) < 1e-12


@given(SEEDS, st.integers(2, 20))
def test_an_error_of_the_sensitivity_moves_mean_and_variance_as_derived(seed, n):
    """EC-9.3: Δv = E[Δs (a − μ)²] and Δμ = E[Δs (a − μ)]/S up to second order."""
    rng = np.random.default_rng(seed)
    weight, s, a, ds = np.full(n, 1 / n), rng.uniform(0.5, 2, n), rng.standard_normal(n), rng.standard_normal(n) / 8
    mean, _ = two_pass_moments(weight, s, a)
    derivative = np.array([np.mean(ds * (a - mean)) / np.mean(s), np.mean(ds * (a - mean) ** 2)])
    order = observed_order(lambda t: np.array(two_pass_moments(weight, s + t * ds, a)), derivative)
    assert order > 1.8, order


def logistic(z):
    return 1 / (1 + math.exp(-z))


def density(z):
    return math.exp(-z * z / 2) / math.sqrt(2 * math.pi)


TEXTBOOK = [
    pytest.param("identity", lambda z: z, lambda z: 1, id="EC-10.1"),
    pytest.param("relu", lambda z: max(z, 0), lambda z: float(z > 0), id="EC-10.2"),
    pytest.param("leaky_relu", lambda z: z if z > 0 else z / 100, lambda z: 1 if z > 0 else 0.01, id="EC-10.3"),
    pytest.param("elu", lambda z: z if z > 0 else math.exp(z) - 1, lambda z: min(1, math.exp(z)), id="EC-10.4"),
    pytest.param("sigmoid", logistic, lambda z: logistic(z) * (1 - logistic(z)), id="EC-10.5"),
    pytest.param("tanh", math.tanh, lambda z: 1 - math.tanh(z) ** 2, id="EC-10.6"),
    pytest.param("softplus", lambda z: math.log(1 + math.exp(z)), logistic, id="EC-10.7"),
    pytest.param("sin", math.sin, math.cos, id="EC-10.8"),
    pytest.param(
        "silu", lambda z: z * logistic(z), lambda z: logistic(z) + z * logistic(z) * (1 - logistic(z)), id="EC-10.9"
    ),
    pytest.param(
        "gelu",
        lambda z: z * (1 + math.erf(z / math.sqrt(2))) / 2,
        lambda z: (1 + math.erf(z / math.sqrt(2))) / 2 + z * density(z),
        id="EC-10.10",
    ),
]


@pytest.mark.parametrize(("name", "value", "derivative"), TEXTBOOK)
def test_activations_and_derivatives_are_the_textbooks(name, value, derivative):
    """EC-10.1 to EC-10.10: where the textbook form does not cancel, and at the kinks."""
    z = np.array([-3.0, -1.25, -0.5, -1e-3, 0.0, 1e-3, 0.5, 1.25, 3.0])
    activation = ec.ACTIVATIONS[name]
    assert_allclose(activation.value(z), [value(t) for t in z], rtol=1e-12, atol=1e-15)
    assert_allclose(activation.derivative(z), [derivative(t) for t in z], rtol=1e-12, atol=1e-15)


def test_erfc_in_extended_precision():
    """EC-10.11: series and continued fraction against the C library, and across the seam at 1.5."""
    from ecprune_np.activations import _erfc_longdouble

    x = np.concatenate([np.linspace(-9, 25, 400), [1.5 - 1e-12, 1.5 + 1e-12]])
    assert_allclose(_erfc_longdouble(np.longdouble(x)).astype(float), [math.erfc(t) for t in x], rtol=2e-14)
