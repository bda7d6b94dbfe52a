"""The suite's loop: every case once, and a few of them again, for an answer may depend on what was asked before."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from ._case import Case
from ._outcome import FAILED, IN_A_ROW, LATER, SKIPPED, Outcome, Result
from ._verdict import judge

AGAIN = 3  # wrong cases that are asked again, and as many right ones
PATIENCE = 3.0  # seconds without an end after which progress is shown, and nothing is asked again

Ask = Callable[[Case], Outcome]
Progress = Callable[[int, int, float], None]


class Interrupted(KeyboardInterrupt):
    """Ctrl-C, with the results so far."""

    def __init__(self, results: Sequence[Result]) -> None:
        super().__init__("interrupted")
        self.results = tuple(results)


def run_suite(
    ask: Ask, chosen: Sequence[Case], first_only: bool = False, progress: Progress | None = None
) -> tuple[Result, ...]:
    """A result for every case, up to the first failure where `first_only`; raises Interrupted."""
    results: list[Result] = []
    started = time.monotonic()
    try:
        for case in chosen:
            results.append(judge(case, ask(case)))
            if progress is not None:
                progress(len(results), len(chosen), time.monotonic() - started)
            if first_only and results[-1].status == FAILED:
                break
        seconds = (time.monotonic() - started) / max(1, len(results))
        return tuple(results if seconds > PATIENCE else asked_again(ask, results))
    except KeyboardInterrupt:
        raise Interrupted(results) from None


def asked_again(ask: Ask, results: Sequence[Result]) -> list[Result]:
    """The results, where a few cases are asked twice more, in another order: what gives another answer is told."""
    answered = [r for r in results if r.status != SKIPPED and not r.outcome.problem]
    wrong = [r for r in answered if r.status == FAILED]
    right = [r for r in answered if r.status != FAILED]
    chosen = [*_spread(right), *_spread(wrong)][::-1]
    told = {r.case: _told(ask, r) for r in chosen}
    return [told.get(r.case, r) for r in results]


def _spread(results: Sequence[Result]) -> Sequence[Result]:
    return results[:: max(1, -(-len(results) // AGAIN))]


def _told(ask: Ask, result: Result) -> Result:
    second, third = ask(result.case), ask(result.case)
    names = result.case.quantities
    varies = IN_A_ROW if _differ(second, third, names) else LATER if _differ(result.outcome, second, names) else ""
    if not varies:
        return result
    outcome = replace(result.outcome, varies=varies)
    if result.status == FAILED:
        return replace(result, outcome=outcome)
    return replace(
        result, status=FAILED, outcome=outcome, message="right at first, but another answer when asked again"
    )


def _differ(one: Outcome, other: Outcome, names: Sequence[str]) -> bool:
    """Whether two answers are apart by more than roundings that change with threads or devices."""
    for name in names:
        pairs = list(zip(getattr(one, name), getattr(other, name)))
        if len(getattr(one, name)) != len(getattr(other, name)) or any(a.shape != b.shape for a, b in pairs):
            return True
        if not all(np.allclose(a, b, rtol=1e-4 if a.dtype == np.float32 else 1e-7, equal_nan=True) for a, b in pairs):
            return True
    return one.problem != other.problem


def show_progress(done: int, total: int, seconds: float) -> None:
    """A line on stderr that is written over, once a run has lasted for a while and where someone looks at it."""
    if seconds < PATIENCE or not sys.stderr.isatty():
        return
    left = seconds / done * (total - done)
    end = "\r\033[K" if done == total else ""
    print(f"\r\033[K{done} of {total} cases, about {left:.0f} s left{end}", end="", file=sys.stderr, flush=True)
