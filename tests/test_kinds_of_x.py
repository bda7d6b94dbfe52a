"""What people hold their samples in: read by value, or refused in the words of their world; never a mask dropped."""

from __future__ import annotations

import networks
import numpy as np
import pytest
import scipy.sparse

import ecprune_np as ec

DRAWN = networks.make([4, 5, 3], "tanh", n_samples=24, seed=1)
MLP = DRAWN.mlp
WHOLE = np.round(4 * DRAWN.x)  # numbers that every format holds
FUNCTIONS = {
    "forward": lambda x: ec.forward(MLP, x).outputs,
    "collect_moments": lambda x: ec.collect_moments(MLP, x).variance[0],
    "joint_shifts": lambda x: ec.joint_shifts(MLP, x, [np.zeros(s, bool) for s in MLP.shapes])[0],
    "wanda": lambda x: ec.criteria.wanda(MLP, x).importance[0],
    "prune_iteratively": lambda x: ec.prune_iteratively(MLP, x, 0.5, steps=2).mlp.biases[0],
    "loops": lambda x: ec.oracle.loops(MLP, x).importance[0],
    "train": lambda x: ec.train(MLP, x, DRAWN.labels, "cross_entropy", epochs=1).weights[0],
}


class Frame:
    """A table that can say that it is an array, as data frames can."""

    def __init__(self, values):
        self.values = values
        self.shape = np.shape(values)

    def __len__(self):
        return len(self.values)

    def __array__(self, dtype=None, copy=None):
        return np.array(self.values, dtype)


BY_VALUE = {
    "a list of lists": WHOLE.tolist(),
    "big-endian": WHOLE.astype(">f8"),
    "big-endian float32": WHOLE.astype(">f4"),
    "float16": WHOLE.astype(np.float16),
    "int8": WHOLE.astype(np.int8),
    "Fortran order": np.asfortranarray(WHOLE),
    "every other row": np.repeat(WHOLE, 2, axis=0)[::2],
    "a masked array that masks nothing": np.ma.masked_array(WHOLE, mask=False),
    "a table": Frame(WHOLE),
}


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("kind", BY_VALUE)
def test_these_are_read_by_value(name, kind):
    np.testing.assert_array_equal(FUNCTIONS[name](BY_VALUE[kind]), FUNCTIONS[name](WHOLE))


@pytest.mark.parametrize("name", FUNCTIONS)
def test_booleans_are_zeros_and_ones(name):
    x = WHOLE > 0
    np.testing.assert_array_equal(FUNCTIONS[name](x), FUNCTIONS[name](x.astype(float)))


REFUSED = {
    "masked entries": (
        np.ma.masked_array(WHOLE, mask=WHOLE > 5),
        "expected no masked entries, got .* fill or drop",
    ),
    "sparse": (scipy.sparse.csr_array(WHOLE), r"expected a dense array, got csr_array; its toarray\(\) makes one"),
    "sparse matrix": (scipy.sparse.coo_matrix(WHOLE), "expected a dense array, got coo_matrix"),
    "text": (WHOLE.astype(str), "expected float32, float64, longdouble or integers, got"),
    "complex": (WHOLE.astype(complex), "expected float32, float64, longdouble or integers, got complex128"),
    "a table of text": (Frame([["a", "b", "c", "d"]]), "expected float32, float64, longdouble or integers, got"),
}


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("kind", REFUSED)
def test_these_are_refused_with_the_remedy(name, kind):
    x, words = REFUSED[kind]
    with pytest.raises((ValueError, TypeError), match=f"^x: {words}"):
        FUNCTIONS[name](x)


@pytest.mark.parametrize("name", ["collect_moments", "wanda", "prune_iteratively", "loops"])
def test_tensors_and_data_loaders(name):
    torch = pytest.importorskip("torch", reason="needs PyTorch (extra `peers`)")
    x, labels = torch.tensor(WHOLE), torch.tensor(DRAWN.labels)
    expected = FUNCTIONS[name](WHOLE)
    tensors = {"float64": x, "float32": x.float(), "bfloat16": x.bfloat16().float()}
    for kind, tensor in tensors.items():
        np.testing.assert_allclose(FUNCTIONS[name](tensor), expected, rtol=1e-12, atol=1e-15, err_msg=kind)
    data = torch.utils.data
    for dataset in (data.TensorDataset(x, labels), data.TensorDataset(x), x):
        loader = data.DataLoader(dataset, batch_size=7)
        np.testing.assert_allclose(FUNCTIONS[name](loader), expected, rtol=1e-9, atol=1e-12)
    with pytest.raises((ValueError, TypeError), match=r"^x: expected an array, got Tensor \(.*requires grad"):
        FUNCTIONS[name](x.requires_grad_())


def test_the_targets_of_a_data_loader_are_its_batches():
    torch = pytest.importorskip("torch", reason="needs PyTorch (extra `peers`)")
    dataset = torch.utils.data.TensorDataset(torch.tensor(WHOLE), torch.tensor(DRAWN.labels))
    loader = torch.utils.data.DataLoader(dataset, batch_size=5)
    assert ec.accuracy(MLP, loader) == ec.accuracy(MLP, ec.Batch(WHOLE, y=DRAWN.labels))
    got = ec.elimination_compensation(MLP, loader, "cross_entropy").importance[0]
    expected = ec.elimination_compensation(MLP, ec.Batch(WHOLE, y=DRAWN.labels), "cross_entropy").importance[0]
    np.testing.assert_allclose(got, expected, rtol=1e-9, atol=1e-15)
