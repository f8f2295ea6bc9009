"""Arrays whose pixels are made when they are asked for: of many files, by any function."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from xarray.backends import BackendArray
from xarray.core import indexing

__all__ = ["Read", "lazy_image", "lazy_labels"]

Read = Callable[[slice, slice], NDArray[Any]]
"""Gives the pixels of some rows and columns, shape (..., rows, columns)."""


class _Made(BackendArray):
    """Shape (..., y, x); boxes are read, what else is indexed is picked from them."""

    def __init__(self, read: Read, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
        self.read, self.shape, self.dtype = read, shape, dtype

    def __getitem__(self, key: indexing.ExplicitIndexer) -> Any:
        return indexing.explicit_indexing_adapter(
            key, self.shape, indexing.IndexingSupport.OUTER, self._read
        )

    def _read(self, key: tuple[Any, ...]) -> NDArray[Any]:
        places = [np.arange(n)[k] for n, k in zip(self.shape, key, strict=True)]
        axes = [np.atleast_1d(each) for each in places]
        if any(each.size == 0 for each in axes):
            data = np.empty([each.size for each in axes], self.dtype)
        else:
            rows, columns = (slice(int(a.min()), int(a.max()) + 1) for a in axes[-2:])
            box = self.read(rows, columns).astype(self.dtype, copy=False)
            inner = [axes[-2] - rows.start, axes[-1] - columns.start]
            data = box[np.ix_(*axes[:-2], *inner)] if _picks(axes, box.shape) else box
        return np.asarray(data[tuple(0 if each.ndim == 0 else slice(None) for each in places)])


def _picks(axes: list[NDArray[np.intp]], shape: tuple[int, ...]) -> bool:
    """Whether an index is other than all of a box in its order."""
    sizes = tuple(each.size for each in axes)
    return sizes != shape or any((np.diff(each) != 1).any() for each in axes)


def lazy_image(read: Read, shape: tuple[int, int, int], dtype: str) -> xr.DataArray:
    """An image that is read by window.

    Parameters
    ----------
    read : callable
        Gives all bands of a window, shape (band, rows, columns).
    shape : tuple of int
        Bands, rows and columns.
    dtype : str

    Returns
    -------
    DataArray, dims (band, y, x)
    """
    return _lazy(read, ("band", "y", "x"), shape, dtype)


def lazy_labels(read: Read, like: xr.DataArray) -> xr.DataArray:
    """Class indices that are read by window.

    Parameters
    ----------
    read : callable
        Gives the indices of a window, uint8, shape (rows, columns).
    like : DataArray, dims (band, y, x)
        The image; the labels lie where it lies.

    Returns
    -------
    DataArray of uint8, dims (y, x)
    """
    labels = _lazy(read, ("y", "x"), like.shape[1:], "uint8")
    return labels.assign_coords({name: like[name] for name in ("y", "x") if name in like.coords})


def _lazy(read: Read, dims: tuple[str, ...], shape: tuple[int, ...], dtype: str) -> xr.DataArray:
    data = indexing.LazilyIndexedArray(_Made(read, shape, np.dtype(dtype)))
    return xr.DataArray(xr.Variable(dims, data))
