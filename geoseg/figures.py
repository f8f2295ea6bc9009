"""Pictures of results: image, class map and polygons side by side.

Files are read decimated, so a picture of a raster of any size takes the memory of a picture.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from os import PathLike, fspath, replace
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pyogrio
import rasterio
import shapely
from affine import Affine
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import PathCollection
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle
from matplotlib.path import Path as Outline
from numpy.typing import NDArray
from rasterio.enums import ColorInterp, Resampling
from rasterio.features import bounds as bounds_of
from rasterio.warp import transform_bounds
from rasterio.windows import Window

from geoseg.classes import ClassInfo, as_classes
from geoseg.raster import Grid, class_table, pixel_size
from geoseg.windows import Box, Windows, box_shape

__all__ = ["preview"]

PANEL = 900
"""Pixels that are read along the longer side of a panel; shown at about 600."""
DETAIL = 320
"""Side, in pixels of the raster, of the part whose polygons are shown: more, and outlines merge."""
MISSING = "#f2f2f2"
_Rgb = NDArray[np.uint8]
