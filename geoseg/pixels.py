"""Passes over pixels on a processor: compiled where there is enough to do, else by numpy.

Both ways give the same, to the last bit.
"""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["count_values", "find_valid", "halve", "largest", "rounded", "standardise"]

PATIENCE = 2**22  # values that a process has looked at before compiled passes are worth loading

_looked_at = 0


def _compiled(values: int) -> ModuleType | None:
    """The compiled passes, once this process has enough to do for them."""
    global _looked_at
    _looked_at += values
    if _looked_at <= PATIENCE:
        return None
    from geoseg import kernels

    return kernels


def rounded(nodata: float | None) -> np.float32:
    """A no-data value as pixels have it; NaN, which equals nothing, where there is none."""
    with np.errstate(over="ignore"):  # what float32 cannot hold is infinite, as in the pixels
        return np.float32(np.nan if nodata is None else nodata)


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
    if kernels := _compiled(pixels.size):
        kernels.standardise(pixels, mean, std, nodata, values)
        return
    floats = pixels.astype(np.float32)
    missing = (floats == nodata) | ~np.isfinite(floats)
    floats[missing] = 0
    result = (floats - mean[:, None, None]) / std[:, None, None]
    result[missing] = 0
    values[:] = result.transpose(1, 2, 0)


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
    if kernels := _compiled(pixels.size):
        return bool(kernels.find_valid(pixels, nodata, needs_all, valid))
    floats = pixels.astype(np.float32, copy=False)
    there = (floats != nodata) & np.isfinite(floats)
    valid[:] = there.all(0) if needs_all else there.any(0)
    return bool(valid.all())


def largest(scores: NDArray[np.float32], values: NDArray[Any], found: NDArray[Any]) -> bool:
    """``values[scores.argmax(-1)]``; returns whether none is NaN and the highest are finite.

    Parameters
    ----------
    scores : ndarray of float32, shape (rows, columns, class)
    values : ndarray, shape (class,)
    found : ndarray of the dtype of `values`, shape (rows, columns)
        Where the result goes.
    """
    if kernels := _compiled(scores.size):
        return bool(kernels.largest(scores, values, found))
    found[:] = values[scores.argmax(-1)]
    return bool(np.isfinite(scores.max(-1)).all())  # of what holds NaN the largest is NaN


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
    from geoseg import kernels  # only large maps have overviews

    return np.asarray(kernels.halve(pixels, nodata))


def count_values(pixels: NDArray[Any], counts: NDArray[np.int64]) -> None:
    """Add the number of pixels of each value to `counts`."""
    if kernels := _compiled(pixels.size):
        kernels.count_values(pixels, counts)
    else:
        counts += np.bincount(pixels.ravel(), minlength=len(counts))
