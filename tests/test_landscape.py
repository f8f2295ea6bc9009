from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geoseg import landscape
from geoseg.errors import UserError

small = st.tuples(st.integers(192, 300), st.integers(192, 300))
seeds = st.integers(0, 2**32)


@pytest.fixture(scope="module")
def scene():
    return landscape.make((512, 640), seed=3)


def nearest_mean_accuracy(image, truth):
    """Share of pixels that a classifier fitted on these very pixels, one by one, gets right."""
    known = truth != landscape.IGNORE
    pixels, labels = image[:, known].T.astype(float), truth[known]
    pixels = (pixels - pixels.mean(axis=0)) / pixels.std(axis=0)
    means = np.stack([pixels[labels == value].mean(axis=0) for value in range(7)])
    nearest = np.linalg.norm(pixels[:, None] - means, axis=-1).argmin(axis=1)
    return np.mean(nearest == labels)


def variation_within_a_parcel(image, truth, label):
    """Median of the local standard deviation of the near infrared, relative to its mean."""
    windows = np.lib.stride_tricks.sliding_window_view(image[3].astype(float), (5, 5))[::3, ::3]
    labels = np.lib.stride_tricks.sliding_window_view(truth, (5, 5))[::3, ::3]
    pure = np.all(labels == label, axis=(2, 3))
    return np.median(windows[pure].std(axis=(1, 2)) / windows[pure].mean(axis=(1, 2)))


@settings(max_examples=12, deadline=None, derandomize=True)
@given(small, seeds)
def test_a_seed_makes_the_same_landscape_again(shape, seed):
    first, second = landscape.make(shape, seed), landscape.make(shape, seed)
    np.testing.assert_array_equal(first[0], second[0])
    np.testing.assert_array_equal(first[1], second[1])


@settings(max_examples=12, deadline=None, derandomize=True)
@given(small, seeds)
def test_pixels_have_data_where_the_truth_has_a_class_and_nowhere_else(shape, seed):
    image, truth = landscape.make(shape, seed)
    assert image.shape == (4, *shape)
    assert (image.dtype, truth.dtype) == (np.uint16, np.uint8)
    masked = truth == landscape.IGNORE
    assert np.all(image[:, masked] == landscape.NODATA)
    assert np.all(image[:, ~masked] > landscape.NODATA)
    assert image.max() <= 10_000
    assert 0 < masked.mean() < 0.2


@settings(max_examples=12, deadline=None, derandomize=True)
@given(small, seeds)
def test_every_class_is_present_however_small_the_scene(shape, seed):
    _, truth = landscape.make(shape, seed)
    classes = {each.value for each in landscape.CLASSES}
    assert set(np.unique(truth)) == classes | {landscape.IGNORE}


def test_another_seed_makes_another_landscape(scene):
    image, truth = landscape.make((512, 640), seed=4)
    assert np.mean(truth != scene[1]) > 0.4
    assert not np.array_equal(image, scene[0])


def test_single_pixels_do_not_tell_the_classes_apart(scene):
    assert nearest_mean_accuracy(*scene) < 0.75


def test_texture_tells_woods_from_fields(scene):
    woods, fields = (variation_within_a_parcel(*scene, label) for label in (1, 2))
    assert woods > 1.5 * fields


def test_roads_are_narrow(scene):
    road = scene[1] == 5
    square = np.lib.stride_tricks.sliding_window_view(road, (9, 9)).all(axis=(2, 3))
    assert road.any()
    assert not square.any()


def test_a_scene_without_room_for_a_town_is_refused():
    with pytest.raises(UserError, match=r"\(192, 191\) pixels is too small; ask for 192 x 192"):
        landscape.make((192, 191))
