"""Cloud Optimized GeoTIFFs in the making: pixels from top to bottom, then GDAL's own layout."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from dataclasses import replace as replaced
from math import prod
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import numpy as np
import rasterio
import rasterio.shutil
from numpy.typing import NDArray
from rasterio.windows import Window

from geoseg.classes import ClassInfo
from geoseg.errors import UserError
from geoseg.pixels import count_values, halve
from geoseg.raster.files import unlocated_is_fine
from geoseg.raster.grid import Grid
from geoseg.raster.place import writing
from geoseg.raster.sidecar import CLASSES_TAG, classes_tag, pam_xml
from geoseg.windows import Box, box_shape, tiles

__all__ = ["CogDraft", "Layout", "class_layout", "creation_options", "to_cog"]

TILE = 512  # the COG driver's own block size; GDAL's tools and browsers read it in one request
UNPACKED = 2**30  # pixels of temporary files that are not compressed
# Columns that are assembled at a time: whole tiles, 4 MB a byte band, and at most so many bytes of
# all bands where that is more than a tile.
PIECE = 16 * TILE
MOST = 1 << 26

# Creation options of GDAL's COG driver that change neither grid nor pixels, and their values; see
# https://gdal.org/en/stable/drivers/raster/cog.html, "Creation Options".
_LOSSLESS = "NONE|LZW|DEFLATE|ZSTD|LZMA"
_CREATION_OPTIONS = {
    "COMPRESS": _LOSSLESS,
    "LEVEL": "[0-9]{1,2}",
    "PREDICTOR": "YES|NO|STANDARD",
    "BLOCKSIZE": "128|256|512|1024|2048|4096",
    "BIGTIFF": "YES|NO|IF_NEEDED|IF_SAFER",
    "GEOTIFF_VERSION": "AUTO|1.0|1.1",
    "NUM_THREADS": "ALL_CPUS|[0-9]{1,4}",
    "OVERVIEWS": "AUTO|NONE|IGNORE_EXISTING",
    "OVERVIEW_COUNT": "[0-9]{1,2}",
    "OVERVIEW_COMPRESS": f"AUTO|{_LOSSLESS}",
    "OVERVIEW_PREDICTOR": "YES|NO|STANDARD",
    "OVERVIEW_RESAMPLING": "NEAREST|MODE",
    "SPARSE_OK": "YES|NO|TRUE|FALSE",
    "STATISTICS": "AUTO|YES|NO",
}


@dataclass(frozen=True)
class Layout:
    """Everything of an output raster but its pixels.

    Parameters
    ----------
    grid : Grid
    dtype : str
    nodata : float or None
    names : tuple of str
        Description of each band; their number is the number of bands.
    classes : tuple of ClassInfo
        For class maps: palette, sidecar and overviews by mode; empty for measured values, which
        get overviews by average.
    scale : float
        What a stored value is to be multiplied by.
    tags : mapping of str to str
        Where the raster comes from.
    """

    grid: Grid
    dtype: str
    nodata: float | None
    names: tuple[str, ...]
    classes: tuple[ClassInfo, ...] = ()
    scale: float = 1.0
    tags: Mapping[str, str] = field(default_factory=dict)


def class_layout(grid: Grid, classes: tuple[ClassInfo, ...], tags: Mapping[str, str]) -> Layout:
    """The layout of a class map: uint8 with no-data 255, or uint16 with 65535 past value 254."""
    wide = max((each.value for each in classes), default=0) > 254
    dtype, nodata = ("uint16", 65535) if wide else ("uint8", 255)
    return Layout(grid, dtype, nodata, ("class",), classes, tags=tags)


Read = Callable[[Box], "NDArray[Any] | None"]
"""Gives the pixels of a box (band, rows, columns), as stored; None where all are missing."""


class CogDraft:
    """A Cloud Optimized GeoTIFF in the making, given its pixels from top to bottom.

    Overviews of a class map are made on the way: GDAL's own by mode take several times as long as
    all the rest of the file. Used in a ``with`` statement, which removes what is only needed until
    `finish`.

    Parameters
    ----------
    path : Path
        A file that is not in anybody's way: `publish` puts it in place.
    layout : Layout
    options : mapping of str to str, optional
        Creation options of GDAL's COG driver over ours, as `creation_options` gives them.
    """

    def __init__(
        self, path: Path, layout: Layout, options: Mapping[str, str] | None = None
    ) -> None:
        self._path, self._layout, self._options = path, layout, dict(options or {})
        shapes = [layout.grid.shape]
        if layout.classes and not any(key.startswith("OVERVIEW") for key in self._options):
            shapes += _levels_of(layout.grid.shape)
            self._options["OVERVIEWS"] = "FORCE_USE_EXISTING"
        self._bottom = 0
        self._step: int = 2 ** (len(shapes) - 1)  # rows and columns that are whole on all levels
        self._counts = np.zeros(np.iinfo(layout.dtype).max + 1 if layout.classes else 0, np.int64)
        with ExitStack() as stack:
            folder = tempfile.TemporaryDirectory(prefix="plain.", dir=path.parent)
            self._folder = Path(stack.enter_context(folder))
            self._levels = [
                stack.enter_context(_create(self._folder / f"level{i}.tif", _level(layout, shape)))
                for i, shape in enumerate(shapes)
            ]
            self._open = stack.pop_all()

    def __enter__(self) -> CogDraft:
        return self

    def __exit__(self, *error: object) -> None:
        self._open.close()

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type of its pixels."""
        return np.dtype(self._layout.dtype)

    @property
    def bottom(self) -> int:
        """The row after the last that was taken."""
        return self._bottom

    def extend(self, read: Read, bottom: int) -> None:
        """Take the pixels that are there by now.

        Parameters
        ----------
        read : callable
        bottom : int
            Rows, from the top, that can be read; only whole strips are, unless they are all.
        """
        rows, columns = self._layout.grid.shape
        strip = max(TILE, self._step)
        stop = rows if bottom >= rows else bottom // strip * strip
        for below, own in tiles((stop - self._bottom, columns), (strip, self._width(strip))):
            box = slice(self._bottom + below.start, self._bottom + below.stop), own
            pixels = read(box)
            if pixels is not None:
                with writing(self._path.parent):  # here, for then the disk is still full
                    self._put(pixels, box)
            elif self._layout.classes:  # what was never written is missing
                self._counts[_missing(self._layout)] += prod(box_shape(box))
        self._bottom = stop

    def _width(self, rows: int) -> int:
        """Columns of a piece."""
        tile = rows * TILE * self.dtype.itemsize * len(self._layout.names)
        return max(min(PIECE, MOST // tile * TILE), self._step, TILE)

    def _put(self, pixels: NDArray[Any], box: Box) -> None:
        """Write a box on all levels."""
        top, left = box[0].start, box[1].start
        if self._layout.classes:
            count_values(pixels[0], self._counts)
        for i, level in enumerate(self._levels):
            if i > 0:
                pixels = halve(pixels[0], _missing(self._layout))[None]
                top, left = top // 2, left // 2
            level.write(pixels, window=Window(left, top, pixels.shape[2], pixels.shape[1]))

    def add_tags(self, tags: Mapping[str, str]) -> None:
        """Let the file say what was not known when it was begun."""
        self._levels[0].update_tags(**tags)

    def finish(self) -> None:
        """Write the file and, for class maps, its sidecar ``path.aux.xml``."""
        with writing(self._path.parent):
            for level in self._levels:
                level.close()
            plain = _as_one([Path(level.name) for level in self._levels])
            _copy_as_cog(plain, self._path, self._layout, self._options)
        if self._layout.classes:
            present = {value: int(count) for value, count in enumerate(self._counts) if count}
            sidecar = pam_xml(self._layout.classes, present)
            Path(f"{self._path}.aux.xml").write_bytes(sidecar)


def to_cog(
    path: Path, layout: Layout, read: Read, options: Mapping[str, str] | None = None
) -> None:
    """Write a Cloud Optimized GeoTIFF whose pixels are all there; see `CogDraft`."""
    with CogDraft(path, layout, options) as draft:
        draft.extend(read, layout.grid.shape[0])
        draft.finish()


def _levels_of(shape: tuple[int, int]) -> list[tuple[int, int]]:
    """Shapes of the overviews of a raster, halved until one fits into a tile."""
    levels: list[tuple[int, int]] = []
    while max(shape) > TILE:
        shape = (shape[0] + 1) // 2, (shape[1] + 1) // 2
        levels.append(shape)
    return levels


def _level(layout: Layout, shape: tuple[int, int]) -> Layout:
    """The layout of an overview: only the full raster says where it lies."""
    return layout if shape == layout.grid.shape else replaced(layout, grid=Grid(shape, None, None))


def _as_one(levels: list[Path]) -> Path:
    """A raster of the first level that has the others as overviews."""
    if len(levels) == 1:
        return levels[0]
    virtual = levels[0].with_suffix(".vrt")
    with unlocated_is_fine():
        rasterio.shutil.copy(levels[0], virtual, driver="VRT")
    tree = ET.parse(virtual)  # noqa: S314  (GDAL has just written it)
    band = tree.find("VRTRasterBand")
    assert band is not None  # noqa: S101  (for the type checker: a class map has a band)
    for level in levels[1:]:
        overview = ET.SubElement(band, "Overview")
        ET.SubElement(overview, "SourceFilename", relativeToVRT="1").text = level.name
        ET.SubElement(overview, "SourceBand").text = "1"
    tree.write(virtual)
    return virtual


@contextmanager
def _create(path: Path, layout: Layout) -> Iterator[Any]:
    with unlocated_is_fine():
        target = rasterio.open(path, "w", **_profile(layout))
    with target:
        _describe(target, layout)
        yield target


def _profile(layout: Layout) -> dict[str, Any]:
    rows, columns = layout.grid.shape
    profile = {
        "driver": "GTiff",
        "height": rows,
        "width": columns,
        "count": len(layout.names),
        "dtype": layout.dtype,
        "nodata": layout.nodata,
        "crs": layout.grid.crs,
        "tiled": True,
        "blockxsize": TILE,
        "blockysize": TILE,
        "interleave": "band",
        "photometric": "minisblack",
        "alpha": "no",  # the fourth of several bands is one by default
        "sparse_ok": True,
        "bigtiff": "IF_SAFER",
    }
    if rows * columns * len(layout.names) > UNPACKED:
        # Read once more and thrown away: fast beats small.
        profile |= {"compress": "deflate", "zlevel": 1, "num_threads": "ALL_CPUS"}
    return profile | ({"transform": layout.grid.transform} if layout.grid.transform else {})


def _describe(target: Any, layout: Layout) -> None:
    target.descriptions = layout.names
    target.scales = (layout.scale,) * len(layout.names)
    tags = dict(layout.tags)
    if layout.classes:
        target.write_colormap(1, _colormap(layout))
        tags[CLASSES_TAG] = classes_tag(layout.classes)
    target.update_tags(**tags)


def _colormap(layout: Layout) -> dict[int, tuple[int, int, int, int]]:
    colors = {each.value: (*each.rgb, 255) for each in layout.classes}
    return colors if layout.nodata is None else colors | {int(layout.nodata): (0, 0, 0, 0)}


def _missing(layout: Layout) -> int:
    """The value of missing pixels; one that no pixel of a class map has where there is none."""
    return -1 if layout.nodata is None else int(layout.nodata)


def _copy_as_cog(plain: Path, path: Path, layout: Layout, options: Mapping[str, str]) -> None:
    ours = {
        "BLOCKSIZE": str(TILE),
        "BIGTIFF": "IF_SAFER",
        # Overviews of a class map hold only classes of the map.
        "OVERVIEW_RESAMPLING": "MODE" if layout.classes else "AVERAGE",
        "NUM_THREADS": "ALL_CPUS",
    }
    if "COMPRESS" not in options:
        ours |= {"COMPRESS": "DEFLATE", "LEVEL": "5"}  # half the time of 6, files a tenth larger
    if prod(layout.grid.shape) > UNPACKED:
        ours["SPARSE_OK"] = "YES"  # tiles without data cost neither time nor room
    with unlocated_is_fine():
        rasterio.shutil.copy(plain, path, driver="COG", **{**ours, **options})


def creation_options(options: Mapping[str, str]) -> dict[str, str]:
    """Options of GDAL's COG driver, in capitals.

    Parameters
    ----------
    options : mapping of str to str
        E.g. ``{"COMPRESS": "ZSTD"}``.

    Raises
    ------
    UserError
        When an option is unknown, or would change the grid or the pixels of a map.
    """
    upper = {str(key).upper(): str(value).upper() for key, value in options.items()}
    for key, value in upper.items():
        known = _CREATION_OPTIONS.get(key)
        if known is None:
            raise UserError(
                f"creation option {key} is unknown, or would change grid or pixels of the map; "
                f"choose from {', '.join(_CREATION_OPTIONS)}"
            )
        if not re.fullmatch(known, value):
            raise UserError(f"creation option {key}={value} must be {known.replace('|', ', ')}")
    return upper
