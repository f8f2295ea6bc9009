"""How polygons are made of a class map: what can be asked for, and the map that follows from it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from math import isfinite

import numpy as np
from affine import Affine
from numpy.typing import NDArray
from pyproj import CRS

from geoseg.errors import UserError
from geoseg.polygons.measure import pixel_sizes
from geoseg.polygons.rings import Polygons
from geoseg.polygons.sieve import Sieve, Weights
from geoseg.polygons.source import MISSING, ClassMap
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

    def chosen(self, given: ClassMap) -> Chosen:
        """What picks the polygons of the classes asked for."""
        names = {each.name.casefold(): each.value for each in given.classes}
        if self.with_nodata and given.nodata is not None:
            names.setdefault("no data", given.nodata)
        return Chosen(self.classes, names, given.nodata == MISSING)


class Chosen:
    """Picks the polygons of some classes.

    Parameters
    ----------
    wanted : sequence of str or int, or None
        Names or values; None for all classes.
    known : mapping of str to int
        Values by name, in lower case; empty when the map does not name its classes.
    masked : bool
        Whether a mask says which pixels are missing: their value is shown as -1.

    Raises
    ------
    UserError
        When a class is wanted by a name that there is not.
    """

    def __init__(
        self, wanted: Sequence[str | int] | None, known: Mapping[str, int], masked: bool
    ) -> None:
        if isinstance(wanted, str):
            wanted = [wanted]
        if wanted is not None and not wanted:
            raise UserError("no class is chosen; name at least one, or leave classes out")
        self._known, self._masked = known, masked
        self._values = None if wanted is None else [self._value(each) for each in wanted]
        self._seen: set[int] = set()

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
        """Refuse values that neither the map's class table nor its pixels have.

        Raises
        ------
        UserError
        """
        absent = set(self._values or ()) - self._seen - set(self._known.values())
        if absent:
            seen = sorted(self._shown(each) for each in self._seen)
            there = ", ".join(map(str, seen[:20])) or "none"
            raise UserError(
                f"no pixel has class {self._shown(min(absent))}; the classes there are: {there}"
            )

    def _shown(self, value: int) -> int:
        return -1 if self._masked and value == MISSING else value

    def _value(self, wanted: str | int) -> int:
        text = str(wanted).strip().casefold()
        if text in self._known:
            return self._known[text]
        if self._masked and text == "-1":
            return MISSING
        if re.fullmatch(r"-?[0-9]{1,18}", text):
            return int(text)
        if not self._known:
            raise UserError(
                f"the map does not name its classes; give the value of {wanted!r} instead, e.g. 1"
            )
        there = ", ".join(f"{value} {name}" for name, value in self._known.items())
        raise UserError(f"the map has no class {wanted!r}; its classes are {there}")


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
