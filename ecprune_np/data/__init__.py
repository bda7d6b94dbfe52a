"""Handwritten digits: the embedded subset, and the full MNIST from its four IDX files."""

from __future__ import annotations

import gzip
import hashlib
import os
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from .._files import load_arrays

Array = npt.NDArray[Any]

MD5 = {  # of the uncompressed bytes
    "train-images-idx3-ubyte": "6bbc9ace898e44ae57da46a324031adb",
    "train-labels-idx1-ubyte": "a25bea736e30d166cdddb491f175f624",
    "t10k-images-idx3-ubyte": "2646ac647ad5339dbf082846283269ea",
    "t10k-labels-idx1-ubyte": "27ae3e4e09519cfbb04c329615203637",
}


@dataclass(frozen=True, eq=False)
class Dataset:
    """Samples in rows and their targets: `x_train` (N, n_0), `y_train` (N,) or (N, K), and the same for the test."""

    x_train: Array
    y_train: Array
    x_test: Array
    y_test: Array


def load_digits() -> Dataset:
    """The embedded subset of MNIST: 14×14 images as 196 numbers from 0 to 1, labels 0 to 9."""
    return load_dataset(Path(__file__).with_name("digits_14x14.npz"), scale=1 / 255)


def load_dataset(file: str | os.PathLike[str], scale: float = 1.0) -> Dataset:
    """Arrays `x_train, y_train, x_test, y_test` of an .npz file, x as float64 times `scale`.

    Raises ValueError that names the file and what is missing or wrong.
    """
    path = Path(file)
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


def load_mnist(folder: str | os.PathLike[str] | None = None) -> Dataset:
    """The full MNIST, 60,000 and 10,000 images as 784 numbers from 0 to 1, labels 0 to 9.

    `folder` holds the four canonical files, gzip-compressed or not; without it the environment
    variable ECPRUNE_MNIST names it.  Raises ValueError that lists the files and their checksums
    where one is missing or is not MNIST.
    """
    given = folder if folder is not None else os.environ.get("ECPRUNE_MNIST")
    if not given:
        expected = "folder: expected a folder with MNIST's four files, or the variable ECPRUNE_MNIST, got none"
        raise ValueError(f"{expected}\n{_expected_files()}")
    arrays = {}
    for name, md5 in MD5.items():
        candidates = [Path(given) / name, Path(given) / f"{name}.gz"]
        path = next((c for c in candidates if c.is_file()), None)
        if path is None:
            raise ValueError(f"folder: {name} (or {name}.gz) is missing in {given}\n{_expected_files()}")
        arrays[name] = read_idx(path, md5)
    x_train, x_test = (arrays[f"{part}-images-idx3-ubyte"].reshape(-1, 784) / 255 for part in ("train", "t10k"))
    y_train, y_test = (arrays[f"{part}-labels-idx1-ubyte"] for part in ("train", "t10k"))
    return Dataset(x_train, y_train, x_test, y_test)


def read_idx(file: str | os.PathLike[str], md5: str | None = None) -> Array:
    """The bytes of an IDX file (of unsigned bytes, gzip-compressed or not) as an array.

    Raises ValueError where the file is damaged, or its uncompressed bytes have another MD5.
    """
    path = Path(file)
    data = path.read_bytes()
    if data[:2] == b"\x1f\x8b":
        try:
            data = gzip.decompress(data)
        except (OSError, EOFError, zlib.error) as error:
            raise ValueError(f"{path}: expected a whole gzip file ({error})") from error
    if md5 is not None and hashlib.md5(data, usedforsecurity=False).hexdigest() != md5:
        got = hashlib.md5(data, usedforsecurity=False).hexdigest()
        raise ValueError(f"{path}: expected MD5 {md5} of the uncompressed bytes, got {got}")
    if len(data) < 4 or data[:3] != b"\0\0\x08":
        raise ValueError(f"{path}: expected an IDX file of unsigned bytes, got a file that begins {data[:4]!r}")
    header = 4 + 4 * data[3]
    shape = [int.from_bytes(data[k : k + 4], "big") for k in range(4, header, 4)]
    if len(data) != header + int(np.prod(shape)):
        raise ValueError(f"{path}: expected {header + int(np.prod(shape))} bytes for shape {shape}, got {len(data)}")
    return np.frombuffer(data, np.uint8, offset=header).reshape(shape)


def _expected_files() -> str:
    rows = [f"  {name}[.gz]  MD5 of the uncompressed bytes {md5}" for name, md5 in MD5.items()]
    return "\n".join(["expected files:", *rows])
