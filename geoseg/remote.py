"""What tells a file behind an address from another, without reading all of it."""

from __future__ import annotations

import hashlib
import http.client
import re
import time
from collections.abc import Mapping
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from geoseg.addresses import FORBIDDEN, address_of, is_busy, refusal
from geoseg.errors import UserError
from geoseg.places import UnreachableError
from geoseg.raster.files import patiently

__all__ = ["ENDS", "remote_facts"]

PATIENCE = 20.0  # seconds for an answer
ENDS = 65536  # bytes of both ends of a file that are hashed
LATELY = 10  # seconds before an answer: a date that young may be that of the answer itself
GRAIN = 1.1  # seconds: later, a date of HTTP, which counts whole ones, is another


def remote_facts(path: str) -> dict[str, Any]:
    """Size of a file by HTTP, and its entity tag, else when it was changed and its ends.

    Parameters
    ----------
    path : str
        As GDAL takes it: ``https://...`` or ``/vsicurl/https://...``.

    Returns
    -------
    dict
        ``size`` in bytes; ``etag``, or where the server tells none ``changed`` in nanoseconds,
        unless it makes files when they are asked for, and ``ends``, a hash of both ends, where it
        gives parts of files. Empty for other paths, and where it wants credentials.

    Raises
    ------
    UnreachableError
        When the server goes on failing: to know nothing of a file is to take it for another one.
    UserError
        When it has no such file.
    """
    address = address_of(path)
    if not address.startswith(("http://", "https://")):
        return {}
    return patiently(address, lambda: _asked(address))


def _asked(address: str) -> dict[str, Any]:
    try:
        return _told(address)
    except HTTPError as error:
        error.close()
        if error.code in FORBIDDEN:  # but not to GDAL, maybe, which has its own credentials
            return {}
        if not is_busy(error.code):
            what, remedy = refusal(error.code)
            raise UserError(f"{address.partition('?')[0]}: {what}; {remedy}") from error
        raise _unreachable(address, error) from error
    except (OSError, http.client.HTTPException) as error:
        raise _unreachable(address, error) from error


def _unreachable(address: str, error: Exception) -> UnreachableError:
    said = (str(error).splitlines() or [""])[0].partition("?")[0] or type(error).__name__
    return UnreachableError(
        f"{address.partition('?')[0]} does not say whether it is the file it was ({said}); see "
        "whether it can be reached, and give the same command again"
    )


def _told(address: str) -> dict[str, Any]:
    # The first byte, not the head alone: signed addresses are often good for reading only.
    said, byte = _part(address, 0, 1)
    part = re.fullmatch(r"bytes \d+-\d+/(\d+)", said.get("Content-Range", ""))
    size = part[1] if part else said.get("Content-Length", "")
    facts: dict[str, Any] = {"size": int(size)} if size.isascii() and size.isdigit() else {}
    if (etag := said.get("ETag")) is not None:
        return facts | {"etag": etag.strip()}
    if (changed := _changed(address, said)) is not None:
        facts["changed"] = changed
    # Two files of one size and second may lie at one path, which tells them apart by its query.
    if part is None or byte is None:
        return facts
    return facts | _ends(address, int(size))


def _changed(address: str, said: Mapping[str, str]) -> int | None:
    """When a file was changed; None where a server dates what it makes for the answer.

    A file that was put there just now has a young date as well, which stays.
    """
    changed, now = _dates(said)
    if changed is None or now is None or now - changed > LATELY * 10**9:
        return changed
    time.sleep(GRAIN)
    later, _ = _part(address, 0, 1)
    # What a cache between gives once more, date and all, tells nothing.
    return changed if _dates(later)[0] == changed and _dates(later)[1] != now else None


def _dates(said: Mapping[str, str]) -> tuple[int | None, int | None]:
    """When a file was changed and when the answer was given, as far as a server says it."""
    return _time(said.get("Last-Modified", "")), _time(said.get("Date", ""))


def _ends(address: str, size: int) -> dict[str, Any]:
    """The hash of both ends of a file; none where its server does not give them alone."""
    sha, length = hashlib.sha256(), min(ENDS, size)
    for start in (0, size - length):
        _, data = _part(address, start, length)
        if data is None:
            return {}
        sha.update(data)
    return {"ends": sha.hexdigest()}


def _part(address: str, start: int, length: int) -> tuple[Mapping[str, str], bytes | None]:
    """What a server says of a part of a file, and its bytes; None where it gives the whole."""
    headers = {"Range": f"bytes={start}-{start + length - 1}", "User-Agent": "geoseg"}
    with urlopen(Request(address, headers=headers), timeout=PATIENCE) as answer:  # noqa: S310
        data = answer.read(length) if answer.status == http.HTTPStatus.PARTIAL_CONTENT else None
        if data is not None and len(data) < length:
            raise http.client.IncompleteRead(data, length - len(data))
        return answer.headers, data


def _time(text: str) -> int | None:
    """A date of HTTP in nanoseconds since 1970; None for anything else."""
    try:
        when = parsedate_to_datetime(text)
    except ValueError:
        return None
    aware = when if when.tzinfo else when.replace(tzinfo=UTC)
    return int(aware.timestamp()) * 10**9
