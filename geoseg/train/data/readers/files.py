"""Images and label files that lie in folders, paired by name and read by window.

Headers are opened when files are listed, 3 ms a pair, so that sizes that do not fit are told then;
pixels, and what is wrong with them, come when they are asked for.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from os import fspath
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import rasterio
import xarray as xr
from numpy.typing import NDArray
from rasterio.enums import ColorInterp
from rasterio.windows import Window

from geoseg.errors import UserError
from geoseg.loader import Scene
from geoseg.raster import Grid, grid_of, open_raster, opened
from geoseg.raster.files import grid_of_file
from geoseg.raster.grid import SLACK, pixel_size
from geoseg.train.data.decode import Decode, Palette, told
from geoseg.train.data.lazy import lazy_labels

__all__ = ["LabelFiles", "by_stem", "common_gsd", "paired", "read_window"]

log = logging.getLogger(__name__)

IMAGES = (".jpg", ".jpeg", ".png", ".tif", ".tiff")


def read_window(path: str, bands: Sequence[int], rows: slice, columns: slice) -> NDArray[Any]:
    """Pixels of a window as the file has them, shape (band, rows, columns).

    Raises
    ------
    UserError
        When the file is missing, damaged, or has too few bands, rows or columns.
    """
    with opened(path) as dataset:
        has = dataset.count, dataset.height, dataset.width
        if any(n < end for n, end in zip(has, (max(bands), rows.stop, columns.stop), strict=True)):
            raise UserError(
                f"{path} has {has[0]} bands of {has[1]} x {has[2]} pixels, too few for band "
                f"{max(bands)} of a window up to row {rows.stop} and column {columns.stop}"
            )
        pixels: NDArray[Any] = dataset.read(bands, window=Window.from_slices(rows, columns))
        return pixels


def by_stem(folder: Path, ending: str = "", *, others: bool = False) -> dict[str, Path]:
    """The image files of a folder by their names up to an ending such as ``_sat``.

    Parameters
    ----------
    folder : Path
    ending : str
        What names end in before the dot; files without it are left out.
    others : bool
        Whether files without the ending are taken as well.

    Raises
    ------
    UserError
        When two files have the same name.
    """
    named: dict[str, Path] = {}
    for path in sorted(folder.iterdir()) if folder.is_dir() else []:
        if path.suffix.lower() in IMAGES and (others or path.stem.endswith(ending)):
            other = named.setdefault(path.stem.removesuffix(ending), path)
            if other != path:
                raise UserError(
                    f"{other} and {path.name} have the same name; keep one of them in that folder"
                )
    return named


def paired(
    images: Mapping[str, Path],
    labels: Mapping[str, Path],
    where: Path,
    remedy: str = "check the folder and the names",
) -> list[tuple[str, Path, Path]]:
    """Name, image and labels of what has both; the rest is told of.

    Parameters
    ----------
    images, labels : mapping of str to Path
        Files by name.
    where : Path
        The folder that they are in.
    remedy : str
        What to do when nothing has both.

    Raises
    ------
    UserError
        When nothing has both.
    """
    names = sorted(set(images) & set(labels))
    if not names:
        raise UserError(
            f"{where} holds {_shown(images, where, 'images')} and "
            f"{_shown(labels, where, 'label files')}, none of which belong together; {remedy}"
        )
    alone = sorted(set(images) ^ set(labels))
    if alone:
        log.warning(
            "%s: %d files have no partner and are left out, first %s", where, len(alone), alone[0]
        )
    return [(name, images[name], labels[name]) for name in names]


def _shown(files: Mapping[str, Path], where: Path, kind: str) -> str:
    """How many files of a kind there are, and the first of them."""
    first = "".join(f" ({path.relative_to(where)})" for path in list(files.values())[:1])
    return f"{len(files)} {kind}{first}"


def common_gsd(scenes: Iterable[Scene]) -> float | None:
    """The ground sample distance of scenes, in metres, as their rasters say it.

    Parameters
    ----------
    scenes : iterable of Scene

    Returns
    -------
    float or None
        None where a raster does not say it, or in degrees, or where sizes differ by more than 1 %.
    """
    sides: list[float] = []
    for scene in scenes:
        grid = grid_of(scene.image)
        size = pixel_size(grid) if grid.crs is not None and grid.crs.is_projected else None
        if size is None:
            return None
        sides += size
    return median(sides) if sides and max(sides) <= min(sides) * (1 + SLACK) else None


@dataclass
class LabelFiles:
    """The label files of a data set: how they are decoded, and what they hold of no class.

    Parameters
    ----------
    decode : callable
        From pixels to class indices.
    other : str
        What becomes of marks of no class, for the message that is given when the first is met.
    """

    decode: Decode
    other: str = "ignored"
    _is_told: bool = field(default=False, repr=False)

    def scenes(self, pairs: Iterable[tuple[str, Path, Path]]) -> list[Scene]:
        """Scenes of images and their label files."""
        return [self.scene(open_raster(image), labels) for _, image, labels in pairs]

    def scene(self, image: xr.DataArray, path: Path) -> Scene:
        """An image with its labels, which are read by window.

        Raises
        ------
        UserError
            When the labels have another size, lie elsewhere, or have too few bands.
        """
        with opened(fspath(path)) as dataset:
            colors = _color_table(dataset) if isinstance(self.decode, Palette) else None
            bands = (1, 2, 3) if isinstance(self.decode, Palette) and colors is None else (1,)
            if dataset.shape != image.shape[1:] or dataset.count < len(bands):
                raise UserError(
                    f"{path} has {dataset.count} bands of {dataset.shape} pixels, its image "
                    f"{image.shape[1:]}; labels have {len(bands)} of the image's size"
                )
            if not _lie_together(grid_of_file(dataset), grid_of(image)):
                raise UserError(f"{path} lies elsewhere than its image; give labels on its grid")
        return Scene(image, lazy_labels(_LabelFile(fspath(path), bands, self, colors), image))

    def tell(self, strange: Counter[str], path: str) -> None:
        """Tell of marks of no class, once."""
        if strange and not self._is_told:
            self._is_told = True
            log.warning(
                "labels of no class are %s wherever they are, first in %s: %s",
                self.other, path, told(strange),
            )  # fmt: skip


def _lie_together(one: Grid, other: Grid) -> bool:
    """Whether two grids of one size agree to half a pixel, as far as they say where they lie."""
    if one.transform is None or other.transform is None:
        return True
    rows, columns = one.shape
    for corner in ((0, 0), (columns, rows)):
        column, row = ~other.transform @ (one.transform @ corner)
        if max(abs(column - corner[0]), abs(row - corner[1])) > 0.5:
            return False
    return one.crs is None or other.crs is None or bool(one.crs == other.crs)


def _color_table(dataset: rasterio.DatasetReader) -> NDArray[np.uint8] | None:
    """Colours that the numbers of a single band stand for, shape (3, 256); None without a table.

    Masks of colours are stored so where a program found few of them.
    """
    if dataset.count > 1 or dataset.colorinterp[0] is not ColorInterp.palette:
        return None
    table = np.zeros((3, 256), np.uint8)
    for number, color in dataset.colormap(1).items():
        table[:, number] = color[:3]
    return table


@dataclass(frozen=True)
class _LabelFile:
    path: str
    bands: tuple[int, ...]
    files: LabelFiles
    colors: NDArray[np.uint8] | None = None

    def __call__(self, rows: slice, columns: slice) -> NDArray[Any]:
        pixels = read_window(self.path, self.bands, rows, columns)
        indices, strange = self.files.decode(
            pixels if self.colors is None else self.colors[:, pixels[0]]
        )
        self.files.tell(strange, self.path)
        return indices
