"""How the learning rate goes down: factors of the highest one, by the share of steps done."""

from __future__ import annotations

import math
from collections.abc import Callable

__all__ = ["SCHEDULES", "cosine", "poly"]


def poly(done: float) -> float:
    """``(1 - done) ** 0.9``, as in DeepLab (L.-C. Chen et al., TPAMI 2018)."""
    return math.pow(1.0 - done, 0.9)


def cosine(done: float) -> float:
    """Half a cosine wave (I. Loshchilov and F. Hutter, SGDR, ICLR 2017, eq. 5, no restart)."""
    return 0.5 * (1.0 + math.cos(math.pi * done))


SCHEDULES: dict[str, Callable[[float], float]] = {"poly": poly, "cosine": cosine}
