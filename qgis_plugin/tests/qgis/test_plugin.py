# SPDX-License-Identifier: GPL-2.0-or-later
"""What QGIS loads is gone when it is unloaded."""

from __future__ import annotations

import base64
import gc
import importlib
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pretence import engine_that, ids, image, with_ids
from processes import is_alive
from qgis.core import QgsApplication, QgsProject, QgsRasterLayer, QgsSettings
from qgis.PyQt import sip
from qgis.PyQt.QtCore import QCoreApplication, QEvent, QTranslator
from qgis.PyQt.QtWidgets import QAction, QDockWidget
from window import Window

import geoseg_qgis
from geoseg_qgis.engine.failures import InstallationFailed, classify
from geoseg_qgis.installing import INSTALL

pytestmark = pytest.mark.usefixtures("qgis_processing", "qgis_new_project", "no_engine")


@pytest.fixture
def no_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GEOSEG_PYTHON", "/nowhere/python")
    QgsSettings().remove("geoseg")


@pytest.fixture
def as_if_new() -> Iterator[None]:
    """A Python that has not seen the plugin yet."""
    seen = own_modules()
    for name in seen:
        del sys.modules[name]
    yield
    for name in own_modules():
        del sys.modules[name]
    sys.modules.update(seen)


def own_modules() -> dict[str, Any]:
    return {
        name: module
        for name, module in sys.modules.items()
        if name.partition(".")[0] == "geoseg_qgis"
    }


def run_deferred_deletions() -> None:
    gc.collect()
    QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)
    QCoreApplication.processEvents()


def traces(window: Window) -> dict[str, Any]:
    """All that a plugin could leave behind."""
    return {
        "path": list(sys.path),
        "foreign modules": sorted(
            name for name in sys.modules if name.partition(".")[0] != "geoseg_qgis"
        ),
        "providers": sorted(each.id() for each in QgsApplication.processingRegistry().providers()),
        "toolbar": [each.text() for each in window.toolbar.actions()],
        "menu": [each.text() for each in window.menu.actions()],
        "docks": [each.objectName() for each in window.main.findChildren(QDockWidget)],
        "actions": sorted(each.objectName() for each in window.main.findChildren(QAction)),
        "widgets": sorted(
            each.objectName()
            for each in QgsApplication.topLevelWidgets()
            if each.objectName().startswith("geoseg")
        ),
        "pages": list(window.pages),
        "map tool": window.canvas.mapTool(),
        "tasks": QgsApplication.taskManager().count(),
    }


def segment(window: Window) -> QAction:
    (found,) = (each for each in window.toolbar.actions() if each.objectName() == "geosegSegment")
    return found


def use(window: Window) -> None:
    """Do with the plugin what a user does."""
    segment(window).trigger()
    (dock,) = window.main.findChildren(QDockWidget)
    dock.area.choose("drawn")
    QCoreApplication.processEvents()


def load_and_unload(window: Window) -> None:
    plugin = geoseg_qgis.classFactory(window)
    plugin.initGui()
    use(window)
    plugin.unload()
    del plugin
    run_deferred_deletions()


def test_loading_adds_a_button_a_menu_algorithms_and_a_settings_page(window: Window) -> None:
    plugin = geoseg_qgis.classFactory(window)
    plugin.initGui()
    try:
        added = traces(window)
        assert added["toolbar"] == ["Segment imagery (geoseg)…"]
        assert added["menu"] == ["geoseg"]
        assert "geoseg" in added["providers"]
        assert len(added["pages"]) == 1
        assert added["docks"] == []
        assert not segment(window).icon().isNull()
    finally:
        plugin.unload()


def test_unloading_leaves_nothing_behind(window: Window) -> None:
    load_and_unload(window)  # first imports bring modules of QGIS that stay
    before = traces(window)
    load_and_unload(window)
    assert traces(window) == before
    assert before["docks"] == before["pages"] == before["menu"] == before["toolbar"] == []
    assert "geoseg" not in before["providers"]


@pytest.mark.usefixtures("as_if_new")
def test_the_first_loading_brings_neither_libraries_nor_places_to_look_for_them(
    window: Window,
) -> None:
    before, others = set(sys.modules), traces(window)["path"]
    plugin = importlib.import_module("geoseg_qgis").classFactory(window)
    plugin.initGui()
    use(window)
    plugin.unload()
    run_deferred_deletions()
    added = {each.partition(".")[0] for each in set(sys.modules) - before}
    assert added - set(sys.stdlib_module_names) <= {"geoseg_qgis", "qgis"}
    assert sys.path == others


def test_the_dock_shows_the_active_layer_and_the_button_is_down(
    window: Window, scene: QgsRasterLayer
) -> None:
    other = QgsRasterLayer(scene.source(), "another")
    QgsProject.instance().addMapLayers([other, scene])
    window.active = scene
    plugin = geoseg_qgis.classFactory(window)
    plugin.initGui()
    try:
        segment(window).trigger()
        assert plugin.dock().layer() == scene
        assert segment(window).isChecked()
        assert plugin.dock().isVisible()
        segment(window).trigger()
        assert not segment(window).isChecked()
        assert not plugin.dock().isVisible()
        window.active = other
        segment(window).trigger()
        assert plugin.dock().layer() == other
        plugin.dock().close()
        assert not segment(window).isChecked()
    finally:
        plugin.unload()


# What lrelease makes of "Run", translated as "Los" in the context "geoseg".
GERMAN = (
    "PLhkGMrvnJXNIRy/YKG93acAAAACZGVCAAAACAAAWb4AAAAAaQAAACQDAAAABgBMAG8AcwgAAAAABgAAAANSdW4HAAAA"
    "Bmdlb3NlZwGIAAAAAgEB"
)


def test_texts_are_in_the_language_of_qgis_while_the_plugin_is_loaded(
    window: Window, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "i18n").mkdir()
    (tmp_path / "i18n/geoseg_de.qm").write_bytes(base64.b64decode(GERMAN))
    monkeypatch.setattr("geoseg_qgis.plugin.FOLDER", tmp_path)
    monkeypatch.setattr(QgsApplication, "locale", lambda: "de_AT")
    plugin = geoseg_qgis.classFactory(window)
    plugin.initGui()
    assert plugin.dock().runs.run_button.text() == "Los"
    plugin.unload()
    assert QCoreApplication.translate("geoseg", "Run") == "Run"
    run_deferred_deletions()


class Loud(QTranslator):
    """A language of capital letters, but for what is put into texts."""

    def translate(self, context: str, text: str, *_told: Any) -> str:
        return re.sub(r"(?<!{)[a-z]+(?!})", lambda word: word[0].upper(), text)


def test_failures_of_the_engine_are_told_in_the_language_of_qgis(
    window: Window, monkeypatch: pytest.MonkeyPatch
) -> None:
    language = Loud()
    QCoreApplication.installTranslator(language)
    plugin = geoseg_qgis.classFactory(window)
    plugin.initGui()
    try:
        setup = plugin._pages.setup
        page = plugin._pages.createWidget()
        page.show()
        failed = setup._failed(INSTALL, InstallationFailed(classify("No space left on device")))
        assert failed.text.startswith("THE DISK IS FULL. FREE SOME SPACE")
        monkeypatch.setenv("GEOSEG_PYTHON", "/nowhere/python")
        page.refresh()
        assert "THE ENVIRONMENT VARIABLE" in page.engine.state.texts()[0].upper()
        assert "/nowhere/python DOES NOT EXIST" in page.engine.state.texts()[0]
        page.hide()
        sip.delete(page)
    finally:
        plugin.unload()
        QCoreApplication.removeTranslator(language)
    assert classify("No space left on device").message == "the disk is full"


def test_the_settings_are_opened_from_the_menu(window: Window) -> None:
    plugin = geoseg_qgis.classFactory(window)
    plugin.initGui()
    try:
        window.main.findChild(QAction, "geosegSettings").trigger()
        assert len(window.opened_pages) == 1
    finally:
        plugin.unload()


def test_without_a_window_there_are_algorithms_only() -> None:
    plugin = geoseg_qgis.classFactory(None)
    plugin.initProcessing()
    registry = QgsApplication.processingRegistry()
    assert registry.algorithmById("geoseg:segment") is not None
    plugin.unload()
    assert registry.algorithmById("geoseg:segment") is None


def test_unloading_during_a_run_ends_it(
    tmp_path: Path, qtbot: Any, window: Window, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GEOSEG_PYTHON", engine_that(with_ids(tmp_path), tmp_path))
    plugin = geoseg_qgis.classFactory(window)
    plugin.initGui()
    QgsProject.instance().addMapLayer(image(tmp_path / "fits.tif"))
    plugin.dock().show()
    qtbot.waitUntil(lambda: plugin.dock().runs.run_button.isEnabled(), timeout=30_000)
    plugin.dock().runs.run_button.click()
    qtbot.waitUntil(lambda: plugin.dock().runs.progress.value() > 0, timeout=30_000)
    running = ids(tmp_path)
    plugin.unload()
    run_deferred_deletions()
    assert not any(map(is_alive, running))
    qtbot.waitUntil(lambda: QgsApplication.taskManager().count() == 0, timeout=30_000)


def test_unloading_while_the_engine_is_asked_ends_the_run(
    tmp_path: Path, qtbot: Any, window: Window, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GEOSEG_PYTHON", engine_that("", tmp_path))
    plugin = geoseg_qgis.classFactory(window)
    plugin.initGui()
    QgsProject.instance().addMapLayer(image(tmp_path / "fits.tif"))
    plugin.dock().show()
    qtbot.waitUntil(lambda: plugin.dock().runs.run_button.isEnabled(), timeout=30_000)
    (tmp_path / "info").touch()
    plugin.dock().runs.run_button.click()
    qtbot.waitUntil((tmp_path / "info-reached").exists, timeout=30_000)
    plugin.unload()
    run_deferred_deletions()
    qtbot.waitUntil(lambda: QgsApplication.taskManager().count() == 0, timeout=30_000)
    assert (tmp_path / "info").exists()  # so that nobody but unloading has ended it
