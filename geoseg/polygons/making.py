"""How polygons are made of a class map: what can be asked for, and the map that follows from it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from math import inf, nan

import numpy as np
from numpy.typing import NDArray

from geoseg.errors import UserError
from geoseg.polygons.measure import pixel_sizes
from geoseg.polygons.rings import Polygons
from geoseg.polygons.sieve import Sieve, Weights
from geoseg.polygons.source import MISSING, ClassMap
from geoseg.raster import Grid

__all__ = ["Making", "sieve_of"]

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
    classes : str, int or sequence of them, optional
        Names or values of the classes to make polygons of.
    with_nodata : bool
        Whether pixels without data are a class like others.
    regularize : bool
        Whether to give polygons square corners.
    """

    connectivity: int = 4
    simplify: float = 0.0
    min_area: float = 0.0
    classes: str | int | Sequence[str | int] | None = None
    with_nodata: bool = False
    regularize: bool = False

    def __post_init__(self) -> None:
        if self.connectivity not in (4, 8):
            raise UserError(f"connectivity {self.connectivity!r} is unknown; choose 4 or 8")
        simplify, min_area = _number(self.simplify), _number(self.min_area)
        if not 0 <= simplify <= 1000:
            raise UserError(
                f"simplify {self.simplify!r} is no number of pixels; choose one from 0 to 1000, "
                "e.g. 2, or leave it out"
            )
        if not 0 <= min_area < inf:
            raise UserError(
                f"min_area {self.min_area!r} is no area; give square metres, e.g. 500, or leave it "
                "out"
            )
        # Tags of outputs tell them: 2 and 2.0 are one.
        object.__setattr__(self, "simplify", simplify)
        object.__setattr__(self, "min_area", min_area)

    @property
    def multi(self) -> bool:
        """Whether geometries are multipolygons, for those that a polygon cannot be."""
        return self.connectivity == 8 or self.regularize

    def sieved(self, given: ClassMap) -> ClassMap:
        """The map without its small regions."""
        return _sieved(given, self) if self.min_area else given

    def traced(self, source: ClassMap) -> ClassMap:
        """The map that boundaries are walked of."""
        return replace(source, nodata=None) if self.with_nodata else source

    def chosen(self, given: ClassMap) -> Chosen:
        """What picks the polygons of the classes asked for."""
        known = [(each.name, each.value) for each in given.classes]
        if self.with_nodata and given.nodata is not None:
            known.append(("no data", given.nodata))
        return Chosen(self.classes, known, given.nodata == MISSING)


class Chosen:
    """Picks the polygons of some classes.

    Parameters
    ----------
    wanted : sequence of str or int, or None
        Names or values; None for all classes.
    known : sequence of (str, int)
        Names and values; empty when the map does not name its classes.
    masked : bool
        Whether a mask says which pixels are missing: their value is shown as -1.

    Attributes
    ----------
    picked : int
        Polygons so far.

    Raises
    ------
    UserError
        When a class is wanted by a name that there is not.
    """

    def __init__(
        self,
        wanted: str | int | Sequence[str | int] | None,
        known: Sequence[tuple[str, int]],
        masked: bool,
    ) -> None:
        if isinstance(wanted, str | int):
            wanted = [wanted]
        if wanted is not None and not wanted:
            raise UserError("no class is chosen; name at least one, or leave classes out")
        self._known, self._masked = known, masked
        self._values = None if wanted is None else [v for w in wanted for v in self._values_of(w)]
        self._seen: set[int] = set()
        self.picked = 0

    def pick(self, polygons: Polygons) -> Polygons:
        """The polygons of the classes wanted."""
        self._seen.update(np.unique(polygons.values).tolist())
        if self._values is not None:
            polygons = polygons.where(np.isin(polygons.values, self._values))
        self.picked += polygons.values.size
        return polygons

    @property
    def found(self) -> set[int]:
        """Values of the classes that there were, wanted or not."""
        return set(self._seen)

    def refuse_absent(self) -> None:
        """Refuse values that neither the map's class table nor its pixels have.

        Raises
        ------
        UserError
        """
        absent = set(self._values or ()) - self._seen - {value for _, value in self._known}
        if absent:
            seen = sorted(self._shown(each) for each in self._seen)
            there = ", ".join(map(str, seen[:20])) or "none"
            raise UserError(
                f"no pixel has class {self._shown(min(absent))}; the classes there are: {there}"
            )

    def _shown(self, value: int) -> int:
        return -1 if self._masked and value == MISSING else value

    def _values_of(self, wanted: str | int) -> list[int]:
        """Of a number that value, of a name all classes that are called so."""
        text = str(wanted).strip().casefold()
        if self._masked and text == "-1":
            return [MISSING]
        if re.fullmatch(r"-?[0-9]{1,18}", text):
            return [int(text)]
        found = [value for name, value in self._known if name.casefold() == text]
        if found:
            return found
        if not self._known:
            raise UserError(
                f"the map does not name its classes; give the value of {wanted!r} instead of a name"
            )
        there = ", ".join(f"{value} {name}" for name, value in self._known)
        raise UserError(f"the map has no class {wanted!r}; its classes are {there}")


def _number(value: float) -> float:
    """A number as a float, NaN for what is none."""
    try:
        return float(value)
    except (TypeError, ValueError):
        return nan


def _sieved(source: ClassMap, making: Making) -> ClassMap:
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
    sizes = pixel_sizes(grid)
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
