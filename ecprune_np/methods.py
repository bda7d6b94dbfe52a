"""Ways to prune, by name: RANKING[-METRIC][-iterative][+COMPENSATION], as "wanda" or "ec-fisher-iterative+row"."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import get_args

from . import criteria, oracle
from ._types import Compensation, LossName, Masks, Metric, MetricName, Scope
from .batch import Batch
from .criteria.surgeon import obc_update, obs_update
from .losses import LOSSES
from .mlp import MLP
from .pruning import Pruned, prune_iteratively
from .pruning.iterative import Criterion
from .pruning.one_shot import AIM_AT_TARGET, NEED_SAMPLES
from .pruning.pruned import all_kept
from .scores import Scores, elimination_compensation

Update = Callable[[MLP, Batch, Masks, Metric], Pruned]
Then = Callable[[Pruned], Pruned]


@dataclass(frozen=True)
class Data:
    """What rankings look at, each at what it needs."""

    batch: Batch
    loss: LossName | None
    seed: int


@dataclass(frozen=True)
class Ranking:
    """What ranks the weights, and what answers for those that go where a name says no compensation."""

    scores: Callable[[MLP, Data, Metric], Scores]
    answer: Compensation | Update | None = None
    in_metric: bool = False  # whether it measures a change in a metric


def _gradient_magnitude(mlp: MLP, data: Data) -> Scores:
    if data.loss is None:
        raise ValueError("gradient-magnitude: needs targets, and there are none")
    return criteria.gradient_magnitude(mlp, data.batch.x, data.batch.y, data.loss)


RANKINGS = {
    "random": Ranking(lambda mlp, data, _: criteria.random(mlp, data.seed)),
    "magnitude": Ranking(lambda mlp, data, _: criteria.magnitude(mlp)),
    "gradient-magnitude": Ranking(lambda mlp, data, _: _gradient_magnitude(mlp, data)),
    "wanda": Ranking(lambda mlp, data, _: criteria.wanda(mlp, data.batch)),
    "obd": Ranking(lambda mlp, data, metric: criteria.obd(mlp, data.batch, metric), None, True),
    "obc": Ranking(lambda mlp, data, metric: criteria.obc(mlp, data.batch, metric), obc_update, True),
    "obs": Ranking(lambda mlp, data, metric: criteria.obs(mlp, data.batch, metric), obs_update, True),
    "ec": Ranking(lambda mlp, data, metric: elimination_compensation(mlp, data.batch, metric), "independent", True),
    "nonlinear": Ranking(lambda mlp, data, metric: oracle.nonlinear(mlp, data.batch, metric), "independent", True),
}
COMPENSATIONS: dict[str, Compensation | None] = {
    "none": None,
    "shift": "independent",  # of a ranking that has no shifts of its own: EC's
    **{name: name for name in get_args(Compensation)},
}
ALSO = {"ec-unshifted": "ec+none"}  # what a method is called beside its name
NEED_SHIFTS = ("independent", "guarded", "refit")
GRAMMAR = "RANKING[-METRIC][-iterative][+COMPENSATION]"


@dataclass(frozen=True)
class Method:
    """A way to prune: what its name says."""

    ranking: str
    metric: MetricName | None = None  # None: "output", and nothing is said
    iterative: bool = False
    compensation: Compensation | Update | None = None

    def __str__(self) -> str:
        """Its name, without what goes without saying."""
        name = self.ranking + (f"-{self.metric}" if self.metric else "") + ("-iterative" if self.iterative else "")
        if self.compensation == RANKINGS[self.ranking].answer:
            return name
        return f"{name}+{self.compensation or 'none'}"

    @property
    def needs_targets(self) -> bool:
        """Whether it looks at the samples' targets."""
        return self.ranking == "gradient-magnitude" or self.metric in LOSSES


def method(name: str) -> Method:
    """The method of this name; raises ValueError that says what names there are."""
    base, plus, answer = ALSO.get(name, name).partition("+")
    rest, iterative = base.removesuffix("-iterative"), base.endswith("-iterative")
    metric = next((m for m in get_args(MetricName) if rest.endswith(f"-{m}") and rest not in RANKINGS), None)
    ranking = rest.removesuffix(f"-{metric}")
    if ranking not in RANKINGS or (plus and answer not in COMPENSATIONS):
        raise ValueError(
            f"method: expected {GRAMMAR} with a ranking of {', '.join(RANKINGS)}, a metric of "
            f"{', '.join(get_args(MetricName))}, a compensation of {', '.join(COMPENSATIONS)}; got {name!r}"
        )
    compensation = COMPENSATIONS[answer] if plus else RANKINGS[ranking].answer
    if metric is not None and compensation is None and not RANKINGS[ranking].in_metric:
        raise ValueError(f"method: {name!r} measures nothing in a metric; expected none after {ranking!r}")
    return Method(ranking, metric, iterative, compensation)


def pruner(
    name: str | Method,
    network: MLP | Pruned,
    data: Data,
    *,
    steps: int = 20,
    scope: Scope = "global",
    target: MLP | None = None,
) -> Callable[..., Pruned]:
    """What a method makes of a network: `prune_iteratively` of a sparsity alone, and of `then` and `callback`.

    It takes `steps` bites where the method iterates; else the weights are ranked here, once for all sparsities.
    """
    way = method(name) if isinstance(name, str) else name
    start = network if isinstance(network, Pruned) else Pruned(network, all_kept(network))
    metric: Metric = way.metric or "output"
    criterion = _criterion(way, data, metric)
    if not way.iterative:
        scores = criterion(start.mlp, data.batch)
        steps, criterion = 1, lambda *_: scores
    in_bites = partial(prune_iteratively, start, data.batch, steps=steps, scope=scope)
    answer = way.compensation
    if callable(answer):

        def in_updated_bites(
            sparsity: float, *, then: Then | None = None, callback: Callable[[int, Pruned], None] | None = None
        ) -> Pruned:
            update = _answering(answer, start.mlp, data.batch, metric, then)
            return in_bites(sparsity, criterion=criterion, compensation=None, then=update, callback=callback)

        return in_updated_bites
    if way.iterative and way.ranking == "ec":  # whose own way leaves out what reaches no output
        in_bites = partial(in_bites, metric=metric)
    else:
        in_bites = partial(in_bites, criterion=criterion, metric=metric if answer in NEED_SAMPLES else None)
    return partial(in_bites, compensation=answer, target=target if answer in AIM_AT_TARGET else None)


def _answering(update: Update, mlp: MLP, batch: Batch, metric: Metric, then: Then | None) -> Then:
    """What is done after each bite where the surgeon's update answers for it, of the network as it was before."""
    before = [mlp]

    def answered(bite: Pruned) -> Pruned:
        pruned = update(before[0], batch, bite.masks, metric)
        if then is not None:
            pruned = then(pruned)
        before[0] = pruned.mlp
        return pruned

    return answered


def _criterion(way: Method, data: Data, metric: Metric) -> Criterion:
    """The ranking as a function of the network alone; with EC's shifts, where it has none and they are needed."""
    ranking = RANKINGS[way.ranking]

    def scores(mlp: MLP, _: Batch) -> Scores:
        ranked = ranking.scores(mlp, data, metric)
        if way.compensation not in NEED_SHIFTS or ranking.answer == "independent":
            return ranked
        return Scores(ranked.importance, elimination_compensation(mlp, data.batch, metric).bias_shift)

    return scores
