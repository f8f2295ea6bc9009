"""Compiled passes over pixels, for processors: what torch would do in several passes over memory.

Each does in one pass what the lines of torch in its docstring do, with the same rounding.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

__all__ = ["find_valid", "largest", "rounded", "standardise"]


def rounded(nodata: float | None) -> np.float32:
    """A no-data value as pixels have it; NaN, which equals nothing, where there is none."""
    with np.errstate(over="ignore"):  # what float32 cannot hold is infinite, as in the pixels
        return np.float32(np.nan if nodata is None else nodata)


@numba.njit(cache=True, nogil=True)
def standardise(
    pixels: NDArray[Any],
    mean: NDArray[np.float32],
    std: NDArray[np.float32],
    nodata: np.float32,
    values: NDArray[np.float32],
) -> None:
    """``(pixels - mean) / std`` with channels last, 0 where a pixel is missing.

    Parameters
    ----------
    pixels : ndarray, shape (band, rows, columns)
    mean, std : ndarray of float32, shape (band,)
    nodata : float32
        Value of missing pixels; NaN and infinity are missing as well.
    values : ndarray of float32, shape (rows, columns, band)
        Where the result goes.
    """
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
    """Find the pixels that have data; returns whether all of them have.

    Parameters
    ----------
    pixels : ndarray, shape (band, rows, columns)
    nodata : float32
        Value of missing pixels; NaN and infinity are missing as well.
    needs_all : bool
        Whether a pixel has data only where all bands have some, or where any has.
    valid : ndarray of bool, shape (rows, columns)
        Where the result goes.
    """
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
    """``values[scores.argmax(-1)]``; returns whether all scores are numbers.

    Parameters
    ----------
    scores : ndarray of float32, shape (rows, columns, class)
    values : ndarray, shape (class,)
    found : ndarray of the dtype of `values`, shape (rows, columns)
        Where the result goes.
    """
    rows, columns, classes = scores.shape
    numbers = True
    for r in range(rows):
        for c in range(columns):
            best, index = scores[r, c, 0], 0
            total = best
            for k in range(1, classes):
                score = scores[r, c, k]
                total += score - score  # stays what it is, unless the score is no number
                if score > best:
                    best, index = score, k
            numbers = numbers and total == total
            found[r, c] = values[index]
    return numbers
