"""Training: it learns, it keeps masks, it is reproducible."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from networks import Drawn, make, networks
from profiles import draws

import ecprune_np as ec
from ecprune_np.training import flatten, unflatten

OPTIONS = {"adam": {"batch_size": 16, "learning_rate": 3e-2}, "lbfgs": {}}


@pytest.mark.parametrize("optimizer", ["adam", "lbfgs"])
def test_training_fits_a_regression(optimizer: str) -> None:
    x = np.linspace(-1, 1, 64)[:, np.newaxis]
    y = np.sin(3 * x)
    mlp = ec.MLP.initialize([1, 16, 1], "tanh", seed=0)
    trained = ec.train(mlp, x, y, optimizer=optimizer, epochs=300, **OPTIONS[optimizer])
    assert ec.mean_loss(trained, x, y) < 1e-3 < ec.mean_loss(mlp, x, y)


@pytest.mark.parametrize("optimizer", ["adam", "lbfgs"])
def test_training_fits_a_classification_from_labels(optimizer: str) -> None:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((200, 2))
    y = (x[:, 0] * x[:, 1] > 0).astype(int)
    mlp = ec.MLP.initialize([2, 16, 2], "relu", seed=0)
    trained = ec.train(mlp, x, y, "cross_entropy", optimizer=optimizer, epochs=60, **OPTIONS[optimizer])
    assert ec.accuracy(trained, ec.Batch(x, y=y)) > 0.95


@draws(25)
@given(networks(max_layers=3))
def test_masks_are_kept_through_fine_tuning(d: Drawn) -> None:
    pruned = ec.prune(d.mlp, ec.criteria.random(d.mlp, d.seed), 0.5)
    y = np.random.default_rng(d.seed).standard_normal((len(d.x), d.mlp.sizes[-1]))
    for optimizer in ("adam", "lbfgs"):
        for start in (pruned.mlp, d.mlp):
            tuned = ec.train(start, d.x, y, optimizer=optimizer, epochs=2, masks=pruned.masks)
            assert all((w[~m] == 0).all() for w, m in zip(tuned.weights, pruned.masks))


def test_training_is_reproducible_and_seeded() -> None:
    d = make([3, 5, 2], n_samples=40)
    y = np.sin(d.x[:, :2])
    runs = [ec.train(d.mlp, d.x, y, epochs=3, batch_size=8, seed=s) for s in (1, 1, 2)]
    assert (runs[0].weights[0] == runs[1].weights[0]).all()
    assert (runs[0].weights[0] != runs[2].weights[0]).any()


@pytest.mark.parametrize("optimizer", ["adam", "lbfgs"])
def test_the_callback_sees_every_epoch_and_falling_losses(optimizer: str) -> None:
    d = make([3, 5, 2], n_samples=40)
    seen: list[tuple[int, float]] = []
    ec.train(d.mlp, d.x, np.sin(d.x[:, :2]), optimizer=optimizer, epochs=20, callback=lambda *e: seen.append(e))
    assert [epoch for epoch, _ in seen] == list(range(1, len(seen) + 1))
    assert seen[-1][1] < seen[0][1]
    if optimizer == "adam":
        assert len(seen) == 20


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.longdouble])
@pytest.mark.parametrize("optimizer", ["adam", "lbfgs"])
def test_no_epochs_change_no_bit(optimizer: str, dtype: type) -> None:
    """Nor by a way through double precision, which a longdouble does not survive."""
    d = make([3, 2], dtype=dtype)
    mlp = d.mlp.replace([w + w * np.finfo(dtype).eps for w in d.mlp.weights], d.mlp.biases)
    after = ec.train(mlp, d.x, d.x[:, :2], optimizer=optimizer, epochs=0)
    for before, now in zip((*mlp.weights, *mlp.biases), (*after.weights, *after.biases)):
        assert now.dtype == dtype and (now == before).all()


@pytest.mark.parametrize("optimizer", ["adam", "lbfgs"])
def test_lists_are_as_good_as_arrays(optimizer: str) -> None:
    d = make([3, 4, 2])
    y = d.x[:, :2]
    of_arrays = ec.train(d.mlp, d.x, y, optimizer=optimizer, epochs=3)
    of_lists = ec.train(d.mlp, d.x.tolist(), y.tolist(), optimizer=optimizer, epochs=3)
    assert all((a == b).all() for a, b in zip(of_arrays.weights, of_lists.weights))


@pytest.mark.parametrize("optimizer", ["adam", "lbfgs"])
def test_a_sample_that_is_not_finite_is_named_by_its_place_in_x(optimizer: str) -> None:
    """And not in a shuffled batch."""
    d = make([3, 2])
    x = d.x.copy()
    x[17, 1] = np.nan
    with pytest.raises(ValueError, match=r"^x: not finite at \[17, 1\]"):
        ec.train(d.mlp, x, d.x[:, :2], optimizer=optimizer, **({"batch_size": 2} if optimizer == "adam" else {}))


def test_one_step_of_adam_by_hand() -> None:
    """θ − η g / (|g| + ε): with a gradient as small as ε = 1e-8 the step is half the learning rate."""
    gradient = 1e-8
    mlp = ec.MLP([[[0.0]]], [[0.0]])  # f = 0, so that ∂ℓ/∂w = −2 x y and ∂ℓ/∂b = −2 y
    after = ec.train(mlp, [[1.0]], [[-gradient / 2]], epochs=1, learning_rate=0.25)
    for theta in (after.weights[0][0, 0], after.biases[0][0]):
        assert theta == pytest.approx(-0.125, rel=1e-12)


def test_moments_of_adam_by_hand() -> None:
    """Two steps of θ −= η m̂ / (√v̂ + ε) with β = (0.9, 0.999), the second at half the learning rate."""
    y, eta = 3.0, 0.1
    theta = m = v = 0.0
    for step, rate in ((1, eta), (2, eta / 2)):
        g = 2 * (2 * theta - y)  # weight and bias are the same, and so are their gradients
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g**2
        theta -= rate * (m / (1 - 0.9**step)) / (np.sqrt(v / (1 - 0.999**step)) + 1e-8)
    after = ec.train(ec.MLP([[[0.0]]], [[0.0]]), [[1.0]], [[y]], epochs=2, learning_rate=eta)
    assert after.weights[0][0, 0] == after.biases[0][0] == pytest.approx(theta, rel=1e-12)


def test_divergence_is_an_error_and_not_a_nan() -> None:
    d = make([3, 5, 2], "identity")
    with pytest.raises(ValueError, match="overflow"):
        ec.train(d.mlp, d.x, d.x[:, :2], epochs=50, learning_rate=1e200)


@given(networks())
def test_flatten_and_unflatten_are_inverse(d: Drawn) -> None:
    vector = flatten(d.mlp.weights, d.mlp.biases)
    again = unflatten(d.mlp, vector)
    assert all((a == b).all() for a, b in zip((*again.weights, *again.biases), (*d.mlp.weights, *d.mlp.biases)))
    assert vector.size == d.mlp.n_weights + sum(d.mlp.sizes[1:])
