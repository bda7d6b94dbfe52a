"""Memory that a thread uses for one block of samples after another."""

from __future__ import annotations

import math
import threading

import numpy as np
import numpy.typing as npt

from .._types import Array

ALIGNMENT = 64  # elements: arrays start at a cache line of their own


class Scratch(threading.local):
    """Arrays by name, each thread's own, in one piece of memory of `size` elements; those that do not fit, beside it.

    Freed after each block, it would go back to the system, which clears it page by page for the next one.
    """

    def __init__(self, size: int, dtype: npt.DTypeLike) -> None:
        self._unused = np.empty(size, dtype)
        self._named: dict[str, Array] = {}

    def array(self, name: str, *shape: int) -> Array:
        """An array of that shape, with arbitrary values, where the one was that had this name before."""
        size = math.prod(shape)
        if name not in self._named or len(self._named[name]) < size:
            self._named[name] = self._take(size)
        return self._named[name][:size].reshape(shape)

    def _take(self, size: int) -> Array:
        if size > len(self._unused):
            return np.empty(size, self._unused.dtype)
        taken, self._unused = self._unused[:size], self._unused[-(-size // ALIGNMENT) * ALIGNMENT :]
        return taken
