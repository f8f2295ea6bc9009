# SPDX-License-Identifier: GPL-2.0-or-later
"""Where engines lie, which is chosen, and when one is refused."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from makers import HEALTHY, hanging_text, python_text, script

from geoseg_qgis.engine import home as home_module
from geoseg_qgis.engine.environment import (
    Engine,
    EngineMissing,
    Pointer,
    check,
    chosen_python,
    interpreter_in,
    look_at,
    read_pointer,
    write_pointer,
)
from geoseg_qgis.engine.home import Busy, data_folder, exclusive, in_use, unused
from geoseg_qgis.engine.process import Cancelled

PLUGIN = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("GEOSEG_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("GEOSEG_PYTHON", raising=False)
    return data_folder()


@pytest.mark.parametrize(
    ("system", "variables", "expected"),
    [
        ("linux", {"XDG_DATA_HOME": "/data"}, "/data/geoseg"),
        ("linux", {"XDG_DATA_HOME": "relative"}, "/home/user/.local/share/geoseg"),
        ("darwin", {}, "/home/user/Library/Application Support/geoseg"),
        ("win32", {"LOCALAPPDATA": "/local"}, "/local/geoseg"),
        ("win32", {}, "/home/user/AppData/Local/geoseg"),
    ],
)
def test_the_folder_is_the_users_own_on_each_system(
    system: str, variables: dict[str, str], expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("GEOSEG_HOME", "XDG_DATA_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", "/home/user")
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(home_module.sys, "platform", system)
    assert data_folder() == Path(expected)


def test_a_folder_that_the_user_names_is_never_the_folder_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GEOSEG_HOME", "disk")
    assert data_folder() == tmp_path / "disk" / "geoseg-qgis"


def test_what_is_written_to_the_pointer_is_read_again(home: Path) -> None:
    pointer = Pointer(Engine("/b/python", "0.1.1", "/b"), Engine("/a/python", "0.1.0", "/a"))
    write_pointer(pointer)
    assert read_pointer() == pointer
    assert os.listdir(home) == ["env.json"]


@pytest.mark.parametrize("text", ["", "{", "[]", '{"current": {"python": 1}}', '{"current": null}'])
def test_a_broken_pointer_is_none(text: str, home: Path) -> None:
    home.mkdir(parents=True)
    (home / "env.json").write_text(text)
    assert read_pointer() is None


def test_a_pointer_that_cannot_be_written_leaves_the_old_one(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = Pointer(Engine("/a/python", "0.1.0", "/a"))
    write_pointer(old)

    def fail(*names: object) -> None:
        raise OSError("the disk is full")

    monkeypatch.setattr(home_module.os, "replace", fail)
    with pytest.raises(OSError, match="the disk is full"):
        write_pointer(Pointer(Engine("/b/python", "0.1.1", "/b"), old.current))
    assert read_pointer() == old
    assert os.listdir(home) == ["env.json"]


def test_a_pointer_that_somebody_reads_on_windows_is_written_a_moment_later(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    replace, refused = os.replace, []

    def refuse_twice(*names: str) -> None:
        if len(refused) < 2:
            refused.append(names)
            raise PermissionError("used by another process")
        replace(*names)

    monkeypatch.setattr(home_module.os, "replace", refuse_twice)
    pointer = Pointer(Engine("/a/python", "0.1.0", "/a"))
    write_pointer(pointer)
    assert read_pointer() == pointer
    assert os.listdir(home) == ["env.json"]


def test_variable_setting_and_pointer_count_in_this_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told, set_, installed = (
        str(script(tmp_path / name / "python", "")) for name in ("told", "set", "installed")
    )
    with pytest.raises(EngineMissing, match="geoseg is not installed yet; open Settings"):
        chosen_python("")
    write_pointer(Pointer(Engine(installed, "0.1.0", "")))
    assert chosen_python("") == installed
    assert chosen_python(set_) == set_
    monkeypatch.setenv("GEOSEG_PYTHON", told)
    assert chosen_python(set_) == told


def test_a_chosen_interpreter_that_is_gone_is_named_with_who_chose_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = str(tmp_path / "python")
    with pytest.raises(EngineMissing, match=r"the setting 'Use an existing Python': .* not exist"):
        chosen_python(gone)
    monkeypatch.setenv("GEOSEG_PYTHON", gone)
    with pytest.raises(EngineMissing, match=r"variable GEOSEG_PYTHON: .* does not exist"):
        chosen_python("")


def test_a_folder_means_the_interpreter_in_it(tmp_path: Path) -> None:
    inside = script(tmp_path / "env" / "bin" / "python3", "")
    assert interpreter_in(str(tmp_path / "env")) == str(inside)
    with pytest.raises(EngineMissing, match="there is no Python in the folder"):
        interpreter_in(str(tmp_path))


@pytest.mark.parametrize("name", ["qgis-bin.exe", "QGIS", "pythonia", "python.sh"])
def test_a_program_of_another_name_is_never_started(name: str, tmp_path: Path) -> None:
    witness = tmp_path / "started"
    program = script(tmp_path / name, f"#!/bin/sh\ntouch {witness}\n")
    with pytest.raises(EngineMissing, match="is no Python interpreter"):
        check(str(program), bool)
    assert not witness.exists()


def test_an_interpreter_tells_its_own_path_and_version() -> None:
    found = look_at(sys.executable, bool)
    assert found.path == sys.executable
    assert found.version == sys.version_info[:3]
    assert found.is_64_bit == (sys.maxsize > 2**32)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("#!/bin/sh\necho hello\n", r"is no Python .* with status 0 \(hello\); choose another"),
        ("#!/bin/sh\necho []\n", "does not answer as a Python 3 does; choose another"),
        ("#!/nowhere\n", "cannot be started as a Python .*; choose another"),
        (python_text(version=(3, 9, 5)), r"is Python 3\.9\.5, geoseg needs 3\.11 or newer"),
        (python_text(geoseg=None), "has no geoseg; install it there"),
        (python_text(geoseg="0.0.9"), r"has geoseg 0\.0\.9, .* 0\.1\.x; update geoseg there"),
        (python_text(geoseg="0.2.0"), r"has geoseg 0\.2\.0, .* 0\.1\.x; update this plugin"),
        (python_text(geoseg="1.0rc1"), r"update this plugin"),
    ],
)
def test_what_cannot_be_the_engine_is_refused_with_the_reason(
    text: str, reason: str, tmp_path: Path
) -> None:
    program = script(tmp_path / "python", text)
    with pytest.raises(EngineMissing, match=reason):
        check(str(program), bool)


@pytest.mark.parametrize("question", ["-c", "doctor"])
def test_a_check_that_hangs_can_be_cancelled(question: str, tmp_path: Path) -> None:
    note = tmp_path / "number"
    program = script(tmp_path / "python", hanging_text(question, note, python_text()))
    with pytest.raises(Cancelled):
        check(str(program), lambda: note.exists() and note.read_text() != "")
    with pytest.raises(ProcessLookupError):
        os.kill(int(note.read_text()), 0)


def test_problems_are_reported_and_do_not_make_an_engine_unusable(tmp_path: Path) -> None:
    problem = {"what": "disk is short", "remedy": "free some"}
    facts = {**HEALTHY, "problems": [problem], "ok": False}
    report = check(str(script(tmp_path / "python", python_text(doctor=facts))), bool)
    assert report.problems == ("disk is short; free some",)
    assert not report.ok
    assert report.is_usable
    assert (report.version, report.device) == ("0.1.0", "cpu")


@pytest.mark.parametrize(
    "broken", [{"versions": {"torch": None}}, {"projections": None}, {"devices": None}]
)
def test_an_engine_with_a_package_that_does_not_load_is_unusable(
    broken: dict[str, object], tmp_path: Path
) -> None:
    program = script(tmp_path / "python", python_text(doctor={**HEALTHY, **broken}))
    assert not check(str(program), bool).is_usable


def test_the_real_engine_passes() -> None:
    engine = os.environ.get("GEOSEG_PYTHON") or _TOLD
    if not engine:
        pytest.skip("there is no engine; name its interpreter in GEOSEG_PYTHON")
    report = check(engine, bool)
    assert report.is_usable
    assert report.version == report.facts["geoseg"]


_TOLD = os.environ.get("GEOSEG_PYTHON", "")  # before a fixture takes it away

_HOLDER = """
import sys
from geoseg_qgis.engine.home import exclusive
with exclusive():
    print("held", flush=True)
    sys.stdin.read()
"""


def _holder() -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", _HOLDER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(PLUGIN)},
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def test_a_second_qgis_is_told_who_holds_the_lock() -> None:
    with _holder() as holder:
        told = rf"another QGIS \(process {holder.pid}\) is installing"
        with pytest.raises(Busy, match=told), exclusive():
            pass
        assert holder.stdin is not None
        holder.stdin.close()
        holder.wait()
    with exclusive():
        pass


def test_the_lock_of_a_killed_owner_is_free() -> None:
    with _holder() as holder:
        holder.send_signal(signal.SIGKILL)
        holder.wait()
    with exclusive():
        assert (data_folder() / "install.lock").read_text() == str(os.getpid())


def test_the_lock_is_held_against_this_process_too() -> None:
    with exclusive(), pytest.raises(Busy), exclusive():
        pass


def installed_python() -> str:
    """Of an engine in the folder; it need not be there to be in use."""
    folder = data_folder() / "engines" / "0.1.0-1"
    folder.mkdir(parents=True, exist_ok=True)
    return str(folder / "bin" / "python")


def test_engines_at_work_are_told_to_who_wants_to_remove_them() -> None:
    python = installed_python()
    at_work = pytest.raises(Busy, match="an engine is at work, in this QGIS or another one; wait")
    with in_use(python), in_use(python), at_work, unused():
        pass
    removed = pytest.raises(Busy, match="are being removed at this moment; try again")
    with unused(), removed, in_use(python):
        pass
    with in_use(python):
        pass


def test_an_engine_of_the_user_keeps_nobody_from_removing_the_installed_ones() -> None:
    installed_python()
    with in_use("/usr/bin/python3"), unused(), in_use("/usr/bin/python3"):
        pass


def test_an_engine_works_where_no_lock_can_be_written(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_told: object) -> int:
        raise PermissionError("a folder of the administrator")

    monkeypatch.setattr(home_module, "_opened", refuse)
    with in_use(installed_python()):
        pass


def test_the_pointer_is_json_that_people_can_read(home: Path) -> None:
    write_pointer(Pointer(Engine("/a/python", "0.1.0", "/a")))
    told = json.loads((home / "env.json").read_text())
    assert told == {
        "current": {"python": "/a/python", "version": "0.1.0", "folder": "/a"},
        "previous": None,
    }
