"""Safetensors files: read as they were, or refused in one line that names them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from architectures import Layer, architectures, assert_zero_where_removed, mlp_of, pruned_of, samples
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import ecprune_np as ec
from ecprune_np.interop import from_safetensors, to_safetensors

MLP = ec.MLP.initialize([4, 3, 3, 2], ("relu", "tanh"), "sigmoid", dtype=np.float32)


def a_file(header: Any, body: bytes = b"", length: int | None = None) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return (len(text) if length is None else length).to_bytes(8, "little") + text + body


def entry(start: int, end: int, *shape: Any, dtype: Any = "F32") -> dict[str, Any]:
    return {"dtype": dtype, "shape": list(shape), "data_offsets": [start, end]}


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(architectures(sorted(ec.ACTIVATIONS)), st.sampled_from([np.float32, np.float64]))
def test_a_network_is_written_and_read(tmp_path: Path, layers: list[Layer], dtype: Any) -> None:
    pruned = pruned_of(mlp_of(layers).astype(dtype))
    to_safetensors(pruned, tmp_path / "file")
    mlp = from_safetensors(tmp_path / "file")
    assert mlp.dtype == dtype
    assert (mlp(samples(mlp)) == pruned.mlp(samples(mlp))).all()
    assert_zero_where_removed(mlp, pruned)


def test_the_package_safetensors_reads_and_writes_the_same(tmp_path: Path) -> None:
    numpy: Any = pytest.importorskip("safetensors.numpy", reason="safetensors is in the extra `peers`")
    to_safetensors(MLP, tmp_path / "ours")
    arrays = numpy.load_file(tmp_path / "ours")
    assert all((arrays[f"{l}.weight"] == w).all() for l, w in enumerate(MLP.weights))
    numpy.save_file(arrays, tmp_path / "theirs")
    mlp = from_safetensors(tmp_path / "theirs", ("relu", "tanh"), "sigmoid")
    assert (mlp(samples(mlp)) == MLP(samples(mlp))).all()


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16", "bfloat16"])
def test_tensors_of_pytorch_are_read_by_value(tmp_path: Path, dtype: str) -> None:
    torch: Any = pytest.importorskip("torch", reason="PyTorch is in the extra `peers`")
    save: Any = pytest.importorskip("safetensors.torch", reason="safetensors is in the extra `peers`").save_file
    module = torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.ReLU(), torch.nn.Linear(3, 2)).to(
        getattr(torch, dtype)
    )
    save(module.state_dict(), tmp_path / "file")
    mlp = from_safetensors(tmp_path / "file", "relu")
    for weight, linear in zip(mlp.weights, (module[0], module[2])):
        assert (weight == linear.weight.detach().double().numpy()).all()


DAMAGED: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "expected a safetensors file: of 0 bytes, the header cannot have 0"),
    "huge": (a_file({}, length=2**62), "of 10 bytes, the header cannot have 4611686018427387904"),
    "no JSON": (a_file(b"{x"), "its header is no JSON"),
    "no text": (a_file(b"\xff\xff"), "its header is no JSON"),
    "long numbers": (a_file(b'{"a": ' + b"1" * 5000 + b"}"), "its header is no JSON"),
    "nested": (a_file(b"[" * 100_000), "its header is no JSON"),
    "a list": (a_file([]), "its header names no tensors"),
    "no tensors": (a_file({}), "expected the weights of at least one layer, got an empty state dict"),
    "twice": (a_file(b'{"a": 1, "a": 2}'), "its header names a tensor twice"),
    "metadata": (a_file({"__metadata__": {"n": 1}}), "its metadata is no text"),
    "no description": (a_file({"weight": 3}), "'weight' is described by 3"),
    "more": (a_file({"weight": entry(0, 4, 1, 1) | {"more": 1}}, b"1234"), "'weight' is described by {'dtype': 'F32'"),
    "dtype": (
        a_file({"weight": entry(0, 1, 1, 1, dtype="F4")}, b"1"),
        "'weight' is in F4; supported are F64, F32, F16",
    ),
    "shape": (a_file({"weight": entry(0, 4, -1, -1)}, b"1234"), r"'weight' has the shape \[-1, -1\]"),
    "true": (a_file({"weight": entry(0, 4, True, 1)}, b"1234"), r"'weight' has the shape \[True, 1\]"),
    "terabytes": (
        a_file({"weight": entry(0, 4, 2**20, 2**20)}, b"1234"),
        r"'weight' of shape \[1048576, 1048576\] in F32 cannot be the bytes 0 to 4 of 4",
    ),
    "beyond": (a_file({"weight": entry(4, 8, 1, 1)}, b"1234"), "cannot be the bytes 4 to 8 of 4"),
    "backwards": (a_file({"weight": entry(4, 0, 1, 1)}, b"1234"), "cannot be the bytes 4 to 0 of 4"),
    "gap": (a_file({"weight": entry(4, 8, 1, 1)}, b"12345678"), "overlap or leave a gap at byte 0"),
    "overlap": (
        a_file({"weight": entry(0, 4, 1, 1), "bias": entry(0, 4, 1)}, b"1234"),
        "its tensors overlap or leave a gap at byte 4",
    ),
    "rest": (a_file({"weight": entry(0, 4, 1, 1)}, b"12345678"), "its tensors end at byte 4 of 8"),
    "integers": (a_file({"weight": entry(0, 1, 1, 1, dtype="I8")}, b"1"), "'weight' holds int8; a quantised weight"),
    "infinite": (
        a_file({"weight": entry(0, 4, 1, 1)}, np.float32(np.inf).tobytes()),
        r"\['weight'\]: not finite at \[0, 0\] \(inf\)",
    ),
    "a norm of zero": (
        a_file({"weight_g": entry(0, 4, 1, 1), "weight_v": entry(4, 8, 1, 1)}, bytes(8)),
        r"weights\[0\]: not finite at \[0, 0\]",
    ),
    "a tied tensor": (a_file({"0.bias": entry(0, 4, 1)}, b"1234"), "'0.bias' has no weight beside it"),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_a_damaged_file_is_named(tmp_path: Path, name: str) -> None:
    data, words = DAMAGED[name]
    (tmp_path / "file").write_bytes(data)
    with pytest.raises(ValueError, match=f"file.*{words}") as error:
        from_safetensors(tmp_path / "file")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("mlp", [MLP, ec.MLP.initialize([4, 3], output_activation="tanh")], ids=["", "one layer"])
@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_file_of_ours_is_read_as_it_was_or_not_at_all(tmp_path: Path, mlp: ec.MLP, data: st.DataObject) -> None:
    to_safetensors(mlp, tmp_path / "file")
    content = bytearray((tmp_path / "file").read_bytes())
    for _ in range(data.draw(st.integers(1, 3))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    (tmp_path / "file").write_bytes(content[: data.draw(st.integers(0, len(content))) or None])
    try:
        read = from_safetensors(tmp_path / "file")
    except (ValueError, TypeError) as error:
        assert "\n" not in str(error) and "file" in str(error)
    else:
        assert (read.activation, read.output_activation) == (mlp.activation, mlp.output_activation)
        assert all((a == b).all() for a, b in zip(read.weights + read.biases, mlp.weights + mlp.biases))


@pytest.mark.parametrize("key", ["format", "activations", "crc32"])
@pytest.mark.parametrize("what", ["key", "value"])
def test_a_file_of_ours_is_known_when_a_mark_of_it_is_damaged(tmp_path: Path, key: str, what: str) -> None:
    """A file of one layer could be read as another's, which needs no name of an activation."""
    to_safetensors(ec.MLP.initialize([4, 3], output_activation="tanh"), tmp_path / "file")
    content = bytearray((tmp_path / "file").read_bytes())
    place = content.index(f'"{key}"'.encode()) + (1 if what == "key" else len(key) + 5)
    content[place] ^= 1
    (tmp_path / "file").write_bytes(content)
    try:
        assert from_safetensors(tmp_path / "file").output_activation == "tanh"
    except ValueError as error:
        assert "expected a network as it was written" in str(error)


def test_a_tensor_that_was_left_out_as_another_is_there_again(tmp_path: Path) -> None:
    torch: Any = pytest.importorskip("torch", reason="PyTorch is in the extra `peers`")
    save: Any = pytest.importorskip("safetensors.torch", reason="safetensors is in the extra `peers`").save_model
    module = torch.nn.Sequential(*(torch.nn.Linear(4, 4, bias=False) for _ in range(3)))
    module[2].weight = module[0].weight
    save(module, tmp_path / "file")
    mlp = from_safetensors(tmp_path / "file", "identity")
    np.testing.assert_allclose(mlp(np.eye(4)), module(torch.eye(4)).detach(), atol=1e-6)


def test_a_file_of_ours_names_its_activations(tmp_path: Path) -> None:
    to_safetensors(MLP, tmp_path / "file")
    with pytest.raises(ValueError, match="activation: expected none, for it has no effect beside a file that names"):
        from_safetensors(tmp_path / "file", "relu")
    with pytest.raises(ValueError, match="output_activation: expected none"):
        from_safetensors(tmp_path / "file", None, "relu")


def test_another_file_does_not_name_its_activations(tmp_path: Path) -> None:
    header = {"0.weight": entry(0, 4, 1, 1), "1.weight": entry(4, 8, 1, 1)}
    (tmp_path / "file").write_bytes(a_file(header, np.ones(2, "<f4").tobytes()))
    with pytest.raises(ValueError, match=r"activation: .*file does not name one; expected one of identity"):
        from_safetensors(tmp_path / "file")
    assert from_safetensors(tmp_path / "file", "relu")([[3.0]]) == 3


def test_what_the_format_does_not_have_is_named(tmp_path: Path) -> None:
    with pytest.raises(
        ValueError, match=r"network: a safetensors file holds no \w+; write network\.astype\(np\.float64\)"
    ):
        to_safetensors(MLP.astype(np.longdouble), tmp_path / "file")
    with pytest.raises(ValueError, match="file: no such file"):
        from_safetensors(tmp_path / "file")
    with pytest.raises(TypeError, match="file: expected the path of a file, got int"):
        from_safetensors(3)  # type: ignore[arg-type]
