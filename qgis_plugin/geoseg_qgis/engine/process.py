# SPDX-License-Identifier: GPL-2.0-or-later
"""Starts the engine, listens to what it tells line by line, and ends it with all it started.

The engine is the command line of geoseg in a Python of its own. It inherits nothing of QGIS that
could lead it to QGIS's libraries, see `clean_environment`. Standard input stays open as long as the
engine is wanted: with ``--attached`` it takes the end of it for the end of QGIS, and stops.
"""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple, NoReturn, TextIO

from .home import Busy, in_use
from .job import Job
from .words import translated as _tr

__all__ = [
    "Cancelled",
    "EngineError",
    "Event",
    "ProcessGroup",
    "answer",
    "ask",
    "attached",
    "clean_environment",
    "run",
    "started",
]

Event = dict[str, Any]

GRACE = 1.5  # seconds to end in; a cancelled run is to be gone within 2
POLL = 0.1  # seconds of silence until a cancelled run is noticed
LEAVING = 10.0  # seconds that the engine may take to end after its work is done
PATIENCE = 180.0  # seconds for an answer: the virus scanner may look at each file of the engine
KEPT_LINES = 200  # of what it said last, for a report
KEPT_WIDTH = 2000  # characters of such a line
WAITING_LINES = 1000  # that nobody took yet; the engine waits when there are more
LONGEST = {"stdout": 1 << 24, "stderr": 1 << 14}  # characters; what has no line ends is cut there

MISLEADING = {
    "GDAL_DATA",
    "GDAL_DRIVER_PATH",
    "LD_LIBRARY_PATH",
    "LD_PRELOAD",
    "PROJ_DATA",
    "PROJ_LIB",
    "QT_PLUGIN_PATH",
}
MISLEADING_BEGINNINGS = ("DYLD_", "PYTHON", "QGIS_")
SYSTEM_FOLDERS = {Path("/usr"), Path("/usr/local")}

COMPLAINT = "geoseg: "

APART: dict[str, Any]
if sys.platform == "win32":
    # A window of its own would flash up otherwise; all three streams are pipes.
    APART = {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP | subprocess.CREATE_NO_WINDOW}
else:
    APART = {"start_new_session": True}


# Beside the program that takes the place of the shell, a second process waits for standard input to
# end. Nobody writes there, so it ends with QGIS; then the whole group ends, that process included.
ATTACHED = """exec 3<&0 </dev/null
{ read -r _; kill -KILL 0; } <&3 >/dev/null 2>&1 &
exec 3<&-
exec "$@"
"""


class Cancelled(Exception):  # noqa: N818  (the user's wish is no error)
    """The user stopped the run; nothing of it is left but what it can go on from."""


class EngineError(Exception):
    """The engine did not do what it was asked for.

    Parameters
    ----------
    message : str
        One line for the user: what happened, and what to do.
    kind : {"user", "internal", "missing", "killed"}
        Something to correct in what was asked for; a bug; no working engine; ended from outside.
    log : str
        The last lines that the engine said, for a report.
    """

    def __init__(self, message: str, kind: str, log: str = "") -> None:
        super().__init__(message)
        self.message, self.kind, self.log = message, kind, log


def run(
    python: str,
    arguments: Sequence[str],
    *,
    on_event: Callable[[Event], None],
    is_cancelled: Callable[[], bool],
    environment: Mapping[str, str] | None = None,
) -> Event:
    """Let the engine do something that takes a while.

    Parameters
    ----------
    python : str
        The engine's interpreter.
    arguments : sequence of str
        Command and options, as `geoseg_qgis.engine.commands` makes them.
    on_event : callable
        Is given what happens, in the caller's thread: events ``start``, ``progress`` and ``log`` of
        the engine, and ``{"event": "output", "text": line}`` for all else that it says.
    is_cancelled : callable
        Is asked at least every `POLL` seconds.
    environment : mapping, optional
        Variables besides those of `clean_environment`, such as HTTPS_PROXY.

    Returns
    -------
    dict
        The event ``done``.

    Raises
    ------
    EngineError
        When it cannot be started, fails, or is ended by somebody else.
    Cancelled
    """
    command, *rest = arguments
    # Before the command's own arguments, for those end with names of files.
    told = ["--attached", command, "--progress", "json", *rest]
    heard = _Heard()
    with _kept(python), started(*_engine(python, told, environment)) as engine:
        leave_at = float("inf")
        for line in engine.lines():
            if is_cancelled():
                raise Cancelled
            event = None if line is None else heard.take(line)
            if event is not None:
                on_event(event)
            if heard.done is not None:
                leave_at = min(leave_at, time.monotonic() + LEAVING)
            if time.monotonic() > leave_at:
                break
    if heard.error is None and heard.done is not None:
        return heard.done
    raise _failure(python, engine.status, heard)


def ask(
    python: str,
    arguments: Sequence[str],
    *,
    is_cancelled: Callable[[], bool],
    environment: Mapping[str, str] | None = None,
) -> Any:
    """Ask the engine for a document, such as ``doctor --json``.

    Parameters
    ----------
    python : str
        The engine's interpreter.
    arguments : sequence of str
        A command that prints one JSON document.
    is_cancelled, environment
        As of `run`.

    Returns
    -------
    object
        What the document holds.

    Raises
    ------
    EngineError, Cancelled
        As of `answer`.
    """
    with _kept(python):
        return answer(*_engine(python, ["--attached", *arguments], environment), is_cancelled)


def answer(
    command: Sequence[str], environment: Mapping[str, str], is_cancelled: Callable[[], bool]
) -> Any:
    """Hear the JSON document that a Python prints; its exit status does not matter.

    Parameters
    ----------
    command, environment
        As of `ProcessGroup`.
    is_cancelled : callable
        As of `run`.

    Raises
    ------
    EngineError
        When there is no document within `PATIENCE` seconds.
    Cancelled
    """
    python, heard = command[0], _Heard()
    printed, size = list[str](), 0
    give_up_at = time.monotonic() + PATIENCE
    with started(command, environment) as process:
        for line in process.lines():
            if is_cancelled():
                raise Cancelled
            if line is not None:
                heard.keep(line.text)
            if line is not None and line.stream == "stdout":
                printed.append(line.text)
                size += len(line.text)
            if time.monotonic() > give_up_at:
                told = _tr("{} did not answer within {:g} s; try again, or {}")
                told = told.format(python, PATIENCE, _remedy())
                raise EngineError(told, "missing", heard.log)
            if size > LONGEST["stdout"]:
                told = _tr("{} says more than geoseg would, so it is none; {}")
                raise EngineError(told.format(python, _remedy()), "missing", heard.log)
    with suppress(ValueError):
        return _document(printed)
    raise _failure(python, process.status, heard)


def clean_environment(environ: Mapping[str, str], additions: Mapping[str, str]) -> dict[str, str]:
    """Variables for a process that must not find QGIS's libraries, data and certificates.

    Left out are those that tell Python, PROJ, GDAL, Qt and the linker where to look, and what
    points into the folder of QGIS, also within lists such as PATH.

    Parameters
    ----------
    environ : mapping
        The variables of QGIS.
    additions : mapping
        More variables, which are taken as they are.
    """
    own = _folders_of_qgis(environ)
    kept = {}
    for name, value in environ.items():
        parts = [each for each in value.split(os.pathsep) if not _within(each, own)]
        if parts and name not in MISLEADING and not name.startswith(MISLEADING_BEGINNINGS):
            kept[name] = os.pathsep.join(parts)
    return {**kept, **additions}


def _folders_of_qgis(environ: Mapping[str, str]) -> set[Path]:
    """Where QGIS is installed, unless it shares the folder with others or with the user's files."""
    stated = [environ.get("OSGEO4W_ROOT"), environ.get("QGIS_PREFIX_PATH"), sys.prefix]
    named = {Path(each) for each in stated if each and os.path.isabs(each)}
    return {folder for each in named for folder in (each, _installation(each)) if _is_own(folder)}


def _installation(folder: Path) -> Path:
    """What a folder is a part of: QGIS.app on a Mac, and OSGeo4W, which has its parts in apps."""
    for each in (folder, *folder.parents):
        if each.suffix == ".app":
            return each
        if each.name == "apps":
            return each.parent
    return folder


def _is_own(folder: Path) -> bool:
    home = Path(os.path.expanduser("~"))
    holds_home = folder == home or folder in home.parents
    return not holds_home and folder != folder.parent and folder not in SYSTEM_FOLDERS


def _within(value: str, folders: set[Path]) -> bool:
    path = Path(value)
    return not folders.isdisjoint((path, *path.parents))


def attached(command: Sequence[str]) -> list[str]:
    """Let a command, run in a `ProcessGroup`, end with QGIS though it knows nothing of it.

    On Windows it does anyway, see `Job`.
    """
    if sys.platform == "win32":
        return list(command)
    return ["/bin/sh", "-c", ATTACHED, "geoseg", *command]


class ProcessGroup:
    """A process and all that it starts, which end together.

    Parameters
    ----------
    command : sequence of str
        Program and arguments.
    environment : mapping
        All its variables.

    Raises
    ------
    EngineError
        When there is no such program.
    """

    def __init__(self, command: Sequence[str], environment: Mapping[str, str]) -> None:
        try:
            self._process: subprocess.Popen[str] = subprocess.Popen(  # noqa: S603  (no shell, and a program of the user)
                list(command),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                cwd=_existing_folder(),
                env=dict(environment),
                encoding="utf-8",
                errors="replace",
                **APART,
            )
        except (OSError, ValueError) as error:
            _refuse(command[0], error)
        on_windows: Any = self._process  # where alone it has a handle
        self._job = Job(int(on_windows._handle)) if sys.platform == "win32" else None

    @property
    def streams(self) -> dict[str, Any]:
        """What the process writes to, by name."""
        return {"stdout": self._process.stdout, "stderr": self._process.stderr}

    @property
    def status(self) -> int | None:
        """Exit status of the process, negative for a signal; None while it runs."""
        status: int | None = self._process.poll()
        return status

    def end(self) -> None:
        """End what still runs: by a request, and by force if that takes longer than `GRACE`."""
        if sys.platform == "win32":
            self._kill_tree()
        else:
            if self.status is None:
                self._signal(signal.SIGTERM)
                self._wait()
            self._signal(signal.SIGKILL)
        self._wait()
        if self._job is not None:
            self._job.close()
        if self._process.stdin is not None:
            self._process.stdin.close()

    def _signal(self, number: int) -> None:
        # The group may be gone; macOS refuses where only zombies are left of it.
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, number)

    def _kill_tree(self) -> None:
        """Kill a tree of processes on Windows, which knows it as long as its root is there.

        A process without a console hears no request to end. What the engine has written is whole at
        any moment.
        """
        if self.status is None:
            system = os.environ.get("SYSTEMROOT", r"C:\Windows")
            taskkill = os.path.join(system, "System32", "taskkill.exe")
            with suppress(OSError, subprocess.TimeoutExpired):
                subprocess.run(  # noqa: S603  (no shell, and an absolute path)
                    [taskkill, "/PID", str(self._process.pid), "/T", "/F"],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    timeout=GRACE,
                    check=False,
                    **APART,
                )
            self._process.kill()

    def _wait(self) -> None:
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(GRACE)


class Line(NamedTuple):
    """What a process said, and where: on "stdout" or "stderr"."""

    stream: str
    text: str


class Listener:
    """Hears both streams of a process, so that neither is ever full."""

    def __init__(self, group: ProcessGroup) -> None:
        self._group = group
        self._said: queue.Queue[Line | None] = queue.Queue(WAITING_LINES)
        self._readers = [
            threading.Thread(target=self._read, args=stream, daemon=True)
            for stream in group.streams.items()
        ]
        for reader in self._readers:
            reader.start()

    @property
    def status(self) -> int | None:
        """As of `ProcessGroup`."""
        return self._group.status

    def lines(self) -> Iterator[Line | None]:
        """What is said until the process ends; None where nothing was for `POLL` seconds."""
        open_streams, ended, heard_at = len(self._readers), False, time.monotonic()
        while open_streams or self.status is None:
            if self.status is not None and not ended:
                self._group.end()  # else what it left behind may hold the streams open
                ended = True
            try:
                line = self._said.get(timeout=POLL)
            except queue.Empty:
                if ended and time.monotonic() > heard_at + GRACE:
                    return  # somebody outside the group holds them
                yield None
                continue
            heard_at = time.monotonic()
            if line is None:
                open_streams -= 1
            else:
                yield line

    def close(self) -> None:
        """Throw away what nobody will take, so that the readers come to their end."""
        give_up_at = time.monotonic() + GRACE
        while any(each.is_alive() for each in self._readers) and time.monotonic() < give_up_at:
            with suppress(queue.Empty):
                self._said.get(timeout=POLL / 10)

    def _read(self, name: str, stream: TextIO) -> None:
        try:
            with stream:
                for text in iter(lambda: stream.readline(LONGEST[name]), ""):
                    self._said.put(Line(name, text.rstrip("\n")))
        finally:
            self._said.put(None)


@contextmanager
def started(command: Sequence[str], environment: Mapping[str, str]) -> Iterator[Listener]:
    """Start a `ProcessGroup` and listen; whatever happens, nothing of it runs afterwards."""
    group = ProcessGroup(command, environment)
    listener = Listener(group)
    try:
        yield listener
    finally:
        group.end()
        listener.close()


def _engine(
    python: str, arguments: Sequence[str], additions: Mapping[str, str] | None
) -> tuple[list[str], dict[str, str]]:
    """Command and variables of the engine."""
    # -I: no variable, no user's packages and no file in the working folder changes what is loaded.
    command = [python, "-I", "-u", "-X", "utf8", "-m", "geoseg", *arguments]
    return command, clean_environment(os.environ, additions or {})


@contextmanager
def _kept(python: str) -> Iterator[None]:
    """See that the engine is not removed meanwhile."""
    with ExitStack() as held:
        try:
            held.enter_context(in_use(python))
        except Busy as busy:
            raise EngineError(str(busy), "missing") from busy
        yield


def _existing_folder() -> str:
    """The engine's libraries fail in a working folder that was deleted, as that of QGIS may be."""
    home = os.path.expanduser("~")
    return home if os.path.isdir(home) else tempfile.gettempdir()


def _refuse(program: str, error: Exception) -> NoReturn:
    reason = getattr(error, "strerror", None) or str(error)
    told = _tr("{} cannot be started as a Python ({}); {}").format(program, reason, _remedy())
    raise EngineError(told, "missing") from error


def _remedy() -> str:
    return _tr("choose another in the settings of geoseg, or let them install one")


class _Heard:
    """What the engine said so far, as far as it matters for the end."""

    def __init__(self) -> None:
        self.spoke = False
        self.done: Event | None = None
        self.error: Event | None = None
        self._kept: deque[str] = deque(maxlen=KEPT_LINES)

    @property
    def log(self) -> str:
        """The last lines."""
        return "\n".join(self._kept)

    @property
    def last(self) -> str:
        """The last line that says something; empty where there is none."""
        return next((each.strip() for each in reversed(self._kept) if each.strip()), "")

    @property
    def complaint(self) -> str:
        """How it says without ``--progress json`` that it fails; empty where it does not."""
        told = [each for each in self._kept if each.startswith(COMPLAINT)]
        return told[-1][len(COMPLAINT) :] if told else ""

    def keep(self, text: str) -> None:
        """Keep a line for the log."""
        self._kept.append(text[:KEPT_WIDTH])

    def take(self, line: Line) -> Event | None:
        """Hear a line; return what happened, unless it is the end."""
        event = _as_event(line)
        self.spoke = self.spoke or event["event"] != "output"
        if event["event"] == "done":
            self.done = event
            return None
        if event["event"] == "error":
            self.error = event
            return None
        if event["event"] == "output":
            self.keep(event["text"])
        elif event["event"] == "log":
            self.keep(f"{event.get('level')}: {event.get('message')}")
        return event


def _as_event(line: Line) -> Event:
    """An event of the engine; what its libraries print is one as well."""
    if line.stream == "stdout":
        with suppress(ValueError, RecursionError):
            event = json.loads(line.text)
            if isinstance(event, dict) and isinstance(event.get("event"), str):
                return event
    return {"event": "output", "text": line.text}


def _document(printed: Sequence[str]) -> Any:
    """The JSON that some lines end with; packages may print greetings before it."""
    for start, text in enumerate(printed):
        if text.startswith(("{", "[")):
            with suppress(ValueError):
                return json.loads("\n".join(printed[start:]))
    raise ValueError("there is no JSON document")


def _failure(python: str, status: int | None, heard: _Heard) -> EngineError:
    """Why there is no result."""
    message, kind = _reason(python, status, heard)
    return EngineError(message, kind, heard.log)


def _reason(python: str, status: int | None, heard: _Heard) -> tuple[str, str]:
    """One line for the user, and the kind."""
    if heard.error is not None:
        kind = "internal" if heard.error.get("kind") == "internal" else "user"
        return str(heard.error.get("message")), kind
    if status is not None and _was_killed(status):
        return _why_killed(status), "killed"
    if heard.complaint:
        return heard.complaint, "internal" if status == 1 else "user"
    if heard.last.endswith("No module named geoseg"):
        return _tr("the Python {} has no geoseg; {}").format(python, _remedy()), "missing"
    ended = _tr("status {}").format(status) + (f" ({heard.last})" if heard.last else "")
    if not heard.spoke:
        told = _tr("{} is no Python with a working geoseg: it ended with {}; {}")
        return told.format(python, ended, _remedy()), "missing"
    told = _tr(
        "the engine ended with {} before it was done; run it again, and report the diagnostics if "
        "that does not help"
    )
    return told.format(ended), "internal"


def _was_killed(status: int) -> bool:
    """Whether a signal ended it, or on Windows one of the errors that have such high numbers."""
    return status < 0 or status >= 0xC0000000


def _why_killed(status: int) -> str:
    if status == -9:
        return _tr(
            "the engine was killed (SIGKILL), most likely because memory ran out; close other "
            "programs, or give it less memory or a smaller extent, and run it again"
        )
    if status == -15:
        return _tr("the engine was ended by somebody else (SIGTERM); run it again to go on")
    name = signal.strsignal(-status) if status < 0 else _tr("error {:#x}").format(status)
    return _tr(
        "the engine crashed ({}); run it again, and if that does not help install it anew in the "
        "settings of geoseg"
    ).format(name)
