"""Pruning and training in turn, and any criterion in bites."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from networks import Drawn, make, networks
from profiles import draws

import ecprune_np as ec
from ecprune_np.fine_tuning import outputs_as_targets

D = make([4, 8, 3], "tanh", n_samples=60, seed=2)


def same(a: ec.MLP, b: ec.MLP) -> bool:
    return all((u == v).all() for u, v in zip((*a.weights, *a.biases), (*b.weights, *b.biases)))


@draws(25)
@given(networks(max_layers=3, logits=True), st.floats(0, 1), st.sampled_from(["global", "layer"]))
def test_masks_are_kept_and_the_count_is_that_asked_for(d: Drawn, sparsity: float, scope: Any) -> None:
    """EC-5.7."""
    seen: list[ec.Pruned] = []
    pruned = ec.prune_and_train(
        d.mlp,
        ec.Batch(d.x, y=d.labels),
        sparsity,
        "cross_entropy",
        steps=2,
        epochs=2,
        scope=scope,
        callback=lambda step, p: seen.append(p),
    )
    if scope == "global":
        assert sum(int((~m).sum()) for m in pruned.masks) == round(sparsity * d.mlp.n_weights)
    assert all((e | ~l).all() for e, l in zip(seen[0].masks, seen[1].masks)) and seen[1] is pruned


def test_each_bite_is_pruning_and_then_training() -> None:
    x = ec.Batch(D.x, y=D.labels)
    pruned: ec.Pruned = ec.Pruned.from_zeros(D.mlp)
    for sparsity in ec.sparsity_schedule(0.6, 3):
        pruned = ec.prune_iteratively(pruned, D.x, sparsity, steps=1, metric="fisher", compensation=None)
        pruned = ec.train(pruned, D.x, D.labels, "cross_entropy", optimizer="lbfgs", epochs=4)
    at_once = ec.prune_and_train(D.mlp, x, 0.6, "cross_entropy", steps=3, epochs=4, metric="fisher")
    assert all((a == b).all() for a, b in zip(at_once.masks, pruned.masks))
    for a, b in zip((*at_once.mlp.weights, *at_once.mlp.biases), (*pruned.mlp.weights, *pruned.mlp.biases)):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("loss", ["mse", "cross_entropy"])
@pytest.mark.parametrize("outputs", [1, 3])
def test_without_targets_training_goes_towards_the_dense_outputs(loss: Any, outputs: int) -> None:
    """EC-2.7: of one logit towards the probability of class 1."""
    d = make([4, 8, outputs], "tanh", n_samples=60, seed=2)
    taught = ec.prune_and_train(d.mlp, d.x, 0.6, loss, steps=3, epochs=10)
    alone = ec.prune_iteratively(d.mlp, d.x, 0.6, steps=3)
    y = outputs_as_targets(d.mlp, d.x, loss)
    assert ec.mean_loss(d.mlp, d.x, y, loss) <= ec.mean_loss(taught.mlp, d.x, y, loss)  # the dense network is best
    assert ec.mean_loss(taught.mlp, d.x, y, loss) < ec.mean_loss(alone.mlp, d.x, y, loss)
    if loss == "cross_entropy" and outputs == 1:
        np.testing.assert_allclose(y, 1 / (1 + np.exp(-d.mlp(d.x))), rtol=1e-12)


def test_a_pruned_network_is_trained_towards_the_target_that_is_named() -> None:
    half = ec.prune_iteratively(D.mlp, D.x, 0.5, steps=2)
    other = make([4, 8, 3], "tanh", seed=5).mlp
    trained = [ec.prune_and_train(half, D.x, 0.6, steps=1, epochs=30, target=t) for t in (None, D.mlp, other)]
    for pruned, aim in zip(trained, (half.mlp, D.mlp, other)):
        changes = [ec.mean_loss(p.mlp, D.x, aim(D.x)) for p in trained]
        assert len(set(changes)) == 3 and min(changes) == ec.mean_loss(pruned.mlp, D.x, aim(D.x))
        assert all((a | ~b).all() for a, b in zip(half.masks, pruned.masks))


def test_inputs_that_no_weight_reads_are_left_out_of_training(monkeypatch: pytest.MonkeyPatch) -> None:
    """And nothing but rounding changes by it."""
    d = make([12, 6, 2], "tanh", n_samples=80, seed=3)
    y = np.sin(d.x[:, :2])
    masks = [np.broadcast_to(np.arange(12) % 3 == 0, (6, 12)), np.ones((2, 6), bool)]
    widths: list[int] = []
    original = ec.training.loss_gradient

    def watched(mlp: ec.MLP, *arguments: Any) -> Any:
        widths.append(mlp.sizes[0])
        return original(mlp, *arguments)

    monkeypatch.setattr(ec.training, "loss_gradient", watched)
    fast = ec.train(d.mlp, d.x, y, optimizer="lbfgs", epochs=5, masks=masks)
    assert set(widths) == {4}
    monkeypatch.setattr("ecprune_np.training._lbfgs_of_inputs_in_use", in_full)
    slow = ec.train(d.mlp, d.x, y, optimizer="lbfgs", epochs=5, masks=masks)
    assert set(widths) == {4, 12}
    for a, b in zip((*fast.weights, *fast.biases), (*slow.weights, *slow.biases)):
        np.testing.assert_allclose(a, b, rtol=1e-7, atol=1e-9)


def in_full(mlp: ec.MLP, x: Any, y: Any, loss: Any, masks: Any, epochs: int, callback: Any) -> ec.MLP:
    free = ec.training._trained_parameters(mlp, masks)
    return ec.training._lbfgs(mlp, x, y, loss, free, epochs, callback)


def test_a_network_without_weights_trains_its_biases() -> None:
    gone = ec.prune(D.mlp, ec.criteria.magnitude(D.mlp), 1.0)
    trained = ec.train(gone, D.x, D.x[:, :3], optimizer="lbfgs")
    np.testing.assert_allclose(trained.mlp(D.x[:1]), D.x[:, :3].mean(axis=0)[np.newaxis], atol=1e-6)


def test_any_criterion_can_rank_the_weights_in_bites() -> None:
    """The network that it is given is the one before the bite, and its shifts are those that are used."""
    seen: list[ec.MLP] = []

    def criterion(mlp: ec.MLP, x: Any) -> ec.Scores:
        seen.append(mlp)
        return ec.Scores(ec.criteria.wanda(mlp, x).importance, [np.ones(w.shape) for w in mlp.weights])

    pruned = ec.prune_iteratively(D.mlp, D.x, 0.6, steps=3, criterion=criterion)
    expected = ec.Pruned.from_zeros(D.mlp)
    for k, sparsity in enumerate(ec.sparsity_schedule(0.6, 3)):
        assert same(seen[k], expected.mlp)
        expected = ec.prune(expected.mlp, criterion(expected.mlp, D.x), sparsity, masks=expected.masks)
    assert same(pruned.mlp, expected.mlp)
    assert len(seen) == 6


def test_what_is_done_after_each_bite_goes_on() -> None:
    def doubled(pruned: ec.Pruned) -> ec.Pruned:
        return ec.Pruned(pruned.mlp.replace([2 * w for w in pruned.mlp.weights], pruned.mlp.biases), pruned.masks)

    pruned = ec.prune_iteratively(D.mlp, D.x, 0.5, steps=3, compensation=None, then=doubled)
    for w, mask, dense in zip(pruned.mlp.weights, pruned.masks, D.mlp.weights):
        assert (w == np.where(mask, 8 * dense, 0)).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"criterion": "wanda"}, "criterion: expected a function, got str"),
        ({"criterion": lambda mlp, x: mlp}, "scores: expected Scores, got MLP"),
        ({"criterion": ec.criteria.wanda, "batch_size": 3}, "batch_size: expected none, .* beside a criterion"),
        ({"criterion": ec.criteria.wanda, "metric": "fisher"}, "metric: expected none, .* beside a criterion"),
        ({"then": 1}, "then: expected a function, got int"),
        ({"then": lambda pruned: None}, r"then\(pruned\): expected Pruned, got NoneType"),
    ],
)
def test_bad_functions_are_named(options: dict[str, Any], message: str) -> None:
    with pytest.raises((TypeError, ValueError), match=f"^{message}"):
        ec.prune_iteratively(D.mlp, D.x, 0.5, **options)


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        ((None, D.x, 0.5), {}, "mlp: expected MLP, got NoneType"),
        ((D.mlp, iter([D.x]), 0.5), {}, "x: expected what can be read again"),
        ((D.mlp, ec.Batch(D.x, D.sample_weight), 0.5), {}, "sample_weight: expected none, for training counts"),
        ((D.mlp, ec.Batch(D.x, y=D.labels), 0.5), {}, r"y: expected shape \(60, 3\), got \(60,\)"),
        ((D.mlp, D.x, 0.5, "hinge"), {}, "loss: expected one of mse, cross_entropy, got 'hinge'"),
        ((D.mlp, D.x, 0.5), {"epochs": -1}, "epochs: expected at least 0, got -1"),
        ((D.mlp, D.x, 0.5), {"target": make([4, 2]).mlp}, "target: expected a network with sizes"),
        ((D.mlp, ec.Batch(D.x, y=D.x[:, :3]), 0.5), {"target": D.mlp}, "target: expected none, .* beside targets y"),
    ],
)
def test_bad_arguments_are_named(arguments: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises((TypeError, ValueError), match=f"^{message}"):
        ec.prune_and_train(*arguments, **options)


def test_weights_that_are_all_alike_are_no_weights() -> None:
    weighted = ec.prune_and_train(D.mlp, ec.Batch(D.x, np.full(60, 2.0)), 0.5, steps=2, epochs=2)
    assert weighted.sparsity == 0.5
