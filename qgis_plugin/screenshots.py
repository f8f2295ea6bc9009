# SPDX-License-Identifier: GPL-2.0-or-later
"""Pictures of the plugin at work, in a real QGIS on a screen that nobody sees (Debian, Linux).

    GEOSEG_PYTHON=$PWD/.venv/bin/python GEOSEG_DATA=DATA python3 qgis_plugin/screenshots.py OUT

It needs ``apt install qgis python3-qgis xvfb xauth``. QGIS starts with a fresh profile and this
very file (``--code``), which then plays `story`: each step is done, and waited for, as a user
would. With ``GEOSEG_WHEELS=FOLDER``, which holds wheels of geoseg and of uv, the settings page is
shown while it installs an engine.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

SCREEN = (1360, 860)
DIALOG = (940, 700)
WIDE = (1340, 420)
ROOM = 400  # pixels, for the path of a file
CLOSE = (336900, 3835000, 341300, 3839800)  # one chip, in the scene's CRS
WEB_ALL = (14140800, 4084300, 14168300, 4121700)  # all chips, in the web map's CRS
WEB_CLOSE = (14161600, 4115300, 14167600, 4121300)  # the same chip
FINE = 2  # map units, of 1.6 m: too many pixels
PATIENCE = 300  # seconds for one step
LIMIT = 1200  # seconds for all
OUT, DATA, PYTHON, WHEELS = "GEOSEG_SHOTS", "GEOSEG_DATA", "GEOSEG_PYTHON", "GEOSEG_WHEELS"
PROFILE = """
[PythonPlugins]
geoseg_qgis=true
processing=true

[app]
projections\\unknownCrsBehavior=NoAction
"""


def main(out: Path) -> int:
    """Start QGIS; return its exit status."""
    out.mkdir(parents=True, exist_ok=True)
    here = Path(__file__).resolve()
    with tempfile.TemporaryDirectory(prefix="geoseg-shots-") as home:
        settings = Path(home, "profiles/default/QGIS/QGIS3.ini")
        settings.parent.mkdir(parents=True)
        settings.write_text(PROFILE)
        environment = {
            **os.environ,
            OUT: str(out.resolve()),
            "GEOSEG_HOME": home,
            "QGIS_PLUGINPATH": str(here.parent),
            "QGIS_CUSTOM_CONFIG_PATH": home,
            "XDG_RUNTIME_DIR": home,
            # QGIS looks for the modules of the first python3 there; it has to be the system's.
            "PATH": "/usr/bin:/bin",
        }
        screen = f"-screen 0 {SCREEN[0]}x{SCREEN[1]}x24"
        qgis = ["qgis.bin", "--noversioncheck", "--nologo", "--profile", "default"]
        command = ["xvfb-run", "-a", "-s", screen, *qgis, "--code", str(here)]
        return subprocess.run(command, env=environment, timeout=LIMIT).returncode  # noqa: S603


Wait = Callable[[], Any]
"""What has to come true before the next step."""


def story(iface: Any) -> Iterator[Wait]:
    """All steps, each with what it waits for."""
    from qgis.PyQt.QtWidgets import QAction

    window = iface.mainWindow()
    window.resize(*SCREEN)
    scene = open_scene(iface)
    python = os.environ.pop(PYTHON)  # not yet: a fresh QGIS has no engine
    window.findChild(QAction, "geosegSegment").trigger()
    dock = window.findChild(object, "geosegDock")
    window.resizeDocks([dock], [400], _horizontal())
    yield pause(3)
    picture(window, "setup")

    os.environ[PYTHON] = python
    dock.refresh_models()
    yield lambda: dock.models.card() is not None
    yield from before_the_run(iface, dock)
    yield from runs(iface, dock)
    yield from the_toolbox(scene)
    yield from a_web_map(iface, dock)
    yield from the_batch()
    del os.environ[PYTHON]
    yield from the_settings(iface)


def before_the_run(iface: Any, dock: Any) -> Iterator[Wait]:
    """What the dock says of an image and a model."""
    window = iface.mainWindow()
    dock.models.choose("landsat8-crops")
    yield pause(2)
    picture(window, "warnings")

    dock.models.choose("sentinel2-landcover")
    dock.tuning.setCollapsed(False)
    yield pause(2)
    picture(window, "options")
    dock.tuning.setCollapsed(True)

    dock.area.choose("drawn")
    yield pause(1)
    drag(iface.mapCanvas())
    yield pause(2)
    picture(window, "area")
    dock.area.choose("whole")

    # The bands of these files are blue, green, red, whatever they are marked as.
    dock.bands.choose([1, 2, 3])
    dock.bands_box.setCollapsed(False)
    yield pause(2)
    picture(window, "before")


def runs(iface: Any, dock: Any) -> Iterator[Wait]:
    """A run whose engine is killed, and one that ends well."""
    from qgis.core import QgsRectangle

    window = iface.mainWindow()
    dock.runs.run_button.click()
    yield lambda: dock.runs.progress.value() > 5
    kill_engine()
    yield lambda: not dock.is_running()
    yield pause(1)
    picture(window, "error")
    iface.messageBar().clearWidgets()

    dock.runs.run_button.click()
    yield lambda: dock.runs.progress.value() >= 40 and dock.runs.left.text()
    picture(window, "running")
    yield lambda: not dock.is_running()
    yield pause(3)
    picture(window, "after")
    iface.mapCanvas().setExtent(QgsRectangle(*CLOSE))
    iface.mapCanvas().refresh()
    yield pause(3)
    picture(window, "result")


def a_web_map(iface: Any, dock: Any) -> Iterator[Wait]:
    """A web map: what is asked and warned of, and what a run gives."""
    from qgis.core import QgsCoordinateReferenceSystem, QgsProject, QgsRectangle

    window, canvas, project = iface.mainWindow(), iface.mapCanvas(), QgsProject.instance()
    iface.messageBar().clearWidgets()
    dock.runs.messages.clear()
    project.clear()
    web = open_web_map()
    project.setCrs(QgsCoordinateReferenceSystem("EPSG:3857"))
    iface.setActiveLayer(web)
    dock.choose_layer(web)
    canvas.setExtent(QgsRectangle(*WEB_ALL))
    canvas.refresh()
    dock.area.choose("drawn")
    dock.area.draw.click()
    drag(canvas)
    yield pause(1)
    suggested = dock.pixel_size.value()
    dock.pixel_size.setValue(FINE)
    yield pause(1)
    yield lambda: not canvas.isDrawing()
    picture(window, "web-size")
    dock.pixel_size.setValue(suggested)
    canvas.setExtent(QgsRectangle(*WEB_CLOSE))
    canvas.refresh()
    dock.area.draw.click()
    drag(canvas)
    yield pause(1)
    yield lambda: not canvas.isDrawing()
    picture(window, "web")
    dock.runs.run_button.click()
    yield lambda: not dock.is_running()
    yield pause(4)
    picture(window, "web-result")


def the_batch() -> Iterator[Wait]:
    """The batch dialog of the algorithm, filled in and done."""
    from processing.gui.BatchAlgorithmDialog import BatchAlgorithmDialog
    from qgis.core import QgsApplication, QgsProcessingContext, QgsProject
    from qgis.PyQt.QtCore import QTimer

    algorithm = QgsApplication.processingRegistry().createAlgorithmById("geoseg:segment")
    dialog = BatchAlgorithmDialog(algorithm)
    dialog.show()
    dialog.resize(*WIDE)  # else it is as large as the one before
    yield pause(2)
    panel = dialog.mainWidget()
    while panel.batchRowCount() < 2:
        panel.addRow(1)
    columns, table = panel.parameter_to_column, panel.tblParameters
    table.setColumnWidth(columns["INPUT"], ROOM)
    for name in ("OUTPUT", "POLYGONS"):
        table.setColumnWidth(columns[name], ROOM)
    for row, chip in enumerate(shutil.copy(each, os.environ[OUT]) for each in chips()[:2]):
        asked = {"INPUT": chip, "MODEL": "sentinel2-landcover", "BANDS": "1,2,3"}
        for name, value in asked.items():
            cell = panel.wrappers[row][columns[name]]
            cell.setParameterValue(value, QgsProcessingContext())
        for name, ending in {"OUTPUT": ".tif", "POLYGONS": ".gpkg"}.items():
            path = Path(os.environ[OUT], f"{Path(chip).stem}-map{ending}")
            table.cellWidget(row + 1, columns[name]).setValue(str(path))
    panel.checkLoadLayersOnCompletion.setChecked(True)
    yield pause(1)
    picture(dialog, "batch")
    table.horizontalScrollBar().setValue(table.horizontalScrollBar().maximum())
    yield pause(1)
    picture(dialog, "batch-outputs")
    before = len(QgsProject.instance().mapLayers())
    QTimer.singleShot(0, dialog.runAlgorithm)  # which goes on with events, and so with this story
    yield lambda: len(QgsProject.instance().mapLayers()) == before + 4
    yield pause(3)
    picture(dialog, "batch-done")
    dialog.close()


def the_toolbox(scene: Any) -> Iterator[Wait]:
    """The dialog of the algorithm."""
    import processing

    asked = {"INPUT": scene.id(), "MODEL": "sentinel2-landcover", "BANDS": "1,2,3"}
    dialog = processing.createAlgorithmDialog("geoseg:segment", asked)
    dialog.show()
    dialog.resize(DIALOG[0], SCREEN[1])
    yield pause(3)
    picture(dialog, "processing")
    dialog.close()


def the_settings(iface: Any) -> Iterator[Wait]:
    """The settings page: nothing there yet, the plan, and half way through an installation."""
    from qgis.PyQt.QtCore import QTimer
    from qgis.PyQt.QtWidgets import QApplication
    from qgis.utils import plugins

    QTimer.singleShot(0, plugins["geoseg_qgis"].open_settings)
    yield pause(3)
    dialog = QApplication.activeModalWidget()
    dialog.resize(*DIALOG)
    page = dialog.findChild(object, "geosegOptions")
    yield pause(1)
    picture(dialog, "settings")
    if WHEELS in os.environ:
        page.install.wheels.setFilePath(os.environ[WHEELS])
        page.install.backend.setCurrentIndex(page.install.backend.findData("index"))
        page.install.look_button.click()
        yield lambda: page.install.install_button.isEnabled()
        yield pause(1)
        picture(dialog, "plan")
        page.install.install_button.click()
        yield lambda: page.install.bar.value() > 0.4 * page.install.bar.maximum() > 0
        picture(dialog, "installing")
        page.install.cancel_button.click()
        yield lambda: not page.install.cancel_button.isVisible()
    dialog.reject()


def open_scene(iface: Any) -> Any:
    """One image of all chips of a date, in true colour."""
    from osgeo import gdal
    from qgis.core import QgsProject, QgsRasterLayer

    path = str(Path(os.environ[OUT], "sentinel2.vrt"))
    gdal.BuildVRT(path, [str(each) for each in chips()])
    scene = QgsRasterLayer(path, "Sentinel-2, December 2024")
    scene.renderer().setRedBand(3)
    scene.renderer().setBlueBand(1)
    QgsProject.instance().addMapLayer(scene)
    QgsProject.instance().setCrs(scene.crs())
    iface.setActiveLayer(scene)
    for name in ("Browser", "LayerOrder"):
        other = iface.mainWindow().findChild(object, name)
        if other is not None:
            other.hide()
    iface.messageBar().clearWidgets()
    iface.mapCanvas().setExtent(scene.extent())
    return scene


def open_web_map() -> Any:
    """The same image as tiles of a web map."""
    from osgeo import gdal
    from osgeo_utils import gdal2tiles
    from qgis.core import QgsProject, QgsRasterLayer

    folder = Path(os.environ[OUT], "tiles")
    colours = gdal.BuildVRTOptions(bandList=[3, 2, 1])
    gdal.BuildVRT(f"{folder}.vrt", [str(each) for each in chips()], options=colours)
    gdal2tiles.main(["", "--xyz", "-q", "-w", "none", "-z", "9-14", f"{folder}.vrt", str(folder)])
    address = f"file://{folder}/%7Bz%7D/%7Bx%7D/%7By%7D.png"
    layer = QgsRasterLayer(f"type=xyz&url={address}&zmin=9&zmax=14", "Web map", "wms")
    QgsProject.instance().addMapLayer(layer)
    return layer


def chips() -> list[Path]:
    """Images of one date that lie beside each other."""
    return sorted(Path(os.environ[DATA], "korea_sentinel2/images").glob("202412_*.tif"))


def drag(canvas: Any) -> None:
    """Drag a rectangle on the map."""
    from qgis.PyQt.QtCore import QPoint, Qt
    from qgis.PyQt.QtTest import QTest

    start = QPoint(canvas.width() // 3, canvas.height() // 3)
    end = QPoint(canvas.width() * 2 // 3, canvas.height() * 2 // 3)
    left, view = Qt.MouseButton.LeftButton, canvas.viewport()
    QTest.mousePress(view, left, Qt.KeyboardModifier.NoModifier, start)
    QTest.mouseMove(view, (start + end) / 2)
    QTest.mouseMove(view, end)
    QTest.mouseRelease(view, left, Qt.KeyboardModifier.NoModifier, end)


def kill_engine() -> None:
    """End the engine as the system does when memory is short."""
    for status in Path("/proc").glob("[0-9]*/status"):
        told = dict(
            line.split(":\t", 1) for line in status.read_text().splitlines() if ":\t" in line
        )
        command = (status.parent / "cmdline").read_bytes()
        if int(told["PPid"]) == os.getpid() and b"geoseg" in command:
            os.kill(int(status.parent.name), signal.SIGKILL)


def picture(widget: Any, name: str) -> None:
    """Keep what a window shows."""
    widget.grab().save(str(Path(os.environ[OUT], f"{name}.png")))


def pause(seconds: float) -> Wait:
    """Wait for what has no end that can be asked for."""
    until = time.monotonic() + seconds
    return lambda: time.monotonic() > until


def _horizontal() -> Any:
    from qgis.PyQt.QtCore import Qt

    return Qt.Orientation.Horizontal


class Player:
    """Plays the story while QGIS goes on working."""

    def __init__(self, iface: Any) -> None:
        from qgis.PyQt.QtCore import QTimer

        self._steps = story(iface)
        self._iface = iface
        self._wait: Wait = lambda: True
        self._since = time.monotonic()
        self._timer = QTimer()
        self._timer.timeout.connect(self._play)
        self._timer.start(100)

    def _play(self) -> None:
        try:
            if self._wait():
                self._wait = next(self._steps)
                self._since = time.monotonic()
            elif time.monotonic() - self._since > PATIENCE:
                raise TimeoutError("a step did not come to its end")
        except StopIteration:
            self._end()
        except Exception:
            traceback.print_exc()
            picture(self._iface.mainWindow(), "failed")
            self._end()

    def _end(self) -> None:
        from qgis.core import QgsProject
        from qgis.PyQt.QtWidgets import QApplication

        self._timer.stop()
        if QApplication.activeModalWidget() is not None:
            QApplication.activeModalWidget().close()
        QgsProject.instance().clear()  # else QGIS asks what shall become of temporary layers
        self._iface.actionExit().trigger()


if OUT in os.environ and "qgis.utils" in sys.modules:
    from qgis.utils import iface as _iface

    player = Player(_iface)
elif __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
