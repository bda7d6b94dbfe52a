"""Candidates in a process of their own, so that one which hangs or crashes costs one case, not the suite."""

from __future__ import annotations

import importlib
import multiprocessing
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from operator import attrgetter
from typing import Any

from ._cases import Case
from ._report import Report
from ._verdict import Candidate, Outcome, Result, judge, run

READY = "ready"
GRACE = 2.0  # seconds that a worker has to end by itself


class CannotImport(Exception):
    """The candidate's module cannot be imported, or has no such callable."""


def load(target: str) -> Candidate:
    """The callable that `package.module:function` names; raises CannotImport.  Importing runs the module's code."""
    module_name, _, path = target.partition(":")
    if not module_name or not path:
        raise CannotImport(f"candidate: expected package.module:function, got {target!r}")
    try:
        candidate: Any = attrgetter(path)(importlib.import_module(module_name))
    except (Exception, SystemExit) as error:
        raise CannotImport(f"candidate: cannot import {target!r}: {type(error).__name__}: {error}") from error
    if not callable(candidate):
        raise CannotImport(f"candidate: expected a callable, got {type(candidate).__name__} at {target!r}")
    return candidate  # type: ignore[no-any-return]


def check_in_worker(target: str, chosen: tuple[Case, ...], timeout: float) -> Report:
    """As `check`, in a new process that imports the candidate; a case may take `timeout` seconds.

    A case that takes longer, or ends the process, is that case's failure; the rest goes on in another
    process.  The import has no limit, for importing a large library may well take longer than a case.
    Raises CannotImport.
    """
    results: list[Result] = []
    while len(results) < len(chosen):
        with _worker(target) as (process, connection):
            for case in chosen[len(results) :]:
                outcome, alive = _ask(process, connection, case, timeout)
                results.append(judge(case, outcome))
                if not alive:
                    break
    return Report(target, tuple(results))


def serve(connection: Any, target: str) -> None:
    """The worker's whole life: import the candidate, then answer cases until None comes, or nobody asks any more."""
    try:
        candidate = load(target)
    except CannotImport as error:
        connection.send(str(error))
        return
    connection.send(READY)
    with suppress(EOFError, KeyboardInterrupt):
        while (case := connection.recv()) is not None:
            connection.send(run(candidate, case))


@contextmanager
def _worker(target: str) -> Iterator[tuple[BaseProcess, Connection]]:
    """A process that has imported the candidate, started anew (not forked: threads of libraries would not survive)."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=serve, args=(theirs, target))
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
