"""What tells a file from another of its name, without reading all of it.

Files lie on disks, in archives, and behind addresses. Of some nothing can be told but what they are
called; whether such a file is still the one it was, nobody knows.
"""

from __future__ import annotations

import errno
import hashlib
import re
from collections.abc import Iterable, Mapping
from os import stat
from pathlib import Path
from stat import S_ISREG
from typing import Any

from geoseg.addresses import address_of, is_remote
from geoseg.errors import UserError
from geoseg.places import object_facts
from geoseg.remote import ENDS, remote_facts

__all__ = ["facts_of_file", "untold"]

# How GDAL calls what an archive, or a part of a file, holds,
WITHIN = re.compile(r"/vsi(?:(?:zip|tar|gzip|7z|rar)/|subfile/\d+(?:_\d+)?,)")
# and how rasterio does.
SCHEME = re.compile(r"(?:zip|tar|gzip)(?:\+(\w+))?://([^!]*)!?/?(.*)")
ARCHIVE = re.compile(r".*?\.(?:zip|tar|tar\.gz|tgz|gz|7z|rar|kmz)(?=/)")  # behind an address
# Facts of which another file does not share one at least; what is named has files of its own.
TELLING = {"ends", "changed", "etag", "named"}
# What a system says of names that are none of its files, as those are that GDAL alone understands.
NO_FILE = (errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG, errno.EINVAL)


def facts_of_file(path: str) -> dict[str, Any]:
    """Name of a file and, as far as they can be told, size, time of change and a hash of both ends.

    Parameters
    ----------
    path : str
        As GDAL takes it. Of what lies in an archive the facts are those of the archive.

    Returns
    -------
    dict
        ``name``; ``size`` in bytes; ``ends``; ``changed`` in nanoseconds; ``etag``, of what is
        behind an address.

    Raises
    ------
    UserError
        When a disk, a server or a storage fails: to know nothing of a file is to take it for
        another one.
    """
    if (held := _held(path)) is not None:
        holder, inside = held
        facts = facts_of_file(address_of(holder))
        return {**facts, "name": f"{facts['name']}/{inside}" if inside else facts["name"]}
    if (local := _local(path)) is not None:
        return local
    # What follows its name in an address may be a signature, which is nobody's business and new
    # every time.
    return {"name": path.split("?")[0], **remote_facts(path), **object_facts(path)}


def untold(files: Iterable[Mapping[str, Any]]) -> str | None:
    """Name of the first file of which nothing tells whether it has changed; None if there is none.

    Parameters
    ----------
    files : iterable of mapping
        See `facts_of_file`; ``elsewhere`` is said of those that pixels lie beside.
    """
    return next(
        (str(each["name"]) for each in files if TELLING.isdisjoint(each) or "elsewhere" in each),
        None,
    )


def _held(path: str) -> tuple[str, str] | None:
    """The file that holds what lies in archives, and where in it; None for what lies in none."""
    if (spelled := SCHEME.fullmatch(path)) is not None:
        protocol, holder, inside = spelled.groups()
        return f"{protocol}://{holder}" if protocol else holder, inside
    rest, is_braced = path, False
    while (prefix := WITHIN.match(rest)) is not None:
        rest = rest[prefix.end() :]
        is_braced = rest.startswith("{")
        rest = rest.removeprefix("{")
    if rest == path:
        return None
    rest, _, beyond = rest.partition("}")
    holder = rest if is_braced else _holder(rest)
    inside = f"{rest.removeprefix(holder)}/{beyond}".replace("}", "").strip("/")
    return holder, inside


def _holder(path: str) -> str:
    """The part of a path that is a file; the rest of it is inside of that."""
    if is_remote(path):
        archive = ARCHIVE.match(path)
        return path if archive is None else archive[0]
    parts = [*reversed(Path(path).parents), Path(path)]
    return next((str(each) for each in parts if _local(str(each)) is not None), path)


def _local(path: str) -> dict[str, Any] | None:
    """Facts of a file of this machine; None where there is none of that name.

    A disk that fails, or too many files that are open, must not make it another one.
    """
    try:
        facts = stat(path)
        if not S_ISREG(facts.st_mode):
            return None
        sha = hashlib.sha256()
        with Path(path).open("rb") as file:
            sha.update(file.read(ENDS))
            file.seek(max(facts.st_size - ENDS, 0))
            sha.update(file.read(ENDS))
    except OSError as error:
        if error.errno in NO_FILE:
            return None
        raise UserError(
            f"cannot tell whether {path} is the file it was ({error.strerror}); mend that, and "
            "give the same command again"
        ) from error
    return {
        "name": Path(path).name,
        "size": facts.st_size,
        "ends": sha.hexdigest(),
        "changed": facts.st_mtime_ns,
    }
