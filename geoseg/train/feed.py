"""What the network is shown at each step: windows drawn, read ahead, and changed at random.

Everything random follows from the seed and the number of the step, so that a run that is resumed
sees what an undisturbed one saw.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from math import gcd
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from geoseg.errors import UserError
from geoseg.loader import IGNORE, Batch, batches
from geoseg.nets.turns import in_turn
from geoseg.segmenter import Segmenter
from geoseg.train.data.augment import Levels, augment, resized, window_size
from geoseg.train.data.dataset import Dataset
from geoseg.train.data.sampling import Equibatch, Sampler, Stratified, Uniform, UniformScene
from geoseg.train.processes import Group
from geoseg.train.settings import Settings

__all__ = ["Drawn", "Feed"]


class Drawn(NamedTuple):
    """Windows of a step as they were read, one batch a data set, and what draws their changes."""

    batches: list[Batch]
    rng: np.random.Generator


class Feed:
    """Windows of one data set, or of several whose tasks are learnt together.

    Parameters
    ----------
    settings : Settings
    data : sequence of Dataset
        Of each, a batch is drawn at every step. Labels count on from one to the next: they belong
        to heads of the network that follow each other.
    model : Segmenter
        Normalises.
    group : Group

    Attributes
    ----------
    epoch : int
        Steps in which as many pixels are shown as the first data set has; where scenes take turns,
        in which each of them is shown once.
    turns : tuple of int
        How many windows of each data set follow each other in a batch, again and again.

    Raises
    ------
    UserError
        When a batch cannot be shared out among processes and parts.
    """

    def __init__(
        self, settings: Settings, data: Sequence[Dataset], model: Segmenter, group: Group
    ) -> None:
        self._settings, self._model, self._group = settings, model, group
        self._samplers = [_sampler(settings, each) for each in data]
        self._first_labels = np.cumsum([0, *(len(each.classes) for each in data[:-1])]).tolist()
        self._data = list(data)
        others = settings.classmate_batch or settings.batch
        self._sizes = [settings.batch, *[others] * (len(data) - 1)]
        self._own = [group.share_of(size, settings.accumulate) for size in self._sizes]
        self.turns = tuple(size // gcd(*self._sizes) for size in self._sizes)
        self.epoch = -(-_windows(settings, data[0]) // settings.batch)
        scale = settings.augment.scale
        self._scales = [scale, *[settings.classmate_scale or scale] * (len(data) - 1)]
        card = model.card
        self._levels = Levels(*(tuple(v / 255 for v in each) for each in (card.mean, card.std)))

    def from_step(self, first: int, last: int) -> Generator[Drawn, None, None]:
        """The windows of each step, read while those of the step before are learnt from."""
        steps = iter(range(first, last))
        with ThreadPoolExecutor(1, "geoseg-read") as reader:
            coming = deque(reader.submit(self.draw, step) for step in islice(steps, 1))
            while coming:
                coming.extend(reader.submit(self.draw, step) for step in islice(steps, 1))
                yield coming.popleft().result()

    def draw(self, step: int) -> Drawn:
        """Read the windows of a step."""
        settings, group = self._settings, self._group
        rng = np.random.default_rng((settings.seed, step))
        found = []
        each = zip(self._samplers, self._scales, self._sizes, self._own, strict=True)
        for sampler, scale, count, own in each:
            size = window_size(rng, settings.crop, scale)
            drawn = sampler.draw(rng, step * count, count, size)[own]
            found.append(next(batches(drawn, len(drawn))))
        for batch, data in zip(found, self._data, strict=True):
            _refuse_strange(batch, data)
        if group.size > 1:  # other windows, other changes
            rng = np.random.default_rng((settings.seed, step, 1 + group.rank))
        return Drawn(found, rng)

    def changed(self, drawn: Drawn) -> tuple[Tensor, Tensor]:
        """Windows as the network sees them.

        Returns
        -------
        values : Tensor of float32, shape (B, C, crop, crop)
            Windows of each data set in turn, so that parts of a batch have some of all of them.
        labels : Tensor of int64, shape (B, crop, crop)
        """
        parts = [self._changed(batch, drawn.rng) for batch in drawn.batches]
        shifted = [
            torch.where(labels == IGNORE, IGNORE, labels + first)
            for (_, labels), first in zip(parts, self._first_labels, strict=True)
        ]
        values = in_turn([values for values, _ in parts], self.turns)
        labels = in_turn(shifted, self.turns)
        return values.contiguous(memory_format=torch.channels_last), labels

    def _changed(self, batch: Batch, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        assert batch.labels is not None  # noqa: S101  (a Dataset's scenes all have labels)
        device = self._model.device
        values, valid = self._model.normalise(batch.pixels.to(device), batch.nodata)
        windows = resized(values, batch.labels.to(device), valid, self._settings.crop)
        return augment(*windows, rng, self._settings.augment, self._levels)


def _sampler(settings: Settings, data: Dataset) -> Sampler:
    scenes, every = data.training, range(len(data.classes))
    scored = [label for label in every if label not in data.unscored]
    make: dict[str, Callable[[], Sampler]] = {
        "uniform": lambda: Uniform(scenes),
        "scene": lambda: UniformScene(scenes, settings.seed),
        "stratified": lambda: Stratified(scenes, _regions(data)),
        "equibatch": lambda: Equibatch(scenes, every, settings.seed, settings.min_pixels),
        "equibatch-scored": lambda: Equibatch(scenes, scored, settings.seed, settings.min_pixels),
    }
    return make[settings.sampler]()


def _regions(data: Dataset) -> Sequence[str]:
    if not data.regions:
        raise UserError(
            f"{data.name} does not say which region a scene lies in, as sampler=stratified needs; "
            "choose another sampler"
        )
    return data.regions


def _windows(settings: Settings, data: Dataset) -> int:
    if settings.sampler != "uniform":
        return len(data.training)
    pixels = sum(rows * columns for rows, columns in (scene.shape for scene in data.training))
    return -(-pixels // settings.crop**2)


def _refuse_strange(batch: Batch, data: Dataset) -> None:
    """Refuse labels that are no class: not every pixel was looked at before training began."""
    assert batch.labels is not None  # noqa: S101  (a Dataset's scenes all have labels)
    known = len(data.classes)
    highest = int(batch.labels.where(batch.labels != IGNORE, 0).max())
    if highest >= known:
        raise UserError(
            f"{data.name}: label {highest} in a training scene, but there are {known} classes; "
            f"labels are 0 to {known - 1}, or {IGNORE} to be ignored"
        )
