# SPDX-License-Identifier: GPL-2.0-or-later
"""Where tests find imagery and the engine."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

PLUGIN = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def imagery() -> Path:
    """The folder of real imagery."""
    stated = os.environ.get("GEOSEG_DATA")
    beside = PLUGIN.parent.parent / "shared" / "data"
    folder = Path(stated) if stated else beside
    if not folder.is_dir():
        pytest.skip("there is no imagery; name its folder in GEOSEG_DATA")
    return folder


@pytest.fixture(scope="session")
def engine() -> str:
    """The interpreter that has geoseg."""
    python = os.environ.get("GEOSEG_PYTHON")
    if not python:
        pytest.skip("there is no engine; name its interpreter in GEOSEG_PYTHON")
    return python
