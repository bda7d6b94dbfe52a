"""Optimal Brain Surgeon, whole and by rows, against constrained least squares; the family's order (EC-6)."""

from __future__ import annotations

from itertools import pairwise

import networks
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from profiles import draws

import ecprune_np as ec
from ecprune_np.criteria.surgeon import obc_update, obs_update
from ecprune_np.metrics import cotangents

few = draws(40)
STEP = 1e-200


def gradient_matrix(drawn, metric, sample_weight):
    """√weight c_rᵀ ∂f/∂θ by complex steps in every weight and bias, θ as (W^1, b^1, W^2, ...) (EC-9.4)."""
    mlp = drawn.mlp
    c = cotangents(metric, mlp(drawn.x), drawn.target_rows(metric))
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
@draws(40, more=False)  # what it is compared with leaves out singular values below 1e-13
def test_ec_6_5_obs_row_ec_and_obd_are_constrained_least_squares_and_ordered(drawn, metric):
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
@draws(40, more=False)  # as above: the updates can be better
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


@pytest.mark.parametrize("batch_size", [None, 5])
def test_a_common_offset_of_the_inputs_costs_no_digit(batch_size):
    """EC-6.1: beside the bias, inputs count but for a constant; all here is exact in float64."""
    rng = np.random.default_rng(0)
    x = rng.integers(-8, 9, (24, 4)).astype(float)
    for mlp in (ec.MLP([rng.integers(-8, 9, (3, 4))], [[1.0, 2.0, 3.0]]), networks.make([4, 3, 2], seed=2).mlp):
        first = np.round(mlp.weights[0] * 16) / 16
        near = mlp.replace([first, *mlp.weights[1:]], [np.round(mlp.biases[0] * 16) / 16, *mlp.biases[1:]])
        far = near.replace(near.weights, [near.biases[0] - first.sum(axis=1) * 2.0**27, *near.biases[1:]])
        for criterion in (ec.criteria.obs, ec.criteria.obc):
            pair = (criterion(net, a, batch_size=batch_size) for net, a in ((near, x), (far, x + 2.0**27)))
            for here, there in zip(*(scores.importance for scores in pair)):
                np.testing.assert_allclose(there, here, rtol=1e-12)


def test_what_others_share_does_not_matter():
    """EC-6.1: the last input is a combination of two others; the first two cost what they cost without it."""
    x = np.random.default_rng(3).standard_normal((20, 4))
    more = np.column_stack([x, 0.3 * x[:, 2] + 0.7 * x[:, 3]])
    for criterion in (ec.criteria.obs, ec.criteria.obc):
        alone, beside = (criterion(ec.MLP([np.ones((3, a.shape[1]))], [np.zeros(3)]), a) for a in (x, more))
        assert (beside.importance[0][:, 2:] == 0).all()
        np.testing.assert_allclose(beside.importance[0][:, :2], alone.importance[0][:, :2], rtol=1e-12)


@pytest.mark.parametrize(
    "x", [np.arange(8.0).reshape(4, 2) ** 2, np.array([[1, 2], [2, 4 + 2.0**-24], [3, 6], [5, 9]])]
)
def test_a_stream_may_reuse_its_memory(x):
    """Also where it is read twice, as the second of these."""
    mlp, buffer = ec.MLP([[[2.0, 1.0]]], [[0.5]]), np.empty((1, 2))

    def stream():
        for sample in x:
            buffer[0] = sample
            yield buffer

    for criterion in (ec.criteria.obs, ec.criteria.obc):
        expected = criterion(mlp, x, batch_size=1).importance[0]
        assert (criterion(mlp, stream()).importance[0] == expected).all() and (expected > 0).all()


CASES = {case.name: case for case in ec.conformance.cases()}


@pytest.mark.parametrize(
    ("name", "on_scale", "relative"),
    [
        ("width-one-deep", 1e-8, 1e-3),  # nearly dependent: 8 columns that are smooth functions of one number
        ("one-input", 1e-15, 1e-9),
        ("offset-1e3", 1e-14, 1e-14),
        ("offset-1e6", 1e-14, 1e-14),
        ("offset-1e8", 1e-14, 1e-14),
        ("offset-1e3-two-layers", 1e-14, 1e-13),
    ],
)
def test_ec_6_1_against_exact_arithmetic(name, on_scale, relative):
    """On the scale of what nothing compensates, and of the saliency itself; `tests/digits.py` has all cases."""
    if np.finfo(np.longdouble).eps == np.finfo(float).eps and name == "width-one-deep":
        pytest.skip("longdouble is no wider than float64 here, and float64 does not tell its columns apart")
    pytest.importorskip("mpmath", reason="the extra `exact` is not installed")
    case = CASES[name]
    right = {criterion: ec.oracle.exact_criterion(criterion, case.mlp, case.x) for criterion in ("obs", "obc")}
    scale = ec.oracle.exact(case.mlp, case.x).uncompensated
    for criterion, truth in right.items():
        found = getattr(ec.criteria, criterion)(case.mlp, case.x)
        for value, expected, R in zip(found.importance, truth.importance, scale):
            assert (np.abs(value - expected) <= on_scale * R).all(), (criterion, value, expected)
            assert (np.abs(value - expected) <= relative * expected).all(), (criterion, value, expected)


def test_what_float64_does_not_tell_apart_longdouble_does():
    """Two columns differ by 2^-30 of their length: their distance squared is 2^-60 of it, exactly."""
    if np.finfo(np.longdouble).eps == np.finfo(float).eps:
        pytest.skip("longdouble is no wider than float64 here")
    tiny = 2.0**-30
    x = np.array([[1, 1 + tiny], [1, 1 - tiny], [-1, -1 + tiny], [-1, -1 - tiny]])
    for criterion in (ec.criteria.obs, ec.criteria.obc):
        found = criterion(ec.MLP([[[1.0, 1.0]]], [[0.0]]), x).importance[0][0]
        np.testing.assert_allclose(found, [tiny**2 / (1 + tiny**2), tiny**2], rtol=1e-9)


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
