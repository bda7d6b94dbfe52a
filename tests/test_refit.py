"""Refitted biases: never worse than the start, least squares where linear, stationary elsewhere (EC-5.5)."""

from __future__ import annotations

import networks
import numpy as np
import pytest
from hypothesis import given
from profiles import draws

import ecprune_np as ec
from ecprune_np.oracle import refit_biases, true_change

few = draws(30)


def magnitude_pruned(mlp, sparsity=0.4):
    return ec.prune(mlp, ec.criteria.magnitude(mlp), sparsity)


@pytest.mark.parametrize("metric", networks.METRICS)
@given(drawn=networks.networks(logits=True))
@draws(12)
def test_never_worse_than_the_start(metric, drawn):
    pruned = magnitude_pruned(drawn.mlp)
    x = networks.batch(drawn, metric)
    refitted = refit_biases(pruned, drawn.mlp, x, metric)
    before = true_change(pruned.mlp, drawn.mlp, x, metric)
    after = true_change(refitted.mlp, drawn.mlp, x, metric)
    assert after <= before, (metric, before, after)
    assert all((a == b).all() for a, b in zip(refitted.mlp.weights, pruned.mlp.weights))
    assert all((a == b).all() for a, b in zip(refitted.masks, pruned.masks))


@given(networks.networks(activations=["identity"], output_activations=["identity"]))
@few
def test_equals_least_squares_in_linear_networks(drawn):
    pruned = magnitude_pruned(drawn.mlp)
    refitted = refit_biases(pruned, drawn.mlp, drawn.x)
    # biases of a linear network move the outputs by constants: what is left is the variance of the change, or more
    # where pruning has cut outputs off; the last biases alone reach every constant
    change = drawn.mlp(drawn.x) - pruned.mlp(drawn.x)
    best = float(np.sum(np.var(change, axis=0)))
    after = true_change(refitted.mlp, drawn.mlp, drawn.x)
    size = float(np.mean(np.sum(change**2, axis=1)))
    assert abs(after - best) <= 1e-12 * best + 1e-14 * size + 1e-28, (after, best)


@pytest.mark.parametrize("activation", ["tanh", "gelu", "softplus", "sin", "relu"])
def test_no_direction_of_the_biases_is_better(activation):
    drawn = networks.make([4, 5, 4, 3], activation, n_samples=40, seed=2)
    refitted = refit_biases(magnitude_pruned(drawn.mlp), drawn.mlp, drawn.x)
    value = true_change(refitted.mlp, drawn.mlp, drawn.x)
    rng = np.random.default_rng(0)
    for size in (1e-2, 1e-3, 1e-4):
        for _ in range(20):
            moved = [b + size * rng.standard_normal(b.shape) for b in refitted.mlp.biases]
            other = true_change(refitted.mlp.replace(refitted.mlp.weights, moved), drawn.mlp, drawn.x)
            assert other >= value * (1 - 1e-9), (size, other, value)


def test_agrees_with_a_general_minimiser():
    from scipy.optimize import least_squares

    drawn = networks.make([4, 5, 3], "tanh", n_samples=40, seed=2)
    pruned = magnitude_pruned(drawn.mlp)
    ends = np.cumsum(drawn.mlp.sizes[1:])[:-1]

    def residual(biases):
        moved = pruned.mlp.replace(pruned.mlp.weights, np.split(biases, ends))
        return (moved(drawn.x) - drawn.mlp(drawn.x)).ravel() / np.sqrt(len(drawn.x))

    start = np.concatenate(pruned.mlp.biases)
    reference = 2 * least_squares(residual, start, xtol=1e-13, ftol=1e-13, gtol=1e-13).cost
    refitted = refit_biases(pruned, drawn.mlp, drawn.x)
    assert true_change(refitted.mlp, drawn.mlp, drawn.x) <= reference * (1 + 1e-9)


def test_an_unpruned_network_stays_as_it_is():
    drawn = networks.make([3, 4, 2], seed=1)
    whole = ec.prune(drawn.mlp, ec.criteria.magnitude(drawn.mlp), 0)
    assert all((a == b).all() for a, b in zip(refit_biases(whole, drawn.mlp, drawn.x).mlp.biases, drawn.mlp.biases))


def test_an_empty_network_gets_the_mean_output():
    drawn = networks.make([3, 4, 2], "tanh", seed=1)
    empty = refit_biases(magnitude_pruned(drawn.mlp, 1.0), drawn.mlp, drawn.x)
    mean = np.broadcast_to(drawn.mlp(drawn.x).mean(axis=0), (20, 2))
    np.testing.assert_allclose(empty.mlp(drawn.x), mean, rtol=1e-12)


@pytest.mark.parametrize("dtype", [np.float32, np.longdouble])
def test_the_dtype_stays_and_so_does_the_guarantee(dtype):
    drawn = networks.make([3, 5, 4, 2], "relu", seed=1, dtype=dtype)
    pruned = magnitude_pruned(drawn.mlp)
    refitted = refit_biases(pruned, drawn.mlp, drawn.x)
    assert refitted.mlp.dtype == dtype
    after, before = (true_change(p.mlp, drawn.mlp, drawn.x) for p in (refitted, pruned))
    assert after < before


def test_a_step_too_far_is_taken_back():
    # sinh-like growth: Gauss-Newton from a flat start overshoots until it is damped
    mlp = ec.MLP([[[1.0]], [[1.0]]], [[0.0], [0.0]], "sigmoid", "sigmoid")
    flat = ec.Pruned(mlp.replace([[[0.0]], [[1.0]]], [[-30.0], [9.0]]), (np.array([[False]]), np.array([[True]])))
    x = [[-1.0], [0.5], [2.0]]
    refitted = refit_biases(flat, mlp, x)
    assert true_change(refitted.mlp, mlp, x) < 1e-2 < true_change(flat.mlp, mlp, x)


def test_a_step_that_overflows_is_not_taken():
    mlp = ec.MLP([[[1e10]]], [[0.0]], "elu", "elu")
    flat = ec.Pruned(mlp.replace([[[0.0]]], [[-700.0]]), (np.array([[False]]),))
    refitted = refit_biases(flat, mlp, [[1.0]])
    assert true_change(refitted.mlp, mlp, [[1.0]]) <= true_change(flat.mlp, mlp, [[1.0]])


def test_bad_input_is_named():
    drawn, other = networks.make([3, 4, 2], seed=1), networks.make([3, 5, 2], seed=1)
    with pytest.raises(ValueError, match="pruned: expected a network with sizes"):
        refit_biases(magnitude_pruned(other.mlp), drawn.mlp, drawn.x)
    with pytest.raises(TypeError, match="pruned: expected Pruned, got MLP"):
        refit_biases(drawn.mlp, drawn.mlp, drawn.x)
    with pytest.raises(TypeError, match="mlp: expected MLP, got Pruned"):
        refit_biases(magnitude_pruned(drawn.mlp), magnitude_pruned(drawn.mlp), drawn.x)
