"""Objects that cannot be changed, nor their copies: one mechanism for all of them."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import numpy as np


class Frozen:
    """A dataclass (frozen, compared by identity) whose arrays, alone or in tuples, cannot be written to.

    What `copy`, `pickle` and `dataclasses.replace` make goes through the constructor, its checks included.
    """

    def __post_init__(self) -> None:
        for name in _names(self):
            object.__setattr__(self, name, read_only(getattr(self, name)))

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), tuple(getattr(self, name) for name in _names(self))


def read_only(value: Any) -> Any:
    """Arrays as views that cannot be written to, lists as tuples of such; anything else as it is."""
    if isinstance(value, (list, tuple)):
        return tuple(read_only(entry) for entry in value)
    if isinstance(value, np.ndarray):
        view = value.view()
        view.flags.writeable = False
        return view
    return value


def _names(instance: Any) -> list[str]:
    return [field.name for field in fields(instance)]
