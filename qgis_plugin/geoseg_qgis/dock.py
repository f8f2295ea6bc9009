# SPDX-License-Identifier: GPL-2.0-or-later
"""The dock: an image, a model, an area, one button."""

from __future__ import annotations

import json
from collections.abc import Mapping
from html import escape
from pathlib import Path
from typing import Any, Callable

from qgis.core import (
    Qgis,
    QgsApplication,
    QgsMapLayerProxyModel,
    QgsProject,
    QgsRasterLayer,
    QgsReferencedRectangle,
    QgsVectorLayer,
)
from qgis.gui import (
    QgsCollapsibleGroupBox,
    QgsDockWidget,
    QgsDoubleSpinBox,
    QgsMapLayerComboBox,
    QgsScrollArea,
)
from qgis.PyQt.QtCore import Qt, QTimer, QUrl
from qgis.PyQt.QtGui import QDesktopServices
from qgis.PyQt.QtWidgets import (
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QMessageBox,
    QPlainTextEdit,
    QProgressBar,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from . import results
from .background import Background
from .bands import BandTable
from .catalogue import Catalogue
from .engine.environment import NeverInstalled
from .extents import WHOLE, ExtentChooser
from .facts import facts_of, ground_size, has_no_pixels, sampler
from .fitting import (
    NOTE,
    STOP,
    WARNING,
    Finding,
    LayerFacts,
    Range,
    about_export,
    findings,
    size_words,
)
from .models import ModelChooser
from .notices import DONE, Notice, Notices, quiet
from .outputs import CONFIDENCE, MAP, POLYGONS, Outputs
from .tasks import Pace, Run, time_left
from .tuning import Tuning
from .words import translated as _tr

TITLE = "geoseg"
LOG_LINES = 2000
LABEL_DROP = 5  # pixels, to the text of the control beside it
AFTER_QGIS = 500  # milliseconds; QGIS tells of each task, and would hide what is told here
WAIT = 120  # milliseconds; while the map is dragged, nothing is worked out anew


class GeosegDock(QgsDockWidget):
    """Asks for what a run needs, runs it, and adds the results to the project.

    Parameters
    ----------
    iface : QgisInterface
    open_settings : callable
        Opens the settings page of the plugin.
    """

    def __init__(  # noqa: QGS105  (handed over, so that tests hand over theirs)
        self, iface: Any, open_settings: Callable[[], None], parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self.setObjectName("geosegDock")
        self.setWindowTitle(TITLE)
        self._iface, self._open_settings = iface, open_settings
        self._background = Background()
        self._values: dict[str, Mapping[int, Range]] = {}
        self._run: Run | None = None
        self._pace, self._unit, self._title = Pace(), "", TITLE
        self._is_elsewhere = False
        self._suggested_for: tuple[str, str] | None = None
        self.catalogue = Catalogue(self)
        self._make_controls()
        self._lay_out()
        self._look_later = QTimer(self)
        self._look_later.setSingleShot(True)
        self._look_later.setInterval(WAIT)
        self._look_later.timeout.connect(self.look)
        self._outcome: Callable[[], None] = lambda: None
        self._tell_later = QTimer(self)
        self._tell_later.setSingleShot(True)
        self._tell_later.setInterval(AFTER_QGIS)
        self._tell_later.timeout.connect(lambda: self._outcome())
        self._connect()
        self._show_idle()
        self.look()

    # What is asked for

    def layer(self) -> QgsRasterLayer | None:
        """The image chosen."""
        return self.layers.currentLayer()

    def parameters(self) -> dict[str, Any]:
        """Parameters of the algorithm as chosen here."""
        layer = self.layer()
        told: dict[str, Any] = {
            # Not the layer itself, which somebody may remove while it runs.
            "INPUT": "" if layer is None else layer.id(),
            "MODEL": self.models.argument(),
            **self.tuning.parameters(),
            **self.outputs.parameters(),
        }
        if self.bands.argument():
            told["BANDS"] = self.bands.argument()
        if self.area.mask() is not None:
            told["MASK"] = self.area.mask_source()
        if layer is not None and self._needs_extent(layer):
            told["EXTENT"] = QgsReferencedRectangle(self.area.within(layer), layer.crs())
        if layer is not None and has_no_pixels(layer):
            told["PIXEL_SIZE"] = self.pixel_size.value()
        return told

    def _needs_extent(self, layer: QgsRasterLayer) -> bool:
        """Polygons bound the area themselves; a web map is exported before they are looked at."""
        if self.area.mask() is not None:
            return has_no_pixels(layer)
        return self.area.kind() != WHOLE

    def look(self) -> None:
        """Compare the layer with the model, and say what does not fit."""
        layer, card = self.layer(), self.models.card()
        facts = self._facts(layer) if layer is not None and layer.isValid() else None
        self._tell_layer(layer, facts)
        if facts is not None and card is not None:
            self.bands.show_bands(facts.bands, card.bands)
        self.bands_box.setVisible(
            facts is not None and card is not None and len(facts.bands) >= len(card.bands)
        )
        found = self._findings(layer, facts)
        self.warnings.show_findings(found)
        stopped = any(each.severity == STOP for each in found)
        self.run_button.setEnabled(layer is not None and card is not None and not stopped)

    def _findings(self, layer: QgsRasterLayer | None, facts: LayerFacts | None) -> list[Finding]:
        card = self.models.card()
        if layer is None:
            return [Finding(NOTE, _tr("Add a raster layer to the project to begin."))]
        if not layer.isValid():
            text = _tr("The layer cannot be read. Repair its source, or choose another one.")
            return [Finding(STOP, text)]
        if card is None or facts is None:
            return []
        chosen = self.bands.numbers()
        found = findings(facts, card, chosen)
        if None in chosen and len(facts.bands) >= len(card.bands):
            self.bands_box.setCollapsed(False)
        needed = [layer, self.area.mask()]
        problem = self.area.problem(layer) or self.outputs.problem(needed)
        if problem:
            # It is translated already, and may hold braces of a path.
            found.insert(0, Finding(STOP, "{problem}", {"problem": problem}))
        elif facts.exported:
            found += about_export(self._pixels(layer))
        return found

    def _facts(self, layer: QgsRasterLayer) -> LayerFacts:
        web = has_no_pixels(layer)
        facts = facts_of(layer, self.pixel_size.value() if web else None)
        self.pixel_size_label.setVisible(web)
        self.pixel_size.setVisible(web)
        if web:
            return facts
        key = f"{layer.id()} {layer.source()}"
        if key not in self._values:
            self._values = {key: {}}  # of one layer: those of all would be kept for ever
            self._sample(layer, key)
        return LayerFacts(facts.bands, facts.pixel_size, self._values[key])

    def _sample(self, layer: QgsRasterLayer, key: str) -> None:
        def done(values: Any, error: Exception | None) -> None:
            if error is None and key in self._values:
                self._values[key] = values
                self.look()

        self._background.call(_tr("geoseg: looking at values"), sampler(layer), done)

    def _pixels(self, layer: QgsRasterLayer) -> int | None:
        """How many pixels the chosen area has; None where it is a whole web map."""
        box = self.area.within(layer)
        if box.isEmpty():  # its sides are infinite from QGIS 3.40 on
            return 0
        if not has_no_pixels(layer):
            return round(
                box.width()
                * box.height()
                / (layer.rasterUnitsPerPixelX() * layer.rasterUnitsPerPixelY())
            )
        side = self.pixel_size.value()
        if self.area.kind() == WHOLE or not side:
            return None
        return round(box.width() * box.height() / side**2)

    def _tell_layer(self, layer: QgsRasterLayer | None, facts: LayerFacts | None) -> None:
        if layer is None or facts is None:
            for each in (self.about_layer, self.pixel_size_label, self.pixel_size):
                each.hide()
            self.area.tell("")
            return
        parts = [_tr("{} bands").format(len(facts.bands))]
        if facts.exported:
            parts = [_tr("web map")]
        else:
            parts.insert(0, f"{layer.width():,} × {layer.height():,} px")
        if facts.pixel_size is not None:
            parts.append(size_words(facts.pixel_size))
        parts.append(layer.crs().authid() or _tr("no CRS"))
        # A line may break between two parts, never within.
        kept = [part.replace(" ", "\u00a0").replace(":", ":\u2060") for part in parts]
        self.about_layer.setText(" · ".join(kept))
        self.about_layer.show()
        self._tell_area(layer)

    def _tell_area(self, layer: QgsRasterLayer) -> None:
        pixels = self._pixels(layer)
        if self.area.kind() == WHOLE or self.area.problem(layer) or pixels is None:
            self.area.tell("")
        else:
            self.area.tell(_tr("About {} pixels").format(f"{pixels:,}"))

    # The run

    def start(self) -> None:
        """Run it, unless something stands against it."""
        # What is shown may be older than the last choice.
        self._look_later.stop()
        self.look()
        if not self.run_button.isEnabled():
            return
        existing = self.outputs.existing()
        replaced = results.layers_in(existing, QgsProject.instance().mapLayers().values())
        if existing and not self._may_replace(existing, bool(replaced)):
            return
        self.messages.clear()
        self.log.clear()
        self._pace, self._unit = Pace(), ""
        run = Run("geoseg:segment", self.parameters())
        run.progressed.connect(self._progress)
        run.heard.connect(self._step)
        run.said.connect(self._hear)
        run.ended.connect(self._end)
        layer = self.layer()
        self._title = layer.name() if layer is not None else TITLE
        refused = run.start()
        if refused:
            self._fail(refused, run.log)
            return
        self._run, self._is_elsewhere = run, False
        # Their legends would lie about the new files, which Windows could not even put there.
        results.take_out(QgsProject.instance(), replaced)
        self._show_running()

    def cancel(self) -> None:
        """Stop the run; what it has done so far is kept for the next one."""
        if self._run is not None:
            self.cancel_button.setEnabled(False)
            self.step.setText(_tr("Stopping…"))
            self._run.cancel()

    def is_running(self) -> bool:
        """Whether a run is under way."""
        return self._run is not None

    def _may_replace(self, files: list[Path], are_shown: bool) -> bool:
        listed = "\n".join(map(str, files))
        text = _tr("These files exist already and will be replaced:\n\n{}").format(listed)
        if are_shown:
            text += "\n\n" + _tr("Their layers will be taken out of the project.")
        answer = QMessageBox.question(
            self,
            _tr("Replace files?"),
            text,
            QMessageBox.StandardButton.Yes | QMessageBox.StandardButton.Cancel,
            QMessageBox.StandardButton.Cancel,
        )
        return bool(answer == QMessageBox.StandardButton.Yes)

    def _progress(self, percent: float) -> None:
        if self._run is None or self._run.was_cancelled():
            return
        self.progress.setRange(0, 100)
        self.progress.setValue(round(percent))
        seconds = self._pace.seconds_left(percent)
        self.left.setText("" if seconds is None else time_left(seconds))

    def _step(self, event: Mapping[str, Any]) -> None:
        """Say what is being done, by an event of the engine."""
        if event["event"] not in ("start", "progress") or self._run is None:
            return
        self._unit = str(event.get("unit", self._unit))
        if self._run.was_cancelled():
            return
        if self._unit == "block":
            text = _tr("Classifying: block {} of {}")
            now = min(int(event.get("done", 0)) + 1, int(event["total"]))
            self.step.setText(text.format(now, event["total"]))
        else:
            self.step.setText(_tr("Making polygons"))

    def _hear(self, level: str, text: str) -> None:
        self._write(text if level == "info" else f"{level.upper()}: {text}")

    def _write(self, text: str) -> None:
        if text.strip():
            self.log.appendPlainText(text.rstrip())

    def _end(self, successful: bool, told: dict[str, Any]) -> None:
        run, self._run = self._run, None
        self._show_idle()
        self.look()
        if run is None:
            return
        if run.was_cancelled():
            kept = bool(self.outputs.paths())
            text = _tr("Stopped. Run again to go on from there.") if kept else _tr("Stopped.")
            self.messages.add(Notice(NOTE, text))
        elif successful and self._is_elsewhere:
            self._offer_results(told)
        elif successful:
            self._add_results(told)
        else:
            self._fail(run.error or _tr("The run failed; see the log."), run.log)

    def _fail(self, text: str, log: list[str]) -> None:
        text = text[:1].upper() + text[1:]
        notice = self.messages.add(Notice(STOP, text))
        details = "\n".join([text, "", *log])
        notice.add_button(_tr("Copy diagnostics"), lambda: _copy(details))
        # All of it would be cut off there.
        short = _tr("{} is not classified; the dock says why.").format(escape(self._title))
        bar, level = self._iface.messageBar(), Qgis.MessageLevel.Critical
        self._outcome = lambda: bar.pushMessage(TITLE, short, level, 0)
        self._tell_later.start()

    def _leave_project(self) -> None:
        """Results belong to the project that was open when the run began."""
        self._is_elsewhere = True

    def _offer_results(self, told: Mapping[str, Any]) -> None:
        text = _tr("{} is classified. Another project is open now, so nothing was added to it.")
        notice = self.messages.add(Notice(DONE, text.format(self._title)))
        folder = Path(str(told[MAP])).parent
        notice.add_button(_tr("Open folder"), lambda: _open(folder))
        notice.add_button(_tr("Add to this project"), lambda: self._add_offered(told))

    def _add_offered(self, told: Mapping[str, Any]) -> None:
        self.messages.clear()
        self._add_results(told)

    def _add_results(self, told: Mapping[str, Any]) -> None:
        classes = json.loads(told.get("CLASSES") or "[]")
        layers: list[Any] = []
        if told.get(POLYGONS):
            polygons = QgsVectorLayer(str(told[POLYGONS]), _tr("Polygons"), "ogr")
            results.style_polygons(polygons, classes)
            layers.append(polygons)
        class_map = QgsRasterLayer(str(told[MAP]), _tr("Class map"))
        results.style_map(class_map, classes)
        layers.append(class_map)
        if told.get(CONFIDENCE):
            layers.append(QgsRasterLayer(str(told[CONFIDENCE]), _tr("Confidence")))
        results.add_results(QgsProject.instance(), self._title, layers)
        self._tell_done(Path(str(told[MAP])).parent)

    def _tell_done(self, folder: Path) -> None:
        text = _tr("{} is classified.").format(self._title)
        self.messages.add(Notice(DONE, text)).add_button(_tr("Open folder"), lambda: _open(folder))
        self._outcome = lambda: self._tell_on_the_map(text, folder)
        self._tell_later.start()

    def _tell_on_the_map(self, text: str, folder: Path) -> None:
        bar = self._iface.messageBar()
        item = bar.createMessage(TITLE, escape(text))
        button = QPushButton(_tr("Open folder"))
        button.clicked.connect(lambda _checked=False: _open(folder))
        item.layout().addWidget(button)
        bar.pushWidget(item, Qgis.MessageLevel.Success, 15)

    # The engine

    def show_engine(self, error: Exception) -> None:
        """Say why the engine does not answer, and where that is mended."""
        missing = isinstance(error, NeverInstalled)
        text = (
            _tr("One more step: set geoseg up. It works in a Python of its own, apart from QGIS.")
            if missing
            else str(error)
        )
        self.engine.clear()
        notice = self.engine.add(Notice(WARNING, text))
        notice.add_button(_tr("Set up…"), self._open_settings)
        if not missing:
            notice.add_button(_tr("Try again"), self.refresh_models)

    def _refuse_file(self, error: Exception) -> None:
        self.messages.clear()
        self.messages.add(Notice(STOP, str(error)))

    def refresh_models(self) -> None:
        """Ask the engine for its models."""
        self.engine.clear()
        self.catalogue.refresh()

    def choose_layer(self, layer: Any) -> None:
        """Choose a layer, where it is a raster."""
        if isinstance(layer, QgsRasterLayer) and not self.is_running():
            self.layers.setLayer(layer)

    def close_down(self) -> None:
        """Let go of everything before the plugin is unloaded."""
        if self._run is not None:
            self._run.stop()
        QgsProject.instance().cleared.disconnect(self._leave_project)
        self._look_later.stop()
        self._tell_later.stop()
        self.catalogue.close()
        self._background.forget_all()
        self.area.close_tool()

    # Controls

    def _make_controls(self) -> None:
        self.engine = Notices()
        self.layers = QgsMapLayerComboBox()
        self.layers.setFilters(QgsMapLayerProxyModel.Filter.RasterLayer)
        self.about_layer = quiet(QLabel())
        self.models = ModelChooser(self.catalogue)
        self.area = ExtentChooser(self._iface.mapCanvas())
        self.pixel_size = QgsDoubleSpinBox()
        self.pixel_size.setDecimals(9)  # a tenth of a millimetre, in degrees
        self.pixel_size.setRange(0, 1e6)
        self.pixel_size.setToolTip(
            _tr("Side of a pixel, in units of the layer's CRS, with which it is exported")
        )
        self.warnings = Notices()
        self.bands = BandTable()
        self.bands_box = QgsCollapsibleGroupBox()
        self.bands_box.setTitle(_tr("Bands"))
        self.bands_box.setCollapsed(True)
        self.tuning = Tuning()
        self.tuning.setCollapsed(True)
        self.outputs = Outputs()
        self.messages = Notices()
        self.run_button = QPushButton(QgsApplication.getThemeIcon("/mActionStart.svg"), _tr("Run"))
        self.run_button.setObjectName("geosegRun")
        self.run_button.setDefault(True)
        self.progress = QProgressBar()
        self.step, self.left = QLabel(), quiet(QLabel())
        self.left.setWordWrap(False)
        self.cancel_button = QPushButton(_tr("Cancel"))
        self.cancel_button.setObjectName("geosegCancel")
        self.log_box = QgsCollapsibleGroupBox()
        self.log_box.setTitle(_tr("Log"))
        self.log_box.setCollapsed(True)
        self.log = QPlainTextEdit()
        self.log.setReadOnly(True)
        self.log.setMaximumBlockCount(LOG_LINES)

    def _lay_out(self) -> None:
        QVBoxLayout(self.bands_box).addWidget(self.bands)
        QVBoxLayout(self.log_box).addWidget(self.log)
        # No form layout: it gives a text that wraps the height of another width.
        grid = QGridLayout()
        grid.setColumnStretch(1, 1)
        self.pixel_size_label = QLabel(_tr("Pixel size"))
        for row, (label, field) in enumerate(
            (
                (QLabel(_tr("Image")), _column(self.layers, self.about_layer)),
                (QLabel(_tr("Model")), self.models),
                (QLabel(_tr("Area")), self.area),
                (self.pixel_size_label, self.pixel_size),
                (QLabel(_tr("Save as")), self.outputs),
            )
        ):
            label.setContentsMargins(0, LABEL_DROP, 0, 0)
            grid.addWidget(label, row, 0, Qt.AlignmentFlag.AlignTop)
            grid.addWidget(field, row, 1)
        self.asked = QWidget()
        asked = QVBoxLayout(self.asked)
        asked.setContentsMargins(0, 0, 0, 0)
        asked.addLayout(grid)
        asked.addWidget(self.warnings)
        asked.addWidget(self.bands_box)
        asked.addWidget(self.tuning)
        inner = QWidget()
        column = QVBoxLayout(inner)
        column.addWidget(self.engine)
        column.addWidget(self.asked)
        column.addStretch(1)
        scroll = QgsScrollArea()
        scroll.setWidgetResizable(True)
        scroll.setFrameShape(QgsScrollArea.Shape.NoFrame)
        scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        scroll.setWidget(inner)
        whole = QWidget()
        outer = QVBoxLayout(whole)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.addWidget(scroll, 1)
        outer.addWidget(self._footer())
        self.setWidget(whole)

    def _footer(self) -> QWidget:
        footer = QWidget()
        column = QVBoxLayout(footer)
        column.addWidget(self.messages)
        column.addWidget(self.run_button)
        told = QHBoxLayout()
        told.addWidget(self.step, 1)
        told.addWidget(self.left)
        bar = QHBoxLayout()
        bar.addWidget(self.progress, 1)
        bar.addWidget(self.cancel_button)
        self.running = QWidget()
        running = QVBoxLayout(self.running)
        running.setContentsMargins(0, 0, 0, 0)
        running.addLayout(told)
        running.addLayout(bar)
        column.addWidget(self.running)
        column.addWidget(self.log_box)
        return footer

    def _connect(self) -> None:
        soon = self._look_later.start
        self.layers.layerChanged.connect(lambda _layer: self._change_layer())
        for part in (self.area, self.bands, self.outputs):
            part.changed.connect(lambda: soon())
        self.models.changed.connect(self._change_layer)
        self.pixel_size.valueChanged.connect(lambda _value: soon())
        self.tuning.changed.connect(self._want)
        self.run_button.clicked.connect(lambda _checked=False: self.start())
        self.cancel_button.clicked.connect(lambda _checked=False: self.cancel())
        QgsProject.instance().cleared.connect(self._leave_project)
        self.catalogue.failed.connect(self.show_engine)
        self.catalogue.file_refused.connect(self._refuse_file)

    def _change_layer(self) -> None:
        self._suggest_pixel_size()
        self._look_later.start()

    def _suggest_pixel_size(self) -> None:
        """Offer the pixels that the model knows for what has none of its own."""
        layer, card = self.layer(), self.models.card()
        if layer is None or not layer.isValid() or not has_no_pixels(layer):
            return
        if card is None or card.gsd is None:
            return
        asked = layer.id(), self.models.argument()
        if asked == self._suggested_for:
            return  # what the user has made of it since stays
        unit = ground_size(layer.crs(), self.area.within(layer), (1.0, 1.0))
        if unit is not None and unit[0] > 0:
            self._suggested_for = asked
            self.pixel_size.setValue(card.gsd / unit[0])

    def _want(self) -> None:
        self.outputs.want(self.tuning.polygons.isChecked(), self.tuning.confidence.isChecked())

    def _show_idle(self) -> None:
        self.asked.setEnabled(True)
        self.run_button.show()
        self.running.hide()

    def _show_running(self) -> None:
        self.asked.setEnabled(False)
        self.run_button.hide()
        self.cancel_button.setEnabled(True)
        self.progress.setRange(0, 0)
        self.step.setText(_tr("Starting…"))
        self.left.clear()
        self.running.show()


def _column(*widgets: QWidget) -> QWidget:
    whole = QWidget()
    column = QVBoxLayout(whole)
    column.setContentsMargins(0, 0, 0, 0)
    column.setSpacing(3)
    for widget in widgets:
        column.addWidget(widget)
    return whole


def _copy(text: str) -> None:
    QgsApplication.clipboard().setText(text)


def _open(folder: Path) -> None:
    QDesktopServices.openUrl(QUrl.fromLocalFile(str(folder)))
