# SPDX-License-Identifier: GPL-2.0-or-later
"""An image and labels of it in, a model out."""

# ruff: noqa: N802  (names that QGIS calls)

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from qgis.core import (
    QgsCategorizedSymbolRenderer,
    QgsFeatureRequest,
    QgsProcessing,
    QgsProcessingContext,
    QgsProcessingException,
    QgsProcessingFeatureSource,
    QgsProcessingFeedback,
    QgsProcessingOutputHtml,
    QgsProcessingOutputNumber,
    QgsProcessingOutputString,
    QgsProcessingParameterBoolean,
    QgsProcessingParameterFileDestination,
    QgsProcessingParameterMapLayer,
    QgsProcessingParameterNumber,
    QgsProcessingParameterRasterLayer,
    QgsProcessingParameterString,
    QgsRasterLayer,
    QgsVectorLayer,
)

from .. import sources
from ..engine import commands
from .base import EngineAlgorithm, advanced, is_temporary, workspace
from .labels import classes_of_raster, classes_of_vector, shown_in
from .models import brief

__all__ = ["Train"]


class Train(EngineAlgorithm):
    """Train a model from an image and labels of it."""

    def name(self) -> str:
        """Id within the provider."""
        return "train"

    def displayName(self) -> str:
        """Name in the toolbox."""
        return self.tr("Train a model")

    def shortDescription(self) -> str:
        """One line for tool tips."""
        return self.tr("Trains a model from an image layer and a layer of labels.")

    def tags(self) -> list[str]:
        """Words that find it."""
        return self.tr("training,learn,unet,labels,deep learning,supervised").split(",")

    def shortHelpString(self) -> str:
        """What the dialog shows beside the parameters."""
        return self.tr(
            "<p>Trains a small U-Net that classifies images like the one it was shown. A part of "
            "the image is held out: the model never sees it, and is scored on it.</p>"
            "<h3>What it takes</h3>"
            "<p><b>Image</b>: a raster layer; all its bands but transparency, or those under "
            "Bands.<br>"
            "<b>Labels</b>: a raster of class values on the image's grid, or polygons. Names and "
            "colours are those of the layer's style where it is paletted or categorised.<br>"
            "<b>Field</b>: name of the polygons' attribute that tells the class. Empty: the one by "
            "which the layer's style is categorised. Without such a style every polygon is of "
            "one class, and everything else is background.<br>"
            "<b>Steps</b>: more learn better and take longer. 2000 steps need minutes on a "
            "graphics card, and an hour or more without one.<br>"
            "<b>Held out</b>: the share of the image, at its eastern or northern end, that scores "
            "are computed on.</p>"
            "<h3>What it gives</h3>"
            "<p>A <b>model file</b> for <i>Segment raster</i>, a <b>report</b> beside it with "
            "curves, scores and samples, and the <b>mIoU</b> on the part that was held out.</p>"
            "<p>A cancelled training goes on when it is started again with <b>Go on</b> checked "
            "and the same model file.</p>"
        )

    def initAlgorithm(self, configuration: Mapping[str, Any] | None = None) -> None:
        """Declare parameters and outputs."""
        self._declare_inputs()
        self._declare_training()
        self.addParameter(
            QgsProcessingParameterFileDestination(
                "OUTPUT", self.tr("Model file"), self.tr("Models (*.safetensors)")
            )
        )
        self.addOutput(QgsProcessingOutputHtml("REPORT", self.tr("Report")))
        self.addOutput(QgsProcessingOutputNumber("MIOU", self.tr("mIoU of the held-out part")))
        self.addOutput(QgsProcessingOutputString("CLASSES", self.tr("Classes as JSON")))

    def _declare_inputs(self) -> None:
        kinds = [QgsProcessing.SourceType.TypeRaster, QgsProcessing.SourceType.TypeVectorPolygon]
        self.addParameter(QgsProcessingParameterRasterLayer("INPUT", self.tr("Image")))
        self.addParameter(
            QgsProcessingParameterString(
                "BANDS", self.tr("Bands by number (such as 1,2,3; all where empty)"), optional=True
            )
        )
        self.addParameter(QgsProcessingParameterMapLayer("LABELS", self.tr("Labels"), types=kinds))
        self.addParameter(
            # No parameter of fields: its widget crashes QGIS where the labels are a raster.
            QgsProcessingParameterString(
                "FIELD",
                self.tr("Field of the polygons' class (that of the layer's style where empty)"),
                optional=True,
            )
        )
        self.addParameter(
            QgsProcessingParameterBoolean(
                "BACKGROUND", self.tr("Where no polygon is, is background"), False
            )
        )

    def _declare_training(self) -> None:
        whole = QgsProcessingParameterNumber.Type.Integer
        real = QgsProcessingParameterNumber.Type.Double
        self.addParameter(
            QgsProcessingParameterNumber("STEPS", self.tr("Steps"), whole, 2000, minValue=1)
        )
        self.addParameter(
            QgsProcessingParameterNumber(
                "HELD_OUT", self.tr("Held out for scores (%)"), real, 20.0, False, 0.0, 80.0
            )
        )
        self.addParameter(
            advanced(
                QgsProcessingParameterNumber(
                    "WINDOW", self.tr("Side of a window (pixels)"), whole, 256, minValue=32
                )
            )
        )
        self.addParameter(
            advanced(
                QgsProcessingParameterNumber(
                    "BATCH", self.tr("Windows a step"), whole, 8, minValue=1
                )
            )
        )
        self.addParameter(
            advanced(
                QgsProcessingParameterString(
                    "DEVICE", self.tr("Device (auto, cpu, cuda)"), "auto", optional=True
                )
            )
        )
        self.addParameter(
            advanced(
                QgsProcessingParameterBoolean(
                    "RESUME", self.tr("Go on with a training that was stopped"), False
                )
            )
        )

    def prepareAlgorithm(
        self,
        parameters: Mapping[str, Any],
        context: QgsProcessingContext,
        feedback: QgsProcessingFeedback,
    ) -> bool:
        """Take what belongs to layers, in their thread."""
        self._image = self.take(parameters, "INPUT", context)
        layer = self.parameterAsLayer(parameters, "LABELS", context)
        self._field = self.parameterAsString(parameters, "FIELD", context).strip()
        self._labels: sources.Taken | None = None
        self._polygons: Any = None
        if isinstance(layer, QgsRasterLayer):
            self._labels = sources.take(layer)
        elif isinstance(layer, QgsVectorLayer):
            self._field = _spelt(self._field, layer) or _categorised_by(layer)
            self._polygons = self.parameterAsSource(parameters, "LABELS", context)
        else:
            raise QgsProcessingException(
                self.tr("the labels cannot be read; choose a raster or polygon layer")
            )
        self._shown = shown_in(layer, self._field)
        return super().prepareAlgorithm(parameters, context, feedback)

    def processAlgorithm(
        self,
        parameters: Mapping[str, Any],
        context: QgsProcessingContext,
        feedback: QgsProcessingFeedback,
    ) -> dict[str, Any]:
        """Train."""
        self.refuse_impossible(parameters)
        output = Path(self.parameterAsFileOutput(parameters, "OUTPUT", context))
        self._is_temporary = is_temporary(str(output))
        report = output.with_name(f"{output.stem}-report")
        with workspace() as folder:
            description = folder / "dataset.yaml"
            text = self._description(parameters, context, feedback, folder)
            description.write_text(text, encoding="utf-8")
            device = self.parameterAsString(parameters, "DEVICE", context).strip()
            command = commands.Train(
                recipe="unet",
                data=str(description),
                out=str(output),
                report=str(report),
                settings=self._settings(parameters, context),
                device="" if device == "auto" else device,
                resume=self.parameterAsBool(parameters, "RESUME", context),
                # The dialogs of QGIS have asked whether a file that is there may go.
                overwrite=True,
            )
            self.run_engine(command.arguments(), feedback, {})
        card = self.ask_engine(brief(str(output)), feedback)
        return {
            "OUTPUT": str(output),
            "REPORT": str(report / "index.html"),
            "MIOU": card["metrics"].get("validation", {}).get("miou"),
            "CLASSES": json.dumps(card["classes"], ensure_ascii=False),
        }

    def cancelled(self) -> str:
        """What to say when the user stopped it."""
        if self._is_temporary:
            return self.tr(
                "cancelled; nothing is kept of a training to a temporary file, choose a model file "
                "to be able to go on with one"
            )
        return self.tr("cancelled; start it again with “Go on” and the same model file")

    def _description(
        self,
        parameters: Mapping[str, Any],
        context: QgsProcessingContext,
        feedback: QgsProcessingFeedback,
        folder: Path,
    ) -> str:
        """What is learnt from, as the engine reads it."""
        has_rest = self.parameterAsBool(parameters, "BACKGROUND", context)
        classes = self._classes(has_rest, feedback)
        listed = ", ".join(f"{each.value} {each.name}" for each in classes)
        feedback.pushInfo(self.tr("Classes: {}").format(listed))
        data = commands.TrainingData(
            image="",
            labels="",
            name=self._image.name,
            bands=self._bands(self.parameterAsString(parameters, "BANDS", context)),
            classes=classes,
            column=self._field if self._polygons is not None else "",
            split=self._split(self.parameterAsDouble(parameters, "HELD_OUT", context) / 100),
        )
        exporter = _Exporter(folder, context, feedback)
        try:
            return commands.dataset_text(self._with_files(data, exporter, is_moved=False))
        except ValueError:
            # Files of different drives, or with names that the engine takes for patterns.
            return commands.dataset_text(self._with_files(data, exporter, is_moved=True))

    def _with_files(
        self, data: commands.TrainingData, exporter: _Exporter, *, is_moved: bool
    ) -> commands.TrainingData:
        image = exporter.file_of(self._image, is_moved=is_moved)
        if self._labels is not None:
            return replace(
                data, image=image, labels=exporter.file_of(self._labels, is_moved=is_moved)
            )
        labels = exporter.folder / "labels.gpkg"
        labels.unlink(missing_ok=True)
        columns = [self._field] if self._field else []
        if not sources.write_features(
            self._polygons, labels, self._image.crs, exporter.feedback, columns
        ):
            raise QgsProcessingException(
                self.tr("layer “{}” of labels has no polygons; draw some first").format(
                    self._polygons.sourceName()
                )
            )
        return replace(data, image=image, labels=str(labels))

    def _classes(
        self, has_rest: bool, feedback: QgsProcessingFeedback
    ) -> tuple[commands.TrainingClass, ...]:
        if self._labels is not None:
            return classes_of_raster(self._labels.provider, self._shown, feedback)
        if not self._field:
            return classes_of_vector(None, self._shown, True)
        return classes_of_vector(self._values(feedback), self._shown, has_rest)

    def _values(self, feedback: QgsProcessingFeedback) -> Iterator[Any]:
        fields = self._polygons.fields()
        place = fields.lookupField(self._field)
        if place < 0:
            raise QgsProcessingException(
                self.tr("layer “{}” of labels has no field {}; choose one of: {}").format(
                    self._polygons.sourceName(), self._field, ", ".join(fields.names())
                )
            )
        request = QgsFeatureRequest().setFlags(QgsFeatureRequest.Flag.NoGeometry)
        request.setSubsetOfAttributes([place])
        # As in `write_features`.
        unchecked = QgsProcessingFeatureSource.Flag.FlagSkipGeometryValidityChecks
        for each in self._polygons.getFeatures(request, unchecked):
            sources.stop_if_cancelled(feedback)
            yield each.attribute(place)

    def _bands(self, stated: str) -> dict[str, int]:
        """Names of the bands to learn from, with their numbers."""
        bands = self._image.bands
        chosen = [each.strip() for each in stated.split(",") if each.strip()]
        for each in chosen:
            if not each.isdecimal() or not 1 <= int(each) <= len(bands):
                raise QgsProcessingException(
                    self.tr(
                        "Bands (BANDS) names {}, but layer “{}” has bands 1 to {}; give numbers"
                    ).format(each, self._image.name, len(bands))
                )
        numbers = [int(each) for each in chosen] or [
            band.number for band in bands if not band.is_alpha
        ]
        named = {number: bands[number - 1].name or f"band {number}" for number in numbers}
        is_told_apart = len({*named.values()}) == len(named)
        return {
            name if is_told_apart else f"band {number}": number for number, name in named.items()
        }

    def _split(self, share: float) -> commands.Split | None:
        """A strip across the longer side."""
        if not share:
            return None
        extent = self._image.provider.extent()
        if extent.width() >= extent.height():
            return commands.Split("x", (extent.xMinimum(), extent.xMaximum()), share)
        return commands.Split("y", (extent.yMinimum(), extent.yMaximum()), share)

    def _settings(
        self, parameters: Mapping[str, Any], context: QgsProcessingContext
    ) -> dict[str, str]:
        known = {"steps": "STEPS", "crop": "WINDOW", "batch": "BATCH"}
        return {
            setting: str(self.parameterAsInt(parameters, name, context))
            for setting, name in known.items()
        }


@dataclass(frozen=True)
class _Exporter:
    """Gives files that lie in folders, and know where they lie on the earth."""

    folder: Path
    context: QgsProcessingContext
    feedback: QgsProcessingFeedback

    def file_of(self, taken: sources.Taken, *, is_moved: bool) -> str:
        """The layer's own file, or a copy in the folder."""
        transforms = self.context.transformContext()
        if taken.path is not None and not is_moved and Path(taken.path).is_file():
            source = sources.write(taken, self.folder, sources.Region(), transforms, self.feedback)
            if not source.assume_crs:
                return source.path
        return sources.export(taken, self.folder, sources.Region(), transforms, self.feedback)


def _spelt(field: str, layer: QgsVectorLayer) -> str:
    """A field by its own name where it is told by an alias, or in other letters."""
    place = layer.fields().lookupField(field)
    return str(layer.fields()[place].name()) if place >= 0 else field


def _categorised_by(layer: QgsVectorLayer) -> str:
    """The field that a layer's style tells apart; empty for none."""
    renderer = layer.renderer()
    field = renderer.classAttribute() if isinstance(renderer, QgsCategorizedSymbolRenderer) else ""
    return field if layer.fields().lookupField(field) >= 0 else ""
