"""Polygons as features: geometries in map coordinates, and their attributes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import shapely
from affine import Affine
from numpy.typing import NDArray
from pyproj import CRS, Transformer
from shapely import GeometryType

from geoseg.errors import UserError
from geoseg.polygons.kernel import kernel
from geoseg.polygons.making import Making
from geoseg.polygons.measure import measure, unit_of, utm_of
from geoseg.polygons.points import places
from geoseg.polygons.rings import Polygons
from geoseg.polygons.source import MISSING, ClassMap
from geoseg.polygons.square import refuse_without_squares, squared
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
    source : ClassMap
        The map as it was given: names of its classes (others are called ``class 7``), and its
        no-data value.
    making : Making
    crs : pyproj.CRS, optional
        Where to reproject to.

    Raises
    ------
    UserError
        When square corners are asked for and cannot be made.
    """

    def __init__(
        self, grid: Grid, source: ClassMap, making: Making, crs: CRS | None = None
    ) -> None:
        self._transform = grid.transform or Affine.identity()
        self._native = None if grid.crs is None else _with_authority(grid.crs)
        self._masked = source.nodata == MISSING
        self._names = {each.value: each.name for each in source.classes}
        if source.nodata is not None:
            self._names.setdefault(source.nodata, "no data")
        self.crs = crs or self._native
        self._multi, self._square = making.multi, making.regularize
        if self._square:
            refuse_without_squares()
            _refuse_degrees(grid, self._native)
        self._transformer = (
            None
            if self.crs == self._native
            else Transformer.from_crs(self._native, self.crs, always_xy=True)
        )

    def frame(self, polygons: Polygons) -> tuple[dict[str, NDArray[Any]], NDArray[np.object_]]:
        """The columns and the geometries, exteriors counter-clockwise."""
        vertices = self._vertices(polygons)
        if self._square:
            return self._squared(polygons, vertices)
        return self._attributes(polygons), self._geometries(polygons, self._reprojected(vertices))

    def batch(self, polygons: Polygons) -> Batch:
        """The same as vector files take it."""
        if self._square:
            attributes, geometries = self.frame(polygons)
            wkb = pa.array(shapely.to_wkb(geometries), pa.large_binary())
            return Batch(attributes, wkb, shapely.bounds(geometries).reshape(-1, 4))
        vertices = self._reprojected(self._vertices(polygons))
        rings_of = polygons.polygons[polygons.regions]
        return Batch(
            self._attributes(polygons),
            to_wkb(polygons, vertices, self._multi),
            bounds_of(polygons.rings, rings_of, vertices),
        )

    def _squared(
        self, polygons: Polygons, vertices: NDArray[np.float64]
    ) -> tuple[dict[str, NDArray[Any]], NDArray[np.object_]]:
        columns, geometries = self._attributes(polygons), self._geometries(polygons, vertices)
        if geometries.size:
            geometries = squared(geometries, float(np.sqrt(abs(self._transform.determinant))))
        metres = unit_of(self._native)
        columns["area_m2"] = shapely.area(geometries) * metres**2
        columns["perimeter_m"] = shapely.length(geometries) * metres
        if self._transformer is not None:
            geometries = shapely.transform(geometries, self._reprojected)
        return columns, geometries

    def _geometries(self, polygons: Polygons, vertices: NDArray[np.float64]) -> NDArray[np.object_]:
        offsets = [polygons.rings, polygons.polygons]
        if self._multi:
            offsets.append(polygons.regions)
        kind = GeometryType.MULTIPOLYGON if self._multi else GeometryType.POLYGON
        return shapely.from_ragged_array(kind, vertices, tuple(offsets))

    def _attributes(self, polygons: Polygons) -> dict[str, NDArray[Any]]:
        areas, perimeters = measure(polygons, self._transform, self._native)
        columns = {
            "class_id": self._class_ids(polygons.values),
            "class_name": self._class_names(polygons.values),
            "area_m2": areas,
            "perimeter_m": perimeters,
        }
        if polygons.sums.shape[1]:
            total, known = polygons.sums.T
            with np.errstate(invalid="ignore"):  # 0 / 0 where no pixel has confidence
                columns["mean_confidence"] = total * STEP / known
        return columns

    def _class_ids(self, values: NDArray[np.int64]) -> NDArray[np.int64]:
        return np.where(values == MISSING, -1, values) if self._masked else values

    def _class_names(self, values: NDArray[np.int64]) -> NDArray[np.object_]:
        distinct, which = np.unique(values, return_inverse=True)
        names = [self._names.get(int(value), f"class {value}") for value in distinct]
        return np.array(names, object)[which]

    def _vertices(self, polygons: Polygons) -> NDArray[np.float64]:
        points = polygons.points
        if self._transform.determinant > 0:  # rows count northwards: the rings are mirrored
            points = points[_backwards(polygons.rings)]
        return _moved(places(points), np.array(self._transform[:6]))

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


def _refuse_degrees(grid: Grid, crs: CRS | None) -> None:
    if crs is not None and crs.is_geographic:
        rows, columns = grid.shape
        place = (grid.transform or Affine.identity()) @ (columns / 2, rows / 2)
        raise UserError(
            f"square corners are not square in degrees ({crs.name}); warp the map to metres first, "
            f"e.g. gdalwarp -t_srs {utm_of(*place)} -r near"
        )


def _with_authority(crs: Any) -> CRS:
    """A coordinate system by its code where it is exactly that of the code, for short names."""
    full = CRS.from_user_input(crs)
    code = full.to_authority(min_confidence=100)
    return full if code is None else CRS.from_authority(*code)


def _backwards(rings: NDArray[np.int64]) -> NDArray[np.int64]:
    """The places of the points of each ring from its end to its beginning."""
    lengths = np.diff(rings)
    return np.repeat(rings[:-1] + rings[1:] - 1, lengths) - np.arange(rings[-1])
