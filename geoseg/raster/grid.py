"""Where the pixels lie: coordinate system, transform and shape, and how large a pixel is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import hypot, inf
from typing import Any

import numpy as np
import pyproj
from affine import Affine
from numpy.typing import ArrayLike, NDArray
from pyproj.exceptions import ProjError
from rasterio.crs import CRS
from rasterio.errors import CRSError

from geoseg.errors import UserError

__all__ = [
    "Grid",
    "called",
    "degrees_of",
    "parse_crs",
    "pixel_size",
    "refuse_no_size",
    "stated_size",
    "with_assumed_crs",
]

FARTHEST = 90.0, 540.0  # degrees of latitude, and of longitude in images that go around the earth
PLANE = 1e8  # metres: ways around the earth are 4e7, before which some put the number of a zone
SLACK = (
    0.01  # share by which sizes of a pixel may differ: digits left out, planes made to measure on
)


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


def pixel_size(grid: Grid) -> tuple[float, float] | None:
    """Height and width of the pixel at the centre of the raster, in metres.

    Parameters
    ----------
    grid : Grid

    Returns
    -------
    tuple of float, or None
        (rows, columns) spacing on the ground in metres: along a geodesic for longitude and
        latitude, and for planes that stretch it by more than a hundredth, as EPSG:3857 does away
        from the equator (1.56 times at 50 degrees); by the unit of other planes. None when the
        raster does not say where it lies.
    """
    if grid.crs is None or grid.transform is None:
        return None
    row, column = grid.shape[0] / 2, grid.shape[1] / 2
    places = [
        grid.transform @ place for place in ((column, row), (column, row + 1), (column + 1, row))
    ]
    if grid.crs.is_geographic:
        return _geodesic_size(places, pyproj.Geod(ellps="WGS84"))
    crs, t = pyproj.CRS(grid.crs), grid.transform
    metres = crs.axis_info[0].unit_conversion_factor if crs.axis_info else 1.0
    plane = hypot(t.b, t.e) * metres, hypot(t.a, t.d) * metres
    ground = _ground_size(places, crs)
    if ground is None or max(abs(p / g - 1) for p, g in zip(plane, ground, strict=True)) <= SLACK:
        return plane
    return ground


def stated_size(grid: Grid, metres: float | None) -> tuple[float, float] | None:
    """Height and width of a pixel in metres: as the raster says, else as its user does.

    Parameters
    ----------
    grid : Grid
    metres : float or None
        Side of a pixel, for a raster that does not say it.

    Raises
    ------
    UserError
        When raster and user say different things, or `metres` are no size.
    """
    refuse_no_size(metres)
    known = pixel_size(grid)
    if metres is None or known is None:
        return known if metres is None else (metres, metres)
    if max(abs(side / metres - 1) for side in known) > SLACK:
        raise UserError(
            f"pixels of {metres:g} m are stated, and the image itself says {known[1]:.4g} x "
            f"{known[0]:.4g} m; leave --pixel-size (pixel_size) out, or correct the image's "
            "transform and coordinate system"
        )
    return known


def refuse_no_size(metres: float | None) -> None:
    """Refuse what is no side of a pixel.

    Raises
    ------
    UserError
    """
    if metres is not None and not 0 < metres < inf:
        raise UserError(f"pixel size {metres:g} must be a positive number of metres, e.g. 0.5")


def _geodesic_size(places: Sequence[tuple[float, float]], geod: pyproj.Geod) -> tuple[float, float]:
    """Metres from the first of three places, in degrees, to the others."""
    here, below, beside = places
    return geod.inv(*here, *below)[2], geod.inv(*here, *beside)[2]


def _ground_size(
    places: Sequence[tuple[float, float]], crs: pyproj.CRS
) -> tuple[float, float] | None:
    """The same for places of a plane; None where it has none on the earth."""
    geod, moved = crs.get_geod(), degrees_of(places, crs, crs.geodetic_crs)
    if geod is None or moved is None:
        return None
    size = _geodesic_size(moved.tolist(), geod)
    return size if min(size) > 0 else None


def degrees_of(places: ArrayLike, crs: Any, onto: Any) -> NDArray[np.float64] | None:
    """Longitudes and latitudes (places, 2) of places (places, 2), in degrees.

    Parameters
    ----------
    places : array-like of float
        x and y.
    crs : whatever pyproj takes
        That of the places.
    onto : whatever pyproj takes
        The geographic one wanted.

    Returns
    -------
    ndarray of float64, or None
        None where there is no system to go to, or one of the places is nowhere on the earth.
    """
    if onto is None:
        return None
    try:
        system = pyproj.CRS(crs)
        way = pyproj.Transformer.from_crs(system, onto, always_xy=True)
        if system.is_projected and _farthest(places, system) > PLANE:
            return None  # PROJ may give any degrees
        moved = np.stack(way.transform(*np.transpose(places)), axis=1)
    except ProjError:
        return None
    return moved if np.isfinite(moved).all() else None


def _farthest(places: ArrayLike, system: pyproj.CRS) -> float:
    """The largest coordinate on a plane, in metres."""
    return float(np.abs(places).max()) * system.axis_info[0].unit_conversion_factor


def parse_crs(text: str) -> CRS:
    """The coordinate system that a user means.

    Raises
    ------
    UserError
        When it is unknown.
    """
    try:
        return CRS.from_user_input(text)
    except CRSError as error:
        raise UserError(f"coordinate system {text!r} is unknown; write e.g. EPSG:4326") from error


def with_assumed_crs(grid: Grid, assumed: CRS | None, name: str) -> Grid:
    """The grid of a file, in a coordinate system that is assumed where it has none.

    Parameters
    ----------
    grid : Grid
        As the file says it.
    assumed : rasterio.crs.CRS or None
    name : str
        Of the file, for messages.

    Raises
    ------
    UserError
        When the file has another one, for one of the two must be wrong, and whatever follows from
        it, pixel sizes and areas among it, would be as well; when its pixels have no coordinates,
        or such as are none of the system.
    """
    if assumed is None:
        return grid
    if grid.transform is None:
        raise UserError(
            f"{name} does not say where its pixels lie, so no coordinate system can be assumed; "
            f"give it corners: gdal_translate -a_srs {called(assumed)} -a_ullr WEST NORTH EAST "
            "SOUTH, or leave --assume-crs (assume_crs) out"
        )
    if grid.crs is None:
        _refuse_no_degrees(grid.shape, grid.transform, assumed, name)
        return Grid(grid.shape, assumed, grid.transform)
    if not _is_same(grid.crs, assumed):
        raise UserError(
            f"{name} says that it is in {called(grid.crs)}, and {called(assumed)} is to be "
            "assumed; leave --assume-crs (assume_crs) out, or correct the file: gdal_edit.py "
            f"-a_srs {called(assumed)}"
        )
    return grid


def _refuse_no_degrees(shape: tuple[int, int], transform: Affine, assumed: CRS, name: str) -> None:
    if not assumed.is_geographic:
        return
    rows, columns = shape
    for corner in ((0, 0), (columns, 0), (columns, rows), (0, rows)):
        x, y = transform @ corner
        if abs(y) > FARTHEST[0] + SLACK or abs(x) > FARTHEST[1]:
            raise UserError(
                f"{name} has a corner at {x:g}, {y:g}, which are no degrees as {called(assumed)} "
                "has them; assume the projected system that the file was made in"
            )


def _is_same(one: CRS, other: CRS) -> bool:
    """Whether two coordinate systems are one, however they are written."""
    if one == other:
        return True
    codes = one.to_epsg(), other.to_epsg()
    if None not in codes:
        return bool(codes[0] == codes[1])
    return bool(pyproj.CRS(one).equals(pyproj.CRS(other), ignore_axis_order=True))


def called(crs: CRS) -> str:
    """What a coordinate system is called in a message: its code, else its name."""
    code = crs.to_epsg()
    return f"EPSG:{code}" if code is not None else f"{pyproj.CRS(crs).name!r}"
