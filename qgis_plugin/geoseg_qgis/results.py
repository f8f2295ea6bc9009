# SPDX-License-Identifier: GPL-2.0-or-later
"""How results look in a project: the model's colours and names, polygons above the map."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from qgis.core import (
    QgsCategorizedSymbolRenderer,
    QgsFillSymbol,
    QgsLayerTreeGroup,
    QgsMapLayer,
    QgsPalettedRasterRenderer,
    QgsProject,
    QgsRasterLayer,
    QgsRendererCategory,
    QgsVectorLayer,
)
from qgis.PyQt.QtGui import QColor

__all__ = ["add_results", "style_map", "style_polygons"]

HAIRLINE = "0"
"""A width of one pixel of the screen, at any scale."""

Classes = Sequence[Mapping[str, Any]]
"""Of each class its value, name and color, as the engine tells them."""


def style_map(layer: QgsRasterLayer, classes: Classes) -> None:
    """Give a class map the colours and names of its classes.

    Parameters
    ----------
    layer : QgsRasterLayer
    classes : sequence of mappings
        Of each ``value``, ``name`` and ``color`` (``#rrggbb``).
    """
    entries = [
        QgsPalettedRasterRenderer.Class(each["value"], QColor(each["color"]), each["name"])
        for each in classes
    ]
    layer.setRenderer(QgsPalettedRasterRenderer(layer.dataProvider(), 1, entries))
    layer.triggerRepaint()


def style_polygons(layer: QgsVectorLayer, classes: Classes) -> None:
    """Give polygons the colours and names of their classes, with outlines of the same colour.

    Parameters
    ----------
    layer : QgsVectorLayer
        With a field ``class_id``.
    classes : sequence of mappings
        As for `style_map`.
    """
    categories = [
        QgsRendererCategory(each["value"], _fill(each["color"]), each["name"]) for each in classes
    ]
    layer.setRenderer(QgsCategorizedSymbolRenderer("class_id", categories))
    layer.triggerRepaint()


def _fill(color: str) -> QgsFillSymbol:
    # Without an outline of the same colour thin seams of the background show between neighbours.
    return QgsFillSymbol.createSimple(
        {"color": color, "outline_color": color, "outline_width": HAIRLINE}
    )


def add_results(
    project: QgsProject, title: str, layers: Sequence[QgsMapLayer]
) -> QgsLayerTreeGroup:
    """Put layers into a new group on top of a project's layers.

    Parameters
    ----------
    project : QgsProject
    title : str
        Of the group: the name of the layer that was classified.
    layers : sequence of QgsMapLayer
        Polygons are put above rasters; the order is kept else.

    Returns
    -------
    QgsLayerTreeGroup
    """
    group = project.layerTreeRoot().insertGroup(0, title)
    for layer in sorted(layers, key=lambda each: not isinstance(each, QgsVectorLayer)):
        project.addMapLayer(layer, False)
        group.addLayer(layer)
    return group
