# SPDX-License-Identifier: GPL-2.0-or-later
"""Makes an environment with geoseg: planned, shown, downloaded, verified, and only then used.

A plan is the exact list of files that will be installed. To make it uv is needed (some 20 MB), and
a Python where none is found (some 30 MB); everything else is downloaded after the user agreed.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
import tempfile
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from .environment import (
    Engine,
    EngineMissing,
    Interpreter,
    IsCancelled,
    Pointer,
    Report,
    check,
    is_accepted,
    look_at,
    read_pointer,
    write_pointer,
)
from .failures import Failure, InstallationFailed, classify, without_secrets
from .home import Busy, data_folder, exclusive, unused
from .index import Index, Web
from .process import Cancelled, clean_environment
from .uv import Uv, obtain_uv
from .words import translated as _tr

__all__ = ["Installation", "Order", "Package", "Plan", "Progress", "rollback", "uninstall"]

REQUIREMENT = "geoseg>=0.1,<0.2"
PYTHONS = ((3, 12), (3, 13), (3, 11))  # all packages have wheels for them; the best known first
BACKENDS = ("auto", "cpu", "index")

# Unpacked bytes for each downloaded one. Measured: 3.6 for everything with PyTorch for processors;
# libraries of CUDA are hardly compressible.
GROWTH, GROWTH_OF_CUDA = 4, 2
RESERVE = 500_000_000  # bytes that stay free for results
SIZE_UNTOLD = {"torch": 900_000_000, "triton": 200_000_000}  # bytes, where no server tells them
SIZE_OF_OTHERS = 5_000_000


@dataclass(frozen=True)
class Order:
    """What is to be installed, and from where.

    Attributes
    ----------
    backend : {"auto", "cpu", "index"}
        PyTorch for the graphics card that is found, for the processor, or as the package index has
        it (for the processor on Windows and macOS, with CUDA on Linux).
    wheels : str
        A folder of wheels to take packages from first; may be empty.
    is_offline : bool
        Whether that folder is all there is.
    python : str
        The Python to build on; empty to let one be found.
    version : str
        Of geoseg; empty for the newest that this plugin works with.
    environment : mapping
        Variables to add, as `settings.network_environment` gives them.
    """

    backend: str = "auto"
    wheels: str = ""
    is_offline: bool = False
    python: str = ""
    version: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Package:
    """One file of a plan.

    Attributes
    ----------
    name, version, url : str
    size : int
        Bytes.
    is_estimate : bool
        Whether the size is a guess because nobody told it.
    is_here : bool
        Whether it need not be downloaded (again).
    """

    name: str
    version: str
    url: str
    size: int
    is_estimate: bool
    is_here: bool


@dataclass(frozen=True)
class Plan:
    """What an installation will do; shown before it starts.

    Attributes
    ----------
    python : Interpreter
        The Python the environment is built on.
    version : str
        Of geoseg.
    packages : tuple of Package
        Everything that goes into the environment.
    folder : Path
        Where all of it goes.
    free : int
        Free bytes there.
    lock : str
        The list for uv.
    """

    python: Interpreter
    version: str
    packages: tuple[Package, ...]
    folder: Path
    free: int
    lock: str

    @property
    def download(self) -> int:
        """Bytes to be downloaded."""
        return sum(each.size for each in self.packages if not each.is_here)

    @property
    def needed(self) -> int:
        """Bytes of disk that this takes, about, and some to work with."""
        return RESERVE + sum(_unpacked(each) for each in self.packages)

    @property
    def is_estimate(self) -> bool:
        """Whether some size is a guess."""
        return any(each.is_estimate for each in self.packages if not each.is_here)

    @property
    def refusal(self) -> str:
        """Why this cannot start; empty when it can."""
        if self.free >= self.needed:
            return ""
        return _tr("about {} are needed in {}, but only {} are free").format(
            _megabytes(self.needed), self.folder, _megabytes(self.free)
        )


@dataclass(frozen=True)
class Progress:
    """How far it is.

    Attributes
    ----------
    stage : {"uv", "python", "plan", "download", "install", "verify"}
    done, total : int
        Bytes of what is downloaded and unpacked; total is 0 where it is not known.
    text : str
        What is being done, in a few words.
    """

    stage: str
    text: str
    done: int = 0
    total: int = 0


OnProgress = Callable[[Progress], None]


class Installation:
    """One installation: first `plan`, then, when the user agrees, `run`.

    Both may take long and belong in a thread; both raise `process.Cancelled` when cancelled,
    `failures.InstallationFailed` when they fail, and leave the engine that was there in use.
    What was downloaded is kept, so that another attempt goes on from it.

    Parameters
    ----------
    order : Order
        What is wanted.

    Attributes
    ----------
    log : list of str
        Everything that was done and said, without secrets.
    """

    def __init__(self, order: Order) -> None:
        if order.backend not in BACKENDS:
            raise ValueError(f"backend is {order.backend!r}, expected one of {BACKENDS}")
        self._order = order
        self._uv: Uv | None = None
        self.log: list[str] = []
        environ = clean_environment(os.environ, order.environment)
        index = Index.of_user(environ)
        if order.is_offline:
            index = replace(index, extra=(), links=())
        if order.wheels:
            index = replace(index, links=(os.path.abspath(order.wheels), *index.links))
        self._index = index
        self._web = None if order.is_offline else Web(environ, index.certificates)

    def plan(self, on_progress: OnProgress, is_cancelled: IsCancelled) -> Plan:
        """Find out what will be downloaded, how much it is, and whether there is room for it."""
        with _explained(self.log), exclusive():
            self._refuse_missing_folder()
            _remove_remains()
            uv = self._tool(on_progress, is_cancelled)
            python = self._python(uv, on_progress, is_cancelled)
            on_progress(Progress("plan", _tr("Looking for the packages that are needed")))
            lock = self._resolved(uv, python, is_cancelled)
            packages = self._packages(lock, is_cancelled)
            version = next(each.version for each in packages if each.name == "geoseg")
            free = shutil.disk_usage(data_folder()).free
            return Plan(python, version, packages, data_folder(), free, lock)

    def run(self, plan: Plan, on_progress: OnProgress, is_cancelled: IsCancelled) -> Report:
        """Install what the plan says into a new folder, check it, and use it from then on."""
        with _explained(self.log), exclusive():
            _refuse_short_disk(replace(plan, free=shutil.disk_usage(plan.folder).free))
            uv = self._tool(on_progress, is_cancelled)
            folder = _new_folder(plan.version)
            try:
                python = self._installed(uv, plan, folder, _Steps(on_progress, is_cancelled))
                on_progress(Progress("verify", _tr("Checking that everything works")))
                report = self._verified(python, is_cancelled)
                write_pointer(_next_pointer(Engine(python, report.version, str(folder))))
            except BaseException:
                _remove(folder)
                _remove_unfinished()
                raise
            _remove_remains()
            return report

    def _refuse_missing_folder(self) -> None:
        wheels = self._order.wheels
        if (wheels or self._order.is_offline) and not os.path.isdir(wheels):
            raise InstallationFailed(
                Failure(
                    "version",
                    _tr("the folder of wheels {} does not exist").format(
                        wheels or _tr("(none given)")
                    ),
                    _tr("choose a folder that holds the wheels of geoseg and all it needs"),
                )
            )

    def _tool(self, on_progress: OnProgress, is_cancelled: IsCancelled) -> Uv:
        if self._uv is None:
            program = obtain_uv(
                self._index,
                self._web,
                lambda done, total: on_progress(Progress("uv", _tr("Downloading uv"), done, total)),
                is_cancelled,
            )
            self.log.append(f"uv: {program}")
            self._uv = Uv(program, self._index, self._order.environment, self.log)
        return self._uv

    def _python(self, uv: Uv, on_progress: OnProgress, is_cancelled: IsCancelled) -> Interpreter:
        """The Python to build on: the one asked for, uv's own, or one that is found."""
        if self._order.python:
            return _refuse_unfit(look_at(self._order.python, is_cancelled))
        on_progress(Progress("python", _tr("Getting Python")))
        found = self._managed_python(uv, is_cancelled) or self._found_python(uv, is_cancelled)
        if found is None:
            raise InstallationFailed(
                Failure(
                    "python",
                    _tr(
                        "there is no Python 3.11, 3.12 or 3.13 to build on, and none can be "
                        "downloaded"
                    ),
                    _tr(
                        "install one from python.org, or choose an existing Python that has geoseg"
                    ),
                    "\n".join(self.log),
                )
            )
        self.log.append(f"Python: {found.path}")
        return found

    def _managed_python(self, uv: Uv, is_cancelled: IsCancelled) -> Interpreter | None:
        wanted = ".".join(str(number) for number in PYTHONS[0])
        offline = ["--offline"] if self._order.is_offline else []
        if not offline and os.environ.get("UV_PYTHON_DOWNLOADS") != "never":
            # Its server is another one than the package index, and often blocked.
            with suppress(InstallationFailed):
                uv.run(["python", "install", "--no-bin", wanted], is_cancelled)
        with suppress(InstallationFailed, EngineMissing):
            find = ["python", "find", "--managed-python", "--no-python-downloads", wanted]
            found = _absolute(uv.run([*find, *offline], is_cancelled))
            return _refuse_unfit(look_at(found, is_cancelled))
        return None

    def _found_python(self, uv: Uv, is_cancelled: IsCancelled) -> Interpreter | None:
        """The best of those that uv finds; the one inside QGIS only when there is no other."""
        listing = ["python", "list", "--only-installed", "--output-format", "json"]
        told = json.loads(uv.run([*listing, "--no-python-downloads"], is_cancelled) or "[]")
        paths = [each["path"] for each in told if each["implementation"] == "cpython"]
        found = []
        for path in dict.fromkeys([*paths, *_python_of_qgis()]):
            with suppress(EngineMissing, InstallationFailed):
                found.append(_refuse_unfit(look_at(_absolute(path), is_cancelled)))
        return min(
            found,
            key=lambda each: (_is_of_qgis(each.path), PYTHONS.index(each.version[:2])),
            default=None,
        )

    def _resolved(self, uv: Uv, python: Interpreter, is_cancelled: IsCancelled) -> str:
        """Everything that geoseg needs on this computer, as the text of a pylock.toml."""
        order = self._order
        asked = f"geoseg=={order.version}" if order.version else REQUIREMENT
        backend = [] if order.backend == "index" else ["--torch-backend", order.backend]
        source = ["--no-index", "--offline"] if order.is_offline else backend
        with tempfile.TemporaryDirectory(prefix="plan-", dir=data_folder()) as folder:
            wanted, lock = Path(folder, "wanted.in"), Path(folder, "pylock.toml")
            wanted.write_text(asked + "\n", encoding="utf-8")
            # Nothing is built here: that needs compilers, and runs code before it was agreed to.
            command = ["pip", "compile", "--quiet", "--format", "pylock.toml", "--no-build"]
            names = [str(wanted), "-o", str(lock), "--python", python.path]
            uv.run([*command, *source, *names, "--no-python-downloads"], is_cancelled)
            return lock.read_text(encoding="utf-8")

    def _packages(self, lock: str, is_cancelled: IsCancelled) -> tuple[Package, ...]:
        packages = []
        for each in _parsed(lock):
            if is_cancelled():
                raise Cancelled
            packages.append(self._sized(each))
        return tuple(packages)

    def _sized(self, package: Package) -> Package:
        """The package with its size, asked for where the index does not tell."""
        address = urllib.parse.urlsplit(package.url)
        if address.scheme == "file":
            path = Path(urllib.request.url2pathname(address.path))
            return replace(package, size=path.stat().st_size, is_here=True)
        package = replace(package, is_here=_is_cached(package))
        if package.size:
            return package
        size = 0
        if self._web is not None and not package.is_here:
            with suppress(OSError, ValueError):
                size = self._web.size(package.url)
        guess = SIZE_UNTOLD.get(package.name, SIZE_OF_OTHERS)
        return replace(package, size=size or guess, is_estimate=not size)

    def _installed(self, uv: Uv, plan: Plan, folder: Path, steps: _Steps) -> str:
        """Fill the folder; return its interpreter."""
        steps.on_progress(Progress("install", _tr("Making the environment")))
        offline = ["--offline"] if self._order.is_offline else []
        create = ["venv", "--no-project", "--no-python-downloads", "--python", plan.python.path]
        uv.run([*create, *offline, str(folder)], steps.is_cancelled)
        inside = "Scripts/python.exe" if sys.platform == "win32" else "bin/python"
        python = str(folder / inside)
        lock = folder / "pylock.toml"
        lock.write_text(plan.lock, encoding="utf-8")
        watch = _Watch(plan, steps.on_progress)
        command = ["pip", "install", "--no-build", "--no-python-downloads", "--python", python]
        uv.run(
            [*command, *offline, "-r", str(lock)],
            steps.is_cancelled,
            on_poll=watch.look,
            # They were heeded when the list was made, and cannot be told together with one.
            without=("UV_CONSTRAINT", "UV_OVERRIDE", "UV_EXCLUDE", "UV_BUILD_CONSTRAINT"),
        )
        return python

    def _verified(self, python: str, is_cancelled: IsCancelled) -> Report:
        try:
            report = check(python, is_cancelled, self._order.environment)
        except EngineMissing as error:
            self.log += [str(error), without_secrets(error.log)]
            raise InstallationFailed(_failed_check(f"{error}\n{error.log}")) from error
        self.log.append(f"doctor: {json.dumps(dict(report.facts))}")
        if not report.is_usable:
            raise InstallationFailed(_failed_check("\n".join(report.problems)))
        return report


@dataclass(frozen=True)
class _Steps:
    on_progress: OnProgress
    is_cancelled: IsCancelled


class _Watch:
    """Tells progress from what has arrived in uv's cache, for uv itself tells only names."""

    def __init__(self, plan: Plan, on_progress: OnProgress) -> None:
        # Wheels from a folder are waited for as well; only what is downloaded is measured.
        self._missing = [each for each in plan.packages if not _is_cached(each)]
        self._total = plan.download
        self._on_progress = on_progress
        self._done = 0
        self._looked = 0.0

    def look(self) -> None:
        """Tell how many bytes are there, at most twice a second."""
        if time.monotonic() < self._looked + 0.5:
            return
        self._looked = time.monotonic()
        arrived = [each for each in self._missing if _is_cached(each)]
        for each in arrived:
            self._missing.remove(each)
        coming = sum(each.size for each in self._missing if not each.is_here)
        whole = self._total - coming
        # What is on its way is unpacked as it comes; how much that was packed is not known exactly.
        part = min(coming, _unfinished_bytes() // GROWTH)
        self._done = max(self._done, min(self._total, whole + part))
        is_done = not self._missing
        text = _tr("Installing packages") if is_done else _doing(self._missing)
        stage = "install" if is_done else "download"
        self._on_progress(Progress(stage, text, self._done, self._total))


def rollback(is_cancelled: IsCancelled, environment: Mapping[str, str] | None = None) -> Report:
    """Use the engine before the present one again, which becomes the one before.

    Raises
    ------
    EngineMissing
        When there is none, or it does not work any more; the present one stays in use.
    Busy
        When another QGIS is installing.
    Cancelled
    """
    # An engine that is at work goes on: it stays where it is, as the one before.
    with exclusive():
        pointer = read_pointer()
        if pointer is None or pointer.previous is None:
            raise EngineMissing(_tr("there is no earlier engine to go back to; install one"))
        report = check(pointer.previous.python, is_cancelled, environment)
        write_pointer(Pointer(pointer.previous, pointer.current))
        return report


def uninstall() -> None:
    """Remove all engines, and everything that was downloaded for them.

    Raises
    ------
    Busy
        When one of them is at work, or another QGIS is installing.
    """
    with exclusive(), unused():
        with suppress(FileNotFoundError):
            (data_folder() / "env.json").unlink()
        for name in ("engines", "cache", "tools", "pythons"):
            _remove(data_folder() / name)


@contextmanager
def _explained(log: list[str]) -> Iterator[None]:
    """Give every failure a kind and a remedy, and what was done so far."""
    try:
        yield
    except InstallationFailed as error:
        raise InstallationFailed(_with_log(error.failure, log)) from error
    except Busy as error:
        told = Failure("busy", str(error), _tr("then install again"))
        raise InstallationFailed(_with_log(told, log)) from error
    except EngineMissing as error:
        told = Failure("python", str(error), _tr("then install again"), error.log)
        raise InstallationFailed(_with_log(told, log)) from error
    except OSError as error:
        told = classify(f"{type(error).__name__}: {error}")
        raise InstallationFailed(_with_log(told, log)) from error


def _with_log(failure: Failure, log: list[str]) -> Failure:
    """Tell what was done before the failure; its own words are in that, or come last."""
    done = "\n".join(log)
    own = [failure.log] if failure.log not in done else []
    return replace(failure, log="\n".join([*log, *own]))


def _failed_check(text: str) -> Failure:
    failure = classify(text)
    if failure.kind in ("runtime", "antivirus", "permission", "disk", "killed"):
        return failure
    return Failure(
        "damaged",
        _tr("geoseg was installed but does not work: {}").format(text.strip().splitlines()[0]),
        _tr("install again; if it happens again, copy the diagnostics and report them"),
        text,
    )


def _refuse_short_disk(plan: Plan) -> None:
    if plan.refusal:
        raise InstallationFailed(
            Failure(
                "disk",
                plan.refusal,
                _tr(
                    "free some space, or let the environment variable GEOSEG_HOME name a folder on "
                    "another disk"
                ),
            )
        )


def _refuse_unfit(found: Interpreter) -> Interpreter:
    """Return a Python that an engine can be built on."""
    if found.version[:2] in PYTHONS and found.is_64_bit:
        return found
    version = ".".join(str(number) for number in found.version)
    bits = "64" if found.is_64_bit else "32"
    raise InstallationFailed(
        Failure(
            "python",
            _tr("{} is a {}-bit Python {}").format(found.path, bits, version),
            _tr("choose a 64-bit Python 3.11, 3.12 or 3.13"),
        )
    )


def _absolute(path: str) -> str:
    """A path that uv prints: told from the user's folder, where uv runs, when it lies in it."""
    return os.path.join(os.path.expanduser("~"), path.strip())


def _python_of_qgis() -> list[str]:
    """The interpreter of QGIS, where it has one; what Python calls its own there may be QGIS."""
    names = ("python.exe",) if sys.platform == "win32" else ("bin/python3",)
    found = [os.path.join(sys.base_prefix, name) for name in names]
    return [path for path in found if os.path.isfile(path)]


def _is_of_qgis(path: str) -> bool:
    own = {os.path.realpath(each) for each in _python_of_qgis()}
    folder = os.path.realpath(os.environ.get("OSGEO4W_ROOT") or sys.base_prefix)
    real = os.path.realpath(path)
    # Many programs share /usr; only the very interpreter that QGIS runs on is QGIS's there.
    shared = folder in ("/usr", "/usr/local", os.path.abspath(os.sep))
    return real in own or (not shared and real.startswith(folder + os.sep))


def _parsed(lock: str) -> Iterator[Package]:
    """Read a pylock.toml; this Python may be too old to know the format."""
    for block in lock.split("[[packages]]")[1:]:
        wheels = re.findall(r'\{ url = "([^"]+\.whl)"([^{}]*)', block)
        if not wheels:
            continue
        told = dict(re.findall(r'(?m)^(name|version) = "([^"]+)"', block))
        # Where several would do, uv takes one; the largest is on the safe side.
        size, url = max((_size(rest), url) for url, rest in wheels)
        yield Package(told["name"], told["version"], url, size, False, False)


def _size(entry: str) -> int:
    found = re.search(r"\bsize = (\d+)", entry)
    return int(found.group(1)) if found else 0


def _is_cached(package: Package) -> bool:
    """Whether uv has unpacked this wheel in its cache, which it lists by version and tags."""
    file = urllib.parse.unquote(package.url.rpartition("/")[2])
    tags = re.escape(file[: -len(".whl")].partition("-")[2])
    # uv writes a number in place of many tags.
    entry = re.compile(rf"{tags}|{re.escape(package.version)}-[0-9a-f]{{16}}")
    cache = data_folder() / "cache"
    places = (f"wheels-*/pypi/{package.name}", f"wheels-*/index/*/{package.name}")
    folders = [folder for place in places for folder in cache.glob(place)]
    return any(entry.fullmatch(name) for folder in folders for name in os.listdir(folder))


def _unfinished_bytes() -> int:
    """Unpacked bytes of wheels that are on their way."""
    return sum(_bytes_in(folder) for folder in _unfinished())


def _unfinished() -> list[Path]:
    return list((data_folder() / "cache").glob(".tmp*"))


def _remove_unfinished() -> None:
    for folder in _unfinished():
        _remove(folder)


def _bytes_in(folder: Path) -> int:
    total = 0
    for place, _, names in os.walk(folder):
        for name in names:
            with suppress(OSError):  # it has just been put in its place
                total += os.lstat(os.path.join(place, name)).st_size
    return total


def _unpacked(package: Package) -> int:
    return package.size * (GROWTH_OF_CUDA if package.name.startswith("nvidia-") else GROWTH)


def _doing(packages: Iterable[Package]) -> str:
    """What takes longest of what is still to come."""
    largest = max(packages, key=lambda each: (not each.is_here, each.size))
    text = _tr("Unpacking {} ({})") if largest.is_here else _tr("Downloading {} ({})")
    return text.format(largest.name, _megabytes(largest.size))


def _megabytes(size: int) -> str:
    return _tr("{} MB").format(f"{size / 1e6:,.0f}")


def _new_folder(version: str) -> Path:
    """A folder that no attempt has used: what is half removed or still running is not touched."""
    if not is_accepted(version):
        raise ValueError(f"this plugin does not work with geoseg {version}")
    engines = data_folder() / "engines"
    engines.mkdir(parents=True, exist_ok=True)
    number = 1
    while (engines / f"{version}-{number}").exists():
        number += 1
    return engines / f"{version}-{number}"


def _next_pointer(engine: Engine) -> Pointer:
    """The new engine, with the one in use as the one to go back to."""
    pointer = read_pointer()
    return Pointer(engine, pointer.current if pointer else None)


def _remove_remains() -> None:
    """Remove what killed attempts left, and engines that are neither used nor to go back to."""
    home, pointer = data_folder(), read_pointer()
    _remove_unfinished()
    for remains in (*home.glob("plan-*"), *home.glob("env-*.json"), *home.glob("tools/*.part")):
        _remove(remains)
    if pointer is None and (home / "env.json").exists():
        return  # nobody can tell now which are used
    known = [pointer.current, pointer.previous] if pointer else []
    kept = {each.folder for each in known if each}
    with suppress(Busy), unused():
        for folder in home.glob("engines/*"):
            if str(folder) not in kept:
                _remove(folder)


def _remove(folder: Path) -> None:
    """Remove a folder or file; Windows keeps what is in use, which the next attempt removes."""
    for pause in (0.2, 0.5, 1.0):
        shutil.rmtree(folder, ignore_errors=True)
        with suppress(OSError):
            folder.unlink()
        if not folder.exists():
            return
        time.sleep(pause)
