"""What all tests share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings

# Before torch is imported: threads that wait for each other spin, and tests run side by side.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# No test asserts a time, and machines that run the tests may be busy.
settings.register_profile("geoseg", deadline=None)
settings.load_profile("geoseg")


@pytest.fixture(scope="session")
def data_folder() -> Path:
    """Real imagery: the folder GEOSEG_DATA, or ``../shared/data`` beside the checkout."""
    beside = Path(__file__).parents[2] / "shared" / "data"
    folder = Path(os.environ.get("GEOSEG_DATA", beside))
    if not folder.is_dir():
        pytest.skip(f"no real imagery at {folder}; set GEOSEG_DATA to a folder that holds it")
    return folder
