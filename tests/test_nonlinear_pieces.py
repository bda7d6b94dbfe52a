"""The nonlinear minimum of piecewise linear networks is exact: held to rationals (EC-9.7)."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise

import networks
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from profiles import draws
from test_nonlinear import every_weight, rounding_of, scanned

import ecprune_np as ec
from ecprune_np.oracle import nonlinear
from ecprune_np.oracle._common import problem
from ecprune_np.oracle._pieces import pieces
from ecprune_np.oracle._removal import removals

BELOW = {"relu": Fraction(0), "leaky_relu": Fraction(0.01), "identity": Fraction(1)}
STRAIGHT = sorted(BELOW)
few = draws(30)
straight = {"activations": STRAIGHT, "output_activations": STRAIGHT, "max_layers": 3, "max_width": 3}

Line = tuple[Fraction, Fraction]  # constant and slope in t


def exact_lines(mlp, l, i, z):
    """(low, high, outputs as lines in t) of every piece, with z_i + t in layer l; ends are None at ±∞."""
    parts = [(None, None, [(value, Fraction(k == i)) for k, value in enumerate(z)])]
    for m in range(l, mlp.n_layers):
        below, broken = BELOW[mlp.layer_activation(m).name], []
        for low, high, lines in parts:
            if m > l:
                w = [[Fraction(float(v)) for v in row] for row in mlp.weights[m]]
                b = [Fraction(float(v)) for v in mlp.biases[m]]
                lines = [
                    (sum((v * c for v, (c, _) in zip(row, lines)), bias), sum(v * s for v, (_, s) in zip(row, lines)))
                    for row, bias in zip(w, b)
                ]
            zeros = {-c / s for c, s in lines if s != 0} if below != 1 else set()
            inside = sorted(t for t in zeros if (low is None or low < t) and (high is None or t < high))
            for one, other in pairwise([low, *inside, high]):
                middle = exactly_inside(one, other)
                broken.append((one, other, [bent(line, middle, below) for line in lines]))
        parts = broken
    return parts


def bent(line: Line, middle: Fraction, below: Fraction) -> Line:
    factor = 1 if line[0] + line[1] * middle > 0 else below
    return factor * line[0], factor * line[1]


def exactly_inside(low, high):
    if low is None or high is None:
        return Fraction(0) if low is high else high - 1 if low is None else low + 1
    return (low + high) / 2


def exact_minimum(mlp, x, weight, index):
    """The least Φ_true over δ for the metric "output", a rational, and the smallest |δ| where it is."""
    l, i, j = index
    total = sum(Fraction(float(p)) for p in weight)
    samples, ends = [], set()
    for row, p in zip(x, weight):
        a = [Fraction(float(v)) for v in row]
        for m in range(l + 1):
            z = [
                sum((Fraction(float(v)) * q for v, q in zip(w, a)), Fraction(float(b)))
                for w, b in zip(mlp.weights[m], mlp.biases[m])
            ]
            inputs, a = a, [v if v > 0 else BELOW[mlp.layer_activation(m).name] * v for v in z]
        removed = Fraction(float(mlp.weights[l][i, j])) * inputs[j]
        parts = exact_lines(mlp, l, i, z)
        dense = next(
            [c for c, _ in lines] for low, high, lines in parts if (low or -1) <= 0 <= (1 if high is None else high)
        )
        samples.append((Fraction(float(p)) / total, removed, parts, dense))
        ends |= {low + removed for low, _, _ in parts if low is not None}
    best = None
    for low, high in pairwise([None, *sorted(ends), None]):
        v = s = c = Fraction(0)  # Φ = v + 2 s δ + c δ²
        for p, removed, parts, dense in samples:
            t = exactly_inside(low, high) - removed
            lines = next(q for one, other, q in parts if (one is None or one <= t) and (other is None or t <= other))
            for (constant, slope), f in zip(lines, dense):
                constant -= slope * removed + f
                v, s, c = v + p * constant**2, s + p * constant * slope, c + p * slope**2
        shift = -s / c if c else Fraction(0)
        shift = shift if low is None else max(shift, low)
        shift = shift if high is None else min(shift, high)
        found = v + 2 * s * shift + c * shift**2, abs(shift), shift
        best = found if best is None else min(best, found)
    return best[0], best[2]


@given(networks.networks(**straight, max_samples=5), st.sampled_from([0.5, 1, 4]))
@few
def test_the_minimum_is_that_of_exact_arithmetic(drawn, scale):
    """EC-9.5, EC-9.7: to a few roundings, and so is its place where the minimum is sharp."""
    mlp = drawn.mlp.replace([scale * w for w in drawn.mlp.weights], drawn.mlp.biases)
    found = nonlinear(mlp, ec.Batch(drawn.x, drawn.sample_weight))
    for index in every_weight(mlp):
        l, i, j = index
        exact, shift = exact_minimum(mlp, drawn.x, drawn.sample_weight, index)
        value, place = float(found.importance[l][i, j]), float(found.bias_shift[l][i, j])
        size = 1 + float(np.mean(np.sum(mlp(drawn.x) ** 2, axis=1)))
        rounding = 1e-13 * value + 1e-28 * size + 1e-14 * np.sqrt(value * size)
        assert abs(value - float(exact)) <= rounding, (index, value, float(exact))
        assert abs(place) <= abs(float(shift)) * (1 + 1e-6) + 1e-6, (index, place, float(shift))
        assert found.certified[l][i, j] and found.converged[l][i, j] and found.gap[l][i, j] == 0


@given(networks.networks(**{**straight, "max_width": 5, "max_layers": 4}), st.floats(-30, 30))
@few
def test_the_pieces_are_the_network(drawn, scale):
    """EC-9.7: at any t, hᵀh' and ‖h'‖² of the piece that holds it; and the pieces follow each other."""
    for l in range(drawn.mlp.n_layers):
        removal = removals(problem(drawn.mlp, drawn.x, "output"))(l, np.arange(drawn.mlp.sizes[l + 1]))
        for i in range(drawn.mlp.sizes[l + 1]):
            parts, N = pieces(removal, i), len(drawn.x)
            t = scale * np.random.default_rng(drawn.seed).standard_normal((1, N))
            h, slope = removal.changes_and_slopes(np.array([i]), t.copy())
            for n in range(N):
                own = np.flatnonzero(parts.n == n)
                assert parts.low[own[0]] == -np.inf and (np.diff(parts.low[own]) >= 0).all()
                here = own[np.searchsorted(parts.low[own], t[0, n], side="right") - 1]
                carried = parts.slope[here] + parts.square[here] * (t[0, n] - parts.anchor[here])
                size = 1 + np.sum(h[:, 0, n] ** 2) + np.sum(slope[:, 0, n] ** 2)
                assert abs(parts.square[here] - np.sum(slope[:, 0, n] ** 2)) <= 1e-9 * size
                assert abs(carried - h[:, 0, n] @ slope[:, 0, n]) <= 1e-9 * size


def test_breaks_far_away_do_not_cost_digits():
    """EC-9.7: a weight of 1e-9 puts a break at 1e9, where Φ_true is 1e18; near 0 all digits are left."""
    w = [[1.0], [1e-9], [-1e-9]]
    mlp = ec.MLP([[[1.0, 0.5]], w, [[1.0, 1.0, 1.0]]], [[0.3], [-0.2, 1.0, 1.0], [0.0]], ["leaky_relu", "relu"])
    x = np.random.default_rng(0).standard_normal((40, 2))
    found = nonlinear(mlp, x)
    for index in every_weight(mlp)[:2]:
        exact, shift = exact_minimum(mlp, x, np.ones(40), index)
        assert found.importance[0][index[1:]] == pytest.approx(float(exact), rel=1e-13)
        assert found.bias_shift[0][index[1:]] == pytest.approx(float(shift), rel=1e-8)
    assert found.bracket[0][0, 1] > 1e8


def test_a_minimum_far_below_its_start_has_its_digits():
    """EC-9.7: Φ_true falls from 0.1 at δ = 0 to about 1e-20, more than a sum from there keeps."""
    x = np.stack([100 + 1e-10 * np.random.default_rng(1).standard_normal(30), np.linspace(-1, 1, 30)], axis=1)
    mlp = ec.MLP([[[1.0, 0.7]], [[1.0], [-0.5]], [[1.0, 1.0]]], [[-100.0], [0.1, 0.2], [0.0]], ["leaky_relu", "relu"])
    found = nonlinear(mlp, x)
    exact, _ = exact_minimum(mlp, x, np.ones(30), (0, 0, 0))
    assert found.uncompensated[0][0, 0] > 0.05 and float(exact) < 1e-18
    assert found.importance[0][0, 0] == pytest.approx(float(exact), rel=1e-4)


@pytest.mark.parametrize("metric", [*networks.METRICS[1:], lambda f: np.stack([f, np.cos(f)])])
@pytest.mark.parametrize("memory", [1, 2**14, 2**22])
def test_every_metric_has_its_exact_minimum(metric, memory):
    """EC-9.7: below a scan of 1,000 values, however few pieces the memory holds."""
    drawn = networks.make([3, 4, 3], "leaky_relu", n_samples=6, seed=2)
    x = ec.Batch(drawn.x, drawn.sample_weight, drawn.targets(metric))
    found = nonlinear(drawn.mlp, x, metric, memory=memory)
    for l, i, j in every_weight(drawn.mlp):
        value = float(found.importance[l][i, j])
        scan = scanned(drawn, metric, drawn.sample_weight, (l, i, j), np.linspace(-6, 6, 1000))
        assert scan.min() >= value - rounding_of(drawn, value)
        here = scanned(drawn, metric, drawn.sample_weight, (l, i, j), found.bias_shift[l][i : i + 1, j])
        assert abs(here[0] - value) <= rounding_of(drawn, value)


def test_longdouble_is_exact_to_its_own_digits():
    drawn = networks.make([3, 4, 2], "relu", n_samples=10, seed=3)
    wide = nonlinear(drawn.mlp.astype(np.longdouble), drawn.x)
    narrow = nonlinear(drawn.mlp, drawn.x)
    assert wide.importance[0].dtype == np.longdouble
    for l in range(2):
        np.testing.assert_allclose(narrow.importance[l], wide.importance[l].astype(float), rtol=1e-13, atol=1e-28)
