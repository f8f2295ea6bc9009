"""Class maps become polygons while they are read: from strips of rows to batches of regions."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from geoseg.polygons.join import OpenRegions
from geoseg.polygons.kernel import kernel
from geoseg.polygons.making import Making
from geoseg.polygons.rings import Polygons, polygons_of
from geoseg.polygons.source import ClassMap, Rows
from geoseg.polygons.trace import Runs, Strip, trace

__all__ = ["MEASURES", "Ahead", "stream"]

STRIP_PIXELS = 1 << 22
"""Pixels of a strip: enough to keep all threads at work, few enough to begin soon."""

STRIP_ROWS = 64
"""Rows of a strip at least, however wide the map."""

MEASURES = 2
"""What is added up over the pixels of a region where there is confidence: it, and their number."""

STEP = 2.0**-20
"""Confidence is added up in whole steps of this size: such sums are exact, and so the same for any
order of the pixels."""

T = TypeVar("T")


def stream(
    source: ClassMap, making: Making, confidence: Rows | None = None
) -> Generator[tuple[int, Polygons], None, None]:
    """Polygons as soon as they are complete.

    Parameters
    ----------
    source : ClassMap
    making : Making
    confidence : callable, optional
        Confidence by rows; its sum and the number of pixels that have it are then the `sums` of the
        polygons.

    Yields
    ------
    rows : int
        Rows of the map that are done.
    Polygons
    """
    regions = OpenRegions(source.grid.shape[1], making.connectivity, MEASURES if confidence else 0)
    with closing(Ahead(_strips(source, confidence, making.simplify))) as strips:
        for done, strip, sums in strips:
            yield done, polygons_of(regions.add(strip, sums))


class Ahead(Generic[T]):
    """The same items, each made in another thread before it is asked for; begins at once.

    Parameters
    ----------
    items : iterator
        Used in the other thread alone.
    """

    def __init__(self, items: Iterator[T]) -> None:
        self._items = items
        self._worker = ThreadPoolExecutor(1, "geoseg-ahead")
        self._coming = self._worker.submit(next, items, None)

    def __iter__(self) -> Iterator[T]:
        while (item := self._coming.result()) is not None:
            self._coming = self._worker.submit(next, self._items, None)
            yield item

    def close(self) -> None:
        """Stop after the item that is being made."""
        self._worker.shutdown(cancel_futures=True)


def _strips(
    source: ClassMap, confidence: Rows | None, tolerance: float
) -> Iterator[tuple[int, Strip, NDArray[np.float64]]]:
    """Traced strips, with the row that each ends before and what it adds to the sums."""
    height, width = source.grid.shape
    row, above, seam = 0, None, None
    for own in _cut(source.rows(), strip_rows(width)):
        # A copy always: kernels are compiled for arrays that are contiguous and writable.
        known = np.concatenate([own] if above is None else [above, own])
        strip = trace(known, source.nodata, row, height, tolerance, seam)
        belief = confidence(slice(row, row + len(own))) if confidence else None
        row, above, seam = row + len(own), own[-1:], strip.seam
        yield row, strip, _sums(strip, belief)


def strip_rows(width: int) -> int:
    """Rows of a strip.

    They depend on the width of the map alone: simplified boundaries keep a vertex where they go
    from one strip to the next.
    """
    rows = max(STRIP_PIXELS // max(width, 1), STRIP_ROWS)
    return 1 << rows.bit_length()  # tiles of files are powers of two as well


def _cut(blocks: Iterable[NDArray[Any]], rows: int) -> Iterator[NDArray[Any]]:
    """The same pixels, so many rows at a time."""
    held: list[NDArray[Any]] = []
    for block in blocks:
        held.append(block)
        while sum(map(len, held)) >= rows:
            whole = np.concatenate(held) if len(held) > 1 else held[0]
            yield whole[:rows]
            held = [whole[rows:]]
    if sum(map(len, held)):
        yield np.concatenate(held)


def _sums(strip: Strip, belief: NDArray[np.float64] | None) -> NDArray[np.float64]:
    """For each part the sum of confidence in steps, and the number of pixels that have it."""
    if belief is None:
        return np.empty((strip.values.size, 0))
    return _sums_of_runs(strip.runs, strip.values.size, belief, STEP)


@kernel
def _sums_of_runs(
    runs: Runs, parts: int, belief: NDArray[np.float64], step: float
) -> NDArray[np.float64]:
    sums = np.zeros((parts, 2))
    for r in range(belief.shape[0]):
        last = runs.rows[r + 2]
        for run in range(runs.rows[r + 1], last):  # without the row above the strip
            end = runs.starts[run + 1] if run + 1 < last else runs.columns
            total = sums[runs.parts[run]]
            for c in range(runs.starts[run], end):
                if not np.isnan(belief[r, c]):
                    total[0] += np.rint(belief[r, c] / step)
                    total[1] += 1
    return sums
