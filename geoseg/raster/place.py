"""Files put in place whole or not at all."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from os import PathLike, replace
from pathlib import Path

from geoseg.errors import UserError
from geoseg.places import Place, Remote

__all__ = ["publish", "refuse_existing", "working_folder"]


def publish(path: Path, target: Place) -> None:
    """Put a finished file and its sidecar in place of what is there: on their disk, or remote."""
    if isinstance(target, Remote):
        _upload(path, target)
        return
    replace(path, target)
    sidecar = Path(f"{path}.aux.xml")
    if sidecar.exists():
        replace(sidecar, f"{target}.aux.xml")
    else:
        Path(f"{target}.aux.xml").unlink(missing_ok=True)
    for ending in ("ovr", "msk"):  # of the old file, and wrong about the new one
        Path(f"{target}.{ending}").unlink(missing_ok=True)


def _upload(path: Path, target: Remote) -> None:
    target.put(path)
    sidecar = Path(f"{path}.aux.xml")
    if sidecar.exists():
        target.with_name(f"{target.name}.aux.xml").put(sidecar)
    for ending in ("ovr", "msk") if sidecar.exists() else ("ovr", "msk", "aux.xml"):
        target.with_name(f"{target.name}.{ending}").unlink(missing_ok=True)


def refuse_existing(path: str | PathLike[str] | Remote, overwrite: bool) -> None:
    """Refuse to write over a file unless that was asked for."""
    target = path if isinstance(path, Remote) else Path(path)
    if target.is_dir():
        raise UserError(f"{target} is a folder; name a file in it")
    if target.exists() and not overwrite:
        raise UserError(f"{target} exists; add --overwrite (overwrite=True) or choose another name")


@contextmanager
def working_folder(target: Path) -> Iterator[Path]:
    """A folder beside the target that is gone afterwards; same disk, so renaming is atomic."""
    try:
        folder = Path(tempfile.mkdtemp(prefix=f".{target.name[:100]}.", dir=target.parent))
    except OSError as error:
        raise UserError(
            f"cannot write into {target.parent} ({error.strerror}); choose a folder that exists "
            "and that you may write to"
        ) from error
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
