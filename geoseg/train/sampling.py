"""Which windows the network is shown."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from geoseg.loader import Scene
from geoseg.windows import Box, Windows

__all__ = ["Sample", "Uniform"]

Sample = tuple[Scene, Box]


class Uniform:
    """Every place of every scene is as likely as any other.

    Parameters
    ----------
    scenes : sequence of Scene
    size : int
        Rows and columns of a window; a smaller scene is mirrored up to it.
    """

    def __init__(self, scenes: Sequence[Scene], size: int) -> None:
        self._places = [(s, Windows(s.shape, (size, size), (1, 1))) for s in scenes]
        self._ends = np.cumsum([len(windows) for _, windows in self._places])

    def draw(self, rng: np.random.Generator, count: int) -> list[Sample]:
        """Draw windows, independently of each other."""
        return [self._at(int(place)) for place in rng.integers(self._ends[-1], size=count)]

    def _at(self, place: int) -> Sample:
        owner = int(np.searchsorted(self._ends, place, side="right"))
        scene, windows = self._places[owner]
        return scene, windows[place - int(self._ends[owner]) + len(windows)]
