# SPDX-License-Identifier: GPL-2.0-or-later
"""All work on engines: in QGIS' task manager, so that it goes on while no page shows it."""

from __future__ import annotations

import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Callable

import qgis.utils
from qgis.core import Qgis, QgsTask
from qgis.PyQt.QtCore import QObject, pyqtSignal

from . import settings
from .background import Background
from .engine.environment import EngineMissing, IsCancelled, Report, check, chosen_python
from .engine.failures import InstallationFailed, classify
from .engine.home import Busy
from .engine.install import Installation, Order, Plan, Progress, rollback, uninstall
from .engine.process import Cancelled
from .fitting import NOTE, STOP
from .notices import DONE
from .words import translated as _tr

CHECK, USE, PLAN = "check", "use", "plan"
INSTALL, ROLLBACK, REMOVE = "install", "rollback", "remove"

OnProgress = Callable[[Progress], None]
Function = Callable[[OnProgress, IsCancelled], Any]


@dataclass(frozen=True)
class Outcome:
    """How a piece of work ended.

    Attributes
    ----------
    activity : str
        What was done, one of the constants of this module.
    severity : str
        As of a notice.
    text : str
        For the user.
    subject : Any
        What diagnostics tell of.
    """

    activity: str
    severity: str
    text: str
    subject: Any = None


class Setup(QObject):
    """Checks, installs, changes and removes engines, one thing at a time.

    It belongs to the plugin, not to the page: an installation goes on when the options are closed,
    and whoever opens them again sees how far it is.

    Parameters
    ----------
    on_change : callable
        Is called when another engine is used from now on.

    Attributes
    ----------
    activity : str
        What is being done; empty when nothing is.
    is_stopping : bool
        Whether it was asked to stop.
    progress : Progress or None
        How far it is.
    order : Order or None
        What was asked for last.
    plan : Plan or None
        What would be installed for it.
    report : Report or None
        What the engine in use said last.
    outcome : Outcome or None
        How the last work ended.
    """

    changed = pyqtSignal()
    progressed = pyqtSignal(object)
    _told = pyqtSignal(object)  # in the thread of the work

    def __init__(self, on_change: Callable[[], None]) -> None:
        super().__init__()
        self._on_change = on_change
        self._background = Background()
        self._told.connect(self._hear)
        self._installation: Installation | None = None
        self._trace = ""
        self.activity = ""
        self.is_stopping = False
        self.progress: Progress | None = None
        self.order: Order | None = None
        self.plan: Plan | None = None
        self.report: Report | None = None
        self.outcome: Outcome | None = None

    @property
    def log(self) -> Sequence[str]:
        """What the installation did and said."""
        return self._installation.log if self._installation is not None else ()

    @property
    def trace(self) -> str:
        """Where an error that nobody expected came from."""
        return self._trace

    def check(self) -> None:
        """Ask the engine in use whether it works."""
        setting, environment = settings.python_setting(), settings.network_environment()
        self._start(
            CHECK,
            _tr("Checking geoseg"),
            lambda _tell, stop: check(chosen_python(setting), stop, environment),
        )

    def use(self, python: str) -> None:
        """Use an existing Python, when it has an engine that works."""
        environment = settings.network_environment()

        def examined(_tell: OnProgress, stop: IsCancelled) -> tuple[str, Report]:
            return python, check(python, stop, environment)

        self._start(USE, _tr("Checking a Python for geoseg"), examined)

    def stop_using(self) -> None:
        """Take the choice of an existing Python back."""
        settings.set_python_setting("")
        self._switch(None)
        self.outcome = None
        self.changed.emit()

    def look(self, order: Order) -> None:
        """Find out what an installation would download."""
        if self.activity:
            return
        self.order, self.plan = order, None
        installation = self._installation = Installation(order)
        self._start(PLAN, _tr("Looking what geoseg needs"), installation.plan)

    def forget_plan(self) -> None:
        """Something else is wanted now."""
        if not self.activity:
            self.plan = None
            self.changed.emit()

    def install(self) -> None:
        """Do what the plan says."""
        installation, plan = self._installation, self.plan
        if installation is None or plan is None:
            raise ValueError("there is no plan")
        self._start(
            INSTALL,
            _tr("Installing geoseg"),
            lambda tell, stop: installation.run(plan, tell, stop),
        )

    def roll_back(self) -> None:
        """Use the engine before this one again."""
        environment = settings.network_environment()
        self._start(
            ROLLBACK,
            _tr("Going back to the geoseg before"),
            lambda _tell, stop: rollback(stop, environment),
        )

    def remove(self) -> None:
        """Remove all engines that were installed."""
        self._start(REMOVE, _tr("Removing geoseg"), lambda _tell, _stop: uninstall())

    def cancel(self) -> None:
        """Stop what is being done; what is there stays as it is."""
        if self.activity:
            self.is_stopping = True
            self._background.cancel()
            self.changed.emit()

    def close_down(self) -> None:
        """Stop and let go, before the plugin is unloaded."""
        self._background.forget_all()
        self.activity = ""

    def _start(self, activity: str, title: str, function: Function) -> None:
        if self.activity:
            return
        self.activity, self.outcome, self.progress, self._trace = activity, None, None, ""

        def work(task: QgsTask) -> Any:
            def tell(progress: Progress) -> None:
                if progress.total:
                    task.setProgress(100 * progress.done / progress.total)
                self._told.emit(progress)

            return function(tell, task.isCanceled)

        self._background.call(title, work, self._end)
        self.changed.emit()

    def _hear(self, progress: Progress) -> None:
        if self.activity:
            self.progress = progress
            self.progressed.emit(progress)

    def _end(self, result: Any, error: Exception | None) -> None:
        activity, self.activity, self.is_stopping = self.activity, "", False
        self.progress = None
        if error is None:
            self.outcome = self._succeeded(activity, result)
        else:
            self.outcome = self._failed(activity, error)
        is_shown = self.receivers(self.changed) > 0
        self.changed.emit()
        if self.outcome is not None and not is_shown:
            _tell_in_window(self.outcome)

    def _succeeded(self, activity: str, result: Any) -> Outcome | None:
        if activity == CHECK:
            self.report = result
            return None
        if activity == PLAN:
            self.plan = result
            return None
        if activity == REMOVE:
            self._switch(None)
            return Outcome(activity, DONE, _tr("The installed engines are removed."))
        if activity == USE:
            python, report = result
            settings.set_python_setting(python)
            text = _tr("geoseg {version} in this Python works and is used from now on.")
        else:
            report = result
            # It goes before what is installed, which the user asked for now.
            settings.set_python_setting("")
            text = (
                _tr("geoseg {version} is installed, works, and is used from now on.")
                if activity == INSTALL
                else _tr("geoseg {version}, the one before, is used again.")
            )
            self.plan = None
        self._switch(report)
        return Outcome(activity, DONE, text.format(version=report.version), report)

    def _switch(self, report: Report | None) -> None:
        """Another engine is used; an environment variable may still name a third one."""
        try:
            used = settings.engine_python()
        except EngineMissing:
            used = ""
        self.report = report if report is not None and report.python == used else None
        self._on_change()

    def _failed(self, activity: str, error: Exception) -> Outcome:
        if activity == CHECK:
            self.report = None
        if isinstance(error, Cancelled):
            text = _tr("Cancelled. Nothing was changed; what was downloaded is kept.")
            return Outcome(activity, NOTE, text)
        if isinstance(error, (EngineMissing, Busy)):
            return Outcome(activity, STOP, sentences(str(error)), error)
        if isinstance(error, InstallationFailed):
            failure = error.failure
        else:
            self._trace = "".join(
                traceback.format_exception(type(error), error, error.__traceback__)
            )
            failure = classify(f"{type(error).__name__}: {error}")
        return Outcome(activity, STOP, sentences(failure.message, failure.remedy), failure)


def sentences(*texts: str) -> str:
    """Write what the engine's parts say as sentences."""
    written = (text.strip().rstrip(".") for text in texts)
    return " ".join(f"{text[0].upper()}{text[1:]}." for text in written if text)


def _tell_in_window(outcome: Outcome) -> None:
    """Tell it above the map, as the page is closed."""
    window = qgis.utils.iface
    if window is not None and outcome.activity not in (CHECK, PLAN):
        level = {DONE: Qgis.MessageLevel.Success, STOP: Qgis.MessageLevel.Critical}
        window.messageBar().pushMessage(
            "geoseg", outcome.text, level.get(outcome.severity, Qgis.MessageLevel.Info), 0
        )
