# SPDX-License-Identifier: GPL-2.0-or-later
"""What QGIS loads: the button, the dock, the Processing provider and the settings page."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from qgis.core import QgsApplication
from qgis.PyQt.QtCore import QCoreApplication, Qt, QTranslator
from qgis.PyQt.QtGui import QIcon

from .engine import words
from .provider import GeosegProvider
from .words import translated as _tr

try:
    from qgis.PyQt.QtGui import QAction
except ImportError:  # Qt 5 has it elsewhere
    from qgis.PyQt.QtWidgets import QAction

MENU = "geoseg"
FOLDER = Path(__file__).parent
ICON = FOLDER / "icons" / "geoseg.svg"


class GeosegPlugin:
    """The plugin; each thing it adds to QGIS is taken away by `unload`.

    Parameters
    ----------
    iface : QgisInterface or None
        None in `qgis_process`, which has no window and calls `initProcessing` alone.
    """

    def __init__(self, iface: Any) -> None:  # noqa: QGS105  (QGIS hands it over)
        self._iface = iface
        self._provider: GeosegProvider | None = None
        self._texts = QTranslator()
        # As long as nobody has translated them, the texts stay English.
        if self._texts.load(f"geoseg_{QgsApplication.locale()}", str(FOLDER / "i18n")):
            QCoreApplication.installTranslator(self._texts)
        words.translate_with(_tr)
        self._segment: QAction | None = None
        self._settings: QAction | None = None
        self._dock: Any = None
        self._pages: Any = None

    def initProcessing(self) -> None:  # noqa: N802  (QGIS calls it so)
        """Add the algorithms."""
        provider = GeosegProvider()
        if QgsApplication.processingRegistry().addProvider(provider):
            self._provider = provider

    def initGui(self) -> None:  # noqa: N802
        """Add the algorithms, the button, the menu entries and the settings page."""
        from .options import OptionsFactory

        self.initProcessing()
        window = self._iface.mainWindow()
        self._segment = QAction(QIcon(str(ICON)), _tr("Segment imagery (geoseg)…"), window)
        self._segment.setObjectName("geosegSegment")
        self._segment.setToolTip(_tr("Classify a raster layer with a model, and draw its polygons"))
        self._segment.setCheckable(True)
        self._segment.triggered.connect(self._toggle_dock)
        self._settings = QAction(_tr("Settings…"), window)
        self._settings.setObjectName("geosegSettings")
        self._settings.triggered.connect(lambda _checked=False: self.open_settings())
        # The toolbar of plugins: a fresh QGIS hides that of rasters.
        self._iface.addToolBarIcon(self._segment)
        for action in (self._segment, self._settings):
            self._iface.addPluginToRasterMenu(MENU, action)
        self._pages = OptionsFactory(QIcon(str(ICON)), self._engine_changed)
        self._iface.registerOptionsWidgetFactory(self._pages)

    def unload(self) -> None:
        """Leave QGIS as it was."""
        QCoreApplication.removeTranslator(self._texts)
        if self._dock is not None:
            self._dock.close_down()
            self._iface.removeDockWidget(self._dock)
            self._dock.setParent(None)
            self._dock.deleteLater()
            self._dock = None
        if self._pages is not None:
            self._iface.unregisterOptionsWidgetFactory(self._pages)
            self._pages.close_down()
            self._pages = None
        if self._segment is not None:
            self._iface.removeToolBarIcon(self._segment)
        for action in (self._segment, self._settings):
            if action is not None:
                self._iface.removePluginRasterMenu(MENU, action)
                action.setParent(None)
                action.deleteLater()
        self._segment = self._settings = None
        if self._provider is not None:
            QgsApplication.processingRegistry().removeProvider(self._provider)
            self._provider = None

    def dock(self) -> Any:
        """The dock, made when it is first asked for."""
        if self._dock is None:
            from .dock import GeosegDock

            self._dock = GeosegDock(self._iface, self.open_settings, self._iface.mainWindow())
            self._dock.visibilityChanged.connect(self._mark_button)
            self._iface.addDockWidget(Qt.DockWidgetArea.RightDockWidgetArea, self._dock)
            self._dock.choose_layer(self._iface.activeLayer())
            self._dock.refresh_models()
        return self._dock

    def open_settings(self) -> None:
        """Open the settings page."""
        from .options import PAGE

        self._iface.showOptionsDialog(self._iface.mainWindow(), PAGE)

    def _toggle_dock(self, shown: bool) -> None:
        dock = self.dock()
        dock.setUserVisible(shown)
        if shown:
            dock.choose_layer(self._iface.activeLayer())

    def _mark_button(self, _visible: bool) -> None:
        if self._segment is not None and self._dock is not None:
            self._segment.setChecked(not self._dock.isHidden())

    def _engine_changed(self) -> None:
        if self._dock is not None:
            self._dock.refresh_models()
