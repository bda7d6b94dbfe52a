"""EC-1, EC-2: forward, pullback and loss gradients, each against an independent way."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from networks import Drawn, batch, make, networks
from taylor import observed_order

import ecprune_np as ec
from ecprune_np.oracle._common import evaluate_from
from ecprune_np.training import flatten, unflatten


@given(networks())
def test_forward_is_the_equation_sample_by_sample(d: Drawn) -> None:
    """EC-1.1, EC-1.2."""
    trace = ec.forward(d.mlp, d.x)
    for n, a in enumerate(d.x):
        for l in range(d.mlp.n_layers):
            z = np.array([sum(w * a) + b for w, b in zip(d.mlp.weights[l], d.mlp.biases[l])])
            np.testing.assert_allclose(trace.inputs[l][n], a, rtol=1e-12, atol=1e-13)
            np.testing.assert_allclose(trace.preactivations[l][n], z, rtol=1e-12, atol=1e-13)
            a = d.mlp.layer_activation(l).value(z)
        np.testing.assert_allclose(d.mlp(d.x)[n], a, rtol=1e-12, atol=1e-13)


@given(networks(), st.integers(1, 4))
def test_pullback_is_the_complex_step_of_each_cotangent(d: Drawn, n_cotangents: int) -> None:
    """EC-2.1, EC-2.2, EC-2.3: R cotangents at once, at every layer."""
    trace = ec.forward(d.mlp, d.x)
    c = np.random.default_rng(d.seed).standard_normal((n_cotangents, *trace.outputs.shape))
    for l, g in enumerate(ec.pullback(d.mlp, trace, c)):
        for i in range(g.shape[2]):
            z = trace.preactivations[l].astype(complex)
            z[:, i] += 1e-200j
            expected = np.einsum("rnk,nk->rn", c, evaluate_from(d.mlp, l, z).imag / 1e-200)
            np.testing.assert_allclose(g[:, :, i], expected, rtol=1e-10, atol=1e-13)


MIXED = [("tanh", "gelu", "sin"), ("silu", "softplus", "sigmoid"), ("identity", "tanh", "identity")]


@pytest.mark.parametrize("output_activation", ["identity", "sigmoid"])
@pytest.mark.parametrize("activation", MIXED, ids="-".join)
def test_pullback_through_mixed_activations_has_a_remainder_of_second_order(
    activation: tuple[str, ...], output_activation: str
) -> None:
    """EC-2.1, EC-2.2: each layer's own σ', at every layer."""
    d = make([3, 5, 4, 5, 3], activation, output_activation, seed=6)
    trace, rng = ec.forward(d.mlp, d.x), np.random.default_rng(7)
    c = rng.standard_normal((2, *trace.outputs.shape))
    for l, g in enumerate(ec.pullback(d.mlp, trace, c)):
        direction = rng.standard_normal(trace.preactivations[l].shape)

        def along(step: float, l: int = l, direction: np.ndarray = direction) -> np.ndarray:
            outputs = evaluate_from(d.mlp, l, trace.preactivations[l] + step * direction)
            return np.einsum("rnk,nk->r", c, outputs)

        order = observed_order(along, np.einsum("rni,ni->r", g, direction))
        affine = output_activation == "identity" and all(
            d.mlp.layer_activation(m).name == "identity" for m in range(l, d.mlp.n_layers)
        )
        assert order == np.inf if affine else 1.9 < order < 2.2, (l, order)


@given(networks(max_layers=3))
def test_one_activation_per_layer_is_that_of_each_layer(d: Drawn) -> None:
    """EC-1.2: layer by layer, one network of a single layer after the other."""
    a = d.x
    for l in range(d.mlp.n_layers):
        layer = ec.MLP([d.mlp.weights[l]], [d.mlp.biases[l]], output_activation=d.mlp.layer_activation(l).name)
        a = layer(a)
    assert (a == d.mlp(d.x)).all()


def test_names_that_are_all_the_same_are_one() -> None:
    weights, biases = [np.ones((2, 2))] * 3, [np.zeros(2)] * 3
    assert ec.MLP(weights, biases, ["sin", "sin"]).activation == "sin"
    mixed = ec.MLP(weights, biases, ["sin", "tanh"], "relu")
    assert mixed.activation == ("sin", "tanh") and repr(mixed) == "MLP(2-2-2-2, ('sin', 'tanh'), 'relu', float64)"
    assert [mixed.layer_activation(l).name for l in range(3)] == ["sin", "tanh", "relu"]
    assert mixed.replace(weights, biases).activation == mixed.astype(np.float32).activation == mixed.activation


@given(networks(logits=True), st.sampled_from(["mse", "cross_entropy"]))
def test_loss_gradient_has_a_taylor_remainder_of_second_order(d: Drawn, loss: str) -> None:
    """EC-2.4, EC-2.5, EC-2.6."""
    mlp = d.mlp.replace(d.mlp.weights, d.mlp.biases)
    rng = np.random.default_rng(d.seed)
    y = d.labels if loss == "cross_entropy" else rng.standard_normal((len(d.x), mlp.sizes[-1]))
    start = flatten(mlp.weights, mlp.biases)
    direction = rng.standard_normal(start.size)
    direction *= 1e-2 / np.abs(direction).max()
    value, gradient = ec.loss_gradient(mlp, d.x, y, loss)
    slope = flatten(gradient.weights, gradient.biases) @ direction
    h = 1e-4

    def along(step: float) -> float:
        return ec.mean_loss(unflatten(mlp, start + step * direction), d.x, y, loss)

    assert value == pytest.approx(along(0), rel=1e-14)
    central = (8 * (along(h) - along(-h)) - (along(2 * h) - along(-2 * h))) / (12 * h)
    assert central == pytest.approx(slope, rel=1e-6, abs=1e-9 * (1 + abs(value)))


@pytest.mark.parametrize("loss", ["mse", "cross_entropy"])
@pytest.mark.parametrize("activation", ["tanh", "gelu", "silu", "sin", "softplus", "sigmoid"])
def test_loss_gradient_order_is_two(activation: str, loss: str) -> None:
    """EC-2.6: the observed order, so that a wrong derivative cannot hide in a tolerance."""
    d = make([3, 5, 4, 3], activation, seed=4)
    y = d.labels if loss == "cross_entropy" else np.sin(d.x)
    start = flatten(d.mlp.weights, d.mlp.biases)
    direction = np.random.default_rng(1).standard_normal(start.size)
    _, gradient = ec.loss_gradient(d.mlp, d.x, y, loss)
    slope = flatten(gradient.weights, gradient.biases) @ direction
    order = observed_order(
        lambda h: np.array(ec.mean_loss(unflatten(d.mlp, start + h * direction), d.x, y, loss)), np.array(slope)
    )
    assert 1.9 < order < 2.2, order


def test_cross_entropy_takes_probabilities_too() -> None:
    d = make([3, 4, 3])
    one_hot = np.eye(3)[d.labels]
    assert ec.mean_loss(d.mlp, d.x, d.labels, "cross_entropy") == ec.mean_loss(d.mlp, d.x, one_hot, "cross_entropy")


def test_confident_logits_have_an_exact_gradient() -> None:
    """EC-2.5: p − y is 0 in floating point for a logit 50 ahead; the sum of the others is e⁻⁵⁰."""
    mlp = ec.MLP([np.eye(2)], [np.zeros(2)], output_activation="identity")
    _, gradient = ec.loss_gradient(mlp, [[50, 0]], np.array([0]), "cross_entropy")
    np.testing.assert_allclose(gradient.biases[0], [-np.exp(-50), np.exp(-50)], rtol=1e-12)


def test_accuracy_is_the_fraction_of_right_labels() -> None:
    mlp = ec.MLP([np.eye(2)], [np.zeros(2)])
    assert ec.accuracy(mlp, ec.Batch([[1, 0], [0, 1], [3, 2], [0, 5]], y=[0, 1, 1, 1])) == 0.75


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.longdouble])
def test_dtype_is_kept_throughout(dtype: type) -> None:
    d = make([4, 5, 3], "gelu", dtype=dtype)
    trace = ec.forward(d.mlp, d.x)
    derivatives = ec.pullback(d.mlp, trace, np.ones((1, *trace.outputs.shape)))
    _, gradient = ec.loss_gradient(d.mlp, d.x, d.labels, "cross_entropy")
    moments = ec.collect_moments(d.mlp, batch(d), "fisher", batch_size=7)
    scores = ec.elimination_compensation(d.mlp, moments)
    pruned = ec.prune(d.mlp, scores, 0.5)
    trained = ec.train(d.mlp, d.x, d.labels, "cross_entropy", epochs=2)
    fitted = ec.train(d.mlp, d.x, d.labels, "cross_entropy", epochs=2, optimizer="lbfgs")
    arrays = [*trace.inputs, *trace.preactivations, trace.outputs, *derivatives, *gradient.weights, *gradient.biases]
    arrays += [*moments.sensitivity, *moments.mean, *moments.variance, *scores.importance, *scores.bias_shift]
    arrays += [*pruned.mlp.weights, *pruned.mlp.biases, *trained.weights, *trained.biases, *fitted.weights]
    arrays += [*ec.criteria.wanda(d.mlp, d.x).importance, *ec.criteria.random(d.mlp).importance]
    assert {a.dtype for a in arrays} == {np.dtype(dtype)}


def test_integers_become_float64() -> None:
    mlp = ec.MLP([[[1, 2]]], [[3]])
    assert mlp.dtype == np.float64
    assert mlp([[1, 1]])[0, 0] == 6


def test_initialize_is_reproducible_and_scaled() -> None:
    first, again = (ec.MLP.initialize([200, 100, 5], "relu", seed=3) for _ in range(2))
    assert all((a == b).all() for a, b in zip(first.weights, again.weights))
    assert first.sizes == (200, 100, 5) and first.n_weights == 20500 and first.n_layers == 2
    assert first.weights[0].std() == pytest.approx(np.sqrt(2 / 200), rel=0.02)
    assert ec.MLP.initialize([200, 100], "tanh").weights[0].std() == pytest.approx(np.sqrt(1 / 200), rel=0.02)
    assert "200-100-5" in repr(first)


def test_initialize_scales_each_layer_for_its_own_activation() -> None:
    mlp = ec.MLP.initialize([300, 200, 100, 50], ["relu", "tanh"], "sigmoid", seed=1)
    assert (mlp.activation, mlp.output_activation) == (("relu", "tanh"), "sigmoid")
    for w, variance in zip(mlp.weights, (2 / 300, 1 / 200, 1 / 100)):
        assert w.std() == pytest.approx(np.sqrt(variance), rel=0.02)
    same = ec.MLP.initialize([300, 200, 100], ["relu"], seed=1)
    assert same.activation == "relu" and same.weights[0].std() == pytest.approx(np.sqrt(2 / 300), rel=0.02)


def test_a_network_cannot_be_written_to_nor_follow_its_arguments() -> None:
    w = np.ones((1, 2))
    mlp = ec.MLP([w], [np.zeros(1)])
    w[0, 0] = 5
    assert mlp.weights[0][0, 0] == 1
    with pytest.raises(ValueError, match="read-only"):
        mlp.weights[0][0, 0] = 5
    with pytest.raises(AttributeError):
        mlp.activation = "relu"  # type: ignore[misc]
