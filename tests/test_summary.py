"""What is left of a pruned network and what it has cost: counted, and measured on samples."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from networks import Drawn, make, networks

import ecprune_np as ec
from ecprune_np import _text
from ecprune_np.evaluation import Performance, meant, yardstick
from ecprune_np.pruning.summary import in_use

FRACTIONS = st.sampled_from([0.0, 0.3, 0.6, 0.9, 1.0])


def pruned_at_random(d: Drawn, fraction: float) -> ec.Pruned:
    return ec.prune(d.mlp, ec.criteria.random(d.mlp, d.seed), fraction)


@given(networks(), FRACTIONS)
def test_counts_are_those_of_the_masks(d: Drawn, fraction: float) -> None:
    pruned = pruned_at_random(d, fraction)
    summary = pruned.summary()
    assert summary.sizes.tolist() == list(d.mlp.sizes)
    assert summary.n_weights.tolist() == [w.size for w in d.mlp.weights]
    assert summary.n_kept.tolist() == [int(m.sum()) for m in pruned.masks]
    assert summary.dense_bytes == sum(a.nbytes for a in (*d.mlp.weights, *d.mlp.biases))
    assert summary.before is None and summary.after is None
    assert (summary.multiply_adds <= summary.n_kept).all()


def paths(weights: tuple[np.ndarray, ...]) -> list[tuple[int, ...]]:
    """Every path of weights that are not zero from an input to an output, found one step at a time."""
    found = [(j,) for j in range(weights[0].shape[1])]
    for w in weights:
        found = [(*path, i) for path in found for i in range(len(w)) if w[i, path[-1]] != 0]
    return found


@given(networks(max_layers=3, max_width=4), FRACTIONS)
def test_in_use_is_what_lies_on_a_path_from_an_input_to_an_output(d: Drawn, fraction: float) -> None:
    pruned = pruned_at_random(d, fraction)
    found = paths(pruned.mlp.weights)
    expected = [{path[l] for path in found} for l in range(d.mlp.n_layers)]
    assert [set(np.flatnonzero(m).tolist()) for m in in_use(pruned.mlp.weights)[:-1]] == expected
    assert in_use(pruned.mlp.weights)[-1].all()
    steps = [len({path[l : l + 2] for path in found}) for l in range(d.mlp.n_layers)]
    assert pruned.summary().multiply_adds.tolist() == steps


@given(networks(), FRACTIONS)
def test_what_is_not_in_use_hands_on_nothing_but_a_constant(d: Drawn, fraction: float) -> None:
    """Other values of the inputs that are not in use change no output, and neurons not in use that reach one are
    constant on all samples."""
    pruned = pruned_at_random(d, fraction)
    used = in_use(pruned.mlp.weights)
    other = np.where(used[0], d.x, 7.0)
    assert (pruned.mlp(other) == pruned.mlp(np.where(used[0], d.x, 0.0))).all()
    trace = ec.forward(pruned.mlp, d.x)
    for l in range(1, d.mlp.n_layers):
        hand_on = (~used[l]) & (pruned.mlp.weights[l][used[l + 1]] != 0).any(axis=0)
        assert (np.ptp(trace.inputs[l][:, hand_on], axis=0) == 0).all()


def test_bytes_are_those_of_the_file(tmp_path: Path) -> None:
    pruned = pruned_at_random(make([9, 12, 3]), 0.7)
    told = pruned.save(tmp_path / "pruned.npz")
    assert pruned.summary().file_bytes == (tmp_path / "pruned.npz").stat().st_size
    assert f"\n.npz file: {told}" in str(pruned.summary())


@given(networks(logits=True), FRACTIONS, st.booleans())
def test_losses_are_those_of_mean_loss_accuracy_and_true_change(d: Drawn, fraction: float, classes: bool) -> None:
    """EC-8.3: over what the outputs vary by, E‖f − E f‖²."""
    y = d.labels if classes else d.targets("mse")
    pruned = pruned_at_random(d, fraction)
    summary = pruned.summary(d.mlp, ec.Batch(d.x, y=y))
    loss = "cross_entropy" if classes else "mse"
    f = d.mlp(d.x)
    variance = np.mean(np.sum((f - f.mean(axis=0)) ** 2, axis=1))
    for network, performance in ((d.mlp, summary.before), (pruned.mlp, summary.after)):
        assert performance.loss == pytest.approx(ec.mean_loss(network, d.x, y, loss), rel=1e-12)
        accuracy = ec.accuracy(network, ec.Batch(d.x, y=y)) if classes else None
        assert performance.accuracy == (None if accuracy is None else pytest.approx(accuracy))
        if performance.change is None:
            assert variance == pytest.approx(0, abs=1e-24)
        elif variance > 1e-20:
            change = ec.oracle.true_change(network, d.mlp, d.x)
            assert performance.change == pytest.approx(change / variance, rel=1e-9, abs=1e-12)


@given(networks(logits=True))
def test_samples_of_weight_two_count_twice(d: Drawn) -> None:
    pruned = pruned_at_random(d, 0.5)
    weight = np.arange(len(d.x)) % 3
    if not weight.any():
        return
    repeated = ec.Batch(np.repeat(d.x, weight, axis=0), y=np.repeat(d.labels, weight))
    one = pruned.summary(d.mlp, ec.Batch(d.x, weight, d.labels)).after
    two = pruned.summary(d.mlp, repeated).after
    assert (one.loss, one.accuracy) == (pytest.approx(two.loss), pytest.approx(two.accuracy))
    assert one.change is None or two.change is None or one.change == pytest.approx(two.change, rel=1e-6, abs=1e-9)


def test_a_stream_of_batches_and_any_slices_measure_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    d = make([4, 6, 3], "relu", n_samples=50)
    whole = yardstick(d.mlp, ec.Batch(d.x, y=d.labels))(make([4, 6, 3], "relu", seed=1).mlp)
    parts = iter([ec.Batch(d.x[:20], y=d.labels[:20]), ec.Batch(d.x[20:], y=d.labels[20:])])
    monkeypatch.setattr("ecprune_np.evaluation.samples_per_batch", lambda *_: 7)
    streamed = yardstick(d.mlp, parts)(make([4, 6, 3], "relu", seed=1).mlp)
    assert whole.accuracy == pytest.approx(streamed.accuracy)
    assert (whole.loss, whole.change) == (pytest.approx(streamed.loss), pytest.approx(streamed.change))


def test_without_targets_there_is_the_change_alone() -> None:
    d = make([4, 6, 3])
    summary = pruned_at_random(d, 0.5).summary(d.mlp, d.x)
    assert (summary.before, summary.after.loss, summary.after.accuracy) == (Performance(None, None, 0.0), None, None)
    assert summary.after.change > 0
    lines = str(summary).splitlines()
    assert lines[-3].split() == ["change", "of", "the", "output"]
    assert lines[-1].split() == ["pruned", _text.short(summary.after.change)]


def test_outputs_that_do_not_vary_have_no_change_to_be_counted_in() -> None:
    mlp = ec.MLP([[[1.0, 2.0]]], [[0.0]])
    assert yardstick(mlp, [[1.0, 1.0], [1.0, 1.0]])(mlp).change is None


@pytest.mark.parametrize(
    ("y", "n_outputs", "expected", "loss"),
    [
        ([0, 3, 1], 4, [0, 3, 1], "cross_entropy"),
        ([True, False], 1, [1, 0], "cross_entropy"),
        ([[1], [0]], 1, [1, 0], "cross_entropy"),
        ([[1], [2]], 1, [[1], [2]], "mse"),
        ([[1], [2]], 3, [1, 2], "cross_entropy"),
        ([1.0, 2.0], 3, [1, 2], "cross_entropy"),
        ([1.0, 0.0], 1, [[1.0], [0.0]], "mse"),
        ([1.5, 2.0], 3, [[1.5], [2.0]], "mse"),
        ([[0, 1], [1, 0]], 2, [[0, 1], [1, 0]], "cross_entropy"),
        ([[0, 1], [1, 1]], 2, [[0, 1], [1, 1]], "mse"),
        ([[0.0, 1.0]], 2, [[0.0, 1.0]], "mse"),
    ],
)
def test_targets_are_what_they_can_be(y: list, n_outputs: int, expected: list, loss: str) -> None:
    """Integers are classes where they can be; beside several outputs a single number can only be a label."""
    targets, found = meant(np.array(y), n_outputs)
    assert (targets.tolist(), found) == (expected, loss)
    assert loss == "mse" or targets.dtype == np.int64


def test_bad_arguments_are_named() -> None:
    d = make([4, 6, 3], n_samples=10)
    pruned = pruned_at_random(d, 0.5)
    other = make([4, 5, 3]).mlp
    for call, message in [
        (lambda: pruned.summary(d.mlp), "x: expected it beside dense"),
        (lambda: pruned.summary(x=d.x), "dense: expected it beside x"),
        (lambda: pruned.summary(other, d.x), "dense: expected a network with sizes and activations"),
        (lambda: pruned.summary(d.mlp, d.x[:, :3]), r"x: expected shape \(N, 4\), got \(10, 3\)"),
        (lambda: pruned.summary(d.mlp, ec.Batch(d.x, y=d.labels[:5])), r"y: expected shape \(10,\), got \(5,\)"),
        (lambda: pruned.summary(d.mlp, [d.x, ec.Batch(d.x, y=d.labels)]), "y: .* all batches .* 1 of 2"),
        (lambda: pruned.summary(d.mlp, ec.Batch(d.x, y=["a"] * 10)), "y: expected labels or targets that are numbers"),
        (lambda: pruned.summary(d.mlp, ec.Batch(d.x, y=1)), r"y: .* int64 of shape \(\)"),
    ]:
        with pytest.raises((TypeError, ValueError), match=f"^{message}"):
            call()


@given(networks(max_width=9), FRACTIONS)
def test_it_is_printed_in_80_columns(d: Drawn, fraction: float) -> None:
    text = str(pruned_at_random(d, fraction).summary(d.mlp, ec.Batch(d.x)))
    assert max(map(len, text.splitlines())) <= 80


def test_large_networks_are_printed_in_80_columns_too() -> None:
    weights, sizes = np.array([16_777_216, 4_096_000]), np.array([4096, 4096, 1000])
    summary = ec.Summary(weights, weights, sizes, sizes, weights, 80_000_000, 83_504_096)
    assert max(map(len, str(summary).splitlines())) <= 80


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, ""), (0.0, "0"), (0.22314, "0.2231"), (1.5e-3, "1.50e-03"), (-2.0, "-2.0000"), (123456.0, "1.23e+05")],
)
def test_numbers_are_short(value: float | None, text: str) -> None:
    assert _text.short(value) == text


@pytest.mark.parametrize(
    ("n_bytes", "text"), [(7, "7 bytes"), (41_234, "41.2 kB"), (203_000, "203 kB"), (12_345_678, "12.3 MB")]
)
def test_sizes_are_in_the_unit_that_fits(n_bytes: int, text: str) -> None:
    assert _text.size(n_bytes) == text
