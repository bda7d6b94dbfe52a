"""What came beside what is right: the answers, and how far arrays are apart."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache, cached_property

import numpy as np

from ..._types import Array
from .._case import Case, Layers
from .._outcome import SKIPPED, TOLERANCES, Result
from ..catalogue._mistake import Mistake, predicted, wrong_numbers

DOUBLE, SINGLE = TOLERANCES[np.dtype(np.float64)], TOLERANCES[np.dtype(np.float32)]
MATCH = 3  # tolerances within which an answer is a mistake's, and beyond which a mistake contradicts a right answer
INFORMATIVE = 1e-6  # importances that are all smaller, relative to R, say nothing about a factor
COMPARED = 2000  # importances of which each is compared with each, some of them where there are more
TIE = 1e-5  # importances that are closer, relative to R, have no order


@dataclass(frozen=True, eq=False)
class Answer:
    """One quantity of one case: what came (values empty where nothing did), what is right, and whether it was."""

    result: Result
    quantity: str
    values: Layers
    wrong: bool
    tolerance: float

    @property
    def case(self) -> Case:
        return self.result.case

    @property
    def reference(self) -> Layers:
        return self.case.reference.of(self.quantity)[0]

    @property
    def scale(self) -> Layers:
        return self.case.reference.of(self.quantity)[1]

    @cached_property
    def which(self) -> int:
        """Which of the case's quantities it is."""
        return self.case.quantities.index(self.quantity)

    @cached_property
    def comparable(self) -> bool:
        """Whether the values have the right shapes."""
        return [v.shape for v in self.values] == [r.shape for r in self.reference]

    @cached_property
    def entries(self) -> Array:
        """All values, in float64; only where they are comparable."""
        return flat(self.values)

    @property
    def right(self) -> Array:
        """All that is right, as `entries`."""
        return right_of(self.case, self.quantity)[0]

    @property
    def scales(self) -> Array:
        """The scales, as `entries`."""
        return right_of(self.case, self.quantity)[1]

    @cached_property
    def largest(self) -> tuple[int, float, float]:
        """Where the scale is the largest, what came there, and the scale."""
        e = int(np.argmax(self.scales))
        return e, float(self.entries[e]), float(self.scales[e])

    @property
    def informative(self) -> bool:
        """Whether a factor and a ranking mean anything: several weights, and importances that are not all free."""
        return len(self.right) > 1 and ratio(self.right, self.right, self.scales) is not None

    @cached_property
    def wrong_layers(self) -> frozenset[int]:
        """The layers with a wrong entry."""
        layers = enumerate(zip(self.values, self.reference, self.scale))
        return frozenset(l for l, (v, r, s) in layers if apart(v, r, s) > self.tolerance)

    def predicted(self, mistake: Mistake) -> Array:
        """What an implementation with a mistake answers."""
        return predicted(mistake, self.case)[self.which]

    def shows(self, mistake: Mistake, tolerances: float = 1) -> bool:
        """Whether the mistake makes a difference here."""
        return apart(self.predicted(mistake), self.right, self.scales) > tolerances * self.tolerance

    def agrees_with(self, mistake: Mistake) -> bool:
        """Whether what came is the mistake's answer, and not the right one; most are told by one entry."""
        expected, (e, entry, scale) = self.predicted(mistake), self.largest
        there = float(expected[e])
        far = abs(entry - there) > MATCH * self.tolerance * max(scale, abs(there))
        near = not far and apart(self.entries, expected, self.scales) <= MATCH * self.tolerance
        return near and self.shows(mistake)


@cache
def right_of(case: Case, quantity: str) -> tuple[Array, Array]:
    """All that is right of a quantity, and its scales."""
    reference, scale = case.reference.of(quantity)
    return flat(reference), flat(scale)


def answers_of(results: Iterable[Result]) -> list[Answer]:
    """Every quantity of every case that was neither skipped nor left out, as an answer."""
    results = [r for r in results if r.status != SKIPPED]
    given = [v for r in results for v in r.outcome.arrays]
    tolerance = SINGLE if given and all(is_single(v) for v in given) else DOUBLE
    answers = []
    for r in results:
        excess = {entry.quantity: entry.excess for entry in r.worst}
        for quantity in r.case.quantities:
            if quantity in r.outcome.not_given:
                continue
            values = getattr(r.outcome, quantity)
            own = SINGLE if any(v.dtype == np.float32 for v in values) else tolerance
            answers.append(Answer(r, quantity, values, excess.get(quantity, np.inf) > 1, own))
    return answers


def apart(values: Array, others: Array, scales: Array | float) -> float:
    """The largest |value − other| / max(scale, |other|); NaN in the same places is the same."""
    with wrong_numbers():
        error = np.abs(values - others) / np.maximum(scales, np.abs(others))
        largest = float(error.max())
        if largest == largest:  # as almost always: no NaN, also where equal numbers have no scale
            return largest
        same = (values == others) | (np.isnan(values) & np.isnan(others))
    return float(np.where(same, 0, np.where(np.isnan(error), np.inf, error)).max())


def flat(layers: Layers) -> Array:
    """The entries of all layers, in float64."""
    return np.concatenate([np.asarray(v, np.float64).ravel() for v in layers])


def ratio(values: Array, right: Array, scales: Array) -> float | None:
    """value / right where the right one is the largest beside its scale; None where it is nowhere large."""
    share = np.divide(np.abs(right), scales, out=np.zeros_like(right), where=scales > 0)
    e = int(np.argmax(share))
    v = float(values[e])
    return v / float(right[e]) if share[e] > INFORMATIVE and np.isfinite(v) else None


def is_single(value: Array) -> bool:
    """Whether all values are exact float32 numbers."""
    with wrong_numbers():
        return bool(np.array_equal(value, value.astype(np.float32), equal_nan=True))


def ranking_of(pairs: Iterable[tuple[Case, Layers]]) -> str:
    """Whether the order of all weights of a network is right ("network"), that in each layer ("layer"), or "lost"."""
    survives = "network"
    for case, importance in pairs:
        reference = case.reference
        layers = list(zip(importance, reference.importance, reference.importance_scale))
        if any(_inverted(*layer) for layer in layers):
            return "lost"
        if _inverted(*(np.concatenate([a.ravel() for a in arrays]) for arrays in zip(*layers))):
            survives = "layer"
    return survives


def _inverted(value: Array, reference: Array, scale: Array) -> bool:
    """Whether some pair that is clearly ordered in the reference is tied, or ordered otherwise."""
    step = -(-value.size // COMPARED)
    v, r, s = value.ravel()[::step], reference.ravel()[::step], scale.ravel()[::step]
    if not np.isfinite(v).all():
        return True
    above = r[:, np.newaxis] - r > TIE * (s[:, np.newaxis] + s)
    return bool((above & (v[:, np.newaxis] <= v)).any())
