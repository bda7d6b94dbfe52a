"""How much is tried in which profile (`conftest.py`) of what takes long."""

from __future__ import annotations

import os

from hypothesis import settings


def draws(n: int) -> settings:
    """n examples in the profile `ci`, and in another one in proportion."""
    return settings(max_examples=max(1, n * settings.default.max_examples // 50))


def every(n: int) -> slice:
    """Each nth of a list in the profile `ci`, of these each third in `again`, and all in `long`."""
    profile = os.environ.get("HYPOTHESIS_PROFILE")
    return slice(None, None, {"long": 1, "again": 3 * n}.get(profile, n))
