"""Rows against the dense network: the least-squares problem solved by other routes (EC-5.10)."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from fractions import Fraction
from functools import partial, reduce
from itertools import pairwise

import networks
import numpy as np
import pytest
import scipy.linalg
from hypothesis import given
from hypothesis import strategies as st

import ecprune_np as ec
from ecprune_np.metrics import output_cotangents
from ecprune_np.pruning import row, row_sums
from ecprune_np.pruning.row import refit_rows, refit_rows_over
from ecprune_np.streaming import threads

FRACTIONS = st.floats(0, 1)
drawn_networks = networks.networks(max_layers=3, max_width=4, max_samples=15)


def masks_of(drawn, fraction):
    rng = np.random.default_rng(drawn.seed)
    return tuple(rng.random(w.shape) >= fraction for w in drawn.mlp.weights)


def sensitivities(mlp, x):
    """s_i of every neuron (N, n_l), from the gradient of each output."""
    return [np.sum(g**2, axis=0) for g in ec.pullback(mlp, ec.forward(mlp, x), unit_cotangents(mlp, x))]


def unit_cotangents(mlp, x):
    return np.broadcast_to(np.eye(mlp.sizes[-1])[:, np.newaxis], (mlp.sizes[-1], len(x), mlp.sizes[-1]))


def rows_by_lstsq(mlp, masks, target, x, weight, epsilon, ridge):
    """The same network by scipy's least squares on the weighted rows, neuron by neuron, with the ridge as rows."""
    p = weight / weight.sum()
    s_of, z_of = sensitivities(mlp, x), ec.forward(target, x).preactivations
    repaired = mlp.replace([w * m for w, m in zip(mlp.weights, masks)], mlp.biases)
    for l, mask in enumerate(masks):
        a, s = ec.forward(repaired, x).inputs[l], s_of[l]
        weights, biases = [w.copy() for w in repaired.weights], [b.copy() for b in repaired.biases]
        for i, kept in enumerate(mask):
            S = p @ s[:, i]
            root = np.sqrt(p * ((s[:, i] / S if S > 0 else 0) + epsilon))[:, np.newaxis]
            lacking = z_of[l][:, i] - a @ weights[l][i] - biases[l][i]
            share = root[:, 0] ** 2 / np.sum(root**2)
            mean = share @ a[:, kept]
            constant = np.ptp(a[:, kept], axis=0) <= 1e-12 * np.abs(mean)  # has nothing to say, its rounding neither
            centred = root * np.where(constant, 0, a[:, kept] - mean)
            penalty = np.sqrt(ridge * np.sum(centred**2) / max(kept.sum(), 1)) * np.eye(kept.sum())
            right = np.append(root[:, 0] * (lacking - share @ lacking), np.zeros(kept.sum()))
            change = scipy.linalg.lstsq(np.concatenate([centred, penalty]), right)[0]
            change = np.append(change, share @ (lacking - a[:, kept] @ change))
            weights[l][i, kept] += change[:-1]
            biases[l][i] += change[-1]
        repaired = repaired.replace(weights, biases)
    return repaired


@given(drawn_networks, FRACTIONS, st.sampled_from([0.03, 1.0]), st.booleans(), st.booleans())
def test_rows_are_the_least_squares_of_an_independent_route(drawn, fraction, epsilon, weighted, towards_another):
    """EC-5.10: with a ridge that makes the solution unique, in all layers one after the other."""
    masks = masks_of(drawn, fraction)
    weight = drawn.sample_weight if weighted else np.ones(len(drawn.x))
    x = ec.Batch(drawn.x, weight) if weighted else drawn.x
    target = drawn.mlp
    if towards_another:
        target = target.replace([w * 1.25 for w in target.weights], [b + 0.25 for b in target.biases])
    ours = refit_rows(drawn.mlp, masks, target, x, epsilon=epsilon, ridge=1e-3)
    theirs = rows_by_lstsq(drawn.mlp, masks, target, drawn.x, weight, epsilon, 1e-3)
    for name in ("weights", "biases"):
        for l, (got, expected) in enumerate(zip(getattr(ours, name), getattr(theirs, name))):
            scale = 1 + np.abs(expected).max()
            assert np.abs(got - expected).max() <= 1e-7 * scale, (name, l, np.abs(got - expected).max())


@given(drawn_networks, FRACTIONS)
def test_both_routes_to_a_row_are_one(drawn, fraction):
    """Cholesky of sums over the samples, and QR of the rows, which takes over where that is ill-conditioned."""
    masks = masks_of(drawn, fraction)
    by_sums = refit_rows(drawn.mlp, masks, drawn.mlp, drawn.x, ridge=1e-2)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(row_sums, "CONDITION", 1e-300)
        by_rows = refit_rows(drawn.mlp, masks, drawn.mlp, drawn.x, ridge=1e-2)
    for got, expected in zip((*by_sums.weights, *by_sums.biases), (*by_rows.weights, *by_rows.biases)):
        np.testing.assert_allclose(got, expected, rtol=1e-8, atol=1e-8 * (1 + np.abs(expected).max()))


@given(st.integers(0, 2**32 - 1))
def test_without_ridge_and_epsilon_the_first_layer_is_the_row_surgeons(seed):
    """EC-5.10, EC-6.3: `obc_update` of the first layer that loses weights, where the solution is unique."""
    drawn = networks.make([4, 3, 2], "tanh", n_samples=60, seed=seed)
    rng = np.random.default_rng(seed)
    masks = (rng.random((3, 4)) < 0.6, np.ones((2, 3), bool))
    ours = refit_rows(drawn.mlp, masks, drawn.mlp, drawn.x, epsilon=0, ridge=0)
    theirs = ec.obc_update(drawn.mlp, drawn.x, masks).mlp
    scale = np.abs(theirs.weights[0]).max()
    np.testing.assert_allclose(ours.weights[0], theirs.weights[0], atol=1e-7 * scale)
    np.testing.assert_allclose(ours.biases[0], theirs.biases[0], atol=1e-7 * scale)


def test_a_row_by_hand_in_rationals():
    """One linear neuron, w = (1, 2), b = 0, the second weight gone: the normal equations solved in fractions."""
    mlp, x = ec.MLP([[[1, 2]]], [[0]]), [(0, 1), (1, 2), (2, 2)]
    # minimise Σ (w a + b − (a + 2 c))² over the samples (a, c): slope and intercept of 2, 5, 6 against 0, 1, 2
    mean_a, mean_z = Fraction(3, 3), Fraction(13, 3)
    slope = sum((a - mean_a) * (a + 2 * c - mean_z) for a, c in x) / sum((a - mean_a) ** 2 for a, _ in x)
    refitted = refit_rows(mlp, (np.array([[True, False]]),), mlp, x, ridge=0)
    assert slope == 2
    np.testing.assert_allclose(refitted.weights[0], [[float(slope), 0]], atol=1e-14)
    np.testing.assert_allclose(refitted.biases[0], [float(mean_z - slope * mean_a)], atol=1e-14)


@given(drawn_networks)
def test_nothing_removed_nothing_moved(drawn):
    masks = tuple(np.ones(w.shape, bool) for w in drawn.mlp.weights)
    refitted = refit_rows(drawn.mlp, masks, drawn.mlp, drawn.x)
    for got, given_ in zip((*refitted.weights, *refitted.biases), (*drawn.mlp.weights, *drawn.mlp.biases)):
        np.testing.assert_array_equal(got, given_)


@given(drawn_networks, FRACTIONS)
def test_removed_weights_stay_zero_and_the_dtype_stays(drawn, fraction):
    mlp, x = drawn.mlp.astype(np.float32), drawn.x.astype(np.float32)
    scores = ec.elimination_compensation(mlp, x)
    pruned = ec.prune(mlp, scores, fraction, compensation="row", x=x)
    assert pruned.mlp.dtype == np.float32
    assert all((w[~m] == 0).all() for w, m in zip(pruned.mlp.weights, pruned.masks))
    assert sum(int((~m).sum()) for m in pruned.masks) == round(fraction * mlp.n_weights)


def test_batches_and_groups_of_neurons_change_nothing_but_rounding(monkeypatch):
    drawn = networks.make([6, 8, 5, 3], "relu", n_samples=50, seed=4)
    masks = masks_of(drawn, 0.4)
    whole = refit_rows(drawn.mlp, masks, drawn.mlp, ec.Batch(drawn.x, drawn.sample_weight))
    monkeypatch.setattr(row, "GRAM_BYTES", 400)
    monkeypatch.setattr(row, "samples_per_block", lambda mlp: 3)  # of seven: two, and what is left alone
    parts = [ec.Batch(drawn.x[k : k + 7], drawn.sample_weight[k : k + 7]) for k in range(0, 50, 7)]
    in_parts = refit_rows(drawn.mlp, masks, drawn.mlp, parts)
    for got, expected in zip((*in_parts.weights, *in_parts.biases), (*whole.weights, *whole.biases)):
        np.testing.assert_allclose(got, expected, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("metric", ["output", "fisher", output_cotangents])
def test_threads_change_nothing_and_a_callable_is_called_in_one(metric, monkeypatch):
    drawn = networks.make([6, 8, 5, 3], "relu", n_samples=50, seed=4)
    masks = masks_of(drawn, 0.4)
    monkeypatch.setattr(row, "samples_per_block", lambda mlp: 7)
    seen = set()

    def watched(outputs):
        seen.add(threading.get_ident())
        return metric(outputs)

    used = watched if callable(metric) else metric
    in_turn = refit_rows(drawn.mlp, masks, drawn.mlp, drawn.x, used)

    @contextmanager
    def side_by_side(n_items):
        with ThreadPoolExecutor(3) as pool:
            yield partial(threads._map_on, pool)

    monkeypatch.setattr(row, "side_by_side", side_by_side)
    beside = refit_rows(drawn.mlp, masks, drawn.mlp, drawn.x, used)
    for got, expected in zip((*beside.weights, *beside.biases), (*in_turn.weights, *in_turn.biases)):
        np.testing.assert_array_equal(got, expected)
    assert seen <= {threading.get_ident()}


def test_an_overflow_is_named():
    mlp = ec.MLP([[[1e-100]]], [[0.0]])
    with pytest.raises(ValueError, match=r"^rows: overflow in layer 0"):
        refit_rows(mlp, (np.ones((1, 1), bool),), mlp, [[1e200], [-1e200]])


def test_rows_that_overflow_are_named_not_the_network_that_they_make():
    t = np.random.default_rng(0).standard_normal(20)
    mlp = ec.MLP([[[9e3, 1.0]]], [[0.0]])
    with pytest.raises(ValueError, match=r"^rows: overflow in layer 0"):  # only 4.5e308 would answer for 9000
        refit_rows(mlp, (np.array([[False, True]]),), mlp, np.column_stack([t * 1e150, t * 2e-155]))


def parts_of(drawn, n_parts, weighted):
    """The samples in so many parts, some of them perhaps of one sample."""
    ends = np.linspace(0, len(drawn.x), min(n_parts, len(drawn.x)) + 1).astype(int)
    weight = drawn.sample_weight if weighted else np.ones(len(drawn.x))
    return [ec.Batch(drawn.x[a:b], weight[a:b]) for a, b in pairwise(ends)]


def merged(collect, parts):
    return reduce(lambda a, b: a.merge(b), [collect(part) for part in parts])


def about(reference, sums):
    """The same sums, of inputs from which this is subtracted: merged with those of no samples at all."""
    nothing = replace(
        sums,
        reference=reference,
        gram=0 * sums.gram,
        right=0 * sums.right,
        grams=tuple(0 * gram for gram in sums.grams),
        rights=tuple(0 * right for right in sums.rights),
    )
    return nothing.merge(sums)


@given(drawn_networks, FRACTIONS, st.integers(2, 5), st.booleans(), st.booleans())
def test_sums_of_parts_merge_into_those_of_the_whole(drawn, fraction, n_parts, weighted, backwards):
    """EC-5.11: each part has a reference of its own; in any order, to rounding of the inputs' squares."""
    masks, parts = masks_of(drawn, fraction), parts_of(drawn, n_parts, weighted)
    if backwards:
        parts = parts[::-1]
    whole_x = ec.Batch(*(np.concatenate(arrays) for arrays in zip(*((part.x, part.sample_weight) for part in parts))))

    def over(collect):
        whole = collect(whole_x)
        if isinstance(whole, row_sums.RowFactors):
            return whole
        again = about(whole.reference, merged(collect, parts))
        for got, expected in zip((again.gram, *again.grams), (whole.gram, *whole.grams)):
            scale = np.sqrt(np.outer(expected.diagonal(), expected.diagonal())) + 1e-3 * expected[-1, -1]
            assert (np.abs(got - expected) <= 1e-12 * scale).all(), np.abs(got - expected).max()
        for got, expected in zip((again.right, *again.rights), (whole.right, *whole.rights)):
            np.testing.assert_allclose(got, expected, rtol=1e-10, atol=1e-11 * (1 + np.abs(expected).max()))
        return whole

    refit_rows_over(over, drawn.mlp, masks, drawn.mlp, ridge=1e-2)


@given(drawn_networks, FRACTIONS, st.integers(2, 5), st.booleans())
def test_rows_from_merged_parts_are_those_of_the_whole(drawn, fraction, n_parts, by_rows):
    """EC-5.11: by Cholesky of merged sums, and by merged triangular factors."""
    masks, parts = masks_of(drawn, fraction), parts_of(drawn, n_parts, weighted=True)
    with pytest.MonkeyPatch.context() as patch:
        if by_rows:
            patch.setattr(row_sums, "CONDITION", 1e-300)
        apart = refit_rows_over(lambda collect: merged(collect, parts), drawn.mlp, masks, drawn.mlp, ridge=1e-2)
        together = refit_rows(drawn.mlp, masks, drawn.mlp, ec.Batch(drawn.x, drawn.sample_weight), ridge=1e-2)
    for got, expected in zip((*apart.weights, *apart.biases), (*together.weights, *together.biases)):
        np.testing.assert_allclose(got, expected, rtol=1e-8, atol=1e-8 * (1 + np.abs(expected).max()))


def test_a_constant_input_has_nothing_to_say_in_merged_parts_either():
    """It is constant but for rounding, and its mean is another in each part: no more than rounding is nothing."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((90, 3))
    x[:, 1] = 0.1 + np.spacing(0.1) * rng.integers(-3, 4, 90)
    mlp, masks = ec.MLP([[[1.0, 1.0, 1.0]]], [[0.0]]), (np.array([[True, True, False]]),)

    def over(collect):
        sums = merged(collect, [x[:7], x[7:20], x[20:]])
        assert (sums.gram[1] == 0).all() and (sums.grams[0][1] == 0).all()
        return sums

    refitted = refit_rows_over(over, mlp, masks, mlp)
    assert refitted.weights[0][0, 1] == 1


def test_sums_of_other_neurons_are_refused():
    drawn = networks.make([4, 3, 2], "tanh", seed=0)
    seen = []

    def over(collect):
        seen.append(collect(drawn.x))
        return seen[-1]

    refit_rows_over(over, drawn.mlp, masks_of(drawn, 0.5), drawn.mlp)
    first, last = seen[:2]
    assert (repr(first), repr(last)) == ("RowSums(4 inputs, 3 neurons)", "RowSums(3 inputs, 2 neurons)")
    with pytest.raises(ValueError, match=r"^other: expected sums of the same neurons' inputs, got those of others"):
        first.merge(last)
    with pytest.raises(TypeError, match=r"^other: expected"):
        first.merge(drawn.mlp)


def test_each_layer_repairs_what_the_layers_before_it_did():
    """The last layer's inputs are those of the repaired network: against the dense ones it does worse."""
    drawn = networks.make([8, 12, 4], "relu", n_samples=200, seed=1)
    masks = (masks_of(drawn, 0.6)[0], np.ones((4, 12), bool))
    repaired = refit_rows(drawn.mlp, masks, drawn.mlp, drawn.x)
    last = drawn.mlp.weights[1], drawn.mlp.biases[1]
    only_first = repaired.replace([repaired.weights[0], last[0]], [repaired.biases[0], last[1]])
    change = ec.oracle.true_change
    assert change(repaired, drawn.mlp, drawn.x) < 0.9 * change(only_first, drawn.mlp, drawn.x)


@pytest.mark.parametrize("compensation", ["row", "guarded", "refit"])
def test_iterating_aims_at_the_first_network_or_the_one_that_is_named(compensation):
    drawn = networks.make([6, 8, 3], "tanh", n_samples=60, seed=3)
    aims = {"refit_rows": [], "guarded_biases": [], "refit_biases": []}
    other = networks.make([6, 8, 3], "tanh", seed=9).mlp
    from ecprune_np.pruning import one_shot

    def watch(name, place):
        original = getattr(one_shot, name)

        def watched(*arguments):
            aims[name].append(arguments[place])
            return original(*arguments)

        return watched

    with pytest.MonkeyPatch.context() as patch:
        for name, place in (("refit_rows", 2), ("guarded_biases", 2), ("refit_biases", 1)):
            patch.setattr(one_shot, name, watch(name, place))
        for target in (None, other):
            ec.prune_iteratively(drawn.mlp, drawn.x, 0.5, steps=3, compensation=compensation, target=target)
    seen = [aim for found in aims.values() for aim in found]
    assert len(seen) == 6
    assert all(aim is drawn.mlp for aim in seen[:3])
    assert all(aim is other for aim in seen[3:])


@pytest.mark.parametrize("compensation", [None, "independent", "guarded", "joint", "row", "refit"])
@pytest.mark.parametrize("metric", ["output", "fisher"])
def test_iterating_composes_with_every_compensation(compensation, metric):
    drawn = networks.make([6, 8, 3], "relu", n_samples=60, seed=3)
    pruned = ec.prune_iteratively(drawn.mlp, drawn.x, 0.6, steps=3, metric=metric, compensation=compensation)
    assert sum(int((~m).sum()) for m in pruned.masks) == round(0.6 * drawn.mlp.n_weights)
    assert all((w[~m] == 0).all() for w, m in zip(pruned.mlp.weights, pruned.masks))


def test_a_target_is_refused_where_nothing_would_come_of_it_or_it_does_not_fit():
    drawn = networks.make([4, 3, 2], "tanh", seed=0)
    scores = ec.elimination_compensation(drawn.mlp, drawn.x)
    for compensation, x in ((None, None), ("independent", None), ("joint", drawn.x)):
        with pytest.raises(ValueError, match=r"^target: expected none, for it has no effect"):
            ec.prune(drawn.mlp, scores, 0.5, compensation=compensation, x=x, target=drawn.mlp)
    with pytest.raises(ValueError, match=r"^target: expected none, for it has no effect"):
        ec.prune_iteratively(drawn.mlp, drawn.x, 0.5, target=drawn.mlp)
    other = networks.make([4, 5, 2], "tanh", seed=0).mlp
    with pytest.raises(ValueError, match=r"^target: expected a network with sizes and activations"):
        ec.prune(drawn.mlp, scores, 0.5, compensation="row", x=drawn.x, target=other)
    with pytest.raises(TypeError, match=r"^x: expected what can be read again"):
        ec.prune(drawn.mlp, scores, 0.5, compensation="row", x=iter([drawn.x]))


def test_a_singular_matrix_is_left_to_the_rows_themselves():
    """Two equal inputs, no ridge: Cholesky fails, and the shortest change is shared between them."""
    x = np.repeat(np.random.default_rng(0).standard_normal((20, 1)), 3, axis=1)
    mlp = ec.MLP([[[1.0, 1.0, 1.0]]], [[0.0]])
    masks = (np.array([[True, True, False]]),)
    refitted = refit_rows(mlp, masks, mlp, x, ridge=0)
    np.testing.assert_allclose(refitted.weights[0], [[1.5, 1.5, 0]], atol=1e-9)
