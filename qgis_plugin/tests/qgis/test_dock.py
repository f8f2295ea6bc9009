# SPDX-License-Identifier: GPL-2.0-or-later
"""The dock, used as people do."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Callable

import pytest
from osgeo import gdal
from pretence import (
    CLASSES,
    COPIES,
    INFRARED,
    STEPS,
    TRUE_COLOUR,
    engine_that,
    ids,
    image,
    with_ids,
)
from processes import is_alive
from qgis.core import (
    QgsApplication,
    QgsCategorizedSymbolRenderer,
    QgsCoordinateReferenceSystem,
    QgsFeature,
    QgsGeometry,
    QgsPalettedRasterRenderer,
    QgsProcessingException,
    QgsProject,
    QgsRasterLayer,
    QgsRectangle,
    QgsSettings,
    QgsVectorFileWriter,
    QgsVectorLayer,
)
from qgis.gui import QgsMapTool, QgsScrollArea
from qgis.PyQt.QtCore import QCoreApplication, QEvent, Qt, QTimer
from qgis.PyQt.QtWidgets import QLabel, QMessageBox, QPushButton, QWidget
from window import Window

from geoseg_qgis.dock import GeosegDock
from geoseg_qgis.extents import CANVAS, DRAWN, POLYGONS, WHOLE
from geoseg_qgis.notices import Notice, Notices

pytestmark = pytest.mark.usefixtures("provider", "qgis_new_project")

SLOW = 120_000  # milliseconds; the real engine on a busy machine
SOON = 30_000
Opened = list[str]
Make = Callable[[str], GeosegDock]
SaveOptions = QgsVectorFileWriter.SaveVectorOptions  # of a GeoPackage


@pytest.fixture(autouse=True)
def forgetful(qgis_app: QgsApplication) -> Iterator[None]:
    QgsSettings().remove("geoseg")
    yield
    QgsSettings().remove("geoseg")


@pytest.fixture
def opened() -> Opened:
    """Which settings were opened."""
    return []


@pytest.fixture
def dock_on(window: Window, opened: Opened, monkeypatch: pytest.MonkeyPatch) -> Iterator[Make]:
    """Make a dock that works with an interpreter."""
    made: list[GeosegDock] = []

    def make(python: str) -> GeosegDock:
        monkeypatch.setenv("GEOSEG_PYTHON", python)
        dock = GeosegDock(window, lambda: opened.append("settings"), window.main)
        made.append(dock)
        dock.show()
        dock.refresh_models()
        return dock

    yield make
    for dock in made:
        dock.close_down()
        dock.setParent(None)
        dock.deleteLater()
    QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)


@pytest.fixture
def dock(dock_on: Make, tmp_path: Path, qtbot: Any) -> GeosegDock:
    """A dock with models that are made for tests."""
    made = dock_on(engine_that("sys.exit(1)\n", tmp_path))
    qtbot.waitUntil(lambda: made.models.card() is not None, timeout=SOON)
    return made


def add(layer: Any) -> Any:
    QgsProject.instance().addMapLayer(layer)
    return layer


def severities(notices: Notices) -> list[str]:
    QCoreApplication.processEvents()
    return [each.severity for each in notices.findChildren(Notice) if each.isVisibleTo(notices)]


def settle(dock: GeosegDock, qtbot: Any) -> None:
    """Wait until the layer was looked at, its values too."""
    dock.look()
    qtbot.waitUntil(
        lambda: not dock._background._calls and not dock._look_later.isActive(), timeout=SOON
    )


def text_of(dock: GeosegDock) -> str:
    return "\n".join(dock.warnings.texts())


def button(notices: Notices, text: str) -> QPushButton:
    QCoreApplication.processEvents()  # in which layouts show what is new to them
    (found,) = (
        each
        for each in notices.findChildren(QPushButton)
        if each.text() == text and each.isVisibleTo(notices)
    )
    return found


def finish(dock: GeosegDock, qtbot: Any, wait: int = SOON) -> None:
    qtbot.waitUntil(lambda: not dock.is_running(), timeout=wait)


# Models


def test_models_are_listed_with_what_they_take(dock: GeosegDock) -> None:
    listed = [dock.models.choice.itemText(each) for each in range(dock.models.choice.count())]
    assert [each for each in listed if each] == ["true-colour", "infrared", "Model file…"]
    told = dock.models.told.text()
    assert "Fields and forests." in told
    assert "Nothing else" not in told
    assert "blue, green, red" in told
    assert "8 m to 12.5 m" in told
    for each in CLASSES:
        assert str(each["name"]) in told
        assert str(each["color"]) in told
    dock.models.told.linkActivated.emit("#")
    assert "Nothing else is known to it." in dock.models.told.text()


def test_models_are_known_at_once_the_next_time(
    dock: GeosegDock, window: Window, qtbot: Any
) -> None:
    another = GeosegDock(window, lambda: None, window.main)
    another.refresh_models()
    assert [each.name for each in another.catalogue.models] == ["true-colour", "infrared"]
    another.close_down()


def test_the_toolbox_offers_the_models_that_were_told_last(dock: GeosegDock, qtbot: Any) -> None:
    from processing.gui.wrappers import WidgetWrapperFactory

    segment = QgsApplication.processingRegistry().createAlgorithmById("geoseg:segment")
    model = segment.parameterDefinition("MODEL")
    wrapper = WidgetWrapperFactory.create_wrapper(model, type("AlgorithmDialog", (), {})())
    qtbot.addWidget(wrapper.widget)
    offered = [wrapper._names.itemText(each) for each in range(wrapper._names.count())]
    assert offered == ["true-colour", "infrared"]


def test_the_model_that_was_used_last_is_chosen_again(dock: GeosegDock, window: Window) -> None:
    dock.models.choose("infrared")
    dock.models.choice.activated.emit(dock.models.choice.currentIndex())
    another = GeosegDock(window, lambda: None, window.main)
    another.refresh_models()
    assert another.models.argument() == "infrared"
    another.close_down()


def test_a_model_file_is_read_and_chosen(
    dock: GeosegDock, tmp_path: Path, qtbot: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = str(tmp_path / "mine.safetensors")
    monkeypatch.setattr(
        "qgis.PyQt.QtWidgets.QFileDialog.getOpenFileName", lambda *_arguments: (path, "")
    )
    dock.models.choice.setCurrentIndex(dock.models.choice.count() - 1)
    dock.models.choice.activated.emit(dock.models.choice.currentIndex())
    qtbot.waitUntil(lambda: dock.models.argument() == path, timeout=SOON)
    assert dock.models.choice.currentText() == "mine.safetensors"
    monkeypatch.setattr(
        "qgis.PyQt.QtWidgets.QFileDialog.getOpenFileName", lambda *_arguments: ("", "")
    )
    dock.models.choice.setCurrentIndex(dock.models.choice.count() - 1)
    dock.models.choice.activated.emit(dock.models.choice.currentIndex())
    assert dock.models.argument() == path  # nothing was chosen, so nothing changes


def choose_file(dock: GeosegDock, path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "qgis.PyQt.QtWidgets.QFileDialog.getOpenFileName", lambda *_arguments: (path, "")
    )
    dock.models.choice.setCurrentIndex(dock.models.choice.count() - 1)
    dock.models.choice.activated.emit(dock.models.choice.currentIndex())


def test_of_two_model_files_of_one_name_the_one_chosen_runs(
    dock: GeosegDock, tmp_path: Path, qtbot: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = [str(tmp_path / folder / "model.safetensors") for folder in "ab"]
    for path in files:
        choose_file(dock, path, monkeypatch)
        qtbot.waitUntil(lambda path=path: dock.models.argument() == path, timeout=SOON)
    listed = [dock.models.choice.itemText(each) for each in range(dock.models.choice.count())]
    assert listed[2:4] == [f"model.safetensors ({tmp_path / folder})" for folder in "ab"]
    assert dock.models.choice.currentText() == listed[3]
    dock.catalogue.changed.emit()
    assert dock.models.argument() == files[1]
    # Both were told to be called as a shipped model is.
    dock.models.choose("true-colour")
    assert dock.models.argument() == "true-colour"
    dock.models.choice.setCurrentIndex(2)
    dock.models.choice.activated.emit(2)
    dock.catalogue.changed.emit()
    assert dock.models.argument() == files[0]


def test_the_answer_of_an_engine_that_is_no_longer_chosen_comes_too_late(
    dock_on: Make, tmp_path: Path, qtbot: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow, other = tmp_path / "slow", tmp_path / "other"
    for folder in (slow, other):
        folder.mkdir()
    (slow / "list").touch()
    dock = dock_on(engine_that("", slow, [INFRARED]))
    qtbot.waitUntil((slow / "list-reached").exists, timeout=SOON)
    chosen = engine_that("", other, [TRUE_COLOUR])
    monkeypatch.setenv("GEOSEG_PYTHON", chosen)
    dock.refresh_models()
    qtbot.waitUntil(lambda: dock.models.argument() == "true-colour", timeout=SOON)
    (slow / "list").unlink()
    qtbot.waitUntil(lambda: not dock.catalogue._background._calls, timeout=SOON)
    assert [each.name for each in dock.catalogue.models] == ["true-colour"]
    dock.refresh_models()  # what is remembered is shown at once
    assert dock.models.argument() == "true-colour"


def test_a_file_that_was_slow_to_read_does_not_take_the_place_of_what_was_chosen_since(
    dock: GeosegDock, tmp_path: Path, qtbot: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "info").touch()
    choose_file(dock, str(tmp_path / "slow.safetensors"), monkeypatch)
    qtbot.waitUntil((tmp_path / "info-reached").exists, timeout=SOON)
    dock.models.choice.setCurrentIndex(1)
    dock.models.choice.activated.emit(1)
    (tmp_path / "info").unlink()
    qtbot.waitUntil(lambda: dock.models.choice.count() == 5, timeout=SOON)
    assert dock.models.choice.itemText(2) == "slow.safetensors"
    assert dock.models.argument() == "infrared"


def test_a_shipped_model_stays_chosen_where_another_engine_tells_of_it(
    dock: GeosegDock, tmp_path: Path, qtbot: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = str(tmp_path / "mine.safetensors")
    choose_file(dock, path, monkeypatch)
    qtbot.waitUntil(lambda: dock.models.argument() == path, timeout=SOON)
    dock.models.choice.setCurrentIndex(1)
    dock.models.choice.activated.emit(1)
    other = tmp_path / "other"
    other.mkdir()
    moved = [{**each, "path": f"/other/{each['name']}"} for each in (TRUE_COLOUR, INFRARED)]
    monkeypatch.setenv("GEOSEG_PYTHON", engine_that("", other, moved))
    dock.refresh_models()
    assert dock.models.argument() == ""  # until it answers, and not the file
    qtbot.waitUntil(lambda: dock.models.card() is not None, timeout=SOON)
    assert dock.models.argument() == "infrared"
    assert dock.models.card().path == "/other/infrared"


DEMO = {**TRUE_COLOUR, "name": "demo-landscape"}


def test_a_model_that_fits_is_suggested_and_the_demo_comes_last(
    dock_on: Make, tmp_path: Path, qtbot: Any
) -> None:
    dock = dock_on(engine_that("sys.exit(1)\n", tmp_path, [DEMO, TRUE_COLOUR, INFRARED]))
    qtbot.waitUntil(lambda: dock.models.card() is not None, timeout=SOON)
    listed = [dock.models.choice.itemText(each) for each in range(3)]
    assert listed == ["true-colour", "infrared", "demo-landscape"]
    four, three = (add(image(tmp_path / f"{n}.tif", bands=n)) for n in (4, 3))
    for layer, name in ((four, "infrared"), (three, "true-colour")):
        dock.layers.setLayer(layer)
        settle(dock, qtbot)
        assert dock.models.argument() == name
    dock.models.choice.setCurrentIndex(2)
    dock.models.choice.activated.emit(2)
    dock.layers.setLayer(four)
    settle(dock, qtbot)
    assert dock.models.argument() == "demo-landscape"  # as chosen


def test_a_file_that_is_no_model_is_told_and_the_choice_stays(
    dock_on: Make, tmp_path: Path, qtbot: Any
) -> None:
    python = engine_that("", tmp_path)
    script = tmp_path / "engine.py"
    script.write_text(
        script.read_text().replace(
            'if "info" in told: ',
            'if "info" in told: print("geoseg: no model; give another", file=sys.stderr); '
            "sys.exit(2)\n#",
        )
    )
    dock = dock_on(python)
    qtbot.waitUntil(lambda: dock.models.card() is not None, timeout=SOON)
    before = dock.models.told.text()
    dock.models.told.setText("Reading x…")
    dock.catalogue.read_file(str(tmp_path / "x"))
    qtbot.waitUntil(lambda: bool(dock.runs.messages.texts()), timeout=SOON)
    assert dock.runs.messages.texts() == ["no model; give another"]
    assert dock.engine.texts() == []
    assert dock.models.argument() == "true-colour"
    assert dock.models.told.text() == before


# Before the run


def test_help_is_a_press_away(dock: GeosegDock, monkeypatch: pytest.MonkeyPatch) -> None:
    pages: list[Path] = []
    monkeypatch.setattr("geoseg_qgis.run_panel._open", pages.append)
    dock.runs.help_button.click()
    (page,) = pages
    assert page.name == "segment.html"
    assert page.is_file()


def test_without_a_layer_there_is_nothing_to_run(dock: GeosegDock, qtbot: Any) -> None:
    settle(dock, qtbot)
    assert text_of(dock) == "Add a raster layer to the project to begin."
    assert not dock.runs.run_button.isEnabled()


def test_an_image_that_fits_can_be_run_without_further_ado(
    dock: GeosegDock, tmp_path: Path, qtbot: Any
) -> None:
    layer = add(image(tmp_path / "fits.tif"))
    settle(dock, qtbot)
    assert dock.layer() == layer
    assert dock.warnings.texts() == []
    assert dock.runs.run_button.isEnabled()
    shown = dock.about_layer.text().replace("\u00a0", " ").replace("\u2060", "")
    assert shown == "64 × 64 px · 3 bands · 10 m · EPSG:32633"
    assert dock.parameters() == {
        "INPUT": layer.id(),
        "MODEL": "true-colour",
        "OUTPUT": "TEMPORARY_OUTPUT",
        "POLYGONS": "TEMPORARY_OUTPUT",
        "BANDS": "1,2,3",
    }


def test_looking_at_an_image_writes_nothing_beside_it(
    dock: GeosegDock, tmp_path: Path, qtbot: Any
) -> None:
    folder = tmp_path / "pictures"
    folder.mkdir()
    add(image(folder / "fits.tif"))
    settle(dock, qtbot)
    assert [each.name for each in folder.iterdir()] == ["fits.tif"]


def test_a_layer_whose_file_is_gone_is_told(dock: GeosegDock, qtbot: Any) -> None:
    add(QgsRasterLayer("/nowhere/gone.tif", "gone"))
    settle(dock, qtbot)
    assert dock.layer().name() == "gone"
    assert dock.warnings.texts() == [
        "The layer cannot be read. Repair its source, or choose another one."
    ]
    assert not dock.runs.run_button.isEnabled()
    assert not dock.about_layer.isVisible()
    assert not dock.pixel_size.isVisible()


def test_values_are_looked_at_anew_where_a_layer_gets_another_source(
    dock: GeosegDock, tmp_path: Path, qtbot: Any
) -> None:
    layer = add(image(tmp_path / "fits.tif"))
    settle(dock, qtbot)
    assert severities(dock.warnings) == []
    other = image(tmp_path / "reflectance.tif", highest=10_000)
    layer.setDataSource(other.source(), layer.name(), "gdal")
    settle(dock, qtbot)
    assert "the units differ" in text_of(dock)
    assert len(dock._values) == 1


def test_too_few_bands_disable_the_run(dock: GeosegDock, tmp_path: Path, qtbot: Any) -> None:
    add(image(tmp_path / "two.tif", bands=2))
    settle(dock, qtbot)
    assert severities(dock.warnings) == ["stop"]
    assert "needs 3 bands (blue, green, red), the layer has 2" in text_of(dock)
    assert not dock.runs.run_button.isEnabled()


def test_another_model_is_compared_anew(dock: GeosegDock, tmp_path: Path, qtbot: Any) -> None:
    add(image(tmp_path / "three.tif"))
    settle(dock, qtbot)
    assert dock.runs.run_button.isEnabled()
    dock.models.choose("infrared")
    qtbot.waitUntil(lambda: not dock.runs.run_button.isEnabled(), timeout=SOON)
    assert "needs 4 bands" in text_of(dock)


@pytest.mark.parametrize(
    ("made", "severity", "text"),
    [
        ({"pixel": 30.0}, "warning", "Pixels of 30 m are coarser than the 10 m"),
        ({"pixel": 100.0}, "stop", "Pixels of 100 m are more than 8 times off"),
        ({"crs": ""}, "warning", "no coordinate system"),
        ({"highest": 10_000}, "stop", "the units differ"),
        ({"highest": 1500}, "warning", "The map may be poor: scale the image to"),
        # 0.0002 degrees at 60 degrees north: 11.1 m to the east, 22.3 m to the north.
        (
            {"pixel": 0.0002, "crs": "EPSG:4326", "corner": (20.0, 60.0)},
            "warning",
            "Pixels of 11.2 × 22.3 m are coarser",
        ),
        # At 50 degrees north 10 units of web maps are 10 cos(50°) · 1.002 m.
        (
            {"crs": "EPSG:3857", "corner": (1e6, 6_446_276.0)},
            "warning",
            "Pixels of 6.44 m are finer than the 10 m",
        ),
    ],
)
def test_what_does_not_fit_is_said_before_the_run(
    dock: GeosegDock, tmp_path: Path, qtbot: Any, made: Any, severity: str, text: str
) -> None:
    add(image(tmp_path / "odd.tif", **made))
    settle(dock, qtbot)
    assert severities(dock.warnings) == [severity]
    assert text in text_of(dock)
    assert dock.runs.run_button.isEnabled() == (severity != "stop")


def test_bands_chosen_in_the_table_are_told(dock: GeosegDock, tmp_path: Path, qtbot: Any) -> None:
    add(image(tmp_path / "five.tif", bands=5))
    settle(dock, qtbot)
    assert "which band of the layer is: blue, green, red." in text_of(dock)
    assert not dock.bands_box.isCollapsed()
    assert not dock.runs.run_button.isEnabled()
    dock.bands.choose([4, 3, 2])
    qtbot.waitUntil(dock.runs.run_button.isEnabled, timeout=SOON)
    assert dock.parameters()["BANDS"] == "4,3,2"
    dock.bands.choose([4, 4, 2])
    settle(dock, qtbot)
    assert "One band is used twice." in text_of(dock)


def test_a_band_marked_as_transparency_is_taken_where_it_is_chosen(
    dock: GeosegDock, tmp_path: Path, qtbot: Any
) -> None:
    image(tmp_path / "four.tif", bands=4)
    made = gdal.Open(str(tmp_path / "four.tif"), gdal.GA_Update)
    made.GetRasterBand(1).SetColorInterpretation(gdal.GCI_AlphaBand)
    del made
    add(QgsRasterLayer(str(tmp_path / "four.tif"), "four"))
    settle(dock, qtbot)
    assert dock.parameters()["BANDS"] == "2,3,4"
    dock.models.choose("infrared")
    settle(dock, qtbot)
    offered = dock.bands._choices[0]
    assert [offered.itemText(each) for each in range(offered.count())] == [
        "Choose…", "Band 1 (transparency)", "Band 2", "Band 3", "Band 4",
    ]  # fmt: skip
    assert not dock.runs.run_button.isEnabled()
    dock.bands.choose([1, 2, 3, 4])
    qtbot.waitUntil(dock.runs.run_button.isEnabled, timeout=SOON)
    assert dock.parameters()["BANDS"] == "1,2,3,4"


def test_what_is_said_of_a_run_to_temporary_files_that_was_stopped(
    dock_on: Make, tmp_path: Path, qtbot: Any
) -> None:
    dock = ready(dock_on, STEPS, tmp_path, qtbot)
    dock.runs.run_button.click()
    qtbot.waitUntil(lambda: dock.runs.progress.value() > 0, timeout=SOON)
    dock.runs.cancel_button.click()
    finish(dock, qtbot)
    assert dock.runs.messages.texts() == ["Stopped. Nothing is kept of a run to temporary files."]


def test_options_reach_the_run_where_they_differ_from_the_usual(
    dock: GeosegDock, tmp_path: Path, qtbot: Any
) -> None:
    add(image(tmp_path / "fits.tif"))
    dock.tuning.min_area.setValue(500)
    dock.tuning.simplify.setValue(1.5)
    dock.tuning.window.setValue(256)
    dock.tuning.halo.setValue(0)
    dock.tuning.blend.setCurrentIndex(dock.tuning.blend.findData("hann"))
    dock.tuning.views.setCurrentIndex(dock.tuning.views.findData("flips"))
    dock.tuning.device.setCurrentIndex(dock.tuning.device.findData("cpu"))
    dock.tuning.confidence.setChecked(True)
    told = dock.parameters()
    assert {name: told[name] for name in told if name not in ("INPUT", "MODEL")} == {
        "MIN_AREA": 500.0,
        "SIMPLIFY": 1.5,
        "WINDOW": 256,
        "HALO": 0,
        "BLEND": "hann",
        "VIEWS": "flips",
        "DEVICE": "cpu",
        "OUTPUT": "TEMPORARY_OUTPUT",
        "POLYGONS": "TEMPORARY_OUTPUT",
        "CONFIDENCE": "TEMPORARY_OUTPUT",
    }
    dock.tuning.polygons.setChecked(False)
    assert not {"POLYGONS", "SIMPLIFY"} & set(dock.parameters())


# Area


def test_what_the_map_shows_is_the_extent(
    dock: GeosegDock, window: Window, tmp_path: Path, qtbot: Any
) -> None:
    layer = add(image(tmp_path / "fits.tif"))
    window.canvas.setDestinationCrs(QgsCoordinateReferenceSystem("EPSG:32633"))
    window.canvas.setExtent(QgsRectangle(500_100, 5_399_700, 500_300, 5_399_900))
    dock.area.choose(CANVAS)
    settle(dock, qtbot)
    extent = dock.parameters()["EXTENT"]
    assert extent.crs() == layer.crs()
    assert QgsRectangle(extent) == window.canvas.extent().intersect(layer.extent())
    window.canvas.setExtent(QgsRectangle(600_000, 5_399_700, 600_100, 5_399_800))
    settle(dock, qtbot)
    assert "holds nothing of the layer" in text_of(dock)
    assert not dock.runs.run_button.isEnabled()


def test_a_map_in_degrees_gives_an_extent_in_the_layers_metres(
    dock: GeosegDock, window: Window, tmp_path: Path, qtbot: Any
) -> None:
    layer = add(image(tmp_path / "fits.tif"))
    window.canvas.setDestinationCrs(QgsCoordinateReferenceSystem("EPSG:4326"))
    window.canvas.setExtent(QgsRectangle(14.0, 48.0, 16.0, 49.0))
    dock.area.choose(CANVAS)
    extent = dock.parameters()["EXTENT"]
    assert extent.crs() == layer.crs()
    assert QgsRectangle(extent) == layer.extent()


def test_a_drawn_rectangle_is_the_extent_and_the_map_gets_its_tool_back(
    dock: GeosegDock, window: Window, tmp_path: Path, qtbot: Any
) -> None:
    add(image(tmp_path / "fits.tif"))
    window.canvas.setDestinationCrs(QgsCoordinateReferenceSystem("EPSG:32633"))
    tool = window.canvas.mapTool()
    dock.area.choose(DRAWN)
    settle(dock, qtbot)
    assert "Drag a rectangle on the map" in text_of(dock)
    assert not dock.runs.run_button.isEnabled()
    drawing = window.canvas.mapTool()
    assert drawing is not tool
    box = QgsRectangle(500_100, 5_399_700, 500_200, 5_399_900)
    drawing.extentChanged.emit(box)
    assert window.canvas.mapTool() is tool
    settle(dock, qtbot)
    assert QgsRectangle(dock.parameters()["EXTENT"]) == box
    assert dock.area.told.text() == "About 200 pixels"
    # The outline stays where it was drawn when the map is shown in another CRS (as pyproj says).
    window.canvas.setDestinationCrs(QgsCoordinateReferenceSystem("EPSG:4326"))
    outline = dock.area._band.asGeometry().boundingBox().center()
    assert (outline.x(), outline.y()) == pytest.approx((15.00204, 48.75121), abs=1e-4)
    dock.area.choose(WHOLE)
    assert "EXTENT" not in dock.parameters()


def test_a_dock_that_is_closed_down_leaves_no_tool_on_the_map(window: Window) -> None:
    before = len(window.canvas.findChildren(QgsMapTool))
    dock = GeosegDock(window, lambda: None, window.main)
    assert len(window.canvas.findChildren(QgsMapTool)) == before + 1
    dock.close_down()
    QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)
    assert len(window.canvas.findChildren(QgsMapTool)) == before


def polygons(*boxes: QgsRectangle) -> QgsVectorLayer:
    layer = QgsVectorLayer("Polygon?crs=EPSG:32633", "fields", "memory")
    for box in boxes:
        feature = QgsFeature()
        feature.setGeometry(QgsGeometry.fromRect(box))
        layer.dataProvider().addFeature(feature)
    layer.updateExtents()
    return layer


def test_polygons_to_stay_inside_of_are_the_mask(
    dock: GeosegDock, tmp_path: Path, qtbot: Any
) -> None:
    add(image(tmp_path / "fits.tif"))
    dock.area.choose(POLYGONS)
    settle(dock, qtbot)
    assert "Choose the polygon layer" in text_of(dock)
    assert not dock.runs.run_button.isEnabled()
    mask = add(polygons(QgsRectangle(500_100, 5_399_700, 500_200, 5_399_900)))
    dock.area.polygons.setLayer(mask)
    qtbot.waitUntil(dock.runs.run_button.isEnabled, timeout=SOON)
    told = dock.parameters()
    assert told["MASK"].source.staticValue() == mask.id()
    assert not told["MASK"].selectedFeaturesOnly
    assert "EXTENT" not in told


def test_selected_polygons_alone_may_be_meant(dock: GeosegDock, tmp_path: Path, qtbot: Any) -> None:
    add(image(tmp_path / "fits.tif"))
    inside = QgsRectangle(500_100, 5_399_700, 500_200, 5_399_900)
    mask = add(polygons(inside, QgsRectangle(0, 0, 10, 10)))
    dock.area.choose(POLYGONS)
    dock.area.polygons.setLayer(mask)
    dock.area.selected.setChecked(True)
    settle(dock, qtbot)
    assert "No polygon is selected." in text_of(dock)
    assert not dock.runs.run_button.isEnabled()
    mask.selectByIds([next(mask.getFeatures()).id()])
    qtbot.waitUntil(dock.runs.run_button.isEnabled, timeout=SOON)
    assert dock.parameters()["MASK"].selectedFeaturesOnly
    assert dock.area.told.text() == "About 200 pixels"


def test_polygons_that_are_selected_are_taken_at_first(
    dock: GeosegDock, tmp_path: Path, qtbot: Any
) -> None:
    add(image(tmp_path / "fits.tif"))
    inside = QgsRectangle(500_100, 5_399_700, 500_200, 5_399_900)
    other, mask = add(polygons(inside)), add(polygons(inside, inside))
    mask.selectByIds([next(mask.getFeatures()).id()])
    dock.area.choose(POLYGONS)
    assert dock.area.mask() is mask
    assert dock.area.selected.isChecked()
    dock.area.choose(WHOLE)
    dock.area.polygons.setLayer(other)
    dock.area.choose(POLYGONS)
    assert dock.area.mask() is other  # as chosen


def test_polygons_elsewhere_are_refused(dock: GeosegDock, tmp_path: Path, qtbot: Any) -> None:
    add(image(tmp_path / "fits.tif"))
    dock.area.polygons.setLayer(add(polygons(QgsRectangle(0, 0, 10, 10))))
    dock.area.choose(POLYGONS)
    settle(dock, qtbot)
    assert "holds nothing of the layer" in text_of(dock)


def web_map() -> QgsRasterLayer:
    source = "type=xyz&url=http://localhost:1/%7Bz%7D/%7Bx%7D/%7By%7D.png&zmin=0&zmax=18"
    layer = QgsRasterLayer(source, "web", "wms")
    assert layer.isValid()
    return layer


def test_a_web_map_is_asked_for_an_area_and_a_pixel_size(
    dock: GeosegDock, window: Window, qtbot: Any
) -> None:
    web = add(web_map())
    settle(dock, qtbot)
    assert "Choose an area of it" in text_of(dock)
    assert dock.pixel_size.isVisible()
    assert not dock.runs.run_button.isEnabled()
    window.canvas.setDestinationCrs(web.crs())
    window.canvas.setExtent(QgsRectangle(0, 0, 5_000, 4_000))
    dock.area.choose(CANVAS)
    dock.pixel_size.setValue(10)
    settle(dock, qtbot)
    assert severities(dock.warnings) == []
    told = dock.parameters()
    assert told["PIXEL_SIZE"] == 10
    assert QgsRectangle(told["EXTENT"]) == window.canvas.extent()
    dock.pixel_size.setValue(0)
    settle(dock, qtbot)
    assert not dock.runs.run_button.isEnabled()


def test_the_pixel_size_of_the_model_is_offered_for_a_web_map(
    dock: GeosegDock, window: Window, qtbot: Any
) -> None:
    add(web_map())
    # Web Mercator's units are metres at the equator, which is the middle of the whole layer.
    settle(dock, qtbot)
    assert dock.pixel_size.value() == 10
    window.canvas.setDestinationCrs(QgsCoordinateReferenceSystem("EPSG:3857"))
    window.canvas.setExtent(QgsRectangle(1e6, 6_446_000, 1_001_000, 6_446_500))
    dock.area.choose(CANVAS)
    settle(dock, qtbot)
    # At 50 degrees north they are cos(50°) · 1.002 = 0.644 m.
    assert dock.pixel_size.value() == 15.5
    assert "9.98\u00a0m" in dock.about_layer.text()
    assert severities(dock.warnings) == []
    dock.pixel_size.setValue(10)
    settle(dock, qtbot)
    assert "Pixels of 6.44 m are finer than the 10 m" in text_of(dock)
    window.canvas.setExtent(QgsRectangle(1e6, 8_399_000, 1_001_000, 8_400_000))
    settle(dock, qtbot)
    assert dock.pixel_size.value() == 10  # the user's own


@pytest.mark.parametrize(("usual", "severity"), [(10_000.0, "stop"), (2000.0, "warning")])
def test_pictures_for_a_model_of_reflectance_are_told_of_before_anything_is_loaded(
    dock_on: Make, window: Window, tmp_path: Path, qtbot: Any, usual: float, severity: str
) -> None:
    reflectance = {**TRUE_COLOUR, "value_range": [[0.0, usual]] * 3}
    dock = dock_on(engine_that("sys.exit(1)\n", tmp_path, [reflectance]))
    qtbot.waitUntil(lambda: dock.models.card() is not None, timeout=SOON)
    window.canvas.setDestinationCrs(QgsCoordinateReferenceSystem("EPSG:3857"))
    window.canvas.setExtent(QgsRectangle(0, 0, 5_000, 4_000))
    dock.area.choose(CANVAS)
    add(web_map())
    settle(dock, qtbot)
    assert severities(dock.warnings) == [severity]
    told = f"Pixel values go up to 255, but the model was trained on values up to {usual:.4g}"
    assert told in text_of(dock)
    assert dock.runs.run_button.isEnabled() == (severity != "stop")


def test_the_users_pixel_size_stays_as_long_as_layer_and_model_do(
    dock: GeosegDock, tmp_path: Path, qtbot: Any
) -> None:
    source = "type=xyz&url=http://localhost:1/%7Bz%7D/%7Bx%7D/%7By%7D.png&zmin=0&zmax=18"
    add(QgsRasterLayer(source, "web", "wms"))
    settle(dock, qtbot)
    dock.pixel_size.setValue(0.299)
    for happens in (
        lambda: dock.models.told.linkActivated.emit("#"),
        lambda: dock.catalogue.file_refused.emit(ValueError("no model")),
        dock.refresh_models,
    ):
        happens()
        settle(dock, qtbot)
        assert dock.pixel_size.value() == 0.299
    dock.models.choose("infrared")
    assert dock.pixel_size.value() == pytest.approx(10, rel=0.01)


# Outputs


def test_results_lie_beside_each_other(dock: GeosegDock, tmp_path: Path) -> None:
    dock.outputs.file.setFilePath(str(tmp_path / "map"))
    dock.tuning.confidence.setChecked(True)
    told = dock.parameters()
    assert told["OUTPUT"] == str(tmp_path / "map.tif")
    assert told["POLYGONS"] == str(tmp_path / "map.gpkg")
    assert told["CONFIDENCE"] == str(tmp_path / "map_confidence.tif")


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("map.tif", "Give the whole path"),
        ("/no/such/folder/map.tif", "folder /no/such/folder doe"),
        ("/", "Add the name of a file"),
        (".", "Add the name of a file"),
        (f"/{'long' * 100}/map.tif", "does not exist"),
    ],
)
def test_a_place_that_cannot_be_written_to_is_refused(
    dock: GeosegDock, tmp_path: Path, qtbot: Any, path: str, text: str
) -> None:
    add(image(tmp_path / "fits.tif"))
    dock.outputs.file.setFilePath(path)
    settle(dock, qtbot)
    assert text in text_of(dock)
    assert not dock.runs.run_button.isEnabled()


def answers(monkeypatch: pytest.MonkeyPatch, answer: Any) -> list[str]:
    asked: list[str] = []

    def question(_parent: Any, _title: str, text: str, *_more: Any) -> Any:
        asked.append(text)
        return answer

    monkeypatch.setattr(QMessageBox, "question", question)
    return asked


def test_files_that_exist_are_asked_about_and_kept_if_the_user_says_so(
    dock: GeosegDock, tmp_path: Path, qtbot: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(image(tmp_path / "fits.tif"))
    (tmp_path / "map.gpkg").write_text("precious")
    dock.outputs.file.setFilePath(str(tmp_path / "map.tif"))
    settle(dock, qtbot)
    asked = answers(monkeypatch, QMessageBox.StandardButton.Cancel)
    dock.runs.run_button.click()
    assert not dock.is_running()
    assert len(asked) == 1
    assert str(tmp_path / "map.gpkg") in asked[0]
    assert str(tmp_path / "map.tif") not in asked[0]
    answers(monkeypatch, QMessageBox.StandardButton.Yes)
    dock.runs.run_button.click()
    assert dock.is_running()
    finish(dock, qtbot)


def test_layers_of_files_that_are_replaced_leave_the_project(
    dock_on: Make, tmp_path: Path, qtbot: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    dock = ready(dock_on, COPIES, tmp_path, qtbot)
    dock.tuning.polygons.setChecked(False)
    dock.outputs.file.setFilePath(str(tmp_path / "map.tif"))
    asked = answers(monkeypatch, QMessageBox.StandardButton.Yes)
    for _ in range(2):
        settle(dock, qtbot)
        dock.runs.run_button.click()
        finish(dock, qtbot)
        assert dock.runs.messages.texts() == ["fits is classified."]
        names = [each.name() for each in QgsProject.instance().layerTreeRoot().children()]
        assert names == ["fits · true-colour", "fits"]  # the new group, above the image
        sources = [each.source() for each in QgsProject.instance().mapLayers().values()]
        assert sorted(sources) == [str(tmp_path / "fits.tif"), str(tmp_path / "map.tif")]
    (text,) = asked
    assert text.endswith("Their layers will be taken out of the project.")


def test_the_file_of_the_image_is_not_written_to(
    dock: GeosegDock, tmp_path: Path, qtbot: Any
) -> None:
    add(image(tmp_path / "fits.tif"))
    (tmp_path / "link").symlink_to(tmp_path)
    for folder in (tmp_path, tmp_path / "link"):
        dock.outputs.file.setFilePath(str(folder / "other.tif"))
        settle(dock, qtbot)
        assert dock.runs.run_button.isEnabled()
        dock.outputs.file.setFilePath(str(folder / "fits.tif"))
        settle(dock, qtbot)
        assert f"The layer fits is read from {folder / 'fits.tif'}, which" in text_of(dock)
        assert not dock.runs.run_button.isEnabled()


def test_the_file_of_the_polygons_to_stay_inside_of_is_not_written_to(
    dock: GeosegDock, tmp_path: Path, qtbot: Any
) -> None:
    add(image(tmp_path / "fits.tif"))
    made = polygons(QgsRectangle(500_100, 5_399_700, 500_200, 5_399_900))
    path = tmp_path / "area.gpkg"
    transforms, options = QgsProject.instance().transformContext(), SaveOptions()
    QgsVectorFileWriter.writeAsVectorFormatV3(made, str(path), transforms, options)
    dock.area.choose(POLYGONS)
    dock.area.polygons.setLayer(add(QgsVectorLayer(f"{path}|layername=area", "area", "ogr")))
    dock.outputs.file.setFilePath(str(tmp_path / "area.tif"))
    settle(dock, qtbot)
    assert f"The layer area is read from {path}, which would be replaced." in text_of(dock)
    assert not dock.runs.run_button.isEnabled()
    dock.tuning.polygons.setChecked(False)  # which alone would be written there
    settle(dock, qtbot)
    assert dock.runs.run_button.isEnabled()


def test_the_file_that_holds_an_image_beside_others_is_not_written_to(
    dock: GeosegDock, tmp_path: Path, qtbot: Any
) -> None:
    path = tmp_path / "all.gpkg"
    gdal.Translate(str(path), image(tmp_path / "fits.tif").source(), format="GPKG",
                   outputType=gdal.GDT_Byte, creationOptions=["RASTER_TABLE=scene"])  # fmt: skip
    add(QgsRasterLayer(f"GPKG:{path}:scene", "scene"))
    dock.outputs.file.setFilePath(str(tmp_path / "all.tif"))
    settle(dock, qtbot)
    assert f"The layer scene is read from {path}" in text_of(dock)
    assert not dock.runs.run_button.isEnabled()


def test_new_files_are_not_asked_about(
    dock: GeosegDock, tmp_path: Path, qtbot: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(image(tmp_path / "fits.tif"))
    dock.outputs.file.setFilePath(str(tmp_path / "map.tif"))
    settle(dock, qtbot)
    asked = answers(monkeypatch, QMessageBox.StandardButton.Cancel)
    dock.runs.run_button.click()
    finish(dock, qtbot)
    assert asked == []


# Runs


def ready(dock_on: Make, does: str, tmp_path: Path, qtbot: Any) -> GeosegDock:
    dock = dock_on(engine_that(does, tmp_path))
    qtbot.waitUntil(lambda: dock.models.card() is not None, timeout=SOON)
    add(image(tmp_path / "fits.tif"))
    settle(dock, qtbot)
    return dock


def test_a_run_that_cannot_be_prepared_says_why_and_is_over(
    dock_on: Make, tmp_path: Path, qtbot: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_layers: Any) -> None:
        raise QgsProcessingException("the layer is locked; unlock it")

    dock = ready(dock_on, STEPS, tmp_path, qtbot)
    monkeypatch.setattr("geoseg_qgis.sources.take", refuse)
    dock.runs.run_button.click()
    assert not dock.is_running()
    assert dock.runs.run_button.isVisible()
    assert dock.runs.messages.texts() == ["The layer is locked; unlock it"]
    button(dock.runs.messages, "Copy diagnostics").click()
    assert "error: the layer is locked" in QgsApplication.clipboard().text()


def test_what_was_chosen_just_before_the_press_counts(
    dock_on: Make, tmp_path: Path, qtbot: Any
) -> None:
    dock = ready(dock_on, STEPS, tmp_path, qtbot)
    dock.area.choose(POLYGONS)
    dock.runs.run_button.click()
    assert not dock.is_running()
    assert "Choose the polygon layer" in text_of(dock)


def test_a_run_shows_how_far_it_is_and_how_long_it_takes(
    dock_on: Make, tmp_path: Path, qtbot: Any
) -> None:
    dock = ready(dock_on, STEPS, tmp_path, qtbot)
    dock.runs.run_button.click()
    assert dock.is_running()
    assert not dock.runs.run_button.isVisible()
    assert dock.runs.cancel_button.isVisible()
    assert not dock.asked.isEnabled()
    qtbot.waitUntil(lambda: "left" in dock.runs.left.text(), timeout=SOON)
    # 7 of 10 blocks, and polygons take a tenth of the whole.
    qtbot.waitUntil(lambda: dock.runs.progress.value() == 63, timeout=SOON)
    assert dock.runs.step.text() == "Classifying fits: block 8 of 10"
    dock.runs.cancel_button.click()
    finish(dock, qtbot)
    assert dock.runs.run_button.isVisible()
    assert dock.runs.run_button.isEnabled()
    assert not dock.runs.cancel_button.isVisible()
    assert dock.asked.isEnabled()


def test_cancel_leaves_no_process(dock_on: Make, tmp_path: Path, qtbot: Any) -> None:
    dock = ready(dock_on, with_ids(tmp_path), tmp_path, qtbot)
    dock.outputs.file.setFilePath(str(tmp_path / "map.tif"))
    dock.runs.run_button.click()
    qtbot.waitUntil(lambda: dock.runs.progress.value() > 0, timeout=SOON)
    assert all(is_alive(each) for each in ids(tmp_path))
    dock.runs.cancel_button.click()
    assert not dock.runs.cancel_button.isEnabled()
    finish(dock, qtbot)
    assert not any(is_alive(each) for each in ids(tmp_path))
    assert dock.runs.messages.texts() == ["Stopped. Run again to go on from there."]
    assert severities(dock.runs.messages) == ["note"]


IMAGE = "<img src='file:///nowhere.png'>"


def is_read_as_it_stands(label: QLabel) -> bool:
    rich = Qt.mightBeRichText(label.text())
    return label.textFormat() == Qt.TextFormat.PlainText or not rich


def test_what_cards_and_layers_are_called_is_text_and_no_page(
    dock_on: Make, tmp_path: Path, qtbot: Any, window: Window
) -> None:
    card = {**TRUE_COLOUR, "description": IMAGE, "bands": [IMAGE, "green", "red"]}
    python = engine_that("sys.exit(1)", tmp_path, [card])
    dock = dock_on(python)
    qtbot.waitUntil(lambda: dock.models.card() is not None, timeout=SOON)
    layer = add(image(tmp_path / "fits.tif"))
    layer.setName(IMAGE)
    dock.outputs.file.setFilePath(str(tmp_path / "<b>map.tif"))
    settle(dock, qtbot)
    labels = dock.findChildren(QLabel)
    assert IMAGE in [each.text() for each in labels]
    # One is made as a page, of escaped texts, and some are QGIS' own.
    for other in (dock.models.told, *dock.outputs.file.findChildren(QLabel)):
        labels.remove(other)
    assert [each.text() for each in labels if not is_read_as_it_stands(each)] == []
    assert "&lt;img" in dock.models.told.text()
    assert "<img" not in dock.models.told.text()
    assert dock.models.choice.toolTip().startswith("<p>&lt;img src=")


@pytest.mark.parametrize("does", ["sys.exit(1)\n", COPIES])
def test_the_map_is_told_the_name_of_a_layer_as_it_stands(
    dock_on: Make, tmp_path: Path, qtbot: Any, window: Window, does: str
) -> None:
    dock = ready(dock_on, does, tmp_path, qtbot)
    dock.layer().setName(IMAGE)
    dock.tuning.polygons.setChecked(False)
    settle(dock, qtbot)
    dock.runs.run_button.click()
    finish(dock, qtbot)
    qtbot.waitUntil(lambda: bool(window.messageBar().items()), timeout=SOON)
    assert window.messageBar().currentItem().text().startswith("&lt;img src=")


@pytest.mark.parametrize(
    "stop", [lambda dock: dock.runs.cancel(), lambda dock: dock.runs._run.stop()]
)
@pytest.mark.parametrize("phase", ["queue", "info"])
def test_a_run_is_stopped_before_the_engine_classifies(
    dock_on: Make, tmp_path: Path, qtbot: Any, phase: str, stop: Callable[[GeosegDock], None]
) -> None:
    dock = ready(dock_on, COPIES, tmp_path, qtbot)
    dock.outputs.file.setFilePath(str(tmp_path / "map.tif"))
    if phase == "info":
        run_held_at(phase, dock, tmp_path, qtbot)
    else:
        settle(dock, qtbot)
        dock.runs.run_button.click()
    stop(dock)
    finish(dock, qtbot)
    assert dock.runs.messages.texts() == ["Stopped. Run again to go on from there."]
    assert severities(dock.runs.messages) == ["note"]
    assert QgsApplication.taskManager().countActiveTasks() == 0
    assert not (tmp_path / "map.tif").exists()


def test_a_crash_is_told_and_its_log_can_be_copied(
    dock_on: Make, tmp_path: Path, qtbot: Any
) -> None:
    does = "print('something odd', flush=True)\nos.kill(os.getpid(), signal.SIGSEGV)\n"
    dock = ready(dock_on, does, tmp_path, qtbot)
    dock.runs.run_button.click()
    finish(dock, qtbot)
    (text,) = dock.runs.messages.texts()
    assert "crashed" in text
    assert severities(dock.runs.messages) == ["stop"]
    assert QgsProject.instance().layerTreeRoot().findGroups() == []
    button(dock.runs.messages, "Copy diagnostics").click()
    copied = QgsApplication.clipboard().text()
    assert text in copied
    assert "something odd" in copied
    assert dock.runs.run_button.isEnabled()


def test_what_the_engine_refuses_is_told_in_its_words_and_gone_at_the_next_run(
    dock_on: Make, tmp_path: Path, qtbot: Any, window: Window
) -> None:
    does = (
        "say(event='error', kind='user', message='the image is odd; take another')\nsys.exit(2)\n"
    )
    dock = ready(dock_on, does, tmp_path, qtbot)
    for _ in range(2):
        dock.runs.run_button.click()
        finish(dock, qtbot)
        assert dock.runs.messages.texts() == ["The image is odd; take another"]
    qtbot.waitUntil(lambda: bool(window.messageBar().items()), timeout=SOON)
    assert window.messageBar().currentItem().text() == "fits is not classified; the dock says why."


@pytest.mark.parametrize("how", ["chosen", "active", "declined", "closed"])
def test_what_a_run_has_said_goes_where_another_image_is_chosen_or_run(
    dock_on: Make, tmp_path: Path, qtbot: Any, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    dock = ready(dock_on, COPIES, tmp_path, qtbot)
    dock.tuning.polygons.setChecked(False)
    dock.outputs.file.setFilePath(str(tmp_path / "map.tif"))
    dock.runs.run_button.click()
    finish(dock, qtbot)
    other = add(image(tmp_path / "other.tif"))
    assert dock.runs.messages.texts() == ["fits is classified."]
    if how == "chosen":
        dock.layers.setLayer(other)
        dock.layers.activated.emit(dock.layers.currentIndex())
    elif how == "active":
        dock.choose_layer(dock.layer())
        assert dock.runs.messages.texts() == ["fits is classified."]
        dock.choose_layer(other)
    elif how == "declined":
        answers(monkeypatch, QMessageBox.StandardButton.Cancel)
        dock.start()
    else:
        QgsProject.instance().clear()
    assert dock.runs.messages.texts() == []


def test_without_an_engine_the_settings_are_offered(
    dock_on: Make, opened: Opened, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("GEOSEG_HOME", str(tmp_path))
    dock = dock_on("")
    (text,) = dock.engine.texts()
    assert "set geoseg up" in text
    assert dock.engine.isVisible()
    assert not dock.runs.run_button.isEnabled()
    button(dock.engine, "Set up…").click()
    assert opened == ["settings"]


def test_an_engine_that_is_gone_is_named(dock_on: Make, opened: Opened) -> None:
    dock = dock_on("/nowhere/python")
    (text,) = dock.engine.texts()
    assert "/nowhere/python does not exist" in text
    button(dock.engine, "Set up…").click()
    assert opened == ["settings"]


def test_an_engine_that_does_not_answer_can_be_tried_again(
    dock_on: Make, tmp_path: Path, qtbot: Any
) -> None:
    broken = tmp_path / "python"
    broken.write_text("#!/bin/sh\nexit 3\n")
    broken.chmod(0o755)
    dock = dock_on(str(broken))
    qtbot.waitUntil(lambda: bool(dock.engine.texts()), timeout=SOON)
    assert len(dock.engine.texts()) == 1
    engine_that("", tmp_path)
    button(dock.engine, "Try again").click()
    qtbot.waitUntil(lambda: dock.models.card() is not None, timeout=SOON)
    assert dock.engine.texts() == []


# What goes away during a run


def remove_image(dock: GeosegDock) -> None:
    QgsProject.instance().removeMapLayer(dock.layer().id())


def close_project(_dock: GeosegDock) -> None:
    QgsProject.instance().clear()


def run_held_at(phase: str, dock: GeosegDock, folder: Path, qtbot: Any) -> None:
    """Begin a run of which only the map is wanted, and wait until it is in a phase."""
    dock.tuning.polygons.setChecked(False)
    settle(dock, qtbot)
    (folder / phase).touch()
    dock.runs.run_button.click()
    qtbot.waitUntil((folder / f"{phase}-reached").exists, timeout=SOON)


@pytest.mark.parametrize("go_away", [remove_image, close_project])
@pytest.mark.parametrize("phase", ["info", "predict"])
def test_a_run_outlives_its_image_layer(
    dock_on: Make, tmp_path: Path, qtbot: Any, phase: str, go_away: Callable[[GeosegDock], None]
) -> None:
    dock = ready(dock_on, COPIES, tmp_path, qtbot)
    run_held_at(phase, dock, tmp_path, qtbot)
    go_away(dock)
    (tmp_path / phase).unlink()
    finish(dock, qtbot)
    assert dock.runs.messages.texts()[0].startswith("fits is classified.")


@pytest.mark.parametrize("go_away", [remove_image, close_project])
def test_a_run_outlives_its_image_layer_as_soon_as_it_is_in_the_queue(
    dock_on: Make, tmp_path: Path, qtbot: Any, go_away: Callable[[GeosegDock], None]
) -> None:
    dock = ready(dock_on, COPIES, tmp_path, qtbot)
    dock.tuning.polygons.setChecked(False)
    dock.runs.run_button.click()
    go_away(dock)
    finish(dock, qtbot)
    assert dock.runs.messages.texts()[0].startswith("fits is classified.")


@pytest.mark.parametrize("go_away", [remove_image, close_project])
def test_a_run_outlives_its_web_map_while_it_is_exported(
    dock_on: Make, web_map: QgsRasterLayer, window: Window, tmp_path: Path, qtbot: Any,
    go_away: Callable[[GeosegDock], None],
) -> None:  # fmt: skip
    dock = dock_on(engine_that(COPIES, tmp_path))
    qtbot.waitUntil(lambda: dock.models.card() is not None, timeout=SOON)
    add(web_map.clone()).setName("tiles")
    window.canvas.setDestinationCrs(web_map.crs())
    window.canvas.setExtent(QgsRectangle(-4_000, -4_000, 4_000, 4_000))
    dock.area.choose(CANVAS)
    dock.pixel_size.setValue(10)
    dock.tuning.polygons.setChecked(False)
    settle(dock, qtbot)
    dock.runs.run_button.click()
    qtbot.waitUntil(lambda: "Exporting" in dock.runs.log.toPlainText(), timeout=SOON)
    go_away(dock)
    finish(dock, qtbot)
    assert dock.runs.messages.texts()[0].startswith("tiles is classified.")


@pytest.mark.parametrize("phase", ["info", "predict"])
def test_a_run_outlives_the_layer_of_polygons_it_stays_inside_of(
    dock_on: Make, tmp_path: Path, qtbot: Any, phase: str
) -> None:
    dock = ready(dock_on, COPIES, tmp_path, qtbot)
    mask = add(polygons(QgsRectangle(500_100, 5_399_700, 500_200, 5_399_900)))
    dock.area.choose(POLYGONS)
    dock.area.polygons.setLayer(mask)
    run_held_at(phase, dock, tmp_path, qtbot)
    QgsProject.instance().removeMapLayer(mask.id())
    (tmp_path / phase).unlink()
    finish(dock, qtbot)
    assert dock.runs.messages.texts() == ["fits is classified."]


def test_results_are_offered_to_another_project_that_was_opened_meanwhile(
    dock_on: Make, tmp_path: Path, qtbot: Any
) -> None:
    dock = ready(dock_on, COPIES, tmp_path, qtbot)
    run_held_at("predict", dock, tmp_path, qtbot)
    QgsProject.instance().clear()
    (tmp_path / "predict").unlink()
    finish(dock, qtbot)
    told = "fits is classified. Another project is open now, so nothing was added to it."
    assert dock.runs.messages.texts() == [told]
    assert QgsProject.instance().mapLayers() == {}
    assert QgsProject.instance().layerTreeRoot().children() == []
    add(image(tmp_path / "other.tif"))
    dock.layers.activated.emit(dock.layers.currentIndex())
    QgsProject.instance().clear()
    button(dock.runs.messages, "Add to this project").click()
    assert dock.runs.messages.texts() == ["fits is classified."]
    group = QgsProject.instance().layerTreeRoot().children()[0]
    assert group.name() == "fits · true-colour"
    assert [each.name() for each in group.children()] == ["Class map"]
    assert group.children()[0].layer().isValid()


# The real engine


@pytest.fixture
def real(dock_on: Make, engine: str, qtbot: Any) -> GeosegDock:
    """A dock with the models that come with the engine."""
    dock = dock_on(engine)
    qtbot.waitUntil(
        lambda: dock.models.card() is not None or bool(dock.engine.texts()), timeout=SLOW
    )
    assert dock.engine.texts() == []
    return dock


NAMES = {10: "building", 30: "road", 50: "field", 70: "forest", 100: "other"}
COLORS = {10: "#c8353a", 30: "#4a4a4a", 50: "#e3c35a", 70: "#1b5e34", 100: "#9fc6e0"}


def test_a_real_run_adds_a_styled_map_with_polygons_above_it_while_the_window_stays_alive(
    real: GeosegDock, scene: QgsRasterLayer, tmp_path: Path, qtbot: Any, window: Window
) -> None:
    assert [each.name for each in real.catalogue.models] == [
        "landsat8-crops",
        "sentinel2-landcover",
        "demo-landscape",
    ]
    add(scene)
    qtbot.waitUntil(lambda: real.models.argument() == "sentinel2-landcover", timeout=SOON)
    real.outputs.file.setFilePath(str(tmp_path / "map.tif"))
    real.tuning.confidence.setChecked(True)
    settle(real, qtbot)
    # The file marks its bands as red, green, blue; its makers, and the model, say the reverse.
    assert real.bands.numbers() == [3, 2, 1]
    real.bands.choose([1, 2, 3])
    settle(real, qtbot)
    assert severities(real.warnings) == ["note"]
    beats: list[bool] = []
    timer = QTimer()
    timer.timeout.connect(lambda: beats.append(real.is_running()))
    timer.start(20)
    percents: list[int] = []
    real.runs.progress.valueChanged.connect(percents.append)
    real.runs.run_button.click()
    finish(real, qtbot, SLOW)
    timer.stop()
    assert beats.count(True) > 10
    assert percents[-1] == 100
    (notice,) = real.runs.messages.texts()
    assert notice == "chip is classified."
    qtbot.waitUntil(lambda: bool(window.messageBar().items()), timeout=SOON)
    told = window.messageBar().currentItem()
    assert [each.text() for each in told.findChildren(QPushButton)] == ["Open folder"]
    group, *others = QgsProject.instance().layerTreeRoot().children()
    assert group.name() == "chip · sentinel2-landcover"
    assert [each.name() for each in group.children()] == ["Polygons", "Class map", "Confidence"]
    vector, raster, _ = (each.layer() for each in group.children())
    assert all(each.layer().isValid() for each in group.children())
    assert [each.name() for each in others] == ["chip"]
    assert isinstance(raster.renderer(), QgsPalettedRasterRenderer)
    entries = raster.renderer().classes()
    assert {each.value: each.label for each in entries} == NAMES
    assert {each.value: each.color.name() for each in entries} == COLORS
    assert isinstance(vector.renderer(), QgsCategorizedSymbolRenderer)
    categories = vector.renderer().categories()
    assert {each.value(): each.label() for each in categories} == NAMES
    assert {each.value(): each.symbol().color().name() for each in categories} == COLORS
    assert vector.source().startswith(str(tmp_path / "map.gpkg"))
    assert raster.source() == str(tmp_path / "map.tif")
    # QGIS keeps statistics of rasters beside them.
    made = {each.name for each in tmp_path.iterdir() if each.suffix != ".xml"}
    assert made == {"map.gpkg", "map.tif", "map.tif.json", "map_confidence.tif"}


def test_a_real_run_that_was_stopped_goes_on_from_there(
    real: GeosegDock, tmp_path: Path, qtbot: Any
) -> None:
    add(image(tmp_path / "large.tif", side=1500))
    real.models.choose("sentinel2-landcover")
    real.outputs.file.setFilePath(str(tmp_path / "map.tif"))
    real.tuning.window.setValue(512)
    real.tuning.polygons.setChecked(False)
    settle(real, qtbot)
    percents: list[int] = []
    real.runs.progress.valueChanged.connect(percents.append)
    real.runs.run_button.click()
    qtbot.waitUntil(lambda: max(percents, default=0) >= 20, timeout=SLOW)
    real.runs.cancel_button.click()
    finish(real, qtbot)
    assert real.runs.messages.texts() == ["Stopped. Run again to go on from there."]
    assert not (tmp_path / "map.tif").exists()
    percents.clear()
    real.runs.run_button.click()
    finish(real, qtbot, SLOW)
    assert real.runs.messages.texts() == ["large is classified."]
    assert min(each for each in percents if each > 0) >= 20
    assert (tmp_path / "map.tif").exists()


# Room


NARROW = 298  # pixels; what QGIS gives the dock in a window of 1360 x 860


@pytest.mark.parametrize("kind", [WHOLE, DRAWN, POLYGONS])
def test_a_narrow_dock_that_scrolls_cuts_nothing_off(
    dock: GeosegDock, tmp_path: Path, kind: str
) -> None:
    layer = add(image(tmp_path / "image.tif"))
    layer.setName("A name that is much longer than any dock would be wide")
    dock.area.choose(kind)
    dock.bands_box.setCollapsed(False)
    dock.tuning.setCollapsed(False)
    dock.runs.log_box.setCollapsed(False)
    dock.runs.refuse("the_name_of_a_file_that_was_not_found_" * 3)
    dock.runs._show_running()
    dock.setFloating(True)
    dock.resize(NARROW, 500)
    dock.look()
    for _ in range(5):
        QCoreApplication.processEvents()
    assert dock.width() == NARROW
    view = dock.findChild(QgsScrollArea)
    assert view.verticalScrollBar().isVisible()
    for within in (view.viewport(), dock.runs):
        edge = within.mapTo(dock, within.rect().topRight()).x()
        cut_off = [
            each
            for each in within.findChildren(QWidget)
            if each.isVisible() and each.mapTo(dock, each.rect().topRight()).x() > edge
        ]
        assert not cut_off
