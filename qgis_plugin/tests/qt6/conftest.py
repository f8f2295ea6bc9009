# SPDX-License-Identifier: GPL-2.0-or-later
"""A QGIS 4 that is none, before the plugin is imported."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest
import standin

standin.install()


@pytest.fixture(scope="session")
def application() -> standin.QgsApplication:
    return standin.QgsApplication([])


@pytest.fixture(autouse=True)
def no_engine(
    application: standin.QgsApplication, monkeypatch: pytest.MonkeyPatch, tmp_path: object
) -> None:
    monkeypatch.setenv("GEOSEG_PYTHON", "/nowhere/python")
    monkeypatch.setenv("GEOSEG_HOME", str(tmp_path))
    standin.QgsSettings.kept.clear()


@pytest.fixture(autouse=True)
def nothing_raised(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What is raised while Qt calls Python fails the test; PyQt6 alone would end the process."""
    raised: list[str] = []
    monkeypatch.setattr(sys, "excepthook", lambda kind, error, _trace: raised.append(repr(error)))
    yield
    assert raised == []
