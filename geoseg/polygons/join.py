"""Strips become regions: parts united and boundaries linked across the borders between strips.

Only regions that reach the last row read are held. A region that does not is complete and handed
out.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from geoseg.polygons.kernel import representatives, unite_pairs
from geoseg.polygons.store import NONE, Lists, PieceStore, Rings, no_lists
from geoseg.polygons.trace import CLOSED, Strip, row_of_parts

__all__ = ["Complete", "OpenRegions"]


class Complete(NamedTuple):
    """Regions that have come to their end.

    A part is 4-connected. A region is one part or, with 8-connectivity, parts that touch.
    """

    rings: Rings
    values: NDArray[np.int64]
    """(regions,): pixel value."""
    sums: NDArray[np.float64]
    """(regions, measures): what was added up over the pixels of each region."""


class _Front(NamedTuple):
    """What reaches the last row read. Parts and regions count from 1; 0 is none."""

    row: NDArray[np.int64]  # (columns + 2,): part of each pixel
    leaving: NDArray[np.int64]  # (columns + 1,): piece that goes on below, by lattice column
    entering: NDArray[np.int64]  # (columns + 1,): piece that comes from below
    values: NDArray[np.int64]  # (parts + 1,)
    regions: NDArray[np.int64]  # (parts + 1,): region of each part
    parts: Lists  # (parts + 1,): pieces of each part
    done: Lists  # (regions + 1,): pieces of the complete parts of each region
    sums: NDArray[np.float64]  # (regions + 1, measures)


class _Items(NamedTuple):
    """The parts of the front and, after them, those of the next strip; item 0 is none."""

    known: int  # parts of the front; part p of the strip is item known + p
    values: NDArray[np.int64]
    parts: NDArray[np.int64]  # the lowest item of the part
    regions: NDArray[np.int64]  # the lowest item of the region
    sums: NDArray[np.float64]  # (items, measures), at the lowest item of the region


class OpenRegions:
    """Regions of a map that is read strip by strip, from the top.

    Parameters
    ----------
    columns : int
        Of the map, in pixels.
    connectivity : {4, 8}
        With 8, parts of one value that touch at a corner are one region.
    measures : int
        How many numbers are added up over the pixels of each region.
    """

    def __init__(self, columns: int, connectivity: int, measures: int) -> None:
        self._connectivity = connectivity
        self._store = PieceStore()
        self._front = _Front(
            row=np.zeros(columns + 2, np.int64),
            leaving=np.full(columns + 1, NONE),
            entering=np.full(columns + 1, NONE),
            values=np.zeros(1, np.int64),
            regions=np.zeros(1, np.int64),
            parts=no_lists(1),
            done=no_lists(1),
            sums=np.zeros((1, measures)),
        )

    def add(self, strip: Strip, sums: NDArray[np.float64]) -> Complete:
        """Join the next strip and hand out the regions that end above its last row.

        Parameters
        ----------
        strip : Strip
        sums : ndarray of float64, shape (parts + 1, measures)
            What is to be added up, over the pixels of each part of the strip.

        Returns
        -------
        Complete
        """
        self._compact()
        items = _unite(self._front, strip, sums, self._connectivity)
        lowest = row_of_parts(strip.runs, strip.runs.rows.size - 2)
        row = items.parts[_items_of(lowest, items.known)]
        reaching = _distinct(row, items.parts.size)
        going_on = _distinct(items.regions[reaching], items.parts.size)
        pieces = self._store.append(strip)
        leaving, entering = self._link(strip, pieces)
        parts = self._lists_of_parts(strip, items, pieces)
        done = self._lists_of_regions(items, parts, reaching)
        self._front = _Front(
            row=_renumber(row, reaching, items.parts.size),
            leaving=leaving,
            entering=entering,
            values=items.values[reaching],
            regions=_renumber(items.regions[reaching], going_on, items.parts.size),
            parts=parts.take(reaching),
            done=done.take(going_on),
            sums=items.sums[going_on],
        )
        ended = _others(items.regions, going_on)
        rings = self._store.hand_out(done.first[ended])
        return Complete(rings, items.values[ended], items.sums[ended])

    def _compact(self) -> None:
        numbers = self._store.compact()
        if numbers is not None:
            self._front = self._front._replace(
                leaving=numbers[self._front.leaving],
                entering=numbers[self._front.entering],
                parts=Lists(*(numbers[each] for each in self._front.parts)),
                done=Lists(*(numbers[each] for each in self._front.done)),
            )

    def _link(
        self, strip: Strip, pieces: NDArray[np.int64]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Link pieces through the portals above; give those that leave and enter below."""
        columns = self._front.leaving.size
        heads, tails = strip.heads, strip.tails
        closed = heads == CLOSED
        self._store.follow(pieces[closed], pieces[closed])
        from_above = ~closed & (heads < columns)
        self._store.follow(self._front.leaving[heads[from_above]], pieces[from_above])
        to_above = ~closed & (tails < columns)
        self._store.follow(pieces[to_above], self._front.entering[tails[to_above]])
        leaving, entering = np.full(columns, NONE), np.full(columns, NONE)
        below = tails >= columns
        leaving[tails[below] - columns] = pieces[below]
        below = heads >= columns
        entering[heads[below] - columns] = pieces[below]
        return leaving, entering

    def _lists_of_parts(self, strip: Strip, items: _Items, pieces: NDArray[np.int64]) -> Lists:
        """The pieces of each part, by item."""
        lists = no_lists(items.parts.size)
        self._store.chain(lists, items.parts[: items.known + 1], self._front.parts)
        self._store.chain(lists, items.parts[items.known + strip.parts], Lists(pieces, pieces))
        return lists

    def _lists_of_regions(self, items: _Items, parts: Lists, reaching: NDArray[np.int64]) -> Lists:
        """The pieces of the complete parts of each region, by item."""
        lists = no_lists(items.parts.size)
        self._store.chain(lists, items.regions[_first_parts(self._front.regions)], self._front.done)
        complete = _others(items.parts, reaching)
        self._store.lead(parts.first[complete])
        self._store.chain(lists, items.regions[complete], parts.take(complete))
        return lists


def _unite(front: _Front, strip: Strip, sums: NDArray[np.float64], connectivity: int) -> _Items:
    """Which parts of the front and of the strip are one, and which regions."""
    known = front.values.size - 1
    parent = np.arange(known + strip.values.size)
    # Both know the row above the strip; where it goes on unchanged there is nothing new to unite.
    row = row_of_parts(strip.runs, 0)
    new = np.flatnonzero(np.diff(front.row, prepend=0) | np.diff(row, prepend=0))
    unite_pairs(parent, front.row[new], _items_of(row[new], known))
    parts = representatives(parent)
    unite_pairs(parent, _first_parts(front.regions)[front.regions], np.arange(known + 1))
    if connectivity == 8:
        unite_pairs(parent, *(strip.touching.T.astype(np.int64) + known))
    regions = representatives(parent)
    total = np.zeros((parent.size, sums.shape[1]))
    np.add.at(total, regions[_first_parts(front.regions)], front.sums)
    np.add.at(total, regions[known + 1 :], sums[1:])
    return _Items(known, np.concatenate([front.values, strip.values[1:]]), parts, regions, total)


def _items_of(labels: NDArray[Any], known: int) -> NDArray[np.int64]:
    return np.where(labels == 0, 0, labels.astype(np.int64) + known)


def _first_parts(regions: NDArray[np.int64]) -> NDArray[np.int64]:
    """The first part of each region, by region; every region of the front has one."""
    return np.unique(regions, return_index=True)[1]


def _distinct(items: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """The items that occur, in order. None (0) is among them: it lies on either side of a map."""
    return np.flatnonzero(np.bincount(items, minlength=count))


def _others(representatives: NDArray[np.int64], items: NDArray[np.int64]) -> NDArray[np.int64]:
    """The items that represent a part or region and are not among those given."""
    represents = representatives == np.arange(representatives.size)
    represents[items] = False
    return np.flatnonzero(represents)


def _renumber(items: NDArray[np.int64], kept: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """For each item its place among those kept, of `count` in all; 0 for the rest."""
    numbers = np.zeros(count, np.int64)
    numbers[kept] = np.arange(kept.size)
    return numbers[items]
