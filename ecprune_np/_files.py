"""Files are written whole or not at all, and read without ever unpickling."""

from __future__ import annotations

import json
import os
import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


@contextmanager
def replacing(file: str | os.PathLike[str]) -> Iterator[IO[bytes]]:
    """A binary file to write, under a temporary name that becomes `file` when all of it is written."""
    path = Path(file)
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


def save_arrays(file: str | os.PathLike[str], arrays: Mapping[str, Array]) -> None:
    """Write named arrays to a compressed .npz file."""
    with replacing(file) as stream:
        np.savez_compressed(stream, **arrays)  # type: ignore[arg-type]


def load_arrays(file: str | os.PathLike[str]) -> dict[str, Array]:
    """Read every array of an .npz file; raises ValueError that names the file where it is none."""
    path = Path(file)
    try:
        with open(path, "rb") as stream, np.load(stream, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except FileNotFoundError:
        raise ValueError(f"{path}: no such file") from None
    except (ValueError, OSError, EOFError, AttributeError, TypeError, zipfile.BadZipFile) as error:
        raise ValueError(f"{path}: expected an .npz file of plain arrays ({error})") from error


def save_text(file: str | os.PathLike[str], text: str) -> None:
    """Write a text file in UTF-8."""
    with replacing(file) as stream:
        stream.write(text.encode())


def save_json(file: str | os.PathLike[str], data: Any) -> None:
    """Write `data` as JSON; floats round-trip exactly, NaN and inf raise ValueError."""
    save_text(file, json.dumps(data, indent=1, allow_nan=False, ensure_ascii=False) + "\n")
