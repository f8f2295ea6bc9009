"""Class maps that tests of polygons share."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import rasterio
import rioxarray  # noqa: F401  (registers the .rio accessor)
import xarray as xr
from affine import Affine
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from numpy.typing import NDArray
from scipy import ndimage

from geoseg.polygons import stream

UTM = "EPSG:32633"
NORTH_UP = Affine(10, 0, 500_000, 0, -10, 5_000_000)


@st.composite
def rasters(draw: st.DrawFn) -> NDArray[np.uint8]:
    """Few values on few pixels: everything that can happen at a corner happens."""
    highest = draw(st.integers(1, 3))
    size = array_shapes(min_dims=2, max_dims=2, max_side=9)
    return draw(arrays(np.uint8, size, elements=st.integers(0, highest)))


connectivities = st.sampled_from([4, 8])
heights = st.integers(1, 9)


@contextmanager
def strips_of(rows: int) -> Iterator[None]:
    with mock.patch.object(stream, "strip_rows", return_value=rows):
        yield


def class_map(
    values: NDArray[Any],
    transform: Affine | None = NORTH_UP,
    crs: str | None = UTM,
    nodata: int | None = 0,
) -> xr.DataArray:
    labels = xr.DataArray(values, dims=("y", "x"))
    if crs is not None:
        labels = labels.rio.write_crs(crs)
    if transform is not None:
        labels = labels.rio.write_transform(transform)
    return labels if nodata is None else labels.rio.write_nodata(nodata)


def write_band(path: Path, values: NDArray[Any], **profile: Any) -> Path:
    bands = values if values.ndim == 3 else values[None]
    profile = {"crs": UTM, "transform": NORTH_UP, "dtype": bands.dtype} | profile
    with rasterio.open(
        path, "w", "GTiff", bands.shape[2], bands.shape[1], bands.shape[0], **profile
    ) as dataset:
        dataset.write(bands)
    return path


def landscape(shape: tuple[int, int], smooth: float, classes: int, seed: int) -> NDArray[np.uint8]:
    """Classes 1 to `classes` in patches: each is where its own smoothed noise is highest."""
    noise = np.random.default_rng(seed).standard_normal((classes, *shape))
    fields = [ndimage.gaussian_filter(each, smooth) for each in noise]
    return (np.argmax(fields, axis=0) + 1).astype(np.uint8)


def around(values: NDArray[Any]) -> tuple[NDArray[Any], ...]:
    """The pixels north-west, north-east, south-west and south-east of every lattice point."""
    padded = np.pad(values, 1)
    return padded[:-1, :-1], padded[:-1, 1:], padded[1:, :-1], padded[1:, 1:]
