"""Files are written whole or not at all, and read without ever unpickling."""

from __future__ import annotations

import io
import json
import math
import os
import tempfile
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, Any

import numpy as np

from . import _checks
from ._types import Array, File

VERSION = 2  # of the format; 1 did not say what a file holds
KINDS = ("MLP", "Pruned", "SparseMLP", "Moments", "Scores")
DEFLATE_RATIO = 1032  # no byte of a compressed file becomes more bytes than these


@contextmanager
def replacing(file: File) -> Iterator[IO[bytes]]:
    """A binary file to write, under a temporary name that becomes `file` when all of it is written."""
    path = _checks.path("file", file)
    handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as stream:
            yield stream
        mask = os.umask(0)
        os.umask(mask)
        os.chmod(temporary, 0o666 & ~mask)  # as open() would have made it
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


def save_arrays(file: File, arrays: Mapping[str, Array]) -> None:
    """Write named arrays to a compressed .npz file."""
    with replacing(file) as stream:
        _compress(stream, arrays)


def _compress(stream: IO[bytes], arrays: Mapping[str, Array]) -> None:
    np.savez_compressed(stream, **arrays)  # type: ignore[arg-type]


@dataclass(frozen=True)
class Contents:
    """A file that has been read, in the place of its path."""

    file: File
    arrays: Mapping[str, Array]

    def __str__(self) -> str:
        return str(self.file)


def load_arrays(file: File | Contents) -> dict[str, Array]:
    """Read every array of an .npz file; raises ValueError that names the file where it is none, or damaged.

    Nothing is unpickled, and no memory is asked for that the file's length does not account for.
    """
    if isinstance(file, Contents):
        return dict(file.arrays)
    path = _checks.path("file", file)
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise ValueError(f"{path}: no such file") from None
    arrays: dict[str, Array] = {}
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = archive.infolist()
            if len(members) != _announced_members(data):  # zipfile does not compare them
                raise _Damaged("it has lost some of its arrays")
            if sum(member.file_size for member in members) > DEFLATE_RATIO * len(data):
                raise _Damaged("its arrays are announced with more bytes than the file can hold")
            for member in members:
                name = member.filename.removesuffix(".npy")
                if name == member.filename or name in arrays or not name.isprintable():
                    raise _Damaged(f"{member.filename!r} is no array, or there twice")
                if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):  # the others have no bound
                    raise _Damaged(f"{name} is compressed in another way than NumPy's")
                arrays[name] = _array(name, archive.read(member))
    except Exception as error:  # zipfile and zlib have many ways to say that a file is damaged
        why = str(error) if isinstance(error, _Damaged) else "it is damaged, of another kind, or larger than memory"
        raise ValueError(f"{path}: expected an .npz file of plain arrays: {why}") from error
    return arrays


def load_array(file: File) -> Array:
    """Read the array of an .npy file; raises ValueError that names the file where it is none, or damaged.

    Nothing is unpickled.
    """
    path = _checks.path("file", file)
    try:
        return _array("the array", path.read_bytes())
    except FileNotFoundError:
        raise ValueError(f"{path}: no such file") from None
    except OSError:
        raise
    except Exception as error:  # NumPy has many ways to say that a header is damaged
        why = str(error) if isinstance(error, _Damaged) else "it is damaged, or of another kind"
        raise ValueError(f"{path}: expected an .npy file of plain numbers: {why}") from error


def save_object(file: File, kind: str, arrays: Mapping[str, Array]) -> None:
    """Write the arrays of an object of this package, with what it is and the version of the format."""
    save_arrays(file, _described(kind, arrays))


def object_bytes(kind: str, arrays: Mapping[str, Array]) -> int:
    """How large the file is that `save_object` writes."""
    stream = io.BytesIO()
    _compress(stream, _described(kind, arrays))
    return len(stream.getvalue())


def _described(kind: str, arrays: Mapping[str, Array]) -> dict[str, Array]:
    return {"kind": np.array(kind), "version": np.array(VERSION), **arrays}


def load_object(file: File, *kinds: str) -> tuple[dict[str, Array], int]:
    """The arrays of an object of one of these kinds, and the version of the format, 1 where the file does not say.

    Raises ValueError that says what the file is if not that.
    """
    arrays = load_arrays(file)
    found = kind_of(arrays)
    if found not in kinds:
        came = "arrays of no kind that is known" if found is None else f"{found}: read it with ec.load"
        raise ValueError(f"{file}: expected a file of {' or '.join(kinds)}, got {came}")
    if ("kind" in arrays) != ("version" in arrays):
        missing = "version" if "kind" in arrays else "kind"
        raise ValueError(f"{file}: expected arrays kind and version, or none of them; {missing} is missing")
    version = arrays.pop("version", np.array(1))
    if version.shape != () or version.dtype.kind not in "iu" or not 1 <= version <= VERSION:
        came = f"an array {version.shape}" if version.shape else repr(version.tolist())
        raise ValueError(f"{file}: expected version 1 to {VERSION} of the format, got {came}")
    arrays.pop("kind", None)
    return arrays, int(version)


@contextmanager
def naming(file: File) -> Iterator[None]:
    """What is wrong with the arrays of a file, or too large for memory, is a ValueError that names the file."""
    try:
        yield
    except (TypeError, ValueError, MemoryError) as error:
        raise ValueError(f"{file}: {error}") from error


def text(name: str, array: Array) -> str:
    """A text that a file holds as an array."""
    if array.shape != () or array.dtype.kind != "U":
        raise ValueError(f"{name}: expected a text, got {array.dtype} of shape {array.shape}")
    return str(array)


def kind_of(arrays: Mapping[str, Array]) -> str | None:
    """What a file says that it is; one that does not say so is of version 0.1, or made by hand, and is recognised."""
    if "kind" in arrays:
        return next((kind for kind in KINDS if kind == arrays["kind"].tolist()), None)
    known = {"weights_0": "MLP", "kept_0": "SparseMLP", "variance_0": "Moments"}
    return next((kind for name, kind in known.items() if name in arrays), None)


def count_layers(
    file: File,
    arrays: Mapping[str, Array],
    per_layer: Sequence[str],
    others: Sequence[str],
    optional: Sequence[str] = (),
) -> int:
    """How many layers the arrays are of; raises ValueError that names an array that is missing or not understood."""
    named = [name.rpartition("_") for name in arrays]
    numbers = [int(tail) for head, _, tail in named if head in per_layer and tail.isdecimal()]
    n_layers = 1 + min(max(numbers, default=0), len(arrays))
    expected = [*(f"{name}_{l}" for l in range(n_layers) for name in per_layer), *others]
    wrong = [f"{name} is missing" for name in expected if name not in arrays]
    wrong += [f"{name} is not understood" for name in arrays if name not in (*expected, *optional)]
    if wrong:
        raise ValueError(f"{file}: expected arrays {', '.join(expected)}, {wrong[0]}")
    return n_layers


class _Damaged(Exception):
    """What is wrong with a file, in a few words."""


def _announced_members(data: bytes) -> int:
    """How many files a zip archive says that it holds, in the record at its end."""
    end = data.rindex(b"PK\x05\x06")
    return int.from_bytes(data[end + 10 : end + 12], "little")


def _array(name: str, data: bytes) -> Array:
    """An array in NumPy's format, whose header announces exactly the bytes behind it."""
    stream = io.BytesIO(data)
    version = np.lib.format.read_magic(stream)
    read_header = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}[version]
    shape, fortran_order, dtype = read_header(stream)
    if dtype.hasobject:
        raise _Damaged(f"{name} holds Python objects, which are never unpickled")
    body = data[stream.tell() :]
    if math.prod(shape) * dtype.itemsize != len(body) or min(shape, default=0) < 0:
        raise _Damaged(f"{name} announces shape {shape} of {dtype}, but {len(body)} bytes follow")
    array = np.frombuffer(body, dtype).reshape(shape, order="F" if fortran_order else "C")
    return array.astype(dtype.newbyteorder("="))


def save_text(file: File, text: str) -> None:
    """Write a text file in UTF-8."""
    with replacing(file) as stream:
        stream.write(text.encode())


def save_json(file: File, data: Any) -> None:
    """Write `data` as JSON; floats round-trip exactly, NaN and inf raise ValueError."""
    save_text(file, json.dumps(data, indent=1, allow_nan=False, ensure_ascii=False) + "\n")
