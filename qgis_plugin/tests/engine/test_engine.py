# SPDX-License-Identifier: GPL-2.0-or-later
"""Runs of the engine itself, in the Python that GEOSEG_PYTHON names."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import geoseg_qgis
from geoseg_qgis.engine.commands import Evaluate, ModelInfo, Polygonize, Segment
from geoseg_qgis.engine.process import Cancelled, EngineError, ask, run

PYTHON = os.environ.get("GEOSEG_PYTHON", "")
PLUGIN = Path(geoseg_qgis.__file__).parents[1]
pytestmark = pytest.mark.skipif(not PYTHON, reason="GEOSEG_PYTHON names no Python with geoseg")

SIZE = 2048  # rows and columns: more blocks than a computer with few cores works at in a moment
CORNER = (500_000.0, 5_394_880.0, 505_120.0, 5_400_000.0)  # its first 512 rows and columns

MAKE = f"""
import sys
import rasterio
from affine import Affine
from geoseg import landscape

image, truth = landscape.make(({SIZE}, {SIZE}), 1)
for path, array, nodata in ((sys.argv[1], image, 0), (sys.argv[2], truth[None, :512, :512], 255)):
    bands, rows, columns = array.shape
    with rasterio.open(
        path, "w", driver="GTiff", width=columns, height=rows, count=bands, nodata=nodata,
        dtype=array.dtype, crs="EPSG:32633", transform=Affine(10, 0, 5e5, 0, -10, 5.4e6),
    ) as file:
        file.write(array)
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Holds a synthetic scene and its truth, under names with spaces and umlauts."""
    made = tmp_path_factory.mktemp("Größe 1")
    subprocess.run(
        [PYTHON, "-I", "-c", MAKE, str(made / "my scene.tif"), str(made / "truth.tif")], check=True
    )
    return made


def segment(folder: Path, output: str) -> Segment:
    """Many small blocks of little memory each."""
    source = str(folder / "my scene.tif")
    return Segment(source, str(folder / output), "demo-landscape", memory="300MB", window=256)


def told(command: Any, **options: Any) -> tuple[list[Any], Any]:
    """Events of a run, and what it returns."""
    events: list[Any] = []
    done = run(PYTHON, command.arguments(), on_event=events.append, is_cancelled=bool, **options)
    return events, done


def processes_that_name(text: str) -> list[int]:
    """Processes whose command line holds a text."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().decode(errors="replace")
        except OSError:  # it has ended meanwhile
            continue
        if text in words:
            found.append(int(path.parent.name))
    return found


def all_gone(text: str) -> bool:
    """Whether they all end; a killed one may take a moment."""
    patience = time.monotonic() + 20
    while processes_that_name(text) and time.monotonic() < patience:
        time.sleep(0.01)
    return not processes_that_name(text)


def test_a_scene_becomes_a_map_polygons_and_scores(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PROJ_LIB", "/nowhere")  # as those of QGIS are for the engine
    monkeypatch.setenv("GDAL_DATA", "/nowhere")
    monkeypatch.setenv("PYTHONHOME", "/nowhere")
    monkeypatch.setenv("PYTHONPATH", "/usr/lib/python3/dist-packages")
    command = segment(folder, "map.tif")
    events, done = told(replace(command, bbox=CORNER, polygons=str(folder / "map.gpkg")))
    progress = [each for each in events if each["event"] == "progress"]
    assert {"start", "progress", "log"} <= {each["event"] for each in events}
    assert progress[-1]["done"] == progress[-1]["total"]
    assert done["outputs"] == {
        "classes": str(folder / "map.tif"),
        "polygons": str(folder / "map.gpkg"),
        "item": str(folder / "map.tif.json"),
    }
    _, done = told(Polygonize(str(folder / "map.tif"), str(folder / "again.fgb")))
    assert Path(done["outputs"]["polygons"]).is_file()
    _, done = told(Evaluate(str(folder / "map.tif"), str(folder / "truth.tif")))
    assert done["overall_accuracy"] > 0.8


def run_until(event: str, command: Segment) -> Any:
    """Cancel a run when something happens; returns that event."""
    found: list[Any] = []

    def look(heard: Any) -> None:
        if heard["event"] == event:
            found.append(heard)

    with pytest.raises(Cancelled):
        run(PYTHON, command.arguments(), on_event=look, is_cancelled=lambda: bool(found))
    return found[0]


def test_a_cancelled_run_leaves_no_process_and_can_be_gone_on_with(folder: Path) -> None:
    command = segment(folder, "cancelled.tif")
    reached = run_until("progress", command)
    assert all_gone(str(folder))
    assert not Path(command.output).exists()
    start = run_until("start", command)
    assert reached["done"] <= start["done"] < start["total"]


def test_an_engine_whose_parent_is_killed_is_gone(folder: Path) -> None:
    command = segment(folder, "orphan.tif").arguments()
    body = f"""
import sys
from geoseg_qgis.engine.process import run
run({PYTHON!r}, {command!r}, on_event=lambda event: print(event["event"]), is_cancelled=bool)
"""
    parent = subprocess.Popen(
        [sys.executable, "-u", "-c", body], cwd=PLUGIN, stdout=subprocess.PIPE, text=True
    )
    with parent:
        assert parent.stdout is not None
        assert "start\n" in iter(parent.stdout.readline, "")
        parent.kill()
    assert all_gone(str(folder))


def test_a_mistake_is_told_in_the_words_of_the_engine(folder: Path) -> None:
    with pytest.raises(EngineError, match="band") as caught:
        told(replace(segment(folder, "no.tif"), bands="1,2,9,4"))
    assert caught.value.kind == "user"
    with pytest.raises(EngineError, match="no-such-model") as caught:
        ask(PYTHON, ModelInfo("no-such-model").arguments(), is_cancelled=bool)
    assert caught.value.kind == "user"


def test_the_card_of_a_model_is_told() -> None:
    card = ask(PYTHON, ModelInfo("demo-landscape").arguments(), is_cancelled=bool)
    assert card["type"] == "Feature"


def test_a_doctor_finds_the_engine_well() -> None:
    assert ask(PYTHON, ["doctor", "--json"], is_cancelled=bool)["ok"] is True
