"""Files put in place whole or not at all."""

from __future__ import annotations

import errno
import os
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from os import PathLike, replace
from pathlib import Path

from rasterio._err import CPLE_BaseError
from rasterio.errors import RasterioError

from geoseg.errors import UserError
from geoseg.places import Place, Remote, shortened

__all__ = ["WriteError", "publish", "refuse_existing", "working_folder", "writing"]

LITTLE = 1 << 20  # bytes: a disk with less is full, whatever a library says of its failure

_FULL = {errno.ENOSPC, errno.EDQUOT}
_REASONS = {
    errno.EFBIG: "files must not grow as large as this there",
    errno.EACCES: "it may not be written to any more",
    errno.EPERM: "it may not be written to any more",
    errno.EROFS: "it may not be written to any more",
    errno.EIO: "the disk fails",
    errno.ENODEV: "the disk is gone",
    errno.ENXIO: "the disk is gone",
    errno.ENOTCONN: "the disk is gone",
    errno.ESTALE: "the disk is gone",
    errno.ENOENT: "it is gone",
    errno.ENOTEMPTY: "something else writes into it",
}


class WriteError(UserError):
    """What a disk does to a call that nothing is wrong with."""


@contextmanager
def writing(*folders: Path) -> Iterator[None]:
    """Turn the failure of a disk into one line for the user.

    Parameters
    ----------
    *folders : Path
        What is written to.

    Raises
    ------
    WriteError
    """
    try:
        yield
    except WriteError:
        raise
    except Exception as error:
        why = _why(error, folders)
        if why is None:
            raise
        raise WriteError(why) from error


def _why(error: BaseException, folders: tuple[Path, ...]) -> str | None:
    """What a disk has done, if it was a disk."""
    number = getattr(error, "errno", None)
    name = getattr(error, "filename", None)
    if number == errno.ENOENT and not (name and any(_holds(each, name) for each in folders)):
        return None  # it was something else that is not there
    drivers = RasterioError, CPLE_BaseError, sqlite3.Error
    is_of_a_driver = isinstance(error, drivers) or type(error).__module__.startswith("pyogrio")
    if not is_of_a_driver and number not in _FULL and number not in _REASONS:
        return None
    own = [each for each in folders if name and _holds(each, name)]
    for folder in own or folders:
        if number in _FULL or (is_of_a_driver and _free(folder) < LITTLE):
            return f"the disk of {folder} is full ({_free(folder) / 1e6:.1f} MB are free)"
    said = _REASONS.get(number or 0) or _first_said(error)
    return f"cannot write into {(own or list(folders))[0]}: {said}"


def _first_said(error: BaseException) -> str:
    """What the first of several failures says: those after it say that there was one."""
    while error.__cause__ is not None:
        error = error.__cause__
    return (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")


def _holds(folder: Path, name: object) -> bool:
    return isinstance(name, str | PathLike) and Path(name).is_relative_to(folder)


def _free(folder: Path) -> int:
    try:
        return shutil.disk_usage(folder).free
    except OSError:
        return LITTLE


def publish(path: Path, target: Place) -> None:
    """Put a finished file and its sidecar in place of what is there: on their disk, or remote.

    When that is done they are on the disk, and not in the memory of a machine whose power may fail.
    """
    if isinstance(target, Remote):
        _upload(path, target)
        return
    _settle(path, target)
    if target.suffix != ".json":  # of which there are no sidecars, nor room in the longest names
        sidecar = Path(f"{path}.aux.xml")
        if sidecar.exists():
            _settle(sidecar, Path(f"{target}.aux.xml"))
        else:
            Path(f"{target}.aux.xml").unlink(missing_ok=True)
        for ending in ("ovr", "msk"):  # of the old file, and wrong about the new one
            Path(f"{target}.{ending}").unlink(missing_ok=True)
    try:
        _sync(target.parent, os.O_RDONLY)
    except OSError as error:  # not every system can, nor every share
        if error.errno not in (errno.EACCES, errno.EPERM, errno.EINVAL, errno.ENOTSUP):
            raise


def _settle(path: Path, target: Path) -> None:
    _sync(path, os.O_RDWR)  # first: else the name may be there after a loss of power, and no bytes
    replace(path, target)


def _sync(path: Path, mode: int) -> None:
    """Wait until a file, or the names in a folder, are on the disk."""
    number = os.open(path, mode)
    try:
        os.fsync(number)
    finally:
        os.close(number)


def _upload(path: Path, target: Remote) -> None:
    target.put(path)
    sidecar = Path(f"{path}.aux.xml")
    if sidecar.exists():
        target.with_name(f"{target.name}.aux.xml").put(sidecar)
    for ending in ("ovr", "msk") if sidecar.exists() else ("ovr", "msk", "aux.xml"):
        target.with_name(f"{target.name}.{ending}").unlink(missing_ok=True)


def refuse_existing(path: str | PathLike[str] | Remote, overwrite: bool, known: str = "") -> None:
    """Refuse to write over a file, of which something may be known, unless that was asked for."""
    target = path if isinstance(path, Remote) else Path(path)
    if target.is_dir():
        raise UserError(f"{target} is a folder; name a file in it")
    if target.exists() and not overwrite:
        raise UserError(
            f"{target} exists{known}; add --overwrite (overwrite=True) or choose another name"
        )


@contextmanager
def working_folder(target: Path) -> Iterator[Path]:
    """A folder beside the target that is gone afterwards; same disk, so renaming is atomic."""
    prefix = f".{shortened(target.name, 100)}."
    try:
        folder = Path(tempfile.mkdtemp(prefix=prefix, dir=target.parent))
    except OSError as error:
        raise UserError(
            f"cannot write into {target.parent} ({error.strerror}); choose a folder that exists "
            "and that you may write to"
        ) from error
    try:
        with writing(target.parent):
            yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
