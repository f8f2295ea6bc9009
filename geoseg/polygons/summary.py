"""How much of a map each class takes."""

from __future__ import annotations

from collections import defaultdict
from os import PathLike
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from geoseg.polygons.making import Making
from geoseg.polygons.measure import area_unit, pixel_sizes, tell_units
from geoseg.polygons.source import ClassMap, map_of_array, open_map, shown_nodata
from geoseg.polygons.trace import find_runs

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

__all__ = ["ClassArea", "area_by_class", "class_areas"]


class ClassArea(NamedTuple):
    """How much of a map one class takes."""

    class_id: int
    class_name: str
    pixels: int
    area_m2: float
    share: float
    """Of the area with data."""


def area_by_class(
    labels: xr.DataArray | str | PathLike[str],
    *,
    band: str | int | None = None,
    min_area: float = 0.0,
    connectivity: int = 4,
    assume_crs: str | None = None,
) -> pd.DataFrame:
    """Add up the pixels and the area of each class of a map.

    Parameters
    ----------
    labels : DataArray of integers, dims (y, x), or path-like
        A class map, read some rows at a time.
    band : str or int, optional
        The band that is the class map, by description or number from 1, if a file has several.
    min_area, connectivity
        As for `geoseg.polygonize`: what the classes take after small regions went to their
        neighbours.
    assume_crs : str, optional
        Coordinate system of a map that has none, as for `geoseg.polygonize`.

    Returns
    -------
    DataFrame
        A row for each class that the map names or has, with the columns ``class_id``,
        ``class_name``, ``pixels``, ``area_m2`` (as `geoseg.polygonize` measures it) and ``share``,
        the part of the area with data. Its ``attrs["unit"]`` is that of areas: "m2", and without a
        coordinate system "pixels", or "units2" of the map's own coordinates; ``attrs["nodata"]``
        is the value of pixels without a class, if there is one.

    Raises
    ------
    UserError
        When the map cannot be used as described.
    """
    import pandas as pd

    making = Making(connectivity=connectivity, min_area=min_area)
    if isinstance(labels, str | PathLike):
        with open_map(labels, band, assume_crs) as source:
            found = class_areas(making.sieved(source))
    else:
        source = map_of_array(labels, assume_crs)
        found = class_areas(making.sieved(source))
    frame = pd.DataFrame(found, columns=list(ClassArea._fields))
    frame.attrs.update(unit=area_unit(source.grid), nodata=shown_nodata(source))
    return frame


def class_areas(source: ClassMap) -> list[ClassArea]:
    """The same for a map that is read by rows."""
    tell_units(source.grid)
    sizes = pixel_sizes(source.grid).areas
    pixels: dict[int, int] = defaultdict(int)
    areas: dict[int, float] = defaultdict(float)
    row = 0
    for block in source.rows():
        runs, kinds = find_runs(np.ascontiguousarray(block), source.nodata)
        lengths = runs.lengths()
        of_row = np.repeat(sizes[row : row + len(block)], np.diff(runs.rows))
        values, which = np.unique(kinds, return_inverse=True)
        classes = which[runs.parts]
        there = runs.parts > 0
        counts = np.bincount(classes[there], lengths[there], values.size)
        sums = np.bincount(classes[there], (lengths * of_row)[there], values.size)
        for value, count, area in zip(values.tolist(), counts, sums, strict=True):
            if count:
                pixels[value] += int(count)
                areas[value] += float(area)
        row += len(block)
    names = {each.value: each.name for each in source.classes}
    whole = sum(areas.values()) or 1.0
    return [
        ClassArea(
            value,
            names.get(value, f"class {value}"),
            pixels[value],
            areas[value],
            areas[value] / whole,
        )
        for value in sorted({*names, *pixels})
    ]
