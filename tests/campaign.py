"""Runs that are killed at random moments and taken up again: do they end in the same bytes?

    python tests/campaign.py FOLDER --runs 50 --seed 0

Each run is stopped with SIGKILL in one stage of the work, in turn: while it is planned, while
blocks are computed, while the map and its overviews are put together, while polygons are drawn,
while outputs are put in place. Then the same command is given again, killed once more in one of
three runs, and let end. What it leaves must be what a run leaves that nobody disturbed, and nothing
else.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from items import contents
from pointwise import random_pixels, write
from toys import segmenter_of

from geoseg import nets

OPTIONS: dict[str, Any] = {"in_channels": 3, "classes": 4, "widths": [8, 8]}
STAGES = ("planning", "predicting", "assembling", "vectors", "publishing")
OUTPUTS = ("map.tif", "scores.tif", "sure.tif", "map.gpkg")


@dataclass
class Command:
    """One call of the command line, followed line by line.

    Parameters
    ----------
    folder : Path
        With ``scene.tif`` and ``toy.safetensors``.
    target : Path
        Folder of the outputs.
    """

    folder: Path
    target: Path
    done: list[str] = field(default_factory=list)  # blocks that were finished

    def start(self) -> subprocess.Popen[str]:
        """Begin."""
        self.target.mkdir(exist_ok=True)
        given = [str(self.folder / "scene.tif"), str(self.target / "map.tif")]
        options = {
            "model": self.folder / "toy.safetensors",
            "polygons": self.target / "map.gpkg",
            "scores": self.target / "scores.tif",
            "confidence": self.target / "sure.tif",
            "memory": 200_000,
            "min-area": 300,
            "progress": "json",
        }
        told = [f"--{name}={value}" for name, value in options.items()]
        return subprocess.Popen(
            [sys.executable, "-u", "-m", "geoseg", "-v", "predict", *given, *told],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    def events(self, process: subprocess.Popen[str]) -> Iterator[dict[str, Any]]:
        """What the command tells, as it tells it."""
        assert process.stdout is not None
        for line in process.stdout:
            event: dict[str, Any] = json.loads(line)
            found = re.match(r"block (\d+,\d+) done", event.get("message", ""))
            if found:
                self.done.append(found[1])
            yield event

    def end(self) -> bool:
        """Let it go to its end; False when it was there already, though it was killed there."""
        with self.start() as process:
            told = [event.get("message", "") for event in self.events(process)]
        if process.returncode == 2 and told[-1].startswith(f"{self.target / 'map.tif'} exists"):
            return False
        assert process.returncode == 0, f"{self.target}: {told[-1]}"
        return True

    def kill(self, stage: str, dice: random.Random) -> bool:
        """Kill it in a stage; False when it had ended before."""
        reached = moment_of(stage, dice)
        with self.start() as process:
            if stage == "planning":
                time.sleep(dice.uniform(0.1, 3))
                process.kill()
            for event in self.events(process):
                if reached(event):
                    wait(stage, self.target, dice)
                    process.kill()
                    break
            for _ in self.events(process):
                pass
        return process.returncode < 0


def moment_of(stage: str, dice: random.Random) -> Callable[[dict[str, Any]], bool]:
    """Tells by the events whether a stage is reached."""
    share, unit = dice.random(), ""

    def reached(event: dict[str, Any]) -> bool:
        nonlocal unit
        unit = event.get("unit", unit)
        if event["event"] != "progress":
            return stage == "vectors" and event["event"] == "start" and unit == "row"
        part = event["done"] / event["total"]
        if stage == "predicting":
            return unit == "block" and part >= share
        if stage == "assembling":
            return unit == "block" and part == 1
        return stage == "publishing" and unit == "row" and part == 1

    return reached


def wait(stage: str, target: Path, dice: random.Random) -> None:
    """Some time within a stage."""
    if stage == "publishing" and dice.random() < 0.7:  # between the outputs, or while it cleans up
        end = time.monotonic() + 20
        while not any((target / name).exists() for name in OUTPUTS) and time.monotonic() < end:
            pass
        time.sleep(dice.uniform(0, 0.01))
    elif stage in ("assembling", "vectors", "publishing"):
        time.sleep(dice.uniform(0, 0.4))


@dataclass
class Tally:
    """What came of the runs.

    Parameters
    ----------
    runs, kills : int
    twice : int
        Blocks that were finished more than once.
    ended : int
        Runs that were killed when all was in place.
    stages : Counter
        Kills by stage.
    wrong : list of str
        Runs that did not end as they must.
    """

    runs: int = 0
    kills: int = 0
    twice: int = 0
    ended: int = 0
    stages: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        stages = ", ".join(f"{stage} {count}" for stage, count in self.stages.items())
        return (
            f"{self.runs} runs, {self.kills} kills ({stages}); {self.twice} blocks computed twice; "
            f"{self.ended} runs were whole when they were killed; "
            f"{len(self.wrong)} runs ended wrong {self.wrong or ''}"
        )


def prepare(folder: Path, shape: tuple[int, int] = (300, 260)) -> dict[str, bytes]:
    """Write scene and model, and make what an undisturbed run makes."""
    folder.mkdir(parents=True, exist_ok=True)
    pixels = random_pixels((3, *shape)).astype(np.uint8)
    pixels[:, : shape[0] // 3, : shape[1] // 4] = 0
    write(folder / "scene.tif", pixels, nodata=0)
    net = nets.build("unet", **OPTIONS)
    segmenter_of(net, architecture="unet", options=OPTIONS).save(folder / "toy.safetensors")
    whole = Command(folder, folder / "whole")
    whole.end()
    return contents(folder / "whole")


def campaign(folder: Path, runs: int, seed: int) -> Tally:
    """Kill and take up again as many runs as are asked for."""
    expected, dice, tally = prepare(folder), random.Random(seed), Tally()  # noqa: S311
    for number in range(runs):
        command = Command(folder, folder / f"run{number}")
        stages = [STAGES[number % len(STAGES)]]
        stages += [dice.choice(STAGES)] if number % 3 == 2 else []
        for stage in stages:
            if command.kill(stage, dice):
                tally.kills += 1
                tally.stages[stage] += 1
        tally.ended += not command.end()
        tally.runs += 1
        tally.twice += sum(times - 1 for times in Counter(command.done).values())
        left = {path.name for path in command.target.iterdir()}
        if contents(command.target) != expected or left != set(expected):
            tally.wrong.append(f"{command.target} after {stages}")
        print(f"{number + 1}: {', '.join(stages)}", flush=True)
    return tally


def main() -> None:
    """Run it by hand."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--runs", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    tally = campaign(given.folder, given.runs, given.seed)
    print(tally)
    sys.exit(1 if tally.wrong else 0)


if __name__ == "__main__":
    main()
