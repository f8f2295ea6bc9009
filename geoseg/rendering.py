"""Pixels and classes in the colours of a picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "HATCH",
    "MISSING",
    "Rgb",
    "false_color",
    "hatched",
    "limits",
    "natural_color",
    "paint",
    "shade",
    "variety",
]

GAMMA = 0.8
"""Below 1: lightens woods and water, which are darker than most of a scene."""
MISSING = "#f2f2f2"
"""The colour of pixels without data."""
HATCH = "#7f7f7f"
"""The colour of lines across pixels without a class, where a class may be as light as those."""
_MISSING_RGB = tuple(bytes.fromhex(MISSING[1:]))

INFRARED = (("nir", "red", "green"), ("b8", "b4", "b3"), ("b08", "b04", "b03"))
VISIBLE = (("red", "green", "blue"), ("b4", "b3", "b2"), ("b04", "b03", "b02"))
"""Names of three bands, in lower case; numbers are those of Sentinel-2."""

Rgb = NDArray[np.uint8]


def natural_color(names: Sequence[str]) -> list[int]:
    """Positions of the bands to show as red, green and blue.

    Those of these names, else the first three, or one in grey.
    """
    return _first_of(VISIBLE, names)


def false_color(names: Sequence[str]) -> list[int]:
    """Positions of the bands to show where plants shall stand out.

    Near infrared as red, red as green and green as blue; where there is no infrared, the natural
    colours; where bands have other names, the first three, or one in grey.
    """
    return _first_of((*INFRARED, *VISIBLE), names)


def _first_of(wanted: Sequence[Sequence[str]], names: Sequence[str]) -> list[int]:
    own = [name.lower() for name in names]
    for triple in wanted:
        if set(triple) <= set(own):
            return [own.index(name) for name in triple]
    return [0, 1, 2] if len(own) >= 3 else [0, 0, 0]


def limits(picture: NDArray[np.floating]) -> NDArray[np.float64]:
    """What becomes black and what white: the 2nd and the 98th percentile.

    Parameters
    ----------
    picture : ndarray, shape (..., band)
        NaN where there is no data.

    Returns
    -------
    ndarray, shape (2, band)
    """
    known = picture[np.isfinite(picture).all(axis=-1)]
    if not known.size:
        return np.repeat([[0.0], [1.0]], picture.shape[-1], axis=1)
    return np.asarray(np.percentile(known, (2, 98), axis=0), np.float64)


def shade(picture: NDArray[np.floating], between: NDArray[np.float64]) -> Rgb:
    """A picture as bytes, stretched between limits; pixels without data are light grey.

    Parameters
    ----------
    picture : ndarray, shape (..., 3)
        NaN where there is no data.
    between : ndarray, shape (2, 3)
    """
    low, high = between
    stretched = (picture - low) / np.maximum(high - low, 1e-9)
    missing = ~np.isfinite(stretched).all(axis=-1)
    # 32 shades a color are enough for the eye, and halve the file.
    shades = (31 * np.clip(np.nan_to_num(stretched), 0, 1) ** GAMMA).astype(np.uint8) * 8
    shades[missing] = _MISSING_RGB
    return np.asarray(shades)


def paint(labels: NDArray[Any], colors: Mapping[int, tuple[int, int, int]]) -> Rgb:
    """Labels in their colours; those without one are light grey.

    Parameters
    ----------
    labels : ndarray of uint8 or uint16
    colors : mapping of int to (red, green, blue)
    """
    table = np.full((int(np.iinfo(labels.dtype).max) + 1, 3), _MISSING_RGB, np.uint8)
    for value, color in colors.items():
        table[value] = color
    return np.asarray(table[labels])


def hatched(picture: Rgb, missing: NDArray[np.bool_]) -> Rgb:
    """A picture with diagonal lines across missing pixels, some 32 of them a side.

    Parameters
    ----------
    picture : ndarray of uint8, shape (..., rows, columns, 3)
    missing : ndarray of bool, shape (..., rows, columns)
    """
    rows, columns = np.indices(missing.shape[-2:])
    every = max(max(missing.shape[-2:]) // 32, 4)
    lines = (rows + columns) % every < every // 4
    marked = picture.copy()
    marked[missing & lines] = tuple(bytes.fromhex(HATCH[1:]))
    return marked


def variety(labels: NDArray[Any], nodata: float | None) -> float:
    """Entropy of the classes, in nats; pixels without a class add nothing."""
    values, counts = np.unique(labels, return_counts=True)
    shares = counts[values != nodata] / labels.size
    return float(-np.sum(shares * np.log(shares)))
