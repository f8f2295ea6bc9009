# SPDX-License-Identifier: GPL-2.0-or-later
"""The models to choose from, known at once from the last time and asked anew in the background."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from qgis.core import QgsSettings
from qgis.PyQt.QtCore import QObject, pyqtSignal

from . import settings
from .background import Background
from .engine import commands, process
from .fitting import ModelCard, card_from
from .words import translated as _tr

_KEY = "geoseg/models"


class Catalogue(QObject):
    """The shipped models of the engine.

    They are kept in the settings with the interpreter that told them: each version of the engine
    lies in an environment, and so under a path, of its own.
    """

    changed = pyqtSignal()
    file_read = pyqtSignal(object)
    file_refused = pyqtSignal(object)
    failed = pyqtSignal(object)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._background = Background()
        self.models: list[ModelCard] = []
        self._asked = ""

    def refresh(self) -> None:
        """Show what was known last, and ask the engine whether it still holds."""
        self._asked = ""
        try:
            python = self._asked = settings.engine_python()
        except Exception as error:  # each kind has a message of its own, made for the user
            self._show([])
            self._fail(error)
            return
        self._show(remembered(python))
        network = settings.network_environment()

        def done(told: Any, error: Exception | None) -> None:
            if python != self._asked:
                return  # it is late: another one was chosen, and asked
            if error is not None:
                self._fail(error)
            else:
                told = sorted(told, key=lambda each: is_demo(str(each["name"])))
                _remember(python, told)
                self._show(told)

        self._background.call(
            _tr("geoseg: list of models"),
            lambda task: process.ask(
                python,
                ["model", "list", "--json"],
                is_cancelled=task.isCanceled,
                environment=network,
            ),
            done,
        )

    def read_file(self, path: str) -> None:
        """Ask what a model file takes; `file_read` or `file_refused` tells."""

        def done(told: Any, error: Exception | None) -> None:
            if isinstance(error, process.Cancelled):
                return
            if error is not None:
                self.file_refused.emit(error)
            else:
                self.file_read.emit(card_from({**told, "path": path}))

        try:
            python = settings.engine_python()
        except Exception as error:  # as above
            self._fail(error)
            return
        network = settings.network_environment()
        arguments = commands.ModelInfo(path, brief=True).arguments()
        self._background.call(
            _tr("geoseg: reading a model"),
            lambda task: process.ask(
                python, arguments, is_cancelled=task.isCanceled, environment=network
            ),
            done,
        )

    def close(self) -> None:
        """Hand no more answers over."""
        self._background.forget_all()

    def _fail(self, error: Exception) -> None:
        if not isinstance(error, process.Cancelled):
            self.failed.emit(error)

    def _show(self, told: Sequence[Mapping[str, Any]]) -> None:
        models = [card_from(each) for each in told]
        if models != self.models:
            self.models = models
            self.changed.emit()


def is_demo(name: str) -> bool:
    """Whether a shipped model is for a demonstration, and knows nothing of real images."""
    return name.startswith("demo-")


def remembered(python: str = "") -> list[Mapping[str, Any]]:
    """Models that the engine told last; none where another interpreter than the one named did."""
    text = QgsSettings().value(_KEY, "")
    try:
        kept = json.loads(text) if text else {}
        return list(kept["models"]) if python in ("", kept.get("python")) else []
    except (ValueError, TypeError, KeyError, AttributeError):
        return []  # written by another version: asked anew


def _remember(python: str, told: Sequence[Mapping[str, Any]]) -> None:
    QgsSettings().setValue(_KEY, json.dumps({"python": python, "models": list(told)}))
