"""Several models as one: the mean of their probabilities, whatever each one is used to."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import torch
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from pointwise import random_pixels, write
from toys import BANDS, Hourglass, Pooled, TwoLayers, random_image, segmenter_of

import geoseg
from geoseg import nets
from geoseg.devices import pool_for
from geoseg.ensembles import Ensemble
from geoseg.errors import UserError
from geoseg.exchange import export_model
from geoseg.job import predict_file
from geoseg.segmenter import Segmenter

OPTIONS = {"in_channels": 3, "classes": 4, "widths": [8, 8]}


def member(net: torch.nn.Module, seed: int, **facts: Any) -> Segmenter:
    """A model with means and deviations of its own."""
    model = segmenter_of(net, seed, **facts)
    card = replace(model.card, mean=(90.0 + 20 * seed, 120.0, 100.0), std=(60.0, 50.0 + seed, 70.0))
    return Segmenter.from_card(model.net, card)


def scores_of(image: xr.DataArray, model: Any, **options: Any) -> np.ndarray:
    return np.asarray(geoseg.predict(image, model, output="scores", **options).values)


def holey(image: xr.DataArray, seed: int = 1) -> xr.DataArray:
    """The image with no data in some bands of some pixels and in all bands of others."""
    pixels = image.values.copy()
    random = np.random.default_rng(seed)
    pixels[random.random(pixels.shape) < 0.2] = 0
    pixels[:, random.random(pixels.shape[1:]) < 0.1] = 0
    return image.copy(data=pixels).rio.write_nodata(0)


def test_probabilities_are_the_mean_of_those_of_the_members() -> None:
    members = [member(TwoLayers(), 1), member(Hourglass(), 2), member(TwoLayers(), 3)]
    image = random_image((160, 136))  # multiples of the largest stride
    mean = np.mean([scores_of(image, each) for each in members], 0)
    np.testing.assert_allclose(scores_of(image, members), mean, atol=1e-6)
    labels = geoseg.predict(image, members).values
    second, first = np.sort(mean, 0)[-2:]
    clear = first - second > 1e-5
    np.testing.assert_array_equal(labels[clear], mean.argmax(0)[clear])
    assert clear.mean() > 0.99
    confidence = geoseg.predict(image, members, output="confidence").values
    np.testing.assert_allclose(confidence, mean.max(0), atol=1e-6)


@pytest.mark.parametrize("policy", ["all", "any"])
def test_every_member_sees_its_own_mean_where_a_band_is_missing(policy: Any) -> None:
    nets_of = (TwoLayers(), Hourglass())
    members = [member(net, seed, nodata=policy) for seed, net in enumerate(nets_of)]
    image = holey(random_image((64, 72)))
    mean = np.mean([scores_of(image, each) for each in members], 0)
    assert 0.05 < np.isnan(mean).mean() < 0.9
    np.testing.assert_allclose(scores_of(image, members), mean, atol=1e-6)


def test_normalised_pixels_are_the_members_one_after_another() -> None:
    one, other = member(TwoLayers(), 1), member(TwoLayers(), 2, nodata="any")
    pixels = torch.from_numpy(holey(random_image((9, 7))).values[None])
    values, valid = geoseg.ensemble([one, other]).normalise(pixels, 0)
    (own, there), (others, complete) = (each.normalise(pixels, 0) for each in (one, other))
    torch.testing.assert_close(values, torch.cat([own, others], 1), rtol=0, atol=0)
    assert torch.equal(valid, there & complete)
    assert not torch.equal(there, complete)


def test_a_pixel_that_a_member_takes_for_no_data_has_none() -> None:
    members = [member(TwoLayers(), 1), member(TwoLayers(), 2, nodata="any")]
    image = holey(random_image((40, 50)))
    gone = (image.values == 0).any(0)
    np.testing.assert_array_equal(geoseg.predict(image, members).values == 255, gone)


def test_bands_in_another_order_are_put_in_order() -> None:
    one = member(TwoLayers(), 1)
    model = member(TwoLayers(), 2)
    turned = [2, 0, 1]
    net = TwoLayers()
    net.load_state_dict(model.net.state_dict())
    with torch.no_grad():
        net.first.weight.copy_(net.first.weight[:, turned].clone())
    card = replace(
        model.card,
        bands=tuple(BANDS[i] for i in turned),
        mean=tuple(model.card.mean[i] for i in turned),
        std=tuple(model.card.std[i] for i in turned),
    )
    image = holey(random_image((40, 50)))
    found = scores_of(image, [one, Segmenter.from_card(net, card)])
    np.testing.assert_allclose(found, scores_of(image, [one, model]), atol=1e-6)


@pytest.mark.parametrize("make", [TwoLayers, Hourglass, Pooled])
def test_a_model_twice_is_the_model(make: Any) -> None:
    model = member(make(), 1)
    image = holey(random_image((130, 150)))
    expected = scores_of(image, model)
    np.testing.assert_allclose(scores_of(image, [model, model]), expected, atol=1e-6)


@given(blocks=st.integers(40, 200), window=st.sampled_from([32, 48, 96]))
@settings(max_examples=6)
def test_an_ensemble_is_exact_however_it_is_cut(blocks: int, window: int) -> None:
    members = [member(TwoLayers(), 1), member(Hourglass(), 2)]
    image = holey(random_image((130, 150)))
    expected = scores_of(image, members, window=512)
    found = scores_of(image.chunk({"y": blocks, "x": blocks}), members, window=window)
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_the_joined_card_takes_what_every_member_takes() -> None:
    one = member(TwoLayers(), 1, halo=5, stride=4, window=50, gsd=10.0, name="one")
    other = member(
        TwoLayers(), 2, halo=9, stride=6, window=40, gsd=10.0, gsd_range=(9.0, 20.0), name="other"
    )
    card = geoseg.ensemble([one, other]).card
    assert (card.halo, card.stride, card.window) == (9, 12, 60)
    assert (card.name, card.gsd, card.gsd_range) == ("one + other", 10.0, (9.0, 12.5))
    assert card.bands == BANDS
    whole = geoseg.ensemble([one, member(Pooled(), 3, gsd=10.0)]).card
    assert whole.halo is None


def test_a_single_model_is_left_alone() -> None:
    model = member(TwoLayers(), 1)
    assert geoseg.ensemble([model]) is model
    assert geoseg.ensemble(model) is model


def test_the_digest_depends_on_every_member() -> None:
    one, other, third = (member(TwoLayers(), seed) for seed in (1, 2, 3))
    digests = {geoseg.ensemble(each).digest for each in ([one, other], [one, third], [one])}
    assert len(digests) == 3
    assert geoseg.ensemble([one, other]).digest == f"{one.digest} + {other.digest}"


def test_members_that_learnt_since_give_the_new_mean() -> None:
    members = [member(TwoLayers(), 1), member(TwoLayers(), 2)]
    joined, image = geoseg.ensemble(members), random_image((40, 50))
    before, digest = scores_of(image, joined), joined.digest
    with torch.no_grad():
        members[1].net.last.bias += 1.5 * torch.arange(4)
    assert joined.digest != digest
    found = scores_of(image, joined)
    assert np.abs(found - before).max() > 0.1
    np.testing.assert_allclose(
        found, np.mean([scores_of(image, each) for each in members], 0), atol=1e-6
    )


def test_lower_precision_averages_in_float32() -> None:
    members = [member(Hourglass(), 1), member(Hourglass(), 2)]
    image = random_image((64, 64))
    found = scores_of(image, members, precision="bf16")
    mean = np.mean([scores_of(image, each, precision="bf16") for each in members], 0)
    np.testing.assert_allclose(found, mean, atol=1e-6)
    assert found.dtype == np.float32


def test_batch_norms_of_members_are_folded_as_well() -> None:
    def normed() -> torch.nn.Module:
        conv, norm = torch.nn.Conv2d(3, 8, 3, padding=1), torch.nn.BatchNorm2d(8)
        return torch.nn.Sequential(conv, norm, torch.nn.ReLU(), torch.nn.Conv2d(8, 4, 1))

    members = [segmenter_of(normed(), seed) for seed in (1, 2)]
    pool = pool_for(geoseg.ensemble(members), "cpu", "fp32")
    kinds = pool.run(1, lambda there: [type(layer) for layer in there.net.modules()])
    assert kinds.count(torch.nn.Conv2d) == 4
    assert torch.nn.BatchNorm2d not in kinds


def card_of(model: Segmenter, **facts: Any) -> Segmenter:
    return Segmenter.from_card(model.net, replace(model.card, **facts))


@pytest.mark.parametrize(
    ("facts", "message"),
    [
        (
            {"classes": geoseg.segmenter.as_classes(("water", "wood", "field", "town"))},
            "class 1 is 'forest' in .* but 'wood' in .*same classes in the same order: train both",
        ),
        (
            {"classes": geoseg.segmenter.as_classes(("water", "forest", "field"))},
            "2 field, 3 .* but .* 2 field; .*same classes in the same order",
        ),
        ({"bands": ("red", "green", "nir")}, "red, green, blue but .* red, green, nir; .*same ban"),
        ({"gsd": 2.5}, "any pixel size but .* pixels of 2.5 m; .*one pixel size"),
    ],
)
def test_models_that_do_not_belong_together_are_refused(
    facts: dict[str, Any], message: str
) -> None:
    model = member(TwoLayers(), 1)
    with pytest.raises(UserError, match=message) as caught:
        geoseg.ensemble([model, card_of(model, **facts)])
    assert "\n" not in str(caught.value)


def test_files_whose_classes_are_called_otherwise_are_named_and_can_be_joined_as_told(
    saved: list[Path],
) -> None:
    first, second = map(geoseg.load, saved)
    renamed = tuple(replace(each, name=f"new {each.name}") for each in second.card.classes)
    card_of(second, classes=renamed).save(saved[1])
    name = first.card.classes[0].name
    with pytest.raises(
        UserError,
        match=rf"class 0 is '{name}' in \S+first.safetensors but 'new {name}' in "
        r"\S+second.safetensors; .*Segmenter.from_card",
    ):
        geoseg.ensemble(saved)
    b = geoseg.load(saved[1])
    Segmenter.from_card(b.net, replace(b.card, classes=first.card.classes)).save(saved[1])
    assert geoseg.ensemble(saved).card.classes == first.card.classes


def test_no_model_at_all_is_refused() -> None:
    with pytest.raises(UserError, match="no model is given"):
        geoseg.ensemble([])


def test_an_ensemble_has_no_file_of_its_own(tmp_path: Path) -> None:
    joined = geoseg.ensemble([member(TwoLayers(), 1), member(TwoLayers(), 2)])
    assert isinstance(joined, Ensemble)
    with pytest.raises(UserError, match=r"is an ensemble, .*save its members"):
        joined.save(tmp_path / "model.safetensors")
    with pytest.raises(UserError, match="is an ensemble; export its members"):
        export_model(joined, tmp_path / "model.pt2")
    assert not list(tmp_path.iterdir())


# ---- files and the command line ----------------------------------------------------------------


@pytest.fixture
def saved(tmp_path: Path) -> list[Path]:
    paths = [tmp_path / f"{name}.safetensors" for name in ("first", "second")]
    for seed, path in enumerate(paths):
        net = nets.build("unet", **OPTIONS)
        segmenter_of(
            net, seed, architecture="unet", options=OPTIONS, name=path.stem
        ).save(path)  # fmt: skip
    return paths


@pytest.fixture
def scene(tmp_path: Path) -> Path:
    return write(tmp_path / "scene.tif", random_pixels((3, 300, 260)).astype(np.uint8), nodata=0)


def call(words: Sequence[object]) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, "-m", "geoseg", *map(str, words)]
    return subprocess.run(line, capture_output=True, text=True, check=False)


def test_the_command_line_averages_models_and_the_map_names_all(
    scene: Path, tmp_path: Path, saved: list[Path]
) -> None:
    target, scores = tmp_path / "map.tif", tmp_path / "scores.tif"
    words = ["predict", scene, target, "--scores", scores]
    done = call([*words, "-m", saved[0], "--model", saved[1]])
    assert done.returncode == 0, done.stderr
    image = geoseg.open_raster(scene)
    mean = np.mean([scores_of(image, str(each)) for each in saved], 0)
    with rasterio.open(scores) as file:
        steps = file.read()
    assert np.abs(steps / 254 - mean).max() <= 0.5 / 254 + 1e-5
    with rasterio.open(target) as file:
        tags, labels = file.tags(), file.read(1)
    assert tags["GEOSEG_MODEL"] == "first + second"
    digests = [geoseg.load(each).digest for each in saved]
    assert tags["GEOSEG_MODEL_DIGEST"] == " + ".join(digests)
    np.testing.assert_array_equal(labels, geoseg.predict(image, saved).values)


def test_a_batch_takes_several_models_too(scene: Path, tmp_path: Path, saved: list[Path]) -> None:
    words = ["predict", scene, tmp_path / "maps/", "--progress", "json"]
    (tmp_path / "maps").mkdir()
    done = call([*words, "-m", saved[0], "-m", saved[1]])
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1])["failed"] == 0
    predict_file(scene, tmp_path / "map.tif", saved)
    assert (tmp_path / "maps/scene.tif").read_bytes() == (tmp_path / "map.tif").read_bytes()


def test_another_member_is_another_run(scene: Path, tmp_path: Path, saved: list[Path]) -> None:
    target = tmp_path / "map.tif"
    assert predict_file(scene, target, saved).computed > 0
    again = predict_file(scene, target, saved, skip_done=True)
    assert again.computed == 0
    with pytest.raises(UserError, match="exists"):
        predict_file(scene, target, saved[::-1], skip_done=True)
