"""What each step is shown: windows of every data set, the same for the same step."""

from __future__ import annotations

import threading
from contextlib import closing
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from toy_training import BASE, NETS, chequered, data_of, quick, roads, three_scenes

from geoseg import nets
from geoseg.errors import UserError
from geoseg.loader import IGNORE
from geoseg.train import Dataset, Settings, feed
from geoseg.train.feed import Drawn, Feed
from geoseg.train.prepare import prepare
from geoseg.train.processes import Group


@pytest.fixture(autouse=True)
def _toys(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, kind in NETS.items():
        monkeypatch.setitem(nets.REGISTRY, name, kind)


def feed_of(settings: Settings, *sets: Dataset, group: Group | None = None) -> Feed:
    return prepare(settings, sets or [three_scenes()], group or Group()).feed


def shown(of: Feed, step: int) -> tuple[torch.Tensor, torch.Tensor]:
    return of.changed(of.draw(step))


CHANGED = {"scale": [0.5, 2.0], "gain": 0.2, "drop_band": 0.3, "symmetries": "all"}


@pytest.mark.parametrize("sampler", ["uniform", "scene", "equibatch"])
def test_a_step_is_shown_the_same_windows_whatever_was_shown_before(sampler: str) -> None:
    settings = quick(sampler=sampler, min_pixels=1, **CHANGED)
    first = [shown(each, 3) for each in [feed_of(settings)] for _ in range(2)]
    other = feed_of(settings)
    for step in (0, 1, 2):
        shown(other, step)
    for values, labels in (*first[1:], shown(other, 3)):
        assert values.equal(first[0][0])
        assert labels.equal(first[0][1])
    assert not shown(other, 4)[0].equal(first[0][0])


def test_steps_come_in_turn_and_their_number_alone_tells_what_they_show() -> None:
    whole, rest = feed_of(quick(**CHANGED)), feed_of(quick(**CHANGED))
    expected = [whole.changed(each)[0] for each in whole.from_step(0, 5)]
    found = [rest.changed(each)[0] for each in rest.from_step(2, 5)]
    assert len(expected) == 5
    assert all(one.equal(other) for one, other in zip(expected[2:], found, strict=True))


def test_one_step_is_read_ahead_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    begun = [threading.Event() for _ in range(5)]

    def drawn(self: Feed, step: int) -> Drawn:
        asked.append(step)
        begun[step].set()
        return Drawn([], np.random.default_rng(step))

    monkeypatch.setattr(Feed, "draw", drawn)
    with closing(feed_of(quick()).from_step(0, 5)) as coming:
        next(coming)
        assert begun[1].wait(60)
        next(coming)
        assert begun[2].wait(60)
    assert asked == [0, 1, 2]


def test_what_fails_while_windows_are_read_fails_where_they_are_awaited() -> None:
    data = three_scenes()
    of = feed_of(quick(), data)
    for scene in data.training:
        scene.labels.values[:] = 7
    with pytest.raises(UserError, match=r"chequered: label 7 in a training scene, but there are 3"):
        next(of.from_step(0, 5))


def test_labels_of_the_second_task_are_refused_as_those_of_the_first() -> None:
    strange = data_of(chequered(5), classes=2)  # it has three
    of = feed_of(quick("tasks"), three_scenes(), strange)
    with pytest.raises(UserError, match=r"label 2 in a training scene, but there are 2 classes"):
        of.draw(0)


def test_windows_of_two_tasks_take_turns_and_their_labels_count_on() -> None:
    land, road = three_scenes(), roads()
    values, labels = shown(feed_of(quick("tasks"), land, road), 0)
    assert values.shape == (8, 3, 16, 16)
    assert labels[::2].max() <= 2
    assert set(labels[1::2].unique().tolist()) == {3, 4}
    assert values.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize(
    ("land", "others", "turns"), [(6, 2, (3, 1)), (2, 4, (1, 2)), (3, 2, (3, 2))]
)
def test_tasks_may_have_numbers_of_windows_of_their_own(
    land: int, others: int, turns: tuple[int, int]
) -> None:
    settings = quick("tasks", batch=land, classmate_batch=others)
    of = feed_of(settings, three_scenes(), roads())
    drawn = of.draw(0)
    values, labels = of.changed(drawn)
    assert of.turns == turns
    assert [len(batch.pixels) for batch in drawn.batches] == [land, others]
    place = np.arange(land + others) % sum(turns)
    for window, at in zip(labels, place, strict=True):
        assert {*window.unique().tolist()} <= ({0, 1, 2} if at < turns[0] else {3, 4})
    # Those of the first task are what it would be shown beside as many of the second one.
    alone = shown(feed_of(quick("tasks", batch=land), three_scenes(), roads()), 0)[0][::2]
    assert values[place < turns[0]].equal(alone)


def test_processes_and_parts_have_windows_of_both_tasks_in_the_same_turns() -> None:
    settings = quick("tasks", batch=12, classmate_batch=4, accumulate=2)
    whole = feed_of(settings, three_scenes(), roads()).draw(0).batches
    for rank in (0, 1):
        of = feed_of(settings, three_scenes(), roads(), group=Group(rank, 2))
        drawn = of.draw(0)
        for batch, every in zip(drawn.batches, whole, strict=True):
            assert batch.pixels.equal(every.pixels[rank::2])
        _, labels = of.changed(drawn)
        tasks = [bool((window >= 3).any()) for window in labels]
        assert tasks == [False, False, False, True] * 2
    with pytest.raises(
        UserError, match=r"batch of 4 windows cannot be shared out among 3 processe"
    ):
        feed_of(settings, three_scenes(), roads(), group=Group(0, 3))


def test_pixels_without_a_label_stay_so_in_the_second_task() -> None:
    road = roads()
    for scene in road.training:
        scene.labels.values[:20] = IGNORE
    _, labels = shown(feed_of(quick("tasks"), three_scenes(), road), 0)
    assert set(labels[1::2].unique().tolist()) == {3, 4, IGNORE}


def test_windows_are_read_larger_and_resized_to_the_crop() -> None:
    of = feed_of(quick(scale=[0.5, 0.5]))
    drawn = of.draw(0)
    assert drawn.batches[0].pixels.shape == (4, 3, 32, 32)
    assert of.changed(drawn)[0].shape == (4, 3, 16, 16)


def test_processes_share_the_windows_of_one(monkeypatch: pytest.MonkeyPatch) -> None:
    alone = shown(feed_of(quick()), 2)
    parts = [shown(feed_of(quick(), group=Group(rank, 2)), 2) for rank in (0, 1)]
    for rank, (values, labels) in enumerate(parts):
        assert values.equal(alone[0][rank::2])
        assert labels.equal(alone[1][rank::2])


def test_processes_change_their_windows_each_in_its_own_way() -> None:
    same = three_scenes()
    pixels = same.training[0].image
    pixels.values[:] = np.arange(pixels.size).reshape(pixels.shape) % 251
    data = replace(same, training=[same.training[0]])
    settings = quick(crop=48, batch=2, gain=0.5)
    found = [feed_of(settings, data, group=Group(rank, 2)) for rank in (0, 1)]
    drawn = [each.draw(0) for each in found]
    again = [
        each.changed(Drawn(drawn[0].batches, part.rng))[0]
        for each, part in zip(found, drawn, strict=True)
    ]
    assert not again[0].equal(again[1])


@pytest.mark.parametrize(
    ("values", "group", "message"),
    [
        ({"batch": 3}, Group(0, 2), r"3 windows cannot be .* 2 processes in 1 parts .* of 2"),
        ({"accumulate": 4}, Group(1, 2), r"4 windows .* 2 processes in 4 parts .* multiple of 8"),
    ],
)
def test_a_batch_that_cannot_be_shared_out_is_refused(
    values: dict[str, Any], group: Group, message: str
) -> None:
    with pytest.raises(UserError, match=message):
        feed_of(quick(**values), group=group)


@pytest.mark.parametrize(
    ("sampler", "steps"),
    [
        ("uniform", 6),  # 3 scenes of 48 x 40 pixels are 22.5 windows of 16 x 16, four a step
        ("scene", 1),
        ("equibatch", 1),
    ],
)
def test_an_epoch_shows_the_pixels_or_the_scenes_once(sampler: str, steps: int) -> None:
    assert feed_of(quick(sampler=sampler, min_pixels=1)).epoch == steps


def test_batches_are_read_once_for_all_that_is_done_with_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sizes = []
    read = feed.batches

    def counted(samples: Any, size: int) -> Any:
        sizes.append((len(samples), size))
        return read(samples, size)

    monkeypatch.setattr(feed, "batches", counted)
    shown(feed_of(quick()), 0)
    assert sizes == [(BASE.batch, BASE.batch)]


def test_regions_take_turns_and_are_asked_for() -> None:
    data = replace(three_scenes(), regions=("east", "west", "west"))
    of = feed_of(quick(sampler="stratified", batch=4), data)
    east = data.training[0].image.values
    for step in range(3):
        windows = of.draw(step).batches[0].pixels.numpy()
        from_east = [_is_cut_from(east, window) for window in windows]
        assert from_east == [True, False, True, False]
    with pytest.raises(UserError, match=r"which region a scene lies in, as sampler=stratified"):
        feed_of(quick(sampler="stratified"), three_scenes())


def _is_cut_from(image: np.ndarray, window: np.ndarray) -> bool:
    views = np.lib.stride_tricks.sliding_window_view(image, window.shape[1:], (1, 2))
    return bool((views == window[:, None, None]).all((0, 3, 4)).any())


def test_no_window_is_drawn_for_the_sake_of_a_class_that_does_not_count() -> None:
    data = replace(three_scenes(), unscored=(0,))
    settings = quick(sampler="equibatch-scored", min_pixels=1, batch=4)
    samplers = feed_of(settings, data)._samplers
    assert [each.classes for each in samplers] == [(1, 2)]
    whole = feed_of(replace(settings, sampler="equibatch"), data)._samplers
    assert [each.classes for each in whole] == [(0, 1, 2)]


@pytest.mark.parametrize("crop", [40, 44])
def test_windows_larger_than_every_image_are_told_of(
    crop: int, caplog: pytest.LogCaptureFixture
) -> None:
    sets = [data_of(chequered(0), chequered(1, (24, 64)))]
    prepare(quick(crop=crop), sets, Group())
    told = (
        "crop=44 is more than any image of chequered has, at most 48 x 40 pixels: all windows are "
        "filled up with mirrored borders; set crop=40 or less"
    )
    assert caplog.messages == ([told] if crop == 44 else [])
