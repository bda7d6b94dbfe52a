"""What a mistake's sentence says is what the mistake does: each against a statement of its own, in plain steps."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cache
from itertools import pairwise, product
from typing import Any

import numpy as np
import pytest
import sentences
from networks import make
from plain import SLOPES, VALUES, Plain, cotangents_of, slope_of

from ecprune_np import conformance
from ecprune_np.conformance._case import Case, Reference
from ecprune_np.conformance.catalogue import MISTAKES, arithmetic
from ecprune_np.conformance.catalogue._mistake import Mistake, both, wrong_numbers
from ecprune_np.conformance.catalogue._parts import about, parts_of, scores
from ecprune_np.conformance.catalogue.arithmetic import ARITHMETIC
from ecprune_np.conformance.catalogue.criteria import RIGHT, SHARED, mistakes_of
from ecprune_np.conformance.catalogue.options import OPTIONS
from ecprune_np.conformance.catalogue.pruning import PRUNING
from ecprune_np.conformance.catalogue.samples import SAMPLES
from ecprune_np.conformance.catalogue.shape import SHAPES

FORWARD_ONLY = "In the forward pass, {}; the derivative is right."
KINKS = (-3.0, -2.5, -1.0, 0.0, 1.0, 2.5, 3.0, 6.0)
POINTS = np.concatenate([np.linspace(-7.3, 7.3, 42), *([k - 1e-3, k + 1e-3] for k in KINKS)])
GUARDS = "1e-3 1e-4 1e-5 1e-6 1.19e-07 1e-8 1e-9 1e-10"
SIZES = "8 10 16 20 32 50 64 100 128 256"
NUMBERS = {  # of the families: what people write
    "leaky_relu has the slope {} below zero, not 0.01.": f"-0.01 0.001 0.02 0.05 0.1 {1 / 5.5} 0.2 0.25 0.3",
    "elu has α = {} below zero, not 1.": "0.1 0.2 0.3 0.5 1.5 2 1.6732632423543772",
    "softplus has β = {}, not 1: log(1 + exp(β z))/β.": "0.5 2 5 10 20 100",
    "silu is z sigmoid({} z), not z sigmoid(z).": "0.5 1.702 2",
    "{} is added to S against…": f"{GUARDS} 1e-12 1e-15 2.22e-16 1e-16 1e-20 1e-30",
    "S is clamped to {} from below…": f"{GUARDS} 1e-12 1e-15 2.22e-16 1e-16 1e-20 1e-30",
    "The mean μ is 0 where S is below {}, as…": GUARDS,
    "Only a subset of the samples counts, the first {} (the first batch?).": f"2 3 4 5 {SIZES}",
    "Only a subset of the samples counts, the last {}.": "2 10 16 32 64 100",
    "Only the last batch of {} counts:…": SIZES,
    "The incomplete last batch of {} is dropped.": SIZES,
    "Batches of {} count equally:…": SIZES,
    "Importances and shifts of batches of {} are averaged:…": SIZES,
    "Importances and shifts of batches of {} are averaged by size:…": SIZES,
    "Importances of batches of {} are added,…": SIZES,
}
FAR = 1e-4  # of the largest value: a mistake that is nowhere so far from what is right is not tested by a network
ESTIMATED = (  # of which the diagnosis reads the number off the answers
    *(plus_or_at_least(c, True) for plus_or_at_least in (arithmetic.plus, arithmetic.at_least) for c in (1e-3, 1e-8)),
    *(of(0.02) for of in (arithmetic.floored, arithmetic.capped, arithmetic.raised, arithmetic.zeroed)),
    *(of(0.5) for of in (arithmetic.powered, arithmetic.logarithm_of_sum)),
    *(
        of(d, q)
        for of in (arithmetic.decimals, arithmetic.digits)
        for d in (1, 3)
        for q in ("importance", "bias_shift")
    ),
    *(arithmetic.differences(step, central) for step in (1e-1, 1e-2) for central in (False, True)),
)


# Sentences


@cache
def pattern(key: str) -> re.Pattern[str]:
    """What a key fits: a "{}" is any word, "…" any end."""
    inner = r"(\S+?)".join(map(re.escape, key.removesuffix("…").split("{}")))
    return re.compile(f"{inner}.*" if key.endswith("…") else inner)


def words_of(sentence: str, key: str) -> tuple[str, ...] | None:
    """The words of a sentence where a key has "{}", if it is this key's."""
    found = pattern(key).fullmatch(sentence)
    return None if found is None else found.groups()


def said(sentence: str, table: Mapping[str, Any]) -> tuple[Any, tuple[str, ...]]:
    """What a sentence says, and its words; of keys that fit, the longest: "…" is what is left."""
    fitting = {key: words for key in table if (words := words_of(sentence, key)) is not None}
    assert fitting, f"no statement of its own: {sentence}"
    key = max(fitting, key=len)
    return table[key], fitting[key]


GENERAL: Mapping[str, sentences.Statement] = {
    **sentences.PASSES,
    **sentences.OUTPUTS,
    **sentences.FORMULAS,
    **sentences.SHIFTS,
    **sentences.IMPORTANCES,
    **sentences.SAMPLES,
    **sentences.ARITHMETIC,
}
OF_ACTIVATIONS = "{} is computed as {}, value and derivative."


def functions(mistake: Mistake) -> tuple[Callable[..., Any] | None, Callable[..., Any] | None]:
    """The activation's value that a sentence tells, and the derivative; None for what is right."""
    sentence, name = mistake.sentence, mistake.activation
    if (words := words_of(sentence, OF_ACTIVATIONS)) is not None:
        assert words[0] == name
        return VALUES[words[1]], SLOPES[words[1]]
    forward = re.fullmatch(re.escape(FORWARD_ONLY).replace(r"\{\}", "(.*)"), sentence)
    if forward is not None:
        of, words = said(f"{forward[1]}.", sentences.ACTIVATIONS)
        return of(*words), None
    for table in (sentences.ACTIVATIONS, sentences.DERIVATIVES):
        if any(words_of(sentence, key) is not None for key in table):
            of, words = said(sentence, table)
            return (of(*words), slope_of(of(*words))) if table is sentences.ACTIVATIONS else (None, of(*words))
    raise AssertionError(f"no statement of its own: {sentence}")


# Networks


@cache
def network(
    sizes: tuple[int, ...], activation: str, n_samples: int, seed: int = 0, width: float = 1.5, last: float = 1.0
) -> tuple[Plain, Case]:
    """A drawn network, told plainly and as a case; its last weights are made small, or large."""
    drawn = make(list(sizes), activation, n_samples=n_samples, seed=seed)
    weights, biases = [w.copy() for w in drawn.mlp.weights], [b.copy() for b in drawn.mlp.biases]
    weights[-1] *= last
    if activation == "relu" and len(sizes) == 3:
        biases[0][1] = -20.0  # a dead neuron
    return told(weights, biases, activation, width * drawn.x)


def told(w: Any, b: Any, activation: str, x: Any, output: str = "identity", **options: Any) -> tuple[Plain, Case]:
    """One network in both languages."""
    y, metric = options.get("y"), options.get("metric", "output")
    omega = options.get("sample_weight")
    functions = VALUES[activation], SLOPES[activation], VALUES[output], SLOPES[output]
    omega = np.ones(len(x)) if omega is None else omega
    plain = Plain(w, b, x, *functions, omega, cotangents_of(metric, y), metric, y)
    return plain, Case("", (), "", tuple(w), tuple(b), activation, x, Reference(), output_activation=output, **options)


@cache
def at_zero(activation: str) -> tuple[Plain, Case]:
    """Small integers: preactivations are exactly 0."""
    weights = [np.array([[1.0, 0], [1, -1], [0, 2]]), np.array([[1.0, 2, -1], [1, -1, 3]])]
    samples = np.array([[0.0, 1], [2, 2], [1, -1], [-1, -1], [0, 0], [3, 0]])
    return told(weights, [np.zeros(3), np.array([0.0, 1])], activation, samples)


def networks_for(mistake: Mistake) -> Iterator[tuple[Plain, Case]]:
    """Small ones of each kind; many samples where batches are meant, sensitivities near the number of a guard."""
    name = mistake.activation or "tanh"
    if mistake in SAMPLES:
        yield network((2, 2, 1), "softplus", 257, width=1.0)
    elif mistake in ARITHMETIC or mistake in ESTIMATED[:4]:
        guard = max(float(word) for word in re.findall(r"\d[\d.e-]*", mistake.sentence))
        for seed, share in enumerate((0.02, 0.2, 1.0)):
            yield network((3, 4, 3), "tanh", 7, seed, last=share * np.sqrt(guard))
    if mistake.activation:
        yield network((3, 4, 2), name, 12, 6, width=5.0)  # beyond all bends
    else:
        yield network((3, 4, 4, 4), name, 9, 1)
        yield network((4, 3, 3), "relu", 12, 2)
        yield network((3, 2), "tanh", 9, 4)
        yield network((2, 3, 1), "sigmoid", 8, 5)
    yield network((2, 3, 4, 3, 2), name, 9, 14, width=1.0)
    if mistake.sentence.startswith("relu'(0)"):
        yield at_zero("relu")


def disagreement(come: Sequence[Any], expected: Sequence[Any], plain: Plain, sizes: Any = None) -> float:
    """The largest difference of entries, relative to each, or to what rounding is measured on in its array."""
    worst = 0.0
    for pair, right, scales in zip(come, expected, sizes or plain.scales, strict=True):
        for mine, theirs, scale in zip(pair, right, scales, strict=True):
            assert np.shape(mine) == np.shape(theirs), (np.shape(mine), np.shape(theirs))
            floor = 1e-6 * max(scale.max(), np.abs(theirs[np.isfinite(theirs)]).max(initial=0.0))
            same = (mine == theirs) | (np.isnan(mine) & np.isnan(theirs))
            errors = np.where(same, 0, np.abs(mine - theirs) / np.maximum(np.abs(theirs), floor))
            worst = max(worst, float(np.where(np.isnan(errors), np.inf, errors).max(initial=0.0)))
    return worst


def stated(mistake: Mistake, plain: Plain, case: Case) -> Any:
    """The wrong importances and shifts that the sentence says."""
    if mistake.activation:
        if mistake.activation != case.activation:
            return plain.scores()
        value, slope = functions(mistake)
        return plain.but(value=value or plain.value, slope=slope or plain.slope).scores()
    statement, words = said(mistake.sentence, GENERAL)
    return statement(plain, *words)


@pytest.mark.parametrize("mistake", [*conformance.MISTAKES, *ESTIMATED], ids=lambda mistake: mistake.id)
def test_what_a_sentence_says_is_what_the_mistake_does(mistake):
    shown = 0.0
    for plain, case in networks_for(mistake):
        with wrong_numbers():
            come, expected = mistake.values(parts_of(case)), stated(mistake, plain, case)
            error = disagreement(come, expected, plain)
            shown = max(shown, disagreement(expected, plain.scores(), plain))
        assert error < 1e-9, (repr(case), error)
    assert shown > FAR, shown


@pytest.mark.parametrize("at_once", [0, 10**9])
def test_a_moment_about_any_centre_is_the_same_at_once_and_moved_from_the_mean(at_once, monkeypatch):
    monkeypatch.setattr("ecprune_np.conformance.catalogue._parts.AT_ONCE", at_once)
    rng = np.random.default_rng(0)
    s, a, centre = rng.uniform(size=(9, 3)), 5 + rng.standard_normal((9, 4)), rng.uniform(3, 7, (3, 4))
    told = [[np.mean(s[:, i] * (a[:, j] - centre[i, j]) ** 2) for j in range(4)] for i in range(3)]
    np.testing.assert_allclose(about(s, a, centre), told, rtol=1e-12)
    constant = np.full((9, 4), 0.1)
    assert (about(s, constant, constant[:3]) >= 0).all()


@pytest.mark.parametrize("key", NUMBERS)
def test_the_numbers_of_a_family_are_those_that_people_write(key):
    came = [words[0] for m in conformance.MISTAKES if (words := words_of(m.sentence, key)) is not None]
    assert sorted(map(sentences.number, came)) == sorted(map(sentences.number, NUMBERS[key].split()))


@pytest.mark.parametrize("mistake", [m for m in conformance.MISTAKES if m.activation], ids=lambda mistake: mistake.id)
def test_a_wrong_activation_is_what_the_sentence_says_on_both_sides_of_every_kink(mistake):
    """Value and derivative; where the value is wrong alone, or the derivative, the other one is right."""
    _, case = network((2, 3, 4, 3, 2), mistake.activation, 9, 14, width=1.0)
    p, (value, slope) = mistake.passes(parts_of(case)), functions(mistake)
    with np.errstate(over="ignore"):
        for mine, theirs in (
            (p.activation.value, value or VALUES[mistake.activation]),
            (p.slope, slope or SLOPES[mistake.activation]),
        ):
            np.testing.assert_allclose(mine(POINTS), theirs(POINTS), rtol=1e-10, atol=1e-14)
        other = parts_of(
            network((2, 3, 4, 3, 2), "relu" if mistake.activation == "tanh" else "tanh", 9, 14, width=1.0)[1]
        )
        assert mistake.passes(other) is other  # networks of another activation are right
        if value is not None and slope is not None:
            h, f = 1e-4, p.activation.value
            quotient = (8 * (f(POINTS + h) - f(POINTS - h)) - f(POINTS + 2 * h) + f(POINTS - 2 * h)) / (12 * h)
            np.testing.assert_allclose(p.slope(POINTS), quotient, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("id", ["leaky-slope-0.2", "leaky-slope--0.01", "elu-alpha-2", "elu-is-selu", "relu-6"])
def test_at_zero_a_wrong_slope_is_the_one_below_zero(id):
    """As that of the right ones is."""
    (mistake,) = [m for m in conformance.MISTAKES if m.id == id]
    _, case = network((2, 3, 4, 3, 2), mistake.activation, 9, 14, width=1.0)
    slope = mistake.passes(parts_of(case)).slope
    np.testing.assert_allclose(slope(np.zeros(1)), slope(np.array([-1e-12])), atol=1e-11)


def test_every_statement_is_that_of_some_mistake():
    """And what "…" leaves out does not make two mistakes one: each has a sentence of its own."""
    mistakes = [*conformance.MISTAKES, *ESTIMATED]
    told = [m.sentence for m in mistakes]
    inner = [
        f"{found[1]}."
        for s in told
        if (found := re.fullmatch("In the forward pass, (.*); the derivative is right.", s))
    ]
    for table in (GENERAL, sentences.ACTIVATIONS, sentences.DERIVATIVES):
        unused = [key for key in table if not any(words_of(s, key) is not None for s in (*told, *inner))]
        assert not unused, unused
    assert len(set(told)) == len(told)


# Options


@cache
def networks_with_options() -> tuple[tuple[Plain, Case], ...]:
    """Of every metric, with three outputs and with one; of weighted samples, some of weight 0; of activated outputs."""
    made = []
    for seed, (metric, n_outputs) in enumerate(product(("softmax", "fisher", "mse", "cross_entropy"), (3, 1))):
        drawn = make([2, 3, n_outputs], n_samples=7, seed=seed)
        made.append((drawn, {"metric": metric, "y": drawn.targets(metric)}))
    for seed, zero in enumerate((0.0, 0.5)):
        drawn = make([2, 3, 2], n_samples=8, seed=20 + seed)
        made.append((drawn, {"sample_weight": np.where(drawn.sample_weight < 1.2, zero, drawn.sample_weight)}))
    drawn = make([2, 3, 2], n_samples=7, seed=30)
    made.append((drawn, {"output": "sigmoid"}))
    made.append((drawn, {"output": "softplus", "metric": "mse", "y": drawn.targets("mse")}))
    return tuple(told(d.mlp.weights, d.mlp.biases, "tanh", d.x, **options) for d, options in made)


@pytest.mark.parametrize("mistake", OPTIONS, ids=lambda mistake: mistake.id)
def test_what_a_sentence_on_options_says_is_what_the_mistake_does(mistake):
    statement, words = said(mistake.sentence, sentences.OPTIONS)
    shown = 0.0
    for plain, case in networks_with_options():
        come, expected = mistake.values(parts_of(case)), statement(plain, *words)
        error = disagreement(come, expected, plain)
        shown = max(shown, disagreement(expected, plain.scores(), plain))
        assert error < 1e-9, (repr(case), case.metric, error)
    assert shown > FAR, shown
    plain, case = network((3, 4, 4, 4), "tanh", 9, 1)
    assert (
        disagreement(mistake.values(parts_of(case)), plain.scores(), plain) < 1e-9
    )  # without options nothing is wrong


@pytest.mark.parametrize("mistake", [m for m in MISTAKES if m.id.endswith("-for-output")], ids=lambda m: m.id)
def test_what_is_taken_for_the_outputs_is_right_where_another_metric_is_asked_for(mistake):
    cases = [(plain, case) for plain, case in networks_with_options() if case.metric != "output"]
    assert len(cases) > 8
    for plain, case in cases:
        assert disagreement(mistake.values(parts_of(case)), plain.scores(), plain) < 1e-9, repr(case)


# Other kinds of answers


@pytest.mark.parametrize(
    ("kind", "key"),
    [
        ("obc", "The Hessian is damped: {} of its mean diagonal is added,…"),
        ("obc", "The Hessian is damped by {} of its mean diagonal, and…"),
        ("obs", "The Hessian is damped: {} of its mean diagonal is added,…"),
    ],
)
def test_the_dampings_are_those_that_people_take(kind, key):
    came = [words[0] for m in mistakes_of(kind) if (words := words_of(m.sentence, key)) is not None]
    assert came == ["0.01", "0.001", "0.0001", "1e-06"]


def own_mistakes_of(kind: str) -> list[Mistake]:
    shared = {m.sentence for m in SHARED[kind]}
    return [m for m in mistakes_of(kind) if m.sentence not in shared]


def networks_of_kind(kind: str) -> list[tuple[Plain, Case]]:
    """Enough samples for a Hessian to have an inverse; of Wanda a weighted one, of a gradient one of each loss."""
    if kind in ("gradient_magnitude", "loss_gradient"):
        return [pair for pair in networks_with_options() if pair[1].y is not None and "output" not in pair[1].metric]
    plain = [network((2, 3, 2), "tanh", 20, 7, width=1.0), network((3, 2), "tanh", 9, 4)]
    return plain + [pair for pair in networks_with_options() if kind == "wanda" and pair[1].sample_weight is not None]


def far_from(come: Any, expected: Any, plain: Plain, kind: str) -> float:
    if kind == "loss_gradient":
        sizes = [(np.abs(g), np.abs(b)) for g, b in sentences.loss_gradient(plain)]
        return disagreement(come, expected, plain, sizes)
    return disagreement([(I, 0 * I) for I, _ in come], [(np.asarray(I), 0 * I) for I in expected], plain)


@pytest.mark.parametrize(
    ("kind", "mistake"),
    [(kind, m) for kind in sentences.KINDS for m in own_mistakes_of(kind)],
    ids=str,
)
def test_what_a_sentence_on_another_kind_says_is_what_the_mistake_does(kind, mistake):
    statement, words = said(mistake.sentence, sentences.KINDS[kind])
    shown = 0.0
    for plain, case in networks_of_kind(kind):
        come, expected, right = mistake.values(parts_of(case)), statement(plain, *words), sentences.RIGHT[kind](plain)
        assert kind == "loss_gradient" or not any(d.any() for _, d in come)
        error = far_from(come, expected, plain, kind)
        shown = max(shown, far_from(RIGHT[kind](parts_of(case)), expected, plain, kind))
        assert error < 1e-9, (repr(case), error)
        assert far_from(RIGHT[kind](parts_of(case)), right, plain, kind) < 1e-9
    assert shown > FAR, shown


@pytest.mark.parametrize("kind", sentences.KINDS)
def test_another_kind_shares_the_passes_and_what_is_done_in_the_end(kind):
    shared = mistakes_of(kind)[len(own_mistakes_of(kind)) :]
    by_id = {m.id: m for m in SHARED[kind]}
    assert shared and {m.id for m in shared} <= {*by_id}
    for mistake in shared:
        told = by_id[mistake.id]
        assert mistake.formula is RIGHT[kind] and told.formula is scores
        assert (mistake.sentence, mistake.passes, mistake.after) == (told.sentence, told.passes, told.after)


# The pruning step


@cache
def networks_to_prune() -> tuple[tuple[Plain, Case], ...]:
    """Drawn ones, and small integers: importances tie, exactly, and weights are zero."""
    dead, _ = network((3, 3, 2), "relu", 8, 2)
    drawn, _ = network((2, 3, 2), "tanh", 9, 14)
    x = np.array([[2.0, 2, 3], [0, 2, -1], [2, 0, -1], [0, 0, 3]])
    w = [np.array([[1.0, -2, 1], [2, 0, -1], [1, 1, 0.5]]), np.array([[1.0, 0, -1], [2, 1, 1]])]
    tied = told(w, [np.array([0.5, -1, 2]), np.array([1.0, -3])], "identity", x)[0]
    made = []
    for net, name in ((drawn, "tanh"), (dead, "relu"), (tied, "identity")):
        for sparsity, scope in product((0.3, 0.55, 0.8, 0.0, 1.0), ("global", "layer")):
            plain, case = told(net.w, net.b, name, net.x, sparsity=sparsity, scope=scope)
            made.append((plain.but(sparsity=sparsity, scope=scope), replace(case, kind="pruner")))
    return tuple(made)


@pytest.mark.parametrize("mistake", PRUNING, ids=lambda mistake: mistake.id)
def test_what_a_sentence_on_pruning_says_is_what_the_mistake_does(mistake):
    statement, words = said(mistake.sentence, sentences.PRUNING)
    shown = 0.0
    for plain, case in networks_to_prune():
        come, expected, right = mistake.values(parts_of(case)), statement(plain, *words), sentences.pruned(plain)
        sizes = [(np.abs(w), np.abs(b) + np.abs(d).sum(axis=1)) for w, b, (_, d) in zip(plain.w, plain.b, plain.right)]
        assert all((mine == 0).tolist() == (w == 0).tolist() for (mine, _), (w, _) in zip(come, expected)), repr(case)
        error = disagreement(come, expected, plain, sizes)
        shown = max(shown, disagreement(expected, right, plain, sizes))
        assert error < 1e-9, (repr(case), case.sparsity, case.scope, error)
    assert shown > FAR, shown


# Arrays


@pytest.mark.parametrize(("id", "sentence", "arrange"), SHAPES, ids=[id for id, *_ in SHAPES])
def test_arrays_that_are_what_a_sentence_says_are_put_into_the_right_order(id, sentence, arrange):
    """By this entry, and by none before it."""
    answer, _ = said(sentence, sentences.SHAPES)
    rng = np.random.default_rng(0)
    sizes = [3, 5, 1, 2] if id == "squeezed" else [3, 5, 4, 2]
    right = tuple(rng.uniform(size=(n, m)) for m, n in pairwise(sizes))
    wrong = tuple(answer(right, [rng.uniform(size=n) for n in sizes[1:]]))
    fitting = [name for name, _, of in SHAPES if same(*of(wrong, right))]
    assert fitting[0] == id, fitting
    assert not same(wrong, right)


def same(values: Sequence[Any], others: Sequence[Any]) -> bool:
    shapes = [np.shape(v) for v in values] == [np.shape(v) for v in others]
    return shapes and all(np.allclose(v, o, rtol=1e-12) for v, o in zip(values, others))


# Two at once


def test_two_mistakes_at_once_are_made_one_after_the_other():
    """Passes, then the formula, then what is done in the end, of the first mistake and of the second."""
    by_id = {m.id: m for m in conformance.MISTAKES}
    plain, case = network((3, 4, 4, 4), "tanh", 9, 1)
    parts = parts_of(case)
    centred, accumulated, mean, half, root = (
        by_id[id] for id in ("biases-subtracted", "gradient-of-the-sum", "plain-mean", "half", "root-of-importance")
    )
    subtracted = plain.but(b=[-b for b in plain.b])
    told_s = [sum(J) ** 2 for J in subtracted.J]
    expected = subtracted.scores(s=told_s)
    assert disagreement(both(centred, accumulated).values(parts), expected, plain) < 1e-9
    expected = [(np.sqrt(I / 2), d) for I, d in plain.scores()]
    assert disagreement(both(half, root).values(parts), expected, plain) < 1e-9
    expected = [(np.sqrt(I) / 2, d) for I, d in plain.scores()]
    assert disagreement(both(root, half).values(parts), expected, plain) < 1e-9
    statement, _ = said(mean.sentence, sentences.FORMULAS)
    expected = [(I / 2, d) for I, d in statement(subtracted)]
    for first, second in ((both(centred, mean), half), (both(mean, centred), half), (both(centred, half), mean)):
        pair = both(first, second)
        assert disagreement(pair.values(parts), expected, plain) < 1e-9
        assert pair.sentence == f"Two mistakes at once: (1) {first.sentence} (2) {second.sentence}"
    assert both(mean, by_id["median"]) is None and both(by_id["relu-6"], by_id["sin-30"]) is None
    assert both(by_id["relu-6"], half) is not None and both(by_id["relu-6"], by_id["relu-squared"]) is not None
    assert (both(mean, half).equation, both(half, root).equation) == ("EC-3.4, EC-3.5", "EC-3.5")


# Scales of their own


@pytest.mark.parametrize(
    "mistake", [m for m in conformance.MISTAKES if re.match("(layer|row)-.*(normalised|softmax|ranks)", m.id)], ids=str
)
def test_a_scale_of_its_own_leaves_rounding_errors_what_they_are(mistake):
    """Equal samples: every weight is free, what rounding leaves of its importance is 0, and nothing is divided by 0."""
    w, b = [np.array([[0.3, -0.7], [1.1, 0.9]])], [np.zeros(2)]
    plain, case = told(w, b, "identity", np.tile([0.1, 0.7], (7, 1)))
    statement, words = said(mistake.sentence, sentences.IMPORTANCES)
    come, expected = mistake.values(parts_of(case)), statement(plain, *words)
    assert disagreement(come, expected, plain) < 1e-9
