# SPDX-License-Identifier: GPL-2.0-or-later
"""The algorithms of geoseg in the toolbox."""

# ruff: noqa: N802  (names that QGIS calls)

from __future__ import annotations

from pathlib import Path

from qgis.core import QgsProcessingProvider
from qgis.PyQt.QtGui import QIcon

from .algorithms.evaluate import Evaluate
from .algorithms.model_info import ModelInfo
from .algorithms.polygonize import Polygonize
from .algorithms.segment import Segment
from .algorithms.train import Train
from .words import translated as _tr

__all__ = ["GeosegProvider"]

ICON = Path(__file__).resolve().parent / "icons" / "geoseg.svg"


class GeosegProvider(QgsProcessingProvider):
    """What geoseg adds to Processing."""

    def id(self) -> str:
        """Begin of the algorithms' ids."""
        return "geoseg"

    def name(self) -> str:
        """What users read."""
        return "geoseg"

    def longName(self) -> str:
        """The same, with more words."""
        return _tr("geoseg: semantic segmentation of imagery")

    def icon(self) -> QIcon:
        """The picture in the toolbox."""
        return QIcon(str(ICON))

    def svgIconPath(self) -> str:
        """The same as a file."""
        return str(ICON)

    def loadAlgorithms(self) -> None:
        """Add the algorithms; QGIS calls this."""
        for kind in (Segment, Polygonize, Evaluate, Train, ModelInfo):
            self.addAlgorithm(kind())

    def supportsNonFileBasedOutput(self) -> bool:
        """Another process writes files only."""
        return False

    def supportedOutputRasterLayerExtensions(self) -> list[str]:
        """What class maps are written as."""
        return ["tif"]

    def supportedOutputVectorLayerExtensions(self) -> list[str]:
        """What polygons are written as, the default first."""
        return ["gpkg", "fgb", "geojson"]

    def defaultVectorFileExtension(self, hasGeometry: bool = True) -> str:  # noqa: N803
        """For temporary outputs."""
        return "gpkg"
