"""Moments know of which network and metric they are; those of another are refused."""

from __future__ import annotations

import pickle
from dataclasses import replace

import networks
import numpy as np
import pytest

import ecprune_np as ec

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


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.longdouble])
def test_what_they_are_of_goes_with_them(dtype, tmp_path):
    mlp = MLP.astype(dtype)
    moments = ec.collect_moments(mlp, X, "fisher")
    moments.save(tmp_path / "m.npz")
    copies = [
        pickle.loads(pickle.dumps(moments)),
        ec.Moments.load(tmp_path / "m.npz"),
        ec.load(tmp_path / "m.npz"),
        moments.merge(ec.collect_moments(mlp.replace(mlp.weights, mlp.biases), X, "fisher")),
    ]
    for copy in copies:
        assert (copy.metric, copy.fingerprint) == (moments.metric, moments.fingerprint)
        ec.elimination_compensation(mlp, copy, "fisher")
        with pytest.raises(ValueError, match=r"^metric: expected 'fisher'"):
            ec.elimination_compensation(mlp, copy, "output")


def test_what_was_collected_before_a_batch_failed_knows_it_too():
    with pytest.raises(ec.BatchError) as caught:
        ec.collect_moments(MLP, iter([X, X * np.nan]))
    whole = ec.collect_moments(MLP, X)
    assert caught.value.moments.fingerprint == whole.fingerprint
    assert caught.value.moments.metric == "output"
