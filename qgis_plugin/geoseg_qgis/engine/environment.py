# SPDX-License-Identifier: GPL-2.0-or-later
"""Where engines lie, which of them is used, and whether it works."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from .home import data_folder, write_wholly
from .process import EngineError, answer, ask, clean_environment
from .words import translated as _tr

__all__ = [
    "Engine",
    "EngineMissing",
    "Interpreter",
    "NeverInstalled",
    "Pointer",
    "Report",
    "check",
    "chosen_python",
    "interpreter_in",
    "look_at",
    "read_pointer",
    "write_pointer",
]

ACCEPTED = (0, 1)  # an engine of this major and minor version speaks the language of this plugin
LEAST_PYTHON = (3, 11)

_PROBE = """
import json, sys
facts = {"version": list(sys.version_info[:3]), "executable": sys.executable,
         "is_64_bit": sys.maxsize > 2**32, "geoseg": None}
try:
    from importlib.metadata import version
    facts["geoseg"] = version("geoseg")
except Exception:
    pass
print(json.dumps(facts))
"""


IsCancelled = Callable[[], bool]


class EngineMissing(Exception):  # noqa: N818  (a state to be mended, and its agreed name)
    """There is no engine that can be used; the text says why and what to do."""

    def __init__(self, message: str, log: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.log = log


class NeverInstalled(EngineMissing):
    """Nobody has chosen or installed an engine yet."""


@dataclass(frozen=True)
class Interpreter:
    """A Python that was asked about itself.

    Attributes
    ----------
    path : str
        The interpreter itself, where the asked file only starts it (as pyenv's do).
    version : tuple of int
        Three numbers.
    is_64_bit : bool
        There is no PyTorch for others.
    geoseg : str or None
        The version of geoseg it has.
    """

    path: str
    version: tuple[int, ...]
    is_64_bit: bool
    geoseg: str | None


@dataclass(frozen=True)
class Report:
    """What an engine says about itself.

    Attributes
    ----------
    python, version, device : str
        The interpreter, the version of geoseg, and the device it would use.
    ok : bool
        Whether there are no problems at all.
    problems : tuple of str
        Each with its remedy, one line each.
    facts : dict
        Everything that ``geoseg doctor --json`` tells.
    """

    python: str
    version: str
    device: str
    ok: bool
    problems: tuple[str, ...]
    facts: Mapping[str, Any] = field(default_factory=dict)

    @property
    def is_usable(self) -> bool:
        """Whether every package loads and coordinate systems are found."""
        versions = self.facts.get("versions") or {"": None}
        return (
            None not in versions.values()
            and bool(self.facts.get("projections"))
            and bool(self.facts.get("devices"))
        )


@dataclass(frozen=True)
class Engine:
    """An installed engine: its interpreter, the version of geoseg, and its folder."""

    python: str
    version: str
    folder: str


@dataclass(frozen=True)
class Pointer:
    """The engine in use and the one before it."""

    current: Engine
    previous: Engine | None = None


def _pointer_file() -> Path:
    return data_folder() / "env.json"


def read_pointer() -> Pointer | None:
    """Return which engine is installed; None when there is none, or its record cannot be read."""
    try:
        told = json.loads(_pointer_file().read_text(encoding="utf-8"))
        previous = told.get("previous")
        return Pointer(Engine(**told["current"]), Engine(**previous) if previous else None)
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None


def write_pointer(pointer: Pointer) -> None:
    """Switch to another engine."""
    write_wholly(_pointer_file(), json.dumps(asdict(pointer), indent=1))


def interpreter_in(path: str) -> str:
    """Return the interpreter that a path means: the file, or the one in a folder of an environment.

    Raises
    ------
    EngineMissing
        When there is none. A program of another name is never started: on Windows and macOS the
        file that Python calls its own inside QGIS is QGIS, and would open a second one.
    """
    if os.path.isdir(path):
        inside = ("bin/python3", "bin/python", "Scripts/python.exe", "python.exe")
        found = [os.path.join(path, each) for each in inside]
        existing = [each for each in found if os.path.isfile(each)]
        if not existing:
            raise EngineMissing(
                _tr(
                    "there is no Python in the folder {}; choose the interpreter of an environment "
                    "that has geoseg"
                ).format(path)
            )
        return os.path.normpath(existing[0])
    if not os.path.isfile(path):
        raise EngineMissing(
            _tr("{} does not exist; choose an existing Python that has geoseg").format(path)
        )
    if not re.match(r"(?i)python[\d.]*w?(\.exe)?$", os.path.basename(path)):
        raise EngineMissing(
            _tr(
                "{} is no Python interpreter; choose a file called python, python3 or python.exe"
            ).format(path)
        )
    return path


def chosen_python(setting: str) -> str:
    """Return the interpreter of the engine.

    Parameters
    ----------
    setting : str
        What the user chose; empty when nothing. The environment variable ``GEOSEG_PYTHON`` goes
        before it, the engine that the plugin installed comes after it.

    Raises
    ------
    EngineMissing
        When there is none, or the one that is asked for does not exist.
    """
    asked = os.environ.get("GEOSEG_PYTHON")
    if asked:
        return _existing(asked, _tr("the environment variable GEOSEG_PYTHON"))
    if setting:
        return _existing(setting, _tr("the setting 'Use an existing Python'"))
    pointer = read_pointer()
    if pointer is None:
        raise NeverInstalled(
            _tr(
                "geoseg is not installed yet; open Settings > Options > geoseg and install it, or "
                "choose a Python that has it"
            )
        )
    return _existing(pointer.current.python, _tr("the installed engine"))


def _existing(path: str, source: str) -> str:
    try:
        return interpreter_in(path)
    except EngineMissing as error:
        raise EngineMissing(f"{source}: {error}") from error


def look_at(python: str, is_cancelled: IsCancelled) -> Interpreter:
    """Ask an interpreter for its version and whether it has geoseg; takes a fraction of a second.

    Raises
    ------
    EngineMissing
        When it is no Python 3, or does not start.
    Cancelled
    """
    path = interpreter_in(python)
    try:
        command = [path, "-I", "-c", _PROBE]
        facts = answer(command, clean_environment(os.environ, {}), is_cancelled)
        return Interpreter(
            facts["executable"] or path,
            tuple(facts["version"]),
            facts["is_64_bit"],
            facts["geoseg"],
        )
    except EngineError as error:
        raise EngineMissing(str(error), error.log) from error
    except (KeyError, TypeError) as error:
        raise EngineMissing(
            _tr("{} does not answer as a Python 3 does; choose another Python").format(path)
        ) from error


def check(
    python: str, is_cancelled: IsCancelled, environment: Mapping[str, str] | None = None
) -> Report:
    """Ask an engine whether it works, by ``geoseg doctor``; takes some seconds.

    Parameters
    ----------
    python : str
        Interpreter, or the folder of an environment.
    is_cancelled : callable
        Is asked some times a second.
    environment : mapping, optional
        Variables to add, as `settings.network_environment` gives them.

    Returns
    -------
    Report
        Its problems are in it; only what cannot work at all is raised.

    Raises
    ------
    EngineMissing
        When it is no Python, too old, has no geoseg, or one that this plugin cannot talk to.
    Cancelled
    """
    path = interpreter_in(python)
    _refuse_unsuitable(path, look_at(path, is_cancelled))
    try:
        question = ["doctor", "--json"]
        facts = ask(path, question, is_cancelled=is_cancelled, environment=environment)
    except EngineError as error:
        raise EngineMissing(
            _tr(
                "geoseg in {} does not work: {}; install it again, or choose another Python"
            ).format(path, error),
            error.log,
        ) from error
    devices = facts.get("devices") or [{"name": "unknown"}]
    return Report(
        python=path,
        version=facts["geoseg"],
        device=devices[-1].get("model") or devices[-1]["name"],
        ok=bool(facts["ok"]),
        problems=tuple(f"{each['what']}; {each['remedy']}" for each in facts["problems"]),
        facts=facts,
    )


def _refuse_unsuitable(path: str, found: Interpreter) -> None:
    wanted = ".".join(str(number) for number in ACCEPTED)
    least = ".".join(str(number) for number in LEAST_PYTHON)
    version = ".".join(str(number) for number in found.version)
    if found.version[:2] < LEAST_PYTHON:
        raise EngineMissing(
            _tr("{} is Python {}, geoseg needs {} or newer; choose a newer Python").format(
                path, version, least
            )
        )
    if found.geoseg is None:
        raise EngineMissing(
            _tr(
                "{} has no geoseg; install it there (pip install geoseg), or choose another Python"
            ).format(path)
        )
    if not is_accepted(found.geoseg):
        numbers = _numbers(found.geoseg)
        advice = _tr("update geoseg there") if numbers < ACCEPTED else _tr("update this plugin")
        raise EngineMissing(
            _tr("{} has geoseg {}, this plugin works with {}.x; {}").format(
                path, found.geoseg, wanted, advice
            )
        )


def is_accepted(version: str) -> bool:
    """Whether this plugin can talk to an engine of this version."""
    return _numbers(version) == ACCEPTED


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", version)[:2])
