"""The conformance cases: small networks, each made to tell right implementations from wrong ones.

Inputs and what is right for them are files, made by `examples/make_vectors.py` with exact arithmetic: nothing of what
they judge has a part in them.  A version that was published never changes.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import numpy as np

from .._checks import frozen
from .._frozen import Frozen
from .._types import ActivationName, Array
from ..mlp import MLP

Layers = tuple[Array, ...]

VERSION = 1
VECTORS = Path(__file__).with_name("vectors") / str(VERSION)
INDEX, SCHEMA = "index.json", "vectors.schema.json"
ILL_CONDITIONED = "ill-conditioned"


@dataclass(frozen=True, eq=False, repr=False)
class Reference(Frozen):
    """The right importances and bias shifts of a case, and the scales that errors are measured on (EC-7.6).

    Attributes
    ----------
    importance : tuple of L arrays (n_l, n_{l-1})
        I_ij.
    bias_shift : tuple of L arrays (n_l, n_{l-1})
        δ*_ij.
    importance_scale : tuple of L arrays (n_l, n_{l-1})
        R_ij = w² E[s a²].
    shift_scale : tuple of L arrays (n_l, n_{l-1})
        |w| √(E[s a²]/S).

    Examples
    --------
    >>> case = ec.conformance.cases()[0]
    >>> reference = case.reference
    >>> all((i <= scale).all() for i, scale in zip(reference.importance, reference.importance_scale))
    True
    """

    importance: Layers
    bias_shift: Layers
    importance_scale: Layers
    shift_scale: Layers

    def __repr__(self) -> str:
        return f"Reference({len(self.importance)} layers)"


@dataclass(frozen=True, eq=False, repr=False)
class Case(Frozen):
    """One network with samples, all float64, and what it catches; `str(case)` is its name.

    The output layer has no activation.

    Attributes
    ----------
    name : str
        Unique among the cases.
    flags : tuple of str
        What is special about it, its group first.
    note : str
        What it catches.
    weights : tuple of L arrays (n_l, n_{l-1})
        W^l.
    biases : tuple of L arrays (n_l,)
        b^l.
    activation : str
        Of the hidden layers.
    x : array (N, n_0)
        The samples.
    reference : Reference
        What is right: exact values, rounded once.

    Examples
    --------
    >>> case = ec.conformance.cases()[0]
    >>> case.name == str(case), case.group == case.flags[0]
    (True, True)
    """

    name: str
    flags: tuple[str, ...]
    note: str
    weights: Layers
    biases: Layers
    activation: ActivationName
    x: Array
    reference: Reference

    def __repr__(self) -> str:
        sizes = "-".join(str(n) for n in self.mlp.sizes)
        return f"Case({self.name}: {sizes}, {self.activation}, {len(self.x)} samples)"

    def __str__(self) -> str:
        return self.name

    @property
    def group(self) -> str:
        """What the case is about: its first flag."""
        return self.flags[0]

    @property
    def ill_conditioned(self) -> bool:
        """Whether importances are compared against I itself, which stable arithmetic alone gets right."""
        return ILL_CONDITIONED in self.flags

    @cached_property
    def mlp(self) -> MLP:
        """The case's network."""
        return MLP(self.weights, self.biases, self.activation)

    def inputs(self) -> tuple[list[Array], list[Array], str, Array]:
        """Fresh copies of what a candidate is called with: weights, biases, activation, x."""
        return [w.copy() for w in self.weights], [b.copy() for b in self.biases], self.activation, self.x.copy()


@cache
def cases() -> tuple[Case, ...]:
    """All conformance cases, in the order of their groups; names are unique.

    Returns
    -------
    tuple of Case
        The same objects at each call.

    Examples
    --------
    >>> cases = ec.conformance.cases()
    >>> len({case.name for case in cases}) == len(cases)
    True
    """
    names = json.loads((VECTORS / INDEX).read_text(encoding="utf-8"))
    return tuple(_read(json.loads((VECTORS / f"{name}.json").read_text(encoding="utf-8"))) for name in names)


def _read(vector: dict[str, Any]) -> Case:
    """The case that a file holds."""
    expected, scale = vector["expected"], vector["scale"]
    quantities = [values[name] for values in (expected, scale) for name in ("importance", "bias_shift")]
    reference = Reference(*map(_arrays, quantities))
    arrays = _arrays(vector["weights"]), _arrays(vector["biases"])
    flags, x = tuple(vector["flags"]), frozen(np.array(vector["x"], np.float64))
    return Case(vector["name"], flags, vector["note"], *arrays, vector["activation"], x, reference)


def _arrays(layers: list[Any]) -> Layers:
    return tuple(frozen(np.array(layer, np.float64)) for layer in layers)
