# SPDX-License-Identifier: GPL-2.0-or-later
"""Texts for users: English, until the plugin says how they are translated."""

from __future__ import annotations

from collections.abc import Callable

__all__ = ["translate_with", "translated"]

_translate: Callable[[str], str] = str


def translate_with(function: Callable[[str], str]) -> None:
    """Let a function translate from now on; it is called in any thread."""
    global _translate
    _translate = function


def translated(text: str) -> str:
    """Translate, when it is needed: what a module keeps would stay in the language of its import.

    Values are put into a text afterwards.
    """
    return _translate(text)
