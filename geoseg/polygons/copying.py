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

__all__ = ["Copy", "RowWriter", "copying", "refuse_masked"]


class RowWriter:
    """Writes rows of a map of one band as they come, from the top; whole strips of them at a time.

    Parameters
    ----------
    draft : CogDraft
    """

    def __init__(self, draft: CogDraft) -> None:
        self._draft, self._top = draft, 0
        self._held: list[NDArray[Any]] = []

    def add(self, rows: NDArray[Any]) -> None:
        """Take in the next rows: (rows, columns)."""
        self._held.append(rows)
        self._draft.extend(self._read, self._top + sum(map(len, self._held)))
        if self._draft.bottom > self._top:
            self._held = [self._together()[self._draft.bottom - self._top :].copy()]
            self._top = self._draft.bottom

    def _read(self, box: Box) -> NDArray[Any]:
        rows, columns = box
        return self._together()[None, rows.start - self._top : rows.stop - self._top, columns]

    def _together(self) -> NDArray[Any]:
        if len(self._held) > 1:
            self._held = [np.concatenate(self._held)]
        return self._held[0]


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
        writer = RowWriter(self._draft)
        for rows in self._given.rows():
            writer.add(rows)
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
