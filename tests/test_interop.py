"""Networks of other frameworks: the same outputs here, and back there."""

from __future__ import annotations

import subprocess
import sys
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from networks import make

import ecprune_np as ec
from ecprune_np.interop import from_keras, from_sklearn, from_torch, to_sklearn, to_torch
from ecprune_np.interop.frameworks import KERAS_ACTIVATIONS, TORCH_ACTIVATIONS

D = make([4, 5, 3], "relu")
X = D.x


def torch_or_skip() -> Any:
    return pytest.importorskip("torch", reason="PyTorch is in the extra `peers`")


def torch_outputs(module: Any, x: np.ndarray) -> np.ndarray:
    torch = torch_or_skip()
    with torch.no_grad():
        return module(torch.from_numpy(x)).numpy()


def sequential(activation: str = "ReLU", **parameters: Any) -> Any:
    nn = torch_or_skip().nn
    hidden = nn.Sequential(nn.Linear(5, 6), getattr(nn, activation)(**parameters), nn.Dropout(0.5))
    layers = [nn.Flatten(), nn.Linear(4, 5), getattr(nn, activation)(**parameters), hidden, nn.Linear(6, 3, bias=False)]
    return nn.Sequential(*layers).double().eval()


def pruned_of(mlp: ec.MLP, x: np.ndarray = X) -> ec.Pruned:
    return ec.prune(mlp, ec.elimination_compensation(mlp, x), 0.5)


def test_no_framework_is_imported() -> None:
    frameworks = "{'torch', 'sklearn', 'keras', 'tensorflow'}"
    code = f"import sys, ecprune_np.interop; print(sorted({frameworks} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


# PyTorch


@pytest.mark.parametrize("activation", sorted(TORCH_ACTIVATIONS))
def test_a_torch_module_has_the_same_outputs_here(activation: str) -> None:
    module = sequential(activation)
    mlp = from_torch(module)
    assert (mlp.dtype, mlp.sizes, mlp.activation) == (np.float64, (4, 5, 6, 3), TORCH_ACTIVATIONS[activation])
    np.testing.assert_allclose(mlp(X), torch_outputs(module, X), rtol=1e-7, atol=1e-12)


def test_a_state_dict_needs_the_activation() -> None:
    module = sequential("Tanh")
    mlp = from_torch(module.state_dict(), "tanh")
    np.testing.assert_allclose(mlp(X), torch_outputs(module, X), rtol=1e-12)
    assert from_torch(module.state_dict(), "tanh", "sigmoid").output_activation == "sigmoid"
    with pytest.raises(ValueError, match="activation: a state dict does not name one; expected one of identity, relu"):
        from_torch(module.state_dict())
    with pytest.raises(
        ValueError, match=r"module: 0\.weight has shape \(2, 3, 5\); supported are matrices of Linear layers"
    ):
        from_torch({"0.weight": np.ones((2, 3, 5))}, "relu")


def test_a_pruned_network_goes_back_to_torch_with_its_masks() -> None:
    torch = torch_or_skip()
    from torch.nn.utils import prune

    module = torch.nn.Sequential(torch.nn.Linear(4, 5), torch.nn.ReLU(), torch.nn.Linear(5, 3)).double()
    before = torch_outputs(module, X)
    pruned = pruned_of(from_torch(module))
    plain = to_torch(pruned, module)
    np.testing.assert_allclose(torch_outputs(plain, X), pruned.mlp(X), rtol=1e-12, atol=1e-14)
    masked, masks = to_torch(pruned, module, masks=True)
    for l, mask in zip((0, 2), masks):
        prune.custom_from_mask(masked[l], "weight", torch.from_numpy(mask))
    optimizer = torch.optim.SGD(masked.parameters(), 0.1)
    masked(torch.from_numpy(X)).square().mean().backward()
    optimizer.step()
    trained = from_torch(masked)
    assert all((w[~kept] == 0).all() for w, kept in zip(trained.weights, pruned.masks))
    assert any((a != b).any() for a, b in zip(trained.weights, pruned.mlp.weights))
    again = from_torch(masked.state_dict(), "relu")
    assert all((a == b).all() for a, b in zip(again.weights, trained.weights))
    assert (torch_outputs(module, X) == before).all()


def test_an_activation_that_is_shared_by_layers_counts_for_each() -> None:
    nn = torch_or_skip().nn
    shared = nn.Tanh()
    module = nn.Sequential(nn.Linear(4, 5), shared, nn.Linear(5, 3), shared).double()
    np.testing.assert_allclose(from_torch(module)(X), torch_outputs(module, X), rtol=1e-12)


def test_to_torch_keeps_the_dtype_of_the_module() -> None:
    module = sequential().float()
    mlp = from_torch(module).astype(np.float64)
    copied = to_torch(mlp.replace(mlp.weights, [*mlp.biases[:-1], np.zeros(3)]), module)
    assert {str(p.dtype) for p in copied.parameters()} == {"torch.float32"}
    assert all(p.requires_grad for p in copied.parameters())
    np.testing.assert_allclose(torch_outputs(copied, X.astype(np.float32)), mlp(X), rtol=1e-4, atol=1e-5)


def test_what_torch_has_and_we_lack_is_named() -> None:
    nn = torch_or_skip().nn
    linear = nn.Linear(4, 4)
    cases = [
        (
            nn.Sequential(linear, nn.ReLU(), nn.BatchNorm1d(4)),
            r"layer 2 is BatchNorm1d\(.*; supported are Linear, Identity",
        ),
        (nn.Sequential(nn.Sequential(linear, nn.Conv1d(1, 1, 1))), r"layer 0\.1 is Conv1d"),
        (
            nn.Sequential(linear, nn.LeakyReLU(0.2)),
            r"layer 1 is LeakyReLU\(.*; expected {'negative_slope': 0\.01} for it",
        ),
        (nn.Sequential(linear, nn.GELU("tanh")), "expected {'approximate': 'none'} for it"),
        (nn.Sequential(linear, nn.ReLU(), nn.ReLU()), "layer 2 is ReLU.*; expected one activation after each Linear"),
        (nn.Sequential(nn.ReLU(), linear), "layer 0 is ReLU.*; expected one activation after each Linear"),
        (
            nn.Sequential(linear, nn.ReLU(), linear, nn.Tanh(), linear),
            "the same activation in all hidden layers, got relu, tanh",
        ),
        (nn.Sequential(nn.Flatten()), "expected at least one layer with weights, got none"),
        (linear, "module: expected a Sequential or a state dict, got Linear"),
    ]
    for module, message in cases:
        with pytest.raises(ValueError, match=message):
            from_torch(module)
    mlp = from_torch(nn.Sequential(linear))
    with pytest.raises(
        ValueError, match=r"module: expected layers of shapes \[\(4, 4\)\] as in the network, got \[\(3, 4\)\]"
    ):
        to_torch(mlp, nn.Sequential(nn.Linear(4, 3)))
    with pytest.raises(ValueError, match=r"layer 0 is Linear.*; expected a bias, for the network's is not zero"):
        to_torch(mlp, nn.Sequential(nn.Linear(4, 4, bias=False)))
    with pytest.raises(TypeError, match="network: expected MLP, got NoneType"):
        to_torch(None, nn.Sequential(linear))


# scikit-learn


def fitted(kind: str, activation: str) -> Any:
    neural = pytest.importorskip("sklearn.neural_network", reason="scikit-learn is in the extra `peers`")
    y = {"MLPClassifier": np.arange(20) % 3, "MLPRegressor": X[:, :2] ** 2}[kind]
    estimator = getattr(neural, kind)(
        hidden_layer_sizes=(5, 4), activation=activation, solver="lbfgs", max_iter=20, random_state=0
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it has not converged, and need not
        return estimator.fit(X, y)


@pytest.mark.parametrize("activation", ["identity", "logistic", "tanh", "relu"])
def test_a_regressor_has_the_same_predictions_here_and_back(activation: str) -> None:
    estimator = fitted("MLPRegressor", activation)
    before = estimator.predict(X)
    mlp = from_sklearn(estimator)
    np.testing.assert_allclose(mlp(X), before, rtol=1e-10, atol=1e-10)
    pruned = pruned_of(mlp)
    np.testing.assert_allclose(to_sklearn(pruned, estimator).predict(X), pruned.mlp(X), rtol=1e-10, atol=1e-10)
    assert (estimator.predict(X) == before).all()


def test_a_classifier_has_logits_here() -> None:
    estimator = fitted("MLPClassifier", "tanh")
    logits = from_sklearn(estimator)(X)
    p = np.exp(logits - logits.max(axis=1, keepdims=True))
    np.testing.assert_allclose(p / p.sum(axis=1, keepdims=True), estimator.predict_proba(X), rtol=1e-9, atol=1e-12)


def test_what_scikit_learn_has_and_we_lack_is_named() -> None:
    neural = pytest.importorskip("sklearn.neural_network", reason="scikit-learn is in the extra `peers`")
    with pytest.raises(ValueError, match="estimator: supported are MLPClassifier and MLPRegressor, got BernoulliRBM"):
        from_sklearn(neural.BernoulliRBM())
    with pytest.raises(ValueError, match="estimator: expected a fitted MLPRegressor, got one without coefs_"):
        from_sklearn(neural.MLPRegressor())
    estimator = fitted("MLPRegressor", "relu")
    with pytest.raises(
        ValueError, match=r"estimator: expected layers of shapes \[\(5, 4\), \(3, 5\)\] as in the network"
    ):
        to_sklearn(D.mlp, estimator)
    estimator.out_activation_ = "softplus"
    with pytest.raises(ValueError, match="estimator: expected the output activation identity, got softplus"):
        from_sklearn(estimator)


@pytest.fixture(scope="module")
def keras(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Keras on PyTorch, with its settings in a folder of the test's."""
    torch_or_skip()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KERAS_BACKEND", "torch")
        patch.setenv("KERAS_HOME", str(tmp_path_factory.mktemp("keras")))
        yield pytest.importorskip("keras", reason="Keras is in the extra `peers`")


of_keras = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


@of_keras
@pytest.mark.parametrize("activation", sorted(KERAS_ACTIVATIONS))
def test_a_keras_model_has_the_same_outputs_here(keras: Any, activation: str) -> None:
    layers = keras.layers
    end = keras.Sequential([layers.Input((4,)), layers.Dense(5, activation), layers.Dense(4, activation)])
    apart = [layers.Dense(5), layers.Activation(activation), layers.Dropout(0.5), layers.Dense(2, use_bias=False)]
    for model in (end, keras.Sequential([layers.Input((4,)), *apart])):
        expected = model(X.astype(np.float32), training=False).detach().numpy()
        np.testing.assert_allclose(from_keras(model)(X), expected, rtol=1e-5, atol=1e-6)


@of_keras
def test_a_keras_classifier_has_logits_here(keras: Any) -> None:
    layers = keras.layers
    model = keras.Sequential([layers.Input((4,)), layers.Dense(5, "relu"), layers.Dense(4, "softmax")])
    logits = from_keras(model)(X)
    p = np.exp(logits - logits.max(axis=1, keepdims=True))
    expected = model(X.astype(np.float32)).detach().numpy()
    np.testing.assert_allclose(p / p.sum(axis=1, keepdims=True), expected, rtol=1e-5, atol=1e-6)
    with pytest.raises(ValueError, match="is LayerNormalization; supported are Dense, Activation"):
        from_keras(keras.Sequential([layers.Input((4,)), layers.Dense(5), layers.LayerNormalization()]))


# where Keras is not installed, these stand-ins have the three things that `from_keras` reads of it


class Dense:
    def __init__(self, name: str, weights: list[np.ndarray], activation: str) -> None:
        self.name, self.weights, self.activation = name, weights, activation

    def get_weights(self) -> list[np.ndarray]:
        return self.weights

    def get_config(self) -> dict[str, Any]:
        return {"name": self.name, "activation": self.activation}


class Conv2D(Dense):
    pass


class Activation(Dense):
    pass


class Dropout:
    name = "dropout"


class Model:
    def __init__(self, *layers: Any) -> None:
        self.layers = layers


def test_a_keras_model_keeps_its_kernels_transposed() -> None:
    (w0, w1), (b0, _) = D.mlp.weights, D.mlp.biases
    model = Model(Dense("a", [w0.T, b0], "relu"), Dropout(), Dense("b", [w1.T], "softmax"))
    mlp = from_keras(model)
    assert (mlp.activation, mlp.output_activation) == ("relu", "identity")
    expected = D.mlp.replace(D.mlp.weights, [b0, np.zeros(3)])
    assert (mlp(X) == expected(X)).all()
    apart = Model(Dense("a", [w0.T, b0], "linear"), Activation("b", [], "relu"), Dense("c", [w1.T], "linear"))
    assert (from_keras(apart)(X) == expected(X)).all()


def test_what_keras_has_and_we_lack_is_named() -> None:
    w = [np.ones((3, 3)), np.zeros(3)]
    cases = [
        (Model(Conv2D("conv", w, "relu")), "model: layer conv is Conv2D; supported are Dense"),
        (
            Model(Dense("a", w, "relu"), Activation("b", [], "relu")),
            "layer b is Activation; .*behind a Dense without one",
        ),
        (
            Model(Dense("a", w, "softmax"), Dense("b", w, "linear")),
            "layer a has the activation softmax; supported are linear, relu",
        ),
        (Model(Dense("a", w, "selu")), "layer a has the activation selu"),
        (Model(Dense("a", w, "relu"), Dense("b", w, "tanh"), Dense("c", w, "linear")), "got relu, tanh"),
        (Model(), "model: expected at least one layer with weights, got none"),
    ]
    for model, message in cases:
        with pytest.raises(ValueError, match=message):
            from_keras(model)
