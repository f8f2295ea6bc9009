"""Which windows the network is shown.

A sampler answers ``draw(rng, first, count, size)``. Whose turn it is (which scene, class or region)
follows from the number of the window alone, counted from the first one of the run; where in the
scene the window lies is drawn from `rng`. Nothing is remembered from one call to the next, so a run
that is resumed at any step sees what an undisturbed one saw. The size is asked for at each call,
since random resizing reads windows of another size at every step.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from geoseg.errors import UserError
from geoseg.loader import Scene
from geoseg.train.data.reservoir import Reservoir
from geoseg.windows import Box, Windows, tiles

__all__ = ["Equibatch", "Sample", "Sampler", "Stratified", "Uniform", "UniformScene"]

Sample = tuple[Scene, Box]

KEPT = 4096
"""Pixels of a class that are remembered of a scene, at most: 32 KB."""
SIDE = 1024  # rows and columns of labels looked at in one go


class Sampler(Protocol):
    """What draws windows."""

    def draw(self, rng: np.random.Generator, first: int, count: int, size: int) -> list[Sample]:
        """Draw windows.

        Parameters
        ----------
        rng : Generator
            Of this call; to repeat a call takes an equal one.
        first : int
            How many windows were drawn before this call, in the whole run.
        count : int
            How many to draw.
        size : int
            Rows and columns of a window; a smaller scene is mirrored up to it.
        """
        ...


class Uniform:
    """Every place of every scene is as likely as any other; windows are independent.

    Parameters
    ----------
    scenes : sequence of Scene
    """

    def __init__(self, scenes: Sequence[Scene]) -> None:
        self._scenes = list(scenes)
        self._shapes = np.array([scene.shape for scene in scenes])

    def draw(self, rng: np.random.Generator, first: int, count: int, size: int) -> list[Sample]:
        """As `Sampler.draw`."""
        ends = np.cumsum(np.maximum(self._shapes - size + 1, 1).prod(axis=1))
        chosen = rng.integers(ends[-1], size=count)
        owners = np.searchsorted(ends, chosen, side="right")
        found = zip(owners.tolist(), (chosen - ends[owners]).tolist(), strict=True)
        # Counted from the end of the owner's places, which is where a negative index starts.
        return [(self._scenes[i], _places(self._scenes[i], size)[back]) for i, back in found]


class UniformScene:
    """Every scene once in an epoch, in shuffled order; every place of it is as likely.

    An epoch is as many windows as there are scenes, as in A. Rakhlin, A. Davydov and S. Nikolenko,
    "Land Cover Classification from Satellite Imagery With U-Net and Lovász-Softmax Loss", DeepGlobe
    workshop, CVPR 2018. Where scenes are equally large tiles, as in E. Maggiori et al., "Fully
    Convolutional Neural Networks For Remote Sensing Image Classification", IGARSS 2016, places are
    as likely as with `Uniform`.

    Parameters
    ----------
    scenes : sequence of Scene
    seed : int
        Of the order; 0 or more.
    """

    def __init__(self, scenes: Sequence[Scene], seed: int) -> None:
        self._scenes, self._seed = list(scenes), seed

    def draw(self, rng: np.random.Generator, first: int, count: int, size: int) -> list[Sample]:
        """As `Sampler.draw`."""
        turns = (_turn(n, len(self._scenes), self._seed) for n in range(first, first + count))
        return [_anywhere(self._scenes[turn], rng, size) for turn in turns]


class Stratified:
    """Every region equally often, in turn; every place of every scene of a region is as likely.

    Parameters
    ----------
    scenes : sequence of Scene
    regions : sequence of str
        The region of each scene.

    Raises
    ------
    UserError
        When there are not as many regions as scenes.
    """

    def __init__(self, scenes: Sequence[Scene], regions: Sequence[str]) -> None:
        if len(scenes) != len(regions):
            raise UserError(
                f"{len(regions)} regions for {len(scenes)} scenes; name the region of each scene"
            )
        pairs = list(zip(scenes, regions, strict=True))
        self._regions = [
            Uniform([scene for scene, own in pairs if own == region])
            for region in dict.fromkeys(regions)
        ]

    def draw(self, rng: np.random.Generator, first: int, count: int, size: int) -> list[Sample]:
        """As `Sampler.draw`."""
        samples = []
        for number in range(first, first + count):
            samples += self._regions[number % len(self._regions)].draw(rng, number, 1, size)
        return samples


class Equibatch:
    """Every class in turn, however rare: a window around a random pixel of it.

    Of as many consecutive windows as there are classes, one is drawn for each of them. The scenes
    that hold a class come in rounds: each once in a round, in an order that is shuffled anew for
    every round. The window is any of those that hold the pixel and lie inside the scene, as likely
    as any other. The idea is that of M. Berman, A. Rannen Triki and M. B. Blaschko, "The
    Lovász-Softmax loss", CVPR 2018, as used by A. Rakhlin, A. Davydov and S. Nikolenko, "Land Cover
    Classification from Satellite Imagery With U-Net and Lovász-Softmax Loss", DeepGlobe workshop,
    CVPR 2018; how rounds and windows are drawn is ours, neither paper tells.

    Parameters
    ----------
    scenes : sequence of Scene
        With labels, which are read once, here.
    classes : sequence of int
        Labels to take turns, in this order; `IGNORE` may be among them. Labels that no scene holds
        enough of are left out.
    seed : int
        Of the order of scenes and of the pixels that are remembered; 0 or more.
    min_pixels : int
        A scene with fewer pixels of a class is not shown for its sake.

    Attributes
    ----------
    classes : tuple of int
        Labels that take turns.

    Raises
    ------
    UserError
        When a scene has no labels, or no scene holds enough of any class.
    """

    def __init__(
        self, scenes: Sequence[Scene], classes: Sequence[int], seed: int, min_pixels: int = 1000
    ) -> None:
        self._seed = seed
        found: dict[int, list[tuple[Scene, NDArray[np.int64]]]] = {label: [] for label in classes}
        for index, scene in enumerate(scenes):
            rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(index,)))
            for label, (pixels, some) in _find_classes(scene, classes, rng).items():
                if pixels >= max(min_pixels, 1):
                    found[label].append((scene, some))
        self._holders = {label: holders for label, holders in found.items() if holders}
        self.classes = tuple(self._holders)
        if not self.classes:
            raise UserError(
                f"no scene has {min_pixels} pixels of any of the classes "
                f"{', '.join(map(str, classes))}; lower the least number or check the labels"
            )

    def draw(self, rng: np.random.Generator, first: int, count: int, size: int) -> list[Sample]:
        """As `Sampler.draw`."""
        return [self._at(number, rng, size) for number in range(first, first + count)]

    def _at(self, number: int, rng: np.random.Generator, size: int) -> Sample:
        visit, which = divmod(number, len(self.classes))
        holders = self._holders[self.classes[which]]
        scene, pixels = holders[_turn(visit, len(holders), self._seed, self.classes[which])]
        row, column = divmod(int(rng.choice(pixels)), scene.shape[1])
        rows, columns = scene.shape
        return scene, (_around(row, rows, size, rng), _around(column, columns, size, rng))


def _turn(number: int, count: int, seed: int, *of: int) -> int:
    """Which of `count` things comes at a number: each once a round, every round in another order.

    The order is made of the seed, of what it is the order of, and of the round, so it needs no
    memory. These are the spawn key and not the seed itself, lest it be the stream of some step.
    """
    turn, place = divmod(number, count)
    return int(_order(count, seed, (*of, turn))[place])


@lru_cache(maxsize=64)  # the round of each of so many classes: it is made once, not for each window
def _order(count: int, seed: int, of: tuple[int, ...]) -> NDArray[np.int64]:
    own = np.random.SeedSequence(seed, spawn_key=of)
    return np.random.default_rng(own).permutation(count)


def _places(scene: Scene, size: int) -> Windows:
    return Windows(scene.shape, (size, size), (1, 1))


def _anywhere(scene: Scene, rng: np.random.Generator, size: int) -> Sample:
    places = _places(scene, size)
    return scene, places[int(rng.integers(len(places)))]


def _around(pixel: int, length: int, size: int, rng: np.random.Generator) -> slice:
    """A span of an axis that holds a pixel; inside the axis where that is long enough."""
    start = int(rng.integers(max(pixel - size + 1, 0), min(pixel, max(length - size, 0)) + 1))
    return slice(start, start + size)


def _find_classes(
    scene: Scene, classes: Sequence[int], rng: np.random.Generator
) -> dict[int, tuple[int, NDArray[np.int64]]]:
    """How many pixels a scene has of each class, and where `KEPT` of them are, row by row."""
    if scene.labels is None:
        raise UserError("a scene has no labels; give Scene(image, labels)")
    places = {label: Reservoir(KEPT) for label in classes}
    for rows, columns in tiles(scene.shape, (SIDE, SIDE)):
        labels = scene.labels[rows, columns].values
        width = labels.shape[1]
        for label, some in places.items():
            row, column = np.divmod(np.flatnonzero(labels == label), width)
            some.add((row + rows.start) * scene.shape[1] + column + columns.start, rng)
    return {label: (some.seen, some.kept) for label, some in places.items()}
