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
from geoseg.polygons.kernel import kernel
from geoseg.polygons.measure import measure
from geoseg.polygons.points import places
from geoseg.polygons.rings import Polygons
from geoseg.polygons.stream import STEP
from geoseg.polygons.wkb import bounds_of, to_wkb
from geoseg.polygons.write import Batch
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
    multi : bool
        Whether every geometry is a multipolygon, else a polygon.
    crs : pyproj.CRS, optional
        Where to reproject to.
    """

    def __init__(
        self,
        grid: Grid,
        classes: Iterable[ClassInfo],
        multi: bool,
        crs: CRS | None = None,
    ) -> None:
        self._transform = grid.transform or Affine.identity()
        self._native = None if grid.crs is None else _with_authority(grid.crs)
        self._names = {each.value: each.name for each in classes}
        self.crs = crs or self._native
        self.multi = multi
        self._transformer = (
            None
            if self.crs == self._native
            else Transformer.from_crs(self._native, self.crs, always_xy=True)
        )

    def attributes(self, polygons: Polygons) -> dict[str, NDArray[Any]]:
        """The columns, without the geometry."""
        areas, perimeters = measure(polygons, self._transform, self._native)
        columns = {
            "class_id": polygons.values,
            "class_name": self._class_names(polygons.values),
            "area_m2": areas,
            "perimeter_m": perimeters,
        }
        if polygons.sums.shape[1]:
            total, known = polygons.sums.T
            with np.errstate(invalid="ignore"):  # 0 / 0 where no pixel has confidence
                columns["mean_confidence"] = total * STEP / known
        return columns

    def geometries(self, polygons: Polygons) -> NDArray[np.object_]:
        """The geometries, exteriors counter-clockwise."""
        offsets = [polygons.rings, polygons.polygons]
        if self.multi:
            offsets.append(polygons.regions)
        kind = GeometryType.MULTIPOLYGON if self.multi else GeometryType.POLYGON
        return shapely.from_ragged_array(kind, self._vertices(polygons), tuple(offsets))

    def batch(self, polygons: Polygons) -> Batch:
        """Everything as vector files take it."""
        vertices = self._vertices(polygons)
        rings_of = polygons.polygons[polygons.regions]
        return Batch(
            self.attributes(polygons),
            to_wkb(polygons, vertices, self.multi),
            bounds_of(polygons.rings, rings_of, vertices),
        )

    def _class_names(self, values: NDArray[np.int64]) -> NDArray[np.object_]:
        distinct, which = np.unique(values, return_inverse=True)
        names = [self._names.get(int(value), f"class {value}") for value in distinct]
        return np.array(names, object)[which]

    def _vertices(self, polygons: Polygons) -> NDArray[np.float64]:
        points = polygons.points
        if self._transform.determinant > 0:  # rows count northwards: the rings are mirrored
            points = points[_backwards(polygons.rings)]
        return self._reprojected(_moved(places(points), np.array(self._transform[:6])))

    def _reprojected(self, vertices: NDArray[np.float64]) -> NDArray[np.float64]:
        if self._transformer is None:
            return vertices
        moved = np.stack(self._transformer.transform(*vertices.T), axis=1)
        if not np.isfinite(moved).all():
            target = "" if self.crs is None else self.crs.name
            raise UserError(
                f"the map reaches beyond where {target} has coordinates; choose a coordinate "
                "system that covers it, or leave crs out"
            )
        return moved


@kernel
def _moved(places: NDArray[np.float64], matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """Lattice columns and rows in map coordinates."""
    out = np.empty_like(places)
    for i in range(places.shape[0]):
        column, row = places[i]
        out[i, 0] = matrix[0] * column + matrix[1] * row + matrix[2]
        out[i, 1] = matrix[3] * column + matrix[4] * row + matrix[5]
    return out


def _with_authority(crs: Any) -> CRS:
    """A coordinate system by its code where it is exactly that of the code, for short names."""
    full = CRS.from_user_input(crs)
    code = full.to_authority(min_confidence=100)
    return full if code is None else CRS.from_authority(*code)


def _backwards(rings: NDArray[np.int64]) -> NDArray[np.int64]:
    """The places of the points of each ring from its end to its beginning."""
    lengths = np.diff(rings)
    return np.repeat(rings[:-1] + rings[1:] - 1, lengths) - np.arange(rings[-1])
