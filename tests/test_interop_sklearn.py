"""scikit-learn: the same predictions here, and back there; more training does to zeros what the docstrings say."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
from architectures import assert_computes, assert_zero_where_removed, pruned_of
from hypothesis import given, settings
from hypothesis import strategies as st

import ecprune_np as ec
from ecprune_np.interop import from_sklearn, keep_zeros, to_sklearn

neural: Any = pytest.importorskip("sklearn.neural_network", reason="scikit-learn is in the extra `peers`")

X = np.random.default_rng(0).standard_normal((40, 4))
TARGETS = {
    "regression": X[:, 0] ** 2,
    "two outputs": X[:, :2] ** 2,
    "two classes": np.array(["no", "yes"])[np.arange(40) % 2],
    "classes": np.arange(40) % 3,
    "labels": (X[:, :3] > 0).astype(int),
}


def fit(estimator: Any, target: str, dtype: Any = np.float64) -> Any:
    y = TARGETS[target]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it has not converged, and need not
        return estimator.fit(X.astype(dtype), y.astype(dtype) if y.dtype == float else y)


def fitted(target: str = "two outputs", dtype: Any = np.float64, **parameters: Any) -> Any:
    kind = neural.MLPRegressor if TARGETS[target].dtype == float else neural.MLPClassifier
    given_parameters = {"hidden_layer_sizes": (5, 4), "max_iter": 5, "random_state": 0} | parameters
    return fit(kind(**given_parameters), target, dtype)


def predicted(estimator: Any, x: np.ndarray) -> np.ndarray:
    if isinstance(estimator, neural.MLPRegressor):
        return estimator.predict(x).reshape(len(x), -1)
    return estimator.predict_proba(x)


ENDS = {"two classes": "one logit", "classes": "softmax"}  # which `predict_proba` has, and the network has not


@settings(max_examples=60)
@given(
    st.sampled_from(sorted(TARGETS)),
    st.sampled_from(["identity", "logistic", "tanh", "relu"]),
    st.lists(st.integers(1, 6), max_size=3),
    st.sampled_from(["adam", "sgd", "lbfgs"]),
    st.sampled_from(["float32", "float64"]),
)
def test_an_estimator_is_read_pruned_and_written(
    target: str, activation: str, hidden: list[int], solver: str, dtype: str
) -> None:
    estimator = fitted(target, dtype, activation=activation, hidden_layer_sizes=hidden, solver=solver)
    x = X.astype(dtype)
    before = predicted(estimator, x)
    mlp = from_sklearn(estimator)
    assert mlp.dtype == estimator.coefs_[0].dtype
    assert mlp.output_activation == ("sigmoid" if target == "labels" else "identity")
    assert_computes(before, mlp, x, dtype, ENDS.get(target, ""))
    pruned = pruned_of(mlp)
    written = to_sklearn(pruned, estimator)
    assert_computes(predicted(written, x), pruned.mlp, x, dtype, ENDS.get(target, ""))
    assert_zero_where_removed(from_sklearn(written), pruned)
    assert (predicted(estimator, x) == before).all()


@pytest.mark.parametrize("solver", ["adam", "sgd"])
def test_zeros_are_kept_between_epochs(solver: str) -> None:
    estimator = fitted(solver=solver)
    pruned = pruned_of(from_sklearn(estimator))
    written = to_sklearn(pruned, estimator)
    for _ in range(3):
        moved = from_sklearn(written.partial_fit(X, TARGETS["two outputs"]))
        assert any((w[~kept] != 0).any() for w, kept in zip(moved.weights, pruned.masks))
        assert keep_zeros(written, pruned) is written
        assert_zero_where_removed(from_sklearn(written), pruned)
    assert any((a != b).any() for a, b in zip(from_sklearn(written).weights, pruned.mlp.weights))


@pytest.mark.parametrize("early_stopping", [False, True])
def test_nothing_brings_back_the_dense_network(early_stopping: bool) -> None:
    estimator = fitted(max_iter=200, warm_start=True, early_stopping=early_stopping, learning_rate_init=0.01)
    pruned = pruned_of(from_sklearn(estimator))
    written = to_sklearn(pruned, estimator).set_params(learning_rate_init=1e-9, max_iter=3)
    with_zeros = from_sklearn(keep_zeros(fit(written, "two outputs"), pruned.masks))
    assert_zero_where_removed(with_zeros, pruned)
    for a, b in zip(with_zeros.weights, pruned.mlp.weights):  # it went on from there, in tiny steps
        np.testing.assert_allclose(a, b, atol=1e-6)
    assert all((a == b).all() for a, b in zip(written._best_coefs, written.coefs_)) or not early_stopping


def test_masks_are_checked() -> None:
    with pytest.raises(ValueError, match="masks: expected 3 layers, got 1"):
        keep_zeros(fitted(), [np.ones((4, 4), bool)])
    with pytest.raises(ValueError, match="estimator: supported are MLPClassifier and MLPRegressor, got NoneType"):
        keep_zeros(None, [])


class Doubled(neural.MLPRegressor):  # type: ignore[misc]
    def predict(self, x: Any) -> Any:
        return 2 * super().predict(x)


def pipeline(*steps: Any) -> Any:
    return pytest.importorskip("sklearn.pipeline").make_pipeline(*steps)


def scaler() -> Any:
    return pytest.importorskip("sklearn.preprocessing").StandardScaler()


def search(estimator: Any, refit: bool = True) -> Any:
    grid = pytest.importorskip("sklearn.model_selection").GridSearchCV
    return grid(estimator, {}, cv=2, refit=refit)


def target_transformer() -> Any:
    compose = pytest.importorskip("sklearn.compose")
    return fit(compose.TransformedTargetRegressor(neural.MLPRegressor(max_iter=2)), "two outputs")


def ensemble() -> Any:
    bagging = pytest.importorskip("sklearn.ensemble").BaggingRegressor
    return fit(bagging(neural.MLPRegressor(max_iter=2), 3), "regression")


def forest() -> Any:
    return fit(pytest.importorskip("sklearn.ensemble").RandomForestRegressor(2), "regression")


SCALED = r"named_steps\['mlpregressor'\]; the steps before it belong to the data: x = estimator"
REFUSED = {
    "pipeline": (lambda: pipeline(scaler(), neural.MLPRegressor()), rf"got Pipeline; hand over estimator\.{SCALED}"),
    "other pipeline": (lambda: pipeline(scaler()), "got Pipeline$"),
    "search": (
        lambda: fit(search(neural.MLPRegressor(max_iter=2)), "regression"),
        r"got GridSearchCV; hand over estimator\.best_estimator_$",
    ),
    "search of pipelines": (
        lambda: fit(search(pipeline(scaler(), neural.MLPRegressor(max_iter=2))), "regression"),
        rf"got GridSearchCV; hand over estimator\.best_estimator_\.{SCALED}",
    ),
    "search before": (lambda: search(neural.MLPRegressor()), r"hand over estimator\.estimator, fitted$"),
    "targets": (target_transformer, r"hand over estimator\.regressor_; what transforms the targets belongs to them$"),
    "ensemble": (ensemble, r"got BaggingRegressor; hand over estimator\.estimators_\[0\], one of 3$"),
    "forest": (forest, "got RandomForestRegressor$"),
    "other": (lambda: neural.BernoulliRBM(), "supported are MLPClassifier and MLPRegressor, got BernoulliRBM$"),
    "unfitted": (lambda: neural.MLPRegressor(), "expected a fitted MLPRegressor, got one without coefs_"),
    "poisson": (lambda: fitted("regression", loss="poisson"), "the output activation identity, got exp"),
    "own class": (lambda: fit(Doubled(max_iter=2), "regression"), "its own outputs are .* away from those of"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_network_is_named(name: str) -> None:
    make, words = REFUSED[name]
    if name == "poisson":
        TARGETS["regression"] = abs(TARGETS["regression"])
    with pytest.raises(ValueError, match=f"^estimator: .*{words}"):
        from_sklearn(make())


def test_what_cannot_be_written_is_named() -> None:
    estimator = fitted()
    mlp = from_sklearn(estimator)
    with pytest.raises(ValueError, match=r"estimator: expected layers of shapes \[\(3, 4\)\] as in the network"):
        to_sklearn(ec.MLP.initialize([4, 3]), estimator)
    with pytest.raises(
        ValueError, match=r"estimator: expected the network's activations \['tanh', 'relu', 'identity'\]"
    ):
        to_sklearn(ec.MLP(mlp.weights, mlp.biases, ("tanh", "relu")), estimator)
    with pytest.raises(ValueError, match=r"coefs_\[0\]: the network's values are too large for float32"):
        to_sklearn(mlp.replace([1e60 * w for w in mlp.weights], mlp.biases), fitted(dtype=np.float32))
