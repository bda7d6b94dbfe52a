"""What goes wrong in the arithmetic: guards against a division by zero, numerical derivatives, clipping, rounding."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from ..._types import Array
from ._mistake import Mistake, changed
from ._parts import Formula, Pair, Parts, about, again, per_layer

EPSILONS = (1e-3, 1e-4, 1e-5, 1e-6, 2.0**-23, 1e-8, 1e-9, 1e-10, 1e-12, 1e-15, 2.0**-52, 1e-16, 1e-20, 1e-30)


def guarded_by(epsilon: float, guard: Any, of_sum: bool = False) -> Formula:
    """S + ε or max(S, ε) in the denominator of μ, with S the mean or the sum over the samples."""

    def formula(w: Array, s: Array, a: Array) -> Pair:
        total = s.sum(axis=0) if of_sum else s.mean(axis=0)
        centre = (s.T @ a / (1 if of_sum else len(a))) / guard(total[:, np.newaxis], epsilon)
        return w**2 * about(s, a, centre), w * centre

    return formula


def plus(epsilon: float, of_sum: bool = False) -> Mistake:
    """ε added to S, the mean or the sum of the sensitivities."""
    where = "Σ_n s" if of_sum else "S"
    return Mistake(
        f"sensitivity-{'sum-' * of_sum}plus-{epsilon:.3g}",
        f"{epsilon:.3g} is added to {where} against a division by zero: it is not small beside small sensitivities.",
        "EC-3.8",
        formula=per_layer(guarded_by(epsilon, np.add, of_sum)),
    )


def at_least(epsilon: float, of_sum: bool = False) -> Mistake:
    """S clamped to ε from below."""
    where = "Σ_n s" if of_sum else "S"
    return Mistake(
        f"sensitivity-{'sum-' * of_sum}at-least-{epsilon:.3g}",
        f"{where} is clamped to {epsilon:.3g} from below against a division by zero: small sensitivities are below it.",
        "EC-3.8",
        formula=per_layer(guarded_by(epsilon, np.maximum, of_sum)),
    )


def zero_below(epsilon: float) -> Mistake:
    """μ = 0 wherever S is below ε, also where it is not zero."""
    return Mistake(
        f"sensitivity-zero-below-{epsilon:.3g}",
        f"The mean μ is 0 where S is below {epsilon:.3g}, as for dead neurons: small sensitivities are not zero.",
        "EC-3.8",
        formula=per_layer(guarded_by(epsilon, lambda S, e: np.where(e < S, S, np.inf))),
    )


def floored(low: float) -> Mistake:
    """max(I, ε)."""
    return _clip(
        f"importance-at-least-{low:.3g}", f"clipped to {low:.3g} from below: a floor", lambda I: np.maximum(I, low)
    )


def capped(high: float) -> Mistake:
    """min(I, c)."""
    return _clip(
        f"importance-at-most-{high:.3g}", f"clipped to {high:.3g} from above: a cap", lambda I: np.minimum(I, high)
    )


def raised(epsilon: float) -> Mistake:
    """I + ε."""
    return _clip(
        f"importance-plus-{epsilon:.3g}", f"{epsilon:.3g} too large: it is added to them", lambda I: I + epsilon
    )


def zeroed(low: float) -> Mistake:
    """0 where I < ε."""
    return _clip(f"importance-zero-below-{low:.3g}", f"set to zero below {low:.3g}", lambda I: np.where(low > I, 0, I))


def powered(power: float) -> Mistake:
    """I to some power."""
    return _clip(f"importance-to-the-{power:.3g}", f"raised to the power {power:.4g}", lambda I: I**power)


def logarithm_of_sum(epsilon: float) -> Mistake:
    """log(I + ε)."""
    return _clip(f"logarithm-plus-{epsilon:.3g}", f"logarithms, log(I + {epsilon:.3g})", lambda I: np.log(I + epsilon))


def _clip(id: str, what: str, function: Callable[[Array], Array]) -> Mistake:
    return Mistake(id, f"The importances are {what}.", "EC-3.5", after=changed(lambda I, p: function(I)))


def decimals(d: int, quantity: str) -> Mistake:
    """Importances, or shifts, rounded to d decimals."""
    return _rounded(f"{d}-decimals", f"{d} decimals", quantity, lambda v: np.round(v, d))


def cut_to_digits(v: Array, d: int) -> Array:
    """Rounded to d significant digits."""
    scale = 10.0 ** (d - 1 - np.floor(np.log10(np.abs(v))))
    return np.where(v == 0, 0, np.round(v * scale) / scale)


def digits(d: int, quantity: str) -> Mistake:
    """Importances, or shifts, rounded to d significant digits."""
    return _rounded(f"{d}-digits", f"{d} significant digits", quantity, lambda v: cut_to_digits(v, d))


def _rounded(id: str, what: str, quantity: str, cut: Callable[[Array], Array]) -> Mistake:
    name = quantity.replace("_", " ")
    after = changed(**{quantity.removeprefix("bias_"): lambda v, p: cut(v)})
    return Mistake(f"{quantity}-rounded-to-{id}", f"Every {name} is rounded to {what}.", "EC-7.9", after=after)


def differences(step: float, central: bool) -> Mistake:
    """s from differences of the outputs, each bias moved by a step."""

    def by_differences(p: Parts) -> Parts:
        s = []
        for l, z in enumerate(p.z):
            columns = np.empty_like(z)
            for i in range(z.shape[1]):
                ahead = _moved(p, l, i, step)
                behind = _moved(p, l, i, -step) if central else p.f
                columns[:, i] = (((ahead - behind) / (2 * step if central else step)) ** 2).sum(axis=1)
            s.append(columns)
        return replace(p, s=tuple(s))

    name = "central" if central else "forward"
    return Mistake(
        f"{name}-differences-{step:.2g}",
        f"The derivatives are {name} differences with a step of {step:.2g}: a numerical derivative is not exact.",
        "EC-9.2",
        by_differences,
    )


def _moved(p: Parts, layer: int, neuron: int, step: float) -> Array:
    biases = [b.copy() for b in p.b]
    biases[layer][neuron] += step
    return again(p, w=p.w[layer:], b=tuple(biases[layer:]), x=p.a[layer], slope=np.ones_like).f


ARITHMETIC: tuple[Mistake, ...] = (
    *map(plus, EPSILONS),
    *map(at_least, EPSILONS),
    *map(zero_below, EPSILONS[:8]),
)
