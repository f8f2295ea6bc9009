"""A classifier of single pixels that numpy can do as well, to the last bit, and its files.

Weights are eighths, the mean and the deviation powers of two, so that every sum is exact in float32
for whole pixel values, whatever its order; biases of 1/1024 keep any two scores apart.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import torch
from affine import Affine
from numpy.typing import NDArray
from torch import nn

from geoseg.errors import UserError
from geoseg.raster.files import unlocated_is_fine
from geoseg.segmenter import Segmenter

MEAN, STD, CLASSES = 128.0, 32.0, 4
UTM = Affine(10.0, 0.0, 500000.0, 0.0, -10.0, 5600000.0)


def weights_of(bands: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Weights (class, band) and biases of the classifier."""
    weights = np.random.default_rng(bands).integers(-7, 8, (CLASSES, bands)) / 8.0
    return weights, np.arange(CLASSES) / 1024.0


def pointwise(count: int = 3, **facts: Any) -> Segmenter:
    """The classifier as a model."""
    weights, biases = weights_of(count)
    net = nn.Conv2d(count, CLASSES, 1)
    with torch.no_grad():
        net.weight.copy_(torch.from_numpy(weights)[:, :, None, None])
        net.bias.copy_(torch.from_numpy(biases))
    settings: dict[str, Any] = {
        "classes": ("water", "forest", "field", "town"),
        "bands": ("red", "green", "blue") if count == 3 else [f"x{i}" for i in range(count)],
        "window": 64,
        "halo": 0,
        "stride": 1,
    }
    return Segmenter(net, mean=[MEAN] * count, std=[STD] * count, **(settings | facts))


def scores_of(pixels: NDArray[Any]) -> NDArray[np.float64]:
    """Scores before softmax by numpy, (class, rows, columns); missing pixels are NaN."""
    weights, biases = weights_of(len(pixels))
    values = np.nan_to_num((pixels.astype(np.float64) - MEAN) / STD, nan=0.0)
    return np.einsum("kb,byx->kyx", weights, values) + biases[:, None, None]


def map_of(pixels: NDArray[Any], policy: str = "all") -> NDArray[np.uint8]:
    """The class map by numpy; missing pixels are NaN."""
    missing = np.isnan(pixels.astype(np.float64))
    gone = missing.all(0) if policy == "all" else missing.any(0)
    return np.where(gone, 255, scores_of(pixels).argmax(0)).astype(np.uint8)


def random_pixels(shape: tuple[int, ...], seed: int = 0) -> NDArray[np.int64]:
    """Whole numbers 1 to 254 that any type of pixel can hold; 0 and 255 are left for no data."""
    return np.random.default_rng(seed).integers(1, 255, shape)


def write(path: Path, pixels: NDArray[Any], *, names: tuple[str, ...] = (), **profile: Any) -> Path:
    """Write pixels (band, rows, columns) as a GeoTIFF in UTM unless the profile says otherwise."""
    bands, rows, columns = pixels.shape
    settings = {
        "driver": "GTiff",
        "crs": "EPSG:32633",
        "transform": UTM,
        "count": bands,
        "height": rows,
        "width": columns,
        "dtype": str(pixels.dtype),
    }
    known = {key: value for key, value in (settings | profile).items() if value is not None}
    with unlocated_is_fine(), rasterio.open(path, "w", **known) as target:
        target.write(pixels)
        if names:
            target.descriptions = names
    return path


def read(path: Path, band: int | None = 1) -> NDArray[Any]:
    """Pixels of a file, of one band or of all."""
    with unlocated_is_fine(), rasterio.open(path) as dataset:
        return np.asarray(dataset.read(band))


def spoil(path: Path, *tiles: tuple[int, int], band: int = 1) -> None:
    """Overwrite tiles, by row and column, so that they cannot be decoded."""
    with rasterio.open(path) as dataset:
        places = [
            [
                int(dataset.get_tag_item(f"BLOCK_{what}_{column}_{row}", "TIFF", bidx=band))
                for what in ("OFFSET", "SIZE")
            ]
            for row, column in tiles
        ]
    data = bytearray(path.read_bytes())
    for offset, size in places:
        data[offset : offset + size] = bytes(size)
    path.write_bytes(data)


def leftovers(folder: Path) -> set[str]:
    """Names of all files and folders, hidden ones as well."""
    return {str(each.relative_to(folder)) for each in folder.rglob("*")}


@contextmanager
def refused(message: str, folder: Path) -> Iterator[None]:
    """Expect the user's mistake told in one line, and a folder that nothing was written into."""
    before = leftovers(folder)
    with pytest.raises(UserError, match=message) as caught:
        yield
    assert "\n" not in str(caught.value)
    assert leftovers(folder) == before
