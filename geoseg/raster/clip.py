"""The part of an image under a box."""

from __future__ import annotations

import numpy as np
import xarray as xr
from affine import Affine
from rasterio.warp import transform_bounds

from geoseg.errors import UserError
from geoseg.raster.arrays import grid_of
from geoseg.raster.grid import parse_crs

__all__ = ["clip"]


def clip(
    image: xr.DataArray, bbox: tuple[float, float, float, float], crs: str | None
) -> xr.DataArray:
    """The pixels of an image that touch a box.

    Parameters
    ----------
    image : DataArray, dims (band, y, x)
    bbox : tuple of float
        West, south, east, north.
    crs : str, optional
        Coordinate system of `bbox`; by default the image's.

    Raises
    ------
    UserError
        When the image does not say where it lies, or the box misses it.
    """
    grid = grid_of(image)
    if grid.transform is None or (crs is not None and grid.crs is None):
        raise UserError("the image does not say where it lies, so no box can be cut out of it")
    west, south, east, north = bbox
    if not (west < east and south < north):
        raise UserError(f"box {bbox} is empty; give west south east north, in this order")
    if crs is not None:
        west, south, east, north = transform_bounds(parse_crs(crs), grid.crs, *bbox)
    corners = [(west, south), (west, north), (east, south), (east, north)]
    places = np.array([~grid.transform @ corner for corner in corners])
    left, top = np.floor(places.min(0)).astype(int).clip(0)
    right, bottom = np.minimum(np.ceil(places.max(0)).astype(int), grid.shape[::-1])
    if left >= right or top >= bottom:
        raise UserError(f"box {bbox} lies outside the image; give its coordinates in {grid.crs}")
    moved = grid.transform @ Affine.translation(left, top)
    part: xr.DataArray = image[:, top:bottom, left:right].rio.write_transform(moved)
    return part
