"""STAC Items as sources: their assets by common name, in their units, on one grid."""

from __future__ import annotations

import json
import logging
import pickle
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyproj
import pystac
import pytest
import rasterio
import xarray as xr
from affine import Affine
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from items import contents
from numpy.typing import NDArray
from pointwise import UTM, map_of, pointwise, random_pixels, read, refused, write
from pystac.validation.stac_validator import JsonSchemaSTACValidator
from rasterio.warp import Resampling, reproject, transform_bounds
from scipy import ndimage
from serving import serving
from toys import TwoLayers, segmenter_of

import geoseg
from geoseg import nets, stac
from geoseg.bands import Named, meant
from geoseg.cli import main
from geoseg.errors import UserError
from geoseg.info import describe, examine
from geoseg.inputs import size_of_scene
from geoseg.job import predict_file
from geoseg.raster import files, grid_of
from geoseg.segmenter import Segmenter

VALIDATOR = JsonSchemaSTACValidator()
BANDS = ("red", "green", "blue")
NAMES = {"red": "B04", "green": "B03", "blue": "B02", "nir": "B08"}
SMALL = 600_000  # bytes: blocks of a few windows
OPTIONS = {"in_channels": 3, "classes": 4, "widths": [8, 8]}


def described(common: str | None, form: str, **facts: Any) -> dict[str, Any]:
    """What an asset of one band says of it, by STAC 1.0 with its extensions or by STAC 1.1."""
    name = {} if common is None else {"name": NAMES[common]}
    if form == "1.0":
        named = {} if common is None else {"eo:bands": [{**name, "common_name": common}]}
        return {**named, **({"raster:bands": [facts]} if facts else {})}
    stated = {k if k == "nodata" else f"raster:{k}": value for k, value in facts.items()}
    known = {} if common is None else {"eo:common_name": common}
    return {"bands": [{**name, **known, **stated}]}


def item_of(
    name: str, files: Mapping[str, tuple[Path | str, Mapping[str, Any]]], **facts: Any
) -> pystac.Item:
    """An item whose assets are files, each with what is said of it."""
    item = pystac.Item(
        name,
        geometry=None,
        bbox=None,
        datetime=datetime(2024, 6, 1, tzinfo=UTC),
        properties=facts,
    )
    for key, (href, said) in files.items():
        asset = pystac.Asset(str(href), media_type=pystac.MediaType.COG, roles=["data"])
        asset.extra_fields.update(said)
        item.add_asset(key, asset)
    return item


def saved(item: pystac.Item, path: Path, **changes: Any) -> Path:
    """An item as a file, which does not say its own address."""
    facts = item.to_dict(include_self_link=False) | changes
    path.write_text(json.dumps(facts), encoding="utf-8")
    return path


def bands_in(
    folder: Path, pixels: NDArray[Any], bands: Sequence[str] = BANDS, **profile: Any
) -> dict[str, Path]:
    """One file for each band, named as the satellite's are."""
    folder.mkdir(exist_ok=True)
    return {
        band: write(folder / f"{NAMES[band]}.tif", values[None], **profile)
        for band, values in zip(bands, pixels, strict=True)
    }


def scene(
    folder: Path, pixels: NDArray[Any], form: str = "1.0", said: Any = None, **profile: Any
) -> Path:
    """A folder with an item, whose assets are beside it."""
    files = bands_in(folder, pixels, **profile)
    assets = {
        NAMES[band]: (f"./{path.name}", described(band, form, **(said or {})))
        for band, path in files.items()
    }
    return saved(item_of(folder.name, assets), folder / "item.json")


def values_of(image: xr.DataArray) -> NDArray[np.float32]:
    return np.asarray(image.values)


def changed(path: Path, change: Callable[[dict[str, Any]], Any]) -> Path:
    """An item, after something was done to its JSON."""
    facts = json.loads(path.read_text())
    change(facts)
    path.write_text(json.dumps(facts), encoding="utf-8")
    return path


@pytest.fixture
def model() -> Segmenter:
    return pointwise(3)


# One item


@pytest.mark.parametrize("form", ["1.0", "1.1"])
def test_an_item_gives_the_map_of_its_rasters_as_a_stack(
    tmp_path: Path, model: Segmenter, form: str
) -> None:
    pixels = random_pixels((3, 150, 130)).astype(np.uint16)
    pixels[:, :40, :50] = 0
    item = scene(tmp_path / "S2", pixels[[2, 0, 1]], form, {"nodata": 0}, nodata=0)
    # Bands were written in another order than named: B04 holds what was third.
    rasters = [tmp_path / "S2" / f"{NAMES[band]}.tif" for band in BANDS]
    for folder in ("by_item", "by_stack"):
        (tmp_path / folder).mkdir()
    predict_file(item, tmp_path / "by_item" / "map.tif", model, memory=SMALL)
    predict_file(rasters, tmp_path / "by_stack" / "map.tif", model, bands=[1, 2, 3])
    expected = map_of(np.where(pixels == 0, np.nan, pixels)[[2, 0, 1]])
    found = read(tmp_path / "by_item" / "map.tif")
    np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(found, read(tmp_path / "by_stack" / "map.tif"))


@pytest.mark.parametrize("form", ["1.0", "1.1"])
def test_values_are_what_the_item_says_of_them(tmp_path: Path, form: str) -> None:
    """As Sentinel-2 since baseline 04.00: reflectance is stored * 0.0001 - 0.1, 0 is no data."""
    stored = np.random.default_rng(1).integers(0, 12_000, (3, 40, 50)).astype(np.uint16)
    stored[:, 5:9, 7:20] = 0
    said = {"scale": 0.0001, "offset": -0.1, "nodata": 0}
    image = geoseg.open_stac(scene(tmp_path / "S2", stored, form, said))
    expected = stored.astype(np.float32) * np.float32(0.0001) + np.float32(-0.1)
    np.testing.assert_array_equal(
        values_of(image.sel(band=[1, 2, 3])), np.where(stored == 0, np.nan, expected)
    )
    assert image.attrs["long_name"] == BANDS
    assert image.dtype == np.float32
    assert np.isnan(image.rio.nodata)
    assert (image.rio.crs, image.rio.transform()) == (rasterio.CRS.from_epsg(32633), UTM)
    assert image.name == "S2"


def test_scale_and_offset_of_the_file_count_once_beside_those_of_the_item(tmp_path: Path) -> None:
    stored = random_pixels((3, 20, 30)).astype(np.uint16)
    item = scene(tmp_path / "S2", stored, said={"scale": 0.5, "offset": -2})
    for path in (tmp_path / "S2").glob("*.tif"):
        with rasterio.open(path, "r+") as dataset:
            dataset.scales, dataset.offsets = (0.5,), (-2.0,)
    np.testing.assert_array_equal(values_of(geoseg.open_stac(item)), stored * 0.5 - 2)
    silent = changed(item, lambda facts: [a.pop("raster:bands") for a in facts["assets"].values()])
    np.testing.assert_array_equal(values_of(geoseg.open_stac(silent)), stored * 0.5 - 2)


def test_scaled_items_give_the_map_of_rasters_that_are_scaled_so(
    tmp_path: Path, model: Segmenter
) -> None:
    stored = (random_pixels((3, 150, 130)).astype(np.uint16) + 100) * 8
    stored[:, :30] = 0
    item = scene(tmp_path / "S2", stored, "1.1", {"scale": 0.125, "offset": -100, "nodata": 0})
    predict_file(item, tmp_path / "map.tif", model)
    values = np.where(stored == 0, np.nan, stored / 8 - 100)
    np.testing.assert_array_equal(read(tmp_path / "map.tif"), map_of(values))


def test_nan_may_be_the_nodata_value_that_an_item_states(tmp_path: Path, model: Segmenter) -> None:
    pixels = random_pixels((3, 40, 30)).astype(np.float32)
    pixels[:, :9] = np.nan
    item = scene(tmp_path / "S2", pixels, "1.1", {"nodata": "nan"})
    predict_file(item, tmp_path / "map.tif", model)
    np.testing.assert_array_equal(read(tmp_path / "map.tif"), map_of(pixels))
    sources = examine(tmp_path / "map.tif")["made"]["sources"]
    told = {"asset": "B04", "scaling": None, "nodata": "nan"}
    assert sources[0] == {"name": "S2", "item": "item.json", "bands": sources[0]["bands"]}
    assert sources[0]["bands"]["red"] == told


@pytest.mark.parametrize("bands", [None, ["B02", "B03", "B04"]])
def test_info_names_the_bands_of_items_and_the_tags_number_them(
    tmp_path: Path, model: Segmenter, bands: list[str] | None
) -> None:
    item = scene(tmp_path / "S2", random_pixels((3, 40, 30)).astype(np.uint8))
    predict_file(item, tmp_path / "map.tif", model, bands=bands)
    facts = examine(tmp_path / "map.tif")
    assert facts["made"]["options"]["bands"] == ["1", "2", "3"]
    names = json.dumps(bands or ["red", "green", "blue"])
    assert f"\nOptions    bands {names}\n" in describe(facts)


@settings(max_examples=40)
@given(
    st.sampled_from(["uint8", "uint16", "int16", "float32", "int32"]),
    st.sampled_from([None, 0, -9999, 255, "nan", 7.5]),
    st.sampled_from([None, (0.0001, -0.1), (2, 0), (1, 5)]),
    st.integers(0, 100),
)
def test_any_scale_offset_and_nodata_of_any_type_of_pixels(
    tmp_path_factory: pytest.TempPathFactory,
    dtype: str,
    nodata: float | str | None,
    scaling: tuple[float, float] | None,
    seed: int,
) -> None:
    folder = tmp_path_factory.mktemp("any")
    stored = random_pixels((1, 6, 7), seed).astype(dtype)
    stored[0, 0, :3] = 0
    if nodata in (-9999, 7.5) and dtype != "uint8" and (nodata != 7.5 or dtype == "float32"):
        stored[0, 1, :3] = 100 if dtype == "uint16" else nodata
    said = {} if scaling is None else {"scale": scaling[0], "offset": scaling[1]}
    said |= {} if nodata is None else {"nodata": nodata}
    path = write(folder / "B04.tif", stored)
    image = geoseg.open_stac(item_of("any", {"B04": (path, described("red", "1.0", **said))}))
    scale, offset = np.array(scaling or (1, 0), np.float32)
    expected = stored.astype(np.float32) * scale + offset
    if isinstance(nodata, int | float):
        expected[stored.astype(np.float64) == nodata] = np.nan
    np.testing.assert_array_equal(values_of(image), expected)


def test_bands_of_other_pixel_sizes_are_read_on_the_finest_grid(tmp_path: Path) -> None:
    fine, coarse = random_pixels((2, 60, 80)).astype(np.uint8), random_pixels((1, 30, 40), 3)
    wide = Affine(20.0, 0.0, UTM.c, 0.0, -20.0, UTM.f)
    write(tmp_path / "red.tif", fine[:1])
    write(tmp_path / "green.tif", fine[1:])
    write(tmp_path / "blue.tif", coarse.astype(np.uint8), transform=wide)
    files = {band: (f"{band}.tif", described(band, "1.0")) for band in ("blue", "green", "red")}
    item = saved(item_of("sizes", files), tmp_path / "item.json")
    image = geoseg.open_stac(item, bands=BANDS[::-1])
    assert image.rio.transform() == UTM
    assert image.shape == (3, 60, 80)
    stack = geoseg.open_stack([tmp_path / f"{band}.tif" for band in BANDS])
    np.testing.assert_array_equal(values_of(image), values_of(stack)[::-1])
    windows = [image[:, r : r + 7, c : c + 9].values for r in (0, 21, 53) for c in (0, 35, 71)]
    whole = values_of(image)
    expected = [whole[:, r : r + 7, c : c + 9] for r in (0, 21, 53) for c in (0, 35, 71)]
    for window, own in zip(windows, expected, strict=True):
        np.testing.assert_array_equal(window, own)


def test_bands_of_one_asset_are_read_from_it(tmp_path: Path) -> None:
    pixels = random_pixels((4, 20, 30)).astype(np.uint8)
    write(tmp_path / "image.tif", pixels)
    named = [{"name": NAMES[b], "common_name": b} for b in ("red", "green", "blue", "nir")]
    item = item_of("naip", {"image": (tmp_path / "image.tif", {"eo:bands": named})})
    image = geoseg.open_stac(item, bands=["nir", "B03", "image:1"])
    np.testing.assert_array_equal(values_of(image), pixels[[3, 1, 0]])
    np.testing.assert_array_equal(values_of(image[1]), pixels[1])
    np.testing.assert_array_equal(values_of(geoseg.open_stac(item)), pixels)


def test_an_alpha_band_that_the_item_names_is_data(tmp_path: Path) -> None:
    """GDAL takes the fourth band of such files for alpha."""
    pixels = random_pixels((4, 20, 30)).astype(np.uint8)
    pixels[3, :9] = 0
    path = write(tmp_path / "image.tif", pixels, photometric="RGB", alpha="YES")
    named = [{"name": NAMES[b], "common_name": b} for b in ("red", "green", "blue", "nir")]
    item = item_of("naip", {"image": (path, {"eo:bands": named})})
    np.testing.assert_array_equal(values_of(geoseg.open_stac(item)), pixels)
    np.testing.assert_array_equal(values_of(geoseg.open_stac(item, ["red"])), pixels[:1])
    with pytest.raises(UserError, match="an alpha band that is named as data; say what it is"):
        geoseg.open_stac(item, crs="EPSG:32632")
    del named[3]
    item = item_of("naip", {"image": (path, {"eo:bands": named})})
    expected = np.where(pixels[3] == 0, np.nan, pixels[:3])
    np.testing.assert_array_equal(values_of(geoseg.open_stac(item)), expected)


def test_a_file_of_more_bands_than_the_item_names_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "B04.tif", random_pixels((3, 4, 5)).astype(np.uint16))
    said = described("red", "1.0")
    with refused(r"B04\.tif has 3 bands and its item names 1; correct the item", tmp_path):
        geoseg.open_stac(item_of("many", {"B04": (path, said)}))
    with refused("item many has no band 'B04:2'; it has B04", tmp_path):
        geoseg.open_stac(item_of("many", {"B04": (path, said)}), ["B04:2"])


def test_bands_that_an_item_does_not_list_are_named_by_number(
    tmp_path: Path, model: Segmenter
) -> None:
    pixels = random_pixels((4, 20, 30)).astype(np.uint8)
    pixels[3, :9] = 0
    path = write(tmp_path / "image.tif", pixels, photometric="RGB", alpha="YES")
    item = saved(item_of("photo", {"visual": (path, {"raster:scale": 0.5})}), tmp_path / "i.json")
    expected = np.where(pixels[3] == 0, np.nan, pixels[:3] * np.float32(0.5))
    image = geoseg.open_stac(item, ["visual:3", "VISUAL:1"])
    np.testing.assert_array_equal(values_of(image), expected[[2, 0]])
    every = geoseg.open_stac(item, ["visual:1", "visual:4"])  # alpha that is named is data
    np.testing.assert_array_equal(values_of(every), pixels[[0, 3]] * np.float32(0.5))
    bands = ["visual:2", "visual:1", "visual:3"]
    result = predict_file(item, tmp_path / "map.tif", model, bands=bands)
    np.testing.assert_array_equal(read(tmp_path / "map.tif"), map_of(expected[[1, 0, 2]]))
    first, *_ = json.loads(result.outputs["item"].read_text())["properties"]["geoseg:sources"]
    assert [each["asset"] for each in first["bands"].values()] == bands


@pytest.mark.parametrize(
    ("bands", "message"),
    [
        (["visual:4"], r"image\.tif has 3 band\(s\) and no visual:4; .* visual:3, say"),
        (["visual:2", "visual"], r"image\.tif has 3 bands and its item lists none; .*visual:1"),
        (["visual"], r"image\.tif has 3 bands and its item lists none; .*visual:1"),
        (["visual:0"], "has no band 'visual:0'"),
        (["visual:x"], "has no band 'visual:x'"),
        (["other:1"], "has no band 'other:1'"),
    ],
)
def test_bands_by_number_that_are_not_there_are_refused(
    tmp_path: Path, bands: list[str], message: str
) -> None:
    path = write(tmp_path / "image.tif", random_pixels((3, 4, 5)).astype(np.uint8))
    with refused(message, tmp_path):
        geoseg.open_stac(item_of("photo", {"visual": (path, {})}), bands)


def test_bands_are_found_as_catalogues_name_them(tmp_path: Path) -> None:
    """One common name for two bands, a picture of three, a copy in another format."""
    values = {"blue": 1, "red": 2, "red-jp2": 3, "nir": 4, "nir08": 5, "rededge1": 6, "rededge2": 7}
    files = {
        key: (
            write(tmp_path / f"{key}.tif", np.full((1, 4, 5), value, np.uint8)),
            {"eo:bands": [{"name": key, "common_name": key.removesuffix("-jp2").rstrip("12")}]},
        )
        for key, value in values.items()
    }
    picture = write(tmp_path / "visual.tif", np.full((3, 4, 5), 9, np.uint8))
    files["visual"] = (picture, {"eo:bands": [{"common_name": each} for each in BANDS]})
    files["scl"] = (write(tmp_path / "scl.tif", np.full((1, 4, 5), 8, np.uint8)), {})
    item = item_of("s2", files)
    item.add_asset("thumbnail", pystac.Asset("x.jpg", media_type="image/jpeg", roles=["thumbnail"]))

    def found(*bands: str) -> list[int]:
        return values_of(geoseg.open_stac(item, bands=bands))[:, 0, 0].tolist()

    assert found("red", "nir", "blue") == [2, 4, 1]
    assert found("B04", "B08", "nir08") == [2, 4, 5]
    assert found("red-jp2", "rededge2", "scl", "visual:3") == [3, 7, 8, 9]
    with pytest.raises(UserError, match=r"2 assets for band 'rededge': rededge1 .*, rededge2 "):
        found("rededge")
    every = geoseg.open_stac(item)
    assert every.attrs["long_name"] == (
        "blue",
        "red",
        "nir",
        "nir08",
        "rededge1",
        "rededge2",
        "green",
    )


@given(st.permutations(["red", "green", "blue", "nir", "swir16"]))
def test_common_names_are_found_in_any_order(names: list[str]) -> None:
    bands = [Named(name, (f"asset{i}",)) for i, name in enumerate(names)]
    assert [meant(name, bands) for name in names] == [[i] for i in range(5)]


def test_a_band_that_says_to_be_another_is_not_taken_for_what_it_is_called() -> None:
    assert meant("red", [Named("nir", ("red",))]) == []
    assert meant("red", [Named("", ("B04",))]) == [0]


# Where assets are


def test_addresses_of_assets_are_relative_to_the_item(tmp_path: Path) -> None:
    pixels = random_pixels((3, 20, 30)).astype(np.uint8)
    item = scene(tmp_path / "a b", pixels)
    deep = tmp_path / "items"
    deep.mkdir()

    def move(facts: dict[str, Any]) -> None:
        for asset, prefix in zip(facts["assets"].values(), ("../a%20b", "../a b"), strict=False):
            asset["href"] = f"{prefix}/{asset['href']}"
        last = facts["assets"]["B02"]
        last["href"] = (tmp_path / "a b" / "B02.tif").as_uri().replace("%20", " ")

    there = deep / "item.json"
    there.write_text(item.read_text())
    image = geoseg.open_stac(changed(there, move))
    np.testing.assert_array_equal(values_of(image), pixels)
    found = pystac.Item.from_file(str(item))
    np.testing.assert_array_equal(values_of(geoseg.open_stac(found)), pixels)
    np.testing.assert_array_equal(values_of(geoseg.open_stac([found.to_dict()])), pixels)


def test_items_are_read_from_a_server_and_so_are_their_assets(
    tmp_path: Path, model: Segmenter
) -> None:
    pixels = random_pixels((3, 150, 130)).astype(np.uint8)
    scene(tmp_path / "S2", pixels)
    here = tmp_path / "here"
    here.mkdir()
    with serving(tmp_path) as address:
        source = f"{address}/S2/item.json?sig=secret"
        predict_file(source, here / "map.tif", model)
        item = json.loads((here / "map.tif.json").read_text())
        with pytest.raises(
            UserError, match=r"^http\S+other\.json cannot be read: .*\(HTTP 404\)"
        ) as caught:
            geoseg.open_stac(f"{address}/S2/other.json?sig=secret")
    assert "secret" not in str(caught.value) + (here / "map.tif.json").read_text()
    np.testing.assert_array_equal(read(here / "map.tif"), map_of(pixels))
    (link,) = item["links"]
    assert link["href"] == f"{address}/S2/item.json"
    first, *files = item["properties"]["geoseg:sources"]
    assert first["item"] == f"{address}/S2/item.json"
    assert all({"size", "etag"} <= each.keys() for each in files)
    assert [each["name"] for each in files] == [f"{address}/S2/{NAMES[b]}.tif" for b in BANDS]


@pytest.mark.parametrize(
    "href",
    [
        "file:///etc/B04.tif",
        "ftp://there/B04.tif",
        "/vsistdin/",
        "C:\\B04.tif",
        "/vsizip/a.zip/b.tif",
    ],
)
def test_an_item_of_a_server_names_no_files_of_this_machine(tmp_path: Path, href: str) -> None:
    item = scene(tmp_path / "S2", random_pixels((3, 4, 5)).astype(np.uint8))
    changed(item, lambda facts: facts["assets"]["B04"].update(href=href))
    with serving(tmp_path) as address, pytest.raises(UserError, match="reads no assets"):
        geoseg.open_stac(f"{address}/S2/item.json")


def test_an_absolute_path_in_an_item_of_a_server_is_one_of_the_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "PAUSES", ())
    item = scene(tmp_path / "S2", random_pixels((3, 4, 5)).astype(np.uint8))
    local = str(tmp_path / "S2" / "B04.tif")
    changed(item, lambda facts: facts["assets"]["B04"].update(href=local))
    together = {"type": "FeatureCollection", "features": [json.loads(item.read_text())]}
    together["features"][0]["links"] = [{"rel": "self", "href": str(item)}]
    (tmp_path / "S2" / "all.json").write_text(json.dumps(together))
    with serving(tmp_path) as address:
        for name in ("item.json", "all.json"):
            with pytest.raises(UserError, match=r"http://127.*cannot be opened"):
                geoseg.open_stac(f"{address}/S2/{name}", bands=["B04"])


# Several items


def overlapping(folder: Path) -> tuple[list[Path], NDArray[np.float64], NDArray[np.float64]]:
    """Two scenes of one lattice, the second further south-east; what each has on both."""
    first, second = (random_pixels((3, 90, 80), seed).astype(np.uint16) for seed in (1, 2))
    first[:, 60:, 50:], second[:, 20:30, 20:30] = 0, 0
    moved = UTM @ Affine.translation(40, 30)
    said = {"nodata": 0}
    items = [
        scene(folder / "one", first, said=said),
        scene(folder / "two", second, said=said, transform=moved),
    ]
    both = np.full((2, 3, 120, 120), np.nan)
    both[0, :, :90, :80] = np.where(first == 0, np.nan, first)
    both[1, :, 30:, 40:] = np.where(second == 0, np.nan, second)
    return items, both[0], both[1]


def test_the_first_item_with_data_wins(tmp_path: Path) -> None:
    items, one, two = overlapping(tmp_path)
    image = geoseg.open_stac(items)
    np.testing.assert_array_equal(values_of(image), np.where(np.isnan(one), two, one))
    assert image.rio.transform() == UTM
    swapped = geoseg.open_stac(items[::-1])
    np.testing.assert_array_equal(values_of(swapped), np.where(np.isnan(two), one, two))
    assert swapped.rio.transform() == UTM


def collection(items: Sequence[Path], path: Path) -> Path:
    """Items as one file; each says where its assets are."""
    found = [pystac.Item.from_file(str(item)) for item in items]
    for each in found:
        each.make_asset_hrefs_absolute()
    together = pystac.ItemCollection(found)
    together.save_object(str(path))
    np.testing.assert_array_equal(
        values_of(geoseg.open_stac(together)), values_of(geoseg.open_stac(items))
    )
    return path


def test_a_collection_is_one_scene_whatever_the_blocks(tmp_path: Path, model: Segmenter) -> None:
    items, one, two = overlapping(tmp_path)
    source = collection(items, tmp_path / "found.json")
    predict_file(source, tmp_path / "map.tif", model, window=32, memory=SMALL)
    np.testing.assert_array_equal(
        read(tmp_path / "map.tif"), map_of(np.where(np.isnan(one), two, one))
    )
    item = json.loads((tmp_path / "map.tif.json").read_text())
    assert [(each["rel"], each["href"], each["title"]) for each in item["links"]] == [
        ("derived_from", "one/item.json", "one"),
        ("derived_from", "two/item.json", "two"),
    ]


def test_a_collection_is_as_large_as_its_mosaic_and_an_item_alone_is_not_opened_for_it(
    tmp_path: Path, model: Segmenter
) -> None:
    items, one, _ = overlapping(tmp_path)
    source = collection(items, tmp_path / "found.json")
    names = model.card.bands
    assert size_of_scene(str(source), names) == one[0].size
    assert size_of_scene(str(items[0]), names) == 0
    raster = write(tmp_path / "scene.tif", random_pixels((3, 20, 30)))
    assert size_of_scene(str(raster), names) == 600


# When it was taken


def properties_of(folder: Path, *times: Mapping[str, Any]) -> dict[str, Any]:
    """What the item of a map says that is made of items side by side with these times."""
    pixels = random_pixels((3, 20, 30)).astype(np.uint8)
    items = [
        scene(folder / str(i), pixels, transform=UTM @ Affine.translation(30 * i, 0))
        for i in range(len(times))
    ]
    source = collection(items, folder / "found.json")

    def state(facts: dict[str, Any]) -> None:
        for each, stated in zip(facts["features"], times, strict=True):
            each["properties"].update(stated)

    changed(source, state)
    predict_file(source, folder / "map.tif", pointwise(3))
    item = json.loads((folder / "map.tif.json").read_text())
    VALIDATOR.validate_core(item, pystac.STACObjectType.ITEM, "1.1.0")
    facts: dict[str, Any] = item["properties"]
    return facts


NONE, JUNE = {"datetime": None}, {"datetime": "2024-06-01T10:00:00Z"}
SPAN = {"start_datetime": "2024-05-31T23:30:00-02:00", "end_datetime": "2024-06-03T00:00:00.5Z"}
IN_UTC = {"start_datetime": "2024-06-01T01:30:00Z", "end_datetime": "2024-06-03T00:00:00.500000Z"}
DAYS = {"start_datetime": "2024-06-01T10:00:00Z", "end_datetime": "2024-06-05T00:00:00Z"}


@pytest.mark.parametrize(
    ("stated", "expected"),
    [
        ([JUNE], JUNE),
        ([JUNE | SPAN], JUNE | IN_UTC),
        ([NONE | SPAN], NONE | IN_UTC),
        ([{"datetime": "2024-06-01 12:00:00+02:00"}], JUNE),
        ([JUNE, JUNE], JUNE),
        ([{"datetime": "2024-06-05T00:00:00Z"}, JUNE], NONE | DAYS),
        ([NONE | SPAN, {"datetime": "2024-06-02T00:00:00Z"}], NONE | IN_UTC),
    ],
)
def test_the_item_of_a_map_has_the_time_of_the_imagery(
    tmp_path: Path, stated: list[dict[str, Any]], expected: dict[str, Any]
) -> None:
    facts = properties_of(tmp_path, *stated)
    assert {name: facts[name] for name in facts if name.endswith("datetime")} == {
        **expected,
        "processing:datetime": facts["created"],
    }
    assert facts["created"] > "2025"
    taken = [value for name, value in expected.items() if name != "datetime"]
    taken = taken or [expected["datetime"]]
    assert f"Imagery    of {' to '.join(taken)}\n" in describe(examine(tmp_path / "map.tif"))


@pytest.mark.parametrize(
    "stated",
    [
        [NONE],
        [JUNE, NONE],  # a span that leaves the second out would be wrong
        [{"datetime": "yesterday"}],
        [{"datetime": 20240601}],
        [{"datetime": "0001-01-01T00:00:00+10:00"}],
        [NONE | {"start_datetime": "2024-06-02T00:00:00Z"}],
        [NONE | {"start_datetime": "2024-06-02T00:00:00Z", "end_datetime": "2024-06-01T00:00:00Z"}],
    ],
)
def test_where_a_time_is_not_known_of_all_items_that_of_the_run_is_told(
    tmp_path: Path, stated: list[dict[str, Any]]
) -> None:
    facts = properties_of(tmp_path, *stated)
    assert facts["datetime"] == facts["created"] == facts["processing:datetime"]
    assert "start_datetime" not in facts
    assert "Imagery" not in describe(examine(tmp_path / "map.tif"))


def test_another_time_of_the_same_imagery_is_told_by_another_map(
    tmp_path: Path, model: Segmenter
) -> None:
    item = scene(tmp_path / "S2", random_pixels((3, 20, 30)).astype(np.uint8))
    predict_file(item, tmp_path / "map.tif", model)
    assert predict_file(item, tmp_path / "map.tif", model, skip_done=True).computed == 0
    changed(item, lambda facts: facts["properties"].update(datetime="2024-06-02T00:00:00Z"))
    predict_file(item, tmp_path / "map.tif", model, skip_done=True, overwrite=True)
    facts = json.loads((tmp_path / "map.tif.json").read_text())["properties"]
    assert facts["datetime"] == "2024-06-02T00:00:00Z"


def test_items_of_one_file_are_linked_to_once(tmp_path: Path, model: Segmenter) -> None:
    items, _, _ = overlapping(tmp_path)
    source = collection(items, tmp_path / "found.json")

    def forget_where(facts: dict[str, Any]) -> None:
        for each in facts["features"]:
            each["links"] = []

    changed(source, forget_where)
    predict_file(source, tmp_path / "map.tif", model)
    assert json.loads((tmp_path / "map.tif.json").read_text())["links"] == [
        {
            "rel": "derived_from",
            "href": "found.json",
            "type": "application/geo+json",
            "title": "2 items",
        }
    ]


def field_on(crs: Any, transform: Affine, shape: tuple[int, int]) -> NDArray[np.float64]:
    """A plane over longitude and latitude, at the centres of pixels."""
    columns, rows = np.meshgrid(np.arange(shape[1]) + 0.5, np.arange(shape[0]) + 0.5)
    to_degrees = pyproj.Transformer.from_crs(crs, "EPSG:4326", always_xy=True)
    lon, lat = to_degrees.transform(*(transform @ (columns, rows)))
    return np.asarray(1000 * (lon - 11) + 3000 * (lat - 50))


def test_items_of_two_zones_are_warped_to_the_first(tmp_path: Path) -> None:
    """A field that is smooth in degrees, in the zones that meet at 12 degrees east."""
    west = Affine(100.0, 0.0, 708_000.0, 0.0, -100.0, 5_600_000.0)
    box = transform_bounds("EPSG:32632", "EPSG:32633", 708_000, 5_594_000, 715_000, 5_600_000)
    east = Affine(100.0, 0.0, round(box[0], -2) + 3_000, 0.0, -100.0, round(box[3], -2) - 500)
    images = {}
    for name, crs, transform in (("a", "EPSG:32632", west), ("b", "EPSG:32633", east)):
        field = field_on(crs, transform, (60, 70)).astype(np.float32)
        images[name] = scene(tmp_path / name, np.stack([field] * 3), crs=crs, transform=transform)
    image = geoseg.open_stac([images["a"], images["b"]])
    assert image.rio.crs.to_epsg() == 32632
    # pixels of the first item are its own, to the last bit
    grid = grid_of(image)
    top, left = (round(each) for each in (~grid.transform @ (west.c, west.f))[::-1])
    with rasterio.open(tmp_path / "a" / "B04.tif") as dataset:
        np.testing.assert_array_equal(
            values_of(image)[0, top : top + 60, left : left + 70], dataset.read(1)
        )
    # those of the second are what the field is there
    field = field_on(grid.crs, grid.transform, image.shape[1:])
    found = values_of(image)[0]
    has = ndimage.binary_erosion(~np.isnan(found), iterations=2)  # beyond centres it is flat
    assert has.sum() > 5_000
    assert np.abs(found - field)[has].max() < 0.3  # the field rises by 2 to 3 from pixel to pixel
    # the other way round, and in a system and a size of ours
    assert geoseg.open_stac([images["b"], images["a"]]).rio.crs.to_epsg() == 32633
    coarse = geoseg.open_stac(images["a"], crs="EPSG:3035", resolution=200)
    assert coarse.rio.crs.to_epsg() == 3035
    assert coarse.rio.resolution() == (200, -200)
    found, expected = values_of(coarse)[0], warped(tmp_path / "a" / "B04.tif", grid_of(coarse))
    np.testing.assert_allclose(found, expected, atol=0.5)  # of 5 to 6 from pixel to pixel


def warped(path: Path, grid: Any) -> NDArray[np.float32]:
    """A file on another grid, by rasterio's own function for arrays."""
    target = np.full(grid.shape, np.nan, np.float32)
    with rasterio.open(path) as dataset:
        reproject(
            rasterio.band(dataset, 1),
            target,
            dst_transform=grid.transform,
            dst_crs=grid.crs,
            dst_nodata=np.nan,
            resampling=Resampling.bilinear,
        )
    return target


def test_warped_pixels_do_not_depend_on_windows(tmp_path: Path) -> None:
    item = scene(tmp_path / "S2", random_pixels((3, 300, 280)).astype(np.uint8))
    image = geoseg.open_stac(item, crs="EPSG:32632", resolution=12)
    whole = values_of(image)
    rng = np.random.default_rng(0)
    for _ in range(20):
        row, column = rng.integers(0, whole.shape[1] - 40), rng.integers(0, whole.shape[2] - 40)
        tall, wide = rng.integers(1, 40, 2)
        window = np.s_[:, row : row + tall, column : column + wide]
        np.testing.assert_array_equal(image[window].values, whole[window])


def test_items_of_two_baselines_keep_their_own_offsets(tmp_path: Path) -> None:
    before, after = (random_pixels((3, 30, 40), seed).astype(np.uint16) + 1000 for seed in (1, 2))
    items = [
        scene(tmp_path / "old", before, said={"scale": 0.5}),
        scene(tmp_path / "new", after, said={"scale": 0.5, "offset": -500},
              transform=UTM @ Affine.translation(0, 30)),
    ]  # fmt: skip
    expected = np.concatenate([before * 0.5, after * 0.5 - 500], axis=1)
    np.testing.assert_array_equal(values_of(geoseg.open_stac(items)), expected)


@pytest.mark.filterwarnings("ignore:The 'shapely:DeprecationWarning")
def test_the_mosaic_is_that_of_odc_stac(tmp_path: Path) -> None:
    """On one lattice nothing is resampled, so both must give the same pixels."""
    odc = pytest.importorskip("odc.stac", reason="needs the extra geoseg[stac]")
    items, _, _ = overlapping(tmp_path)
    found = [pystac.Item.from_file(str(item)) for item in items]
    for each in found:
        each.make_asset_hrefs_absolute()
        each.properties["proj:code"] = "EPSG:32633"
        each.geometry = {"type": "Point", "coordinates": [15, 50]}
        each.bbox = [15, 50, 15, 50]
        with rasterio.open(each.assets["B04"].href) as dataset:
            for asset in each.assets.values():
                asset.extra_fields["proj:shape"] = list(dataset.shape)
                asset.extra_fields["proj:transform"] = list(dataset.transform)[:6]
        each.stac_extensions.append(
            "https://stac-extensions.github.io/projection/v2.0.0/schema.json"
        )
    stack = odc.load(found, bands=["B04", "B03", "B02"], chunks={}, nodata=0, groupby="solar_day")
    other = stack.isel(time=0).to_array("band")
    ours = geoseg.open_stac(items)
    assert other.rio.transform() == ours.rio.transform()
    np.testing.assert_array_equal(np.nan_to_num(values_of(ours)), other.values)
    labels = geoseg.predict(other.rio.write_nodata(0), pointwise(3))
    np.testing.assert_array_equal(labels.values, map_of(values_of(ours)))


def test_an_image_of_items_goes_to_other_processes(tmp_path: Path) -> None:
    items, one, two = overlapping(tmp_path)
    image = pickle.loads(pickle.dumps(geoseg.open_stac(items)))  # noqa: S301
    np.testing.assert_array_equal(values_of(image), np.where(np.isnan(one), two, one))


def test_items_are_classified_lazily_from_python(tmp_path: Path, model: Segmenter) -> None:
    items, one, two = overlapping(tmp_path)
    labels = geoseg.predict(geoseg.open_stac(items), model, window=32)
    np.testing.assert_array_equal(labels.values, map_of(np.where(np.isnan(one), two, one)))


def test_units_are_changed_lazily(tmp_path: Path, model: Segmenter) -> None:
    stored = random_pixels((3, 150, 130)).astype(np.uint16)
    item = scene(tmp_path / "S2", stored, said={"scale": 2**-10})
    with xr.set_options(keep_attrs=True):
        image = geoseg.open_stac(item, bands=BANDS[::-1]).chunk(x=64, y=64) * 1024
    labels = geoseg.predict(image, model)
    np.testing.assert_array_equal(labels.values, map_of(stored))


# Runs


def test_a_run_goes_on_and_knows_its_items(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = segmenter_of(TwoLayers())
    pixels = random_pixels((3, 160, 140)).astype(np.uint8)
    item = scene(tmp_path / "S2", pixels)
    out = [tmp_path / name for name in ("whole", "broken")]
    for each in out:
        each.mkdir()
    small: dict[str, Any] = {"memory": SMALL, "window": 32}
    whole = predict_file(item, out[0] / "map.tif", model, **small)

    class Enough(Exception):  # noqa: N818
        pass

    def stop(event: Mapping[str, Any]) -> None:
        if event["event"] == "progress" and event["done"] >= 2:
            raise Enough

    with pytest.raises(Enough):
        predict_file(item, out[1] / "map.tif", model, on_progress=stop, **small)
    went_on = predict_file(item, out[1] / "map.tif", model, **small)
    assert 0 < went_on.computed < whole.computed
    assert contents(out[0]) == contents(out[1])
    assert predict_file(item, out[1] / "map.tif", model, skip_done=True, **small).computed == 0
    # Another meaning of the same values is another input.
    changed(item, lambda facts: facts["assets"]["B04"].update({"raster:bands": [{"offset": 100}]}))
    again = predict_file(item, out[1] / "map.tif", model, skip_done=True, overwrite=True, **small)
    assert again.computed == whole.computed


def test_the_command_line_takes_items_and_info_tells_of_them(tmp_path: Path) -> None:
    made = segmenter_of(nets.build("unet", **OPTIONS), architecture="unet", options=OPTIONS)
    made.save(tmp_path / "model.safetensors")
    pixels = random_pixels((3, 150, 130)).astype(np.uint8)
    item, other = scene(tmp_path / "S2", pixels), scene(tmp_path / "S3", pixels)
    other = other.rename(tmp_path / "S3" / "other.json")
    words = [
        "predict",
        str(item),
        str(tmp_path / "map.tif"),
        "-m",
        str(tmp_path / "model.safetensors"),
    ]
    told = CliRunner().invoke(main, words)
    assert told.exit_code == 0, told.output
    image = geoseg.open_stack([tmp_path / "S2" / f"{NAMES[b]}.tif" for b in BANDS])
    image.attrs["long_name"] = BANDS
    np.testing.assert_array_equal(read(tmp_path / "map.tif"), geoseg.predict(image, made).values)
    lines = describe(examine(tmp_path / "map.tif"))
    assert "S2, item item.json" in lines
    # several items are several scenes
    words = [
        "predict",
        str(item),
        str(other),
        f"{tmp_path}/maps/",
        *words[3:],
        "--bands",
        "B04,B03,B02",
    ]
    told = CliRunner().invoke(main, words)
    assert told.exit_code == 0, told.output
    for name in ("item", "other"):
        np.testing.assert_array_equal(
            read(tmp_path / "maps" / f"{name}.tif"), read(tmp_path / "map.tif")
        )


def test_nothing_but_what_a_window_needs_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from geoseg.raster.read import Source

    items, _, _ = overlapping(tmp_path)
    image = geoseg.open_stac(items)
    seen: list[tuple[str, slice, slice]] = []
    real = Source.read

    def noted(self: Source, bands: Any, rows: slice, columns: slice) -> Any:
        seen.append((Path(self.path).parent.name, rows, columns))
        return real(self, bands, rows, columns)

    monkeypatch.setattr(Source, "read", noted)
    assert image[:1, 5:15, 6:20].shape == (1, 10, 14)
    assert seen == []
    image[:1, 5:15, 6:20].values  # noqa: B018
    assert seen == [("one", slice(5, 15), slice(6, 20))]
    seen.clear()
    image[:1, 100:110, 90:95].values  # noqa: B018
    assert seen == [("two", slice(70, 80), slice(50, 55))]


@pytest.mark.parametrize(("memory", "last"), [(None, 2), (SMALL, 1)])
def test_each_asset_is_opened_twice_before_the_first_block(
    tmp_path: Path,
    model: Segmenter,
    monkeypatch: pytest.MonkeyPatch,
    memory: int | None,
    last: int,
) -> None:
    """Once for all that its header says; once for how it is tiled, while there is memory left."""
    item = scene(tmp_path / "S2", random_pixels((3, 90, 80)).astype(np.uint8))
    coarse = random_pixels((1, 45, 40)).astype(np.uint8)
    write(tmp_path / "S2" / "B02.tif", coarse, transform=UTM @ Affine.scale(2))
    seen: list[str] = []
    planned: dict[str, int] = {}
    real = rasterio.open

    def noted(path: Any, *words: Any, **options: Any) -> Any:
        seen.append(Path(str(path)).name)
        return real(path, *words, **options)

    def count(event: Mapping[str, Any]) -> None:
        if event["event"] == "start":
            planned.update(
                {name: seen.count(name) for name in map("{}.tif".format, NAMES.values())}
            )

    monkeypatch.setattr(rasterio, "open", noted)
    predict_file(item, tmp_path / "map.tif", model, on_progress=count, memory=memory)
    assert planned == {"B04.tif": 2, "B03.tif": 2, "B02.tif": last, "B08.tif": 0}


def test_an_asset_that_is_replaced_once_its_header_was_read_gives_no_map(
    tmp_path: Path, model: Segmenter, monkeypatch: pytest.MonkeyPatch
) -> None:
    pixels = random_pixels((3, 90, 80)).astype(np.uint8)
    item = scene(tmp_path / "S2", pixels)
    asset = tmp_path / "S2" / "B03.tif"
    real = stac.open_mosaic

    def replaced(*words: Any) -> Any:
        opened = real(*words)
        write(asset, np.ascontiguousarray(pixels[1:2, ::-1]))  # with the same header
        return opened

    with monkeypatch.context() as patch:
        patch.setattr(stac, "open_mosaic", replaced)
        with pytest.raises(UserError, match=r"B03\.tif changed while it was read.*same command"):
            predict_file(item, tmp_path / "map.tif", model)
    assert not (tmp_path / "map.tif").exists()
    predict_file(item, tmp_path / "map.tif", model)


# What is refused


@pytest.fixture
def item(tmp_path: Path) -> Path:
    return scene(tmp_path / "S2", random_pixels((3, 20, 30)).astype(np.uint8))


def put(value: Any, *keys: str) -> Callable[[dict[str, Any]], None]:
    """A change: sets something deep in JSON."""

    def change(facts: dict[str, Any]) -> None:
        for key in keys[:-1]:
            facts = facts[key]
        facts[keys[-1]] = value

    return change


RED = "assets", "B04"
WRONG: Sequence[tuple[Any, str]] = [
    (put("Collection", "type"), "is a STAC Collection, which holds many items; search it"),
    (put("Catalog", "type"), "is a STAC Catalog, which holds many items; search it"),
    (put("Polygon", "type"), r"is no STAC Item \(its type is 'Polygon'\); give one"),
    (put(None, "assets"), "is GeoJSON and no STAC Item, for it has no assets"),
    (put("", "id"), "has no id"),
    (put({}, "assets"), r"item S2 has no assets that are rasters \(none\)"),
    (put({"doc": {"href": "a.xml", "type": "application/xml"}}, "assets"), r"rasters \(doc\)"),
    (put({}, *RED), r"has no band 'red'; it has B03 \(green\), B02 \(blue\): name those"),
    (put([{"common_name": "nir"}], *RED, "eo:bands"), r"has no band 'red'; it has B04 \(nir\)"),
    (put([{"common_name": "red"}], "assets", "B03", "eo:bands"), "has no band 'green'"),
    (put(7, *RED, "href"), r"asset B04 of item S2 has no address \(its href is 7\)"),
    (put("B04.tif\nx", *RED, "href"), "has no address"),
    (put("<VRTDataset></VRTDataset>", *RED, "href"), "has no address"),
    (put("/vsistdin/", *RED, "href"), "is at /vsistdin/, where geoseg reads no assets"),
    (put("file:///vsistdin/", *RED, "href"), "is at file:///vsistdin/, where geoseg reads no"),
    (put("gone.tif", *RED, "href"), r"there is no file .*gone\.tif"),
    (
        put([{"scale": "0.1"}], *RED, "raster:bands"),
        "has scale '0.1' for asset B04, which is no",
    ),
    (put([{"scale": True}], *RED, "raster:bands"), "has scale True for asset B04, which is no num"),
    (put([{"scale": 10**400}], *RED, "raster:bands"), "for asset B04, which is no number"),
    (put([{"scale": 0}], *RED, "raster:bands"), "says scale 0 and offset 0 of asset B04"),
    (put([{"offset": "nan"}], *RED, "raster:bands"), "says scale 1 and offset nan of asset B04"),
    (put([{"nodata": []}], *RED, "raster:bands"), r"has nodata \[\] for asset B04"),
    (put([{}, {}], *RED, "raster:bands"), "tells of 1 and of 2 bands of asset B04"),
    (
        put([{"common_name": "x"}, {"common_name": "red"}], *RED, "eo:bands"),
        "has 1 bands and its item names 2",
    ),
]


@pytest.mark.parametrize(("change", "message"), WRONG, ids=[text[:30] for _, text in WRONG])
def test_items_that_are_none_are_refused(
    item: Path, model: Segmenter, tmp_path: Path, change: Any, message: str
) -> None:
    changed(item, change)
    with refused(message, tmp_path):
        predict_file(item, tmp_path / "map.tif", model)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b'{"type": "Feature", ', r"item\.json is no JSON \(.*\); it is damaged or something else"),
        (b"\xff\xfe\x00", "is no JSON"),
        (b"[" * 100_000, "is no JSON"),
        (b"[1, 2]", r"is no STAC Item \(its type is 'list'\)"),
        (b'{"type": "FeatureCollection", "features": []}', "holds no items; the search"),
        (b'{"type": "FeatureCollection", "features": [7]}', "has no assets"),
        (b'{"type": "FeatureCollection", "features": 7}', "holds no items"),
    ],
)
def test_files_that_hold_no_items_are_refused(
    item: Path, model: Segmenter, tmp_path: Path, text: bytes, message: str
) -> None:
    item.write_bytes(text)
    with refused(message, tmp_path):
        predict_file(item, tmp_path / "map.tif", model)


@pytest.mark.parametrize("name", ["item.json", f"{'long' * 70}item.json"])
def test_an_item_that_is_not_there_is_told(tmp_path: Path, model: Segmenter, name: str) -> None:
    with refused(r"^there is no file .*item\.json; check the name and the folder$", tmp_path):
        predict_file(tmp_path / name, tmp_path / "map.tif", model)


def test_two_assets_for_one_band_are_refused(item: Path, model: Segmenter, tmp_path: Path) -> None:
    changed(item, lambda facts: facts["assets"].update(B04_20m=facts["assets"].pop("B04")))
    changed(item, lambda facts: facts["assets"].update(B04_10m=facts["assets"]["B04_20m"]))
    with refused(r"2 assets for band 'red': B04_20m \(red\), B04_10m \(red\); name the", tmp_path):
        predict_file(item, tmp_path / "map.tif", model)
    predict_file(item, tmp_path / "map.tif", model, bands=["B04_10m", "green", "B02"])


def test_what_item_and_file_contradict_each_other_in_is_refused(tmp_path: Path) -> None:
    stored = random_pixels((3, 20, 30)).astype(np.uint16)
    item = scene(tmp_path / "S2", stored, said={"scale": 0.1, "nodata": 7}, nodata=9)
    with refused("says no data 9.0 where its item says 7; correct one", tmp_path):
        geoseg.open_stac(item)
    with rasterio.open(tmp_path / "S2" / "B04.tif", "r+") as dataset:
        dataset.scales = (0.5,)
    with refused("says scale 0.5 and offset 0 where its item says 0.1 and 0;", tmp_path):
        geoseg.open_stac(item)


def test_a_contradiction_with_a_file_of_a_server_is_told_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    stored = random_pixels((3, 20, 30)).astype(np.uint16)
    scene(tmp_path / "S2", stored, said={"nodata": 7}, nodata=9)
    monkeypatch.setattr("geoseg.raster.files.PAUSES", (0.01,) * 3)
    with (
        serving(tmp_path) as address,
        pytest.raises(UserError, match=r"says no data 9\.0 where its item says 7; correct one"),
    ):
        geoseg.open_stac(f"{address}/S2/item.json")
    assert "once more" not in caplog.text


def test_an_offset_that_was_applied_already_is_refused(tmp_path: Path) -> None:
    item = scene(tmp_path / "S2", random_pixels((3, 4, 5)).astype(np.uint16), said={"offset": -0.1})
    changed(item, put(True, "properties", "earthsearch:boa_offset_applied"))
    with refused(r"that its offset is -0.1, and that it was applied already", tmp_path):
        geoseg.open_stac(item)


def test_an_offset_that_is_not_stated_is_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    item = scene(tmp_path / "S2", random_pixels((3, 4, 5)).astype(np.uint16))
    with caplog.at_level(logging.WARNING, "geoseg"):
        geoseg.open_stac(changed(item, put("03.01", "properties", "s2:processing_baseline")))
        assert not caplog.records
        geoseg.open_stac(changed(item, put("05.09", "properties", "s2:processing_baseline")))
    (told,) = caplog.messages
    assert told.startswith("item S2 is of processing baseline 05.09, whose values are 1000 higher")


def test_a_page_of_a_search_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    items, _, _ = overlapping(tmp_path)
    together = collection(items, tmp_path / "found.json")
    changed(together, put([{"rel": "next", "href": "https://there/next"}], "links"))
    with caplog.at_level(logging.WARNING, "geoseg"):
        geoseg.open_stac(together)
    assert "is one page of what was found, with 2 items" in caplog.text


def test_items_that_do_not_fit_together_are_refused(tmp_path: Path) -> None:
    items, _, _ = overlapping(tmp_path)
    with refused("item two has no band 'red'", tmp_path / "one"):
        changed(items[1], put({}, *RED))
        geoseg.open_stac(items)
    far = scene(tmp_path / "far", random_pixels((3, 4, 5)).astype(np.uint8),
                transform=UTM @ Affine.translation(10**8, 0))  # fmt: skip
    with refused("the scenes lie so far apart", tmp_path):
        geoseg.open_stac([items[0], far])
    lost = scene(tmp_path / "lost", random_pixels((3, 4, 5)).astype(np.uint8), crs=None)
    with refused(r"B04\.tif does not say where it lies, which assets of items must", tmp_path):
        geoseg.open_stac(lost)


def test_options_that_items_have_no_use_for_are_refused(
    item: Path, model: Segmenter, tmp_path: Path
) -> None:
    out = tmp_path / "map.tif"
    with refused("is a scene of its own and no band of one; leave --stack out", tmp_path):
        predict_file([item, item], out, model)
    with refused("say where they lie; leave --assume-crs", tmp_path):
        predict_file(item, out, model, assume_crs="EPSG:4326")
    with refused("is refused; leave --on-read-error", tmp_path):
        predict_file(item, out, model, on_read_error="nodata")
    with refused(r"2 bands are named \(B04, B03\) but .* takes 3: red, green, blue", tmp_path):
        predict_file(item, out, model, bands=["B04", "B03"])
    with refused(r"has no band '1'; it has B04 \(red\), B03", tmp_path):
        predict_file(item, out, model, bands=[1, 2, 3])
    with refused("is the input itself or a part of it", tmp_path):
        predict_file(item, tmp_path / "S2" / "B03.tif", model, overwrite=True)
    with refused("holds no items|is no STAC Item|no item is given", tmp_path):
        geoseg.open_stac([])
    with refused("a int is no STAC Item", tmp_path):
        geoseg.open_stac(7)
    with refused("resolution -1 must be a positive number", tmp_path):
        geoseg.open_stac(item, resolution=-1)
    with refused("no band is named", tmp_path):
        geoseg.open_stac(item, bands=[])
    relative = json.loads(item.read_text())
    with refused("the item does not say where that is; give the file", tmp_path):
        geoseg.open_stac(relative)
