"""Boundaries with fewer vertices: each arc once, so that neighbours keep fitting together.

An arc is a boundary between two junctions (where three or four edges meet), or a whole ring without
one. Where it leaves a strip it ends, too, at the last vertex before the border; in the next strip
it goes on from this vertex. Its ends stay; between them vertices are removed as Visvalingam and
Whyatt do it, the one with the smallest triangle with its two neighbours first, as long as every
vertex that went lies within the tolerance of the edge in its place. (M. Visvalingam and
J. D. Whyatt, Line generalisation by repeated elimination of points, The Cartographic Journal 30
(1993) 46-51.) Three things are different here.

- *No arc crosses another, whatever becomes of that other.* A vertex stays if its triangle holds any
  original vertex of another arc, or a vertex left of its own. Sweeping over an empty triangle, a
  boundary meets no edge either: such an edge would have to end in the triangle, or to cross the two
  sides that were there before. As the original vertices alone are asked, arcs do not wait for each
  other, and the result depends on nothing but the map.
- *Areas stay.* What a removal takes from one side it gives to the other. The arc keeps an account
  of that, prefers removals that even it, and at last slides one vertex along the original boundary
  until it is even. (A triangle swept then has one side on an original edge, which no other arc
  crosses, so the argument above holds; and what others sweep holds no original edge. The arc itself
  may cross it: its own edges are compared.) So every region keeps its area, but for the rounding of
  slid vertices, and none can vanish.
- *The border of the data stays*, because what lies beyond it has no area to make it good.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from geoseg.polygons.arcs import Arc, even, remove, room_for
from geoseg.polygons.kernel import inlined, kernel
from geoseg.polygons.points import REMOVED, point_near
from geoseg.polygons.trace import EAST, NORTH, SOUTH, Lattice, ones

__all__ = ["Seam", "no_seam", "simplify"]


MARGIN = 32
"""Rows above a strip where an arc may begin: one that comes down straight for longer ends at the
border, where it hardly shows."""

UNKNOWN = -(1 << 40)

_ALL = 15  # every heading


class Seam(NamedTuple):
    """What the next strip must know about the one above it."""

    rows: NDArray[np.int64]
    """(columns,): for each lattice column that a boundary comes down, the row of its last vertex,
    counted in the whole map; `UNKNOWN` for the rest."""
    occupied: NDArray[np.bool_]
    """(`MARGIN`, columns): which lattice points of the last rows are vertices."""


def no_seam(columns: int) -> Seam:
    """What the first strip must know, of so many lattice columns."""
    return Seam(np.full(columns, UNKNOWN), np.zeros((MARGIN, columns), np.bool_))


class _Graph(NamedTuple):
    """The lattice with the vertices above it from which boundaries come down."""

    rows: NDArray[np.int32]  # less than 0 above the strip
    columns: NDArray[np.int32]
    edges: NDArray[np.uint8]
    pending: NDArray[np.uint8]
    north: NDArray[np.int32]
    south: NDArray[np.int32]
    ends: NDArray[np.bool_]  # whether arcs end here
    occupied: NDArray[np.bool_]  # which lattice points are vertices, from `MARGIN` rows above on


@kernel
def simplify(
    lattice: Lattice, points: NDArray[np.int64], row: int, lines: int, tolerance: float, seam: Seam
) -> Seam:
    """Simplify all arcs of a strip.

    Parameters
    ----------
    lattice : Lattice
        Before its boundaries are walked.
    points : ndarray of int64, shape (nodes,)
        Its vertices, changed in place: those that go are `REMOVED`, one of an arc may be slid.
    row : int
        The first row of the strip.
    lines : int
        Lattice rows of the strip.
    tolerance : float
        How far a boundary may move, in pixels.
    seam : Seam
        What the strip above left.

    Returns
    -------
    Seam
        What to tell the strip below.
    """
    graph = _graph(lattice, row, lines, seam)
    walked = np.zeros(graph.ends.size, np.uint8)  # by heading, and all of a vertex within an arc
    arc = room_for(1 << 10)
    for rings in (False, True):  # first the arcs that have ends, then what is left
        for node in range(graph.ends.size):
            if rings == graph.ends[node] or walked[node] == _ALL:
                continue
            for heading in range(4):
                if not (graph.edges[node] & ~walked[node]) >> heading & 1:
                    continue
                arc, count = _collect(graph, walked, arc, node, heading)
                if count > 2 and _has_data_on_both_sides(graph, arc, heading):
                    _simplify_arc(arc, count, tolerance, graph, points, row)
    return _seam(lattice, graph, row, seam)


@kernel
def _graph(lattice: Lattice, row: int, lines: int, seam: Seam) -> _Graph:
    rows, edges = lattice.rows.copy(), lattice.edges.copy()
    ends = np.zeros(rows.size, np.bool_)
    occupied = np.zeros((MARGIN + lines, seam.rows.size), np.bool_)
    occupied[:MARGIN] = seam.occupied
    for node in range(rows.size):
        if lattice.edges[node]:
            ends[node] |= ones(lattice.edges[node]) > 2
            occupied[MARGIN + rows[node], lattice.columns[node]] = True
        elif rows[node] >= 0:
            ends[lattice.north[node]] = True
        elif seam.rows[lattice.columns[node]] >= row - MARGIN:
            rows[node] = seam.rows[lattice.columns[node]] - row
            edges[node], ends[node] = 1 << SOUTH, True
        else:
            ends[lattice.south[node]] = True
    return _Graph(
        rows, lattice.columns, edges, lattice.pending, lattice.north, lattice.south, ends, occupied
    )


@kernel
def _seam(lattice: Lattice, graph: _Graph, row: int, above: Seam) -> Seam:
    rows = np.full(above.rows.size, UNKNOWN)
    for node in range(lattice.rows.size):
        if lattice.edges[node] == 0 and lattice.rows[node] >= 0:
            last = lattice.north[node]
            column = lattice.columns[last]
            straight = lattice.edges[last] == 0  # it comes down through the whole strip
            rows[column] = above.rows[column] if straight else row + lattice.rows[last]
    return Seam(rows, graph.occupied[-MARGIN:].copy())


@inlined
def _neighbour(graph: _Graph, node: int, heading: int) -> int:
    """The vertex at the other end of an edge."""
    if heading == SOUTH:
        return int(graph.south[node])
    if heading == NORTH:
        return int(graph.north[node])
    return node + 1 if heading == EAST else node - 1


@kernel
def _collect(
    graph: _Graph, walked: NDArray[np.uint8], arc: Arc, node: int, heading: int
) -> tuple[Arc, int]:
    """The vertices of the arc that leaves a vertex, both ends among them; 1 through a portal."""
    first, count = node, 1
    arc.nodes[0] = node
    walked[node] |= 1 << heading
    while True:
        node = _neighbour(graph, node, heading)
        if graph.edges[node] == 0:
            return arc, 1
        if count == arc.nodes.size:
            larger = room_for(2 * count)
            larger.nodes[:count] = arc.nodes
            arc = larger
        arc.nodes[count] = node
        count += 1
        back = heading + 2 & 3
        walked[node] |= 1 << back
        if node == first or graph.ends[node]:
            return arc, count
        walked[node] = _ALL
        onwards = graph.edges[node] & ~(1 << back)
        heading = 0
        while not onwards >> heading & 1:
            heading += 1


@inlined
def _has_data_on_both_sides(graph: _Graph, arc: Arc, heading: int) -> bool:
    """Whether there are parts on the left and on the right hand of the first edge of an arc."""
    back = graph.pending[arc.nodes[1]] >> (heading + 2 & 3)
    return bool(graph.pending[arc.nodes[0]] >> heading & back & 1)


@kernel
def _simplify_arc(
    arc: Arc,
    count: int,
    tolerance: float,
    graph: _Graph,
    points: NDArray[np.int64],
    row: int,
) -> None:
    occupied = graph.occupied
    for i in range(count):
        arc.x[i] = graph.columns[arc.nodes[i]]
        arc.y[i] = MARGIN + graph.rows[arc.nodes[i]]  # as in `occupied`
        arc.before[i], arc.after[i], arc.left[i] = i - 1, i + 1, True
    arc.after[count - 1] = 0
    removals, balanced, account = remove(arc, count, tolerance, occupied)
    slid, x, y = even(arc, count, occupied, removals, balanced, account, tolerance)
    for i in range(1, count - 1):
        occupied[arc.y[i], arc.x[i]] = True  # for the other arcs
        if not arc.left[i]:
            points[arc.nodes[i]] = REMOVED
    if slid:
        points[arc.nodes[slid]] = point_near(x, y - MARGIN + row)
