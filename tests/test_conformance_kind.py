"""Kind to the person who runs it: what a candidate prints, leaves changed or raises; parts of the suite; ctrl-C."""

from __future__ import annotations

import json
import os
import signal
import sys

import numpy as np
import pytest
from implementations.passes import numpy_float64
from implementations.right import noisy_and_rude
from test_conformance_cli import command, module  # noqa: F401

from ecprune_np import conformance
from ecprune_np.conformance import _suite, _worker
from ecprune_np.conformance._cli import INTERRUPTED
from ecprune_np.conformance._run import run
from ecprune_np.conformance._suite import Interrupted, run_suite, show_progress
from ecprune_np.conformance._text import wrapped
from ecprune_np.conformance._worker import load
from ecprune_np.conformance.diagnosis._estimates import tidy

CASES = conformance.cases()


def test_a_rude_candidate_spoils_no_other_case_and_is_told():
    """It prints, lets NumPy raise from then on, and overwrites its arguments: right all the same."""
    before = np.geterr()
    report = conformance.check(noisy_and_rude)
    assert report.verdict == "conforms", str(report)
    assert [finding.id for finding in report.diagnosis] == ["overwrites-arguments", "leaves-things-changed"]
    assert "np.seterr" in report.diagnosis[1].sentence and np.geterr() == before


def test_a_callers_own_error_state_fails_no_right_candidate():
    with np.errstate(all="raise"):
        assert conformance.check(numpy_float64).verdict == "conforms"
        assert np.geterr()["divide"] == "raise"


def test_what_a_candidate_prints_stands_on_stderr(capsys):
    run(noisy_and_rude, CASES[0])
    shown = capsys.readouterr()
    assert shown.out == "" and "computing" in shown.err


def test_a_single_function_that_is_replaced_is_put_back_and_named():
    mean = np.mean

    def candidate(weights, biases, activation, x):
        np.mean = None
        return numpy_float64(weights, biases, activation, x)

    assert run(candidate, CASES[0]).disturbed == ("numpy.mean",) and np.mean is mean


def test_overwritten_globals_are_put_back_and_named(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    mean, folder = np.mean, os.getcwd()

    def candidate(weights, biases, activation, x):
        np.mean = None
        np.set_printoptions(precision=1)
        os.environ["ECPRUNE_TEST"] = "1"
        os.chdir("/")
        del np.median
        return numpy_float64(weights, biases, activation, x) if len(x) > 1 else sys.exit(3)

    outcome = run(candidate, CASES[0])
    assert set(outcome.disturbed) == {
        "numpy.mean",
        "numpy.median",
        "np.set_printoptions",
        "os.environ",
        "the working directory",
    }
    assert np.mean is mean and np.median([1.0]) == 1 and os.getcwd() == folder and "ECPRUNE_TEST" not in os.environ
    assert np.get_printoptions()["precision"] == 8


def test_a_crash_shows_the_candidates_own_last_lines():
    def inner(x):
        return x.no_such_attribute

    def candidate(weights, biases, activation, x):
        return inner(x)

    report = conformance.check(candidate, CASES[:2])
    lines = report.results[0].outcome.traceback.splitlines()
    assert len(lines) == 2 and lines[-1].endswith("in inner: return x.no_such_attribute")
    assert lines[-1] in str(report) and "AttributeError" in str(report)
    assert report.to_dict()["results"][0]["traceback"] == report.results[0].outcome.traceback


def test_an_answer_that_changes_is_no_function_even_where_it_was_right_at_first():
    calls = []

    def candidate(weights, biases, activation, x):
        calls.append(len(x))
        importance, shift = numpy_float64(weights, biases, activation, x)
        return [v * (1 if len(calls) <= 3 else len(calls)) for v in importance], shift

    report = conformance.check(candidate, CASES[:3])
    assert report.verdict == "does not conform" and report.diagnosis[0].id == "random-or-growing"
    assert "asked again" in report.results[0].message


def test_an_answer_that_depends_on_what_came_before_is_told():
    seen = set()

    def candidate(weights, biases, activation, x):
        importance, shift = numpy_float64(weights, biases, activation, x)
        fresh = activation not in seen
        seen.add(activation)
        return [v * (2 if fresh else 3) for v in importance], shift

    report = conformance.check(candidate, CASES[:21:2])
    assert report.diagnosis[0].id == "depends-on-earlier-calls"


def test_report_names_version_date_dtypes_and_tolerances():
    data = json.loads(json.dumps(conformance.check(numpy_float64, CASES[:2]).to_dict()))
    assert data["version"] and data["vectors"] == 1 and data["date"].endswith("+00:00")
    assert data["dtypes"] == ["float64"] and data["tolerances"] == {"float64": 1e-9, "float32": 1e-3}


def test_an_unknown_mistake_comes_with_lines_that_run(capsys, monkeypatch):
    def candidate(weights, biases, activation, x):
        importance, shift = numpy_float64(weights, biases, activation, x)
        return [np.cos(50 * v) for v in importance], shift

    candidate.__qualname__ = "candidate"
    monkeypatch.setitem(sys.modules, "mine", type(sys)("mine"))
    sys.modules["mine"].candidate = candidate
    candidate.__module__ = "mine"
    text = str(conformance.check(candidate, CASES[20:30]))
    assert "No known mistake explains" in " ".join(text.split())
    lines = text.split("step by step:\n")[1].split("\n\n")[0].splitlines()
    assert len(lines) == 10 and max(map(len, lines)) <= 80
    exec("\n".join(line[4:] for line in lines), {})
    shown = capsys.readouterr().out
    assert "0 a [" in shown and "yours" in shown


# The loop


def test_ctrl_c_gives_the_results_so_far():
    def ask(case):
        if case is CASES[2]:
            raise KeyboardInterrupt
        return run(numpy_float64, case)

    with pytest.raises(Interrupted) as error:
        run_suite(ask, CASES[:5])
    assert [r.case for r in error.value.results] == list(CASES[:2]) and str(error.value) == "interrupted"


def test_slow_candidates_are_not_asked_again_and_their_progress_is_shown(monkeypatch, capsys):
    times = iter(range(0, 1000, 10))
    monkeypatch.setattr(_suite.time, "monotonic", lambda: float(next(times)))
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    asked = []

    def ask(case):
        asked.append(case)
        return run(numpy_float64, case)

    assert len(run_suite(ask, CASES[:3], progress=show_progress)) == len(asked) == 3
    shown = capsys.readouterr().err
    assert "1 of 3 cases, about 20 s left" in shown and shown.endswith("\r\033[K")


def test_progress_is_quiet_at_first_and_where_nobody_looks(capsys):
    show_progress(1, 2, 0.1)
    show_progress(1, 2, 100.0)
    assert capsys.readouterr().err == ""


# The command


def test_only_some_cases_and_groups(capsys):
    assert command("verify", "implementations.passes:numpy_float64", "--case", "depth-2", "--group", "biases") == 0
    assert "(4 of 4 cases pass)" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--case", "dept-2"], "--case: there is no 'dept-2'; is it one of depth-2"),
        (["--group", "zzz"], "--group: there is no 'zzz'; is it one of activations"),
    ],
)
def test_unknown_case_or_group_is_refused(capsys, options, message):
    assert command("verify", "implementations.passes:numpy_float64", *options) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("option", ["--html", "--json"])
def test_what_cannot_be_written_is_refused_before_the_run(capsys, tmp_path, option):
    for path, message in ((tmp_path / "no" / "a.x", "cannot be written"), (tmp_path, "which is a folder")):
        assert command("verify", "no_such_module:f", option, path) == 2
        assert message in capsys.readouterr().err
    assert command("vectors", "check", tmp_path, option, tmp_path) == 2


def test_x_stops_at_the_first_failure(capsys):
    assert command("verify", "implementations.wrong_passes:next_layer", "-x", "--group", "depth") == 1
    shown = " ".join(capsys.readouterr().out.split())
    assert "note: stopped at the first failure, after 3 of 8 cases" in shown


def test_a_file_may_be_named_and_what_it_prints_is_kept_out(capfd, tmp_path):
    file = tmp_path / "mine.py"
    file.write_text(
        "import os\nprint('imported')\nfrom implementations.passes import numpy_float64\n"
        "def f(*given):\n    os.write(1, b'deep below')\n    return numpy_float64(*given)\n",
        encoding="utf-8",
    )
    assert command("verify", f"{file}:f", "--case", "depth-1") == 0
    shown = capfd.readouterr()
    assert shown.out.startswith(str(file)) and "imported" in shown.err and "deep below" in shown.err


def test_import_error_shows_the_line(capsys, tmp_path):
    (tmp_path / "bad.py").write_text("x = 1\nx.nothing\n", encoding="utf-8")
    assert command("verify", f"{tmp_path / 'bad.py'}:f") == 2
    assert "bad.py:2 in <module>: x.nothing" in capsys.readouterr().err


@pytest.mark.skipif(os.name != "posix", reason="signals are POSIX's")
def test_ctrl_c_shows_the_report_so_far(capsys, module):  # noqa: F811
    module(
        "interrupting",
        """
        import os, signal
        from implementations.passes import numpy_float64

        def candidate(weights, biases, activation, x):
            if len(weights) == 3:
                os.kill(os.getppid(), signal.SIGINT)
                signal.pause()
            return numpy_float64(weights, biases, activation, x)
        """,
    )
    before = signal.getsignal(signal.SIGINT)
    assert command("verify", "interrupting:candidate") == INTERRUPTED
    shown = " ".join(capsys.readouterr().out.split())
    assert "note: interrupted after 1 of 89 cases" in shown and "(1 of 1 cases pass)" in shown
    assert signal.getsignal(signal.SIGINT) is before


def test_a_file_is_a_module_too(tmp_path, monkeypatch):
    """And its folder is searched for what it imports."""
    monkeypatch.setattr(sys, "path", [*sys.path])
    (tmp_path / "beside.py").write_text("answer = 42", encoding="utf-8")
    (tmp_path / "own_file.py").write_text(
        "from beside import answer\ndef candidate(*a): return answer", encoding="utf-8"
    )
    assert load(f"{tmp_path / 'own_file.py'}:candidate")() == 42
    for name in ("beside", "own_file"):
        sys.modules.pop(name)


def test_the_worker_leaves_ctrl_c_to_its_parent_and_prints_to_stderr(monkeypatch):
    done = []
    monkeypatch.setattr(signal, "signal", lambda *arguments: done.append(arguments))
    monkeypatch.setattr(os, "dup2", lambda *arguments: done.append(arguments))
    monkeypatch.setattr(_worker, "serve", lambda *arguments: done.append(arguments))
    _worker._live("connection", "a:b")
    assert done == [(signal.SIGINT, signal.SIG_IGN), (2, 1), ("connection", "a:b")]


def test_a_number_is_told_as_it_was_meant():
    """With one to three digits, or as a power of two."""
    assert [tidy(v) for v in (0.0200000001, 2.0**-23 * (1 + 1e-9), 0.123456)] == [0.02, 2.0**-23, 0.123456]


def test_a_mistakes_name_is_not_broken_at_its_hyphens_and_a_longer_word_than_a_line_is():
    first, second = wrapped("  1. ", "x" * 70 + " sensitivity-plus")
    assert (first, second) == ("  1. " + "x" * 70, "     sensitivity-plus")
    assert [len(line) for line in wrapped("  ", "y" * 100)] == [80, 24]


def test_an_answer_of_another_shape_the_second_time_is_another():
    seen = []

    def shrinking(weights, biases, activation, x):
        importance, shift = numpy_float64(weights, biases, activation, x)
        seen.append(x.tobytes())
        return ([a[:1] for a in importance] if seen.count(x.tobytes()) > 1 else importance), shift

    assert conformance.check(shrinking).verdict == "does not conform"
