"""What a paper printed of a system, beside which our own numbers are shown."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["Published"]


@dataclass(frozen=True)
class Published:
    """A table of a paper, to be printed beside ours; never a target of a test.

    Parameters
    ----------
    source : str
        Where it is from, and on which pixels its numbers were measured.
    columns : tuple of str
    rows : mapping of str to tuple
        One number, or None, a column.
    per_cent : bool
        Whether the numbers are printed in per cent; ours are fractions.
    """

    source: str
    columns: tuple[str, ...]
    rows: Mapping[str, tuple[float | None, ...]]
    per_cent: bool = False
