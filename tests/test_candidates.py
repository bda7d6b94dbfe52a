"""The candidates under examples/: independent implementations conform, the one broken on purpose is told why."""

import importlib
import importlib.util
import shutil
import sys
import warnings
from pathlib import Path

import pytest

from ecprune_np import conformance

EXAMPLES = Path(__file__).parent.parent / "examples" / "candidates"
PEERS = "install the extra 'peers' to run the candidates in other libraries"


def candidate_of(monkeypatch, name, library, function="candidate"):
    """A candidate of an example; skipped where its library is absent."""
    if importlib.util.find_spec(library) is None:
        pytest.skip(f"{library} is not installed: {PEERS}")
    monkeypatch.syspath_prepend(str(EXAMPLES))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the library's own import
        return getattr(importlib.import_module(name), function)


@pytest.mark.parametrize("function", ["candidate", "candidate_float32"])
@pytest.mark.parametrize("name", ["torch_autograd", "torch_func"])
def test_torch_candidate_conforms(monkeypatch, name, function):
    report = conformance.check(candidate_of(monkeypatch, name, "torch", function))
    assert report.verdict == "conforms", str(report)
    assert all(result.case.options for result in report.with_status("skipped")), str(report)


def test_jax_candidate_conforms(monkeypatch):
    """A case of each group in float64, every tenth in float32: JAX compiles anew for every shape."""
    some = {case.group: case for case in conformance.cases()}.values()
    report = conformance.check(candidate_of(monkeypatch, "jax_candidate", "jax"), [*some])
    assert report.verdict == "conforms", str(report)
    assert all(result.case.options for result in report.with_status("skipped")), str(report)
    every_tenth = conformance.cases()[::10]
    report = conformance.check(candidate_of(monkeypatch, "jax_candidate", "jax", "candidate_float32"), every_tenth)
    assert report.verdict == "conforms", str(report)


def test_the_one_broken_on_purpose_is_told_why(monkeypatch):
    report = conformance.check(candidate_of(monkeypatch, "broken_on_purpose", "torch"))
    assert report.verdict == "does not conform"
    first = report.diagnosis[0]
    assert first.id == "gradient-of-the-sum" and first.explained == first.wrong
    assert str(report) in (EXAMPLES.parents[1] / "README.md").read_text(encoding="utf-8")


def test_c99_candidate_conforms(monkeypatch, tmp_path):
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        pytest.skip("no C compiler is installed")
    monkeypatch.syspath_prepend(str(EXAMPLES))
    report = importlib.import_module("run_c99").run(compiler, tmp_path)
    assert report.verdict == "conforms", str(report)
    assert all(result.case.options for result in report.with_status("skipped")), str(report)


def test_c99_run_says_where_there_is_no_compiler(monkeypatch, capsys):
    monkeypatch.syspath_prepend(str(EXAMPLES))
    run_c99 = importlib.import_module("run_c99")
    monkeypatch.setattr(run_c99.shutil, "which", lambda name: None)
    assert run_c99.main() == 77 and "no C compiler" in capsys.readouterr().out


@pytest.fixture(autouse=True)
def forget_examples():
    """Examples are imported by their plain names, which belong to nobody else."""
    yield
    for path in EXAMPLES.glob("*.py"):
        sys.modules.pop(path.stem, None)
