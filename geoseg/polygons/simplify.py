"""Boundaries with fewer vertices: each arc once, so that neighbours keep fitting together.

An arc is a boundary between two junctions (where three or four edges meet), or a whole ring without
one. Where it leaves a strip it ends, too, at the last vertex before the border; in the next strip
it goes on from this vertex. Its ends stay; between them vertices are removed as
Visvalingam and Whyatt do it: the one whose triangle with its two neighbours is smallest goes first,
until every triangle that is left is larger than the square of the tolerance. (M. Visvalingam and
J. D. Whyatt, Line generalisation by repeated elimination of points, The Cartographic Journal 30
(1993) 46-51.) Three things are different here.

- *No arc crosses another, whatever becomes of that other.* A vertex stays if its triangle holds any
  original vertex of another arc, or a vertex of its own arc. Sweeping over an empty triangle, a
  boundary meets no edge either: such an edge would have to end in the triangle, or to cross what
  was there before. As the original vertices alone are asked, arcs do not wait for each other, and
  the result depends on nothing but the map.
- *Areas stay.* What a removal takes from one side it gives to the other. The arc keeps the account
  (see `Balance`), prefers removals that even it, and at last slides one vertex along the original
  boundary until the account is even. So every region keeps its area, and none can vanish.
- *The border of the data stays*, because what lies beyond it has no area to make it good.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from geoseg.polygons.kernel import inlined, kernel
from geoseg.polygons.points import REMOVED, point_near
from geoseg.polygons.trace import EAST, NORTH, SOUTH, Lattice, ones

__all__ = ["Seam", "no_seam", "simplify"]

SLACK = 16
"""How far an account may be uneven meanwhile, in squares of the tolerance. With more, hardly a
vertex more can go; with much less, every tenth stays that could."""

ROLLBACKS = 40
"""Removals that are taken back at most in search of one where a slid vertex evens the account."""

MARGIN = 32
"""Rows above a strip where an arc may begin: one that comes down straight for longer ends at the
border, where it hardly shows."""

UNKNOWN = -(1 << 40)

# Bits of a key in a heap, below the size of the triangle: vertices replaced, place in the arc.
_SPAN, _PLACE = 8, 26
_MASK = (1 << _PLACE) - 1

_ALL = 15  # every heading

_NEAR = 1e-9  # pixels: closer to a triangle a vertex counts as inside


class _Arc(NamedTuple):
    """Room for one arc: its vertices by their place in it."""

    nodes: NDArray[np.int32]  # of the lattice
    x: NDArray[np.int64]
    y: NDArray[np.int64]
    before: NDArray[np.int64]  # the vertex before it that is left
    after: NDArray[np.int64]
    doubled: NDArray[np.int64]  # twice the signed area of its triangle
    keys: NDArray[np.int64]  # under which it is in a heap
    left: NDArray[np.bool_]
    removed: NDArray[np.int64]  # vertices in the order of their removal
    rising: NDArray[np.int64]  # heaps of vertices with triangles to the left, and to the right
    falling: NDArray[np.int64]


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
    arc = _room(1 << 10)
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


@kernel
def _room(size: int) -> _Arc:
    # A vertex enters a heap when the arc is read, and again when a neighbour is removed.
    return _Arc(
        np.empty(size, np.int32),
        np.empty(size, np.int64),
        np.empty(size, np.int64),
        np.empty(size, np.int64),
        np.empty(size, np.int64),
        np.empty(size, np.int64),
        np.empty(size, np.int64),
        np.empty(size, np.bool_),
        np.empty(size, np.int64),
        np.empty(3 * size, np.int64),
        np.empty(3 * size, np.int64),
    )


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
    graph: _Graph, walked: NDArray[np.uint8], arc: _Arc, node: int, heading: int
) -> tuple[_Arc, int]:
    """The vertices of the arc that leaves a vertex, both ends among them; 1 through a portal."""
    first, count = node, 1
    arc.nodes[0] = node
    walked[node] |= 1 << heading
    while True:
        node = _neighbour(graph, node, heading)
        if graph.edges[node] == 0:
            return arc, 1
        if count == arc.nodes.size:
            larger = _room(2 * count)
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
def _has_data_on_both_sides(graph: _Graph, arc: _Arc, heading: int) -> bool:
    """Whether there are parts on the left and on the right hand of the first edge of an arc."""
    back = graph.pending[arc.nodes[1]] >> (heading + 2 & 3)
    return bool(graph.pending[arc.nodes[0]] >> heading & back & 1)


@kernel
def _simplify_arc(
    arc: _Arc,
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
    removals, even, account = _remove(arc, count, tolerance, occupied)
    slid, x, y = _even(arc, count, occupied, removals, even, account, tolerance)
    for i in range(1, count - 1):
        occupied[arc.y[i], arc.x[i]] = True  # for the other arcs
        if not arc.left[i]:
            points[arc.nodes[i]] = REMOVED
    if slid:
        points[arc.nodes[slid]] = point_near(x, y - MARGIN + row)


@kernel
def _remove(
    arc: _Arc, count: int, tolerance: float, occupied: NDArray[np.bool_]
) -> tuple[int, int, int]:
    """Remove what can go; gives how many went, how many when last even, and the account."""
    risen = fallen = 0
    for i in range(1, count - 1):
        risen, fallen = _enter(arc, i, tolerance, risen, fallen)
    account = removals = even = 0
    while True:
        risen = _drop_stale(arc, arc.rising, risen)
        fallen = _drop_stale(arc, arc.falling, fallen)
        if not risen and not fallen:
            return removals, even, account
        # What evens the account first; when it is even, the smallest.
        rise = risen > 0 and (
            fallen == 0 or account < 0 or (account == 0 and arc.rising[0] < arc.falling[0])
        )
        if rise:
            i = arc.rising[0] & _MASK
            risen = _pop(arc.rising, risen)
        else:
            i = arc.falling[0] & _MASK
            fallen = _pop(arc.falling, fallen)
        if abs(account + arc.doubled[i]) > SLACK * tolerance * tolerance:
            continue
        before, after = arc.before[i], arc.after[i]
        xs, ys = arc.x[before + 1 : after], arc.y[before + 1 : after]
        if not _is_near(xs, ys, *_at(arc, before), *_at(arc, after), tolerance):
            continue
        if not _is_empty(occupied, *_at(arc, before), *_at(arc, i), *_at(arc, after)):
            continue
        account += arc.doubled[i]
        _take(arc, occupied, i)
        arc.removed[removals] = i
        removals += 1
        if account == 0:
            even = removals
        for near in (before, after):
            if 0 < near < count - 1:
                risen, fallen = _enter(arc, near, tolerance, risen, fallen)


@kernel
def _is_near(
    xs: NDArray[np.int64],
    ys: NDArray[np.int64],
    xa: float,
    ya: float,
    xb: float,
    yb: float,
    tolerance: float,
) -> bool:
    """Whether vertices lie near the edge that replaces them."""
    x, y = xb - xa, yb - ya
    length2, most = x * x + y * y, tolerance * tolerance
    for i in range(xs.size):
        xi, yi = xs[i] - xa, ys[i] - ya
        along = xi * x + yi * y
        if along <= 0:
            near = xi * xi + yi * yi <= most
        elif along >= length2:
            near = (xi - x) * (xi - x) + (yi - y) * (yi - y) <= most
        else:
            across = xi * y - yi * x
            near = across * across <= most * length2
        if not near:
            return False
    return True


@inlined
def _take(arc: _Arc, occupied: NDArray[np.bool_], i: int) -> None:
    arc.left[i] = occupied[arc.y[i], arc.x[i]] = False
    arc.after[arc.before[i]], arc.before[arc.after[i]] = arc.after[i], arc.before[i]


@inlined
def _put_back(arc: _Arc, occupied: NDArray[np.bool_], i: int) -> None:
    arc.left[i] = occupied[arc.y[i], arc.x[i]] = True
    arc.after[arc.before[i]] = arc.before[arc.after[i]] = i


@inlined
def _enter(arc: _Arc, i: int, tolerance: float, risen: int, fallen: int) -> tuple[int, int]:
    """Measure the triangle of a vertex, and put the vertex into its heap if it may go."""
    before, after = arc.before[i], arc.after[i]
    doubled = _doubled(arc, before, arc.x[i], arc.y[i], after)
    # Of equal triangles the one that replaces fewer vertices: edges grow evenly, which is quicker.
    span = min(after - before, (1 << _SPAN) - 1)
    arc.doubled[i], arc.keys[i] = doubled, (abs(doubled) << _SPAN | span) << _PLACE | i
    x, y = float(arc.x[after] - arc.x[before]), float(arc.y[after] - arc.y[before])
    too_far = float(doubled) * doubled > tolerance * tolerance * (x * x + y * y)
    if not (too_far or abs(doubled) >> 63 - _SPAN - _PLACE):
        if doubled > 0:
            risen = _push(arc.rising, risen, arc.keys[i])
        else:
            fallen = _push(arc.falling, fallen, arc.keys[i])
    return risen, fallen


@inlined
def _drop_stale(arc: _Arc, heap: NDArray[np.int64], size: int) -> int:
    """Drop from the top of a heap what is removed or has another triangle by now."""
    while size and not (arc.left[heap[0] & _MASK] and arc.keys[heap[0] & _MASK] == heap[0]):
        size = _pop(heap, size)
    return size


@inlined
def _doubled(arc: _Arc, before: int, x: Any, y: Any, after: int) -> Any:
    """Twice the signed area of the triangle of a place between two vertices."""
    return (x - arc.x[before]) * (arc.y[after] - y) - (y - arc.y[before]) * (arc.x[after] - x)


@inlined
def _at(arc: _Arc, i: int) -> tuple[float, float]:
    return float(arc.x[i]), float(arc.y[i])


@kernel
def _is_empty(
    occupied: NDArray[np.bool_],
    x1: float,
    y1: float,
    x2: float,
    y2: float,
    x3: float,
    y3: float,
) -> bool:
    """Whether a triangle and its edges hold no vertex but its own corners."""
    top, bottom = np.ceil(min(y1, y2, y3) - _NEAR), np.floor(max(y1, y2, y3) + _NEAR)
    for row in range(int(top), int(bottom) + 1):
        west, east = np.inf, -np.inf
        for xa, ya, xb, yb in ((x1, y1, x2, y2), (x2, y2, x3, y3), (x3, y3, x1, y1)):
            if min(ya, yb) - _NEAR <= row <= max(ya, yb) + _NEAR:
                if abs(yb - ya) <= _NEAR:
                    west, east = min(west, xa, xb), max(east, xa, xb)
                else:
                    share = min(max((row - ya) / (yb - ya), 0.0), 1.0)
                    at = xa + share * (xb - xa)
                    west, east = min(west, at), max(east, at)
        for column in range(int(np.ceil(west - _NEAR)), int(np.floor(east + _NEAR)) + 1):
            if occupied[row, column] and not (
                (column == x1 and row == y1)
                or (column == x2 and row == y2)
                or (column == x3 and row == y3)
            ):
                return False
    return True


@kernel
def _even(
    arc: _Arc,
    count: int,
    occupied: NDArray[np.bool_],
    removals: int,
    even: int,
    account: int,
    tolerance: float,
) -> tuple[int, float, float]:
    """Even the account: by sliding a vertex, else by taking removals back until it can be.

    Returns the vertex that is slid, 0 for none, and where it goes.
    """
    for _ in range(ROLLBACKS):
        if account == 0:
            return 0, 0.0, 0.0
        slid, x, y = _slide_one(arc, count, occupied, account, tolerance)
        if slid:
            return slid, x, y
        removals -= 1
        i = arc.removed[removals]
        _put_back(arc, occupied, i)
        account -= _doubled(arc, arc.before[i], arc.x[i], arc.y[i], arc.after[i])
    while removals > even:
        removals -= 1
        _put_back(arc, occupied, arc.removed[removals])
    return 0, 0.0, 0.0


@kernel
def _slide_one(
    arc: _Arc, count: int, occupied: NDArray[np.bool_], account: int, tolerance: float
) -> tuple[int, float, float]:
    """Slide a vertex that is left; where none can be, one that was removed, from where it ends."""
    last = count - 1
    i = arc.after[0]
    while i < last:
        before, after = arc.before[i], arc.after[i]
        wanted = _doubled(arc, before, arc.x[i], arc.y[i], after) + account
        for step in (1, -1):
            place, x, y = _slide(arc, occupied, before, i, after, step, wanted, tolerance)
            if place:
                arc.left[i] = False
                arc.left[place] = True
                return place, x, y
        i = after
    i = 0
    while i < last:
        after = arc.after[i]
        for step in (1, -1):
            start = i if step == 1 else after
            place, x, y = _slide(arc, occupied, i, start, after, step, account, tolerance)
            if place:
                arc.left[place] = True
                return place, x, y
        i = after
    return 0, 0.0, 0.0


@kernel
def _slide(
    arc: _Arc,
    occupied: NDArray[np.bool_],
    before: int,
    start: int,
    after: int,
    step: int,
    wanted: float,
    tolerance: float,
) -> tuple[int, float, float]:
    """Where on the original boundary between two vertices a third has the triangle wanted.

    It moves from `start` on, edge by edge, and stops where a triangle that it sweeps is not empty.
    Gives the vertex to put there, one that was removed; 0 if there is no such place.
    """
    end = after if step == 1 else before
    i, there = start, _doubled(arc, before, arc.x[start], arc.y[start], after)
    while True:
        if i == end:
            return 0, 0.0, 0.0
        here, following = there, i + step
        there = _doubled(arc, before, arc.x[following], arc.y[following], after)
        if (here - wanted) * (there - wanted) <= 0 and here != there:
            break
        i = following
    # The vertex of the edge that is not an end of the triangle stands for the place.
    place = following if following != end else i
    if place in (before, after):
        return 0, 0.0, 0.0
    share = (wanted - here) / (there - here)
    x = arc.x[i] + share * (arc.x[following] - arc.x[i])
    y = arc.y[i] + share * (arc.y[following] - arc.y[i])
    cut = min(i, following) + 1
    if not (
        _is_near(
            arc.x[before + 1 : cut], arc.y[before + 1 : cut], *_at(arc, before), x, y, tolerance
        )
        and _is_near(arc.x[cut:after], arc.y[cut:after], x, y, *_at(arc, after), tolerance)
    ):
        return 0, 0.0, 0.0
    for at in range(start, i, step):
        if not _may_move(arc, occupied, before, at, after, *_at(arc, at + step)):
            return 0, 0.0, 0.0
    if not _may_move(arc, occupied, before, i, after, x, y):
        return 0, 0.0, 0.0
    return place, x, y


@inlined
def _may_move(
    arc: _Arc,
    occupied: NDArray[np.bool_],
    before: int,
    i: int,
    after: int,
    x: float,
    y: float,
) -> bool:
    """Whether a vertex may move to a place on its edge: what it sweeps is empty."""
    one, two = _is_empty(occupied, *_at(arc, before), *_at(arc, i), x, y), False
    if one:
        two = _is_empty(occupied, x, y, *_at(arc, i), *_at(arc, after))
    return one and two


@inlined
def _push(heap: NDArray[np.int64], size: int, key: int) -> int:
    """Put a key into a heap whose least one is on top; gives its new size."""
    i = size
    while i and heap[(i - 1) // 2] > key:
        heap[i] = heap[(i - 1) // 2]
        i = (i - 1) // 2
    heap[i] = key
    return size + 1


@inlined
def _pop(heap: NDArray[np.int64], size: int) -> int:
    """Take the least key off a heap; gives its new size."""
    size -= 1
    key, i = heap[size], 0
    while 2 * i + 1 < size:
        child = 2 * i + 1
        if child + 1 < size and heap[child + 1] < heap[child]:
            child += 1
        if key <= heap[child]:
            break
        heap[i] = heap[child]
        i = child
    heap[i] = key
    return size
