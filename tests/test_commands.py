"""score, prune and compare, as a user runs them: what they print and write is what Python computes."""

from __future__ import annotations

import csv
import io
import json
import re
import sys
import warnings
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from networks import make

import ecprune_np as ec
from ecprune_np import _outputs, _text
from ecprune_np.__main__ import main
from ecprune_np.commands import _compare, _prune
from ecprune_np.evaluation import yardstick
from ecprune_np.interop import from_safetensors
from ecprune_np.methods import Data, pruner


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


PROGRAM = "python -m ecprune_np"
CLASSES = make([4, 8, 6, 3], "tanh", n_samples=150, seed=1)
VALUES = make([3, 8, 2], "relu", n_samples=150, seed=2)


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With network.npz and data.npz, labels for three classes, and values.npz and its data, targets for two outputs."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    for d, network, data, y in (
        (CLASSES, "network.npz", "data.npz", CLASSES.labels),
        (VALUES, "values.npz", "values_data.npz", VALUES.targets("mse")),
    ):
        d.mlp.save(network)
        np.savez(data, x_train=d.x[:100], y_train=y[:100], x_test=d.x[100:], y_test=y[100:])


TRAIN, TEST = (ec.Batch(CLASSES.x[part], y=CLASSES.labels[part]) for part in (slice(100), slice(100, None)))
N = CLASSES.mlp.n_weights


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """What a command prints; it must say nothing else, and fit 80 columns."""

    def run(command: str, *arguments: Any, network: str = "network.npz", data: str = "data.npz") -> str:
        assert main([command, network, "--data", data, *map(str, arguments)]) == 0
        out, err = capsys.readouterr()
        assert err == ""
        assert max(map(len, out.splitlines())) <= 80
        return out

    return run


@pytest.fixture
def refused(capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """What a command refuses to do, in one line, with exit code 2, before it has printed anything."""

    def refused(command: str, *arguments: Any, network: str = "network.npz", data: str = "data.npz") -> str:
        assert main([command, network, "--data", data, *map(str, arguments)]) == 2
        out, err = capsys.readouterr()
        start = f"{PROGRAM} {command}: "
        assert out == "" and err.startswith(start) and err.count("\n") == 1, err
        return err.removeprefix(start).rstrip("\n")

    return refused


def read(file: str) -> Any:
    return json.loads(Path(file).read_text())


def assert_same(a: ec.Pruned, b: ec.Pruned) -> None:
    for u, v in zip((*a.masks, *a.mlp.weights, *a.mlp.biases), (*b.masks, *b.mlp.weights, *b.mlp.biases)):
        np.testing.assert_array_equal(u, v)


def written(*files: str) -> list[str]:
    """What is said of files that were written."""
    return [f"wrote {file}, {_text.size(Path(file).stat().st_size)}" for file in files]


def columns(text: str, first: str) -> list[str]:
    """The cells of the line that begins with a word."""
    return next(line.split() for line in text.splitlines() if line.split()[:1] == [first])


# score


def test_score_says_what_python_does(run: Callable[..., str]) -> None:
    text = run("score", "--out", "scores.npz", "--json", "scores.json")
    scores = ec.elimination_compensation(CLASSES.mlp, TRAIN.x, "fisher")  # of classes
    saved, record = ec.load("scores.npz"), read("scores.json")
    for a, b in zip((*saved.importance, *saved.bias_shift), (*scores.importance, *scores.bias_shift)):
        np.testing.assert_array_equal(a, b)
    f = CLASSES.mlp(TRAIN.x)
    p = np.exp(f) / np.exp(f).sum(axis=1, keepdims=True)
    d = f - f.mean(axis=0)
    unit = np.mean(np.sum(p * d**2, axis=1) - np.sum(p * d, axis=1) ** 2)  # dᵀ (diag p − p pᵀ) d
    assert record["output_variance"] == pytest.approx(unit)
    assert (record["metric"], record["n_scored"], record["n_train"]) == ("fisher", 100, 100)
    for l, layer in enumerate(record["layers"]):
        cost = scores.importance[l] / unit
        assert layer["weights"] == cost.size
        assert layer["percentiles"]["90"] == pytest.approx(np.percentile(cost, 90))
        assert layer["largest"] == pytest.approx(cost.max())
        assert layer["free"] == (cost < 1e-6).mean()
        assert layer["largest_shift"] == np.abs(scores.bias_shift[l]).max()
    ranked = np.sort(np.concatenate([i.ravel() for i in scores.importance])) / unit
    assert [w["cost"] for w in record["cheapest"]] == pytest.approx(ranked[:10])
    assert [w["cost"] for w in record["dearest"]] == pytest.approx(ranked[: -10 - 1 : -1])
    for w in (*record["cheapest"], *record["dearest"]):
        place = w["layer"], w["neuron"], w["input"]
        assert scores.importance[place[0]][place[1:]] == pytest.approx(w["cost"] * unit)
        assert CLASSES.mlp.weights[place[0]][place[1:]] == w["weight"]
        assert scores.bias_shift[place[0]][place[1:]] == w["bias_shift"]
    errors = ec.standard_errors(CLASSES.mlp, TRAIN.x, "fisher")
    assert record["standard_errors"] == {"median": errors.median, "on_few": errors.on_few, "groups": 10}
    for found in record["removed"]:
        removed = errors.removed(found["sparsity"])
        assert (found["changed"], found["n_removed"]) == (removed.changed, removed.n_removed)
        assert found["samples_for_1_percent"] == removed.samples_for(0.01)
    assert [found["sparsity"] for found in record["removed"]] == [0.5, 0.8, 0.9, 0.95]
    assert solid(str(errors)) in solid(text)
    assert text.splitlines()[-2:] == written("scores.npz", "scores.json")


def solid(text: str) -> str:
    return "".join(text.split())


def test_score_counts_dead_neurons_and_constant_inputs(run: Callable[..., str]) -> None:
    """A neuron that no output listens to, one that is silent on all samples, and an input that does not vary."""
    first = CLASSES.mlp.weights[0].copy()
    biases = [b.copy() for b in CLASSES.mlp.biases]
    second = CLASSES.mlp.weights[1].copy()
    second[:, 2] = 1e-300
    second[0] = -1
    biases[1][0] = -1e3
    mlp = ec.MLP([first, second, CLASSES.mlp.weights[2]], biases, "relu")
    mlp.save("network.npz")
    x = CLASSES.x.copy()
    x[:, 1] = 5
    np.savez("data.npz", x_train=x[:100], x_test=x[100:])
    run("score", "--json", "scores.json", "--sparsities", "0.5,0.6", "0.7")
    record = read("scores.json")
    assert record["metric"] == "output" and [r["sparsity"] for r in record["removed"]] == [0.5, 0.6, 0.7]
    trace = ec.forward(mlp, x[:100])
    for l, layer in enumerate(record["layers"]):
        silent = (trace.preactivations[l] <= 0).all(axis=0) if l < 2 else np.zeros(3, bool)
        assert layer["dead_neurons"] >= silent.sum()
        assert layer["constant_inputs"] == (np.ptp(trace.inputs[l], axis=0) == 0).sum()
    assert record["layers"][0]["constant_inputs"] == 1
    assert record["layers"][0]["dead_neurons"] >= 1 and record["layers"][1]["dead_neurons"] >= 1


def test_score_of_a_pruned_network_is_of_what_is_left(run: Callable[..., str]) -> None:
    half = ec.prune_iteratively(CLASSES.mlp, TRAIN.x, 0.5, steps=2)
    half.save("network.npz")
    text = run("score", "--json", "scores.json")
    assert "50.0 % are removed already" in text.replace("\n", " ").replace("          ", "")
    record = read("scores.json")
    assert [layer["weights"] for layer in record["layers"]] == [int(m.sum()) for m in half.masks]
    assert all(w["weight"] != 0 for w in record["cheapest"])
    importance = ec.elimination_compensation(half.mlp, TRAIN.x, "fisher").importance
    for layer, i, mask in zip(record["layers"], importance, half.masks):
        assert layer["percentiles"]["50"] * record["output_variance"] == pytest.approx(np.median(i[mask]))
    errors = ec.standard_errors(half.mlp, TRAIN.x, "fisher")
    for removed, sparsity in zip(record["removed"], (0.5, 0.8, 0.9, 0.95)):  # of what goes now
        assert removed["changed"] == errors.removed(sparsity, masks=half.masks).changed
    text = run("score", "--sparsities", 0.3, 0.8)
    assert "\nat 0.3: no further weight is removed\n" in text
    gone = ec.prune(CLASSES.mlp, ec.Scores([*map(np.ones_like, CLASSES.mlp.weights[:2]), np.zeros((3, 6))]), 18 / N)
    gone.save("network.npz")
    assert "the outputs differ" in str(refusal("score"))


def refusal(command: str, *arguments: Any, network: str = "network.npz", data: str = "data.npz") -> str:
    stream = io.StringIO()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "stderr", stream)
        assert main([command, network, "--data", data, *map(str, arguments)]) == 2
    return stream.getvalue()


@pytest.mark.parametrize("metric", ["output", "softmax", "fisher", "mse", "cross_entropy"])
def test_score_takes_every_metric(run: Callable[..., str], metric: str) -> None:
    y = np.eye(3)[CLASSES.labels] if metric == "mse" else CLASSES.labels
    np.savez("data.npz", x=CLASSES.x, y=y)
    run("score", "--metric", metric, "--json", "scores.json", "--out", "scores.npz")
    assert read("scores.json")["metric"] == metric


def test_few_samples_are_said_to_be_few(run: Callable[..., str]) -> None:
    text = run("score", "--samples", 7, "--json", "scores.json")
    assert "fewer than 10 samples in each of 7 groups: all of this is a guess" in text
    assert "7 for scores, drawn with seed 0" in text and read("scores.json")["n_scored"] == 7


# prune


def test_prune_writes_and_says_what_python_does(run: Callable[..., str]) -> None:
    options = ["--sparsity", 0.6, "--steps", 3, "--out", "pruned.npz", "--json", "p.json", "--html", "p.html"]
    text = run("prune", *options)
    expected = ec.prune_iteratively(CLASSES.mlp, TRAIN.x, 0.6, steps=3, compensation="row")
    pruned, record = ec.load("pruned.npz"), read("p.json")
    assert_same(pruned, expected)
    summary = pruned.summary(CLASSES.mlp, TEST)
    assert record["performances"] == {"dense": asdict(summary.before), "pruned": asdict(summary.after)}
    assert (record["method"], record["steps"], record["scope"]) == ("ec-iterative+row", 3, "global")
    assert record["sparsity"] == pruned.sparsity and record["fine_tune"] is None
    for name in ("n_weights", "n_kept", "sizes", "in_use", "multiply_adds"):
        assert record["summary"][name] == getattr(summary, name).tolist()
    assert record["summary"]["file_bytes"] == Path("pruned.npz").stat().st_size
    assert [bite["sparsity"] for bite in record["bites"]] == pytest.approx(
        [round(s * N) / N for s in ec.sparsity_schedule(0.6, 3)]
    )
    assert record["bites"][-1]["loss"] == summary.after.loss
    assert solid(str(summary)) in solid(text)
    assert "measured  cross-entropy and accuracy, on 50 test samples of data.npz" in text
    assert text.splitlines()[-3:] == written("pruned.npz", "p.html", "p.json")
    html = re.sub("</?span[^>]*>", "", Path("p.html").read_text())
    assert "network.npz, 59.8 % removed" in html or "network.npz, 60" in html
    assert "python -m ecprune_np prune network.npz --data data.npz --sparsity 0.6" in html


@pytest.mark.parametrize(
    ("options", "method", "steps"),
    [
        ([], "ec-iterative+row", 20),
        (["--metric", "fisher"], "ec-fisher-iterative+row", 20),
        (["--metric", "softmax", "--compensation", "guarded"], "ec-softmax-iterative+guarded", 20),
        (["--compensation", "independent", "--steps", "1"], "ec", 1),
        (["--method", "magnitude"], "magnitude", 1),
        (["--method", "magnitude", "--steps", "4"], "magnitude-iterative", 4),
        (["--method", "magnitude", "--compensation", "row", "--metric", "fisher"], "magnitude-fisher+row", 1),
        (["--method", "ec-fisher", "--metric", "fisher", "--steps", "2"], "ec-fisher-iterative", 2),
        (["--method", "ec+row", "--compensation", "row"], "ec+row", 1),
        (["--method", "ec", "--compensation", "none"], "ec+none", 1),
        (["--method", "ec-iterative", "--steps", "1"], "ec", 1),
        (["--method", "obc-iterative", "--steps", "2"], "obc-iterative", 2),
    ],
)
def test_options_spell_the_method_that_compare_knows(
    options: list[str], method: str, steps: int, run: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """And the network is the one that it stands for there."""
    np.savez("data.npz", x=CLASSES.x[:40], y=CLASSES.labels[:40])
    text = run("prune", "--sparsity", 0.5, "--out", "p.npz", "--json", "p.json", *options)
    record = read("p.json")
    assert (record["method"], record["steps"]) == (method, steps)
    assert f"method    {method}, " + (f"in {steps} bites" if steps > 1 else "at once") in text
    run("compare", "--sparsities", 0.5, "--methods", method, "--steps", steps, "--json", "c.json")
    (row,) = read("c.json")["rows"]
    assert row == {"method": method, "sparsity": 0.5, **record["performances"]["pruned"]}


def test_values_are_pruned_in_the_outputs_own_metric(run: Callable[..., str]) -> None:
    text = run("prune", "--sparsity", 0.5, "--steps", 2, "--out", "p.npz", network="values.npz", data="values_data.npz")
    assert "method    ec-iterative+row, in 2 bites" in text and "mean squared error, on 50 test" in text
    assert "accuracy" not in text
    expected = ec.prune_iteratively(VALUES.mlp, VALUES.x[:100], 0.5, steps=2, compensation="row")
    assert all((a == b).all() for a, b in zip(ec.load("p.npz").masks, expected.masks))


def test_scope_layer_takes_as_much_of_each(run: Callable[..., str]) -> None:
    run("prune", "--sparsity", 0.5, "--scope", "layer", "--steps", 2, "--out", "p.npz")
    assert [(~m).mean() for m in ec.load("p.npz").masks] == [0.5, 0.5, 0.5]


@pytest.mark.parametrize("targets", [True, False])
def test_fine_tuning_trains_after_every_bite(targets: bool, run: Callable[..., str]) -> None:
    """On labels, or towards what the dense network says: its probabilities where the metric is of classes."""
    x = ec.Batch(TRAIN.x, y=TRAIN.y if targets else None)
    if not targets:
        np.savez("data.npz", x_train=CLASSES.x[:100], x_test=CLASSES.x[100:], y_test=CLASSES.labels[100:])
    options = ["--fine-tune", 4, "--steps", 3, "--sparsity", 0.6]
    text = run("prune", *options, "--out", "p.npz", "--json", "p.json")
    usual = (
        {"metric": "fisher"} if targets else {"compensation": "row"}
    )  # it leads from targets back to the dense network
    pruned = ec.load("p.npz")
    expected = ec.prune_and_train(CLASSES.mlp, x, 0.6, "cross_entropy", steps=3, epochs=4, **usual)
    assert_same(pruned, expected)
    performances = read("p.json")["performances"]
    assert list(performances) == ["dense", "last bite", "fine-tuned"]
    assert performances["fine-tuned"] == asdict(pruned.summary(CLASSES.mlp, TEST).after)
    assert performances["last bite"] != performances["fine-tuned"] and read("p.json")["fine_tune"] == 4
    aim = "their targets" if targets else "the dense network's outputs"
    assert f"4 steps of L-BFGS after each, on all training samples and {aim}" in " ".join(text.split())


@pytest.mark.parametrize(("n_samples", "way"), [(N - 1, "ec-iterative+row"), (N, "ec-fisher-iterative+none")])
def test_the_targets_of_few_samples_are_not_learnt_by_heart(n_samples: int, way: str, run: Callable[..., str]) -> None:
    """Fewer than weights: rows hold on to the dense network."""
    d = make([4, 8, 6, 3], "tanh", n_samples=N + 50, seed=1)
    parts = {"x_train": d.x[:n_samples], "y_train": d.labels[:n_samples], "x_test": d.x[N:], "y_test": d.labels[N:]}
    np.savez("data.npz", **parts)
    run("prune", "--fine-tune", 1, "--steps", 2, "--sparsity", 0.5, "--out", "p.npz", "--json", "p.json")
    assert read("p.json")["method"] == way


def test_without_any_targets_training_goes_towards_values_or_probabilities(run: Callable[..., str]) -> None:
    np.savez("data.npz", x_train=CLASSES.x[:100], x_test=CLASSES.x[100:])
    for options, loss, metric in (([], "mse", None), (["--metric", "fisher"], "cross_entropy", "fisher")):
        text = run("prune", "--fine-tune", 3, "--steps", 2, "--sparsity", 0.5, "--out", "p.npz", *options)
        how = {"steps": 2, "epochs": 3, "metric": metric, "compensation": "row"}
        expected = ec.prune_and_train(CLASSES.mlp, TRAIN.x, 0.5, loss, **how)
        assert_same(ec.load("p.npz"), expected)
        assert "no loss: no targets, on 50 test samples" in text and columns(text, "fine-tuned")[1:2] != []


def test_all_training_samples_train_and_some_of_them_score(run: Callable[..., str]) -> None:
    drawn = ["--samples", 30, "--seed", 5]
    text = run("prune", *drawn, "--method", "ec", "--fine-tune", 2, "--sparsity", 0.5, "--out", "p.npz")
    assert "100 training samples, 30 for scores, drawn with seed 5" in text
    some = TRAIN.x[np.sort(np.random.default_rng(5).choice(100, 30, replace=False))]
    half = ec.prune(CLASSES.mlp, ec.elimination_compensation(CLASSES.mlp, some), 0.5)
    expected = ec.train(half, TRAIN.x, TRAIN.y, "cross_entropy", optimizer="lbfgs", epochs=2)
    assert_same(ec.load("p.npz"), expected)


@pytest.mark.parametrize("kind", [".npz", ".safetensors"])
def test_a_pruned_file_is_pruned_further_and_aims_at_the_dense_network(run: Callable[..., str], kind: str) -> None:
    half = ec.prune_iteratively(CLASSES.mlp, TRAIN.x, 0.5, steps=2)
    half.save("half.npz")
    if kind == ".safetensors":  # one that names no activation, as PyTorch writes them
        names = {f"{l}.weight": w for l, w in enumerate(CLASSES.mlp.weights)}
        names |= {f"{l}.bias": b for l, b in enumerate(CLASSES.mlp.biases)}
        pytest.importorskip("safetensors.numpy").save_file(names, "network.safetensors")
    options = ["--sparsity", 0.7, "--steps", 2, "--out", "p.npz", "--json", "p.json"]
    text = run("prune", *options, "--aim", f"network{kind}", network="half.npz")
    expected = ec.prune_iteratively(half, TRAIN.x, 0.7, steps=2, compensation="row", target=CLASSES.mlp)
    pruned = ec.load("p.npz")
    assert_same(pruned, expected)
    assert all((a | ~b).all() for a, b in zip(half.masks, pruned.masks))
    performances = read("p.json")["performances"]
    measured = yardstick(CLASSES.mlp, TEST)
    networks = {"dense": CLASSES.mlp, "as given": half.mlp, "pruned": pruned.mlp}
    assert performances == {name: asdict(measured(mlp)) for name, mlp in networks.items()}
    assert "50.0 % are removed already" in " ".join(text.split())
    run("prune", *options, network="half.npz")
    assert (ec.load("p.npz").mlp.weights[1] != pruned.mlp.weights[1]).any()


def test_training_without_targets_goes_towards_the_aim(run: Callable[..., str]) -> None:
    half = ec.prune_iteratively(CLASSES.mlp, TRAIN.x, 0.5, steps=2)
    half.save("half.npz")
    np.savez("data.npz", x_train=CLASSES.x[:100], x_test=CLASSES.x[100:])
    options = ["--sparsity", 0.6, "--steps", 2, "--fine-tune", 5, "--aim", "network.npz", "--out", "p.npz"]
    run("prune", *options, network="half.npz")
    expected = ec.prune_and_train(half, TRAIN.x, 0.6, steps=2, epochs=5, compensation="row", target=CLASSES.mlp)
    assert_same(ec.load("p.npz"), expected)


def test_it_is_saved_for_other_programs_too(run: Callable[..., str]) -> None:
    options = ["--sparsity", 0.5, "--steps", 2]
    texts = [run("prune", *options, "--out", file) for file in ("p.npz", "p.safetensors")]
    told = f"\n.npz file: {Path('p.npz').stat().st_size:,} bytes, "  # which the other one is not
    assert all(told in text for text in texts) and texts[1].splitlines()[-1:] == written("p.safetensors")
    a, b = ec.load("p.npz").mlp, from_safetensors("p.safetensors")
    assert all((u == v).all() for u, v in zip((*a.weights, *a.biases), (*b.weights, *b.biases)))


@pytest.mark.skipif(np.dtype(np.longdouble) == np.float64, reason="there is no longdouble")
def test_a_format_that_does_not_hold_the_networks_numbers_is_refused_before_the_work(
    refused: Callable[..., str],
) -> None:
    CLASSES.mlp.astype(np.longdouble).save("network.npz")
    said = f"--out: expected a file that ends in .npz, for others hold no {np.dtype(np.longdouble)}, got p.safetensors"
    assert refused("prune", "--sparsity", 0.5, "--out", "p.safetensors") == said


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--sparsity", 1.5], "--sparsity: expected a number from 0 to 1, got 1.5"),
        (["--method", "best"], "method: expected RANKING"),
        (["--method", "ec-fisher", "--metric", "softmax"], "--metric: expected none, .* beside --method ec-fisher"),
        (["--method", "ec+row", "--compensation", "joint"], "--compensation: expected none, .* beside --method ec.row"),
        (["--method", "magnitude", "--metric", "fisher"], "method: 'magnitude-fisher' measures nothing"),
        (["--steps", 0], "--steps: expected at least 1, got 0"),
        (["--samples", 0], "--samples: expected at least 1, got 0"),
        (["--seed", -1], "--seed: expected at least 0, got -1"),
        (["--fine-tune", -1], "--fine-tune: expected at least 0, got -1"),
        (["--out", "p.pt"], "--out: expected a file that ends in .npz or .safetensors, got p.pt"),
        (["--aim", "values.npz"], "--aim: expected a network with sizes and activations"),
        (["--aim", "missing.npz"], ".*missing.npz: no such file"),
    ],
)
def test_bad_options_of_prune_are_named(refused: Callable[..., str], options: list[Any], message: str) -> None:
    assert re.match(message, refused("prune", "--sparsity", 0.5, "--out", "p.npz", *options))
    assert not Path("p.npz").exists()


def test_what_is_gone_already_counts(refused: Callable[..., str], monkeypatch: pytest.MonkeyPatch) -> None:
    """And is said before any weight is ranked, which may take long."""
    half = ec.prune(CLASSES.mlp, ec.criteria.magnitude(CLASSES.mlp), 0.5)
    half.save("half.npz")
    for command in (_prune, _compare):
        monkeypatch.setattr(command, "pruner", lambda *_, **__: pytest.fail("it has begun to work"))
    prune = ["prune", "--out", "p.npz", "--sparsity"]
    said = "--sparsity: expected at least the 0.5 that is gone already in half.npz, got 0.3"
    assert refused(*prune, 0.3, network="half.npz") == said
    most = max((~mask).mean() for mask in half.masks)
    said = f"--sparsity: expected at least the {most:.6g} of a layer that is gone already in half.npz, got 0.5"
    assert refused(*prune, 0.5, "--scope", "layer", network="half.npz") == said
    said = "--sparsities: expected at least the 0.5 that is gone already in half.npz, got 0.2"
    assert refused("compare", "--methods", "nonlinear", "--sparsities", 0.9, 0.2, network="half.npz") == said


def test_where_nothing_can_be_measured_this_is_said_before_the_work(refused: Callable[..., str]) -> None:
    np.savez("data.npz", x_train=CLASSES.x, x_test=CLASSES.x[:1])  # as the tenth of a few samples is
    for command in (["prune", "--sparsity", 0.5, "--out", "p.npz"], ["compare", "--csv", "c.csv"]):
        said = "data.npz: expected targets, or test samples on which the outputs differ, got no targets and the same"
        assert refused(*command) == f"{said} outputs on 1"
    assert not Path("p.npz").exists() and not Path("c.csv").exists()


def test_single_precision_is_pruned_and_drawn_without_a_word(run: Callable[..., str]) -> None:
    CLASSES.mlp.astype(np.float32).save("network.npz")
    run("prune", "--sparsity", 0.5, "--steps", 2, "--out", "p.npz", "--html", "p.html")
    assert "The largest shift" in Path("p.html").read_text()


# compare


def test_compare_says_what_python_does(run: Callable[..., str]) -> None:
    names = ["magnitude", "ec-fisher", "ec-iterative+row"]
    files = ["--csv", "c.csv", "--json", "c.json", "--html", "c.html"]
    text = run("compare", "--methods", *names, "--sparsities", "0.7,0.5", "--steps", 3, *files)
    record = read("c.json")
    measured = yardstick(CLASSES.mlp, TEST)
    data = Data(TRAIN, "cross_entropy", 0)
    rows = [
        {"method": name, "sparsity": s, **asdict(measured(pruner(name, CLASSES.mlp, data, steps=3)(s).mlp))}
        for name in names
        for s in (0.5, 0.7)
    ]
    assert record["rows"] == rows
    assert record["dense"] == {"method": "dense", "sparsity": 0.0, **asdict(measured(CLASSES.mlp))}
    assert (record["network"], record["loss"], record["steps"]) == (str(CLASSES.mlp), "cross_entropy", 3)
    table = list(csv.DictReader(Path("c.csv").read_text().splitlines()))
    assert [row["method"] for row in table] == ["dense", *(row["method"] for row in rows)]
    for line, row in zip(table[1:], rows):
        assert (float(line["test_loss"]), float(line["test_accuracy"])) == (row["loss"], row["accuracy"])
        assert (float(line["sparsity"]), float(line["change"])) == (row["sparsity"], row["change"])
    for name in names:
        lines = [line.split()[1:] for line in text.splitlines() if line.split()[:1] == [name]]
        losses = [_text.short(row["loss"]) for row in rows if row["method"] == name]
        assert [cell.rstrip("*") for cell in lines[0]] == losses
    for title, measure, best, shown in (
        ("test loss", "loss", min, _text.short),
        ("test accuracy", "accuracy", max, _text.percent),
        ("change of the output", "change", min, _text.short),
    ):
        table = next(part for part in text.split("\n\n") if part.startswith(title))
        first = best(row[measure] for row in rows[0::2])
        cells = {line.split()[0]: line.replace(" %", "%").split()[1] for line in table.splitlines()[2:]}
        for row in rows[0::2]:
            mark = "*" if row[measure] == first else ""
            assert cells[row["method"]] == shown(row[measure]).replace(" ", "") + mark
    assert "python -m ecprune_np compare network.npz" in Path("c.html").read_text()


def test_by_default_compare_takes_what_the_data_allow_and_what_prune_does(
    run: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_compare, "STEPS", 2)
    methods = {}
    for kind, network, data in (("classes", "network.npz", "data.npz"), ("values", "values.npz", "values_data.npz")):
        run("compare", "--steps", 2, "--sparsities", 0.5, "--json", "c.json", network=network, data=data)
        methods[kind] = [row["method"] for row in read("c.json")["rows"]]
    assert methods["classes"][-1] == methods["values"][-1] == _prune.USUAL
    assert "ec-fisher-iterative+row" in methods["classes"]
    assert "ec-fisher" in methods["classes"] and "ec-fisher" not in methods["values"]
    np.savez("values_data.npz", x=VALUES.x)
    text = run("compare", "--steps", 2, "--sparsities", 0.5, network="values.npz", data="values_data.npz")
    assert "gradient-magnitude" in methods["values"] and "gradient-magnitude" not in text
    assert "test loss" not in text and "change of the output" in text


def test_an_interruption_leaves_the_rows_that_are_done(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    original, calls = _compare.pruner, 0
    there: list[str] = []

    def interrupted(name: str, *arguments: Any, **options: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == 2:
            there.extend(file.read_text() for file in (Path("c.csv"), Path("c.json")) if file.exists())
            raise KeyboardInterrupt
        return original(name, *arguments, **options)

    monkeypatch.setattr(_compare, "pruner", interrupted)
    command = ["compare", "network.npz", "--data", "data.npz", "--methods", "magnitude", "wanda"]
    assert main([*command, "--sparsities", "0.5", "0.8", "--csv", "c.csv", "--json", "c.json"]) == 130
    out, err = capsys.readouterr()
    assert err == "interrupted: 2 of 4 rows are done\n"
    assert [row["method"] for row in read("c.json")["rows"]] == ["magnitude", "magnitude"]
    assert Path("c.csv").read_text().count("\n") == 4
    assert "wrote c.csv" in out and "wanda" not in out
    assert there == [Path("c.csv").read_text(), Path("c.json").read_text()]  # before it was interrupted
    calls = 1
    assert main([*command, "--csv", "other.csv"]) == 130
    out, err = capsys.readouterr()
    assert "no row is done" in out and not Path("other.csv").exists() and "wrote" not in out


def test_many_sparsities_and_long_names_fit_80_columns(run: Callable[..., str]) -> None:
    sparsities = [k / 20 for k in range(1, 20)]
    names = ["gradient-magnitude-cross_entropy+guarded", "ec-cross_entropy+independent"]
    text = run("compare", "--sparsities", *sparsities, "--methods", ",".join(names), "magnitude,,ec", "ec")
    for name in ("magnitude", "ec"):
        lines = [line for line in text.splitlines() if line.split()[:1] == [name]]
        assert sum(len(line.replace(" %", "").split()) - 1 for line in lines) == 3 * 19


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--sparsities", "1.5"], "--sparsities: expected numbers from 0 to 1 such as 0.5 0.9, got '1.5'"),
        (["--sparsities", "half"], "--sparsities: expected numbers from 0 to 1 such as 0.5 0.9, got 'half'"),
        (["--sparsities", ","], "--sparsities: expected numbers from 0 to 1 such as 0.5 0.9, got ','"),
        (["--methods", "magnitude", "best"], "method: expected RANKING"),
        (["--steps", "0"], "--steps: expected at least 1, got 0"),
    ],
)
def test_bad_options_of_compare_are_named(refused: Callable[..., str], options: list[str], message: str) -> None:
    assert refused("compare", *options).startswith(message)


def test_methods_that_need_targets_are_refused_where_there_are_none(capsys: pytest.CaptureFixture[str]) -> None:
    np.savez("data.npz", x=CLASSES.x)
    base = ["network.npz", "--data", "data.npz"]
    for arguments, message in [
        (["compare", *base, "--methods", "ec", "gradient-magnitude"], "gradient-magnitude: needs targets of training"),
        (["compare", *base, "--methods", "ec-mse"], "ec-mse: needs targets of training samples, and data.npz has none"),
        (["prune", *base, "--metric", "mse", "--sparsity", "0.5", "--out", "p.npz"], "ec-mse-iterative+row: needs"),
        (["score", *base, "--metric", "cross_entropy"], "--metric cross_entropy: needs targets of training samples"),
    ]:
        assert main(arguments) == 2
        out, err = capsys.readouterr()
        assert f"{arguments[0]}: {message}" in err and out == ""
    np.savez("data.npz", x=CLASSES.x, y=CLASSES.labels)
    assert main(["compare", *base, "--methods", "nonlinear", "ec-mse"]) == 2
    assert capsys.readouterr() == ("", f"{PROGRAM} compare: ec-mse: data.npz: y: expected shape (135, 3), got (135,)\n")


# progress, warnings, memory


def test_progress_is_shown_on_a_terminal_only(monkeypatch: pytest.MonkeyPatch) -> None:
    for stream, shown in ((Terminal(), True), (io.StringIO(), False)):
        monkeypatch.setattr(sys, "stderr", stream)
        assert list(_outputs.progress("pruning", [1, 2])) == [1, 2]
        _outputs.epoch_progress(2)(1, 0.5)
        _outputs.epoch_progress(1)(1, 0.5)
        assert bool(stream.getvalue()) == shown
        if shown:
            assert "pruning 2/2 [###############...............]" in stream.getvalue()
            assert "pruning 1/2 [..............................]" in stream.getvalue()
            assert stream.getvalue().endswith("\r\033[K")
            assert "training 1/2, loss 0.5000" in stream.getvalue()


def test_bites_are_counted_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", Terminal())
    options = ["--sparsity", "0.5", "--steps", "3", "--out", "p.npz"]
    assert main(["prune", "network.npz", "--data", "data.npz", *options]) == 0
    shown = sys.stderr.getvalue()
    assert [f"pruning {k}/3" in shown for k in (1, 2, 3)] == [True] * 3 and shown.endswith("\r\033[K")


def test_a_warning_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    silent = [b - 1e3 for b in CLASSES.mlp.biases[:1]]
    ec.MLP(CLASSES.mlp.weights, [*silent, *CLASSES.mlp.biases[1:]], ["relu", "tanh"]).save("network.npz")
    last = ec.MLP.load("network.npz")
    last.replace([*last.weights[:2], 1e-200 * last.weights[2]], last.biases).save("network.npz")
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        main(["score", "network.npz", "--data", "data.npz", "--metric", "output"])
    lines = capsys.readouterr().err.splitlines()
    assert lines and all(line.startswith("python -m ecprune_np score: ") for line in lines)


def test_memory_that_there_is_not_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def too_much(*_: Any, **__: Any) -> Iterator[Any]:
        raise MemoryError

    monkeypatch.setattr("ecprune_np.commands._score.collect_moments", too_much)
    assert main(["score", "network.npz", "--data", "data.npz"]) == 2
    assert capsys.readouterr().err == "python -m ecprune_np score: not enough memory\n"


@pytest.mark.parametrize("command", ["score", "prune", "compare", "demo"])
def test_help_fits_80_columns(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main([command, "--help"])
    lines = capsys.readouterr().out.splitlines()
    assert stopped.value.code == 0 and max(map(len, lines)) <= 80
