# SPDX-License-Identifier: GPL-2.0-or-later
"""What an algorithm says, kept; and what must not be kept."""

from __future__ import annotations

from typing import Any

from qgis.core import QgsProcessingFeedback
from qgis.PyQt import sip


class Heard(QgsProcessingFeedback):
    """Keeps what an algorithm says."""

    def __init__(self) -> None:
        super().__init__(False)
        self.infos: list[str] = []
        self.warnings: list[str] = []
        self.errors: list[str] = []
        self.texts: list[str] = []
        self.console: list[str] = []
        self.percents: list[float] = []
        self.progressChanged.connect(self.percents.append)

    def pushInfo(self, info: str) -> None:  # noqa: N802
        self.infos.append(info)

    def pushWarning(self, warning: str) -> None:  # noqa: N802
        self.warnings.append(warning)

    def reportError(self, error: str, fatalError: bool = False) -> None:  # noqa: N802, N803
        self.errors.append(error)

    def setProgressText(self, text: str) -> None:  # noqa: N802
        self.texts.append(text)

    def pushConsoleInfo(self, info: str) -> None:  # noqa: N802
        self.console.append(info)


def forget(thing: Any) -> None:
    """Delete what QGIS must not find when it has ended; pytest keeps the last test's fixtures."""
    if not sip.isdeleted(thing):
        sip.delete(thing)
