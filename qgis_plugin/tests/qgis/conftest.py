# SPDX-License-Identifier: GPL-2.0-or-later
"""A QGIS with the provider, layers, and an algorithm's voice."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from qgis.core import (
    QgsApplication,
    QgsProcessingContext,
    QgsProject,
    QgsRasterLayer,
)
from voice import Heard
from window import Window

from geoseg_qgis.provider import GeosegProvider


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
def context(qgis_new_project: None) -> QgsProcessingContext:
    made = QgsProcessingContext()
    made.setProject(QgsProject.instance())
    return made


@pytest.fixture
def scene(imagery: Path) -> QgsRasterLayer:
    """A Sentinel-2 chip of 512 x 512 pixels with four unnamed bands."""
    layer = QgsRasterLayer(str(imagery / "korea_sentinel2/images/202412_patchN_7.tif"), "chip")
    assert layer.isValid()
    return layer


@pytest.fixture
def window(qtbot: Any) -> Window:
    made = Window()
    qtbot.addWidget(made.main)
    made.main.show()
    return made
