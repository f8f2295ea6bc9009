"""What the bar tells: speed of prediction; of training loss, last score and time left."""

from __future__ import annotations

import io
import json
import re
import signal
import subprocess
import sys
from typing import Any

import pytest
from rich.console import Console as Rich

from geoseg.console import Console


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    """What the bar writes to a terminal of 150 columns."""
    text = io.StringIO()
    monkeypatch.setattr(
        "rich.console.Console", lambda stderr: Rich(file=text, width=150, force_terminal=True)
    )
    return text


def plain(shown: io.StringIO) -> str:
    """The text without what colours it and moves the cursor."""
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown.getvalue())


def told(*events: dict[str, Any]) -> None:
    with Console("bar") as bar:
        for event in events:
            bar.event(event)


def training(**more: Any) -> dict[str, Any]:
    event = {"event": "progress", "done": 40, "total": 100, "unit": "step"}
    return event | {"loss": 0.51239, "eta_s": 3725.4, "waiting": 0.1} | more


def test_the_bar_of_a_training_shows_loss_last_score_and_time_left(shown: io.StringIO) -> None:
    told({"event": "start", "total": 100, "unit": "step"}, training(miou=0.43219))
    last = [line for line in plain(shown).splitlines() if "/" in line][-1]
    assert "step" in last
    assert "40/100" in last
    assert "loss 0.5124  mIoU 0.432" in last
    assert "1:02:05" in last


@pytest.mark.parametrize("scores", [{}, {"miou": None}])
def test_before_there_is_a_score_the_bar_shows_the_loss_alone(
    shown: io.StringIO, scores: dict[str, Any]
) -> None:
    told(training(**scores))
    assert "loss 0.5124" in plain(shown)
    assert "mIoU" not in plain(shown)


def test_the_bar_of_a_prediction_shows_its_speed(shown: io.StringIO) -> None:
    told({"event": "progress", "done": 1, "total": 9, "mpx_per_s": 2.25, "eta_s": 3725.4})
    assert "2.25 Mpx/s" in plain(shown)
    assert "1:02:05" not in plain(shown)  # by the pace of the last seconds, of all scenes


def test_json_lines_are_the_events_themselves(capsys: pytest.CaptureFixture[str]) -> None:
    with Console("json") as lines:
        lines.event(training(miou=0.5))
    assert json.loads(capsys.readouterr().out) == training(miou=0.5)


def test_an_event_is_one_write_for_threads_tell_at_the_same_time() -> None:
    class Out(io.StringIO):
        def write(self, text: str) -> int:
            written.append(text)
            return len(text)

    written: list[str] = []
    console = Console("json")
    console._stdout = Out()
    console.event({"event": "progress", "done": 1})
    assert written == ['{"event": "progress", "done": 1}\n']


SLOW = """
import time
from geoseg import cli

@cli.main.command()
def dull():
    with cli.running("none", "the same command goes on from here"):
        try:
            print("begun", flush=True)
            time.sleep(60)
        finally:
            time.sleep(60)  # as a compiled call that nothing interrupts

cli.main(["dull"])
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stop_that_takes_too_long_is_forced_and_told(number: int) -> None:
    command = [sys.executable, "-c", SLOW]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "begun\n"
        process.send_signal(number)
        _, told = process.communicate(timeout=30)
    assert process.returncode == 128 + number
    assert told == "geoseg: stopped; the same command goes on from here\n"
