# SPDX-License-Identifier: GPL-2.0-or-later
"""What the engine is told, and whether it understands that."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from geoseg_qgis.engine.commands import (
    Evaluate,
    ModelInfo,
    Polygonize,
    Segment,
    Split,
    Train,
    TrainingClass,
    TrainingData,
    dataset_text,
)

PYTHON = os.environ.get("GEOSEG_PYTHON", "")
with_engine = pytest.mark.skipif(not PYTHON, reason="GEOSEG_PYTHON names no Python with geoseg")

# Words


def test_only_what_differs_from_the_defaults_is_told() -> None:
    assert Segment("in.tif", "map.tif", "demo").arguments() == [
        "predict", "--model=demo", "--", "in.tif", "map.tif",
    ]  # fmt: skip
    assert Polygonize("map.tif", "p.gpkg").arguments() == ["polygonize", "--", "map.tif", "p.gpkg"]
    assert Evaluate("map.tif", "truth.tif").arguments() == [
        "evaluate", "--", "map.tif", "truth.tif",
    ]  # fmt: skip
    assert Train("unet", "data.yaml", "m.safetensors").arguments() == [
        "train", "--data=data.yaml", "--out=m.safetensors", "--", "unet",
    ]  # fmt: skip
    assert ModelInfo("demo").arguments() == ["model", "info", "--json", "--", "demo"]


def test_every_option_of_a_segmentation_is_told() -> None:
    command = Segment(
        "in.tif",
        "map.tif",
        "m.safetensors",
        bands="4,3,2",
        bbox=(-1.5, -2.0, 3.25, 4.0),
        bbox_crs="EPSG:4326",
        assume_crs='PROJCRS["x y"]',
        mask="parcels.gpkg",
        polygons="p.gpkg",
        confidence="c.tif",
        min_area=250.0,
        simplify=0.5,
        window=512,
        halo=64,
        blend="hann",
        gsd=0.00001,
        pixel_size=0.25,
        views="d4",
        device="cuda:1",
        memory="4GB",
        overwrite=True,
    )
    assert command.arguments() == [
        "predict", "--model=m.safetensors", "--bands=4,3,2",
        "--bbox", "-1.5", "-2.0", "3.25", "4.0", "--bbox-crs=EPSG:4326",
        '--assume-crs=PROJCRS["x y"]', "--mask=parcels.gpkg", "--polygons=p.gpkg",
        "--confidence=c.tif", "--min-area=250.0", "--simplify=0.5", "--window=512", "--halo=64",
        "--blend=hann", "--gsd=1e-05", "--pixel-size=0.25", "--views=d4", "--device=cuda:1",
        "--memory=4GB", "--overwrite", "--", "in.tif", "map.tif",
    ]  # fmt: skip


def test_a_halo_of_0_is_told_for_it_is_no_default() -> None:
    assert "--halo=0" in Segment("a", "b", "m", halo=0).arguments()


def test_settings_are_told_one_by_one() -> None:
    command = Train("unet", "d", "m", settings={"steps": "20", "name": "a=b"}, resume=True)
    assert command.arguments() == [
        "train", "--set=steps=20", "--set=name=a=b", "--data=d", "--out=m", "--resume", "--",
        "unet",
    ]  # fmt: skip


PARSE = """
import json, sys
from geoseg.cli import main
command, words = main, json.loads(sys.argv[1])
while hasattr(command, "commands"):
    command = command.commands[words.pop(0)]
print(json.dumps(command.make_context("", words).params, default=str))
"""


def engine(code: str, *arguments: str) -> Any:
    """What some code prints as JSON in the Python of the engine."""
    told = subprocess.run(
        [PYTHON, "-I", "-c", code, *arguments], capture_output=True, text=True, check=False
    )
    assert told.returncode == 0, told.stderr
    return json.loads(told.stdout)


def understood(arguments: Sequence[str]) -> dict[str, Any]:
    """What the engine takes words for, without what was not told."""
    found = engine(PARSE, json.dumps(arguments))
    return {name: each for name, each in found.items() if each not in (None, [])}


@with_engine
def test_the_engine_understands_words_that_begin_with_a_dash() -> None:
    command = Segment(
        "-a.tif", "--overwrite", "-m", bands="--restart", bbox=(-3.0, -2.5, -1.0, -1e-05),
        polygons="-p.gpkg", confidence="--stack", memory="2GB", halo=0, gsd="native",
    )  # fmt: skip
    found = understood(command.arguments())
    assert found["paths"] == ["-a.tif", "--overwrite"]
    assert found["models"] == ["-m"]
    assert found["bands"] == "--restart"
    assert found["bbox"] == [-3.0, -2.5, -1.0, -0.00001]
    assert found["polygons"] == "-p.gpkg"
    assert found["confidence"] == "--stack"
    assert (found["memory"], found["halo"], found["gsd"]) == (2_000_000_000, 0, "native")
    assert not any(found[name] for name in ("overwrite", "restart", "stack"))


@with_engine
def test_the_engine_knows_all_options_of_a_segmentation() -> None:
    command = Segment(
        "a.tif", "b.tif", "m", bands="3,2,1", bbox=(0, 0, 1, 1), bbox_crs="EPSG:4326",
        polygons="p.gpkg", confidence="c.tif", min_area=1.5, simplify=2.0, window=64, halo=8,
        blend="mean", gsd=2.5, pixel_size=0.5, views="flips", device="cpu", memory="1GB",
        overwrite=True,
    )  # fmt: skip
    found = understood(command.arguments())
    for name in ("min_area", "simplify", "window", "blend", "gsd", "pixel_size", "views", "device"):
        assert found[name] == getattr(command, name)
    assert found["overwrite"] is True


@with_engine
def test_the_engine_knows_a_mask_and_the_coordinate_system_of_an_image_without_one() -> None:
    wkt = 'LOCAL_CS["a, b", UNIT["metre", 1]]'
    found = understood(Segment("a", "b", "m", assume_crs=wkt, mask="-p.gpkg").arguments())
    assert (found["assume_crs"], found["mask"]) == (wkt, "-p.gpkg")


@with_engine
def test_the_engine_knows_all_options_of_the_other_commands() -> None:
    found = understood(
        Polygonize(
            "-a.tif", "-p.gpkg", connectivity=8, min_area=4.0, simplify=0.5, classes="-x,y",
            with_nodata=True, regularize=True, crs="EPSG:4326", band="2", confidence="c.tif",
            assume_crs="EPSG:2056", overwrite=True,
        ).arguments()
    )  # fmt: skip
    assert found == {
        "classmap": "-a.tif", "dst": "-p.gpkg", "connectivity": "8", "min_area": 4.0,
        "simplify": 0.5, "classes": "-x,y", "with_nodata": True, "regularize": True,
        "crs": "EPSG:4326", "band": "2", "confidence": "c.tif", "assume_crs": "EPSG:2056",
        "overwrite": True, "progress": "auto", "summary": False,
    }  # fmt: skip
    found = understood(
        Evaluate("-a", "-b", model="m", scores="s", report="-r", overwrite=True).arguments()
    )
    assert found == {
        "predicted": "-a", "truth": "-b", "model": "m", "scores": "s", "report": "-r",
        "overwrite": True, "progress": "auto",
    }  # fmt: skip
    found = understood(
        Train(
            "unet", "-d", "-o", settings={"steps": "5", "lr": "-1"}, resume=True, report="-r",
            device="cpu", overwrite=True,
        ).arguments()
    )  # fmt: skip
    assert found == {
        "recipe": "unet", "data": "-d", "out": "-o", "settings": ["steps=5", "lr=-1"],
        "resume": True, "report": "-r", "device": "cpu", "overwrite": True, "progress": "auto",
    }  # fmt: skip
    found = understood(ModelInfo("-m").arguments())
    assert (found["model"], found["as_json"]) == ("-m", True)


@with_engine
def test_the_engine_tells_of_a_model_in_brief() -> None:
    assert understood(ModelInfo("m", brief=True).arguments())["brief"] is True


# Descriptions of data to learn from

CODED = (
    TrainingClass("forêt 森", "#1b5e34", codes=(70, 71)),
    TrainingClass("field", value=50, codes=(50,)),
)
DRAWN = (
    TrainingClass("ground", "#808080", polygons="none"),
    TrainingClass("house", "#c8353a", polygons=("house", "garage: 'old'")),
    TrainingClass("pool", value=9, polygons=(7,)),
)


def described(image: Path, labels: Path, classes: Sequence[TrainingClass]) -> TrainingData:
    return TrainingData(str(image), str(labels), "the town: 2", {"red": 3, "nir": 1}, classes)


def test_a_description_is_json_without_what_was_not_said() -> None:
    text = dataset_text(described(Path("/data/in.tif"), Path("/data/labels/all.tif"), CODED))
    assert json.loads(text) == {
        "name": "the town: 2",
        "root": "/data",
        "images": "in.tif",
        "labels": "labels/all.tif",
        "bands": {"red": 3, "nir": 1},
        "classes": [
            {"name": "forêt 森", "color": "#1b5e34", "codes": [70, 71]},
            {"name": "field", "value": 50, "codes": [50]},
        ],
    }


def test_a_way_through_other_folders_is_made_short() -> None:
    text = dataset_text(described(Path("/x/../data/in.tif"), Path("/y/../data/out.tif"), CODED))
    assert json.loads(text)["root"] == "/data"


def test_small_numbers_are_written_as_yaml_takes_them() -> None:
    split = Split("x", extent=(0.0, 0.0001), share=0.5, margin=0.00001)
    data = replace(described(Path("/a.tif"), Path("/b.tif"), CODED), gsd=2e-06, split=split)
    text = dataset_text(data)
    assert '"gsd": 2.0e-06' in text
    assert '"validation": [5.0e-05, 0.0001], "margin": 1.0e-05' in text
    assert json.loads(text)["gsd"] == 0.000002


def test_a_part_of_the_extent_is_kept_for_scores() -> None:
    split = Split("y", extent=(5_000_000.0, 5_001_000.0), share=0.2, margin=160.0)
    data = replace(described(Path("/a.tif"), Path("/b.tif"), CODED), split=split)
    assert json.loads(dataset_text(data))["split"] == {
        "by": "y",
        "validation": [5_000_800.0, 5_001_000.0],
        "margin": 160.0,
    }


@pytest.mark.parametrize("name", ["scene[1].tif", "a*b.tif", "what?.tif"])
def test_a_name_that_is_a_pattern_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"which the engine takes for a pattern; rename the file"):
        dataset_text(described(tmp_path / name, tmp_path / "labels.tif", CODED))


def test_a_source_that_is_no_path_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="is no file with a folder; save the layer as a file"):
        dataset_text(described(Path("GPKG:a.gpkg:b"), tmp_path / "labels.tif", CODED))


MAKE = """
import sys
import geopandas, numpy, rasterio, shapely
from affine import Affine

def write(path, bands, **more):
    with rasterio.open(
        path, "w", driver="GTiff", width=64, height=32, count=len(bands), dtype="uint8",
        crs="EPSG:32633", transform=Affine(10, 0, 500_000, 0, -10, 5_400_000), **more
    ) as file:
        file.write(numpy.array(bands, "uint8"))

image, codes, drawn = sys.argv[1:]
ones = numpy.ones((32, 64))
write(image, [ones, 2 * ones, 3 * ones])
labels = 99 * ones
labels[:, :10], labels[:, 10:14], labels[:, 14:20] = 70, 71, 50
write(codes, [labels])
kinds = ["house", "garage: 'old'", "barn"]
boxes = [shapely.box(x, 5_399_900, x + 100, 5_400_000) for x in (500_000, 500_200, 500_400)]
frame = geopandas.GeoDataFrame({"kind": kinds}, geometry=boxes, crs="EPSG:32633").to_crs(4326)
frame.to_file(drawn, driver="GPKG", layer="buildings")
geopandas.GeoDataFrame({"number": [7]}, geometry=boxes[:1], crs="EPSG:32633").to_file(
    drawn, driver="GPKG", layer="pools"
)
print("null")
"""

READ = """
import json, sys
import numpy
from geoseg.train import read_dataset

def told(scenes):
    found = []
    for scene in scenes:
        values, counts = numpy.unique(scene.labels.values, return_counts=True)
        means = [float(each) for each in scene.image.mean(("y", "x")).values]
        found.append({
            "shape": list(scene.labels.shape), "means": means,
            "labels": dict(zip(map(int, values), map(int, counts))),
        })
    return found

data = read_dataset(sys.argv[1])
print(json.dumps({
    "name": data.name, "bands": data.bands, "gsd": data.gsd,
    "classes": [[each.value, each.name, each.color] for each in data.classes],
    "training": told(data.training), "validation": told(data.validation),
}))
"""


class Files:
    """An image of 64 x 32 pixels with labels of both kinds, in folders with unusual names."""

    def __init__(self, folder: Path) -> None:
        self.image = folder / "my [old] images" / "Größe 1.tif"
        self.codes = folder / "labels" / "codes.tif"
        self.drawn = folder / "labels" / "drawn things.gpkg"
        for each in (self.image, self.codes):
            each.parent.mkdir()
        engine(MAKE, str(self.image), str(self.codes), str(self.drawn))


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    return Files(tmp_path_factory.mktemp("data"))


def read(data: TrainingData, folder: Path) -> Any:
    """What the engine finds in a data set."""
    file = folder / "dataset.yaml"
    file.write_text(dataset_text(data), encoding="utf-8")
    return engine(READ, str(file))


@with_engine
def test_the_engine_reads_rasters_of_codes(files: Files, tmp_path: Path) -> None:
    found = read(described(files.image, files.codes, CODED), tmp_path)
    assert found["name"] == "the town: 2"
    assert found["bands"] == ["red", "nir"]
    assert found["gsd"] == 10
    assert found["classes"][0] == [0, "forêt 森", "#1b5e34"]
    assert found["classes"][1][:2] == [50, "field"]
    [scene] = found["training"]
    assert scene["means"] == [3, 1]
    assert scene["labels"] == {"0": 14 * 32, "1": 6 * 32, "255": 44 * 32}
    assert found["validation"] == []


@with_engine
def test_the_engine_reads_polygons_with_a_column(files: Files, tmp_path: Path) -> None:
    data = described(files.image, files.drawn, DRAWN[:2])
    found = read(replace(data, column="kind", layer="buildings"), tmp_path)
    assert found["classes"] == [[0, "ground", "#808080"], [1, "house", "#c8353a"]]
    [scene] = found["training"]  # two houses of 10 x 10 pixels; a barn is of no class
    assert scene["labels"] == {"0": 64 * 32 - 300, "1": 200, "255": 100}


@with_engine
def test_the_engine_reads_polygons_with_a_column_of_numbers(files: Files, tmp_path: Path) -> None:
    data = described(files.image, files.drawn, (DRAWN[0], DRAWN[2]))
    found = read(replace(data, column="number", layer="pools"), tmp_path)
    assert found["classes"][1][:2] == [9, "pool"]
    assert found["training"][0]["labels"] == {"0": 64 * 32 - 100, "1": 100}


@with_engine
def test_the_engine_takes_every_polygon_without_a_column(files: Files, tmp_path: Path) -> None:
    classes = (TrainingClass("building", polygons="all"),)
    found = read(replace(described(files.image, files.drawn, classes), layer="buildings"), tmp_path)
    assert found["training"][0]["labels"] == {"0": 300, "255": 64 * 32 - 300}


@with_engine
@pytest.mark.parametrize(
    ("by", "extent", "learnt", "scored"),
    [
        ("x", (500_000.0, 500_640.0), [32, 46], [32, 16]),
        ("y", (5_399_680.0, 5_400_000.0), [22, 64], [8, 64]),
    ],
)
def test_the_engine_keeps_a_quarter_of_the_extent_for_scores(
    files: Files, tmp_path: Path, by: str, extent: tuple[float, float], learnt: Any, scored: Any
) -> None:
    split = Split(by, extent, share=0.25, margin=20.0)  # two pixels
    found = read(replace(described(files.image, files.codes, CODED), split=split), tmp_path)
    assert [each["shape"] for each in found["training"]] == [learnt]
    assert [each["shape"] for each in found["validation"]] == [scored]


@with_engine
def test_the_engine_reads_an_image_beside_its_labels(files: Files, tmp_path: Path) -> None:
    for name, source in (("scene.tif", files.image), ("scene_labels.tif", files.codes)):
        (tmp_path / name).write_bytes(source.read_bytes())
    data = described(tmp_path / "scene.tif", tmp_path / "x" / ".." / "scene_labels.tif", CODED)
    assert read(replace(data, gsd=1e-05), tmp_path)["gsd"] == 0.00001
