"""Small regions that go to their neighbours, and what classes take of a map."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import dask.array as da
import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import rasterio
import rasterio.shutil
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from maps import class_map, connectivities, landscape, write_band
from numpy.typing import NDArray
from rasterio.enums import Resampling
from scipy import ndimage

from geoseg.errors import UserError
from geoseg.polygons import area_by_class, polygonize, polygonize_file
from geoseg.polygons.sieve import Sieve, Weights, drawn
from geoseg.raster import write_raster

JOINS = {4: ndimage.generate_binary_structure(2, 1), 8: np.ones((3, 3))}


def by_the_rule(values: NDArray[Any], connectivity: int, weights: Weights) -> NDArray[Any]:
    """The map after the smallest small region had its turn, again and again; 0 is no data."""
    values, apart = values.astype(int), np.zeros(values.shape, bool)
    while (region := smallest(values, apart, connectivity, weights)) is not None:
        borders = borders_of(region, values, weights)
        if borders:
            values[region] = min(borders, key=lambda value: (-borders[value], value))
        else:
            apart |= region
    return values


def smallest(
    values: NDArray[Any], apart: NDArray[np.bool_], connectivity: int, weights: Weights
) -> NDArray[np.bool_] | None:
    """The small region whose turn it is."""
    found = []
    for value in set(np.unique(values)) - {0}:
        labels, count = ndimage.label((values == value) & ~apart, JOINS[connectivity])
        found += [labels == each for each in range(1, count + 1)]
    lots = [int(drawn(np.array([np.argmax(each)]))[0]) for each in found]
    areas = [int((each * weights.areas[:, None]).sum()) for each in found]
    sizes = list(zip(areas, lots, strict=True))
    small = [i for i, size in enumerate(sizes) if size[0] < weights.limit]
    return found[min(small, key=lambda i: sizes[i])] if small else None


def borders_of(region: NDArray[np.bool_], values: NDArray[Any], weights: Weights) -> dict[int, int]:
    """How long a border a region shares with each class."""
    borders: dict[int, int] = {}
    for row, column in np.argwhere(region):
        for r, c, length in (
            (row - 1, column, weights.widths[row]),
            (row + 1, column, weights.widths[min(row + 1, len(values) - 1)]),
            (row, column - 1, weights.heights[row]),
            (row, column + 1, weights.heights[row]),
        ):
            inside = 0 <= r < values.shape[0] and 0 <= c < values.shape[1]
            if inside and not region[r, c] and values[r, c]:
                borders[values[r, c]] = borders.get(values[r, c], 0) + int(length)
    return borders


def by_sieve(
    values: NDArray[Any], connectivity: int, weights: Weights, heights: list[int]
) -> NDArray[Any]:
    sieve, out, row = Sieve(values.shape, 0, connectivity, weights), [], 0
    while row < len(values):
        height = heights[len(out) % len(heights)]
        out.append(list(sieve.add(values[row : row + height])))
        row += height
    return np.concatenate([rows for each in out for rows in each])


@settings(max_examples=150)
@given(
    arrays(np.uint8, array_shapes(min_dims=2, max_dims=2, max_side=9), elements=st.integers(0, 3)),
    connectivities,
    st.integers(0, 20),
    st.lists(st.integers(1, 4), min_size=1, max_size=9),
    st.integers(1, 3),
    st.integers(0, 99),
)
def test_small_regions_go_where_the_rule_says_however_the_map_is_cut(
    values: NDArray[np.uint8],
    connectivity: int,
    limit: int,
    heights: list[int],
    largest: int,
    seed: int,
) -> None:
    sizes = np.random.default_rng(seed).integers(1, largest + 1, (3, len(values)))
    weights = Weights(*sizes, limit)
    found = by_sieve(values, connectivity, weights, heights)
    assert found.dtype == values.dtype
    assert found.tolist() == by_the_rule(values, connectivity, weights).tolist()


def test_places_draw_different_numbers() -> None:
    places = np.concatenate([np.arange(100_000), np.arange(100_000) << 30])
    assert np.unique(drawn(places)).size == np.unique(places).size


@pytest.mark.parametrize("connectivity", [4, 8])
@pytest.mark.parametrize("min_area", [500, 3500, 40_000])
def test_no_polygon_is_smaller_and_the_classes_still_fill_the_map(
    min_area: float, connectivity: Any
) -> None:
    values = landscape((150, 160), 2, 5, 0)
    values[:, 70:75] = 0
    frame = polygonize(class_map(values), min_area=min_area, connectivity=connectivity)
    assert frame.area_m2.min() >= min_area
    assert frame.area_m2.sum() == 100 * np.count_nonzero(values)
    assert len(frame) < len(polygonize(class_map(values), connectivity=connectivity))


def test_a_region_of_just_the_area_stays() -> None:
    values = np.pad(np.full((5, 7), 2, np.uint8), 9, constant_values=1)
    for transform in (Affine(0.3, 0, 0, 0, -0.3, 0), Affine(10, 0, 0, 0, -10, 0)):
        labels, pixel = class_map(values, transform), transform.a**2
        assert len(polygonize(labels, min_area=35 * pixel)) == 2
        assert len(polygonize(labels, min_area=35.01 * pixel)) == 1


def test_a_region_among_missing_pixels_stays() -> None:
    values = np.zeros((9, 9), np.uint8)
    values[4, 4] = 3
    assert len(polygonize(class_map(values), min_area=1e9)) == 1


def test_in_degrees_areas_and_borders_are_those_on_the_ground() -> None:
    # Of two regions of equal shape the one nearer to the pole is smaller.
    values = np.ones((400, 40), np.uint8)
    values[20:30, 10:20] = values[370:380, 10:20] = 2
    labels = class_map(values, Affine(0.1, 0, 0, 0, -0.1, 80), "EPSG:4326")
    north, south = sorted(polygonize(labels).query("class_id == 2").area_m2)
    assert north < south / 2
    left = polygonize(labels, min_area=(north + south) / 2).query("class_id == 2")
    assert left.area_m2.tolist() == pytest.approx([south])
    # At 80 degrees north a pixel is six times as high as wide: its sides count, not its ends.
    values = np.array([[1] * 5, [3, 3, 2, 3, 3], [1] * 5], np.uint8)
    for transform, crs, taken in (
        (Affine(0.1, 0, 0, 0, -0.1, 80), "EPSG:4326", [3]),
        (Affine(2, 0, 0, 0, -1, 0), "EPSG:32633", [1, 3]),
    ):
        labels = class_map(values, transform, crs)
        frame = polygonize(labels, min_area=polygonize(labels).area_m2.min() * 1.001)
        assert sorted(set(frame.class_id)) == [1, 3]
        middle = frame[
            frame.contains(gpd.points_from_xy(*[[each] for each in transform @ (2.5, 1.5)])[0])
        ]
        assert list(middle.class_id) == taken[:1]


@pytest.mark.parametrize("min_area", [-1, float("nan"), float("inf")])
def test_areas_that_are_none_are_refused(min_area: float) -> None:
    with pytest.raises(UserError, match=r"min_area .* is no area; give square metres"):
        polygonize(class_map(np.ones((2, 2), np.uint8)), min_area=min_area)


# -- the map beside the polygons -------------------------------------------------------------------


@pytest.fixture
def scene(tmp_path: Path) -> Path:
    values = landscape((700, 650), 3, 4, 1)
    labels = class_map(np.where(values == 4, 255, values), nodata=255)
    labels.attrs |= {
        "flag_values": [1, 2, 3],
        "category_names": ["water", "forest", "field"],
        "category_colors": ["#0000ff", "#00ff00", "#ffff00"],
    }
    write_raster(labels, tmp_path / "map.tif")
    return tmp_path / "map.tif"


def test_the_sieved_map_is_the_one_of_the_polygons(scene: Path) -> None:
    polygons, sieve = scene.with_name("map.parquet"), scene.with_name("sieved.tif")
    events: list[dict[str, Any]] = []
    polygonize_file(scene, polygons, min_area=5000, sieve=sieve, on_progress=events.append)
    again = scene.with_name("again.parquet")
    polygonize_file(sieve, again)
    assert again.read_bytes() == polygons.read_bytes()
    assert events[-1]["outputs"] == {"polygons": str(polygons), "sieve": str(sieve)}
    with rasterio.open(scene) as given, rasterio.open(sieve) as made:
        assert (given.crs, given.transform, given.nodata) == (made.crs, made.transform, made.nodata)
        before, after = given.read(1), made.read(1)
        assert ((before == 255) == (after == 255)).all()
        assert 0.01 < (before != after).mean() < 0.5
        assert made.colormap(1)[2] == (0, 255, 0, 255)
    assert area_by_class(sieve).class_name.tolist() == ["water", "forest", "field"]
    assert {each.name for each in scene.parent.iterdir()} == {
        "map.tif",
        "map.tif.aux.xml",
        "map.parquet",
        "again.parquet",
        "sieved.tif",
        "sieved.tif.aux.xml",
    }


def test_a_sieved_map_without_class_names_has_overviews_that_mix_no_classes(tmp_path: Path) -> None:
    values = np.where(landscape((600, 600), 2, 2, 0) == 1, 10, 90_000).astype(np.int32)
    write_band(tmp_path / "map.tif", values)
    polygonize_file(
        tmp_path / "map.tif", tmp_path / "map.fgb", min_area=900, sieve=tmp_path / "sieved.tif"
    )
    with rasterio.open(tmp_path / "sieved.tif") as made:
        assert made.dtypes == ("int32",)
        small = made.read(1, out_shape=(300, 300), resampling=Resampling.nearest)
        assert set(np.unique(small)) == {10, 90_000}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sieve": "other.tif"}, r"say which are small with min_area \(--min-area\)"),
        ({"sieve": "other.png", "min_area": 9}, "let it end in .tif"),
        ({"sieve": "map.tif", "min_area": 9, "overwrite": True}, "is an input as well"),
        ({"sieve": "there.tif", "min_area": 9}, "there.tif exists; add --overwrite"),
    ],
)
def test_sieved_maps_that_cannot_be_written_are_refused(
    scene: Path, options: dict[str, Any], message: str
) -> None:
    scene.with_name("there.tif").write_text("there")
    before = {each: each.read_bytes() for each in scene.parent.iterdir()}
    options["sieve"] = scene.with_name(options["sieve"])
    with pytest.raises(UserError, match=message):
        polygonize_file(scene, scene.with_name("map.gpkg"), **options)
    assert {each: each.read_bytes() for each in scene.parent.iterdir()} == before


def test_missing_pixels_stay_missing_when_they_are_drawn(scene: Path) -> None:
    sieve, frame = scene.with_name("sieved.tif"), scene.with_name("map.parquet")
    polygonize_file(scene, frame, min_area=5000, sieve=sieve, with_nodata=True)
    plain = scene.with_name("plain.tif")
    polygonize_file(scene, scene.with_name("p.fgb"), min_area=5000, sieve=plain)
    with rasterio.open(sieve) as one, rasterio.open(plain) as two:
        assert one.nodata == two.nodata == 255
        assert (one.read(1) == two.read(1)).all()
        assert json.loads(one.tags()["GEOSEG_SIEVE"]) == {"min_area": 5000.0, "connectivity": 4}
        missing = 100 * np.count_nonzero(one.read(1) == 255)
    drawn = gpd.read_parquet(frame).query("class_id == 255")
    assert drawn.area_m2.sum() == pytest.approx(missing)


def test_a_map_without_a_nodata_value_keeps_its_first_class_in_overviews(tmp_path: Path) -> None:
    values = landscape((700, 700), 4, 2, 3) - np.uint8(1)
    labels = class_map(values, nodata=None)
    labels.attrs |= {
        "flag_values": [0, 1],
        "category_names": ["water", "land"],
        "category_colors": ["#0000ff", "#00ff00"],
    }
    write_raster(labels, tmp_path / "map.tif")
    with rasterio.open(tmp_path / "map.tif") as made:
        assert made.colormap(1)[0] == (0, 0, 255, 255)
        half = made.read(1, out_shape=(350, 350))
    assert (half == 0).mean() == pytest.approx((values == 0).mean(), abs=0.02)


def test_a_tile_of_a_mosaic_is_never_overwritten(tmp_path: Path) -> None:
    tile = write_band(tmp_path / "tile.tif", landscape((60, 60), 2, 3, 0))
    rasterio.shutil.copy(tile, tmp_path / "map.vrt", driver="VRT")
    before = tile.read_bytes()
    with pytest.raises(UserError, match="is an input as well, or a part of it"):
        polygonize_file(
            tmp_path / "map.vrt", tmp_path / "m.gpkg", min_area=9, sieve=tile, overwrite=True
        )
    assert tile.read_bytes() == before


def test_a_map_in_unknown_units_is_told_about(caplog: pytest.LogCaptureFixture) -> None:
    polygonize(class_map(landscape((30, 30), 2, 3, 0), crs=None), min_area=900)
    assert "areas are in the units of its transform, of which a pixel has 100" in caplog.text


def test_a_class_that_small_regions_had_is_no_mistake() -> None:
    values = np.pad(np.full((1, 1), 7, np.uint8), 5, constant_values=1)
    assert len(polygonize(class_map(values), classes=[7], min_area=500)) == 0


def test_a_mask_cannot_be_kept_in_a_sieved_map(tmp_path: Path) -> None:
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True):
        path = write_band(tmp_path / "map.tif", np.ones((20, 20), np.uint8))
        with rasterio.open(path, "r+") as dataset:
            dataset.write_mask(np.eye(20, dtype=bool))
    with pytest.raises(UserError, match="a mask says which pixels of the map are missing"):
        polygonize_file(path, tmp_path / "m.gpkg", min_area=9, sieve=tmp_path / "s.tif")
    assert [each.name for each in tmp_path.iterdir()] == ["map.tif"]


# -- areas by class --------------------------------------------------------------------------------


def expected_areas(frame: gpd.GeoDataFrame, values: NDArray[Any]) -> pd.DataFrame:
    areas = frame.groupby(["class_id", "class_name"]).area_m2.sum().reset_index()
    areas.insert(2, "pixels", [np.count_nonzero(values == each) for each in areas.class_id])
    return areas.assign(share=areas.area_m2 / areas.area_m2.sum())


@settings(max_examples=40)
@given(
    arrays(
        np.int16, array_shapes(min_dims=2, max_dims=2, max_side=12), elements=st.integers(-2, 3)
    ),
    st.integers(1, 12),
    st.sampled_from(
        [
            (Affine(10, 0, 0, 0, -10, 0), "EPSG:32633"),
            (Affine(2, 1, 11, 0, -2, 60), "EPSG:4326"),
            (Affine(0.5, 0, 11, 0, -0.5, 60), "EPSG:4326"),
            (None, None),
        ]
    ),
)
def test_areas_of_classes_are_those_of_their_polygons(
    values: NDArray[np.int16], side: int, place: tuple[Affine | None, str | None]
) -> None:
    labels = class_map(da.from_array(values, chunks=side), *place)
    expected = expected_areas(polygonize(class_map(values, *place)), values)
    rotated = place[0] is not None and place[0].b
    pd.testing.assert_frame_equal(
        area_by_class(labels), expected, rtol=0.01 if rotated else 1e-9, check_dtype=False
    )


def test_classes_that_do_not_occur_are_listed_and_small_regions_counted_where_they_go(
    scene: Path,
) -> None:
    labels = class_map(np.full((5, 5), 2, np.uint8), nodata=None)
    labels.attrs |= {"flag_values": [1, 2], "flag_meanings": "water forest"}
    assert area_by_class(labels).values.tolist() == [
        [1, "water", 0, 0.0, 0.0],
        [2, "forest", 25, 2500.0, 1.0],
    ]
    areas = area_by_class(scene, min_area=5000)
    sieve = scene.with_name("sieved.tif")
    polygonize_file(scene, scene.with_name("map.fgb"), min_area=5000, sieve=sieve)
    with rasterio.open(sieve) as made:
        pixels = made.read(1)
    assert areas.pixels.tolist() == [np.count_nonzero(pixels == each) for each in (1, 2, 3)]
