# SPDX-License-Identifier: GPL-2.0-or-later
"""A class map in, polygons out."""

# ruff: noqa: N802  (names that QGIS calls)

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from qgis.core import (
    QgsProcessing,
    QgsProcessingContext,
    QgsProcessingException,
    QgsProcessingFeedback,
    QgsProcessingOutputString,
    QgsProcessingParameterBand,
    QgsProcessingParameterBoolean,
    QgsProcessingParameterEnum,
    QgsProcessingParameterNumber,
    QgsProcessingParameterRasterLayer,
    QgsProcessingParameterString,
    QgsProcessingParameterVectorDestination,
)

from .. import sources
from ..engine import commands
from .base import EngineAlgorithm, Loaded, advanced, workspace

__all__ = ["Polygonize"]

CONNECTIVITIES = ("4", "8")


class Polygonize(EngineAlgorithm):
    """Make polygons of the regions of a class map."""

    def name(self) -> str:
        """Id within the provider."""
        return "polygonize"

    def displayName(self) -> str:
        """Name in the toolbox."""
        return self.tr("Polygonize class map")

    def shortDescription(self) -> str:
        """One line for tool tips."""
        return self.tr("Makes polygons of the regions of a class map.")

    def tags(self) -> list[str]:
        """Words that find it."""
        return self.tr("vectorize,polygons,contours,classes,simplify,sieve,buildings").split(",")

    def shortHelpString(self) -> str:
        """What the dialog shows beside the parameters."""
        return self.tr(
            "<p>Makes a polygon of every region of equal class. Neighbours share their boundaries, "
            "also when they are simplified: there are no gaps and no overlaps.</p>"
            "<h3>What it takes</h3>"
            "<p><b>Class map</b>: a raster of class values, from <i>Segment raster</i> or of any "
            "other origin. Names and colours are taken from it.<br>"
            "<b>Smallest area</b>: smaller regions go to their neighbours. <b>Simplify</b>: "
            "boundaries may move by so many pixels.<br>"
            "<b>Only these classes</b>: names or values, as in <code>building,road</code>.<br>"
            "<b>Square corners</b>: for buildings; name their class above. Polygons then do not "
            "fit together any more.<br>"
            "<b>Confidence</b>: a raster on the same grid, averaged by polygon.</p>"
            "<h3>What it gives</h3>"
            "<p><b>Polygons</b> with class_id, class_name, area and perimeter, in the colours of "
            "the classes.</p>"
        )

    def initAlgorithm(self, configuration: Mapping[str, Any] | None = None) -> None:
        """Declare parameters and outputs."""
        self.addParameter(QgsProcessingParameterRasterLayer("INPUT", self.tr("Class map")))
        self.addParameter(
            QgsProcessingParameterBand("BAND", self.tr("Band"), 1, "INPUT", optional=True)
        )
        for name, text in (
            ("MIN_AREA", self.tr("Smallest area of a region (square metres)")),
            ("SIMPLIFY", self.tr("Simplify polygons by at most (pixels)")),
        ):
            real = QgsProcessingParameterNumber.Type.Double
            self.addParameter(QgsProcessingParameterNumber(name, text, real, 0.0, minValue=0.0))
        self.addParameter(
            QgsProcessingParameterString(
                "ONLY", self.tr("Only these classes (names or values)"), optional=True
            )
        )
        self.addParameter(
            QgsProcessingParameterRasterLayer(
                "CONFIDENCE", self.tr("Confidence, to be averaged by polygon"), optional=True
            )
        )
        self.addParameter(
            QgsProcessingParameterBoolean(
                "REGULARIZE", self.tr("Square corners, for buildings"), False
            )
        )
        self.addParameter(
            advanced(
                QgsProcessingParameterEnum(
                    "CONNECTIVITY",
                    self.tr("Pixels that touch at a corner only: apart (4) or one region (8)"),
                    list(CONNECTIVITIES),
                    False,
                    CONNECTIVITIES[0],
                    False,
                    True,
                )
            )
        )
        self.addParameter(
            advanced(
                QgsProcessingParameterBoolean(
                    "WITH_NODATA", self.tr("Polygons of pixels without data, too"), False
                )
            )
        )
        self.addParameter(
            QgsProcessingParameterVectorDestination(
                "OUTPUT", self.tr("Polygons"), QgsProcessing.SourceType.TypeVectorPolygon
            )
        )
        self.addOutput(QgsProcessingOutputString("CLASSES", self.tr("Classes as JSON")))

    def prepareAlgorithm(
        self,
        parameters: Mapping[str, Any],
        context: QgsProcessingContext,
        feedback: QgsProcessingFeedback,
    ) -> bool:
        """Take what belongs to layers, in their thread."""
        self._taken = self.take(parameters, "INPUT", context)
        given = parameters.get("CONFIDENCE")
        self._confidence = self.take(parameters, "CONFIDENCE", context) if given else None
        return super().prepareAlgorithm(parameters, context, feedback)

    def processAlgorithm(
        self,
        parameters: Mapping[str, Any],
        context: QgsProcessingContext,
        feedback: QgsProcessingFeedback,
    ) -> dict[str, Any]:
        """Make polygons."""
        self.refuse_impossible(parameters)
        output = self.destination(parameters, "OUTPUT", context)
        self._refuse_relocated()
        with workspace() as folder:
            source = self.file_of(self._taken, folder, context, feedback)
            confidence = ""
            if self._confidence is not None:
                confidence = self.file_of(self._confidence, folder, context, feedback).path
            command = commands.Polygonize(
                source=source.path,
                output=output,
                confidence=confidence,
                assume_crs=source.assume_crs,
                **self._choices(parameters, context),
            )
            done = self.run_engine(command.arguments(), feedback, {})
        loaded = Loaded(done["classes"], 1, [])
        self.load_with(loaded, output, self.tr("{}: polygons").format(self._taken.name), context)
        return {"OUTPUT": output, "CLASSES": json.dumps(done["classes"], ensure_ascii=False)}

    def _refuse_relocated(self) -> None:
        """Refuse a layer that would be exported for its coordinate system.

        No export of QGIS holds the names and colours of the file's classes.
        """
        if self._taken.is_relocated:
            raise QgsProcessingException(
                self.tr(
                    "layer “{}” is set to {}, but its file says {}; set the layer back, or give "
                    "the file that coordinate system with “Assign projection”"
                ).format(
                    self._taken.name,
                    sources.crs_text(self._taken.crs)[:60],
                    sources.crs_text(self._taken.provider.crs())[:60],
                )
            )

    def _choices(
        self, parameters: Mapping[str, Any], context: QgsProcessingContext
    ) -> dict[str, Any]:
        several = len(self._taken.bands) > 1
        band = self.parameterAsInt(parameters, "BAND", context)
        only = self.parameterAsString(parameters, "ONLY", context)
        return {
            "band": str(band) if several and band else "",
            "min_area": self.parameterAsDouble(parameters, "MIN_AREA", context),
            "simplify": self.parameterAsDouble(parameters, "SIMPLIFY", context),
            "classes": ",".join(each.strip() for each in only.split(",") if each.strip()),
            "regularize": self.parameterAsBool(parameters, "REGULARIZE", context),
            "connectivity": int(self.parameterAsEnumString(parameters, "CONNECTIVITY", context)),
            "with_nodata": self.parameterAsBool(parameters, "WITH_NODATA", context),
            "overwrite": True,
        }
