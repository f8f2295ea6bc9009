# SPDX-License-Identifier: GPL-2.0-or-later
"""The folder of installed engines, and who may change at this moment what is in it.

The system takes a lock from a process that dies, however it dies, so nobody has to find out whether
the owner of a lock file is still alive.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from .words import translated as _tr

__all__ = ["Busy", "data_folder", "exclusive", "in_use", "unused", "write_wholly"]


class Busy(Exception):  # noqa: N818  (nothing is wrong)
    """Engines are changed or used at this moment; the text says what to wait for."""


def data_folder() -> Path:
    """Return the user's folder for engines: outside the plugin and outside QGIS' profiles.

    The environment variable ``GEOSEG_HOME`` names where else it is to lie. The folder need not
    exist.
    """
    home = os.environ.get("GEOSEG_HOME")
    if home:
        # Never the named folder itself: a disk may have a folder "cache" or "tools" of its own,
        # and engines are removed with all that lies beside them.
        return Path(home).absolute() / "geoseg-qgis"
    if sys.platform == "win32":
        local = os.environ.get("LOCALAPPDATA")
        return (Path(local) if local else Path.home() / "AppData" / "Local") / "geoseg"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support" / "geoseg"
    shared = os.environ.get("XDG_DATA_HOME", "")
    return (Path(shared) if shared.startswith("/") else Path.home() / ".local/share") / "geoseg"


def write_wholly(target: Path, text: str) -> None:
    """Write a file at once and wholly: a reader sees the old one or the new one."""
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(
        prefix=f"{target.stem}-", suffix=target.suffix, dir=target.parent
    )
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        _replace(name, target)
    except BaseException:
        with suppress(OSError):
            os.unlink(name)
        raise


def _replace(source: str, target: Path) -> None:
    """Put a file in the place of another, which on Windows somebody may be reading."""
    for pause in (0.05, 0.2, 0.5, 1.0):
        try:
            os.replace(source, target)
            return
        except PermissionError:
            time.sleep(pause)
    os.replace(source, target)


@contextmanager
def exclusive() -> Iterator[None]:
    """Hold the lock that keeps two QGIS from changing the engines at once.

    Raises
    ------
    Busy
        When somebody else holds it.
    """
    data_folder().mkdir(parents=True, exist_ok=True)
    handle = _opened("install.lock")
    try:
        if not _lock(handle):
            owner = os.read(handle, 20).decode("ascii", "replace").strip()
            raise Busy(
                _tr(
                    "another QGIS (process {}) is installing geoseg; wait until it is done, or "
                    "close it"
                ).format(owner or _tr("unknown"))
            )
        os.ftruncate(handle, 0)
        os.write(handle, str(os.getpid()).encode("ascii"))
        yield
    finally:
        os.close(handle)


@contextmanager
def in_use(python: str) -> Iterator[None]:
    """Keep the installed engines as long as one of them works; any other Python may go its way.

    Raises
    ------
    Busy
        When they are being removed.
    """
    handle, is_there = None, True
    if data_folder() / "engines" in Path(python).parents:
        with suppress(OSError):  # whoever may not write there removes nothing either
            handle = _opened("use.lock")
            is_there = _lock(handle, is_shared=True)
    try:
        if not is_there:
            raise Busy(_tr("engines are being removed at this moment; try again in a minute"))
        yield
    finally:
        if handle is not None:
            os.close(handle)


@contextmanager
def unused() -> Iterator[None]:
    """See that no engine works, and that none begins to.

    Raises
    ------
    Busy
        When one does.
    """
    handle = _opened("use.lock")
    try:
        if not _lock(handle):
            raise Busy(
                _tr(
                    "an engine is at work, in this QGIS or another one; wait until it is done, or "
                    "cancel it"
                )
            )
        yield
    finally:
        os.close(handle)


def _opened(name: str) -> int:
    return os.open(data_folder() / name, os.O_RDWR | os.O_CREAT, 0o600)


if sys.platform == "win32":
    import msvcrt

    SHARES = 1000

    def _lock(handle: int, *, is_shared: bool = False) -> bool:
        # There are no shared locks: each who shares takes one byte, who does not takes them all.
        places, count = (range(SHARES), 1) if is_shared else (range(1), SHARES)
        for place in places:
            os.lseek(handle, (1 << 20) + place, os.SEEK_SET)  # behind what others want to read
            try:
                msvcrt.locking(handle, msvcrt.LK_NBLCK, count)
                return True
            except OSError:
                continue
            finally:
                os.lseek(handle, 0, os.SEEK_SET)
        return False

else:
    import fcntl

    def _lock(handle: int, *, is_shared: bool = False) -> bool:
        try:
            fcntl.flock(handle, (fcntl.LOCK_SH if is_shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True
