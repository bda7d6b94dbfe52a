"""Pruning and training go on from a network that is pruned already, with the right sparsity."""

from __future__ import annotations

import networks
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import ecprune_np as ec

DRAWN = networks.make([6, 8, 5, 3], "tanh", n_samples=40, seed=2)
LABELS = DRAWN.labels


def counts(pruned, scope):
    """How many weights are removed, in all or in each layer."""
    removed = [int((~mask).sum()) for mask in pruned.masks]
    return [sum(removed)] if scope == "global" else removed


def sizes(scope):
    """How many weights there are, in all or in each layer."""
    return [DRAWN.mlp.n_weights] if scope == "global" else [w.size for w in DRAWN.mlp.weights]


def half(scope="global"):
    return ec.prune(DRAWN.mlp, ec.elimination_compensation(DRAWN.mlp, DRAWN.x), 0.5, scope)


@given(st.floats(0, 1), st.floats(0, 1), st.sampled_from(["global", "layer"]))
def test_a_second_pruning_removes_more_and_puts_nothing_back(first, more, scope):
    scores = ec.elimination_compensation(DRAWN.mlp, DRAWN.x)
    once = ec.prune(DRAWN.mlp, scores, first, scope)
    sparsity = first + (1 - first) * more
    twice = ec.prune(once.mlp, scores, sparsity, scope, masks=once.masks)
    assert all((after <= before).all() for before, after in zip(once.masks, twice.masks))
    assert counts(twice, scope) == [round(sparsity * n) for n in sizes(scope)]


@pytest.mark.parametrize("scope", ["global", "layer"])
@pytest.mark.parametrize("compensation", [None, "independent", "row"])
def test_iterating_goes_on_from_what_is_gone(scope, compensation):
    start, seen = half(scope), []
    pruned = ec.prune_iteratively(
        start,
        DRAWN.x,
        0.8,
        steps=3,
        scope=scope,
        compensation=compensation,
        callback=lambda step, bite: seen.append(bite.sparsity),
    )
    assert all((after <= before).all() for before, after in zip(start.masks, pruned.masks))
    assert (np.diff([start.sparsity, *seen]) >= 0).all()
    assert counts(pruned, scope) == [round(0.8 * n) for n in sizes(scope)]


@pytest.mark.parametrize("scope", ["global", "layer"])
def test_two_calls_reach_what_one_reaches(scope):
    once = ec.prune_iteratively(DRAWN.mlp, DRAWN.x, 0.8, steps=4, scope=scope)
    bites = []
    ec.prune_iteratively(DRAWN.mlp, DRAWN.x, 0.8, steps=4, scope=scope, callback=lambda _, bite: bites.append(bite))
    for twice in (
        ec.prune_iteratively(bites[1], DRAWN.x, 0.8, steps=2, scope=scope),
        ec.prune_iteratively(half(scope), DRAWN.x, 0.8, steps=2, scope=scope),
    ):
        assert counts(twice, scope) == counts(once, scope)
        for mask, w in zip(twice.masks, twice.mlp.weights):
            assert (w[~mask] == 0).all() and (w[mask] != 0).all()


@pytest.mark.parametrize("scope", ["global", "layer"])
@given(st.floats(0, 1))
def test_asked_again_for_what_is_gone_nothing_changes(scope, sparsity):
    """Also where so many weights are a little more than the fraction that was asked for."""
    once = ec.prune(DRAWN.mlp, ec.criteria.magnitude(DRAWN.mlp), sparsity, scope)
    again = ec.prune_iteratively(once, DRAWN.x, sparsity, steps=2, scope=scope)
    for got, expected in zip((*again.masks, *again.mlp.biases), (*once.masks, *once.mlp.biases)):
        np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize("compensation", [None, "independent", "guarded", "joint", "row", "refit"])
def test_only_what_goes_now_is_compensated(compensation):
    """The bias has answered for what went before."""
    start = half()
    options = {} if compensation in (None, "independent") else {"x": DRAWN.x}
    scores = ec.elimination_compensation(start.mlp, DRAWN.x)
    same = ec.prune(start.mlp, scores, start.sparsity, masks=start.masks, compensation=compensation, **options)
    for got, before in zip(same.masks, start.masks):
        np.testing.assert_array_equal(got, before)
    for got, before in zip((*same.mlp.weights, *same.mlp.biases), (*start.mlp.weights, *start.mlp.biases)):
        np.testing.assert_allclose(got, before, rtol=1e-6, atol=1e-8)


def test_less_than_is_gone_is_an_error_that_says_how_much_that_is():
    start = half()
    with pytest.raises(ValueError, match=r"^sparsity: expected at least the 0\.504854 that is gone already, got 0\.3"):
        ec.prune_iteratively(start, DRAWN.x, 0.3)
    with pytest.raises(ValueError, match=r"^sparsity: expected at least the 0\.504854 that masks removed, got 0\.3"):
        ec.prune(start.mlp, ec.criteria.magnitude(start.mlp), 0.3, masks=start.masks)
    emptier = 1 - min(mask.mean() for mask in start.masks)  # the layer that lost most
    with pytest.raises(ValueError, match=f"^sparsity: expected at least the {emptier:.6g} that is gone already"):
        ec.prune_iteratively(start, DRAWN.x, emptier - 0.05, scope="layer")
    for wrong in (-0.1, 1.1, np.nan):
        with pytest.raises(ValueError, match=r"^sparsity: expected a number from 0 to 1"):
            ec.prune_iteratively(start, DRAWN.x, wrong)


@pytest.mark.parametrize("optimizer", ["adam", "lbfgs"])
def test_training_goes_on_and_what_is_gone_stays_gone(optimizer):
    start = half()
    trained = ec.train(start, DRAWN.x, LABELS, "cross_entropy", optimizer=optimizer, epochs=3)
    assert isinstance(trained, ec.Pruned)
    for mask, before, w, old in zip(trained.masks, start.masks, trained.mlp.weights, start.mlp.weights):
        np.testing.assert_array_equal(mask, before)
        assert (w[~mask] == 0).all()
        assert (w[mask] != old[mask]).any()
    alone = ec.train(start.mlp, DRAWN.x, LABELS, "cross_entropy", optimizer=optimizer, epochs=3, masks=start.masks)
    for w, expected in zip(trained.mlp.weights, alone.weights):
        np.testing.assert_array_equal(w, expected)
    with pytest.raises(ValueError, match=r"^masks: expected none, for it has no effect beside a pruned network"):
        ec.train(start, DRAWN.x, LABELS, "cross_entropy", masks=start.masks)


def test_zeros_are_taken_as_pruned_where_one_says_so():
    start = half()
    again = ec.Pruned.from_zeros(start.mlp)
    for mask, expected in zip(again.masks, start.masks):
        np.testing.assert_array_equal(mask, expected)
    assert ec.Pruned.from_zeros(DRAWN.mlp).sparsity == 0


def test_masks_that_would_drop_a_weight_are_refused():
    masks = [np.ones(shape, bool) for shape in DRAWN.mlp.shapes]
    masks[1][2, 3] = False
    with pytest.raises(ValueError, match=r"^masks\[1\]: expected the removed weights to be 0, got .* at \[2, 3\]$"):
        ec.Pruned(DRAWN.mlp, masks)


def test_masks_survive_a_file_also_where_a_kept_weight_is_zero(tmp_path):
    w = np.array([[0.0, 2.0], [3.0, 0.0]])
    pruned = ec.Pruned(ec.MLP([w], [[1, 2]]), [np.array([[True, True], [True, False]])])
    text = pruned.save(tmp_path / "p.npz")
    assert "of the" in text
    for loaded in (ec.Pruned.load(tmp_path / "p.npz"), ec.load(tmp_path / "p.npz")):
        np.testing.assert_array_equal(loaded.masks[0], pruned.masks[0])
        np.testing.assert_array_equal(loaded.mlp.weights[0], w)


@pytest.mark.parametrize("dtype", [np.float32, np.longdouble])
def test_a_file_of_a_pruned_network_keeps_every_dtype(dtype, tmp_path):
    pruned = ec.Pruned(half().mlp.astype(dtype), half().masks)
    pruned.save(tmp_path / "p.npz")
    loaded = ec.Pruned.load(tmp_path / "p.npz")
    assert loaded.mlp.dtype == dtype
    for got, expected in zip(loaded.mlp.weights, pruned.mlp.weights):
        np.testing.assert_array_equal(got, expected)


def test_a_pruned_network_in_the_place_of_one_is_told_what_to_hand_over():
    start = half()
    for call in (
        lambda: ec.prune(start, ec.criteria.magnitude(start.mlp), 0.7),
        lambda: ec.collect_moments(start, DRAWN.x),
        lambda: ec.forward(start, DRAWN.x),
    ):
        with pytest.raises(TypeError, match=r"^mlp: expected MLP, got Pruned; hand over its mlp, and its masks where"):
            call()
