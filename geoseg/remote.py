"""What tells a file behind an address from another, without reading it."""

from __future__ import annotations

import http.client
import re
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from geoseg.addresses import address_of
from geoseg.places import UnreachableError
from geoseg.raster.files import patiently

__all__ = ["remote_facts"]

PATIENCE = 20.0  # seconds for an answer
REFUSALS = (401, 403, 407)  # of a server that may well answer GDAL, which has its own credentials


def remote_facts(path: str) -> dict[str, Any]:
    """Size and entity tag of a file by HTTP.

    Parameters
    ----------
    path : str
        As GDAL takes it: ``https://...`` or ``/vsicurl/https://...``.

    Returns
    -------
    dict
        ``size`` in bytes and ``etag``, what of it the server tells; empty for other paths, and
        where it wants credentials.

    Raises
    ------
    UnreachableError
        When the server goes on failing: to know nothing of a file is to take it for another one.
    """
    address = address_of(path)
    if not address.startswith(("http://", "https://")):
        return {}
    return patiently(address, lambda: _asked(address))


def _asked(address: str) -> dict[str, Any]:
    # The first byte, not the head alone: signed addresses are often good for reading only.
    request = Request(address, headers={"Range": "bytes=0-0", "User-Agent": "geoseg"})  # noqa: S310
    try:
        with urlopen(request, timeout=PATIENCE) as answer:  # noqa: S310
            return _told(answer)
    except HTTPError as error:
        error.close()
        if error.code in REFUSALS:
            return {}
        raise _unreachable(address, error) from error
    except (OSError, http.client.HTTPException) as error:
        raise _unreachable(address, error) from error


def _unreachable(address: str, error: Exception) -> UnreachableError:
    said = (str(error).splitlines() or [""])[0].partition("?")[0] or type(error).__name__
    return UnreachableError(
        f"{address.partition('?')[0]} does not say whether it is the file it was ({said}); see "
        "whether it can be reached, and give the same command again"
    )


def _told(answer: Any) -> dict[str, Any]:
    part = re.fullmatch(r"bytes \d+-\d+/(\d+)", answer.headers.get("Content-Range", ""))
    size = part[1] if part else answer.headers.get("Content-Length", "")
    etag = answer.headers.get("ETag")
    facts: dict[str, Any] = {"size": int(size)} if size.isascii() and size.isdigit() else {}
    return facts if etag is None else facts | {"etag": etag.strip()}
