"""Class map to polygons: the geometry, the streaming, the files, and what is refused."""

from __future__ import annotations

import json
import sqlite3
import sys
from contextlib import closing
from pathlib import Path
from typing import Any
from unittest import mock
from xml.etree import ElementTree as ET

import dask.array as da
import geopandas as gpd
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pyogrio
import pytest
import rasterio
import rioxarray
import shapely
import xarray as xr
from affine import Affine
from geopandas.testing import assert_geodataframe_equal
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from maps import (
    NORTH_UP,
    UTM,
    around,
    class_map,
    connectivities,
    heights,
    landscape,
    rasters,
    strips_of,
    write_band,
)
from numpy.typing import NDArray
from pyproj import Geod, Transformer
from rasterio.features import shapes
from rasterio.transform import from_bounds
from shapely.geometry import shape

from geoseg.classes import ClassInfo
from geoseg.errors import UserError
from geoseg.polygons import (
    area_by_class,
    polygonize,
    polygonize_file,
    refuse_unknown_format,
    stream,
    write,
)
from geoseg.polygons.features import Features
from geoseg.polygons.join import OpenRegions
from geoseg.polygons.making import Making
from geoseg.polygons.source import map_of_array
from geoseg.polygons.trace import trace
from geoseg.raster import open_raster, write_raster
from geoseg.raster.sidecar import pam_xml

examples = settings(max_examples=60)


def polygons(
    values: NDArray[Any], connectivity: Any = 4, rows: int = 1000, **options: Any
) -> gpd.GeoDataFrame:
    with strips_of(rows):
        return polygonize(class_map(values, **options), connectivity=connectivity)


def on_lattice(values: NDArray[Any], connectivity: Any = 4, rows: int = 1000) -> gpd.GeoDataFrame:
    """Polygons in columns and negative rows: whole numbers, north up."""
    return polygons(values, connectivity, rows, transform=Affine(1, 0, 0, 0, -1, 0), crs=None)


def rasterio_regions(
    values: NDArray[Any], connectivity: int
) -> dict[tuple[Any, ...], list[shapely.Geometry]]:
    """What GDAL makes of the whole array, by value, bounds and area."""
    found: dict[tuple[Any, ...], list[shapely.Geometry]] = {}
    mask, transform = values != 0, Affine(1, 0, 0, 0, -1, 0)
    for geojson, value in shapes(values, mask, connectivity, transform):
        geometry = shape(geojson)
        if connectivity == 8:
            geometry = shapely.make_valid(geometry)  # GDAL's may touch themselves at a point
        found.setdefault((value, geometry.bounds, geometry.area), []).append(geometry)
    return found


def assert_equal_to_rasterio(values: NDArray[Any], connectivity: int, rows: int) -> None:
    frame = on_lattice(values, connectivity, rows)
    expected = rasterio_regions(values, connectivity)
    for value, geometry in zip(frame.class_id, frame.geometry, strict=True):
        alike = expected[(value, geometry.bounds, geometry.area)]
        alike.remove(next(each for each in alike if each.equals(geometry)))
    assert not any(expected.values())
    assert frame.geometry.is_valid.all()


# -- the geometry ----------------------------------------------------------------------------------


@examples
@given(rasters(), connectivities, heights)
def test_every_region_is_the_one_that_gdal_finds_in_the_whole_array(
    values: NDArray[np.uint8], connectivity: int, rows: int
) -> None:
    assert_equal_to_rasterio(values, connectivity, rows)


@examples
@given(rasters(), connectivities, heights)
def test_polygons_do_not_depend_on_the_strips(
    values: NDArray[np.uint8], connectivity: int, rows: int
) -> None:
    whole, cut = (on_lattice(values, connectivity, each) for each in (1000, rows))
    assert list(cut.geometry.to_wkb()) == list(whole.geometry.to_wkb())
    assert list(cut.class_id) == list(whole.class_id)


@examples
@given(rasters(), connectivities, heights)
def test_the_area_of_a_class_is_that_of_its_pixels(
    values: NDArray[np.uint8], connectivity: int, rows: int
) -> None:
    frame = polygons(values, connectivity, rows, transform=Affine(3, 1, 4e5, 2, -7, 5e6))
    areas = frame.groupby("class_id").area_m2.sum()
    counts = {value: np.count_nonzero(values == value) for value in np.unique(values) if value}
    assert areas.to_dict() == pytest.approx({v: 23 * n for v, n in counts.items()}, rel=1e-9)
    assert frame.area_m2.to_numpy() == pytest.approx(frame.geometry.area.to_numpy(), rel=1e-6)


@examples
@given(rasters(), connectivities, heights)
def test_polygons_are_a_valid_coverage(
    values: NDArray[np.uint8], connectivity: int, rows: int
) -> None:
    assert shapely.coverage_is_valid(on_lattice(values, connectivity, rows).geometry.values)


@examples
@given(rasters(), connectivities, heights)
def test_vertices_are_the_turns_and_the_junctions_of_boundaries(
    values: NDArray[np.uint8], connectivity: int, rows: int
) -> None:
    nw, ne, sw, se = around(values)
    north, south, west, east = nw != ne, sw != se, nw != sw, ne != se
    edges = north.astype(int) + south + west + east
    expected = (edges > 2) | (edges == 2) & (north != south)
    for geometry in on_lattice(values, connectivity, rows).geometry:
        corners = np.stack(around(pixels_in(geometry, values.shape)))
        boundary = corners.any(0) & ~corners.all(0)
        wanted = {(x, -y) for y, x in np.argwhere(boundary & expected)}
        assert {tuple(each) for each in shapely.get_coordinates(geometry)} == wanted


def pixels_in(geometry: shapely.Geometry, size: tuple[int, int]) -> NDArray[np.bool_]:
    """The pixels whose centres lie in a geometry."""
    rows, columns = np.indices(size)
    return shapely.contains_xy(geometry, columns + 0.5, -rows - 0.5)


@examples
@given(rasters(), connectivities, heights)
def test_regions_come_in_the_order_of_their_last_pixels(
    values: NDArray[np.uint8], connectivity: int, rows: int
) -> None:
    frame = on_lattice(values, connectivity, rows)
    last = [np.flatnonzero(pixels_in(geometry, values.shape))[-1] for geometry in frame.geometry]
    assert last == sorted(last)


@pytest.mark.parametrize(
    "transform",
    [
        pytest.param(Affine(10, 0, 5e5, 0, -10, 5e6), id="north up"),
        pytest.param(Affine(10, 0, 5e5, 0, 10, 5e6), id="south up"),
        pytest.param(Affine(-10, 0, 5e5, 0, -10, 5e6), id="mirrored"),
        pytest.param(Affine(10, 0, 5e5, 0, -3, 5e6) @ Affine.rotation(30), id="rotated"),
        pytest.param(Affine(10, 4, 5e5, 0, -10, 5e6), id="sheared"),
        pytest.param(None, id="none"),
    ],
)
@pytest.mark.parametrize("connectivity", [4, 8])
def test_polygons_lie_where_the_transform_says(transform: Affine | None, connectivity: int) -> None:
    values = np.random.default_rng(1).integers(0, 3, (8, 9)).astype(np.uint8)
    values[2:5, 2:5], values[3, 3] = 1, 2
    frame = polygons(values, connectivity, 3, transform=transform)
    t = transform or Affine.identity()
    lattice = polygons(values, connectivity, 3, transform=None, crs=None)
    moved = lattice.geometry.affine_transform([t.a, t.b, t.d, t.e, t.c, t.f])
    apart = shapely.symmetric_difference(moved.values, frame.geometry.values)
    assert shapely.area(apart).max() < 1e-6
    assert shapely.coverage_is_valid(frame.geometry.values)
    parts = shapely.get_parts(frame.geometry.values)
    assert shapely.is_ccw(shapely.get_exterior_ring(parts)).all()
    holes = [ring for part in parts for ring in part.interiors]
    assert holes
    assert not shapely.is_ccw(holes).any()


def spiral(side: int) -> NDArray[np.uint8]:
    """A band one pixel wide that winds inwards through every row and column."""
    values = np.ones((side, side), np.uint8)
    row, column = 0, 0
    steps = [(0, 1), (1, 0), (0, -1), (-1, 0)]
    for turn, length in enumerate([side - 1, *np.repeat(np.arange(side - 1, 0, -2), 2)]):
        down, right = steps[turn % 4]
        for _ in range(length):
            values[row, column] = 2
            row, column = row + down, column + right
    return values


def nested(side: int) -> NDArray[np.uint8]:
    """Rings in rings."""
    distance = np.minimum(np.arange(side), np.arange(side)[::-1])
    return (np.minimum.outer(distance, distance) % 2 + 1).astype(np.uint8)


WORST = {
    "checkerboard": (np.indices((20, 21)).sum(0) % 2 + 1).astype(np.uint8),
    "spiral": spiral(24),
    "one region around all": np.pad(np.full((1, 1), 2, np.uint8), 12, constant_values=1),
    "one region around many": np.where(np.indices((25, 25)).prod(0) % 2, 2, 1).astype(np.uint8),
    "nested rings": nested(23),
    "one pixel": np.ones((1, 1), np.uint8),
    "one row": (np.arange(5000) % 70 % 30 % 3)[None].astype(np.uint8),
    "a very long row": (np.arange(100_000) // 7 % 5)[None].astype(np.uint8),
    "one column": (np.arange(500) % 7 % 3)[:, None].astype(np.uint8),
    "every pixel another class": np.linspace(1, 65535, 400).reshape(20, 20).astype(np.uint16),
    "all classes of 16 bits": np.arange(1, 65536).reshape(255, 257).astype(np.uint16),
    "no data": np.zeros((9, 9), np.uint8),
    "one class": np.ones((9, 9), np.uint8),
}


@pytest.mark.parametrize("rows", [1, 7, 1000])
@pytest.mark.parametrize("connectivity", [4, 8])
@pytest.mark.parametrize("values", WORST.values(), ids=WORST.keys())
def test_worst_cases(values: NDArray[Any], connectivity: int, rows: int) -> None:
    assert_equal_to_rasterio(values, connectivity, rows)


@pytest.mark.parametrize("values", WORST.values(), ids=WORST.keys())
def test_worst_cases_simplified(values: NDArray[Any]) -> None:
    transform = Affine(1, 0, 0, 0, -1, 0)
    with strips_of(5):
        frame = polygonize(class_map(values, transform, None), simplify=2)
    assert shapely.coverage_is_valid(frame.geometry.values)
    found = frame.groupby("class_id").area_m2.sum()
    present, pixels = np.unique(values[values > 0], return_counts=True)
    assert found.index.tolist() == present.tolist()
    assert found.to_numpy() == pytest.approx(pixels, rel=1e-3)


def test_holes_that_touch_the_exterior_at_a_point_stay_holes() -> None:
    values = np.array([[1, 1, 1], [1, 2, 1], [1, 1, 2]], np.uint8)
    for rows in (1, 2, 3):
        for connectivity in (4, 8):
            frame = on_lattice(values, connectivity, rows)
            (around,) = shapely.get_parts(frame.geometry[frame.class_id == 1].values)
            assert len(around.interiors) == 1


def test_eight_connected_regions_are_multipolygons_that_touch_at_points() -> None:
    frame = on_lattice(np.array([[1, 2], [2, 1]], np.uint8), 8)
    assert list(frame.class_id) == [2, 1]
    assert [len(each.geoms) for each in frame.geometry] == [2, 2]
    assert (on_lattice(np.ones((1, 1), np.uint8), 8).geom_type == "MultiPolygon").all()


# -- values, no data, areas ------------------------------------------------------------------------


@pytest.mark.parametrize(
    "dtype", ["bool", "i1", "u1", "i2", ">i2", "u2", ">u2", "i4", "u4", "i8", "u8"]
)
def test_any_integers_are_classes(dtype: str) -> None:
    kind = np.dtype(dtype)
    low, high = (0, 1) if kind == np.bool_ else (np.iinfo(kind).min, np.iinfo(kind).max)
    high = min(high, np.iinfo(np.int64).max)
    frame = polygons(np.array([[low, high], [high, high]]).astype(kind), rows=1, nodata=None)
    assert dict(zip(frame.class_id, frame.area_m2, strict=True)) == {low: 100, high: 300}


def test_classes_past_the_range_of_vector_files_are_refused() -> None:
    values = np.array([[2**64 - 1, 1]], np.uint64)
    with pytest.raises(UserError, match="class 18446744073709551615 is larger than 9223"):
        polygonize(class_map(values, nodata=1))
    frame = polygonize(class_map(values, nodata=2**64 - 1))
    assert list(frame.class_id) == [1]


@pytest.mark.parametrize("nodata", [-9999.0, 1e30, float("nan"), 0.5])
def test_a_nodata_value_that_no_pixel_can_have_hides_nothing(nodata: float) -> None:
    labels = class_map(np.array([[0, 1]], np.uint8), nodata=None)
    labels.encoding["_FillValue"] = nodata
    assert sorted(polygonize(labels).class_id) == [0, 1]


def test_a_geographic_map_has_areas_on_the_ellipsoid() -> None:
    values = np.array([[1, 1, 1, 1], [1, 2, 2, 1], [1, 1, 1, 1]], np.uint8)
    west, south, east, north = 11.0, 40.0, 31.0, 64.0
    frame = polygons(values, transform=from_bounds(west, south, east, north, 4, 3), crs="EPSG:4326")
    geod = Geod(ellps="WGS84")
    for geometry, area in zip(frame.geometry, frame.area_m2, strict=True):
        # Parallels are no geodesics; in short steps they nearly are.
        expected = geod.geometry_area_perimeter(shapely.segmentize(geometry, 0.002))[0]
        assert area == pytest.approx(expected, rel=1e-7)


def test_areas_on_the_ellipsoid_add_up_to_the_whole_earth() -> None:
    values = np.random.default_rng(0).integers(1, 4, (30, 60)).astype(np.uint8)
    frame = polygons(values, transform=from_bounds(-180, -90, 180, 90, 60, 30), crs="EPSG:4326")
    assert frame.area_m2.sum() == pytest.approx(510_065_621_724_088.4, rel=1e-9)  # WGS 84


@pytest.mark.parametrize(
    ("crs", "metres"),
    [(UTM, 1.0), ("EPSG:2263", 1200 / 3937), ('LOCAL_CS["field",UNIT["metre",1]]', 1.0), (None, 1)],
)
def test_planar_areas_are_in_square_metres(crs: str | None, metres: float) -> None:
    frame = polygons(np.ones((3, 2), np.uint8), crs=crs)
    assert frame.area_m2[0] == pytest.approx(600 * metres**2, rel=1e-9)


def test_without_a_transform_areas_are_in_pixels() -> None:
    frame = polygons(np.ones((3, 2), np.uint8), transform=None, crs=None)
    assert frame.area_m2[0] == 6
    assert frame.crs is None
    assert frame.total_bounds.tolist() == [0, 0, 2, 3]


@examples
@given(rasters(), connectivities)
def test_perimeters_are_the_lengths_of_exteriors_and_holes(
    values: NDArray[np.uint8], connectivity: int
) -> None:
    frame = polygons(values, connectivity, transform=Affine(3, 1, 4e5, 2, -7, 5e6))
    assert frame.perimeter_m.to_numpy() == pytest.approx(frame.geometry.length.to_numpy(), rel=1e-9)
    feet = polygons(values, connectivity, transform=Affine(3, 0, 0, 0, -3, 0), crs="EPSG:2263")
    lengths = feet.geometry.length.to_numpy() * 1200 / 3937
    assert feet.perimeter_m.to_numpy() == pytest.approx(lengths, rel=1e-9)


@pytest.mark.parametrize(
    "transform", [from_bounds(11, 58, 11.4, 58.3, 4, 3), Affine(0.08, 0.05, 11, 0.03, -0.09, 58)]
)
@pytest.mark.parametrize("simplify", [0, 2])
def test_a_geographic_map_has_perimeters_on_the_ellipsoid(
    transform: Affine, simplify: float
) -> None:
    values = np.array([[1, 1, 1, 1], [1, 2, 2, 1], [1, 1, 2, 1]], np.uint8)
    frame = polygonize(class_map(values, transform, "EPSG:4326"), simplify=simplify)
    geod = Geod(ellps="WGS84")
    for geometry, area, perimeter in zip(
        frame.geometry, frame.area_m2, frame.perimeter_m, strict=True
    ):
        # Straight on the map is no geodesic; in short steps it nearly is.
        fine = shapely.segmentize(geometry, 0.002)
        assert perimeter == pytest.approx(geod.geometry_length(fine), rel=1e-6)
        assert area == pytest.approx(geod.geometry_area_perimeter(fine)[0], rel=1e-6)


@examples
@given(rasters(), connectivities)
def test_what_is_written_is_what_shapely_writes(
    values: NDArray[np.uint8], connectivity: int
) -> None:
    source = map_of_array(class_map(values))
    making = Making(connectivity)
    features = Features(source.grid, source, making)
    for _, made in stream.stream(source, making):
        geometries, batch = features.frame(made)[1], features.batch(made)
        assert batch.geometries.to_pylist() == shapely.to_wkb(geometries).tolist()
        assert batch.bounds.tolist() == shapely.bounds(geometries).reshape(-1, 4).tolist()


@examples
@given(rasters(), connectivities, heights, st.lists(st.integers(1, 3), min_size=1))
def test_chosen_classes_are_those_of_all(
    values: NDArray[np.uint8], connectivity: Any, rows: int, chosen: list[int]
) -> None:
    chosen = [each for each in chosen if (values == each).any()]
    assume(chosen)
    labels = class_map(values)
    with strips_of(rows):
        whole, part = (
            polygonize(labels, connectivity=connectivity, simplify=1, classes=each)
            for each in (None, chosen)
        )
    expected = whole[whole.class_id.isin(chosen)]
    assert list(part.geometry.to_wkb()) == list(expected.geometry.to_wkb())
    assert list(part.area_m2) == list(expected.area_m2)


def test_classes_are_chosen_by_name_or_value() -> None:
    labels = class_map(np.array([[1, 2, 3]], np.uint8))
    labels.attrs |= {"flag_values": [1, 2, 3], "flag_meanings": "water forest field"}
    assert list(polygonize(labels, classes=["Forest", 3, "1"]).class_id) == [1, 2, 3]
    assert list(polygonize(labels, classes=["forest"]).class_name) == ["forest"]
    labels[0, 0] = 7
    assert list(polygonize(labels, classes=[7]).class_name) == ["class 7"]
    assert list(polygonize(labels, classes=["water"]).class_name) == []
    assert list(polygonize(labels, classes="field").class_name) == ["field"]
    with pytest.raises(UserError, match="no class is chosen; name at least one"):
        polygonize(labels, classes=[])
    with pytest.raises(UserError, match="no class 'sand'; its classes are 1 water, 2 forest, 3"):
        polygonize(labels, classes=["sand"])
    with pytest.raises(UserError, match="no pixel has class 9; the classes there are: 2, 3, 7"):
        polygonize(labels, classes=[9])


def test_classes_of_a_map_that_names_none_are_chosen_by_value(tmp_path: Path) -> None:
    path = write_band(tmp_path / "map.tif", np.array([[1, 2, 3]], np.int16))
    polygonize_file(path, tmp_path / "map.gpkg", classes=[2])
    assert list(read(tmp_path / "map.gpkg").class_id) == [2]
    with pytest.raises(UserError, match="does not name its classes; give the value of 'water'"):
        polygonize_file(path, tmp_path / "other.gpkg", classes=["water"])
    with pytest.raises(UserError, match="no pixel has class 7; the classes there are: 1, 2, 3"):
        polygonize_file(path, tmp_path / "other.gpkg", classes=[2, 7])
    assert sorted(each.name for each in tmp_path.iterdir()) == ["map.gpkg", "map.tif"]


def test_no_data_is_a_polygon_when_asked() -> None:
    values = np.array([[0, 1], [0, 1]], np.uint8)
    frame = polygonize(class_map(values), with_nodata=True)
    assert frame[["class_id", "class_name"]].values.tolist() == [[0, "no data"], [1, "class 1"]]
    assert shapely.coverage_is_valid(frame.geometry.values)


def test_masked_pixels_are_a_polygon_when_asked(tmp_path: Path) -> None:
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True):
        path = write_band(tmp_path / "map.tif", np.ones((4, 4), np.uint8))
        with rasterio.open(path, "r+") as dataset:
            dataset.write_mask(np.tri(4, dtype=bool))
    for chosen in (["no data"], [-1]):
        polygonize_file(
            path, tmp_path / "some.gpkg", with_nodata=True, classes=chosen, overwrite=True
        )
        assert read(tmp_path / "some.gpkg").class_id.tolist() == [-1]
    with pytest.raises(UserError, match="no pixel has class 9; the classes there are: -1, 1"):
        polygonize_file(path, tmp_path / "other.gpkg", with_nodata=True, classes=[9])
    polygonize_file(path, tmp_path / "map.gpkg", with_nodata=True)
    frame = read(tmp_path / "map.gpkg")
    assert frame[["class_id", "class_name", "area_m2"]].values.tolist() == [
        [-1, "no data", 600.0],
        [1, "class 1", 1000.0],
    ]


def test_square_corners_are_square() -> None:
    rows, columns = np.indices((60, 60))
    turned = np.abs(3 * (columns - 30) + (rows - 30)), np.abs(3 * (rows - 30) - (columns - 30))
    values = ((turned[0] < 60) & (turned[1] < 40)).astype(np.uint8)
    raw, square = (polygonize(class_map(values), regularize=each) for each in (False, True))
    (building,) = square.geometry
    assert building.geom_type == "MultiPolygon"
    edges = np.diff(shapely.get_coordinates(building), axis=0)
    edges = edges[np.hypot(*edges.T) > 5]  # half a pixel
    along = np.degrees(np.arctan2(*edges.T)) % 90
    assert np.ptp(along) < 1e-3
    assert shapely.get_num_coordinates(building) < shapely.get_num_coordinates(raw.geometry[0]) / 5
    assert square.area_m2[0] == pytest.approx(building.area)
    assert square.area_m2[0] == pytest.approx(raw.area_m2[0], rel=0.05)
    assert square.perimeter_m[0] == pytest.approx(building.length)


@pytest.mark.parametrize("connectivity", [4, 8])
def test_square_corners_stay_with_their_region(connectivity: Any) -> None:
    labels = class_map(landscape((70, 60), 1.2, 4, 0))
    raw, square = (
        polygonize(labels, connectivity=connectivity, regularize=each) for each in (False, True)
    )
    assert list(square.class_id) == list(raw.class_id)
    assert square.geometry.is_valid.all()
    overlap = raw.geometry.intersection(square.geometry).area
    assert (overlap > 0.49 * raw.area_m2).all()
    assert (overlap < 0.999 * raw.area_m2).sum() > 20
    for part in shapely.get_parts(square.geometry.values):
        assert shapely.is_ccw(shapely.get_exterior_ring(part))


def test_classes_of_one_name_are_all_chosen_and_numbers_are_values() -> None:
    labels = class_map(np.array([[1, 2, 3, 4]], np.uint8))
    labels.attrs |= {"flag_values": [1, 2, 3, 4], "category_names": ["other", "x", "Other", "1"]}
    labels.attrs["category_colors"] = ["#000000"] * 4
    assert list(polygonize(labels, classes=["other"]).class_id) == [1, 3]
    assert list(polygonize(labels, classes=["1"]).class_id) == [1]


def test_square_corners_are_written_and_reprojected(tmp_path: Path) -> None:
    values = np.zeros((40, 40), np.uint8)
    values[5:20, 5:30] = values[30:35, 10:14] = 1
    write_raster(class_map(values), tmp_path / "map.tif")
    polygonize_file(
        tmp_path / "map.tif", tmp_path / "map.gpkg", regularize=True, crs="EPSG:3035", simplify=1
    )
    frame = read(tmp_path / "map.gpkg")
    assert frame.crs.to_epsg() == 3035
    assert frame.area_m2.tolist() == pytest.approx([37_500, 2000], rel=0.05)
    assert frame.area_m2.tolist() == pytest.approx(frame.to_crs(UTM).area.tolist(), rel=1e-6)


def test_square_corners_are_refused_in_degrees_and_without_their_library(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    labels = class_map(np.ones((3, 3), np.uint8), Affine(0.1, 0, 0, 0, -0.1, 0), "EPSG:4326")
    with pytest.raises(UserError, match="square corners are not square in degrees"):
        polygonize(labels, regularize=True)
    monkeypatch.setitem(sys.modules, "buildingregulariser", None)
    with pytest.raises(UserError, match=r"not installed; pip install 'geoseg\[regularize\]'"):
        polygonize(class_map(np.ones((3, 3), np.uint8)), regularize=True)


def test_maps_past_the_range_of_points_are_refused() -> None:
    values = np.broadcast_to(np.uint8(1), (1, 2**24))
    with pytest.raises(UserError, match="1 rows and 16777216 columns; polygons are made of"):
        polygonize(xr.DataArray(values, dims=("y", "x")))


def test_classes_have_their_names_and_others_their_number() -> None:
    labels = class_map(np.array([[1, 2]], np.uint8))
    labels.attrs |= {
        "flag_values": [1],
        "category_names": ["open water"],
        "category_colors": ["#0000ff"],
    }
    assert list(polygonize(labels).class_name) == ["open water", "class 2"]


# -- lazy arrays and streams -----------------------------------------------------------------------


@settings(deadline=None, max_examples=20)
@given(rasters(), heights)
def test_a_chunked_array_gives_the_same_and_computes_each_chunk_once(
    values: NDArray[np.uint8], side: int
) -> None:
    computed = []

    def block(part: NDArray[np.uint8], block_info: Any = None) -> NDArray[np.uint8]:
        computed.append(block_info[0]["chunk-location"])
        return part

    lazy = da.from_array(values, chunks=side).map_blocks(block, dtype=np.uint8, meta=values[:0, :0])
    computed.clear()
    frame = polygonize(class_map(lazy))
    assert frame.geometry.to_wkb().tolist() == polygons(values).geometry.to_wkb().tolist()
    assert sorted(computed) == sorted(np.ndindex(lazy.numblocks))


def test_a_region_is_handed_out_in_the_strip_after_its_last_row() -> None:
    values = np.repeat(np.arange(1, 6), 4)[:, None].astype(np.uint8) * np.ones((1, 3), np.uint8)
    with strips_of(2):
        batches = list(stream.stream(map_of_array(class_map(values)), Making()))
    assert [(rows, list(each.values)) for rows, each in batches if each.values.size] == [
        (6, [1]),
        (10, [2]),
        (14, [3]),
        (18, [4]),
        (20, [5]),
    ]


def test_what_is_held_does_not_grow_with_the_map() -> None:
    tile = np.random.default_rng(0).integers(1, 4, (20, 50)).astype(np.uint8)
    held = []
    regions = OpenRegions(50, 4, 0)
    for row in range(0, 2000, 20):
        strip = trace(np.concatenate([tile[-1:], tile])[row == 0 :], None, row, 2000)
        regions.add(strip, np.empty((strip.values.size, 0)))
        held.append(regions._store._points.size)
    assert max(held) < 2 * max(held[:10])


# -- files -----------------------------------------------------------------------------------------

FORMATS = ["gpkg", "fgb", "parquet", "geojson"]


@pytest.fixture
def values() -> NDArray[np.uint8]:
    coarse = np.random.default_rng(3).integers(0, 4, (12, 10))
    values = np.kron(coarse, np.ones((5, 7))).astype(np.uint8)
    return np.where(values == 0, 255, values)


@pytest.fixture
def scene(tmp_path: Path, values: NDArray[np.uint8]) -> Path:
    labels = class_map(values, nodata=255)
    labels.attrs |= {
        "flag_values": [1, 2, 3],
        "category_names": ["water", "föhren & fichten", "<bare>"],
        "category_colors": ["#0000ff", "#00ff00", "#808080"],
    }
    write_raster(labels, tmp_path / "map.tif")
    return tmp_path / "map.tif"


def read(path: Path) -> gpd.GeoDataFrame:
    if path.suffix == ".parquet":
        return gpd.read_parquet(path)
    return gpd.read_file(path, layer=path.stem)


def in_order(frame: gpd.GeoDataFrame) -> gpd.GeoDataFrame:
    return frame.loc[frame.geometry.to_wkb().sort_values().index].reset_index(drop=True)


@pytest.mark.parametrize("connectivity", [4, 8])
@pytest.mark.parametrize("ending", ["gpkg", "fgb", "parquet"])
def test_a_file_holds_what_the_frame_holds(scene: Path, ending: str, connectivity: Any) -> None:
    path = scene.with_name(f"map.{ending}")
    polygonize_file(scene, path, connectivity=connectivity)
    with rasterio.open(scene) as dataset:
        expected = class_map(dataset.read(1), nodata=255)
    expected.attrs |= {
        "flag_values": [1, 2, 3],
        "category_names": ["water", "föhren & fichten", "<bare>"],
        "category_colors": ["#0000ff", "#00ff00", "#808080"],
    }
    frame, found = polygonize(expected, connectivity=connectivity), read(path)
    if ending in ("fgb", "parquet"):  # their features are ordered by place
        frame, found = in_order(frame), in_order(found)
    assert list(found.columns) == [
        "class_id",
        "class_name",
        "area_m2",
        "perimeter_m",
        "geometry",
    ]
    assert found.crs.to_epsg() == 32633
    for column in ("class_id", "class_name", "area_m2", "perimeter_m"):
        assert list(found[column]) == list(frame[column])
    assert list(found.geometry.to_wkb()) == list(frame.geometry.to_wkb())


@pytest.mark.parametrize("ending", FORMATS)
def test_a_map_without_data_gives_a_file_without_features(tmp_path: Path, ending: str) -> None:
    write_raster(class_map(np.full((4, 5), 255, np.uint8), nodata=255), tmp_path / "map.tif")
    polygonize_file(tmp_path / "map.tif", tmp_path / f"out.{ending}")
    assert len(read(tmp_path / f"out.{ending}")) == 0


@pytest.mark.parametrize("ending", ["gpkg", "fgb", "parquet"])
def test_a_map_without_a_coordinate_system_gives_a_file_without_one(
    tmp_path: Path, ending: str
) -> None:
    write_raster(class_map(np.ones((4, 5), np.uint8), None, None), tmp_path / "map.tif")
    polygonize_file(tmp_path / "map.tif", tmp_path / f"out.{ending}")
    frame = read(tmp_path / f"out.{ending}")
    assert frame.crs is None or "undefined" in frame.crs.name.lower()
    assert list(frame.area_m2) == [20]


def test_geojson_is_wgs_84_with_the_right_hand_rule(scene: Path) -> None:
    path = scene.with_name("map.geojson")
    polygonize_file(scene, path)
    text = json.loads(path.read_text())
    assert "crs" not in text
    native = gpd.read_file(scene_polygons(scene), layer="native")
    to_degrees = Transformer.from_crs(UTM, "EPSG:4326", always_xy=True)
    for feature, geometry in zip(text["features"], native.geometry, strict=True):
        found = shape(feature["geometry"])
        expected = shapely.transform(geometry, to_degrees.transform, interleaved=False)
        assert shapely.hausdorff_distance(found, expected) < 1e-6
        assert shapely.is_ccw(found.exterior)
        assert not any(shapely.is_ccw(ring) for ring in found.interiors)


def scene_polygons(scene: Path) -> Path:
    path = scene.with_name("native.gpkg")
    polygonize_file(scene, path)
    return path


def test_geojson_is_cut_at_the_antimeridian(tmp_path: Path) -> None:
    across = Affine(100_000, 0, 600_000, 0, -100_000, 5_000_000)  # UTM zone 1 begins at 180 W
    labels = class_map(np.ones((1, 4), np.uint8), across @ Affine.translation(-6, 0), "EPSG:32601")
    write_raster(labels, tmp_path / "map.tif")
    polygonize_file(tmp_path / "map.tif", tmp_path / "map.geojson")
    geometry = read(tmp_path / "map.geojson").geometry[0]
    assert geometry.geom_type == "MultiPolygon"
    assert max(part.bounds[2] - part.bounds[0] for part in geometry.geoms) < 10


def test_a_file_can_be_reprojected_and_keeps_the_areas_of_the_map(scene: Path) -> None:
    native, moved = read(scene_polygons(scene)), scene.with_name("moved.gpkg")
    polygonize_file(scene, moved, crs="EPSG:3035")
    frame = read(moved)
    assert frame.crs.to_epsg() == 3035
    assert list(frame.area_m2) == list(native.area_m2)
    expected = native.to_crs(3035).geometry
    assert shapely.hausdorff_distance(expected.values, frame.geometry.values).max() < 1e-6
    assert shapely.coverage_is_valid(frame.geometry.values)


@pytest.mark.parametrize("options", [{}, {"min_area": 300.0, "simplify": 1.0}])
def test_a_geopackage_is_of_the_version_that_every_qgis_knows(
    scene: Path, options: dict[str, float]
) -> None:
    path = scene.with_name("any.gpkg")
    polygonize_file(scene, path, **options)
    header = path.read_bytes()[:100]  # of SQLite: https://www.sqlite.org/fileformat.html, 1.3
    assert header[:16] == b"SQLite format 3\0"
    # GeoPackage 1.2, requirement 2: the application is "GPKG", the version 10200.
    assert (header[68:72], int.from_bytes(header[60:64], "big")) == (b"GPKG", 10200)


def test_a_geopackage_has_its_layer_index_version_and_style(scene: Path) -> None:
    path = scene_polygons(scene)
    assert pyogrio.list_layers(path)[0].tolist() == ["native", "Polygon"]
    with closing(sqlite3.connect(path)) as database:
        assert database.execute("PRAGMA user_version").fetchone() == (10200,)
        tables = {name for (name,) in database.execute("SELECT name FROM sqlite_master")}
        assert "rtree_native_geom" in tables or "rtree_native_geometry" in tables
        styles = database.execute(
            "SELECT f_table_name, useAsDefault, styleQML FROM layer_styles"
        ).fetchall()
    ((table, default, qml),) = styles
    assert (table, default) == ("native", 1)
    renderer = ET.fromstring(qml).find("renderer-v2")  # noqa: S314  (written a moment ago)
    assert renderer is not None
    assert renderer.attrib["attr"] == "class_id"
    colors = {
        symbol.attrib["name"]: symbol.find("layer/Option/Option[@name='color']").attrib["value"]
        for symbol in renderer.iter("symbol")
    }
    categories = {
        each.attrib["value"]: (each.attrib["label"], colors[each.attrib["symbol"]])
        for each in renderer.iter("category")
    }
    assert categories == {
        "1": ("water", "0,0,255,255"),
        "2": ("föhren & fichten", "0,255,0,255"),
        "3": ("<bare>", "128,128,128,255"),
    }


@pytest.mark.parametrize("ending", FORMATS)
def test_two_writes_give_the_same_bytes_whatever_the_strips(scene: Path, ending: str) -> None:
    path = scene.with_name(f"map.{ending}")
    found = []
    for rows in (1000, 7, 1):
        with strips_of(rows):
            polygonize_file(scene, path, overwrite=True)
        found.append(path.read_bytes())
    assert found[0] == found[1] == found[2]


def test_writing_a_geopackage_leaves_gdal_as_it_was(scene: Path) -> None:
    before = {"OGR_CURRENT_DATE": "2001-01-01T00:00:00Z", "OGR_SQLITE_PRAGMA": "page_size=512"}
    pyogrio.set_gdal_config_options(before)
    try:
        path = scene_polygons(scene)
        for name, value in before.items():
            assert pyogrio.get_gdal_config_option(name) == value
    finally:
        pyogrio.set_gdal_config_options(dict.fromkeys(before))
    with closing(sqlite3.connect(path)) as database:
        assert database.execute("PRAGMA page_size").fetchone() == (16384,)
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_geoparquet_rows_lie_near_each_other(tmp_path: Path) -> None:
    path = write_band(tmp_path / "map.tif", landscape((1200, 1200), 1, 6, 0))
    with mock.patch.object(write, "ROW_GROUP", 512):
        polygonize_file(path, tmp_path / "map.parquet")
    file = pq.ParquetFile(tmp_path / "map.parquet")
    assert file.metadata.num_row_groups > 50
    areas = []
    for group in range(file.metadata.num_row_groups):
        boxes = np.array(
            [list(each.values()) for each in file.read_row_group(group)["bbox"].to_pylist()]
        )
        centres = (boxes[:, :2] + boxes[:, 2:]) / 2
        areas.append(np.prod(np.ptp(centres, axis=0)))
    assert np.median(areas) < 12_000**2 / 25


def test_geoparquet_rows_carry_their_boxes(scene: Path) -> None:
    path = scene.with_name("map.parquet")
    polygonize_file(scene, path)
    whole = gpd.read_parquet(path)
    boxes = pq.read_table(path, columns=["bbox"]).column("bbox").to_pylist()
    assert [tuple(each.values()) for each in boxes] == [each.bounds for each in whole.geometry]
    metadata = json.loads(pq.read_schema(path).metadata[b"geo"])
    assert metadata["version"] == "1.1.0"
    assert metadata["columns"]["geometry"]["covering"]["bbox"]["xmin"] == ["bbox", "xmin"]
    box = (500_000, 4_999_900, 500_100, 5_000_000)
    inside = whole[shapely.intersects(whole.envelope.values, shapely.box(*box))]
    assert 0 < len(inside) < len(whole)
    assert list(gpd.read_parquet(path, bbox=box).area_m2) == list(inside.area_m2)


# -- confidence ------------------------------------------------------------------------------------


@examples
@given(rasters(), connectivities, heights, st.integers(0, 2**32 - 1))
def test_mean_confidence_is_the_mean_over_the_pixels_that_have_it(
    values: NDArray[np.uint8], connectivity: int, rows: int, seed: int
) -> None:
    belief = np.random.default_rng(seed).random(values.shape)
    belief[belief < 0.2] = np.nan
    source = map_of_array(class_map(values, Affine(1, 0, 0, 0, -1, 0), None))
    with strips_of(rows):
        batches = [
            p for _, p in stream.stream(source, Making(connectivity), lambda box: belief[box])
        ]
    features = Features(source.grid, source, Making(connectivity))
    found = np.concatenate([features.batch(each).attributes["mean_confidence"] for each in batches])
    frame = on_lattice(values, connectivity)
    for geometry, mean in zip(frame.geometry, found, strict=True):
        inside = belief[pixels_in(geometry, values.shape)]
        expected = inside[~np.isnan(inside)]
        assert mean == pytest.approx(
            expected.mean() if expected.size else np.nan, abs=1e-6, nan_ok=True
        )


def test_confidence_in_steps_is_read_with_its_scale(scene: Path, values: NDArray[np.uint8]) -> None:
    steps = np.where(values == 255, 255, values * 40).astype(np.uint8)
    path = write_band(scene.with_name("confidence.tif"), steps, nodata=255)
    with rasterio.open(path, "r+") as dataset:
        dataset.scales = (1 / 254,)
    polygonize_file(scene, scene.with_name("map.fgb"), confidence=path)
    frame = read(scene.with_name("map.fgb"))
    expected = (frame.class_id * 40 / 254).to_numpy()
    assert frame.mean_confidence.to_numpy() == pytest.approx(expected, abs=1e-6)


def test_regions_without_any_confidence_have_none(scene: Path, values: NDArray[np.uint8]) -> None:
    belief = np.where(values == 2, -1, 0.5).astype(np.float32)
    path = write_band(scene.with_name("confidence.tif"), belief, nodata=-1)
    polygonize_file(scene, scene.with_name("map.parquet"), confidence=path)
    frame = read(scene.with_name("map.parquet"))
    assert frame.mean_confidence[frame.class_id == 2].isna().all()
    assert (frame.mean_confidence[frame.class_id != 2] == 0.5).all()


def test_confidence_on_another_grid_is_refused(scene: Path, values: NDArray[np.uint8]) -> None:
    path = write_band(scene.with_name("confidence.tif"), values[1:])
    with pytest.raises(
        UserError, match=r"confidence.tif does not lie on the grid of the class map"
    ):
        polygonize_file(scene, scene.with_name("map.gpkg"), confidence=path)


# -- what is read ----------------------------------------------------------------------------------


def test_a_band_is_chosen_by_name_or_number(tmp_path: Path) -> None:
    bands = np.array([[[1, 1]], [[1, 2]]], np.uint8)
    path = write_band(tmp_path / "map.tif", bands)
    with rasterio.open(path, "r+") as dataset:
        dataset.descriptions = ("height", "cover")
    for band, count in ((1, 1), (2, 2), ("cover", 2)):
        polygonize_file(path, tmp_path / "out.parquet", band=band, overwrite=True)
        assert len(read(tmp_path / "out.parquet")) == count
    with pytest.raises(UserError, match="has 2 bands, a class map is one; choose it with --band"):
        polygonize_file(path, tmp_path / "out.gpkg")
    with pytest.raises(UserError, match="has no band 'slope'; its bands are 1 height, 2 cover"):
        polygonize_file(path, tmp_path / "out.gpkg", band="slope")


@pytest.mark.parametrize("tiled", [False, True])
def test_masked_pixels_are_in_no_polygon(tmp_path: Path, tiled: bool) -> None:
    values = np.random.default_rng(0).integers(0, 3, (600, 40)).astype(np.int32)
    mask = np.random.default_rng(1).random((600, 40)) < 0.9
    layout = {"tiled": True, "blockxsize": 16, "blockysize": 48} if tiled else {}
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True):
        path = write_band(tmp_path / "map.tif", values, **layout)
        with rasterio.open(path, "r+") as dataset:
            dataset.write_mask(mask)
    polygonize_file(path, tmp_path / "map.gpkg")
    expected = polygons(np.where(mask, values, 9), nodata=9)
    found = read(tmp_path / "map.gpkg")
    assert list(found.geometry.to_wkb()) == list(expected.geometry.to_wkb())
    assert set(found.class_id) == {0, 1, 2}


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (xr.DataArray(np.ones((2, 2), np.float32), dims=("y", "x")), "holds integers, not float32"),
        (
            xr.DataArray(np.ones((2, 2), np.uint8), dims=("lat", "lon")),
            r"dimensions \('lat', 'lon'",
        ),
        (xr.DataArray(np.ones((2, 2, 2), np.uint8), dims=("band", "y", "x")), "give one band"),
        (xr.DataArray(np.ones((0, 2), np.uint8), dims=("y", "x")), "the class map is empty"),
    ],
)
def test_arrays_that_are_no_class_maps_are_refused(labels: xr.DataArray, message: str) -> None:
    with pytest.raises(UserError, match=message):
        polygonize(labels)


def test_a_map_opened_as_an_array_has_the_names_of_the_file(scene: Path) -> None:
    frame = polygonize(open_raster(scene))
    assert set(frame.class_name) == {"water", "föhren & fichten", "<bare>"}
    polygonize_file(scene, scene.with_name("map.gpkg"))
    assert list(frame.class_name) == list(read(scene.with_name("map.gpkg")).class_name)


def test_an_array_of_one_band_is_a_class_map() -> None:
    labels = xr.DataArray(np.ones((1, 2, 2), np.uint8), dims=("band", "y", "x"))
    assert len(polygonize(labels)) == 1


def test_unknown_connectivity_is_refused() -> None:
    with pytest.raises(UserError, match="connectivity 6 is unknown; choose 4 or 8"):
        polygonize(class_map(np.ones((2, 2), np.uint8)), connectivity=6)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("map.shp", "shapefiles cut names to 10 letters .* let the name end in .gpkg"),
        ("map.kml", r"ends in \.kml, .* one of \.gpkg, \.fgb, \.parquet, \.geojson"),
        ("map", "ends in nothing"),
    ],
)
def test_unknown_endings_are_refused(scene: Path, name: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        refuse_unknown_format(name)
    with pytest.raises(UserError, match=message):
        polygonize_file(scene, scene.with_name(name))
    refuse_unknown_format("MAP.GPKG")


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("map.geojson", {}, "does not say where it lies, which GeoJSON needs"),
        ("map.gpkg", {"crs": "EPSG:4326"}, "does not say where it lies, which crs needs"),
    ],
)
def test_maps_without_a_place_are_not_reprojected(
    tmp_path: Path, name: str, options: dict[str, str], message: str
) -> None:
    write_raster(class_map(np.ones((4, 5), np.uint8), None, None), tmp_path / "nowhere.tif")
    with pytest.raises(UserError, match=message):
        polygonize_file(tmp_path / "nowhere.tif", tmp_path / name, **options)
    assert not (tmp_path / name).exists()


ASSUMED = pytest.mark.parametrize(
    ("crs", "transform"),
    [(UTM, NORTH_UP), ("EPSG:4326", Affine(1e-4, 0, 120, 0, -1e-4, 60))],
    ids=["metres", "degrees"],
)
"""A system, and where it is."""


@ASSUMED
def test_a_map_without_a_coordinate_system_is_measured_in_the_one_assumed(
    crs: str, transform: Affine
) -> None:
    values = landscape((40, 50), smooth=1.0, classes=3, seed=4)
    told, bare = (class_map(values, transform, each) for each in (crs, None))
    limit = {"min_area": 20 * area_by_class(told).area_m2.sum() / values.size}
    expected = polygonize(told, simplify=1, **limit)
    assert len(expected) < len(polygonize(told))
    assert_geodataframe_equal(polygonize(bare, assume_crs=crs, simplify=1, **limit), expected)
    areas = area_by_class(bare, assume_crs=crs, **limit)
    assert areas.attrs["unit"] == "m2"
    pd.testing.assert_frame_equal(areas, area_by_class(told, **limit))


@ASSUMED
def test_a_file_without_a_coordinate_system_is_written_in_the_one_assumed(
    tmp_path: Path, crs: str, transform: Affine
) -> None:
    values = landscape((40, 50), smooth=1.0, classes=3, seed=4)
    paths = {each: tmp_path / f"{each}.gpkg" for each in ("told", "bare")}
    for name, said in (("told", crs), ("bare", None)):
        write_raster(class_map(values, transform, said), tmp_path / f"{name}.tif")
        sure = np.random.default_rng(0).random(values.shape, np.float32)
        write_band(tmp_path / f"{name}-sure.tif", sure, crs=said, transform=transform)
        polygonize_file(
            tmp_path / f"{name}.tif",
            paths[name],
            min_area=1000,
            confidence=tmp_path / f"{name}-sure.tif",
            sieve=tmp_path / f"{name}-sieve.tif",
            assume_crs=crs,
        )
    told, bare = (gpd.read_file(each, layer=each.stem) for each in paths.values())
    assert_geodataframe_equal(bare, told)
    assert bare.crs.to_epsg() == int(crs.split(":")[1])
    with rasterio.open(tmp_path / "bare-sieve.tif") as sieve:
        assert sieve.crs == rasterio.CRS.from_user_input(crs)
    polygonize_file(tmp_path / "bare.tif", tmp_path / "bare.geojson", assume_crs=crs)
    assert read(tmp_path / "bare.geojson").total_bounds == pytest.approx(
        told.to_crs(4326).total_bounds, abs=1e-6
    )


def test_a_map_in_another_coordinate_system_than_the_one_assumed_is_refused(scene: Path) -> None:
    said = "says that it is in EPSG:32633, and EPSG:32632 is to be assumed"
    with pytest.raises(UserError, match=rf"map\.tif {said}"):
        polygonize_file(scene, scene.with_name("p.gpkg"), assume_crs="EPSG:32632")
    assert not scene.with_name("p.gpkg").exists()
    with pytest.raises(UserError, match=f"the class map {said}"):
        polygonize(class_map(np.ones((4, 5), np.uint8)), assume_crs="EPSG:32632")


@pytest.mark.parametrize(
    ("name", "crs", "message"),
    [
        ("map.geojson", "EPSG:3035", "GeoJSON is in WGS 84 always, not in EPSG:3035"),
        ("map.gpkg", "EPSG:0", "coordinate system 'EPSG:0' is unknown"),
        # The gnomonic projection shows less than one hemisphere; this one is centred elsewhere.
        ("map.gpkg", "+proj=gnom +lat_0=-60 +lon_0=-160", "the map reaches beyond where"),
    ],
)
def test_coordinate_systems_that_cannot_be_written_are_refused(
    scene: Path, name: str, crs: str, message: str
) -> None:
    with pytest.raises(UserError, match=message):
        polygonize_file(scene, scene.with_name(name), crs=crs)
    assert not scene.with_name(name).exists()


def test_geojson_may_be_asked_for_in_wgs_84(scene: Path) -> None:
    for name, crs in (("one.geojson", None), ("two.geojson", "EPSG:4326")):
        polygonize_file(scene, scene.with_name(name), crs=crs)
    one, two = (read(scene.with_name(name)) for name in ("one.geojson", "two.geojson"))
    assert list(one.geometry.to_wkb()) == list(two.geometry.to_wkb())


def test_files_that_are_no_class_maps_are_refused(tmp_path: Path) -> None:
    path = write_band(tmp_path / "map.tif", np.ones((4, 4), np.float32))
    with pytest.raises(
        UserError,
        match=r"a class map holds integers, not float32; convert it first: gdal_translate",
    ):
        polygonize_file(path, tmp_path / "map.gpkg")
    with pytest.raises(UserError, match="there is no file"):
        polygonize_file(tmp_path / "other.tif", tmp_path / "map.gpkg")


# -- nothing, the old file or the complete new one -------------------------------------------------


@pytest.mark.parametrize("ending", FORMATS)
def test_an_existing_file_is_replaced_only_when_asked(scene: Path, ending: str) -> None:
    path = scene.with_name(f"map.{ending}")
    path.write_text("old")
    with pytest.raises(UserError, match="exists; add --overwrite"):
        polygonize_file(scene, path)
    assert path.read_text() == "old"
    polygonize_file(scene, path, overwrite=True)
    assert len(read(path))


def test_an_input_is_never_overwritten(scene: Path) -> None:
    source = scene.with_name("map.gpkg")
    source.write_bytes(scene.read_bytes())
    before = source.read_bytes()
    with pytest.raises(UserError, match="is an input as well"):
        polygonize_file(source, source, overwrite=True)
    assert source.read_bytes() == before


def test_a_folder_is_no_file_to_write(scene: Path) -> None:
    scene.with_name("map.gpkg").mkdir()
    with pytest.raises(UserError, match=r"map.gpkg is a folder; name a file in it"):
        polygonize_file(scene, scene.with_name("map.gpkg"), overwrite=True)


def test_a_folder_that_does_not_exist_is_refused(scene: Path) -> None:
    with pytest.raises(UserError, match="cannot write into"):
        polygonize_file(scene, scene.with_name("missing") / "map.gpkg")


class Stop(Exception):  # noqa: N818  (an event, not an error)
    pass


@pytest.mark.parametrize("failure", [Stop, KeyboardInterrupt])
@pytest.mark.parametrize("ending", FORMATS)
def test_the_old_file_survives_a_failure_while_writing(
    scene: Path, ending: str, failure: type[BaseException]
) -> None:
    path = scene.with_name(f"map.{ending}")
    polygonize_file(scene, path)
    before, files = path.read_bytes(), sorted(scene.parent.iterdir())

    def fail(event: dict[str, Any]) -> None:
        if event["event"] == "progress" and event["done"] > 30:
            raise failure

    with pytest.raises(failure), strips_of(10):
        polygonize_file(scene, path, overwrite=True, on_progress=fail)
    assert path.read_bytes() == before
    assert sorted(scene.parent.iterdir()) == files


def test_a_damaged_map_is_told_in_one_line_and_leaves_nothing(tmp_path: Path) -> None:
    values = np.random.default_rng(0).integers(0, 200, (2000, 50)).astype(np.uint8)
    path = write_band(tmp_path / "map.tif", values, compress="deflate")
    with rasterio.open(path) as dataset:
        offset = int(dataset.get_tag_item("BLOCK_OFFSET_0_9", "TIFF", bidx=1))
    data = bytearray(path.read_bytes())
    data[offset : offset + 100] = bytes(100)
    path.write_bytes(data)
    with pytest.raises(UserError, match=r"cannot read .*map.tif: .*copy it again"):
        polygonize_file(path, tmp_path / "map.gpkg")
    assert list(tmp_path.iterdir()) == [path]


def test_a_map_that_looks_like_an_image_is_told_about(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    noise = np.random.default_rng(0).integers(0, 1000, (400, 300)).astype(np.uint16)
    for name, values, said in (("image", noise, 1), ("map", noise // 500, 0)):
        caplog.clear()
        path = write_band(tmp_path / f"{name}.tif", values)
        polygonize_file(path, tmp_path / f"{name}.parquet")
        assert caplog.text.count("regions: is this a class map, or an image?") == said


def test_progress_counts_rows(scene: Path) -> None:
    events: list[dict[str, Any]] = []
    path = scene.with_name("map.gpkg")
    with strips_of(25):
        polygonize_file(scene, path, on_progress=events.append)
    assert events[0] == {"event": "start", "total": 60, "unit": "row", "done": 0}
    assert [each["done"] for each in events[1:-1]] == [25, 50, 60]
    assert events[-1]["event"] == "done"
    assert events[-1]["outputs"] == {"polygons": str(path)}


@pytest.mark.parametrize("with_nodata", [False, True])
def test_the_classes_of_a_map_are_told_with_those_that_nobody_named(
    tmp_path: Path, with_nodata: bool
) -> None:
    values = np.array([[1, 2, 2], [7, 7, 0]], np.uint8)
    path = write_band(tmp_path / "map.tif", values, nodata=0)
    known = ClassInfo(2, "land", "#aabbcc")
    Path(f"{path}.aux.xml").write_bytes(pam_xml([known], {}))
    events: list[dict[str, Any]] = []
    out = tmp_path / "map.gpkg"
    polygonize_file(path, out, with_nodata=with_nodata, on_progress=events.append)
    told = [ClassInfo(**each) for each in events[-1]["classes"]]
    assert (told[0], events[-1]["nodata"]) == (known, 0)
    frame = gpd.read_file(out, layer="map")
    drawn = dict(zip(frame["class_id"], frame["class_name"], strict=True))
    assert drawn.pop(0, None) == ("no data" if with_nodata else None)
    assert {each.value: each.name for each in told} == drawn
    assert len({each.color for each in told}) == 3


@pytest.mark.parametrize(
    ("crs", "place", "times"),
    [("EPSG:3857", (14_100_000, 4_100_000), 1.47), ("EPSG:3395", (0, 8_000_000), None)],
)
def test_areas_of_a_stretched_plane_are_told_with_the_way_to_true_ones(
    crs: str, place: tuple[int, int], times: float | None, caplog: pytest.LogCaptureFixture
) -> None:
    labels = class_map(np.ones((4, 4), np.uint8), Affine(10, 0, place[0], 0, -10, place[1]), crs)
    frame = polygonize(labels)
    (message,) = [each.message for each in caplog.records]
    on_ground = abs(Geod(ellps="WGS84").geometry_area_perimeter(frame.to_crs(4326).geometry[0])[0])
    ratio = frame.area_m2[0] / on_ground
    assert f"{ratio:.3g} times those on the ground" in message
    assert times is None or ratio == pytest.approx(times, abs=0.01)
    expected = frame.to_crs(4326).estimate_utm_crs().to_epsg()
    assert f"gdalwarp -t_srs EPSG:{expected} -r near" in message
    caplog.clear()
    area_by_class(labels)
    assert [each.message for each in caplog.records] == [message]


@pytest.mark.parametrize("crs", [UTM, "EPSG:3035", "EPSG:4326", "EPSG:2154"])
def test_areas_as_they_are_on_the_ground_need_no_word(
    crs: str, caplog: pytest.LogCaptureFixture
) -> None:
    places = {UTM: (500_000, 5_000_000), "EPSG:4326": (10, 50), "EPSG:2154": (700_000, 6_600_000)}
    west, north = places.get(crs, (4_321_000, 3_210_000))
    step = 1e-4 if crs == "EPSG:4326" else 10
    polygonize(class_map(np.ones((4, 4), np.uint8), Affine(step, 0, west, 0, -step, north), crs))
    assert caplog.records == []


def test_a_map_without_coordinate_system_says_what_its_areas_are_in(
    caplog: pytest.LogCaptureFixture,
) -> None:
    polygonize(class_map(np.ones((4, 4), np.uint8), crs=None))
    polygonize(class_map(np.ones((4, 4), np.uint8), None, None))
    units, pixels = (each.message for each in caplog.records)
    assert "areas are in the units of its transform, of which a pixel has 100" in units
    assert "areas are in pixels" in pixels


@pytest.mark.parametrize("given", ["map.tif", np.ones((3, 3), np.uint8)])
def test_what_is_no_array_with_dimensions_is_refused_with_the_way_to_one(given: Any) -> None:
    with pytest.raises(UserError, match=r"is no class map; give a DataArray .*open_raster"):
        polygonize(given)


def test_one_class_is_chosen_by_its_bare_value() -> None:
    labels = class_map(np.array([[1, 2, 3]], np.uint8))
    assert list(polygonize(labels, classes=2).class_id) == [2]  # type: ignore[arg-type]


def test_a_masked_array_of_floats_becomes_a_class_map_by_the_advice_given(tmp_path: Path) -> None:
    values = np.array([[-3, 5], [-9999, 5]], np.int16)
    path = write_band(tmp_path / "map.tif", values, nodata=-9999)
    masked = rioxarray.open_rasterio(path, masked=True)
    with pytest.raises(UserError, match="open it without masked=True, or give missing pixels"):
        polygonize(masked)
    frame = polygonize(masked.fillna(-1).astype("int32").rio.write_nodata(-1))
    assert frame.class_id.tolist() == [-3, 5]


def test_a_file_that_holds_no_polygon_is_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = write_band(tmp_path / "map.tif", np.zeros((3, 3), np.uint8), nodata=0)
    polygonize_file(path, tmp_path / "map.fgb")
    assert "map.fgb holds no polygons: no region of the map was wanted or left" in caplog.text
    assert len(read(tmp_path / "map.fgb")) == 0


def test_a_turned_building_of_many_stairs_gets_few_corners() -> None:
    rows, columns = np.indices((120, 120))
    along = 4 * (columns - 60) + (rows - 60)
    across = 4 * (rows - 60) - (columns - 60)
    values = ((np.abs(along) < 180) & (np.abs(across) < 110)).astype(np.uint8)
    raw, square = (polygonize(class_map(values), regularize=each) for each in (False, True))
    assert shapely.get_num_coordinates(raw.geometry[0]) > 80
    assert shapely.get_num_coordinates(square.geometry[0]) <= 13
    overlap = raw.geometry[0].intersection(square.geometry[0]).area
    assert overlap > 0.95 * raw.geometry[0].union(square.geometry[0]).area
