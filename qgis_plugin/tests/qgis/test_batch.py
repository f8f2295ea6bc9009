# SPDX-License-Identifier: GPL-2.0-or-later
"""The batch dialog of QGIS, filled in and run."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from qgis.core import (
    QgsApplication,
    QgsCategorizedSymbolRenderer,
    QgsPalettedRasterRenderer,
    QgsProcessingContext,
    QgsProject,
)

pytestmark = pytest.mark.usefixtures("provider", "engine", "qgis_new_project")

NAMES = ("one", "two")
SLOW = 120_000  # milliseconds; the real engine on a busy machine


def fill(panel: Any, row: int, inputs: dict[str, str], outputs: dict[str, str]) -> None:
    """Fill in a row of the table."""
    for name, value in inputs.items():
        wrapper = panel.wrappers[row][panel.parameter_to_column[name]]
        wrapper.setParameterValue(value, QgsProcessingContext())
    for name, value in outputs.items():
        # The first row of the table is that of the buttons that fill columns.
        panel.tblParameters.cellWidget(row + 1, panel.parameter_to_column[name]).setValue(value)


def test_two_rows_become_two_maps_with_polygons_in_the_project(
    imagery: Path, tmp_path: Path, qtbot: Any
) -> None:
    from processing.gui.BatchAlgorithmDialog import BatchAlgorithmDialog

    chip = imagery / "korea_sentinel2/images/202412_patchN_7.tif"
    algorithm = QgsApplication.processingRegistry().createAlgorithmById("geoseg:segment")
    dialog = BatchAlgorithmDialog(algorithm)
    qtbot.addWidget(dialog)
    dialog.show()
    panel = dialog.mainWidget()
    while panel.batchRowCount() < len(NAMES):
        panel.addRow(1)
    for row, name in enumerate(NAMES):
        path = shutil.copy(chip, tmp_path / f"{name}.tif")
        inputs = {"INPUT": str(path), "MODEL": "sentinel2-landcover", "BANDS": "1,2,3"}
        files = {"OUTPUT": f"{name}-map.tif", "POLYGONS": f"{name}-map.gpkg"}
        fill(panel, row, inputs, {key: str(tmp_path / file) for key, file in files.items()})
    panel.checkLoadLayersOnCompletion.setChecked(True)
    dialog.runAlgorithm()
    project = QgsProject.instance()
    qtbot.waitUntil(lambda: len(project.mapLayers()) == 2 * len(NAMES), timeout=SLOW)
    layers = {each.name(): each for each in project.mapLayers().values()}
    for name in NAMES:
        drawn_by = {
            f"{name}: classes": QgsPalettedRasterRenderer,
            f"{name}: polygons": QgsCategorizedSymbolRenderer,
        }
        for title, renderer in drawn_by.items():
            layer = layers.pop(title)
            assert isinstance(layer.renderer(), renderer)
            assert Path(layer.source().partition("|")[0]).stem == f"{name}-map"
    assert layers == {}
