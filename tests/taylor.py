"""One checker for anything differentiable: the remainder of a Taylor expansion must fall with its order."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

STEPS = 2.0 ** -np.arange(6, 11)


def observed_order(function: Callable[[float], np.ndarray], derivative: np.ndarray) -> float:
    """The slope of log‖function(h) − function(0) − h · derivative‖ against log h: 2 for a right derivative.

    A wrong derivative gives 1.  Where the remainder is rounding at every step, the function is affine
    and the derivative exact: the order is inf.
    """
    start = function(0.0)
    remainders = np.array([np.abs(function(h) - start - h * derivative).max() for h in STEPS])
    if (remainders <= 1e-13 * (1 + np.abs(start).max() + np.abs(derivative).max())).all():
        return np.inf
    return float(np.polyfit(np.log(STEPS), np.log(remainders), 1)[0])
