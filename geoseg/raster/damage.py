"""Parts of files that cannot be read, where a run is to go on without them."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geoseg.windows import Box, common, relative

__all__ = ["Damage", "Unreadable", "within"]


class Damage:
    """Tiles that could not be read, as boxes of the grid of the first file; threads may share it.

    Whoever it is sent to begins with none.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._found: dict[tuple[int, int, int, int], Box] = {}

    def __reduce__(self) -> tuple[type[Damage], tuple[()]]:
        return Damage, ()

    def __deepcopy__(self, memo: dict[int, Any]) -> Damage:
        return self  # xarray copies images, attributes and all

    def note(self, box: Box) -> None:
        """Take down a tile."""
        rows, columns = box
        with self._lock:
            self._found[rows.start, rows.stop, columns.start, columns.stop] = box

    def boxes(self) -> list[Box]:
        """The tiles that were noted by now."""
        with self._lock:
            return list(self._found.values())

    def spread(self, pixels: NDArray[Any], box: Box) -> None:
        """Let no band have data where one cannot be read.

        Parameters
        ----------
        pixels : ndarray of float, shape (band, rows, columns)
        box : Box
            Where they lie.
        """
        for gone in within(self.boxes(), box):
            pixels[:, *gone] = np.nan


def within(boxes: Iterable[Box], frame: Box) -> Iterator[Box]:
    """What lies of boxes inside of a frame, counted from its first pixel."""
    for box in boxes:
        if (shared := common(box, frame)) is not None:
            yield relative(shared, frame)


@dataclass(frozen=True)
class Unreadable:
    """What of an image could not be read.

    Parameters
    ----------
    pixels : int
        That have no data for this reason.
    boxes : tuple of tuple of int
        Where they lie: first and last row, first and last column, from 0.
    """

    pixels: int = 0
    boxes: tuple[tuple[int, int, int, int], ...] = field(default=())

    @property
    def told(self) -> dict[str, Any]:
        """As JSON."""
        return {"pixels": self.pixels, "boxes": [list(each) for each in self.boxes]}

    def __str__(self) -> str:
        shown = "; ".join("rows {} to {}, columns {} to {}".format(*box) for box in self.boxes[:5])
        more = len(self.boxes) - 5
        rest = f"; and {more} more places" if more > 0 else ""
        return f"{self.pixels:,} pixels cannot be read and have no data ({shown}{rest})"
