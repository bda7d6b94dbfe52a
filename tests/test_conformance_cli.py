"""`verify` in a process of its own, and the language-neutral vectors, through the command line."""

import json
import math
import os
import signal
import sys
import textwrap

import numpy as np
import pytest
from implementations.passes import numpy_float64
from implementations.right import numpy_float32, textbook, without_elu
from implementations.wrong_passes import next_layer

from ecprune_np import conformance
from ecprune_np.__main__ import main
from ecprune_np.conformance._cases import INDEX, SCHEMA, VECTORS
from ecprune_np.conformance._kinds import OPTIONS
from ecprune_np.conformance._worker import READY, CannotImport, check_in_worker, load, serve

CASES = conformance.cases()
ALL = conformance.cases(options=OPTIONS)
SOME = CASES[:3]


def command(*arguments):
    """The exit code of a command line."""
    return main([str(argument) for argument in arguments])


@pytest.fixture
def module(tmp_path, monkeypatch):
    """Write a module that can be imported by name, also by the worker."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def write(name, text):
        (tmp_path / f"{name}.py").write_text(textwrap.dedent(text), encoding="utf-8")
        return name

    yield write
    for name in [n for n, m in sys.modules.items() if str(getattr(m, "__file__", "")).startswith(str(tmp_path))]:
        del sys.modules[name]


# verify


def test_right_candidate_exits_with_0_and_its_report(capsys, tmp_path):
    files = [tmp_path / "report.json", tmp_path / "report.html"]
    assert command("verify", "implementations.passes:numpy_float64", "--json", files[0], "--html", files[1]) == 0
    shown = capsys.readouterr().out
    assert shown.startswith(f"implementations.passes:numpy_float64: conforms ({len(CASES)} of {len(CASES)} cases pass)")
    assert json.loads(files[0].read_text(encoding="utf-8"))["verdict"] == "conforms"
    assert files[1].read_text(encoding="utf-8").startswith("<!DOCTYPE html>")


def test_low_accuracy_exits_with_0_and_with_1_where_strict(capsys):
    assert command("verify", "implementations.right:textbook", "--timeout", "30") == 0
    assert command("verify", "implementations.right:textbook", "--strict") == 1
    assert "conforms with low accuracy" in capsys.readouterr().out


def test_wrong_candidate_exits_with_1_and_its_diagnosis(capsys):
    assert command("verify", "implementations.wrong_passes:diagonal_backward") == 1
    assert "squares-propagated" in capsys.readouterr().out


def test_worker_and_this_process_find_the_same(capsys):
    for name, candidate in (("wrong_passes:next_layer", next_layer), ("right:without_elu", without_elu)):
        here = conformance.check(candidate)
        there = check_in_worker(f"implementations.{name}", CASES, 60)
        assert [(str(r.case), r.status, r.message) for r in here.results] == [
            (str(r.case), r.status, r.message) for r in there.results
        ]


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("no_such_module_of_mine:f", "cannot import 'no_such_module_of_mine:f': ModuleNotFoundError"),
        ("implementations.wrong:nothing", "AttributeError"),
        ("implementations.wrong:WRONG", "expected a callable, got list"),
        ("implementations", "candidate: expected package.module:function or file.py:function, got 'implementations'"),
        (":f", "expected package.module:function or file.py:function"),
    ],
)
def test_candidate_that_cannot_be_imported_is_told_why(target, message):
    pipe = Pipe()
    serve(pipe, target)
    (told,) = pipe.sent  # and not that it is ready
    assert message in told


def test_candidate_that_cannot_be_imported_exits_with_2(capsys):
    assert command("verify", "no_such_module_of_mine:f") == 2
    shown = capsys.readouterr()
    assert "cannot import 'no_such_module_of_mine:f': ModuleNotFoundError" in shown.err and shown.out == ""


def test_import_that_fails_or_ends_the_process_exits_with_2(capsys, module):
    assert command("verify", module("raising", "raise RuntimeError('no licence')") + ":f") == 2
    assert "RuntimeError: no licence" in capsys.readouterr().err
    assert command("verify", module("leaving", "import sys; sys.exit(0)") + ":f") == 2
    assert "SystemExit" in capsys.readouterr().err
    assert command("verify", module("dying", "import os; os._exit(7)") + ":f") == 2
    assert "ended the process (exit code 7)" in capsys.readouterr().err


def test_hanging_case_is_interrupted_and_the_rest_goes_on(module):
    module(
        "hanging",
        """
        import threading
        from implementations.passes import numpy_float64

        def candidate(weights, biases, activation, x):
            if activation == "relu" and len(weights) == 2:
                threading.Event().wait()
            return numpy_float64(weights, biases, activation, x)
        """,
    )
    chosen = tuple(case for case in CASES if case.group == "activations")[:6]
    report = check_in_worker("hanging:candidate", chosen, 2.0)
    assert [r.status for r in report.results] == ["passed", "passed", "failed", "passed", "passed", "passed"]
    assert report.results[2].message.startswith("timed out after ")


@pytest.mark.parametrize(
    ("end", "message"),
    [("os._exit(3)", "the process ended (exit code 3)"), ("os.kill(os.getpid(), 9)", "the process ended (signal 9)")],
)
def test_crash_is_the_cases_failure(module, end, message):
    if "kill" in end and os.name != "posix":
        pytest.skip("signals are POSIX's")
    module(
        "crashing",
        f"""
        import os
        from implementations.passes import numpy_float64

        def candidate(weights, biases, activation, x):
            if len(weights) == 3:
                {end}
            return numpy_float64(weights, biases, activation, x)
        """,
    )
    report = check_in_worker("crashing:candidate", SOME, 60)
    assert [r.status for r in report.results] == ["passed", "failed", "passed"]
    assert report.results[1].message == message


class Pipe:
    """The worker's end of a connection, with what is to be received."""

    def __init__(self, *received):
        self.received, self.sent = list(received), []

    def recv(self):
        if not self.received:
            raise EOFError
        return self.received.pop(0)

    def send(self, message):
        self.sent.append(message)


@pytest.mark.parametrize("messages", [(SOME[0], None), (SOME[0],)])
def test_worker_answers_until_it_is_told_to_stop_or_nobody_asks(messages):
    pipe = Pipe(*messages)
    serve(pipe, "implementations.passes:numpy_float64")
    assert pipe.sent[0] == READY and len(pipe.sent) == 2
    np.testing.assert_allclose(pipe.sent[1].importance[0], SOME[0].reference.importance[0], rtol=1e-12)


def test_load_finds_attributes_of_attributes():
    assert load("os:path.join") is os.path.join
    with pytest.raises(CannotImport, match="cannot import"):
        load("os:path.nothing")
    with pytest.raises(CannotImport, match="expected a callable, got str"):
        load("os:name")


@pytest.mark.parametrize("seconds", ["0", "-1", "inf", "nan", "soon"])
def test_timeout_must_be_positive(capsys, seconds):
    with pytest.raises(SystemExit) as error:
        command("verify", "implementations.passes:numpy_float64", f"--timeout={seconds}")
    assert error.value.code == 2 and "--timeout" in capsys.readouterr().err


def test_help_says_that_importing_runs_code(capsys):
    with pytest.raises(SystemExit):
        command("verify", "--help")
    assert "RUNS THE MODULE'S CODE" in " ".join(capsys.readouterr().out.split())


def test_colour_only_on_a_terminal_and_without_no_color(capsys, monkeypatch, vectors):
    assert command("vectors", "check", vectors) == 0
    assert "\033" not in capsys.readouterr().out
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert command("vectors", "check", vectors) == 0
    assert "\033[32mconforms\033[0m" in capsys.readouterr().out
    monkeypatch.setenv("NO_COLOR", "1")
    assert command("vectors", "check", vectors) == 0
    assert "\033" not in capsys.readouterr().out


# vectors


def compute(folder, candidate, **more):
    """Work through the vectors of a folder as another language would: JSON in, JSON out."""
    for case in CASES:
        data = json.loads((folder / f"{case}.json").read_text(encoding="utf-8"))
        weights, biases = [np.array(w) for w in data["weights"]], [np.array(b) for b in data["biases"]]
        try:
            importance, shift = candidate(weights, biases, data["activation"], np.array(data["x"]))
            result = {"importance": [v.tolist() for v in importance], "bias_shift": [v.tolist() for v in shift], **more}
        except NotImplementedError as error:
            result = {"skipped": str(error)}
        (folder / f"{case}.out.json").write_text(json.dumps(result), encoding="utf-8")


@pytest.fixture(scope="module")
def vectors_once(tmp_path_factory):
    folder = tmp_path_factory.mktemp("vectors")
    assert command("vectors", "write", folder) == 0
    compute(folder, numpy_float64)
    return folder


@pytest.fixture
def vectors(vectors_once, tmp_path):
    """A folder with all vectors and right results, to be spoilt."""
    import shutil

    return shutil.copytree(vectors_once, tmp_path / "copy")


@pytest.fixture
def results(vectors_once, tmp_path):
    """A folder with the results alone, to be spoilt."""
    import shutil

    for file in vectors_once.glob("*.out.json"):
        shutil.copy(file, tmp_path)
    return tmp_path


def test_where_a_report_cannot_be_written_the_vectors_are_not_checked(vectors, tmp_path, capsys):
    assert command("vectors", "check", vectors, "--json", tmp_path / "nowhere" / "report.json") == 2
    shown = capsys.readouterr()
    assert shown.out == "" and "--json" in shown.err, shown


def test_written_vectors_are_read_back_exactly(vectors, capsys):
    for case in CASES:
        data = json.loads((vectors / f"{case}.json").read_text(encoding="utf-8"))
        for name in ("weights", "biases"):
            for given, array in zip(data[name], getattr(case, name)):
                np.testing.assert_array_equal(np.array(given), array)
        np.testing.assert_array_equal(np.array(data["x"]), case.x)
        for given, array in zip(data["expected"]["importance"], case.reference.importance):
            np.testing.assert_array_equal(np.array(given), array)
        assert (data["name"], data["flags"], data["note"]) == (case.name, list(case.flags), case.note)
        assert data["tolerance"] == {"float64": 1e-9, "float32": 1e-3}
    assert command("vectors", "check", vectors) == 0
    told = f"conforms, as far as tried: {len(CASES)} of {len(ALL)} cases"
    assert told in " ".join(capsys.readouterr().out.split())


def test_reports_of_vectors_follow_the_same_rules(vectors, tmp_path):
    compute(vectors, textbook)
    assert command("vectors", "check", vectors) == 0
    assert command("vectors", "check", vectors, "--strict") == 1
    compute(vectors, numpy_float32)
    assert command("vectors", "check", vectors) == 1
    compute(vectors, numpy_float32, dtype="float32")
    assert command("vectors", "check", vectors, "--strict") == 0
    compute(vectors, without_elu)
    report = conformance.check_vectors(vectors)
    assert report.verdict == "conforms" and {r.message for r in report.with_status("skipped")} == {
        "elu",
        "gelu",
        "no file",
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "depth-2.out.json: no such file"),
        ("", "depth-2.out.json: not a JSON file"),
        ('{"importance": [[[1.0', "depth-2.out.json: not a JSON file"),
        ("[" * 100000, "depth-2.out.json: not a JSON file"),
        (b"\xff\xfe", "depth-2.out.json: not a JSON file"),
        ("[1, 2]", "depth-2.out.json: expected an object, got list"),
        ("{}", "depth-2.out.json: importance is missing"),
        ('{"importance": 3}', "depth-2.out.json: importance: expected a list with one array a layer, got int"),
        ('{"importance": [[[1], [1, 2]]]}', "importance[0]: expected a list of rows of one length"),
        ('{"importance": [["a"]]}', "depth-2.out.json: importance[0]: expected numbers, got <U1"),
        ('{"importance": [null]}', "importance[0]: expected numbers, got object"),
        ('{"importance": [], "dtype": "bfloat16"}', "dtype: expected one of float64, float32, got 'bfloat16'"),
        ('{"importance": [], "dtype": []}', "dtype: expected one of float64, float32, got []"),
        ('{"importance": [[1]], "bias_shift": []}', "importance: expected 2 arrays, one a layer, got 1"),
        ('{"importance": [[[NaN]], [[1e999]]], "bias_shift": []}', "importance[0]: expected shape (6, 4)"),
        ('{"importance": [[1e39]], "bias_shift": [], "dtype": "float32"}', "importance: expected 2 arrays"),
    ],
)
def test_unusable_result_is_reported_by_name_and_the_rest_goes_on(results, text, message):
    file = results / "depth-2.out.json"
    if text is None:
        file.unlink()
    else:
        file.write_bytes(text if isinstance(text, bytes) else text.encode())
    report = conformance.check_vectors(results)
    (failed,) = report.with_status("failed")
    assert str(failed.case) == "depth-2" and message in failed.message
    assert len(report.with_status("passed")) == len(CASES) - 1


def test_a_folder_in_place_of_a_file_is_reported(vectors):
    (vectors / "depth-2.out.json").unlink()
    (vectors / "depth-2.out.json").mkdir()
    (failed,) = conformance.check_vectors(vectors).with_status("failed")
    assert "depth-2.out.json" in failed.message


def test_extra_files_are_noted(vectors):
    (vectors / "depht-2.out.json").write_text("{}", encoding="utf-8")
    report = conformance.check_vectors(vectors)
    assert report.verdict == "conforms" and report.notes == ("depht-2.out.json belongs to no case",)
    assert "note: depht-2.out.json belongs to no case" in str(report)
    assert report.to_dict()["notes"] == list(report.notes)


def test_results_for_other_inputs_are_no_results(vectors):
    data = json.loads((vectors / "depth-2.json").read_text(encoding="utf-8"))
    data["x"][0][0] = math.nextafter(data["x"][0][0], 9)
    (vectors / "depth-2.json").write_text(json.dumps(data), encoding="utf-8")
    (vectors / "depth-3.json").write_text("[]", encoding="utf-8")
    (vectors / "depth-4.json").unlink()  # results alone are enough
    failed = conformance.check_vectors(vectors).with_status("failed")
    assert [str(r.case) for r in failed] == ["depth-2", "depth-3"]
    assert all("not this version's case" in r.message for r in failed)


def test_skipped_result_without_a_reason(vectors):
    (vectors / "depth-2.out.json").write_text('{"skipped": ""}', encoding="utf-8")
    first, *_ = conformance.check_vectors(vectors).with_status("skipped")
    assert (str(first.case), first.message) == ("depth-2", "skipped")


def test_missing_folder_is_an_error(tmp_path):
    with pytest.raises(ValueError, match="expected a folder with results"):
        conformance.check_vectors(tmp_path / "nowhere")


def test_schema_stands_beside_the_vectors_and_names_their_properties(vectors):
    schema = json.loads((vectors / SCHEMA).read_text(encoding="utf-8"))
    case = json.loads((vectors / "depth-3.json").read_text(encoding="utf-8"))
    required, known = (set(schema["$defs"]["case"][name]) for name in ("required", "properties"))
    assert required | {"kinds"} == set(case) and known == required | {"options", "kinds"}
    assert case["activation"] in schema["$defs"]["case"]["properties"]["activation"]["enum"]
    result = schema["$defs"]["result"]["oneOf"][0]
    assert set(json.loads((vectors / "depth-2.out.json").read_text(encoding="utf-8"))) <= set(result["properties"])


def test_schema_accepts_the_vectors(vectors):
    jsonschema = pytest.importorskip("jsonschema", reason="the schema's own test needs jsonschema")
    validator = jsonschema.Draft202012Validator(json.loads((VECTORS / SCHEMA).read_text(encoding="utf-8")))
    for file in sorted(vectors.rglob("*.json")):
        if file.name not in (SCHEMA, INDEX):
            validator.validate(json.loads(file.read_text(encoding="utf-8")))
    with pytest.raises(jsonschema.ValidationError):
        validator.validate({"importance": [[]]})


def test_what_is_written_is_what_the_package_holds(tmp_path):
    folder = tmp_path / "which" / "is not there"
    assert conformance.write_vectors(folder) == len(ALL)

    def contents(folder):
        return {file.relative_to(folder): file.read_bytes() for file in folder.rglob("*.json")}

    written = contents(folder)
    assert written == contents(VECTORS) and len(written) == len(ALL) + 3
    assert sum(map(len, written.values())) < 2e6


def test_interrupt_stops_the_worker_quietly():
    class Interrupted(Pipe):
        def recv(self):
            signal.raise_signal(signal.SIGINT)

    pipe = Interrupted()
    serve(pipe, "implementations.passes:numpy_float64")
    assert pipe.sent == [READY]
