"""Where the pixels lie: coordinate system, transform and shape, and how large a pixel is."""

from __future__ import annotations

from dataclasses import dataclass
from math import hypot

import numpy as np
import rioxarray  # noqa: F401  (registers the .rio accessor)
import xarray as xr
from affine import Affine
from pyproj import Geod
from rasterio.crs import CRS

from geoseg.errors import UserError

__all__ = ["Grid", "grid_of", "pixel_size", "require_image"]


@dataclass(frozen=True)
class Grid:
    """Shape, coordinate system and transform of a raster.

    Parameters
    ----------
    shape : tuple of int
        Rows and columns.
    crs : rasterio.crs.CRS or None
        None when the raster has none.
    transform : affine.Affine or None
        From (column, row) at pixel corners to (x, y); None when the raster has none.
    """

    shape: tuple[int, int]
    crs: CRS | None
    transform: Affine | None


def grid_of(image: xr.DataArray) -> Grid:
    """The grid of a DataArray whose last dimensions are ``y, x``, as rioxarray keeps it.

    Parameters
    ----------
    image : DataArray, dims (..., y, x)

    Returns
    -------
    Grid
        Without a transform when the array has neither a ``GeoTransform`` nor coordinates.

    Raises
    ------
    UserError
        When the coordinates are not evenly spaced.
    """
    shape = (image.sizes["y"], image.sizes["x"])
    return Grid(shape, image.rio.crs, _transform(image))


def _transform(image: xr.DataArray) -> Affine | None:
    """The stated transform, unless coordinates say that the array was sliced since."""
    stated = _stated_transform(image)
    if not {"x", "y"} <= set(image.coords) or (stated and (stated.b or stated.d)):
        return stated
    left, width = _axis(image, "x", stated.a if stated else None)
    top, height = _axis(image, "y", stated.e if stated else None)
    if width is None or height is None:
        return stated
    located = Affine(width, 0.0, left, 0.0, height, top)
    if stated is not None and stated.almost_equals(located, 1e-6 * min(abs(width), abs(height))):
        return stated  # exact, where coordinates carry rounding
    return located


def _stated_transform(image: xr.DataArray) -> Affine | None:
    reference = image.coords.get(image.rio.grid_mapping)
    text = None if reference is None else reference.attrs.get("GeoTransform")
    return None if text is None else Affine.from_gdal(*(float(n) for n in str(text).split()))


def _axis(image: xr.DataArray, name: str, known: float | None) -> tuple[float, float | None]:
    """Outer edge and spacing of an axis; the spacing of a single pixel cannot be measured."""
    centres = np.asarray(image[name].values, np.float64)
    spacing = (centres[-1] - centres[0]) / (centres.size - 1) if centres.size > 1 else known
    if spacing is None:
        return 0.0, None
    drift = np.abs(np.diff(centres) - spacing).max(initial=0.0)
    if not spacing or drift > 0.01 * abs(spacing):
        raise UserError(
            f"the coordinates {name} of the image are not evenly spaced (steps differ by {drift:g} "
            f"around {spacing:g}); resample it to a regular grid first"
        )
    return centres[0] - spacing / 2, spacing


def require_image(image: xr.DataArray) -> None:
    """Refuse an array whose dimensions are not those of an image.

    Raises
    ------
    UserError
    """
    if image.ndim == 3 and image.dims[1:] == ("y", "x"):
        return
    says = f"an image has the dimensions (band, y, x), this one {image.dims}; "
    if image.ndim == 2:
        raise UserError(says + "use image.expand_dims('band') for a single band")
    if image.ndim == 3 and {"y", "x"} <= set(image.dims):
        raise UserError(says + "use image.transpose(..., 'y', 'x')")
    raise UserError(says + "rename them, e.g. image.rename(latitude='y', longitude='x')")


def pixel_size(grid: Grid) -> tuple[float, float] | None:
    """Height and width of the pixel at the centre of the raster, in metres.

    Parameters
    ----------
    grid : Grid

    Returns
    -------
    tuple of float, or None
        (rows, columns) spacing in metres: along a geodesic for longitude and latitude, by the unit
        of the coordinate system else. None when the raster does not say where it lies.
    """
    if grid.crs is None or grid.transform is None:
        return None
    if grid.crs.is_geographic:
        return _geodesic_size(grid.shape, grid.transform)
    _, metres = grid.crs.linear_units_factor
    t = grid.transform
    return hypot(t.b, t.e) * metres, hypot(t.a, t.d) * metres


def _geodesic_size(shape: tuple[int, int], transform: Affine) -> tuple[float, float]:
    geod = Geod(ellps="WGS84")
    row, column = shape[0] / 2, shape[1] / 2
    here = transform @ (column, row)
    below, beside = transform @ (column, row + 1), transform @ (column + 1, row)
    return geod.inv(*here, *below)[2], geod.inv(*here, *beside)[2]
