"""Options that a candidate takes by its signature, other kinds of answers than EC's, and what a verdict rests on."""

from __future__ import annotations

import functools
import json
import sys
import unittest
from pathlib import Path

import numpy as np
import pytest
from implementations.other_kinds import OPTION_MISTAKES, RIGHT_KINDS, WRONG_KINDS, ec_with_options
from implementations.passes import numpy_float64
from profiles import every
from test_conformance_cli import command, module  # noqa: F401

import ecprune_np as ec
from ecprune_np import conformance
from ecprune_np.conformance._cases import VECTORS, all_cases
from ecprune_np.conformance._html import page
from ecprune_np.conformance._kinds import KINDS, OPTIONS, taken_by
from ecprune_np.conformance._vectors import options_of
from ecprune_np.conformance._verdict import judge
from ecprune_np.conformance._worker import check_in_worker
from ecprune_np.conformance.catalogue._mistake import predicted, wrong_values
from ecprune_np.conformance.catalogue.criteria import CRITERIA, LOSS, mistakes_of
from ecprune_np.conformance.catalogue.options import OPTIONS as OPTION_CATALOGUE
from ecprune_np.conformance.diagnosis._answers import MATCH, apart, flat

BASIC, ALL = conformance.cases(), conformance.cases(options=OPTIONS)
OPTIONAL = [case for case in ALL if case.names_of_options]
N_OWN = {kind: len(rows) for kind, rows in CRITERIA.items()} | {"loss_gradient": len(LOSS)}


def given(weights, biases, activation, x, metric="output", y=None, sample_weight=None, output_activation="identity"):
    return ec.MLP(weights, biases, activation, output_activation), ec.Batch(x, sample_weight, y), metric


@functools.wraps(given)
def fast_ec(*arguments, **options):
    scores = ec.elimination_compensation(*given(*arguments, **options))
    return scores.importance, scores.bias_shift


def of_metric(criterion):
    return functools.wraps(given)(lambda *a, **o: criterion(*given(*a, **o)).importance)


def fast_wanda(weights, biases, activation, x, sample_weight=None):
    return ec.criteria.wanda(ec.MLP(weights, biases, activation), ec.Batch(x, sample_weight)).importance


def fast_magnitude(weights, biases, activation, x, y, loss="mse", output_activation="identity"):
    return ec.criteria.gradient_magnitude(ec.MLP(weights, biases, activation, output_activation), x, y, loss).importance


def fast_gradient(weights, biases, activation, x, y, loss="mse", output_activation="identity"):
    _, gradient = ec.loss_gradient(ec.MLP(weights, biases, activation, output_activation), x, y, loss)
    return gradient.weights, gradient.biases


def fast_pruner(weights, biases, activation, x, sparsity, scope):
    mlp = ec.MLP(weights, biases, activation)
    pruned = ec.prune(mlp, ec.elimination_compensation(mlp, x), sparsity, scope).mlp
    return pruned.weights, pruned.biases


FAST = {
    "pruner": fast_pruner,
    "ec": fast_ec,
    "uncompensated": of_metric(ec.criteria.obd),
    "wanda": fast_wanda,
    "gradient_magnitude": fast_magnitude,
    "obc": of_metric(ec.criteria.obc),
    "obs": of_metric(ec.criteria.obs),
    "loss_gradient": fast_gradient,
}


# Right ones


@pytest.mark.parametrize("kind", KINDS)
def test_the_fast_path_conforms_in_every_kind_and_option(kind):
    """EC-9.8: what is right comes from exact arithmetic; it is given every case there is."""
    report = conformance.check(FAST[kind], kind=kind)
    assert report.verdict == "conforms" and not report.diagnosis, str(report)
    assert len(report.results) == len(all_cases(kind)) and not report.not_offered and not report.limits
    assert report.kind == report.to_dict()["kind"] == kind


@pytest.mark.parametrize("kind", RIGHT_KINDS)
def test_a_right_implementation_conforms_in_float64_and_in_float32(kind):
    candidate = RIGHT_KINDS[kind]

    @functools.wraps(candidate)
    def in_float32(*arguments, **options):
        def single(layers):
            return [v.astype(np.float32) for v in layers]

        answer = candidate(*arguments, **options)
        return tuple(map(single, answer)) if isinstance(answer, tuple) else single(answer)

    for one in (candidate, in_float32):
        report = conformance.check(one, kind=kind)
        assert report.ok and not {r.status for r in report.results} & {"failed", "skipped"}, str(report)


@pytest.mark.parametrize("wrong", OPTION_MISTAKES[every(2)], ids=str)
def test_a_mistake_in_an_option_is_named(wrong):
    report = conformance.check(wrong.candidate)
    assert report.verdict == "does not conform" and wrong.says_it(report), str(report)
    assert all(r.status != "failed" for r in report.results if not r.case.names_of_options)
    assert report.diagnosis[0].explained == report.diagnosis[0].wrong


@pytest.mark.parametrize(
    ("kind", "wrong"), [(k, w) for k, ws in WRONG_KINDS.items() for w in ws[every(2)]], ids=lambda value: str(value)
)
def test_a_mistake_in_another_kind_is_named(kind, wrong):
    report = conformance.check(wrong.candidate, kind=kind)
    assert report.verdict == "does not conform" and wrong.says_it(report), str(report)
    assert max(map(len, str(report).splitlines())) <= 80


@pytest.mark.parametrize("kind", [kind for kind in N_OWN])
def test_every_mistake_of_a_kinds_own_catalogue_shows_and_diagnoses_itself(kind):
    own = mistakes_of(kind)[: N_OWN[kind]]
    assert len({m.id for m in mistakes_of(kind)}) == len(mistakes_of(kind)) and len(own) >= 6
    cases = [c for c in conformance.cases(kind) if not c.names_of_options][:30]
    for mistake in own:
        shown = [c for c in cases for q, v in zip(c.quantities, predicted(mistake, c)) if _far(v, *c.reference.of(q))]
        assert shown and mistake.sentence.endswith(".") and mistake.equation == KINDS[kind].equation, mistake
    for mistake in own[::3]:
        results = [judge(c, _outcome(mistake, c)) for c in cases]
        first = conformance.Report("", tuple(results)).diagnosis[0]
        assert (first.id, first.explained) == (mistake.id, first.wrong)


@pytest.mark.parametrize("mistake", OPTION_CATALOGUE, ids=lambda mistake: mistake.id)
def test_every_mistake_of_the_options_shows_in_some_case(mistake):
    shown = [c for c in OPTIONAL for q, v in zip(c.quantities, predicted(mistake, c)) if _far(v, *c.reference.of(q))]
    assert shown and not any(_far(v, *c.reference.of(q)) for c in BASIC[:30] for q, v in zip(c.quantities, predicted(
        mistake, c)))  # fmt: skip


def _far(values, right, scale):
    return apart(values, flat(right), flat(scale)) > MATCH * 1e-3


def _outcome(mistake, case):
    return conformance.Outcome(**dict(zip(case.quantities, wrong_values(mistake, case))))


# Signatures


def test_options_are_taken_by_their_names_alone():
    def named(w, b, activation, x, metric="output", *, sample_weight):
        pass

    def anything(*arguments, **options):
        pass

    def odd(metric, y, loss, x, /, output_activation):
        pass

    assert taken_by(named) == {"metric": False, "sample_weight": True}
    assert taken_by(anything) == {} and taken_by(odd) == {"output_activation": True}
    assert taken_by(max) == {}  # of which no signature is known
    assert taken_by(functools.partial(named, metric="softmax")) == {"metric": False, "sample_weight": True}


def test_one_that_takes_none_is_not_blamed_and_told_what_was_not_offered():
    report = conformance.check(numpy_float64)
    assert report.verdict == "conforms" and [r.case for r in report.results] == list(BASIC)
    assert "Not offered: cases with options" in page(report)
    assert len(report.not_offered) == len(OPTIONAL) == len(report.to_dict()["not_offered"])
    text = " ".join(str(report).split())
    assert "not offered: cases with options that the candidate does not take: 15 of metrics (metric, y)" in text
    assert "3 of sample weights (sample_weight, metric); 4 of output activations (output_activation, metric, y)" in text
    assert str(report).splitlines()[0].endswith(f"conforms ({len(BASIC)} of {len(BASIC)} cases pass)")


def test_one_that_takes_a_keyword_is_given_the_cases_that_need_no_other():
    def candidate(weights, biases, activation, x, metric):
        assert metric != "output" or len(weights) > 0
        return ec_with_options()(weights, biases, activation, x, metric)

    report = conformance.check(candidate)  # one that must be given gets what is usual
    assert report.verdict == "conforms" and report.takes == ("metric",)
    used = {r.case.name for r in report.results if r.case.names_of_options}
    assert used == {c.name for c in OPTIONAL if c.names_of_options == ("metric",)} >= {"softmax", "fisher-one-logit"}


def test_what_is_wrong_already_without_options_comes_first():
    @functools.wraps(ec_with_options())
    def candidate(*arguments, **options):
        importance, shift = ec_with_options()(*arguments, **options)
        return [v / 2 for v in importance], shift

    first, *others = conformance.check(candidate).diagnosis
    assert (first.id, first.explained) == ("half", first.wrong)
    assert [f.id for f in others] == ["options-too"] and "options fail too" in others[0].sentence


def test_arguments_that_an_option_brings_are_copies_too():
    @functools.wraps(ec_with_options())
    def candidate(*arguments, **options):
        answer = ec_with_options()(*arguments, **options)
        for value in options.values():
            if isinstance(value, np.ndarray):
                value[:] = 0
        return answer

    report = conformance.check(candidate)
    assert report.verdict == "conforms" and [f.id for f in report.diagnosis] == ["overwrites-arguments"]
    assert "(sample_weight, y)" in report.diagnosis[0].sentence


def test_a_case_is_skipped_by_one_who_does_not_take_its_keywords():
    case = next(c for c in ALL if c.name == "mse")
    assert case.options()["metric"] == "mse" and case.options()["y"].shape == (18, 3)
    conformance.check_case(ec_with_options(), case)
    with pytest.raises(unittest.SkipTest, match="takes no metric and no y"):
        conformance.check_case(numpy_float64, case)


def test_unknown_kinds_are_refused():
    for call in (lambda: conformance.check(numpy_float64, kind="snip"), lambda: conformance.cases("snip")):
        with pytest.raises(ValueError, match="kind: expected one of ec, uncompensated, wanda"):
            call()
    with pytest.raises(ValueError, match="kind: expected none, for it has no effect beside cases"):
        conformance.check(numpy_float64, BASIC[:2], kind="wanda")
    with pytest.raises(TypeError, match=r"a callable \(weights, biases, activation, x, y\) -> importance, got str"):
        conformance.check("f", kind="gradient_magnitude")


@pytest.mark.parametrize(
    ("kind", "answer", "message"),
    [
        ("wanda", (), "importance: expected 2 arrays, one a layer, got 0"),
        ("wanda", None, "importance: expected a list with one array a layer, got NoneType"),
        ("loss_gradient", [], "expected (weight_gradient, bias_gradient), got list of 0"),
        ("loss_gradient", (None, None), "expected (weight_gradient, bias_gradient), got None for each"),
        ("loss_gradient", ([np.ones((4, 3)), np.ones((3, 4))], [np.ones(3), np.ones(3)]),
         "bias_gradient[0]: expected shape (4,) as biases[0], got (3,)"),
    ],
)  # fmt: skip
def test_malformed_answers_of_other_kinds(kind, answer, message):
    report = conformance.check(
        lambda *arguments: answer, [c for c in conformance.cases(kind) if len(c.weights) == 2][:1]
    )
    assert message in report.results[0].message


def test_an_entry_of_a_bias_has_a_row_only():
    report = conformance.check(WRONG_KINDS["loss_gradient"][3].candidate, kind="loss_gradient")
    assert report.worst.column is None and f"bias_gradient[{report.worst.layer}][{report.worst.row}] is 0" in str(
        report
    )
    assert json.loads(json.dumps(report.to_dict()))["results"][0]["worst"]["column"] is None
    assert page(report).count("reference bias gradient") == len(report.results)


@pytest.mark.parametrize("kind", ["ec", "wanda"])
def test_the_simplest_failing_case_of_another_kind_can_be_printed(kind, capsys, monkeypatch):
    def candidate(weights, biases, activation, x, sample_weight=None):
        importance = [np.cos(50 * v) for v in fast_wanda(weights, biases, activation, x, sample_weight)]
        if kind == "wanda":
            return importance
        right = ec_with_options()(weights, biases, activation, x, sample_weight=sample_weight)
        return right if sample_weight is None else (importance, right[1])

    monkeypatch.setitem(sys.modules, "mine", type(json)("mine"))
    candidate.__qualname__, candidate.__module__ = "candidate", "mine"
    sys.modules["mine"].candidate = candidate
    text = str(conformance.check(candidate, kind=kind))
    told = 'flag-only: All wrong cases are flagged "sample weights"' if kind == "ec" else "No known mistake explains"
    assert told in " ".join(text.split())
    lines = text.split("step by step:\n")[1].split("\n\n")[0].splitlines()
    assert len(lines) <= 10 and max(map(len, lines)) <= 80
    exec("\n".join(line[4:] for line in lines), {})
    assert "right importance" in capsys.readouterr().out


# What a verdict rests on


def test_the_first_line_says_what_was_not_tried():
    def without_relu(weights, biases, activation, x):
        if "relu" in activation:
            raise NotImplementedError("no relu")
        return numpy_float64(weights, biases, activation, x)[0], None

    report = conformance.check(without_relu)
    tried = len([c for c in BASIC if "relu" not in c.activation])
    told = f"conforms, as far as tried: {tried} of {len(BASIC)} cases, importance only"
    assert told in " ".join(str(report).split("\n\n")[0].split())
    assert (report.verdict, report.ok) == ("conforms", True) and report.to_dict()["limits"] in told
    assert f"tried: {report.limits}" in page(report) and report.results[0].outcome.not_given == ("bias_shift",)


def test_a_quantity_that_comes_in_some_cases_is_counted():
    def candidate(weights, biases, activation, x):
        importance, shift = numpy_float64(weights, biases, activation, x)
        return (importance, shift) if len(weights) > 1 else (None, shift)

    report = conformance.check(candidate, BASIC[-7:])
    n = sum(len(c.weights) > 1 for c in BASIC[-7:])
    assert report.headline == f"conforms, as far as tried: 7 of 7 cases, importance in {n} of them"


def test_a_wrong_one_says_too_what_it_left_out():
    def candidate(weights, biases, activation, x):
        if activation == "gelu":
            raise NotImplementedError
        return [2 * v for v in numpy_float64(weights, biases, activation, x)[0]], None

    report = conformance.check(candidate)
    passed, skipped = (len(report.with_status(status)) for status in ("passed", "skipped"))
    assert report.headline == f"does not conform ({passed} of 89 cases pass, {skipped} skipped, importance only)"
    assert report.diagnosis[0].id == "double" and len(report.diagnosis) == 1


# Files and the command line


def test_options_and_kinds_stand_in_the_files():
    for case in ALL:
        data = json.loads((VECTORS / ("options" if options_of(case) else "") / f"{case}.json").read_text("utf-8"))
        assert data.get("options", {}) == options_of(case) and set(data.get("kinds", {})) <= set(KINDS)
    table = (VECTORS.parent / "README.md").read_text(encoding="utf-8")
    for kind, row in KINDS.items():
        (line,) = [text for text in table.splitlines() if text.startswith(f"| `{kind}` |")]
        assert all(f"`{name}`" in line for name in (*row.given, *row.quantities, *row.options)), line


@pytest.fixture(scope="module")
def answered(tmp_path_factory):
    """A folder with the vectors and right importances of Wanda's, of two cases."""
    folder = tmp_path_factory.mktemp("vectors")
    conformance.write_vectors(folder)
    for case in all_cases("wanda"):
        if not case.names_of_options or case.name == "zero-weights":
            values = [v.tolist() for v in case.reference.importance]
            place = folder / ("options" if options_of(case) else "") / f"{case}.out.json"
            place.write_text(json.dumps({"importance": values}), encoding="utf-8")
    return folder


def test_a_missing_optional_case_is_skipped_and_a_missing_basic_one_fails(answered, capsys):
    assert command("vectors", "check", answered, "--kind", "wanda") == 0
    n = len(all_cases("wanda"))
    assert f"conforms, as far as tried: {n - 2} of {n} cases" in " ".join(capsys.readouterr().out.split())
    (answered / "one-input.out.json").rename(answered / "kept")
    assert command("vectors", "check", answered, "--kind", "wanda", "--strict") == 1
    shown = " ".join(capsys.readouterr().out.split())
    assert f"does not conform ({n - 3} of {n} cases pass, 2 skipped)" in shown
    assert "one-input.out.json: no such file" in shown
    (answered / "kept").rename(answered / "one-input.out.json")


def test_a_folder_of_importances_alone_conforms_as_far_as_it_goes(answered, tmp_path):
    for case in BASIC:
        text = json.dumps({"importance": [v.tolist() for v in case.reference.importance]})
        (tmp_path / f"{case}.out.json").write_text(text, encoding="utf-8")
    report = conformance.check_vectors(tmp_path)
    assert report.headline == f"conforms, as far as tried: {len(BASIC)} of {len(ALL)} cases, importance only"
    with pytest.raises(ValueError, match="kind: expected one of"):
        conformance.check_vectors(tmp_path, "pruner")


def test_other_inputs_of_an_option_are_no_results(answered):
    file = answered / "options" / "zero-weights.json"
    before = file.read_text(encoding="utf-8")
    data = json.loads(before)
    data["options"]["sample_weight"][1] += 1
    file.write_text(json.dumps(data), encoding="utf-8")
    (failed,) = conformance.check_vectors(answered, "wanda").with_status("failed")
    assert str(failed.case) == "zero-weights" and "not this version's case" in failed.message
    file.write_text(before, encoding="utf-8")


def test_verify_asks_the_worker_what_it_takes(capsys):
    name = "implementations.other_kinds:loss_gradient"
    assert command("verify", name, "--kind", "loss_gradient") == 0
    n = len(conformance.cases("loss_gradient", ["loss"]))
    shown = capsys.readouterr().out
    assert f"conforms ({n} of {n} cases pass)" in " ".join(shown.split())
    assert "not offered" in shown and "1 of output activations (output_activation)" in " ".join(shown.split())


def test_a_worker_that_is_gone_takes_nothing(module):  # noqa: F811
    module(
        "gone",
        """
        import os

        class Candidate:
            @property
            def __signature__(self):
                os._exit(3)

            def __call__(self, *given):
                os._exit(4)

        candidate = Candidate()
        """,
    )
    report = check_in_worker("gone:candidate", BASIC[:1], 60.0)
    assert report.takes == () and report.results[0].message.startswith("the process ended (exit code")


def test_the_readme_of_the_vectors_names_their_folder():
    assert Path(VECTORS, "options", "index.json").is_file()
    assert [c.name for c in OPTIONAL] == json.loads((VECTORS / "options" / "index.json").read_text(encoding="utf-8"))
