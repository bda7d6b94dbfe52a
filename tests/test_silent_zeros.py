"""Importances that are all 0 for another reason than constant inputs are said, once, with the layers and the reason."""

from __future__ import annotations

import warnings

import networks
import numpy as np
import pytest

import ecprune_np as ec


def warned(mlp, x, metric="output"):
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        ec.elimination_compensation(mlp, x, metric)
    return [str(warning.message) for warning in seen]


def test_inputs_so_small_that_float32_underflows():
    drawn = networks.make([4, 3], "tanh", dtype=np.float32)
    (message,) = warned(drawn.mlp, np.float32(1e-30) * drawn.x)
    assert message.startswith("all importances are 0 in layer 0: they underflow in float32")
    assert warned(drawn.mlp.astype(np.float64), 1e-30 * drawn.x) == []


def test_a_dead_layer_names_itself_and_those_below_in_one_warning():
    drawn = networks.make([4, 3, 3, 2], "relu")
    dead = drawn.mlp.replace(drawn.mlp.weights, [drawn.mlp.biases[0], np.full(3, -1e3), drawn.mlp.biases[2]])
    (message,) = warned(dead, drawn.x)
    assert "layer 0: no output listens" in message
    assert "layer 1: no output listens" in message
    assert "layer 2" not in message  # its inputs are constant, so that all of it is free


def test_saturated_probabilities():
    drawn = networks.make([4, 3, 2], "tanh")
    far = drawn.mlp.replace(drawn.mlp.weights, [drawn.mlp.biases[0], np.array([1e4, -1e4])])
    (message,) = warned(far, drawn.x, "softmax")
    assert "dead or saturated on these samples" in message


@pytest.mark.parametrize("n_samples", [1, 20])
def test_constant_inputs_and_healthy_networks_are_silent(n_samples):
    drawn = networks.make([4, 3, 2], "tanh", n_samples=n_samples)
    assert warned(drawn.mlp, drawn.x) == []
    assert warned(drawn.mlp, np.ones_like(drawn.x)) == []
    assert warned(drawn.mlp.replace([0 * w for w in drawn.mlp.weights], drawn.mlp.biases), drawn.x) == []
