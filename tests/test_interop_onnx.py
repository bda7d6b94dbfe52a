"""ONNX models: the same outputs here as the reference evaluator's; what is no chain is refused by the node's name."""

from __future__ import annotations

import random
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from architectures import Layer, architectures, assert_computes, read_and_said, samples
from hypothesis import given, settings
from hypothesis import strategies as st

import ecprune_np as ec
from ecprune_np.interop import from_onnx

onnx: Any = pytest.importorskip("onnx", reason="onnx is in the extra `peers`")
node: Any = onnx.helper.make_node
RNG = np.random.default_rng(0)

OPERATORS = {
    "relu": "Relu",
    "leaky_relu": "LeakyRelu",
    "elu": "Elu",
    "sigmoid": "Sigmoid",
    "tanh": "Tanh",
    "softplus": "Softplus",
    "sin": "Sin",
    "gelu": "Gelu",
    "silu": "Swish",
    "identity": "Identity",
}


def f(*shape: int) -> Any:
    return np.asarray(RNG.standard_normal(shape), np.float32)


def model(
    nodes: list[Any], constants: dict[str, Any], shape: Any = ("N", 4), outputs: Any = ("y",), **options: Any
) -> Any:
    dtype = options.get("dtype", "float32")
    kind = onnx.helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    graph = onnx.helper.make_graph(
        nodes,
        "graph",
        [onnx.helper.make_tensor_value_info("x", kind, shape)],
        [onnx.helper.make_tensor_value_info(name, kind, None) for name in outputs],
        [onnx.numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    return onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 24)])


def evaluated(built: Any, x: np.ndarray) -> np.ndarray:
    (outputs,) = pytest.importorskip("onnx.reference").ReferenceEvaluator(built).run(None, {"x": x})
    return np.asarray(outputs)


@settings(max_examples=60)
@given(
    architectures(sorted(OPERATORS), ["gemm", "transposed", "norm", "dropout", "sum first", "row"]),
    st.sampled_from(["float32", "float64", "float16"]),
    st.sampled_from(["", "Softmax", "LogSoftmax"]),
    st.booleans(),
)
def test_a_model_has_the_same_outputs_here(layers: list[Layer], dtype: str, end: str, flatten: bool) -> None:
    if {"gelu", "leaky_relu"} & {layer.activation for layer in layers}:
        dtype = "float32" if dtype == "float64" else dtype  # their constants are in single precision
    nodes = [node("Flatten", ["x"], ["0"])] if flatten else [node("Identity", ["x"], ["0"])]
    constants: dict[str, Any] = {}
    name = "0"

    def add(operator: str, *inputs: str, **attributes: Any) -> None:
        nonlocal name
        placed = [name if entry == "*" else entry for entry in inputs]
        name = str(len(nodes))
        nodes.append(node(operator, placed, [name], **attributes))

    def constant(array: Any) -> str:
        constants[f"c{len(constants)}"] = np.asarray(array, dtype)
        return f"c{len(constants) - 1}"

    for layer in layers:
        w, b = layer.weight, layer.bias
        if "gemm" in layer.extras:
            inputs = [constant(w if "transposed" in layer.extras else w.T), *([] if b is None else [constant(b / 2)])]
            add("Gemm", "*", *inputs, transB=int("transposed" in layer.extras), alpha=0.5, beta=2.0)
        else:
            add("MatMul", "*", constant(w.T))
            if b is not None:
                shift = constant(b[None] if "row" in layer.extras else b)
                add("Add", *([shift, "*"] if "sum first" in layer.extras else ["*", shift]))
        if "norm" in layer.extras:
            n = len(w)
            statistics = [
                RNG.standard_normal(n),
                RNG.standard_normal(n),
                RNG.standard_normal(n),
                RNG.uniform(0.5, 2, n),
            ]
            add("BatchNormalization", "*", *map(constant, statistics), epsilon=1e-3)
        add(OPERATORS[layer.activation], "*")
        if "dropout" in layer.extras:
            add("Dropout", "*")
    if end and layers[-1].activation == "identity" and len(layers[-1].weight) > 1:
        add(end, "*", axis=1)
    else:
        end = ""
    n_inputs = layers[0].weight.shape[1]
    built = model(nodes, constants, ("N", 1, n_inputs) if flatten else ("N", n_inputs), [name], dtype=dtype)
    left_out = {"Softmax": "softmax", "LogSoftmax": "log_softmax"}.get(end, "")
    mlp = read_and_said(from_onnx, built, left_out)
    x = samples(mlp)
    expected = evaluated(built, x.astype(dtype).reshape(len(x), *([1, n_inputs] if flatten else [n_inputs])))
    assert_computes(expected, mlp, x, dtype, left_out)


GEMM = node("Gemm", ["x", "W", "b"], ["h"], transB=1, name="gemm")
END = [node("MatMul", ["a", "V"], ["y"])]
D = {"D": RNG.standard_normal((4, 3))}
W = {"W": f(5, 4), "b": f(5), "V": f(5, 3)}


def test_a_file_is_read(tmp_path: Path) -> None:
    built = model([GEMM, node("Relu", ["h"], ["a"]), *END], W)
    onnx.save(built, tmp_path / "file")
    for file in (tmp_path / "file", str(tmp_path / "file")):
        mlp = from_onnx(file)
        assert_computes(evaluated(built, samples(mlp)), mlp, samples(mlp), "float32")


def test_a_constant_may_be_a_node() -> None:
    constant = node("Constant", [], ["W"], value=onnx.numpy_helper.from_array(f(4, 3)))
    built = model([constant, node("MatMul", ["x", "W"], ["y"])], {})
    assert_computes(evaluated(built, np.eye(4, dtype="f")), from_onnx(built), np.eye(4), "float32")


@pytest.mark.parametrize("attributes", [{}, {"perm": [1, 0]}])
def test_constants_may_be_the_same_as_others_or_transposed(attributes: Any) -> None:
    """As exporters write them: a mean that is all zeros, as a bias is, is that bias."""
    nodes = [
        node("Identity", ["zeros"], ["mean"]),
        node("Transpose", ["W"], ["T"], **attributes),
        node("MatMul", ["x", "T"], ["h"]),
        node("BatchNormalization", ["h", "ones", "zeros", "mean", "ones"], ["y"]),
    ]
    built = model(nodes, {"W": f(5, 4), "zeros": 0 * f(5), "ones": np.ones(5, "f")})
    assert_computes(evaluated(built, np.eye(4, dtype="f")), from_onnx(built), np.eye(4), "float32")


def test_an_export_of_pytorch_is_read(tmp_path: Path) -> None:
    torch: Any = pytest.importorskip("torch", reason="PyTorch is in the extra `peers`")
    nn = torch.nn
    module = nn.Sequential(nn.Flatten(), nn.Linear(4, 5), nn.BatchNorm1d(5), nn.ReLU(), nn.Dropout(), nn.Linear(5, 3))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(module.eval(), torch.ones(2, 4), tmp_path / "file", dynamo=False, input_names=["x"])
    mlp = from_onnx(tmp_path / "file")
    assert_computes(module(torch.tensor(samples(mlp))).detach(), mlp, samples(mlp), "float32")


def broken() -> Any:
    built = model([GEMM], W, outputs=["h"])
    built.graph.initializer[0].raw_data = b"odd"
    return built


def odd_attribute() -> Any:
    """As a byte that was changed in a file makes it."""
    built = model([GEMM, node("Elu", ["h"], ["y"], alpha=1.0)], W)
    built.graph.node[1].attribute[0].type = onnx.AttributeProto.GRAPH
    return built


def untyped() -> Any:
    built = model([GEMM], W, outputs=["h"])
    built.graph.input[0].type.tensor_type.elem_type = 0
    return built


def sparse() -> Any:
    built = model([GEMM], W, outputs=["h"])
    built.graph.sparse_initializer.add()
    return built


def circle() -> Any:
    return model([node("Relu", ["y"], ["a"]), node("Relu", ["a"], ["y"])], {})


REFUSED: dict[str, tuple[Callable[[], Any], str]] = {
    "operator": (
        lambda: model([GEMM, node("HardSigmoid", ["h"], ["y"])], W),
        r"node y \(HardSigmoid\) is none of a chain",
    ),
    "tanh gelu": (
        lambda: model([GEMM, node("Gelu", ["h"], ["y"], approximate="tanh")], W),
        r"node y \(Gelu\) has {'approximate': 'tanh'}; expected {'approximate': 'none'} for it",
    ),
    "slope": (lambda: model([GEMM, node("LeakyRelu", ["h"], ["y"], alpha=0.2)], W), "expected {'alpha': 0.01} for it"),
    "slope in float64": (
        lambda: model([node("MatMul", ["x", "D"], ["h"]), node("LeakyRelu", ["h"], ["y"])], D, dtype="float64"),
        r"node y \(LeakyRelu\) has {}; expected {'alpha': 0.01} for it, as float64",
    ),
    "gelu in float64": (
        lambda: model([node("MatMul", ["x", "D"], ["h"]), node("Gelu", ["h"], ["y"])], D, dtype="float64"),
        "its own outputs are .* away from those of the layers that were read",
    ),
    "no weight": (lambda: model([node("MatMul", ["x"], ["y"])], {}), r"node y \(MatMul\) is none of a chain"),
    "gate": (
        lambda: model([GEMM, node("Sigmoid", ["h"], ["s"]), node("Mul", ["h", "s"], ["y"], name="gate")], W),
        r"node gate \(Mul\) takes h, s, not first and alone; expected one chain",
    ),
    "from the left": (
        lambda: model([GEMM, node("MatMul", ["U", "h"], ["y"])], W | {"U": f(5, 5)}),
        "takes h, not first",
    ),
    "domain": (
        lambda: model([GEMM, node("Relu", ["h"], ["y"], domain="own")], W),
        "is of the domain own; supported are",
    ),
    "matrix": (
        lambda: model([GEMM, node("Add", ["h", "B"], ["y"])], W | {"B": f(2, 5)}),
        r"adds an array of shape \(2, 5\)",
    ),
    "bias": (
        lambda: model([GEMM], W | {"b": f(4)}, outputs=["h"]),
        r"node gemm \(Gemm\) adds an array of shape \(4,\)",
    ),
    "sum": (
        lambda: model([GEMM, node("Add", ["h", "c"], ["y"])], W | {"c": f(3)}),
        r"by \(\) and \(3,\); expected \(5,\)",
    ),
    "not transposed": (
        lambda: model(
            [node("Transpose", ["W"], ["T"], perm=[0, 1]), node("MatMul", ["x", "T"], ["y"])], {"W": f(4, 3)}
        ),
        r"node y \(MatMul\) takes x, T, not first and alone",
    ),
    "transposed": (
        lambda: model([node("Gemm", ["x", "W"], ["y"], transA=1)], W),
        r"node y \(Gemm\) with {'transA': 1} is",
    ),
    "batched": (lambda: model([node("MatMul", ["x", "T"], ["y"])], {"T": f(2, 4, 3)}), r"node y \(MatMul\) is none of"),
    "training": (
        lambda: model([GEMM, node("Dropout", ["h", "", "t"], ["y"])], W | {"t": np.array(True)}),
        r"node y \(Dropout\) is none of a chain",
    ),
    "axis": (
        lambda: model([GEMM, node("Softmax", ["h"], ["y"], axis=0)], W),
        r"\(Softmax\) with {'axis': 0} is none of",
    ),
    "softmax inside": (
        lambda: model([GEMM, node("Softmax", ["h"], ["a"]), *END], W),
        "is softmax; supported at the end only",
    ),
    "outputs": (lambda: model([GEMM], W, outputs=["h", "x"]), "has 2 outputs; expected one"),
    "no output": (lambda: model([GEMM], W, outputs=["z"]), "nothing makes 'z'; expected one chain"),
    "circle": (circle, "nothing makes 'y'"),
    "no layers": (lambda: model([node("Relu", ["x"], ["y"])], {}), "expected one activation after each Linear"),
    "integers": (lambda: model([GEMM], W, outputs=["h"], dtype="int64"), "its input is int64; expected one of float64"),
    "widths": (
        lambda: model([GEMM, node("MatMul", ["h", "U"], ["y"])], W | {"U": f(4, 3)}),
        "expected 5 columns, got 4",
    ),
    "sparse": (sparse, "has sparse weights; write them dense"),
    "broken": (broken, r"expected an ONNX model that is whole \(ValueError: "),
    "odd attribute": (odd_attribute, r"expected an ONNX model that is whole \("),
    "untyped": (untyped, r"expected an ONNX model that is whole \(KeyError: 0\)"),
    "not finite": (
        lambda: model([GEMM], W | {"b": f(5) * np.float32(np.inf)}, outputs=["h"]),
        r"biases\[0\]: not finite at \[0\]",
    ),
    "softmax of one": (
        lambda: model([node("MatMul", ["x", "w"], ["h"]), node("Softmax", ["h"], ["y"])], {"w": f(4, 1)}),
        "is the softmax of one output, which is the same",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_no_network_computes_is_named(name: str) -> None:
    make, words = REFUSED[name]
    with pytest.raises(ValueError, match=f"^model: .*{words}"):
        from_onnx(make())


def test_what_is_no_model_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "file"
    with pytest.raises(TypeError, match=r"model: expected an onnx\.ModelProto or a file, got int"):
        from_onnx(3)
    with pytest.raises(FileNotFoundError, match="file"):
        from_onnx(file)
    outside = model([GEMM], W, outputs=["h"])
    onnx.save(outside, file, save_as_external_data=True, location="weights", size_threshold=0)
    assert from_onnx(file).sizes == (4, 5)
    (tmp_path / "weights").unlink()
    with pytest.raises(ValueError, match=r"file: expected an ONNX model \(.*weights"):
        from_onnx(file)
    file.write_bytes(b"garbage" * 9)
    with pytest.raises(ValueError, match=r"file: expected an ONNX model \(DecodeError: "):
        from_onnx(file)
    file.write_bytes(b"")
    with pytest.raises(ValueError, match="file: has 0 outputs; expected one"):
        from_onnx(file)
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(ValueError, match="file: to read it, the package onnx must be installed"):
        from_onnx(file)


def test_a_file_with_a_few_bytes_changed_is_read_or_refused_in_one_line(tmp_path: Path) -> None:
    """The format has no checksum: what is read may have other values, but nothing fails from inside."""
    built = model(
        [
            node("Flatten", ["x"], ["f"]),
            node("Gemm", ["f", "W", "b"], ["h"], transB=1),
            node("LeakyRelu", ["h"], ["a"], alpha=0.01),
            *END,
            node("Softmax", ["y"], ["z"], axis=1),
        ],
        W,
        outputs=["z"],
    )
    data, rng, file, read = built.SerializeToString(), random.Random(0), tmp_path / "file", 0
    for _ in range(300):
        changed = bytearray(data)
        for _ in range(rng.choice([1, 1, 2, 5])):
            changed[rng.randrange(len(changed))] = rng.randrange(256)
        file.write_bytes(changed)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                read += from_onnx(file).n_layers
            except (ValueError, OSError) as error:
                assert str(file) in str(error) and "\n" not in str(error), error
    assert read > 0


def test_a_network_goes_on_from_there() -> None:
    mlp = from_onnx(model([GEMM, node("Relu", ["h"], ["a"]), *END], W))
    assert ec.prune(mlp, ec.criteria.magnitude(mlp), 0.5).sparsity > 0.4
