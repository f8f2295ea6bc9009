# SPDX-License-Identifier: GPL-2.0-or-later
"""The settings page: which engine is used, another Python, an installation."""

from __future__ import annotations

import os
from typing import Callable

from qgis.core import QgsApplication
from qgis.gui import QgsFileWidget, QgsOptionsPageWidget, QgsOptionsWidgetFactory, QgsScrollArea
from qgis.PyQt.QtCore import QEvent, QSize
from qgis.PyQt.QtGui import QIcon
from qgis.PyQt.QtWidgets import (
    QFormLayout,
    QFrame,
    QGroupBox,
    QHBoxLayout,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from . import settings
from .engine.environment import EngineMissing
from .engine.failures import diagnostics
from .fitting import NOTE, STOP, WARNING
from .install_box import InstallBox, aligned_form, wrapped
from .installing import CHECK, USE, Setup, sentences
from .notices import DONE, Notice, Notices
from .words import translated as _tr

PAGE = "geosegOptions"  # the name by which QGIS opens it
TITLE = "geoseg"


class OptionsFactory(QgsOptionsWidgetFactory):
    """Makes the page each time the options are opened; the work on engines outlives the pages.

    Parameters
    ----------
    icon : QIcon
        Shown in the list of pages.
    on_change : callable
        Is called when another engine is used from now on.
    """

    def __init__(self, icon: QIcon, on_change: Callable[[], None]) -> None:
        super().__init__()
        self._icon = icon
        self.setup = Setup(on_change)
        self.setTitle(TITLE)

    def icon(self) -> QIcon:
        """Return the icon of the page."""
        return self._icon

    def createWidget(self, parent: QWidget | None = None) -> OptionsPage:  # noqa: N802
        """Make a page."""
        return OptionsPage(self.setup, parent)

    def close_down(self) -> None:
        """Let go of everything before the plugin is unloaded."""
        self.setup.close_down()


class OptionsPage(QgsOptionsPageWidget):
    """The page; all it does takes effect at once, but for a path that was typed only.

    Parameters
    ----------
    setup : Setup
        Does the work, and goes on when the page is closed.
    """

    def __init__(self, setup: Setup, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName(PAGE)
        self._setup = setup
        self._is_following = False
        self.engine = EngineBox(setup)
        self.install = InstallBox(setup)
        self.existing = ExistingBox(setup)
        _align(self.install.form, self.install.plan_form, self.existing.form)
        inside = _Column()
        column = QVBoxLayout(inside)
        for box in (self.engine, self.install, self.existing):
            column.addWidget(box)
        column.addStretch()
        area = QgsScrollArea()
        area.setFrameShape(QFrame.Shape.NoFrame)
        area.setWidgetResizable(True)
        area.setWidget(inside)
        whole = QVBoxLayout(self)
        whole.setContentsMargins(0, 0, 0, 0)
        whole.addWidget(area)

    def showEvent(self, event: QEvent) -> None:  # noqa: N802
        """Look at the engine when the user looks at the page, not when the options are opened."""
        super().showEvent(event)
        if not self._is_following:
            self._is_following = True
            self._setup.changed.connect(self.refresh)
            self._setup.progressed.connect(self.install.show_progress)
            self.refresh()
            self.engine.look()

    def hideEvent(self, event: QEvent) -> None:  # noqa: N802
        """Let the outcome be told elsewhere while nobody sees the page."""
        super().hideEvent(event)
        if self._is_following:
            self._is_following = False
            self._setup.changed.disconnect(self.refresh)
            self._setup.progressed.disconnect(self.install.show_progress)

    def refresh(self) -> None:
        """Show what is true now."""
        self.engine.refresh()
        self.install.refresh()
        self.existing.follow()

    def apply(self) -> None:
        """Heed a path that was typed and not checked yet; QGIS tells above the map if it fails."""
        self.existing.heed()


class _Column(QWidget):
    """Is as tall as its texts need at its width; a scroll area would take the narrowest width."""

    def minimumSizeHint(self) -> QSize:  # noqa: N802
        """Return the least size."""
        hint = super().minimumSizeHint()
        return QSize(hint.width(), self.layout().totalHeightForWidth(self.width()))

    def resizeEvent(self, event: QEvent) -> None:  # noqa: N802
        """Ask for another height."""
        super().resizeEvent(event)
        self.updateGeometry()


def _align(*forms: QFormLayout) -> None:
    """Let fields of several forms stand below each other."""
    labels = [
        item.widget()
        for form in forms
        for row in range(form.rowCount())
        for item in [form.itemAt(row, QFormLayout.ItemRole.LabelRole)]
        if item is not None
    ]
    width = max(label.sizeHint().width() for label in labels)
    for label in labels:
        label.setMinimumWidth(width)


class EngineBox(QGroupBox):
    """Tells which engine is used and whether it works."""

    def __init__(self, setup: Setup, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setTitle(_tr("Engine"))
        self._setup = setup
        self.state = Notices()
        self.check_button = QPushButton(_tr("Check"))
        self.check_button.clicked.connect(lambda _checked=False: setup.check())
        self.copy_button = QPushButton(_tr("Copy diagnostics"))
        self.copy_button.clicked.connect(lambda _checked=False: self._copy())
        row = QHBoxLayout()
        row.addWidget(self.check_button)
        row.addWidget(self.copy_button)
        row.addStretch()
        column = QVBoxLayout(self)
        column.addWidget(self.state)
        column.addLayout(row)

    def look(self) -> None:
        """Check the engine unless that was done, or something else is to be seen."""
        outcome = self._setup.outcome
        is_free = not self._setup.activity and (outcome is None or outcome.activity == CHECK)
        if is_free and self._setup.report is None and self._python():
            self._setup.check()

    def refresh(self) -> None:
        """Show what is true now."""
        self.state.clear()
        python = self._python()
        for severity, text in self._told(python):
            self.state.add(Notice(severity, text))
        if os.environ.get("GEOSEG_PYTHON"):
            self.state.add(
                Notice(
                    NOTE,
                    _tr(
                        "The environment variable GEOSEG_PYTHON names the Python; it goes before "
                        "what is chosen and installed below."
                    ),
                )
            )
        self.check_button.setEnabled(bool(python) and not self._setup.activity)
        self.copy_button.setEnabled(self._subject() is not None)

    def _told(self, python: str) -> list[tuple[str, str]]:
        outcome, report = self._setup.outcome, self._setup.report
        if self._setup.activity == CHECK:
            return [(NOTE, _tr("Checking {}…").format(python))]
        if outcome is not None and outcome.activity == CHECK:
            return [(outcome.severity, outcome.text)]
        if report is not None:
            lines = [
                _tr("geoseg {version}, works on: {device}"),
                _tr("Python: {python}"),
            ]
            text = "\n".join(lines).format(
                version=report.version, device=report.device, python=report.python
            )
            found = [
                (WARNING if report.is_usable else STOP, sentences(*each.split("; ")))
                for each in report.problems
            ]
            return [(DONE if report.is_usable else STOP, text), *found]
        if python:
            return [(NOTE, _tr("{} is used; not checked yet.").format(python))]
        return [(WARNING, self._missing())]

    def _missing(self) -> str:
        try:
            settings.engine_python()
        except EngineMissing as error:
            if settings.python_setting() or os.environ.get("GEOSEG_PYTHON"):
                return sentences(str(error))
        return _tr("There is no engine yet. Install it, or choose a Python that has geoseg.")

    def _python(self) -> str:
        try:
            return settings.engine_python()
        except EngineMissing:
            return ""

    def _subject(self) -> object | None:
        outcome = self._setup.outcome
        if outcome is not None and outcome.activity == CHECK:
            return outcome.subject
        return self._setup.report

    def _copy(self) -> None:
        subject = self._subject()
        log = str(getattr(subject, "log", ""))
        QgsApplication.clipboard().setText(diagnostics(subject, log))


class ExistingBox(QGroupBox):
    """Lets the user choose a Python that has geoseg."""

    def __init__(self, setup: Setup, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setTitle(_tr("Use an existing Python"))
        self._setup = setup
        self._known = settings.python_setting()
        self.path = QgsFileWidget()
        self.path.setStorageMode(QgsFileWidget.StorageMode.GetFile)
        self.path.setDialogTitle(_tr("A Python that has geoseg"))
        self.path.setFilePath(self._known)
        self.path.lineEdit().setPlaceholderText(_tr(".../bin/python or ...\\python.exe"))
        self.use_button = QPushButton(_tr("Check and use"))
        self.use_button.clicked.connect(lambda _checked=False: setup.use(self._typed()))
        self.clear_button = QPushButton(_tr("Do not use it"))
        self.clear_button.clicked.connect(lambda _checked=False: self._clear())
        self.outcomes = Notices()
        self._lay_out()
        self.path.fileChanged.connect(lambda _path: self.refresh())

    def heed(self) -> None:
        """Take what was typed, if that is not what is used already."""
        typed, used = self._typed(), settings.python_setting()
        if typed == used or self._setup.activity:
            return
        if typed:
            self._setup.use(typed)
        else:
            self._setup.stop_using()

    def refresh(self) -> None:
        """Show what is true now."""
        is_free, outcome = not self._setup.activity, self._setup.outcome
        self.path.setEnabled(is_free)
        self.use_button.setEnabled(is_free and bool(self._typed()))
        self.clear_button.setEnabled(is_free and bool(settings.python_setting()))
        self.outcomes.clear()
        if self._setup.activity == USE:
            self.outcomes.add(Notice(NOTE, _tr("Checking…")))
        elif outcome is not None and outcome.activity == USE:
            self.outcomes.add(Notice(outcome.severity, outcome.text))

    def follow(self) -> None:
        """Show another path when another one was set."""
        used = settings.python_setting()
        if used != self._known:
            self._known = used
            self.path.setFilePath(used)
        self.refresh()

    def _typed(self) -> str:
        return str(self.path.filePath()).strip()

    def _clear(self) -> None:
        self.path.setFilePath("")
        self._setup.stop_using()

    def _lay_out(self) -> None:
        hint = wrapped(_tr("A Python that has geoseg, one in a conda environment for example."))
        self.form = aligned_form()
        self.form.addRow(_tr("Python"), self.path)
        row = QHBoxLayout()
        row.addWidget(self.use_button)
        row.addWidget(self.clear_button)
        row.addStretch()
        column = QVBoxLayout(self)
        column.addWidget(hint)
        column.addLayout(self.form)
        column.addWidget(self.outcomes)
        column.addLayout(row)
