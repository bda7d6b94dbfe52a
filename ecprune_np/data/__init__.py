"""Handwritten digits: the embedded subset, and the full MNIST from its four IDX files.

load_digits     14×14 pixels, in the package
load_mnist      28×28 pixels, from a folder
load_dataset    any samples and targets, from an .npz file
read_idx        an IDX file
Dataset         what they return
"""

from __future__ import annotations

import gzip
import hashlib
import math
import os
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .. import _checks
from .._files import load_arrays
from .._frozen import Frozen
from .._types import Array, File

__all__ = ["Dataset", "load_dataset", "load_digits", "load_mnist", "read_idx"]

MD5 = {  # of the uncompressed bytes
    "train-images-idx3-ubyte": "6bbc9ace898e44ae57da46a324031adb",
    "train-labels-idx1-ubyte": "a25bea736e30d166cdddb491f175f624",
    "t10k-images-idx3-ubyte": "2646ac647ad5339dbf082846283269ea",
    "t10k-labels-idx1-ubyte": "27ae3e4e09519cfbb04c329615203637",
}
MAX_DIMENSIONS = 32  # of an array, in every NumPy


@dataclass(frozen=True, eq=False, repr=False)
class Dataset(Frozen):
    """Samples in rows and their targets, to train on and to test with.

    Parameters
    ----------
    x_train : array (N, n_0)
        The samples.
    y_train : array (N,) or (N, K)
        Their labels or targets.
    x_test : array (N', n_0)
        The samples that are not trained on.
    y_test : array (N',) or (N', K)
        Their labels or targets.

    Examples
    --------
    >>> ec.data.Dataset(np.zeros((3, 2)), np.zeros(3), np.zeros((1, 2)), np.zeros(1))
    Dataset(3 training and 1 test samples of shape (2,))
    """

    x_train: Array
    y_train: Array
    x_test: Array
    y_test: Array

    def __repr__(self) -> str:
        n_inputs = self.x_train.shape[1:]
        return f"Dataset({len(self.x_train):,} training and {len(self.x_test):,} test samples of shape {n_inputs})"


def load_digits() -> Dataset:
    """The embedded subset of MNIST: 14×14 images as 196 numbers from 0 to 1, labels 0 to 9.

    Returns
    -------
    Dataset
        The images as float64, the labels as integers.

    Examples
    --------
    >>> ec.data.load_digits()
    Dataset(6,000 training and 1,500 test samples of shape (196,))
    """
    return load_dataset(Path(__file__).with_name("digits_14x14.npz"), scale=1 / 255)


def load_dataset(file: File, scale: float = 1.0) -> Dataset:
    """The arrays `x_train, y_train, x_test, y_test` of an .npz file.

    Parameters
    ----------
    file : path
        The file.
    scale : float, default 1.0
        What x is multiplied by.

    Returns
    -------
    Dataset
        x as float64, y as it is.

    Raises
    ------
    TypeError, ValueError
        Where the file is missing or damaged, or an array is missing or wrong; names the file and what is wrong.

    Examples
    --------
    >>> np.savez("ramp.npz", x_train=[[0], [255]], y_train=[0, 1], x_test=[[51]], y_test=[0])
    >>> ec.data.load_dataset("ramp.npz", scale=1 / 255).x_test
    array([[0.2]])
    """
    path = _checks.path("file", file)
    arrays = load_arrays(path)
    for name in ("x_train", "y_train", "x_test", "y_test"):
        if name not in arrays:
            raise ValueError(f"{path}: expected arrays x_train, y_train, x_test, y_test, {name} is missing")
        if arrays[name].ndim == 0 or arrays[name].dtype.kind not in "iuf":
            raise ValueError(f"{path}: expected {name} to hold numbers, got {arrays[name].dtype} {arrays[name].shape}")
    for part in ("train", "test"):
        if len(arrays[f"x_{part}"]) != len(arrays[f"y_{part}"]):
            n_x, n_y = len(arrays[f"x_{part}"]), len(arrays[f"y_{part}"])
            raise ValueError(f"{path}: expected as many rows in x_{part} as in y_{part}, got {n_x} and {n_y}")
    return Dataset(
        arrays["x_train"].astype(np.float64) * scale,
        arrays["y_train"],
        arrays["x_test"].astype(np.float64) * scale,
        arrays["y_test"],
    )


def load_mnist(folder: File | None = None) -> Dataset:
    """The full MNIST, 60,000 and 10,000 images as 784 numbers from 0 to 1, labels 0 to 9.

    Parameters
    ----------
    folder : path, optional
        Where the four canonical files are, gzip-compressed or not; by default what the environment variable
        ECPRUNE_MNIST names.

    Returns
    -------
    Dataset
        The images as float64, the labels as integers.

    Raises
    ------
    TypeError, ValueError
        Where a file is missing or is not MNIST's; lists the files and their checksums.

    Examples
    --------
    >>> ec.data.load_mnist("no/such/folder")
    Traceback (most recent call last):
    ValueError: folder: train-images-idx3-ubyte (or train-images-idx3-ubyte.gz) is missing in ...
    """
    given = os.environ.get("ECPRUNE_MNIST") or None if folder is None else folder
    if given is None:
        expected = "folder: expected a folder with MNIST's four files, or the variable ECPRUNE_MNIST, got none"
        raise ValueError(f"{expected}\n{_expected_files()}")
    where = _checks.path("folder", given)
    arrays = {}
    for name, md5 in MD5.items():
        candidates = [where / name, where / f"{name}.gz"]
        path = next((c for c in candidates if c.is_file()), None)
        if path is None:
            raise ValueError(f"folder: {name} (or {name}.gz) is missing in {given}\n{_expected_files()}")
        arrays[name] = read_idx(path, md5)
    x_train, x_test = (arrays[f"{part}-images-idx3-ubyte"].reshape(-1, 784) / 255 for part in ("train", "t10k"))
    y_train, y_test = (arrays[f"{part}-labels-idx1-ubyte"] for part in ("train", "t10k"))
    return Dataset(x_train, y_train, x_test, y_test)


def read_idx(file: File, md5: str | None = None) -> Array:
    """An IDX file of unsigned bytes, gzip-compressed or not, as an array.

    Parameters
    ----------
    file : path
        The file.
    md5 : str, optional
        The MD5 that its uncompressed bytes must have, in hexadecimal digits.

    Returns
    -------
    uint8 array
        Of the shape that the file states.

    Raises
    ------
    TypeError, ValueError
        Where the file is damaged, or has another MD5.

    Examples
    --------
    >>> from pathlib import Path
    >>> _ = Path("two.idx").write_bytes(bytes([0, 0, 8, 1, 0, 0, 0, 2, 5, 7]))
    >>> ec.data.read_idx("two.idx")
    array([5, 7], dtype=uint8)
    """
    path = _checks.path("file", file)
    if md5 is not None:
        _checks.instance("md5", md5, str)
    data = path.read_bytes()
    if data[:2] == b"\x1f\x8b":
        try:
            data = gzip.decompress(data)
        except (OSError, EOFError, zlib.error, MemoryError) as error:
            raise ValueError(f"{path}: expected a whole gzip file ({error})") from error
    if md5 is not None and hashlib.md5(data, usedforsecurity=False).hexdigest() != md5:
        got = hashlib.md5(data, usedforsecurity=False).hexdigest()
        raise ValueError(f"{path}: expected MD5 {md5} of the uncompressed bytes, got {got}")
    if len(data) < 4 or data[:3] != b"\0\0\x08":
        raise ValueError(f"{path}: expected an IDX file of unsigned bytes, got a file that begins {data[:4]!r}")
    header = 4 + 4 * data[3]
    shape = [int.from_bytes(data[k : k + 4], "big") for k in range(4, header, 4)]
    if len(data) != header + math.prod(shape):
        raise ValueError(f"{path}: expected {header + math.prod(shape)} bytes for shape {shape}, got {len(data)}")
    if len(shape) > MAX_DIMENSIONS:
        raise ValueError(f"{path}: expected at most {MAX_DIMENSIONS} dimensions, got {len(shape)}")
    return np.frombuffer(data, np.uint8, offset=header).reshape(shape)


def __dir__() -> list[str]:
    return sorted(__all__)


def _expected_files() -> str:
    rows = [f"  {name}[.gz]  MD5 of the uncompressed bytes {md5}" for name, md5 in MD5.items()]
    return "\n".join(["expected files:", *rows])
