"""What the network is told about its mistakes."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812  (the field's name for it)
from numpy.typing import NDArray
from torch import Tensor

from geoseg.loader import IGNORE

__all__ = ["class_weights", "cross_entropy"]


def cross_entropy(logits: Tensor, labels: Tensor, weights: Tensor | None = None) -> Tensor:
    """Cross-entropy, averaged over the labelled pixels of the batch by the weight of their class.

    Parameters
    ----------
    logits : Tensor, shape (B, K, h, w)
    labels : Tensor of int64, shape (B, h, w)
        Class indices, `IGNORE` where there is none.
    weights : Tensor, shape (K,), optional
        Weight of a pixel of each class; 1 by default.

    Returns
    -------
    Tensor, scalar
        0 with a gradient of 0 when no pixel is labelled.
    """
    labelled = labels != IGNORE
    total = F.cross_entropy(logits, labels, weights, ignore_index=IGNORE, reduction="sum")
    if weights is None:
        return total / labelled.sum().clamp(min=1)
    share = weights[labels.where(labelled, 0)].where(labelled, 0).sum()
    return total / share.clamp(min=torch.finfo(share.dtype).tiny)


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
        0 for a class without pixels.
    """
    share = pixels / pixels.sum()
    weights = np.where(pixels > 0, np.maximum(share, np.finfo(float).tiny) ** -power, 0)
    return torch.from_numpy(weights / (weights * share).sum()).to(torch.float32)
