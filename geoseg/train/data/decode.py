"""What the pixels of a label raster mean: codes, colours or a threshold, as class indices.

Each decoder is a function from the raster's pixels (band, rows, columns) to class indices (rows,
columns) and the marks that belong to no class, with their pixels, by the name they are told by.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations
from math import ceil, floor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geoseg.errors import UserError
from geoseg.metrics import IGNORE

__all__ = ["RGB", "Codes", "Decode", "Palette", "Table", "Threshold", "table_of", "told"]

RGB = tuple[int, int, int]
"""Red, green and blue, 0 to 255."""

Decode = Callable[[NDArray[Any]], tuple[NDArray[np.uint8], Counter[str]]]

LISTED = 20  # marks of no class that a message names


@dataclass(frozen=True)
class Codes:
    """Codes of the first band; those that no class lists are `IGNORE`.

    Parameters
    ----------
    members : tuple of tuple of int
        The codes of each class.
    """

    members: tuple[tuple[int, ...], ...]

    def __call__(self, pixels: NDArray[Any]) -> tuple[NDArray[np.uint8], Counter[str]]:
        """Decode pixels (band, rows, columns)."""
        indices = np.full(pixels.shape[1:], IGNORE, np.uint8)
        for index, codes in enumerate(self.members):
            indices[np.isin(pixels[0], codes)] = index
        strange, counts = np.unique(pixels[0][indices == IGNORE], return_counts=True)
        names = (str(code) for code in strange.tolist())
        return indices, Counter(dict(zip(names, counts.tolist(), strict=True)))


@dataclass(frozen=True)
class Palette:
    """Colours of the first three bands, as masks show classes; robust to noise, as JPEG adds.

    A pixel is of the class from whose colour it differs by less than `reach` in every channel: half
    of what the two most similar colours differ by. Where every channel of the palette is 0 or 255
    this compares each channel with 128, as the DeepGlobe land cover challenge (Demir et al., CVPR
    workshops 2018) tells its readers to.

    Parameters
    ----------
    colors : tuple of tuple of RGB
        The colours of each class.
    void : tuple of RGB
        Colours that are known to have no class.
    other : int
        Index of colours that nobody lists.

    Raises
    ------
    UserError
        When two colours are the same.
    """

    colors: tuple[tuple[RGB, ...], ...]
    void: tuple[RGB, ...] = ()
    other: int = IGNORE

    def __post_init__(self) -> None:
        pairs = combinations([color for color, _ in self._listed()], 2)
        if any(one == other for one, other in pairs):
            raise UserError(
                f"colour {_shared(self._listed())} is listed twice; a pixel can be of one class"
            )

    @property
    def reach(self) -> float:
        """How far a channel may be from a colour's."""
        listed = np.array([color for color, _ in self._listed()], float)
        pairs = combinations(listed, 2)
        return min((float(np.abs(one - other).max()) for one, other in pairs), default=255.0) / 2

    def _listed(self) -> list[tuple[RGB, int]]:
        known = [(color, i) for i, colors in enumerate(self.colors) for color in colors]
        return known + [(color, IGNORE) for color in self.void]

    def __call__(self, pixels: NDArray[Any]) -> tuple[NDArray[np.uint8], Counter[str]]:
        """Decode pixels (3, rows, columns), 0 to 255; NaN, where there is no data, is ignored."""
        reach = self.reach
        indices = np.full(pixels.shape[1:], self.other, np.uint8)
        strange = np.ones(indices.shape, bool)
        for color, index in self._listed():
            inside = np.ones(indices.shape, bool)
            for channel, value in zip(pixels, color, strict=True):
                low, high = _within(value, reach)
                inside &= (channel >= low) & (channel <= high)
            indices[inside] = index
            strange &= ~inside
        if pixels.dtype.kind == "f":
            indices[np.isnan(pixels).any(0)] = IGNORE
            strange &= ~np.isnan(pixels).any(0)
        return indices, _count_colors(pixels[:, strange])

    def encode(self, indices: NDArray[np.integer[Any]]) -> NDArray[np.uint8]:
        """The mask that shows classes, by the first colour of each.

        Parameters
        ----------
        indices : ndarray of int, shape (rows, columns)
            Class indices; `IGNORE` is shown by the first void colour.

        Returns
        -------
        ndarray of uint8, shape (3, rows, columns)

        Raises
        ------
        UserError
            When an index has no colour.
        """
        table = np.zeros((IGNORE + 1, 3), np.uint8)
        known = [(colors[0], index) for index, colors in enumerate(self.colors)]
        known += [(color, IGNORE) for color in self.void[:1]]
        for color, index in known:
            table[index] = color
        strange = np.setdiff1d(indices, [index for _, index in known])
        if strange.size:
            raise UserError(
                f"label {strange[0]} has no colour; those of 0 to {len(self.colors) - 1} are known"
            )
        return np.ascontiguousarray(np.moveaxis(table[indices], -1, 0))


def _within(value: int, reach: float) -> tuple[int, int]:
    """The least and the greatest whole number nearer to a value than its reach."""
    return max(floor(value - reach) + 1, 0), min(ceil(value + reach) - 1, 255)


def _shared(listed: Sequence[tuple[RGB, int]]) -> str:
    colors = Counter(color for color, _ in listed)
    return _hex(colors.most_common(1)[0][0])


def _count_colors(pixels: NDArray[Any]) -> Counter[str]:
    """How many pixels of shape (3, n) have which colour."""
    if not pixels.size:
        return Counter()
    red, green, blue = pixels.astype(np.int64)
    packed, counts = np.unique((red << 16) + (green << 8) + blue, return_counts=True)
    return Counter({f"#{p:06x}": n for p, n in zip(packed.tolist(), counts.tolist(), strict=True)})


def _hex(color: Iterable[int]) -> str:
    return "#" + bytes(color).hex()


@dataclass(frozen=True)
class Threshold:
    """Two classes: 1 where the first band is at least so much, else 0.

    Parameters
    ----------
    least : int
    """

    least: int = 128

    def __call__(self, pixels: NDArray[Any]) -> tuple[NDArray[np.uint8], Counter[str]]:
        """Decode pixels (band, rows, columns)."""
        return (pixels[0] >= self.least).astype(np.uint8), Counter()


@dataclass(frozen=True)
class Table:
    """Codes 0 to 255 of the first band, each with its index; all others are `IGNORE`.

    Parameters
    ----------
    indices : tuple of int, length 256
    """

    indices: tuple[int, ...]

    def __call__(self, pixels: NDArray[Any]) -> tuple[NDArray[np.uint8], Counter[str]]:
        """Decode pixels (band, rows, columns)."""
        codes, table = pixels[0], np.array(self.indices, np.uint8)
        known = (codes >= 0) & (codes <= 255)
        indices = table[np.where(known, codes, 0).astype(np.intp)]
        return np.where(known, indices, np.uint8(IGNORE)), Counter()


def table_of(classes: Iterable[Iterable[int]], other: int = IGNORE) -> Table:
    """The table of classes that list their codes, 0 to 255.

    Parameters
    ----------
    classes : iterable of iterable of int
    other : int
        Index of codes that none lists.
    """
    table = [other] * 256
    for index, codes in enumerate(classes):
        for code in codes:
            table[code] = index
    return Table(tuple(table))


def told(strange: Counter[str]) -> str:
    """Marks of no class in words, the commonest first."""
    listed = ", ".join(f"{mark} ({count} pixels)" for mark, count in strange.most_common(LISTED))
    rest = len(strange) - LISTED
    return f"{listed} and {rest} more" if rest > 0 else listed
