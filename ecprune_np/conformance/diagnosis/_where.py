"""Where the mistake is, by which cases, layers and quantities are wrong and which are right, without a prediction."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

from .._case import Case
from ..catalogue._parts import EQUATION
from ._answers import Answer
from ._explanations import Explanation
from ._finding import Finding, plural


@dataclass(frozen=True, eq=False)
class Evidence:
    """The right answers, those that are left to explain, and what can be read off them."""

    right: Sequence[Answer]
    left: Sequence[Answer]

    @cached_property
    def bad(self) -> list[Case]:
        return list(dict.fromkeys(a.case for a in self.left))

    @cached_property
    def good(self) -> list[Case]:
        """Cases that are right in all."""
        bad = {a.case for a in self.left}
        counts: dict[Case, int] = {}
        expected: dict[Case, int] = {}
        for a in self.right:
            counts[a.case] = counts.get(a.case, 0) + 1
            expected[a.case] = len(a.case.quantities) - len(a.result.outcome.not_given)
        return [case for case, count in counts.items() if count == expected[case] and case not in bad]

    @cached_property
    def quantity(self) -> str:
        """The only quantity that is wrong, in words, or both."""
        found = [q for q in self.left[0].case.quantities if any(a.quantity == q for a in self.left)]
        if found == ["importance"] and self.left[0].case.kind == "ec":
            return "importances alone (the bias shifts are right)"
        names = " and ".join(map(plural, found))
        return f"{names} alone" if found == ["bias_shift"] else names

    @cached_property
    def bad_activations(self) -> list[str]:
        return list(dict.fromkeys(case.activation for case in self.bad if deep(case)))

    @cached_property
    def good_activations(self) -> list[str]:
        """Those whose networks are all right, as far as they have hidden layers."""
        return [n for n in dict.fromkeys(c.activation for c in self.good if deep(c)) if n not in self.bad_activations]

    def last_layer_right(self) -> bool:
        """Whether the last layers are right, of the networks that have hidden ones: no derivative enters there."""
        places = [(a.wrong_layers, len(a.values) - 1) for a in self.left if a.comparable and deep(a.case)]
        return bool(places) and all(last not in layers for layers, last in places)

    def only(self, holds: Callable[[Case], bool]) -> bool:
        """Whether all wrong cases are such, and no right one of at least two."""
        return all(map(holds, self.bad)) and len(self.good) > 1 and not any(map(holds, self.good))


def deep(case: Case) -> bool:
    """Whether there are hidden layers."""
    return len(case.weights) > 1


def located(right: Sequence[Answer], left: Sequence[Answer]) -> list[Explanation]:
    """What the pattern of wrong cases says, the most telling first."""
    comparable = [a for a in left if a.comparable]
    with_options = any(a.case.names_of_options for a in left)  # then the basic cases are right, and so are the passes
    pruned = any(a.case.kind == "pruner" for a in left)
    rules = RULES if comparable and not with_options and not pruned else (common_flag,)
    shown = comparable or left
    e = Evidence(right, shown)
    found = [finding for rule in rules if shown and (finding := rule(e)) is not None]
    return [Explanation(finding, frozenset(shown)) for finding in found]


def one_activation(e: Evidence) -> Finding | None:
    """Only one activation is wrong: its value where the last layer is wrong too, else its derivative."""
    if len(e.bad_activations) != 1 or not all(map(deep, e.bad)) or not e.good_activations:
        return None
    (name,) = e.bad_activations
    if e.last_layer_right():
        sentence = (
            f'The derivative of {name} is wrong: only networks with "{name}" are, in hidden layers; their last layers, '
            f"which need its value alone, are right, so the forward pass is."
        )
        return Finding("derivative-of-one-activation", sentence, EQUATION[name])
    sentence = (
        f'The value of {name} is wrong, in the forward pass: only networks with "{name}" are, and already in the last '
        "layer, which no derivative enters."
    )
    return Finding("value-of-one-activation", sentence, EQUATION[name])


def one_right_activation(e: Evidence) -> Finding | None:
    """Where there are hidden layers, only the networks with one activation are right."""
    if len(e.good_activations) != 1 or len(e.bad_activations) < 3 or e.good_activations[0] == "identity":
        return None
    sentence = f'Only the activation "{e.good_activations[0]}" is right: is the argument `activation` used?'
    return Finding("one-activation-right", sentence, "EC-1.2")


def several_samples(e: Evidence) -> Finding | None:
    """All wrong cases have more samples than any right one."""
    fewest = min(len(case.x) for case in e.bad)
    most = max((len(case.x) for case in e.good), default=0)
    if not e.good or fewest <= most or len(e.good) < 3:
        return None
    sentence = (
        f"Only cases with {fewest} samples or more are wrong, those with up to {most} are right: look at the batches, "
        "whose moments must be merged."
    )
    return Finding("more-samples-only", sentence, "EC-7.5")


def several_outputs(e: Evidence) -> Finding | None:
    if not e.only(lambda case: len(case.biases[-1]) > 1) or not any(len(case.weights) == 2 for case in e.bad):
        return None
    sentence = "Only networks with several outputs are wrong: look at how their gradients become one sensitivity."
    return Finding("several-outputs-only", sentence, "EC-3.2")


def forward_pass(e: Evidence) -> Finding | None:
    """The last layer is wrong behind hidden layers, a single layer is right: so its inputs are wrong."""
    single = [case for case in e.good if not deep(case)]
    if not all(map(deep, e.bad)) or not single or e.last_layer_right():
        return None
    which = _which(e)
    sentence = (
        f"The forward pass is wrong{which}: networks of one layer are right, but behind hidden layers already the last "
        "layer is wrong, which depends on their activations alone."
    )
    return Finding("forward-pass", sentence, "EC-1.2")


def backward_pass(e: Evidence) -> Finding | None:
    """The last layers are right, hidden ones are wrong."""
    if not all(map(deep, e.bad)) or not e.last_layer_right():
        return None
    if e.only(lambda case: len(case.weights) > 2):
        what = "the chain rule through more than one hidden layer (networks with one are right)"
    elif "identity" in e.good_activations:
        what = "the derivatives σ' of the activations (without one, the networks are right)"
    elif e.good and all(len(case.biases[-1]) == 1 for case in e.good if deep(case)):
        what = "how the outputs' gradients become one sensitivity"
    else:
        what = "the backward pass"
    sentence = (
        f"The last layers are right, so the forward pass and the formulas are; hidden layers are wrong: look at {what}."
    )
    return Finding("hidden-layers-only", sentence, "EC-2.2")


def one_layer(e: Evidence) -> Finding | None:
    """All wrong entries are in the first layer, or the last, or in none but these."""
    places = [(a.wrong_layers, len(a.values) - 1) for a in e.left]
    if all(last == 0 for _, last in places):
        return None
    for id, sentence, holds in (
        ("first-layer-only", "Only the first layer is wrong.", lambda layers, last: layers == {0}),
        (
            "last-layer-only",
            "Only the last layer is wrong: look at the outputs.",
            lambda layers, last: layers == {last},
        ),
        (
            "first-layer-right",
            "The first layer is right, layers after it are wrong: look at the layers' inputs, in the forward pass.",
            lambda layers, last: 0 not in layers,
        ),
    ):
        if all(holds(*place) for place in places):
            return Finding(id, sentence, "EC-2.2")
    return None


def common_flag(e: Evidence) -> Finding | None:
    """Flags that every wrong case has, and no right one."""
    shared = set.intersection(*(set(case.flags) for case in e.bad))
    telling = [f for f in e.bad[0].flags if f in shared and not any(f in case.flags for case in e.good)]
    if not telling or not e.good:
        return None
    names = " and ".join(f'"{flag}"' for flag in telling)
    return Finding("flag-only", f"All wrong cases are flagged {names}, and no right case is.")


def single_layer(right: Sequence[Answer], left: Sequence[Answer]) -> str:
    """What it means that a network without hidden layers is wrong already, or ""."""
    e = Evidence(right, left)
    single = [case for case in e.bad if not deep(case)]
    if not single:
        return ""
    hint = "; with one sample they are right" if any(len(case.x) == 1 for case in e.good) else ""
    return (
        f"The formula itself is wrong, of {e.quantity}: a network of a single layer ({single[0]}), which has no "
        f"activation and no derivative, is wrong already{hint}."
    )


def _which(e: Evidence) -> str:
    if not e.good_activations:
        return ""
    return f" with {', '.join(e.bad_activations)} (right with {', '.join(e.good_activations)})"


RULES: tuple[Callable[[Evidence], Finding | None], ...] = (
    one_activation,
    one_right_activation,
    several_samples,
    several_outputs,
    backward_pass,
    forward_pass,
    one_layer,
    common_flag,
)
