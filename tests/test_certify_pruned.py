"""Certified digits of what compensations make of parameters, against their definitions without rounding (EC-7.14)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from exact_compensations import exact_joint, exact_row
from exact_compensations import shortest as exactly
from hypothesis import given
from hypothesis import strategies as st
from networks import METRICS, batch, make, networks
from profiles import draws

import ecprune_np as ec
from ecprune_np.error_analysis._balls import Ball
from ecprune_np.error_analysis._least_squares import minimum, shortest
from ecprune_np.oracle import certify_pruned, certify_refit
from ecprune_np.oracle._exact_arithmetic import Rationals

few = draws(25)
pytestmark = pytest.mark.skipif(
    np.finfo(np.longdouble).eps == np.finfo(float).eps, reason="longdouble is no wider than float64 here"
)
CASES = {case.name: case for case in ec.conformance.cases()}
SOME = ["identity-3-layers", "relu-2-layers", "width-one-deep", "one-sample", "two-samples", "equal-samples"]
SOME += ["dead-relu", "dead-layer", "one-live-sample", "kink-relu", "always-at-kink", "all-constant", "weights-1e8"]


def true_digits(value: np.ndarray, truth: np.ndarray) -> np.ndarray:
    error = np.abs(value - truth)
    relative = np.divide(error, np.abs(truth), out=np.ones_like(error), where=truth != 0)
    return -np.log10(np.clip(np.where(error == 0, 0, relative), 1e-17, 1))


def gaps(mlp: ec.MLP, x: Any, compensation: Any, sparsity: float, metric: Any = "output", target: Any = None) -> Any:
    """True digits less certified ones, which are never more; of the shifts, or of a row's weights and biases."""
    pytest.importorskip("mpmath", reason="the extra `exact` is not installed")
    scores = ec.elimination_compensation(mlp, x, metric)
    more = {} if target is None else {"target": target}
    if compensation == "independent":
        pruned = ec.prune(mlp, scores, sparsity)
    else:
        pruned = ec.prune(mlp, scores, sparsity, compensation=compensation, x=x, metric=metric, **more)
    found, wide = certify_pruned(pruned, mlp, x, compensation, metric, **more), mlp.astype(np.longdouble)
    if compensation == "row":
        aim = None if target is None else target.astype(np.longdouble)
        weights, biases = exact_row(wide, x, pruned.masks, metric, aim)
    else:
        if compensation == "joint":
            shifts = exact_joint(wide, x, pruned.masks, metric)
        else:
            exact = ec.oracle.exact(wide, x, metric).bias_shift
            shifts = [np.where(mask, 0, d).sum(axis=1) for mask, d in zip(pruned.masks, exact)]
        weights = [np.where(mask, w, 0) for mask, w in zip(pruned.masks, mlp.weights)]
        biases = [b + d for b, d in zip(wide.biases, shifts)]
        assert all((digits == 17).all() for digits in found.weight_bound)
    pairs = [*zip(found.weight_bound, map(true_digits, pruned.mlp.weights, weights))]
    pairs += zip(found.bias_bound, map(true_digits, pruned.mlp.biases, biases))
    if compensation != "row":
        moved = [new - old for new, old in zip(pruned.mlp.biases, wide.biases)]
        pairs += zip(found.shift_bound, map(true_digits, moved, shifts))
    for bound, true in pairs:
        assert (bound <= true + 1e-6).all(), (compensation, bound, true)
    if compensation != "row":
        return np.concatenate([true - bound for bound, true in pairs[-mlp.n_layers :]])
    kept = [*pruned.masks, *(np.ones(b.shape, bool) for b in biases)]
    return np.concatenate([(true - bound)[mask] for (bound, true), mask in zip(pairs, kept)])


@pytest.mark.parametrize("compensation", ["independent", "joint", "row"])
def test_ec_7_14_no_digit_is_claimed_that_is_not_there_and_few_are_kept_back(compensation: Any) -> None:
    """EC-5.1, EC-5.4, EC-5.10, on some cases; `tests/digits.py pruned` has them all."""
    found = np.concatenate([gaps(CASES[name].mlp, CASES[name].x, compensation, 0.5) for name in SOME])
    print(
        f"{compensation}: {np.median(found):.2f} digits too few in the median, {np.quantile(found, 0.9):.2f} in 9 of 10"
    )
    assert np.median(found) < 0.1 and np.quantile(found, 0.8) < 1.5, np.quantile(found, [0.5, 0.8, 0.9])


@given(networks(max_layers=3, max_width=4, max_samples=8, logits=True), st.sampled_from(METRICS), st.data())
@few
def test_ec_7_14_no_digit_is_claimed_that_is_not_there_on_drawn_networks(drawn: Any, metric: str, data: Any) -> None:
    compensation = data.draw(st.sampled_from(["independent", "joint", "row"]))
    dtype = data.draw(st.sampled_from([np.float32, np.float64]))
    d = make(list(drawn.mlp.sizes), drawn.mlp.activation, drawn.mlp.output_activation, len(drawn.x), drawn.seed, dtype)
    target = None
    if compensation == "row" and data.draw(st.booleans()):
        target = d.mlp.replace([w * dtype(1.25) for w in d.mlp.weights], d.mlp.biases)
    x = batch(d, metric)  # in longdouble the weights are to be the same
    gaps(
        d.mlp,
        replace(x, sample_weight=x.sample_weight.astype(dtype)),
        compensation,
        data.draw(st.sampled_from([0.2, 0.5, 0.8])),
        metric,
        target,
    )


def test_joint_shifts_of_a_callable_metric_and_of_more_biases_than_rows() -> None:
    """EC-5.4: the shortest of many solutions; equal samples are one."""
    d = make([3, 6, 5, 2], n_samples=3, seed=4)
    cotangents = np.random.default_rng(0).standard_normal((2, 6, 2))[:, [0, 1, 2, 0, 1, 2]]
    x = np.concatenate([d.x, d.x])
    for metric in ("output", "softmax", "fisher", lambda f: cotangents[:, : len(f)]):
        found = gaps(d.mlp, x, "joint", 0.5, metric)
        assert np.median(found) < 1, (metric, found)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("n_outputs", [1, 2, 3])
def test_regular_problems_keep_nearly_all_their_digits(n_outputs: int, metric: str) -> None:
    """EC-7.14: more samples than biases; of logits the common shift is the only one that counts for nothing."""
    d = make([3, 4, n_outputs], "elu", n_samples=30, seed=n_outputs)
    for compensation in ("joint", "row"):
        scores = ec.elimination_compensation(d.mlp, batch(d, metric), metric)
        pruned = ec.prune(d.mlp, scores, 0.5, compensation=compensation, x=batch(d, metric), metric=metric)
        found = certify_pruned(pruned, d.mlp, batch(d, metric), compensation, metric)
        for digits in (*found.bias_bound, *found.weight_bound):
            assert (digits > 12).all(), (compensation, digits)


@pytest.mark.parametrize("compensation", ["independent", "joint", "row"])
def test_what_is_wrong_is_found(compensation: Any) -> None:
    """EC-7.14: an error of a thousandth of a bias leaves three digits of it, one of a weight three of that."""
    d = make([4, 5, 3], "softplus", seed=1)
    scores = ec.elimination_compensation(d.mlp, d.x)
    x = None if compensation == "independent" else d.x
    pruned = ec.prune(d.mlp, scores, 0.3, compensation=compensation, x=x)
    for share, digits in ((1e-3, 3), (1e-7, 7)):
        biases = [b.copy() for b in pruned.mlp.biases]
        weights = [w.copy() for w in pruned.mlp.weights]
        biases[1][2] *= 1 + share
        weights[0][0, 0] *= 1 - share
        wrong = ec.Pruned(pruned.mlp.replace(weights, biases), pruned.masks)
        found = certify_pruned(wrong, d.mlp, d.x, compensation)
        assert found.bias_bound[1][2] == pytest.approx(digits, abs=0.01)
        assert found.weight_bound[0][0, 0] == pytest.approx(digits, abs=0.01) or not pruned.masks[0][0, 0]
        assert found.shift_bound[1][2] < digits + 1 and (found.bias_bound[1][:2] > 12).all()
        assert f"{digits}.0 digits at least" in repr(found)


@given(st.integers(0, 10**6), st.integers(1, 5), st.integers(1, 7), st.floats(0, 12))
@draws(25, more=False)  # how tight the bounds are holds for most matrices only
def test_ec_7_14_solutions_are_enclosed(seed: int, n: int, more: int, condition: float) -> None:
    """Against rationals: the least squares, the shortest solution, and what other rows see of the former."""
    R, rng = Rationals(), np.random.default_rng(seed)
    A = (rng.standard_normal((n + more, n)) * 10 ** rng.uniform(-condition / 2, 0, n)).astype(np.longdouble)
    A[:, 0] += 10**condition * A[:, -1] / max(1, np.abs(A[:, -1]).max()) if n > 1 else 0
    right = rng.standard_normal(len(A)).astype(np.longdouble)
    ones = np.full(len(A), R.number(1.0))
    truth = R.rounded(exactly(R, R.numbers(A), ones, R.numbers(right)), np.longdouble)
    near = truth * (1 + 1e-9 * rng.standard_normal(n))
    found = minimum(Ball.exact(A), Ball.exact(right), near)
    assert (np.abs(found.x.value - truth) <= found.x.error + 1e-18 * np.abs(truth)).all()
    assert (found.x.error <= 1e-19 * 10 ** (2 * condition) * (1 + np.abs(truth).max()) * 1e3).all()
    seen = found.seen_by(Ball.exact(A))
    assert (np.abs(seen.value - A @ truth) <= seen.error + 1e-17 * (np.abs(A) @ np.abs(truth))).all()
    A, right = A.T.copy(), right[:n]
    truth = R.rounded(exactly(R, R.numbers(A), ones[:n], R.numbers(right)), np.longdouble)
    found = shortest(Ball.exact(A), Ball.exact(right))
    assert (np.abs(found.value - truth) <= found.error + 1e-18 * np.abs(truth)).all()


def test_what_may_be_singular_is_unknown() -> None:
    """EC-7.14: columns that are equal, that are equal up to their errors, none at all, and too few rows."""
    A = np.array([[1.0, 1.0], [2.0, 2.0], [3.0, 3.5]], np.longdouble)
    right, near = Ball.exact(np.ones(3, np.longdouble)), np.zeros(2, np.longdouble)
    assert np.isfinite(minimum(Ball.exact(A), right, near).x.error).all()
    doubtful = Ball(A, np.where(A == 3.5, np.longdouble(1), 0))
    for columns in (Ball.exact(A[:, [0, 0]]), doubtful, Ball.exact(A * np.array([1, 0])), Ball.exact(A)[:1]):
        with np.errstate(invalid="ignore"):
            assert np.isinf(minimum(columns, right[: len(columns)], near).x.error).all()
            assert np.isinf(shortest(columns.T, right[:2]).error).all() or len(columns) == 1
    assert minimum(Ball.exact(A[:, :0]), right, near[:0]).x.shape == (0,)
    assert np.isfinite(minimum(Ball.exact(A[1:]), right[1:], near).x.error).all()  # as many rows as columns


# --- the gradient that a search leaves


def gradient_by_differences(pruned: ec.Pruned, mlp: ec.MLP, x: Any, metric: Any) -> np.ndarray:
    """∂/∂b_i of the true change, by central differences."""
    h, slopes = 1e-6, []
    for l, b in enumerate(pruned.mlp.biases):
        for i in range(len(b)):
            values = []
            for step in (h, -h):
                biases = [b.copy() for b in pruned.mlp.biases]
                biases[l][i] += step
                moved = pruned.mlp.replace(pruned.mlp.weights, biases)
                values.append(ec.oracle.true_change(moved, mlp, x, metric))
            slopes.append((values[0] - values[1]) / (2 * h))
    return np.abs(slopes)


@pytest.mark.parametrize("metric", METRICS)
def test_ec_7_15_the_gradient_that_is_left(metric: str) -> None:
    d = make([4, 5, 3], "tanh", seed=3)
    x = batch(d, metric)
    scores = ec.elimination_compensation(d.mlp, x, metric)
    pruned = ec.prune(d.mlp, scores, 0.4)
    found = certify_refit(pruned, d.mlp, x, metric)
    expected = gradient_by_differences(pruned, d.mlp, x, metric)
    np.testing.assert_allclose(np.concatenate(found.gradient), expected, rtol=1e-5, atol=1e-9)
    assert found.change == pytest.approx(ec.oracle.true_change(pruned.mlp, d.mlp, x, metric), rel=1e-12)
    refit = certify_refit(ec.oracle.refit_biases(pruned, d.mlp, x, metric), d.mlp, x, metric)
    cosines = [max(cosine.max() for cosine in certificate.cosine) for certificate in (found, refit)]
    assert cosines[1] < 1e-4 < cosines[0] <= 1, cosines
    assert all((small <= large + 1e-9).all() for small, large in zip(refit.cosine, found.cosine)) or cosines[1] < 1e-6


def test_ec_7_15_by_hand() -> None:
    """f = 2 x + 1.5 loses the weight: E[(δ − 2 x)²] over x = 1, 3 has the slope 2 (δ − 4), which is −8 at δ = 0."""
    mlp = ec.MLP([[[2.0]]], [[1.5]])
    for delta, slope, cosine in ((0.0, 8, 8 / 2 / np.sqrt(20)), (4.0, 0, 0), (5.0, 2, 1 / np.sqrt(5))):
        pruned = ec.Pruned(ec.MLP([[[0.0]]], [[1.5 + delta]]), [np.array([[False]])])
        found = certify_refit(pruned, mlp, [[1.0], [3.0]])
        assert found.gradient[0].item() == pytest.approx(slope, abs=1e-15, rel=1e-5)
        assert found.cosine[0].item() == pytest.approx(cosine, abs=1e-15, rel=1e-5)
    still = certify_refit(ec.Pruned(mlp, [np.array([[True]])]), mlp, [[1.0], [3.0]])
    assert still.change == 0 and still.gradient[0].item() < 1e-15 and still.cosine[0].item() <= 1


def test_bad_input_is_named() -> None:
    d = make([4, 5, 3], seed=1)
    pruned = ec.prune(d.mlp, ec.criteria.magnitude(d.mlp), 0.5)
    other = make([4, 5, 2], seed=1).mlp
    for function, arguments in ((certify_pruned, ("joint",)), (certify_refit, ())):
        with pytest.raises(TypeError, match="pruned: expected Pruned"):
            function(d.mlp, d.mlp, d.x, *arguments)
        with pytest.raises(TypeError, match="mlp: expected MLP"):
            function(pruned, None, d.x, *arguments)
        with pytest.raises(ValueError, match="pruned: expected a network with sizes"):
            function(pruned, other, d.x, *arguments)
        with pytest.raises(ValueError, match="x: expected shape"):
            function(pruned, d.mlp, d.x[:, :2], *arguments)
    with pytest.raises(ValueError, match="compensation: expected one of independent, joint, row, got 'refit'"):
        certify_pruned(pruned, d.mlp, d.x, "refit")
    with pytest.raises(ValueError, match="target: expected none, for it has no effect with compensation 'joint'"):
        certify_pruned(pruned, d.mlp, d.x, "joint", target=d.mlp)
    with pytest.raises(ValueError, match="target: expected a network with sizes"):
        certify_pruned(pruned, d.mlp, d.x, "row", target=other)
