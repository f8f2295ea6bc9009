# SPDX-License-Identifier: GPL-2.0-or-later
"""The settings page shows what is true, and does what its buttons say, without stopping QGIS."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Callable

import pytest
import qgis.utils
from processes import is_alive
from qgis.core import QgsApplication, QgsSettings, QgsTask
from qgis.PyQt import sip
from qgis.PyQt.QtCore import QThread
from qgis.PyQt.QtGui import QIcon
from qgis.PyQt.QtWidgets import QLabel, QMessageBox

from geoseg_qgis import options
from geoseg_qgis.engine.environment import Engine, Pointer, read_pointer, write_pointer
from geoseg_qgis.engine.home import data_folder, exclusive, in_use
from geoseg_qgis.options import OptionsFactory, OptionsPage
from geoseg_qgis.settings import python_setting, set_python_setting

sys.path.insert(0, str(Path(__file__).parents[1] / "engine"))
from makers import HEALTHY, FakeUv, hanging_text, lock_of, python_text, script, wheel

Until = Callable[[Callable[[], bool]], None]
LACKING = {
    **HEALTHY,
    "ok": False,
    "problems": [{"what": "no model is here", "remedy": "install the whole package"}],
}


class Bar:
    """Stands for the message bar above the map."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def messageBar(self) -> Bar:  # noqa: N802
        return self

    def pushMessage(self, *told: Any) -> None:  # noqa: N802
        self.texts.append(told[1])


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, qgis_app: Any) -> Iterator[Path]:
    monkeypatch.setenv("GEOSEG_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PATH", "/bin:/usr/bin")
    for name in ("GEOSEG_PYTHON", "PIP_FIND_LINKS", "UV_FIND_LINKS", "UV_DEFAULT_INDEX"):
        monkeypatch.delenv(name, raising=False)
    QgsSettings().remove("geoseg")
    yield data_folder()
    QgsSettings().remove("geoseg")


@pytest.fixture
def uv(tmp_path: Path) -> FakeUv:
    base = tmp_path / "base" / "python3.12"
    script(base, python_text(executable=str(base), geoseg=None))
    return FakeUv(tmp_path / "uv", [str(base)])


@pytest.fixture
def changes() -> list[int]:
    return []


@pytest.fixture
def factory(changes: list[int]) -> Iterator[OptionsFactory]:
    made = OptionsFactory(QIcon(), lambda: changes.append(1))
    yield made
    made.close_down()


@pytest.fixture
def page(factory: OptionsFactory) -> Iterator[OptionsPage]:
    made = factory.createWidget()
    yield made
    if not sip.isdeleted(made):
        close(made)


@pytest.fixture
def until(qtbot: Any) -> Until:
    def wait(is_so: Callable[[], bool]) -> None:
        qtbot.waitUntil(is_so, timeout=30_000)

    return wait


@pytest.fixture
def idle(factory: OptionsFactory, until: Until) -> Callable[[], None]:
    """Waits until the work is done."""
    return lambda: until(lambda: not factory.setup.activity)


def shown(page: OptionsPage, size: tuple[int, int] = (700, 800)) -> None:
    page.resize(*size)
    page.show()


def engine_at(path: Path, **told: Any) -> str:
    return str(script(path, python_text(executable=str(path), **told)))


def planned(page: OptionsPage, uv: FakeUv, idle: Callable[[], None]) -> None:
    page.show()
    page.install.wheels.setFilePath(str(uv.wheels))
    page.install.look_button.click()
    idle()


def test_a_new_user_is_told_what_to_do(page: OptionsPage) -> None:
    shown(page)
    assert page.engine.state.texts() == [
        "There is no engine yet. Install it, or choose a Python that has geoseg."
    ]
    assert not page.engine.check_button.isEnabled()
    assert page.install.look_button.isVisible()
    assert not page.install.install_button.isVisible()
    assert not page.install.remove_button.isVisible()
    assert not page.install.roll_back_button.isVisible()


def test_offline_nothing_is_said_to_be_fetched(page: OptionsPage) -> None:
    shown(page)
    assert page.install.look_hint.isVisibleTo(page)
    page.install.offline.setChecked(True)
    assert not page.install.look_hint.isVisibleTo(page)
    page.install.offline.setChecked(False)
    assert page.install.look_hint.isVisibleTo(page)


def test_a_shown_page_checks_the_engine_in_use(
    page: OptionsPage, tmp_path: Path, idle: Callable[[], None]
) -> None:
    python = engine_at(tmp_path / "mine" / "python3", doctor=LACKING)
    set_python_setting(python)
    shown(page)
    assert page.engine.state.texts() == [f"Checking {python}…"]
    idle()
    assert page.engine.state.texts() == [
        f"geoseg 0.1.0, works on: cpu\nPython: {python}",
        "No model is here. Install the whole package.",
    ]


def hanging(path: Path) -> tuple[str, Callable[[], bool]]:
    """An engine whose check never ends, and whether that is under way."""
    note = path.parent / "number"
    python = script(path, hanging_text("doctor", note, python_text(executable=str(path))))
    return str(python), lambda: note.exists() and is_alive(int(note.read_text() or 0))


def test_a_check_that_hangs_can_be_cancelled(
    factory: OptionsFactory,
    page: OptionsPage,
    tmp_path: Path,
    until: Until,
    idle: Callable[[], None],
) -> None:
    python, is_asked = hanging(tmp_path / "mine" / "python3")
    set_python_setting(python)
    shown(page)
    until(is_asked)
    factory.setup.cancel()
    idle()
    assert not is_asked()
    assert page.engine.state.texts()[0].startswith("Cancelled. Nothing was changed")
    assert page.engine.check_button.isEnabled()


def test_a_path_is_not_used_when_its_check_is_cancelled_in_the_bar_of_tasks(
    page: OptionsPage, tmp_path: Path, until: Until, idle: Callable[[], None], changes: list[int]
) -> None:
    python, is_asked = hanging(tmp_path / "mine" / "python3")
    page.existing.path.setFilePath(python)
    shown(page)
    page.existing.use_button.click()
    until(is_asked)
    QgsApplication.taskManager().cancelAll()
    idle()
    assert not is_asked()
    assert python_setting() == ""
    assert changes == []


def test_what_is_cancelled_before_its_turn_does_not_begin(
    factory: OptionsFactory, tmp_path: Path, until: Until, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    monkeypatch.setattr("geoseg_qgis.installing.check", lambda *told: asked.append(told))
    set_python_setting(engine_at(tmp_path / "mine" / "python3"))
    with no_turn(until):
        factory.setup.check()
        assert factory.setup.activity == "check"
        factory.setup.cancel()
        assert factory.setup.activity == ""
        assert factory.setup.outcome is not None
        assert factory.setup.outcome.text.startswith("Cancelled.")
    assert asked == []


@contextmanager
def no_turn(until: Until) -> Iterator[None]:
    """Keep all threads of tasks busy."""
    manager, end = QgsApplication.taskManager(), threading.Event()
    others = [
        QgsTask.fromFunction("other", lambda _task: end.wait())
        for _ in range(4 * QThread.idealThreadCount() + 8)
    ]
    for other in others:
        manager.addTask(other)
    try:
        until(lambda: any(each.status() == QgsTask.TaskStatus.Running for each in others))
        assert any(each.status() == QgsTask.TaskStatus.Queued for each in others)
        yield
    finally:
        end.set()
        until(lambda: manager.countActiveTasks() == 0)


def test_unloading_the_plugin_during_a_check_ends_it_and_tells_nobody(
    changes: list[int], tmp_path: Path, until: Until, qtbot: Any
) -> None:
    python, is_asked = hanging(tmp_path / "mine" / "python3")
    set_python_setting(python)
    made = OptionsFactory(QIcon(), lambda: changes.append(1))
    page = made.createWidget()
    qtbot.addWidget(page)
    shown(page)
    until(is_asked)
    made.close_down()
    assert is_asked()  # nobody waited for its end
    until(lambda: not is_asked())
    until(lambda: QgsApplication.taskManager().countActiveTasks() == 0)
    assert made.setup.outcome is None
    assert changes == []


def test_an_engine_that_fails_its_check_is_told_with_the_reason(
    page: OptionsPage, tmp_path: Path, idle: Callable[[], None]
) -> None:
    python = engine_at(tmp_path / "mine" / "python3", geoseg="0.2.0")
    set_python_setting(python)
    shown(page)
    idle()
    assert page.engine.state.texts() == [
        f"{python} has geoseg 0.2.0, this plugin works with 0.1.x; update this plugin."
    ]
    page.engine.copy_button.click()
    assert "has geoseg 0.2.0" in QgsApplication.clipboard().text()


@pytest.mark.parametrize(
    ("told", "reason"),
    [
        ({"geoseg": None}, "has no geoseg; install it there"),
        ({"version": (3, 10, 2)}, "is Python 3.10.2, geoseg needs 3.11 or newer"),
    ],
)
def test_an_unsuitable_python_is_refused_with_the_reason(
    page: OptionsPage,
    tmp_path: Path,
    idle: Callable[[], None],
    changes: list[int],
    told: dict[str, Any],
    reason: str,
) -> None:
    page.existing.path.setFilePath(engine_at(tmp_path / "other" / "python3", **told))
    page.show()
    page.existing.use_button.click()
    idle()
    assert len(page.existing.outcomes.texts()) == 1
    assert reason in page.existing.outcomes.texts()[0]
    assert python_setting() == ""
    assert changes == []


def test_what_is_no_python_is_never_started(
    page: OptionsPage, tmp_path: Path, idle: Callable[[], None]
) -> None:
    started = tmp_path / "started"
    program = script(tmp_path / "qgis-bin", f"#!/bin/sh\ntouch {started}\n")
    page.existing.path.setFilePath(str(program))
    page.show()
    page.existing.use_button.click()
    idle()
    assert "is no Python interpreter" in page.existing.outcomes.texts()[0]
    assert not started.exists()


def test_a_python_with_geoseg_is_used_until_it_is_given_up(
    page: OptionsPage, tmp_path: Path, idle: Callable[[], None], changes: list[int]
) -> None:
    python = engine_at(tmp_path / "other" / "python3")
    page.existing.path.setFilePath(python)
    page.show()
    page.existing.use_button.click()
    idle()
    assert python_setting() == python
    assert changes == [1]
    assert page.engine.state.texts() == [f"geoseg 0.1.0, works on: cpu\nPython: {python}"]
    page.existing.clear_button.click()
    assert python_setting() == ""
    assert page.existing.path.filePath() == ""
    assert page.engine.state.texts()[0].startswith("There is no engine yet.")
    assert changes == [1, 1]


def test_a_typed_path_counts_when_the_options_are_accepted(
    page: OptionsPage, tmp_path: Path, idle: Callable[[], None]
) -> None:
    python = engine_at(tmp_path / "other" / "python3")
    page.existing.path.setFilePath(python)
    page.apply()
    idle()
    assert python_setting() == python


def test_the_variable_that_goes_before_everything_is_told(
    page: OptionsPage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GEOSEG_PYTHON", engine_at(tmp_path / "env" / "python3"))
    page.engine.refresh()
    assert "GEOSEG_PYTHON" in page.engine.state.texts()[-1]


def test_the_plan_is_shown_before_anything_is_installed(
    page: OptionsPage, uv: FakeUv, idle: Callable[[], None], home: Path
) -> None:
    shown(page)
    planned(page, uv, idle)
    box = page.install
    assert box.download.text() == "3 MB"
    assert box.disk.text().startswith("about 512 MB needed, ")  # 500 MB and four times 3
    assert box.folder.text() == str(home)
    assert box.python.text().startswith("3.12.1 (")
    assert box.packages.text() == "geoseg 0.1.0 with torch 2.13.0"
    assert box.install_button.isVisible()
    assert not (home / "engines").exists()


def test_a_plan_for_other_choices_is_not_installed(
    page: OptionsPage, uv: FakeUv, idle: Callable[[], None]
) -> None:
    shown(page)
    planned(page, uv, idle)
    page.install.backend.setCurrentIndex(1)
    assert not page.install.install_button.isVisible()
    assert page.install.look_button.isVisible()
    page.install.look_button.click()
    idle()
    assert [call for call in uv.calls if "--torch-backend cpu" in call] != []


def test_without_room_nothing_can_be_installed(
    page: OptionsPage,
    uv: FakeUv,
    idle: Callable[[], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Usage:
        free = 100_000_000

    monkeypatch.setattr("geoseg_qgis.engine.install.shutil.disk_usage", lambda _folder: Usage)
    shown(page)
    planned(page, uv, idle)
    assert not page.install.install_button.isEnabled()
    assert "but only 100 MB are free" in page.install.refusals.texts()[0]


def test_an_installed_engine_is_verified_used_and_told(
    page: OptionsPage, uv: FakeUv, idle: Callable[[], None], changes: list[int], tmp_path: Path
) -> None:
    set_python_setting(engine_at(tmp_path / "old" / "python3"))
    shown(page)
    idle()
    planned(page, uv, idle)
    page.install.install_button.click()
    idle()
    pointer = read_pointer()
    assert pointer is not None
    assert page.engine.state.texts() == [
        f"geoseg 0.1.0, works on: cpu\nPython: {pointer.current.python}"
    ]
    assert page.install.outcomes.texts() == [
        "geoseg 0.1.0 is installed, works, and is used from now on."
    ]
    assert python_setting() == ""
    assert page.existing.path.filePath() == ""
    assert changes == [1]
    assert page.install.remove_button.isVisible()
    assert not page.install.roll_back_button.isVisible()


def test_a_failure_is_told_with_its_remedy_and_can_be_copied(
    page: OptionsPage, uv: FakeUv, idle: Callable[[], None]
) -> None:
    shown(page)
    planned(page, uv, idle)
    uv.behave(install_error="error: tunnel error for https://me:geheim@proxy.example/")
    page.install.install_button.click()
    idle()
    (text,) = page.install.outcomes.texts()
    assert text.startswith("The proxy does not let the download through")
    assert "Settings > Options > Network" in text
    page.install._copy()
    copied = QgsApplication.clipboard().text()
    assert "kind: proxy" in copied
    assert "tunnel error" in copied
    assert "geheim" not in copied
    assert page.install.install_button.isEnabled()


def test_a_failure_is_still_told_when_the_page_is_opened_again(
    factory: OptionsFactory, page: OptionsPage, tmp_path: Path, idle: Callable[[], None]
) -> None:
    shown(page)
    page.install.wheels.setFilePath(str(tmp_path / "nowhere"))
    page.install.look_button.click()
    idle()
    set_python_setting(engine_at(tmp_path / "mine" / "python3"))
    close(page)
    again = factory.createWidget()
    shown(again)
    idle()
    assert "nowhere does not exist" in again.install.outcomes.texts()[0]
    close(again)


def test_a_cancelled_installation_changes_nothing(
    page: OptionsPage, uv: FakeUv, idle: Callable[[], None], until: Until
) -> None:
    shown(page)
    planned(page, uv, idle)
    uv.behave(is_slow=True)
    page.install.install_button.click()
    until(lambda: (uv.folder / "pids.txt").exists())
    assert page.install.cancel_button.isVisible()
    page.install.cancel_button.click()
    assert not page.install.cancel_button.isEnabled()
    idle()
    assert page.install.outcomes.texts() == [
        "Cancelled. Nothing was changed; what was downloaded is kept."
    ]
    assert read_pointer() is None
    pids = [int(pid) for pid in (uv.folder / "pids.txt").read_text().split()]
    assert [pid for pid in pids if is_alive(pid)] == []


def test_progress_is_told_in_bytes(
    page: OptionsPage, uv: FakeUv, idle: Callable[[], None], until: Until
) -> None:
    shown(page)
    planned(page, uv, idle)
    uv.behave(seconds=3)
    page.install.install_button.click()
    # 4 MB are unpacked, of which a fourth counts, for wheels are packed.
    until(lambda: page.install.stage.text() == "Downloading torch (2 MB): 1 MB of 3 MB")
    assert page.install.bar.value() == 333
    idle()


def test_an_installation_outlives_the_page_and_is_told_above_the_map(
    factory: OptionsFactory,
    uv: FakeUv,
    idle: Callable[[], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bar = Bar()
    monkeypatch.setattr(qgis.utils, "iface", bar)
    page = factory.createWidget()
    shown(page)
    planned(page, uv, idle)
    uv.behave(seconds=2)
    page.install.install_button.click()
    close(page)
    again = factory.createWidget()
    shown(again)
    assert again.install.cancel_button.isVisible()
    assert again.install.download.text() == "3 MB"
    assert again.install.wheels.filePath() == str(uv.wheels)
    close(again)
    idle()
    assert read_pointer() is not None
    assert bar.texts == ["geoseg 0.1.0 is installed, works, and is used from now on."]


def close(page: OptionsPage) -> None:
    """Destroy a page as closing the options does."""
    page.hide()
    sip.delete(page)


def test_what_an_open_page_shows_is_not_told_above_the_map(
    page: OptionsPage, uv: FakeUv, idle: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    bar = Bar()
    monkeypatch.setattr(qgis.utils, "iface", bar)
    planned(page, uv, idle)
    page.install.install_button.click()
    idle()
    assert bar.texts == []


def test_the_engine_before_is_used_again(
    page: OptionsPage, tmp_path: Path, idle: Callable[[], None]
) -> None:
    old, new = (engine_at(tmp_path / name / "python3") for name in ("old", "new"))
    write_pointer(Pointer(Engine(new, "0.1.1", "new"), Engine(old, "0.1.0", "old")))
    shown(page)
    idle()
    page.install.roll_back_button.click()
    idle()
    pointer = read_pointer()
    assert pointer is not None
    assert pointer.current.python == old
    assert page.install.outcomes.texts() == ["geoseg 0.1.0, the one before, is used again."]
    assert page.engine.state.texts() == [f"geoseg 0.1.0, works on: cpu\nPython: {old}"]


@pytest.mark.parametrize("agreed", [True, False])
def test_engines_are_removed_when_the_user_agrees(
    page: OptionsPage,
    tmp_path: Path,
    idle: Callable[[], None],
    monkeypatch: pytest.MonkeyPatch,
    agreed: bool,
) -> None:
    buttons = QMessageBox.StandardButton
    monkeypatch.setattr(
        QMessageBox, "question", lambda *_told: buttons.Yes if agreed else buttons.No
    )
    write_pointer(Pointer(Engine(engine_at(tmp_path / "new" / "python3"), "0.1.0", "new")))
    shown(page)
    idle()
    page.install.remove_button.click()
    idle()
    assert (read_pointer() is None) == agreed
    assert page.engine.state.texts()[0].startswith("There is no engine yet.") == agreed


def test_engines_are_not_removed_under_a_run(
    page: OptionsPage, home: Path, idle: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(QMessageBox, "question", lambda *_told: QMessageBox.StandardButton.Yes)
    folder = home / "engines" / "0.1.0-1"
    python = engine_at(folder / "bin" / "python")
    write_pointer(Pointer(Engine(python, "0.1.0", str(folder))))
    shown(page)
    idle()
    with in_use(python):
        page.install.remove_button.click()
        idle()
    assert page.install.outcomes.texts() == [
        "An engine is at work, in this QGIS or another one; wait until it is done, or cancel it."
    ]
    assert os.path.exists(python)
    assert read_pointer() is not None


def test_the_plan_is_told_in_translated_words(
    page: OptionsPage,
    uv: FakeUv,
    idle: Callable[[], None],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    known = {
        "about {}": "etwa {}",
        "{} MB": "{} Mo",
        "{}; {} of {} packages are here already": "{}; {} von {} Paketen sind schon hier",
        "geoseg {} with {}": "geoseg {} mit {}",
    }
    monkeypatch.setattr("geoseg_qgis.install_box._tr", lambda text: known.get(text, text))
    local = wheel(tmp_path / "elsewhere", "geoseg-0.1.0", {"a": "b"})
    torch = "http://127.0.0.1:9/torch-2.13.0-cp312-cp312-linux_x86_64.whl"
    uv.behave(lock=lock_of(("geoseg", local.as_uri(), 0), ("torch", torch, 0)))
    shown(page)
    planned(page, uv, idle)
    assert page.install.download.text() == "etwa 900 Mo; 1 von 2 Paketen sind schon hier"
    assert page.install.packages.text() == "geoseg 0.1.0 mit torch 2.13.0"


def test_another_qgis_that_installs_is_told_of(
    page: OptionsPage, uv: FakeUv, idle: Callable[[], None]
) -> None:
    planned(page, uv, idle)
    with exclusive():
        page.install.install_button.click()
        idle()
    assert "another QGIS" in page.install.outcomes.texts()[0].replace("Another", "another")


def test_an_unexpected_error_is_told_and_its_place_can_be_copied(
    page: OptionsPage, uv: FakeUv, idle: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_told: Any) -> None:
        raise ZeroDivisionError("by mistake")

    monkeypatch.setattr("geoseg_qgis.engine.install.Installation.plan", broken)
    planned(page, uv, idle)
    assert "ZeroDivisionError: by mistake" in page.install.outcomes.texts()[0]
    page.install._copy()
    assert "in broken" in QgsApplication.clipboard().text()


def test_unloading_the_plugin_ends_the_work_and_tells_nobody(
    uv: FakeUv, changes: list[int], until: Until, qtbot: Any
) -> None:
    made = OptionsFactory(QIcon(), lambda: changes.append(1))
    page = made.createWidget()
    qtbot.addWidget(page)
    planned(page, uv, lambda: until(lambda: not made.setup.activity))
    uv.behave(is_slow=True)
    page.install.install_button.click()
    until(lambda: (uv.folder / "pids.txt").exists())
    made.close_down()
    pids = [int(pid) for pid in (uv.folder / "pids.txt").read_text().split()]
    until(lambda: not any(is_alive(pid) for pid in pids))
    until(lambda: QgsApplication.taskManager().countActiveTasks() == 0)
    assert changes == []
    assert read_pointer() is None


def test_nothing_is_cut_off_in_a_narrow_page(
    page: OptionsPage, uv: FakeUv, idle: Callable[[], None]
) -> None:
    shown(page, (520, 1200))
    planned(page, uv, idle)
    QgsApplication.processEvents()
    labels = [each for each in page.findChildren(QLabel) if each.isVisible() and each.text()]
    assert labels != []
    for label in labels:
        assert label.height() >= label.heightForWidth(label.width()), label.text()
        if not label.wordWrap():
            assert label.width() >= label.sizeHint().width(), label.text()


def test_the_page_has_the_name_by_which_it_is_opened(page: OptionsPage) -> None:
    assert page.objectName() == options.PAGE
