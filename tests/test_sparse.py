"""Sparse networks: the same outputs, the same file, from the kept weights alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from networks import Drawn, make, networks

import ecprune_np as ec
from ecprune_np.sparse import SparseMLP


@given(networks(), st.floats(0, 1))
def test_outputs_are_the_dense_ones(d: Drawn, sparsity: float) -> None:
    """EC-1.1, EC-1.2: to rounding, and nothing but the kept weights is stored."""
    pruned = ec.prune(d.mlp, ec.elimination_compensation(d.mlp, d.x), sparsity)
    sparse = SparseMLP.from_dense(pruned.mlp)
    np.testing.assert_allclose(sparse(d.x), pruned.mlp(d.x), rtol=1e-12, atol=1e-12)
    assert sum(w.nnz for w in sparse.weights) == sum(m.sum() for m in pruned.masks)
    assert all((a == b).all() for a, b in zip(sparse.to_dense().weights, pruned.mlp.weights))


@given(d=networks(), sparsity=st.floats(0, 1))
def test_a_sparse_network_survives_a_file(tmp_path_factory: pytest.TempPathFactory, d: Drawn, sparsity: float) -> None:
    file = tmp_path_factory.getbasetemp() / "sparse.npz"
    mlp = ec.prune(d.mlp, ec.criteria.magnitude(d.mlp), sparsity).mlp
    SparseMLP.from_dense(mlp).save(file)
    again = SparseMLP.load(file).to_dense()
    assert (again.activation, again.output_activation) == (mlp.activation, mlp.output_activation)
    assert all((a == b).all() for a, b in zip((*again.weights, *again.biases), (*mlp.weights, *mlp.biases)))


def test_float32_stays_and_the_size_is_reported(tmp_path: Path) -> None:
    d = make([100, 50, 10], dtype=np.float32)
    mlp = ec.prune(d.mlp, ec.criteria.magnitude(d.mlp), 0.9).mlp
    sparse = SparseMLP.from_dense(mlp)
    assert sparse(d.x).dtype == np.float32
    report = sparse.save(tmp_path / "s.npz")
    size = (tmp_path / "s.npz").stat().st_size
    dense = 4 * (100 * 50 + 50 * 10 + 50 + 10)
    assert report == f"{size:,} bytes, {100 * size / dense:.1f} % of the {dense:,} of the dense arrays"
    assert size < 0.25 * dense
    assert SparseMLP.load(tmp_path / "s.npz").weights[0].dtype == np.float32


def test_bad_input_is_named() -> None:
    d = make([3, 4, 2])
    sparse = SparseMLP.from_dense(d.mlp)
    with pytest.raises(ValueError, match=r"x: expected shape \(N, 3\), got \(20, 2\)"):
        sparse(d.x[:, :2])
    with pytest.raises(ValueError, match="forward: overflow"):
        SparseMLP.from_dense(ec.MLP([1e300 * w for w in d.mlp.weights], d.mlp.biases, "identity"))(d.x)
    with pytest.raises(TypeError, match="mlp: expected MLP, got ndarray"):
        SparseMLP.from_dense(d.x)
    if np.longdouble(1).dtype != np.float64:
        with pytest.raises(TypeError, match="mlp: expected float32 or float64 for sparse layers"):
            SparseMLP.from_dense(d.mlp.astype(np.longdouble))


def test_a_file_that_is_no_sparse_network_is_named(tmp_path: Path) -> None:
    file = tmp_path / "s.npz"
    mlp = make([3, 4, 2]).mlp
    mlp.save(file)
    with pytest.raises(ValueError, match=r"s\.npz: expected a file of SparseMLP, got MLP: read it with ec\.load"):
        SparseMLP.load(file)
    SparseMLP.from_dense(mlp).save(file)
    arrays = dict(np.load(file))
    changes: list[tuple[dict[str, Any], str]] = [
        ({"shape_0": np.array([4, 30])}, "expected shape_0 and the bits of that many weights in mask_0"),
        ({"shape_0": np.array([4.0, 3.0])}, "expected shape_0 and the bits"),
        ({"mask_0": arrays["mask_0"].astype(int)}, "expected shape_0 and the bits"),
        ({"kept_0": arrays["kept_0"][1:]}, r"expected 12 values in kept_0, got shape \(11,\)"),
        ({"biases_0": np.ones(3)}, r"biases\[0\]: expected shape \(4,\), got \(3,\)"),
    ]
    for change, message in changes:
        np.savez(file, **(arrays | change))
        with pytest.raises(ValueError, match=message):
            SparseMLP.load(file)


def test_a_pruned_network_is_sparse_and_saved_in_one_call(tmp_path: Path) -> None:
    d = make([20, 30, 5])
    pruned = ec.prune(d.mlp, ec.criteria.magnitude(d.mlp), 0.8)
    sparse = pruned.to_sparse()
    assert sum(w.nnz for w in sparse.weights) == round(0.2 * d.mlp.n_weights)
    report = pruned.save(tmp_path / "p.npz")
    assert report.startswith(f"{(tmp_path / 'p.npz').stat().st_size:,} bytes, ")
    again = ec.Pruned.load(tmp_path / "p.npz")
    assert all((a == b).all() for a, b in zip((*again.mlp.weights, *again.masks), (*pruned.mlp.weights, *pruned.masks)))
    np.testing.assert_allclose(sparse(d.x), pruned.mlp(d.x), rtol=1e-12, atol=1e-14)
