"""A conformance case: a network, samples, what is right for them, and how a candidate is asked."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from .._frozen import Frozen
from .._types import ActivationName, Array, MetricName
from ..mlp import MLP
from ._kinds import KINDS, USUAL, KindName

Layers = tuple[Array, ...]

ILL_CONDITIONED = "ill-conditioned"


@dataclass(frozen=True, eq=False, repr=False)
class Reference(Frozen):
    """What is right for a case, of the quantities of its kind, and the scales that errors are measured on (EC-7.9).

    Attributes
    ----------
    importance : tuple of L arrays (n_l, n_{l-1})
        I_ij, or another criterion.
    bias_shift : tuple of L arrays (n_l, n_{l-1})
        δ*_ij.
    importance_scale : tuple of L arrays (n_l, n_{l-1})
        R_ij = w² E[s a²].
    bias_shift_scale : tuple of L arrays (n_l, n_{l-1})
        |w| √(E[s a²]/S).
    weight_gradient : tuple of L arrays (n_l, n_{l-1})
        ∂E[ℓ]/∂W.
    bias_gradient : tuple of L arrays (n_l,)
        ∂E[ℓ]/∂b.
    weight_gradient_scale : tuple of L arrays (n_l, n_{l-1})
        √E[g² a²].
    bias_gradient_scale : tuple of L arrays (n_l,)
        √E[g²].
    weights : tuple of L arrays (n_l, n_{l-1})
        Of the pruned network.
    biases : tuple of L arrays (n_l,)
        Of the pruned network: b_i + Σ_{j removed} δ*_ij.
    weights_scale : tuple of L arrays (n_l, n_{l-1})
        |w_ij| where the weight stays, 0 where it goes.
    biases_scale : tuple of L arrays (n_l,)
        |b_i| and the scales of the shifts, added up.

    Examples
    --------
    >>> case = ec.conformance.cases()[0]
    >>> reference = case.reference
    >>> all((i <= scale).all() for i, scale in zip(reference.importance, reference.importance_scale))
    True
    """

    importance: Layers = ()
    bias_shift: Layers = ()
    importance_scale: Layers = ()
    bias_shift_scale: Layers = ()
    weight_gradient: Layers = ()
    bias_gradient: Layers = ()
    weight_gradient_scale: Layers = ()
    bias_gradient_scale: Layers = ()
    weights: Layers = ()
    biases: Layers = ()
    weights_scale: Layers = ()
    biases_scale: Layers = ()

    def __repr__(self) -> str:
        return f"Reference({len(self.importance or self.weight_gradient or self.weights)} layers)"

    @property
    def shift_scale(self) -> Layers:
        """The bias shifts' scale."""
        return self.bias_shift_scale

    def of(self, quantity: str) -> tuple[Layers, Layers]:
        """What is right of a quantity, and its scale."""
        return getattr(self, quantity), getattr(self, f"{quantity}_scale")


@dataclass(frozen=True, eq=False, repr=False)
class Case(Frozen):
    """One network with samples, all float64, and what it catches; `str(case)` is its name.

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
    kind : str
        What a candidate is to return: "ec", or another criterion.
    metric : str
        The output metric, or the loss: "output" in all cases without this option.
    y : array (N, K) or (N,), or None
        The targets.
    sample_weight : array (N,) or None
        The samples' weights.
    output_activation : str
        Of the last layer: "identity" in all cases without this option.
    sparsity : float
        Which fraction of the weights a pruner is to remove.
    scope : str
        Which weights it compares: "global" or "layer".

    Examples
    --------
    >>> case = ec.conformance.cases()[0]
    >>> case.name == str(case), case.group == case.flags[0]
    (True, True)
    >>> [case.name for case in ec.conformance.cases(options=["sample_weight"]) if case.options()][0]
    'weighted-samples'
    """

    name: str
    flags: tuple[str, ...]
    note: str
    weights: Layers
    biases: Layers
    activation: ActivationName
    x: Array
    reference: Reference
    kind: KindName = "ec"
    metric: MetricName = "output"
    y: Array | None = None
    sample_weight: Array | None = None
    output_activation: ActivationName = "identity"
    sparsity: float = 0.0
    scope: str = "global"

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
    def quantities(self) -> tuple[str, ...]:
        """What a candidate is to return."""
        return KINDS[self.kind].quantities

    @property
    def ill_conditioned(self) -> bool:
        """Whether importances are compared against I itself, which stable arithmetic alone gets right."""
        return ILL_CONDITIONED in self.flags

    @cached_property
    def mlp(self) -> MLP:
        """The case's network."""
        return MLP(self.weights, self.biases, self.activation, self.output_activation)

    def inputs(self) -> tuple[Any, ...]:
        """Fresh copies of what a candidate is called with: weights, biases, activation, x, and y for a gradient."""
        copies = [w.copy() for w in self.weights], [b.copy() for b in self.biases], self.activation, self.x.copy()
        return (*copies, *(self._value(name) for name in KINDS[self.kind].given))

    def options(self) -> dict[str, Any]:
        """Fresh copies of the keywords that it uses beside; empty for the basic cases."""
        return {name: self._value(name) for name in self.names_of_options}

    @cached_property
    def names_of_options(self) -> tuple[str, ...]:
        """The names of the keywords that it uses."""
        return tuple(name for name in KINDS[self.kind].options if self.uses(name))

    def uses(self, name: str) -> bool:
        """Whether an option is not as usual."""
        value = self._value(name)
        return value is not None and not (isinstance(value, str) and value == USUAL[name])

    def _value(self, name: str) -> Any:
        value = getattr(self, "metric" if name == "loss" else name)
        return value.copy() if isinstance(value, np.ndarray) else value
