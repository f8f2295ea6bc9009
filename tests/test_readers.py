"""Readers of published folder layouts, on made-up files and on real ones where there are any."""

from __future__ import annotations

import csv
import logging
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from fixtures_published import (
    CDL_CODES,
    LAND_COLORS,
    SEASONS,
    building_labels,
    cdl_labels,
    fake_cdl,
    fake_deepglobe_land,
    fake_deepglobe_road,
    fake_massachusetts,
    fake_sen12ms,
    igbp_labels,
    land_labels,
    read_image,
    rectangles,
    road_labels,
    write_image,
)
from hypothesis import given
from hypothesis import strategies as st
from rasterio.crs import CRS
from rasterio.transform import from_origin

from geoseg.errors import UserError
from geoseg.loader import IGNORE, Scene
from geoseg.train.data.dataset import Dataset, measure
from geoseg.train.data.readers import (
    deepglobe_land,
    deepglobe_roads,
    folder,
    landsat_cdl,
    massachusetts_buildings,
    sen12ms,
)
from geoseg.train.data.readers.landsat import cdl_table
from geoseg.train.data.readers.parts import in_parts
from geoseg.train.data.readers.sen12ms import HELD_OUT, S2, STATISTICS, UNIT, Patch, igbp_table


def pixels_of(scene: Scene) -> Any:
    return scene.read((slice(0, scene.shape[0]), slice(0, scene.shape[1])))


def labels_of(scene: Scene) -> Any:
    return scene.read_labels((slice(0, scene.shape[0]), slice(0, scene.shape[1])))


def scenes_of(data: Dataset) -> list[Scene]:
    return [*data.training, *data.validation, *data.held_out]


def counts(data: Dataset) -> tuple[int, int, int]:
    return len(data.training), len(data.validation), len(data.held_out)


def as_set(scenes: Any) -> set[bytes]:
    return {labels_of(scene).tobytes() for scene in scenes}


# -- parts -----------------------------------------------------------------------------------------


@given(st.lists(st.text("abc", min_size=1, max_size=3), min_size=1, max_size=60))
def test_groups_are_never_parted_and_do_not_depend_on_their_order(groups: list[str]) -> None:
    parts = in_parts(groups, (0.7, 0.8, 1.0))
    part_of = dict(zip(groups, parts, strict=True))
    assert parts == [part_of[group] for group in groups]
    assert in_parts(sorted(groups), (0.7, 0.8, 1.0)) == [part_of[g] for g in sorted(groups)]


def test_places_of_one_item_fill_parts_exactly() -> None:
    names = [str(number) for number in range(803)]
    assert Counter(in_parts(names, (0.8, 0.8, 1.0))) == {"training": 642, "held_out": 161}
    assert Counter(in_parts(names, (0.7, 0.8, 1.0)))["validation"] == 80


# -- DeepGlobe -------------------------------------------------------------------------------------


@pytest.mark.parametrize("layout", ["published", "flat", "two folders"])
def test_land_cover_masks_are_read_as_drawn_though_they_are_noisy(
    tmp_path: Path, layout: str
) -> None:
    root = fake_deepglobe_land(tmp_path / "land")
    if layout != "published":
        for file in (root / "train").iterdir():
            kind = "masks" if "mask" in file.name else "images"
            to = root.parent / "other" / ("" if layout == "flat" else kind)
            to.mkdir(parents=True, exist_ok=True)
            shutil.copy(file, to)
        root = root.parent / "other"
    data = deepglobe_land(root)
    assert counts(data) == (4, 0, 1)
    assert as_set(scenes_of(data)) == {land_labels(number, 64).tobytes() for number in range(5)}
    assert [each.value for each in data.classes] == list(range(7))
    assert [each.rgb for each in data.classes] == [tuple(map(int, c)) for c in LAND_COLORS]
    assert data.bands == ("red", "green", "blue")


def test_images_go_with_their_own_masks(tmp_path: Path) -> None:
    data = deepglobe_land(fake_deepglobe_land(tmp_path))
    for scene in scenes_of(data):
        drawn = LAND_COLORS[labels_of(scene)].transpose(2, 0, 1) / 2 + 60.0
        assert np.corrcoef(drawn.ravel(), pixels_of(scene).ravel())[0, 1] > 0.9


def test_unknown_land_can_be_ignored(tmp_path: Path) -> None:
    data = deepglobe_land(fake_deepglobe_land(tmp_path), unknown="ignore")
    assert [each.value for each in data.classes] == [1, 2, 3, 4, 5, 6]
    expected = [land_labels(number, 64).astype(int) for number in range(5)]
    ignored = {np.where(e == 0, IGNORE, e - 1).astype(np.uint8).tobytes() for e in expected}
    assert as_set(scenes_of(data)) == ignored


@pytest.mark.parametrize(
    ("unknown", "taken", "index"),
    [("class", "taken for unknown", 0), ("ignore", "ignored", IGNORE)],
)
def test_a_colour_of_no_class_is_told_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, unknown: Any, taken: str, index: int
) -> None:
    root = fake_deepglobe_land(tmp_path)
    for path in root.glob("train/*_mask.png"):
        mask = np.zeros((3, 64, 64), np.uint8)
        mask[0, 10:12, :5] = 255
        write_image(path, mask)
    with caplog.at_level(logging.WARNING):
        found = [labels_of(scene) for scene in scenes_of(deepglobe_land(root, unknown=unknown))]
    assert all((labels[10:12, :5] == index).all() for labels in found)
    told = [each for each in caplog.messages if "of no class" in each]
    assert len(told) == 1
    assert f"labels of no class are {taken} wherever they are, first in" in told[0]
    assert told[0].endswith("_mask.png: #ff0000 (10 pixels)")


def test_so_many_images_as_asked_for_are_learnt_from(tmp_path: Path) -> None:
    root = fake_deepglobe_land(tmp_path)
    for train in (1, 3, 5):
        assert counts(deepglobe_land(root, train=train)) == (train, 0, 5 - train)
    few, more = (as_set(deepglobe_land(root, train=n).training) for n in (2, 3))
    assert few < more


def test_images_of_one_region_are_never_parted(tmp_path: Path) -> None:
    root = fake_deepglobe_land(tmp_path / "land", n=10)
    names = sorted(int(path.name.split("_")[0]) for path in root.glob("train/*_sat.jpg"))
    regions = {number: index // 2 for index, number in enumerate(names)}
    rows = "".join(f"{number},{region}\n" for number, region in regions.items())
    (tmp_path / "land.csv").write_text("id,region\n" + rows)
    data = deepglobe_land(root)
    assert sum(counts(data)) == 10
    region_of = {land_labels(i, 64).tobytes(): region for i, region in enumerate(regions.values())}
    found = [
        {region_of[each] for each in as_set(part)}
        for part in (data.training, data.validation, data.held_out)
    ]
    assert sum(map(len, found)) == 5
    assert found[2]
    (tmp_path / "land.csv").write_text("id,region\n100,1\n")
    with pytest.raises(UserError, match=r"table of regions does not list 137; add its row"):
        deepglobe_land(root)


@pytest.mark.parametrize(("size", "gsd"), [(2448, 0.5), (512, 612 / 512), (600, None)])
@pytest.mark.parametrize("listed", [False, True])
def test_land_cover_images_tell_their_pixel_size_by_their_own(
    tmp_path: Path, size: int, gsd: float | None, listed: bool, caplog: pytest.LogCaptureFixture
) -> None:
    root = fake_deepglobe_land(tmp_path / "land", n=1, size=size)
    if listed:
        (number,) = (path.name.split("_")[0] for path in root.glob("train/*_sat.jpg"))
        (tmp_path / "land.csv").write_text(f"id,region\n{number},1\n")
    data = deepglobe_land(root, train=1)
    assert data.gsd == (gsd and pytest.approx(gsd))
    told = ["images of 600 x 600 pixels: the pixel size is known of 2448 x 2448 (0.5 m) and 512 x "
            "512 (1.195 m), and left out; describe them in YAML to state gsd"]  # fmt: skip
    assert caplog.messages == ([] if gsd else told)


def test_land_cover_images_of_several_sizes_have_no_pixel_size(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    root = fake_deepglobe_land(tmp_path, n=2, size=512)
    path = min(root.glob("train/*_mask.png"))
    for each in (path, path.with_name(path.name.replace("mask.png", "sat.jpg"))):
        write_image(each, np.zeros((3, 64, 64), np.uint8))
    assert deepglobe_land(root).gsd is None
    assert "images of 2 sizes, 64 x 64, pixels: the pixel size is known of" in caplog.text


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"unknown": "skip"}, r"unknown is 'skip'; choose class or ignore"),
        ({"train": 6}, r"train is 6; give 1 to 5"),
        ({"train": 0}, r"train is 0; give 1 to 5"),
    ],
)
def test_options_of_land_cover_that_cannot_be_meant_are_refused(
    tmp_path: Path, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        deepglobe_land(fake_deepglobe_land(tmp_path), **options)


def test_roads_are_where_the_mask_is_128_or_more(tmp_path: Path) -> None:
    data = deepglobe_roads(fake_deepglobe_road(tmp_path), train=3)
    assert counts(data) == (3, 0, 2)
    assert as_set(scenes_of(data)) == {road_labels(number, 64).tobytes() for number in range(5)}
    assert [each.name for each in data.classes] == ["background", "road"]


def test_images_without_masks_are_left_out_and_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    root = fake_deepglobe_road(tmp_path)
    (root / "train" / "8_mask.png").unlink()
    with caplog.at_level(logging.WARNING):
        assert sum(counts(deepglobe_roads(root))) == 4
    assert caplog.messages == [
        f"{root / 'train'}: 1 files have no partner and are left out, first 8"
    ]


def test_files_that_do_not_fit_are_told_when_they_are_listed(tmp_path: Path) -> None:
    root = fake_deepglobe_road(tmp_path)
    mask = root / "train" / "8_mask.png"
    write_image(mask, np.zeros((3, 64, 60), np.uint8))
    with pytest.raises(UserError, match=r"8_mask.png has 3 bands of \(64, 60\) pixels, its image"):
        deepglobe_roads(root)
    write_image(root / "train" / "100_mask.png", np.zeros((1, 64, 64), np.uint8))
    write_image(root / "train" / "100_sat.jpg", np.zeros((3, 64, 64), np.uint8))
    mask.unlink()
    with pytest.raises(UserError, match=r"100_mask.png has 1 bands .* labels have 3 of"):
        deepglobe_land(root)


def test_masks_of_few_colours_may_be_stored_with_a_table_of_them(tmp_path: Path) -> None:
    root = fake_deepglobe_land(tmp_path / "as_published")
    tabled = shutil.copytree(root, tmp_path / "tabled")
    for path in tabled.glob("train/*_mask.png"):
        pixels = read_image(path) // 128 * 255
        colors, numbers = np.unique(pixels.reshape(3, -1), axis=1, return_inverse=True)
        numbers = numbers.reshape(1, *pixels.shape[1:]).astype(np.uint8)
        write_image(path, numbers, colors=colors.T.tolist())
    expected = as_set(scenes_of(deepglobe_land(root)))
    assert as_set(scenes_of(deepglobe_land(tabled))) == expected


def test_two_images_of_one_name_in_separate_folders_are_refused(tmp_path: Path) -> None:
    for name in ("images/1_sat.jpg", "images/1.jpg", "masks/1_mask.png"):
        write_image(tmp_path / name, np.zeros((3, 64, 64), np.uint8))
    with pytest.raises(UserError, match=r"1.jpg and 1_sat.jpg have the same name; keep one"):
        deepglobe_land(tmp_path)


def test_a_damaged_mask_is_told_in_one_line_when_it_is_read(tmp_path: Path) -> None:
    root = fake_deepglobe_road(tmp_path)
    data = deepglobe_roads(root)
    for path in root.glob("train/*_mask.png"):
        path.write_bytes(path.read_bytes()[:300])
    with pytest.raises(UserError, match=r"cannot read .*_mask.png: .*") as caught:
        labels_of(data.training[0])
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("read", [deepglobe_land, deepglobe_roads, folder, landsat_cdl])
def test_an_empty_folder_is_refused(tmp_path: Path, read: Callable[[Path], Dataset]) -> None:
    with pytest.raises(UserError, match=r"holds 0 images and 0 label files"):
        read(tmp_path)


# -- SEN12MS ---------------------------------------------------------------------------------------


def test_both_sensors_are_stacked_with_the_land_bands_of_sentinel_2_first(tmp_path: Path) -> None:
    root = fake_sen12ms(tmp_path)
    data = sen12ms(root)
    assert data.bands == tuple(STATISTICS)
    names = {name: Patch(root, name) for path in ("train", "test") for name in listed(root, path)}
    expected = {}
    for name, patch in names.items():
        optical = read_image(patch.path("s2"))[[1, 2, 3, 4, 5, 6, 7, 8, 11, 12]]
        radar = np.nan_to_num(read_image(patch.path("s1")), nan=0.0).clip(-25, 0)
        expected[np.concatenate([optical.astype(np.float32), radar]).tobytes()] = name
    found = [expected[pixels_of(scene).tobytes()] for scene in scenes_of(data)]
    assert sorted(found) == sorted(names)


def listed(root: Path, part: str) -> list[str]:
    return (root / f"{part}_list.txt").read_text().split()


def test_igbp_codes_become_ten_classes(tmp_path: Path) -> None:
    data = sen12ms(fake_sen12ms(tmp_path))
    ten = np.array([0, 1, 1, 1, 1, 1, 2, 2, 3, 3, 4, 5, 6, 7, 6, 8, 9, 10])
    expected = {(ten[igbp_labels(n, 68)] - 1).astype(np.uint8).tobytes() for n in range(12)}
    assert as_set(scenes_of(data)) == expected
    assert [each.name for each in data.classes][::9] == ["forest", "water"]
    assert [each.value for each in data.classes] == list(range(1, 11))


def test_codes_beyond_the_legend_are_ignored_and_savanna_where_asked() -> None:
    with_savanna, without = igbp_table().indices, igbp_table(savanna=False).indices
    assert with_savanna[0] == without[0] == with_savanna[18] == with_savanna[255] == IGNORE
    assert with_savanna[1:18] == (0, 0, 0, 0, 0, 1, 1, 2, 2, 3, 4, 5, 6, 5, 7, 8, 9)
    assert without[1:18] == (0, 0, 0, 0, 0, 1, 1, IGNORE, IGNORE, 2, 3, 4, 5, 4, 6, 7, 8)


def test_classes_without_savanna_are_nine(tmp_path: Path) -> None:
    data = sen12ms(fake_sen12ms(tmp_path), savanna=False)
    assert "savanna" not in [each.name for each in data.classes]
    assert measure(data).class_pixels.size == 9


@pytest.mark.parametrize("fill", [0.0, -25.0, float("nan")])
def test_missing_radar_is_filled_as_asked_and_the_rest_clipped(tmp_path: Path, fill: float) -> None:
    data = sen12ms(fake_sen12ms(tmp_path), bands="s1", nan_fill=fill)
    assert data.bands == ("VV", "VH")
    pixels = [pixels_of(scene) for scene in scenes_of(data)]
    filled = [p for p in pixels if (np.isnan(p) if np.isnan(fill) else p == fill).all()]
    assert len(filled) == 1
    others = np.stack([p for p in pixels if p is not filled[0]])
    assert (others.min(), others.max()) == (-25.0, 0.0)


def test_colours_are_blue_green_and_red(tmp_path: Path) -> None:
    root = fake_sen12ms(tmp_path)
    data = sen12ms(root, bands="rgb")
    assert data.bands == ("B02", "B03", "B04")
    for scene in data.training:
        patch = scene.image.variable._data.array.read.patch
        np.testing.assert_array_equal(pixels_of(scene), read_image(patch.path("s2"))[1:4])


def test_reflectance_above_one_is_clipped_where_asked_and_unit_brings_pixels_to_0_to_1(
    tmp_path: Path,
) -> None:
    root = fake_sen12ms(tmp_path)
    for path in root.glob("*/s2_*/*.tif"):
        write_image(path, np.linspace(0, 20_000, 13 * 68 * 68).reshape(13, 68, 68).astype("u2"))
    plain, clipped = (sen12ms(root, saturate=each).training[0] for each in (False, True))
    found = pixels_of(clipped)
    np.testing.assert_array_equal(found[:10], pixels_of(plain)[:10].clip(0, 10_000))
    np.testing.assert_array_equal(found[10:], pixels_of(plain)[10:])
    assert pixels_of(plain)[:10].max() > 10_000
    less, by = np.array([UNIT[band] for band in (*S2, "VV", "VH")]).T[:, :, None, None]
    unit = (found - less) / by
    np.testing.assert_allclose(unit[:10], found[:10] / 10_000)
    np.testing.assert_allclose(unit[10:], found[10:] / 25 + 1, atol=1e-6)
    assert 0 <= unit.min() < unit.max() <= 1


def test_one_sensor_needs_no_files_of_the_other(tmp_path: Path) -> None:
    root = fake_sen12ms(tmp_path)
    for path in root.glob("*/s1_*"):
        shutil.rmtree(path)
    data = sen12ms(root, bands="s2")
    assert pixels_of(data.training[0]).shape == (10, 68, 68)
    with pytest.raises(UserError, match=r"s1_1_p30.tif is missing, the partner of .*_s2_1_p30.tif"):
        sen12ms(root)


@pytest.mark.parametrize("with_lists", [True, False])
def test_test_scenes_are_held_out(tmp_path: Path, with_lists: bool) -> None:
    root = fake_sen12ms(tmp_path, scenes=(1, 2, 63))
    if not with_lists:
        for path in root.glob("*.txt"):
            path.unlink()
    data = sen12ms(root)
    assert names_of(data.held_out) == {f"{SEASONS['spring']}_s2_63_p{30 + n}.tif" for n in (0, 1)}
    assert sum(counts(data)) == 12


def names_of(scenes: Any) -> set[str]:
    return {scene.image.variable._data.array.read.patch.name for scene in scenes}


def test_lists_decide_and_what_they_lack_is_left_out(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    root = fake_sen12ms(tmp_path)
    names = listed(root, "train")
    (root / "test_list.txt").write_text(names[0])
    (root / "train_list.txt").write_text("\n".join([*names[1:4], "ROIs1970_fall_s2_3_p9.tif"]))
    with caplog.at_level(logging.WARNING):
        data = sen12ms(root)
    assert names_of(data.held_out) == {names[0]}
    assert names_of([*data.training, *data.validation]) == set(names[1:4])
    assert caplog.messages == [
        f"{root}: 1 listed patches are not there, first ROIs1970_fall_s2_3_p9.tif"
    ]


def test_validation_takes_whole_scenes(tmp_path: Path) -> None:
    root = fake_sen12ms(tmp_path, n=2, scenes=tuple(range(20, 30)))
    data = sen12ms(root)
    assert counts(data) == (36, 4, 0)
    scenes = [{Patch(root, n).scene for n in names_of(p)} for p in (data.training, data.validation)]
    assert not scenes[0] & scenes[1]
    assert counts(sen12ms(root, validation="patch_third")) == (27, 13, 0)


def test_the_patch_of_broken_radar_is_left_out(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    root = fake_sen12ms(tmp_path)
    broken = "ROIs1868_summer_s2_146_p202.tif"
    for sensor in ("s1", "s2", "lc"):
        one = next(iter(sorted(root.glob(f"*/{sensor}_1/*.tif"))))
        to = root / "ROIs1868_summer" / f"{sensor}_146" / broken.replace("_s2_", f"_{sensor}_")
        to.parent.mkdir(parents=True)
        shutil.copy(one, to)
    (root / "train_list.txt").write_text("\n".join([*listed(root, "train"), broken]))
    with caplog.at_level(logging.WARNING):
        assert sum(counts(sen12ms(root))) == 12
    assert not caplog.messages


def test_the_published_test_scenes_are_26() -> None:
    assert sum(map(len, HELD_OUT.values())) == 26


def test_a_patch_of_another_size_is_told_when_it_is_read(tmp_path: Path) -> None:
    root = fake_sen12ms(tmp_path)
    data = sen12ms(root)
    for path in root.glob("*/s1_*/*.tif"):
        write_image(path, np.zeros((2, 68, 60), np.float32))
    with pytest.raises(UserError, match=r"has 2 bands of 68 x 60 pixels, too few for band 2 of a"):
        pixels_of(data.training[0])


def test_senseless_options_of_sen12ms_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"bands 's3' .*: choose both, s1, s2 or rgb"):
        sen12ms(tmp_path, bands="s3")  # type: ignore[arg-type]
    with pytest.raises(UserError, match=r"validation 'none': choose .* scene or patch_third"):
        sen12ms(tmp_path, validation="none")  # type: ignore[arg-type]
    with pytest.raises(UserError, match=r"holds no patch of SEN12MS, such as ROIs1158_spring"):
        sen12ms(tmp_path)


# -- Massachusetts Buildings -----------------------------------------------------------------------


@pytest.mark.parametrize("layout", ["published", "tiff", "png"])
def test_buildings_are_red_and_parts_are_those_of_the_folders(tmp_path: Path, layout: str) -> None:
    root = fake_massachusetts(tmp_path / "made")
    if layout != "published":
        ending = {"tiff": ".tiff", "png": ".png"}[layout]
        for path in sorted(root.glob("*/*/*")):
            part = {"valid": "val"}.get(path.parts[-3], path.parts[-3])
            name = part if path.parts[-2] == "sat" else f"{part}_labels"
            to = (tmp_path / "mirror" / layout / name / path.name).with_suffix(ending)
            write_image(to, read_image(path))
        root = tmp_path / "mirror"
    data = massachusetts_buildings(root)
    assert counts(data) == (3, 1, 2)
    assert data.gsd == 1.0
    for part, scenes in zip(
        ("train", "valid", "test"), (data.training, data.validation, data.held_out), strict=True
    ):
        expected = {building_labels(part, n, 64).tobytes() for n in range(len(scenes))}
        assert as_set(scenes) == expected
    assert pixels_of(data.training[0]).shape == (3, 64, 64)


def test_white_corners_can_be_ignored(tmp_path: Path) -> None:
    root = fake_massachusetts(tmp_path)
    kept, ignored = (massachusetts_buildings(root, ignore_white=each) for each in (False, True))
    for one, other in zip(scenes_of(kept), scenes_of(ignored), strict=True):
        assert (labels_of(one)[:8, :8] < 2).all()
        assert (labels_of(other)[:8, :8] == IGNORE).all()
        rest = labels_of(other) != IGNORE
        assert rest.sum() == 64 * 64 - 64
        np.testing.assert_array_equal(labels_of(one)[rest], labels_of(other)[rest])


def test_maps_of_another_place_are_refused(tmp_path: Path) -> None:
    root = fake_massachusetts(tmp_path)
    shutil.copy(root / "train" / "map" / "train_1.tif", root / "train" / "map" / "train_0.tif")
    with pytest.raises(UserError, match=r"train_0.tif lies elsewhere than its image"):
        massachusetts_buildings(root)


def test_a_folder_without_parts_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"holds no folder train, nor do tiff and png in it"):
        massachusetts_buildings(tmp_path)


# -- Landsat and CDL -------------------------------------------------------------------------------


def expected_cdl(size: int = 128) -> Any:
    meaning = {0: IGNORE, 81: IGNORE, 1: 1, 5: 2, 141: 3, 142: 3, 63: 3, 176: 4}
    return np.vectorize(lambda code: meaning.get(code, 0))(cdl_labels(size))


def test_blocks_of_a_large_image_are_shared_out(tmp_path: Path) -> None:
    root = fake_cdl(tmp_path)
    data = landsat_cdl(root, block=40)
    assert counts(data) == (13, 1, 2)  # 4 x 4 blocks
    assert sum(s.shape[0] * s.shape[1] for s in scenes_of(data)) == 128 * 128
    with rasterio.open(root / "image.tif") as file:
        image, transform = file.read(), file.transform
    for scene in scenes_of(data):
        left, top = ~transform @ (float(scene.image.x[0]), float(scene.image.y[0]))
        box = slice(int(top), int(top) + 40), slice(int(left), int(left) + 40)
        np.testing.assert_array_equal(pixels_of(scene), image[:, *box])
        np.testing.assert_array_equal(labels_of(scene), expected_cdl()[box])


def test_the_table_of_crops_has_a_class_for_every_code() -> None:
    table = cdl_table().indices
    assert len(table) == 256
    assert [table[code] for code in CDL_CODES] == [IGNORE, 1, 2, 0, 0, 3, 3, 4, IGNORE]
    assert Counter(table) == {0: 256 - 9, 1: 1, 2: 1, 3: 4, 4: 1, IGNORE: 2}
    more = cdl_table(more=True).indices
    assert [more[code] for code in (241, 26, 190, 37, 24)] == [1, 2, 3, 4, 0]


@pytest.mark.parametrize("layout", ["pairs", "folders"])
def test_pairs_of_files_are_read(tmp_path: Path, layout: str) -> None:
    made = fake_cdl(tmp_path / "made", 64)
    root = tmp_path / "root"
    names = (
        ["{}_img.tif", "{}_cdl.tif"] if layout == "pairs" else ["images/{}.tif", "labels/{}.tif"]
    )
    for number in range(10):
        for source, name in zip(("image.tif", "cdl.tif"), names, strict=True):
            to = root / name.format(f"00{number}_01{number}")
            to.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(made / source, to)
    data = landsat_cdl(root)
    assert counts(data) == (8, 1, 1)
    np.testing.assert_array_equal(labels_of(data.held_out[0]), expected_cdl(64))


def test_tiles_of_a_column_are_never_parted(tmp_path: Path) -> None:
    made = fake_cdl(tmp_path / "made", 40)
    root = tmp_path / "root"
    for row in range(3):
        for column in range(10):
            pixels = read_image(made / "image.tif")
            pixels[0] = column
            write_image(root / "images" / f"{row:03}_{column:03}.tif", pixels)
            codes = read_image(made / "cdl.tif")
            write_image(root / "labels" / f"{row:03}_{column:03}.tif", codes)
    data = landsat_cdl(root)
    columns = [
        {int(pixels_of(scene)[0, 0, 0]) for scene in part}
        for part in (data.training, data.validation, data.held_out)
    ]
    assert list(map(len, columns)) == [8, 1, 1]
    assert set.union(*columns) == set(range(10))


def test_a_block_has_a_pixel_at_least(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"block is 0; give 1 pixel or more"):
        landsat_cdl(tmp_path, block=0)


# -- any folder ------------------------------------------------------------------------------------


@pytest.fixture
def tiles(tmp_path: Path) -> Path:
    """Ten tiles with codes 3, 7 and 255."""
    for number in range(10):
        codes = rectangles(np.random.default_rng(number), (3, 7, 255), 32)
        write_image(tmp_path / "images" / f"{number}.tif", codes[None] // 2 + np.uint8(number))
        write_image(tmp_path / "labels" / f"{number}.png", codes[None])
    return tmp_path


def test_a_folder_has_a_class_for_each_value_of_its_labels(tiles: Path) -> None:
    data = folder(tiles)
    assert [(each.value, each.name) for each in data.classes] == [(3, "class 3"), (7, "class 7")]
    assert (data.name, data.bands, counts(data)) == (tiles.name, ("band 1",), (10, 0, 0))
    for number, scene in enumerate(data.training):
        codes = read_image(tiles / "labels" / f"{number}.png")[0]
        expected = np.vectorize({3: 0, 7: 1, 255: IGNORE}.get)(codes)
        np.testing.assert_array_equal(labels_of(scene), expected)


def test_a_folder_says_where_it_looked_and_what_it_saw(tiles: Path) -> None:
    (tiles / "labels").rename(tiles / "masks")
    with pytest.raises(
        UserError,
        match=r"holds 10 images \(images/0.tif\) and 0 label files, none .* images/ and labels/: .*"
        "YAML",
    ) as caught:
        folder(tiles)
    assert "\n" not in str(caught.value)
    (tiles / "labels").mkdir()
    (tiles / "masks" / "3.png").rename(tiles / "labels" / "3_mask.png")
    with pytest.raises(UserError, match=r"10 images .* and 1 label files \(labels/3_mask.png\)"):
        folder(tiles)


@pytest.mark.parametrize(
    ("code", "side", "gsd"), [(32633, 10.0, 10.0), (2263, 10.0, 3.048), (4326, 1e-4, None)]
)
def test_a_folder_has_the_pixel_size_of_its_images(
    tmp_path: Path, code: int, side: float, gsd: float | None
) -> None:
    codes = np.arange(64, dtype=np.uint8).reshape(1, 8, 8) % 2
    for kind in ("images", "labels"):
        where = CRS.from_epsg(code), from_origin(10, 50, side, side)
        write_image(tmp_path / kind / "a.tif", codes, where)
    assert folder(tmp_path).gsd == (gsd and pytest.approx(gsd, rel=1e-4))


def test_two_images_of_one_name_are_refused(tiles: Path) -> None:
    (tiles / "images" / "3.png").touch()
    with pytest.raises(UserError, match=r"3.png and 3.tif have the same name; keep one"):
        folder(tiles)


def write_table(folder: Path, column: str, values: list[Any]) -> None:
    with (folder / "tiles.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["image", "label", column])
        for number, value in enumerate(values):
            writer.writerow([f"images/{number}.tif", f"labels/{number}.png", value])


def numbers_of(scenes: Any) -> set[int]:
    return {int(Path(scene.image.name).stem) for scene in scenes}


def test_a_table_says_which_part_a_tile_is_of(tiles: Path) -> None:
    write_table(tiles, "split", ["train"] * 5 + ["val"] * 2 + ["test", "held_out"])
    data = folder(tiles)
    parts = [numbers_of(part) for part in (data.training, data.validation, data.held_out)]
    assert parts == [{0, 1, 2, 3, 4}, {5, 6}, {7, 8}]
    write_table(tiles, "split", ["train", "rest"])
    with pytest.raises(UserError, match=r"tiles.csv: split is 'rest'; choose from training, train"):
        folder(tiles)


def test_regions_of_a_table_are_never_parted(tiles: Path) -> None:
    write_table(tiles, "region", [number // 2 for number in range(10)])
    data = folder(tiles)
    regions = [
        {number // 2 for number in numbers_of(part)}
        for part in (data.training, data.validation, data.held_out)
    ]
    assert sum(map(len, regions)) == 5
    assert sum(counts(data)) == 10
    write_table(tiles, "region", [])
    with pytest.raises(UserError, match=r"tiles.csv lists nothing; add rows"):
        folder(tiles)


def test_a_table_of_colours_says_what_masks_show(tiles: Path) -> None:
    for number in range(10):
        mask = LAND_COLORS[rectangles(np.random.default_rng(number), range(7), 32)]
        write_image(tiles / "labels" / f"{number}.png", np.moveaxis(mask, -1, 0))
    (tiles / "class_dict.csv").write_text("name, r, g, b\nwater, 0, 0, 255\nforest, 0, 255, 0\n")
    data = folder(tiles)
    assert [(each.name, each.color) for each in data.classes] == [
        ("water", "#0000ff"),
        ("forest", "#00ff00"),
    ]
    drawn = rectangles(np.random.default_rng(0), range(7), 32)
    expected = np.select([drawn == 5, drawn == 4], [0, 1], IGNORE)
    np.testing.assert_array_equal(labels_of(data.training[0]), expected)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("name,r,g\nwater,0,0\n", r"class_dict.csv must have the columns name, r, g and b"),
        ("name,r,g,b\nwater,0,0,blue\n", r"colours are whole numbers, 0 to 255"),
        ("name,r,g,b\nwater,0,0,256\n", r"colours are whole numbers, 0 to 255"),
    ],
)
def test_a_table_of_colours_that_cannot_be_meant_is_refused(
    tiles: Path, table: str, message: str
) -> None:
    (tiles / "class_dict.csv").write_text(table)
    with pytest.raises(UserError, match=message):
        folder(tiles)


def test_labels_that_tell_no_classes_are_refused(tiles: Path) -> None:
    write_image(tiles / "labels" / "3.png", np.zeros((3, 32, 32), np.uint8))
    with pytest.raises(UserError, match=r"3.png has 3 bands of uint8; labels are one band"):
        folder(tiles)
    for path in tiles.glob("labels/*.png"):
        write_image(path, np.full((1, 32, 32), IGNORE, np.uint8))
    with pytest.raises(UserError, match=r"the labels have 0 values; give 1 to 254"):
        folder(tiles)


# -- real imagery ----------------------------------------------------------------------------------


def shares(data: Dataset) -> Any:
    """Of the pixels of all parts, that of each class; of every tenth scene where they are many."""
    scenes = scenes_of(data)
    total = sum(
        np.bincount(labels_of(scene).ravel(), minlength=256)
        for scene in scenes[:: max(len(scenes) // 220, 1)]
    )
    return total / total.sum()


def test_real_crops_have_the_known_shares(data_folder: Path) -> None:
    data = landsat_cdl(data_folder / "landsat8_cdl")
    assert sum(counts(data)) == 220
    found = shares(data)
    assert found[[1, 2, 4]] == pytest.approx([0.07, 0.24, 0.26], abs=0.006)
    columns = [
        {Path(str(scene.image.name)).stem.split("_")[1] for scene in part}
        for part in (data.training, data.validation, data.held_out)
    ]
    assert sum(map(len, columns)) == len(set.union(*columns))
    assert all(columns)


def test_real_land_cover_is_parted_by_region(data_folder: Path) -> None:
    data = deepglobe_land(data_folder / "deepglobe_landcover")
    assert sum(counts(data)) == 1200
    with (data_folder / "deepglobe_landcover.csv").open() as file:
        region_of = {row["id"]: row["region"] for row in csv.DictReader(file)}
    regions = [
        {region_of[str(scene.image.name).removesuffix("_sat")] for scene in part}
        for part in (data.training, data.validation, data.held_out)
    ]
    assert sum(map(len, regions)) == len(set.union(*regions)) == len(set(region_of.values()))
    assert len(data.validation) == pytest.approx(120, abs=50)
    assert len(data.held_out) == pytest.approx(240, abs=50)
    found = shares(data)
    assert found[:7].sum() == 1.0
    assert found.argmax() == 2  # agriculture
    assert found[0] < 0.01


def test_real_roads_are_thin(data_folder: Path) -> None:
    data = deepglobe_roads(data_folder / "deepglobe_roads")
    assert sum(counts(data)) == 3
    assert 0.005 < shares(data)[1] < 0.15


def test_real_folders_are_read_as_they_are(data_folder: Path) -> None:
    data = folder(data_folder / "korea_sentinel2")
    assert len(data.training) == 17
    assert [each.value for each in data.classes] == [10, 30, 50, 70, 100]
    data = folder(data_folder / "strzegom_sentinel2")
    assert (len(data.training), len(data.bands)) == (5, 10)
