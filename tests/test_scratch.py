"""Memory that is used again: each name's and each thread's its own, whatever the order and the sizes."""

from __future__ import annotations

import threading

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from ecprune_np.streaming.scratch import Scratch

REQUESTS = st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 5), st.integers(0, 40)), max_size=12)


@given(st.integers(0, 500), REQUESTS, st.sampled_from([np.float32, np.float64]))
def test_arrays_of_other_names_are_left_alone(size: int, requests: list[tuple[str, int, int]], dtype: type) -> None:
    scratch = Scratch(size, dtype)
    latest: dict[str, tuple[np.ndarray, int]] = {}
    for number, (name, *shape) in enumerate(requests):
        array = scratch.array(name, *shape)
        assert array.shape == tuple(shape) and array.dtype == dtype and array.flags.c_contiguous
        array[:] = number
        latest[name] = array, number
        assert all((a == expected).all() for a, expected in latest.values())


def test_the_same_name_is_the_same_memory() -> None:
    for size in (0, 100):  # of its own, and in the one piece
        scratch = Scratch(size, np.float64)
        first = scratch.array("a", 4, 5)
        assert np.shares_memory(scratch.array("a", 3, 2), first[0])
        assert np.shares_memory(scratch.array("a", 20), first)


def test_arrays_are_in_one_piece_as_long_as_it_lasts() -> None:
    scratch = Scratch(200, np.float64)
    a, b, c = scratch.array("a", 60), scratch.array("b", 60), scratch.array("c", 80)
    assert a.base is b.base and a.base is not None and c.base is not a.base
    assert b.ctypes.data - a.ctypes.data == 64 * 8


def test_another_thread_has_memory_of_its_own() -> None:
    scratch = Scratch(100, np.float64)
    arrays = [scratch.array("a", 10)]
    thread = threading.Thread(target=lambda: arrays.append(scratch.array("a", 10)))
    thread.start()
    thread.join()
    assert not np.shares_memory(*arrays)
