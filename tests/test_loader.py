"""The loader: windows are the image's own pixels, mirrored past the border, zoomed by position."""

from __future__ import annotations

import dask.array
import numpy as np
import pytest
import rioxarray  # noqa: F401
import torch
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

from geoseg.errors import UserError
from geoseg.loader import IGNORE, Scene, batches, is_missing
from geoseg.windows import Box, Windows


def image_of(pixels: np.ndarray) -> xr.DataArray:
    return xr.DataArray(pixels, dims=("band", "y", "x"))


def labels_of(pixels: np.ndarray) -> xr.DataArray:
    return xr.DataArray(pixels, dims=("y", "x"))


@st.composite
def boxes(draw: st.DrawFn) -> Box:
    rows, columns = (
        slice(start, start + draw(st.integers(1, 60)))
        for start in (draw(st.integers(0, 19)), draw(st.integers(0, 29)))
    )
    return rows, columns


@given(boxes(), st.sampled_from(["uint8", "int16", "uint16", "int32", "float32", "float64"]))
def test_a_window_is_the_image_mirrored_at_its_far_borders(box: Box, dtype: str) -> None:
    pixels = np.random.default_rng(0).integers(0, 200, (2, 20, 30)).astype(dtype)
    grown = np.pad(pixels, ((0, 0), (0, 80), (0, 90)), mode="reflect")
    found = Scene(image_of(pixels)).read(box)
    np.testing.assert_array_equal(found, grown[:, *box])
    assert found.dtype in (np.uint8, np.int16, np.float32)


@given(boxes())
def test_labels_past_the_border_are_ignored(box: Box) -> None:
    labels = np.random.default_rng(0).integers(0, 5, (20, 30))
    grown = np.pad(labels, ((0, 80), (0, 90)), constant_values=IGNORE)
    scene = Scene(image_of(np.zeros((1, 20, 30), np.uint8)), labels_of(labels))
    np.testing.assert_array_equal(scene.read_labels(box), grown[box])


def test_to_look_at_labels_reads_no_pixels() -> None:
    def fail(_: np.ndarray) -> np.ndarray:
        raise AssertionError("pixels were read")

    labels = np.arange(600).reshape(20, 30) % 7
    nothing = np.empty((0, 0, 0), np.uint8)
    unread = dask.array.zeros((1, 20, 30), np.uint8).map_blocks(fail, meta=nothing)
    scene = Scene(image_of(unread), labels_of(labels))
    found = scene.read_labels((slice(3, 9), slice(0, 4)))
    np.testing.assert_array_equal(found, labels[3:9, :4])


def test_batches_keep_the_order_and_the_values_of_what_was_asked_for() -> None:
    rng = np.random.default_rng(3)
    scenes = [
        Scene(image_of(rng.integers(0, 99, (3, 30, 30))), labels_of(rng.integers(0, 4, (30, 30))))
        for _ in range(2)
    ]
    windows = Windows((30, 30), (8, 8), (1, 1))
    samples = [(scenes[i % 2], windows[7 * i]) for i in range(7)]
    made = list(batches(iter(samples), 3))
    assert [len(batch.pixels) for batch in made] == [3, 3, 1]
    pixels = torch.cat([batch.pixels for batch in made])
    labels = torch.cat([batch.labels for batch in made if batch.labels is not None])
    for (scene, box), one, label in zip(samples, pixels, labels, strict=True):
        np.testing.assert_array_equal(one, scene.image.values[:, *box])
        np.testing.assert_array_equal(label, scene.labels.values[box])  # type: ignore[union-attr]
    assert labels.dtype == torch.int64


def test_prediction_and_training_get_the_same_pixels_from_a_part_and_from_the_scene() -> None:
    scene = Scene(image_of(np.random.default_rng(1).integers(0, 9, (2, 50, 60), np.uint8)))
    part = scene.part((slice(8, 56), slice(16, 64)))
    box = slice(24, 56), slice(32, 64)
    np.testing.assert_array_equal(part.read(box), scene.read(box))


@pytest.mark.parametrize("zoom", [(0.5, 0.5), (0.3, 0.7), (2.0, 3.0), (1.0, 0.5)])
def test_a_zoomed_piece_equals_the_same_pixels_of_the_zoomed_whole(
    zoom: tuple[float, float],
) -> None:
    pixels = np.random.default_rng(2).random((2, 40, 50)).astype(np.float32)
    pixels[:, 5:20, 10:30] = np.nan
    scene = Scene(image_of(pixels), zoom=zoom)
    rows, columns = scene.shape
    assert scene.shape == (round(40 * zoom[0]), round(50 * zoom[1]))
    whole = scene.read((slice(0, rows), slice(0, columns)))
    box = slice(rows // 3, rows), slice(0, columns // 2)
    np.testing.assert_allclose(scene.read(box), whole[:, *box], rtol=1e-6)


def test_zooming_out_averages_what_is_there_and_marks_what_is_mostly_missing() -> None:
    pixels = np.full((1, 40, 40), 10.0, np.float32)
    pixels[0, :, 20:] = -9999
    image = image_of(pixels).rio.write_nodata(-9999)
    small = Scene(image, zoom=(0.25, 0.25)).read((slice(0, 10), slice(0, 10)))
    np.testing.assert_allclose(small[0, :, :4], 10.0, rtol=1e-6)
    assert np.isnan(small[0, :, 6:]).all()


def test_loading_keeps_pixels_labels_and_zoom() -> None:
    pixels = np.random.default_rng(4).integers(0, 9, (1, 10, 12))
    lazy = Scene(image_of(pixels).chunk({"y": 5}), labels_of(pixels[0]).chunk({"y": 5}))
    loaded = lazy.load()
    assert isinstance(loaded.image.data, np.ndarray)
    box = slice(0, 10), slice(0, 12)
    np.testing.assert_array_equal(loaded.read(box), lazy.read(box))
    np.testing.assert_array_equal(loaded.read_labels(box), lazy.read_labels(box))


def test_missing_is_the_no_data_value_nan_and_infinity() -> None:
    values = np.array([1, -9999, np.nan, np.inf], np.float32)
    np.testing.assert_array_equal(is_missing(values, -9999.0), [False, True, True, True])
    np.testing.assert_array_equal(is_missing(values, None), [False, False, True, True])
    whole = np.array([0, 1], np.uint8)
    np.testing.assert_array_equal(is_missing(whole, 0.0), [True, False])
    np.testing.assert_array_equal(is_missing(whole, float("nan")), [False, False])


def test_a_no_data_value_that_float32_cannot_hold_is_found_all_the_same() -> None:
    lowest = np.float64(-1.7976931348623157e308)
    pixels = np.array([[[lowest, 5.0]]])
    part = Scene(image_of(pixels).rio.write_nodata(lowest)).part((slice(0, 1), slice(0, 2)))
    np.testing.assert_array_equal(part.native.valid("all"), [[False, True]])


@pytest.mark.parametrize(
    ("image", "labels", "message"),
    [
        (xr.DataArray(np.zeros((4, 4)), dims=("y", "x")), None, r"dimensions \(band, y, x\)"),
        (image_of(np.zeros((1, 4, 4), complex)), None, "complex128 cannot be classified"),
        (image_of(np.zeros((1, 4, 4))), labels_of(np.zeros((4, 5))), r"labels of \(4, 5\) pixels"),
    ],
)
def test_scenes_that_do_not_fit_together_are_refused(
    image: xr.DataArray, labels: xr.DataArray | None, message: str
) -> None:
    with pytest.raises(UserError, match=message):
        Scene(image, labels)


def test_labels_of_a_scene_without_any_are_refused() -> None:
    with pytest.raises(UserError, match="the scene has no labels"):
        Scene(image_of(np.zeros((1, 4, 4)))).read_labels((slice(0, 2), slice(0, 2)))
