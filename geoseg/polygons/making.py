"""How polygons are made of a class map: what can be asked for, and the map that follows from it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from math import isfinite

import numpy as np
from affine import Affine
from numpy.typing import NDArray
from pyproj import CRS

from geoseg.classes import ClassInfo
from geoseg.errors import UserError
from geoseg.polygons.measure import pixel_sizes
from geoseg.polygons.rings import Polygons
from geoseg.polygons.sieve import Sieve, Weights
from geoseg.polygons.source import ClassMap
from geoseg.raster import Grid

__all__ = ["Making", "sieve_of", "sieved"]

STEPS = 1 << 20
"""Whole numbers that the largest pixel, or the longest side of one, counts."""


@dataclass(frozen=True)
class Making:
    """How polygons are made of a class map.

    Parameters
    ----------
    connectivity : {4, 8}
        Whether pixels that touch at a corner only belong together (8) or not (4).
    simplify : float
        How far a boundary may move to have fewer vertices, in pixels.
    min_area : float
        Regions of less square metres go to their neighbours.
    classes : sequence of str or int, optional
        Names or values of the classes to make polygons of.
    with_nodata : bool
        Whether pixels without data are a class like others.
    regularize : bool
        Whether to give polygons square corners.
    """

    connectivity: int = 4
    simplify: float = 0.0
    min_area: float = 0.0
    classes: Sequence[str | int] | None = None
    with_nodata: bool = False
    regularize: bool = False

    def __post_init__(self) -> None:
        if self.connectivity not in (4, 8):
            raise UserError(f"connectivity {self.connectivity!r} is unknown; choose 4 or 8")
        if not (isfinite(self.simplify) and 0 <= self.simplify <= 1000):
            raise UserError(
                f"simplify {self.simplify} is no number of pixels; choose one from 0 to 1000, e.g. "
                "2, or leave it out"
            )
        if not (isfinite(self.min_area) and self.min_area >= 0):
            raise UserError(
                f"min_area {self.min_area} is no area; give square metres, e.g. 500, or leave it "
                "out"
            )

    @property
    def multi(self) -> bool:
        """Whether geometries are multipolygons, for those that a polygon cannot be."""
        return self.connectivity == 8 or self.regularize

    def prepared(self, source: ClassMap) -> ClassMap:
        """The map that polygons are made of."""
        if self.with_nodata:
            source = replace(source, nodata=None)
        return sieved(source, self) if self.min_area else source

    def chosen(self, source: ClassMap) -> Chosen:
        """What picks the polygons of the classes asked for."""
        return Chosen(self.classes, source.classes)


class Chosen:
    """Picks the polygons of some classes.

    Parameters
    ----------
    wanted : sequence of str or int, or None
        Names or values; None for all classes.
    known : sequence of ClassInfo
        Of the map; empty when it does not say.

    Raises
    ------
    UserError
        When the map says which classes it has and one of those wanted is not among them.
    """

    def __init__(self, wanted: Sequence[str | int] | None, known: Sequence[ClassInfo]) -> None:
        self._values = None if wanted is None else [_value(each, known) for each in wanted]
        self._seen: set[int] = set()
        self._sure = bool(known)

    def pick(self, polygons: Polygons) -> Polygons:
        """The polygons of the classes wanted."""
        self._seen.update(np.unique(polygons.values).tolist())
        if self._values is None:
            return polygons
        return polygons.where(np.isin(polygons.values, self._values))

    @property
    def found(self) -> int:
        """How many classes there were, wanted or not."""
        return len(self._seen)

    def refuse_absent(self) -> None:
        """Refuse classes that a map without a class table does not have.

        Raises
        ------
        UserError
        """
        absent = [] if self._sure else sorted(set(self._values or ()) - self._seen)
        if absent:
            there = ", ".join(map(str, sorted(self._seen)[:20])) or "none"
            raise UserError(f"no pixel has class {absent[0]}; the classes there are: {there}")


def _value(wanted: str | int, known: Sequence[ClassInfo]) -> int:
    text = str(wanted).strip()
    for each in known:
        if text in (str(each.value), each.name) or text.casefold() == each.name.casefold():
            return each.value
    if not known and text.removeprefix("-").isdecimal():
        return int(text)
    there = ", ".join(f"{each.value} {each.name}" for each in known)
    raise UserError(
        f"the map has no class {wanted!r}; its classes are {there}"
        if known
        else f"the map does not name its classes; give the value of {wanted!r} instead, e.g. 1"
    )


def sieved(source: ClassMap, making: Making) -> ClassMap:
    """The map without its small regions."""

    def rows() -> Iterator[NDArray[np.integer]]:
        sieve = sieve_of(source.grid, source.nodata, making)
        for pixels in source.rows():
            yield from sieve.add(pixels)

    return replace(source, rows=rows)


def sieve_of(grid: Grid, nodata: int | None, making: Making) -> Sieve:
    """What removes small regions of a map on a grid.

    Sizes of pixels are counted in whole steps, see `Weights`: on the plane in pixels.
    """
    crs = None if grid.crs is None else CRS.from_user_input(grid.crs)
    sizes = pixel_sizes(*grid.shape, grid.transform or Affine.identity(), crs)
    pixel, side = sizes.areas.max(), max(sizes.widths.max(), sizes.heights.max())
    plane = bool(np.all(sizes.areas == pixel))
    step = pixel if plane else pixel / STEPS
    # An area that is so many pixels in words must not be a hair more in numbers.
    limit = making.min_area / step * (1 - 1e-9)
    weights = Weights(
        np.rint(sizes.areas / step).astype(np.int64),
        np.rint(sizes.widths / side * STEPS).astype(np.int64),
        np.rint(sizes.heights / side * STEPS).astype(np.int64),
        limit,
    )
    return Sieve(grid.shape, nodata, making.connectivity, weights)
