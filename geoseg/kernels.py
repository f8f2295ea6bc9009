"""Compiled passes over pixels: what numpy or torch do in several passes over memory, in one.

Importing this takes half a second, so `pixels` does it only where there is enough to do.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

__all__ = ["count_values", "find_valid", "halve", "largest", "standardise"]


@numba.njit(cache=True, nogil=True)
def standardise(
    pixels: NDArray[Any],
    mean: NDArray[np.float32],
    std: NDArray[np.float32],
    nodata: np.float32,
    values: NDArray[np.float32],
) -> None:
    """See `pixels.standardise`."""
    bands, rows, columns = pixels.shape
    for r in range(rows):
        for b in range(bands):
            line, own_mean, own_std = pixels[b, r], mean[b], std[b]
            for c in range(columns):
                value = np.float32(line[c])
                missing = value == nodata or not np.isfinite(value)
                values[r, c, b] = np.float32(0) if missing else (value - own_mean) / own_std


@numba.njit(cache=True, nogil=True)
def find_valid(
    pixels: NDArray[Any], nodata: np.float32, needs_all: bool, valid: NDArray[np.bool_]
) -> bool:
    """See `pixels.find_valid`."""
    bands, rows, columns = pixels.shape
    complete = True
    for r in range(rows):
        line = valid[r]
        line[:] = needs_all
        for b in range(bands):
            own = pixels[b, r]
            for c in range(columns):
                value = np.float32(own[c])
                there = value != nodata and np.isfinite(value)
                line[c] = (line[c] and there) if needs_all else (line[c] or there)
        for c in range(columns):
            complete = complete and line[c]
    return complete


@numba.njit(cache=True, nogil=True)
def largest(scores: NDArray[np.float32], values: NDArray[Any], found: NDArray[Any]) -> bool:
    """See `pixels.largest`."""
    rows, columns, classes = scores.shape
    numbers = True
    most = np.float32(np.inf)
    for r in range(rows):
        for c in range(columns):
            best, index = scores[r, c, 0], 0
            numbers = numbers and best == best
            for k in range(1, classes):
                score = scores[r, c, k]
                numbers = numbers and score == score
                if score > best:
                    best, index = score, k
            found[r, c] = values[index]
            numbers = numbers and -most < best < most
    return numbers


@numba.njit(cache=True, nogil=True)
def halve(pixels: NDArray[Any], nodata: int) -> NDArray[Any]:
    """See `pixels.halve`."""
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
    """See `pixels.count_values`."""
    for row in pixels:
        for value in row:
            counts[value] += 1
