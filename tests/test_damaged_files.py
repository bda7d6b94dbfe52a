"""Any file: read as it was, or a ValueError or OSError that names it in one line; never as another object."""

from __future__ import annotations

import gzip
import io
import os
import pickle
import random
import zipfile
from pathlib import Path

import networks
import numpy as np
import pytest

import ecprune_np as ec
from ecprune_np._files import save_arrays
from ecprune_np.data import Dataset, load_dataset, read_idx

DRAWN = networks.make([5, 4, 3], ["tanh"], n_samples=20, seed=1)
PRUNED = ec.prune(DRAWN.mlp, ec.criteria.magnitude(DRAWN.mlp), 0.5)
OBJECTS = {
    "MLP": DRAWN.mlp,
    "Pruned": PRUNED,
    "SparseMLP": PRUNED.to_sparse(),
    "Moments": ec.collect_moments(DRAWN.mlp, DRAWN.x),
    "Scores": ec.elimination_compensation(DRAWN.mlp, DRAWN.x),
}
LOADS = {"any": ec.load, **{kind: type(value).load for kind, value in OBJECTS.items()}}
N_DAMAGED = 300  # files of each kind, for each way to read them


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


def attempt(load, file: Path):
    """What is read, or None where it is refused as it should be; an error of another kind is raised."""
    try:
        return load(file)
    except (ValueError, OSError) as error:
        assert "\n" not in str(error), error
        assert str(file) in str(error), error
    return None


def refused(load, file: Path) -> bool:
    """Whether it is refused as it should be."""
    return attempt(load, file) is None


def outcomes(load, file: Path, seed: str) -> set[str]:
    """What becomes of a file that is damaged again and again."""
    data, rng, expected, seen = file.read_bytes(), random.Random(seed), contents(load(file)), set()
    for _ in range(N_DAMAGED):
        file.write_bytes(damaged(data, rng))
        read = attempt(load, file)
        seen.add("refused" if read is None else "as it was" if contents(read) == expected else "another")
    return seen


@pytest.mark.parametrize("kind", OBJECTS)
def test_a_file_with_a_few_bytes_changed_is_read_as_it_was_or_refused(kind, tmp_path):
    file = tmp_path / "damaged.npz"
    OBJECTS[kind].save(file)
    assert outcomes(LOADS[kind], file, kind) == {"refused", "as it was"}
    OBJECTS[kind].save(file)
    assert outcomes(ec.load, file, f"any {kind}") == {"refused", "as it was"}


def test_a_data_set_with_a_few_bytes_changed_is_read_as_it_was_or_refused(tmp_path):
    file = tmp_path / "data.npz"
    x, y = DRAWN.x, DRAWN.labels
    save_arrays(file, {"x_train": x, "y_train": y, "x_test": x, "y_test": y})
    assert isinstance(load_dataset(file), Dataset)
    assert outcomes(load_dataset, file, "data") == {"refused", "as it was"}
    file.write_bytes(gzip.compress(b"\0\0\x08\2" + (3).to_bytes(4, "big") + (4).to_bytes(4, "big") + bytes(12)))
    assert outcomes(read_idx, file, "idx") == {"refused", "as it was"}


def npy(header: bytes, body: bytes = b"") -> bytes:
    """An array file with any header."""
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + body


def archive(members: dict[str, bytes], compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", compression) as file:
        for name, data in members.items():
            file.writestr(name, data)
    return stream.getvalue()


def of_network(weights: bytes, compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    """A network's file whose weights are these bytes."""
    return archive({"weights_0.npy": weights, "biases_0.npy": npy(ONE, bytes(8))}, compression)


class Bomb:
    def __reduce__(self):
        return pytest.fail, ("a pickle was loaded",)


HEADER = b"{'descr': '<f8', 'fortran_order': False, 'shape': (1000000, 1000000), }\n"
ONE = HEADER.replace(b"1000000, 1000000", b"1,")
FILES = {
    "nothing": b"",
    "text": b"weights: 1, 2, 3\n",
    "a pickle": pickle.dumps(Bomb()),
    "an array alone": npy(ONE, bytes(8)),
    "a header of 7 TiB": of_network(npy(HEADER)),
    "a header that is less than its bytes": of_network(npy(ONE, bytes(16))),
    "a negative shape": of_network(npy(HEADER.replace(b"1000000", b"-1"), bytes(8))),
    "a shape whose product wraps": of_network(npy(HEADER.replace(b"1000000", b"4294967296"))),
    "a header that is code": of_network(npy(b"__import__('os').abort()\n")),
    "a header that nests": of_network(npy(b"(" * 5000 + b"\n")),
    "a header of signs": of_network(npy(b"-" * 9000 + b"1\n")),
    "an object header": of_network(npy(HEADER.replace(b"<f8", b"|O"), pickle.dumps(Bomb()))),
    "a pickle as an array": of_network(pickle.dumps(Bomb())),
    "text as an array": of_network(b"weights"),
    "an empty archive": archive({}),
    "an archive of something else": archive({"x.npy": npy(ONE, bytes(8))}),
    "an archive of documents": archive({"[Content_Types].xml": b"<xml/>", "word/document.xml": b"<xml/>"}),
    "an archive with a text besides": archive({"kind.npy": npy(ONE, bytes(8)), "README": b"read me"}),
    "a name of two lines": archive({"weights_0\n.npy": npy(ONE, bytes(8))}),
    "compressed by bzip2": of_network(npy(ONE, bytes(8)), zipfile.ZIP_BZIP2),
    "compressed by LZMA": of_network(npy(ONE, bytes(8)), zipfile.ZIP_LZMA),
}


@pytest.mark.parametrize("what", FILES)
@pytest.mark.parametrize("load", [*LOADS.values(), load_dataset], ids=[*LOADS, "data"])
def test_a_file_that_is_none_is_refused(what, load, tmp_path):
    file = tmp_path / "odd.npz"
    file.write_bytes(FILES[what])
    assert refused(load, file)


def test_objects_are_refused_and_not_unpickled(tmp_path):
    file = tmp_path / "objects.npz"
    np.savez(file, weights_0=np.array([Bomb()], object), biases_0=np.zeros(1))
    for load in LOADS.values():
        with pytest.raises(ValueError, match=r"objects\.npz: .*weights_0 holds Python objects, which are never unpick"):
            load(file)


@pytest.mark.parametrize("n_arrays", [1, 40])
def test_a_bomb_is_not_unpacked(n_arrays, tmp_path):
    """Members that announce, alone or together, more bytes than so small a file can hold are not read."""
    data = bytearray(archive({f"weights_{l}.npy": npy(ONE, bytes(8)) for l in range(n_arrays)}))
    announced = 2000 * len(data) // n_arrays
    entry = data.index(b"PK\x01\x02")
    while entry >= 0:
        data[entry + 24 : entry + 28] = announced.to_bytes(4, "little")
        entry = data.find(b"PK\x01\x02", entry + 1)
    file = tmp_path / "bomb.npz"
    file.write_bytes(bytes(data))
    with pytest.raises(ValueError, match=r"bomb\.npz: .*more bytes than the file can hold"):
        ec.MLP.load(file)


def test_an_encrypted_member_is_refused(tmp_path):
    data = bytearray(of_network(npy(ONE, bytes(8))))
    for signature, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.index(signature) + flags] |= 1
    file = tmp_path / "secret.npz"
    file.write_bytes(bytes(data))
    assert refused(ec.MLP.load, file)


def test_folders_missing_and_unreadable_files_are_named(tmp_path):
    for load in LOADS.values():
        assert refused(load, tmp_path)
        assert refused(load, tmp_path / "none.npz")
    file = tmp_path / "mine.npz"
    DRAWN.mlp.save(file)
    file.chmod(0)
    if os.access(file, os.R_OK):
        pytest.skip("whoever runs this may read everything")
    for load in LOADS.values():
        assert refused(load, file)


@pytest.mark.parametrize("kind", OBJECTS)
@pytest.mark.parametrize("wanted", OBJECTS)
def test_each_load_says_what_a_file_is_when_it_is_another(kind, wanted, tmp_path):
    file = tmp_path / "it.npz"
    OBJECTS[kind].save(file)
    if wanted == kind or (wanted, kind) == ("Pruned", "SparseMLP"):
        assert contents(ec.load(file)) == contents(OBJECTS[kind])
        LOADS[wanted](file)
    else:
        with pytest.raises(ValueError, match=rf"it\.npz: expected a file of .*, got {kind}: read it with ec\.load"):
            LOADS[wanted](file)


def instead(array: np.ndarray) -> dict[str, np.ndarray]:
    """What is in the place of an array, most of it wrong in every place."""
    return {
        "a number": np.array(3),
        "half": np.array(0.5),
        "nothing": array.ravel()[:0],
        "one dimension": array.ravel(),
        "more dimensions": array[np.newaxis, np.newaxis],
        "twice": np.concatenate([array.ravel()] * 2),
        "text": np.array("a\nb"),
        "texts": np.array(["a\nb"] * 500),
        "bytes": np.array(b"MLP"),
        "True": np.ones(array.shape, bool),
        "complex": np.ones(array.shape, complex),
        "float16": np.ones(array.shape, np.float16),
        "bytes of ones": np.full(array.shape, 255, np.uint8),
        "negative": np.full(array.shape, -1),
        "negative reals": np.full(array.shape, -1.5),
        "nan": np.full(array.shape, np.nan),
        "infinite": np.full(array.shape, np.inf),
        "huge": np.full(array.shape, 2**62),
        "huge and wraps": np.full(array.shape, 2**32),
        "dates": np.full(array.shape, np.datetime64("2026-01-01")),
        "records": np.zeros(array.shape, [("a\nb", "f8"), ("b", "i4")]),
        "void": np.zeros(array.shape, "V3"),
        "big-endian": array.astype(array.dtype.newbyteorder(">")),
        "Fortran order": np.asfortranarray(array),
    }


def valid(value) -> bool:
    """Whether an object goes through its own constructor, and counts what can be counted."""
    pickle.loads(pickle.dumps(value))
    return not isinstance(value, ec.Moments) or (value.n_samples >= 1 and 0 < value.total_weight < np.inf)


@pytest.mark.filterwarnings("ignore:.*moments that do not say of which")
@pytest.mark.parametrize("kind", OBJECTS)
def test_arrays_that_are_missing_renamed_or_of_another_kind_are_named(kind, tmp_path):
    """In a file that is whole otherwise: the object that it says, or an error, and of no array from inside."""
    file = tmp_path / "other.npz"
    OBJECTS[kind].save(file)
    arrays, original = dict(np.load(file)), contents(OBJECTS[kind])
    optional = {"metric", "fingerprint"}
    for name, array in arrays.items():
        rest = {other: value for other, value in arrays.items() if other != name}
        np.savez(file, **rest)
        assert refused(LOADS[kind], file) or name in optional, name
        for other in ("x", "weights_7", f"{name}0", "weights_99999999999999999999", "weights_²"):
            np.savez(file, **rest, **{other: array})
            assert refused(LOADS[kind], file) and refused(ec.load, file), (name, other)
        for what, value in instead(array).items():
            np.savez(file, **rest, **{name: value})
            for load in (LOADS[kind], ec.load):
                loaded = attempt(load, file)
                if loaded is not None:
                    assert isinstance(loaded, type(OBJECTS[kind])) and valid(loaded), (name, what)
                    if what in ("big-endian", "Fortran order"):
                        assert contents(loaded) == original, (name, what)


def test_a_file_of_this_version_says_all_that_a_save_writes(tmp_path):
    """One that has lost its output activation is no network that ends in the identity."""
    file = tmp_path / "lost.npz"
    DRAWN.mlp.save(file)
    arrays = dict(np.load(file))
    for name in ("kind", "version", "activation", "output_activation"):
        np.savez(file, **{key: value for key, value in arrays.items() if key != name})
        for load in (ec.MLP.load, ec.load):
            with pytest.raises(ValueError, match=rf"lost\.npz: expected arrays .*{name} is missing"):
                load(file)
    by_hand = {key: value for key, value in arrays.items() if key not in ("kind", "version", "output_activation")}
    np.savez(file, **by_hand)
    assert ec.MLP.load(file).output_activation == "identity"


def test_a_file_is_read_once(tmp_path, monkeypatch):
    for value in OBJECTS.values():
        file = tmp_path / "it.npz"
        value.save(file)
        read = []
        monkeypatch.setattr(
            Path, "read_bytes", lambda path, of=Path.read_bytes, read=read: read.append(path) or of(path)
        )
        assert contents(ec.load(file)) == contents(value)
        assert read == [file]
        monkeypatch.undo()


def test_a_later_format_and_arrays_that_are_not_understood_are_refused(tmp_path):
    file = tmp_path / "later.npz"
    DRAWN.mlp.save(file)
    arrays = dict(np.load(file))
    np.savez(file, **(arrays | {"version": np.array(99)}))
    with pytest.raises(ValueError, match=r"later\.npz: expected version 1 to \d+ of the format, got 99"):
        ec.MLP.load(file)
    np.savez(file, **(arrays | {"kind": np.array("Forest")}))
    with pytest.raises(ValueError, match=r"later\.npz: expected a file .*, got arrays of no kind that is known"):
        ec.load(file)
    np.savez(file, **arrays, masks_0=np.ones(3))
    with pytest.raises(ValueError, match=r"later\.npz: expected arrays .*, masks_0 is not understood"):
        ec.MLP.load(file)
