"""Scene, Batch, batches(): the one door from pixels to tensors, for training and prediction alike.

A `Scene` is a raster as the network sees it: the bands it wants, in the order it wants them, on a
grid of the pixel size it knows. Prediction asks for the windows of a lattice, training for random
ones; both read them here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np
import rioxarray  # noqa: F401  (registers the .rio accessor)
import torch
import xarray as xr
from numpy.typing import NDArray
from torch import Tensor

from geoseg.errors import UserError
from geoseg.metrics import IGNORE
from geoseg.pixels import find_valid, rounded
from geoseg.raster.arrays import require_image, require_named
from geoseg.raster.damage import Damage
from geoseg.raster.gaps import Gaps
from geoseg.resample import Resampling
from geoseg.windows import Box, box_shape, reflect

if TYPE_CHECKING:
    from geoseg.shapes import Area

__all__ = ["IGNORE", "Batch", "Part", "Scene", "batches", "is_missing"]

_TENSOR_TYPES = {np.dtype(name) for name in ("uint8", "int16", "float32")}


@dataclass(frozen=True)
class NativePixels:
    """Pixels as the image has them: (band, rows, columns), where they lie, what marks a gap."""

    pixels: NDArray[Any]
    box: Box
    nodata: float | None

    def valid(self, policy: str) -> NDArray[np.bool_] | None:
        """Where there is data, shape (rows, columns); None for everywhere."""
        if self.nodata is None and self.pixels.dtype.kind != "f":
            return None
        valid = np.empty(self.pixels.shape[1:], bool)
        complete = find_valid(self.pixels, rounded(self.nodata), policy == "any", valid)
        return None if complete else valid


@dataclass(frozen=True)
class Part:
    """A piece of a scene in memory, from which windows are cut.

    Parameters
    ----------
    pixels : ndarray, shape (band, rows, columns)
        uint8, int16 or float32, on the network's grid.
    labels : ndarray of uint8, shape (rows, columns), or None
    origin : tuple of int
        Row and column of the first pixel on the network's grid.
    extent : tuple of int
        Rows and columns of the whole scene on that grid.
    nodata : float or None
        Value of missing pixels.
    native : NativePixels
        The image's own pixels under the piece; the same ones unless the scene is zoomed.
    """

    pixels: NDArray[Any]
    labels: NDArray[np.uint8] | None
    origin: tuple[int, int]
    extent: tuple[int, int]
    nodata: float | None
    native: NativePixels

    def read(self, box: Box) -> NDArray[Any]:
        """Pixels of a box, shape (band, rows, columns); past the border they are mirrored."""
        if self._contains(box):
            top, left = self._local(box)
            return self.pixels[:, top, left]
        rows, columns = self._positions(box)
        return self.pixels[:, rows[:, None], columns]

    def read_labels(self, box: Box) -> NDArray[np.uint8]:
        """Class indices of a box, shape (rows, columns); `IGNORE` past the border."""
        if self.labels is None:
            raise UserError("the scene has no labels; give Scene(image, labels) to train or score")
        rows, columns = self._positions(box)
        labels = self.labels[rows[:, None], columns].copy()
        for axis, span in enumerate(box):
            beyond = max(span.stop - self.extent[axis], 0)
            outside = np.arange(span.stop - span.start) >= span.stop - span.start - beyond
            labels[outside if axis == 0 else (slice(None), outside)] = IGNORE
        return labels

    def _contains(self, box: Box) -> bool:
        return all(span.stop <= end for span, end in zip(box, self.extent, strict=True))

    def _local(self, box: Box) -> Box:
        rows, columns = (
            slice(span.start - start, span.stop - start)
            for span, start in zip(box, self.origin, strict=True)
        )
        return rows, columns

    def _positions(self, box: Box) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        rows, columns = (
            reflect(span, length) - start
            for span, length, start in zip(box, self.extent, self.origin, strict=True)
        )
        return rows, columns


@dataclass(frozen=True)
class Scene:
    """A raster on the grid that the network sees.

    Parameters
    ----------
    image : DataArray, dims (band, y, x)
        Bands in the network's order; lazy or in memory, any real dtype.
    labels : DataArray, dims (y, x), optional
        Class indices 0..K-1 on the image's grid, `IGNORE` where there is none. Only for scenes that
        are not zoomed.
    zoom : tuple of float
        Network pixels per image pixel, along rows and columns; 1 reads the image as it is.
    gaps : Gaps, optional
        Where the image is known to have no data before anything is read.
    area : Area, optional
        The pixels that are asked for; the network sees the others as well, but they have no class.
    damage : Damage, optional
        What of the image could not be read, where that is no error.

    Raises
    ------
    UserError
        When dimensions, dtype or labels do not fit.
    """

    image: xr.DataArray
    labels: xr.DataArray | None = None
    zoom: tuple[float, float] = (1.0, 1.0)
    gaps: Gaps | None = None
    area: Area | None = None
    damage: Damage | None = None

    def __post_init__(self) -> None:
        require_image(self.image)
        if self.image.dtype.kind not in "uif":
            raise UserError(
                f"pixels of type {self.image.dtype} cannot be classified; give integers or floats"
            )
        if self.labels is not None:
            require_named(self.labels, "labels", "'y', 'x'")
        if self.labels is not None and self.labels.shape != self.image.shape[1:]:
            raise UserError(
                f"labels of {self.labels.shape} pixels do not fit an image of "
                f"{self.image.shape[1:]}; give both on one grid"
            )

    @cached_property
    def axes(self) -> tuple[Resampling, Resampling]:
        """How rows and columns of the network's grid follow from those of the image."""
        rows, columns = (
            Resampling.by_zoom(length, zoom)
            for length, zoom in zip(self.image.shape[1:], self.zoom, strict=True)
        )
        return rows, columns

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of the grid that the network sees."""
        return self.axes[0].size, self.axes[1].size

    @property
    def is_zoomed(self) -> bool:
        """Whether the network's grid is another than the image's."""
        return not all(axis.is_identity for axis in self.axes)

    @cached_property
    def nodata(self) -> float | None:
        """Value of missing image pixels; NaN and infinity are missing in float images as well."""
        stored = self.image.rio.nodata
        return float(stored) if stored is not None else None

    def read(self, box: Box) -> NDArray[Any]:
        """Pixels of a box on the network's grid; past the border they are mirrored.

        Returns
        -------
        ndarray, shape (band, rows, columns)
            uint8 or int16 where the image has that type, else float32; not normalised.
        """
        return self.part(box).read(box)

    def read_labels(self, box: Box) -> NDArray[np.uint8]:
        """Class indices of a box, shape (rows, columns); `IGNORE` past the border."""
        no_bands = np.empty((0, *box_shape(self.native_box(box))), np.uint8)
        return self._labelled(self.part_of(no_bands, box), box).read_labels(box)

    def load(self) -> Scene:
        """The same scene with all its pixels in memory."""
        labels = None if self.labels is None else self.labels.copy(data=self.labels.values)
        return Scene(self.image.copy(data=self.image.values), labels, self.zoom)

    def part(self, box: Box) -> Part:
        """Read what the boxes inside `box` need, once.

        Parameters
        ----------
        box : Box
            Rows and columns on the network's grid, possibly past the border.
        """
        native_box = self.native_box(box)
        native = self.image[:, native_box[0], native_box[1]].values
        return self._labelled(self.part_of(native, box), box)

    def _labelled(self, part: Part, box: Box) -> Part:
        """A part of a box with its labels, if there are any."""
        if self.labels is None:
            return part
        labels = self.labels[self.native_box(box)].values.astype(np.uint8)
        return replace(part, labels=labels)

    def native_box(self, box: Box) -> Box:
        """The image pixels that a box on the network's grid depends on."""
        rows, columns = self._inside(box)
        return self.axes[0].source(rows), self.axes[1].source(columns)

    def part_of(self, native: NDArray[Any], box: Box) -> Part:
        """Make a part of pixels that were read already.

        Parameters
        ----------
        native : ndarray, shape (band, rows, columns)
            The image's pixels of ``native_box(box)``.
        box : Box
            Rows and columns on the network's grid.
        """
        native = _as_tensor_type(native)
        inside = self._inside(box)
        origin = inside[0].start, inside[1].start
        own = NativePixels(native, self.native_box(box), self.nodata)
        if not self.is_zoomed:
            return Part(native, None, origin, self.shape, self.nodata, own)
        zoomed = self._zoomed(own, inside)
        return Part(zoomed, None, origin, self.shape, float("nan"), own)

    def _inside(self, box: Box) -> Box:
        rows, columns = (
            _extremes(reflect(span, axis.size)) for span, axis in zip(box, self.axes, strict=True)
        )
        return rows, columns

    def _zoomed(self, own: NativePixels, box: Box) -> NDArray[np.float32]:
        """Pixels on the network's grid, NaN where most of what lies below is missing."""
        missing = is_missing(own.pixels, own.nodata)
        values = np.where(missing, 0, own.pixels).astype(np.float32)
        weight = (~missing).astype(np.float32)
        for dim in (0, 1):
            index, share = self.axes[dim].taps(box[dim], own.box[dim])
            values = _average(values, index, share, dim + 1)
            weight = _average(weight, index, share, dim + 1)
        enough = weight >= 0.5  # at least half of the pixel has data
        return np.where(enough, values / np.where(enough, weight, 1), np.float32(np.nan))


def is_missing(pixels: NDArray[Any], nodata: float | None) -> NDArray[np.bool_]:
    """Where single band values are missing: the no-data value, NaN or infinity."""
    missing = np.zeros(pixels.shape, bool)
    if pixels.dtype.kind == "f":
        missing = ~np.isfinite(pixels)
    if nodata is not None and not np.isnan(nodata):
        with np.errstate(over="ignore"):
            missing |= pixels == np.asarray(nodata, np.float32)
    return missing


def _extremes(positions: NDArray[np.intp]) -> slice:
    return slice(int(positions.min()), int(positions.max()) + 1)


def _as_tensor_type(pixels: NDArray[Any]) -> NDArray[Any]:
    if pixels.dtype in _TENSOR_TYPES:
        return pixels
    with np.errstate(over="ignore"):  # what float32 cannot hold becomes infinite: missing
        return pixels.astype(np.float32)


def _average(
    values: NDArray[np.float32], index: NDArray[np.intp], share: NDArray[np.float32], axis: int
) -> NDArray[np.float32]:
    shape = [1] * values.ndim
    shape[axis] = -1
    terms = (
        values.take(index[:, tap], axis) * share[:, tap].reshape(shape)
        for tap in range(index.shape[1])
    )
    total = next(terms)
    for term in terms:
        total += term
    return np.asarray(total, np.float32)


@dataclass(frozen=True)
class Batch:
    """Windows of one or several scenes.

    Parameters
    ----------
    pixels : Tensor, shape (window, band, rows, columns)
        uint8, int16 or float32 as read, not normalised.
    nodata : float or None
        Value of missing pixels, the same for all windows.
    labels : Tensor of int64, shape (window, rows, columns), or None
        Class indices, `IGNORE` where there is none.
    """

    pixels: Tensor
    nodata: float | None
    labels: Tensor | None


def batches(samples: Iterable[tuple[Scene | Part, Box]], size: int) -> Iterator[Batch]:
    """Read windows and stack them, in the order in which they are asked for.

    Parameters
    ----------
    samples : iterable of (Scene or Part, Box)
        Windows of one size; the scenes share band count, pixel type and no-data value.
    size : int
        Windows in a batch; the last one may have fewer.

    Yields
    ------
    Batch
    """
    rest = iter(samples)
    while chosen := [(_read_once(source, box), box) for source, box in islice(rest, size)]:
        pixels = np.stack([part.read(box) for part, box in chosen])
        labels = None
        if chosen[0][0].labels is not None:
            stacked = np.stack([part.read_labels(box) for part, box in chosen])
            labels = torch.from_numpy(stacked.astype(np.int64))
        yield Batch(torch.from_numpy(pixels), chosen[0][0].nodata, labels)


def _read_once(source: Scene | Part, box: Box) -> Part:
    """Pixels and labels together, for decoding a file is most of the work."""
    return source.part(box) if isinstance(source, Scene) else source
