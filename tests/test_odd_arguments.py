"""One odd argument at a time in every public function: an answer, or an error of our own that says what is wrong."""

from __future__ import annotations

import linecache
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.sparse

import ecprune_np as ec
from ecprune_np import data

PACKAGE = Path(ec.__file__).parent
MLP = ec.MLP.initialize([3, 4, 2], "tanh", seed=0)
X = np.random.default_rng(0).standard_normal((6, 3))
LABELS = np.array([0, 1, 1, 0, 1, 0])
Y = np.random.default_rng(1).standard_normal((6, 2))
LABELLED = ec.Batch(X, y=LABELS)
TRACE = ec.forward(MLP, X)
MOMENTS = ec.collect_moments(MLP, X)
SCORES = ec.elimination_compensation(MLP, MOMENTS)
PRUNED = ec.prune(MLP, SCORES, 0.5)
ERRORS = ec.standard_errors(MLP, X, groups=3)

CALLS: dict[str, tuple[Callable[..., Any], dict[str, Any]]] = {
    "MLP": (
        ec.MLP,
        {"weights": list(MLP.weights), "biases": list(MLP.biases), "activation": "relu", "output_activation": "tanh"},
    ),
    "MLP.initialize": (
        ec.MLP.initialize,
        {"sizes": [3, 2], "activation": "relu", "output_activation": "identity", "seed": 0, "dtype": np.float64},
    ),
    "MLP.replace": (MLP.replace, {"weights": list(MLP.weights), "biases": list(MLP.biases)}),
    "MLP.astype": (MLP.astype, {"dtype": np.float32}),
    "MLP()": (MLP, {"x": X}),
    "forward": (ec.forward, {"mlp": MLP, "x": X}),
    "pullback": (ec.pullback, {"mlp": MLP, "trace": TRACE, "cotangents": np.ones((1, 6, 2))}),
    "loss_gradient": (ec.loss_gradient, {"mlp": MLP, "x": X, "y": Y, "loss": "mse"}),
    "mean_loss": (ec.mean_loss, {"mlp": MLP, "x": X, "y": LABELS, "loss": "cross_entropy"}),
    "accuracy": (ec.accuracy, {"mlp": MLP, "x": LABELLED}),
    "train": (
        ec.train,
        {
            "mlp": MLP,
            "x": X,
            "y": LABELS,
            "loss": "cross_entropy",
            "epochs": 1,
            "batch_size": 3,
            "learning_rate": 1e-3,
            "masks": PRUNED.masks,
            "seed": 0,
            "optimizer": "adam",
        },
    ),
    "Batch": (lambda **given: ec.collect_moments(MLP, ec.Batch(**given)), {"x": X, "sample_weight": None}),
    "Batch.y": (lambda **given: ec.collect_moments(MLP, ec.Batch(**given), "mse"), {"x": X, "y": Y}),
    "collect_moments": (
        ec.collect_moments,
        {"mlp": MLP, "x": X, "metric": "fisher", "batch_size": 4, "n_samples": 6},
    ),
    "Moments.merge": (MOMENTS.merge, {"other": MOMENTS}),
    "Scores": (ec.Scores, {"importance": list(SCORES.importance), "bias_shift": list(SCORES.bias_shift)}),
    "elimination_compensation": (ec.elimination_compensation, {"mlp": MLP, "x_or_moments": X, "metric": "softmax"}),
    "prune": (
        ec.prune,
        {
            "mlp": MLP,
            "scores": SCORES,
            "sparsity": 0.6,
            "scope": "layer",
            "masks": PRUNED.masks,
            "compensation": "joint",
            "x": X,
            "metric": "output",
        },
    ),
    "prune_iteratively": (
        ec.prune_iteratively,
        {"mlp": MLP, "x": X, "sparsity": 0.5, "steps": 2, "metric": "output", "scope": "global", "batch_size": 5},
    ),
    "sparsity_schedule": (ec.sparsity_schedule, {"sparsity": 0.5, "steps": 3}),
    "Pruned": (ec.Pruned, {"mlp": MLP, "masks": PRUNED.masks}),
    "joint_shifts": (
        ec.joint_shifts,
        {"mlp": MLP, "x": X, "masks": PRUNED.masks, "metric": "output", "biases": "all", "batch_size": 2},
    ),
    "linearization_error": (
        ec.linearization_error,
        {"mlp": MLP, "x": X, "scores": SCORES, "n_weights": 3, "seed": 0, "metric": "output"},
    ),
    "standard_errors": (
        ec.standard_errors,
        {"mlp": MLP, "x": X, "metric": "output", "groups": 3, "batch_size": 2},
    ),
    "StandardErrors.removed": (ERRORS.removed, {"sparsity": 0.5, "scope": "layer"}),
    "RemovedSet.samples_for": (ERRORS.removed(0.5).samples_for, {"share": 0.01}),
    "linearization_error.weights": (
        ec.linearization_error,
        {"mlp": MLP, "x": X, "scores": SCORES, "weights": [(0, 1, 1)]},
    ),
    "obs_update": (ec.obs_update, {"mlp": MLP, "x": X, "masks": PRUNED.masks, "metric": "output", "batch_size": 3}),
    "obc_update": (ec.obc_update, {"mlp": MLP, "x": X, "masks": PRUNED.masks, "metric": "output", "batch_size": 3}),
    "SparseMLP.from_dense": (ec.SparseMLP.from_dense, {"mlp": MLP}),
    "SparseMLP()": (PRUNED.to_sparse(), {"x": X}),
    "criteria.magnitude": (ec.criteria.magnitude, {"mlp": MLP}),
    "criteria.gradient_magnitude": (ec.criteria.gradient_magnitude, {"mlp": MLP, "x": X, "y": Y, "loss": "mse"}),
    "criteria.random": (ec.criteria.random, {"mlp": MLP, "seed": 0}),
    "criteria.obd": (ec.criteria.obd, {"mlp": MLP, "x_or_moments": X, "metric": "output"}),
    "criteria.wanda": (ec.criteria.wanda, {"mlp": MLP, "x": X, "batch_size": 3}),
    "criteria.obc": (ec.criteria.obc, {"mlp": MLP, "x": X, "metric": "output", "batch_size": 3}),
    "criteria.obs": (ec.criteria.obs, {"mlp": MLP, "x": X, "metric": "output", "batch_size": 3}),
    "oracle.loops": (ec.oracle.loops, {"mlp": MLP, "x": X, "metric": "output"}),
    "oracle.complex_step": (ec.oracle.complex_step, {"mlp": MLP, "x": X, "metric": "fisher"}),
    "oracle.finite_differences": (ec.oracle.finite_differences, {"mlp": MLP, "x": X, "metric": "output"}),
    "oracle.nonlinear": (
        ec.oracle.nonlinear,
        {"mlp": MLP, "x": X, "metric": "output", "max_steps": 3, "memory": 2**16},
    ),
    "oracle.certify": (ec.oracle.certify, {"mlp": MLP, "x": X, "metric": "softmax"}),
    "oracle.refit_biases": (ec.oracle.refit_biases, {"pruned": PRUNED, "mlp": MLP, "x": X, "metric": "output"}),
    "oracle.true_change": (
        ec.oracle.true_change,
        {"pruned_mlp": PRUNED.mlp, "mlp": MLP, "x": X, "metric": "output"},
    ),
    "MLP.load": (ec.MLP.load, {"file": "none.npz"}),
    "Moments.load": (ec.Moments.load, {"file": "none.npz"}),
    "SparseMLP.load": (ec.SparseMLP.load, {"file": "none.npz"}),
    "data.load_dataset": (data.load_dataset, {"file": "none.npz", "scale": 1.0}),
    "data.read_idx": (data.read_idx, {"file": "none.idx"}),
}
ODD: dict[str, Any] = {
    "None": None,
    "a string": "relu!",
    "an empty string": "",
    "bytes": b"relu",
    "True": True,
    "-1": -1,
    "0": 0,
    "1": 1,
    "0.5": 0.5,
    "1e400": float("inf"),
    "nan": float("nan"),
    "2**70": 2**70,
    "a complex number": 1j,
    "an empty list": [],
    "an empty tuple": (),
    "a dict": {"x": 1},
    "a set": {1, 2},
    "an object": object(),
    "a class": int,
    "a function": len,
    "a list of strings": ["a", "b"],
    "a list of None": [None, None],
    "a ragged list": [[1.0], [1.0, 2.0]],
    "an empty array": np.zeros((0, 3)),
    "no dimension": np.array(1.0),
    "a vector": np.ones(3),
    "a matrix": np.ones((6, 3)),
    "a wide matrix": np.ones((6, 7)),
    "three dimensions": np.ones((1, 6, 2)),
    "nan inside": np.full((6, 3), np.nan),
    "inf inside": np.full((6, 3), np.inf),
    "complex inside": np.ones((6, 3), complex),
    "text inside": np.full((6, 3), "1"),
    "objects inside": np.full((6, 3), None),
    "dates inside": np.zeros((6, 3), "datetime64[s]"),
    "booleans inside": np.ones((6, 3), bool),
    "float16 inside": np.ones((6, 3), np.float16),
    "big-endian": np.ones((6, 3), ">f8"),
    "negative": -np.ones((6, 3)),
    "masked": np.ma.masked_array(np.ones((6, 3)), mask=np.eye(6, 3, dtype=bool)),
    "sparse": scipy.sparse.csr_array(np.ones((6, 3))),
    "a record": np.zeros(6, [("a", float), ("b", int)]),
    "huge": np.full((6, 3), 1e200),
    "a network": MLP,
    "a trace": TRACE,
    "moments": MOMENTS,
    "scores": SCORES,
    "a pruned network": PRUNED,
    "a batch": ec.Batch(X),
    "a batch of nothing": ec.Batch(None),
    "a list of batches": [ec.Batch(X), ec.Batch(X)],
    "a list of arrays": [X, X],
    "weights": list(MLP.weights),
    "two masks": [np.ones((2, 2), bool)] * 2,
    "an iterator": iter(()),
    "a range": range(3),
    "a path": Path("none"),
}
REPETITIONS = ("epochs", "steps", "max_steps")  # taken at their word, however many


def raised_by_us(error: BaseException) -> bool:
    """Whether the line that raised the error, or one that it was raised from, is a `raise` in the package."""
    frames = traceback.extract_tb(error.__traceback__)
    return Path(frames[-1].filename).is_relative_to(PACKAGE) and any(
        linecache.getline(frames[-1].filename, n).lstrip().startswith("raise")
        for n in range(max(1, frames[-1].lineno - 3), frames[-1].lineno + 1)
    )


@pytest.mark.parametrize(
    ("name", "argument"), [(name, argument) for name, (_, given) in CALLS.items() for argument in given]
)
def test_an_odd_argument_is_answered_or_refused_in_our_own_words(name, argument, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    call, given = CALLS[name]
    problems = []
    for what, odd in ODD.items():
        if (what == "2**70" and argument in REPETITIONS) or (callable(odd) and argument == "metric"):
            continue  # a callable metric's own errors are its caller's
        value = iter(()) if what == "an iterator" else odd
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                call(**{**given, argument: value})
        except (ValueError, TypeError) as error:
            if not raised_by_us(error):
                problems.append(f"{what}: from inside, {type(error).__name__}: {error}")
            elif "\n" in str(error) or not str(error):
                problems.append(f"{what}: not one line, {error}")
        except OSError as error:
            if argument != "file":
                problems.append(f"{what}: {error}")
        except Exception as error:
            problems.append(f"{what}: {type(error).__name__}: {error}")
    assert problems == []


@pytest.mark.parametrize(
    "returned", [None, 1.0, np.ones(2), np.ones((6, 2)), np.ones((1, 6, 3)), np.full((1, 6, 2), "a")]
)
@pytest.mark.parametrize(
    "call",
    [
        ec.collect_moments,
        ec.criteria.obs,
        ec.oracle.loops,
        ec.oracle.complex_step,
        ec.oracle.finite_differences,
        ec.oracle.nonlinear,
        ec.oracle.certify,
    ],
)
def test_a_callable_metric_that_returns_no_cotangents_is_told_so(call, returned):
    with pytest.raises((ValueError, TypeError), match=r"^metric\(outputs\): expected "):
        call(MLP, X, lambda outputs: returned)
