"""Whether the tests see a change: one-place mutants of the package, against the tests that run the line, then all.

    python tests/mutants.py [--mutants 300] [--seed 0] [--only scores.py …] [--jobs 2]

Not part of the tests: it takes an hour or more.  An operator, a comparison, a constant, a default, a condition or a
returned value is changed, or a statement dropped, in a copy of the project; what no test fails on is printed, for
people to judge: a mutant that changes nothing that anyone could see is no fault of the tests.
"""

from __future__ import annotations

import argparse
import ast
import copy
import json
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from queue import Queue

ROOT = Path(__file__).resolve().parents[1]
SECONDS, SLOWER = 60, 6  # a mutant that takes longer, and so many times longer than its tests, is seen: it hangs
OPERATORS: dict[type, type] = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.FloorDiv: ast.Mult,
    ast.Mod: ast.Mult, ast.Pow: ast.Mult, ast.MatMult: ast.Mult, ast.BitAnd: ast.BitOr, ast.BitOr: ast.BitAnd,
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In, ast.And: ast.Or, ast.Or: ast.And,
    ast.USub: ast.UAdd, ast.Not: ast.UAdd, ast.Invert: ast.UAdd,
}  # fmt: skip


@dataclass(frozen=True)
class Mutant:
    """A changed file, the line of the change, the lines of the function around it, and what it is."""

    file: str
    line: int
    around: range
    change: str
    source: str


def mutants(file: Path) -> Iterator[Mutant]:
    """Every mutant of a file."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    skipped = set(_not_executed(tree))
    functions = [f for f in ast.walk(tree) if isinstance(f, ast.FunctionDef)]  # outer ones before those within
    around = {node: range(f.lineno, (f.end_lineno or f.lineno) + 1) for f in functions for node in ast.walk(f)}
    for node in ast.walk(tree):
        if node in skipped:
            continue
        line = getattr(node, "lineno", 0)
        for change, undo in _changes(node):
            yield Mutant(str(file.relative_to(ROOT)), line, around.get(node, range(0)), change, ast.unparse(tree))
            undo()


def _not_executed(tree: ast.AST) -> Iterator[ast.AST]:
    """Docstrings, annotations, and the texts of messages: what no test should hold to the letter."""
    for node in ast.walk(tree):
        parts: list[ast.AST | None] = [getattr(node, "annotation", None), getattr(node, "returns", None)]
        if isinstance(node, (ast.JoinedStr, ast.Import, ast.ImportFrom)):
            parts.append(node)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            parts.append(node)
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and node.targets[0].id == "__all__":
            parts.append(node)
        if isinstance(node, ast.FunctionDef) and any("overload" in ast.unparse(d) for d in node.decorator_list):
            parts.append(node)
        for part in parts:
            if part is not None:
                yield from ast.walk(part)


def _changes(node: ast.AST) -> Iterator[tuple[str, object]]:
    """Make each change of one node in turn; the caller undoes it."""
    before = copy.copy(node.__dict__)

    def undo() -> None:
        node.__dict__.update(before)

    for field in ("op", "ops"):
        old = getattr(node, field, None)
        first = old[0] if isinstance(old, list) else old
        if type(first) in OPERATORS:
            new = OPERATORS[type(first)]()
            setattr(node, field, [new, *old[1:]] if isinstance(old, list) else new)
            yield f"{type(first).__name__} -> {type(new).__name__}", undo
    if isinstance(node, ast.Constant) and not isinstance(node.value, (str, bytes, type(None), type(...))):
        value = node.value
        for other in [not value] if isinstance(value, bool) else [value + 1, value * 1.01 if value else None]:
            if other is not None and (isinstance(value, float) or isinstance(other, (bool, int))):
                node.value = other
                yield f"{value!r} -> {other!r}", undo
    for field in ("body", "orelse", "finalbody"):
        statements = getattr(node, field, None)
        for k, statement in enumerate(statements if isinstance(statements, list) else []):
            if isinstance(statement, (ast.Expr, ast.Assign, ast.AugAssign, ast.Raise, ast.If, ast.For)):
                if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant):
                    continue  # a docstring
                if isinstance(statement, ast.Assign) and not _within_function(node):
                    continue  # a name that is missing is no mutant
                setattr(node, field, [*statements[:k], ast.Pass(), *statements[k + 1 :]])
                yield f"dropped: {ast.unparse(statement).splitlines()[0][:70]} (line {statement.lineno})", undo
    if isinstance(node, (ast.If, ast.IfExp)):
        node.test = ast.Constant(True)
        yield "condition -> True", undo
    if isinstance(node, ast.Return) and node.value is not None and not isinstance(node.value, ast.Constant):
        node.value = ast.Constant(None)
        yield "returned value -> None", undo


def _within_function(node: ast.AST) -> bool:
    return not isinstance(node, (ast.Module, ast.ClassDef))


@dataclass(frozen=True)
class Known:
    """Of the unchanged project: file -> line -> the tests that run it, and the seconds that each test takes."""

    lines: dict[str, dict[int, set[str]]]
    seconds: dict[str, float]


def known(folders: list[Path]) -> Known:
    """What a run of all tests shows, each copy of the project taking its share of the files, the largest ones first."""
    files = sorted((ROOT / "tests").glob("test_*.py"), key=lambda f: f.stat().st_size, reverse=True)
    shares = [[f"tests/{f.name}" for f in files[k :: len(folders)]] for k in range(len(folders))]
    with ThreadPoolExecutor(len(folders)) as pool:
        parts = list(pool.map(_known_of, folders, shares))
    lines: dict[str, dict[int, set[str]]] = {}
    for part in parts:
        for file, of_file in part.lines.items():
            for line, tests in of_file.items():
                lines.setdefault(file, {}).setdefault(line, set()).update(tests)
    return Known(lines, {name: s for part in parts for name, s in part.seconds.items()})


def _known_of(folder: Path, files: list[str]) -> Known:
    config, report = folder / "contexts.rc", folder / "contexts.json"
    options = f"source_pkgs = ecprune_np\ndynamic_context = test_function\ndata_file = {folder / '.coverage.contexts'}"
    config.write_text(f"[run]\n{options}\n")
    coverage = [sys.executable, "-m", "coverage"]
    pytest = ["-m", "pytest", "-q", "--durations=0", "-vv", *files]
    result = _run(folder, [*coverage, "run", f"--rcfile={config}", *pytest])
    if result.returncode != 0:
        raise SystemExit(f"the tests of the unchanged project fail:\n{result.stdout[-3000:]}")
    _run(folder, [*coverage, "json", f"--rcfile={config}", "--show-contexts", "-q", "-o", str(report)])
    seconds: dict[str, float] = {}
    for time, file, name in re.findall(r"^([\d.]+)s \w+ +tests/(\w+)\.py::(\w+)", result.stdout, re.MULTILINE):
        seconds[f"{file}.{name}"] = seconds.get(f"{file}.{name}", 0.0) + float(time)
    return Known(
        {
            file: {int(line): {c for c in contexts if c} for line, contexts in record["contexts"].items()}
            for file, record in json.loads(report.read_text())["files"].items()
        },
        seconds,
    )


def tests_of(mutant: Mutant, lines: dict[int, set[str]]) -> set[str]:
    """The tests that run the line, or the function around it, or, where that is done on import, the file."""
    of_function = set().union(*(lines.get(line, set()) for line in mutant.around))
    return lines.get(mutant.line, set()) or of_function or set().union(*lines.values())


def _selected(tests: set[str], seconds: dict[str, float]) -> list[str]:
    """pytest's arguments for coverage's names of functions, such as test_scores.test_a; quick files first."""
    by_file: dict[str, list[str]] = {}
    for name in sorted(tests):
        by_file.setdefault(name.split(".", 1)[0], []).append(name)
    quick_first = sorted(by_file.values(), key=lambda names: sum(seconds.get(name, 0.0) for name in names))
    return ["tests/{}.py::{}".format(*name.split(".", 1)) for names in quick_first for name in names]


def _passes(folder: Path, tests: list[str], profile: str, seconds: dict[str, float]) -> bool:
    """Whether tests pass; raises TimeoutExpired where they take many times what they take of the unchanged project."""
    names = {test.removeprefix("tests/").replace(".py::", ".").removesuffix(".py") for test in tests}
    usual = sum(time for name, time in seconds.items() if name in names or name.split(".")[0] in names)
    command = [sys.executable, "-m", "pytest", "-x", "-q", *tests]
    return _run(folder, command, SECONDS + SLOWER * usual, profile).returncode == 0


def _run(
    folder: Path, command: list[str], seconds: float | None = None, profile: str = "again"
) -> subprocess.CompletedProcess[str]:
    """Run a command with as many drawn networks as the profile says; raises TimeoutExpired."""
    environment = _environment(folder) | {"HYPOTHESIS_PROFILE": profile}
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=seconds, env=environment)


def _environment(folder: Path) -> dict[str, str]:
    threads = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    return {**os.environ, **threads, "PYTHONPATH": str(folder)}


def copy_of_project(folder: Path) -> Path:
    """The project in a folder of its own, which mutants may spoil."""
    ignored = shutil.ignore_patterns("__pycache__", ".*_cache", ".venv", ".hypothesis")
    shutil.copytree(ROOT, folder, ignore=ignored)
    return folder


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--mutants", type=int, default=300, help="how many, drawn from all (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of the draw")
    parser.add_argument("--only", nargs="+", default=[""], metavar="PART", help="files whose paths contain one")
    parser.add_argument("--jobs", type=int, default=2, help="at a time (default: %(default)s)")
    options = parser.parse_args()
    everything = sorted((ROOT / "ecprune_np").rglob("*.py"))
    files = [f for f in everything if any(part in str(f.relative_to(ROOT)) for part in options.only)]
    candidates = [m for file in files for m in mutants(file)]
    chosen = random.Random(options.seed).sample(candidates, min(options.mutants, len(candidates)))
    print(f"{len(chosen)} of {len(candidates)} mutants in {len(files)} files", flush=True)
    with tempfile.TemporaryDirectory() as temporary:
        folders: Queue[Path] = Queue()
        for k in range(options.jobs):
            folders.put(copy_of_project(Path(temporary) / f"copy{k}"))
        unchanged = known(list(folders.queue))
        every_file = [f"tests/{name}.py" for name in dict.fromkeys(name.split(".")[0] for name in unchanged.seconds)]

        def outcome(mutant: Mutant) -> str:
            """Killed, survived, or hangs: the tests take many times what they take."""
            tests = tests_of(mutant, unchanged.lines.get(mutant.file, {})) or set(unchanged.seconds)
            selected = _selected(tests, unchanged.seconds)
            files = list(dict.fromkeys(test.partition("::")[0] for test in selected))
            stages = [(selected, "again"), (selected, "ci"), (files, "ci"), (every_file, "again")]
            folder = folders.get()
            file = folder / mutant.file
            original = file.read_text(encoding="utf-8")
            try:
                file.write_text(mutant.source, encoding="utf-8")
                passed = (_passes(folder, tests, profile, unchanged.seconds) for tests, profile in stages)
                return "survived" if all(passed) else "killed"
            except subprocess.TimeoutExpired:
                return "hangs"
            finally:
                file.write_text(original, encoding="utf-8")
                folders.put(folder)

        counts: dict[str, list[int]] = {}
        with ThreadPoolExecutor(options.jobs) as pool:
            for mutant, what in zip(chosen, pool.map(outcome, chosen)):
                count = counts.setdefault(mutant.file, [0, 0])
                count[what == "survived"] += 1
                print(f"{what:<9} {mutant.file}:{mutant.line}  {mutant.change}", flush=True)
    for name, (killed, survived) in sorted(counts.items()):
        print(f"{name:<50} {killed:>4} killed {survived:>3} survived")
    killed = sum(count[0] for count in counts.values())
    print(f"score: {killed} of {len(chosen)} killed, {100 * killed / len(chosen):.1f} %")
    return 0


if __name__ == "__main__":
    sys.exit(main())
