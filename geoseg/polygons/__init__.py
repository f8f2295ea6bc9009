"""Class maps become polygons: traced strip by strip, joined across the borders, written in batches.

The way of a map: `source` reads rows, `sieve` removes small regions, `trace` finds connected parts
and walks their boundaries in a strip, `simplify` thins these out, `join` and `store` link them
across strips until a region is complete, `rings` puts its boundary in order, `features` gives it
map coordinates, area and name, and `write` a file. What can be asked for is in `making`.
"""

from __future__ import annotations

from geoseg.polygons.convert import polygonize, polygonize_file, refuse_unlocated
from geoseg.polygons.measure import tell_units
from geoseg.polygons.summary import area_by_class
from geoseg.polygons.write import refuse_open_elsewhere, refuse_unknown_format

__all__ = [
    "area_by_class",
    "polygonize",
    "polygonize_file",
    "refuse_open_elsewhere",
    "refuse_unknown_format",
    "refuse_unlocated",
    "tell_units",
]
