"""What the targets of the cross-entropy can be: labels, one-hot integers, probabilities; the rest is refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from networks import make
from numpy.testing import assert_array_equal

import ecprune_np as ec

N = 20
X = make([4, 3]).x
ONE, THREE = make([4, 5, 1]).mlp, make([4, 5, 3]).mlp
LABELS = np.random.default_rng(0).integers(0, 3, N)
ONE_HOT = np.eye(3, dtype=int)[LABELS]

FUNCTIONS: dict[str, Callable[[ec.MLP, Any], Any]] = {  # of a network and targets
    "mean_loss": lambda mlp, y: [ec.mean_loss(mlp, X, y, "cross_entropy")],
    "loss_gradient": lambda mlp, y: ec.loss_gradient(mlp, X, y, "cross_entropy")[1].weights,
    "train": lambda mlp, y: ec.train(mlp, X, y, "cross_entropy", epochs=1).weights,
    "lbfgs": lambda mlp, y: ec.train(mlp, X, y, "cross_entropy", epochs=1, optimizer="lbfgs").weights,
    "gradient_magnitude": lambda mlp, y: ec.criteria.gradient_magnitude(mlp, X, y, "cross_entropy").importance,
    "accuracy": lambda mlp, y: [ec.accuracy(mlp, ec.Batch(X, y=y))],
    "collect_moments": lambda mlp, y: ec.collect_moments(mlp, ec.Batch(X, y=y), "cross_entropy").variance,
    "loops": lambda mlp, y: ec.oracle.loops(mlp, ec.Batch(X, y=y), "cross_entropy").importance,
    "complex_step": lambda mlp, y: ec.oracle.complex_step(mlp, ec.Batch(X, y=y), "cross_entropy").importance,
    "certify": lambda mlp, y: (
        ec.oracle.certify(mlp.astype(np.float32), ec.Batch(X, y=y), "cross_entropy").importance_bound
    ),
    "obs": lambda mlp, y: ec.criteria.obs(mlp, ec.Batch(X, y=y), "cross_entropy").importance,
    "batches": lambda mlp, y: ec.collect_moments(mlp, iter([(X[:9], y[:9]), (X[9:], y[9:])]), "cross_entropy").variance,
}

SAME: dict[str, tuple[ec.MLP, Any, Any]] = {  # two forms of the same targets
    "one-hot integers": (THREE, ONE_HOT, LABELS),
    "one-hot bytes": (THREE, ONE_HOT.astype(np.uint8), LABELS.astype(np.uint8)),
    "one-hot floats": (THREE, ONE_HOT.astype(float), LABELS),
    "booleans": (ONE, LABELS > 0, (LABELS > 0).astype(int)),
    "one-hot booleans": (THREE, ONE_HOT > 0, LABELS),
    "one logit, a column of integers": (ONE, LABELS[:, np.newaxis] % 2, LABELS % 2),
    "one logit, a column of probabilities": (ONE, LABELS[:, np.newaxis] % 2.0, LABELS % 2),
}


def changed(y: Any, index: Any, value: float) -> np.ndarray:
    y = np.array(y)
    y[index] = value
    return y


OUTSIDE, OF_SUM_1 = "y: expected probabilities of classes", "y: expected probabilities of classes that sum to 1, got"
WRONG: dict[str, tuple[ec.MLP, Any, str]] = {
    "negative": (THREE, changed(1.0 * ONE_HOT, (2, 1), -0.5), OUTSIDE),
    "negative integers": (THREE, 2 * ONE_HOT - 1, OUTSIDE),
    "negative, of sum 1": (THREE, np.full((N, 3), [1.5, -0.5, 0]), OUTSIDE),
    "rows of less than 1": (THREE, changed(1.0 * ONE_HOT, 2, 0.25), OF_SUM_1),
    "rows of zeros": (THREE, 0 * ONE_HOT, OF_SUM_1),
    "two classes at a time": (THREE, changed(ONE_HOT, (slice(None), 0), 1), OF_SUM_1),
    "logits": (THREE, 10.0 * ONE_HOT, OUTSIDE),
    "one logit, above 1": (ONE, np.full((N, 1), 1.5), OUTSIDE),
    "one logit, below 0": (ONE, np.full((N, 1), -0.5), OUTSIDE),
    "one logit, a column of 2": (ONE, LABELS[:, np.newaxis] * 2, OUTSIDE),
    "one logit, labels of 1 and 2": (ONE, LABELS % 2 + 1, "y: expected labels from 0 to 1, got 2 at ["),
    "one logit, labels of -1 and 1": (ONE, 2 * (LABELS % 2) - 1, "y: expected labels from 0 to 1, got -1 at ["),
    "one logit, two columns": (ONE, np.eye(2, dtype=int)[LABELS % 2], "y: expected shape"),
    "a label too large": (THREE, changed(LABELS, 3, 3), "y: expected labels from 0 to 2, got 3 at [3]"),
    "a label of -1": (THREE, changed(LABELS, 3, -1), "y: expected labels from 0 to 2, got -1 at [3]"),
    "a column of labels": (THREE, LABELS[:, np.newaxis], "y: expected shape"),
}


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("form", SAME)
def test_classes_are_the_same_in_any_form(name: str, form: str) -> None:
    """EC-2.5, EC-2.7: to the last bit, in everything that takes targets."""
    mlp, y, labels = SAME[form]
    for a, b in zip(FUNCTIONS[name](mlp, y), FUNCTIONS[name](mlp, labels)):
        assert_array_equal(a, b)


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("what", WRONG)
def test_what_is_no_class_and_no_probability_is_refused(name: str, what: str) -> None:
    mlp, y, message = WRONG[what]
    with pytest.raises(ValueError) as caught:
        FUNCTIONS[name](mlp, y)
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_numbers_that_are_no_labels_are_refused(name: str) -> None:
    for y, problem in ((LABELS + 0.5, "(integer labels|shape)"), (changed(1.0 * ONE_HOT, (0, 0), np.nan), "finite")):
        with pytest.raises((TypeError, ValueError), match=f"^y: .*{problem}"):
            FUNCTIONS[name](THREE, y)


def test_messages_say_where_and_what() -> None:
    for mlp, y, message in (
        (THREE, changed(1.0 * ONE_HOT, (2, 1), -0.5), ", from 0 to 1, got -0.5 at [2, 1]"),
        (THREE, changed(1.0 * ONE_HOT, 2, 0.25), " that sum to 1, got 0.75 in row 2"),
        (ONE, changed(np.ones((N, 1)), (7, 0), 1.5), ", from 0 to 1, got 1.5 at [7, 0]"),
    ):
        with pytest.raises(ValueError) as caught:
            ec.mean_loss(mlp, X, y, "cross_entropy")
        assert str(caught.value) == f"y: expected probabilities of classes{message}"


@pytest.mark.parametrize("name", FUNCTIONS)
def test_probabilities_that_rounding_has_touched_pass(name: str) -> None:
    """Those of float32, float16's by value, and one that is above 1 by a rounding."""
    p = np.random.default_rng(0).dirichlet(np.ones(3), N)
    for given in (p, p.astype(np.float32), changed(1.0 * ONE_HOT, 0, [1 + 1e-7, 0, 0])):
        FUNCTIONS[name](THREE, given)
    FUNCTIONS[name](ONE, np.full((N, 1), 1 + 1e-7))
    FUNCTIONS[name](ONE, p[:, :1].astype(np.float16))


def test_probabilities_are_more_than_their_largest() -> None:
    """Soft targets have a loss of their own; the accuracy is that of the most probable class."""
    soft = 0.6 * ONE_HOT + 0.4 / 3
    for name in ("mean_loss", "loss_gradient", "collect_moments", "loops"):
        for a, b in zip(FUNCTIONS[name](THREE, soft), FUNCTIONS[name](THREE, LABELS)):
            assert not np.isclose(a, b).any(), name
    assert FUNCTIONS["accuracy"](THREE, soft) == FUNCTIONS["accuracy"](THREE, LABELS)


def test_values_of_mse_may_be_anything() -> None:
    for y in (2 * ONE_HOT - 1, -7.5 * ONE_HOT):
        assert ec.mean_loss(THREE, X, y) > 0
        ec.collect_moments(THREE, ec.Batch(X, y=y), "mse")


def test_a_loss_metric_asked_directly_needs_targets_too() -> None:
    """`cotangents` is the door of those who build their own."""
    from ecprune_np.metrics import cotangents

    with pytest.raises(ValueError, match=r'^y: metric "mse" needs targets, got None'):
        cotangents("mse", np.ones((2, 3)))
    with pytest.raises(ValueError, match=r"^metric: expected one of .*fisher.*, got 'fischer'"):
        cotangents("fischer", np.ones((2, 3)))
