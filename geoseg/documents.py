"""JSON of somebody else's: read from a disk, a server or a storage, and never without end."""

from __future__ import annotations

import http.client
import json
import os
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from geoseg.addresses import bare, refusal
from geoseg.errors import UserError
from geoseg.places import Remote, object_facts

__all__ = ["listed", "one_line", "read_json"]

MAX_BYTES = 500_000_000  # a collection of ten thousand items, each of which tells a lot
TRIES = 3
PATIENCE = 30.0  # seconds for an answer
PAUSE = 0.5  # seconds, longer after each try
SHOWN = 20  # names in a message


def read_json(where: str) -> Any:
    """The JSON of a file or an address.

    Raises
    ------
    UserError
        When it is not there, may not be read, is too long or no JSON.
    """
    text = _text_of(where)
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        why = str(error).splitlines()[0]
        raise UserError(
            f"{bare(where)} is no JSON ({why}); it is damaged or something else, fetch it again"
        ) from error


def _text_of(where: str) -> bytes:
    if where.startswith(("http://", "https://")):
        return _fetched(where)
    if "://" in where:
        target = Remote(where)
        _refuse_long(int(object_facts(where).get("size", 0)), where)
        try:
            return target.read_bytes()
        except FileNotFoundError as error:
            raise UserError(f"there is no object {where}; check its name") from error
    path = Path(where)
    if not os.path.exists(path):  # which, unlike `Path`, takes any name, however long
        raise UserError(f"there is no file {where}; check the name and the folder")
    try:
        _refuse_long(path.stat().st_size, where)
        return path.read_bytes()
    except OSError as error:
        raise UserError(f"{where} may not be read ({error.strerror}); ask its owner") from error


def _refuse_long(size: int, where: str) -> None:
    if size > MAX_BYTES:
        raise UserError(
            f"{bare(where)} has {size / 1e6:.0f} MB, more than items have; give those that are "
            "wanted in files of their own"
        )


def _fetched(address: str) -> bytes:
    """What a server answers; a failure of the network is worth another try."""
    headers = {"Accept": "application/geo+json, application/json", "User-Agent": "geoseg"}
    request = Request(address, headers=headers)  # noqa: S310
    what = remedy = why = ""
    for again in range(TRIES):
        time.sleep(PAUSE * again)
        try:
            with urlopen(request, timeout=PATIENCE) as answer:  # noqa: S310
                text: bytes = answer.read(MAX_BYTES + 1)
        except HTTPError as error:
            error.close()
            what, remedy = refusal(error.code)
            why = f"HTTP {error.code}"
            if error.code < 500 and error.code != 429:
                break
        except (OSError, http.client.HTTPException, ValueError) as error:
            what, remedy = "the server cannot be reached", "check the address and the network"
            why = (str(error).splitlines() or [type(error).__name__])[0]
        else:
            _refuse_long(len(text), address)
            return text
    raise UserError(f"{bare(address)} cannot be read: {what}; {remedy} ({why})")


def one_line(text: str) -> str:
    """What others have written, on one line and not without end."""
    line = " ".join(text.split())
    return line if len(line) <= 80 else f"{line[:77]}..."


def listed(things: Iterable[object]) -> str:
    """Some things, or what there is room for of many."""
    names = [one_line(str(each)) for each in things]
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more
