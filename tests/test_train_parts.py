"""The pieces of training: losses, windows, augmentation, schedules, settings."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from geoseg.errors import UserError
from geoseg.loader import IGNORE, Scene
from geoseg.train.augment import SYMMETRIES, jitter, random_symmetries, symmetry
from geoseg.train.losses import class_weights, cross_entropy
from geoseg.train.sampling import Uniform
from geoseg.train.schedules import SCHEDULES, poly
from geoseg.train.settings import RECIPES, Settings, change, find_recipe

seeds = st.integers(0, 2**32 - 1)


def scene_of(rows: int, columns: int, first: int = 0) -> Scene:
    """Every pixel of every scene holds another number."""
    numbers = first + np.arange(rows * columns, dtype=np.float32).reshape(1, rows, columns)
    labels = np.zeros((rows, columns), np.uint8)
    return Scene(xr.DataArray(numbers, dims=("band", "y", "x")), xr.DataArray(labels))


# -- losses ----------------------------------------------------------------------------------------


@settings(deadline=None, max_examples=30)
@given(seeds, st.integers(2, 5), st.booleans())
def test_cross_entropy_is_the_weighted_mean_over_labelled_pixels(
    seed: int, classes: int, weighted: bool
) -> None:
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 3, (2, classes, 3, 4))
    labels = rng.integers(0, classes, (2, 3, 4))
    labels[rng.random(labels.shape) < 0.3] = IGNORE
    weights = rng.uniform(0.1, 3, classes) if weighted else np.ones(classes)
    total = share = 0.0
    for image, row, column in np.argwhere(labels != IGNORE):
        scores = logits[image, :, row, column]
        true = labels[image, row, column]
        total += weights[true] * (np.log(np.exp(scores).sum()) - scores[true])
        share += weights[true]
    given_weights = torch.from_numpy(weights) if weighted else None
    loss = cross_entropy(torch.from_numpy(logits), torch.from_numpy(labels), given_weights)
    assert float(loss) == pytest.approx(total / share if share else 0.0, rel=1e-9)


@pytest.mark.parametrize("weights", [None, torch.ones(3)])
def test_windows_without_a_label_teach_nothing(weights: torch.Tensor | None) -> None:
    logits = torch.randn(1, 3, 4, 4, requires_grad=True)
    loss = cross_entropy(logits, torch.full((1, 4, 4), IGNORE), weights)
    loss.backward()
    assert loss.detach().item() == 0.0
    assert not logits.grad.any()


@given(
    st.lists(st.integers(0, 10**9), min_size=1, max_size=8).filter(any),
    st.floats(0, 1, allow_nan=False),
)
def test_class_weights_average_to_one_and_lift_rare_classes(
    pixels: list[int], power: float
) -> None:
    counts = np.array(pixels)
    weights = class_weights(counts, power).double().numpy()
    assert (weights * counts).sum() / counts.sum() == pytest.approx(1, rel=1e-5)
    assert (weights[counts == 0] == 0).all()
    rare_first = np.argsort(counts[counts > 0], kind="stable")
    assert (np.diff(weights[counts > 0][rare_first]) <= 1e-6 * weights.max()).all()


def test_class_weights_of_power_zero_and_one_treat_pixels_and_classes_alike() -> None:
    counts = np.array([10, 30, 60])
    assert class_weights(counts, 0.0).tolist() == pytest.approx([1, 1, 1])
    assert (class_weights(counts, 1.0).numpy() * counts).tolist() == pytest.approx([100 / 3] * 3)


# -- windows ---------------------------------------------------------------------------------------


@settings(deadline=None, max_examples=40)
@given(seeds, st.integers(1, 9), st.lists(st.tuples(st.integers(1, 20), st.integers(1, 20))))
def test_windows_have_the_asked_size_and_start_inside(
    seed: int, size: int, shapes: list[tuple[int, int]]
) -> None:
    scenes = [scene_of(*shape) for shape in [*shapes, (7, 7)]]
    for scene, (rows, columns) in Uniform(scenes, size).draw(np.random.default_rng(seed), 20):
        for span, length in ((rows, scene.shape[0]), (columns, scene.shape[1])):
            assert span.stop - span.start == size
            assert 0 <= span.start <= max(length - size, 0)


def test_every_window_is_drawn_alike() -> None:
    scenes = [scene_of(4, 6), scene_of(3, 3)]  # 3 x 5 and 2 x 2 windows of 2 pixels
    drawn = Uniform(scenes, 2).draw(np.random.default_rng(0), 19_000)
    counts: dict[tuple[int, int, int], int] = {}
    for scene, (rows, columns) in drawn:
        place = (id(scene), rows.start, columns.start)
        counts[place] = counts.get(place, 0) + 1
    assert len(counts) == 15 + 4
    assert max(abs(count - 1000) for count in counts.values()) < 150  # 5 standard deviations


def test_the_same_seed_draws_the_same_windows() -> None:
    sampler = Uniform([scene_of(30, 40)], 8)
    first, second = (sampler.draw(np.random.default_rng(3), 10) for _ in range(2))
    assert first == second
    assert first != sampler.draw(np.random.default_rng(4), 10)


# -- augmentation ----------------------------------------------------------------------------------


def test_there_are_eight_symmetries() -> None:
    square = torch.arange(9).reshape(3, 3)
    images = {tuple(symmetry(square, which).flatten().tolist()) for which in SYMMETRIES}
    assert len(images) == 8
    assert symmetry(square, 0).equal(square)


def test_symmetries_keep_neighbours() -> None:
    square = torch.arange(16).reshape(4, 4)
    for which in SYMMETRIES:
        assert neighbours(symmetry(square, which)) == neighbours(square)


def neighbours(square: torch.Tensor) -> set[frozenset[int]]:
    lines = [*square.tolist(), *square.T.tolist()]
    return {frozenset(pair) for line in lines for pair in pairwise(line)}


@settings(deadline=None, max_examples=30)
@given(seeds, st.integers(1, 6), st.integers(1, 5))
def test_labels_follow_their_pixels(seed: int, side: int, count: int) -> None:
    rng = np.random.default_rng(seed)
    labels = torch.from_numpy(rng.integers(0, 100, (count, side, side)))
    values = torch.stack([labels, 2 * labels], 1).float()
    turned, followed = random_symmetries(values, labels, rng)
    assert turned[:, 0].equal(followed.float())
    assert turned[:, 1].equal(2 * followed.float())
    assert followed.flatten(1).sort().values.equal(labels.flatten(1).sort().values)


@settings(deadline=None, max_examples=30)
@given(seeds, st.floats(0, 0.5), st.floats(0, 0.5))
def test_jitter_is_one_gain_and_offset_a_band_within_its_limits(
    seed: int, gain: float, offset: float
) -> None:
    values = torch.tensor([-1.0, 0.0, 1.0]).expand(2, 3, 1, 3)
    moved = jitter(values, np.random.default_rng(seed), gain, offset).double()
    found_offset = moved[..., 1]
    found_gain = (moved[..., 2] - moved[..., 0]) / 2
    assert (found_offset.abs() <= offset + 1e-6).all()
    assert ((found_gain - 1).abs() <= gain + 1e-6).all()
    torch.testing.assert_close(moved[..., 2] - found_offset, found_gain, atol=1e-6, rtol=1e-6)
    if gain > 0.01:
        assert found_gain.unique().numel() == 6


# -- schedules -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(SCHEDULES))
def test_learning_rates_fall_from_one_to_zero(name: str) -> None:
    factors = [SCHEDULES[name](done) for done in np.linspace(0, 1, 50)]
    assert factors[0] == 1.0
    assert factors[-1] == pytest.approx(0.0, abs=1e-12)
    assert (np.diff(factors) < 0).all()


def test_poly_gives_the_rates_of_80000_steps_from_one_thousandth() -> None:
    rates = [1e-3 * poly(step / 80_000) for step in (0, 20_000, 40_000, 60_000, 79_999)]
    assert rates == pytest.approx([1e-3, 7.7189e-4, 5.3589e-4, 2.8717e-4, 3.8656e-8], rel=1e-4)


# -- settings --------------------------------------------------------------------------------------


def test_settings_are_changed_by_yaml_values() -> None:
    changed = change(
        Settings(), ["steps=12", "lr=1e-3", "widths=[4, 8]", "schedule=poly", "clip=2"]
    )
    expected = Settings(steps=12, lr=1e-3, options={"widths": [4, 8]}, schedule="poly", clip=2.0)
    assert changed == expected


def test_without_changes_settings_stay() -> None:
    assert change(Settings(seed=3), []) == Settings(seed=3)


def test_every_recipe_is_found_by_its_name() -> None:
    assert all(find_recipe(name) is recipe for name, recipe in RECIPES.items())


def test_an_unknown_recipe_is_refused_with_those_that_there_are() -> None:
    with pytest.raises(UserError, match=r"no recipe 'unte'; choose from unet"):
        find_recipe("unte")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("step=3", r"no setting 'step'; choose from net, crop, .*steps.*widths"),
        ("options={}", r"no setting 'options'"),
        ("in_channels=3", r"no setting 'in_channels'"),
        ("steps", r"'steps': write it as key=value"),
        ("steps=many", r"steps=many: give a whole number"),
        ("steps=2.5", r"steps=2.5: give a whole number"),
        ("steps=true", r"steps=True: give a whole number"),
        ("steps=0", r"steps=0: give a whole number of 1 or more"),
        ("lr=fast", r"lr=fast: give a number"),
        ("lr=.nan", r"lr=nan: give a number"),
        ("lr=-1", r"lr=-1.0: give a number above 0"),
        ("gain=-0.1", r"gain=-0.1: give a number of 0 or more"),
        ("schedule=steep", r"schedule=steep: choose from poly, cosine"),
        ("net=vgg", r"no network 'vgg'"),
        ("widths=[4", r"'\[4' is no YAML value"),
    ],
)
def test_settings_that_cannot_be_meant_are_refused(text: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        change(Settings(), [text])


def test_options_that_the_network_lacks_are_refused() -> None:
    with pytest.raises(UserError, match=r"'unet' has no option depth; choose from widths"):
        Settings(options={"depth": 3})
