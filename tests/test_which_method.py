"""What to use when: the page is what the rows say, and says where the defaults of `prune` are not the best."""

from __future__ import annotations

import importlib
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from ecprune_np.commands._prune import TRAINED, USUAL

EXAMPLES = Path(__file__).parents[1] / "examples"
sys.path.insert(0, str(EXAMPLES))
which = importlib.import_module("which_method")
rows_in_files = importlib.import_module("rows")
mlpnet = importlib.import_module("mlpnet")

LOSSES = {  # by sparsity and method: of seeds 0, 1, 2
    (0.8, "ec"): (1.0, 2.0, 3.0),
    (0.8, "ec-unshifted"): (2.0, 2.0, 2.0),
    (0.8, "ec-iterative"): (1.0, 1.0, 1.0),
    (0.8, "ec-iterative+row"): (1.04, 1.04, 9.0),
    (0.9, "ec"): (4.0, 4.0, 4.0),
    (0.9, "magnitude"): (5.0, 5.0, 5.0),
    (0.9, "ec-iterative"): (2.0, 2.0, 2.0),
    (0.9, "ec-iterative+row"): (1.0, 3.0, 3.0),
}


@pytest.fixture
def found(tmp_path: Path) -> dict:
    for name in which.FILES:
        results = rows_in_files.Results(tmp_path / f"{name}.csv")
        results.append([rows_in_files.Row("4-3-2", "relu", 0, 0.0, "dense", 0.0, "pruned", 1.0, None)])
        if name == "mnist":
            for (sparsity, method), losses in LOSSES.items():
                results.append(
                    rows_in_files.Row("4-3-2", "relu", seed, 0.0, method, sparsity, "pruned", loss, None)
                    for seed, loss in enumerate(losses)
                )
    return which.losses(tmp_path)


def test_the_best_and_what_is_as_good_go_by_medians(found: dict) -> None:
    at = {s.sparsity: which.best(which.medians(of)) for s, of in found.items()}
    assert at == {0.8: ["ec-iterative", "ec-iterative+row"], 0.9: ["ec-iterative"]}
    assert which.share(found, "ec-iterative+row", "pruned") == (0, 1, 2)
    assert which.share(found, "ec-iterative+row", "fine-tuned") == (0, 0, 0)
    assert which.winners(found, "pruned", ("ec", "ec-unshifted", "ec-iterative")) == "`ec-iterative` in 1 of 1"


def test_a_step_is_worth_what_it_is_on_the_same_network_and_seed(found: dict) -> None:
    assert which.ratios(found, "ec", "ec-unshifted", "pruned", [0.8]) == [0.5, 1.0, 1.5]
    assert which.ratios(found, "ec", "ec-unshifted", "pruned", [0.9]) == []
    assert "| relu |  | 1.00 (0.50 to 1.50) |  |  |  |  |" in which.steps_table(found, "pruned")


def test_small_dense_networks_are_compared_with_what_prune_does_and_ranked_nowhere(found: dict) -> None:
    (at, of) = next((s, of) for s, of in found.items() if s.sparsity == 0.9)
    small = found | {at: of | {which.SMALL: {0: 2.0, 1: 2.0, 2: 6.0}, "ec-gradual": {0: 0.1, 1: 0.1, 2: 0.1}}}
    assert "| MNIST, 4-3-2, relu | `ec-iterative+row` |  |  | 0.50 |  |  |  |" in which.small_table(small)
    without = {at: {which.NEXT: {0: 1.0}, which.SMALL: {0: 4.0}}}
    assert f"| MNIST, 4-3-2, relu | `{which.NEXT}` |  |  | 0.25 |" in which.small_table(without)
    assert which.of_pruning_alone(small) == found


def test_rows_of_another_file_are_compared_with_small_dense_networks_too(found: dict) -> None:
    at = next(s for s in found if s.sparsity == 0.9)
    here = {
        replace(at, file="mnist"): {which.NEXT: {0: 1.0}, which.SMALL: {0: 4.0, 1: 4.0}},
        replace(at, file="compensations_mnist"): {which.USUAL: {0: 2.0, 1: 2.0, 2: 9.0}},
    }
    lines = which.small_table(here).splitlines()[2:]
    assert [line.rstrip(" |") for line in lines] == [
        "| MNIST, 4-3-2, relu | `ec-iterative+row` |  |  | 0.50",
        "| MNIST, 4-3-2, relu | `ec-fisher-iterative` |  |  | 0.25",
    ]


def test_where_the_default_is_not_the_best_is_said(found: dict) -> None:
    text = which.defaults(found)
    assert "MNIST, 4-3-2, relu, 0.9, pruned: `ec-iterative` is lower, 2 where it has 3" in text
    assert "0.8" not in text.split("\n\n")[1]


def test_training_is_told_of_the_way_that_prune_takes() -> None:
    way = mlpnet.Way(TRAINED[True], True, True)
    accuracy = {(way, s): 90 + s for s in mlpnet.FULL.crossed_at}
    _, first, second = which.published_answers(accuracy)
    assert f"`{TRAINED[True]}`" in first and "90.9 / 91.0 / 91.0 %" in first and f"`{TRAINED[False]}`" in first
    assert "- / - / -" in second


def test_the_page_is_what_the_rows_say_and_names_the_default(capsys: pytest.CaptureFixture[str]) -> None:
    assert which.main(["--check"]) == 0, "run: python examples/which_method.py"
    assert "in step" in capsys.readouterr().out
    text = (EXAMPLES / "which_method.md").read_text(encoding="utf-8")
    assert f"No training afterwards: `{USUAL}`" in text
    _, as_good, of = which.share(which.of_pruning_alone(which.losses()), USUAL, "pruned")
    assert as_good > 0.9 * of, "the default of prune is not what the rows support"


def test_a_page_that_is_not_in_step_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(which, "PAGE", tmp_path / "page.md")
    assert which.main([]) == 0
    assert which.PAGE.read_text(encoding="utf-8") == (EXAMPLES / "which_method.md").read_text(encoding="utf-8")
    monkeypatch.setattr(which, "PAGE", tmp_path / "other.md")
    assert which.main(["--check"]) == 1  # there is none
    which.PAGE.write_text("other")
    capsys.readouterr()
    assert which.main(["--check"]) == 1
    assert "other.md: not what the rows say" in capsys.readouterr().out
