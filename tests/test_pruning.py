"""EC-5: what is removed, in which order, and what the biases become."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from networks import METRICS, Drawn, batch, make, networks

import ecprune_np as ec
from ecprune_np.error_analysis.comparison import worst_error
from ecprune_np.oracle._common import embedding, problem
from ecprune_np.pruning.iterative import reaching_outputs, scores_of_survivors
from ecprune_np.streaming.collect import moments_of_batches

SPARSITIES = st.floats(0, 1) | st.sampled_from([0.0, 0.1, 0.5, 0.9, 1.0])


def n_removed(pruned: ec.Pruned) -> int:
    return sum(int((~m).sum()) for m in pruned.masks)


@given(networks(), SPARSITIES)
def test_exactly_the_asked_number_is_removed_lowest_first(d: Drawn, sparsity: float) -> None:
    scores = ec.elimination_compensation(d.mlp, d.x)
    pruned = ec.prune(d.mlp, scores, sparsity)
    assert n_removed(pruned) == round(sparsity * d.mlp.n_weights)
    assert pruned.sparsity == pytest.approx(n_removed(pruned) / d.mlp.n_weights)
    removed = np.concatenate([i[~m] for i, m in zip(scores.importance, pruned.masks)])
    kept = np.concatenate([i[m] for i, m in zip(scores.importance, pruned.masks)])
    assert removed.max(initial=0) <= kept.min(initial=np.inf)
    for w, old, mask in zip(pruned.mlp.weights, d.mlp.weights, pruned.masks):
        assert (w == np.where(mask, old, 0)).all()


@given(networks(), SPARSITIES)
def test_each_layer_loses_its_share(d: Drawn, sparsity: float) -> None:
    pruned = ec.prune(d.mlp, ec.criteria.random(d.mlp, d.seed), sparsity, scope="layer")
    for mask in pruned.masks:
        assert (~mask).sum() == round(sparsity * mask.size)


@given(networks(), SPARSITIES)
def test_the_shifts_of_a_row_add_up(d: Drawn, sparsity: float) -> None:
    """EC-5.1."""
    scores = ec.elimination_compensation(d.mlp, d.x)
    pruned = ec.prune(d.mlp, scores, sparsity)
    for l, mask in enumerate(pruned.masks):
        for i in range(len(mask)):
            shift = sum(scores.bias_shift[l][i, j] for j in range(mask.shape[1]) if not mask[i, j])
            assert pruned.mlp.biases[l][i] == pytest.approx(d.mlp.biases[l][i] + shift, rel=1e-13, abs=1e-13)
    plain = ec.prune(d.mlp, scores, sparsity, compensation=None)
    assert all((a == b).all() for a, b in zip(plain.mlp.biases, d.mlp.biases))
    assert all((a == b).all() for a, b in zip(plain.masks, pruned.masks))


@given(networks(max_layers=3), st.integers(0, 2**32 - 1))
def test_row_shifts_are_the_optimum_of_the_set(d: Drawn, seed: int) -> None:
    """EC-5.1: Σ δ*_ij is the least-squares shift for removing a set of one row together, to first order."""
    trace = ec.forward(d.mlp, d.x)
    unit = np.repeat(np.eye(d.mlp.sizes[-1])[:, np.newaxis], len(d.x), axis=1)
    jacobian = ec.pullback(d.mlp, trace, unit)[0][:, :, 0]
    chosen = np.random.default_rng(seed).random(d.mlp.sizes[0]) < 0.5
    change = jacobian * (trace.inputs[0][:, chosen] @ d.mlp.weights[0][0, chosen])
    best = np.linalg.lstsq(jacobian.reshape(-1, 1), change.ravel(), rcond=None)[0][0]
    shift = ec.elimination_compensation(d.mlp, d.x).bias_shift[0][0, chosen].sum()
    scale = np.abs(d.mlp.weights[0][0]) @ np.abs(trace.inputs[0]).max(axis=0)
    assert shift == pytest.approx(best, rel=1e-9, abs=1e-12 * scale) or not jacobian.any()


def test_ties_go_by_layer_row_and_column() -> None:
    mlp = ec.MLP([np.ones((2, 2)), np.ones((1, 2))], [np.zeros(2), np.zeros(1)])
    scores = ec.Scores([np.array([[1.0, 0.0], [0.0, 0.0]]), np.array([[0.0, 0.0]])])
    order = [(0, 0, 1), (0, 1, 0), (0, 1, 1), (1, 0, 0), (1, 0, 1), (0, 0, 0)]
    for n in range(7):
        masks = ec.prune(mlp, scores, n / 6).masks
        assert {(l, i, j) for l, m in enumerate(masks) for i, j in np.argwhere(~m)} == set(order[:n])


@pytest.mark.parametrize(("sparsity", "expected"), [(0.24, 1), (0.25, 2), (0.125, 0), (0.375, 2), (1.0, 6)])
def test_the_count_is_rounded(sparsity: float, expected: int) -> None:
    """round() of Python: 1.5 → 2, 0.75 → 1, 2.25 → 2, 1.44 → 1."""
    mlp = ec.MLP([np.ones((2, 3))], [np.zeros(2)])
    assert n_removed(ec.prune(mlp, ec.criteria.magnitude(mlp), sparsity)) == round(sparsity * 6)
    assert round(sparsity * 6) == expected or sparsity == 0.125


def test_masks_given_stay_removed_even_where_others_are_as_unimportant() -> None:
    mlp = ec.MLP([np.array([[1.0, 0.0, 0.0]])], [np.zeros(1)])
    masks = [np.array([[True, True, False]])]
    pruned = ec.prune(mlp, ec.criteria.magnitude(mlp), 1 / 3, masks=masks)
    assert (pruned.masks[0] == masks[0]).all()
    scores = ec.Scores([np.array([[0.0, 5.0, 9.0]])], [np.array([[1.0, 2.0, 4.0]])])
    pruned = ec.prune(mlp, scores, 2 / 3, masks=masks)
    assert (pruned.masks[0] == [[False, True, False]]).all()
    assert pruned.mlp.biases[0][0] == 1  # what was removed before is not compensated again


@given(networks(max_layers=3), st.sampled_from(["global", "layer"]), st.integers(1, 6), SPARSITIES)
def test_iterative_pruning_ends_where_it_should(d: Drawn, scope: str, steps: int, sparsity: float) -> None:
    """EC-5.7: one step is one shot; steps only ever remove; the count at the end is the one-shot count."""
    seen: list[ec.Pruned] = []
    pruned = ec.prune_iteratively(
        d.mlp, d.x, sparsity, steps=steps, scope=scope, callback=lambda step, p: seen.append(p)
    )
    one_shot = ec.prune(d.mlp, ec.elimination_compensation(d.mlp, d.x), sparsity, scope)
    assert n_removed(pruned) == n_removed(one_shot)
    assert len(seen) == steps
    for earlier, later in pairwise(seen):
        assert all((e | ~l).all() for e, l in zip(earlier.masks, later.masks))
    for w, mask, dense in zip(pruned.mlp.weights, pruned.masks, d.mlp.weights):
        assert (w == np.where(mask, dense, 0)).all()
    if steps == 1:
        assert all((a == b).all() for a, b in zip(pruned.mlp.biases, one_shot.mlp.biases))


@pytest.mark.parametrize("compensation", [None, "independent"])
@pytest.mark.parametrize(("name", "value"), [("x", [[1.0, 2.0]]), ("metric", "output")])
def test_samples_that_no_compensation_needs_are_refused(compensation: Any, name: str, value: Any) -> None:
    mlp = ec.MLP([np.ones((2, 2))], [np.zeros(2)])
    with pytest.raises(ValueError, match=f"{name}: expected none, for it has no effect with compensation"):
        ec.prune(mlp, ec.criteria.magnitude(mlp), 0.5, compensation=compensation, **{name: value})


def test_the_schedule_takes_smaller_and_smaller_bites() -> None:
    """EC-5.7."""
    targets = ec.sparsity_schedule(0.9, 10)
    bites = np.diff([0, *targets])
    assert targets[-1] == 0.9
    assert (np.diff(bites) < 0).all() and (bites > 0).all()


def test_iterating_pays_on_a_trained_network() -> None:
    """EC-5.7: scored anew, the same number of removed weights costs less than in one shot."""
    rng = np.random.default_rng(0)
    x = rng.uniform(-1, 1, (300, 3))
    y = np.sin(3 * x[:, :1]) * x[:, 1:2]
    mlp = ec.train(ec.MLP.initialize([3, 20, 20, 1], seed=1), x, y, optimizer="lbfgs", epochs=150)
    one_shot = ec.prune(mlp, ec.elimination_compensation(mlp, x), 0.6)
    iterative = ec.prune_iteratively(mlp, x, 0.6, steps=20)
    magnitude = ec.prune(mlp, ec.criteria.magnitude(mlp), 0.6)
    losses = [ec.mean_loss(p.mlp, x, y) for p in (iterative, one_shot, magnitude)]
    assert losses[0] < losses[1] < losses[2], losses


@given(networks(max_width=8, logits=True), st.floats(0, 1), st.sampled_from(METRICS), st.none() | st.integers(1, 25))
def test_what_reaches_no_output_need_not_be_computed(d: Drawn, sparsity: float, metric: str, batch_size: int) -> None:
    """EC-5.9: the scores of what is left are those of the whole pruned network."""
    pruned = ec.prune(d.mlp, ec.criteria.random(d.mlp, d.seed), sparsity).mlp
    x = batch(d, metric)
    whole = ec.elimination_compensation(pruned, x, metric, batch_size=batch_size)
    left = scores_of_survivors(pruned, x, metric, batch_size=batch_size)
    moments = ec.collect_moments(pruned, x, metric, batch_size=batch_size)
    assert max(worst_error(left, whole, pruned, moments)) < 1e-12


@given(networks(max_width=8), st.floats(0, 1))
def test_reaching_an_output_is_having_a_path_to_it(d: Drawn, sparsity: float) -> None:
    """EC-5.9: against the number of paths, a product of matrices of ones and zeros."""
    pruned = ec.prune(d.mlp, ec.criteria.random(d.mlp, d.seed), sparsity).mlp
    paths = np.ones((1, pruned.sizes[-1]), int)
    for w, reaching in zip(pruned.weights[::-1], reaching_outputs(pruned)[-2::-1]):
        paths = paths @ (w != 0)
        if not paths.any():
            assert reaching.tolist() == [True] + [False] * (len(reaching) - 1)  # a layer is never empty
            break
        assert (reaching == (paths[0] > 0)).all()


def test_iterative_pruning_leaves_out_what_reaches_no_output(monkeypatch: pytest.MonkeyPatch) -> None:
    """EC-5.9: from the second step on inputs and neurons are gone, and the result is that of the plain loop."""
    d = make([12, 10, 8, 2], "relu", n_samples=40)
    weights = [d.mlp.weights[0], d.mlp.weights[1], d.mlp.weights[2] * (np.arange(8) < 3)]
    mlp, plain = d.mlp.replace(weights, d.mlp.biases), d.mlp.replace(weights, d.mlp.biases)
    sizes: list[tuple[int, ...]] = []

    def spied(network: ec.MLP, *arguments: Any, **keywords: Any) -> list[ec.Moments]:
        sizes.append(network.sizes)
        return moments_of_batches(network, *arguments, **keywords)

    monkeypatch.setattr("ecprune_np.pruning.iterative.moments_of_batches", spied)
    pruned = ec.prune_iteratively(mlp, d.x, 0.9, steps=6)
    masks = tuple(np.ones(w.shape, bool) for w in plain.weights)
    for target in ec.sparsity_schedule(0.9, 6):
        plain, masks = (p := ec.prune(plain, ec.elimination_compensation(plain, d.x), target, masks=masks)).mlp, p.masks
    assert all((a == b).all() for a, b in zip(pruned.masks, masks))
    for a, b in zip(pruned.mlp.biases, plain.biases):
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-12)
    assert len(sizes) == 5 and sizes[0][2] <= 3 and sizes[-1][0] < 12, sizes


@pytest.mark.parametrize("metric", METRICS)
def test_iterative_pruning_takes_a_metric_and_targets(metric: str) -> None:
    d = make([3, 4, 3])
    pruned = ec.prune_iteratively(d.mlp, batch(d, metric), 0.5, steps=3, metric=metric)
    assert n_removed(pruned) == 12


@given(networks(max_layers=3, logits=True), st.sampled_from(METRICS))
def test_what_the_steps_change_adds_up_at_most(d: Drawn, metric: str) -> None:
    """EC-5.8: in the embedding of each metric; with one M for all steps, as of "output", so do the true changes."""
    x = batch(d, metric)
    p = problem(d.mlp, x, metric)
    path = [d.mlp]
    ec.prune_iteratively(d.mlp, x, 0.9, steps=4, metric=metric, callback=lambda step, pruned: path.append(pruned.mlp))
    points = [embedding(p, mlp(d.x)) for mlp in path]

    def length(a: Any, b: Any) -> float:
        return float(np.sqrt(p.weight @ np.sum((b - a) ** 2, axis=1)))

    whole, steps = length(points[0], points[-1]), [length(a, b) for a, b in pairwise(points)]
    assert whole <= sum(steps) * (1 + 1e-12) + 1e-12, (whole, steps)
    true = [np.sqrt(ec.oracle.true_change(b, a, ec.Batch(d.x, d.sample_weight))) for a, b in pairwise(path)]
    whole = np.sqrt(ec.oracle.true_change(path[-1], path[0], ec.Batch(d.x, d.sample_weight)))
    assert whole <= sum(true) * (1 + 1e-12) + 1e-12, (whole, true)


def test_with_the_metric_taken_anew_the_steps_may_be_shorter_than_the_way() -> None:
    """EC-5.8 does not hold of Δfᵀ M Δf where M is that of each step's start: logits (0, 0), (10, 0), (20, 0)."""
    path = [ec.MLP([[[0.0], [0.0]]], [[logit, 0.0]]) for logit in (0.0, 10.0, 20.0)]
    x = [[0.0]]
    steps = [np.sqrt(ec.oracle.true_change(b, a, x, "fisher")) for a, b in pairwise(path)]
    whole = np.sqrt(ec.oracle.true_change(path[2], path[0], x, "fisher"))
    assert whole == pytest.approx(10) and sum(steps) == pytest.approx(5.0674, abs=1e-4), (whole, steps)
