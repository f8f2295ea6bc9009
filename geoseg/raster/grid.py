"""Where the pixels lie: coordinate system, transform and shape, and how large a pixel is."""

from __future__ import annotations

from dataclasses import dataclass
from math import hypot, inf

from affine import Affine
from pyproj import Geod
from rasterio.crs import CRS
from rasterio.errors import CRSError

from geoseg.errors import UserError

__all__ = ["Grid", "parse_crs", "pixel_size", "refuse_no_size", "stated_size"]

SLACK = 0.01  # share by which a stated size may differ from that of the file, which has more digits


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


def _geodesic_size(shape: tuple[int, int], transform: Affine) -> tuple[float, float]:
    geod = Geod(ellps="WGS84")
    row, column = shape[0] / 2, shape[1] / 2
    here = transform @ (column, row)
    below, beside = transform @ (column, row + 1), transform @ (column + 1, row)
    return geod.inv(*here, *below)[2], geod.inv(*here, *beside)[2]


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
