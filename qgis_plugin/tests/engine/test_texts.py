# SPDX-License-Identifier: GPL-2.0-or-later
"""Texts can be translated."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parents[2] / "geoseg_qgis"
MODULES = [each for each in FOLDER.rglob("*.py") if each.name != "words.py"]


@pytest.mark.parametrize("module", MODULES, ids=lambda each: str(each.relative_to(FOLDER)))
def test_texts_to_translate_stand_where_the_program_that_collects_them_sees_them(
    module: Path,
) -> None:
    calls = (each for each in ast.walk(ast.parse(module.read_text())) if isinstance(each, ast.Call))
    hidden = [
        ast.unparse(each)
        for each in calls
        if getattr(each.func, "attr", getattr(each.func, "id", "")) in ("tr", "_tr")
        and not isinstance(each.args[0], ast.Constant)
    ]
    assert hidden == []
