# SPDX-License-Identifier: GPL-2.0-or-later
"""Engines and images that are made for a test."""

from __future__ import annotations

import json
import struct
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from osgeo import gdal
from qgis.core import QgsCoordinateReferenceSystem, QgsRasterLayer

gdal.UseExceptions()

CLASSES = [
    {"value": 1, "name": "field", "color": "#e3c35a"},
    {"value": 2, "name": "forest", "color": "#1b5e34"},
]
TRUE_COLOUR = {
    "name": "true-colour",
    "path": "/models/true-colour.safetensors",
    "description": "Fields and forests. Nothing else is known to it.",
    "bands": ["blue", "green", "red"],
    "gsd": 10.0,
    "gsd_range": [8.0, 12.5],
    "value_range": [[0.0, 255.0]] * 3,
    "classes": CLASSES,
    "metrics": {},
}
INFRARED = {
    **TRUE_COLOUR,
    "name": "infrared",
    "path": "/models/infrared.safetensors",
    "description": "Crops.",
    "bands": [*"abcd"],
}

PREAMBLE = """\
import json, os, signal, subprocess, sys, time
def say(**event): print(json.dumps(event), flush=True)
def pause(phase):
    gate = os.path.join({folder!r}, phase)
    if os.path.exists(gate): open(gate + "-reached", "w").close()
    while os.path.exists(gate): time.sleep(0.02)
told = sys.argv[1:]
if "list" in told: pause("list"); print({models!r}); sys.exit()
if "info" in told: pause("info"); print({card!r}); sys.exit()
"""


def engine_that(does: str, folder: Path, models: Sequence[Any] = (TRUE_COLOUR, INFRARED)) -> str:
    """Make an interpreter whose geoseg lists models, and does what is asked when it predicts.

    It pauses at a phase (list, info) as long as there is a file of that name in the folder.
    """
    script = folder / "engine.py"
    begin = PREAMBLE.format(
        models=json.dumps(list(models)), card=json.dumps(TRUE_COLOUR), folder=str(folder)
    )
    script.write_text(begin + does)
    python = folder / "python"
    python.write_text(f'#!/bin/sh\nexec {sys.executable} {script} "$@"\n')
    python.chmod(0o755)
    return str(python)


def image(
    path: Path,
    *,
    bands: int = 3,
    side: int = 64,
    pixel: float = 10.0,
    crs: str = "EPSG:32633",
    highest: int = 250,
    corner: tuple[float, float] = (500_000.0, 5_400_000.0),
) -> QgsRasterLayer:
    """Write an image whose values go from 0 to `highest` in each column of pixels."""
    made = gdal.GetDriverByName("GTiff").Create(str(path), side, side, bands, gdal.GDT_UInt16)
    made.SetGeoTransform((corner[0], pixel, 0, corner[1], 0, -pixel))
    if crs:
        made.SetProjection(QgsCoordinateReferenceSystem(crs).toWkt())
    row = [round(highest * column / (side - 1)) for column in range(side)]
    values = struct.pack(f"={side}H", *row) * side
    for band in range(1, bands + 1):
        made.GetRasterBand(band).WriteRaster(0, 0, side, side, values)
        made.GetRasterBand(band).SetColorInterpretation(gdal.GCI_GrayIndex)
    made.FlushCache()
    del made
    layer = QgsRasterLayer(str(path), path.stem)
    assert layer.isValid()
    return layer


STEPS = """
say(event="start", total=10, unit="block", done=0)
for done in range(1, 8):
    say(event="progress", done=done, total=10)
    time.sleep(0.2)
time.sleep(600)
"""

COPIES = f"""
import shutil
say(event="start", total=1, unit="block", done=0)
pause("predict")
source, output = told[told.index("--") + 1 :][:2]
shutil.copy(source, output)
say(event="done", classes={CLASSES!r})
"""
"""Gives the image for its class map; it pauses at predict, too."""


def with_ids(tmp_path: Path) -> str:
    """Steps of an engine that tells which processes it has."""
    return (
        "child = subprocess.Popen(['sleep', '600'])\n"
        f"open({str(tmp_path / 'ids')!r}, 'w').write(f'{{os.getpid()}} {{child.pid}}')\n"
        f"{STEPS}"
    )


def ids(tmp_path: Path) -> list[int]:
    return [int(each) for each in (tmp_path / "ids").read_text().split()]
