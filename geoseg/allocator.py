"""The C library's memory, kept while networks run instead of being handed back layer by layer."""

from __future__ import annotations

import ctypes
import os
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from pathlib import Path
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
TRIES = 24  # more than glibc has places unless it had many before `share_memory`


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
    Where none is to be had, the function is called in this thread.
    """
    if _has_first_place() or (thread := _threads.take()) is None:
        return function(*arguments, **named)
    try:
        done = thread.submit(function, *arguments, **named)
    except RuntimeError:  # the interpreter is about to end, and starts nothing more
        return function(*arguments, **named)
    try:
        return done.result()
    finally:
        if done.done():  # it was waited for to the end
            _threads.idle.append(thread)


class _Threads:
    """Threads that take memory where the first one does, and wait for something to do."""

    def __init__(self) -> None:
        self.idle: list[ThreadPoolExecutor] = []
        self._searching = threading.Lock()
        self._in_vain = False

    def take(self) -> ThreadPoolExecutor | None:
        """One that waits, or a new one; None where none is given that place."""
        with self._searching:
            if self.idle:
                return self.idle.pop()
            found = None if self._in_vain else _new_thread()
            self._in_vain = found is None
            return found


def _new_thread() -> ThreadPoolExecutor | None:
    others: list[ThreadPoolExecutor] = []
    try:
        for _ in range(TRIES):
            thread = ThreadPoolExecutor(1, "geoseg-network")
            if thread.submit(_has_first_place).result():
                return thread
            others.append(thread)
    except RuntimeError:  # no more threads are allowed
        pass
    finally:  # not before: the next would be given their places
        for each in others:
            each.shutdown(wait=False)
    return None


def _has_first_place() -> bool:
    """Whether this thread takes memory where the first one does, or nobody can tell.

    That place alone grows from the end of the program's data.
    """
    if (begin := _heap()) is None or (libc := _libc()) is None:
        return True
    libc.malloc.restype = libc.sbrk.restype = ctypes.c_size_t
    piece = libc.malloc(ctypes.c_size_t(PIECE))
    libc.free(ctypes.c_void_p(piece))
    return bool(begin <= piece < libc.sbrk(0))


@lru_cache
def _heap() -> int | None:
    """Where the first thread's memory begins with glibc."""
    if not hasattr(_libc(), "mallopt"):
        return None
    try:
        lines = Path("/proc/self/maps").read_text().splitlines()
    except OSError:
        return None
    return next((int(each.split("-")[0], 16) for each in lines if each.endswith("[heap]")), None)


_threads = _Threads()


def _forget_threads() -> None:
    """Threads are not forked, and one may have been searching."""
    global _threads
    _threads = _Threads()


if hasattr(os, "register_at_fork"):  # Windows has no forks
    os.register_at_fork(after_in_child=_forget_threads)


def _libc() -> ctypes.CDLL | None:
    return ctypes.CDLL(None) if sys.platform == "linux" else None
