"""Safetensors files, read and written by NumPy alone; sizes in a header are held against the file's length first."""

from __future__ import annotations

import json
import math
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .. import _checks
from .._files import naming, replacing
from .._types import ActivationName, Array, File
from ..mlp import MLP
from ..pruning import Pruned
from ._common import named, parts
from ._state import from_state, read_state

DTYPES = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2"}
OTHERS = {"BOOL": "?", "I64": "<i8", "I32": "<i4", "I16": "<i2", "I8": "i1", "U64": "<u8", "U32": "<u4", "U16": "<u2",
          "U8": "u1"}  # fmt: skip  # they are read, to be refused by name
MAX_HEADER = 100_000_000  # bytes, as in the format's own library
FORMAT = "ecprune_np MLP"


def from_safetensors(
    file: File,
    activation: ActivationName | Sequence[ActivationName] | None = None,
    output_activation: ActivationName | None = None,
) -> MLP:
    """The network of a safetensors file, which holds a state dict as `from_torch` reads it.

    A tensor that `safetensors.torch.save_model` left out, because it is another one, is there again.  A file of
    `to_safetensors` has a checksum; the format has none, and in another file a changed weight is read as it is.

    Parameters
    ----------
    file : str or os.PathLike
        The file; nothing in it is ever executed, and no memory is asked for that its length does not account for.
    activation : str or sequence of str, optional
        The activation of the hidden layers, or one for each.  A file of `to_safetensors` names it itself.
    output_activation : str, optional
        The activation of the outputs, "identity" where the file does not name it either.

    Returns
    -------
    MLP

    Raises
    ------
    ValueError
        Names the file and what is damaged, or the key that belongs to no Linear layer; where an activation is given
        that the file names itself.
    OSError
        Where the file cannot be read.

    Examples
    --------
    >>> ec.interop.to_safetensors(ec.MLP.initialize([4, 3, 2], "relu"), "network.safetensors")
    >>> ec.interop.from_safetensors("network.safetensors")
    MLP(4-3-2, 'relu', 'identity', float64)
    """
    path = _checks.path("file", file)
    tensors, metadata = _read(path)
    tensors |= {name: tensors[other] for name, other in metadata.items() if other in tensors and name not in tensors}
    entries = read_state(str(path), tensors)
    ours = [metadata.get("format") == FORMAT, "activations" in metadata, "crc32" in metadata]
    if sum(ours) > 1:  # or one of them is damaged
        why = "beside a file that names its activations"
        _checks.without_effect(activation=(activation, why), output_activation=(output_activation, why))
        if metadata.get("crc32") != _checksum(metadata.get("activations", ""), tensors):
            raise ValueError(f"{path}: expected a network as it was written, got one with other values")
        *hidden, last = metadata["activations"].split()
        with naming(path):
            return from_state(entries, hidden or "identity", last)
    names = named(str(path), activation, len(entries))
    with naming(path):
        return from_state(entries, names, output_activation)


def to_safetensors(network: Pruned | MLP, file: File) -> None:
    """Write the network to a safetensors file, whole or not at all: `0.weight, 0.bias, 1.weight, ...`.

    PyTorch reads it with `safetensors.torch.load_file`; the activations are in its metadata, for `from_safetensors`.
    What was removed is zero there; masks are not written.

    Parameters
    ----------
    network : Pruned or MLP
        What to write, in float32 or float64.
    file : str or os.PathLike
        Where to.

    Raises
    ------
    TypeError
        Where `network` is no network.
    ValueError
        Where it is in longdouble, which the format does not have.

    Examples
    --------
    >>> ec.interop.to_safetensors(ec.MLP.initialize([4, 3, 2], "relu"), "network.safetensors")
    """
    mlp, _ = parts(network)
    names = {np.dtype(code): name for name, code in DTYPES.items() if name in ("F64", "F32")}
    if mlp.dtype not in names:
        raise ValueError(f"network: a safetensors file holds no {mlp.dtype}; write network.astype(np.float64)")
    arrays: dict[str, Array] = {}
    for l, (w, b) in enumerate(zip(mlp.weights, mlp.biases)):
        arrays |= {f"{l}.weight": w, f"{l}.bias": b}
    activations = " ".join(mlp.layer_activation(l).name for l in range(mlp.n_layers))
    metadata = {"format": FORMAT, "activations": activations, "crc32": _checksum(activations, arrays)}
    header: dict[str, Any] = {"__metadata__": metadata}
    end = 0
    for name, array in arrays.items():
        start, end = end, end + array.nbytes
        header[name] = {"dtype": names[mlp.dtype], "shape": array.shape, "data_offsets": [start, end]}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)  # the values after it are aligned
    with replacing(file) as stream:
        stream.write(len(text).to_bytes(8, "little") + text)
        for array in arrays.values():
            stream.write(array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes())


def _checksum(activations: str, arrays: Mapping[str, Array]) -> str:
    """Of all that is in a file of ours, in the order of the names: the format itself has none."""
    sums = [[name, array.shape, zlib.crc32(array.tobytes())] for name, array in sorted(arrays.items())]
    return f"{zlib.crc32(json.dumps([activations, sums]).encode()):08x}"


def _read(path: Path) -> tuple[dict[str, Array], dict[str, str]]:
    """The tensors and the metadata; raises ValueError that names the file and says what is wrong with it."""
    try:
        return _tensors(path.read_bytes())
    except FileNotFoundError:
        raise ValueError(f"{path}: no such file") from None
    except _Damaged as error:
        raise ValueError(f"{path}: expected a safetensors file: {error}") from None


class _Damaged(Exception):
    """What is wrong with a file, in a few words."""


def _tensors(data: bytes) -> tuple[dict[str, Array], dict[str, str]]:
    length = int.from_bytes(data[:8], "little")
    if len(data) < 8 or length > min(len(data) - 8, MAX_HEADER):
        raise _Damaged(f"of {len(data)} bytes, the header cannot have {length}")
    try:
        header = json.loads(data[8 : 8 + length].decode(), object_pairs_hook=_without_doubles)
    except (ValueError, RecursionError):
        raise _Damaged("its header is no JSON") from None
    if not isinstance(header, dict):
        raise _Damaged("its header names no tensors")
    metadata = header.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise _Damaged("its metadata is no text")
    body = memoryview(data)[8 + length :]
    tensors, ends = {}, []
    for name, entry in header.items():
        tensors[name], place = _tensor(name, entry, body)
        ends.append(place)
    reached = 0
    for start, end in sorted(ends):
        if start != reached:
            raise _Damaged(f"its tensors overlap or leave a gap at byte {reached}")
        reached = end
    if reached != len(body):
        raise _Damaged(f"its tensors end at byte {reached} of {len(body)}")
    return tensors, metadata


def _tensor(name: str, entry: Any, body: memoryview) -> tuple[Array, tuple[int, int]]:
    match entry:
        case {"dtype": str(dtype), "shape": [*shape], "data_offsets": [int(start), int(end)]} if len(entry) == 3:
            pass
        case _:
            raise _Damaged(f"{name!r} is described by {str(entry)[:80]}")
    code = (DTYPES | OTHERS).get(dtype)
    if code is None:
        raise _Damaged(f"{name!r} is in {dtype}; supported are {', '.join(DTYPES)}")
    if not all(type(n) is int and n >= 0 for n in shape):
        raise _Damaged(f"{name!r} has the shape {shape}")
    if not 0 <= start <= end <= len(body) or math.prod(shape) * np.dtype(code).itemsize != end - start:
        raise _Damaged(f"{name!r} of shape {shape} in {dtype} cannot be the bytes {start} to {end} of {len(body)}")
    array = np.frombuffer(body[start:end], code).reshape(shape)
    if dtype == "BF16":  # the upper half of a float32
        array = (array.astype(np.uint32) << 16).view(np.float32)
    return array, (start, end)


def _without_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len({name for name, _ in pairs}) < len(pairs):
        raise _Damaged("its header names a tensor twice")
    return dict(pairs)
