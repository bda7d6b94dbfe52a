"""The published network's experiment: what a way may look at, what it is compared with, rows that come again."""

from __future__ import annotations

import importlib
import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ecprune_np as ec
from ecprune_np.data import Dataset

EXAMPLES = Path(__file__).parents[1] / "examples"
sys.path.insert(0, str(EXAMPLES))
command = importlib.import_module("command")
mlpnet = importlib.import_module("mlpnet")
mnist = importlib.import_module("mnist")
rows_in_files = importlib.import_module("rows")

Way = mlpnet.Way
TINY = replace(mlpnet.QUICK, n_samples=100, n_train=400, n_test=200, epochs=2, last_epochs=2, sparsities=(0.8,))
BESIDE = Path(__file__).parents[2] / "shared" / "data" / "mlpnet" / "mlpnet.npz"
CHECKPOINT = os.environ.get("ECPRUNE_MLPNET") or (str(BESIDE) if BESIDE.exists() else None)


@pytest.fixture(scope="module")
def network_and_data() -> tuple[ec.MLP, Dataset]:
    return mlpnet.load(None, None, TINY)


def parameters(pruned: ec.Pruned) -> list[Any]:
    return [*pruned.mlp.weights, *pruned.mlp.biases]


@pytest.mark.parametrize("way", mlpnet.WAYS, ids=lambda way: f"{way.method}, {way.group}")
def test_a_way_depends_on_labels_where_it_says_so_and_only_there(
    network_and_data: tuple[ec.MLP, Dataset], way: Any
) -> None:
    mlp, data = network_and_data
    other = replace(data, y_train=data.y_train[::-1].copy())
    one, two = (mlpnet.prune(mlp, d, way, 0.8, 0, TINY) for d in (data, other))
    assert one.sparsity == pytest.approx(0.8, abs=0.5 / mlp.n_weights)
    assert all(np.array_equal(a, b) for a, b in zip(parameters(one), parameters(two))) is not way.labels


@pytest.mark.parametrize("labels", [False, True])
def test_training_goes_on_after_every_bite_and_keeps_what_is_gone(
    network_and_data: tuple[ec.MLP, Dataset], labels: bool
) -> None:
    mlp, data = network_and_data
    way = Way("ec-fisher-iterative+none", labels, training=True)
    options = {"n_samples": len(data.x_train)}
    not_at_all, trained = (
        mlpnet.prune(mlp, data, way, 0.8, 0, replace(TINY, **options, epochs=n, last_epochs=n)) for n in (0, 20)
    )
    y = data.y_train if labels else mlp(data.x_train).argmax(axis=1)
    before, after = (ec.mean_loss(p.mlp, data.x_train, y, "cross_entropy") for p in (not_at_all, trained))
    assert after < before, f"{before} → {after}"
    assert all((w[~mask] == 0).all() for w, mask in zip(trained.mlp.weights, trained.masks))


def test_seeds_draw_the_samples(network_and_data: tuple[ec.MLP, Dataset]) -> None:
    mlp, data = network_and_data
    first, again, other = (mlpnet.prune(mlp, data, Way("ec"), 0.8, seed, TINY) for seed in (0, 0, 1))
    assert all(np.array_equal(a, b) for a, b in zip(parameters(first), parameters(again)))
    assert any((a != b).any() for a, b in zip(parameters(first), parameters(other)))


def test_every_ranking_with_every_compensation_is_another_way() -> None:
    ways = [mlpnet.crossed(r, c) for r in mlpnet.RANKINGS for c in mlpnet.COMPENSATIONS]
    assert len(set(ways)) == len(mlpnet.RANKINGS) * len(mlpnet.COMPENSATIONS)
    assert mlpnet.crossed("ec-fisher", "shift") == Way("ec-fisher-iterative")
    assert mlpnet.crossed("wanda", "row") == Way("wanda-fisher-iterative+row")
    keys = mlpnet.wanted_keys(mlpnet.FULL, mlpnet.SEEDS)
    assert len(set(keys)) == len(keys)


def test_script_runs_and_continues_and_draws(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("matplotlib", reason="figures need the extra `examples`")
    pytest.importorskip("tqdm", reason="progress bars need the extra `examples`")
    monkeypatch.setattr(mlpnet, "QUICK", replace(TINY, crossed_at=()))
    monkeypatch.setattr(command, "run_all", lambda work, tasks, *_: [work(*task) for task in tasks])
    options = ["--quick", "--out", str(tmp_path)]
    assert mlpnet.main(options) == 0
    first = capsys.readouterr().out
    assert all(f"### {group.capitalize()}" in first for group in mlpnet.GROUPS)
    assert "as reported" not in first, "published values stand beside another network"
    rows = (tmp_path / "quick" / "mlpnet.csv").read_text()
    assert len(rows.splitlines()) == 1 + len(mlpnet.WAYS)
    assert {file.name for file in (tmp_path / "quick").iterdir()} == {
        f"mlpnet.{kind}" for kind in ("csv", "json", "md", "png", "svg")
    }
    assert mlpnet.main(options) == 0
    assert (tmp_path / "quick" / "mlpnet.csv").read_text() == rows
    assert capsys.readouterr().out == first


def test_without_the_network_one_line_says_where_it_is_looked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("tqdm", reason="progress bars need the extra `examples`")
    monkeypatch.delenv("ECPRUNE_MLPNET", raising=False)
    options = ["--out", str(tmp_path), "--no-figures"]
    assert mlpnet.main(options) == 1
    assert capsys.readouterr().err.startswith("mlpnet: --checkpoint (or ECPRUNE_MLPNET): expected a file")
    ec.MLP.initialize([4, 3], seed=0).save(tmp_path / "other.npz")
    assert mlpnet.main([*options, "--checkpoint", str(tmp_path / "other.npz")]) == 1
    assert "expected a network 784-40-20-10, got 4-3" in capsys.readouterr().err
    assert not (tmp_path / "mlpnet.csv").exists()


def test_tables_hold_medians_and_the_best_in_bold() -> None:
    rows = [
        mlpnet.Row(method, "no", "no", 0.9, seed, accuracy + seed / 100, 1.0)
        for method, accuracy in (("magnitude", 0.8), ("ec", 0.9))
        for seed in (0, 1, 2)
    ]
    text = mlpnet.report(rows, replace(TINY, sparsities=(0.9,)), ["NumPy"])
    assert "| magnitude | 81.00 | 1.0 |" in text and "| ec | **91.00** | 1.0 |" in text


def test_what_one_shot_pruning_changes_and_what_it_counts(network_and_data: tuple[ec.MLP, Dataset]) -> None:
    script = importlib.import_module("one_shot_ec_keeps_outputs_not_classes")
    mlp, data = network_and_data
    table = [line for line in script.lines(mlp, data, 300)]
    assert [line[:2] for line in table] == [[f"{s:g}", m] for s in script.SPARSITIES for m in script.METHODS]
    x = data.x_train[np.random.default_rng(0).permutation(len(data.x_train))[:300]]
    pruned = ec.prune(mlp, ec.elimination_compensation(mlp, x), 0.9)
    after = pruned.summary(mlp, ec.Batch(data.x_test, y=data.y_test)).after
    line = dict(((s, m), rest) for s, m, *rest in table)["0.9", "ec"]
    expected = [100 * after.accuracy, 100 * after.change]
    assert [float(number) for number in line[:2]] == pytest.approx(expected, abs=0.051)


def test_the_script_about_one_shot_pruning_says_what_it_lacks(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    script = importlib.import_module("one_shot_ec_keeps_outputs_not_classes")
    monkeypatch.setattr(mnist, "check_mnist", lambda _: None)
    monkeypatch.delenv("ECPRUNE_MLPNET", raising=False)
    assert script.main([]) == 1
    assert "--checkpoint (or ECPRUNE_MLPNET): expected a file" in capsys.readouterr().err


# what the committed rows say

ROWS = rows_in_files.Results(rows_in_files.RESULTS / "mlpnet.csv", mlpnet.Row).rows()
MEDIANS = mlpnet.medians(ROWS)
README = (EXAMPLES / "README.md").read_text(encoding="utf-8")


def test_all_rows_are_there() -> None:
    assert {row.key for row in ROWS} == set(mlpnet.wanted_keys(mlpnet.FULL, mlpnet.SEEDS))


def test_magnitude_is_what_the_papers_report() -> None:
    reported = mlpnet.published("no labels, no training")["magnitude, as reported"]
    errors = {s: MEDIANS[Way("magnitude"), s] - value for s, value in reported.items()}
    assert max(map(abs, errors.values())) < 0.021, errors


def test_the_sentence_of_the_figure_is_true() -> None:
    reported = {**mlpnet.published("labels, no training"), **mlpnet.published("no labels, no training")}
    for s in (0.8, 0.9, 0.95, 0.98):
        rivals = {name: values[s] for name, values in reported.items()}
        assert MEDIANS[Way("ec-fisher-iterative+row"), s] > max(rivals.values()), (s, rivals)


def test_readme_shows_the_medians_and_what_is_reported() -> None:
    table = README[README.index("| test accuracy, per cent |") :].split("\n\n")[0].splitlines()
    sparsities = [float(s) for s in table[0].split("|")[3:-1]]
    assert len(table) == 11
    for line in table[2:]:
        group, name, *cells = line.strip("| ").split(" | ")
        for sparsity, cell in zip(sparsities, cells, strict=True):
            way = Way(name.strip("`"), not group.startswith("no labels"), not group.endswith("no training"))
            value = mlpnet.published(group)[name][sparsity] if "reported" in name else MEDIANS[way, sparsity]
            assert cell == f"{value:.2f}", (line, sparsity)


def test_readme_shows_every_ranking_with_every_compensation() -> None:
    table = README[README.index("| at 0.98 | magnitude") :].split("\n\n")[0].splitlines()
    assert table[0] == f"| at 0.98 | {' | '.join(mlpnet.RANKINGS)} |"
    for line, compensation in zip(table[2:], mlpnet.COMPENSATIONS, strict=True):
        values = [MEDIANS[mlpnet.crossed(ranking, compensation), 0.98] for ranking in mlpnet.RANKINGS]
        assert line == f"| {compensation} | {' | '.join(f'{value:.1f}' for value in values)} |"


def test_readme_says_what_rows_keep_whatever_ranks() -> None:
    text = " ".join(README.split())
    for sparsity, said in (
        (0.9, "At 0.9 every ranking with rows is between {} and {} %"),
        (0.95, "at 0.95 between {} and {} %"),
    ):
        kept = {ranking: MEDIANS[mlpnet.crossed(ranking, "row"), sparsity] for ranking in mlpnet.RANKINGS}
        *_, second, best = sorted(kept.values())
        assert said.format(f"{min(kept.values()):.1f}", f"{best:.1f}") in text, kept
        assert kept["wanda"] == best < second + 0.1, kept


@pytest.mark.skipif(CHECKPOINT is None, reason="the published network is not here (ECPRUNE_MLPNET)")
@pytest.mark.skipif(mnist.mnist_folder(None) is None, reason="MNIST is not here (ECPRUNE_MNIST)")
def test_committed_rows_are_made_again(tmp_path: Path) -> None:
    """To a few images: another processor rounds otherwise."""
    file = tmp_path / "again.csv"
    committed = {row.key: row.test_accuracy for row in ROWS}
    for key in (("magnitude", "no", "no", 0.9, 0), ("ec-fisher-iterative", "no", "no", 0.95, 1)):
        mlpnet.work(key, mlpnet.FULL, file, CHECKPOINT, mnist.mnist_folder(None))
    for row in rows_in_files.Results(file, mlpnet.Row).rows():
        assert row.test_accuracy == pytest.approx(committed[row.key], abs=2e-3), row
