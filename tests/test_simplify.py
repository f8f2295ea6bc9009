"""Simplified polygons: fewer vertices, the same areas, and neighbours that fit together."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import dask.array as da
import geopandas as gpd
import numpy as np
import pytest
import shapely
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from maps import around, class_map, connectivities, landscape, rasters, strips_of, write_band
from numpy.typing import NDArray

from geoseg.errors import UserError
from geoseg.polygons import polygonize, polygonize_file, stream
from geoseg.polygons.features import Features
from geoseg.polygons.making import Making
from geoseg.polygons.source import map_of_array

LATTICE = Affine(1, 0, 0, 0, -1, 0)
FRACTION = 2.0**-12  # of a pixel: between lattice points vertices lie at whole ones of these

tolerances = st.sampled_from([0.4, 0.75, 1.0, 2.0, 5.0, 30.0])
strip_heights = st.sampled_from([1, 2, 7, 33, 1000])


@st.composite
def maps(draw: st.DrawFn) -> NDArray[np.uint8]:
    """Anything on few pixels, or patches with no data between them on more."""
    if draw(st.booleans()):
        return draw(rasters())
    shape = draw(st.tuples(st.integers(1, 60), st.integers(1, 60)))
    smooth, seed = draw(st.sampled_from([0.0, 0.8, 2.0, 5.0])), draw(st.integers(0, 2**32 - 1))
    values = landscape(shape, smooth, draw(st.integers(2, 5)), seed)
    return np.where(values == 5, 0, values)


def raw_and_simple(
    values: NDArray[np.uint8], connectivity: Any, tolerance: float, rows: int
) -> tuple[gpd.GeoDataFrame, gpd.GeoDataFrame]:
    """Polygons in columns and negative rows, each region in the same place of both."""
    source = map_of_array(class_map(values, LATTICE, None))
    # A measure that tells regions apart: the mean of the columns and of the rows of their pixels.
    place = np.arange(values.size, dtype=float).reshape(values.shape) / values.size
    frames = []
    for simplify in (0.0, tolerance):
        making = Making(connectivity, simplify)
        features = Features(source.grid, source, making)
        with strips_of(rows):
            made = [features.frame(p) for _, p in stream.stream(source, making, lambda r: place[r])]
        columns = {key: np.concatenate([each[key] for each, _ in made]) for key in made[0][0]}
        frame = gpd.GeoDataFrame(columns, geometry=np.concatenate([each for _, each in made]))
        frames.append(frame)
    raw, simple = (
        each.sort_values(["class_id", "mean_confidence", "area_m2"]).reset_index(drop=True)
        for each in frames
    )
    return raw, simple


@settings(max_examples=120)
@given(maps(), connectivities, tolerances, strip_heights)
def test_simplified_polygons_are_a_valid_coverage_of_the_same_areas(
    values: NDArray[np.uint8], connectivity: int, tolerance: float, rows: int
) -> None:
    raw, simple = raw_and_simple(values, connectivity, tolerance, rows)
    assert simple.geometry.is_valid.all()
    assert shapely.coverage_is_valid(simple.geometry.values)
    assert list(simple.class_id) == list(raw.class_id)
    # A vertex is rounded to a step of a fraction, on an edge of at most the width of the map.
    slack = FRACTION * max(values.shape) * (1 + simple.geometry.count_coordinates().to_numpy())
    assert (np.abs(simple.area_m2 - raw.area_m2) <= slack).all()
    assert simple.area_m2.sum() == pytest.approx(np.count_nonzero(values), rel=1e-12)


@settings(max_examples=80)
@given(maps(), connectivities, tolerances, strip_heights)
def test_the_border_of_the_data_stays(
    values: NDArray[np.uint8], connectivity: int, tolerance: float, rows: int
) -> None:
    raw, simple = raw_and_simple(values, connectivity, tolerance, rows)
    before, after = (shapely.union_all(each.geometry.values) for each in (raw, simple))
    assert shapely.symmetric_difference(before, after).area < 1e-9


@settings(max_examples=80)
@given(maps(), connectivities, tolerances, strip_heights)
def test_no_boundary_moves_further_than_the_tolerance(
    values: NDArray[np.uint8], connectivity: int, tolerance: float, rows: int
) -> None:
    raw, simple = raw_and_simple(values, connectivity, tolerance, rows)
    before, after = (shapely.boundary(each.geometry.values) for each in (raw, simple))
    assert (shapely.hausdorff_distance(before, after) <= tolerance + FRACTION).all()


@settings(max_examples=80)
@given(maps(), tolerances, strip_heights)
def test_junctions_stay_and_neighbours_stay_neighbours(
    values: NDArray[np.uint8], tolerance: float, rows: int
) -> None:
    raw, simple = raw_and_simple(values, 4, tolerance, rows)
    nw, ne, sw, se = around(values)
    meeting = (nw != ne).astype(int) + (sw != se) + (nw != sw) + (ne != se) > 2
    junctions = {(x, -y) for y, x in np.argwhere(meeting)}
    for before, after in zip(raw.geometry, simple.geometry, strict=True):
        kept = {tuple(each) for each in shapely.get_coordinates(after)}
        assert junctions & {tuple(each) for each in shapely.get_coordinates(before)} <= kept
    assert pairs_with_a_border(raw) == pairs_with_a_border(simple)


def pairs_with_a_border(frame: gpd.GeoDataFrame) -> set[tuple[int, int]]:
    geometries = frame.geometry.values
    ones, others = shapely.STRtree(geometries).query(geometries, predicate="touches")
    shared = shapely.intersection(
        shapely.boundary(geometries[ones]), shapely.boundary(geometries[others])
    )
    return {
        (int(one), int(other))
        for one, other, line in zip(ones, others, shared, strict=True)
        if line.length > 0
    }


@settings(max_examples=25)
@given(maps(), connectivities, tolerances, st.integers(1, 70))
def test_chunks_do_not_change_simplified_polygons(
    values: NDArray[np.uint8], connectivity: Any, tolerance: float, side: int
) -> None:
    lazy = da.from_array(values, chunks=side)
    with strips_of(16):
        whole, cut = (
            polygonize(class_map(each), connectivity=connectivity, simplify=tolerance)
            for each in (values, lazy)
        )
    assert list(cut.geometry.to_wkb()) == list(whole.geometry.to_wkb())


def test_the_tiles_of_a_file_do_not_change_simplified_polygons(tmp_path: Path) -> None:
    values = landscape((1100, 1100), 3, 4, 0)
    layouts: list[dict[str, Any]] = [
        {"tiled": True, "blockxsize": 256, "blockysize": 256},
        {"tiled": False, "blockysize": 1000},
        {"tiled": False, "blockysize": 1100},
    ]
    found = []
    for layout in layouts:
        write_band(tmp_path / "map.tif", values, **layout)
        with strips_of(128):
            polygonize_file(tmp_path / "map.tif", tmp_path / "map.gpkg", simplify=2, overwrite=True)
        found.append((tmp_path / "map.gpkg").read_bytes())
    assert found[0] == found[1] == found[2]


KNOTS = {
    "rings of three vertices": [
        [1, 1, 1, 1, 1, 1],
        [1, 1, 1, 2, 1, 1],
        [1, 2, 1, 2, 1, 1],
        [1, 1, 1, 2, 1, 1],
        [1, 1, 2, 2, 2, 1],
        [1, 1, 1, 1, 1, 1],
    ],
    "neighbours from one junction to one other": [
        [1, 1, 2, 2, 2, 2],
        [1, 2, 3, 3, 3, 2],
        [2, 2, 2, 2, 3, 2],
        [2, 2, 1, 2, 3, 3],
        [2, 2, 2, 2, 3, 1],
        [1, 1, 1, 1, 1, 1],
    ],
    "parts that touch at a corner": [[0, 2, 3, 3], [2, 0, 3, 1], [2, 2, 1, 1]],
    "an arc that would touch itself": [
        [1, 1, 1, 1, 3],
        [1, 2, 2, 1, 2],
        [1, 2, 1, 1, 2],
        [2, 2, 2, 2, 2],
    ],
    "an arc that would cross itself": [
        [2, 2, 1, 1, 1, 1, 1, 1],
        [2, 2, 1, 2, 2, 2, 2, 1],
        [1, 1, 1, 1, 1, 1, 2, 1],
        [1, 2, 2, 2, 2, 1, 2, 1],
        [1, 2, 1, 2, 2, 1, 2, 1],
        [1, 2, 2, 2, 2, 1, 2, 1],
        [1, 2, 2, 3, 1, 1, 2, 1],
        [1, 2, 2, 2, 2, 2, 2, 1],
        [1, 1, 1, 1, 1, 1, 1, 1],
    ],
}


@pytest.mark.parametrize("tolerance", [1, 2, 5])
@pytest.mark.parametrize("connectivity", [4, 8])
@pytest.mark.parametrize("rows", KNOTS.values(), ids=KNOTS.keys())
def test_knots(rows: list[list[int]], connectivity: int, tolerance: float) -> None:
    values = np.tile(np.array(rows, np.uint8), (3, 3))
    raw, simple = raw_and_simple(values, connectivity, tolerance, 1000)
    assert simple.geometry.is_valid.all()
    assert shapely.coverage_is_valid(simple.geometry.values)
    assert simple.area_m2.tolist() == pytest.approx(raw.area_m2.tolist(), abs=0.02)
    assert list(simple.class_id) == list(raw.class_id)


def test_patches_lose_three_of_four_vertices() -> None:
    labels = class_map(landscape((600, 600), 10, 6, 1))
    raw, simple = (polygonize(labels, simplify=each) for each in (0, 2))
    assert len(raw) == len(simple)
    before, after = (shapely.get_num_coordinates(each.geometry.values) for each in (raw, simple))
    assert before.sum() >= 4 * after.sum()


def test_a_staircase_loses_its_stairs() -> None:
    values = np.tri(200, 200, dtype=np.uint8) + np.uint8(1)
    raw, simple = (polygonize(class_map(values, LATTICE, None), simplify=each) for each in (0, 1))
    assert shapely.get_num_coordinates(raw.geometry.values).min() > 390
    assert shapely.get_num_coordinates(simple.geometry.values).max() < 25


def test_a_single_pixel_stays_a_square() -> None:
    values = np.pad(np.full((1, 1), 2, np.uint8), 9, constant_values=1)
    frame = polygonize(class_map(values, LATTICE, None), simplify=50)
    assert frame.geometry[frame.class_id == 2].iloc[0].equals(shapely.box(9, -10, 10, -9))


@pytest.mark.parametrize("simplify", [-1, float("nan"), float("inf"), 5000])
def test_tolerances_that_are_none_are_refused(simplify: float) -> None:
    labels = class_map(np.ones((2, 2), np.uint8))
    with pytest.raises(UserError, match=r"simplify .* is no number of pixels; choose one from 0"):
        polygonize(labels, simplify=simplify)


def test_degrees_and_south_up_transforms_are_simplified_like_others() -> None:
    values = landscape((80, 90), 3, 4, 2)
    lattice = polygonize(class_map(values, LATTICE, None), simplify=2)
    for transform, crs in (
        (Affine(0.001, 0, 20, 0, 0.001, 60), "EPSG:4326"),
        (Affine(3, 4, 500_000, 4, -3, 5_000_000), "EPSG:32633"),
    ):
        frame = polygonize(class_map(values, transform, crs), simplify=2)
        t = transform @ Affine.scale(1, -1)
        moved = lattice.geometry.affine_transform([t.a, t.b, t.d, t.e, t.c, t.f])
        apart = shapely.symmetric_difference(moved.values, frame.geometry.values)
        assert shapely.area(apart).max() < 1e-6 * abs(transform.determinant)
        assert shapely.is_ccw(shapely.get_exterior_ring(frame.geometry.values)).all()


def test_boundaries_to_missing_pixels_stay_and_are_told_about(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    values = np.tri(50, 50, dtype=np.uint8)
    write_band(tmp_path / "map.tif", values, nodata=0)
    for name, with_nodata, said in (("one.gpkg", False, 1), ("two.gpkg", True, 0)):
        caplog.clear()
        polygonize_file(
            tmp_path / "map.tif", tmp_path / name, simplify=1, with_nodata=with_nodata, classes=[1]
        )
        assert caplog.text.count("--with-nodata (with_nodata=True) simplifies them") == said
    one, two = (gpd.read_file(tmp_path / name, layer=name[:3]) for name in ("one.gpkg", "two.gpkg"))
    assert shapely.get_num_coordinates(one.geometry[0]) > 90
    assert shapely.get_num_coordinates(two.geometry[0]) < 15
    assert one.area_m2[0] == pytest.approx(two.area_m2[0], abs=0.1)
