"""What cannot work is refused in one line before any work, and leaves nothing behind."""

from __future__ import annotations

import logging
import os
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import rasterio
import rasterio.shutil
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st
from pointwise import map_of, pointwise, random_pixels, read, refused, write
from safetensors.torch import save_file

import geoseg
from geoseg import nets
from geoseg.card import card_to_json
from geoseg.checks import check_disk, check_values
from geoseg.classes import as_classes
from geoseg.errors import UserError
from geoseg.segmenter import Segmenter, load


@pytest.fixture
def scene(tmp_path: Path) -> Path:
    return write(tmp_path / "scene.tif", random_pixels((3, 60, 70)).astype(np.uint8))


# Inputs


def missing(path: Path) -> None:
    path.unlink(missing_ok=True)


def empty(path: Path) -> None:
    path.write_bytes(b"")


def text(path: Path) -> None:
    path.write_text("no raster at all\n" * 100)


def folder(path: Path) -> None:
    path.mkdir()


def vector(path: Path) -> None:
    path.write_text('{"type": "FeatureCollection", "features": []}')


def complex_pixels(path: Path) -> None:
    write(path, random_pixels((3, 9, 9)).astype(np.complex64))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (missing, "there is no file .*check the name"),
        (empty, "is an empty file; copy or make it again"),
        (text, "not a raster that GDAL can open"),
        (folder, "is a folder, not a raster file"),
        (vector, "not a raster that GDAL can open"),
        (complex_pixels, "complex pixels .*take amplitude or intensity"),
    ],
)
def test_what_is_no_image_is_refused(
    make: Callable[[Path], None], message: str, tmp_path: Path
) -> None:
    make(tmp_path / "input.tif")
    with refused(message, tmp_path):
        geoseg.predict_file(tmp_path / "input.tif", tmp_path / "map.tif", pointwise())


STORED: dict[str, dict[str, Any]] = {
    "striped": {},
    "compressed": {"compress": "deflate", "tiled": True, "blockxsize": 64, "blockysize": 64},
    "COG": {"driver": "COG", "blocksize": 128, "compress": "LZW"},
}


def readable(path: Path) -> np.ndarray | None:
    """All pixels of a file, None if GDAL cannot read them."""
    try:
        return read(path, None)
    except rasterio.errors.RasterioError:
        return None


@pytest.mark.parametrize("share", [0.001, 0.01, 0.1, 0.3, 0.5, 0.8, 0.97, 0.999])
@pytest.mark.parametrize("kind", STORED)
def test_a_file_that_was_cut_short_is_refused_or_whole_where_it_counts(
    kind: str, share: float, tmp_path: Path
) -> None:
    pixels = random_pixels((3, 200, 300)).astype(np.uint8)
    source = write(tmp_path / "scene.tif", pixels, **STORED[kind])
    data = source.read_bytes()
    source.write_bytes(data[: int(len(data) * share)])
    if np.array_equal(pixels, readable(source)):
        geoseg.predict_file(source, tmp_path / "map.tif", pointwise())
        np.testing.assert_array_equal(read(tmp_path / "map.tif"), map_of(pixels))
    else:
        with refused("was cut short|not a raster that GDAL can open", tmp_path):
            geoseg.predict_file(source, tmp_path / "map.tif", pointwise())


def test_a_file_damaged_in_the_middle_gives_no_map(tmp_path: Path) -> None:
    source = write(
        tmp_path / "scene.tif",
        random_pixels((3, 900, 900)).astype(np.uint8),
        **STORED["compressed"],
    )
    data = bytearray(source.read_bytes())
    data[len(data) // 2 : len(data) // 2 + 5000] = bytes(5000)
    source.write_bytes(data)
    with pytest.raises(UserError, match=r"cannot read .*damaged or was cut short") as caught:
        geoseg.predict_file(source, tmp_path / "map.tif", pointwise())
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "map.tif").exists()


@pytest.mark.parametrize(
    ("bands", "names", "wanted", "message"),
    [
        (2, (), None, r"takes 3 bands \(red, green, blue\) but the image has 2 \(1, 2\)"),
        (5, (), None, r"takes 3 bands .* has 5 \(1, 2, 3, 4, 5\).*--bands with numbers"),
        (3, ("nir", "red", "swir"), None, r"\(red, green, blue\) .* \(1 nir, 2 red, 3 swir\)"),
        (3, ("nir", "red", "swir"), ["nir", "red"], "2 bands are named .* takes 3: red, green, b"),
        (3, ("nir", "red", "swir"), ["nir", "red", "pan"], "no band 'pan'; .* 1 nir, 2 red, 3 sw"),
        (3, (), [1, 2, 4], "no band 4; its bands are 1, 2, 3"),
        (3, (), [0, 1, 2], "no band 0"),
        (3, (), ["", 1, 2], "no band ''"),
    ],
)
def test_bands_that_are_not_there_are_refused_with_both_lists(
    bands: int, names: tuple[str, ...], wanted: list[str | int] | None, message: str, tmp_path: Path
) -> None:
    pixels = random_pixels((bands, 9, 9)).astype(np.uint16)
    source = write(tmp_path / "scene.tif", pixels, names=names)
    with refused(message, tmp_path):
        geoseg.predict_file(source, tmp_path / "map.tif", pointwise(), bands=wanted)


@pytest.mark.parametrize("gsd", [0.9, 100.0])
def test_a_pixel_size_more_than_eight_times_off_is_refused(
    gsd: float, scene: Path, tmp_path: Path
) -> None:
    with refused(f"pixels of 10 x 10 m are more than 8 times off the {gsd:g} m", tmp_path):
        geoseg.predict_file(scene, tmp_path / "map.tif", pointwise(gsd=gsd))


# Models


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "there is no model .*geoseg model list"),
        (b"", "is not a model file or is damaged"),
        (b"\xff" * 8 + b"{}", "is not a model file or is damaged"),
        (b"PK\x03\x04 a pickle in an archive", "is not a model file or is damaged"),
    ],
)
def test_what_is_no_model_is_refused(
    content: bytes | None, message: str, scene: Path, tmp_path: Path
) -> None:
    model = tmp_path / "model.safetensors"
    if content is not None:
        model.write_bytes(content)
    with refused(message, tmp_path):
        geoseg.predict_file(scene, tmp_path / "map.tif", model)


# Outputs


@pytest.mark.parametrize("output", ["dst", "scores", "confidence"])
def test_an_output_that_is_the_input_is_refused(output: str, scene: Path, tmp_path: Path) -> None:
    targets = {"dst": tmp_path / "map.tif"} | {output: scene}
    before = scene.read_bytes()
    with refused("is the input itself", tmp_path):
        geoseg.predict_file(scene, model=pointwise(), overwrite=True, **targets)
    assert scene.read_bytes() == before


def by_symlink(scene: Path, other: Path) -> None:
    other.symlink_to(scene)


def by_hard_link(scene: Path, other: Path) -> None:
    os.link(scene, other)


@pytest.mark.parametrize("link", [by_symlink, by_hard_link])
def test_the_input_is_known_through_links(
    link: Callable[[Path, Path], None], scene: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other.tif"
    link(scene, other)
    for source, target in ((scene, other), (other, scene)):
        with refused("is the input itself", tmp_path):
            geoseg.predict_file(source, target, pointwise(), overwrite=True)


def test_a_file_that_a_virtual_raster_reads_is_the_input_as_well(
    scene: Path, tmp_path: Path
) -> None:
    rasterio.shutil.copy(scene, tmp_path / "scene.vrt", driver="VRT")
    with refused("is the input itself", tmp_path):
        geoseg.predict_file(tmp_path / "scene.vrt", scene, pointwise(), overwrite=True)


@pytest.mark.parametrize("output", ["dst", "scores", "confidence", "polygons"])
def test_an_output_that_exists_is_refused_and_stays(
    output: str, scene: Path, tmp_path: Path
) -> None:
    old = tmp_path / ("old.gpkg" if output == "polygons" else "old.tif")
    old.write_bytes(b"mine")
    targets = {"dst": tmp_path / "map.tif"} | {output: old}
    with refused("exists; add --overwrite", tmp_path):
        geoseg.predict_file(scene, model=pointwise(), **targets)
    assert old.read_bytes() == b"mine"


def test_two_outputs_of_one_name_are_refused_however_they_are_spelt(
    scene: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with refused("two outputs", tmp_path):
        geoseg.predict_file(scene, "map.tif", pointwise(), scores=tmp_path / "map.tif")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nowhere/map.tif", "there is no folder .*mkdir -p"),
        ("", "is a folder; name a file in it"),
        ("map.png", r"let it end in \.tif"),
        ("map", r"let it end in \.tif"),
    ],
)
def test_a_target_that_cannot_be_a_map_is_refused(
    name: str, message: str, scene: Path, tmp_path: Path
) -> None:
    with refused(message, tmp_path):
        geoseg.predict_file(scene, tmp_path / name, pointwise())


def test_a_folder_that_may_not_be_written_to_is_refused(
    scene: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Replaced because a superuser, whom tests may run as, can write anywhere.
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != tmp_path)
    with refused("cannot write into .*choose a folder that you may write to", tmp_path):
        geoseg.predict_file(scene, tmp_path / "map.tif", pointwise())


def test_a_disk_that_is_too_small_is_refused(
    scene: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=100))
    # 60 x 70 pixels of a byte, a fourth of them, twice: the map and its blocks.
    with refused("has 100 bytes free but .* may need 2.10 kB; free some space", tmp_path):
        geoseg.predict_file(scene, tmp_path / "map.tif", pointwise())


def test_blocks_are_counted_on_the_disk_where_they_lie(
    scene: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shared = Path("/dev/shm")  # noqa: S108  (only to have a second file system)
    if not shared.is_dir() or shared.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("there is one file system only")
    with tempfile.TemporaryDirectory(dir=shared) as name:
        free = {Path(name): 1049, tmp_path: 1050}
        monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=free[path]))
        with refused(f"{name} has 1.05 kB free but .* may need 1.05 kB", tmp_path):
            geoseg.predict_file(scene, tmp_path / "map.tif", pointwise(), blocks=name)
        free[Path(name)] = 1050
        geoseg.predict_file(scene, tmp_path / "map.tif", pointwise(), blocks=name)
    assert (tmp_path / "map.tif").exists()


def test_blocks_that_are_there_by_now_need_no_more_room(
    scene: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(event: dict[str, Any]) -> None:
        if event["event"] == "progress":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        geoseg.predict_file(scene, tmp_path / "map.tif", pointwise(), on_progress=stop)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=2099))
    geoseg.predict_file(scene, tmp_path / "map.tif", pointwise())
    (tmp_path / "map.tif").unlink()
    (tmp_path / "map.tif.json").unlink()
    with pytest.raises(UserError, match=r"2\.10 kB free but"):
        geoseg.predict_file(scene, tmp_path / "map.tif", pointwise())


@given(raw=st.integers(0, 10**13), free=st.integers(0, 10**13))
def test_a_disk_four_times_smaller_than_the_pixels_is_enough(raw: int, free: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=free))
        if free >= raw / 4:
            check_disk(Path(), raw)
        elif free < raw // 4:
            with pytest.raises(UserError, match="free some space"):
                check_disk(Path(), raw)


# Values

RANGE = ((200.0, 4000.0),) * 3


def image_of(top: float, missing: float | None = None) -> xr.DataArray:
    """An image whose values go evenly up to a value, with some pixels missing."""
    rows = np.linspace(top / 100, top, 200, dtype=np.float32)
    image = xr.DataArray(np.broadcast_to(rows, (3, 150, 200)).copy(), dims=("band", "y", "x"))
    if missing is None:
        return image
    image[:, 10:20] = missing
    return image.rio.write_nodata(missing)


@given(st.floats(1 / 3.9, 3.9), st.sampled_from([None, -9999.0, 0.0, 1e6]))
def test_values_like_those_of_the_training_are_taken_in_silence(
    factor: float, missing: float | None
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        warnings: list[object] = []
        patch.setattr(logging.getLogger("geoseg.checks"), "warning", lambda *a: warnings.append(a))
        check_values(image_of(4000 * factor, missing), pointwise(value_range=RANGE).card)
        assert not warnings


@pytest.mark.parametrize("factor", [1 / 18, 1 / 5, 5, 18])
def test_doubtful_values_are_told_of(factor: float, caplog: pytest.LogCaptureFixture) -> None:
    check_values(image_of(4000 * factor), pointwise(value_range=RANGE).card)
    assert "trained on values up to 4000, 4000, 4000: the map may be poor" in caplog.text


@pytest.mark.parametrize(
    ("values", "known"),
    [(image_of(150), RANGE), (image_of(9000), ((0.0, 0.4),) * 3), (image_of(0.3), RANGE)],
)
def test_values_in_other_units_are_refused(
    values: xr.DataArray, known: tuple[tuple[float, float], ...]
) -> None:
    with pytest.raises(UserError, match="the units differ; scale the image") as caught:
        check_values(values, pointwise(value_range=known).card)
    assert "\n" not in str(caught.value)


DECIBELS = ((200.0, 4000.0), (-24.0, -1.5), (200.0, 4000.0))


@pytest.mark.parametrize("factor", [1e-5, 1.0])
def test_a_band_that_is_positive_where_the_model_knows_decibels_is_refused(factor: float) -> None:
    image = image_of(4000)
    image[1] *= factor  # power that was not turned to decibels, or another band
    with pytest.raises(
        UserError, match=r"band '.*' goes from .* trained on -24 to -1.5: the units"
    ):
        check_values(image, pointwise(value_range=DECIBELS).card)


def test_decibels_are_taken_though_a_few_pixels_are_positive(
    caplog: pytest.LogCaptureFixture,
) -> None:
    image = image_of(4000)
    image[1] = image[1] / 200 - 19  # -18.8 to 1
    check_values(image, pointwise(value_range=DECIBELS).card)
    assert not caplog.messages


def test_a_byte_image_for_a_model_of_reflectance_is_refused(scene: Path, tmp_path: Path) -> None:
    with refused("pixels go up to .* trained on values up to 10000", tmp_path):
        geoseg.predict_file(scene, tmp_path / "map.tif", pointwise(value_range=((0, 10_000),) * 3))


def test_an_image_without_any_data_says_nothing_about_units(tmp_path: Path) -> None:
    source = write(tmp_path / "scene.tif", np.zeros((3, 90, 90), np.uint8), nodata=0)
    geoseg.predict_file(source, tmp_path / "map.tif", pointwise(value_range=RANGE))
    assert (read(tmp_path / "map.tif") == 255).all()


# Cards that do not fit the network they come with


@pytest.mark.parametrize(
    ("facts", "message"),
    [
        ({"bands": "abcd", "mean": [0.0] * 4, "std": [1.0] * 4}, "names 4 bands and a stride of 4"),
        ({"classes": "abc"}, r"names 3 classes but unet .* tells 2 apart"),
        ({"stride": 3}, "names 3 bands and a stride of 3"),
        ({"stride": 6}, "names 3 bands and a stride of 6"),
    ],
)
def test_a_model_whose_card_does_not_fit_its_network_is_refused(
    facts: dict[str, Any], message: str, tmp_path: Path
) -> None:
    options = {"in_channels": 3, "classes": 2, "widths": [4, 4]}
    net = nets.build("unet", **options)
    honest = Segmenter(
        net,
        classes="ab",
        bands="rgb",
        mean=[0.0] * 3,
        std=[1.0] * 3,
        architecture="unet",
        options=options,
    )
    changed = {"classes": as_classes(facts["classes"])} if "classes" in facts else facts
    liar = replace(honest.card, **changed)
    state = {name: tensor.contiguous() for name, tensor in net.state_dict().items()}
    save_file(state, tmp_path / "liar.safetensors", {"geoseg": card_to_json(liar)})
    with refused(message, tmp_path):
        load(tmp_path / "liar.safetensors")
