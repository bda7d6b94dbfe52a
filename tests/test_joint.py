"""Joint shifts against brute-force least squares, and every compensation of `prune` (EC-5.1, EC-5.4, EC-5.5)."""

from __future__ import annotations

import networks
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from profiles import draws

import ecprune_np as ec
from ecprune_np.metrics import cotangents
from ecprune_np.oracle import true_change
from ecprune_np.pruning import joint_shifts

few = draws(40)
STEP = 1e-200


def output_from(mlp, layer, z):
    for l in range(layer, mlp.n_layers):
        a = mlp.layer_activation(l).value(z)
        if l + 1 < mlp.n_layers:
            z = a @ mlp.weights[l + 1].T + mlp.biases[l + 1]
    return a


def brute_force(drawn, masks, metric, sample_weight):
    """The rows √weight c_rᵀ J and the change that all removals make, J by complex step (EC-9.4)."""
    mlp, trace = drawn.mlp, ec.forward(drawn.mlp, drawn.x)
    c = cotangents(metric, trace.outputs, drawn.target_rows(metric))
    weight = np.sqrt(sample_weight / sample_weight.sum())
    columns, change = [], 0
    for l, z in enumerate(trace.preactivations):
        for i in range(z.shape[1]):
            stepped = z.astype(complex)
            stepped[:, i] += 1j * STEP
            jacobian = output_from(mlp, l, stepped).imag / STEP
            column = np.einsum("rnk,nk->rn", c, jacobian) * weight
            columns.append(column.ravel())
            removed = trace.inputs[l] @ np.where(masks[l][i], 0, mlp.weights[l][i])
            change = change + (column * removed).ravel()
    return np.array(columns).T, change


def random_masks(drawn, seed):
    rng = np.random.default_rng(seed)
    return [rng.random(w.shape) < 0.6 for w in drawn.mlp.weights]


@given(networks.networks(logits=True), st.sampled_from(networks.METRICS), st.integers(0, 99))
@few
def test_joint_shifts_are_the_shortest_least_squares_solution(drawn, metric, seed):
    masks = random_masks(drawn, seed)
    A, change = brute_force(drawn, masks, metric, drawn.sample_weight)
    d = np.concatenate(joint_shifts(drawn.mlp, networks.batch(drawn, metric), masks, metric, batch_size=3))
    best = np.linalg.lstsq(A, change, rcond=1e-13)[0]
    size = np.linalg.norm(change)
    assert np.linalg.norm(A @ d - change) <= np.linalg.norm(A @ best - change) + 1e-9 * size
    # no longer than it needs: orthogonal to every direction that changes nothing
    _, s, Vt = np.linalg.svd(A)
    s = np.append(s, np.zeros(len(Vt) - len(s)))
    if s[0] > 0 and not ((s > 1e-15 * s[0]) & (s < 1e-9 * s[0])).any():
        null = Vt[s <= 1e-15 * s[0]]
        assert np.abs(null @ d).max(initial=0) <= 1e-6 * max(np.linalg.norm(d), 1e-300)


@given(networks.networks(logits=True), st.sampled_from(networks.METRICS), st.integers(0, 99))
@few
def test_ec_5_1_the_shifts_of_one_row_add_up(drawn, metric, seed):
    rng = np.random.default_rng(seed)
    l = int(rng.integers(drawn.mlp.n_layers))
    i = int(rng.integers(drawn.mlp.shapes[l][0]))
    masks = [np.ones(w.shape, bool) for w in drawn.mlp.weights]
    masks[l][i] = rng.random(drawn.mlp.shapes[l][1]) < 0.3
    x = networks.batch(drawn, metric)
    scores = ec.elimination_compensation(drawn.mlp, x, metric)
    shifts = joint_shifts(drawn.mlp, x, masks, metric, biases="touched")
    expected = scores.bias_shift[l][i][~masks[l][i]].sum()
    size = np.abs(scores.bias_shift[l][i]).sum() + 1e-300
    assert abs(shifts[l][i] - expected) <= 1e-9 * size, (shifts[l][i], expected)
    assert sum(np.count_nonzero(s) for s in shifts) <= 1


def test_one_layer_with_identity_output_needs_no_cross_terms():
    drawn = networks.make([5, 4], seed=1)
    masks = random_masks(drawn, 2)
    scores = ec.elimination_compensation(drawn.mlp, drawn.x)
    expected = np.where(masks[0], 0, scores.bias_shift[0]).sum(axis=1)
    np.testing.assert_allclose(joint_shifts(drawn.mlp, drawn.x, masks)[0], expected, rtol=1e-12)


def test_nothing_removed_nothing_shifted():
    drawn = networks.make([3, 4, 2], seed=1)
    masks = [np.ones(w.shape, bool) for w in drawn.mlp.weights]
    for biases in ("all", "touched"):
        assert all((s == 0).all() for s in joint_shifts(drawn.mlp, drawn.x, masks, biases=biases))


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.longdouble])
def test_shifts_have_the_dtype_of_the_network(dtype):
    drawn = networks.make([3, 4, 2], seed=1, dtype=dtype)
    shifts = joint_shifts(drawn.mlp, drawn.x, random_masks(drawn, 0))
    assert [(s.dtype, s.shape) for s in shifts] == [(dtype, (4,)), (dtype, (2,))]


def test_bad_input_is_named():
    drawn = networks.make([3, 4, 2], seed=1)
    masks = random_masks(drawn, 0)
    with pytest.raises(ValueError, match="biases: expected one of all, touched, got 'none'"):
        joint_shifts(drawn.mlp, drawn.x, masks, biases="none")
    with pytest.raises(ValueError, match="masks: expected 2 layers, got 1"):
        joint_shifts(drawn.mlp, drawn.x, masks[:1])
    with pytest.raises(ValueError, match="batch_size: expected at least 1"):
        joint_shifts(drawn.mlp, drawn.x, masks, batch_size=0)
    with pytest.raises(ValueError, match="x: expected shape"):
        joint_shifts(drawn.mlp, drawn.x[:, :2], masks)


@given(networks.networks(output_activations=["identity", "tanh"], max_width=4), st.floats(0.1, 0.9))
@few
def test_refit_is_at_least_as_good_as_any_other_compensation(drawn, sparsity):
    x = networks.batch(drawn)
    scores = ec.elimination_compensation(drawn.mlp, x)
    changes = {}
    for compensation in (None, "independent", "joint", "refit"):
        samples = x if compensation in ("joint", "refit") else None
        pruned = ec.prune(drawn.mlp, scores, sparsity, compensation=compensation, x=samples)
        changes[compensation] = true_change(pruned.mlp, drawn.mlp, x)
        assert all((w[~m] == 0).all() for w, m in zip(pruned.mlp.weights, pruned.masks))
    assert changes["refit"] <= min(changes.values()), changes


@given(networks.networks(activations=["identity"], output_activations=["identity"]), st.floats(0.1, 0.9))
@few
def test_joint_is_never_worse_than_independent_to_first_order(drawn, sparsity):
    scores = ec.elimination_compensation(drawn.mlp, drawn.x)
    masks = ec.prune(drawn.mlp, scores, sparsity).masks
    A, change = brute_force(drawn, masks, "output", np.ones(len(drawn.x)))
    joint = np.concatenate(joint_shifts(drawn.mlp, drawn.x, masks))
    independent = np.concatenate([np.where(m, 0, s).sum(axis=1) for m, s in zip(masks, scores.bias_shift)])
    assert np.linalg.norm(A @ joint - change) <= np.linalg.norm(A @ independent - change) * (1 + 1e-9) + 1e-12


@pytest.mark.parametrize("compensation", ["joint", "refit"])
def test_pruning_further_keeps_what_is_gone(compensation):
    drawn = networks.make([5, 6, 3], seed=1)
    scores = ec.elimination_compensation(drawn.mlp, drawn.x)
    first = ec.prune(drawn.mlp, scores, 0.3, compensation=compensation, x=drawn.x)
    again = ec.elimination_compensation(first.mlp, drawn.x)
    second = ec.prune(first.mlp, again, 0.6, masks=first.masks, compensation=compensation, x=drawn.x)
    assert second.sparsity == pytest.approx(0.6, abs=0.02)
    assert all((~a <= ~b).all() for a, b in zip(first.masks, second.masks))


def test_compensations_that_need_samples_say_so():
    drawn = networks.make([3, 4, 2], seed=1)
    scores = ec.criteria.magnitude(drawn.mlp)
    for compensation in ("joint", "refit"):
        with pytest.raises(ValueError, match=f'x: compensation "{compensation}" needs samples, got None'):
            ec.prune(drawn.mlp, scores, 0.5, compensation=compensation)
    with pytest.raises(
        ValueError, match="compensation: expected one of independent, guarded, joint, row, refit, got 'best'"
    ):
        ec.prune(drawn.mlp, scores, 0.5, compensation="best")


@pytest.mark.parametrize("already", [None, 0.3])
def test_joint_compensation_adds_the_joint_shifts_of_what_is_newly_removed(already):
    drawn = networks.make([5, 6, 3], seed=1)
    scores = ec.elimination_compensation(drawn.mlp, drawn.x)
    before = None if already is None else ec.prune(drawn.mlp, scores, already).masks
    pruned = ec.prune(drawn.mlp, scores, 0.5, masks=before, compensation="joint", x=drawn.x)
    old = [np.ones(w.shape, bool) for w in drawn.mlp.weights] if before is None else before
    newly = [~(k & ~m) for k, m in zip(old, pruned.masks)]
    for l, shift in enumerate(joint_shifts(drawn.mlp, drawn.x, newly)):
        np.testing.assert_allclose(pruned.mlp.biases[l], drawn.mlp.biases[l] + shift, rtol=1e-13)
