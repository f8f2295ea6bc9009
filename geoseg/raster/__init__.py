"""Everything about raster files: open, align, read windows, write COG and sidecar.

What has to do with DataArrays is imported when it is asked for: whoever reads a file as it is does
not wait for xarray.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from geoseg.raster.cog import CogDraft, Layout, class_layout, creation_options, to_cog
from geoseg.raster.files import files_of, open_dataset, opened
from geoseg.raster.grid import Grid, parse_crs, pixel_size, stated_size
from geoseg.raster.sidecar import class_table

if TYPE_CHECKING:
    from geoseg.raster.arrays import grid_of
    from geoseg.raster.clip import clip
    from geoseg.raster.read import open_raster, open_stack
    from geoseg.raster.write import write_raster

__all__ = [
    "CogDraft",
    "Grid",
    "Layout",
    "class_layout",
    "class_table",
    "clip",
    "creation_options",
    "files_of",
    "grid_of",
    "open_dataset",
    "open_raster",
    "open_stack",
    "opened",
    "parse_crs",
    "pixel_size",
    "stated_size",
    "to_cog",
    "write_raster",
]

_HOME = {
    "clip": "clip",
    "grid_of": "arrays",
    "open_raster": "read",
    "open_stack": "read",
    "write_raster": "write",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'geoseg.raster' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"geoseg.raster.{_HOME[name]}"), name)
    globals()[name] = value
    return value
