"""Areas and perimeters of polygons, on a plane or on the ellipsoid."""

from __future__ import annotations

import logging
from typing import Any, NamedTuple

import numpy as np
from affine import Affine
from numpy.typing import NDArray
from pyproj import CRS

from geoseg.polygons.kernel import inlined, kernel
from geoseg.polygons.points import places
from geoseg.polygons.rings import Polygons
from geoseg.raster import Grid
from geoseg.raster.grid import degrees_of

__all__ = [
    "Sizes",
    "area_unit",
    "measure",
    "pixel_sizes",
    "tell_units",
    "unit_of",
    "utm_of",
    "zone",
]

STRETCHED = 0.01
"""Share by which areas on a plane may differ from those on the ground without a word: UTM stays
below 0.002 in its zone, the grids of states and nations below 0.005."""

log = logging.getLogger(__name__)


def measure(
    polygons: Polygons, transform: Affine, crs: CRS | None
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The area and the perimeter of each region.

    Parameters
    ----------
    polygons : Polygons
    transform : Affine
        From lattice (column, row) to the coordinate system.
    crs : pyproj.CRS or None

    Returns
    -------
    areas : ndarray of float64, shape (regions,)
        Square metres: on the plane of a projected coordinate system, on the ellipsoid of a
        geographic one. Without a coordinate system squares of the units of `transform`.
    perimeters : ndarray of float64, shape (regions,)
        Metres, or units of `transform`: exteriors and holes.

    Notes
    -----
    By Green's theorem an area is the sum of ``y dx`` along its boundary, on the ellipsoid with the
    area of the zone below (see `zone`) for y. Edges are straight in the coordinates of the map, so
    those along meridians and parallels stay on these, and areas add up: a region has that of its
    pixels. (Geodesics between the corners of a wide region do not keep to its parallels.) Along
    an oblique edge the zone, and along a meridian the radius, is integrated by Simpson's rule,
    whose error is of the fourth order in the extent of the edge; an oblique edge is as long as with
    the parallel of its middle, an error of the second order: 1e-6 for edges of 0.1 degrees.
    """
    matrix = np.array(transform[:6], np.float64)
    corners = places(polygons.points)
    if crs is None or not crs.is_geographic:
        metres = unit_of(crs)
        areas, perimeters = _on_plane(corners, polygons.rings, _rings_of(polygons), matrix)
        return areas * abs(transform.determinant) * metres**2, perimeters * metres
    geod = crs.get_geod()
    assert geod is not None  # noqa: S101  (for the type checker: latitudes are on an ellipsoid)
    radians = matrix * unit_of(crs)
    return _on_ellipsoid(corners, polygons.rings, _rings_of(polygons), radians, geod.a, geod.es)


def unit_of(crs: CRS | None) -> float:
    """Metres, or radians, in a unit of the coordinates; 1 where nothing is known."""
    return float(crs.axis_info[0].unit_conversion_factor) if crs and crs.axis_info else 1.0


def tell_units(grid: Grid) -> None:
    """Warn when areas on a grid are not those on the ground, and say how they can be had."""
    if grid.crs is None:
        unit = "pixels"
        if grid.transform is not None:
            own = abs(grid.transform.determinant)
            unit = f"the units of its transform, of which a pixel has {own:g}"
        log.warning("the map has no coordinate system: areas are in %s", unit)
        return
    crs = CRS.from_user_input(grid.crs)
    corners = None if crs.is_geographic else _middle_pixel(grid, crs)
    geod = crs.get_geod()
    if corners is None or geod is None or grid.transform is None:
        return
    on_ground, _ = geod.polygon_area_perimeter(*corners.T)
    times = abs(grid.transform.determinant / on_ground) * unit_of(crs) ** 2
    if abs(times - 1) > STRETCHED:
        log.warning(
            "areas are measured on the plane of %s, where they are %.3g times those on the ground; "
            "for true ones warp the map first, e.g. gdalwarp -t_srs %s -r near",
            crs.name,
            times,
            utm_of(*corners[0]),
        )


def area_unit(grid: Grid) -> str:
    """What areas on a grid are in: m2, or without a coordinate system what a pixel is known by."""
    if grid.crs is not None:
        return "m2"
    return "pixels" if grid.transform is None else "units2"


def utm_of(longitude: float, latitude: float) -> str:
    """The zone of the Universal Transverse Mercator system that a place lies in, by its code."""
    number = int((longitude + 180) // 6) % 60 + 1
    return f"EPSG:{(32600 if latitude >= 0 else 32700) + number}"


def _middle_pixel(grid: Grid, crs: CRS) -> NDArray[np.float64] | None:
    """Longitudes and latitudes of the corners of the pixel in the middle; None without any."""
    if grid.transform is None:
        return None
    row, column = (side // 2 for side in grid.shape)
    corners = [grid.transform @ (column + x, row + y) for x, y in ((0, 0), (1, 0), (1, 1), (0, 1))]
    return degrees_of(corners, crs, crs.geodetic_crs)


class Sizes(NamedTuple):
    """How large the pixels of each row are, in metres and square metres: (rows,) each."""

    areas: NDArray[np.float64]
    widths: NDArray[np.float64]
    heights: NDArray[np.float64]


def pixel_sizes(grid: Grid) -> Sizes:
    """How large the pixels of each row are, by the conventions of `measure`.

    Parameters
    ----------
    grid : Grid

    Returns
    -------
    Sizes
        On the ellipsoid areas are exact where rows follow parallels; else all sizes are those in
        the middle of the row.
    """
    rows, columns = grid.shape
    transform = grid.transform or Affine.identity()
    crs = None if grid.crs is None else CRS.from_user_input(grid.crs)
    metres = unit_of(crs)
    if crs is None or not crs.is_geographic:
        sizes = (
            abs(transform.determinant) * metres**2,
            np.hypot(transform.a, transform.d) * metres,
            np.hypot(transform.b, transform.e) * metres,
        )
        return Sizes(*(np.full(rows, size) for size in sizes))
    geod = crs.get_geod()
    assert geod is not None  # noqa: S101  (for the type checker)
    edges = transform.d * columns / 2 + transform.e * np.arange(rows + 1) + transform.f
    middle = (edges[1:] + edges[:-1]) / 2 * metres
    along = _radius(middle, geod.a, geod.es) * metres
    across = geod.a * np.cos(middle) / np.sqrt(1 - geod.es * np.sin(middle) ** 2) * metres
    zones = zone(edges * metres, geod.a, geod.es)
    rotated = bool(transform.b or transform.d)
    return Sizes(
        abs(transform.determinant) * along * across
        if rotated
        else np.abs(transform.a * metres * np.diff(zones)),
        np.hypot(transform.a * across, transform.d * along),
        np.hypot(transform.b * across, transform.e * along),
    )


def _rings_of(polygons: Polygons) -> NDArray[np.int64]:
    """(regions + 1,): where each region begins among the rings."""
    return polygons.polygons[polygons.regions]


@kernel
def _on_plane(
    corners: NDArray[np.float64],
    rings: NDArray[np.int64],
    regions: NDArray[np.int64],
    matrix: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Areas in pixels, and perimeters in units of the transform."""
    areas, perimeters = np.zeros(regions.size - 1), np.zeros(regions.size - 1)
    for region in range(areas.size):
        for ring in range(regions[region], regions[region + 1]):
            left = corners[rings[ring], 0]  # from here on: short numbers keep their digits
            for i in range(rings[ring], rings[ring + 1] - 1):
                across = corners[i + 1, 0] - corners[i, 0]
                down = corners[i + 1, 1] - corners[i, 1]
                areas[region] += (corners[i, 0] - left + across / 2) * down
                east = matrix[0] * across + matrix[1] * down
                north = matrix[3] * across + matrix[4] * down
                perimeters[region] += np.sqrt(east * east + north * north)
    return np.abs(areas), perimeters


@kernel
def _on_ellipsoid(
    corners: NDArray[np.float64],
    rings: NDArray[np.int64],
    regions: NDArray[np.int64],
    matrix: NDArray[np.float64],
    a: float,
    es: float,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Square metres and metres; `matrix` gives radians."""
    areas, perimeters = np.zeros(regions.size - 1), np.zeros(regions.size - 1)
    for region in range(areas.size):
        for ring in range(regions[region], regions[region + 1]):
            start = rings[ring]
            south = matrix[3] * corners[start, 0] + matrix[4] * corners[start, 1] + matrix[5]
            base = zone(south, a, es)
            latitude, height = south, 0.0
            for i in range(start, rings[ring + 1] - 1):
                x, y = corners[i + 1]
                east = matrix[0] * (x - corners[i, 0]) + matrix[1] * (y - corners[i, 1])
                end = matrix[3] * x + matrix[4] * y + matrix[5]
                north, middle = end - latitude, (latitude + end) / 2
                height_end = zone(end, a, es) - base if north else height
                if east:
                    between = zone(middle, a, es) - base if north else height
                    areas[region] -= east * (height + 4 * between + height_end) / 6
                radii = _radius(latitude, a, es) + 4 * _radius(middle, a, es) + _radius(end, a, es)
                along = north * radii / 6
                parallel = a * np.cos(middle) / np.sqrt(1 - es * np.sin(middle) ** 2)
                perimeters[region] += np.sqrt(along * along + (east * parallel) ** 2)
                latitude, height = end, height_end
    return np.abs(areas), perimeters


@inlined
def zone(latitude: Any, a: float, es: float) -> Any:
    """Area between the equator and a parallel for one radian of longitude.

    Parameters
    ----------
    latitude : float or ndarray of float64
        Radians.
    a : float
        Semi-major axis in metres.
    es : float
        Squared eccentricity.

    Returns
    -------
    float or ndarray of float64
        Square metres: ``a^2 q / 2`` with q of J. P. Snyder, Map Projections: A Working Manual, USGS
        Professional Paper 1395 (1987), equation (3-12).
    """
    sine, e = np.sin(latitude), np.sqrt(es)
    bulge = np.arctanh(e * sine) / e if es else sine
    return a**2 * (1 - es) / 2 * (sine / (1 - es * sine**2) + bulge)


@inlined
def _radius(latitude: Any, a: float, es: float) -> Any:
    """Radius of curvature of the meridian: Snyder (1987), equation (4-18)."""
    return a * (1 - es) / (1 - es * np.sin(latitude) ** 2) ** 1.5
