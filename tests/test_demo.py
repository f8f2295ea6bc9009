from __future__ import annotations

import importlib.util
from pathlib import Path

import geopandas as gpd
import numpy as np
import pytest
import rasterio

from geoseg import demo, landscape
from geoseg.errors import UserError
from geoseg.segmenter import load, shipped_models

SHAPE = (256, 320)
needs_model = pytest.mark.skipif(
    demo.MODEL not in shipped_models(),
    reason=f"{demo.MODEL}.safetensors is not there; examples/train_demo_model.py makes it",
)


def run(folder, **options):
    return demo.run(folder, shape=SHAPE, **options)


def training_script():
    path = Path(__file__).parents[1] / "examples" / "train_demo_model.py"
    spec = importlib.util.spec_from_file_location("train_demo_model", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("demo")
    events = []
    return run(folder, on_progress=events.append), events


def read(path):
    with rasterio.open(path) as dataset:
        return dataset.read(), dataset.profile | {"names": dataset.descriptions}


@needs_model
def test_the_scene_is_the_landscape_of_the_seed_in_metres(finished):
    pixels, profile = read(finished[0].outputs["scene"])
    np.testing.assert_array_equal(pixels, landscape.make(SHAPE, demo.SEED)[0])
    assert profile["names"] == ("blue", "green", "red", "nir")
    assert (profile["crs"].to_epsg(), profile["nodata"]) == (32633, 0)
    assert profile["transform"][:6] == (10, 0, 500_000, 0, -10, 5_400_000)


@needs_model
def test_the_score_is_that_of_the_map_against_the_truth(finished):
    result, _ = finished
    (predicted,), _ = read(result.outputs["classes"])
    truth = landscape.make(SHAPE, demo.SEED)[1]
    expected = [
        np.sum((truth == value) & (predicted == value))
        / np.sum(((truth == value) | (predicted == value)) & (truth != landscape.IGNORE))
        for value in range(7)
    ]
    np.testing.assert_allclose([each.iou for each in result.classes], expected)
    assert result.miou == pytest.approx(np.mean(expected))
    assert result.miou > 0.75


@needs_model
def test_areas_are_those_of_the_polygons(finished):
    result, _ = finished
    frame = gpd.read_file(result.outputs["polygons"], layer="classes")
    by_name = frame.geometry.area.groupby(frame["class_name"]).sum() / 1e6
    for each in result.classes:
        assert each.km2 == pytest.approx(by_name[each.name])
    assert sum(each.share for each in result.classes) == pytest.approx(1)


@needs_model
def test_a_pixel_has_a_class_where_it_has_data_and_nowhere_else(finished):
    result, _ = finished
    pixels, _ = read(result.outputs["scene"])
    (predicted,), _ = read(result.outputs["classes"])
    np.testing.assert_array_equal(predicted == landscape.IGNORE, np.all(pixels == 0, axis=0))


@needs_model
def test_the_demo_tells_what_it_does_and_ends_with_its_four_files(finished):
    result, events = finished
    kinds = [event["event"] for event in events]
    assert kinds[0] == "start"
    assert kinds.count("done") == 1
    assert kinds[-1] == "done"
    assert set(events[-1]["outputs"]) == {"scene", "classes", "polygons", "preview"}
    assert all(Path(path).is_file() for path in events[-1]["outputs"].values())
    report = result.report()
    for each in landscape.CLASSES:
        assert each.name in report
    assert f"{result.miou:.3f}" in report
    assert "preview.png" in report


@needs_model
def test_a_demo_that_stopped_half_way_goes_on_with_its_scene(tmp_path):
    first = run(tmp_path)
    written = first.outputs["scene"].stat().st_mtime_ns
    expected = first.outputs["classes"].read_bytes()
    for name in ("classes", "polygons", "preview"):
        first.outputs[name].unlink()
    again = run(tmp_path)
    assert again.outputs["scene"].stat().st_mtime_ns == written
    assert again.outputs["classes"].read_bytes() == expected


@needs_model
def test_an_earlier_demo_is_replaced_only_if_asked(tmp_path):
    run(tmp_path)
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(UserError, match=r"classes\.tif exists; add --overwrite"):
        run(tmp_path)
    other = run(tmp_path, seed=5, overwrite=True)
    np.testing.assert_array_equal(read(other.outputs["scene"])[0], landscape.make(SHAPE, seed=5)[0])
    assert (tmp_path / "notes.txt").read_text() == "mine"


@pytest.mark.parametrize("name", ["scene.tif", "classes.tif", "classes.gpkg", "preview.png"])
def test_a_file_of_somebody_else_is_in_the_way_before_any_work(tmp_path, name):
    (tmp_path / name).write_bytes(b"precious")
    with pytest.raises(UserError, match=rf"{name} exists; add --overwrite"):
        run(tmp_path)
    assert [each.name for each in tmp_path.iterdir()] == [name]
    assert (tmp_path / name).read_bytes() == b"precious"


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"cannot make the folder .*file/demo .*; choose another"):
        run(tmp_path / "file" / "demo")


def test_the_model_is_trained_on_other_landscapes_than_the_demos():
    script = training_script()
    assert demo.SEED not in {*script.SEEDS, *script.HELD_OUT}
    assert not {*script.SEEDS} & {*script.HELD_OUT}


@needs_model
def test_the_shipped_model_is_small_and_as_the_script_makes_it():
    assert shipped_models()[demo.MODEL].stat().st_size < 3_000_000
    card, script = load(demo.MODEL).card, training_script()
    assert card.classes == landscape.CLASSES
    assert card.bands == landscape.BANDS
    assert card.training["scenes"] == len(script.SEEDS)
    assert card.training["settings"]["steps"] == script.SETTINGS.steps
