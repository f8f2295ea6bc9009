"""What Rakhlin et al. (CVPR workshops 2018) print or leave open, and what quick runs learn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import xarray as xr
from fixtures_published import LAND_COLORS, disturbed, fake_deepglobe_land, land_labels, write_image
from maps import class_map
from numpy.typing import NDArray
from rasterio.transform import Affine

import geoseg
from geoseg import nets
from geoseg.card import Card, card_from_json, card_to_json, describe
from geoseg.classes import ClassInfo, as_classes
from geoseg.errors import UserError
from geoseg.plan import Tiling, make_plan
from geoseg.polygons import area_by_class, polygonize
from geoseg.recipes import train_files
from geoseg.recipes.unet_lovasz import RECIPE
from geoseg.resample import Resampling
from geoseg.segmenter import Segmenter
from geoseg.train import Dataset, changed, fit
from geoseg.train.scoring import score_windows
from geoseg.windows import Windows

SIDE = 128

# -- choices ---------------------------------------------------------------------------------------


def stated(part: str, weight: float, **options: Any) -> dict[str, Any]:
    options = {"weight": weight, "unscored": "data", **options}
    return {"cross_entropy": pytest.approx(1 - weight), part: options}


@pytest.mark.parametrize(("ending", "weight"), [("", 0.5), ("-0.15", 0.15)])
@pytest.mark.parametrize(
    ("name", "part", "options", "recommended"),
    [
        ("lovasz", "lovasz", {}, "lovasz"),
        ("jaccard", "jaccard_pixel", {}, "jaccard-region"),
        ("jaccard-region", "jaccard_region", {"only_present": True}, "jaccard-region"),
    ],
)
def test_losses_differ_in_their_second_part_and_unknown_is_in_the_first_one(
    name: str, part: str, options: dict[str, Any], recommended: str, ending: str, weight: float
) -> None:
    assert RECIPE.chosen(name + ending).loss == stated(part, weight, **options)
    expected = RECIPE.chosen(recommended + ending).loss
    assert RECIPE.chosen(name + ending, "recommended").loss == expected


@pytest.mark.parametrize(
    ("variant", "paper", "recommended"),
    [
        ("", "equibatch", "equibatch-scored"),
        ("equibatch+jaccard", "equibatch", "equibatch-scored"),
        ("uniform", "scene", "scene"),
    ],
)
def test_no_window_is_recommended_for_the_sake_of_unknown(
    variant: str, paper: str, recommended: str
) -> None:
    assert RECIPE.chosen(variant).sampler == paper
    assert RECIPE.chosen(variant, "recommended").sampler == recommended


@pytest.mark.parametrize(
    ("variant", "options"),
    [
        ("resnet34", {}),
        ("resnet34-1x1", {"variant": "paper_1x1"}),
        ("resnet34-torchvision", {"variant": "torchvision_elu"}),
    ],
)
def test_shortcuts_of_the_residual_network_are_variants(
    variant: str, options: dict[str, Any]
) -> None:
    found = RECIPE.chosen(variant)
    assert (found.net, found.options) == ("unet_resnet34", options)


def read(root: Path, **options: Any) -> Dataset:
    assert RECIPE.read is not None
    return RECIPE.read(root, **options)


@pytest.mark.parametrize("shrink", [1, 2, 4, 8])
def test_images_are_learnt_from_at_the_scales_of_the_paper(tmp_path: Path, shrink: int) -> None:
    data = read(fake_deepglobe_land(tmp_path, n=3), shrink=shrink)
    for scene in (*data.training, *data.held_out):
        assert scene.shape == scene.labels.shape == (64 // shrink, 64 // shrink)
        assert scene.image.dtype == np.uint8


def test_half_the_scale_is_meant_where_none_is_named(tmp_path: Path) -> None:
    assert read(fake_deepglobe_land(tmp_path, n=1, size=2448), shrink=2).gsd == 1.0
    assert read(tmp_path).training[0].shape == (1224, 1224)


@pytest.mark.parametrize(("shrink", "by"), [(1, 1), (2, 1), (4, 2), (8, 3)])
def test_coarser_images_are_brought_near_to_the_scale(tmp_path: Path, shrink: int, by: int) -> None:
    folder = fake_deepglobe_land(tmp_path, n=2, size=512)
    # A quarter of an image was resized to 512 pixels: 1.195 m, of which 4 m are 3.3.
    assert read(folder, shrink=shrink).gsd == pytest.approx(by * 1224 * 0.5 / 512)


@pytest.mark.parametrize("shrink", [0, 3, -2, 1.5, True, "half", None])
def test_other_scales_are_refused(tmp_path: Path, shrink: Any) -> None:
    with pytest.raises(UserError, match=rf"shrink={shrink}: give 1, 2, 4 or 8, pixels of 0\.5 m"):
        read(tmp_path, shrink=shrink)


# -- numbers that follow from the paper's ----------------------------------------------------------

DEEPGLOBE = Affine(0.5, 0, 500_000, 0, -0.5, 5_000_000)


def test_an_image_covers_one_and_a_half_square_kilometres() -> None:
    areas = area_by_class(class_map(np.ones((2448, 2448), np.uint8), DEEPGLOBE))
    assert areas.area_m2.tolist() == [2448**2 / 4]
    assert areas.area_m2[0] / 1e6 == pytest.approx(1.4982, abs=5e-5)


@pytest.mark.parametrize(
    ("transform", "pixels", "limit"),
    [
        (DEEPGLOBE, 3500, 875.0),  # the paper's least region, and its square metres
        (DEEPGLOBE, 100, 25.0),
        (Affine(1, 0, 0, 0, -1, 0), 100, 100.0),  # survives 100 and not 101
    ],
)
def test_a_region_of_just_the_least_size_survives_and_one_pixel_less_does_not(
    transform: Affine, pixels: int, limit: float
) -> None:
    def classes(region: int, least: float) -> list[int]:
        values = np.ones((100, 100), np.uint8)
        inner = np.zeros(70 * 70, np.uint8)
        inner[:region] = 1
        values[5:75, 5:75] += inner.reshape(70, 70)
        return sorted(set(polygonize(class_map(values, transform), min_area=least).class_id))

    pixel = transform.a**2
    assert pixels * pixel == limit
    assert classes(pixels, limit) == [1, 2]
    assert classes(pixels, limit + pixel) == [1]
    assert classes(pixels - 1, limit) == [1]


def starts(side: int) -> list[int]:
    """Every 57th pixel, and as far as the last window that fits."""
    return [*range(0, side - 288, 57), side - 288]


@pytest.mark.parametrize(
    ("shrink", "side", "an_axis", "altogether"),
    [(1, 2448, 39, 1521), (2, 1224, 18, 324), (4, 612, 7, 49), (8, 306, 2, 4)],
)
def test_windows_of_an_image_are_as_many_as_fit_and_one_at_its_end(
    shrink: int, side: int, an_axis: int, altogether: int
) -> None:
    windows = Windows((side, side), (288, 288), (57, 57))
    rows = sorted({rows.start for rows, _ in windows})
    assert (len(rows), len(windows)) == (an_axis, altogether)
    assert rows == starts(side)
    # As they are planned for an image of 0.5 m that a model of another pixel size is given.
    card = Card("", "", "", {}, as_classes("ab"), ("red",), (0,), (1,), stride=32)
    axis = Resampling.by_zoom(2448, 1 / shrink)
    plan = make_plan((axis, axis), card, Tiling(288, None, "mean", 57))
    assert len(plan.windows) == altogether


def test_a_pixel_of_a_halved_image_is_in_one_to_six_windows_along_an_axis() -> None:
    assert starts(1224)[-3:] == [855, 912, 936]
    counts = np.zeros(1224, int)
    for start in starts(1224):
        counts[start : start + 288] += 1
    assert (counts.min(), counts.max()) == (1, 6)


# -- quick runs ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return fake_deepglobe_land(tmp_path_factory.mktemp("land"), n=6, size=SIDE)


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same land as images and labels of a user, four to learn from and one for each score."""
    root = tmp_path_factory.mktemp("plain")
    parts = ["training"] * 4 + ["validation", "held_out"]
    lines = ["image,label,split"]
    for number, part in enumerate(parts):
        labels, rng = land_labels(number, SIDE), np.random.default_rng(number)
        colours = np.moveaxis(LAND_COLORS[labels], -1, 0)
        write_image(root / f"images/{number}.tif", disturbed(rng, colours // 2 + 60, 20))
        write_image(root / f"labels/{number}.tif", labels[None])
        lines.append(f"images/{number}.tif,labels/{number}.tif,{part}")
    (root / "tiles.csv").write_text("\n".join(lines), encoding="utf-8")
    return root


def share_of_the_commonest(labels: NDArray[Any], unscored: Sequence[int] = ()) -> float:
    counts = np.bincount(labels[~np.isin(labels, unscored)])
    return float(counts.max() / counts.sum())


@pytest.mark.parametrize("variant", ["jaccard", "jaccard-region", "uniform"])
def test_a_quick_run_of_every_loss_and_sampler_beats_the_commonest_class(
    published: Path, tmp_path: Path, variant: str
) -> None:
    settings = [f"variant={variant}", "preset=quick"]
    model = train_files("unet-lovasz", published, tmp_path / "model", settings, device="cpu")
    truth = np.stack([each.labels.values for each in read(published).held_out])
    found = model.card.metrics["held_out"]
    assert found["pixels"] == np.count_nonzero(truth)  # but for the unknown, 0
    assert found["overall_accuracy"] > share_of_the_commonest(truth, [0]) + 0.1


def test_a_quick_run_on_any_images_and_labels_beats_the_commonest_class(
    plain: Path, tmp_path: Path
) -> None:
    model = train_files("unet", plain, tmp_path / "model", ["preset=quick"], device="cpu")
    truth = land_labels(5, SIDE)
    found = model.card.metrics["held_out"]
    assert found["pixels"] == SIDE**2
    assert found["overall_accuracy"] > share_of_the_commonest(truth) + 0.1
    again = geoseg.load(tmp_path / "model").card
    assert again.metrics == model.card.metrics


# -- a class that is learnt and never given --------------------------------------------------------


@pytest.fixture(scope="module")
def image() -> xr.DataArray:
    pixels = np.random.default_rng(0).normal(0, 1, (3, 70, 90)).astype(np.float32)
    bands = {"band": ["red", "green", "blue"]}
    return xr.DataArray(pixels, dims=("band", "y", "x"), coords=bands)


def untrained(seed: int, **facts: Any) -> Segmenter:
    torch.manual_seed(seed)
    options = {"in_channels": 3, "classes": 4, "widths": [4, 8]}
    return Segmenter(
        nets.build("unet", **options),
        classes=[ClassInfo(value, f"class {value}", "#000000") for value in (7, 1, 2, 5)],
        bands=["red", "green", "blue"],
        mean=[0.0] * 3,
        std=[1.0] * 3,
        architecture="unet",
        options=options,
        **facts,
    )


@pytest.mark.parametrize("options", [{}, {"window": 32, "blend": "mean", "stride": 8}])
def test_pixels_of_a_withheld_class_have_the_next_best_one(
    image: xr.DataArray, tmp_path: Path, options: dict[str, Any]
) -> None:
    plain, withholding = untrained(0), untrained(0, withheld=(7,))
    withholding.save(tmp_path / "model.safetensors")
    scores = geoseg.predict(image, plain, output="scores", **options).values
    second = np.array([1, 2, 5])[scores[1:].argmax(0)]
    assert (scores.argmax(0) == 0).any()
    found = geoseg.predict(image, tmp_path / "model.safetensors", **options).values
    if not options:
        np.testing.assert_array_equal(found, second)
    assert set(np.unique(found)) <= {1, 2, 5}
    # Where windows overlap, what is averaged is the share of the others in each of them.
    assert (found == second).mean() > 0.97
    given = geoseg.predict(image, withholding, output="scores", **options).values
    assert not given[0].any()
    np.testing.assert_allclose(given.sum(0), 1, atol=1e-5)


def test_several_models_withhold_what_one_of_them_does(image: xr.DataArray) -> None:
    pair = geoseg.ensemble([untrained(0), untrained(1, withheld=(7,))])
    assert pair.card.withheld == (7,)
    scores = geoseg.predict(image, geoseg.ensemble([untrained(0), untrained(1)]), output="scores")
    second = np.array([1, 2, 5])[scores.values[1:].argmax(0)]
    np.testing.assert_array_equal(geoseg.predict(image, pair).values, second)


def test_a_card_tells_which_class_is_never_given() -> None:
    card = untrained(0, withheld=(2,)).card
    assert card_from_json(card_to_json(card)) == card
    lines = [line for line in describe(card).splitlines() if "never given" in line]
    assert len(lines) == 1
    assert "class 2" in lines[0]
    assert "withheld" not in card_to_json(untrained(0).card)


@pytest.mark.parametrize("withheld", [(3,), (1, 2, 5, 7)])
def test_classes_that_cannot_be_withheld_are_refused(withheld: tuple[int, ...]) -> None:
    with pytest.raises(UserError, match=r"withheld .* must be some of the classes' values, not al"):
        untrained(0, withheld=withheld)


def test_a_model_learns_unknown_and_is_told_not_to_give_it(published: Path, tmp_path: Path) -> None:
    data, settings = read(published), RECIPE.chosen(preset="quick")
    settings = changed(settings, {"steps": 4, "withhold_unscored": True})
    model = fit(settings, data, tmp_path / "model", device="cpu")
    assert model.card.withheld == (0,)
    scene = data.held_out[0].image.assign_attrs(long_name=model.card.bands)
    assert 0 not in geoseg.predict(scene, model, gsd="native").values
    # Windows are scored alike: none of their pixels is given away to a class that cannot be right.
    known = sum(np.count_nonzero(scene.labels.values) for scene in data.held_out)
    assert score_windows(model, data.held_out, 64, 1, data.unscored).predicted().sum() == known
    with pytest.raises(UserError, match=r"every class of .* is scored; leave it out"):
        fit(settings, replace(data, unscored=()), tmp_path / "other", device="cpu")
