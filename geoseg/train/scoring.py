"""How good a model is, on scenes with labels."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import isnan
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from geoseg.card import Card
from geoseg.classes import ClassInfo
from geoseg.loader import IGNORE, Batch, Scene, batches
from geoseg.metrics import BinnedRoc, ConfusionMatrix, Discontinuity, ratio
from geoseg.multilabel import MultiLabel
from geoseg.prediction import predict
from geoseg.segmenter import Segmenter
from geoseg.train.data.dataset import Dataset
from geoseg.train.pooling import POOLINGS
from geoseg.train.settings import Settings
from geoseg.train.stated_loss import ImageLabels, image_labels
from geoseg.windows import Box, Windows

__all__ = [
    "Probabilities",
    "Scored",
    "image_scores",
    "markdown_table",
    "score_both",
    "score_images",
    "score_maps",
    "score_parts",
    "score_windows",
    "scores",
    "with_image_scores",
    "with_scores",
    "without",
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
    return _scored(model, scenes, device, unscored).matrix


@dataclass(frozen=True)
class Probabilities:
    """What the probabilities of the second of two classes are worth, at any threshold.

    Parameters
    ----------
    roc : BinnedRoc
    seams : Discontinuity, optional
        Of networks that tell how many pixels are between theirs.
    """

    roc: BinnedRoc = field(default_factory=BinnedRoc)
    seams: Discontinuity | None = None

    def update(self, probabilities: NDArray[Any], truth: NDArray[Any]) -> None:
        """Count the pixels of a map: probabilities, NaN for none, and 0, 1 or `IGNORE`."""
        known = np.where(np.isnan(probabilities), IGNORE, truth)
        self.roc.update(np.clip(probabilities, 0, 1), known)
        if self.seams:
            self.seams.update(probabilities)

    def scores(self) -> dict[str, float | None]:
        """``auc`` and, where there are seams, ``discontinuity``; four decimals."""
        found = {"auc": _rounded(self.roc.auc())}
        return found | ({"discontinuity": _rounded(self.seams.index())} if self.seams else {})


@dataclass(frozen=True)
class Scored:
    """What maps are worth.

    Parameters
    ----------
    matrix : ConfusionMatrix
    probabilities : Probabilities, optional
        Of models of two classes.
    """

    matrix: ConfusionMatrix
    probabilities: Probabilities | None = None


def _scored(
    model: Segmenter, scenes: Sequence[Scene], device: str, unscored: Sequence[int]
) -> Scored:
    card = model.card
    found = Scored(ConfusionMatrix(len(card.classes)), _to_be_scored(model))
    for scene in scenes:
        image = scene.image.assign_attrs(long_name=card.bands)
        truth = scene.read_labels((slice(0, scene.shape[0]), slice(0, scene.shape[1])))
        truth = np.where(np.isin(truth, unscored), IGNORE, truth)
        if found.probabilities is None:
            values = predict(image, model, gsd="native", device=device).values
            classes = _indices(values, card)
        else:  # of two classes the probabilities tell the map as well
            two = predict(image, model, output="scores", gsd="native", device=device).values
            found.probabilities.update(two[1], truth)
            classes = np.where(np.isnan(two[1]), IGNORE, two[1] > two[0]).astype(np.uint8)
        truth = np.where(classes == IGNORE, IGNORE, truth)
        found.matrix.update(truth, without(classes, unscored))
    return found


def _to_be_scored(model: Segmenter) -> Probabilities | None:
    if len(model.card.classes) != 2:
        return None
    every = getattr(model.net, "seams", None)
    return Probabilities(seams=Discontinuity(every) if every else None)


def _indices(values: NDArray[np.uint8], card: Card) -> NDArray[np.uint8]:
    """Positions in the card's classes instead of their values; `IGNORE` where there is no class."""
    positions = np.full(np.iinfo(values.dtype).max + 1, IGNORE, np.uint8)
    positions[[each.value for each in card.classes]] = np.arange(len(card.classes))
    return positions[values]


def score_parts(model: Segmenter, data: Dataset, device: str = "auto") -> dict[str, Scored]:
    """The maps of scenes that were not learnt from, against their labels, by part."""
    parts = {"validation": data.validation, "held_out": data.held_out}
    return {
        name: _scored(model, scenes, device, data.unscored)
        for name, scenes in parts.items()
        if scenes
    }


def with_scores(model: Segmenter, found: Mapping[str, Scored]) -> Segmenter:
    """A model whose card has the scores of each part."""
    metrics = {
        name: {
            **scores(each.matrix, model.card.classes),
            **(each.probabilities.scores() if each.probabilities else {}),
        }
        for name, each in found.items()
    }
    return Segmenter.from_card(model.net, replace(model.card, metrics=metrics))


def with_image_scores(model: Segmenter, data: Dataset, settings: Settings) -> Segmenter:
    """A model whose card tells as well how it labels windows, if it has learnt to."""
    labels = image_labels(settings.loss)
    if labels is None:
        return model
    parts = {"validation": data.validation, "held_out": data.held_out}
    metrics = {
        name: {
            **found,
            "of_images": image_scores(
                score_images(model, parts[name], settings.crop, settings.batch, labels),
                model.card.classes,
                labels.single,
            ),
        }
        for name, found in model.card.metrics.items()
    }
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
    for each in batches(_grid(scenes, size), batch):
        scores = model.logits(each.pixels, each.nodata)
        _count_pixels(matrix, _truth(model, each), scores, unscored)
    return matrix


def _truth(model: Segmenter, batch: Batch) -> Tensor:
    """Labels where the image has data."""
    assert batch.labels is not None  # noqa: S101  (a Dataset's scenes all have labels)
    _, valid = model.normalise(batch.pixels, batch.nodata)
    return batch.labels.where(valid, IGNORE)


def _count_pixels(
    matrix: ConfusionMatrix, truth: Tensor, scores: Tensor, unscored: Sequence[int]
) -> None:
    scored = np.where(np.isin(truth, unscored), IGNORE, truth)
    matrix.update(scored, without(scores.argmax(1).cpu().numpy(), unscored))


def without(found: NDArray[Any], unscored: Sequence[int]) -> NDArray[Any]:
    """What was found without classes that do not count: they are misses of the true class alone.

    As a class of its own such a one would have false alarms and nothing to find, and its IoU of 0
    would go into the mean.

    Parameters
    ----------
    found : ndarray of int
        Class indices, any shape.
    unscored : sequence of int
        Indices that do not count.

    Returns
    -------
    ndarray
        The same with `IGNORE` in their place.
    """
    return np.where(np.isin(found, unscored), IGNORE, found)


def score_images(
    model: Segmenter, scenes: Sequence[Scene], size: int, batch: int, labels: ImageLabels
) -> MultiLabel:
    """Score which classes windows side by side are said to have: those of a pooled score above 0.

    That is a probability of one half. Windows of a single class are said to have the one that
    scores highest. Decisions are those of each window by itself, whatever is in its batch.

    Parameters
    ----------
    model : Segmenter
    scenes : sequence of Scene
        With labels.
    size : int
        Rows and columns of a window; the last one of a scene is moved back to end at its border.
    batch : int
        Windows run together.
    labels : ImageLabels
        Which classes windows have; windows without any label are left out.
    """
    found = MultiLabel(len(model.card.classes))
    for each in batches(_grid(scenes, size), batch):
        maps = _maps(model, each.pixels, each.nodata)
        _count_images(found, _truth(model, each), maps, labels)
    return found


def score_both(
    model: Segmenter,
    scenes: Sequence[Scene],
    size: int,
    batch: int,
    labels: ImageLabels,
    unscored: Sequence[int] = (),
) -> tuple[ConfusionMatrix, MultiLabel]:
    """What `score_windows` and `score_images` give, of a network whose scores of pixels are pooled.

    Each window is run once. Parameters are those of the two.
    """
    matrix, found = ConfusionMatrix(len(model.card.classes)), MultiLabel(len(model.card.classes))
    for each in batches(_grid(scenes, size), batch):
        truth, scores = _truth(model, each), model.logits(each.pixels, each.nodata)
        _count_pixels(matrix, truth, scores, unscored)
        _count_images(found, truth, scores, labels)
    return matrix, found


def _count_images(found: MultiLabel, truth: Tensor, maps: Tensor, labels: ImageLabels) -> None:
    known = (truth != IGNORE).flatten(1).any(1).numpy()
    pooled = POOLINGS[labels.pooling](maps).cpu()
    present, given = labels.present(truth, found.classes), labels.decided(pooled)
    found.update(present.numpy()[known], given.numpy()[known], pooled.numpy()[known])


@torch.inference_mode()
def _maps(model: Segmenter, pixels: Tensor, nodata: float | None) -> Tensor:
    """What the loss of a network pools, which class activation maps are not."""
    if not hasattr(model.net, "pooled"):
        return model.logits(pixels, nodata)
    values, _ = model.normalise(pixels.to(model.device), nodata)
    maps: Tensor = cast(Any, model.net).pooled(values)
    return maps


def image_scores(
    found: MultiLabel, classes: Sequence[ClassInfo], single: bool = False
) -> dict[str, Any]:
    """Scores of images as plain numbers of four decimals, as a card keeps them.

    Parameters
    ----------
    found : MultiLabel
    classes : sequence of ClassInfo
    single : bool
        Whether each image has one class, and was given one.

    Returns
    -------
    dict
        ``images``, all that `MultiLabel.scores` gives, and by class name ``support`` (images that
        have it), ``accuracy`` and ``f1``. A rare class that is never given has a high accuracy. Of
        a single class instead ``overall_accuracy``, the share of images that were given theirs;
        ``average_recall``, over the classes that an image has, and ``average_recall_of_all``, where
        that of the others is 0; ``micro_f1``, which is the overall accuracy; ``macro_f1``; and by
        class name ``support``, ``recall`` and ``f1``.
    """
    names = [each.name for each in classes]

    def by_name(values: NDArray[Any]) -> dict[str, Any]:
        return dict(zip(names, values.tolist(), strict=True))

    def rounded(values: NDArray[Any]) -> dict[str, Any]:
        return {name: _rounded(value) for name, value in by_name(values).items()}

    if single:
        whole = {
            "overall_accuracy": found.subset_accuracy(),
            "average_recall": found.average_recall(),
            "average_recall_of_all": found.average_recall(zero_support=0.0),
            "micro_f1": found.micro_f(),
            "macro_f1": found.macro_f1(),
        }
        return {
            "images": found.images(),
            **{name: _rounded(value) for name, value in whole.items()},
            "support": by_name(found.support()),
            "recall": rounded(found.class_recall()),
            "f1": rounded(found.class_f1()),
        }
    return {
        "images": found.images(),
        **{name: _rounded(value) for name, value in found.scores().items()},
        "support": by_name(found.support()),
        "accuracy": rounded(found.class_accuracy()),
        "f1": rounded(found.class_f1()),
    }


def _grid(scenes: Sequence[Scene], size: int) -> Iterator[tuple[Scene, Box]]:
    for scene in scenes:
        for box in Windows(scene.shape, (size, size), (size, size)):
            yield scene, box


def scores(
    matrix: ConfusionMatrix, classes: Sequence[ClassInfo], digits: int = 4
) -> dict[str, Any]:
    """Scores as plain numbers, by default of four decimals, as a card keeps them.

    Returns
    -------
    dict
        ``pixels``, ``miou``, ``overall_accuracy``, ``average_accuracy`` (mean recall),
        ``majority_accuracy`` (that of a map of the commonest class alone) and ``iou`` by class
        name; None for a class that neither occurs nor was found.
    """
    iou = {
        each.name: _rounded(score, digits)
        for each, score in zip(classes, matrix.iou(), strict=True)
    }
    commonest = float(ratio(matrix.support().max(), matrix.support().sum()))
    return {
        "pixels": int(matrix.counts.sum()),
        "miou": _rounded(matrix.miou(), digits),
        "overall_accuracy": _rounded(matrix.accuracy(), digits),
        "average_accuracy": _rounded(matrix.average_accuracy(), digits),
        "majority_accuracy": _rounded(commonest, digits),
        "iou": iou,
    }


def _rounded(value: float, digits: int = 4) -> float | None:
    return None if isnan(value) else round(float(value), digits)


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
