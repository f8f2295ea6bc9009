"""Scenes of several files on one grid: bands of different pixel sizes, and scenes side by side.

Where scenes overlap, the first one that has data wins, band by band and pixel by pixel. So a pixel
depends on the files and their order alone, never on the window it is read in.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from math import ceil, floor, hypot, isfinite, isnan, nan

import numpy as np
import rasterio
import xarray as xr
from affine import Affine
from numpy.typing import NDArray
from rasterio._err import CPLE_BaseError
from rasterio.crs import CRS
from rasterio.errors import RasterioError
from rasterio.warp import calculate_default_transform, transform_bounds

from geoseg.errors import UserError
from geoseg.raster.files import (
    MOST_PIXELS,
    Listing,
    grid_of_file,
    is_alpha,
    listed,
    opened,
    patiently,
    refuse_unusable,
)
from geoseg.raster.grid import Grid, called, parse_crs
from geoseg.raster.read import Source, as_dataarray, marks_apart, warp_target
from geoseg.raster.why import shown
from geoseg.windows import Box, box_shape, common, relative

__all__ = ["Layer", "Wanted", "open_mosaic"]

OPENERS = 16  # headers that are fetched at a time: over a network each takes a few round trips
NEAR = 1e-3  # share of a pixel by which grids may be off and be the same
EDGE = 1  # pixels that bilinear weights reach beyond a file


@dataclass(frozen=True)
class Layer:
    """Some bands of a file, and what is said of their values elsewhere.

    Parameters
    ----------
    path : str
        What GDAL opens.
    bands : tuple of int
        Numbers from 1.
    scaling : tuple of (scale, offset) or None
        Of each of the bands, whose values are ``stored * scale + offset``; None leaves it to the
        file.
    nodata : float or None
        What marks missing pixels where the file does not say it.
    count : int or None
        How many bands of the file are named as data; None where nothing says so but `bands`.
    unlisted : str
        What bands are called that nothing lists: this, a colon and a number. Empty for others.
    """

    path: str
    bands: tuple[int, ...]
    scaling: tuple[tuple[float, float] | None, ...]
    nodata: float | None
    count: int | None
    unlisted: str


@dataclass(frozen=True)
class Wanted:
    """The grid that is wanted, as far as the files are not to say it.

    Parameters
    ----------
    crs : str or None
        Coordinate system.
    resolution : float or None
        Side of a pixel, in units of the coordinate system.
    """

    crs: str | None = None
    resolution: float | None = None


@dataclass(frozen=True)
class Located(Grid):
    """A grid that has its place on the earth."""

    crs: CRS
    transform: Affine


@dataclass(frozen=True)
class Piece:
    """A file on a part of the grid."""

    source: Source
    box: Box


@dataclass(frozen=True)
class Mosaic:
    """Bands that several files have, each in its place; read like a `Source`.

    Parameters
    ----------
    pieces : tuple of Piece
        The first one that has data wins.
    """

    pieces: tuple[Piece, ...]

    @property
    def bands(self) -> tuple[int, ...]:
        """Numbers of the bands in the first file."""
        return self.pieces[0].source.bands

    @property
    def path(self) -> str:
        """The first file."""
        return self.pieces[0].source.path

    @property
    def damage(self) -> None:
        """Nothing, for what cannot be read is always an error."""

    def read(self, bands: Sequence[int], rows: slice, columns: slice) -> NDArray[np.float32]:
        """Read a window of some bands: (band, y, x)."""
        window = rows, columns
        pixels = np.full((len(bands), *box_shape(window)), np.nan, np.float32)
        for piece in self.pieces:
            shared = common(piece.box, window)
            if shared is None:
                continue
            part = pixels[:, *relative(shared, window)]
            gone = ~np.isfinite(part)
            if gone.any():
                values = piece.source.read(bands, *relative(shared, piece.box))
                part[gone] = values[gone]
        return pixels


@dataclass(frozen=True)
class Looked:
    """What the header of a layer's file says, and which files it is made of."""

    layer: Layer
    listing: Listing
    grid: Located
    scaling: tuple[tuple[float, float], ...]
    nodata: float | None
    is_apart: bool


def open_mosaic(
    scenes: Sequence[Sequence[Layer]], names: Sequence[str], title: str, wanted: Wanted
) -> tuple[xr.DataArray, dict[str, Listing]]:
    """Open scenes as one; nothing but headers is read until values are asked for.

    Parameters
    ----------
    scenes : sequence of sequence of Layer
        Each with the same bands in the same number of layers.
    names : sequence of str
        Of the bands, all layers together.
    title : str
        Name of the array.
    wanted : Wanted
        By default a single scene is put on the grid of its finest file, several on one that holds
        them all, in the coordinate system and on the lattice of the finest file of the first.

    Returns
    -------
    image : DataArray, dims (band, y, x)
        float32, scaled, NaN where there is no data; other grids are read bilinearly.
    files : dict of str to Listing
        What is read, that whose lattice is taken first; of each the files that it is made of.

    Raises
    ------
    UserError
        When a file cannot be used, or there is no grid for all of them.
    """
    flat = [layer for scene in scenes for layer in scene]
    with ThreadPoolExecutor(OPENERS) as openers:
        looked = list(openers.map(_look_at, flat))
    first = min(looked[: len(scenes[0])], key=lambda each: _pixel_area(each.grid))
    is_alone = len(scenes) == 1 and wanted == Wanted()
    grid = first.grid if is_alone else _common_grid(looked, first, wanted)
    pieces = [_piece(each, grid) for each in looked]
    count = len(scenes[0])
    mosaics = tuple(Mosaic(tuple(pieces[i::count])) for i in range(count))
    numbers = tuple(range(1, len(names) + 1))
    image = as_dataarray(mosaics, grid, np.dtype("float32"), np.nan, numbers, names)
    files = {each.layer.path: each.listing for each in [first, *looked]}
    return image.rename(title), files


def _look_at(layer: Layer) -> Looked:
    return patiently(layer.path, lambda: _looked_at(layer))


def _looked_at(layer: Layer) -> Looked:
    path = layer.path
    with opened(path) as dataset:
        refuse_unusable(dataset, path)
        _refuse_other_bands(layer, dataset)
        own = [(float(dataset.scales[n - 1]), float(dataset.offsets[n - 1])) for n in layer.bands]
        return Looked(
            layer,
            listed(path, dataset),
            _located(grid_of_file(dataset), path),
            tuple(_agreed(*each, path) for each in zip(layer.scaling, own, strict=True)),
            _missing(layer, dataset),
            marks_apart(dataset),
        )


def _refuse_other_bands(layer: Layer, dataset: rasterio.DatasetReader) -> None:
    """Refuse a file that has not the bands that are named."""
    held = sum(not is_alpha(dataset, number) for number in dataset.indexes)
    path, highest = shown(layer.path), max(layer.bands)
    if layer.unlisted and highest > dataset.count:
        raise UserError(
            f"{path} has {dataset.count} band(s) and no {layer.unlisted}:{highest}; name one that "
            f"is there: --bands (bands) with {layer.unlisted}:{dataset.count}, say"
        )
    if layer.count is None or held <= layer.count <= dataset.count:
        return
    if layer.unlisted:
        raise UserError(
            f"{path} has {held} bands and its item lists none; name the one that is meant: --bands "
            f"(bands) with {layer.unlisted}:1, say"
        )
    raise UserError(
        f"{path} has {held} bands and its item names {layer.count}; correct the item, or give the "
        "file itself"
    )


def _located(grid: Grid, path: str) -> Located:
    if grid.crs is None or grid.transform is None:
        raise UserError(
            f"{shown(path)} does not say where it lies, which assets of items must; give it a "
            "place: gdal_edit.py -a_srs EPSG:32633 -a_ullr WEST NORTH EAST SOUTH"
        )
    return Located(grid.shape, grid.crs, grid.transform)


def _agreed(
    said: tuple[float, float] | None, own: tuple[float, float], path: str
) -> tuple[float, float]:
    """How values are scaled: once, also where both the file and its description say it."""
    if said is None:
        return own
    if own != (1.0, 0.0) and not np.allclose(said, own, rtol=1e-6, atol=0):
        raise UserError(
            f"{shown(path)} says scale {own[0]:g} and offset {own[1]:g} where its item says "
            f"{said[0]:g} and {said[1]:g}; correct one of them (gdal_edit.py -scale -offset)"
        )
    return said


def _missing(layer: Layer, dataset: rasterio.DatasetReader) -> float | None:
    """What marks missing pixels in place of what the file says; NaN always does."""
    said = layer.nodata
    named = layer.bands if layer.count is None else range(1, layer.count + 1)
    if any(is_alpha(dataset, number) for number in named):
        return nan if said is None else said  # an alpha band that is named as data masks nothing
    if said is None or isnan(said):
        return None
    own = {dataset.nodatavals[n - 1] for n in layer.bands}
    if own == {None}:
        has_mask = any(flags[0].name != "all_valid" for flags in dataset.mask_flag_enums)
        return None if has_mask else said
    if own != {said}:
        told = ", ".join(str(each) for each in sorted(own, key=str))
        raise UserError(
            f"{shown(layer.path)} says no data {told} where its item says {said:g}; correct one "
            f"of them (gdal_edit.py -a_nodata {said:g})"
        )
    return None


def _piece(looked: Looked, grid: Located) -> Piece:
    layer, own = looked.layer, looked.grid
    shift = _shift(own, grid)
    if shift is None:
        box = _box(own, grid)
        corner = Affine.translation(box[1].start, box[0].start)
        warp = Grid(box_shape(box), grid.crs, grid.transform @ corner)
        warp_target(warp, own, looked.is_apart, layer.path)
        if looked.nodata is not None and isnan(looked.nodata):
            raise UserError(
                f"{shown(layer.path)} has another grid than the first and an alpha band that is "
                "named as data; say what it is: gdal_edit.py -colorinterp_4 undefined"
            )
    else:
        (top, left), (rows, columns), warp = shift, own.shape, None
        box = slice(top, top + rows), slice(left, left + columns)
    source = Source(
        layer.path,
        layer.bands,
        masked=True,
        grid=warp,
        scaling=looked.scaling,
        nodata=looked.nodata,
    )
    return Piece(source, box)


def _shift(own: Located, grid: Located) -> tuple[int, int] | None:
    """Rows and columns by which a file on the same lattice is moved; None for other lattices."""
    if own.crs != grid.crs:
        return None
    to_grid = ~grid.transform @ own.transform
    rows, columns = own.shape
    corners = [to_grid @ corner for corner in ((0, 0), (columns, rows), (columns, 0))]
    left, top = (round(each) for each in corners[0])
    expected = [(left, top), (left + columns, top + rows), (left + columns, top)]
    off = max(hypot(x - u, y - v) for (x, y), (u, v) in zip(corners, expected, strict=True))
    return (top, left) if off < NEAR else None


def _box(own: Located, grid: Located) -> Box:
    """The part of a grid on which a file may have data."""
    (left, right), (top, bottom) = _span(own, grid.crs, grid.transform)
    rows, columns = grid.shape
    first = max(floor(top) - EDGE, 0), max(floor(left) - EDGE, 0)
    last = min(ceil(bottom) + EDGE, rows), min(ceil(right) + EDGE, columns)
    # What lies outside is read as nothing; a grid needs a pixel all the same.
    tall, wide = (slice(min(a, n - 1), max(b, min(a, n - 1) + 1)) for a, b, n in
                  zip(first, last, grid.shape, strict=True))  # fmt: skip
    return tall, wide


def _span(
    own: Located, crs: CRS, lattice: Affine
) -> tuple[tuple[float, float], tuple[float, float]]:
    """The extent of a file in columns and in rows of a lattice of another system."""
    rows, columns = own.shape
    corners = [own.transform @ each for each in ((0, 0), (columns, 0), (0, rows), (columns, rows))]
    x, y = zip(*corners, strict=True)
    bounds = min(x), min(y), max(x), max(y)
    if own.crs != crs:
        try:
            bounds = transform_bounds(own.crs, crs, *bounds, densify_pts=21)
        except (RasterioError, CPLE_BaseError):
            bounds = (float("inf"),) * 4
    if not all(map(isfinite, bounds)):
        raise UserError(
            f"a raster in {called(own.crs)} cannot be brought to {called(crs)}, where it lies "
            "nowhere; choose another coordinate system (crs), or leave it out"
        )
    west, south, east, north = bounds
    places = [
        ~lattice @ each for each in ((west, south), (west, north), (east, south), (east, north))
    ]
    across, down = zip(*places, strict=True)
    return (min(across), max(across)), (min(down), max(down))


def _common_grid(looked: Sequence[Looked], first: Looked, wanted: Wanted) -> Located:
    """The grid that holds all files."""
    crs = first.grid.crs if wanted.crs is None else parse_crs(wanted.crs)
    lattice = _lattice(first.grid, crs, wanted.resolution)
    spans = [_span(each.grid, crs, lattice) for each in looked]
    left, top = (min(span[axis][0] for span in spans) for axis in (0, 1))
    right, bottom = (max(span[axis][1] for span in spans) for axis in (0, 1))
    start = floor(left + NEAR), floor(top + NEAR)
    shape = ceil(bottom - NEAR) - start[1], ceil(right - NEAR) - start[0]
    if max(shape) > MOST_PIXELS:
        raise UserError(
            f"the scenes lie so far apart that one grid for all has {shape[0]} x {shape[1]} "
            f"pixels, more than {MOST_PIXELS} a side; give those that belong together"
        )
    return Located(shape, crs, lattice @ Affine.translation(*start))


def _lattice(grid: Located, crs: CRS, resolution: float | None) -> Affine:
    """Corners of pixels, north up, of any extent."""
    if resolution is not None and not 0 < resolution < float("inf"):
        raise UserError(f"resolution {resolution} must be a positive number, as in 10")
    t = grid.transform
    if resolution is None and grid.crs == crs and not (t.b or t.d) and t.a > 0 > t.e:
        return t
    if resolution is None:
        rows, columns = grid.shape
        (west, east), (south, north) = _span(grid, grid.crs, Affine.identity())
        made, _, _ = calculate_default_transform(
            grid.crs, crs, columns, rows, west, south, east, north
        )
        resolution = made.a
    return Affine(resolution, 0, 0, 0, -resolution, 0)


def _pixel_area(grid: Located) -> float:
    return abs(grid.transform.determinant)
