"""Optimal Brain Surgeon, whole and by rows, against constrained least squares; the family's order (EC-6)."""

from __future__ import annotations

from itertools import pairwise

import networks
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import ecprune_np as ec
from ecprune_np.criteria.surgeon import obc_update, obs_update
from ecprune_np.metrics import cotangents

few = settings(max_examples=40, deadline=None, derandomize=True)
STEP = 1e-200


def gradient_matrix(drawn, metric, sample_weight):
    """√weight c_rᵀ ∂f/∂θ by complex steps in every weight and bias, θ as (W^1, b^1, W^2, ...) (EC-9.3)."""
    mlp = drawn.mlp
    y = drawn.targets(metric)
    K = mlp.sizes[-1]  # one logit has the probability of class 1 alone
    c = cotangents(metric, mlp(drawn.x), np.eye(max(K, 2))[y][:, -K:] if metric == "cross_entropy" else y)
    root = np.sqrt(sample_weight / sample_weight.sum())

    def outputs(parameters):
        a = drawn.x
        for l in range(mlp.n_layers):
            a = mlp.layer_activation(l).value(a @ parameters[2 * l].T + parameters[2 * l + 1])
        return a

    parameters = [np.asarray(p, complex) for pair in zip(mlp.weights, mlp.biases) for p in pair]
    columns = []
    for p in parameters:
        for index in np.ndindex(p.shape):
            value = p[index]
            p[index] += 1j * STEP
            columns.append((np.einsum("rnk,nk->rn", c, outputs(parameters).imag / STEP) * root).ravel())
            p[index] = value
    return np.array(columns).T


def positions(mlp):
    """Where each weight stands in θ, and where its row's weights and its bias stand."""
    start = 0
    for l, (n, m) in enumerate(mlp.shapes):
        for i in range(n):
            row = [*range(start + i * m, start + (i + 1) * m), start + n * m + i]
            for j in range(m):
                yield (l, i, j), start + i * m + j, row
        start += n * m + n


def left_over(A, q, others):
    """min over the others' changes of ‖A (−e_q + d)‖²."""
    if not others:
        return float(A[:, q] @ A[:, q])
    size = np.linalg.norm(A, axis=0)
    unit = A / np.where(size > 0, size, 1)
    d = np.linalg.lstsq(unit[:, others], A[:, q], rcond=1e-13)[0]
    return float(np.sum((A[:, q] - unit[:, others] @ d) ** 2))


@given(networks.networks(max_layers=3, max_width=4, logits=True), st.sampled_from(networks.METRICS))
@few
def test_ec_6_8_obs_row_ec_and_obd_are_constrained_least_squares_and_ordered(drawn, metric):
    family = [
        criterion(drawn.mlp, networks.batch(drawn, metric), metric).importance
        for criterion in (ec.criteria.obs, ec.criteria.obc, ec.elimination_compensation, ec.criteria.obd)
    ]
    A = gradient_matrix(drawn, metric, drawn.sample_weight)
    for (l, i, j), q, row in positions(drawn.mlp):
        w = drawn.mlp.weights[l][i, j]
        everything = [k for k in range(A.shape[1]) if k != q]
        expected = [
            w**2 * left_over(A, q, others) for others in (everything, [k for k in row if k != q], [row[-1]], [])
        ]
        values = [float(importance[l][i, j]) for importance in family]
        scale = expected[-1]
        for value, reference in zip(values, expected):
            assert abs(value - reference) <= 1e-10 * scale, ((l, i, j), values, expected)
        for smaller, larger in pairwise(values):
            assert smaller <= larger + 1e-12 * scale, ((l, i, j), values)


@given(networks.networks(max_layers=3, max_width=4), st.integers(0, 99))
@few
def test_the_updates_are_the_least_squares_ones(drawn, seed):
    rng = np.random.default_rng(seed)
    masks = [rng.random(w.shape) < 0.7 for w in drawn.mlp.weights]
    ones = np.ones(len(drawn.x))
    A = gradient_matrix(drawn, "output", ones)
    theta = flat(drawn.mlp)
    removed = np.array([q for (l, i, j), q, _ in positions(drawn.mlp) if not masks[l][i, j]], int)
    kept = np.setdiff1d(np.arange(len(theta)), removed)
    change = A[:, removed] @ theta[removed]
    best = np.linalg.lstsq(A[:, kept], change, rcond=1e-13)[0]
    size = np.linalg.norm(A) * np.linalg.norm(theta)
    whole, rows = obs_update(drawn.mlp, drawn.x, masks), obc_update(drawn.mlp, drawn.x, masks, batch_size=4)
    for pruned in (whole, rows):
        assert all((w[~m] == 0).all() for w, m in zip(pruned.mlp.weights, pruned.masks))
    reached = np.linalg.norm(A @ (flat(whole.mlp) - theta))
    assert abs(reached - np.linalg.norm(A[:, kept] @ best - change)) <= 1e-9 * size
    for (l, i, _), _, row in positions(drawn.mlp):
        if masks[l][i].all():
            continue
        theirs = [k for k in row if k in kept]
        gone = [k for k in row if k not in kept]
        target = A[:, gone] @ theta[gone]
        d = np.linalg.lstsq(A[:, theirs], target, rcond=1e-13)[0]
        moved = np.linalg.norm(A[:, row] @ (flat(rows.mlp) - theta)[row])
        assert abs(moved - np.linalg.norm(A[:, theirs] @ d - target)) <= 1e-9 * size


def flat(mlp):
    return np.concatenate([a.ravel() for pair in zip(mlp.weights, mlp.biases) for a in pair])


def test_ec_6_1_the_saliency_is_the_change_after_the_update():
    drawn = networks.make([4, 3, 2], n_samples=200, seed=1)
    scores = ec.criteria.obs(drawn.mlp, drawn.x)
    A = gradient_matrix(drawn, "output", np.ones(200))
    H = np.linalg.inv(A.T @ A)
    for (l, i, j), q, _ in positions(drawn.mlp):
        masks = [np.ones(w.shape, bool) for w in drawn.mlp.weights]
        masks[l][i, j] = False
        updated = flat(obs_update(drawn.mlp, drawn.x, masks).mlp)
        w = drawn.mlp.weights[l][i, j]
        np.testing.assert_allclose(updated - flat(drawn.mlp), -w * H[:, q] / H[q, q], rtol=1e-6, atol=1e-9)
        assert scores.importance[l][i, j] == pytest.approx(w**2 / H[q, q], rel=1e-8)


def test_a_weight_that_others_replace_costs_nothing():
    # the two inputs are equal, so either weight can take over from the other
    mlp = ec.MLP([[[1.0, 2.0]]], [[0.5]])
    x = np.array([[1.0, 1.0], [2.0, 2.0], [4.0, 4.0]])
    for criterion in (ec.criteria.obs, ec.criteria.obc):
        assert (criterion(mlp, x).importance[0] == 0).all()
    assert (ec.elimination_compensation(mlp, x).importance[0] > 1).all()
    for update in (obs_update, obc_update):
        pruned = update(mlp, x, [np.array([[False, True]])])
        np.testing.assert_allclose(pruned.mlp(x), mlp(x), rtol=1e-12)


def test_criteria_do_not_shift_and_keep_the_dtype():
    drawn = networks.make([3, 4, 2], seed=1, dtype=np.float32)
    for criterion in (ec.criteria.obs, ec.criteria.obc):
        scores = criterion(drawn.mlp, drawn.x)
        assert all(i.dtype == np.float32 and (s == 0).all() for i, s in zip(scores.importance, scores.bias_shift))


def test_a_dead_network_is_free():
    mlp = ec.MLP([[[1.0]], [[1.0]]], [[-9.0], [0.0]], "relu")
    for criterion in (ec.criteria.obs, ec.criteria.obc):
        assert all((i == 0).all() for i in criterion(mlp, [[1.0], [2.0]]).importance)


def test_bad_input_is_named():
    drawn = networks.make([3, 4, 2], seed=1)
    for criterion in (ec.criteria.obs, ec.criteria.obc):
        with pytest.raises(ValueError, match="x: expected shape"):
            criterion(drawn.mlp, drawn.x[:, :2])
    for update in (obs_update, obc_update):
        with pytest.raises(ValueError, match="masks: expected 2 layers, got 0"):
            update(drawn.mlp, drawn.x, [])
    huge = ec.MLP([[[1e170]]], [[0.0]])
    with pytest.raises(ValueError, match="importance: overflow"):
        ec.criteria.obc(huge, [[1e-7], [1e7]])
