"""Two classes need one learnt score: the other one's is 0, and softmax is then the sigmoid."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["count_maps", "scores_of"]


def count_maps(classes: int) -> int:
    """Maps to learn for so many classes: one for two classes, else one for each."""
    return 1 if classes == 2 else classes


def scores_of(maps: Tensor, classes: int) -> Tensor:
    """Scores of all classes.

    Parameters
    ----------
    maps : Tensor, shape (B, count_maps(classes), h, w)
    classes : int

    Returns
    -------
    Tensor, shape (B, classes, h, w)
        For two classes 0 and the map s: the second class is chosen where ``s > 0``, with the
        probability ``1 / (1 + exp(-s))``.
    """
    return torch.cat([torch.zeros_like(maps), maps], dim=1) if classes == 2 else maps
