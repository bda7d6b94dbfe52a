"""Blocks of samples side by side, a thread each, instead of all of BLAS's threads at one matrix product at a time.

Beside the products, NumPy works on one thread, while BLAS's wait.  They can be counted and set only through
threadpoolctl, an optional extra; without it, blocks are done one after the other.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor, wait
from contextlib import contextmanager
from functools import cache, partial
from typing import Any

Map = Callable[..., Iterable[Any]]  # Python's, or one like it

_BLAS = threading.Lock()  # held by whoever has set BLAS's threads, which are those of the whole process


@contextmanager
def side_by_side(n_items: int) -> Iterator[Map]:
    """A `map` on as many threads as BLAS has, if so many deal `n_items` out evenly; BLAS has one thread meanwhile.

    Otherwise, and where somebody else has set BLAS's threads, `map` itself.
    """
    blas = _blas()
    n_threads = max((info["num_threads"] for info in blas.info()), default=1) if blas else 1
    if n_threads == 1 or n_items % n_threads > 0 or not _BLAS.acquire(blocking=False):
        yield map
        return
    try:
        with blas.limit(limits=1), ThreadPoolExecutor(n_threads) as pool:
            yield partial(_map_on, pool)
    finally:
        _BLAS.release()


def _map_on(pool: Executor, function: Callable[..., Any], *iterables: Iterable[Any]) -> Iterator[Any]:
    """`map` on a pool's threads, all items at once; where one fails, no other is at work any more when it is said.

    The error may be followed by another attempt, in the same memory.
    """
    futures = [pool.submit(function, *items) for items in zip(*iterables)]
    try:
        for future in futures:
            yield future.result()
    finally:
        for future in futures:
            future.cancel()
        wait(futures)


@cache
def _blas() -> Any:
    """What counts and sets the threads of the BLAS that is loaded, or None where threadpoolctl is not installed."""
    try:
        from threadpoolctl import ThreadpoolController
    except ImportError:
        return None
    return ThreadpoolController().select(user_api="blas")
