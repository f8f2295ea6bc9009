"""Raster files as GDAL opens them: what they hold, where they lie, and why they cannot be used."""

from __future__ import annotations

import logging
import os
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from math import isfinite
from os import stat
from typing import Any, TypeVar

import numpy as np
import rasterio
from affine import Affine
from rasterio._err import CPLE_BaseError
from rasterio.enums import ColorInterp
from rasterio.errors import NotGeoreferencedWarning, RasterioError

from geoseg.addresses import is_remote
from geoseg.errors import UserError
from geoseg.places import UnreachableError, gdal_settings, object_facts, refusing
from geoseg.raster.grid import Grid
from geoseg.raster.why import may_pass, why_not_opened, why_not_read

__all__ = [
    "Listing",
    "band_name",
    "band_numbers",
    "block_cache",
    "decoding",
    "files_of",
    "find_band",
    "grid_of_file",
    "is_alpha",
    "listed",
    "listing_of",
    "open_dataset",
    "opened",
    "patiently",
    "reading",
    "refuse_unusable",
    "unlocated_is_fine",
]

log = logging.getLogger(__name__)

# Drivers of files that tell where pixels are to be had, whose number may be large or unknown.
ELSEWHERE = (
    "DAAS", "ECRGTOC", "EEDAI", "GTI", "OGCAPI", "PLMOSAIC", "RPFTOC", "STACIT", "STACTA", "TileDB",
    "WCS", "WMS", "WMTS", "Zarr",
)  # fmt: skip
BLOCKS_CHECKED = 20_000  # tile offsets looked up when a file is opened: about 0.1 s at most
MOST_PIXELS = 1 << 25  # a side: the Earth in pixels of 1.2 m
MOST_TILE = 1 << 32  # bytes of a tile or strip, which is decoded as a whole

# GDAL's shortcut for whole PNG files gives memory as it found it, without a word, where one was cut
# short (GDAL 3.10.3); it is chosen when a file is opened and again when all its bands are read.
CAREFUL = {"GDAL_PNG_WHOLE_IMAGE_OPTIM": False}


# GDAL gives up at the first failure of a server, and waits without end for one that says nothing.
# See https://gdal.org/en/stable/user/configoptions.html, "Networking options".
PATIENT = {
    "GDAL_HTTP_MAX_RETRY": 4,
    "GDAL_HTTP_RETRY_DELAY": 0.5,  # seconds, about twice as many each time
    "GDAL_HTTP_CONNECTTIMEOUT": 15,
    "GDAL_HTTP_LOW_SPEED_TIME": 30,
    "GDAL_HTTP_LOW_SPEED_LIMIT": 1,
}
PAUSES = (1.0, 4.0, 16.0)  # seconds: what GDAL does not try again, a refused connection above all

Found = TypeVar("Found")


def _options() -> dict[str, Any]:
    """GDAL's options for our reads; of those about networks the user's own come first."""
    given = rasterio.env.getenv() if rasterio.env.hasenv() else {}
    patient = {k: v for k, v in PATIENT.items() if k not in given and k not in os.environ}
    return {**CAREFUL, **patient, **gdal_settings()}


def patiently(path: str, attempt: Callable[[], Found]) -> Found:
    """Read something; what a network is to blame for is worth some more attempts, after pauses.

    To be called where nothing around it is patient: attempts would multiply.

    Raises
    ------
    UnreachableError
        When the last one failed as well.
    UserError
        At once, when it would fail as well when it is tried again.
    """
    pauses = PAUSES if is_remote(path) else ()
    for pause in pauses:
        try:
            return attempt()
        except UnreachableError as error:
            log.warning("%s; once more in %g s", error, pause)
        time.sleep(pause)
    return attempt()


@contextmanager
def reading(path: str) -> Iterator[None]:
    """Turn GDAL's complaint about a damaged or vanished file into one line for the user."""
    try:
        with rasterio.Env(**_options()):
            yield
    except (RasterioError, CPLE_BaseError, UnicodeDecodeError) as error:
        said = _said(error.__cause__ or error)
        raise _kind(path, said)(why_not_read(path, said)) from error


def _kind(path: str, said: str) -> type[UserError]:
    """The kind of error that something is which GDAL says."""
    return UnreachableError if may_pass(path, said) else UserError


def _said(error: BaseException) -> str:
    return (str(error).splitlines() or [""])[0]


@contextmanager
def block_cache(size: int) -> Iterator[None]:
    """Let GDAL keep at most so many bytes of decoded and unwritten tiles, in all threads."""
    with rasterio.Env(GDAL_CACHEMAX=size):
        yield


@contextmanager
def decoding(threads: int) -> Iterator[None]:
    """Let GDAL decode the tiles of one read side by side, in files first read in this context."""
    with rasterio.Env(GDAL_NUM_THREADS=threads):
        yield


def open_dataset(path: str) -> rasterio.DatasetReader:
    """Open a file for the calling thread alone.

    Raises
    ------
    UnreachableError
        When its server does not answer, or not as it should.
    UserError
        When it is not there or GDAL cannot open it.
    """
    try:
        with unlocated_is_fine(), refusing(path), rasterio.Env(**_options()):
            return rasterio.open(path, sharing=False)
    except UnicodeDecodeError as error:  # of names in the header
        raise UserError(why_not_read(path, _said(error))) from error
    except RasterioError as error:
        said = _said(error)
        raise _kind(path, said)(why_not_opened(path, said)) from error


@contextmanager
def opened(path: str) -> Iterator[rasterio.DatasetReader]:
    """A file that is open for the calling thread alone; a header that is damaged is told of.

    Raises
    ------
    UserError
        When it is not there, or GDAL cannot open it or read what is asked of its header.
    """
    with open_dataset(path) as dataset, reading(path):
        yield dataset


def files_of(path: str) -> list[str]:
    """A raster, its sidecars, and the files that a virtual raster reads.

    Raises
    ------
    UserError
        When it is not there or GDAL cannot open it.
    """
    with opened(path) as dataset:
        return [path, *dataset.files]


@dataclass(frozen=True)
class Listing:
    """What GDAL makes of a source.

    Parameters
    ----------
    files : tuple of str
        What was asked for first, then every file that it is read from.
    header : str
        A digest of all that decides how stored pixels are taken; files beside the raster may say it
        in its place, among what means nothing.
    is_whole : bool
        Whether its pixels lie in these files.
    """

    files: tuple[str, ...]
    header: str = ""
    is_whole: bool = True


def listing_of(path: str) -> Listing:
    """What GDAL makes of a raster, as `patiently` as it is read.

    Raises
    ------
    UnreachableError
        When its server goes on failing.
    UserError
        When it is not there or GDAL cannot open it.
    """
    return patiently(path, lambda: _listing_of(path))


def _listing_of(path: str) -> Listing:
    with opened(path) as dataset:
        return listed(path, dataset)


def listed(path: str, dataset: rasterio.DatasetReader) -> Listing:
    """What GDAL makes of a raster that is open."""
    flags = [[each.name for each in flags] for flags in dataset.mask_flag_enums]
    colors = [each.name for each in dataset.colorinterp]
    values = dataset.dtypes, dataset.scales, dataset.offsets, dataset.nodatavals, flags, colors
    told = repr((values, dataset.descriptions, grid_of_file(dataset)))
    header = sha256(told.encode(errors="surrogateescape")).hexdigest()[:16]
    return Listing((path, *_behind(dataset, {path})), header, dataset.driver not in ELSEWHERE)


def _behind(dataset: rasterio.DatasetReader, seen: set[str]) -> Iterator[str]:
    """What a raster is read from, and what virtual ones among that are read from in turn.

    GDAL itself lists no more than what a virtual raster names.
    """
    yield from dataset.files
    for file in dataset.files:
        if file.lower().endswith(".vrt") and file not in seen:
            seen.add(file)
            with opened(file) as inner:
                yield from _behind(inner, seen)


@contextmanager
def unlocated_is_fine() -> Iterator[None]:
    """Silence rasterio about files without a transform, which geoseg takes and tells of itself."""
    with _silencing, warnings.catch_warnings():  # filters belong to the process, not to a thread
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        yield


_silencing = threading.RLock()


def refuse_unusable(
    dataset: rasterio.DatasetReader, name: str, maybe_cut_short: bool = False
) -> None:
    """Refuse a file that cannot be read, or does not say where it lies in a way that is used.

    Parameters
    ----------
    dataset : DatasetReader
    name : str
    maybe_cut_short : bool
        Whether its end may be missing.

    Raises
    ------
    UserError
    """
    _refuse_bomb(dataset, name)
    if dataset.count == 0:
        inner = f", e.g. {dataset.subdatasets[0]}" if dataset.subdatasets else ""
        raise UserError(f"{name} holds no bands of its own; name one of its subdatasets{inner}")
    if any("complex" in dtype for dtype in dataset.dtypes):
        raise UserError(
            f"{name} has complex pixels ({dataset.dtypes[0]}); take amplitude or intensity first"
        )
    if _leads_nowhere(dataset.transform):
        raise UserError(
            f"{name} has a transform that puts its pixels nowhere ({dataset.transform[:6]}); give "
            "it corners: gdal_edit.py -a_ullr WEST NORTH EAST SOUTH"
        )
    unlocated = dataset.transform.is_identity
    if unlocated and dataset.gcps[0]:
        raise UserError(
            f"{name} is located by ground control points only; warp it first: "
            f"gdalwarp -r bilinear {name} warped.tif (-r near for a class map)"
        )
    if unlocated and dataset.rpcs:
        raise UserError(
            f"{name} is located by rational polynomials only; orthorectify it first: "
            f"gdalwarp -rpc -r bilinear {name} ortho.tif (-r near for a class map)"
        )
    if not maybe_cut_short:
        _refuse_truncated(dataset, name)


def _leads_nowhere(transform: Affine) -> bool:
    """Whether pixels have no place, or places no pixel, that can be told in numbers."""
    if not all(map(isfinite, transform)) or transform.is_degenerate:
        return True
    return not all(map(isfinite, ~transform))


def _refuse_bomb(dataset: rasterio.DatasetReader, name: str) -> None:
    """Refuse a header that declares what no file holds, before memory is taken for it."""
    if max(dataset.shape) > MOST_PIXELS:
        rows, columns = dataset.shape
        raise UserError(
            f"{name} declares {rows} x {columns} pixels, more than {MOST_PIXELS} a side; its "
            "header is damaged, or it must be cut: gdal_translate -srcwin"
        )
    for (rows, columns), dtype in zip(dataset.block_shapes, dataset.dtypes, strict=True):
        size = rows * columns * np.dtype(dtype).itemsize
        if size > MOST_TILE:
            raise UserError(
                f"{name} has tiles of {rows} x {columns} pixels, {size / 1e9:.0f} GB each: "
                "the header is damaged, or it must be rewritten: gdal_translate -co TILED=YES"
            )


def _refuse_truncated(dataset: rasterio.DatasetReader, name: str) -> None:
    """A TIFF whose tiles lie behind the end of the file was cut short on its way here."""
    length = _size_of(name)
    if dataset.driver != "GTiff" or length is None:
        return
    tile_rows, tile_columns = dataset.block_shapes[0]
    rows = -(-dataset.height // tile_rows)
    columns = -(-dataset.width // tile_columns)
    step = -(-rows * columns // BLOCKS_CHECKED)
    for index in {*range(0, rows * columns, step), rows * columns - 1}:
        row, column = divmod(index, columns)
        with reading(name):
            offset, size = (
                dataset.get_tag_item(f"{what}_{column}_{row}", "TIFF", bidx=1)
                for what in ("BLOCK_OFFSET", "BLOCK_SIZE")
            )
        if offset and size and int(offset) + int(size) > length:
            raise UserError(
                f"{name} was cut short: tile {row},{column} should end at byte "
                f"{int(offset) + int(size)} but the file has {length}; copy it again"
            )


def band_numbers(
    dataset: rasterio.DatasetReader, bands: Sequence[str | int] | None, name: str
) -> tuple[int, ...]:
    """The numbers of the bands wanted; by default of every band that is not an alpha band.

    Raises
    ------
    UserError
        When there is no such band.
    """
    if bands is None:
        kept = [n for n in dataset.indexes if not is_alpha(dataset, n)]
        return tuple(kept or dataset.indexes)
    names = [band_name(dataset, n) for n in dataset.indexes]
    return tuple(dataset.indexes[find_band(band, dataset.indexes, names, name)] for band in bands)


def find_band(band: str | int, numbers: Sequence[int], names: Sequence[str], where: str) -> int:
    """The place of a band that is given by its number or, where there is no such number, its name.

    Parameters
    ----------
    band : str or int
    numbers, names : sequence
        Of the bands that there are.
    where : str
        How to call the image in a message.

    Raises
    ------
    UserError
        When there is no such band.
    """
    wanted = str(band).strip().casefold()
    listed = [str(number) for number in numbers]
    folded = [name.casefold() for name in names]
    for known in (listed, folded):
        if wanted and wanted in known:
            return known.index(wanted)
    there = ", ".join(f"{n} {name}".strip() for n, name in zip(listed, names, strict=True))
    raise UserError(f"{where} has no band {band!r}; its bands are {there}")


def is_alpha(dataset: rasterio.DatasetReader, number: int) -> bool:
    """Whether a band says what is transparent.

    GDAL marks the fourth band of any uint8 GeoTIFF as alpha unless its writer objects, so a band
    that is described as something else, near infrared most often, is believed to be that.
    """
    described = (dataset.descriptions[number - 1] or "alpha").casefold()
    marked = dataset.colorinterp[number - 1] == ColorInterp.alpha
    return bool(marked and ("alpha" in described or "mask" in described))


def band_name(dataset: rasterio.DatasetReader, number: int) -> str:
    """Description of a band, else its colour where the file states one."""
    described = dataset.descriptions[number - 1]
    if described:
        return str(described)
    color = dataset.colorinterp[number - 1]
    stated = {ColorInterp.red, ColorInterp.green, ColorInterp.blue, ColorInterp.alpha}
    return str(color.name) if color in stated else ""


def grid_of_file(dataset: rasterio.DatasetReader) -> Grid:
    """Where the pixels of a file lie."""
    located = not dataset.transform.is_identity
    return Grid(dataset.shape, dataset.crs, dataset.transform if located else None)


def _size_of(path: str) -> int | None:
    """Bytes of a file or an object; None where there is no telling, as by HTTP."""
    try:
        return stat(path).st_size
    except OSError:  # not a local file
        told = object_facts(path)
        return told["size"] if told else None
