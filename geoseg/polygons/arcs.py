"""One arc of a boundary: which of its vertices go, and how its account is evened.

What follows is done for an arc alone; `geoseg.polygons.simplify` says why that is enough.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from geoseg.polygons.heap import pop, push
from geoseg.polygons.kernel import inlined, kernel
from geoseg.polygons.points import STEPS

__all__ = ["Arc", "even", "remove", "room_for"]

SLACK = 16
"""How far an account may be uneven meanwhile, in squares of the tolerance. With more, hardly a
vertex more can go; with much less, every tenth stays that could."""

ROLLBACKS = 40
"""Removals that are taken back at most in search of one where a slid vertex evens the account."""

# Bits of a key in a heap, below the size of the triangle: vertices replaced, place in the arc.
_SPAN, _PLACE = 8, 26
_MASK = (1 << _PLACE) - 1

_NEAR = 1e-9  # pixels: closer to a triangle a vertex counts as inside


class Arc(NamedTuple):
    """Room for one arc: its vertices by their place in it."""

    nodes: NDArray[np.int32]  # of the lattice
    x: NDArray[np.int64]
    y: NDArray[np.int64]
    before: NDArray[np.int64]  # the vertex before it that is left
    after: NDArray[np.int64]  # 0 after the last
    doubled: NDArray[np.int64]  # twice the signed area of its triangle
    keys: NDArray[np.int64]  # under which it is in a heap
    left: NDArray[np.bool_]
    removed: NDArray[np.int64]  # vertices in the order of their removal
    rising: NDArray[np.int64]  # heaps of vertices with triangles to the left, and to the right
    falling: NDArray[np.int64]


@kernel
def room_for(size: int) -> Arc:
    """Room for an arc of so many vertices."""
    # A vertex enters a heap when the arc is read, and again when a neighbour is removed.
    return Arc(
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


@kernel
def remove(
    arc: Arc, count: int, tolerance: float, occupied: NDArray[np.bool_]
) -> tuple[int, int, int]:
    """Remove what can go; gives how many went, how many when last even, and the account."""
    risen = fallen = 0
    for i in range(1, count - 1):
        risen, fallen = _enter(arc, i, tolerance, risen, fallen)
    account = removals = balanced = 0
    while True:
        risen = _drop_stale(arc, arc.rising, risen)
        fallen = _drop_stale(arc, arc.falling, fallen)
        if not risen and not fallen:
            return removals, balanced, account
        # What evens the account first; when it is even, the smallest.
        rise = risen > 0 and (
            fallen == 0 or account < 0 or (account == 0 and arc.rising[0] < arc.falling[0])
        )
        if rise:
            i = arc.rising[0] & _MASK
            risen = pop(arc.rising, risen)
        else:
            i = arc.falling[0] & _MASK
            fallen = pop(arc.falling, fallen)
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
            balanced = removals
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
def _take(arc: Arc, occupied: NDArray[np.bool_], i: int) -> None:
    arc.left[i] = occupied[arc.y[i], arc.x[i]] = False
    arc.after[arc.before[i]], arc.before[arc.after[i]] = arc.after[i], arc.before[i]


@inlined
def _put_back(arc: Arc, occupied: NDArray[np.bool_], i: int) -> None:
    arc.left[i] = occupied[arc.y[i], arc.x[i]] = True
    arc.after[arc.before[i]] = arc.before[arc.after[i]] = i


@inlined
def _enter(arc: Arc, i: int, tolerance: float, risen: int, fallen: int) -> tuple[int, int]:
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
            risen = push(arc.rising, risen, arc.keys[i])
        else:
            fallen = push(arc.falling, fallen, arc.keys[i])
    return risen, fallen


@inlined
def _drop_stale(arc: Arc, heap: NDArray[np.int64], size: int) -> int:
    """Drop from the top of a heap what is removed or has another triangle by now."""
    while size and not (arc.left[heap[0] & _MASK] and arc.keys[heap[0] & _MASK] == heap[0]):
        size = pop(heap, size)
    return size


@inlined
def _doubled(arc: Arc, before: int, x: Any, y: Any, after: int) -> Any:
    """Twice the signed area of the triangle of a place between two vertices."""
    return (x - arc.x[before]) * (arc.y[after] - y) - (y - arc.y[before]) * (arc.x[after] - x)


@inlined
def _at(arc: Arc, i: int) -> tuple[float, float]:
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
def even(
    arc: Arc,
    count: int,
    occupied: NDArray[np.bool_],
    removals: int,
    balanced: int,
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
    while removals > balanced:
        removals -= 1
        _put_back(arc, occupied, arc.removed[removals])
    return 0, 0.0, 0.0


@kernel
def _slide_one(
    arc: Arc, count: int, occupied: NDArray[np.bool_], account: int, tolerance: float
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
    arc: Arc,
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
    # Where it will be: all that follows is asked of the rounded place.
    x = np.rint((arc.x[i] + share * (arc.x[following] - arc.x[i])) * STEPS) / STEPS
    y = np.rint((arc.y[i] + share * (arc.y[following] - arc.y[i])) * STEPS) / STEPS
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
    if _meets_itself(arc, before, x, y, after):
        return 0, 0.0, 0.0
    return place, x, y


@kernel
def _meets_itself(arc: Arc, before: int, x: float, y: float, after: int) -> bool:
    """Whether the edges to a place between two vertices meet another edge of the arc.

    Where a vertex is removed, none can: it would end in the triangle. Where one is slid outwards,
    one of its own may pass between the place and the edge there was.
    """
    xb, yb = _at(arc, before)
    xa, ya = _at(arc, after)
    if (x == xb and y == yb) or (x == xa and y == ya):
        return True
    i = 0
    while arc.after[i]:
        if i == before:
            i = after  # the edges in question
            continue
        x1, y1 = _at(arc, i)
        i = arc.after[i]
        x2, y2 = _at(arc, i)
        if _meet(xb, yb, x, y, x1, y1, x2, y2) or _meet(xa, ya, x, y, x1, y1, x2, y2):
            return True
    return False


@inlined
def _meet(
    xa: float, ya: float, xb: float, yb: float, xc: float, yc: float, xd: float, yd: float
) -> bool:
    """Whether edges a-b and c-d have a point in common, but for an end a that both have."""
    c, d = _side(xa, ya, xb, yb, xc, yc), _side(xa, ya, xb, yb, xd, yd)
    if (xa == xc and ya == yc) or (xa == xd and ya == yd):
        # From the common end on they part, unless both point the same way.
        other_x, other_y = (xd, yd) if xa == xc and ya == yc else (xc, yc)
        same_way = (xb - xa) * (other_x - xa) + (yb - ya) * (other_y - ya) > 0
        return c == 0 and d == 0 and same_way
    if c * d > 0:
        return False
    a, b = _side(xc, yc, xd, yd, xa, ya), _side(xc, yc, xd, yd, xb, yb)
    if a * b > 0:
        return False
    if c == 0 and d == 0:  # all on one line: compare along it
        apart_x = max(xa, xb) < min(xc, xd) or max(xc, xd) < min(xa, xb)
        apart_y = max(ya, yb) < min(yc, yd) or max(yc, yd) < min(ya, yb)
        return not (apart_x or apart_y)
    return True


@inlined
def _side(xa: float, ya: float, xb: float, yb: float, x: float, y: float) -> float:
    """On which side of a line a place lies, 0 on it; exact for places in steps."""
    return float((xb - xa) * (y - ya) - (yb - ya) * (x - xa))


@inlined
def _may_move(
    arc: Arc,
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
