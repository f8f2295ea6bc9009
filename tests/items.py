"""What lies beside maps, without what differs from run to run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def contents(folder: Path) -> dict[str, bytes]:
    """The files of a folder by name; those beside maps without times and what the work took."""
    files = {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    return {
        name: lasting(text) if name.endswith(".tif.json") else text for name, text in files.items()
    }


def lasting(text: bytes) -> bytes:
    """An item without the time of the run and what the work took.

    The time of the imagery stays, where the sources tell one.
    """
    item: dict[str, Any] = json.loads(text)
    facts = item["properties"]
    if facts["datetime"] == facts["created"]:
        del facts["datetime"]
    for name in ("created", "processing:datetime", "geoseg:run"):
        del facts[name]
    return json.dumps(item).encode()
