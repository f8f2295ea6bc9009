"""Resampling by global position: pieces equal the whole, constants and ramps survive."""

from __future__ import annotations

import numpy as np
from hypothesis import assume, given
from hypothesis import strategies as st

from geoseg.resample import Resampling

axes = st.builds(Resampling, st.integers(1, 200), st.integers(1, 200))


def whole(axis: Resampling, values: np.ndarray) -> np.ndarray:
    index, weight = axis.taps(slice(0, axis.size), slice(0, axis.length))
    return (values[index] * weight).sum(1)


@given(axes)
def test_a_constant_stays_constant(axis: Resampling) -> None:
    np.testing.assert_allclose(whole(axis, np.full(axis.length, 7.0)), 7.0, rtol=1e-5)


@given(axes, st.data())
def test_a_piece_equals_the_same_pixels_of_the_whole(axis: Resampling, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, axis.size - 1))
    span = slice(start, data.draw(st.integers(start + 1, axis.size)))
    values = np.random.default_rng(0).random(axis.length)
    held = axis.source(span)
    index, weight = axis.taps(span, held)
    np.testing.assert_array_equal((values[held][index] * weight).sum(1), whole(axis, values)[span])


@given(axes)
def test_a_ramp_stays_a_ramp_away_from_the_ends(axis: Resampling) -> None:
    assume(axis.length >= 8)
    scale = axis.length / axis.size
    centres = (np.arange(axis.size) + 0.5) * scale
    reach = max(scale, 1.0)
    inner = (centres > 2 * reach) & (centres < axis.length - 2 * reach)
    got = whole(axis, np.arange(axis.length) + 0.5)[inner]
    # Sampling a triangle at whole pixels is exact for interpolation, near it for averages.
    np.testing.assert_allclose(got, centres[inner], atol=1e-4 if scale <= 1 else 0.51)


@given(st.integers(1, 500), st.floats(0.125, 8))
def test_a_zoom_gives_at_least_one_pixel_and_the_nearest_number(length: int, zoom: float) -> None:
    axis = Resampling.by_zoom(length, zoom)
    assert axis.size == max(1, round(length * zoom))
    assert axis.inverse == Resampling(axis.size, axis.length)


@given(axes)
def test_the_nearest_pixel_lies_inside_and_in_order(axis: Resampling) -> None:
    places = axis.nearest(np.arange(axis.size))
    assert places.min() >= 0
    assert places.max() < axis.length
    assert (np.diff(places) >= 0).all()


@given(axes)
def test_edges_of_the_axis_map_onto_each_other(axis: Resampling) -> None:
    assert axis.border(0) == 0
    assert axis.border(axis.length) == axis.size


@given(st.integers(1, 100))
def test_equal_lengths_change_nothing(length: int) -> None:
    axis = Resampling(length, length)
    assert axis.is_identity
    values = np.random.default_rng(1).random(length)
    np.testing.assert_allclose(whole(axis, values), values, rtol=1e-6)
