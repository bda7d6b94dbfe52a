"""The diagnosis at its thresholds, and what a report shows: on both sides of each number that a user could meet."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from ecprune_np import conformance
from ecprune_np._svg import WIDTH
from ecprune_np.conformance._html import LINKED, _picture, page
from ecprune_np.conformance._run import run
from ecprune_np.conformance._text import least_digits
from ecprune_np.conformance._verdict import judge
from ecprune_np.conformance.catalogue import MISTAKES, arithmetic
from ecprune_np.conformance.catalogue._mistake import Mistake, both, wrong_values
from ecprune_np.conformance.catalogue._parts import parts_of, scores
from ecprune_np.conformance.diagnosis import _kinds as kinds
from ecprune_np.conformance.diagnosis import _pairs
from ecprune_np.conformance.diagnosis import _where as where
from ecprune_np.conformance.diagnosis._answers import Answer, answers_of, apart, ranking_of, ratio
from ecprune_np.conformance.diagnosis._estimates import _between, _middle, estimated, of_values, tidy
from ecprune_np.conformance.diagnosis._kinds import tidy_step
from ecprune_np.conformance.diagnosis._own_network import _telling_rows
from ecprune_np.conformance.diagnosis._pairs import pair_of
from ecprune_np.conformance.diagnosis._unknown import unknown
from ecprune_np.conformance.diagnosis._where import Evidence, several_samples
from ecprune_np.error_analysis.comparison import digits

CASES = conformance.cases()
BY_NAME = {case.name: case for case in CASES}
SMOOTH = [c for c in CASES if c.group == "activations" and c.activation in ("tanh", "sigmoid", "sin", "softplus")]
BY_ID = {mistake.id: mistake for mistake in MISTAKES}


def answers(of, cases=CASES) -> list[Answer]:
    """The answers of a candidate that is a mistake, or a function of a case that gives importances and shifts."""
    values = [wrong_values(of, case) if isinstance(of, Mistake) else of(case) for case in cases]
    return answers_of([judge(case, conformance.Outcome(*pair)) for case, pair in zip(cases, values)])


def parted(of, cases=CASES):
    """The right answers, and the wrong ones."""
    found = answers(of, cases)
    return [a for a in found if not a.wrong], [a for a in found if a.wrong]


def first(of, cases=CASES):
    """The first finding on a candidate that is a function of a case."""
    results = [judge(case, conformance.Outcome(*of(case))) for case in cases]
    return conformance.Report("", tuple(results)).diagnosis[0]


def scaled(layers, factor):
    return tuple(factor * v for v in layers)


# Numbers


@given(st.integers(1, 999), st.integers(-12, 6), st.floats(-9e-5, 9e-5))
def test_a_number_of_a_few_digits_is_told_where_one_is_near(digits, power, off):
    meant = float(f"{digits}e{power}")
    assert tidy(meant * (1 + off)) == meant


@given(st.integers(-60, 10), st.floats(-9e-5, 9e-5))
def test_a_power_of_two_is_told_where_one_is_near(power, off):
    short = [abs(float(f"{2.0**power:.{d}e}") / 2.0**power - 1) for d in range(3)]
    assume(min(short) > 3e-4)  # no number of three digits is as near
    assert tidy(2.0**power * (1 + off)) == 2.0**power


@given(st.floats(1e-12, 1e6))
def test_a_number_that_is_near_no_other_stays_what_it_is(value):
    meant = tidy(value)
    assert abs(meant / value - 1) <= 1e-4 * (1 + 1e-9)
    near = any(abs(float(f"{value:.{d}e}") / value - 1) < 9.9e-5 for d in range(3))
    powers = abs(2.0 ** round(np.log2(value)) / value - 1) < 9.9e-5 and -60 <= np.log2(value) <= 10
    assert near or powers or meant == value or abs(meant / value - 1) > 9.8e-5


@given(st.integers(-9, 0), st.floats(0.81, 1.19))
def test_a_step_near_a_power_of_ten_is_that_power(power, factor):
    assert tidy_step(10.0**power * factor) == pytest.approx(10.0**power, rel=1e-15)


@given(st.integers(-9, 0), st.floats(1.21, 7.9))
def test_a_step_elsewhere_has_two_digits(power, factor):
    step = 10.0**power * factor
    assert tidy_step(step) == float(f"{step:.1e}") != 10.0**power


@given(st.lists(st.floats(-1e-3, 1e-3), min_size=3, max_size=9), st.lists(st.floats(2, 9), max_size=9), st.floats(1, 5))
def test_a_number_that_most_are_near_is_told_and_none_where_they_are_few_or_scattered(near, far, middle):
    values = np.array([middle * (1 + off) for off in near] + [100 * v for v in far])
    told = _middle(values)
    if len(near) > len(far):
        assert told is not None and abs(told / middle - 1) <= 2e-3
    assert _middle(values[:2]) is None and _middle(np.array([0.0, np.nan, np.inf, *values[:2]])) is None
    assert _middle(np.array([1.0, 2, 4, 8, 16])) is None  # one in five is near the median
    assert _middle(np.array([1.0, 2, 4])) == 2  # one in three


@given(st.floats(1e-9, 1e3), st.floats(1.001, 900))
def test_a_round_number_lies_between_two_or_is_the_larger(low, factor):
    high = low * factor
    ends = np.log10([high, low * 1e3])
    assume((np.abs(ends - np.round(ends)) > 1e-9).all())
    powers = [10.0**k for k in range(-10, 7) if low < 10.0**k <= min(high, low * 1e3)]
    assert low < _between(low, high) <= high
    assert _between(low, high) == pytest.approx(max(powers, default=high), rel=1e-12)


# Thresholds


@pytest.mark.parametrize(("off", "said"), [(2.9, True), (3.1, False)])
def test_an_answer_is_a_mistakes_within_three_tolerances(off, said):
    def candidate(case):
        importance, scale = case.reference.of("importance")
        return tuple(v / 2 + off * 1e-9 * s for v, s in zip(importance, scale)), case.reference.bias_shift

    plain = [case for case in CASES if case.group in ("activations", "outputs") and not case.ill_conditioned]
    finding = first(candidate, plain)
    assert (finding.id == "half") is said, finding


@pytest.mark.parametrize(
    ("error", "id"),
    [
        (2.9e-6, "float32-as-float64"),
        (3.1e-6, "half-precision"),
        (4.9e-4, "half-precision"),
        (5.1e-4, "bfloat16"),
        (1.9e-2, "bfloat16"),
    ],
)
def test_the_size_of_the_errors_tells_the_format(error, id):
    finding = kinds.precision(*parted(lambda case: noisy(case, error), CASES[::3]))
    assert finding is not None and finding.finding.id == id, finding


@pytest.mark.parametrize(
    ("error", "said", "ranking"),
    [(0, "all are exact float32 numbers", "network"), (1e-7, "the errors are of its size", "network"),
     (1e-4, "the errors are of its size", "")],
)  # fmt: skip
def test_what_speaks_for_a_format_and_what_it_leaves_of_the_ranking(error, said, ranking):
    def of(case):
        r = case.reference
        if error:
            return noisy(case, error)
        return tuple([v.astype(np.float32).astype(float) for v in layers] for layers in (r.importance, r.bias_shift))

    finding = kinds.precision(*parted(of, CASES[::3])).finding
    assert said in finding.sentence and finding.ranking == ranking, finding


def test_one_error_that_is_too_large_for_float32_tells_another_format():
    def of(case):
        importance, shift = noisy(case, 1e-7)
        if case is CASES[3]:
            importance[0][0, 0] += 2e-3 * case.reference.importance_scale[0][0, 0]
        return importance, shift

    assert kinds.precision(*parted(of, CASES[::3])).finding.id == "half-precision"


@pytest.mark.parametrize("error", [2.1e-2, 2.9e-11])
def test_errors_that_are_no_formats(error):
    assert kinds.precision(*parted(lambda case: noisy(case, error), CASES[::3])) is None


def test_of_values_with_few_digits_no_place_is_said():
    """The first layers of deeper networks have fewer digits than the others, which is no mistake in them."""

    def of(case):
        right = case.reference.importance, case.reference.bias_shift
        if len(case.weights) < 3:
            return right
        return tuple((wrong[0], *layers[1:]) for wrong, layers in zip(noisy(case, 1e-7), right))

    usual = [case for case in CASES if case.reference.importance_scale[0].any()][:24]
    assert where.located(*parted(of, usual)), "a place could be said"
    findings = conformance.Report("", tuple(judge(c, conformance.Outcome(*of(c))) for c in usual)).diagnosis
    assert [finding.id for finding in findings] == ["few-digits"], findings


def noisy(case, error):
    """Every entry is off by so much of its scale, up or down."""
    rng = np.random.default_rng(len(case.x))
    r = case.reference
    return tuple(
        tuple(v + error * s * rng.choice([-1, 1], v.shape) for v, s in zip(values, scales))
        for values, scales in (r.of("importance"), r.of("bias_shift"))
    )


def of_noisy_slopes(case, error, everywhere):
    """Sensitivities that are off by so much of their size, in right formulas, or in those and in the shifts as well."""
    rng, p = np.random.default_rng(len(case.x)), parts_of(case)
    wrong = scores(replace(p, s=tuple(s * (1 + error * rng.standard_normal(s.shape)) for s in p.s)))
    return tuple(I for I, _ in wrong), tuple(d * (1 + error * everywhere) for _, d in wrong)


@pytest.mark.parametrize(("everywhere", "id"), [(False, "numerical-derivative"), (True, "float32-as-float64")])
def test_derivatives_that_are_measured_leave_the_shifts_of_constant_inputs_exact(everywhere, id):
    """μ = E[s a]/S is the input itself where there is one sample, whatever s is."""
    finding = kinds.precision(*parted(lambda case: of_noisy_slopes(case, 5e-8, everywhere)))
    assert finding is not None and finding.finding.id == id, finding
    if not everywhere:
        assert "right to about 8 digits and the rest exactly" in finding.finding.sentence, finding.finding.sentence


# Places


def located_of(layers_of, cases=CASES):
    """What is said of where the mistake is, if in each case these layers are wrong, in no known way."""
    rng = np.random.default_rng(0)

    def candidate(case):
        wrong, reference = layers_of(case), case.reference
        return tuple(
            tuple(v + s * rng.uniform(0.1, 0.5, v.shape) * (l in wrong) for l, (v, s) in enumerate(zip(values, scales)))
            for values, scales in (reference.of("importance"), reference.of("bias_shift"))
        )

    return {e.finding.id: e.finding.sentence for e in where.located(*parted(candidate, cases))}


def test_only_networks_with_several_outputs_are_wrong():
    """All of these, and no other; a single other one says that it is not the outputs."""
    usual = [case for case in CASES if case.reference.importance_scale[0].any()]  # not dead
    several = [case for case in usual if len(case.biases[-1]) > 1]
    one = next(case for case in usual if len(case.biases[-1]) == 1)
    for wrong, told in ((several, True), ([*several, one], False), (several[1:], False)):
        said = located_of(lambda case, wrong=wrong: {0} if case in wrong else (), usual)
        assert ("several-outputs-only" in said) is told, said


@pytest.mark.parametrize(
    ("hidden", "look"),
    [
        (lambda case: len(case.weights) > 2, "the chain rule through more than one hidden layer"),
        (lambda case: case.activation != "identity", "the derivatives σ' of the activations"),
        (lambda case: len(case.biases[-1]) > 1, "how the outputs' gradients become one sensitivity"),
        (lambda case: len(case.x) != 33, "the backward pass"),
    ],
    ids=["depth", "activation", "outputs", "neither"],
)
def test_where_hidden_layers_alone_are_wrong_the_right_ones_say_what_to_look_at(hidden, look):
    """Hidden layers of some networks are wrong, and all last layers right, which no derivative enters."""
    usual = [case for case in CASES if len(case.weights) > 1 and case.reference.importance[0].any()]
    if "gradients" in look:
        usual = [case for case in usual if case.activation != "identity"]
    said = located_of(lambda case: set(range(len(case.weights) - 1)) if hidden(case) else (), usual)
    assert said["hidden-layers-only"].endswith(f"look at {look}.") or f"look at {look} (" in said["hidden-layers-only"]


def test_the_forward_pass_is_said_with_the_activations_that_are_wrong_and_those_that_are_right():
    usual = [case for case in CASES if case.reference.importance_scale[0].any()]
    names = ("tanh", "relu", "sigmoid")
    networks = [case for case in usual if len(case.weights) == 1 or case.activation in names]
    for wrong, which in ((names[:2], " with relu, tanh (right with sigmoid)"), (names, "")):
        layers = {case: set(range(len(case.weights))) for case in networks if case.activation in wrong}
        said = located_of(lambda case, wrong=layers: wrong.get(case, ()) if len(case.weights) > 1 else (), networks)
        assert said["forward-pass"].startswith(f"The forward pass is wrong{which}: "), said


@pytest.mark.parametrize(("one_sample_too", "hint"), [(False, "; with one sample they are right"), (True, "")])
def test_a_single_layer_that_is_wrong_says_whether_one_sample_is_right(one_sample_too, hint):
    usual = [case for case in CASES if case.reference.importance_scale[0].any()]

    def of(case):
        right = case.reference.importance, case.reference.bias_shift
        return noisy(case, 0.3) if one_sample_too or len(case.x) > 1 else right

    assert where.single_layer(*parted(of, usual)).endswith(f"is wrong already{hint}.")


@pytest.mark.parametrize(("worst", "told"), [(9e-4, True), (1.1e-3, False)])
def test_a_few_digits_are_at_least_three(worst, told):
    right, wrong = parted(lambda case: noisy(case, worst), SMOOTH)
    finding = kinds.few_digits(right, wrong)
    assert (finding is not None) is told and (not told or "right to 3 digits" in finding.finding.sentence)


@pytest.mark.parametrize(("step", "central"), [(1e-2, False), (3e-4, False), (1e-2, True), (1e-3, True)])
def test_the_step_of_differences_is_estimated(step, central):
    right, wrong = parted(arithmetic.differences(step, central), SMOOTH)
    finding = kinds.differences(right, wrong)
    assert finding is not None and finding.finding.id == arithmetic.differences(step, central).id


def test_a_ranking_is_right_where_what_is_nearly_equal_changes_places():
    case = BY_NAME["depth-1"]
    ((importance,), (scale,)) = case.reference.of("importance")
    order = np.argsort(importance, axis=None)
    low, high = (np.unravel_index(k, importance.shape) for k in order[:2])
    for share, expected in ((0.99e-5, "network"), (1.01e-5, "lost")):
        near = importance.copy()
        near[high] = near[low] + share * (scale[low] + scale[high])
        other = near.copy()
        other[low], other[high] = near[high], near[low]
        reference = replace(case.reference, importance=(near,))
        assert ranking_of([(replace(case, reference=reference), (other,))]) == expected


def test_a_factor_is_read_off_where_the_importance_is_not_free():
    right, scales = np.array([0.0, 2e-6, 1e-9]), np.ones(3)
    assert ratio(3 * right, right, scales) == pytest.approx(3, rel=1e-15)
    assert ratio(3 * right, right, scales * 2.1) is None  # all are below 1e-6 of their scales
    assert ratio(np.array([0, np.nan, 0]), right, scales) is None and ratio(right, right, 0 * scales) is None


def test_how_far_arrays_are_apart():
    """Of the scale, or of the other one where it is larger; NaN in the same places is the same."""
    one, scale = np.array([1.0, np.nan, np.inf]), np.array([2.0, 1, 1])
    assert apart(one, one, scale) == 0
    assert apart(np.array([2.0]), np.array([1.0]), np.array([4.0])) == 0.25
    assert apart(np.array([2.0]), np.array([8.0]), np.array([4.0])) == 0.75
    assert apart(np.array([np.nan]), np.array([1.0]), np.array([4.0])) == np.inf


# Estimates


def ids_of(values, case=BY_NAME["depth-3"]):
    """What may be read off importances by themselves."""
    (importance, *_) = answers(lambda case: (values, case.reference.bias_shift), [case])
    return {mistake.id for mistake in of_values(importance)}


@pytest.mark.parametrize(("n", "told"), [(2, False), (3, True)])
def test_a_floor_and_a_cap_are_numbers_that_come_three_times(n, told):
    reference = BY_NAME["depth-3"].reference.importance
    flat = np.sort(np.concatenate([v.ravel() for v in reference]))
    assert len(set(flat)) == len(flat)
    low, high = float(f"{flat[n - 1] * 1.001:.3g}"), float(f"{flat[-n] * 0.999:.3g}")
    assert (flat <= low).sum() == n == (flat >= high).sum()
    assert (f"importance-at-least-{low:.3g}" in ids_of(tuple(np.maximum(v, low) for v in reference))) is told
    assert (f"importance-at-most-{high:.3g}" in ids_of(tuple(np.minimum(v, high) for v in reference))) is told


def test_a_number_that_is_right_as_often_as_it_comes_is_no_floor_and_no_cap():
    case = BY_NAME["depth-3"]
    flat = np.sort(np.concatenate([v.ravel() for v in case.reference.importance]))
    tied = tuple(np.clip(v, flat[3], flat[-4]) for v in case.reference.importance)
    told = ids_of(tied, replace(case, reference=replace(case.reference, importance=tied)))
    assert not [id for id in told if id.startswith("importance-at")], told


@pytest.mark.parametrize(("largest", "told"), [(1000.1234567, True), (999.1234567, False)])
def test_decimals_are_looked_for_below_a_thousand(largest, told):
    right = BY_NAME["depth-3"].reference.importance
    values = tuple(np.round(v, 2) + 0.01 for v in right)
    values[0][0, 0] = largest
    assert ("importance-rounded-to-2-decimals" in ids_of(values)) is told, ids_of(values)


@pytest.mark.parametrize(
    "mistake",
    [
        *(of(c) for of in (arithmetic.raised, arithmetic.logarithm_of_sum) for c in (1e-3, 2e-6)),
        *map(arithmetic.powered, (0.25, 1.5, -1.0)),
        *(arithmetic.decimals(d, q) for d in (2, 5) for q in ("importance", "bias_shift")),
        *(arithmetic.digits(d, q) for d in (2, 5) for q in ("importance", "bias_shift")),
        *(arithmetic.plus(c, of_sum) for c in (3e-2, 1e-1) for of_sum in (False, True)),
        *(arithmetic.at_least(c, of_sum) for c in (3e-2, 1e-1) for of_sum in (False, True)),
        arithmetic.zeroed(1e-3),
        arithmetic.floored(1e-3),
        arithmetic.capped(2.0),
    ],
    ids=lambda mistake: mistake.id,
)  # fmt: skip
def test_the_number_of_a_mistake_is_read_off_the_answers(mistake):
    found = {m.id for m in estimated(answers(mistake, CASES[::2]))}
    assert mistake.id in found, found


def test_no_number_is_read_off_importances_that_are_none():
    """All NaN, beside right shifts: nothing was added, cut off, raised to a power or rounded, and nothing warns."""
    empty = answers(lambda case: (scaled(case.reference.importance, np.nan), case.reference.bias_shift))
    assert list(estimated(empty)) == []


# Pairs


@pytest.mark.parametrize(
    "names",
    [("biases-subtracted", "unbiased-variance"), ("no-activation", "median")],
)
def test_two_mistakes_at_once_are_found_without_one_of_them(names):
    cases = CASES[:9]
    right, wrong = parted(both(*(BY_ID[name] for name in names)), cases)
    found = pair_of(right, wrong, frozenset(wrong), ())
    assert found is not None and len(found.explained) == len(wrong)
    expected = both(*(BY_ID[name] for name in names))
    for case in cases:
        for mine, theirs in zip(wrong_values(found.mistake, case), wrong_values(expected, case)):
            for v, o in zip(mine, theirs):
                np.testing.assert_allclose(v, o, rtol=1e-7, atol=1e-12)


# Where, and in which order


@pytest.mark.parametrize(("n_right", "told"), [(2, False), (3, True)])
def test_more_samples_are_told_where_three_cases_of_fewer_are_right(n_right, told):
    cases = [*SMOOTH[:n_right], BY_NAME["sorted-65"], BY_NAME["sorted-129"]]

    def of(case):
        right = case.reference
        return scaled(right.importance, 1.0 if len(case.x) < 65 else 1.5), right.bias_shift

    found = several_samples(Evidence(*parted(of, cases)))
    assert (found is not None) is told
    assert not told or "65 samples or more are wrong, those with up to 12 are right" in found.sentence


@pytest.mark.parametrize(
    ("quantity", "factor", "ranking"),
    [("importance", 2.7, "network"), ("importance", -2.7, "lost"), ("bias_shift", 2.7, ""), ("bias_shift", -2.7, "")],
)
def test_a_factor_says_what_it_leaves_of_the_ranking(quantity, factor, ranking):
    def of(case):
        right = {"importance": case.reference.importance, "bias_shift": case.reference.bias_shift}
        return tuple((right | {quantity: scaled(right[quantity], factor)}).values())

    finding = first(of, CASES[:9])
    assert (finding.id, finding.ranking) == (f"{quantity}-constant-factor", ranking)


@pytest.mark.parametrize(("n_known", "told"), [(3, "unknown"), (4, "squared")])
def test_what_no_mistake_explains_comes_first_where_the_known_one_is_less_than_a_fifth(n_known, told):
    """Of twenty cases a few have a known mistake, and the others scattered factors."""
    rng = np.random.default_rng(0)
    cases = [case for case in conformance.cases(kind="wanda") if case.group == "activations"][:20]
    right = [case.reference.importance for case in cases]
    values = [[v**2 for v in right] for right in right[:n_known]]
    values += [[v * rng.uniform(0.3, 3, v.shape) for v in right] for right in right[n_known:]]
    results = tuple(judge(case, conformance.Outcome(v)) for case, v in zip(cases, values))
    ids = [finding.id for finding in conformance.Report("", results).diagnosis]
    assert ids[0] == told and {"unknown", "squared"} <= set(ids), ids


def test_pairs_are_tried_on_a_usual_case_and_on_its_importances():
    """Several outputs and samples come before hidden layers, these before a usual group, and three layers last."""
    found = [a for a in answers(lambda case: noisy(case, 0.1)) if a.comparable]

    def plain(a):
        return len(a.case.biases[-1]) > 1 and len(a.case.x) > 10 and not a.case.ill_conditioned

    def hidden(a):
        return len(a.case.weights) > 1

    def usual(a):
        return len(a.case.biases[-1]) > 2 and a.case.group in ("activations", "depth", "correlation")

    def of_three_layers(a):
        return len(a.case.weights) == 3

    def of_importance(a):
        return a.quantity == "importance"

    left = found
    for holds in (plain, hidden, usual, of_three_layers, of_importance):
        better, worse = [a for a in left if holds(a)], [a for a in left if not holds(a)]
        assert better and worse, holds
        for other in (worse[0], worse[-1]):
            assert all(_pairs._telling(frozenset([one, other])) is one for one in better), (holds, other)
        left = better
    names = [a.case.name for a in left]
    assert _pairs._telling(frozenset(left)).case.name == min(names) and len(set(names)) > 1


def test_of_the_pairs_that_fit_the_one_that_explains_most_is_said(monkeypatch):
    """Half of the cases have one pair, some another, and the rest none; none of both explains nearly all."""
    names = (("half", "plain-mean"), ("double", "plain-mean"), ("square-of-importance", "plain-mean"))
    most, some, none = (both(BY_ID[a], BY_ID[b]) for a, b in names)
    cases = [case for case in SMOOTH if len(case.x) > 1]
    assert len(cases) >= 8
    right, wrong = parted(lambda c: wrong_values((most, some, most, none)[cases.index(c) % 4], c), cases)
    other = both(BY_ID["root-of-importance"], BY_ID["times-outputs"])
    for order in ((some, other, most, some), (most, some, other), (other, some, most)):
        monkeypatch.setattr(_pairs, "_fitting", lambda *_, order=order: iter(order))
        found = pair_of(right, wrong, frozenset(wrong), ())
        assert found is not None and found.finding.id == most.id, found
    for place, is_tried in ((12, True), (13, False)):
        monkeypatch.setattr(_pairs, "_fitting", lambda *_, place=place: iter([*[other] * (place - 1), most]))
        assert (pair_of(right, wrong, frozenset(wrong), ()) is not None) is is_tried


@pytest.mark.parametrize(
    ("right_cases", "explained", "left", "wrong_shifts", "are_tried"),
    [
        (["tanh-2-layers", "sin-3-layers"], [], ["tanh-3-layers"], True, False),
        (["tanh-2-layers", "sin-3-layers"], [], ["tanh-3-layers"], False, False),
        (["sin-2-layers"], ["sin-3-layers"], ["tanh-3-layers"], True, False),
        (["elu-2-layers"], [], ["tanh-3-layers", "sin-3-layers"], True, True),
        (["tanh-2-layers"], [], ["tanh-3-layers"], True, True),  # no other activation is tried
        (["offset-1e3"], [], ["tanh-3-layers"], True, True),  # the other one's network has no hidden layer
        ([], ["sin-3-layers"], ["tanh-3-layers"], False, True),  # the other one's shifts alone are right
    ],
)
def test_any_two_mistakes_are_tried_unless_one_activation_alone_is_wrong(
    monkeypatch, right_cases, explained, left, wrong_shifts, are_tried
):
    """Two mistakes that no activation has part in show in the others' networks too."""

    def of(case):
        factor = 1 if case.name in right_cases else 1.7
        shifts = scaled(case.reference.bias_shift, factor if wrong_shifts else 1)
        return scaled(case.reference.importance, factor), shifts

    tried = []
    monkeypatch.setattr(_pairs, "_fitting", lambda target, known, any_two: tried.append(any_two) or iter([]))
    right, wrong = parted(of, [BY_NAME[name] for name in (*right_cases, *explained, *left)])
    assert {a.case.name for a in wrong} == {*explained, *left}
    assert pair_of(right, wrong, frozenset(a for a in wrong if a.case.name in left), ()) is None
    assert tried == [are_tried]


@pytest.mark.parametrize(("which", "kept"), [("first", slice(1, None)), ("last", slice(None, -1))])
@pytest.mark.parametrize("only_of_several", [True, False])
def test_a_layer_that_is_missing_is_said_of_networks_that_have_others(which, kept, only_of_several):
    def of(case):
        right = case.reference.importance, case.reference.bias_shift
        return right if only_of_several and len(right[0]) == 1 else tuple(layers[kept] for layers in right)

    results = tuple(judge(case, conformance.Outcome(*of(case))) for case in CASES[:40])
    finding, *others = conformance.Report("", results).diagnosis
    assert (finding.id, finding.contradicted) == (f"{which}-layer-missing", ())
    assert {case.name for case in CASES[:40] if len(case.weights) > 1} == set(finding.cases)
    assert [other.id for other in others] == ["no-answer"] * (not only_of_several)


# A network of one's own


def test_a_layer_is_judged_by_its_largest_rows_four_wrong_ones_and_two_right_ones():
    case = BY_NAME["wide"]
    every_other = np.arange(16) % 2 == 0

    def of(case):
        first, last = case.reference.importance
        return (first * np.where(every_other, 1.5, 1.0)[:, np.newaxis], last), case.reference.bias_shift

    found = _telling_rows(answers(of, [case]), 0)
    largest = case.reference.importance_scale[0].max(axis=1)
    for rows, n in ((every_other, 4), (~every_other, 2)):
        assert sorted(largest[found[rows[found]]]) == sorted(largest[rows])[-n:]


def test_a_row_is_wrong_by_its_error_on_its_own_scale():
    """Rows of a small scale that are off by little, and rows of a large one that are off by more, and right."""
    case = BY_NAME["wide"]
    scale = np.where(np.arange(16) % 2 == 0, 1e-6, 1e6)[:, np.newaxis] * np.ones_like(case.weights[0])
    error = np.where(np.arange(16) % 2 == 0, 1e-9, 1e-6)[:, np.newaxis]
    last = case.reference.importance[1]
    reference = replace(
        case.reference, importance=(scale, last), importance_scale=(scale, case.reference.importance_scale[1])
    )
    answer = answers(lambda c: ((scale + error, last), c.reference.bias_shift), [replace(case, reference=reference)])[0]
    assert answer.quantity == "importance" and (_telling_rows([answer], 0)[:4] % 2 == 0).all()


# The report


def test_digits_on_the_strict_scale_count_where_they_decide():
    """An ill-conditioned case that passes is judged by the other scale alone."""
    case = next(case for case in CASES if case.ill_conditioned)
    (first, *rest), (scale, *_) = case.reference.of("importance")
    near = first * np.where(first / scale == (first / scale).min(), 1 + 1e-10, 1)  # where most has cancelled
    passed = judge(case, conformance.Outcome((near, *rest), case.reference.bias_shift))
    inaccurate = judge(case, conformance.Outcome(*noisy(case, 1e-11)))
    assert (passed.status, inaccurate.status) == ("passed", "inaccurate")
    assert least_digits([passed]) == min(digits(entry.error) for entry in passed.worst) > digits(passed.accuracy.error)
    assert least_digits([inaccurate]) == digits(inaccurate.accuracy.error) < least_digits([passed])


def test_the_page_counts_the_results_of_each_group():
    cases = [case for case in CASES if case.group in ("depth", "offset")]
    results = [
        judge(case, conformance.Outcome(*noisy(case, (1e-15, 1e-11, 0.1)[k % 3]))) for k, case in enumerate(cases)
    ]
    results[0] = judge(cases[0], conformance.Outcome(skipped="not today"))
    text = page(conformance.Report("", tuple(results)))
    rows = re.findall(r"<tr><td>([\w ]+)</td><td>([^<]*)</td><td class='number'>([^<]*)</td>", text)
    assert {group for group, *_ in rows} == {case.group for case in cases}
    for group, remarks, passed in rows:
        of = [r.status for r in results if r.case.group == group]
        said = [f"{of.count(status)} {status}" for status in ("failed", "inaccurate", "skipped") if status in of]
        assert (remarks, passed) == (", ".join(said), f"{of.count('passed')} of {len(of)}"), group


@pytest.mark.parametrize("n_layers", [1, 6, 7, 13])
def test_the_legend_has_six_layers_a_line_above_the_plot(n_layers):
    values = (np.ones((1, 1)),) * n_layers
    svg = _picture(values, values)
    top = float(re.search(r"y='([\d.]+)'[^>]*>candidate importance", svg)[1])
    places = [tuple(map(float, place)) for place in re.findall(r"x='([\d.]+)' y='([\d.]+)'[^>]*>layer \d+<", svg)]
    assert len(set(places)) == n_layers, places
    assert {y for _, y in places} == {12.0 + 14 * k for k in range(-(-n_layers // 6))}
    assert max(x for x, _ in places) < WIDTH - 30
    assert top == max(y for _, y in places) + 24, "the axis' name stands under the last line"


@pytest.mark.parametrize(("kind", "said"), [("ec", True), ("pruner", False)])
def test_a_single_layer_says_that_a_formula_is_wrong_and_a_pruner_has_none(kind, said):
    case = next(case for case in conformance.cases(kind=kind) if len(case.weights) == 1)
    result = judge(case, conformance.Outcome(problem="scattered"))
    wrong = [
        Answer(result, quantity, tuple(v + 1 for v in case.reference.of(quantity)[0]), True, 1e-9)
        for quantity in case.quantities
    ]
    assert ("The formula itself is wrong" in unknown([], wrong, wrong).sentence) is said


def deep_down(n):
    if n:
        deep_down(n - 1)
    raise ValueError("at the bottom")


def test_a_crash_is_told_by_its_last_three_lines():
    outcome = run(lambda *arguments: deep_down(5), BY_NAME["depth-1"])
    lines = outcome.traceback.splitlines()
    assert len(lines) == 3 and lines[-1].endswith('raise ValueError("at the bottom")')
    assert [line.split(" in ")[1].split(":")[0] for line in lines] == ["deep_down"] * 3


def test_the_page_says_what_its_pictures_show_where_there_are_some():
    def half(weights, biases, activation, x):
        right = BY_NAME["depth-3"].reference
        return [v / 2 for v in right.importance], list(right.bias_shift)

    text = page(conformance.check(half, [BY_NAME["depth-3"]]))
    for told in (
        "Each mark is a weight: the right number along the horizontal axis, the candidate's along the vertical one",
        "both logarithmic, importances first, bias shifts below. Right ones lie on the diagonal",
        "a constant factor is a parallel to it, a floor is a horizontal line",
        "0 of 1 cases pass",
        "Cases that do not pass",
    ):
        assert told in text.replace("&#x27;", "'"), told
    right = BY_NAME["depth-3"].reference
    good = page(conformance.check(lambda *a: (list(right.importance), list(right.bias_shift)), [BY_NAME["depth-3"]]))
    assert "Each mark is a weight" not in good and "1 of 1 cases pass" in good
    assert "<pre></pre>" not in text + good  # no traceback where nothing crashed


def test_the_page_links_a_finding_to_a_dozen_cases_at_most():
    for n in (LINKED, LINKED + 1):
        some = [case for case in CASES if not case.ill_conditioned and case.reference.importance[0].any()][:n]
        results = [
            judge(c, conformance.Outcome(scaled(c.reference.importance, 2.0), c.reference.bias_shift)) for c in some
        ]
        text = page(conformance.Report("", tuple(results)))
        diagnosis = text.split("Diagnosis")[1].split("</ol>")[0]
        assert diagnosis.count("<a href='#") == 12 and (" and 1 more" in diagnosis) is (n > LINKED)
