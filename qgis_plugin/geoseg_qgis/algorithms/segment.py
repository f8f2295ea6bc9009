# SPDX-License-Identifier: GPL-2.0-or-later
"""Imagery in, class map and polygons out."""

# ruff: noqa: N802  (names that QGIS calls)

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from qgis.core import (
    QgsCoordinateReferenceSystem,
    QgsCoordinateTransform,
    QgsCsException,
    QgsFeatureRequest,
    QgsProcessing,
    QgsProcessingContext,
    QgsProcessingException,
    QgsProcessingFeatureSource,
    QgsProcessingFeedback,
    QgsProcessingOutputString,
    QgsProcessingParameterEnum,
    QgsProcessingParameterExtent,
    QgsProcessingParameterFeatureSource,
    QgsProcessingParameterNumber,
    QgsProcessingParameterRasterDestination,
    QgsProcessingParameterRasterLayer,
    QgsProcessingParameterString,
    QgsProcessingParameterVectorDestination,
    QgsRectangle,
)

from .. import sources
from ..engine import commands
from .base import EngineAlgorithm, Loaded, advanced, is_temporary, workspace
from .models import bands_for, brief, model_parameter

__all__ = ["Segment"]

WHOLE = QgsProcessingParameterNumber.Type.Integer
REAL = QgsProcessingParameterNumber.Type.Double

BLENDS = ("auto", "crop", "hann", "mean")
VIEWS = ("none", "flips", "d4")


class Segment(EngineAlgorithm):
    """Classify every pixel of a raster layer."""

    def name(self) -> str:
        """Id within the provider."""
        return "segment"

    def displayName(self) -> str:
        """Name in the toolbox."""
        return self.tr("Segment raster")

    def shortDescription(self) -> str:
        """One line for tool tips."""
        return self.tr("Classifies every pixel of an image and makes polygons of the classes.")

    def tags(self) -> list[str]:
        """Words that find it."""
        return self.tr(
            "classify,segmentation,land cover,deep learning,predict,polygons,satellite,aerial"
        ).split(",")

    def shortHelpString(self) -> str:
        """What the dialog shows beside the parameters."""
        return self.tr(
            "<p>Classifies every pixel of an image with a trained model. The class map and the "
            "polygons come with the model's colours and class names.</p>"
            "<h3>What it takes</h3>"
            "<p><b>Image</b>: a raster layer. Layers that only QGIS can read, such as web maps, "
            "are exported first; those need an extent and a pixel size.<br>"
            "<b>Model</b>: the name of one that comes with geoseg, or a model file "
            "(.safetensors). <i>Model information</i> tells which bands and pixel sizes it was "
            "made for.<br>"
            "<b>Bands</b>: which bands of the image are the model's, in the model's order, by "
            "the file's own number or by name: <code>4,3,2</code>. Empty: matched by name, or "
            "taken in order where the image has as many bands as the model and names none; bands "
            "that are marked as transparency are left out.<br>"
            "<b>Extent</b>, <b>Mask polygons</b>: only there; the rest is no data.<br>"
            "<b>Smallest area</b>: smaller regions go to their neighbours. <b>Simplify</b>: "
            "boundaries of polygons may move by so many pixels.</p>"
            "<h3>What it gives</h3>"
            "<p><b>Class map</b>: a GeoTIFF of class values. <b>Polygons</b>: with class_id, "
            "class_name, area and perimeter. <b>Confidence</b>: the probability of the class that "
            "was chosen.</p>"
            "<p>A cancelled run goes on from where it was when it is started again with the same "
            "image, settings and output files; one to a temporary class map starts anew.</p>"
        )

    def initAlgorithm(self, configuration: Mapping[str, Any] | None = None) -> None:
        """Declare parameters and outputs."""
        self._declare_inputs()
        self._declare_advanced()
        self.addParameter(QgsProcessingParameterRasterDestination("OUTPUT", self.tr("Class map")))
        self.addParameter(
            QgsProcessingParameterVectorDestination(
                "POLYGONS",
                self.tr("Polygons"),
                QgsProcessing.SourceType.TypeVectorPolygon,
                optional=True,
                createByDefault=True,
            )
        )
        self.addParameter(
            QgsProcessingParameterRasterDestination(
                "CONFIDENCE", self.tr("Confidence"), optional=True, createByDefault=False
            )
        )
        self.addOutput(QgsProcessingOutputString("CLASSES", self.tr("Classes as JSON")))

    def _declare_inputs(self) -> None:
        self.addParameter(QgsProcessingParameterRasterLayer("INPUT", self.tr("Image")))
        self.addParameter(model_parameter(self.tr("Model")))
        self.addParameter(
            QgsProcessingParameterString(
                "BANDS",
                self.tr("Bands, in the model's order (such as 4,3,2)"),
                optional=True,
            )
        )
        self.addParameter(QgsProcessingParameterExtent("EXTENT", self.tr("Extent"), optional=True))
        self.addParameter(
            QgsProcessingParameterFeatureSource(
                "MASK",
                self.tr("Mask polygons"),
                [QgsProcessing.SourceType.TypeVectorPolygon],
                optional=True,
            )
        )
        self._number(
            "PIXEL_SIZE",
            self.tr("Pixel size of exported layers (map units)"),
            None,
        )
        self._number("MIN_AREA", self.tr("Smallest area of a region (square metres)"), 0.0)
        self._number("SIMPLIFY", self.tr("Simplify polygons by at most (pixels)"), 0.0)

    def _number(self, name: str, description: str, default: float | None) -> None:
        self.addParameter(
            QgsProcessingParameterNumber(
                name, description, REAL, default, optional=default is None, minValue=0.0
            )
        )

    def _declare_advanced(self) -> None:
        for name, text in (
            ("WINDOW", self.tr("Side of a window (pixels; by memory where empty)")),
            ("HALO", self.tr("Context around a window (pixels; by the model where empty)")),
        ):
            self.addParameter(
                advanced(
                    QgsProcessingParameterNumber(
                        name,
                        text,
                        WHOLE,
                        None,
                        optional=True,
                        minValue=0,
                    )
                )
            )
        for name, text, choices in (
            ("BLEND", self.tr("How windows are joined"), BLENDS),
            ("VIEWS", self.tr("Mean of mirrored (flips) or turned (d4) windows"), VIEWS),
        ):
            self.addParameter(
                advanced(
                    QgsProcessingParameterEnum(
                        name, text, list(choices), False, choices[0], False, True
                    )
                )
            )
        for name, text, default in (
            ("GSD", self.tr("Resample to metres a pixel (auto, native or a number)"), "auto"),
            ("DEVICE", self.tr("Device (auto, cpu, cuda, cuda:0,cuda:1)"), "auto"),
            ("MEMORY", self.tr("Memory (such as 4GB; half of what is free where empty)"), ""),
        ):
            self.addParameter(
                advanced(QgsProcessingParameterString(name, text, default, optional=True))
            )

    def checkParameterValues(
        self, parameters: Mapping[str, Any], context: QgsProcessingContext
    ) -> tuple[bool, str]:
        """Refuse what cannot be meant before anything is done."""
        able, message = super().checkParameterValues(parameters, context)
        message = message if not able else self._refused_extent(parameters, context)
        return not message, message

    def prepareAlgorithm(
        self,
        parameters: Mapping[str, Any],
        context: QgsProcessingContext,
        feedback: QgsProcessingFeedback,
    ) -> bool:
        """Take what belongs to layers, in their thread."""
        self._taken = self.take(parameters, "INPUT", context)
        self._mask = self.parameterAsSource(parameters, "MASK", context)
        if self._mask is not None:
            # A copy, for with its layer, which somebody may remove, a source goes as well.
            unchecked = QgsFeatureRequest.InvalidGeometryCheck.GeometryNoCheck
            self._mask.setInvalidGeometryCheck(unchecked)
            self._polygons = self._mask.materialize(QgsFeatureRequest().setNoAttributes())
            self._mask = QgsProcessingFeatureSource(self._polygons, context)
        return super().prepareAlgorithm(parameters, context, feedback)

    def processAlgorithm(
        self,
        parameters: Mapping[str, Any],
        context: QgsProcessingContext,
        feedback: QgsProcessingFeedback,
    ) -> dict[str, Any]:
        """Classify."""
        self.refuse_impossible(parameters)
        if self._mask is None and parameters.get("MASK"):
            raise QgsProcessingException(self.invalidSourceError(parameters, "MASK"))
        # All of them before anything that takes long: layers among them may be gone after it.
        model = self.parameterAsString(parameters, "MODEL", context).strip()
        stated = self.parameterAsString(parameters, "BANDS", context)
        area = self._extent(parameters, context)
        size = self.parameterAsDouble(parameters, "PIXEL_SIZE", context)
        told = {**self._tuning(parameters, context), **self._outputs(parameters, context)}
        self._is_temporary = is_temporary(told["output"])
        card = self.ask_engine(brief(model), feedback)
        bands = bands_for(card, self._taken.name, self._taken.bands, stated)
        with workspace() as folder:
            told.update(
                model=model,
                bands=bands,
                **self._place(area, size, context, feedback, folder),
            )
            shares = {"block": (0.0, 90.0), "row": (90.0, 100.0)} if told["polygons"] else {}
            done = self.run_engine(commands.Segment(**told).arguments(), feedback, shares)
        return self._results(told, done, context)

    def cancelled(self) -> str:
        """What to say when the user stopped it."""
        if self._is_temporary:
            return self.tr(
                "cancelled; nothing is kept of a run to a temporary class map, choose a file to be "
                "able to go on with one"
            )
        return self.tr(
            "cancelled; the same run with the same output file goes on from where it was"
        )

    def _place(
        self,
        area: tuple[QgsRectangle | None, QgsCoordinateReferenceSystem],
        size: float,
        context: QgsProcessingContext,
        feedback: QgsProcessingFeedback,
        folder: Path,
    ) -> dict[str, Any]:
        """What is classified: source, box and mask."""
        extent, crs = area
        region = sources.Region(self._in_layer(extent, crs, context), size or None)
        source = sources.write(self._taken, folder, region, context.transformContext(), feedback)
        place: dict[str, Any] = {"source": source.path, "assume_crs": source.assume_crs}
        if extent is not None and not source.is_temporary:
            place["bbox"] = (
                extent.xMinimum(), extent.yMinimum(), extent.xMaximum(), extent.yMaximum(),
            )  # fmt: skip
            place["bbox_crs"] = sources.crs_text(crs)
        if self._mask is not None:
            place["mask"] = self._write_mask(folder, feedback)
        return place

    def _refused_extent(self, parameters: Mapping[str, Any], context: QgsProcessingContext) -> str:
        """Why an extent cannot be meant; empty where it can, or none is given."""
        if not parameters.get("EXTENT"):
            return ""
        if not self.parameterAsExtent(parameters, "EXTENT", context).isEmpty():
            return ""
        return self.tr(
            "Extent (EXTENT) holds nothing: it has no width or no height, or is that of an empty "
            "layer; choose another one, or leave it empty for the whole image"
        )

    def _extent(
        self, parameters: Mapping[str, Any], context: QgsProcessingContext
    ) -> tuple[QgsRectangle | None, QgsCoordinateReferenceSystem]:
        refused = self._refused_extent(parameters, context)
        if refused:  # models do not ask beforehand
            raise QgsProcessingException(refused)
        extent = self.parameterAsExtent(parameters, "EXTENT", context)
        if extent.isEmpty():
            return None, QgsCoordinateReferenceSystem()
        crs = self.parameterAsExtentCrs(parameters, "EXTENT", context)
        return extent, crs if crs.isValid() and self._taken.crs.isValid() else self._taken.crs

    def _in_layer(
        self,
        extent: QgsRectangle | None,
        crs: QgsCoordinateReferenceSystem,
        context: QgsProcessingContext,
    ) -> QgsRectangle | None:
        if extent is None or crs == self._taken.crs:
            return extent
        transform = QgsCoordinateTransform(crs, self._taken.crs, context.transformContext())
        try:
            return transform.transformBoundingBox(extent)
        except QgsCsException as error:
            raise QgsProcessingException(
                self.tr(
                    "Extent (EXTENT) cannot be told in {}, the coordinate system of layer “{}”; "
                    "choose one that meets the layer"
                ).format(sources.crs_text(self._taken.crs)[:60], self._taken.name)
            ) from error

    def _write_mask(self, folder: Path, feedback: QgsProcessingFeedback) -> str:
        path = folder / "mask.gpkg"
        if not sources.write_features(self._mask, path, self._taken.crs, feedback):
            raise QgsProcessingException(
                self.tr(
                    "the mask layer “{}” has no polygons, or none is selected; select some, or "
                    "choose another layer"
                ).format(self._mask.sourceName())
            )
        return str(path)

    def _tuning(
        self, parameters: Mapping[str, Any], context: QgsProcessingContext
    ) -> dict[str, Any]:
        """How it is done; what is left alone is not told."""
        tuning: dict[str, Any] = {
            name.lower(): self.parameterAsDouble(parameters, name, context)
            for name in ("MIN_AREA", "SIMPLIFY")
        }
        for name in ("WINDOW", "HALO"):
            if parameters.get(name) is not None:
                tuning[name.lower()] = self.parameterAsInt(parameters, name, context)
        for name, usual in (("BLEND", "auto"), ("VIEWS", "none")):
            value = self.parameterAsEnumString(parameters, name, context)
            if value and value != usual:
                tuning[name.lower()] = value
        for name, usual in (("GSD", "auto"), ("DEVICE", "auto"), ("MEMORY", "")):
            value = self.parameterAsString(parameters, name, context).strip()
            if value and value != usual:
                tuning[name.lower()] = value
        return tuning

    def _outputs(
        self, parameters: Mapping[str, Any], context: QgsProcessingContext
    ) -> dict[str, Any]:
        paths = {
            "output": self.destination(parameters, "OUTPUT", context),
            "polygons": self.destination(parameters, "POLYGONS", context),
            "confidence": self.destination(parameters, "CONFIDENCE", context),
        }
        # The dialogs of QGIS have asked whether a file that is there may go.
        return {**paths, "overwrite": True}

    def _results(
        self, told: Mapping[str, Any], done: Mapping[str, Any], context: QgsProcessingContext
    ) -> dict[str, Any]:
        run: list[Loaded] = []
        title = self._taken.name
        confidence = Loaded((), 0, run)
        classmap = Loaded(done["classes"], 1, run)
        polygons = Loaded(done["classes"], 2, run)
        for path, loaded, name in (
            (told["output"], classmap, self.tr("{}: classes")),
            (told["polygons"], polygons, self.tr("{}: polygons")),
            (told["confidence"], confidence, self.tr("{}: confidence")),
        ):
            self.load_with(loaded, path, name.format(title), context)
        wanted = {
            name: told[name.lower()] for name in ("POLYGONS", "CONFIDENCE") if told[name.lower()]
        }
        classes = json.dumps(done["classes"], ensure_ascii=False)
        return {"OUTPUT": told["output"], **wanted, "CLASSES": classes}
