"""Memory of one process that maps many scenes, one after the other.

    python tests/benchmarks/soak.py FOLDER [--scenes 200]

The scenes, 24 GiB of pixels in 200 of them, are a few rasters under many names. Each gets a map, a
confidence and polygons by two convolutions. Told are the peak of each scene, by Linux' own count
that is set back before each, what is held after it, and open files and threads: what grows from
scene to scene is a leak.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import re
import statistics
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from memory import CLASSES
from scene import make_scene
from torch import nn

import geoseg

SIDE = 6554  # pixels a side: three bands of 8 bits, 24 GiB in 200 scenes
KINDS = 4  # scenes that differ
WARM = 10  # scenes until caches, pools and threads are as large as they get
SETTINGS: dict[str, Any] = {"memory": 10**9, "precision": "fp32", "overwrite": True}


def scenes(folder: Path, count: int) -> list[Path]:
    """Sources of that many names."""
    kinds = [folder / f"kind-{i}.tif" for i in range(KINDS)]
    for i, path in enumerate(kinds):
        if not path.exists():
            make_scene(path, SIDE, seed=i)
    names = [folder / f"scene-{i:04}.tif" for i in range(count)]
    for i, name in enumerate(names):
        name.unlink(missing_ok=True)
        os.link(kinds[i % KINDS], name)
    return names


def model() -> geoseg.Segmenter:
    """Two convolutions on an eighth of the pixels, for maps without specks."""
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.AvgPool2d(8),
        nn.Conv2d(3, 8, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(8, CLASSES, 3, padding=1),
        nn.Upsample(scale_factor=8, mode="bilinear"),
    )
    return geoseg.Segmenter(
        net,
        classes=[f"class {i}" for i in range(CLASSES)],
        bands=("red", "green", "blue"),
        mean=(106.0, 115.0, 92.0),
        std=(48.0, 33.0, 33.0),
    )


def held(name: str) -> int:
    """Bytes of this process by their name in /proc: ``VmRSS`` or ``VmHWM``, the most there was."""
    found = re.search(rf"{name}:\s*(\d+)", Path("/proc/self/status").read_text())
    assert found
    return int(found[1]) * 1024


def told(sources: Sequence[Path], results: Path) -> Iterator[dict[str, float]]:
    """Map each; what this process had meanwhile and after."""
    results.mkdir(exist_ok=True)
    network = model()
    for source in sources:
        Path("/proc/self/clear_refs").write_text("5")
        began = time.perf_counter()
        beside: dict[str, Any] = {
            "confidence": results / f"{source.stem}-confidence.tif",
            "polygons": results / f"{source.stem}.gpkg",
        }
        geoseg.predict_file(source, results / source.name, network, **SETTINGS, **beside)
        for result in results.iterdir():
            result.unlink()
        gc.collect()
        yield {
            "peak": held("VmHWM"),
            "after": held("VmRSS"),
            "files": len(os.listdir("/proc/self/fd")),
            "threads": threading.active_count(),
            "seconds": time.perf_counter() - began,
        }


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--scenes", type=int, default=200)
    given = parser.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    sources = scenes(given.folder, given.scenes)
    found: list[dict[str, float]] = []
    with (given.folder / "soak.jsonl").open("w") as log:
        for each in told(sources, given.folder / "maps"):
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
