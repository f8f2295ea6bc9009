# SPDX-License-Identifier: GPL-2.0-or-later
"""A QGIS 4 that is none, before the plugin is imported."""

from __future__ import annotations

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
