"""Other views of the same ground: symmetries of the square, other light and sensor."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

__all__ = ["SYMMETRIES", "jitter", "random_symmetries", "symmetry"]

SYMMETRIES = range(8)
"""From above there is no upright: four turns, each also mirrored."""


def symmetry(tensor: Tensor, which: int) -> Tensor:
    """Apply one of the eight symmetries of the square.

    Parameters
    ----------
    tensor : Tensor, shape (..., n, n)
    which : int
        0 to 7; 0 changes nothing.
    """
    turned = torch.rot90(tensor, which % 4, (-2, -1))
    return turned.flip(-1) if which >= 4 else turned


def random_symmetries(
    values: Tensor, labels: Tensor, rng: np.random.Generator
) -> tuple[Tensor, Tensor]:
    """Turn and mirror every window of a batch at random, its labels alike.

    Parameters
    ----------
    values : Tensor, shape (B, C, n, n)
    labels : Tensor, shape (B, n, n)
    rng : Generator
    """
    chosen = rng.integers(len(SYMMETRIES), size=len(values)).tolist()
    pairs = [
        (symmetry(v, each), symmetry(y, each))
        for v, y, each in zip(values, labels, chosen, strict=True)
    ]
    turned, followed = zip(*pairs, strict=True)
    return torch.stack(turned), torch.stack(followed)


def jitter(values: Tensor, rng: np.random.Generator, gain: float, offset: float) -> Tensor:
    """Scale and shift every band of every window at random, as light, haze and sensors do.

    Parameters
    ----------
    values : Tensor, shape (B, C, h, w)
        In standard deviations from the mean.
    rng : Generator
    gain, offset : float
        Bands are multiplied by ``1 ± gain`` and moved by ``± offset`` standard deviations, both
        drawn uniformly.
    """
    shape = (*values.shape[:2], 1, 1)
    factor = 1 + _uniform(rng, gain, shape).to(values)
    return values * factor + _uniform(rng, offset, shape).to(values)


def _uniform(rng: np.random.Generator, limit: float, shape: tuple[int, ...]) -> Tensor:
    return torch.from_numpy(rng.uniform(-limit, limit, shape))
