"""Complete regions as polygons: simple rings, in one order whatever the strips were."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from geoseg.polygons.join import Complete
from geoseg.polygons.kernel import kernel, ranges
from geoseg.polygons.points import CROSSING, place
from geoseg.polygons.store import Rings

__all__ = ["Polygons", "polygons_of"]

_VISITED = -1


class Polygons(NamedTuple):
    """Polygons of regions, as flat vertices and offsets.

    Regions come in the order of their last vertices (row by row), within what is complete at a
    time; the polygons of a region in the order of their first vertices; of the rings of a polygon
    the exterior comes first, then holes in the order of theirs. Exteriors run counter-clockwise
    where rows count southwards, holes clockwise; each begins and ends at its first vertex.
    """

    points: NDArray[np.int64]
    """(points,): vertices; see `geoseg.polygons.points`."""
    rings: NDArray[np.int64]
    """(rings + 1,): where each ring begins among the points."""
    polygons: NDArray[np.int64]
    """(polygons + 1,): where each polygon begins among the rings."""
    regions: NDArray[np.int64]
    """(regions + 1,): where each region begins among the polygons."""
    values: NDArray[np.int64]
    """(regions,): pixel value."""
    sums: NDArray[np.float64]
    """(regions, measures): what was added up over the pixels of each region."""

    def where(self, chosen: NDArray[np.bool_]) -> Polygons:
        """Some of the regions, in the same order."""
        which = np.flatnonzero(chosen)
        regions, polygons = _picked(self.regions, which)
        polygons, rings = _picked(self.polygons, polygons)
        rings, points = _picked(self.rings, rings)
        return Polygons(
            self.points[points], rings, polygons, regions, self.values[which], self.sums[which]
        )


def _picked(
    offsets: NDArray[np.int64], which: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The offsets of some items, and the places of what belongs to them."""
    lengths = np.diff(offsets)[which]
    return np.append(0, np.cumsum(lengths)), ranges(offsets[which], lengths)


def polygons_of(complete: Complete) -> Polygons:
    """Make polygons of what `OpenRegions` handed out, whose rings are used up by it."""
    rings = complete.rings
    if complete.values.size == 0:
        none, zero = np.empty(0, np.int64), np.zeros(1, np.int64)
        return Polygons(none, zero, zero, zero, complete.values, complete.sums)
    _untangle(rings)
    points, starts, holes = _ordered(rings.points, rings.successors)
    part = np.searchsorted(rings.parts, starts[:-1], "right") - 1
    region = np.searchsorted(rings.regions, part, "right") - 1
    first = np.minimum.reduceat(points, rings.parts[:-1])
    last = np.maximum.reduceat(points, rings.parts[rings.regions[:-1]])
    # Simplified neighbours may have the first or the last vertex in common: their places decide.
    order = np.lexsort((points[starts[:-1]], holes, part, first[part], region, last[region]))
    polygons = _runs(part[order])
    region = region[order[polygons[:-1]]]
    regions = _runs(region)
    region = region[regions[:-1]]
    lengths = np.diff(starts)[order]
    return Polygons(
        points[_closed(starts[:-1][order], lengths)],
        np.append(0, np.cumsum(lengths + 1)),
        polygons,
        regions,
        complete.values[region],
        complete.sums[region],
    )


def _runs(items: NDArray[np.int64]) -> NDArray[np.int64]:
    """Where each run of equal items begins, and the end."""
    return np.append(np.flatnonzero(np.diff(items, prepend=-1)), items.size)


def _closed(starts: NDArray[np.int64], lengths: NDArray[np.int64]) -> NDArray[np.int64]:
    """The places of the vertices of each ring, and of the first one again."""
    places = ranges(starts, lengths + 1)
    places[np.cumsum(lengths + 1) - 1] = starts
    return places


def _untangle(rings: Rings) -> None:
    """Part a ring that comes back to a vertex into two rings that touch there.

    Pieces were walked with diagonal neighbours kept apart. Where both belong to one part, they are
    connected elsewhere, around one of the other two pixels: what was walked as one ring is the
    boundary of two areas without the part. The ring passes the vertex twice; where it goes on from
    there is exchanged between the passes.
    """
    crossings = np.flatnonzero((rings.points & 3) == CROSSING)
    part = np.searchsorted(rings.parts, crossings, "right")
    order = np.lexsort((rings.points[crossings], part))
    crossings, part = crossings[order], part[order]
    twice = (np.diff(rings.points[crossings]) == 0) & (np.diff(part) == 0)
    one, other = crossings[:-1][twice], crossings[1:][twice]
    after = rings.successors
    after[one], after[other] = after[other], after[one]


@kernel
def _ordered(
    points: NDArray[np.int64], successors: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_]]:
    """Rings one after the other, each from its first vertex; they stay within their parts.

    Gives the vertices, where each ring begins, and whether it is a hole.
    """
    out = np.empty_like(points)
    room = points.size // 3  # a ring has at least three vertices
    starts, holes = np.empty(room + 1, np.int64), np.empty(room, np.bool_)
    size = count = 0
    for i in range(points.size):
        if successors[i] == _VISITED:
            continue
        first = i
        at = successors[i]
        while at != i:
            if points[at] < points[first]:
                first = at
            at = successors[at]
        starts[count] = size
        at, enclosed = first, 0.0
        left, top = place(points[first])
        x = y = 0.0
        while successors[at] != _VISITED:
            out[size] = points[at]
            size += 1
            after = successors[at]
            successors[at] = _VISITED
            at = after
            column, row = place(points[at])
            enclosed += x * (row - top) - y * (column - left)
            x, y = column - left, row - top
        holes[count] = enclosed > 0  # rows count southwards: exteriors run counter-clockwise
        count += 1
    starts[count] = size
    return out, starts[: count + 1], holes[:count]
