"""Locks of the folders that runs work in: those of the operating system, or of a storage."""

from __future__ import annotations

import json
import os
import shutil
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from socket import gethostname

from filelock import BaseFileLock, FileLock, Timeout

from geoseg import lease
from geoseg.errors import UserError
from geoseg.lease import STALE, beating, leased, machine, owner, taken
from geoseg.places import Place, Remote

__all__ = ["HOLDER", "LOCK", "locked", "refuse_lost"]

LOCK = "lock"
HOLDER = "holder.json"  # beside the lock, for libraries empty or replace its file
POLL = 0.5  # seconds between two looks at a lock that another run holds


@contextmanager
def locked(folder: Place, wait: bool = False) -> Iterator[bool]:
    """Keep other processes away from the folder of a run, which is made if it is not there.

    The lock belongs to the process, so that of one that died is gone with it; where it did on
    another machine, some time later. See `leased` for that of a storage.

    Parameters
    ----------
    folder : Path
    wait : bool
        Whether to wait for the end of a run that holds it.

    Yields
    ------
    bool
        Whether there was one to wait for.

    Raises
    ------
    UserError
        When another run holds it.
    """
    if isinstance(folder, Remote):
        with leased(folder / LOCK, wait) as waited:
            yield waited
        return
    lock = FileLock(folder / LOCK, timeout=0)
    waited = taken(folder, lambda: _take(folder, lock), wait, POLL)
    try:
        since = datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
        facts = {"pid": os.getpid(), "host": gethostname(), "machine": machine(), "since": since}
        facts["owner"] = owner()
        (folder / HOLDER).write_text(json.dumps(facts), encoding="utf-8")
        with beating(lambda: _touched(folder)):
            yield waited
    finally:
        try:
            # While it is held, for afterwards it may be another's. The next run takes over what a
            # disk that fails leaves here, and what this one met is not to be hidden.
            with suppress(OSError):
                _clear(folder)
        finally:
            lock.release()


def _clear(folder: Path) -> None:
    """Remove our sign of life, and the folder when nothing but the lock is left in it."""
    if _is_ours(folder):
        (folder / HOLDER).unlink(missing_ok=True)
    if {path.name for path in folder.glob("*")} <= {LOCK}:
        shutil.rmtree(folder, ignore_errors=True)  # Windows keeps files that are open


def refuse_lost(folder: Place) -> None:
    """Refuse to go on where another run took the folder over, which was thought to be abandoned.

    On a shared folder whose locks are known to one machine alone, that of a run that was stopped
    for long is taken by another machine.

    Raises
    ------
    UserError
    """
    if isinstance(folder, Remote):
        lease.refuse_lost(folder / LOCK)
    elif not _is_ours(folder):
        raise UserError(
            f"{_holder(folder)} took over {folder} while this run gave no sign of life; nothing "
            "was written: wait for its end, and give the same command again"
        )


def _is_ours(folder: Path) -> bool:
    """Whether the sign of life beside a lock is that of this process."""
    try:
        facts = json.loads((folder / HOLDER).read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):  # of one that has ended, or has just begun
        return False
    return isinstance(facts, dict) and facts.get("owner") == owner()


def _take(folder: Path, lock: BaseFileLock) -> str | None:
    """Take the lock of a folder; who holds it, in words, where that cannot be."""
    while True:
        folder.mkdir(exist_ok=True)
        try:
            with warnings.catch_warnings():  # of file systems whose locks are files that exist
                warnings.simplefilter("ignore", UserWarning)
                lock.acquire()
        except Timeout:
            return _holder(folder)
        except FileNotFoundError:  # whoever had it removes the folder
            continue
        if (folder / LOCK).exists():
            if not _is_held_elsewhere(folder):
                return None
            lock.release()
            return f"{_holder(folder)} last seen less than {STALE:g} s ago,"
        lock.release()  # whoever had it removed it between our two steps


def _is_held_elsewhere(folder: Path) -> bool:
    """Whether another machine gives signs of life, though this one could take the lock.

    On some shared folders a lock is known to the machine alone that took it. The clock is that of
    the folder's disk.
    """
    try:
        facts = json.loads((folder / HOLDER).read_text(encoding="utf-8"))
        if facts["machine"] == machine():
            return False
        (folder / LOCK).touch()
        now, seen = ((folder / name).stat().st_mtime for name in (LOCK, HOLDER))
    except (OSError, ValueError, TypeError, KeyError):  # there is none, or it cannot be read
        return False
    return abs(now - seen) < STALE


def _touched(folder: Path) -> bool:
    """Give a sign of life; False when another has the folder, whose own sign it would be."""
    try:
        if not _is_ours(folder):
            return False
        os.utime(folder / HOLDER)
    except OSError:  # the folder is gone, which the run will tell
        return False
    return True


def _holder(folder: Path) -> str:
    """Who holds the lock of a folder, in words."""
    try:
        facts = json.loads((folder / HOLDER).read_text(encoding="utf-8"))
        return f"process {int(facts['pid'])} on {facts['host']}, since {facts['since']},"
    except (OSError, ValueError, TypeError, KeyError):  # it has just begun, or is about to end
        return "a process that has not said which"
