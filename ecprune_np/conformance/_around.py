"""What surrounds a candidate while it runs: nothing that it leaves behind reaches the next case, or the report."""

from __future__ import annotations

import builtins
import os
import sys
import traceback
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from operator import is_
from pathlib import Path
from types import ModuleType

import numpy as np

PACKAGE = Path(__file__).parents[1]
OF_LIBRARIES = ("KMP_DUPLICATE_LIB_OK",)  # variables that libraries set when they are imported (threadpoolctl)
FRAMES = 3  # of a traceback that are kept, the last ones
USUAL = {"divide": "warn", "over": "warn", "under": "ignore", "invalid": "warn"}  # as NumPy comes


@contextmanager
def sheltered() -> Iterator[list[str]]:
    """Run a candidate as in a fresh process, and put back what it changed; the list names that in the end.

    NumPy's warnings are silenced: 0/0 behind a mask is no mistake, NaN in the answer is.  What it prints goes to
    stderr, so that it does not stand in the report.
    """
    changed: list[str] = []
    modules = {module: dict(vars(module)) for module in (np, builtins)}
    folder, options, environment = os.getcwd(), np.get_printoptions(), dict(os.environ)
    with warnings.catch_warnings(), redirect_stdout(sys.stderr), np.errstate(all="warn"):
        warnings.simplefilter("ignore")
        np.seterr(all=None, **USUAL)  # type: ignore[arg-type]
        try:
            yield changed
        finally:
            if np.geterr() != USUAL:
                changed.append("np.seterr")
            changed += [name for module, before in modules.items() for name in _restored(module, before)]
            if np.get_printoptions() != options:
                np.set_printoptions(**options)
                changed.append("np.set_printoptions")
            environment |= {name: os.environ[name] for name in OF_LIBRARIES if name in os.environ}
            if os.environ != environment:
                os.environ.clear()
                os.environ.update(environment)
                changed.append("os.environ")
            if os.getcwd() != folder:
                os.chdir(folder)
                changed.append("the working directory")


def _restored(module: ModuleType, before: dict[str, object]) -> list[str]:
    """What a module no longer has, or has otherwise; put back."""
    now = vars(module)
    if now.keys() == before.keys() and all(map(is_, now.values(), before.values())):  # as almost always
        return []
    lost = [name for name, value in before.items() if now.get(name, module) is not value and name != "_"]
    for name in lost:
        setattr(module, name, before[name])
    return [f"{module.__name__}.{name}" for name in lost]


def last_lines(error: BaseException) -> str:
    """The last frames of an exception that are the candidate's own, a line each: file, line, function, code."""
    frames = [f for f in traceback.extract_tb(error.__traceback__) if not Path(f.filename).is_relative_to(PACKAGE)]
    return "\n".join(f"{Path(f.filename).name}:{f.lineno} in {f.name}: {f.line}" for f in frames[-FRAMES:])
