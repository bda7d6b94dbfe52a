"""The demo, as a user runs it, on small data."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from networks import make

import ecprune_np as ec
from ecprune_np.__main__ import main
from ecprune_np.commands import _demo, _inputs
from ecprune_np.data import Dataset, load_digits

SMALL = ["--hidden", "5", "--sparsities", "0.5", "--methods", "magnitude", "ec"]


@pytest.fixture(autouse=True)
def _of_few_digits(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    data = load_digits()
    few = Dataset(data.x_train[:200], data.y_train[:200], data.x_test[:100], data.y_test[:100])
    for module in (_demo, _inputs):
        monkeypatch.setattr(module, "load_digits", lambda: few)
    monkeypatch.setattr(_demo, "EPOCHS", 2)


def test_the_demo_trains_checks_compares_and_saves(capsys: pytest.CaptureFixture[str]) -> None:
    """What it saves is the network that it has trained, and `compare` says the same of it."""
    files = ["--json", "d.json", "--csv", "d.csv", "--html", "d.html"]
    chosen = ["--sparsities", "0.3,0.6", "--methods", "magnitude", "ec-fisher-iterative", "--steps", "2"]
    assert (
        main(["demo", "--hidden", "8,6", "--activation", "tanh", "--seed", "3", *chosen, *files, "--out", "n.npz"]) == 0
    )
    out, err = capsys.readouterr()
    assert err == "" and max(map(len, out.splitlines())) <= 80
    record = json.loads(Path("d.json").read_text())
    assert record["network"] == "MLP(196-8-6-10, 'tanh', 'identity', float64)"
    assert {a["oracle"]: a["importance"] > 9 for a in record["agreement"]} == {
        "loops": True,
        "complex step": True,
        "finite differences": True,
    }
    assert "certified: 1676 of 1676 weights have" in out
    assert [(r["method"], r["sparsity"]) for r in record["rows"]] == [
        (name, s) for name in ("magnitude", "ec-fisher-iterative") for s in (0.3, 0.6)
    ]
    assert all(Path(file).exists() for file in ("d.csv", "d.html"))
    assert main(["compare", "n.npz", "--data", "digits", "--seed", "3", *chosen, "--json", "c.json"]) == 0
    compared = json.loads(Path("c.json").read_text())
    assert (compared["rows"], compared["dense"]) == (record["rows"], record["dense"])


def test_the_same_seed_gives_the_same_numbers() -> None:
    for file in ("a.json", "b.json"):
        assert main(["demo", *SMALL, "--json", file]) == 0
    assert Path("a.json").read_text() == Path("b.json").read_text()


def test_digits_are_certified_where_a_wider_format_exists() -> None:
    assert _demo.certified_digits(make([2, 2], dtype=np.longdouble).mlp, np.ones((1, 2))).startswith("no format here")
    weak = make([2, 3, 1], dtype=np.float32)
    offset = np.float32(1e5) + weak.x  # float32 keeps two digits of what varies here
    mlp = weak.mlp.replace([weak.mlp.weights[0] * np.float32(1e-5), weak.mlp.weights[1]], weak.mlp.biases)
    text = _demo.certified_digits(mlp, offset)
    count = int(text.removeprefix("certified: ").split()[0])
    assert count < 9 and text.startswith(f"certified: {count} of 9 weights have 6 digits or more"), text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--hidden", "8,x"], "--hidden: expected positive integers such as 64,32, got '8,x'"),
        (["--hidden", "0"], "--hidden: expected positive integers such as 64,32, got '0'"),
        (["--sparsities", "1.5"], "--sparsities: expected numbers from 0 to 1 such as 0.5 0.9, got '1.5'"),
        (["--seed", "-1"], "--seed: expected at least 0, got -1"),
        (["--activation", "swish"], "activation: expected one of identity, relu, leaky_relu, elu, sigmoid, tanh, "),
        (["--out", "n.safetensors"], "--out: expected a file that ends in .npz, got n.safetensors"),
        (["--json", "no/r.json"], "--json: no/r.json cannot be written: No such file or directory"),
    ],
)
def test_bad_arguments_are_named(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["demo", *arguments]) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.startswith(f"python -m ecprune_np demo: {message}") and err.count("\n") == 1


def test_an_interruption_is_one_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def interrupted() -> Dataset:
        raise KeyboardInterrupt

    monkeypatch.setattr(_demo, "load_digits", interrupted)
    assert main(["demo"]) == 130
    assert capsys.readouterr().err == "python -m ecprune_np demo: interrupted\n"


def test_a_disagreement_is_said_and_fails(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """A fast path with a mistake (the plain variance for the weighted one) does not pass the demo."""

    def wrong(mlp: ec.MLP, x: np.ndarray | ec.Moments, **options: Any) -> ec.Scores:
        right = ec.elimination_compensation(mlp, x, **options)
        return ec.Scores([1.0001 * i for i in right.importance], right.bias_shift)

    monkeypatch.setattr(_demo, "elimination_compensation", wrong)
    assert main(["demo", *SMALL]) == 1
    out, err = capsys.readouterr()
    assert out.count("DISAGREES") == 3
    assert "the scores do NOT agree with: loops, complex step, finite differences" in err


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
