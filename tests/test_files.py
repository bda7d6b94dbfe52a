"""Networks and data sets in files: exact, whole or not at all, never unpickled."""

from __future__ import annotations

import gzip
import hashlib
import os
import pickle
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from networks import Drawn, make, networks

import ecprune_np as ec
from ecprune_np._files import load_array, replacing, save_arrays, save_json
from ecprune_np.data import load_dataset, load_digits, load_mnist, read_idx

MNIST = Path(os.environ.get("ECPRUNE_MNIST", Path(__file__).parents[2] / "shared" / "data" / "mnist"))
needs_mnist = pytest.mark.skipif(not MNIST.is_dir(), reason=f"no MNIST in {MNIST}; set ECPRUNE_MNIST to its folder")


@given(d=networks())
def test_a_network_survives_a_file(tmp_path_factory: pytest.TempPathFactory, d: Drawn) -> None:
    file = tmp_path_factory.getbasetemp() / "network.npz"
    d.mlp.save(file)
    again = ec.MLP.load(file)
    assert (again.activation, again.output_activation, again.dtype) == (
        d.mlp.activation,
        d.mlp.output_activation,
        d.mlp.dtype,
    )
    assert all((a == b).all() for a, b in zip((*again.weights, *again.biases), (*d.mlp.weights, *d.mlp.biases)))


@pytest.mark.parametrize("activation", ["sin", ("sin", "gelu"), ("relu", "relu")])
def test_one_activation_per_layer_survives_a_file(tmp_path: Path, activation: str | tuple[str, ...]) -> None:
    d = make([2, 3, 4, 1], activation, "tanh")
    d.mlp.save(tmp_path / "n.npz")
    again = ec.MLP.load(tmp_path / "n.npz")
    assert repr(again) == repr(d.mlp) and (again(d.x) == d.mlp(d.x)).all()
    pruned = ec.prune(d.mlp, ec.criteria.magnitude(d.mlp), 0.5)
    pruned.save(tmp_path / "s.npz")
    again = ec.Pruned.load(tmp_path / "s.npz")
    assert repr(again.mlp) == repr(d.mlp) and (again.mlp(d.x) == pruned.mlp(d.x)).all()
    sparse = again.to_sparse()
    sparse.save(tmp_path / "s.npz")
    assert repr(ec.SparseMLP.load(tmp_path / "s.npz").to_dense()) == repr(d.mlp)
    np.testing.assert_allclose(sparse(d.x), pruned.mlp(d.x), rtol=1e-12, atol=1e-14)


def test_a_file_with_another_number_of_activations_is_named(tmp_path: Path) -> None:
    file = tmp_path / "n.npz"
    make([2, 3, 4, 1]).mlp.save(file)
    arrays = dict(np.load(file))
    np.savez(file, **(arrays | {"activation": np.array(["sin", "tanh", "relu"])}))
    with pytest.raises(ValueError, match=r"activation: expected one name, or one per hidden layer \(2\), got 3"):
        ec.MLP.load(file)
    assert ec.MLP.load(file, ["relu", "sin"]).activation == ("relu", "sin")
    np.savez(file, **(arrays | {"activation": np.array([[1, 2]])}))
    with pytest.raises(ValueError, match=r"n\.npz: activation\[0\]: expected a name, got list"):
        ec.MLP.load(file)


@pytest.mark.parametrize("dtype", [np.float32, np.longdouble])
def test_the_dtype_survives_a_file(tmp_path: Path, dtype: type) -> None:
    mlp = make([2, 3, 1], dtype=dtype).mlp
    mlp.save(tmp_path / "n.npz")
    assert ec.MLP.load(tmp_path / "n.npz").dtype == dtype


def test_a_file_without_activations_takes_them_as_arguments(tmp_path: Path) -> None:
    file = tmp_path / "n.npz"
    np.savez(file, weights_0=np.ones((1, 2)), biases_0=np.zeros(1))
    assert ec.MLP.load(file, "sin", "tanh").output_activation == "tanh"
    assert ec.MLP.load(file, "sin").activation == "sin"
    with pytest.raises(ValueError, match=r"activation: .*n\.npz does not name one; expected one of identity, relu"):
        ec.MLP.load(file)


def test_a_file_that_is_no_network_is_named(tmp_path: Path) -> None:
    file = tmp_path / "n.npz"
    with pytest.raises(ValueError, match=r"n\.npz: no such file"):
        ec.MLP.load(file)
    file.write_text("not a zip")
    with pytest.raises(ValueError, match=r"n\.npz: expected an \.npz file of plain arrays"):
        ec.MLP.load(file)
    np.save(tmp_path / "one.npy", np.ones(3))
    with pytest.raises(ValueError, match=r"one\.npy: expected an \.npz file of plain arrays"):
        ec.MLP.load(tmp_path / "one.npy")
    np.savez(file, weights_0=np.ones((1, 2)))
    with pytest.raises(ValueError, match="biases_0 is missing"):
        ec.MLP.load(file)
    np.savez(file, other=np.ones((1, 2)))
    with pytest.raises(ValueError, match="expected a file of MLP, got arrays of no kind that is known"):
        ec.MLP.load(file)
    np.savez(file, kind="MLP", version=2, biases_0=np.ones(1))
    with pytest.raises(ValueError, match="weights_0 is missing"):
        ec.MLP.load(file)
    make([2, 1]).mlp.save(file)
    file.write_bytes(file.read_bytes()[:-30])
    with pytest.raises(ValueError, match=r"expected an \.npz file"):
        ec.MLP.load(file)


def test_nothing_is_ever_unpickled(tmp_path: Path) -> None:
    class Bomb:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return (os.mkdir, (str(tmp_path / "exploded"),))

    np.savez(tmp_path / "bomb.npz", weights_0=np.array([Bomb()], object), biases_0=np.zeros(1))
    (tmp_path / "plain.npz").write_bytes(pickle.dumps(Bomb()))
    for name in ("bomb.npz", "plain.npz"):
        with pytest.raises(ValueError, match=r"expected an \.npz file of plain arrays"):
            ec.MLP.load(tmp_path / name)
        with pytest.raises(ValueError, match=r"expected an \.npz file of plain arrays"):
            load_dataset(tmp_path / name)
    assert not (tmp_path / "exploded").exists()


def test_an_interrupted_write_leaves_the_old_file(tmp_path: Path) -> None:
    file = tmp_path / "kept.bin"
    file.write_bytes(b"old")
    with pytest.raises(KeyboardInterrupt), replacing(file) as stream:
        stream.write(b"new")
        raise KeyboardInterrupt
    assert file.read_bytes() == b"old"
    with pytest.raises(ValueError, match="not JSON compliant"):
        save_json(file, {"value": float("nan")})
    assert [p.name for p in tmp_path.iterdir()] == ["kept.bin"]
    assert file.read_bytes() == b"old"


def test_files_get_the_usual_permissions(tmp_path: Path) -> None:
    save_arrays(tmp_path / "a.npz", {"a": np.ones(1)})
    (tmp_path / "b").write_text("")
    assert (tmp_path / "a.npz").stat().st_mode == (tmp_path / "b").stat().st_mode


def test_the_embedded_digits_are_digits() -> None:
    data = load_digits()
    assert data.x_train.shape == (6000, 196) and data.x_test.shape == (1500, 196)
    assert data.x_train.min() == 0 and data.x_train.max() == 1
    for y, n in ((data.y_train, 6000), (data.y_test, 1500)):
        assert set(y) == set(range(10)) and len(y) == n
        assert np.bincount(y).min() > n / 15


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"x_train": np.ones((2, 3))}, "expected arrays x_train, y_train, x_test, y_test, y_train is missing"),
        (
            {"x_train": np.ones((2, 3)), "y_train": np.ones(3)},
            "expected as many rows in x_train as in y_train, got 2 and 3",
        ),
        ({"x_train": np.array("abc"), "y_train": np.ones(3)}, "expected x_train to hold numbers, got <U3"),
    ],
)
def test_a_wrong_data_set_is_named(tmp_path: Path, arrays: dict[str, np.ndarray], message: str) -> None:
    rest = {"x_test": np.ones((1, 3)), "y_test": np.ones(1)} if "y_train" in arrays else {}
    np.savez(tmp_path / "d.npz", **arrays, **rest)
    with pytest.raises(ValueError, match=message.replace("(", r"\(")):
        load_dataset(tmp_path / "d.npz")


def idx(array: np.ndarray) -> bytes:
    sizes = b"".join(n.to_bytes(4, "big") for n in array.shape)
    return b"\0\0\x08" + bytes([array.ndim]) + sizes + array.tobytes()


def test_idx_files_are_read_plain_and_compressed(tmp_path: Path) -> None:
    array = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
    (tmp_path / "plain").write_bytes(idx(array))
    (tmp_path / "small.gz").write_bytes(gzip.compress(idx(array)))
    for name in ("plain", "small.gz"):
        assert (read_idx(tmp_path / name) == array).all()


def test_idx_files_have_up_to_32_dimensions(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"\0\0\x08\x20" + 32 * (1).to_bytes(4, "big") + b"7")
    assert read_idx(tmp_path / "f").shape == 32 * (1,)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "expected an IDX file of unsigned bytes, got a file that begins b''"),
        (b"PNG.....", "expected an IDX file of unsigned bytes, got a file that begins b'PNG.'"),
        (idx(np.zeros((2, 2), np.uint8))[:-1], r"expected 16 bytes for shape \[2, 2\], got 15"),
        (b"\0\0\x08\4" + 4 * (2**16).to_bytes(4, "big"), r"expected 18446744073709551636 bytes for shape \[65536"),
        (b"\0\0\x08\x28" + 40 * (1).to_bytes(4, "big") + b"7", "expected at most 32 dimensions, got 40"),
        (gzip.compress(idx(np.zeros((2, 2), np.uint8)))[:-9], "expected a whole gzip file"),
        (gzip.compress(b"x")[:11] + b"damaged", "expected a whole gzip file"),
    ],
)
def test_a_damaged_idx_file_is_named(tmp_path: Path, data: bytes, message: str) -> None:
    (tmp_path / "f").write_bytes(data)
    with pytest.raises(ValueError, match=message):
        read_idx(tmp_path / "f")


def test_mnist_is_read_from_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bytes over 255, a row an image, compressed or not; the checksums are those of what is there."""
    images = np.arange(2 * 784, dtype=np.uint8).reshape(2, 28, 28)
    contents = {"images-idx3": images, "labels-idx1": np.array([3, 7], np.uint8)}
    files = {f"{part}-{kind}-ubyte": idx(array) for part in ("train", "t10k") for kind, array in contents.items()}
    monkeypatch.setattr("ecprune_np.data.MD5", {name: hashlib.md5(text).hexdigest() for name, text in files.items()})
    for name, text in files.items():
        packed = name.startswith("train")
        (tmp_path / (name + ".gz" * packed)).write_bytes(gzip.compress(text) if packed else text)
    data = load_mnist(tmp_path)
    assert (data.x_train == images.reshape(2, 784) / 255).all() and (data.x_test == data.x_train).all()
    assert data.y_train.tolist() == data.y_test.tolist() == [3, 7]


def test_a_folder_in_the_place_of_an_array_is_the_systems_error(tmp_path: Path) -> None:
    with pytest.raises(OSError):
        load_array(tmp_path)


def test_missing_or_false_mnist_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ECPRUNE_MNIST", raising=False)
    with pytest.raises(ValueError, match="ECPRUNE_MNIST") as caught:
        load_mnist()
    assert "t10k-labels-idx1-ubyte[.gz]  MD5 of the uncompressed bytes 27ae3e4e09519cfbb04c329615203637" in str(
        caught.value
    )
    with pytest.raises(ValueError, match=r"train-images-idx3-ubyte \(or train-images-idx3-ubyte\.gz\) is missing in"):
        load_mnist(tmp_path)
    (tmp_path / "train-images-idx3-ubyte").write_bytes(idx(np.zeros((2, 2), np.uint8)))
    with pytest.raises(
        ValueError, match="expected MD5 6bbc9ace898e44ae57da46a324031adb of the uncompressed bytes, got"
    ):
        load_mnist(tmp_path)


@needs_mnist
def test_the_embedded_digits_are_those_of_mnist(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ECPRUNE_MNIST", str(MNIST))
    mnist, digits = load_mnist(), load_digits()
    assert mnist.x_train.shape == (60000, 784) and mnist.x_test.shape == (10000, 784)
    assert (mnist.y_train[:6000] == digits.y_train).all()
    means = mnist.x_test[:1500].reshape(-1, 14, 2, 14, 2).mean(axis=(2, 4)).reshape(-1, 196)
    assert np.abs(means - digits.x_test).max() <= 0.5 / 255 + 1e-12
