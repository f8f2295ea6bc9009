"""Labelled rasters as data sets: described in YAML, paired, coded, cut by place, measured."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import xarray as xr
import yaml
from hypothesis import given
from hypothesis import strategies as st
from rasterio.crs import CRS
from rasterio.transform import from_origin

from geoseg.classes import as_classes
from geoseg.errors import UserError
from geoseg.loader import IGNORE, Scene
from geoseg.train.data import dataset
from geoseg.train.data.dataset import Dataset, measure
from geoseg.train.data.labels import read_dataset
from geoseg.train.data.spec import PARTS, Split

WIDTH = 40  # pixels of 10 m: 400 m from one scene to the next but one


def write(path: Path, pixels: np.ndarray, left: float = 0.0) -> None:
    path.parent.mkdir(exist_ok=True)
    with rasterio.open(
        path,
        "w",
        driver="GTiff",
        count=len(pixels),
        height=pixels.shape[1],
        width=pixels.shape[2],
        dtype=pixels.dtype,
        crs="EPSG:32633",
        transform=from_origin(left, 5000.0, 10.0, 10.0),
    ) as file:
        file.write(pixels)


def describe(folder: Path, **changes: Any) -> Path:
    stated = {
        "name": "towns",
        "description": "Made up.",
        "gsd": 10,
        "bands": {"red": 2, "green": 1},
        "classes": [
            {"name": "land", "codes": [1, 2]},
            {"name": "water", "color": "#0000ff", "codes": [7]},
        ],
    } | changes
    path = folder / "dataset.yaml"
    kept = {key: value for key, value in stated.items() if value is not None}
    path.write_text(yaml.safe_dump(kept, sort_keys=False))
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three scenes that overlap by half; a pixel tells its column on the ground."""
    rng = np.random.default_rng(0)
    for number in range(3):
        column = np.arange(WIDTH) + number * WIDTH // 2
        rows = np.tile(column, (30, 1))
        image = np.stack([rows, rows + 1000]).astype(np.uint16)
        codes = rng.choice([1, 2, 7, 9], (1, 30, WIDTH)).astype(np.uint8)
        write(tmp_path / "images" / f"scene_{number}.tif", image, number * 200.0)
        write(tmp_path / "labels" / f"scene_{number}.tif", codes, number * 200.0)
    describe(tmp_path)
    return tmp_path


def whole(scene: Scene) -> tuple[slice, slice]:
    return slice(0, scene.shape[0]), slice(0, scene.shape[1])


def columns_of(scenes: Any) -> set[int]:
    """Columns on the ground that scenes hold, read from their second band."""
    return {int(value) for s in scenes for value in np.unique(s.read(whole(s))[1])}


# -- reading ---------------------------------------------------------------------------------------


def test_bands_come_in_the_stated_order_and_codes_become_classes(folder: Path) -> None:
    data = read_dataset(folder)
    assert (data.name, data.bands, data.gsd) == ("towns", ("red", "green"), 10.0)
    assert [(c.value, c.name) for c in data.classes] == [(0, "land"), (1, "water")]
    assert data.classes[1].color == "#0000ff"
    for number, scene in enumerate(data.training):
        with rasterio.open(folder / "images" / f"scene_{number}.tif") as file:
            expected = file.read([2, 1])
        with rasterio.open(folder / "labels" / f"scene_{number}.tif") as file:
            codes = file.read(1)
        np.testing.assert_array_equal(scene.read(whole(scene)), expected)
        classes = np.vectorize({1: 0, 2: 0, 7: 1, 9: IGNORE}.get)(codes)
        np.testing.assert_array_equal(scene.read_labels(whole(scene)), classes)


def test_a_class_may_have_the_value_that_its_labels_have(folder: Path) -> None:
    land = {"name": "land", "value": 2, "codes": [1, 2]}
    describe(folder, classes=[land, {"name": "water", "value": 7, "codes": [7]}])
    data = read_dataset(folder)
    assert [each.value for each in data.classes] == [2, 7]
    found = np.unique(data.training[0].read_labels(whole(data.training[0])))
    assert set(found) == {0, 1, IGNORE}  # what is learnt stays an index


def test_codes_of_no_class_are_told_once_with_their_pixels(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        scenes = read_dataset(folder).training
        for scene in [*scenes, *scenes]:
            scene.read_labels(whole(scene))
    path = min(folder.glob("labels/*.tif"))
    count = int((rasterio.open(path).read() == 9).sum())
    assert count > 0
    assert [r.getMessage() for r in caplog.records] == [
        f"labels of no class are ignored wherever they are, first in {path}: 9 ({count} pixels)"
    ]


def test_the_folder_of_the_files_can_be_given(folder: Path, tmp_path_factory: Any) -> None:
    elsewhere = describe(tmp_path_factory.mktemp("elsewhere"))
    assert len(read_dataset(elsewhere, folder).training) == 3
    with pytest.raises(UserError, match=r"no image matches .*images/\*; check root and images"):
        read_dataset(elsewhere)


def test_a_missing_description_says_what_belongs_there(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no .*dataset.yaml; describe the data set there: name"):
        read_dataset(tmp_path)


def test_text_that_is_no_yaml_is_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "dataset.yaml").write_text("name: [1, 2\nbands: }")
    with pytest.raises(UserError, match=r"dataset.yaml is not YAML: ") as caught:
        read_dataset(tmp_path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": None}, r"dataset.yaml: name is missing"),
        ({"colour": "red"}, r"no field 'colour'; choose from classes, split, name"),
        ({"gsd": "ten"}, r"gsd is 'ten'; give a number"),
        ({"bands": ["red"]}, r"bands is \['red'\]; give fields with values"),
        ({"bands": {"red": 5, "green": 1}}, r"band"),
        ({"classes": []}, r"no classes were given"),
        ({"classes": ["water"]}, r"class 1: 'water' must be fields"),
        ({"classes": [{"name": "sea"}]}, r"class 1: 'sea' has no codes, colors or polygons; list"),
        (
            {"labels": "towns.gpkg"},
            r"towns.gpkg, a file of polygons, .* codes .*polygons: all, none",
        ),
        ({"labels": "masks/*"}, r"no label matches .*masks/\*; check root and labels"),
        ({"classes": [{"name": "sea", "codes": ["a"]}]}, r"'sea': codes \['a'\] must be whole"),
        ({"classes": [{"name": "sea", "codes": []}]}, r"'sea': codes \[\] must be whole"),
        ({"classes": [{"name": n, "codes": [1]} for n in "ab"]}, r"code 1 is listed by two"),
        (
            {"classes": [{"name": n, "value": 3, "codes": [ord(n)]} for n in "ab"]},
            r"class values \[3, 3\] are not distinct",
        ),
        ({"split": {"by": "z"}}, r"by is 'z'; choose x, y or name"),
        ({"split": {"by": "x", "held_out": [5, 1]}}, r"\[5, 1\] must be two rising numbers"),
        ({"split": {"by": "x", "held_out": [1, "b"]}}, r"must be two rising numbers"),
        ({"split": {"by": "x", "margin": -1}}, r"margin is -1; give 0 or more"),
        ({"split": {"by": "x", "validation": [0, 5], "held_out": [4, 9]}}, r"overlap"),
        ({"split": {"by": "name", "pattern": "_([a-z]+)$"}}, r"finds no number in 'scene_0'"),
        ({"split": {"by": "x", "held_out": [-1e9, 1e9]}}, r"no scene to train on"),
    ],
)
def test_a_description_that_cannot_be_meant_is_refused(
    folder: Path, changes: dict[str, Any], message: str
) -> None:
    describe(folder, **changes)
    with pytest.raises(UserError, match=message):
        read_dataset(folder)


def test_an_image_without_labels_is_named(folder: Path) -> None:
    (folder / "labels" / "scene_1.tif").unlink()
    with pytest.raises(UserError, match=r"no partner, first images/scene_1.tif;"):
        read_dataset(folder)

    write(folder / "labels" / "scene_1.tif", np.ones((1, 30, WIDTH), np.uint8), left=210.0)
    with pytest.raises(UserError, match=r"scene_1.tif lies elsewhere than its image; give"):
        read_dataset(folder)


@pytest.fixture
def streets(tmp_path: Path) -> Path:
    """Two files of the same names in each of three folders; all pixels of one have one value."""
    for value in range(6):
        place, name = tmp_path / f"tile_{value // 2 + 1}", f"part_{value % 2 + 1}.tif"
        for kind in ("images", "masks"):
            (place / kind).mkdir(parents=True, exist_ok=True)
            write(place / kind / name, np.full((1, 4, 5), value, np.uint8))
    return tmp_path


def describe_streets(folder: Path, **changes: Any) -> Path:
    classes = [{"name": f"street {value}", "codes": [value]} for value in range(6)]
    patterns = {"images": "tile_*/images/*.tif", "labels": "tile_*/masks/*.tif"}
    return describe(folder, **(patterns | {"bands": {"grey": 1}, "classes": classes} | changes))


def values_of(scenes: Any) -> list[int]:
    """The value of each scene, which its labels have as well."""
    found = [int(scene.read(whole(scene)).min()) for scene in scenes]
    assert found == [int(scene.read_labels(whole(scene)).max()) for scene in scenes]
    return found


@pytest.mark.parametrize("images", ["tile_*/images/*.tif", "**/images/part_?.tif"])
def test_files_of_one_name_belong_together_by_their_folders(streets: Path, images: str) -> None:
    labels = images.replace("images", "masks")
    data = read_dataset(describe_streets(streets, images=images, labels=labels))
    assert values_of(data.training) == [0, 1, 2, 3, 4, 5]


def test_files_belong_together_by_what_wildcards_match_in_their_names(streets: Path) -> None:
    for path in streets.glob("*/masks/*.tif"):
        path.rename(path.with_name(path.name.replace("part", "drawn")))
    stated = {"images": "tile_*/images/part_*.tif", "labels": "tile_*/masks/drawn_*.tif"}
    assert values_of(read_dataset(describe_streets(streets, **stated)).training) == list(range(6))


def test_files_whose_partners_are_not_known_are_refused_by_name(streets: Path) -> None:
    describe_streets(streets, labels="tile_1/masks/*.tif")
    with pytest.raises(UserError, match=r"8 of .* no partner, first tile_1/images/part_1.tif") as e:
        read_dataset(streets)
    assert "\n" not in str(e.value)
    describe_streets(streets, images="tile_[12]/images/part_1.tif", labels="tile_1/masks/*.tif")
    with pytest.raises(UserError, match=r"no partner"):
        read_dataset(streets)
    (streets / "tile_1/images/part_1.jpg").touch()
    describe_streets(streets, images="tile_*/images/*")
    with pytest.raises(
        UserError, match=r"tile_1/images/part_1.jpg and tile_1/images/part_1.tif have the same name"
    ):
        read_dataset(streets)


def test_names_that_end_otherwise_are_shown_and_pair_by_their_pattern(folder: Path) -> None:
    for path in folder.glob("labels/*.tif"):
        path.rename(path.with_suffix(".mask.tif"))
    with pytest.raises(
        UserError,
        match=r"6 of .* first images/scene_0.tif and labels/scene_0.mask.tif; .*\*.mask.tif",
    ):
        read_dataset(folder)
    assert len(read_dataset(describe(folder, labels="labels/*.mask.tif")).training) == 3


@pytest.mark.parametrize(
    ("sides", "crs", "gsd"),
    [
        ((10.0, 10.05), "EPSG:32633", 10.025),
        ((10.0, 10.2), "EPSG:32633", None),
        ((1e-4, 1e-4), "EPSG:4326", None),
        ((10.0, 10.0), "", None),
    ],
)
def test_the_pixel_size_is_that_of_the_images_where_they_agree(
    folder: Path, sides: tuple[float, float], crs: str, gsd: float | None
) -> None:
    (folder / "images/scene_2.tif").unlink()
    (folder / "labels/scene_2.tif").unlink()
    for number, side in enumerate(sides):
        for path in folder.glob(f"*/scene_{number}.tif"):
            with rasterio.open(path, "r+") as file:
                file.transform, file.crs = (
                    from_origin(10.0, 50.0, side, side),
                    CRS.from_string(crs) if crs else CRS(),
                )
    assert read_dataset(describe(folder)).gsd == 10.0  # as stated
    assert read_dataset(describe(folder, gsd=None)).gsd == (gsd and pytest.approx(gsd))


# -- parts -----------------------------------------------------------------------------------------


def test_folders_can_be_split_by_their_numbers(streets: Path) -> None:
    split = {"by": "name", "pattern": r"tile_(\d+)", "held_out": [2, 3]}
    data = read_dataset(describe_streets(streets, split=split))
    assert (values_of(data.training), values_of(data.held_out)) == ([0, 1, 4, 5], [2, 3])
    # A name goes before its folders.
    data = read_dataset(describe_streets(streets, split=split | {"pattern": r"_(\d+)$"}))
    assert values_of(data.held_out) == [1, 3, 5]


@pytest.mark.parametrize(
    ("split", "told"),
    [
        (
            {"by": "name", "validation": [0, 2], "held_out": [77, 99]},
            "held_out 77 to 99 holds none of 3 scenes (numbers 0 to 2)",
        ),
        (
            {"by": "name", "validation": [3, 5]},
            "validation 3 to 5 holds none of 3 scenes (numbers 0 to 2)",
        ),
        (
            {"by": "x", "held_out": [331000, 342000]},
            "held_out 331000 to 342000 holds none of 3 scenes (x 5 to 795)",
        ),
        (
            {"by": "y", "held_out": [0, 10]},
            "held_out 0 to 10 holds none of 3 scenes (y 4705 to 4995)",
        ),
    ],
)
def test_a_part_that_holds_nothing_is_told_of(
    folder: Path, split: dict[str, Any], told: str, caplog: pytest.LogCaptureFixture
) -> None:
    read_dataset(describe(folder, split=split))
    assert caplog.messages == [f"{told}; correct the split"]


def test_parts_cut_by_place_share_no_ground_even_where_scenes_overlap(folder: Path) -> None:
    split = {"by": "x", "validation": [150, 250], "held_out": [500, 650], "margin": 30}
    describe(folder, split=split)
    data = read_dataset(folder)
    # Pixel centres lie at 5, 15, ...: column c is at 10 c + 5.
    assert columns_of(data.validation) == set(range(15, 25))
    assert columns_of(data.held_out) == set(range(50, 65))
    assert columns_of(data.training) == set(range(12)) | set(range(28, 47)) | set(range(68, 80))


def test_files_can_be_split_by_a_number_in_their_names(folder: Path) -> None:
    describe(folder, split={"by": "name", "pattern": r"_(\d+)$", "held_out": [1, 2]})
    data = read_dataset(folder)
    assert columns_of(data.held_out) == set(range(20, 60))
    assert len(data.training) == 2


def test_images_without_coordinates_cannot_be_split_by_them(folder: Path) -> None:
    for path in folder.glob("*/*.tif"):
        pixels = rasterio.open(path).read()
        with pytest.warns(rasterio.errors.NotGeoreferencedWarning):
            rasterio.open(path, "w", "GTiff", WIDTH, 30, len(pixels), dtype=pixels.dtype).write(
                pixels
            )
    describe(folder, split={"by": "x", "held_out": [0, 100]})
    with pytest.raises(UserError, match=r"no coordinates along x; split it by name"):
        read_dataset(folder)


numbers = st.integers(-50, 50).map(float)


@given(
    st.lists(numbers, min_size=4, max_size=4, unique=True).map(sorted),
    st.integers(0, 20).map(float),
    st.booleans(),
)
def test_parts_keep_their_distance(ends: list[float], margin: float, swap: bool) -> None:
    first, second = (ends[0], ends[1]), (ends[2], ends[3])
    spans = (second, first) if swap else (first, second)
    places = np.arange(-80.0, 80.0)
    parts = Split("x", "", spans[0], spans[1], margin).part_of(places)
    held_out = places[parts == PARTS.index("held_out")]
    assert held_out.tolist() == [p for p in places if spans[1][0] <= p < spans[1][1]]
    for name in ("training", "validation"):
        others = places[parts == PARTS.index(name)]
        distances = np.abs(others[:, None] - held_out[None])
        assert distances.size == 0 or distances.min() > margin - 1


# -- statistics ------------------------------------------------------------------------------------


def made_up(pixels: np.ndarray, labels: np.ndarray, nodata: float | None = None) -> Scene:
    image = xr.DataArray(pixels, dims=("band", "y", "x"))
    image = image if nodata is None else image.rio.write_nodata(nodata)
    return Scene(image, xr.DataArray(labels, dims=("y", "x")))


def data_of(*training: Scene, **others: Any) -> Dataset:
    return Dataset("towns", "", as_classes(["land", "water"]), ("a", "b"), training, **others)


def test_statistics_are_those_of_the_training_pixels_that_have_data() -> None:
    rng = np.random.default_rng(0)
    pixels = [rng.integers(1, 2000, (2, rows, 50), dtype=np.int16) for rows in (30, 70)]
    pixels[0][:, :10] = -1
    labels = [rng.choice([0, 1, IGNORE], each.shape[1:]).astype(np.uint8) for each in pixels]
    scenes = [made_up(*pair, nodata=-1) for pair in zip(pixels, labels, strict=True)]
    other = made_up(pixels[1] + 5000, labels[1])
    found = measure(data_of(*scenes, held_out=[other]))
    values = np.concatenate([each.reshape(2, -1) for each in pixels], 1)[:, 500:]
    np.testing.assert_allclose(found.mean, values.mean(1), rtol=1e-6)
    np.testing.assert_allclose(found.std, values.std(1), rtol=1e-6)
    expected = np.percentile(values, (0.1, 99.9), axis=1).T
    np.testing.assert_allclose(found.value_range, expected, rtol=1e-6)
    every = np.concatenate([each.ravel() for each in labels])
    assert found.class_pixels.tolist() == [(every == 0).sum(), (every == 1).sum()]


def test_a_scene_larger_than_a_read_is_counted_once() -> None:
    pixels = np.random.default_rng(0).integers(0, 9, (2, 20, 1100), dtype=np.uint8)
    found = measure(data_of(made_up(pixels, pixels[0] % 2)))
    assert found.class_pixels.tolist() == np.bincount(pixels[0].ravel() % 2).tolist()


def test_of_very_many_pixels_evenly_spread_pieces_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    scenes = [
        made_up(pixels, (pixels[0] > 150).astype(np.uint8))
        for pixels in rng.integers(0, 200, (200, 2, 16, 16), dtype=np.uint8)
    ]
    read: list[int] = []

    def counted(scene: Scene, box: Any) -> Any:
        read.append(next(n for n, each in enumerate(scenes) if each is scene))
        return part(scene, box)

    part = Scene.part
    whole = measure(data_of(*scenes))
    monkeypatch.setattr(dataset, "LOOKED_AT", 40 * 16 * 16)
    monkeypatch.setattr(Scene, "part", counted)
    found = measure(data_of(*scenes))
    assert len(set(read)) == 40
    assert [number // 5 for number in sorted(set(read))] == list(range(40))  # one of every five
    assert len({number % 5 for number in read}) == 5  # and not always the same one of them
    assert len(read) == 40  # once for pixels and labels
    assert found.class_pixels.sum() == 40 * 16 * 16
    np.testing.assert_allclose(found.mean, whole.mean, rtol=0.03)
    np.testing.assert_allclose(found.std, whole.std, rtol=0.03)
    shares = [each.class_pixels / each.class_pixels.sum() for each in (found, whole)]
    np.testing.assert_allclose(*shares, atol=0.02)
    again = measure(data_of(*scenes))
    assert (again.mean, again.std) == (found.mean, found.std)


def test_pixels_are_held_once_for_all_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    data = data_of(
        made_up(np.arange(200, dtype=np.uint8).reshape(2, 10, 10), np.eye(10, dtype=int))
    )
    monkeypatch.setattr(dataset, "IN_MEMORY", 500)
    assert data.in_memory() is not data
    assert data.in_memory(2) is not data
    assert data.in_memory(3) is data


def test_a_constant_band_is_refused_by_name() -> None:
    pixels = np.stack([np.arange(100).reshape(10, 10), np.full((10, 10), 255)]).astype(np.uint8)
    with pytest.raises(UserError, match=r"band 'b' is 255 in every training pixel; leave it out"):
        measure(data_of(made_up(pixels, np.zeros((10, 10), np.uint8))))


def test_a_band_without_data_is_refused_by_name() -> None:
    pixels = np.full((2, 5, 5), np.nan, np.float32)
    with pytest.raises(UserError, match=r"band 'a' has no data"):
        measure(data_of(made_up(pixels, np.zeros((5, 5), np.uint8))))


@pytest.mark.parametrize(
    ("label", "message"),
    [(2, r"label 2 in a training scene, but there are 2 classes"), (IGNORE, r"no training pixel")],
)
def test_labels_that_are_no_classes_are_refused(label: int, message: str) -> None:
    pixels = np.arange(50, dtype=np.uint8).reshape(2, 5, 5)
    with pytest.raises(UserError, match=message):
        measure(data_of(made_up(pixels, np.full((5, 5), label, np.uint8))))


def test_scenes_need_labels_and_the_named_bands() -> None:
    pixels = xr.DataArray(np.zeros((3, 5, 5), np.uint8), dims=("band", "y", "x"))
    with pytest.raises(UserError, match=r"a scene has no labels"):
        data_of(Scene(pixels))
    with pytest.raises(UserError, match=r"3 bands but 2 are named \(a, b\)"):
        data_of(made_up(pixels.values, np.zeros((5, 5), np.uint8)))
    with pytest.raises(UserError, match=r"no scene to train on"):
        data_of()


def test_pixels_are_read_once_into_memory(folder: Path) -> None:
    data = read_dataset(folder).in_memory()
    for path in folder.glob("images/*.tif"):
        path.unlink()
    assert columns_of(data.training) == set(range(80))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"gsd": -1}, r"gsd is -1; give the metres"),
        ({"gsd": float("nan")}, r"gsd is nan; give the metres"),
        ({"bands": {}}, r"bands is \{\}; name each"),
        ({"bands": {1: 2}}, r"bands is \{1: 2\}; name each"),
        ({"images": ""}, r"the pattern '' is none below root; give e.g. images"),
        ({"images": "/data/*.tif"}, r"the pattern '/data/\*.tif' is none below root"),
        ({"labels": "/data/*.tif"}, r"the pattern '/data/\*.tif' is none below root"),
        ({"unscored": ["sea"]}, r"unscored lists 'sea', but the classes are land, water"),
        ({"split": {"by": "name", "pattern": "("}}, r"the pattern '\(' is no regular expression"),
    ],
)
def test_fields_that_cannot_be_meant_are_refused(
    folder: Path, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        read_dataset(describe(folder, **changes))


def test_classes_that_do_not_count_are_named(folder: Path) -> None:
    assert read_dataset(describe(folder, unscored=["water"])).unscored == (1,)


def test_scenes_with_different_missing_values_do_not_share_batches() -> None:
    labels = xr.DataArray(np.zeros((2, 2), np.uint8), dims=("y", "x"))
    plain = xr.DataArray(np.ones((1, 2, 2), np.float32), dims=("band", "y", "x"))
    nan, zero = (plain.rio.write_nodata(value) for value in (np.nan, 0.0))
    both = [Scene(plain, labels), Scene(nan, labels)]  # NaN is missing anyway
    Dataset("towns", "", as_classes(["a", "b"]), ("only",), both, both)
    with pytest.raises(UserError, match=r"towns: scenes have different no-data values \(0, none\)"):
        Dataset("towns", "", as_classes(["a", "b"]), ("only",), [*both, Scene(zero, labels)])


@pytest.mark.parametrize(("ignored", "share"), [(10, None), (11, "11 %"), (60, "60 %")])
def test_many_labels_of_no_class_are_told_of(
    ignored: int, share: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    labels = np.repeat(np.uint8([IGNORE, 0, 1]), [ignored, 20, 80 - ignored]).reshape(10, 10)
    measure(data_of(made_up(np.arange(200).reshape(2, 10, 10), labels)))
    told = [
        f"towns: {share} of the training labels that were looked at are of no class and ignored; "
        "if they mean something, list it in a class"
    ]
    assert caplog.messages == (told if share else [])


def test_classes_without_a_pixel_are_told_of_by_name(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    classes = [
        {"name": name, "codes": codes}
        for name, codes in {"ice": [80], "land": [1, 2, 7], "rest": [9], "sand": [60]}.items()
    ]
    measure(read_dataset(describe(folder, classes=classes)))
    assert caplog.messages == [
        "towns: no training pixel that was looked at is of class 'ice', 'sand', which will not be "
        "learnt; check codes and split, or leave it out"
    ]
