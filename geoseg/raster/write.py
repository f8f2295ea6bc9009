"""Arrays written as Cloud Optimized GeoTIFFs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from geoseg.places import followed
from geoseg.raster.arrays import grid_of
from geoseg.raster.cog import Layout, to_cog
from geoseg.raster.place import publish, refuse_existing, working_folder
from geoseg.raster.sidecar import class_table
from geoseg.windows import Box

__all__ = ["write_raster"]


def write_raster(
    labels: xr.DataArray, path: str | PathLike[str], *, overwrite: bool = False
) -> None:
    """Write an array as a Cloud Optimized GeoTIFF, by blocks if it is lazy.

    Parameters
    ----------
    labels : DataArray, dims (y, x) or (class or band, y, x)
        A class map or scores as `geoseg.predict` gives them, or any other raster.
    path : path-like
        A ``.tif`` file. It holds nothing, the old file or the complete new one, never a part.
    overwrite : bool
        Whether a file of that name may be replaced.

    Raises
    ------
    UserError
        When the file exists and `overwrite` is false, or its folder cannot be written to.
    """
    target = followed(Path(path))
    refuse_existing(target, overwrite)
    layout = _layout_of(labels)
    with working_folder(target) as folder:
        draft = folder / target.name
        with _materialised(labels, folder, layout) as read:
            to_cog(draft, layout, read)
        publish(draft, target)


def _layout_of(labels: xr.DataArray) -> Layout:
    # What was computed from a map (a float, a difference) keeps its attributes but is no map.
    classes = class_table(labels) if labels.dtype in ("uint8", "uint16") else ()
    nodata = labels.rio.nodata if labels.rio.nodata is not None else labels.rio.encoded_nodata
    dtype = str(labels.dtype)
    if labels.ndim == 2:
        name = str(labels.name or "class")
        return Layout(grid_of(labels), dtype, nodata, (name,), classes)
    first = labels.coords.get(labels.dims[0])
    names = labels.attrs.get("long_name") or (
        [str(each) for each in first.values] if first is not None else [""] * labels.shape[0]
    )
    return Layout(grid_of(labels), dtype, nodata, tuple(names))


@contextmanager
def _materialised(
    labels: xr.DataArray, folder: Path, layout: Layout
) -> Iterator[Callable[[Box], NDArray[Any]]]:
    """Boxes of the array; a dask array is computed once, block by block, into a file."""
    bands = labels if labels.ndim == 3 else labels.expand_dims("band")
    if labels.chunks is None:
        yield lambda box: np.asarray(bands[:, box[0], box[1]].values)
        return
    import dask.array

    store = np.lib.format.open_memmap(
        folder / "blocks.npy", "w+", np.dtype(layout.dtype), bands.shape
    )
    dask.array.store(bands.data, store, lock=False)
    yield lambda box: np.asarray(store[:, box[0], box[1]])
