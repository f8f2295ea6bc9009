# SPDX-License-Identifier: GPL-2.0-or-later
"""Stands in for QGIS 4 on PyQt6: enough of it to open the plugin's windows.

No build of QGIS 4 is at hand where these tests run. What is here has the names, enums and signals
of QGIS 4 and no others: a name that it lacks is an ImportError or AttributeError, as it would be
there. Qt itself is the real one. What QGIS computes is not here.
"""

# ruff: noqa: N802, N815  (names of QGIS and Qt)

from __future__ import annotations

import enum
import sys
from types import ModuleType
from typing import Any, ClassVar

from PyQt6 import QtCore, QtGui, QtWidgets
from PyQt6.QtCore import QObject, pyqtSignal

DATA_ONLY = [
    "QgsAuthMethodConfig",
    "QgsCategorizedSymbolRenderer",
    "QgsCoordinateReferenceSystem",
    "QgsCoordinateTransform",
    "QgsCoordinateTransformContext",
    "QgsDistanceArea",
    "QgsFeature",
    "QgsFeatureRequest",
    "QgsFields",
    "QgsFillSymbol",
    "QgsGeometry",
    "QgsLayerTreeGroup",
    "QgsLayerTreeLayer",
    "QgsLayerTreeNode",
    "QgsMapLayer",
    "QgsMessageLog",
    "QgsPalettedRasterRenderer",
    "QgsPointXY",
    "QgsProcessingAlgRunnerTask",
    "QgsProcessingAlgorithm",
    "QgsProcessingContext",
    "QgsProcessingFeatureSource",
    "QgsProcessingFeatureSourceDefinition",
    "QgsProcessingLayerPostProcessorInterface",
    "QgsProcessingOutputHtml",
    "QgsProcessingOutputNumber",
    "QgsProcessingOutputLayerDefinition",
    "QgsProcessingOutputString",
    "QgsProcessingParameterBand",
    "QgsProcessingParameterBoolean",
    "QgsProcessingParameterDefinition",
    "QgsProcessingParameterEnum",
    "QgsProcessingParameterExtent",
    "QgsProcessingParameterFeatureSource",
    "QgsProcessingParameterField",
    "QgsProcessingParameterFileDestination",
    "QgsProcessingParameterFolderDestination",
    "QgsProcessingParameterMapLayer",
    "QgsProcessingParameterRasterDestination",
    "QgsProcessingParameterRasterLayer",
    "QgsProcessingParameterString",
    "QgsProcessingParameterVectorDestination",
    "QgsProcessingUtils",
    "QgsProviderRegistry",
    "QgsRasterBlockFeedback",
    "QgsRasterDataProvider",
    "QgsRasterFileWriter",
    "QgsRasterIterator",
    "QgsRasterLayer",
    "QgsRasterPipe",
    "QgsRectangle",
    "QgsReferencedRectangle",
    "QgsRendererCategory",
    "QgsVectorLayer",
    "QgsVectorFileWriter",
]
"""Classes of which a window needs the names alone."""


class QgsCsException(Exception):  # noqa: N818  (its name)
    pass


class QgsProcessingException(Exception):  # noqa: N818
    pass


class Qgis:
    class MessageLevel(enum.IntEnum):
        Info, Warning, Critical, Success, NoLevel = range(5)

    class DataType(enum.IntEnum):
        Byte, UInt16, Int16, UInt32, Int32, Float32, Float64 = range(1, 8)
        ARGB32, ARGB32_Premultiplied = 12, 13


class QgsRaster:
    class ColorInterpretation(enum.Enum):
        RedBand, GreenBand, BlueBand, AlphaBand = range(4)


class QgsUnitTypes:
    class DistanceUnit(enum.Enum):
        DistanceMeters = 0


class QgsWkbTypes:
    class GeometryType(enum.Enum):
        PointGeometry, LineGeometry, PolygonGeometry = range(3)


class QgsMapLayerProxyModel:
    class Filter(enum.Flag):
        RasterLayer, PolygonLayer, VectorLayer = 1, 8, 28


class QgsProcessing:
    TEMPORARY_OUTPUT = "TEMPORARY_OUTPUT"

    class SourceType(enum.Enum):
        TypeVectorPolygon, TypeVectorAnyGeometry, TypeRaster, TypeMapLayer = range(4)


class QgsProcessingParameterNumber:
    class Type(enum.Enum):
        Integer, Double = range(2)


class QgsProcessingFeedback(QObject):
    progressChanged = pyqtSignal(float)


class QgsProcessingProvider(QObject):
    pass


class QgsTask(QObject):
    """Runs at once, so that a test needs no threads."""

    progressChanged = pyqtSignal(float)

    class Flag(enum.Flag):
        CanCancel = 2

    def __init__(self, title: str, flags: Flag) -> None:
        super().__init__()
        self._is_cancelled = False

    def isCanceled(self) -> bool:
        return self._is_cancelled

    def cancel(self) -> None:
        self._is_cancelled = True

    def setProgress(self, percent: float) -> None:
        self.progressChanged.emit(percent)


class _TaskManager:
    def addTask(self, task: QgsTask) -> None:
        task.finished(task.run())  # type: ignore[attr-defined]


class _Registry:
    def __init__(self) -> None:
        self.providers: list[Any] = []

    def addProvider(self, provider: Any) -> bool:
        self.providers.append(provider)
        return True

    def removeProvider(self, provider: Any) -> None:
        self.providers.remove(provider)


class _Secrets:
    def isDisabled(self) -> bool:
        return True


class QgsApplication(QtWidgets.QApplication):
    _manager, _registry, _secrets = _TaskManager(), _Registry(), _Secrets()

    @classmethod
    def taskManager(cls) -> _TaskManager:
        return cls._manager

    @classmethod
    def processingRegistry(cls) -> _Registry:
        return cls._registry

    @classmethod
    def authManager(cls) -> _Secrets:
        return cls._secrets

    @staticmethod
    def locale() -> str:
        return "en"

    @staticmethod
    def getThemeIcon(name: str) -> QtGui.QIcon:
        return QtGui.QIcon()


class QgsSettings:
    kept: ClassVar[dict[str, Any]] = {}

    def value(self, name: str, default: Any = None, type: Any = None) -> Any:  # noqa: A002
        return self.kept.get(name, default)

    def setValue(self, name: str, value: Any) -> None:
        self.kept[name] = value

    def remove(self, name: str) -> None:
        self.kept.pop(name, None)


class QgsProject(QObject):
    cleared = pyqtSignal()
    _opened: QgsProject | None = None

    @classmethod
    def instance(cls) -> QgsProject:
        cls._opened = cls._opened or cls()
        return cls._opened

    def mapLayers(self) -> dict[str, Any]:
        return {}


class QgsDockWidget(QtWidgets.QDockWidget):
    def setUserVisible(self, is_visible: bool) -> None:
        self.setVisible(is_visible)


class QgsCollapsibleGroupBox(QtWidgets.QGroupBox):
    def setCollapsed(self, is_collapsed: bool) -> None:
        self._is_collapsed = is_collapsed

    def isCollapsed(self) -> bool:
        return self._is_collapsed


class QgsScrollArea(QtWidgets.QScrollArea):
    pass


class QgsSpinBox(QtWidgets.QSpinBox):
    def setClearValue(self, value: int) -> None:
        pass


class QgsDoubleSpinBox(QtWidgets.QDoubleSpinBox):
    def setClearValue(self, value: float) -> None:
        pass


class QgsMapLayerComboBox(QtWidgets.QComboBox):
    layerChanged = pyqtSignal(object)

    def setFilters(self, filters: QgsMapLayerProxyModel.Filter) -> None:
        assert isinstance(filters, QgsMapLayerProxyModel.Filter)

    def setAllowEmptyLayer(self, is_allowed: bool) -> None:
        pass

    def currentLayer(self) -> None:
        return None


class QgsFileWidget(QtWidgets.QWidget):
    fileChanged = pyqtSignal(str)

    class StorageMode(enum.Enum):
        GetFile, GetDirectory, GetMultipleFiles, SaveFile = range(4)

    def __init__(self, parent: QtWidgets.QWidget | None = None) -> None:
        super().__init__(parent)
        self._line = QtWidgets.QLineEdit(self)
        self._line.textChanged.connect(self.fileChanged)

    def lineEdit(self) -> QtWidgets.QLineEdit:
        return self._line

    def filePath(self) -> str:
        return self._line.text()

    def setFilePath(self, path: str) -> None:
        self._line.setText(path)

    def setStorageMode(self, mode: StorageMode) -> None:
        assert isinstance(mode, QgsFileWidget.StorageMode)

    def setFilter(self, text: str) -> None:
        pass

    def setDialogTitle(self, text: str) -> None:
        pass

    def setConfirmOverwrite(self, is_asked: bool) -> None:
        pass


class QgsMapToolExtent(QObject):
    extentChanged = pyqtSignal(object)

    def __init__(self, canvas: Any) -> None:
        super().__init__()

    def clearRubberBand(self) -> None:
        pass


class QgsGui:
    pass


class QgsRubberBand:
    pass


class QgsMapCanvas(QtWidgets.QWidget):
    extentsChanged = pyqtSignal()
    destinationCrsChanged = pyqtSignal()
    _tool: Any = None

    def mapTool(self) -> Any:
        return self._tool

    def setMapTool(self, tool: Any) -> None:
        self._tool = tool

    def unsetMapTool(self, tool: Any) -> None:
        self._tool = None


class QgsOptionsPageWidget(QtWidgets.QWidget):
    pass


class QgsOptionsWidgetFactory(QObject):
    def setTitle(self, title: str) -> None:
        pass


class WidgetWrapper(QObject):
    """Of Processing: makes the widget of a parameter."""

    widgetValueHasChanged = pyqtSignal(object)

    def __init__(self, parameter: object, dialog: object) -> None:
        super().__init__()
        self.widget = self.createWidget()

    def createWidget(self) -> QtWidgets.QWidget:
        raise NotImplementedError


GUI = (
    QgsCollapsibleGroupBox, QgsDockWidget, QgsDoubleSpinBox, QgsFileWidget, QgsGui, QgsMapCanvas,
    QgsMapLayerComboBox, QgsMapToolExtent, QgsOptionsPageWidget, QgsOptionsWidgetFactory,
    QgsRubberBand, QgsScrollArea, QgsSpinBox,
)  # fmt: skip
CORE = (
    Qgis, QgsApplication, QgsCsException, QgsMapLayerProxyModel, QgsProcessing,
    QgsProcessingException, QgsProcessingFeedback, QgsProcessingParameterNumber,
    QgsProcessingProvider, QgsProject, QgsRaster, QgsSettings, QgsTask, QgsUnitTypes, QgsWkbTypes,
)  # fmt: skip


def install() -> None:
    """Put it where `import qgis` finds it."""
    if "qgis" in sys.modules:
        raise RuntimeError("there is a QGIS already; these tests are for a Python without it")
    core = {each: type(each, (), {}) for each in DATA_ONLY}
    _module("qgis")
    _module("qgis.core", **core, **{each.__name__: each for each in CORE})
    _module("qgis.gui", **{each.__name__: each for each in GUI})
    _module("qgis.utils", iface=None, plugins={})
    _module("qgis.PyQt")
    _module("qgis.PyQt.QtCore", **vars(QtCore))
    _module("qgis.PyQt.QtGui", **vars(QtGui))
    # QGIS adds QAction, which was here in Qt 5; nothing is to rely on that.
    _module("qgis.PyQt.QtWidgets", **vars(QtWidgets))
    for name in ("processing", "processing.gui"):
        _module(name)
    _module("processing.gui.wrappers", WidgetWrapper=WidgetWrapper)


def _module(name: str, **names: Any) -> None:
    made = ModuleType(name)
    made.__dict__.update({each: names[each] for each in names if not each.startswith("__")})
    sys.modules[name] = made
    parent, _, last = name.rpartition(".")
    if parent:
        setattr(sys.modules[parent], last, made)
