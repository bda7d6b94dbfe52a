"""Certified digits of scores against extended-precision loops (EC-7.12, EC-7.13, EC-9.9), and gelu in longdouble."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import networks
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from profiles import draws

import ecprune_np as ec
from ecprune_np.error_analysis._bounded import bounded_forward
from ecprune_np.oracle import certify

has_longdouble = pytest.mark.skipif(
    np.finfo(np.longdouble).eps == np.finfo(float).eps, reason="longdouble is no wider than float64 here"
)
few = draws(60)


def true_digits(value, truth):
    error, size = np.abs(value.astype(np.longdouble) - truth), np.abs(truth)
    relative = np.divide(error, size, out=np.ones_like(error), where=size > 0)
    return -np.log10(np.clip(np.where(error == 0, 0, relative), 1e-17, 1))


def offset_network(drawn, offset, dtype):
    """The same preactivations from inputs that are `offset` larger, up to the rounding of both."""
    weights, biases = list(drawn.mlp.weights), list(drawn.mlp.biases)
    biases[0] = biases[0] - weights[0].sum(axis=1) * offset
    return drawn.mlp.replace(weights, biases).astype(dtype), (drawn.x + offset).astype(dtype)


@has_longdouble
@given(
    networks.networks(logits=True, max_width=5),
    st.sampled_from(networks.METRICS),
    st.sampled_from([0.0, 10.0, 1e4, 1e7]),
    st.sampled_from([np.float32, np.float64]),
)
@example(networks.make([2, 1, 1], "elu", "relu", 1, seed=4), "output", 1e7, np.float32)  # S is 0, but for rounding
@example(networks.make([5, 5, 5, 4], "elu", "elu", 1), "softmax", 1e7, np.float32)  # p may be any probability
@few
def test_the_bound_never_claims_more_than_is_true_and_the_measured_digits_are_right(drawn, metric, offset, dtype):
    mlp, x = offset_network(drawn, offset, dtype)
    y = mlp(x) + x[:, :1] / (1 + offset) if metric == "mse" else drawn.targets(metric)
    samples = ec.Batch(x, drawn.sample_weight.astype(dtype), y)
    found = certify(mlp, samples, metric)
    scores = ec.elimination_compensation(mlp, samples, metric)
    truth = ec.oracle.loops(mlp.astype(np.longdouble), replace(samples, x=x.astype(np.longdouble)), metric)
    pairs = [
        (scores.importance, truth.importance, found.importance_digits, found.importance_bound),
        (scores.bias_shift, truth.bias_shift, found.bias_shift_digits, found.bias_shift_bound),
    ]
    most = 6.5 if dtype == np.float32 else 14.0  # above, rounding of the truth itself is seen
    for values, truths, measured, bound in pairs:
        for l in range(mlp.n_layers):
            right = true_digits(values[l], truths[l])
            assert (bound[l] <= right + 1e-6).all(), (l, bound[l], right)
            difference = np.abs(np.minimum(measured[l], most) - np.minimum(right, most))
            assert (difference < 1).all(), (l, measured[l], right)


@has_longdouble
def test_well_conditioned_values_are_guaranteed_many_digits():
    drawn = networks.make([4, 5, 3], "tanh", seed=1)
    found = certify(drawn.mlp, drawn.x)
    assert min(m.min() for m in found.importance_bound) > 10
    assert all(m.all() for m in found.guaranteed(10)) and all(m.all() for m in found.trusted())
    assert "35 of 35 weights have 6 digits or more" in str(found)


def test_float32_needs_no_longdouble():
    drawn = networks.make([4, 5, 3], "tanh", seed=1, dtype=np.float32)
    found = certify(drawn.mlp, drawn.x)
    assert all((m > 3).all() and (m < 17).any() for m in found.importance_digits)
    assert found.importance_digits[0].dtype == np.float64


@has_longdouble
def test_values_under_six_digits_are_flagged():
    """An offset of 1e12 standard deviations leaves float64 four digits of the activation's fluctuation."""
    rng = np.random.default_rng(0)
    x = np.column_stack([1e12 + rng.standard_normal(50), rng.standard_normal(50)])
    hidden = ec.MLP([[[1e-12, 1.0]], [[1.0]]], [[0.0], [0.0]], "tanh")
    found = certify(hidden, x)
    # the inputs are exact, so the first layer's variance keeps its digits; a relu after the offset does not
    shifted = ec.MLP([[[1.0, 1e-3]], [[1.0]]], [[0.0], [0.0]], "relu")
    lost = certify(shifted, np.column_stack([np.full(50, 1e13), rng.standard_normal(50)]))
    assert found.trusted()[1].all()
    assert not lost.trusted()[1].any() and not lost.guaranteed()[1].any(), lost.importance_digits
    assert "weights have 6 digits or more" in str(lost)


def test_what_is_exactly_nothing_has_all_digits():
    dead = ec.MLP([[[1.0]], [[1.0]]], [[-9.0], [0.0]], "relu", "identity")
    found = certify(dead.astype(np.float32), [[1.0], [2.0]])
    assert (found.importance_digits[0] == 17).all() and (found.importance_bound[0] == 17).all()


@has_longdouble
def test_cotangents_of_a_callable_count_as_exact():
    drawn = networks.make([4, 5, 3], "gelu", seed=1)
    found = certify(drawn.mlp, drawn.x, lambda f: np.ones((1, *f.shape)))
    assert all(m.all() for m in found.trusted())


def test_without_a_wider_format_the_bound_is_all_that_is_known(monkeypatch):
    """EC-7.13: longdouble's own digits, and float64's on a platform whose longdouble is no wider."""
    drawn = networks.make([4, 5, 3], "tanh", seed=1)
    found = certify(drawn.mlp.astype(np.longdouble), drawn.x)
    wide, narrow = certify(drawn.mlp, drawn.x), None
    with monkeypatch.context() as patch:
        patch.setattr(np, "longdouble", np.float64)
        narrow = certify(drawn.mlp, drawn.x)
    for certificate in (found, narrow):
        for name in ("importance", "bias_shift"):
            pairs = zip(getattr(certificate, f"{name}_digits"), getattr(certificate, f"{name}_bound"))
            assert all((digits == bound).all() for digits, bound in pairs)
    for l in range(2):
        assert (narrow.importance_bound[l] > 12).all()
        if np.finfo(np.longdouble).eps < np.finfo(float).eps:
            assert (found.importance_bound[l] > 15).all()
            assert (narrow.importance_bound[l] < wide.importance_bound[l]).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("metric", ["output", "mse", lambda f: np.ones((1, *f.shape))])
def test_what_is_claimed_may_come_from_anywhere(metric, dtype):
    """EC-7.13: an error of a tenth leaves a digit, a millionth six, and none is found that was not made."""
    drawn = networks.make([4, 5, 3], "softplus", seed=1, dtype=dtype)
    x = networks.batch(drawn, metric)
    scores = ec.elimination_compensation(drawn.mlp, x, metric)
    for size, digits in ((0.1, 1), (1e-3, 3), (-1e-6, 6)):
        if digits < 6 or dtype == np.float64:
            wrong = ec.Scores([i * (1 + size) for i in scores.importance], [d * (1 - size) for d in scores.bias_shift])
            found = certify(drawn.mlp, x, metric, scores=wrong)
            for bound in (*found.importance_bound, *found.bias_shift_bound, *found.importance_digits):
                assert (np.abs(bound - digits) < 0.1).all(), bound
    apart = certify(drawn.mlp, x, metric, scores=ec.elimination_compensation(drawn.mlp, x, metric, batch_size=3))
    assert all(m.all() for m in apart.guaranteed(4))


@pytest.mark.parametrize("metric", ["output", "mse"])
def test_other_units_of_the_output_change_no_digit_of_hidden_layers(metric):
    """The last layer times a power of two, of which nothing is rounded."""
    unit = 2.0**-20
    for activation in ("relu", "gelu", "tanh"):
        drawn = networks.make([4, 5, 4, 3], activation, seed=2)
        weights, biases = drawn.mlp.weights, drawn.mlp.biases
        small = drawn.mlp.replace([*weights[:-1], weights[-1] * unit], [*biases[:-1], biases[-1] * unit])
        x = networks.batch(drawn, metric)
        scaled = x if x.y is None else replace(x, y=x.y * unit)
        pair = certify(drawn.mlp, x, metric), certify(small, scaled, metric)
        for name in ("importance_bound", "bias_shift_bound"):
            for l in range(2):
                here, there = (getattr(found, name)[l] for found in pair)
                assert (np.abs(here - there) < 0.02).all(), (name, l, here - there)


def test_a_unit_that_is_constant_or_seen_once_loses_nothing():
    """EC-7.12: a constant input is what its mean is, whatever it is; so is one that only one sample counts for."""
    rng = np.random.default_rng(0)
    constant = ec.MLP([[[0, 0], [0.3, 0.7]], [[1.1, 0.9]]], [[0.3, 0.1], [0.2]], "sigmoid", "sigmoid")
    x = rng.standard_normal((9, 2))
    one, same = x[:1], np.repeat(x[:1], 5, axis=0)
    once = ec.Batch(x, sample_weight=np.eye(9)[3])
    for samples in (x, one, same, once):
        found = certify(constant, samples)
        assert found.importance_bound[1][0, 0] == 17 and (found.bias_shift_bound[1] > 14).all()
        assert samples is x or all((digits == 17).all() for digits in found.importance_bound)
    seen_once = ec.MLP([[[1.0]], [[0.7]], [[0.3]]], [[0.1], [-0.5], [0.0]], ["tanh", "relu"])
    assert certify(seen_once, [[-1.0], [0.2], [3.0]]).importance_bound[1].item() == 17


def test_kinks_of_exact_numbers_are_decided():
    """0.1 + 0.2 − 0.3 is not 0, nor is it what float64 makes of it: on which side of the kink is it?"""
    for bias in (-0.3, -(0.1 + 0.2), -0.30000000000000004):
        mlp = ec.MLP([[[1.0, 1.0]], [[1.0]]], [[bias], [0.0]], "relu")
        found = certify(mlp, [[0.1, 0.2], [1.0, 1.0]])
        truth = ec.oracle.exact(mlp, [[0.1, 0.2], [1.0, 1.0]])
        scores = ec.elimination_compensation(mlp, [[0.1, 0.2], [1.0, 1.0]])
        right = true_digits(scores.bias_shift[0], truth.bias_shift[0])
        assert (found.bias_shift_bound[0] <= right + 1e-6).all() and (found.bias_shift_bound[0] > right - 3).all()
    on_it = ec.MLP([[[1.0]], [[1.0]]], [[-0.5], [0.0]], "relu")
    assert all((digits > 15).all() for digits in certify(on_it, [[0.5], [1.0], [3.0]]).bias_shift_bound)
    # two equal units: behind an activation nothing is exact
    undecided = ec.MLP([[[1.0], [1.0]], [[1.0, -1.0]], [[1.0]]], [[0.3, 0.3], [0.0], [0.0]], ["tanh", "relu"])
    assert certify(undecided, [[0.5], [1.0]]).bias_shift_bound[1].max() == 0


numbers = st.one_of(st.floats(0.125, 8), st.floats(-8, -0.125))


@given(st.lists(st.tuples(numbers, numbers), min_size=1, max_size=4))
@few
def test_a_sum_that_cancels_is_computed_as_a_fraction(pairs):
    """The bias takes all of the sum away but for what rounding leaves, and that is known to its last digit."""
    a, w = np.array(pairs).T
    b = -float(a @ w)
    true = sum((Fraction(p) * Fraction(q) for p, q in pairs), Fraction(b))
    _, (z,), _ = bounded_forward(ec.MLP([[w]], [[b]]), a[np.newaxis])
    assert abs(Fraction(z.value.item()) - true) <= Fraction(z.error.item()) <= abs(true) / 2**52, (z, true)


def test_a_shift_that_underflow_has_taken_has_no_digit():
    """EC-4.2: p = e^−800 weighs nothing in float64, and yet the mean that it weighs is there."""
    mlp = ec.MLP([[[1.0], [0.0]]], [[0.0, 0.0]])
    found = certify(mlp, [[800.0], [801.0]], "softmax")
    assert found.bias_shift_bound[0][0, 0] == 0 and found.bias_shift_digits[0][0, 0] == 0


def test_bad_input_is_named():
    drawn = networks.make([4, 3], seed=1, dtype=np.float32)
    with pytest.raises(ValueError, match="x: expected shape"):
        certify(drawn.mlp, drawn.x[:, :2])
    with pytest.raises(TypeError, match="mlp: expected MLP"):
        certify(None, drawn.x)
    with pytest.raises(TypeError, match="scores: expected Scores"):
        certify(drawn.mlp, drawn.x, scores=drawn.x)
    with pytest.raises(ValueError, match=r"scores\.importance: expected 1 layers, got 2"):
        certify(drawn.mlp, drawn.x, scores=ec.Scores([np.ones((3, 4)), np.ones((2, 3))]))


# erfc to 25 digits, from its series in exact rational arithmetic and from its integral below
def erfc_by_rationals(x):
    """erfc x = 1 − 2/√π Σ (−1)^k x^(2k+1)/(k! (2k+1)) for a rational x, in integers with 60 decimals."""
    from fractions import Fraction
    from math import isqrt

    x = Fraction(x)
    term, total = x, x
    for k in range(1, 400):
        term *= -x * x / k
        term = Fraction(round(term * 10**80), 10**80)
        total += term / (2 * k + 1)
    pi = Fraction(31415926535897932384626433832795028841971693993751058209749445923078164062862, 10**76)
    root = Fraction(isqrt(int(pi * 10**120)), 10**60)
    return 1 - 2 * total / root


@has_longdouble
@pytest.mark.parametrize("z", [-8.0, -6.5, -4.0, -2.125, -2.0, -1.0, -0.125, 0.0, 0.5, 1.5, 2.25, 4.0, 7.0])
def test_gelu_in_longdouble_against_rational_arithmetic(z):
    """EC-10.10: z Φ(z), Φ(z) = erfc(−z/√2)/2, where √2 comes from an integer square root."""
    from fractions import Fraction
    from math import isqrt

    root_two = Fraction(isqrt(2 * 10**120), 10**60)
    exact = Fraction(z) * erfc_by_rationals(-Fraction(z) / root_two) / 2
    value = ec.ACTIVATIONS["gelu"].value(np.array([z], np.longdouble))[0]
    high = float(value)
    got = Fraction(high) + Fraction(float(value - np.longdouble(high)))
    error = abs(got - exact)
    # half an ulp of −z/√2 alone moves the tail by z² of its ulps
    eps = float(np.finfo(np.longdouble).eps)
    allowed = Fraction((8 + z * z) * eps) * abs(exact)
    assert error <= allowed, (z, float(error / abs(exact)) if exact else float(error))
