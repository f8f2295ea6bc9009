"""The dense fusion classmate network as a recipe: the paper's settings, and what they train."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import geoseg
from geoseg import nets
from geoseg.errors import UserError
from geoseg.loader import IGNORE
from geoseg.metrics import ConfusionMatrix
from geoseg.raster import open_raster
from geoseg.recipes import describe, find_recipe, train_files
from geoseg.recipes.dfcnet import LAND_SHARE, RECIPE, ROAD_SHARE
from geoseg.segmenter import Segmenter
from geoseg.train import Dataset, Settings, feed
from geoseg.train.data.readers.parts import in_parts
from geoseg.train.feed import Feed
from geoseg.train.processes import Group
from geoseg.train.settings import change
from geoseg.windows import Windows
from tests.fixtures_published import fake_deepglobe_land, fake_deepglobe_road, write_image

LAND = ["urban land", "agriculture land", "rangeland", "forest land", "water", "barren land"]
WITH_ROADS = ("classmate", "dfcnet")


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("deepglobe")
    fake_deepglobe_land(root / "land")
    fake_deepglobe_road(root / "roads")
    return root


@pytest.fixture(scope="module")
def train(root: Path) -> Callable[..., Path]:
    """Trains a variant in the quick preset, once; gives the model's file."""
    made: dict[str, Path] = {}

    def trained(variant: str, *settings: str) -> Path:
        name = "-".join([variant, *settings]).replace("/", "_")
        if name not in made:
            given = ["preset=quick", f"variant={variant}", *settings]
            if variant in WITH_ROADS:
                given.append(f"classmate={root / 'roads'}")
            path = root / f"{variant}-{len(made)}.safetensors"
            train_files("dfcnet", root / "land", path, given)
            made[name] = path
        return made[name]

    return trained


# -- settings --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("variant", "net", "batch"),
    [("baseline", "fcdensenet", 32), ("classmate", "classmatenet", 8), ("dfcnet", "dfcnet", 8)],
)
def test_the_settings_are_those_of_the_paper(variant: str, net: str, batch: int) -> None:
    settings = RECIPE.chosen(variant)
    expected = {
        "net": net,
        "batch": batch,
        "optimiser": "sgd",
        "momentum": 0.9,
        "weight_decay": 5e-4,
        "lr": 1e-3,
        "schedule": "poly",
        "steps": 80_000,
        "crop": 1025,
        "loss": "cross_entropy",
        "class_power": 0.0,
        "clip": 0.0,
        "classmate_scale": (0.5, 1.5),
        "checkpointing": True,
        "rehearse": 100,
        "classmate_batch": 0,
        "classmate_weight": 1.0,
        "schedule_options": {},
        "options": {},
    }
    assert {name: getattr(settings, name) for name in expected} == expected
    assert settings.augment.scale == (0.8, 1.25)
    assert (settings.augment.gain, settings.augment.offset) == (0, 0)
    assert settings.rates.factor(20_000, 80_000) == pytest.approx(0.77189, abs=1e-5)


def test_what_the_paper_leaves_open_is_set_by_name() -> None:
    own = {"slice_at": "block5", "loss_at": "logit", "dropout": 0.2, "fusion": "cascade"}
    changes = [f"{name}={value}" for name, value in own.items()]
    changes += ["power=0.5", "classmate_batch=4", "classmate_weight=0.4"]
    found = change(RECIPE.chosen("dfcnet"), changes)
    assert found.options == own
    assert found.rates.factor(3, 4) == 0.5
    assert (found.classmate_batch, found.classmate_weight) == (4, 0.4)
    defaults = nets.options_of("dfcnet")
    assert (defaults["slice_at"], defaults["loss_at"]) == ("trunk_end", "label")
    assert (defaults["fusion"], defaults["post_merge"]) == ("tree", "conv")
    assert (defaults["dec_layers"], defaults["dropout"]) == ((24, 12, 6, 4), 0.0)


def test_every_option_of_the_networks_is_told_of() -> None:
    told = describe("dfcnet")
    for name in ("dfcnet", "classmatenet", "fcdensenet"):
        # Bands and classes follow from the data; other encoders and widths are no reading of the
        # paper.
        fixed = {"in_channels", "classes", "auxiliary", "enc_layers", "growth", "width"}
        for option in {*nets.options_of(name)} - fixed:
            assert f"\n    {option}=" in told


def test_the_network_itself_is_meant_when_no_variant_is_named() -> None:
    assert find_recipe("dfcnet").chosen() == RECIPE.chosen("dfcnet")


def test_the_recommended_crops_fit_the_grids_of_the_network() -> None:
    assert RECIPE.chosen("dfcnet", "recommended").crop % 32 == 1


def test_windows_of_the_docstring_are_sixteen_an_image() -> None:
    starts = [rows.start for rows, columns in Windows((2448,) * 2, (1025,) * 2, (683,) * 2)]
    assert sorted({*starts}) == [0, 683, 1366, 1423]
    assert len(starts) == 16


def test_what_fits_no_range_of_scales_is_refused() -> None:
    with pytest.raises(UserError, match=r"classmate_scale=\[1.5, 0.5\]: give the lowest and"):
        change(Settings(), ["classmate_scale=[1.5, 0.5]"])


# -- data ------------------------------------------------------------------------------------------


def test_unknown_is_no_class_and_three_quarters_are_learnt_from(root: Path) -> None:
    assert RECIPE.read is not None
    data = RECIPE.read(root / "land")
    assert [each.name for each in data.classes] == LAND
    assert (len(data.training), len(data.held_out)) == (4, 1)  # 5 * 600 / 803 = 3.7


def test_unknown_can_be_a_seventh_class_that_is_not_scored(root: Path) -> None:
    assert RECIPE.read is not None
    data = RECIPE.read(root / "land", unknown="class")
    assert [each.name for each in data.classes] == ["unknown", *LAND]
    assert data.unscored == (0,)
    assert len(data.training) == 4
    assert len(RECIPE.read(root / "land", train=2).training) == 2


def test_the_paper_s_numbers_of_images_are_learnt_from_where_all_are_there() -> None:
    for share, images, learnt in ((LAND_SHARE, 803, 600), (ROAD_SHARE, 6226, 5000)):
        parts = in_parts([str(number) for number in range(images)], (share, share, 1.0))
        assert Counter(parts) == {"training": learnt, "held_out": images - learnt}


def test_windows_of_either_task_come_in_turn_and_in_their_own_sizes(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = RECIPE.chosen("dfcnet", "quick")
    asked: list[int] = []
    size = feed.window_size
    monkeypatch.setattr(feed, "window_size", lambda *args: asked.append(size(*args)) or asked[-1])
    assert RECIPE.read is not None
    assert RECIPE.read_classmate is not None
    sets: list[Dataset] = [RECIPE.read(root / "land"), RECIPE.read_classmate(root / "roads")]
    net = torch.nn.Conv2d(3, 6, 1)
    model = Segmenter(
        net, classes=LAND, bands=sets[0].bands, mean=(100,) * 3, std=(50,) * 3, halo=0, stride=1
    )
    feeding = Feed(settings, sets, model, Group())
    values, labels = feeding.changed(feeding.draw(0))
    for step in range(1, 100):
        feeding.draw(step)
    land, roads = np.array(asked).reshape(-1, 2).T
    assert (land.min(), land.max()) == (round(33 / 1.25), round(33 / 0.8))
    assert roads.min() == round(33 / 1.5)
    assert roads.max() > 60  # of 33 / 0.5
    assert values.shape == (8, 3, 33, 33)
    first, second = ({*each.unique().tolist()} - {IGNORE} for each in (labels[::2], labels[1::2]))
    assert first <= {*range(6)}
    assert second == {6, 7}


# -- training --------------------------------------------------------------------------------------


@pytest.mark.parametrize("variant", ["baseline", *WITH_ROADS])
def test_every_variant_beats_the_largest_class(
    variant: str, train: Callable[..., Path], root: Path
) -> None:
    model = geoseg.load(train(variant))
    found = model.card.metrics["held_out"]
    assert RECIPE.read is not None
    scene = RECIPE.read(root / "land").held_out[0]
    truth = scene.read_labels((slice(0, 64), slice(0, 64)))
    majority = ConfusionMatrix(6)
    majority.update(truth, np.full(truth.shape, np.bincount(truth[truth != IGNORE]).argmax()))
    assert found["pixels"] == (truth != IGNORE).sum()
    assert found["overall_accuracy"] > majority.accuracy() + 0.1
    assert found["miou"] > majority.miou() + 0.1


@pytest.mark.parametrize("variant", ["baseline", "dfcnet"])
def test_a_model_file_classifies_images(
    variant: str, train: Callable[..., Path], root: Path
) -> None:
    model = geoseg.load(train(variant))
    assert (model.card.halo, model.card.window) == (None, 33)
    assert [each.name for each in model.card.classes] == LAND
    image = open_raster(root / "land/train/100_sat.jpg")
    image = image.assign_attrs(long_name=model.card.bands)
    options: dict[str, Any] = {"window": 33, "blend": "mean", "stride": 22, "gsd": "native"}
    found = geoseg.predict(image, model, **options).values
    assert found.shape == (64, 64)
    assert {*np.unique(found)} <= {each.value for each in model.card.classes}


def test_the_network_starts_with_the_weights_of_the_baseline(
    train: Callable[..., Path], caplog: pytest.LogCaptureFixture
) -> None:
    baseline = train("baseline")
    with caplog.at_level(logging.INFO):
        # A step so small that it changes no weight by much, and statistics only a little.
        model = geoseg.load(train("dfcnet", f"start={baseline}", "steps=1", "lr=1e-9"))
    given, own = geoseg.load(baseline).net.state_dict(), model.net.state_dict()
    shared = {name for name in given if name.startswith("trunk.")}
    assert shared == {*given} - {"head.weight", "head.bias"}
    assert f"{len(shared)} of {len(own)} weights are those of {baseline}" in caplog.text
    for name in shared:
        if not name.endswith(("running_mean", "running_var", "num_batches_tracked")):
            torch.testing.assert_close(own[name], given[name], rtol=0, atol=1e-5)
    # Block 9, the fusion and the heads are new.
    parts = {".".join(name.split(".")[: 3 if name[0] == "t" else 1]) for name in {*own} - shared}
    assert parts == {"trunk.decoder.3", "fusion", "land", "road"}


def test_tasks_that_part_at_block_5_learn_with_few_roads(train: Callable[..., Path]) -> None:
    settings = ["slice_at=block5", "loss_at=logit", "dropout=0.1", "classmate_batch=2"]
    model = geoseg.load(train("classmate", *settings, "classmate_weight=0.5", "rehearse=3"))
    found = model.card.metrics["held_out"]
    plain = geoseg.load(train("classmate")).card.metrics["held_out"]
    assert found["overall_accuracy"] > 0.8 * plain["overall_accuracy"]
    assert model.card.options["slice_at"] == "block5"


def test_weights_of_another_shape_are_told_of(
    train: Callable[..., Path], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        train("baseline", f"start={train('baseline')}", "steps=1", "dec_layers=[2, 2, 1]")
    assert "weights of " in caplog.text
    assert "have another shape here and start afresh, first head.weight" in caplog.text


def test_a_network_of_two_tasks_asks_for_the_second(root: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"second head of 2 classes; name the data set .*classmate"):
        train_files("dfcnet", root / "land", tmp_path / "model", ["preset=quick"])


@pytest.fixture
def described(root: Path, tmp_path: Path) -> Path:
    """Two images of roads and their labels, of 0 and 255, in a YAML file."""
    for number in (7, 8):
        image, mask = (
            np.asarray(open_raster(root / f"roads/train/{number}_{part}").values)
            for part in ("sat.jpg", "mask.png")
        )
        write_image(tmp_path / f"images/{number}.jpg", image)
        write_image(tmp_path / f"labels/{number}.png", np.uint8(255) * (mask[:1] >= 128))
    path = tmp_path / "roads.yaml"
    path.write_text(
        "{name: roads, bands: {red: 1, green: 2, blue: 3}, "
        "classes: [{name: other, codes: [0]}, {name: road, codes: [255]}]}"
    )
    return path


def test_roads_may_be_described_as_any_images_and_labels(
    root: Path, described: Path, tmp_path: Path
) -> None:
    losses: list[float] = []
    train_files(
        "dfcnet",
        root / "land",
        tmp_path / "model.safetensors",
        ["preset=quick", "steps=2", f"classmate={described}"],
        on_progress=lambda event: losses.append(event["loss"]) if "loss" in event else None,
    )
    assert len(losses) == 2
    assert np.isfinite(losses).all()


def test_classmates_have_as_many_bands(root: Path, described: Path, tmp_path: Path) -> None:
    described.write_text(described.read_text().replace(", blue: 3", ""))
    settings = ["preset=quick", f"classmate={described}"]
    with pytest.raises(UserError, match=r"deepglobe-land has 3 bands, its classmate roads 2; choo"):
        train_files("dfcnet", root / "land", tmp_path / "model", settings)
