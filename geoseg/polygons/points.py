"""Vertices on the lattice of a map, each as one number.

A point is one int64. From its highest bits to its lowest: lattice row (24 bits), lattice column
(24), a fraction of a pixel (12), whether that goes southwards or eastwards (1), and how many edges
meet there less 2 (2). Lattice points compare in row-major order. Only simplified boundaries have
vertices between them, on the edge between two, which compare like the upper or left one.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from geoseg.polygons.kernel import inlined, kernel

__all__ = ["CROSSING", "MAX_SIDE", "REMOVED", "STEPS", "place", "places", "point_at", "point_near"]

MAX_SIDE = (1 << 24) - 1
"""Rows or columns of the largest map."""

CROSSING = 2
"""The low two bits of a point where four edges meet."""

REMOVED = -1
"""In place of a vertex that simplifying took away."""

STEPS = 1 << 12
"""Places between two lattice points."""

_ROW, _COLUMN, _FRACTION, _SOUTHWARDS = 39, 15, 3, 2


@inlined
def point_at(row: Any, column: Any, edges: Any) -> Any:
    """The lattice point where this many edges meet."""
    return row << _ROW | column << _COLUMN | (edges - 2)


@inlined
def point_near(column: float, row: float) -> int:
    """The point of a boundary nearest to a place on an edge of the lattice."""
    c, r = int(np.floor(column)), int(np.floor(row))
    southwards = int(row > r)
    steps = int(np.rint((row - r if southwards else column - c) * STEPS))
    r, c, steps = (
        r + southwards * (steps // STEPS),
        c + (1 - southwards) * (steps // STEPS),
        steps % STEPS,
    )
    return r << _ROW | c << _COLUMN | steps << _FRACTION | southwards << _SOUTHWARDS


@inlined
def place(point: int) -> tuple[float, float]:
    """Lattice column and row of a point."""
    fraction = (point >> _FRACTION & (STEPS - 1)) / STEPS
    southwards = point >> _SOUTHWARDS & 1
    column = (point >> _COLUMN & MAX_SIDE) + (0.0 if southwards else fraction)
    return column, (point >> _ROW) + (fraction if southwards else 0.0)


@kernel
def places(points: NDArray[np.int64]) -> NDArray[np.float64]:
    """Lattice column and row of points: (points, 2)."""
    out = np.empty((points.size, 2))
    for i in range(points.size):
        out[i] = place(points[i])
    return out
