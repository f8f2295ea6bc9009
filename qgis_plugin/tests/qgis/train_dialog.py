# SPDX-License-Identifier: GPL-2.0-or-later
"""Opens the dialog of a training in a QGIS of its own, which may crash: image, active layer."""

from __future__ import annotations

import os
import sys
from unittest.mock import MagicMock

import qgis.utils
from qgis.core import (
    QgsApplication,
    QgsProcessingContext,
    QgsProject,
    QgsRasterLayer,
    QgsVectorLayer,
)
from qgis.gui import QgsBrowserGuiModel, QgsMapCanvas

from geoseg_qgis.provider import GeosegProvider

iface = qgis.utils.iface = MagicMock()

import processing  # noqa: E402  (it looks for iface when it is imported)
from processing.core.Processing import Processing  # noqa: E402

path, active = sys.argv[1:]
application = QgsApplication([], True)
application.initQgis()
layers = {
    "raster": QgsRasterLayer(path, "chip"),
    "polygons": QgsVectorLayer("Polygon?crs=EPSG:32652&field=kind:string", "parcels", "memory"),
}
if active != "none":
    QgsProject.instance().addMapLayers(layers.values())
canvas, browser = QgsMapCanvas(), QgsBrowserGuiModel()
iface.mapCanvas.return_value, iface.browserModel.return_value = canvas, browser
iface.activeLayer.return_value = layers.get(active)
iface.mainWindow.return_value = None
Processing.initialize()
provider = GeosegProvider()  # QGIS does not hold on to what is Python of it
QgsApplication.processingRegistry().addProvider(provider)

dialog = processing.createAlgorithmDialog("geoseg:train")
dialog.show()
application.processEvents()
labels = dialog.mainWidget().wrappers["LABELS"]
print("labels:", labels.parameterValue())
if active != "none":
    context = QgsProcessingContext()
    context.setProject(QgsProject.instance())
    for kind in ("polygons", "raster", "polygons"):
        labels.setParameterValue(layers[kind].id(), context)
        application.processEvents()
        assert labels.parameterValue() == layers[kind].id()
print("still here", flush=True)
os._exit(0)  # what Python deletes of QGIS may crash, too
