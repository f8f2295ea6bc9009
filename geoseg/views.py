"""Several looks at each window: mirrored, turned, larger, smaller; the mean of what is seen."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import lru_cache
from itertools import product
from math import ceil, gcd, lcm
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from geoseg.card import Card
from geoseg.errors import UserError
from geoseg.resample import Resampling, resampled
from geoseg.segmenter import Segmenter
from geoseg.windows import grown

__all__ = ["TURNS", "Turns", "Views", "viewed"]

Turns = Literal["flips", "d4"]
"""Ways to lay a window: mirrored, or mirrored and transposed."""

SAME = Fraction(1)  # scale
# Scales; beyond, nothing looks like what a net has learnt.
LEAST, MOST = Fraction(1, 4), Fraction(4)
FINEST = 20  # denominator of a scale: windows are multiples of it, so a large one makes huge ones
KEPT = 8  # models with views, as many as pools of models


@dataclass(frozen=True)
class Turn:
    """One of the eight ways to lay a square on itself: transposed, then mirrored along axes."""

    transposed: bool
    mirrored: tuple[int, ...]

    def apply(self, values: Tensor) -> Tensor:
        """Turn (B, C, h, w)."""
        laid = values.transpose(2, 3) if self.transposed else values
        return laid.flip(self.mirrored)

    def undo(self, values: Tensor) -> Tensor:
        """Turn back."""
        laid = values.flip(self.mirrored)
        return laid.transpose(2, 3) if self.transposed else laid


_MIRRORED = ((), (3,), (2,), (2, 3))
TURNS: dict[Turns | None, tuple[Turn, ...]] = {
    None: (Turn(False, ()),),
    "flips": tuple(Turn(False, axes) for axes in _MIRRORED),
    "d4": tuple(Turn(*each) for each in product((False, True), _MIRRORED)),
}


def viewed(
    segmenter: Segmenter, views: Turns | None = None, scales: Sequence[float] | None = None
) -> Segmenter:
    """A model that gives the mean probabilities of several views of each window.

    Windows are resized by each scale, laid in each way, run, and the probabilities laid and resized
    back. Resizing averages with a triangle as wide as the coarser pixel, as for other pixel sizes.

    Parameters
    ----------
    segmenter : Segmenter
    views : {"flips", "d4"}, optional
        The window and its three mirror images, or these and their transposes, all eight ways in
        which a square lies on itself.
    scales : sequence of float, optional
        Factors of size, 1/4 to 4, that are fractions with denominators up to 20.

    Returns
    -------
    Segmenter
        The same one where there is but one view; else its card has a halo and a stride with which
        tiling is as exact as for the model itself.

    Raises
    ------
    UserError
        When views are unknown, or a scale is none of these.

    Notes
    -----
    A mirrored window of a multiple of the stride lies on the stride's lattice as all others do, so
    turns leave halo and stride as they are. At a scale k the network sees ``halo / k`` pixels, and
    resizing to and fro one pixel of the coarser grid each; and windows that begin at multiples of
    m have theirs, too, at multiples of the stride on whole pixels of the resized grid, where m is
    the least for which ``k m`` is a multiple of the stride.

    A network without a halo gains nothing from such a lattice, so its windows and their stride stay
    as they are. A resized view of a window then gets the side nearest to ``k`` times its own that
    the network takes, or likes, if it tells: of a window of 1025 pixels at 3/4 a network that likes
    ``32 n + 1`` sees 769.
    """
    if views is not None and views not in get_args(Turns):
        raise UserError(f"views {views!r} are unknown; choose flips or d4")
    sizes = (SAME,) if scales is None else tuple(map(_fraction, scales))
    if not sizes:
        raise UserError("no scale is given; name at least one, e.g. 0.75,1,1.25")
    if views is None and sizes == (SAME,):
        return segmenter
    return _viewed(segmenter, views, sizes)


@lru_cache(maxsize=KEPT)  # scenes of a batch share it, and with it the copies on devices
def _viewed(segmenter: Segmenter, views: Turns | None, scales: tuple[Fraction, ...]) -> Segmenter:
    there = copy.copy(segmenter)
    there.net = Views(segmenter.net, TURNS[views], scales, _liked(segmenter)).eval()
    there.card = _seen_at(segmenter.card, scales)
    return there


def _liked(segmenter: Segmenter) -> tuple[int, int] | None:
    """Step and rest of the sides of windows that a network without a halo likes."""
    if segmenter.card.halo is not None:
        return None
    liked: tuple[int, int] = getattr(segmenter.net, "sides", (segmenter.card.stride, 0))
    return liked


def _fraction(scale: float) -> Fraction:
    if LEAST <= scale <= MOST:  # no NaN is
        near = Fraction(float(scale)).limit_denominator(FINEST)
        if abs(float(near) - scale) < 1e-9:
            return near
    raise UserError(
        f"scale {scale:g} must be {float(LEAST)} to {float(MOST)} and a fraction whose denominator "
        f"is at most {FINEST}, e.g. 0.75 or 1.25"
    )


def _seen_at(card: Card, scales: Sequence[Fraction]) -> Card:
    """The card of a model whose windows are resized; see the notes of `viewed`."""
    if card.halo is None:
        return card
    stride = lcm(*(_step(card.stride, scale) for scale in scales))
    halo = max(_reach(card.halo, scale) for scale in scales)
    return replace(card, halo=halo, stride=stride, window=grown(card.window, stride))


def _step(stride: int, scale: Fraction) -> int:
    """Least number of pixels that are, resized, a multiple of the stride."""
    whole = stride * scale.denominator
    return whole // gcd(whole, scale.numerator)


def _reach(halo: int, scale: Fraction) -> int:
    """Pixels around that are felt when a window is resized, run and resized back."""
    return halo if scale == SAME else ceil(halo / scale + 2 / min(scale, SAME))


class Views(nn.Module):
    """Logarithms of the mean probabilities that a network gives for views of a window.

    Parameters
    ----------
    net : Module
        Values (B, C, h, w) to scores before softmax (B, K, h, w).
    turns : sequence of Turn
    scales : sequence of Fraction
    liked : tuple of int, optional
        Step and rest: resized windows get the nearest side that is a multiple of the step and the
        rest. By default that of the scale, rounded.
    """

    def __init__(
        self,
        net: nn.Module,
        turns: Sequence[Turn],
        scales: Sequence[Fraction],
        liked: tuple[int, int] | None = None,
    ) -> None:
        super().__init__()
        self.net = net
        self.turns, self.scales = tuple(turns), tuple(scales)
        self.step, self.rest = liked or (1, 0)

    def forward(self, values: Tensor) -> Tensor:
        """Scores (B, K, h, w) of values (B, C, h, w)."""
        rows, columns = values.shape[2:]
        total = torch.zeros((), device=values.device)
        for scale in self.scales:
            shown = _resized(values, (self._side(rows, scale), self._side(columns, scale)))
            total = total + _resized(self._turned(shown), (rows, columns))
        return (total / (len(self.scales) * len(self.turns))).log()

    def _side(self, length: int, scale: Fraction) -> int:
        """Pixels that the network is shown of so many; as they are where they keep their scale."""
        if scale == SAME:
            return length
        steps = max(round((length * scale - self.rest) / self.step), 1)
        return steps * self.step + self.rest

    def _turned(self, values: Tensor) -> Tensor:
        """The sum of probabilities over all turns."""
        total = torch.zeros((), device=values.device)
        for turn in self.turns:
            laid = turn.apply(values).contiguous(memory_format=torch.channels_last)
            total = total + turn.undo(self.net(laid).float().softmax(1))
        return total


def _resized(values: Tensor, shape: tuple[int, int]) -> Tensor:
    for dim, size in zip((2, 3), shape, strict=True):
        way = Resampling(values.shape[dim], size)
        if not way.is_identity:
            values = resampled(values, way, dim, slice(0, size), slice(0, way.length))
    return values
