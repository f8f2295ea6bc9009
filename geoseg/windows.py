"""The lattice of windows: integers and numpy, no files, no bands, no coordinate systems.

One lattice serves every user. Random crops draw from ``Windows(shape, size, (1, 1))``, a validation
grid has ``stride == size``, prediction has ``stride == size - 2 * halo``. A region is numpy's own
pair of slices.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import ceil
from typing import overload

import numpy as np
from numpy.typing import NDArray

from geoseg.errors import UserError

__all__ = ["Box", "Windows", "box_shape", "common", "grown", "hann", "reflect", "relative", "tiles"]

Box = tuple[slice, slice]
"""Rows and columns, half open, in pixels."""


@dataclass(frozen=True)
class Windows(Sequence[Box]):
    """Equal windows over a raster, row by row.

    The last window of an axis is moved back to end at the border, so the windows cover the raster
    without reaching past it. An axis shorter than a window has one window, which reaches past it.

    Parameters
    ----------
    shape : tuple of int
        Rows and columns of the raster, each at least 1.
    size : tuple of int
        Rows and columns of a window.
    stride : tuple of int
        Rows and columns from one window to the next, 1 to `size`.

    Raises
    ------
    UserError
        When a number is below 1 or the stride leaves gaps.
    """

    shape: tuple[int, int]
    size: tuple[int, int]
    stride: tuple[int, int]

    def __post_init__(self) -> None:
        if min(self.shape) < 1 or min(self.size) < 1:
            raise UserError(
                f"windows of {self.size} over a raster of {self.shape}: rows and columns must be "
                "at least 1"
            )
        for stride, size in zip(self.stride, self.size, strict=True):
            if not 1 <= stride <= size:
                raise UserError(
                    f"stride {stride} with windows of {size} pixels: choose a stride from 1 to "
                    f"{size}, or pixels are left out"
                )

    @cached_property
    def counts(self) -> tuple[int, int]:
        """Rows and columns of windows."""
        rows, columns = (
            1 if length <= size else ceil((length - size) / stride) + 1
            for length, size, stride in zip(self.shape, self.size, self.stride, strict=True)
        )
        return rows, columns

    def __len__(self) -> int:
        return self.counts[0] * self.counts[1]

    @overload
    def __getitem__(self, index: int) -> Box: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Box]: ...
    def __getitem__(self, index: int | slice) -> Box | Sequence[Box]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        if not -len(self) <= index < len(self):
            raise IndexError(f"window {index} of {len(self)}")
        row, column = divmod(index % len(self), self.counts[1])
        return self.span(0, row), self.span(1, column)

    def __iter__(self) -> Iterator[Box]:
        return (self[i] for i in range(len(self)))

    def span(self, axis: int, index: int) -> slice:
        """The pixels of one row (`axis` 0) or column (`axis` 1) of windows."""
        last = max(self.shape[axis] - self.size[axis], 0)
        start = min(index * self.stride[axis], last)
        return slice(start, start + self.size[axis])

    def core(self, axis: int, index: int, halo: int) -> slice:
        """The pixels that a row or column of windows answers for, with `halo` pixels cut off.

        Cores partition the axis. Away from the border of the raster a core keeps `halo` pixels of
        context in its window on either side; at the border there is no more context to have.

        Parameters
        ----------
        axis : int
            0 for rows, 1 for columns.
        index : int
            Which row or column of windows.
        halo : int
            Pixels; at most half of what neighbouring windows share.
        """
        start = 0 if index == 0 else self.span(axis, index - 1).stop - halo
        last = index == self.counts[axis] - 1
        stop = self.shape[axis] if last else self.span(axis, index).stop - halo
        return slice(start, stop)


def tiles(shape: tuple[int, int], size: tuple[int, int]) -> Iterator[Box]:
    """Boxes of one size that partition a raster, row by row; the last are cut at the border."""
    rows, columns = shape
    for top in range(0, rows, size[0]):
        for left in range(0, columns, size[1]):
            yield slice(top, min(top + size[0], rows)), slice(left, min(left + size[1], columns))


def grown(length: int, stride: int) -> int:
    """The least multiple of a stride that is not less than a length."""
    return -(-length // stride) * stride


def box_shape(box: Box) -> tuple[int, int]:
    """Rows and columns of a box."""
    rows, columns = box
    return rows.stop - rows.start, columns.stop - columns.start


def relative(box: Box, frame: Box) -> Box:
    """A box counted from the first pixel of another."""
    rows, columns = (
        slice(span.start - own.start, span.stop - own.start)
        for span, own in zip(box, frame, strict=True)
    )
    return rows, columns


def common(one: Box, other: Box) -> Box | None:
    """What two boxes share; None where they are apart."""
    rows, columns = (
        slice(max(a.start, b.start), min(a.stop, b.stop)) for a, b in zip(one, other, strict=True)
    )
    is_empty = rows.start >= rows.stop or columns.start >= columns.stop
    return None if is_empty else (rows, columns)


def reflect(span: slice, length: int) -> NDArray[np.intp]:
    """Positions inside an axis for a span that may reach past it, mirrored at the last pixels.

    Parameters
    ----------
    span : slice
        Pixels, half open; either end may lie outside.
    length : int
        Pixels of the axis, at least 1.

    Returns
    -------
    ndarray of intp
        For every pixel of `span` its place in ``0..length - 1``: ``-1 -> 1``,
        ``length -> length - 2``, again and again for axes shorter than the span.
    """
    period = max(2 * (length - 1), 1)
    positions = np.arange(span.start, span.stop) % period
    return np.where(positions < length, positions, period - positions)


def hann(size: int) -> NDArray[np.float32]:
    """Blending weights along one axis, positive everywhere.

    Parameters
    ----------
    size : int
        Pixels of the window.

    Returns
    -------
    ndarray of float32, shape (size,)
        ``sin^2(pi * (i + 1/2) / size)``: the Hann window sampled at pixel centres, so that windows
        at half their size add up to one and the outermost pixel never weighs nothing.
    """
    centres = (np.arange(size) + 0.5) / size
    return (np.sin(np.pi * centres) ** 2).astype(np.float32)
