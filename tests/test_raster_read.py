"""Opening is lazy, reading is exact, whatever window, band or thread it is for."""

from __future__ import annotations

import os
import pickle
import zipfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import rasterio.crs
import rasterio.shutil
import rasterio.warp
import xarray as xr
from affine import Affine
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from pointwise import UTM, random_pixels, refused, write
from pyproj import Geod
from rasterio.warp import Resampling, reproject
from serving import serving

import geoseg
from geoseg.classes import ClassInfo
from geoseg.errors import UserError
from geoseg.raster import class_table, files_of, grid_of, open_raster, open_stack, pixel_size

PIXELS = random_pixels((4, 61, 83)).astype(np.uint16)
NAMES = ("red", "green", "blue", "nir")


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("scene") / "scene.tif"
    return write(path, PIXELS, names=NAMES, nodata=0, tiled=True, blockxsize=32, blockysize=16)


# Any index of numpy


def axis(length: int) -> st.SearchStrategy[Any]:
    """Indices, slices that hold something, lists of places in any order."""
    places = st.integers(-length, length - 1)
    slices = st.slices(length).filter(lambda s: len(range(*s.indices(length))))
    return places | slices | st.lists(places, min_size=1, max_size=6)


def taken(pixels: NDArray[Any], bands: Any, rows: Any, columns: Any) -> NDArray[Any]:
    """One axis after the other, so that lists cross each other."""
    pixels = pixels[:, :, columns]
    pixels = pixels[:, rows]
    return pixels[bands]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(bands=axis(4), rows=axis(61), columns=axis(83))
def test_any_part_of_the_raster_is_that_part_of_its_pixels(
    scene: Path, bands: Any, rows: Any, columns: Any
) -> None:
    found = geoseg.open_raster(scene)[bands, rows, columns]
    np.testing.assert_array_equal(found.values, taken(PIXELS, bands, rows, columns))
    assert found.dtype == np.uint16


def test_nothing_is_read_when_a_file_is_opened(
    scene: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*args: object, **options: object) -> None:
        raise AssertionError("pixels were read")

    monkeypatch.setattr("geoseg.raster.read.Source.read", fail)
    image = geoseg.open_raster(scene)[1:3, 10:20]
    assert image.shape == (2, 10, 83)
    with pytest.raises(AssertionError, match="pixels were read"):
        image.load()


def test_the_array_says_what_the_file_says(scene: Path) -> None:
    image = geoseg.open_raster(scene)
    assert image.dims == ("band", "y", "x")
    assert image.rio.crs.to_epsg() == 32633
    assert image.rio.transform() == UTM
    assert image.rio.nodata == 0
    assert image.attrs["long_name"] == NAMES
    assert image["band"].values.tolist() == [1, 2, 3, 4]
    assert image["x"].values[0] == 500005.0
    assert image["y"].values[0] == 5599995.0


def test_a_raster_travels_by_pickle_and_through_dask(scene: Path) -> None:
    image = geoseg.open_raster(scene)
    again = pickle.loads(pickle.dumps(image[:, 5:30]))  # noqa: S301
    np.testing.assert_array_equal(again.values, PIXELS[:, 5:30])
    np.testing.assert_array_equal(image.chunk({"y": 20, "x": 50}).values, PIXELS)


def test_threads_read_the_same_at_once(scene: Path) -> None:
    image = geoseg.open_raster(scene)
    with ThreadPoolExecutor(4) as pool:
        rows = list(pool.map(lambda row: image[:, row].values, range(61)))
    np.testing.assert_array_equal(np.stack(rows, axis=1), PIXELS)


@pytest.mark.parametrize("kind", ["plain", "virtual", "archive", "web"])
def test_a_file_that_was_replaced_is_read_anew_by_the_same_thread(
    tmp_path: Path, kind: str
) -> None:
    path, archive = tmp_path / "scene.tif", tmp_path / "scene.zip"

    def put(pixels: NDArray[Any]) -> None:
        fresh, packed = write(tmp_path / "fresh.tif", pixels, tiled=True), tmp_path / "fresh.zip"
        with zipfile.ZipFile(packed, "w") as target:
            target.write(fresh, path.name, zipfile.ZIP_STORED)
        os.replace(fresh, path)
        os.replace(packed, archive)

    large = random_pixels((1, 400, 400)).astype(np.uint16)
    put(large)
    rasterio.shutil.copy(path, tmp_path / "scene.vrt", driver="VRT")
    with serving(tmp_path) as address:
        source = {
            "plain": str(path),
            "virtual": str(tmp_path / "scene.vrt"),
            "archive": f"/vsizip/{archive}/{path.name}",
            "web": f"{address}/{path.name}",
        }[kind]
        np.testing.assert_array_equal(geoseg.open_raster(source)[:, :40].values, large[:, :40])
        put(large + 1)
        np.testing.assert_array_equal(geoseg.open_raster(source).values, large + 1)


def test_bands_keep_their_numbers_and_names_when_some_are_chosen(scene: Path) -> None:
    image = geoseg.open_raster(scene, bands=["NIR", 2])
    assert image["band"].values.tolist() == [4, 2]
    assert image.attrs["long_name"] == ("nir", "green")
    np.testing.assert_array_equal(image.values, PIXELS[[3, 1]])


def test_scaled_values_are_true_ones_with_nan_where_there_are_none(tmp_path: Path) -> None:
    path = write(tmp_path / "scene.tif", PIXELS[:2], nodata=7)
    with rasterio.open(path, "r+") as target:
        target.scales, target.offsets = (0.5, 2.0), (-1.0, 10.0)
    image = geoseg.open_raster(path)
    true = PIXELS[:2] * np.array([0.5, 2.0])[:, None, None] + np.array([-1, 10])[:, None, None]
    np.testing.assert_allclose(image.values, np.where(PIXELS[:2] == 7, np.nan, true), rtol=1e-6)
    assert image.dtype == np.float32
    assert np.isnan(image.rio.nodata)


def test_the_files_of_a_raster_are_itself_and_what_it_reads(scene: Path, tmp_path: Path) -> None:
    rasterio.shutil.copy(scene, tmp_path / "scene.vrt", driver="VRT")
    assert {Path(f) for f in files_of(str(tmp_path / "scene.vrt"))} == {
        tmp_path / "scene.vrt",
        scene,
    }


# Stacks


def test_bands_of_files_on_one_grid_are_stacked_as_they_are(tmp_path: Path) -> None:
    paths = [write(tmp_path / f"{n}.tif", PIXELS[[i]]) for i, n in enumerate(NAMES)]
    stack = open_stack(paths)
    np.testing.assert_array_equal(stack.values, PIXELS)
    assert stack.attrs["long_name"] == NAMES
    assert stack["band"].values.tolist() == [1, 2, 3, 4]


def test_a_stack_of_files_of_several_bands_keeps_descriptions_or_numbers_them(
    tmp_path: Path,
) -> None:
    first = write(tmp_path / "a.tif", PIXELS[:2], names=("red", "nir"))
    second = write(tmp_path / "b.tif", PIXELS[2:].astype(np.uint16))
    stack = open_stack([first, second])
    assert stack.attrs["long_name"] == ("red", "nir", "b_1", "b_2")
    np.testing.assert_array_equal(stack[[3, 0, 2], 5:9].values, PIXELS[[3, 0, 2], 5:9])


@pytest.mark.parametrize("crs", ["EPSG:32633", "EPSG:32634", "EPSG:4326"])
def test_a_band_on_another_grid_is_aligned_to_the_first(crs: str, tmp_path: Path) -> None:
    smooth = np.hypot(*np.mgrid[:80, :100]).astype(np.float32)[None] + 10
    first = write(tmp_path / "first.tif", smooth)
    size = {"EPSG:32634": 20.0, "EPSG:32633": 20.0, "EPSG:4326": 2e-4}[crs]
    west, south, east, north = rasterio.warp.transform_bounds(
        "EPSG:32633", crs, 5e5, 5.6e6 - 400, 5e5 + 1000, 5.6e6
    )
    there = Affine(size, 0, west, 0, -size, north)
    shape = int((north - south) / size) + 1, int((east - west) / size) + 1
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    coarse = (3.0 * rows + 2.0 * columns + 5).astype(np.float32)[None]
    second = write(tmp_path / "second.tif", coarse, crs=crs, transform=there)
    expected = np.full(smooth.shape[1:], np.nan, np.float32)
    reproject(
        coarse[0], expected, src_transform=there, src_crs=crs, dst_transform=UTM,
        dst_crs="EPSG:32633", dst_nodata=np.nan, resampling=Resampling.bilinear,
    )  # fmt: skip
    stack = open_stack([first, second])
    np.testing.assert_array_equal(stack[0].values, smooth[0])
    found = stack[1].values
    inside = np.isfinite(expected) & np.isfinite(found)
    assert inside.mean() > 0.3
    np.testing.assert_allclose(found[inside], expected[inside], atol=0.5)
    assert np.isnan(found[60:]).all()  # beyond the second file


def test_warped_pixels_do_not_depend_on_the_window(tmp_path: Path) -> None:
    """Or the map would depend on the size of its blocks."""
    first = write(tmp_path / "first.tif", random_pixels((1, 300, 600)).astype(np.uint8))
    other = random_pixels((1, 310, 610), seed=1).astype(np.uint8)
    turned = Affine(10, 0, 924_600, 0, -10, 5_617_500)  # by five degrees against the first
    second = write(tmp_path / "second.tif", other, crs="EPSG:32632", transform=turned)
    stack = open_stack([first, second])
    whole = stack.values
    assert np.isfinite(whole[1]).mean() > 0.5
    places = np.random.default_rng(0)
    for _ in range(40):
        row, column = places.integers(0, (260, 560))
        tall, wide = places.integers(1, (300 - row, 600 - column))
        window = np.s_[:, row : row + tall, column : column + wide]
        np.testing.assert_array_equal(stack[window].values, whole[window])


def test_a_stack_of_other_grids_without_a_place_is_refused(tmp_path: Path) -> None:
    first = write(tmp_path / "first.tif", PIXELS[:1])
    second = write(tmp_path / "second.tif", PIXELS[:1, :50], crs=None)
    with refused("has another grid .*give both one, e.g. gdal_edit.py", tmp_path):
        open_stack([first, second])


COARSE = UTM @ Affine.scale(2)


def marked_by_value(path: Path, holes: NDArray[Any], dtype: str) -> Path:
    values = np.where(holes, 99, 7).astype(dtype)[None]
    return write(path, values, nodata=99, transform=COARSE)


def marked_by_nan(path: Path, holes: NDArray[Any], dtype: str) -> Path:
    return write(path, np.where(holes, np.nan, 7).astype("float32")[None], transform=COARSE)


def marked_by_mask(path: Path, holes: NDArray[Any], dtype: str) -> Path:
    write(path, np.where(holes, 99, 7).astype(dtype)[None], transform=COARSE)
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True), rasterio.open(path, "r+") as target:
        target.write_mask(~holes)
    return path


def marked_by_alpha(path: Path, holes: NDArray[Any], dtype: str) -> Path:
    bands = [np.where(holes, 99, 7)] * 3 + [np.where(holes, 0, 255)]
    pixels = np.array(bands).astype("uint8")
    return write(path, pixels, transform=COARSE, photometric="RGB", alpha="YES")


def marked_and_scaled(path: Path, holes: NDArray[Any], dtype: str) -> Path:
    values = np.where(holes, 99, 5).astype(dtype)[None]
    write(path, values, nodata=99, transform=COARSE)
    with rasterio.open(path, "r+") as target:
        target.scales, target.offsets = (2.0,), (-3.0,)
    return path


@pytest.mark.parametrize("dtype", ["uint8", "int16", "float32"])
@pytest.mark.parametrize(
    "mark", [marked_by_value, marked_by_nan, marked_by_mask, marked_by_alpha, marked_and_scaled]
)
def test_missing_pixels_of_an_aligned_band_stay_missing_and_spoil_few_others(
    mark: Callable[..., Path], dtype: str, tmp_path: Path
) -> None:
    holes = np.zeros((21, 51), bool)
    holes[5:10, 10:20] = True
    first = write(tmp_path / "first.tif", np.ones((1, 61, 100), np.uint8))
    found = open_stack([first, mark(tmp_path / "second.tif", holes, dtype)])[1].values
    gone = np.isnan(found)
    np.testing.assert_array_equal(found[~gone], 7)
    expected = np.ones((61, 100), bool)  # the second file ends at row 42
    expected[:42] = holes.repeat(2, 0).repeat(2, 1)[:, :100]
    assert gone[expected].mean() > 0.95  # half a pixel around is interpolated from neighbours
    assert gone[~expected].mean() < 0.05


def test_a_file_to_be_aligned_whose_bands_miss_different_pixels_is_refused(tmp_path: Path) -> None:
    first = write(tmp_path / "first.tif", PIXELS[:1])
    second = write(tmp_path / "second.tif", PIXELS[:2, :50])
    vrt = tmp_path / "second.vrt"
    rasterio.shutil.copy(second, vrt, driver="VRT")
    stated = "</ColorInterp>\n    <NoDataValue>7</NoDataValue>"
    vrt.write_text(vrt.read_text().replace("</ColorInterp>", stated, 1))
    with refused("marks missing pixels in each band apart; give its bands as files", tmp_path):
        open_stack([first, vrt])


# Pixel sizes


@pytest.mark.parametrize(
    ("crs", "transform", "size"),
    [
        ("EPSG:32633", UTM, (10.0, 10.0)),
        ("EPSG:32633", UTM @ Affine.rotation(40), (10.0, 10.0)),
        ("EPSG:32633", UTM @ Affine.scale(2, 3), (30.0, 20.0)),
        ("EPSG:32633", Affine(10, 0, 0, 0, 10, 0), (10.0, 10.0)),
        ("EPSG:2263", Affine(1, 0, 9e5, 0, -1, 2e5), (0.3048006096, 0.3048006096)),
        (None, UTM, None),
        ("EPSG:32633", None, None),
    ],
)
def test_the_size_of_a_pixel_is_in_metres(
    crs: str | None, transform: Affine | None, size: tuple[float, float] | None, tmp_path: Path
) -> None:
    path = write(tmp_path / "scene.tif", PIXELS, crs=crs, transform=transform)
    assert pixel_size(grid_of(geoseg.open_raster(path))) == (
        None if size is None else pytest.approx(size)
    )


@pytest.mark.parametrize("latitude", [0.0, 45.0, -60.0, 80.0])
def test_the_size_of_a_pixel_in_degrees_is_measured_along_the_ellipsoid(
    latitude: float, tmp_path: Path
) -> None:
    transform = Affine(1e-4, 0, 12.0, 0, -2e-4, latitude)
    path = write(tmp_path / "scene.tif", PIXELS, crs="EPSG:4326", transform=transform)
    rows, columns = pixel_size(grid_of(geoseg.open_raster(path))) or (0.0, 0.0)
    middle = latitude - 61 / 2 * 2e-4
    geod = Geod(ellps="WGS84")
    assert rows == pytest.approx(geod.inv(12, middle - 1e-4, 12, middle + 1e-4)[2], rel=1e-4)
    assert columns == pytest.approx(geod.inv(12, middle, 12.0001, middle)[2], rel=1e-4)


# Class tables

TABLE = """<PAMDataset><PAMRasterBand band="1"><GDALRasterAttributeTable>{fields}{rows}
</GDALRasterAttributeTable></PAMRasterBand></PAMDataset>"""
FIELD = '<FieldDefn index="{}"><Name>x</Name><Type>0</Type><Usage>{}</Usage></FieldDefn>'


def with_sidecar(folder: Path, xml: str) -> Path:
    path = write(folder / "map.tif", PIXELS[:1])
    Path(f"{path}.aux.xml").write_text(xml)
    return path


def table_of(usages: list[int], *rows: list[object]) -> str:
    fields = "".join(FIELD.format(i, usage) for i, usage in enumerate(usages))
    cells = ("".join(f"<F>{cell}</F>" for cell in row) for row in rows)
    return TABLE.format(fields=fields, rows="".join(f"<Row>{row}</Row>" for row in cells))


def test_a_class_table_of_another_program_is_read_whatever_the_order_of_its_columns(
    tmp_path: Path,
) -> None:
    rows = ["sea &amp; lake", 255, 128, 1, 99, 3], ["land", 0, 0, 0, 1, 4]
    xml = table_of([2, 8, 7, 6, 1, 5], *rows)
    assert class_table(with_sidecar(tmp_path, xml)) == (
        ClassInfo(3, "sea & lake", "#0180ff"),
        ClassInfo(4, "land", "#000000"),
    )


@pytest.mark.parametrize(
    "xml", ["<PAMDataset/>", table_of([5, 1], [1, 2]), table_of([5, 2, 6, 7, 8])]
)
def test_a_sidecar_without_class_names_gives_no_classes(xml: str, tmp_path: Path) -> None:
    assert class_table(with_sidecar(tmp_path, xml)) == ()


@pytest.mark.parametrize(
    "xml",
    [
        "no XML",
        "<PAMDataset>",
        table_of([5, 2, 6, 7, 8], ["one", "land", 0, 0, 0]),
        table_of([5, 2, 6, 7, 8], [1, "land", 0, 0, "blue"]),
        table_of([5, 2, 6, 7, 8], [1, "land", 0, 0, 999]),
        table_of([5, 2, 6, 7, 8], [1, "land"]),
        table_of([5, 2, 6, 7, 8], [-1, "land", 0, 0, 0]),
        table_of([5, 2, 6, 7, 8], [1, "", 0, 0, 0]),
    ],
)
def test_a_damaged_class_table_is_refused_with_the_file_to_remove(xml: str, tmp_path: Path) -> None:
    path = with_sidecar(tmp_path, xml)
    with pytest.raises(UserError, match=r"class table of .*map.tif cannot .* remove .*aux.xml"):
        class_table(path)


def test_unevenly_spaced_coordinates_are_refused() -> None:
    uneven: NDArray[np.float64] = np.array([0.0, 1.0, 2.0, 4.0])
    image = xr.DataArray(
        np.zeros((1, 4, 4)), dims=("band", "y", "x"), coords={"x": uneven, "y": np.arange(4.0)}
    )
    with pytest.raises(UserError, match=r"coordinates x .* not evenly spaced .* resample it"):
        grid_of(image)


@pytest.mark.parametrize("kept", [0.3, 0.6, 0.99])
@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
def test_a_png_that_was_cut_short_is_never_read_as_if_it_were_whole(
    tmp_path: Path, kept: float
) -> None:
    path = tmp_path / "cut.png"
    pixels = np.random.default_rng(0).integers(0, 255, (3, 64, 64), np.uint8)
    with rasterio.open(path, "w", "PNG", 64, 64, 3, dtype="uint8") as file:
        file.write(pixels)
    path.write_bytes(path.read_bytes()[: int(kept * path.stat().st_size)])
    with pytest.raises(UserError, match=r"cannot read .*cut.png: .*damaged or was cut short"):
        geoseg.open_raster(path).load()


# -- a coordinate system that the file does not say ------------------------------------------------

ASSUMED = [
    "EPSG:32633",
    rasterio.crs.CRS.from_epsg(32633).to_wkt(version="WKT2_2019"),
    "+proj=utm +zone=33 +datum=WGS84 +units=m +no_defs",
]


@pytest.mark.parametrize("said", [None, "EPSG:32633"])
@pytest.mark.parametrize("assumed", ASSUMED, ids=["code", "wkt", "proj"])
def test_a_file_without_a_coordinate_system_is_read_in_the_one_assumed(
    tmp_path: Path, said: str | None, assumed: str
) -> None:
    pixels = random_pixels((3, 20, 30)).astype(np.uint8)
    told = open_raster(write(tmp_path / "told.tif", pixels, crs="EPSG:32633"))
    image = open_raster(write(tmp_path / "scene.tif", pixels, crs=said), assume_crs=assumed)
    assert image.rio.crs.to_epsg() == 32633
    assert image.rio.transform() == told.rio.transform()
    np.testing.assert_array_equal(image, told)


def test_a_stack_warps_files_from_the_system_assumed(tmp_path: Path) -> None:
    first = write(tmp_path / "first.tif", random_pixels((1, 40, 50)).astype(np.uint8))
    coarse = random_pixels((1, 20, 25), seed=1).astype(np.uint8)
    facts = {"transform": UTM @ Affine.scale(2), "nodata": 0}
    told = write(tmp_path / "told.tif", coarse, **facts)
    bare = write(tmp_path / "bare.tif", coarse, **facts, crs=None)
    expected = open_stack([first, told])
    np.testing.assert_array_equal(open_stack([first, bare], assume_crs="EPSG:32633"), expected)
    with pytest.raises(UserError, match="one of them has no coordinate system; give both one"):
        open_stack([first, bare])


DEGREES = Affine(0.01, 0, 120, 0, -0.01, 88)


@pytest.mark.parametrize(
    ("facts", "assumed", "said"),
    [
        (
            {"crs": "EPSG:32632"},
            "EPSG:32633",
            r"says that it is in EPSG:32632, and EPSG:32633 is to be assumed; leave --assume-crs",
        ),
        (
            {"crs": None, "transform": None},
            "EPSG:32633",
            r"does not say where its pixels lie, so no coordinate system can be assumed; give it "
            r"corners: gdal_translate -a_srs EPSG:32633 -a_ullr",
        ),
        (
            {"crs": None},
            "EPSG:4326",
            r"has a corner at 500000, 5.6e\+06, which are no degrees as EPSG:4326 has them",
        ),
        ({"crs": None}, "EPSG:0", "coordinate system 'EPSG:0' is unknown"),
    ],
    ids=["another", "no place", "no degrees", "unknown"],
)
def test_a_system_that_cannot_be_assumed_is_refused(
    tmp_path: Path, facts: dict[str, Any], assumed: str, said: str
) -> None:
    path = write(tmp_path / "scene.tif", random_pixels((3, 20, 30)).astype(np.uint8), **facts)
    with pytest.raises(UserError, match=said):
        open_raster(path, assume_crs=assumed)


def test_degrees_may_be_assumed_where_they_are_some(tmp_path: Path) -> None:
    pixels = random_pixels((3, 20, 30)).astype(np.uint8)
    path = write(tmp_path / "scene.tif", pixels, crs=None, transform=DEGREES)
    assert open_raster(path, assume_crs="OGC:CRS84").rio.crs.is_geographic
