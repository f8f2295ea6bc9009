"""Addresses: what is behind a network, how GDAL calls it, and what its server's refusals mean."""

from __future__ import annotations

import re

__all__ = [
    "ASSETS",
    "FORBIDDEN",
    "ITEMS",
    "STORAGES",
    "WEB",
    "address_of",
    "bare",
    "is_busy",
    "is_remote",
    "refusal",
    "virtual_of",
]

WEB = ("http", "https", "ftp")  # where nothing can be written
STORAGES = ("s3", "gs", "az")  # of objects, where the facts of a source may be asked for
VIRTUAL = {
    "/vsicurl/http": "http",
    "/vsicurl/ftp": "ftp",
    **{f"/vsi{name}/": f"{name}://" for name in STORAGES},
}
ASSETS = tuple(f"{name}://" for name in ("http", "https", *STORAGES))  # where items have theirs
ITEMS = (".json", ".geojson")  # how files of STAC end
FORBIDDEN = (401, 403, 407)  # statuses of HTTP for who lacks credentials
REMOTE = re.compile(r"^(?!file:)[\w+]+://|/vsi(curl|s3|gs|az|adls|oss|swift|webhdfs)")


def address_of(path: str) -> str:
    """What GDAL calls ``/vsis3/bucket/key``, as an address; other paths as they are."""
    for prefix, protocol in VIRTUAL.items():
        if path.startswith(prefix):
            return protocol + path.removeprefix(prefix)
    return path


def virtual_of(address: str) -> str:
    """What GDAL calls an address; other paths as they are."""
    protocol, _, rest = address.partition("://")
    if protocol in WEB:
        return f"/vsicurl/{address}"
    return f"/vsi{protocol}/{rest}" if protocol in STORAGES else address


def bare(where: str) -> str:
    """A path, or an address without what may be a signature."""
    return where.split("?")[0] if "://" in where else where


def is_remote(path: str) -> bool:
    """Whether a file is read over a network by GDAL."""
    return REMOTE.search(path) is not None


def is_busy(status: int) -> bool:
    """Whether a server that gives a status may do what it is asked when it is asked later."""
    return status in (408, 425, 429) or status >= 500


def refusal(status: int) -> tuple[str, str]:
    """What a server means that does not answer as it should, and what to do.

    Parameters
    ----------
    status : int
        Of HTTP, from 400.
    """
    if status in (404, 410):
        return "the server has no such file", "check the address"
    if status in FORBIDDEN:
        return (
            "the server does not allow it",
            "check the credentials; a signed address may have run out",
        )
    if is_busy(status):
        return "the server fails or is too busy", "try again later"
    return "the server refuses what it was asked", "check the address"
