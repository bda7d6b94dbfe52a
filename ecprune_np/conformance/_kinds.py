"""What can be verified: of each kind, what a candidate is given, what it returns, and which options it may take."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, Literal, NamedTuple

KindName = Literal["ec", "uncompensated", "wanda", "gradient_magnitude", "obc", "obs", "loss_gradient", "pruner"]

OF_METRIC = ("metric", "y", "sample_weight", "output_activation")
OF_LOSS = ("loss", "output_activation")
OPTIONS = (*OF_METRIC, "loss")  # every keyword that some case uses
USUAL: dict[str, Any] = {  # what a candidate does that is not told otherwise
    "metric": "output",
    "y": None,
    "sample_weight": None,
    "output_activation": "identity",
    "loss": "mse",
}


class Kind(NamedTuple):
    """A kind of answer: what is given after weights, biases, activation and x, what comes, which keywords are used."""

    given: tuple[str, ...]
    quantities: tuple[str, ...]
    options: tuple[str, ...]
    equation: str

    @property
    def signature(self) -> str:
        """How a candidate is called, and what it returns."""
        given = ", ".join(("weights", "biases", "activation", "x", *self.given))
        returned = ", ".join(self.quantities)
        return f"({given}) -> {f'({returned})' if len(self.quantities) > 1 else returned}"


KINDS: dict[str, Kind] = {
    "ec": Kind((), ("importance", "bias_shift"), OF_METRIC, "EC-3.5"),
    "uncompensated": Kind((), ("importance",), OF_METRIC, "EC-3.6"),
    "wanda": Kind((), ("importance",), ("sample_weight",), "EC-6.7"),
    "gradient_magnitude": Kind(("y",), ("importance",), OF_LOSS, "EC-6.8"),
    "obc": Kind((), ("importance",), OF_METRIC, "EC-6.3"),
    "obs": Kind((), ("importance",), OF_METRIC, "EC-6.1"),
    "loss_gradient": Kind(("y",), ("weight_gradient", "bias_gradient"), OF_LOSS, "EC-2.6"),
    "pruner": Kind(("sparsity", "scope"), ("weights", "biases"), (), "EC-5.1"),
}


def taken_by(candidate: Callable[..., Any]) -> dict[str, bool]:
    """The options that a candidate's signature names, each with whether it must be given; `**kwargs` names none."""
    try:
        parameters = inspect.signature(candidate).parameters
    except (TypeError, ValueError):  # a callable of C
        return {}
    by_name = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    first = list(parameters)[:4]  # weights, biases, activation, x, by whatever names
    return {
        name: parameters[name].default is inspect.Parameter.empty
        for name in OPTIONS
        if name in parameters and name not in first and parameters[name].kind in by_name
    }
