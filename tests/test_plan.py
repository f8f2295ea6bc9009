"""The plan: blocks partition the image, windows reach what they must, nothing runs in vain."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geoseg.card import Card
from geoseg.classes import as_classes
from geoseg.errors import UserError
from geoseg.plan import Block, Plan, Room, Tiling, make_plan
from geoseg.resample import Resampling


def card(halo: int | None = 11, stride: int = 4, window: int = 64) -> Card:
    return Card(
        name="toy",
        description="",
        architecture="",
        options={},
        classes=as_classes(["a", "b"]),
        bands=("red",),
        mean=(0.0,),
        std=(1.0,),
        halo=halo,
        stride=stride,
        window=window,
    )


@st.composite
def plans(draw: st.DrawFn) -> Plan:
    halo, stride = draw(st.integers(0, 20)), draw(st.sampled_from([1, 2, 4, 8]))
    axes = tuple(
        Resampling.by_zoom(draw(st.integers(1, 300)), draw(st.sampled_from([1.0, 1.0, 0.3, 2.7])))
        for _ in range(2)
    )
    blend = draw(st.sampled_from(["crop", "hann", "mean"]))
    step = None if blend == "crop" else draw(st.integers(16, 64))
    tiling = Tiling(blend=blend, stride=step, block=draw(st.integers(1, 200)))  # type: ignore[arg-type]
    return make_plan(axes, card(halo, stride, draw(st.integers(96, 160))), tiling)  # type: ignore[arg-type]


@given(plans())
@settings(max_examples=200)
def test_blocks_partition_the_image(plan: Plan) -> None:
    shape = plan.rows.resampling.length, plan.columns.resampling.length
    written = np.zeros(shape, int)
    for block in plan.blocks():
        written[plan.output(block)] += 1
    assert (written == 1).all()
    assert tuple(map(sum, plan.chunks)) == shape


@given(plans())
@settings(max_examples=200)
def test_what_a_window_answers_for_lies_inside_it_with_all_that_resampling_needs(
    plan: Plan,
) -> None:
    for axis in (plan.rows, plan.columns):
        for block in range(axis.count):
            for window in axis.members(block):
                core = axis.core(window)
                kept, span = axis.widened(core), axis.windows.span(axis.index, window)
                needed = axis.resampling.inverse.source(axis.output(core))
                assert kept.start <= needed.start
                assert needed.stop <= max(kept.stop, axis.resampling.size)
                if plan.blend == "crop":
                    assert span.start <= kept.start
                    assert kept.stop <= span.stop


@given(
    stride=st.integers(1, 40),
    halo=st.integers(0, 70),
    side=st.integers(1, 900),
    window=st.integers(1, 300),
)
def test_cropped_windows_begin_and_end_on_multiples_of_the_networks_stride(
    stride: int, halo: int, side: int, window: int
) -> None:
    axis = Resampling(side, side)
    plan = make_plan((axis, axis), card(halo, stride, window), Tiling())
    for box in plan.windows:
        assert all(span.start % stride == span.stop % stride == 0 for span in box)


@given(st.integers(1, 4000), st.integers(1, 4000))
def test_cropped_windows_are_evaluated_once_and_are_as_few_as_possible(
    rows: int, columns: int
) -> None:
    halo, stride, window = 11, 4, 64
    plan = make_plan(
        (Resampling(rows, rows), Resampling(columns, columns)),
        card(halo, stride, window),
        Tiling(block=256),
    )
    evaluated = [
        place
        for block in plan.blocks()
        for place in product(plan.rows.evaluated(block.row), plan.columns.evaluated(block.column))
    ]
    assert len(evaluated) == len(set(evaluated)) == len(plan.windows)
    step = (window - 2 * halo) // stride * stride
    least = [
        1 if -(-n // stride) * stride <= window else -(-(n - 2 * halo) // step)
        for n in (rows, columns)
    ]
    assert len(plan.windows) <= (least[0] + 1) * (least[1] + 1)


@pytest.mark.parametrize("stride", [None, 13, 32])
def test_blended_windows_are_evaluated_at_most_1_1_times(stride: int | None) -> None:
    side = 20_000
    axis = Resampling(side, side)
    plan = make_plan((axis, axis), card(), Tiling(blend="hann", stride=stride))
    per_axis = [
        sum(len(axis.evaluated(i)) for i in range(axis.count)) for axis in (plan.rows, plan.columns)
    ]
    assert per_axis[0] * per_axis[1] <= 1.1 * len(plan.windows)


@given(plans())
def test_a_block_reads_all_windows_that_reach_into_it(plan: Plan) -> None:
    for axis in (plan.rows, plan.columns):
        for block in range(axis.count):
            hull, span = axis.hull(block), axis.widened(axis.span(block))
            assert hull.start <= span.start
            assert span.stop <= max(hull.stop, axis.resampling.size)
            for window in range(axis.windows.counts[axis.index]):
                reach = axis.windows.span(axis.index, window)
                if plan.blend != "crop" and reach.start < span.stop and reach.stop > span.start:
                    assert window in axis.evaluated(block)


def test_a_window_that_leaves_no_core_is_refused_with_the_least_that_does() -> None:
    axis = Resampling(500, 500)
    with pytest.raises(UserError, match=r"window 24 leaves no core once 11 .*at least 28"):
        make_plan((axis, axis), card(), Tiling(window=24))
    assert make_plan((axis, axis), card(), Tiling(window=28)).windows.size == (28, 28)


def test_a_network_without_halo_is_blended_unless_a_halo_is_given() -> None:
    axis = Resampling(500, 500)
    assert make_plan((axis, axis), card(None, 1), Tiling()).blend == "hann"
    assert make_plan((axis, axis), card(None, 1), Tiling(blend="crop", halo=8)).blend == "crop"
    with pytest.raises(UserError, match=r"looks at its whole window.*--halo 64"):
        make_plan((axis, axis), card(None, 1), Tiling(blend="crop"))


@pytest.mark.parametrize(
    ("tiling", "message"),
    [
        (Tiling(stride=8), "stride 8 is for blended windows"),
        (Tiling(blend="hann", stride=65), "stride 65 must be 1 to 64"),
        (Tiling(halo=-1), "halo -1 must be 0 or more"),
        (Tiling(window=0), "window 0 leaves no core"),
        (Tiling(blend="soft"), "blend 'soft' is unknown; choose one of crop, hann, mean"),  # type: ignore[arg-type]
    ],
)
def test_options_that_make_no_sense_are_refused(tiling: Tiling, message: str) -> None:
    axis = Resampling(500, 500)
    with pytest.raises(UserError, match=message):
        make_plan((axis, axis), card(), tiling)


@given(
    length=st.tuples(st.integers(1, 9000), st.integers(1, 9000)),
    halo=st.integers(0, 130),
    stride=st.sampled_from([1, 4, 16, 32]),
    pixels=st.integers(300**2, 4000**2),
)
def test_windows_grow_to_fit_memory_and_cover_with_little_overlap(
    length: tuple[int, int], halo: int, stride: int, pixels: int
) -> None:
    axes = Resampling(length[0], length[0]), Resampling(length[1], length[1])
    recommended = card(halo, stride, 256)
    plan = make_plan(axes, recommended, Tiling(pixels=pixels))
    least = make_plan(axes, recommended, Tiling())
    rows, columns = plan.windows.size
    assert rows * columns <= max(pixels, least.windows.size[0] * least.windows.size[1]) * 1.3
    if plan.windows.counts != (1, 1):  # never more work than with the windows of the card
        area = len(plan.windows) * rows * columns
        assert area <= len(least.windows) * least.windows.size[0] * least.windows.size[1] * 1.3
    for box in plan.windows:
        assert all(span.start % stride == span.stop % stride == 0 for span in box)


@pytest.mark.parametrize("total", [10**8, 10**9, 10**10])
@pytest.mark.parametrize("crew", [1, 2, 16])
def test_blended_blocks_keep_to_the_memory_they_may_take(total: float, crew: int) -> None:
    axis, room = Resampling(50_000, 50_000), Room(total, area=24, width=50_000)
    tiling = Tiling(blend="hann", room=room, crew=crew)
    plan = make_plan((axis, axis), card(window=512), tiling)
    for block in (Block(0, 0), Block(plan.shape[0] // 2, plan.shape[1] // 2)):
        rows, columns = (span.stop - span.start for span in plan.hull(block))
        assert rows * columns * 24 + columns * 50_000 <= total


def test_blended_blocks_are_work_for_everybody() -> None:
    axis = Resampling(4096, 4096)
    for crew in (1, 2, 4, 8):
        tiling = Tiling(blend="hann", crew=crew, room=Room(2**34))
        plan = make_plan((axis, axis), card(window=512), tiling)
        assert plan.count % crew == 0


@given(
    shape=st.tuples(st.integers(200, 9000), st.integers(200, 9000)),
    crew=st.integers(1, 8),
)
def test_windows_are_no_more_than_a_crew_needs(shape: tuple[int, int], crew: int) -> None:
    axes = Resampling(shape[0], shape[0]), Resampling(shape[1], shape[1])

    def time(plan: Plan) -> int:
        rows, columns = plan.windows.size
        return -(-len(plan.windows) // crew) * rows * columns

    chosen = make_plan(axes, card(20, 4, 256), Tiling(pixels=1024**2, crew=crew))
    alone = make_plan(axes, card(20, 4, 256), Tiling(pixels=1024**2, crew=1))
    assert time(chosen) <= time(alone)
