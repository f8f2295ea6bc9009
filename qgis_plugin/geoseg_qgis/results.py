# SPDX-License-Identifier: GPL-2.0-or-later
"""How results look in a project: the model's colours and names, polygons above the map."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from qgis.core import (
    QgsCategorizedSymbolRenderer,
    QgsFillSymbol,
    QgsLayerTreeGroup,
    QgsLayerTreeNode,
    QgsMapLayer,
    QgsPalettedRasterRenderer,
    QgsProject,
    QgsProviderRegistry,
    QgsRasterLayer,
    QgsRendererCategory,
    QgsVectorLayer,
)
from qgis.PyQt.QtGui import QColor

__all__ = ["add_results", "layers_in", "style_map", "style_polygons", "take_out"]

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
        Of the group: what was classified, and by what.
    layers : sequence of QgsMapLayer
        Polygons are put above rasters; the order is kept else.

    Returns
    -------
    QgsLayerTreeGroup
    """
    group = project.layerTreeRoot().insertGroup(0, title)
    ordered = sorted(layers, key=lambda each: not isinstance(each, QgsVectorLayer))
    for place, layer in enumerate(ordered):
        project.addMapLayer(layer, False)
        # The classes are listed once, under the uppermost layer.
        _expand(group.addLayer(layer), place == 0)
    _expand(group, True)
    return group


def layers_in(files: Iterable[Path], layers: Iterable[QgsMapLayer | None]) -> list[QgsMapLayer]:
    """Those of some layers that some files hold."""
    places = {_place(str(file)) for file in files}
    return [each for each in layers if each is not None and _place(_file_of(each)) in places]


def _file_of(layer: QgsMapLayer) -> str:
    provider = layer.dataProvider()
    if provider is None:
        return ""
    parts = QgsProviderRegistry.instance().decodeUri(provider.name(), layer.source())
    return str(parts.get("path") or "")


def _place(path: str) -> str:
    return os.path.normcase(os.path.realpath(path)) if path else ""


def take_out(project: QgsProject, layers: Sequence[QgsMapLayer]) -> None:
    """Remove layers from a project, and the groups that had no others."""
    nodes = [project.layerTreeRoot().findLayer(each.id()) for each in layers]
    groups = {node.parent() for node in nodes if node is not None}
    project.removeMapLayers([each.id() for each in layers])
    for group in groups:
        if group.parent() is not None and not group.children():  # the root has none above it
            group.parent().removeChildNode(group)


def _expand(node: QgsLayerTreeNode, wanted: bool) -> None:
    node.setExpanded(not wanted)  # the list of layers looks when this changes, and only then
    node.setExpanded(wanted)
