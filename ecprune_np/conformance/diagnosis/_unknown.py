"""What is said where no mistake is known: what was ruled out, and the simplest failing case to look at."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from .._case import Case
from ..catalogue import catalogue_of
from ._answers import Answer
from ._finding import Finding, plural
from ._where import single_layer


def unknown(right: Sequence[Answer], left: Sequence[Answer], wrong: Sequence[Answer]) -> Finding:
    """No known mistake; which answers are open, what is ruled out, and where it shows already."""
    names = tuple(dict.fromkeys(a.case.name for a in left))
    what = [q for q in left[0].case.quantities if any(a.quantity == q for a in left)]
    which = "importances and shifts" if what == ["importance", "bias_shift"] else " and ".join(map(plural, what))
    of_formulas = left[0].case.kind != "pruner"
    where = single_layer(right, [a for a in left if a.comparable]) if of_formulas else ""
    n_mistakes = len(catalogue_of(left[0].case.kind, any(a.case.names_of_options for a in left)))
    pairs = "pairs of them, " if left[0].case.kind == "ec" else ""
    sentence = (
        f"No known mistake explains the wrong {which} of {len(names)} failing case{'s' * (len(names) != 1)}: "
        f"{n_mistakes} mistakes, {pairs}constant factors, other orders of the entries and fewer digits are "
        f"ruled out. {where}"
    )
    failing = len({a.case.name for a in wrong})
    return Finding("unknown", sentence.rstrip(), wrong=failing, cases=names)


def simplest_of(cases: Iterable[Case]) -> Case:
    """The smallest network with the fewest samples, but for those that are special."""
    return min(cases, key=lambda c: (c.ill_conditioned, len(c.weights), c.mlp.n_weights * len(c.x)))


def reproduction(case: Case, candidate: str) -> str:
    """Ten lines of Python that print what the formulas are made of on a case, to be held beside the candidate's own."""
    module, _, function = candidate.partition(":")
    if case.kind != "ec" or case.names_of_options:
        return _beside(case, module, function or "candidate")
    K, N = len(case.biases[-1]), len(case.x)
    return f"""import numpy as np, ecprune_np as ec
from {module} import {function or "candidate"} as candidate
case = {{c.name: c for c in ec.conformance.cases()}}["{case.name}"]
trace = ec.forward(case.mlp, case.x)
one = np.repeat(np.eye({K})[:, None], {N}, axis=1)  # one output each
for l, J in enumerate(ec.pullback(case.mlp, trace, one)):
    print(l, "a", trace.inputs[l][0], "z", trace.preactivations[l][0])
    print("  s", (J**2).sum(0)[0], "I", case.reference.importance[l][0])
importance, bias_shift = candidate(*case.inputs())
print("yours", *[(I[0], d[0]) for I, d in zip(importance, bias_shift)])"""


def _beside(case: Case, module: str, function: str) -> str:
    """What is right beside what came, where the formulas are others than EC's."""
    told = [repr(case.kind), *([f"{list(case.names_of_options)}"] if case.names_of_options else [])]
    return f"""import ecprune_np as ec
from {module} import {function} as candidate
found = ec.conformance.cases({", ".join(told)})
case = {{c.name: c for c in found}}["{case.name}"]
print(case.options())
for quantity in case.quantities:
    print("right", quantity, *getattr(case.reference, quantity))
print("yours", *candidate(*case.inputs(), **case.options()))"""
