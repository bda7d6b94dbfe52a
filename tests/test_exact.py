"""The court of last resort: what arithmetic without rounding is held to, and all that is held to it (EC-9.8)."""

from __future__ import annotations

import importlib.util
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from fractions import Fraction
from functools import cache
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from networks import ACTIVATIONS, METRICS, Drawn, make, networks
from profiles import draws

import ecprune_np as ec
from ecprune_np.error_analysis.comparison import digits, relative_error
from ecprune_np.oracle import _exact_activations, exact, exact_criterion, exact_gradient, exact_masks
from ecprune_np.oracle._exact_arithmetic import Intervals, Rationals, Undecided, decided, nearest
from ecprune_np.oracle._exact_distances import dependencies, squared_distances

mpmath_is_there = importlib.util.find_spec("mpmath") is not None
needs_mpmath = pytest.mark.skipif(not mpmath_is_there, reason="intervals are mpmath's (extra `exact`)")
has_longdouble = pytest.mark.skipif(
    np.finfo(np.longdouble).eps == np.finfo(float).eps, reason="longdouble is no wider than float64 here"
)
few = draws(40)
CASES = ec.conformance.cases()
RATIONAL = ["identity", "relu", "leaky_relu"]
SCORES = ["importance", "bias_shift"]
FIELDS = [*SCORES, "uncompensated", "sensitivity", "mean", "variance"]


def shift_scale(truth: Any) -> list[np.ndarray]:
    """|w| √(E[s a²]/S) (EC-7.9)."""
    pairs = [(R, np.broadcast_to(S[:, np.newaxis], R.shape)) for R, S in zip(truth.uncompensated, truth.sensitivity)]
    return [np.sqrt(np.divide(R, S, out=np.zeros_like(R), where=S > 0)) for R, S in pairs]


def worst(scores: Any, truth: Any) -> tuple[float, float]:
    """The largest errors of importances and shifts, on the scales of EC-7.9 as `exact` has them."""
    errors = []
    for name, scale in zip(SCORES, (truth.uncompensated, shift_scale(truth))):
        layers = zip(getattr(scores, name), getattr(truth, name), scale)
        errors.append(max(float(relative_error(*layer).max()) for layer in layers))
    return errors[0], errors[1]


def samples(d: Drawn, metric: Any) -> ec.Batch:
    """With weights and, for a loss, targets; of one logit these are probabilities."""
    y = d.targets(metric)
    if metric == "cross_entropy" and d.mlp.sizes[-1] == 1:
        y = np.random.default_rng(d.seed).random((len(d.x), 1)).astype(d.x.dtype)
    return ec.Batch(d.x, d.sample_weight.astype(d.x.dtype), y)


@st.composite
def problems(draw: Any, **arguments: Any) -> tuple[Drawn, str]:
    """A network and a metric that takes its outputs."""
    metric = draw(st.sampled_from(METRICS))
    return draw(networks(logits=metric in ("softmax", "fisher", "cross_entropy"), **arguments)), metric


def same(one: Any, other: Any, names: list[str] = FIELDS) -> bool:
    return all(
        a.dtype == b.dtype and (a == b).all()
        for name in names
        for a, b in zip(getattr(one, name), getattr(other, name))
    )


# --- what it is held to itself


def test_ec_9_8_by_hand() -> None:
    """A dead sample, one at the kink, and two that live; the numbers are those of EC-3.4 to EC-3.6 as fractions."""
    mlp = ec.MLP([[[2]], [[3]]], [[-2], [1]], "relu")
    x = ec.Batch([[0], [1], [2], [3]], sample_weight=[1, 1, 1, 2], y=[[1], [0], [5], [13]])
    expected: dict[str, list[list[Fraction | int]]] = {
        "output": [
            [Fraction(24, 5), Fraction(16, 3), Fraction(792, 5), Fraction(27, 5), Fraction(8, 3), Fraction(6, 5)],
            [Fraction(144, 5), 6, Fraction(324, 5), 1, 2, Fraction(16, 5)],
        ],
        "mse": [
            [0, 4, Fraction(2304, 5), Fraction(144, 5), 2, 0],
            [Fraction(576, 25), Fraction(24, 5), Fraction(576, 5), 4, Fraction(8, 5), Fraction(64, 25)],
        ],
    }
    for metric, layers in expected.items():
        found = exact(mlp, x, metric)
        for l, values in enumerate(layers):
            assert [getattr(found, name)[l].item() for name in FIELDS] == [float(v) for v in values], (metric, l)


@needs_mpmath
def test_ec_6_1_by_hand() -> None:
    """C = [[2, 1], [1, 1]] has the inverse [[1, −1], [−1, 2]]; of three equal columns each replaces the others."""
    x = [[0, 0], [2, 0], [2, 2], [4, 2]]
    mlp = ec.MLP([[[2, -1]]], [[0]])
    for name in ("obc", "obs"):
        assert exact_criterion(name, mlp, x).importance[0].tolist() == [[4, 0.5]]
        dead = ec.MLP([[[2, -1]], [[0]]], [[0], [1]], "relu")
        assert exact_criterion(name, dead, x).importance[0].tolist() == [[0, 0]]
    thirds = [[1 / 3, 1 / 3, 1], [0.1, 0.1, 5], [0.7, 0.7, 2], [0.3, 0.3, 2]]
    replaced = exact_criterion("obc", ec.MLP([[[1, 2, 1]]], [[0]]), thirds).importance[0][0]
    assert replaced[0] == replaced[1] == 0 < replaced[2]


@given(st.integers(-(2**70), 2**70), st.integers(1, 2**70), st.integers(-1100, 960))
def test_rounding_is_pythons_own(numerator: int, denominator: int, exponent: int) -> None:
    x = Fraction(numerator, denominator) * Fraction(2) ** exponent
    assert nearest(x, np.float64) == x.numerator / x.denominator
    for dtype in (np.float32, np.longdouble):
        with np.errstate(over="ignore"):
            value = nearest(x, dtype)
            neighbours = [np.nextafter(value, dtype(end)) for end in (-np.inf, np.inf)]
        assert value.dtype == dtype
        if np.isfinite([value, *neighbours]).all():
            distance = abs(Rationals().number(value) - x)
            assert all(distance <= abs(Rationals().number(other) - x) for other in neighbours)


def test_rounding_goes_to_even_and_beyond_the_largest_to_inf() -> None:
    for dtype in (np.float32, np.float64, np.longdouble):
        info = np.finfo(dtype)
        half = Rationals().number(info.eps) / 2
        tiny = Rationals().number(info.smallest_subnormal)
        assert [nearest(x, dtype) for x in (1 + half, 1 + 3 * half)] == [1, 1 + 2 * info.eps]
        assert [nearest(x * tiny / 2, dtype) / info.smallest_subnormal for x in (1, -1, 3, 2)] == [0, 0, 2, 1]
        with np.errstate(over="ignore"):
            assert nearest(Rationals().number(info.max) * (1 + half), dtype) == np.inf


def test_an_irrational_root_rounds_as_it_should() -> None:
    for x in (Fraction(2), Fraction(10) ** 40 + 1, Fraction(1, 3) ** 50, Fraction(9, 16), Fraction(0)):
        root = nearest(Rationals().root(x), np.float64)
        low, high = (Fraction(float(np.nextafter(root, end))) for end in (0, np.inf))
        exactly = Fraction(float(root))
        assert ((low + exactly) / 2) ** 2 <= x <= ((exactly + high) / 2) ** 2


@needs_mpmath
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_intervals_contain_the_activation_and_its_slope(name: str) -> None:
    """EC-10.1 to EC-10.10 as mpmath has them, with the slope as a derivative by differences."""
    from mpmath import mp

    with mp.workdps(60):
        values: dict[str, Any] = {
            "identity": lambda z: z,
            "relu": lambda z: max(z, 0),
            "leaky_relu": lambda z: max(z, mp.mpf(0.01) * z),
            "elu": lambda z: z if z > 0 else mp.expm1(z),
            "sigmoid": lambda z: (1 + mp.tanh(z / 2)) / 2,
            "tanh": mp.tanh,
            "softplus": lambda z: mp.log1p(mp.exp(z)),
            "sin": mp.sin,
            "silu": lambda z: z / (1 + mp.exp(-z)),
            "gelu": lambda z: z * mp.ncdf(z),
        }
        R = Intervals(40)
        for z in (-12.5, -3.0, -0.75, 0.125, 1.0, 6.0):
            value, slope = _exact_activations.ACTIVATIONS[name](R, R.number(z))
            assert abs(mp.mpf(value.mid) - values[name](mp.mpf(z))) < 1e-38
            assert abs(mp.mpf(slope.mid) - mp.diff(values[name], mp.mpf(z))) < 1e-20
            assert value.delta < 1e-37 and slope.delta < 1e-37
        value, slope = _exact_activations.ACTIVATIONS[name](R, R.number(0))
        assert abs(mp.mpf(value.mid) - values[name](mp.mpf(0))) < 1e-38
        assert name not in ("relu", "leaky_relu") or slope == R.number(0 if name == "relu" else 0.01)


@needs_mpmath
@pytest.mark.parametrize("name", ACTIVATIONS)
@pytest.mark.parametrize("z", [-1e308, -1e7, -(2.0**20), -750.0, -1e-300, 1e-300, 750.0, 2.0**20, 1e7, 1e308])
def test_no_argument_is_too_large_or_too_small(name: str, z: float) -> None:
    """Among the normal numbers float64 has the same digits."""
    sigma = _exact_activations.ACTIVATIONS[name]
    found = decided(lambda R: R.rounded(np.array(sigma(R, R.number(z))), np.float64), 50)
    fast = ec.ACTIVATIONS[name]
    with np.errstate(over="ignore", under="ignore"):
        expected = [fast.value(np.array([z])).item(), fast.derivative(np.array([z])).item()]
    assert found.tolist() == pytest.approx(expected, rel=1e-14, abs=1e-320)


@needs_mpmath
@given(problems(max_layers=3, max_width=4, max_samples=8))
@few
def test_the_digits_that_it_begins_with_do_not_matter(problem: tuple[Drawn, str]) -> None:
    """EC-9.8: what is decided is decided."""
    d, metric = problem
    x = samples(d, metric)
    assert same(exact(d.mlp, x, metric, digits=10), exact(d.mlp, x, metric, digits=70))


@needs_mpmath
@given(problems(max_layers=3, max_width=4, max_samples=8), st.sampled_from([np.float32, np.float64]))
@few
def test_a_network_is_the_same_function_in_every_wider_dtype(problem: tuple[Drawn, str], dtype: Any) -> None:
    """Also leaky_relu's: what is rounded once more rounds as what is rounded once, but for what ends up half way."""
    d, metric = problem
    d = make(list(d.mlp.sizes), d.mlp.activation, d.mlp.output_activation, len(d.x), d.seed, dtype)
    x = samples(d, metric)
    y = x.y if x.y is None or x.y.dtype.kind == "i" else x.y.astype(np.longdouble)
    wide = ec.Batch(x.x.astype(np.longdouble), x.sample_weight.astype(np.longdouble), y)
    narrow, wider = exact(d.mlp, x, metric), exact(d.mlp.astype(np.longdouble), wide, metric)
    for name in FIELDS:
        for a, b in zip(getattr(narrow, name), getattr(wider, name)):
            assert a.dtype == dtype and b.dtype == np.longdouble
            half_way = np.abs(b - a) == np.abs(np.nextafter(a, b.astype(dtype)).astype(np.longdouble) - a) / 2
            assert ((a == b.astype(dtype)) | half_way).all(), (name, a, b)


def test_longdouble_parameters_and_samples_count_with_all_their_bits() -> None:
    third = np.longdouble(1) / 3
    found = exact(ec.MLP([[[third]]], [[0]]), np.array([[third], [0]], np.longdouble))
    q = Fraction(*third.as_integer_ratio())
    assert found.importance[0].item() == nearest(q**4 / 4, np.longdouble)
    assert found.bias_shift[0].item() == nearest(q**2 / 2, np.longdouble)


@needs_mpmath
@given(networks(RATIONAL, RATIONAL, max_layers=3, max_width=4, max_samples=8), st.sampled_from(["output", "mse"]))
@few
def test_rationals_and_intervals_agree(d: Drawn, metric: str) -> None:
    """Where all is rational, intervals are not asked: here they are."""
    x = samples(d, metric)
    rational = exact(d.mlp, x, metric)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("ecprune_np.oracle._exact.first_digits", lambda *_: 20)
        assert same(exact(d.mlp, x, metric), rational)


@needs_mpmath
def test_the_tail_of_erfc_is_enclosed() -> None:
    """0 < erfc x < e^(−x²), where mpmath has no erfc; before that its own digits."""
    R = Intervals(30)
    tail, other = R.erfc(R.number(2.0**20)), R.erfc(R.number(-(2.0**20)))
    assert tail.a == 0 < tail.b == R.exp(R.number(-(2.0**40))).b and other.b == 2 and other.a > 2 - R.number(1e-29)
    near = R.erfc(R.number(2.0**19))
    assert 0 < near.a < near.b < R.exp(R.number(-(2.0**38))).a


@needs_mpmath
def test_what_cancels_exactly_is_zero() -> None:
    """A constant hidden unit, equal logits, a kink behind a tanh: intervals contain 0 however narrow they are."""
    constant = ec.MLP([[[0.0], [1.0]], [[3.0, 1.0]]], [[0.3, 0.1], [0.0]], "sigmoid")
    found = exact(constant, [[1.0], [2.0], [4.0]])
    assert found.importance[1][0, 0] == found.variance[1][0, 0] == 0 < found.importance[1][0, 1]
    equal = make([3, 4, 3], seed=1)
    w = np.tile(equal.mlp.weights[1][:1], (3, 1))
    mlp = equal.mlp.replace([equal.mlp.weights[0], w], [equal.mlp.biases[0], np.full(3, 0.1)])
    for metric in ("softmax", "fisher"):
        found = exact(mlp, equal.x, metric)
        assert not any(values[0].any() for values in (found.sensitivity, found.mean, found.importance))
        assert found.sensitivity[1].all()
    kink = ec.MLP([[[1.0], [-1.0]], [[0.3, 0.3]], [[1.0]]], [[0, 0], [0], [0]], ["tanh", "relu"])
    assert exact(kink, [[0.7], [1.3]]).sensitivity[1].item() == 0


@needs_mpmath
def test_a_saturated_unit_keeps_its_digits() -> None:
    """tanh(100 ± 1) are 1 to 86 digits; their variance is that of 2 e^−2z."""
    mlp = ec.MLP([[[1.0]], [[1.0]]], [[100.0], [0.0]], "tanh")
    a = -2 * np.exp(-2 * np.array([99.0, 101.0]))
    assert exact(mlp, [[-1.0], [1.0]]).importance[1].item() == pytest.approx(a.var(), rel=1e-13)
    for sign in (1, -1):  # and a relu behind two of them is on the right side of its kink
        behind = ec.MLP([[[1.0], [1.0]], [[sign, -sign]], [[1.0]]], [[101.0, 100.0], [0.0], [0.0]], ["tanh", "relu"])
        assert exact(behind, [[0.0]]).sensitivity[1].item() == (sign > 0)


@needs_mpmath
def test_a_sensitivity_that_underflows_is_not_zero() -> None:
    """EC-4.2, EC-4.3: p = e^−1000 and e^−1001 weigh the samples, though 400 digits of 1 − p do not see them."""
    for metric, power in (("softmax", 2), ("fisher", 1), ("cross_entropy", 2)):
        x = ec.Batch([[1000.0], [1001.0]], y=[0, 0])
        found = exact(ec.MLP([[[1.0], [0.0]]], [[0.0, 0.0]]), x, metric)
        e = np.exp(-float(power))
        assert found.sensitivity[0].tolist() == [0, 0]
        assert found.mean[0].tolist() == [[pytest.approx((1000 + 1001 * e) / (1 + e), rel=1e-15)]] * 2


def test_a_callables_cotangents_count_as_exact() -> None:
    d = make([3, 4, 2], "leaky_relu", seed=2)
    seen = []

    def metric(outputs: np.ndarray) -> np.ndarray:
        seen.append(outputs)
        return np.stack([np.full_like(outputs, 0.1), outputs**2, np.eye(2)[[0] * len(outputs)]])

    found = exact(d.mlp, d.x, metric)
    assert seen[0].dtype == d.mlp.dtype and np.abs(seen[0] - d.mlp(d.x)).max() < 1e-15
    assert max(worst(ec.elimination_compensation(d.mlp, d.x, metric), found)) < 1e-14
    with pytest.raises(ValueError, match=r"metric\(outputs\): expected shape \(R, 20, 2\), got \(20, 2\)"):
        exact(d.mlp, d.x, lambda f: f)


@needs_mpmath
def test_precision_belongs_to_the_call() -> None:
    """Neither mpmath's global precision nor another thread is touched, and nothing that was given."""
    import mpmath

    before = mpmath.mp.prec, mpmath.iv.prec
    d = make([3, 4, 2], "gelu", seed=3)
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda n: exact(d.mlp, d.x, digits=n), (15, 40, 90, 200)))
    assert all(same(found[0], other) for other in found[1:])
    assert (mpmath.mp.prec, mpmath.iv.prec) == before
    assert all(not a.flags.writeable for name in FIELDS for a in getattr(found[0], name))
    assert found[0] == found[0] != found[1] and repr(found[0]) == "ExactScores(2 layers, 20 weights)"


def test_order_and_batches_do_not_matter() -> None:
    d = make([3, 4, 2], "relu", seed=4)
    x = samples(d, "mse")
    whole = exact(d.mlp, x, "mse")
    parts = [ec.Batch(x.x[rows], x.sample_weight[rows], x.y[rows]) for rows in (slice(12, 20), slice(12))]
    assert same(exact(d.mlp, iter(parts), "mse"), whole)
    assert same(exact(d.mlp, replace(x, sample_weight=4 * x.sample_weight), "mse"), whole)


def test_without_mpmath_rationals_remain(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mpmath", None)
    d = make([3, 4, 2], "relu", seed=5)
    exact(d.mlp, d.x)
    with pytest.raises(ImportError, match=r"needs mpmath: pip install 'ecprune_np\[exact\]'"):
        exact(d.mlp, d.x, "softmax")


def test_bad_input_is_named() -> None:
    d = make([3, 4, 2], "relu", seed=5)
    with pytest.raises(TypeError, match="mlp: expected MLP"):
        exact(None, d.x)
    with pytest.raises(ValueError, match=r"x: expected shape \(N, 3\)"):
        exact(d.mlp, d.x[:, :2])
    with pytest.raises(ValueError, match="metric: expected one of output, softmax"):
        exact(d.mlp, d.x, "loss")
    with pytest.raises(ValueError, match='y: metric "mse" needs targets'):
        exact(d.mlp, d.x, "mse")
    with pytest.raises(ValueError, match="digits: expected at least 1, got 0"):
        exact(d.mlp, d.x, digits=0)
    with pytest.raises(ValueError, match='metric "fisher": expected a network that ends in logits'):
        exact(replace(d.mlp, output_activation="sigmoid"), d.x, "fisher")
    with pytest.raises(ValueError, match="importance: overflow in layer 0"):
        exact(ec.MLP([[[1e200]]], [[0]]), [[0.0], [1.0]])
    with pytest.raises(ValueError, match="name: expected one of wanda, gradient_magnitude, obc, obs"):
        exact_criterion("obd", d.mlp, d.x)
    with pytest.raises(ValueError, match='metric: expected none, for it has no effect on criterion "wanda"'):
        exact_criterion("wanda", d.mlp, d.x, "output")
    for function in (exact_gradient, lambda *a: exact_criterion("gradient_magnitude", *a)):
        with pytest.raises(ValueError, match="metric: expected one of mse, cross_entropy"):
            function(d.mlp, ec.Batch(d.x, y=d.x[:, :2]), "output")
    with pytest.raises(ValueError, match="sparsity: expected a number from 0 to 1"):
        exact_masks(ec.criteria.magnitude(d.mlp), 2)
    with pytest.raises(ValueError, match="scope: expected one of"):
        exact_masks(ec.criteria.magnitude(d.mlp), 0.5, "row")
    with pytest.raises(TypeError, match="scores: expected Scores"):
        exact_masks(d.mlp, 0.5)


@needs_mpmath
def test_what_no_digits_decide_counts_as_zero_in_the_end() -> None:
    tried = []

    def compute(R: Any) -> Any:
        tried.append(R.digits)
        x = R.number(1) / R.number(3)
        zero = x * 3 - 1
        infinite = 1 / zero
        block = np.array([[zero]])
        return R.is_positive(zero), R.largest(block), R.rounded(np.array([zero, infinite, x]), np.longdouble).tolist()

    assert decided(compute, 7) == (False, None, [0, 0, np.longdouble(1) / 3])
    assert tried == [7, 14, 28, 56]
    with pytest.raises(Undecided, match="7 digits are too few"):
        compute(Intervals(7))
    with pytest.raises(Undecided):
        Intervals(7).largest(np.array([[Intervals(7).number(1) / 3 * 3 - 1]]))


@given(st.integers(0, 10**6), st.integers(1, 5), st.integers(1, 5), st.booleans())
@few
def test_squared_distances_are_those_of_least_squares(seed: int, n: int, m: int, singular: bool) -> None:
    """EC-6.1 with any matrix of small integers, also where columns depend on others and rows have no weight."""
    rng = np.random.default_rng(seed)
    A = rng.integers(-2, 3, (n, m)).astype(float)
    if singular:
        A = A @ rng.integers(-1, 2, (m, m))
    weight = rng.integers(0, 3, n).astype(float)
    R = Rationals()
    found = squared_distances(R, R.numbers(A), R.numbers(weight))
    root = np.sqrt(weight)[:, np.newaxis] * A
    for q in range(m):
        others = np.delete(root, q, axis=1)
        left = root[:, q] - others @ np.linalg.lstsq(others, root[:, q], rcond=1e-12)[0]
        assert float(found[q]) == pytest.approx(left @ left, abs=1e-12), (A, weight, q)
        assert (found[q] == 0) == (left @ left < 1e-12)
    for arithmetic in (R, *([Intervals(30, last=True)] if mpmath_is_there else [])):
        assert len(dependencies(arithmetic, arithmetic.numbers(A))[0]) == np.linalg.matrix_rank(A)


def test_a_row_without_weight_makes_no_column_independent() -> None:
    """EC-6.1: the first column is alone in its row, the others are equal."""
    R = Rationals()
    A = R.numbers(np.array([[1.0, 0, 0], [0, 1, 1]]))
    for weight, expected in (([2, 3], [2, 0, 0]), ([0, 3], [0, 0, 0]), ([0, 0], [0, 0, 0])):
        assert squared_distances(R, A, R.numbers(np.array(weight, float))).tolist() == expected


# --- all that is held to it: measured digits are printed with `pytest -s`


@cache
def truth(case: Any) -> Any:
    return exact(case.mlp, case.x)


@needs_mpmath
@pytest.mark.parametrize("case", CASES, ids=str)
def test_every_other_way_agrees_on_every_case(case: Any) -> None:
    """EC-7.9: the fast path, what the case expects, loops and the complex step; EC-3.6: R."""
    ways = {
        "fast path": ec.elimination_compensation(case.mlp, case.x),
        "reference": case.reference,
        "loops": ec.oracle.loops(case.mlp, case.x),
        "complex step": ec.oracle.complex_step(case.mlp, case.x),
    }
    errors = {name: max(worst(scores, truth(case))) for name, scores in ways.items()}
    print(f"{case}:", ", ".join(f"{name} {digits(error):.1f} digits" for name, error in errors.items()))
    assert max(errors.values()) < 1e-14, errors
    obd = ec.criteria.obd(case.mlp, case.x).importance
    for value, R in zip(obd, truth(case).uncompensated):
        assert float(relative_error(value, R, R).max()) < 1e-14


@needs_mpmath
@has_longdouble
@pytest.mark.parametrize("case", CASES, ids=str)
def test_no_certificate_claims_more_than_is_true_on_any_case(case: Any) -> None:
    """EC-7.13, EC-9.9: against the truth in longdouble, which tells 3 more digits than float64 has."""
    gap = check_certificate(case.mlp, ec.Batch(case.x), "output")
    print(f"{case}: {np.median(gap):.2f} digits too few in the median, {gap.max():.2f} at most")
    assert np.median(gap) < 1, gap


@needs_mpmath
@has_longdouble
@given(
    problems(max_layers=3, max_width=4, max_samples=10),
    st.booleans(),
    st.sampled_from([np.float32, np.float64, np.longdouble]),
)
@few
def test_no_certificate_claims_more_than_is_true_on_drawn_networks(
    problem: tuple[Drawn, Any], own: bool, dtype: Any
) -> None:
    """EC-7.11, EC-7.13, EC-9.9: of every metric, a callable and one logit too, with weights, in every dtype."""
    d, metric = problem
    d = make(list(d.mlp.sizes), d.mlp.activation, d.mlp.output_activation, len(d.x), d.seed, dtype)
    x = samples(d, metric)
    if own:
        c = np.random.default_rng(d.seed).integers(-3, 4, (2, len(d.x), d.mlp.sizes[-1]))
        metric = lambda f: c.astype(f.dtype)  # noqa: E731
    check_certificate(d.mlp, x, metric)


def check_certificate(mlp: ec.MLP, x: ec.Batch, metric: Any) -> np.ndarray:
    """How many digits fewer are certified than are true: never a negative number."""
    found = ec.oracle.certify(mlp, x, metric)
    scores = ec.elimination_compensation(mlp, x, metric, batch_size=len(x.x))
    wide = exact(mlp.astype(np.longdouble), x, metric)
    gaps = []
    for name in SCORES:
        layers = zip(getattr(scores, name), getattr(wide, name), getattr(found, f"{name}_bound"))
        for value, right, bound in layers:
            error = np.where(value == right, 0, relative_error(value, right, np.abs(right)))
            true = -np.log10(np.clip(error, 1e-17, 1))
            assert (bound <= true + 1e-6).all(), (name, bound, true)
            gaps.append((true - bound).ravel())
    return np.concatenate(gaps)


@needs_mpmath
@given(problems(max_layers=3, max_width=5, max_samples=12))
@few
def test_every_other_way_agrees_on_drawn_networks(problem: tuple[Drawn, str]) -> None:
    """EC-4.1 to EC-4.3, EC-4.7, EC-2.7: every metric, one logit too, with weights."""
    d, metric = problem
    x = samples(d, metric)
    right = exact(d.mlp, x, metric)
    for way, tolerance in (
        (ec.elimination_compensation, 1e-12),
        (ec.oracle.complex_step, 1e-11),  # which differentiates p
        (ec.oracle.loops, 1e-12),
    ):
        error = max(worst(way(d.mlp, x, metric), right))
        assert error < tolerance, (way, error)
    for value, R in zip(ec.criteria.obd(d.mlp, x, metric).importance, right.uncompensated):
        assert float(relative_error(value, R, R).max()) < 1e-12


@needs_mpmath
@pytest.mark.parametrize("metric", ["softmax", "fisher"])
def test_loops_do_not_see_what_all_logits_have_in_common(metric: str) -> None:
    """EC-3.2: the entries of J are 2^20 but for parts of about 1, which alone count."""
    d = make([2, 3, 3], seed=3)
    first, last = d.mlp.weights
    mlp = d.mlp.replace([first, np.round(2**20 + 16 * last) / 2**10], [d.mlp.biases[0], d.mlp.biases[1] * 0])
    loops, right = ec.oracle.loops(mlp, d.x, metric), exact(mlp, d.x, metric)
    error = float(relative_error(loops.importance[0], right.importance[0], right.uncompensated[0]).max())
    assert error < 1e-11, error


@needs_mpmath
@given(problems(max_layers=3, max_width=4, max_samples=8))
@few
def test_criteria_agree_on_drawn_networks(problem: tuple[Drawn, str]) -> None:
    """EC-6.1, EC-6.3, EC-6.7: on the scale R of what nothing compensates; EC-6.5: rounded once, they are in order."""
    d, metric = problem
    x = samples(d, metric)
    scores = exact(d.mlp, x, metric)
    family = {name: exact_criterion(name, d.mlp, x, metric).importance for name in ("obs", "obc")}
    for name, rights in family.items():
        values = getattr(ec.criteria, name)(d.mlp, x, metric).importance
        for value, right, scale in zip(values, rights, scores.uncompensated):
            assert float(relative_error(value, right, scale).max()) < 1e-10, name
    for layer in zip(*family.values(), scores.importance, scores.uncompensated):
        assert all((smaller <= larger).all() for smaller, larger in pairwise(layer))
    for value, right in zip(ec.criteria.wanda(d.mlp, x).importance, exact_criterion("wanda", d.mlp, x).importance):
        assert float(relative_error(value, right, right).max()) < 1e-13


@needs_mpmath
@given(problems(max_layers=3, max_width=4, max_samples=8))
@few
def test_gradients_agree_on_drawn_networks(problem: tuple[Drawn, str]) -> None:
    """EC-2.4 to EC-2.7, EC-6.8: on the scale of what is summed."""
    d, metric = problem
    loss = "cross_entropy" if metric == "cross_entropy" else "mse"
    x = replace(samples(d, loss), sample_weight=None)
    value, gradient = ec.loss_gradient(d.mlp, x.x, x.y, loss)
    right, weights, biases = exact_gradient(d.mlp, x, loss)
    magnitude = exact_criterion("gradient_magnitude", d.mlp, x, loss).importance
    scores = exact(d.mlp, x, loss)
    assert value == pytest.approx(right.item(), rel=1e-13) and right.dtype == d.mlp.dtype
    for l, w in enumerate(d.mlp.weights):
        root = np.sqrt(scores.variance[l] + scores.sensitivity[l][:, np.newaxis] * scores.mean[l] ** 2)
        assert (np.abs(gradient.weights[l] - weights[l]) <= 1e-13 * root).all()
        assert (np.abs(gradient.biases[l] - biases[l]) <= 1e-13 * np.sqrt(scores.sensitivity[l])).all()
        assert (np.abs(magnitude[l] - np.abs(w * weights[l])) <= 2**-52 * magnitude[l]).all()


@given(st.integers(0, 10**6), st.floats(0, 1), st.sampled_from(["global", "layer"]))
def test_masks_are_those_of_prune(seed: int, sparsity: float, scope: Any) -> None:
    """EC-5.1: with many ties."""
    rng = np.random.default_rng(seed)
    mlp = ec.MLP.initialize([3, 4, 2], seed=seed)
    scores = ec.Scores([rng.integers(0, 3, w.shape) for w in mlp.weights])
    masks = exact_masks(scores, sparsity, scope)
    for mask, expected in zip(masks, ec.prune(mlp, scores, sparsity, scope).masks):
        assert mask.dtype == bool and (mask == expected).all()
