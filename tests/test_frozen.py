"""Every object that the package hands out is frozen, and so are its copies; it compares by identity, in one line."""

from __future__ import annotations

import copy
import dataclasses
import importlib
import pickle
import pkgutil
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from networks import make

import ecprune_np as ec
from ecprune_np._frozen import Frozen
from ecprune_np.data import Dataset
from ecprune_np.pruning.row_sums import RowFactors, RowSums

D = make([3, 4, 5, 2], ["tanh", "gelu"])
BATCH = ec.Batch(D.x, D.sample_weight, D.targets("mse"))
MOMENTS = ec.collect_moments(D.mlp, BATCH)
SCORES = ec.elimination_compensation(D.mlp, MOMENTS)
_, GRADIENT = ec.loss_gradient(D.mlp, D.x, BATCH.y)
PRUNED = ec.prune(D.mlp, SCORES, 0.5)
ERRORS = ec.standard_errors(D.mlp, BATCH)
CASE = next(case for case in ec.conformance.cases() if len(case.weights) > 1)
REPORT = ec.conformance.check(lambda weights, *_: ([abs(w) for w in weights], [0 * w for w in weights]), [CASE])
RESULT = REPORT.results[0]

OBJECTS: list[Any] = [
    D.mlp,
    ec.forward(D.mlp, D.x),
    GRADIENT,
    BATCH,
    MOMENTS.layers[0],
    MOMENTS,
    SCORES,
    ec.oracle.finite_differences(D.mlp, D.x[:2]),
    ec.oracle.nonlinear(D.mlp, D.x[:2]),
    ec.oracle.exact(ec.MLP([[[1.0, 2.0]]], [[0.5]]), D.x[:2, :2]),  # in rationals, which need no extra
    PRUNED,
    PRUNED.to_sparse(),
    PRUNED.summary(D.mlp, D.x),
    RowSums(PRUNED.masks[2], np.zeros(5), np.eye(6), np.zeros((6, 2)), (np.eye(2),) * 2, (np.zeros(2),) * 2),
    RowFactors(PRUNED.masks[2], np.zeros(5), (np.eye(3),) * 2),
    ec.oracle.certify(D.mlp.astype(np.float32), D.x),
    ec.oracle.certify_pruned(PRUNED, D.mlp, D.x, "independent"),
    ec.oracle.certify_refit(PRUNED, D.mlp, D.x),
    ec.oracle.certify_nonlinear(SCORES, D.mlp, D.x[:2]),
    ec.linearization_error(D.mlp, BATCH, SCORES, n_weights=3),
    ERRORS,
    ERRORS.removed(0.5),
    Dataset(D.x, D.labels, D.x[:5], D.labels[:5]),
    CASE,
    CASE.reference,
    RESULT.outcome,
    RESULT,
    REPORT,
]
COPIES: dict[str, Callable[[Any], Any]] = {
    "itself": lambda given: given,
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
    "replace": dataclasses.replace,
    **{
        f"pickle {k}": lambda given, k=k: pickle.loads(pickle.dumps(given, k))
        for k in range(pickle.HIGHEST_PROTOCOL + 1)
    },
}

each_object = pytest.mark.parametrize("given", OBJECTS, ids=lambda given: type(given).__name__)
each_copy = pytest.mark.parametrize("copied", COPIES.values(), ids=COPIES)


def arrays(value: Any) -> Iterator[np.ndarray]:
    """Every array in an object, however deep."""
    if isinstance(value, np.ndarray):
        yield value
    elif isinstance(value, (list, tuple)):
        for entry in value:
            yield from arrays(entry)
    elif dataclasses.is_dataclass(value):
        for field in dataclasses.fields(value):
            yield from arrays(getattr(value, field.name))


def kinds(of: type) -> Iterator[type]:
    for kind in of.__subclasses__():
        yield kind
        yield from kinds(kind)


def test_every_kind_of_object_is_among_these() -> None:
    for module in pkgutil.walk_packages(ec.__path__, "ecprune_np."):
        if not module.name.endswith("__main__"):
            try:
                importlib.import_module(module.name)
            except ModuleNotFoundError as error:  # of the book, whose libraries are in an extra
                assert "book" in module.name and not str(error.name).startswith("ecprune_np"), error
    missing = set(kinds(Frozen)) - {type(given) for given in OBJECTS}
    assert not missing, missing


@each_copy
@each_object
def test_no_array_can_be_written_to(given: Any, copied: Callable[[Any], Any]) -> None:
    values = list(arrays(copied(given)))
    assert values or given is REPORT or given is RESULT
    for value in values:
        with pytest.raises(ValueError, match="read-only"):
            value[...] = 0


@each_copy
@each_object
def test_no_attribute_can_be_set_or_deleted(given: Any, copied: Callable[[Any], Any]) -> None:
    this = copied(given)
    for name in [*(field.name for field in dataclasses.fields(this)), "another"]:
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(this, name, None)
        with pytest.raises(dataclasses.FrozenInstanceError):
            delattr(this, name)


@each_copy
@each_object
def test_a_copy_is_the_same_in_everything(given: Any, copied: Callable[[Any], Any]) -> None:
    this = copied(given)
    assert type(this) is type(given) and repr(this) == repr(given) and str(this) == str(given)
    pairs = list(zip(arrays(this), arrays(given), strict=True))
    assert all(a.dtype == b.dtype and a.shape == b.shape and (a == b).all() for a, b in pairs)
    for field in dataclasses.fields(given):
        a, b = getattr(this, field.name), getattr(given, field.name)
        assert type(a) is type(b) and (isinstance(a, (np.ndarray, tuple, Frozen)) or a == b)


@each_copy
@each_object
def test_equality_is_identity_and_never_raises(given: Any, copied: Callable[[Any], Any]) -> None:
    this = copied(given)
    assert (this == given) is (this is given) and (this != given) is (this is not given)
    assert not any(this == other for other in (None, 1, "x", (), object(), *OBJECTS) if other is not this)
    assert not (this == np.ones(3)).any()  # NumPy answers entry by entry
    assert len({this, given}) == (1 if this is given else 2)


@each_object
def test_it_is_printed_in_one_line_that_begins_with_its_name(given: Any) -> None:
    line = repr(given)
    assert line.startswith(f"{type(given).__name__}(") and line.endswith(")"), line
    assert "\n" not in line and "array(" not in line and len(line) <= 120, line


@pytest.mark.parametrize(
    ("given", "line"),
    [
        (ec.MLP.initialize([784, 300, 100, 10], "relu"), "MLP(784-300-100-10, 'relu', 'identity', float64)"),
        (D.mlp, "MLP(3-4-5-2, ('tanh', 'gelu'), 'identity', float64)"),
        (ec.Batch(np.zeros((12_000, 3))), "Batch(12,000 samples)"),
        (BATCH, "Batch(20 samples, sample_weight, y)"),
        (ec.forward(D.mlp, D.x), "Trace(3-4-5-2, 20 samples)"),
        (GRADIENT, "Gradient(3 layers, 53 parameters)"),
        (MOMENTS, "Moments(3 layers, 20 samples)"),
        (SCORES, "Scores(3 layers, 42 weights)"),
        (PRUNED, "Pruned(3-4-5-2, 50.0 % removed)"),
        (PRUNED.to_sparse(), "SparseMLP(3-4-5-2, 21 weights)"),
    ],
    ids=lambda given: type(given).__name__,
)
def test_the_line_says_what_matters(given: Any, line: str) -> None:
    assert repr(given) == line


def test_replace_goes_through_the_checks() -> None:
    longer = dataclasses.replace(D.mlp, biases=[2 * b for b in D.mlp.biases])
    assert (longer.biases[0] == 2 * D.mlp.biases[0]).all() and longer.activation == ("tanh", "gelu")
    assert dataclasses.replace(MOMENTS, n_samples=3).n_samples == 3
    for call, message in [
        (lambda: dataclasses.replace(D.mlp, biases=D.mlp.biases[:1]), "biases: expected 3 layers"),
        (lambda: dataclasses.replace(D.mlp, activation="swish"), "activation: expected one of"),
        (lambda: dataclasses.replace(SCORES, importance=[-i for i in SCORES.importance]), "expected no negative value"),
        (lambda: dataclasses.replace(PRUNED, masks=PRUNED.masks[:1]), "masks: expected 3 layers, got 1"),
    ]:
        with pytest.raises(ValueError, match=message):
            call()


def test_what_was_handed_in_stays_writable_and_is_not_followed() -> None:
    """A network, scores and masks are copies; a batch is as large as the data, and is none."""
    weights, masks, importance = [np.ones((2, 3))], [np.ones((2, 3), bool)], [np.ones((2, 3))]
    shifts = [np.ones((2, 3))]
    mlp = ec.MLP(weights, [np.zeros(2)])
    pruned, scores = ec.Pruned(mlp, masks), ec.Scores(importance, shifts)
    weights[0][:] = masks[0][:] = importance[0][:] = shifts[0][:] = 0
    assert mlp.weights[0].all() and pruned.masks[0].all()
    assert scores.importance[0].all() and scores.bias_shift[0].all()
    assert not scores.importance[0].flags.writeable and not scores.bias_shift[0].flags.writeable
    x = np.ones((5, 3))
    batch = ec.Batch(x)
    x[0] = 2
    assert np.shares_memory(batch.x, x) and batch.x[0, 0] == 2


def test_sparse_layers_cannot_change_their_network() -> None:
    sparse = PRUNED.to_sparse()
    before = sparse(D.x)
    for name in ("data", "indices", "indptr"):
        with pytest.raises(ValueError, match="read-only"):
            getattr(sparse.weights[0], name)[0] = 7
    assert (sparse(D.x) == before).all()
