"""Memory that is freed stays with the process while networks run, whichever thread had it."""

from __future__ import annotations

import subprocess
import sys
import threading

import pytest

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
import resource, threading
from concurrent.futures import ThreadPoolExecutor
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


def test_what_is_called_where_memory_is_kept_returns_and_raises_as_ever() -> None:
    found: list[object] = []

    def call() -> None:
        found.append(in_kept_memory(divmod, 7, 2))
        try:
            in_kept_memory(divmod, 7, 0)
        except ZeroDivisionError as error:
            found.append(error)

    for _ in range(2):  # the second finds a thread that waits
        thread = threading.Thread(target=call)
        thread.start()
        thread.join()
    assert [type(each) for each in found] == [tuple, ZeroDivisionError] * 2
    assert found[::2] == [(3, 1)] * 2


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
