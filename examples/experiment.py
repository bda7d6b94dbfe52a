"""One network of an experiment: trained, pruned by each method, trained again; a row for each stage."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import astuple, replace
from functools import partial
from typing import Any

import numpy as np
from rows import STAGES, Case, Results, Row, Settings

import ecprune_np as ec
from ecprune_np.data import Dataset
from ecprune_np.methods import Data
from ecprune_np.methods import pruner as pruner_of

GRADUAL = "ec-gradual"  # EC, trained after every bite


def train(case: Case, data: Dataset, settings: Settings) -> ec.MLP:
    """The dense network of a case, trained by Adam; its seed decides the initial weights and the batches."""
    mlp = ec.MLP.initialize(case.sizes, case.activation, seed=case.seed, dtype=np.dtype(settings.dtype))
    return ec.train(
        mlp,
        data.x_train,
        data.y_train,
        settings.loss,
        epochs=settings.epochs,
        batch_size=settings.batch_size,
        learning_rate=settings.learning_rate,
        seed=case.seed,
    )


def fine_tune(pruned: ec.Pruned, case: Case, data: Dataset, settings: Settings) -> ec.Pruned:
    """The pruned network after training again; what is removed stays removed."""
    adam = {"batch_size": settings.batch_size, "learning_rate": settings.fine_tune_learning_rate, "seed": case.seed}
    mlp = ec.train(
        pruned.mlp,
        data.x_train,
        data.y_train,
        settings.loss,
        optimizer=settings.fine_tune_optimizer,
        epochs=settings.fine_tune_epochs,
        masks=pruned.masks,
        **(adam if settings.fine_tune_optimizer == "adam" else {}),  # L-BFGS takes all samples, and its own steps
    )
    return ec.Pruned(mlp, pruned.masks)


def pruner(method: str, mlp: ec.MLP, case: Case, data: Dataset, settings: Settings) -> Callable[..., ec.Pruned]:
    """What takes a sparsity to the network of a method; one-shot methods score the weights once."""
    if method == "dense":
        return lambda _: unpruned(mlp)
    if method == "small-dense":
        return lambda sparsity: unpruned(train(as_small_as(case, sparsity), data, settings))
    if method == GRADUAL:
        in_bites = pruner("ec-iterative", mlp, case, data, settings)
        return partial(in_bites, then=lambda bite: fine_tune(bite, case, data, settings))
    x, y = data.x_train[: settings.n_scored], data.y_train[: settings.n_scored]
    return pruner_of(method, mlp, Data(ec.Batch(x, y=y), settings.loss, case.seed), steps=settings.steps)


def unpruned(mlp: ec.MLP) -> ec.Pruned:
    """A network of which nothing is gone."""
    return ec.prune(mlp, ec.criteria.magnitude(mlp), 0.0)


def as_small_as(case: Case, sparsity: float) -> Case:
    """The dense network with as many parameters as are left of another one that is pruned, or as nearly as may be.

    All hidden layers shrink by one factor; what is left of the larger network are its biases too.
    """
    widths = np.array(case.sizes)
    factors = np.linspace(0, 1, 4001)[:, np.newaxis]
    hidden = np.maximum(np.round(factors * widths[1:-1]), 1)
    shrunk = np.column_stack([np.full_like(factors, widths[0]), hidden, np.full_like(factors, widths[-1])])
    left = (1 - sparsity) * (widths[:-1] * widths[1:]).sum() + widths[1:].sum()
    parameters = (shrunk[:, :-1] * shrunk[:, 1:] + shrunk[:, 1:]).sum(axis=1)
    nearest = shrunk[np.abs(parameters - left).argmin()]
    return replace(case, architecture="-".join(f"{n:.0f}" for n in nearest))


def run_case(case: Case, data: Dataset, settings: Settings, results: Results) -> None:
    """Train, prune and fine-tune one network, and append each row that the file does not have yet.

    `dense` has rows too; its second stage is as much training again as the pruned networks get.
    """
    done = {row.key for row in results.rows()}
    missing = [key for key in keys(case, settings) if key not in done]
    if not missing:
        return
    mlp = train(case, data, settings)
    for method in dict.fromkeys(key[4] for key in missing):
        prune = pruner(method, mlp, case, data, settings)
        for sparsity in dict.fromkeys(key[5] for key in missing if key[4] == method):
            wanted = [key for key in missing if key[4:6] == (method, sparsity)]
            pruned = prune(sparsity)
            networks = {"pruned": pruned.mlp}
            if any(key[6] == "fine-tuned" for key in wanted):
                networks["fine-tuned"] = fine_tune(pruned, case, data, settings).mlp
            results.append(Row(*key, *test(networks[key[6]], data, settings.loss)) for key in wanted)


def keys(case: Case, settings: Settings) -> list[tuple[Any, ...]]:
    """The keys of all rows of a case."""
    pairs = [("dense", 0.0), *((m, s) for m in settings.methods for s in settings.sparsities)]
    return [(*astuple(case), *pair, stage) for pair in pairs for stage in STAGES]


def test(mlp: ec.MLP, data: Dataset, loss: str) -> tuple[float, float | None]:
    """Test loss, and the accuracy where there are classes."""
    hits = ec.accuracy(mlp, ec.Batch(data.x_test, y=data.y_test)) if loss == "cross_entropy" else None
    return ec.mean_loss(mlp, data.x_test, data.y_test, loss), hits
