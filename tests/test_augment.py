"""Other views of the same ground: against numpy, colorsys and matplotlib."""

from __future__ import annotations

import colorsys
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from matplotlib.colors import hsv_to_rgb, rgb_to_hsv
from torch import Tensor

from geoseg.errors import UserError
from geoseg.loader import IGNORE
from geoseg.train.data.augment import (
    SYMMETRIES,
    Augmentation,
    Levels,
    augment,
    change_gamma,
    drop_bands,
    jitter,
    random_symmetries,
    resized,
    shift_hsv,
    symmetry,
    window_size,
)

seeds = st.integers(0, 2**32 - 1)
LEVELS = Levels((0.3, 0.4, 0.5), (0.2, 0.1, 0.25))
OPENCV_8_BIT = {"hue": 10 / 180, "saturation": 20 / 255, "value": 10 / 255}


def rgb_of(seed: int, count: int = 2, side: int = 6) -> Tensor:
    """Levels of 8 bits, with grey, black, white and pure colours among them."""
    rng = np.random.default_rng(seed)
    pixels = rng.integers(0, 256, (count, 3, side, side))
    pixels[:, :, 0, 0] = 77
    pixels[:, :, 0, 1] = 0
    pixels[:, :, 0, 2] = 255
    pixels[:, :, 1, :3] = 255 * np.eye(3, dtype=int)
    pixels[:, :, 2, :3] = 255 * (1 - np.eye(3, dtype=int))
    return torch.from_numpy((pixels / 255).astype(np.float32))


# -- place -----------------------------------------------------------------------------------------


def test_there_are_eight_symmetries() -> None:
    square = torch.arange(9).reshape(3, 3)
    images = {tuple(symmetry(square, which).flatten().tolist()) for which in SYMMETRIES["all"]}
    assert len(images) == 8
    assert symmetry(square, 0).equal(square)


def test_symmetries_keep_neighbours() -> None:
    square = torch.arange(16).reshape(4, 4)
    for which in SYMMETRIES["all"]:
        assert neighbours(symmetry(square, which)) == neighbours(square)


def neighbours(square: Tensor) -> set[frozenset[int]]:
    lines = [*square.tolist(), *square.T.tolist()]
    return {frozenset(pair) for line in lines for pair in pairwise(line)}


def test_flips_mirror_either_axis_or_both_and_turn_nothing() -> None:
    square = np.arange(9).reshape(3, 3)
    expected = {
        tuple(f.ravel()) for f in (square, square[::-1], square[:, ::-1], square[::-1, ::-1])
    }
    found = {
        tuple(symmetry(torch.from_numpy(square), which).flatten().tolist())
        for which in SYMMETRIES["flips"]
    }
    assert found == expected


@pytest.mark.parametrize(("among", "count"), [("none", 1), ("flips", 4), ("all", 8)])
def test_symmetries_are_drawn_alike(among: str, count: int) -> None:
    labels = torch.arange(4).reshape(1, 2, 2).repeat(800 * count, 1, 1)
    _, turned = random_symmetries(labels[:, None], labels, np.random.default_rng(0), among)
    found, times = turned.flatten(1).unique(dim=0, return_counts=True)
    assert len(found) == count
    assert (times - 800).abs().max() < 140  # 5 standard deviations


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


# -- scale -----------------------------------------------------------------------------------------


def test_windows_are_as_large_as_the_crop_is_at_the_scale() -> None:
    rng = np.random.default_rng(0)
    sizes = [window_size(rng, 1025, (0.5, 1.5)) for _ in range(3000)]
    scales = 1025 / np.array(sizes)
    assert 683 <= min(sizes) < 690  # 1025 / 1.5 is 683.3
    assert 2020 < max(sizes) <= 2050
    # The scale is uniform, not the size.
    np.testing.assert_allclose(np.quantile(scales, [0.25, 0.5, 0.75]), [0.75, 1, 1.25], atol=0.03)
    assert window_size(rng, 64, (1.0, 1.0)) == 64
    assert window_size(rng, 1, (8.0, 8.0)) == 1


def test_windows_of_the_right_size_are_left_as_they_are() -> None:
    values, labels, valid = torch.rand(1, 2, 4, 4), torch.ones(1, 4, 4), torch.rand(1, 4, 4) > 0.5
    kept = resized(values, labels, valid, 4)
    assert kept[0] is values
    assert kept[1] is labels
    assert kept[2] is valid


def taps(length: int, size: int) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Weights (size, length) of linear interpolation between pixel centres."""
    weights = np.zeros((size, length))
    for target in range(size):
        centre = np.clip((target + 0.5) * length / size - 0.5, 0, length - 1)
        low = int(centre)
        weights[target, low] += 1 - (centre - low)
        weights[target, min(low + 1, length - 1)] += centre - low
    return weights


@settings(deadline=None, max_examples=40)
@given(seeds, st.integers(1, 9), st.integers(1, 9))
def test_resized_values_are_weighted_means_of_valid_pixels(seed: int, side: int, size: int) -> None:
    assume(side != size)
    rng = np.random.default_rng(seed)
    values = rng.normal(0, 1, (2, 3, side, side))
    valid = rng.random((2, side, side)) < 0.7
    labels = rng.integers(0, 256, (2, side, side))
    found, _, known = resized(
        torch.from_numpy(values), torch.from_numpy(labels), torch.from_numpy(valid), size
    )
    by = taps(side, size)
    weight = np.einsum("ir,bij,jc->brc", by.T, valid.astype(float), by.T)
    total = np.einsum("ir,bcij,js->bcrs", by.T, values * valid[:, None], by.T)
    clear = np.abs(weight - 0.5) > 1e-6  # ties may fall to either side
    assert (known.numpy() == (weight >= 0.5))[clear].all()
    expected = np.where(weight >= 0.5, total.swapaxes(0, 1) / np.maximum(weight, 0.5), 0)
    np.testing.assert_allclose(
        found.numpy().swapaxes(0, 1)[:, clear], expected[:, clear], atol=1e-6
    )


@settings(deadline=None, max_examples=40)
@given(seeds, st.integers(1, 9), st.integers(1, 9))
def test_resized_labels_are_those_of_the_nearest_pixels_where_there_is_data(
    seed: int, side: int, size: int
) -> None:
    assume(side != size)
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 256, (1, side, side))
    values = torch.zeros(1, 1, side, side)
    everywhere = torch.ones(1, side, side, dtype=torch.bool)
    _, found, valid = resized(values, torch.from_numpy(labels), everywhere, size)
    assert valid.all()
    places = [int((target + 0.5) * side / size) for target in range(size)]
    assert found.dtype == torch.int64
    assert (found.numpy()[0] == labels[0][np.ix_(places, places)]).all()
    holed = torch.from_numpy(rng.random((1, side, side)) < 0.5)
    _, found, valid = resized(values, torch.from_numpy(labels), holed, size)
    assert (found[~valid] == IGNORE).all()


# -- light and sensor ------------------------------------------------------------------------------


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


@settings(deadline=None, max_examples=30)
@given(seeds, st.floats(-1, 1), st.floats(-1, 1), st.floats(-1, 1))
def test_shifts_are_those_of_matplotlibs_hue_saturation_and_value(
    seed: int, hue: float, saturation: float, value: float
) -> None:
    rgb = rgb_of(seed)
    shifts = torch.tensor([[hue, saturation, value], [0.0, 0.0, 0.0]])
    hsv = rgb_to_hsv(rgb.double().permute(0, 2, 3, 1).numpy())
    hsv = hsv + shifts.double().numpy()[:, None, None]
    hsv[..., 0] %= 1
    expected = hsv_to_rgb(hsv.clip(0, 1))
    shifted = shift_hsv(rgb, shifts).permute(0, 2, 3, 1).numpy()
    np.testing.assert_allclose(shifted, expected, atol=2e-5)
    np.testing.assert_allclose(shifted[1], rgb[1].permute(1, 2, 0).numpy(), atol=1e-6)


def test_shifts_are_those_of_colorsys() -> None:
    rgb = rgb_of(5, count=1, side=5)
    shifted = shift_hsv(rgb, torch.tensor([[0.1, -0.2, 0.05]]))
    for row, column in np.ndindex(5, 5):
        h, s, v = colorsys.rgb_to_hsv(*rgb[0, :, row, column].tolist())
        expected = colorsys.hsv_to_rgb((h + 0.1) % 1, max(s - 0.2, 0), min(v + 0.05, 1))
        assert shifted[0, :, row, column].tolist() == pytest.approx(expected, abs=1e-5)


def test_gamma_is_a_power_for_each_window() -> None:
    rgb = rgb_of(1)
    bent = change_gamma(rgb, torch.tensor([0.8, 1.5])).double().numpy()
    np.testing.assert_allclose(bent[0], rgb[0].double().numpy() ** 0.8, atol=1e-6)
    np.testing.assert_allclose(bent[1], rgb[1].double().numpy() ** 1.5, atol=1e-6)


def test_dropped_bands_are_nought_and_one_is_always_left() -> None:
    values = torch.ones(4000, 3, 2, 2)
    kept = drop_bands(values, np.random.default_rng(0), 0.2)
    assert set(kept.unique().tolist()) == {0.0, 1.0}
    per_band = kept.mean((2, 3))
    assert set(per_band.unique().tolist()) == {0.0, 1.0}  # whole bands
    # All three go with 0.2 ** 3; each of them is spared then with 1/3.
    expected = 0.8 + 0.2**3 / 3
    assert (per_band.mean(0) - expected).abs().max() < 0.032  # 5 standard deviations
    alone = drop_bands(values, np.random.default_rng(0), 1.0).mean((2, 3))
    assert (alone.sum(1) == 1).all()
    assert (alone.mean(0) - 1 / 3).abs().max() < 0.038


# -- all together ----------------------------------------------------------------------------------

EVERYTHING = Augmentation(
    gain=0.1, offset=0.1, gamma=(0.8, 1.5), colour_chance=0.9, drop_band=0.1, **OPENCV_8_BIT
)


def batch_of(seed: int, count: int = 3, side: int = 5) -> tuple[Tensor, Tensor, Tensor]:
    rng = np.random.default_rng(seed)
    values = LEVELS.normalised(rgb_of(seed, count, side))
    labels = torch.from_numpy(rng.integers(0, 5, (count, side, side)))
    valid = torch.from_numpy(rng.random((count, side, side)) < 0.8)
    return values, labels, valid


def test_by_default_pixels_only_move() -> None:
    values, labels, valid = batch_of(0)
    moved, followed = augment(values, labels, valid, np.random.default_rng(1), Augmentation())
    values, labels = values.where(valid[:, None], 0), labels.where(valid, IGNORE)
    expected = random_symmetries(values, labels, np.random.default_rng(1))
    assert moved.equal(expected[0])
    assert followed.equal(expected[1])


@settings(deadline=None, max_examples=20)
@given(seeds)
def test_missing_pixels_stay_missing_and_labels_are_only_moved(seed: int) -> None:
    values, labels, valid = batch_of(seed)
    values[:, 0] = labels + 10.0  # not a colour; the offset alone moves it
    moved, followed = augment(
        values, labels, valid, np.random.default_rng(seed), Augmentation(offset=0.4)
    )
    gone = followed == IGNORE
    assert gone.sum((1, 2)).equal((~valid).sum((1, 2)))
    assert (moved.permute(0, 2, 3, 1)[gone] == 0).all()
    for window in range(len(values)):
        left = ~gone[window]
        by = moved[window, 0][left] - followed[window][left] - 10
        assert by.numel() == 0 or float(by.max() - by.min()) < 1e-5
    changed, _ = augment(values, labels, valid, np.random.default_rng(seed), EVERYTHING, LEVELS)
    assert changed.isfinite().all()
    assert (changed == 0).all(1).sum() >= (~valid).sum()


def test_the_same_generator_draws_the_same_views_and_another_others() -> None:
    batch = batch_of(0)
    first, again, other = (
        augment(*batch, np.random.default_rng(seed), EVERYTHING, LEVELS)[0] for seed in (3, 3, 4)
    )
    assert first.equal(again)
    assert not first.equal(other)


def test_arguments_are_left_as_they_were() -> None:
    batch = batch_of(0)
    before = [each.clone() for each in batch]
    augment(*batch, np.random.default_rng(3), EVERYTHING, LEVELS)
    assert all(now.equal(then) for now, then in zip(batch, before, strict=True))


def test_colours_change_within_their_limits_and_as_often_as_asked() -> None:
    count = 2000
    chosen = Augmentation(symmetries="none", colour_chance=0.9, hue=10 / 180)
    rgb = torch.tensor([0.8, 0.5, 0.2]).reshape(1, 3, 1, 1).expand(count, 3, 1, 1)
    here = torch.ones(count, 1, 1, dtype=torch.bool)
    values, labels = LEVELS.normalised(rgb), here.long()
    changed, _ = augment(values, labels, here, np.random.default_rng(0), chosen, LEVELS)
    hues = rgb_to_hsv(LEVELS.shown(changed)[:, :, 0, 0].double().numpy())[:, 0] - 1 / 12
    assert abs((np.abs(hues) > 1e-6).mean() - 0.9) < 0.034  # 5 standard deviations
    assert 0.98 * 10 / 180 < np.abs(hues).max() <= 10 / 180 + 1e-6
    assert abs(hues.mean()) < 0.004


def test_gammas_lie_within_their_limits_and_come_as_often_as_asked() -> None:
    count = 2000
    chosen = Augmentation(symmetries="none", colour_chance=0.9, gamma=(0.8, 1.5))
    half = LEVELS.normalised(torch.full((count, 3, 1, 1), 0.5))
    here = torch.ones(count, 1, 1, dtype=torch.bool)
    changed, _ = augment(half, here.long(), here, np.random.default_rng(0), chosen, LEVELS)
    gammas = -LEVELS.shown(changed)[:, :, 0, 0].double().log2().numpy()
    np.testing.assert_allclose(gammas, gammas[:, :1].repeat(3, 1), atol=1e-5)  # one a window
    assert abs((np.abs(gammas[:, 0] - 1) > 1e-5).mean() - 0.9) < 0.034
    assert 0.8 - 1e-5 <= gammas.min() < 0.81
    assert 1.49 < gammas.max() <= 1.5 + 1e-5


def test_levels_undo_what_values_were_normalised_by() -> None:
    pixels = torch.tensor([0.0, 128.0, 255.0]).expand(1, 3, 1, 3)
    mean, std = [120.0, 90.0, 60.0], [50.0, 40.0, 30.0]
    values = (pixels - torch.tensor(mean)[:, None, None]) / torch.tensor(std)[:, None, None]
    levels = Levels(tuple(m / 255 for m in mean), tuple(s / 255 for s in std))
    torch.testing.assert_close(levels.shown(values), pixels / 255)
    torch.testing.assert_close(levels.normalised(levels.shown(values)), values)


def test_everything_happens_on_the_device_of_the_windows() -> None:
    batch = [each.to("meta") for each in batch_of(0)]  # a tensor from elsewhere would be refused
    values, labels = augment(*resized(*batch, 4), np.random.default_rng(0), EVERYTHING, LEVELS)
    assert values.is_meta
    assert labels.is_meta
    assert (values.shape, labels.shape) == ((3, 3, 4, 4), (3, 4, 4))


@pytest.mark.parametrize("chosen", [Augmentation(hue=0.1), Augmentation(gamma=(0.8, 1.5))])
def test_colours_of_pixels_without_levels_are_refused(chosen: Augmentation) -> None:
    with pytest.raises(
        UserError, match=r"hue, saturation, value and gamma change colours of 8 bits"
    ):
        augment(*batch_of(0), np.random.default_rng(0), chosen)


def test_hues_of_other_than_three_bands_are_refused_but_their_gamma_is_not() -> None:
    values, labels, valid = batch_of(0)
    five = torch.cat([values, values[:, :2]], 1)
    levels = Levels((0.5,) * 5, (0.5,) * 5)
    rng = np.random.default_rng(0)
    with pytest.raises(UserError, match=r"of 5 bands: only red, green and blue have them"):
        augment(five, labels, valid, rng, Augmentation(saturation=0.1), levels)
    changed, _ = augment(five, labels, valid, rng, Augmentation(gamma=(0.8, 1.5)), levels)
    assert changed.shape == five.shape


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"symmetries": "some"}, r"symmetries=some: choose from none, flips, all"),
        ({"gain": -0.1}, r"gain=-0.1: give a number of 0 or more"),
        ({"offset": float("nan")}, r"offset=nan: give a number of 0 or more"),
        ({"hue": 10}, r"hue=10: give a number from 0 to 1"),
        ({"colour_chance": 1.5}, r"colour_chance=1.5: give a number from 0 to 1"),
        ({"drop_band": -1}, r"drop_band=-1: give a number from 0 to 1"),
        ({"gamma": (1.5, 0.8)}, r"gamma=\[1.5, 0.8\]: give the lowest and the highest, from 0.125"),
        ({"scale": (0.0, 1.0)}, r"scale=\[0.0, 1.0\]: give the lowest and the highest"),
        ({"scale": (1.0,)}, r"scale=\[1.0\]: give the lowest and the highest"),
        ({"scale": (1.0, float("nan"))}, r"scale=\[1.0, nan\]"),
    ],
)
def test_augmentations_that_cannot_be_meant_are_refused(
    settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        Augmentation(**settings)
