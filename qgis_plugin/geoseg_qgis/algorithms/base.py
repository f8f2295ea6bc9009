# SPDX-License-Identifier: GPL-2.0-or-later
"""What all algorithms share: they start the engine, listen to it, and style what it made."""

# ruff: noqa: N802  (names that QGIS calls)

from __future__ import annotations

import re
import shutil
import tempfile
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import combinations
from pathlib import Path
from typing import Any

from qgis.core import (
    QgsLayerTreeLayer,
    QgsMapLayer,
    QgsProcessingAlgorithm,
    QgsProcessingContext,
    QgsProcessingException,
    QgsProcessingFeedback,
    QgsProcessingLayerPostProcessorInterface,
    QgsProcessingOutputLayerDefinition,
    QgsProcessingParameterDefinition,
    QgsProcessingUtils,
    QgsProject,
    QgsRasterLayer,
    QgsVectorLayer,
)
from qgis.PyQt.QtCore import QCoreApplication, QUrl
from qgis.PyQt.QtGui import QIcon

from .. import settings, sources
from ..engine import process
from ..engine.environment import EngineMissing
from ..results import Classes, style_map, style_polygons
from .progress import Progress, Shares

__all__ = ["EngineAlgorithm", "Loaded", "advanced", "is_temporary", "workspace"]

FOLDER = Path(__file__).resolve().parent.parent

DATABASES = ("memory:", "ogr:", "postgis:", "postgres:", "spatialite:", "oracle:", "mssql:")
"""How destinations begin that are no files."""

IN_QGIS = {
    # Where the layer has a coordinate system that the file lacks, the engine is told.
    r"say it with --pixel-size \(pixel_size\)": "set the coordinate system of the layer",
    r"leave --assume-crs \(assume_crs\) out": "correct the coordinate system of the layer",
    r"geoseg polygonize (?=--)|; see geoseg model list| \(geoseg model list\)": "",
    "; if they mean something, list it in a class": "",
    "on 1 validation scene": "on the part that was held out",
}
"""What the engine says to terminals and of files it is told, and what that is here."""


@contextmanager
def workspace() -> Iterator[Path]:
    """Give a folder for the exports of one run, which are gone with it."""
    folder = Path(tempfile.mkdtemp(prefix="geoseg_", dir=QgsProcessingUtils.tempFolder()))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def is_temporary(path: str) -> bool:
    """Whether it is a file of this run alone, so that no later one can go on with it."""
    return Path(QgsProcessingUtils.tempFolder()) in Path(path).parents


def advanced(parameter: QgsProcessingParameterDefinition) -> QgsProcessingParameterDefinition:
    """Fold a parameter away."""
    flag = QgsProcessingParameterDefinition.Flag.FlagAdvanced
    parameter.setFlags(parameter.flags() | flag)
    return parameter


class EngineAlgorithm(QgsProcessingAlgorithm):
    """An algorithm whose work is done by the engine, in another process.

    It runs in a thread of its own. What belongs to the main thread (layers, and settings) is looked
    at in `prepareAlgorithm`, which QGIS calls there.
    """

    def tr(self, text: str) -> str:
        """Translate."""
        return QCoreApplication.translate("geoseg", text)

    def createInstance(self) -> EngineAlgorithm:
        """Make another one of the same kind."""
        return type(self)()

    def icon(self) -> QIcon:
        """The picture in the toolbox."""
        return QIcon(str(FOLDER / "icons" / f"{self.name()}.svg"))

    def svgIconPath(self) -> str:
        """The same for the model designer."""
        return str(FOLDER / "icons" / f"{self.name()}.svg")

    def helpUrl(self) -> str:
        """The page that comes with the plugin."""
        page = FOLDER / "help" / f"{self.name()}.html"
        return QUrl.fromLocalFile(str(page)).toString() if page.is_file() else ""

    def canExecute(self) -> tuple[bool, str]:
        """Whether there is an engine, and what to do if not."""
        try:
            settings.engine_python()
        except EngineMissing as error:
            return False, str(error)
        return True, ""

    def checkParameterValues(
        self, parameters: Mapping[str, Any], context: QgsProcessingContext
    ) -> tuple[bool, str]:
        """Refuse what cannot be meant before anything is done."""
        message = self._refused_destination(parameters)
        if message:
            return False, message
        able, message = super().checkParameterValues(parameters, context)
        return able, message

    def prepareAlgorithm(
        self,
        parameters: Mapping[str, Any],
        context: QgsProcessingContext,
        feedback: QgsProcessingFeedback,
    ) -> bool:
        """Look at what belongs to the main thread."""
        self._network = settings.network_environment()
        self._python, self._missing = "", ""
        try:
            self._python = settings.engine_python()
        except EngineMissing as error:
            self._missing = str(error)  # of what is raised here, scripts are not told the reason
        return True

    def _refused_destination(self, parameters: Mapping[str, Any]) -> str:
        """Why a destination cannot be written by another process; empty where all can."""
        for definition in self.destinationParameterDefinitions():
            value = _as_text(parameters.get(definition.name()))
            if value.lower().startswith(DATABASES):
                return self.tr(
                    "{} is {}, which another program cannot write; choose a file, or a temporary "
                    "one (TEMPORARY_OUTPUT)"
                ).format(definition.name(), value)
        return ""

    def refuse_impossible(self, parameters: Mapping[str, Any]) -> None:
        """Refuse again what `processing.run` and models do not look at.

        Raises
        ------
        QgsProcessingException
        """
        message = self._missing or self._refused_destination(parameters)
        if message:
            raise QgsProcessingException(message)

    def take(
        self, parameters: Mapping[str, Any], name: str, context: QgsProcessingContext
    ) -> sources.Taken:
        """What is known of a raster layer; call it in the main thread."""
        layer = self.parameterAsRasterLayer(parameters, name, context)
        if layer is None:
            raise QgsProcessingException(self.invalidRasterError(parameters, name))
        return sources.take(layer)

    def file_of(
        self,
        taken: sources.Taken,
        folder: Path,
        context: QgsProcessingContext,
        feedback: QgsProcessingFeedback,
    ) -> sources.Source:
        """The file of a layer that is taken as it is, exported where only QGIS can read it."""
        return sources.write(taken, folder, sources.Region(), context.transformContext(), feedback)

    def destination(
        self, parameters: Mapping[str, Any], name: str, context: QgsProcessingContext
    ) -> str:
        """Path of an output; empty where none is wanted."""
        if not _as_text(parameters.get(name)):
            return ""
        return str(self.parameterAsOutputLayer(parameters, name, context))

    def cancelled(self) -> str:
        """What to say when the user stopped it."""
        return self.tr("cancelled; nothing was written")

    def run_engine(
        self, arguments: Sequence[str], feedback: QgsProcessingFeedback, shares: Shares
    ) -> Mapping[str, Any]:
        """Let the engine work.

        Parameters
        ----------
        arguments : sequence of str
        feedback : QgsProcessingFeedback
        shares : mapping
            As for `Progress`.

        Returns
        -------
        dict
            The event ``done``.

        Raises
        ------
        QgsProcessingException
            When it fails or is cancelled.
        """
        progress = Progress(feedback, shares)

        def hear(event: Mapping[str, Any]) -> None:
            if event["event"] == "output" and event["text"].startswith(process.COMPLAINT):
                return  # what is raised here says it
            if event["event"] == "log":
                event = {**event, "message": self._in_terms_of_parameters(event["message"])}
            progress(event)

        try:
            return process.run(
                self._python,
                arguments,
                on_event=hear,
                is_cancelled=feedback.isCanceled,
                environment=self._network,
            )
        except process.Cancelled as cancelled:
            # An empty answer would look like success to a script.
            raise QgsProcessingException(self.cancelled()) from cancelled
        except process.EngineError as error:
            raise self._failure(error, feedback) from error

    def ask_engine(self, arguments: Sequence[str], feedback: QgsProcessingFeedback) -> Any:
        """Ask the engine for a document; as `run_engine`."""
        try:
            return process.ask(
                self._python,
                arguments,
                is_cancelled=feedback.isCanceled,
                environment=self._network,
            )
        except process.Cancelled as cancelled:
            raise QgsProcessingException(self.cancelled()) from cancelled
        except process.EngineError as error:
            raise self._failure(error, feedback) from error

    def _failure(
        self, error: process.EngineError, feedback: QgsProcessingFeedback
    ) -> QgsProcessingException:
        if error.kind != "user" and error.log:
            feedback.pushDebugInfo(error.log)
        return QgsProcessingException(self._in_terms_of_parameters(str(error)))

    def _in_terms_of_parameters(self, message: str) -> str:
        """Name parameters where the engine, which speaks to terminals, names its options."""
        known = {each.name(): each.description() for each in self.parameterDefinitions()}
        names = {"BBOX": "EXTENT", "OUT": "OUTPUT"}
        for pattern, here in IN_QGIS.items():
            message = re.sub(pattern, here, message)

        def named(option: re.Match[str]) -> str:
            in_python = option[1].replace("-", "_")
            name = names.get(in_python.upper(), in_python.upper())
            rest = "" if option[3] == in_python else option[2] or ""
            return f"“{known[name]}” ({name}){rest}" if name in known else option[0]

        # Alone, for names of files may hold dashes, too. Its name in Python may follow.
        option = r"(?<![\w./\\-])--([a-z][a-z-]*)(?![\w-]|[./\\]\w)( \(([a-z_]+)(?:=True)?\))?"
        return re.sub(option, named, message)

    def load_with(
        self, loaded: Loaded, path: str, name: str, context: QgsProcessingContext
    ) -> None:
        """See that a result is styled where it is loaded.

        Parameters
        ----------
        loaded : Loaded
            What styles it.
        path : str
        name : str
            Of the layer.
        context : QgsProcessingContext
        """
        if not path or not context.willLoadLayerOnCompletion(path):
            return
        details = context.layerToLoadOnCompletionDetails(path)
        # A model has names of its own for what it gives.
        if details.name in {each.description() for each in self.parameterDefinitions()}:
            details.name = name
        if hasattr(details, "layerSortKey"):
            details.layerSortKey = loaded.rank
        details.setPostProcessor(loaded)
        _kept.append(loaded)


_kept: deque[Loaded] = deque(maxlen=1000)
"""QGIS does not own post-processors, and algorithms are gone when layers are loaded."""


class Loaded(QgsProcessingLayerPostProcessorInterface):
    """Styles a result when it is loaded, and sees that those of one run lie in order.

    Parameters
    ----------
    classes : sequence of mappings
        As for `style_map`; empty for what has no classes.
    rank : int
        The higher one lies above.
    run : list of Loaded
        Those of the same run; this one is added.
    """

    def __init__(self, classes: Classes, rank: int, run: list[Loaded]) -> None:
        super().__init__()
        self._classes, self.rank, self._run, self.layer_id = classes, rank, run, ""
        run.append(self)

    def postProcessLayer(
        self,
        layer: QgsMapLayer,
        context: QgsProcessingContext,
        feedback: QgsProcessingFeedback,
    ) -> None:
        """Style it; QGIS calls this."""
        self.layer_id = layer.id()
        if self._classes and isinstance(layer, QgsVectorLayer):
            style_polygons(layer, self._classes)
        elif self._classes and isinstance(layer, QgsRasterLayer):
            style_map(layer, self._classes)
        project = context.project()
        if project is not None:
            from_below = sorted(self._run, key=lambda each: each.rank)
            for low, high in combinations(from_below, 2):
                _lift(project, high.layer_id, low.layer_id)


def _lift(project: QgsProject, high: str, low: str) -> None:
    """Move a layer above another one of the same group, where both are in the tree."""
    root = project.layerTreeRoot()
    upper, lower = root.findLayer(high), root.findLayer(low)
    if upper is None or lower is None or upper.parent() != lower.parent():
        return
    group = upper.parent()
    nodes = [each.layerId() for each in group.children() if isinstance(each, QgsLayerTreeLayer)]
    if nodes.index(high) > nodes.index(low):
        group.insertChildNode(group.children().index(lower), upper.clone())
        group.removeChildNode(upper)


def _as_text(value: Any) -> str:
    """A destination as text, however it is told."""
    if isinstance(value, QgsProcessingOutputLayerDefinition):
        value = value.sink.staticValue()
    return "" if value is None else str(value)
