"""Everything about raster files: open, align, read windows, write COG and sidecar."""

from __future__ import annotations

from geoseg.raster.clip import clip, parse_crs
from geoseg.raster.cog import CogDraft, Layout, class_layout, creation_options, to_cog
from geoseg.raster.grid import Grid, grid_of, pixel_size
from geoseg.raster.read import files_of, open_dataset, open_raster, open_stack
from geoseg.raster.sidecar import class_table
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
    "parse_crs",
    "pixel_size",
    "to_cog",
    "write_raster",
]
