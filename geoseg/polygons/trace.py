"""One strip of a class map: its connected parts, and the boundaries of these as pieces of rings.

A strip is a number of whole pixel rows. With the row above it, it decides about the lattice lines
(the lines between pixel rows) from its upper border to the last one above its lower border, so that
the strips of a map share no vertex and a vertex is known from the four pixels around it alone::

        nw | ne          A vertex is where a boundary turns, or three or four edges meet. Where
        ---+---          four meet, the diagonal neighbours may be one class; they are kept apart
        sw | se          here (4-connectivity), and joined later when 8-connectivity is asked for.

Pixels are looked at once, to find the runs of equal ones in each row; everything after that is done
run by run.

Boundaries are walked with the part on the left hand as one sees a map (north up), so that exteriors
run counter-clockwise and holes clockwise. A walk that leaves the strip leaves it along a vertical
edge, through a "portal" between two columns, and comes in through the same portal of the next.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from geoseg.polygons.kernel import find, inlined, kernel, unite
from geoseg.polygons.points import REMOVED, point_at

if TYPE_CHECKING:
    from geoseg.polygons.simplify import Seam

__all__ = ["CLOSED", "Lattice", "Runs", "Strip", "find_runs", "row_of_parts", "trace"]

CLOSED = -1
"""In place of a portal: the piece is a whole ring."""

# Headings count counter-clockwise on a north-up map: a left turn adds one.
SOUTH, EAST, NORTH, WEST = 0, 1, 2, 3


class Runs(NamedTuple):
    """Pixels of one part that lie side by side, row after row; each row begins with a run."""

    rows: NDArray[np.int64]
    """(rows + 1,): where each row begins among the runs."""
    starts: NDArray[np.int32]
    """(runs,): first column."""
    parts: NDArray[np.int32]
    """(runs,): part from 1, or 0 for none."""
    columns: int

    def lengths(self) -> NDArray[np.int32]:
        """(runs,): pixels of each run."""
        lengths = np.diff(self.starts, append=0)
        lengths[self.rows[1:] - 1] += self.columns  # after the last run of a row starts begin anew
        return lengths


class Strip(NamedTuple):
    """The parts of a strip and the pieces of their boundaries."""

    runs: Runs
    """Of 1 + rows: the first row is the row above the strip. Above the first strip, and below the
    last, lies a row without parts."""
    values: NDArray[np.int64]
    """(parts + 1,): pixel value of each part; the first is none's."""
    touching: NDArray[np.int32]
    """(pairs, 2): parts of one value that touch at a corner."""
    points: NDArray[np.int64]
    """(points,): the vertices of all pieces; see `geoseg.polygons.points`."""
    offsets: NDArray[np.int64]
    """(pieces + 1,): where each piece begins in `points`."""
    parts: NDArray[np.int32]
    """(pieces,): the part on the left hand."""
    heads: NDArray[np.int64]
    """(pieces,): the portal where a piece begins: its lattice column at the upper border, its
    lattice column plus the number of lattice columns at the lower, or `CLOSED`."""
    tails: NDArray[np.int64]
    """(pieces,): the portal where it ends."""
    seam: Seam | None
    """What the next strip must know to simplify boundaries."""


class Lattice(NamedTuple):
    """Vertices in row-major order, between the portals of the upper and of the lower border."""

    rows: NDArray[np.int32]  # lattice row, counted from the upper border of the strip
    columns: NDArray[np.int32]  # of portals: as in Strip.heads
    edges: NDArray[np.uint8]  # one bit for each heading; none for portals
    pending: NDArray[np.uint8]  # the edges still to be walked, with a part on the left hand
    north: NDArray[np.int32]  # the vertex or portal at the other end of the edge
    south: NDArray[np.int32]


def trace(
    values: NDArray[Any],
    nodata: int | None,
    row: int,
    height: int,
    tolerance: float = 0.0,
    seam: Seam | None = None,
) -> Strip:
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
    tolerance : float
        How far simplified boundaries may move, in pixels; see `geoseg.polygons.simplify`.
    seam : Seam, optional
        That of the strip above, if there is one and boundaries are simplified.

    Returns
    -------
    Strip
    """
    above = int(row == 0)
    below = int(row - 1 + above + values.shape[0] == height)
    runs, kinds, lattice, touching, steps, points = _prepared(
        _compiled_for(values), above, below, nodata or 0, nodata is not None, row
    )
    if tolerance:
        # What is not simplified does not wait for the machine code of it.
        from geoseg.polygons.simplify import no_seam, simplify

        seam = simplify(
            lattice,
            points,
            row,
            runs.rows.size - 2,
            float(tolerance),
            seam or no_seam(runs.columns + 1),
        )
    return Strip(runs, kinds, touching, *_walk(runs, lattice, points, steps), seam)


def find_runs(
    values: NDArray[Any], nodata: int | None, above: int = 0, below: int = 0
) -> tuple[Runs, NDArray[np.int64]]:
    """Find the 4-connected parts of some rows, numbered by their first pixels, and their values.

    Parameters
    ----------
    values : ndarray of integers, shape (rows, columns)
    nodata : int or None
        The value of pixels that belong to no part.
    above, below : int
        How many rows without parts to add.

    Returns
    -------
    Runs
    ndarray of int64, shape (parts + 1,)
        The pixel value of each part; the first is none's.
    """
    return _runs(_compiled_for(values), above, below, nodata or 0, nodata is not None)


def _compiled_for(values: NDArray[Any]) -> NDArray[Any]:
    """The same values; two compiled versions are for what classifiers write, one for the rest."""
    return values if values.dtype in (np.uint8, np.uint16) else values.astype(np.int64)


# Kernels that follow each other are one: between two, a thread waits for those that run Python.
@kernel
def _prepared(
    values: NDArray[Any], above: int, below: int, nodata: int, masked: bool, row: int
) -> tuple[Runs, NDArray[np.int64], Lattice, NDArray[np.int32], int, NDArray[np.int64]]:
    runs, kinds = _runs(values, above, below, nodata, masked)
    lattice, touching, steps = _lattice(runs, kinds)
    return runs, kinds, lattice, touching, steps, _points(lattice, row)


@kernel
def _runs(
    values: NDArray[Any], above: int, below: int, nodata: int, masked: bool
) -> tuple[Runs, NDArray[np.int64]]:
    rows, starts = _starts(values, above, below)
    kinds, parts = _label(values, rows, starts, above, nodata, masked)
    return Runs(rows, starts, parts, values.shape[1]), kinds


@kernel
def _starts(
    values: NDArray[Any], above: int, below: int
) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    """Where runs of equal pixels begin."""
    lines, columns = values.shape
    rows = np.empty(above + lines + below + 1, np.int64)
    starts = np.empty(above + below + lines * 2 + columns, np.int32)
    count = 0
    for _ in range(above):
        rows[0], starts[0], count = 0, 0, 1
    for r in range(lines):
        if count + columns + below > starts.size:
            larger = np.empty(2 * starts.size + columns, np.int32)
            larger[:count] = starts[:count]
            starts = larger
        rows[above + r], starts[count] = count, 0
        count += 1
        line = values[r]
        for c in range(1, columns):
            starts[count] = c  # overwritten unless it counts: quicker than to branch
            count += line[c] != line[c - 1]
    for _ in range(below):
        rows[above + lines], starts[count] = count, 0
        count += 1
    rows[above + lines + below] = count
    return rows, starts[:count].copy()


@kernel
def _label(
    values: NDArray[Any],
    rows: NDArray[np.int64],
    starts: NDArray[np.int32],
    above: int,
    nodata: int,
    masked: bool,
) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    """Number the parts; gives the value of each, and the part of each run."""
    lines, columns = values.shape
    parent = np.arange(starts.size).astype(np.int32)
    for r in range(1, lines):
        line, north = values[r], values[r - 1]
        known, past = rows[above + r - 1], rows[above + r]
        for run in range(past, rows[above + r + 1]):
            value = line[starts[run]]
            end = starts[run + 1] if run + 1 < rows[above + r + 1] else columns
            while starts[known] < end:
                if north[starts[known]] == value:
                    unite(parent, known, run)
                if (starts[known + 1] if known + 1 < past else columns) > end:
                    break  # it lies above the next run as well
                known += 1
                if known == past:
                    break
    kinds = np.empty(starts.size + 1, np.int64)
    parts = np.zeros(starts.size, np.int32)
    kinds[0] = count = 0
    for r in range(lines):
        for run in range(rows[above + r], rows[above + r + 1]):
            value = values[r, starts[run]]
            if masked and value == nodata:
                continue
            first = find(parent, run)
            if first == run:
                count += 1
                kinds[count], parts[run] = value, count
            else:
                parts[run] = parts[first]
    return kinds[: count + 1].copy(), parts


@kernel
def _lattice(runs: Runs, kinds: NDArray[np.int64]) -> tuple[Lattice, NDArray[np.int32], int]:
    """Find the vertices, link them along columns, and count the steps of all walks."""
    lines, columns = runs.rows.size - 2, runs.columns + 1
    room = 2 * runs.starts.size + lines + 2
    where, across = np.empty(room, np.int32), np.empty(room, np.int32)
    edges, pending = np.empty(room, np.uint8), np.empty(room, np.uint8)
    north, south = np.empty(room, np.int32), np.empty(room, np.int32)
    last = np.empty(columns, np.int32)
    touching = np.empty((room, 2), np.int32)
    count = steps = pairs = 0
    west = 0
    for run in range(runs.rows[0], runs.rows[1] + 1):
        east = runs.parts[run] if run < runs.rows[1] else 0
        c = runs.starts[run] if run < runs.rows[1] else runs.columns
        if west != east:
            where[count], across[count], edges[count] = -1, c, 0
            pending[count] = (east != 0) << SOUTH
            last[c] = count
            count += 1
        west = east
    for r in range(lines):
        upper, lower = runs.rows[r], runs.rows[r + 1]
        upper_end, lower_end = runs.rows[r + 1], runs.rows[r + 2]
        ne = se = c = 0
        while c < runs.columns:
            upper_start = runs.starts[upper] if upper < upper_end else runs.columns
            lower_start = runs.starts[lower] if lower < lower_end else runs.columns
            c = min(upper_start, lower_start)
            nw, sw = ne, se
            if upper_start == c:
                ne = runs.parts[upper] if upper < upper_end else 0
                upper += 1
            if lower_start == c:
                se = runs.parts[lower] if lower < lower_end else 0
                lower += 1
            to_south, to_east, to_north, to_west = sw != se, ne != se, nw != ne, nw != sw
            degree = to_south + to_east + to_north + to_west
            if degree == 0 or (degree == 2 and to_south == to_north):
                continue  # within one part, or straight on
            where[count], across[count] = r, c
            edges[count] = to_south | to_east << 1 | to_north << 2 | to_west << 3
            # On the left hand of an edge that leaves southwards lies the south-east pixel, etc.
            left = (se != 0) | (ne != 0) << 1 | (nw != 0) << 2 | (sw != 0) << 3
            pending[count] = edges[count] & left
            steps += ones(pending[count])
            if degree == 4:
                for one, other in ((nw, se), (ne, sw)):
                    if one and other and one != other and kinds[one] == kinds[other]:
                        touching[pairs] = one, other
                        pairs += 1
            if to_north:
                north[count] = last[c]
                south[last[c]] = count
            last[c] = count
            count += 1
    west = 0
    for run in range(runs.rows[lines], runs.rows[lines + 1] + 1):
        east = runs.parts[run] if run < runs.rows[lines + 1] else 0
        c = runs.starts[run] if run < runs.rows[lines + 1] else runs.columns
        if west != east:
            where[count], across[count], edges[count], pending[count] = lines, columns + c, 0, 0
            north[count] = last[c]
            south[last[c]] = count
            count += 1
        west = east
    lattice = Lattice(
        where[:count], across[:count], edges[:count], pending[:count], north[:count], south[:count]
    )
    return lattice, touching[:pairs].copy(), steps


@inlined
def ones(bits: int) -> int:
    """How many of the four low bits are set."""
    return (bits & 1) + (bits >> 1 & 1) + (bits >> 2 & 1) + (bits >> 3 & 1)


@kernel
def _points(lattice: Lattice, row: int) -> NDArray[np.int64]:
    """The vertices as points of the whole map; portals have none."""
    points = np.empty(lattice.rows.size, np.int64)
    for node in range(points.size):
        degree = max(ones(lattice.edges[node]), 2)
        points[node] = point_at(
            np.int64(row) + lattice.rows[node], np.int64(lattice.columns[node]), degree
        )
    return points


@kernel
def _walk(
    runs: Runs, lattice: Lattice, points: NDArray[np.int64], steps: int
) -> tuple[
    NDArray[np.int64], NDArray[np.int64], NDArray[np.int32], NDArray[np.int64], NDArray[np.int64]
]:
    """Walk all boundaries: first the pieces that begin at portals, then the closed rings."""
    lines, columns = runs.rows.size - 2, runs.columns + 1
    nodes = lattice.rows.size
    out = np.empty(steps, np.int64)
    # Before it is simplified a ring has four vertices at least; a portal begins one piece.
    room = steps // 4 + 2 * columns + 1
    offsets = np.zeros(room + 1, np.int64)
    parts = np.empty(room, np.int32)
    heads, tails = np.empty(room, np.int64), np.empty(room, np.int64)
    count = size = 0
    for node in range(nodes):
        if lattice.edges[node]:
            continue
        portal = np.int64(lattice.columns[node])
        upper = portal < columns
        part = _part_at(runs, 0, portal) if upper else _part_at(runs, lines, portal - columns - 1)
        if part == 0:
            continue
        end, size = _follow(lattice, points, node, SOUTH if upper else NORTH, out, size)
        parts[count], heads[count], tails[count] = part, portal, lattice.columns[end]
        count += 1
        offsets[count] = size
    for node in range(nodes):
        for heading in range(4):
            if lattice.pending[node] >> heading & 1:
                south, east = heading in (SOUTH, WEST), heading in (SOUTH, EAST)
                row, column = lattice.rows[node] + south, lattice.columns[node] + east - 1
                parts[count] = _part_at(runs, row, column)
                heads[count] = tails[count] = CLOSED
                _, size = _follow(lattice, points, node, heading, out, size)
                count += 1
                offsets[count] = size
    return out[:size], offsets[: count + 1], parts[:count], heads[:count], tails[:count]


@kernel
def _follow(
    lattice: Lattice,
    points: NDArray[np.int64],
    node: int,
    heading: int,
    out: NDArray[np.int64],
    size: int,
) -> tuple[int, int]:
    """Walk from a vertex until back there, or from a portal to a portal."""
    first, departure = node, heading
    while True:
        lattice.pending[node] &= ~(1 << heading)
        if heading == SOUTH:
            node = lattice.south[node]
        elif heading == NORTH:
            node = lattice.north[node]
        else:
            node += 1 if heading == EAST else -1  # the next vertex of the line
        edges = lattice.edges[node]
        if edges == 0:
            return node, size
        if points[node] != REMOVED:
            out[size] = points[node]
            size += 1
        # Keep to the left: first to the left if there is an edge, else straight on, else right.
        if edges >> (heading + 1 & 3) & 1:
            heading = heading + 1 & 3
        elif not edges >> heading & 1:
            heading = heading + 3 & 3
        if node == first and heading == departure:
            return node, size


@kernel
def _part_at(runs: Runs, row: Any, column: Any) -> Any:
    """The part of a pixel, none outside the map."""
    if not 0 <= column < runs.columns:
        return 0
    low, high = runs.rows[row], runs.rows[row + 1]
    while high - low > 1:
        middle = (low + high) // 2
        if runs.starts[middle] <= column:
            low = middle
        else:
            high = middle
    return runs.parts[low]


@kernel
def row_of_parts(runs: Runs, row: int) -> NDArray[np.int64]:
    """The parts of one row of pixels, with one outside the map at either end: (columns + 2,)."""
    parts = np.zeros(runs.columns + 2, np.int64)
    for run in range(runs.rows[row], runs.rows[row + 1]):
        end = runs.starts[run + 1] if run + 1 < runs.rows[row + 1] else runs.columns
        parts[runs.starts[run] + 1 : end + 1] = runs.parts[run]
    return parts
