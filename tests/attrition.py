"""A cluster that loses a worker every few seconds: does it make the bytes of one process?

    python tests/attrition.py FOLDER [--side 6144] [--seconds 5] [--seed 0]

Three workers of one thread each share a scene. Every few seconds, give or take a half, one that is
drawn is stopped with SIGKILL and another is started in its place. The map and its polygons must be
those of one process, and no more blocks may be begun again than the dead workers had in hand.
"""

from __future__ import annotations

import argparse
import random
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
from clusters import Processes, processes
from items import contents
from pointwise import random_pixels, write

import geoseg
from geoseg.job import Result

MODEL = "sentinel2-landcover"
WORKERS = 3


def scene_of(path: Path, side: int) -> Path:
    """Squares of 64 pixels in random colours, for some hundred thousand polygons at most."""
    squares = random_pixels((3, side // 64, side // 64))
    return write(path, np.kron(squares, np.ones((1, 64, 64))).astype(np.uint8))


def mapped(scene: Path, folder: Path, scheduler: str) -> Result:
    """Map the scene into a folder of its own."""
    folder.mkdir()
    options: dict[str, Any] = {"gsd": "native", "precision": "fp32", "memory": 300_000_000}
    target, polygons = folder / "map.tif", folder / "map.gpkg"
    return geoseg.predict_file(
        scene, target, MODEL, polygons=polygons, scheduler=scheduler, **options
    )


class Attrition(threading.Thread):
    """Ends workers and starts others until it is told to stop.

    Parameters
    ----------
    group : Processes
    seconds : float
        Between two deaths, on average.
    seed : int
    """

    def __init__(self, group: Processes, seconds: float, seed: int) -> None:
        super().__init__()
        self.group, self.seconds = group, seconds
        self.deaths, self.over = 0, threading.Event()
        self._dice = random.Random(seed)  # noqa: S311

    def run(self) -> None:
        while not self.over.wait(self.seconds * self._dice.uniform(0.5, 1.5)):
            self.group.kill_worker(self._dice.randrange(WORKERS))
            self.group.add_worker()
            self.deaths += 1


def main() -> None:
    """Run it by hand."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--side", type=int, default=6144)
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    given.folder.mkdir(parents=True)
    scene = scene_of(given.folder / "scene.tif", given.side)
    mapped(scene, given.folder / "one", "local")
    with processes(given.folder / "cluster", WORKERS) as group:
        began, deaths = time.perf_counter(), Attrition(group, given.seconds, given.seed)
        deaths.start()
        try:
            result = mapped(scene, given.folder / "many", group.address)
        finally:
            deaths.over.set()
            deaths.join()
        taken, begun = time.perf_counter() - began, group.logged()
    same = contents(given.folder / "one") == contents(given.folder / "many")
    again, whose = begun - result.computed, "those" if same else "NOT those"
    print(
        f"{result.computed} blocks in {taken:.0f} s, {deaths.deaths} workers killed, "
        f"{again} blocks begun again; the bytes are {whose} of one process"
    )
    sys.exit(0 if same and again <= deaths.deaths else 1)


if __name__ == "__main__":
    main()
