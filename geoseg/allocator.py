"""The C library's memory, kept while networks run instead of being handed back layer by layer."""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import ParamSpec, TypeVar

__all__ = ["in_kept_memory", "keep_memory", "release_memory", "share_memory"]

Given = ParamSpec("Given")
Result = TypeVar("Result")

# Options of glibc's mallopt(3), by their numbers in malloc.h, and their values.
_OPTIONS = {
    "M_MMAP_MAX": (-4, 0),  # no piece is a mapping of its own, which is unmapped when freed
    "M_TRIM_THRESHOLD": (-1, -1),  # never
    "M_TOP_PAD": (-2, 64 << 20),
}
_ARENA_MAX = -8
PIECE = 1 << 16  # bytes: more than threads keep at hand, less than would be a mapping of its own
TRIES = 256  # more than glibc has places on 16 cores

_idle: list[ThreadPoolExecutor] = []  # threads, one each, that wait for something to do


@lru_cache
def share_memory() -> None:
    """Have all threads take memory from one place with glibc; elsewhere nothing happens.

    Threads that have places of their own get large pieces from the system and give them back at
    once, whatever `keep_memory` says: a U-Net with windows of 2256 pixels ran 1.2 times as long.
    Threads that were there before keep theirs; see `in_kept_memory`.
    """
    if mallopt := getattr(_libc(), "mallopt", None):
        mallopt(_ARENA_MAX, 1)


@lru_cache
def keep_memory() -> None:
    """Have glibc keep freed memory for the next layer; elsewhere nothing happens.

    Every layer of a network frees and asks for tens of megabytes. Glibc gives such pieces back to
    the system at once, and fetching them again, page by page, takes longer than many a layer: two
    convolutions ran 2.4 times as long, a U-Net with windows of 2048 pixels 1.8 times.
    `release_memory` gives back what is unused.
    """
    if mallopt := getattr(_libc(), "mallopt", None):
        for option, value in _OPTIONS.values():
            mallopt(option, value)


def release_memory() -> None:
    """Hand freed memory back to the system."""
    if trim := getattr(_libc(), "malloc_trim", None):
        trim(0)


def in_kept_memory(
    function: Callable[Given, Result], *arguments: Given.args, **named: Given.kwargs
) -> Result:
    """Call a function in a thread whose freed memory is kept, and wait for it.

    In a notebook, or on a worker of dask, there were threads before geoseg was imported. Glibc
    gives each a place of its own, which holds pieces of 64 MB at most and hands larger ones back
    whatever it was told: a U-Net ran 1.6 times as long on workers, 1.25 times beside five such
    threads. The place of the first thread has no such limit, and new ones are given it in turn.
    """
    if _has_first_place():
        return function(*arguments, **named)
    try:
        thread = _idle.pop()
    except IndexError:
        thread = _thread_of_first_place()
    try:
        return thread.submit(function, *arguments, **named).result()
    finally:
        _idle.append(thread)


def _thread_of_first_place() -> ThreadPoolExecutor:
    """A thread that takes memory where the first one does; any, if none is given that place."""
    keep_memory()
    threads: list[ThreadPoolExecutor] = []
    try:
        for _ in range(TRIES):
            threads.append(ThreadPoolExecutor(1, "geoseg-network"))
            if threads[-1].submit(_has_first_place).result():
                break
        return threads.pop()
    finally:  # not before: the next would be given their places
        for each in threads:
            each.shutdown(wait=False)


def _has_first_place() -> bool:
    """Whether this thread takes memory where the first one does, or nobody can tell.

    That place alone grows from the end of the program's data, which is below all mappings.
    """
    if (libc := _libc()) is None or not hasattr(libc, "mallopt"):
        return True
    libc.malloc.restype = libc.sbrk.restype = ctypes.c_size_t
    piece = libc.malloc(ctypes.c_size_t(PIECE))
    libc.free(ctypes.c_void_p(piece))
    return bool(piece < libc.sbrk(0))


if hasattr(os, "register_at_fork"):  # threads are not forked; Windows has no forks
    os.register_at_fork(after_in_child=_idle.clear)


def _libc() -> ctypes.CDLL | None:
    return ctypes.CDLL(None) if sys.platform == "linux" else None
