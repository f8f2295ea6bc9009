# SPDX-License-Identifier: GPL-2.0-or-later
"""What happens when a run is stopped, the engine breaks, or there is none."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import processing
import pytest
from processes import is_alive
from qgis.core import (
    QgsProcessingContext,
    QgsProcessingException,
    QgsProcessingUtils,
    QgsRasterLayer,
)
from voice import Heard

pytestmark = pytest.mark.usefixtures("provider")

CARD = {"name": "one", "bands": ["red"], "classes": [], "metrics": {}}


def engine_that(does: str, folder: Path) -> str:
    """Make an interpreter whose geoseg knows one model and does something else when it predicts."""
    script = folder / "engine.py"
    script.write_text(
        "import json, os, signal, subprocess, sys, time\n"
        f"if 'info' in sys.argv: print({json.dumps(CARD)!r}); sys.exit()\n"
        "def say(**event): print(json.dumps(event), flush=True)\n" + does
    )
    python = folder / "python"
    python.write_text(f'#!/bin/sh\nexec {sys.executable} {script} "$@"\n')
    python.chmod(0o755)
    return str(python)


@pytest.fixture
def asked(scene: QgsRasterLayer) -> dict[str, Any]:
    return {"INPUT": scene, "MODEL": "one", "BANDS": "1", "OUTPUT": "TEMPORARY_OUTPUT"}


def left_in_temporary_folder() -> list[Path]:
    return list(Path(QgsProcessingUtils.tempFolder()).glob("geoseg_*"))


def test_a_cancelled_run_ends_the_engine_and_its_children(
    asked: dict[str, Any],
    tmp_path: Path,
    context: QgsProcessingContext,
    heard: Heard,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    does = (
        "child = subprocess.Popen(['sleep', '600'])\n"
        f"open({str(tmp_path / 'ids')!r}, 'w').write(f'{{os.getpid()}} {{child.pid}}')\n"
        "say(event='start', total=10, unit='block', done=0)\n"
        "say(event='progress', done=1, total=10)\n"
        "time.sleep(600)\n"
    )
    monkeypatch.setenv("GEOSEG_PYTHON", engine_that(does, tmp_path))
    heard.progressChanged.connect(lambda percent: percent >= 10 and heard.cancel())
    with pytest.raises(QgsProcessingException, match="cancelled; nothing is kept of a run to"):
        processing.run("geoseg:segment", asked, context=context, feedback=heard)
    for each in (tmp_path / "ids").read_text().split():
        assert not is_alive(int(each))
    assert left_in_temporary_folder() == []


def test_a_crash_of_the_engine_is_told(
    asked: dict[str, Any],
    tmp_path: Path,
    context: QgsProcessingContext,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    does = "os.kill(os.getpid(), signal.SIGSEGV)\n"
    monkeypatch.setenv("GEOSEG_PYTHON", engine_that(does, tmp_path))
    with pytest.raises(QgsProcessingException, match=r"crashed \(.*\); run it again"):
        processing.run("geoseg:segment", asked, context=context)
    assert left_in_temporary_folder() == []


def test_what_the_engine_warns_of_and_prints_is_shown(
    asked: dict[str, Any],
    tmp_path: Path,
    context: QgsProcessingContext,
    heard: Heard,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    does = (
        "say(event='log', level='warning', message='pixels are large')\n"
        "say(event='log', level='info', message='all is well')\n"
        "print('a library speaks')\n"
        "say(event='error', kind='user', message='no such thing; give another')\n"
        "sys.exit(2)\n"
    )
    monkeypatch.setenv("GEOSEG_PYTHON", engine_that(does, tmp_path))
    with pytest.raises(QgsProcessingException, match=r"^no such thing; give another$"):
        processing.run("geoseg:segment", asked, context=context, feedback=heard)
    assert heard.warnings == ["pixels are large"]
    assert "all is well" in heard.infos
    assert heard.console == ["a library speaks"]


@pytest.mark.parametrize("name", ["segment", "polygonize", "evaluate", "modelinfo", "train"])
def test_without_an_engine_nothing_can_be_executed(
    provider: Any, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GEOSEG_PYTHON", "/nowhere/python")
    made = provider.algorithm(name).create()
    able, message = made.canExecute()
    assert not able
    assert "/nowhere/python" in message
    assert len(message.splitlines()) == 1


def test_a_script_is_told_that_there_is_no_engine(
    asked: dict[str, Any], context: QgsProcessingContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GEOSEG_PYTHON", "/nowhere/python")
    with pytest.raises(QgsProcessingException, match="/nowhere/python"):
        processing.run("geoseg:segment", asked, context=context)


def test_a_python_without_geoseg_is_told(
    asked: dict[str, Any], context: QgsProcessingContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GEOSEG_PYTHON", "/usr/bin/python3")
    assert os.path.exists("/usr/bin/python3")
    with pytest.raises(QgsProcessingException, match=r"/usr/bin/python3 has no geoseg; choose"):
        processing.run("geoseg:segment", asked, context=context)
