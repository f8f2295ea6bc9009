# SPDX-License-Identifier: GPL-2.0-or-later
"""Which part of a layer: all of it, what the map shows, a drawn rectangle, or inside polygons."""

from __future__ import annotations

from typing import Any

from qgis.core import (
    QgsCoordinateReferenceSystem,
    QgsCoordinateTransform,
    QgsCsException,
    QgsGeometry,
    QgsMapLayerProxyModel,
    QgsProcessingFeatureSourceDefinition,
    QgsProject,
    QgsRasterLayer,
    QgsRectangle,
    QgsReferencedRectangle,
    QgsVectorLayer,
    QgsWkbTypes,
)
from qgis.gui import QgsMapLayerComboBox, QgsMapToolExtent, QgsRubberBand
from qgis.PyQt.QtCore import pyqtSignal
from qgis.PyQt.QtGui import QColor
from qgis.PyQt.QtWidgets import (
    QCheckBox,
    QComboBox,
    QLabel,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from .notices import quiet, shrinking
from .words import translated as _tr

WHOLE, CANVAS, DRAWN, POLYGONS = "whole", "canvas", "drawn", "polygons"


class ExtentChooser(QWidget):
    """Asks for a part of the image.

    Parameters
    ----------
    canvas : QgsMapCanvas
        Where rectangles are drawn.
    """

    changed = pyqtSignal()

    def __init__(self, canvas: Any, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._canvas = canvas
        self._drawn: QgsReferencedRectangle | None = None
        self._band: QgsRubberBand | None = None
        self._tool = QgsMapToolExtent(canvas)
        self._tool.extentChanged.connect(self._take)
        self._tool_before: Any = None

        self.choice = shrinking(QComboBox())
        for text, kind in (
            (_tr("Whole layer"), WHOLE),
            (_tr("What the map shows"), CANVAS),
            (_tr("A rectangle drawn on the map"), DRAWN),
            (_tr("Inside polygons of a layer"), POLYGONS),
        ):
            self.choice.addItem(text, kind)
        self.choice.currentIndexChanged.connect(self._choose)
        self.draw = QPushButton(_tr("Draw…"))
        self.draw.setToolTip(_tr("Drag a rectangle on the map"))
        self.draw.clicked.connect(self._begin_drawing)
        self.polygons = shrinking(QgsMapLayerComboBox())
        self.polygons.setFilters(QgsMapLayerProxyModel.Filter.PolygonLayer)
        self.polygons.setAllowEmptyLayer(True)
        self.polygons.layerChanged.connect(self._take_layer)
        self._watched: set[str] = set()
        self.selected = QCheckBox(_tr("Selected ones only"))
        self.selected.toggled.connect(lambda _on: self.changed.emit())
        self.told = quiet(QLabel())
        self.told.hide()

        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self.choice)
        column.addWidget(self.draw)
        column.addWidget(self.polygons)
        column.addWidget(self.selected)
        column.addWidget(self.told)
        self._show_controls()
        canvas.extentsChanged.connect(self._canvas_moved)
        canvas.destinationCrsChanged.connect(self._outline)

    def kind(self) -> str:
        """Which of the four ways is chosen."""
        return str(self.choice.currentData())

    def choose(self, kind: str) -> None:
        """Choose one of the four ways."""
        self.choice.setCurrentIndex(self.choice.findData(kind))

    def rectangle(self) -> QgsReferencedRectangle | None:
        """The rectangle chosen, in a CRS of its own; None for the whole layer, or none yet."""
        if self.kind() == CANVAS:
            settings = self._canvas.mapSettings()
            return QgsReferencedRectangle(settings.visibleExtent(), settings.destinationCrs())
        if self.kind() == DRAWN:
            return self._drawn
        mask = self.mask()
        if mask is None:
            return None
        return QgsReferencedRectangle(self._bounds(mask), mask.crs())

    def mask_source(self) -> QgsProcessingFeatureSourceDefinition | None:
        """The polygons as the algorithm takes them."""
        mask = self.mask()
        if mask is None:
            return None
        return QgsProcessingFeatureSourceDefinition(mask.id(), self.selected.isChecked())

    def mask(self) -> QgsVectorLayer | None:
        """The layer whose polygons are meant."""
        return self.polygons.currentLayer() if self.kind() == POLYGONS else None

    def problem(self, layer: QgsRasterLayer) -> str:
        """What is missing or wrong about the choice; empty where nothing is."""
        if self.kind() == WHOLE:
            return ""
        if self.kind() == POLYGONS and self.mask() is None:
            return _tr("Choose the polygon layer to stay inside of.")
        if self.kind() == POLYGONS and self._nothing_selected():
            return _tr("No polygon is selected. Select some, or take all of the layer.")
        if self.rectangle() is None:
            return _tr("Drag a rectangle on the map with the left mouse button.")
        if self.within(layer).isEmpty():
            return _tr("The chosen area holds nothing of the layer. Choose another one.")
        return ""

    def within(self, layer: QgsRasterLayer) -> QgsRectangle:
        """The part of the layer that is chosen, in the CRS of the layer; empty where none is."""
        chosen = self.rectangle()
        if chosen is None:
            return QgsRectangle(layer.extent()) if self.kind() == WHOLE else QgsRectangle()
        box = in_crs(chosen, layer.crs())
        return QgsRectangle() if box is None else box.intersect(layer.extent())

    def tell(self, text: str) -> None:
        """Show a line about the choice."""
        self.told.setText(text)
        self.told.setVisible(bool(text))

    def close_tool(self) -> None:
        """Leave the map as it was."""
        self._canvas.extentsChanged.disconnect(self._canvas_moved)
        self._canvas.destinationCrsChanged.disconnect(self._outline)
        self._end_drawing()
        self._erase()
        self._tool.deleteLater()  # it belongs to the map

    def _take_selection(self) -> None:
        """Polygons that somebody has selected are most likely meant."""
        offered = (self.polygons.layer(each) for each in range(self.polygons.count()))
        for layer in offered:
            if layer is not None and layer.selectedFeatureCount():
                self.polygons.setLayer(layer)
                self.selected.setChecked(True)
                return

    def _take_layer(self, layer: QgsVectorLayer | None) -> None:
        if layer is not None and layer.id() not in self._watched:
            self._watched.add(layer.id())
            layer.selectionChanged.connect(self._change_selection)
        self.changed.emit()

    def _change_selection(self) -> None:
        if self.kind() == POLYGONS and self.selected.isChecked():
            self.changed.emit()

    def _nothing_selected(self) -> bool:
        mask = self.mask()
        return self.selected.isChecked() and mask is not None and not mask.selectedFeatureCount()

    def _bounds(self, mask: QgsVectorLayer) -> QgsRectangle:
        is_part = self.selected.isChecked()
        return mask.boundingBoxOfSelected() if is_part else mask.extent()

    def _choose(self, _index: int) -> None:
        self._show_controls()
        if self.kind() == POLYGONS and self.polygons.currentLayer() is None:
            self._take_selection()
        if self.kind() == DRAWN and self._drawn is None:
            self._begin_drawing()
        elif self.kind() != DRAWN:
            self._end_drawing()
        self.changed.emit()

    def _show_controls(self) -> None:
        self.draw.setVisible(self.kind() == DRAWN)
        self.polygons.setVisible(self.kind() == POLYGONS)
        self.selected.setVisible(self.kind() == POLYGONS)
        if self._band is not None:
            self._band.setVisible(self.kind() == DRAWN)

    def _begin_drawing(self) -> None:
        if self._canvas.mapTool() is not self._tool:
            self._tool_before = self._canvas.mapTool()
        self._canvas.setMapTool(self._tool)

    def _end_drawing(self) -> None:
        self._tool.clearRubberBand()
        if self._canvas.mapTool() is self._tool:
            self._canvas.unsetMapTool(self._tool)
            if self._tool_before is not None:
                self._canvas.setMapTool(self._tool_before)
        self._tool_before = None

    def _take(self, box: QgsRectangle) -> None:
        if box.isEmpty():
            return
        crs = self._canvas.mapSettings().destinationCrs()
        self._drawn = QgsReferencedRectangle(box, crs)
        self._end_drawing()
        self._outline()
        self.changed.emit()

    def _outline(self) -> None:
        """Show the rectangle where it lies in the CRS of the map, which may be a new one."""
        self._erase()
        if self._drawn is None:
            return
        self._band = QgsRubberBand(self._canvas, QgsWkbTypes.GeometryType.PolygonGeometry)
        self._band.setStrokeColor(QColor(200, 40, 40))
        self._band.setFillColor(QColor(0, 0, 0, 0))
        self._band.setWidth(2)
        self._band.setToGeometry(QgsGeometry.fromRect(self._drawn), self._drawn.crs())
        self._band.setVisible(self.kind() == DRAWN)

    def _erase(self) -> None:
        if self._band is not None:
            self._canvas.scene().removeItem(self._band)
            self._band = None

    def _canvas_moved(self) -> None:
        if self.kind() == CANVAS:
            self.changed.emit()


def in_crs(box: QgsReferencedRectangle, crs: QgsCoordinateReferenceSystem) -> QgsRectangle | None:
    """A rectangle in another CRS, None where it cannot be told there."""
    if not crs.isValid() or not box.crs().isValid():
        return QgsRectangle(box)
    try:
        way = QgsCoordinateTransform(box.crs(), crs, QgsProject.instance())
        return way.transformBoundingBox(QgsRectangle(box))
    except QgsCsException:
        return None
