"""Scores that another implementation found on a network of one's own: the same report and diagnosis as the suite's."""

from __future__ import annotations

import json

import numpy as np
import pytest
from implementations.other_kinds import OPTION_MISTAKES, ec_with_options
from implementations.right import RIGHT
from implementations.wrong import WRONG
from profiles import every

import ecprune_np as ec
from ecprune_np import conformance
from ecprune_np.__main__ import main
from ecprune_np.conformance import _compare
from ecprune_np.conformance._html import DRAWN, page
from ecprune_np.conformance.catalogue._parts import AT_ONCE
from ecprune_np.conformance.diagnosis import _own_network, _own_parts

RNG = np.random.default_rng(0)
X = RNG.standard_normal((70, 5)) + 0.5
LABELS = RNG.integers(0, 3, 70)
WEIGHT = RNG.uniform(0.5, 2, 70)
MLP = ec.MLP.initialize([5, 6, 4, 3], "tanh", seed=3)
MLP = MLP.replace(MLP.weights, [RNG.standard_normal(b.shape) / 2 for b in MLP.biases])
SCORES = ec.elimination_compensation(MLP, X)
OF_OTHERS = {  # mistakes that this network does not have: no batch so large, no dead neuron, no relu, no large ε
    "last batch dropped", "0/0", "0/0 in the shift", "dead mean", "max(S, 1e-12)", "relu'(0) = 1", "relu'(0) = 1/2",
    "leaky 0.2", "gelu by tanh", "sigmoid's slope", "always tanh", "S + 1e-30", "one sample raises", "squeezed",
}  # fmt: skip
METRICS = {
    "no metric": "fisher",
    "probability alone": "softmax",
    "softmax as Fisher": "fisher",
    "Fisher as softmax": "softmax",
    "half squares": "mse",
    "sum of squares": "mse",
    "no targets in cross-entropy": "cross_entropy",
    "softmax of one": "fisher",
    "no slope at the end": "mse",
}
ALIKE = {"ddof=1 guarded": "unbiased-variance", "three times": "times-outputs"}  # told by another name here


def asked(candidate, mlp=MLP, x=X, **options):
    """What a candidate finds on a network."""
    weights, biases = [w.copy() for w in mlp.weights], [b.copy() for b in mlp.biases]
    return candidate(weights, biases, mlp.activation, x.copy(), **options)


@pytest.mark.parametrize("name", list(RIGHT)[::3])
def test_right_scores_conform(name):
    report = conformance.compare(MLP, X, *asked(RIGHT[name]))
    assert report.verdict == "conforms" and not report.diagnosis, str(report)
    assert "right is the fast path in float64, on 70 samples, metric output" in report.notes[0]


@pytest.mark.parametrize("wrong", [w for w in WRONG if w.name not in OF_OTHERS][every(3)], ids=str)
def test_wrong_scores_have_the_suites_diagnosis(wrong):
    report = conformance.compare(MLP, X, *asked(wrong.candidate))
    assert report.verdict == "does not conform", str(report)
    first = report.diagnosis[0]
    assert wrong.says_it(report) or first.id == ALIKE.get(wrong.name), str(report)
    assert first.id == "unknown" or (first.unit == "wrong quantities" and 0 < first.explained <= first.wrong)
    assert max(map(len, str(report).splitlines())) <= 80


def test_mistakes_that_a_network_does_not_show_are_none():
    for wrong in WRONG:
        if wrong.name in OF_OTHERS:
            assert conformance.compare(MLP, X, *asked(wrong.candidate)).verdict == "conforms", wrong


@pytest.mark.parametrize("wrong", OPTION_MISTAKES[every(3)], ids=str)
def test_options_are_compared_too(wrong):
    """With metric, targets, weights and an output's activation; what the wrong one does not take stays as usual."""
    mlp = ec.MLP(MLP.weights, MLP.biases, "tanh", "sigmoid" if "at the end" in wrong.name else "identity")
    metric = METRICS.get(wrong.name, "output")
    y = {"cross_entropy": LABELS, "mse": X[:, :3]}.get(metric)
    weight = WEIGHT if "weights" in wrong.name else None
    options = {"metric": metric, "y": y, "sample_weight": weight, "output_activation": mlp.output_activation}
    batch = ec.Batch(X, weight, y)
    assert conformance.compare(mlp, batch, *asked(ec_with_options(), mlp, **options), metric).verdict == "conforms"
    if wrong.name == "weights as they are":
        options = {"sample_weight": weight}
    report = conformance.compare(mlp, batch, *asked(wrong.candidate, mlp, **options), metric)
    if wrong.name != "softmax of one":  # of three logits it is right
        assert wrong.says_it(report), str(report)


def test_importances_alone_suffice_and_the_verdict_says_so():
    report = conformance.compare(MLP, X, SCORES.importance)
    assert report.headline == "conforms, as far as tried: 1 of 1 cases, importance only"
    report = conformance.compare(MLP, X, [I / 2 for I in SCORES.importance])
    assert report.headline == "does not conform (0 of 1 cases pass, importance only)"
    assert [f.id for f in report.diagnosis] == ["half"] and "1 of 1 wrong quantities" in str(report)


def test_float32_is_judged_by_its_own_tolerance():
    single = [I.astype(np.float32) for I in SCORES.importance], [d.astype(np.float32) for d in SCORES.bias_shift]
    assert conformance.compare(MLP.astype(np.float32), X.astype(np.float32), *single).verdict == "conforms"
    as_double = [[v.astype(np.float64) for v in values] for values in single]
    assert conformance.compare(MLP, X, *as_double).diagnosis[0].id == "float32-as-float64"


@pytest.mark.parametrize(
    ("importance", "shift", "first"),
    [
        ([I.T for I in SCORES.importance], [d.T for d in SCORES.bias_shift], "transposed"),
        (SCORES.bias_shift, SCORES.importance, "exchanged"),
        ([3.7 * I for I in SCORES.importance], SCORES.bias_shift, "importance-constant-factor"),
        ([np.full_like(I, np.nan) for I in SCORES.importance], SCORES.bias_shift, "not-finite"),
        ([np.round(I, 4) for I in SCORES.importance], SCORES.bias_shift, "importance-rounded-to-4-decimals"),
        ([I**1.01 + 1e-9 * I for I in SCORES.importance], SCORES.bias_shift, "importance-to-the-1.01"),
        ([np.expm1(I) for I in SCORES.importance], SCORES.bias_shift, "monotone"),
        ([np.cos(50 * SCORES.importance[0]), *SCORES.importance[1:]], SCORES.bias_shift, "first-layer-only"),
        ([np.cos(50 * I) for I in SCORES.importance], SCORES.bias_shift, "unknown"),
        (SCORES.importance[:2], SCORES.bias_shift, "last-layer-missing"),
        (None, None, "no-answer"),
        ([[1.0, "a"]], None, "no-answer"),
    ],
)
def test_whatever_came_is_told(importance, shift, first):
    report = conformance.compare(MLP, X, importance, shift)
    assert report.verdict == "does not conform" and report.diagnosis[0].id == first, str(report)
    assert "step by step" not in str(report)  # there is no such case in the suite
    assert json.dumps(report.to_dict(), allow_nan=False) and page(report)


def test_layers_with_unlike_activations_have_the_mistakes_in_formulas_and_outputs():
    mlp = ec.MLP(MLP.weights, MLP.biases, ("tanh", "gelu"))
    right = ec.elimination_compensation(mlp, X)
    summed = ec.elimination_compensation(mlp, X, lambda f: np.ones((1, *f.shape)))
    assert conformance.compare(mlp, X, right.importance, right.bias_shift).ok
    report = conformance.compare(mlp, X, summed.importance, summed.bias_shift)
    assert report.diagnosis[0].id == "gradient-of-the-sum"
    other = ec.elimination_compensation(MLP, X)
    assert conformance.compare(mlp, X, other.importance, other.bias_shift).diagnosis[0].id == "unknown"


def test_a_metric_of_ones_own_is_compared():
    def first(f):
        return np.eye(f.shape[1])[:1, np.newaxis].repeat(len(f), axis=1)

    scores = ec.elimination_compensation(MLP, X, first)
    assert conformance.compare(MLP, X, scores.importance, scores.bias_shift, first).verdict == "conforms"
    assert conformance.compare(MLP, X, SCORES.importance, SCORES.bias_shift, first).verdict == "does not conform"


def test_batches_of_samples_and_many_weights_give_the_same_findings(monkeypatch):
    """As for large networks: derivatives of a few samples at a time, moments about the plain mean."""
    names = ("summed outputs", "plain mean", "derivative at a", "one s a layer", "batch gradient", "no last slope")
    candidates = [w for w in WRONG if w.name in names]
    before = [conformance.compare(MLP, X, *asked(w.candidate)).diagnosis[0] for w in candidates]
    monkeypatch.setattr(_own_parts, "AT_ONCE", 500)
    monkeypatch.setattr("ecprune_np.conformance.catalogue._parts.AT_ONCE", 10)
    assert AT_ONCE > 10 and len(candidates) >= 4
    after = [conformance.compare(MLP, X, *asked(w.candidate)).diagnosis[0] for w in candidates]
    assert [f.id for f in after] == [f.id for f in before]
    assert [f.explained for f in after] == [f.explained for f in before]


@pytest.mark.parametrize(("name", "dear"), [("plain mean", False), ("slope of a", True)])
def test_what_one_cheap_mistake_explains_wholly_is_not_looked_for_in_the_passes(monkeypatch, name, dear):
    passes, few = [], _own_network.few
    monkeypatch.setattr(_own_network, "few", lambda *a: passes.append(a) or few(*a))
    candidate = next(w for w in WRONG if w.name == name).candidate
    assert conformance.compare(MLP, X, *asked(candidate)).diagnosis[0].id != "unknown"
    assert (len(passes) > 1) == dear, len(passes)  # the right ones are always needed


def test_wide_layers_need_no_hessian_and_pages_draw_some_of_many_weights():
    mlp = ec.MLP.initialize([900, 5, 2], "relu", seed=0)
    x = RNG.standard_normal((20, 900))
    scores = ec.elimination_compensation(mlp, x)
    report = conformance.compare(mlp, x, [I**2 for I in scores.importance], scores.bias_shift)
    assert report.diagnosis[0].id == "square-of-importance"
    assert mlp.n_weights > DRAWN and "1 of 2 drawn" in page(report)


def test_samples_come_in_whatever_way():
    for x in (X.tolist(), [X[:30], X[30:]], iter([ec.Batch(X[:50]), ec.Batch(X[50:])])):
        assert conformance.compare(MLP, x, SCORES.importance, SCORES.bias_shift).verdict == "conforms"
    with pytest.raises(TypeError, match="mlp: expected MLP"):
        conformance.compare("network", X, SCORES.importance)
    with pytest.raises(ValueError, match="x: expected shape"):
        conformance.compare(MLP, X[:, :2], SCORES.importance)


# The command


@pytest.fixture
def files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    MLP.save("network.npz")
    np.savez("data.npz", x=X, y=LABELS)
    SCORES.save("right.npz")
    np.savez("half.npz", **{f"importance_{l}": I / 2 for l, I in enumerate(SCORES.importance)})
    return tmp_path


def test_the_command_judges_what_scores_save_writes(files, capsys):
    assert main(["compare-scores", "network.npz", "--data", "data.npz", "right.npz"]) == 0
    assert capsys.readouterr().out.startswith("right.npz: conforms (1 of 1 cases pass)\n")
    outputs = ["--json", "report.json", "--html", "report.html"]
    assert main(["compare-scores", "network.npz", "--data", "data.npz", "half.npz", *outputs]) == 1
    shown = capsys.readouterr().out
    assert "1. half: The importance has a factor 1/2" in shown and "importance only" in shown
    assert json.loads((files / "report.json").read_text(encoding="utf-8"))["diagnosis"][0]["id"] == "half"
    assert "reference importance" in (files / "report.html").read_text(encoding="utf-8")


def test_the_command_knows_metrics_and_their_targets(files, capsys):
    ec.elimination_compensation(MLP, ec.Batch(X, y=LABELS), "cross_entropy").save("entropy.npz")
    command = ["compare-scores", "network.npz", "--data", "data.npz", "entropy.npz"]
    assert main([*command, "--metric", "cross_entropy"]) == 0
    assert main(command) == 1
    np.savez("no_targets.npz", x=X)
    assert main(["compare-scores", "network.npz", "--data", "no_targets.npz", "right.npz", "--metric", "mse"]) == 2
    assert "needs targets" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"scores": np.ones(3)}, "bad.npz: expected arrays importance_0, importance_1, ..., got none"),
        ({"importance_0": np.ones(3), "importance_2": np.ones(3)}, "but importance_1 is missing"),
        ({"importance_0": np.ones(3), "bias_shift_1": np.ones(3)}, "but bias_shift_0 is missing"),
    ],
)
def test_a_file_without_scores_is_refused(files, capsys, arrays, message):
    np.savez("bad.npz", **arrays)
    assert main(["compare-scores", "network.npz", "--data", "data.npz", "bad.npz"]) == 2
    assert message in capsys.readouterr().err
    assert main(["compare-scores", "network.npz", "--data", "data.npz", "bad.npz", "--json", "network.npz"]) == 2


def test_progress_goes_to_what_was_handed_over():
    seen = []

    def progress(mistakes):
        for mistake in mistakes:
            seen.append(mistake.id)
            yield mistake

    importance = [np.cos(50 * I) for I in SCORES.importance]
    _compare.compared("mine", MLP, X, importance, SCORES.bias_shift, "output", progress)
    assert len(seen) > 20 and len(set(seen)) == len(seen)
