"""Small regions of a class map go to their neighbours, on the map itself, from top to bottom.

The rule: the smallest region below the limit takes the class of the neighbours with which it shares
the longest border (all regions of one class counted together; of equal classes the lower), and is
one with all of them from then on; this is repeated until no region is below the limit. Among
regions of one size a number drawn from the place of their first pixel decides (see `drawn`). One
that has no neighbour when its turn comes stays as it is, and apart.

The rule speaks of the smallest region of the whole map, but need not wait for it: what a region
becomes depends on its own neighbours alone, and these are only ever changed by smaller ones next to
them. A region may therefore have its turn as soon as it is complete and smaller than all its
neighbours: turns of regions that do not touch can be exchanged. So rows of the map are handed out
while later ones are still to come, and the result does not depend on how the map is cut.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from geoseg.polygons.kernel import kernel, representatives, unite_pairs
from geoseg.polygons.trace import Runs, find_runs

__all__ = ["Sieve", "Weights", "drawn"]


class Weights(NamedTuple):
    """How much pixels count, in whole numbers, whose sums are exact in any order."""

    areas: NDArray[np.int64]
    """(rows,): a pixel of each row."""
    widths: NDArray[np.int64]
    """(rows,): the edge between a pixel of each row and the one above it."""
    heights: NDArray[np.int64]
    """(rows,): the edge between two pixels of each row."""
    limit: float
    """Regions whose area is less are small."""


class _Regions(NamedTuple):
    """Regions by number, as far as they still matter; 0 is no data."""

    values: NDArray[np.int64]
    areas: NDArray[np.int64]
    first: NDArray[np.int64]  # the place of the first pixel: row * columns + column
    open: NDArray[np.bool_]  # whether it reaches the last row there is
    alone: NDArray[np.bool_]  # whether it has no neighbour that could take it in

    def where(self, which: NDArray[np.bool_]) -> _Regions:
        """Some of them."""
        return _Regions(
            self.values[which],
            self.areas[which],
            self.first[which],
            self.open[which],
            self.alone[which],
        )


class _Borders(NamedTuple):
    """Pairs of regions that touch, each pair both ways round, and the length of their border."""

    ones: NDArray[np.int64]
    others: NDArray[np.int64]
    lengths: NDArray[np.int64]

    def where(self, which: NDArray[np.bool_]) -> _Borders:
        """Some of them."""
        return _Borders(*(each[which] for each in self))


class _Rows(NamedTuple):
    """Rows that wait to be handed out."""

    runs: Runs  # the row above them among these
    values: NDArray[Any]  # of each run, as given
    regions: NDArray[np.int64]  # of each run


class Sieve:
    """Removes small regions from a map that is given row by row.

    Parameters
    ----------
    shape : tuple of int
        Rows and columns of the map.
    nodata : int or None
        The value of pixels that belong to no region and take none in.
    connectivity : {4, 8}
        Whether pixels of one class that touch at a corner are one region (8).
    weights : Weights
    """

    def __init__(
        self, shape: tuple[int, int], nodata: int | None, connectivity: int, weights: Weights
    ) -> None:
        self._shape, self._nodata, self._weights = shape, nodata, weights
        self._corners = connectivity == 8
        self._bottom = 0
        self._above: NDArray[Any] | None = None
        zero, none, no = np.zeros(1, np.int64), np.empty(0, np.int64), np.zeros(1, np.bool_)
        self._regions = _Regions(zero, zero, zero, no, no)
        self._borders = _Borders(none, none, none)
        self._waiting: deque[_Rows] = deque()

    def add(self, pixels: NDArray[Any]) -> Iterator[NDArray[Any]]:
        """Take the next rows, (rows, columns), and give those that are decided by now."""
        self._take_in(pixels)
        at_end = self._bottom == self._shape[0]
        if not at_end:
            last = self._waiting[-1]
            self._regions.open[last.regions[last.runs.rows[-2] :]] = True
            self._regions.open[0] = False
        self._unite_equals()
        while self._take_turns():
            self._unite_equals()
        decided = ~self._small() | self._regions.alone
        # The last rows are what the next join; so they wait for these.
        while len(self._waiting) > (not at_end) and decided[self._waiting[0].regions].all():
            yield self._as_pixels(self._waiting.popleft(), pixels.dtype)
        self._forget(decided)

    def _small(self) -> NDArray[np.bool_]:
        small = self._regions.areas < self._weights.limit
        small[0] = False
        return small

    def _take_in(self, pixels: NDArray[Any]) -> None:
        """Find the regions of some rows, and which of those known they belong to."""
        above = int(self._above is None)
        seen = pixels if self._above is None else np.concatenate([self._above, pixels])
        runs, kinds = find_runs(np.ascontiguousarray(seen), self._nodata, above)
        own = slice(self._bottom, self._bottom + len(pixels))
        self._above, self._bottom = pixels[-1:], own.stop
        areas, places, ones, others, lengths = _survey(
            runs,
            kinds.size,
            self._weights.areas[own],
            self._weights.widths[own],
            self._weights.heights[own],
            self._corners,
        )
        known = self._regions.values.size - 1
        new = np.zeros(kinds.size - 1, np.bool_)
        self._regions = _Regions(
            np.concatenate([self._regions.values, kinds[1:]]),
            np.concatenate([self._regions.areas, areas[1:]]),
            np.concatenate([self._regions.first, own.start * self._shape[1] + places[1:]]),
            np.concatenate([np.zeros(known + 1, np.bool_), new]),
            np.concatenate([self._regions.alone, new]),
        )
        self._borders = _Borders(
            np.concatenate([self._borders.ones, ones + known, others + known]),
            np.concatenate([self._borders.others, others + known, ones + known]),
            np.concatenate([self._borders.lengths, lengths, lengths]),
        )
        rows = np.repeat(np.arange(runs.rows.size - 1), np.diff(runs.rows)) - above
        regions = np.where(runs.parts == 0, 0, runs.parts + np.int64(known))
        self._waiting.append(_Rows(runs, seen[np.maximum(rows, 0), runs.starts], regions))
        if not above:
            last = self._waiting[-2]
            parent = np.arange(known + kinds.size)
            unite_pairs(parent, last.regions[last.runs.rows[-2] :], regions[: runs.rows[1]])
            self._contract(parent)

    def _unite_equals(self) -> None:
        """Let regions of one value that touch be one."""
        values, borders, alone = self._regions.values, self._borders, self._regions.alone
        equal = values[borders.ones] == values[borders.others]
        equal &= ~(alone[borders.ones] | alone[borders.others])
        parent = np.arange(values.size)
        unite_pairs(parent, borders.ones[equal], borders.others[equal])
        self._contract(parent)

    def _contract(self, parent: NDArray[np.int64]) -> None:
        """Let the regions of each set be one, under the lowest of their numbers."""
        to, old = representatives(parent), self._regions
        areas, first = np.zeros_like(old.areas), old.first.copy()
        np.add.at(areas, to, old.areas)
        np.minimum.at(first, to, old.first)
        is_open = np.zeros_like(old.open)
        is_open[to[old.open]] = True
        self._regions = _Regions(old.values, areas, first, is_open, old.alone)
        self._waiting = deque(each._replace(regions=to[each.regions]) for each in self._waiting)
        self._tidy(to[self._borders.ones], to[self._borders.others])

    def _tidy(self, ones: NDArray[np.int64], others: NDArray[np.int64]) -> None:
        """Add up the borders of each pair, and drop those that decide nothing."""
        small = self._small()
        matters = (ones != others) & (small[ones] | small[others])
        pairs, which = np.unique(ones[matters] << 32 | others[matters], return_inverse=True)
        lengths = np.zeros(pairs.size, np.int64)
        np.add.at(lengths, which, self._borders.lengths[matters])
        self._borders = _Borders(pairs >> 32, pairs & 0xFFFFFFFF, lengths)

    def _take_turns(self) -> bool:
        """Give their turn to all regions that may have it; whether there were any."""
        regions, borders, small = self._regions, self._borders, self._small()
        ones, others = borders.ones, borders.others
        size, of_other = regions.areas[ones], regions.areas[others]
        lots = drawn(regions.first)
        before = (of_other < size) | (of_other == size) & (lots[others] < lots[ones])
        waits = ~small | regions.open | regions.alone
        waits[ones[before & small[others] & ~regions.alone[others]]] = True
        ready = np.flatnonzero(~waits)
        regions.alone[ready] = True  # unless there is a border
        if not ready.size:
            return False
        chosen, values = _longest(borders.where(~waits[ones]), regions.values)
        regions.alone[chosen] = False
        regions.values[chosen] = values
        return True

    def _as_pixels(self, rows: _Rows, dtype: np.dtype[Any]) -> NDArray[Any]:
        runs, start = rows.runs, rows.runs.rows[1]  # the row above was handed out before
        values = np.where(
            rows.regions == 0, rows.values, self._regions.values[rows.regions].astype(dtype)
        )
        return np.repeat(values[start:], runs.lengths()[start:]).reshape(-1, runs.columns)

    def _forget(self, decided: NDArray[np.bool_]) -> None:
        """Number anew the regions that still matter."""
        undecided = ~(decided[self._borders.ones] & decided[self._borders.others])
        borders = self._borders.where(undecided)
        used = np.zeros(decided.size, np.bool_)
        used[0] = used[borders.ones] = used[borders.others] = True
        for rows in self._waiting:
            used[rows.regions] = True
        numbers = np.cumsum(used) - 1
        self._regions = self._regions.where(used)
        self._borders = borders._replace(ones=numbers[borders.ones], others=numbers[borders.others])
        self._waiting = deque(
            each._replace(regions=numbers[each.regions]) for each in self._waiting
        )


def drawn(places: NDArray[np.int64]) -> NDArray[np.uint64]:
    """A number for each place, different for different ones and in no order.

    Were it the place itself, every speck of a speckled map would wait for the one before it. The
    function is the last step of SplitMix64: G. L. Steele, D. Lea and C. H. Flood, Fast splittable
    pseudorandom number generators, OOPSLA (2014), figure 17, whose every part can be undone.
    """
    z = places.astype(np.uint64)
    z = (z ^ z >> np.uint64(30)) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ z >> np.uint64(27)) * np.uint64(0x94D049BB133111EB)
    lots: NDArray[np.uint64] = z ^ z >> np.uint64(31)
    return lots


def _longest(
    borders: _Borders, values: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """For each region with a border the value it shares the longest with, the lowest of equals."""
    of_other = values[borders.others]
    order = np.lexsort((of_other, borders.ones))
    ones, of_other = borders.ones[order], of_other[order]
    begins = np.flatnonzero(np.diff(ones, prepend=-1) | np.diff(of_other, prepend=0))
    if not begins.size:
        return begins, begins
    sums = np.add.reduceat(borders.lengths[order], begins)
    ones, of_other = ones[begins], of_other[begins]
    order = np.lexsort((of_other, -sums, ones))
    best = order[np.flatnonzero(np.diff(ones[order], prepend=-1))]
    best = best[sums[best] > 0]  # corners alone are no border
    return ones[best], of_other[best]


@kernel
def _survey(
    runs: Runs,
    parts: int,
    areas: NDArray[np.int64],
    widths: NDArray[np.int64],
    heights: NDArray[np.int64],
    corners: bool,
) -> tuple[
    NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]
]:
    """Area and first pixel of each part below the first row, and borders: pairs and lengths."""
    sizes, first = np.zeros(parts, np.int64), np.full(parts, np.int64(1) << 62)
    room = 8 * runs.starts.size
    ones, others = np.empty(room, np.int64), np.empty(room, np.int64)
    lengths = np.empty(room, np.int64)
    count = 0
    for r in range(1, runs.rows.size - 1):
        upper, lower = runs.rows[r - 1], runs.rows[r]
        upper_end, lower_end = runs.rows[r], runs.rows[r + 1]
        nw = sw = ne = se = column = 0
        while column < runs.columns:
            if upper < upper_end and runs.starts[upper] == column:
                ne = runs.parts[upper]
                upper += 1
            if lower < lower_end and runs.starts[lower] == column:
                se = runs.parts[lower]
                lower += 1
                place = (r - 1) * runs.columns + column
                if se:
                    first[se] = min(first[se], place)
            following = runs.columns
            if upper < upper_end:
                following = min(following, runs.starts[upper])
            if lower < lower_end:
                following = min(following, runs.starts[lower])
            span = following - column
            sizes[se] += span * areas[r - 1]
            for one, other, length in (
                (ne, se, span * widths[r - 1]),
                (sw, se, heights[r - 1]),
                (nw, se, np.int64(0)),
                (ne, sw, np.int64(0)),
            ):
                if one and other and one != other and (length or corners):
                    ones[count], others[count], lengths[count] = one, other, length
                    count += 1
            nw, sw = ne, se
            column = following
    return sizes, first, ones[:count], others[:count], lengths[:count]
