"""Waiting for locks; and that of an object storage, which its holder renews as long as it lives."""

from __future__ import annotations

import json
import logging
import os
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from socket import gethostname
from typing import Any

from geoseg.errors import UserError
from geoseg.places import Place, Remote

__all__ = [
    "STALE",
    "beating",
    "leased",
    "machine",
    "owner",
    "refuse_known_lost",
    "refuse_lost",
    "taken",
]

log = logging.getLogger(__name__)

BEAT = 20.0  # seconds between two signs of life
STALE = 120.0  # seconds without one, after which it is looked closely
POLL = 2.0  # seconds between two looks at a lock that another run holds
_owner = uuid.uuid4().hex  # this process
_held: set[Remote] = set()  # by runs of this process that have not ended, or are about to begin
_lost: set[Remote] = set()  # of these: taken over by other processes
_choosing = threading.Lock()


def owner() -> str:
    """Names this process, as no other one ever was."""
    return _owner


def _be_another() -> None:
    """Take another name than the process that this one was forked from, which keeps its locks."""
    global _owner, _choosing
    _owner = uuid.uuid4().hex
    _choosing = threading.Lock()  # a thread that is not here may have had it
    _held.clear()
    _lost.clear()


if hasattr(os, "register_at_fork"):  # Windows has no forks
    os.register_at_fork(after_in_child=_be_another)


def taken(
    place: Place, take: Callable[[], str | None], wait: bool, pause: float, hint: str = ""
) -> bool:
    """Take a lock; tells whether another run had to be waited for.

    Parameters
    ----------
    place : Path or Remote
        What is locked.
    take : callable
        Takes the lock, or tells in words who holds it.
    wait : bool
        Whether to wait for the end of a run that holds it.
    pause : float
        Seconds between two looks at it.
    hint : str
        What else may be done about it.

    Raises
    ------
    UserError
        When another run holds it.
    """
    waited = False
    while (holder := take()) is not None:
        if not wait:
            raise UserError(
                f"another run is writing the same output: {holder} holds {place}; wait for its end "
                f"(--wait), or choose another name{hint}"
            )
        if not waited:
            log.warning("waiting for the end of another run: %s holds %s", holder, place)
        waited = True
        time.sleep(pause)
    return waited


@contextmanager
def leased(lock: Remote, wait: bool = False) -> Iterator[bool]:
    """Keep other processes away from an output, wherever they run.

    Parameters
    ----------
    lock : Remote
        The object; it is removed in the end.
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
    died = f" (if it died, give the same command {STALE:g} s later)"
    waited = taken(lock, lambda: _take(lock), wait, POLL, died)
    try:
        with beating(lambda: _renewed(lock)):
            yield waited
    finally:
        _release(lock)
        _lost.discard(lock)
        _held.discard(lock)  # last: a thread that waits would think that this run is dead


@contextmanager
def beating(beat: Callable[[], bool]) -> Iterator[None]:
    """Give signs of life every `BEAT` seconds, in a thread, as long as they are worth giving."""
    over = threading.Event()

    def live() -> None:
        while not over.wait(BEAT) and beat():
            pass

    heart = threading.Thread(target=live, daemon=True, name="geoseg-lock")
    heart.start()
    try:
        yield
    finally:
        over.set()
        heart.join()


def refuse_lost(lock: Remote) -> None:
    """Refuse to go on where another run took the lock over, which was thought to be abandoned.

    Raises
    ------
    UserError
    """
    facts, _ = _read(lock)
    if facts.get("owner") != owner():
        raise UserError(
            f"{_told(facts)} took over {lock} while this run gave no sign of life; nothing was "
            "written: wait for its end, and give the same command again"
        )


def refuse_known_lost(lock: Remote) -> None:
    """As `refuse_lost`, as far as is known without asking: a sign of life may be due.

    Raises
    ------
    UserError
    """
    if lock in _lost:
        refuse_lost(lock)


def _take(lock: Remote) -> str | None:
    """Take the lock; who holds it, in words, where that cannot be."""
    with _choosing:  # for the storage cannot tell threads of this process apart
        is_ours = lock in _held
        _held.add(lock)
    if is_ours:
        return _told(_read(lock)[0])
    holder: str | None = ""
    try:
        holder = _take_from_others(lock)
    finally:
        if holder is not None:
            _held.discard(lock)
    return holder


def _take_from_others(lock: Remote) -> str | None:
    while not lock.create(_facts()):
        facts, version = _read(lock)
        if version is None:  # its holder has just removed it
            continue
        if not _is_abandoned(lock, facts, version):
            return _told(facts)
        if not lock.can_replace:
            raise UserError(f"{_told(facts)} died and left {lock}; remove that object")
        if lock.replace(_facts(), version):
            log.warning("%s died and left %s, which is taken over", _told(facts), lock)
            return None
    return None


def _is_abandoned(lock: Remote, facts: dict[str, Any], version: str) -> bool:
    """Whether the holder of a lock is dead.

    Clocks are not trusted: one that seems too old must stay as it is while it is watched.
    """
    if facts.get("owner") == owner():  # when that run ended, the storage did not answer
        return True
    is_here = bool(facts.get("where")) and facts["where"] == _where()
    # A process that is there may have been given the number of the holder, as this one may.
    if is_here and (facts["pid"] == os.getpid() or not Path(f"/proc/{facts['pid']}").exists()):
        return True
    try:
        age = abs((datetime.now(UTC) - lock.changed()).total_seconds())
    except UserError:  # it is gone by now, or cannot be asked
        return False
    if age <= STALE:
        return False
    log.warning("%s holds %s; watching for %g s whether it lives", _told(facts), lock, 2 * BEAT)
    time.sleep(2 * BEAT)
    return lock.version() == version


def machine() -> str:
    """Names this machine, whatever container this is: since it was started, where Linux tells."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return gethostname()


def _where() -> str:
    """Names this machine, and what can see its processes; Linux tells it."""
    try:
        return f"{machine()} {os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return ""


def _facts() -> bytes:
    now = datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    facts = {"owner": owner(), "host": gethostname(), "pid": os.getpid(), "where": _where()}
    # Two signs of life are never the same bytes, or they would be the same version.
    return json.dumps({**facts, "alive": now, "sign": uuid.uuid4().hex}).encode()


def _read(lock: Remote) -> tuple[dict[str, Any], str | None]:
    """What a lock says, and its version; None where it is gone."""
    version = lock.version()  # first: if what is read is newer, it cannot be replaced by mistake
    try:
        facts = json.loads(lock.read_bytes())
    except FileNotFoundError:
        return {}, None
    except ValueError as error:
        if isinstance(error, UserError):
            raise
        return {}, version
    return (facts if isinstance(facts, dict) else {}), version


def _told(facts: dict[str, Any]) -> str:
    if not {"host", "pid", "alive"} <= facts.keys():
        return "a process that does not say which"
    return f"process {facts['pid']} on {facts['host']}, last seen {facts['alive']},"


def _renewed(lock: Remote) -> bool:
    """Give a sign of life; False when another has the lock, which is noted."""
    try:
        facts, version = _read(lock)
        is_ours = facts.get("owner") == owner() and version is not None
        # An answer may be lost on its way, and the second attempt come too late, for the first one.
        if is_ours and not lock.replace(_facts(), version or ""):
            is_ours = _read(lock)[0].get("owner") == owner()
    except UserError as error:
        log.warning("%s", error)
        return True
    if not is_ours:
        _lost.add(lock)
        log.warning("another run took over %s; this one stops", lock)
    return is_ours


def _release(lock: Remote) -> None:
    try:
        if _read(lock)[0].get("owner") == owner():
            lock.unlink(missing_ok=True)
    except UserError as error:  # what ended the run is told; the lock ends by itself
        log.debug("%s", error)
