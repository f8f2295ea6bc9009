# SPDX-License-Identifier: GPL-2.0-or-later
"""One run of an algorithm beside the window: told as signals, cancelled at will, with time left."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, Callable

from qgis.core import (
    QgsApplication,
    QgsProcessingAlgRunnerTask,
    QgsProcessingContext,
    QgsProcessingFeedback,
    QgsProject,
)
from qgis.PyQt.QtCore import QEventLoop, QObject, QTimer, pyqtSignal

from .words import translated as _tr

PATIENCE = 10_000  # milliseconds; the engine is gone after two seconds, an export may take longer


class SignallingFeedback(QgsProcessingFeedback):
    """Turns what an algorithm says in its thread into signals.

    Qt delivers a signal in the thread of the one who listens, so listeners may touch widgets.
    """

    said = pyqtSignal(str, str)
    heard = pyqtSignal(object)

    def hear(self, event: Mapping[str, Any]) -> None:
        """Hand an event of the engine on."""
        self.heard.emit(event)

    def pushInfo(self, info: str) -> None:  # noqa: N802  (QGIS calls it so, as those below)
        """Hand a message on."""
        self.said.emit("info", info)

    def pushDebugInfo(self, info: str) -> None:  # noqa: N802
        """Hand a detail on."""
        self.said.emit("info", info)

    def pushConsoleInfo(self, info: str) -> None:  # noqa: N802
        """Hand a line of the engine on."""
        self.said.emit("info", info)

    def pushCommandInfo(self, info: str) -> None:  # noqa: N802
        """Hand the command on."""
        self.said.emit("info", info)

    def pushWarning(self, warning: str) -> None:  # noqa: N802
        """Hand a warning on."""
        self.said.emit("warning", warning)

    def reportError(self, error: str, fatalError: bool = False) -> None:  # noqa: N802, N803
        """Hand an error on."""
        self.said.emit("error", error)

    def setProgressText(self, text: str) -> None:  # noqa: N802
        """Hand on what is being done."""
        self.said.emit("info", text)


class Pace:
    """How long it still takes, by the pace since the first progress.

    The time before it is the engine's start, which does not come again.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._first: tuple[float, float] | None = None

    def seconds_left(self, percent: float) -> float | None:
        """Seconds until 100, None as long as nobody can tell."""
        now = self._clock()
        if self._first is None:
            self._first = (now, percent) if percent > 0 else None
            return None
        since, start = self._first
        if percent <= start:
            return None
        return (100 - percent) * (now - since) / (percent - start)


def time_left(seconds: float) -> str:
    """Seconds as people say them."""
    if seconds < 10:
        return _tr("a few seconds left")
    if seconds < 90:
        return _tr("about {} s left").format(int(round(seconds, -1)))
    minutes = round(seconds / 60)
    if minutes < 60:
        return _tr("about {} min left").format(minutes)
    return _tr("about {} h {} min left").format(minutes // 60, minutes % 60)


class Run(QObject):
    """One algorithm with its parameters, run by QGIS' task manager.

    Attributes
    ----------
    log : list of str
        What was said so far.
    error : str
        The last error, empty when there was none.
    """

    progressed = pyqtSignal(float)
    heard = pyqtSignal(object)
    said = pyqtSignal(str, str)
    ended = pyqtSignal(bool, object)

    def __init__(self, algorithm_id: str, parameters: dict[str, Any]) -> None:
        super().__init__()
        self._id, self._parameters = algorithm_id, parameters
        self._feedback = SignallingFeedback()
        self._feedback.progressChanged.connect(self.progressed)
        self._feedback.heard.connect(self.heard)
        self._feedback.said.connect(self._hear)
        self._context = QgsProcessingContext()
        self._context.setProject(QgsProject.instance())
        self._context.setFeedback(self._feedback)
        self._task: QgsProcessingAlgRunnerTask | None = None
        self.log: list[str] = []
        self.error = ""

    def start(self) -> str:
        """Begin.

        Returns
        -------
        str
            Why it cannot begin; empty when it has begun.
        """
        algorithm = QgsApplication.processingRegistry().createAlgorithmById(self._id)
        if algorithm is None:
            return _tr(
                "The Processing tools of geoseg are not loaded; enable the plugins Processing and "
                "geoseg, then restart QGIS."
            )
        able, message = algorithm.canExecute()
        if not able:
            return str(message)
        fine, message = algorithm.checkParameterValues(self._parameters, self._context)
        if not fine:
            return str(message)
        self._task = QgsProcessingAlgRunnerTask(
            algorithm, self._parameters, self._context, self._feedback
        )
        if self._task.isCanceled():  # it was prepared in vain, and would never say that it ended
            self._task = None
            return self.error or _tr("The run cannot begin; see the log.")
        self._task.executed.connect(self._end)
        _under_way.add(self)
        QgsApplication.taskManager().addTask(self._task)
        return ""

    def cancel(self) -> None:
        """Stop as soon as the engine lets go."""
        self._feedback.cancel()
        if self._task is not None:
            self._task.cancel()

    def stop(self) -> None:
        """Cancel, and wait until nothing of it runs any more."""
        self.cancel()
        if self._task is not None:
            loop = QEventLoop()
            self.ended.connect(loop.quit)
            QTimer.singleShot(PATIENCE, loop.quit)
            loop.exec(QEventLoop.ProcessEventsFlag.ExcludeUserInputEvents)

    def was_cancelled(self) -> bool:
        """Whether somebody asked it to stop."""
        return bool(self._feedback.isCanceled())

    def _hear(self, level: str, text: str) -> None:
        self.log.append(text if level == "info" else f"{level}: {text}")
        if level == "error":
            self.error = text
        self.said.emit(level, text)

    def _end(self, successful: bool, results: dict[str, Any]) -> None:
        self._task = None
        _under_way.discard(self)
        self.ended.emit(successful, dict(results))


_under_way: set[Run] = set()
"""The task uses feedback and context from its thread, also when the dock is gone."""
