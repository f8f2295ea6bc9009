"""Why a raster cannot be opened or read: in plain words first, in GDAL's last."""

from __future__ import annotations

import os
import re
from pathlib import Path

from geoseg.addresses import STORAGES, address_of, is_busy, is_remote, refusal, virtual_of

__all__ = ["may_pass", "shown", "why_not_opened", "why_not_read"]

SHAPES = (".gpkg", ".fgb", ".parquet", ".geojson", ".shp")  # endings of what holds no pixels
UNKNOWN = "not recognized as"  # what GDAL says when no driver takes a file for its own
MISSING = r"does not exist in the file system|No such file or directory$"
ARCHIVES = {".zip": "/vsizip/", ".tar": "/vsitar/", ".tar.gz": "/vsitar/", ".tgz": "/vsitar/"}
WHOLE_ONLY = "Range downloading not supported"  # what GDAL says of servers without parts
NOT_STORED = r"The specified \w+ does not exist|NoSuch(Key|Bucket)"


def shown(text: str, path: str = "") -> str:
    """A path, or what is said of it, without what may be a signature."""
    return re.sub(r"\?[^\s'\"]*", "", text) if is_remote(path or text) else text


def may_pass(path: str, said: str) -> bool:
    """Whether a file that cannot be opened or read now may be later: the network is to blame.

    Parameters
    ----------
    path : str
    said : str
        By GDAL. Of bytes that did not come it says no more than of such as are damaged.
    """
    if not is_remote(path) or WHOLE_ONLY in said:
        return False
    status = _status(said)
    return UNKNOWN not in said if status is None else is_busy(status)


def why_not_opened(path: str, said: str) -> str:
    """One line about a file that GDAL does not open.

    Parameters
    ----------
    path : str
    said : str
        By GDAL.
    """
    if is_remote(path):
        what, remedy = _behind_a_network(path, said)
        return f"{shown(path)} cannot be opened: {what}; {remedy}{_quoted(said, path)}"
    if _is_plain(path):
        file = Path(path)
        if not os.path.exists(path):  # which, unlike `Path`, takes any name, however long
            return f"there is no file {path}; check the name and the folder"
        if file.is_dir():
            return f"{path} is a folder, not a raster file; name the files in it, e.g. {path}/*.tif"
        if not os.access(path, os.R_OK):
            return f"{path} may not be read; ask its owner: chmod a+r {path}{_quoted(said, path)}"
        if file.stat().st_size == 0:
            return f"{path} is an empty file; copy or make it again"
    elif re.search(MISSING, said):
        is_packed = path.startswith(tuple(ARCHIVES.values()))
        names = "the names of the archive and of the file in it" if is_packed else "the name"
        return f"there is no file {path}; check {names}{_quoted(said, path)}"
    if _holds_shapes(path):
        what, remedy = "it holds shapes and no pixels", "name a raster, as in map.tif"
    elif (inside := _inside(path)) is not None:
        what, remedy = "it is an archive", f"name a raster in it, as in {inside}"
    elif UNKNOWN in said:
        what, remedy = "it is of another kind, or its beginning is damaged", "try gdalinfo on it"
    else:
        what, remedy = "it is damaged or was cut short", "copy it again"
    return f"{path} is not a raster that GDAL can open: {what}; {remedy}{_quoted(said, path)}"


def why_not_read(path: str, said: str) -> str:
    """One line about a file of which pixels, or the rest of the header, cannot be read.

    Parameters
    ----------
    path : str
    said : str
        By GDAL.
    """
    what = "the file is damaged or was cut short"
    remedy = "copy it again, or map the rest of it: geoseg predict --on-read-error nodata"
    if is_remote(path):
        failed = "the network or the server failed, or the file is damaged", "try again later"
        what, remedy = _refused(said) or failed
    elif _is_plain(path) and not os.path.exists(path):
        what, remedy = "the file is not there any more", "put it back, and give the command again"
    return f"cannot read {shown(path)}: {what}; {remedy}{_quoted(said, path)}"


def _is_plain(path: str) -> bool:
    """Whether a path is that of a file on a disk, and nothing in it or of GDAL's own."""
    return "://" not in path and not path.startswith("/vsi") and ":" not in path


def _behind_a_network(path: str, said: str) -> tuple[str, str]:
    address = address_of(path)
    protocol, _, rest = address.partition("://")
    if protocol in STORAGES and ("/" not in rest or rest.endswith("/")):
        return (
            "it is a folder of a storage, not a file",
            f"name a raster in it, as in {address.rstrip('/')}/map.tif",
        )
    if (refused := _refused(said)) is not None:
        return refused
    if WHOLE_ONLY in said:
        return "the server gives no parts of files (no range requests)", "download the file first"
    if "CURL error" in said:
        return "the server cannot be reached", "check the address and the network"
    if _holds_shapes(path):
        return "it holds shapes and no pixels", "name a raster, as in map.tif"
    if re.search(MISSING, said):
        return "no such file is found there", "check the address and the network"
    if (inside := _inside(path)) is not None:
        return "it is an archive", f"name a raster in it, as in {inside}"
    if UNKNOWN in said:
        return "what the server gives is no raster", "check the address: it may be that of a page"
    return "it cannot be read", "check the address, the credentials and the network"


def _refused(said: str) -> tuple[str, str] | None:
    """What a server means, if it is one that GDAL quotes."""
    status = _status(said)
    return None if status is None else refusal(status)


def _status(said: str) -> int | None:
    """Status of HTTP that GDAL tells by its number, or of a storage in the storage's words."""
    found = re.search(r"HTTP (?:response|error) code ?: ?([45]\d\d)", said)
    if found is not None:
        return int(found[1])
    return 404 if re.search(NOT_STORED, said) else None


def _holds_shapes(path: str) -> bool:
    return shown(path).lower().endswith(SHAPES)


def _inside(path: str) -> str | None:
    """How GDAL calls a raster in an archive; None where a path is that of none."""
    bare = shown(path)
    found = (prefix for ending, prefix in ARCHIVES.items() if bare.lower().endswith(ending))
    if (prefix := next(found, None)) is None:
        return None
    archive = bare if bare.startswith(prefix) else f"{prefix}{virtual_of(bare)}"
    return f"{archive}/NAME.tif"


def _quoted(said: str, path: str) -> str:
    return f" (GDAL says: {shown(said, path).strip('. ')})" if said else ""
