"""Pieces of boundaries, held until their region is complete, and then handed out as rings."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from geoseg.polygons.kernel import kernel, ranges
from geoseg.polygons.trace import Strip

__all__ = ["NONE", "Lists", "PieceStore", "Rings", "no_lists"]

NONE = -1
"""No piece. As an index it means the last entry, which `PieceStore.compact` relies on."""

_GONE = -1
"""Length of a piece that was handed out."""


class Rings(NamedTuple):
    """Boundaries of complete regions, as vertices that know the next one; in no order."""

    points: NDArray[np.int64]
    """(points,): vertices, part by part, region by region; see `geoseg.polygons.points`."""
    successors: NDArray[np.int64]
    """(points,): the place of the next vertex of the ring."""
    parts: NDArray[np.int64]
    """(parts + 1,): where each part begins among the points."""
    regions: NDArray[np.int64]
    """(regions + 1,): where each region begins among the parts."""


class Lists(NamedTuple):
    """Linked lists of pieces: the first and the last piece of each, or `NONE`."""

    first: NDArray[np.int64]
    last: NDArray[np.int64]

    def take(self, which: NDArray[np.int64]) -> Lists:
        """Some of the lists."""
        return Lists(self.first[which], self.last[which])


def no_lists(count: int) -> Lists:
    """Empty lists."""
    return Lists(np.full(count, NONE), np.full(count, NONE))


class _Pieces(NamedTuple):
    starts: NDArray[np.int64]  # among the points
    lengths: NDArray[np.int64]  # 0 for a piece that goes straight through its strip
    successors: NDArray[np.int64]  # the next piece of the ring; NONE while it is not known
    siblings: NDArray[np.int64]  # the next piece in the list of a part or a region, or NONE
    leads: NDArray[np.int64]  # 1 for the first piece of a part in the list of a region


class PieceStore:
    """Pieces by number. Numbers change when `compact` says so."""

    def __init__(self) -> None:
        self._points = np.empty(0, np.int64)
        self._pieces = _Pieces(*(np.empty(0, np.int64) for _ in _Pieces._fields))
        self._used = 0  # points, of those that there is room for
        self._count = 0  # pieces
        self._gone = 0  # points that were handed out

    def append(self, strip: Strip) -> NDArray[np.int64]:
        """Take in the pieces of a strip, and give their numbers."""
        count, size = strip.parts.size, strip.points.size
        numbers = np.arange(self._count, self._count + count)
        self._points = _with_room(self._points, self._used + size)
        self._pieces = _Pieces(*(_with_room(each, self._count + count) for each in self._pieces))
        new = slice(self._count, self._count + count)
        self._points[self._used : self._used + size] = strip.points
        self._pieces.starts[new] = self._used + strip.offsets[:-1]
        self._pieces.lengths[new] = np.diff(strip.offsets)
        self._pieces.successors[new] = NONE
        self._pieces.siblings[new] = NONE
        self._pieces.leads[new] = 0
        self._used, self._count = self._used + size, self._count + count
        return numbers

    def follow(self, pieces: NDArray[np.int64], successors: NDArray[np.int64]) -> None:
        """Say which piece comes next in the ring."""
        self._pieces.successors[pieces] = successors

    def lead(self, pieces: NDArray[np.int64]) -> None:
        """Say that a part begins with each of the pieces."""
        self._pieces.leads[pieces] = 1

    def chain(self, lists: Lists, which: NDArray[np.int64], more: Lists) -> None:
        """Append `more`, one after the other, to the lists numbered `which`."""
        _chain(self._pieces, lists, which, more)

    def hand_out(self, first: NDArray[np.int64]) -> Rings:
        """The pieces of complete regions, from the first of each; they are held no longer."""
        rings = _hand_out(self._points, self._pieces, first)
        self._gone += rings.points.size
        return rings

    def compact(self) -> NDArray[np.int64] | None:
        """Move pieces together once more than half of the room is taken by those handed out.

        Returns
        -------
        ndarray of int64, or None
            The new number of each piece, and `NONE` as its last entry; None when nothing moved.
        """
        if 2 * self._gone <= self._used:
            return None
        old = _Pieces(*(each[: self._count] for each in self._pieces))
        kept = np.flatnonzero(old.lengths != _GONE)
        numbers = np.full(self._count + 1, NONE)
        numbers[kept] = np.arange(kept.size)
        self._points = self._points[ranges(old.starts[kept], old.lengths[kept])]
        self._pieces = _Pieces(
            starts=np.cumsum(old.lengths[kept]) - old.lengths[kept],
            lengths=old.lengths[kept],
            successors=numbers[old.successors[kept]],
            siblings=numbers[old.siblings[kept]],
            leads=old.leads[kept],
        )
        self._used, self._count, self._gone = self._points.size, kept.size, 0
        return numbers


def _with_room(array: NDArray[np.int64], size: int) -> NDArray[np.int64]:
    """The array, or a copy of at least twice its size, so that growing costs little in all."""
    if size <= array.size:
        return array
    larger = np.empty(max(size, 2 * array.size), array.dtype)
    larger[: array.size] = array
    return larger


@kernel
def _chain(pieces: _Pieces, lists: Lists, which: NDArray[np.int64], more: Lists) -> None:
    for i in range(which.size):
        if more.first[i] == NONE:
            continue
        into = which[i]
        if lists.first[into] == NONE:
            lists.first[into] = more.first[i]
        else:
            pieces.siblings[lists.last[into]] = more.first[i]
        lists.last[into] = more.last[i]


@kernel
def _hand_out(points: NDArray[np.int64], pieces: _Pieces, first: NDArray[np.int64]) -> Rings:
    size = count = 0
    for begin in first:
        piece = begin
        while piece != NONE:
            size += pieces.lengths[piece]
            count += pieces.leads[piece]
            piece = pieces.siblings[piece]
    rings = Rings(
        np.empty(size, np.int64),
        np.empty(size, np.int64),
        np.empty(count + 1, np.int64),
        np.empty(first.size + 1, np.int64),
    )
    size = count = 0
    for region in range(first.size):
        rings.regions[region] = count
        piece = first[region]
        while piece != NONE:
            if pieces.leads[piece]:
                rings.parts[count] = size
                count += 1
            start, length = pieces.starts[piece], pieces.lengths[piece]
            for i in range(length):
                rings.points[size + i] = points[start + i]
                rings.successors[size + i] = size + i + 1
            pieces.starts[piece] = size  # from here on, its place among those handed out
            size += length
            piece = pieces.siblings[piece]
    rings.regions[first.size], rings.parts[count] = count, size
    for begin in first:
        _close(pieces, begin, rings.successors)
    return rings


@kernel
def _close(pieces: _Pieces, begin: int, successors: NDArray[np.int64]) -> None:
    """Let the last vertex of every piece in a list be followed by the first of the next."""
    piece = begin
    while piece != NONE:
        if pieces.lengths[piece]:
            after = pieces.successors[piece]
            while pieces.lengths[after] == 0:
                after = pieces.successors[after]
            successors[pieces.starts[piece] + pieces.lengths[piece] - 1] = pieces.starts[after]
        piece = pieces.siblings[piece]
    piece = begin
    while piece != NONE:
        pieces.lengths[piece] = _GONE
        piece = pieces.siblings[piece]
