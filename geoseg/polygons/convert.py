"""Class map to polygons: an array to a frame, a file to a file."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import closing
from os import PathLike, fspath
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
import xarray as xr
from pyproj import CRS

from geoseg.errors import UserError
from geoseg.polygons.features import Features
from geoseg.polygons.source import ClassMap, map_of_array, open_confidence, open_map
from geoseg.polygons.stream import ahead, stream
from geoseg.polygons.write import Batch, Header, refuse_open_elsewhere, refuse_unknown_format, write
from geoseg.progress import Emit, Progress, ignore
from geoseg.raster import parse_crs
from geoseg.raster.write import publish, refuse_existing, working_folder

if TYPE_CHECKING:
    import geopandas as gpd

__all__ = ["polygonize", "polygonize_file"]


def polygonize(labels: xr.DataArray, *, connectivity: Literal[4, 8] = 4) -> gpd.GeoDataFrame:
    """Make polygons of a class map.

    Neighbouring polygons share their vertices: there is one wherever three of them, or two and the
    border of the data, meet. So the polygons are a valid coverage.

    Parameters
    ----------
    labels : DataArray of integers, dims (y, x)
        Class values, as `geoseg.predict` gives them; of a lazy one a row of chunks is computed at a
        time. Pixels that equal its no-data value, as rioxarray keeps it, are in no polygon.
    connectivity : {4, 8}
        Whether pixels that touch at a corner only belong together (8) or not (4). With 8 all
        geometries are multipolygons: a polygon must not touch itself at a point.

    Returns
    -------
    GeoDataFrame
        A row for each connected region, in the order of their last pixels, with the columns

        - ``class_id``: the pixel value,
        - ``class_name``: its name by the attributes of `labels`, else e.g. ``class 3``,
        - ``area_m2``: square metres, on the plane of a projected coordinate system, on the
          ellipsoid of a geographic one (the area of the pixels, between their meridians and
          parallels); squares of the units of the transform, or pixels, without a coordinate system,
        - ``geometry``: exteriors counter-clockwise, holes clockwise, in map coordinates; without a
          transform in columns and rows.

    Raises
    ------
    UserError
        When `labels` has other dimensions, holds no integers or values past int64, or
        `connectivity` is neither 4 nor 8.
    """
    # Those who write files only do not wait for the import of pandas.
    import geopandas as gpd

    source = map_of_array(labels)
    features = Features(source.grid, source.classes, _joins_corners(connectivity))
    batches = [polygons for _, polygons in stream(source, connectivity)]
    attributes = [features.attributes(each) for each in batches]
    geometries = np.concatenate([features.geometries(each) for each in batches])
    columns = {name: np.concatenate([each[name] for each in attributes]) for name in attributes[0]}
    return gpd.GeoDataFrame(columns, geometry=geometries, crs=features.crs)


def polygonize_file(
    src: str | PathLike[str],
    dst: str | PathLike[str],
    *,
    connectivity: Literal[4, 8] = 4,
    band: str | int | None = None,
    confidence: str | PathLike[str] | None = None,
    crs: str | None = None,
    overwrite: bool = False,
    on_progress: Emit | None = None,
) -> None:
    """Make polygons of a class map in a file, and write them to a file.

    Held in memory are some rows of the map, the regions that reach the last of them and one batch
    of polygons: neither the map nor all polygons.

    Parameters
    ----------
    src : path-like
        A raster of integers. Its no-data value or mask says which pixels are in no polygon.
    dst : path-like
        ``.gpkg`` (GeoPackage, layer named after the file, with the colours of the classes as the
        style that QGIS opens it with), ``.fgb`` (FlatGeobuf), ``.parquet`` (GeoParquet 1.1) or
        ``.geojson`` (RFC 7946, so in WGS 84). It holds nothing, the old file or the complete new
        one. FlatGeobuf orders polygons by place; the others keep the order of `polygonize`.
    connectivity : {4, 8}
        As for `polygonize`.
    band : str or int, optional
        The band that is the class map, by description or number from 1, if there are several.
    confidence : path-like, optional
        A raster of one band on the grid of the class map. Its mean over each region, to 1e-6 of its
        unit, is written as ``mean_confidence``; pixels without a value do not count.
    crs : str, optional
        Coordinate system to reproject vertices to, e.g. ``"EPSG:3035"``; by default the map's. The
        column ``area_m2`` is measured in the map's either way.
    overwrite : bool
        Whether `dst` may be replaced.
    on_progress : callable, optional
        Is given events: dicts with the key ``event``, one of ``start, progress, done``; their unit
        is a row of the map.

    Raises
    ------
    UserError
        When `src` or `confidence` cannot be used as described, `dst` has an unknown ending, exists
        or cannot be written, or coordinates cannot be had in the coordinate system asked for.
    """
    target = Path(dst)
    refuse_unknown_format(target)
    _refuse_same(target, (src, confidence))
    refuse_existing(target, overwrite)
    refuse_open_elsewhere(target)
    multi = _joins_corners(connectivity)
    with open_map(src, band) as source:
        beside = None if confidence is None else open_confidence(confidence, source.grid)
        features = Features(source.grid, source.classes, multi, _target_crs(crs, source, target))
        header = Header(target.stem, multi, features.crs, source.classes, confidence is not None)
        emit = on_progress or ignore
        progress = Progress(emit, source.grid.shape[0], "row")
        # Closed before the map is: the thread that traces ahead reads from it.
        traced = stream(source, connectivity, beside)
        made = ahead((rows, features.batch(polygons)) for rows, polygons in traced)
        with closing(traced), closing(made), working_folder(target) as own:
            write(own / target.name, header, _counted(made, progress, source.grid.shape[1]))
            refuse_open_elsewhere(target)
            publish(own / target.name, target)
    outputs = {"polygons": fspath(target)}
    emit({"event": "done", "outputs": outputs, "seconds": round(progress.seconds, 3)})


def _joins_corners(connectivity: int) -> bool:
    """Whether parts that touch at a corner are one region, and so a multipolygon."""
    if connectivity not in (4, 8):
        raise UserError(f"connectivity {connectivity!r} is unknown; choose 4 or 8")
    return connectivity == 8


def _refuse_same(target: Path, sources: Iterable[str | PathLike[str] | None]) -> None:
    paths = [Path(each) for each in sources if each is not None]
    if target.exists() and any(each.exists() and target.samefile(each) for each in paths):
        raise UserError(f"{target} is an input as well; choose another name for the output")


def _target_crs(wanted: str | None, source: ClassMap, target: Path) -> CRS | None:
    """The coordinate system to reproject to, if there is one."""
    located = source.grid.crs is not None and source.grid.transform is not None
    geojson = target.suffix.lower() == ".geojson"
    if (geojson or wanted is not None) and not located:
        raise UserError(
            f"the class map does not say where it lies, which {'GeoJSON' if geojson else 'crs'} "
            "needs; give it a coordinate system, e.g. gdal_edit.py -a_srs EPSG:32633, or write "
            ".gpkg as it is"
        )
    crs = None if wanted is None else CRS.from_user_input(parse_crs(wanted))
    if geojson and crs is not None:
        if crs.to_epsg() != 4326:
            raise UserError(f"GeoJSON is in WGS 84 always, not in {wanted}; leave crs out")
        return None  # GDAL reprojects, and cuts at the antimeridian
    return crs


def _counted(
    batches: Iterable[tuple[int, Batch]], progress: Progress, width: int
) -> Iterator[Batch]:
    """The batches; tells about the rows of each once it is used."""
    above = 0
    for rows, batch in batches:
        yield batch
        progress.step(rows - above, (rows - above) * width)
        above = rows
