"""Class map to polygons: an array to a frame, a file to a file."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, closing
from os import PathLike, fspath
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
from pyproj import CRS

from geoseg.allocator import keep_memory
from geoseg.classes import told_classes
from geoseg.errors import UserError
from geoseg.places import followed
from geoseg.polygons.copying import copying, refuse_masked
from geoseg.polygons.features import Features
from geoseg.polygons.making import Making
from geoseg.polygons.measure import tell_units
from geoseg.polygons.source import (
    ClassMap,
    map_of_array,
    open_confidence,
    open_map,
    refuse_large,
    shown_nodata,
)
from geoseg.polygons.stream import Ahead, stream
from geoseg.polygons.write import Batch, Header, refuse_open_elsewhere, refuse_unknown_format, write
from geoseg.progress import Emit, Progress, ignore
from geoseg.raster import Grid, files_of, parse_crs
from geoseg.raster.place import publish, refuse_existing, working_folder

if TYPE_CHECKING:
    import geopandas as gpd
    import xarray as xr

__all__ = ["polygonize", "polygonize_file", "refuse_unlocated"]

MANY, MANY_SHARE = 100_000, 0.1
"""Regions in the first rows, and as a share of their pixels, that a class map hardly has."""

log = logging.getLogger(__name__)


def polygonize(
    labels: xr.DataArray,
    *,
    connectivity: Literal[4, 8] = 4,
    simplify: float = 0.0,
    min_area: float = 0.0,
    classes: str | int | Sequence[str | int] | None = None,
    with_nodata: bool = False,
    regularize: bool = False,
    assume_crs: str | None = None,
) -> gpd.GeoDataFrame:
    """Make polygons of a class map.

    Neighbouring polygons share their vertices: there is one wherever three of them, or two and the
    border of the data, meet. So the polygons are a valid coverage, simplified or not.

    Parameters
    ----------
    labels : DataArray of integers, dims (y, x)
        Class values, as `geoseg.predict` gives them; of a lazy one a row of chunks is computed at a
        time. Pixels that equal its no-data value, as rioxarray keeps it, are in no polygon.
    connectivity : {4, 8}
        Whether pixels that touch at a corner only belong together (8) or not (4). With 8 all
        geometries are multipolygons: a polygon must not touch itself at a point.
    simplify : float
        How far a boundary may move to have fewer vertices, in pixels. Neighbours keep fitting
        together, points where three meet and the border of the data stay, and every polygon keeps
        its area, but for the rounding of one vertex of each of its boundaries to 1/4096 of a pixel;
        see `geoseg.polygons.simplify`.
    min_area : float
        Regions of less square metres go to the neighbour with which they share the longest border,
        the smallest first; see `geoseg.polygons.sieve`. What has no neighbour but pixels without
        data stays.
    classes : str, int or sequence of them, optional
        Names or values of the classes to make polygons of; by default of all.
    with_nodata : bool
        Whether to make polygons of pixels without data, too.
    regularize : bool
        Whether to give polygons square corners, as buildings have; needs ``geoseg[regularize]``.
        They do not fit together any more, and are multipolygons. What is no building, or one that
        the border of the map cuts askew, gets steps; `simplify` alone suits it better.
    assume_crs : str, optional
        Coordinate system of a map that has coordinates and does not say in which system: a code
        such as ``"EPSG:32633"``, or WKT.

    Returns
    -------
    GeoDataFrame
        A row for each connected region, in the order of their last vertices, with the columns

        - ``class_id``: the pixel value; of masked pixels, which have none, -1,
        - ``class_name``: its name by the attributes of `labels`, else e.g. ``class 3``,
        - ``area_m2``: square metres, on the plane of a projected coordinate system, on the
          ellipsoid of a geographic one (the area of the pixels, between their meridians and
          parallels); squares of the units of the transform, or pixels, without a coordinate system,
        - ``perimeter_m``: the length of exteriors and holes in metres, or those units, along edges
          that are straight in map coordinates,
        - ``geometry``: exteriors counter-clockwise, holes clockwise, in map coordinates; without a
          transform in columns and rows.

    Raises
    ------
    UserError
        When `labels` has other dimensions, holds no integers, values past int64 or no such class,
        is in another coordinate system than `assume_crs`, or another argument is not as described.
    """
    # Those who write files only do not wait for the import of pandas.
    import geopandas as gpd

    making = Making(connectivity, simplify, min_area, classes, with_nodata, regularize)
    given = map_of_array(labels, assume_crs)
    tell_units(given.grid)
    source, chosen = making.traced(making.sieved(given)), making.chosen(given)
    features = Features(source.grid, given, making)
    batches = [chosen.pick(polygons) for _, polygons in stream(source, making)]
    if not min_area:
        chosen.refuse_absent()
    made = [features.frame(each) for each in batches]
    geometries = np.concatenate([each for _, each in made])
    columns = {name: np.concatenate([each[name] for each, _ in made]) for name in made[0][0]}
    return gpd.GeoDataFrame(columns, geometry=geometries, crs=features.crs)


def polygonize_file(
    src: str | PathLike[str],
    dst: str | PathLike[str],
    *,
    connectivity: Literal[4, 8] = 4,
    simplify: float = 0.0,
    min_area: float = 0.0,
    classes: str | int | Sequence[str | int] | None = None,
    with_nodata: bool = False,
    regularize: bool = False,
    band: str | int | None = None,
    confidence: str | PathLike[str] | None = None,
    assume_crs: str | None = None,
    crs: str | None = None,
    sieve: str | PathLike[str] | None = None,
    overwrite: bool = False,
    on_progress: Emit | None = None,
) -> None:
    """Make polygons of a class map in a file, and write them to a file.

    Held in memory are some rows of the map, the regions that reach the last of them and one batch
    of polygons: neither the map nor all polygons. With `min_area` it is as many rows as a region
    that is not decided yet spans.

    Parameters
    ----------
    src : path-like
        A raster of integers. Its no-data value or mask says which pixels are in no polygon.
    dst : path-like
        ``.gpkg`` (GeoPackage, layer named after the file, with the colours of the classes as the
        style that QGIS opens it with), ``.fgb`` (FlatGeobuf), ``.parquet`` (GeoParquet 1.1) or
        ``.geojson`` (RFC 7946, so in WGS 84). It holds nothing, the old file or the complete new
        one. FlatGeobuf and GeoParquet order polygons by place; the others keep the order of
        `polygonize`.
    connectivity, simplify, min_area, classes, with_nodata, regularize
        As for `polygonize`.
    band : str or int, optional
        The band that is the class map, by description or number from 1, if there are several.
    confidence : path-like, optional
        A raster of one band on the grid of the class map. Its mean over each region, to 1e-6 of its
        unit, is written as ``mean_confidence``; pixels without a value do not count.
    assume_crs : str, optional
        Coordinate system of `src` and `confidence` where they have none, as for `polygonize`.
    crs : str, optional
        Coordinate system to reproject vertices to, e.g. ``"EPSG:3035"``; by default the map's. The
        columns ``area_m2`` and ``perimeter_m`` are measured in the map's either way.
    sieve : path-like, optional
        A GeoTIFF to write the map to without its small regions, as the polygons show it.
    overwrite : bool
        Whether `dst` and `sieve` may be replaced.
    on_progress : callable, optional
        Is given events: dicts with the key ``event``, one of ``start, progress, done``; their unit
        is a row of the map. ``done`` tells ``outputs``, ``seconds``, and the ``classes`` and
        ``nodata`` of the map.

    Raises
    ------
    UserError
        When `src` or `confidence` cannot be used as described, there is no such class, an output
        has an unknown ending, exists or cannot be written, or coordinates cannot be had in the
        coordinate system asked for.
    """
    making = Making(connectivity, simplify, min_area, classes, with_nodata, regularize)
    target = followed(Path(dst))
    sieve_target = None if sieve is None else followed(Path(sieve))
    read = [
        file for each in (src, confidence) if each is not None for file in files_of(fspath(each))
    ]
    _refuse_target(target, read, overwrite)
    if sieve_target is not None:
        _refuse_sieve(sieve_target, read, making, overwrite)
    keep_memory()  # strip after strip asks for as much as the one before
    with ExitStack() as stack:
        given = stack.enter_context(open_map(src, band, assume_crs))
        tell_units(given.grid)
        source, chosen = making.sieved(given), making.chosen(given)
        beside = (
            None if confidence is None else open_confidence(confidence, source.grid, assume_crs)
        )
        features = Features(source.grid, given, making, _target_crs(crs, source, target))
        header = Header(
            target.stem, making.multi, features.crs, source.classes, confidence is not None
        )
        emit = on_progress or ignore
        progress = Progress(emit, source.grid.shape[0], "row")
        if sieve_target is not None:
            refuse_masked(given, sieve_target)
            kept = stack.enter_context(copying(source, sieve_target, making))
            source = kept.source
        source = making.traced(source)
        own = stack.enter_context(working_folder(target))
        # Closed before the map is: threads that work ahead read from it.
        traced = stack.enter_context(closing(stream(source, making, beside)))
        batches = ((rows, features.batch(chosen.pick(each))) for rows, each in traced)
        made = stack.enter_context(closing(Ahead(batches)))
        write(own / target.name, header, _counted(made, progress, source.grid.shape[1]))
        if not min_area:  # or small regions took their pixels
            chosen.refuse_absent()
        if not chosen.picked:
            log.warning("%s holds no polygons: no region of the map was wanted or left", target)
        if simplify and len(chosen.found) == 1 and source.nodata is not None:
            log.warning(
                "boundaries to pixels without data are not simplified, and this map has no others; "
                "geoseg polygonize --with-nodata (with_nodata=True) simplifies them"
            )
        refuse_open_elsewhere(target)
        if sieve_target is not None:
            kept.finish()
            kept.publish(sieve_target)
        publish(own / target.name, target)
    outputs = {"polygons": fspath(target)}
    if sieve_target is not None:
        outputs["sieve"] = fspath(sieve_target)
    about = {
        "classes": told_classes(given.classes, chosen.found - {given.nodata}),
        "nodata": shown_nodata(given),
    }
    seconds = round(progress.seconds, 3)
    emit({"event": "done", "outputs": outputs, "seconds": seconds, **about})


def _refuse_target(target: Path, sources: Iterable[str], overwrite: bool) -> None:
    refuse_unknown_format(target)
    _refuse_same(target, sources)
    refuse_existing(target, overwrite)
    refuse_open_elsewhere(target)


def _refuse_sieve(target: Path, sources: Iterable[str], making: Making, overwrite: bool) -> None:
    if not making.min_area:
        raise UserError(
            "sieve writes the map without small regions; say which are small with min_area "
            "(--min-area)"
        )
    if target.suffix.lower() not in (".tif", ".tiff"):
        raise UserError(f"{target} is a GeoTIFF whatever its name; let it end in .tif")
    _refuse_same(target, sources)
    refuse_existing(target, overwrite)


def _refuse_same(target: Path, sources: Iterable[str]) -> None:
    if target.exists() and any(os.path.exists(each) and target.samefile(each) for each in sources):
        raise UserError(
            f"{target} is an input as well, or a part of it; choose another name for the output"
        )


def refuse_unlocated(target: Path, grid: Grid, crs: str | None = None) -> None:
    """Refuse polygons that a map on a grid cannot have.

    Raises
    ------
    UserError
        When they are to be reprojected and the map does not say where it lies, or it is too large.
    """
    refuse_large(grid.shape)
    located = grid.crs is not None and grid.transform is not None
    geojson = target.suffix.lower() == ".geojson"
    if (geojson or crs is not None) and not located:
        raise UserError(
            f"the map does not say where it lies, which {'GeoJSON' if geojson else 'crs'} needs; "
            "say it, e.g. --assume-crs EPSG:32633 (assume_crs), or write .gpkg as it is"
        )


def _target_crs(wanted: str | None, source: ClassMap, target: Path) -> CRS | None:
    """The coordinate system to reproject to, if there is one."""
    refuse_unlocated(target, source.grid, wanted)
    crs = None if wanted is None else CRS.from_user_input(parse_crs(wanted))
    if target.suffix.lower() == ".geojson" and crs is not None:
        if crs.to_epsg() != 4326:
            raise UserError(f"GeoJSON is in WGS 84 always, not in {wanted}; leave crs (--crs) out")
        return None  # GDAL reprojects, and cuts at the antimeridian
    return crs


def _counted(
    batches: Iterable[tuple[int, Batch]], progress: Progress, width: int
) -> Iterator[Batch]:
    """The batches; tells about the rows of each once it is used."""
    above = 0
    for rows, batch in batches:
        if not above and len(batch.geometries) > max(MANY, rows * width * MANY_SHARE):
            log.warning(
                "the first %s rows hold %s regions: is this a class map, or an image? Stop, or go "
                "on to a large file; --min-area makes fewer",
                rows,
                f"{len(batch.geometries):,}",
            )
        yield batch
        progress.step(rows - above, (rows - above) * width)
        above = rows
