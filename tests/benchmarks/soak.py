"""Memory of a batch: one process of the command line that maps many scenes, one after the other.

    python tests/benchmarks/soak.py FOLDER [--scenes 200] [--side 6554]

The scenes, 24 GiB of pixels in 200 of them, are a few rasters under many names. Each gets a map,
scores, a confidence and polygons by a small network, as users' do: nothing is done for the sake of
memory but what the command does itself. Told are the peak of each scene, by Linux' own count that
is set back when the one before it is done, what is held after it, and open files and threads: what
grows from scene to scene is a leak.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import torch
from scene import CLASSES, make_scene

import geoseg
from geoseg import nets

SIDE = 6554  # pixels a side: three bands of 8 bits, 24 GiB in 200 scenes
KINDS = 4  # scenes that differ
WARM = 10  # scenes until caches, pools and threads are as large as they get
OPTIONS = ["--scores", ".tif", "--confidence", ".tif", "--polygons", ".gpkg"]
OPTIONS += ["--memory", "1GB", "--precision", "fp32", "--progress", "json"]


def scenes(folder: Path, count: int, side: int) -> Path:
    """A folder of that many names."""
    kinds = [folder / f"kind-{side}-{i}.tif" for i in range(KINDS)]
    for i, path in enumerate(kinds):
        if not path.exists():
            make_scene(path, side, seed=i)
    named = folder / "scenes"
    shutil.rmtree(named, ignore_errors=True)
    named.mkdir()
    for i in range(count):
        os.link(kinds[i % KINDS], named / f"scene-{i:04}.tif")
    return named


def save_model(path: Path) -> None:
    """A network whose finest features are those of four pixels, for maps without specks."""
    torch.manual_seed(0)
    options = {"in_channels": 3, "classes": CLASSES, "widths": [8, 8, 8]}
    geoseg.Segmenter(
        nets.build("unet", **options),
        architecture="unet",
        options=options,
        classes=[f"class {i}" for i in range(CLASSES)],
        bands=("red", "green", "blue"),
        mean=(106.0, 115.0, 92.0),
        std=(48.0, 33.0, 33.0),
    ).save(path)


def held(process: Path, name: str) -> int:
    """Bytes of a process by their name in /proc: ``VmRSS`` or ``VmHWM``, the most there was."""
    found = re.search(rf"{name}:\s*(\d+)", (process / "status").read_text())
    assert found
    return int(found[1]) * 1024


def told(sources: Path, results: Path, model: Path) -> Iterator[dict[str, float]]:
    """Map all of a folder; what the process had during each scene and after it."""
    words = [
        sys.executable,
        "-m",
        "geoseg",
        "predict",
        str(sources),
        str(results),
        "-m",
        str(model),
    ]
    began = time.perf_counter()
    with subprocess.Popen([*words, *OPTIONS], stdout=subprocess.PIPE, text=True) as call:
        assert call.stdout is not None
        process = Path("/proc") / str(call.pid)
        for line in call.stdout:
            event = json.loads(line)
            if event["event"] == "error":
                raise SystemExit(event["message"])
            if event["event"] != "progress" or event.get("unit") != "scene":
                continue
            now = time.perf_counter()
            yield {
                "peak": held(process, "VmHWM"),
                "after": held(process, "VmRSS"),
                "files": len(os.listdir(process / "fd")),
                "threads": len(os.listdir(process / "task")),
                "seconds": now - began,
            }
            (process / "clear_refs").write_text("5")
            began = now
            for result in results.glob("scene-*"):  # of scenes that are done: others are hidden
                result.unlink()
    if call.returncode:
        raise SystemExit(f"it ended with status {call.returncode}")


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--scenes", type=int, default=200)
    parser.add_argument("--side", type=int, default=SIDE)
    given = parser.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    sources, model = scenes(given.folder, given.scenes, given.side), given.folder / "m.safetensors"
    save_model(model)
    results = given.folder / "maps"
    shutil.rmtree(results, ignore_errors=True)
    found: list[dict[str, float]] = []
    with (given.folder / "soak.jsonl").open("w") as log:
        for each in told(sources, results, model):
            found.append(each)
            print(json.dumps(each), file=log, flush=True)
    warm = min(WARM, len(found) - 1)
    span = max(1, (len(found) - warm) // 4)
    print("| | first scene | after warming up | last scenes | change |\n|---|---:|---:|---:|---:|")
    for name, unit in (("peak", 1e9), ("after", 1e9), ("files", 1), ("threads", 1), ("seconds", 1)):
        values = [each[name] / unit for each in found]
        early, late = (statistics.median(v) for v in (values[warm : warm + span], values[-span:]))
        change = 100 * (late / early - 1)
        print(f"| {name} | {values[0]:.3g} | {early:.4g} | {late:.4g} | {change:+.1f} % |")


if __name__ == "__main__":
    main()
