"""Class maps become polygons while they are read: from strips of rows to batches of regions."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from geoseg.polygons.join import OpenRegions
from geoseg.polygons.rings import Polygons, polygons_of
from geoseg.polygons.source import ClassMap, Rows
from geoseg.polygons.trace import Strip, trace

__all__ = ["MEASURES", "stream"]

STRIP_PIXELS = 1 << 20
"""Pixels of a strip: labels and vertices of about this many stay in the cache of a processor."""

MEASURES = 2
"""What is added up over the pixels of a region where there is confidence: it, and their number."""

STEP = 2.0**-20
"""Confidence is added up in whole steps of this size: such sums are exact, and so the same for any
order of the pixels."""

T = TypeVar("T")


def stream(
    source: ClassMap, connectivity: int, confidence: Rows | None = None
) -> Generator[tuple[int, Polygons], None, None]:
    """Polygons as soon as they are complete.

    Parameters
    ----------
    source : ClassMap
    connectivity : {4, 8}
    confidence : callable, optional
        Confidence by rows; its sum and the number of pixels that have it are then the `sums` of the
        polygons.

    Yields
    ------
    rows : int
        Rows of the map that are done.
    Polygons
    """
    regions = OpenRegions(source.grid.shape[1], connectivity, MEASURES if confidence else 0)
    with closing(_ahead(_strips(source, confidence))) as strips:
        for done, strip, sums in strips:
            yield done, polygons_of(regions.add(strip, sums))


def _ahead(items: Iterator[T]) -> Generator[T, None, None]:
    """The same items; the next is made in another thread while the caller uses one."""
    with ThreadPoolExecutor(1, "geoseg-trace") as worker:
        coming = worker.submit(next, items, None)
        while (item := coming.result()) is not None:
            coming = worker.submit(next, items, None)
            yield item


def _strips(
    source: ClassMap, confidence: Rows | None
) -> Iterator[tuple[int, Strip, NDArray[np.float64]]]:
    """Traced strips, with the row that each ends before and what it adds to the sums."""
    height = source.grid.shape[0]
    above = None
    for block in source.blocks:
        pixels = source.read(block)
        belief = confidence(block) if confidence else np.empty((len(pixels), 0))
        for part in _cut(pixels.shape):
            row, own = block.start + part.start, pixels[part]
            # A copy always: kernels are compiled for arrays that are contiguous and writable.
            known = np.array(own if above is None else np.concatenate([above, own]), order="C")
            strip = trace(known, source.nodata, row, height)
            above = own[-1:]
            yield row + len(own), strip, _sums(strip, belief[part])


def _cut(shape: tuple[int, ...]) -> list[slice]:
    """The rows of strips of at most `STRIP_PIXELS`, or of one row."""
    step = max(STRIP_PIXELS // max(shape[1], 1), 1)
    return [slice(start, min(start + step, shape[0])) for start in range(0, shape[0], step)]


def _sums(strip: Strip, belief: NDArray[np.float64]) -> NDArray[np.float64]:
    """For each part the sum of confidence in steps, and the number of pixels that have it."""
    parts = strip.values.size
    if belief.shape[1] == 0:
        return np.empty((parts, 0))
    labels = strip.labels[1 : 1 + len(belief), 1:-1].ravel()  # without the row above the strip
    known = ~np.isnan(belief).ravel()
    steps = np.rint(np.where(known, belief.ravel(), 0) / STEP)
    return np.stack([np.bincount(labels, each, parts) for each in (steps, known)], axis=1)
