"""Networks and samples from any file a user has, or one line that says what is wrong with it, before any work."""

from __future__ import annotations

import json
import os
import re
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from networks import make

import ecprune_np as ec
from ecprune_np.__main__ import main
from ecprune_np.commands._inputs import PICKLES, read_data, read_network
from ecprune_np.interop import to_safetensors

D = make([4, 6, 3], "tanh", n_samples=60, seed=1, dtype=np.float32)
Y = D.targets("mse")
PRUNED = ec.prune(D.mlp, ec.criteria.magnitude(D.mlp), 0.5)


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    D.mlp.save("network.npz")
    np.savez("data.npz", x=D.x, y=D.labels)


def same(a: ec.MLP, b: ec.MLP) -> bool:
    return repr(a) == repr(b) and all(
        (u == v).all() for u, v in zip((*a.weights, *a.biases), (*b.weights, *b.biases), strict=True)
    )


def scored(*options: Any, network: str = "network.npz", data: str = "data.npz") -> dict[str, Any]:
    """What `score` says as JSON."""
    assert main(["score", network, "--data", data, "--json", "s.json", *map(str, options)]) == 0
    return json.loads(Path("s.json").read_text())


@pytest.fixture
def refused(capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """The one line with which `score` refuses, with exit code 2, before it has printed anything."""

    def refused(*options: Any, network: str = "network.npz", data: str = "data.npz") -> str:
        assert main(["score", network, "--data", data, *map(str, options)]) == 2
        out, err = capsys.readouterr()
        assert out == "" and err.count("\n") == 1 and err.startswith("python -m ecprune_np score: "), err
        return err.removeprefix("python -m ecprune_np score: ").rstrip("\n")

    return refused


def test_no_samples_are_refused(refused: Callable[..., str]) -> None:
    np.savez("none.npz", x=D.x[:0])
    assert "x: expected at least one sample, got shape (0, 4)" in refused(data="none.npz")


# networks


def test_files_of_ours_are_read_as_what_they_are() -> None:
    assert same(read_network(Path("network.npz")).mlp, D.mlp)
    assert read_network(Path("network.npz")).sparsity == 0
    for saved in (PRUNED, PRUNED.to_sparse()):
        saved.save("pruned.npz")
        read = read_network(Path("pruned.npz"))
        assert same(read.mlp, PRUNED.mlp) and all((a == b).all() for a, b in zip(read.masks, PRUNED.masks))
    os.rename("network.npz", "NETWORK.NPZ")
    assert same(read_network(Path("NETWORK.NPZ")).mlp, D.mlp)


def test_zeros_of_a_file_without_masks_are_taken_as_removed() -> None:
    to_safetensors(PRUNED, "pruned.safetensors")
    assert all((a == b).all() for a, b in zip(read_network(Path("pruned.safetensors")).masks, PRUNED.masks))


def test_safetensors_need_an_activation_where_they_name_none() -> None:
    to_safetensors(D.mlp, "ours.safetensors")
    assert same(read_network(Path("ours.safetensors")).mlp, D.mlp)
    numpy: Any = pytest.importorskip("safetensors.numpy", reason="safetensors is in the extra `peers`")
    arrays = {f"{l}.weight": w for l, w in enumerate(D.mlp.weights)} | {
        f"{l}.bias": b for l, b in enumerate(D.mlp.biases)
    }
    numpy.save_file(arrays, "theirs.safetensors")
    assert same(read_network(Path("theirs.safetensors"), "tanh").mlp, D.mlp)
    with pytest.raises(ValueError, match=r"^--activation: theirs.safetensors does not name one; expected one of"):
        read_network(Path("theirs.safetensors"))
    with pytest.raises(ValueError, match=r"^theirs.safetensors: activation: expected one of"):
        read_network(Path("theirs.safetensors"), "swish")


def test_an_activation_may_be_given_for_each_layer() -> None:
    mixed = make([4, 5, 3, 2], ["relu", "gelu"], dtype=np.float32).mlp
    arrays = {f"weights_{l}": w for l, w in enumerate(mixed.weights)} | {
        f"biases_{l}": b for l, b in enumerate(mixed.biases)
    }
    np.savez("bare.npz", **arrays)
    assert same(read_network(Path("bare.npz"), "relu,gelu").mlp, mixed)
    with pytest.raises(ValueError, match=r"^--activation: bare.npz does not name one; expected one of"):
        read_network(Path("bare.npz"))


def test_onnx_is_read() -> None:
    onnx: Any = pytest.importorskip("onnx", reason="onnx is in the extra `peers`")
    constants = {"w0": D.mlp.weights[0], "b0": D.mlp.biases[0], "w1": D.mlp.weights[1], "b1": D.mlp.biases[1]}
    nodes = [
        onnx.helper.make_node("Gemm", ["x", "w0", "b0"], ["h"], transB=1),
        onnx.helper.make_node("Tanh", ["h"], ["a"]),
        onnx.helper.make_node("Gemm", ["a", "w1", "b1"], ["y"], transB=1),
    ]
    values = [onnx.helper.make_tensor_value_info(n, 1, ["N", k]) for n, k in (("x", 4), ("y", 3))]
    tensors = [onnx.numpy_helper.from_array(a, name) for name, a in constants.items()]
    graph = onnx.helper.make_graph(nodes, "graph", values[:1], values[1:], tensors)
    onnx.save(onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 20)]), "network.onnx")
    assert same(read_network(Path("network.onnx")).mlp, D.mlp)
    with pytest.raises(ValueError, match=r"^--activation: expected none, .* beside network.onnx, which names its own"):
        read_network(Path("network.onnx"), "relu")


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
def test_keras_is_read(monkeypatch: pytest.MonkeyPatch, refused: Callable[..., str]) -> None:
    pytest.importorskip("torch", reason="PyTorch is in the extra `peers`")
    monkeypatch.setenv("KERAS_BACKEND", os.environ.get("KERAS_BACKEND", "torch"))
    keras: Any = pytest.importorskip("keras", reason="Keras is in the extra `peers`")
    layers = [keras.layers.Dense(6, "tanh"), keras.layers.Dense(3)]
    model = keras.Sequential([keras.Input((4,)), *layers])
    for layer, w, b in zip(layers, D.mlp.weights, D.mlp.biases):
        layer.set_weights([w.T, b])
    model.save("network.keras")
    assert same(read_network(Path("network.keras")).mlp, D.mlp)
    with pytest.raises(ValueError, match=r"^--activation: expected none"):
        read_network(Path("network.keras"), "relu")
    with zipfile.ZipFile("network.keras", "w") as file:
        file.writestr("config.json", "{}")
    assert refused(network="network.keras").startswith("network.keras: expected a .keras file: ")


def test_a_package_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch, refused: Callable[..., str]) -> None:
    def missing(name: str) -> Any:
        raise ModuleNotFoundError(f"No module named {name!r}")

    zipfile.ZipFile("network.keras", "w").close()
    monkeypatch.setattr("ecprune_np.commands._inputs.framework", missing)
    assert refused(network="network.keras").startswith("network.keras: to read it, the package keras ")


@pytest.mark.parametrize("suffix", PICKLES)
def test_a_pickle_is_refused_with_the_line_that_makes_a_file_of_it(suffix: str, refused: Callable[..., str]) -> None:
    message = refused(network=f"model{suffix}")
    assert message.startswith(f"model{suffix}: is a pickle")
    assert 'safetensors.torch.save_file(model.state_dict(), "model.safetensors")' in message


def test_that_line_makes_a_file_that_is_read(refused: Callable[..., str]) -> None:
    torch: Any = pytest.importorskip("torch", reason="PyTorch is in the extra `peers`")
    safetensors: Any = pytest.importorskip("safetensors", reason="safetensors is in the extra `peers`")
    pytest.importorskip("safetensors.torch")
    model = torch.nn.Sequential(torch.nn.Linear(4, 6), torch.nn.Tanh(), torch.nn.Linear(6, 3))
    torch.save(model.state_dict(), "model.pt")
    line = re.search(r"safetensors\.torch\.save_file\([^ ]+ \S+\)", refused(network="model.pt"))
    exec(line[0], {"safetensors": safetensors, "model": model})
    mlp = read_network(Path("model.safetensors"), "tanh").mlp
    np.testing.assert_allclose(mlp(D.x), model(torch.tensor(D.x)).detach().numpy(), atol=1e-6)
    assert scored("--activation", "tanh", network="model.safetensors")["network"] == str(mlp)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("missing.npz", None, "missing.npz: no such file"),
        ("missing.safetensors", None, "missing.safetensors: no such file"),
        ("missing.keras", None, "missing.keras: no such file"),
        ("missing.onnx", None, "missing.onnx: no such file"),
        ("network.h5", b"", "network.h5: expected a network: .npz (of this program), .safetensors, .onnx or .keras"),
        ("network", b"", "network: expected a network: .npz"),
        ("broken.npz", b"PK\3\4", "broken.npz: expected an .npz file of plain arrays"),
        ("broken.safetensors", b"{}", "broken.safetensors: expected a safetensors file"),
        ("broken.keras", b"PK" + bytes(99), "broken.keras: expected a .keras file: it is damaged, or of another kind"),
    ],
)
def test_a_network_that_cannot_be_read_is_named(
    name: str, content: bytes | None, message: str, refused: Callable[..., str]
) -> None:
    if content is not None:
        Path(name).write_bytes(content)
    assert refused(network=name).startswith(message)


def test_a_file_of_something_else_is_named(refused: Callable[..., str]) -> None:
    ec.criteria.magnitude(D.mlp).save("scores.npz")
    assert refused(network="scores.npz") == "scores.npz: expected a file of MLP, got Scores: read it with ec.load"
    assert refused("--activation", "relu").startswith("--activation: expected none, for it has no effect beside")


# samples


def parts(**arrays: Any) -> dict[str, Any]:
    """What is read of an .npz with these arrays."""
    np.savez("parts.npz", **arrays)
    return read_data(Path("parts.npz"), 4, None)


def test_an_npz_has_x_and_y_or_four_arrays() -> None:
    x, y = D.x, D.labels
    for arrays in (
        {"x": x},
        {"x": x, "y": y},
        {"x_train": x},
        {"x_train": x, "y_train": y},
        {"x_train": x, "x_test": x},
        {"x_train": x, "x_test": x, "y_test": y},
        {"x_train": x, "y_train": y, "x_test": x, "y_test": y},
    ):
        assert parts(**arrays).keys() == arrays.keys()


@pytest.mark.parametrize(
    ("arrays", "wrong"),
    [
        ({"y": 1}, "x is missing"),
        ({"y_train": 1, "x_test": 1}, "x_train is missing"),
        ({"x_test": 1}, "x or x_train is missing"),
        ({}, "x or x_train is missing"),
        ({"x_train": 1, "y_test": 1}, "x_test is missing"),
        ({"x_train": 1, "y_train": 1, "x_test": 1}, "y_test is missing"),
        ({"x": 1, "x_train": 1}, "there are both"),
        ({"x": 1, "labels": 1}, "labels is not understood"),
    ],
)
def test_arrays_of_other_names_are_named(arrays: dict[str, Any], wrong: str) -> None:
    expected = "parts.npz: expected arrays x and y, or x_train, y_train, x_test and y_test, but"
    with pytest.raises(ValueError, match=f"^{expected} {wrong}$"):
        parts(**{name: D.x for name in arrays})


def test_npy_and_csv_may_end_in_the_target() -> None:
    table = np.column_stack([D.x, D.labels])
    np.save("t.npy", table)
    np.savetxt("t.csv", table, delimiter=",", fmt="%.9g")
    np.savetxt("header.csv", table, delimiter=";", fmt="%.9g", header="a;b;c;d;label", comments="")
    Path("t.tsv.csv").write_bytes(b"\xef\xbb\xbf" + Path("t.csv").read_bytes().replace(b",", b"\t") + b"\n\n")
    for file in ("t.npy", "t.csv", "header.csv", "t.tsv.csv"):
        found = read_data(Path(file), 4, "last")
        np.testing.assert_array_equal(found["x"].astype(np.float32), D.x)
        np.testing.assert_array_equal(found["y"], D.labels)
        hint = r"expected 4 columns, got 5; if the last one is the target, say --target last$"
        with pytest.raises(ValueError, match=f"^{file}: {hint}"):
            read_data(Path(file), 4, None)
        assert read_data(Path(file), 5, None)["x"].shape == (60, 5)
    assert scored("--target", "last", data="header.csv")["loss"] == "cross_entropy"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1,2,3,4\n1,2,x,4\n", "line 2, column 3: expected a number, got 'x'"),
        ("1,2,,4\n", "line 1, column 3: expected a number, got ''"),
        ("a,b,c,d\n1,2,3,4\n\n1,2,3\n", "line 4: expected 4 columns as in the first, got 3"),
        ("a,b,c,d\n", ": expected lines of numbers, got none"),
        ("", ": expected lines of numbers, got none"),
        ("1,2,3,4\n1,2,inf,4\n", ": x: not finite at \\[1, 2\\] \\(inf\\)"),
        ("1\n2\n", ": x: expected shape \\(N, 4\\), got \\(2, 1\\)"),
    ],
)
def test_what_is_wrong_in_a_csv_is_named(text: str, message: str, refused: Callable[..., str]) -> None:
    Path("t.csv").write_text(text)
    assert re.match(f"t.csv,? ?{message}", refused(data="t.csv"))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("missing.npz", None, "missing.npz: no such file"),
        ("missing.npy", None, "missing.npy: no such file"),
        ("missing.csv", None, "missing.csv: no such file"),
        ("t.txt", b"1,2,3,4", "t.txt: expected samples in an .npz, .npy or .csv file, or `digits`"),
        ("t.npy", b"1,2,3,4", "t.npy: expected an .npy file of plain numbers"),
        ("t.csv", b"\xff\xfe1", "t.csv: expected text in UTF-8"),
        ("t.csv", b"1" * 200_000, "t.csv: expected lines of numbers (field larger than field limit"),
        ("data.npz", b"", "data.npz: expected an .npz file of plain arrays"),
    ],
)
def test_samples_that_cannot_be_read_are_named(
    name: str, content: bytes | None, message: str, refused: Callable[..., str]
) -> None:
    if content is not None:
        Path(name).write_bytes(content)
    assert refused(data=name).startswith(message)


def test_samples_that_do_not_fit_are_named(refused: Callable[..., str]) -> None:
    x, y = D.x, D.labels
    for arrays, message in [
        ({"x": x[:, :3]}, "data.npz: x: expected shape (N, 4), got (60, 3)"),
        ({"x_train": x, "x_test": x[:, :3]}, "data.npz: x_test: expected shape (N, 4), got (60, 3)"),
        ({"x": x, "y": y[:5]}, "data.npz: y: expected shape (60,), got (5,)"),
        ({"x": x, "y": y + 2}, "data.npz: y: expected labels from 0 to 2, got "),
        ({"x": x, "y": Y[:, :2]}, "data.npz: y: expected shape (60, 3), got (60, 2)"),
        ({"x": x[:1]}, "data.npz: x: expected two samples or more, for one is held out to test with, got 1"),
        ({"x": np.array(["a"])}, "data.npz: expected x to hold numbers, got <U1 of shape (1,)"),
        ({"x": np.array(1.0)}, "data.npz: expected x to hold numbers, got float64 of shape ()"),
        ({"x": x * np.nan}, "data.npz: x: not finite at [0, 0] (nan)"),
        (
            {"x_train": x, "y_train": y, "x_test": x, "y_test": Y},
            "data.npz: y_test: expected targets for cross_entropy as in y_train, got some for mse",
        ),
    ]:
        np.savez("data.npz", **arrays)
        assert refused().startswith(message)
    for metric, message in [
        ("mse", "--metric mse: data.npz: y: expected shape (54, 3), got (54,)"),
        ("cross_entropy", "--metric cross_entropy: data.npz: y: expected probabilities of classes, from 0 to 1, got "),
    ]:  # what the samples are for is read off them, and is another loss
        np.savez("data.npz", x=x, y=y if metric == "mse" else Y)
        assert refused("--metric", metric).startswith(message)
    np.savez("data.npz", x=np.ones((20, 4)))
    same = "data.npz: x: expected samples on which the outputs differ, they are the same on all 18"
    assert refused() == same
    np.save("t.npy", np.array(["a", "b"]))
    assert refused(data="t.npy").startswith("t.npy: expected numbers, got <U1 of shape (2,)")
    np.save("t.npy", D.x[:, 0])
    assert refused("--target", "last", data="t.npy").startswith("t.npy: expected two columns or more, the last one")
    for data, why in (("data.npz", "beside an .npz file"), ("digits", "beside digits")):
        assert refused("--target", "last", data=data).startswith(f"--target: expected none, for it has no effect {why}")


def test_images_are_taken_row_by_row_and_single_inputs_as_they_are() -> None:
    np.savez("data.npz", x=D.x.reshape(60, 2, 2), y=D.labels)
    assert scored()["n_train"] == 54
    make([1, 3, 1]).mlp.save("one.npz")
    np.save("one.npy", np.linspace(0, 1, 20))
    assert scored(network="one.npz", data="one.npy")["loss"] is None


def test_a_tenth_is_held_out_where_there_are_no_test_samples(capsys: pytest.CaptureFixture[str]) -> None:
    """At random, said in the output, the same for the same seed, and of none of the samples that are scored."""
    seen = {}
    for seed in (0, 0, 1):
        record = scored("--seed", seed, "--out", "s.npz")
        assert record["measured_on"] == f"6 test samples of data.npz, held out at random (seed {seed})"
        assert record["n_train"] == record["n_scored"] == 54
        out = " ".join(capsys.readouterr().out.split())
        assert f"on {record['measured_on']}" in out
        importance = ec.load("s.npz").importance[0]
        assert seen.setdefault(seed, importance).tobytes() == importance.tobytes()
    assert (seen[0] != seen[1]).any()
    rows = np.random.default_rng(0).permutation(60)[:6]
    kept = np.delete(D.x, rows, axis=0)
    assert (ec.elimination_compensation(D.mlp, kept, "fisher").importance[0] == seen[0]).all()


def test_samples_are_drawn_from_all_of_a_file() -> None:
    assert scored("--samples", 20)["n_scored"] == 20
    assert scored("--samples", 1000)["n_scored"] == 54


@pytest.mark.parametrize(
    ("y", "outputs", "loss"),
    [
        (D.labels, 3, "cross_entropy"),
        (D.labels.astype(np.float32), 3, "cross_entropy"),
        (np.eye(3, dtype=int)[D.labels], 3, "cross_entropy"),
        (Y, 3, "mse"),
        (Y[:, 0], 1, "mse"),
        (D.labels % 2, 1, "cross_entropy"),
        (D.labels % 2 == 1, 1, "cross_entropy"),
        ((D.labels % 2).astype(float), 1, "mse"),
        (None, 3, None),
    ],
)
def test_the_loss_is_that_of_the_targets(y: Any, outputs: int, loss: str | None) -> None:
    make([4, 5, outputs]).mlp.save("network.npz")
    np.savez("data.npz", x=D.x, **({} if y is None else {"y": y}))
    record = scored()
    assert (record["loss"], record["metric"]) == (loss, "fisher" if loss == "cross_entropy" else "output")


def test_one_logit_is_a_classifier_like_its_two_logits() -> None:
    """EC-2.7: the same loss and accuracy, and Fisher's metric."""
    one = make([4, 6, 1], "tanh", seed=1).mlp
    pairs = [np.pad(a, ((1, 0), (0, 0))[: a.ndim]) for a in (one.weights[1], one.biases[1])]
    two = ec.MLP([one.weights[0], pairs[0]], [one.biases[0], pairs[1]], "tanh")
    np.savez("data.npz", x=D.x, y=D.labels % 2)
    dense = []
    for mlp in (one, two):
        mlp.save("network.npz")
        assert main(["compare", "network.npz", "--data", "data.npz", "--methods", "ec", "--json", "c.json"]) == 0
        dense.append(json.loads(Path("c.json").read_text())["dense"])
        assert scored()["metric"] == "fisher"
    assert dense[0]["loss"] == pytest.approx(dense[1]["loss"], rel=1e-12)
    assert dense[0]["loss"] > 0.1 and dense[0]["accuracy"] == pytest.approx(dense[1]["accuracy"])


def test_zeros_and_ones_of_a_csv_are_classes() -> None:
    make([4, 5, 1]).mlp.save("network.npz")
    for y, loss in ((D.labels % 2, "cross_entropy"), (D.labels, "mse")):
        np.savetxt("t.csv", np.column_stack([D.x, y]), delimiter=",")
        assert scored("--target", "last", data="t.csv")["loss"] == loss


def test_whole_numbers_are_values_in_any_file_of_columns_and_classes_by_the_name_y(refused: Callable[..., str]) -> None:
    """As ages are, of which a network has one output."""
    make([4, 5, 1]).mlp.save("network.npz")
    columns = np.column_stack([np.round(10 * D.x), 20 + D.labels]).astype(np.int64)
    np.savetxt("t.csv", columns, delimiter=",", fmt="%d")
    np.save("t.npy", columns)
    np.savez("data.npz", x=columns[:, :-1], y=columns[:, -1])
    said = f"data.npz: y: expected labels from 0 to 1, got {columns[0, -1]} at [0]; integers are classes, and targets"
    assert refused() == f"{said} that are values are to be floats"
    for file in ("t.csv", "t.npy"):
        assert scored("--target", "last", data=file)["loss"] == "mse"


def test_a_class_probability_is_judged_and_pruned_by_its_logit(capsys: pytest.CaptureFixture[str]) -> None:
    """And what is written ends in the sigmoid again."""
    mlp = make([4, 5, 1], output_activation="sigmoid").mlp
    logit = ec.MLP(mlp.weights, mlp.biases, "tanh")
    mlp.save("network.npz")
    logit.save("logit.npz")
    y = D.labels % 2
    np.savez("data.npz", x_train=D.x[:40], y_train=y[:40], x_test=D.x[40:], y_test=y[40:])
    records = []
    for name in ("network", "logit"):
        options = ["--data", "data.npz", "--sparsity", "0.5", "--steps", "2", "--out", f"p_{name}.npz"]
        aim = [] if name == "logit" else ["--aim", "network.npz"]
        assert main(["prune", f"{name}.npz", *options, *aim, "--json", "p.json"]) == 0
        records.append(json.loads(Path("p.json").read_text())["performances"]["pruned"])
    assert records[0] == records[1]
    text = capsys.readouterr().out
    assert "taken without its sigmoid at the end" in " ".join(text.split())
    ends = [ec.load(f"p_{name}.npz").mlp for name in ("network", "logit")]
    assert [end.output_activation for end in ends] == ["sigmoid", "identity"]
    assert (ends[0].weights[0] == ends[1].weights[0]).all()
    assert f"\n.npz file: {Path('p_network.npz').stat().st_size:,} bytes, " in text


# what is written


@pytest.mark.parametrize(
    ("option", "file", "message"),
    [
        ("--out", "nowhere/s.npz", "--out: nowhere/s.npz cannot be written: No such file or directory"),
        ("--out", "data.npz/s.npz", "--out: data.npz/s.npz cannot be written: Not a directory"),
        ("--json", "folder", "--json: expected a file, got folder, which is a folder"),
        ("--json", "/dev/null", "--json: expected a file, got /dev/null, which is a device"),
        ("--json", "data.npz", "--json: expected a file of its own, got data.npz, which is the input data.npz"),
        ("--json", "./network.npz", "--json: expected a file of its own, got network.npz, which is the input network"),
        ("--json", "s.npz", "--json: expected a file of its own, got s.npz, which is what --out writes"),
        ("--out", "s.txt", "--out: expected a file that ends in .npz, got s.txt"),
    ],
)
def test_a_file_that_cannot_be_written_is_named_before_the_work(
    option: str, file: str, message: str, refused: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ecprune_np.commands._score.read_inputs", lambda *_: pytest.fail("it has begun to work"))
    Path("folder").mkdir()
    others = ["--out", "s.npz"] if option == "--json" else []
    assert refused(*others, option, file).startswith(message)
    assert not Path("s.npz").exists()
