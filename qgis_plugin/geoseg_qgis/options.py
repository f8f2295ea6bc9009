# SPDX-License-Identifier: GPL-2.0-or-later
"""The settings page: which Python has the engine, and how it gets one."""

from __future__ import annotations

import os
from typing import Any

from qgis.core import QgsApplication
from qgis.gui import QgsFileWidget, QgsOptionsPageWidget, QgsOptionsWidgetFactory
from qgis.PyQt.QtCore import Qt
from qgis.PyQt.QtGui import QIcon
from qgis.PyQt.QtWidgets import (
    QCheckBox,
    QComboBox,
    QFormLayout,
    QFrame,
    QHBoxLayout,
    QLabel,
    QProgressBar,
    QPushButton,
    QRadioButton,
    QScrollArea,
    QVBoxLayout,
    QWidget,
)

from . import settings
from .engine.environment import EngineMissing, Report, read_pointer
from .engine.failures import InstallationFailed
from .engine.install import Order, Plan, Progress
from .fitting import NOTE, STOP, WARNING
from .installer import Installer, is_unusable
from .notices import DONE, Notice, Notices, quiet
from .words import translated as _tr

PAGE = "geosegOptions"
INDENT = 24  # pixels, under a radio button
MEGA = 1_000_000  # progress bars count in 32 bits


class OptionsFactory(QgsOptionsWidgetFactory):
    """Makes the page when the options of QGIS are opened."""

    def __init__(self, icon: QIcon, installer: Installer) -> None:
        super().__init__()
        self.setTitle("geoseg")
        self._icon, self._installer = icon, installer

    def icon(self) -> QIcon:
        """The picture in the list of pages."""
        return self._icon

    def createWidget(self, parent: QWidget | None = None) -> OptionsPage:  # noqa: N802  (QGIS)
        """Make the page."""
        return OptionsPage(self._installer, parent)


class OptionsPage(QgsOptionsPageWidget):
    """Install the engine, or name a Python that has it.

    Parameters
    ----------
    installer : Installer
        Does the work, and goes on with it when this page is closed.
    """

    def __init__(self, installer: Installer, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName(PAGE)
        self._installer = installer
        self._make_controls()
        self._lay_out()
        self._load()
        self._connect()
        self.show_state()

    def apply(self) -> None:
        """Keep the choice, as OK does."""
        before = settings.python_setting()
        chosen = self.python.filePath().strip() if self.existing.isChecked() else ""
        settings.set_python_setting(chosen)
        if chosen != before:
            self._installer.engine_changed.emit()

    def order(self) -> Order:
        """What is to be installed, as chosen here."""
        return Order(
            backend=self.backend.currentData(),
            wheels=self.wheels.filePath().strip(),
            is_offline=self.offline.isChecked(),
            python=self.base.filePath().strip(),
            environment=settings.network_environment(),
        )

    def show_state(self) -> None:
        """Show what the installer does, and what came of it."""
        busy, plan = self._installer.is_busy(), self._installer.plan
        for part in (self.choices, self.check, self.roll_back):
            part.setEnabled(not busy)
        self.existing_box.setEnabled(self.existing.isChecked())
        self.own_box.setEnabled(self.own.isChecked() and not busy)
        self.roll_back.setVisible(_has_previous())
        self._show_engine()
        self.install.setVisible(not busy and plan is None)
        self.plan_box.setVisible(plan is not None and not busy)
        if plan is not None:
            self.planned.setText(_plan_in_words(plan))
            self.refused.setText(plan.refusal)
            self.refused.setVisible(bool(plan.refusal))
            self.agree.setEnabled(not plan.refusal)
        self.progress_box.setVisible(busy)
        if self._installer.progress is not None:
            self._show_progress(self._installer.progress)
        self._show_outcome()

    def _make_controls(self) -> None:
        self.engine = Notices()
        self.roll_back = QPushButton(_tr("Roll back"))
        self.own = QRadioButton(_tr("Install for me"))
        self.existing = QRadioButton(_tr("Use an existing Python"))
        self.backend = QComboBox()
        for text, value in (
            (_tr("Graphics card if there is one, else processor"), "auto"),
            (_tr("Processor only (smaller download)"), "cpu"),
            (_tr("As the package index has it (where pytorch.org is blocked)"), "index"),
        ):
            self.backend.addItem(text, value)
        self.base = _file(QgsFileWidget.StorageMode.GetFile, _tr("Found or downloaded"))
        self.wheels = _file(
            QgsFileWidget.StorageMode.GetDirectory, _tr("None: everything is downloaded")
        )
        self.offline = QCheckBox(_tr("Without internet: everything is in this folder"))
        self.install = QPushButton(_tr("Install…"))
        self.install.setToolTip(_tr("Shows first what will be downloaded"))
        self.planned = QLabel()
        self.planned.setWordWrap(True)
        self.planned.setTextFormat(Qt.TextFormat.PlainText)
        self.refused = QLabel()
        self.refused.setWordWrap(True)
        self.agree = QPushButton(_tr("Download and install"))
        self.decline = QPushButton(_tr("Not now"))
        self.bar = QProgressBar()
        self.doing = QLabel()
        self.amount = quiet(QLabel())
        self.amount.setWordWrap(False)
        self.cancel = QPushButton(_tr("Cancel"))
        self.python = _file(
            QgsFileWidget.StorageMode.GetFile, _tr("The interpreter of an environment with geoseg")
        )
        self.check = QPushButton(_tr("Check"))
        self.outcome = Notices()

    def _lay_out(self) -> None:
        inner = QWidget()
        column = QVBoxLayout(inner)
        column.addWidget(
            quiet(
                QLabel(
                    _tr(
                        "geoseg computes in a Python of its own, apart from that of QGIS: nothing "
                        "in QGIS is changed by it."
                    )
                )
            )
        )
        now = QHBoxLayout()
        now.addWidget(self.engine, 1)
        now.addWidget(self.roll_back, 0, Qt.AlignmentFlag.AlignTop)
        column.addLayout(now)
        self.choices = QWidget()
        choices = QVBoxLayout(self.choices)
        choices.setContentsMargins(0, 6, 0, 0)
        choices.addWidget(self.own)
        choices.addWidget(self._own_form())
        choices.addWidget(self.existing)
        choices.addWidget(self._existing_form())
        column.addWidget(self.choices)
        column.addWidget(self._progress_form())
        column.addWidget(self._plan_form())
        column.addWidget(self.outcome)
        column.addStretch(1)
        scroll = QScrollArea()
        scroll.setWidgetResizable(True)
        scroll.setFrameShape(QFrame.Shape.NoFrame)
        scroll.setWidget(inner)
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.addWidget(scroll)

    def _own_form(self) -> QWidget:
        self.own_box = QWidget()
        form = _form(self.own_box)
        form.addRow(_tr("Compute on"), self.backend)
        form.addRow(_tr("Python"), self.base)
        form.addRow(_tr("Folder of wheels"), self.wheels)
        form.addRow("", self.offline)
        form.addRow("", _left(self.install))
        return self.own_box

    def _existing_form(self) -> QWidget:
        self.existing_box = QWidget()
        form = _form(self.existing_box)
        row = QWidget()
        line = QHBoxLayout(row)
        line.setContentsMargins(0, 0, 0, 0)
        line.addWidget(self.python, 1)
        line.addWidget(self.check)
        form.addRow(_tr("Python"), row)
        return self.existing_box

    def _plan_form(self) -> QWidget:
        self.plan_box = QFrame()
        self.plan_box.setFrameShape(QFrame.Shape.StyledPanel)
        column = QVBoxLayout(self.plan_box)
        column.addWidget(self.planned)
        column.addWidget(self.refused)
        column.addWidget(_left(self.agree, self.decline))
        return self.plan_box

    def _progress_form(self) -> QWidget:
        self.progress_box = QWidget()
        column = QVBoxLayout(self.progress_box)
        column.setContentsMargins(0, 0, 0, 0)
        told = QHBoxLayout()
        told.addWidget(self.doing, 1)
        told.addWidget(self.amount)
        bar = QHBoxLayout()
        bar.addWidget(self.bar, 1)
        bar.addWidget(self.cancel)
        column.addLayout(told)
        column.addLayout(bar)
        return self.progress_box

    def _load(self) -> None:
        setting = settings.python_setting()
        self.python.setFilePath(setting)
        self.existing.setChecked(bool(setting))
        self.own.setChecked(not setting)

    def _connect(self) -> None:
        self._installer.changed.connect(self.show_state)
        self.own.toggled.connect(lambda _on: self.show_state())
        self.install.clicked.connect(lambda _on=False: self._installer.make_plan(self.order()))
        self.agree.clicked.connect(lambda _on=False: self._installer.install())
        self.decline.clicked.connect(lambda _on=False: self._installer.forget_plan())
        self.cancel.clicked.connect(lambda _on=False: self._stop())
        self.check.clicked.connect(lambda _on=False: self._installer.check(self._named_python()))
        self.roll_back.clicked.connect(lambda _on=False: self._installer.roll_back())

    def _named_python(self) -> str:
        return str(self.python.filePath()).strip()

    def _stop(self) -> None:
        self.doing.setText(_tr("Stopping…"))
        self._installer.cancel()

    def _show_engine(self) -> None:
        """Which engine is used now."""
        self.engine.clear()
        if os.environ.get("GEOSEG_PYTHON"):
            text = _tr("The environment variable GEOSEG_PYTHON names the engine: {}").format(
                os.environ["GEOSEG_PYTHON"]
            )
            self.engine.add(Notice(NOTE, text))
            return
        pointer = read_pointer()
        try:
            python = settings.engine_python()
        except EngineMissing as error:
            self.engine.add(Notice(WARNING, str(error)))
            return
        if pointer is not None and python == pointer.current.python:
            text = _tr("geoseg {} is installed in {}").format(
                pointer.current.version, pointer.current.folder
            )
        else:
            text = _tr("geoseg is used from {}").format(python)
        self.engine.add(Notice(DONE, text))

    def _show_progress(self, progress: Progress) -> None:
        self.doing.setText(progress.text)
        if progress.total > 0:
            self.bar.setRange(0, max(progress.total // MEGA, 1))
            self.bar.setValue(progress.done // MEGA)
            self.amount.setText(f"{progress.done / MEGA:,.0f} / {progress.total / MEGA:,.0f} MB")
        else:
            self.bar.setRange(0, 0)
            self.amount.clear()

    def _show_outcome(self) -> None:
        self.outcome.clear()
        outcome = self._installer.outcome
        if outcome is None:
            return
        severity = STOP if is_unusable(outcome) else DONE
        if isinstance(outcome, Report) and outcome.is_usable and not outcome.ok:
            severity = WARNING
        notice = self.outcome.add(Notice(severity, _outcome_in_words(outcome)))
        notice.add_button(_tr("Copy diagnostics"), self._copy)

    def _copy(self) -> None:
        QgsApplication.clipboard().setText(self._installer.diagnostics())


def _plan_in_words(plan: Plan) -> str:
    about = _tr("about ") if plan.is_estimate else ""
    python = ".".join(map(str, plan.python.version))
    return "\n".join(
        [
            _tr("geoseg {} with {} packages, on Python {}").format(
                plan.version, len(plan.packages), python
            ),
            _tr("To download: {}").format(about + _size(plan.download)),
            _tr("On disk: about {} of {} free in {}").format(
                _size(plan.needed), _size(plan.free), plan.folder
            ),
        ]
    )


def _outcome_in_words(outcome: Any) -> str:
    if isinstance(outcome, InstallationFailed):
        told = f"{outcome.failure.message}.\n{outcome.failure.remedy}."
        return "\n".join(line[:1].upper() + line[1:] for line in told.split("\n"))
    if isinstance(outcome, Report):
        first = _tr("geoseg {} works on {}").format(outcome.version, outcome.device)
        if not outcome.is_usable:
            first = _tr("geoseg {} does not work in {}").format(outcome.version, outcome.python)
        return "\n".join([first, *outcome.problems])
    return str(outcome)


def _has_previous() -> bool:
    pointer = read_pointer()
    return pointer is not None and pointer.previous is not None


def _size(number: int) -> str:
    return f"{number / 1e9:.1f} GB" if number >= 1e9 else f"{number / 1e6:,.0f} MB"


def _file(mode: Any, placeholder: str) -> QgsFileWidget:
    widget = QgsFileWidget()
    widget.setStorageMode(mode)
    widget.lineEdit().setPlaceholderText(placeholder)
    return widget


def _form(box: QWidget) -> QFormLayout:
    form = QFormLayout(box)
    form.setContentsMargins(INDENT, 0, 0, 8)
    form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
    return form


def _left(*buttons: QPushButton) -> QWidget:
    row = QWidget()
    line = QHBoxLayout(row)
    line.setContentsMargins(0, 0, 0, 0)
    for button in buttons:
        line.addWidget(button)
    line.addStretch(1)
    return row
