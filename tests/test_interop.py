"""Networks from lists of arrays; arrays of any kind; and what holds for all doors."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pytest
import scipy.sparse
from architectures import Layer, architectures, mlp_of, samples
from hypothesis import given

import ecprune_np as ec
from ecprune_np.interop import from_layers, to_safetensors

W, V = np.arange(12.0).reshape(3, 4), np.ones((2, 3))


def test_no_framework_is_imported() -> None:
    frameworks = "{'torch', 'sklearn', 'keras', 'tensorflow', 'jax', 'flax', 'equinox', 'onnx', 'safetensors'}"
    code = (
        "import sys, ecprune_np.interop as i\n"
        "i.from_torch({'weight': [[1.0]]}), i.from_flax({'kernel': [[1.0]]}), i.from_layers([([[1.0]], None)])\n"
        f"print(sorted({frameworks} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


@given(architectures(sorted(ec.ACTIVATIONS)))
def test_a_list_of_layers_is_a_network(layers: list[Layer]) -> None:
    expected = mlp_of(layers)
    *hidden, last = [layer.activation for layer in layers]
    mlp = from_layers([(layer.weight, layer.bias) for layer in layers], hidden or None, last)
    assert (mlp(samples(mlp)) == expected(samples(mlp))).all()


@pytest.mark.parametrize("name", ["float16", "bfloat16", ">f4", ">f8", "int64", "longdouble"])
def test_an_array_is_read_by_value(name: str) -> None:
    dtype: Any = pytest.importorskip("ml_dtypes", reason="it comes with JAX").bfloat16 if name == "bfloat16" else name
    mlp = from_layers([(W.astype(dtype), None)])
    assert mlp.dtype.isnative
    assert (mlp.weights[0] == W).all()  # small integers are the same in each of them


def test_a_sparse_matrix_is_read_by_value() -> None:
    assert (from_layers([(scipy.sparse.csr_matrix(W), None)]).weights[0] == W).all()


@pytest.mark.parametrize(
    ("layers", "error", "words"),
    [
        ([(np.ma.masked_array(W, W > 3), None)], ValueError, r"layers\[0\]: W: has masked entries"),
        ([(W, np.ma.masked_array(W[:, 0], W[:, 0] > 3))], ValueError, r"layers\[0\]: b: has masked entries"),
        ([(W > 3, None)], TypeError, r"layers\[0\]: W: expected an array of real numbers, got an array of bool"),
        ([(W + 1j, None)], TypeError, "got an array of complex128"),
        ([("W", None)], TypeError, "expected an array of real numbers, got str"),
        ([([[1.0], [None]], None)], TypeError, "expected an array of real numbers, got list"),
        ([(W[0], None)], ValueError, r"layers\[0\]: expected W of shape \(n_out, n_in\), got \(4,\)"),
        ([W], TypeError, r"layers\[0\]: expected a pair \(W, b\), got ndarray"),
        ({}, TypeError, "layers: expected a list or tuple"),
        ([(W.T, W[:, 0])], ValueError, r"these fit as \(n_in, n_out\): hand over W\.T"),
        ([(W.T, None), (V.T, None)], ValueError, r"weights\[1\]: expected 4 columns, got 2"),
        ([(W.T, W[:, 0]), (V.T, V[:, 0])], ValueError, "hand over W.T"),
        ([], ValueError, "expected at least one layer, got none"),
    ],
)
def test_what_is_no_list_of_layers_is_named(layers: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        from_layers(layers, "relu")


def test_the_activation_must_be_named_where_there_is_one() -> None:
    assert from_layers([(W, None)]).n_layers == 1
    with pytest.raises(
        ValueError, match="activation: a list of layers does not name one; expected one of identity, relu"
    ):
        from_layers([(W, None), (V, None)])


def test_what_goes_out_is_a_network() -> None:
    with pytest.raises(TypeError, match="network: expected Pruned or MLP, got NoneType"):
        to_safetensors(None, "nowhere")  # type: ignore[arg-type]
