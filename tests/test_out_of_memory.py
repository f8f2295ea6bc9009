"""Windows that memory does not take are cut, and the map is the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pointwise import random_pixels, write
from torch import Tensor
from toys import Hourglass, random_image, segmenter_of, whole_image_scores

import geoseg
from geoseg.blocks import run_block
from geoseg.errors import UserError
from geoseg.plan import Tiling
from geoseg.prediction import scene_of
from geoseg.segmenter import Segmenter
from geoseg.tasks import Running, make_task

SHAPES = [(700, 620), (200, 1100), (1100, 200)]
ROOM = 70_000  # pixels: more than are run to measure a network, less than its windows have


class Cramped(Hourglass):
    """A network for which there is memory up to a number of pixels."""

    room = 10**9

    def forward(self, x: Tensor) -> Tensor:
        if x.shape[2] * x.shape[3] > Cramped.room:
            Cramped.refused += 1
            raise Cramped.error
        return super().forward(x)

    refused = 0
    error: Exception = MemoryError()


@pytest.fixture
def model(monkeypatch: pytest.MonkeyPatch) -> Segmenter:
    made = segmenter_of(Cramped(), window=512)
    monkeypatch.setattr(Cramped, "refused", 0)
    return made


ERRORS = [
    MemoryError(),
    torch.OutOfMemoryError("CUDA out of memory"),
    RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"),
]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_cropped_windows_are_halved_until_they_fit(
    shape: tuple[int, int], error: Exception, model: Segmenter, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = random_image(shape)
    expected = whole_image_scores(model, image.values)
    monkeypatch.setattr(Cramped, "room", ROOM)
    monkeypatch.setattr(Cramped, "error", error)
    scene = scene_of(image, model.card)
    task = make_task(scene, model, ("scores",), Tiling(512), Running(), 4 << 30)
    found = np.empty((4, *shape), np.float32)
    for block in task.plan.blocks():
        part = task.scene.part(task.plan.hull(block))
        found[:, *task.plan.output(block)] = run_block(task, block, part)["scores"]
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert 0 < Cramped.refused <= 6  # what does not fit is learnt, and not tried for every window


def test_a_file_is_classified_in_spite_of_it(
    tmp_path: Path, model: Segmenter, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene = write(tmp_path / "scene.tif", random_pixels((3, 700, 620)).astype(np.uint8))
    options: dict[str, Any] = {"window": 512, "overwrite": True}
    geoseg.predict_file(scene, tmp_path / "a.tif", model, **options)
    monkeypatch.setattr(Cramped, "room", ROOM)
    geoseg.predict_file(scene, tmp_path / "b.tif", model, **options)
    assert Cramped.refused > 0
    one, other = (geoseg.open_raster(tmp_path / f"{name}.tif").values for name in "ab")
    assert (one != other).mean() < 1e-4  # where two classes have the same score, but for rounding


def test_blended_windows_cannot_be_cut_and_the_message_says_what_can_be_done(
    model: Segmenter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Cramped, "room", ROOM)
    message = r"no memory for a window of 512 x 512 pixels; choose a smaller one \(--window\)"
    with pytest.raises(UserError, match=message):
        geoseg.predict(random_image((700, 620)), model, blend="hann").compute()


def test_memory_that_ran_out_once_is_tried_again_by_the_next_run(
    model: Segmenter, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = random_image((700, 620))
    with monkeypatch.context() as patch:
        patch.setattr(Cramped, "room", ROOM)
        with pytest.raises(UserError, match="no memory"):
            geoseg.predict(image, model, blend="hann").compute()
    assert (geoseg.predict(image, model, blend="hann") != 255).all()


def test_windows_that_are_all_halo_cannot_be_cut(
    model: Segmenter, monkeypatch: pytest.MonkeyPatch
) -> None:
    labels = geoseg.predict(random_image((700, 620)), model)
    monkeypatch.setattr(Cramped, "room", 10)
    with pytest.raises(UserError, match="there is no memory for a window"):
        labels.compute()


def test_other_errors_of_a_network_are_not_taken_for_it(
    model: Segmenter, monkeypatch: pytest.MonkeyPatch
) -> None:
    labels = geoseg.predict(random_image((700, 620)), model)
    monkeypatch.setattr(Cramped, "room", 10)
    monkeypatch.setattr(Cramped, "error", RuntimeError("shapes cannot be multiplied"))
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        labels.compute()
