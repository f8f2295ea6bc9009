# SPDX-License-Identifier: GPL-2.0-or-later
"""The program uv, which makes environments: where it comes from, and how it is run."""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from .failures import Failure, InstallationFailed, classify, without_secrets
from .home import data_folder
from .index import File, Index, Web
from .process import Cancelled, EngineError, Line, attached, clean_environment, started
from .words import translated as _tr

__all__ = ["Uv", "obtain_uv"]

LEAST = (0, 8)  # knows the format of the list that a plan is, and --torch-backend
PROGRAM = "uv.exe" if sys.platform == "win32" else "uv"
LARGEST = 300_000_000  # bytes; uv has 40 MB

# Variables that would lead uv to another environment, or change what a finished list holds.
_LEADING_ASTRAY = {
    "CONDA_PREFIX",
    "UV_BREAK_SYSTEM_PACKAGES",
    "UV_PROJECT",
    "UV_PROJECT_ENVIRONMENT",
    "UV_PYTHON",
    "UV_SYSTEM_PYTHON",
    "UV_TORCH_BACKEND",
    "UV_WORKING_DIR",
    "VIRTUAL_ENV",
}

IsCancelled = Callable[[], bool]


class Uv:
    """Runs uv.

    Parameters
    ----------
    program : str
        Path of uv.
    index : Index
        Where packages come from.
    environment : mapping
        Variables to add, such as proxies.
    log : list of str
        Gets each command and each line it prints, without secrets.
    """

    def __init__(
        self, program: str, index: Index, environment: Mapping[str, str], log: list[str]
    ) -> None:
        self.program = program
        self._log = log
        folder = data_folder()
        variables = clean_environment(os.environ, {**environment, **index.variables()})
        own = {
            "UV_CACHE_DIR": str(folder / "cache"),
            "UV_PYTHON_INSTALL_DIR": str(folder / "pythons"),
            "UV_NO_PROGRESS": "1",
            "NO_COLOR": "1",
        }
        self._variables = {
            **{name: value for name, value in variables.items() if name not in _LEADING_ASTRAY},
            **own,
        }

    def run(
        self,
        arguments: Sequence[str],
        is_cancelled: IsCancelled,
        *,
        on_poll: Callable[[], None] = lambda: None,
        without: Sequence[str] = (),
    ) -> str:
        """Run a command to its end; return what it wrote on standard output.

        Parameters
        ----------
        arguments : sequence of str
            Command and options.
        is_cancelled, on_poll : callable
            Are called some times a second.
        without : sequence of str
            Variables that this command must not see.

        Raises
        ------
        Cancelled
            Nothing of it runs any more.
        InstallationFailed
            When it fails; what it printed is classified.
        """
        self._log.append(f"$ uv {' '.join(arguments)}")
        begin = len(self._log)
        variables = {name: text for name, text in self._variables.items() if name not in without}
        printed: list[str] = []
        try:
            with started(attached([self.program, *arguments]), variables) as process:
                for line in process.lines():
                    if is_cancelled():
                        raise Cancelled
                    on_poll()
                    self._take(line, printed)
        except EngineError as error:
            raise InstallationFailed(classify(f"uv: {error.__cause__}")) from error
        if process.status != 0:
            self._log.append(f"exit status {process.status}")
            raise InstallationFailed(classify("\n".join(self._log[begin:])))
        return "\n".join(printed)

    def _take(self, line: Line | None, printed: list[str]) -> None:
        if line is not None:
            self._log.append(without_secrets(line.text.rstrip()))
        if line is not None and line.stream == "stdout":
            printed.append(line.text.rstrip())


def obtain_uv(
    index: Index,
    web: Web | None,
    on_bytes: Callable[[int, int], None],
    is_cancelled: IsCancelled,
) -> str:
    """Return the path of a uv: the one fetched before, else from a folder of wheels, PATH, index.

    Parameters
    ----------
    index : Index
        Its ``links`` are looked in before anything is downloaded.
    web : Web or None
        None when nothing may be downloaded.
    on_bytes : callable
        Is given bytes done and in all.
    is_cancelled : callable
        Whether to stop.

    Raises
    ------
    InstallationFailed, Cancelled
    """
    try:
        return _obtained(index, web, on_bytes, is_cancelled)
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        raise InstallationFailed(classify(f"uv from {index.url}: {error}")) from error


def _obtained(
    index: Index,
    web: Web | None,
    on_bytes: Callable[[int, int], None],
    is_cancelled: IsCancelled,
) -> str:
    tools = data_folder() / "tools"
    fetched = sorted(tools.glob(f"uv-*/{PROGRAM}"), key=lambda path: _version(path.parent.name))
    if fetched and _is_suitable(str(fetched[-1])):
        return str(fetched[-1])
    wheel = _best([File(each.name, str(each), "") for each in _wheels(index.links)])
    if wheel is not None:
        return _unpacked(Path(wheel.url), tools)
    found = shutil.which(PROGRAM)
    if found and _is_suitable(found):
        return found
    if web is None:
        raise InstallationFailed(
            Failure(
                "version",
                _tr("the folder of wheels has no wheel of uv for this system"),
                _tr("put the wheel of uv into it (pip download --no-deps uv), or install uv"),
            )
        )
    return _downloaded(index, web, tools, on_bytes, is_cancelled)


def _wheels(links: Iterable[str]) -> list[Path]:
    folders = [Path(each).expanduser() for each in links if "://" not in each]
    return [wheel for folder in folders for wheel in sorted(folder.glob("uv-*.whl"))]


def _downloaded(
    index: Index,
    web: Web,
    tools: Path,
    on_bytes: Callable[[int, int], None],
    is_cancelled: IsCancelled,
) -> str:
    offered = web.files(index.url, "uv")
    wheel = _best([each for each in offered if each.sha256 and not each.is_withdrawn])
    if wheel is None:
        raise ValueError("no matching distribution found for this platform tag")
    tools.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=tools, suffix=".part", delete=False) as file:
        part = Path(file.name)
    try:
        with part.open("wb") as target:
            web.download(wheel, target, on_bytes, is_cancelled)
        return _unpacked(part, tools, wheel.name)
    finally:
        part.unlink()


def _best(files: Iterable[File]) -> File | None:
    """The newest wheel of uv that runs here."""
    fitting = [
        each
        for each in files
        if re.fullmatch(r"uv-\d+(\.\d+)*-py3-none-[^-]+\.whl", each.name)
        and _fits(each.name[:-4].rpartition("-")[2])
        and _version(each.name) >= LEAST
    ]
    return max(fitting, key=lambda each: _version(each.name), default=None)


def _fits(tags: str) -> bool:
    """Whether a wheel of these platforms runs on this computer."""
    machine = platform.machine().lower()
    machine = {"amd64": "x86_64", "aarch64": "arm64"}.get(machine, machine)
    if sys.platform == "win32":
        wanted = {"x86_64": "win_amd64", "arm64": "win_arm64"}.get(machine, "win32")
        return wanted in tags.split(".")
    if sys.platform == "darwin":
        return any(
            tag.startswith("macosx") and tag.endswith((machine, "universal2"))
            for tag in tags.split(".")
        )
    family = "manylinux" if platform.libc_ver()[0] == "glibc" else "musllinux"
    ending = "aarch64" if machine == "arm64" else machine
    return any(tag.startswith(family) and tag.endswith(ending) for tag in tags.split("."))


def _version(text: str) -> tuple[int, ...]:
    found = re.search(r"(\d+(?:\.\d+)+)", text)
    return tuple(int(number) for number in found.group(1).split(".")) if found else ()


def _is_suitable(program: str) -> bool:
    try:
        done = subprocess.run(  # noqa: S603  (no shell)
            [program, "--version"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=30,
            creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0 and _version(done.stdout.decode("utf-8", "replace")) >= LEAST


def _unpacked(wheel: Path, tools: Path, name: str = "") -> str:
    """Take the one program out of a wheel, and nothing else; it is in its place only when whole."""
    version = ".".join(str(number) for number in _version(name or wheel.name))
    target = tools / f"uv-{version}" / PROGRAM
    target.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(wheel) as archive:
        pattern = rf"uv-[^/\\]+\.data/scripts/{re.escape(PROGRAM)}"
        members = [each for each in archive.infolist() if re.fullmatch(pattern, each.filename)]
        if len(members) != 1 or members[0].file_size > LARGEST:
            raise zipfile.BadZipFile(f"not a zip file with one uv in it: {wheel.name}")
        with (
            archive.open(members[0]) as source,
            tempfile.NamedTemporaryFile(dir=target.parent, delete=False) as file,
        ):
            shutil.copyfileobj(source, file)
    os.chmod(file.name, 0o700)
    os.replace(file.name, target)
    return str(target)
