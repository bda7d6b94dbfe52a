"""Standard errors of importances and shifts, and of removed sets, held to direct loops and to really other samples."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st
from networks import METRICS, Drawn, make, networks
from profiles import draws

import ecprune_np as ec
from ecprune_np.data import load_digits
from ecprune_np.error_analysis.jackknife import whole_and_without_each

D = make([3, 5, 4, 2], ["tanh", "relu"], n_samples=47)


def flat(arrays: Any) -> np.ndarray:
    return np.concatenate([np.ravel(a) for a in arrays])


def both(scores: Any) -> np.ndarray:
    """Importances and shifts, or their errors, one after the other."""
    return np.concatenate([flat(scores.importance), flat(scores.bias_shift)])


def scale(mlp: ec.MLP, x: Any, metric: Any = "output") -> np.ndarray:
    """What roundings are relative to (EC-7.9), as `both`."""
    m = ec.collect_moments(mlp, x, metric)
    size = [
        np.sqrt(np.divide(q, s[:, None], out=np.zeros_like(q), where=s[:, None] > 0))
        for q, s in zip(m.second_moment, m.sensitivity)
    ]
    shifts = [abs(w) * r for w, r in zip(mlp.weights, size)]
    return np.concatenate([flat(w * w * q for w, q in zip(mlp.weights, m.second_moment)), flat(shifts)])


def distance(a: ec.StandardErrors, b: ec.StandardErrors, size: np.ndarray) -> float:
    """How far two sets of standard errors are apart, relative to what they are the errors of."""
    return float(np.max(abs(both(a) - both(b)) / np.maximum(size, np.finfo(float).tiny)))


def by_definition(d: Drawn, metric: str, groups: int, weight: np.ndarray) -> np.ndarray:
    """EC-7.10 in words: the loops' scores without each group, from scratch, and the formula as it reads."""
    counted = np.flatnonzero(weight)
    y = d.targets(metric)
    left_out = []
    for group in range(groups):
        rows = [n for position, n in enumerate(counted) if position % groups != group]
        left_out.append(
            both(ec.oracle.loops(d.mlp, ec.Batch(d.x[rows], weight[rows], None if y is None else y[rows]), metric))
        )
    mean = sum(left_out) / groups
    return np.sqrt((groups - 1) / groups * sum((theta - mean) ** 2 for theta in left_out))


@draws(60)
@given(networks(logits=True, max_layers=3, max_width=4), st.sampled_from(METRICS), st.integers(2, 5), st.booleans())
def test_ec_7_10_is_a_loop_over_all_samples_but_the_groups(d: Drawn, metric: str, groups: int, zeros: bool) -> None:
    weight = d.sample_weight * (np.arange(len(d.x)) % 3 > 0) if zeros else d.sample_weight
    x = ec.Batch(d.x, weight, d.targets(metric))
    if np.count_nonzero(weight) < groups:
        with pytest.raises(ValueError, match=rf"expected (at least {groups} samples|a positive, finite sum)"):
            ec.standard_errors(d.mlp, x, metric, groups)
        return
    errors = ec.standard_errors(d.mlp, x, metric, groups)
    off = abs(both(errors) - by_definition(d, metric, groups, weight)) / np.maximum(scale(d.mlp, x, metric), 1e-300)
    assert off.max() < 1e-9, (off.argmax(), off.max())
    assert errors.n_samples == np.count_nonzero(weight) and len(errors.without) == groups
    np.testing.assert_allclose(
        both(errors.scores), both(ec.elimination_compensation(d.mlp, x, metric)), rtol=1e-9, atol=1e-12
    )


def test_the_standard_error_of_a_mean_is_the_textbooks() -> None:
    """EC-7.10: with s = 1 and a group a sample, that of δ* = w E[a] is |w| d/√N exactly."""
    x = np.random.default_rng(0).standard_normal((40, 3)) + 5
    errors = ec.standard_errors(ec.MLP([[[2.0, -1.0, 0.5]]], [[0.0]]), x, groups=40)
    np.testing.assert_allclose(errors.bias_shift[0][0], [2, 1, 0.5] * x.std(axis=0, ddof=1) / 40**0.5, rtol=1e-12)


@draws(25)
@given(st.integers(2, 12), st.integers(0, 2**32 - 1), st.integers(1, 50), st.integers(1, 50))
def test_any_batches_and_any_order_within_the_groups_are_the_same(
    groups: int, seed: int, length: int, size: int
) -> None:
    """A group takes every G-th sample of those with a weight, also across batches; weights and targets follow."""
    rng = np.random.default_rng(seed)
    weight = D.sample_weight * (rng.random(47) < 0.8)
    x, y, counted = D.x.copy(), D.labels.copy(), np.flatnonzero(weight)
    whole = ec.standard_errors(D.mlp, ec.Batch(x, weight, y), "cross_entropy", groups)
    for group in range(groups):
        rows = counted[group::groups]
        order = rng.permutation(rows)
        x[rows], y[rows], weight[rows] = x[order], y[order], weight[order]
    cut = [slice(k, k + length) for k in range(0, 47, length)]
    stream = (ec.Batch(x[rows], weight[rows], y[rows]) for rows in cut)
    streamed = ec.standard_errors(D.mlp, stream, "cross_entropy", groups, batch_size=size)
    sliced = ec.standard_errors(D.mlp, ec.Batch(x, weight, y), "cross_entropy", groups, batch_size=size)
    size_of = scale(D.mlp, ec.Batch(x, weight, y), "cross_entropy")
    assert max(distance(streamed, whole, size_of), distance(sliced, whole, size_of)) < 1e-10
    assert streamed.n_samples == len(counted)


@draws(25)
@given(st.integers(2, 5), st.integers(0, 2**32 - 1))
def test_a_whole_weight_is_as_many_samples_in_the_same_group(groups: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    weights = rng.integers(0, 4, 8)
    weights[0] += 1
    column = np.stack([rng.permutation(weights) for _ in range(groups)])  # each group has the same number of samples
    x = rng.standard_normal((8, groups, 3))
    x_of = [np.repeat(x[:, g], column[g], axis=0) for g in range(groups)]
    repeated = np.stack(x_of, axis=1).reshape(-1, 3)
    # those of weight 0 take no turn, and are left out; half the weight is the same, for ratios alone count
    spread = [x[:, g][column[g] > 0] for g in range(groups)]
    given_weight = [column[g][column[g] > 0] / 2 for g in range(groups)]
    weighted = ec.Batch(np.stack(spread, axis=1).reshape(-1, 3), np.stack(given_weight, axis=1).ravel())
    a, b = (ec.standard_errors(D.mlp, given, groups=groups) for given in (weighted, repeated))
    assert distance(a, b, scale(D.mlp, repeated)) < 1e-10


def test_what_is_the_same_in_all_groups_has_no_error() -> None:
    """A constant input exactly, also far from 0; samples that come once in every group up to rounding."""
    x = D.x.copy()
    x[:, 1] = 0.1 + 1e6
    listening = [D.mlp.weights[0] * [1, 1e-6, 1], *D.mlp.weights[1:]]  # not saturated by that
    errors = ec.standard_errors(D.mlp.replace(listening, D.mlp.biases), x, groups=7)
    assert not errors.importance[0][:, 1].any() and not errors.bias_shift[0][:, 1].any()
    assert errors.importance[0][:, 0].any()
    again = np.repeat(D.x, 6, axis=0)
    assert (both(ec.standard_errors(D.mlp, again, groups=6)) <= 1e-14 * scale(D.mlp, again)).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.longdouble])
def test_they_have_the_networks_dtype_and_neither_underflow_nor_overflow(dtype: Any) -> None:
    d = make([3, 4, 2], n_samples=100, dtype=np.float64)
    expected = both(ec.standard_errors(d.mlp, d.x))
    for size in (1.0, 1e-14, 1e14):  # float32 holds these importances, and not the squares of their errors
        top = d.mlp.replace([d.mlp.weights[0], size * d.mlp.weights[1]], d.mlp.biases).astype(dtype)
        errors = ec.standard_errors(top, d.x.astype(dtype))
        assert {a.dtype for a in (*errors.importance, *errors.bias_shift)} == {np.dtype(dtype)}
        n = d.mlp.n_weights
        got = both(errors).astype(np.float64) / np.concatenate([np.full(n, size**2), np.ones(12), np.full(8, size)])
        np.testing.assert_allclose(got, expected, rtol=1e-3 if dtype == np.float32 else 1e-11)


def test_an_overflow_is_raised_wherever_it_is() -> None:
    """In a group's moments, in the scores of all groups alone, and in the errors alone, of shifts of both signs."""
    x = np.array([[1.0, -1.0], [-1.0, 1.0]])
    for weights, times, message in (
        ([[[1e308, 0.0]], [[1e-308]]], 1, "moments: overflow in layer 1"),
        ([[[1e10, 0.0]]], 1e154, "importance: overflow in layer 0"),
        ([[[9e307, 9e307]], [[1e-157]]], 1, "standard errors of bias shifts: overflow in layer 0"),
    ):
        with pytest.raises(ValueError, match=f"^{message}"):
            ec.standard_errors(ec.MLP(weights, [np.zeros(1)] * len(weights), "identity"), times * x, groups=2)


def test_longdouble_keeps_its_digits() -> None:
    """EC-7.10: the formula does, and the scores up to the sums of weights, which are doubles."""
    d = make([3, 4, 2], n_samples=50, dtype=np.longdouble)
    errors, size = ec.standard_errors(d.mlp, d.x, groups=5), scale(d.mlp, d.x)
    for group, without in enumerate(errors.without):
        loops = ec.oracle.loops(d.mlp, np.delete(d.x, slice(group, None, 5), axis=0))
        assert max(abs(both(loops) - both(without)) / size) < 2e-16
    left_out = [both(scores) for scores in errors.without]
    expected = np.sqrt(np.longdouble(4) / 5 * sum((theta - sum(left_out) / 5) ** 2 for theta in left_out))
    off = max(abs(both(errors) - expected) / size)
    assert off < 10 * np.finfo(np.longdouble).eps, off / np.finfo(np.longdouble).eps


COVERED = [("tanh", "output"), ("relu", "output"), ("tanh", "fisher"), ("softplus", "softmax")]


@pytest.mark.parametrize(("groups", "n_draws"), [(3, 30), (10, 35)])
def test_two_of_them_hold_the_value_of_a_very_large_sample_as_often_as_students_distribution_says(
    groups: int, n_draws: int
) -> None:
    """EC-7.10: 92.3 % with ten groups, 81.6 % with three; the margin is that of one weight of each draw alone."""
    rng = np.random.default_rng(groups)
    held: list[list[float]] = []
    for number, (activation, metric) in enumerate(COVERED):
        mlp = make([4, 6, 3], activation, seed=number).mlp
        truth = ec.elimination_compensation(mlp, rng.standard_normal((200_000, 4)), metric)
        for _ in range(n_draws):
            errors = ec.standard_errors(mlp, rng.standard_normal((1000, 4)), metric, groups)
            inside = abs(both(errors.scores) - both(truth)) <= 2 * both(errors)
            held.append([inside[: mlp.n_weights].mean(), inside[mlp.n_weights :].mean()])
    expected = 1 - 2 * scipy.stats.t.sf(2, groups - 1)
    margin = 2.5 * np.sqrt(expected * (1 - expected) / len(held))
    found = np.mean(held, axis=0)
    print(groups, found, expected, margin)
    assert (abs(found - expected) < margin).all(), (found, expected, margin)


def test_an_importance_rests_on_as_many_samples_as_make_it_up() -> None:
    """EC-7.10: where k of many samples do, (I/error)² is about k; of fewer than ten it says so."""
    rng = np.random.default_rng(0)
    mlp = ec.MLP([[[1.0, 1.0]]], [[0.0]])
    rests, on_few = [], []
    for _ in range(100):
        x = rng.permuted(np.arange(2000)[:, np.newaxis] < [40, 5], axis=0)  # the inputs are 1 on so many samples
        errors = ec.standard_errors(mlp, x.astype(float))
        rests.append((errors.importance[0][0] / errors.scores.importance[0][0]) ** 2 * [40, 5])
        on_few.append(errors.on_few)
    assert np.mean(rests, axis=0) == pytest.approx(1, rel=0.15)  # the mean of the squares is without bias
    assert 0.4 < np.mean(on_few) < 0.55


def test_where_importances_rest_on_few_samples_fewer_are_held() -> None:
    """EC-7.10: a relu network of inputs with heavy tails: about seven of ten, beside seven of eight of the others."""
    rng = np.random.default_rng(0)
    mlp = make([8, 10, 8, 3], "relu", seed=1).mlp
    truth = flat(ec.elimination_compensation(mlp, rng.standard_t(5, (200_000, 8)), "fisher").importance)
    held, relative = [], []
    for _ in range(60):
        errors = ec.standard_errors(mlp, rng.standard_t(5, (300, 8)), "fisher")
        value, error = flat(errors.scores.importance), flat(errors.importance)
        held.append(abs(value - truth) <= 2 * error)
        relative.append(np.divide(error, value, out=np.zeros_like(value), where=value > 0))
    few = np.median(relative, axis=0) > 10**-0.5
    on_few, others = np.mean(held, axis=0)[few].mean(), np.mean(held, axis=0)[~few].mean()
    print(few.mean(), on_few, others)
    assert few.any() and 0.6 < on_few < 0.82 < others < 0.92, (few.mean(), on_few, others)


def lowest(scores: ec.Scores, sparsity: float) -> np.ndarray:
    """The set that a sparsity removes, flat."""
    importance = flat(scores.importance)
    chosen = np.zeros(importance.size, bool)
    chosen[np.argsort(importance, kind="stable")[: round(sparsity * importance.size)]] = True
    return chosen


def changes(all_scores: list[ec.Scores], sparsity: float) -> float:
    """The share of a removed set that another one does not have, in the mean of all pairs."""
    sets = [lowest(scores, sparsity) for scores in all_scores]
    return float(np.mean([(a & ~b).sum() / a.sum() for k, a in enumerate(sets) for j, b in enumerate(sets) if j != k]))


def wide(number: int) -> ec.MLP:
    return ec.MLP.initialize([40, 30, 20, 5], ["tanh", "relu"][number % 2], seed=number)


@pytest.mark.parametrize("scope", ["global", "layer"])
def test_the_change_of_a_removed_set_is_as_it_reads(scope: Any) -> None:
    """EC-5.13: of the importances as they are, each set made by hand."""
    errors = ec.standard_errors(wide(1), np.random.default_rng(0).standard_normal((100, 40)), groups=4)
    layers = range(3) if scope == "layer" else [slice(None)]

    def chosen(scores: ec.Scores) -> list[np.ndarray]:
        parts = [np.atleast_1d(np.array(scores.importance, object)[rows]) for rows in layers]
        return [lowest(ec.Scores(list(part)), 0.3) for part in parts]

    before = np.concatenate(chosen(errors.scores))
    kept = [before & ~np.concatenate(chosen(without)) for without in errors.without]
    found = errors.removed(0.3, scope)
    assert found.changed == pytest.approx(6**0.5 * np.mean([k.sum() for k in kept]) / before.sum(), rel=1e-12)
    assert 0 < found.changed < 1 and found.n_removed == before.sum() and found.n_samples == 100
    assert (flat(found.unsure) == np.any(kept, axis=0)).all() and tuple(u.shape for u in found.unsure) == wide(1).shapes


@pytest.mark.parametrize("scope", ["global", "layer"])
def test_of_a_pruned_network_the_change_is_of_what_goes_now(scope: Any) -> None:
    """EC-5.13: what is gone is sure, and would dilute the rest."""
    x = np.random.default_rng(0).standard_normal((100, 40))
    half = ec.prune_iteratively(wide(1), x, 0.5, steps=3, scope=scope)
    errors = ec.standard_errors(half.mlp, x, groups=4)
    found = errors.removed(0.6, scope, masks=half.masks)
    every = (errors.scores, *errors.without)
    before, whole, *others = (
        flat(p.masks)
        for p in (half, *(ec.prune(half.mlp, s, 0.6, scope, masks=half.masks, compensation=None) for s in every))
    )
    goes = before & ~whole
    share = np.mean([(goes & other).sum() for other in others]) / goes.sum()
    assert found.changed == pytest.approx(6**0.5 * share, rel=1e-12) and 0 < found.changed < 1
    assert found.n_removed == goes.sum() == pytest.approx(0.1 * half.mlp.n_weights, abs=2)
    assert not (flat(found.unsure) & ~goes).any()
    assert found.changed > 4 * errors.removed(0.6, scope).changed
    with pytest.raises(ValueError, match=r"sparsity: expected at least the 0\.5 that masks removed, got 0\.4"):
        errors.removed(0.4, masks=half.masks)
    with pytest.raises(ValueError, match="masks: expected 3 layers, got 1"):
        errors.removed(0.6, masks=half.masks[:1])


@pytest.mark.parametrize("groups", [5, 10])
def test_other_samples_change_a_removed_set_as_much_as_the_overlapping_ones_say(groups: int) -> None:
    """EC-5.13: √(2(G−1)) times what leaving a group out changes, against really independent draws."""
    ratios = []
    for number in range(6):
        rng, mlp = np.random.default_rng([groups, number]), wide(number)
        others = [ec.elimination_compensation(mlp, rng.standard_normal((1000, 40))) for _ in range(16)]
        errors = [ec.standard_errors(mlp, rng.standard_normal((1000, 40)), groups=groups) for _ in range(5)]
        for sparsity in (0.3, 0.5, 0.7, 0.9):
            told = np.mean([e.removed(sparsity).changed for e in errors])
            ratios.append(told / changes(others, sparsity))
    print(groups, np.mean(ratios), np.std(ratios))
    assert abs(np.mean(ratios) - 1) < 0.09, np.round(ratios, 2)


def test_so_many_samples_bring_the_change_to_one_percent() -> None:
    """EC-5.13: it falls as 1/√N, from 200 samples to some thousand."""
    found = []
    for number in range(4):
        rng, mlp = np.random.default_rng(number), wide(number)
        told = [ec.standard_errors(mlp, rng.standard_normal((200, 40))).removed(0.5) for _ in range(8)]
        needed = int(np.median([r.samples_for() for r in told]))
        assert 1000 < needed < 20_000, needed
        found.append(
            changes([ec.elimination_compensation(mlp, rng.standard_normal((needed, 40))) for _ in range(8)], 0.5)
        )
    print(found)
    assert abs(np.mean(found) / 0.01 - 1) < 0.15, found


def test_a_cut_among_importances_that_rest_on_few_samples_is_said() -> None:
    """There the change is told too small, down to 0.6 of it, elsewhere it is right: on the digits (EC-5.13)."""
    data = load_digits()
    mlp = ec.MLP.initialize([196, 32, 10], "relu", seed=0)
    mlp = ec.train(mlp, data.x_train, data.y_train, "cross_entropy", learning_rate=5e-3, epochs=5)
    x = np.random.default_rng(0).permutation(data.x_train)
    errors = [ec.standard_errors(mlp, x[k : k + 500], "fisher") for k in range(0, 6000, 500)]
    for sparsity, said, low, high in ((0.4, True, 0.5, 0.8), (0.9, False, 0.8, 1.2)):
        sets = [e.removed(sparsity) for e in errors]
        ratio = np.mean([s.changed for s in sets]) / changes([e.scores for e in errors], sparsity)
        print(sparsity, ratio, [s.on_few for s in sets])
        assert low < ratio < high, (sparsity, ratio)
        assert all(("rest on fewer than 10 samples" in str(s)) == said == (s.on_few > 0.5) for s in sets), sparsity


def test_what_is_said() -> None:
    x = np.random.default_rng(0).standard_normal((4000, 40))
    many, few = ec.standard_errors(wide(0), x), ec.standard_errors(wide(0), x[:60])
    assert str(many).endswith(", with 4,000 samples") and "\n" not in str(many)
    assert str(few).endswith("fewer than 10 samples in each of 10 groups: all of this is a guess")
    assert str(many.removed(0.9)).endswith("% of the 1,710 removed weights; these are enough for 1 %")
    assert many.removed(0.9).samples_for() == 4000
    assert str(few.removed(0.9)).endswith("would bring that to 1 %")
    assert str(few.removed(0.01)).endswith("of the 19 removed weights; 1 % is less than one weight")
    assert str(many.removed(0)) == "no further weight is removed"
    for sparsity in (0, 1):
        sure = many.removed(sparsity)
        assert (sure.changed, sure.on_few, sure.samples_for(1e-9)) == (0, 0, 4000) and not flat(sure.unsure).any()
    alone = ec.standard_errors(ec.MLP([[[1.0]]], [[0.0]]), 1.0 * (np.arange(1000)[:, np.newaxis] == 7))
    assert str(alone).startswith("standard error of an importance: 100 % of it in the median")
    with pytest.warns(UserWarning, match="all importances are 0 in layer 0"):
        silent = ec.standard_errors(ec.MLP([[[1.0]], [[1.0]]], [[-1.0], [0.0]], "relu"), -abs(x[:, :1]))
    assert silent.median == silent.on_few == 0 and not both(silent).any()


def test_one_reading_and_three_merges_a_group() -> None:
    parts = [ec.collect_moments(D.mlp, D.x[g::8]) for g in range(8)]
    merges: list[int] = []
    with pytest.MonkeyPatch.context() as patch:
        merge = ec.Moments.merge
        patch.setattr(ec.Moments, "merge", lambda a, b: merges.append(1) or merge(a, b))
        left = list(whole_and_without_each(list(parts)))
    assert len(merges) == 3 * 8 - 5 and [m.n_samples for m in left[:3]] == [47, 41, 41]
    readings: list[int] = []

    class Loader:
        def __iter__(self) -> Iterator[np.ndarray]:
            readings.append(1)
            return iter([D.x[:30], D.x[30:]])

    ec.standard_errors(D.mlp, Loader())
    assert len(readings) == 1


def test_memory_is_four_numbers_a_weight_and_group() -> None:
    mlp, x = ec.MLP.initialize([400, 300, 10], "relu", seed=0), np.random.default_rng(0).random((300, 400))
    peaks = []
    for groups in (5, 15):
        tracemalloc.start()
        try:
            ec.standard_errors(mlp, x, groups=groups, batch_size=150)
            peaks.append(tracemalloc.get_traced_memory()[1])
        finally:
            tracemalloc.stop()
    per_group = (peaks[1] - peaks[0]) / 10 / 8 / mlp.n_weights
    assert per_group < 4.2, per_group


def test_what_is_wrong_is_named() -> None:
    for x, groups, message in (
        (D.x[:9], 10, "x: expected at least 10 samples with a weight, one a group, got 9"),
        (ec.Batch(D.x, np.arange(47) < 3), 4, "x: expected at least 4 samples with a weight, one a group, got 3"),
        ((D.x[k : k + 2] for k in (0, 2)), 5, "x: expected at least 5 samples with a weight, one a group, got 4"),
        (D.x, 1, "groups: expected at least 2, got 1"),
        (iter(()), 2, "x: expected samples, got 0 in all before the iterator ended"),
        (D.x, 2**70, f"x: expected at least {2**70} samples with a weight, one a group, got 47"),
    ):
        with pytest.raises(ValueError) as error:
            ec.standard_errors(D.mlp, x, groups=groups)
        assert str(error.value) == message
    with pytest.raises(TypeError, match="groups: expected an integer, got float"):
        ec.standard_errors(D.mlp, D.x, groups=10.0)
    with pytest.raises(ec.BatchError, match=r"x: not finite at \[2, 0\] \(nan\), in batch 2") as broken:
        ec.standard_errors(
            D.mlp,
            [ec.Batch(D.x[:20], np.arange(20) > 2), D.x[20:40], np.where(np.arange(47)[:, None] == 2, np.nan, D.x)],
        )
    before = ec.collect_moments(D.mlp, D.x[3:40])
    assert broken.value.batch == 2 and broken.value.moments.n_samples == 40
    np.testing.assert_allclose(broken.value.moments.variance[0], before.variance[0], rtol=1e-10)


def test_batches_that_fail_together_are_dealt_out_one_by_one() -> None:
    def small_only(outputs: np.ndarray) -> np.ndarray:
        if len(outputs) > 5:
            raise MemoryError
        return np.repeat(np.eye(2)[:, np.newaxis], len(outputs), axis=1)

    errors = ec.standard_errors(D.mlp, (D.x[k : k + 10] for k in range(0, 47, 10)), small_only, 2)
    assert distance(errors, ec.standard_errors(D.mlp, D.x, groups=2), scale(D.mlp, D.x)) < 1e-10
