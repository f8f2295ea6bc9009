"""Buildings by a fully convolutional network, by patches and by pixels, as a recipe."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import geoseg
from geoseg.errors import UserError
from geoseg.metrics import ConfusionMatrix, roc_auc
from geoseg.raster import open_raster
from geoseg.recipes import find_recipe, train_files
from geoseg.recipes.fcn_buildings import RECIPE
from geoseg.train import Settings, change, changed, fit
from geoseg.train.data.readers import massachusetts_buildings
from tests.fixtures_published import building_labels, fake_massachusetts

VARIANTS = ("fcn", "patch", "svm")
SIZE = 128


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return fake_massachusetts(tmp_path_factory.mktemp("massachusetts"), SIZE)


@pytest.fixture(scope="module")
def train(root: Path) -> Callable[[str], Path]:
    """Trains a variant in the quick preset, once; gives the model's file."""

    def trained(variant: str) -> Path:
        path = root / f"{variant}.safetensors"
        if not path.exists():
            train_files("fcn-buildings", root, path, ["preset=quick", f"variant={variant}"])
        return path

    return trained


# -- settings --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("variant", "net", "crop"), [("fcn", "maggiori_fcn", 80), ("patch", "patch_cnn", 64)]
)
def test_the_settings_are_those_of_the_paper(variant: str, net: str, crop: int) -> None:
    settings = RECIPE.chosen(variant)
    expected = {
        "net": net,
        "crop": crop,
        "batch": 64,
        "steps": 30_000,
        "optimiser": "sgd",
        "lr": 1e-4,
        "momentum": 0.9,
        "weight_decay": 2e-4,
        "clip": 0.0,
        "loss": "sigmoid_cross_entropy",
        "schedule": "constant",
        "sampler": "scene",
        "class_power": 0.0,
        "mean": (),
        "std": (255.0,),
    }
    assert {name: getattr(settings, name) for name in expected} == expected
    assert settings.augment.symmetries == "none"
    assert settings.augment.scale == (1, 1)
    assert (settings.augment.gain, settings.augment.offset) == (0, 0)


def test_the_machine_is_fitted_to_a_thousand_pixels_of_each_class_as_shares_of_white() -> None:
    settings = RECIPE.chosen("svm")
    assert (settings.net, settings.batch, settings.mean, settings.std) == (
        "svm", 1000, (0.0,), (255.0,),
    )  # fmt: skip


def test_the_fully_convolutional_network_is_meant_when_no_variant_is_named() -> None:
    assert find_recipe("fcn-buildings").chosen() == RECIPE.chosen("fcn")


def test_a_deviation_that_is_stated_leaves_the_mean_to_be_measured(
    train: Callable[[str], Path], root: Path
) -> None:
    card = geoseg.load(train("fcn")).card
    scenes = massachusetts_buildings(root).training
    pixels = np.stack([scene.image.values for scene in scenes], 1).reshape(3, -1)
    assert card.std == (255, 255, 255)
    assert card.mean == pytest.approx(pixels.mean(1), rel=1e-6)
    with pytest.raises(UserError, match=r"std=\[0.0\]: give numbers above 0"):
        changed(Settings(), {"std": 0})


# -- training --------------------------------------------------------------------------------------


def majority(root: Path) -> float:
    matrix = ConfusionMatrix(2)
    for number in range(2):
        truth = building_labels("test", number, SIZE)
        matrix.update(truth, np.zeros_like(truth))
    return max(matrix.accuracy(), 1 - matrix.accuracy())


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_variant_beats_the_larger_class(
    variant: str, train: Callable[[str], Path], root: Path
) -> None:
    found = geoseg.load(train(variant)).card.metrics["held_out"]
    assert found["pixels"] == 2 * SIZE**2
    assert found["overall_accuracy"] > majority(root) + 0.1


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_model_file_finds_buildings(
    variant: str, train: Callable[[str], Path], root: Path
) -> None:
    model = geoseg.load(train(variant))
    image = open_raster(root / "test/sat/test_0.tiff").assign_attrs(long_name=model.card.bands)
    found = geoseg.predict(image, model).values
    assert (found == building_labels("test", 0, SIZE)).mean() > 0.7


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_card_tells_the_area_under_the_curve_and_seams_of_networks_of_blocks(
    variant: str, train: Callable[[str], Path], root: Path
) -> None:
    model = geoseg.load(train(variant))
    truths, maps = [], []
    for number in range(2):
        image = open_raster(root / f"test/sat/test_{number}.tiff")
        image = image.assign_attrs(long_name=model.card.bands)
        maps.append(geoseg.predict(image, model, output="scores").values[1])
        truths.append(building_labels("test", number, SIZE))
    found = model.card.metrics["held_out"]
    exact = roc_auc(np.stack(maps), np.stack(truths))
    assert found["auc"] == pytest.approx(exact, abs=2e-4)
    assert found["auc"] > 0.7
    recall = [np.mean((np.stack(maps) > 0.5)[np.stack(truths) == c] == c) for c in (0, 1)]
    assert found["average_accuracy"] == pytest.approx(np.mean(recall), abs=1e-4)
    assert found["majority_accuracy"] == pytest.approx(majority(root), abs=1e-4)
    if variant == "svm":
        assert "discontinuity" not in found
        return
    steps = [np.abs(np.diff(lines, axis=0)) for each in maps for lines in (each, each.T)]
    border = np.arange(15, SIZE - 1, 16)
    seams = [each[border] for each in steps]
    rest = [np.delete(each, border, axis=0) for each in steps]
    index = np.mean(seams) / np.mean(rest)
    assert found["discontinuity"] == pytest.approx(index, rel=1e-3)


def test_the_report_has_our_area_under_the_curve_beside_the_papers(
    root: Path, tmp_path: Path
) -> None:
    report = tmp_path / "report"
    train_files(
        "fcn-buildings",
        root,
        tmp_path / "svm.safetensors",
        ["preset=quick", "variant=svm"],
        report=report,
    )
    found = json.loads((report / "run.json").read_text())["metrics"]["held_out"]
    page = (report / "index.html").read_text()
    ours, _, theirs = page.partition("published")
    assert f"{found['auc']:.3f}" in ours
    assert "area under the ROC curve" in theirs
    assert f"{found['auc']:.3f}" in theirs
    assert f"{found['majority_accuracy']:.3f}" in theirs


# -- the machine -----------------------------------------------------------------------------------


def test_a_machine_says_what_it_was_fitted_to(train: Callable[[str], Path]) -> None:
    model = geoseg.load(train("svm"))
    card = model.card
    assert (card.architecture, card.halo, card.stride) == ("svm", 0, 1)
    assert card.training["settings"]["batch"] == 200
    assert (card.mean, card.std) == ((0, 0, 0), (255, 255, 255))
    assert card.options["vectors"] <= 400
    assert {*card.metrics} == {"validation", "held_out"}


def test_the_same_seed_fits_the_same_machine_and_progress_is_told(
    train: Callable[[str], Path], root: Path, tmp_path: Path
) -> None:
    events: list[dict[str, Any]] = []
    again = train_files(
        "fcn-buildings",
        root,
        tmp_path / "svm.safetensors",
        ["preset=quick", "variant=svm"],
        on_progress=events.append,
    )
    assert again.digest == geoseg.load(train("svm")).digest
    assert events == [
        {"event": "start", "total": 1, "unit": "machine"},
        {"event": "progress", "done": 1, "total": 1, "unit": "machine"},
    ]


def test_the_kernel_is_as_wide_as_stated(root: Path, tmp_path: Path) -> None:
    settings = replace(RECIPE.chosen("svm", "quick"), options={"gamma": 7.5})
    model = fit(settings, massachusetts_buildings(root), tmp_path / "svm.safetensors")
    assert model.card.options["gamma"] == 7.5
    assert change(RECIPE.chosen("svm"), ["gamma=7.5"]).options == settings.options


def test_penalty_and_width_are_stated_or_searched(root: Path, tmp_path: Path) -> None:
    settings, data = RECIPE.chosen("svm", "quick"), massachusetts_buildings(root)
    assert RECIPE.chosen("svm-searched").options == {
        "penalty": [1, 10, 100, 1000],
        "gamma": [0.1, 1, 10, 100],
    }
    stated = change(settings, ["penalty=1000", "gamma=2"])
    model = fit(stated, data, tmp_path / "stated.safetensors")
    assert (model.card.options["penalty"], model.card.options["gamma"]) == (1000, 2)
    # A kernel so narrow that nothing carries over to other pixels can only lose.
    searched = change(settings, ["penalty=[1, 10]", "gamma=[1e6, 2.5]"])
    model = fit(searched, data, tmp_path / "searched.safetensors")
    assert model.card.options["penalty"] in (1, 10)
    assert model.card.options["gamma"] == 2.5
    assert geoseg.load(tmp_path / "searched.safetensors").card.options == model.card.options
    with pytest.raises(UserError, match=r"penalty=-1: give a number above 0"):
        fit(change(settings, ["penalty=-1"]), data, tmp_path / "none.safetensors")


def test_a_machine_has_a_report_without_steps(root: Path, tmp_path: Path) -> None:
    settings, report = RECIPE.chosen("svm", "quick"), tmp_path / "report"
    data = massachusetts_buildings(root)
    model = fit(settings, data, tmp_path / "svm.safetensors", report=report)
    page = (report / "index.html").read_text()
    names = {each.name for each in report.iterdir()}
    assert {"samples.png", "confusion.png", "scores.csv", "run.json"} <= names
    assert not names & {"history.csv", "curves.png", "first_batch.png"}
    assert not any(name in page for name in ("history.csv", "curves.png", "first_batch.png"))
    assert "Network svm with" in page
    assert " steps, finished" not in page
    told = json.loads((report / "run.json").read_text())
    assert told["finished"]
    assert told["metrics"] == model.card.metrics
    with pytest.raises(UserError, match=r"report is the report of the model svm.safetensors"):
        fit(settings, data, tmp_path / "other.safetensors", report=report)


def test_a_machine_is_fitted_by_one_process_and_has_one_task(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings, out = RECIPE.chosen("svm", "quick"), tmp_path / "svm.safetensors"
    data = massachusetts_buildings(root)
    with pytest.raises(UserError, match=r"network 'svm' has one head, and .* leave classmate out"):
        fit(settings, data, out, classmate=data)
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(UserError, match=r"torchrun started 2 processes, but .* without torchrun"):
        fit(settings, data, out)
    assert not list(tmp_path.iterdir())


def test_a_machine_replaces_nothing_and_takes_no_number_of_vectors(
    train: Callable[[str], Path], root: Path, tmp_path: Path
) -> None:
    settings = ["preset=quick", "variant=svm"]
    with pytest.raises(UserError, match=r"svm.safetensors exists; name another"):
        train_files("fcn-buildings", root, train("svm"), settings)
    with pytest.raises(UserError, match=r"vectors=5: how many pixels support a machine follows"):
        train_files("fcn-buildings", root, tmp_path / "svm", [*settings, "vectors=5"])
    assert not list(tmp_path.iterdir())
