"""What tells a file behind an address from another, without reading it."""

from __future__ import annotations

import http.client
import re
import time
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

__all__ = ["remote_facts"]

PATIENCE = 20.0  # seconds for an answer
TRIES = 3  # an answer that is missed once would let finished blocks be forgotten
PAUSE = 0.5  # seconds, longer after each


def remote_facts(path: str) -> dict[str, Any]:
    """Size and entity tag of a file by HTTP.

    Parameters
    ----------
    path : str
        As GDAL takes it: ``https://...`` or ``/vsicurl/https://...``.

    Returns
    -------
    dict
        ``size`` in bytes and ``etag``, what of it the server tells; empty for other paths.
    """
    address = path.removeprefix("/vsicurl/")
    if not address.startswith(("http://", "https://")):
        return {}
    # The first byte, not the head alone: signed addresses are often good for reading only.
    request = Request(address, headers={"Range": "bytes=0-0", "User-Agent": "geoseg"})  # noqa: S310
    for again in range(TRIES):
        try:
            with urlopen(request, timeout=PATIENCE) as answer:  # noqa: S310
                return _told(answer)
        except HTTPError as error:
            error.close()
            return {}
        except (OSError, http.client.HTTPException):
            time.sleep(PAUSE * again)
    return {}


def _told(answer: Any) -> dict[str, Any]:
    part = re.fullmatch(r"bytes \d+-\d+/(\d+)", answer.headers.get("Content-Range", ""))
    size = part[1] if part else answer.headers.get("Content-Length", "")
    etag = answer.headers.get("ETag")
    facts: dict[str, Any] = {"size": int(size)} if size.isascii() and size.isdigit() else {}
    return facts if etag is None else facts | {"etag": etag.strip()}
