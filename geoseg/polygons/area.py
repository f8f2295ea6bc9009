"""Areas of polygons on a plane or on the ellipsoid, without a loop over them."""

from __future__ import annotations

import numpy as np
from affine import Affine
from numpy.typing import NDArray
from pyproj import CRS

from geoseg.polygons.rings import Polygons
from geoseg.polygons.trace import column_of, row_of

__all__ = ["areas"]


def areas(polygons: Polygons, transform: Affine, crs: CRS | None) -> NDArray[np.float64]:
    """The area of each region.

    Parameters
    ----------
    polygons : Polygons
    transform : Affine
        From lattice (column, row) to the coordinate system.
    crs : pyproj.CRS or None

    Returns
    -------
    ndarray of float64, shape (regions,)
        Square metres: on the plane of a projected coordinate system, on the ellipsoid of a
        geographic one. Without a coordinate system squares of the units of `transform`.

    Notes
    -----
    By Green's theorem an area is the sum of ``x dy`` along its boundary, on the ellipsoid with the
    height of the zone below each vertex (see `zone`) for y. Pixel edges along meridians and
    parallels are straight in these coordinates, so that areas add up: a region has that of its
    pixels. (Geodesics between the corners of a wide region do not keep to its parallels.)
    """
    if crs is not None and crs.is_geographic:
        return _ellipsoidal(polygons, transform, crs)
    columns, rows = column_of(polygons.points), row_of(polygons.points)
    metres = crs.axis_info[0].unit_conversion_factor if crs and crs.axis_info else 1.0
    pixel = abs(transform.determinant) * metres**2
    return _enclosed(polygons, columns.astype(float), rows.astype(float)) * pixel


def _ellipsoidal(polygons: Polygons, transform: Affine, crs: CRS) -> NDArray[np.float64]:
    columns, rows = column_of(polygons.points), row_of(polygons.points)
    # Longitude from the first vertex of each ring on: short numbers keep their digits.
    first = np.repeat(polygons.rings[:-1], np.diff(polygons.rings))
    angle = crs.axis_info[0].unit_conversion_factor
    east = transform.a * (columns - columns[first]) + transform.b * (rows - rows[first])
    north = transform.d * columns + transform.e * rows + transform.f
    geod = crs.get_geod()
    assert geod is not None  # noqa: S101  (for the type checker: latitudes are on an ellipsoid)
    return _enclosed(polygons, east * angle, zone(north * angle, geod.a, geod.es))


def zone(latitude: NDArray[np.float64], a: float, es: float) -> NDArray[np.float64]:
    """Area between the equator and a parallel for one radian of longitude.

    Parameters
    ----------
    latitude : ndarray of float64
        Radians.
    a : float
        Semi-major axis in metres.
    es : float
        Squared eccentricity.

    Returns
    -------
    ndarray of float64
        Square metres: ``a^2 q / 2`` with q of J. P. Snyder, Map Projections: A Working Manual, USGS
        Professional Paper 1395 (1987), equation (3-12).
    """
    sine, e = np.sin(latitude), np.sqrt(es)
    bulge = np.arctanh(e * sine) / e if es else sine
    return a**2 * (1 - es) / 2 * (sine / (1 - es * sine**2) + bulge)


def _enclosed(
    polygons: Polygons, x: NDArray[np.float64], y: NDArray[np.float64]
) -> NDArray[np.float64]:
    """What the rings of each region enclose, holes taken off."""
    terms = np.zeros_like(x)
    terms[:-1] = (x[:-1] + x[1:]) / 2 * np.diff(y)
    terms[polygons.rings[1:] - 1] = 0  # from the end of a ring to the next leads no edge
    begin = polygons.rings[polygons.polygons[polygons.regions[:-1]]]
    return np.abs(np.add.reduceat(terms, begin)) if begin.size else np.zeros(0)
