"""A class map written to a file while it is read for something else."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geoseg.errors import UserError
from geoseg.polygons.making import Making
from geoseg.polygons.source import MISSING, ClassMap
from geoseg.raster import CogDraft, Layout
from geoseg.raster.place import publish, working_folder
from geoseg.windows import Box

__all__ = ["Copy", "RowBuffer", "copying", "refuse_masked"]


class RowBuffer:
    """Rows of a raster of one band, from the top, kept until they are taken."""

    def __init__(self) -> None:
        self._top, self._rows = 0, list[NDArray[Any]]()

    @property
    def bottom(self) -> int:
        """The row after the last that is there."""
        return self._top + sum(map(len, self._rows))

    def append(self, rows: NDArray[Any]) -> None:
        """Take in the next rows: (rows, columns)."""
        self._rows.append(rows)

    def read(self, box: Box) -> NDArray[Any]:
        """The pixels of a box: (1, rows, columns)."""
        rows, columns = box
        held = self._together()
        return held[None, rows.start - self._top : rows.stop - self._top, columns]

    def drop(self, row: int) -> None:
        """Forget the rows above one."""
        if row > self._top:
            self._rows = [self._together()[row - self._top :].copy()]
            self._top = row

    def _together(self) -> NDArray[Any]:
        if len(self._rows) > 1:
            self._rows = [np.concatenate(self._rows)]
        return self._rows[0]


class Copy:
    """A map that is being written to a file.

    Parameters
    ----------
    given : ClassMap
    draft : CogDraft
    path : Path
        Of the draft.
    """

    def __init__(self, given: ClassMap, draft: CogDraft, path: Path) -> None:
        self._given, self._draft, self._path = given, draft, path

    @property
    def source(self) -> ClassMap:
        """The same map; what is read of it is written."""
        return replace(self._given, rows=self._rows)

    def finish(self) -> None:
        """Finish the file, once all of the map was read."""
        self._draft.finish()

    def publish(self, target: Path) -> None:
        """Put the finished file in place."""
        publish(self._path, target)

    def _rows(self) -> Iterator[NDArray[Any]]:
        held = RowBuffer()
        for rows in self._given.rows():
            held.append(rows)
            self._draft.extend(held.read, held.bottom)
            held.drop(self._draft.bottom)
            yield rows


def refuse_masked(given: ClassMap, target: Path) -> None:
    """Refuse to write a map whose missing pixels have no value of their own.

    Raises
    ------
    UserError
    """
    if given.nodata == MISSING:
        raise UserError(
            f"{target} cannot be written: a mask says which pixels of the map are missing; give "
            "them a value first, e.g. gdalwarp -dstnodata 255"
        )


@contextmanager
def copying(given: ClassMap, target: Path, making: Making) -> Iterator[Copy]:
    """Write a map to a GeoTIFF while it is read; its tags tell how it was made."""
    # A class table is for the types that have a palette; overviews must not mix classes.
    named = given.classes if given.dtype in (np.uint8, np.uint16) else ()
    made = {"min_area": making.min_area, "connectivity": making.connectivity}
    tags = {"GEOSEG_SIEVE": json.dumps(made)}
    layout = Layout(given.grid, str(given.dtype), given.nodata, ("class",), named, tags=tags)
    options = {} if named else {"OVERVIEW_RESAMPLING": "NEAREST"}
    with working_folder(target) as folder:
        path = folder / target.name
        with CogDraft(path, layout, options) as draft:
            yield Copy(given, draft, path)
