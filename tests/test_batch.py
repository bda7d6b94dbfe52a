"""One data argument: whatever x is handed in as, every function that takes samples gives the same numbers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from networks import METRICS, batch, make

import ecprune_np as ec

D = make([3, 4, 3], ["silu"], n_samples=40)
MLP = D.mlp
SMALL = ec.MLP.initialize([3, 1, 3], "silu", seed=0)  # for what takes long
SMALL_PRUNED = ec.prune(SMALL, ec.criteria.magnitude(SMALL), 0.4)
SCORES = ec.elimination_compensation(MLP, D.x)
MOMENTS = ec.collect_moments(MLP, D.x)
MASKS = ec.prune(MLP, SCORES, 0.4).masks
PRUNED = ec.Pruned(MLP.replace([np.where(m, w, 0) for m, w in zip(MASKS, MLP.weights)], MLP.biases), MASKS)
LABELLED, UNTARGETED = "accuracy", "criteria.wanda"  # they need labels, and none, whatever the metric


def score_arrays(scores: ec.Scores) -> list[np.ndarray]:
    return [*scores.importance, *scores.bias_shift]


def network_arrays(pruned: ec.Pruned) -> list[np.ndarray]:
    return [*pruned.mlp.weights, *pruned.mlp.biases, *pruned.masks]


def refitted(x: Any, metric: Any, compensate: Callable[[Any, Any], ec.Pruned]) -> list[Any]:
    """What the search has reached: the place, where there is a valley, is rounding."""
    pruned = compensate(x, metric)
    return [ec.oracle.true_change(pruned.mlp, MLP, x, metric), *pruned.masks]


def pruned_with(compensation: str) -> Callable[[Any, Any], ec.Pruned]:
    return lambda x, metric: ec.prune(MLP, SCORES, 0.4, compensation=compensation, x=x, metric=metric)


def moment_arrays(x: Any, metric: Any) -> list[Any]:
    moments = ec.collect_moments(MLP, x, metric)
    return [*moments.sensitivity, *moments.mean, *moments.variance, moments.n_samples, moments.total_weight]


def linearization_arrays(x: Any, metric: Any) -> list[Any]:
    error = ec.linearization_error(MLP, x, SCORES, [(0, 1, 2), (1, 2, 0)], metric=metric)
    return [error.predicted, error.true, error.ratio, error.remainder]


ONCE: dict[str, Callable[[Any, Any], list[Any]]] = {  # functions (x, metric) that read x once
    "collect_moments": moment_arrays,
    "elimination_compensation": lambda x, m: score_arrays(ec.elimination_compensation(MLP, x, m)),
    "criteria.obd": lambda x, m: score_arrays(ec.criteria.obd(MLP, x, m)),
    "criteria.wanda": lambda x, m: score_arrays(ec.criteria.wanda(MLP, x)),
    "criteria.obc": lambda x, m: score_arrays(ec.criteria.obc(MLP, x, m)),
    "criteria.obs": lambda x, m: score_arrays(ec.criteria.obs(MLP, x, m)),
    "obc_update": lambda x, m: network_arrays(ec.obc_update(MLP, x, MASKS, m)),
    "obs_update": lambda x, m: network_arrays(ec.obs_update(MLP, x, MASKS, m)),
    "joint_shifts": lambda x, m: list(ec.joint_shifts(MLP, x, MASKS, m)),
    "prune joint": lambda x, m: network_arrays(pruned_with("joint")(x, m)),
    "accuracy": lambda x, m: [ec.accuracy(MLP, x)],
    "linearization_error": linearization_arrays,
    "standard_errors": lambda x, m: score_arrays(ec.standard_errors(MLP, x, m)),
    "oracle.loops": lambda x, m: score_arrays(ec.oracle.loops(MLP, x, m)),
    "oracle.complex_step": lambda x, m: score_arrays(ec.oracle.complex_step(MLP, x, m)),
    "oracle.finite_differences": lambda x, m: score_arrays(ec.oracle.finite_differences(MLP, x, m)),
    "oracle.nonlinear": lambda x, m: score_arrays(ec.oracle.nonlinear(MLP, x, m)),
    "oracle.certify": lambda x, m: list(ec.oracle.certify(MLP.astype(np.float32), x, m).importance_bound),
    "oracle.certify_pruned": lambda x, m: list(
        ec.oracle.certify_pruned(SMALL_PRUNED, SMALL, x, "joint", m).shift_bound
    ),
    "oracle.certify_refit": lambda x, m: list(ec.oracle.certify_refit(SMALL_PRUNED, SMALL, x, m).gradient),
    "oracle.certify_nonlinear": lambda x, m: list(
        ec.oracle.certify_nonlinear(ec.Scores([np.zeros(s) for s in SMALL.shapes]), SMALL, x, m).floor
    ),
    "oracle.true_change": lambda x, m: [ec.oracle.true_change(PRUNED.mlp, MLP, x, m)],
}
AGAIN: dict[str, Callable[[Any, Any], list[Any]]] = {  # those that read it more than once
    "prune_iteratively": lambda x, m: network_arrays(ec.prune_iteratively(MLP, x, 0.5, steps=3, metric=m)),
    "prune guarded": lambda x, m: network_arrays(pruned_with("guarded")(x, m)),
    "prune row": lambda x, m: network_arrays(pruned_with("row")(x, m)),
    "prune refit": lambda x, m: refitted(x, m, pruned_with("refit")),
    "oracle.refit_biases": lambda x, m: refitted(x, m, lambda x, m: ec.oracle.refit_biases(PRUNED, MLP, x, m)),
}
FUNCTIONS = ONCE | AGAIN


def parts(whole: ec.Batch) -> list[ec.Batch]:
    """Batches of different lengths."""
    cuts = [slice(0, 7), slice(7, 8), slice(8, 31), slice(31, None)]
    cut = [[None if a is None else a[rows] for a in (whole.x, whole.sample_weight, whole.y)] for rows in cuts]
    return [ec.Batch(*columns) for columns in cut]


class Loader:
    """As the loaders of other frameworks are: no iterator, but something to be iterated anew; `len` counts batches."""

    def __init__(self, batches: Iterable[Any]) -> None:
        self.batches = list(batches)

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[Any]:
        yield from self.batches


def memmap(whole: ec.Batch, folder: Path) -> np.ndarray:
    whole.x.tofile(folder / "x.bin")
    return np.memmap(folder / "x.bin", whole.x.dtype, "r", shape=whole.x.shape)


# what x is handed in as, from a batch that has: nothing else, weights and targets, or targets
PLAIN: dict[str, Callable[[ec.Batch, Path], Any]] = {
    "an array": lambda b, _: b.x,
    "nested lists": lambda b, _: b.x.tolist(),
    "an array in Fortran's order": lambda b, _: np.asfortranarray(b.x),
    "a memory map": memmap,
    "a batch of a memory map": lambda b, folder: ec.Batch(memmap(b, folder)),
    "a batch of nested lists": lambda b, _: ec.Batch(b.x.tolist()),
    "a list of arrays": lambda b, _: [part.x for part in parts(b)],
    "a loader of arrays": lambda b, _: Loader(part.x for part in parts(b)),
}
WITH_EVERYTHING: dict[str, Callable[[ec.Batch, Path], Any]] = {
    "a batch": lambda b, _: ec.Batch(b.x, b.sample_weight, b.y),
    "a batch of lists": lambda b, _: ec.Batch(b.x.tolist(), b.sample_weight.tolist(), b.y.tolist()),
    "a list of batches": lambda b, _: parts(b),
    "a list of one batch": lambda b, _: [b],
    "a loader of batches": lambda b, _: Loader(parts(b)),
}
WITH_TARGETS: dict[str, Callable[[ec.Batch, Path], Any]] = {
    "a list of pairs": lambda b, _: [(part.x, part.y) for part in parts(b)],
    "a loader of pairs in lists": lambda b, _: Loader([part.x, part.y] for part in parts(b)),
}
STREAMS: dict[str, Callable[[Any], Any]] = {  # of batches, used up when they have been read
    "an iterator": iter,
    "a generator": lambda batches: (part for part in batches),
    "a map": lambda batches: map(lambda part: part, batches),
}


def handed_in(whole: ec.Batch, folder: Path, once: bool) -> Iterator[tuple[str, Any, ec.Batch, str]]:
    """All ways to hand in what is in a batch: in words, x, the batch that it is, and a metric that can be computed."""
    plain, labelled = ec.Batch(whole.x), ec.Batch(whole.x, y=whole.y)
    for forms, is_the_batch, metric in (
        (PLAIN, plain, "fisher"),
        (WITH_EVERYTHING, whole, "cross_entropy"),
        (WITH_TARGETS, labelled, "cross_entropy"),
    ):
        for words, form in forms.items():
            x = form(is_the_batch, folder)
            yield words, x, is_the_batch, metric
            if once and words.startswith(("a list of", "a loader of")):
                for stream, used_up in STREAMS.items():
                    yield f"{stream}, instead of {words}", used_up(form(is_the_batch, folder)), is_the_batch, metric


def differences(values: list[Any], expected: list[Any]) -> float:
    """The largest difference between two lists of arrays, each relative to its largest entry."""
    assert len(values) == len(expected)
    pairs = [(np.asarray(a, float), np.asarray(b, float)) for a, b in zip(values, expected)]
    assert all(a.shape == b.shape for a, b in pairs)
    return max(float(np.abs(a - b).max() / max(np.abs(b).max(), 1e-300)) for a, b in pairs)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_however_samples_are_handed_in_the_numbers_are_the_same(name: str, tmp_path: Path) -> None:
    """EC-7.5: up to rounding."""
    function = FUNCTIONS[name]
    n_forms = 0
    expected: dict[int, list[Any]] = {}  # for each batch
    for words, x, whole, metric in handed_in(batch(D, "cross_entropy"), tmp_path, name in ONCE):
        if name == LABELLED and whole.y is None:
            continue
        if id(whole) not in expected:
            expected[id(whole)] = function(whole, metric)
        error = differences(function(x, metric), expected[id(whole)])
        assert error < 1e-12, (words, error)
        n_forms += 1
    assert n_forms >= 7


@pytest.mark.parametrize("metric", METRICS)
def test_moments_of_pairs_are_those_of_samples_with_targets(metric: str) -> None:
    whole = ec.Batch(D.x, y=D.targets(metric))
    pairs = [(part.x, D.labels[: len(part.x)] if part.y is None else part.y) for part in parts(whole)]
    moments, expected = ec.collect_moments(MLP, iter(pairs), metric), ec.collect_moments(MLP, whole, metric)
    for values, those in ((moments.mean, expected.mean), (moments.variance, expected.variance)):
        assert differences(list(values), list(those)) < 1e-12


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize(
    "given",
    [(D.x, D.labels), (D.x, D.x), (ec.Batch(D.x), ec.Batch(D.x))],
    ids=["samples and labels", "two arrays", "two batches"],
)
def test_a_tuple_is_neither_samples_with_targets_nor_batches(name: str, given: tuple[Any, Any]) -> None:
    with pytest.raises(TypeError) as caught:
        FUNCTIONS[name](given, "cross_entropy")
    assert str(caught.value) == (
        "x: expected an array (N, n_0), an ec.Batch, or an iterator or list of these, got a tuple; "
        "samples with targets are ec.Batch(x, y=y)"
    )


@pytest.mark.parametrize("name", AGAIN)
@pytest.mark.parametrize("stream", STREAMS)
def test_what_is_read_again_is_no_iterator(name: str, stream: str) -> None:
    batches = STREAMS[stream](parts(batch(D, "mse")))
    with pytest.raises(TypeError) as caught:
        AGAIN[name](batches, "mse")
    kind = type(batches).__name__
    assert str(caught.value) == (
        "x: expected what can be read again and again (an array, an ec.Batch, a list of batches, a data loader), "
        f"got {kind}, an iterator that one reading uses up"
    )
    assert len(list(batches)) == 4, "it has been read"


@pytest.mark.parametrize("name", sorted(FUNCTIONS.keys() - {LABELLED}))
@pytest.mark.parametrize("metric", ["output", lambda outputs: outputs[np.newaxis]], ids=["output", "callable"])
def test_targets_that_nobody_needs_are_not_looked_at(name: str, metric: Any) -> None:
    first, second = ec.Batch(D.x[:25], D.sample_weight[:25]), ec.Batch(D.x[25:], D.sample_weight[25:])
    function = FUNCTIONS[name]
    expected = function([first, second], metric)
    for y, others in ((D.labels[:7], None), (["cat"] * 25, np.zeros((15, 9))), (np.full(25, np.nan), D.labels[25:])):
        ignored = [ec.Batch(part.x, part.sample_weight, t) for part, t in ((first, y), (second, others))]
        assert differences(function(ignored, metric), expected) == 0, (y, others)
    whole = batch(D)
    ignored = ec.Batch(whole.x, whole.sample_weight, ["cat"] * 9)
    assert differences(function(ignored, metric), function(whole, metric)) == 0


@pytest.mark.parametrize("name", sorted(FUNCTIONS.keys() - {LABELLED}))
def test_batches_without_weights_count_one_beside_those_with_them(name: str) -> None:
    """EC-1.3."""
    mixed = [ec.Batch(D.x[:25], D.sample_weight[:25]), ec.Batch(D.x[25:]), D.x[:3]]
    whole = ec.Batch(np.concatenate([D.x, D.x[:3]]), np.concatenate([D.sample_weight[:25], np.ones(18)]))
    assert differences(FUNCTIONS[name](mixed, "output"), FUNCTIONS[name](whole, "output")) < 1e-12


# which `n_samples` and the bounds of rounding count all the same; and a search starts from another place
@pytest.mark.parametrize("name", sorted(FUNCTIONS.keys() - {"collect_moments", "oracle.certify", "oracle.nonlinear"}))
def test_a_batch_of_zero_weights_counts_nothing(name: str) -> None:
    """EC-1.3."""
    labelled = batch(D, "cross_entropy")
    silent = ec.Batch(D.x[:5] + 7, np.zeros(5), D.labels[:5])
    for x in ([silent, labelled], [labelled, silent]):
        assert differences(FUNCTIONS[name](x, "cross_entropy"), FUNCTIONS[name](labelled, "cross_entropy")) < 1e-12


class Broken(Loader):
    """It fails when its second batch is read, each time."""

    def __iter__(self) -> Iterator[Any]:
        yield self.batches[0]
        raise OSError("disk gone")


FIRST = ec.Batch(D.x[:5], y=D.labels[:5])
BAD: list[tuple[Any, str]] = [  # what comes as batch 1 where labels are needed
    (ec.Batch(np.where(np.arange(15).reshape(5, 3) == 7, np.nan, D.x[:5]), y=FIRST.y), "x: not finite at [2, 1] (nan)"),
    (ec.Batch(D.x[:5, :2], y=FIRST.y), "x: expected shape (N, 3), got (5, 2)"),
    (ec.Batch(D.x[0], y=FIRST.y), "x: expected shape (N, 3), got (3,)"),
    (ec.Batch(D.x[:0], y=FIRST.y[:0]), "x: expected at least one sample, got shape (0, 3)"),
    (
        ec.Batch(D.x[:5] + 1j, y=FIRST.y),
        "x: expected float32, float64, longdouble or integers, got complex128",
    ),
    (ec.Batch(D.x[:5], np.ones(4), FIRST.y), "sample_weight: expected shape (5,), got (4,)"),
    (ec.Batch(D.x[:5], -np.ones(5), FIRST.y), "sample_weight: expected no negative weight, got -1.0 at [0]"),
    (ec.Batch(D.x[:5], y=FIRST.y[:4]), "y: expected shape (5"),
    (ec.Batch(D.x[:5], y=FIRST.y + 2), "y: expected labels from 0 to 2, got"),
    (ec.Batch(D.x[:5]), "y: "),
    (D.x[:5], "y: "),
    (None, "x: expected "),
    ("samples", "x: expected "),
]


@pytest.mark.parametrize(
    ("name", "bad", "message"),
    [(name, *bad) for name in FUNCTIONS for bad in BAD if name != UNTARGETED or not bad[1].startswith("y:")],
)
def test_the_batch_that_is_bad_is_named(name: str, bad: Any, message: str) -> None:
    with pytest.raises(ec.BatchError) as caught:
        FUNCTIONS[name]([FIRST, bad, FIRST], "cross_entropy")
    assert str(caught.value).startswith(message) and str(caught.value).endswith(", in batch 1")
    assert caught.value.batch == 1


@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_batch_that_does_not_come_is_named(name: str) -> None:
    with pytest.raises(ec.BatchError) as caught:
        FUNCTIONS[name](Broken([FIRST]), "cross_entropy")
    assert str(caught.value) == "OSError: disk gone, in batch 1" and caught.value.batch == 1
    assert isinstance(caught.value.__cause__, OSError)


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("nothing", [[], Loader([])], ids=["a list", "a loader"])
def test_no_batch_at_all_is_an_error(name: str, nothing: Any) -> None:
    with pytest.raises(ValueError, match="x: expected") as caught:
        FUNCTIONS[name](nothing, "cross_entropy")
    assert type(caught.value) is ValueError  # and no batch's number


@pytest.mark.parametrize("name", ONCE)
def test_an_iterator_that_gives_nothing_is_told_alike(name: str) -> None:
    with pytest.raises(ValueError) as caught:
        ONCE[name](iter([]), "cross_entropy")
    assert type(caught.value) is ValueError
    assert str(caught.value) == "x: expected samples, got 0 in all before the iterator ended"


@pytest.mark.parametrize(
    ("name", "bad", "message"),
    [
        (name, bad, message)
        for name in FUNCTIONS
        for bad, message in BAD[1:]  # values are read in their turn
        if bad is not None and (name != UNTARGETED or not message.startswith("y:"))
    ],
)
def test_what_is_no_stream_has_no_number(name: str, bad: Any, message: str) -> None:
    with pytest.raises((TypeError, ValueError)) as caught:
        FUNCTIONS[name](bad, "cross_entropy")
    assert not isinstance(caught.value, ec.BatchError) and str(caught.value).startswith(message)


NO_EFFECT: list[tuple[Callable[[], Any], str, str]] = [
    *(
        (
            lambda function=function, option=option: function(MLP, MOMENTS, **option),
            "batch_size",
            "beside moments, which are collected",
        )
        for function in (ec.elimination_compensation, ec.criteria.obd)
        for option in ({"batch_size": 10}, {"metric": "output", "batch_size": 10})
    ),
    *(
        (
            lambda compensation=compensation, option=option: ec.prune(
                MLP, SCORES, 0.5, compensation=compensation, **option
            ),
            next(iter(option)),
            f"with compensation {compensation!r}",
        )
        for compensation in ("independent", None)
        for option in ({"x": D.x}, {"metric": "output"}, {"x": D.x, "metric": "fisher"})
    ),
    *(
        (
            lambda option=option: ec.train(MLP, D.x, D.labels, "cross_entropy", optimizer="lbfgs", **option),
            next(iter(option)),
            'with optimizer "lbfgs"',
        )
        for option in ({"batch_size": 8}, {"learning_rate": 1e-3}, {"seed": 0})
    ),
    *(
        (
            lambda option=option: ec.linearization_error(MLP, D.x, SCORES, [(0, 0, 0)], **option),
            next(iter(option)),
            "beside weights that are listed",
        )
        for option in ({"n_weights": 100}, {"seed": 0})
    ),
]


@pytest.mark.parametrize(("call", "name", "why"), NO_EFFECT, ids=[f"{name} {why}" for _, name, why in NO_EFFECT])
def test_an_argument_that_nothing_would_come_of_is_an_error(call: Callable[[], Any], name: str, why: str) -> None:
    with pytest.raises(ValueError) as caught:
        call()
    assert str(caught.value).startswith(f"{name}: expected none, for it has no effect {why}; got ")
    assert len(str(caught.value)) < 200, "the argument itself is not printed"
