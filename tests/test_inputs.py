"""Files of every kind: the map is that of the pixels, however they are stored."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import numpy as np
import pytest
import rasterio
import rasterio.shutil
from affine import Affine
from numpy.typing import NDArray
from pointwise import (
    UTM,
    map_of,
    pointwise,
    random_pixels,
    read,
    refused,
    scores_of,
    write,
)
from rasterio.control import GroundControlPoint
from rasterio.enums import ColorInterp
from rasterio.rpc import RPC

import geoseg
from geoseg.raster.files import unlocated_is_fine

Pixels = NDArray[Any]
SHAPE = (70, 150)


def predicted(source: Path, folder: Path, **options: Any) -> Pixels:
    """The map of a file by a classifier of three bands."""
    model = options.pop("model", None) or pointwise()
    geoseg.predict_file(source, folder / "map.tif", model, **options)
    return read(folder / "map.tif")


def holes(pixels: Pixels, per_band: bool = False) -> NDArray[np.float64]:
    """The pixels with a corner and a stripe missing, NaN; one band misses more where asked for."""
    gaps = pixels.astype(np.float64)
    gaps[:, :20, :30] = np.nan
    gaps[:, 50] = np.nan
    if per_band:
        gaps[1, 30:40] = np.nan
    return gaps


def filled(pixels: Pixels, value: float, dtype: str) -> Pixels:
    """Missing pixels as a value."""
    return np.where(np.isnan(pixels), value, pixels).astype(dtype)


# How pixels without gaps may be stored.
LAYOUTS: dict[str, dict[str, Any]] = {
    "striped": {},
    "one row a strip": {"blockysize": 1},
    "tiled": {"tiled": True, "blockxsize": 32, "blockysize": 16},
    "BigTIFF": {"bigtiff": "YES"},
    "deflate with predictor": {"compress": "deflate", "predictor": 2},
    "pixels interleaved": {"interleave": "pixel", "tiled": True},
    "big-endian": {"endianness": "big"},
    "ERDAS Imagine": {"driver": "HFA"},
    "COG": {"driver": "COG", "blocksize": 128, "overviews": "IGNORE_EXISTING"},
    "geographic": {"crs": "EPSG:4326", "transform": Affine(1e-4, 0, 12.0, 0, -1e-4, 50.0)},
    "across the antimeridian": {
        "crs": "EPSG:4326",
        "transform": Affine(1e-3, 0, 179.95, 0, -1e-3, 50.0),
    },
    "UTM across the antimeridian": {
        "crs": "EPSG:32660",
        "transform": Affine(100, 0, 7.9e5, 0, -100, 1e6),
    },
    "south-up": {"transform": Affine(10, 0, 5e5, 0, 10, 5.6e6)},
    "east to west": {"transform": Affine(-10, 0, 5e5, 0, -10, 5.6e6)},
    "rotated": {"transform": UTM * Affine.rotation(30)},
    "sheared": {"transform": UTM * Affine.shear(15, 0)},
    "pixels twice as high as wide": {"transform": UTM * Affine.scale(0.5, 1)},
    "no coordinate system": {"crs": None},
    "neither coordinate system nor transform": {"crs": None, "transform": None},
    "feet": {"crs": "EPSG:2263"},
    "unnamed coordinate system": {"crs": "+proj=laea +lat_0=48 +lon_0=9 +datum=WGS84 +units=m"},
}


@pytest.mark.parametrize("kind", LAYOUTS)
def test_the_map_does_not_depend_on_how_the_pixels_are_stored(kind: str, tmp_path: Path) -> None:
    pixels = random_pixels((3, *SHAPE)).astype(np.uint8)
    source = write(tmp_path / "scene.tif", pixels, **LAYOUTS[kind])
    np.testing.assert_array_equal(predicted(source, tmp_path), map_of(pixels))
    with (
        unlocated_is_fine(),
        rasterio.open(source) as image,
        rasterio.open(tmp_path / "map.tif") as labels,
    ):
        assert labels.crs == image.crs
        assert labels.transform == image.transform
        assert labels.shape == image.shape


@pytest.mark.parametrize(
    "dtype", ["uint8", "uint16", "int16", "uint32", "int32", "float32", "float64"]
)
@pytest.mark.parametrize("gaps", [False, True])
def test_the_map_does_not_depend_on_the_type_of_the_pixels(
    dtype: str, gaps: bool, tmp_path: Path
) -> None:
    pixels = random_pixels((3, *SHAPE))
    expected, nodata = pixels.astype(np.float64), None
    if gaps:
        expected, nodata = holes(pixels), 0
    source = write(tmp_path / "scene.tif", filled(expected, 0, dtype), nodata=nodata)
    np.testing.assert_array_equal(predicted(source, tmp_path), map_of(expected))


@pytest.mark.parametrize("bands", range(1, 14))
def test_the_map_of_one_to_thirteen_bands_is_that_of_its_pixels(bands: int, tmp_path: Path) -> None:
    pixels = random_pixels((bands, 20, 30)).astype(np.uint16)
    source = write(tmp_path / "scene.tif", pixels)
    result = predicted(source, tmp_path, model=pointwise(bands))
    np.testing.assert_array_equal(result, map_of(pixels))


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (9, 1), (3, 3), (63, 65), (40, 2000), (2000, 3)])
def test_the_map_of_any_shape_is_that_of_its_pixels(shape: tuple[int, int], tmp_path: Path) -> None:
    pixels = random_pixels((3, *shape)).astype(np.uint8)
    source = write(tmp_path / "scene.tif", pixels)
    np.testing.assert_array_equal(predicted(source, tmp_path), map_of(pixels))


# How missing pixels may be told: each writes `pixels`, whose missing ones are NaN.


def nodata_value(value: float, dtype: str) -> Callable[[Path, Pixels], Path]:
    def store(folder: Path, pixels: Pixels) -> Path:
        return write(folder / "scene.tif", filled(pixels, value, dtype), nodata=value)

    return store


def nan_without_a_nodata_value(folder: Path, pixels: Pixels) -> Path:
    return write(folder / "scene.tif", pixels.astype(np.float32))


def nan_beside_a_nodata_value(folder: Path, pixels: Pixels) -> Path:
    values = filled(pixels, -9999, "float32")
    values[:, 50] = np.nan
    return write(folder / "scene.tif", values, nodata=-9999)


def internal_mask(folder: Path, pixels: Pixels) -> Path:
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True):
        path = write(folder / "scene.tif", filled(pixels, 77, "uint8"))
        _add_mask(path, pixels)
    assert not Path(f"{path}.msk").exists()
    return path


def mask_beside_the_file(folder: Path, pixels: Pixels) -> Path:
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=False):
        path = write(folder / "scene.tif", filled(pixels, 77, "uint8"))
        _add_mask(path, pixels)
    assert Path(f"{path}.msk").exists()
    return path


def _add_mask(path: Path, pixels: Pixels) -> None:
    with rasterio.open(path, "r+") as target:
        target.write_mask(~np.isnan(pixels).all(0))


def alpha_band(folder: Path, pixels: Pixels) -> Path:
    alpha = np.where(np.isnan(pixels).all(0), 0, 255)[None]
    bands = np.concatenate([filled(pixels, 77, "uint8"), alpha.astype(np.uint8)])
    path = write(folder / "scene.tif", bands, photometric="RGB", alpha="YES")
    with rasterio.open(path) as dataset:
        assert dataset.colorinterp[3] == ColorInterp.alpha
    return path


def alpha_of_sixteen_bits(folder: Path, pixels: Pixels) -> Path:
    alpha = np.where(np.isnan(pixels).all(0), 0, 65535)[None]
    bands = np.concatenate([filled(pixels, 77, "uint16"), alpha.astype(np.uint16)])
    return write(folder / "scene.tif", bands, photometric="RGB", alpha="YES")


def vrt_of(source: Path, pixels: Pixels, per_band: Callable[[ET.Element, int], None]) -> Path:
    """A virtual raster over a file, each of whose bands is changed by a function."""
    path = source.with_suffix(".vrt")
    rasterio.shutil.copy(source, path, driver="VRT")
    tree = ET.parse(path)  # noqa: S314
    for number, band in enumerate(tree.getroot().findall("VRTRasterBand"), 1):
        per_band(band, number)
    tree.write(path)
    return path


def other_nodata_in_each_band(folder: Path, pixels: Pixels) -> Path:
    values = pixels.copy()
    for i in range(3):
        values[i][np.isnan(values[i])] = 300 + i
    source = write(folder / "plain.tif", values.astype(np.uint16))

    def state(band: ET.Element, number: int) -> None:
        ET.SubElement(band, "NoDataValue").text = str(299 + number)

    return vrt_of(source, pixels, state)


def mask_in_each_band(folder: Path, pixels: Pixels) -> Path:
    source = write(folder / "plain.tif", filled(pixels, 77, "uint8"))
    valid = np.where(np.isnan(pixels), 0, 255).astype(np.uint8)
    write(folder / "masks.tif", valid)

    def state(band: ET.Element, number: int) -> None:
        mask = ET.SubElement(ET.SubElement(band, "MaskBand"), "VRTRasterBand", dataType="Byte")
        origin = ET.SubElement(mask, "SimpleSource")
        ET.SubElement(origin, "SourceFilename", relativeToVRT="1").text = "masks.tif"
        ET.SubElement(origin, "SourceBand").text = str(number)

    return vrt_of(source, pixels, state)


def scaled(folder: Path, pixels: Pixels) -> Path:
    path = write(folder / "scene.tif", filled((pixels - 20) * 4, -1, "int16"), nodata=-1)
    with rasterio.open(path, "r+") as target:
        target.scales, target.offsets = (0.25,) * 3, (20.0,) * 3
    return path


ALIKE: dict[str, Callable[[Path, Pixels], Path]] = {
    "no data 0": nodata_value(0, "uint8"),
    "no data 255": nodata_value(255, "uint8"),
    "no data -9999": nodata_value(-9999, "int16"),
    "no data 65535": nodata_value(65535, "uint16"),
    "no data NaN": nodata_value(np.nan, "float32"),
    "no data -3.4e38": nodata_value(float(np.finfo(np.float32).min), "float32"),
    "no data -1.8e308": nodata_value(float(np.finfo(np.float64).min), "float64"),
    "no data infinite": nodata_value(np.inf, "float32"),
    "no data that float32 cannot hold": nodata_value(-9999.1, "float32"),
    "NaN without a no-data value": nan_without_a_nodata_value,
    "NaN beside a no-data value": nan_beside_a_nodata_value,
    "internal mask": internal_mask,
    "mask beside the file": mask_beside_the_file,
    "alpha band": alpha_band,
    "alpha band of 16 bits": alpha_of_sixteen_bits,
    "another no-data value in each band": other_nodata_in_each_band,
    "a mask in each band": mask_in_each_band,
    "scale and offset": scaled,
}
PER_BAND = [kind for kind in ALIKE if not ("alpha" in kind or kind.endswith(("l mask", "e file")))]


@pytest.mark.parametrize("kind", ALIKE)
def test_the_map_does_not_depend_on_how_missing_pixels_are_told(kind: str, tmp_path: Path) -> None:
    pixels = holes(random_pixels((3, *SHAPE)))
    source = ALIKE[kind](tmp_path, pixels)
    expected = map_of(pixels)
    assert 0 < (expected == 255).mean() < 0.5
    np.testing.assert_array_equal(predicted(source, tmp_path), expected)


@pytest.mark.parametrize("policy", ["all", "any"])
@pytest.mark.parametrize("kind", PER_BAND)
def test_pixels_with_one_band_missing_follow_the_policy_of_the_card(
    kind: str, policy: str, tmp_path: Path
) -> None:
    pixels = holes(random_pixels((3, *SHAPE)), per_band=True)
    source = ALIKE[kind](tmp_path, pixels)
    result = predicted(source, tmp_path, model=pointwise(nodata=policy))
    np.testing.assert_array_equal(result, map_of(pixels, policy))
    assert (result[35] == 255).all() == (policy == "any")


def test_a_virtual_raster_gives_the_map_of_its_mosaic(tmp_path: Path) -> None:
    pixels = random_pixels((3, *SHAPE)).astype(np.uint8)
    source = write(tmp_path / "scene.tif", pixels)
    rasterio.shutil.copy(source, tmp_path / "scene.vrt", driver="VRT")
    result = predicted(tmp_path / "scene.vrt", tmp_path)
    np.testing.assert_array_equal(result, map_of(pixels))


def test_overviews_of_the_input_are_not_read_for_its_pixels(tmp_path: Path) -> None:
    pixels = random_pixels((3, 300, 300)).astype(np.uint8)
    source = write(tmp_path / "plain.tif", pixels)
    rasterio.shutil.copy(source, tmp_path / "scene.tif", driver="COG", BLOCKSIZE=128)
    with rasterio.open(tmp_path / "scene.tif") as dataset:
        assert dataset.overviews(1)
    np.testing.assert_array_equal(predicted(tmp_path / "scene.tif", tmp_path), map_of(pixels))


# Bands


@pytest.mark.parametrize(
    ("order", "wanted"),
    [
        ((2, 0, 1), ("blue", "red", "green")),
        ((2, 0, 1), ("Blue ", 1, "2")),
        ((3, 3, 0), (4, "4", "red")),
    ],
)
def test_bands_may_be_chosen_by_description_or_number(
    order: tuple[int, ...], wanted: Sequence[str | int], tmp_path: Path
) -> None:
    pixels = random_pixels((4, *SHAPE)).astype(np.uint8)
    source = write(tmp_path / "scene.tif", pixels, names=("red", "green", "blue", "nir"))
    result = predicted(source, tmp_path, bands=wanted)
    np.testing.assert_array_equal(result, map_of(pixels[list(order)]))


def test_bands_are_found_by_the_names_in_the_file_in_whatever_order(tmp_path: Path) -> None:
    pixels = random_pixels((4, *SHAPE)).astype(np.uint16)
    source = write(tmp_path / "scene.tif", pixels, names=("nir", "B02", "B03", "Red"))
    result = predicted(source, tmp_path)
    np.testing.assert_array_equal(result, map_of(pixels[[3, 2, 1]]))


def test_an_alpha_band_is_not_a_band_of_the_image_but_may_be_asked_for(tmp_path: Path) -> None:
    pixels = random_pixels((4, *SHAPE)).astype(np.uint8)
    source = write(tmp_path / "scene.tif", pixels, photometric="RGB", alpha="YES")
    result = predicted(source, tmp_path, bands=[1, 2, "alpha"])
    np.testing.assert_array_equal(result, map_of(pixels[[0, 1, 3]]))


def test_a_fourth_band_described_as_infrared_is_no_alpha_band_whatever_its_mark(
    tmp_path: Path,
) -> None:
    pixels = random_pixels((4, *SHAPE)).astype(np.uint8)
    pixels[3, :20] = 0  # dark, not transparent
    source = write(tmp_path / "scene.tif", pixels, names=("red", "green", "blue", "nir"))
    with rasterio.open(source) as dataset:
        assert dataset.colorinterp[3] == ColorInterp.alpha  # as GDAL marks any fourth band
    model = pointwise(4, bands=("nir", "red", "green", "blue"))
    np.testing.assert_array_equal(
        predicted(source, tmp_path, model=model), map_of(pixels[[3, 0, 1, 2]])
    )
    result = predicted(source, tmp_path, overwrite=True)
    np.testing.assert_array_equal(result, map_of(pixels[:3]))


# Pixel size


@pytest.mark.parametrize("factor", [0.25, 0.4, 1.7, 4.0])
def test_a_pixel_size_unlike_the_models_gives_a_map_on_the_images_grid(
    factor: float, tmp_path: Path
) -> None:
    quarters = np.repeat(np.repeat(random_pixels((3, 2, 2)), 40, 1), 40, 2).astype(np.uint8)
    source = write(tmp_path / "scene.tif", quarters)
    result = predicted(source, tmp_path, model=pointwise(gsd=10.0 * factor))
    inner = np.abs((np.arange(80) + 0.5) % 40 - 20) < 20 - 2 * max(factor, 1)  # off the seams
    expected = map_of(quarters)
    np.testing.assert_array_equal(result[np.ix_(inner, inner)], expected[np.ix_(inner, inner)])
    with rasterio.open(tmp_path / "map.tif") as labels:
        assert labels.shape == (80, 80)
        assert labels.transform == UTM


def test_native_pixels_are_taken_as_they_are_whatever_their_size(tmp_path: Path) -> None:
    pixels = random_pixels((3, *SHAPE)).astype(np.uint8)
    source = write(tmp_path / "scene.tif", pixels)
    result = predicted(source, tmp_path, model=pointwise(gsd=0.5), gsd="native")
    np.testing.assert_array_equal(result, map_of(pixels))


# Without a place


@pytest.mark.parametrize(("driver", "ending"), [("PNG", "png"), ("JPEG", "jpg")])
def test_a_picture_without_a_place_gives_a_map_and_a_warning(
    driver: str, ending: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    pixels = random_pixels((3, *SHAPE)).astype(np.uint8)
    source = tmp_path / f"photo.{ending}"
    write(source, pixels, driver=driver, crs=None, transform=None)
    stored = read(source, None)  # JPEG loses some
    with caplog.at_level(logging.WARNING, "geoseg"):
        result = predicted(source, tmp_path)
    np.testing.assert_array_equal(result, map_of(stored))
    assert "does not say where it lies" in caplog.text


@pytest.mark.parametrize("gsd", [0.5, 1.0])
def test_a_picture_of_stated_pixel_size_gives_the_map_of_the_same_image_in_its_place(
    gsd: float, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    smooth = np.repeat(np.repeat(random_pixels((3, 10, 13)), 9, 1), 9, 2).astype(np.uint8)
    picture = write(tmp_path / "p.jpg", smooth, driver="JPEG", crs=None, transform=None)
    half = Affine(0.5, 0.0, 500000.0, 0.0, -0.5, 5600000.0)
    there = write(tmp_path / "p.tif", read(picture, None), transform=half)
    options: dict[str, Any] = {"model": pointwise(gsd=gsd), "min_area": 25.25, "overwrite": True}
    expected = predicted(there, tmp_path, **options)
    np.testing.assert_array_equal(predicted(picture, tmp_path, pixel_size=0.5, **options), expected)
    with unlocated_is_fine(), rasterio.open(tmp_path / "map.tif") as labels:
        assert labels.crs is None
        assert labels.transform == Affine.identity()
        assert json.loads(labels.tags()["GEOSEG_OPTIONS"])["pixel_size"] == 0.5
    assert "areas are in pixels" not in caplog.text
    if gsd == 0.5:  # 25.25 square metres are 101 pixels
        pixels = predicted(picture, tmp_path, **(options | {"min_area": 101}))
        np.testing.assert_array_equal(pixels, expected)
        assert "areas are in pixels" in caplog.text
    whole = predicted(picture, tmp_path, pixel_size=0.5, **(options | {"min_area": 0}))
    assert (whole != expected).any()


def test_a_file_that_says_another_pixel_size_than_stated_is_refused(tmp_path: Path) -> None:
    source = write(tmp_path / "scene.tif", random_pixels((3, 9, 9)).astype(np.uint8))
    with refused("pixels of 0.5 m are stated, and the image itself says 10 x 10 m", tmp_path):
        predicted(source, tmp_path, pixel_size=0.5)


def test_an_image_without_a_coordinate_system_gives_a_map_and_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    source = write(tmp_path / "scene.tif", random_pixels((3, 9, 9)).astype(np.uint8), crs=None)
    with caplog.at_level(logging.WARNING, "geoseg"):
        predicted(source, tmp_path)
    assert "no coordinate system" in caplog.text


def _with_gcps(path: Path) -> Path:
    corners = [(0, 0), (0, 9), (9, 0), (9, 9)]
    points = [GroundControlPoint(r, c, 5e5 + 10 * c + r, 5.6e6 - 10 * r) for r, c in corners]
    write(path, random_pixels((3, 9, 9)).astype(np.uint8), crs=None, transform=None)
    with unlocated_is_fine(), rasterio.open(path, "r+") as target:
        target.gcps = points, rasterio.CRS.from_epsg(32633)
    return path


def _with_rpcs(path: Path) -> Path:
    ones = [1.0, *[0.0] * 19]
    rpcs = RPC(0, 1, 50, 1, ones, [0, 0, 1, *[0] * 17], 4, 9, 12, 1, ones, [0, 1, *[0] * 18], 4, 9)
    write(path, random_pixels((3, 9, 9)).astype(np.uint8), crs=None, transform=None)
    with unlocated_is_fine(), rasterio.open(path, "r+") as target:
        target.rpcs = rpcs
    return path


@pytest.mark.parametrize(
    ("place", "remedy"),
    [
        (_with_gcps, "ground control points only; warp it first: gdalwarp"),
        (_with_rpcs, "rational polynomials only; orthorectify it first: gdalwarp -rpc"),
    ],
)
def test_images_located_by_points_or_polynomials_are_refused_with_the_remedy(
    place: Callable[[Path], Path], remedy: str, tmp_path: Path
) -> None:
    source = place(tmp_path / "scene.tif")
    with refused(remedy, tmp_path):
        predicted(source, tmp_path)


# Large


def test_a_strip_of_40_by_50000_gives_the_map_of_its_pixels(tmp_path: Path) -> None:
    pixels = random_pixels((3, 40, 50_000)).astype(np.uint8)
    source = write(tmp_path / "scene.tif", pixels, tiled=True)
    result = predicted(source, tmp_path, model=pointwise(window=512))
    np.testing.assert_array_equal(result, map_of(pixels))


def test_an_image_of_20000_a_side_is_classified_where_it_has_data(tmp_path: Path) -> None:
    pixels = random_pixels((3, 150, 200)).astype(np.uint8)
    top, left, side = 12_345, 17_001, 20_000
    source = tmp_path / "scene.tif"
    with rasterio.open(
        source, "w", driver="GTiff", width=side, height=side, count=3, dtype="uint8", nodata=0,
        tiled=True, sparse_ok=True, crs="EPSG:32633", transform=UTM,
    ) as target:  # fmt: skip
        target.write(pixels, window=((top, top + 150), (left, left + 200)))
    geoseg.predict_file(source, tmp_path / "map.tif", pointwise(window=512))
    with rasterio.open(tmp_path / "map.tif") as labels:
        assert labels.shape == (side, side)
        patch = labels.read(1, window=((top, top + 150), (left, left + 200)))
    np.testing.assert_array_equal(patch, map_of(pixels))
    counted = ET.parse(tmp_path / "map.tif.aux.xml").findall(".//Row/F[2]")  # noqa: S314
    assert sum(int(cell.text) for cell in counted) == patch.size


# Files from the tests of other programs, each odd in its own way

REFUSED = {
    "rasterio/RGB.byte.gcp.vrt": "ground control points only; warp it first",
    "rasterio/compdcs.vrt": "ground control points only; warp it first",
    "rasterio/corrupt.tif": "was cut short: tile 1,1 should end at byte 307086",
}
MAPPED = {  # rows, columns and pixels without data
    "geotiff/utm.tif": (100, 100, 0),
    "odcgeo/au-3577-rotated.tif": (128, 128, 8099),
    "opengeos/2020.tif": (377, 697, 0),
    "rasterio/RGB.byte.tif": (718, 791, 184823),
    "rasterio/RGBA.uint16.tif": (411, 634, 133258),
    "rasterio/all-nodata.tif": (2475, 71, 175725),
    "rasterio/alpha.tif": (1223, 1223, 1472541),
    "rasterio/float_nan.tif": (2, 3, 1),
    "rasterio/float_raster_with_nodata.tif": (12, 13, 58),
    "rasterio/rotated.tif": (15, 10, 0),
    "rasterio/test_esri_wkt.tif": (2, 2, 0),
    "riotiler/cog_dateline.tif": (2355, 2325, 0),
    "riotiler/cog_rgb_mask.tif": (232, 383, 2739),
    "riotiler/cog_scale.tif": (256, 256, 6),
    "riotiler/inverted_lat.tif": (360, 720, 259200),
    "rioxarray/cog.tif": (500, 500, 73873),
    "stars/L7_ETMs.tif": (352, 349, 0),
}


def true_pixels(path: Path) -> NDArray[np.float64]:
    """Values as rasterio tells them, NaN where its mask says that there are none, without alpha."""
    with rasterio.open(path) as dataset:
        kept = [n for n in dataset.indexes if dataset.colorinterp[n - 1] != ColorInterp.alpha]
        pixels = dataset.read(kept).astype(np.float64)
        pixels[dataset.read_masks(kept) == 0] = np.nan
        scales, offsets = (
            np.array([each[n - 1] for n in kept])[:, None, None]
            for each in (dataset.scales, dataset.offsets)
        )
    return pixels * scales + offsets


def clear_pixels(pixels: Pixels) -> NDArray[np.bool_]:
    """Where the best two scores lie so far apart that rounding cannot swap them."""
    second, best = np.sort(scores_of(pixels), axis=0)[-2:]
    return best - second > 1e-6 * (1 + np.abs(best))


@pytest.mark.parametrize("name", MAPPED)
def test_an_odd_file_gives_the_map_of_its_pixels_on_its_grid(
    name: str, data_folder: Path, tmp_path: Path
) -> None:
    source = data_folder / "io_torture" / name
    pixels = true_pixels(source)
    bands = list(range(1, len(pixels) + 1))
    found = predicted(source, tmp_path, model=pointwise(len(bands), window=256), bands=bands)
    expected, clear = map_of(pixels), clear_pixels(pixels)
    assert clear.mean() > 0.99
    np.testing.assert_array_equal(found[clear], expected[clear])
    assert (*found.shape, np.count_nonzero(found == 255)) == MAPPED[name]
    with rasterio.open(source) as image, rasterio.open(tmp_path / "map.tif") as labels:
        assert labels.crs == image.crs
        assert labels.transform.almost_equals(image.transform, 1e-9)


@pytest.mark.parametrize("name", REFUSED)
def test_an_odd_file_that_cannot_be_mapped_is_refused(
    name: str, data_folder: Path, tmp_path: Path
) -> None:
    with refused(REFUSED[name], tmp_path):
        predicted(data_folder / "io_torture" / name, tmp_path)


def test_every_odd_file_is_known(data_folder: Path) -> None:
    folder = data_folder / "io_torture"
    files = {path.relative_to(folder).as_posix() for path in folder.glob("*/*")}
    assert files == {*MAPPED, *REFUSED}
