"""Moments know of which network and metric they are; those of another are refused."""

from __future__ import annotations

import copy
import pickle
import warnings
from dataclasses import replace
from functools import partial

import networks
import numpy as np
import pytest

import ecprune_np as ec
from ecprune_np.metrics import metric_name

DRAWN = networks.make([4, 5, 3], "tanh", seed=1)
MLP, X = DRAWN.mlp, DRAWN.x


def others():
    """Networks of the same shape and dtype that are not the same."""
    weights = [w.copy() for w in MLP.weights]
    weights[1][2, 3] = np.nextafter(weights[1][2, 3], 1)
    biases = [b.copy() for b in MLP.biases]
    biases[0][0] += 1
    return {
        "a weight in its last bit": MLP.replace(weights, MLP.biases),
        "a bias": MLP.replace(MLP.weights, biases),
        "the activation": replace(MLP, activation="sin"),
        "the output activation": replace(MLP, output_activation="tanh"),
        "the layers' order": MLP.replace([MLP.weights[0][::-1], MLP.weights[1]], MLP.biases),
    }


@pytest.mark.parametrize("what", others())
def test_moments_of_another_network_are_refused(what):
    moments, theirs = ec.collect_moments(MLP, X), ec.collect_moments(others()[what], X)
    for score in (ec.elimination_compensation, ec.criteria.obd):
        with pytest.raises(ValueError, match=r"^moments: expected those of this network, got those of another"):
            score(MLP, theirs)
        score(others()[what], theirs)
    with pytest.raises(ValueError, match=r"^other: expected moments of the same network, got another's"):
        moments.merge(theirs)


def mine(outputs):
    return np.ones((1, *outputs.shape))


def thine(outputs):
    return np.zeros((1, *outputs.shape))


def test_moments_of_another_metric_are_refused():
    moments = {metric: ec.collect_moments(MLP, X, metric) for metric in ("output", "fisher", mine, thine)}
    for metric, own in moments.items():
        ec.elimination_compensation(MLP, own, metric)
        ec.elimination_compensation(MLP, own)
        own.merge(own)
        for other, theirs in moments.items():
            if other is not metric:
                with pytest.raises(ValueError, match=r"^metric: expected '.*', of which the moments are, got '"):
                    ec.elimination_compensation(MLP, own, other)
                with pytest.raises(ValueError, match=r"^other: expected moments of '.*', got '"):
                    own.merge(theirs)


def scaled(factor):
    return lambda outputs: factor * mine(outputs)


class Instance:
    def __call__(self, outputs):
        return mine(outputs)


def test_metrics_without_a_name_of_their_own_are_told_apart_as_far_as_they_say(tmp_path):
    """Lambdas by their line, partial functions by their arguments; what is closed over is not seen."""
    one = lambda outputs: mine(outputs)  # noqa: E731
    other = lambda outputs: 2 * mine(outputs)  # noqa: E731
    weights = np.arange(2.0)
    metrics = [
        one,
        other,
        partial(two, 1.0),
        partial(two, 2.0),
        partial(two, factor=2.0),
        partial(two, factor=weights),
        partial(two, factor=weights + 1),
        Instance(),
        Instance().__call__,
        scaled(2),
        np.ones_like,
        np.positive,
    ]
    names = [metric_name(metric) for metric in metrics]
    assert len(set(names)) == len(names)
    assert names[0].startswith("test_belonging.test_metrics_without") and ".<lambda>:test_belonging.py:" in names[0]
    assert metric_name(scaled(3)) == metric_name(scaled(2))
    assert metric_name(partial(two, factor=Instance())) == metric_name(partial(two, factor=Instance()))
    moments = ec.collect_moments(MLP, X, one)
    moments.save(tmp_path / "m.npz")
    ec.elimination_compensation(MLP, ec.load(tmp_path / "m.npz"), one)
    moments.merge(ec.collect_moments(MLP, X, one))
    with pytest.raises(ValueError, match=r"^other: expected moments of '.*<lambda>:test_belonging\.py:\d+', got '.*"):
        moments.merge(ec.collect_moments(MLP, X, other))


def two(factor, outputs):
    return factor * mine(outputs)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.longdouble])
def test_what_they_are_of_goes_with_them(dtype, tmp_path):
    mlp = MLP.astype(dtype)
    moments = ec.collect_moments(mlp, X, "fisher")
    moments.save(tmp_path / "m.npz")
    copies = [
        copy.deepcopy(moments),
        pickle.loads(pickle.dumps(moments)),
        ec.Moments.load(tmp_path / "m.npz"),
        ec.load(tmp_path / "m.npz"),
        moments.merge(ec.collect_moments(mlp.replace(mlp.weights, mlp.biases), X, "fisher")),
    ]
    for again in copies:
        assert (again.metric, again.fingerprint) == ("fisher", moments.fingerprint)
        for metric in (None, "fisher"):
            ec.elimination_compensation(mlp, again, metric)
        with pytest.raises(ValueError, match=r"^metric: expected 'fisher'"):
            ec.elimination_compensation(mlp, again, "output")
        with pytest.raises(ValueError, match=r"^moments: expected those of this network"):
            ec.criteria.obd(others()["a bias"].astype(dtype), again)


def test_a_network_is_itself_however_it_is_stored(tmp_path):
    MLP.save(tmp_path / "n.npz")
    same = [
        ec.load(tmp_path / "n.npz"),
        pickle.loads(pickle.dumps(MLP)),
        replace(MLP),
        ec.MLP([np.asfortranarray(w) for w in MLP.weights], [b.astype(">f8") for b in MLP.biases], "tanh"),
        ec.MLP(MLP.weights, MLP.biases, ["tanh"]),
    ]
    moments = ec.collect_moments(MLP, X)
    for mlp in same:
        assert ec.collect_moments(mlp, X).fingerprint == moments.fingerprint
        ec.elimination_compensation(mlp, moments)
    wider = ec.MLP(MLP.weights, MLP.biases, "tanh").astype(np.longdouble)
    if wider.dtype != MLP.dtype:
        with pytest.raises(ValueError, match=r"^moments: expected layers .* as in the network, got"):
            ec.elimination_compensation(wider, moments)


def test_the_last_bits_of_a_longdouble_count():
    if np.finfo(np.longdouble).eps == np.finfo(np.float64).eps:
        pytest.skip("longdouble is double here")
    wide = MLP.astype(np.longdouble)
    weights = [w.copy() for w in wide.weights]
    weights[0][0, 0] = np.nextafter(weights[0][0, 0], np.longdouble(np.inf))
    moments = ec.collect_moments(wide, X)
    with pytest.raises(ValueError, match=r"^moments: expected those of this network"):
        ec.elimination_compensation(wide.replace(weights, wide.biases), moments)


def test_moments_that_do_not_say_of_what_they_are_pass_with_a_warning(tmp_path):
    file = tmp_path / "m.npz"
    ec.collect_moments(MLP, X, "fisher").save(file)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ec.load(file)  # without
    arrays = {name: array for name, array in np.load(file).items() if name not in ("metric", "fingerprint")}
    np.savez(file, **arrays)
    with pytest.warns(
        UserWarning, match=r"m\.npz: moments that do not say of which network and metric they are: not checked"
    ):
        unknown = ec.Moments.load(file)
    for metric in (None, "output", "fisher"):
        ec.elimination_compensation(MLP, unknown, metric)
    moments = ec.collect_moments(MLP, X)
    replace(moments, metric=None).save(file)
    with pytest.warns(UserWarning, match=r"m\.npz: moments that do not say of which metric they are: not checked"):
        assert ec.load(file).fingerprint == moments.fingerprint
    with pytest.raises(ValueError, match=r"^moments: expected layers"):
        ec.elimination_compensation(ec.MLP.initialize([4, 3]), unknown)
    known = ec.collect_moments(MLP, X, "fisher")
    for merged in (known.merge(unknown), unknown.merge(known)):
        assert (merged.metric, merged.fingerprint) == (known.metric, known.fingerprint)


@pytest.mark.parametrize("compensation", ["joint", "guarded", "row", "refit"])
def test_a_pruned_network_is_another(compensation):
    moments = ec.collect_moments(MLP, X)
    scores = ec.elimination_compensation(MLP, moments)
    pruned = ec.prune(MLP, scores, 0.5, compensation=compensation, x=X)
    with pytest.raises(ValueError, match=r"^moments: expected those of this network"):
        ec.elimination_compensation(pruned.mlp, moments)


def test_what_was_collected_before_a_batch_failed_knows_it_too():
    with pytest.raises(ec.BatchError) as caught:
        ec.collect_moments(MLP, iter([X, X * np.nan]))
    whole = ec.collect_moments(MLP, X)
    assert caught.value.moments.fingerprint == whole.fingerprint
    assert caught.value.moments.metric == "output"
