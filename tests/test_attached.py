"""Runs that end with the program that started them, however that ended."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pointwise import random_pixels, write
from toys import segmenter_of

from geoseg import attached, nets

OPTIONS = {"in_channels": 3, "classes": 4, "widths": [8, 8]}

# Runs geoseg beside a worker that has one itself; both hold the pipe that is standard error, and
# the inner one ends by no signal that it can overhear.
WITH_WORKERS = """
import subprocess, sys
INNER = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); "
INNER += "print('deaf', flush=True); time.sleep(600)"
OUTER = "import subprocess, sys, time; subprocess.Popen([sys.executable, '-c', sys.argv[1]]); "
OUTER += "time.sleep(600)"
worker = subprocess.Popen([sys.executable, "-c", OUTER, INNER], stdout=subprocess.PIPE)
worker.stdout.readline()
from geoseg.cli import main
main(sys.argv[1:])
"""

# What QGIS does: it starts the run with a pipe that it holds, and is killed meanwhile.
STARTER = """
import subprocess, sys, time
with subprocess.Popen(sys.argv[1:], stdin=subprocess.PIPE, start_new_session=True):
    time.sleep(600)
"""


@pytest.fixture
def words(tmp_path: Path) -> list[str]:
    scene = write(tmp_path / "scene.tif", random_pixels((3, 600, 520)).astype(np.uint8), nodata=0)
    net = nets.build("unet", **OPTIONS)
    segmenter_of(net, architecture="unet", options=OPTIONS).save(tmp_path / "model.safetensors")
    words = ["predict", scene, tmp_path / "map.tif", "-m", tmp_path / "model.safetensors"]
    return [*map(str, words), "--memory", "200000", "--progress", "json"]


def steps(lines: Iterator[str]) -> Iterator[dict[str, Any]]:
    return (each for line in lines if (each := json.loads(line))["event"] == "progress")


def goes_on(words: list[str], tmp_path: Path) -> None:
    """The same command goes on, and ends in what an undisturbed one gives."""
    assert not (tmp_path / "map.tif").exists()
    again = [sys.executable, "-m", "geoseg", *words]
    done = subprocess.run(again, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout.splitlines()[0])["done"] >= 2
    fresh = [word.replace("map.tif", "new.tif") for word in again]
    subprocess.run(fresh, capture_output=True, check=True)
    assert (tmp_path / "new.tif").read_bytes() == (tmp_path / "map.tif").read_bytes()


def test_a_run_whose_starter_is_killed_leaves_no_process_and_can_be_taken_up_again(
    tmp_path: Path, words: list[str]
) -> None:
    line = [sys.executable, "-c", WITH_WORKERS, "--attached", *words]
    with subprocess.Popen(
        [sys.executable, "-c", STARTER, *line],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as starter:
        assert starter.stdout is not None
        assert starter.stderr is not None
        found = steps(starter.stdout)
        while next(found)["done"] < 2:
            pass
        starter.send_signal(signal.SIGKILL)
        starter.stdout.read()
        # It ends once nobody holds it any more: neither the run nor its workers are left.
        starter.stderr.read()
    goes_on(words, tmp_path)


def test_a_run_in_the_group_of_others_ends_alone_with_its_own_workers(
    tmp_path: Path, words: list[str]
) -> None:
    line = [sys.executable, "-c", WITH_WORKERS, "--attached", *words]
    with subprocess.Popen(
        line,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as run:
        assert run.stdin is not None
        assert run.stdout is not None
        assert os.getpgid(run.pid) == os.getpgrp()  # this test's own, which is still there below
        found = steps(run.stdout)
        while next(found)["done"] < 2:
            pass
        run.stdin.close()
        run.stdout.read()
        assert run.stderr is not None
        told = run.stderr.read()
    assert run.returncode == 128 + signal.SIGTERM
    assert "stopped; the same command goes on from here" in told
    assert not (tmp_path / "map.tif").exists()


def test_a_command_whose_starter_stays_ends_as_any_other() -> None:
    line = [sys.executable, "-m", "geoseg", "--attached", "doctor", "--json"]
    with subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as run:
        assert run.stdin is not None
        assert run.stdout is not None
        run.stdin.write(b"what nobody asked for\n")
        run.stdin.flush()
        assert json.loads(run.stdout.read())["ok"]
        assert run.wait() == 0


def _ended() -> int:
    reader, writer = os.pipe()
    os.close(writer)
    return reader


@pytest.mark.parametrize(
    ("given", "fault"),
    [
        (lambda: subprocess.DEVNULL, "is no pipe"),
        (lambda: os.open(__file__, os.O_RDONLY), "is no pipe"),
        (_ended, "has ended already"),
        (None, "is closed"),
    ],
    ids=["nothing", "file", "ended", "closed"],
)
def test_a_standard_input_that_nobody_holds_is_refused(given: Any, fault: str) -> None:
    words = [sys.executable, "-m", "geoseg", "--attached", "model", "list"]
    if given is None:
        words = ["/bin/sh", "-c", 'exec "$@" <&-', "sh", *words]
    done = subprocess.run(
        words,
        stdin=subprocess.DEVNULL if given is None else given(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"geoseg: standard input {fault}; with --attached")
    assert done.stderr.count("\n") == 1


@pytest.mark.skipif(not Path("/bin/ps").exists(), reason="there is no ps")
def test_both_ways_to_look_at_processes_find_the_same() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as other:
        for look in (attached._told_by_proc, attached._told_by_ps):
            mine = [each for each in look() if each[0] == str(other.pid)]
            assert [each[2:] for each in mine] == [[str(os.getpid()), str(os.getpgrp())]]
        assert attached.companions() >= {other.pid}
        assert other.stdin is not None
        other.stdin.close()
