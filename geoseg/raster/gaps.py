"""Parts of a GeoTIFF that were never written: nothing of them need be read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from rasterio.enums import MaskFlags

from geoseg.raster.files import is_alpha, opened, reading
from geoseg.raster.read import origin_in
from geoseg.windows import Box

__all__ = ["Gaps", "find_gaps"]

MOST_TILES = 500_000  # looked up: some seconds


@dataclass(frozen=True)
class Gaps:
    """Tiles of a sparse file that are not there.

    Parameters
    ----------
    gone : ndarray of bool, shape (rows, columns) of tiles
    tile : tuple of int
        Rows and columns of a tile.
    origin : tuple of int
        Where in the file the image begins, as row and column.
    """

    gone: NDArray[np.bool_]
    tile: tuple[int, int]
    origin: tuple[int, int]

    def cover(self, box: Box) -> bool:
        """Whether a box of image pixels lies in tiles that are not there."""
        rows, columns = (
            slice((span.start + start) // size, -(-(span.stop + start) // size))
            for span, start, size in zip(box, self.origin, self.tile, strict=True)
        )
        return bool(self.gone[rows, columns].all())


def find_gaps(path: str, image: xr.DataArray) -> Gaps | None:
    """The gaps of a sparse GeoTIFF, by its own tile index.

    Parameters
    ----------
    path : str
        What GDAL opens.
    image : DataArray, dims (band, y, x)
        The file as `open_raster` gives it, or a part of it by `clip`.

    Returns
    -------
    Gaps or None
        None when there are none, or unwritten pixels are not missing but zero.
    """
    with opened(path) as dataset:
        numbers = _telling(dataset, [int(each) for each in image.coords["band"].values])
        tile = dataset.block_shapes[0]
        shape = -(-dataset.height // tile[0]), -(-dataset.width // tile[1])
        if dataset.driver != "GTiff" or not numbers or shape[0] * shape[1] > MOST_TILES:
            return None
        if dataset.interleaving is not None and dataset.interleaving.value != "BAND":
            numbers = numbers[:1]  # their pixels share a tile
        gone = np.ones(shape, bool)
        with reading(path):
            for row, column in np.ndindex(*shape):
                gone[row, column] = all(_is_gone(dataset, row, column, band) for band in numbers)
        return Gaps(gone, tile, origin_in(dataset, image)) if gone.any() else None


def _telling(dataset: Any, numbers: list[int]) -> list[int]:
    """The bands that must be unwritten for a pixel to be missing; none when zeros are data."""
    flags = [dataset.mask_flag_enums[number - 1] for number in numbers]
    if all(each == [MaskFlags.nodata] for each in flags):
        return numbers
    alpha = [n for n in dataset.indexes if is_alpha(dataset, n)]
    masks = all(MaskFlags.alpha in each for each in flags)
    return alpha if masks and not set(alpha) & set(numbers) else []


def _is_gone(dataset: Any, row: int, column: int, band: int) -> bool:
    return dataset.get_tag_item(f"BLOCK_OFFSET_{column}_{row}", "TIFF", bidx=band) is None
