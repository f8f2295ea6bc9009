"""What is learnt and what comes of it, as pictures: windows beside their labels and their map."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from geoseg.charts import draw_panels
from geoseg.classes import ClassInfo
from geoseg.loader import IGNORE, Scene, is_missing
from geoseg.prediction import predict
from geoseg.rendering import Rgb, false_color, hatched, limits, paint, shade, variety
from geoseg.segmenter import Segmenter
from geoseg.windows import Box, Windows

__all__ = ["draw_batch", "draw_samples", "told_bands"]

BATCH = 12  # windows of a batch that are drawn, at most
SAMPLES = 4
LOOKED_AT = 16  # scenes that samples are chosen among, evenly spread
PLACES = 9  # windows of a scene that are looked at, evenly spread
SIDE = 256  # rows and columns of a sample, unless the network learns from larger windows


def told_bands(bands: Sequence[str]) -> str:
    """The bands that pictures show, in words."""
    shown = [bands[place] for place in false_color(bands)]
    if len(set(shown)) == 1:
        return f"{shown[0]} in grey"
    return f"{', '.join(shown)} as red, green, blue"


def draw_batch(
    values: Tensor,
    labels: Tensor,
    bands: Sequence[str],
    classes: Sequence[ClassInfo],
    path: Path,
) -> None:
    """Draw windows as a network learns from them, beside their labels, as a PNG.

    Parameters
    ----------
    values : Tensor of float32, shape (B, C, h, w)
        Normalised; 0 in all bands where there is no data.
    labels : Tensor of int64, shape (B, h, w)
        Positions in `classes`; others are shown as no class.
    bands : sequence of str
        Names of the C bands.
    classes : sequence of ClassInfo
    path : Path
    """
    shown = values[:BATCH].movedim(1, -1).cpu().numpy()
    shown = np.where((shown == 0).all(-1, keepdims=True), np.nan, shown)[..., false_color(bands)]
    images = shade(shown, limits(shown))
    maps = _painted(labels[:BATCH].cpu().numpy().astype(np.uint8), classes)
    pairs = [picture for pair in zip(images, maps, strict=True) for picture in pair]
    across = 4 if len(pairs) > 2 else 2
    rows = [pairs[first : first + across] for first in range(0, len(pairs), across)]
    draw_panels(rows, ["image", "labels"] * (across // 2), classes, path)


def draw_samples(
    model: Segmenter, scenes: Sequence[Scene], size: int, device: str, path: Path
) -> None:
    """Draw windows of some scenes, their labels and the map that a user gets, as a PNG.

    Of scenes spread evenly over all of them, those windows are shown whose labels mix most evenly.

    Parameters
    ----------
    model : Segmenter
    scenes : sequence of Scene
        With labels; their bands are the model's, in its order.
    size : int
        Rows and columns of a window at least.
    device : str
        As for `geoseg.predict`.
    path : Path
    """
    card, rows = model.card, []
    for scene, box in _most_varied(scenes, max(size, SIDE)):
        image = scene.image.assign_attrs(long_name=card.bands)
        found = predict(image, model, gsd="native", device=device)[box].values
        colors = {each.value: each.rgb for each in card.classes}
        truth = _painted(scene.read_labels(box), card.classes)
        rows.append([_image(scene, box, card.bands), truth, _hatched(found, colors)])
    draw_panels(rows, ["image", "truth", "map"], card.classes, path)


def _image(scene: Scene, box: Box, bands: Sequence[str]) -> Rgb:
    pixels = scene.read(box)
    values = np.where(is_missing(pixels, scene.nodata), np.nan, pixels.astype(np.float64))
    picture = np.moveaxis(values[false_color(bands)], 0, -1)
    return shade(picture, limits(picture))


def _painted(labels: NDArray[np.uint8], classes: Sequence[ClassInfo]) -> Rgb:
    return _hatched(labels, {place: each.rgb for place, each in enumerate(classes)})


def _hatched(labels: NDArray[Any], colors: Mapping[int, tuple[int, int, int]]) -> Rgb:
    """Labels in their colours; hatched where there is none, for classes may be white."""
    return hatched(paint(labels, colors), ~np.isin(labels, list(colors)))


def _most_varied(scenes: Sequence[Scene], side: int) -> list[tuple[Scene, Box]]:
    """Windows of several scenes, or of one where there is but one, in the order of the scenes."""
    several = [scenes[place] for place in _spread(len(scenes), LOOKED_AT)]
    each = -(-SAMPLES // len(several))
    found: list[tuple[float, int, Scene, Box]] = []
    for place, scene in enumerate(several):
        size = min(side, scene.shape[0]), min(side, scene.shape[1])
        windows = Windows(scene.shape, size, size)
        boxes = [windows[index] for index in _spread(len(windows), PLACES)]
        mixed = [(variety(scene.read_labels(box), IGNORE), place, scene, box) for box in boxes]
        found += sorted(mixed, key=lambda one: -one[0])[:each]
    chosen = sorted(found, key=lambda one: -one[0])[:SAMPLES]
    return [(scene, box) for _, _, scene, box in sorted(chosen, key=lambda one: one[1])]


def _spread(length: int, count: int) -> list[int]:
    """At most so many positions of a sequence, at equal distances."""
    return sorted({int(place) for place in np.linspace(0, length - 1, min(count, length))})
