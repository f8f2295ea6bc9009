# SPDX-License-Identifier: GPL-2.0-or-later
"""How good a class map is: against labels of the same place."""

# ruff: noqa: N802  (names that QGIS calls)

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from qgis.core import (
    QgsProcessingContext,
    QgsProcessingFeedback,
    QgsProcessingOutputHtml,
    QgsProcessingOutputNumber,
    QgsProcessingParameterFolderDestination,
    QgsProcessingParameterRasterLayer,
)

from ..engine import commands
from .base import EngineAlgorithm, workspace
from .models import model_parameter

__all__ = ["Evaluate"]


class Evaluate(EngineAlgorithm):
    """Score a class map against a labelled raster of the same place."""

    def name(self) -> str:
        """Id within the provider."""
        return "evaluate"

    def displayName(self) -> str:
        """Name in the toolbox."""
        return self.tr("Evaluate map")

    def shortDescription(self) -> str:
        """One line for tool tips."""
        return self.tr("Scores a class map against labels: mIoU, accuracy, confusion matrix.")

    def tags(self) -> list[str]:
        """Words that find it."""
        return self.tr("accuracy,miou,iou,confusion matrix,kappa,validation,truth").split(",")

    def shortHelpString(self) -> str:
        """What the dialog shows beside the parameters."""
        return self.tr(
            "<p>Compares a class map with labels of the same place, pixel by pixel.</p>"
            "<h3>What it takes</h3>"
            "<p><b>Class map</b>: from <i>Segment raster</i>, or any raster of class values.<br>"
            "<b>Labels</b>: a raster of the same class values on the same grid. What the labels "
            "leave open (no data) is not counted.<br>"
            "<b>Model</b>: where class names are taken from, if the map does not hold them.</p>"
            "<h3>What it gives</h3>"
            "<p>A <b>report</b> with scores of each class, the confusion matrix and a map of "
            "differences, shown in the results viewer, and the numbers <b>mIoU</b> (mean of "
            "intersection over union) and <b>overall accuracy</b>, both from 0 to 1.</p>"
        )

    def initAlgorithm(self, configuration: Mapping[str, Any] | None = None) -> None:
        """Declare parameters and outputs."""
        self.addParameter(QgsProcessingParameterRasterLayer("INPUT", self.tr("Class map")))
        self.addParameter(QgsProcessingParameterRasterLayer("TRUTH", self.tr("Labels")))
        self.addParameter(model_parameter(self.tr("Model (for class names)"), is_optional=True))
        self.addParameter(
            QgsProcessingParameterFolderDestination("OUTPUT", self.tr("Folder of the report"))
        )
        self.addOutput(QgsProcessingOutputHtml("REPORT", self.tr("Report")))
        self.addOutput(QgsProcessingOutputNumber("MIOU", self.tr("mIoU")))
        self.addOutput(QgsProcessingOutputNumber("ACCURACY", self.tr("Overall accuracy")))

    def prepareAlgorithm(
        self,
        parameters: Mapping[str, Any],
        context: QgsProcessingContext,
        feedback: QgsProcessingFeedback,
    ) -> bool:
        """Take what belongs to layers, in their thread."""
        self._map = self.take(parameters, "INPUT", context)
        self._truth = self.take(parameters, "TRUTH", context)
        return super().prepareAlgorithm(parameters, context, feedback)

    def processAlgorithm(
        self,
        parameters: Mapping[str, Any],
        context: QgsProcessingContext,
        feedback: QgsProcessingFeedback,
    ) -> dict[str, Any]:
        """Compare."""
        self.refuse_impossible(parameters)
        folder = Path(self.parameterAsString(parameters, "OUTPUT", context))
        with workspace() as exports:
            command = commands.Evaluate(
                predicted=self.file_of(self._map, exports, context, feedback).path,
                truth=self.file_of(self._truth, exports, context, feedback).path,
                model=self.parameterAsString(parameters, "MODEL", context).strip(),
                report=str(folder),
                overwrite=True,
            )
            done = self.run_engine(command.arguments(), feedback, {})
        self._tell(done, feedback)
        return {
            "OUTPUT": str(folder),
            "REPORT": str(folder / "index.html"),
            "MIOU": done["mIoU"],
            "ACCURACY": done["overall_accuracy"],
        }

    def _tell(self, done: Mapping[str, Any], feedback: QgsProcessingFeedback) -> None:
        for each in done["classes"]:
            if each["IoU"] is not None:
                feedback.pushInfo(self.tr("{}: IoU {:.3f}").format(each["name"], each["IoU"]))
        feedback.pushInfo(
            self.tr("mIoU {:.3f}, overall accuracy {:.3f} over {:,} pixels").format(
                done["mIoU"], done["overall_accuracy"], done["pixels"]
            )
        )
