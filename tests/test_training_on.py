"""Page 14: what pruning and its shift do to the loss when training goes on, each equation from the page."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import networks
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from networks import ACTIVATIONS
from numpy.testing import assert_allclose

import ecprune_np as ec
from ecprune_np.losses import LOSSES, softmax
from ecprune_np.training import flatten, unflatten

SMOOTH = ["gelu", "identity", "sigmoid", "silu", "sin", "softplus", "tanh"]
EPSILONS = 2.0 ** -np.arange(8, 13)
METRIC = {"mse": "output", "cross_entropy": "fisher"}  # whose matrix is the loss's Hessian in the outputs, over γ
ARCHITECTURE = [3, 4, 3, 3]
Small = tuple[ec.MLP, np.ndarray, np.ndarray, ec.Scores, tuple[int, int, int]]
drawn_networks = networks.networks(max_layers=3, max_width=3, max_samples=8, logits=True)


def gamma(loss: str, n_outputs: int) -> float:
    return 2 / n_outputs if loss == "mse" else 1.0


def fitted(outputs: np.ndarray, loss: str) -> np.ndarray:
    """The targets that leave no residuals."""
    return outputs if loss == "mse" else softmax(outputs)


def factor(outputs: np.ndarray, loss: str) -> np.ndarray:
    """The cotangents c_r of the metric, shape (R, N, K), as on page 4."""
    unit = np.broadcast_to(np.eye(outputs.shape[1])[:, np.newaxis], (outputs.shape[1], *outputs.shape))
    if loss == "mse":
        return unit
    if outputs.shape[1] == 1:  # one logit: M = p (1 − p)
        return 1 / (2 * np.cosh(outputs / 2))[np.newaxis]
    p = softmax(outputs)
    return np.sqrt(p).T[:, :, np.newaxis] * (unit - p)


def gauss_newton(mlp: ec.MLP, x: np.ndarray, loss: str = "mse") -> np.ndarray:
    """H = E[Gᵀ M G] over all weights, layer by layer, then all biases."""
    trace = ec.forward(mlp, x)
    J = ec.pullback(mlp, trace, factor(trace.outputs, loss))
    weights = [(g[..., np.newaxis] * a[:, np.newaxis]).reshape(*g.shape[:2], -1) for g, a in zip(J, trace.inputs)]
    rows = np.concatenate([*weights, *J], axis=2)
    return np.einsum("rnp,rnq->pq", rows, rows) / len(x)


def weights_of(mlp: ec.MLP) -> Iterator[tuple[int, int, int, int, int]]:
    """Every weight (l, i, j), its place among all parameters, and that of its bias."""
    place, bias = 0, mlp.n_weights
    for l, w in enumerate(mlp.weights):
        for i, j in np.ndindex(w.shape):
            yield l, i, j, place, bias + i
            place += 1
        bias += len(w)


def random_direction(mlp: ec.MLP, seed: int) -> np.ndarray:
    n = mlp.n_weights + sum(len(b) for b in mlp.biases)
    return np.random.default_rng(seed).standard_normal(n) / np.sqrt(n)


def moved(mlp: ec.MLP, change: np.ndarray) -> ec.MLP:
    return unflatten(mlp, flatten(mlp.weights, mlp.biases) + change)


def gradient(mlp: ec.MLP, x: np.ndarray, y: np.ndarray, loss: str) -> np.ndarray:
    of = ec.loss_gradient(mlp, x, y, loss)[1]
    return flatten(of.weights, of.biases)


def slope(function: Callable[[float], np.ndarray], h: float = 1e-3) -> np.ndarray:
    """function'(0) by differences of fourth order."""
    return (8 * (function(h) - function(-h)) - (function(2 * h) - function(-2 * h))) / (12 * h)


def model(H: np.ndarray, c: float, changes: np.ndarray) -> np.ndarray:
    """(γ/2) Δθᵀ H Δθ of each row."""
    return c / 2 * np.einsum("tp,pq,tq->t", changes, H, changes)


def descended(H: np.ndarray, c: float, starts: np.ndarray, free: np.ndarray, step: float, t: float) -> np.ndarray:
    """Where t steps of descent in the free parameters of the model lead, in its eigenvectors."""
    held = np.delete(starts, free, axis=1) @ np.delete(H, free, axis=0)[:, free]
    least = -held @ np.linalg.pinv(H[np.ix_(free, free)], rcond=1e-12, hermitian=True)
    eigenvalues, vectors = np.linalg.eigh(c * H[np.ix_(free, free)])
    factors = np.clip(1 - step * eigenvalues, 0, 1) ** t
    changes = starts.copy()
    changes[:, free] = least + (starts[:, free] - least) @ vectors * factors @ vectors.T
    return changes


def rate(errors: list[float]) -> float:
    return float(np.polyfit(np.log(EPSILONS), np.log(np.array(errors, float)), 1)[0])


@pytest.mark.parametrize("loss", METRIC)
@pytest.mark.parametrize("activation", SMOOTH)
def test_the_hessian_is_gauss_newton_s_and_a_term_of_the_residuals(activation: str, loss: str) -> None:
    """EC-14.1: along a random direction; on targets without residuals the second term is gone."""
    d = networks.make(ARCHITECTURE, activation, n_samples=5, seed=1)
    direction = random_direction(d.mlp, 2)
    f = d.mlp(d.x)
    expected = gamma(loss, 3) * gauss_newton(d.mlp, d.x, loss) @ direction

    def along(y: np.ndarray) -> np.ndarray:
        return slope(lambda t: gradient(moved(d.mlp, t * direction), d.x, y, loss))

    assert_allclose(along(fitted(f, loss)), expected, atol=1e-9)
    y = d.targets("mse") if loss == "mse" else np.eye(3)[d.labels]
    residual = 2 / 3 * (f - y) if loss == "mse" else softmax(f) - y

    def of_outputs(t: float) -> np.ndarray:  # ∇ E[rᵀ f], r the residuals, held fixed
        mlp = moved(d.mlp, t * direction)
        trace = ec.forward(mlp, d.x)
        g = [g[0] for g in ec.pullback(mlp, trace, residual[np.newaxis])]
        return flatten([g.T @ a for g, a in zip(g, trace.inputs)], [g.sum(axis=0) for g in g]) / len(d.x)

    assert_allclose(along(y), expected + slope(of_outputs), atol=1e-9)


def test_labels_of_the_model_s_own_leave_gauss_newton_s_hessian() -> None:
    """EC-14.1: the mean over labels drawn with the network's probabilities, here of one sample."""
    d = networks.make(ARCHITECTURE, "tanh", n_samples=1, seed=4)
    direction = random_direction(d.mlp, 5)
    mean = sum(
        p * slope(lambda t, k=k: gradient(moved(d.mlp, t * direction), d.x, np.array([k]), "cross_entropy"))
        for k, p in enumerate(softmax(d.mlp(d.x))[0])
    )
    assert_allclose(mean, gauss_newton(d.mlp, d.x, "cross_entropy") @ direction, atol=1e-9)


def removed_small(activation: str, loss: str, l: int) -> Iterator[Small]:
    """A network with a weight of size ε, for each ε, its samples, targets without residuals, scores, and the weight.

    In longdouble, for the rise of a loss is a difference.
    """
    d = networks.make(ARCHITECTURE, activation, n_samples=5, seed=3, dtype=np.longdouble)
    i, j = np.unravel_index(np.abs(d.mlp.weights[l]).argmax(), d.mlp.weights[l].shape)
    for epsilon in EPSILONS:
        weights = [w.copy() for w in d.mlp.weights]
        weights[l][i, j] *= epsilon
        mlp = d.mlp.replace(weights, d.mlp.biases)
        yield mlp, d.x, fitted(mlp(d.x), loss), ec.elimination_compensation(mlp, d.x, METRIC[loss]), (l, i, j)


def without(mlp: ec.MLP, weight: tuple[int, int, int], shift: float) -> ec.MLP:
    l, i, j = weight
    weights, biases = [w.copy() for w in mlp.weights], [b.copy() for b in mlp.biases]
    weights[l][i, j] = 0
    biases[l][i] += shift
    return mlp.replace(weights, biases)


@pytest.mark.parametrize("share", [0, 1])
@pytest.mark.parametrize("loss", METRIC)
@pytest.mark.parametrize("activation", [name for name in ACTIVATIONS if name != "gelu"])
def test_without_residuals_the_loss_rises_by_half_the_parabola(activation: str, loss: str, share: float) -> None:
    """EC-14.2: up to third order in the size of the weight, without the shift and with it."""
    errors = []
    for mlp, x, y, scores, (l, i, j) in removed_small(activation, loss, 1):
        optimum, importance = scores.bias_shift[l][i, j], scores.importance[l][i, j]
        S = ec.collect_moments(mlp, x, METRIC[loss]).sensitivity[l][i]
        after, before = without(mlp, (l, i, j), share * optimum)(x), mlp(x)
        rise = np.mean(LOSSES[loss].value(after, y) - LOSSES[loss].value(before, y))
        model = gamma(loss, 3) / 2 * (S * (1 - share) ** 2 * optimum**2 + importance)
        errors.append(abs(rise - model) + 1e-300)
    if max(errors) > 1e-15:  # else all is rounding
        assert rate(errors) > 2.7, errors


@given(st.integers(0, 2**32 - 1))
def test_at_a_least_squares_fit_the_rise_is_exact_with_residuals(seed: int) -> None:
    """EC-14.2: an affine network has no curvature that residuals could weigh."""
    d = networks.make([3, 2], "identity", n_samples=8, seed=seed)
    y = d.targets("mse")
    design = np.hstack([d.x, np.ones((8, 1))])
    solution = np.linalg.lstsq(design, y, rcond=None)[0]
    mlp = d.mlp.replace([solution[:3].T], [solution[3]])
    scores = ec.elimination_compensation(mlp, d.x)
    lowest = ec.mean_loss(mlp, d.x, y)
    for i, j in np.ndindex(2, 3):
        rise = ec.mean_loss(without(mlp, (0, i, j), scores.bias_shift[0][i, j]), d.x, y) - lowest
        assert_allclose(rise, gamma("mse", 2) / 2 * scores.importance[0][i, j], rtol=1e-9, atol=1e-12 * (1 + lowest))


@pytest.mark.parametrize("loss", METRIC)
@given(drawn_networks)
def test_after_the_shift_the_model_does_not_pull_at_the_bias(loss: str, d: networks.Drawn) -> None:
    """EC-14.3: γ H Δθ at b_i and at w_ij; EC-14.4: what the gradient at zero shift says is to be won, is the gain."""
    scores, H = ec.elimination_compensation(d.mlp, d.x, METRIC[loss]), gauss_newton(d.mlp, d.x, loss)
    moments = ec.collect_moments(d.mlp, d.x, METRIC[loss])
    R, c = ec.criteria.obd(d.mlp, d.x, METRIC[loss]).importance, gamma(loss, d.mlp.sizes[-1])
    for l, i, j, q, b in weights_of(d.mlp):
        w, S, mu = d.mlp.weights[l][i, j], moments.sensitivity[l][i], moments.mean[l][i, j]
        change = np.zeros(len(H))
        change[q] = -w
        at_zero = c * H @ change
        change[b] = scores.bias_shift[l][i, j]
        shifted = c * H @ change
        scale = abs(w) * c * (np.sqrt(H[b, b] * H[q, q]) + H[q, q]) + 1e-290
        assert_allclose(at_zero[b], -c * w * S * mu, rtol=0, atol=1e-12 * scale)
        assert_allclose(shifted[b], 0, atol=1e-12 * scale)
        assert_allclose(shifted[q], -c * w * moments.variance[l][i, j], rtol=0, atol=1e-12 * scale)
        gain = c / 2 * (R[l][i, j] - scores.importance[l][i, j])
        assert_allclose(at_zero[b] ** 2, gain * 2 * c * S, rtol=0, atol=1e-11 * scale**2)


@pytest.mark.parametrize("loss", METRIC)
@pytest.mark.parametrize("layer", [0, 1, 2])
@pytest.mark.parametrize("activation", ["tanh", "sigmoid", "softplus", "silu"])
def test_the_true_bias_gradient_is_of_second_order_with_the_shift_and_of_first_without(
    activation: str, layer: int, loss: str
) -> None:
    """EC-14.3: by the observed rates, and the first-order coefficient itself."""
    with_shift, with_none, off = [], [], []
    for mlp, x, y, scores, (l, i, j) in removed_small(activation, loss, layer):
        moments = ec.collect_moments(mlp, x, METRIC[loss])
        at = [without(mlp, (l, i, j), shift) for shift in (scores.bias_shift[l][i, j], 0.0)]
        shifted, unshifted = (ec.loss_gradient(m, x, y, loss)[1].biases[l][i] for m in at)
        pull = -gamma(loss, 3) * mlp.weights[l][i, j] * moments.sensitivity[l][i] * moments.mean[l][i, j]
        with_shift.append(abs(shifted) + 1e-300)
        with_none.append(abs(unshifted))
        off.append(abs(unshifted - pull) + 1e-300)
    assert 0.9 < rate(with_none) < 1.1, with_none
    for errors in (with_shift, off):
        if max(errors) > 1e-15:
            assert rate(errors) > 1.8, errors


@given(drawn_networks)
def test_joint_shifts_leave_no_bias_gradient_of_the_model(d: networks.Drawn) -> None:
    """EC-14.3, EC-5.4: with several neurons it takes the shifts that are optimal together."""
    H = gauss_newton(d.mlp, d.x)
    rng = np.random.default_rng(d.seed)
    masks = [rng.random(w.shape) < 0.5 for w in d.mlp.weights]
    gone = [np.where(m, 0, -w) for w, m in zip(d.mlp.weights, masks)]
    change = flatten(gone, ec.joint_shifts(d.mlp, d.x, masks))
    pull, sizes = H @ change, np.sqrt(np.diag(H))
    n = d.mlp.n_weights
    assert (np.abs(pull[n:]) <= 1e-9 * sizes[n:].max() * (np.abs(flatten(gone, [])) @ sizes[:n])).all()


@given(drawn_networks, st.floats(0.05, 1.95))
def test_descent_on_the_bias_alone_wins_back_the_gain(d: networks.Drawn, step: float) -> None:
    """EC-14.4: t steps in the model from no shift, with η γ S_i = step."""
    scores, R = ec.elimination_compensation(d.mlp, d.x), ec.criteria.obd(d.mlp, d.x).importance
    S, H, c = ec.collect_moments(d.mlp, d.x).sensitivity, gauss_newton(d.mlp, d.x), gamma("mse", d.mlp.sizes[-1])
    l, i, j, q, b = max(weights_of(d.mlp), key=lambda at: R[at[0]][at[1], at[2]])
    change = np.zeros(len(H))
    change[q] = -d.mlp.weights[l][i, j]
    for t in range(4):
        left = scores.importance[l][i, j] + (1 - step) ** (2 * t) * (R[l][i, j] - scores.importance[l][i, j])
        assert_allclose(c / 2 * change @ H @ change, c / 2 * left, rtol=1e-9, atol=1e-12 * c * R[l][i, j])
        if S[l][i] > 0:
            change[b] -= step / (c * S[l][i]) * (c * H @ change)[b]


@pytest.mark.parametrize("loss", METRIC)
@pytest.mark.parametrize("seed", range(3))
def test_training_on_in_the_model_falls_to_the_surgeon_s_value_from_every_start(seed: int, loss: str) -> None:
    """EC-14.5: each step of descent, and 10^15 of them at once in the eigenvectors; from row, I and R alike."""
    d, metric = networks.make([2, 2, 2], "tanh", n_samples=30, seed=seed), METRIC[loss]
    H, c = gauss_newton(d.mlp, d.x, loss), gamma(loss, 2)
    row, EC, OBD, OBS = (
        scores.importance
        for scores in (
            ec.criteria.obc(d.mlp, d.x, metric),
            ec.elimination_compensation(d.mlp, d.x, metric),
            ec.criteria.obd(d.mlp, d.x, metric),
            ec.criteria.obs(d.mlp, d.x, metric),
        )
    )
    shifts = ec.elimination_compensation(d.mlp, d.x, metric).bias_shift
    for l, i, j, q, b in weights_of(d.mlp):
        free = np.delete(np.arange(len(H)), q)
        of_row = [p for k, m, _, p, _ in weights_of(d.mlp) if (k, m) == (l, i) and p != q] + [b]
        w, starts = d.mlp.weights[l][i, j], np.zeros((3, len(H)))
        starts[:, q] = -w
        starts[0, of_row] = w * np.linalg.lstsq(H[np.ix_(of_row, of_row)], H[of_row, q], rcond=1e-12)[0]
        starts[1, b] = shifts[l][i, j]
        first = [c / 2 * of[l][i, j] for of in (row, EC, OBD)]
        assert_allclose(model(H, c, starts), first, rtol=1e-8, atol=1e-12 * first[2])
        assert first == sorted(first)
        step, values = 1 / np.linalg.norm(c * H, 2), [model(H, c, starts)]
        change = starts.copy()
        for _ in range(10):
            change[:, free] -= step * (c * change @ H)[:, free]
            values.append(model(H, c, change))
        assert (np.diff(values, axis=0) <= 1e-15 * first[2]).all()
        assert_allclose(descended(H, c, starts, free, step, 10), change, atol=1e-9 * np.abs(starts).max())
        limit = model(H, c, descended(H, c, starts, free, step, 1e15))
        assert_allclose(limit, c / 2 * OBS[l][i, j], rtol=1e-6, atol=1e-10 * first[2])
    assert max(of.max() for of in OBS) > 1e-5 * max(of.max() for of in OBD)  # far above what is taken for 0


@given(st.integers(0, 2**32 - 1))
def test_a_smaller_subspace_has_no_lower_minimum_and_training_stays_above_it(seed: int) -> None:
    """EC-14.6: of an affine network, where the minima are least squares; nested masks of the first output."""
    d = networks.make([4, 2], "identity", n_samples=9, seed=seed)
    y, order = d.targets("mse"), np.random.default_rng(seed).permutation(4)

    def least(kept: np.ndarray, k: int) -> float:
        design = np.hstack([d.x[:, kept], np.ones((9, 1))])
        return float(np.mean((design @ np.linalg.lstsq(design, y[:, k], rcond=None)[0] - y[:, k]) ** 2))

    minima = [(least(order[n:], 0) + least(order, 1)) / 2 for n in range(5)]  # n weights gone
    assert (np.diff(minima) >= -1e-12).all(), minima
    mask = np.ones((2, 4), bool)
    mask[0, order[:2]] = False
    for epochs in (1, 3):
        trained = ec.train(d.mlp, d.x, y, optimizer="lbfgs", epochs=epochs, masks=[mask])
        assert (trained.weights[0][~mask] == 0).all()
        assert ec.mean_loss(trained, d.x, y) >= minima[2] - 1e-12


@given(st.integers(0, 2**32 - 1), st.sampled_from(ACTIVATIONS))
def test_a_small_dense_network_is_a_mask_of_a_large_one(seed: int, activation: str) -> None:
    """EC-14.7: as many weights kept, and the same outputs."""
    small = networks.make([3, 2, 4, 2], activation, seed=seed)
    large = networks.make([3, 5, 4, 2], activation, seed=seed + 1)
    weights = [np.zeros_like(w) for w in large.mlp.weights]
    biases = [b.copy() for b in large.mlp.biases]
    for w, b, ws, bs in zip(weights, biases, small.mlp.weights, small.mlp.biases):
        w[: ws.shape[0], : ws.shape[1]] = ws
        b[: len(bs)] = bs
    embedded = large.mlp.replace(weights, biases)
    assert sum(np.count_nonzero(w) for w in weights) == small.mlp.n_weights
    assert_allclose(embedded(small.x), small.mlp(small.x), rtol=1e-12, atol=1e-13)
