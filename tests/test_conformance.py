"""The conformance suite on right, weak and wrong implementations: no false alarm, no miss, the right diagnosis."""

import copy
import json
import os
import unittest
import warnings
from dataclasses import FrozenInstanceError, fields, replace
from functools import cache

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from implementations.families import FAMILIES
from implementations.held_back import HELD_BACK
from implementations.passes import numpy_float64
from implementations.right import RIGHT, WEAK, in_float32, textbook
from implementations.wrong import WRONG
from profiles import every

import ecprune_np as ec
from ecprune_np import conformance
from ecprune_np.conformance._html import page
from ecprune_np.conformance._outcome import Entry
from ecprune_np.conformance._run import run
from ecprune_np.conformance._verdict import judge
from ecprune_np.conformance.catalogue._mistake import wrong_values
from ecprune_np.conformance.diagnosis._answers import answers_of, ranking_of
from ecprune_np.error_analysis.comparison import conditioned_error, digits, relative_error, scales, worst_error

MISSES = {"root of the sum", "tf32", "central 1e-6"}  # rejected, but the first finding does not help yet
CASES = {str(case): case for case in conformance.cases()}
ONE = CASES["depth-3"]


@cache
def report_on(wrong):
    """What the suite says of a wrong implementation, which several tests look at."""
    return conformance.check(wrong.candidate)


def on_one(candidate, case=ONE):
    """The only result of a report on a single case."""
    return conformance.check(candidate, [case]).results[0]


def answer(case, importance=1.0, shift=1.0, dtype=np.float64):
    """A candidate that multiplies the right answer, for one case."""

    def candidate(weights, biases, activation, x):
        right = case.reference
        pair = [(importance * v).astype(dtype) for v in right.importance], [shift * v for v in right.bias_shift]
        return pair[0], [v.astype(dtype) for v in pair[1]]

    return candidate


# Verdicts


@pytest.mark.parametrize("name", RIGHT)
def test_right_implementation_conforms(name):
    report = conformance.check(RIGHT[name])
    assert report.verdict == "conforms", str(report)
    assert report.ok and report.diagnosis == []


@pytest.mark.parametrize("name", WEAK)
def test_textbook_variance_conforms_with_low_accuracy(name):
    report = conformance.check(WEAK[name])
    assert report.verdict == "conforms with low accuracy", str(report)
    assert report.ok and [finding.id for finding in report.diagnosis] == ["cancellation"]
    assert {r.case.group for r in report.with_status("inaccurate")} == {"conditioning"}


@pytest.mark.parametrize("wrong", [*WRONG[every(1)], *FAMILIES[every(3)]], ids=str)
def test_wrong_implementation_is_rejected_with_the_right_finding_first(wrong):
    report = report_on(wrong)
    assert report.verdict == "does not conform" and not report.ok
    assert report.diagnosis and wrong.says_it(report) == (wrong.name not in MISSES), str(report)
    first = report.diagnosis[0]
    assert not first.exact or first.explained > first.wrong / 2, str(report)


@pytest.mark.parametrize("wrong", HELD_BACK[every(3)], ids=str)
def test_wrong_implementation_that_was_held_back_is_rejected(wrong):
    """What the first findings say of them is measured by `held_back.py`: it takes a minute."""
    assert conformance.check(wrong.candidate).verdict == "does not conform"


def test_there_are_enough_implementations():
    wrong = [*WRONG, *FAMILIES, *HELD_BACK]
    assert len(wrong) >= 150 and len({w.name for w in [*WRONG, *FAMILIES]}) == len(WRONG) + len(FAMILIES)
    assert len(RIGHT) + len(WEAK) >= 25
    assert {wrong.first for wrong in WRONG} >= {"gradient-of-the-sum", "transposed", "float32-as-float64", "monotone"}


def test_every_finding_of_the_catalogue_diagnoses_itself():
    """What a mistake predicts is diagnosed as this mistake, and explained in full."""
    for mistake in conformance.MISTAKES[::29]:
        results = []
        for case in CASES.values():
            importance, shift = wrong_values(mistake, case)
            results.append(judge(case, conformance.Outcome(importance, shift)))
        first = conformance.Report("", tuple(results)).diagnosis[0]
        assert (first.id, first.explained) == (mistake.id, first.wrong)


@given(st.sampled_from(list(CASES.values())), st.sampled_from([np.float64, np.float32]), st.data())
def test_an_entry_is_wrong_beyond_the_tolerance_and_right_within(case, dtype, data):
    tolerance = {np.float64: 1e-9, np.float32: 1e-3}[dtype]
    quantity = data.draw(st.sampled_from(["importance", "bias_shift"]))
    reference = case.reference
    scale = reference.importance_scale if quantity == "importance" else reference.shift_scale
    l = data.draw(st.integers(0, len(scale) - 1))
    entry = tuple(data.draw(st.integers(0, n - 1)) for n in scale[l].shape)
    for factor, status in ((0.5, {"passed", "inaccurate"}), (2.0, {"failed"} if scale[l][entry] else {"passed"})):
        values = {name: [v.astype(dtype) for v in getattr(reference, name)] for name in ("importance", "bias_shift")}
        values[quantity][l][entry] += factor * tolerance * scale[l][entry]
        result = judge(case, conformance.Outcome(tuple(values["importance"]), tuple(values["bias_shift"])))
        assert result.status in status, (result.message, factor)


def test_everything_skipped_does_not_conform():
    def lacks_all(weights, biases, activation, x):
        raise NotImplementedError

    report = conformance.check(lacks_all)
    assert report.verdict == "does not conform"
    assert {r.status for r in report.results} == {"skipped"}
    assert "skip" in str(report) and report.worst is None


def test_skipped_cases_are_shown_with_the_reason():
    report = conformance.check(RIGHT["without_elu"])
    skipped = [r for r in report.results if r.status == "skipped"]
    assert {r.case.activation for r in skipped} == {"elu", "gelu"}
    assert {r.message for r in skipped} == {"elu", "gelu"}
    assert "skipped: elu-2-layers" in str(report)


def test_float32_needs_three_digits_and_float64_nine():
    assert on_one(answer(ONE, 1 + 1e-6)).status == "failed"
    assert on_one(answer(ONE, 1 + 1e-6, dtype=np.float32)).status == "passed"
    assert on_one(answer(ONE, 1 + 1e-11)).status == "passed"


def test_ill_conditioned_importances_are_compared_with_themselves():
    case = CASES["offset-1e6"]

    def nearly(weights, biases, activation, x):
        importance, shift = numpy_float64(weights, biases, activation, x)
        importance[0][:, :3] *= 1 + 1e-6  # the columns with an offset
        return importance, shift

    result = on_one(nearly, case)
    assert (result.status, result.accuracy.quantity) == ("inaccurate", "importance")
    assert on_one(answer(case, shift=1 + 1e-6), case).status == "failed"
    assert on_one(in_float32(textbook), CASES["offset-1e3"]).status == "inaccurate"
    assert on_one(numpy_float64, case).accuracy.excess < 1


@pytest.mark.parametrize("wrong", [w for w in WRONG if w.first != "float32-as-float64"][::3], ids=str)
def test_wrong_implementation_in_float32_is_rejected_too(wrong):
    report = conformance.check(in_float32(wrong.candidate))
    assert report.verdict == "does not conform", str(report)


# Answers that are none


@pytest.mark.parametrize(
    ("returned", "message"),
    [
        (None, "expected (importance, bias_shift), got NoneType"),
        (([], [], []), "expected (importance, bias_shift), got tuple of 3"),
        (({}, []), "importance: expected a list with one array a layer, got dict"),
        (([None, None, None], []), "importance[0]: expected float32 or float64, got None"),
        (([np.zeros(2, int)], []), "importance[0]: expected float32 or float64, got ndarray of int64"),
        (([np.zeros(2, np.float16)], []), "importance[0]: expected float32 or float64, got ndarray of float16"),
        (([[[1.0], [1.0, 2.0]]], []), "importance[0]: expected an array, got list"),
        (([np.zeros((2, 2))], []), "importance: expected 3 arrays, one a layer, got 1"),
        (
            ([np.zeros((5, 3)), np.zeros((4, 5)), np.zeros((4, 2))], []),
            "importance[2]: expected shape (2, 4) as weights[2], got (4, 2)",
        ),
    ],
)
def test_malformed_answer_fails_with_a_message(returned, message):
    result = on_one(lambda weights, biases, activation, x: returned)
    assert result.status == "failed" and message in result.message
    assert result.worst_entry is None


@pytest.mark.parametrize("exception", [ValueError("no\nthanks"), SystemExit(3), RecursionError("deep"), MemoryError()])
def test_exception_is_the_cases_failure_and_the_suite_goes_on(exception):
    def candidate(weights, biases, activation, x):
        if len(x) == 1:
            raise exception
        return numpy_float64(weights, biases, activation, x)

    report = conformance.check(candidate)
    (failed,) = report.with_status("failed")
    assert failed.message.startswith(type(exception).__name__) and "\n" not in failed.message
    assert [finding.id for finding in report.diagnosis] == ["no-answer", "flag-only"]
    assert "in candidate: raise exception" in failed.outcome.traceback and failed.outcome.traceback in str(report)
    assert '"one sample"' in report.diagnosis[1].sentence
    assert f"no comparison: one-sample: {type(exception).__name__}" in str(report)


def test_interrupting_the_suite_is_no_failure_of_the_candidate():
    def candidate(weights, biases, activation, x):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        conformance.check(candidate)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_not_finite_value_fails_and_says_where(bad):
    def candidate(weights, biases, activation, x):
        importance, shift = numpy_float64(weights, biases, activation, x)
        importance[1][2, 0] = bad
        return importance, shift

    result = on_one(candidate)
    assert result.status == "failed"
    assert f"importance[1][2, 0] is {bad}, expected" in result.message and "not a number" in result.message
    assert "not-finite" in [finding.id for finding in conformance.check(candidate, [ONE, CASES["depth-4"]]).diagnosis]


def test_warnings_of_a_candidate_do_not_decide():
    def candidate(weights, biases, activation, x):
        warnings.warn("slow", UserWarning, stacklevel=1)
        np.float64(1) / np.float64(0)
        return numpy_float64(weights, biases, activation, x)

    assert on_one(candidate).status == "passed"


def test_overwritten_arguments_spoil_nothing_and_are_reported():
    def candidate(weights, biases, activation, x):
        answer = numpy_float64(weights, biases, activation, x)
        x[:] = 0
        weights.pop()
        return answer

    report = conformance.check(candidate)
    assert report.verdict == "conforms"
    assert [finding.id for finding in report.diagnosis] == ["overwrites-arguments"]
    assert "(weights, x)" in report.diagnosis[0].sentence
    assert "it was given copies." in " ".join(str(report).split()) and "(weights, x)" in page(report)
    assert conformance.check(numpy_float64).verdict == "conforms"


def test_arrays_that_the_candidate_reuses_are_copied():
    buffers = {}

    def candidate(weights, biases, activation, x):
        right = numpy_float64(weights, biases, activation, x)
        for new, kind in zip(right, ("importance", "bias_shift")):
            for l, value in enumerate(new):
                buffer = buffers.setdefault((kind, l, value.shape), np.empty(value.shape))
                buffer[:] = value
                new[l] = buffer
        return right

    report = conformance.check(candidate)
    assert report.verdict == "conforms"
    assert {judge(r.case, r.outcome).status for r in report.results} == {"passed"}  # still what it was


def test_nested_lists_and_other_array_types_are_taken():
    class Tensor:
        def __init__(self, values):
            self.values = values

        def __array__(self, dtype=None, copy=None):
            return np.array(self.values, dtype)

    def candidate(weights, biases, activation, x):
        importance, shift = numpy_float64(weights, biases, activation, x)
        return [v.tolist() for v in importance], tuple(Tensor(v) for v in shift)

    assert on_one(candidate).status == "passed"


def test_candidate_must_be_callable():
    with pytest.raises(TypeError, match=r"candidate: expected a callable .* got str"):
        conformance.check("numpy_float64")


# One case, for pytest


@pytest.mark.parametrize("case", conformance.cases(), ids=str)
def test_check_case_on_the_library_itself(case):
    def candidate(weights, biases, activation, x):
        scores = ec.elimination_compensation(ec.MLP(weights, biases, activation), x)
        return list(scores.importance), list(scores.bias_shift)

    conformance.check_case(candidate, case, strict=True)


def test_check_case_names_the_worst_entry_and_the_mistake():
    with pytest.raises(AssertionError, match=r"(?s)one-output: importance.* expected .*\n.*the case: .*\n.*: half: "):
        conformance.check_case(answer(CASES["one-output"], 0.5), CASES["one-output"])


def test_check_case_skips_and_is_strict_where_told():
    with pytest.raises(unittest.SkipTest, match="gelu"):
        conformance.check_case(RIGHT["without_elu"], CASES["gelu-2-layers"])
    conformance.check_case(textbook, CASES["offset-1e6"])
    with pytest.raises(AssertionError, match="offset-1e6"):
        conformance.check_case(textbook, CASES["offset-1e6"], strict=True)


def test_a_users_own_test_file_works(pytester_like):
    outcome = pytester_like(
        """
        import pytest, ecprune_np.conformance as conformance
        from implementations.right import without_elu

        @pytest.mark.parametrize("case", conformance.cases(), ids=str)
        def test_conforms(case):
            conformance.check_case(without_elu, case)
        """
    )
    skipped = sum(case.activation in ("elu", "gelu") for case in CASES.values())
    assert f"{skipped} skipped" in outcome and f"{len(CASES) - skipped} passed" in outcome and "failed" not in outcome


@pytest.fixture
def pytester_like(tmp_path):
    """Run a test file in a pytest of its own and return the last line of its report."""
    import subprocess
    import sys
    import textwrap
    from pathlib import Path

    def run_file(text):
        file = tmp_path / "test_mine.py"
        file.write_text(textwrap.dedent(text), encoding="utf-8")
        tests = Path(__file__).parent
        path = os.pathsep.join([str(tests), str(tests.parent), *filter(None, [os.environ.get("PYTHONPATH")])])
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(file)],
            capture_output=True,
            text=True,
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": path},
        )
        return done.stdout.strip().splitlines()[-1]

    return run_file


# Diagnosis


def test_a_mistake_in_one_activation_only_is_located():
    by_name = {wrong.name: wrong for wrong in WRONG}
    report = report_on(by_name["sigmoid's slope"])
    assert report.diagnosis[0].id == "sigmoid-has-the-derivative-of-tanh"
    assert {r.case.activation for r in report.results if r.case.name in report.diagnosis[0].cases} == {"sigmoid"}


@pytest.mark.parametrize(
    ("id", "wrong_layers"),
    [("last-layer-only", {-1}), ("hidden-layers-only", {0, 1}), ("first-layer-right", {1, 2})],
)
def test_wrong_layers_are_located(id, wrong_layers):
    def candidate(weights, biases, activation, x):
        importance, shift = numpy_float64(weights, biases, activation, x)
        for l in wrong_layers:
            importance[l] = importance[l] ** 1.5 * np.cos(np.arange(importance[l].size)).reshape(importance[l].shape)
        return importance, shift

    report = conformance.check(candidate, [case for case in CASES.values() if case.mlp.n_layers == 3])
    assert id in [finding.id for finding in report.diagnosis]


def test_nothing_known_is_said_honestly():
    def candidate(weights, biases, activation, x):
        rng = np.random.default_rng(0)
        return [rng.random(w.shape) for w in weights], [rng.random(w.shape) for w in weights]

    report = conformance.check(candidate)
    assert [finding.id for finding in report.diagnosis] == ["unknown"]
    assert report.diagnosis[0].explained == 0 and "No known mistake" in str(report)


def test_what_is_left_unexplained_is_said_too():
    def candidate(weights, biases, activation, x):
        importance, shift = numpy_float64(weights, biases, activation, x)
        importance = [np.cos(50 * v) for v in importance]
        return [*importance[:-1], -importance[-1]], [-v for v in shift]

    findings = conformance.check(candidate).diagnosis
    assert findings[0].id == "shift-sign" and findings[-1].id == "unknown"
    assert f"the wrong importances of {len(findings[-1].cases)} failing cases" in findings[-1].sentence


def test_small_errors_are_told_from_wrong_formulas():
    def candidate(weights, biases, activation, x):
        importance, shift = numpy_float64(weights, biases, activation, x)
        noise = np.random.default_rng(len(x))
        few = len(x) < 20
        return [v * (1 + 1e-5 * few * noise.standard_normal(v.shape)) for v in importance], shift

    report = conformance.check(candidate)
    assert report.diagnosis[0].id == "few-digits"


def test_float32_arithmetic_is_told_by_the_size_of_its_errors_too():
    def candidate(weights, biases, activation, x):
        importance, shift = RIGHT["numpy_float32"](weights, biases, activation, x)
        return [v * (1 + 1e-12) for v in map(np.float64, importance)], [np.float64(v) for v in shift]

    first = conformance.check(candidate).diagnosis[0]
    assert first.id == "float32-as-float64" and "of its size" in first.sentence


def test_ranking_is_judged_within_networks_and_layers():
    reference = ONE.reference.importance
    assert ranking_of([(ONE, reference)]) == "network"
    assert ranking_of([(ONE, tuple(np.sqrt(v) for v in reference))]) == "network"
    assert ranking_of([(ONE, tuple(v / v.max() for v in reference))]) == "layer"
    assert ranking_of([(ONE, tuple(-v for v in reference))]) == "lost"
    assert ranking_of([(ONE, tuple(np.full_like(v, np.nan) for v in reference))]) == "lost"


def test_findings_that_contradict_a_right_answer_are_dropped():
    """Half the importance in some cases only: the mistake "half" would show in all."""

    def candidate(weights, biases, activation, x):
        importance, shift = numpy_float64(weights, biases, activation, x)
        return [v / 2 if len(x) == 20 else v for v in importance], shift

    report = conformance.check(candidate)
    ids = [finding.id for finding in report.diagnosis]
    assert "half" not in ids and "importance-constant-factor" not in ids and ids[0] == "factor-per-case"


def test_answers_of_results_know_their_precision():
    results = [judge(ONE, run(RIGHT[name], ONE)) for name in ("numpy_float64", "numpy_float32")]
    assert {a.tolerance for a in answers_of(results[:1])} == {1e-9}
    assert {a.tolerance for a in answers_of(results[1:])} == {1e-3}


# Reports


@pytest.mark.parametrize("wrong", WRONG[::7], ids=str)
def test_text_fits_in_80_columns_and_has_colour_only_where_asked(wrong):
    report = report_on(wrong)
    assert max(map(len, str(report).splitlines())) <= 80
    assert page(report).endswith("</html>\n") and json.dumps(report.to_dict(), allow_nan=False)
    assert "\033" not in str(report) and "\033[31m" in report.text(colour=True)
    assert report.verdict in str(report) and report.diagnosis[0].id in str(report)


def test_text_of_a_conforming_report_has_a_line_a_group():
    report = conformance.check(numpy_float64)
    lines = str(report).partition("\n\nnot offered: ")[0].splitlines()
    assert lines[0] == f"implementations.passes:numpy_float64: conforms ({len(CASES)} of {len(CASES)} cases pass)"
    assert len(lines) == 2 + len({case.group for case in CASES.values()})


def test_worst_entry_has_both_values_and_the_digits():
    report = conformance.check(answer(ONE, 1 + 1e-4), [ONE])
    entry = report.worst
    assert entry.value == pytest.approx(entry.reference * (1 + 1e-4), rel=1e-12)
    assert 4 <= digits(entry.error) < 9
    assert f"{entry.value:.9g}, expected" in " ".join(str(report).split())


def test_dict_of_a_report_is_plain_json():
    nan = {wrong.name: wrong for wrong in WRONG}["0/0"]
    data = json.loads(json.dumps(report_on(nan).to_dict(), allow_nan=False))
    assert data["verdict"] == "does not conform" and data["ok"] is False
    assert data["counts"]["passed"] + data["counts"]["failed"] == len(data["results"]) == len(CASES)
    assert data["diagnosis"][0]["id"] == "nan-at-dead-neurons" and data["diagnosis"][0]["equation"] == "EC-3.8"
    failed = [entry for entry in data["results"] if entry["status"] == "failed"]
    assert {entry["worst"]["value"] for entry in failed} == {"nan"}
    assert data["notes"] == []


def test_page_needs_nothing_else_and_escapes_what_it_shows():
    def candidate(weights, biases, activation, x):
        raise ValueError("<script>alert(1)</script>")

    text = page(replace(conformance.check(candidate, [ONE]), candidate="<b>", notes=("a & b",)))
    assert "<script" not in text and "&lt;script&gt;" in text and "<h1><code>&lt;b&gt;" in text and "a &amp; b" in text
    assert "http" not in text.replace("http-equiv", "") and "src=" not in text and "No importances" in text


def test_page_draws_every_weight_and_tells_signs_and_missing_numbers():
    def candidate(weights, biases, activation, x):
        importance, shift = numpy_float64(weights, biases, activation, x)
        importance[0][0, 0], importance[0][0, 1], importance[0][0, 2] = -1, np.nan, 0
        return importance, shift

    text = page(conformance.check(candidate, [ONE]))
    n_weights, n_layers = ONE.mlp.n_weights, ONE.mlp.n_layers
    assert text.count("class='mark ") == 2 * (n_weights + n_layers) - 2 and text.count("class='cross ") == 1
    assert "reference bias shift" in text and text.count("<svg") == 2
    assert f"<a href='#{ONE}'>" in text and f"id='{ONE}'" in text
    assert "errors up to 1e-09 in float64, 0.001 in float32 are allowed" in text
    assert "1 not finite" in text and "layer 2" in text


def test_page_of_a_conforming_report_has_no_pictures():
    text = page(conformance.check(numpy_float64, [ONE]))
    assert "<svg" not in text and "Diagnosis" not in text and "verdict good" in text


def test_page_of_importances_that_are_all_free():
    case = CASES["equal-samples"]
    assert not any(v.any() for v in case.reference.importance)
    text = page(conformance.check(answer(case, importance=0.0, shift=2.0), [case]))
    assert text.count("<svg") == 2 and "nan" not in text


def test_entry_that_is_no_number_says_so():
    entry = Entry("importance", 0, 1, 2, float("nan"), 1.0, float("nan"), 1e-9)
    assert str(entry) == "importance[0][1, 2] is nan, expected 1 (not a number)"


def test_name_of_a_callable_object():
    class Model:
        def __call__(self, weights, biases, activation, x):
            return numpy_float64(weights, biases, activation, x)

    assert conformance.check(Model(), [ONE]).candidate.endswith("Model")


# Objects


def public_objects():
    """One of each class that the suite shows to a user."""
    report = conformance.check(answer(CASES["one-output"], 0.5), [CASES["one-output"]])
    result = report.results[0]
    shown = [report, result, result.outcome, result.case, result.case.reference, result.worst_entry]
    return [*shown, report.diagnosis[0], conformance.MISTAKES[0]]


def test_public_objects_are_all_of_the_public_classes():
    classes = {value for value in vars(conformance).values() if isinstance(value, type)}
    assert {type(thing) for thing in public_objects()} == classes


@pytest.mark.parametrize("thing", public_objects(), ids=lambda thing: type(thing).__name__)
def test_public_object_is_frozen_compared_without_an_error_and_shown_in_a_line(thing):
    with pytest.raises(FrozenInstanceError):
        setattr(thing, fields(thing)[0].name, None)
    assert thing == thing and isinstance(thing == replace(thing), bool) and thing != 0
    assert repr(thing) == repr(replace(thing)) == repr(copy.deepcopy(thing))
    assert repr(thing).startswith(f"{type(thing).__name__}(") and "array" not in repr(thing)
    assert len(repr(thing)) <= 120 and "\n" not in repr(thing)


def test_an_outcome_without_values_shows_why_in_a_line():
    assert repr(conformance.Outcome(problem="no\nthanks")) == r"Outcome(problem='no\nthanks')"
    assert repr(conformance.Outcome(skipped="gelu")) == "Outcome(skipped='gelu')"


def test_a_report_keeps_its_diagnosis_whatever_is_done_to_the_list():
    report = conformance.check(answer(ONE, 0.5), [ONE])
    before = report.diagnosis
    report.diagnosis.clear()
    assert report.diagnosis == before != []


# Comparison


@given(st.floats(1e-100, 1), st.floats(1e-150, 1e150))
def test_relative_error_is_zero_for_equal_values_and_infinite_without_a_scale(error, scale):
    one = np.array([1.0])
    assert relative_error(one, one, np.array([0.0])) == 0
    assert relative_error(one + 1, one, np.array([0.0])) == np.inf
    measured = relative_error(np.array([scale * error]), np.array([0.0]), np.array([scale]))
    assert measured == pytest.approx(error, rel=1e-12, abs=0)


def test_conditioned_error_allows_what_rounding_the_inputs_costs():
    """Perturbing the activations by one rounding stays within; the textbook form's error ε R does not."""
    rng = np.random.default_rng(1)
    for dtype, offset in ((np.float64, 1e6), (np.float32, 1e3)):
        epsilon = np.finfo(dtype).eps
        a = offset + rng.standard_normal(50)
        moved = a * (1 + epsilon * rng.uniform(-1, 1, 50))
        right, R = np.array([a.var()]), np.array([np.mean(a**2)])
        assert conditioned_error(np.array([moved.var()]).astype(dtype), right, R) < 10 * epsilon
        assert conditioned_error((right + 4 * epsilon * R).astype(dtype), right, R) > 1e-5


def test_conditioned_error_by_hand():
    """|1.5 − 1| / 1, but for the roundings of R = 4."""
    assert conditioned_error(np.array([1.5]), np.array([1.0]), np.array([4.0]))[0] == pytest.approx(0.5, rel=1e-13)


def test_worst_error_of_the_library_against_its_oracle():
    for case in list(CASES.values())[::10]:
        fast, loops = ec.elimination_compensation(case.mlp, case.x), ec.oracle.loops(case.mlp, case.x)
        moments = ec.collect_moments(case.mlp, case.x)
        assert max(worst_error(fast, loops, case.mlp, moments)) < 1e-13
        assert [len(s) for s in scales(case.mlp, moments)] == [case.mlp.n_layers] * 2


def test_digits_are_those_of_the_error():
    assert [round(digits(e)) for e in (0, 1e-9, 1e-3, 1, 100, np.inf)] == [17, 9, 3, 0, 0, 0]
