"""Which windows are drawn: sizes and places, whose turn it is, and the same again on resuming."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from geoseg.errors import UserError
from geoseg.loader import IGNORE, Scene
from geoseg.train.data import sampling
from geoseg.train.data.sampling import Equibatch, Sample, Sampler, Stratified, Uniform, UniformScene

seeds = st.integers(0, 2**32 - 1)
shapes = st.tuples(st.integers(1, 20), st.integers(1, 20))


def scene_of(rows: int, columns: int) -> Scene:
    return labelled(np.zeros((rows, columns), np.uint8))


def labelled(labels: NDArray[Any]) -> Scene:
    image = xr.DataArray(np.zeros((1, *labels.shape), np.uint8), dims=("band", "y", "x"))
    return Scene(image, xr.DataArray(labels.astype(np.uint8), dims=("y", "x")))


def samplers_of(scenes: list[Scene], seed: int) -> list[Sampler]:
    return [
        Uniform(scenes),
        UniformScene(scenes, seed),
        Stratified(scenes, [f"region {i % 2}" for i in range(len(scenes))]),
        Equibatch(scenes, [0], seed, min_pixels=1),
    ]


def places(samples: list[Sample]) -> list[tuple[int, int, int, int, int]]:
    """Comparable by value: which scene (by identity), rows and columns."""
    return [(id(s), r.start, r.stop, c.start, c.stop) for s, (r, c) in samples]


@settings(deadline=None, max_examples=30)
@given(seeds, st.integers(1, 9), st.lists(shapes, max_size=4), st.integers(0, 100))
def test_windows_have_the_asked_size_and_start_inside(
    seed: int, size: int, extents: list[tuple[int, int]], first: int
) -> None:
    scenes = [scene_of(*shape) for shape in [*extents, (7, 7)]]
    for sampler in samplers_of(scenes, seed):
        drawn = sampler.draw(np.random.default_rng(seed), first, 12, size)
        assert len(drawn) == 12
        for scene, box in drawn:
            for span, length in zip(box, scene.shape, strict=True):
                assert span.stop - span.start == size
                assert 0 <= span.start <= max(length - size, 0)


@pytest.mark.parametrize("which", range(4))
def test_the_same_seed_draws_the_same_windows_and_another_seed_others(which: int) -> None:
    scenes = [scene_of(30, 40) for _ in range(5)]
    sampler = samplers_of(scenes, 1)[which]
    again = samplers_of(scenes, 1)[which]
    drawn = places(sampler.draw(np.random.default_rng(3), 0, 10, 8))
    assert places(sampler.draw(np.random.default_rng(3), 0, 10, 8)) == drawn
    assert places(again.draw(np.random.default_rng(3), 0, 10, 8)) == drawn
    assert places(sampler.draw(np.random.default_rng(4), 0, 10, 8)) != drawn


@settings(deadline=None, max_examples=20)
@given(seeds, st.integers(0, 30), st.integers(1, 7))
def test_a_run_resumed_at_any_step_draws_what_an_undisturbed_one_did(
    seed: int, step: int, batch: int
) -> None:
    rng = np.random.default_rng(seed)
    scenes = [labelled(rng.integers(0, 3, (12, 9))) for _ in range(5)]

    def drawn(sampler: Sampler, at: int) -> list[tuple[int, int, int, int, int]]:
        own = np.random.default_rng((seed, at))
        return places(sampler.draw(own, at * batch, batch, 4))

    for undisturbed, resumed in zip(
        samplers_of(scenes, seed), samplers_of(scenes, seed), strict=True
    ):
        all_steps = [drawn(undisturbed, at) for at in range(step + 1)]
        assert drawn(resumed, step) == all_steps[step]


# -- every place, every scene, every region --------------------------------------------------------


def test_every_window_is_drawn_alike() -> None:
    scenes = [scene_of(4, 6), scene_of(3, 3)]  # 3 x 5 and 2 x 2 windows of 2 pixels
    drawn = Uniform(scenes).draw(np.random.default_rng(0), 0, 19_000, 2)
    counts = Counter(places(drawn))
    assert len(counts) == 15 + 4
    assert max(abs(count - 1000) for count in counts.values()) < 150  # 5 standard deviations


@settings(deadline=None, max_examples=30)
@given(seeds, st.integers(1, 9), st.integers(0, 30))
def test_an_epoch_shows_every_scene_once(seed: int, count: int, epoch: int) -> None:
    scenes = [scene_of(5, 5 + i) for i in range(count)]
    drawn = UniformScene(scenes, seed).draw(np.random.default_rng(0), epoch * count, count, 3)
    assert sorted(s.shape for s, _ in drawn) == sorted(s.shape for s in scenes)


def test_epochs_come_in_different_orders() -> None:
    scenes = [scene_of(5, 5 + i) for i in range(6)]
    drawn = UniformScene(scenes, 0).draw(np.random.default_rng(0), 0, 60, 3)
    orders = {tuple(s.shape for s, _ in drawn[e : e + 6]) for e in range(0, 60, 6)}
    assert len(orders) == 10


def test_scenes_are_drawn_alike_whatever_their_size_and_places_alike_within_them() -> None:
    scenes = [scene_of(2, 3), scene_of(3, 3)]  # 2 and 4 windows of 2 pixels
    drawn = UniformScene(scenes, 0).draw(np.random.default_rng(0), 0, 8000, 2)
    counts = Counter(places(drawn))
    small = [n for (owner, *_), n in counts.items() if owner == id(scenes[0])]
    large = [n for (owner, *_), n in counts.items() if owner == id(scenes[1])]
    assert sum(small) == sum(large) == 4000
    assert max(abs(n - 2000) for n in small) < 160  # 5 standard deviations
    assert max(abs(n - 1000) for n in large) < 140


def test_regions_take_turns_however_large_they_are() -> None:
    scenes = [scene_of(3, 9), scene_of(3, 3), scene_of(3, 4)]
    sampler = Stratified(scenes, ["north", "south", "south"])
    drawn = sampler.draw(np.random.default_rng(0), 0, 6000, 3)  # windows: 7; 1 and 2
    assert all(scene is scenes[0] for scene, _ in drawn[::2])
    counts = Counter(places(drawn[1::2]))
    assert len(counts) == 3
    assert max(abs(count - 1000) for count in counts.values()) < 130  # 5 standard deviations
    shifted = sampler.draw(np.random.default_rng(0), 5, 1, 3)
    assert shifted[0][0] is not scenes[0]


def test_every_scene_needs_a_region() -> None:
    with pytest.raises(UserError, match=r"1 regions for 2 scenes; name the region of each"):
        Stratified([scene_of(3, 3)] * 2, ["north"])


# -- every class -----------------------------------------------------------------------------------


@st.composite
def worlds(draw: st.DrawFn) -> list[Scene]:
    """Scenes whose classes 0 to 3 are each somewhere; IGNORE is there too."""
    rng = np.random.default_rng(draw(seeds))
    extents = draw(st.lists(shapes, min_size=1, max_size=5))
    scenes = [labelled(rng.choice([0, 1, 2, 3, IGNORE], shape)) for shape in extents]
    return [*scenes, labelled(np.arange(8).reshape(2, 4) % 4)]


@settings(deadline=None, max_examples=40)
@given(worlds(), seeds, st.integers(0, 200), st.integers(1, 9))
def test_consecutive_windows_hold_each_class_in_turn(
    scenes: list[Scene], seed: int, first: int, size: int
) -> None:
    sampler = Equibatch(scenes, [0, 1, 2, 3], seed, min_pixels=1)
    assert sampler.classes == (0, 1, 2, 3)
    drawn = sampler.draw(np.random.default_rng(seed), first, 16, size)
    for number, (scene, box) in enumerate(drawn, first):
        assert (scene.labels.values[box] == number % 4).any()


@settings(deadline=None, max_examples=40)
@given(worlds(), seeds, st.integers(0, 5))
def test_every_scene_of_a_class_is_shown_once_a_round(
    scenes: list[Scene], seed: int, round_: int
) -> None:
    sampler = Equibatch(scenes, [0, 1, 2, 3], seed, min_pixels=1)
    for label in range(4):
        holders = [id(s) for s in scenes if (s.labels == label).any()]
        visits = range(round_ * len(holders), (round_ + 1) * len(holders))
        shown = [
            id(sampler.draw(np.random.default_rng(v), 4 * v + label, 1, 3)[0][0]) for v in visits
        ]
        assert sorted(shown) == sorted(holders)


def test_rounds_come_in_different_orders_and_classes_do_not_share_them() -> None:
    scenes = [labelled(np.arange(4).reshape(2, 2) % 2) for _ in range(6)]
    drawn = Equibatch(scenes, [0, 1], 0, min_pixels=1).draw(np.random.default_rng(0), 0, 120, 2)
    owners = [id(scene) for scene, _ in drawn]
    orders = {tuple(owners[c::2][r : r + 6]) for c in (0, 1) for r in range(0, 60, 6)}
    assert len(orders) > 18  # of 20; 720 are possible


def test_the_window_is_any_that_holds_the_pixel_and_lies_inside() -> None:
    labels = np.zeros((6, 9))
    labels[1, 7] = 1
    sampler = Equibatch([labelled(labels)], [1], 0, min_pixels=1)
    drawn = sampler.draw(np.random.default_rng(0), 0, 4000, 4)
    starts = Counter((rows.start, columns.start) for _, (rows, columns) in drawn)
    # Rows 0 and 1 hold row 1; columns 4 and 5 hold column 7 and end by column 9.
    assert set(starts) == {(row, column) for row in (0, 1) for column in (4, 5)}
    assert max(abs(count - 1000) for count in starts.values()) < 140  # 5 standard deviations


def test_pixels_of_a_class_are_shown_alike() -> None:
    labels = np.zeros((2, 6))
    labels[0, [0, 3]] = labels[1, [1, 5]] = 1
    sampler = Equibatch([labelled(labels)], [1], 0, min_pixels=1)
    drawn = sampler.draw(np.random.default_rng(0), 0, 4000, 1)
    starts = Counter((rows.start, columns.start) for _, (rows, columns) in drawn)
    assert set(starts) == {(0, 0), (0, 3), (1, 1), (1, 5)}
    assert max(abs(count - 1000) for count in starts.values()) < 140


def test_of_many_pixels_some_are_remembered_any_as_likely_as_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sampling, "KEPT", 10)
    monkeypatch.setattr(sampling, "SIDE", 4)  # several pieces of different sizes
    labels = np.zeros((6, 7))
    labels[:, 2:] = 1
    counts: Counter[tuple[int, int]] = Counter()
    for seed in range(300):
        sampler = Equibatch([labelled(labels)], [1], seed, min_pixels=30)
        drawn = sampler.draw(np.random.default_rng(seed), 0, 60, 1)
        seen = {(rows.start, columns.start) for _, (rows, columns) in drawn}
        assert len(seen) <= 10
        counts.update(seen)
    assert set(counts) == {(row, column) for row in range(6) for column in range(2, 7)}
    assert max(abs(count - 100) for count in counts.values()) < 42  # 5 standard deviations


def test_scenes_with_too_little_of_a_class_are_not_shown_for_it() -> None:
    few, many = np.zeros((4, 4)), np.zeros((4, 4))
    few[0, :2] = many[0, :3] = 1
    scenes = [labelled(few), labelled(many)]
    sampler = Equibatch(scenes, [1], 0, min_pixels=3)
    assert all(s is scenes[1] for s, _ in sampler.draw(np.random.default_rng(0), 0, 20, 2))


def test_classes_that_are_nowhere_are_left_out_and_unknown_may_take_turns() -> None:
    scene = labelled(np.array([[0, 2], [IGNORE, IGNORE]]))
    assert Equibatch([scene], [2, 1, 0], 0, min_pixels=1).classes == (2, 0)
    sampler = Equibatch([scene], [0, IGNORE], 0, min_pixels=1)
    drawn = sampler.draw(np.random.default_rng(0), 0, 10, 1)
    assert [rows.start for _, (rows, _) in drawn] == [0, 1] * 5


def test_without_any_class_to_show_it_says_so() -> None:
    with pytest.raises(UserError, match=r"no scene has 1000 pixels of any of the classes 1, 2"):
        Equibatch([scene_of(9, 9)], [1, 2], 0)


def test_scenes_without_labels_are_refused() -> None:
    bare = Scene(scene_of(3, 3).image)
    with pytest.raises(UserError, match=r"a scene has no labels; give Scene\(image, labels\)"):
        Equibatch([bare], [0], 0)
