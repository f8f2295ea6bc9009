# SPDX-License-Identifier: GPL-2.0-or-later
"""Where results go: one path for the class map, the others named after it."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from qgis.core import QgsMapLayer, QgsProcessing
from qgis.gui import QgsFileWidget
from qgis.PyQt.QtCore import pyqtSignal
from qgis.PyQt.QtWidgets import QLabel, QVBoxLayout, QWidget

from .notices import quiet
from .results import layers_in
from .words import translated as _tr

MAP, POLYGONS, CONFIDENCE = "OUTPUT", "POLYGONS", "CONFIDENCE"


class Outputs(QWidget):
    """Asks for the file of the class map; without one, all results are temporary."""

    changed = pyqtSignal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._wanted: list[str] = [MAP, POLYGONS]
        self.file = QgsFileWidget()
        self.file.setStorageMode(QgsFileWidget.StorageMode.SaveFile)
        self.file.setFilter(_tr("GeoTIFF (*.tif *.tiff)"))
        self.file.setDialogTitle(_tr("Save the class map as"))
        # Asked when the run begins, for a typed path and for the files beside it, too.
        self.file.setConfirmOverwrite(False)
        self.file.lineEdit().setPlaceholderText(_tr("Temporary file"))
        self.file.fileChanged.connect(self._change)
        self.told = quiet(QLabel())
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(3)
        column.addWidget(self.file)
        column.addWidget(self.told)
        self._change()

    def want(self, polygons: bool, confidence: bool) -> None:
        """Say which results there will be."""
        self._wanted = [MAP, *[POLYGONS] * polygons, *[CONFIDENCE] * confidence]
        self._change()

    def paths(self) -> dict[str, Path]:
        """Files to be written, by parameter; empty where results are temporary."""
        path = Path(self._text())
        return _beside(path, self._wanted) if path.name else {}

    def _text(self) -> str:
        return str(self.file.filePath()).strip()

    def parameters(self) -> dict[str, str]:
        """Destinations as the algorithm takes them."""
        paths = self.paths()
        return {name: str(paths.get(name, QgsProcessing.TEMPORARY_OUTPUT)) for name in self._wanted}

    def problem(self, needed: Sequence[QgsMapLayer | None]) -> str:
        """Why nothing can be written there; empty where it can.

        Parameters
        ----------
        needed : sequence of QgsMapLayer or None
            Layers that the run reads, whose files must stay.
        """
        paths = self.paths()
        if not paths:
            return _tr("Add the name of a file to the folder.") if self._text() else ""
        folder = paths[MAP].parent
        if not paths[MAP].is_absolute():
            return _tr("Give the whole path of the class map, or press … to choose it.")
        if not os.path.isdir(folder):  # unlike pathlib's it takes what no system would
            return _tr("The folder {} does not exist. Choose another one.").format(folder)
        for path in paths.values():
            for layer in layers_in([path], needed):
                return _tr(
                    "The layer {} is read from {}, which would be replaced. Choose another name."
                ).format(layer.name(), path)
        return ""

    def existing(self) -> list[Path]:
        """Files that a run would replace."""
        return [path for path in self.paths().values() if os.path.exists(path)]

    def _change(self, _path: str = "") -> None:
        self.told.setText(self._words(self.paths()))
        self.changed.emit()

    def _words(self, paths: Mapping[str, Path]) -> str:
        if not self._text():
            return _tr("Temporary results are gone when QGIS closes.")
        others = [path.name for name, path in paths.items() if name != MAP]
        if not others:
            return ""
        return _tr("Beside it: {}").format(", ".join(others))


def _beside(file: Path, wanted: list[str]) -> dict[str, Path]:
    if file.suffix.lower() not in (".tif", ".tiff"):
        file = file.with_name(f"{file.name}.tif")
    names = {
        MAP: file,
        POLYGONS: file.with_suffix(".gpkg"),
        CONFIDENCE: file.with_name(f"{file.stem}_confidence{file.suffix}"),
    }
    return {name: names[name] for name in wanted}
