"""Vector files, written in batches through Arrow."""

from __future__ import annotations

import json
import re
import sqlite3
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from os import PathLike, fspath
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from pyproj import CRS

from geoseg.classes import ClassInfo
from geoseg.errors import UserError
from geoseg.polygons.columns import column, values_of
from geoseg.polygons.style import qml

__all__ = ["Header", "refuse_open_elsewhere", "refuse_unknown_format", "write"]

ROWS = 1 << 12
"""Features that GDAL is given at a time: the bytes of a GeoPackage depend on it, so it must depend
on nothing. While it writes them it lets no other thread run Python."""

ORDERED = 1 << 15
"""Features of GeoParquet that are put in order together."""

ROW_GROUP = 1 << 12
"""Features of a row group of GeoParquet: what a reader of a small box takes in at least."""

UNUSUAL = re.compile(r'[<>:;"/\\|?*]')

TINY = float(np.finfo(np.float64).tiny)

PAGE = 1 << 14
"""Bytes of a page of a GeoPackage: SQLite's own 4096 split most polygons over several, and a file
takes a twelfth longer."""

DATE = "1970-01-01T00:00:00.000Z"
"""What a GeoPackage says of its last change, so that equal content gives equal bytes."""


class Batch(NamedTuple):
    """Some features."""

    attributes: Mapping[str, NDArray[Any]]
    """Values by column."""
    geometries: pa.LargeBinaryArray
    """Well-known binary."""
    bounds: NDArray[np.float64]
    """(features, 4): xmin, ymin, xmax, ymax."""


_SIDES = ("xmin", "ymin", "xmax", "ymax")

_CORNERS = (_SIDES[:2], _SIDES[2:])

_BOX = pa.struct([(side, pa.float64()) for side in _SIDES])


@dataclass(frozen=True)
class Header:
    """What a file says once.

    Parameters
    ----------
    layer : str
        Name of the layer, where the format knows layers.
    multi : bool
        Whether every geometry is a multipolygon, else a polygon.
    crs : pyproj.CRS or None
    classes : tuple of ClassInfo
        For the style, where the format keeps one; without classes there is none.
    measured : bool
        Whether there is a column ``mean_confidence``.
    """

    layer: str
    multi: bool
    crs: CRS | None
    classes: tuple[ClassInfo, ...]
    measured: bool

    @property
    def kind(self) -> str:
        """What every geometry is, as vector formats call it."""
        return "MultiPolygon" if self.multi else "Polygon"

    @property
    def schema(self) -> pa.Schema:
        """The columns of the file, and the bounds of the geometry for those that keep them."""
        measured = [("mean_confidence", pa.float64())] if self.measured else []
        return pa.schema(
            [
                ("class_id", pa.int64()),
                ("class_name", pa.string()),
                ("area_m2", pa.float64()),
                ("perimeter_m", pa.float64()),
                *measured,
                ("geometry", pa.large_binary()),  # the vertices of a batch may pass 2 GB
                ("bbox", _BOX),
            ]
        )


def refuse_unknown_format(path: str | PathLike[str]) -> None:
    """Refuse a file name whose ending stands for no format that is written.

    Raises
    ------
    UserError
    """
    ending = Path(path).suffix.lower()
    if ending == ".shp":
        raise UserError(
            f"{fspath(path)}: shapefiles cut names to 10 letters and end at 2 GB; let the name end "
            "in .gpkg, which every GIS reads"
        )
    if ending not in FORMATS:
        raise UserError(
            f"{fspath(path)} ends in {ending or 'nothing'}, which is no format written here; let "
            f"it end in one of {', '.join(FORMATS)}"
        )


def refuse_open_elsewhere(path: str | PathLike[str]) -> None:
    """Refuse to replace a GeoPackage that another program has open.

    SQLite would apply the journal of the old file, which that program keeps, to the new one.

    Raises
    ------
    UserError
    """
    for ending in ("-wal", "-journal"):
        journal = Path(f"{fspath(path)}{ending}")
        if journal.exists():
            raise UserError(
                f"{fspath(path)} is open in another program ({journal.name} is there); close the "
                "layer in it, e.g. remove it from the QGIS project"
            )


def write(path: Path, header: Header, features: Iterable[Batch]) -> None:
    """Write features to a new file, in the format that its name ends in.

    Parameters
    ----------
    path : Path
        A file that is not in anybody's way; on failure a part of it may be left.
    header : Header
    features : iterable of Batch
        In any portions: they have no part in the result.
    """
    batches = (_table(header.schema, each) for each in features)
    FORMATS[path.suffix.lower()](path, header, batches)


def _table(schema: pa.Schema, batch: Batch) -> pa.RecordBatch:
    sides = [column(side) for side in batch.bounds.T]
    columns = {
        "geometry": batch.geometries,
        "bbox": pa.StructArray.from_arrays(sides, fields=list(_BOX)),
        **{name: column(values) for name, values in batch.attributes.items()},
    }
    return pa.RecordBatch.from_arrays([columns[name] for name in schema.names], schema=schema)


def _rebatched(batches: Iterable[pa.RecordBatch], rows: int) -> Iterator[pa.RecordBatch]:
    """The same features, so many at a time."""
    held: list[pa.RecordBatch] = []
    for each in batches:
        held.append(each)
        if sum(part.num_rows for part in held) >= rows:
            table = pa.Table.from_batches(held)
            while table.num_rows >= rows:
                yield from table.slice(0, rows).combine_chunks().to_batches()
                table = table.slice(rows)
            held = table.to_batches()
    if held:
        yield from pa.Table.from_batches(held).combine_chunks().to_batches()


def _write_geopackage(path: Path, header: Header, batches: Iterator[pa.RecordBatch]) -> None:
    # Version 1.2 is the last that QGIS opens without a warning in all its versions in use.
    pages = f"page_size={PAGE}"
    with _config_option("OGR_CURRENT_DATE", DATE), _config_option("OGR_SQLITE_PRAGMA", pages):
        _write_ogr(path, header, batches, "GPKG", {"VERSION": "1.2"}, {"SPATIAL_INDEX": "YES"})
    if header.classes:
        _store_style(path, header)


def _write_flatgeobuf(path: Path, header: Header, batches: Iterator[pa.RecordBatch]) -> None:
    # GDAL names the file after the layer, without what follows a semicolon and some other signs.
    plain = path.with_name(UNUSUAL.sub("_", path.name))
    named = replace(header, layer=UNUSUAL.sub("_", header.layer))
    _write_ogr(plain, named, batches, "FlatGeobuf", {}, {"SPATIAL_INDEX": "YES"})
    plain.rename(path)


def _write_geojson(path: Path, header: Header, batches: Iterator[pa.RecordBatch]) -> None:
    # GDAL reprojects to WGS 84 and cuts at the antimeridian (RFC 7946, sections 4 and 3.1.9).
    _write_ogr(path, header, batches, "GeoJSON", {}, {"RFC7946": "YES"})


def _write_ogr(
    path: Path,
    header: Header,
    batches: Iterator[pa.RecordBatch],
    driver: str,
    dataset_options: Mapping[str, str],
    layer_options: Mapping[str, str],
) -> None:
    import pyogrio  # it takes half a second, and GeoParquet does without

    source = _Source(each.drop_columns(["bbox"]) for each in _rebatched(batches, ROWS))
    schema = header.schema.remove(header.schema.get_field_index("bbox"))
    try:
        with warnings.catch_warnings():
            # A map without a coordinate system was told about when it was made.
            warnings.filterwarnings("ignore", "'crs' was not provided", UserWarning)
            pyogrio.write_arrow(
                pa.RecordBatchReader.from_batches(schema, source),
                path,
                layer=header.layer,
                driver=driver,
                geometry_name="geometry",
                geometry_type=header.kind,
                crs=None if header.crs is None else header.crs.to_wkt(),
                dataset_options=dataset_options,
                layer_options=layer_options,
            )
    except Exception as error:
        raise source.failure or error from None


class _Source:
    """Keeps the failure that GDAL, on the other side of the stream, only knows as a number."""

    def __init__(self, batches: Iterator[pa.RecordBatch]) -> None:
        self._batches = batches
        self.failure: BaseException | None = None

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        try:
            yield from self._batches
        except BaseException as failure:
            self.failure = failure
            raise


@contextmanager
def _config_option(name: str, value: str) -> Iterator[None]:
    import pyogrio

    before = pyogrio.get_gdal_config_option(name)
    pyogrio.set_gdal_config_options({name: value})
    try:
        yield
    finally:
        pyogrio.set_gdal_config_options({name: before})


def _store_style(path: Path, header: Header) -> None:
    """Put the colours where QGIS looks when it opens the layer: table ``layer_styles``."""
    with closing(sqlite3.connect(path)) as database, database:
        geometry = database.execute("SELECT column_name FROM gpkg_geometry_columns").fetchone()[0]
        database.execute(_STYLES)
        database.execute(
            "INSERT INTO gpkg_contents (table_name, data_type, identifier, last_change) "
            "VALUES ('layer_styles', 'attributes', 'layer_styles', ?)",
            (DATE,),
        )
        database.execute(
            "INSERT INTO layer_styles (f_table_catalog, f_table_schema, f_table_name, "
            "f_geometry_column, styleName, styleQML, useAsDefault, update_time) "
            "VALUES ('', '', ?, ?, 'classes', ?, 1, ?)",
            (header.layer, geometry, qml(header.classes), DATE),
        )


# The columns that QGIS gives this table when it stores a style in a GeoPackage itself.
_STYLES = """
CREATE TABLE layer_styles (
    id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
    f_table_catalog TEXT(256), f_table_schema TEXT(256), f_table_name TEXT(256),
    f_geometry_column TEXT(256), styleName TEXT(30), styleQML TEXT, styleSLD TEXT,
    useAsDefault BOOLEAN, description TEXT, owner TEXT(30), ui TEXT(30),
    update_time DATETIME DEFAULT CURRENT_TIMESTAMP
)
"""


def _write_geoparquet(path: Path, header: Header, batches: Iterator[pa.RecordBatch]) -> None:
    about = {
        "encoding": "WKB",
        "geometry_types": [header.kind],
        "crs": None if header.crs is None else header.crs.to_json_dict(),
        "orientation": "counterclockwise",
        "covering": {"bbox": {side: ["bbox", side] for side in _SIDES}},
    }
    geo = {"version": "1.1.0", "primary_column": "geometry", "columns": {"geometry": about}}
    schema = header.schema.with_metadata({"geo": json.dumps(geo)})
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        for each in _rebatched(batches, ORDERED):
            near = each.take(column(_along_curve(each["bbox"]))).replace_schema_metadata(
                schema.metadata
            )
            writer.write_batch(near, row_group_size=ROW_GROUP)


def _along_curve(boxes: pa.StructArray) -> NDArray[np.int64]:
    """An order in which neighbours stay close: that of the centres on a Z-order curve.

    G. M. Morton, A Computer Oriented Geodetic Data Base and a New Technique in File Sequencing,
    IBM (1966): the bits of the two coordinates in turn.
    """
    low, high = ([values_of(boxes.field(side)) for side in sides] for sides in _CORNERS)
    centres = (np.stack(low) + np.stack(high)) / 2
    least, extent = centres.min(1, keepdims=True), np.ptp(centres, axis=1, keepdims=True)
    cells = ((centres - least) / np.maximum(extent, TINY) * 0xFFFF).astype(np.uint64)
    code = np.zeros(cells.shape[1], np.uint64)
    for bit in range(16):
        for axis in range(2):
            code |= (cells[axis] >> np.uint64(bit) & np.uint64(1)) << np.uint64(2 * bit + axis)
    return np.argsort(code, kind="stable")


FORMATS: dict[str, Callable[[Path, Header, Iterator[pa.RecordBatch]], None]] = {
    ".gpkg": _write_geopackage,
    ".fgb": _write_flatgeobuf,
    ".parquet": _write_geoparquet,
    ".geojson": _write_geojson,
}
