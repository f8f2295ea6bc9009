# SPDX-License-Identifier: GPL-2.0-or-later
"""Texts of the engine's part can be translated, though it knows nothing of Qt."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from geoseg_qgis.engine import failures, words
from geoseg_qgis.engine.environment import EngineMissing, chosen_python
from geoseg_qgis.engine.failures import classify
from geoseg_qgis.engine.process import EngineError, ask

FOLDER = Path(words.__file__).parents[1]
MARK = "»"


@pytest.fixture
def foreign() -> Iterator[None]:
    """A language in which all texts begin with a mark."""
    words.translate_with(lambda text: MARK + text)
    yield
    words.translate_with(str)


@pytest.mark.usefixtures("foreign")
def test_a_failure_is_told_in_the_language_of_the_moment() -> None:
    failure = classify("No space left on device")
    assert failure.message == "»the disk is full"
    assert failure.remedy.startswith("»free some space")
    assert classify("odd").message == "»the installation failed: odd"
    assert all(each.message[0] + each.remedy[0] == "»»" for each in failures._symptoms())


@pytest.mark.usefixtures("foreign")
def test_values_are_put_into_translated_texts(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(EngineError, match=r"^»/nowhere/python cannot be started as a Python "):
        ask("/nowhere/python", ["doctor"], is_cancelled=bool)
    monkeypatch.setenv("GEOSEG_PYTHON", "/nowhere/python")
    told = "^»the environment variable GEOSEG_PYTHON: »/nowhere/python does not exist"
    with pytest.raises(EngineMissing, match=told):
        chosen_python("")


def raised(tree: ast.AST) -> Iterator[ast.expr]:
    """First words of what is raised for users, and of failures."""
    kinds = {"EngineMissing", "EngineError", "Busy", "NeverInstalled", "Progress", "Failure"}
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in kinds:
            yield from node.args[:1] if node.func.id not in ("Progress", "Failure") else node.args


@pytest.mark.parametrize("path", sorted(FOLDER.rglob("*.py")), ids=lambda path: path.name)
def test_texts_can_be_found_by_the_tool_that_collects_them(path: Path) -> None:
    """It reads calls with one literal text."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "_tr":
            (text,) = node.args
            assert isinstance(text, ast.Constant), f"line {node.lineno}"


def parts(text: ast.expr) -> list[ast.expr]:
    """A text, or what an f-string consists of; a colon with a space is no text."""
    found = text.values if isinstance(text, ast.JoinedStr) else [text]
    return [each for each in found if getattr(each, "value", "") != ": "]


@pytest.mark.parametrize("path", sorted(FOLDER.glob("engine/*.py")), ids=lambda path: path.name)
def test_what_the_engines_part_says_to_users_is_never_an_untranslated_text(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    bare = [
        ast.unparse(each)
        for each in raised(tree)
        if any(isinstance(part, ast.Constant) and " " in str(part.value) for part in parts(each))
    ]
    assert bare == []
