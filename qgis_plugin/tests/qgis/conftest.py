# SPDX-License-Identifier: GPL-2.0-or-later
"""A QGIS with the provider, layers, and an algorithm's voice."""

from __future__ import annotations

import functools
import gc
import http.server
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from answering import answering
from qgis.core import (
    QgsApplication,
    QgsProcessingContext,
    QgsProject,
    QgsRasterLayer,
)
from qgis.PyQt.QtGui import QColor, QImage
from voice import Heard, forget
from window import Window

from geoseg_qgis.provider import GeosegProvider

_STATUS = pytest.StashKey[int]()


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    session.config.stash[_STATUS] = int(exitstatus)


@pytest.hookimpl(trylast=True)
def pytest_unconfigure(config: pytest.Config) -> None:
    """Leave at once: what Python deletes of QGIS after QGIS has ended may crash the process."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(config.stash.get(_STATUS, 3))


@pytest.fixture(autouse=True)
def nothing_outlives_qgis(qgis_app: QgsApplication) -> Iterator[None]:
    """Collect what errors hold on to; Python crashes where objects of QGIS go after QGIS."""
    yield
    gc.collect()


@pytest.fixture
def heard() -> Heard:
    return Heard()


@pytest.fixture
def provider(qgis_processing: None) -> Iterator[GeosegProvider]:
    added = GeosegProvider()
    QgsApplication.processingRegistry().addProvider(added)
    yield added
    QgsApplication.processingRegistry().removeProvider("geoseg")


@pytest.fixture
def context(qgis_new_project: None) -> Iterator[QgsProcessingContext]:
    made = QgsProcessingContext()
    made.setProject(QgsProject.instance())
    yield made
    forget(made)


def opened(path: Path, name: str, folder: Path) -> QgsRasterLayer:
    """A copy as a layer: QGIS writes statistics beside what it draws."""
    layer = QgsRasterLayer(shutil.copy(path, folder), name)
    assert layer.isValid()
    return layer


@pytest.fixture
def scene(imagery: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[QgsRasterLayer]:
    """A Sentinel-2 chip of 512 x 512 pixels with four unnamed bands."""
    path = imagery / "korea_sentinel2/images/202412_patchN_7.tif"
    layer = opened(path, "chip", tmp_path_factory.mktemp("scene"))
    yield layer
    forget(layer)


@pytest.fixture
def labels(imagery: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[QgsRasterLayer]:
    """The chip's labels: codes 10, 30, 50, 70 and 100."""
    path = next((imagery / "korea_sentinel2/labels").glob("202412_patchN_7.*"))
    layer = opened(path, "truth", tmp_path_factory.mktemp("labels"))
    yield layer
    forget(layer)


@pytest.fixture
def radar(imagery: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[QgsRasterLayer]:
    """Backscatter in decibels, which is no map of classes."""
    path = min((imagery / "terramesh_s1_s2/S1RTC").glob("*.tif"))
    layer = opened(path, "radar", tmp_path_factory.mktemp("radar"))
    yield layer
    forget(layer)


class Quiet(http.server.SimpleHTTPRequestHandler):
    """Serves a folder and says nothing."""

    def log_message(self, *told: object) -> None:
        pass


@pytest.fixture
def tiles(tmp_path: Path) -> Iterator[str]:
    """Address of tiles of zoom 3: red west of Greenwich, green east of it."""
    for column in range(8):
        for row in range(8):
            tile = QImage(256, 256, QImage.Format.Format_ARGB32)
            tile.fill(QColor(255, 0, 0) if column < 4 else QColor(0, 128, 0))
            path = tmp_path / "3" / str(column) / f"{row}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            tile.save(str(path))
    server = http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), functools.partial(Quiet, directory=str(tmp_path))
    )
    with answering(server) as port:
        yield f"http://127.0.0.1:{port}/{{z}}/{{x}}/{{y}}.png"


@pytest.fixture
def web_map(tiles: str) -> Iterator[QgsRasterLayer]:
    address = tiles.replace("{", "%7B").replace("}", "%7D")
    layer = QgsRasterLayer(f"type=xyz&url={address}&zmax=3&zmin=3", "tiles", "wms")
    assert layer.isValid()
    yield layer
    forget(layer)


@pytest.fixture
def window(qtbot: Any) -> Window:
    made = Window()
    qtbot.addWidget(made.main)
    made.main.show()
    return made
