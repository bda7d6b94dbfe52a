"""The command line as a whole: its two names, any terminal's encoding; and `equations`, which prints and checks."""

from __future__ import annotations

import contextlib
import io
import os
import subprocess
import sys
import warnings
from dataclasses import replace
from pathlib import Path

import pytest

import ecprune_np as ec
from ecprune_np import equations
from ecprune_np.__main__ import main

ALL = equations.numbered_equations()
PARABOLA = equations.find("EC-3.5")[0]


def printed(*arguments: str, encoding: str = "utf-8") -> str:
    """What a command prints on a terminal of this encoding."""
    terminal = io.TextIOWrapper(io.BytesIO(), encoding)
    with contextlib.redirect_stdout(terminal):
        assert main(arguments) == 0
    return terminal.buffer.getvalue().decode(encoding)


def solid(text: str) -> str:
    """The text without its white space, which is all that wrapping adds."""
    return "".join(text.split())


@pytest.mark.parametrize(
    ("started", "name"),
    [
        ("/somewhere/ecprune_np/__main__.py", "python -m ecprune_np"),
        ("/somewhere/bin/ecprune_np", "ecprune_np"),
        ("ecprune_np.exe", "ecprune_np"),
    ],
)
def test_the_program_has_the_name_that_it_was_started_by(
    started: str, name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", [started])
    assert main(["equations", "0"]) == 2
    assert capsys.readouterr().err.startswith(f"{name} equations: label: expected")
    with pytest.raises(SystemExit):
        main(["--help"])
    assert capsys.readouterr().out.startswith(f"usage: {name} [-h]")
    with pytest.raises(SystemExit) as stopped:
        main(["--version"])
    assert (stopped.value.code, capsys.readouterr().out) == (0, f"{ec.__version__}\n")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["score", "network.npz"], " score: the following arguments are required: --data"),
        (
            ["score", "n.npz", "--data", "d.npz", "--metric", "best"],
            " score: argument --metric: invalid choice: 'best'",
        ),
        (["score", "n.npz", "--data", "d.npz", "--seed", "a"], " score: argument --seed: invalid int value: 'a'"),
        (["guess"], ": argument COMMAND: invalid choice: 'guess'"),
        ([], ": the following arguments are required: COMMAND"),
    ],
)
def test_arguments_that_cannot_be_understood_are_named_in_one_line(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    out, err = capsys.readouterr()
    assert (stopped.value.code, out, err.count("\n")) == (2, "", 1)
    assert err.startswith(f"python -m ecprune_np{message}") and err.endswith("; see --help\n")


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "iso8859-7", "utf-8"])
@pytest.mark.parametrize("label", [[], ["3.4"]])
def test_what_an_encoding_lacks_is_a_question_mark(label: list[str], encoding: str) -> None:
    whole = printed("equations", *label)
    assert "Φ" in whole
    assert printed("equations", *label, encoding=encoding) == whole.encode(encoding, "replace").decode(encoding)


def test_a_terminal_without_greek_letters_is_no_error() -> None:
    environment = {**os.environ, "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    command = [sys.executable, "-m", "ecprune_np", "equations", "EC-3.5"]
    run = subprocess.run(command, capture_output=True, text=True, env=environment, check=True)
    assert "EC-3.5  importance" in run.stdout and run.stderr == ""


def test_output_may_go_to_what_is_no_terminal() -> None:
    with contextlib.redirect_stdout(io.StringIO()) as text:
        assert main(["equations", "EC-3"]) == 0
    assert PARABOLA.statement in text.getvalue()


def test_equations_stay_within_80_columns() -> None:
    texts = [equations.table(ALL), *map(str, ALL), equations.check(ALL)[0]]
    assert [line for text in texts for line in text.splitlines() if len(line) > 80] == []


@pytest.mark.parametrize("equation", ALL, ids=lambda e: e.label)
def test_wrapping_loses_nothing(equation: equations.Equation) -> None:
    parts = [equation.name, equation.statement, equation.page, *equation.implemented, *equation.tested, equation.latex]
    assert [part for part in parts if solid(part) not in solid(str(equation))] == []


def test_ranges_are_cited_whole() -> None:
    assert equations.labels("EC-4.1 to EC-4.3, EC-5, (EC-3.4).") == ["EC-4.1", "EC-4.3", "EC-5", "EC-3.4", "EC-4.2"]


# equations --check


TESTS = '''
@pytest.mark.parametrize("k", [1], ids=["EC-3.6"])
def test_decorated(k): ...

def test_ec_3_5_by_name(): ...

class TestGroup:
    def test_by_docstring(self):
        """EC-3.1 to EC-3.8."""
    def test_in_a_comment_only(self):
        pass  # EC-3.5
'''


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A small clone: one page, which names `forward` beside EC-3.5, and one file of tests."""
    page = "<!-- EC-3.5 exact, importance: I | in scores.uncompensated, mlp.forward -->\n<!-- EC-3.6 exact, R: R -->\n"
    for name, text in ((PARABOLA.page, page), ("tests/test_it.py", TESTS)):
        file = tmp_path / name
        file.parent.mkdir()
        file.write_text(text, encoding="utf-8")
    return tmp_path


def place(**changes: tuple[str, ...]) -> tuple[equations.Equation]:
    """EC-3.5 with an implementation that cites it and a test that does, but for the changes."""
    good = {
        "implemented": ("ecprune_np.scores.elimination_compensation",),
        "tested": ("tests/test_it.py::test_ec_3_5_by_name",),
    }
    return (replace(PARABOLA, **{**good, **changes}),)


def test_every_equation_is_cited_where_it_is_said_to_be(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["equations", "--check"]) == 0
    out = capsys.readouterr().out
    assert out.startswith(f"{len(ALL)} equations: docstrings cite them ") and out.count("\n") == 1


@pytest.mark.parametrize(
    "holds",
    [
        {},
        {"implemented": ("ecprune_np.mlp.forward",)},
        {"tested": ("tests/test_it.py::TestGroup::test_by_docstring",)},
    ],
)
def test_a_citation_and_a_name_on_the_page_are_enough(source: Path, holds: dict[str, tuple[str, ...]]) -> None:
    summary, failed = equations.check(place(**holds), source)
    assert failed == []
    assert summary.startswith("1 equations: ")


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"implemented": ()}, "nothing implements it"),
        ({"tested": ()}, "nothing tests it"),
        ({"implemented": ("ecprune_np.scores.nowhere",)}, "there is no ecprune_np.scores.nowhere"),
        ({"implemented": ("ecprune_np.nowhere.f",)}, "there is no ecprune_np.nowhere.f"),
        (
            {"implemented": ("ecprune_np.mlp.pullback",)},
            f"neither cited by the docstring of ecprune_np.mlp.pullback nor does {PARABOLA.page} name it",
        ),
        ({"tested": ("tests/test_it.py::test_nothing",)}, "there is no test_nothing in tests/test_it.py"),
        ({"tested": ("tests/test_that.py::test_it",)}, "there is no test_it in tests/test_that.py"),
        ({"tested": ("tests/test_it.py::test_decorated",)}, "not cited by test_decorated in tests/test_it.py"),
        (
            {"tested": ("tests/test_it.py::TestGroup::test_in_a_comment_only",)},
            "not cited by TestGroup::test_in_a_comment_only in tests/test_it.py",
        ),
    ],
)
def test_what_does_not_hold_is_said(source: Path, wrong: dict[str, tuple[str, ...]], said: str) -> None:
    assert equations.check(place(**wrong), source)[1] == [f"EC-3.5: {said}"]


def test_a_page_names_functions_for_one_equation_only(source: Path) -> None:
    (equation,) = place(implemented=("ecprune_np.mlp.forward",), tested=("tests/test_it.py::test_decorated",))
    (failure,) = equations.check((replace(equation, label="EC-3.6"),), source)[1]
    assert failure.startswith("EC-3.6: neither cited by the docstring of ecprune_np.mlp.forward")


def test_where_only_the_package_is_installed_its_docstrings_are_looked_at(tmp_path: Path) -> None:
    summary, failed = equations.check(place(tested=("tests/test_it.py::test_nothing",)), tmp_path)
    assert failed == []
    assert summary.splitlines()[1].startswith("not installed, so not looked at: tests, and pages")
    assert max(map(len, equations.check(ALL, tmp_path)[0].splitlines())) <= 80
    assert equations.check(place(implemented=("ecprune_np.scores.nowhere",)), tmp_path)[1] != []


def test_a_check_that_fails_exits_with_1(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    long = "tests/test_it.py::test_" + "_".join(["very"] * 11)
    monkeypatch.setattr(equations, "numbered_equations", lambda: place(tested=(long,)))
    assert main(["equations", "--check"]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert "EC-3.5: there is no" in lines[0] and max(map(len, lines)) <= 80


def test_a_reader_that_has_seen_enough_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """As `head`: standard output is let go, so that Python does not complain at its end."""
    let_go: list[tuple[int, int]] = []

    def broken(options: object) -> int:
        raise BrokenPipeError

    monkeypatch.setattr(equations, "run", broken)
    monkeypatch.setattr(os, "dup2", lambda new, old: let_go.append((new, old)))
    with open(os.devnull, "w") as numbered:  # unlike pytest's own
        monkeypatch.setattr(sys, "stdout", numbered)
        assert main(["equations"]) == 141
    assert len(let_go) == 1


@pytest.mark.filterwarnings("always")
def test_a_warning_is_one_line_that_names_the_command_and_no_failure(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without a file, a line number and a line of code; what prints warnings otherwise does so again afterwards."""

    def warned(options: object) -> int:
        warnings.warn("all importances are 0 in layer 0", stacklevel=1)
        print("scores")
        return 0

    monkeypatch.setattr(equations, "run", warned)
    monkeypatch.setattr(sys, "argv", ["ecprune_np"])
    shows = warnings.showwarning
    assert main(["equations"]) == 0 and warnings.showwarning is shows
    said = "ecprune_np equations: warning: all importances are 0 in layer 0\n"
    assert capsys.readouterr() == ("scores\n", said)
