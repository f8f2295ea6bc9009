"""Overviews of class maps: each pixel the commonest class of the four below it."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

__all__ = ["count_values", "halve", "levels_of"]


def levels_of(shape: tuple[int, int], tile: int) -> list[tuple[int, int]]:
    """Shapes of the overviews of a raster, halved until one fits into a tile."""
    levels: list[tuple[int, int]] = []
    while max(shape) > tile:
        shape = (shape[0] + 1) // 2, (shape[1] + 1) // 2
        levels.append(shape)
    return levels


@numba.njit(cache=True, nogil=True)
def halve(pixels: NDArray[Any], nodata: int) -> NDArray[Any]:
    """The commonest class of each two by two pixels, of equally common ones the first.

    Parameters
    ----------
    pixels : ndarray, shape (rows, columns)
    nodata : int
        Pixels that have no say; where there are no others, there is none above.

    Returns
    -------
    ndarray of the same dtype, shape (rows / 2, columns / 2), rounded up
    """
    rows, columns = pixels.shape
    found = np.empty(((rows + 1) // 2, (columns + 1) // 2), pixels.dtype)
    four = np.empty(4, pixels.dtype)
    for r in range(found.shape[0]):
        for c in range(found.shape[1]):
            top, left = 2 * r, 2 * c
            if top + 1 < rows and left + 1 < columns:  # inside of a region, as most are
                one = pixels[top, left]
                upper = one == pixels[top, left + 1]
                if upper and one == pixels[top + 1, left] and one == pixels[top + 1, left + 1]:
                    found[r, c] = one
                    continue
            size = 0
            for dr in range(2):
                for dc in range(2):
                    row, column = top + dr, left + dc
                    if row < rows and column < columns and pixels[row, column] != nodata:
                        four[size] = pixels[row, column]
                        size += 1
            best, most = nodata, 0
            for i in range(size):
                same = 1
                for j in range(i + 1, size):
                    same += four[i] == four[j]
                if same > most:
                    best, most = four[i], same
            found[r, c] = best
    return found


@numba.njit(cache=True, nogil=True)
def count_values(pixels: NDArray[Any], counts: NDArray[np.int64]) -> None:
    """Add the number of pixels of each value to `counts`."""
    for row in pixels:
        for value in row:
            counts[value] += 1
