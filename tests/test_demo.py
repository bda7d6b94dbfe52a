"""The demo, as a user runs it, on small data."""

from __future__ import annotations

import io
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from networks import make

import ecprune_np as ec
from ecprune_np import demo
from ecprune_np.__main__ import main
from ecprune_np.data import Dataset


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def classification(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((150, 4))
    y = (x[:, 0] * x[:, 1] > 0).astype(int)
    np.savez(tmp_path / "data.npz", x_train=x[:100], y_train=y[:100], x_test=x[100:], y_test=y[100:])
    return tmp_path / "data.npz"


@pytest.fixture
def regression(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((150, 3))
    y = np.sin(x[:, 0])
    np.savez(tmp_path / "data.npz", x_train=x[:100], y_train=y[:100], x_test=x[100:], y_test=y[100:])
    return tmp_path / "data.npz"


def test_the_demo_trains_checks_prunes_and_saves(
    classification: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["demo", "--data", str(classification), "--hidden", "8,6", "--activation", "tanh", "--seed", "3"]
    arguments += ["--sparsities", "0.3,0.6", "--json", str(tmp_path / "r.json"), "--out", str(tmp_path / "p.npz")]
    assert main(arguments) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert max(len(line) for line in out.splitlines() if "wrote" not in line) <= 80
    record = json.loads((tmp_path / "r.json").read_text())
    assert record["network"] == "MLP(4-8-6-2, 'tanh', 'identity', float64)"
    assert {a["oracle"]: a["importance"] > 9 for a in record["agreement"]} == {
        "loops": True,
        "complex step": True,
        "finite differences": True,
    }
    assert {r["sparsity"] for r in record["rows"]} == {0.3, 0.6}
    methods = [r["method"] for r in record["rows"] if r["sparsity"] == 0.6]
    assert methods == [
        "EC one-shot",
        "EC Fisher one-shot",
        "EC iterative",
        "EC Fisher iterative",
        "magnitude",
        "gradient magnitude",
        "random",
    ]
    for row in record["rows"]:
        assert f"{row['loss_after']:.4f}" in out
    sparsity = float(re.search(r"pruned to sparsity (\S+) by EC iterative", out).group(1))
    saved = ec.MLP.load(tmp_path / "p.npz")
    assert sum(int((w == 0).sum()) for w in saved.weights) == round(sparsity * saved.n_weights)


def test_the_same_seed_gives_the_same_numbers(classification: Path, tmp_path: Path) -> None:
    files = [tmp_path / "a.json", tmp_path / "b.json"]
    for file in files:
        main(["demo", "--data", str(classification), "--hidden", "5", "--sparsities", "0.5", "--json", str(file)])
    assert files[0].read_text() == files[1].read_text()


def test_the_demo_prunes_the_users_own_regression(
    regression: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make([3, 5, 1], "gelu").mlp.save(tmp_path / "m.npz")
    arguments = ["demo", "--data", str(regression), "--model", str(tmp_path / "m.npz"), "--sparsities", "0.5"]
    assert main([*arguments, "--out", str(tmp_path / "p.npz")]) == 0
    out = capsys.readouterr().out
    assert "Fisher" not in out and " %" not in out
    assert "MLP(3-5-1, 'gelu', 'identity', float64)" in out


def store(file: Path, targets: Any) -> None:
    """Write normal samples, and what `targets` makes of their labels, x_0 x_1 > 0."""
    x = np.random.default_rng(0).standard_normal((150, 4))
    y = targets((x[:, 0] * x[:, 1] > 0).astype(int))
    np.savez(file, x_train=x[:100], y_train=y[:100], x_test=x[100:], y_test=y[100:])


def result(arguments: list[str], folder: Path) -> dict[str, Any]:
    """What the demo writes as JSON."""
    assert main(["demo", *arguments, "--sparsities", "0.5", "--json", str(folder / "r.json")]) == 0
    return json.loads((folder / "r.json").read_text())


def test_one_logit_is_a_classifier_like_its_two_logits(tmp_path: Path) -> None:
    """EC-2.7: the same loss and accuracy, and Fisher's metric beside the outputs'."""
    one = make([4, 6, 1], "tanh", seed=1).mlp
    two = ec.MLP(
        [one.weights[0], np.pad(one.weights[1], ((1, 0), (0, 0)))],
        [one.biases[0], np.pad(one.biases[1], (1, 0))],
        "tanh",
    )
    store(tmp_path / "data.npz", lambda labels: labels)
    records = []
    for mlp in (one, two):
        mlp.save(tmp_path / "m.npz")
        records.append(result(["--data", str(tmp_path / "data.npz"), "--model", str(tmp_path / "m.npz")], tmp_path))
    assert [r["loss"] for r in records] == ["cross_entropy", "cross_entropy"]
    assert "EC Fisher one-shot" in [row["method"] for row in records[0]["rows"]]
    dense = [r["dense"] for r in records]
    assert dense[0]["loss_after"] == pytest.approx(dense[1]["loss_after"], rel=1e-12)
    assert dense[0]["loss_after"] > 0.1 and dense[0]["accuracy_after"] == dense[1]["accuracy_after"]


@pytest.mark.parametrize(
    ("targets", "n_outputs", "loss"),
    [
        (lambda labels: labels, 2, "cross_entropy"),
        (lambda labels: 0 * labels, 2, "cross_entropy"),
        (lambda labels: labels[:, np.newaxis], 2, "cross_entropy"),
        (lambda labels: np.eye(3, dtype=int)[labels], 3, "cross_entropy"),
        (lambda labels: 3 * labels[:, np.newaxis], 1, "mse"),
        (lambda labels: 1.0 * labels, 1, "mse"),
        (lambda labels: np.stack([labels, labels], axis=1), 2, "mse"),
    ],
    ids=[
        "labels",
        "one label",
        "column",
        "one-hot",
        "column of integers",
        "values",
        "two columns that are not one-hot",
    ],
)
def test_integers_that_can_be_classes_are(targets: Any, n_outputs: int, loss: str, tmp_path: Path) -> None:
    store(tmp_path / "data.npz", targets)
    record = result(["--data", str(tmp_path / "data.npz"), "--hidden", "3"], tmp_path)
    assert (record["loss"], record["network"]) == (loss, f"MLP(4-3-{n_outputs}, 'relu', 'identity', float64)")


@pytest.mark.parametrize(
    ("mlp", "targets", "message"),
    [
        (make([4, 1], output_activation="sigmoid").mlp, lambda y: y, 'loss "cross_entropy": expected a network that'),
        (make([4, 1]).mlp, lambda y: 2 * y, "y: expected labels from 0 to 1, got 2 at "),
        (
            make([4, 1]).mlp,
            lambda y: np.where(np.arange(150) < 100, y, 2),
            "y: expected labels from 0 to 1, got 2 at [0]",
        ),
    ],
    ids=["sigmoid", "class 2", "class 2 of the test samples"],
)
def test_a_model_that_the_labels_do_not_fit_is_named(
    mlp: ec.MLP, targets: Any, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store(tmp_path / "data.npz", targets)
    mlp.save(tmp_path / "m.npz")
    assert main(["demo", "--data", str(tmp_path / "data.npz"), "--model", str(tmp_path / "m.npz")]) == 1
    out, err = capsys.readouterr()
    assert out == "" and err.startswith(f"python -m ecprune_np demo: {message}")


def test_digits_are_certified_where_a_wider_format_exists() -> None:
    assert demo.certified_digits(make([2, 2], dtype=np.longdouble).mlp, np.ones((1, 2))).startswith("no format here")
    weak = make([2, 3, 1], dtype=np.float32)
    offset = np.float32(1e5) + weak.x  # float32 keeps two digits of what varies here
    mlp = weak.mlp.replace([weak.mlp.weights[0] * np.float32(1e-5), weak.mlp.weights[1]], weak.mlp.biases)
    text = demo.certified_digits(mlp, offset)
    count = int(text.removeprefix("certified: ").split()[0])
    assert count < 9 and text.startswith(f"certified: {count} of 9 weights have 6 digits or more"), text


def test_the_demo_trains_a_regression(regression: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["demo", "--data", str(regression), "--hidden", "6", "--sparsities", "0.2"]) == 0
    assert "MLP(3-6-1, 'relu'" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--hidden", "8,x"], "--hidden: expected positive integers such as 64,32, got '8,x'"),
        (["--hidden", "0"], "--hidden: expected positive integers such as 64,32, got '0'"),
        (["--sparsities", "1.5"], "--sparsities: expected numbers from 0 to 1 such as 0.5,0.9, got '1.5'"),
        (["--seed", "-1"], "--seed: expected at least 0, got -1"),
        (["--model", "missing.npz"], "missing.npz: no such file"),
        (["--data", "missing.npz"], "missing.npz: no such file"),
        (["--model", "missing.npz", "--hidden", "8"], "--hidden: expected without --model, whose widths are given"),
    ],
)
def test_bad_arguments_are_named(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["demo", *arguments]) == 1
    assert capsys.readouterr().err == f"python -m ecprune_np demo: {message}\n"


def test_data_that_do_not_fit_the_network_are_named(
    regression: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make([4, 1]).mlp.save(tmp_path / "m.npz")
    assert main(["demo", "--data", str(regression), "--model", str(tmp_path / "m.npz")]) == 1
    assert "--data: expected x_train of shape (N, 4) for this network, got (100, 3)" in capsys.readouterr().err


def test_an_interruption_is_one_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def interrupted() -> Dataset:
        raise KeyboardInterrupt

    monkeypatch.setattr(demo, "load_digits", interrupted)
    assert main(["demo"]) == 130
    assert capsys.readouterr().err == "python -m ecprune_np demo: interrupted\n"


def test_a_disagreement_is_said_and_fails(
    classification: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A fast path with a mistake (the plain variance for the weighted one) does not pass the demo."""

    def wrong(mlp: ec.MLP, x: np.ndarray | ec.Moments, **options: Any) -> ec.Scores:
        right = ec.elimination_compensation(mlp, x, **options)
        return ec.Scores([1.0001 * i for i in right.importance], right.bias_shift)

    monkeypatch.setattr(demo, "elimination_compensation", wrong)
    assert main(["demo", "--data", str(classification), "--hidden", "4", "--sparsities", "0.5"]) == 1
    out, err = capsys.readouterr()
    assert out.count("DISAGREES") == 3
    assert "the scores do NOT agree with: loops, complex step, finite differences" in err


def test_progress_is_shown_on_a_terminal_only(monkeypatch: pytest.MonkeyPatch) -> None:
    for stream, shown in ((Terminal(), True), (io.StringIO(), False)):
        monkeypatch.setattr(sys, "stderr", stream)
        assert list(demo.progress("pruning", [1, 2])) == [1, 2]
        demo.epoch_progress(1)(1, 0.5)
        assert bool(stream.getvalue()) == shown
        if shown:
            assert "pruning 2/2" in stream.getvalue() and stream.getvalue().endswith("\r\033[K")


def test_best_to_save_is_the_sparsest_good_one() -> None:
    dense = demo.Row(0.0, "dense", 0.1, 0.95, 0.1, 0.95)
    rows = [demo.Row(s, "EC iterative", 1, 0, 0.1 + s, 0.95 - s / 50) for s in (0.2, 0.4, 0.9)]
    assert demo.best_to_save(dense, rows) == 0.4
    assert demo.best_to_save(dense, rows[2:]) == 0.9
    plain = [demo.Row(s, "EC iterative", 1, None, 0.1 + s, None) for s in (0.005, 0.4)]
    assert demo.best_to_save(demo.Row(0.0, "dense", 0.1, None, 0.1, None), plain) == 0.005
    assert demo.result_table(dense, plain).count("EC iterative") == 2


def test_a_pipe_that_closes_early_is_no_error() -> None:
    command = [sys.executable, "-m", "ecprune_np", "equations"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as run:
        run.stdout.close()
        assert run.stderr.read() == b""
    assert run.returncode == 141


def test_the_command_line_runs_as_a_module_and_without_scipy_at_import() -> None:
    code = "import ecprune_np, sys; print([m for m in sys.modules if m.split('.')[0] == 'scipy'])"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"
    run = subprocess.run([sys.executable, "-m", "ecprune_np", "--version"], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == ec.__version__
