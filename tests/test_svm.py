"""Support vector machines: hand-computed ones, scikit-learn's, and the map they make."""

from __future__ import annotations

import sys
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import torch
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.model_selection import StratifiedKFold
from sklearn.svm import SVC
from toys import random_image

import geoseg
from geoseg import nets
from geoseg.errors import UserError
from geoseg.exchange import export_model
from geoseg.loader import IGNORE, Scene
from geoseg.nets import svm
from geoseg.nets.svm import RBFSVM
from geoseg.reach import Reach, measure_reach
from geoseg.segmenter import Segmenter, load
from geoseg.train.svm import chosen_by_folds, draw_pixels, facts_of, fit_svm


def scores(net: RBFSVM, pixels: np.ndarray) -> np.ndarray:
    """Scores (N, classes) of pixels (N, C), run as an image of one row."""
    image = torch.from_numpy(np.asarray(pixels, np.float32).T[None, :, None])
    with torch.no_grad():
        return net(image)[0, :, 0].T.numpy()


def clouds(seed: int, bands: int, classes: int, count: int = 60) -> tuple[np.ndarray, np.ndarray]:
    """Pixels around a mean for each class, near enough to overlap."""
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(classes), count)
    means = rng.normal(0, 1, (classes, bands))
    return means[labels] + rng.normal(0, 0.7, (len(labels), bands)), labels


# -- the machine -----------------------------------------------------------------------------------


def test_two_points_have_the_multipliers_computed_by_hand() -> None:
    net = fit_svm(np.array([[-1.0], [1.0]]), np.array([0, 1]), penalty=1e6, gamma=0.5)
    # By symmetry b = 0 and both multipliers a: f(1) = a (1 - exp(-0.5 * 2^2)) = 1.
    assert net.coefficients.detach().flatten().tolist() == pytest.approx(
        [-1.156518, 1.156518], abs=1e-6
    )
    assert net.intercepts.item() == pytest.approx(0, abs=1e-6)
    assert scores(net, [[0.5]])[0].tolist() == pytest.approx([0, 0.645157], abs=1e-6)


def test_exclusive_or_has_the_multipliers_computed_by_hand() -> None:
    corners = np.array([[0.0, 0], [0, 1], [1, 0], [1, 1]])
    net = fit_svm(corners, np.array([0, 1, 1, 0]), penalty=10, gamma=1.0)
    # Two corners of the other class at distance 1, one of the same at sqrt(2):
    # a (1 + exp(-2) - 2 exp(-1)) = 1. scikit-learn stops within a thousandth of that.
    assert net.coefficients.detach().abs().flatten().tolist() == pytest.approx(
        [2.502650] * 4, rel=1e-3
    )
    assert net.intercepts.item() == pytest.approx(0, abs=1e-6)
    assert scores(net, corners)[:, 1].tolist() == pytest.approx([-1, 1, 1, -1], abs=1e-3)


@settings(max_examples=20)
@given(st.integers(0, 1000), st.integers(1, 13), st.sampled_from([0.1, 1.0, 100.0]))
def test_scores_are_those_of_scikit_learn(seed: int, bands: int, penalty: float) -> None:
    pixels, labels = clouds(seed, bands, classes=2)
    net = fit_svm(pixels, labels, penalty)
    others = np.random.default_rng(seed + 1).normal(0, 3, (200, bands)).astype(np.float32)
    expected = SVC(C=penalty, gamma="scale").fit(pixels, labels).decision_function(others)
    found = scores(net, others)
    np.testing.assert_allclose(found[:, 1], expected, rtol=1e-5, atol=1e-5 * max(1, penalty))
    assert not found[:, 0].any()


def test_several_classes_have_a_machine_each_against_the_rest() -> None:
    pixels, labels = clouds(5, bands=4, classes=5)
    net = fit_svm(pixels, labels, gamma=0.4)
    found = scores(net, pixels)
    for each in range(5):
        machine = SVC(gamma=0.4).fit(pixels, labels == each)
        expected = machine.decision_function(pixels.astype(np.float32))
        np.testing.assert_allclose(found[:, each], expected, rtol=1e-5, atol=1e-5)
    assert (found.argmax(1) == labels).mean() > 0.7


def test_scores_do_not_depend_on_the_chunk(monkeypatch: pytest.MonkeyPatch) -> None:
    net, image = RBFSVM(3, 4, vectors=20), torch.randn(2, 3, 7, 9)
    whole = net(image)
    seen: list[int] = []
    machines = net._machines
    monkeypatch.setattr(svm, "CHUNK", 20 * 10)
    monkeypatch.setattr(net, "_machines", lambda each: seen.append(len(each)) or machines(each))
    torch.testing.assert_close(net(image), whole)
    assert seen == [10] * 12 + [6]


def test_far_from_zero_nothing_is_lost_to_rounding() -> None:
    pixels, labels = clouds(3, bands=3, classes=2)
    near, far = (fit_svm(pixels + shift, labels) for shift in (0, 1000))
    np.testing.assert_allclose(scores(far, pixels + 1000), scores(near, pixels), atol=2e-3)


def test_a_pixel_is_scored_by_itself() -> None:
    assert measure_reach(RBFSVM(3, 4, vectors=10), 3) == Reach(0, 1)


def test_a_machine_can_also_be_learnt_by_gradients() -> None:
    net = RBFSVM(3, 2, vectors=10)
    net(torch.randn(2, 3, 4, 4)).square().sum().backward()
    assert all(p.grad is not None and p.grad.any() for p in net.parameters())


@pytest.mark.parametrize(
    "options",
    [{"vectors": 0}, {"vectors": 10**9}, {"classes": 0}, {"in_channels": 2.5}, {"penalty": 0.0}]
    + [{"gamma": value} for value in (0.0, -1.0, float("nan"), float("inf"), "wide")],
)
def test_numbers_that_make_no_machine_are_refused(options: dict[str, object]) -> None:
    (name,) = options
    with pytest.raises(UserError, match=rf"{name}=.*: give a (whole )?number (from|above)"):
        RBFSVM(**{"in_channels": 3, "classes": 2, **options})


# -- fitting ---------------------------------------------------------------------------------------


def test_the_width_of_the_kernel_follows_from_the_variance() -> None:
    pixels, labels = clouds(1, bands=3, classes=2)
    assert fit_svm(pixels, labels).gamma == pytest.approx(1 / (3 * pixels.var()))


def test_without_scikit_learn_nothing_is_fitted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sklearn.svm", None)
    with pytest.raises(UserError, match=r"scikit-learn.*pip install 'geoseg\[train\]'"):
        fit_svm(*clouds(0, 3, 2))


@pytest.mark.parametrize(
    ("pixels", "labels", "message"),
    [
        (np.zeros((4, 3)), [0, 1, 0], r"pixels of \(4, 3\) and labels of \(3,\) do not fit"),
        (np.full((2, 3), np.nan), [0, 1], "not finite; leave out"),
        (np.eye(3), [1, 1, 1], r"classes \[1\]; a machine tells two or more apart"),
        (np.eye(3), [0, 2, 2], r"classes \[0, 2\]; .* without gaps"),
        (np.ones((3, 3)), [0, 1, 1], "variance 0.0 cannot be told apart"),
    ],
)
def test_pixels_without_a_lesson_are_refused(
    pixels: np.ndarray, labels: list[int], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        fit_svm(pixels, np.array(labels))


@pytest.mark.parametrize("options", [{"penalty": 0.0}, {"gamma": -1.0}, {"gamma": float("inf")}])
def test_senseless_settings_of_the_fit_are_refused(options: dict[str, float]) -> None:
    with pytest.raises(UserError, match=rf"{next(iter(options))}=.*give a number above 0"):
        fit_svm(*clouds(0, 3, 2), **options)


@pytest.mark.parametrize("classes", [2, 3])
def test_the_best_pair_of_a_grid_is_that_of_five_parts_by_hand(classes: int) -> None:
    pixels, labels = clouds(2, bands=3, classes=classes, count=50)
    grid = {"penalty": [0.1, 1, 100], "gamma": [0.03, 0.3, 30]}
    parts = list(StratifiedKFold(5, shuffle=True, random_state=4).split(pixels, labels))
    right = {}
    for penalty, gamma in product(*grid.values()):
        found = []
        for known, other in parts:
            net = fit_svm(pixels[known], labels[known], penalty, gamma)
            found.append((scores(net, pixels[other]).argmax(1) == labels[other]).mean())
        right[penalty, gamma] = np.mean(found)
    chosen = chosen_by_folds(pixels, labels, grid, seed=4)
    assert right[chosen["penalty"], chosen["gamma"]] == pytest.approx(max(right.values()), abs=1e-6)
    assert min(right.values()) < max(right.values()) - 0.05
    usual = chosen_by_folds(pixels, labels, {"penalty": 7.0})
    assert usual == {"penalty": 7.0, "gamma": pytest.approx(1 / (3 * pixels.var()))}


def test_a_search_among_nothing_or_with_too_few_pixels_is_refused() -> None:
    pixels, labels = clouds(2, bands=3, classes=2, count=4)
    with pytest.raises(UserError, match=r"a class has 4 pixels, which cannot be in 5 parts"):
        chosen_by_folds(pixels, labels, {"penalty": [1, 2]})
    with pytest.raises(UserError, match=r"gamma=\[\]: give a number above 0, or several"):
        chosen_by_folds(pixels, labels, {"gamma": []})
    with pytest.raises(UserError, match=r"penalty=wide: give a number above 0"):
        chosen_by_folds(pixels, labels, {"penalty": ["wide", 1]})


# -- pixels to learn from --------------------------------------------------------------------------


def scene_of(rows: int, columns: int, first: int = 0, classes: int = 3) -> Scene:
    """Every pixel holds another number, whose remainder is its class; the first has no class."""
    numbers = first + np.arange(rows * columns).reshape(1, rows, columns)
    labels = (numbers[0] % classes).astype(np.uint8)
    labels[0, 0] = IGNORE
    pixels = xr.DataArray(numbers.astype(np.float32), dims=("band", "y", "x"))
    return Scene(pixels, xr.DataArray(labels, dims=("y", "x")))


def test_pixels_of_each_class_are_drawn_without_replacement() -> None:
    scenes = [scene_of(20, 30), scene_of(10, 11, first=600)]
    pixels, labels = draw_pixels(scenes, 3, 40, np.random.default_rng(0))
    assert pixels.shape == (120, 1)
    assert labels.tolist() == [0] * 40 + [1] * 40 + [2] * 40
    assert (pixels[:, 0] % 3 == labels).all()
    assert len(np.unique(pixels)) == 120
    assert not {0.0, 600.0} & set(pixels[:, 0].tolist())
    assert (pixels >= 600).any()


def test_a_rare_class_gives_all_its_pixels() -> None:
    pixels, labels = draw_pixels([scene_of(3, 4)], 3, 1000, np.random.default_rng(0))
    assert pixels[:, 0].tolist() != sorted(pixels[:, 0].tolist())
    assert sorted(pixels[:, 0].tolist()) == list(range(1, 12))
    assert np.bincount(labels).tolist() == [3, 4, 4]


def test_every_pixel_is_as_likely_as_any_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("geoseg.train.svm.SIDE", 4)  # pieces of several sizes
    scenes = [scene_of(5, 6, classes=1), scene_of(2, 3, first=30, classes=1)]
    rng = np.random.default_rng(0)
    drawn = [draw_pixels(scenes, 1, 7, rng)[0].ravel() for _ in range(500)]
    counts = np.bincount(np.concatenate(drawn).astype(int), minlength=36)
    assert counts[[0, 30]].tolist() == [0, 0]
    expected = 500 * 7 / 34  # 103, with a standard deviation of 9
    assert np.abs(np.delete(counts, [0, 30]) - expected).max() < 5 * 9


def test_the_same_seed_draws_the_same_pixels() -> None:
    first, second, other = (
        draw_pixels([scene_of(30, 40)], 3, 10, np.random.default_rng(seed))[0].tolist()
        for seed in (1, 1, 2)
    )
    assert first == second != other


def test_pixels_with_a_missing_band_are_not_drawn() -> None:
    image = random_image((12, 15), nodata=0)  # a corner is missing
    labels = xr.DataArray(np.zeros((12, 15), np.uint8), dims=("y", "x"))
    image[1, 11, 14] = 0
    pixels, _ = draw_pixels([Scene(image, labels)], 1, 1000, np.random.default_rng(0))
    assert len(pixels) == 12 * 15 - 4 * 7 - 1
    assert pixels.all()


def test_classes_without_pixels_and_senseless_counts_are_refused() -> None:
    with pytest.raises(UserError, match="class 3 has no training pixel; leave it out"):
        draw_pixels([scene_of(4, 4)], 4, 10, np.random.default_rng(0))
    with pytest.raises(UserError, match="per_class=0: give a whole number of 1 or more"):
        draw_pixels([scene_of(4, 4)], 3, 0, np.random.default_rng(0))


# -- at work ---------------------------------------------------------------------------------------


@pytest.fixture
def model(monkeypatch: pytest.MonkeyPatch) -> Segmenter:
    """Trained on the colours of an image, as Maggiori et al. do."""
    monkeypatch.setitem(nets.REGISTRY, "svm", RBFSVM)
    image = random_image((40, 50))
    labels = (image[0] > image[1]).astype(np.uint8)
    pixels, classes = draw_pixels([Scene(image, labels)], 2, 200, np.random.default_rng(0))
    net = fit_svm(pixels / 255, classes, penalty=10)
    return Segmenter(
        net,
        classes=("other", "more red than green"),
        bands=("red", "green", "blue"),
        mean=(0, 0, 0),
        std=(255, 255, 255),
        architecture="svm",
        options={"in_channels": 3, "classes": 2, **facts_of(net)},
    )


def test_the_map_is_that_of_scikit_learn_and_of_the_saved_model(
    model: Segmenter, tmp_path: Path
) -> None:
    image = random_image((70, 60), seed=1)
    colours = image.values.reshape(3, -1).T / np.float32(255)
    kernel = np.exp(
        -model.net.gamma
        * ((colours[:, None] - model.net.vectors.detach().numpy()) ** 2).sum(2, dtype=np.float64)
    )
    score = kernel @ model.net.coefficients.detach().numpy() + model.net.intercepts.item()
    expected = score.reshape(70, 60)
    found = geoseg.predict(image, model).values
    clear = np.abs(expected) > 1e-4
    assert clear.mean() > 0.99
    np.testing.assert_array_equal(found[clear], expected[clear] > 0)
    truth = image.values[0] > image.values[1]
    assert (found == truth).mean() > 0.95
    model.save(tmp_path / "model.safetensors")
    again = load(tmp_path / "model.safetensors")
    assert again.digest == model.digest
    np.testing.assert_array_equal(geoseg.predict(image, again), found)


def test_an_exported_machine_takes_images_of_any_size(model: Segmenter, tmp_path: Path) -> None:
    export_model(model, tmp_path / "model.pt2")
    program = torch.export.load(tmp_path / "model.pt2").module()
    image = torch.rand(3, 3, 25, 80)
    torch.testing.assert_close(program(image), model.net(image))
