"""Scores of class maps, from one streaming confusion matrix; area under the ROC curve."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from geoseg.errors import UserError

__all__ = ["IGNORE", "ConfusionMatrix", "roc_auc"]

IGNORE = 255
"""Truth that takes no part; as a prediction it is a miss."""


class ConfusionMatrix:
    """Counts of pixels by true and predicted class, over as many arrays as one likes.

    All scores are ratios of counts over the whole set, never means of scores of single images
    (Rakhlin et al. 2018, eq. 1). A ratio without any pixel is NaN.

    Parameters
    ----------
    classes : int
        Number of classes, K.

    Attributes
    ----------
    counts : ndarray of int64, shape (K, K + 1)
        Rows are the truth, columns the prediction; the last column counts pixels that were given no
        class, which are misses of their true class and false alarms of none.
    """

    def __init__(self, classes: int) -> None:
        if not 1 <= classes <= IGNORE:
            raise UserError(f"{classes} classes cannot be counted; give 1 to {IGNORE}")
        self.counts: NDArray[np.int64] = np.zeros((classes, classes + 1), np.int64)

    @property
    def classes(self) -> int:
        """Number of classes, K."""
        return len(self.counts)

    def update(self, truth: ArrayLike, predicted: ArrayLike) -> None:
        """Count the pixels of two arrays of class indices of one shape.

        Parameters
        ----------
        truth : array of int
            0 to K - 1; `IGNORE` is left out.
        predicted : array of int
            0 to K - 1; anything else is a miss.

        Raises
        ------
        UserError
            When the shapes differ or the truth holds an index that is no class.
        """
        true, found = np.asarray(truth).ravel(), np.asarray(predicted).ravel()
        if np.shape(truth) != np.shape(predicted):
            raise UserError(
                f"truth of {np.shape(truth)} and prediction of {np.shape(predicted)} differ; "
                "give both on one grid"
            )
        known = true != IGNORE
        true, found = true[known].astype(np.int64), found[known].astype(np.int64)
        if true.size and not 0 <= true.min() <= true.max() < self.classes:
            raise UserError(
                f"truth holds {true.min()} to {true.max()} but there are {self.classes} classes; "
                f"use indices 0 to {self.classes - 1}, {IGNORE} for pixels to leave out"
            )
        found = np.where((found >= 0) & (found < self.classes), found, self.classes)
        cells = true * (self.classes + 1) + found
        self.counts += np.bincount(cells, minlength=self.counts.size).reshape(self.counts.shape)

    def __add__(self, other: ConfusionMatrix) -> ConfusionMatrix:
        total = ConfusionMatrix(self.classes)
        total.counts = self.counts + other.counts
        return total

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ConfusionMatrix) and np.array_equal(self.counts, other.counts)

    __hash__ = None  # type: ignore[assignment]  # it changes

    @property
    def hits(self) -> NDArray[np.int64]:
        """Pixels of each class that were found."""
        return np.diagonal(self.counts)

    def support(self) -> NDArray[np.int64]:
        """True pixels of each class."""
        return np.asarray(self.counts.sum(1))

    def predicted(self) -> NDArray[np.int64]:
        """Pixels that each class was given to."""
        return np.asarray(self.counts[:, :-1].sum(0))

    def iou(self) -> NDArray[np.float64]:
        """Intersection over union of each class."""
        return _ratio(self.hits, self.support() + self.predicted() - self.hits)

    def precision(self) -> NDArray[np.float64]:
        """Share of the pixels given to a class that are of it (user's accuracy)."""
        return _ratio(self.hits, self.predicted())

    def recall(self) -> NDArray[np.float64]:
        """Share of the pixels of a class that were found (producer's accuracy)."""
        return _ratio(self.hits, self.support())

    def f1(self) -> NDArray[np.float64]:
        """Harmonic mean of precision and recall (Dice coefficient)."""
        return _ratio(2 * self.hits, self.support() + self.predicted())

    def miou(self, classes: Sequence[int] | None = None) -> float:
        """Mean IoU over some classes, by default all; those that never occur are left out."""
        chosen = self.iou() if classes is None else self.iou()[list(classes)]
        present = chosen[~np.isnan(chosen)]
        return float(present.mean()) if present.size else float("nan")

    def accuracy(self) -> float:
        """Share of all pixels that were given their class (overall accuracy)."""
        return float(_ratio(self.hits.sum(), self.counts.sum()))

    def kappa(self) -> float:
        """Agreement beyond chance (Cohen 1960)."""
        # As floats, for products of two counts soon pass what an integer holds.
        true, given = self.support().astype(np.float64), self.predicted().astype(np.float64)
        chance = float(_ratio((true * given).sum(), true.sum() ** 2))
        return float(_ratio(self.accuracy() - chance, 1 - chance))

    def to_dict(self) -> dict[str, Any]:
        """Counts as plain lists."""
        return {"counts": self.counts.tolist()}

    @classmethod
    def from_dict(cls, facts: dict[str, Any]) -> ConfusionMatrix:
        """The matrix that `to_dict` wrote."""
        counts = np.asarray(facts["counts"], np.int64)
        matrix = cls(len(counts))
        matrix.counts = counts.reshape(matrix.counts.shape)
        return matrix


def _ratio(part: ArrayLike, whole: ArrayLike) -> NDArray[np.float64]:
    above, below = np.asarray(part, np.float64), np.asarray(whole, np.float64)
    unknown = np.full(below.shape, np.nan)
    return np.asarray(np.divide(above, below, out=unknown, where=below != 0))


def roc_auc(scores: ArrayLike, labels: ArrayLike) -> float:
    """Area under the ROC curve: the chance that a positive scores above a negative.

    Parameters
    ----------
    scores : array of float
    labels : array of bool or {0, 1}, same shape

    Returns
    -------
    float
        Mann and Whitney's (1947) U over the number of pairs, ties counting half; NaN when one of
        the two kinds is missing.
    """
    values, positive = np.asarray(scores).ravel(), np.asarray(labels).ravel().astype(bool)
    _, place, count = np.unique(values, return_inverse=True, return_counts=True)
    middle = np.cumsum(count) - (count - 1) / 2  # mid-rank of each distinct score
    positives = int(positive.sum())
    pairs = positives * (positive.size - positives)
    above = middle[place][positive].sum() - positives * (positives + 1) / 2
    return float(_ratio(above, pairs))
