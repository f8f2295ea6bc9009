"""Where a raster lies on the earth, in degrees: what catalogues search by."""

from __future__ import annotations

from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.affinity import translate

from geoseg.raster.grid import Grid, degrees_of

__all__ = ["bounds_of", "extent_of", "with_area"]

STEPS = 20  # a side: straight lines of a plane are curved in degrees
NEAR = 1e-5  # degrees that the outline may be off: a metre
DIGITS = 7  # of degrees: a centimetre

Extent = tuple[dict[str, Any], list[float]]


def bounds_of(grid: Grid) -> list[float]:
    """West, south, east and north of a raster that has a transform, in its own units."""
    x, y = _border(grid, 1)
    return [float(each) for each in (x.min(), y.min(), x.max(), y.max())]


def extent_of(grid: Grid) -> Extent | None:
    """The outline of a raster in longitude and latitude.

    Parameters
    ----------
    grid : Grid

    Returns
    -------
    tuple of (dict, list of float), or None
        Geometry of GeoJSON, and west, south, east, north in degrees. Where the raster lies across
        the meridian of 180 degrees west is greater than east, and the geometry is in two parts.
        None when the raster does not say where it lies, or lies nowhere on the earth.
    """
    if grid.crs is None or grid.transform is None:
        return None
    outline = degrees_of(np.transpose(_border(grid, STEPS)), grid.crs, "EPSG:4326")
    if outline is None:
        return None
    lon, lat = outline.T
    lon, lat = np.unwrap(lon, period=360).round(DIGITS), lat.clip(-90, 90).round(DIGITS)
    if abs(lon[-1] - lon[0]) > 180:  # around a pole
        south, north = (-90.0, lat.max()) if lat.mean() < 0 else (lat.min(), 90.0)
        return _told(shapely.box(-180, south, 180, north))
    polygon = shapely.Polygon(np.stack([lon, lat], 1))
    return _told(shapely.make_valid(polygon.simplify(NEAR)))


def _border(grid: Grid, steps: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Places along the border of a raster, counterclockwise as GeoJSON wants it, closed."""
    assert grid.transform is not None  # noqa: S101  (for the type checker)
    rows, columns = grid.shape
    along, stay = np.linspace(0, 1, steps + 1), np.zeros(steps + 1)
    right = np.concatenate([stay, along, stay + 1, along[::-1]]) * columns
    down = np.concatenate([along, stay + 1, along[::-1], stay]) * rows
    t = grid.transform
    return t.a * right + t.b * down + t.c, t.d * right + t.e * down + t.f


def _told(outline: Any) -> Extent | None:
    """An outline as GeoJSON, each part of it between -180 and 180 degrees, and its bounds."""
    outline, parts = shapely.union_all(with_area(outline)), []
    for turn in (-360, 0, 360):
        there = outline.intersection(shapely.box(turn - 180, -90, turn + 180, 90))
        parts += [translate(each, -turn) for each in with_area(there)]
    if not parts:
        return None
    west, south, east, north = outline.bounds
    if east - west >= 360:
        west, east = -180, 180
    elif west < -180 or east > 180:
        west, east = (each - 360 * round(each / 360) for each in (west, east))
    shape = shapely.geometry.mapping(shapely.orient_polygons(shapely.union_all(parts)))
    return _listed(shape), [float(round(each, DIGITS)) for each in (west, south, east, north)]


def with_area(shapes: Any) -> NDArray[np.object_]:
    """The polygons that shapes are made of; what was cut or mended may be of lines as well."""
    parts = shapely.get_parts(shapely.get_parts(shapes))  # a collection may hold multipolygons
    return np.asarray(parts[shapely.area(parts) > 0], object)


def _listed(shape: dict[str, Any]) -> dict[str, Any]:
    """A geometry with lists, as it comes back from JSON."""

    def lists(value: Any) -> Any:
        return [lists(each) for each in value] if isinstance(value, tuple | list) else float(value)

    return {"type": shape["type"], "coordinates": lists(shape["coordinates"])}
