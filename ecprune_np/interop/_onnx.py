"""From ONNX."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from typing import Any

import numpy as np

from .. import _checks
from .._types import Array, File
from ..mlp import MLP
from ._chain import ROUNDING, LeftOut, Linear, Nonlinear, Scale, Step, agree, folded, say_what_is_left_out
from ._common import by_value, framework, is_a

ACTIVATIONS: dict[str, tuple[str, dict[str, Any]]] = {  # ours, and the attributes, in float32, with which they are
    "Relu": ("relu", {}),
    "LeakyRelu": ("leaky_relu", {"alpha": 0.01}),
    "Elu": ("elu", {"alpha": 1.0}),
    "Sigmoid": ("sigmoid", {}),
    "Tanh": ("tanh", {}),
    "Softplus": ("softplus", {}),
    "Sin": ("sin", {}),
    "Gelu": ("gelu", {"approximate": "none"}),
    "Swish": ("silu", {"alpha": 1.0}),
}
ENDS = {"Softmax": "softmax", "LogSoftmax": "log_softmax"}
IDLE = ("Identity", "Flatten", "Dropout")
SUPPORTED = ", ".join(["Gemm", "MatMul", "Add", *ACTIVATIONS, "BatchNormalization", *ENDS, *IDLE])


def from_onnx(model: Any) -> MLP:
    """The network of an ONNX model that is a chain of Gemm or MatMul and Add, and activations.

    BatchNormalization is folded, a Softmax at the end left out, with a warning: the network's outputs are the logits.
    What was read is compared with what ONNX's reference evaluator computes for a few random samples.  The format has no
    checksum: a weight that was changed in a file is read as it is.

    Parameters
    ----------
    model : onnx.ModelProto, str or os.PathLike
        The model, or its file; the package `onnx` must be installed.

    Returns
    -------
    MLP

    Raises
    ------
    ValueError
        Names the node that is none of these, or takes more than the outputs of the one before it; where the file is
        none of ONNX, or the package is missing.
    TypeError
        Where `model` is neither a model nor a file.

    Examples
    --------
    >>> ec.interop.from_onnx("network.onnx")  # doctest: +SKIP
    MLP(4-5-2, 'relu', 'identity', float32)
    """
    name = "model"
    if isinstance(model, (str, os.PathLike)):
        name, model = os.fspath(model), _load(model)
    if not is_a(model, "onnx", "ModelProto"):
        raise TypeError(f"model: expected an onnx.ModelProto or a file, got {type(model).__name__}")
    try:
        steps, mlp = _read(name, model)
    except Exception as error:
        if isinstance(error, ValueError) and str(error).startswith(f"{name}: "):  # in words of ours
            raise
        raise ValueError(f"{name}: expected an ONNX model that is whole ({_checks.one_line(error)})") from error
    say_what_is_left_out(name, steps)
    return mlp


def _read(name: str, model: Any) -> tuple[list[Step], MLP]:
    """What a model computes; raises whatever a damaged one leads to."""
    graph = model.graph
    if len(graph.output) != 1:
        raise ValueError(f"{name}: has {len(graph.output)} outputs; expected one")
    constants = _constants(name, graph)
    nodes, start = _chain(name, graph, constants)
    run, dtype = _runner(name, model, start)
    steps: list[Step] = []
    for node in nodes:
        steps += _steps(name, node, constants, dtype)
    mlp = folded(name, steps)
    agree(name, steps, mlp, run, dtype)
    return steps, mlp


def _load(file: File) -> Any:
    try:
        return framework("onnx").load(os.fspath(file))
    except ImportError as error:
        raise ValueError(f"{os.fspath(file)}: to read it, the package onnx must be installed") from error
    except Exception as error:
        if isinstance(error, OSError) and error.filename == os.fspath(file):
            raise
        raise ValueError(f"{os.fspath(file)}: expected an ONNX model ({_checks.one_line(error)})") from error


def _constants(name: str, graph: Any) -> dict[str, Any]:
    """The arrays that do not depend on the inputs, by name."""
    onnx = framework("onnx")
    if len(graph.sparse_initializer):
        raise ValueError(f"{name}: has sparse weights; write them dense")
    constants = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in graph.initializer}
    for node in graph.node:  # each after those that make its inputs
        first = constants.get(node.input[0]) if len(node.input) == 1 else None
        if node.op_type == "Constant" and node.attribute[0].name == "value":
            constants[node.output[0]] = onnx.numpy_helper.to_array(node.attribute[0].t)
        elif node.op_type == "Identity" and first is not None:  # as exporters write what is the same twice
            constants[node.output[0]] = first
        elif node.op_type == "Transpose" and first is not None and first.ndim == 2 and _transposes(node):
            constants[node.output[0]] = first.T
    return constants


def _transposes(node: Any) -> bool:
    """Whether a Transpose of a matrix does: by default, or said."""
    return [list(attribute.ints) for attribute in node.attribute] in ([], [[1, 0]])


def _chain(name: str, graph: Any, constants: dict[str, Any]) -> tuple[list[Any], Any]:
    """The nodes from the input to the output, and the input."""
    inputs = {value.name: value for value in graph.input if value.name not in constants}
    makers = {output: node for node in graph.node for output in node.output}
    tensor = graph.output[0].name
    nodes: list[Any] = []
    while tensor not in inputs:
        node = makers.pop(tensor, None)
        if node is None:
            raise ValueError(f"{name}: nothing makes {tensor!r}; expected one chain from the inputs to the outputs")
        data = [entry for entry in node.input if entry and entry not in constants]
        if node.domain not in ("", "ai.onnx"):
            raise ValueError(f"{name}: node {_called(node)} is of the domain {node.domain}; supported are ONNX's own")
        if len(data) != 1 or (node.input[0] != data[0] and node.op_type != "Add"):
            where = f"takes {', '.join(data)}, not first and alone"
            raise ValueError(f"{name}: node {_called(node)} {where}; expected one chain of layers")
        nodes.insert(0, node)
        tensor = data[0]
    return nodes, inputs[tensor]


def _steps(name: str, node: Any, constants: dict[str, Any], dtype: str) -> list[Step]:
    """What a node does: nothing in evaluation, or one step."""
    kind, called = node.op_type, _called(node)
    given = {attribute.name: framework("onnx").helper.get_attribute_value(attribute) for attribute in node.attribute}
    given = {key: value.decode() if isinstance(value, bytes) else value for key, value in given.items()}
    arrays = [by_value(f"{name}: {entry}", constants[entry], "fiub") for entry in node.input if entry in constants]
    if kind in ACTIVATIONS:
        ours, expected = ACTIVATIONS[kind]
        differs = {key: v for key, v in expected.items() if not _same(given.get(key, v), v, dtype)}
        if differs:
            raise ValueError(f"{name}: node {called} has {given}; expected {differs} for it, as {dtype}")
        return [Nonlinear(called, ours)]
    if kind in ENDS and given.get("axis", -1) in (1, -1):
        return [LeftOut(called, ENDS[kind])]
    if kind in ("Gemm", "MatMul") and arrays and arrays[0].ndim == 2 and not given.get("transA"):
        w = arrays[0] if given.get("transB") else arrays[0].T
        shift = arrays[1] * given.get("beta", 1.0) if len(arrays) > 1 else np.zeros((), w.dtype)
        return [Linear(called, w * given.get("alpha", 1.0), _row(name, called, shift, len(w)).astype(w.dtype))]
    if kind == "Add" and arrays:
        return [Scale(called, np.ones(()), _row(name, called, arrays[0], arrays[0].size))]
    if kind == "BatchNormalization" and len(arrays) == 4 and not given.get("training_mode"):
        gamma, beta, mean, variance = (array.astype(np.float64) for array in arrays)
        factor = gamma / np.sqrt(variance + given.get("epsilon", float(np.float32(1e-5))))
        return [Scale(called, factor, beta - mean * factor)]
    drops = kind == "Dropout" and len(node.input) > 2 and np.any(constants.get(node.input[2], True))
    if kind not in IDLE or drops:
        shown = f" with {given}" if given else ""
        raise ValueError(f"{name}: node {called}{shown} is none of a chain of layers; supported are {SUPPORTED}")
    return []


def _row(name: str, called: str, shift: Array, n: int) -> Array:
    """A bias, which may be one number or a matrix of one row."""
    if shift.size not in (1, n) or shift.ndim > 2 or shift.size != math.prod(shift.shape[-1:]):
        raise ValueError(f"{name}: node {called} adds an array of shape {shift.shape}; expected ({n},), one per output")
    return np.broadcast_to(shift.ravel(), n)


def _same(given: Any, expected: Any, dtype: str) -> bool:
    """Whether a parameter is ours; attributes are float32, in which 0.01 is not what it is in float64."""
    if isinstance(expected, str):
        return bool(given == expected)
    number = np.dtype("float32" if dtype == "bfloat16" else dtype).type
    return bool(number(np.float32(given)) == number(expected))


def _runner(name: str, model: Any, start: Any) -> tuple[Callable[[Array], Array], str]:
    """The model as a function of samples, and its dtype."""
    kind = start.type.tensor_type
    dtype = np.dtype(framework("onnx").helper.tensor_dtype_to_np_dtype(kind.elem_type))
    shape = [dim.dim_value for dim in kind.shape.dim[1:]]
    if dtype.name not in ROUNDING:
        raise ValueError(f"{name}: its input is {dtype.name}; expected one of {', '.join(ROUNDING)}")

    def run(x: Array) -> Array:
        evaluator = framework("onnx.reference").ReferenceEvaluator(model)
        rows = x.reshape(len(x), *shape) if math.prod(shape) == x.shape[1] else x
        (outputs,) = evaluator.run(None, {start.name: rows.astype(dtype)})
        return by_value("outputs", outputs).astype(np.float64)

    return run, dtype.name


def _called(node: Any) -> str:
    return f"{node.name or node.output[0]} ({node.op_type})"
