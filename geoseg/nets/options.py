"""Options of networks, which may come from a damaged file."""

from __future__ import annotations

from typing import Any

from geoseg.errors import UserError

__all__ = ["MOST_CHANNELS", "refuse_unless_whole"]

MOST_CHANNELS = 65_536
"""Bands or classes beyond those of any network."""


def refuse_unless_whole(most: int, **options: Any) -> None:
    """Refuse options that are not whole numbers from 1 to `most`.

    Raises
    ------
    UserError
        Naming the first of them.
    """
    for name, value in options.items():
        if type(value) is not int or not 1 <= value <= most:
            raise UserError(f"{name}={value!r}: give a whole number from 1 to {most}")
