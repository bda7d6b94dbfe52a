"""Numbers without rounding: rationals, or intervals with as many digits as it takes to decide (EC-9.8).

Both are objects in NumPy's arrays, so that +, −, ·, /, @ and sums read as in the equations.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from math import isqrt, lcm
from typing import Any, TypeAlias, TypeVar

import numpy as np

from .. import _checks
from .._types import Array

Result = TypeVar("Result")

DOUBLINGS = 3  # of the digits, until what is not told from 0 counts as 0
ROOT_BITS = 256  # of a root that is irrational
ERFC_BITS = 20  # of an argument before the point
LARGEST_EXPONENT = 17_000  # of 2: beyond every dtype's largest and smallest numbers


class Undecided(ArithmeticError):
    """An interval is too wide for a decision, and more digits are needed."""


class Rationals:
    """Fractions: whatever is computed is the value itself."""

    def number(self, value: Any) -> Fraction:
        """The rational that a float, of any dtype, is."""
        return Fraction(*value.as_integer_ratio())

    def numbers(self, array: Array) -> Array:
        """All entries, exactly."""
        return each(self.number, array)

    def is_positive(self, x: Fraction) -> bool:
        """Whether x > 0."""
        return x > 0

    def root(self, x: Fraction) -> Fraction:
        """√x, or where it is irrational a neighbour, closer than any dtype tells."""
        scale = 2 ** max(0, ROOT_BITS - x.numerator.bit_length() // 2)
        square = x.numerator * x.denominator * scale**2
        floor = isqrt(square)
        return Fraction(2 * floor + (floor**2 < square), 2 * scale * x.denominator)

    def rounded(self, array: Array, dtype: Any) -> Array:
        """The nearest numbers of a dtype."""
        with _checks.overflow_raised_later():
            return each(lambda x: nearest(x, dtype), array).astype(dtype)

    def integers(self, rows: Array) -> Array:
        """Each row times the denominators of its entries."""
        scaled = [row * lcm(*(x.denominator for x in row)) for row in rows]
        return each(int, np.array(scaled, object))

    def eliminated(self, rows: Array, row: Array, j: int, previous: int) -> Array:
        """The rows with 0 in column j, times its pivot over the one before: integers again (Bareiss, 1968)."""
        eliminated: Array = (rows * row[j] - np.outer(rows[:, j], row)) // previous
        return eliminated

    def largest(self, block: Array) -> tuple[int, int] | None:
        """Where an entry is not 0, whichever."""
        places = np.argwhere(block != 0)
        return (int(places[0][0]), int(places[0][1])) if len(places) else None


class Intervals:
    """Intervals of mpmath's, rounded outwards: the value lies inside."""

    def __init__(self, digits: int, last: bool = False) -> None:
        """With so many decimal digits; with `last`, what is not told from 0 counts as 0."""
        self.context = _mpmath().MPIntervalContext()  # its precision is its own
        self.context.dps = digits
        self.digits = digits
        self.last = last

    def number(self, value: Any) -> Any:
        """An interval around the rational that a float or fraction is."""
        numerator, denominator = value.as_integer_ratio()
        return self.context.mpf(int(numerator)) / self.context.mpf(int(denominator))

    def numbers(self, array: Array) -> Array:
        """An interval for each entry."""
        return each(self.number, array)

    def is_positive(self, x: Any) -> bool:
        """Whether the value is > 0."""
        low, high = x._mpi_
        if _sign(low) > 0:
            return True
        if _sign(high) > 0:
            self._more_digits()
        return False

    def root(self, x: Any) -> Any:
        """√x of a value that is not negative."""
        return self.context.sqrt(x)

    def exp(self, x: Any) -> Any:
        """e^x."""
        return self.context.exp(x)

    def log(self, x: Any) -> Any:
        """log x."""
        return self.context.ln(x)

    def sin(self, x: Any) -> Any:
        """sin x."""
        return self.context.sin(x)

    def cos(self, x: Any) -> Any:
        """cos x."""
        return self.context.cos(x)

    def erfc(self, x: Any) -> Any:
        """erfc x, which falls with x; where mpmath has none, 0 < erfc x < e^(−x²) and erfc(−x) = 2 − erfc x."""
        low, high = x._mpi_
        if low[2] + low[3] > ERFC_BITS:
            tail = self.context.mpf([0, 1]) * self.exp(-(x**2))
            return tail if self.is_positive(x) else 2 - tail
        erfc, bits = _mpmath().libmp.mpf_erfc, self.context.prec
        return self.context.make_mpf((erfc(high, bits, "f"), erfc(low, bits, "c")))

    def rounded(self, array: Array, dtype: Any) -> Array:
        """The numbers of a dtype that both ends are nearest to (EC-9.8)."""
        with _checks.overflow_raised_later():
            return each(lambda x: self._nearest(x, dtype), array).astype(dtype)

    def integers(self, rows: Array) -> Array:
        """A copy: intervals need no integers."""
        return rows.copy()

    def eliminated(self, rows: Array, row: Array, j: int, previous: Any) -> Array:
        """The rows, less what makes their column j 0."""
        eliminated: Array = rows - np.outer(rows[:, j] / row[j], row)
        return eliminated

    def largest(self, block: Array) -> tuple[int, int] | None:
        """Where the entry is that is farthest from 0, of those that are not 0."""
        sizes = {place: abs(x)._mpi_ for place, x in np.ndenumerate(block)}
        certain = {place: low[2] + low[3] for place, (low, _) in sizes.items() if _sign(low) > 0}
        if certain:
            i, j = max(certain, key=lambda place: certain[place])
            return i, j
        if any(_sign(high) > 0 for _, high in sizes.values()):
            self._more_digits()
        return None

    def _nearest(self, x: Any, dtype: Any) -> Any:
        low, high = (_fraction(end) for end in x._mpi_)
        if nearest(low, dtype) != nearest(high, dtype):
            self._more_digits()
        return nearest(min(low, high, key=abs) if low * high > 0 else Fraction(0), dtype)

    def _more_digits(self) -> None:
        if not self.last:
            raise Undecided(f"{self.digits} digits are too few")


Arithmetic: TypeAlias = Rationals | Intervals


def decided(compute: Callable[[Arithmetic], Result], digits: int | None) -> Result:
    """What is computed without rounding: with rationals, or from `digits` on with twice as many until all is decided.

    With the last, eight times as many, what is not told from 0 counts as 0.
    """
    if digits is None:
        return compute(Rationals())
    for doublings in range(DOUBLINGS):
        try:
            return compute(Intervals(digits * 2**doublings))
        except Undecided:
            continue
    return compute(Intervals(digits * 2**DOUBLINGS, last=True))


def each(function: Callable[[Any], Any], array: Array) -> Array:
    """The function of every entry, as objects."""
    out = np.empty(array.shape, object)
    for place, entry in np.ndenumerate(array):
        out[place] = function(entry)
    return out


def nearest(x: Fraction, dtype: Any) -> Any:
    """x as a number of a dtype, rounded half to even; inf where it overflows."""
    info = np.finfo(dtype)
    exponent = x.numerator.bit_length() - x.denominator.bit_length()
    exponent -= abs(x) < Fraction(2) ** exponent  # now 2^exponent ≤ |x| < 2^(exponent + 1)
    ulp = max(exponent, int(info.minexp)) - int(info.nmant)
    return np.ldexp(np.dtype(dtype).type(round(x / Fraction(2) ** ulp)), ulp)


def _sign(end: Any) -> int:
    """Of an end of an interval, as mpmath stores it: (sign, mantissa, exponent, bits), and (sign, 0, ...) for inf."""
    sign, mantissa, exponent, _ = end
    return 0 if mantissa == exponent == 0 else -1 if sign else 1


def _fraction(end: Any) -> Fraction:
    """An end of an interval, if it is within the numbers of every dtype, else one that is not."""
    _, mantissa, exponent, bits = end
    infinite = mantissa == 0 != exponent
    if infinite or abs(exponent + bits) > LARGEST_EXPONENT:
        mantissa, exponent = 1, LARGEST_EXPONENT if infinite or exponent > 0 else -LARGEST_EXPONENT
    return _sign(end) * Fraction(int(mantissa)) * Fraction(2) ** int(exponent)


def _mpmath() -> Any:
    try:
        import mpmath
    except ImportError as error:
        raise ImportError(
            "exact arithmetic for this activation, metric or criterion needs mpmath: pip install 'ecprune_np[exact]'"
        ) from error
    return mpmath
