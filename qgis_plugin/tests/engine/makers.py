# SPDX-License-Identifier: GPL-2.0-or-later
"""Wheels, interpreters and a uv that are made for a test."""

from __future__ import annotations

import base64
import hashlib
import json
import platform
import stat
import sys
import zipfile
from pathlib import Path
from typing import Any

HEALTHY = {
    "geoseg": "0.1.0",
    "versions": {"torch": "2.13.0"},
    "projections": True,
    "devices": [{"name": "cpu"}],
    "problems": [],
    "ok": True,
}

_PYTHON = """#!{python}
import sys
print({probe!r} if "-c" in sys.argv else {doctor!r})
"""

_UV = """#!{python}
import json, os, pathlib, subprocess, sys, time

home = pathlib.Path({home!r})
arguments = sys.argv[1:]
with open(home / "calls.txt", "a") as file:
    file.write(" ".join(arguments) + "\\n")
    file.write("index " + os.environ.get("UV_DEFAULT_INDEX", "") + "\\n")
conduct = json.loads((home / "conduct.json").read_text())
if arguments == ["--version"]:
    print("uv 9.9.9")
elif arguments[:2] == ["python", "list"]:
    found = [dict(path=path, implementation="cpython") for path in conduct["pythons"]]
    print(json.dumps(found))
elif arguments[0] == "python":
    sys.exit("error: Python downloads are not allowed")
elif arguments[:2] == ["pip", "compile"]:
    if conduct.get("compile_error"):
        sys.exit(conduct["compile_error"])
    pathlib.Path(arguments[arguments.index("-o") + 1]).write_text(conduct["lock"])
elif arguments[0] == "venv":
    inside = pathlib.Path(arguments[-1], "bin")
    inside.mkdir(parents=True)
    (inside / "python").write_text(conduct["engine"])
    (inside / "python").chmod(0o755)
else:
    print("Downloading torch (2.0MiB)", file=sys.stderr)
    coming = pathlib.Path(os.environ["UV_CACHE_DIR"], ".tmp1")
    coming.mkdir(parents=True)
    (coming / "part").write_bytes(bytes(4_000_000))
    if conduct.get("is_slow"):
        helper = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
        (home / "pids.txt").write_text(f"{{os.getpid()}} {{helper.pid}}")
        time.sleep(600)
    if conduct.get("install_error"):
        sys.exit(conduct["install_error"])
    time.sleep(conduct.get("seconds", 0))
"""


def script(path: Path, text: str) -> Path:
    """Write a program."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def python_text(
    version: tuple[int, int, int] = (3, 12, 1),
    geoseg: str | None = "0.1.0",
    doctor: dict[str, Any] | None = None,
    executable: str = "",
) -> str:
    """Return a program that answers as an interpreter does."""
    probe = {"version": version, "executable": executable, "is_64_bit": True, "geoseg": geoseg}
    return _PYTHON.format(
        python=sys.executable, probe=json.dumps(probe), doctor=json.dumps(doctor or HEALTHY)
    )


_HANGING = """#!{python}
import os, pathlib, signal, sys, time
if {on!r} in sys.argv:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    pathlib.Path({note!r}).write_text(str(os.getpid()))
    time.sleep(600)
"""


def hanging_text(on: str, note: Path, text: str) -> str:
    """Return a program that, when told a word, notes its number and stays until it is killed."""
    return _HANGING.format(python=sys.executable, on=on, note=str(note)) + text


def lock_of(*wheels: tuple[str, str, int]) -> str:
    """Return a list as uv writes it, of names, addresses and sizes."""
    blocks = [
        f'[[packages]]\nname = "{name}"\nversion = "{url.rsplit("/")[-1].split("-")[1]}"\n'
        f'sdist = {{ url = "https://i.example/{name}.tar.gz", size = 77, hashes = {{ }} }}\n'
        f'wheels = [{{ url = "{url}", size = {size}, hashes = {{ sha256 = "0" }} }}]\n'
        for name, url, size in wheels
    ]
    return 'lock-version = "1.0"\n\n' + "\n".join(blocks)


LOCK = lock_of(
    ("geoseg", "https://i.example/geoseg-0.1.0-py3-none-any.whl", 1_000_000),
    ("torch", "https://i.example/torch-2.13.0-cp312-cp312-linux_x86_64.whl", 2_000_000),
)


def uv_tag() -> str:
    """Return the platform tag of a uv for this computer."""
    machine = platform.machine()
    family = "manylinux_2_17" if platform.libc_ver()[0] == "glibc" else "musllinux_1_1"
    return f"{family}_{machine}"


def wheel(folder: Path, name: str, members: dict[str, str], tag: str = "py3-none-any") -> Path:
    """Make a wheel; ``name`` holds the version, as in ``geoseg-0.1.0``."""
    folder.mkdir(parents=True, exist_ok=True)
    project, _, version = name.partition("-")
    about = f"{name}.dist-info"
    members = {
        **members,
        f"{about}/WHEEL": f"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: {tag}\n",
        f"{about}/METADATA": members.get(f"{about}/METADATA")
        or f"Metadata-Version: 2.1\nName: {project}\nVersion: {version}\n",
    }
    record = "".join(_recorded(path, text) for path, text in members.items())
    path = folder / f"{name}-{tag}.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for member, text in {**members, f"{about}/RECORD": record}.items():
            archive.writestr(member, text)
    return path


def _recorded(path: str, text: str) -> str:
    digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=")
    return f"{path},sha256={digest.decode()},{len(text.encode())}\n"


class FakeUv:
    """A uv that does what a test tells it, as a wheel in a folder."""

    def __init__(self, folder: Path, pythons: list[str]) -> None:
        self.folder = folder
        self.wheels = folder / "wheels"
        text = _UV.format(python=sys.executable, home=str(folder))
        wheel(
            self.wheels,
            "uv-9.9.9",
            {"uv-9.9.9.data/scripts/uv": text},
            f"py3-none-{uv_tag()}",
        )
        self.conduct: dict[str, Any] = {"pythons": pythons, "lock": LOCK, "engine": python_text()}
        self.behave()

    def behave(self, **conduct: Any) -> None:
        """Change what it does."""
        self.conduct.update(conduct)
        (self.folder / "conduct.json").write_text(json.dumps(self.conduct))

    @property
    def calls(self) -> list[str]:
        """What it was called with."""
        return (self.folder / "calls.txt").read_text().splitlines()
