# SPDX-License-Identifier: GPL-2.0-or-later
"""Work beside the window: a function in a thread of QGIS' task manager, its result in the GUI."""

from __future__ import annotations

from typing import Any, Callable, Optional

from qgis.core import QgsApplication, QgsTask

from .engine.process import Cancelled

Done = Callable[[Any, Optional[Exception]], None]


class _Call(QgsTask):
    """One call of one function.

    Parameters
    ----------
    title : str
        What the bar of tasks shows.
    function : callable
        Called in a thread.
    done : callable
        Called in the window's, with what the function returned or raised.
    stop : callable, optional
        Makes the function return early, when somebody cancels the task.
    """

    def __init__(
        self,
        title: str,
        function: Callable[[], Any],
        done: Done,
        stop: Callable[[], None] | None = None,
    ) -> None:
        super().__init__(title, QgsTask.Flag.CanCancel)
        self._stop = stop
        self._function = function
        self._done: Done | None = done
        self._result: Any = None
        self._error: Exception | None = Cancelled()  # before it began

    def run(self) -> bool:
        """Call the function; what it raises is handed on, for the caller knows what it means."""
        try:
            self._result = self._function()
            self._error = None
        except Exception as error:
            self._error = error
        return True

    def finished(self, result: bool) -> None:
        """Hand over the result, in the thread of the window."""
        done, self._done = self._done, None
        if done is not None:
            done(self._result, self._error)

    def cancel(self) -> None:
        """Ask the function to return; what it then raises is handed over as always."""
        if self._stop is not None:
            self._stop()
        super().cancel()

    def forget(self) -> None:
        """Whoever asked is gone."""
        self._done = None
        self.cancel()


class Background:
    """Calls functions in the background for one owner, and forgets them when it goes."""

    def __init__(self) -> None:
        self._calls: list[_Call] = []

    def call(
        self,
        title: str,
        function: Callable[[], Any],
        done: Done,
        stop: Callable[[], None] | None = None,
    ) -> None:
        """Call `function` in a thread, then `done(result, error)` in this one; see `_Call`."""

        def finish(result: Any, error: Exception | None) -> None:
            self._calls.remove(call)
            done(result, error)

        call = _Call(title, function, finish, stop)
        self._calls.append(call)
        QgsApplication.taskManager().addTask(call)

    def forget_all(self) -> None:
        """Hand no more results over."""
        for call in self._calls:
            call.forget()
        self._calls.clear()
