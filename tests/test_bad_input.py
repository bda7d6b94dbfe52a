"""Every public function names the argument that is wrong, what was expected and what came."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from networks import METRICS, make

import ecprune_np as ec
from ecprune_np.error_analysis.comparison import worst_error

D = make([3, 4, 2])
MLP, X = D.mlp, D.x
LARGE = ec.MLP([np.full((1, 3), 1e200), [[1e200]]], [np.zeros(1), np.zeros(1)], "identity")
TRACE = ec.forward(MLP, X)
MOMENTS = ec.collect_moments(MLP, X)
SCORES = ec.elimination_compensation(MLP, X)
OTHER = make([3, 5, 2])
ALL_KEPT = [np.ones((4, 3), bool), np.ones((2, 4), bool)]
ALL_REMOVED = [np.zeros((4, 3), bool), np.zeros((2, 4), bool)]


def with_nan(a: np.ndarray, *index: int) -> np.ndarray:
    b = np.array(a)
    b[index] = np.nan
    return b


CASES: list[tuple[Callable[[], Any], type[Exception], str]] = [
    # the network
    (lambda: ec.MLP([], []), ValueError, "weights: expected at least one layer, got none"),
    (
        lambda: ec.MLP(np.ones((2, 2)), []),
        TypeError,
        "weights: expected a list or tuple with one array a layer, got ndarray",
    ),
    (
        lambda: ec.MLP([np.ones(3)], [np.ones(1)]),
        ValueError,
        "weights[0]: expected shape (n_out, n_in) with no zero, got (3,)",
    ),
    (
        lambda: ec.MLP([np.ones((0, 3))], [np.ones(0)]),
        ValueError,
        "weights[0]: expected shape (n_out, n_in) with no zero, got (0, 3)",
    ),
    (
        lambda: ec.MLP([np.ones((300, 784)), np.ones((10, 784))], [np.ones(300), np.ones(10)]),
        ValueError,
        "weights[1]: expected 300 columns, got 784",
    ),
    (lambda: ec.MLP([np.ones((2, 3))], []), ValueError, "biases: expected 1 layers as in weights, got 0"),
    (lambda: ec.MLP([np.ones((2, 3))], [np.ones(3)]), ValueError, "biases[0]: expected shape (2,), got (3,)"),
    (
        lambda: ec.MLP([np.ones((2, 3), complex)], [np.ones(2)]),
        TypeError,
        "weights[0]: expected float32, float64, longdouble or integers, got complex128",
    ),
    (
        lambda: ec.MLP([np.ones((2, 3), np.float16)], [np.ones(2)]),
        TypeError,
        "weights[0]: expected float32, float64, longdouble or integers, got float16",
    ),
    (
        lambda: ec.MLP([with_nan(np.ones((2, 3)), 1, 2)], [np.ones(2)]),
        ValueError,
        "weights[0]: not finite at [1, 2] (nan)",
    ),
    (
        lambda: ec.MLP([np.ones((2, 3))], [np.ones(2)], "swish"),
        ValueError,
        "activation: expected one of identity, relu, leaky_relu",
    ),
    (lambda: ec.MLP([np.ones((2, 3))], [np.ones(2)], np.tanh), TypeError, "activation: expected a name, got ufunc"),
    (
        lambda: ec.MLP(list(MLP.weights), list(MLP.biases), ["tanh", "relu"]),
        ValueError,
        "activation: expected one name, or one per hidden layer (1), got 2",
    ),
    (lambda: ec.MLP(list(MLP.weights), list(MLP.biases), ["swish"]), ValueError, "activation[0]: expected one of"),
    (lambda: ec.MLP(list(MLP.weights), list(MLP.biases), [1]), TypeError, "activation[0]: expected a name, got int"),
    (
        lambda: ec.MLP.initialize([3, 4, 2], ["tanh", "relu"]),
        ValueError,
        "activation: expected one name, or one per hidden layer (1), got 2",
    ),
    (
        lambda: ec.MLP([np.ones((2, 3))], [np.ones(2)], "tanh", "softmax"),
        ValueError,
        "output_activation: expected one of",
    ),
    (lambda: ec.MLP.initialize([3]), ValueError, "sizes: expected at least two widths, inputs first, got 1"),
    (lambda: ec.MLP.initialize([3, 0]), ValueError, "sizes[1]: expected at least 1, got 0"),
    (lambda: ec.MLP.initialize([3, 2.5]), TypeError, "sizes[1]: expected an integer, got float"),
    (lambda: ec.MLP.initialize([3, 2], seed=-1), ValueError, "seed: expected at least 0, got -1"),
    # samples
    (lambda: MLP(X[0]), ValueError, "x: expected shape (N, 3), got (3,)"),
    (lambda: MLP(X[:, :2]), ValueError, "x: expected shape (N, 3), got (20, 2)"),
    (lambda: MLP(X[:0]), ValueError, "x: expected at least one sample, got shape (0, 3)"),
    (lambda: MLP(with_nan(X, 12, 2)), ValueError, "x: not finite at [12, 2] (nan)"),
    (lambda: MLP([["a", "b", "c"]]), TypeError, "x: expected float32, float64, longdouble or integers, got <U1"),
    (lambda: MLP.astype(np.float32)(np.full((1, 3), 1e300)), ValueError, "x: not finite at [0, 0] (1e+300 as float32)"),
    (lambda: LARGE([[1, 1, 1]]), ValueError, "forward: overflow in layer 1 (float64)"),
    (lambda: ec.forward("mlp", X), TypeError, "mlp: expected MLP, got str"),
    # derivatives
    (
        lambda: ec.pullback(MLP, TRACE, np.ones((20, 2))),
        ValueError,
        "cotangents: expected shape (R, 20, 2), got (20, 2)",
    ),
    (
        lambda: ec.pullback(MLP, TRACE, np.ones((1, 20, 1))),
        ValueError,
        "cotangents: expected shape (R, 20, 2), got (1, 20, 1)",
    ),
    (lambda: ec.pullback(MLP, X, np.ones((1, 20, 2))), TypeError, "trace: expected Trace, got ndarray"),
    (
        lambda: ec.pullback(LARGE, ec.forward(LARGE, np.zeros((1, 3))), np.full((1, 1, 1), 1e200)),
        ValueError,
        "pullback: overflow in layer 0",
    ),
    (
        lambda: ec.loss_gradient(MLP, X, X[:, :2], "mae"),
        ValueError,
        "loss: expected one of mse, cross_entropy, got 'mae'",
    ),
    (lambda: ec.loss_gradient(MLP, X, X), ValueError, "y: expected shape (20, 2), got (20, 3)"),
    (lambda: ec.loss_gradient(MLP, X, X[:, 0]), ValueError, "y: expected shape (20, 2), got (20,)"),
    (
        lambda: ec.loss_gradient(MLP, X, X, "cross_entropy"),
        ValueError,
        "y: expected shape (20,) of labels or (20, 2), got (20, 3)",
    ),
    (
        lambda: ec.loss_gradient(MLP, X, np.zeros(19, int), "cross_entropy"),
        ValueError,
        "y: expected shape (20,), got (19,)",
    ),
    (
        lambda: ec.loss_gradient(MLP, X, np.zeros(20), "cross_entropy"),
        TypeError,
        "y: expected integer labels for shape (N,), got float64",
    ),
    (
        lambda: ec.loss_gradient(MLP, X, np.arange(20), "cross_entropy"),
        ValueError,
        "y: expected labels from 0 to 1, got 2 at [2]",
    ),
    (
        lambda: ec.accuracy(MLP, ec.Batch(X, y=np.full(20, -1))),
        ValueError,
        "y: expected labels from 0 to 1, got -1 at [0]",
    ),
    (lambda: ec.accuracy(MLP, X), ValueError, "y: accuracy needs labels, got None; hand over ec.Batch(x, y=labels)"),
    # moments and scores
    (
        lambda: ec.collect_moments(MLP, X, "kl"),
        ValueError,
        "metric: expected one of output, softmax, fisher, mse, cross_entropy, got 'kl'",
    ),
    (lambda: ec.collect_moments(MLP, X, 3), TypeError, "metric: expected a name, got int"),
    (
        lambda: ec.collect_moments(MLP, X, "loss"),
        ValueError,
        "metric: expected one of output, softmax, fisher, mse, cross_entropy, got 'loss'",
    ),
    (
        lambda: ec.collect_moments(MLP, X, "mse"),
        ValueError,
        'y: metric "mse" needs targets, got None; hand over ec.Batch(x, y=y)',
    ),
    (lambda: ec.collect_moments(MLP, "x"), TypeError, "x: expected an array (N, n_0), an ec.Batch, or an iterator"),
    (
        lambda: ec.collect_moments(MLP, {"x": X}),
        TypeError,
        "x: expected an array (N, n_0), an ec.Batch, or an iterator",
    ),
    (
        lambda: ec.collect_moments(make([3, 2], output_activation="sigmoid").mlp, X, "fisher"),
        ValueError,
        'metric "fisher": expected a network that ends in logits, got one that ends in sigmoid',
    ),
    (
        lambda: ec.collect_moments(MLP, X, lambda f: f),
        ValueError,
        "metric(outputs): expected shape (R, 20, 2), got (20, 2)",
    ),
    (
        lambda: ec.collect_moments(MLP, X, lambda f: np.full((1, *f.shape), np.nan)),
        ValueError,
        "metric(outputs): not finite at [0, 0, 0]",
    ),
    (lambda: ec.collect_moments(MLP, X, batch_size=0), ValueError, "batch_size: expected at least 1, got 0"),
    (lambda: ec.collect_moments(MLP, X, batch_size=2.0), TypeError, "batch_size: expected an integer, got float"),
    (
        lambda: ec.collect_moments(MLP, ec.Batch(X, np.ones(19))),
        ValueError,
        "sample_weight: expected shape (20,), got (19,)",
    ),
    (
        lambda: ec.collect_moments(MLP, ec.Batch(X, -np.arange(20))),
        ValueError,
        "sample_weight: expected no negative weight, got -1.0 at [1]",
    ),
    (
        lambda: ec.collect_moments(MLP, ec.Batch(X, np.zeros(20))),
        ValueError,
        "sample_weight: expected a positive, finite sum, got 0.0",
    ),
    (
        lambda: ec.collect_moments(MLP, ec.Batch(X, np.full(20, 1e308))),
        ValueError,
        "sample_weight: expected a positive, finite sum, got inf",
    ),
    (lambda: ec.collect_moments(LARGE, np.zeros((1, 3))), ValueError, "moments: overflow in layer 0"),
    (
        lambda: MOMENTS.merge(ec.collect_moments(OTHER.mlp, X)),
        ValueError,
        "other: expected moments with layers [((4, 3), 'float64')",
    ),
    (lambda: MOMENTS.merge(X), TypeError, "other: expected Moments, got ndarray"),
    (
        lambda: ec.elimination_compensation(OTHER.mlp, MOMENTS),
        ValueError,
        "moments: expected layers [((5, 3), 'float64')",
    ),
    (
        lambda: ec.criteria.obd(MLP, MOMENTS, "fisher"),
        ValueError,
        "metric: expected 'output', of which the moments are, got 'fisher'",
    ),
    (lambda: ec.elimination_compensation(None, X), TypeError, "mlp: expected MLP, got NoneType"),
    (
        lambda: ec.elimination_compensation(ec.MLP([[[1e170]]], [[0]]), [[1e-7], [1e7]]),
        ValueError,
        "importance: overflow in layer 0",
    ),
    (
        lambda: ec.Scores([np.array([[-1.0]])]),
        ValueError,
        "importance[0]: expected no negative value, got -1.0 at [0, 0]",
    ),
    (lambda: ec.Scores([np.array([[np.inf]])]), ValueError, "importance[0]: not finite at [0, 0] (inf)"),
    (lambda: ec.Scores(np.ones((2, 2))), TypeError, "importance: expected a list or tuple"),
    (
        lambda: ec.Scores([np.ones((2, 2))], [np.ones((2, 3))]),
        ValueError,
        "bias_shift[0]: expected shape (2, 2), got (2, 3)",
    ),
    (lambda: ec.Scores([np.ones((2, 2))], []), ValueError, "bias_shift: expected 1 layers, got 0"),
    (
        lambda: worst_error(ec.criteria.magnitude(OTHER.mlp), SCORES, MLP, MOMENTS),
        ValueError,
        "scores.importance[0]: expected shape (4, 3), got (5, 3)",
    ),
    # criteria
    (lambda: ec.criteria.magnitude(X), TypeError, "mlp: expected MLP, got ndarray"),
    (lambda: ec.criteria.random(MLP, 1.5), TypeError, "seed: expected an integer, got float"),
    (lambda: ec.criteria.wanda(MLP, X[0]), ValueError, "x: expected shape (N, 3), got (3,)"),
    (lambda: ec.criteria.wanda(ec.MLP([[[1e-300]]], [[0]]), [[1e300]]), ValueError, "importance: overflow in layer 0"),
    (lambda: ec.criteria.obd(MLP, X[0]), ValueError, "x: expected shape (N, 3), got (3,)"),
    (lambda: ec.criteria.gradient_magnitude(MLP, X, X), ValueError, "y: expected shape (20, 2), got (20, 3)"),
    # pruning
    (lambda: ec.prune(MLP, SCORES, 1.5), ValueError, "sparsity: expected a number from 0 to 1, got 1.5"),
    (lambda: ec.prune(MLP, SCORES, np.nan), ValueError, "sparsity: expected a number from 0 to 1, got nan"),
    (lambda: ec.prune(MLP, SCORES, "half"), TypeError, "sparsity: expected a number, got str"),
    (lambda: ec.prune(MLP, SCORES, 0.5, scope="row"), ValueError, "scope: expected one of global, layer, got 'row'"),
    (lambda: ec.prune(MLP, SCORES, 0.5, compensation="best"), ValueError, "compensation: expected one of independent"),
    (lambda: ec.prune(MLP, X, 0.5), TypeError, "scores: expected Scores, got ndarray"),
    (lambda: ec.prune(OTHER.mlp, SCORES, 0.5), ValueError, "scores.importance[0]: expected shape (5, 3), got (4, 3)"),
    (lambda: ec.prune(MLP, SCORES, 0.5, masks=ALL_KEPT[:1]), ValueError, "masks: expected 2 layers, got 1"),
    (
        lambda: ec.prune(MLP, SCORES, 0.5, masks=[np.ones((4, 3)), ALL_KEPT[1]]),
        TypeError,
        "masks[0]: expected booleans (True = kept), got float64",
    ),
    (
        lambda: ec.prune(MLP, SCORES, 0.5, masks=ALL_KEPT[::-1]),
        ValueError,
        "masks[0]: expected shape (4, 3), got (2, 4)",
    ),
    (
        lambda: ec.prune(MLP, SCORES, 0.5, masks=ALL_REMOVED),
        ValueError,
        "sparsity: expected at least the 1 that masks removed, got 0.5",
    ),
    (lambda: ec.prune_iteratively(MLP, X, 0.5, steps=0), ValueError, "steps: expected at least 1, got 0"),
    (lambda: ec.prune_iteratively(MLP, X, -0.5), ValueError, "sparsity: expected a number from 0 to 1, got -0.5"),
    (
        lambda: ec.prune_iteratively(MLP, iter([X]), 0.5),
        TypeError,
        "x: expected what can be read again and again (an array, an ec.Batch, a list of batches, a data loader), "
        "got list_iterator, an iterator that one reading uses up",
    ),
    (lambda: ec.prune_iteratively(MLP, X[0], 0.5), ValueError, "x: expected shape (N, 3), got (3,)"),
    (lambda: ec.sparsity_schedule(2, 3), ValueError, "sparsity: expected a number from 0 to 1, got 2"),
    # training
    (
        lambda: ec.train(MLP, X, X[:, :2], optimizer="sgd"),
        ValueError,
        "optimizer: expected one of adam, lbfgs, got 'sgd'",
    ),
    (lambda: ec.train(MLP, X, X[:, :2], epochs=-1), ValueError, "epochs: expected at least 0, got -1"),
    (lambda: ec.train(MLP, X, X[:, :2], batch_size=0), ValueError, "batch_size: expected at least 1, got 0"),
    (
        lambda: ec.train(MLP, X, X[:, :2], learning_rate=-1),
        ValueError,
        "learning_rate: expected a number from 0 to inf, got -1",
    ),
    (lambda: ec.train(MLP, X, X[:5, :2]), ValueError, "y: expected shape (20, 2), got (5, 2)"),
    (
        lambda: ec.train(MLP, X, X[:, :2], masks=ALL_KEPT[::-1]),
        ValueError,
        "masks[0]: expected shape (4, 3), got (2, 4)",
    ),
    (
        lambda: ec.train(MLP, X, X[:, :2], loss="hinge"),
        ValueError,
        "loss: expected one of mse, cross_entropy, got 'hinge'",
    ),
]

ORACLE_CASES: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({"mlp": X}, TypeError, "mlp: expected MLP, got ndarray"),
    ({"x": X[0]}, ValueError, "x: expected shape (N, 3), got (3,)"),
    ({"x": with_nan(X, 1, 1)}, ValueError, "x: not finite at [1, 1] (nan)"),
    ({"metric": "kl"}, ValueError, "metric: expected one of"),
    ({"metric": "loss"}, ValueError, "metric: expected one of"),
    ({"metric": "mse"}, ValueError, 'y: metric "mse" needs targets, got None'),
    ({"x": ec.Batch(X, y=X), "metric": "mse"}, ValueError, "y: expected shape (20, 2), got (20, 3)"),
    ({"x": ec.Batch(X, np.ones(3))}, ValueError, "sample_weight: expected shape (20,), got (3,)"),
]


@pytest.mark.parametrize(("call", "error", "message"), CASES, ids=[message[:50] for _, _, message in CASES])
def test_bad_input_is_named(call: Callable[[], Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error) as caught:
        call()
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize("oracle", [ec.oracle.loops, ec.oracle.complex_step, ec.oracle.finite_differences])
@pytest.mark.parametrize(("arguments", "error", "message"), ORACLE_CASES, ids=[m[:50] for _, _, m in ORACLE_CASES])
def test_oracles_name_bad_input_too(
    oracle: Callable[..., Any], arguments: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error) as caught:
        oracle(**({"mlp": MLP, "x": X} | arguments))
    assert str(caught.value).startswith(message)


def test_inputs_are_never_modified() -> None:
    x, y, weight, values = X.copy(), D.labels.copy(), D.sample_weight.copy(), D.targets("mse")
    masks = [m.copy() for m in ec.prune(MLP, SCORES, 0.5).masks]
    given = [x, y, weight, values, *masks]
    before = [a.copy() for a in given]

    def greedy(outputs: np.ndarray) -> np.ndarray:
        outputs[:] = 7  # a metric that writes on what it is given
        return np.ones((1, *outputs.shape))

    for metric in (*METRICS, greedy):
        samples = ec.Batch(x, weight, values if metric == "mse" else y)
        ec.collect_moments(MLP, samples, metric)
        for oracle in (ec.oracle.loops, ec.oracle.complex_step, ec.oracle.finite_differences, ec.oracle.nonlinear):
            oracle(MLP, samples, metric)
        for compensation in ("joint", "refit"):
            ec.prune(MLP, SCORES, 0.9, masks=masks, compensation=compensation, x=samples, metric=metric)
        for function in (ec.criteria.obc, ec.criteria.obs, ec.oracle.certify):
            function(MLP, samples, metric)
    for optimizer in ("adam", "lbfgs"):
        ec.train(MLP, x, y, "cross_entropy", optimizer=optimizer, epochs=2, masks=masks)
    ec.prune_iteratively(MLP, x, 0.7, steps=2)
    ec.criteria.gradient_magnitude(MLP, x, y, "cross_entropy")
    ec.criteria.wanda(MLP, x)
    ec.prune(MLP, SCORES, 0.9, masks=masks)
    assert all((a == b).all() for a, b in zip(given, before))
