"""Ends when the program that started it does, which a pipe tells that only that program holds.

A program that is killed ends no other one. But the pipes that it held are closed for it, so one
that starts geoseg with a pipe as standard input, and keeps it open, is gone when the pipe ends.
"""

from __future__ import annotations

import os
import select
import signal
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Set
from pathlib import Path
from typing import NamedTuple

from geoseg.errors import UserError

__all__ = ["attach"]

GRACE = 1.0  # seconds that processes have to end by themselves
STEP = 0.02  # seconds between two looks at them
STATUS = 128 + signal.SIGTERM


def attach() -> None:
    """End this process, and those it started, as soon as standard input ends.

    They are asked to (SIGTERM) and, a second later, made to (SIGKILL): the whole process group
    where this process leads one, else itself and its descendants alone. On Windows there is no
    asking, and the process itself ends; files are whole at any moment.

    Raises
    ------
    UserError
        When standard input is no pipe that somebody holds.
    """
    _refuse_what_does_not_last()
    threading.Thread(target=_watch, name="geoseg-attached", daemon=True).start()


def _refuse_what_does_not_last() -> None:
    try:
        mode = os.fstat(0).st_mode
    except OSError:
        raise _unfit("is closed") from None
    if not (stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)):
        raise _unfit("is no pipe")
    if sys.platform != "win32":
        look = select.poll()
        look.register(0, select.POLLIN)
        events = dict(look.poll(0)).get(0, 0)
        if events & select.POLLHUP and not events & select.POLLIN:
            raise _unfit("has ended already")


def _unfit(fault: str) -> UserError:
    return UserError(
        f"standard input {fault}; with --attached the program that starts geoseg gives it a pipe "
        "there and keeps it open: do so, or leave --attached out"
    )


def _watch() -> None:
    while _goes_on():
        pass
    # The interpreter waits for threads that are no daemons, so an early end leaves no process.
    threading.Thread(target=_end, name="geoseg-end", daemon=False).start()


def _goes_on() -> bool:
    """Read what comes, which nobody wants; tells whether there may be more."""
    try:
        return bool(os.read(0, 1 << 16))
    except OSError:
        return False


def _end() -> None:
    if sys.platform == "win32":
        os._exit(STATUS)
    else:
        deadline = time.monotonic() + GRACE
        others = companions()
        _send(others, signal.SIGTERM)
        while others and time.monotonic() < deadline:
            time.sleep(STEP)
            others = companions(others)
        _send(others, signal.SIGKILL)
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(2 * GRACE)  # whoever handles the signal ends the process sooner
        os._exit(STATUS)


def _send(processes: Set[int], number: signal.Signals) -> None:
    for each in processes:
        try:
            os.kill(each, number)
        except OSError:  # it is gone
            continue


class Process(NamedTuple):
    """One process of this machine."""

    id: int
    parent: int
    group: int


def companions(known: Set[int] = frozenset()) -> set[int]:
    """Processes that must not outlive this one: of its group if it leads one, and descendants.

    Parameters
    ----------
    known : set of int
        Those found before: one whose parent has ended is nobody's descendant any more.
    """
    own, there = os.getpid(), _processes()
    leads = os.getpgrp() == own
    found = {own, *known} | {each.id for each in there if leads and each.group == own}
    while more := {each.id for each in there if each.parent in found} - found:
        found |= more
    return found & {each.id for each in there} - {own}


def _processes() -> list[Process]:
    """All that are alive."""
    facts = _told_by_proc() if Path("/proc/self/stat").exists() else _told_by_ps()
    return [
        Process(int(number), int(parent), int(group))
        for number, state, parent, group in facts
        if not state.startswith(("Z", "X"))  # has ended, and nobody asked for it yet
    ]


def _told_by_proc() -> list[list[str]]:
    lines = [line for path in Path("/proc").glob("[0-9]*/stat") if (line := _read(path))]
    # The name, in parentheses, may hold anything; state, parent and group follow it.
    return [[line.split(" ", 1)[0], *line.rpartition(")")[2].split()[:3]] for line in lines]


def _told_by_ps() -> list[list[str]]:
    words = ["/bin/ps", "-A", "-o", "pid=,stat=,ppid=,pgid="]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as ps:  # noqa: S603
        lines = [line.split() for line in ps.communicate()[0].splitlines()]
    return [each for each in lines if each[0] != str(ps.pid)]


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:  # it has ended meanwhile
        return ""
