"""The floor below the true change over all shifts, against scans; and what is certified of a search (EC-7.17)."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from networks import ACTIVATIONS, METRICS, Drawn, batch, make, networks
from profiles import draws
from scipy.optimize import minimize_scalar

import ecprune_np as ec
from ecprune_np.error_analysis import _removals
from ecprune_np.error_analysis._balls import Ball
from ecprune_np.error_analysis._floor import Quadratic
from ecprune_np.metrics import cotangents
from ecprune_np.oracle import certify_nonlinear

few = draws(8)


def true_changes(d: Drawn, metric: str, weight: tuple[int, int, int], shifts: np.ndarray) -> np.ndarray:
    """E‖f(w = 0, b + δ) − f‖²_M by evaluating the network, for each δ."""
    l, i, j = weight
    x = batch(d, metric)
    f = d.mlp(x.x)
    c = cotangents(metric, f, d.target_rows(metric))
    weights = [w.copy() for w in d.mlp.weights]
    weights[l][i, j] = 0
    changes = []
    for shift in shifts:
        biases = [b.copy() for b in d.mlp.biases]
        biases[l][i] += shift
        moved = np.einsum("rnk,nk->rn", c, d.mlp.replace(weights, biases)(x.x) - f)
        changes.append((moved**2).sum(axis=0) @ x.sample_weight / x.sample_weight.sum())
    return np.array(changes)


def scanned(d: Drawn, metric: str, weight: tuple[int, int, int], first: float) -> tuple[float, float]:
    """The least change of a scan near and far, refined, and its δ."""
    far = 10.0 ** np.linspace(-2, 4, 30)
    shifts = np.concatenate([[0, first], np.linspace(-12, 12, 193), far, -far])
    shifts.sort()
    values = true_changes(d, metric, weight, shifts)
    k = int(np.argmin(values))
    ends = shifts[max(k - 1, 0)], shifts[min(k + 1, len(shifts) - 1)]
    best = minimize_scalar(lambda s: true_changes(d, metric, weight, [s])[0], bounds=ends, options={"xatol": 1e-9})
    return min((values[k], shifts[k]), (best.fun, best.x))


def drawn_weight(data: Any, mlp: ec.MLP) -> tuple[int, int, int]:
    l = data.draw(st.integers(0, mlp.n_layers - 1))
    return l, *(data.draw(st.integers(0, n - 1)) for n in mlp.shapes[l])


def claimed(mlp: ec.MLP, weight: tuple[int, int, int], value: float, shift: float, scores: ec.Scores) -> ec.Scores:
    """Scores that claim one weight's value and shift; the others those of first order."""
    l, i, j = weight
    importance, shifts = ([a.copy() for a in arrays] for arrays in (scores.importance, scores.bias_shift))
    importance[l][i, j], shifts[l][i, j] = value, shift
    return ec.Scores(importance, shifts)


@pytest.mark.parametrize("activation", ACTIVATIONS)
@given(st.data())
@draws(2)
def test_ec_7_17_no_scan_falls_below_the_floor_and_the_floor_reaches_it(activation: Any, data: Any) -> None:
    sizes, seed = data.draw(st.sampled_from([[2, 3], [2, 2, 1], [1, 2, 2, 2]])), data.draw(st.integers(0, 999))
    output = data.draw(st.sampled_from(["identity", activation]))
    d, metric = make(sizes, activation, output, n_samples=6, seed=seed), data.draw(st.sampled_from(["output", "mse"]))
    check_floor(d, metric, drawn_weight(data, d.mlp))


@given(networks(max_layers=3, max_width=3, max_samples=6, logits=True), st.sampled_from(METRICS), st.data())
@few
def test_ec_7_17_the_floor_holds_for_every_metric(d: Drawn, metric: str, data: Any) -> None:
    check_floor(d, metric, drawn_weight(data, d.mlp))


def check_floor(d: Drawn, metric: str, weight: tuple[int, int, int]) -> None:
    x = batch(d, metric)
    scores = ec.elimination_compensation(d.mlp, x, metric)
    value, shift = scanned(d, metric, weight, float(scores.bias_shift[weight[0]][weight[1:]]))
    found = certify_nonlinear(claimed(d.mlp, weight, value, shift, scores), d.mlp, x, metric)
    l, *place = weight
    floor, reach, digits = (getattr(found, name)[l][tuple(place)] for name in ("floor", "reach", "importance_bound"))
    scale = ec.criteria.obd(d.mlp, x, metric).importance[l][tuple(place)]
    assert np.isfinite(floor) and floor >= 0
    if abs(shift) <= reach:
        assert floor <= value * (1 + 1e-9) + 1e-25 * scale, (floor, value, shift)
    if np.isinf(reach) and value > 1e-8 * scale:
        # a scan may stop short of a minimum that is far away, or narrow: then there is a lower point
        lower = true_changes(d, metric, weight, [shift])[0] > floor * (1 + 1e-6)
        assert not lower or digits < 6, (floor, value, digits)


def test_ec_7_16_by_hand_and_wrong_claims() -> None:
    """EC-9.5's example: the least is the outputs' variance, at the δ where the unit is their mean."""
    mlp, x = ec.MLP([[[2.0]], [[1.0]]], [[1.0], [0.0]], "tanh"), np.array([[-1.0], [0.0], [1.0]])
    f = mlp(x).ravel()
    best, delta = f.var(), np.arctanh(f.mean()) - 1
    for value, shift, change, minimum in (
        (best, delta, 14, 9.9),
        (best * (1 + 1e-4), delta, 4, 4),
        (best * (1 - 1e-4), delta, 4, 4),
        (np.mean((np.tanh(1.0) - f) ** 2), 0.0, 14, -np.log10(np.mean((np.tanh(1.0) - f) ** 2) / best - 1)),
    ):
        found = certify_nonlinear(ec.Scores([[[value]], [[0.0]]], [[[shift]], [[0.0]]]), mlp, x)
        assert found.floor[0].item() == pytest.approx(best, rel=2e-10) and found.floor[0].item() <= best
        assert (
            found.change_bound[0].item() == pytest.approx(change, abs=0.01)
            or found.change_bound[0].item() > change >= 14
        )
        assert found.importance_bound[0].item() == pytest.approx(minimum, abs=0.01) or minimum == 9.9
        assert found.importance_bound[0].item() > 9.9 or minimum < 9.9
        assert np.isinf(found.reach[0]).all()
    assert repr(found) == "NonlinearCertificate(2 layers, 0.0 digits at least)"


@pytest.mark.parametrize("activation", ["relu", "tanh", "sin", "gelu"])
def test_ec_7_17_what_the_oracle_finds_is_not_below_the_floor(activation: str) -> None:
    """EC-9.5: a search may end too high; what it calls the change at its shift is that to many digits."""
    d = make([3, 4, 2], activation, n_samples=8, seed=2)
    found = ec.oracle.nonlinear(d.mlp, d.x)
    certificate = certify_nonlinear(found, d.mlp, d.x)
    scales = ec.criteria.obd(d.mlp, d.x).importance
    for l, scale in enumerate(scales):
        assert (found.importance[l] >= certificate.floor[l] * (1 - 1e-9) - 1e-25 * scale).all()
        seen = found.importance[l] > 1e-9 * scale
        assert (certificate.change_bound[l][seen] > 9).all(), certificate.change_bound[l]
        assert np.median(certificate.importance_bound[l][seen]) > 9
        assert (found.importance[l] >= certificate.floor[l]).mean() > 0.9


def test_a_minimum_at_infinity_is_excluded_or_reached() -> None:
    """A shift far off, where the unit is at its limit: its change is right, and not the least."""
    mlp, x = ec.MLP([[[1.0]], [[1.0]]], [[-1.0], [0.0]], ["tanh"]), np.array([[0.0], [5.0], [-5.0]])
    a = np.tanh(x.ravel() - 1)
    limit = np.mean((-1 - a) ** 2)  # at δ = −∞
    least = a.var()  # and at a finite one
    found = certify_nonlinear(ec.Scores([[[limit]], [[0.0]]], [[[-60.0]], [[0.0]]]), mlp, x)
    assert found.change_bound[0].item() > 13
    assert found.floor[0].item() == pytest.approx(least, rel=1e-9)
    off = ec.MLP([[[3.0]], [[1.0]]], [[-9.0], [0.0]], "sigmoid")
    found = certify_nonlinear(ec.Scores([[[0.0]], [[0.0]]], [[[-800.0]], [[0.0]]]), off, [[0.0], [-4.0]])
    variance = off([[0.0], [-4.0]]).var()
    assert found.floor[0].item() == pytest.approx(variance, rel=1e-6) and np.isinf(found.reach[0]).all()


def test_what_changes_nothing_has_all_digits() -> None:
    """EC-7.16: a weight that is 0, a dead unit, and one that reaches no output."""
    mlp = ec.MLP([[[0.0, 1.0], [1.0, 1.0]], [[1.0, 0.0]]], [[0.3, -9.0], [0.1]], "relu")
    nothing = ec.Scores([np.zeros((2, 2)), np.zeros((1, 2))])
    found = certify_nonlinear(nothing, mlp, [[1.0, 0.5], [2.0, 1.0], [0.5, 0.2]])
    assert found.importance_bound[0][0, 0] == 17 and (found.importance_bound[0][1] == 17).all()
    assert found.importance_bound[1][0, 1] == 17 and found.importance_bound[0][0, 1] == 0


def test_a_sine_behind_a_unit_without_bounds_has_no_end() -> None:
    mlp = ec.MLP([[[1.0]], [[2.0]], [[1.0]]], [[0.3], [0.1], [0.0]], ["leaky_relu", "sin"])
    scores = ec.elimination_compensation(mlp, [[1.0], [2.0]])
    found = certify_nonlinear(scores, mlp, [[1.0], [2.0]])
    assert np.isfinite(found.reach[0]).all() and np.isinf(found.reach[1]).all()
    assert str(found) == repr(found)


@given(st.integers(0, 10**6), st.floats(0, 2), st.floats(0, 2), st.sampled_from([0.0, 1e-3, 0.3]))
@draws(100)
def test_ec_7_17_a_boxs_floor_is_the_least_that_its_line_allows(seed: int, e_0: float, e_1: float, half: float) -> None:
    """√(A + 2 B s + C s²) − E_0 − E_1 ∣s∣ on a box, and to infinity on either side, by trying many s."""
    rng = np.random.default_rng(seed)
    h, d = (np.array([1.0, 0.1])[:, np.newaxis, np.newaxis] * rng.standard_normal((2, 1, 5)) for _ in range(2))
    d = d * rng.choice([0, 1, 1, 3])
    p = Ball.exact(rng.dirichlet(np.ones(5)))
    errors = [np.full_like(h, e * rng.choice([0, 0.1, 1])) for e in (e_0, e_1)]
    line = Quadratic.of(Ball(h, errors[0]), Ball(d, errors[1]), p)

    def root(s: np.ndarray) -> np.ndarray:
        moved = np.sqrt(((h[..., 0, :] + d[..., 0, :] * s[:, np.newaxis, np.newaxis]) ** 2).sum(axis=1) @ p.value)
        return moved - line.E_0 - line.E_1 * np.abs(s)

    assert np.sqrt(line.at_most) >= np.sqrt(line.A) + line.E_0
    assert line.at_most <= (root(np.zeros(1)) + 2 * line.E_0) ** 2 * 2
    s = np.linspace(-half, half, 2001)
    least = max(root(s).min(), 0) ** 2
    within = line.floor_within(np.array([half])).item()
    assert within <= least * (1 + 1e-9) + 1e-15  # and no lower than with the whole error at once
    assert np.sqrt(within) >= np.sqrt(least) - line.E_1.item() * half - 1e-6
    B, C = (h * d)[:, 0].sum(axis=0) @ p.value, (d**2)[:, 0].sum(axis=0) @ p.value
    turn = -B / C if C else 0.0  # where A + 2 B s + C s² is least
    for sign in (-1, 1):
        far = sign * np.concatenate([[0, max(sign * turn, 0)], np.geomspace(1e-4, 1e6, 4000)])
        beyond, least = line.floor_beyond(sign).item(), max(root(far).min(), 0) ** 2
        assert beyond <= least * (1 + 1e-9) + 1e-15, (beyond, least)
        if line.E_1 == 0:
            assert beyond >= least * (1 - 1e-9) - 1e-9, (beyond, least)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_what_is_beyond_is_no_more_than_it_must_be(name: Any) -> None:
    """Where σ and σ' run to finite limits, their ranges are those between here and there."""
    sigma, z = ec.ACTIVATIONS[name], np.array([3.0, 5.0, 9.0])
    for sign in (-1, 1):
        here = sign * z
        with np.errstate(invalid="ignore"):
            found = _removals.beyond(name, Ball.exact(here), np.full_like(z, sign))
        ways = np.array([here + sign * far for far in (*np.linspace(0, 40, 400), 1e5)])
        for ball, values in zip(found, (sigma.value(ways), sigma.derivative(ways))):
            spread = np.ptp(values, axis=0)
            if name != "sin" and (np.abs(values[-1]) < 2).all():
                assert (ball.error <= spread / 2 * (1 + 1e-6) + 1e-12).all(), (sign, ball, spread)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_ec_7_16_differences_and_what_is_beyond_are_enclosed(name: Any) -> None:
    """σ(z + Δz) − σ(z), and σ and σ' on the way to ±∞, against values in longdouble."""
    sigma, rng = ec.ACTIVATIONS[name], np.random.default_rng(0)
    z = np.concatenate([4 * rng.standard_normal(80), np.zeros(4)])
    dz = np.concatenate([10.0 ** rng.uniform(-12, 1, 80) * rng.choice([-1, 1], 80), [0, 1, -1, 1e-9]])
    with np.errstate(all="ignore"):
        found = _removals.difference(name, Ball.exact(z), Ball.exact(dz))
        wide = z.astype(np.longdouble), dz.astype(np.longdouble)
        truth = sigma.value(wide[0] + wide[1]) - sigma.value(wide[0])
        assert (np.abs(found.value - truth) <= found.error * (1 + 1e-6) + 1e-17 * np.abs(sigma.value(wide[0]))).all()
        smooth = (np.abs(dz) < 1e-9) & (np.abs(z) > 1e-3)
        assert (found.error[smooth] <= 1e-6 * np.abs(dz[smooth])).all()  # relative to Δz, not to σ
        for toward in (-1, 0, 1, np.nan):
            values, slopes = _removals.beyond(name, Ball.exact(z), np.full_like(z, toward))
            for far in (0.0, 1e-3, 0.1, 1, 3, 20, 300):
                for sign in (-1, 1) if np.isnan(toward) else (toward,):
                    there = z + sign * far
                    for ball, part in ((values, sigma.value(there)), (slopes, sigma.derivative(there))):
                        assert (np.abs(ball.value - part) <= ball.error * (1 + 1e-9) + 1e-15).all(), (toward, far)


@pytest.mark.parametrize("dtype", [np.float32, np.longdouble])
def test_other_dtypes(dtype: Any) -> None:
    d = make([2, 3, 2], "tanh", n_samples=6, seed=1, dtype=dtype)
    found = certify_nonlinear(ec.oracle.nonlinear(d.mlp, d.x), d.mlp, d.x)
    assert all((digits > 6).all() for digits in found.importance_bound)
    assert found.floor[0].dtype == np.float64


def test_bad_input_is_named() -> None:
    d = make([3, 4, 2], seed=1)
    scores = ec.elimination_compensation(d.mlp, d.x)
    with pytest.raises(TypeError, match="scores: expected Scores"):
        certify_nonlinear(d.mlp, d.mlp, d.x)
    with pytest.raises(TypeError, match="mlp: expected MLP"):
        certify_nonlinear(scores, None, d.x)
    with pytest.raises(ValueError, match=r"scores\.importance: expected 1 layers, got 2"):
        certify_nonlinear(scores, make([3, 4], seed=1).mlp, d.x)
    with pytest.raises(ValueError, match="x: expected shape"):
        certify_nonlinear(scores, d.mlp, d.x[:, :2])
