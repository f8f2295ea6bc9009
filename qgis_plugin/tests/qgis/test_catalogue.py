# SPDX-License-Identifier: GPL-2.0-or-later
"""Questions for the models end with whoever asked."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Callable

import pytest
from processes import is_alive
from qgis.core import QgsApplication

from geoseg_qgis.catalogue import Catalogue


@pytest.mark.parametrize(
    "ask",
    [Catalogue.refresh, lambda catalogue: catalogue.read_file("/m.safetensors")],
    ids=["list", "file"],
)
def test_a_question_without_an_answer_ends_when_the_dock_is_closed(
    qgis_app: QgsApplication,
    qtbot: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    ask: Callable[[Catalogue], None],
) -> None:
    note, python = tmp_path / "number", tmp_path / "python"
    python.write_text(f"#!/bin/sh\necho $$ > {note}\nexec sleep 600\n")
    python.chmod(0o755)
    monkeypatch.setenv("GEOSEG_PYTHON", str(python))
    catalogue = Catalogue()
    told: list[Exception] = []
    catalogue.failed.connect(told.append)
    catalogue.file_refused.connect(told.append)
    ask(catalogue)
    qtbot.waitUntil(lambda: note.exists() and note.read_text() != "", timeout=30_000)
    catalogue.close()
    qtbot.waitUntil(lambda: not is_alive(int(note.read_text())), timeout=30_000)
    qtbot.waitUntil(lambda: QgsApplication.taskManager().countActiveTasks() == 0, timeout=30_000)
    assert told == []
