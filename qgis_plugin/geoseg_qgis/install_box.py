# SPDX-License-Identifier: GPL-2.0-or-later
"""The part of the settings page that installs an engine: plan, progress, outcome."""

from __future__ import annotations

from qgis.core import QgsApplication
from qgis.gui import QgsCollapsibleGroupBox, QgsFileWidget
from qgis.PyQt.QtCore import Qt, QTimer
from qgis.PyQt.QtWidgets import (
    QCheckBox,
    QComboBox,
    QFormLayout,
    QGroupBox,
    QHBoxLayout,
    QLabel,
    QMessageBox,
    QPlainTextEdit,
    QProgressBar,
    QPushButton,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

from . import settings
from .engine.environment import read_pointer
from .engine.failures import diagnostics
from .engine.install import Order, Plan, Progress
from .fitting import STOP
from .installing import INSTALL, PLAN, REMOVE, ROLLBACK, Setup, sentences
from .notices import Notice, Notices
from .words import translated as _tr

STEPS = 1000  # of the bar
LOG_INTERVAL = 500  # milliseconds
LARGEST = 6  # packages that are named


class InstallBox(QGroupBox):
    """Plans and runs an installation, and shows the one that is under way.

    Parameters
    ----------
    setup : Setup
        Does the work.
    """

    def __init__(self, setup: Setup, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setTitle(_tr("Install for me"))
        self._setup = setup
        self._lines_shown = 0
        self._make_choices()
        self._make_plan()
        self._make_progress()
        self._make_buttons()
        self._lay_out()
        self._timer = QTimer(self)
        self._timer.setInterval(LOG_INTERVAL)
        self._timer.timeout.connect(self._show_log)

    def order(self) -> Order:
        """Return what is asked for."""
        return Order(
            backend=self.backend.currentData(),
            wheels=self.wheels.filePath().strip(),
            is_offline=self.offline.isChecked(),
            environment=settings.network_environment(),
        )

    def refresh(self) -> None:
        """Show what is true now."""
        activity, plan = self._setup.activity, self._setup.plan
        is_free, is_shown = not activity, activity in (PLAN, INSTALL)
        for widget in (self.backend, self.wheels, self.offline):
            widget.setEnabled(is_free)
        self.look_button.setVisible(plan is None and not is_shown)
        is_fetched = plan is None and not is_shown and not self.offline.isChecked()
        self.look_hint.setVisible(is_fetched)
        self.look_button.setEnabled(is_free)
        self.plan_box.setVisible(plan is not None)
        self.refusals.clear()
        if plan is not None:
            self._show_plan(plan)
        self.install_button.setVisible(plan is not None and not is_shown)
        self.install_button.setEnabled(is_free and plan is not None and not plan.refusal)
        self.progress_box.setVisible(is_shown)
        self.cancel_button.setEnabled(is_shown and not self._setup.is_stopping)
        self._show_running(is_shown)
        self._show_outcome()
        self._show_log()
        self.log_box.setVisible(bool(self._setup.log))
        self._show_removal(is_free)

    def show_progress(self, progress: Progress) -> None:
        """Show how far it is."""
        self.bar.setRange(0, STEPS if progress.total else 0)
        text = progress.text
        if progress.total:
            self.bar.setValue(int(STEPS * progress.done / progress.total))
            text = _tr("{what}: {done} of {total}").format(
                what=text, done=bytes_words(progress.done), total=bytes_words(progress.total)
            )
        self.stage.setText(text if progress.total else f"{text}…")

    def _look(self) -> None:
        self._setup.look(self.order())

    def _remove(self) -> None:
        answer = QMessageBox.question(
            self,
            _tr("Remove geoseg"),
            _tr(
                "Remove the installed engines and everything that was downloaded for them? "
                "Models of your own and maps stay."
            ),
        )
        if answer == QMessageBox.StandardButton.Yes:
            self._setup.remove()

    def _copy(self) -> None:
        outcome = self._setup.outcome
        if outcome is not None:
            log = [*self._setup.log, self._setup.trace]
            QgsApplication.clipboard().setText(diagnostics(outcome.subject, log))

    def _show_running(self, is_shown: bool) -> None:
        if not is_shown:
            self._timer.stop()
            return
        self._timer.start()
        if self._setup.is_stopping:
            self.bar.setRange(0, 0)
            self.stage.setText(_tr("Stopping…"))
        elif self._setup.progress is not None:
            self.show_progress(self._setup.progress)
        else:
            self.show_progress(Progress("plan", _tr("Starting")))

    def _show_plan(self, plan: Plan) -> None:
        self.download.setText(download_words(plan))
        self.disk.setText(
            _tr("about {needed} needed, {free} free").format(
                needed=bytes_words(plan.needed), free=bytes_words(plan.free)
            )
        )
        self.folder.setText(str(plan.folder))
        version = ".".join(str(number) for number in plan.python.version)
        self.python.setText(f"{version} ({plan.python.path})")
        self.packages.setText(packages_words(plan))
        if plan.refusal:
            self.refusals.add(Notice(STOP, sentences(plan.refusal)))

    def _show_outcome(self) -> None:
        self.outcomes.clear()
        outcome = self._setup.outcome
        if outcome is None or outcome.activity not in (PLAN, INSTALL, ROLLBACK, REMOVE):
            return
        notice = self.outcomes.add(Notice(outcome.severity, outcome.text))
        if outcome.severity == STOP:
            notice.add_button(_tr("Copy diagnostics"), self._copy)

    def _show_log(self) -> None:
        lines = list(self._setup.log)
        if len(lines) < self._lines_shown:  # of another installation
            self.log.clear()
            self._lines_shown = 0
        if lines[self._lines_shown :]:
            self.log.appendPlainText("\n".join(lines[self._lines_shown :]))
            self._lines_shown = len(lines)

    def _show_removal(self, is_free: bool) -> None:
        pointer = read_pointer()
        previous = pointer.previous if pointer is not None else None
        self.roll_back_button.setVisible(previous is not None)
        self.remove_button.setVisible(pointer is not None)
        for button in (self.roll_back_button, self.remove_button):
            button.setEnabled(is_free)
        if previous is not None:
            self.roll_back_button.setToolTip(
                _tr("Use geoseg {} in {} again").format(previous.version, previous.folder)
            )

    def _make_choices(self) -> None:
        self.backend = QComboBox()
        self.backend.setObjectName("geosegBackend")
        self.backend.addItem(_tr("Graphics card if there is one, else processor"), "auto")
        self.backend.addItem(_tr("Processor only (a smaller download)"), "cpu")
        self.backend.addItem(_tr("What the package index has (no other server)"), "index")
        self.backend.setToolTip(
            _tr(
                "The first two take PyTorch from download.pytorch.org. The last one takes it from "
                "the package index, as everything else: on Linux it is large and for graphics "
                "cards of NVIDIA, elsewhere for the processor."
            )
        )
        self.wheels = QgsFileWidget()
        self.wheels.setStorageMode(QgsFileWidget.StorageMode.GetDirectory)
        self.wheels.setDialogTitle(_tr("Folder of wheels"))
        self.wheels.lineEdit().setPlaceholderText(_tr("none: from the package index"))
        self.offline = QCheckBox(_tr("Offline: take everything from this folder"))
        if self._setup.order is not None:
            self._choose(self._setup.order)
        self.backend.currentIndexChanged.connect(lambda _index: self._setup.forget_plan())
        self.wheels.fileChanged.connect(lambda _path: self._setup.forget_plan())
        self.offline.toggled.connect(lambda _on: self._setup.forget_plan())

    def _choose(self, order: Order) -> None:
        """Show what the plan was made for."""
        self.backend.setCurrentIndex(self.backend.findData(order.backend))
        self.wheels.setFilePath(order.wheels)
        self.offline.setChecked(order.is_offline)

    def _make_plan(self) -> None:
        self.download, self.disk, self.folder, self.python, self.packages = (
            wrapped() for _ in range(5)
        )
        self.refusals = Notices()
        self.outcomes = Notices()

    def _make_progress(self) -> None:
        self.progress_box = QWidget()
        self.bar = QProgressBar()
        self.bar.setTextVisible(False)
        self.stage = wrapped()
        self.cancel_button = QPushButton(_tr("Cancel"))
        self.cancel_button.clicked.connect(lambda _checked=False: self._setup.cancel())
        self.log = QPlainTextEdit()
        self.log.setReadOnly(True)
        self.log.setMinimumHeight(120)
        self.log_box = QgsCollapsibleGroupBox()
        self.log_box.setTitle(_tr("Log"))
        self.log_box.setCollapsed(True)
        QVBoxLayout(self.log_box).addWidget(self.log)

    def _make_buttons(self) -> None:
        self.look_button = QPushButton(_tr("See what is needed…"))
        self.look_button.clicked.connect(lambda _checked=False: self._look())
        self.look_hint = wrapped(
            _tr(
                "To see what is needed, up to 50 MB (uv and Python) are fetched. Everything else "
                "is downloaded only when you press Install."
            )
        )
        self.install_button = QPushButton(_tr("Install"))
        self.install_button.clicked.connect(lambda _checked=False: self._setup.install())
        self.roll_back_button = QPushButton(_tr("Roll back"))
        self.roll_back_button.clicked.connect(lambda _checked=False: self._setup.roll_back())
        self.remove_button = QPushButton(_tr("Remove…"))
        self.remove_button.clicked.connect(lambda _checked=False: self._remove())

    def _lay_out(self) -> None:
        self.form = aligned_form()
        self.form.addRow(_tr("Work with"), self.backend)
        self.form.addRow(_tr("Folder of wheels"), self.wheels)
        self.form.addRow("", self.offline)
        self.plan_form = aligned_form()
        self.plan_form.setContentsMargins(0, 0, 0, 0)
        self.plan_form.setLabelAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignTop)
        self.plan_form.addRow(_tr("Download"), self.download)
        self.plan_form.addRow(_tr("Disk"), self.disk)
        self.plan_form.addRow(_tr("Folder"), self.folder)
        self.plan_form.addRow(_tr("Python"), self.python)
        self.plan_form.addRow(_tr("Packages"), self.packages)
        self.plan_box = QWidget()
        self.plan_box.setLayout(self.plan_form)
        running = QVBoxLayout(self.progress_box)
        running.setContentsMargins(0, 0, 0, 0)
        row = QHBoxLayout()
        row.addWidget(self.bar, 1)
        row.addWidget(self.cancel_button)
        running.addLayout(row)
        running.addWidget(self.stage)
        buttons = QHBoxLayout()
        buttons.addWidget(self.look_button)
        buttons.addWidget(self.install_button)
        buttons.addStretch()
        buttons.addWidget(self.roll_back_button)
        buttons.addWidget(self.remove_button)
        column = QVBoxLayout(self)
        column.addLayout(self.form)
        for widget in (
            self.plan_box,
            self.refusals,
            self.progress_box,
            self.outcomes,
            self.look_hint,
        ):
            column.addWidget(widget)
        column.addLayout(buttons)
        column.addWidget(self.log_box)


def aligned_form() -> QFormLayout:
    """Make a form whose labels begin at the left, and whose fields are as wide as there is room."""
    form = QFormLayout()
    form.setLabelAlignment(Qt.AlignmentFlag.AlignLeft)
    form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
    return form


def wrapped(text: str = "") -> QLabel:
    """Make a label whose text wraps and can be copied."""
    label = QLabel(text)
    label.setWordWrap(True)
    label.setTextFormat(Qt.TextFormat.PlainText)
    label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
    # A label that wraps asks for its height only if its size policy says so.
    policy = QSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Minimum)
    policy.setHeightForWidth(True)
    label.setSizePolicy(policy)
    label.setMinimumWidth(1)
    return label


def bytes_words(size: int) -> str:
    """Write a size in words."""
    if size >= 999.5e6:
        return _tr("{} GB").format(f"{size / 1e9:.1f}")
    return _tr("{} MB").format(f"{size / 1e6:.0f}")


def download_words(plan: Plan) -> str:
    """What is downloaded, in words."""
    size = bytes_words(plan.download)
    told = _tr("about {}").format(size) if plan.is_estimate else size
    here = sum(each.is_here for each in plan.packages)
    if not here:
        return told
    return _tr("{}; {} of {} packages are here already").format(told, here, len(plan.packages))


def packages_words(plan: Plan) -> str:
    """The packages in words: geoseg, the largest ones, and how many more."""
    others = [each for each in plan.packages if each.name != "geoseg"]
    named = sorted(others, key=lambda each: -each.size)[:LARGEST]
    listed = ", ".join(f"{each.name} {each.version}" for each in named)
    more = len(others) - len(named)
    if more:
        return _tr("geoseg {} with {} and {} more").format(plan.version, listed, more)
    if named:
        return _tr("geoseg {} with {}").format(plan.version, listed)
    return f"geoseg {plan.version}"
