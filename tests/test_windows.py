"""The lattice: it covers, partitions, and never leaves the raster."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from geoseg.errors import UserError
from geoseg.windows import Box, Windows, box_shape, common, hann, reflect, relative

sides = st.integers(1, 90)


@st.composite
def lattices(draw: st.DrawFn) -> Windows:
    size = draw(sides), draw(sides)
    stride = draw(st.integers(1, size[0])), draw(st.integers(1, size[1]))
    return Windows((draw(sides), draw(sides)), size, stride)


@st.composite
def boxes(draw: st.DrawFn) -> Box:
    rows, columns = (slice(start, start + draw(st.integers(0, 9))) for start in draw(corners))
    return rows, columns


corners = st.tuples(st.integers(0, 9), st.integers(0, 9))


@given(boxes(), boxes())
def test_what_two_boxes_share_are_the_pixels_in_both(one: Box, other: Box) -> None:
    painted = np.zeros((20, 20), int)
    painted[one] += 1
    painted[other] += 1
    shared = common(one, other)
    if shared is None:
        assert painted.max() < 2
    else:
        assert (painted[shared] == 2).all()
        assert np.prod(box_shape(shared)) == (painted == 2).sum()
        np.testing.assert_array_equal(painted[other][relative(shared, other)], painted[shared])


@given(lattices())
def test_windows_cover_every_pixel(windows: Windows) -> None:
    seen = np.zeros(windows.shape, bool)
    for box in windows:
        seen[box] = True
    assert seen.all()


@given(lattices())
def test_windows_have_one_size_and_leave_the_raster_only_when_it_is_smaller(
    windows: Windows,
) -> None:
    for box in windows:
        assert box_shape(box) == windows.size
        for span, length, size in zip(box, windows.shape, windows.size, strict=True):
            assert span.start >= 0
            assert span.stop <= max(length, size)


@given(lattices())
def test_windows_are_as_few_as_the_stride_allows(windows: Windows) -> None:
    for count, length, size, stride in zip(
        windows.counts, windows.shape, windows.size, windows.stride, strict=True
    ):
        assert size + (count - 1) * stride >= length
        assert count == 1 or size + (count - 2) * stride < length


@given(lattices())
def test_a_lattice_is_a_sequence_in_row_major_order(windows: Windows) -> None:
    boxes = list(windows)
    assert len(boxes) == len(windows)
    assert boxes[-1] == windows[-1] == windows[len(windows) - 1]
    assert boxes == sorted(boxes, key=lambda box: (box[0].start, box[1].start))
    assert windows[1:3] == boxes[1:3]


def test_a_window_that_is_not_there_is_refused() -> None:
    with pytest.raises(IndexError, match="window 4 of 4"):
        Windows((4, 4), (2, 2), (2, 2))[4]


def test_a_stride_of_one_gives_every_crop() -> None:
    windows = Windows((5, 7), (3, 3), (1, 1))
    assert len(windows) == 3 * 5
    assert len({(box[0].start, box[1].start) for box in windows}) == 15


@given(
    length=st.integers(1, 400),
    size=st.integers(1, 100),
    halo=st.integers(0, 30),
    data=st.data(),
)
def test_cores_partition_the_axis_and_keep_the_halo(
    length: int, size: int, halo: int, data: st.DataObject
) -> None:
    size += 2 * halo
    stride = data.draw(st.integers(1, size - 2 * halo))
    windows = Windows((length, 1), (min(size, length), 1), (min(stride, size, length), 1))
    end = 0
    for i in range(windows.counts[0]):
        span, core = windows.span(0, i), windows.core(0, i, halo)
        assert core.start == end
        assert core.stop > core.start
        assert core.start == 0 or core.start - span.start >= halo
        assert core.stop == length or span.stop - core.stop >= halo
        end = core.stop
    assert end == length


@pytest.mark.parametrize("stride", [0, 9])
def test_a_stride_that_leaves_gaps_is_refused(stride: int) -> None:
    with pytest.raises(
        UserError, match=f"stride {stride} with windows of 8 pixels: choose .* 1 to 8"
    ):
        Windows((20, 20), (8, 8), (stride, 8))


def test_an_empty_raster_is_refused() -> None:
    with pytest.raises(UserError, match=r"raster of \(0, 5\).*at least 1"):
        Windows((0, 5), (2, 2), (2, 2))


@given(length=st.integers(1, 30), start=st.integers(-70, 70), extra=st.integers(0, 100))
def test_mirroring_is_numpys_reflection(length: int, start: int, extra: int) -> None:
    span = slice(start, start + extra)
    before, after = max(-start, 0), max(span.stop - length, 0)
    padded = np.pad(np.arange(length), (before, after), mode="reflect")
    expected = padded[start + before : span.stop + before]
    np.testing.assert_array_equal(reflect(span, length), expected)


@given(st.integers(1, 600))
def test_hann_weights_are_positive_and_add_up_to_one_at_half_a_window(size: int) -> None:
    weights = hann(size)
    assert (weights > 0).all()
    np.testing.assert_allclose(weights, weights[::-1], atol=1e-6)
    if size % 2 == 0:
        np.testing.assert_allclose(weights[: size // 2] + weights[size // 2 :], 1, atol=1e-6)
