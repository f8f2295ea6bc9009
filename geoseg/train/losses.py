"""What the network is told about its mistakes.

A loss takes scores before softmax (B, K, h, w) and labels (B, h, w) and gives one number that is to
fall. Pixels of label `IGNORE` never count. Half-precision scores are taken as float32. Where
nothing is labelled a loss is 0 and so is its gradient.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import accumulate

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812  (the field's name for it)
from numpy.typing import NDArray
from torch import Tensor

from geoseg.errors import UserError
from geoseg.loader import IGNORE
from geoseg.train.pooling import POOLINGS, Pooling

__all__ = [
    "Loss",
    "class_weights",
    "classes_in",
    "commonest",
    "cross_entropy",
    "jaccard_pixel",
    "jaccard_region",
    "lovasz",
    "lovasz_hinge",
    "multi_label",
    "over_heads",
    "sigmoid_cross_entropy",
    "single_label",
]

Loss = Callable[[Tensor, Tensor], Tensor]

EPSILON = 1e-15  # makes the Jaccard index of two empty sets 1, and changes no other


# -- losses of pixels ------------------------------------------------------------------------------


def cross_entropy(
    logits: Tensor, labels: Tensor, weights: Tensor | None = None, *, unscored: int | None = None
) -> Tensor:
    """Cross-entropy, averaged over the labelled pixels of the batch by the weight of their class.

    Parameters
    ----------
    logits : Tensor, shape (B, K, h, w)
    labels : Tensor of int64, shape (B, h, w)
        Class indices, `IGNORE` where there is none.
    weights : Tensor, shape (K,), optional
        Weight of a pixel of each class; 1 by default.
    unscored : int, optional
        A class whose pixels do not count.

    Returns
    -------
    Tensor, scalar
        0 with a gradient of 0 when no pixel is labelled.
    """
    labels = _without(labels, unscored, logits.shape[1])
    labelled = labels != IGNORE
    total = F.cross_entropy(_full(logits), labels, weights, ignore_index=IGNORE, reduction="sum")
    if weights is None:
        return total / labelled.sum().clamp(min=1)
    share = weights[labels.where(labelled, 0)].where(labelled, 0).sum()
    return total / share.clamp(min=torch.finfo(share.dtype).tiny)


def sigmoid_cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """Cross-entropy of two classes, summed over the pixels of a window, averaged over windows.

    The sum over all outputs is divided by the size of the batch alone, as Caffe did at the time of
    Maggiori et al. (Fully Convolutional Neural Networks For Remote Sensing Image Classification,
    IGARSS 2016), whose learning rate is for gradients of that size: with a mean over the 256 pixels
    of their windows it would be 256 times larger.

    Parameters
    ----------
    logits : Tensor, shape (B, 2, h, w)
        The score of the second class is its channel less that of the first one, so that (0, s) and
        (a, a + s) are the same as one channel s, and sigmoid and softmax give the same probability.
    labels : Tensor of int64, shape (B, h, w)

    Returns
    -------
    Tensor, scalar

    Raises
    ------
    UserError
        When there are more than two classes.
    """
    scores, labelled = _score_of_second(logits, "sigmoid_cross_entropy"), labels != IGNORE
    targets = (labels == 1).to(scores.dtype)
    each = F.binary_cross_entropy_with_logits(scores, targets, reduction="none")
    return each.where(labelled, 0).sum() / len(logits)


def jaccard_pixel(logits: Tensor, labels: Tensor, *, unscored: int | None = None) -> Tensor:
    """Minus the soft Jaccard index, summed pixel by pixel.

    Rakhlin et al. (Land Cover Classification from Satellite Imagery With U-Net and Lovász-Softmax
    Loss, CVPR workshops 2018), eq. 3, with the sign of eq. 2: ``y p / (y + p - y p)``, averaged
    over pixels and scored classes. With labels y of 0 and 1 a term is p for the true class and 0
    for the others: what is averaged is the probability of the true class, over the number of
    scored classes. It lies between minus 1 over that number and 0, and is no index of regions;
    see `jaccard_region`.

    Parameters
    ----------
    logits : Tensor, shape (B, K, h, w)
    labels : Tensor of int64, shape (B, h, w)
    unscored : int, optional
        A class without a term; its pixels count among those averaged over.

    Returns
    -------
    Tensor, scalar
    """
    labelled = labels != IGNORE
    scored = _without(labels, unscored, logits.shape[1]) != IGNORE
    index = labels.where(labelled, 0)[:, None]
    true = _full(logits).softmax(1).gather(1, index)[:, 0].where(scored, 0)
    classes = logits.shape[1] - (unscored is not None)
    return -true.sum() / (classes * labelled.sum().clamp(min=1))


def jaccard_region(
    logits: Tensor,
    labels: Tensor,
    *,
    unscored: int | None = None,
    per_image: bool = False,
    only_present: bool = False,
) -> Tensor:
    """Minus the soft Jaccard index of the region of each class, averaged over classes.

    ``(sum y p + e) / (sum y + sum p - sum y p + e)`` with e = 1e-15, the form that the name stands
    for; see Rakhlin et al. (CVPR workshops 2018), eq. 2, for the sign.

    Parameters
    ----------
    logits : Tensor, shape (B, K, h, w)
    labels : Tensor of int64, shape (B, h, w)
    unscored : int, optional
        A class that is left out of the mean; on its pixels the others are wrong.
    per_image : bool
        Regions of each window, averaged over the windows that have a label, instead of regions of
        the whole batch.
    only_present : bool
        Average over the classes that have a pixel. An absent one adds next to nothing but a
        smaller share of the others.

    Returns
    -------
    Tensor, scalar
    """
    chosen = _scored(unscored, logits.shape[1])
    labelled = (labels != IGNORE)[:, None]
    index = torch.tensor(chosen, device=labels.device)[:, None, None]
    truth = labels[:, None] == index
    given = _full(logits).softmax(1)[:, chosen].where(labelled, 0)
    parts = [given.where(truth, 0).sum((2, 3)), truth.sum((2, 3)), given.sum((2, 3))]
    pixels = labelled.sum((2, 3))
    if not per_image:
        parts, pixels = [each.sum(0, keepdim=True) for each in parts], pixels.sum(0, keepdim=True)
    both, true, found = parts
    index_of = (both + EPSILON) / (true + found - both + EPSILON)  # (images or 1, scored classes)
    counted = (true > 0) if only_present else (pixels > 0).expand_as(true)
    of_image = index_of.where(counted, 0).sum(1) / counted.sum(1).clamp(min=1)
    return -of_image.sum() / counted.any(1).sum().clamp(min=1)


def lovasz(
    logits: Tensor,
    labels: Tensor,
    *,
    classes: str | Sequence[int] = "present",
    unscored: int | None = None,
    per_image: bool = False,
) -> Tensor:
    """Lovász-Softmax: a surrogate of 1 - IoU, equal to it for probabilities of 0 and 1.

    Berman et al. (The Lovász-Softmax loss, CVPR 2018), eq. 10 to 12.

    Parameters
    ----------
    logits : Tensor, shape (B, K, h, w)
    labels : Tensor of int64, shape (B, h, w)
    classes : {"present", "all"} or sequence of int
        Which classes are averaged over. Those that are named, or "all", count without a pixel as
        well: by the highest probability that they were given.
    unscored : int, optional
        A class that is left out, with its pixels.
    per_image : bool
        Average the losses of single windows that have a label, instead of one for the whole batch.

    Returns
    -------
    Tensor, scalar

    Raises
    ------
    UserError
        When a class is none of those that there are.
    """
    channels, size = logits.shape[1], 1 if per_image else max(len(labels), 1)
    chosen = _chosen(classes, unscored, channels)
    labels = _without(labels, unscored, channels)
    probabilities = _full(logits).softmax(1).movedim(1, -1)  # (B, h, w, K)
    losses = []
    for given, true in zip(
        torch.split(probabilities, size), torch.split(labels, size), strict=True
    ):
        labelled = true != IGNORE
        given, true = given[labelled], true[labelled]
        regions = [(which, true == which) for which in chosen if len(true)]
        of_class = [
            _extension((wanted.to(given.dtype) - given[:, which]).abs(), wanted)
            for which, wanted in regions
            if classes != "present" or wanted.any()
        ]
        losses += [torch.stack(of_class).mean()] if of_class else []
    return torch.stack(losses).mean() if losses else _nothing(logits)


def lovasz_hinge(logits: Tensor, labels: Tensor, *, per_image: bool = False) -> Tensor:
    """Lovász hinge: a surrogate of 1 - IoU of the second of two classes, made of margins.

    Berman et al. (The Lovász-Softmax loss, CVPR 2018), eq. 7 and 8.

    Parameters
    ----------
    logits : Tensor, shape (B, 2, h, w)
        As for `sigmoid_cross_entropy`.
    labels : Tensor of int64, shape (B, h, w)
    per_image : bool
        Average the losses of single windows that have a label, instead of one for the whole batch.

    Returns
    -------
    Tensor, scalar

    Raises
    ------
    UserError
        When there are more than two classes.
    """
    scores = _score_of_second(logits, "lovasz_hinge")
    size = 1 if per_image else max(len(labels), 1)
    losses = []
    for given, true in zip(torch.split(scores, size), torch.split(labels, size), strict=True):
        labelled = true != IGNORE
        if labelled.any():
            wanted = true[labelled] == 1
            signs = torch.where(wanted, 1.0, -1.0).to(given.dtype)
            losses.append(_extension((1 - given[labelled] * signs).relu(), wanted))
    return torch.stack(losses).mean() if losses else _nothing(logits)


def _extension(errors: Tensor, wanted: Tensor) -> Tensor:
    """Lovász extension of the Jaccard loss, at errors (n,) of the pixels of one class or none.

    The i-th largest error weighs what the Jaccard loss grows by when that pixel is missed as well
    (Berman et al. 2018, eq. 9). With T wanted pixels, f of them and i - f others among the first i,
    the loss is ``1 - (T - f) / (T + i - f)``. It grows by ``1 / u`` at a wanted pixel and by
    ``(T - f) / (u (u - 1))`` at another one, with u = T + i - f: written out, for the difference of
    two float32 near 1 would keep few digits of a step of a millionth.
    """
    total = wanted.sum()
    if not total:  # the first false pixel makes the loss 1
        return errors.max()
    errors, order = errors.sort(descending=True, stable=True)  # of equal errors the first is first
    wanted = wanted[order]
    found = wanted.cumsum(0)
    rank = torch.arange(1, len(errors) + 1, device=errors.device)
    union, missed = (each.to(errors.dtype) for each in (total + rank - found, total - found))
    steps = torch.where(wanted, 1 / union, missed / (union * (union - 1)))
    return (errors * steps).sum()


# -- losses of windows -----------------------------------------------------------------------------


def multi_label(
    logits: Tensor,
    labels: Tensor,
    *,
    pooling: str | Pooling = "mean",
    min_pixels: int = 1,
    min_fraction: float = 0.0,
) -> Tensor:
    """Which classes a window has: sigmoid cross-entropy of each, averaged over classes and windows.

    A network that is trained with it sees labels of whole windows only. Windows without any label
    are left out.

    Parameters
    ----------
    logits : Tensor, shape (B, K, h, w)
    labels : Tensor of int64, shape (B, h, w)
    pooling : str or callable
        A key of `geoseg.train.pooling.POOLINGS`, or what makes scores of windows (B, K) of those
        of pixels.
    min_pixels, min_fraction
        As for `classes_in`.

    Returns
    -------
    Tensor, scalar
    """
    pool = POOLINGS[pooling] if isinstance(pooling, str) else pooling
    scores = pool(_full(logits))
    present = classes_in(labels, logits.shape[1], min_pixels, min_fraction).to(scores.dtype)
    labelled = (labels != IGNORE).flatten(1).any(1)
    each = F.binary_cross_entropy_with_logits(scores, present, reduction="none").mean(1)
    return each.where(labelled, 0).sum() / labelled.sum().clamp(min=1)


def single_label(logits: Tensor, labels: Tensor, *, pooling: str | Pooling = "mean") -> Tensor:
    """Which class most of a window has: cross-entropy of pooled scores, averaged over windows.

    Parameters
    ----------
    logits : Tensor, shape (B, K, h, w)
    labels : Tensor of int64, shape (B, h, w)
        Windows without any label are left out.
    pooling : str or callable
        As for `multi_label`.

    Returns
    -------
    Tensor, scalar
    """
    pool = POOLINGS[pooling] if isinstance(pooling, str) else pooling
    labelled = (labels != IGNORE).flatten(1).any(1)
    truth = commonest(labels, logits.shape[1]).where(labelled, IGNORE)
    total = F.cross_entropy(pool(_full(logits)), truth, ignore_index=IGNORE, reduction="sum")
    return total / labelled.sum().clamp(min=1)


def commonest(labels: Tensor, classes: int) -> Tensor:
    """The class of most pixels of each window, of equals the first; 0 where nothing is labelled.

    Parameters
    ----------
    labels : Tensor of int64, shape (B, h, w)
    classes : int
        Number of classes, K.

    Returns
    -------
    Tensor of int64, shape (B,)
    """
    return _pixels_of(labels, classes).argmax(1)


def _pixels_of(labels: Tensor, classes: int) -> Tensor:
    """Pixels of each class in each window, shape (B, K)."""
    # One class at a time: all at once would take K times the memory of the labels.
    return torch.stack([(labels == which).sum((1, 2)) for which in range(classes)], 1)


def classes_in(
    labels: Tensor, classes: int, min_pixels: int = 1, min_fraction: float = 0.0
) -> Tensor:
    """Which classes a window has.

    Parameters
    ----------
    labels : Tensor of int64, shape (B, h, w)
    classes : int
        Number of classes, K.
    min_pixels : int
        Pixels that a class needs to be there.
    min_fraction : float
        Share of the labelled pixels that it needs as well.

    Returns
    -------
    Tensor of bool, shape (B, K)
    """
    pixels = _pixels_of(labels, classes)
    labelled = (labels != IGNORE).sum((1, 2))[:, None]
    # By a quotient, for 0.07 times 100 is a little more than 7.
    return (pixels >= max(min_pixels, 1)) & (pixels / labelled >= min_fraction)


# -- several heads ---------------------------------------------------------------------------------


def over_heads(losses: Sequence[Loss], heads: Sequence[int]) -> Loss:
    """The sum of a loss of each head, every pixel counting for the head that its label belongs to.

    So the loss of two tasks that share a batch: each is averaged over the labels of its own task.

    Parameters
    ----------
    losses : sequence of callable
        One for each head.
    heads : sequence of int
        Channels of each head, in the order in which they are stacked.

    Returns
    -------
    callable
        Takes scores of all heads (B, sum of heads, h, w), and labels that count on from head to
        head: with heads (6, 2) the classes of the second are 6 and 7.
    """
    ends = list(accumulate(heads))

    def loss(logits: Tensor, labels: Tensor) -> Tensor:
        parts = zip(losses, torch.split(logits, list(heads), 1), heads, ends, strict=True)
        terms = [
            of_head(scores, _counted_from(labels, end - size, end))
            for of_head, scores, size, end in parts
        ]
        return torch.stack(terms).sum()

    return loss


def _counted_from(labels: Tensor, first: int, end: int) -> Tensor:
    return (labels - first).where((labels >= first) & (labels < end), IGNORE)


# -- pieces ----------------------------------------------------------------------------------------


def _full(logits: Tensor) -> Tensor:
    """Scores with at least the precision of float32, for sums over a million pixels."""
    return logits.float() if logits.dtype in (torch.float16, torch.bfloat16) else logits


def _nothing(logits: Tensor) -> Tensor:
    """A 0 that the gradient can be taken of."""
    return (_full(logits) * 0).sum()


def _score_of_second(logits: Tensor, name: str) -> Tensor:
    """Log odds (B, h, w) of the second of two classes."""
    if logits.shape[1] != 2:
        raise UserError(
            f"{name} is for two classes, but there are {logits.shape[1]}; take cross_entropy or "
            "lovasz"
        )
    first, second = _full(logits).unbind(1)
    return second - first


def _chosen(classes: str | Sequence[int], unscored: int | None, channels: int) -> list[int]:
    """The classes that Lovász-Softmax averages over."""
    if not isinstance(classes, str):
        return _existing(classes, channels)
    if classes not in ("present", "all"):
        raise UserError(
            f"lovasz: classes={classes}: give present, all, or a list of numbers of classes"
        )
    return _scored(unscored, channels)


def _scored(unscored: int | None, channels: int) -> list[int]:
    _existing([] if unscored is None else [unscored], channels)
    return [which for which in range(channels) if which != unscored]


def _without(labels: Tensor, unscored: int | None, channels: int) -> Tensor:
    """Labels with `IGNORE` in place of a class."""
    if unscored is None:
        return labels
    return labels.where(labels != _existing([unscored], channels)[0], IGNORE)


def _existing(classes: Sequence[int], channels: int) -> list[int]:
    for which in classes:
        if not 0 <= which < channels:
            raise UserError(
                f"the loss names class {which}, but there are {channels} classes; give 0 to "
                f"{channels - 1}"
            )
    return list(classes)


def class_weights(pixels: NDArray[np.int64], power: float) -> Tensor:
    """Weights that lift rare classes, 1 on average over the labelled pixels.

    Parameters
    ----------
    pixels : ndarray of int64, shape (K,)
        Labelled pixels of each class.
    power : float
        Weights go with ``share ** -power``: 0 treats pixels alike, 1 treats classes alike.

    Returns
    -------
    Tensor of float32, shape (K,)
        A class of which no pixel was counted weighs as much as the rarest other one: there may
        be some all the same, where not all pixels were.
    """
    share = pixels / pixels.sum()
    weights = np.where(pixels > 0, share, share[pixels > 0].min()) ** -power
    return torch.from_numpy(weights / (weights * share).sum()).to(torch.float32)
