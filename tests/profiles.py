"""How much is tried in which profile (`conftest.py`) of what takes long."""

from __future__ import annotations

import os

from hypothesis import settings


def draws(n: int, more: bool = True) -> settings:
    """n examples in the profile `ci`, and in another one in proportion; without `more` never others, and no more."""
    scaled = max(1, n * settings.default.max_examples // 50)
    return settings(max_examples=scaled) if more else settings(max_examples=min(n, scaled), derandomize=True)


def every(n: int) -> slice:
    """Each nth of a list in the profile `ci`, of these each third in `again`, and all in `long`."""
    profile = os.environ.get("HYPOTHESIS_PROFILE")
    return slice(None, None, {"long": 1, "again": 3 * n}.get(profile, n))
