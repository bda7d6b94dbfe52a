"""State dicts, from and to: every key is understood, or refused by name."""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .._types import Array, Mask, Masks
from ..mlp import MLP
from ._common import by_value, ending, is_a, like, parameter, same_shapes
from ._order import in_order

LEAF = re.compile(
    r"(?:(?P<path>.+)\.)?(?P<leaf>(?:weight|bias)(?:_orig|_mask)?|weight_[gv]|parametrizations\.weight\.original[01])"
)
WEIGHT_NORMS = [["weight_g", "weight_v"], ["parametrizations.weight.original0", "parametrizations.weight.original1"]]
MODULE = "hand over the module, which knows what it computes"
NO_LAYER = {  # whatever the last part of their names is
    r"(?i)lora|hada_|lokr|ia3_|adapter": f"an adapter (LoRA) beside the weights; merge it into them, or {MODULE}",
    r"(?i)embed|(^|[._])embs?\d*[._]|(^|\.)(wte|wpe)\.": "an Embedding; supported are Linear layers",
    r"(?i)(^|[._])(skip|shortcut|residual|gate)s?\d*[._]": f"a path beside the chain of layers; {MODULE}",
    r"(^|[._])(exp_avg\w*|momentum_buffer|param_groups|optimizer)|^state\.": "an optimiser; leave it out",
}
NO_LINEAR = {
    r"parametrizations\.": f"a parametrisation whose value is not in the state dict; {MODULE}",
    r"weight_u$": f"a spectral norm; {MODULE}",
    r"(running_(mean|var)|num_batches_tracked)$": f"a batch normalisation, whose place is not known; {MODULE}",
    r"(weight|bias)_[ih][hr](_l\d|$)": "a recurrent layer (LSTM, GRU, RNN); supported are Linear layers",
    r"_proj_(weight|bias)$": "an attention; supported are Linear layers",
    r"scale|zero_point|_packed|absmax|quant|SCB": "a quantised layer; hand over the network as it was before",
    r"mask$": f"a mask that is not torch.nn.utils.prune's; {MODULE}, or multiply it into the weight",
    r"kernel$": "a layer of Flax or Keras; hand it over to from_flax or from_keras",
    r"": "something else than a Linear layer's weight and bias; leave it out if the outputs do not depend on it",
}


@dataclass(frozen=True)
class Entry:
    """A Linear layer in a state dict: its path, its values, and the keys that they are read from."""

    path: str
    weight: Array
    bias: Array | None
    weight_keys: Sequence[str]
    bias_keys: Sequence[str]


def read_state(argument: str, state: Mapping[str, Any]) -> list[Entry]:
    """The Linear layers of a state dict, in order; raises ValueError that names the key that stands in the way."""
    if {"state", "param_groups"} <= set(state):
        raise ValueError(f"{argument}: is an optimiser's state; hand over the model's state dict")
    layers: dict[str, dict[str, str]] = {}
    for key, value in state.items():
        if not isinstance(key, str):
            raise TypeError(f"{argument}: expected names as keys, got {type(key).__name__}")
        if isinstance(value, Mapping):
            raise ValueError(f"{argument}: {key!r} holds a mapping; if that is the state dict, hand it over itself")
        match = LEAF.fullmatch(key)
        for pattern, owner in (NO_LAYER if match else NO_LAYER | NO_LINEAR).items():
            if re.search(pattern, key):
                raise ValueError(f"{argument}: {key!r} belongs to {owner}")
        assert match is not None  # for the last pattern takes everything
        layers.setdefault(match["path"] or "", {})[match["leaf"]] = key
    if not layers:
        raise ValueError(f"{argument}: expected the weights of at least one layer, got an empty state dict")
    entries = {path: _entry(argument, path, leaves, state) for path, leaves in layers.items()}
    order = in_order(argument, {path: (len(e.weight), e.weight.shape[1]) for path, e in entries.items()})
    return [entries[path] for path in order]


def from_state(entries: Sequence[Entry], activation: Any, output_activation: Any) -> MLP:
    """The network of a state dict's layers; without an activation of the outputs it is the identity."""
    biases = [np.zeros_like(e.weight[:, 0]) if e.bias is None else e.bias for e in entries]
    last: Any = "identity" if output_activation is None else ending(output_activation)
    return MLP([e.weight for e in entries], biases, activation, last)


def write_state(argument: str, state: Mapping[str, Any], mlp: MLP, kept: Masks) -> tuple[Any, list[Any]]:
    """A state dict with the network's values instead, and the masks as arrays or tensors of its kind.

    `weight_orig` and `weight_mask` stay; what else a weight was made of gives way to `weight`.
    """
    entries = read_state(argument, state)
    same_shapes(argument, [entry.weight.shape for entry in entries], mlp)
    new: dict[str, dict[str, Any]] = {key: {} for key in state}  # what comes in the place of each key
    masks = []
    for entry, w, b, mask in zip(entries, mlp.weights, mlp.biases, kept):
        first, prefix = entry.weight_keys[0], f"{entry.path}." if entry.path else ""
        old = state[next(key for key in entry.weight_keys if not key.endswith("_mask"))]
        new[first] |= _written(f"{prefix}weight", entry.weight_keys, state, old, w, mask)
        masks.append(new[first].get(f"{prefix}weight_mask", like(first, old, mask)))
        if entry.bias_keys or b.any():  # one that is missing comes after the weight
            place = [*entry.bias_keys, first][0]
            new[place] |= _written(f"{prefix}bias", entry.bias_keys, state, old, b, np.ones(b.shape, bool))
    copied: Any = copy.copy(state) if isinstance(state, MutableMapping) else {}
    copied.clear()
    for values in new.values():
        copied.update(values)
    _shared(argument, state, copied)
    return copied, masks


def _shared(argument: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> None:
    """Raise where two keys have one tensor, as those of layers that a module ties, for which there are two values."""
    first: dict[tuple[int, tuple[int, ...]], tuple[str, Array]] = {}
    for key in [key for key in new if key in old]:
        value = by_value(key, new[key], "fiub")
        other, expected = first.setdefault((_address(old[key]), value.shape), (key, value))
        if not np.array_equal(value, expected):
            raise ValueError(
                f"{argument}: {other!r} and {key!r} are one tensor, for which the network has two values; "
                "expected layers that share nothing: clone() one of them"
            )


def _address(value: Any) -> int:
    """Where the numbers of a tensor or an array are in memory; of anything else, which it is."""
    if is_a(value, "torch", "Tensor"):
        return int(value.data_ptr())
    return int(value.ctypes.data) if isinstance(value, np.ndarray) else id(value)


def mask_of(values: Array, kept: Mask, old: Array) -> Mask:
    """What a mask that was there becomes: it lets pass what the network keeps and it did, and every value."""
    passing: Mask = (kept & (old != 0)) | (values != 0)
    return passing


def _entry(argument: str, path: str, leaves: Mapping[str, str], state: Mapping[str, Any]) -> Entry:
    made_of = {kind: sorted(leaf for leaf in leaves if kind in leaf) for kind in ("weight", "bias")}
    if not made_of["weight"]:
        raise ValueError(
            f"{argument}: {leaves[made_of['bias'][0]]!r} has no weight beside it (where two layers share one, some "
            "files leave out its second name); add it under that name"
        )
    values = {leaf: _value(argument, key, state[key]) for leaf, key in leaves.items()}
    weight = _made("weight", made_of["weight"], values)
    bias = _made("bias", made_of["bias"], values)
    if weight is None or (bias is None and made_of["bias"]):
        raise ValueError(
            f"{argument}: of layer {path!r} there are {', '.join(sorted(leaves))}; expected weight and bias, each "
            f"alone, with _orig and _mask, or as a weight norm; {MODULE}"
        )
    if weight.ndim != 2 or 0 in weight.shape:
        kind = {0: "a number", 1: "a normalisation or PReLU"}.get(weight.ndim, "a convolution, by its shape")
        key = leaves[made_of["weight"][0]]
        raise ValueError(f"{argument}: {key!r} of shape {weight.shape} is {kind}; supported are Linear layers")
    if bias is not None and bias.shape != (len(weight),):
        key = leaves[made_of["bias"][0]]
        raise ValueError(
            f"{argument}: {key!r} has shape {bias.shape}; expected ({len(weight)},), as its weight has rows"
        )
    return Entry(path, weight, bias, *([leaves[leaf] for leaf in made_of[kind]] for kind in ("weight", "bias")))


def _value(argument: str, key: str, value: Any) -> Array:
    is_mask = key.endswith("_mask")
    array = parameter(f"{argument}[{key!r}]", value, "fiub" if is_mask else "fiu")
    if array.dtype.kind != "f" and not is_mask:
        raise ValueError(f"{argument}: {key!r} holds {array.dtype}; a quantised weight is not supported")
    return array


def _made(kind: str, made_of: list[str], values: Mapping[str, Array]) -> Array | None:
    """The weight or bias that the leaves make, or None where they make none."""
    if made_of == [kind]:
        return values[kind]
    if made_of == [f"{kind}_mask", f"{kind}_orig"] and values[f"{kind}_mask"].shape == values[f"{kind}_orig"].shape:
        value = values[f"{kind}_orig"]
        return (value * values[f"{kind}_mask"]).astype(value.dtype)
    if made_of in WEIGHT_NORMS:
        g, v = (values[leaf].astype(np.float64) for leaf in made_of)
        normed = tuple(axis for axis in range(v.ndim) if g.ndim <= axis or g.shape[axis] == 1)
        norm = np.sqrt(np.sum(v**2, axis=normed, keepdims=True))
        if g.size == norm.size:
            with np.errstate(invalid="ignore"):  # of a row of zeros: it is refused as not finite
                weight: Array = (g.reshape(norm.shape) * v / norm).astype(values[made_of[0]].dtype)
            return weight
    return None


def _written(
    name: str, keys: Sequence[str], state: Mapping[str, Any], old: Any, values: Array, kept: Mask
) -> dict[str, Any]:
    """The entries of a weight or a bias, as `old` is."""
    if f"{name}_mask" not in keys:
        return {name: like(name, old, values)}
    mask = state[f"{name}_mask"]
    passing = mask_of(values, kept, by_value(name, mask, "fiub"))
    return {f"{name}_orig": like(name, old, values), f"{name}_mask": like(name, mask, passing)}
