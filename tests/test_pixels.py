"""One pass over pixels gives what several of numpy or torch do."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from geoseg import pixels
from geoseg.pixels import count_values, find_valid, largest, rounded, standardise


@pytest.fixture(params=[0, 2**60], ids=["compiled", "numpy"], autouse=True, scope="module")
def _either_way(request: pytest.FixtureRequest) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pixels, "PATIENCE", request.param)
        yield


FLOATS = st.sampled_from([0.0, 1.0, -3.5, 200.0, np.nan, np.inf, -np.inf])
IMAGES = hnp.arrays(
    np.float32, hnp.array_shapes(min_dims=3, max_dims=3, max_side=5), elements=FLOATS
)


@given(IMAGES, st.sampled_from([None, 0.0, 200.0, np.nan, -1.8e308]))
def test_values_are_standardised_and_missing_ones_are_the_mean(
    image: np.ndarray, nodata: float | None
) -> None:
    mean = np.arange(len(image), dtype=np.float32) + np.float32(0.3)
    std = mean + np.float32(1)
    found = np.empty((*image.shape[1:], len(image)), np.float32)
    standardise(image, mean, std, rounded(nodata), found)
    missing = ~np.isfinite(image) | (image == nodata)
    safe = np.where(missing, 0, image)
    expected = (safe - mean[:, None, None]) / std[:, None, None]
    np.testing.assert_array_equal(found.transpose(2, 0, 1), np.where(missing, 0, expected))


@given(IMAGES, st.sampled_from([None, 0.0, 200.0]), st.booleans())
def test_pixels_have_data_where_all_bands_do_or_where_any_does(
    image: np.ndarray, nodata: float | None, needs_all: bool
) -> None:
    there = np.isfinite(image) & ~(image == nodata)
    expected = there.all(0) if needs_all else there.any(0)
    found = np.empty(image.shape[1:], bool)
    assert find_valid(image, rounded(nodata), needs_all, found) == expected.all()
    np.testing.assert_array_equal(found, expected)


@given(IMAGES)
def test_the_class_of_the_highest_score_is_found_and_nothing_else_than_numbers_goes_unseen(
    scores: np.ndarray,
) -> None:
    values = (np.arange(len(scores)) * 7 + 3).astype(np.uint8)
    found = np.empty(scores.shape[1:], np.uint8)
    usable = largest(scores.transpose(1, 2, 0), values, found)
    if usable:
        np.testing.assert_array_equal(found, values[scores.argmax(0)])
    highest = np.abs(scores.max(0))  # NaN where one is, and infinite scores say as little
    assert usable == bool((highest <= np.finfo(np.float32).max).all())


@pytest.mark.parametrize("dtype", [np.uint8, np.int16])
def test_integers_are_taken_as_they_are(dtype: type) -> None:
    image = np.array([[[0, 1, 7]]], dtype)
    found = np.empty((1, 3, 1), np.float32)
    standardise(image, np.float32([1]), np.float32([2]), rounded(7), found)
    np.testing.assert_array_equal(found[0, :, 0], [-0.5, 0, 0])


@given(hnp.arrays(np.uint8, hnp.array_shapes(min_dims=2, max_dims=2)))
def test_values_are_counted_on_top_of_what_was_counted(image: np.ndarray) -> None:
    counts = np.ones(256, np.int64)
    count_values(image, counts)
    expected = [1 + int((image == value).sum()) for value in range(256)]
    assert counts.tolist() == expected


def test_little_work_does_not_load_the_compiler() -> None:
    code = "import numpy as np; from geoseg import pixels; import sys; "
    code += "pixels.count_values(np.zeros((9, 9), np.uint8), np.zeros(256, np.int64)); "
    code += "assert 'numba' not in sys.modules; pixels.PATIENCE = 0; "
    code += "pixels.count_values(np.zeros((9, 9), np.uint8), np.zeros(256, np.int64)); "
    code += "assert 'numba' in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
