"""Raster files as lazy DataArrays: opened in a moment, read by window, one handle per thread."""

from __future__ import annotations

import re
import threading
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import product
from math import hypot, inf
from os import PathLike, fspath
from pathlib import Path
from typing import Any, Protocol
from uuid import uuid4

import numpy as np
import rasterio
import xarray as xr
from numpy.typing import NDArray
from rasterio._err import (
    CPLE_AppDefinedError,
    CPLE_BaseError,
    CPLE_FileIOError,
    CPLE_IllegalArgError,
    CPLE_NotSupportedError,
    CPLE_OutOfMemoryError,
)
from rasterio.crs import CRS
from rasterio.enums import MaskFlags, Resampling
from rasterio.errors import RasterioError
from rasterio.vrt import WarpedVRT
from rasterio.warp import transform
from rasterio.windows import Window
from xarray.backends import BackendArray
from xarray.core import indexing

from geoseg.addresses import is_remote
from geoseg.errors import UserError
from geoseg.raster.arrays import grid_of
from geoseg.raster.damage import Damage, within
from geoseg.raster.files import (
    band_name,
    band_numbers,
    grid_of_file,
    is_alpha,
    open_dataset,
    opened,
    patiently,
    reading,
    refuse_unusable,
)
from geoseg.raster.grid import Grid, parse_crs, with_assumed_crs
from geoseg.raster.sidecar import class_attrs, class_table
from geoseg.windows import Box, box_shape, grown

__all__ = [
    "Readable",
    "Source",
    "Tiles",
    "as_dataarray",
    "marks_apart",
    "open_raster",
    "open_stack",
    "origin_in",
    "tiles_of",
    "warp_target",
]

HANDLES_PER_THREAD = (
    16  # a stack of thirteen single-band files stays open; ten thousand scenes do not
)

PIECE = 1 << 24  # bytes read at a time to see whether they can be
# What GDAL says where bytes make no pixels; its other errors are of networks, permissions and bugs.
DECODING = CPLE_AppDefinedError, CPLE_FileIOError, CPLE_NotSupportedError, CPLE_IllegalArgError
OUT_OF_MEMORY = re.compile(r"out of memory|cannot allocate|memory allocation|No space for", re.I)


@dataclass(frozen=True)
class Source:
    """One file and the bands wanted of it; pickles, opens its handles on its own.

    Parameters
    ----------
    path : str
        What GDAL opens.
    bands : tuple of int
        Band numbers of the file, from 1.
    masked : bool
        Read as float32 with NaN where GDAL's mask says there is no data, scale and offset applied;
        else the values as they are stored.
    grid : Grid or None
        The grid to warp to while reading; None for the file's own.
    crs : rasterio.crs.CRS or None
        What to warp from, where the file itself does not say it.
    damage : Damage or None
        Where tiles that cannot be read are noted, which are NaN then; by default they are an error.
    scaling : tuple of (scale, offset), or None
        Of each of the bands, where something else than the file says it.
    nodata : float or None
        What marks missing pixels of a file that does not say it.
    opening : str
        Of its own for each time that a user opens the file: handles are shared within one, and not
        with an earlier one, since when the file, or one behind it, may have been replaced.
    """

    path: str
    bands: tuple[int, ...]
    masked: bool
    grid: Grid | None = None
    crs: CRS | None = None
    damage: Damage | None = None
    scaling: tuple[tuple[float, float], ...] | None = None
    nodata: float | None = None
    opening: str = field(default_factory=lambda: uuid4().hex)

    def read(self, bands: Sequence[int], rows: slice, columns: slice) -> NDArray[Any]:
        """Read a window of some bands: (band, y, x)."""
        numbers = [self.bands[i] for i in bands]
        try:
            return patiently(self.path, lambda: self._read(numbers, (rows, columns)))
        except UserError as error:
            if self.damage is None or is_remote(self.path):  # nobody can tell what a network hides
                raise
            _refuse_gone(self.path, _handle(self), error)
            return self._read_tiles(numbers, (rows, columns), self.damage)

    def _read_tiles(self, numbers: list[int], box: Box, damage: Damage) -> NDArray[np.float32]:
        """Read a window tile by tile; those that cannot be read are noted, and NaN.

        Whole tiles are read, so that it does not depend on the window which they are.
        """
        dataset = _handle(self)
        pixels = np.full((len(numbers), *box_shape(box)), np.nan, np.float32)
        shape = (dataset.height, dataset.width)
        for tile in _tiles_under(box, dataset.block_shapes[0], shape):
            try:
                values = self._read(numbers, tile)
            except UserError as error:
                _refuse_undecoded(self.path, error)
                _refuse_gone(self.path, dataset, error)
                _refuse_unread(self, dataset, tile, error)
                damage.note(tile)
                continue
            inside, own = next(within([tile], box)), next(within([box], tile))
            pixels[:, *inside] = values[:, *own]
        return pixels

    def _read(self, numbers: list[int], box: Box) -> NDArray[Any]:
        window = Window.from_slices(*box)
        with reading(self.path), _forgotten_if_it_fails(self):
            dataset = _handle(self)
            if not self.masked:
                return np.asarray(dataset.read(numbers, window=window))
            values = self._unscaled(dataset, numbers, window)
        pairs = self._scaling(dataset, numbers)
        scale, offset = (
            np.array(each, np.float32)[:, None, None] for each in zip(*pairs, strict=True)
        )
        return np.asarray(values * scale + offset)

    def _unscaled(
        self, dataset: rasterio.DatasetReader, numbers: list[int], window: Window
    ) -> NDArray[np.float32]:
        """Pixels of a window, NaN where there is no data."""
        if self.grid is not None:
            return _warped(dataset, numbers, window)
        if self.nodata is not None:
            stored = dataset.read(numbers, window=window)
            values = stored.astype(np.float32)
            values[stored == self.nodata] = np.nan
            return np.asarray(values)
        values = dataset.read(numbers, window=window, out_dtype="float32")
        values[dataset.read_masks(numbers, window=window) == 0] = np.nan
        return np.asarray(values)

    def _scaling(
        self, dataset: rasterio.DatasetReader, numbers: Sequence[int]
    ) -> list[tuple[float, float]]:
        if self.scaling is None:
            return [(dataset.scales[n - 1], dataset.offsets[n - 1]) for n in numbers]
        return [self.scaling[self.bands.index(n)] for n in numbers]


class Readable(Protocol):
    """What windows of some bands are read from."""

    @property
    def bands(self) -> tuple[int, ...]:
        """Numbers of the bands."""

    @property
    def path(self) -> str:
        """What it is called after."""

    @property
    def damage(self) -> Damage | None:
        """Where tiles that cannot be read are noted."""

    def read(self, bands: Sequence[int], rows: slice, columns: slice) -> NDArray[Any]:
        """Read a window of some bands, given by their places: (band, y, x)."""


class RasterArray(BackendArray):
    """The bands of one or several sources as one array that reads when it is indexed."""

    def __init__(self, sources: tuple[Readable, ...], grid: tuple[int, int], dtype: np.dtype[Any]):
        self.sources = sources
        self.shape = (sum(len(source.bands) for source in sources), *grid)
        self.dtype = dtype

    def __getitem__(self, key: indexing.ExplicitIndexer) -> Any:
        return indexing.explicit_indexing_adapter(
            key, self.shape, indexing.IndexingSupport.OUTER, self._read
        )

    def _read(self, key: tuple[Any, ...]) -> NDArray[Any]:
        places = [np.arange(n)[k] for n, k in zip(self.shape, key, strict=True)]
        bands, rows, columns = (np.atleast_1d(each) for each in places)
        if 0 in (bands.size, rows.size, columns.size):
            data = np.empty((bands.size, rows.size, columns.size), self.dtype)
        else:
            data = self._read_hull(bands, rows, columns)
        squeezed = tuple(0 if each.ndim == 0 else slice(None) for each in places)
        return np.asarray(data[squeezed])

    def _read_hull(
        self, bands: NDArray[np.intp], rows: NDArray[np.intp], columns: NDArray[np.intp]
    ) -> NDArray[Any]:
        top, left = int(rows.min()), int(columns.min())
        box = slice(top, int(rows.max()) + 1), slice(left, int(columns.max()) + 1)
        data = np.concatenate(list(self._read_sources(bands, *box)))
        if (damage := self.sources[0].damage) is not None:
            damage.spread(data, box)
        if data.shape[1:] == (rows.size, columns.size) and rows[0] <= rows[-1]:
            return data
        return data[:, rows - top][:, :, columns - left]

    def _read_sources(
        self, bands: NDArray[np.intp], rows: slice, columns: slice
    ) -> Iterator[NDArray[Any]]:
        owners = [(s, i) for s in self.sources for i in range(len(s.bands))]
        wanted = [owners[band] for band in bands]
        start = 0
        for stop in range(1, len(wanted) + 1):
            if stop == len(wanted) or wanted[stop][0] is not wanted[start][0]:
                source = wanted[start][0]
                numbers = [i for _, i in wanted[start:stop]]
                yield source.read(numbers, rows, columns).astype(self.dtype, copy=False)
                start = stop


_local = threading.local()


@contextmanager
def _forgotten_if_it_fails(source: Source) -> Iterator[None]:
    """Open a file over a network anew after a failure: GDAL may remember it."""
    try:
        yield
    except RasterioError:
        if is_remote(source.path) and (lost := _local.handles.pop(_key(source), None)):
            lost.close()
        raise


def _key(source: Source) -> tuple[Any, ...]:
    return source.path, source.opening, source.grid, source.crs, source.nodata


def _refuse_gone(path: str, dataset: rasterio.DatasetReader, why: UserError) -> None:
    """Refuse to go on without what is not damaged but gone: a disk, a share, a permission."""
    for file in {path, *dataset.files}:
        try:
            if Path(path).exists() or Path(file).exists():
                with Path(file).open("rb") as opened:
                    opened.read(1)
        except OSError as error:
            raise UserError(f"cannot read {file} any more ({error.strerror})") from why


def _refuse_undecoded(path: str, why: UserError) -> None:
    """Refuse to take for damaged what there was no memory for, or what did not come to decoding."""
    error: BaseException | None = why
    while error is not None:
        if isinstance(error, CPLE_OutOfMemoryError) or OUT_OF_MEMORY.search(str(error)):
            raise MemoryError(f"GDAL had no memory for a tile of {path}") from why
        if isinstance(error, CPLE_BaseError) and not isinstance(error, DECODING):
            raise why
        error = error.__cause__


def _refuse_unread(
    source: Source, dataset: rasterio.DatasetReader, tile: Box, why: UserError
) -> None:
    """Refuse to take for damaged what the disk does not give: GDAL says the same of both.

    Of a GeoTIFF the bytes of the tile are read, of other files all of them, once.
    """
    try:
        for file in {source.path, *dataset.files}:
            if file == source.path and source.grid is None and dataset.driver == "GTiff":
                _read_bytes(file, _places_of(dataset, tile))
            elif Path(file).is_file():
                facts = Path(file).stat()
                _read_all(file, facts.st_size, facts.st_mtime_ns)
    except OSError as error:
        raise UserError(
            f"cannot read {file}: the disk fails ({error.strerror}); mend it, and give the same "
            "command again"
        ) from why


def _places_of(dataset: rasterio.DatasetReader, tile: Box) -> Iterator[tuple[int, int]]:
    """Where the bytes of a tile lie in a GeoTIFF, and how many there are."""
    row, column = (
        span.start // size for span, size in zip(tile, dataset.block_shapes[0], strict=True)
    )
    for band in dataset.indexes:
        offset, size = (
            dataset.get_tag_item(f"BLOCK_{what}_{column}_{row}", "TIFF", bidx=band)
            for what in ("OFFSET", "SIZE")
        )
        if offset and size:
            yield int(offset), int(size)


def _read_bytes(file: str, places: Iterable[tuple[int, int]]) -> None:
    with Path(file).open("rb", buffering=0) as opened:
        for offset, size in places:
            opened.seek(offset)
            left = size
            while left and (piece := opened.read(min(left, PIECE))):
                left -= len(piece)


@lru_cache(HANDLES_PER_THREAD)
def _read_all(file: str, size: int, _changed: int) -> None:
    _read_bytes(file, [(0, size)])


def _tiles_under(box: Box, tile: tuple[int, int], shape: tuple[int, int]) -> Iterator[Box]:
    """The whole tiles of a raster under a box."""
    spans = [
        [
            slice(start, min(start + size, length))
            for start in range(span.start // size * size, span.stop, size)
        ]
        for span, size, length in zip(box, tile, shape, strict=True)
    ]
    yield from product(*spans)


def _warped(
    dataset: rasterio.DatasetReader, numbers: list[int], window: Window
) -> NDArray[np.float32]:
    """Pixels of a window that are warped while they are read, block by block of GDAL's.

    It places pixels by what it warps at a time, up to an eighth of a pixel off: read as they are
    asked for, they would depend on the window.
    """
    box = window.toslices()
    pixels = np.empty((len(numbers), *box_shape(box)), np.float32)
    for cell in _tiles_under(box, dataset.block_shapes[0], dataset.shape):
        values = dataset.read(numbers, window=Window.from_slices(*cell))
        inside, own = next(within([cell], box)), next(within([box], cell))
        pixels[:, *inside] = values[:, *own]
    return pixels


def _handle(source: Source) -> rasterio.DatasetReader:
    """The handle of the running thread: GDAL's handles must not be shared between threads."""
    cache: OrderedDict[Any, Any] = _local.__dict__.setdefault("handles", OrderedDict())
    key = _key(source)
    if key not in cache:
        cache[key] = _open_handle(source)
        while len(cache) > HANDLES_PER_THREAD:
            cache.popitem(last=False)[1].close()
    cache.move_to_end(key)
    return cache[key]


def _open_handle(source: Source) -> rasterio.DatasetReader:
    dataset = open_dataset(source.path)
    if source.grid is None:
        return dataset
    rows, columns = source.grid.shape
    return WarpedVRT(
        dataset,
        src_crs=source.crs,
        **({} if source.nodata is None else {"src_nodata": source.nodata}),
        crs=source.grid.crs,
        transform=source.grid.transform,
        height=rows,
        width=columns,
        resampling=Resampling.bilinear,
        **_scales(dataset, source),
        dtype="float32",
        nodata=np.nan,  # whatever says that pixels are missing, the end of the file included
    )


def _scales(dataset: rasterio.DatasetReader, source: Source) -> dict[str, str]:
    """Pixels of the target for one of the file, along both axes of the target.

    GDAL would find them for each block by itself, and smooth where the grids are turned against
    each other (https://gdal.org/en/stable/api/gdalwarp_cpp.html, XSCALE).
    """
    grid = source.grid
    if grid is None or grid.transform is None:
        return {}
    row, column = grid.shape[0] / 2, grid.shape[1] / 2
    places = [grid.transform @ at for at in ((column, row), (column + 1, row), (column, row + 1))]
    x, y = transform(grid.crs, source.crs or dataset.crs, *zip(*places, strict=True))
    here, *beside = (~dataset.transform @ place for place in zip(x, y, strict=True))
    steps = [hypot(at[0] - here[0], at[1] - here[1]) for at in beside]
    if not all(0 < step < inf for step in steps):
        return {}
    return {name: str(1 / step) for name, step in zip(("XSCALE", "YSCALE"), steps, strict=True)}


@dataclass(frozen=True)
class Tiles:
    """How a file is tiled: the size of a tile, and where in the file an image begins.

    Parameters
    ----------
    rows, columns : int
    bytes : int
        Of a decoded tile, all bands.
    top : int
        Row of the file that is the first of the image.
    """

    rows: int
    columns: int
    bytes: int
    top: int = 0

    def end(self, row: int) -> int:
        """The first row of the image after the tile that ends at a row or beyond it."""
        return grown(row + self.top, self.rows) - self.top


def tiles_of(path: str, image: xr.DataArray) -> Tiles:
    """How a file is tiled.

    Parameters
    ----------
    path : str
    image : DataArray, dims (band, y, x)
        What was read of it: all of it, or a part by `clip`.

    Raises
    ------
    UserError
        As `patiently` does.
    """
    return patiently(path, lambda: _tiles_of(path, image))


def _tiles_of(path: str, image: xr.DataArray) -> Tiles:
    with opened(path) as dataset:
        rows, columns = dataset.block_shapes[0]
        pixel = sum(np.dtype(dtype).itemsize for dtype in dataset.dtypes)
        top, _ = origin_in(dataset, image)
        return Tiles(rows, columns, rows * columns * pixel, top)


def origin_in(dataset: rasterio.DatasetReader, image: xr.DataArray) -> tuple[int, int]:
    """Row and column of a file where an image that is a part of it begins."""
    part = grid_of(image).transform
    if part is None or dataset.transform.is_identity:
        return 0, 0
    left, top = ~dataset.transform @ (part.c, part.f)
    inside = 0 <= round(top) < dataset.height and 0 <= round(left) < dataset.width
    return (round(top), round(left)) if inside else (0, 0)


def open_raster(
    path: str | PathLike[str],
    *,
    bands: Sequence[str | int] | None = None,
    assume_crs: str | None = None,
    damage: Damage | None = None,
) -> xr.DataArray:
    """Open a raster file; nothing but its header is read until values are asked for.

    Parameters
    ----------
    path : str or path-like
        Anything GDAL opens: a file, a VRT, ``/vsicurl/...``, ``s3://...``.
    bands : sequence of str or int, optional
        Bands by description or by number from 1, in the order wanted. By default every band that
        is not an alpha band.
    assume_crs : str, optional
        Coordinate system of a file that has coordinates and does not say in which system: a code
        such as ``"EPSG:32633"``, or WKT.
    damage : Damage, optional
        Where tiles that cannot be read are noted; their pixels are NaN, and all are float32. By
        default they are an error when they are read. Over a network they always are.

    Returns
    -------
    DataArray, dims (band, y, x)
        With CRS, transform and no-data value as rioxarray keeps them, band numbers as coordinate
        ``band`` and band descriptions in ``attrs["long_name"]``; of a class map that names its
        classes their names and colours, as `geoseg.class_table` reads them. Values are as stored;
        of files with an alpha band, a mask, a scale or an offset they are float32, scaled, with NaN
        where there is no data.

    Raises
    ------
    UserError
        When the file is missing, cut short or no raster, has complex pixels or no such band, is
        located by ground control points or rational polynomials only, or has another coordinate
        system than `assume_crs` or no coordinates.
    """
    name, assumed = fspath(path), None if assume_crs is None else parse_crs(assume_crs)
    with opened(name) as dataset:
        refuse_unusable(dataset, name, maybe_cut_short=damage is not None)
        numbers = band_numbers(dataset, bands, name)
        masked = _needs_masking(dataset, numbers)
        source = Source(name, numbers, masked, damage=damage)
        nodata = np.nan if masked else dataset.nodatavals[numbers[0] - 1]
        dtype = (
            np.dtype("float32") if masked or damage is not None else _common_dtype(dataset, numbers)
        )
        names = [band_name(dataset, n) for n in numbers]
        grid = with_assumed_crs(grid_of_file(dataset), assumed, name)
        image = as_dataarray((source,), grid, dtype, nodata, numbers, names)
    if len(numbers) == 1 and dtype.kind in "iu" and (classes := class_table(name)):
        image.attrs |= class_attrs(classes)
    return image


def open_stack(
    paths: Sequence[str | PathLike[str]],
    *,
    bands: Sequence[Sequence[str | int]] | None = None,
    assume_crs: str | None = None,
    damage: Damage | None = None,
) -> xr.DataArray:
    """Open bands of one scene that lie in separate files, aligned to the first file's grid.

    Parameters
    ----------
    paths : sequence of path-like
        Grids and coordinate systems may differ (bilinear).
    bands : sequence of sequence, optional
        Of each file, as for `open_raster`; by default each gives all its bands.
    assume_crs : str, optional
        Coordinate system of the files that have none, as for `open_raster`.
    damage : Damage, optional
        As for `open_raster`; in tiles of the first file's grid.

    Returns
    -------
    DataArray, dims (band, y, x)
        As `open_raster` gives it, float32 with NaN where there is no data. Bands without a
        description are named after their file.

    Raises
    ------
    UserError
        As `open_raster`; also when grids differ and a file does not say where it lies.
    """
    chosen = [None] * len(paths) if bands is None else bands
    images = [
        open_raster(path, bands=own, assume_crs=assume_crs, damage=damage)
        for path, own in zip(paths, chosen, strict=True)
    ]
    names = [fspath(path) for path in paths]
    assumed = None if assume_crs is None else parse_crs(assume_crs)
    with opened(names[0]) as first:
        grid = with_assumed_crs(grid_of_file(first), assumed, names[0])
    sources, labels = [], []
    for name, image in zip(names, images, strict=True):
        with opened(name) as dataset:
            own_grid = with_assumed_crs(grid_of_file(dataset), assumed, name)
            warp = None
            if own_grid != grid:
                warp = warp_target(grid, own_grid, marks_apart(dataset), name)
            numbers = tuple(int(n) for n in image["band"].values)
            # An alpha band that was asked for as data masks nothing.
            masked = not any(is_alpha(dataset, n) for n in numbers)
            unsaid = assumed if warp is not None and dataset.crs is None else None
        sources.append(Source(name, numbers, masked, warp, unsaid, damage))
        labels += _stack_names(image, name)
    count = range(1, len(labels) + 1)
    return as_dataarray(tuple(sources), grid, np.dtype("float32"), np.nan, tuple(count), labels)


def marks_apart(dataset: rasterio.DatasetReader) -> bool:
    """Whether missing pixels are marked in each band apart, which no warp keeps."""
    return len(set(map(str, dataset.nodatavals))) > 1 or not all(dataset.mask_flag_enums)


def warp_target(grid: Grid, own: Grid, is_apart: bool, name: str) -> Grid:
    """The grid to warp a file of another one to, if that can be done.

    Parameters
    ----------
    grid, own : Grid
        That wanted, and that of the file.
    is_apart : bool
        Whether the file `marks_apart`.
    name : str
        Of the file.

    Raises
    ------
    UserError
    """
    if grid.crs is None or own.crs is None:
        raise UserError(
            f"{name} has another grid than the first file of the stack and one of them has no "
            "coordinate system; give both one, e.g. gdal_edit.py -a_srs EPSG:32633"
        )
    if is_apart:
        raise UserError(
            f"{name} has another grid than the first file of the stack and marks missing pixels "
            "in each band apart; give its bands as files of their own: gdal_translate -b 1"
        )
    return grid


def _stack_names(image: xr.DataArray, path: str) -> list[str]:
    stem = Path(path).stem
    given = image.attrs["long_name"]
    unnamed = [stem] if len(given) == 1 else [f"{stem}_{i}" for i in range(1, len(given) + 1)]
    return [name or other for name, other in zip(given, unnamed, strict=True)]


def as_dataarray(
    sources: tuple[Readable, ...],
    grid: Grid,
    dtype: np.dtype[Any],
    nodata: float | None,
    numbers: tuple[int, ...],
    names: Sequence[str],
) -> xr.DataArray:
    """Sources as a lazy array: (band, y, x), with what is known of it as rioxarray keeps it."""
    data = indexing.LazilyIndexedArray(RasterArray(sources, grid.shape, dtype))
    image = xr.DataArray(
        xr.Variable(("band", "y", "x"), data, {"long_name": tuple(names)}),
        coords={"band": list(numbers), **_axes(grid)},
        name=Path(sources[0].path).stem,
    )
    if grid.crs is not None:
        image = image.rio.write_crs(grid.crs)
    if grid.transform is not None:
        image = image.rio.write_transform(grid.transform)
    if nodata is not None:
        image = image.rio.write_nodata(nodata)
    return image


def _axes(grid: Grid) -> dict[str, Any]:
    """Coordinates of pixel centres, where rows and columns run along x and y."""
    t = grid.transform
    if t is None or t.b or t.d:
        return {}
    rows, columns = grid.shape
    return {"y": t.f + t.e * (np.arange(rows) + 0.5), "x": t.c + t.a * (np.arange(columns) + 0.5)}


def _needs_masking(dataset: rasterio.DatasetReader, numbers: tuple[int, ...]) -> bool:
    """Whether missing pixels or true values are more than one no-data value can tell."""
    picked = [n - 1 for n in numbers]
    alpha = {n for n in dataset.indexes if is_alpha(dataset, n)}
    if not alpha.isdisjoint(numbers):
        return False  # the alpha band was asked for as data, so it masks nothing
    flags = [dataset.mask_flag_enums[i] for i in picked]
    no_mask = {MaskFlags.all_valid, MaskFlags.nodata} | (set() if alpha else {MaskFlags.alpha})
    masks = any(no_mask.isdisjoint(f) for f in flags)
    scaled = any((dataset.scales[i], dataset.offsets[i]) != (1.0, 0.0) for i in picked)
    values = {str(dataset.nodatavals[i]) for i in picked}
    return masks or scaled or len(values) > 1


def _common_dtype(dataset: rasterio.DatasetReader, numbers: tuple[int, ...]) -> np.dtype[Any]:
    return np.result_type(*(np.dtype(dataset.dtypes[n - 1]) for n in numbers))
