"""Values as users write them, in YAML and after ``--set``."""

from __future__ import annotations

from typing import Any

__all__ = ["number"]


def number(value: Any) -> float | None:
    """A number, also when it is text, for which YAML takes 1e-3; None where it is none."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        return float(value)
    except (ValueError, OverflowError):
        return None
