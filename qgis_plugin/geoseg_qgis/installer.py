# SPDX-License-Identifier: GPL-2.0-or-later
"""Installs the engine in the background, whether or not the settings page is open meanwhile."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from qgis.PyQt.QtCore import QObject, pyqtSignal

from . import settings
from .background import Background
from .engine.environment import Report, check
from .engine.failures import diagnostics
from .engine.install import Installation, Order, Plan, Progress, rollback
from .engine.process import Cancelled
from .words import translated as _tr


class Installer(QObject):
    """What is going on about the engine: looking, planning, installing, or nothing.

    Attributes
    ----------
    plan : Plan or None
        What an installation would do, until it is started or given up.
    progress : Progress or None
        How far the work at hand is; None where there is none.
    outcome : Report, Exception or None
        How the last work ended.
    """

    changed = pyqtSignal()
    engine_changed = pyqtSignal()
    _went_on = pyqtSignal(object)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._background = Background()
        self._stop = threading.Event()
        self._installation: Installation | None = None
        self._went_on.connect(self._go_on)
        self.plan: Plan | None = None
        self.progress: Progress | None = None
        self.outcome: Report | Exception | None = None

    def is_busy(self) -> bool:
        """Whether something is under way."""
        return self._background.is_busy()

    def check(self, python: str) -> None:
        """Find out whether an interpreter has an engine that works."""
        network = settings.network_environment()
        self._begin(_tr("Asking {}").format(python), lambda: check(python, network), self._finish)

    def make_plan(self, order: Order) -> None:
        """Find out what is to be downloaded; `plan` holds it then."""

        def planned(result: Any, error: Exception | None) -> None:
            self.plan = result
            self._finish(None, error)

        def work() -> Plan:
            self._installation = Installation(order)
            return self._installation.plan(self._went_on.emit, self._stop.is_set)

        self.plan = None
        self._begin(_tr("Looking for packages"), work, planned)

    def install(self) -> None:
        """Do what the plan says."""
        installation, plan = self._installation, self.plan
        if installation is None or plan is None:
            return

        def work() -> Report:
            return installation.run(plan, self._went_on.emit, self._stop.is_set)

        def installed(result: Any, error: Exception | None) -> None:
            if error is None:
                # It was installed to be used, whatever was chosen before.
                settings.set_python_setting("")
            self._finish(result, error)
            if error is None:
                self.engine_changed.emit()

        self.plan = None
        self._begin(_tr("Installing geoseg"), work, installed)

    def roll_back(self) -> None:
        """Use the engine before the present one."""
        network = settings.network_environment()

        def done(result: Any, error: Exception | None) -> None:
            self._finish(result, error)
            if error is None:
                self.engine_changed.emit()

        self._begin(_tr("Going back"), lambda: rollback(network), done)

    def forget_plan(self) -> None:
        """Do not install."""
        self.plan = None
        self.changed.emit()

    def cancel(self) -> None:
        """Stop as soon as what is under way allows."""
        self._stop.set()

    def close(self) -> None:
        """Let go of everything before the plugin is unloaded."""
        self.cancel()
        self._background.forget_all()

    def diagnostics(self) -> str:
        """What to send to somebody who shall help."""
        log = self._installation.log if self._installation is not None else []
        subject = getattr(self.outcome, "failure", self.outcome)
        return diagnostics(subject, log)

    def _begin(
        self,
        title: str,
        work: Callable[[], Any],
        done: Callable[[Any, Exception | None], None],
    ) -> None:
        self._stop.clear()
        self.outcome = None
        self.progress = Progress("plan", title)
        self._background.call(f"geoseg: {title}", work, done, self.cancel)
        self.changed.emit()

    def _go_on(self, progress: Progress) -> None:
        if self.progress is not None:
            self.progress = progress
            self.changed.emit()

    def _finish(self, result: Any, error: Exception | None) -> None:
        self.progress = None
        self.outcome = None if isinstance(error, Cancelled) else error or result
        self.changed.emit()


def is_unusable(outcome: object) -> bool:
    """Whether an outcome says that there is no engine that works."""
    return isinstance(outcome, Exception) or (isinstance(outcome, Report) and not outcome.is_usable)
