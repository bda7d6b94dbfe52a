"""One mistake: the stage of the computation that it spoils, and what it says."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from ..._types import Array
from .._case import Case, Layers
from ._parts import Pair, Pairs, Parts, parts_of, scores


def unchanged(p: Parts) -> Parts:
    """Right passes."""
    return p


def untouched(pairs: Pairs, p: Parts) -> Pairs:
    """Results as the formulas gave them."""
    return pairs


@dataclass(frozen=True, eq=False, repr=False)
class Mistake:
    """One mistake that implementations make, at one of three stages.

    Attributes
    ----------
    id : str
        Its name.
    sentence : str
        What is done wrong.
    equation : str
        The label of the equation that it violates.
    passes : callable
        What the forward and the backward pass give, from what the right ones give.
    formula : callable
        Importances and shifts, a pair a layer, of what the passes gave.
    after : callable
        What is done to the importances and shifts in the end.
    activation : str
        The only activation whose networks have it, or "".

    Examples
    --------
    >>> len({mistake.id for mistake in ec.conformance.MISTAKES}) == len(ec.conformance.MISTAKES)
    True
    """

    id: str
    sentence: str
    equation: str
    passes: Callable[[Parts], Parts] = field(default_factory=lambda: unchanged)
    formula: Callable[[Parts], Pairs] = field(default_factory=lambda: scores)
    after: Callable[[Pairs, Parts], Pairs] = field(default_factory=lambda: untouched)
    activation: str = ""

    def __repr__(self) -> str:
        return f"Mistake({self.id}, {self.equation})"

    @cached_property
    def _kept(self) -> dict[Case, Pair]:
        """What `predicted` found so far."""
        return {}

    def values(self, parts: Parts) -> Pairs:
        """The wrong importances and shifts, a pair a layer, from what the formulas are made of.

        Parameters
        ----------
        parts : Parts
            Of a case: weights, inputs, Jacobians, sensitivities.

        Returns
        -------
        list of (importance, bias_shift)
            One a layer.

        Examples
        --------
        >>> callable(ec.conformance.MISTAKES[0].values)
        True
        """
        p = self.passes(parts)
        return self.after(self.formula(p), p)


def changed(
    importance: Callable[[Array, Parts], Array] | None = None, shift: Callable[[Array, Parts], Array] | None = None
) -> Callable[[Pairs, Parts], Pairs]:
    """Something done to the importances of each layer, or to the shifts."""

    def after(pairs: Pairs, p: Parts) -> Pairs:
        return [(importance(I, p) if importance else I, shift(d, p) if shift else d) for I, d in pairs]

    return after


def with_shift(shift: Callable[[Array, Array, Array], Array]) -> Callable[[Pairs, Parts], Pairs]:
    """Another shift of (w, s, a) beside importances as they are."""
    return lambda pairs, p: [(I, shift(w, s, a)) for (I, _), w, s, a in zip(pairs, p.w, p.s, p.a)]


def both(first: Mistake, second: Mistake) -> Mistake | None:
    """The two mistakes at once, the first one first; None where both are a formula's."""
    if first.formula is not scores and second.formula is not scores:
        return None
    if first.activation != second.activation and first.activation and second.activation:
        return None
    return Mistake(
        f"{first.id}+{second.id}",
        f"Two mistakes at once: (1) {first.sentence} (2) {second.sentence}",
        first.equation if first.equation == second.equation else f"{first.equation}, {second.equation}",
        lambda p: second.passes(first.passes(p)),
        second.formula if first.formula is scores else first.formula,
        lambda pairs, p: second.after(first.after(pairs, p), p),
    )


def predicted(mistake: Mistake, case: Case) -> Pair:
    """All importances, and all bias shifts, that an implementation with this mistake returns: kept with the mistake."""
    kept = mistake._kept
    if case not in kept:
        with wrong_numbers():
            kept[case] = joined(mistake.values(parts_of(case)))
    return kept[case]


def joined(pairs: Pairs) -> Pair:
    """The entries of all layers, importances and shifts."""
    importance, shift = zip(*pairs)
    return np.concatenate([v.ravel() for v in importance]), np.concatenate([v.ravel() for v in shift])


def wrong_values(mistake: Mistake, case: Case) -> tuple[Layers, ...]:
    """What an implementation with this mistake returns of the case's quantities, as importances and bias shifts."""
    pairs = zip(case.quantities, predicted(mistake, case))
    return tuple(layers_of(values, case.reference.of(quantity)[0]) for quantity, values in pairs)


def layers_of(entries: Array, like: Layers) -> Layers:
    """Entries as arrays of the same shapes."""
    ends = np.cumsum([v.size for v in like])[:-1]
    return tuple(part.reshape(v.shape) for part, v in zip(np.split(entries, ends), like))


def wrong_numbers() -> np.errstate:
    """A context without warnings: wrong answers divide by zero and overflow, and that is what shows them."""
    return np.errstate(all="ignore")
