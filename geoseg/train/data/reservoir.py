"""A few of many things, any as likely as others, where the many come in pieces."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Reservoir"]


class Reservoir:
    """Of all things that were added, as many as wanted, drawn without replacement.

    Each gets a random number, and those with the smallest stay, so that it does not matter in
    which pieces things come.

    Parameters
    ----------
    count : int
        How many to keep; all of them where there are not so many.
    """

    def __init__(self, count: int) -> None:
        self._count = count
        self._lots = np.empty(0)
        self._kept: NDArray[Any] | None = None
        self.seen = 0

    def add(self, things: NDArray[Any], rng: np.random.Generator) -> None:
        """Add things along the first axis, shape (N, ...)."""
        self.seen += len(things)
        lots = np.append(self._lots, rng.random(len(things)))
        every = things if self._kept is None else np.concatenate([self._kept, things])
        few = np.argpartition(lots, self._count)[: self._count] if len(lots) > self._count else ...
        self._lots, self._kept = lots[few], every[few]

    @property
    def kept(self) -> NDArray[Any]:
        """What was drawn, shape (n, ...), in no order."""
        return np.empty(0) if self._kept is None else self._kept
