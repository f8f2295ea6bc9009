# SPDX-License-Identifier: GPL-2.0-or-later
"""An engine is used only when it is whole and works; nothing else is left or lost."""

from __future__ import annotations

import http.server
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from answering import answering
from makers import HEALTHY, FakeUv, hanging_text, lock_of, python_text, script, wheel
from processes import is_alive

from geoseg_qgis.engine import install
from geoseg_qgis.engine.environment import (
    EngineMissing,
    chosen_python,
    read_pointer,
)
from geoseg_qgis.engine.failures import InstallationFailed
from geoseg_qgis.engine.home import Busy, data_folder, exclusive, in_use, unused
from geoseg_qgis.engine.install import Installation, Order, Plan, Progress, rollback, uninstall
from geoseg_qgis.engine.process import Cancelled, EngineError, ask, run

REAL_UV = os.environ.get("GEOSEG_UV") or shutil.which("uv")


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("GEOSEG_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PATH", "/bin:/usr/bin")
    for name in ("GEOSEG_PYTHON", "PIP_FIND_LINKS", "UV_FIND_LINKS", "UV_DEFAULT_INDEX"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path / "home"


@pytest.fixture
def base(tmp_path: Path) -> str:
    """A Python to build on."""
    path = tmp_path / "base" / "python3.12"
    return str(script(path, python_text(executable=str(path), geoseg=None)))


@pytest.fixture
def uv(tmp_path: Path, base: str) -> FakeUv:
    return FakeUv(tmp_path / "uv", [base])


def silent(progress: Progress) -> None:
    """Show nothing."""


def never() -> bool:
    """Go on."""
    return False


def planned(uv: FakeUv, **order: object) -> tuple[Installation, Plan]:
    installation = Installation(Order(wheels=str(uv.wheels), **order))  # type: ignore[arg-type]
    return installation, installation.plan(silent, never)


def installed(uv: FakeUv) -> str:
    installation, plan = planned(uv)
    return installation.run(plan, silent, never).python


def engines() -> set[str]:
    return {each.name for each in (data_folder() / "engines").iterdir()}


def test_the_plan_tells_what_is_downloaded_and_how_much_room_it_needs(
    uv: FakeUv, base: str
) -> None:
    _, plan = planned(uv)
    assert plan.python.path == base
    assert plan.version == "0.1.0"
    assert [(each.name, each.version) for each in plan.packages] == [
        ("geoseg", "0.1.0"),
        ("torch", "2.13.0"),
    ]
    assert plan.download == 3_000_000
    assert not plan.is_estimate
    assert plan.needed == 500_000_000 + 4 * 3_000_000
    assert plan.free == pytest.approx(shutil.disk_usage(data_folder()).free, rel=0.05)
    assert plan.refusal == ""
    assert not (data_folder() / "engines").exists()


def test_what_is_in_a_folder_or_in_the_cache_is_not_downloaded(uv: FakeUv, tmp_path: Path) -> None:
    local = wheel(tmp_path / "elsewhere", "geoseg-0.1.0", {"a": "b" * 5000})
    tags = "cp312-cp312-manylinux2014_x86_64.manylinux_2_17_x86_64.manylinux_2_28_x86_64"
    lock = lock_of(
        ("geoseg", local.as_uri(), 0),
        ("torch", "https://i.example/torch-2.13.0%2Bcpu-cp312-cp312-linux_x86_64.whl", 2_000_000),
        ("numcodecs", f"https://i.example/numcodecs-0.16.6-{tags}.whl", 3_000_000),
        ("numpy", "https://i.example/numpy-2.0.0-cp312-cp312-linux_x86_64.whl", 4_000_000),
    )
    uv.behave(lock=lock)
    cache = data_folder() / "cache" / "wheels-v8"
    (cache / "pypi" / "torch" / "2.13.0+cpu-cp312-cp312-linux_x86_64").mkdir(parents=True)
    (cache / "index" / "0a1b" / "numcodecs" / "0.16.6-516d0c2242d49034").mkdir(parents=True)
    (cache / "pypi" / "numpy" / "2.0.0-cp311-cp311-linux_x86_64").mkdir(parents=True)
    _, plan = planned(uv)
    assert {each.name: each.is_here for each in plan.packages} == {
        "geoseg": True,
        "torch": True,
        "numcodecs": True,
        "numpy": False,
    }
    assert plan.download == 4_000_000
    assert plan.packages[0].size == local.stat().st_size


def test_the_bar_goes_to_what_the_plan_says_is_downloaded(uv: FakeUv, tmp_path: Path) -> None:
    local = wheel(tmp_path / "elsewhere", "geoseg-0.1.0", {"a": "b" * 5000})
    torch = "https://i.example/torch-2.13.0-cp312-cp312-linux_x86_64.whl"
    uv.behave(lock=lock_of(("geoseg", local.as_uri(), 0), ("torch", torch, 2_000_000)), seconds=1)
    installation, plan = planned(uv)
    told: list[Progress] = []
    installation.run(plan, told.append, never)
    assert {each.total for each in told if each.stage == "download"} == {plan.download}
    assert plan.download == 2_000_000


def test_wheels_that_are_all_in_a_folder_are_unpacked_without_a_size_to_download(
    uv: FakeUv, tmp_path: Path
) -> None:
    local = wheel(tmp_path / "elsewhere", "geoseg-0.1.0", {"a": "b" * 5000})
    uv.behave(lock=lock_of(("geoseg", local.as_uri(), 0)), seconds=1)
    installation, plan = planned(uv)
    told: list[Progress] = []
    installation.run(plan, told.append, never)
    assert plan.download == 0
    unpacked = [each for each in told if each.stage == "download"]
    assert {(each.text, each.total) for each in unpacked} == {("Unpacking geoseg (0 MB)", 0)}


def test_a_size_that_nobody_tells_is_an_estimate(uv: FakeUv) -> None:
    uv.behave(
        lock=lock_of(
            ("geoseg", "https://i.example/geoseg-0.1.0-py3-none-any.whl", 1_000_000),
            ("torch", "http://127.0.0.1:9/torch-2.13.0-cp312-cp312-linux_x86_64.whl", 0),
        )
    )
    _, plan = planned(uv)
    assert plan.is_estimate
    assert plan.download == 901_000_000


def test_a_short_disk_is_refused_before_anything_is_made(
    uv: FakeUv, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage("/")._replace(free=100_000_000)
    monkeypatch.setattr(install.shutil, "disk_usage", lambda folder: usage)
    installation, plan = planned(uv)
    expected = f"about 512 MB are needed in {data_folder()}, but only 100 MB are free"
    assert plan.refusal == expected
    with pytest.raises(InstallationFailed, match=expected) as caught:
        installation.run(plan, silent, never)
    assert caught.value.failure.kind == "disk"
    assert not (data_folder() / "engines").exists()


def test_an_installed_engine_is_verified_and_then_used(uv: FakeUv) -> None:
    installation, plan = planned(uv)
    report = installation.run(plan, silent, never)
    folder = data_folder() / "engines" / "0.1.0-1"
    assert report.is_usable
    assert chosen_python("") == str(folder / "bin" / "python")
    assert (folder / "pylock.toml").read_text() == plan.lock
    pointer = read_pointer()
    assert pointer is not None
    assert (pointer.current.version, pointer.previous) == ("0.1.0", None)


def test_uv_is_never_told_to_change_another_python(uv: FakeUv, base: str) -> None:
    installed(uv)
    commands = [call.split() for call in uv.calls if not call.startswith("index ")]
    assert not {"--user", "--target", "--system", "--prefix"} & {
        word for command in commands for word in command
    }
    installs = [command for command in commands if command[:2] == ["pip", "install"]]
    inside = str(data_folder() / "engines" / "0.1.0-1" / "bin" / "python")
    assert [command[command.index("--python") + 1] for command in installs] == [inside]


def test_progress_is_told_by_bytes_and_never_goes_back(uv: FakeUv) -> None:
    uv.behave(seconds=1)
    installation, plan = planned(uv)
    told: list[Progress] = []
    installation.run(plan, told.append, never)
    downloads = [each for each in told if each.stage == "download"]
    done = [each.done for each in downloads]
    assert downloads[0].text == "Downloading torch (2 MB)"
    assert {each.total for each in downloads} == {3_000_000}
    assert done == sorted(done)
    assert 1_000_000 in done  # 4 MB are unpacked, about a quarter of it was downloaded
    assert told[-1].stage == "verify"


def test_cancelling_leaves_no_process_no_folder_and_the_old_engine(
    uv: FakeUv, tmp_path: Path
) -> None:
    old = installed(uv)
    uv.behave(is_slow=True)
    installation, plan = planned(uv)
    pids = uv.folder / "pids.txt"
    with pytest.raises(Cancelled):
        installation.run(plan, silent, pids.exists)
    assert [is_alive(int(pid)) for pid in pids.read_text().split()] == [False, False]
    assert chosen_python("") == old
    assert engines() == {"0.1.0-1"}
    assert list((data_folder() / "cache").glob(".tmp*")) == []
    uv.behave(is_slow=False)
    assert installed(uv).endswith("0.1.0-2/bin/python")


def test_cancelling_the_last_check_leaves_the_old_engine(uv: FakeUv, tmp_path: Path) -> None:
    old, note = installed(uv), tmp_path / "number"
    uv.behave(engine=hanging_text("doctor", note, python_text()))
    installation, plan = planned(uv)
    with pytest.raises(Cancelled):
        installation.run(plan, silent, note.exists)
    assert chosen_python("") == old
    assert engines() == {"0.1.0-1"}


def test_cancelling_while_servers_are_asked_for_sizes_asks_no_more_of_them(
    uv: FakeUv, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ("geoseg-0.1.0", "torch-2.13.0", "numpy-2.0.0")
    uv.behave(
        lock=lock_of(
            *(
                (name.split("-")[0], f"https://i.example/{name}-py3-none-any.whl", 0)
                for name in names
            )
        )
    )
    asked: list[str] = []
    monkeypatch.setattr(install.Web, "size", lambda _web, url: asked.append(url) or 0)
    with pytest.raises(Cancelled):
        Installation(Order(wheels=str(uv.wheels))).plan(silent, lambda: bool(asked))
    assert len(asked) == 1


def test_a_cancelled_rollback_changes_nothing(uv: FakeUv, tmp_path: Path) -> None:
    first, second = installed(uv), installed(uv)
    note = tmp_path / "number"
    script(Path(first), hanging_text("doctor", note, python_text()))
    with pytest.raises(Cancelled):
        rollback(note.exists)
    assert chosen_python("") == second


@pytest.mark.parametrize(
    ("conduct", "kind"),
    [
        ({"install_error": "error: No space left on device (os error 28)"}, "disk"),
        ({"install_error": "cause: dns error"}, "host"),
        ({"engine": python_text(geoseg=None)}, "damaged"),
        (
            {
                "engine": python_text(
                    doctor={
                        **HEALTHY,
                        "versions": {"torch": None},
                        "problems": [
                            {"what": "torch cannot be imported ([WinError 126] c10.dll)",
                             "remedy": "pip"}
                        ],
                    }
                )
            },
            "runtime",
        ),
    ],
)  # fmt: skip
def test_a_failure_is_classified_and_the_old_engine_stays(
    conduct: dict[str, str], kind: str, uv: FakeUv
) -> None:
    old = installed(uv)
    uv.behave(**conduct)
    installation, plan = planned(uv)
    with pytest.raises(InstallationFailed) as caught:
        installation.run(plan, silent, never)
    assert caught.value.failure.kind == kind
    assert "$ uv pip install" in caught.value.failure.log
    assert chosen_python("") == old
    assert engines() == {"0.1.0-1"}


def test_the_engine_before_is_kept_to_go_back_to_and_older_ones_are_removed(uv: FakeUv) -> None:
    first, second, third = installed(uv), installed(uv), installed(uv)
    assert engines() == {"0.1.0-2", "0.1.0-3"}
    assert not os.path.exists(first)
    assert chosen_python("") == third
    assert rollback(never).python == second
    assert chosen_python("") == second
    assert rollback(never).python == third


def test_there_is_nothing_to_go_back_to_after_the_first_installation(uv: FakeUv) -> None:
    installed(uv)
    with pytest.raises(EngineMissing, match="there is no earlier engine to go back to"):
        rollback(never)


def test_an_earlier_engine_that_is_broken_is_not_gone_back_to(uv: FakeUv) -> None:
    first, second = installed(uv), installed(uv)
    script(Path(first), "#!/bin/sh\nexit 1\n")
    with pytest.raises(EngineMissing, match="is no Python with a working geoseg"):
        rollback(never)
    assert chosen_python("") == second


def test_remains_of_a_killed_installation_are_removed_by_the_next(uv: FakeUv) -> None:
    half = data_folder() / "engines" / "0.1.0-1"
    half.mkdir(parents=True)
    (half / "rest").touch()
    (data_folder() / "cache" / ".tmp1").mkdir(parents=True)
    installed(uv)
    assert [each.name for each in half.iterdir() if each.name == "rest"] == []
    assert engines() == {"0.1.0-1"}


_QGIS = """
import sys
from geoseg_qgis.engine.install import Installation, Order
installation = Installation(Order(wheels=sys.argv[1]))
plan = installation.plan(lambda progress: None, lambda: False)
installation.run(plan, lambda progress: None, lambda: False)
"""


def test_nothing_of_an_installation_outlives_a_killed_qgis_and_the_next_one_removes_its_remains(
    uv: FakeUv,
) -> None:
    uv.behave(is_slow=True)
    pids = uv.folder / "pids.txt"
    plugin = Path(install.__file__).parents[2]
    with subprocess.Popen([sys.executable, "-c", _QGIS, str(uv.wheels)], cwd=plugin) as qgis:
        while not (pids.exists() and len(pids.read_text().split()) == 2):
            assert qgis.poll() is None
            time.sleep(0.01)
        with pytest.raises(InstallationFailed, match=rf"another QGIS \(process {qgis.pid}\) is"):
            planned(uv)
        qgis.kill()
    numbers = [int(pid) for pid in pids.read_text().split()]
    patience = time.monotonic() + 20
    while any(map(is_alive, numbers)) and time.monotonic() < patience:
        time.sleep(0.01)
    assert [is_alive(number) for number in numbers] == [False, False]
    assert list((data_folder() / "cache").glob(".tmp*"))
    (data_folder() / "plan-abc").mkdir()  # of one that was killed while it looked
    uv.behave(is_slow=False)
    _, plan = planned(uv)
    left = {each.name for each in data_folder().iterdir()}
    assert left == {"cache", "engines", "install.lock", "tools", "use.lock"}
    assert engines() == set()
    assert list((data_folder() / "cache").iterdir()) == []
    assert plan.download == 3_000_000


def test_engines_that_nobody_can_tell_are_used_are_left_alone(uv: FakeUv) -> None:
    installed(uv)
    (data_folder() / "env.json").write_text("{")
    planned(uv)
    assert engines() == {"0.1.0-1"}


def test_an_engine_at_work_is_neither_removed_nor_cleared_away(uv: FakeUv) -> None:
    oldest = installed(uv)
    with in_use(oldest):
        with pytest.raises(Busy, match="an engine is at work"):
            uninstall()
        installed(uv)
        installed(uv)
        assert rollback(never).version == "0.1.0"
        assert os.path.exists(oldest)
    planned(uv)
    assert engines() == {"0.1.0-2", "0.1.0-3"}
    uninstall()
    assert read_pointer() is None


def test_a_run_keeps_its_engine(uv: FakeUv) -> None:
    """As long as it takes, and no longer."""
    python = installed(uv)
    heard: list[str] = []

    def remove(_event: object) -> None:
        with pytest.raises(Busy, match="an engine is at work") as caught:
            uninstall()
        heard.append(str(caught.value))

    with pytest.raises(EngineError):
        run(python, ["predict"], on_event=remove, is_cancelled=never)
    assert heard
    with unused(), pytest.raises(EngineError, match="are being removed at this moment"):
        ask(python, ["doctor", "--json"], is_cancelled=never)
    uninstall()


def test_a_second_qgis_has_to_wait(uv: FakeUv) -> None:
    installation, plan = planned(uv)
    with exclusive(), pytest.raises(InstallationFailed, match="another QGIS") as caught:
        installation.run(plan, silent, never)
    assert caught.value.failure.kind == "busy"


def test_offline_nothing_but_the_folder_is_asked(
    uv: FakeUv, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UV_INDEX", "https://i.example/simple")
    installation, plan = planned(uv, is_offline=True)
    installation.run(plan, silent, never)
    commands = [call for call in uv.calls if not call.startswith("index ")]
    compiles = [call for call in commands if call.startswith("pip compile")]
    assert all("--no-index --offline" in call for call in compiles)
    assert all("--torch-backend" not in call for call in commands)
    assert not [call for call in commands if call.startswith("python install")]
    assert all("--offline" in call for call in commands if call.startswith("pip"))


@pytest.mark.parametrize(
    ("backend", "told"),
    [("auto", "--torch-backend auto"), ("cpu", "--torch-backend cpu"), ("index", "")],
)
def test_the_backend_is_passed_on(backend: str, told: str, uv: FakeUv) -> None:
    planned(uv, backend=backend)
    (compiles,) = [call for call in uv.calls if call.startswith("pip compile")]
    assert told in compiles
    assert ("--torch-backend" in compiles) == bool(told)


def test_an_unknown_backend_is_refused() -> None:
    with pytest.raises(ValueError, match="backend is 'gpu', expected one of"):
        Installation(Order(backend="gpu"))


def test_the_best_known_python_is_chosen_and_that_of_qgis_comes_last(
    uv: FakeUv, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def python(name: str, *version: int) -> str:
        path = tmp_path / name / "bin" / "python3"
        return str(script(path, python_text(version, executable=str(path))))  # type: ignore[arg-type]

    qgis = python("qgis", 3, 12, 0)
    newest, oldest = python("newest", 3, 14, 0), python("oldest", 3, 10, 0)
    good, better = python("good", 3, 11, 0), python("better", 3, 13, 0)
    monkeypatch.setattr(install.sys, "base_prefix", str(tmp_path / "qgis"))
    uv.behave(pythons=[qgis, newest, oldest, good, better, "/not/there/python3"])
    assert planned(uv)[1].python.path == better
    uv.behave(pythons=[newest, oldest])
    assert planned(uv)[1].python.path == qgis
    script(Path(qgis), python_text((3, 9, 5), executable=qgis))
    with pytest.raises(InstallationFailed, match=r"no Python 3\.11, 3\.12 or 3\.13 to build on"):
        planned(uv)


@pytest.mark.parametrize(
    ("order", "reason"),
    [
        ({"python": "/not/there"}, "/not/there does not exist"),
        ({"wheels": "/not/there"}, "the folder of wheels /not/there does not exist"),
        ({"is_offline": True, "wheels": ""}, r"the folder of wheels \(none given\) does not exist"),
    ],
)
def test_an_order_that_cannot_be_met_is_refused(
    order: dict[str, object], reason: str, uv: FakeUv
) -> None:
    told = {"wheels": str(uv.wheels), **order}
    with pytest.raises(InstallationFailed, match=reason):
        Installation(Order(**told)).plan(silent, never)  # type: ignore[arg-type]


def test_a_python_of_another_version_is_refused(uv: FakeUv, tmp_path: Path) -> None:
    old = script(tmp_path / "old" / "python3", python_text((3, 10, 1)))
    with pytest.raises(InstallationFailed, match=r"is a 64-bit Python 3\.10\.1; choose a 64-bit"):
        planned(uv, python=str(old))


def test_passwords_of_the_index_are_in_no_log(uv: FakeUv, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UV_DEFAULT_INDEX", "https://jane:hunter2@i.example/simple")
    uv.behave(compile_error="error: Failed to fetch https://jane:hunter2@i.example/simple/geoseg/")
    installation = Installation(Order(wheels=str(uv.wheels)))
    with pytest.raises(InstallationFailed) as caught:
        installation.plan(silent, never)
    assert "index https://jane:hunter2@i.example/simple" in uv.calls
    assert "hunter2" not in caught.value.failure.log + "\n".join(installation.log)
    assert "hunter2" not in str(caught.value)


def test_the_log_of_a_failure_tells_what_failed_before_anything_was_done(
    uv: FakeUv, monkeypatch: pytest.MonkeyPatch
) -> None:
    next(uv.wheels.glob("uv-*")).write_bytes(b"no zip")
    with pytest.raises(InstallationFailed) as caught:
        planned(uv)
    assert "File is not a zip file" in caught.value.failure.log
    (data_folder().parent / "file").touch()
    monkeypatch.setenv("GEOSEG_HOME", str(data_folder().parent / "file" / "home"))
    with pytest.raises(InstallationFailed) as caught:
        planned(uv)
    assert "NotADirectoryError" in caught.value.failure.log


def test_what_lies_in_the_named_folder_beside_the_engines_is_left_alone(
    uv: FakeUv, home: Path
) -> None:
    """It may be a whole disk, with folders that happen to have the names of ours."""
    own = [
        home / name / "mine.txt"
        for name in ("engines/0.1.0-1", "cache/.tmp1", "tools", "pythons", "plan-b", "geoseg")
    ]
    own += [home / "env.json", home / "env-old.json", home / "tools" / "mine.part"]
    for path in own:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("mine")
    installed(uv)
    uv.behave(install_error="error: odd")
    with pytest.raises(InstallationFailed):
        installed(uv)
    uninstall()
    assert [path for path in own if not path.exists()] == []
    assert sorted(os.listdir(home / "geoseg-qgis")) == ["install.lock", "use.lock"]


def test_uninstalling_leaves_nothing_but_the_locks(uv: FakeUv) -> None:
    installed(uv)
    uninstall()
    assert read_pointer() is None
    assert sorted(os.listdir(data_folder())) == ["install.lock", "use.lock"]


_PROGRAM = f"import json, sys\nprint({json.dumps(HEALTHY)!r})\n"


real_uv = pytest.mark.skipif(
    REAL_UV is None, reason="there is no uv in PATH, and none named in GEOSEG_UV"
)


@pytest.fixture
def real_tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A PATH with uv and little else."""
    (tmp_path / "tools").mkdir()
    (tmp_path / "tools" / "uv").symlink_to(str(REAL_UV))
    monkeypatch.setenv("PATH", f"{tmp_path / 'tools'}:/bin:/usr/bin")
    if sys.version_info[:2] not in install.PYTHONS:
        pytest.skip("no engine can be built on this Python")


class Refusal(http.server.BaseHTTPRequestHandler):
    """Answers everybody with the same status."""

    status = 401

    def do_GET(self) -> None:
        self.send_error(self.status)

    do_CONNECT = do_GET  # noqa: N815

    def log_message(self, *_told: object) -> None:
        pass


@pytest.fixture
def refusing(request: pytest.FixtureRequest) -> Iterator[str]:
    """Address of a server that answers with a status."""
    kind = type("Refusing", (Refusal,), {"status": request.param})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), kind)
    with answering(server) as port:
        yield f"127.0.0.1:{port}"


def kind_of_failure(order: Order) -> str:
    with pytest.raises(InstallationFailed) as caught:
        Installation(order).plan(silent, never)
    assert caught.value.failure.remedy
    assert "$ uv pip compile" in caught.value.failure.log
    return caught.value.failure.kind


@real_uv
@pytest.mark.usefixtures("real_tools")
@pytest.mark.parametrize(
    ("refusing", "kind"),
    [(401, "access"), (403, "access"), (404, "version")],
    indirect=["refusing"],
)
def test_what_the_real_uv_says_of_an_index_that_refuses_is_understood(
    refusing: str, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UV_DEFAULT_INDEX", f"http://{refusing}/simple")
    assert kind_of_failure(Order(backend="index", python=sys.executable)) == kind


@real_uv
@pytest.mark.usefixtures("real_tools")
@pytest.mark.parametrize("refusing", [407], indirect=True)
def test_what_the_real_uv_says_of_a_proxy_is_understood(
    refusing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UV_DEFAULT_INDEX", "https://i.example/simple")
    monkeypatch.setenv("UV_HTTP_RETRIES", "0")
    for proxy in (refusing, "127.0.0.1:9"):
        network = {"HTTPS_PROXY": f"http://{proxy}"}
        order = Order(backend="index", python=sys.executable, environment=network)
        assert kind_of_failure(order) == "proxy"


def damaged(path: Path) -> None:
    """Cut a wheel in the middle of a file."""
    path.write_bytes(path.read_bytes()[:3000])


@real_uv
@pytest.mark.usefixtures("real_tools")
def test_what_the_real_uv_says_of_a_folder_of_wheels_is_understood(tmp_path: Path) -> None:
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    order = Order(wheels=str(wheels), is_offline=True, python=sys.executable)
    assert kind_of_failure(order) == "version"
    with pytest.raises(InstallationFailed, match=r"^the folder of wheels lacks geoseg;"):
        Installation(order).plan(silent, never)
    about = "Metadata-Version: 2.1\nName: geoseg\nVersion: 0.1.1\nRequires-Dist: torch\n"
    wheel(wheels, "geoseg-0.1.1", {"geoseg-0.1.1.dist-info/METADATA": about})
    wheel(wheels, "torch-2.0", {"torch.py": ""}, "py3-none-win_ia64")
    assert kind_of_failure(order) == "python"
    damaged(wheel(wheels, "geoseg-0.1.2", {"geoseg/large.txt": "x" * 99_999}))
    assert kind_of_failure(order) == "file"


@real_uv
@pytest.mark.usefixtures("real_tools")
def test_the_real_uv_installs_from_a_folder_of_wheels(tmp_path: Path) -> None:
    wheels = tmp_path / "wheels"
    needs = "Metadata-Version: 2.1\nName: geoseg\nVersion: {}\nRequires-Dist: companion>=2\n"
    for version in ("0.0.9", "0.1.0", "0.1.3", "0.2.0"):
        about = {f"geoseg-{version}.dist-info/METADATA": needs.format(version)}
        members = {"geoseg/__init__.py": "", "geoseg/__main__.py": _PROGRAM, **about}
        wheel(wheels, f"geoseg-{version}", members)
    wheel(wheels, "companion-2.0", {"companion.py": ""})
    order = Order(wheels=str(wheels), is_offline=True, python=sys.executable)
    installation = Installation(order)
    plan = installation.plan(silent, never)
    assert [(each.name, each.version) for each in plan.packages] == [
        ("companion", "2.0"),
        ("geoseg", "0.1.3"),
    ]
    assert plan.download == 0
    report = installation.run(plan, silent, never)
    assert report.python == str(data_folder() / "engines" / "0.1.3-1" / "bin" / "python")
    (wheels / "companion-2.0-py3-none-any.whl").unlink()
    shutil.rmtree(data_folder() / "cache")
    with pytest.raises(InstallationFailed, match="is not in the package index or in the folder"):
        Installation(order).plan(silent, never)
