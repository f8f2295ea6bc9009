# SPDX-License-Identifier: GPL-2.0-or-later
"""The options that most runs leave as they are, folded away."""

from __future__ import annotations

from typing import Any

from qgis.gui import QgsCollapsibleGroupBox, QgsDoubleSpinBox, QgsSpinBox
from qgis.PyQt.QtCore import pyqtSignal
from qgis.PyQt.QtWidgets import QCheckBox, QComboBox, QFormLayout, QLabel, QWidget

from .notices import quiet, shrinking
from .words import translated as _tr

LARGEST_WINDOW = 8192
LARGEST_HALO = 4096


class Tuning(QgsCollapsibleGroupBox):
    """What else to write, and how the network goes over the image."""

    changed = pyqtSignal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setTitle(_tr("More options"))
        self.polygons = QCheckBox(_tr("Polygons of the classes"))
        self.polygons.setChecked(True)
        self.polygons.toggled.connect(self._toggle)
        self.confidence = QCheckBox(_tr("Map of confidence"))
        self.confidence.setToolTip(
            _tr("A second raster: how sure the model is of each pixel, from 0 to 1")
        )
        self.confidence.toggled.connect(lambda _on: self.changed.emit())
        self.min_area = _decimal(_tr(" m²"), 1e9, _tr("keep all"))
        self.min_area.setToolTip(
            _tr("Smaller regions go to their neighbours, on the map and in the polygons")
        )
        self.simplify = _decimal(_tr(" pixels"), 100, _tr("off"))
        self.simplify.setSingleStep(0.5)
        self.simplify.setToolTip(
            _tr("Fewer vertices: boundaries may move by as much. 1 takes the steps away")
        )
        self.window = _whole(LARGEST_WINDOW, _tr("by memory"))
        self.window.setSingleStep(64)
        self.window.setToolTip(_tr("Side of the window that the network sees at once"))
        self.halo = _whole(LARGEST_HALO, _tr("as the model needs"), least=-1)
        self.halo.setToolTip(_tr("How far the network looks beyond the pixels it decides"))
        self.blend = _words(
            {
                "crop": _tr("Cut sharply (exact)"),
                "hann": _tr("Fade over (Hann)"),
                "mean": _tr("Average"),
            }
        )
        self.blend.setToolTip(_tr("What becomes of windows where they overlap"))
        self.views = _words(
            {
                "": _tr("As it is (fastest)"),
                "flips": _tr("Mirrored too (4 × slower)"),
                "d4": _tr("Mirrored and turned (8 × slower)"),
            }
        )
        self.views.setToolTip(_tr("More views of each place make a somewhat better map"))
        self.device = _words(
            {
                "auto": _tr("Automatic"),
                "cpu": _tr("Processor"),
                "cuda": _tr("Graphics card (CUDA)"),
            }
        )
        self._form()

    def parameters(self) -> dict[str, Any]:
        """Parameters of the algorithm that differ from its defaults; outputs are not among them."""
        told: dict[str, Any] = {
            "MIN_AREA": self.min_area.value() or None,
            "SIMPLIFY": (self.simplify.value() or None) if self.polygons.isChecked() else None,
            "WINDOW": self.window.value() or None,
            "HALO": None if self.halo.value() < 0 else self.halo.value(),
            "BLEND": None if self.blend.currentIndex() == 0 else self.blend.currentData(),
            "VIEWS": self.views.currentData() or None,
            "DEVICE": None if self.device.currentIndex() == 0 else self.device.currentData(),
        }
        return {name: value for name, value in told.items() if value is not None}

    def _form(self) -> None:
        form = QFormLayout(self)
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        form.setRowWrapPolicy(QFormLayout.RowWrapPolicy.WrapLongRows)
        form.addRow(self.polygons)
        form.addRow(_tr("Simplify polygons"), self.simplify)
        form.addRow(_tr("Smallest area"), self.min_area)
        form.addRow(self.confidence)
        form.addRow(quiet(QLabel(_tr("How the network goes over the image"))))
        form.addRow(_tr("Window"), self.window)
        form.addRow(_tr("Overlap"), self.halo)
        form.addRow(_tr("Edges"), self.blend)
        form.addRow(_tr("Views"), self.views)
        form.addRow(_tr("Compute on"), self.device)

    def _toggle(self, on: bool) -> None:
        self.simplify.setEnabled(on)
        self.changed.emit()


def _decimal(unit: str, most: float, at_zero: str) -> QgsDoubleSpinBox:
    box = QgsDoubleSpinBox()
    box.setRange(0, most)
    box.setDecimals(1)
    box.setSuffix(unit)
    box.setSpecialValueText(at_zero)
    box.setClearValue(0)
    return box


def _whole(most: int, at_least: str, least: int = 0) -> QgsSpinBox:
    box = QgsSpinBox()
    box.setRange(least, most)
    box.setSpecialValueText(at_least)
    box.setSuffix(" px")
    box.setValue(least)
    box.setClearValue(least)
    return box


def _words(choices: dict[str, str]) -> QComboBox:
    box = shrinking(QComboBox())
    for value, text in choices.items():
        box.addItem(text, value)
    return box
