"""Polygons as labels: put into the image's coordinate system, drawn window by window."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import pyogrio
import shapely
import xarray as xr
from affine import Affine
from numpy.typing import NDArray
from pyogrio.errors import DataSourceError
from pyproj import CRS
from pyproj.exceptions import ProjError
from rasterio.features import rasterize

from geoseg.errors import UserError
from geoseg.metrics import IGNORE
from geoseg.raster import grid_of
from geoseg.train.data.lazy import lazy_labels

__all__ = ["Meaning", "Polygons", "read_polygons"]

log = logging.getLogger(__name__)

Value = str | int


@dataclass(frozen=True)
class Meaning:
    """Which polygons are of which class.

    Parameters
    ----------
    members : tuple
        For each class the values of `column` that it has, ``"all"`` for any polygon, or ``"none"``
        for where there is no polygon.
    column : str, optional
        Of the polygons' attributes; none is needed for ``"all"``.
    layer : str, optional
        Of the file; by default its only one.
    """

    members: tuple[tuple[Value, ...] | str, ...]
    column: str | None = None
    layer: str | None = None

    @property
    def rest(self) -> int:
        """Index of the class where there is no polygon."""
        return self.members.index("none") if "none" in self.members else IGNORE

    def indices_of(self, frame: Any, path: Path) -> NDArray[np.uint8]:
        """Class index of every feature of a GeoDataFrame; `IGNORE` for values of no class."""
        if self.column is None:
            return np.full(len(frame), self.members.index("all"), np.uint8)
        if self.column not in frame.columns:
            there = ", ".join(each for each in frame.columns if each != frame.geometry.name)
            raise UserError(f"{path} has no column {self.column!r}; its columns are {there}")
        values = frame[self.column]
        indices = np.full(len(frame), IGNORE, np.uint8)
        for index, members in enumerate(self.members):
            if not isinstance(members, str):
                indices[values.isin(list(members)).to_numpy()] = index
        self._tell_strange(values[indices == IGNORE], path)
        return indices

    def _tell_strange(self, values: Any, path: Path) -> None:
        if len(values):
            counts = values.value_counts(dropna=False)
            listed = ", ".join(f"{value} ({count} polygons)" for value, count in counts.items())
            log.warning("%s: polygons of no class are ignored: %s", path, listed)


@dataclass(frozen=True)
class Polygons:
    """The polygons of a file with their classes; a later one covers those before it.

    Parameters
    ----------
    frame : GeoDataFrame
        Of valid polygons, in a coordinate system.
    indices : ndarray of uint8
        The class of each.
    rest : int
        Index of what no polygon covers.
    """

    frame: Any
    indices: NDArray[np.uint8]
    rest: int
    _trees: dict[str, shapely.STRtree] = field(default_factory=dict, repr=False, compare=False)

    def on(self, image: xr.DataArray) -> xr.DataArray:
        """Labels of an image; windows are drawn when they are read.

        A pixel is of the polygon that holds its centre.

        Parameters
        ----------
        image : DataArray, dims (band, y, x)

        Returns
        -------
        DataArray of uint8, dims (y, x)

        Raises
        ------
        UserError
            When the image does not say where it lies.
        """
        grid = grid_of(image)
        if grid.crs is None or grid.transform is None:
            raise UserError(
                f"{image.name} has no coordinate system, so polygons cannot be put on it; give it "
                "one, e.g. gdal_edit.py -a_srs EPSG:32633"
            )
        try:
            tree = self._in(grid.crs.to_wkt())
        except ProjError as error:
            raise UserError(
                f"polygons in {self.frame.crs.name} cannot be put on {image.name}, which is in "
                f"{CRS(grid.crs).name}; give both a coordinate system of the earth"
            ) from error
        met = np.sort(tree.query(_outline(grid.shape, grid.transform)))
        shapes = _as_pixels(tree.geometries[met], grid.transform)
        return lazy_labels(
            Drawn(shapes, shapely.STRtree(shapes), self.indices[met], self.rest), image
        )

    def _in(self, crs: str) -> shapely.STRtree:
        """The polygons in a coordinate system; kept, for a data set's images often share one."""
        if crs not in self._trees:
            self._trees[crs] = shapely.STRtree(self.frame.geometry.to_crs(crs).to_numpy())
        return self._trees[crs]


def _as_pixels(shapes: NDArray[np.object_], transform: Affine) -> NDArray[np.object_]:
    """The same shapes in (column, row) from a grid's first corner."""
    inverse = ~transform
    matrix = np.array([[inverse.a, inverse.b], [inverse.d, inverse.e]])
    shift = np.array([inverse.c, inverse.f])
    moved = shapely.transform(shapes, lambda points: points @ matrix.T + shift)
    return np.asarray(moved, object)


def _outline(shape: tuple[int, int], transform: Affine) -> shapely.Polygon:
    rows, columns = shape
    corners = [(0, 0), (columns, 0), (columns, rows), (0, rows)]
    return shapely.Polygon([transform @ corner for corner in corners])


@dataclass(frozen=True)
class Drawn:
    """Draws windows of polygons that are given in (column, row)."""

    shapes: NDArray[np.object_]
    tree: shapely.STRtree
    indices: NDArray[np.uint8]
    rest: int

    def __call__(self, rows: slice, columns: slice) -> NDArray[np.uint8]:
        """Class indices of a window, shape (rows, columns)."""
        window = shapely.box(columns.start, rows.start, columns.stop, rows.stop)
        drawn = np.sort(self.tree.query(window))  # in the order of the file
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


def read_polygons(path: Path, meaning: Meaning) -> Polygons:
    """Read polygons: GeoPackage, GeoJSON, or what else GDAL reads, in any coordinate system.

    Features without a shape are left out and told of.

    Parameters
    ----------
    path : Path
    meaning : Meaning

    Raises
    ------
    UserError
        When the file cannot be read, has no coordinate system or no such column or layer, or holds
        other shapes than valid polygons.
    """
    frame = _read(path, meaning.layer)
    if frame.crs is None:
        raise UserError(
            f"{path} has no coordinate system; give it one, e.g. ogr2ogr -a_srs EPSG:4326"
        )
    frame = _shaped(frame, path)
    _refuse_unfit(frame, path)
    return Polygons(frame, meaning.indices_of(frame, path), meaning.rest)


def _read(path: Path, layer: str | None) -> Any:
    try:
        layers = [str(name) for name, _ in pyogrio.list_layers(path)]
        _choose_layer(path, layers, layer)
        frame = pyogrio.read_dataframe(path, layer=layer)
    except DataSourceError as error:
        reason = str(error).splitlines()[0]
        raise UserError(
            f"{path} is no vector file that GDAL can open ({reason}); try ogrinfo on it"
        ) from error
    if not isinstance(frame, geopandas.GeoDataFrame):
        raise UserError(f"{path} holds a table without shapes; give polygons")
    return frame


def _choose_layer(path: Path, layers: Sequence[str], layer: str | None) -> None:
    if layer is None and len(layers) > 1:
        raise UserError(f"{path} has {len(layers)} layers, {', '.join(layers)}; name one as layer")
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
