"""Files that version 0.1 wrote still load.

`files_of_0_1/` was written by 0.1.0: with `mlp = ec.MLP.initialize([3, 4, 2], "relu", seed=0)` and
`x = np.random.default_rng(0).standard_normal((10, 3))`, by `mlp.save`, `ec.collect_moments(mlp, x).save` and
`ec.prune(mlp, ec.criteria.magnitude(mlp), 0.5).save`.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import ecprune_np as ec

FOLDER = Path(__file__).with_name("files_of_0_1")
MLP = ec.MLP.initialize([3, 4, 2], "relu", seed=0)
X = np.random.default_rng(0).standard_normal((10, 3))


def parameters(mlp):
    return (*mlp.weights, *mlp.biases)


@pytest.mark.parametrize("load", [ec.MLP.load, ec.load])
def test_a_network(load):
    loaded = load(FOLDER / "network.npz")
    assert (loaded.activation, loaded.output_activation) == ("relu", "identity")
    for got, expected in zip(parameters(loaded), parameters(MLP)):
        np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize("load", [ec.Moments.load, ec.load])
def test_moments_which_cannot_say_of_what_they_are_pass_with_a_warning(load):
    with pytest.warns(UserWarning, match="moments that do not say of which network and metric they are"):
        loaded = load(FOLDER / "moments.npz")
    fresh = ec.collect_moments(MLP, X)
    for got, expected in zip(loaded.variance, fresh.variance):
        np.testing.assert_allclose(got, expected, rtol=1e-12, atol=1e-15)
    assert (loaded.metric, loaded.fingerprint) == (None, None)
    for metric in (None, "output"):
        ec.elimination_compensation(MLP, loaded, metric)
    assert loaded.merge(fresh).fingerprint == fresh.fingerprint == fresh.merge(loaded).fingerprint


def test_a_pruned_network_with_its_masks_or_in_sparse_rows():
    pruned = ec.prune(MLP, ec.criteria.magnitude(MLP), 0.5)
    loaded = ec.Pruned.load(FOLDER / "pruned.npz")
    for got, expected in zip((*loaded.masks, *parameters(loaded.mlp)), (*pruned.masks, *parameters(pruned.mlp))):
        np.testing.assert_array_equal(got, expected)
    assert isinstance(ec.load(FOLDER / "pruned.npz"), ec.SparseMLP)
    np.testing.assert_allclose(ec.SparseMLP.load(FOLDER / "pruned.npz")(X), pruned.mlp(X))
