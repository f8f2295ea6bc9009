"""Batches in which the images of several tasks take turns: so many of each, again and again."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

__all__ = ["in_turn", "of_first"]


def in_turn(sets: Sequence[Tensor], turns: Sequence[int]) -> Tensor:
    """Join what belongs to the images of each task to one batch.

    Parameters
    ----------
    sets : sequence of Tensor, shape (B, ...)
        Of each task; alike but for B, which is the same multiple of its turn for all.
    turns : sequence of int
        How many of each task follow each other.

    Returns
    -------
    Tensor, shape (sum of all B, ...)
    """
    rounds = [
        each.reshape(-1, count, *each.shape[1:]) for each, count in zip(sets, turns, strict=True)
    ]
    return torch.cat(rounds, 1).flatten(0, 1)


def of_first(batch: Tensor, turns: Sequence[int]) -> Tensor:
    """Which images of a batch belong to the first task: flags, shape (B,).

    Parameters
    ----------
    batch : Tensor, shape (B, ...)
    turns : sequence of int
        As for `in_turn`.
    """
    return torch.arange(len(batch), device=batch.device) % sum(turns) < turns[0]
