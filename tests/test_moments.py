"""EC-3, EC-7: moments in centred form, streamed, merged, weighted."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from networks import METRICS, Drawn, batch, make, networks, samples_per_block

import ecprune_np as ec
from ecprune_np.error_analysis.comparison import worst_error
from ecprune_np.losses import targets
from ecprune_np.metrics import cotangents
from ecprune_np.moments import moments_by_definition


def distance(a: ec.Moments, b: ec.Moments, mlp: ec.MLP) -> float:
    """The worst relative error between the scores that two moments give."""
    return max(worst_error(ec.elimination_compensation(mlp, a), ec.elimination_compensation(mlp, b), mlp, b))


@given(networks(), st.integers(1, 25))
def test_batch_size_does_not_matter(d: Drawn, batch_size: int) -> None:
    """EC-7.5: Chan's merge of batches is the whole."""
    whole = ec.collect_moments(d.mlp, batch(d))
    batched = ec.collect_moments(d.mlp, batch(d), batch_size=batch_size)
    assert distance(batched, whole, d.mlp) < 1e-12
    assert batched.n_samples == whole.n_samples == len(d.x)


@given(networks(logits=True), st.sampled_from(METRICS), st.integers(1, 10))
def test_blocks_do_not_matter(d: Drawn, metric: str, size: int) -> None:
    """EC-7.4: the sums of the parts are the sums of the whole."""
    whole = ec.collect_moments(d.mlp, batch(d, metric), metric)
    with pytest.MonkeyPatch.context() as patch:
        samples_per_block(patch, size)
        in_blocks = ec.collect_moments(d.mlp, batch(d, metric), metric, batch_size=len(d.x))
    assert distance(in_blocks, whole, d.mlp) < 1e-12


@pytest.fixture(params=[1, 2, 4, 1000])
def block_size(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    """The test runs once for each of these sizes of a block."""
    samples_per_block(monkeypatch, request.param)
    return request.param


@given(networks(max_samples=30), st.randoms(use_true_random=False))
def test_merge_is_the_union_in_any_order(d: Drawn, random: object) -> None:
    """EC-7.5."""
    n = len(d.x)
    parts = [
        ec.collect_moments(d.mlp, ec.Batch(d.x[k::3], d.sample_weight[k::3])) for k in range(3) if len(d.x[k::3]) > 0
    ]
    whole = ec.collect_moments(d.mlp, batch(d))
    for order in (parts, parts[::-1]):
        merged = order[0]
        for part in order[1:]:
            merged = merged.merge(part)
        assert distance(merged, whole, d.mlp) < 1e-12
        assert merged.n_samples == n
        assert merged.total_weight == pytest.approx(whole.total_weight)


@given(networks())
def test_a_weight_is_a_repetition(d: Drawn) -> None:
    """EC-1.3: a sample of weight 3 counts as three samples; only the ratios of the weights matter."""
    counts = np.random.default_rng(d.seed).integers(0, 4, len(d.x))
    counts[0] = 1
    repeated = ec.collect_moments(d.mlp, np.repeat(d.x, counts, axis=0))
    weighted = ec.collect_moments(d.mlp, ec.Batch(d.x, counts), batch_size=4)
    scaled = ec.collect_moments(d.mlp, ec.Batch(d.x, 1e-3 * counts))
    assert distance(weighted, repeated, d.mlp) < 1e-12
    assert distance(scaled, repeated, d.mlp) < 1e-12


def definition(d: Drawn, metric: str, weighted: bool) -> ec.Moments:
    """The moments as they read, in the network's own dtype."""
    trace, y = ec.forward(d.mlp, d.x), d.targets(metric)
    if y is not None:
        y = targets(y, metric, len(d.x), d.mlp.sizes[-1], d.mlp.dtype)
    weight = d.sample_weight if weighted else np.ones(len(d.x))
    return moments_by_definition(d.mlp, trace, cotangents(metric, trace.outputs, y), weight.astype(d.mlp.dtype))


@given(networks(logits=True), st.sampled_from(METRICS), st.booleans(), st.sampled_from([None, 1, 7]))
def test_moments_are_their_definitions(d: Drawn, metric: str, weighted: bool, batch_size: int | None) -> None:
    """EC-3.4, EC-3.5, EC-3.2: the code that is read, and the code that is run."""
    expected = definition(d, metric, weighted)
    moments = ec.collect_moments(d.mlp, batch(d, metric, weighted), metric, batch_size=batch_size)
    error = distance(moments, expected, d.mlp)
    assert error < 1e-12, error
    for s, defined in zip(moments.sensitivity, expected.sensitivity):
        np.testing.assert_allclose(s, defined, rtol=1e-12, atol=1e-200)
    assert moments.n_samples == expected.n_samples
    assert moments.total_weight == pytest.approx(expected.total_weight)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float32, 1e-5), (np.longdouble, 1e-15)])
def test_the_definition_has_every_dtype(metric: str, dtype: type, tolerance: float) -> None:
    d = make([4, 5, 3], ["gelu"], dtype=dtype)
    expected = definition(d, metric, weighted=True)
    assert {v.dtype for v in (*expected.sensitivity, *expected.mean, *expected.variance)} == {np.dtype(dtype)}
    error = distance(ec.collect_moments(d.mlp, batch(d, metric), metric), expected, d.mlp)
    assert error < tolerance, error


def test_a_dead_neuron_has_the_mean_nothing_by_definition() -> None:
    """EC-3.8."""
    d = make([3, 4, 2], "relu")
    biases = [d.mlp.biases[0] - [0, 100, 0, 0], d.mlp.biases[1]]
    dead = Drawn(d.mlp.replace(d.mlp.weights, biases), d.x, d.sample_weight, d.labels, d.seed)
    expected = definition(dead, "output", weighted=True)
    assert (expected.mean[0][1] == 0).all() and (expected.variance[0][1] == 0).all()
    assert (expected.variance[0][0] > 0).all()


@given(networks())
def test_sensitivities_and_second_moments_are_means_over_the_samples(d: Drawn) -> None:
    """EC-3.7, EC-3.2: S = E[s] and E[s a²] = v + S μ²."""
    moments = ec.collect_moments(d.mlp, d.x)
    trace = ec.forward(d.mlp, d.x)
    unit = np.repeat(np.eye(d.mlp.sizes[-1])[:, np.newaxis], len(d.x), axis=1)
    for l, g in enumerate(ec.pullback(d.mlp, trace, unit)):
        s, a = (g**2).sum(axis=0), trace.inputs[l]
        np.testing.assert_allclose(moments.sensitivity[l], s.mean(axis=0), rtol=1e-12, atol=1e-200)
        second = (s[:, :, np.newaxis] * a[:, np.newaxis] ** 2).mean(axis=0)
        np.testing.assert_allclose(moments.second_moment[l], second, rtol=1e-11, atol=1e-200)


@pytest.mark.parametrize("block_size", [1000, 100], indirect=True)
@pytest.mark.parametrize("batch_size", [1000, 64, 7])
@pytest.mark.parametrize("offset", [0.0, 1e2, 1e4, 1e6, 1e8])
def test_common_offsets_cost_no_digits(offset: float, batch_size: int, block_size: int) -> None:
    """EC-7.1, EC-7.2: against the two-pass variance in extended precision."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((1000, 4)) + offset
    w = rng.standard_normal((3, 4))
    mlp = ec.MLP([w, rng.standard_normal((2, 3))], [-(w @ np.full(4, offset)), np.zeros(2)], "tanh")
    moments = ec.collect_moments(mlp, x, batch_size=batch_size)
    trace = ec.forward(mlp, x)
    unit = np.repeat(np.eye(2)[:, np.newaxis], len(x), axis=1)
    s = (ec.pullback(mlp, trace, unit)[0] ** 2).sum(axis=0).astype(np.longdouble)
    a = x.astype(np.longdouble)
    mean = (s.T @ a) / s.sum(axis=0)[:, np.newaxis]
    variance = (s[:, :, np.newaxis] * (a[:, np.newaxis] - mean) ** 2).mean(axis=0)
    distance_in_stds = np.abs(mean - x.mean(axis=0)) / x.std(axis=0)
    assert distance_in_stds.max() < 10
    error = np.abs(moments.variance[0] / variance - 1).max()
    assert error < 1e-13, error


def test_the_textbook_variance_does_lose_them() -> None:
    """EC-7.1: E[s a²] − E[s a]²/E[s] has no digit left at an offset of 1e8."""
    rng = np.random.default_rng(0)
    a, s = rng.standard_normal(1000) + 1e8, rng.uniform(0, 1, 1000)
    textbook = np.mean(s * a**2) - np.mean(s * a) ** 2 / np.mean(s)
    mean = np.mean(s * a) / np.mean(s)
    two_pass = np.mean(s * (a - mean) ** 2)
    assert abs(textbook / two_pass - 1) > 0.5


@pytest.mark.parametrize("value", [0.0, 0.1, 0.7, -7.3, 1e8 / 3])
def test_a_constant_column_has_no_variance_at_all(value: float, block_size: int) -> None:
    """EC-7.2: exactly zero, in any batches, so that the weight is free."""
    d = make([3, 4, 2], n_samples=50)
    x = d.x.copy()
    x[:, 1] = value
    mlp = d.mlp.replace([0.01 * d.mlp.weights[0] / max(1, abs(value)), d.mlp.weights[1]], d.mlp.biases)
    for batch_size in (1, 7, 50):
        moments = ec.collect_moments(mlp, x, batch_size=batch_size)
        assert moments.layers[0].reference[1] == value
        assert (moments.variance[0][:, 1] == 0).all()


def test_samples_that_a_neuron_does_not_see_leave_nothing_behind(block_size: int) -> None:
    """EC-7.4: a column that is constant wherever the neuron is alive has I = 0, whatever it is elsewhere."""
    x = np.array([[-2.0, 999.9], [1.1, 0.1], [1.7, 0.1], [-1.0, 1e3], [1.3, 0.1], [-1.0, 1000.3]])
    mlp = ec.MLP([[[1.0, -0.3]], [[2.0]]], [[0.0], [0.0]], "relu")
    for batch_size in (1, 2, 3, 6):
        moments = ec.collect_moments(mlp, x, batch_size=batch_size)
        assert moments.variance[0][0, 1] <= 1e-30
        assert moments.mean[0][0, 1] == pytest.approx(0.1, rel=1e-15)


def test_an_outlier_does_not_cost_the_digits_of_the_rest(block_size: int) -> None:
    """EC-7.4: entries whose variance cancels in one pass are done in two."""
    rng = np.random.default_rng(2)
    x = np.concatenate([1 + 1e-6 * rng.standard_normal((50, 1)), [[-1e4]]])
    mlp = ec.MLP([[[1.0]], [[1.0]]], [[0.0], [0.0]], "relu")
    variance = ec.collect_moments(mlp, x).variance[0][0, 0]
    alive = x[x > 0].astype(np.longdouble)
    assert abs(variance / (((alive - alive.mean()) ** 2).sum() / 51) - 1) < 1e-9


def test_a_neuron_of_a_hidden_layer_gets_its_two_passes(block_size: int) -> None:
    """EC-7.4: its inputs are those of its layer, and of the samples that it sees alone."""
    rng = np.random.default_rng(3)
    x = np.concatenate([1 + 1e-6 * rng.standard_normal((30, 1)), [[1e4]], 1 + 1e-6 * rng.standard_normal((30, 1))])
    mlp = ec.MLP([[[1.0]], [[-1.0]], [[1.0]]], [[0.0], [10.0], [0.0]], "relu")  # the second neuron is silent at 1e4
    moments = ec.collect_moments(mlp, x)
    alive = x[x < 10].astype(np.longdouble)
    assert abs(moments.variance[1][0, 0] / (((alive - alive.mean()) ** 2).sum() / 61) - 1) < 1e-9
    assert moments.mean[1][0, 0] == pytest.approx(float(alive.mean()), rel=1e-15)


@pytest.mark.parametrize("where", [slice(None, None, 16), slice(1, None, 16), slice(600, None)])
def test_no_choice_of_the_reference_costs_more_than_it_may(where: slice) -> None:
    """EC-7.2, EC-7.3: also where the samples that choose it are not like the others, at 1e8 standard deviations."""
    rng = np.random.default_rng(4)
    x = rng.standard_normal((1000, 1))
    x[where] += 1e8
    mlp = ec.MLP([[[1.0]]], [[0.0]])
    variance = ec.collect_moments(mlp, x, batch_size=1000).variance[0][0, 0]
    error = abs(variance / x.astype(np.longdouble).var() - 1)
    assert error < 1e-12, error


def test_zero_weights_in_a_whole_batch_count_nothing() -> None:
    d = make([3, 4, 2], n_samples=12)
    weight = np.where(np.arange(12) < 4, 0, 1.0)
    part = ec.collect_moments(d.mlp, ec.Batch(d.x, weight), batch_size=4)
    assert distance(part, ec.collect_moments(d.mlp, d.x[4:]), d.mlp) < 1e-13


def test_dead_before_alive_after() -> None:
    """EC-3.8: moments of a neuron that is dead in one part are those of the other part."""
    mlp = ec.MLP([[[1.0, 2.0]], [[1.0]]], [[0.0], [0.0]], "relu")
    dead, alive = np.array([[-1.0, 1e6], [-2.0, 1e6]]) * [1, -1], np.array([[1.0, 2.0], [3.0, 5.0]])
    for first, second in ((dead, alive), (alive, dead)):
        merged = ec.collect_moments(mlp, first).merge(ec.collect_moments(mlp, second))
        whole = ec.collect_moments(mlp, alive)
        np.testing.assert_allclose(merged.mean[0], whole.mean[0], rtol=1e-15)
        np.testing.assert_allclose(2 * merged.variance[0], whole.variance[0], rtol=1e-14)
    assert (ec.collect_moments(mlp, dead).mean[0] == 0).all()


@pytest.mark.parametrize("metric", METRICS)
def test_moments_can_be_pickled(metric: str) -> None:
    d = make([3, 4, 2])
    moments = ec.collect_moments(d.mlp, batch(d, metric, weighted=False), metric)
    assert distance(pickle.loads(pickle.dumps(moments)), moments, d.mlp) == 0
