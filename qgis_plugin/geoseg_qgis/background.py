# SPDX-License-Identifier: GPL-2.0-or-later
"""Work beside the window: a function in a thread of QGIS' task manager, its result in the GUI."""

from __future__ import annotations

from typing import Any, Callable, Optional

from qgis.core import QgsApplication, QgsTask

from .engine.process import Cancelled

Function = Callable[[QgsTask], Any]
Done = Callable[[Any, Optional[Exception]], None]


class _Call(QgsTask):
    """One call of one function; see `Background.call`."""

    def __init__(self, title: str, function: Function, done: Done) -> None:
        super().__init__(title, QgsTask.Flag.CanCancel)
        self._function = function
        self._done: Done | None = done
        self._result: Any = None
        self._error: Exception | None = Cancelled()  # before it began

    def run(self) -> bool:
        """Call the function; what it raises is handed on, for the caller knows what it means."""
        try:
            self._result = self._function(self)
            self._error = None
        except Exception as error:
            self._error = error
        return self._error is None

    def finished(self, result: bool) -> None:
        """Hand over the result, in the thread of the window."""
        done, self._done = self._done, None
        if done is not None:
            done(self._result, self._error)

    def forget(self) -> None:
        """Whoever asked is gone."""
        self._done = None
        self.cancel()


class Background:
    """Calls functions in the background for one owner, and forgets them when it goes."""

    def __init__(self) -> None:
        self._calls: list[_Call] = []

    def call(self, title: str, function: Function, done: Done) -> None:
        """Call a function in a thread, then hand over what came of it.

        Parameters
        ----------
        title : str
            What the bar of tasks shows.
        function : callable
            Called in a thread with its task, which takes its progress and tells by `isCanceled`
            whether to return early.
        done : callable
            Called in this thread with result and error; the latter is `Cancelled` when somebody
            cancelled the task before it began.
        """

        def finish(result: Any, error: Exception | None) -> None:
            self._calls.remove(call)
            done(result, error)

        call = _Call(title, function, finish)
        self._calls.append(call)
        QgsApplication.taskManager().addTask(call)

    def cancel(self) -> None:
        """Ask all functions to return."""
        for call in list(self._calls):
            call.cancel()

    def forget_all(self) -> None:
        """Ask all functions to return, and hand no more results over."""
        for call in self._calls:
            call.forget()
        self._calls.clear()
