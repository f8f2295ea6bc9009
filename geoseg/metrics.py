"""Scores of class maps, from one streaming confusion matrix; of probabilities, counted as well."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from geoseg.errors import UserError

__all__ = ["IGNORE", "BinnedRoc", "ConfusionMatrix", "Discontinuity", "ratio", "roc_auc"]

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
        _refuse_other_shape(truth, predicted)
        true, found = np.asarray(truth).ravel(), np.asarray(predicted).ravel()
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
        return ratio(self.hits, self.support() + self.predicted() - self.hits)

    def precision(self) -> NDArray[np.float64]:
        """Share of the pixels given to a class that are of it (user's accuracy)."""
        return ratio(self.hits, self.predicted())

    def recall(self) -> NDArray[np.float64]:
        """Share of the pixels of a class that were found (producer's accuracy)."""
        return ratio(self.hits, self.support())

    def f1(self) -> NDArray[np.float64]:
        """Harmonic mean of precision and recall (Dice coefficient)."""
        return ratio(2 * self.hits, self.support() + self.predicted())

    def by_class(self) -> dict[str, NDArray[Any]]:
        """Scores of each class by name of the score."""
        return {
            "IoU": self.iou(),
            "F1": self.f1(),
            "precision": self.precision(),
            "recall": self.recall(),
            "support": self.support(),
        }

    def miou(self, classes: Sequence[int] | None = None) -> float:
        """Mean IoU over some classes, by default all; those that never occur are left out."""
        chosen = self.iou() if classes is None else self.iou()[list(classes)]
        present = chosen[~np.isnan(chosen)]
        return float(present.mean()) if present.size else float("nan")

    def accuracy(self) -> float:
        """Share of all pixels that were given their class (overall accuracy)."""
        return float(ratio(self.hits.sum(), self.counts.sum()))

    def average_accuracy(self) -> float:
        """Mean recall of the classes that occur, however rare each is (AA)."""
        found = self.recall()
        present = found[~np.isnan(found)]
        return float(present.mean()) if present.size else float("nan")

    def kappa(self) -> float:
        """Agreement beyond chance (Cohen 1960)."""
        # As floats, for products of two counts soon pass what an integer holds.
        true, given = self.support().astype(np.float64), self.predicted().astype(np.float64)
        chance = float(ratio((true * given).sum(), true.sum() ** 2))
        return float(ratio(self.accuracy() - chance, 1 - chance))


def _refuse_other_shape(truth: ArrayLike, predicted: ArrayLike) -> None:
    if np.shape(truth) != np.shape(predicted):
        raise UserError(
            f"truth of {np.shape(truth)} and prediction of {np.shape(predicted)} differ; "
            "give both on one grid"
        )


def ratio(part: ArrayLike, whole: ArrayLike) -> NDArray[np.float64]:
    """Part of a whole, NaN where the whole is 0."""
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
    return float(ratio(above, pairs))


class BinnedRoc:
    """Area under the ROC curve of as many probabilities as one likes, counted in equal bins.

    Two probabilities of one bin are taken for a tie. All counts are of the whole set; parts that
    were counted apart add up.

    Attributes
    ----------
    counts : ndarray of int64, shape (2, 65536)
        Negative and positive pixels by probability, from 0 to 1.
    """

    BINS = 2**16

    def __init__(self) -> None:
        self.counts: NDArray[np.int64] = np.zeros((2, self.BINS), np.int64)

    def update(self, probabilities: ArrayLike, labels: ArrayLike) -> None:
        """Count pixels.

        Parameters
        ----------
        probabilities : array of float
            0 to 1.
        labels : array of bool or {0, 1, IGNORE}, same shape

        Raises
        ------
        UserError
            When the shapes differ, a label is another one or a number is no probability.
        """
        _refuse_other_shape(labels, probabilities)
        values, kinds = np.asarray(probabilities).ravel(), np.asarray(labels).ravel()
        known = kinds != IGNORE
        values, kinds = values[known].astype(np.float64), kinds[known].astype(np.int64)
        if kinds.size and not 0 <= kinds.min() <= kinds.max() <= 1:
            raise UserError(
                f"truth holds {kinds.min()} to {kinds.max()}; give 0 and 1, {IGNORE} for pixels to "
                "leave out"
            )
        if not np.all((values >= 0) & (values <= 1)):
            raise UserError(
                f"{values.min()} to {values.max()} are no probabilities; give numbers from 0 to 1"
            )
        place = np.minimum((values * self.BINS).astype(np.int64), self.BINS - 1)
        cells = kinds * self.BINS + place
        self.counts += np.bincount(cells, minlength=self.counts.size).reshape(self.counts.shape)

    def __add__(self, other: BinnedRoc) -> BinnedRoc:
        total = BinnedRoc()
        total.counts = self.counts + other.counts
        return total

    def auc(self) -> float:
        """Area under the curve, as `roc_auc`; off by no more than `error`."""
        negative, positive = self.counts.astype(np.float64)
        below = np.cumsum(negative) - negative / 2
        return float(ratio((positive * below).sum(), negative.sum() * positive.sum()))

    def error(self) -> float:
        """Half the share of pairs whose two scores are of one bin."""
        negative, positive = self.counts.astype(np.float64)
        return float(ratio((positive * negative).sum() / 2, negative.sum() * positive.sum()))


class Discontinuity:
    """How much more a map of probabilities changes at the seams of windows than elsewhere.

    The mean absolute difference of neighbours across lines that are multiples of a step, over that
    of all other neighbours: 1 where windows leave no trace, as a fully convolutional network does
    and one that classifies window by window does not (Maggiori et al., Fully Convolutional Neural
    Networks For Remote Sensing Image Classification, IGARSS 2016, figure 4).

    Parameters
    ----------
    every : int
        Rows and columns between seams; the first one is that far from the border of the map.

    Attributes
    ----------
    total : ndarray of float64, shape (2,)
        Sum of absolute differences elsewhere and at seams.
    pairs : ndarray of int64, shape (2,)
        How many those are.

    Raises
    ------
    UserError
        When there would be nothing but seams.
    """

    def __init__(self, every: int) -> None:
        if every < 2:
            raise UserError(f"seams every {every} pixels leave nothing between; give 2 or more")
        self.every = every
        self.total: NDArray[np.float64] = np.zeros(2)
        self.pairs: NDArray[np.int64] = np.zeros(2, np.int64)

    def update(self, probabilities: ArrayLike) -> None:
        """Count the neighbours, side by side and one above the other, of one whole map.

        Parameters
        ----------
        probabilities : array of float, shape (rows, columns)
            NaN where there is none.
        """
        values = np.asarray(probabilities, np.float64)
        for lines in (values, values.T):
            change = np.abs(np.diff(lines, axis=0))
            seam = np.arange(1, len(change) + 1) % self.every == 0
            for kind in (0, 1):
                found = change[seam == kind]
                self.total[kind] += np.nansum(found)
                self.pairs[kind] += np.count_nonzero(~np.isnan(found))

    def __add__(self, other: Discontinuity) -> Discontinuity:
        if other.every != self.every:
            raise UserError(
                f"seams every {self.every} and every {other.every} pixels do not add up; count "
                "both by one step"
            )
        both = Discontinuity(self.every)
        both.total, both.pairs = self.total + other.total, self.pairs + other.pairs
        return both

    def index(self) -> float:
        """The mean at seams over that elsewhere; NaN where nothing changes elsewhere."""
        elsewhere, seams = ratio(self.total, self.pairs)
        return float(ratio(seams, elsewhere))
