"""Memory that is freed stays with the process while networks run, whichever thread had it."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest

from geoseg import allocator
from geoseg.allocator import _libc, in_kept_memory

glibc_only = pytest.mark.skipif(not hasattr(_libc(), "mallopt"), reason="only glibc can be told")

CODE = """
import resource
{first}
import geoseg.segmenter
import torch
from concurrent.futures import ThreadPoolExecutor

def touch(_):
    for side in (1024, 1500, 3000):  # up to 36 MB
        torch.zeros(side, side).add_(1)

with ThreadPoolExecutor(1) as pool:
    list(pool.map(touch, range(2)))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    list(pool.map(touch, range(20)))
    print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


# Threads that were there before, as in a notebook or a worker; one of them runs windows.
THREADS = """
import ctypes, resource, threading
from concurrent.futures import ThreadPoolExecutor
ctypes.CDLL(None).prctl(41, 1, 0, 0, 0)  # pages of 4 kB, as many as there would be of them
over, there = threading.Event(), [bytearray(300_000)]

def wait():
    there.append(bytearray(300_000))
    over.wait()

def here(function, *arguments):
    return function(*arguments)

waiting = [threading.Thread(target=wait, daemon=True) for _ in range(3)]
with ThreadPoolExecutor(1) as pool:
    pool.submit(bytearray, 300_000).result()
    for each in waiting:
        each.start()
    import torch
    from geoseg.allocator import in_kept_memory
    from geoseg.segmenter import Segmenter

    def touch(number):
        torch.zeros(5000, 5000).add_(1)  # 100 MB
        return number

    def touched(number):
        return {how}(touch, number)

    assert list(pool.map(touched, range(8))) == list(range(8))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    list(pool.map(touched, range(20)))
    print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
over.set()
"""


@glibc_only
@pytest.mark.parametrize(("how", "least", "most"), [("in_kept_memory", 0, 0.5), ("here", 0.9, 2)])
def test_threads_that_were_there_first_have_windows_run_where_memory_is_kept(
    how: str, least: float, most: float
) -> None:
    code = THREADS.format(how=how)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    pages = 20 * 4 * 5000**2 // 4096
    assert least <= int(done.stdout) / pages < most


@pytest.fixture
def places(monkeypatch: pytest.MonkeyPatch) -> Iterator[set[int]]:
    """Threads that have the first place, and none that wait from before."""
    first: set[int] = set()
    monkeypatch.setattr(allocator, "_threads", threads := allocator._Threads())
    monkeypatch.setattr(allocator, "_has_first_place", lambda: threading.get_ident() in first)
    yield first
    for each in threads.idle:
        each.shutdown()


def third_has_it(first: set[int], monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Every third thread that is asked has the first place; gives those that were asked."""
    asked: list[int] = []

    def has_it() -> bool:
        own = threading.get_ident()
        if threading.current_thread().name.startswith("geoseg-network") and own not in asked:
            asked.append(own)
            if len(asked) % 3 == 0:
                first.add(own)
        return own in first

    monkeypatch.setattr(allocator, "_has_first_place", has_it)
    return asked


def test_a_call_returns_and_raises_as_ever_and_its_thread_is_used_again(
    places: set[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = third_has_it(places, monkeypatch)
    for _ in range(3):
        assert in_kept_memory(divmod, 7, 2) == (3, 1)
        with pytest.raises(ZeroDivisionError):
            in_kept_memory(divmod, 7, 0)
        assert in_kept_memory(threading.get_ident) == asked[2]
        assert in_kept_memory(in_kept_memory, threading.get_ident) == asked[2]
    assert len(asked) == 3


def test_calls_beside_each_other_have_threads_of_their_own(
    places: set[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = third_has_it(places, monkeypatch)
    together = threading.Barrier(4, timeout=60)

    def meet() -> int:
        together.wait()
        return threading.get_ident()

    with ThreadPoolExecutor(4) as callers:
        calls = [callers.submit(in_kept_memory, meet) for _ in range(4)]
        assert len({call.result() for call in calls} & set(asked)) == 4
    assert len(asked) == 12


def test_where_no_thread_has_the_place_it_is_looked_for_once_and_calls_are_made_in_place(
    places: set[int],
) -> None:
    before = threading.active_count()
    assert in_kept_memory(threading.get_ident) == threading.get_ident()
    assert allocator._threads.take() is None
    for thread in threading.enumerate():
        if thread.name.startswith("geoseg-network"):
            thread.join(60)
    assert threading.active_count() <= before


def test_where_no_more_threads_are_allowed_calls_are_made_in_place(
    places: set[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(ThreadPoolExecutor, "submit", refuse)
    assert in_kept_memory(divmod, 7, 2) == (3, 1)
    allocator._threads.idle.append(ThreadPoolExecutor(1))
    monkeypatch.setattr(allocator._threads, "_in_vain", False)
    assert in_kept_memory(divmod, 7, 2) == (3, 1)  # nor with one that waits, when all ends


def test_a_thread_whose_call_is_given_up_is_not_given_the_next_one(
    places: set[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, over = threading.Event(), threading.Event()

    def work() -> None:
        begun.set()
        over.wait(60)

    def interrupted(call: Future[Any]) -> None:
        assert begun.wait(60)
        raise KeyboardInterrupt

    allocator._threads.idle.append(ThreadPoolExecutor(1))
    monkeypatch.setattr(Future, "result", interrupted)
    with pytest.raises(KeyboardInterrupt):
        in_kept_memory(work)
    assert allocator._threads.idle == []
    over.set()


@glibc_only
@pytest.mark.parametrize("first", ["", "import geoseg, dask.array, rioxarray, pandas"])
def test_memory_is_not_fetched_from_the_system_again(first: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", CODE.format(first=first)],
        capture_output=True,
        text=True,
        check=True,
    )
    pages = 20 * sum(4 * side**2 for side in (1024, 1500, 3000)) // 4096
    assert int(done.stdout) < pages / 10
