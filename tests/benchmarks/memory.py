"""Peak memory of geoseg, and what a raster costs that is nearly empty.

    python tests/benchmarks/memory.py FOLDER [--only NAME ...]

Makes what it needs in FOLDER. Every run is a process of its own; its peak is compared with that of
a process that imports torch and nothing else.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path

import rasterio
from rasterio.windows import Window
from scene import make_scene

CLASSES = 10
EMPTY, DATA = 100_000, 10_000  # pixels a side: a hundredth of the area is data

PEAK = """
import re
print(re.search(r"VmHWM:\\s*(\\d+)", open("/proc/self/status").read())[1])
"""
JOB = (
    """
import json, sys, time
import torch, geoseg
from torch import nn
source, target, options = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
torch.manual_seed(0)
net = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, {classes}, 3, padding=1))
model = geoseg.Segmenter(
    net,
    classes=[f"class {{i}}" for i in range({classes})],
    bands=("red", "green", "blue"),
    mean=(106.0, 115.0, 92.0),
    std=(48.0, 33.0, 33.0),
)
begun, started = time.perf_counter(), []
result = geoseg.predict_file(
    source,
    target,
    model,
    **options,
    overwrite=True,
    precision="fp32",
    on_progress=lambda event: started.append(time.perf_counter()),
)
facts = {{"planned": started[0] - begun, "seconds": result.seconds, "computed": result.computed}}
print(json.dumps(facts | {{"blocks": result.blocks}}))
"""
    + PEAK
)


SMALL = {"memory": 10**9}
RUNS: dict[str, tuple[str, dict[str, object]]] = {
    "4096": ("scene-4096.tif", {}),
    "20480": ("scene-20480.tif", {}),
    "4096, 1 GB": ("scene-4096.tif", SMALL),
    "20480, 1 GB": ("scene-20480.tif", SMALL),
    "20480, 1 GB, hann": ("scene-20480.tif", SMALL | {"blend": "hann"}),
    "data alone": ("data.tif", {}),
    "sparse": ("sparse.tif", {}),
}


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--only", nargs="+", default=list(RUNS), choices=RUNS)
    options = parser.parse_args()
    prepare(options.folder)
    bare, _ = run("import torch; print('{}')" + PEAK)
    print(f"importing torch: {bare / 1e9:.2f} GB\n")
    print("| raster | peak GB | above torch | planned s | job s | blocks computed |")
    print("|---|---:|---:|---:|---:|---:|")
    for name in options.only:
        source, settings = RUNS[name]
        words = [options.folder / source, options.folder / "memory-map.tif", json.dumps(settings)]
        peak, facts = run(JOB.format(classes=CLASSES), *map(str, words))
        print(
            f"| {name} | {peak / 1e9:.2f} | {(peak - bare) / 1e9:.2f} | {facts['planned']:.2f} "
            f"| {facts['seconds']:.1f} | {facts['computed']} of {facts['blocks']} |",
            flush=True,
        )


def run(code: str, *words: str) -> tuple[int, dict[str, float]]:
    """Peak resident bytes of a process, and what it says."""
    done = subprocess.run(
        [sys.executable, "-c", code, *words], stdout=subprocess.PIPE, text=True, check=True
    )
    facts, peak = done.stdout.splitlines()[-2:]
    return int(peak) * 1024, json.loads(facts)


def prepare(folder: Path) -> None:
    """Make the rasters that are not there yet."""
    folder.mkdir(parents=True, exist_ok=True)
    for side in (4096, 20480):
        _once(folder / f"scene-{side}.tif", lambda path, side=side: make_scene(path, side))
    _once(folder / "data.tif", lambda path: _crop(folder / "scene-20480.tif", path))
    _once(folder / "sparse.tif", lambda path: _scatter(folder / "data.tif", path))


def _once(path: Path, make: object) -> None:
    if not path.exists():
        print(f"making {path}", flush=True)
        draft = path.with_suffix(".part.tif")
        make(draft)  # type: ignore[operator]
        draft.rename(path)


def _crop(source: Path, path: Path) -> None:
    """A square without missing pixels."""
    with rasterio.open(source) as whole:
        profile = whole.profile | {"height": DATA, "width": DATA}
        pixels = whole.read(window=Window(whole.width - DATA, whole.height - DATA, DATA, DATA))
    with rasterio.open(path, "w", **profile) as target:
        target.write(pixels)


def _scatter(source: Path, path: Path) -> None:
    """The square in the middle of a raster that holds nothing else."""
    with rasterio.open(source) as data:
        wide = {"height": EMPTY, "width": EMPTY, "sparse_ok": True, "bigtiff": "YES"}
        start = (EMPTY - DATA) // 2 // 512 * 512
        with rasterio.open(path, "w", **(data.profile | wide)) as target:
            target.write(data.read(), window=Window(start, start, DATA, DATA))


if __name__ == "__main__":
    main()
