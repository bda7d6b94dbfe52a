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
MAGNITUDE = ec.criteria.magnitude(MLP)
PRUNED = ec.prune(MLP, MAGNITUDE, 0.5)
FUNCTIONS = {
    "forward": lambda x: ec.forward(MLP, x).outputs,
    "a sparse network": lambda x: PRUNED.to_sparse()(x),
    "mean_loss": lambda x: ec.mean_loss(MLP, x, DRAWN.labels, "cross_entropy"),
    "gradient_magnitude": lambda x: ec.criteria.gradient_magnitude(MLP, x, DRAWN.labels, "cross_entropy").importance[0],
    "collect_moments": lambda x: ec.collect_moments(MLP, x).variance[0],
    "joint_shifts": lambda x: ec.joint_shifts(MLP, x, [np.zeros(s, bool) for s in MLP.shapes])[0],
    "elimination_compensation": lambda x: ec.elimination_compensation(MLP, x).importance[0],
    "prune with rows": lambda x: ec.prune(MLP, MAGNITUDE, 0.5, compensation="row", x=x).mlp.biases[0],
    "accuracy": lambda x: ec.accuracy(MLP, x if isinstance(x, ec.Batch) else ec.Batch(x, y=DRAWN.labels)),
    "obs": lambda x: ec.criteria.obs(MLP, x).importance[0],
    "true_change": lambda x: ec.oracle.true_change(PRUNED.mlp, MLP, x),
    "linearization_error": lambda x: ec.linearization_error(MLP, x, MAGNITUDE, [(0, 1, 1)]).true,
    "standard_errors": lambda x: ec.standard_errors(MLP, x).importance[0],
    "certify": lambda x: ec.oracle.certify(MLP, x).importance_bound[0],
    "wanda": lambda x: ec.criteria.wanda(MLP, x).importance[0],
    "prune_iteratively": lambda x: ec.prune_iteratively(MLP, x, 0.5, steps=2).mlp.biases[0],
    "loops": lambda x: ec.oracle.loops(MLP, x).importance[0],
    "train": lambda x: ec.train(MLP, x, DRAWN.labels, "cross_entropy", epochs=1).weights[0],
}


OF_BATCHES = ["collect_moments", "elimination_compensation", "standard_errors", "wanda", "prune with rows"]
OF_BATCHES += ["prune_iteratively", "loops"]


class Frame:
    """A table that can say that it is an array, as data frames can."""

    def __init__(self, values):
        self.values = values
        self.shape, self.ndim = np.shape(values), np.ndim(values)

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
    "rows in a list": list(WHOLE),
    "rows in a tuple": tuple(map(tuple, WHOLE)),
    "a table": Frame(WHOLE),
}


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("kind", BY_VALUE)
def test_these_are_read_by_value(name, kind):
    np.testing.assert_array_equal(FUNCTIONS[name](BY_VALUE[kind]), FUNCTIONS[name](WHOLE))


@pytest.mark.parametrize("name", FUNCTIONS)
def test_bfloat16_of_numpy_is_read_by_value(name):
    ml_dtypes = pytest.importorskip("ml_dtypes", reason="needs ml_dtypes, which JAX brings (extra `peers`)")
    np.testing.assert_array_equal(FUNCTIONS[name](WHOLE.astype(ml_dtypes.bfloat16)), FUNCTIONS[name](WHOLE))


@pytest.mark.parametrize("name", FUNCTIONS)
def test_booleans_are_zeros_and_ones(name):
    x = WHOLE > 0
    np.testing.assert_array_equal(FUNCTIONS[name](x), FUNCTIONS[name](x.astype(float)))


REFUSED = {
    "masked entries": (
        np.ma.masked_array(WHOLE, mask=WHOLE > 5),
        "expected no masked entries, got .* fill or drop",
    ),
    "rows with masked entries": (
        list(np.ma.masked_array(WHOLE, mask=WHOLE > 5)),
        "expected no masked entries, got .* fill or drop",
    ),
    "sparse": (scipy.sparse.csr_array(WHOLE), r"expected a dense array, got csr_array; its toarray\(\) makes one"),
    "sparse matrix": (scipy.sparse.coo_matrix(WHOLE), "expected a dense array, got coo_matrix"),
    "text": (WHOLE.astype(str), "expected float32, float64, longdouble or integers, got"),
    "dates": (WHOLE.astype("datetime64[D]"), "expected float32, float64, longdouble or integers, got datetime64"),
    "objects": (
        WHOLE.astype(object),
        "expected float32, float64, longdouble or integers, got ndarray of objects, of which astype",
    ),
    "complex": (WHOLE.astype(complex), "expected float32, float64, longdouble or integers, got complex128"),
    "a table of text": (Frame([["a", "b", "c", "d"]]), "expected float32, float64, longdouble or integers, got"),
}


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("kind", REFUSED)
def test_these_are_refused_with_the_remedy(name, kind):
    x, words = REFUSED[kind]
    with pytest.raises((ValueError, TypeError), match=f"^x: {words}"):
        FUNCTIONS[name](x)


AT_ONCE = ["forward", "a sparse network", "mean_loss", "gradient_magnitude", "train"]
BATCHED = {
    "a batch": (lambda: ec.Batch(WHOLE), "Batch; hand over its x, and its y as targets"),
    "batches": (lambda: [ec.Batch(WHOLE)], "a list of Batch; hand over its x"),
    "an iterator": (lambda: iter([WHOLE]), "list_iterator; hand over all samples as one array"),
    "a dictionary": (lambda: {"x": WHOLE}, "dict; hand over the array in it"),
}


@pytest.mark.parametrize("name", AT_ONCE)
@pytest.mark.parametrize("kind", BATCHED)
def test_what_reads_all_at_once_says_so_of_batches(name, kind):
    make, words = BATCHED[kind]
    with pytest.raises(TypeError, match=rf"^x: expected an array \(N, 4\), got {words}"):
        FUNCTIONS[name](make())


@pytest.mark.parametrize("name", OF_BATCHES)
def test_no_mask_of_a_batch_is_dropped(name):
    """Neither of x, nor of weights, nor of targets, in one batch or in the second of two."""
    masked = np.ma.masked_array(WHOLE, mask=WHOLE > 5)
    weight = np.ma.masked_array(np.ones(24), mask=np.arange(24) > 20)
    for argument, batch in (("x", ec.Batch(masked)), ("sample_weight", ec.Batch(WHOLE, weight))):
        with pytest.raises(ValueError, match=rf"^{argument}: expected no masked entries, got 3 of them; fill or drop"):
            FUNCTIONS[name](batch)
        with pytest.raises(ec.BatchError, match=rf"^{argument}: expected no masked entries, .*, in batch 1"):
            FUNCTIONS[name]([WHOLE, batch])
    labels = np.ma.masked_array(DRAWN.labels, mask=DRAWN.labels == 1)
    with pytest.raises(ValueError, match=r"^y: expected no masked entries"):
        ec.collect_moments(MLP, ec.Batch(WHOLE, y=labels), "cross_entropy")
    with pytest.raises(ValueError, match=r"^y: expected no masked entries"):
        ec.train(MLP, WHOLE, labels, "cross_entropy")


@pytest.mark.parametrize("name", sorted({*FUNCTIONS} - {*AT_ONCE}))
def test_weights_that_are_all_zero_are_no_single_batchs_fault(name):
    none = ec.Batch(WHOLE, np.zeros(24), DRAWN.labels)
    for x in (none, [none], [none, none]) if name != "accuracy" else (none,):
        with pytest.raises(ValueError, match=r"^sample_weight: expected a positive, finite sum, got 0\.0$") as caught:
            FUNCTIONS[name](x)
        assert not isinstance(caught.value, ec.BatchError)
    with pytest.raises(ValueError, match=r"^sample_weight: expected a positive, finite sum, got 0\.0$"):
        ec.accuracy(MLP, [none, none])


@pytest.mark.parametrize("name", FUNCTIONS)
def test_tensors(name):
    torch = pytest.importorskip("torch", reason="needs PyTorch (extra `peers`)")
    x, expected = torch.tensor(WHOLE), FUNCTIONS[name](WHOLE)
    for tensor in (x, x.float(), x.half(), x.bfloat16(), x.long(), x.T.contiguous().T):
        np.testing.assert_array_equal(FUNCTIONS[name](tensor), expected, err_msg=str(tensor.dtype))
    for tensor, words in (
        (x.clone().requires_grad_(), r"expected an array, got Tensor \(.*requires grad.*detach"),
        (x.to("meta"), r"expected an array, got Tensor \(.*meta"),
        (x.to_sparse(), r"expected a dense array, got Tensor; its to_dense\(\) makes one"),
    ):
        with pytest.raises((ValueError, TypeError), match=f"^x: {words}"):
            FUNCTIONS[name](tensor)


@pytest.mark.parametrize("name", OF_BATCHES)
def test_data_loaders(name):
    torch = pytest.importorskip("torch", reason="needs PyTorch (extra `peers`)")
    x, labels = torch.tensor(WHOLE), torch.tensor(DRAWN.labels)
    expected, data = FUNCTIONS[name](WHOLE), torch.utils.data
    for dataset in (data.TensorDataset(x, labels), data.TensorDataset(x.bfloat16()), x):
        loader = data.DataLoader(dataset, batch_size=7)
        np.testing.assert_allclose(FUNCTIONS[name](loader), expected, rtol=1e-9, atol=1e-12)
    images = x.reshape(-1, 1, 2, 2)
    for dataset, words in (
        (data.TensorDataset(images, labels), r"expected shape \(N, 4\), got \(7, 1, 2, 2\)"),
        (data.TensorDataset(images), r"expected shape \(N, 4\), got \(7, 1, 2, 2\)"),
        (data.TensorDataset(x, labels, labels), r"expected samples, an ec\.Batch or a pair \(x, y\), got list of 3"),
        ([{"x": row, "y": 0} for row in x], "expected .*, got dict; hand over the array in it"),
    ):
        with pytest.raises(ec.BatchError, match=f"^x: {words}, in batch 0"):
            FUNCTIONS[name](data.DataLoader(dataset, batch_size=7))
    with pytest.raises(TypeError, match=r"^x: expected an array \(N, n_0\), an ec\.Batch, .*, got TensorDataset"):
        FUNCTIONS[name](data.TensorDataset(x, labels))
    with pytest.raises(
        TypeError, match=r"^x: expected an array \(N, 4\), got DataLoader; hand over all samples as one"
    ):
        ec.forward(MLP, data.DataLoader(x))


def test_the_targets_of_a_data_loader_are_its_batches():
    torch = pytest.importorskip("torch", reason="needs PyTorch (extra `peers`)")
    dataset = torch.utils.data.TensorDataset(torch.tensor(WHOLE), torch.tensor(DRAWN.labels))
    loader = torch.utils.data.DataLoader(dataset, batch_size=5)
    assert ec.accuracy(MLP, loader) == ec.accuracy(MLP, ec.Batch(WHOLE, y=DRAWN.labels))
    got = ec.elimination_compensation(MLP, loader, "cross_entropy").importance[0]
    expected = ec.elimination_compensation(MLP, ec.Batch(WHOLE, y=DRAWN.labels), "cross_entropy").importance[0]
    np.testing.assert_allclose(got, expected, rtol=1e-9, atol=1e-15)
