"""The experiments: the equation's solver, rows that survive interruption, and clear messages."""

from __future__ import annotations

import importlib
import json
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from dataclasses import fields, replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ecprune_np as ec
from ecprune_np.data import MD5, Dataset, load_digits

EXAMPLES = Path(__file__).parents[1] / "examples"
sys.path.insert(0, str(EXAMPLES))
command = importlib.import_module("command")
experiment = importlib.import_module("experiment")
figures = importlib.import_module("figures")
tables = importlib.import_module("tables")
rows_in_files = importlib.import_module("rows")
mnist = importlib.import_module("mnist")
pde = importlib.import_module("diffusion_sorption")
compensations = importlib.import_module("compensations")

Case, Results, Row, STAGES = rows_in_files.Case, rows_in_files.Results, rows_in_files.Row, rows_in_files.STAGES

CASE = Case("196-8-10", "relu", 3)
TINY = replace(
    mnist.QUICK,
    n_train=300,
    n_test=200,
    epochs=2,
    n_scored=100,
    steps=2,
    methods=("magnitude", "ec", "ec-fisher-iterative"),
    sparsities=(0.5, 0.9),
)
HEADER = "architecture,activation,seed,noise,method,sparsity,stage,test_loss,test_accuracy"
ROW = Row("2-3-1", "tanh", 0, 0.005, "ec", 0.5, "pruned", 1.25e-3, None)


@pytest.fixture(scope="module")
def digits() -> Dataset:
    return mnist.load(None, TINY)


# the diffusion-sorption equation


@pytest.mark.parametrize(
    ("x", "times", "expected", "tolerance"),
    [
        (0.1, [5, 100, 250, 500], [0.1332, 0.6129, 0.7473, 0.8179], 5e-5),
        (0.5, [100, 250, 500], [0.12919, 0.17108, 0.26517], 5e-6),
    ],
)
def test_solution_has_the_reference_values(
    x: float, times: list[float], expected: list[float], tolerance: float
) -> None:
    from scipy.interpolate import CubicSpline

    u = CubicSpline(pde.centres(1024), pde.solve(1024, np.array(times, float)))(x)
    np.testing.assert_allclose(u, expected, rtol=0, atol=1.1 * tolerance)


def test_solution_converges_with_second_order_under_refinement() -> None:
    from scipy.interpolate import CubicSpline

    x, times = np.linspace(0.05, 0.95, 19), np.array([100.0, 250.0, 500.0])
    at = {n: CubicSpline(pde.centres(n), pde.solve(n, times))(x) for n in (32, 64, 128, 1024)}
    errors = [np.abs(at[n] - at[1024]).max() for n in (32, 64, 128)]
    rates = np.log2(np.array(errors[:-1]) / errors[1:])
    assert (np.abs(rates - 2) < 0.2).all(), f"errors {errors}, rates {rates}"


def test_solution_conserves_what_flows_in_and_out() -> None:
    """d/dt ∫ G(u) dx = D (u_x(1) − u_x(0)) with G' = R, so ∫ G changes by what the ends let through."""
    import scipy.integrate

    times = np.linspace(1, 500, 2000)
    n = 256
    u = pde.solve(n, times)
    factor = (1 - pde.POROSITY) / pde.POROSITY * pde.DENSITY * pde.K_FREUNDLICH
    stored = (u + factor * (u + 1e-6) ** pde.N_FREUNDLICH).mean(axis=0)
    inflow = 2 * n * pde.DIFFUSION * (1 - u[0])
    outflow = pde.DIFFUSION * u[-1] / (0.5 / n + pde.DIFFUSION)
    net = scipy.integrate.trapezoid(inflow - outflow, times)
    assert stored[-1] - stored[0] == pytest.approx(net, rel=1e-3)


def test_ends_of_the_solution_follow_the_boundary_conditions() -> None:
    n = 512
    u = pde.solve(n, np.array([500.0]))[:, 0]
    left = (15 * u[0] - 10 * u[1] + 3 * u[2]) / 8  # the parabola through three centres, at the end
    right = (15 * u[-1] - 10 * u[-2] + 3 * u[-3]) / 8
    slope = (2 * u[-1] - 3 * u[-2] + u[-3]) * n
    assert left == pytest.approx(1, abs=1e-4)
    assert right == pytest.approx(-pde.DIFFUSION * slope, abs=1e-6)


def test_noise_is_in_the_training_values_only_and_within_its_bounds() -> None:
    settings = replace(pde.QUICK, n_train=500, n_test=400)
    clean, noisy = (pde.load(Case("2-3-1", "tanh", 0, d), settings, n_cells=64) for d in (0.0, 0.1))
    noise = noisy.y_train - clean.y_train
    assert 0.09 < np.abs(noise).max() <= 0.1
    assert abs(noise.mean()) < 0.02
    np.testing.assert_array_equal(noisy.y_test, clean.y_test)
    np.testing.assert_array_equal(noisy.x_train, clean.x_train)
    assert noisy.x_train.shape == (500, 2) and noisy.y_test.shape == (400, 1)
    assert np.abs(noisy.x_train).max() <= 1


def test_an_integrator_that_gives_up_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    import scipy.integrate

    class Failed:
        success, message = False, "step size became too small"

    monkeypatch.setattr(scipy.integrate, "solve_ivp", lambda *_, **__: Failed)
    with pytest.raises(ValueError, match="stopped: step size became too small"):
        pde.solve(8, np.array([1.0]))


# rows


def test_rows_come_back_as_they_were_written(tmp_path: Path) -> None:
    results = Results(tmp_path / "rows.csv")
    other = replace(ROW, stage="fine-tuned", test_loss=1 / 3, test_accuracy=0.9876)
    results.append([ROW, other])
    assert Results(tmp_path / "rows.csv").rows() == [ROW, replace(other, test_loss=0.333333)]
    assert results.file.read_text().splitlines()[0] == HEADER


@pytest.mark.parametrize("cut", range(1, 100, 3))
def test_half_written_line_is_dropped_and_the_rest_kept(tmp_path: Path, cut: int) -> None:
    file = tmp_path / "rows.csv"
    Results(file).append([ROW, replace(ROW, seed=1)])
    whole = file.read_bytes()
    file.write_bytes(whole[:-cut])
    kept = 1 if cut <= len(whole.splitlines()[-1]) + 1 else 0
    assert len(Results(file).rows()) == kept
    Results(file).append([replace(ROW, seed=2)])
    assert [row.seed for row in Results(file).rows()] == [0, 2][-1 - kept :]


def test_half_written_header_is_written_anew(tmp_path: Path) -> None:
    file = tmp_path / "rows.csv"
    file.write_text("architecture,acti")
    assert Results(file).rows() == []
    Results(file).append([ROW])
    assert Results(file).rows() == [ROW]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,b\n1,2\n", "expected the columns architecture,.*got a,b"),
        (HEADER + "\n2-3-1,tanh,0,x,ec,0.5,pruned,1,\n", "line 2: expected .*'x'"),
        (HEADER + "\n2-3-1,tanh\n", "line 2: expected .*got 2 of 9 values"),
    ],
)
def test_file_of_something_else_is_named_and_left_alone(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "rows.csv"
    file.write_text(text)
    with pytest.raises(ValueError, match=f"rows.csv.*{message}"):
        Results(file)
    assert file.read_text() == text


def test_half_line_that_a_killed_process_left_is_not_continued(tmp_path: Path) -> None:
    results = Results(tmp_path / "rows.csv")
    with open(results.file, "a") as stream:
        stream.write("2-3-1,tanh,7,0.0")  # another process died here, after this one had started
    results.append([ROW])
    assert results.rows() == [ROW]


def test_row_that_is_there_is_not_written_again(tmp_path: Path) -> None:
    first, second = Results(tmp_path / "rows.csv"), Results(tmp_path / "rows.csv")
    first.append([ROW])
    second.append([replace(ROW, test_loss=7.0), replace(ROW, seed=1)])
    assert first.rows() == second.rows() == [ROW, replace(ROW, seed=1)]


def test_processes_append_whole_rows_side_by_side(tmp_path: Path) -> None:
    file = tmp_path / "rows.csv"
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); from rows import *; r = Results(Path(sys.argv[2]))\n"
        "for k in range(60): r.append([Row('2-3-1', 'tanh', k, 0.0, sys.argv[3], 0.5, s, 1.0, None) for s in STAGES])"
    )
    command = [sys.executable, "-c", code, str(EXAMPLES), str(file)]
    running = [subprocess.Popen([*command, method], env=environment()) for method in ("ec", "obd", "wanda")]
    assert [process.wait() for process in running] == [0, 0, 0]
    rows = Results(file).rows()
    assert len({row.key for row in rows}) == len(rows) == 360
    assert all(a.key[:6] == b.key[:6] for a, b in zip(rows[::2], rows[1::2])), "a piece was torn"


# runs


def test_same_seed_gives_the_same_rows(tmp_path: Path, digits: Dataset) -> None:
    texts = []
    for name in ("first.csv", "second.csv"):
        experiment.run_case(CASE, digits, TINY, Results(tmp_path / name))
        texts.append((tmp_path / name).read_text())
    assert texts[0] == texts[1]
    assert len(texts[0].splitlines()) == 1 + len(experiment.keys(CASE, TINY)) == 1 + 2 * (1 + 3 * 2)
    experiment.run_case(replace(CASE, seed=4), digits, TINY, Results(tmp_path / "third.csv"))
    assert (tmp_path / "third.csv").read_text() != texts[0]


def test_interrupted_run_continues_to_the_same_rows(
    tmp_path: Path, digits: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, broken = Results(tmp_path / "whole.csv"), Results(tmp_path / "broken.csv")
    experiment.run_case(CASE, digits, TINY, whole)
    fine_tune, calls = experiment.fine_tune, 0

    def interrupted(*arguments: Any) -> ec.Pruned:
        nonlocal calls
        calls += 1
        if calls == 4:
            raise KeyboardInterrupt
        return fine_tune(*arguments)

    monkeypatch.setattr(experiment, "fine_tune", interrupted)
    with pytest.raises(KeyboardInterrupt):
        experiment.run_case(CASE, digits, TINY, broken)
    assert len(broken.rows()) == 6
    broken.file.write_bytes(broken.file.read_bytes()[:-9])  # the fine-tuned row of the last pair is cut short
    experiment.run_case(CASE, digits, TINY, Results(broken.file))
    assert calls == 4 + 5, "finished rows were computed again"
    assert sorted(map(str, broken.rows())) == sorted(map(str, whole.rows()))
    experiment.run_case(CASE, digits, TINY, broken)
    assert calls == 4 + 5, "a finished case was computed again"


TRAINED = ("small-dense", "magnitude-gradual")  # not pruned, or not by `pruner`


@pytest.mark.parametrize("method", [m for m in figures.STYLES if m not in ("nonlinear", *TRAINED)])
def test_every_method_prunes_as_asked_and_fine_tuning_keeps_the_masks(digits: Dataset, method: str) -> None:
    mlp = experiment.train(CASE, digits, TINY)
    pruned = experiment.pruner(method, mlp, CASE, digits, TINY)(0.7)
    assert sum(int((~m).sum()) for m in pruned.masks) == round(0.7 * mlp.n_weights)
    tuned = experiment.fine_tune(pruned, CASE, digits, TINY)
    assert all((w[~m] == 0).all() for w, m in zip(tuned.mlp.weights, pruned.masks))
    assert any((a != b).any() for a, b in zip(tuned.mlp.weights, pruned.mlp.weights))


@pytest.mark.parametrize(
    ("method", "expected"),
    [
        ("magnitude+shift", lambda m, x: ec.Scores(ec.criteria.magnitude(m).importance, shifts(m, x))),
        ("ec", lambda m, x: ec.elimination_compensation(m, x)),
        ("ec-unshifted", lambda m, x: ec.Scores(ec.elimination_compensation(m, x).importance)),
        ("ec-fisher", lambda m, x: ec.elimination_compensation(m, x, metric="fisher")),
        ("obd", lambda m, x: ec.criteria.obd(m, x)),
        ("wanda", lambda m, x: ec.criteria.wanda(m, x)),
        ("random", lambda m, _: ec.criteria.random(m, seed=CASE.seed)),
    ],
)
def test_methods_are_what_their_names_say(digits: Dataset, method: str, expected: Any) -> None:
    mlp = experiment.train(CASE, digits, TINY)
    by_name = experiment.pruner(method, mlp, CASE, digits, TINY)(0.8).mlp
    by_hand = ec.prune(mlp, expected(mlp, digits.x_train[: TINY.n_scored]), 0.8).mlp
    for a, b in zip((*by_name.weights, *by_name.biases), (*by_hand.weights, *by_hand.biases)):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(("method", "metric"), [("ec-iterative", "output"), ("ec-fisher-iterative", "fisher")])
def test_iterative_methods_score_anew_in_their_metric(digits: Dataset, method: str, metric: str) -> None:
    mlp = experiment.train(CASE, digits, TINY)
    by_name = experiment.pruner(method, mlp, CASE, digits, TINY)(0.8)
    x = digits.x_train[: TINY.n_scored]
    by_hand = ec.prune_iteratively(mlp, x, 0.8, steps=TINY.steps, metric=metric)
    for a, b in zip((*by_name.masks, *by_name.mlp.biases), (*by_hand.masks, *by_hand.mlp.biases)):
        np.testing.assert_array_equal(a, b)


def test_seed_decides_the_initial_weights(digits: Dataset) -> None:
    untrained = [experiment.train(replace(CASE, seed=s), digits, replace(TINY, epochs=0)) for s in (0, 1)]
    for seed, mlp in enumerate(untrained):
        expected = ec.MLP.initialize([196, 8, 10], "relu", seed=seed, dtype=np.float32)
        np.testing.assert_array_equal(mlp.weights[0], expected.weights[0])


def shifts(mlp: ec.MLP, x: np.ndarray) -> Any:
    return ec.elimination_compensation(mlp, x).bias_shift


def test_nonlinear_runs_on_the_equation() -> None:
    settings = replace(pde.QUICK, n_train=200, n_test=100, epochs=5, n_scored=50, methods=("nonlinear",))
    case = Case("2-4-1", "tanh", 0, 0.005)
    data = pde.load(case, settings, n_cells=32)
    pruned = experiment.pruner("nonlinear", experiment.train(case, data, settings), case, data, settings)(0.5)
    assert pruned.sparsity == 0.5


def test_unknown_method_is_an_error(digits: Dataset) -> None:
    mlp = ec.MLP.initialize(CASE.sizes, "relu")
    with pytest.raises(ValueError, match=r"method: expected RANKING.* of random, .*; got 'best'"):
        experiment.pruner("best", mlp, CASE, digits, TINY)


def test_rows_of_other_settings_are_not_mixed(tmp_path: Path) -> None:
    file = tmp_path / "rows.csv"
    rows_in_files.check_settings(file, TINY)
    rows_in_files.check_settings(file, TINY)
    with pytest.raises(ValueError, match=r"rows.csv: its rows .* other settings \(epochs, steps, see rows.json\)"):
        rows_in_files.check_settings(file, replace(TINY, epochs=9, steps=9))
    rows_in_files.check_settings(file, replace(TINY, methods=("ec",), sparsities=(0.1,)))  # each row names its own
    assert json.loads(file.with_suffix(".json").read_text())["sparsities"] == [0.1]
    assert rows_in_files.environments(file) == [rows_in_files.made_with()]
    file.with_suffix(".json").write_text("{")
    with pytest.raises(ValueError, match=r"rows.json: expected JSON"):
        rows_in_files.check_settings(file, TINY)
    file.with_suffix(".json").unlink()
    Results(file).append([ROW])
    with pytest.raises(ValueError, match=r"rows.csv: expected rows.json with the settings"):
        rows_in_files.check_settings(file, TINY)


# reports and figures


def some_rows() -> list[Any]:
    rows = []
    for seed in (0, 1, 2):
        for method, sparsity in [("dense", 0.0), ("magnitude", 0.5), ("ec", 0.5), ("magnitude", 0.9), ("ec", 0.9)]:
            for k, stage in enumerate(STAGES):
                loss = (1, 2, 9)[seed] * (1 + sparsity) * (1 if method == "ec" else 2) / (1 + k)
                rows.append(Row("196-8-10", "relu", seed, 0.0, method, sparsity, stage, loss, 0.9 - 0.1 * seed))
    return rows


def test_report_holds_the_medians_over_seeds() -> None:
    text = tables.report(some_rows(), replace(TINY, methods=("magnitude", "ec")), (0.5, 0.9))
    assert "### 196-8-10, relu: test loss, median of seeds 0, 1, 2" in text
    assert "| dense | 4.000 → 2.000 | |" in text
    assert "| magnitude | 6.000 → 3.000 | 7.600 → 3.800 |" in text
    assert "| ec | 80.0 % → 80.0 % | 80.0 % → 80.0 % |" in text
    assert "| sparsities | 0.5, 0.9 |" in text


def test_report_of_an_unfinished_run_leaves_cells_empty() -> None:
    text = tables.report(some_rows()[:3], replace(TINY, methods=("magnitude", "ec")), (0.5, 0.9))
    assert "| magnitude | 3.000 |  |" in text
    assert "| ec |  |  |" in text


def test_figures_are_drawn_as_png_and_svg_and_again_alike(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="figures need the extra `examples`")
    settings = replace(TINY, methods=("magnitude", "ec"))
    contents = []
    for _ in range(2):
        figure = mnist.figure(some_rows(), settings, "fine-tuned")
        (ax,) = figure.axes
        assert (ax.get_xscale(), ax.get_yscale()) == ("function", "log")
        assert [line.get_label() for line in ax.get_lines()] == ["dense", "magnitude", "ec"]
        assert {text.get_text() for text in ax.texts} == {"dense", "magnitude", "ec"}  # at the lines' ends
        np.testing.assert_allclose(ax.get_lines()[2].get_ydata(), [1.5, 1.9])
        assert figure.get_suptitle().replace("\n", " ") == mnist.SENTENCES["fine-tuned"]
        figures.save_figure(figure, tmp_path / "figure.csv")
        contents.append([(tmp_path / f"figure.{kind}").read_bytes() for kind in ("png", "svg")])
    assert contents[0] == contents[1]
    assert contents[0][0].startswith(b"\x89PNG") and b"<svg" in contents[0][1]


def test_no_figure_is_taller_than_a_screen_and_ratios_are_evenly_seen() -> None:
    pytest.importorskip("matplotlib", reason="figures need the extra `examples`")
    for name, stage in (("mnist", "pruned"), ("mnist", "fine-tuned")):
        figure = mnist.figure(Results(rows_in_files.RESULTS / f"{name}.csv").rows(), mnist.FULL, stage)
        assert figure.get_figheight() < 8
    steps = np.diff(figures._decades([0.5, 0.8, 0.9, 0.95, 0.98]))
    assert steps.max() < 1.4 * steps.min()


# the scripts


def environment(**variables: str) -> dict[str, str]:
    inherited = {k: v for k, v in os.environ.items() if k != "ECPRUNE_MNIST"}
    package = str(Path(ec.__file__).parents[1])
    return inherited | {"PYTHONPATH": package, "MPLBACKEND": "Agg", "OMP_NUM_THREADS": "1"} | variables


def test_script_runs_and_continues_and_draws(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The whole of `mnist.py --quick`, with a smaller setting and without processes of their own."""
    pytest.importorskip("matplotlib", reason="figures need the extra `examples`")
    pytest.importorskip("tqdm", reason="progress bars need the extra `examples`")
    monkeypatch.setattr(mnist, "QUICK", TINY)
    monkeypatch.setattr(mnist, "mnist_folder", lambda _: None)
    monkeypatch.setattr(mnist, "cases", lambda *_: [CASE])
    monkeypatch.setattr(command, "run_all", in_this_process)
    options = ["--quick", "--out", str(tmp_path)]
    assert mnist.main(options) == 0
    first = capsys.readouterr()
    assert "--quick takes the embedded 14×14 digits" in first.err
    assert "### 196-8-10, relu: test loss, median of seeds 3" in first.out
    made = {file.name for file in (tmp_path / "quick").iterdir()}
    drawn = {f"mnist_{stage}.{kind}" for stage in STAGES for kind in ("png", "svg")}
    assert made == {f"mnist.{kind}" for kind in ("csv", "json", "md")} | drawn
    rows = (tmp_path / "quick" / "mnist.csv").read_text()
    assert json.loads((tmp_path / "quick" / "mnist.json").read_text())["epochs"] == TINY.epochs
    assert mnist.main([*options, "--report"]) == 0
    assert capsys.readouterr().out == first.out
    assert (tmp_path / "quick" / "mnist.csv").read_text() == rows


def test_the_rows_of_compensations_are_drawn_in_figure_1(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And nothing else of that file; without it the figure is drawn without them."""
    pytest.importorskip("matplotlib", reason="figures need the extra `examples`")
    drawn: dict[str, Any] = {}
    monkeypatch.setattr(figures, "save_figure", lambda figure, file: drawn.update({file.name: figure}))
    row = replace(ROW, sparsity=0.95, test_loss=0.25, test_accuracy=0.8)
    (tmp_path / "quick").mkdir()
    Results(tmp_path / "quick" / "mnist.csv").append(
        replace(row, method="dense", sparsity=0.0, stage=s) for s in STAGES
    )
    for there in (False, True):
        if there:
            rows = [replace(row, method=method) for method in (mnist.ROWS, "ec-gradual", "wanda")]
            Results(tmp_path / "quick" / "compensations_mnist.csv").append(rows)
        assert mnist.main(["--quick", "--report", "--out", str(tmp_path)]) == 0
        (ax,) = drawn["mnist_pruned"].axes
        lines = {line.get_label(): line.get_xydata().tolist() for line in ax.get_lines() if line.get_label() != "dense"}
        assert lines == ({mnist.ROWS: [[0.95, 0.25]]} if there else {})


def test_the_picture_of_compensations_shows_the_medium_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("matplotlib", reason="figures need the extra `examples`")
    drawn: dict[str, Any] = {}
    monkeypatch.setattr(figures, "save_figure", lambda figure, file: drawn.update({file.stem: figure}))
    for name, networks in (("equation", ["2-20-20-20-20-1"]), ("mnist", mnist.ARCHITECTURES)):
        rows = [replace(ROW, architecture=net, method="ec-iterative", stage=s) for net in networks for s in STAGES]
        Results(tmp_path / f"compensations_{name}.csv").append(rows)
    assert compensations.main(["--report", "--out", str(tmp_path)]) == 0
    for name, network in (("equation", "2-20-20-20-20-1"), ("mnist", "784-300-100-10")):
        titles = [ax.get_title() for ax in drawn[f"compensations_{name}"].axes]
        assert titles == [f"{network}, tanh, {figures.AFTER[stage]}" for stage in STAGES]


def in_this_process(work: Any, tasks: list[Any], wanted: set[Any], results: Any, jobs: int) -> None:
    for task in tasks:
        work(*task)


def test_equation_script_runs_and_draws(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("matplotlib", reason="figures need the extra `examples`")
    pytest.importorskip("tqdm", reason="progress bars need the extra `examples`")
    tiny = replace(
        pde.QUICK, n_train=200, n_test=100, epochs=3, fine_tune_epochs=2, n_scored=50, steps=2, sparsities=(0.5,)
    )
    monkeypatch.setattr(pde, "QUICK", replace(tiny, methods=("magnitude", "ec", "ec-iterative")))
    monkeypatch.setattr(pde, "N_CELLS", 32)
    cases = [Case("2-4-1", "tanh", 0, d) for d in (0.005, 0.1)]
    monkeypatch.setattr(pde, "cases", lambda *_: cases)
    monkeypatch.setattr(command, "run_all", in_this_process)
    assert pde.main(["--quick", "--out", str(tmp_path)]) == 0
    assert "### 2-4-1, tanh, noise 0.1: test loss" in capsys.readouterr().out
    figures = {f"diffusion_sorption_{name}" for name in ("architectures", "noise", "snapshots")}
    made = {file.name for file in (tmp_path / "quick").iterdir()}
    assert made >= {f"{name}.{kind}" for name in figures for kind in ("png", "svg")}


def test_compensations_of_both_experiments_run_and_draw(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("matplotlib", reason="figures need the extra `examples`")
    pytest.importorskip("tqdm", reason="progress bars need the extra `examples`")
    tiny = {"n_train": 200, "n_test": 100, "epochs": 1, "fine_tune_epochs": 1, "n_scored": 50, "steps": 2}
    monkeypatch.setattr(mnist, "QUICK", replace(mnist.QUICK, **tiny, sparsities=(0.5,)))
    monkeypatch.setattr(pde, "QUICK", replace(pde.QUICK, **tiny, sparsities=(0.5,)))
    monkeypatch.setattr(mnist, "mnist_folder", lambda _: None)
    monkeypatch.setattr(pde, "N_CELLS", 32)
    monkeypatch.setattr(command, "run_all", in_this_process)
    assert compensations.main(["--quick", "--out", str(tmp_path)]) == 0
    text = capsys.readouterr().out
    assert "### 2-12-12-1, tanh, noise 0.005: test loss" in text and "### 196-32-16-10, relu: test accuracy" in text
    made = {file.name for file in (tmp_path / "quick").iterdir()}
    assert made >= {f"compensations_{name}.{kind}" for name in ("mnist", "equation") for kind in ("csv", "md", "svg")}


def test_script_runs_in_processes_of_its_own(tmp_path: Path) -> None:
    """The same rows from two processes as from none."""
    pytest.importorskip("tqdm", reason="progress bars need the extra `examples`")
    settings = replace(TINY, methods=("ec",), sparsities=(0.5,))
    cases = [CASE, replace(CASE, seed=4)]
    tasks = [(case, settings, tmp_path / "two.csv", None) for case in cases]
    command.run_all(mnist.work, tasks, set(), Results(tmp_path / "two.csv"), 2)
    for case in cases:
        mnist.work(case, settings, tmp_path / "none.csv", None)
    two, none = (Results(tmp_path / name).rows() for name in ("two.csv", "none.csv"))
    assert {row.key for row in two} == {row.key for row in none}
    for a, b in zip(sorted(two, key=str), sorted(none, key=str)):
        assert a.test_loss == pytest.approx(b.test_loss, rel=1e-3)  # another number of threads, float32


def test_committed_rows_are_made_again(tmp_path: Path) -> None:
    """To 6 digits where NumPy, its BLAS and the processor are those that the report names.

    Elsewhere the last bits differ, and training enlarges them: at most to 1e-3 of a loss, and to 5 % after L-BFGS.
    """
    pytest.importorskip("tqdm", reason="progress bars need the extra `examples`")
    settings = replace(pde.FULL, methods=("magnitude", "ec", "ec-iterative"), sparsities=(0.5,))
    case = Case("2-20-20-1", "tanh", 0, 0.005)
    again = tmp_path / "again.csv"
    command.run_all(pde.work, [(case, settings, again, None)], set(), Results(again), 1)
    file = rows_in_files.RESULTS / "diffusion_sorption.csv"
    committed = {row.key: row.test_loss for row in Results(file).rows()}
    same_machine = rows_in_files.environments(file) == [rows_in_files.made_with()]
    rows = Results(again).rows()
    assert len(rows) == 8
    for row in rows:
        expected = committed[row.key]
        if same_machine:
            assert row.test_loss == expected, row
        else:
            assert row.test_loss == pytest.approx(expected, rel=1e-3 if row.stage == "pruned" else 0.05), row


def test_readme_shows_the_settings_and_the_medians() -> None:
    text = (EXAMPLES / "README.md").read_text(encoding="utf-8")
    lines = {line.split(" | ")[0]: line for line in text.splitlines() if line.startswith("| ")}
    for name in [f.name for f in fields(rows_in_files.Settings) if f.name not in ("methods", "sparsities")]:
        line = next(line for start, line in lines.items() if start.startswith(f"| `{name}`"))
        assert line.endswith(f"| {getattr(mnist.FULL, name)} | {getattr(pde.FULL, name)} |"), line
    for net in [*mnist.ARCHITECTURES, *pde.ARCHITECTURES]:
        n_weights = ec.MLP.initialize(Case(net, "tanh", 0).sizes).n_weights
        assert lines[f"| {net}"].startswith(f"| {net} | {n_weights:,} | ")
    loss = tables.median_over_seeds(Results(rows_in_files.RESULTS / "mnist.csv").rows())
    table = text[text.index("784-300-100-10, relu (dense") :].split("\n\n")[1].splitlines()
    sparsities = [float(s) for s in table[0].strip("| ").split(" | ")[1:]]
    for line in table[2:]:
        method, *cells = line.strip("| ").split(" | ")
        for sparsity, cell in zip(sparsities, cells, strict=True):
            key = ("784-300-100-10", "relu", 0.0, method, sparsity)
            assert cell == " → ".join(f"{loss[(*key, stage)]:.3f}" for stage in STAGES), (method, sparsity)


def test_readme_shows_what_rows_keep() -> None:
    text = (EXAMPLES / "README.md").read_text(encoding="utf-8")
    loss = tables.median_over_seeds(Results(rows_in_files.RESULTS / "compensations_mnist.csv").rows())
    head, _, *table = text[text.index("| test loss | 0.8 ") :].split("\n\n")[0].splitlines()
    sparsities = [float(s) for s in head.strip("| ").split(" | ")[1:]]
    assert len(table) == 8
    for line in table:
        name, *cells = line.strip("| ").split(" | ")
        for sparsity, cell in zip(sparsities, cells, strict=True):
            key = ("784-300-100-10", name.split(", ")[0], 0.0, name.split(", ")[1], sparsity)
            assert cell == " → ".join(f"{loss[(*key, stage)]:.3f}" for stage in STAGES), (line, sparsity)


def test_readme_says_of_rows_in_figure_1_what_is_so() -> None:
    """Lowest of all from 0.8 on, from 0.9 on after an epoch; below small dense networks from 0.5 on; by how much."""
    text = " ".join((EXAMPLES / "README.md").read_text(encoding="utf-8").split())
    files = (rows_in_files.RESULTS / f"{name}.csv" for name in ("mnist", "compensations_mnist"))
    plain, in_bites = (tables.median_over_seeds(Results(file).rows()) for file in files)
    to_the_next, to_the_small = [], []
    for architecture, activation, stage in product(mnist.ARCHITECTURES, mnist.ACTIVATIONS, STAGES):
        for sparsity in (0.5, 0.8, 0.9, 0.95, 0.98, 0.99):
            network = (architecture, activation, 0.0)
            row = in_bites[(*network, mnist.ROWS, sparsity, stage)]
            others = {m: plain[(*network, m, sparsity, stage)] for m in mnist.FULL.methods}
            small = others.pop("small-dense")
            assert row < small, (network, sparsity, stage)
            if sparsity >= (0.8 if stage == "pruned" else 0.9):
                assert row < min(others.values()), (network, sparsity, stage)
            if (sparsity, stage) == (0.95, "pruned"):
                to_the_next.append(100 * row / min(others.values()))
                to_the_small.append(100 * row / small)
    for percent, words in ((to_the_next, "of the loss of the next one"), (to_the_small, "of its loss")):
        assert f"at 0.95 with {min(percent):.0f} to {max(percent):.0f} % {words}" in text, percent


def test_readme_at_the_top_shows_the_medians_too_and_the_lowest_in_bold() -> None:
    text = (EXAMPLES.parent / "README.md").read_text(encoding="utf-8")
    table = text[text.index("| | dense | magnitude |") :].split("\n\n")[0].splitlines()[2:]
    methods = ("dense", "magnitude", "wanda", "ec-unshifted", "ec", "ec-iterative", "ec-fisher-iterative")
    wanted = [("mnist", "784-300-100-10", "relu", 0.0, 0.9), ("mnist", "784-300-100-10", "relu", 0.0, 0.95)]
    wanted += [("diffusion_sorption", "2-20-20-20-20-1", "tanh", 0.005, s) for s in (0.5, 0.8)]
    for line, (name, *network, sparsity) in zip(table, wanted, strict=True):
        rows = {"": name, "+row": "compensations_mnist" if name == "mnist" else name}
        loss = {
            end: tables.median_over_seeds(Results(rows_in_files.RESULTS / f"{f}.csv").rows()) for end, f in rows.items()
        }
        found = [loss[""].get((*network, m, 0.0 if m == "dense" else sparsity, "pruned")) for m in methods]
        found.append(loss["+row"][(*network, "ec-iterative+row", sparsity, "pruned")])
        lowest = min(value for value in found[1:] if value is not None)
        cells = [cell.strip() for cell in line.split("|")[2:-1]]
        for median, cell in zip(found, cells, strict=True):
            told = "" if median is None else tables.short(median)
            assert cell == (f"**{told}**" if median == lowest else told), line


def test_script_about_relu_shifts_runs(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    script = importlib.import_module("relu_shifts_switch_neurons_on")
    monkeypatch.setattr(script, "ARCHITECTURE", "196-30-20-10")
    monkeypatch.setattr(mnist, "FULL", TINY)
    monkeypatch.setattr(mnist, "check_mnist", lambda _: None)
    monkeypatch.setattr(mnist, "mnist_folder", lambda _: None)
    assert script.main([]) == 0
    rows = [line.split() for line in capsys.readouterr().out.splitlines()[2:]]
    assert [float(row[0]) for row in rows] == list(script.SPARSITIES)
    data = mnist.load(None, TINY)
    case = Case("196-30-20-10", "relu", 0)
    mlp = experiment.train(case, data, TINY)
    for row in rows:
        for method, column in (("ec", 1), ("ec-unshifted", 6)):
            pruned = experiment.pruner(method, mlp, case, data, TINY)(float(row[0]))
            loss = ec.mean_loss(pruned.mlp, data.x_test, data.y_test, "cross_entropy")
            assert float(row[column]) == pytest.approx(loss, abs=1e-3)


@pytest.mark.parametrize("folder", [None, "empty"])
def test_missing_mnist_names_the_four_files_and_their_checksums(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], folder: str | None
) -> None:
    pytest.importorskip("tqdm", reason="progress bars need the extra `examples`")
    monkeypatch.setattr(mnist, "BESIDE", tmp_path / "nowhere")
    monkeypatch.delenv("ECPRUNE_MNIST", raising=False)
    monkeypatch.setattr(command, "run_all", in_this_process)
    given = [] if folder is None else ["--mnist", str(tmp_path / folder)]
    assert mnist.main(["--no-figures", "--out", str(tmp_path / "out"), *given]) == 1
    message = capsys.readouterr().err
    assert all(name in message and md5 in message for name, md5 in MD5.items()), message
    assert message.startswith("mnist: --mnist (or ECPRUNE_MNIST): ") and "Traceback" not in message
    assert not (tmp_path / "out").exists()


def test_mnist_is_found_by_option_variable_and_beside_the_project(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mnist, "BESIDE", tmp_path / "nowhere")
    monkeypatch.delenv("ECPRUNE_MNIST", raising=False)
    assert mnist.mnist_folder(None) is None
    monkeypatch.setattr(mnist, "BESIDE", tmp_path)
    assert mnist.mnist_folder(None) == str(tmp_path)
    monkeypatch.setenv("ECPRUNE_MNIST", "variable")
    assert mnist.mnist_folder(None) == "variable"
    assert mnist.mnist_folder("option") == "option"


@pytest.mark.parametrize("module", ["matplotlib", "tqdm"])
def test_missing_extra_is_named_before_anything_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], module: str
) -> None:
    find_spec = command.importlib.util.find_spec
    monkeypatch.setattr(
        command.importlib.util,
        "find_spec",
        lambda name: None if name == module else find_spec("json"),
    )
    assert mnist.main(["--quick", "--out", str(tmp_path)]) == 1
    message = capsys.readouterr().err
    assert f"{module} is missing; install it with: pip install -e '.[examples]'" in message
    assert ("--no-figures" in message) == (module == "matplotlib")
    assert list(tmp_path.iterdir()) == []


def test_folder_that_cannot_be_written_is_a_clear_message(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(command.importlib.util, "find_spec", lambda name: name)
    (tmp_path / "file").write_text("in the way")
    assert pde.main(["--quick", "--no-figures", "--out", str(tmp_path / "file")]) == 1
    message = capsys.readouterr().err
    assert message.startswith("diffusion_sorption: ") and str(tmp_path / "file") in message
    assert "Traceback" not in message


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="permissions do not hold for this user")
def test_read_only_folder_is_a_clear_message(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(command.importlib.util, "find_spec", lambda name: name)
    (tmp_path / "out").mkdir(mode=0o500)
    assert pde.main(["--quick", "--no-figures", "--out", str(tmp_path / "out")]) == 1
    assert "Permission denied" in capsys.readouterr().err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interruption_says_how_to_continue(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], number: signal.Signals
) -> None:
    before = signal.getsignal(number)
    monkeypatch.setattr(command, "run_all", lambda *_: signal.raise_signal(number))
    monkeypatch.setattr(command.importlib.util, "find_spec", lambda name: name)
    assert pde.main(["--quick", "--no-figures", "--out", str(tmp_path)]) == 130
    assert "finished rows are in" in capsys.readouterr().err
    assert signal.getsignal(number) is before


def test_interruption_leaves_no_process_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tqdm = pytest.importorskip("tqdm", reason="progress bars need the extra `examples`").tqdm
    at_work: list[Any] = []

    def interrupted(bar: Any, n: int) -> None:
        at_work.extend(multiprocessing.active_children())
        raise KeyboardInterrupt

    monkeypatch.setattr(tqdm, "update", interrupted)
    tasks = [(20.0,), (20.0,)]  # seconds, which nobody waits for
    with pytest.raises(KeyboardInterrupt):
        command.run_all(time.sleep, tasks, set(), Results(tmp_path / "rows.csv"), 2)
    assert at_work and {process.exitcode for process in at_work} == {-signal.SIGTERM}


@pytest.mark.parametrize(
    ("options", "message"),
    [(["--jobs", "0"], "--jobs: expected at least 1, got 0"), (["--seed", "-1"], "--seed: expected no negative")],
)
def test_wrong_option_is_named(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    options: list[str],
    message: str,
) -> None:
    monkeypatch.setattr(command.importlib.util, "find_spec", lambda name: name)
    assert mnist.main(["--quick", "--no-figures", "--out", str(tmp_path), *options]) == 1
    assert message in capsys.readouterr().err


def test_report_without_rows_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(command.importlib.util, "find_spec", lambda name: name)
    assert mnist.main(["--report", "--no-figures", "--out", str(tmp_path)]) == 1
    assert "no rows yet" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "script", ["mnist.py", "diffusion_sorption.py", "compensations.py", "mlpnet.py", "train_prune_train.py"]
)
def test_script_has_help(script: str) -> None:
    command = [sys.executable, str(EXAMPLES / script), "--help"]
    text = subprocess.run(command, env=environment(), capture_output=True, text=True, check=True).stdout
    assert all(option in text for option in ("--seed", "--quick", "--jobs", "--out", "--report"))


def test_full_runs_cover_what_the_figures_need() -> None:
    networks = mnist.cases(False, 784, None)
    assert len({c.architecture for c in networks}) == 3
    assert {c.activation for c in networks} == {"relu", "tanh"}
    assert {c.seed for c in networks} == {0, 1, 2}
    equation = pde.cases(False, None)
    assert len({c.architecture for c in equation}) == 3
    assert {c.noise for c in equation} == set(pde.NOISES)
    assert {c.seed for c in equation} == {0, 1, 2}
    assert {c.seed for c in mnist.cases(False, 784, [7]) + pde.cases(True, [7])} == {7}
    drawn = (mnist.FULL, pde.FULL, compensations.MNIST, compensations.EQUATION)
    ways = {way.method for way in importlib.import_module("mlpnet").WAYS} | {*TRAINED}
    assert {method for settings in drawn for method in settings.methods} | ways == set(figures.STYLES)
    assert min(mnist.FULL.sparsities) == 0.1 and max(mnist.FULL.sparsities) == 0.99


def test_digits_are_what_the_package_embeds(digits: Dataset) -> None:
    np.testing.assert_array_equal(digits.x_test, load_digits().x_test[: TINY.n_test].astype(np.float32))
