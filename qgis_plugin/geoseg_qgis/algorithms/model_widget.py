# SPDX-License-Identifier: GPL-2.0-or-later
"""A list of model names that takes the path of a file as well, for the dialogs of the toolbox."""

# ruff: noqa: N802  (names that QGIS calls)

from __future__ import annotations

from typing import Any

from processing.gui.wrappers import WidgetWrapper
from qgis.gui import QgsGui
from qgis.PyQt.QtWidgets import QComboBox, QFileDialog, QHBoxLayout, QToolButton, QWidget

from ..catalogue import remembered
from ..words import translated as _tr

__all__ = ["ModelWidget"]

USUAL = ("sentinel2-landcover", "landsat8-crops", "demo-landscape")
"""Offered as long as the engine was never asked."""


class ModelWidget(WidgetWrapper):
    """Names to choose from, or a path to write or to look for.

    In the model designer it is the usual widget, which can take the name from other steps.
    """

    def __new__(cls, parameter: Any, dialog: Any, *place: int, **more: Any) -> Any:
        """Make the widget for a dialog."""
        # Processing itself knows its dialogs by these names.
        if type(dialog).__name__ != "ModelerParametersDialog":
            return super().__new__(cls, parameter, dialog, *place, **more)
        return QgsGui.processingGuiRegistry().createModelerParameterWidget(
            dialog.model, dialog.childId, parameter, dialog.context
        )

    def createWidget(self) -> QWidget:
        """Make the list and the button beside it."""
        self._names = QComboBox()
        self._names.setEditable(True)
        self._names.addItems([str(each["name"]) for each in remembered()] or USUAL)
        self._names.setCurrentText("")
        button = QToolButton()
        button.setText("…")
        button.clicked.connect(self._look)
        widget = QWidget()
        layout = QHBoxLayout(widget)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._names, 1)
        layout.addWidget(button)
        self._names.currentTextChanged.connect(lambda: self.widgetValueHasChanged.emit(self))
        return widget

    def setValue(self, value: Any) -> None:
        """Show a name or path."""
        self._names.setCurrentText("" if value is None else str(value))

    def value(self) -> str:
        """What is chosen."""
        return str(self._names.currentText()).strip()

    def _look(self) -> None:
        path, _ = QFileDialog.getOpenFileName(
            self.widget, _tr("Model file"), "", _tr("Models (*.safetensors);;All files (*)")
        )
        if path:
            self.setValue(path)
