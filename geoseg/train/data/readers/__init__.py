"""Data sets as they are published: folders and files in, scenes that are read by window out.

A reader is a function of the folder, and of options that it explains. Files are split as the
publishers or the systems that used them did, else by place, by a digest of its name: never tile by
tile at random, since a tile's neighbours tell what is on it.
"""

from __future__ import annotations

from geoseg.train.data.readers.deepglobe import deepglobe_land, deepglobe_roads
from geoseg.train.data.readers.folder import folder
from geoseg.train.data.readers.landsat import landsat_cdl
from geoseg.train.data.readers.massachusetts import massachusetts_buildings
from geoseg.train.data.readers.sen12ms import sen12ms

__all__ = [
    "deepglobe_land",
    "deepglobe_roads",
    "folder",
    "landsat_cdl",
    "massachusetts_buildings",
    "sen12ms",
]
