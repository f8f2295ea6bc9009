"""Polygons of vector files on the grid of an image: read, put in place, drawn window by window."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import pyogrio
import shapely
from affine import Affine
from numpy.typing import NDArray
from pyogrio.errors import DataSourceError
from pyproj import CRS
from pyproj.exceptions import ProjError
from rasterio.crs import CRS as RasterCRS  # noqa: N811
from rasterio.features import rasterize

from geoseg.errors import UserError
from geoseg.raster.grid import Grid
from geoseg.windows import Box

__all__ = ["Area", "Drawn", "as_pixels", "in_crs", "outline", "read_area", "read_shapes"]

log = logging.getLogger(__name__)

ONE_LAYER = "copy one into a file of its own, e.g. ogr2ogr one.gpkg {path} {layer}"


def read_shapes(path: Path, layer: str | None = None, remedy: str = ONE_LAYER) -> Any:
    """Read polygons: GeoPackage, GeoJSON, or what else GDAL reads, in any coordinate system.

    Features without a shape are left out and told of.

    Parameters
    ----------
    path : Path
    layer : str, optional
        Of the file; by default its only one.
    remedy : str
        What to do about a file of several layers.

    Returns
    -------
    GeoDataFrame
        Of valid polygons, in a coordinate system.

    Raises
    ------
    UserError
        When the file cannot be read, has no coordinate system or no such layer, or holds other
        shapes than valid polygons.
    """
    frame = _read(path, layer, remedy)
    if frame.crs is None:
        raise UserError(
            f"{path} has no coordinate system; give it one, e.g. ogr2ogr -a_srs EPSG:4326"
        )
    frame = _shaped(frame, path)
    _refuse_unfit(frame, path)
    return frame


def _read(path: Path, layer: str | None, remedy: str) -> Any:
    try:
        layers = [str(name) for name, _ in pyogrio.list_layers(path)]
        _choose_layer(path, layers, layer, remedy)
        frame = pyogrio.read_dataframe(path, layer=layer)
    except DataSourceError as error:
        reason = str(error).splitlines()[0]
        raise UserError(
            f"{path} is no vector file that GDAL can open ({reason}); try ogrinfo on it"
        ) from error
    if not isinstance(frame, geopandas.GeoDataFrame):
        raise UserError(f"{path} holds a table without shapes; give polygons")
    return frame


def _choose_layer(path: Path, layers: Sequence[str], layer: str | None, remedy: str) -> None:
    if layer is None and len(layers) > 1:
        do = remedy.format(path=path, layer=layers[0])
        raise UserError(f"{path} has {len(layers)} layers, {', '.join(layers)}; {do}")
    if layer is not None and layer not in layers:
        raise UserError(f"{path} has no layer {layer!r}; choose from {', '.join(layers)}")


def _shaped(frame: Any, path: Path) -> Any:
    missing = frame.geometry.isna() | frame.geometry.is_empty
    if missing.any():
        log.warning("%s: %d features have no shape and are left out", path, missing.sum())
    if missing.all():
        raise UserError(f"{path} holds no polygon; check the file")
    return frame[~missing]


def _refuse_unfit(frame: Any, path: Path) -> None:
    others = ~frame.geom_type.isin(["Polygon", "MultiPolygon"])
    if others.any():
        raise UserError(
            f"{path}: {others.sum()} features are no polygons, the first a "
            f"{frame.geom_type[others].iloc[0]}; give polygons, e.g. by a buffer"
        )
    wrong = frame[~frame.geometry.is_valid]
    if len(wrong):
        reason = shapely.is_valid_reason(wrong.geometry.iloc[0])
        raise UserError(
            f"{path}: {len(wrong)} polygons are not valid, the first is feature "
            f"{wrong.index[0] + 1} ({reason}); mend them, e.g. with ogr2ogr -makevalid"
        )


def in_crs(frame: Any, crs: RasterCRS, name: str) -> NDArray[np.object_]:
    """The polygons of a frame in the coordinate system of an image.

    Parameters
    ----------
    frame : GeoDataFrame
    crs : rasterio.crs.CRS
    name : str
        Of the image.

    Raises
    ------
    UserError
        When nothing leads from one to the other.
    """
    try:
        return np.asarray(frame.geometry.to_crs(crs.to_wkt()).to_numpy(), object)
    except ProjError as error:
        raise UserError(
            f"polygons in {frame.crs.name} cannot be put on {name}, which is in {CRS(crs).name}; "
            "give both a coordinate system of the earth"
        ) from error


def as_pixels(shapes: NDArray[np.object_], transform: Affine) -> NDArray[np.object_]:
    """The same shapes in (column, row) from a grid's first corner."""
    inverse = ~transform
    matrix = np.array([[inverse.a, inverse.b], [inverse.d, inverse.e]])
    shift = np.array([inverse.c, inverse.f])
    moved = shapely.transform(shapes, lambda points: points @ matrix.T + shift)
    return np.asarray(moved, object)


def outline(shape: tuple[int, int], transform: Affine) -> shapely.Polygon:
    """The border of a grid, in its coordinate system."""
    rows, columns = shape
    corners = [(0, 0), (columns, 0), (columns, rows), (0, rows)]
    return shapely.Polygon([transform @ corner for corner in corners])


@dataclass(frozen=True)
class Drawn:
    """Draws windows of polygons that are given in (column, row); a later one covers those before.

    A pixel is of the polygon that holds its centre.

    Parameters
    ----------
    shapes : ndarray of shapely.Polygon
    tree : STRtree
        Of the shapes.
    indices : ndarray of uint8
        What pixels of each shape become.
    rest : int
        What pixels of none become.
    """

    shapes: NDArray[np.object_]
    tree: shapely.STRtree
    indices: NDArray[np.uint8]
    rest: int

    def __call__(self, rows: slice, columns: slice) -> NDArray[np.uint8]:
        """Indices of a window, shape (rows, columns)."""
        drawn = np.sort(self.met((rows, columns)))  # in the order of the file
        size = rows.stop - rows.start, columns.stop - columns.start
        if not drawn.size:
            return np.full(size, self.rest, np.uint8)
        burnt = rasterize(
            zip(self.shapes[drawn], self.indices[drawn].tolist(), strict=True),
            out_shape=size,
            fill=self.rest,
            transform=Affine.translation(columns.start, rows.start),
            dtype="uint8",
        )
        return np.asarray(burnt, np.uint8)

    def met(self, box: Box) -> NDArray[np.intp]:
        """Numbers of shapes that may have pixels in a box."""
        rows, columns = box
        window = shapely.box(columns.start, rows.start, columns.stop, rows.stop)
        return np.asarray(self.tree.query(window, predicate="intersects"), np.intp)


@dataclass(frozen=True)
class Area:
    """The part of an image that lies in polygons.

    Parameters
    ----------
    drawn : Drawn
        With 1 inside, on the image's grid.
    """

    drawn: Drawn

    def inside(self, box: Box) -> NDArray[np.bool_]:
        """Which pixels of a box have their centre in a polygon, shape (rows, columns)."""
        return self.drawn(*box).astype(bool)

    def misses(self, box: Box) -> bool:
        """Whether no polygon touches a box."""
        return not self.drawn.met(box).size

    @property
    def digest(self) -> str:
        """Names the polygons, as they lie on the grid."""
        return hashlib.sha256(b"".join(shapely.to_wkb(self.drawn.shapes).tolist())).hexdigest()


def read_area(path: Path, grid: Grid) -> Area:
    """The part of a grid that lies in the polygons of a file, whatever coordinate system they have.

    Parameters
    ----------
    path : Path
    grid : Grid
        Of the image.

    Raises
    ------
    UserError
        As `read_shapes`; when the image does not say where it lies, or no polygon touches it.
    """
    if grid.crs is None or grid.transform is None:
        raise UserError(
            "the image does not say where it lies, so polygons cannot be put on it; give it a "
            "coordinate system, e.g. gdal_edit.py -a_srs EPSG:32633"
        )
    frame = read_shapes(path)
    placed = in_crs(frame, grid.crs, "the image")
    met = shapely.intersects(placed, outline(grid.shape, grid.transform))
    if not met.any():
        raise UserError(
            f"no polygon of {path} touches the image; check its place and coordinate system "
            f"({frame.crs.name})"
        )
    shapes = as_pixels(placed[met], grid.transform)
    ones = np.ones(len(shapes), np.uint8)
    return Area(Drawn(shapes, shapely.STRtree(shapes), ones, 0))
