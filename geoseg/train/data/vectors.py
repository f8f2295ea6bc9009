"""Polygons as labels: put into the image's coordinate system, drawn window by window."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import shapely
import xarray as xr
from numpy.typing import NDArray
from rasterio.crs import CRS

from geoseg.errors import UserError
from geoseg.metrics import IGNORE
from geoseg.raster import grid_of
from geoseg.shapes import (
    as_pixels,
    draw,
    located,
    outline,
    put_on,
    read_polygons_of,
    refuse_invalid,
)
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
        crs, transform = located(grid, str(image.name))
        tree = self._in(crs, str(image.name))
        met = np.sort(tree.query(outline(grid.shape, transform)))
        shapes = as_pixels(tree.geometries[met], transform)
        return lazy_labels(
            Drawn(shapes, shapely.STRtree(shapes), self.indices[met], self.rest), image
        )

    def _in(self, crs: CRS, image: str) -> shapely.STRtree:
        """The polygons in a coordinate system; kept, for a data set's images often share one."""
        known = crs.to_wkt()
        if known not in self._trees:
            self._trees[known] = shapely.STRtree(put_on(self.frame.geometry, crs, image))
        return self._trees[known]


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
        if not drawn.size:
            return np.full((rows.stop - rows.start, columns.stop - columns.start), self.rest, "u1")
        values = zip(self.shapes[drawn], self.indices[drawn].tolist(), strict=True)
        return draw(values, (rows, columns), self.rest)


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
    frame = read_polygons_of(path, meaning.layer)
    refuse_invalid(frame, str(path))
    return Polygons(frame, meaning.indices_of(frame, path), meaning.rest)
