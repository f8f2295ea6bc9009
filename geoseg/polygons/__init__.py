"""Class maps become polygons: traced strip by strip, joined across the borders, written in batches.

The way of a map: `source` reads rows, `trace` finds connected parts and walks their boundaries in a
strip, `join` and `store` link these across strips until a region is complete, `rings` puts its
boundary in order, `features` gives it map coordinates, area and name, and `write` a file.
"""

from __future__ import annotations

from geoseg.polygons.convert import polygonize, polygonize_file
from geoseg.polygons.write import refuse_open_elsewhere, refuse_unknown_format

__all__ = ["polygonize", "polygonize_file", "refuse_open_elsewhere", "refuse_unknown_format"]
