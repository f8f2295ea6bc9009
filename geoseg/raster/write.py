"""Cloud Optimized GeoTIFFs, written by window and put in place whole or not at all."""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from dataclasses import replace as replaced
from os import PathLike, fspath, replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import numpy as np
import rasterio
import rasterio.shutil
import xarray as xr
from numpy.typing import NDArray
from rasterio.windows import Window

from geoseg.classes import ClassInfo
from geoseg.errors import UserError
from geoseg.raster.grid import Grid, grid_of
from geoseg.raster.overviews import count_values, halve, levels_of
from geoseg.raster.read import unlocated_is_fine
from geoseg.raster.sidecar import CLASSES_TAG, class_table, classes_tag, pam_xml
from geoseg.windows import Box, tiles

__all__ = [
    "Layout",
    "class_layout",
    "creation_options",
    "publish",
    "refuse_existing",
    "to_cog",
    "write_raster",
]

TILE = 512  # the COG driver's own block size; GDAL's tools and browsers read it in one request
UNPACKED = 2**30  # pixels of temporary files that are not compressed
PIECE = (TILE, 16 * TILE)  # what is assembled at a time: whole tiles, 4 MB a byte band

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


def to_cog(
    path: Path,
    layout: Layout,
    read: Callable[[Box], NDArray[Any]],
    options: Mapping[str, str] | None = None,
) -> None:
    """Write a Cloud Optimized GeoTIFF and, for class maps, its sidecar ``path.aux.xml``.

    Parameters
    ----------
    path : Path
        A file that is not in anybody's way: `publish` puts it in place.
    layout : Layout
    read : callable
        Gives the pixels of a box, shape (band, rows, columns), as they are stored.
    options : mapping of str to str, optional
        Creation options of GDAL's COG driver over ours, as `creation_options` gives them.
    """
    chosen = options or {}
    with tempfile.TemporaryDirectory(prefix="plain.", dir=path.parent) as folder:
        if layout.classes and not any(key.startswith("OVERVIEW") for key in chosen):
            plain, counts = _write_pyramid(Path(folder), layout, read)
            chosen = {"OVERVIEWS": "FORCE_USE_EXISTING", **chosen}
        else:
            plain, counts = _write_plain(Path(folder) / "plain.tif", layout, read)
        _copy_as_cog(plain, path, layout, chosen)
    if layout.classes:
        present = {value: int(count) for value, count in enumerate(counts) if count}
        Path(f"{path}.aux.xml").write_bytes(pam_xml(layout.classes, present))


def _write_plain(
    path: Path, layout: Layout, read: Callable[[Box], NDArray[Any]]
) -> tuple[Path, NDArray[np.int64]]:
    """The pixels in whole tiles, in the order in which they come; also their number by value."""
    counts = _no_counts(layout)
    with _create(path, layout) as target:
        for box in tiles(layout.grid.shape, PIECE):
            pixels = read(box)
            target.write(pixels, window=Window.from_slices(*box))
            if layout.classes:
                count_values(pixels[0], counts)
    return path, counts


def _write_pyramid(
    folder: Path, layout: Layout, read: Callable[[Box], NDArray[Any]]
) -> tuple[Path, NDArray[np.int64]]:
    """A class map and its overviews, made in one pass, as one virtual raster.

    GDAL's own overviews by mode take several times as long as all the rest of the file.
    """
    counts, nodata = _no_counts(layout), int(layout.nodata or 0)
    shapes = [layout.grid.shape, *levels_of(layout.grid.shape, TILE)]
    paths = [folder / f"level{level}.tif" for level in range(len(shapes))]
    with ExitStack() as stack:
        # Only the first level says where it lies; of the others just the pixels are used.
        grids = [layout.grid, *(Grid(shape, None, None) for shape in shapes[1:])]
        targets = [
            stack.enter_context(_create(path, replaced(layout, grid=grid)))
            for path, grid in zip(paths, grids, strict=True)
        ]
        strip = max(TILE, 2 ** len(levels_of(layout.grid.shape, TILE)))  # whole rows on all levels
        for box in tiles(layout.grid.shape, (strip, layout.grid.shape[1])):
            pixels, top = read(box)[0], box[0].start
            count_values(pixels, counts)
            for target in targets:
                window = Window(0, top, pixels.shape[1], pixels.shape[0])
                target.write(pixels, 1, window=window)
                pixels, top = halve(pixels, nodata), top // 2
    return _as_one(paths), counts


def _as_one(levels: list[Path]) -> Path:
    """A virtual raster of the first level that has the others as overviews."""
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


def _no_counts(layout: Layout) -> NDArray[np.int64]:
    return np.zeros(np.iinfo(layout.dtype).max + 1 if layout.classes else 0, np.int64)


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
    return colors | {int(layout.nodata or 0): (0, 0, 0, 0)}


def _copy_as_cog(plain: Path, path: Path, layout: Layout, options: Mapping[str, str]) -> None:
    ours = {
        "COMPRESS": "DEFLATE",
        "BLOCKSIZE": str(TILE),
        "BIGTIFF": "IF_SAFER",
        # Overviews of a class map hold only classes of the map.
        "OVERVIEW_RESAMPLING": "MODE" if layout.classes else "AVERAGE",
        "NUM_THREADS": "ALL_CPUS",
    }
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


def publish(path: Path, target: Path) -> None:
    """Put a finished file and its sidecar in place of what is there; both on one disk."""
    replace(path, target)
    sidecar = Path(f"{path}.aux.xml")
    if sidecar.exists():
        replace(sidecar, f"{target}.aux.xml")
    else:
        Path(f"{target}.aux.xml").unlink(missing_ok=True)
    for ending in ("ovr", "msk"):  # of the old file, and wrong about the new one
        Path(f"{target}.{ending}").unlink(missing_ok=True)


def refuse_existing(path: str | PathLike[str], overwrite: bool) -> None:
    """Refuse to write over a file unless that was asked for."""
    if Path(path).exists() and not overwrite:
        raise UserError(
            f"{fspath(path)} exists; add --overwrite (overwrite=True) or choose another name"
        )


def write_raster(
    labels: xr.DataArray, path: str | PathLike[str], *, overwrite: bool = False
) -> None:
    """Write an array as a Cloud Optimized GeoTIFF, by blocks if it is lazy.

    Parameters
    ----------
    labels : DataArray, dims (y, x) or (class or band, y, x)
        A class map or scores as `geoseg.predict` gives them, or any other raster.
    path : path-like
        A ``.tif`` file. It holds nothing, the old file or the complete new one, never a part.
    overwrite : bool
        Whether a file of that name may be replaced.

    Raises
    ------
    UserError
        When the file exists and `overwrite` is false, or its folder cannot be written to.
    """
    refuse_existing(path, overwrite)
    target = Path(path)
    layout = _layout_of(labels)
    with working_folder(target) as folder:
        draft = folder / target.name
        with _materialised(labels, folder, layout) as read:
            to_cog(draft, layout, read)
        publish(draft, target)


@contextmanager
def working_folder(target: Path) -> Iterator[Path]:
    """A folder beside the target that is gone afterwards; same disk, so renaming is atomic."""
    try:
        folder = Path(tempfile.mkdtemp(prefix=f".{target.name[:100]}.", dir=target.parent))
    except OSError as error:
        raise UserError(
            f"cannot write into {target.parent} ({error.strerror}); choose a folder that exists "
            "and that you may write to"
        ) from error
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _layout_of(labels: xr.DataArray) -> Layout:
    # What was computed from a map (a float, a difference) keeps its attributes but is no map.
    classes = class_table(labels) if labels.dtype in ("uint8", "uint16") else ()
    nodata = labels.rio.nodata if labels.rio.nodata is not None else labels.rio.encoded_nodata
    dtype = str(labels.dtype)
    if labels.ndim == 2:
        name = str(labels.name or "class")
        return Layout(grid_of(labels), dtype, nodata, (name,), classes)
    first = labels.coords.get(labels.dims[0])
    names = labels.attrs.get("long_name") or (
        [str(each) for each in first.values] if first is not None else [""] * labels.shape[0]
    )
    return Layout(grid_of(labels), dtype, nodata, tuple(names))


@contextmanager
def _materialised(
    labels: xr.DataArray, folder: Path, layout: Layout
) -> Iterator[Callable[[Box], NDArray[Any]]]:
    """Boxes of the array; a dask array is computed once, block by block, into a file."""
    bands = labels if labels.ndim == 3 else labels.expand_dims("band")
    if labels.chunks is None:
        yield lambda box: np.asarray(bands[:, box[0], box[1]].values)
        return
    import dask.array

    store = np.lib.format.open_memmap(
        folder / "blocks.npy", "w+", np.dtype(layout.dtype), bands.shape
    )
    dask.array.store(bands.data, store, lock=False)
    yield lambda box: np.asarray(store[:, box[0], box[1]])
