"""Polygons as features: geometries in map coordinates, and their attributes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import shapely
from affine import Affine
from numpy.typing import NDArray
from pyproj import CRS, Transformer
from shapely import GeometryType

from geoseg.classes import ClassInfo
from geoseg.errors import UserError
from geoseg.polygons.area import areas
from geoseg.polygons.rings import Polygons
from geoseg.polygons.stream import STEP
from geoseg.polygons.trace import column_of, row_of
from geoseg.raster import Grid

__all__ = ["Features"]


class Features:
    """Makes features of polygons.

    Parameters
    ----------
    grid : Grid
        Where the class map lies; lattice coordinates are map coordinates without a transform.
    classes : iterable of ClassInfo
        Names of the classes; others are called ``class 7``.
    kind : {GeometryType.POLYGON, GeometryType.MULTIPOLYGON}
        What every geometry is.
    crs : pyproj.CRS, optional
        Where to reproject to.
    """

    def __init__(
        self,
        grid: Grid,
        classes: Iterable[ClassInfo],
        kind: GeometryType,
        crs: CRS | None = None,
    ) -> None:
        self._transform = grid.transform or Affine.identity()
        self._native = None if grid.crs is None else _with_authority(grid.crs)
        self._names = {each.value: each.name for each in classes}
        self.crs = crs or self._native
        self.kind = kind
        self._transformer = (
            None
            if self.crs == self._native
            else Transformer.from_crs(self._native, self.crs, always_xy=True)
        )

    def attributes(self, polygons: Polygons) -> dict[str, NDArray[Any]]:
        """The columns, without the geometry."""
        columns = {
            "class_id": polygons.values,
            "class_name": self._class_names(polygons.values),
            "area_m2": areas(polygons, self._transform, self._native),
        }
        if polygons.sums.shape[1]:
            total, known = polygons.sums.T
            with np.errstate(invalid="ignore"):  # 0 / 0 where no pixel has confidence
                columns["mean_confidence"] = total * STEP / known
        return columns

    def geometries(self, polygons: Polygons) -> NDArray[np.object_]:
        """The geometries, exteriors counter-clockwise."""
        offsets = [polygons.rings, polygons.polygons]
        if self.kind == GeometryType.MULTIPOLYGON:
            offsets.append(polygons.regions)
        return shapely.from_ragged_array(self.kind, self._vertices(polygons), tuple(offsets))

    def _class_names(self, values: NDArray[np.int64]) -> NDArray[np.object_]:
        distinct, which = np.unique(values, return_inverse=True)
        names = [self._names.get(int(value), f"class {value}") for value in distinct]
        return np.array(names, object)[which]

    def _vertices(self, polygons: Polygons) -> NDArray[np.float64]:
        points = polygons.points
        if self._transform.determinant > 0:  # rows count northwards: the rings are mirrored
            points = points[_backwards(polygons.rings)]
        columns, rows = column_of(points), row_of(points)
        t = self._transform
        x, y = t.a * columns + t.b * rows + t.c, t.d * columns + t.e * rows + t.f
        return np.stack(self._reprojected(x, y), axis=1)

    def _reprojected(
        self, x: NDArray[np.float64], y: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        if self._transformer is None:
            return x, y
        x, y = self._transformer.transform(x, y)
        if not (np.isfinite(x).all() and np.isfinite(y).all()):
            target = "" if self.crs is None else self.crs.name
            raise UserError(
                f"the map reaches beyond where {target} has coordinates; choose a coordinate "
                "system that covers it, or leave crs out"
            )
        return x, y


def _with_authority(crs: Any) -> CRS:
    """A coordinate system by its code where it is exactly that of the code, for short names."""
    full = CRS.from_user_input(crs)
    code = full.to_authority(min_confidence=100)
    return full if code is None else CRS.from_authority(*code)


def _backwards(rings: NDArray[np.int64]) -> NDArray[np.int64]:
    """The places of the points of each ring from its end to its beginning."""
    lengths = np.diff(rings)
    return np.repeat(rings[:-1] + rings[1:] - 1, lengths) - np.arange(rings[-1])
