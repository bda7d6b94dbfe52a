"""Hypothesis profiles: `ci` is deterministic; HYPOTHESIS_PROFILE=long draws fifteen times as many, `again` fewer.

`again` is for a second run in one go, with every framework there.  BLAS has one thread, unless OMP_NUM_THREADS says
otherwise: the networks are small, and threads that wait for each other take many times as long where others work too.
"""

from __future__ import annotations

import os
import signal

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # a shell that runs this in the background; ctrl-C is tested too
    signal.signal(signal.SIGINT, signal.default_int_handler)

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before NumPy is imported

from hypothesis import HealthCheck, settings

settings.register_profile(
    "ci", max_examples=50, derandomize=True, deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile("again", settings.get_profile("ci"), max_examples=20)
settings.register_profile("long", settings.get_profile("ci"), max_examples=750, derandomize=False)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))
