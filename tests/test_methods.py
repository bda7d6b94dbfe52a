"""Methods by name: each is what its name says, every ranking goes with every compensation, in bites or at once."""

from __future__ import annotations

from typing import Any, get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from networks import make

import ecprune_np as ec
from ecprune_np._types import MetricName
from ecprune_np.methods import COMPENSATIONS, RANKINGS, Data, Method, method, pruner

D = make([5, 6, 3], "tanh", n_samples=40, seed=4)
DATA = Data(ec.Batch(D.x, y=D.labels), "cross_entropy", 3)
SCORES = {
    "random": ec.criteria.random(D.mlp, 3),
    "magnitude": ec.criteria.magnitude(D.mlp),
    "gradient-magnitude": ec.criteria.gradient_magnitude(D.mlp, D.x, D.labels, "cross_entropy"),
    "wanda": ec.criteria.wanda(D.mlp, D.x),
    "obd": ec.criteria.obd(D.mlp, D.x),
    "obd-fisher": ec.criteria.obd(D.mlp, D.x, "fisher"),
    "ec": ec.elimination_compensation(D.mlp, D.x),
    "ec-fisher": ec.elimination_compensation(D.mlp, D.x, "fisher"),
    "ec-cross_entropy": ec.elimination_compensation(D.mlp, DATA.batch, "cross_entropy"),
    "nonlinear": ec.oracle.nonlinear(D.mlp, D.x),
}


def pruned(name: str, sparsity: float = 0.6, **options: Any) -> ec.Pruned:
    return pruner(name, D.mlp, DATA, **options)(sparsity)


def assert_same(a: ec.Pruned, b: ec.Pruned) -> None:
    for u, v in zip((*a.masks, *a.mlp.weights, *a.mlp.biases), (*b.masks, *b.mlp.weights, *b.mlp.biases)):
        np.testing.assert_array_equal(u, v)


@pytest.mark.parametrize("name", SCORES)
def test_a_ranking_is_pruned_by_at_once_with_the_shifts_that_it_has(name: str) -> None:
    assert_same(pruned(name), ec.prune(D.mlp, SCORES[name], 0.6))


def test_a_plus_says_what_answers() -> None:
    shifts = SCORES["ec"].bias_shift
    assert_same(pruned("ec+none"), ec.prune(D.mlp, SCORES["ec"], 0.6, compensation=None))
    assert_same(pruned("ec-unshifted"), pruned("ec+none"))
    for name in ("magnitude+shift", "magnitude+independent"):
        assert_same(pruned(name), ec.prune(D.mlp, ec.Scores(SCORES["magnitude"].importance, shifts), 0.6))
    shifts_in_metric = ec.Scores(SCORES["magnitude"].importance, SCORES["ec-fisher"].bias_shift)
    assert_same(pruned("magnitude-fisher+shift"), ec.prune(D.mlp, shifts_in_metric, 0.6))
    for name in ("guarded", "joint", "row", "refit"):
        scores = ec.Scores(SCORES["wanda"].importance, shifts)
        assert_same(pruned(f"wanda+{name}"), ec.prune(D.mlp, scores, 0.6, compensation=name, x=D.x))
        expected = ec.prune(D.mlp, SCORES["ec-fisher"], 0.6, compensation=name, x=D.x, metric="fisher")
        assert_same(pruned(f"ec-fisher+{name}"), expected)


def test_the_surgeons_update_weights_for_what_they_remove() -> None:
    for name, update in (("obc", ec.obc_update), ("obs", ec.obs_update)):
        scores = getattr(ec.criteria, name)(D.mlp, D.x)
        bare = ec.prune(D.mlp, scores, 0.6)
        assert_same(pruned(f"{name}+none"), bare)
        assert_same(pruned(name), update(D.mlp, D.x, bare.masks))
        in_bites = ec.Pruned.from_zeros(D.mlp)
        for sparsity in ec.sparsity_schedule(0.6, 3):
            masks = ec.prune(
                in_bites.mlp, getattr(ec.criteria, name)(in_bites.mlp, D.x), sparsity, masks=in_bites.masks
            ).masks
            in_bites = update(in_bites.mlp, D.x, masks)
        assert_same(pruned(f"{name}-iterative", steps=3), in_bites)


def test_a_surgeon_calls_back_and_lets_train_as_others_do() -> None:
    seen: list[tuple[int, ec.Pruned]] = []
    trained = pruner("obc-iterative", D.mlp, DATA, steps=2)(
        0.5,
        then=lambda p: ec.train(p, D.x, D.labels, "cross_entropy", optimizer="lbfgs", epochs=2),
        callback=lambda step, p: seen.append((step, p)),
    )
    assert [step for step, _ in seen] == [1, 2] and seen[1][1] is trained
    assert ec.mean_loss(trained.mlp, D.x, D.labels, "cross_entropy") < ec.mean_loss(
        pruned("obc-iterative", 0.5, steps=2).mlp, D.x, D.labels, "cross_entropy"
    )


def test_ec_in_bites_is_prune_iteratively() -> None:
    for name, options in [
        ("ec-iterative", {}),
        ("ec-fisher-iterative", {"metric": "fisher"}),
        ("ec-fisher-iterative+row", {"metric": "fisher", "compensation": "row"}),
        ("ec-iterative+none", {"compensation": None}),
    ]:
        for scope in ("global", "layer"):
            expected = ec.prune_iteratively(D.mlp, D.x, 0.6, steps=4, scope=scope, **options)
            assert_same(pruned(name, steps=4, scope=scope), expected)


@pytest.mark.parametrize("compensation", COMPENSATIONS)
@pytest.mark.parametrize("ranking", RANKINGS)
def test_every_ranking_goes_with_every_compensation_in_bites(ranking: str, compensation: str) -> None:
    seen: list[ec.Pruned] = []
    small = pruner(f"{ranking}-iterative+{compensation}", D.mlp, DATA, steps=2)(
        0.5, callback=lambda _, p: seen.append(p)
    )
    assert len(seen) == 2 and seen[-1] is small
    assert sum(int((~m).sum()) for m in small.masks) == round(0.5 * D.mlp.n_weights)
    moved = any((a != b)[m].any() for a, b, m in zip(small.mlp.weights, D.mlp.weights, small.masks))
    assert moved == (compensation == "row")
    shifted = any((a != b).any() for a, b in zip(small.mlp.biases, D.mlp.biases))
    assert shifted or compensation in ("none", "guarded")


def test_what_a_ranking_removes_does_not_depend_on_what_answers_at_once() -> None:
    for ranking in RANKINGS:
        masks = [pruned(f"{ranking}+{c}").masks for c in ("none", "independent", "row")]
        for other in masks[1:]:
            assert all((a == b).all() for a, b in zip(masks[0], other))


def test_repairs_aim_at_the_target() -> None:
    half = ec.prune(D.mlp, SCORES["ec"], 0.5)
    for name, options in (("ec-iterative+row", {}), ("wanda+row", {"criterion": ec.criteria.wanda})):
        steps = 3 if "iterative" in name else 1
        for target in (None, D.mlp):
            expected = ec.prune_iteratively(half, D.x, 0.7, steps=steps, compensation="row", target=target, **options)
            assert_same(pruner(name, half, DATA, steps=3, target=target)(0.7), expected)


METRICS = st.sampled_from([None, *get_args(MetricName)])
ANSWERS = st.sampled_from(list(COMPENSATIONS))


@given(st.sampled_from(list(RANKINGS)), METRICS, st.booleans(), st.none() | ANSWERS)
def test_a_name_says_all_of_a_method(ranking: str, metric: Any, iterative: bool, answer: str | None) -> None:
    compensation = RANKINGS[ranking].answer if answer is None else COMPENSATIONS[answer]
    written = Method(ranking, metric, iterative, compensation)
    if metric is not None and compensation is None and not RANKINGS[ranking].in_metric:
        with pytest.raises(ValueError, match=f"^method: '{written}' measures nothing in a metric"):
            method(str(written))
    else:
        assert method(str(written)) == written


@pytest.mark.parametrize(
    "name", ["", "best", "ec-", "-fisher", "ec+", "ec+rows", "ec-fisher-fisher", "ec-iterative-fisher", "EC", "ec "]
)
def test_what_is_no_method_is_answered_with_what_is(name: str) -> None:
    with pytest.raises(ValueError, match=r"^method: expected RANKING.* of random, .* got '") as error:
        method(name)
    assert str(error.value).endswith(f"got {name!r}")


def test_what_looks_at_targets_says_so() -> None:
    names = ["gradient-magnitude", "ec-mse", "obd-cross_entropy", "magnitude-mse+row"]
    assert [method(name).needs_targets for name in [*names, "ec-fisher", "magnitude"]] == [True] * 4 + [False] * 2
    with pytest.raises(ValueError, match=r"^gradient-magnitude: needs targets, and there are none"):
        pruner("gradient-magnitude", D.mlp, Data(ec.Batch(D.x), None, 0))
