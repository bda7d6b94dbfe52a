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
SMALL = ec.MLP.initialize([3, 2, 2], "relu", seed=0)
STATE = {"0.weight": MLP.weights[0], "0.bias": MLP.biases[0], "1.weight": MLP.weights[1]}
TREE = {"Dense_0": {"kernel": MLP.weights[0].T}, "Dense_1": {"kernel": MLP.weights[1].T, "bias": MLP.biases[1]}}
NAMES = {"activation": "relu", "output_activation": "tanh"}

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
            "callback": None,
        },
    ),
    "train, pruned": (ec.train, {"mlp": PRUNED, "x": X, "y": Y, "optimizer": "lbfgs", "epochs": 1}),
    "Batch": (lambda **given: ec.collect_moments(MLP, ec.Batch(**given)), {"x": X, "sample_weight": None}),
    "Batch.y": (lambda **given: ec.collect_moments(MLP, ec.Batch(**given), "mse"), {"x": X, "y": Y}),
    "collect_moments": (
        ec.collect_moments,
        {"mlp": MLP, "x": X, "metric": "fisher", "batch_size": 4, "n_samples": 6},
    ),
    "Moments.merge": (MOMENTS.merge, {"other": MOMENTS}),
    "Scores": (ec.Scores, {"importance": list(SCORES.importance), "bias_shift": list(SCORES.bias_shift)}),
    "elimination_compensation": (
        ec.elimination_compensation,
        {"mlp": MLP, "x_or_moments": X, "metric": "softmax", "batch_size": 4},
    ),
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
    "prune, rows": (
        ec.prune,
        {"mlp": MLP, "scores": SCORES, "sparsity": 0.5, "compensation": "row", "x": X, "target": MLP},
    ),
    "prune_iteratively, on": (
        ec.prune_iteratively,
        {
            "mlp": PRUNED,
            "x": X,
            "sparsity": 0.7,
            "steps": 1,
            "compensation": "guarded",
            "target": MLP,
            "callback": None,
        },
    ),
    "prune_iteratively": (
        ec.prune_iteratively,
        {"mlp": MLP, "x": X, "sparsity": 0.5, "steps": 2, "metric": "output", "scope": "global", "batch_size": 5},
    ),
    "prune_and_train": (
        ec.prune_and_train,
        {
            "mlp": MLP,
            "x": ec.Batch(X, y=Y),
            "sparsity": 0.5,
            "loss": "mse",
            "steps": 1,
            "epochs": 1,
            "metric": "output",
            "scope": "layer",
            "compensation": "guarded",
            "target": MLP,
            "callback": None,
        },
    ),
    "pruned.summary": (PRUNED.summary, {"dense": MLP, "x": ec.Batch(X, y=Y)}),
    "sparsity_schedule": (ec.sparsity_schedule, {"sparsity": 0.5, "steps": 3, "start": 0.1}),
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
    "criteria.obd": (ec.criteria.obd, {"mlp": MLP, "x_or_moments": X, "metric": "output", "batch_size": 4}),
    "criteria.wanda": (ec.criteria.wanda, {"mlp": MLP, "x": X, "batch_size": 3}),
    "criteria.obc": (ec.criteria.obc, {"mlp": MLP, "x": X, "metric": "output", "batch_size": 3}),
    "criteria.obs": (ec.criteria.obs, {"mlp": MLP, "x": X, "metric": "output", "batch_size": 3}),
    "oracle.loops": (ec.oracle.loops, {"mlp": MLP, "x": X, "metric": "output"}),
    "oracle.complex_step": (ec.oracle.complex_step, {"mlp": MLP, "x": X, "metric": "fisher"}),
    "oracle.finite_differences": (ec.oracle.finite_differences, {"mlp": MLP, "x": X, "metric": "output"}),
    "oracle.nonlinear": (
        ec.oracle.nonlinear,
        {"mlp": MLP, "x": X, "metric": "output", "max_steps": 3, "memory": 2**16, "progress": None},
    ),
    "oracle.certify": (ec.oracle.certify, {"mlp": MLP, "x": X, "metric": "softmax", "scores": SCORES}),
    "oracle.certify_pruned": (
        ec.oracle.certify_pruned,
        {"pruned": PRUNED, "mlp": MLP, "x": X, "compensation": "row", "metric": "output", "target": MLP},
    ),
    "oracle.certify_nonlinear": (ec.oracle.certify_nonlinear, {"scores": SCORES, "mlp": MLP, "x": X, "metric": "mse"}),
    "oracle.certify_refit": (ec.oracle.certify_refit, {"pruned": PRUNED, "mlp": MLP, "x": X, "metric": "output"}),
    "oracle.refit_biases": (ec.oracle.refit_biases, {"pruned": PRUNED, "mlp": MLP, "x": X, "metric": "output"}),
    "oracle.true_change": (
        ec.oracle.true_change,
        {"pruned_mlp": PRUNED.mlp, "mlp": MLP, "x": X, "metric": "output"},
    ),
    "oracle.wider_format": (ec.oracle.wider_format, {"dtype": np.float32}),
    "oracle.exact": (ec.oracle.exact, {"mlp": SMALL, "x": X[:2], "metric": "output", "digits": 20}),
    "oracle.exact_gradient": (
        ec.oracle.exact_gradient,
        {"mlp": SMALL, "x": ec.Batch(X[:2], y=Y[:2]), "metric": "mse", "digits": 20},
    ),
    "oracle.exact_criterion": (
        ec.oracle.exact_criterion,
        {"name": "obs", "mlp": SMALL, "x": X[:2], "metric": "output", "digits": 20},
    ),
    "oracle.exact_masks": (ec.oracle.exact_masks, {"scores": SCORES, "sparsity": 0.5, "scope": "global"}),
    "load": (ec.load, {"file": "none.npz"}),
    "MLP.save": (MLP.save, {"file": "some.npz"}),
    "Moments.save": (MOMENTS.save, {"file": "some.npz"}),
    "Scores.save": (SCORES.save, {"file": "some.npz"}),
    "Scores.load": (ec.Scores.load, {"file": "none.npz"}),
    "Pruned.save": (PRUNED.save, {"file": "some.npz"}),
    "Pruned.load": (ec.Pruned.load, {"file": "none.npz"}),
    "Pruned.from_zeros": (ec.Pruned.from_zeros, {"mlp": MLP}),
    "MLP.load": (ec.MLP.load, {"file": "none.npz"}),
    "MLP.load, by hand": (lambda **given: ec.MLP.load("by_hand.npz", **given), NAMES),
    "Moments.load": (ec.Moments.load, {"file": "none.npz"}),
    "SparseMLP.load": (ec.SparseMLP.load, {"file": "none.npz"}),
    "data.load_dataset": (data.load_dataset, {"file": "none.npz", "scale": 1.0}),
    "data.read_idx": (data.read_idx, {"file": "two.idx", "md5": None}),
    "data.load_digits": (data.load_digits, {}),
    "data.load_mnist": (data.load_mnist, {"folder": "none"}),
    "interop.from_layers": (ec.interop.from_layers, {"layers": [(w, None) for w in MLP.weights], **NAMES}),
    "interop.from_torch": (ec.interop.from_torch, {"module": STATE, **NAMES}),
    "interop.to_torch": (ec.interop.to_torch, {"network": MLP, "module": STATE, "masks": True}),
    "interop.from_flax": (ec.interop.from_flax, {"params": TREE, **NAMES}),
    "interop.to_flax": (ec.interop.to_flax, {"network": MLP, "params": TREE, "masks": True}),
    "interop.from_safetensors": (ec.interop.from_safetensors, {"file": "some.safetensors", **NAMES}),
    "interop.to_safetensors": (ec.interop.to_safetensors, {"network": MLP, "file": "other.safetensors"}),
    "interop.from_keras": (ec.interop.from_keras, {"model": None}),
    "interop.to_keras": (ec.interop.to_keras, {"network": MLP, "model": None}),
    "interop.from_sklearn": (ec.interop.from_sklearn, {"estimator": None}),
    "interop.to_sklearn": (ec.interop.to_sklearn, {"network": MLP, "estimator": None}),
    "interop.keep_zeros": (ec.interop.keep_zeros, {"estimator": None, "masks": PRUNED}),
    "interop.from_equinox": (ec.interop.from_equinox, {"model": None}),
    "interop.from_onnx": (ec.interop.from_onnx, {"model": None}),
}
RESULTS = {  # of functions, as the scores of oracles are
    *("BatchError", "Gradient", "LinearizationError", "Moments", "RemovedSet", "StandardErrors", "Summary", "Trace"),
}


def test_no_public_function_is_missing():
    public = {
        f"{part}.{name}" for part in ("criteria", "oracle", "data", "interop") for name in getattr(ec, part).__all__
    }
    public |= {name for name in ec.__all__ if callable(getattr(ec, name))} - RESULTS
    called = {name.partition(",")[0].removesuffix("()") for name in CALLS}
    scores = {f"oracle.{name}Scores" for name in ("Estimated", "Exact", "Nonlinear")}
    of_oracles = scores | {f"oracle.{name}Certificate" for name in ("", "Nonlinear", "Pruned", "Refit")}
    assert public - called - of_oracles == {"criteria.elimination_compensation", "data.Dataset"}  # the same; no checks


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
REPETITIONS = ("epochs", "steps", "max_steps", "digits")  # taken at their word, however many
OF_THE_CALLER = ("metric", "callback", "progress")  # whose own errors are


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
    Path("two.idx").write_bytes(bytes([0, 0, 8, 1, 0, 0, 0, 2, 5, 7]))
    np.savez("by_hand.npz", weights_0=MLP.weights[0], biases_0=MLP.biases[0])
    ec.interop.to_safetensors(MLP, "some.safetensors")
    call, given = CALLS[name]
    problems = []
    for what, odd in ODD.items():
        if (what == "2**70" and argument in REPETITIONS) or (callable(odd) and argument in OF_THE_CALLER):
            continue
        value = iter(()) if what == "an iterator" else odd
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                call(**{**given, argument: value})
        except (ValueError, TypeError) as error:
            if not raised_by_us(error):
                problems.append(f"{what}: from inside, {type(error).__name__}: {error}")
            elif ("\n" in str(error) and argument != "folder") or not str(error):
                problems.append(f"{what}: not one line, {error}")
        except OSError as error:
            if argument not in ("file", "model"):
                problems.append(f"{what}: {error}")
        except ImportError as error:
            if "pip install 'ecprune_np[exact]'" not in str(error):
                problems.append(f"{what}: {error}")
        except Exception as error:
            problems.append(f"{what}: {type(error).__name__}: {error}")
    assert problems == []


@pytest.mark.parametrize(
    "returned",
    [None, 1.0, np.ones(2), np.ones((6, 2)), np.ones((1, 6, 3)), np.ones((0, 6, 2)), np.full((1, 6, 2), "a")],
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
        ec.oracle.exact,
        lambda mlp, x, metric: ec.oracle.true_change(mlp, mlp, x, metric),
        lambda mlp, x, metric: ec.prune(mlp, SCORES, 0.5, compensation="refit", x=x, metric=metric),
        lambda mlp, x, metric: ec.prune_iteratively(mlp, x, 0.5, metric=metric),
    ],
)
def test_a_callable_metric_that_returns_no_cotangents_is_told_so(call, returned):
    if call is ec.oracle.exact:
        pytest.importorskip("mpmath", reason="exact values of tanh need mpmath")
    with pytest.raises((ValueError, TypeError), match=r"^metric\(outputs\): expected "):
        call(MLP, X, lambda outputs: returned)
