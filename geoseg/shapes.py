"""Polygons of vector files: read, put on the pixels of an image, drawn window by window."""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from os import PathLike, fspath
from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import pyogrio
import rasterio.crs
import shapely
from affine import Affine
from numpy.typing import NDArray
from pyogrio.errors import (
    DataLayerError,
    DataSourceError,
    FeatureError,
    FieldError,
    GeometryError,
)
from pyproj import CRS, Transformer
from pyproj.exceptions import ProjError
from rasterio.features import rasterize

from geoseg.errors import UserError
from geoseg.extent import with_area
from geoseg.raster.grid import Grid
from geoseg.windows import Box, box_shape

__all__ = [
    "Area",
    "apart",
    "as_pixels",
    "draw",
    "located",
    "outline",
    "put_on",
    "read_mask",
    "read_polygons_of",
    "refuse_invalid",
]

UNREADABLE = (
    DataSourceError,
    DataLayerError,
    FeatureError,
    FieldError,
    GeometryError,
    shapely.errors.ShapelyError,
    UnicodeDecodeError,
)
"""What is raised for files that are damaged in one way or another."""

log = logging.getLogger(__name__)

Shapes = NDArray[np.object_]


# -- files -----------------------------------------------------------------------------------------


def read_polygons_of(
    path: str | PathLike[str], layer: str | None = None, columns: Sequence[str] | None = None
) -> Any:
    """Read polygons: GeoPackage, GeoJSON, or what else GDAL reads, in any coordinate system.

    Features without a shape are left out and told of.

    Parameters
    ----------
    path : path-like
    layer : str, optional
        By default the only one that has shapes.
    columns : sequence of str, optional
        Attributes wanted; by default all.

    Returns
    -------
    GeoDataFrame
        In a coordinate system, of finite coordinates; not each polygon need be valid.

    Raises
    ------
    UserError
        When the file cannot be read, has no coordinate system or no such layer, or holds other
        shapes than polygons, or corners that are no numbers.
    """
    name = fspath(path)
    frame = _read(name, layer, columns)
    if frame.crs is None:
        raise UserError(
            f"{name} has no coordinate system; give it one, e.g. ogr2ogr -a_srs EPSG:4326"
        )
    frame = _shaped(frame, name)
    _refuse_unplaced(frame, name)
    others = ~frame.geom_type.isin(["Polygon", "MultiPolygon"])
    if others.any():
        raise UserError(
            f"{name}: {others.sum()} features are no polygons, the first a "
            f"{frame.geom_type[others].iloc[0]}; give polygons, e.g. by a buffer"
        )
    return frame


def _read(name: str, layer: str | None, columns: Sequence[str] | None) -> Any:
    is_local = "://" not in name and not name.startswith("/vsi")
    if is_local and not os.path.exists(name):
        raise UserError(f"there is no file {name}; check the name and the folder")
    try:
        known = pyogrio.list_layers(name)
        if not len(known):
            raise _without_polygons(name)
        # Tables without shapes, of styles most often, are no choice.
        layers = [str(each) for each, kind in known if kind is not None]
        chosen = _chosen(name, layers, layer)
        with np.errstate(invalid="ignore"):  # corners that are no numbers are told of later
            frame = pyogrio.read_dataframe(name, layer=chosen, columns=columns)
    except UNREADABLE as error:
        reason = str(error).splitlines()[0]
        raise UserError(
            f"{name} is no vector file that GDAL can open ({reason}); try ogrinfo on it"
        ) from error
    if not isinstance(frame, geopandas.GeoDataFrame):
        raise UserError(f"{name} holds a table without shapes; give polygons")
    return frame


def _chosen(name: str, layers: Sequence[str], layer: str | None) -> str | None:
    if layer is None and len(layers) > 1:
        raise UserError(
            f"{name} has {len(layers)} layers, {', '.join(layers)}; name one as layer, or give "
            f"a file of one: ogr2ogr one.gpkg {Path(name).name} {layers[0]}"
        )
    if layer is not None and layer not in layers:
        raise UserError(f"{name} has no layer {layer!r}; choose from {', '.join(layers)}")
    return layer or (layers[0] if layers else None)


def _shaped(frame: Any, name: str) -> Any:
    missing = frame.geometry.isna() | frame.geometry.is_empty
    if missing.any():
        log.warning("%s: %d features have no shape and are left out", name, missing.sum())
    if missing.all():
        raise _without_polygons(name)
    return frame[~missing]


def _refuse_unplaced(frame: Any, name: str) -> None:
    corners, features = shapely.get_coordinates(frame.geometry.to_numpy(), return_index=True)
    wrong = np.unique(features[~np.isfinite(corners).all(1)])
    if len(wrong):
        raise UserError(
            f"{name}: {len(wrong)} features have corners that are no finite numbers, the first is "
            f"feature {frame.index[wrong[0]] + 1}; draw it anew or leave it out"
        )


def _without_polygons(name: str) -> UserError:
    return UserError(f"{name} holds no polygon; check the file")


def refuse_invalid(frame: Any, name: str) -> None:
    """Refuse polygons that are not valid, where it matters which side of a ring is inside.

    Raises
    ------
    UserError
    """
    wrong = frame[~frame.geometry.is_valid]
    if len(wrong):
        raise UserError(f"{name}: {_told(wrong)}; mend them, e.g. with ogr2ogr -makevalid")


def _told(wrong: Any) -> str:
    reason = shapely.is_valid_reason(wrong.geometry.iloc[0])
    return (
        f"{len(wrong)} polygons are not valid, the first is feature {wrong.index[0] + 1} ({reason})"
    )


def read_mask(path: str | PathLike[str]) -> Any:
    """Read polygons that say where something is to be done.

    Polygons that are not valid, as drawn by hand they often are, are mended and told of: a mask
    says where and no more, and what is inside of rings that cross is the same by every reckoning
    but for the part that they enclose twice, which is left out.

    Returns
    -------
    GeoDataFrame
        Of valid polygons, without attributes.

    Raises
    ------
    UserError
        As `read_polygons_of`, and when nothing is left of the polygons.
    """
    name = fspath(path)
    frame = read_polygons_of(path, columns=())
    wrong = frame[~frame.geometry.is_valid]
    if len(wrong):
        log.warning("%s: %s; they are mended", name, _told(wrong))
    kept = _valid(frame.geometry.to_numpy())
    if not len(kept):
        raise _without_polygons(name)
    return geopandas.GeoDataFrame(geometry=kept, crs=frame.crs)


def digest_of(mask: Any) -> str:
    """What tells a mask, as `read_mask` gives it, from others."""
    digest = hashlib.sha256(mask.crs.to_wkt().encode())
    for each in shapely.to_wkb(mask.geometry.to_numpy()):
        digest.update(each)
    return digest.hexdigest()


def _valid(shapes: Shapes) -> Shapes:
    """The valid polygons that shapes are made of."""
    wrong = ~shapely.is_valid(shapes)
    if wrong.any():
        shapes = shapes.copy()
        shapes[wrong] = shapely.make_valid(shapes[wrong])
    return with_area(shapes)


# -- pixels ----------------------------------------------------------------------------------------


def located(grid: Grid, image: str) -> tuple[rasterio.crs.CRS, Affine]:
    """Coordinate system and transform of a grid.

    Parameters
    ----------
    grid : Grid
    image : str
        What to call it in a message.

    Raises
    ------
    UserError
        When it does not say where it lies.
    """
    if grid.crs is None or grid.transform is None:
        raise UserError(
            f"{image} has no coordinate system, so polygons cannot be put on it; give it one, "
            "e.g. gdal_edit.py -a_srs EPSG:32633"
        )
    return grid.crs, grid.transform


def put_on(geometry: Any, crs: rasterio.crs.CRS, image: str) -> Shapes:
    """Shapes in another coordinate system. Vertices are moved, and lines drawn between them again.

    Parameters
    ----------
    geometry : GeoSeries
    crs : rasterio.crs.CRS
    image : str
        Whose it is.

    Raises
    ------
    UserError
        When one of the two is on no known ground.
    """
    try:
        return np.asarray(geometry.to_crs(crs.to_wkt()).to_numpy(), object)
    except ProjError as error:
        raise UserError(
            f"polygons in {geometry.crs.name} cannot be put on {image}, which is in "
            f"{CRS(crs).name}; give both a coordinate system of the earth"
        ) from error


def as_pixels(shapes: Shapes, transform: Affine) -> Shapes:
    """The same shapes in (column, row) from a grid's first corner."""
    inverse = ~transform
    matrix = np.array([[inverse.a, inverse.b], [inverse.d, inverse.e]])
    shift = np.array([inverse.c, inverse.f])
    moved = shapely.transform(shapes, lambda points: points @ matrix.T + shift)
    return np.asarray(moved, object)


def outline(shape: tuple[int, int], transform: Affine) -> shapely.Polygon:
    """Where the pixels of a grid lie."""
    rows, columns = shape
    corners = [(0, 0), (columns, 0), (columns, rows), (0, rows)]
    return shapely.Polygon([transform @ corner for corner in corners])


def draw(shapes: Iterable[tuple[Any, int]], box: Box, fill: int) -> NDArray[np.uint8]:
    """Draw shapes in (column, row): a pixel has the value of the last that holds its centre.

    Parameters
    ----------
    shapes : iterable of (Geometry, int)
        With their values.
    box : Box
    fill : int
        Where there is none.

    Returns
    -------
    ndarray of uint8, shape (rows, columns)
    """
    burnt = rasterize(
        shapes,
        out_shape=box_shape(box),
        fill=fill,
        transform=Affine.translation(box[1].start, box[0].start),
        dtype="uint8",
    )
    return np.asarray(burnt, np.uint8)


@dataclass(frozen=True)
class Area:
    """The pixels of an image whose centres lie in polygons; drawn where they are asked for.

    Parameters
    ----------
    tree : STRtree
        Of valid polygons in (column, row).
    digest : str
        Names the polygons.
    """

    tree: shapely.STRtree
    digest: str

    @classmethod
    def of(cls, mask: Any, grid: Grid, image: str) -> Area:
        """The area of a mask, as `read_mask` gives it, on the pixels of an image.

        Raises
        ------
        UserError
            When image or mask do not say where they lie on the earth, or lie apart.
        """
        crs, transform = located(grid, image)
        near = _near(mask.geometry, outline(grid.shape, transform).bounds, crs)
        placed = put_on(near, crs, image)
        if not np.isfinite(shapely.bounds(placed)).all():
            raise UserError(
                f"polygons of the mask reach beyond what {CRS(crs).name} can tell; cut them to the "
                f"surroundings of {image} first"
            )
        area = cls(shapely.STRtree(_valid(as_pixels(placed, transform))), digest_of(mask))
        rows, columns = grid.shape
        if not area._met((slice(0, rows), slice(0, columns))).size:
            raise apart(image)
        return area

    def drawn(self, box: Box) -> NDArray[np.bool_]:
        """Which pixels of a box are of the area, shape (rows, columns)."""
        met = self._met(box)
        if not met.size:
            return np.zeros(box_shape(box), bool)
        if self.tree.query(_rectangle(box), "within").size:
            return np.ones(box_shape(box), bool)
        return draw(((self.tree.geometries[each], 1) for each in met), box, 0).astype(bool)

    def meets(self, box: Box) -> bool:
        """Whether any pixel of a box is of the area."""
        return bool(self.drawn(box).any())

    def _met(self, box: Box) -> NDArray[np.intp]:
        return np.asarray(self.tree.query(_rectangle(box), "intersects"), np.intp)


def _rectangle(box: Box) -> shapely.Polygon:
    return shapely.box(box[1].start, box[0].start, box[1].stop, box[0].stop)


def apart(image: str) -> UserError:
    """What to say when no pixel of an image is of the area."""
    return UserError(
        f"no pixel of {image} lies inside of the mask; give polygons that lie on it, or leave "
        "--mask (mask) out"
    )


def _near(geometry: Any, bounds: tuple[float, ...], crs: rasterio.crs.CRS) -> Any:
    """Polygons for an image in another coordinate system, cut to its surroundings.

    These are as wide as the image on each side. What lies at the other end of the world has no
    place in many coordinate systems, or a wrong one.
    """
    if geometry.crs == CRS(crs):
        return geometry
    try:
        way = Transformer.from_crs(CRS(crs), geometry.crs, always_xy=True)
        left, bottom, right, top = bounds
        west, south, east, north = way.transform_bounds(left, bottom, right, top)
    except ProjError:  # who puts them on the image will tell of it
        return geometry
    width, height = east - west, north - south
    if not (0 < width < np.inf and 0 < height < np.inf):  # around the antimeridian
        return geometry
    around = shapely.box(west - width, south - height, east + width, north + height)
    shapes = geometry.to_numpy().copy()
    far = ~shapely.covered_by(shapes, around)
    shapes[far] = shapely.intersection(shapes[far], around)
    return geopandas.GeoSeries(_valid(shapes), crs=geometry.crs)
