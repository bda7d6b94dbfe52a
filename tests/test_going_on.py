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


def removed(pruned):
    return sum(int((~mask).sum()) for mask in pruned.masks)


def half(scope="global"):
    return ec.prune(DRAWN.mlp, ec.elimination_compensation(DRAWN.mlp, DRAWN.x), 0.5, scope)


@given(st.floats(0, 1), st.floats(0, 1), st.sampled_from(["global", "layer"]))
def test_a_second_pruning_removes_more_and_puts_nothing_back(first, more, scope):
    scores = ec.elimination_compensation(DRAWN.mlp, DRAWN.x)
    once = ec.prune(DRAWN.mlp, scores, first, scope)
    sparsity = first + (1 - first) * more
    twice = ec.prune(once.mlp, scores, sparsity, scope, masks=once.masks)
    assert all((after <= before).all() for before, after in zip(once.masks, twice.masks))
    counts = [removed(twice)] if scope == "global" else [int((~m).sum()) for m in twice.masks]
    sizes = [DRAWN.mlp.n_weights] if scope == "global" else [w.size for w in DRAWN.mlp.weights]
    assert counts == [round(sparsity * size) for size in sizes]


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
    if scope == "global":
        assert removed(pruned) == round(0.8 * DRAWN.mlp.n_weights)


def test_less_than_is_gone_is_an_error_that_says_how_much_that_is():
    start = half()
    with pytest.raises(ValueError, match=r"^sparsity: expected at least the 0\.504854 that is gone already, got 0\.3"):
        ec.prune_iteratively(start, DRAWN.x, 0.3)
    with pytest.raises(ValueError, match=r"^sparsity: expected at least the 0\.504854 that masks removed, got 0\.3"):
        ec.prune(start.mlp, ec.criteria.magnitude(start.mlp), 0.3, masks=start.masks)


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
