"""The conformance cases: their references are right, their flags true, and every mistake shows in some of them."""

import importlib
import json
import sys
from pathlib import Path

import numpy as np
import pytest

import ecprune_np as ec
from ecprune_np import conformance
from ecprune_np.conformance._cases import VECTORS, all_cases, files_of_cases
from ecprune_np.conformance._kinds import KINDS
from ecprune_np.conformance.catalogue._mistake import predicted, wrong_values
from ecprune_np.conformance.diagnosis._answers import MATCH, apart, flat
from ecprune_np.error_analysis.comparison import digits, relative_error

sys.path.insert(0, str(Path(__file__).parents[1] / "examples"))
make_vectors = importlib.import_module("make_vectors")

CASES = conformance.cases()
KINKED = ("relu", "leaky_relu", "elu")


def worst(values, references, scales):
    return max(float(relative_error(*entry).max()) for entry in zip(values, references, scales))


@pytest.mark.parametrize("case", CASES, ids=str)
def test_reference_agrees_with_the_loops_in_extended_precision(case):
    loops = ec.oracle.loops(case.mlp.astype(np.longdouble), case.x.astype(np.longdouble))
    reference = case.reference
    assert worst(loops.importance, reference.importance, reference.importance_scale) < 1e-14
    assert worst(loops.bias_shift, reference.bias_shift, reference.shift_scale) < 1e-14
    if case.ill_conditioned:
        assert worst(loops.importance, reference.importance, reference.importance) < 1e-12


def test_the_fast_path_is_one_more_candidate():
    """EC-7.9, EC-9.9: what is right for a case does not come from it."""

    def fast(weights, biases, activation, x):
        scores = ec.elimination_compensation(ec.MLP(weights, biases, activation), x)
        return scores.importance, scores.bias_shift

    report = conformance.check(fast)
    assert report.verdict == "conforms" and not report.diagnosis
    least = min(digits(entry.error) for result in report.results for entry in result.worst)
    assert least > 14, least


@pytest.fixture(scope="module")
def made():
    """Every file, made again."""
    pytest.importorskip("mpmath", reason="exact values of tanh and the like need mpmath")
    return make_vectors.files()


def test_inputs_and_expected_values_are_made_again_as_they_are(made):
    """EC-9.8: by exact arithmetic, from the definition; what was published never moves."""
    assert make_vectors.moved(VECTORS, made) == []


def test_what_moves_is_named(made, tmp_path):
    conformance.write_vectors(tmp_path)
    (tmp_path / "depth-2.json").unlink()
    (tmp_path / "new.json").write_text("{}")
    file = tmp_path / "square.json"
    file.write_text(file.read_text(encoding="utf-8").replace('"version": 1', '"version": 2'), encoding="utf-8")
    assert make_vectors.moved(tmp_path, made) == ["depth-2.json", "new.json", "square.json"]


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "pruner"])
def test_the_cases_of_a_kind_are_those_of_the_files(kind):
    """Inputs, options, what is expected and on which scale, to the last bit; of the files that hold this kind."""
    known = {case.name: case for case in all_cases(kind)}
    assert len(known) == len(all_cases(kind))
    for file in files_of_cases():
        told = json.loads((VECTORS / file).read_text(encoding="utf-8"))
        values = {
            "ec": told,
            "uncompensated": {q: {"importance": told["scale"]["importance"]} for q in ("expected", "scale")},
        }
        values = values.get(kind) or told.get("kinds", {}).get(kind)
        case = known.pop(told["name"], None)
        assert (case is None) == (values is None), file
        if case is None:
            continue
        for name in ("weights", "biases"):
            assert [v.tolist() for v in getattr(case, name)] == told[name], file
        assert (case.x.tolist(), case.activation, case.note) == (told["x"], told["activation"], told["note"])
        flags = [flag for flag in told["flags"] if kind == "ec" or flag != "ill-conditioned"]
        assert [*case.flags] == flags and case.kind == kind
        for quantity in KINDS[kind].quantities:
            right, scale = case.reference.of(quantity)
            assert [v.tolist() for v in right] == values["expected"][quantity], file
            assert [v.tolist() for v in scale] == values["scale"][quantity], file
        usual = {"metric": "output", "y": None, "sample_weight": None, "output_activation": "identity"}
        for name, value in (usual | told.get("options", {})).items():
            mine = getattr(case, name)
            assert (mine.tolist() if isinstance(mine, np.ndarray) else mine) == value, (file, name)
    assert not known


def test_there_are_enough_cases_with_unique_names_that_are_file_names():
    names = [str(case) for case in CASES]
    assert len(CASES) >= 40
    assert len(set(names)) == len(names)
    assert all(set(name) <= set("abcdefghijklmnopqrstuvwxyz0123456789_-") for name in names)
    assert conformance.cases() is CASES


@pytest.mark.parametrize("case", CASES, ids=str)
def test_case_is_small_explained_and_cannot_be_spoilt(case):
    assert case.mlp.n_weights <= 200 and len(case.x) <= 300
    assert case.note and case.group == case.flags[0]
    weights, biases, activation, x = case.inputs()
    for array in (*weights, *biases, x):
        assert array.dtype == np.float64
        array[...] = np.nan
    assert all(np.isfinite(a).all() for a in (*case.weights, *case.biases, case.x))
    assert activation == case.activation
    with pytest.raises(ValueError, match="read-only"):
        case.x[0, 0] = 1


@pytest.mark.parametrize("case", CASES, ids=str)
def test_flags_are_true(case):
    moments = ec.collect_moments(case.mlp, case.x)
    n_samples, outputs = len(case.x), case.mlp.sizes[-1]
    assert ("dead neuron" in case.flags) == any((S == 0).any() for S in moments.sensitivity)
    assert ("one sample" in case.flags) == (n_samples == 1)
    assert ("several outputs" in case.flags) == (outputs > 1) == ("one output" not in case.flags)
    assert f"{case.mlp.n_layers} layer{'' if case.mlp.n_layers == 1 else 's'}" in case.flags
    assert case.mlp.n_layers == 1 or case.activation in case.flags


def test_the_cases_cover_what_tells_implementations_apart():
    flags = {flag for case in CASES for flag in case.flags}
    assert set(ec.ACTIVATIONS) <= flags
    assert {"1 layer", "2 layers", "3 layers", "4 layers", "5 layers"} <= flags
    assert flags >= {"one sample", "dead neuron", "constant input", "zero input", "square layer", "one neuron wide"}
    assert flags >= {"one output", "several outputs", "more than 32 samples", "zero weight", "ill-conditioned"}
    assert any(len(case.x) % 32 and len(case.x) > 128 for case in CASES)


@pytest.mark.parametrize("case", [case for case in CASES if case.activation in KINKED], ids=str)
def test_no_preactivation_is_near_a_kink_but_for_those_exactly_on_it(case):
    """Rounding to float32 must not move a sample across the kink."""
    trace = ec.forward(case.mlp, case.x)
    for z, a, w, b in zip(trace.preactivations[:-1], trace.inputs, case.weights, case.biases):
        size = (np.abs(a) @ np.abs(w).T + np.abs(b))[z != 0]
        ratio = np.abs(z[z != 0]) / size
        assert ratio.min(initial=1) > 1e-4, f"|z| is {ratio.min()} of its terms"
        assert (z[z == 0].size == 0) or case.activation == "relu"


def distance(mistake, case):
    """How far a mistake's importances, or its shifts, are from the right ones."""
    importance, shift = predicted(mistake, case)
    r = case.reference
    return max(
        apart(importance, flat(r.importance), flat(r.importance_scale)),
        apart(shift, flat(r.bias_shift), flat(r.shift_scale)),
    )


@pytest.mark.parametrize("mistake", conformance.MISTAKES, ids=lambda mistake: mistake.id)
def test_every_mistake_shows_in_some_case(mistake):
    shown = [case for case in CASES if distance(mistake, case) > MATCH * 1e-3]
    assert shown, "no case tells this mistake from the right values, even in float32"
    for importance, shift in (wrong_values(mistake, case) for case in shown):
        assert len(importance) == len(shift)


def test_catalogue_is_large_and_every_entry_is_documented():
    ids = [mistake.id for mistake in conformance.MISTAKES]
    assert len(ids) >= 25 and len(set(ids)) == len(ids)
    for mistake in conformance.MISTAKES:
        assert mistake.sentence.endswith(".") and mistake.equation.startswith("EC-")
