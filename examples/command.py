"""The command line of an experiment, and its networks in processes of their own."""

from __future__ import annotations

import argparse
import importlib.util
import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from experiment import keys
from rows import RESULTS, Case, Results, Row, Settings, check_settings, existing_rows, smallest_first

INSTALL = "install it with: pip install -e '.[examples]'"


def completed_rows(
    options: argparse.Namespace,
    file: Path,
    work: Callable[[Case, Settings, Path, Any], None],
    cases: list[Case],
    settings: Settings,
    source: Any = None,
    keys: Callable[[Case, Settings], list[tuple[Any, ...]]] = keys,
) -> list[Row]:
    """All rows of a file, after those that the cases lack in it have been computed; with --report none are."""
    if not options.report:
        file.parent.mkdir(parents=True, exist_ok=True)
        check_settings(file, settings)
        wanted = {key for case in cases for key in keys(case, settings)}
        run_all(work, [(case, settings, file, source) for case in cases], wanted, Results(file), options.jobs)
    return sorted(existing_rows(file), key=smallest_first)


def run_all(
    work: Callable[..., None], tasks: list[tuple[Any, ...]], wanted: set[Any], results: Results, jobs: int
) -> None:
    """`work` on every task, in `jobs` processes of one thread each, with a bar that counts the wanted rows."""
    from tqdm import tqdm

    def n_done() -> int:
        return len(wanted & {row.key for row in results.rows()})

    for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[variable] = "1"  # read by the new processes; one order of summation, one core each
    context = multiprocessing.get_context("spawn")
    with tqdm(total=len(wanted), initial=n_done(), unit="row", desc=results.file.stem, disable=None) as bar:
        pool = ProcessPoolExecutor(jobs, context, initializer=_die_when_interrupted)
        try:
            pending: set[Future[None]] = {pool.submit(work, *task) for task in tasks}
            while pending:
                finished, pending = wait(pending, timeout=1, return_when=FIRST_COMPLETED)
                for future in finished:
                    future.result()
                bar.update(n_done() - bar.n)
        except BaseException:
            for process in multiprocessing.active_children():
                process.terminate()
            raise
        finally:
            pool.shutdown(cancel_futures=True)


def _die_when_interrupted() -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # without a traceback from each process


def parser(description: str) -> argparse.ArgumentParser:
    """The options that both experiments have."""
    p = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--seed", type=int, action="append", metavar="N", help="run this seed; repeatable (default: 0 1 2)")
    p.add_argument("--quick", action="store_true", help="a tiny run, under a minute, into OUT/quick")
    p.add_argument("--jobs", type=int, default=1, metavar="N", help="processes of one thread each (default: 1)")
    p.add_argument("--out", type=Path, default=RESULTS, metavar="DIR", help="rows and figures (default: %(default)s)")
    p.add_argument("--no-figures", action="store_true", help="rows only; matplotlib is not needed")
    p.add_argument("--report", action="store_true", help="draw and print what the rows say, without running anything")
    return p


def main(name: str, options: argparse.Namespace, body: Callable[[argparse.Namespace, Path], None]) -> int:
    """Run `body` and say what goes wrong in one line: 1 for a failure, 130 for an interruption, or SIGTERM.

    The rows that are finished stay in the file in every case, and no process stays behind.
    """
    folder = options.out / "quick" if options.quick else options.out
    file = folder / f"{name}.csv"
    needed = ["tqdm"] * (not options.report) + ["matplotlib"] * (not options.no_figures)
    missing = [module for module in needed if importlib.util.find_spec(module) is None]
    if missing:
        also = " (or leave the figures out with --no-figures)" if missing == ["matplotlib"] else ""
        print(f"{name}: {missing[0]} is missing; {INSTALL}{also}", file=sys.stderr)
        return 1
    start = time.perf_counter()
    try:
        _check_options(options)
        with terminated_as_interrupted():
            body(options, file)
    except (ValueError, OSError, BrokenProcessPool) as error:
        print(f"{name}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"\n{name}: interrupted; finished rows are in {file}, the same command continues", file=sys.stderr)
        return 130
    print(f"{name}: {time.perf_counter() - start:.0f} s, {file}", file=sys.stderr)
    return 0


@contextmanager
def terminated_as_interrupted() -> Iterator[None]:
    """SIGTERM as Ctrl-C, for a process that it ends leaves its workers at work."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _check_options(options: argparse.Namespace) -> None:
    if options.jobs < 1:
        raise ValueError(f"--jobs: expected at least 1, got {options.jobs}")
    if options.seed is not None and min(options.seed) < 0:
        raise ValueError(f"--seed: expected no negative number, got {min(options.seed)}")
