"""The versions of what computes: with others, the pixels of a block may be others."""

from __future__ import annotations

import numpy as np
import rasterio
import torch

import geoseg

__all__ = ["VERSIONS", "Versions", "apart"]

Versions = tuple[tuple[str, str], ...]
VERSIONS: Versions = (
    ("geoseg", geoseg.__version__),
    ("torch", torch.__version__.partition("+")[0]),
    ("numpy", np.__version__),
    ("GDAL", rasterio.__gdal_version__),
)


def apart(there: Versions, here: Versions) -> tuple[str, str] | None:
    """What has another version here than there, in words for each; None where nothing has."""
    differing = [
        (f"{name} {own}", f"{name} {other}")
        for (name, own), (_, other) in zip(there, here, strict=True)
        if own != other
    ]
    if not differing:
        return None
    theirs, ours = zip(*differing, strict=True)
    return " and ".join(theirs), " and ".join(ours)
