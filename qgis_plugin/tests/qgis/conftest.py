# SPDX-License-Identifier: GPL-2.0-or-later
"""A QGIS with the provider, layers, and an algorithm's voice."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from qgis.core import (
    QgsApplication,
    QgsProcessingContext,
    QgsProject,
    QgsRasterLayer,
)
from voice import Heard, forget

from geoseg_qgis.provider import GeosegProvider


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


@pytest.fixture
def scene(imagery: Path) -> Iterator[QgsRasterLayer]:
    """A Sentinel-2 chip of 512 x 512 pixels with four unnamed bands."""
    layer = QgsRasterLayer(str(imagery / "korea_sentinel2/images/202412_patchN_7.tif"), "chip")
    assert layer.isValid()
    yield layer
    forget(layer)


@pytest.fixture
def labels(imagery: Path) -> Iterator[QgsRasterLayer]:
    """The chip's labels: codes 10, 30, 50, 70 and 100."""
    path = next((imagery / "korea_sentinel2/labels").glob("202412_patchN_7.*"))
    layer = QgsRasterLayer(str(path), "truth")
    assert layer.isValid()
    yield layer
    forget(layer)
