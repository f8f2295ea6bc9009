"""What is written is whole, valid, named, and says where it comes from."""

from __future__ import annotations

import json
import tempfile
from math import ceil, floor, prod
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import dask.array
import numpy as np
import pytest
import rasterio
import rasterio.shutil
import xarray as xr
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray
from pointwise import (
    UTM,
    leftovers,
    map_of,
    pointwise,
    random_pixels,
    read,
    refused,
    scores_of,
    write,
)
from rasterio.crs import CRS
from rasterio.enums import ColorInterp
from rio_cogeo import cog_validate

import geoseg
from geoseg.classes import ClassInfo, as_classes
from geoseg.info import examine
from geoseg.pixels import halve
from geoseg.raster import CogDraft, Grid, Layout, class_layout, class_table, to_cog, write_raster
from geoseg.windows import box_shape

NAMES = ("Water & ice", "Försten <old>", 'Fields "all"', "Town")
SHAPE = (700, 1100)


def patches(shape: tuple[int, int]) -> NDArray[Any]:
    """Pixels in patches of 5, as classes come in, with a hole."""
    rows, columns = (ceil(length / 5) for length in shape)
    pixels = random_pixels((3, rows, columns)).repeat(5, 1).repeat(5, 2).astype(np.uint8)
    pixels = pixels[:, : shape[0], : shape[1]]
    pixels[:, 100:260, 300:620] = 0
    return pixels


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A scene and all rasters that can be made of it."""
    folder = tmp_path_factory.mktemp("outputs")
    source = write(folder / "scene.tif", patches(SHAPE), nodata=0)
    geoseg.predict_file(
        source,
        folder / "map.tif",
        pointwise(window=512, classes=NAMES, name="patchwork"),
        scores=folder / "scores.tif",
        confidence=folder / "confidence.tif",
    )
    return folder


def expected_scores() -> NDArray[np.float64]:
    """Probabilities by numpy, NaN where there is no data."""
    pixels = np.where(patches(SHAPE) == 0, np.nan, patches(SHAPE))
    powers = np.exp(scores_of(pixels) - scores_of(pixels).max(0))
    return np.where(np.isnan(pixels).all(0), np.nan, powers / powers.sum(0))


@pytest.mark.parametrize("name", ["map", "scores", "confidence"])
def test_every_raster_is_a_valid_cloud_optimized_geotiff(name: str, folder: Path) -> None:
    valid, errors, warnings = cog_validate(folder / f"{name}.tif", strict=True, quiet=True)
    assert valid, (errors, warnings)


@pytest.mark.parametrize("name", ["map", "scores", "confidence"])
def test_every_raster_lies_on_the_grid_of_the_image(name: str, folder: Path) -> None:
    with (
        rasterio.open(folder / "scene.tif") as image,
        rasterio.open(folder / f"{name}.tif") as result,
    ):
        assert (result.crs, result.transform, result.shape) == (
            image.crs,
            image.transform,
            image.shape,
        )
        assert result.nodata == 255
        assert set(result.dtypes) == {"uint8"}


def test_the_map_has_a_palette_and_says_where_it_comes_from(folder: Path) -> None:
    model = pointwise(window=512, classes=NAMES, name="patchwork")
    with rasterio.open(folder / "map.tif") as result:
        palette, tags = result.colormap(1), result.tags()
    for each in model.card.classes:
        assert "#{:02x}{:02x}{:02x}".format(*palette[each.value][:3]) == each.color
        assert palette[each.value][3] == 255
    assert palette[255] == (0, 0, 0, 0)
    assert tags["GEOSEG_VERSION"] == geoseg.__version__
    assert tags["GEOSEG_MODEL"] == "patchwork"
    assert tags["GEOSEG_MODEL_DIGEST"] == model.digest
    assert json.loads(tags["GEOSEG_OPTIONS"])["bands"] == ["1", "2", "3"]
    chosen = json.loads(tags["GEOSEG_CHOSEN"])
    assert (chosen["blend"], chosen["precision"]) == ("crop", "fp32")


def test_class_names_colours_and_counts_lie_where_gdal_looks_for_them(
    folder: Path, tmp_path: Path
) -> None:
    # A virtual raster repeats what GDAL found in map and sidecar.
    rasterio.shutil.copy(folder / "map.tif", tmp_path / "map.vrt", driver="VRT")
    band = ET.parse(tmp_path / "map.vrt").find("VRTRasterBand")  # noqa: S314
    assert band is not None
    assert tuple(each.text for each in band.findall("CategoryNames/Category")) == NAMES
    table = [[f.text for f in row] for row in band.findall("GDALRasterAttributeTable/Row")]
    fields = band.findall("GDALRasterAttributeTable/FieldDefn")
    assert [each.findtext("Usage") for each in fields] == ["5", "1", "2", "6", "7", "8"]
    assert [each.findtext("Type") for each in fields] == ["0", "0", "2", "0", "0", "0"]
    counts = np.bincount(read(folder / "map.tif").ravel(), minlength=256)
    for row, each in zip(table, as_classes(NAMES), strict=True):
        assert row == [str(v) for v in (each.value, counts[each.value], each.name, *each.rgb)]


def test_the_class_table_comes_back_from_the_map_with_or_without_its_sidecar(
    folder: Path, tmp_path: Path
) -> None:
    assert class_table(folder / "map.tif") == as_classes(NAMES)
    alone = tmp_path / "alone.tif"
    alone.write_bytes((folder / "map.tif").read_bytes())
    assert class_table(alone) == as_classes(NAMES)
    plain = write(tmp_path / "plain.tif", read(folder / "map.tif")[None])
    assert class_table(plain) == ()
    sidecar = (folder / "map.tif.aux.xml").read_bytes()
    (tmp_path / "plain.tif.aux.xml").write_bytes(sidecar)
    assert class_table(plain) == as_classes(NAMES)


def test_overviews_hold_only_classes_of_the_pixels_they_stand_for(folder: Path) -> None:
    labels = read(folder / "map.tif")
    with rasterio.open(folder / "map.tif") as dataset:
        levels = len(dataset.overviews(1))
    assert levels >= 1
    for level in range(levels):
        with rasterio.open(folder / "map.tif", overview_level=level) as dataset:
            small = dataset.read(1)
        ratio = [many / few for many, few in zip(labels.shape, small.shape, strict=True)]
        for (row, column), value in np.ndenumerate(small):
            box = tuple(
                slice(max(floor(i * r) - 1, 0), ceil((i + 1) * r) + 1)
                for i, r in zip((row, column), ratio, strict=True)
            )
            assert value in labels[box]


def test_scores_and_confidence_are_the_probabilities_in_steps_of_a_254th(folder: Path) -> None:
    expected = expected_scores()
    missing = np.isnan(expected[0])
    for name, truth in (("scores", expected), ("confidence", expected.max(0)[None])):
        with rasterio.open(folder / f"{name}.tif") as dataset:
            stored, scales = dataset.read(), dataset.scales
            assert scales == (1 / 254,) * len(stored)
            assert set(dataset.offsets) == {0.0}
            assert dataset.descriptions == (NAMES if name == "scores" else ("confidence",))
            assert ColorInterp.alpha not in dataset.colorinterp  # the fourth class is no mask
        assert (stored[:, missing] == 255).all()
        assert (stored[:, ~missing] <= 254).all()
        error = np.abs(stored * scales[0] - truth)[:, ~missing]
        assert error.max() <= 0.5 / 254 + 1e-5


def test_the_map_is_that_of_the_scores(folder: Path) -> None:
    pixels = np.where(patches(SHAPE) == 0, np.nan, patches(SHAPE))
    np.testing.assert_array_equal(read(folder / "map.tif"), map_of(pixels))


def test_two_runs_give_the_same_bytes(folder: Path, tmp_path: Path) -> None:
    for each in ("first", "second"):
        (tmp_path / each).mkdir()
        geoseg.predict_file(
            folder / "scene.tif",
            tmp_path / each / "map.tif",
            pointwise(window=64),
            scores=tmp_path / each / "scores.tif",
        )
    for name in ("map.tif", "map.tif.aux.xml", "scores.tif"):
        assert (tmp_path / "first" / name).read_bytes() == (tmp_path / "second" / name).read_bytes()


def test_nothing_but_the_outputs_is_left(folder: Path) -> None:
    rasters = {"scene.tif", "map.tif", "map.tif.aux.xml", "scores.tif", "confidence.tif"}
    rasters.add("map.tif.json")
    assert leftovers(folder) == rasters


def test_class_values_past_254_take_sixteen_bits(tmp_path: Path) -> None:
    values = np.array([7, 300, 1000, 65534])
    colors = ("#000001", "#000002", "#000003", "#000004")
    classes = [ClassInfo(int(v), f"code {v}", c) for v, c in zip(values, colors, strict=True)]
    pixels = patches((300, 700))
    source = write(tmp_path / "scene.tif", pixels, nodata=0)
    geoseg.predict_file(source, tmp_path / "map.tif", pointwise(classes=classes))
    index = map_of(np.where(pixels == 0, np.nan, pixels))
    expected = np.where(index == 255, 65535, values[index % 4])
    with rasterio.open(tmp_path / "map.tif") as dataset:
        assert dataset.dtypes == ("uint16",)
        assert dataset.nodata == 65535
        assert dataset.colormap(1)[1000] == (0, 0, 3, 255)
    np.testing.assert_array_equal(read(tmp_path / "map.tif"), expected)
    assert class_table(tmp_path / "map.tif") == tuple(classes)
    assert cog_validate(tmp_path / "map.tif", strict=True, quiet=True)[0]


# From top to bottom


@given(
    ends=st.lists(st.integers(0, 1300), max_size=5),
    empty=st.sets(st.tuples(st.integers(0, 2), st.integers(0, 1)), max_size=6),
)
@settings(max_examples=10)
def test_a_map_may_come_in_any_portions_and_what_is_empty_need_not_come(
    ends: list[int], empty: set[tuple[int, int]]
) -> None:
    shape = 1300, 900
    pixels = random_pixels((1, *shape)).astype(np.uint8) % 4
    for row, column in empty:
        pixels[:, row * 512 : row * 512 + 512, column * 512 : column * 512 + 512] = 255
    layout = class_layout(Grid(shape, CRS.from_epsg(32633), UTM), as_classes(NAMES), {})

    def gives(box: Any) -> NDArray[Any] | None:
        own = pixels[:, box[0], box[1]]
        return None if (own == 255).all() else own

    with tempfile.TemporaryDirectory() as name:
        whole, draft = Path(name, "whole.tif"), Path(name, "draft.tif")
        to_cog(whole, layout, lambda box: pixels[:, box[0], box[1]])
        with CogDraft(draft, layout) as portions:
            for end in sorted(ends):
                portions.extend(gives, end)
            portions.extend(gives, shape[0])
            portions.finish()
        assert leftovers(Path(name)) == {
            f"{each}.tif{ending}" for each in ("whole", "draft") for ending in ("", ".aux.xml")
        }
        np.testing.assert_array_equal(read(draft), pixels[0])
        assert Path(f"{draft}.aux.xml").read_bytes() == Path(f"{whole}.aux.xml").read_bytes()
        assert draft.read_bytes() == whole.read_bytes()
        assert cog_validate(draft, strict=True, quiet=True)[0]


@pytest.mark.parametrize(("bands", "most"), [(1, 4 << 20), (16, 64 << 20), (300, 75 << 20)])
def test_pieces_of_many_bands_are_narrower(bands: int, most: int, tmp_path: Path) -> None:
    layout = Layout(Grid((512, 20_000), None, None), "uint8", 255, ("",) * bands)
    asked: list[int] = []

    def gives(box: Any) -> None:
        asked.append(bands * prod(box_shape(box)))

    with CogDraft(tmp_path / "scores.tif", layout) as draft:
        draft.extend(gives, 512)
    assert max(asked) == most
    assert sum(asked) == bands * 512 * 20_000


def test_a_map_that_is_given_up_leaves_nothing(tmp_path: Path) -> None:
    layout = class_layout(Grid((600, 600), None, None), as_classes(NAMES), {})
    with CogDraft(tmp_path / "map.tif", layout) as draft:
        draft.extend(lambda box: np.zeros((1, 512, 600), np.uint8), 512)
    assert leftovers(tmp_path) == set()


# Replacing


def test_a_replaced_map_keeps_nothing_of_the_old_one(tmp_path: Path) -> None:
    source = write(tmp_path / "scene.tif", random_pixels((3, 30, 40)).astype(np.uint8))
    target = write(tmp_path / "map.tif", np.ones((1, 99, 99), np.uint8))
    for ending in ("aux.xml", "ovr", "msk"):
        (tmp_path / f"map.tif.{ending}").write_text("of the old map")
    geoseg.predict_file(source, target, pointwise(), overwrite=True)
    assert leftovers(tmp_path) == {"scene.tif", "map.tif", "map.tif.aux.xml", "map.tif.json"}
    assert class_table(target) == pointwise().card.classes
    write_raster(
        xr.DataArray(np.zeros((4, 4), np.float32), dims=("y", "x")), target, overwrite=True
    )
    # The facts of the old map may be wanted still; nobody takes them for those of the new file.
    assert leftovers(tmp_path) == {"scene.tif", "map.tif", "map.tif.json"}
    assert examine(target)["told"] is None


# Options of the format


def test_creation_options_are_handed_on(folder: Path, tmp_path: Path) -> None:
    options = {"compress": "LZW", "BLOCKSIZE": "256"}
    geoseg.predict_file(folder / "scene.tif", tmp_path / "map.tif", pointwise(), co=options)
    with rasterio.open(tmp_path / "map.tif") as dataset:
        assert dataset.compression.name == "lzw"
        assert dataset.block_shapes == [(256, 256)]
    np.testing.assert_array_equal(read(tmp_path / "map.tif"), read(folder / "map.tif"))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"TILING_SCHEME": "GoogleMapsCompatible"}, "TILING_SCHEME .* would change grid or pixels"),
        ({"NBITS": "4"}, "NBITS .* would change grid or pixels"),
        ({"PREDICTION": "yes"}, "creation option PREDICTION is unknown.* choose from COMPRESS, LE"),
        (
            {"compress": "zip"},
            "creation option COMPRESS=ZIP must be NONE, LZW, DEFLATE, ZSTD, LZMA",
        ),
        ({"COMPRESS": "JPEG"}, "creation option COMPRESS=JPEG must be NONE"),
        ({"OVERVIEW_RESAMPLING": "AVERAGE"}, "=AVERAGE must be NEAREST, MODE"),
        ({"BLOCKSIZE": "17"}, "creation option BLOCKSIZE=17 must be 128, 256"),
    ],
)
def test_creation_options_that_cannot_be_are_refused_before_any_work(
    options: dict[str, str], message: str, folder: Path, tmp_path: Path
) -> None:
    with refused(message, tmp_path):
        geoseg.predict_file(folder / "scene.tif", tmp_path / "map.tif", pointwise(), co=options)


# Arrays


def labels_of(pixels: NDArray[Any], **attrs: Any) -> xr.DataArray:
    """A class map as an array in UTM."""
    array = xr.DataArray(pixels, dims=("y", "x"), name="class", attrs=attrs)
    return array.rio.write_crs("EPSG:32633").rio.write_transform(UTM).rio.write_nodata(255)


TABLE = {
    "flag_values": [0, 1],
    "category_names": ["land", "sea"],
    "category_colors": ["#aabbcc", "#001122"],
}


@pytest.mark.parametrize("chunks", [None, (64, 64), (7, 1000)])
def test_an_array_is_written_with_its_grid_and_its_classes(
    chunks: tuple[int, int] | None, tmp_path: Path
) -> None:
    pixels = np.random.default_rng(1).choice([0, 1, 255], (200, 150)).astype(np.uint8)
    data = pixels if chunks is None else dask.array.from_array(pixels, chunks)
    write_raster(labels_of(data, **TABLE), tmp_path / "map.tif")
    with rasterio.open(tmp_path / "map.tif") as dataset:
        np.testing.assert_array_equal(dataset.read(1), pixels)
        assert (dataset.crs, dataset.transform) == (CRS.from_epsg(32633), UTM)
        assert dataset.nodata == 255
    assert class_table(tmp_path / "map.tif") == (
        ClassInfo(0, "land", "#aabbcc"),
        ClassInfo(1, "sea", "#001122"),
    )
    assert leftovers(tmp_path) == {"map.tif", "map.tif.aux.xml"}


def test_measured_values_are_written_as_they_are_with_the_names_of_their_bands(
    tmp_path: Path,
) -> None:
    values = np.random.default_rng(2).normal(size=(2, 30, 40)).astype(np.float32)
    image = xr.DataArray(values, dims=("class", "y", "x"), coords={"class": ["a", "b"]})
    write_raster(image, tmp_path / "values.tif")
    np.testing.assert_array_equal(read(tmp_path / "values.tif", None), values)
    with geoseg.open_raster(tmp_path / "values.tif") as found:
        assert found.attrs["long_name"] == ("a", "b")
        assert found.rio.crs is None
    assert leftovers(tmp_path) == {"values.tif"}


@pytest.mark.parametrize(
    "transform",
    [UTM, UTM @ Affine.rotation(30), Affine(1, 0, 5, 0, 1, 6), Affine(0.1, 0, 0, 0, -3, 0)],
)
def test_a_raster_that_is_opened_and_written_has_the_same_grid_and_pixels(
    transform: Affine, tmp_path: Path
) -> None:
    pixels = random_pixels((2, 33, 44)).astype(np.int16)
    source = write(tmp_path / "a.tif", pixels, transform=transform, names=("red", "nir"), nodata=-7)
    write_raster(geoseg.open_raster(source), tmp_path / "b.tif")
    with rasterio.open(source) as a, rasterio.open(tmp_path / "b.tif") as b:
        np.testing.assert_array_equal(a.read(), b.read())
        assert (a.crs, a.transform, a.nodata, a.descriptions) == (
            b.crs,
            b.transform,
            b.nodata,
            b.descriptions,
        )


@pytest.mark.parametrize(
    "computed",
    [
        lambda labels: labels.where(labels != 3),
        lambda labels: labels.astype("int16") - 1,
        lambda labels: labels.astype("int32") * 1000,
    ],
)
def test_what_was_computed_from_a_map_is_written_as_numbers(computed: Any, tmp_path: Path) -> None:
    labels = xr.DataArray(
        np.arange(12, dtype=np.uint8).reshape(3, 4) % 4,
        dims=("y", "x"),
        attrs={"flag_values": [0, 1, 2, 3], "category_names": ["a", "b", "c", "d"]},
    ).rio.write_transform(Affine(10, 0, 0, 0, -10, 0))
    write_raster(computed(labels), tmp_path / "numbers.tif")
    with rasterio.open(tmp_path / "numbers.tif") as file:
        np.testing.assert_array_equal(file.read(1), computed(labels).values)
    assert class_table(tmp_path / "numbers.tif") == ()


def test_flags_of_the_cf_conventions_are_classes() -> None:
    attrs = {"flag_values": np.array([1, 4], np.int8), "flag_meanings": "open_water land"}
    labels = xr.DataArray(np.ones((2, 2), np.uint8), dims=("y", "x"), attrs=attrs)
    assert [(c.value, c.name) for c in class_table(labels)] == [(1, "open_water"), (4, "land")]
    assert list(geoseg.polygonize(labels)["class_name"]) == ["open_water"]
    labels.attrs["flag_meanings"] = "one too many"
    assert class_table(labels) == ()


def test_an_existing_file_is_refused_and_stays(tmp_path: Path) -> None:
    (tmp_path / "map.tif").write_bytes(b"mine")
    with refused("map.tif exists; add --overwrite", tmp_path):
        write_raster(labels_of(np.zeros((3, 3), np.uint8)), tmp_path / "map.tif")
    assert (tmp_path / "map.tif").read_bytes() == b"mine"


def test_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with refused("cannot write into .*choose a folder that exists", tmp_path):
        write_raster(labels_of(np.zeros((3, 3), np.uint8)), tmp_path / "no" / "map.tif")


def test_a_write_that_fails_midway_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    def fail(block: NDArray[Any], block_id: tuple[int, ...]) -> NDArray[Any]:
        if block_id == (1, 1):
            raise RuntimeError("the third block is lost")
        return block

    (tmp_path / "map.tif").write_bytes(b"mine")
    pixels = dask.array.zeros((40, 40), chunks=20, dtype=np.uint8).map_blocks(fail, dtype=np.uint8)
    with pytest.raises(RuntimeError, match="the third block is lost"):
        write_raster(labels_of(pixels), tmp_path / "map.tif", overwrite=True)
    assert leftovers(tmp_path) == {"map.tif"}
    assert (tmp_path / "map.tif").read_bytes() == b"mine"


@given(
    hnp.arrays(
        np.uint8,
        hnp.array_shapes(min_dims=2, max_dims=2, max_side=7),
        elements=st.sampled_from([1, 2, 3, 255]),
    )
)
def test_an_overview_is_the_commonest_class_below_it(pixels: NDArray[np.uint8]) -> None:
    found = halve(pixels, 255)
    assert found.shape == (ceil(pixels.shape[0] / 2), ceil(pixels.shape[1] / 2))
    for (row, column), value in np.ndenumerate(found):
        below = pixels[2 * row : 2 * row + 2, 2 * column : 2 * column + 2].ravel()
        known = below[below != 255].tolist()
        if not known:
            assert value == 255
        else:
            most = max(map(known.count, known))
            assert value == next(each for each in known if known.count(each) == most)
