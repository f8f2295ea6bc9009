"""Resampling along an axis, computed from global positions, so that any piece equals the whole."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, floor

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

__all__ = ["Resampling", "resampled"]


@dataclass(frozen=True)
class Resampling:
    """From an axis of `length` pixels to one of `size` pixels over the same extent.

    Values are averaged with a triangle as wide as the coarser of the two pixels: bilinear
    interpolation towards finer pixels, an antialiased mean towards coarser ones. Every output pixel
    is computed from its place on the whole axis, so pieces join without a seam.

    Parameters
    ----------
    length, size : int
        Pixels of the given and of the wanted axis, each at least 1.
    """

    length: int
    size: int

    @classmethod
    def by_zoom(cls, length: int, zoom: float) -> Resampling:
        """Resample to `zoom` pixels for one, at least to a single pixel."""
        return cls(length, max(1, round(length * zoom)))

    @property
    def inverse(self) -> Resampling:
        """The way back."""
        return Resampling(self.size, self.length)

    @property
    def is_identity(self) -> bool:
        """Whether nothing changes."""
        return self.length == self.size

    @property
    def _scale(self) -> float:
        return self.length / self.size

    def source(self, span: slice) -> slice:
        """Input pixels that the output pixels of `span` depend on."""
        if self.is_identity:
            return span
        reach = max(self._scale, 1.0)
        first = floor((span.start + 0.5) * self._scale - reach)
        last = ceil((span.stop - 0.5) * self._scale + reach)
        return slice(max(first, 0), min(last, self.length))

    def taps(self, span: slice, held: slice) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
        """Which input pixels make up each output pixel, and with what weight.

        Parameters
        ----------
        span : slice
            Output pixels.
        held : slice
            The input pixels at hand; at least ``source(span)``.

        Returns
        -------
        index : ndarray of intp, shape (pixels, taps)
            Input pixels, counted from the first of `held`.
        weight : ndarray of float32, shape (pixels, taps)
            Weights; they sum to one along the second axis.
        """
        reach = max(self._scale, 1.0)
        centre = (np.arange(span.start, span.stop) + 0.5) * self._scale
        first = np.floor(centre - reach).astype(np.intp)
        index = first[:, None] + np.arange(ceil(2 * reach) + 1)
        weight = np.clip(1 - np.abs(index + 0.5 - centre[:, None]) / reach, 0, None)
        weight[(index < 0) | (index >= self.length)] = 0
        weight /= weight.sum(axis=1, keepdims=True)
        # Taps that weigh nothing may lie outside of what is at hand.
        return np.clip(index, held.start, held.stop - 1) - held.start, weight.astype(np.float32)

    def nearest(self, positions: NDArray[np.intp]) -> NDArray[np.intp]:
        """The input pixel under the centre of each output pixel."""
        return ((positions + 0.5) * self._scale).astype(np.intp)

    def border(self, position: int) -> int:
        """The output pixel edge nearest to an input pixel edge."""
        return round(position / self._scale)


def resampled(values: Tensor, way: Resampling, dim: int, span: slice, held: slice) -> Tensor:
    """Resample a tensor along one of its dimensions.

    Parameters
    ----------
    values : Tensor
        Along `dim` the pixels of `held`.
    way : Resampling
    dim : int
    span : slice
        Output pixels that are wanted.
    held : slice
        The input pixels at hand; at least ``way.source(span)``.

    Returns
    -------
    Tensor
        Along `dim` the pixels of `span`.
    """
    index, weight = way.taps(span, held)
    places = torch.from_numpy(index).to(values.device)
    shares = torch.from_numpy(weight).to(values.device)
    shape = [1] * values.ndim
    shape[dim] = -1
    taps = (
        values.index_select(dim, places[:, tap]) * shares[:, tap].reshape(shape)
        for tap in range(places.shape[1])
    )
    total = next(taps)
    for each in taps:
        total = total + each
    return total
