"""Any file: read as it was, or a ValueError or OSError that names it in one line; never as another object."""

from __future__ import annotations

import io
import pickle
import random
import zipfile
from pathlib import Path

import networks
import numpy as np
import pytest

import ecprune_np as ec

DRAWN = networks.make([5, 4, 3], ["tanh"], n_samples=20, seed=1)
PRUNED = ec.prune(DRAWN.mlp, ec.criteria.magnitude(DRAWN.mlp), 0.5)
OBJECTS = {
    "MLP": DRAWN.mlp,
    "Pruned": PRUNED,
    "SparseMLP": PRUNED.to_sparse(),
    "Moments": ec.collect_moments(DRAWN.mlp, DRAWN.x),
    "Scores": ec.elimination_compensation(DRAWN.mlp, DRAWN.x),
}
N_DAMAGED = 600  # files of each kind


def contents(value):
    """Everything that an object holds, as bytes and names."""
    if isinstance(value, np.ndarray):
        return value.tobytes(), value.shape, str(value.dtype)
    if isinstance(value, tuple):
        return tuple(contents(entry) for entry in value)
    if hasattr(value, "__dataclass_fields__"):
        return type(value).__name__, *(contents(getattr(value, name)) for name in value.__dataclass_fields__)
    return value


def damaged(data: bytes, rng: random.Random) -> bytes:
    """A few bytes changed, or the end cut off, or both."""
    changed = bytearray(data)
    for _ in range(rng.choice([0, 1, 1, 2, 5])):
        changed[rng.randrange(len(changed))] = rng.randrange(256)
    return bytes(changed[: rng.randrange(len(changed))] if rng.random() < 0.1 else changed)


def refused(load, file: Path) -> bool:
    """Whether the file is refused as it should be; an error of another kind is raised."""
    try:
        load(file)
    except (ValueError, OSError) as error:
        assert "\n" not in str(error), error
        assert str(file) in str(error), error
        return True
    return False


@pytest.mark.parametrize("kind", OBJECTS)
def test_a_file_with_a_few_bytes_changed_is_read_as_it_was_or_refused(kind, tmp_path):
    file = tmp_path / "damaged.npz"
    OBJECTS[kind].save(file)
    data, rng = file.read_bytes(), random.Random(kind)
    load = type(OBJECTS[kind]).load
    expected = contents(load(file))
    n_refused = 0
    for _ in range(N_DAMAGED):
        file.write_bytes(damaged(data, rng))
        if refused(load, file):
            n_refused += 1
            assert refused(ec.load, file)
        else:
            assert contents(load(file)) == expected
    assert 0 < n_refused < N_DAMAGED


def npy(header: bytes, body: bytes = b"") -> bytes:
    """An array file with any header."""
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + body


def archive(**members: bytes) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as file:
        for name, data in members.items():
            file.writestr(f"{name}.npy", data)
    return stream.getvalue()


def objects() -> bytes:
    stream = io.BytesIO()
    np.savez(stream, weights_0=np.array([{"a": 1}], object), biases_0=np.zeros(1))
    return stream.getvalue()


class Bomb:
    def __reduce__(self):
        return pytest.fail, ("a pickle was loaded",)


HEADER = b"{'descr': '<f8', 'fortran_order': False, 'shape': (1000000, 1000000), }\n"
FILES = {
    "nothing": b"",
    "text": b"weights: 1, 2, 3\n",
    "a pickle": pickle.dumps(Bomb()),
    "an array alone": npy(HEADER.replace(b"1000000, 1000000", b"1,"), b"\0" * 8),
    "a header of 7 TiB": archive(weights_0=npy(HEADER), biases_0=npy(HEADER)),
    "a header that is less than its bytes": archive(weights_0=npy(HEADER.replace(b"1000000", b"1"), b"\0" * 16)),
    "a negative shape": archive(weights_0=npy(HEADER.replace(b"1000000, 1000000", b"-1, -1"), b"\0" * 8)),
    "a header that is code": archive(weights_0=npy(b"__import__('os').abort()\n")),
    "a header that nests": archive(weights_0=npy(b"(" * 5000 + b"\n")),
    "objects": objects(),
    "an object header": archive(weights_0=npy(HEADER.replace(b"<f8", b"|O"), pickle.dumps(Bomb()))),
    "an archive of text": archive(weights_0=b"weights"),
    "an empty archive": archive(),
    "an archive of something else": archive(x=npy(HEADER.replace(b"1000000, 1000000", b"1,"), b"\0" * 8)),
}


@pytest.mark.parametrize("what", FILES)
@pytest.mark.parametrize("load", [ec.load, *(type(value).load for value in OBJECTS.values())], ids=["any", *OBJECTS])
def test_a_file_that_is_none_is_refused(what, load, tmp_path):
    file = tmp_path / "odd.npz"
    file.write_bytes(FILES[what])
    assert refused(load, file)


def test_a_bomb_is_not_unpacked(tmp_path):
    """A member that announces more bytes than so small a file can hold is not read."""
    data = bytearray(archive(weights_0=npy(HEADER.replace(b"1000000, 1000000", b"1,"), b"\0" * 8)))
    directory = data.rindex(b"PK\x01\x02")
    data[directory + 24 : directory + 28] = (2**31).to_bytes(4, "little")
    file = tmp_path / "bomb.npz"
    file.write_bytes(bytes(data))
    with pytest.raises(ValueError, match=r"bomb\.npz: .*more bytes than the file can hold"):
        ec.MLP.load(file)


def test_a_folder_and_a_missing_file_are_named(tmp_path):
    for load in (ec.load, ec.MLP.load):
        assert refused(load, tmp_path)
        assert refused(load, tmp_path / "none.npz")


@pytest.mark.parametrize("kind", OBJECTS)
@pytest.mark.parametrize("wanted", OBJECTS)
def test_each_load_says_what_a_file_is_when_it_is_another(kind, wanted, tmp_path):
    file = tmp_path / "it.npz"
    OBJECTS[kind].save(file)
    load = type(OBJECTS[wanted]).load
    if wanted == kind or (wanted, kind) == ("Pruned", "SparseMLP"):
        assert contents(ec.load(file)) == contents(OBJECTS[kind])
        load(file)
    else:
        with pytest.raises(ValueError, match=rf"it\.npz: expected a file of .*, got {kind}: read it with ec\.load"):
            load(file)


def test_a_later_format_and_arrays_that_are_not_understood_are_refused(tmp_path):
    file = tmp_path / "later.npz"
    DRAWN.mlp.save(file)
    arrays = dict(np.load(file))
    np.savez(file, **(arrays | {"version": np.array(99)}))
    with pytest.raises(ValueError, match=r"later\.npz: expected version 1 to \d+ of the format, got 99"):
        ec.MLP.load(file)
    np.savez(file, **arrays, masks_0=np.ones(3))
    with pytest.raises(ValueError, match=r"later\.npz: expected arrays .*, masks_0 is not understood"):
        ec.MLP.load(file)
