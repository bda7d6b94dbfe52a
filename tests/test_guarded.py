"""The guarded shifts: never worse than none, and never worse than the paper's (EC-5.12)."""

from __future__ import annotations

import networks
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import ecprune_np as ec

MIXED = 1  # a seed for which neither end is best, nor either for all layers
drawn_networks = networks.networks(max_layers=4, max_width=5, max_samples=20)


@given(drawn_networks, st.floats(0, 1), st.sampled_from(networks.METRICS), st.booleans())
def test_the_true_change_is_never_above_that_of_no_shift_nor_of_the_papers(drawn, sparsity, metric, weighted):
    """EC-5.12, by forward passes alone."""
    if drawn.mlp.output_activation == "sigmoid" and metric not in ("output", "mse"):
        metric = "output"
    x = networks.batch(drawn, metric, weighted)
    scores = ec.elimination_compensation(drawn.mlp, x, metric)
    change = {}
    for compensation in (None, "independent", "guarded"):
        options = {"x": x, "metric": metric} if compensation == "guarded" else {}
        pruned = ec.prune(drawn.mlp, scores, sparsity, compensation=compensation, **options)
        change[compensation] = ec.oracle.true_change(pruned.mlp, drawn.mlp, x, metric)
    assert change["guarded"] <= min(change[None], change["independent"]), change


@given(drawn_networks, st.floats(0, 1))
def test_each_layers_shifts_are_the_papers_times_one_factor(drawn, sparsity):
    scores = ec.elimination_compensation(drawn.mlp, drawn.x)
    full = ec.prune(drawn.mlp, scores, sparsity).mlp
    guarded = ec.prune(drawn.mlp, scores, sparsity, compensation="guarded", x=drawn.x).mlp
    for b, whole, held in zip(drawn.mlp.biases, full.biases, guarded.biases):
        shift, kept = whole - b, held - b
        largest = np.argmax(np.abs(shift))
        t = kept[largest] / shift[largest] if shift[largest] else 0.0
        assert -1e-12 <= t <= 1 + 1e-12
        np.testing.assert_allclose(kept, t * shift, atol=1e-12 * (1 + np.abs(b).max()))


@pytest.mark.parametrize("seed", range(6))
def test_a_plain_loop_over_the_factors_finds_the_same(seed):
    """All layers by one factor first, then each by its own, the last one first; towards another network here."""
    d = networks.make([4, 8, 6, 2], "relu", n_samples=40, seed=seed)
    noise = np.random.default_rng(seed)
    target = d.mlp.replace([w + 0.1 * noise.standard_normal(w.shape) for w in d.mlp.weights], d.mlp.biases)
    scores = ec.elimination_compensation(d.mlp, d.x)
    whole = ec.prune(d.mlp, scores, 0.6)
    given = [np.where(m, w, 0) for w, m in zip(d.mlp.weights, whole.masks)], d.mlp.biases

    def change(factors):
        a, f = d.x, d.x
        for l, (w, b) in enumerate(zip(*given)):
            shift = np.where(whole.masks[l], 0, scores.bias_shift[l]).sum(axis=1)
            a = a @ w.T + b + factors[l] * shift
            f = f @ target.weights[l].T + target.biases[l]
            if l < 2:
                a, f = np.maximum(a, 0), np.maximum(f, 0)
        return np.mean(np.sum((a - f) ** 2, axis=1))

    choices = (0, 1 / 8, 1 / 4, 1 / 2, 1)
    best = min(([t] * 3 for t in choices), key=change)
    for l in (2, 1, 0):
        best = min(([*best[:l], t, *best[l + 1 :]] for t in choices), key=change)
    guarded = ec.prune(d.mlp, scores, 0.6, compensation="guarded", x=d.x, target=target).mlp
    found = [b + t * (c - b) for t, b, c in zip(best, d.mlp.biases, whole.mlp.biases)]
    for b, expected in zip(guarded.biases, found):
        np.testing.assert_allclose(b, expected, atol=1e-12)
    ends = min(change([0] * 3), change([1] * 3))
    assert change(best) < (0.98 if seed == MIXED else 1 + 1e-12) * ends, best


def test_where_the_shifts_switch_neurons_on_they_are_held_back():
    """A relu that few samples switch on, and that the paper's shift would switch on for all."""
    rng = np.random.default_rng(0)
    x = np.column_stack([rng.random(200) * 10, np.where(rng.random(200) < 0.1, 20.0, 0.0)])
    mlp = ec.MLP([[[1.0, 1.0]], [[1.0]]], [[-15.0], [0.0]], "relu")
    scores = ec.Scores([[[0.0, 1.0]], [[2.0]]], ec.elimination_compensation(mlp, x).bias_shift)
    change = {
        compensation: ec.oracle.true_change(
            ec.prune(mlp, scores, 1 / 3, compensation=compensation, x=x if compensation else None).mlp, mlp, x
        )
        for compensation in (None, "guarded")
    }
    assert change["guarded"] <= change[None]


def test_a_shift_that_overflows_is_not_taken():
    mlp = ec.MLP([[[1.0, 1.0]], [[1e160]]], [[0.0], [0.0]], "relu")
    x = np.array([[1.0, 0.0], [0.5, 0.0]])
    scores = ec.Scores([[[1.0, 0.0]], [[2.0]]], [[[0.0, 1e150]], [[0.0]]])
    pruned = ec.prune(mlp, scores, 1 / 3, compensation="guarded", x=x)
    np.testing.assert_array_equal(pruned.mlp.biases[0], mlp.biases[0])
