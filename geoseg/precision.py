"""The precision a network runs in: a lower one where it is faster and hardly a class changes."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from geoseg.devices import pool_for
from geoseg.loader import Part, Scene
from geoseg.segmenter import Segmenter
from geoseg.tasks import Running
from geoseg.windows import Box, grown

__all__ = ["Precision", "choose_precision"]

log = logging.getLogger(__name__)

LEAST_AGREEMENT = 0.999  # of the pixels of the sample must be of the class that fp32 finds
LEAST_GAIN = 1.25  # times as fast; a smaller gain may be chance
SAMPLES = 4  # windows
SIDE = 384  # pixels
LATTICE = 5  # places a side where windows with data are looked for
WORTH = 16  # samples a raster must be worth; a smaller one is done before the choice


@dataclass(frozen=True)
class Precision:
    """What a network runs in.

    Parameters
    ----------
    name : {"fp32", "bf16", "fp16"}
    agreement : float, optional
        Share of a sample's pixels that are of the class that fp32 finds; None when nobody looked.
    """

    name: str
    agreement: float | None = None


def choose_precision(scene: Scene, segmenter: Segmenter, running: Running) -> Precision:
    """What to run a scene in: as asked, or for ``auto`` the better of fp32 and bf16.

    Some windows spread over the scene are run in both. It is bf16 when that is at least
    `LEAST_GAIN` times as fast and `LEAST_AGREEMENT` of the pixels are of the same class.

    Parameters
    ----------
    scene : Scene
    segmenter : Segmenter
    running : Running

    Returns
    -------
    Precision
    """
    if running.precision != "auto":
        return Precision(running.precision)
    side = grown(SIDE, segmenter.card.stride)
    if scene.shape[0] * scene.shape[1] < WORTH * SAMPLES * side**2:
        return Precision("fp32")
    agreements, spent = [], np.zeros(2)
    for part, box in _sample(scene, segmenter, side):
        if not spent.any():  # what a network does once is not counted
            _run(part, box, segmenter, running)
        whole, lower, seconds = _run(part, box, segmenter, running)
        spent += seconds
        agreements.append(float((whole.argmax(1) == lower.argmax(1)).double().mean()))
        if spent[0] < LEAST_GAIN * spent[1]:
            break
    if not agreements:
        return Precision("fp32")
    agreement, gain = float(np.mean(agreements)), spent[0] / spent[1]
    name = "bf16" if gain >= LEAST_GAIN and agreement >= LEAST_AGREEMENT else "fp32"
    log.info(
        "running in %s: bf16 is %.2f times as fast as fp32, %.3f %% of a sample keep their class",
        *(name, gain, 100 * agreement),
    )
    return Precision(name, agreement)


def _run(
    part: Part, box: Box, segmenter: Segmenter, running: Running
) -> tuple[Tensor, Tensor, tuple[float, float]]:
    """Scores of a window in fp32 and in bf16, and the seconds they took."""
    pixels = torch.from_numpy(np.ascontiguousarray(part.read(box))[None])
    scores, seconds = [], []
    for name in ("fp32", "bf16"):
        pool = pool_for(segmenter, running.device, name)
        found, taken = pool.run(1, lambda there: _timed(there, pixels, part.nodata))
        scores.append(found)
        seconds.append(taken)
    return scores[0], scores[1], (seconds[0], seconds[1])


def _timed(segmenter: Segmenter, pixels: Tensor, nodata: float | None) -> tuple[Tensor, float]:
    begun = time.perf_counter()
    scores = segmenter.logits(pixels, nodata).cpu()
    return scores, time.perf_counter() - begun


def _sample(scene: Scene, segmenter: Segmenter, side: int) -> Iterator[tuple[Part, Box]]:
    """Windows spread over a scene, of which at least half is data."""
    found = 0
    # Every seventh place, time and again round: near ones do not follow each other.
    for place in range(0, 7 * LATTICE**2, 7):
        tops = divmod(place % LATTICE**2, LATTICE)
        starts = [(2 * i + 1) * n // (2 * LATTICE) for i, n in zip(tops, scene.shape, strict=True)]
        starts = [max(min(s, n - side), 0) for s, n in zip(starts, scene.shape, strict=True)]
        box = slice(starts[0], starts[0] + side), slice(starts[1], starts[1] + side)
        if scene.gaps is not None and scene.gaps.cover(scene.native_box(box)):
            continue
        if scene.area is not None and not scene.area.meets(scene.native_box(box)):
            continue
        part = scene.part(box)
        valid = part.native.valid(segmenter.card.nodata)
        if valid is None or valid.mean() >= 0.5:
            yield part, box
            found += 1
        if found == SAMPLES:
            return
