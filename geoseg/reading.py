"""Blocks read in turn, so that rows of tiles of a file are decoded once while memory allows it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geoseg.loader import Part
from geoseg.plan import Block
from geoseg.raster.files import decoding
from geoseg.raster.read import Tiles
from geoseg.tasks import Task

__all__ = ["BlockReader"]


@dataclass(frozen=True)
class Kept:
    """Image pixels (band, rows, columns) that begin at a row."""

    top: int
    pixels: NDArray[Any]

    @property
    def bottom(self) -> int:
        """The row after the last."""
        return self.top + int(self.pixels.shape[1])


class BlockReader:
    """Reads the blocks of a task, row by row; for one thread.

    A row of blocks ends somewhere inside of tiles, and the one below begins a halo further up. So
    whole tiles are read, and what the block below needs of them is kept: memory for a row of tiles,
    where GDAL's cache, which forgets what was used longest ago, would need all of a row of blocks.
    What does not fit is read again.

    Parameters
    ----------
    task : Task
    tiles : Tiles
        Of the file.
    keep : int
        Bytes of pixels that may be kept for the row of blocks below.
    threads : int
        That decode tiles: one where processors compute, for they are busy already.
    """

    def __init__(self, task: Task, tiles: Tiles, keep: int, threads: int = 1) -> None:
        self._task, self._tiles, self._keep, self._threads = task, tiles, keep, threads
        self._kept: dict[int, Kept] = {}

    def read(self, block: Block) -> Part:
        """The pixels of the hull of a block."""
        with decoding(self._threads):
            return self._read(block)

    def _read(self, block: Block) -> Part:
        scene, plan = self._task.scene, self._task.plan
        hull = plan.hull(block)
        rows, columns = scene.native_box(hull)
        above = self._kept.pop(block.column, None)
        kept = sum(each.pixels.nbytes for each in self._kept.values())
        bottom = min(self._tiles.end(rows.stop), scene.image.shape[1])
        row = scene.image.shape[0] * scene.image.dtype.itemsize * (columns.stop - columns.start)
        if kept + (bottom - rows.start) * row > self._keep:  # tiles that are wide or tall
            bottom = rows.stop
        if above is not None and above.top <= rows.start < above.bottom:
            fresh = scene.image[:, above.bottom : bottom, columns].values
            pixels = np.concatenate([above.pixels[:, rows.start - above.top :], fresh], axis=1)
        else:
            pixels = scene.image[:, rows.start : bottom, columns].values
        if block.row + 1 < plan.shape[0]:
            below = scene.native_box(plan.hull(Block(block.row + 1, block.column)))[0].start
            if below < bottom and kept + (bottom - below) * row <= self._keep:
                self._kept[block.column] = Kept(below, pixels[:, below - rows.start :].copy())
        return scene.part_of(pixels[:, : rows.stop - rows.start], hull)
