# SPDX-License-Identifier: GPL-2.0-or-later
"""A window of QGIS as far as the plugin needs one: menus, toolbars, docks and a map that are real.

What the plugin asks for and is not here raises AttributeError, as it would where QGIS lacks it.
"""

# ruff: noqa: N802  (names that QGIS calls)

from __future__ import annotations

from typing import Any

from qgis.gui import QgsMapCanvas, QgsMessageBar
from qgis.PyQt.QtWidgets import QMainWindow, QMenu


class Window:
    """What `iface` is."""

    def __init__(self) -> None:
        self.main = QMainWindow()
        self.canvas = QgsMapCanvas(self.main)
        self.main.setCentralWidget(self.canvas)
        self.bar = QgsMessageBar(self.main)
        self.toolbar = self.main.addToolBar("Raster")
        self.menu = self.main.menuBar().addMenu("Raster")
        self.pages: list[Any] = []
        self.opened_pages: list[str] = []
        self.active: Any = None

    def mainWindow(self) -> QMainWindow:
        return self.main

    def mapCanvas(self) -> QgsMapCanvas:
        return self.canvas

    def messageBar(self) -> QgsMessageBar:
        return self.bar

    def activeLayer(self) -> Any:
        return self.active

    def addToolBarIcon(self, action: Any) -> None:
        self.toolbar.addAction(action)

    def removeToolBarIcon(self, action: Any) -> None:
        self.toolbar.removeAction(action)

    def addPluginToRasterMenu(self, name: str, action: Any) -> None:
        menu = self._submenu(name) or self.menu.addMenu(name)
        menu.addAction(action)

    def removePluginRasterMenu(self, name: str, action: Any) -> None:
        """As QGIS does, take the submenu away with its last entry."""
        menu = self._submenu(name)
        if menu is not None:
            menu.removeAction(action)
            if not menu.actions():
                self.menu.removeAction(menu.menuAction())
                menu.deleteLater()

    def _submenu(self, name: str) -> QMenu | None:
        found = (each.menu() for each in self.menu.actions() if each.text() == name)
        return next(found, None)

    def registerOptionsWidgetFactory(self, factory: Any) -> None:
        self.pages.append(factory)

    def unregisterOptionsWidgetFactory(self, factory: Any) -> None:
        self.pages.remove(factory)

    def showOptionsDialog(self, parent: Any, page: str) -> None:
        self.opened_pages.append(page)

    def addDockWidget(self, area: Any, dock: Any) -> None:
        self.main.addDockWidget(area, dock)

    def removeDockWidget(self, dock: Any) -> None:
        self.main.removeDockWidget(dock)
