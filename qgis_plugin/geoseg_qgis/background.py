# SPDX-License-Identifier: GPL-2.0-or-later
"""Work beside the window: a function in a thread of QGIS' task manager, its result in the GUI."""

from __future__ import annotations

from typing import Any, Callable, Optional

from qgis.core import QgsApplication, QgsTask

Done = Callable[[Any, Optional[Exception]], None]


class _Call(QgsTask):
    """One call of one function."""

    def __init__(self, title: str, function: Callable[[], Any], done: Done) -> None:
        super().__init__(title, QgsTask.Flag.CanCancel)
        self._function = function
        self._done: Done | None = done
        self._result: Any = None
        self._error: Exception | None = None

    def run(self) -> bool:
        """Call the function; what it raises is handed on, for the caller knows what it means."""
        try:
            self._result = self._function()
        except Exception as error:
            self._error = error
        return True

    def finished(self, result: bool) -> None:
        """Hand over the result, in the thread of the window."""
        if self._done is not None and not self.isCanceled():
            self._done(self._result, self._error)
        self._done = None

    def forget(self) -> None:
        """Whoever asked is gone."""
        self._done = None
        self.cancel()


class Background:
    """Calls functions in the background for one owner, and forgets them when it goes."""

    def __init__(self) -> None:
        self._calls: list[_Call] = []

    def call(self, title: str, function: Callable[[], Any], done: Done) -> None:
        """Call `function` in a thread, then `done(result, error)` in this one."""

        def finish(result: Any, error: Exception | None) -> None:
            self._calls.remove(call)
            done(result, error)

        call = _Call(title, function, finish)
        self._calls.append(call)
        QgsApplication.taskManager().addTask(call)

    def is_busy(self) -> bool:
        """Whether something is under way."""
        return bool(self._calls)

    def forget_all(self) -> None:
        """Hand no more results over."""
        for call in self._calls:
            call.forget()
        self._calls.clear()
