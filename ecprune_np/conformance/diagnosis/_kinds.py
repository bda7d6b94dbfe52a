"""Of which kind the errors are, where no prediction of the values fits: precision, factors, ranking, no number."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from ..._types import Array
from ...error_analysis.comparison import digits
from ..catalogue import arithmetic
from ._answers import MATCH, SINGLE, Answer, apart, is_single, ranking_of, ratio
from ._estimates import step_of, tidy
from ._explanations import PLAUSIBLE, Explanation
from ._finding import Finding

FORMATS = (  # the largest typical error that is still this format's: rounding is 6e-8, 5e-4, 4e-3
    (3e-6, "float32-as-float64", "float32 arithmetic reported as float64: {}. Return float32, or compute in float64."),
    (5e-4, "half-precision", "TF32 or float16 arithmetic inside, with 11 bits: {}. Compute in float32 or float64."),
    (2e-2, "bfloat16", "bfloat16 arithmetic inside, with 8 bits: {}. Compute in float32 or float64."),
)
SMALLEST, LARGEST = 3e-11, 0.3  # typical errors of float32 and the worst error of bfloat16, beyond which it is none
EVERYWHERE = 0.6  # of the answers are wrong where arithmetic is the reason
FEW = 4  # cases in which a right ranking may be chance
FITS = 0.1  # the share of a deviation that differences may leave open


def no_answer(right: Sequence[Answer], left: Sequence[Answer]) -> Explanation | None:
    """Exceptions and wrong shapes, by the most frequent message."""
    silent = frozenset(a for a in left if not a.comparable)
    if not silent:
        return None
    messages = Counter({r.case: r.message for r in (a.result for a in silent)}.values())
    message, _ = messages.most_common(1)[0]
    where = next((a.result.outcome.traceback for a in silent if a.result.message == message), "")
    text = f"No usable answer in {cases(sum(messages.values()))}; most often: {message[:200]}"
    return Explanation(Finding("no-answer", f"{text}{' at ' if where else ''}{where}"), silent)


def not_finite(right: Sequence[Answer], left: Sequence[Answer]) -> Explanation | None:
    explained = frozenset(a for a in left if any(not np.isfinite(v).all() for v in a.values))
    if not explained:
        return None
    count = len({a.case.name for a in explained})
    sentence = f"NaN or inf in {cases(count)}: an importance is never NaN."
    return Explanation(Finding("not-finite", sentence, "EC-3.8", "lost"), explained)


def differences(right: Sequence[Answer], left: Sequence[Answer]) -> Explanation | None:
    """Forward or central differences: the step is estimated from how far the answers are from the right ones."""
    usable = [
        a
        for a in left
        if a.comparable and a.quantity == "importance" and len(a.case.weights) == 2 and np.isfinite(a.entries).all()
        if a.case.activation in ("tanh", "sigmoid", "sin", "softplus")
        and a.case.group in ("activations", "depth", "outputs")
    ]
    if len(usable) < 2 or max(apart(a.entries, a.right, a.scales) for a in usable) > LARGEST:
        return None
    for central in (False, True):
        estimates = [step_of(a, arithmetic.differences, central) for a in usable[:4]]
        steps = [step for step, misfit in estimates if misfit < FITS]
        if len(steps) > len(estimates) / 2 and max(steps) < 2 * min(steps):
            mistake = arithmetic.differences(tidy_step(float(np.median(steps))), central)
            explained = frozenset(a for a in left if a.comparable and np.isfinite(a.entries).all())
            return Explanation(Finding(mistake.id, mistake.sentence, mistake.equation), explained)
    return None


def tidy_step(step: float) -> float:
    """The power of ten that is meant, where the estimate is near one."""
    power = 10.0 ** round(np.log10(step))
    return float(power) if abs(step / power - 1) < 0.2 else tidy(float(f"{step:.1e}"))


def precision(right: Sequence[Answer], left: Sequence[Answer]) -> Explanation | None:
    """Small errors nearly everywhere are those of an arithmetic with fewer digits; their size tells which."""
    ours = [a for a in left if a.comparable and all(v.dtype == np.float64 for v in a.values)]
    usual = [
        a for a in ours if not a.case.ill_conditioned and a.case.group != "weights" and np.isfinite(a.entries).all()
    ]
    if not usual or len(usual) < EVERYWHERE * len([a for a in (*right, *left) if a.case.group != "weights"]) * 0.9:
        return None
    errors = [_errors(a) for a in usual]
    worst, typical = max(float(e.max(initial=0)) for e in errors), _typical(errors)
    if not typical > SMALLEST or np.percentile([e.max(initial=0) for e in errors], 90) > LARGEST:
        return None
    if typical < FORMATS[0][0] and _exact_where_constant([*right, *ours]):
        sentence = (
            "The sensitivities are right to about "
            f"{digits(typical):.0f} digits and the rest exactly: numerical derivatives (finite differences)?"
        )
        return Explanation(Finding("numerical-derivative", sentence, "EC-9.2"), frozenset(ours))
    for most, id, sentence in FORMATS:
        if typical <= most and (id != FORMATS[0][1] or worst <= SINGLE):
            exactly = id == FORMATS[0][1] and all(is_single(v) for a in ours for v in a.values)
            evidence = "all are exact float32 numbers" if exactly else "the errors are of its size"
            finding = Finding(id, sentence.format(evidence), "EC-7.9", "network" if id == FORMATS[0][1] else "")
            return Explanation(finding, frozenset(ours))
    return None


def _errors(a: Answer) -> Array:
    errors: Array = np.divide(np.abs(a.entries - a.right), a.scales, out=np.zeros_like(a.right), where=a.scales > 0)
    return errors


def _typical(errors: Sequence[Array]) -> float:
    together = np.concatenate(errors)
    return float(np.median(together[together > 0])) if together.any() else 0.0


def _exact_where_constant(answers: Sequence[Answer]) -> bool:
    """Whether the shifts of constant inputs are right to the last digits, for there no sensitivity enters."""
    told = [a for a in answers if a.quantity == "bias_shift" and len(a.case.x) == 1]
    return bool(told) and not any(_errors(a).max() > 1e-13 for a in told)


def few_digits(right: Sequence[Answer], left: Sequence[Answer]) -> Explanation | None:
    """Every answer is nearly right."""
    if not left or not all(a.comparable for a in left):
        return None
    worst = max(apart(a.entries, a.right, a.scales) for a in left)
    if worst > SINGLE:
        return None
    sentence = f"The values are right to {digits(worst):.0f} digits: an approximation, or single precision in a part?"
    return Explanation(Finding("few-digits", sentence, "EC-7.9"), frozenset(left))


def factor_per_case(right: Sequence[Answer], left: Sequence[Answer]) -> Explanation | None:
    """Each case's importances are right up to a factor that differs from case to case."""
    ours = _importances(left)
    if not ours or not all(_up_to_factor(a.entries, a.right, a.scales, a.tolerance) for a in ours):
        return None
    sentence = "In every case the importances are right up to a factor, which differs from case to case."
    return Explanation(Finding("factor-per-case", sentence, "EC-3.5", "network"), frozenset(ours))


def factor_per_layer(right: Sequence[Answer], left: Sequence[Answer]) -> Explanation | None:
    """Each layer's importances are right up to a factor that differs from layer to layer."""
    ours = _importances(left)
    layers = [
        (v.ravel(), r.ravel(), s.ravel(), a.tolerance) for a in ours for v, r, s in zip(a.values, a.reference, a.scale)
    ]
    if not ours or not all(_up_to_factor(*layer) for layer in layers):
        return None
    ranking = ranking_of((a.case, a.values) for a in ours)
    sentence = "In every layer the importances are right up to a factor, which differs from layer to layer."
    return Explanation(Finding("factor-per-layer", sentence, "EC-3.5", ranking), frozenset(ours))


def monotone(right: Sequence[Answer], left: Sequence[Answer], few: int = FEW) -> Explanation | None:
    """The ranking is right in all cases, and they are not few."""
    ours = _importances(left)
    if len(ours) < few:
        return None
    ranking = ranking_of((a.case, a.values) for a in ours)
    if ranking == "lost":
        return None
    sentence = "The importances are wrong, yet they are a monotone function of the right ones: the ranking is right."
    return Explanation(Finding("monotone", sentence, "EC-3.5", ranking), frozenset(ours))


def _importances(left: Sequence[Answer]) -> list[Answer]:
    return [a for a in left if a.quantity == "importance" and a.comparable and a.informative]


def _up_to_factor(values: Array, right: Array, scales: Array, tolerance: float) -> bool:
    factor = ratio(values, right, scales)
    if factor is None or factor <= 0:
        return False
    return apart(values, factor * right, factor * scales) <= MATCH * tolerance


def cases(count: int) -> str:
    return f"{count} case{'s' * (count != 1)}"


def plausible(explanation: Explanation, wrong: Sequence[Answer]) -> bool:
    return len(explanation.explained) >= PLAUSIBLE * len(wrong)
