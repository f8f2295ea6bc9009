"""How good a model is, on scenes with labels."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from math import isnan
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geoseg.card import Card
from geoseg.classes import ClassInfo
from geoseg.loader import IGNORE, Scene, batches
from geoseg.metrics import ConfusionMatrix
from geoseg.prediction import predict
from geoseg.segmenter import Segmenter
from geoseg.train.dataset import Dataset
from geoseg.windows import Box, Windows

__all__ = [
    "markdown_table",
    "score_maps",
    "score_parts",
    "score_windows",
    "scores",
    "with_scores",
]


def score_maps(
    model: Segmenter,
    scenes: Sequence[Scene],
    device: str = "auto",
    unscored: Sequence[int] = (),
) -> ConfusionMatrix:
    """Score the maps that a user of the model gets, where the image has data.

    Parameters
    ----------
    model : Segmenter
    scenes : sequence of Scene
        With labels; their bands are the model's, in its order.
    device : str
        As for `geoseg.predict`.
    unscored : sequence of int
        Labels whose pixels do not count.
    """
    card = model.card
    matrix = ConfusionMatrix(len(card.classes))
    for scene in scenes:
        image = scene.image.assign_attrs(long_name=card.bands)
        found = _indices(predict(image, model, gsd="native", device=device).values, card)
        truth = scene.read_labels((slice(0, scene.shape[0]), slice(0, scene.shape[1])))
        left_out = (found == IGNORE) | np.isin(truth, unscored)
        matrix.update(np.where(left_out, IGNORE, truth), _without(found, unscored))
    return matrix


def _indices(values: NDArray[np.uint8], card: Card) -> NDArray[np.uint8]:
    """Positions in the card's classes instead of their values; `IGNORE` where there is no class."""
    positions = np.full(np.iinfo(values.dtype).max + 1, IGNORE, np.uint8)
    positions[[each.value for each in card.classes]] = np.arange(len(card.classes))
    return positions[values]


def score_parts(
    model: Segmenter, data: Dataset, device: str = "auto"
) -> dict[str, ConfusionMatrix]:
    """The maps of scenes that were not learnt from, against their labels, by part."""
    parts = {"validation": data.validation, "held_out": data.held_out}
    return {
        name: score_maps(model, scenes, device, data.unscored)
        for name, scenes in parts.items()
        if scenes
    }


def with_scores(model: Segmenter, matrices: Mapping[str, ConfusionMatrix]) -> Segmenter:
    """A model whose card has the scores of each part."""
    classes = model.card.classes
    metrics = {name: scores(each, classes) for name, each in matrices.items()}
    return Segmenter.from_card(model.net, replace(model.card, metrics=metrics))


def score_windows(
    model: Segmenter,
    scenes: Sequence[Scene],
    size: int,
    batch: int,
    unscored: Sequence[int] = (),
) -> ConfusionMatrix:
    """Score windows side by side: quicker than maps, with less context at the windows' borders.

    Parameters
    ----------
    model : Segmenter
    scenes : sequence of Scene
        With labels.
    size : int
        Rows and columns of a window; where the last one is moved back to end at the border of the
        scene, pixels count twice.
    batch : int
        Windows run together.
    unscored : sequence of int
        Labels whose pixels do not count.
    """
    matrix = ConfusionMatrix(len(model.card.classes))
    for found in batches(_grid(scenes, size), batch):
        assert found.labels is not None  # noqa: S101  (a Dataset's scenes all have labels)
        _, valid = model.normalise(found.pixels, found.nodata)
        scores = model.logits(found.pixels, found.nodata)
        truth = found.labels.where(valid, IGNORE).numpy()
        truth = np.where(np.isin(truth, unscored), IGNORE, truth)
        matrix.update(truth, _without(scores.argmax(1).cpu().numpy(), unscored))
    return matrix


def _without(found: NDArray[Any], unscored: Sequence[int]) -> NDArray[Any]:
    """What was found without classes that do not count: they are misses of the true class alone.

    As a class of its own such a one would have false alarms and nothing to find, and its IoU of 0
    would go into the mean.
    """
    return np.where(np.isin(found, unscored), IGNORE, found)


def _grid(scenes: Sequence[Scene], size: int) -> Iterator[tuple[Scene, Box]]:
    for scene in scenes:
        for box in Windows(scene.shape, (size, size), (size, size)):
            yield scene, box


def scores(matrix: ConfusionMatrix, classes: Sequence[ClassInfo]) -> dict[str, Any]:
    """Scores as plain numbers of four decimals, as a card keeps them.

    Returns
    -------
    dict
        ``pixels``, ``miou``, ``overall_accuracy`` and ``iou`` by class name; None for a class that
        neither occurs nor was found.
    """
    iou = zip((each.name for each in classes), map(_rounded, matrix.iou()), strict=True)
    return {
        "pixels": int(matrix.counts.sum()),
        "miou": _rounded(matrix.miou()),
        "overall_accuracy": _rounded(matrix.accuracy()),
        "iou": dict(iou),
    }


def _rounded(value: float) -> float | None:
    return None if isnan(value) else round(float(value), 4)


def markdown_table(columns: dict[str, dict[str, Any]]) -> str:
    """Scores side by side.

    Parameters
    ----------
    columns : dict
        What `scores` gave, by the name of the method.
    """
    first = next(iter(columns.values()))
    rows = [("mIoU", [each["miou"] for each in columns.values()])]
    rows += [("overall accuracy", [each["overall_accuracy"] for each in columns.values()])]
    rows += [
        (f"IoU {name}", [each["iou"][name] for each in columns.values()]) for name in first["iou"]
    ]
    lines = [_row("", list(columns)), _row("---", ["---:"] * len(columns))]
    lines += [_row(name, ["–" if v is None else f"{v:.3f}" for v in cells]) for name, cells in rows]
    return "\n".join(lines)


def _row(head: str, cells: Sequence[str]) -> str:
    return f"| {' | '.join([head, *cells])} |"
