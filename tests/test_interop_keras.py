"""Keras 3, on PyTorch: the same outputs here, and back there; zeros stay zero in training."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from architectures import (
    Layer,
    architectures,
    assert_computes,
    assert_zero_where_removed,
    pruned_of,
    read_and_said,
    samples,
)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import ecprune_np as ec
from ecprune_np.interop import from_keras, from_torch, to_keras

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

ACTIVATIONS = ["identity", "relu", "leaky_relu", "elu", "sigmoid", "tanh", "softplus", "silu", "gelu", "sin"]


@pytest.fixture(scope="module")
def keras(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Keras on PyTorch, on one thread, with its settings in a folder of the test's."""
    torch: Any = pytest.importorskip("torch", reason="PyTorch is in the extra `peers`")
    n_threads = torch.get_num_threads()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KERAS_BACKEND", "torch")
        patch.setenv("KERAS_HOME", str(tmp_path_factory.mktemp("keras")))
        torch.set_num_threads(1)
        yield pytest.importorskip("keras", reason="Keras is in the extra `peers`")
        torch.set_num_threads(n_threads)


def outputs(keras: Any, model: Any, x: np.ndarray, training: bool = False) -> np.ndarray:
    shaped = x.reshape(len(x), *model.input_shape[1:]).astype(np.float32)
    result = keras.ops.convert_to_numpy(keras.ops.cast(model(shaped, training=training), "float32"))
    return np.asarray(result, np.float64)


def activation(keras: Any, name: str, way: int) -> Any:
    """An activation by its name, as a function, or as a layer of its own."""
    if name in ("leaky_relu", "elu"):
        layer = {"leaky_relu": lambda: keras.layers.LeakyReLU(negative_slope=0.01), "elu": keras.layers.ELU}[name]()
        return [layer, keras.activations.elu if name == "elu" else layer, layer][way]
    if name == "sin":
        return [keras.ops.sin, keras.layers.Activation(keras.ops.sin), keras.ops.sin][way]
    theirs = "linear" if name == "identity" else name
    return [theirs, getattr(keras.activations, theirs), keras.layers.Activation(theirs)][way]


def dense(keras: Any, layer: Layer, kind: str, way: int) -> list[Any]:
    """A Dense and what is around it."""
    built = keras.layers.Dense(len(layer.weight), use_bias=layer.bias is not None)
    name = activation(keras, layer.activation, way)
    before = [keras.layers.BatchNormalization(axis=1)] if "norm behind" in layer.extras else []
    after = [keras.layers.BatchNormalization(scale=False)] if "norm before" in layer.extras else []
    if not after and not isinstance(name, keras.Layer):
        built.activation = keras.activations.get(name)
    else:
        after.append(name if isinstance(name, keras.Layer) else keras.layers.Activation(name))
    if "noise" in layer.extras:
        after += [keras.layers.Dropout(0.5), keras.layers.AlphaDropout(0.5), keras.layers.GaussianNoise(1.0)]
    return [*before, built, *after]


@settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow])
@given(
    architectures(ACTIVATIONS, ["norm behind", "norm before", "noise"]),
    st.sampled_from(["sequential", "functional", "nested"]),
    st.sampled_from(["", "softmax", "log_softmax"]),
    st.integers(0, 2),
    st.sampled_from(["float32", "float32", "float64", "mixed_bfloat16"]),
)
def test_a_model_is_read_pruned_and_written(
    keras: Any, layers: list[Layer], kind: str, end: str, way: int, policy: str
) -> None:
    n_inputs = layers[0].weight.shape[1]
    default = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        if layers[-1].activation != "identity" or layers[-1].extras or len(layers[-1].weight) == 1:
            end = ""  # Keras warns of a softmax of one
        parts = [keras.Input((1, n_inputs)), keras.layers.Flatten()]
        for layer in layers:
            block = dense(keras, layer, kind, way)
            if kind == "nested":
                block = [keras.Sequential([keras.Input((layer.weight.shape[1],)), *block])]
            parts += block
        if end:
            parts.append(keras.layers.Softmax() if end == "softmax" else keras.layers.Activation(end))
        model = keras.Sequential(parts)
        if kind == "functional":
            tensor = parts[0]
            for part in parts[1:]:
                tensor = part(tensor)
            model = keras.Model(parts[0], tensor)
        rng = np.random.default_rng(0)
        for variable in model.weights:
            draw = rng.standard_normal if "variance" not in variable.path else lambda size: rng.uniform(0.5, 1.5, size)
            variable.assign(draw(variable.shape))
        compare(
            keras, model, end, "bfloat16" if "bfloat16" in policy else "float32"
        )  # as are products of float64 there
    finally:
        keras.config.set_dtype_policy(default)


def compare(keras: Any, model: Any, end: str, dtype: str) -> None:
    before = model.get_weights()
    mlp = read_and_said(from_keras, model, end)
    x = samples(mlp)
    assert_computes(outputs(keras, model, x), mlp, x, dtype, end)
    pruned = pruned_of(mlp)
    written = to_keras(pruned, model)
    for _ in range(2):
        assert_computes(outputs(keras, written, x), pruned.mlp, x, dtype, end)
    assert_zero_where_removed(read_and_said(from_keras, written, end), pruned)
    assert all((a == b).all() for a, b in zip(before, model.get_weights()))
    noisy = (keras.layers.Dropout, keras.layers.AlphaDropout, keras.layers.GaussianNoise)
    if not any(isinstance(layer, noisy) for layer in written.layers):
        assert_computes(outputs(keras, written, x, training=True), pruned.mlp, x, dtype, end)


def sequential(keras: Any, *layers: Any, shape: tuple[int, ...] = (4,)) -> Any:
    return keras.Sequential([keras.Input(shape), *layers])


def test_training_keeps_what_was_removed_at_zero(keras: Any) -> None:
    dense = keras.layers.Dense
    model = sequential(keras, dense(5, "tanh"), dense(4, "tanh", kernel_constraint="non_neg"), dense(3))
    pruned = pruned_of(from_keras(model))
    written = to_keras(pruned, model)
    written.compile(keras.optimizers.Adam(0.1), "mse")
    written.fit(samples(pruned.mlp, 40), np.ones((40, 3)), epochs=2, verbose=0)
    trained = from_keras(written)
    assert_zero_where_removed(trained, pruned)
    assert any((a != b).any() for a, b in zip(trained.weights, pruned.mlp.weights))
    assert (trained.weights[1] >= 0).all()  # the constraint that was there is there still
    whole = to_keras(pruned.mlp, model)  # without masks there is nothing to keep
    assert whole.layers[0].kernel.constraint is None


@pytest.mark.parametrize("options", [{"use_ema": True}, {"use_ema": True, "ema_overwrite_frequency": 2}], ids=str)
def test_averages_of_weights_keep_the_zeros(keras: Any, options: dict[str, Any]) -> None:
    """Which are written over the weights in the end, whatever their constraints say."""
    model = sequential(keras, keras.layers.Dense(5, "tanh"), keras.layers.Dense(3))
    pruned = pruned_of(from_keras(model))
    written = to_keras(pruned, model)
    written.compile(keras.optimizers.Adam(0.1, ema_momentum=0.5, **options), "mse")
    written.fit(samples(pruned.mlp, 40), np.ones((40, 3)), epochs=2, verbose=0)
    assert_zero_where_removed(from_keras(written), pruned)
    assert any((a != b).any() for a, b in zip(from_keras(written).weights, pruned.mlp.weights))
    written.set_weights(model.get_weights())  # the dense ones
    assert_zero_where_removed(from_keras(written), pruned)


def test_a_file_of_the_model_has_the_zeros_and_nothing_that_keeps_them(keras: Any, tmp_path: Path) -> None:
    model = sequential(keras, keras.layers.Dense(5, "tanh"), keras.layers.Dense(3))
    pruned = pruned_of(from_keras(model))
    to_keras(pruned, model).save(tmp_path / "model.keras")
    for plain in (keras.models.load_model(tmp_path / "model.keras"), keras.models.clone_model(to_keras(pruned, model))):
        assert plain.layers[0].kernel.constraint is None
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert_zero_where_removed(from_keras(loaded), pruned)
    again = to_keras(pruned, loaded)
    again.compile(keras.optimizers.SGD(0.1), "mse")
    again.fit(samples(pruned.mlp), np.ones((10, 3)), verbose=0)
    assert_zero_where_removed(from_keras(again), pruned)


def test_a_layer_that_is_used_twice_becomes_two(keras: Any) -> None:
    inputs, twice = keras.Input((4,)), keras.layers.Dense(4, "relu")
    model = keras.Model(inputs, twice(twice(inputs)))
    compare(keras, model, "", "float32")
    assert len(to_keras(from_keras(model), model).layers) == 2


def test_a_model_that_was_built_by_a_call_is_read(keras: Any) -> None:
    model = keras.Sequential([keras.layers.Dense(3)])
    model(np.ones((2, 4)))
    compare(keras, model, "", "float32")


def test_an_activation_may_be_a_layer_in_a_layer(keras: Any) -> None:
    activation = keras.layers.Activation("tanh")
    compare(keras, sequential(keras, keras.layers.Dense(3, activation), keras.layers.Dense(2)), "", "float32")


def lora(keras: Any) -> Any:
    model = sequential(keras, keras.layers.Dense(3))
    model.layers[0].enable_lora(2)
    return model


def quantised(keras: Any) -> Any:
    model = sequential(keras, keras.layers.Dense(3))
    model.layers[0].quantize("int8")
    return model


def relu(x: Any) -> Any:
    return 2 * x


def doubled(keras: Any) -> Any:
    class Dense(keras.layers.Dense):  # type: ignore[misc, name-defined]
        def call(self, inputs: Any) -> Any:
            return 2 * super().call(inputs)

    return sequential(keras, Dense(3))


def subclassed(keras: Any) -> Any:
    class Model(keras.Model):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.dense = keras.layers.Dense(3)

        def call(self, inputs: Any) -> Any:
            return self.dense(inputs)

    model = Model()
    model(np.ones((2, 4)))
    return model


def hooked(keras: Any) -> Any:
    """On PyTorch a layer is a module, and may have a hook."""
    model = sequential(keras, keras.layers.Dense(3))
    model.layers[0].register_forward_hook(lambda layer, x, y: 2 * y)
    return model


def functional(keras: Any, make: Callable[[Any], Any], n_inputs: int = 1) -> Any:
    inputs = [keras.Input((4,)) for _ in range(n_inputs)]
    return keras.Model(inputs if n_inputs > 1 else inputs[0], make(*inputs))


REFUSED: dict[str, tuple[Callable[[Any], Any], str]] = {
    "other layer": (
        lambda k: sequential(k, k.layers.Dense(3), k.layers.LayerNormalization()),
        r"is keras\..*LayerNormalization; supported are Dense, Activation",
    ),
    "own layer": (doubled, r"is .*test_interop_keras\.doubled\..*Dense; supported are Dense"),
    "axis": (
        lambda k: sequential(
            k, k.layers.BatchNormalization(axis=2), k.layers.Flatten(), k.layers.Dense(3), shape=(2, 2)
        ),
        "BatchNormalization; supported are",
    ),
    "norm before flatten": (
        lambda k: sequential(k, k.layers.BatchNormalization(), k.layers.Flatten(), k.layers.Dense(3), shape=(2, 2)),
        r"scales and shifts by \(2,\) and \(2,\); expected \(4,\), next to a Linear",
    ),
    "activation": (
        lambda k: sequential(k, k.layers.Dense(3, "selu")),
        r"has the activation selu .*, none of Keras's own linear",
    ),
    "own relu": (
        lambda k: sequential(k, k.layers.Dense(3, relu)),
        r"has the activation relu \(<function relu.*none of Keras's",
    ),
    "slope": (
        lambda k: sequential(k, k.layers.Dense(3), k.layers.LeakyReLU()),
        r"LeakyReLU with .* {'negative_slope': 0\.01}",
    ),
    "name of a slope": (lambda k: sequential(k, k.layers.Dense(3, "leaky_relu")), "has the activation leaky_relu"),
    "relu6": (lambda k: sequential(k, k.layers.Dense(3), k.layers.ReLU(6.0)), "ReLU with other .* {'max_value': None}"),
    "alpha": (
        lambda k: sequential(k, k.layers.Dense(3), k.layers.ELU(2.0)),
        r"ELU with other .* {'alpha': 1\.0} for it",
    ),
    "softmax axis": (lambda k: sequential(k, k.layers.Dense(3), k.layers.Softmax(0)), "Softmax with .* {'axis': -1}"),
    "softmax of one": (
        lambda k: sequential(k, k.layers.Dense(1, k.activations.softmax)),
        "is the softmax of one output, which is the same whatever that is; expected a sigmoid, or none",
    ),
    "softmax inside": (
        lambda k: sequential(k, k.layers.Dense(3, "softmax"), k.layers.Dense(3)),
        "is softmax; supported at the end only",
    ),
    "two activations": (
        lambda k: sequential(k, k.layers.Dense(3, "relu"), k.layers.Activation("relu")),
        "is relu; expected one activation after each Linear",
    ),
    "no layers": (lambda k: sequential(k, k.layers.Flatten()), "expected at least one layer with weights, got none"),
    "steps in time": (
        lambda k: sequential(k, k.layers.Dense(3), shape=(2, 4)),
        r"inputs of shape \(2, 4\), .* add a Flatten",
    ),
    "any steps": (lambda k: sequential(k, k.layers.Dense(3), shape=(None, 4)), r"inputs of shape \(None, 4\)"),
    "one step": (lambda k: sequential(k, k.layers.Dense(3), shape=(1, 4)), r"its own outputs have shape \(32, 1, 3\)"),
    "unbuilt": (lambda k: k.Sequential([k.layers.Dense(3)]), "is not built; call it once"),
    "subclass": (subclassed, "is Model, with a call of its own; expected a Sequential"),
    "LoRA": (lora, "has LoRA switched on; merge it into the kernel"),
    "int8": (quantised, "has a quantised kernel"),
    "hook": (hooked, "its own outputs are .* away from those of the layers that were read"),
    "skip": (
        lambda k: functional(k, lambda x: k.layers.Add()([x, k.layers.Dense(4)(x)])),
        "is Add and takes 2 tensors",
    ),
    "outputs": (lambda k: functional(k, lambda x: [k.layers.Dense(4)(x)] * 2), "has 1 inputs and 2 outputs"),
    "inputs": (
        lambda k: functional(k, lambda x, y: k.layers.Dense(4)(k.layers.Add()([x, y])), 2),
        "has 2 inputs and 1 out",
    ),
    "operation": (
        lambda k: functional(k, lambda x: k.ops.relu(k.layers.Dense(4)(x))),
        r"is keras\..*Relu; supported are",
    ),
    "always drops": (
        lambda k: functional(k, lambda x: k.layers.Dropout(0.5)(k.layers.Dense(4)(x), training=True)),
        "is called with training=True, in evaluation too; leave it out",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_no_network_computes_is_named(keras: Any, name: str) -> None:
    make, words = REFUSED[name]
    with pytest.raises(ValueError, match=f"^model: .*{words}"):
        from_keras(make(keras))


def test_what_is_no_model_is_named(keras: Any) -> None:
    with pytest.raises(TypeError, match="model: expected a Keras 3 model, Sequential or Functional, got int"):
        from_keras(3)


def test_a_model_is_no_module(keras: Any) -> None:
    with pytest.raises(TypeError, match="module: is a Keras model; hand it over to from_keras"):
        from_torch(sequential(keras, keras.layers.Dense(3)))


def test_what_cannot_be_written_is_named(keras: Any) -> None:
    model = sequential(keras, keras.layers.Dense(5, "relu"), keras.layers.Dense(3))
    mlp = from_keras(model)
    with pytest.raises(ValueError, match=r"model: expected layers of shapes \[\(3, 4\)\] as in the network, got"):
        to_keras(ec.MLP.initialize([4, 3]), model)
    with pytest.raises(ValueError, match=r"model: expected the network's activations \['tanh', 'identity'\]"):
        to_keras(ec.MLP(mlp.weights, mlp.biases, "tanh"), model)

    class Half(keras.layers.Dense):  # type: ignore[misc, name-defined]
        @property
        def kernel(self) -> Any:
            return 0.5 * super().kernel

    model = sequential(keras, Half(3))
    mlp = from_keras(model)
    assert_computes(outputs(keras, model, samples(mlp)), mlp, samples(mlp), "float32")
    with pytest.raises(ValueError, match=r"model: layer half is .*Half, which computes its kernel; expected a Dense"):
        to_keras(mlp, model)
