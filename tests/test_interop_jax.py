"""Flax parameter trees and Equinox networks: the same outputs here, and back there."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest
from architectures import Layer, architectures, assert_computes, assert_zero_where_removed, mlp_of, pruned_of, samples
from hypothesis import given, settings
from hypothesis import strategies as st

import ecprune_np as ec
from ecprune_np.interop import from_equinox, from_flax, to_flax

ONES, ZEROS = np.ones((4, 3)), np.zeros(3)


# Trees of NumPy arrays, for which nothing needs to be installed


@given(architectures(["tanh"]), st.booleans(), st.sampled_from(["Dense_", "layers.", "fc"]), st.integers(0, 9))
def test_a_tree_is_read_pruned_and_written(layers: list[Layer], around: bool, name: str, first: int) -> None:
    tree: dict[str, Any] = {}
    for l, layer in sorted(enumerate(layers), key=lambda pair: -pair[0]):
        parent, _, child = f"{name}{first + l}".rpartition(".")
        inside = tree.setdefault(parent, {}) if parent else tree
        inside[child] = {"kernel": layer.weight.T} | ({} if layer.bias is None else {"bias": layer.bias})
    params = {"params": tree} if around else tree
    mlp = from_flax(params, "tanh", "tanh")
    assert (mlp(samples(mlp)) == mlp_of(layers)(samples(mlp))).all()
    pruned = pruned_of(mlp)
    pruned = ec.Pruned(
        pruned.mlp.replace(
            pruned.mlp.weights, [b if layer.bias is not None else 0 * b for b, layer in zip(pruned.mlp.biases, layers)]
        ),
        pruned.masks,
    )
    written, masks = to_flax(pruned, params, masks=True)
    again = from_flax(written, "tanh", "tanh")
    assert (again(samples(mlp)) == pruned.mlp(samples(mlp))).all()
    assert_zero_where_removed(from_flax(multiplied(params, masks), "tanh", "tanh"), pruned)


def multiplied(tree: Any, masks: Any) -> Any:
    if isinstance(tree, Mapping):
        return {name: multiplied(tree[name], masks[name]) for name in tree}
    return tree * masks


def test_without_a_tree_layers_are_numbered() -> None:
    mlp = ec.MLP.initialize([4, 3, 2], "relu")
    written = to_flax(mlp)
    assert list(written["params"]) == ["Dense_0", "Dense_1"]
    assert (from_flax(written, "relu")(samples(mlp)) == mlp(samples(mlp))).all()


class State:
    params: Any = None


REFUSED: list[tuple[Any, str]] = [
    (State(), r"expected a mapping of names to parameters, got State; hand over its \.params"),
    (3, r"got int; hand over variables\['params'\], or nnx\.state\(model, nnx\.Param\)"),
    ({"params": {}, "batch_stats": {}}, "there is 'batch_stats' beside 'params', as of a normalisation; expected"),
    ({"norm": {"scale": ZEROS}}, "'norm.scale' belongs to a normalisation; supported are Dense layers"),
    ({"embed": {"embedding": ONES}}, "'embed.embedding' belongs to an Embed"),
    ({"linear": {"w": ONES, "b": ZEROS}}, "'linear.w' belongs to a layer of Haiku or the like; hand over its layers"),
    ({"linear": {"b": ZEROS, "w": ONES}}, "'linear.b' belongs to a layer of Haiku or the like"),
    ({("Dense_0", "kernel"): ONES}, r"\('Dense_0', 'kernel'\) is a whole path; expected a tree of mappings, as flax\."),
    ({"Dense_0/kernel": ONES}, "'Dense_0/kernel' is a whole path"),
    ({"norm": {"Dense_0/kernel/scale": ZEROS}}, "'norm.Dense_0/kernel/scale' belongs to something else"),
    ({"i": {"kernel": ONES}, "h": {"kernel": np.ones((3, 3))}}, "'i' and 'h' may be side by side; if each follows"),
    ({"Dense_0": {"kernel": ONES * np.nan}}, r"Dense_0\.kernel: not finite at \[0, 0\] \(nan\)"),
    ({"0": {"weight": ONES}}, "'0.weight' belongs to a layer of PyTorch or the like; hand it over to from_torch"),
    ({"drop": {"rngs": {"count": 0}}}, "'drop.rngs.count' belongs to a random state; hand over nnx.state"),
    ({"extra": ONES}, "'extra' belongs to something else than a Dense layer"),
    ({"conv": {"kernel": np.ones((3, 3, 1, 2))}}, r"kernel of 'conv' has shape \(3, 3, 1, 2\), as of a convolution"),
    ({"Dense_0": {"bias": ZEROS}}, "'Dense_0' has a bias and no kernel"),
    ({}, "expected the parameters of at least one Dense layer, got none"),
    ({"a": {"kernel": np.ones((3, 3))}, "b": {"kernel": np.ones((3, 3))}}, "the order of 'a', 'b' is not known"),
    ({"Dense_0": {"kernel": ONES}, "Dense_1": {"kernel": ONES}}, "'Dense_0' has 3 outputs, 'Dense_1' 4 inputs"),
]


@pytest.mark.parametrize(("params", "words"), REFUSED)
def test_what_is_no_tree_of_dense_layers_is_named(params: Any, words: str) -> None:
    with pytest.raises((ValueError, TypeError), match=f"^params: .*{words}"):
        from_flax(params, "relu")


def test_what_a_tree_cannot_say_is_named() -> None:
    tree = {"Dense_0": {"kernel": ONES}, "Dense_1": {"kernel": ONES.T}}
    with pytest.raises(
        ValueError, match="activation: a tree of parameters does not name one; expected one of identity"
    ):
        from_flax(tree)
    with pytest.raises(ValueError, match="output_activation: the softmax is left out here, for outputs are the logits"):
        from_flax(tree, "relu", "softmax")  # type: ignore[arg-type]
    mlp = pruned_of(from_flax(tree, "relu")).mlp
    with pytest.raises(ValueError, match="params: 'Dense_0' has no bias; expected one, for the network's is not zero"):
        to_flax(mlp, tree)
    with pytest.raises(ValueError, match=r"params: expected layers of shapes \[\(3, 4\), \(4, 3\)\] as in the network"):
        to_flax(mlp, {"kernel": ONES})


# Flax itself


@pytest.fixture(scope="module")
def flax() -> Any:
    return pytest.importorskip("flax", reason="Flax is in the extra `peers`")


def dense_layers(flax: Any, layers: list[Layer], dtype: str) -> tuple[Any, dict[str, Any]]:
    """A Sequential of Dense layers and activations, and its parameters."""
    import jax

    linen, numpy, known, parts, params = flax.linen, jax.numpy, functions(), [], {}
    for layer in layers:
        arrays = {"kernel": layer.weight.T} | ({} if layer.bias is None else {"bias": layer.bias})
        params[f"layers_{len(parts)}"] = {name: numpy.asarray(array, dtype) for name, array in arrays.items()}
        parts.append(linen.Dense(len(layer.weight), layer.bias is not None, dtype=dtype, param_dtype=dtype))
        parts.append(known[layer.activation])
    return linen.Sequential(parts), {"params": params}


@settings(max_examples=5)
@given(
    architectures(sorted(ec.ACTIVATIONS)),
    st.sampled_from(["float32", "float32", "float16", "bfloat16"]),
    st.booleans(),
)
def test_a_flax_network_is_read_pruned_and_written(flax: Any, layers: list[Layer], dtype: str, frozen: bool) -> None:
    import jax

    module, params = dense_layers(flax, layers, dtype)
    params = flax.core.freeze(params) if frozen else params
    *hidden, last = [layer.activation for layer in layers]
    mlp = from_flax(params, hidden or None, last)
    x = samples(mlp)
    assert_computes(module.apply(params, x), mlp, x, dtype)
    pruned = pruned_of(mlp)
    biases = [b if layer.bias is not None else 0 * b for b, layer in zip(pruned.mlp.biases, layers)]
    pruned = ec.Pruned(pruned.mlp.replace(pruned.mlp.weights, biases), pruned.masks)
    written, masks = to_flax(pruned, params, masks=True)
    for _ in range(2):
        assert_computes(module.apply(written, x), pruned.mlp, x, dtype)
    structures = [jax.tree.structure(tree) for tree in (params, written, masks)]
    assert structures[0] == structures[1] == structures[2]
    assert {leaf.dtype.name for leaf in jax.tree.leaves((written, masks))} == {dtype}


def test_masks_keep_what_was_removed_at_zero(flax: Any) -> None:
    import jax

    layers = [Layer(np.ones((5, 4)), np.zeros(5), "relu", ()), Layer(np.ones((3, 5)), np.zeros(3), "identity", ())]
    module, params = dense_layers(flax, layers, "float32")
    pruned = pruned_of(from_flax(params, "relu"))
    written, masks = to_flax(pruned, params, masks=True)

    def loss(params: Any) -> Any:
        return (module.apply(params, samples(pruned.mlp)) ** 2).mean()

    steps = jax.tree.map(lambda gradient, mask: 0.1 * gradient * mask, jax.grad(loss)(written), masks)
    trained = from_flax(jax.tree.map(jax.numpy.subtract, written, steps), "relu")
    assert_zero_where_removed(trained, pruned)
    assert any((a != b).any() for a, b in zip(trained.weights, pruned.mlp.weights))


def test_the_state_of_a_module_is_read_and_written() -> None:
    nnx: Any = pytest.importorskip("flax.nnx", reason="Flax is in the extra `peers`")

    class Network(nnx.Module):  # type: ignore[misc, name-defined]
        def __init__(self, rngs: Any) -> None:
            self.first, self.drop = nnx.Linear(4, 5, rngs=rngs), nnx.Dropout(0.5, rngs=rngs)
            self.second = nnx.Linear(5, 3, rngs=rngs)

        def __call__(self, x: Any) -> Any:
            return self.second(nnx.tanh(self.first(x)))

    module = Network(nnx.Rngs(0))
    state = nnx.state(module, nnx.Param)
    pruned = pruned_of(from_flax(state, "tanh"))
    x = samples(pruned.mlp)
    assert_computes(module(x), from_flax(state, "tanh"), x, "float32")
    nnx.update(module, to_flax(pruned, state))
    assert_computes(module(x), pruned.mlp, x, "float32")
    with pytest.raises(ValueError, match=r"params: 'drop\.rngs\..*' belongs to a random state; hand over nnx\.state"):
        from_flax(nnx.state(module), "tanh")
    with pytest.raises(TypeError, match="params: expected a mapping of names to parameters, got Network"):
        from_flax(module)


def test_an_array_without_values_is_named(flax: Any) -> None:
    import jax

    deleted = jax.numpy.ones((4, 3))
    deleted.delete()
    with pytest.raises(
        ValueError, match=r"params: kernel: expected an array with values, got ArrayImpl \(RuntimeError"
    ):
        from_flax({"kernel": deleted})


# Equinox


@pytest.fixture(scope="module")
def eqx() -> Any:
    return pytest.importorskip("equinox", reason="Equinox is in the extra `peers`")


def functions() -> dict[str, Any]:
    import jax

    nn, numpy = jax.nn, jax.numpy
    ours = {name: getattr(nn, name) for name in ("relu", "leaky_relu", "elu", "sigmoid", "softplus", "silu")}
    ours |= {"tanh": numpy.tanh, "sin": numpy.sin, "gelu": functools.partial(nn.gelu, approximate=False)}
    return ours | {"identity": nn.identity}


def network(eqx: Any, layers: list[Layer], dtype: str) -> Any:
    """An `eqx.nn.MLP` with the first layers' sizes and activations."""
    import jax

    known = functions()
    n_in, width, depth = layers[0].weight.shape[1], len(layers[0].weight), len(layers) - 1
    return eqx.nn.MLP(
        *(n_in, len(layers[-1].weight), width, depth, known[layers[0].activation], known[layers[-1].activation]),
        use_bias=layers[0].bias is not None,
        use_final_bias=layers[-1].bias is not None,
        dtype=getattr(jax.numpy, dtype),
        key=jax.random.key(0),
    )


@settings(max_examples=5)
@given(architectures(sorted(ec.ACTIVATIONS)), st.sampled_from(["float32", "float16", "bfloat16"]))
def test_an_equinox_network_has_the_same_outputs_here(eqx: Any, layers: list[Layer], dtype: str) -> None:
    import jax

    model = network(eqx, layers, dtype)
    mlp = from_equinox(model)
    x = samples(mlp)
    assert_computes(jax.vmap(model)(jax.numpy.asarray(x, dtype)), mlp, x, dtype)
    names = (layers[0].activation, layers[-1].activation) if len(layers) > 1 else ("identity", "identity")
    assert (mlp.activation, mlp.output_activation) == names  # a single layer is called without any


def model(eqx: Any, *sizes: Any, **parameters: Any) -> Any:
    import jax

    return eqx.nn.MLP(*(sizes or (4, 3, 5, 1)), key=jax.random.key(0), **parameters)


def doubled(eqx: Any) -> Any:
    import jax

    class MLP(eqx.nn.MLP):  # type: ignore[misc, name-defined]
        def __call__(self, x: Any, *, key: Any = None) -> Any:
            return 2 * super().__call__(x)

    return MLP(4, 3, 5, 1, key=jax.random.key(0))


OTHERS: dict[str, tuple[Callable[[Any], Any], str]] = {
    "tanh gelu": (
        lambda eqx: model(eqx, activation=__import__("jax").nn.gelu),
        r"its tanh form is not ours: functools\.partial\(jax\.nn\.gelu, approximate=False\); supported",
    ),
    "own function": (
        lambda eqx: model(eqx, activation=lambda x: x),
        r"activation is <function .*; supported are jax\.nn",
    ),
    "no function": (lambda eqx: model(eqx, activation=eqx.nn.PReLU()), r"its activation is PReLU\("),
    "none": (
        lambda eqx: eqx.filter(model(eqx), eqx.is_array),
        "its activation is None; supported are jax",
    ),
    "not finite": (
        lambda eqx: eqx.tree_at(lambda m: m.layers[0].weight, model(eqx), np.full((5, 4), np.nan)),
        r"layers\[0\]\.weight: not finite",
    ),
    "final": (lambda eqx: model(eqx, final_activation=abs), "final_activation is <built-in function abs>"),
    "scan": (lambda eqx: model(eqx, 4, 3, 5, 3, scan=True), "it has scan=True; expected layers one by one"),
    "scalar": (lambda eqx: model(eqx, "scalar", 3, 5, 1), "it has 'scalar' inputs or outputs"),
    "own class": (doubled, "its own outputs are .* away from those of the layers that were read"),
    "other": (
        lambda eqx: eqx.nn.Identity(),
        "expected an equinox.nn.MLP, got Identity; of others hand over the layers",
    ),
}


@pytest.mark.parametrize("name", OTHERS)
def test_what_no_network_computes_is_named(eqx: Any, name: str) -> None:
    make, words = OTHERS[name]
    with pytest.raises((ValueError, TypeError), match=f"^(model: .*|){words}"):
        from_equinox(make(eqx))
