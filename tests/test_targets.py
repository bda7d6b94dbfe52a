"""What counts as targets of the cross-entropy: classes, one-hot integers, probabilities; and nothing else."""

from __future__ import annotations

import networks
import numpy as np
import pytest

import ecprune_np as ec

DRAWN = networks.make([4, 5, 3], "tanh")
ONE = networks.make([4, 5, 1], "tanh")
LABELS = np.random.default_rng(0).integers(0, 3, len(DRAWN.x))
ONE_HOT = np.eye(3, dtype=int)[LABELS]


def functions(mlp):
    return {
        "mean_loss": lambda y: ec.mean_loss(mlp, DRAWN.x, y, "cross_entropy"),
        "loss_gradient": lambda y: ec.loss_gradient(mlp, DRAWN.x, y, "cross_entropy")[1].weights,
        "train": lambda y: ec.train(mlp, DRAWN.x, y, "cross_entropy", epochs=1).weights,
        "gradient_magnitude": lambda y: ec.criteria.gradient_magnitude(mlp, DRAWN.x, y, "cross_entropy").importance,
        "collect_moments": lambda y: ec.collect_moments(mlp, ec.Batch(DRAWN.x, y=y), "cross_entropy").variance,
        "loops": lambda y: ec.oracle.loops(mlp, ec.Batch(DRAWN.x, y=y), "cross_entropy").importance,
        "accuracy": lambda y: ec.accuracy(mlp, ec.Batch(DRAWN.x, y=y)),
    }


@pytest.mark.parametrize("name", functions(DRAWN.mlp))
def test_one_hot_integers_are_classes_everywhere(name):
    call = functions(DRAWN.mlp)[name]
    for given, expected in (
        zip(np.atleast_1d(call(ONE_HOT)), np.atleast_1d(call(LABELS)))
        if name
        in (
            "mean_loss",
            "accuracy",
        )
        else zip(call(ONE_HOT), call(LABELS))
    ):
        np.testing.assert_array_equal(given, expected)


def changed(y, index, value):
    y = np.array(y, float)
    y[index] = value
    return y


WRONG = {
    "negative": (DRAWN, changed(ONE_HOT, (2, 1), -0.5), "none negative|sum to 1"),
    "too little": (DRAWN, changed(ONE_HOT, (2,), 0.25), "sum to 1"),
    "too much": (DRAWN, changed(ONE_HOT, (2,), 0.5), "sum to 1"),
    "another class": (DRAWN, np.where(np.arange(len(LABELS)) == 3, 3, LABELS), r"labels from 0 to 2, got 3 at \[3\]"),
    "a fraction for a label": (DRAWN, LABELS + 0.5, "integer labels|expected shape"),
    "one logit, above one": (ONE, np.full((len(LABELS), 1), 1.5), "none negative|sum to 1"),
    "one logit, class 2": (ONE, np.where(np.arange(len(LABELS)) == 3, 2, LABELS % 2), r"labels from 0 to 1, got 2"),
}


@pytest.mark.parametrize("what", WRONG)
@pytest.mark.parametrize("name", functions(DRAWN.mlp))
def test_what_is_no_probability_is_refused(name, what):
    drawn, y, words = WRONG[what]
    with pytest.raises((ValueError, TypeError), match=f"^y: .*({words})"):
        functions(drawn.mlp)[name](y)


def test_probabilities_that_float32_has_rounded_pass():
    p = np.random.default_rng(0).random((len(LABELS), 3)).astype(np.float32)
    ec.mean_loss(DRAWN.mlp, DRAWN.x, p / p.sum(axis=1, keepdims=True), "cross_entropy")
