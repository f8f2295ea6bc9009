"""Class maps, and confidence beside them, read by whole rows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import accumulate, pairwise
from os import PathLike, fspath
from typing import TYPE_CHECKING, Any

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.enums import MaskFlags
from rasterio.windows import Window

from geoseg.classes import ClassInfo
from geoseg.errors import UserError
from geoseg.polygons.points import MAX_SIDE
from geoseg.raster import Grid, class_table, opened, parse_crs
from geoseg.raster.files import band_numbers, grid_of_file, reading, refuse_unusable
from geoseg.raster.grid import with_assumed_crs

if TYPE_CHECKING:
    import xarray as xr

__all__ = [
    "ClassMap",
    "Rows",
    "map_of_array",
    "open_confidence",
    "open_map",
    "refuse_large",
    "shown_nodata",
]

READ_ROWS = 512
"""Rows read at a time where nothing says what is best: a row of the usual tiles."""

LARGEST = int(np.iinfo(np.int64).max)

MISSING = int(np.iinfo(np.int64).min)
"""Stands for pixels that are missing for another reason than their value."""

Rows = Callable[[slice], NDArray[Any]]
"""Gives the pixels of some rows, shape (rows, columns)."""


@dataclass(frozen=True)
class ClassMap:
    """A class map that is read by rows.

    Parameters
    ----------
    grid : Grid
    nodata : int or None
        The value of pixels without a class.
    classes : tuple of ClassInfo
        Names and colours, as far as they are known.
    dtype : dtype
        Of the pixels.
    rows : callable
        Gives the pixels, integers of shape (rows, columns), from the top to the bottom.
    """

    grid: Grid
    nodata: int | None
    classes: tuple[ClassInfo, ...]
    dtype: np.dtype[Any]
    rows: Callable[[], Iterator[NDArray[Any]]]


def shown_nodata(source: ClassMap) -> int | None:
    """The value of pixels without a class; None where it is no value that tells them."""
    return None if source.nodata == MISSING else source.nodata


def map_of_array(labels: xr.DataArray, assume_crs: str | None = None) -> ClassMap:
    """A class map in memory, or a lazy one, of which a row of chunks is computed at a time.

    Raises
    ------
    UserError
        When the array has other dimensions than ``y, x`` or holds no integers, or `assume_crs`
        cannot be its coordinate system.
    """
    from geoseg.raster import grid_of  # whoever reads a file does not wait for xarray

    if not hasattr(labels, "dims"):
        raise UserError(
            f"a {type(labels).__name__} is no class map; give a DataArray with dimensions "
            "('y', 'x'), e.g. geoseg.open_raster(path)[0], or call polygonize_file for a file"
        )
    plane = labels[0] if labels.ndim == 3 and labels.shape[0] == 1 else labels
    if plane.dims != ("y", "x"):
        raise UserError(
            f"the class map has dimensions {labels.dims} and shape {labels.shape}; give one band "
            "with dimensions ('y', 'x'), e.g. labels.sel(band=1)"
        )
    if plane.size == 0:
        raise UserError(f"the class map is empty, of shape {plane.shape}; give one with pixels")
    _refuse_floats(
        plane.dtype,
        "open it without masked=True, or give missing pixels a value that no class has, e.g. "
        "labels.fillna(-1).astype('int32').rio.write_nodata(-1)",
    )
    refuse_large(plane.shape)
    nodata = _nodata(plane)
    heights = plane.chunks[0] if plane.chunks else _heights(plane.shape[0], 1)
    return ClassMap(
        _located(grid_of(plane), assume_crs, "the class map"),
        _in_range(nodata),
        class_table(plane),
        _with_sign(plane.dtype),
        lambda: (_signed(np.asarray(plane[rows].values), nodata) for rows in _blocks(heights)),
    )


@contextmanager
def open_map(
    path: str | PathLike[str], band: str | int | None, assume_crs: str | None = None
) -> Iterator[ClassMap]:
    """A class map in a file.

    Raises
    ------
    UserError
        When the file cannot be read or holds no integers, there is no such band, or more than one
        band and none was chosen, or `assume_crs` cannot be its coordinate system.
    """
    name = fspath(path)
    with opened(name) as dataset:
        refuse_unusable(dataset, name)
        numbers = band_numbers(dataset, None if band is None else [band], name)
        if len(numbers) > 1:
            raise UserError(
                f"{name} has {len(numbers)} bands, a class map is one; choose it with --band "
                "(band=1)"
            )
        number = numbers[0]
        dtype = np.dtype(dataset.dtypes[number - 1])
        _refuse_floats(dtype, f"convert it first: gdal_translate -ot Int32 {name} classes.tif")
        refuse_large(dataset.shape)
        flags = dataset.mask_flag_enums[number - 1]
        masked = MaskFlags.all_valid not in flags and MaskFlags.nodata not in flags
        nodata = _whole(dataset.nodatavals[number - 1])
        blocks = _blocks(_heights(dataset.height, dataset.block_shapes[number - 1][0]))
        yield ClassMap(
            _located(grid_of_file(dataset), assume_crs, name),
            MISSING if masked else _in_range(nodata),
            class_table(name),
            np.dtype(np.int64) if masked else _with_sign(dtype),
            lambda: (_read(dataset, number, rows, nodata, masked) for rows in blocks),
        )


def open_confidence(path: str | PathLike[str], grid: Grid, assume_crs: str | None = None) -> Rows:
    """Confidence by rows, as floats with NaN where there is none.

    Raises
    ------
    UserError
        When the file cannot be read or lies on another grid than the class map.
    """
    from geoseg.raster import grid_of, open_raster

    image = open_raster(path, assume_crs=assume_crs)
    if image.sizes["band"] != 1 or grid_of(image) != grid:
        raise UserError(
            f"{fspath(path)} does not lie on the grid of the class map; give one band of the same "
            f"size {grid.shape}, transform and coordinate system"
        )
    nodata = image.rio.nodata

    def read(rows: slice) -> NDArray[np.float64]:
        values = image[0, rows].values.astype(np.float64)
        return np.where(values == nodata, np.nan, values) if nodata is not None else values

    return read


def _located(grid: Grid, assume_crs: str | None, name: str) -> Grid:
    return with_assumed_crs(grid, None if assume_crs is None else parse_crs(assume_crs), name)


def _refuse_floats(dtype: np.dtype[Any], remedy: str) -> None:
    if dtype.kind not in "biu":
        raise UserError(f"a class map holds integers, not {dtype}; {remedy}")


def refuse_large(shape: tuple[int, ...]) -> None:
    """Refuse a map of more rows or columns than a point can have.

    Raises
    ------
    UserError
    """
    if max(shape) > MAX_SIDE:
        raise UserError(
            f"the class map has {shape[0]} rows and {shape[1]} columns; polygons are made of at "
            f"most {MAX_SIDE} each: cut it, e.g. gdal_translate -srcwin"
        )


def _read(
    dataset: rasterio.DatasetReader, band: int, rows: slice, nodata: int | None, masked: bool
) -> NDArray[Any]:
    window = Window(0, rows.start, dataset.width, rows.stop - rows.start)
    with reading(dataset.name):
        pixels = _signed(dataset.read(band, window=window), nodata)
        if not masked:
            return pixels
        return np.where(dataset.read_masks(band, window=window), pixels.astype(np.int64), MISSING)


def _nodata(labels: xr.DataArray) -> int | None:
    try:
        stated = labels.rio.nodata
    except (OverflowError, ValueError):
        return None  # rioxarray refuses values that the pixels cannot have
    return _whole(labels.rio.encoded_nodata if stated is None else stated)


def _whole(nodata: float | None) -> int | None:
    """A no-data value as pixels can have it; None for one that no integer equals."""
    return int(nodata) if nodata is not None and float(nodata).is_integer() else None


def _in_range(nodata: int | None) -> int | None:
    """A no-data value among those of `_signed` pixels."""
    return nodata if nodata is None or abs(nodata) <= LARGEST else MISSING


def _with_sign(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """The type of `_signed` pixels."""
    return np.dtype(np.int64) if dtype == np.uint64 else dtype


def _signed(pixels: NDArray[Any], nodata: int | None) -> NDArray[Any]:
    """Pixels of 64 bits without a sign as pixels with one, which class numbers are written as."""
    if pixels.dtype != np.uint64:
        return pixels
    large = pixels > LARGEST
    for value in np.unique(pixels[large]):
        if value != nodata:
            raise UserError(
                f"class {value} is larger than {LARGEST}, the largest that vector files hold; "
                "number the classes anew"
            )
    return np.where(large, MISSING, pixels.astype(np.int64))


def _heights(rows: int, tile: int) -> list[int]:
    """Rows to read at a time: whole tiles, and what is left."""
    whole = -(-READ_ROWS // tile) * tile
    return [min(whole, rows - row) for row in range(0, rows, whole)]


def _blocks(heights: Iterable[int]) -> tuple[slice, ...]:
    """Rows one after the other, of these heights."""
    return tuple(slice(*each) for each in pairwise(accumulate(heights, initial=0)))
