"""Candidates in a process of their own, so that one which hangs or crashes costs one case, not the suite."""

from __future__ import annotations

import importlib.util
import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, redirect_stdout, suppress
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from operator import attrgetter
from pathlib import Path
from types import ModuleType
from typing import Any

from ._around import last_lines
from ._case import Case
from ._check import not_offered
from ._kinds import taken_by
from ._outcome import Outcome
from ._report import Report
from ._run import Candidate, run
from ._suite import Interrupted, Progress, run_suite

READY, OPTIONS_ASKED = "ready", "options"
GRACE = 2.0  # seconds that a worker has to end by itself


class CannotImport(Exception):
    """The candidate's module cannot be imported, or has no such callable."""


def load(target: str) -> Candidate:
    """The callable that `package.module:function` or `folder/file.py:function` names; raises CannotImport.

    Importing runs the module's code.
    """
    module_name, _, path = target.rpartition(":")
    if not module_name or not path:
        raise CannotImport(f"candidate: expected package.module:function or file.py:function, got {target!r}")
    try:
        with redirect_stdout(sys.stderr):
            candidate: Any = attrgetter(path)(_module(module_name))
    except (Exception, SystemExit) as error:
        lines = "".join(f"\n    {line}" for line in last_lines(error).splitlines() if "importlib" not in line)
        raise CannotImport(f"candidate: cannot import {target!r}: {type(error).__name__}: {error}{lines}") from error
    if not callable(candidate):
        raise CannotImport(f"candidate: expected a callable, got {type(candidate).__name__} at {target!r}")
    return candidate  # type: ignore[no-any-return]


def _module(name: str) -> ModuleType:
    """A module by its name, or by its file, whose folder is searched for what it imports."""
    if not name.endswith(".py"):
        return importlib.import_module(name)
    file = Path(name).resolve()
    sys.path.insert(0, str(file.parent))
    specification = importlib.util.spec_from_file_location(file.stem, file)
    assert specification is not None and specification.loader is not None  # the name ends with .py
    module = importlib.util.module_from_spec(specification)
    sys.modules[file.stem] = module
    specification.loader.exec_module(module)
    return module


def check_in_worker(
    target: str,
    among: tuple[Case, ...],
    timeout: float,
    first_only: bool = False,
    progress: Progress | None = None,
) -> Report:
    """As `check` on these cases, in a new process that imports the candidate; a case may take `timeout` seconds.

    Cases that use keywords which the candidate does not take are left out.  A case that takes longer, or ends the
    process, is that case's failure; the rest goes on in another process.  The import has no limit, for importing a
    large library may well take longer than a case.  Ctrl-C ends it with the results so far.  Raises CannotImport.
    """
    notes: tuple[str, ...] = ()
    with _Workers(target, timeout) as workers:
        takes = workers.takes()
        left_out = not_offered(among, takes)
        chosen = tuple(case for case in among if case not in left_out)
        try:
            results = run_suite(workers.ask, chosen, first_only, progress)
        except Interrupted as error:
            results, notes = error.results, (f"interrupted after {len(error.results)} of {len(chosen)} cases",)
    if first_only and len(results) < len(chosen):
        notes = (f"stopped at the first failure, after {len(results)} of {len(chosen)} cases",)
    return Report(target, results, notes, takes=takes, not_offered=left_out)


class _Workers:
    """One process after another, a new one where the last one is gone."""

    def __init__(self, target: str, timeout: float) -> None:
        self.target, self.timeout = target, timeout
        self.stack = ExitStack()
        self.worker: tuple[BaseProcess, Connection] | None = None

    def __enter__(self) -> _Workers:
        self.worker = self.stack.enter_context(_worker(self.target))
        return self

    def __exit__(self, *error: object) -> None:
        self.stack.close()

    def takes(self) -> tuple[str, ...]:
        """The options that the candidate's signature names; none where the process is gone."""
        assert self.worker is not None
        _, connection = self.worker
        _send(connection, OPTIONS_ASKED)
        try:
            names: tuple[str, ...] = connection.recv()
        except (EOFError, OSError):
            return ()
        return names

    def ask(self, case: Case) -> Outcome:
        if self.worker is None:
            self.worker = self.stack.enter_context(_worker(self.target))
        outcome, alive = _ask(*self.worker, case, self.timeout)
        if not alive:
            self.stack.close()
            self.worker = None
        return outcome


def serve(connection: Any, target: str) -> None:
    """The worker's whole life: import the candidate, then answer cases until None comes, or nobody asks any more."""
    try:
        candidate = load(target)
    except CannotImport as error:
        connection.send(str(error))
        return
    connection.send(READY)
    with suppress(EOFError, KeyboardInterrupt):
        while (asked := connection.recv()) is not None:
            connection.send(tuple(taken_by(candidate)) if asked == OPTIONS_ASKED else run(candidate, asked))


def _live(connection: Any, target: str) -> None:
    """`serve`, where ctrl-C is the parent's to hear, and whatever is printed goes to stderr, also by C code."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.dup2(2, 1)
    serve(connection, target)


@contextmanager
def _worker(target: str) -> Iterator[tuple[BaseProcess, Connection]]:
    """A process that has imported the candidate, started anew (not forked: threads of libraries would not survive)."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_live, args=(theirs, target))
    process.start()
    theirs.close()
    try:
        try:
            message = ours.recv()
        except EOFError:
            process.join(GRACE)
            message = f"candidate: importing {target!r} ended the process ({_exit(process)})"
        if message != READY:
            raise CannotImport(message)
        yield process, ours
        _send(ours, None)
        process.join(GRACE)
    finally:
        process.kill()
        process.join()
        ours.close()


def _ask(process: BaseProcess, connection: Connection, case: Case, timeout: float) -> tuple[Outcome, bool]:
    """The answer to a case, and whether the worker is alive after it."""
    started = time.monotonic()
    _send(connection, case)
    try:
        if connection.poll(timeout):
            outcome: Outcome = connection.recv()
            return outcome, True
    except (EOFError, OSError):
        process.join(GRACE)
        return Outcome(problem=f"the process ended ({_exit(process)})"), False
    process.kill()
    return Outcome(problem=f"timed out after {time.monotonic() - started:.1f} s"), False


def _send(connection: Connection, message: Any) -> None:
    with suppress(OSError):  # where the worker is gone, receiving finds out
        connection.send(message)


def _exit(process: BaseProcess) -> str:
    code = process.exitcode
    return f"signal {-code}" if code is not None and code < 0 else f"exit code {code}"
