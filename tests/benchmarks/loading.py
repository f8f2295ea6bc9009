"""How long training waits for pixels that come from compressed GeoTIFFs.

    python tests/benchmarks/loading.py FOLDER [--steps 40]

The U-Net with the m46 encoder, crops of 288, eight together, from a scene and its labels that are
tiled and deflated; read as they are asked for, and held in memory as `fit` holds what fits.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from prepare import prepare
from scene import CLASSES, truth_of

from geoseg.classes import as_classes
from geoseg.loader import Scene
from geoseg.raster import open_raster
from geoseg.train import Dataset, Settings, dataset, fit


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--steps", type=int, default=40)
    options = parser.parse_args()
    prepare(options.folder, [4096])
    labels = _labels(options.folder)
    scene = Scene(
        open_raster(options.folder / "scene-4096.tif"), open_raster(labels).squeeze("band")
    )
    data = Dataset(
        name="parcels",
        description="",
        classes=as_classes([f"class {i}" for i in range(CLASSES)]),
        bands=("red", "green", "blue"),
        training=[scene],
    )
    settings = Settings(crop=288, batch=8, steps=options.steps)
    print("| scenes | s / step | waiting |\n|---|---:|---:|")
    for name, limit in (("read as asked for", 0), ("in memory", dataset.IN_MEMORY)):
        dataset.IN_MEMORY = limit
        target = options.folder / "trained.safetensors"
        target.unlink(missing_ok=True)
        seconds, waiting = _train(settings, data, target)
        print(f"| {name} | {seconds:.2f} | {waiting:.1%} |", flush=True)


def _train(settings: Settings, data: Dataset, target: Path) -> tuple[float, float]:
    """Seconds of a step, and the share of them that it waited."""
    begun, last = 0.0, 0.0
    waiting = 0.0

    def notice(event: dict[str, Any]) -> None:
        nonlocal begun, last, waiting
        if event["event"] == "start":
            begun = time.monotonic()
        else:
            last, waiting = time.monotonic(), event["waiting"]

    fit(settings, data, target, on_progress=notice)
    return (last - begun) / settings.steps, waiting


def _labels(folder: Path) -> Path:
    path = folder / "labels-4096.tif"
    if not path.exists():
        with rasterio.open(folder / "scene-4096.tif") as source:
            profile = source.profile | {"count": 1, "photometric": None, "nodata": 255}
            gone = (source.read() == 0).all(0)
        with rasterio.open(path, "w", **profile) as target:
            target.write(np.where(gone, 255, truth_of(4096, 1)).astype(np.uint8), 1)
    return path


if __name__ == "__main__":
    main()
