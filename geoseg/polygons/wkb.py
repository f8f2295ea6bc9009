"""Geometries as well-known binary, straight from flat arrays of vertices.

The format is that of OGC 06-103r4, Simple Feature Access 1, section 8.2: little-endian; a polygon
is its number of rings, and each ring its number of vertices and these.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from geoseg.polygons.kernel import inlined, kernel
from geoseg.polygons.rings import Polygons

__all__ = ["bounds_of", "to_wkb"]

_POLYGON, _MULTIPOLYGON = 3, 6

_HEAD = 9  # bytes: byte order, type and number of rings or polygons


def to_wkb(polygons: Polygons, vertices: NDArray[np.float64], multi: bool) -> pa.LargeBinaryArray:
    """Regions as polygons, or as multipolygons.

    Parameters
    ----------
    polygons : Polygons
        With one polygon in each region unless `multi`.
    vertices : ndarray of float64, shape (points, 2)
        Coordinates of its points.
    multi : bool
        Whether every region is a multipolygon.

    Returns
    -------
    pyarrow.LargeBinaryArray
        One for each region.
    """
    offsets, data = _well_known(
        polygons.rings, polygons.polygons, polygons.regions, vertices.view(np.uint8).ravel(), multi
    )
    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(data)]
    return pa.LargeBinaryArray.from_buffers(pa.large_binary(), offsets.size - 1, buffers)


@kernel
def _well_known(
    rings: NDArray[np.int64],
    polygons: NDArray[np.int64],
    regions: NDArray[np.int64],
    vertices: NDArray[np.uint8],
    multi: bool,
) -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
    count = regions.size - 1
    size = _HEAD * (polygons.size - 1) + _HEAD * multi * count + 4 * (rings.size - 1)
    data = np.empty(size + vertices.size, np.uint8)
    offsets = np.zeros(count + 1, np.int64)
    at = 0
    for region in range(count):
        if multi:
            at = _head(data, at, _MULTIPOLYGON, regions[region + 1] - regions[region])
        for polygon in range(regions[region], regions[region + 1]):
            at = _head(data, at, _POLYGON, polygons[polygon + 1] - polygons[polygon])
            for ring in range(polygons[polygon], polygons[polygon + 1]):
                at = _number(data, at, rings[ring + 1] - rings[ring])
                start, end = 16 * rings[ring], 16 * rings[ring + 1]
                data[at : at + end - start] = vertices[start:end]
                at += end - start
        offsets[region + 1] = at
    return offsets, data


@inlined
def _head(data: NDArray[np.uint8], at: int, kind: int, count: int) -> int:
    data[at] = 1  # little-endian
    return _number(data, _number(data, at + 1, kind), count)


@inlined
def _number(data: NDArray[np.uint8], at: int, number: int) -> int:
    for byte in range(4):
        data[at + byte] = number >> 8 * byte & 0xFF
    return at + 4


@kernel
def bounds_of(
    rings: NDArray[np.int64], regions: NDArray[np.int64], vertices: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Least and largest coordinates: xmin, ymin, xmax, ymax of each region; (regions, 4).

    `regions` says where each region begins among the rings.
    """
    out = np.empty((regions.size - 1, 4))
    for region in range(regions.size - 1):
        box = out[region]
        box[:2], box[2:] = np.inf, -np.inf
        for i in range(rings[regions[region]], rings[regions[region + 1]]):
            x, y = vertices[i, 0], vertices[i, 1]
            box[0], box[1] = min(box[0], x), min(box[1], y)
            box[2], box[3] = max(box[2], x), max(box[3], y)
    return out
