"""One strip of a class map: its connected parts, and the boundaries of these as pieces of rings.

A strip is a number of whole pixel rows. With the row above it, it decides about the lattice lines
(the lines between pixel rows) from its upper border to the last one above its lower border, so that
the strips of a map share no vertex and a vertex is known from the four pixels around it alone::

        nw | ne          A vertex is where a boundary turns, or three or four edges meet. Where
        ---+---          four meet, the diagonal neighbours may be one class; they are kept apart
        sw | se          here (4-connectivity), and joined later when 8-connectivity is asked for.

Boundaries are walked with the part on the left hand as one sees a map (north up), so that exteriors
run counter-clockwise and holes clockwise. A walk that leaves the strip leaves it along a vertical
edge, through a "portal" between two columns, and comes in through the same portal of the next.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from geoseg.polygons.kernel import inlined, kernel, unite

__all__ = ["CLOSED", "CROSSING", "Strip", "column_of", "row_of", "trace", "unite_diagonals"]

CLOSED = -1
"""In place of a portal: the piece is a whole ring."""

CROSSING = 2
"""The two low bits of a point where four edges meet; they hold the number of edges less 2."""

_ROW = 34  # bits below the row in a point: 32 for the column, 2 for the number of edges

# Headings count counter-clockwise on a north-up map: a left turn adds one.
_SOUTH, _EAST, _NORTH, _WEST = 0, 1, 2, 3


class Strip(NamedTuple):
    """The parts of a strip and the pieces of their boundaries.

    A point is one int64, ``row << 34 | column << 2 | edges - 2``: lattice row and column counted in
    the whole map, and how many edges meet there. Points compare in row-major order.
    """

    labels: NDArray[np.int32]
    """(1 + rows, columns + 2): part of each pixel from 1, or 0 for none; the first row is the row
    above the strip, the first and last column lie outside the map."""
    values: NDArray[np.int64]
    """(parts + 1,): pixel value of each part; the first is none's."""
    points: NDArray[np.int64]
    """(points,): the vertices of all pieces."""
    offsets: NDArray[np.int64]
    """(pieces + 1,): where each piece begins in `points`."""
    parts: NDArray[np.int32]
    """(pieces,): the part on the left hand."""
    heads: NDArray[np.int64]
    """(pieces,): the portal where a piece begins: its lattice column at the upper border, its
    lattice column plus the number of lattice columns at the lower, or `CLOSED`."""
    tails: NDArray[np.int64]
    """(pieces,): the portal where it ends."""


class _Lattice(NamedTuple):
    """Vertices in row-major order, between the portals of the upper and of the lower border."""

    points: NDArray[np.int64]  # of portals: as in Strip.heads
    edges: NDArray[np.uint8]  # one bit for each heading; none for portals
    pending: NDArray[np.uint8]  # the edges still to be walked, with a part on the left hand
    north: NDArray[np.int32]  # the vertex or portal at the other end of the edge
    south: NDArray[np.int32]


def trace(values: NDArray[Any], nodata: int | None, row: int, height: int) -> Strip:
    """Find the parts of a strip and walk their boundaries.

    Parameters
    ----------
    values : ndarray of integers, shape (rows, columns)
        The pixels of the strip and, unless it is the first, of the row above it.
    nodata : int or None
        The value of pixels that belong to no part.
    row : int
        The first row of the strip itself.
    height : int
        Rows of the whole map; its last strip is closed below.

    Returns
    -------
    Strip
    """
    above = int(row == 0)
    below = int(row - 1 + above + values.shape[0] == height)
    # Two compiled versions for what classifiers write, one for everything else.
    if values.dtype not in (np.uint8, np.uint16):
        values = values.astype(np.int64)
    labels, kinds = _label(values, nodata or 0, nodata is not None, above, below)
    lattice, steps = _lattice(labels, row)
    return Strip(labels, kinds, *_walk(labels, lattice, steps, row))


@kernel
def _label(
    values: NDArray[Any], nodata: int, masked: bool, above: int, below: int
) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """Number the 4-connected parts by their first pixels, and keep their values."""
    rows, columns = values.shape
    labels = np.zeros((above + rows + below, columns + 2), np.int32)
    parent = np.zeros(rows * columns + 1, np.int32)
    kinds = np.zeros(rows * columns + 1, np.int64)
    count = 0
    for r in range(rows):
        pixels, north = values[r], values[max(r - 1, 0)]
        new, known = labels[above + r], labels[max(above + r - 1, 0)]
        label, touching = 0, False
        for c in range(columns):
            value = pixels[c]
            if c == 0 or value != pixels[c - 1]:
                label, touching = 0, False
            if masked and value == nodata:
                continue
            touched, touching = touching, r > 0 and north[c] == value
            if touching and not touched:
                if label == 0:
                    label = known[c + 1]
                elif label != known[c + 1]:
                    unite(parent, label, known[c + 1])
            elif label == 0:
                count += 1
                label = parent[count] = count
                kinds[count] = value
            new[c + 1] = label
    parts = _number(parent, kinds, count)
    for r in range(above, above + rows):
        line = labels[r]
        for c in range(1, columns + 1):
            line[c] = parent[line[c]]
    return labels, kinds[: parts + 1].copy()


@kernel
def _number(parent: NDArray[np.int32], kinds: NDArray[np.int64], count: int) -> int:
    """Replace the parents by consecutive numbers of their sets; a parent comes before its items."""
    parts = 0
    for item in range(1, count + 1):
        if parent[item] == item:
            parts += 1
            kinds[parts] = kinds[item]
            parent[item] = parts
        else:
            parent[item] = parent[parent[item]]
    return parts


@kernel
def _lattice(labels: NDArray[np.int32], row: int) -> tuple[_Lattice, int]:
    """Find the vertices, link them along columns, and count the steps of all walks."""
    lines, columns = labels.shape[0] - 1, labels.shape[1] - 1
    room = (lines + 2) * columns
    points = np.empty(room, np.int64)
    edges, pending = np.empty(room, np.uint8), np.empty(room, np.uint8)
    north, south = np.empty(room, np.int32), np.empty(room, np.int32)
    last = np.empty(columns, np.int32)
    count = steps = 0
    for c in range(columns):
        if labels[0, c] != labels[0, c + 1]:
            points[count], edges[count], pending[count] = c, 0, 0
            last[c] = count
            count += 1
    for r in range(lines):
        ne, se = labels[r, 0], labels[r + 1, 0]
        for c in range(columns):
            nw, sw = ne, se
            ne, se = labels[r, c + 1], labels[r + 1, c + 1]
            if nw == ne and sw == se and nw == sw:
                continue
            to_south, to_east, to_north, to_west = sw != se, ne != se, nw != ne, nw != sw
            degree = to_south + to_east + to_north + to_west
            if degree == 2 and to_south == to_north:
                continue  # straight on
            points[count] = (row + r) << _ROW | c << 2 | (degree - 2)
            edges[count] = to_south | to_east << 1 | to_north << 2 | to_west << 3
            # On the left hand of an edge that leaves southwards lies the south-east pixel, etc.
            left = (se != 0) | (ne != 0) << 1 | (nw != 0) << 2 | (sw != 0) << 3
            pending[count] = edges[count] & left
            steps += _ones(pending[count])
            if to_north:
                north[count] = last[c]
                south[last[c]] = count
            last[c] = count
            count += 1
    for c in range(columns):
        if labels[lines, c] != labels[lines, c + 1]:
            points[count], edges[count], pending[count] = columns + c, 0, 0
            north[count] = last[c]
            south[last[c]] = count
            count += 1
    lattice = _Lattice(points[:count], edges[:count], pending[:count], north[:count], south[:count])
    return lattice, steps


@inlined
def _ones(bits: int) -> int:
    """How many of the four low bits are set."""
    return (bits & 1) + (bits >> 1 & 1) + (bits >> 2 & 1) + (bits >> 3 & 1)


@kernel
def _walk(
    labels: NDArray[np.int32], lattice: _Lattice, steps: int, row: int
) -> tuple[
    NDArray[np.int64], NDArray[np.int64], NDArray[np.int32], NDArray[np.int64], NDArray[np.int64]
]:
    """Walk all boundaries: first the pieces that begin at portals, then the closed rings."""
    lines, columns = labels.shape[0] - 1, labels.shape[1] - 1
    nodes = lattice.points.size
    out = np.empty(steps, np.int64)
    room = steps // 4 + 2 * columns + 1  # a ring has four vertices, a portal begins one piece
    offsets = np.zeros(room + 1, np.int64)
    parts = np.empty(room, np.int32)
    heads, tails = np.empty(room, np.int64), np.empty(room, np.int64)
    count = size = 0
    for node in range(nodes):
        if lattice.edges[node]:
            continue
        portal = lattice.points[node]
        upper = portal < columns
        part = labels[0, portal + 1] if upper else labels[lines, portal - columns]
        if part == 0:
            continue
        end, size = _follow(lattice, node, _SOUTH if upper else _NORTH, out, size)
        parts[count], heads[count], tails[count] = part, portal, lattice.points[end]
        count += 1
        offsets[count] = size
    for node in range(nodes):
        for heading in range(4):
            if lattice.pending[node] >> heading & 1:
                r, c = row_of(lattice.points[node]) - row, column_of(lattice.points[node])
                south, east = heading in (_SOUTH, _WEST), heading in (_SOUTH, _EAST)
                out[size] = lattice.points[node]
                parts[count] = labels[r + south, c + east]
                heads[count] = tails[count] = CLOSED
                _, size = _follow(lattice, node, heading, out, size + 1)
                count += 1
                offsets[count] = size
    return out, offsets[: count + 1], parts[:count], heads[:count], tails[:count]


@kernel
def _follow(
    lattice: _Lattice, node: int, heading: int, out: NDArray[np.int64], size: int
) -> tuple[int, int]:
    """Walk from a vertex until back there, or from a portal to a portal."""
    first, departure = node, heading
    while True:
        lattice.pending[node] &= ~(1 << heading)
        if heading == _SOUTH:
            node = lattice.south[node]
        elif heading == _NORTH:
            node = lattice.north[node]
        else:
            node += 1 if heading == _EAST else -1  # the next vertex of the line
        edges = lattice.edges[node]
        if edges == 0:
            return node, size
        # Keep to the left: first to the left if there is an edge, else straight on, else right.
        if edges >> (heading + 1 & 3) & 1:
            heading = heading + 1 & 3
        elif not edges >> heading & 1:
            heading = heading + 3 & 3
        if node == first and heading == departure:
            return node, size
        out[size] = lattice.points[node]
        size += 1


@inlined
def row_of(points: Any) -> Any:
    """The lattice row of a point, or of an array of them."""
    return points >> _ROW


@inlined
def column_of(points: Any) -> Any:
    """The lattice column of a point, or of an array of them."""
    return points >> 2 & 0xFFFFFFFF


@kernel
def unite_diagonals(
    labels: NDArray[np.int32], values: NDArray[np.int64], parent: NDArray[np.int64], base: int
) -> None:
    """Unite parts of one value that touch at a corner; part ``p`` is item ``base + p``."""
    for r in range(labels.shape[0] - 1):
        for c in range(labels.shape[1] - 1):
            nw, ne = labels[r, c], labels[r, c + 1]
            sw, se = labels[r + 1, c], labels[r + 1, c + 1]
            if nw != se and nw and se and values[nw] == values[se]:
                unite(parent, base + nw, base + se)
            if ne != sw and ne and sw and values[ne] == values[sw]:
                unite(parent, base + ne, base + sw)
