"""The item beside a map, as it is read: by what makes the next one, and by ``geoseg info``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from geoseg.places import Place, UnreachableError

__all__ = ["PREFIX", "read_item"]

PREFIX = "geoseg:"
MAX_BYTES = 50_000_000  # an item is a few kilobytes, and 200 bytes for each file of the input
FIELDS = {  # by which an item of geoseg's is known
    "processing:datetime",
    "processing:software",
    *(f"{PREFIX}{name}" for name in ("model", "sources", "options", "chosen", "run")),
}


def read_item(path: Place) -> dict[str, Any] | None:
    """An item that geoseg wrote; None when there is none, or something else is in the file."""
    try:
        if isinstance(path, Path) and path.stat().st_size > MAX_BYTES:
            return None
        item = json.loads(path.read_bytes())
    except UnreachableError:  # which does not mean that there is none
        raise
    except (OSError, ValueError, RecursionError):
        return None
    if not isinstance(item, dict) or not isinstance(facts := item.get("properties"), dict):
        return None
    return item if facts.keys() >= FIELDS else None
