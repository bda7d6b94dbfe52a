"""Every operation of ball arithmetic holds what it stands for, whatever its operands stand for (EC-7.11)."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from networks import ACTIVATIONS
from profiles import draws

from ecprune_np.error_analysis import _bounded
from ecprune_np.error_analysis._balls import Ball, gamma, joined

few = draws(15)
DTYPES = [np.float32, np.float64, np.longdouble]
SLACK = Fraction(1_000_001, 1_000_000)


def exactly(array: Any) -> np.ndarray:
    """The rationals that floats are."""
    out = np.empty(np.shape(array), object)
    for place, entry in np.ndenumerate(np.asarray(array)):
        out[place] = Fraction(*entry.as_integer_ratio())
    return out


@st.composite
def balls(draw: st.DrawFn, shape: tuple[int, ...], dtype: Any) -> tuple[Ball, np.ndarray]:
    """A ball, and rationals that it may stand for: zeros, whole numbers, large and small ones, and what underflows."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    info = np.finfo(dtype)
    kind = draw(st.sampled_from(["whole", "normal", "unlike", "tiny"]))
    value = rng.standard_normal(shape).astype(dtype)
    if kind == "whole":
        value = np.round(2 * value)
    if kind == "unlike":
        value = value * np.exp2(rng.integers(-20, 20, shape).astype(dtype))
    if kind == "tiny":
        value = value * np.sqrt(info.tiny) * np.exp2(rng.integers(-8, 2, shape).astype(dtype))
    radius = draw(st.sampled_from([0.0, 1e-6, 1e-3, 0.5]))
    error = np.abs(value) * dtype(radius) * rng.integers(0, 2, shape).astype(dtype)
    share = exactly(rng.choice([-1.0, -0.3, 0.0, 0.7, 1.0], shape))
    return Ball(value, error), exactly(value) + share * exactly(error)


def assert_holds(result: Ball, truth: np.ndarray) -> None:
    known = np.isfinite(result.error)
    distance = np.abs(truth - exactly(result.value))[known]
    assert (distance <= SLACK * exactly(result.error[known])).all(), (result, truth)


OPERATIONS: dict[str, tuple[Callable[..., Any], tuple[tuple[int, ...], ...]]] = {
    "+": (lambda a, b: a + b, ((2, 3), (2, 3))),
    "-": (lambda a, b: a - b, ((2, 3), (3,))),
    "*": (lambda a, b: a * b, ((2, 3), (2, 1))),
    "@": (lambda a, b: a @ b, ((2, 5), (5, 3))),
    "@ of a vector": (lambda a, b: a @ b, ((2, 5), (5,))),
    "@ of stacks": (lambda a, b: a @ b, ((2, 2, 3), (3, 2))),
    "sum": (lambda a: a.sum(axis=0), ((7, 2),)),
    "negative": (lambda a: -a, ((3,),)),
    "1 -": (lambda a: 1 - a, ((3,),)),
    "2 *": (lambda a: 2 * a, ((3,),)),
    "transposed": (lambda a: a.T @ a, ((4, 2),)),
}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", OPERATIONS)
@given(st.data())
@few
def test_ec_7_11_results_lie_within_their_bounds(name: str, dtype: Any, data: st.DataObject) -> None:
    operation, shapes = OPERATIONS[name]
    operands = [data.draw(balls(shape, dtype)) for shape in shapes]
    assert_holds(operation(*(ball for ball, _ in operands)), operation(*(truth for _, truth in operands)))


@pytest.mark.parametrize("dtype", DTYPES)
@given(st.data())
@few
def test_ec_7_11_squares_quotients_and_roots(dtype: Any, data: st.DataObject) -> None:
    (a, x), (b, y) = data.draw(balls((4,), dtype)), data.draw(balls((4,), dtype))
    assert_holds(a.squared(), x**2)
    divisible = y != 0
    with np.errstate(over="ignore", under="ignore"):
        quotient = a[divisible] / b[divisible]
        assert_holds(quotient, x[divisible] / y[divisible])
    unknown = b[divisible].least() == 0
    assert np.isinf(quotient.error[unknown & ~a[divisible].is_zero()]).all()
    root = Ball(np.abs(a.value), np.minimum(a.error, np.abs(a.value))).root()
    low, high = (exactly(np.maximum(root.value - root.error, 0)), exactly(root.value + root.error))
    x = np.abs(x)  # √x between low and high, which are within one rounding of the ends
    u = 1 - Fraction(*np.finfo(dtype).eps.as_integer_ratio())
    assert ((low * u) ** 2 <= x).all() and ((high / u) ** 2 * SLACK >= x).all()


@pytest.mark.parametrize("dtype", DTYPES)
def test_what_is_exactly_zero_stays_so(dtype: Any) -> None:
    zero, other = Ball.exact(np.zeros((2, 2), dtype)), Ball(np.ones((2, 2), dtype), np.ones((2, 2), dtype))
    with np.errstate(all="ignore"):
        unknown = Ball(np.zeros((2, 2), dtype), np.full((2, 2), np.inf, dtype))
        for result in (
            zero * other,
            zero * unknown,
            zero @ zero,
            zero.squared(),
            zero.sum(0),
            zero / other,
            zero.root(),
        ):
            assert result.is_zero().all()
        for kept in (zero + other, other - zero):
            assert (kept.error == other.error).all()
        assert np.isinf((unknown @ other).error).all() and np.isinf((other / unknown).error).all()
        overflow = other * np.full((2, 2), np.finfo(dtype).max) * np.full((2, 2), dtype(4))
    assert np.isinf(overflow.error).all() and np.isfinite(overflow.value).all()


@pytest.mark.parametrize("dtype", DTYPES)
def test_what_underflows_is_not_zero(dtype: Any) -> None:
    """Though its value is 0."""
    tiny = Ball.exact(np.full((1, 1), np.finfo(dtype).tiny))
    apart = Ball.exact(np.array([[np.finfo(dtype).tiny, 0], [0, 2]], dtype))  # beside what is large
    for result in (
        tiny * tiny,
        tiny @ tiny,
        (apart @ apart)[0, 0],
        tiny.squared(),
        Ball.exact(np.full(1, -1e5, dtype)).exp(),
    ):
        assert result.value.item() == 0 < result.error.item() <= 4 * np.finfo(dtype).smallest_subnormal


def test_n_roundings() -> None:
    """γ_n = n u / (1 − n u), which is above n u."""
    for dtype in DTYPES:
        u = np.finfo(dtype).eps / 2
        assert gamma(5, np.ones(1, dtype)) == 5 * u / (1 - 5 * u) > 5 * u


def test_exponentials_and_limits() -> None:
    mpmath = pytest.importorskip("mpmath", reason="the extra `exact` is not installed")
    rng = np.random.default_rng(0)
    for dtype in DTYPES:
        for x, e in zip(10 * rng.standard_normal(50).astype(dtype), rng.choice([0, 1e-9, 0.1, 3], 50)):
            ball = Ball(np.array([x]), np.array([dtype(e)])).exp()
            with mpmath.workdps(40):
                for end in (-1, 1):
                    number = mpmath.mpf(exactly(x).item().numerator) / exactly(x).item().denominator
                    truth = mpmath.exp(number + end * mpmath.mpf(float(dtype(e))))
                    value, error = (mpmath.mpf(str(part.item())) for part in (ball.value, ball.error))
                    assert abs(truth - value) <= error * mpmath.mpf(1.000001) + 1e-25 * truth
    p = Ball(np.array([0.3, 1.2, -0.5]), np.array([np.inf, 0.5, 9.0])).within(0, 1)
    assert p.value.tolist() == [0.3, 1, 0] and p.error.tolist() == [0.7, 0.5, 1]
    assert joined([p, p], axis=0).shape == (6,) and len(p) == 3


@pytest.mark.parametrize("dtype", [np.float64, np.longdouble])
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_ec_7_11_activations_and_slopes_lie_within_their_bounds(name: Any, dtype: Any) -> None:
    """Against 60 digits, near 0 and in the tails, with errors that are nothing, rounding, or large."""
    pytest.importorskip("mpmath", reason="the extra `exact` is not installed")
    from ecprune_np.oracle._exact_activations import ACTIVATIONS as EXACT
    from ecprune_np.oracle._exact_arithmetic import Intervals

    R, rng = Intervals(60), np.random.default_rng(1)
    z = np.concatenate([3 * rng.standard_normal(30), [0, 0, 0.5, -0.5, 30, -30, 8, -8, -26.5, 90, -90, 1e-9]])
    e = np.concatenate([rng.choice([0, 1e-18, 1e-9, 0.01, 2], 30), [0, 1e-12, 0.5, 0.5, 0, 0, 1e-5, 1e-5, 0, 1, 1, 0]])
    ball = Ball(z.astype(dtype), e.astype(dtype))
    with np.errstate(all="ignore"):
        results = _bounded.value(name, ball), _bounded.slope(name, ball)
    for n, (z_n, e_n) in enumerate(zip(ball.value, ball.error)):
        for share in (-1, -0.4, 0, 0.5, 1):
            point = R.number(z_n) + R.number(dtype(share)) * R.number(e_n)
            for part, result in zip(EXACT[name](R, point), results):
                distance = abs(part - R.number(result.value[n]))
                allowed = R.number(result.error[n]) * R.number(1.000001)
                assert distance.b <= allowed.b + R.number(1e-50).b, (name, z_n, e_n, share, distance, allowed)
    small = np.abs(ball.value) < 5
    for result in results:  # and not by much: with no error some roundings
        certain = small & (ball.error == 0)
        assert (result.error[certain] <= 100 * np.finfo(dtype).eps * (1 + np.abs(result.value[certain]))).all()


@pytest.mark.parametrize("name", sorted(_bounded.BENT))
def test_curvatures_are_those_of_the_slopes(name: Any) -> None:
    """σ'' by differences of σ', and the bounds of σ'' and σ''' within a ball."""
    z, h = np.linspace(-9, 9, 1801), 1e-5
    bent = _bounded.BENT[name](Ball(z, np.full_like(z, 0.01)))
    slope = _bounded.ACTIVATIONS[name].derivative
    np.testing.assert_allclose(bent.curvature, (slope(z + h) - slope(z - h)) / (2 * h), atol=1e-8)
    for shift in (-0.01, 0, 0.01):
        there = _bounded.BENT[name](Ball.exact(z + shift)).curvature
        assert (np.abs(there) <= bent.curvature_near + 1e-15).all()
        third = (slope(z + shift + h) - 2 * slope(z + shift) + slope(z + shift - h)) / h**2
        assert (np.abs(third) <= bent.third_near + 1e-5).all()
    assert (np.abs(slope(z)) <= bent.size * (1 + 1e-12)).all()
    assert np.abs(slope(z)).max() <= _bounded.LARGEST_SLOPE[name]
