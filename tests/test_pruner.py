"""Pruning steps are verified: how many weights go, which, and what the biases make of it (EC-5.1)."""

from __future__ import annotations

import hashlib
from fractions import Fraction

import numpy as np
import pytest
from implementations.pruners import PRUNERS, in_place, percentile, pruner, right
from profiles import every
from test_conformance_cli import command

import ecprune_np as ec
from ecprune_np import conformance
from ecprune_np.conformance._cases import all_cases
from ecprune_np.conformance._html import page
from ecprune_np.conformance._pruned_cases import APART, _pruned, _with_ties
from ecprune_np.conformance._verdict import judge
from ecprune_np.conformance.catalogue._mistake import wrong_values
from ecprune_np.conformance.catalogue.pruning import PRUNING

CASES = all_cases("pruner")
BASES = {case.name: case for case in (*conformance.cases(), *_with_ties())}

PUBLISHED = {  # of each network how many cases, and a digest of them
    "relu-3-layers": "9 cf10008042bc",
    "tanh-2-layers": "8 dd5c486eeb77",
    "gelu-3-layers": "9 4fe7ed0adccf",
    "depth-1": "8 827ec22ff9bf",
    "depth-5": "9 9c012f8c667c",
    "square-deep": "10 c1d2052f5442",
    "correlated-softplus": "10 7479a4e930e6",
    "layers-of-unlike-size": "6 eacc5ef64024",
    "positive-inputs": "8 34b4e6aa47b8",
    "dead-relu": "10 e6116b7b62a9",
    "zero-input": "10 15faf17bd1e4",
    "pruned-weights": "8 dfb3be6df6ca",
    "ties": "6 c882cc2deb0f",
    "ties-two-layers": "2 bac8c4c68e46",
}


def base_of(case):
    """The network that is pruned, with its scores."""
    return BASES[case.name.rsplit(f"-{case.scope}-", 1)[0]]


def test_a_right_pruner_conforms_in_both_precisions():
    def in_float32(weights, biases, activation, x, sparsity, scope):
        given = [w.astype(np.float32) for w in weights], [b.astype(np.float32) for b in biases]
        return right(*given, activation, x.astype(np.float32), sparsity, scope)

    for candidate in (right, in_float32):
        report = conformance.check_pruner(candidate)
        assert report.verdict == "conforms" and not report.diagnosis, str(report)


@pytest.mark.parametrize("wrong", PRUNERS[every(2)], ids=str)
def test_a_wrong_pruner_is_rejected_with_the_right_finding_first(wrong):
    report = conformance.check_pruner(wrong.candidate)
    assert report.verdict == "does not conform" and wrong.says_it(report), str(report)
    assert max(map(len, str(report).splitlines())) <= 80


def test_every_mistake_of_the_catalogue_is_caught_and_diagnoses_itself():
    some = [*CASES[:-6:2], *CASES[-6:]]  # those with ties come last
    for mistake in PRUNING:
        values = [dict(zip(case.quantities, wrong_values(mistake, case))) for case in some]
        results = [judge(case, conformance.Outcome(**v)) for case, v in zip(some, values)]
        assert any(r.status == "failed" for r in results), mistake
        if mistake not in PRUNING[every(3)]:
            continue
        first = conformance.Report("", tuple(results)).diagnosis[0]
        assert first.id == mistake.id and first.explained >= 0.95 * first.wrong, first
        assert mistake.equation == "EC-5.1" and mistake.sentence.endswith(".")


def test_the_expected_networks_are_those_of_exact_masks_and_sums():
    """EC-5.1, EC-9.8: of the exact scores the lowest go, and the shifts are added up without rounding."""
    for case in CASES:
        scores = base_of(case).reference
        masks = ec.oracle.exact_masks(ec.Scores(scores.importance), case.sparsity, case.scope)
        for w, b, d, mask, pruned, new in zip(
            case.weights, case.biases, scores.bias_shift, masks, case.reference.weights, case.reference.biases
        ):
            np.testing.assert_array_equal(pruned, np.where(mask, w, 0))
            sums = [
                sum(map(Fraction, row[~kept].tolist()), Fraction(own)) for own, row, kept in zip(b.tolist(), d, mask)
            ]
            np.testing.assert_array_equal(new, [float(total) for total in sums])


def test_no_importances_at_the_cut_are_nearly_equal_but_for_exact_ties():
    n_ties = 0
    for case in CASES:
        reference, removed = base_of(case).reference, [p == 0 for p in case.reference.weights]
        layers = [np.arange(len(case.weights))] if case.scope == "global" else [[l] for l in range(len(case.weights))]
        for group in layers:
            I, R, gone, w = (
                np.concatenate([values[l].ravel() for l in group])
                for values in (reference.importance, reference.importance_scale, removed, case.weights)
            )
            share = case.sparsity * len(I)
            assert abs(share % 1 - 0.5) > 0.04 and (gone & (w != 0)).sum() <= round(share)
            low, high = I[gone], I[~gone]
            if len(low) and len(high) and low.max() < high.min():
                k, m = np.flatnonzero(gone)[low.argmax()], np.flatnonzero(~gone)[high.argmin()]
                assert high.min() - low.max() > APART * (R[k] + R[m]) / 2, case
            elif len(low) and len(high):
                assert low.max() == high.min() or w[gone].min() == 0
                n_ties += 1
    assert n_ties > 5 and {"ties"} < {case.group for case in CASES}


@pytest.mark.parametrize("case", list(_with_ties()), ids=str)
def test_networks_with_ties_have_scores_that_every_order_of_summation_gives(case):
    exact = ec.oracle.exact(case.mlp, case.x)
    backwards = ec.elimination_compensation(case.mlp, case.x[::-1])
    for name in ("importance", "bias_shift"):
        for mine, theirs, fast in zip(getattr(case.reference, name), getattr(exact, name), getattr(backwards, name)):
            np.testing.assert_array_equal(mine, theirs)
            np.testing.assert_array_equal(mine, fast)
    scales = zip(case.reference.importance_scale, exact.uncompensated)
    assert all((mine == theirs).all() for mine, theirs in scales)
    assert len({I for layer in case.reference.importance for I in layer.ravel().tolist()}) < case.mlp.n_weights


@pytest.mark.parametrize(
    ("share", "there"), [(6.449, True), (6.451, False), (6.5, False), (6.549, False), (6.551, True)]
)
def test_no_number_of_weights_that_go_is_nearly_a_half(share, there):
    """Which implementations round to either side."""
    network = next(_with_ties())  # in whose ties there is no doubt
    assert (_pruned(network, share / network.mlp.n_weights, "global") is not None) is there


def test_the_number_of_zeros_is_told():
    report = conformance.check_pruner(pruner(choose=percentile))
    (tied, *_) = [r for r in report.with_status("failed") if "weights are zero" in r.message]
    assert "weights are zero, expected" in tied.message


def test_inputs_that_are_changed_fail():
    report = conformance.check_pruner(in_place)
    assert report.verdict == "does not conform"
    assert "it changes its arguments (weights)" in report.with_status("failed")[0].message
    assert report.diagnosis[0].id == "overwrites-arguments", str(report)


def test_masks_alone_are_a_verdict_on_masks_alone():
    report = conformance.check_pruner(lambda *given: (right(*given)[0], None))
    assert report.headline == f"conforms, as far as tried: {len(CASES)} of {len(CASES)} cases, weights only"


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (None, "expected (weights, biases), got NoneType"),
        (([np.ones((2, 2))], []), "weights: expected"),
        (([[1]], [[1]]), "weights[0]: expected float32 or float64"),
    ],
)
def test_malformed_answers(answer, message):
    result = judge_one(lambda *given: answer)
    assert message in result.message


def judge_one(candidate):
    return conformance.check(candidate, CASES[:1]).results[0]


def test_an_unknown_pruner_comes_with_lines_that_run(capsys, monkeypatch):
    import sys

    def odd(*given):
        weights, biases = right(*given)
        return weights, [b + 0.01 * np.arange(len(b)) for b in biases]

    odd.__qualname__, odd.__module__ = "odd", "mine"
    monkeypatch.setitem(sys.modules, "mine", type(sys)("mine"))
    sys.modules["mine"].odd = odd
    report = conformance.check_pruner(odd)
    assert [f.id for f in report.diagnosis] == ["unknown"] and "biasess" not in str(report)
    lines = str(report).split("step by step:\n")[1].split("\n\n")[0].splitlines()
    exec("\n".join(line[4:] for line in lines), {})
    assert "right biases" in capsys.readouterr().out
    assert page(report).count("reference biases") > 100


def test_verify_takes_a_pruner(capsys):
    assert command("verify", "--pruner", "implementations.pruners:right") == 0
    assert f"conforms ({len(CASES)} of {len(CASES)} cases pass)" in " ".join(capsys.readouterr().out.split())
    assert command("verify", "--pruner", "implementations.pruners:in_place", "--group", "ties") == 1
    for arguments, message in [
        ([], "expected package.module:function, or --pruner"),
        (["a:b", "--pruner", "c:d"], "expected package.module:function, or --pruner"),
        (["--pruner", "c:d", "--kind", "obs"], "--kind obs: does not go with --pruner"),
    ]:
        assert command("verify", *arguments) == 2
        assert message in capsys.readouterr().err


def test_a_pruner_must_be_callable():
    with pytest.raises(TypeError, match=r"\(weights, biases, activation, x, sparsity, scope\) -> \(weights, biases\)"):
        conformance.check_pruner("pruner")


def test_what_was_published_does_not_move():
    """Inputs, sparsities and scopes, what is right and its scales: of each network's cases, to the last bit."""
    assert {name: digest_of(cases) for name, cases in by_network().items()} == PUBLISHED


def by_network():
    found = {}
    for case in CASES:
        found.setdefault(base_of(case).name, []).append(case)
    return found


def digest_of(cases):
    digest = hashlib.sha256()
    for case in cases:
        words = (case.name, *case.flags, case.note, case.activation, case.kind, repr(case.sparsity), case.scope)
        digest.update("\n".join(words).encode())
        arrays = [*case.weights, *case.biases, case.x]
        for quantity in case.quantities:
            arrays += [v for layers in case.reference.of(quantity) for v in layers]
        for array in arrays:
            digest.update(repr((array + 0.0).tolist()).encode())  # -0.0 is 0.0
    return f"{len(cases)} {digest.hexdigest()[:12]}"
