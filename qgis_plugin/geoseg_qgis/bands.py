# SPDX-License-Identifier: GPL-2.0-or-later
"""Which band of the layer is which band of the model: a table with a choice in each row."""

from __future__ import annotations

from collections.abc import Sequence

from qgis.PyQt.QtCore import Qt, pyqtSignal
from qgis.PyQt.QtWidgets import QComboBox, QGridLayout, QLabel, QWidget

from .fitting import Band, bands_argument, suggested_bands
from .notices import shrinking
from .words import translated as _tr


class BandTable(QWidget):
    """One row for each band of the model; to begin with as the names of the bands tell."""

    changed = pyqtSignal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._grid = QGridLayout(self)
        self._grid.setContentsMargins(0, 0, 0, 0)
        self._grid.setVerticalSpacing(3)
        self._grid.setColumnStretch(1, 1)
        self._bands: Sequence[Band] = ()
        self._wanted: Sequence[str] = ()
        self._choices: list[QComboBox] = []

    def show_bands(self, bands: Sequence[Band], wanted: Sequence[str]) -> None:
        """Offer the bands of a layer for those a model wants; a choice made before is kept."""
        if (tuple(bands), tuple(wanted)) == (tuple(self._bands), tuple(self._wanted)):
            return
        self._bands, self._wanted = tuple(bands), tuple(wanted)
        self._empty()
        for row, (name, number) in enumerate(zip(wanted, suggested_bands(bands, wanted))):
            choice = self._choice(number)
            label = QLabel(name)
            label.setTextFormat(Qt.TextFormat.PlainText)
            label.setBuddy(choice)
            self._grid.addWidget(label, row, 0)
            self._grid.addWidget(choice, row, 1)
            self._choices.append(choice)
        self.changed.emit()

    def numbers(self) -> list[int | None]:
        """Number of the layer's band for each of the model's; None where none is chosen."""
        return [choice.currentData() for choice in self._choices]

    def choose(self, numbers: Sequence[int | None]) -> None:
        """Choose bands by their numbers."""
        for choice, number in zip(self._choices, numbers):
            choice.setCurrentIndex(choice.findData(number))

    def argument(self) -> str:
        """The mapping as the algorithm takes it; empty as long as a band is missing."""
        return bands_argument(self.numbers())

    def _choice(self, number: int | None) -> QComboBox:
        choice = shrinking(QComboBox())
        choice.addItem(_tr("Choose…"), None)
        for band in self._bands:
            choice.addItem(self._words(band), band.number)
        choice.setCurrentIndex(max(choice.findData(number), 0))
        choice.currentIndexChanged.connect(self.changed)
        return choice

    def _words(self, band: Band) -> str:
        text = _tr("Band {}").format(band.number)
        if band.is_alpha:
            return _tr("{} (transparency)").format(text)
        if band.name:
            return f"{text}: {band.name}"
        return f"{text} ({band.colour})" if band.colour else text

    def _empty(self) -> None:
        self._choices = []
        while self._grid.count():
            widget = self._grid.takeAt(0).widget()
            if widget is not None:
                widget.hide()
                widget.deleteLater()
