"""Answers that change when the same case is asked again: they are no function of what is handed in."""

from __future__ import annotations

from collections.abc import Sequence

from .._outcome import IN_A_ROW, LATER, Result
from ._finding import Finding

SENTENCES = {
    IN_A_ROW: (
        "random-or-growing",
        "The answer is not a function of its input: the same case, asked twice in a row, gives two different answers. "
        "Something is random (dropout, a random subset, an unset seed), or grows from call to call (gradients are "
        "accumulated, a buffer is not reset).",
    ),
    LATER: (
        "depends-on-earlier-calls",
        "The answer is not a function of its input: asked again after other cases, the same case gives another answer. "
        "Something is kept from earlier calls: a result that is memoised, a gradient or a buffer that is not reset.",
    ),
}


def not_a_function(results: Sequence[Result]) -> list[Finding]:
    """At most one finding, with the cases that were asked again and answered otherwise."""
    for how, (id, sentence) in SENTENCES.items():
        names = tuple(r.case.name for r in results if r.outcome.varies == how)
        if names:
            text = f"{sentence} Asked again: {', '.join(names)}."
            return [Finding(id, text, "EC-3.5", "lost", cases=names)]
    return []
