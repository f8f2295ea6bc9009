"""Scores of decisions about whole images that may be of several classes at once."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from geoseg.errors import UserError
from geoseg.metrics import ratio

__all__ = ["MultiLabel"]


class MultiLabel:
    """Counts of which classes images have and which they were given, over as many as one likes.

    Nothing but whole numbers is kept, so that scores are the same to the last bit however images
    were grouped. Scores follow Tsoumakas et al. (Mining Multi-label Data, Data Mining and Knowledge
    Discovery Handbook 2010). The mean Jaccard index, `sample_jaccard`, is what Pooser and Li
    (Deep Fusion Networks for Land Cover Classification) print as OA, `average_accuracy` what they
    print as AA and `class_accuracy` as CWA.

    Parameters
    ----------
    classes : int
        Number of classes, K.

    Attributes
    ----------
    tables : ndarray of int64, shape (K, 2, 2)
        Images for each class: rows are the truth (absent, present), columns the decision.
    overlaps : ndarray of int64, shape (K + 1, K + 1)
        Images by classes that are both true and given (row), and true or given (column).
    ranks : ndarray of int64, shape (K + 1, K + 1)
        True classes that score as high as a true class or higher, summed over the true classes of
        images with so many true classes (row) at that rank (column). Of classes that score alike
        all have the last rank.
    sizes, swaps : ndarray of int64, shape (K + 1,)
        By the number of true classes: images with scores, and pairs of a true and another class of
        which the true one does not score higher.
    depth, misses : int
        Sum over images of the last rank of a true class; images of which a class that is not true
        scores highest, alone or not.
    """

    def __init__(self, classes: int) -> None:
        if classes < 1:
            raise UserError(f"{classes} classes cannot be counted; give 1 or more")
        self.tables: NDArray[np.int64] = np.zeros((classes, 2, 2), np.int64)
        self.overlaps: NDArray[np.int64] = np.zeros((classes + 1, classes + 1), np.int64)
        self.ranks: NDArray[np.int64] = np.zeros((classes + 1, classes + 1), np.int64)
        self.sizes: NDArray[np.int64] = np.zeros(classes + 1, np.int64)
        self.swaps: NDArray[np.int64] = np.zeros(classes + 1, np.int64)
        self.depth = 0
        self.misses = 0

    @property
    def classes(self) -> int:
        """Number of classes, K."""
        return len(self.tables)

    def update(self, truth: ArrayLike, given: ArrayLike, scores: ArrayLike | None = None) -> None:
        """Count images.

        Parameters
        ----------
        truth, given : array of bool or {0, 1}, shape (images, K)
            Classes that images have, and were given.
        scores : array of float, shape (images, K), optional
            What the decisions were made by, of any scale; only its order counts, for the measures
            of ranking.

        Raises
        ------
        UserError
            When shapes or values are others.
        """
        true, decided = self._flags(truth, "truth"), self._flags(given, "decisions")
        values = None if scores is None else self._shaped(scores, "scores").astype(np.float64)
        for what, each in (("decisions", decided), ("scores", values)):
            if each is not None and len(each) != len(true):
                raise UserError(
                    f"truth of {len(true)} images and {what} of {len(each)} differ; give both of "
                    "the same images"
                )
        if values is not None and np.isnan(values).any():
            raise UserError("scores hold NaN, which have no order; give numbers")
        for row in (0, 1):
            for column in (0, 1):
                self.tables[:, row, column] += ((true == row) & (decided == column)).sum(0)
        np.add.at(self.overlaps, ((true & decided).sum(1), (true | decided).sum(1)), 1)
        if values is not None:
            self._rank(true, values)

    def _rank(self, true: NDArray[np.bool_], values: NDArray[np.float64]) -> None:
        as_high = values[:, None, :] >= values[:, :, None]  # (image, class, the one beside it)
        rank = as_high.sum(2)
        true_rank = (as_high & true[:, None, :]).sum(2)
        size = true.sum(1)
        np.add.at(
            self.ranks,
            (np.broadcast_to(size[:, None], rank.shape)[true], rank[true]),
            true_rank[true],
        )
        np.add.at(self.sizes, size, 1)
        np.add.at(self.swaps, size, np.where(true, rank - true_rank, 0).sum(1))
        self.depth += int(np.where(true, rank, 0).max(1).sum())
        self.misses += int(np.sum(~(true & (rank == true_rank)).any(1)))

    def _shaped(self, values: ArrayLike, what: str) -> NDArray[np.generic]:
        found = np.asarray(values)
        if found.ndim != 2 or found.shape[1] != self.classes:
            raise UserError(
                f"{what} have the shape {found.shape}; give a row of {self.classes} classes for "
                "each image"
            )
        return found

    def _flags(self, values: ArrayLike, what: str) -> NDArray[np.bool_]:
        found = self._shaped(values, what)
        if not np.isin(found, (0, 1)).all():
            raise UserError(
                f"{what} hold other numbers than 0 and 1; give whether a class is there"
            )
        return found.astype(bool)

    def __add__(self, other: MultiLabel) -> MultiLabel:
        total = MultiLabel(self.classes)
        for name, mine in vars(self).items():
            setattr(total, name, mine + getattr(other, name))
        return total

    # -- images ------------------------------------------------------------------------------------

    def images(self) -> int:
        """Images counted."""
        return int(self.overlaps.sum())

    def sample_jaccard(self) -> float:
        """Mean over images of the Jaccard index of true and given classes; 1 if there are none."""
        both, either = np.indices(self.overlaps.shape)
        return self._mean_over_images(np.where(either > 0, both / np.maximum(either, 1), 1))

    def sample_f1(self) -> float:
        """Mean over images of F1 of true and given classes; 1 if there are none."""
        both, either = np.indices(self.overlaps.shape)
        return self._mean_over_images(
            np.where(either > 0, 2 * both / np.maximum(both + either, 1), 1)
        )

    def subset_accuracy(self) -> float:
        """Share of images that were given exactly their classes."""
        return float(ratio(np.trace(self.overlaps), self.images()))

    def _mean_over_images(self, score: NDArray[np.float64]) -> float:
        return float(ratio((score * self.overlaps).sum(), self.images()))

    # -- classes -----------------------------------------------------------------------------------

    def support(self) -> NDArray[np.int64]:
        """Images that have each class."""
        return np.asarray(self.tables[:, 1].sum(1))

    def class_accuracy(self) -> NDArray[np.float64]:
        """Share of right decisions about each class; high for a rare one that is never given."""
        return ratio(self.tables[:, 0, 0] + self.tables[:, 1, 1], self.tables.sum((1, 2)))

    def class_f1(self) -> NDArray[np.float64]:
        """F1 of each class; NaN for one that no image has or was given."""
        return _f_score(self.tables, 1)

    def class_recall(self) -> NDArray[np.float64]:
        """Share of the images that have each class which were given it; NaN where none has it."""
        return ratio(self.tables[:, 1, 1], self.support())

    def average_recall(self, zero_support: float = float("nan")) -> float:
        """Mean recall of the classes.

        Of images of one class each it is what Schmitt and Wu (Remote Sensing Image Classification
        with the SEN12MS Dataset, ISPRS Annals V-2-2021) print as average accuracy.

        Parameters
        ----------
        zero_support : float
            The recall of a class that no image has; NaN leaves it out, and their toolbox has 0.
        """
        each = self.class_recall()
        each = np.where(np.isnan(each), zero_support, each)
        known = each[~np.isnan(each)]
        return float(ratio(known.sum(), known.size))

    def average_accuracy(self) -> float:
        """Share of right decisions, which is the mean over classes and micro accuracy as well."""
        right = self.tables[:, 0, 0].sum() + self.tables[:, 1, 1].sum()
        return float(ratio(right, self.tables.sum()))

    def majority_accuracy(self) -> float:
        """What `average_accuracy` would be if every image were given what most images have."""
        return float(ratio(self.tables.sum(2).max(1).sum(), self.tables.sum()))

    def hamming_loss(self) -> float:
        """Share of wrong decisions."""
        wrong = self.tables[:, 0, 1].sum() + self.tables[:, 1, 0].sum()
        return float(ratio(wrong, self.tables.sum()))

    def micro_f(self, beta: float = 1.0) -> float:
        """F of all decisions together; a beta of 2 weighs a missed class four times."""
        return float(_f_score(self.tables.sum(0), beta))

    def macro_f1(self) -> float:
        """Mean F1 of the classes that have one."""
        each = self.class_f1()
        known = each[~np.isnan(each)]
        return float(ratio(known.sum(), known.size))

    # -- ranking -----------------------------------------------------------------------------------

    def ranking_precision(self) -> float:
        """Mean over images and their true classes of the share of true ones among those so high.

        Label ranking average precision; 1 for an image that has no class.
        """
        size, rank = np.indices(self.ranks.shape)
        total = (self.ranks / np.maximum(size * rank, 1)).sum() + self.sizes[0]
        return float(ratio(total, self.sizes.sum()))

    def ranking_loss(self) -> float:
        """Mean over images of the share of pairs whose true class does not score higher."""
        size = np.arange(self.classes + 1)
        pairs = np.maximum(size * (self.classes - size), 1)
        return float(ratio((self.swaps / pairs).sum(), self.sizes.sum()))

    def coverage(self) -> float:
        """Mean over images of how far down the ranking one goes to meet all true classes."""
        return float(ratio(self.depth, self.sizes.sum()))

    def one_error(self) -> float:
        """Share of images whose highest score, or one as high, is not of a true class."""
        return float(ratio(self.misses, self.sizes.sum()))

    def scores(self) -> dict[str, float]:
        """All scores of the whole set by name; those of ranking only where there were scores."""
        found = {
            "sample_jaccard": self.sample_jaccard(),
            "subset_accuracy": self.subset_accuracy(),
            "average_accuracy": self.average_accuracy(),
            "majority_accuracy": self.majority_accuracy(),
            "hamming_loss": self.hamming_loss(),
            "micro_f1": self.micro_f(),
            "micro_f2": self.micro_f(2),
            "macro_f1": self.macro_f1(),
            "sample_f1": self.sample_f1(),
        }
        if not self.sizes.any():
            return found
        return found | {
            "ranking_precision": self.ranking_precision(),
            "ranking_loss": self.ranking_loss(),
            "coverage": self.coverage(),
            "one_error": self.one_error(),
        }


def _f_score(tables: NDArray[np.int64], beta: float) -> NDArray[np.float64]:
    """F of tables (..., 2, 2) of truth and decision (van Rijsbergen 1979, chapter 7)."""
    hits, missed, false = tables[..., 1, 1], tables[..., 1, 0], tables[..., 0, 1]
    weighed = (1 + beta**2) * hits
    return ratio(weighed, weighed + beta**2 * missed + false)
