"""What the terminal sees: events as a bar or as JSON lines, messages, and stopping by signal."""

from __future__ import annotations

import json
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from types import FrameType, TracebackType
from typing import Any, NoReturn, TextIO

__all__ = ["Console", "Stopped", "stop_on_signals"]

LONGEST = 1000  # characters of a message: some are about values of any length
GRACE = 1.0  # seconds until a stop is forced; what is on disk is whole at any moment

Event = dict[str, Any]


class Stopped(BaseException):
    """A signal asked to stop; the run can be taken up again."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.status = 128 + number


@contextmanager
def stop_on_signals(leave: Callable[[int], object]) -> Iterator[None]:
    """Turn SIGINT and SIGTERM into `Stopped`, and end the process if that takes too long.

    A compiled call (a network at work, GDAL building overviews) cannot be interrupted. Outputs are
    put in place whole and blocks are kept whole, so leaving at once costs one block of work.

    Parameters
    ----------
    leave : callable
        Ends the process with a status. It has `GRACE` seconds, too.
    """

    def force(status: int) -> None:
        _later(os._exit, status)
        leave(status)

    def stop(number: int, frame: FrameType | None) -> None:
        _later(force, 128 + number)
        raise Stopped(number)

    previous = {each: signal.signal(each, stop) for each in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for each, handler in previous.items():
            signal.signal(each, handler)


def _later(function: Callable[[int], object], status: int) -> None:
    timer = threading.Timer(GRACE, function, [status])
    timer.daemon = True
    timer.start()


class Console:
    """Shows events and messages.

    Parameters
    ----------
    mode : {"auto", "bar", "json", "none"}
        ``auto`` is a bar on a terminal, and messages only elsewhere. With ``json`` standard output
        holds nothing but one JSON object a line.
    level : int
        As `logging` counts: messages of less weight are not shown. Above ``INFO``, ``auto`` is no
        bar.

    Attributes
    ----------
    scene : str
        What messages of the library are about, in a batch; empty where that goes without saying.
    """

    def __init__(self, mode: str, level: int = logging.INFO) -> None:
        wanted = sys.stderr.isatty() and level <= logging.INFO
        self.mode = ("bar" if wanted else "none") if mode == "auto" else mode
        self.level = level
        self.scene = ""
        self._bar: Any = None
        self._stdout: TextIO = sys.stdout

    def __enter__(self) -> Console:
        self._handler = _Messages(self)
        logging.getLogger("geoseg").addHandler(self._handler)
        logging.getLogger("geoseg").setLevel(self.level)
        if self.mode == "json":
            sys.stdout = sys.stderr  # what libraries print must not break the lines
        if self.mode == "bar":
            self._bar = _Bar()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Leave terminal and logging as they were."""
        logging.getLogger("geoseg").removeHandler(self._handler)
        sys.stdout = self._stdout
        if self._bar is not None:
            self._bar.close()

    def leave(self, status: int) -> NoReturn:
        """End the process at once: what is on disk is whole, nothing else is worth waiting for."""
        self.close()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)

    def event(self, event: Event) -> None:
        """Show what happens."""
        if self.mode == "json":
            self._stdout.write(f"{json.dumps(event)}\n")  # at once, for several threads tell
            self._stdout.flush()
        elif self._bar is not None and event["event"] in ("start", "progress"):
            self._bar.show(event)

    def message(self, text: str, level: str = "info") -> None:
        """Show one line, unless it weighs too little."""
        if logging.getLevelNamesMapping()[level.upper()] < self.level:
            return
        text = one_line(text)
        if self.mode == "json":
            self.event({"event": "log", "level": level, "message": text})
        else:
            prefix = "" if level == "info" else f"{level}: "
            print(f"{prefix}{text}", file=sys.stderr, flush=True)

    def error(self, text: str, kind: str, scene: str = "") -> None:
        """Show why the command fails, or one scene of a batch, which goes on."""
        text = one_line(text)
        if self.mode == "json":
            about = {"scene": scene} if scene else {}
            self.event({"event": "error", "kind": kind, **about, "message": text})
            if scene:
                return
        print(f"geoseg: {text}", file=sys.stderr, flush=True)

    def result(self, text: str) -> None:
        """Show what the user asked for."""
        if self.mode == "json":
            print(text, file=sys.stderr, flush=True)
        else:
            print(text, flush=True)


def one_line(text: str) -> str:
    """What a terminal shows in one line, whatever a file had as a name: no control characters."""
    plain = "".join(each if each.isprintable() else " " for each in text)
    return (
        plain if len(plain) <= LONGEST else f"{plain[: LONGEST // 2]} ... {plain[-LONGEST // 2 :]}"
    )


class _Messages(logging.Handler):
    """Hands what the library logs to the console."""

    def __init__(self, console: Console) -> None:
        super().__init__()
        self._console = console

    def emit(self, record: logging.LogRecord) -> None:
        text, scene = record.getMessage(), self._console.scene
        about = f"{scene}: " if scene not in text else ""
        self._console.message(f"{about}{text}", record.levelname.lower())


class _Bar:
    """One bar over everything, on standard error."""

    def __init__(self) -> None:
        from rich.console import Console as Rich
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeElapsedColumn,
        )

        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[speed]}"),
            TimeElapsedColumn(),
            _time_left(),
            console=Rich(stderr=True),
        )
        self._progress.start()
        self._task = self._progress.add_task("starting", total=None, speed="", left=None)

    def show(self, event: Event) -> None:
        if chosen := event.get("chosen"):
            self._progress.console.print(
                "windows of {} x {} pixels in blocks of {} x {}, {batch} at a time, {blend}, "
                "{precision}".format(*chosen["window"], *chosen["block"], **chosen),
                highlight=False,
            )
        self._progress.update(
            self._task,
            description=event.get("scene", event.get("unit", "working")),
            total=event["total"],
            completed=event.get("done", 0),
            speed=_speed(event),
            left=event.get("eta_s"),
            # A message that comes next is put above the bar as it was drawn last.
            refresh=event.get("done") == event["total"],
        )

    def close(self) -> None:
        self._progress.stop()


def _speed(event: Event) -> str:
    """How fast it goes, or how well: the loss and the last score on validation scenes."""
    if "loss" in event:
        score = event.get("miou")
        return f"loss {event['loss']:.4g}" + ("" if score is None else f"  mIoU {score:.3f}")
    return f"{event['mpx_per_s']:.2f} Mpx/s" if "mpx_per_s" in event else ""


def _time_left() -> Any:
    """A column of the time left, as it was told."""
    from rich.progress import ProgressColumn, Task
    from rich.text import Text

    class TimeLeft(ProgressColumn):
        def render(self, task: Task) -> Text:
            left = task.fields["left"]
            told = "-:--:--" if left is None else str(timedelta(seconds=round(left)))
            return Text(told, style="progress.remaining")

    return TimeLeft()
