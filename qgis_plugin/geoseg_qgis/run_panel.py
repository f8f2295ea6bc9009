# SPDX-License-Identifier: GPL-2.0-or-later
"""The foot of the dock: the button, how far a run is, what came of it, and its log."""

from __future__ import annotations

import json
from collections.abc import Mapping
from html import escape
from pathlib import Path
from typing import Any, Callable

from qgis.core import (
    Qgis,
    QgsApplication,
    QgsProcessing,
    QgsProject,
    QgsRasterLayer,
    QgsVectorLayer,
)
from qgis.gui import QgsCollapsibleGroupBox
from qgis.PyQt.QtCore import Qt, QTimer, QUrl, pyqtSignal
from qgis.PyQt.QtGui import QDesktopServices
from qgis.PyQt.QtWidgets import (
    QHBoxLayout,
    QLabel,
    QPlainTextEdit,
    QProgressBar,
    QPushButton,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from . import results
from .fitting import NOTE, STOP
from .notices import DONE, Notice, Notices, quiet
from .outputs import CONFIDENCE, MAP, POLYGONS
from .tasks import Pace, Run, time_left
from .words import translated as _tr

TITLE = "geoseg"
HELP = Path(__file__).resolve().parent / "help" / "segment.html"
LOG_LINES = 2000
AFTER_QGIS = 500  # milliseconds; QGIS tells of each task, and would hide what is told here


class RunPanel(QWidget):
    """Runs the algorithm, and adds the results to the project.

    Parameters
    ----------
    iface : QgisInterface
    """

    ended = pyqtSignal()

    def __init__(  # noqa: QGS105  (handed over, so that tests hand over theirs)
        self, iface: Any, parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self._iface = iface
        self._run: Run | None = None
        self._pace, self._unit, self._title = Pace(), "", TITLE
        self._group = TITLE
        self._is_kept = self._is_elsewhere = False
        self._outcome: Callable[[], None] = lambda: None
        self._tell_later = QTimer(self)
        self._tell_later.setSingleShot(True)
        self._tell_later.setInterval(AFTER_QGIS)
        self._tell_later.timeout.connect(lambda: self._outcome())
        QgsProject.instance().cleared.connect(self._leave_project)
        self._make_controls()
        self._lay_out()
        self._show_idle()

    def start(self, parameters: dict[str, Any], title: str) -> bool:
        """Begin a run.

        Parameters
        ----------
        parameters : dict
            Of the algorithm.
        title : str
            What the image is called.

        Returns
        -------
        bool
            Whether it has begun; if not, it is told why.
        """
        self.messages.clear()
        self.log.clear()
        self._pace, self._unit, self._title = Pace(), "", title
        self._group = f"{title} · {_model_name(parameters['MODEL'])}"
        self._is_kept = parameters[MAP] != QgsProcessing.TEMPORARY_OUTPUT
        self._is_elsewhere = False
        run = Run("geoseg:segment", parameters)
        run.progressed.connect(self._progress)
        run.heard.connect(self._step)
        run.said.connect(self._hear)
        run.ended.connect(self._end)
        refused = run.start()
        if refused:
            self._fail(refused, run.log)
            return False
        self._run = run
        self._show_running()
        return True

    def cancel(self) -> None:
        """Stop the run; what it has done so far is kept for the next one."""
        if self._run is not None:
            self.cancel_button.setEnabled(False)
            self.step.setText(_tr("Stopping…"))
            self._run.cancel()

    def is_running(self) -> bool:
        """Whether a run is under way."""
        return self._run is not None

    def forget(self) -> None:
        """Take away what an earlier run has said, but for results that are still on offer."""
        if self._run is None and not self._is_elsewhere:
            self.messages.clear()

    def refuse(self, reason: str) -> None:
        """Say what cannot be, in place of what was said before."""
        self.messages.clear()
        self.messages.add(Notice(STOP, reason))

    def close_down(self) -> None:
        """Stop what runs, and let go of QGIS."""
        if self._run is not None:
            self._run.stop()
        QgsProject.instance().cleared.disconnect(self._leave_project)
        self._tell_later.stop()

    # What a run says

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
            text = _tr("Classifying {}: block {} of {}")
            now = min(int(event.get("done", 0)) + 1, int(event["total"]))
            self.step.setText(text.format(self._title, now, event["total"]))
        else:
            self.step.setText(_tr("Making polygons of {}").format(self._title))

    def _hear(self, level: str, text: str) -> None:
        if text.strip():
            line = text if level == "info" else f"{level.upper()}: {text}"
            self.log.appendPlainText(line.rstrip())

    def _end(self, successful: bool, told: dict[str, Any]) -> None:
        run, self._run = self._run, None
        self._show_idle()
        self.ended.emit()
        if run is None:
            return
        if run.was_cancelled():
            text = (
                _tr("Stopped. Run again to go on from there.")
                if self._is_kept
                else _tr("Stopped. Nothing is kept of a run to temporary files.")
            )
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
        self.forget()
        self._is_elsewhere = self._is_elsewhere or self._run is not None

    def _offer_results(self, told: Mapping[str, Any]) -> None:
        text = _tr("{} is classified. Another project is open now, so nothing was added to it.")
        notice = self.messages.add(Notice(DONE, text.format(self._title)))
        folder = Path(str(told[MAP])).parent
        notice.add_button(_tr("Open folder"), lambda: _open(folder))
        notice.add_button(_tr("Add to this project"), lambda: self._add_offered(told))

    def _add_offered(self, told: Mapping[str, Any]) -> None:
        self._is_elsewhere = False
        self.forget()
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
        results.add_results(QgsProject.instance(), self._group, layers)
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

    # Controls

    def _make_controls(self) -> None:
        self.messages = Notices()
        self.run_button = QPushButton(QgsApplication.getThemeIcon("/mActionStart.svg"), _tr("Run"))
        self.run_button.setObjectName("geosegRun")
        self.run_button.setDefault(True)
        self.help_button = QToolButton()
        self.help_button.setIcon(QgsApplication.getThemeIcon("/mActionHelpContents.svg"))
        self.help_button.setToolTip(_tr("Help"))
        self.help_button.clicked.connect(lambda _checked=False: _open(HELP))
        self.progress = QProgressBar()
        self.step, self.left = QLabel(), quiet(QLabel())
        self.left.setWordWrap(False)
        self.step.setWordWrap(True)
        self.step.setTextFormat(Qt.TextFormat.PlainText)
        self.step.setMinimumWidth(1)
        self.cancel_button = QPushButton(_tr("Cancel"))
        self.cancel_button.setObjectName("geosegCancel")
        self.cancel_button.clicked.connect(lambda _checked=False: self.cancel())
        self.log_box = QgsCollapsibleGroupBox()
        self.log_box.setTitle(_tr("Log"))
        self.log_box.setCollapsed(True)
        self.log = QPlainTextEdit()
        self.log.setReadOnly(True)
        self.log.setMaximumBlockCount(LOG_LINES)

    def _lay_out(self) -> None:
        QVBoxLayout(self.log_box).addWidget(self.log)
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
        self.idle = QWidget()
        idle = QHBoxLayout(self.idle)
        idle.setContentsMargins(0, 0, 0, 0)
        idle.addWidget(self.run_button, 1)
        idle.addWidget(self.help_button)
        column = QVBoxLayout(self)
        for each in (self.messages, self.idle, self.running, self.log_box):
            column.addWidget(each)

    def _show_idle(self) -> None:
        self.idle.show()
        self.running.hide()

    def _show_running(self) -> None:
        self.idle.hide()
        self.cancel_button.setEnabled(True)
        self.progress.setRange(0, 0)
        self.step.setText(_tr("Starting…"))
        self.left.clear()
        self.running.show()


def _model_name(model: str) -> str:
    """What a model is called that is given by name or by path."""
    return Path(model).name.removesuffix(".safetensors")


def _copy(text: str) -> None:
    QgsApplication.clipboard().setText(text)


def _open(path: Path) -> None:
    QDesktopServices.openUrl(QUrl.fromLocalFile(str(path)))
