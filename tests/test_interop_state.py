"""State dicts, of arrays here and of tensors in test_interop_torch.py: every key is understood, or refused by name."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from architectures import Layer, architectures, assert_zero_where_removed, mlp_of, pruned_of, samples
from hypothesis import given
from hypothesis import strategies as st

import ecprune_np as ec
from ecprune_np.interop import from_torch, to_torch

RNG = np.random.default_rng(0)


def w(*shape: int) -> np.ndarray:
    return RNG.standard_normal(shape)


def net(prefix: str = "", sizes: tuple[int, int, int] = (4, 5, 3)) -> dict[str, Any]:
    a, b, c = sizes
    return {
        f"{prefix}0.weight": w(b, a),
        f"{prefix}0.bias": w(b),
        f"{prefix}2.weight": w(c, b),
        f"{prefix}2.bias": w(c),
    }


@st.composite
def states(draw: st.DrawFn) -> tuple[ec.MLP, dict[str, Any]]:
    """A network and its state dict: any prefix, any numbers, in any order, with masks and weight norms."""
    extras = ["mask", "bias mask", "weight_g", "parametrizations"]
    layers = draw(architectures(["relu"], extras))
    numbers = sorted(draw(st.sets(st.integers(0, 200), min_size=len(layers), max_size=len(layers))))
    prefix = draw(st.sampled_from(["", "module.", "_orig_mod.module.", "net.layers.", "fc"]))
    suffix = draw(st.sampled_from(["", ".linear", ".0"]))
    state: dict[str, Any] = {}
    effective = []
    for number, layer in zip(numbers, layers):
        state |= entries(f"{prefix}{number}{suffix}", layer)
        effective.append(masked(layer))
    *hidden, _ = ["relu"] * len(layers)
    mlp = ec.MLP([layer.weight for layer in effective], [layer.mlp_bias for layer in effective], hidden or "relu")
    return mlp, dict(draw(st.permutations(list(state.items()))))


def mask(values: np.ndarray) -> np.ndarray:
    return (np.arange(values.size) % 3 > 0).reshape(values.shape)


def masked(layer: Layer) -> Layer:
    weight = layer.weight * mask(layer.weight) if "mask" in layer.extras else layer.weight
    bias = layer.bias
    if bias is not None and "bias mask" in layer.extras:
        bias = bias * mask(bias)
    return Layer(weight, bias, layer.activation, layer.extras)


def entries(path: str, layer: Layer) -> dict[str, Any]:
    weight, bias = layer.weight, layer.bias
    g = np.linalg.norm(weight, axis=1, keepdims=True)
    found = {f"{path}.weight": weight}
    if "mask" in layer.extras:
        found = {f"{path}.weight_orig": weight, f"{path}.weight_mask": mask(weight)}
    elif "weight_g" in layer.extras:
        found = {f"{path}.weight_g": g, f"{path}.weight_v": 3 * weight}
    elif "parametrizations" in layer.extras:
        original = f"{path}.parametrizations.weight.original"
        found = {f"{original}0": g, f"{original}1": weight / 3}
    if bias is not None and "bias mask" in layer.extras:
        return found | {f"{path}.bias_orig": bias, f"{path}.bias_mask": mask(bias)}
    return found if bias is None else found | {f"{path}.bias": bias}


@given(states())
def test_a_state_dict_is_read_and_written(drawn: tuple[ec.MLP, dict[str, Any]]) -> None:
    expected, state = drawn
    mlp = from_torch(state, "relu")
    x = samples(expected)
    np.testing.assert_allclose(mlp(x), expected(x), rtol=1e-12, atol=1e-12)
    pruned = pruned_of(mlp)
    before = {key: value.copy() for key, value in state.items()}
    written, masks = to_torch(pruned, state, masks=True)
    assert all((state[key] == before[key]).all() for key in before)
    again = from_torch(written, "relu")
    np.testing.assert_allclose(again(x), pruned.mlp(x), rtol=1e-12)
    for kept, given_mask in zip(pruned.masks, masks):
        assert not given_mask[~kept].any()
    # the masks in it mask what was removed, whatever training makes of the weights
    trained = {key: value if key.endswith("_mask") else value + 1.0 for key, value in written.items()}
    if all("weight_orig" in key or "weight" not in key or "mask" in key for key in written):
        assert_zero_where_removed(from_torch(trained, "relu"), pruned)


@pytest.mark.parametrize("shape", [(5, 1), (1, 4), (1, 1), ()])
def test_a_weight_norm_is_over_any_axis(shape: tuple[int, ...]) -> None:
    v = w(5, 4)
    g = np.asarray(w(*shape))
    axes = {(5, 1): 1, (1, 4): 0}.get(shape)
    mlp = from_torch({"weight_g": g, "weight_v": v})
    np.testing.assert_allclose(mlp.weights[0], g * v / np.linalg.norm(v, axis=axes, keepdims=True), rtol=1e-12)


@pytest.mark.parametrize(
    ("names", "shapes"),
    [
        (["2", "10"], [(5, 4), (3, 5)]),
        (["w1", "w2", "w3"], [(5, 4), (5, 5), (3, 5)]),
        (["fc2", "fc10", "out"], [(5, 4), (4, 5), (3, 4)]),
        (["net.0", "net.2", "head"], [(5, 4), (4, 5), (3, 4)]),
        (["input", "hidden.0", "hidden.1", "final"], [(5, 4), (4, 5), (6, 4), (2, 6)]),
        (["0.0", "0.2", "1", "2.0", "2.2"], [(4, 4)] * 5),
        (["module.0.0", "module.0.2", "module.1.0", "module.1.2"], [(4, 4)] * 4),
        (["stack.0.0", "stack.0.1", "stack.1.0", "stack.1.1"], [(5, 4), (6, 5), (5, 6), (4, 5)]),
        (["b", "a"], [(5, 4), (3, 5)]),
    ],
)
def test_layers_stand_in_the_order_of_their_numbers_or_shapes(names: list[str], shapes: list[tuple[int, int]]) -> None:
    weights = [w(*shape) for shape in shapes]
    state = {f"{name}.weight": weight for name, weight in sorted(zip(names, weights), key=lambda pair: pair[0])}
    mlp = from_torch(state, "relu")
    assert all((a == b).all() for a, b in zip(mlp.weights, weights))


OTHERS: list[tuple[str, Any, str]] = [  # a key beside those of a network, its value, and what is said
    ("emb.weight", w(5, 4), "'emb.weight' belongs to an Embedding"),
    ("token_embedding.weight", w(4, 4), "belongs to an Embedding"),
    ("charEmbedding.weight", w(4, 4), "belongs to an Embedding"),
    ("tok_emb.weight", w(4, 4), "belongs to an Embedding"),
    ("embs.0.weight", w(4, 4), "belongs to an Embedding"),
    ("cell.weight_ih", w(4, 4), "a recurrent layer"),
    ("lstm.weight_hr_l0", w(4, 4), "a recurrent layer"),
    ("0.LoRA_A", w(2, 4), r"an adapter \(LoRA\)"),
    ("2.adapter.down.weight", w(2, 3), r"an adapter \(LoRA\)"),
    (
        "shortcut.weight",
        w(2, 3),
        "'shortcut.weight' belongs to a path beside the chain of layers; hand over the module",
    ),
    ("4.weight", np.array([[1.0, np.nan, 0.0]]), r"module\['4.weight'\]: not finite at \[0, 1\] \(nan\)"),
    ("conv.weight", w(3, 3, 3, 3), r"'conv.weight' of shape \(3, 3, 3, 3\) is a convolution"),
    ("lstm.weight_ih_l0", w(4, 4), r"a recurrent layer \(LSTM"),
    ("norm.weight", w(4), r"'norm.weight' of shape \(4,\) is a normalisation or PReLU"),
    ("1.running_mean", w(4), "a batch normalisation, whose place is not known; hand over the module"),
    ("1.num_batches_tracked", np.array(3), "a batch normalisation"),
    ("lora_A.weight", w(2, 4), r"an adapter \(LoRA\) beside the weights; merge it"),
    ("q.lora_B.default.weight", w(4, 2), r"an adapter \(LoRA\)"),
    ("0.weight_u", w(4), "a spectral norm; hand over the module"),
    ("attn.in_proj_weight", w(4, 4), "an attention"),
    ("fc.scale", w(4), "a quantised layer; hand over the network as it was before"),
    ("fc._packed_params.dtype", "qint8", "a quantised layer"),
    ("4.weight", np.ones((4, 3), np.int8), "'4.weight' holds int8; a quantised weight"),
    ("epoch", 3, "'epoch' belongs to something else than a Linear layer's weight and bias; leave it out"),
    ("state_dict", {}, "'state_dict' holds a mapping; if that is the state dict, hand it over itself"),
    ("optimizer.state.0.exp_avg", w(4), "an optimiser; leave it out"),
    ("exp_avg", w(4), "an optimiser"),
    ("Dense_0.kernel", w(4, 4), "a layer of Flax or Keras; hand it over to from_flax or from_keras"),
    ("0.mask", w(4, 4), "a mask that is not torch.nn.utils.prune's; hand over the module, or multiply it"),
    ("4.parametrizations.weight.original", w(4, 4), "a parametrisation whose value is not in the state dict"),
    ("4.bias", w(4), "'4.bias' has no weight beside it"),
    ("4.weight_orig", w(4, 3), "of layer '4' there are weight_orig; expected weight and bias"),
    ("0.weight_orig", w(5, 4), "of layer '0' there are bias, weight, weight_orig"),
    ("0.bias_mask", w(5), "of layer '0' there are bias, bias_mask, weight"),
    ("4.weight", w(0, 3), r"'4.weight' of shape \(0, 3\)"),
    ("4.weight", None, r"module\['4.weight'\]: expected an array of real numbers, got NoneType"),
    ("4.weight", np.ma.masked_array(w(4, 3), np.eye(4, 3)), r"module\['4.weight'\]: has masked entries"),
    ("4.weight", w(4, 4), "'2' has 3 outputs, '4' 4 inputs; expected the layers of one network"),
    ("02.weight", w(3, 3), "which of '(2|02)' and '(2|02)' comes first is not known"),
]


@pytest.mark.parametrize(("key", "value", "words"), OTHERS)
def test_a_key_that_is_no_linear_layers_is_named(key: str, value: Any, words: str) -> None:
    with pytest.raises(
        (ValueError, TypeError), match=words.replace("hand over the module, or", "hand over the module,.*or")
    ):
        from_torch(net() | {key: value}, "relu")


STATES: list[tuple[Any, str]] = [
    ({}, "expected the weights of at least one layer, got an empty state dict"),
    ({"state": {}, "param_groups": []}, "is an optimiser's state; hand over the model's state dict"),
    ({"model": net(), "epoch": 1}, "'model' holds a mapping; if that is the state dict, hand it over itself"),
    ({0: w(3, 3)}, "expected names as keys, got int"),
    ({**net("actor."), **net("critic.")}, "'actor' and 'critic' may be two networks; hand over the entries of one"),
    ({**net("net1.", (4, 5, 4)), **net("net2.", (4, 5, 4))}, "'net1' and 'net2' may be two networks"),
    ({**net("m.0.", (4, 5, 4)), **net("m.1.", (4, 5, 4))}, "'m.0' and 'm.1' may be two networks"),
    ({**net("module."), **net()}, "'2' has 3 outputs, 'module.0' 4 inputs"),
    ({**net("module.", (4, 5, 4)), **net("", (4, 5, 4))}, "the order of .* is not known; hand over the module"),
    ({"a.weight": w(3, 3), "b.weight": w(3, 3)}, r"the order of 'a', 'b' is not known; .* from_layers"),
    ({f"{name}.weight": w(3, 3) for name in "abcdefg"}, "the order of 'a', .* is not known"),
    ({"policy.weight": w(2, 4), "value.weight": w(1, 4)}, "'policy' and 'value' may be side by side; if each"),
    ({"net.0.weight": w(8, 4), "actor.weight": w(8, 8), "critic.weight": w(1, 8)}, "'actor' and 'critic' may be side"),
    ({"net.0.weight": w(8, 4), "mu.0.weight": w(8, 8), "log_std.0.weight": w(1, 8)}, "'mu' and 'log_std' may be"),
    ({f"ffn.w{k}.weight": w(*s) for k, s in ((1, (8, 4)), (2, (4, 8)), (3, (8, 4)))}, "'w1' and 'w2' and 'w3' may be"),
    ({"one.weight": w(2, 4), "other.weight": w(1, 4)}, "'one' has 2 outputs, 'other' 4 inputs"),
    ({"0.weight": w(3, 4), "0.bias": w(4)}, r"'0.bias' has shape \(4,\); expected \(3,\)"),
    ({"weight_g": w(5, 2), "weight_v": w(5, 4)}, "of layer '' there are weight_g, weight_v"),
    ({"weight_g": w(5, 1), "weight_v": np.zeros((5, 4))}, r"weights\[0\]: not finite"),
    ({"weight_orig": w(5, 4), "weight_mask": w(5, 1)}, "of layer '' there are weight_mask, weight_orig"),
]


@pytest.mark.parametrize(("state", "words"), STATES)
def test_what_is_no_state_dict_of_one_network_is_named(state: Any, words: str) -> None:
    with pytest.raises((ValueError, TypeError), match=f"^.*{words}"):
        from_torch(state, "relu")


def test_the_activation_must_be_named_where_there_is_one() -> None:
    with pytest.raises(ValueError, match="activation: a state dict does not name one; expected one of identity, relu"):
        from_torch(net())
    with pytest.raises(ValueError, match=r"output_activation: the softmax is left out .*; expected \"identity\""):
        from_torch(net(), "relu", "softmax")  # type: ignore[arg-type]
    assert from_torch(net(), "tanh", "sigmoid").output_activation == "sigmoid"
    assert from_torch({"weight": w(3, 4)}).sizes == (4, 3)


def test_layers_that_are_one_array_are_not_written_apart() -> None:
    """Loaded into the module that ties them, the last would be both."""
    shared, b = w(3, 3), w(3)
    state = {"0.weight": shared, "0.bias": b, "2.weight": shared, "2.bias": b.copy()}
    mlp = from_torch(state, "relu")
    both = mlp.replace([2 * mlp.weights[0]] * 2, [mlp.biases[0], mlp.biases[1] + 1])
    assert (from_torch(to_torch(both, state), "relu")(np.eye(3)) == both(np.eye(3))).all()
    with pytest.raises(ValueError, match=r"module: '0.weight' and '2.weight' are one tensor, for which .* two values"):
        to_torch(pruned_of(mlp), state)
    with pytest.raises(ValueError, match=r"module: '0.bias' and '2.bias' are one tensor"):
        to_torch(both, state | {"2.bias": b})
    masked = {f"{l}.weight_{kind}": value for l in (0, 2) for kind, value in (("orig", w(3, 3)), ("mask", shared > 9))}
    kept = from_torch(masked, "relu")
    assert from_torch(to_torch(ec.Pruned.from_zeros(kept), masked), "relu").sizes == (3, 3, 3)
    with pytest.raises(ValueError, match=r"module: '0.weight_mask' and '2.weight_mask' are one tensor"):
        to_torch(pruned_of(mlp), {**masked, "2.weight_mask": masked["0.weight_mask"]})
    lists = {"0.weight": shared.tolist(), "2.weight": shared.tolist()}
    assert from_torch(to_torch(pruned_of(mlp), lists), "relu").sizes == (3, 3, 3)


def test_a_mask_gives_way_to_a_value_and_stays_elsewhere() -> None:
    state = {"weight_orig": w(1, 3), "weight_mask": np.array([[1, 0, 0]]), "bias_orig": w(1), "bias_mask": np.zeros(1)}
    written = to_torch(ec.MLP([[[0.0, 2.0, 0.0]]], [[3.0]]), state)
    assert written["weight_mask"].tolist() == [[1, 1, 0]]
    assert written["bias_mask"].tolist() == [1]
    assert from_torch(written)([[0.0, 1.0, 5.0]]) == 5.0


def test_a_bias_that_is_missing_is_added_where_it_is_needed() -> None:
    state = {"0.weight": w(2, 2), "2.weight": w(1, 2)}
    mlp = ec.MLP([w(2, 2), w(1, 2)], [np.zeros(2), np.ones(1)])
    assert list(to_torch(mlp, state)) == ["0.weight", "2.weight", "2.bias"]


def test_a_mapping_that_cannot_be_written_to_comes_back_as_a_dict() -> None:
    from types import MappingProxyType

    mlp = mlp_of([Layer(w(2, 3), None, "identity", ())])
    written = to_torch(mlp, MappingProxyType({"weight": w(2, 3)}))
    assert (written["weight"] == mlp.weights[0]).all()


def test_what_does_not_fit_into_a_state_dict_is_named() -> None:
    mlp = mlp_of([Layer(1e6 * np.ones((2, 3)), None, "identity", ())])
    with pytest.raises(ValueError, match=r"module: expected layers of shapes \[\(2, 3\)\] as in the network, got"):
        to_torch(mlp, net())
    with pytest.raises(ValueError, match=r"a\.weight: the network's values are too large for float16; expected"):
        to_torch(mlp, {"a.weight": w(2, 3).astype(np.float16)})
