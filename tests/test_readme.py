"""What the README shows is what runs."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import ecprune_np as ec
from ecprune_np.__main__ import main

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def block(after: str, language: str) -> str:
    """The first fenced block of a language behind a phrase."""
    found = re.search(rf"{re.escape(after)}.*?```{language}\n(.*?)```", README, re.DOTALL)
    assert found, after
    return found.group(1)


def test_the_snippet_is_the_quickstart_and_prints_what_it_says() -> None:
    script = ROOT / "examples" / "quickstart.py"
    assert script.read_text(encoding="utf-8").split('"""\n\n', 1)[1] == block("## As a library", "python")
    run = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, check=True)
    shown = [line.split() for line in block("quickstart.py", "text").splitlines()]
    printed = [line.split() for line in run.stdout.splitlines()]
    assert [line[0] for line in printed] == [line[0] for line in shown] == ["dense", "EC", "magnitude"]
    for (name, got, _), (_, expected, _) in zip(printed, shown):
        assert abs(float(got) - float(expected)) <= 2, (name, got, expected)  # another BLAS, other roundings
    dense, compensated, magnitude = (float(line[1]) for line in printed)
    assert dense >= compensated > magnitude


def test_the_four_lines_at_the_top_load_score_prune_and_summarise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    code = block("# ecprune_np", "python")
    assert len(code.splitlines()) == 2 + 4 and code in README.split("\n## ")[0]
    rng = np.random.default_rng(0)
    ec.MLP.initialize([4, 9, 3], seed=0).save("network.npz")
    x = rng.standard_normal((50, 4))
    exec(code, {"x": x, "x_test": x, "y_test": rng.integers(0, 3, 50)})
    assert "accuracy" in capsys.readouterr().out


def test_the_three_commands_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    ec.MLP.initialize([4, 9, 3], seed=0).save("network.npz")
    np.savez("data.npz", x=rng.standard_normal((50, 4)), y=rng.integers(0, 3, 50))
    commands = [shlex.split(line) for line in block("## Prune my network", "sh").splitlines()]
    assert [command[:4] for command in commands] == [
        ["python", "-m", "ecprune_np", name] for name in ("score", "prune", "compare")
    ]
    assert [main(command[3:]) for command in commands] == [0, 0, 0]


def test_every_public_name_in_the_readme_exists() -> None:
    names = set(re.findall(r"`ec\.([A-Za-z_.]+)", README))
    assert names
    for name in names:
        thing: object = ec
        for part in name.split("."):
            thing = getattr(thing, part)


def test_where_to_read_names_every_public_file_and_folder_once_and_the_street_in_its_order() -> None:
    table = README.split("## Where to read")[1].split("\n## ")[0]
    cells = [line.split(" | ")[0] for line in table.splitlines() if line.startswith("| `")]
    named = [name for cell in cells for name in re.findall(r"`(\w+(?:\.py|/))`", cell)]
    package = Path(ec.__file__).parent
    files = {path.name for path in package.glob("[a-z]*.py")}
    assert sorted(named) == sorted(files | {f"{path.parent.name}/" for path in package.glob("*/__init__.py")})
    assert named[:6] == [f"{name}.py" for name in ("activations", "mlp", "losses", "metrics", "moments", "scores")]


def test_moments_of_parts_are_merged_and_a_broken_stream_is_taken_up_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    mlp = ec.MLP.initialize([4, 5, 2], seed=0)
    parts = list(np.random.default_rng(0).standard_normal((6, 10, 4)))
    broken = [*parts[:2], np.full((10, 4), np.nan), *parts[2:]]
    whole = ec.collect_moments(mlp, np.concatenate(parts))
    for after, given in [
        ("so any map-reduce will do", {"partitions": parts}),
        ("collected is not lost", {"batches": lambda: iter(broken)}),
    ]:
        names = {"ec": ec, "mlp": mlp, **given}
        exec(block(after, "python"), names)
        assert names["moments"].n_samples == 60
        for a, b in zip(names["moments"].variance, whole.variance):
            np.testing.assert_allclose(a, b, rtol=1e-12)


def test_a_pruned_network_is_saved_loaded_trained_and_pruned_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    x = np.random.default_rng(0).standard_normal((30, 4))
    names = {"ec": ec, "mlp": ec.MLP.initialize([4, 5, 2], seed=0), "x": x, "y": x[:, :2]}
    exec(block("## Files, and going on", "python"), names)
    assert names["pruned"].sparsity == 0.8
    objects = {
        "MLP": names["mlp"],
        "Pruned": names["pruned"],
        "SparseMLP": names["pruned"].to_sparse(),
        "Moments": ec.collect_moments(names["mlp"], x),
        "Scores": ec.criteria.magnitude(names["mlp"]),
    }
    section = README.split("## Files, and going on")[1].split("\n## ")[0]
    rows = [line.split(" | ") for line in section.splitlines() if line.startswith("| `") and "kind" not in line]
    assert [kind for row in rows for kind in re.findall(r"`(\w+)`", row[0])] == list(objects)
    for kind, value in objects.items():
        value.save(tmp_path / "it.npz")
        stored = {re.sub(r"_\d+$", "_l", name) for name in np.load(tmp_path / "it.npz")} - {"kind", "version"}
        told = next(row[1] for row in rows if f"`{kind}`" in row[0])
        said = set(re.findall(r"`(\w+)`", told)) - {"MLP"}
        assert said | ({"biases_l", "activation", "output_activation"} if "as `MLP`" in told else set()) == stored


def test_ci_calls_the_readmes_test_command_first() -> None:
    commands = [line for line in README.splitlines() if "-m pytest" in line]
    ci = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert len(commands) == 1
    wanted = [part.strip() for part in commands[0].replace(".venv/bin/", '"$bin/').split("&&")[1:]]
    executed = [
        line.replace('pip" install --quiet', 'pip" install') for line in ci.splitlines() if line.startswith('"$bin')
    ]
    assert [line.replace('"', "") for line in executed[:2]] == [part.replace('"', "") for part in wanted]
