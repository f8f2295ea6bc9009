"""What the bar tells: speed of prediction; of training loss, last score and time left."""

from __future__ import annotations

import io
import json
import logging
import re
import signal
import subprocess
import sys
from typing import Any

import pytest
from rich.console import Console as Rich

from geoseg.console import Console
from geoseg.progress import time_left


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


def test_the_bar_of_a_prediction_shows_its_speed_and_the_time_left_as_it_is_told(
    shown: io.StringIO,
) -> None:
    # What threads began together ends together: the pace of the last moments tells nothing.
    blocks = [{"event": "progress", "done": done, "total": 90} for done in range(1, 9)]
    told(*({**each, "mpx_per_s": 2.25, "eta_s": 3725.4} for each in blocks))
    last = [line for line in plain(shown).splitlines() if "/" in line][-1]
    assert "2.25 Mpx/s" in last
    assert last.rstrip().endswith("1:02:05")


def test_before_there_is_anything_to_go_by_no_time_is_told(shown: io.StringIO) -> None:
    told({"event": "start", "total": 9, "unit": "block"})
    assert plain(shown).splitlines()[-1].rstrip().endswith("-:--:--")
    assert time_left(5.0, 0, 9) is None
    assert time_left(5.0, 2, 9) == 22.5


def test_a_closing_line_stands_above_a_bar_that_is_full(shown: io.StringIO) -> None:
    with Console("bar") as bar:
        for done in (5, 6):
            bar.event({"event": "progress", "done": done, "total": 6})
        bar.message("6 of 6 maps are in maps")
        sys.stderr.flush()
        after = plain(shown).rpartition("6 of 6 maps")[2]
    assert "6/6" in after
    assert "5/6" not in after


def test_what_the_library_says_names_the_scene_of_a_batch_once(
    capsys: pytest.CaptureFixture[str],
) -> None:
    log = logging.getLogger("geoseg.crew")
    with Console("none", logging.DEBUG) as console:
        log.debug("block 1,2 done")
        console.scene = "in/a.tif"
        log.debug("block 1,2 done")
        log.warning("cannot read in/a.tif")
        console.message("what the command says")
    assert capsys.readouterr().err.splitlines() == [
        "debug: block 1,2 done",
        "debug: in/a.tif: block 1,2 done",
        "warning: cannot read in/a.tif",
        "what the command says",
    ]


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
