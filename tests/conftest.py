"""What all tests share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def data_folder() -> Path:
    """Real imagery: the folder GEOSEG_DATA, or ``../shared/data`` beside the checkout."""
    beside = Path(__file__).parents[2] / "shared" / "data"
    folder = Path(os.environ.get("GEOSEG_DATA", beside))
    if not folder.is_dir():
        pytest.skip(f"no real imagery at {folder}; set GEOSEG_DATA to a folder that holds it")
    return folder
