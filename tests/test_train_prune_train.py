"""Training, pruning, training: as many epochs in all, networks as small as said, and what the tables count."""

from __future__ import annotations

import importlib
import statistics
import sys
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import ecprune_np as ec
from ecprune_np.data import Dataset

sys.path.insert(0, str(Path(__file__).parents[1] / "examples"))
command = importlib.import_module("command")
experiment = importlib.import_module("experiment")
mnist = importlib.import_module("mnist")
rows_in_files = importlib.import_module("rows")
tables = importlib.import_module("tables")
tpt = importlib.import_module("train_prune_train")

Case, Row = rows_in_files.Case, rows_in_files.Row
TINY = replace(
    tpt.QUICK_MNIST, n_train=300, n_test=200, epochs=3, fine_tune_epochs=4, n_scored=100, steps=2, sparsities=(0.8,)
)
CASE = Case("196-8-6-10", "relu", 3)


@pytest.fixture(scope="module")
def digits() -> Dataset:
    return mnist.load(None, TINY)


def n_parameters(architecture: str) -> int:
    widths = [int(n) for n in architecture.split("-")]
    return sum((a + 1) * b for a, b in pairwise(widths))


@given(st.lists(st.integers(1, 60), min_size=1, max_size=3), st.floats(0, 0.99))
def test_no_network_of_the_same_proportions_has_a_nearer_number_of_parameters(
    hidden: list[int], sparsity: float
) -> None:
    sizes = [20, *hidden, 5]
    case = Case("-".join(map(str, sizes)), "relu", 0)
    small = experiment.as_small_as(case, sparsity)
    n_biases = sum(sizes[1:])
    left = (1 - sparsity) * (n_parameters(case.architecture) - n_biases) + n_biases
    miss = abs(n_parameters(small.architecture) - left)
    assert small.sizes[0] == 20 and small.sizes[-1] == 5 and min(small.sizes) >= 1
    for factor in np.linspace(0.001, 1, 53):
        other = "-".join(map(str, [20, *(max(1, round(factor * n)) for n in hidden), 5]))
        assert miss <= abs(n_parameters(other) - left), (small.architecture, other)


def test_of_nothing_removed_the_small_network_is_the_dense_one() -> None:
    assert experiment.as_small_as(CASE, 0.0) == CASE


@pytest.mark.parametrize("way", [*tpt.WHOLE, *tpt.METHODS])
def test_every_way_sees_as_many_epochs_in_all(digits: Dataset, monkeypatch: pytest.MonkeyPatch, way: str) -> None:
    epochs, seen = [], ec.train

    def counted(*arguments: Any, **options: Any) -> Any:
        epochs.append(options["epochs"])
        return seen(*arguments, **options)

    half = experiment.train(CASE, digits, TINY)
    monkeypatch.setattr(ec, "train", counted)
    mlp = tpt.trained(way, half, CASE, digits, TINY, 0.8)
    started_anew = way in ("dense", "small-dense")
    assert sum(epochs) == (7 if started_anew else 4), epochs
    removed = sum(int((w == 0).sum()) for w in mlp.weights)
    assert removed == (0 if way in (*tpt.WHOLE, "small-dense") else round(0.8 * mlp.n_weights))


@pytest.mark.parametrize("way", tpt.GRADUAL)
def test_gradual_pruning_trains_after_every_bite(digits: Dataset, monkeypatch: pytest.MonkeyPatch, way: str) -> None:
    removed, train = [], experiment.fine_tune

    def counted(pruned: ec.Pruned, case: Any, data: Dataset, settings: Any) -> ec.MLP:
        removed.append((round(pruned.sparsity, 3), settings.fine_tune_epochs, settings.fine_tune_learning_rate))
        return train(pruned, case, data, settings)

    half = experiment.train(CASE, digits, TINY)
    monkeypatch.setattr(experiment, "fine_tune", counted)
    tpt.trained(way, half, CASE, digits, TINY, 0.8)
    rate = TINY.fine_tune_learning_rate
    expected = [(0.7, 1, rate), (0.8, 3, rate * (1 + np.cos(np.pi / 4)) / 2)]
    np.testing.assert_allclose(removed, expected, atol=2e-3)


def test_cells_hold_median_range_and_how_many_beat_their_own_dense_network() -> None:
    rows = [Row("2-3-1", "tanh", s, 0.0, "dense", 0.0, tpt.STAGE, float(1 + s), None) for s in range(3)]
    rows += [
        Row("2-3-1", "tanh", s, 0.0, "magnitude", 0.8, tpt.STAGE, loss, None) for s, loss in enumerate((2, 1.5, 1))
    ]
    text = tpt.report(rows, replace(TINY, methods=("magnitude", "ec-gradual")))
    assert "- dense: 2.000 (1.000 to 3.000)" in text
    assert "| magnitude | 1.500 (1.000 to 2.000), 2 of 3 |" in text
    assert "| ec-gradual |  |" in text


def test_script_runs_and_continues_and_draws(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("matplotlib", reason="figures need the extra `examples`")
    pytest.importorskip("tqdm", reason="progress bars need the extra `examples`")
    equation = replace(
        tpt.QUICK_EQUATION, n_train=200, n_test=100, epochs=2, fine_tune_epochs=2, steps=1, sparsities=(0.5,)
    )
    monkeypatch.setattr(tpt, "QUICK_EQUATION", equation)
    monkeypatch.setattr(tpt, "QUICK_MNIST", TINY)
    monkeypatch.setattr(mnist, "mnist_folder", lambda _: None)
    monkeypatch.setattr(mnist, "cases", lambda *_: [CASE])
    monkeypatch.setattr(command, "run_all", lambda work, tasks, *_: [work(*task) for task in tasks])
    options = ["--quick", "--out", str(tmp_path)]
    assert tpt.main(options) == 0
    first = capsys.readouterr().out
    assert "### 2-12-12-1, tanh: test loss, seeds 0" in first and "### 196-8-6-10, relu: test loss, seeds 3" in first
    files = {
        f"train_prune_train_{n}.{kind}" for n in ("equation", "mnist") for kind in ("csv", "json", "md", "png", "svg")
    }
    assert {file.name for file in (tmp_path / "quick").iterdir()} == files
    assert tpt.main([*options, "--report"]) == 0
    assert capsys.readouterr().out == first


def test_readme_shows_the_medians() -> None:
    text = (Path(tpt.__file__).parent / "README.md").read_text(encoding="utf-8")
    head, _, *lines = text[text.index("| test loss, median | dense |") :].split("\n\n")[0].splitlines()
    sparsities = [float(cell) for cell in head.strip("| ").split(" | ")[2:]]
    assert len(lines) == 15
    for line in lines:
        name, *cells = line.strip("| ").split(" | ")
        which, way = name.split(", ")
        file, net, activation, noise = {
            "relu": ("mnist", "784-300-100-10", "relu", 0.0),
            "tanh": ("mnist", "784-300-100-10", "tanh", 0.0),
            "equation": ("equation", "2-20-20-20-20-1", "tanh", 0.005),
        }[which]
        rows = rows_in_files.existing_rows(rows_in_files.RESULTS / f"train_prune_train_{file}.csv")
        loss = tables.median_over_seeds(rows)
        assert {row.seed for row in rows if row.activation == activation} == set(tpt.SEEDS)
        for (method, sparsity), cell in zip([("dense", 0.0), *((way, s) for s in sparsities)], cells, strict=True):
            median = loss[(net, activation, noise, method, sparsity, tpt.STAGE)]
            assert cell == tables.short(median), (line, sparsity, median)


def test_readme_shows_the_errors_beside_published_ones() -> None:
    text = " ".join((Path(tpt.__file__).parent / "README.md").read_text(encoding="utf-8").split())
    rows = rows_in_files.existing_rows(rows_in_files.RESULTS / "train_prune_train_mnist.csv")

    def error(method: str, sparsity: float) -> str:
        of = [row for row in rows if (row.activation, row.method, row.sparsity) == ("relu", method, sparsity)]
        assert len(of) == len(tpt.SEEDS)
        return f"{100 * (1 - statistics.median(row.test_accuracy for row in of)):.2f} %"

    ours = [error("ec-iterative+row", s) for s in (0.9, 0.95, 0.98)]
    assert f"Here the dense network is at {error('dense', 0.0)}, and" in text
    assert "leave {} with 10 times fewer, {} with 20 and {} with 50".format(*ours) in text
