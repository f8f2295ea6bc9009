# SPDX-License-Identifier: GPL-2.0-or-later
"""The windows of the plugin open on Qt 6."""

from __future__ import annotations

import ast
import importlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import standin
from PyQt6 import QtCore, QtGui, QtWidgets

import geoseg_qgis

FOLDER = Path(geoseg_qgis.__file__).parent
MODULES = sorted(
    ".".join(path.relative_to(FOLDER.parent).with_suffix("").parts)
    for path in FOLDER.rglob("*.py")
    if path.name != "__init__.py"
)
ENUMS = {
    name: kind
    for module in (QtCore, QtGui, QtWidgets)
    for name, kind in vars(module).items()
    if name.startswith("Q") and isinstance(kind, type)
}
CARD = {
    "name": "m",
    "description": "Fields. And forests.",
    "bands": ["red", "nir"],
    "gsd": 10.0,
    "gsd_range": [8.0, 12.5],
    "value_range": None,
    "classes": [{"value": 1, "name": "field", "color": "#e3c35a"}],
}


class Window:
    """What `iface` is, as far as the plugin needs it."""

    def __init__(self) -> None:
        self.main = QtWidgets.QMainWindow()
        self.canvas = standin.QgsMapCanvas(self.main)
        self.bar = self.main.addToolBar("Raster")
        self.pages: list[Any] = []
        self.mainWindow = lambda: self.main
        self.mapCanvas = lambda: self.canvas
        self.activeLayer = lambda: None
        self.addToolBarIcon: Callable[..., Any] = self.bar.addAction
        self.removeToolBarIcon: Callable[..., Any] = self.bar.removeAction
        self.addPluginToRasterMenu = lambda _name, action: None
        self.removePluginRasterMenu = lambda _name, action: None
        self.registerOptionsWidgetFactory = self.pages.append
        self.unregisterOptionsWidgetFactory = self.pages.remove
        self.addDockWidget: Callable[..., Any] = self.main.addDockWidget
        self.removeDockWidget: Callable[..., Any] = self.main.removeDockWidget


@pytest.fixture
def window() -> Iterator[Window]:
    made = Window()
    made.main.resize(900, 700)
    made.main.show()
    yield made
    made.main.close()


def drawn(widget: QtWidgets.QWidget) -> bool:
    """Whether a widget paints something besides one colour."""
    QtWidgets.QApplication.processEvents()
    picture = widget.grab().toImage()
    seen = {picture.pixel(x, y) for x in range(picture.width()) for y in range(picture.height())}
    return len(seen) > 10


@pytest.mark.parametrize("module", MODULES)
def test_each_module_can_be_imported(module: str) -> None:
    importlib.import_module(module)


def test_the_dock_opens_from_the_button(window: Window) -> None:
    plugin = geoseg_qgis.classFactory(window)
    plugin.initGui()
    (button,) = window.bar.actions()
    button.trigger()
    dock = plugin.dock()
    assert dock.isVisible()
    assert button.isChecked()
    assert drawn(dock)
    (text,) = dock.engine.texts()
    assert "/nowhere/python" in text
    assert not dock.runs.run_button.isEnabled()
    button.trigger()
    assert not dock.isVisible()
    plugin.unload()
    assert window.pages == []
    assert window.bar.actions() == []
    assert standin.QgsApplication.processingRegistry().providers == []


def test_the_controls_of_the_dock_react(window: Window) -> None:
    from geoseg_qgis.dock import GeosegDock
    from geoseg_qgis.fitting import Band, Finding, card_from
    from geoseg_qgis.notices import DONE, Notice

    dock = GeosegDock(window, lambda: None, window.main)
    window.main.addDockWidget(QtCore.Qt.DockWidgetArea.RightDockWidgetArea, dock)
    dock.catalogue.models = [card_from(CARD)]
    dock.catalogue.changed.emit()
    assert dock.models.argument() == "m"
    dock.models.told.linkActivated.emit("#")
    assert "And forests." in dock.models.told.text()
    dock.bands.show_bands([Band(1), Band(2), Band(3)], ["red", "nir"])
    dock.bands.choose([3, 1])
    assert dock.bands.argument() == "3,1"
    for kind in ("canvas", "drawn", "polygons", "whole"):
        dock.area.choose(kind)
        assert dock.area.kind() == kind
    dock.tuning.confidence.setChecked(True)
    dock.outputs.file.setFilePath("/nowhere/map")
    assert dock.parameters()["CONFIDENCE"] == str(Path("/nowhere/map_confidence.tif"))
    for severity in ("stop", "warning", "note", DONE):
        dock.runs.messages.add(Notice(severity, "words")).add_button("press", lambda: None)
    dock.warnings.show_findings([Finding("stop", "no")])
    assert drawn(dock)
    dock.close_down()


def test_files_that_exist_are_asked_about(
    window: Window, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from geoseg_qgis.dock import GeosegDock

    dock = GeosegDock(window, lambda: None, window.main)
    (tmp_path / "map.tif").write_text("")
    dock.outputs.file.setFilePath(str(tmp_path / "map.tif"))
    # It looks at layers, which are not here, before it begins.
    monkeypatch.setattr(dock, "look", lambda: dock.runs.run_button.setEnabled(True))
    asked: list[Any] = []

    def answer(*told: Any) -> Any:
        asked.append(told)
        return QtWidgets.QMessageBox.StandardButton.Cancel

    monkeypatch.setattr(QtWidgets.QMessageBox, "question", answer)
    dock.start()
    assert not dock.is_running()
    assert len(asked) == 1
    dock.close_down()


def test_the_settings_page_opens(window: Window) -> None:
    plugin = geoseg_qgis.classFactory(window)
    plugin.initGui()
    (factory,) = window.pages
    page = factory.createWidget(window.main)
    window.main.setCentralWidget(page)
    page.show()
    assert drawn(page)
    assert any("/nowhere/python" in each.text() for each in page.findChildren(QtWidgets.QLabel))
    plugin.unload()


def test_the_list_of_models_in_the_toolbox_opens() -> None:
    from geoseg_qgis.algorithms.model_widget import ModelWidget

    wrapper = ModelWidget(None, None)
    wrapper.widget.show()
    wrapper.setValue("/models/mine.safetensors")
    assert wrapper.value() == "/models/mine.safetensors"
    assert drawn(wrapper.widget)


def accesses(tree: ast.AST) -> Iterator[tuple[str, str, int]]:
    """Attributes that are read of a class of Qt, as in ``Qt.AlignTop``."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            yield node.value.id, node.attr, node.lineno


@pytest.mark.parametrize("path", sorted(FOLDER.rglob("*.py")), ids=lambda path: path.name)
def test_what_is_read_of_a_class_of_qt_exists_in_qt_6(path: Path) -> None:
    """Also in code that no test runs."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    lacking = [
        f"{name}.{attribute} in line {line}"
        for name, attribute, line in accesses(tree)
        if name in ENUMS and not hasattr(ENUMS[name], attribute)
    ]
    assert lacking == []


def test_an_enum_without_its_scope_would_be_found() -> None:
    ((name, attribute, _),) = accesses(ast.parse("Qt.AlignTop"))
    assert not hasattr(ENUMS[name], attribute)


@pytest.mark.parametrize("path", sorted(FOLDER.rglob("*.py")), ids=lambda path: path.name)
def test_qt_is_imported_by_way_of_qgis_and_loops_are_run_by_exec(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    imported = [
        each.name if isinstance(node, ast.Import) else str(node.module)
        for node in ast.walk(tree)
        if isinstance(node, (ast.Import, ast.ImportFrom))
        for each in node.names
    ]
    assert not [name for name in imported if name.partition(".")[0] in ("PyQt5", "PyQt6", "sip")]
    assert "exec_" not in {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
