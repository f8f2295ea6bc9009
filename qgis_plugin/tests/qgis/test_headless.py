# SPDX-License-Identifier: GPL-2.0-or-later
"""The algorithms without a window: `qgis_process` with the plugin's folder in a fresh profile."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

PLUGINS = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def process() -> str:
    # The plain wrapper of Debian 12 fails by an option that it adds for the window.
    found = shutil.which("qgis_process.bin") or shutil.which("qgis_process")
    if not found:
        pytest.skip("qgis_process is not installed")
    return found


@pytest.fixture(scope="module")
def profile(
    process: str, engine: str, tmp_path_factory: pytest.TempPathFactory
) -> Mapping[str, str]:
    """Variables of a QGIS that has never run before, with the plugin enabled."""
    folder = tmp_path_factory.mktemp("profile")
    variables = {
        **os.environ,
        "QGIS_PLUGINPATH": str(PLUGINS),
        "QGIS_CUSTOM_CONFIG_PATH": str(folder),
        "QT_QPA_PLATFORM": "offscreen",
        "GEOSEG_PYTHON": engine,
    }
    enabled = subprocess.run(
        [process, "plugins", "enable", "geoseg_qgis"], env=variables, capture_output=True, text=True
    )
    assert enabled.returncode == 0, enabled.stderr
    return variables


def run(
    process: str, variables: Mapping[str, str], name: str, **parameters: Any
) -> subprocess.CompletedProcess[str]:
    told = [f"{key}={value}" for key, value in parameters.items()]
    return subprocess.run(
        [process, "--json", "run", f"geoseg:{name}", "--", *told],
        env=dict(variables),
        capture_output=True,
        text=True,
    )


@pytest.fixture
def chip(imagery: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    path = imagery / "korea_sentinel2/images/202412_patchN_7.tif"
    return str(shutil.copy(path, tmp_path_factory.mktemp("chip")))


def test_all_algorithms_are_listed(process: str, profile: Mapping[str, str]) -> None:
    listed = subprocess.run(
        [process, "--json", "list"], env=dict(profile), capture_output=True, text=True
    )
    known = json.loads(listed.stdout)["providers"]["geoseg"]["algorithms"]
    assert sorted(known) == [
        f"geoseg:{name}" for name in ("evaluate", "modelinfo", "polygonize", "segment", "train")
    ]


def test_a_chip_is_classified(
    process: str, profile: Mapping[str, str], chip: str, tmp_path: Path
) -> None:
    paths = {"OUTPUT": str(tmp_path / "a map.tif"), "POLYGONS": str(tmp_path / "ä.gpkg")}
    done = run(process, profile, "segment", INPUT=chip, MODEL="sentinel2-landcover", **paths)
    assert done.returncode == 0, done.stderr
    results = json.loads(done.stdout)["results"]
    assert {name: results[name] for name in paths} == paths
    assert [each["value"] for each in json.loads(results["CLASSES"])] == [10, 30, 50, 70, 100]
    assert all(Path(each).stat().st_size > 1000 for each in paths.values())


def test_wrong_bands_end_with_an_error(
    process: str, profile: Mapping[str, str], chip: str, tmp_path: Path
) -> None:
    output = tmp_path / "map.tif"
    done = run(process, profile, "segment", INPUT=chip, MODEL="demo-landscape", OUTPUT=output)
    assert done.returncode == 1
    assert "demo-landscape takes 4 bands (blue, green, red, nir)" in done.stderr
    assert not output.exists()


def test_a_missing_engine_ends_with_an_error(
    process: str, profile: Mapping[str, str], chip: str, tmp_path: Path
) -> None:
    variables = {**profile, "GEOSEG_PYTHON": "/nowhere/python"}
    output = tmp_path / "map.tif"
    done = run(process, variables, "segment", INPUT=chip, MODEL="demo-landscape", OUTPUT=output)
    assert done.returncode == 1
    assert "/nowhere/python" in done.stderr + done.stdout


def test_a_killed_qgis_leaves_no_engine(
    process: str, profile: Mapping[str, str], chip: str, tmp_path: Path
) -> None:
    # A mark in the environment tells the engine of this run from all others.
    mark = f"GEOSEG_TEST_RUN={tmp_path}"
    variables = {**profile, "GEOSEG_TEST_RUN": str(tmp_path)}
    command = [
        process, "run", "geoseg:segment", "--", f"INPUT={chip}", "MODEL=sentinel2-landcover",
        f"OUTPUT={tmp_path / 'map.tif'}", "VIEWS=d4",
    ]  # fmt: skip
    started = subprocess.Popen(
        command, env=variables, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    assert eventually(lambda: any("predict" in line for line in marked(mark)))
    started.send_signal(signal.SIGKILL)
    started.wait()
    assert eventually(lambda: not marked(mark))


def eventually(holds: Any) -> bool:
    until = time.monotonic() + 60
    while time.monotonic() < until:
        if holds():
            return True
        time.sleep(0.1)
    return False


def marked(mark: str) -> list[str]:
    """Command lines of the processes that have a variable."""
    found = []
    for folder in Path("/proc").iterdir():
        try:
            if mark.encode() in (folder / "environ").read_bytes().split(b"\0"):
                line = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()
                found += [line] if line else []
        except (OSError, ValueError):
            continue
    return found
