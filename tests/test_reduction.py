"""Fewer rows than outputs: the same sensitivities, the same digits, no more operations (EC-7.18 to EC-7.24)."""

from __future__ import annotations

import itertools
import tracemalloc
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from networks import ACTIVATIONS, Drawn, batch, make, samples_per_block
from profiles import draws
from test_certify import true_digits
from test_threads import blas, moments_are_equal

import ecprune_np as ec
from ecprune_np.error_analysis.comparison import worst_error
from ecprune_np.metrics import METRICS, cotangents
from ecprune_np.moments import moments_by_definition
from ecprune_np.pruning.row import refit_rows
from ecprune_np.streaming import blocks, reduction
from ecprune_np.streaming.reduction import (
    ENTRY_COST,
    Reduction,
    Step,
    cheapest_steps,
    operations,
    reduced_sensitivities,
    reduction_of,
    triangular_factor,
    worthwhile_steps,
)
from ecprune_np.streaming.scratch import Scratch
from ecprune_np.streaming.sensitivities import block_size, weighted_sensitivities
from ecprune_np.streaming.structured import Centred

has_longdouble = pytest.mark.skipif(
    np.finfo(np.longdouble).eps == np.finfo(float).eps, reason="longdouble is no wider than float64 here"
)
few = draws(3)  # exact arithmetic takes its time
ROUNDINGS = 100  # what a sum may lose that has cancelled to 2⁻⁶ of its parts, and squares to 2⁻³ of them


@st.composite
def wide(draw: st.DrawFn, dtype: type = np.float64, activations: list[str] = ACTIVATIONS) -> Drawn:
    """Many outputs of few neurons, in all the ways that are hard: of low rank, dead, and far apart in size."""
    hidden = draw(st.lists(st.integers(1, 5), min_size=1, max_size=4), label="widths")
    n_outputs = draw(st.integers(6, 24), label="outputs")
    names = st.sampled_from(activations)
    activation = draw(st.lists(names, min_size=len(hidden) - 1, max_size=len(hidden) - 1), label="activation")
    output = draw(st.sampled_from(["identity", "identity", "tanh", "softplus"]), label="output activation")
    seed = draw(st.integers(0, 2**32 - 1), label="seed")
    drawn = make([*hidden, n_outputs], activation, output, draw(st.integers(1, 4), label="samples"), seed)
    rng = np.random.default_rng(seed)
    weights, biases = list(drawn.mlp.weights), list(drawn.mlp.biases)
    kind = draw(st.sampled_from(["normal", "low rank", "dead", "columns", "rows"]), label="kind")
    l = draw(st.integers(0, len(weights) - 1), label="layer")
    n, m = weights[l].shape
    if kind == "low rank":
        weights[l] = np.outer(rng.standard_normal(n), rng.standard_normal(m))
    elif kind == "dead":  # nothing comes in, or nothing goes out
        weights[l] = weights[l] * (rng.random(m) < 0.5)
        biases[l] = np.where(rng.random(n) < 0.5, -50, biases[l])
    elif kind == "columns":
        weights[l] = weights[l] * 10 ** rng.uniform(-8, 8, m)
        if l > 0:  # so that the outputs, and with them the classes, stay what they are
            weights[l - 1] = weights[l - 1] / np.abs(weights[l]).max(axis=0)[:, np.newaxis]
    elif kind == "rows":
        weights[l] = weights[l] * 10 ** rng.uniform(-8, 8, (n, 1))
    return replace(drawn, mlp=drawn.mlp.replace(weights, biases).astype(dtype), x=drawn.x.astype(dtype))


def every_way(n_hidden: int) -> list[tuple[Step, ...]]:
    """All sequences of steps that so many hidden layers allow, the first layer first."""
    if n_hidden < 2:
        return [("rows",) * n_hidden]
    second: tuple[Step, ...] = ("rows", "factor", "gram")
    others: tuple[Step, ...] = ("rows", "factor")
    return [("rows", *steps) for steps in itertools.product(second, *[others] * (n_hidden - 2))]


STEPS = st.integers(0, 2**20)


def some_way(mlp: ec.MLP, number: int) -> tuple[Step, ...]:
    ways = every_way(mlp.n_layers - 1)
    return ways[number % len(ways)]


@contextmanager
def reduced_by(steps: tuple[Step, ...] | None) -> Iterator[None]:
    """Whatever it would save, or, with None, a row an output whatever that costs."""
    with pytest.MonkeyPatch.context() as patch:

        def made(mlp: ec.MLP, metric: str) -> Reduction | None:
            return None if steps is None or mlp.dtype == np.longdouble else Reduction.of(mlp, metric, steps)

        for module in ("streaming.collect", "streaming.rows", "pruning.row"):
            patch.setattr(f"ecprune_np.{module}.reduction_of", made)
        patch.setattr("ecprune_np.streaming.blocks.worthwhile_steps", lambda mlp, metric: steps)
        yield


def sensitivities(mlp: ec.MLP, trace: ec.Trace, metric: str, steps: tuple[Step, ...] | None) -> list[np.ndarray]:
    """s_i by the steps, or by a row an output."""
    out = [np.empty_like(z) for z in trace.preactivations]
    share, scratch = np.ones(len(trace.outputs), mlp.dtype), Scratch(0, mlp.dtype)
    if steps is None:
        weighted_sensitivities(mlp, trace, cotangents(metric, trace.outputs), share, scratch, out)
    else:
        reduced_sensitivities(mlp, trace, Reduction.of(mlp, metric, steps), share, scratch, out)
    return out


def true_sensitivities(mlp: ec.MLP, trace: ec.Trace, metric: str) -> list[np.ndarray]:
    """Squares of the pullback in a wider format, at the preactivations as they are."""
    dtype = np.float64 if mlp.dtype == np.float32 else np.longdouble
    preactivations = tuple(z.astype(dtype) for z in trace.preactivations)
    outputs = mlp.layer_activation(mlp.n_layers - 1).value(preactivations[-1])
    raised = ec.Trace((), preactivations, outputs)
    return [(g**2).sum(axis=0) for g in ec.pullback(mlp.astype(dtype), raised, cotangents(metric, outputs))]


def errors(values: list[np.ndarray], truths: list[np.ndarray]) -> list[np.ndarray]:
    """Relative, in units in the last place; where the truth has underflowed, none."""
    found = []
    for value, truth in zip(values, truths):
        info = np.finfo(value.dtype)
        size = np.maximum(truth, info.tiny / info.eps)
        found.append(np.asarray(np.abs(value - truth) / size / info.eps, np.float64))
    return found


@has_longdouble
@given(wide() | wide(np.float32), st.sampled_from(sorted(METRICS)), STEPS)
def test_fewer_rows_have_the_digits_of_a_row_an_output(d: Drawn, metric: str, number: int) -> None:
    """EC-7.18, EC-7.19, EC-7.21: whatever cancels, on every sample and for every neuron."""
    trace = ec.forward(d.mlp, d.x)
    truth = true_sensitivities(d.mlp, trace, metric)
    plain = errors(sensitivities(d.mlp, trace, metric, None), truth)
    steps = some_way(d.mlp, number)
    for l, (few_rows, all_rows) in enumerate(zip(errors(sensitivities(d.mlp, trace, metric, steps), truth), plain)):
        assert (few_rows <= 10 * all_rows + ROUNDINGS).all(), (steps, l, few_rows.max(), all_rows.max())


@given(wide(), st.sampled_from(sorted(METRICS)), STEPS)
@few
def test_scores_have_the_digits_of_a_row_an_output(d: Drawn, metric: str, number: int) -> None:
    """EC-7.18 to EC-7.21: against the definition without rounding, on the scales of EC-7.9."""
    pytest.importorskip("mpmath", reason="intervals are in the extra `exact`")
    truth = ec.oracle.exact(d.mlp, batch(d), metric)
    reference = ec.Scores(truth.importance, truth.bias_shift)
    found = []
    for steps in (None, some_way(d.mlp, number)):
        with reduced_by(steps):
            moments = ec.collect_moments(d.mlp, batch(d), metric)
        scores = ec.elimination_compensation(d.mlp, moments)
        found.append(max(worst_error(scores, reference, d.mlp, moments)))
    assert found[1] <= 10 * found[0] + ROUNDINGS * np.finfo(float).eps, found


@has_longdouble
@given(wide(), st.sampled_from(sorted(METRICS)), STEPS)
@few
def test_certificates_count_the_rounding_of_a_reduction(d: Drawn, metric: str, number: int) -> None:
    """EC-7.13, EC-7.18: no bound claims more digits than fewer rows leave, as loops in a wider format see them."""
    with reduced_by(some_way(d.mlp, number)):
        found = ec.oracle.certify(d.mlp, batch(d), metric)
        scores = ec.elimination_compensation(d.mlp, batch(d), metric, batch_size=len(d.x))
    raised = replace(batch(d), x=d.x.astype(np.longdouble))
    truth = ec.oracle.loops(d.mlp.astype(np.longdouble), raised, metric)
    for name in ("importance", "bias_shift"):
        for l, (value, true) in enumerate(zip(getattr(scores, name), getattr(truth, name))):
            bound, digits = getattr(found, f"{name}_bound")[l], true_digits(value, true)
            assert (bound <= digits + 1e-6).all(), (name, l, bound, digits)


@pytest.mark.parametrize("metric", sorted(METRICS))
def test_certificates_see_a_wrong_reduction(metric: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """EC-7.13: they take none themselves, and what one is off is measured."""
    d = make([4, 6, 3, 6, 20], "tanh", n_samples=5)
    with reduced_by(("rows", "gram", "rows")):
        sound = ec.oracle.certify(d.mlp, d.x, metric)
        squares = reduction._squares_by_gram
        monkeypatch.setattr(reduction, "_squares_by_gram", lambda rows, w: squares(rows, w) * (1 + 1e-6))
        wrong = ec.oracle.certify(d.mlp, d.x, metric)
    assert min(bound.min() for bound in sound.importance_bound) > 9
    assert wrong.importance_bound[0].max() < 6.01  # below the Gram matrix
    assert wrong.importance_bound[2].min() > 9


def test_the_conformance_cases_have_the_digits_of_a_row_an_output() -> None:
    """EC-7.18: with a factor, or a Gram matrix, wherever there can be one."""
    for case in ec.conformance.cases():
        reference = ec.Scores(case.reference.importance, case.reference.bias_shift)
        found = []
        for steps in (None, *every_way(case.mlp.n_layers - 1)):
            with reduced_by(steps):
                moments = ec.collect_moments(case.mlp, case.x)
            scores = ec.elimination_compensation(case.mlp, moments)
            found.append(max(worst_error(scores, reference, case.mlp, moments)))
        assert max(found[1:]) <= 10 * found[0] + ROUNDINGS * np.finfo(float).eps, (case.name, found)


def cancelling(dtype: type, stages: int) -> ec.MLP:
    """Rows of 1e8 that cancel exactly, in the last of so many products, beside rows of 1e-8 that do not.

    Every neuron adds two of the layer above; the large rows are positive on one half of these, negative on the other.
    """
    weights = [np.ones((1, 1))] + [np.repeat(np.eye(2**k), 2, axis=0) for k in range(stages)]
    large = np.repeat([[1, -1], [-1, 1], [2, -2]], 2 ** (stages - 1), axis=1)
    small = np.random.default_rng(0).integers(1, 4, (9, 2**stages))
    weights = [w.astype(dtype) for w in (*weights, np.concatenate([1e8 * large, 1e-8 * small]))]
    return ec.MLP(weights, [np.ones(len(w), dtype) for w in weights], "relu")


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("stages", [1, 2, 3])
def test_large_rows_that_cancel_leave_the_digits_of_the_small_ones(
    dtype: type, stages: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """EC-7.21: a bound by columns does not see that; where it does not hold, a row an output is taken."""
    mlp = cancelling(dtype, stages)
    trace = ec.forward(mlp, np.array([[0.5], [1.0]], dtype))
    exact = true_sensitivities(mlp, trace, "output")
    assert exact[0].max() < 1e-12, "the large rows do not cancel"
    steps: tuple[Step, ...] = ("rows",) * (mlp.n_layers - 1)
    assert max(e.max() for e in errors(sensitivities(mlp, trace, "output", steps), exact)) < 8
    monkeypatch.setattr(reduction, "CANCELLED", 0)
    assert errors(sensitivities(mlp, trace, "output", steps), exact)[0].max() > 1e3, "no digit was in danger"


@pytest.mark.parametrize("step", ["factor", "gram"])
def test_rows_that_cancel_below_a_bottleneck_are_found(step: Step, monkeypatch: pytest.MonkeyPatch) -> None:
    """EC-7.21, EC-7.22: also where the rows are each sample's own."""
    mlp = replace(cancelling(np.float64, 1), output_activation="leaky_relu")
    trace = ec.forward(mlp, np.array([[0.5], [1.0]]))
    exact = true_sensitivities(mlp, trace, "output")
    assert max(e.max() for e in errors(sensitivities(mlp, trace, "output", ("rows", step)), exact)) < 8
    monkeypatch.setattr(reduction, "CANCELLED_IN_GRAM" if step == "gram" else "CANCELLED", 0)
    assert errors(sensitivities(mlp, trace, "output", ("rows", step)), exact)[0].max() > 1e3


def test_only_samples_that_need_it_go_down_by_a_row_an_output(monkeypatch: pytest.MonkeyPatch) -> None:
    """EC-7.21: in the others a neuron is shut, and what is left does not cancel."""
    mlp = cancelling(np.float64, 1)
    mlp = mlp.replace(mlp.weights, [mlp.biases[0], [-1.25, 1], mlp.biases[2]])
    x = np.array([[0.5], [-0.5], [1.0], [-0.25], [2.0]])
    seen: list[list[float]] = []
    original = reduction.reduced_sensitivities

    def spied(mlp: ec.MLP, trace: ec.Trace, *rest: object) -> None:
        seen.append(trace.outputs[:, 0].tolist())
        original(mlp, trace, *rest)

    monkeypatch.setattr(reduction, "reduced_sensitivities", spied)
    trace = ec.forward(mlp, x)
    found = sensitivities(mlp, trace, "output", ("rows", "rows"))
    assert seen == [trace.outputs[[0, 2, 4], 0].tolist()]
    assert max(e.max() for e in errors(found, true_sensitivities(mlp, trace, "output"))) < 8


def test_a_neuron_that_is_shut_keeps_no_sample_back() -> None:
    """EC-7.21: what cancels above it reaches nothing."""
    mlp = cancelling(np.float64, 1)
    assert kept_back(mlp, np.array([[0.5], [-3.0]]), "output", ("rows", "rows")).tolist() == [True, False]


def kept_back(mlp: ec.MLP, x: np.ndarray, metric: str, steps: tuple[Step, ...]) -> np.ndarray:
    """Which samples go down by a row an output after all."""
    few_rows = Reduction.of(mlp, metric, steps)
    slab = reduction._Slab.of(mlp, ec.forward(mlp, x), few_rows, slice(None), Scratch(0, mlp.dtype))
    return slab.sensitivities(np.ones(len(x), mlp.dtype), [np.empty((len(x), n), mlp.dtype) for n in mlp.sizes[1:]])


@pytest.mark.parametrize("steps", every_way(3))
def test_no_sample_is_kept_back_where_nothing_cancels(steps: tuple[Step, ...]) -> None:
    """EC-7.21: also with neurons that are shut, and with slopes of 1e-3."""
    for activation in ("identity", "relu", "leaky_relu", "tanh"):
        for output in ("identity", "softplus"):
            d = make([20, 30, 15, 30, 60], activation, output)
            saturated = d.mlp.replace(d.mlp.weights, [b + 4 * (activation == "tanh") for b in d.mlp.biases])
            for metric in sorted(METRICS):
                lost = kept_back(saturated, d.x, metric, steps)
                assert not lost.any(), (activation, output, metric, int(lost.sum()))


@pytest.mark.parametrize("step", ["factor", "gram"])
@given(st.integers(0, 2**32 - 1), st.floats(-7, -2))
def test_digits_are_kept_wherever_the_bound_lies(step: Step, seed: int, log_share: float) -> None:
    """EC-7.21, EC-7.22: of columns that cancel but for any share of them."""
    rng = np.random.default_rng(seed)
    large = np.outer(rng.standard_normal(12), [1, -1])
    rows = large + 2**log_share * np.outer(rng.standard_normal(12), [1, 1])
    mlp = ec.MLP([np.ones((1, 1)), np.ones((2, 1)), rows], [[1], [1, 1], np.ones(12)], "identity", "leaky_relu")
    trace = ec.forward(mlp, [[0.5]])
    exact = true_sensitivities(mlp, trace, "output")
    few_rows, all_rows = (
        max(e.max() for e in errors(sensitivities(mlp, trace, "output", steps), exact))
        for steps in (("rows", step), None)
    )
    assert few_rows <= 10 * all_rows + ROUNDINGS


def test_a_quadratic_form_is_not_negative() -> None:
    """EC-7.22: a square that is lost in rounding; its root would be no number, and keep nothing back."""
    rng = np.random.default_rng(0)
    rows = np.outer(rng.standard_normal(12), rng.standard_normal(5))
    across = np.linalg.svd(rows)[2][1:].T
    assert (reduction._squares_by_gram(rows[:, np.newaxis], across) >= 0).all()


@pytest.mark.parametrize("steps", [("rows", "rows", "rows"), ("rows", "gram", "rows"), ("rows", "factor", "rows")])
def test_what_has_underflowed_when_squared_is_not_lost_below(steps: tuple[Step, ...]) -> None:
    """EC-7.21: float32 holds 1e-25, not its square; the next weights make it large again."""
    d = make([2, 3, 2, 4, 30], "leaky_relu", n_samples=4, dtype=np.float32)
    first, second, third, last = d.mlp.weights
    for activation, factors in (("identity", (1, 1e22, 1, 1e-25)), ("leaky_relu", (1, 1e22, 1, 1e-25))):
        weights = [w * np.float32(factor) for w, factor in zip((first, second, third, last), factors)]
        mlp = replace(d.mlp, output_activation=activation).replace(weights, d.mlp.biases)
        trace = ec.forward(mlp, d.x)
        exact = true_sensitivities(mlp, trace, "output")
        assert exact[-2].max() < np.finfo(np.float32).tiny < exact[0].min()
        assert errors(sensitivities(mlp, trace, "output", steps), exact)[0].max() < ROUNDINGS


@pytest.mark.parametrize("steps", [("rows", "rows", "rows"), ("rows", "gram", "rows"), ("rows", "factor", "rows")])
def test_what_underflows_with_its_slopes_is_not_lost_below(steps: tuple[Step, ...]) -> None:
    """EC-7.21: a saturated neuron's slope is 1e-34, and the next weights make that large again."""
    d = make([2, 3, 2, 4, 30], "tanh", n_samples=4, dtype=np.float32)
    weights = [w * np.float32(1e25 if l == 1 else 1) for l, w in enumerate(d.mlp.weights)]
    mlp = d.mlp.replace(weights, d.mlp.biases)
    trace = ec.forward(mlp, d.x)
    saturated = [z if l != 1 else np.copysign(np.float32(40), z) for l, z in enumerate(trace.preactivations)]
    trace = replace(trace, preactivations=tuple(saturated))
    exact = true_sensitivities(mlp, trace, "output")
    assert exact[1].max() < np.finfo(np.float32).tiny < exact[0].min()
    assert errors(sensitivities(mlp, trace, "output", steps), exact)[0].max() < ROUNDINGS


def test_factors_are_made_in_double_precision() -> None:
    """EC-7.18: RᵀR = WᵀW, to the rounding of R alone in float32."""
    w = np.random.default_rng(0).standard_normal((3000, 5))
    for dtype, most in ((np.float64, 64), (np.float32, 1)):
        factor = triangular_factor(w.astype(dtype)).astype(float)
        assert factor.shape == (5, 5) and (np.tril(factor, -1) == 0).all()
        given_w = w.astype(dtype).astype(float)
        lengths = np.linalg.norm(w, axis=0)
        error = np.abs(factor.T @ factor - given_w.T @ given_w) / np.outer(lengths, lengths)
        assert error.max() < most * np.finfo(dtype).eps


@given(st.lists(st.integers(1, 9), max_size=5).map(tuple), st.integers(1, 30), st.integers(1, 8))
def test_no_sequence_of_steps_takes_fewer_operations(widths: tuple[int, ...], n_rows: int, factor_cost: int) -> None:
    """EC-7.24: against all of them, counted as they read."""

    def counted(steps: tuple[Step, ...]) -> int:
        total, R = 0, n_rows
        for n, m, step in zip(widths[:0:-1], widths[-2::-1], steps[:0:-1]):
            if step == "factor":
                total, R = total + factor_cost * R * n * n, min(R, n)
            if step == "gram":
                total, R = total + R * n * n, n
            total += R * n * m
        return total

    fewest, steps = cheapest_steps(widths, n_rows, factor_cost)
    assert fewest == counted(steps) == min(counted(way) for way in every_way(len(widths)))
    assert len(steps) == len(widths)


@pytest.mark.parametrize(
    ("sizes", "metric", "steps"),
    [
        ([784, 300, 100, 10], "output", None),
        ([784, 300, 100, 10], "fisher", None),
        ([784, 128, 32, 128, 32], "output", None),
        ([784, 128, 32, 128, 784], "output", ("rows", "gram", "rows")),
        ([784, 128, 32, 128, 784], "fisher", ("rows", "gram", "rows")),
        ([512, 512, 512, 1000], "output", ("rows", "rows")),
        ([512, 512, 512, 1000], "softmax", ("rows", "rows")),
        ([784, 256, 64, 16, 64, 256, 784], "output", ("rows", "rows", "factor", "rows", "rows")),
        ([784, 1000], "softmax", ()),
        ([784, 1000], "output", ()),  # in larger blocks, and without the squares of C
        ([128, 256], "output", ()),
        ([784, 100], "output", None),
        ([3, 2, 6], "softmax", None),
    ],
)
def test_rows_are_reduced_where_it_pays(sizes: list[int], metric: str, steps: tuple[Step, ...] | None) -> None:
    """EC-7.24."""
    mlp = ec.MLP.initialize(sizes)
    assert worthwhile_steps(mlp, metric) == steps
    assert blocks.samples_per_block(mlp, metric) == block_size(mlp, reduced=steps is not None)
    assert blocks.samples_per_block(mlp) == block_size(mlp, reduced=False)
    for unknown in ("mse", "cross_entropy", lambda outputs: outputs[np.newaxis], ["output"]):
        assert reduction_of(mlp, unknown) is None


def test_operations_are_counted_as_they_read() -> None:
    """EC-7.24: of the forward pass and the moments, of a block's sums, of C and of all rows down."""
    mlp = ec.MLP.initialize([784, 128, 32, 128, 784])
    moments, sums = 3 * 2 * (784 * 128 + 128 * 32), 2 * ENTRY_COST * 2 * (784 * 128 + 128 * 32)
    down = 128 * 128 * 32 + 128 * 32 * 32 + 32 * 32 * 128
    in_blocks, in_small_blocks = sums // block_size(mlp, reduced=True), sums // block_size(mlp, reduced=False)
    all_down = 784 * (128 * 32 + 32 * 128)
    top = 784 * 784 * (ENTRY_COST + 128)  # anew for every slab, which is a sample
    assert operations(mlp, "output") == (
        moments + in_small_blocks + top + all_down,
        moments + in_blocks + down,
        ("rows", "gram", "rows"),
    )
    down += (784 - 128) * (128 * 32 + 32 * 32)
    assert operations(mlp, "fisher")[:2] == (
        moments + in_small_blocks + top + all_down,
        moments + in_blocks + ENTRY_COST * 784 * 128 + down,
    )


def test_a_single_logit_is_left_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """EC-2.7, EC-7.23: it stands for two, and one row is as few as there can be."""
    monkeypatch.setattr(reduction, "LEAST_SAVING", -np.inf)
    monkeypatch.setattr(reduction, "LEAST_SHARE", -1e9)
    for n_outputs, left in ((1, True), (2, False)):
        mlp = ec.MLP.initialize([3, 4, n_outputs])
        assert [worthwhile_steps(mlp, metric) is None for metric in sorted(METRICS)] == 3 * [left]


def test_no_factor_is_made_that_would_have_as_many_rows() -> None:
    mlp = ec.MLP.initialize([8, 64, 4, 64, 40])
    few_rows = Reduction.of(mlp, "output", ("rows", "gram", "rows"))
    assert few_rows.top is not None and few_rows.top.least is None
    assert (few_rows.top.rows[:, 0] == mlp.weights[-1]).all()


@has_longdouble
def test_longdouble_goes_down_by_a_row_an_output() -> None:
    """LAPACK, and so a QR, does not know it."""
    mlp = ec.MLP.initialize([512, 512, 512, 1000])
    assert worthwhile_steps(mlp, "output") and worthwhile_steps(mlp.astype(np.longdouble), "output") is None


@given(
    st.integers(2, 12),
    st.integers(0, 2**32 - 1),
    st.sampled_from([0.1, 3, 40, 500]),
    st.sampled_from(["softmax", "fisher"]),
)
@example(3, 0, 0, "fisher")  # all classes alike
def test_products_with_c_need_no_c(n_outputs: int, seed: int, spread: float, metric: str) -> None:
    """EC-7.23: the squares of C's columns, and C diag(σ') V, as from C itself, however sure of a class."""
    rng = np.random.default_rng(seed)
    outputs = spread * rng.standard_normal((4, n_outputs))
    v, slopes = rng.standard_normal((n_outputs, 3)), rng.standard_normal((4, n_outputs))
    c, centred = cotangents(metric, outputs), Centred.of(metric, outputs)
    assert centred is not None
    np.testing.assert_allclose(centred.squared_columns(), (c**2).sum(axis=0), rtol=1e-12, atol=1e-300)
    for s in (None, slopes):
        dense = c if s is None else c * s
        scale = (np.abs(dense) @ np.abs(v)).sum(axis=0)  # of the columns
        found = centred.times(v, s, np.empty((n_outputs, 4, 3)))
        assert (np.abs(found - dense @ v) <= 1e-13 * scale + 1e-300).all()


def test_cotangents_take_no_memory_of_outputs_squared() -> None:
    """EC-7.23: dense, those of 64 samples and 1500 outputs are 1.2 GB."""
    d = make([3, 4, 1500], n_samples=64)
    tracemalloc.start()
    ec.collect_moments(d.mlp, d.x, "fisher")
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert most < 50e6, most


REDUCED = make([6, 40, 3, 40, 200], "relu", n_samples=40)
REDUCED_STEPS: tuple[Step, ...] = ("rows", "gram", "rows")


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("metric", sorted(METRICS))
@pytest.mark.parametrize("size", [1, 7, 1000])
def test_moments_by_fewer_rows_are_the_definition(metric: str, size: int, dtype: type) -> None:
    """EC-7.18: in batches and blocks of any size."""
    mlp, x = REDUCED.mlp.astype(dtype), REDUCED.x.astype(dtype)
    assert worthwhile_steps(mlp, metric) == REDUCED_STEPS
    trace, weight = ec.forward(mlp, x), REDUCED.sample_weight.astype(dtype)
    definition = moments_by_definition(mlp, trace, cotangents(metric, trace.outputs), weight)
    reference = ec.elimination_compensation(mlp, definition)
    with pytest.MonkeyPatch.context() as patch:
        samples_per_block(patch, size)
        for batch_size in (None, 11):
            moments = ec.collect_moments(mlp, batch(REDUCED), metric, batch_size=batch_size)
            scores = ec.elimination_compensation(mlp, moments)
            assert max(worst_error(scores, reference, mlp, moments)) < 100 * np.finfo(dtype).eps


@pytest.mark.parametrize("metric", sorted(METRICS))
def test_fewer_rows_side_by_side_are_the_same_to_the_last_bit(metric: str) -> None:
    with blas(1, size=6):
        in_turn = ec.collect_moments(REDUCED.mlp, REDUCED.x, metric)
    with blas(2, size=6) as stand_in:
        assert moments_are_equal(ec.collect_moments(REDUCED.mlp, REDUCED.x, metric), in_turn)
    assert stand_in.limited == 1


def test_an_overflow_is_named_and_does_not_warn() -> None:
    large = [w * 1e160 if l == 3 else w for l, w in enumerate(REDUCED.mlp.weights)]
    mlp = REDUCED.mlp.replace(large, REDUCED.mlp.biases)
    assert worthwhile_steps(mlp, "output") == REDUCED_STEPS
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        with pytest.raises(ValueError, match="moments: overflow in layer 0"):
            ec.collect_moments(mlp, REDUCED.x)
    assert said == [], [str(warning.message) for warning in said]


@st.composite
def matrices(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    """Rows A (R, n) and columns w (n, m), of entries that are far apart in size along rows and columns."""
    n_rows, n, m = draw(st.integers(1, 12)), draw(st.integers(1, 6)), draw(st.integers(1, 6))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    spread = draw(st.sampled_from([0, 8]))
    sizes = [10 ** rng.uniform(-spread, spread, shape) for shape in ((n_rows, 1), n, (n, 1), m)]
    rank = draw(st.integers(1, n))
    a = rng.standard_normal((n_rows, rank)) @ rng.standard_normal((rank, n))
    return sizes[0] * a * sizes[1], sizes[2] * rng.standard_normal((n, m)) * sizes[3]


@has_longdouble
@given(matrices())
def test_errors_are_bounded_by_the_columns(drawn: tuple[np.ndarray, np.ndarray]) -> None:
    """EC-7.19, EC-7.22, EC-7.20: of a factor, of a Gram matrix, and how far the bound is from that of all rows."""
    a, w = drawn
    n = len(w)
    t = np.linalg.norm(a, axis=0) @ np.abs(w) / np.sqrt(n)
    by_rows = np.linalg.norm(np.abs(a) @ np.abs(w), axis=0)
    assert (t <= by_rows * (1 + 1e-12)).all() and (by_rows <= np.sqrt(n) * t * (1 + 1e-12)).all()
    exact = np.linalg.norm(a.astype(np.longdouble) @ w.astype(np.longdouble), axis=0)
    factor = triangular_factor(a).astype(np.longdouble)
    u = np.finfo(float).eps / 2
    error = np.abs(np.linalg.norm(factor @ w.astype(np.longdouble), axis=0) - exact)
    assert (error <= 10 * len(a) * u * np.sqrt(n) * t).all(), (error / t / u).max()
    squares = reduction._squares_by_gram(a[:, np.newaxis], w)[0]
    assert (np.abs(squares - exact**2) <= (len(a) + 2 * n) * u * n * t**2).all()


@pytest.mark.parametrize("metric", sorted(METRICS))
def test_what_asks_for_sums_of_squares_alone_is_by_fewer_rows_what_it_is_by_all(metric: str) -> None:
    """EC-6.3, EC-5.10, EC-7.18: OBC, its update, and rows that are fitted."""
    d = make([4, 6, 3, 6, 20], "tanh", n_samples=12)
    masks = [np.random.default_rng(0).random(shape) < 0.7 for shape in d.mlp.shapes]
    found = []
    for steps in (None, ("rows", "gram", "rows"), ("rows", "factor", "rows")):
        with reduced_by(steps):
            updated = ec.obc_update(d.mlp, batch(d), masks, metric)
            fitted = refit_rows(updated.mlp, updated.masks, d.mlp, batch(d), metric)
            found.append([*ec.criteria.obc(d.mlp, batch(d), metric).importance, *updated.mlp.weights, *fitted.weights])
    for way in found[1:]:
        for value, reference in zip(way, found[0]):
            np.testing.assert_allclose(value, reference, rtol=1e-8, atol=1e-10 * np.abs(reference).max())
        assert any((value != reference).any() for value, reference in zip(way, found[0])), "nothing was reduced"


@pytest.mark.parametrize("fewer", [True, False])
def test_squares_of_rows_that_overflow_are_named(fewer: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if not fewer:
        monkeypatch.setattr("ecprune_np.streaming.rows.reduction_of", lambda mlp, metric: None)
    large = REDUCED.mlp.replace([*REDUCED.mlp.weights[:3], 1e200 * REDUCED.mlp.weights[3]], REDUCED.mlp.biases)
    masks = [w > 0 for w in large.weights]
    for surgeon in (ec.criteria.obc, lambda mlp, x: ec.obc_update(mlp, x, masks)):
        with pytest.raises(ec.BatchError, match=r"pullback: overflow in layer 0 .*, in batch 0"):
            surgeon(large, REDUCED.x)
