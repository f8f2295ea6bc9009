"""Options of networks, which may come from a damaged file."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from geoseg.errors import UserError

__all__ = [
    "MOST_BLOCKS",
    "MOST_CHANNELS",
    "refuse_depths",
    "refuse_unknown",
    "refuse_unless_share",
    "refuse_unless_whole",
]

MOST_CHANNELS = 65_536
"""Bands, classes or features beyond those of any network."""

MOST_BLOCKS = 64
"""Layers of a block, or blocks of a stage: DenseNet-264 has as many."""


def refuse_unless_whole(most: int, **options: Any) -> None:
    """Refuse options that are not whole numbers from 1 to `most`.

    Raises
    ------
    UserError
        Naming the first of them.
    """
    for name, value in options.items():
        if not _is_whole(value, most):
            raise UserError(f"{name}={value!r}: give a whole number from 1 to {most}")


def refuse_unless_share(**options: Any) -> None:
    """Refuse options that are not numbers from 0 to below 1.

    Raises
    ------
    UserError
        Naming the first of them.
    """
    for name, value in options.items():
        if type(value) not in (int, float) or not 0 <= value < 1:
            raise UserError(f"{name}={value!r}: give a number from 0 to below 1")


def refuse_depths(option: str, depths: Sequence[int], stages: int) -> None:
    """Refuse depths that are not one whole number a stage.

    Raises
    ------
    UserError
    """
    if len(depths) != stages or not all(_is_whole(depth, MOST_BLOCKS) for depth in depths):
        raise UserError(
            f"{option}={list(depths)}: give {stages} whole numbers from 1 to {MOST_BLOCKS}"
        )


def refuse_unknown(option: str, value: Any, known: Collection[str]) -> None:
    """Refuse a value that is not among those that an option can have.

    Raises
    ------
    UserError
    """
    if value not in tuple(known):
        raise UserError(f"{option}={value!r}: choose from {', '.join(known)}")


def _is_whole(value: Any, most: int) -> bool:
    return type(value) is int and 1 <= value <= most
