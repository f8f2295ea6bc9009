"""Class activation maps as published, small enough to be trained here, and what is made of them."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import xarray as xr
from click.testing import CliRunner
from fixtures_published import fake_cdl
from torch import Tensor, nn

import geoseg
from geoseg import nets
from geoseg.classes import as_classes
from geoseg.cli import main
from geoseg.errors import UserError
from geoseg.loader import IGNORE, Scene
from geoseg.metrics import ConfusionMatrix
from geoseg.recipes import RECIPES
from geoseg.segmenter import Segmenter
from geoseg.train import Dataset, Settings, changed, fit
from geoseg.train.data.readers import landsat_cdl
from geoseg.train.stated_loss import ImageLabels
from geoseg.train.weak import (
    WAYS,
    Labelling,
    as_segmenter,
    compare_maps,
    majority,
    point_dataset,
    pseudo_dataset,
)

RECIPE = RECIPES["cam-landsat"]
EXACT = {"align": "exact"}
SIDE = 32  # of windows in the preset "quick"
LABELS = ImageLabels(min_fraction=0.05)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """Blocks of 64 pixels of one image."""
    return landsat_cdl(fake_cdl(tmp_path_factory.mktemp("cdl"), size=384), block=64)


@pytest.fixture(scope="module")
def files(data: Dataset, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Model files of all variants, trained quickly."""
    folder, found = tmp_path_factory.mktemp("models"), {}
    for variant in ("resnet50", "baseline", "ucam"):
        found[variant] = folder / f"{variant}.safetensors"
        told = {"report": folder / variant, "published": RECIPE.published}
        fit(RECIPE.chosen(variant, "quick"), data, found[variant], device="cpu", **told)
    return found


# -- settings --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("variant", "net", "epochs", "parameters"),
    [("resnet50", "cam", 50, 23_530_821), ("baseline", "cam_baseline", 16, 401_093)],
)
def test_settings_are_those_of_the_poster(
    variant: str, net: str, epochs: int, parameters: int
) -> None:
    settings = RECIPE.chosen(variant)
    assert (settings.net, settings.loss, settings.crop, settings.batch) == (
        net,
        "multi_label",  # of one pixel or more
        50,
        64,
    )
    assert settings.steps * settings.batch == epochs * 155_200
    assert (settings.optimiser, settings.lr, settings.weight_decay) == ("adam", 1e-3, 0)
    assert (settings.schedule, settings.clip, settings.sampler) == ("constant", 0, "uniform")
    with torch.device("meta"):
        built = nets.build(net, in_channels=7, classes=5, **settings.options)
    assert sum(each.numel() for each in built.parameters()) == parameters


def test_the_recommended_network_is_shallow_and_its_labels_are_of_more_than_a_pixel() -> None:
    settings = RECIPE.chosen("resnet50", "recommended")
    assert settings.options == {"num_stages": 2, "normalise": "max", "gate": True}
    assert settings.loss == {"multi_label": {"min_fraction": 0.05}}
    assert RECIPE.chosen("baseline", "recommended").options == {}


def test_maps_of_the_methods_are_a_choice_of_their_own() -> None:
    assert RECIPE.chosen("layercam").options == {"method": "layercam"}
    both = RECIPE.chosen("resnet50+gradcampp", "quick").options
    assert both == {"method": "gradcam++", "num_stages": 2}
    assert RECIPE.chosen("fused").options == {"method": "layercam-fused"}
    with pytest.raises(UserError, match=r"no setting 'method'"):
        RECIPE.chosen("ucam+layercam")


# -- training --------------------------------------------------------------------------------------


@pytest.mark.parametrize("variant", ["resnet50", "baseline", "ucam"])
def test_windows_are_told_apart_better_than_by_the_commonest_decision(
    files: dict[str, Path], variant: str
) -> None:
    found = geoseg.load(files[variant]).card.metrics["held_out"]["of_images"]
    assert found["images"] >= 12
    assert found["average_accuracy"] > found["majority_accuracy"] + 0.05


def test_the_report_tells_the_decisions_about_images_first(files: dict[str, Path]) -> None:
    path = files["resnet50"]
    scores = geoseg.load(path).card.metrics["held_out"]["of_images"]
    page = (path.parent / "resnet50" / "index.html").read_text()
    assert page.index("micro-F1 of images, held-out") < page.index("mIoU, held-out")
    assert "of images f1 corn" in page
    for score in (scores["micro_f1"], scores["average_accuracy"]):
        assert f"{score:.3f}" in page


@pytest.mark.parametrize("variant", ["ucam", "baseline"])
def test_maps_find_pixels_though_networks_learnt_from_windows(
    files: dict[str, Path], variant: str
) -> None:
    found = geoseg.load(files[variant]).card.metrics["held_out"]
    assert found["overall_accuracy"] > found["majority_accuracy"] + 0.05
    assert found["average_accuracy"] > 1 / 5 + 0.1


@pytest.mark.parametrize("shape", [(7, 11), (4, 4)])
def test_of_each_window_one_pixel_keeps_its_label(shape: tuple[int, int]) -> None:
    _, data = banded(*shape)
    truth = data.training[0].labels
    assert truth is not None
    truth.values[:, :1] = IGNORE
    pointed = point_dataset(data, 4)
    found = pointed.training[0].labels
    assert found is not None
    for top, left in product(range(0, shape[0], 4), range(0, shape[1], 4)):
        box = slice(top, top + 4), slice(left, left + 4)
        known = found.values[box] != IGNORE
        assert known.sum() == 1
        assert found.values[box][known] == truth.values[box][known]
    assert pointed.held_out is data.held_out
    drawn = [point_dataset(data, 4, seed).training[0].labels for seed in range(8)]
    assert drawn[0].equals(found)
    assert any(not each.equals(found) for each in drawn)
    with pytest.raises(UserError, match=r"windows of 0 pixels: give 1 or more"):
        point_dataset(data, 0)


def test_a_segmenter_learns_from_points(tmp_path: Path) -> None:
    root = fake_cdl(tmp_path, size=256)
    reader = RECIPE.reader(preset="points")
    assert reader is not None
    for pointed, whole in zip(reader(root).training, landsat_cdl(root).training, strict=True):
        assert pointed.labels is not None
        assert whole.labels is not None
        known = whole.labels.values != IGNORE
        cells = product(range(0, known.shape[0], 50), range(0, known.shape[1], 50))
        filled = [known[top : top + 50, left : left + 50].any() for top, left in cells]
        assert (pointed.labels.values != IGNORE).sum() == sum(filled) > 1
    data = point_dataset(landsat_cdl(root, block=64), 8)
    settings = RECIPE.chosen("layercam", "points")
    assert (settings.net, settings.loss, settings.options) == ("unet", "cross_entropy", {})
    settings = changed(settings, {"widths": [8, 16], "crop": 32, "batch": 8, "steps": 100})
    found = fit(settings, data, tmp_path / "m.safetensors").card.metrics["held_out"]
    assert found["overall_accuracy"] > found["majority_accuracy"] + 0.1


def test_a_classifier_that_saw_no_map_makes_better_maps_than_the_commonest_class(
    files: dict[str, Path], data: Dataset
) -> None:
    found = compare_maps(geoseg.load(files["resnet50"]), data.held_out, SIDE)
    assert list(found) == list(WAYS)
    constant = majority(found["cam"])
    assert found["cam"].accuracy() > constant.accuracy() + 0.05
    for name, matrix in found.items():
        assert matrix.miou() > constant.miou(), name


@pytest.mark.parametrize("variant", ["resnet50", "baseline", "ucam"])
def test_a_model_file_predicts(files: dict[str, Path], data: Dataset, variant: str) -> None:
    image = data.held_out[0].image.assign_attrs(long_name=data.bands)
    labels = geoseg.predict(image, str(files[variant])).values
    assert labels.shape == image.shape[1:]
    assert set(np.unique(labels)) <= set(range(5))


# -- maps of a classifier --------------------------------------------------------------------------


def test_maps_are_those_of_a_network_that_was_trained_with_them(
    files: dict[str, Path], data: Dataset
) -> None:
    classifier = geoseg.load(files["resnet50"])
    options = {"method": "layercam", "normalise": "max", "gate": True}
    maps = as_segmenter(classifier, **options)
    values = torch.randn(2, 7, SIDE, SIDE)
    net = nets.build("cam", in_channels=7, classes=5, num_stages=2, **options)
    net.load_state_dict(classifier.net.state_dict())
    assert torch.equal(maps.net(values), net.eval()(values))
    assert maps.card.options == {"in_channels": 7, "classes": 5, "num_stages": 2, **options}
    assert (maps.card.halo, maps.card.window) == (None, SIDE)
    assert set(maps.card.metrics["held_out"]) == {"of_images"}
    assert maps.card.classes == classifier.card.classes


@pytest.mark.parametrize(
    ("name", "options"),
    [("cam_resnet50", {"num_stages": 3}), ("cam_baseline", {"head": "gap"})],
)
def test_a_plain_classifier_has_the_same_maps_before_and_after(
    name: str, options: dict[str, Any]
) -> None:
    """With the bias, the map of "cam" is what a classifier gives."""
    net = nets.build(name, in_channels=3, classes=4, **options)
    classifier = wrapped(net, name, {"in_channels": 3, "classes": 4, **options})
    maps = as_segmenter(classifier, bias=True)
    values = torch.randn(2, 3, 48, 40)
    torch.testing.assert_close(maps.net(values), classifier.net(values))
    assert maps.card.architecture == "cam"
    assert maps.card.halo is not None


def wrapped(net: nn.Module, name: str, options: dict[str, Any]) -> Segmenter:
    return Segmenter(
        net,
        classes=["a", "b", "c", "d"],
        bands=["x", "y", "z"],
        mean=[0.0] * 3,
        std=[1.0] * 3,
        architecture=name,
        options=options,
        halo=None,
        stride=16,
    )


def test_scores_of_images_are_those_that_were_trained_whatever_the_maps(
    files: dict[str, Path], data: Dataset
) -> None:
    classifier = geoseg.load(files["resnet50"])
    maps = as_segmenter(classifier, method="gradcam++", normalise="max", gate=True)
    values = torch.randn(3, 7, SIDE, SIDE)
    net: Any = maps.net
    features = net.base.features(values)
    head = net.base.head
    logits = features.mean((2, 3)) @ head.weight[:, :, 0, 0].T + head.bias
    torch.testing.assert_close(net.pooled(values).mean((2, 3)), logits)


def test_alignment_is_kept_and_can_be_changed() -> None:
    options = {"in_channels": 3, "classes": 4, "num_stages": 2, "align": "resize"}
    classifier = wrapped(nets.build("cam_resnet50", **options), "cam_resnet50", options)
    values = torch.randn(1, 3, 48, 40)
    kept, changed = (as_segmenter(classifier, bias=True, **each) for each in ({}, EXACT))
    assert kept.card.options["align"] == "resize"
    torch.testing.assert_close(kept.net(values), classifier.net(values))
    assert not torch.allclose(changed.net(values), classifier.net(values), atol=1e-3)


def test_a_baseline_has_maps_of_all_ways_but_that_of_stages(data: Dataset) -> None:
    options = {"in_channels": 7, "classes": 5, "head": "gap"}
    net = nets.build("cam_baseline", **options)
    model = Segmenter(
        net,
        classes=data.classes,
        bands=data.bands,
        mean=[0.0] * 7,
        std=[1.0] * 7,
        architecture="cam_baseline",
        options=options,
        halo=None,
        stride=16,
    )
    found = compare_maps(model, data.held_out[:1], SIDE)
    assert [*found] == [name for name in WAYS if name != "layercam of all stages"]


def test_what_has_no_class_activation_maps_is_refused(files: dict[str, Path]) -> None:
    with pytest.raises(UserError, match=r"cam_baseline with .* has no class activation maps"):
        as_segmenter(geoseg.load(files["baseline"]))
    with pytest.raises(UserError, match=r"num_stages is settled by the weights"):
        as_segmenter(geoseg.load(files["resnet50"]), num_stages=3)


def test_the_command_writes_maps_of_a_classifier(files: dict[str, Path], tmp_path: Path) -> None:
    out = tmp_path / "maps.safetensors"
    settings = ["--set", "method=layercam", "--set", "normalise=max", "--set", "gate=true"]
    arguments = ["model", "maps", str(files["resnet50"]), str(out), *settings]
    assert CliRunner().invoke(main, arguments).exit_code == 0
    options = geoseg.load(out).card.options
    assert (options["method"], options["normalise"], options["gate"]) == ("layercam", "max", True)
    assert CliRunner().invoke(main, arguments).exit_code == 2  # it is there
    elsewhere = [*arguments[:3], str(tmp_path / "other.safetensors"), "--set", "classifier=1"]
    refused = CliRunner().invoke(main, elsewhere)
    assert refused.exit_code == 2
    assert "network 'cam' has no option classifier" in refused.stderr


def test_the_commonest_class_is_the_best_map_of_one_class() -> None:
    matrix = ConfusionMatrix(3)
    matrix.update([0, 1, 1, 2, 2, 2, IGNORE], [0, 0, 1, 0, 1, 2, 2])
    constant = majority(matrix)
    assert constant.accuracy() == 0.5
    np.testing.assert_array_equal(constant.counts[:, 2], [1, 2, 3])


# -- labels from maps ------------------------------------------------------------------------------


class Bands(nn.Module):
    """Every band is the map of a class."""

    def forward(self, windows: Tensor) -> Tensor:
        return windows


def banded(rows: int, columns: int, classes: int = 3) -> tuple[Segmenter, Dataset]:
    """A scene whose bands are its maps, and what gives them."""
    rng = np.random.default_rng(0)
    labels = rng.integers(classes, size=(rows, columns)).astype(np.uint8)
    labels[:4, :4] = 1  # of the first window
    values = 0.8 * np.eye(classes, dtype=np.float32)[:, labels] + 0.1
    scene = Scene(
        xr.DataArray(values, dims=("band", "y", "x")), xr.DataArray(labels, dims=("y", "x"))
    )
    names = [f"map {i}" for i in range(classes)]
    model = Segmenter(
        Bands(), classes=names, bands=names, mean=[0.0] * classes, std=[1.0] * classes
    )
    data = Dataset("made up", "", as_classes(names), tuple(names), [scene], [scene], [scene])
    return model, data


@pytest.mark.parametrize("shape", [(8, 12), (10, 7), (3, 4)])
def test_labels_are_made_of_maps_that_are_sure(shape: tuple[int, int]) -> None:
    model, data = banded(*shape)
    made = pseudo_dataset(model, data, Labelling(4))
    truth, found = data.training[0].labels, made.training[0].labels
    assert truth is not None
    assert found is not None
    np.testing.assert_array_equal(found.values, truth.values)
    assert made.held_out is data.held_out
    assert made.validation is data.validation


def test_classes_that_a_window_lacks_are_given_to_none_of_its_pixels() -> None:
    """Eight of sixteen pixels are needed: of the first window that is class 1 alone."""
    model, data = banded(8, 12)
    labelling = Labelling(4, ImageLabels(min_fraction=0.5), background=None)
    made = pseudo_dataset(model, data, labelling)
    assert made.training[0].labels is not None
    assert data.training[0].labels is not None
    truth, found = data.training[0].labels.values, made.training[0].labels.values
    assert (found[:4, :4] == 1).all()
    for top, left in np.ndindex(2, 3):
        box = slice(4 * top, 4 * top + 4), slice(4 * left, 4 * left + 4)
        counts = np.bincount(truth[box].ravel(), minlength=3)
        kept = np.where(counts[truth[box]] >= 8, truth[box], IGNORE)
        np.testing.assert_array_equal(found[box], kept)


def test_a_background_is_where_all_other_maps_are_low() -> None:
    model, data = banded(8, 8)
    made = pseudo_dataset(model, data, Labelling(4, foreground=0.9))
    truth, found = data.training[0].labels, made.training[0].labels
    assert truth is not None
    assert found is not None
    np.testing.assert_array_equal(found.values, truth.values)


def test_pixels_without_data_get_no_label() -> None:
    model, data = banded(8, 8)
    data.training[0].image[:, 2, 5] = np.nan
    made = pseudo_dataset(model, data, Labelling(4))
    assert made.training[0].labels is not None
    assert np.argwhere(made.training[0].labels.values == IGNORE).tolist() == [[2, 5]]


def test_maps_that_are_sure_of_nothing_are_told() -> None:
    model, data = banded(8, 8)
    with pytest.raises(UserError, match=r"no map is above 1.0 anywhere; lower foreground"):
        pseudo_dataset(model, data, Labelling(4, foreground=1.0, background=None))


def test_a_segmenter_learns_from_labels_that_maps_made(
    files: dict[str, Path], data: Dataset, tmp_path: Path
) -> None:
    maps = as_segmenter(geoseg.load(files["resnet50"]), normalise="max")
    labelled = pseudo_dataset(maps, data, Labelling(SIDE, LABELS))
    settings = Settings(options={"widths": [8, 16]}, crop=SIDE, batch=8, steps=60)
    path = tmp_path / "segmenter.safetensors"
    found = fit(settings, replace(labelled, validation=()), path).card.metrics["held_out"]
    truth = np.concatenate([each.labels.values.ravel() for each in data.held_out])  # type: ignore[union-attr]
    counts = np.bincount(truth[truth != IGNORE])
    assert found["overall_accuracy"] > counts.max() / counts.sum()
