"""Each rule of the diagnosis by itself, on both sides of every bound: what it needs to speak, and when it is silent."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from types import SimpleNamespace

import numpy as np
import pytest

from ecprune_np import conformance
from ecprune_np.conformance._verdict import judge
from ecprune_np.conformance.catalogue import MISTAKES, arithmetic
from ecprune_np.conformance.catalogue._mistake import wrong_numbers
from ecprune_np.conformance.catalogue.derivative import DERIVATIVE
from ecprune_np.conformance.catalogue.forward import FORWARD
from ecprune_np.conformance.catalogue.options import OPTIONS
from ecprune_np.conformance.diagnosis import _diagnose, _own_network
from ecprune_np.conformance.diagnosis import _explanations as explanations
from ecprune_np.conformance.diagnosis import _kinds as kinds
from ecprune_np.conformance.diagnosis import _relations as relations
from ecprune_np.conformance.diagnosis import _where as where
from ecprune_np.conformance.diagnosis._answers import Answer, answers_of
from ecprune_np.conformance.diagnosis._estimates import _of_importances, _roundings, step_of, tidy
from ecprune_np.conformance.diagnosis._explanations import Explanation, cover
from ecprune_np.conformance.diagnosis._finding import Finding


@dataclass(frozen=True, eq=False)
class Network:
    """As much of a case as the places look at."""

    activation: str = "tanh"
    n_layers: int = 2
    n_outputs: int = 2
    n_samples: int = 20
    flags: tuple[str, ...] = ()
    quantities: tuple[str, ...] = ("importance", "bias_shift")
    kind: str = "ec"
    names_of_options: tuple[str, ...] = ()

    @property
    def x(self) -> range:
        return range(self.n_samples)

    @property
    def weights(self) -> range:
        return range(self.n_layers)

    @property
    def biases(self) -> list[range]:
        return [*[range(3)] * (self.n_layers - 1), range(self.n_outputs)]


@dataclass(frozen=True, eq=False)
class Told:
    """As much of an answer."""

    case: Network
    quantity: str
    wrong_layers: frozenset[int] = frozenset()
    comparable: bool = True
    result: SimpleNamespace = field(default_factory=lambda: SimpleNamespace(outcome=SimpleNamespace(not_given=())))

    @property
    def values(self) -> range:
        return self.case.weights


def evidence(*networks: tuple[Network, Iterable[int]]) -> where.Evidence:
    """Networks with the layers that are wrong in importances and shifts alike."""
    told = [Told(case, quantity, frozenset(wrong)) for case, wrong in networks for quantity in case.quantities]
    return where.Evidence([a for a in told if not a.wrong_layers], [a for a in told if a.wrong_layers])


RIGHT: tuple[int, ...] = ()
ONE = Network("relu", 1)


def says(rule, *networks: tuple[Network, Iterable[int]]) -> str:
    found = rule(evidence(*networks))
    return "" if found is None else f"{found.id}: {found.sentence}"


# Places


def test_one_activation_is_wrong_in_its_derivative_or_its_value():
    relu, tanh = Network("relu"), Network("tanh")
    assert says(where.one_activation, (tanh, [0]), (relu, RIGHT)).startswith("derivative-of-one-activation: The deri")
    assert says(where.one_activation, (tanh, [0, 1]), (relu, RIGHT)).startswith("value-of-one-activation: The value")
    assert says(where.one_activation, (tanh, [0]), (ONE, RIGHT)) == ""  # no other one is known to be right
    assert says(where.one_activation, (tanh, [0]), (relu, [0]), (Network("sin"), RIGHT)) == ""
    assert says(where.one_activation, (tanh, [0]), (Network("tanh", 1), [0]), (relu, RIGHT)) == ""


def test_one_activation_is_right_among_three_or_more_that_are_wrong():
    wrong = [(Network(name), [0]) for name in ("tanh", "sin", "gelu")]
    relu, identity = (Network("relu"), RIGHT), (Network("identity"), RIGHT)
    assert 'Only the activation "relu" is right' in says(where.one_right_activation, *wrong, relu)
    assert says(where.one_right_activation, *wrong[:2], relu) == ""
    assert says(where.one_right_activation, *wrong, identity) == ""
    assert says(where.one_right_activation, *wrong, relu, identity) == ""
    assert says(where.one_right_activation, *wrong) == ""


def test_more_samples_are_wrong_where_they_are_more_than_in_any_of_three_right_cases():
    def told(wrong: list[int], right: list[int]) -> str:
        return says(
            where.several_samples,
            *((Network(n_samples=n), [0]) for n in wrong),
            *((Network(n_samples=n), RIGHT) for n in right),
        )

    assert "cases with 13 samples or more are wrong, those with up to 12 are right" in told([20, 13], [1, 12, 5])
    assert told([20, 12], [1, 12, 5]) == "" and told([20, 13], [1, 12]) == "" and told([20], []) == ""


def test_several_outputs_are_wrong_where_one_is_right_twice():
    several, one = (Network(n_outputs=2), [0]), (Network(n_outputs=1), RIGHT)
    deep = (Network(n_outputs=2, n_layers=3), [0])
    assert says(where.several_outputs, several, deep, one, one) == ""  # the same case is one
    two = [(Network(n_outputs=1), RIGHT) for _ in range(2)]
    assert says(where.several_outputs, several, deep, *two).startswith("several-outputs-only: Only networks with")
    assert says(where.several_outputs, deep, *two) == ""  # none of one hidden layer, where it would have to show
    assert says(where.several_outputs, several, *two, (Network(n_outputs=3), RIGHT)) == ""
    assert says(where.several_outputs, several, (Network(n_outputs=1), [0]), *two) == ""


def test_the_forward_pass_is_wrong_where_last_layers_are_behind_hidden_ones_alone():
    assert says(where.forward_pass, (Network("tanh"), [1]), (ONE, RIGHT)) == (
        "forward-pass: The forward pass is wrong: networks of one layer are right, but behind hidden layers already "
        "the last layer is wrong, which depends on their activations alone."
    )
    both = says(where.forward_pass, (Network("tanh"), [1]), (ONE, RIGHT), (Network("sin"), RIGHT))
    assert "wrong with tanh (right with sin): " in both
    assert says(where.forward_pass, (Network(), [1]), (Network("sin"), RIGHT)) == ""  # none of one layer is right
    assert says(where.forward_pass, (Network(), [0]), (ONE, RIGHT)) == ""
    assert says(where.forward_pass, (Network(), [1]), (Network("tanh", 1), [0]), (ONE, RIGHT)) == ""


@pytest.mark.parametrize(
    ("wrong", "right", "what"),
    [
        ([Network(n_layers=3)], [Network(), Network("sin")], "the chain rule through more than one hidden layer"),
        ([Network(n_layers=3)], [Network()], "the backward pass."),  # one right case may be chance
        ([Network(n_layers=3), Network()], [Network("sin"), Network("relu")], "the backward pass."),
        ([Network()], [Network("identity")], "the derivatives σ' of the activations"),
        ([Network(), Network("identity")], [Network("identity")], "the backward pass."),
        ([Network()], [Network("sin", n_outputs=1)], "how the outputs' gradients become one sensitivity."),
        ([Network()], [Network("sin", 3, n_outputs=1), ONE], "how the outputs' gradients become one sensitivity."),
        ([Network()], [Network("sin", n_outputs=1), Network("sin")], "the backward pass."),
        ([Network()], [], "the backward pass."),
    ],
)
def test_the_backward_pass_is_wrong_where_last_layers_are_right(wrong, right, what):
    networks = [*((case, [0]) for case in wrong), *((case, RIGHT) for case in right)]
    assert f"look at {what}" in says(where.backward_pass, *networks)
    assert says(where.backward_pass, *networks, (Network(), [1])) == ""
    assert says(where.backward_pass, *networks, (Network(n_layers=1), [0])) == ""


@pytest.mark.parametrize(
    ("layers", "id"),
    [
        ([(0,), (0,)], "first-layer-only"),
        ([(2,), (2,)], "last-layer-only"),
        ([(1, 2), (2,)], "first-layer-right"),
        ([(0,), (2,)], ""),
        ([(0, 1), (0,)], ""),
        ([(1, 2), (0, 2)], ""),
    ],
)
def test_all_that_is_wrong_is_in_one_layer(layers, id):
    assert says(where.one_layer, *((Network(n_layers=3), wrong) for wrong in layers)).partition(":")[0] == id
    assert says(where.one_layer, (ONE, [0]), (Network(n_layers=1), [0])) == ""
    assert says(where.one_layer, (ONE, [0]), (Network(), [0])).startswith("first-layer-only: ")


def test_flags_that_all_wrong_cases_share_and_no_right_one_has():
    wrong = [(Network(flags=("a", "b", "c")), [0]), (Network(flags=("b", "d", "a")), [0])]
    assert says(where.common_flag, *wrong, (ONE, RIGHT)) == (
        'flag-only: All wrong cases are flagged "a" and "b", and no right case is.'
    )
    assert 'flagged "b", and' in says(where.common_flag, *wrong, (Network(flags=("a",)), RIGHT))
    assert says(where.common_flag, *wrong) == ""
    assert says(where.common_flag, *wrong, (Network(flags=("a", "b")), RIGHT)) == ""
    assert says(where.common_flag, *wrong, (Network(), [0]), (ONE, RIGHT)) == ""


def test_a_case_is_right_where_all_is_that_was_given():
    case = Network()
    right, wrong = Told(case, "importance"), Told(case, "bias_shift", frozenset([0]))
    alone = Told(Network(), "importance")
    alone.result.outcome.not_given = ("bias_shift",)
    half = Told(Network(), "importance")
    e = where.Evidence([right, alone, half], [wrong])
    assert e.good == [alone.case] and e.bad == [case]
    assert not where.Evidence([], [Told(case, "importance", frozenset([0]), comparable=False)]).last_layer_right()


@pytest.mark.parametrize(
    ("kind", "quantities", "said"),
    [
        ("ec", ["importance"], "importances alone (the bias shifts are right)"),
        ("ec", ["bias_shift"], "bias shifts alone"),
        ("ec", ["importance", "bias_shift"], "importances and bias shifts"),
        ("wanda", ["importance"], "importances"),
    ],
)
def test_the_quantities_that_are_wrong_are_named(kind, quantities, said):
    told = [Told(Network(n_layers=1, kind=kind), quantity, frozenset([0])) for quantity in quantities]
    assert where.Evidence([], told).quantity == said


def test_where_options_enter_or_weights_are_pruned_flags_alone_tell():
    for odd in (Network(flags=("a",), names_of_options=("metric",)), Network(flags=("a",), kind="pruner")):
        e = evidence((odd, [0]), (Network(flags=("b",)), RIGHT), (ONE, RIGHT))
        assert [found.finding.id for found in where.located(e.right, e.left)] == ["flag-only"]
    usual = evidence((Network(flags=("a",)), [0]), (Network("sin", flags=("b",)), RIGHT), (ONE, RIGHT))
    ids = [found.finding.id for found in where.located(usual.right, usual.left)]
    assert "flag-only" in ids and ids[0] == "derivative-of-one-activation"
    assert where.located(usual.right, []) == []


# Which explanations are kept


def found(id: str, explained: Iterable[int], contradicted: Iterable[int] = ()) -> Explanation:
    return Explanation(Finding(id, id), frozenset(explained), frozenset(contradicted))  # numbers stand for answers


def test_explanations_are_chosen_by_what_they_add_then_by_what_they_contradict_then_in_order():
    pool = [found("few", [1, 2]), found("loose", [1, 2, 3], [9]), found("tight", [1, 2, 3]), found("same", [1, 2, 3])]
    chosen, left = cover([*pool, found("rest", [3, 4])], frozenset(range(1, 6)))
    assert [e.finding.id for e in chosen] == ["tight", "rest"] and left == {5}
    assert cover(pool, frozenset([7])) == ([], {7}) and cover([], frozenset([7])) == ([], {7})
    assert cover(pool, frozenset()) == ([], frozenset())


@pytest.mark.parametrize("n", [1, 2, 7, 8, 50, 100, 177])
def test_the_answers_that_are_tried_first_take_turns_between_two_quantities(n):
    spread = list(explanations._spread(range(n)))
    assert spread[0] == 0 and 1 <= len(spread) <= 2 * explanations.PROBES
    steps = set(np.diff(spread))
    assert len(spread) == n or steps == {max(1, n // explanations.PROBES) | 1}
    assert all(step % 2 for step in steps)


@pytest.mark.parametrize(("n_wrong", "said"), [(20, True), (21, False)])
def test_a_twentieth_of_the_wrong_answers_is_plausible(n_wrong, said):
    assert kinds.plausible(found("x", [1]), range(n_wrong)) is said


# Kinds of errors and relations, on answers to real cases

WANDA = [case for case in conformance.cases(kind="wanda") if case.group == "activations"][:20]


def of_factors(*factors: float) -> tuple[list[Answer], list[Answer]]:
    """The right answers and the wrong ones, where the importances of each case have a factor."""
    results = [
        judge(case, conformance.Outcome(tuple(factor * v for v in case.reference.importance)))
        for case, factor in zip(WANDA, factors, strict=False)
    ]
    answers = answers_of(results)
    return [a for a in answers if not a.wrong], [a for a in answers if a.wrong]


@pytest.mark.parametrize(
    ("factors", "id"),
    [
        ((3, 3, 3), "importance-constant-factor"),
        ((3, 3, 5, 3), "importance-constant-factor"),
        ((2, 3, 3, 4), "importance-constant-factor"),  # half of them
        ((2, 3, 3, 3, 5, 6, 7), ""),
        ((3, 3, 1), ""),  # a right answer contradicts
        ((0, 0, 0), "importance-zero"),
        ((-1, -1), "importance-sign"),
        ((-2, -2), "importance-constant-factor"),
    ],
)
def test_a_constant_factor_is_that_of_half_of_the_wrong_answers_and_of_no_right_one(factors, id):
    relation = relations.constant_factor("importance")
    e = relation(*of_factors(*factors))
    assert (e.finding.id if e is not None else "") == id
    if e is not None:
        middle = float(np.median(factors))
        assert {a.case for a in e.explained} == {c for c, f in zip(WANDA, factors, strict=False) if f == middle}
        assert e.finding.ranking == ("network" if middle > 0 else "lost")
    assert relations.constant_factor("bias_shift")(*of_factors(*factors)) is None


@pytest.mark.parametrize(("n", "few", "said"), [(3, 4, False), (4, 4, True), (1, 1, True)])
def test_a_ranking_that_is_right_is_said_of_four_cases_or_more(n, few, said):
    results = [judge(c, conformance.Outcome(tuple(v**2 for v in c.reference.importance))) for c in WANDA[:n]]
    e = kinds.monotone([], answers_of(results), few)
    assert (e is not None) is said and (not said or e.finding.id == "monotone")


def test_the_most_frequent_message_is_said_with_its_place():
    outcomes = [conformance.Outcome(problem=problem, traceback=problem.upper()) for problem in ("b", "a", "a")]
    answers = answers_of(judge(case, outcome) for case, outcome in zip(WANDA, outcomes, strict=False))
    e = kinds.no_answer([], answers)
    assert e.finding.sentence == "No usable answer in 3 cases; most often: a at A"
    assert kinds.no_answer([], answers[:1]).finding.sentence == "No usable answer in 1 case; most often: b at B"
    assert len(e.explained) == 3 and kinds.no_answer([], of_factors(2, 3)[1]) is None


def test_a_number_that_is_none_is_counted_by_cases():
    answers = of_factors(np.nan, np.inf, 2)[1]
    e = kinds.not_finite([], answers)
    assert e.finding.sentence.startswith("NaN or inf in 2 cases: ") and len(e.explained) == 2
    assert kinds.not_finite([], of_factors(2)[1]) is None


def test_factors_of_layers_are_positive_and_those_of_cases_too():
    def by_layer(signs: tuple[float, float]):
        deep = [case for case in WANDA if len(case.weights) > 1]
        values = [tuple(signs[l % 2] * v for l, v in enumerate(case.reference.importance)) for case in deep]
        return answers_of(judge(case, conformance.Outcome(v)) for case, v in zip(deep, values, strict=True))

    assert kinds.factor_per_layer([], by_layer((2.0, 3.0))).finding.id == "factor-per-layer"
    assert kinds.factor_per_layer([], by_layer((2.0, -3.0))) is None and kinds.factor_per_layer([], []) is None
    assert kinds.factor_per_case([], of_factors(2, 3, 4)[1]).finding.id == "factor-per-case"
    assert kinds.factor_per_case([], of_factors(2, 3, -4)[1]) is None and kinds.factor_per_case([], []) is None


@pytest.mark.parametrize(("share", "said"), [(0.9, True), (1.1, False)])
def test_weights_that_are_nearly_zero_are_below_a_millionth_of_the_largest(share, said):
    case = next(c for c in conformance.cases(kind="pruner") if 0 < c.sparsity < 1)
    largest = max(float(np.abs(w).max()) for w in case.weights)
    values = tuple(np.where(w == 0, share * relations.SMALL * largest, w) for w in case.reference.weights)
    result = judge(case, conformance.Outcome(weights=values, biases=case.reference.biases))
    e = relations.nearly_zero([], [a for a in answers_of([result]) if a.quantity == "weights"])
    assert (e is not None) is said


# Numbers that are read off the answers


@pytest.mark.parametrize(("kind", "are_read"), [("ec", True), ("wanda", False), ("obc", False)])
def test_numbers_are_read_off_answers_of_elimination_compensation_alone(monkeypatch, kind, are_read):
    """An epsilon of EC's formula explains no other kind's answer."""
    asked = []
    monkeypatch.setattr(_diagnose, "estimated", lambda answers: asked.extend(answers) or [])
    cases = [case for case in conformance.cases(kind=kind) if not case.names_of_options][:6]
    wrong = [conformance.Outcome(tuple(v + R for v, R in zip(*case.reference.of("importance")))) for case in cases]
    found = conformance.Report("", tuple(map(judge, cases, wrong))).diagnosis
    assert found and bool(asked) is are_read


def read_off(right: Iterable[float], came: Iterable[float]) -> set[str]:
    """The mistakes that these importances suggest."""
    answer = SimpleNamespace(right=np.array([*right], float), entries=np.array([*came], float))
    with wrong_numbers():
        return {mistake.id for mistake in _of_importances([answer])}


FIVE = [1.0, 2.0, 3.0, 10.0, 20.0]
floor, cap, zero_below, plus, logarithm, power = (
    lambda number, of=of: of(number).id
    for of in (
        arithmetic.floored,
        arithmetic.capped,
        arithmetic.zeroed,
        arithmetic.raised,
        arithmetic.logarithm_of_sum,
        arithmetic.powered,
    )
)


def test_a_floor_is_met_by_three_and_raises_one():
    assert floor(5) in read_off(FIVE, np.maximum(FIVE, 5))
    assert floor(2.5) not in read_off(FIVE, np.maximum(FIVE, 2.5))  # two of them
    assert floor(5) not in read_off([5, 5, 5, 10, 20], [5, 5, 5, 10, 40])  # nothing was raised
    assert floor(5) in read_off([5, 5, 4, 10, 20], [5, 5, 5, 10, 20])
    assert floor(0) not in read_off([-1, -2, -3, 10, 20], [0, 0, 0, 10, 20])  # as it should be
    assert not any("nan" in id or "inf" in id for id in read_off(FIVE, [np.nan] * 5))
    assert floor(5) in read_off([np.nan, *FIVE], [np.nan, *np.maximum(FIVE, 5)])


def test_a_cap_is_met_by_three_and_lowers_one():
    assert cap(2) in read_off(FIVE, np.minimum(FIVE, 2)) and cap(5) not in read_off(FIVE, np.minimum(FIVE, 5))
    assert cap(5) not in read_off([1, 2, 5, 5, 5], [1, 1, 5, 5, 5])
    assert not any("at-most" in id for id in read_off(FIVE, [1, 2, np.inf, np.inf, np.inf]))


def test_what_is_added_is_added_to_what_is_not_zero():
    assert plus(0.25) in read_off([0, 0, *FIVE], [9, 9, *(v + 0.25 for v in FIVE)])
    assert not any("plus" in id for id in read_off(FIVE, FIVE))


def test_zeros_are_below_all_that_is_left():
    assert zero_below(10) in read_off(FIVE, [0, 0, 0, 10, 20])
    assert zero_below(5) in read_off([1, 2, 3, 5, 20], [0, 0, 0, 5, 20])
    assert not any("zero-below" in id for id in read_off(FIVE, [0, 0, 3, 10, 20]))  # two of them
    assert not any("zero-below" in id for id in read_off(FIVE, [0, 0, 0, 0, 0]))
    assert not any("zero-below" in id for id in read_off([0, 0, 0, 10, 20], [0, 0, 0, 10, 20]))
    assert zero_below(10) in read_off([1, 2, 3, 2.5, 10, 20], [0, 0, 0, 9, 10, 20])  # one that is odd


def test_a_power_is_not_one_and_a_logarithm_is_of_more():
    assert power(0.5) in read_off(FIVE, np.sqrt(FIVE)) and power(2) in read_off(FIVE, np.square(FIVE))
    assert not any("to-the" in id for id in read_off(FIVE, FIVE))
    few = [0.1, 0.2, 0.3]
    assert logarithm(1e-3) in read_off(few, np.log(np.array(few) + 1e-3))
    assert logarithm(1e-3) in read_off([0, 0.1, 0.2], np.log([1e-3, 0.5, 0.7]))  # by the smallest one alone
    assert logarithm(-0.05) not in read_off(few, np.log(np.array(few) - 0.05))
    assert logarithm(1) not in read_off(FIVE, [0, *FIVE[1:]])  # nothing is negative


def test_a_power_is_read_off_far_from_one_where_digits_that_are_lost_do_not_matter():
    far, near = np.array([1e-3, 0.02, 0.3, 5.0, 9.0]), np.linspace(0.4, 2.5, 20)
    found = read_off([*far, *near], [*far**1.7, *near**0.5])
    assert power(1.7) in found and power(0.5) not in found, found


def test_decimals_are_the_fewest_that_all_have_below_a_thousand():
    def rounded(values: Iterable[float]) -> set[str]:
        answer = SimpleNamespace(entries=np.array([*values]), quantity="importance")
        with wrong_numbers():
            return {mistake.id for mistake in _roundings([answer])}

    decimals, digits = (lambda n, of=of: of(n, "importance").id for of in (arithmetic.decimals, arithmetic.digits))
    assert decimals(2) in rounded([1.25, 3.5, 1234.56789, 0, np.nan]) and decimals(3) in rounded([1.25, 0.125])
    assert (
        digits(3) in rounded([1.25, 1.2e-9, 0, np.inf])
        and not rounded([0.123456789012345])
        and not rounded([0, np.nan])
    )
    assert rounded([1234.0]) == {digits(4)}


@pytest.mark.parametrize(
    ("value", "short"),
    [
        (0.50004, 0.5), (0.5001, 0.5001), (1.200011e-7, 1.2e-7), (0.123001, 0.123), (0.12304, 0.12304),
        (2.0**-23 * 1.00009, 2.0**-23), (2.0**-52, 2.0**-52), (2.0**-23 * 1.0002, 2.0**-23 * 1.0002),
    ],
)  # fmt: skip
def test_a_number_is_written_in_three_digits_or_as_a_power_of_two_where_that_is_near(value, short):
    assert tidy(value) == short


def test_a_negative_number_is_written_in_three_digits_and_is_no_power_of_two():
    assert tidy(-0.50004) == -0.5 and tidy(-1.200011e-7) == -1.2e-7 and tidy(-0.12304) == -0.12304
    assert tidy(-(2.0**-23) * 1.00009) == -(2.0**-23) * 1.00009


def test_no_step_is_read_off_where_steps_change_nothing():
    right = np.array([1.0, 2.0])
    answer = SimpleNamespace(entries=right + 1, right=right, predicted=lambda _: right)
    assert step_of(answer, lambda *_: None, central=True) == (1e-4, np.inf)


# Answers


EC = conformance.cases()


def answered(case, importance=None, shift=None, **options):
    right = case.reference.importance, case.reference.bias_shift
    given = [r if v is None else tuple(v) for v, r in zip((importance, shift), right, strict=True)]
    return judge(case, conformance.Outcome(*given, **options))


def test_answers_are_held_to_the_digits_of_their_format():
    """A float64 that holds only float32 numbers is one of float32, where all do; else each array by its own dtype."""

    def single(layers):
        return tuple(v.astype(np.float32).astype(np.float64) for v in layers)

    def tolerances(*results):
        return [a.tolerance for a in answers_of(results)]

    case, r = EC[3], EC[3].reference
    both = answered(case, single(r.importance), single(r.bias_shift))
    assert tolerances(both) == [1e-3] * 2
    assert tolerances(both, answered(EC[4])) == [1e-9] * 4
    half = answered(case, [v.astype(np.float32) for v in r.importance])
    assert tolerances(half, answered(EC[4])) == [1e-3, 1e-9, 1e-9, 1e-9]
    assert tolerances(judge(case, conformance.Outcome(problem="none"))) == [1e-9] * 2


def test_answers_are_what_was_given_and_wrong_beyond_their_tolerance():
    case, r = EC[3], EC[3].reference
    assert answers_of([judge(case, conformance.Outcome(skipped="no"))]) == []
    (alone,) = answers_of([judge(case, conformance.Outcome(r.importance, (), not_given=("bias_shift",)))])
    assert (alone.quantity, alone.wrong, alone.which) == ("importance", False, 0)
    for off, wrong in ((0.9, False), (1.1, True)):
        shift = [v + off * 1e-9 * s for v, s in zip(r.bias_shift, r.bias_shift_scale, strict=True)]
        importance, moved = answers_of([answered(case, shift=shift)])
        assert (importance.wrong, moved.wrong) == (False, wrong) and moved.which == 1
        assert moved.wrong_layers == (frozenset(range(len(shift))) if wrong else frozenset())
    misshapen = answers_of([answered(case, r.importance[:1])])
    assert [(a.wrong, a.comparable) for a in misshapen] == [(True, False), (False, True)]


def relation_of(relation, *results):
    answers = answers_of(results)
    return relation([a for a in answers if not a.wrong], [a for a in answers if a.wrong])


def test_exchanged_is_said_of_a_twentieth_or_more():
    swapped = [answered(c, c.reference.bias_shift, c.reference.importance) for c in EC[:2]]
    other = [answered(c, [v + 1 for v in c.reference.importance], [v + 1 for v in c.reference.bias_shift]) for c in EC]
    e = relation_of(relations.exchanged, *swapped, *other[2:40])
    assert e.finding.id == "exchanged" and {a.case for a in e.explained} == set(EC[:2])
    assert relation_of(relations.exchanged, *swapped, *other[2:41]) is None
    assert relation_of(relations.exchanged, *other[:3]) is None
    assert relations.exchanged([], of_factors(2)[1]) is None  # Wanda has no shifts


def test_an_answer_of_an_earlier_case_is_one_of_the_same_shapes():
    shapes: dict[tuple, list] = {}
    for case in EC:
        shapes.setdefault(tuple(w.shape for w in case.weights), []).append(case)
    first, second, *_ = next(cases for cases in shapes.values() if len(cases) > 1)
    kept = answered(second, first.reference.importance, first.reference.bias_shift)
    e = relation_of(relations.remembered, answered(first), kept)
    assert e.finding.id == "memoised" and {a.case for a in e.explained} == {second}
    assert relation_of(relations.remembered, kept) is None  # nobody knows of the other case
    assert relation_of(relations.remembered, answered(first), answered(second)) is None
    many = [answered(c, [v + 1 for v in c.reference.importance], [v + 1 for v in c.reference.bias_shift]) for c in EC]
    others = [result for result in many if result.case not in (first, second)]
    assert relation_of(relations.remembered, answered(first), kept, *others[:19]) is not None
    assert relation_of(relations.remembered, answered(first), kept, *others[:20]) is None


def test_a_rearrangement_is_none_where_the_answer_is_as_near_as_it_is():
    """A small entry that is wrong is near on the scale of all, in the order that it has: nothing was moved."""
    transposed, permuted = (
        relations.rearranged(*next(shape for shape in relations.SHAPES if shape[0] == id))
        for id in ("transposed", "entries-permuted")
    )
    case = next(c for c in EC if all(w.shape[0] != w.shape[1] for w in c.weights))
    r = case.reference
    turned = answered(case, [v.T for v in r.importance], [v.T for v in r.bias_shift])
    e = relation_of(transposed, turned)
    assert e.finding.id == "transposed" and len(e.explained) == 2
    assert relation_of(transposed, answered(case, [v + 1 for v in r.importance])) is None
    turned_round = answered(case, [v[::-1] for v in r.importance])
    assert relation_of(permuted, turned_round).finding.id == "entries-permuted"
    largest = max(s.max() for s in r.importance_scale)
    small = [v + 1e-9 * largest * (s == s.min()) for v, s in zip(r.importance, r.importance_scale, strict=True)]
    assert any(a.wrong for a in answers_of([answered(case, small)]))
    assert relation_of(permuted, answered(case, small)) is None


# A network of one's own: what is tried on it


def ids(mistakes) -> set[str]:
    return {mistake.id for mistake in mistakes}


def test_batches_are_tried_where_they_are_few_and_hessians_where_rows_are_short():
    def tried(n_samples: int, n_inputs: int) -> set[str]:
        case = SimpleNamespace(x=range(n_samples), weights=[np.zeros((4, n_inputs)), np.zeros((2, 4))], options=dict)
        return ids(_own_network._by_row(case))

    batches = {id: int(size[1]) for id in tried(1, 1) if (size := _own_network.SIZE.search(id))}
    assert len(set(batches.values())) > 2
    for n in (32 * 50, 32 * 50 + 1, 64 * 50, 64 * 50 + 1):
        assert tried(n, 1) & batches.keys() == {id for id, size in batches.items() if size * 50 >= n}, n
    assert tried(1, 100) >= _own_network.HESSIANS and not tried(1, 101) & _own_network.HESSIANS
    assert not tried(1, 1) & {_own_network.ALL_NEURONS, *ids(DERIVATIVE), *ids(FORWARD)}


def test_options_are_tried_where_there_are_some():
    without = SimpleNamespace(x=range(3), weights=[np.zeros((2, 2))], options=dict)
    weighted = SimpleNamespace(x=range(3), weights=[np.zeros((2, 2))], options=lambda: {"sample_weight": 1})
    assert not ids(_own_network._by_row(without)) & ids(OPTIONS) and _own_network._of_options(without) == []
    both = ids(_own_network._by_row(weighted)) | ids(_own_network._of_options(weighted))
    assert both >= ids(OPTIONS) and ids(_own_network._of_options(weighted))
    assert not ids(_own_network._by_row(weighted)) & ids(_own_network._of_options(weighted))


def test_passes_are_tried_of_the_activation_and_with_all_samples_where_they_are_together():
    def tried(activation, n_layers: int, together: bool) -> set[str]:
        case = SimpleNamespace(activation=activation, weights=[np.zeros((2, 2))] * n_layers)
        return ids(_own_network._of_passes(case, together))

    alone, of_samples = {_own_network.ALL_NEURONS}, _own_network.ALL_SAMPLES
    assert tried("tanh", 1, True) == alone == tried(("tanh", "relu"), 2, True)
    tanh, apart = tried("tanh", 2, True), tried("tanh", 2, False)
    assert tanh - apart == {of_samples} and apart > alone
    of_one = {m.id: m.activation for m in (*DERIVATIVE, *FORWARD) if m.activation}
    assert {of_one[id] for id in tanh if id in of_one} == {"tanh"}
    assert tried(("tanh", "tanh"), 3, True) == tanh


def test_a_mistake_is_explained_on_rows_where_it_shows_and_no_right_answer_contradicts_it():
    case = EC[3]
    rows = [np.arange(len(w)) for w in case.weights]
    right, r = (case.reference.importance, case.reference.bias_shift), case.reference
    half = tuple(v / 2 for v in r.importance)
    mistake = next(m for m in MISTAKES if m.id == "half")
    values = list(zip(half, r.bias_shift, strict=True))

    def explained(importance, shift) -> list[str]:
        e = _own_network._explanation(mistake, values, rows, answers_of([answered(case, importance, shift)]))
        return [] if e is None else sorted(a.quantity for a in e.explained)

    assert explained(half, right[1]) == ["importance"]
    assert explained(right[0], right[1]) == []  # a right answer says that it is not
    assert explained(half, [v + 1 for v in right[1]]) == ["importance"]  # the shifts are wrong in some other way
    assert explained([v / 3 for v in right[0]], right[1]) == []
    for off, said in ((2.9e-9, True), (3.1e-9, False)):  # three tolerances
        near = [v + off * np.maximum(s, v) for v, s in zip(half, r.importance_scale, strict=True)]
        assert bool(explained(near, right[1])) is said, off
