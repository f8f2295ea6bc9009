# SPDX-License-Identifier: GPL-2.0-or-later
"""Messages that stay where they matter, beside the controls they are about."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Callable

from qgis.core import QgsApplication
from qgis.PyQt.QtCore import Qt
from qgis.PyQt.QtGui import QPalette
from qgis.PyQt.QtWidgets import (
    QComboBox,
    QFrame,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from .fitting import NOTE, STOP, WARNING, Finding
from .words import finding_in_words

DONE = "done"

# Background, border and text together: readable on a light theme and on a dark one.
_LOOKS = {
    STOP: ("#fbe3e1", "#d9837c", "/mIconCritical.svg"),
    WARNING: ("#fff3d1", "#e0bf66", "/mIconWarning.svg"),
    NOTE: ("#e6eff8", "#9dbbd8", "/mIconInfo.svg"),
    DONE: ("#e3f2e4", "#93c197", "/mIconSuccess.svg"),
}
_ICON = 16
_FAINT = 150  # of 255: grey on a light theme and on a dark one


class Notice(QFrame):
    """An icon, a sentence or two, and maybe buttons below."""

    def __init__(self, severity: str, text: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.severity, self.text = severity, text
        background, border, icon = _LOOKS[severity]
        self.setObjectName("geosegNotice")
        self.setStyleSheet(
            f"#geosegNotice {{ background: {background}; border: 1px solid {border}; "
            "border-radius: 3px; } #geosegNotice QLabel { color: #222222; }"
        )
        picture = QLabel()
        picture.setPixmap(QgsApplication.getThemeIcon(icon).pixmap(_ICON, _ICON))
        picture.setAlignment(Qt.AlignmentFlag.AlignTop)
        label = QLabel(text)
        label.setWordWrap(True)
        label.setTextFormat(Qt.TextFormat.PlainText)
        label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        label.setMinimumWidth(1)
        row = QHBoxLayout()
        row.setSpacing(6)
        row.addWidget(picture)
        row.addWidget(label, 1)
        self._buttons = QHBoxLayout()
        self._buttons.setContentsMargins(_ICON + 6, 0, 0, 0)
        self._buttons.addStretch(1)
        column = QVBoxLayout(self)
        column.setContentsMargins(7, 6, 7, 6)
        column.addLayout(row)
        column.addLayout(self._buttons)

    def add_button(self, text: str, pressed: Callable[[], None]) -> QPushButton:
        """Offer what to do about it."""
        button = QPushButton(text)
        button.clicked.connect(lambda _checked=False: pressed())
        self._buttons.insertWidget(self._buttons.count() - 1, button)
        return button


class Notices(QWidget):
    """A column of notices; without any it takes no room."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._column = QVBoxLayout(self)
        self._column.setContentsMargins(0, 0, 0, 0)
        self._column.setSpacing(4)
        self._shown: Sequence[Finding] = ()
        self.hide()

    def show_findings(self, findings: Sequence[Finding]) -> None:
        """Show these, and no others."""
        if list(findings) == list(self._shown):
            return
        self.clear()
        self._shown = list(findings)
        for each in findings:
            self.add(Notice(each.severity, finding_in_words(each)))

    def add(self, notice: Notice) -> Notice:
        """Show one more."""
        self._column.addWidget(notice)
        self.show()
        return notice

    def clear(self) -> None:
        """Show none."""
        self._shown = ()
        while self._column.count():
            widget = self._column.takeAt(0).widget()
            if widget is not None:
                widget.hide()
                widget.deleteLater()
        self.hide()

    def texts(self) -> Sequence[str]:
        """What is shown."""
        items = (self._column.itemAt(index).widget() for index in range(self._column.count()))
        return [each.text for each in items if isinstance(each, Notice)]


def shrinking(box: QComboBox) -> QComboBox:
    """Let a choice be narrower than its entries, which are cut short then."""
    box.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
    box.setMinimumContentsLength(8)
    return box


def quiet(label: QLabel) -> QLabel:
    """Make a label wrap, and stand back behind the controls it explains."""
    label.setWordWrap(True)
    label.setTextFormat(Qt.TextFormat.PlainText)
    label.setMinimumWidth(1)
    palette = label.palette()
    text = palette.color(QPalette.ColorRole.WindowText)
    text.setAlpha(_FAINT)
    palette.setColor(QPalette.ColorRole.WindowText, text)
    label.setPalette(palette)
    return label
