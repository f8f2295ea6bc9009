"""Models as files: what was saved is what is loaded, and nothing else is."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from toys import Hourglass, TwoLayers, random_image, segmenter_of

import geoseg
from geoseg import nets
from geoseg.card import card_from_json, card_to_json, describe
from geoseg.errors import UserError
from geoseg.segmenter import Segmenter, load, shipped_models

OPTIONS = {"in_channels": 3, "classes": 4, "widths": [8, 8]}


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    model = segmenter_of(nets.build("unet", **OPTIONS), architecture="unet", options=OPTIONS)
    model.save(tmp_path / "model.safetensors")
    return tmp_path / "model.safetensors"


def test_a_saved_model_gives_the_same_scores_and_has_the_same_card_and_digest(saved: Path) -> None:
    model = segmenter_of(nets.build("unet", **OPTIONS), architecture="unet", options=OPTIONS)
    again = load(saved)
    assert again.card == model.card
    assert again.digest == model.digest
    image = random_image((70, 90))
    np.testing.assert_array_equal(
        geoseg.predict(image, again, output="scores"), geoseg.predict(image, model, output="scores")
    )


def test_saving_the_same_model_gives_the_same_bytes(saved: Path, tmp_path: Path) -> None:
    load(saved).save(tmp_path / "again.safetensors")
    assert (tmp_path / "again.safetensors").read_bytes() == saved.read_bytes()


def test_other_weights_or_another_card_have_another_digest() -> None:
    first, second = segmenter_of(TwoLayers(), seed=0), segmenter_of(TwoLayers(), seed=1)
    named = segmenter_of(TwoLayers(), seed=0, name="other")
    assert len({first.digest, second.digest, named.digest}) == 3


def test_normalising_is_by_band_and_missing_pixels_become_the_mean() -> None:
    model = segmenter_of(TwoLayers())
    pixels = torch.tensor([[[[120.0, 180.0]], [[60.0, torch.nan]], [[-1.0, -1.0]]]])
    values, valid = model.normalise(pixels, -1.0)
    np.testing.assert_allclose(values[0, :, 0], [[0, 1], [-1, 0], [0, 0]])
    assert valid.tolist() == [[[True, True]]]


def test_the_policy_any_asks_for_every_band() -> None:
    model = segmenter_of(TwoLayers(), nodata="any")
    pixels = torch.tensor([[[[5, 5]], [[5, 0]], [[5, 5]]]], dtype=torch.uint8)
    _, valid = model.normalise(pixels, 0.0)
    assert valid.tolist() == [[[True, False]]]


def test_scores_of_any_size_come_back_in_that_size() -> None:
    model = segmenter_of(Hourglass())
    for shape in [(1, 1), (5, 7), (8, 8), (13, 4)]:
        assert model.logits(torch.zeros(2, 3, *shape), None).shape == (2, 4, *shape)


def test_the_recommended_pixel_sizes_lie_around_the_one_trained_on() -> None:
    assert segmenter_of(TwoLayers(), gsd=10.0).card.gsd_range == (8.0, 12.5)


def test_a_wrapped_module_cannot_be_saved_and_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"has no architecture name.*use one of unet"):
        segmenter_of(TwoLayers()).save(tmp_path / "model.safetensors")
    assert not list(tmp_path.iterdir())


def test_a_model_that_is_not_there_is_refused_with_those_that_are() -> None:
    with pytest.raises(UserError, match=r"there is no model 'nonsense'.*geoseg model list"):
        load("nonsense")


def test_an_old_file_survives_a_save_that_fails(
    saved: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = saved.read_bytes()

    def full(*args: object, **kwargs: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("geoseg.segmenter.save", full)
    with pytest.raises(OSError, match="No space left"):
        load(saved).save(saved)
    assert saved.read_bytes() == before


@pytest.mark.parametrize("cut", [0, 7, 100, 5000])
def test_a_damaged_file_is_refused(saved: Path, cut: int) -> None:
    saved.write_bytes(saved.read_bytes()[:cut])
    with pytest.raises(UserError, match="is not a model file or is damaged"):
        load(saved)


def test_weights_without_a_card_are_refused(tmp_path: Path) -> None:
    save_file({"a": torch.zeros(2)}, tmp_path / "plain.safetensors")
    with pytest.raises(UserError, match="holds weights but no geoseg card"):
        load(tmp_path / "plain.safetensors")


def _with_card(path: Path, change: dict[str, object]) -> Path:
    """The same weights under a card with other properties."""
    from safetensors import safe_open

    with safe_open(path, framework="pt") as file:
        card = json.loads(file.metadata()["geoseg"])
    card["properties"].update(change)
    save_file(load_file(path), path, metadata={"geoseg": json.dumps(card)})
    return path


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"geoseg:architecture": {"name": "evil", "options": {}}}, "evil"),
        ({"geoseg:architecture": {"name": "unet", "options": {"x": 1}}}, "no option x"),
        (
            {"geoseg:architecture": {"name": "unet", "options": {**OPTIONS, "widths": [8, 9]}}},
            "weights, first .* are not those of unet",
        ),
        ({"geoseg:architecture": 5}, "model card cannot be read"),
        ({"geoseg:window": 10**12}, "window 1000000000000"),
        ({"geoseg:nodata": "some"}, "no-data policy 'some'"),
    ],
)
def test_a_card_that_does_not_fit_its_weights_is_refused(
    saved: Path, change: dict[str, object], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        load(_with_card(saved, change))


def test_class_and_band_numbers_must_fit() -> None:
    with pytest.raises(UserError, match=r"3 bands .* 2 means"):
        Segmenter(TwoLayers(), classes="abcd", bands=("r", "g", "b"), mean=(0, 0), std=(1, 1, 1))
    with pytest.raises(UserError, match="each std positive"):
        Segmenter(TwoLayers(), classes="abcd", bands="rgb", mean=(0, 0, 0), std=(1, 0, 1))
    few = Segmenter(TwoLayers(), classes="abc", bands="rgb", mean=(0, 0, 0), std=(1, 1, 1))
    with pytest.raises(UserError, match="gives 4 scores a pixel but 3 classes are named"):
        few.logits(torch.zeros(1, 3, 8, 8), None)


def test_the_card_in_words_names_bands_classes_and_reach(saved: Path) -> None:
    words = describe(load(saved).card)
    for part in ("red, green, blue", "forest", "total stride 4", "sees 15 pixels around"):
        assert part in words


@pytest.mark.parametrize("name", shipped_models())
def test_shipped_models_are_small_described_and_keep_what_they_measure(name: str) -> None:
    model = load(name)
    limit = 3e6 if name == "demo-landscape" else 5e6
    assert shipped_models()[name].stat().st_size < limit
    assert len(model.card.description) > 40
    assert model.card.training
    assert model.card.metrics
    assert card_from_json(card_to_json(model.card)) == model.card
