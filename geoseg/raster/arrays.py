"""Where the pixels of a DataArray lie, as rioxarray keeps it."""

from __future__ import annotations

import numpy as np
import rioxarray  # noqa: F401  (registers the .rio accessor)
import xarray as xr
from affine import Affine

from geoseg.errors import UserError
from geoseg.raster.grid import Grid

__all__ = ["grid_of", "require_image", "require_named"]


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


def require_named(array: xr.DataArray, name: str, dims: str) -> None:
    """Refuse what is no DataArray, such as an array of numpy, whose dimensions have no names.

    Raises
    ------
    UserError
    """
    if not isinstance(array, xr.DataArray):
        raise UserError(
            f"{name} is a {type(array).__name__}; give a DataArray with named dimensions, "
            f"xarray.DataArray({name}, dims=({dims}))"
        )


def require_image(image: xr.DataArray) -> None:
    """Refuse an array whose dimensions are not those of an image.

    Raises
    ------
    UserError
    """
    require_named(image, "image", "'band', 'y', 'x'")
    if image.ndim == 3 and image.dims[1:] == ("y", "x"):
        return
    says = f"an image has the dimensions (band, y, x), this one {image.dims}; "
    if image.ndim == 2:
        raise UserError(says + "use image.expand_dims('band') for a single band")
    if image.ndim == 3 and {"y", "x"} <= set(image.dims):
        raise UserError(says + "use image.transpose(..., 'y', 'x')")
    raise UserError(says + "rename them, e.g. image.rename(latitude='y', longitude='x')")
